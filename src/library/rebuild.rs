//! `konpo check --rebuild`: the database made anew from the disk and its history, with the same track numbers. It is made
//! beside the old one and takes its place only when it is whole; what the history does not tell is brought over from the
//! old one, as far as that can be read. Needs the locks, so the daemon must be stopped.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::library::check::{self, Repair, Report};
use crate::library::disk::sync_folder;
use crate::library::ledger::{Ledger, Line, What};
use crate::library::roots::Disk;
use crate::library::store::{INDEX, OWNER, journal, salvage, tracks};
use crate::library::{Library, LibraryConfig, NewCopy, Reserved, SeenRemote, read, root, trash};
use crate::offer::OfferId;
use crate::track::{AudioFormat, Codec, Container, TrackId};
use crate::units::{ByteCount, Millis, UnixTime};

/// Makes the database anew. The old one is kept beside it; on an error it stays in its place.
///
/// # Errors
/// `Busy` while a daemon runs, `Offline`, and those of the disk.
/// # Blocks
/// As long as reading every file takes.
pub fn rebuild(config: &LibraryConfig) -> Result<Report> {
    let _lock = root::lock(&config.data.join("lock"))?;
    let beside = config.data.join("rebuild");
    let failed = |what: &str, error| Error::io(format!("{what} {}", beside.display()), error);
    if beside.exists() {
        fs::remove_dir_all(&beside).map_err(|error| failed("remove", error))?;
    }
    let fresh = LibraryConfig { data: beside.clone(), ..config.clone() };
    let made = make(&fresh, &config.data.join(OWNER));
    if made.is_ok() {
        exchange(&beside, &config.data)?;
    }
    fs::remove_dir_all(&beside).map_err(|error| failed("remove", error))?;
    made
}

fn make(fresh: &LibraryConfig, old: &Path) -> Result<Report> {
    let library = Library::open(fresh.clone())?;
    let disk = library.inner.disk()?;
    let restored = restore(&library, &disk);
    library.close()?;
    drop((library, disk));
    restored?;
    let lost = salvage::bring_over(&fresh.data, old)?;
    // Opened again, so that what came over is shown.
    let library = Library::open(fresh.clone())?;
    let report = check::look(&library, Repair::No);
    library.close()?;
    Ok(Report { lost, ..report? })
}

/// Puts the old database aside and the new one in its place.
fn exchange(beside: &Path, data: &Path) -> Result<()> {
    let stamp = UnixTime::now().0;
    let tails = || [OWNER, INDEX].into_iter().flat_map(|name| ["", "-wal", "-shm"].map(|tail| (name, tail)));
    let rename = |from: PathBuf, to: PathBuf| match fs::rename(&from, &to) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("move {} to {}", from.display(), to.display()), error))
        }
        _ => Ok(()),
    };
    for (name, tail) in tails() {
        rename(data.join(format!("{name}{tail}")), data.join(format!("{name}.before-{stamp}{tail}")))?;
    }
    for (name, tail) in tails() {
        rename(beside.join(format!("{name}{tail}")), data.join(format!("{name}{tail}")))?;
    }
    sync_folder(data)
}

/// An arrival of the history, and where its file went since.
struct Told {
    line: Line,
    trashed: Option<String>,
}

/// Writes what history and disk tell, all or nothing.
fn restore(library: &Library, disk: &Disk) -> Result<()> {
    let (arrived, merged) = told(disk)?;
    library.inner.store.write_now(|connection| {
        let transaction = connection.transaction()?;
        for Told { line, trashed } in arrived.values() {
            let file = match trashed {
                Some(name) => disk.root.trash().join(name),
                None => disk.root.path.join(&line.path),
            };
            let new = arrival(line, &file);
            let path = PathBuf::from(&line.path);
            let reserved = Reserved { track: TrackId(line.track), root: disk.id, path, new };
            tracks::insert(&transaction, &reserved, trashed.as_deref())?;
        }
        for line in &merged {
            let new = arrival_as_told(line);
            tracks::note_arrival(&transaction, TrackId(line.track), &new)?;
        }
        for line in arrived.values().map(|told| &told.line).chain(&merged) {
            if let Some(seen) = seen(line) {
                journal::remember(&transaction, &seen)?;
            }
        }
        transaction.commit()?;
        Ok(())
    })
}

