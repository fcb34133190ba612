//! What the motor asks of a device, and how long it waits before it asks a failing one again.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::player::Knob;
use crate::player::ring::Render;
use crate::units::SampleRate;

/// What a source wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Frames per second.
    pub rate: SampleRate,
    /// Channels.
    pub channels: u16,
    /// Bits that carry sound: 16, 24 or 32.
    pub bits: u16,
    /// Bits with which a stream that runs already goes on without a gap: lossy sound has no depth of its own.
    pub enough: u16,
    /// With the knob on konpo more bits are wanted than the file has.
    pub knob: Knob,
}

/// A sample as the device takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// 16 bits.
    I16,
    /// 24 bits in the low bytes of 32.
    I24,
    /// 32 bits.
    I32,
    /// 32-bit float: exact for up to 24 bits.
    F32,
}

impl Sample {
    /// Returns how many bits it carries exactly.
    pub fn bits(self) -> u16 {
        match self {
            Sample::I16 => 16,
            Sample::I24 | Sample::F32 => 24,
            Sample::I32 => 32,
        }
    }

    /// Returns the name shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Sample::I16 => "s16",
            Sample::I24 => "s24",
            Sample::I32 => "s32",
            Sample::F32 => "f32",
        }
    }

    /// Returns the forms to try, best first: the least that is exact, or with the knob on konpo the most.
    pub fn preferred(bits: u16, knob: Knob) -> [Sample; 4] {
        use Sample::{F32, I16, I24, I32};
        match (knob, bits) {
            (Knob::Fixed, 0..=16) => [I16, I24, I32, F32],
            (Knob::Fixed, 17..=24) => [I24, I32, F32, I16],
            _ => [I32, F32, I24, I16],
        }
    }
}

/// How a device is going to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The device's name as `konpo outputs` prints it.
    pub device: String,
    /// Whether it is the paced output without hardware.
    pub silent: bool,
    /// Frames per second.
    pub rate: SampleRate,
    /// Channels.
    pub channels: u16,
    /// The form of a sample.
    pub sample: Sample,
    /// The most bits that the device takes exactly, in any form.
    pub deepest: u16,
    /// The name of the form, e.g. `s24_3le`.
    pub sample_name: String,
    /// Why samples may not reach the hardware unchanged; `None` when they do.
    pub because: Option<String>,
    /// What the owner should know about the choice of this device.
    pub notice: Option<String>,
}

/// A device, or the choice of one. A fake pays: [`crate::player::silent`].
pub trait Output: Send {
    /// Returns how the device would be opened, without opening it for sound.
    ///
    /// # Errors
    /// `Unsupported` when it does not take the rate or the channels; any other kind is trouble that may pass.
    fn plan(&mut self, want: &Want) -> Result<Plan>;

    /// Opens the device and lets it empty the ring.
    ///
    /// # Errors
    /// As [`Output::plan`].
    fn start(&mut self, plan: &Plan, render: Render) -> Result<Box<dyn Stream>>;
}

/// An open device. Dropping closes it.
pub trait Stream: Send {
    /// Returns why it no longer plays, once.
    fn trouble(&mut self) -> Option<Error>;
}

/// The wait before a failing device is asked again: 1 s, doubled up to 30 s, from the start after success.
#[derive(Debug, Clone, Default)]
pub struct Recovery {
    tries: u32,
}

impl Recovery {
    /// Returns how long to wait now.
    pub fn delay(&mut self) -> Duration {
        let delay = FIRST_DELAY.saturating_mul(1 << self.tries.min(5)).min(LONGEST_DELAY);
        self.tries = self.tries.saturating_add(1);
        delay
    }

    /// Starts again with the first delay.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

const FIRST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_doubles_from_1_to_30_seconds_and_starts_again() {
        let mut recovery = Recovery::default();
        let seconds: Vec<u64> = (0..7).map(|_| recovery.delay().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
        recovery.reset();
        assert_eq!(recovery.delay().as_secs(), 1);
    }

    #[test]
    fn sixteen_bits_stay_sixteen_where_the_amplifier_has_the_knob() {
        assert_eq!(Sample::preferred(16, Knob::Fixed)[0], Sample::I16);
        assert_eq!(Sample::preferred(24, Knob::Fixed)[0], Sample::I24);
        assert_eq!(Sample::preferred(16, Knob::Box)[0], Sample::I32);
    }
}
