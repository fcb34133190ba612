//! Keeps the shelf in step with its folders: a look through all of them at the start, then whatever changes there. Adopts
//! files where they stand, follows those that move, and never forgets one that is away.
//!
//! One thread waits and decides; a pass walks with a few threads of low priority, reads what is new, and hands rows to the
//! writer in small batches. Another thread computes fingerprints behind.

mod behind;
mod file;
mod lists;
mod measure;
mod settle;
mod walk;
mod watch;
mod write;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use crate::error::{Error, Result};
use crate::library::Inner;
use crate::library::idle;
use crate::library::roots::Disk;
use crate::library::scan::walk::{Compared, Reach, Seen, Tour};
use crate::library::scan::write::{Batch, FolderRead};
use crate::library::store::{keep, kept};
use crate::offer::ShelfProgress;
use crate::units::UnixTime;

/// The scan's desk. Its threads run from [`start`] to [`Scanner::stop`].
#[derive(Debug, Default)]
pub struct Scanner {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    desk: Mutex<Desk>,
    woken: Condvar,
    stop: AtomicBool,
    progress: tokio::sync::watch::Sender<ShelfProgress>,
    sounding: AtomicBool,
}

#[derive(Debug, Default)]
struct Desk {
    /// Every folder is to be looked at.
    all: bool,
    /// Folders to be looked at, full paths, and when.
    dirty: BTreeMap<PathBuf, Instant>,
    /// A pass or an arrival brought files that may have no fingerprint, or whose loudness nobody measured.
    unfingerprinted: bool,
    /// When sound ended; `None` while it runs, and before the first.
    silent_since: Option<Instant>,
}

/// What a pass is to do.
enum Work {
    All,
    Some(Vec<PathBuf>),
    /// Everything, and also what was written just now.
    AllNow,
    /// Nothing changed: only whether disks went or came back.
    Disks,
}

impl Default for Shared {
    fn default() -> Shared {
        let progress = tokio::sync::watch::Sender::new(ShelfProgress::default());
        let [stop, sounding] = [false; 2].map(AtomicBool::new);
        Shared { desk: Mutex::default(), woken: Condvar::new(), stop, progress, sounding }
    }
}

impl Scanner {
    /// Returns the watch of how far it is.
    pub fn progress(&self) -> tokio::sync::watch::Receiver<ShelfProgress> {
        self.shared.progress.subscribe()
    }

    /// Notes whether sound runs: meanwhile nothing is measured.
    pub fn set_sounding(&self, sounding: bool) {
        self.shared.set_sounding(sounding);
    }

    /// Notes that a file arrived: what is done behind has work.
    pub fn note_arrival(&self) {
        self.shared.desk().unfingerprinted = true;
        self.shared.woken.notify_all();
    }

    /// Asks for a look at everything.
    pub fn ask_for_all(&self) {
        self.shared.ask();
    }

    /// Ends the threads. A pass that is under way ends behind the batch it is writing.
    ///
    /// # Blocks
    /// As long as one file takes to be read.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.woken.notify_all();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The last handle of the shelf may be one that a pass holds.
            let itself = thread.thread().id() == std::thread::current().id();
            if !itself && thread.join().is_err() {
                tracing::error!("a thread of the scan broke");
            }
        }
    }
}

impl Drop for Scanner {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Starts the threads: a first look, then whatever changes.
///
/// # Errors
/// When the system gives no thread.
pub fn start(inner: &Arc<Inner>) -> Result<()> {
    let scanner = &inner.scanner;
    scanner.ask_for_all();
    let mut threads = scanner.threads.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, work) in [("konpo-scan", run as fn(&Arc<Shared>, &Weak<Inner>)), ("konpo-behind", behind::run)]
    {
        let (shared, weak) = (scanner.shared.clone(), Arc::downgrade(inner));
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || work(&shared, &weak));
        threads.push(thread.map_err(|error| Error::io("start the scan", error))?);
    }
    Ok(())
}

