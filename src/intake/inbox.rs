//! The drop folder: whatever lies there quietly is moved into staging under a row of the journal. What cannot be taken goes
//! back under its name and is left alone until it changes. One task; the folder itself is read off the tasks' threads.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use crate::error::{Error, Kind, Result};
use crate::intake::names::part_name_of_inbox;
use crate::intake::staging::{Held, blocking, put_back, staging_dir};
use crate::intake::{Inner, history};
use crate::library::JournalRow;
use crate::library::disk::move_new;
use crate::offer::{OfferId, Provenance, Stage, Verdict};
use crate::units::{ByteCount, UnixTime};

/// By what a changed file is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mark {
    /// Its size in bytes.
    pub size: u64,
    /// Its time of change, nanoseconds since 1970.
    pub modified: i128,
}

/// What the row of a file of the drop folder keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Its path below the drop folder, as the bytes it has on disk.
    path: Vec<u8>,
    /// What it was when it was taken.
    pub mark: Mark,
}

/// A file that was looked at and left in the drop folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// What it was then.
    pub mark: Mark,
    /// The row that says why.
    pub id: OfferId,
}

/// When a file was first seen as it is.
#[derive(Debug, Clone, Copy)]
struct Since {
    mark: Mark,
    at: Instant,
}

impl Mark {
    /// Returns the mark of a file.
    pub fn of(metadata: &fs::Metadata) -> Mark {
        let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Mark { size: metadata.len(), modified }
    }
}

impl Taken {
    /// Returns what is kept of a path below the drop folder.
    pub fn new(path: &Path, mark: Mark) -> Taken {
        Taken { path: path.as_os_str().as_bytes().to_vec(), mark }
    }

    /// Returns what a row keeps; `None` for a row of another way in.
    pub fn of(row: &JournalRow) -> Option<Taken> {
        if row.provenance.way != WAY {
            return None;
        }
        serde_json::from_str(&row.facts).ok()
    }

    /// Returns the path below the drop folder.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(OsString::from_vec(self.path.clone()))
    }

    /// Returns this as a row keeps it.
    ///
    /// # Errors
    /// None in practice.
    pub fn to_facts(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| Error::with(Kind::Internal, "write a row's facts", error))
    }
}

/// Returns what earlier runs left in the drop folder. `rows` is newest first; the newest row of a path counts.
pub fn left_before(rows: &[JournalRow]) -> HashMap<PathBuf, Left> {
    let mut found = HashMap::new();
    for row in rows {
        if let Some(taken) = Taken::of(row) {
            let left = match &row.verdict {
                // The owner may have changed the rule since.
                Some(Verdict::Refused { code, .. }) if code != "gone" && code != "rule" => {
                    Some(Left { mark: taken.mark, id: row.id })
                }
                Some(Verdict::Read { .. }) => Some(Left { mark: taken.mark, id: row.id }),
                _ => None,
            };
            found.entry(taken.path()).or_insert(left);
        }
    }
    found.into_iter().filter_map(|(path, left)| Some((path, left?))).collect()
}

/// Looks after the drop folder until the stop token falls.
pub async fn run(inner: Arc<Inner>) {
    let nudge = Arc::new(Notify::new());
    let writing = Writing::default();
    let mut watcher = None;
    let mut growing = HashMap::new();
    let mut turns = inner.turns.subscribe();
    loop {
        if watcher.is_none() {
            watcher = watch(&inner, nudge.clone(), writing.clone()).await;
        }
        let wait = match look(&inner, &mut growing, &writing, Instant::now()).await {
            Ok(wait) => wait.unwrap_or(BETWEEN_LOOKS),
            Err(error) => {
                debug!(%error, "the drop folder cannot be read now");
                BETWEEN_LOOKS
            }
        };
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            // The folder of a disk that came back is another one.
            Ok(()) = turns.changed() => watcher = None,
            () = nudge.notified() => tokio::select! {
                () = inner.stop.cancelled() => return,
                () = tokio::time::sleep(BREATH) => {}
            },
        }
    }
}

/// Watches for changes; without a watcher the looks from time to time must do.
async fn watch(inner: &Arc<Inner>, nudge: Arc<Notify>, writing: Writing) -> Option<RecommendedWatcher> {
    let library = inner.library.clone();
    let watched = blocking(move || {
        let inbox = library.inbox_dir()?;
        let failed = |error| Error::with(Kind::Internal, "watch the drop folder", error);
        let heard = move |event: notify::Result<notify::Event>| {
            // Our own looks open folders, and that is heard as well.
            if event.map_or(true, |event| writing.hear(&event)) {
                nudge.notify_one();
            }
        };
        let mut watcher = notify::recommended_watcher(heard).map_err(failed)?;
        watcher.watch(&inbox, RecursiveMode::Recursive).map_err(failed)?;
        Ok(watcher)
    });
    watched.await.inspect_err(|error| debug!(%error, "the drop folder is looked at from time to time")).ok()
}

