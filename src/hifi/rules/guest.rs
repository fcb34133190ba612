//! The guest deck: two slots beside the queue that a face writes for an app that brings one thing at a time. The queue is
//! untouched and stopped meanwhile; whatever plays the queue ends it.

use std::sync::Arc;
use std::time::Instant;

use super::{Effect, Given, Rules, shelf_entry};
use crate::hifi::command::{Hints, Input, NewEntry, Playable, QueueId, Refused};
use crate::hifi::state::{Entry, Source, Transport};
use crate::offer::{Right, Via};
use crate::signal::{OnAir, PlaySerial};
use crate::track::{Measured, Tags};
use crate::units::{Millis, UnixTime};
use crate::words::Words;

/// The deck, and where the queue stood when it came.
#[derive(Debug, Clone)]
pub struct Guest {
    by: Via,
    now: Arc<Entry>,
    next: Option<Arc<Entry>>,
    /// The queue's own current entry.
    kept: Option<QueueId>,
}

impl Guest {
    /// Returns the deck as it was written down; `kept` is the queue's own current entry.
    pub(super) fn restored(deck: Source, kept: Option<QueueId>) -> Option<Guest> {
        match deck {
            Source::Guest { by, now, next } => Some(Guest { by, now, next, kept }),
            Source::Queue | Source::Empty { .. } => None,
        }
    }

    /// Returns what is on it now.
    pub(super) fn entry(&self) -> &Entry {
        &self.now
    }
}

impl Rules {
    /// Puts an entry on the deck: while something sounds it plays at once, else it waits for `Play`. Without one the deck
    /// is taken away.
    pub(super) fn set_guest(
        &mut self,
        entry: Option<NewEntry>,
        given: &Given,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        let Some(entry) = entry else {
            self.empty_deck = None;
            if self.guest.is_some() {
                self.stop(now, out);
                self.leave_guest(now);
            }
            return Ok(());
        };
        let entry = Entry { id: self.queue.new_id(), ..entry_of(entry, given)? };
        let (sounded, paused) = (self.sounding(), self.transport == Transport::Paused);
        let kept = self.queue_place();
        self.stop(now, out);
        let id = entry.id;
        self.empty_deck = None;
        self.guest = Some(Guest { by: given.by, now: Arc::new(entry), next: None, kept });
        self.failed = None;
        if sounded {
            self.start(id, Millis::ZERO, now, out);
        } else {
            self.choose(id, Millis::ZERO, now);
            if paused {
                // Whatever was paused: an app sets another one, and plays it later (reference upnp 7.1, row "PAUSED").
                self.transport = Transport::Paused;
            }
        }
        Ok(())
    }

    /// Sets what follows on the deck, or takes it back; only for the face whose deck it is.
    pub(super) fn set_guest_next(&mut self, entry: Option<NewEntry>, given: &Given) -> Result<(), Refused> {
        // What another face put on is not this one's to go on with.
        if self.guest.as_ref().is_none_or(|guest| guest.by != given.by) {
            return Err(Refused::NoSuchEntry);
        }
        let next = match entry {
            Some(entry) => Some(Arc::new(Entry { id: self.queue.new_id(), ..entry_of(entry, given)? })),
            None => None,
        };
        if let Some(guest) = &mut self.guest {
            guest.next = next;
        }
        Ok(())
    }

    /// Turns the selector: another input stops what sounds, and a deck that is left is empty.
    pub(super) fn set_input(&mut self, input: Input, now: Instant, out: &mut Vec<Effect>) {
        if self.source().input() == input {
            return;
        }
        self.stop(now, out);
        self.leave_guest(now);
        self.empty_deck = match input {
            Input::Queue => None,
            Input::Deck(by) => Some(by),
        };
    }

    /// Gives the box back to the queue, which stays where it was.
    pub(super) fn leave_guest(&mut self, now: Instant) {
        let Some(guest) = self.guest.take() else { return };
        match guest.kept.filter(|&id| self.queue.get(id).is_some()).or_else(|| self.queue.first()) {
            Some(id) => self.choose(id, Millis::ZERO, now),
            None => (self.current, self.duration) = (None, Millis::ZERO),
        }
    }

    /// Moves the place of the queue that waits beside the deck; returns whether there is a deck.
    pub(super) fn wait_at(&mut self, place: Option<QueueId>) -> bool {
        let Some(guest) = &mut self.guest else { return false };
        guest.kept = place;
        true
    }

