//! What the callback multiplies by: the gain with its ramps, and the gate that opens and closes at starts and stops.
//! Pure arithmetic, no allocation; runs in the sound callback. Settled at unity, samples pass untouched.

use std::time::Duration;

/// The gain: falls within 20 ms, rises by at most 10 dB in a second, comes back from silence within 20 ms to what
/// was heard last.
#[derive(Debug, Clone)]
pub struct Ramp {
    current: f64,
    target: f64,
    /// The loudest the 20 ms ramp from silence may reach: what was last heard, or anything before the first sound.
    allowed: f64,
    step: f64,
    fade: f64,
    rise: f64,
}

impl Ramp {
    /// Returns a ramp that stands at `factor`, for `rate` frames per second.
    pub fn new(factor: f64, rate: u32) -> Ramp {
        let rate = f64::from(rate.max(1));
        Ramp {
            current: factor,
            target: factor,
            allowed: f64::INFINITY,
            step: 0.0,
            fade: rate * FADE_SECONDS,
            rise: 10f64.powf(RISE_DB_PER_SECOND / 20.0 / rate),
        }
    }

    /// Returns a ramp towards `factor` for a stream that takes over from another one, which may come back at `level` at
    /// once and no louder.
    pub fn after(level: f64, factor: f64, rate: u32) -> Ramp {
        Ramp { current: factor.min(level), allowed: level, ..Ramp::new(factor, rate) }
    }

    /// Returns what the sound may come back at within 20 ms: what is heard, or was last.
    pub fn level(&self) -> f64 {
        if self.is_passing() { self.allowed } else { self.current }
    }

    /// Returns whether it is silent, or for 20 ms on its way to silence or back from it: what was heard before counts.
    fn is_passing(&self) -> bool {
        self.target == 0.0 || self.current < self.target.min(self.allowed)
    }

    /// Sets what to reach.
    pub fn aim(&mut self, target: f64) {
        if target == self.target {
            return;
        }
        self.allowed = self.level();
        self.target = target;
        self.step = if target < self.current {
            (self.current - target) / self.fade
        } else {
            target.min(self.allowed) / self.fade
        };
    }

    /// Goes to the target at once: nothing has sounded for a while.
    pub fn jump(&mut self) {
        self.current = self.target;
    }

    /// Lets frames of silence pass: it falls at once, and rises as it does while sound runs.
    pub fn rest(&mut self, frames: usize) {
        if self.target <= self.current {
            self.current = self.target;
        } else if self.current > 0.0 {
            self.current = (self.current * self.rise.powf(frames as f64)).min(self.target);
            self.allowed = self.current;
        }
    }

    /// Returns the factor now.
    pub fn factor(&self) -> f64 {
        self.current
    }

    /// Returns whether the factor stays as it is.
    pub fn settled(&self) -> bool {
        self.current == self.target
    }

    /// Moves on by one frame.
    pub fn advance(&mut self) {
        if self.current > self.target {
            self.current = (self.current - self.step).max(self.target);
        } else if self.current < self.target {
            let soft = self.target.min(self.allowed);
            self.current = if self.current < soft {
                (self.current + self.step.max(soft / self.fade)).min(soft)
            } else {
                self.allowed = f64::max(self.current * self.rise, f64::MIN_POSITIVE);
                self.allowed.min(self.target)
            };
        }
    }
}

/// Returns the nearest whole number, of two the even one. For what is within 2^51; what is far beyond stays far beyond.
///
/// Two additions, where `f64::round` is a call of the C library for each sample on x86-64 without SSE4.1.
pub fn nearest(value: f64) -> f64 {
    // Beyond 2^52 a double has no bits for fractions.
    (value + WHOLE) - WHOLE
}