/// Looks once, and takes what is quiet. Returns when to look again, when some file is not.
async fn look(
    inner: &Arc<Inner>,
    growing: &mut HashMap<PathBuf, Since>,
    writing: &Writing,
    now: Instant,
) -> Result<Option<Duration>> {
    let library = inner.library.clone();
    let (inbox, seen) = blocking(move || {
        let (inbox, mut seen) = (library.inbox_dir()?, Vec::new());
        walk(&inbox, Path::new(""), 0, &mut seen);
        seen.sort();
        Ok((inbox, seen))
    })
    .await?;
    let open = writing.below(&inbox);
    forget_gone(inner, &seen);
    let left = inner.left().clone();
    let (quiet, again) = decide(growing, &left, &open, seen, now);
    let told = quiet.clone();
    let histories = blocking(move || {
        let is_history = |(path, _): &(PathBuf, Mark)| history::is_history(&inbox.join(path));
        Ok(told.into_iter().filter(is_history).collect::<Vec<_>>())
    })
    .await?;
    for (path, mark) in quiet {
        if inner.stop.is_cancelled() {
            return Ok(None);
        }
        if !histories.contains(&(path.clone(), mark)) {
            take(inner, &path, mark).await?;
        }
    }
    if histories.is_empty() {
        return Ok(again);
    }
    if !growing.is_empty() || history::is_early(inner).await? {
        return Ok(Some(again.unwrap_or(QUIET)));
    }
    for (path, mark) in histories {
        history::read(inner, path, mark).await?;
    }
    Ok(again)
}

/// Forgets what was left and lies there no more, or is another file now.
fn forget_gone(inner: &Inner, seen: &[(PathBuf, Mark)]) {
    let seen: HashMap<&PathBuf, &Mark> = seen.iter().map(|(path, mark)| (path, mark)).collect();
    let mut gone = Vec::new();
    inner.left().retain(|path, left| {
        let lies = seen.get(path).is_some_and(|mark| **mark == left.mark);
        if !lies {
            gone.push(left.id);
        }
        lies
    });
    for id in gone {
        inner.notes.lies_no_more(id);
    }
}

/// Finds the files below a folder. One that cannot be read now is found by a later look.
fn walk(inbox: &Path, below: &Path, depth: u32, seen: &mut Vec<(PathBuf, Mark)>) {
    for entry in fs::read_dir(inbox.join(below)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if waits(&name.to_string_lossy()) || seen.len() >= MOST_FILES {
            continue;
        }
        let path = below.join(&name);
        // Of a link itself: what it points to is not ours to move.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() && depth < DEEPEST {
            walk(inbox, &path, depth + 1, seen);
        } else if metadata.is_file() {
            seen.push((path, Mark::of(&metadata)));
        }
    }
}

/// Names that programs give to files they are still writing, and what desktops leave in every folder.
fn waits(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with('.')
        || [".part", ".tmp", ".crdownload", "~"].iter().any(|end| name.ends_with(end))
        || ["thumbs.db", "desktop.ini"].contains(&name.as_str())
}

/// Files that somebody writes and has not closed, as the kernel tells: a program that pauses is not done.
#[derive(Debug, Clone, Default)]
struct Writing(Arc<Mutex<HashSet<PathBuf>>>);

impl Writing {
    /// Takes an event. Returns whether the folder is to be looked at.
    fn hear(&self, event: &notify::Event) -> bool {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                open.retain(|path| !event.paths.contains(path));
                true
            }
            EventKind::Access(_) => false,
            EventKind::Create(CreateKind::Folder) => true,
            EventKind::Create(_) | EventKind::Modify(ModifyKind::Data(_)) => {
                // Beyond this many the time of quiet must do.
                if open.len() < MOST_FILES {
                    open.extend(event.paths.iter().cloned());
                }
                true
            }
            // Renamed files come whole; a writer that goes on writing makes itself known again.
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                open.retain(|path| !event.paths.contains(path));
                true
            }
            _ => true,
        }
    }

    /// Returns the files below the drop folder, as paths below it.
    fn below(&self, inbox: &Path) -> HashSet<PathBuf> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().filter_map(|path| Some(path.strip_prefix(inbox).ok()?.to_owned())).collect()
    }
}

