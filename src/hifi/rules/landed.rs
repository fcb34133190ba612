//! Where a song goes that somebody sent (product.md, "When a song lands"): it plays when nothing does, else it waits behind
//! the track that plays. What comes together stays together, in its order. Nothing is ever interrupted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Effect, Rules, shelf_entry};
use crate::hifi::command::{At, Command, Playable, QueueId};
use crate::hifi::shuffle::Ids;
use crate::hifi::state::Transport;
use crate::offer::Right;
use crate::offer::push::{BeamId, OnArrival};
use crate::track::{Track, TrackId};
use crate::units::{Millis, UnixTime};
use crate::words::Words;

/// A song that came.
#[derive(Debug, Clone)]
pub struct Song {
    /// With what it came.
    pub beam: BeamId,
    /// Its place there.
    pub index: u32,
    /// The song.
    pub track: Arc<Track>,
    /// What its sender calls itself.
    pub from: Arc<str>,
    /// What is to happen.
    pub wish: OnArrival,
}

/// What of one beam is in the queue.
#[derive(Debug, Clone)]
pub struct Landing {
    beam: BeamId,
    /// Places in the beam with their entries.
    placed: Vec<(u32, QueueId)>,
    /// The box rested when it began: all of it stays on the shelf.
    kept: bool,
    /// Somebody ended the sound since: nothing of it starts by itself any more.
    ended_by_hand: bool,
}

impl Rules {
    /// Takes a song that came.
    pub(super) fn land(&mut self, song: Song, now: Instant, wall: UnixTime, out: &mut Vec<Effect>) {
        if song.wish == OnArrival::Keep || song.track.playable().is_none() {
            return;
        }
        let at = self.landing(&song, wall);
        if self.landings[at].kept || self.rests().is_some() {
            return;
        }
        let idle = self.is_idle(now);
        // What is stopped was left behind: it does not go on by itself behind what was sent.
        let stopped = self.transport == Transport::Stopped;
        let anchor = if stopped { self.queue.last() } else { self.anchor(at, song.index) };
        let Ok(ids) = self.queue.add(vec![shelf_entry(&song.track)], At::Next, anchor) else {
            return self.notice(Words::new("queue_full", &[&song.from]), Right::Room, wall);
        };
        let Some(&id) = ids.first() else { return };
        let landing = &mut self.landings[at];
        landing.placed.push((song.index, id));
        if idle && song.wish == OnArrival::PlayIfIdle && !landing.ended_by_hand {
            self.arrive(self.current, id);
            self.start(id, Millis::ZERO, now, out);
        }
    }

    /// Takes songs out of the queue whose sending was taken back.
    pub(super) fn take_back(&mut self, tracks: &[TrackId], now: Instant, out: &mut Vec<Effect>) {
        let gone = |what: &Playable| matches!(what, Playable::Shelf(id) if tracks.contains(id));
        let entries = self.queue.view().entries.iter();
        let ids: Vec<QueueId> = entries.filter(|entry| gone(&entry.what)).map(|entry| entry.id).collect();
        if !ids.is_empty() {
            // All of them are there: they were just read from the queue.
            let _removed = self.remove(&ids, now, out);
        }
    }

    /// Notes that somebody ended the sound.
    pub(super) fn note_hand(&mut self, command: &Command) {
        let ends = matches!(
            command,
            Command::Stop
                | Command::Pause
                | Command::Toggle
                | Command::Standby
                | Command::Clear
                | Command::Yield
        );
        if ends {
            self.landings.iter_mut().for_each(|landing| landing.ended_by_hand = true);
        }
    }

    /// Returns the place of the beam among the landings; a new one is told of when it is kept.
    fn landing(&mut self, song: &Song, wall: UnixTime) -> usize {
        if let Some(at) = self.landings.iter().position(|landing| landing.beam == song.beam) {
            return at;
        }
        if self.landings.len() >= MOST_LANDINGS {
            self.landings.remove(0);
        }
        let rests = self.rests();
        if let Some(why) = rests {
            self.notice(Words::new(why, &[&song.from]), Right::Room, wall);
        }
        let kept = rests.is_some();
        self.landings.push(Landing { beam: song.beam, placed: Vec::new(), kept, ended_by_hand: false });
        self.landings.len() - 1
    }

    /// Returns the code of the words why nothing that is sent plays now.
    fn rests(&self) -> Option<&'static str> {
        match (self.was_quiet, self.standby) {
            (true, _) => Some("kept_quiet"),
            (_, true) => Some("kept_standby"),
            _ => None,
        }
    }

    /// Stopped, or paused for ten minutes; a device that was lent is in use.
    fn is_idle(&self, now: Instant) -> bool {
        match self.transport {
            _ if self.yielded.is_some() => false,
            Transport::Stopped => true,
            Transport::Paused => now.saturating_duration_since(self.position.at) >= FORGOTTEN_AFTER,
            Transport::Opening | Transport::Playing => false,
        }
    }

    /// Returns the entry behind which a song goes: the one before it in its beam, else the last one of the beam before,
    /// unless what plays is further on.
    fn anchor(&self, at: usize, index: u32) -> Option<QueueId> {
        let current = self.queue_place();
        let own =
            self.landings[at].placed.iter().filter(|(place, _)| *place < index).max().map(|(_, id)| *id);
        let earlier = || self.landings[..at].iter().flat_map(|landing| &landing.placed).map(|(_, id)| *id);
        let ahead = |id: &QueueId| self.queue.is_ahead(*id, current);
        own.filter(ahead)
            .or_else(|| earlier().filter(ahead).max_by_key(|id| self.queue.turn(*id)))
            .or(current)
    }

    /// Drops what is remembered of entries that are gone.
    pub(super) fn forget_landed(&mut self, gone: &Ids) {
        for landing in &mut self.landings {
            landing.placed.retain(|(_, id)| !gone.holds(*id));
        }
    }
}

/// product.md, "When a song lands": paused for ten minutes is idle.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Beams whose songs are kept together.
const MOST_LANDINGS: usize = 32;
