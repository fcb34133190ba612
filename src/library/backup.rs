//! Copies of owner.db: rolling ones in `<data>/backup`, and one without secrets beside the music. Every copy is taken at one
//! moment while the writer goes on, checked before it gets its name, and synced. `roll_back` is the way back.
//!
//! Runs on threads that may block; one call at a time in one folder of data.

pub mod roll_back;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use tracing::info;

use crate::error::{Error, Kind, Result};
use crate::library::disk::{make_folder, remove, sync_folder};
use crate::library::root::HIDDEN;
use crate::library::store::OWNER;
use crate::library::upgrade::newest;
use crate::units::UnixTime;

/// When the next copy is due. The backups and the snapshot have one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    last: Option<UnixTime>,
    arrivals: u32,
    failed: Option<UnixTime>,
}

impl Due {
    /// Returns what is known at the start: when the last copy was made ([`last`], [`last_snapshot`]).
    pub fn since(last: Option<UnixTime>) -> Due {
        Due { last, arrivals: 0, failed: None }
    }

    /// Counts arrivals.
    pub fn arrived(&mut self, count: u32) {
        self.arrivals = self.arrivals.saturating_add(count);
    }

    /// Says whether a copy is due; after one that failed, an hour passes first.
    pub fn is_due(&self, now: UnixTime) -> bool {
        let waits = self.failed.is_some_and(|at| (at.0..at.0.saturating_add(HOUR)).contains(&now.0));
        !waits && due(self.last, self.arrivals, now)
    }

    /// Notes that a copy was made.
    pub fn made(&mut self, now: UnixTime) {
        *self = Due::since(Some(now));
    }

    /// Notes that a copy could not be made.
    pub fn failed(&mut self, now: UnixTime) {
        self.failed = Some(now);
    }
}

/// Says whether a copy is due: once a day, and after 50 arrivals. A last copy that is dated after now tells nothing: the
/// clock was set, and a copy is due.
pub fn due(last: Option<UnixTime>, arrivals_since: u32, now: UnixTime) -> bool {
    let fresh = last.is_some_and(|last| last <= now && now.0.saturating_sub(last.0) < DAY);
    !fresh || arrivals_since >= MOST_ARRIVALS
}

/// Copies owner.db into the folder of backups. Returns the copy, which was checked and is on the disk.
///
/// # Errors
/// `Damaged` when the database or its copy fails the check, `Full`, and those of the disk; nothing is left behind then.
/// # Blocks
/// As long as the disk takes, with a short pause for every MB; the writer is never held up.
pub fn make(data: &Path, now: UnixTime) -> Result<PathBuf> {
    let folder = data.join(FOLDER);
    make_folder(&folder, 0o700)?;
    let (part, target) = (folder.join(PART), folder.join(name_of(now)));
    clear(&part)?;
    let made = copy(&data.join(OWNER), &part).and_then(|()| settle(&part, &target));
    if made.is_err() {
        // What cannot be removed now is removed by the next call.
        let _left = clear(&part);
    }
    made?;
    info!(backup = %target.display(), "the database is backed up");
    Ok(target)
}

/// Removes the backups that are no longer needed: what stays are the newest 3, one a day for 7 days and one of each of the 4
/// weeks before this one. One that is dated after now stays: a clock that is wrong decides nothing.
///
/// # Errors
/// Those of the disk.
pub fn prune(data: &Path, now: UnixTime) -> Result<()> {
    let found = list(data)?;
    let stamps: Vec<UnixTime> = found.iter().map(|(stamp, _)| *stamp).collect();
    for ((_, path), stays) in found.iter().zip(keep(&stamps, now)) {
        if !stays {
            remove(path)?;
        }
    }
    Ok(())
}

/// Returns when the last backup was made, as far as it is not dated after now; `None` without any.
///
/// # Errors
/// Those of the disk.
pub fn last(data: &Path, now: UnixTime) -> Result<Option<UnixTime>> {
    Ok(list(data)?.into_iter().map(|(stamp, _)| stamp).filter(|stamp| *stamp <= now).max())
}

/// Copies owner.db without secrets beside the music, to `.konpo/snapshot.db`. No byte of a secret is ever written there.
///
/// # Errors
/// `Offline` while the disk is not there: nothing is created then. Else as [`make`]; the snapshot before stays on an error.
/// # Blocks
/// As long as both disks take; the writer is never held up.
pub fn snapshot(data: &Path, root: &Path) -> Result<()> {
    let hidden = root.join(HIDDEN);
    if !hidden.join("root.toml").is_file() {
        return Err(Error::new(Kind::Offline, format!("the music disk is not there: {}", root.display())));
    }
    let folder = data.join(FOLDER);
    make_folder(&folder, 0o700)?;
    let (whole, part) = (folder.join(PART), hidden.join(SNAPSHOT_PART));
    clear(&whole)?;
    clear(&part)?;
    let made = copy(&data.join(OWNER), &whole)
        .and_then(|()| strip(&whole, &part))
        .and_then(|()| settle(&part, &hidden.join(SNAPSHOT)));
    if made.is_err() {
        // What cannot be removed now is removed by the next call.
        let _left = clear(&part);
    }
    clear(&whole)?;
    made
}

