//! Measures how loud tracks are, behind everything else and after the fingerprints: what arrived first, then what was found
//! and tells no gain. One file after the other, half of the time at most, and never while sound runs or a scan does. Stopped
//! at any time it goes on with the next file: what is measured is in the database. A locked file is never opened.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tracing::debug;

use crate::error::{Error, Kind, Result};
use crate::library::scan::behind::{self, Due};
use crate::library::scan::{Shared, answer};
use crate::library::store::loudness::{self, Wanted};
use crate::library::{CopyRow, Inner};
use crate::media::decode::Decoder;
use crate::media::loudness::{Go, Heard, measure};
use crate::media::sniff::sniff;
use crate::media::sound::Sound;
use crate::track::CopyId;

/// Measures what is to be measured, until something else is to be done first. `told` is kept from call to call: while songs
/// come in one by one, lists hear of them together. Counts when `due` does not tell what is left.
///
/// # Errors
/// Those of the database.
/// # Blocks
/// For hours, when a large shelf is measured for the first time.
pub fn all(shared: &Arc<Shared>, weak: &Weak<Inner>, told: &mut Told, due: &mut Due) -> Result<()> {
    let count = |wanted| match weak.upgrade() {
        Some(inner) => inner.store.read_blocking(|c| loudness::left(c, wanted)),
        None => Ok(0),
    };
    let (arrived, adopted) = match due.loudness {
        Some(left) => left,
        None => {
            let left = (count(Wanted::Arrived)?, count(Wanted::Adopted)?);
            // It may be long until this returns.
            behind::rest(weak);
            left
        }
    };
    shared.progress.send_modify(|progress| progress.loudness_left = arrived + adopted);
    // Known until the first of them is measured.
    due.loudness = (arrived == 0).then_some((arrived, adopted));
    let mut done = arrived == 0 || each(shared, weak, Wanted::Arrived, told)?;
    if done {
        told.tell(weak)?;
    }
    if done && adopted > 0 {
        done = shared.settles();
        if done {
            due.loudness = None;
            done = each(shared, weak, Wanted::Adopted, told)?;
        }
    }
    if done { told.tell(weak) } else { Ok(()) }
}

/// Makes what could not be measured due again; called once.
///
/// # Errors
/// Those of the database.
pub fn begin(weak: &Weak<Inner>) -> Result<()> {
    let Some(inner) = weak.upgrade() else { return Ok(()) };
    answer(inner.store.hand_over(|c| loudness::try_again(c))?)
}

/// Whether lists are to hear of what was measured.
pub struct Told {
    at: Instant,
    fresh: bool,
}

impl Told {
    /// Returns that nothing is to be told.
    pub fn new() -> Told {
        Told { at: Instant::now(), fresh: false }
    }

    /// Counts a change of the shelf, so that queues read their tracks anew, and sums the albums up.
    pub(super) fn tell(&mut self, weak: &Weak<Inner>) -> Result<()> {
        let Some(inner) = weak.upgrade().filter(|_| self.fresh) else { return Ok(()) };
        (self.at, self.fresh) = (Instant::now(), false);
        let albums = inner.store.read_blocking(loudness::albums)?;
        let work = {
            let inner = inner.clone();
            move |c: &mut rusqlite::Connection| {
                let transaction = c.transaction()?;
                loudness::put_albums(&transaction, &albums)?;
                inner.commit(transaction)
            }
        };
        answer(inner.store.hand_over(work)?)
    }
}

/// Goes through the copies of one kind. Returns whether all of them were measured.
pub(super) fn each(
    shared: &Arc<Shared>,
    weak: &Weak<Inner>,
    wanted: Wanted,
    told: &mut Told,
) -> Result<bool> {
    let mut behind = CopyId(0);
    loop {
        let Some(inner) = weak.upgrade().filter(|_| !shared.is_called()) else { return Ok(false) };
        let copies = inner.store.read_blocking(|c| loudness::unmeasured(c, wanted, behind, AT_ONCE))?;
        drop(inner);
        if copies.is_empty() {
            return Ok(true);
        }
        for copy in copies {
            behind = copy.id;
            // The shelf is held only while it is used, so that it can close.
            let heard = loop {
                if !shared.has_leave() {
                    return Ok(false);
                }
                let Some(inner) = weak.upgrade() else { return Ok(false) };
                match one(shared, &inner, &copy) {
                    // Sound began: the file is let go, and measured from its start when all is still.
                    Ok(Some(Heard::Stopped)) => {}
                    heard => break heard,
                }
            };
            let heard = match heard {
                Ok(heard) => heard,
                Err(error) => {
                    debug!(copy = copy.id.0, %error, "not measured");
                    let of_the_file = matches!(error.kind(), Kind::Damaged | Kind::Unsupported);
                    if !of_the_file {
                        // The disk is in trouble, or the file is gone: another time.
                        continue;
                    }
                    None
                }
            };
            let Some(inner) = weak.upgrade() else { return Ok(false) };
            answer(inner.store.hand_over(move |c| loudness::put(c, &copy, heard))?)?;
            told.fresh = true;
            shared.progress.send_modify(|progress| {
                progress.loudness_left = progress.loudness_left.saturating_sub(1);
            });
        }
        if told.at.elapsed() >= TOLD_EVERY {
            told.tell(weak)?;
        }
    }
}

