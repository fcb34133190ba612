//! What senders brought lately: counted, shown, and taken back. Pure; the clock is an argument.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::intake::door::past::{self, TakenBack};
use crate::intake::noted::Noted;
use crate::library::JournalRow;
use crate::offer::push::{Beam, BeamId, BeamState, LeftOut, OnArrival, Pushed};
use crate::offer::{DeviceId, OfferId, Stage, Verdict};
use crate::track::TrackId;
use crate::units::{ByteCount, UnixTime};

/// What senders brought, the newest last.
#[derive(Debug, Default)]
pub struct Beams {
    all: VecDeque<Note>,
    /// Which file of which beam a row of the journal is; `None`: one of an archive, which stays on the shelf unplayed.
    rows: HashMap<OfferId, (BeamId, Option<u32>)>,
}

#[derive(Debug)]
struct Note {
    shown: Beam,
    from: Arc<str>,
    device: Option<DeviceId>,
    wish: OnArrival,
    /// Tracks that are on the shelf because of it.
    new: Vec<TrackId>,
    last: Instant,
    /// By what its sender is counted.
    identity: String,
    /// Deliveries of it that go on.
    open: u32,
    /// Files that were offered in it so far.
    offered: u32,
}

/// What a beam begins with.
#[derive(Debug)]
pub struct Begun {
    /// What the sender calls itself.
    pub from: String,
    /// By what it is counted.
    pub identity: String,
    /// By which way.
    pub way: &'static str,
    /// Its device, when it is paired.
    pub device: Option<DeviceId>,
    /// What is to happen to its songs.
    pub wish: OnArrival,
    /// Files that come.
    pub files: u64,
    /// Their bytes.
    pub bytes: ByteCount,
    /// What the files are called that do not.
    pub known: Vec<String>,
    /// How many those are.
    pub known_count: u64,
    /// Files that are not asked for, the first few.
    pub left_out: Vec<LeftOut>,
    /// How many those are.
    pub left_out_count: u64,
}

impl Beams {
    /// Takes up what an earlier run wrote down, oldest first: what can still be taken back, and what was and is not off the
    /// shelf yet. Nothing of it plays by itself any more.
    pub fn take_up(
        &mut self,
        rows: &[JournalRow],
        undone: &[TakenBack],
        devices: &HashMap<String, DeviceId>,
        (wall, now): (UnixTime, Instant),
    ) {
        // A row of a time that has not come yet was written by a clock that was wrong: it says nothing of ten minutes.
        for row in rows.iter().filter(|row| past::came(row) && row.at.0 <= wall.0 + CLOCK_MAY_ERR) {
            let Some(id) = Noted::of(row).beam else { continue };
            if self.note(id).is_none() {
                self.all.push_back(Note::of_before(
                    id,
                    row,
                    devices.get(&row.provenance.device).copied(),
                    now,
                ));
            }
            let age = Duration::from_secs(wall.0.saturating_sub(row.at.0).max(0).unsigned_abs());
            let waits = !matches!(row.stage, Stage::Stored | Stage::Refused);
            if waits {
                self.rows.insert(row.id, (id, None));
            }
            if let Some(note) = self.note(id) {
                note.count_again(row, now.checked_sub(age).unwrap_or(now));
                if undone.iter().any(|taken| taken.beam == id) {
                    note.shown.state = BeamState::Undone;
                }
            }
        }
        let waits: Vec<BeamId> = self.rows.values().map(|(beam, _)| *beam).collect();
        self.all.retain(|note| note.can_be_undone(now) || waits.contains(&note.shown.id));
        let from = self.all.len().saturating_sub(MOST_BEAMS);
        self.all.drain(..from);
    }

    /// Begins a beam. One of which nothing comes and nothing is known is not worth a word.
    pub fn begin(&mut self, id: BeamId, begun: Begun, now: Instant) {
        let Begun { from, identity, way, device, wish, files, bytes, known, known_count, .. } = begun;
        // A device that is paired hears of itself why nothing of it came.
        let says_nothing = begun.left_out_count == 0 || device.is_none();
        if files == 0 && known_count == 0 && says_nothing {
            return;
        }
        if files == 0 && device.is_none() {
            // What a stranger says that it has costs it nothing: one note of it is enough.
            let again =
                |note: &Note| note.identity == identity && note.device.is_none() && note.shown.files == 0;
            self.all.retain(|note| !again(note));
        }
        if self.all.len() >= MOST_BEAMS {
            self.forget_one(&identity);
        }
        let shown = Beam {
            id,
            from: from.clone(),
            way: way.to_owned(),
            state: if files == 0 { BeamState::Ended } else { BeamState::Coming },
            files,
            bytes,
            received: 0,
            stored: 0,
            refused: 0,
            known,
            known_count,
            left_out: begun.left_out,
            left_out_count: begun.left_out_count,
            at: UnixTime::now(),
            undo_until: None,
        };
        self.all.push_back(Note {
            shown,
            from: from.into(),
            device,
            wish,
            new: Vec::new(),
            last: now,
            identity,
            open: u32::from(files > 0),
            offered: 0,
        });
    }