fn run(shared: &Arc<Shared>, weak: &Weak<Inner>) {
    idle::this_thread();
    let mut watch = watch::Watch::default();
    while let Some(work) = shared.wait() {
        let Some(inner) = weak.upgrade() else { return };
        if matches!(work, Work::Disks) {
            // One that is back asks for a look by itself. The first one is looked at by whoever takes music in.
            (1..inner.roots.len()).for_each(|place| drop(inner.disk_at(place)));
            if inner.store.rest_when_calm() {
                idle::give_back();
            }
            continue;
        }
        if let Err(error) = pass(&inner, shared, work, &mut watch) {
            warn!(%error, "a look through the music folders was broken off");
        }
        inner.store.rest();
        idle::give_back();
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a look at everything.
    fn ask(&self) {
        self.desk().all = true;
        self.woken.notify_all();
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Notes that something changed in a folder; it is looked at when nothing changed there for a moment.
    fn note(&self, folder: PathBuf, within: Duration) {
        let mut desk = self.desk();
        if desk.dirty.len() >= MOST_DIRTY {
            desk.dirty.clear();
            desk.all = true;
        } else if !desk.all {
            desk.dirty.insert(folder, Instant::now() + within);
        }
        drop(desk);
        self.woken.notify_all();
    }

    /// Waits for work. Returns `None` at the stop.
    fn wait(&self) -> Option<Work> {
        let mut desk = self.desk();
        loop {
            if self.stops() {
                return None;
            }
            if std::mem::take(&mut desk.all) {
                desk.dirty.clear();
                return Some(Work::All);
            }
            let now = Instant::now();
            // What changes together (a move, an album) is looked at together.
            let quiet = desk.dirty.values().max().copied();
            let first = desk.dirty.values().min().copied();
            match (quiet, first) {
                (Some(quiet), Some(first)) if quiet <= now || first + LONGEST_WAIT <= now => {
                    return Some(Work::Some(std::mem::take(&mut desk.dirty).into_keys().collect()));
                }
                (Some(quiet), _) => {
                    let wait = quiet.saturating_duration_since(now).min(QUIET);
                    desk = self.woken.wait_timeout(desk, wait).unwrap_or_else(PoisonError::into_inner).0;
                }
                (None, _) => {
                    let woken = self.woken.wait_timeout(desk, BETWEEN_DISKS);
                    let (back, slept) = woken.unwrap_or_else(PoisonError::into_inner);
                    desk = back;
                    if slept.timed_out() && !desk.all && desk.dirty.is_empty() && !self.stops() {
                        return Some(Work::Disks);
                    }
                }
            }
        }
    }
}

/// Looks through the roots that are there.
fn pass(inner: &Arc<Inner>, shared: &Arc<Shared>, work: Work, watch: &mut watch::Watch) -> Result<()> {
    // Watched before it is looked through: nothing that changes meanwhile is lost.
    for place in 0..inner.roots.len() {
        if let Ok(disk) = inner.disk_at(place) {
            watch.over(&disk, shared);
        }
    }
    let begun = Instant::now();
    let all = matches!(work, Work::All);
    shared.progress.send_modify(|progress| {
        progress.scanning = true;
        if all {
            (progress.files, progress.read) = (0, 0);
            progress.unreadable.clear();
        }
    });
    let mut failed = None;
    for place in 0..inner.roots.len() {
        let Ok(disk) = inner.disk_at(place) else { continue };
        let ended = root(inner, shared, &disk, &work);
        failed = failed.or(ended.err());
        if shared.stops() {
            break;
        }
    }
    shared.progress.send_modify(|progress| {
        progress.scanning = false;
        if all {
            progress.passes += 1;
            progress.last_pass_ms = begun.elapsed().as_millis() as u64;
        }
    });
    if all {
        let progress = shared.progress.borrow();
        info!(
            files = progress.files,
            read = progress.read,
            ms = begun.elapsed().as_millis(),
            "looked through the music folders"
        );
    }
    shared.desk().unfingerprinted = true;
    shared.woken.notify_all();
    failed.map_or(Ok(()), Err)
}

/// Looks through one root, or some of its folders.
fn root(inner: &Arc<Inner>, shared: &Arc<Shared>, disk: &Arc<Disk>, work: &Work) -> Result<()> {
    let base = &disk.root.path;
    let from = match work {
        Work::All | Work::AllNow => vec![(PathBuf::new(), Reach::Whole)],
        Work::Some(folders) => folders_below(base, folders),
        Work::Disks => return Ok(()),
    };
    if from.is_empty() {
        return Ok(());
    }
    let within = |path: &&Path| path != base && path.starts_with(base);
    let others = inner.roots.paths().filter(within).map(Path::to_owned).collect();
    let (own, store) = (disk.root.is_first(), &inner.store);
    let waits = !matches!(work, Work::AllNow);
    let tour = Tour { store, root: disk.id, base: base.clone(), own, others, waits, stop: &shared.stop };
    let seen = tour.walk(from)?;
    if shared.stops() || !disk.root.is_online() {
        // What was not seen may only have been out of reach.
        return Ok(());
    }
    if !matches!(work, Work::Some(_)) {
        shared.progress.send_modify(|progress| progress.files += seen.files);
    }
    let Seen { dirty, missing, gone, unreadable, young, .. } = seen;
    for folder in young {
        shared.note(base.join(folder), SETTLES);
    }
    note_unreadable(shared, base, &unreadable);
    let now = UnixTime::now().0;
    let missed = miss(inner, disk, missing, gone, now)?;
    inner.keeper.set_busy(dirty.len() > FEW);
    let read = read(inner, shared, &tour, disk, dirty, now);
    inner.keeper.set_busy(false);
    let read = read?;
    let scanned = format!("scanned:{}", disk.root.uuid);
    let first_look = store.read_blocking(|c| kept(c, &scanned))?.is_none();
    if !matches!(work, Work::Some(_)) && first_look && !shared.stops() {
        store.write_now(|c| keep(c, &scanned, "1"))?;
    }
    debug!(path = %base.display(), missed, read, "a music folder is looked through");
    lists::read(inner, disk)
}

/// Returns the folders that lie below a root, as paths below it.
fn folders_below(base: &Path, folders: &[PathBuf]) -> Vec<(PathBuf, Reach)> {
    let below = folders.iter().filter_map(|folder| folder.strip_prefix(base).ok());
    let hidden = |path: &&Path| path.iter().any(|part| part.as_encoded_bytes().starts_with(b"."));
    below.filter(|path| !hidden(path)).map(|path| (path.to_owned(), Reach::Here)).collect()
}

fn note_unreadable(shared: &Shared, base: &Path, unreadable: &[(PathBuf, String)]) {
    for (folder, why) in unreadable {
        warn!(path = %base.join(folder).display(), why, "a folder cannot be read; what is known of it stays");
    }
    let words = unreadable.iter().map(|(folder, why)| format!("{}: {why}", base.join(folder).display()));
    shared.progress.send_modify(|progress| {
        for words in words {
            if progress.unreadable.len() < MOST_UNREADABLE && !progress.unreadable.contains(&words) {
                progress.unreadable.push(words);
            }
        }
    });
}

/// Marks what is gone, some at a time, so that nobody waits long for the writer.
fn miss(
    inner: &Arc<Inner>,
    disk: &Arc<Disk>,
    missing: Vec<crate::track::CopyId>,
    gone: Vec<PathBuf>,
    now: i64,
) -> Result<usize> {
    let mut count = 0;
    let mut hand_over = |copies: Vec<_>, folders: Vec<_>| -> Result<()> {
        let (works, disk) = (inner.clone(), disk.clone());
        let work = move |c: &mut rusqlite::Connection| write::miss(&works, c, &disk, &copies, &folders, now);
        count += answer(inner.store.hand_over(work)?)?;
        Ok(())
    };
    for copies in missing.chunks(BATCH) {
        hand_over(copies.to_vec(), Vec::new())?;
    }
    for folder in gone {
        hand_over(Vec::new(), vec![folder])?;
    }
    Ok(count)
}

/// Reads what is new in these folders, on a few threads. Returns how many files.
fn read(
    inner: &Arc<Inner>,
    shared: &Arc<Shared>,
    tour: &Tour<'_>,
    disk: &Arc<Disk>,
    dirty: Vec<PathBuf>,
    now: i64,
) -> Result<usize> {
    if dirty.is_empty() {
        return Ok(0);
    }
    let scanned = format!("scanned:{}", disk.root.uuid);
    let first_look = inner.store.read_blocking(|c| kept(c, &scanned))?.is_none();
    // Taken from the end: in the order of the walk, more or less.
    let line = Mutex::new(dirty);
    let counts = tour.threads("konpo-read", || -> Result<usize> {
        let connection = inner.store.reader()?;
        let batch = Batch { first_look, ..Batch::default() };
        let mut reader = Reader { inner, shared, disk, now, batch, waiting: 0, under_way: None, read: 0 };
        loop {
            let next = line.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(folder) = next.filter(|_| !shared.stops()) else { break };
            // A folder that went meanwhile is noticed by the next look.
            if let Ok(compared) = tour.compare(&connection, &folder)? {
                reader.folder(&tour.base, folder, compared)?;
            }
        }
        reader.finish()
    })?;
    counts.into_iter().sum()
}

struct Reader<'a> {
    inner: &'a Arc<Inner>,
    shared: &'a Arc<Shared>,
    disk: &'a Arc<Disk>,
    now: i64,
    /// What was read and not handed over yet, and how many files that is.
    batch: Batch,
    waiting: usize,
    /// The batch that is being written while the next one is read.
    under_way: Option<tokio::sync::oneshot::Receiver<Result<usize>>>,
    read: usize,
}

impl Reader<'_> {
    fn folder(&mut self, base: &Path, folder: PathBuf, compared: Compared) -> Result<()> {
        let Compared { unread, refused, .. } = compared;
        for names in unread.chunks(BATCH) {
            let mut files = Vec::with_capacity(names.len());
            for name in names {
                if self.shared.stops() {
                    break;
                }
                files.extend(self.file(&base.join(&folder).join(name)));
            }
            let refused = names.iter().any(|name: &OsString| refused.contains(name));
            let files = settle::settle(files)?;
            self.waiting += files.len();
            self.batch.folders.push(FolderRead { folder: folder.clone(), files, refused });
            if self.waiting >= BATCH {
                self.hand_over()?;
            }
        }
        Ok(())
    }

    fn file(&self, path: &Path) -> Option<settle::Doubted> {
        match file::read(path) {
            Ok(doubted) => Some(doubted),
            Err(error) => {
                warn!(%error, "a music file cannot be read now; the next look tries again");
                None
            }
        }
    }

    fn hand_over(&mut self) -> Result<()> {
        self.wait()?;
        let fresh = Batch { first_look: self.batch.first_look, ..Batch::default() };
        let (batch, count) = (std::mem::replace(&mut self.batch, fresh), std::mem::take(&mut self.waiting));
        self.read += count;
        self.shared.progress.send_modify(|progress| progress.read += count as u64);
        let (inner, disk, now) = (self.inner.clone(), self.disk.clone(), self.now);
        let work = move |c: &mut rusqlite::Connection| write::write(&inner, c, &disk, &batch, now);
        self.under_way = Some(self.inner.store.hand_over(work)?);
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        self.under_way.take().map_or(Ok(()), |batch| answer(batch).map(drop))
    }

    fn finish(mut self) -> Result<usize> {
        self.hand_over()?;
        self.wait()?;
        Ok(self.read)
    }
}