/// Measures a copy; `Stopped` when it must wait, `None` for one that is another file by now.
pub(super) fn one(shared: &Shared, inner: &Inner, copy: &CopyRow) -> Result<Option<Heard>> {
    let Some(disk) = inner.disk_of(copy.root) else {
        return Err(Error::new(Kind::Offline, "the music disk is not there"));
    };
    let path = disk.root.path.join(&copy.path);
    let file = File::open(&path).map_err(|error| Error::io(format!("open {}", path.display()), error))?;
    let failed = |error| Error::io(format!("read {}", path.display()), error);
    if file.metadata().map_err(failed)?.len() != copy.size.0 {
        return Err(Error::new(Kind::NotFound, "the file changed meanwhile"));
    }
    let extension = path.extension().and_then(std::ffi::OsStr::to_str);
    let mut sound = Sound::file(file, extension).map_err(failed)?;
    let sniffed = sniff(&mut sound)?;
    sniffed.gate()?;
    sound.seek(SeekFrom::Start(0)).map_err(failed)?;
    let mut decoder = Decoder::open(sound, &sniffed)?;
    let mut worked = Instant::now();
    let mut go = || {
        if worked.elapsed() >= WORKS_FOR {
            shared.pause(worked.elapsed().min(LONGEST_PAUSE));
            worked = Instant::now();
        }
        if shared.is_still() && !shared.stops() { Go::On } else { Go::Stop }
    };
    measure(&mut decoder, &mut go).map(Some)
}

impl Shared {
    /// Notes whether sound runs.
    pub(super) fn set_sounding(&self, sounding: bool) {
        if self.sounding.swap(sounding, Ordering::Relaxed) != sounding {
            self.desk().silent_since = (!sounding).then(Instant::now);
            self.woken.notify_all();
        }
    }

    /// Returns whether no sound runs or just ran, and no look through the folders is under way.
    fn is_still(&self) -> bool {
        let silent = |since: Option<Instant>| since.is_none_or(|since| since.elapsed() >= SILENT_FOR);
        !self.sounding.load(Ordering::Relaxed)
            && silent(self.desk().silent_since)
            && !self.progress.borrow().scanning
    }

    /// Waits until it is still. Returns false at the stop, or when something else is to be done first.
    fn has_leave(&self) -> bool {
        while !self.is_called() {
            if self.is_still() {
                return true;
            }
            self.pause(LOOKS_EVERY);
        }
        false
    }

    /// Waits until the box has settled. Returns false as [`Shared::has_leave`] does.
    fn settles(&self) -> bool {
        let until = Instant::now() + SETTLES;
        while Instant::now() < until && !self.is_called() {
            self.pause(LOOKS_EVERY.min(until.saturating_duration_since(Instant::now())));
        }
        !self.is_called()
    }

    /// Returns whether the thread is to end, or new files want their fingerprints.
    fn is_called(&self) -> bool {
        self.stops() || self.desk().unfingerprinted
    }
}

/// Files between two questions to the database.
const AT_ONCE: u32 = 16;
/// How long it works before it rests as long.
const WORKS_FOR: Duration = Duration::from_millis(40);
/// A machine that is busy otherwise makes work look long.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often it looks whether it may go on.
const LOOKS_EVERY: Duration = Duration::from_secs(1);
/// After the last sound: who skips through an album is not disturbed.
const SILENT_FOR: Duration = Duration::from_secs(10);
/// What was on the disk before has waited for years: first the box starts, is looked at and played.
const SETTLES: Duration = Duration::from_secs(60);
/// How often lists hear of it while a large shelf is measured.
const TOLD_EVERY: Duration = Duration::from_secs(600);
