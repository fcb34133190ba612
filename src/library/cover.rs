//! The cover of a track: from its file, or from beside it.

use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use crate::error::{Error, Kind, Result};
use crate::library::art::{self, Size};
use crate::library::picture::{self, Chosen};
use crate::library::{Library, OpenTrack};
use crate::media::picture as tagged;
use crate::media::sniff::sniff;
use crate::media::sound::Sound;
use crate::track::TrackId;

/// A cover for a face.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    /// A baseline JPEG.
    pub jpeg: Vec<u8>,
    /// Its entity tag, in quotes; another picture has another one.
    pub etag: String,
}

impl Library {
    /// Returns the cover of a track; `None` when neither its file nor its folder has one that can be shown.
    ///
    /// # Errors
    /// `NotFound`, `Offline`, and those of the disk.
    /// # Cancel
    /// A dropped future leaves the work to finish.
    pub async fn cover(&self, id: TrackId, size: Size) -> Result<Option<Cover>> {
        // A page asks for hundreds: only some threads wait for the disk and for each other.
        let turn = self.inner.covers.turn().await?;
        let library = self.clone();
        let found = tokio::task::spawn_blocking(move || {
            let found = library.cover_blocking(id, size);
            drop(turn);
            found
        });
        found.await.map_err(|error| Error::with(Kind::Internal, "find a cover", error))?
    }

    /// Returns the cover of a track, on this thread.
    ///
    /// # Errors
    /// As [`Library::cover`].
    /// # Blocks
    /// As long as the disk takes to wake, and while covers are made.
    pub fn cover_blocking(&self, id: TrackId, size: Size) -> Result<Option<Cover>> {
        let inner = &self.inner;
        match inner.store.read_blocking(|c| picture::chosen(c, id))? {
            Chosen::No => {}
            Chosen::Without => return Ok(None),
            Chosen::Picture(name) => {
                let key = blake3::hash(&[MADE_SO, name.as_bytes()].concat()).to_hex().to_string();
                let etag = format!("\"{}-{}\"", &key[..32], size.edge());
                // What is lost is not remembered as lost: the disk beside which it lies may be away.
                let lost = || Error::new(Kind::NotFound, format!("the picture {name} is nowhere"));
                let choose = || {
                    let found = picture::read(&name, &inner.data, inner.roots.paths());
                    found.map(Some).ok_or_else(lost)
                };
                match inner.covers.get(&key, size, choose) {
                    // As if nothing was chosen.
                    Err(error) if error.kind() == Kind::NotFound => {}
                    found => return Ok(found?.map(|jpeg| Cover { jpeg, etag })),
                }
            }
        }
        let open = match self.open_blocking(id) {
            // A protected track: its tags are not read.
            Err(error) if error.kind() == Kind::Unsupported => return Ok(None),
            open => open?,
        };
        let beside = open.path.parent().and_then(art::folder_picture);
        let key = identity(&open, beside.as_deref());
        let etag = format!("\"{}-{}\"", &key[..32], size.edge());
        let choose = || chosen(open.file, open.extension.as_deref(), beside.as_deref());
        let jpeg = self.inner.covers.get(&key, size, choose)?;
        Ok(jpeg.map(|jpeg| Cover { jpeg, etag }))
    }
}

/// Returns the cover that a file of the shelf shows, made anew and kept nowhere; `None` without one.
///
/// # Errors
/// `Unsupported` and `Damaged` for a picture that cannot be shown, and those of the disk.
/// # Blocks
/// As long as the disk takes to wake, and while it is made.
pub(super) fn of_file(path: &Path, size: Size) -> Result<Option<Vec<u8>>> {
    let file = File::open(path).map_err(|error| Error::io(format!("open {}", path.display()), error))?;
    let extension = path.extension().map(|extension| extension.to_string_lossy());
    let beside = path.parent().and_then(art::folder_picture);
    let picture = chosen(file, extension.as_deref(), beside.as_deref())?;
    picture.map(|picture| art::scale(&picture, size)).transpose()
}

/// Returns a hash that changes with every picture that may be shown, and when covers are made in another way.
fn identity(open: &OpenTrack, beside: Option<&Path>) -> String {
    let nanos = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos()).to_le_bytes()
    };
    let mut hash = blake3::Hasher::new();
    hash.update(MADE_SO).update(&open.copy.0.to_le_bytes());
    hash.update(&open.size.0.to_le_bytes()).update(&nanos(open.modified));
    if let Some((path, found)) = beside.and_then(|path| Some((path, path.symlink_metadata().ok()?))) {
        hash.update(path.as_os_str().as_bytes()).update(&found.len().to_le_bytes());
        hash.update(&nanos(found.modified().unwrap_or(SystemTime::UNIX_EPOCH)));
    }
    hash.finalize().to_hex().to_string()
}

/// Reads the picture that is shown.
fn chosen(file: File, extension: Option<&str>, beside: Option<&Path>) -> Result<Option<Vec<u8>>> {
    let embedded = embedded(file, extension)?;
    let Some(folder) = beside.and_then(|path| art::read_picture(path).ok()) else { return Ok(embedded) };
    Ok(match embedded {
        Some(embedded) if !art::folder_wins(&folder, &embedded) => Some(embedded),
        _ => Some(folder),
    })
}

fn embedded(file: File, extension: Option<&str>) -> Result<Option<Vec<u8>>> {
    let sound = Sound::file(file, extension);
    let mut sound = sound.map_err(|error| Error::io("read the cover of a track", error))?;
    let found = sniff(&mut sound).and_then(|sniffed| tagged::embedded(&mut sound, &sniffed));
    match found {
        Err(error) if matches!(error.kind(), Kind::Unsupported | Kind::Damaged) => Ok(None),
        found => found,
    }
}

/// Another word makes every cover anew.
const MADE_SO: &[u8] = b"konpo cover 1";
