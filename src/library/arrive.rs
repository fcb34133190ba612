//! Stage 5 of a track's way, "stored": place reserved, history line synced, file moved, folder synced, then the row.
//! Whatever step a power cut hits, the next start finds one track, no half file, and nothing twice.
//! Runs on the writer's thread of the store, so two files never arrive at once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tracing::info;

use crate::error::{Error, Kind, Result};
use crate::library::disk::{make_folder, move_new, remove, sync_folder};
use crate::library::ledger::{AdoptedLine, Line, What};
use crate::library::place::{component, extension, file_name, folder_key, place};
use crate::library::roots::Disk;
use crate::library::store::same::{self, Joined, Song};
use crate::library::store::shown::{self, Shown};
use crate::library::store::{roots, tracks};
use crate::library::{Added, CopyRow, Inner, NewCopy, Reserved, scan, trash};
use crate::offer::OfferId;
use crate::track::TrackId;
use crate::units::UnixTime;

/// A step that is about to be taken; tests cut the power there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Before the place is reserved.
    Reserve,
    /// Before the line is written.
    Ledger,
    /// Before the file is moved.
    Move,
    /// Before the row is written.
    Commit,
    /// Before the file that is replaced goes to the trash.
    Retire,
}

/// Puts a file on the shelf.
pub fn add(
    inner: &Inner,
    connection: &mut Connection,
    new: NewCopy,
    cut: &mut dyn FnMut(Step) -> Result<()>,
) -> Result<Added> {
    let disk = &*inner.disk()?.writable()?;
    if let Some(track) = tracks::of_event(connection, new.event)? {
        // It was stored before the power cut; what is left in staging is a leftover.
        discard(disk, &new)?;
        return Ok(Added { track, merged: false, replaced: false, unlocked: false });
    }
    let added = match tracks::reserved(connection, new.event)? {
        Some(reserved) => put(disk, connection, reserved, cut)?,
        None => decide(disk, connection, &new, cut)?,
    };
    if added.unlocked {
        inner.tell_unlocked(vec![added.track]);
    }
    inner.safety().arrived();
    // What is done behind looks at the revision.
    inner.changed(connection)?;
    inner.scanner.note_arrival();
    Ok(added)
}

fn decide(
    disk: &Disk,
    connection: &mut Connection,
    new: &NewCopy,
    cut: &mut dyn FnMut(Step) -> Result<()>,
) -> Result<Added> {
    if let Some(same) = tracks::by_sha256(connection, new.sha256, disk.id)? {
        if lies_there(disk, &same) {
            return merge(disk, connection, new, &same, cut);
        }
        // What the row names is gone: this file may be the only one left, and takes its place.
        cut(Step::Reserve)?;
        let reserved = reserve(disk, connection, new, Some(same.track))?;
        return put(disk, connection, reserved, cut);
    }
    let same = match new.fingerprint {
        Some(fingerprint) if !new.protection.is_locked() => {
            tracks::by_fingerprint(connection, fingerprint, disk.id)?
        }
        _ => None,
    };
    match same {
        Some(same) if lies_there(disk, &same) && tracks::strength(new) <= same.strength => {
            merge(disk, connection, new, &same, cut)
        }
        Some(same) => {
            cut(Step::Reserve)?;
            let reserved = reserve(disk, connection, new, Some(same.track))?;
            put(disk, connection, reserved, cut)
        }
        None => {
            cut(Step::Reserve)?;
            let joins = joins(connection, new)?;
            let mut new = NewCopy { joined: joins.map(|joined| joined.by), ..new.clone() };
            if let Some(joined) = joins {
                // What the locked file is called serves a free one without tags.
                let known = shown::tagged_of(connection, joined.track)?.unwrap_or_default();
                new.tags.title = new.tags.title.or(known.title);
                new.tags.artist = new.tags.artist.or(known.artist);
                new.tags.album = new.tags.album.or(known.album);
            }
            let reserved = reserve(disk, connection, &new, joins.map(|joined| joined.track))?;
            put(disk, connection, reserved, cut)
        }
    }
}

