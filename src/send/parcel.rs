//! What goes out: files in their order, each with its name, its size and how it is read by the one who sends it. All of it
//! blocks as long as the disk takes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};
use crate::http::overlay::Overlay;
use crate::library::Library;
use crate::library::export::{Bytes, Plan, Planned};
use crate::offer::Right;
use crate::query::export::Wanted;
use crate::wire::localsend::MOST_FILES;
use crate::wire::media_type;

/// What goes out at once.
pub struct Parcel {
    library: Library,
    right: Right,
    plan: Plan,
    /// The files, in their order.
    pub items: Vec<Item>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Our name of it; sorted, these names have the order of the files.
    pub id: String,
    /// Its name there, folders before it with `/`.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Its type.
    pub mime: &'static str,
    from: Bytes,
}

/// A file that is read.
pub enum Source {
    /// Music, as its sender may read it.
    Music(Box<Overlay>),
    /// A text that was made, from some byte on.
    Text(File, u64),
}

impl Source {
    /// Reads at a place; 0 bytes at the end only.
    ///
    /// # Errors
    /// As [`Overlay::read_at`].
    pub fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Source::Music(overlay) => overlay.read_at(buf, at),
            Source::Text(file, from) => file.read_at(buf, from + at),
        }
    }
}

impl Parcel {
    /// Says what goes out for somebody of this right.
    ///
    /// # Errors
    /// `NotFound` for an album, a playlist or a track that is not there, `Invalid` for more than 5000 files, and those of the shelf.
    pub async fn plan(library: Library, wanted: Wanted, right: Right) -> Result<Parcel> {
        let is_list = matches!(wanted, Wanted::Playlist(_));
        let plan = library.plan_sending(wanted, right).await?;
        let goes = |file: &&Planned| match file.from {
            Bytes::Copy { .. } => true,
            // A list of songs is of use beside them; of an album its folder is list enough.
            Bytes::Text { .. } => is_list && file.name.ends_with(".m3u8"),
        };
        let files: Vec<&Planned> = plan.files().iter().filter(goes).collect();
        if files.len() > MOST_FILES {
            let what = format!("{} files, and at most {MOST_FILES} go out at once", files.len());
            return Err(Error::new(Kind::Invalid, what));
        }
        let is_music = |file: &&&Planned| matches!(file.from, Bytes::Copy { .. });
        let items = match files.iter().filter(is_music).count() {
            0 => Vec::new(),
            _ => files.iter().enumerate().map(|(at, file)| item(at, file, files.len() == 1)).collect(),
        };
        Ok(Parcel { library, right, plan, items })
    }

    /// Returns what it is called.
    pub fn title(&self) -> &str {
        match self.items.as_slice() {
            [one] => Path::new(&one.name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(&one.name),
            _ => &self.plan.title,
        }
    }

    /// Returns what stays here: the first lines, each with its reason, and how many there are.
    pub fn left(&self) -> (&[String], u64) {
        (&self.plan.left, self.plan.left_out)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// `NotAllowed` when its sender may not read it any more, `Busy` when it is another one than planned, and those of the disk.
    pub fn open(&self, item: &Item) -> Result<Source> {
        let (track, copy) = match item.from {
            Bytes::Copy { track, copy } => (track, copy),
            Bytes::Text { at } => {
                let texts = self.plan.texts();
                return Ok(Source::Text(texts.map_err(|error| Error::io("read a playlist", error))?, at));
            }
        };
        let served = self.library.open_served_blocking(track, self.right)?;
        if served.copy != copy || served.size.0 != item.size {
            return Err(Error::new(Kind::Busy, "it was changed just now"));
        }
        let size = served.size.0;
        let overlay = Overlay::new(served.file, size, served.modified, served.changed, served.blanks);
        Ok(Source::Music(Box::new(overlay)))
    }

    /// Returns the SHA-256 of each file as it goes out, lower-case hex; none beyond 8 GB in all, and of a file that cannot be
    /// read. Ends early when the token falls.
    pub fn sums(&self, stop: &CancellationToken) -> Vec<Option<String>> {
        let mut buf = vec![0; PART];
        let mut room = MOST_SUMMED;
        let mut sum = |item: &Item| -> Option<String> {
            room = room.checked_sub(item.size)?;
            let source = self.open(item).ok()?;
            let (mut hash, mut at) = (Sha256::new(), 0);
            while at < item.size && !stop.is_cancelled() {
                let got = source.read_at(&mut buf, at).ok().filter(|&got| got > 0)?;
                let got = got.min(usize::try_from(item.size - at).unwrap_or(got));
                hash.update(&buf[..got]);
                at += got as u64;
            }
            let hex = |hash: Sha256| hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            (at == item.size).then(|| hex(hash))
        };
        self.items.iter().map(|item| if stop.is_cancelled() { None } else { sum(item) }).collect()
    }
}

fn item(at: usize, file: &Planned, alone: bool) -> Item {
    // One song needs no folders around it.
    let name = if alone { file.name.rsplit('/').next().unwrap_or(&file.name) } else { &file.name };
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    Item {
        id: format!("{:05}", at + 1),
        name: name.to_owned(),
        size: file.size.0,
        mime: media_type::of_extension(extension.unwrap_or_default()),
        from: file.from,
    }
}

/// Bytes that are read at once.
pub const PART: usize = 256 << 10;
/// Who sends more waits too long for the first byte; TLS keeps the bytes as they are all the same.
const MOST_SUMMED: u64 = 8_000_000_000;