    /// Ends the deck for the queue's sake, unless it is paused and waits to go on.
    pub(super) fn dismiss_guest(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.guest.is_some() && self.transport != Transport::Paused {
            self.stop(now, out);
            self.leave_guest(now);
        }
    }

    /// Says that an entry cannot be played. What could not be fetched ahead is tried again at its turn; once is enough to
    /// say so.
    pub(super) fn complain(&mut self, id: QueueId, why: &str, wall: UnixTime) {
        let name = self.entry(id).map_or("a track", |e| e.shown.title_or("a track without a title"));
        let words = Words::new("cannot_play", &[name, why]);
        if self.notices.last().is_none_or(|last| last.words != words.text) {
            self.notice(words, Right::Room, wall);
        }
    }

    /// Called with every entry that becomes the current one: the deck moves on with its next, and goes when it is the
    /// queue's turn.
    pub(super) fn move_guest(&mut self, id: QueueId) {
        let Some(guest) = &mut self.guest else { return };
        if let Some(next) = guest.next.take_if(|next| next.id == id) {
            guest.now = next;
        } else if guest.now.id != id {
            self.guest = None;
        }
    }

    /// Forgets what would follow: a stop means it, too.
    pub(super) fn stop_guest(&mut self) {
        if let Some(guest) = &mut self.guest {
            guest.next = None;
        }
    }

    /// Shows an entry of the deck anew; `renew` returns what differs.
    pub(super) fn renew_guest(&mut self, renew: impl Fn(&Entry) -> Option<Entry>) {
        let Some(guest) = &mut self.guest else { return };
        for entry in [Some(&mut guest.now), guest.next.as_mut()].into_iter().flatten() {
            if let Some(fresh) = renew(entry) {
                *entry = Arc::new(fresh);
            }
        }
    }

    /// Returns whether this is an entry of the deck.
    pub(super) fn is_guest(&self, id: QueueId) -> bool {
        self.guest
            .as_ref()
            .is_some_and(|guest| guest.now.id == id || guest.next.as_ref().is_some_and(|next| next.id == id))
    }

    /// Returns what is on the deck.
    pub(super) fn deck(&self) -> impl Iterator<Item = &Entry> {
        let deck = self.guest.iter().flat_map(|guest| [Some(&guest.now), guest.next.as_ref()]);
        deck.flatten().map(Arc::as_ref)
    }

    /// Returns an entry of the deck or the queue.
    pub(super) fn entry(&self, id: QueueId) -> Option<&Entry> {
        self.deck().find(|entry| entry.id == id).or_else(|| self.queue.get(id))
    }

    /// Returns what plays by itself behind an entry of the deck, which repeats nothing; `None` for one of the queue.
    pub(super) fn behind_guest(&self, id: QueueId) -> Option<Option<QueueId>> {
        let guest = self.guest.as_ref()?;
        let next = guest.next.as_ref().map(|next| next.id);
        if guest.now.id == id { Some(next) } else { (next == Some(id)).then_some(None) }
    }

    /// Goes on to an entry, for the round of a shuffle; the deck takes no part in it.
    pub(super) fn arrive(&mut self, from: Option<QueueId>, at: QueueId) {
        if !self.is_guest(at) {
            let from = from.filter(|&id| self.queue.get(id).is_some()).or_else(|| self.queue_place());
            self.queue.arrive(from, at);
        }
    }

    /// Returns the queue's own current entry, whoever plays.
    pub fn queue_place(&self) -> Option<QueueId> {
        match &self.guest {
            Some(guest) => guest.kept.filter(|&id| self.queue.get(id).is_some()),
            None => self.current,
        }
    }

    /// Returns whether a guest plays or waits.
    pub fn has_guest(&self) -> bool {
        self.guest.is_some()
    }

    /// The key for the next one on the deck: what follows, else silence.
    pub(super) fn next_guest(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let next = self.guest.as_ref().and_then(|guest| guest.next.as_ref());
        match next.map(|next| next.id) {
            Some(id) if self.transport == Transport::Stopped => self.choose(id, Millis::ZERO, now),
            Some(id) => self.start(id, Millis::ZERO, now, out),
            None => self.stop(now, out),
        }
    }

