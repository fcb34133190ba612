//! Puts a database that was made beside the present one in its place. Once it is said to be ready a power cut changes
//! nothing: whoever opens the shelf next finishes what was begun, so there is always the old database or the new one.
//! Needs the lock of the folder of data.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use crate::error::{Error, Kind, Result};
use crate::library::disk::sync_folder;
use crate::library::store::{INDEX, OWNER};
use crate::units::UnixTime;

/// Puts the present databases aside and those of the folder `beside` in their place. Without an index there, a start makes it
/// anew. Returns where owner.db lies that was there; `None` when there was none.
///
/// # Errors
/// `Busy` while something holds the new database, and those of the disk. What was begun then is finished by [`finish`].
pub fn exchange(beside: &Path, data: &Path, now: UnixTime) -> Result<Option<PathBuf>> {
    settle(beside)?;
    let stamp = free_stamp(data, now);
    let aside = data.join(OWNER).exists().then(|| data.join(aside(OWNER, stamp)));
    promise(beside, stamp)?;
    carry_out(beside, data, stamp, &mut |_| Ok(()))?;
    clear(beside)?;
    prune(data);
    Ok(aside)
}

/// Removes what was put aside before the last [`KEPT_ASIDE`] times: each may be as large as the present database.
fn prune(data: &Path) {
    let names: Vec<String> = fs::read_dir(data)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    let stamp = |name: &String| -> Option<i64> {
        let rest = [OWNER, INDEX].iter().find_map(|database| name.strip_prefix(database))?;
        let digits = rest.strip_prefix(".before-")?;
        digits.trim_end_matches("-wal").trim_end_matches("-shm").parse().ok()
    };
    let mut stamps: Vec<i64> = names.iter().filter_map(stamp).collect();
    stamps.sort_unstable_by(|a, b| b.cmp(a));
    stamps.dedup();
    let old = stamps.split_off(stamps.len().min(KEPT_ASIDE));
    for name in names.iter().filter(|name| stamp(name).is_some_and(|stamp| old.contains(&stamp))) {
        if let Err(error) = fs::remove_file(data.join(name)) {
            tracing::warn!(name, %error, "an old database stays beside the present one");
        }
    }
}

/// Finishes the exchange that a power cut interrupted, if any.
///
/// # Errors
/// Those of the disk.
pub fn finish(data: &Path) -> Result<()> {
    for beside in [REBUILD, ROLL_BACK].map(|name| data.join(name)) {
        let promised = match fs::read_to_string(beside.join(READY)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            read => {
                read.map_err(|error| Error::io(format!("read {}", beside.join(READY).display()), error))?
            }
        };
        let stamp = promised.trim().parse().map(UnixTime).map_err(|_| {
            Error::new(Kind::Damaged, format!("read {}: this is no time", beside.join(READY).display()))
        })?;
        tracing::info!(beside = %beside.display(), "a database that was made anew takes its place");
        carry_out(&beside, data, stamp, &mut |_| Ok(()))?;
        clear(&beside)?;
    }
    Ok(())
}

/// Removes a folder beside, its promise first.
///
/// # Errors
/// Those of the disk.
pub fn clear(beside: &Path) -> Result<()> {
    let gone = |removed: std::io::Result<()>| match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", beside.display()), error))
        }
        _ => Ok(()),
    };
    gone(fs::remove_file(beside.join(READY)))?;
    gone(fs::remove_dir_all(beside))
}

/// Makes each database one file that is on the disk.
fn settle(beside: &Path) -> Result<()> {
    for path in [OWNER, INDEX].map(|name| beside.join(name)) {
        if !path.exists() {
            continue;
        }
        let connection = Connection::open(&path)?;
        let mode: String = connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
        if mode != "delete" {
            return Err(Error::new(Kind::Busy, format!("{} is in use", path.display())));
        }
        connection.close().map_err(|(_, error)| error)?;
        let synced = File::open(&path).and_then(|file| file.sync_all());
        synced.map_err(|error| Error::io(format!("sync {}", path.display()), error))?;
    }
    Ok(())
}

/// Says, durably, that what lies beside is whole, and under which time the present databases are put aside.
fn promise(beside: &Path, stamp: UnixTime) -> Result<()> {
    let (fresh, ready) = (beside.join("ready.new"), beside.join(READY));
    let written = File::create(&fresh).and_then(|mut file| {
        writeln!(file, "{}", stamp.0)?;
        file.sync_all()?;
        fs::rename(&fresh, &ready)
    });
    written.map_err(|error| Error::io(format!("write {}", ready.display()), error))?;
    sync_folder(beside)?;
    beside.parent().map_or(Ok(()), sync_folder)
}

/// Moves the files; done twice, or begun again after any of them, it ends the same. `cut` comes before each.
fn carry_out(
    beside: &Path,
    data: &Path,
    stamp: UnixTime,
    cut: &mut dyn FnMut(&Path) -> Result<()>,
) -> Result<()> {
    let mut rename = |from: PathBuf, to: PathBuf| {
        cut(&from)?;
        match fs::rename(&from, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io(format!("move {} to {}", from.display(), to.display()), error))
            }
            _ => Ok(()),
        }
    };
    // The new owner.db is moved last: while it lies beside, the one in its place is the old one.
    for name in [INDEX, OWNER] {
        if !beside.join(OWNER).exists() {
            break;
        }
        // A main file that is aside already has its tails with it.
        if !data.join(aside(name, stamp)).exists() {
            for tail in ["-wal", "-shm", ""] {
                rename(data.join(format!("{name}{tail}")), data.join(aside(name, stamp) + tail))?;
            }
            sync_folder(data)?;
        }
        rename(beside.join(name), data.join(name))?;
    }
    sync_folder(data)
}