/// Returns the nearest word of 32 bits, of two the even one; what is no number is silence.
///
/// The bits of a sum, where a cast that saturates is a jump for each sample on x86-64.
pub fn word_of(value: f64) -> i32 {
    let value = if value.is_nan() { 0.0 } else { value };
    let value = value.clamp(i32::MIN.into(), i32::MAX.into());
    // The lower half of a double that is counted in ones.
    (value + WHOLE).to_bits() as i32
}

/// Opens within 20 ms and closes within 5 ms, or at once.
#[derive(Debug, Clone)]
pub struct Gate {
    level: f64,
    up: f64,
    down: f64,
}

impl Gate {
    /// Returns a closed gate that fades.
    pub fn fading(rate: u32) -> Gate {
        let rate = f64::from(rate.max(1));
        Gate { level: 0.0, up: 1.0 / (rate * FADE_SECONDS), down: 1.0 / (rate * CUT_SECONDS) }
    }

    /// Returns a closed gate that opens and closes between two frames.
    pub fn hard() -> Gate {
        Gate { level: 0.0, up: 1.0, down: 1.0 }
    }

    /// Returns whether nothing passes.
    pub fn closed(&self) -> bool {
        self.level == 0.0
    }

    /// Returns whether everything passes.
    pub fn open(&self) -> bool {
        self.level == 1.0
    }

    /// Closes between two frames: there is nothing to fade.
    pub fn shut(&mut self) {
        self.level = 0.0;
    }

    /// Moves on by one frame towards open or closed, and returns the factor of that frame.
    pub fn advance(&mut self, to: Swing) -> f64 {
        self.level = match to {
            Swing::Open => (self.level + self.up).min(1.0),
            Swing::Close => (self.level - self.down).max(0.0),
        };
        self.level
    }
}

/// Which way a gate moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swing {
    /// Sound runs.
    Open,
    /// Sound ends.
    Close,
}

const FADE_SECONDS: f64 = 0.020;
const CUT_SECONDS: f64 = 0.005;
const RISE_DB_PER_SECOND: f64 = 10.0;

/// Returns what a level may have become after so much time without sound; everything after a second.
pub fn lifted(level: f64, silence: Duration) -> f64 {
    let seconds = silence.as_secs_f64();
    if seconds >= 1.0 { f64::INFINITY } else { level * 10f64.powf(RISE_DB_PER_SECOND / 20.0 * seconds) }
}

