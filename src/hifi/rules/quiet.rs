//! Quiet hours as everything that is heard obeys them: the limit of the knob, what sounds on to its end, what may start.

use std::time::{Duration, Instant};

use super::{Effect, Rules};
use crate::hifi::command::{QuietMode, Refused};
use crate::hifi::quiet::{Clock, Quiet, QuietAction};
use crate::hifi::state::QuietCause;
use crate::offer::Right;
use crate::units::{Millis, UnixTime, Volume};
use crate::words::Words;

impl Rules {
    /// Returns quiet hours, for saving.
    pub fn quiet(&self) -> &Quiet {
        &self.quiet
    }

    /// Takes what is known of the time.
    pub(super) fn tell_clock(&mut self, clock: Clock, now: Instant, wall: UnixTime) {
        self.quiet.tell(clock);
        if clock != Clock::Unknown {
            self.known = Some(wall);
        }
        if self.quiet.because() == Some(QuietCause::Clock) && !self.clock_told {
            self.clock_told = true;
            self.notice(Words::new("clock_unknown", &[]), Right::Room, wall);
        }
        let before = self.finishing;
        self.keep_quiet(now);
        if before.is_none() && self.finishing.is_some() {
            self.notice(Words::new("last_track", &[]), Right::Room, wall);
        }
    }

    /// Returns the last time that could be trusted, for saving.
    pub fn known(&self) -> Option<UnixTime> {
        self.known
    }

    /// Sets the knob, as far as it goes at this hour; above nothing it is heard again (reference upnp 7.4, "mute").
    pub(super) fn set_volume(&mut self, volume: Volume, now: Instant) -> Result<(), Refused> {
        self.turn(volume, now)?;
        if volume > Volume::MIN {
            self.hear_again(now);
        }
        Ok(())
    }

    /// Turns the knob by steps, as far as it goes at this hour; up, it is heard again. Down, a muted box stays muted.
    pub(super) fn move_volume(&mut self, steps: i16, now: Instant) -> Result<(), Refused> {
        self.turn(self.knob.volume().moved(steps), now)?;
        if steps > 0 {
            self.hear_again(now);
        }
        Ok(())
    }

    fn turn(&mut self, volume: Volume, now: Instant) -> Result<(), Refused> {
        if self.knob.is_fixed() {
            return Err(Refused::FixedVolume);
        }
        self.knob.turn(volume, self.sounding(), now);
        Ok(())
    }

    /// Ends a mute for whoever turns the knob up. It begins with what was heard before, and rises as slowly as ever.
    fn hear_again(&mut self, now: Instant) {
        if self.knob.is_muted() {
            self.knob.set_mute(false, self.sounding(), now);
        }
    }

    /// Takes what somebody chooses.
    pub(super) fn set_quiet(&mut self, mode: QuietMode, now: Instant) {
        self.quiet.choose(mode);
        self.keep_quiet(now);
    }

    /// Begins and ends what quiet hours ask for. At their end the knob stays where it is.
    pub(super) fn keep_quiet(&mut self, now: Instant) {
        let is = self.quiet.because().is_some();
        if is == std::mem::replace(&mut self.was_quiet, is) {
            return;
        }
        let sounding = self.sounding();
        if !is {
            self.finishing = None;
            return self.knob.limit(None, Duration::ZERO, sounding, now);
        }
        let config = self.quiet.config();
        let stops = sounding && (config.action == QuietAction::Stop || self.knob.is_fixed());
        // What has no end cannot be finished.
        if stops && self.duration > Millis::ZERO {
            self.finishing = self.loaded;
            let meanwhile = self.knob.volume().max(config.limit);
            return self.knob.limit(Some(meanwhile), Duration::ZERO, sounding, now);
        }
        if stops {
            self.sleep_within(FADE, now);
        }
        let over = if sounding { FADE } else { Duration::ZERO };
        self.knob.limit(Some(config.limit), over, sounding, now);
    }

    /// Returns whether what a command does may be heard now.
    ///
    /// # Errors
    /// `QuietHours` when it starts sound that the knob here cannot hold down.
    pub(super) fn allow(&self, effects: &[Effect]) -> Result<(), Refused> {
        let silent = self.was_quiet && self.knob.is_fixed();
        if silent && effects.iter().any(starts) {
            return Err(Refused::QuietHours);
        }
        Ok(())
    }

    /// Ends what was let play on, and stops what started by itself though nothing may sound.
    pub(super) fn hush(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.end_finishing(now);
        if self.was_quiet && self.knob.is_fixed() && self.finishing.is_none() && self.sounding() {
            self.stop(now, out);
        }
    }

    /// What was let play to its end has ended, or something else was chosen: from here on the limit holds.
    fn end_finishing(&mut self, now: Instant) {
        if self.finishing.is_some() && (self.finishing != self.loaded || !self.sounding()) {
            self.finishing = None;
            self.knob.limit(Some(self.quiet.config().limit), Duration::ZERO, self.sounding(), now);
        }
    }
}

/// Returns whether something is heard by that.
fn starts(effect: &Effect) -> bool {
    matches!(effect, Effect::Load { .. } | Effect::Resume | Effect::TestSound(_))
}

/// How long the sound takes to come down to the limit.
const FADE: Duration = Duration::from_secs(60);
