//! What happens to the box without anybody's command: the motor's events, the device, what breaks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::landed::Song;
use super::modes::HEARD_ENOUGH;
use super::opened::Opened;
use super::{Effect, Event, Fault, Rules};
use crate::hifi::command::{Playable, QueueId, Repeat};
use crate::hifi::state::{Position, Transport};
use crate::offer::Right;
use crate::signal::{Device, PlaySerial};
use crate::units::{Millis, UnixTime};

impl Rules {
    pub(super) fn take(&mut self, event: Event, now: Instant, wall: UnixTime, out: &mut Vec<Effect>) {
        match event {
            Event::Opened { serial, duration, seekable, signal } => {
                self.opened(Opened { serial, duration, seekable, signal });
            }
            Event::Started { serial, at } => self.started(serial, at, out),
            Event::At { serial, position } if self.loaded == Some(serial) && self.is_past(position, now) => {}
            Event::At { serial, position } if self.loaded == Some(serial) => {
                // A late report of a running clock must not undo a pause that was answered already. A clock that
                // stands still while it should run waits for the device.
                if !position.running || self.transport == Transport::Playing {
                    self.position = position;
                }
                if position.running && position.anchor > HEARD_ENOUGH {
                    self.broken = 0;
                }
            }
            // What is primed starts by itself, and says so.
            Event::Finished(serial) if self.loaded == Some(serial) => {
                self.broken = 0;
                if self.primed.is_none() || self.primed_broken {
                    self.finished(now, out);
                } else {
                    self.over = true;
                    // Its end was heard. A pause that falls between the two shows that.
                    if self.duration > Millis::ZERO {
                        self.position = Position { anchor: self.duration, at: now, running: false };
                    }
                }
            }
            Event::Failed { serial, why, .. } if self.testing == Some(serial) => self.test_failed(&why, wall),
            Event::Failed { serial, why, fault: Fault::Entry } => self.failed(serial, &why, now, wall, out),
            Event::Failed { serial, why, fault: Fault::Shelf } => self.away(serial, &why, now, wall, out),
            Event::Device(device) => {
                if let Some(trouble) =
                    device.trouble.clone().filter(|t| self.device.trouble.as_ref() != Some(t))
                {
                    self.notice(trouble, Right::Room, wall);
                }
                self.device = Arc::new(device);
            }
            Event::Released => {
                // How the track is coded stays true; the motor tells the way of the signal when it opens a device again.
                self.signal = None;
                let device = Device { open: false, ..Device::clone(&self.device) };
                self.device = Arc::new(device);
            }
            Event::Shelf { rev, tracks } => self.shelf(rev, &tracks),
            Event::OnAir { serial, on_air } => self.hear(serial, on_air),
            Event::Tags { serial, tags, picture } => self.tell_tags(serial, &tags, picture),
            Event::Offers(count) => self.offers = count,
            Event::Landed { beam, index, track, from, wish } => {
                self.land(Song { beam, index, track, from, wish }, now, wall, out);
            }
            Event::TakenBack(tracks) => self.take_back(&tracks, now, out),
            Event::Notice(words, right) => self.notice(words, right, wall),
            Event::Clock(clock) => self.tell_clock(clock, now, wall),
            Event::Tick => self.tick(now, out),
            // Answers about a start that is no longer wanted.
            Event::At { .. } | Event::Finished(_) => {}
        }
    }

    /// Returns whether the motor said so before it heard where somebody moved to.
    fn is_past(&mut self, position: Position, now: Instant) -> bool {
        let Some((to, at)) = self.sought else { return false };
        let gone = now.saturating_duration_since(at);
        let near = position.anchor.0.abs_diff(to.0) <= Millis::from(gone).0.saturating_add(NEAR.0);
        if near || gone > HEARD_WITHIN {
            self.sought = None;
            return false;
        }
        true
    }

