//! The file of a track as somebody may read it: the owner as it lies on the shelf, others without what names its buyer. The
//! file is never touched.

use std::fs::File;
use std::sync::Arc;
use std::time::SystemTime;

use crate::error::{Error, Kind, Result};
use crate::library::{Library, OpenTrack};
use crate::media::blank;
use crate::media::sound::Sound;
use crate::offer::Right;
use crate::track::blank::Blank;
use crate::track::{CopyId, Track, TrackId};
use crate::units::ByteCount;

/// A file of the shelf, opened for somebody.
#[derive(Debug)]
pub struct Served {
    /// Its track.
    pub track: Arc<Track>,
    /// Which of its copies.
    pub copy: CopyId,
    /// The file as it lies on the shelf, at any position. It goes to nobody but through `blanks`.
    pub file: File,
    /// Its extension, without the dot.
    pub extension: Option<String>,
    /// Bytes, of the file and of what is served.
    pub size: ByteCount,
    /// When it last changed. Once it has another time, `blanks` hold no more.
    pub modified: SystemTime,
    /// Its entity tag, in quotes. It names the form: what reads otherwise has another one.
    pub etag: String,
    /// What stands in place of the bytes that name the buyer, sorted and without overlap.
    pub blanks: Vec<Blank>,
}

impl Library {
    /// Opens the best copy of a track for a caller of this right.
    ///
    /// # Errors
    /// `NotAllowed` below Owner for a protected file and one of which it is not known where it names the buyer, both in words
    /// for a person; `NotFound`, `Offline` when its disk is not there, `Busy` while it is written to, and those of the disk.
    /// # Cancel
    /// A dropped future leaves the work to finish.
    pub async fn open_served(&self, id: TrackId, right: Right) -> Result<Served> {
        let library = self.clone();
        let opened = tokio::task::spawn_blocking(move || library.open_served_blocking(id, right)).await;
        opened.map_err(|error| Error::with(Kind::Internal, "open a track", error))?
    }

    /// Opens the best copy of a track for a caller of this right, on this thread.
    ///
    /// # Errors
    /// As [`Library::open_served`].
    /// # Blocks
    /// As long as the disk takes to wake, and on a few looks at the file.
    pub fn open_served_blocking(&self, id: TrackId, right: Right) -> Result<Served> {
        let open = match self.open_blocking(id) {
            // What cannot be played can be read; whether by this caller, its bytes decide.
            Err(error) if error.kind() == Kind::Unsupported => self.open_of(id, |_| true)?,
            open => open?,
        };
        let blanks = if right == Right::Owner { Vec::new() } else { blanks(&open)? };
        let etag = etag(&open, &blanks);
        let OpenTrack { track, copy, file, extension, size, modified, .. } = open;
        Ok(Served { track, copy, file, extension, size, modified, etag, blanks })
    }
}

/// Looks at the bytes as they are now: somebody may have tagged the file anew since it came.
fn blanks(open: &OpenTrack) -> Result<Vec<Blank>> {
    let failed = |error| Error::io("read a track", error);
    let file = open.file.try_clone().map_err(failed)?;
    let mut sound = Sound::file(file, open.extension.as_deref()).map_err(failed)?;
    let found = blank::blanks(&mut sound)?;
    let after = open.file.metadata().map_err(failed)?;
    if after.len() != open.size.0 || after.modified().map_err(failed)? != open.modified {
        return Err(Error::new(Kind::Busy, "the file is being written to"));
    }
    Ok(found)
}

/// Its owner may tag the file anew at any time, at the same length; and a later konpo may blank more of it.
fn etag(open: &OpenTrack, blanks: &[Blank]) -> String {
    let changed = open.modified.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let whole = format!("{:x}-{:x}-{changed:x}", open.copy.0, open.size.0);
    if blanks.is_empty() {
        return format!("\"{whole}\"");
    }
    let form = blake3::hash(format!("{blanks:?}").as_bytes()).to_hex();
    format!("\"{whole}-{}\"", &form[..16])
}