    /// Forgets the note that is missed least, so that nobody pushes out what others brought and may want to take back: one
    /// that brought nothing, then an earlier one of the same sender, then one whose files all came to an end.
    fn forget_one(&mut self, identity: &str) {
        let cost = |note: &Note| {
            let coming = note.shown.state == BeamState::Coming;
            let brought = note.shown.received > 0;
            let waits = self.rows.values().any(|(beam, _)| *beam == note.shown.id);
            (coming, brought && note.identity != identity, waits)
        };
        let least = self.all.iter().enumerate().min_by_key(|(at, note)| (cost(note), *at)).map(|(at, _)| at);
        if let Some(gone) = least.and_then(|at| self.all.remove(at)) {
            self.rows.retain(|_, (beam, _)| *beam != gone.shown.id);
        }
    }

    /// Adds files to what the same sender brings one by one. Returns the beam; `None` when there is none to add to.
    pub fn join(&mut self, begun: &Begun, now: Instant) -> Option<BeamId> {
        let fits = |note: &&mut Note| {
            note.identity == begun.identity
                && *note.from == *begun.from
                && note.shown.way == begun.way
                && note.shown.state != BeamState::Undone
                && (note.open > 0 || now.saturating_duration_since(note.last) < JOINED_WITHIN)
        };
        let note = self.all.iter_mut().rev().find(fits)?;
        note.shown.files += begun.files;
        note.shown.bytes = ByteCount(note.shown.bytes.0.saturating_add(begun.bytes.0));
        note.shown.known_count += begun.known_count;
        let room = MOST_KNOWN.saturating_sub(note.shown.known.len());
        note.shown.known.extend(begun.known.iter().take(room).cloned());
        note.shown.left_out_count += begun.left_out_count;
        let room = MOST_KNOWN.saturating_sub(note.shown.left_out.len());
        note.shown.left_out.extend(begun.left_out.iter().take(room).cloned());
        note.last = now;
        if begun.files > 0 {
            note.open += 1;
            note.shown.state = BeamState::Coming;
        }
        Some(note.shown.id)
    }

    /// Counts files that are offered in a beam. Returns the place of the first.
    pub fn places(&mut self, id: BeamId, files: usize) -> u32 {
        let count = u32::try_from(files).unwrap_or(u32::MAX);
        self.note(id).map_or(0, |note| {
            let first = note.offered;
            note.offered = first.saturating_add(count);
            first
        })
    }

    /// Notes that a file was in an archive: it shares its beam, and stays on the shelf unplayed (product.md, "When a song
    /// lands": ZIPs are kept).
    pub fn unpacked(&mut self, archive: OfferId, row: OfferId) {
        let Some(&(beam, _)) = self.rows.get(&archive) else { return };
        self.rows.insert(row, (beam, None));
        if let Some(note) = self.note(beam) {
            note.shown.files += 1;
            note.shown.received += 1;
        }
    }

    /// Notes the row of a file.
    pub fn row(&mut self, row: OfferId, beam: BeamId, index: u32) {
        self.rows.insert(row, (beam, Some(index)));
    }

    /// Notes that a file is safe here.
    pub fn received(&mut self, id: BeamId, now: Instant) {
        if let Some(note) = self.note(id) {
            note.shown.received += 1;
            note.last = now;
        }
    }

    /// Notes that a file was shorter than it might have been.
    pub fn less(&mut self, id: BeamId, bytes: ByteCount) {
        if let Some(note) = self.note(id) {
            note.shown.bytes = ByteCount(note.shown.bytes.0.saturating_sub(bytes.0));
        }
    }

    /// Notes that nothing more comes.
    pub fn ended(&mut self, id: BeamId) {
        if let Some(note) = self.note(id) {
            note.open = note.open.saturating_sub(1);
            if note.open == 0 && note.shown.state == BeamState::Coming {
                note.shown.state = BeamState::Ended;
            }
        }
    }

    /// Returns whether somebody took back what this row belongs to.
    pub fn is_undone(&self, row: OfferId) -> bool {
        let beam = self.rows.get(&row).map(|(beam, _)| *beam);
        self.all.iter().any(|note| Some(note.shown.id) == beam && note.shown.state == BeamState::Undone)
    }

