//! `konpo check --rebuild`: the database made anew from the disk and its history, with the same track numbers. It is made
//! beside the old one and takes its place only when it is whole; what the history does not tell is brought over from the
//! old one, as far as that can be read. Needs the locks, so the daemon must be stopped.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tracing::{info, warn};

use crate::error::Result;
use crate::library::backup;
use crate::library::check::{self, Repair, Report};
use crate::library::exchange;
use crate::library::ledger::{AdoptedLine, CorrectedLine, Entry, Ledger, Line, What};
use crate::library::roots::Disk;
use crate::library::store::corrections::{self, Correction};
use crate::library::store::{OWNER, Store, journal, purchases, salvage, same, scanned, shown, tracks};
use crate::library::{Library, LibraryConfig, NewCopy, Reserved, SeenRemote, root, scan, trash};
use crate::offer::OfferId;
use crate::track::past::PastPurchase;
use crate::track::{AudioFormat, Codec, Container, QuickKey, TrackId};
use crate::units::{ByteCount, Millis, UnixTime};

/// Makes the database anew. The old one is kept beside it; on an error it stays in its place.
///
/// # Errors
/// `Busy` while a daemon runs, `Offline`, and those of the disk.
/// # Blocks
/// As long as reading every file takes.
pub fn rebuild(config: &LibraryConfig) -> Result<Report> {
    let _lock = root::lock(&config.data.join("lock"))?;
    exchange::finish(&config.data)?;
    let beside = config.data.join(exchange::REBUILD);
    exchange::clear(&beside)?;
    let fresh = LibraryConfig { data: beside.clone(), ..config.clone() };
    match make(&fresh, &config.data.join(OWNER)) {
        Ok(report) => exchange::exchange(&beside, &config.data, UnixTime::now()).map(|_| report),
        Err(error) => {
            exchange::clear(&beside)?;
            Err(error)
        }
    }
}

fn make(fresh: &LibraryConfig, old: &Path) -> Result<Report> {
    let library = Library::open_as_it_is(fresh.clone())?;
    let mut snapshot = None;
    for place in 0..library.inner.roots.len() {
        // One that is away comes over from the old database.
        let Ok(disk) = library.inner.disk_at(place) else { continue };
        restore(&library.inner.store, &disk)?;
        disk.is_told(&library.inner.store)?;
        snapshot = snapshot.or(Some(disk.root.snapshot()).filter(|path| path.exists()));
    }
    library.close()?;
    drop(library);
    let mut lost = salvage::bring_over(&fresh.data, old)?;
    if let Some(snapshot) = snapshot.filter(|_| !old.exists() || !lost.is_empty()) {
        lost = salvage::bring_over(&fresh.data, &snapshot)?;
    }
    // Opened again, so that what came over is shown.
    let library = Library::open(fresh.clone())?;
    scan::once(&library.inner)?;
    let report = check::look(&library, Repair::No);
    library.close()?;
    Ok(Report { lost, ..report? })
}

/// Takes up a shelf whose database was lost: what its history tells, and what the newest copy of the database kept. The
/// files are read by the next scan. A power cut on the way is made good by the next call. Does nothing when the history is
/// known.
///
/// # Errors
/// Those of the database and of the disk.
/// # Blocks
/// Some seconds for 100,000 tracks.
pub(super) fn take_up(store: &Store, data: &Path, disk: &Disk) -> Result<()> {
    if disk.untold.is_none() {
        return Ok(());
    }
    let path = disk.root.path.display();
    warn!(%path, "the database does not know this music folder's history: it is made anew from it");
    let arrivals = restore(store, disk)?;
    let kept = backup::newest_copy(data, &disk.root.path, UnixTime::now())?;
    if let Some(copy) = &kept {
        for lost in salvage::bring_over(data, copy)? {
            warn!(lost, copy = %copy.display(), "this could not be brought over");
        }
    }
    info!(arrivals, copy = kept.map(|copy| copy.display().to_string()), "the shelf is taken up");
    disk.is_told(store)
}

/// An arrival of the history, and where its file went since.
struct Told {
    line: Line,
    trashed: Option<String>,
}

/// Writes what history and disk tell and the database does not know, all or nothing. Returns how many arrivals that were.
pub(super) fn restore(store: &Store, disk: &Disk) -> Result<usize> {
    let Whole { mut arrived, mut merged, adopted, gone, corrected, past } = told(disk)?;
    store.write_now(|connection| {
        leave_out_known(connection, disk.id, &mut arrived, &mut merged)?;
        let transaction = connection.transaction()?;
        // Before the tracks: what a track shows tells whether it was bought.
        for (name, past) in past {
            // The database may be an older copy: what the history told last holds, but for a track found since.
            let before = purchases::past(&transaction, &name)?;
            let track = past.track.or(before.as_ref().and_then(|before| before.track));
            let past = PastPurchase { track, ..past };
            if before.as_ref() != Some(&past) {
                purchases::put_past(&transaction, &name, &past)?;
            }
        }
        for Told { line, trashed } in arrived.values() {
            let new = arrival(line);
            let path = PathBuf::from(&line.path);
            let reserved = Reserved { track: TrackId(line.track), root: disk.id, path, new };
            tracks::insert(&transaction, &reserved, trashed.as_deref(), None)?;
        }
        for (path, line) in &adopted {
            if !tracks::path_taken(&transaction, disk.id, path)? {
                let (track, size) = (TrackId(line.track), ByteCount(line.size));
                let copy =
                    scanned::restore(&transaction, track, disk.id, path, size, line.quick, line.added)?;
                if let Some((by, at)) = line.joined {
                    same::note(&transaction, -copy.0, track, at, by)?;
                }
                let words = [&line.title, &line.artist, &line.album];
                purchases::note_told(&transaction, track, Some(copy), &line.purchases, words)?;
            }
        }
        for line in &gone {
            let track = TrackId(line.track);
            tracks::hold(&transaction, track, line.added)?;
            let words = [&line.title, &line.artist, &line.album];
            purchases::note_told(&transaction, track, None, &line.purchases, words)?;
        }
        for line in &merged {
            let new = arrival(line);
            tracks::note_arrival(&transaction, TrackId(line.track), &new)?;
        }
        restore_corrections(&transaction, &corrected)?;
        for line in arrived.values().map(|told| &told.line).chain(&merged) {
            if let Some(seen) = seen(line) {
                journal::remember(&transaction, &seen)?;
            }
        }
        transaction.commit()?;
        Ok(arrived.len() + merged.len())
    })
}