/// Reads the history: the last line of every arrival, where its file lies, and what was merged.
fn told(disk: &Disk) -> Result<(BTreeMap<i64, Told>, Vec<Line>)> {
    let mut arrived: BTreeMap<i64, Told> = BTreeMap::new();
    let mut merged = Vec::new();
    Ledger::read(&disk.root.ledger(), |line| match line.kind {
        What::Arrived => drop(arrived.insert(line.event, Told { line, trashed: None })),
        What::Merged => merged.push(line),
        What::Trashed => {
            if let Some(told) = arrived.get_mut(&line.event) {
                let name = || in_trash(&told.line);
                told.trashed = Some(line.trashed.unwrap_or_else(name));
            }
        }
    })?;
    merged.retain(|line| arrived.values().any(|told| told.line.track == line.track));
    // Of several arrivals at one path the last lies there.
    let mut last: HashMap<String, i64> = HashMap::new();
    for (event, told) in arrived.iter().filter(|(_, told)| told.trashed.is_none()) {
        last.insert(told.line.path.clone(), *event);
    }
    for (event, told) in &mut arrived {
        let name = in_trash(&told.line);
        // The first versions of the history did not tell what was replaced.
        let untold = !disk.root.path.join(&told.line.path).exists() && disk.root.trash().join(&name).exists();
        if told.trashed.is_none() && (untold || last.get(&told.line.path) != Some(event)) {
            told.trashed = Some(name);
        }
    }
    Ok((arrived, merged))
}

fn in_trash(line: &Line) -> String {
    let name = Path::new(&line.path).file_name().unwrap_or_default().to_string_lossy();
    trash::name(OfferId(line.event), &name)
}

/// Returns an arrival with the tags of the file as it lies there; of a file that is away or cannot be read, what the
/// history tells.
fn arrival(line: &Line, file: &Path) -> NewCopy {
    let mut new = arrival_as_told(line);
    if let Ok(facts) = read::facts(file) {
        let said = std::mem::replace(&mut new.tags, facts.tags);
        // The sender's words, where the file has none.
        new.tags.title = new.tags.title.or(said.title);
        new.tags.artist = new.tags.artist.or(said.artist);
        new.tags.album = new.tags.album.or(said.album);
        (new.format, new.duration) = (facts.format, facts.duration);
    }
    new
}

fn arrival_as_told(line: &Line) -> NewCopy {
    let unknown = AudioFormat {
        container: Container::Unknown,
        codec: Codec::Other,
        rate: None,
        channels: None,
        bits: None,
        frames: None,
    };
    NewCopy {
        event: OfferId(line.event),
        staged: PathBuf::new(),
        original_name: line.original_name.clone(),
        tags: crate::track::Tags {
            title: line.title.clone(),
            artist: line.artist.clone(),
            album: line.album.clone(),
            ..Default::default()
        },
        format: line.format.clone().unwrap_or(unknown),
        protection: line.protection.clone(),
        personal: line.personal.clone(),
        purchases: line.purchases.clone(),
        sha256: line.sha256,
        quick: line.quick,
        fingerprint: line.fingerprint,
        size: ByteCount(line.size),
        duration: Millis(line.duration_ms.unwrap_or(0)),
        provenance: line.provenance.clone(),
        received: UnixTime::parse(&line.at).unwrap_or_default(),
    }
}

/// What a neighbour was seen to have: it is not pulled a second time. What it called the file is not told.
fn seen(line: &Line) -> Option<SeenRemote> {
    let from = &line.provenance;
    let remote = !from.device.is_empty() && !from.remote.is_empty();
    remote.then(|| SeenRemote {
        device: from.device.clone(),
        object_id: from.remote.clone(),
        size: Some(ByteCount(line.size)),
        hash: String::new(),
        verdict: if line.kind == What::Merged { "merged" } else { "stored" }.to_owned(),
        track: Some(TrackId(line.track)),
    })
}
