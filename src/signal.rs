//! What the motor says about a start of sound, its way to the DAC, and the device. Plain data.

use serde::Serialize;

use crate::track::AudioFormat;
use crate::units::SampleRate;

/// One start of sound. It fences stale answers of the motor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PlaySerial(pub u64);

/// From the file to the DAC, readable by everyone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignalPath {
    /// What the file holds.
    pub source: AudioFormat,
    /// The device's rate.
    pub rate: SampleRate,
    /// The device's sample format, e.g. `s24_3le`, `s32`, `f32`.
    pub sample: String,
    /// The device's channels.
    pub channels: u16,
    /// Whether every sample reaches the device unchanged.
    pub bit_perfect: bool,
    /// Why not, when not.
    pub because: Option<String>,
}

/// The sound device as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Its name as `konpo outputs` prints it.
    pub name: String,
    /// Whether it is the paced output without hardware.
    pub silent: bool,
    /// Whether konpo holds it.
    pub open: bool,
    /// What is wrong with it, for a person.
    pub trouble: Option<String>,
}