/// Returns the track of the same song that a free file unlocks, or that a locked file joins.
fn joins(connection: &Connection, new: &NewCopy) -> Result<Option<Joined>> {
    let playable = new.format.codec.is_decodable();
    let locked = new.protection.is_locked();
    let may_join = locked || playable && same::any_locked(connection)?;
    if !may_join {
        return Ok(None);
    }
    let shown = &Shown::of(&new.tags)?;
    let song = Song { purchases: &new.purchases, shown, duration: new.duration };
    if locked {
        return Ok(same::free_for(connection, &[song])?.pop().flatten());
    }
    same::locked_for(connection, &song)
}

/// Whether the file of a row is on this disk as the row says.
fn lies_there(disk: &Disk, copy: &CopyRow) -> bool {
    copy.root == disk.id
        && fs::metadata(disk.root.path.join(&copy.path)).is_ok_and(|found| found.len() == copy.size.0)
}

/// Moves a reserved file to its place and makes its row; a stronger file then retires the weaker one of the same music.
fn put(
    disk: &Disk,
    connection: &mut Connection,
    mut reserved: Reserved,
    cut: &mut dyn FnMut(Step) -> Result<()>,
) -> Result<Added> {
    loop {
        cut(Step::Ledger)?;
        let line = line(&reserved.new, What::Arrived, reserved.track, &reserved.path, None);
        disk.ledger()?.append(&line)?;
        cut(Step::Move)?;
        if arrive(disk, &reserved)? {
            break;
        }
        // A file that konpo does not know took the name meanwhile; the last line of an event counts.
        reserved = reserve(disk, connection, &reserved.new, Some(reserved.track))?;
    }
    cut(Step::Commit)?;
    let older = tracks::copies_of(connection, reserved.track)?;
    let stamp = scan::stamp_of(&disk.root.path.join(&reserved.path));
    tracks::commit(connection, &reserved, stamp)?;
    cut(Step::Retire)?;
    // A copy on another disk stays what it is there.
    let new = &reserved.new;
    let same = |copy: &&CopyRow| {
        let alike = if new.protection.is_locked() { copy.sha256 == Some(new.sha256) } else { copy.playable };
        copy.root == disk.id && alike
    };
    let replaced: Vec<CopyRow> = older.iter().filter(same).cloned().collect();
    for copy in &replaced {
        if is_another(disk, connection, copy)? {
            // Somebody wrote it anew where it stands: the next scan tells what it is.
            info!(path = %copy.path.display(), "changed meanwhile, and left where it is");
            continue;
        }
        retire(disk, connection, copy)?;
    }
    info!(track = reserved.track.0, path = %reserved.path.display(), "on the shelf");
    let merged = !replaced.is_empty();
    Ok(Added { track: reserved.track, merged, replaced: merged, unlocked: new.joined.is_some() })
}

/// Moves the staged file to its reserved place. Returns false when something konpo does not know lies there.
fn arrive(disk: &Disk, reserved: &Reserved) -> Result<bool> {
    let target = disk.root.path.join(&reserved.path);
    let staged = &reserved.new.staged;
    if !staged.exists() && is_ours(&target, &reserved.new) {
        return Ok(true);
    }
    if let Some(folder) = target.parent() {
        make_folder(folder, 0o775)?;
    }
    let moved = move_new(staged, &target)?;
    if moved {
        let mode = fs::Permissions::from_mode(MUSIC_MODE);
        fs::set_permissions(&target, mode).map_err(|e| Error::io("set the mode of a track", e))?;
    }
    Ok(moved)
}

fn is_ours(path: &Path, new: &NewCopy) -> bool {
    fs::metadata(path).is_ok_and(|found| found.len() == new.size.0)
}

/// The same music was there: its history grows, this file goes to the trash unless its bytes are there already.
fn merge(
    disk: &Disk,
    connection: &mut Connection,
    new: &NewCopy,
    same: &CopyRow,
    cut: &mut dyn FnMut(Step) -> Result<()>,
) -> Result<Added> {
    cut(Step::Ledger)?;
    let trashed = (same.sha256 != Some(new.sha256)).then(|| trash::name(new.event, &new.original_name));
    disk.ledger()?.append(&line(new, What::Merged, same.track, &same.path, trashed))?;
    cut(Step::Commit)?;
    tracks::merge(connection, same.track, new)?;
    cut(Step::Retire)?;
    if same.sha256 == Some(new.sha256) {
        remove(&new.staged)?;
    } else {
        discard(disk, new)?;
    }
    info!(track = same.track.0, name = new.original_name, "the same music was there");
    Ok(Added { track: same.track, merged: true, replaced: false, unlocked: false })
}