/// Returns when the snapshot beside the music was made; `None` without one.
pub fn last_snapshot(root: &Path) -> Option<UnixTime> {
    let changed = fs::metadata(root.join(HIDDEN).join(SNAPSHOT)).and_then(|found| found.modified()).ok()?;
    let since = changed.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(UnixTime(i64::try_from(since.as_secs()).ok()?))
}

/// Returns the newest copy that is whole: a backup, or the snapshot beside the music when that is more than an hour newer (a
/// backup keeps the paired devices, too). `None` without any.
///
/// # Errors
/// Those of the disk.
/// # Blocks
/// As long as checking a database takes.
pub fn newest_copy(data: &Path, root: &Path, now: UnixTime) -> Result<Option<PathBuf>> {
    let snapshot = root.join(HIDDEN).join(SNAPSHOT);
    let mut found = list(data)?;
    if let Some(made) = last_snapshot(root) {
        found.push((UnixTime(made.0.saturating_sub(HOUR)), snapshot));
    }
    newest_first(&mut found, now);
    Ok(found.into_iter().map(|(_, path)| path).find(|path| verify(path).is_ok_and(|of| of <= newest())))
}

/// Puts copies in the order in which they are tried. What is dated long after now was made by a clock that was wrong: it may
/// be the oldest of all.
fn newest_first(found: &mut [(UnixTime, PathBuf)], now: UnixTime) {
    found.sort_by_key(|(stamp, _)| (stamp.0 > now.0.saturating_add(DAY), Reverse(*stamp)));
}

/// Copies a database as it is at one moment.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let source = open_to_read(from)?;
    source.busy_timeout(BUSY).map_err(failed("copy", from))?;
    // One read around all steps: they see one moment, and what is written between two of them does not start the copy
    // again. A reader never holds up the writer of a WAL.
    let moment = source.unchecked_transaction().map_err(failed("copy", from))?;
    let version = version_of(&moment).map_err(failed("copy", from))?;
    let mut target = Connection::open(to).map_err(failed("make", to))?;
    // It is synced as a whole when it is whole; half of one is worth nothing.
    target
        .execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY")
        .map_err(failed("make", to))?;
    steps(&moment, &mut target).map_err(|error| Error::with(error.kind(), "copy the database", error))?;
    // One file that is whole in itself.
    let mode = target.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get::<_, String>(0));
    mode.map_err(failed("finish", to))?;
    target.close().map_err(|(_, error)| failed("finish", to)(error))?;
    drop(moment);
    match verify(to)? {
        copied if copied == version => Ok(()),
        copied => {
            let what = format!("check {}: its version is {copied}, not {version}", to.display());
            Err(Error::new(Kind::Damaged, what))
        }
    }
}

