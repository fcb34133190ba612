//! Units: newtypes with checked arithmetic, so that a bare integer never crosses a module.

pub mod calendar;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Frames per second of a PCM signal, 1..=768000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SampleRate(u32);

impl SampleRate {
    /// The rate of an audio CD.
    pub const CD: SampleRate = SampleRate(44_100);

    /// Returns the rate, or `None` for 0 and for anything above 768 kHz.
    pub fn new(hz: u32) -> Option<SampleRate> {
        (1..=MAX_RATE).contains(&hz).then_some(SampleRate(hz))
    }

    /// Returns the rate in frames per second.
    pub fn hz(self) -> u32 {
        self.0
    }

    /// Returns how many whole frames last `time`, rounded down.
    pub fn frames_in(self, time: Millis) -> Frames {
        Frames((u128::from(time.0) * u128::from(self.0) / 1000).min(u128::from(u64::MAX)) as u64)
    }

    /// Returns how long `frames` last, rounded down to a millisecond.
    pub fn time_of(self, frames: Frames) -> Millis {
        Millis((u128::from(frames.0) * 1000 / u128::from(self.0)).min(u128::from(u64::MAX)) as u64)
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// A count of frames (one sample per channel).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Frames(pub u64);

impl Frames {
    /// Returns the sum, or `None` on overflow.
    pub fn checked_add(self, other: Frames) -> Option<Frames> {
        self.0.checked_add(other.0).map(Frames)
    }

    /// Returns the difference, never below zero.
    pub fn saturating_sub(self, other: Frames) -> Frames {
        Frames(self.0.saturating_sub(other.0))
    }
}

/// A duration or a position in milliseconds, never negative.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// No time at all.
    pub const ZERO: Millis = Millis(0);

    /// Returns the sum, capped at the largest value.
    pub fn saturating_add(self, other: Millis) -> Millis {
        Millis(self.0.saturating_add(other.0))
    }

    /// Returns the difference, never below zero.
    pub fn saturating_sub(self, other: Millis) -> Millis {
        Millis(self.0.saturating_sub(other.0))
    }
}

impl From<Duration> for Millis {
    fn from(time: Duration) -> Millis {
        Millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }
}

impl From<Millis> for Duration {
    fn from(time: Millis) -> Duration {
        Duration::from_millis(time.0)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / 1000;
        write!(f, "{}:{:02}", seconds / 60, seconds % 60)
    }
}

/// The one knob, 0..=100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Volume(u8);

impl Volume {
    /// Silence.
    pub const MIN: Volume = Volume(0);
    /// What 100 on every face means.
    pub const MAX: Volume = Volume(100);

    /// Returns the volume, or `None` above 100.
    pub const fn new(value: u8) -> Option<Volume> {
        if value <= 100 { Some(Volume(value)) } else { None }
    }

    /// Returns the position of the knob, 0..=100.
    pub fn value(self) -> u8 {
        self.0
    }

    /// Returns the knob moved by `steps`, stopping at either end.
    pub fn moved(self, steps: i16) -> Volume {
        Volume((i16::from(self.0).saturating_add(steps)).clamp(0, 100) as u8)
    }
}

impl TryFrom<u8> for Volume {
    type Error = String;
    fn try_from(value: u8) -> Result<Volume, String> {
        Volume::new(value).ok_or_else(|| format!("volume is {value}, must be 0 to 100"))
    }
}

impl From<Volume> for u8 {
    fn from(volume: Volume) -> u8 {
        volume.0
    }
}

/// What is applied to the samples, in 1/256 dB (UPnP RenderingControl:1, VolumeDB), 0 = unity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gain(pub i32);

impl Gain {
    /// Bit-exact: samples pass untouched.
    pub const UNITY: Gain = Gain(0);
    /// Nothing is heard.
    pub const SILENT: Gain = Gain(i32::MIN);

    /// Returns a gain of whole decibels.
    pub fn from_db(db: i32) -> Gain {
        Gain(db.saturating_mul(256))
    }

    /// Returns decibels; `f64::NEG_INFINITY` for [`Gain::SILENT`].
    pub fn db(self) -> f64 {
        if self == Gain::SILENT { f64::NEG_INFINITY } else { f64::from(self.0) / 256.0 }
    }