/// Returns the name under which a database is put aside.
fn aside(name: &str, stamp: UnixTime) -> String {
    format!("{name}.before-{}", stamp.0)
}

/// Returns a second under which nothing was put aside yet.
fn free_stamp(data: &Path, now: UnixTime) -> UnixTime {
    let taken =
        |stamp: i64| [OWNER, INDEX].iter().any(|name| data.join(aside(name, UnixTime(stamp))).exists());
    UnixTime((now.0..i64::MAX).find(|&stamp| !taken(stamp)).unwrap_or(now.0))
}

/// The folder in which a rebuild makes its database.
pub const REBUILD: &str = "rebuild";
/// The folder in which a roll-back makes its database.
pub const ROLL_BACK: &str = "roll-back";
/// How many databases that were put aside stay.
const KEPT_ASIDE: usize = 2;
/// Its presence says that what lies beside it is whole.
const READY: &str = "ready";

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes databases whose one table tells them apart.
    fn databases(folder: &Path, names: &[&str], told: &str) {
        fs::create_dir_all(folder).expect("made");
        for name in names {
            let database = Connection::open(folder.join(name)).expect("opened");
            let sql = format!(
                "PRAGMA journal_mode = WAL; CREATE TABLE told(text); INSERT INTO told VALUES ('{told}')"
            );
            database.execute_batch(&sql).expect("written");
        }
    }

    fn told(path: &Path) -> Option<String> {
        let database = path.exists().then(|| Connection::open(path).expect("opened"))?;
        Some(database.query_row("SELECT text FROM told", [], |row| row.get(0)).expect("read"))
    }

    /// Cuts the power before the `last`th move, and finishes at the next start. Returns whether there was such a move.
    fn cut_before(last: usize, old: &[&str], new: &[&str]) -> bool {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, beside) = (folder.path().join("data"), folder.path().join("data").join(REBUILD));
        databases(&data, old, "old");
        databases(&beside, new, "new");
        // A tail that goes where its database goes.
        let tail = |name: &str| data.join(format!("{name}-wal"));
        old.iter().for_each(|name| fs::write(tail(name), "tail").expect("written"));
        settle(&beside).expect("settled");
        promise(&beside, UnixTime(7)).expect("promised");
        let mut moves = 0;
        let ended = carry_out(&beside, &data, UnixTime(7), &mut |_| {
            moves += 1;
            if moves > last { Err(Error::new(Kind::Internal, "cut")) } else { Ok(()) }
        });
        finish(&data).expect("finished");
        for name in old {
            let aside = data.join(aside(name, UnixTime(7)));
            assert_eq!(
                fs::read(format!("{}-wal", aside.display())).expect("kept"),
                b"tail",
                "{last}: {name}"
            );
            fs::remove_file(format!("{}-wal", aside.display())).expect("removed");
            assert_eq!(told(&aside).as_deref(), Some("old"), "{last}: {name}");
            assert!(!tail(name).exists(), "{last}: {name}");
        }
        assert_eq!(told(&data.join(OWNER)).as_deref(), Some("new"), "{last}");
        let index = new.contains(&INDEX).then_some("new");
        assert_eq!(told(&data.join(INDEX)).as_deref(), index, "{last}");
        assert!(!beside.exists());
        ended.is_err()
    }

    #[test]
    fn whatever_move_the_power_is_cut_before_the_new_database_is_found() {
        for (old, new) in
            [(&[OWNER, INDEX][..], &[OWNER, INDEX][..]), (&[OWNER, INDEX], &[OWNER]), (&[], &[OWNER])]
        {
            let moves = (0..).take_while(|&last| cut_before(last, old, new)).count();
            assert_eq!(moves, 8, "two databases: three files go, one comes");
        }
    }

    #[test]
    fn what_is_not_said_to_be_ready_takes_nobodys_place() {
        let folder = tempfile::tempdir().expect("a folder");
        databases(folder.path(), &[OWNER], "old");
        databases(&folder.path().join(REBUILD), &[OWNER], "half");
        finish(folder.path()).expect("nothing to finish");
        assert_eq!(told(&folder.path().join(OWNER)).as_deref(), Some("old"));
    }

    #[test]
    fn the_two_that_were_put_aside_last_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path();
        databases(data, &[OWNER, INDEX], "0");
        fs::write(data.join("owner.db.before-notes"), "of the owner's own").expect("written");
        for (now, told) in [(10, "1"), (20, "2"), (20, "3"), (30, "4")] {
            databases(&data.join(REBUILD), &[OWNER, INDEX], told);
            exchange(&data.join(REBUILD), data, UnixTime(now)).expect("exchanged");
        }
        let mut aside: Vec<String> = fs::read_dir(data)
            .expect("a folder")
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.contains(".before-"))
            .collect();
        aside.sort();
        let expected = ["index.db.before-21", "index.db.before-30", "owner.db.before-21"];
        assert_eq!(aside[..3], expected);
        assert_eq!(aside[3..], ["owner.db.before-30", "owner.db.before-notes"]);
        assert_eq!(told(&data.join("owner.db.before-30")).as_deref(), Some("3"));
    }
}
