//! What the motor asks of a device, and how long it waits before it asks a failing one again.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::player::Knob;
use crate::player::mixer::{Element, Wish};
use crate::player::resample::converts;
use crate::player::ring::Render;
use crate::signal::{DITHER, KNOB, SignalPath};
use crate::track::AudioFormat;
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
    /// The source has floats, and nothing but the device would change them.
    pub float: bool,
}

impl Want {
    /// Returns the forms of a sample to try on a device of this rate, best first. What is resampled has more bits than the
    /// file.
    pub fn forms(&self, rate: SampleRate) -> [Sample; 4] {
        match (self.float, rate == self.rate) {
            (true, true) => [Sample::F32, Sample::I32, Sample::I24, Sample::I16],
            (false, true) => Sample::preferred(self.bits, self.knob),
            (_, false) => Sample::preferred(32, self.knob),
        }
    }
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
    /// Whether a fresh stream is heard sooner than what is put behind the silence that an open one has taken already, and
    /// costs the listener nothing: so it is with a sound server.
    pub restarts: bool,
}

impl Plan {
    /// Returns the way of a source to the device of this plan; `hardware` is what the kernel says of the device.
    pub fn path(&self, want: &Want, source: AudioFormat, hardware: Option<String>) -> SignalPath {
        let mut processing = Vec::new();
        if self.rate != want.rate {
            processing.push(format!("resampled from {} to {}", want.rate, self.rate));
        }
        if self.channels > want.channels {
            processing.push(format!("mono on {} channels", self.channels));
        }
        let bits = if want.float && self.sample == Sample::F32 { 32 } else { self.sample.bits() };
        let shortened = self.rate != want.rate || want.knob == Knob::Box || want.bits > bits;
        if shortened && matches!(self.sample, Sample::I16 | Sample::I24) {
            processing.push(format!("{DITHER} at {bits} bits"));
        }
        let because = if self.rate != want.rate {
            Some(format!("the device does not take {}", want.rate))
        } else if want.bits > bits {
            Some(format!("the device takes {bits} of {} bits", want.bits))
        } else if want.float && self.sample != Sample::F32 {
            Some("the device takes no floats".to_owned())
        } else if self.because.is_some() {
            self.because.clone()
        } else {
            (want.knob == Knob::Box).then(|| KNOB.to_owned())
        };
        SignalPath {
            source,
            processing,
            device: self.device.clone(),
            rate: self.rate,
            sample: self.sample_name.clone(),
            channels: self.channels,
            hardware,
            bit_perfect: because.is_none(),
            because,
        }
    }
}

/// Returns the best of a device's rates for a source: its own; else of its family (multiples of 11,025 or of 8,000 Hz) the
/// next higher one, or the highest lower one that still carries all that is heard; else the next higher one; else the
/// highest. `None` when none can be reached.
pub fn best_rate(want: SampleRate, takes: impl Fn(SampleRate) -> bool) -> Option<SampleRate> {
    if takes(want) {
        return Some(want);
    }
    let usable: Vec<SampleRate> = RATES
        .iter()
        .filter_map(|hz| SampleRate::new(*hz))
        .filter(|r| takes(*r) && converts(want, *r))
        .collect();
    let kin = |rate: &SampleRate| {
        FAMILIES.iter().any(|of| want.hz().is_multiple_of(*of) && rate.hz().is_multiple_of(*of))
    };
    let up = |rate: &SampleRate| *rate > want;
    let family_up = usable.iter().copied().find(|rate| kin(rate) && up(rate));
    let family_down = || usable.iter().copied().rfind(|rate| kin(rate) && rate.hz() >= SampleRate::CD.hz());
    let any_up = || usable.iter().copied().find(up);
    family_up.or_else(family_down).or_else(any_up).or_else(|| usable.last().copied())
}

/// A device, or the choice of one. A fake pays: [`crate::player::silent`].
pub trait Output: Send {
    /// Returns how the device would be opened, without opening it for sound. A rate that it refuses becomes the
    /// [best one](best_rate) that it takes.
    ///
    /// # Errors
    /// `Unsupported` when it does not take the channels or any rate; any other kind is trouble that may pass.
    fn plan(&mut self, want: &Want) -> Result<Plan>;

    /// Returns the element of the card's own mixer that carries the volume of a device planned just now; `None` where the
    /// samples do.
    ///
    /// # Errors
    /// What keeps it from being used, in words for the owner: the volume is done in the samples then.
    fn mixer(&mut self, _plan: &Plan, _wish: &Wish) -> Result<Option<Box<dyn Element>>> {
        Ok(None)
    }

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

    /// Returns why nothing is heard of an open device that is going to play on by itself, in words for the owner; `None`
    /// while it plays.
    fn held(&self) -> Option<String> {
        None
    }

