//! Volume is safe: from the knob to the gain applied, and how fast that may rise. Pure.

use std::time::{Duration, Instant};

use crate::units::{Gain, Volume};

/// The knob, mute, and the gain that may be applied at the moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Knob {
    fixed: bool,
    max: Volume,
    /// Where the knob stands on the scale of faces, 0.0..=100.0; between two steps only while it is pressed down.
    level: f64,
    /// How far up it goes; `None`: all the way.
    ceiling: Option<Ceiling>,
    /// From when to when the sound fades out.
    fade_out: Option<(Instant, Instant)>,
    /// The most that ReplayGain adds behind the knob to what sounds or may sound next, 0 or more.
    lift: Gain,
    /// What stays held back of it until it is less: the end of a limit makes nothing louder.
    kept_back: Gain,
    mute: bool,
    /// The gain allowed if it were not muted; it follows the knob down at once and up slowly while sound runs.
    allowed: Gain,
    /// When `allowed` was last brought forward.
    at: Instant,
    sounding: bool,
    /// When sound ended, until it is so long ago that nobody compares.
    hushed: Option<Instant>,
}

/// A limit that comes down.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ceiling {
    from: f64,
    /// Where the knob would stand for what was heard when it began, ReplayGain included.
    heard: f64,
    to: f64,
    since: Instant,
    over: Duration,
}

impl Ceiling {
    fn at(&self, now: Instant) -> f64 {
        self.between(self.from, now)
    }

    /// Returns how far it has come down from there.
    fn between(&self, from: f64, now: Instant) -> f64 {
        let gone = now.saturating_duration_since(self.since);
        if gone >= self.over {
            return self.to;
        }
        from + (self.to - from) * (gone.as_secs_f64() / self.over.as_secs_f64())
    }
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
        let level = f64::from(volume.value());
        let mut knob = Knob {
            fixed,
            max,
            level,
            ceiling: None,
            fade_out: None,
            lift: Gain::UNITY,
            kept_back: Gain::UNITY,
            mute: false,
            allowed: Gain::SILENT,
            at: now,
            sounding: false,
            hushed: None,
        };
        knob.allowed = knob.target();
        knob
    }

    /// Returns whether the amplifier has the knob.
    pub fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Returns the position of the knob, rounded down.
    pub fn volume(&self) -> Volume {
        Volume::new(self.level as u8).unwrap_or(Volume::MAX)
    }

    /// Returns whether it is muted.
    pub fn is_muted(&self) -> bool {
        self.mute
    }

    /// Returns the gain to apply now.
    pub fn gain(&self) -> Gain {
        if self.mute { Gain::SILENT } else { self.allowed }
    }

    /// Returns how much may be added behind the knob without passing the highest it may go to.
    pub fn headroom(&self) -> Gain {
        let most = curve(self.ceiling.map_or(HIGHEST, |ceiling| ceiling.to), self.max);
        Gain(most.0.saturating_sub(curve(self.level, self.max).0).max(0))
    }

    /// Takes the most that is added behind the knob, 0 or more. What passes the highest the knob may go to is held back here,
    /// so that quiet hours and `max_volume` limit the sum of both.
    pub fn carry(&mut self, lift: Gain, sounding: bool, now: Instant) {
        if lift == self.lift || self.fixed {
            return;
        }
        self.forward(sounding, now);
        if lift < self.lift {
            self.kept_back = Gain::UNITY;
        }
        self.lift = lift;
        self.forward(sounding, now);
    }

    /// Turns the knob, as far up as it goes. A fixed one stays.
    pub fn turn(&mut self, volume: Volume, sounding: bool, now: Instant) {
        self.forward(sounding, now);
        if !self.fixed {
            self.level = f64::from(volume.value());
        }
        self.forward(sounding, now);
    }

    /// Sets what 100 means. What was louder comes down at once; what may be louder now rises as slowly as ever.
    pub fn set_max(&mut self, max: Volume, sounding: bool, now: Instant) {
        self.forward(sounding, now);
        self.max = max;
        self.forward(sounding, now);
    }

    /// Mutes or unmutes; the knob stays. What was turned up meanwhile is not heard at once.
    pub fn set_mute(&mut self, mute: bool, sounding: bool, now: Instant) {
        self.forward(sounding, now);
        self.mute = mute && !self.fixed;
    }

    /// Sets how far up the knob goes; a knob above it is pressed down within `over`, along its scale. `None` lifts the
    /// limit, and the knob stays where it is. A fixed one knows no limit.
    pub fn limit(&mut self, to: Option<Volume>, over: Duration, sounding: bool, now: Instant) {
        self.forward(sounding, now);
        let heard =
            place(curve(self.level, self.max).and(self.lift).and(Gain(-self.held_back().0)), self.max);
        self.kept_back = self.held_back();
        let ceiling = |to: Volume| {
            let to = f64::from(to.value());
            Ceiling { from: self.level.max(to), heard: heard.max(to), to, since: now, over }
        };
        self.ceiling = to.filter(|_| !self.fixed).map(ceiling);
        self.forward(sounding, now);
    }

    /// Sets from when to when the sound fades to nothing; `None`: it does not, and what faded comes back slowly.
    pub fn fade_out(&mut self, window: Option<(Instant, Instant)>, sounding: bool, now: Instant) {
        self.forward(sounding, now);
        self.fade_out = window.filter(|_| !self.fixed);
        self.forward(sounding, now);
    }

    /// Brings the gain forward to `now` and returns when to look again, or `None` when nothing moves.
    pub fn forward(&mut self, sounding: bool, now: Instant) -> Option<Instant> {
        let now = now.max(self.at);
        let elapsed = now.saturating_duration_since(self.at);
        self.at = now;
        self.hushed = match (self.sounding, sounding) {
            (_, true) => None,
            (true, false) => Some(now),
            (false, false) => self.hushed.filter(|&since| now.saturating_duration_since(since) < COMPARED),
        };
        self.sounding = sounding;
        if let Some(ceiling) = self.ceiling {
            self.level = self.level.min(ceiling.at(now));
        }
        let target = self.target();
        if !sounding && self.hushed.is_none() {
            self.allowed = target;
        } else if !self.mute && self.allowed < target {
            let rise = elapsed.as_millis().min(60_000) as i32 * RISE_PER_SECOND.0 / 1000;
            self.allowed = Gain(self.allowed.max(FLOOR).0.saturating_add(rise));
        }
        self.allowed = self.allowed.min(target);
        self.look_again(target)
    }

    fn look_again(&self, target: Gain) -> Option<Instant> {
        let rising = (!self.mute && self.allowed < target).then_some(self.at + STEP);
        let pressed = self.ceiling.is_some_and(|ceiling| {
            let comes_down = self.lift > Gain::UNITY && self.at < ceiling.since + ceiling.over;
            self.level > ceiling.to || comes_down
        });
        let fading = self.fade_out.and_then(|(from, to)| {
            let step = self.at.max(from) + FADE_STEP;
            (self.at < to).then_some(step.min(to))
        });
        [rising, pressed.then_some(self.at + FADE_STEP), fading].into_iter().flatten().min()
    }

    fn target(&self) -> Gain {
        if self.fixed {
            return Gain::UNITY;
        }
        let faded = self.fade_out.map_or(Gain::UNITY, |(from, to)| {
            let gone = self.at.saturating_duration_since(from).as_secs_f64();
            let whole = to.saturating_duration_since(from).as_secs_f64().max(f64::MIN_POSITIVE);
            Gain((f64::from(FLOOR.0) * (gone / whole).min(1.0)) as i32)
        });
        curve(self.level, self.max).and(faded).and(Gain(-self.held_back().0))
    }

    /// Returns what the knob gives less because ReplayGain adds to it: what the sum of both would pass the limit by.
    fn held_back(&self) -> Gain {
        if self.lift == Gain::UNITY {
            return Gain::UNITY;
        }
        let most = self.ceiling.map_or(HIGHEST, |ceiling| ceiling.between(ceiling.heard, self.at));
        let sum = curve(self.level, self.max).and(self.lift);
        let over = sum.0.saturating_sub(curve(most, self.max).0);
        Gain(over.clamp(0, self.lift.0)).max(self.kept_back)
    }
}