/// Moves what is left in staging to the trash.
fn discard(disk: &Disk, new: &NewCopy) -> Result<()> {
    trash::put(disk, &new.staged, &trash::name(new.event, &new.original_name))
}

/// Writes into the history that a copy goes to the trash, marks it, then moves it; a power cut on the way is mended at the
/// next start.
fn retire(disk: &Disk, connection: &mut Connection, copy: &CopyRow) -> Result<()> {
    let name = copy.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let track = tracks::load(connection, copy.track)?;
    let known = track.as_ref().and_then(|track| track.copies.iter().find(|known| known.id == copy.id));
    let trashed = match copy.event {
        Some(event) => {
            let trashed = trash::name(event, &name);
            if let (Some(known), Some(sha256)) = (known, copy.sha256) {
                disk.ledger()?.append(&trash_line(copy, event, known, sha256, trashed.clone()))?;
            }
            trashed
        }
        None => {
            let trashed = trash::name_of_adopted(copy.id, &name);
            let added = track.map_or(0, |track| track.added.0);
            let quick = tracks::quick_of(connection, copy.id)?;
            let line = AdoptedLine::new(copy.track, &copy.path, copy.size.0, quick, added);
            disk.ledger()?.append_all(&[AdoptedLine { trashed: Some(trashed.clone()), ..line }])?;
            trashed
        }
    };
    tracks::trash(connection, copy.id, &trashed)?;
    trash::put(disk, &disk.root.path.join(&copy.path), &trashed)
}

/// Whether what lies at the place of an adopted file is not the file that was read there. One that is gone is no other.
fn is_another(disk: &Disk, connection: &Connection, copy: &CopyRow) -> Result<bool> {
    let Ok(found) = fs::symlink_metadata(disk.root.path.join(&copy.path)) else { return Ok(false) };
    if copy.event.is_some() {
        return Ok(false);
    }
    let now = scan::stamp_of(&disk.root.path.join(&copy.path));
    let same = match tracks::stamp_of(connection, copy.id)? {
        Some(read) => now == Some(read),
        None => found.len() == copy.size.0,
    };
    Ok(!same)
}

/// Moves every copy of a track to the trash of its disk.
pub fn trash_track(inner: &Inner, connection: &mut Connection, id: TrackId) -> Result<()> {
    let copies = tracks::copies_of(connection, id)?;
    if copies.is_empty() {
        return Err(Error::new(Kind::NotFound, format!("there is no track {id}")));
    }
    let mut disks = Vec::with_capacity(copies.len());
    for copy in &copies {
        let Some(disk) = inner.disk_of(copy.root) else {
            let folder = roots::root_path(connection, copy.root)?;
            let what = format!("track {id} lies on a music disk that is not there: {}", folder.display());
            return Err(Error::new(Kind::Offline, what));
        };
        let disk = disk.writable()?;
        if is_another(&disk, connection, copy)? {
            let what = format!("{} was changed just now: it is looked at again first", copy.path.display());
            return Err(Error::new(Kind::Busy, what));
        }
        disks.push(disk);
    }
    for (copy, disk) in copies.iter().zip(disks) {
        retire(&disk, connection, copy)?;
    }
    inner.changed(connection)
}

fn trash_line(
    copy: &CopyRow,
    event: OfferId,
    known: &crate::track::Copy,
    sha256: crate::track::Sha256,
    trashed: String,
) -> Line {
    Line {
        v: LINE_VERSION,
        event: event.0,
        at: UnixTime::now().rfc3339(),
        kind: What::Trashed,
        track: copy.track.0,
        path: copy.path.to_string_lossy().into_owned(),
        trashed: Some(trashed),
        sha256,
        size: copy.size.0,
        quick: crate::track::QuickKey([0; 16]),
        fingerprint: known.fingerprint,
        format: Some(known.format.clone()),
        duration_ms: None,
        protection: known.protection.clone(),
        purchases: Vec::new(),
        personal: Vec::new(),
        provenance: crate::offer::Provenance {
            way: "trash".into(),
            device: String::new(),
            device_name: String::new(),
            original_name: String::new(),
            remote: String::new(),
        },
        original_name: String::new(),
        joined: None,
        title: None,
        artist: None,
        album: None,
    }
}