    /// Notes what became of a file. Returns what the box is to hear, and a track that must go again, because it came when
    /// its beam had been taken back.
    pub fn verdict(
        &mut self,
        row: OfferId,
        verdict: &Verdict,
        now: Instant,
    ) -> (Option<Pushed>, Option<TrackId>) {
        let Some((beam, index)) = self.rows.remove(&row) else { return (None, None) };
        let Some(note) = self.note(beam) else { return (None, None) };
        let undone = note.shown.state == BeamState::Undone;
        note.last = now;
        let (track, is_new) = match verdict {
            Verdict::Stored { track } => (*track, true),
            Verdict::Merged { track } => (*track, false),
            Verdict::Locked { track, .. } => {
                note.shown.stored += 1;
                note.new.push(*track);
                return (None, undone.then_some(*track));
            }
            // An archive: what was in it has rows of its own.
            Verdict::Read { .. } => return (None, None),
            Verdict::Refused { .. } => {
                note.shown.refused += 1;
                return (None, None);
            }
        };
        note.shown.stored += 1;
        if is_new {
            note.new.push(track);
        }
        if undone {
            return (None, is_new.then_some(track));
        }
        (index.map(|index| note.landed(index, track)), None)
    }

    /// Returns what the box is to hear of a song that was here before.
    pub fn known(&mut self, id: BeamId, index: u32, track: TrackId) -> Option<Pushed> {
        self.note(id).map(|note| note.landed(index, track))
    }

    /// Takes a beam back. Returns the tracks that are to go.
    ///
    /// # Errors
    /// `NotFound` when there is nothing to take back any more, `NotAllowed` for another device's.
    pub fn undo(
        &mut self,
        id: BeamId,
        device: Option<DeviceId>,
        owner: bool,
        now: Instant,
    ) -> Result<Vec<TrackId>> {
        let gone = || Error::new(Kind::NotFound, format!("nothing of {id} can be taken back any more"));
        let note = self.note(id).ok_or_else(gone)?;
        let own = device.is_some() && note.device == device;
        if !owner && !own {
            return Err(Error::new(Kind::NotAllowed, "only the owner may take back what others sent"));
        }
        if note.shown.state == BeamState::Undone || !note.can_be_undone(now) {
            return Err(gone());
        }
        note.shown.state = BeamState::Undone;
        Ok(std::mem::take(&mut note.new))
    }

    /// Returns what is shown, newest first.
    pub fn shown(&self, now: Instant) -> Vec<Beam> {
        let shown = |note: &Note| {
            let left = UNDONE_WITHIN.saturating_sub(now.saturating_duration_since(note.last));
            let until = UnixTime(UnixTime::now().0 + left.as_secs() as i64);
            let can =
                note.shown.state != BeamState::Undone && note.can_be_undone(now) && note.shown.files > 0;
            Beam { undo_until: can.then_some(until), ..note.shown.clone() }
        };
        self.all.iter().rev().map(shown).collect()
    }

    fn note(&mut self, id: BeamId) -> Option<&mut Note> {
        self.all.iter_mut().rev().find(|note| note.shown.id == id)
    }
}

impl Note {
    /// Returns the note of a beam of an earlier run, of which nothing is counted yet.
    fn of_before(id: BeamId, row: &JournalRow, device: Option<DeviceId>, now: Instant) -> Note {
        let shown = Beam {
            id,
            from: row.provenance.device_name.clone(),
            way: row.provenance.way.clone(),
            state: BeamState::Ended,
            files: 0,
            bytes: ByteCount(0),
            received: 0,
            stored: 0,
            refused: 0,
            known: Vec::new(),
            known_count: 0,
            left_out: Vec::new(),
            left_out_count: 0,
            at: row.at,
            undo_until: None,
        };
        Note {
            from: shown.from.as_str().into(),
            shown,
            device,
            wish: OnArrival::Keep,
            new: Vec::new(),
            last: now.checked_sub(UNDONE_WITHIN).unwrap_or(now),
            identity: Noted::of(row).counted,
            open: 0,
            offered: 0,
        }
    }

    fn count_again(&mut self, row: &JournalRow, at: Instant) {
        self.last = self.last.max(at);
        self.shown.files += 1;
        self.shown.received += 1;
        self.shown.bytes = ByteCount(self.shown.bytes.0.saturating_add(row.size.unwrap_or_default().0));
        match &row.verdict {
            Some(Verdict::Refused { .. }) => self.shown.refused += 1,
            Some(Verdict::Stored { .. } | Verdict::Merged { .. } | Verdict::Locked { .. }) => {
                self.shown.stored += 1;
            }
            Some(Verdict::Read { .. }) | None => {}
        }
        self.new.extend(row.verdict.as_ref().and_then(Verdict::brought));
    }

    fn can_be_undone(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < UNDONE_WITHIN
    }

    fn landed(&self, index: u32, track: TrackId) -> Pushed {
        Pushed::Landed { beam: self.shown.id, index, track, from: self.from.clone(), wish: self.wish }
    }
}

/// product.md, "When a song lands": Undo for ten minutes after an arrival.
const UNDONE_WITHIN: Duration = Duration::from_secs(600);
const MOST_BEAMS: usize = 50;
/// What one sender brings file by file is one beam while the next begins so soon.
const JOINED_WITHIN: Duration = Duration::from_secs(30);
/// Names of files that were here before, and of those that are not taken, of one beam.
const MOST_KNOWN: usize = 10;
/// Seconds by which a clock may have gone back since a row was written.
const CLOCK_MAY_ERR: i64 = 60;
