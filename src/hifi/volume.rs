//! Volume is safe: from the knob to the gain applied, and how fast that may rise. Pure.

use std::time::{Duration, Instant};

use crate::units::{Gain, Volume};

/// The knob, mute, and the gain that may be applied at the moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Knob {
    fixed: bool,
    max: Volume,
    volume: Volume,
    mute: bool,
    /// The gain allowed if it were not muted; it follows the knob down at once and up slowly while sound runs.
    allowed: Gain,
    /// When `allowed` was last brought forward.
    at: Instant,
}

impl Knob {
    /// Returns the knob after power-on: at `last`, but no higher than 35; at 25 when nobody ever set it.
    /// `fixed`: the amplifier has the knob, full scale.
    pub fn new(fixed: bool, max: Volume, last: Option<Volume>, now: Instant) -> Knob {
        let volume = match (fixed, last) {
            (true, _) => Volume::MAX,
            (false, Some(last)) => last.min(AFTER_POWER_ON),
            (false, None) => UNTOUCHED,
        };
        let mut knob = Knob { fixed, max, volume, mute: false, allowed: Gain::SILENT, at: now };
        knob.allowed = knob.target();
        knob
    }

    /// Returns whether the amplifier has the knob.
    pub fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Returns the position of the knob.
    pub fn volume(&self) -> Volume {
        self.volume
    }

    /// Returns whether it is muted.
    pub fn is_muted(&self) -> bool {
        self.mute
    }

    /// Returns the gain to apply now.
    pub fn gain(&self) -> Gain {
        if self.mute { Gain::SILENT } else { self.allowed }
    }

    /// Turns the knob. A fixed one stays.
    pub fn turn(&mut self, volume: Volume, sounding: bool, now: Instant) {
        self.forward(sounding, now);
        if !self.fixed {
            self.volume = volume;
        }
        self.settle(sounding);
    }

    /// Mutes or unmutes; the knob stays.
    pub fn set_mute(&mut self, mute: bool, sounding: bool, now: Instant) {
        self.forward(sounding, now);
        self.mute = mute && !self.fixed;
    }

    /// Brings the gain forward to `now` and returns when to look again, or `None` when it has arrived.
    pub fn forward(&mut self, sounding: bool, now: Instant) -> Option<Instant> {
        let elapsed = now.saturating_duration_since(self.at);
        self.at = self.at.max(now);
        let target = self.target();
        if sounding && self.allowed < target {
            let rise = elapsed.as_millis().min(60_000) as i32 * RISE_PER_SECOND.0 / 1000;
            self.allowed = Gain(self.allowed.max(FLOOR).0.saturating_add(rise)).min(target);
        }
        self.settle(sounding);
        (self.allowed < target).then_some(now + STEP)
    }

    fn settle(&mut self, sounding: bool) {
        let target = self.target();
        if !sounding || target < self.allowed {
            self.allowed = target;
        }
    }

    fn target(&self) -> Gain {
        if self.fixed { Gain::UNITY } else { curve(self.volume, self.max) }
    }
}

/// Returns the gain of a knob position: the cube of the share of `max`, so that equal steps sound alike;
/// 100 of 100 is unity, 50 is -18 dB, 25 is -36 dB, 0 is silence.
pub fn curve(volume: Volume, max: Volume) -> Gain {
    let share = f64::from(volume.value()) * f64::from(max.value()) / 10_000.0;
    if share <= 0.0 {
        return Gain::SILENT;
    }
    Gain((60.0 * share.log10() * 256.0).round() as i32)
}

/// Product rule "Volume is safe": box mode starts at min(last, 35).
const AFTER_POWER_ON: Volume = volume(35);
/// Product rule "Volume is safe": until somebody answers, 25.
const UNTOUCHED: Volume = volume(25);
/// Product rule "Volume is safe": the gain never rises by more than 10 dB in a second while sound runs.
const RISE_PER_SECOND: Gain = Gain(10 * 256);
/// Where a rise from silence starts; below it nothing is heard in a living room.
const FLOOR: Gain = Gain(-60 * 256);
/// How often a rising gain is brought forward: half a decibel a step, smoothed over 20 ms by the motor.
const STEP: Duration = Duration::from_millis(50);

const fn volume(value: u8) -> Volume {
    match Volume::new(value) {
        Some(volume) => volume,
        None => Volume::MIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn power_on_is_never_loud() {
        let now = Instant::now();
        let at = |last| Knob::new(false, Volume::MAX, last, now).volume().value();
        assert_eq!(at(None), 25);
        assert_eq!(at(Volume::new(90)), 35);
        assert_eq!(at(Volume::new(10)), 10);
        let fixed = Knob::new(true, Volume::MAX, Volume::new(10), now);
        assert_eq!((fixed.volume(), fixed.gain()), (Volume::MAX, Gain::UNITY));
    }

    #[test]
    fn the_curve_is_known_at_its_points() {
        let max = Volume::MAX;
        assert_eq!(curve(Volume::MAX, max), Gain::UNITY);
        assert_eq!(curve(volume(50), max).db().round(), -18.0);
        assert_eq!(curve(Volume::MIN, max), Gain::SILENT);
        // max_volume rescales instead of clamping: 100 of 50 is 50 of 100, and 99 is still below it.
        assert_eq!(curve(Volume::MAX, volume(50)), curve(volume(50), max));
        assert!(curve(volume(99), volume(50)) < curve(Volume::MAX, volume(50)));
    }

    #[test]
    fn unmuting_gives_back_the_gain_that_was() {
        let now = Instant::now();
        let mut knob = Knob::new(false, Volume::MAX, Volume::new(30), now);
        let before = knob.gain();
        knob.set_mute(true, true, now);
        assert_eq!(knob.gain(), Gain::SILENT);
        knob.set_mute(false, true, now);
        assert_eq!(knob.gain(), before);
    }

    proptest! {
        #[test]
        fn while_sound_runs_nothing_rises_faster_than_ten_decibels_a_second(
            turns in prop::collection::vec((0u8..=100, 0u64..400, any::<bool>()), 1..60),
        ) {
            let mut now = Instant::now();
            let mut knob = Knob::new(false, Volume::MAX, Volume::new(20), now);
            for (to, ms, muting) in turns {
                let before = knob.gain();
                now += Duration::from_millis(ms);
                if muting {
                    knob.turn(volume(to), true, now);
                } else {
                    knob.forward(true, now);
                }
                let most = before.max(FLOOR).0 + (ms as i32 * 10 * 256) / 1000;
                prop_assert!(knob.gain().0 <= most.max(before.0), "{before:?} to {:?} in {ms} ms", knob.gain());
            }
        }
    }
}
