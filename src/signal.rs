//! What the motor says about a start of sound, its way to the DAC, and the device. Plain data.

use std::sync::Arc;

use serde::Serialize;

use crate::track::AudioFormat;
use crate::units::{Gain, SampleRate};

/// One start of sound. It fences stale answers of the motor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct PlaySerial(pub u64);

/// From the file to the DAC, readable by everyone: source, processing, device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignalPath {
    /// What the file holds.
    pub source: AudioFormat,
    /// What konpo does to the samples, in words and in order; empty when nothing.
    pub processing: Vec<String>,
    /// The device's name as `konpo outputs` prints it.
    pub device: String,
    /// The device's rate.
    pub rate: SampleRate,
    /// The device's sample format, e.g. `s24_3le`, `s32`, `f32`.
    pub sample: String,
    /// The device's channels.
    pub channels: u16,
    /// What the hardware was set to, as the kernel says; `None` where it does not.
    pub hardware: Option<String>,
    /// Whether every sample reaches the device unchanged.
    pub bit_perfect: bool,
    /// Why not, when not.
    pub because: Option<String>,
}

impl SignalPath {
    /// Returns the path with the gain of konpo's own knob in it; `None` where the amplifier has the knob.
    pub fn at(&self, gain: Option<Gain>) -> SignalPath {
        let mut path = self.clone();
        let Some(gain) = gain else { return path };
        let words = match gain {
            Gain::UNITY => return path,
            Gain::SILENT => "muted".to_owned(),
            gain => format!("gain of {:+.1} dB", gain.db()),
        };
        // It is applied behind the resampler and before the dither.
        let dither = path.processing.iter().position(|step| step.starts_with(DITHER));
        path.processing.insert(dither.unwrap_or(path.processing.len()), words);
        path
    }
}

/// How the words for the dither begin.
pub const DITHER: &str = "dither";

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
    /// How often since the start of konpo sound was not decoded in time for the device.
    pub underruns: u64,
}

/// What a live stream says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OnAir {
    /// What the station calls itself.
    pub name: Option<Arc<str>>,
    /// What it says it plays now.
    pub title: Option<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::track::{Codec, Container};

    #[test]
    fn the_gain_stands_between_the_resampler_and_the_dither() {
        let source = AudioFormat {
            container: Container::Flac,
            codec: Codec::Flac,
            rate: None,
            channels: None,
            bits: None,
            frames: None,
        };
        let path = SignalPath {
            source,
            processing: vec!["resampled".into(), "dither at 16 bits".into()],
            device: "dac".into(),
            rate: SampleRate::CD,
            sample: "s16".into(),
            channels: 2,
            hardware: None,
            bit_perfect: false,
            because: None,
        };
        let steps = |gain| path.at(gain).processing;
        assert_eq!(
            steps(Some(Gain(-12 * 256 - 128))),
            ["resampled", "gain of -12.5 dB", "dither at 16 bits"]
        );
        assert_eq!(steps(Some(Gain::SILENT))[1], "muted");
        assert_eq!(path.at(Some(Gain::UNITY)), path);
        assert_eq!(path.at(None), path);
    }
}
