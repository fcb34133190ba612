//! The file of a track as somebody may read it: the owner as it lies on the shelf, others without what names its buyer. The
//! file is never touched.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
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
    /// When it was last written. Once it has another time, `blanks` hold no more.
    pub modified: SystemTime,
    /// When anything of it last changed as `blanks` were found, seconds and nanoseconds since 1970; `None` for the owner, from
    /// whom nothing is kept.
    pub changed: Option<(i64, i64)>,
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
        let (blanks, changed) = match right {
            Right::Owner => (Vec::new(), None),
            _ => self.blanks(&open).map(|(blanks, version)| (blanks, Some(version.changed)))?,
        };
        let etag = etag(&open, &blanks);
        let OpenTrack { track, copy, file, extension, size, modified, .. } = open;
        Ok(Served { track, copy, file, extension, size, modified, changed, etag, blanks })
    }

    /// Looks at the bytes as they are now: somebody may have tagged the file anew since it came.
    fn blanks(&self, open: &OpenTrack) -> Result<(Vec<Blank>, Version)> {
        let failed = |error| Error::io("read a track", error);
        let written = || Error::new(Kind::Busy, "the file is being written to");
        let before = Version::of(open).map_err(failed)?;
        if before.size != open.size.0 || before.modified != open.modified {
            return Err(written());
        }
        let forms = &self.inner.forms;
        if let Some(known) = forms.get(before) {
            return Ok((known, before));
        }
        let file = open.file.try_clone().map_err(failed)?;
        let mut sound = Sound::file(file, open.extension.as_deref()).map_err(failed)?;
        let found = blank::blanks(&mut sound)?;
        if Version::of(open).map_err(failed)? != before {
            return Err(written());
        }
        forms.keep(before, &found);
        Ok((found, before))
    }
}

/// A file as it was when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    copy: CopyId,
    device: u64,
    inode: u64,
    size: u64,
    modified: SystemTime,
    /// When anything of it last changed, seconds and nanoseconds since 1970: nobody can put this time back.
    changed: (i64, i64),
}

impl Version {
    fn of(open: &OpenTrack) -> std::io::Result<Version> {
        let about = open.file.metadata()?;
        let changed = (about.ctime(), about.ctime_nsec());
        let (device, inode, size) = (about.dev(), about.ino(), about.len());
        Ok(Version { copy: open.copy, device, inode, size, modified: about.modified()?, changed })
    }

    /// Whether a change from now on would have another time.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.is_ok_and(|now| self.changed.0.saturating_add(SETTLED) < now.as_secs().cast_signed())
    }
}

/// What stands in the files that were asked for last: a player asks for one again and again, part by part.
#[derive(Debug, Default)]
pub(super) struct Forms(Mutex<VecDeque<(Version, Vec<Blank>)>>);

impl Forms {
    fn get(&self, version: Version) -> Option<Vec<Blank>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(of, _)| *of == version).map(|(_, blanks)| blanks.clone())
    }

    fn keep(&self, version: Version, blanks: &[Blank]) {
        if !version.is_settled() || blanks.len() > MOST_BLANKS {
            return;
        }
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(of, _)| of.copy != version.copy);
        if known.len() >= MOST_FORMS {
            known.pop_front();
        }
        known.push_back((version, blanks.to_vec()));
    }
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

/// Seconds after which the times of most file systems went on for sure.
const SETTLED: i64 = 3;
/// Files that are kept in mind, and blanks of one of them. Real files have a handful.
const MOST_FORMS: usize = 128;
const MOST_BLANKS: usize = 256;
