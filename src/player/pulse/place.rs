//! Which frame of a stream is heard: by the last answer of the server, and by the clock since. Pure.

use std::time::{Duration, Instant};

/// Where the sound is that is heard.
#[derive(Debug, Clone)]
pub struct Place {
    rate: u64,
    /// The frame that was heard at `at`; below 0 before the first one.
    frame: i64,
    at: Instant,
    runs: bool,
}

impl Place {
    /// Returns the place of a stream that does not sound yet: `delay` µs before its first frame, at `rate` frames per
    /// second.
    pub fn before(delay: u64, rate: u32, now: Instant) -> Place {
        let rate = u64::from(rate);
        Place { rate, frame: -frames(delay, rate), at: now, runs: false }
    }

    /// Lets it move with the clock from now on.
    pub fn run(&mut self, now: Instant) {
        self.halt(now);
        self.runs = true;
    }

    /// Lets it stand.
    pub fn stand(&mut self, now: Instant) {
        self.halt(now);
        self.runs = false;
    }

    /// Takes an answer: of `written` frames this many wait in the server's buffer, and what is behind it needs `delay` µs.
    pub fn told(&mut self, written: u64, waiting: u64, delay: u64, now: Instant) {
        self.frame = signed(written).saturating_sub(signed(waiting)) - frames(delay, self.rate);
        self.at = now;
    }

    /// Returns how many of `written` frames are not heard yet; at most 2 s of them.
    pub fn ahead(&self, written: u64, now: Instant) -> u64 {
        let longest = signed(self.rate * LONGEST.as_secs());
        signed(written).saturating_sub(self.frame_at(now)).clamp(0, longest).unsigned_abs()
    }

    fn frame_at(&self, now: Instant) -> i64 {
        if !self.runs {
            return self.frame;
        }
        let micros = now.saturating_duration_since(self.at).as_micros() as u64;
        self.frame.saturating_add(signed(micros.saturating_mul(self.rate) / 1_000_000))
    }

    fn halt(&mut self, now: Instant) {
        (self.frame, self.at) = (self.frame_at(now), now);
    }
}

fn frames(micros: u64, rate: u64) -> i64 {
    signed(micros.min(LONGEST.as_micros() as u64) * rate / 1_000_000)
}

fn signed(frames: u64) -> i64 {
    i64::try_from(frames).unwrap_or(i64::MAX)
}

/// What a server says beyond this is not believed.
const LONGEST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_shrinks_with_the_clock_while_the_sound_runs() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut place = Place::before(10_000, 1_000, start);
        // 10 ms of a device behind the buffer.
        assert_eq!(place.ahead(66, at(500)), 76);
        place.run(at(500));
        assert_eq!(place.ahead(66, at(530)), 46);
        place.stand(at(540));
        assert_eq!(place.ahead(66, at(900)), 36);
        place.told(66, 20, 5_000, at(1_000));
        assert_eq!(place.ahead(99, at(1_000)), 58);
        place.run(at(1_000));
        assert_eq!(place.ahead(99, at(1_040)), 18);
        assert_eq!(place.ahead(99, at(9_000)), 0);
    }

    #[test]
    fn what_no_server_can_mean_is_bounded() {
        let now = Instant::now();
        let mut place = Place::before(u64::MAX, 48_000, now);
        assert_eq!(place.ahead(0, now), 96_000);
        place.told(u64::MAX, u64::MAX, u64::MAX, now);
        assert!(place.ahead(u64::MAX, now) <= 96_000);
    }
}
