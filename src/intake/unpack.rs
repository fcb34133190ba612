//! Archives of shops: what is music in one goes to the shelf file by file, each under a row of its own; what is none is told
//! and left. Repeated after a crash, it goes on behind the last file that is safe. The worker runs it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tracing::info;

use crate::error::{Error, Kind, Result};
use crate::intake::Inner;
use crate::intake::door::policy::is_no_music;
use crate::intake::inbox;
use crate::intake::names;
use crate::intake::noted::{Done, Noted};
use crate::intake::staging::{Part, blocking, room_for, staging_dir};
use crate::library::JournalRow;
use crate::library::disk::remove;
use crate::media::archive::{self, Entry};
use crate::offer::push::Sent;
use crate::offer::{OfferId, Provenance, RemoteItem, Stage, Verdict};
use crate::units::{ByteCount, UnixTime};

/// Unpacks a row's file when it is an archive that somebody sent. Returns the stage the row ended in; `None` when it is no
/// archive. The drop folder is the owner's own: an archive stays there.
///
/// # Errors
/// `Full`, `Offline`, `Stopped`, and those of the disk and the database; it goes on later.
pub(in crate::intake) async fn unpack(inner: &Arc<Inner>, row: &mut JournalRow) -> Result<Option<Stage>> {
    if row.provenance.way == inbox::WAY || row.stage != Stage::Staged {
        return Ok(None);
    }
    let path = staging_dir(&inner.library).await?.join(row.part.as_deref().unwrap_or_default());
    let listed = {
        let path = path.clone();
        blocking(move || Ok(list(&path))).await?
    };
    let entries = match listed {
        Ok(None) => return Ok(None),
        Ok(Some(entries)) => entries,
        Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => {
            return refuse(inner, row, &path, &error).await.map(Some);
        }
        // The worker's own look says it better.
        Err(error) if error.kind() == Kind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut done = Noted::of(row).done.unwrap_or_default();
    match bring_all(inner, row, &path, &entries, &mut done).await {
        Ok(()) => {}
        // Waiting for room would hold up the songs behind it, which may need none.
        Err(error) if error.kind() == Kind::Full => {
            return no_room(inner, row, path, &done, &error).await.map(Some);
        }
        Err(error) => return Err(error),
    }
    let told = done.words();
    info!(name = row.provenance.original_name, told, "an archive is unpacked");
    let size = row.size.unwrap_or_default();
    let verdict = match done.songs {
        0 => Verdict::Refused { code: "not_audio".into(), reason: told },
        _ => Verdict::Read { told },
    };
    inner.end(row, verdict, size).await?;
    blocking(move || remove(&path)).await?;
    Ok(Some(row.stage))
}

/// Brings what is left in an archive to staging, file by file.
async fn bring_all(
    inner: &Arc<Inner>,
    row: &mut JournalRow,
    path: &Path,
    entries: &[Entry],
    done: &mut Done,
) -> Result<()> {
    let needed =
        entries.iter().skip(done.files).filter(|entry| is_wanted(entry)).map(|entry| entry.size).sum();
    room_for(&inner.library, ByteCount(needed)).await?;
    let noted = Noted::of(row);
    for entry in entries.iter().skip(done.files) {
        if inner.stop.is_cancelled() {
            return Err(Error::new(Kind::Stopped, "konpo is stopping"));
        }
        match left(entry) {
            Some(why) => done.leave(&entry.name, why),
            None => match bring(inner, row, path, entry).await {
                Ok(()) => {
                    done.songs += 1;
                    inner.door.count(&noted.counted, ByteCount(entry.size));
                }
                Err(error) if matches!(error.kind(), Kind::Damaged | Kind::Unsupported) => {
                    done.leave(&entry.name, &error.to_string());
                }
                Err(error) => return Err(error),
            },
        }
        done.files += 1;
        row.facts = Noted { done: Some(done.clone()), ..noted.clone() }.to_facts();
        let size = row.size.unwrap_or_default();
        inner.keep(row, size).await?;
    }
    Ok(())
}

/// Ends an archive for which there is no room; it lies in the trash for whoever wants to make some.
async fn no_room(
    inner: &Arc<Inner>,
    row: &mut JournalRow,
    path: PathBuf,
    done: &Done,
    error: &Error,
) -> Result<Stage> {
    let came = if done.songs > 0 { format!("{}; then ", done.words()) } else { String::new() };
    let (reason, size) = (format!("{came}{error}"), row.size.unwrap_or_default());
    let name = row.provenance.original_name.clone();
    info!(name, reason, "there is no room to unpack an archive");
    inner.end(row, Verdict::Refused { code: "full".into(), reason }, size).await?;
    let (library, event) = (inner.library.clone(), row.id);
    blocking(move || library.throw_away(&path, event, &name)).await?;
    Ok(row.stage)
}

/// Returns what is in a file when it is an archive.
fn list(path: &Path) -> Result<Option<Vec<Entry>>> {
    let failed = |error| Error::io("open a file on its way in", error);
    let mut file = File::open(path).map_err(failed)?;
    let mut head = [0; 4];
    match file.read_exact(&mut head) {
        Ok(()) if archive::is_archive(&head) => archive::directory(&mut file).map(Some),
        _ => Ok(None),
    }
}

async fn refuse(inner: &Arc<Inner>, row: &mut JournalRow, path: &Path, error: &Error) -> Result<Stage> {
    let code = if error.kind() == Kind::Damaged { "damaged" } else { "unsupported" };
    let (reason, size) = (error.to_string(), row.size.unwrap_or_default());
    info!(name = row.provenance.original_name, code, reason, "not taken");
    inner.end(row, Verdict::Refused { code: code.into(), reason }, size).await?;
    let path = path.to_owned();
    blocking(move || remove(&path)).await?;
    Ok(row.stage)
}

/// Returns why a file of an archive is left in it; `None`: it is to come out.
fn left(entry: &Entry) -> Option<&'static str> {
    let sent =
        Sent { name: entry.name.clone(), size: ByteCount(entry.size), mime: String::new(), sha256: None };
    let lower = entry.name.to_ascii_lowercase();
    // What a Mac puts beside every file (its resource forks), and what no shop sells as a song.
    let beside =
        lower.starts_with("__macosx/") || lower.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
    if beside {
        return Some("it belongs to another system");
    }
    if lower.ends_with(".zip") {
        return Some("an archive in an archive is not opened");
    }
    if is_no_music(&sent) || OTHER.iter().any(|end| lower.ends_with(end)) {
        return Some("it is no music");
    }
    entry.unfit
}

