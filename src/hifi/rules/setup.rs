//! What the owner sets while the box runs, and the sound by which an output is tried.

use std::time::Instant;

use super::{Effect, Rules};
use crate::hifi::HifiConfig;
use crate::hifi::command::Refused;
use crate::hifi::state::{Position, Transport};
use crate::hifi::volume::Knob;
use crate::offer::Right;
use crate::player;
use crate::signal::{GainMode, PlaySerial};
use crate::units::UnixTime;
use crate::words::Words;

impl Rules {
    /// Takes other settings. Nothing gets louder at once by them.
    pub(super) fn adjust(&mut self, config: &HifiConfig, now: Instant, out: &mut Vec<Effect>) {
        self.levels_by(if config.fixed_volume { GainMode::Off } else { config.gains });
        let other_hours = self.quiet.config() != config.quiet;
        let was = self.quiet.because().is_some();
        if other_hours {
            self.quiet.set_config(config.quiet);
        }
        let is = self.quiet.because().is_some();
        if config.fixed_volume != self.knob.is_fixed() {
            self.hand_over_knob(config, now, out);
            // A new knob knows no limit yet.
            self.was_quiet = false;
            self.keep_quiet(now);
        } else {
            let sounding = self.sounding();
            self.knob.set_max(config.max_volume, sounding, now);
            if other_hours && (was || is) {
                // Another limit, or another way to keep it.
                self.was_quiet = !is;
                self.keep_quiet(now);
            }
        }
    }

    /// The amplifier has the knob from now on, or has it no more: what sounds is paused where it is, for the motor cannot go on
    /// with it. Without a word of anybody about the volume konpo's knob stands where it stands at the first start.
    fn hand_over_knob(&mut self, config: &HifiConfig, now: Instant, out: &mut Vec<Effect>) {
        if self.sounding() {
            self.transport = Transport::Paused;
            self.position = Position { anchor: self.position.now(now), at: now, running: false };
        }
        self.unload();
        out.extend([Effect::Stop, Effect::Release]);
        let fixed = config.fixed_volume;
        out.push(Effect::Knob(if fixed { player::Knob::Fixed } else { player::Knob::Box }));
        self.knob = Knob::new(fixed, config.max_volume, None, now);
    }

    /// Plays the test sound in place of what waits in the motor.
    pub(super) fn test_sound(&mut self, now: Instant, out: &mut Vec<Effect>) -> Result<(), Refused> {
        if self.sounding() || self.yielded.is_some() {
            return Err(Refused::Busy);
        }
        self.unload();
        self.knob.forward(false, now);
        self.serial = PlaySerial(self.serial.0 + 1);
        self.testing = Some(self.serial);
        out.push(Effect::TestSound(self.serial));
        Ok(())
    }

    /// Says that the output does not sound.
    pub(super) fn test_failed(&mut self, why: &str, wall: UnixTime) {
        self.testing = None;
        self.notice(Words::new("test_failed", &[why]), Right::Room, wall);
    }

    /// Forgets what the motor holds: the next play loads it anew, at its place.
    fn unload(&mut self) {
        (self.loaded, self.primed, self.over, self.sought) = (None, None, false, None);
        self.retired.clear();
        self.primed_broken = false;
        (self.format, self.signal) = (None, None);
    }
}