    /// Returns what the hardware was set to, as the kernel says.
    fn hardware(&self) -> Option<String> {
        None
    }
}

/// The wait before a failing device is asked again: 1 s, doubled up to 5 s, from the start after success.
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

/// The rates that devices have.
const RATES: [u32; 15] = [
    8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000, 352_800,
    384_000, 705_600, 768_000,
];
const FAMILIES: [u32; 2] = [11_025, 8_000];
const FIRST_DELAY: Duration = Duration::from_secs(1);
/// A person who plugs the DAC in again waits for no longer than this.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recovery_doubles_from_1_to_5_seconds_and_starts_again() {
        let mut recovery = Recovery::default();
        let seconds: Vec<u64> = (0..7).map(|_| recovery.delay().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 5, 5, 5, 5]);
        recovery.reset();
        assert_eq!(recovery.delay().as_secs(), 1);
    }

    #[test]
    fn a_refused_rate_becomes_the_best_one_of_its_family() {
        let best = |want: u32, has: &[u32]| {
            let want = SampleRate::new(want).expect("a rate");
            best_rate(want, |rate| has.contains(&rate.hz())).map(SampleRate::hz)
        };
        assert_eq!(best(44_100, &[44_100, 48_000, 96_000]), Some(44_100));
        assert_eq!(best(44_100, &[48_000, 88_200, 96_000]), Some(88_200));
        assert_eq!(best(44_100, &[22_050, 48_000, 96_000]), Some(48_000));
        assert_eq!(best(192_000, &[44_100, 48_000, 88_200, 96_000]), Some(96_000));
        assert_eq!(best(176_400, &[44_100, 48_000, 192_000]), Some(44_100));
        assert_eq!(best(96_000, &[44_100]), Some(44_100));
        assert_eq!(best(8_000, &[48_000, 44_100]), Some(48_000));
        assert_eq!(best(11_025, &[44_100, 48_000]), Some(44_100));
        assert_eq!(best(37_800, &[32_000, 48_000]), Some(48_000));
        assert_eq!(best(96_000, &[]), None);
        assert_eq!(best(767_999, &[192_000]), None);
    }

    #[test]
    fn the_signal_path_says_bit_perfect_or_why_not() {
        let want = |hz: u32, bits: u16, knob: Knob| Want {
            rate: SampleRate::new(hz).expect("a rate"),
            channels: 2,
            bits,
            enough: bits,
            knob,
            float: false,
        };
        let plan = Plan {
            device: "alsa:hw:CARD=DAC,DEV=0".into(),
            silent: false,
            rate: SampleRate::CD,
            channels: 2,
            sample: Sample::I16,
            deepest: 16,
            sample_name: "s16".into(),
            because: None,
            notice: None,
            restarts: false,
        };
        let source = AudioFormat {
            container: crate::track::Container::Flac,
            codec: crate::track::Codec::Flac,
            rate: None,
            channels: None,
            bits: None,
            frames: None,
        };
        let path = |want: Want| {
            let path = plan.path(&want, source.clone(), None);
            (path.bit_perfect, path.because.unwrap_or_default(), path.processing.join(", "))
        };
        let check = |want: Want, perfect: bool, because: &str, processing: &str| {
            assert_eq!(path(want), (perfect, because.to_owned(), processing.to_owned()));
        };
        check(want(44_100, 16, Knob::Fixed), true, "", "");
        check(want(44_100, 16, Knob::Box), false, "konpo has the volume knob", "dither at 16 bits");
        let floats = |hz: u32| Want { float: true, ..want(hz, 32, Knob::Fixed) };
        assert_eq!(floats(44_100).forms(SampleRate::CD)[0], Sample::F32);
        assert_eq!(floats(48_000).forms(SampleRate::CD)[0], Sample::I32);
        let deep = |sample| Plan { sample, ..plan.clone() }.path(&floats(44_100), source.clone(), None);
        assert_eq!((deep(Sample::F32).bit_perfect, deep(Sample::F32).because), (true, None));
        assert_eq!(deep(Sample::I32).because.as_deref(), Some("the device takes no floats"));
        check(want(44_100, 24, Knob::Fixed), false, "the device takes 16 of 24 bits", "dither at 16 bits");
        check(
            want(48_000, 16, Knob::Fixed),
            false,
            "the device does not take 48000 Hz",
            "resampled from 48000 Hz to 44100 Hz, dither at 16 bits",
        );
    }

    #[test]
    fn sixteen_bits_stay_sixteen_where_the_amplifier_has_the_knob() {
        assert_eq!(Sample::preferred(16, Knob::Fixed)[0], Sample::I16);
        assert_eq!(Sample::preferred(24, Knob::Fixed)[0], Sample::I24);
        assert_eq!(Sample::preferred(16, Knob::Box)[0], Sample::I32);
    }
}