fn is_wanted(entry: &Entry) -> bool {
    left(entry).is_none()
}

/// Brings one file of an archive to staging, under a row of its own.
async fn bring(inner: &Arc<Inner>, archive: &JournalRow, path: &Path, entry: &Entry) -> Result<()> {
    let mut part = Part::new(inner.clone(), row_of(archive, entry)).await?;
    part.begin(Some(entry.size), None).await?;
    let (give, mut take) = mpsc::channel::<Vec<u8>>(BLOCKS);
    let (from, entry): (PathBuf, Entry) = (path.to_owned(), entry.clone());
    let unpacking = tokio::task::spawn_blocking(move || {
        let mut file = File::open(&from).map_err(|error| Error::io("open an archive", error))?;
        archive::unpack(&mut file, &entry, |block| {
            // Nobody takes it any more when the disk failed; that is said there.
            give.blocking_send(block).map_err(|_| Error::new(Kind::Stopped, "nobody takes it"))
        })
    });
    let mut wrote = Ok(());
    while let Some(block) = take.recv().await {
        wrote = part.write(Bytes::from(block)).await;
        if wrote.is_err() {
            break;
        }
    }
    drop(take);
    let unpacked =
        unpacking.await.map_err(|error| Error::with(Kind::Internal, "unpack an archive", error))?;
    let went = wrote.and(unpacked);
    if let Err(error) = went {
        part.refuse("gone", &error.to_string()).await?;
        return Err(error);
    }
    inner.door.unpacked(archive.id, part.id());
    part.finish().await
}

fn row_of(archive: &JournalRow, entry: &Entry) -> JournalRow {
    let name = entry.name.rsplit('/').next().unwrap_or_default();
    let remote = format!("{}/{}", archive.provenance.remote, entry.name);
    JournalRow {
        id: OfferId(0),
        stage: Stage::Offered,
        provenance: Provenance {
            original_name: name.to_owned(),
            remote: remote.clone(),
            ..archive.provenance.clone()
        },
        part: Some(names::part_name(name)),
        size: Some(ByteCount(entry.size)),
        item: Some(RemoteItem {
            object_id: remote,
            url: String::new(),
            size: Some(ByteCount(entry.size)),
            mime: String::new(),
            title: String::new(),
            artist: None,
            album: None,
            track: None,
            duration: None,
            views: Vec::new(),
        }),
        etag: None,
        verdict: None,
        // It is counted as its archive is, and came with it.
        facts: Noted { done: None, ..Noted::of(archive) }.to_facts(),
        at: UnixTime::now(),
    }
}

impl Done {
    fn leave(&mut self, name: &str, why: &str) {
        // The first few are told by name.
        if self.left.len() < MOST_TOLD {
            let name: String =
                name.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect();
            self.left.push(format!("{name}: {why}"));
        }
    }

    fn words(&self) -> String {
        let songs = match self.songs {
            0 => "no music came out of the archive".to_owned(),
            1 => "one song came out of the archive".to_owned(),
            songs => format!("{songs} songs came out of the archive"),
        };
        if self.left.is_empty() { songs } else { format!("{songs}; left in it: {}", self.left.join("; ")) }
    }
}

/// Blocks between the one who unpacks and the one who writes; the former waits when they are full.
const BLOCKS: usize = 8;
const MOST_TOLD: usize = 10;
const LONGEST_NAME: usize = 120;
/// What else lies in archives of shops.
const OTHER: [&str; 8] = [".m3u", ".m3u8", ".cue", ".log", ".nfo", ".sfv", ".html", ".url"];

#[cfg(test)]
mod tests;