/// Chooses a free place for a file and holds it.
fn reserve(
    disk: &Disk,
    connection: &mut Connection,
    new: &NewCopy,
    track: Option<TrackId>,
) -> Result<Reserved> {
    let (folders, stem) = place(&new.tags, &new.original_name, new.received);
    let mut folder = PathBuf::new();
    for name in folders {
        let name = existing_folder(&disk.root.path.join(&folder), &component(&name));
        folder.push(name);
    }
    let extension = extension(new.format.container, new.format.codec, &new.original_name);
    for number in 1..MOST_NAMESAKES {
        let suffix = if number == 1 { String::new() } else { format!(" ({number})") };
        let path = folder.join(file_name(&stem, &suffix, extension.as_deref()));
        let taken = tracks::path_taken(connection, disk.id, &path)?;
        if !taken && fs::symlink_metadata(disk.root.path.join(&path)).is_err() {
            return tracks::reserve(connection, new, track, disk.id, &path);
        }
    }
    let what = format!("find a name for {}: {MOST_NAMESAKES} files have it", folder.join(stem).display());
    Err(Error::new(Kind::Internal, what))
}

/// Returns the spelling of a folder that is there under NFC and case folding, else the name itself.
fn existing_folder(parent: &Path, name: &str) -> std::ffi::OsString {
    if !parent.join(name).is_dir() {
        let key = folder_key(name);
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        for entry in entries {
            let same = entry.file_name().to_str().is_some_and(|there| folder_key(there) == key);
            if same && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                return entry.file_name();
            }
        }
    }
    name.into()
}

fn line(new: &NewCopy, kind: What, track: TrackId, path: &Path, trashed: Option<String>) -> Line {
    Line {
        v: LINE_VERSION,
        event: new.event.0,
        at: new.received.rfc3339(),
        kind,
        track: track.0,
        path: path.to_string_lossy().into_owned(),
        trashed,
        sha256: new.sha256,
        size: new.size.0,
        quick: new.quick,
        fingerprint: new.fingerprint,
        format: Some(new.format.clone()),
        duration_ms: Some(new.duration.0),
        protection: new.protection.clone(),
        purchases: new.purchases.clone(),
        personal: new.personal.clone(),
        provenance: new.provenance.clone(),
        original_name: new.original_name.clone(),
        joined: new.joined,
        title: new.tags.title.clone(),
        artist: new.tags.artist.clone(),
        album: new.tags.album.clone(),
    }
}

/// Finishes what a power cut interrupted.
pub fn mend(inner: &Inner, disk: &Arc<Disk>) -> Result<()> {
    let Ok(disk) = &disk.clone().writable() else { return Ok(()) };
    let mended = inner.store.write_now(|connection| {
        let mut changed = false;
        for reserved in tracks::every_reserved(connection)? {
            if reserved.root != disk.id {
                continue;
            }
            let target = disk.root.path.join(&reserved.path);
            if reserved.new.staged.exists() {
                // Intake brings it again under the same event, and the reservation is taken up there.
                continue;
            }
            if is_ours(&target, &reserved.new) {
                put(disk, connection, reserved, &mut |_| Ok(()))?;
                changed = true;
            } else {
                tracks::unreserve(connection, reserved.new.event)?;
            }
        }
        for copy in tracks::trashed(connection, disk.id)? {
            let name = copy.trashed.as_deref().unwrap_or_default();
            // Whatever else lies there by now is not ours to move.
            let waits = lies_there(disk, &copy) && !disk.root.trash().join(name).exists();
            if waits && !tracks::path_taken(connection, copy.root, &copy.path)? {
                trash::put(disk, &disk.root.path.join(&copy.path), name)?;
            }
        }
        Ok(changed)
    })?;
    if mended {
        inner.store.write_now(|connection| inner.changed(connection))?;
    }
    sync_folder(&disk.root.path)
}

/// Form of the lines written today.
const LINE_VERSION: u32 = 1;
/// product.md: music files are 0664 in group konpo.
const MUSIC_MODE: u32 = 0o664;
/// More files of one name in one folder are a mistake somewhere.
const MOST_NAMESAKES: u32 = 1000;