/// Returns the files that did not change for a while, and when the next one may be quiet.
fn decide(
    growing: &mut HashMap<PathBuf, Since>,
    left: &HashMap<PathBuf, Left>,
    open: &HashSet<PathBuf>,
    seen: Vec<(PathBuf, Mark)>,
    now: Instant,
) -> (Vec<(PathBuf, Mark)>, Option<Duration>) {
    let mut before = std::mem::take(growing);
    let (mut quiet, mut again) = (Vec::new(), None::<Duration>);
    for (path, mark) in seen {
        if left.get(&path).is_some_and(|left| left.mark == mark) {
            continue;
        }
        let since =
            before.remove(&path).filter(|since| since.mark == mark).unwrap_or(Since { mark, at: now });
        let waited = now.saturating_duration_since(since.at);
        let needed = if open.contains(&path) { NEVER_CLOSED } else { QUIET };
        if waited >= needed {
            quiet.push((path, mark));
        } else {
            let rest = needed - waited;
            again = Some(again.map_or(rest, |again| again.min(rest)));
            growing.insert(path, since);
        }
    }
    (quiet, again)
}

/// Takes a file: the row first, with the name it is going to have, then the move, then the row again.
pub(in crate::intake) async fn take(inner: &Arc<Inner>, path: &Path, mark: Mark) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let row = JournalRow {
        id: OfferId(0),
        stage: Stage::Offered,
        part: Some(part_name_of_inbox(&name)),
        provenance: Provenance {
            way: WAY.to_owned(),
            device: String::new(),
            device_name: "Inbox".to_owned(),
            original_name: name,
            remote: String::new(),
        },
        item: None,
        size: Some(ByteCount(mark.size)),
        etag: None,
        verdict: None,
        facts: Taken::new(path, mark).to_facts()?,
        at: UnixTime::now(),
    };
    take_again(inner, row, None).await
}

/// Moves the file of a row into staging, wherever a power cut interrupted that.
pub async fn take_again(inner: &Arc<Inner>, mut row: JournalRow, held: Option<Held>) -> Result<()> {
    let Some(mut taken) = Taken::of(&row) else { return Ok(()) };
    row.stage = Stage::Offered;
    let size = row.size.unwrap_or_default();
    inner.keep(&mut row, size).await?;
    let _held = held.map_or_else(|| Held::new(inner.clone(), row.id), Ok)?;
    let part = staging_dir(&inner.library).await?.join(row.part.as_deref().unwrap_or_default());
    let library = inner.library.clone();
    let path = taken.path();
    let moved = blocking(move || {
        let from = library.inbox_dir()?.join(&path);
        let failed = |error| Error::io(format!("take {}", from.display()), error);
        let file = fs::File::open(&from).map_err(failed)?;
        let mark = Mark::of(&file.metadata().map_err(failed)?);
        file.sync_all().map_err(failed)?;
        move_new(&from, &part)?;
        Ok(mark)
    })
    .await;
    match moved {
        Ok(mark) => {
            taken.mark = mark;
            row.facts = taken.to_facts()?;
            row.size = Some(ByteCount(mark.size));
            row.stage = Stage::Staged;
            inner.keep(&mut row, ByteCount(mark.size)).await?;
            inner.work.notify_one();
            Ok(())
        }
        Err(error) if matches!(error.kind(), Kind::Offline | Kind::Stopped) => Err(error),
        Err(error) => {
            // Somebody removed it, it may not be read, or another disk is mounted there.
            info!(%error, "a file stays in the drop folder");
            let gone = error.kind() == Kind::NotFound;
            let code = if gone { "gone" } else { "unsupported" };
            if !gone {
                inner.left().insert(taken.path(), Left { mark: taken.mark, id: row.id });
            }
            let verdict = Verdict::Refused { code: code.to_owned(), reason: error.to_string() };
            inner.end(&mut row, verdict, ByteCount(0)).await
        }
    }
}

/// Brings a file back that cannot be taken, and leaves it alone from now on. `row` keeps where it lies.
pub async fn give_back(inner: &Inner, row: &mut JournalRow, part: PathBuf, leave: Leave) -> Result<()> {
    let Some(taken) = Taken::of(row) else { return Ok(()) };
    let (library, path) = (inner.library.clone(), taken.path());
    let (path, mark) = blocking(move || {
        let inbox = library.inbox_dir()?;
        let path = put_back(&inbox, &path, &part)?;
        let metadata = fs::metadata(inbox.join(&path)).map_err(|error| Error::io("look at a file", error))?;
        Ok((path, Mark::of(&metadata)))
    })
    .await?;
    row.facts = Taken::new(&path, mark).to_facts()?;
    match leave {
        Leave::UntilItChanges => {
            warn!(path = %path.display(), "a file stays in the drop folder");
            inner.left().insert(path, Left { mark, id: row.id });
        }
        Leave::No => {}
    }
    Ok(())
}