/// Leaves out what the database knows, and marks what went to the trash since; a database that is new knows nothing.
fn leave_out_known(
    connection: &mut Connection,
    root: i64,
    arrived: &mut BTreeMap<i64, Told>,
    merged: &mut Vec<Line>,
) -> Result<()> {
    let mut known = Vec::new();
    tracks::every_copy(connection, root, |copy| known.push(copy))?;
    for copy in known {
        let told = copy.event.and_then(|event| arrived.remove(&event.0));
        if let (None, Some(name)) = (&copy.trashed, told.and_then(|told| told.trashed)) {
            tracks::trash(connection, copy.id, &name)?;
        }
    }
    let mut fresh = Vec::new();
    for line in merged.drain(..) {
        if tracks::of_event(connection, OfferId(line.event))?.is_none() {
            fresh.push(line);
        }
    }
    *merged = fresh;
    Ok(())
}

/// Keeps what the history says is corrected, where the database does not know better.
fn restore_corrections(connection: &Connection, corrected: &BTreeMap<i64, CorrectedLine>) -> Result<()> {
    for line in corrected.values() {
        let at = UnixTime::parse(&line.at).unwrap_or_default();
        let correction = Correction { words: line.words.clone(), number: line.number, at };
        if corrections::put(connection, TrackId(line.track), &correction)? {
            shown::refresh(connection, TrackId(line.track))?;
        }
    }
    Ok(())
}

/// What a history tells.
#[derive(Default)]
struct Whole {
    /// Arrivals by event.
    arrived: BTreeMap<i64, Told>,
    /// The same music once more.
    merged: Vec<Line>,
    /// Files that were found, by path.
    adopted: BTreeMap<PathBuf, AdoptedLine>,
    /// Of those that lie there no more: what they prove.
    gone: Vec<AdoptedLine>,
    /// Buys that another history told, by the name they are known again by.
    past: BTreeMap<String, PastPurchase>,
    /// What is corrected, by track.
    corrected: BTreeMap<i64, CorrectedLine>,
}

/// Reads the history: the last line of every arrival, where its file lies, what was merged, and what was found.
fn told(disk: &Disk) -> Result<Whole> {
    let Whole { mut arrived, mut merged, mut adopted, mut gone, mut corrected, mut past } = Whole::default();
    let mut line = |line: Line| match line.kind {
        What::Arrived => drop(arrived.insert(line.event, Told { line, trashed: None })),
        What::Merged => merged.push(line),
        What::Trashed => {
            if let Some(told) = arrived.get_mut(&line.event) {
                let name = || in_trash(&told.line);
                told.trashed = Some(line.trashed.unwrap_or_else(name));
            }
        }
    };
    Ledger::read(&disk.root.ledger(), |entry| match entry {
        Entry::Line(told) => line(*told),
        Entry::Newer(_) => {}
        Entry::Corrected(line) => {
            let known = corrected.entry(line.track).or_insert_with(|| line.clone());
            if known.number <= line.number {
                *known = line;
            }
        }
        Entry::Adopted(found) => {
            let before = match found.trashed {
                Some(_) => adopted.remove(&found.full_path()),
                None => adopted.insert(found.full_path(), found),
            };
            gone.extend(before.filter(|line| !line.purchases.is_empty()));
        }
        Entry::Past(line) => drop(line.past.name().map(|name| past.insert(name, line.past))),
    })?;
    proved_once(disk, &mut adopted, &mut gone);
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
    Ok(Whole { arrived, merged, adopted, gone, corrected, past })
}

/// A file that moved has a line for each place, and each tells its buys: one of them proves them, where the file lies.
fn proved_once(disk: &Disk, adopted: &mut BTreeMap<PathBuf, AdoptedLine>, gone: &mut Vec<AdoptedLine>) {
    let mut proves: HashMap<(i64, QuickKey), PathBuf> = HashMap::new();
    for (path, line) in adopted.iter().filter(|(_, line)| !line.purchases.is_empty()) {
        let known = proves.entry((line.track, line.quick)).or_insert_with(|| path.clone());
        if !disk.root.path.join(&*known).exists() && disk.root.path.join(path).exists() {
            known.clone_from(path);
        }
    }
    for (path, line) in adopted {
        if proves.get(&(line.track, line.quick)).is_some_and(|known| known != path) {
            line.purchases.clear();
        }
    }
    gone.retain(|line| !proves.contains_key(&(line.track, line.quick)));
}

fn in_trash(line: &Line) -> String {
    let name = Path::new(&line.path).file_name().unwrap_or_default().to_string_lossy();
    trash::name(OfferId(line.event), &name)
}

/// Returns an arrival as the history tells it; the next scan reads what its file says now.
fn arrival(line: &Line) -> NewCopy {
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
        joined: line.joined,
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
