//! What puts entries into the queue, takes them out or ends the sound by hand, the shelf's news, and notices.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::guest::entry_of;
use super::{Effect, Given, Rules, shelf_entry};
use crate::hifi::command::{At, Command, NewEntry, Playable, QueueId, Refused};
use crate::hifi::shuffle::Ids;
use crate::hifi::state::{Entry, Notice};
use crate::offer::Right;
use crate::track::{Track, TrackId};
use crate::units::{Millis, UnixTime};
use crate::words::Words;

impl Rules {
    pub(super) fn add(
        &mut self,
        entries: Vec<NewEntry>,
        at: At,
        play: bool,
        given: &Given,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        let entries =
            entries.into_iter().map(|new| entry_of(new, given)).collect::<Result<Vec<Entry>, Refused>>()?;
        let ids = self.queue.add(entries, at, self.queue_place())?;
        self.added.extend(&ids);
        if let (true, Some(&first)) = (play, ids.first()) {
            self.arrive(self.current, first);
            self.start(first, Millis::ZERO, now, out);
        }
        Ok(())
    }

    pub(super) fn remove(
        &mut self,
        ids: &[QueueId],
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        let gone = Ids::of(ids);
        let place = self.queue_place().filter(|&id| gone.holds(id));
        let heir = place.and_then(|id| self.queue.left_from(id, &gone));
        self.queue.remove(&gone)?;
        self.forget_landed(&gone);
        if place.is_none() || self.wait_at(heir) {
            return Ok(());
        }
        let sounding = self.sounding();
        self.stop(now, out);
        match heir {
            Some(id) if sounding => self.start(id, Millis::ZERO, now, out),
            Some(id) => self.choose(id, Millis::ZERO, now),
            None => (self.current, self.duration) = (None, Millis::ZERO),
        }
        Ok(())
    }

    /// Stops; the wish to stop behind this track is fulfilled.
    pub(super) fn stop_by_hand(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.modes.stop_after = false;
        self.stop(now, out);
    }

    pub(super) fn clear(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.stop_by_hand(now, out);
        self.queue.clear();
        (self.current, self.duration) = (None, Millis::ZERO);
    }

    pub(super) fn stand_by(&mut self, now: Instant, out: &mut Vec<Effect>) {
        self.stop_by_hand(now, out);
        self.end_sleep(now);
        self.standby = true;
        out.push(Effect::Release);
    }

    pub(super) fn shelf(&mut self, rev: u64, tracks: &HashMap<TrackId, Arc<Track>>) {
        self.library_rev = rev;
        if self.primed_broken {
            // Its disk may be back.
            (self.primed, self.primed_broken) = (None, false);
        }
        let renew = |entry: &Entry| {
            let Playable::Shelf(id) = entry.what else { return None };
            let Entry { said, named, id: number, .. } = entry.clone();
            let fresh = Entry { said, named, id: number, ..shelf_entry(tracks.get(&id)?) };
            (fresh != *entry).then_some(fresh)
        };
        self.queue.renew(renew);
        self.renew_guest(renew);
        // Of what is open the motor knows the length better.
        let current = self.current.and_then(|id| self.entry(id));
        let length =
            current.filter(|entry| matches!(entry.what, Playable::Shelf(_))).map(|entry| entry.duration);
        if self.loaded.is_none() || self.duration == Millis::ZERO {
            self.duration = length.filter(|length| *length > Millis::ZERO).unwrap_or(self.duration);
        }
    }

    pub(super) fn notice(&mut self, words: impl Into<Words>, right: Right, at: UnixTime) {
        let Words { text: words, code, about } = words.into();
        let number = self.notices.last().map_or(0, |n| n.number) + 1;
        let notices = Arc::make_mut(&mut self.notices);
        notices.push(Notice { number, at, words, code, about, right });
        if notices.len() > MOST_NOTICES {
            notices.remove(0);
        }
    }
}

/// Returns whether somebody asks for sound anew.
pub fn asks_for_sound(command: &Command) -> bool {
    matches!(command, Command::Play(_) | Command::PlaySomething | Command::Toggle | Command::Add { .. })
}

/// How many notices are kept.
const MOST_NOTICES: usize = 32;
