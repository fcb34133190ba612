//! Computes the fingerprints of adopted files behind everything else, then has them measured: one file after the other, at
//! half the speed that the disk would give, on a thread that yields to everybody. Stopped at any time it goes on where it
//! was: what is computed is in the database. A look that found no change is followed by no count.

use std::fs::File;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use crate::error::Result;
use crate::library::scan::{Shared, answer, measure};
use crate::library::store::scanned;
use crate::library::{CopyRow, Inner, idle, read};
use crate::track::{CopyId, Fingerprint};

/// Runs until the stop.
pub fn run(shared: &Arc<Shared>, weak: &Weak<Inner>) {
    idle::this_thread();
    if let Err(error) = measure::begin(weak) {
        warn!(%error, "what could not be measured is not tried again");
    }
    let (mut told, mut due) = (measure::Told::new(), Due::default());
    while shared.wait_for_files() {
        // Read before the counts: a change meanwhile makes them old.
        let Some(revision) = weak.upgrade().map(|inner| inner.revision_now()) else { return };
        due.forget_unless(revision);
        let known = due.fingerprints == Some(0) && due.loudness.is_some();
        if due.fingerprints != Some(0) {
            due = Due { revision, ..Due::default() };
            match all(shared, weak) {
                Ok(left) => due.fingerprints = left,
                Err(error) => warn!(%error, "fingerprints could not be written; the next look tries again"),
            }
            rest(weak);
        }
        if let Err(error) = measure::all(shared, weak, &mut told, &mut due) {
            warn!(%error, "loudness could not be written; the next look tries again");
        }
        if !known {
            rest(weak);
        }
    }
}

/// Gives back the memory that a lot of work took.
pub(super) fn rest(weak: &Weak<Inner>) {
    if let Some(inner) = weak.upgrade() {
        inner.store.rest();
    }
    idle::give_back();
}

/// What is left to be done, as it was counted at a revision of the shelf; `None` where that is not known. A count goes
/// through every row, so it is not made again while nothing changes.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// The revision.
    pub revision: u64,
    /// Copies without a fingerprint.
    pub fingerprints: Option<u64>,
    /// Copies to be measured: those that arrived, and those found where they stood.
    pub loudness: Option<(u64, u64)>,
}

impl Due {
    /// Forgets what was counted at another revision.
    pub fn forget_unless(&mut self, revision: u64) {
        if self.revision != revision {
            *self = Due { revision, ..Due::default() };
        }
    }
}

impl Shared {
    /// Waits until a pass brought files. Returns false at the stop.
    fn wait_for_files(&self) -> bool {
        let mut desk = self.desk();
        loop {
            if self.stops() {
                return false;
            }
            if std::mem::take(&mut desk.unfingerprinted) {
                return true;
            }
            desk = self.woken.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits; ends early at the stop.
    pub(super) fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut desk = self.desk();
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|_| !self.stops()) {
            desk = self.woken.wait_timeout(desk, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Goes through the copies that have no fingerprint. Returns how many are left, which could not be read; `None` when it was
/// stopped.
pub(super) fn all(shared: &Arc<Shared>, weak: &Weak<Inner>) -> Result<Option<u64>> {
    let mut behind = CopyId(0);
    let Some(inner) = weak.upgrade() else { return Ok(None) };
    let mut left = inner.store.read_blocking(scanned::fingerprints_left)?;
    drop(inner);
    shared.progress.send_modify(|progress| progress.fingerprints_left = left);
    while left > 0 {
        // The shelf is held only while it is used, so that it can close.
        let Some(inner) = weak.upgrade().filter(|_| !shared.stops()) else { return Ok(None) };
        let copies = inner.store.read_blocking(|c| scanned::unfingerprinted(c, behind, AT_ONCE))?;
        let Some(last) = copies.last() else { break };
        behind = last.id;
        let mut done = Vec::with_capacity(copies.len());
        for copy in copies {
            if shared.stops() {
                break;
            }
            let begun = Instant::now();
            done.extend(fingerprint(&inner, &copy).map(|fingerprint| (copy, fingerprint)));
            shared.pause(begun.elapsed().max(SHORTEST_PAUSE));
            while shared.progress.borrow().scanning && !shared.stops() {
                shared.pause(WHILE_SCANNING);
            }
        }
        let count = done.len() as u64;
        let work = move |c: &mut rusqlite::Connection| {
            let transaction = c.transaction()?;
            for (copy, fingerprint) in &done {
                scanned::put_fingerprint(&transaction, copy, *fingerprint)?;
            }
            Ok(transaction.commit()?)
        };
        answer(inner.store.hand_over(work)?)?;
        left = left.saturating_sub(count);
        shared.progress.send_modify(|progress| progress.fingerprints_left = left);
    }
    Ok(Some(left))
}

/// Returns a copy's fingerprint; `None` when it cannot be read, or is another one by now.
fn fingerprint(inner: &Inner, copy: &CopyRow) -> Option<Fingerprint> {
    let disk = inner.disk_of(copy.root)?;
    let path = disk.root.path.join(&copy.path);
    let file = File::open(&path)
        .ok()
        .filter(|file| file.metadata().is_ok_and(|found| found.len() == copy.size.0))?;
    let extension = path.extension().and_then(std::ffi::OsStr::to_str);
    match read::fingerprint_of(file, extension) {
        Ok(fingerprint) => fingerprint,
        Err(error) => {
            debug!(path = %path.display(), %error, "no fingerprint");
            None
        }
    }
}

/// Files between two writes.
const AT_ONCE: u32 = 64;
/// A look through the folders comes first.
const WHILE_SCANNING: Duration = Duration::from_millis(100);
/// Many small files leave room for others, too.
const SHORTEST_PAUSE: Duration = Duration::from_micros(500);
