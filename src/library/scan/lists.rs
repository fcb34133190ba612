//! Playlists in `<music>/Playlists`: their files are read when they change, and what they name is kept by track, so that a
//! list stays whole when a file of it moves.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tracing::warn;

use crate::error::Result;
use crate::library::Inner;
use crate::library::roots::Disk;
use crate::library::scan::{answer, file};
use crate::library::store::marks::{self, List, ListEntry};
use crate::library::store::{roots, scanned};
use crate::media::playlist::{self, Form, Location};
use crate::track::TrackId;

/// Reads the playlists of a root that changed. One that names a file which was not there is read again at every look.
///
/// # Errors
/// Those of the database.
pub fn read(inner: &Arc<Inner>, disk: &Arc<Disk>) -> Result<()> {
    if !disk.root.is_first() {
        return Ok(());
    }
    let folder = disk.root.path.join("Playlists");
    let id = disk.id;
    let (known, waits) =
        inner.store.read_blocking(|c| Ok((marks::lists_of(c, id)?, marks::lists_wait(c, id)?)))?;
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(()) };
    let mut there = Vec::new();
    let mut changed = false;
    for entry in entries.flatten() {
        let (name, path) = (entry.file_name(), Path::new("Playlists").join(entry.file_name()));
        let Some(form) = form_of(&path) else { continue };
        let Some(found) = entry.metadata().ok().filter(fs::Metadata::is_file) else { continue };
        there.push(path.clone());
        let stamp = file::stamp(&found);
        let was = known.iter().find(|(known, _)| *known == path);
        if was.is_some_and(|(_, known)| *known == Some(stamp)) && !waits {
            continue;
        }
        let bytes = match playlist_bytes(&entry.path()) {
            Ok(bytes) => bytes,
            Err(error) => {
                warn!(?name, %error, "a playlist cannot be read; it stays as it was");
                continue;
            }
        };
        let list = list(inner, &bytes, form, &folder, path, stamp)?;
        answer(inner.store.hand_over(move |c| marks::put_list(c, id, &list))?)?;
        changed = true;
    }
    for (path, _) in known.into_iter().filter(|(path, _)| !there.contains(path)) {
        answer(inner.store.hand_over(move |c| marks::drop_list(c, id, &path))?)?;
        changed = true;
    }
    if changed {
        let works = inner.clone();
        answer(inner.store.hand_over(move |c| works.changed(c))?)?;
    }
    Ok(())
}

fn list(inner: &Inner, bytes: &[u8], form: Form, folder: &Path, path: PathBuf, stamp: i64) -> Result<List> {
    let parsed = playlist::parse(bytes, form);
    let roots: Vec<PathBuf> = inner.roots.paths().map(Path::to_owned).collect();
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let mut entries = Vec::with_capacity(parsed.entries.len());
    for entry in parsed.entries {
        let (said, track) = match entry.location {
            Location::Path(said) => {
                let places = playlist::resolve(&said, folder, &roots);
                let track = find(inner, &places)?;
                (said, track)
            }
            Location::Url(url) => (url.into_bytes(), None),
        };
        entries.push(ListEntry { said, title: entry.title, track });
    }
    Ok(List { name: parsed.name.unwrap_or(stem), path, stamp, entries })
}

/// Returns the track at the first of some full paths that is known.
fn find(inner: &Inner, places: &[PathBuf]) -> Result<Option<TrackId>> {
    inner.store.read_blocking(|c| {
        for place in places {
            for base in inner.roots.paths() {
                let Ok(below) = place.strip_prefix(base) else { continue };
                let (folder, name) = roots::split(below);
                if let Some(track) = scanned::track_at(c, base, folder, name)? {
                    return Ok(Some(track));
                }
            }
        }
        Ok(None)
    })
}

fn playlist_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(LONGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn form_of(path: &Path) -> Option<Form> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    Some(match extension.as_str() {
        "m3u8" => Form::M3u8,
        "m3u" => Form::M3u,
        "pls" => Form::Pls,
        _ => return None,
    })
}

/// Bytes of a playlist that count; one more is read, which tells that it is longer.
const LONGEST: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_too_long_is_known_to_be_cut() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("long.m3u");
        let mut bytes = vec![b'\n'; LONGEST as usize - 5];
        bytes.extend_from_slice(b"b.mp3.flac\n");
        fs::write(&path, bytes).expect("written");
        let read = playlist::parse(&playlist_bytes(&path).expect("read"), Form::M3u);
        assert_eq!((read.entries.len(), read.cut), (0, true));
    }
}