fn answer<T>(answer: tokio::sync::oneshot::Receiver<Result<T>>) -> Result<T> {
    let broke = |_| Error::new(crate::error::Kind::Internal, "the writer of the database broke");
    answer.blocking_recv().map_err(broke)?
}

/// Returns the mark that a file of the shelf has now; `None` when it cannot be looked at.
pub fn stamp_of(path: &Path) -> Option<i64> {
    std::fs::symlink_metadata(path).ok().map(|found| file::stamp(&found))
}

/// Looks through everything once, on this thread: for a rebuild.
///
/// # Errors
/// Those of the database and of the disks.
/// # Blocks
/// As long as reading every file's head takes.
pub fn once(inner: &Arc<Inner>) -> Result<()> {
    let shared = inner.scanner.shared.clone();
    for place in 0..inner.roots.len() {
        let Ok(disk) = inner.disk_at(place) else { continue };
        root(inner, &shared, &disk, &Work::AllNow)?;
    }
    Ok(())
}

/// Folders that are read in no time.
const FEW: usize = 64;
/// How often it is looked whether the disks of further roots are there.
const BETWEEN_DISKS: Duration = Duration::from_secs(2);
/// Files written at once. The writer is held for some milliseconds.
const BATCH: usize = 256;
/// Folders that may wait one by one; more are a look at everything.
const MOST_DIRTY: usize = 4096;
/// Nothing must have changed for so long before a folder is looked at.
const QUIET: Duration = Duration::from_millis(500);
/// Unless it waits for so long.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// After so long a file that was being written is looked at again.
const SETTLES: Duration = Duration::from_millis(2100);
/// Folders that are named when they cannot be read.
const MOST_UNREADABLE: usize = 20;

#[cfg(test)]
mod tests;