/// Returns where a knob stands for a gain: the inverse of [`curve`].
fn place(gain: Gain, max: Volume) -> f64 {
    10f64.powf(gain.db() / 60.0) * 10_000.0 / f64::from(max.value().max(1))
}

/// Returns what a position of the knob is in relation to its highest, whatever that is: 0 at 100, -60 dB at 10 and below.
pub fn below_full(volume: Volume) -> Gain {
    curve(f64::from(volume.value()), Volume::MAX).max(FLOOR)
}

/// Returns the position of the knob that comes closest to so much below its highest, never above it; 0 at -60 dB and
/// below.
pub fn at_below_full(gain: Gain) -> Volume {
    let highest = Volume::MAX.value();
    let fits = |value: &u8| Volume::new(*value).is_some_and(|volume| below_full(volume) <= gain);
    let found = (0..=highest).rev().find(fits).filter(|_| gain > FLOOR);
    found.and_then(Volume::new).unwrap_or(Volume::MIN)
}

/// Returns the gain of a knob at `level`, 0.0..=100.0: the cube of the share of `max`, so that equal steps sound alike;
/// 100 of 100 is unity, 50 is -18 dB, 25 is -36 dB, 0 is silence.
fn curve(level: f64, max: Volume) -> Gain {
    let share = level * f64::from(max.value()) / 10_000.0;
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
/// Where a knob without a limit stops, on the scale of faces.
const HIGHEST: f64 = 100.0;
/// How often a rising gain is brought forward: half a decibel a step, smoothed over 20 ms by the motor.
const STEP: Duration = Duration::from_millis(50);
/// How often a fade of a minute is brought forward: a quarter of a decibel a step.
const FADE_STEP: Duration = Duration::from_millis(250);
/// After so long a silence the sound may start at the knob's own gain: a shorter one is still "while sound runs", else
/// pause and play would be a way round.
const COMPARED: Duration = Duration::from_secs(1);

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
        assert_eq!(curve(100.0, max), Gain::UNITY);
        assert_eq!(curve(50.0, max).db().round(), -18.0);
        assert_eq!(curve(0.0, max), Gain::SILENT);
        // max_volume rescales instead of clamping: 100 of 50 is 50 of 100, and 99 is still below it.
        assert_eq!(curve(100.0, volume(50)), curve(50.0, max));
        assert!(curve(99.0, volume(50)) < curve(100.0, volume(50)));
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

    /// Brings the knob forward as the loop does, and returns every gain on the way.
    fn watch(knob: &mut Knob, sounding: bool, mut now: Instant, time: Duration) -> Vec<Gain> {
        let end = now + time;
        let mut gains = Vec::new();
        while let Some(next) = knob.forward(sounding, now).filter(|&next| next <= end) {
            gains.push(knob.gain());
            now = next;
        }
        knob.forward(sounding, end);
        gains.push(knob.gain());
        gains
    }

    #[test]
    fn a_limit_presses_the_knob_down_in_its_time_and_lifting_it_changes_nothing() {
        let now = Instant::now();
        let mut knob = Knob::new(false, Volume::MAX, Volume::new(35), now);
        knob.turn(volume(80), false, now);
        knob.limit(Some(volume(20)), Duration::from_secs(60), true, now);
        assert_eq!(knob.volume(), volume(80));
        let gains = watch(&mut knob, true, now, Duration::from_secs(30));
        assert_eq!(knob.volume(), volume(50));
        assert!(gains.is_sorted_by(|a, b| a >= b), "{gains:?}");
        let steps = gains.windows(2).map(|pair| pair[0].0 - pair[1].0).max();
        assert!(steps < Some(128), "a step of {steps:?}/256 dB is heard");
        let half = now + Duration::from_secs(30);
        let gains = watch(&mut knob, true, half, Duration::from_secs(31));
        assert_eq!(knob.volume(), volume(20));
        assert!(gains.is_sorted_by(|a, b| a >= b));
        let end = now + Duration::from_secs(61);
        assert_eq!(knob.forward(true, end), None);
        knob.turn(volume(100), true, end);
        assert_eq!((knob.volume(), knob.gain()), (volume(20), curve(20.0, Volume::MAX)));
        knob.limit(None, Duration::ZERO, true, end);
        assert_eq!(knob.forward(true, end + Duration::from_secs(5)), None);
        assert_eq!(knob.gain(), curve(20.0, Volume::MAX));
    }

    #[test]
    fn what_fades_out_ends_in_silence_and_comes_back_slowly() {
        let now = Instant::now();
        let mut knob = Knob::new(false, Volume::MAX, Volume::new(30), now);
        let before = knob.gain();
        let (from, to) = (now + Duration::from_secs(60), now + Duration::from_secs(120));
        knob.fade_out(Some((from, to)), true, now);
        knob.forward(true, from);
        assert_eq!(knob.gain(), before);
        watch(&mut knob, true, from, Duration::from_secs(60));
        assert_eq!(knob.gain(), before.and(FLOOR));
        knob.fade_out(None, true, to);
        assert!(knob.gain() <= FLOOR);
        knob.forward(true, to + Duration::from_secs(1));
        assert_eq!(knob.gain(), FLOOR.and(RISE_PER_SECOND));
    }

    #[test]
    fn a_short_silence_is_no_way_round_the_slow_rise() {
        let now = Instant::now();
        let mut knob = Knob::new(false, Volume::MAX, Volume::new(20), now);
        let at = |ms| now + Duration::from_millis(ms);
        let before = knob.gain();
        knob.forward(true, now);
        knob.turn(volume(100), true, at(10));
        knob.forward(false, at(20));
        knob.forward(true, at(30));
        assert!(knob.gain().0 - before.0 < 128, "{before:?} to {:?}", knob.gain());
        // Nobody compares with what was heard a second ago.
        knob.forward(false, at(40));
        knob.forward(false, at(1040));
        assert_eq!(knob.gain(), Gain::UNITY);
    }

    #[test]
    fn what_is_turned_up_while_muted_is_heard_slowly() {
        let now = Instant::now();
        let mut knob = Knob::new(false, Volume::MAX, Volume::new(30), now);
        knob.forward(true, now);
        let before = knob.gain();
        knob.set_mute(true, true, now);
        knob.turn(volume(100), true, now);
        let later = now + Duration::from_secs(5);
        assert_eq!(knob.forward(true, later), None);
        knob.set_mute(false, true, later);
        assert_eq!(knob.gain(), before);
        knob.forward(true, later + Duration::from_secs(1));
        assert_eq!(knob.gain(), before.and(RISE_PER_SECOND));
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