/// Whether a file that went back is taken again as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// Only when its size or time changes.
    UntilItChanges,
    /// As soon as it is quiet.
    No,
}

/// The way's name in the ledger.
pub const WAY: &str = "inbox";
/// A file that did not change for so long is whole: copying programs write more often.
const QUIET: Duration = Duration::from_secs(2);
/// A file whose close was never heard (a hard link, an event that was lost) is taken after so long without a change.
const NEVER_CLOSED: Duration = Duration::from_secs(600);
const BETWEEN_LOOKS: Duration = Duration::from_secs(30);
/// While a file is being copied, changes come by the thousand.
const BREATH: Duration = Duration::from_millis(500);
const DEEPEST: u32 = 8;
/// The rest is found once these are taken.
const MOST_FILES: usize = 20_000;

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Looks once, as the task does.
    pub async fn look_once(inner: &Arc<Inner>) {
        look(inner, &mut HashMap::new(), &Writing::default(), Instant::now()).await.expect("looked");
    }

    fn seen(size: u64) -> Vec<(PathBuf, Mark)> {
        vec![("a.flac".into(), Mark { size, modified: 7 })]
    }

    #[test]
    fn a_file_is_taken_once_it_is_quiet_for_two_seconds() {
        let (mut growing, none) = (HashMap::new(), HashMap::new());
        let start = Instant::now();
        let mut at = |ms: u64, size: u64| {
            let (quiet, again) =
                decide(&mut growing, &none, &HashSet::new(), seen(size), start + Duration::from_millis(ms));
            (quiet.len(), again.map(|again| again.as_millis()))
        };
        assert_eq!(at(0, 10), (0, Some(2000)));
        assert_eq!(at(1500, 10), (0, Some(500)));
        assert_eq!(at(1900, 20), (0, Some(2000)), "it grew");
        assert_eq!(at(3900, 20), (1, None));
    }

    #[test]
    fn a_file_that_is_still_open_waits_however_quiet_it_is() {
        let (mut growing, none, writing) = (HashMap::new(), HashMap::new(), Writing::default());
        let (inbox, start) = (Path::new("/m/Inbox"), Instant::now());
        let heard = |kind| notify::Event::new(kind).add_path("/m/Inbox/a.flac".into());
        let data = EventKind::Modify(ModifyKind::Data(notify::event::DataChange::Any));
        assert!(writing.hear(&heard(data)));
        assert!(decide(&mut growing, &none, &writing.below(inbox), seen(10), start).0.is_empty());
        let later = start + QUIET * 30;
        assert!(decide(&mut growing, &none, &writing.below(inbox), seen(10), later).0.is_empty());
        assert!(!writing.hear(&heard(EventKind::Access(AccessKind::Open(AccessMode::Any)))));
        assert!(writing.hear(&heard(EventKind::Access(AccessKind::Close(AccessMode::Write)))));
        assert_eq!(decide(&mut growing, &none, &writing.below(inbox), seen(10), later).0.len(), 1);
    }

    #[test]
    fn what_was_refused_is_left_alone_until_it_changes() {
        let mark = Mark { size: 10, modified: 7 };
        let left = HashMap::from([(PathBuf::from("a.flac"), Left { mark, id: OfferId(1) })]);
        let (mut growing, start) = (HashMap::new(), Instant::now());
        assert_eq!(decide(&mut growing, &left, &HashSet::new(), seen(10), start), (vec![], None));
        assert_eq!(decide(&mut growing, &left, &HashSet::new(), seen(11), start), (vec![], Some(QUIET)));
        assert_eq!(decide(&mut growing, &left, &HashSet::new(), seen(11), start + QUIET).0.len(), 1);
    }

    #[test]
    fn unfinished_and_hidden_files_wait_and_subfolders_are_walked() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("Album/empty")).expect("made");
        fs::create_dir_all(folder.path().join(".hidden")).expect("made");
        for name in ["Album/1.mp3", "a.part", "b.TMP", "c.crdownload", "d~", ".e", ".hidden/f.mp3", "g.mp3"] {
            fs::write(folder.path().join(name), "x").expect("written");
        }
        let mut seen = Vec::new();
        walk(folder.path(), Path::new(""), 0, &mut seen);
        seen.sort();
        let names: Vec<_> = seen.iter().map(|(path, _)| path.to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["Album/1.mp3", "g.mp3"]);
        assert!(folder.path().join("Album/empty").exists());
    }
}
