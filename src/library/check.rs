//! `konpo check`: the disk against the database and the history.
//! Needs the locks, so the daemon must be stopped.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::Digest;

use crate::error::{Error, Result};
use crate::library::ledger::{Entry, Ledger, Line, What};
use crate::library::roots::Disk;
use crate::library::store::{journal, tracks};
use crate::library::{CopyRow, Library, LibraryConfig};
use crate::offer::OfferId;
use crate::track::{Sha256, TrackId};

/// Whether to mend what can be mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Only look.
    No,
    /// Remove leftovers of staging.
    Yes,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Tracks on the shelf.
    pub tracks: u64,
    /// Files on the shelf.
    pub copies: u64,
    /// Files that are not on the shelf yet: no problem, konpo just does not know them.
    pub unknown: Vec<PathBuf>,
    /// Lines of the history that cannot be read: torn by a power cut.
    pub torn_lines: usize,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What a rebuild could not bring over from the old database, in words.
    pub lost: Vec<String>,
}

/// Something that is wrong.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where, below the music folder.
    pub path: PathBuf,
    /// What.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.what)
    }
}

/// Compares disk, database and history.
///
/// # Errors
/// `Busy` while a daemon runs, `Offline`, and those of the disk.
/// # Blocks
/// As long as reading every file takes.
pub fn check(config: &LibraryConfig, repair: Repair) -> Result<Report> {
    let library = Library::open(config.clone())?;
    let report = look(&library, repair);
    library.close()?;
    report
}

pub(super) fn look(library: &Library, repair: Repair) -> Result<Report> {
    let inner = &library.inner;
    // Without the first there is nothing to say.
    let first = inner.disk()?;
    let mut report = Report::default();
    let mut found_tracks = HashSet::new();
    for place in 0..inner.roots.len() {
        if let Ok(disk) = inner.disk_at(place) {
            look_at(library, &disk, &mut found_tracks, &mut report)?;
        }
    }
    report.tracks = found_tracks.len() as u64;
    look_at_staging(library, &first, repair, &mut report)?;
    Ok(report)
}

fn look_at(
    library: &Library,
    disk: &Disk,
    found_tracks: &mut HashSet<TrackId>,
    report: &mut Report,
) -> Result<()> {
    let base = &disk.root.path;
    let mut copies: Vec<CopyRow> = Vec::new();
    library.inner.store.read_blocking(|c| tracks::every_copy(c, disk.id, |copy| copies.push(copy)))?;
    let mut known = HashSet::new();
    for copy in copies.iter().filter(|copy| copy.trashed.is_none()) {
        // What its owner does with a file that konpo only found is no fault.
        if copy.event.is_none() && (copy.missing || !base.join(&copy.path).exists()) {
            continue;
        }
        found_tracks.insert(copy.track);
        known.insert(copy.path.clone());
        report.copies += 1;
        if let Some(what) = wrong_with(&base.join(&copy.path), copy) {
            report.problems.push(Problem { path: copy.path.clone(), what });
        }
    }
    check_history(disk, &copies, report)?;
    for path in music_files(base)? {
        if !known.contains(&path) {
            report.unknown.push(path);
        }
    }
    Ok(())
}

fn look_at_staging(library: &Library, disk: &Disk, repair: Repair, report: &mut Report) -> Result<()> {
    let base = &disk.root.path;
    let open_journal = library.inner.store.read_blocking(journal::open)?;
    let parts: HashSet<String> = open_journal.into_iter().filter_map(|row| row.part).collect();
    for path in files_in(&disk.root.staging())? {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if parts.contains(&name) {
            continue;
        }
        if repair == Repair::Yes {
            fs::remove_file(&path).map_err(|e| Error::io(format!("remove {}", path.display()), e))?;
        } else {
            let path = path.strip_prefix(base).unwrap_or(&path).to_owned();
            report
                .problems
                .push(Problem { path, what: "a leftover in staging (--repair removes it)".into() });
        }
    }
    Ok(())
}

fn wrong_with(path: &Path, copy: &CopyRow) -> Option<String> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return Some(format!("the database knows this file, the disk does not: {error}")),
    };
    // What its owner does with a file that konpo only found is no fault.
    copy.event?;
    if metadata.len() != copy.size.0 {
        return Some(format!("{} bytes on the disk, {} in the database", metadata.len(), copy.size.0));
    }
    match (copy.sha256, sha256_of(path)) {
        (_, Err(error)) => Some(format!("it cannot be read: {error}")),
        (Some(known), Ok(now)) if known != now => {
            Some(format!("its bytes changed: sha256 is {now}, was {known}"))
        }
        _ => None,
    }
}

fn sha256_of(path: &Path) -> std::io::Result<Sha256> {
    let mut file = fs::File::open(path)?;
    let mut digest = sha2::Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(Sha256(digest.finalize().into())),
            n => digest.update(&block[..n]),
        }
    }
}

/// Every arrival of the history has a row, and the other way round.
fn check_history(disk: &Disk, copies: &[CopyRow], report: &mut Report) -> Result<()> {
    let (ledger, base) = (disk.root.ledger(), &disk.root.path);
    let arrived = || copies.iter().filter_map(|copy| Some((copy.event?, copy)));
    let rows: HashMap<OfferId, &CopyRow> = arrived().collect();
    let mut lines: HashMap<i64, Line> = HashMap::new();
    report.torn_lines = Ledger::read(&ledger, |entry| {
        if let Entry::Line(line) = entry
            && line.kind == What::Arrived
        {
            lines.insert(line.event, *line);
        }
    })?;
    for line in lines.values() {
        let path = PathBuf::from(&line.path);
        let what = match rows.get(&OfferId(line.event)) {
            None => "the history knows this file, the database does not",
            Some(row) if row.track.0 != line.track => "the history says another track number",
            // Its owner may move it; the scan follows.
            Some(row) if row.path != path && !base.join(&row.path).exists() => {
                "the history says another path"
            }
            Some(_) => continue,
        };
        report.problems.push(Problem { path, what: what.into() });
    }
    for (_, copy) in arrived().filter(|(event, _)| !lines.contains_key(&event.0)) {
        report
            .problems
            .push(Problem { path: copy.path.clone(), what: "the history has no line for it".into() });
    }
    Ok(())
}

/// Files of the shelf below a music folder, as paths below it; konpo's own folders and hidden files left out.
fn music_files(base: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![base.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in files_and_folders(&folder)? {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let own = folder == base && matches!(name.as_str(), "Inbox" | "Playlists");
            if own || name.starts_with('.') {
                continue;
            }
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() {
                found.push(path.strip_prefix(base).unwrap_or(&path).to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn files_in(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(files_and_folders(folder)?.into_iter().filter(|path| path.is_file()).collect())
}

fn files_and_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = |error| Error::io(format!("list {}", folder.display()), error);
    let entries = fs::read_dir(folder).map_err(failed)?;
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

/// Bytes read at once.
const BLOCK: usize = 256 << 10;
