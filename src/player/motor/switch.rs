//! Another output: the old one fades and is heard to its end, then the sound goes on at the same place on the new one.

use std::time::{Duration, Instant};

use crate::player::gain::Swing;
use crate::player::motor::volume::Volume;
use crate::player::motor::{FADE_HEARD, Motor};
use crate::player::{Knob, Replaced};
use crate::signal::Device;

/// An output that is on its way in, and when its turn comes.
pub(super) struct Switch {
    to: Replaced,
    at: Instant,
}

impl Motor {
    /// Takes another output, at once where nothing sounds or nothing is faded.
    pub(super) fn switch_to(&mut self, to: Replaced, now: Instant) {
        let fades = self.phase.wants_sound() && self.knob == Knob::Box;
        let mut at = now;
        if let Some(device) = self.device.as_ref().filter(|_| fades) {
            device.shared().run(Swing::Close);
            at = now + FADE_HEARD;
        }
        self.switch = Some(Switch { to, at });
        self.switch_due(now);
    }

    /// Goes over once the old output has faded.
    pub(super) fn switch_due(&mut self, now: Instant) {
        if self.switch.as_ref().is_some_and(|switch| switch.at <= now) {
            self.switch_now(now);
            if self.phase.wants_sound() {
                self.begin(now);
            }
        }
    }

    /// Goes over without waiting: what starts now starts on the new output.
    pub(super) fn switch_now(&mut self, now: Instant) {
        let Some(Switch { to, .. }) = self.switch.take() else { return };
        self.put_by(now);
        self.close(now);
        self.volume.leave();
        (self.wanted, self.output) = (to.device, to.output);
        self.recovery.reset();
        if !self.phase.wants_sound() {
            let (name, silent) = (self.wanted.clone(), self.wanted == crate::player::silent::NAME);
            let underruns = self.underruns();
            self.tell_device(Device { name, silent, open: false, trouble: None, underruns, mixer: None });
        }
    }

    /// Gives the knob to somebody else. Whoever wants that has ended the sound before.
    pub(super) fn hand_over_knob(&mut self, knob: Knob, now: Instant) {
        if knob == self.knob {
            return;
        }
        self.stop(now);
        self.release(now);
        (self.knob, self.left) = (knob, None);
        self.volume = Volume::new(self.mixer.clone(), knob);
    }

    /// Returns how long until the turn of the new output comes.
    pub(super) fn switch_in(&self, now: Instant) -> Option<Duration> {
        self.switch.as_ref().map(|switch| switch.at.saturating_duration_since(now))
    }
}
