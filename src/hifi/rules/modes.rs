//! How the queue goes on: the next and previous keys, single, consume, stop after this, the end of a round, the sleep
//! timer.

use std::time::{Duration, Instant};

use super::{Effect, Rules};
use crate::hifi::command::{QueueId, Refused, Repeat, Sleep, SleepEnd};
use crate::hifi::shuffle::Ids;
use crate::hifi::state::{Sleeping, Transport};
use crate::units::Millis;

impl Rules {
    pub(super) fn next(&mut self, now: Instant, out: &mut Vec<Effect>) -> Result<(), Refused> {
        let here = self.current.or_else(|| self.queue.first()).ok_or(Refused::EmptyQueue)?;
        let heard = self.transport != Transport::Stopped;
        let leaves = heard && self.modes.consume;
        match self.queue.next_of(here, self.repeat).filter(|&id| !(leaves && id == here)) {
            Some(id) => {
                self.arrive(Some(here), id);
                self.select(id, now, out);
            }
            None => self.stop(now, out),
        }
        if leaves {
            self.consumed(here, now);
        }
        Ok(())
    }

    pub(super) fn previous(&mut self, now: Instant, out: &mut Vec<Effect>) -> Result<(), Refused> {
        let here = self.current.or_else(|| self.queue.first()).ok_or(Refused::EmptyQueue)?;
        let again = self.position.now(now) > HEARD_ENOUGH;
        let id = if again { here } else { self.queue.before(here, self.repeat).unwrap_or(here) };
        self.select(id, now, out);
        Ok(())
    }

    /// Returns what plays by itself when this entry ends.
    pub(super) fn follows(&self, id: QueueId) -> Option<QueueId> {
        if self.ends_here() {
            return None;
        }
        if let Some(next) = self.behind_guest(id) {
            return next;
        }
        if self.modes.single && self.repeat != Repeat::One {
            return None;
        }
        self.behind(id)
    }

    /// Returns whether the box stops at the end of this track, whatever the queue holds.
    pub(super) fn ends_here(&self) -> bool {
        self.modes.stop_after || self.finishing.is_some()
    }

    /// The motor ran dry: nothing was primed, or it came too late to be.
    pub(super) fn finished(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let left = self.current;
        if let Some(next) = left.and_then(|id| self.follows(id)) {
            self.arrive(left, next);
            self.start(next, Millis::ZERO, now, out);
            return self.left(left);
        }
        self.stop(now, out);
        self.modes.stop_after = false;
        if self.has_guest() {
            // It stays where it is.
            return;
        }
        // The next play goes on from here, or starts the queue again.
        match left.and_then(|id| self.behind(id)) {
            Some(next) => {
                self.arrive(left, next);
                self.choose(next, Millis::ZERO, now);
            }
            None => {
                if let Some(first) = self.queue.start_over() {
                    self.choose(first, Millis::ZERO, now);
                }
            }
        }
        if let Some(left) = left.filter(|_| self.modes.consume && self.repeat != Repeat::One) {
            self.consumed(left, now);
        }
    }

    /// Removes an entry that was played, when what is played leaves the queue.
    pub(super) fn left(&mut self, left: Option<QueueId>) {
        let Some(left) = left.filter(|&id| self.modes.consume && self.current != Some(id)) else { return };
        // It may be gone already, by a hand.
        let _gone = self.queue.remove(&Ids::of(&[left]));
    }

    /// Removes an entry that was played; when it is still the current one, the first one is chosen.
    pub(super) fn consumed(&mut self, id: QueueId, now: Instant) {
        let _gone = self.queue.remove(&Ids::of(&[id]));
        if self.current != Some(id) {
            return;
        }
        match self.queue.first() {
            Some(first) => self.choose(first, Millis::ZERO, now),
            None => (self.current, self.duration) = (None, Millis::ZERO),
        }
    }

    /// Shuffles anew only what is not shuffled.
    pub(super) fn set_shuffle(&mut self, on: bool, seed: u64) {
        if on != self.queue.shuffled().is_some() {
            self.queue.shuffle(on, self.queue_place(), seed);
        }
    }

    /// Sets the sleep timer.
    pub(super) fn set_sleep(&mut self, sleep: Option<Sleep>, now: Instant) -> Result<(), Refused> {
        let Some(Sleep { after, end }) = sleep else {
            self.end_sleep(now);
            return Ok(());
        };
        if after > LONGEST_SLEEP {
            return Err(Refused::OutOfRange);
        }
        let at = now + Duration::from(after);
        self.sleep = Some(Sleeping { at, end });
        let fades = (end == SleepEnd::Fade).then(|| (at - FADE.min(after.into()), at));
        self.knob.fade_out(fades, self.sounding(), now);
        Ok(())
    }

    /// Fades the sound out within this time, unless it sleeps sooner.
    pub(super) fn sleep_within(&mut self, time: Duration, now: Instant) {
        let at = now + time;
        if self.sleep.is_none_or(|sleeping| sleeping.at > at) {
            self.sleep = Some(Sleeping { at, end: SleepEnd::Fade });
            self.knob.fade_out(Some((now, at)), self.sounding(), now);
        }
    }

    /// Ends the sleep timer; what it faded comes back.
    pub(super) fn end_sleep(&mut self, now: Instant) {
        self.sleep = None;
        self.knob.fade_out(None, self.sounding(), now);
    }

    /// Time went on: the sleep timer, the knob.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if let Some(sleeping) = self.sleep.take_if(|sleeping| sleeping.at <= now) {
            match sleeping.end {
                SleepEnd::Fade => self.pause(now, out),
                SleepEnd::FinishTrack => self.modes.stop_after |= self.sounding(),
            }
            self.end_sleep(now);
        }
        self.knob.forward(self.sounding(), now);
    }

    /// Brings the knob forward and returns when time matters next, or `None` when nothing moves.
    pub fn forward(&mut self, now: Instant) -> Option<Instant> {
        self.carry(now);
        let knob = self.knob.forward(self.sounding(), now);
        knob.into_iter().chain(self.sleep.map(|sleeping| sleeping.at)).min()
    }

    /// Returns what stands behind an entry in play order, as it repeats; what leaves the queue does not come again.
    fn behind(&self, id: QueueId) -> Option<QueueId> {
        let next = self.queue.after(id, self.repeat);
        next.filter(|&next| next != id || !self.modes.consume || self.repeat == Repeat::One)
    }
}

/// How much of a track must have been heard for the previous key to start it again.
pub(super) const HEARD_ENOUGH: Millis = Millis(3000);
/// How long the sound takes to fade out before the sleep timer ends.
const FADE: Duration = Duration::from_secs(60);
const LONGEST_SLEEP: Millis = Millis(24 * 3_600_000);
