//! `konpo check --roll-back`: the newest backup that is whole takes the place of owner.db. It is made ready beside the old
//! one, the history beside the music tells again what arrived since, and nothing is removed. Needs the locks, so the daemon
//! must be stopped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rusqlite::params;
use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::library::backup::{FOLDER, list, newest_first, open_to_read, verify};
use crate::library::disk::{make_folder, remove};
use crate::library::exchange;
use crate::library::roots::Roots;
use crate::library::store::{INDEX, OWNER, Store, keep, kept};
use crate::library::{LibraryConfig, rebuild, root, upgrade};
use crate::units::UnixTime;

/// What was done.
#[derive(Debug, Serialize)]
pub struct RolledBack {
    /// The backup that was taken; it stays where it is.
    pub backup: PathBuf,
    /// When it was made.
    pub made: UnixTime,
    /// Where the database lies that was there; `None` when there was none.
    pub aside: Option<PathBuf>,
    /// Newer backups that cannot be used.
    pub skipped: Vec<Skipped>,
    /// Arrivals since then that the history told again.
    pub told: usize,
    /// Why the history told nothing, in words; `None` when it was read.
    pub untold: Option<String>,
}

/// A backup that cannot be used.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Which.
    pub backup: PathBuf,
    /// Why, in words.
    pub why: String,
}

/// Puts the newest backup that is whole in the place of owner.db, which is kept beside it as `owner.db.before-…`.
///
/// # Errors
/// `Busy` while a daemon runs, `NotFound` when there is no backup that can be used, with the reason for each, and those of
/// the disk. Nothing is removed on an error either. A music disk that is not there is none.
/// # Blocks
/// As long as the disk takes.
pub fn roll_back(config: &LibraryConfig, now: UnixTime) -> Result<RolledBack> {
    let data = &config.data;
    let _lock = root::lock(&data.join("lock"))?;
    exchange::finish(data)?;
    let (made, backup, skipped) = choose(data, now)?;
    let beside = data.join(exchange::ROLL_BACK);
    exchange::clear(&beside)?;
    make_folder(&beside, 0o700)?;
    let told = match make_ready(config, &backup, &beside) {
        Ok(told) => told,
        Err(error) => {
            exchange::clear(&beside)?;
            return Err(error);
        }
    };
    let aside = exchange::exchange(&beside, data, now)?;
    let (told, untold) = match told {
        Ok(told) => (told, None),
        Err(error) => (0, Some(error.to_string())),
    };
    Ok(RolledBack { backup, made, aside, skipped, told, untold })
}

/// Returns the newest backup that is whole and not of a newer konpo, and those before it in line with what is wrong.
fn choose(data: &Path, now: UnixTime) -> Result<(UnixTime, PathBuf, Vec<Skipped>)> {
    let mut found = list(data)?;
    newest_first(&mut found, now);
    let mut skipped = Vec::new();
    for (stamp, backup) in found {
        let why = match verify(&backup) {
            Ok(version) if version <= upgrade::newest() => return Ok((stamp, backup, skipped)),
            Ok(version) => format!("it is of a newer konpo (version {version})"),
            Err(error) => error.to_string(),
        };
        skipped.push(Skipped { backup, why });
    }
    let mut what =
        format!("roll back: there is no backup that can be used in {}", data.join(FOLDER).display());
    for Skipped { backup, why } in skipped {
        what += &format!("; {}: {why}", backup.file_name().unwrap_or_default().to_string_lossy());
    }
    Err(Error::new(Kind::NotFound, what))
}

/// Makes the database that takes the place. Returns how many arrivals were told again, or why none.
fn make_ready(config: &LibraryConfig, backup: &Path, beside: &Path) -> Result<Result<usize>> {
    let fresh = beside.join(OWNER);
    fs::copy(backup, &fresh).map_err(|error| Error::io(format!("copy {}", backup.display()), error))?;
    let (store, _) = Store::open(beside)?;
    let told = grow_counters(&store, &config.data.join(OWNER)).map(|()| tell_again(config, &store));
    store.close();
    drop(store);
    // A start makes it anew from what is here now.
    for tail in ["", "-wal", "-shm"] {
        remove(&beside.join(format!("{INDEX}{tail}")))?;
    }
    let synced = File::open(&fresh).and_then(|file| file.sync_all());
    synced.map_err(|error| Error::io(format!("sync {}", fresh.display()), error))?;
    told
}

/// Lets the history beside the music tell what arrived, and what went to the trash, since the backup.
fn tell_again(config: &LibraryConfig, store: &Store) -> Result<usize> {
    let music = config.music.first().ok_or_else(|| Error::new(Kind::Invalid, "there is no music folder"))?;
    // The backup may not know the folder yet: under an empty mount point nothing may be made.
    if !music.join(root::HIDDEN).join("root.toml").is_file() {
        return Err(Error::new(Kind::Offline, format!("the music disk is not there: {}", music.display())));
    }
    let disk = Roots::open(std::slice::from_ref(music), store)?.look(0, store).disk?;
    rebuild::restore(store, &disk)
}

/// No number and no revision that was given since the backup is ever given again.
fn grow_counters(store: &Store, present: &Path) -> Result<()> {
    let present = counters(present);
    store.write_now(|connection| {
        let transaction = connection.transaction()?;
        let revision = kept(&transaction, "revision")?.and_then(|text| text.parse().ok()).unwrap_or(0_i64);
        let revision = match &present {
            Ok((sequences, present)) => {
                let there = "INSERT INTO sqlite_sequence(name, seq)
                             SELECT ?1, 0 WHERE ?1 NOT IN (SELECT name FROM sqlite_sequence)";
                let larger = "UPDATE sqlite_sequence SET seq = max(seq, ?2) WHERE name = ?1";
                for (name, seq) in sequences {
                    transaction.execute(there, [name])?;
                    transaction.execute(larger, params![name, seq])?;
                }
                revision.max(*present)
            }
            Err(_) => {
                transaction.execute("UPDATE sqlite_sequence SET seq = seq + ?1", [LEAP])?;
                revision.saturating_add(LEAP)
            }
        };
        keep(&transaction, "revision", &revision.saturating_add(1).to_string())?;
        transaction.commit()?;
        Ok(())
    })
}

/// Returns the largest number given in each table, and the revision.
fn counters(owner: &Path) -> Result<(Vec<(String, i64)>, i64)> {
    let database = open_to_read(owner)?;
    let revision = kept(&database, "revision")?.and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut statement = database.prepare("SELECT name, seq FROM sqlite_sequence")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((rows.collect::<rusqlite::Result<_>>()?, revision))
}

/// More than can have happened between two backups; taken when the present database cannot be read.
const LEAP: i64 = 100_000;