    /// The key for the one before on the deck: its start again.
    pub(super) fn again_guest(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let id = self.guest.as_ref().map(|guest| guest.now.id);
        if let Some(id) = id.filter(|_| self.transport != Transport::Stopped) {
            self.start(id, Millis::ZERO, now, out);
        }
    }

    /// Returns where the sound comes from.
    pub fn source(&self) -> Source {
        match (&self.guest, self.empty_deck) {
            (Some(guest), _) => {
                Source::Guest { by: guest.by, now: guest.now.clone(), next: guest.next.clone() }
            }
            (None, Some(by)) => Source::Empty { by },
            (None, None) => Source::Queue,
        }
    }

    /// Keeps what a station says for the start it belongs to; a next one may speak before its turn.
    pub(super) fn hear(&mut self, serial: PlaySerial, on_air: OnAir) {
        let wanted = self.serials();
        self.on_air.retain(|(of, _)| *of != serial && wanted.contains(&Some(*of)));
        if wanted.contains(&Some(serial)) {
            self.on_air.push((serial, Arc::new(on_air)));
        }
    }

    /// Returns what the station that plays says.
    pub(super) fn heard_on_air(&self) -> Option<Arc<OnAir>> {
        let loaded = self.loaded?;
        self.on_air.iter().find(|(serial, _)| *serial == loaded).map(|(_, on_air)| on_air.clone())
    }

    /// Returns the starts that the motor works on or may go on with.
    pub fn serials(&self) -> Vec<Option<PlaySerial>> {
        let next = self.primed.iter().chain(&self.retired).map(|(serial, _)| Some(*serial));
        std::iter::once(self.loaded).chain(next).collect()
    }
}

/// Returns the entry that a face brings, without its number.
///
/// # Errors
/// `NoSuchTrack`, `Locked`; `Unsupported` for what is no URL of http, `OutOfRange` for texts beyond [`LONGEST_TEXT`].
pub(super) fn entry_of(new: NewEntry, given: &Given) -> Result<Entry, Refused> {
    let Hints { named, cover, length } = new.hints;
    let longer = |text: &Option<Arc<str>>, most| text.as_ref().is_some_and(|text| text.len() > most);
    if longer(&new.said, LONGEST_TEXT) || longer(&named, LONGEST_URL) || longer(&cover, LONGEST_URL) {
        return Err(Refused::OutOfRange);
    }
    let url = match new.what {
        Playable::Shelf(id) => {
            let track = given.tracks.get(&id).ok_or(Refused::NoSuchTrack)?;
            track.playable().ok_or(Refused::Locked)?;
            return Ok(Entry { said: new.said, named, ..shelf_entry(track) });
        }
        Playable::Url(url) => url,
    };
    if url.len() > LONGEST_URL {
        return Err(Refused::OutOfRange);
    }
    let scheme = url.split_once("://").filter(|(_, rest)| !rest.is_empty()).map(|(scheme, _)| scheme);
    if !scheme.is_some_and(|scheme| ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)))
    {
        return Err(Refused::Unsupported);
    }
    let mut shown = new.shown;
    if shown.title.is_none() {
        shown = Arc::new(Tags { title: Some(name_of(&url)), ..Tags::clone(&shown) });
    }
    Ok(Entry {
        id: QueueId(0),
        what: Playable::Url(url),
        shown,
        duration: length.unwrap_or(Millis::ZERO),
        said: new.said,
        named: None,
        cover,
        measured: Measured::default(),
    })
}

/// Returns what a URL is called while nobody says it: the last part of its path, else its host.
pub(super) fn name_of(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or(url);
    let (_, rest) = bare.split_once("://").unwrap_or(("", bare));
    let last = rest.split('/').rev().find(|part| !part.is_empty()).unwrap_or(rest);
    let mut bytes = Vec::with_capacity(last.len());
    let mut left = last.as_bytes();
    while let Some((&byte, rest)) = left.split_first() {
        let code = rest.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                left = &rest[2..];
            }
            _ => {
                bytes.push(byte);
                left = rest;
            }
        }
    }
    String::from_utf8_lossy(&bytes).chars().filter(|c| !c.is_control()).collect()
}

/// Bytes of a URL: more than any server makes.
const LONGEST_URL: usize = 8 << 10;
/// Bytes of an app's own metadata for one entry.
const LONGEST_TEXT: usize = 256 << 10;