fn steps(source: &Connection, target: &mut Connection) -> Result<()> {
    let backup = Backup::new(source, target)?;
    let mut refused = 0;
    loop {
        match backup.step(STEP_PAGES)? {
            StepResult::Done => return Ok(()),
            StepResult::More => refused = 0,
            // Somebody else holds a lock.
            _ => refused += 1,
        }
        if refused > MOST_REFUSED {
            return Err(Error::new(Kind::Busy, "another program holds the database"));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Checks a database that nobody writes. Returns its version.
///
/// # Errors
/// `Damaged` with what is wrong.
fn verify(path: &Path) -> Result<u32> {
    let damaged = |why: String| Error::new(Kind::Damaged, format!("check {}: {why}", path.display()));
    let database = open_to_read(path)?;
    let verdict = database.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    let verdict = verdict.map_err(failed("check", path))?;
    if verdict != "ok" {
        return Err(damaged(verdict));
    }
    match version_of(&database).map_err(failed("check", path))? {
        0 => Err(damaged("it is no database of konpo".into())),
        version => Ok(version),
    }
}

/// Takes the secrets out of a copy, and writes what is left to a file of its own: only living rows get there.
fn strip(whole: &Path, to: &Path) -> Result<()> {
    let database = Connection::open(whole).map_err(failed("open", whole))?;
    let stripped = || -> rusqlite::Result<()> {
        // ON also zeroes what the pages of the new file do not use.
        database.query_row("PRAGMA secure_delete = ON", [], |_| Ok(()))?;
        let mut names = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
        let names = names.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
        for name in names.iter().filter(|name| names_a_secret(name)) {
            database.execute(&format!("DELETE FROM \"{name}\""), [])?;
        }
        let mut kept = database.prepare("SELECT name FROM kept")?;
        let kept = kept.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
        for name in kept.iter().filter(|name| names_a_secret(name)) {
            database.execute("DELETE FROM kept WHERE name = ?1", [name])?;
        }
        database.execute("VACUUM INTO ?1", [to.to_string_lossy()])?;
        Ok(())
    };
    stripped().map_err(failed("write", to))?;
    verify(to).map(drop)
}

/// A table or a kept value of such a name holds keys; one that a later version adds is left out by its name, too.
fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["key", "token", "secret", "password", "cookie"].iter().any(|word| name.contains(word))
}

/// Gives a copy that was checked its name, durably.
fn settle(part: &Path, target: &Path) -> Result<()> {
    let synced = File::open(part).and_then(|file| file.sync_all());
    synced.map_err(|error| Error::io(format!("sync {}", part.display()), error))?;
    fs::rename(part, target).map_err(|error| Error::io(format!("name {}", target.display()), error))?;
    target.parent().map_or(Ok(()), sync_folder)
}

/// Removes what an interrupted copy left.
fn clear(part: &Path) -> Result<()> {
    for tail in ["", "-journal", "-wal", "-shm"] {
        let mut path = part.as_os_str().to_owned();
        path.push(tail);
        remove(Path::new(&path))?;
    }
    Ok(())
}

/// Says which backups stay.
fn keep(stamps: &[UnixTime], now: UnixTime) -> Vec<bool> {
    let day_of = |stamp: UnixTime| stamp.0.div_euclid(DAY);
    // 1970-01-01 was a Thursday; weeks begin on Monday.
    let week_of = |stamp: UnixTime| (day_of(stamp) + 3).div_euclid(7);
    let mut newest_first: Vec<usize> = (0..stamps.len()).collect();
    newest_first.sort_by_key(|&at| Reverse(stamps[at]));
    let (mut days, mut weeks) = (HashSet::new(), HashSet::new());
    let mut stays = vec![false; stamps.len()];
    for (rank, at) in newest_first.into_iter().enumerate() {
        let stamp = stamps[at];
        let ahead = stamp > now;
        let of_day = !ahead && day_of(now) - day_of(stamp) < DAYS && days.insert(day_of(stamp));
        let of_week = !ahead && week_of(now) - week_of(stamp) < WEEKS && weeks.insert(week_of(stamp));
        stays[at] = ahead || rank < NEWEST || of_day || of_week;
    }
    stays
}

/// Returns the backups, in no order.
fn list(data: &Path) -> Result<Vec<(UnixTime, PathBuf)>> {
    let folder = data.join(FOLDER);
    let failed = |error| Error::io(format!("list {}", folder.display()), error);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if let Some(stamp) = entry.file_name().to_str().and_then(stamp_of) {
            found.push((stamp, entry.path()));
        }
    }
    Ok(found)
}

fn name_of(stamp: UnixTime) -> String {
    format!("owner-{}.db", stamp.rfc3339().replace(['-', ':'], ""))
}

fn stamp_of(name: &str) -> Option<UnixTime> {
    let text = name.strip_prefix("owner-")?.strip_suffix(".db")?;
    let part = |range: std::ops::Range<usize>| text.get(range);
    let date = format!("{}-{}-{}", part(0..4)?, part(4..6)?, part(6..8)?);
    let time = format!("{}:{}:{}", part(9..11)?, part(11..13)?, part(13..15)?);
    let stamp = UnixTime::parse(&format!("{date}T{time}Z"))?;
    (name_of(stamp) == name).then_some(stamp)
}

fn open_to_read(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags).map_err(failed("open", path))
}

fn version_of(database: &Connection) -> rusqlite::Result<u32> {
    database.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn failed(tried: &str, path: &Path) -> impl Fn(rusqlite::Error) -> Error {
    let what = format!("{tried} {}", path.display());
    move |error| {
        let error = Error::from(error);
        Error::with(error.kind(), what.clone(), error)
    }
}

/// The folder of backups, in the folder of data.
const FOLDER: &str = "backup";
/// A backup that is being made.
const PART: &str = "copy.part";
/// The copy beside the music.
const SNAPSHOT: &str = "snapshot.db";
const SNAPSHOT_PART: &str = "snapshot.part";
/// 1 MB of the usual pages.
const STEP_PAGES: i32 = 256;
const PAUSE: Duration = Duration::from_millis(5);
/// Steps in a row: 10 s with the pauses and SQLite's own wait.
const MOST_REFUSED: u32 = 2;
const BUSY: Duration = Duration::from_secs(5);
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
const MOST_ARRIVALS: u32 = 50;
const NEWEST: usize = 3;
const DAYS: i64 = 7;
/// The week that runs and the four before it.
const WEEKS: i64 = 5;

#[cfg(test)]
mod tests;
