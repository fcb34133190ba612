//! A walk through the folders of a root: what is there against what is known. Reads no file.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::dir::{Dir, Type};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{Mode, SFlag, fstatat};
use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::library::idle;
use crate::library::scan::file::{is_music, stamp_of_stat};
use crate::library::store::scanned::Names;
use crate::library::store::{Store, scanned};
use crate::track::CopyId;

/// The root that is walked.
pub struct Tour<'a> {
    /// The database.
    pub store: &'a Store,
    /// The root's number.
    pub root: i64,
    /// Its full path.
    pub base: PathBuf,
    /// Folders at its top that konpo fills itself are left out.
    pub own: bool,
    /// Other roots that lie within this one.
    pub others: Vec<PathBuf>,
    /// Files that were written just now are left for later.
    pub waits: bool,
    /// Falls when konpo stops.
    pub stop: &'a AtomicBool,
}

/// How far to go from a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Everything below.
    Whole,
    /// The folder, and what is new below it.
    Here,
}

/// What a walk saw. Paths are below the root.
#[derive(Debug, Default)]
pub struct Seen {
    /// Music files.
    pub files: u64,
    /// Folders with files to be read.
    pub dirty: Vec<PathBuf>,
    /// Copies whose path is empty.
    pub missing: Vec<CopyId>,
    /// Folders that are gone.
    pub gone: Vec<PathBuf>,
    /// Folders that cannot be read, and why: what is known of them stays.
    pub unreadable: Vec<(PathBuf, String)>,
    /// Folders with files that were written just now: they may not be whole yet.
    pub young: Vec<PathBuf>,
}

impl Seen {
    fn add(&mut self, other: Seen) {
        self.files += other.files;
        self.dirty.extend(other.dirty);
        self.missing.extend(other.missing);
        self.gone.extend(other.gone);
        self.unreadable.extend(other.unreadable);
        self.young.extend(other.young);
    }
}

/// One folder against what is known of it.
#[derive(Debug, Default)]
pub struct Compared {
    /// Names of files to be read: new ones, and those that changed.
    pub unread: Vec<OsString>,
    /// Those among them that were refused before.
    pub refused: HashSet<OsString>,
    /// The folder's number, when it is known.
    id: Option<i64>,
    files: u64,
    missing: Vec<CopyId>,
    folders: Vec<PathBuf>,
    is_young: bool,
}

/// Folders that wait, and how many are being looked at.
struct Line {
    waiting: Vec<(PathBuf, Reach)>,
    busy: usize,
}