/// 1.5 times 2^52.
const WHOLE: f64 = 6_755_399_441_055_744.0;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: u32 = 48_000;

    fn frames_until_settled(ramp: &mut Ramp) -> u32 {
        let mut frames = 0;
        while !ramp.settled() && frames < RATE * 100 {
            ramp.advance();
            frames += 1;
        }
        frames
    }

    #[test]
    fn it_falls_within_20_ms() {
        let mut ramp = Ramp::new(1.0, RATE);
        ramp.aim(0.1);
        assert!(frames_until_settled(&mut ramp).abs_diff(960) <= 1);
    }

    #[test]
    fn twenty_decibels_up_take_two_seconds() {
        let mut ramp = Ramp::new(0.1, RATE);
        ramp.aim(1.0);
        assert!(frames_until_settled(&mut ramp).abs_diff(2 * RATE) <= 2);
        assert_eq!(ramp.factor(), 1.0);
    }

    #[test]
    fn a_moment_of_silence_lifts_no_further_than_sound_would() {
        let mut ramp = Ramp::new(0.01, RATE);
        ramp.aim(1.0);
        ramp.rest(RATE as usize / 10);
        assert!((20.0 * (ramp.factor() / 0.01).log10() - 1.0).abs() < 0.01, "1 dB in 100 ms");
        ramp.aim(0.001);
        ramp.rest(1);
        assert_eq!(ramp.factor(), 0.001);
    }

    #[test]
    fn a_new_stream_goes_on_where_the_old_one_was() {
        let level = lifted(0.01, Duration::from_millis(100));
        let mut ramp = Ramp::after(level, 1.0, RATE);
        assert!((20.0 * (ramp.factor() / 0.01).log10() - 1.0).abs() < 0.01);
        assert!(frames_until_settled(&mut ramp) > RATE * 38 / 10);
        assert_eq!(Ramp::after(lifted(0.01, Duration::from_secs(1)), 1.0, RATE).factor(), 1.0);
        let mut muted = Ramp::after(0.1, 0.0, RATE);
        assert_eq!((muted.factor(), muted.level()), (0.0, 0.1));
        muted.aim(1.0);
        assert!(frames_until_settled(&mut muted) > RATE * 19 / 10);
    }

    #[test]
    fn unmute_takes_20_ms_to_what_was_heard_and_no_more() {
        let mut ramp = Ramp::new(0.1, RATE);
        ramp.aim(0.0);
        frames_until_settled(&mut ramp);
        ramp.aim(0.1);
        assert!(frames_until_settled(&mut ramp).abs_diff(960) <= 1);
        ramp.aim(0.0);
        frames_until_settled(&mut ramp);
        ramp.aim(1.0);
        assert!(frames_until_settled(&mut ramp) > RATE * 19 / 10);
    }

    #[test]
    fn unmute_in_the_middle_of_a_mute_gives_back_what_was_heard() {
        for frames in [1, 441, 959, 960, 961] {
            let mut ramp = Ramp::new(0.1, RATE);
            for target in [0.0, 0.1, 0.0] {
                ramp.aim(target);
                (0..frames).for_each(|_| ramp.advance());
            }
            ramp.aim(0.1);
            assert!(frames_until_settled(&mut ramp) <= 961, "after {frames} frames");
            assert_eq!(ramp.level(), 0.1);
        }
    }

    proptest! {
        #[test]
        fn it_always_arrives_and_never_overshoots(aims in proptest::collection::vec(0.0f64..=1.0, 1..8)) {
            let mut ramp = Ramp::new(0.5, 1000);
            for aim in aims {
                let before = ramp.factor();
                ramp.aim(aim);
                for _ in 0..1000 {
                    ramp.advance();
                    prop_assert!(ramp.factor() <= before.max(aim) + 1e-12);
                    prop_assert!(ramp.factor() >= before.min(aim) - 1e-12);
                }
            }
        }
    }

    #[test]
    fn a_hard_gate_has_no_fade() {
        let mut gate = Gate::hard();
        assert_eq!(gate.advance(Swing::Open), 1.0);
        assert_eq!(gate.advance(Swing::Close), 0.0);
    }

    #[test]
    fn the_nearest_number_is_what_the_library_says() {
        let mut value = -2_147_483_648.0f64;
        while value < 2_147_483_648.0 {
            for near in [value, value.floor() + 0.5, value.floor() + 0.499_999_9] {
                assert_eq!(nearest(near), near.round_ties_even(), "{near}");
            }
            value += 10_000_019.7;
        }
        assert_eq!(nearest(1e300) as i32, i32::MAX);
        assert_eq!(nearest(f64::NEG_INFINITY) as i32, i32::MIN);
        assert_eq!(nearest(f64::NAN) as i32, 0);
    }

    #[test]
    fn a_word_is_what_a_cast_of_the_nearest_number_gives() {
        let ends = [-2_147_483_649.0f64, -2_147_483_648.5, -1.5, -0.5, 0.5, 1.5, 2.5, 2_147_483_647.4];
        let far =
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, f64::MIN_POSITIVE, 2_147_483_647.6];
        for value in ends.into_iter().chain(far) {
            assert_eq!(word_of(value), nearest(value) as i32, "{value:e}");
        }
    }

    proptest! {
        #[test]
        fn any_word_is_what_a_cast_gives(bits in any::<u64>(), value in -2_147_483_650.0f64..2_147_483_650.0) {
            for value in [value, f64::from_bits(bits), value.trunc() + 0.5] {
                prop_assert_eq!(word_of(value), nearest(value) as i32);
            }
        }
    }
}