    fn started(&mut self, serial: PlaySerial, at: Instant, out: &mut Vec<Effect>) {
        if let Some((primed, id)) = self.primed.filter(|(primed, _)| *primed == serial) {
            let left = self.current;
            self.loaded = Some(primed);
            // A move to behind the end of the last track says nothing of this one.
            (self.primed, self.sought) = (None, None);
            self.arrive(left, id);
            self.choose(id, Millis::ZERO, at);
            self.left(left);
            // The motor went on by itself; only a pause that overtook it holds.
            if self.transport != Transport::Paused {
                self.transport = Transport::Opening;
            }
        }
        let retired = self.retired.iter().find(|(retired, _)| *retired == serial).copied();
        // The motor plays in the order in which it was told.
        self.retired.retain(|(retired, _)| *retired > serial);
        if let Some((_, id)) = retired {
            self.overtaken(serial, id, at, out);
        }
        if self.loaded != Some(serial) {
            return;
        }
        self.know(serial);
        self.over = false;
        self.starts += 1;
        if self.transport == Transport::Opening {
            self.transport = Transport::Playing;
        }
        let running = self.transport == Transport::Playing;
        self.position = Position { at, running, ..self.position };
        if let Some(Playable::Shelf(track)) =
            self.current.and_then(|id| self.entry(id)).map(|e| e.what.clone())
        {
            out.push(Effect::Played(track));
        }
    }

    /// The motor went on with what the queue no longer has next: it stays when it is in the queue, else the queue wins.
    fn overtaken(&mut self, serial: PlaySerial, id: QueueId, at: Instant, out: &mut Vec<Effect>) {
        let left = self.current;
        if self.entry(id).is_some() {
            // What the motor holds behind it stays primed, or is taken back.
            self.loaded = Some(serial);
            self.arrive(left, id);
            self.choose(id, Millis::ZERO, at);
            self.left(left);
            if self.transport != Transport::Paused {
                self.transport = Transport::Opening;
            }
            return;
        }
        match left.and_then(|id| self.follows(id)) {
            Some(next) => {
                self.arrive(left, next);
                self.start(next, Millis::ZERO, at, out);
            }
            None => self.stop(at, out),
        }
    }

    fn failed(&mut self, serial: PlaySerial, why: &str, now: Instant, wall: UnixTime, out: &mut Vec<Effect>) {
        let primed = self.primed.filter(|(primed, _)| *primed == serial);
        let Some(id) = primed.map(|(_, id)| id).or(self.current.filter(|_| self.loaded == Some(serial)))
        else {
            return;
        };
        self.complain(id, why, wall);
        if primed.is_some() && !self.over {
            // It is skipped when its turn comes; the one that sounds goes on.
            self.primed_broken = true;
            return;
        }
        if self.ends_here() {
            self.finished(now, out);
            self.failed = Some(id);
            return;
        }
        self.broken += 1;
        let others = if self.is_guest(id) { 2 } else { self.queue.view().entries.len() };
        let enough = self.broken >= others.min(MOST_BROKEN);
        if primed.is_none() && self.primed.is_some() && !self.primed_broken && !enough {
            // The motor goes on with it by itself.
            self.over = true;
            return;
        }
        let past = if self.repeat == Repeat::One { Repeat::All } else { self.repeat };
        let next = self.behind_guest(id).unwrap_or_else(|| self.queue.after(id, past));
        match next.filter(|_| !enough) {
            Some(next) => {
                self.arrive(Some(id), next);
                self.start(next, Millis::ZERO, now, out);
            }
            None => {
                self.broken = 0;
                self.stop(now, out);
                self.failed = Some(id);
            }
        }
    }

    /// The whole shelf is away: no entry is better than this one, so the box waits where it is.
    fn away(&mut self, serial: PlaySerial, why: &str, now: Instant, wall: UnixTime, out: &mut Vec<Effect>) {
        let primed = self.primed.is_some_and(|(primed, _)| primed == serial);
        if primed && !self.over {
            self.primed_broken = true;
        } else if primed || self.loaded == Some(serial) {
            self.notice(why.to_owned(), Right::Room, wall);
            let anchor = self.position.now(now);
            self.stop(now, out);
            self.transport = Transport::Paused;
            self.position = Position { anchor, at: now, running: false };
        }
    }
}

/// How many entries in a row may break before the box stops looking for one that plays.
const MOST_BROKEN: usize = 50;
/// How far from where somebody moved to the motor may land.
const NEAR: Millis = Millis(250);
/// Within this time the motor has heard of a move; what it says later counts.
const HEARD_WITHIN: Duration = Duration::from_secs(1);