impl Tour<'_> {
    /// Walks from some folders on several threads.
    ///
    /// # Errors
    /// Those of the database.
    /// # Blocks
    /// As long as the disk takes.
    pub fn walk(&self, from: Vec<(PathBuf, Reach)>) -> Result<Seen> {
        let waiting = from.into_iter().filter(|(folder, _)| self.holds(folder)).collect();
        let line = Mutex::new(Line { waiting, busy: 0 });
        let woken = Condvar::new();
        let walkers = self.threads("konpo-walk", || self.walk_on(&line, &woken))?;
        let mut seen = Seen::default();
        for walked in walkers {
            seen.add(walked?);
        }
        Ok(seen)
    }

    /// Runs the same work on a few threads of low priority.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn threads<T: Send>(&self, name: &str, work: impl Fn() -> T + Sync) -> Result<Vec<T>> {
        let count = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        std::thread::scope(|scope| {
            let mut handles = Vec::with_capacity(count);
            for _ in 0..count {
                let builder = std::thread::Builder::new().name(name.into());
                let started = builder.spawn_scoped(scope, || {
                    idle::this_thread();
                    work()
                });
                handles.push(started.map_err(|error| Error::io("start a thread of the scan", error))?);
            }
            let ended = handles.into_iter().map(std::thread::ScopedJoinHandle::join);
            let broke = |_| Error::new(crate::error::Kind::Internal, "a thread of the scan broke");
            ended.map(|ended| ended.map_err(broke)).collect()
        })
    }

    fn walk_on(&self, line: &Mutex<Line>, woken: &Condvar) -> Result<Seen> {
        // One state of the database for the whole walk: it spares a lock per folder.
        let connection = self.store.reader().and_then(|connection| {
            connection.execute_batch("BEGIN")?;
            Ok(connection)
        });
        let mut seen = Seen::default();
        let mut failed = None;
        let (mut mine, mut below) = (Vec::new(), Vec::new());
        loop {
            let mut waits = line.lock().unwrap_or_else(PoisonError::into_inner);
            waits.busy -= usize::from(!mine.is_empty());
            mine.clear();
            waits.waiting.append(&mut below);
            while waits.waiting.is_empty() && waits.busy > 0 && !self.stop.load(Ordering::Relaxed) {
                waits = woken.wait(waits).unwrap_or_else(PoisonError::into_inner);
            }
            if waits.waiting.is_empty() || self.stop.load(Ordering::Relaxed) {
                woken.notify_all();
                return failed.map_or(Ok(seen), Err);
            }
            // Some at once, so that the threads do not meet at every folder; enough is left for the others.
            let take = (waits.waiting.len() / 2).clamp(1, AT_ONCE);
            let from = waits.waiting.len() - take;
            mine.extend(waits.waiting.drain(from..));
            waits.busy += 1;
            let more = !waits.waiting.is_empty();
            drop(waits);
            if more {
                woken.notify_one();
            }
            for (folder, reach) in &mine {
                let looked = match &connection {
                    Ok(connection) => self.visit(connection, folder.clone(), *reach, &mut seen),
                    Err(error) => Err(Error::new(error.kind(), error.to_string())),
                };
                match looked {
                    Ok(found) => below.extend(found),
                    Err(error) => failed = Some(error),
                }
            }
        }
    }

    /// Returns whether a folder, below the root, is part of it: konpo's own folders and other roots are not.
    fn holds(&self, folder: &Path) -> bool {
        let own =
            self.own && folder.iter().next().is_some_and(|top| OWN_FOLDERS.iter().any(|own| top == *own));
        !own && !self.others.iter().any(|other| self.base.join(folder).starts_with(other))
    }

    /// Looks at one folder. Returns those below it that are to be looked at, too.
    fn visit(
        &self,
        connection: &Connection,
        folder: PathBuf,
        reach: Reach,
        seen: &mut Seen,
    ) -> Result<Vec<(PathBuf, Reach)>> {
        let compared = match self.compare(connection, &folder)? {
            Ok(compared) => compared,
            Err(error) if is_gone(&error) => {
                seen.gone.push(folder);
                return Ok(Vec::new());
            }
            Err(error) => {
                seen.unreadable.push((folder, error.to_string()));
                return Ok(Vec::new());
            }
        };
        let known =
            compared.id.map(|id| scanned::folders_below(connection, id)).transpose()?.unwrap_or_default();
        let known: HashSet<PathBuf> = known.into_iter().collect();
        let there: HashSet<&PathBuf> = compared.folders.iter().collect();
        seen.gone.extend(known.iter().filter(|path| !there.contains(path)).cloned());
        seen.files += compared.files;
        seen.missing.extend(&compared.missing);
        if compared.is_young {
            seen.young.push(folder.clone());
        }
        if !compared.unread.is_empty() {
            seen.dirty.push(folder);
        }
        let wanted = |path: &PathBuf| reach == Reach::Whole || !known.contains(path);
        Ok(compared.folders.into_iter().filter(wanted).map(|path| (path, Reach::Whole)).collect())
    }

    /// Compares one folder with what is known of it; the inner error is the disk's.
    ///
    /// # Errors
    /// Those of the database.
    pub fn compare(&self, connection: &Connection, folder: &Path) -> Result<std::io::Result<Compared>> {
        let (id, mut known) = scanned::known(connection, self.root, folder)?;
        let mut compared = Compared { id, ..Compared::default() };
        let listed = self.list(folder, &mut known, &mut compared);
        compared.missing = known.rest().filter_map(|known| known.copy).collect();
        Ok(listed.map(|()| compared))
    }

    /// Looks at every entry of a folder on the disk.
    fn list(&self, folder: &Path, known: &mut Names, compared: &mut Compared) -> std::io::Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut open = Dir::open(&self.base.join(folder), flags, Mode::empty())?;
        let at = open.as_fd().try_clone_to_owned()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs()).cast_signed();
        for entry in open.iter() {
            let entry = entry?;
            let (c_name, bytes) = (entry.file_name(), entry.file_name().to_bytes());
            if bytes.starts_with(b".") {
                continue;
            }
            let name = OsStr::from_bytes(bytes);
            // Some disks do not say what an entry is.
            let unsaid = entry.file_type().is_none();
            let may_be_music = is_music(name);
            if !unsaid && entry.file_type() != Some(Type::Directory) && !may_be_music {
                continue;
            }
            let found = if unsaid || entry.file_type() == Some(Type::File) {
                match fstatat(&at, c_name, AtFlags::AT_SYMLINK_NOFOLLOW) {
                    Ok(found) => Some(found),
                    Err(Errno::ENOENT) => continue,
                    Err(errno) => return Err(errno.into()),
                }
            } else {
                None
            };
            let kind =
                |is: SFlag| found.is_some_and(|found| found.st_mode & SFlag::S_IFMT.bits() == is.bits());
            // A link is not followed: what it names is found where it lies, or is no part of this folder.
            if entry.file_type() == Some(Type::Directory) || kind(SFlag::S_IFDIR) {
                compared.folders.extend(Some(folder.join(name)).filter(|folder| self.holds(folder)));
                continue;
            }
            let Some(found) = found.filter(|_| kind(SFlag::S_IFREG) && may_be_music) else { continue };
            compared.files += 1;
            let was = known.take(bytes);
            let (size, stamp) = (found.st_size.cast_unsigned(), stamp_of_stat(&found));
            if was.is_some_and(|was| was.size == size && was.stamp == Some(stamp)) {
                continue;
            }
            if self.waits && (0..YOUNG).contains(&(now - found.st_ctime)) {
                compared.is_young = true;
                continue;
            }
            if was.is_some_and(|was| was.copy.is_none()) {
                compared.refused.insert(name.to_owned());
            }
            compared.unread.push(name.to_owned());
        }
        Ok(())
    }
}

/// Whether a disk says that there is nothing at a path.
fn is_gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

/// Returns the path that the database's bytes mean.
pub fn name_of(bytes: &[u8]) -> OsString {
    OsString::from_vec(bytes.to_vec())
}

/// Folders at the top of the first root that are not part of the shelf.
const OWN_FOLDERS: [&str; 2] = ["Inbox", "Playlists"];
/// A file whose entry changed less than so many seconds ago may still be written.
const YOUNG: i64 = 2;
/// Folders that a thread takes at once.
const AT_ONCE: usize = 16;
/// More threads than this only make a disk seek.
const MOST_THREADS: usize = 4;