    /// Returns the factor for a sample, 0.0 for [`Gain::SILENT`], exactly 1.0 for unity.
    pub fn factor(self) -> f64 {
        match self {
            Gain::SILENT => 0.0,
            Gain::UNITY => 1.0,
            Gain(_) => 10f64.powf(self.db() / 20.0),
        }
    }

    /// Returns both gains applied one after the other; silence wins.
    pub fn and(self, other: Gain) -> Gain {
        if self == Gain::SILENT || other == Gain::SILENT {
            Gain::SILENT
        } else {
            Gain(self.0.saturating_add(other.0).max(i32::MIN + 1))
        }
    }
}

/// A count of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteCount(pub u64);

impl ByteCount {
    /// Returns the sum, capped at the largest value.
    pub fn saturating_add(self, other: ByteCount) -> ByteCount {
        ByteCount(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000 => write!(f, "{} B", self.0),
            1_000..1_000_000 => write!(f, "{:.1} kB", self.0 as f64 / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} MB", self.0 as f64 / 1e6),
            _ => write!(f, "{:.1} GB", self.0 as f64 / 1e9),
        }
    }
}

/// Seconds since 1970-01-01T00:00:00Z; what a clock that was never set says is kept as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// Returns what the system clock says.
    pub fn now() -> UnixTime {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        UnixTime(since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX)))
    }

    /// Returns the date and time as RFC 3339 in UTC, to the second.
    pub fn rfc3339(self) -> String {
        let (days, second) = (self.0.div_euclid(86_400), self.0.rem_euclid(86_400));
        let (year, month, day) = civil(days);
        let (h, m, s) = (second / 3600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z")
    }
}

impl UnixTime {
    /// Returns the time of what [`UnixTime::rfc3339`] prints; `None` for anything else.
    pub fn parse(text: &str) -> Option<UnixTime> {
        let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let (h, m, s) = (number(11..13)?, number(14..16)?, number(17..19)?);
        let time = UnixTime(days(year, month, day).checked_mul(86_400)? + h * 3600 + m * 60 + s);
        (time.rfc3339() == text).then_some(time)
    }
}

/// Returns the count of days from 1970-01-01 to a Gregorian date.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + (153 * m + 2) / 5 + day - 1 - 719_468
}

/// Returns the Gregorian date of a count of days since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    // Counted in eras of 400 years that start on 1 March, so that the leap day comes last.
    let z = days.saturating_add(719_468);
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

const MAX_RATE: u32 = 768_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_are_gregorian() {
        assert_eq!(UnixTime(0).rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(UnixTime(951_782_399).rfc3339(), "2000-02-28T23:59:59Z");
        assert_eq!(UnixTime(951_782_400).rfc3339(), "2000-02-29T00:00:00Z");
        assert_eq!(UnixTime(1_795_219_200).rfc3339(), "2026-11-21T00:00:00Z");
        assert_eq!(UnixTime(-1).rfc3339(), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn unity_is_exact_and_silence_wins() {
        assert_eq!(Gain::UNITY.factor(), 1.0);
        assert_eq!(Gain::SILENT.factor(), 0.0);
        assert_eq!(Gain::SILENT.and(Gain::from_db(12)), Gain::SILENT);
        assert!((Gain::from_db(-20).factor() - 0.1).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn frames_and_time_never_grow_on_a_round_trip(hz in 1u32..=768_000, ms in 0u64..1 << 40) {
            let rate = SampleRate::new(hz).expect("in range");
            let back = rate.time_of(rate.frames_in(Millis(ms)));
            prop_assert!(back <= Millis(ms));
        }

        #[test]
        fn a_printed_time_reads_back(seconds in -30_000_000_000i64..30_000_000_000) {
            prop_assume!((0..=9999).contains(&UnixTime(seconds).rfc3339()[..4].parse::<i64>().unwrap_or(-1)));
            let text = UnixTime(seconds).rfc3339();
            prop_assert_eq!(UnixTime::parse(&text), Some(UnixTime(seconds)), "{}", text);
        }

        #[test]
        fn the_knob_stays_on_its_scale(start in 0u8..=100, steps in i16::MIN..=i16::MAX) {
            let moved = Volume::new(start).expect("in range").moved(steps);
            prop_assert!(moved <= Volume::MAX);
        }
    }
}
