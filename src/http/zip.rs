//! Many files as one answer: a ZIP whose length is told first. Read in blocks as the client takes them, so any size costs
//! little memory beside the names of its files.
//!
//! A reader that takes an archive as a stream (Android's, for one) must find the checksum of a stored file in front of it: a
//! file is read once for its checksum and once to be sent, except a very large one, which would keep the client waiting.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use crc32fast::Hasher;
use futures_util::stream;
use http::{HeaderValue, Method, header};

use crate::error::{Error, Kind, Result};
use crate::http::overlay::Overlay;
use crate::units::UnixTime;
use crate::wire::zip::{self, Entry};

/// The bytes of a file as its reader may have them.
pub trait ReadAt: Send + Sync {
    /// Reads at a place; 0 bytes at the end only. Blocks.
    ///
    /// # Errors
    /// Those of the disk, and when the file is another one by now.
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        FileExt::read_at(self, buf, at)
    }
}

impl ReadAt for Overlay {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        Overlay::read_at(self, buf, at)
    }
}

/// What an archive is made of. Its files are asked for in order, each once.
pub trait Files: Send + Sync {
    /// Returns how many files there are.
    fn count(&self) -> usize;

    /// Returns the path in the archive, the bytes, and the time of a file.
    fn about(&self, at: usize) -> (&str, u64, UnixTime);

    /// Opens a file; it has as many bytes as was said. Blocks.
    ///
    /// # Errors
    /// Those of the disk, and when it is another one by now.
    fn open(&self, at: usize) -> io::Result<Box<dyn ReadAt>>;
}

/// An archive on its way out.
pub struct Zip {
    files: Arc<dyn Files>,
    /// Checksums of the files that were sent.
    sums: Vec<u32>,
    stage: Stage,
    /// Bytes that were told so far.
    told: u64,
}

enum Stage {
    /// In front of the next file.
    Head,
    /// Within a file.
    Within {
        file: Box<dyn ReadAt>,
        at: u64,
        hasher: Hasher,
        /// What was said in front of it; `None`: it is said behind it.
        said: Option<u32>,
    },
    /// In the directory at the end.
    Directory {
        start: u64,
        next: usize,
        /// Where the head of that file begins.
        offset: u64,
    },
    Done,
}

impl Zip {
    /// Returns an archive of these files.
    pub fn new(files: Arc<dyn Files>) -> Zip {
        Zip { files, sums: Vec::new(), stage: Stage::Head, told: 0 }
    }

    /// Returns its length in bytes.
    pub fn length(&self) -> u64 {
        zip::length((0..self.files.count()).map(|at| self.entry(at)))
    }

    fn entry(&self, at: usize) -> Entry<'_> {
        let (name, size, modified) = self.files.about(at);
        Entry { name, size, modified, late: size > READ_TWICE }
    }

    /// Returns the next bytes; `None` behind the last.
    ///
    /// # Errors
    /// Those of the files; the archive is broken off then.
    /// # Blocks
    /// As long as the disk takes.
    pub fn read(&mut self) -> io::Result<Option<Bytes>> {
        let mut block = Vec::new();
        while block.len() < BLOCK && !matches!(self.stage, Stage::Done) {
            self.step(&mut block)?;
        }
        self.told += block.len() as u64;
        Ok((!block.is_empty()).then(|| block.into()))
    }

    fn step(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let told = self.told + out.len() as u64;
        let stage = std::mem::replace(&mut self.stage, Stage::Done);
        self.stage = match stage {
            Stage::Head if self.sums.len() == self.files.count() => {
                Stage::Directory { start: told, next: 0, offset: 0 }
            }
            Stage::Head => {
                let at = self.sums.len();
                let file = self.files.open(at)?;
                let entry = self.entry(at);
                let said = if entry.late { None } else { Some(sum(&*file, entry.size)?) };
                out.extend(entry.head(said.unwrap_or(0)));
                Stage::Within { file, at: 0, hasher: Hasher::new(), said }
            }
            Stage::Within { file, at, mut hasher, said } => {
                let entry = self.entry(self.sums.len());
                let count = (entry.size - at).min((BLOCK - out.len().min(BLOCK - 1)) as u64) as usize;
                let from = out.len();
                if out.is_empty() {
                    // The kernel gives zeros for nothing.
                    *out = vec![0; count];
                } else {
                    out.resize(from + count, 0);
                }
                read_whole(&*file, &mut out[from..], at)?;
                hasher.update(&out[from..]);
                let at = at + count as u64;
                if at < entry.size {
                    Stage::Within { file, at, hasher, said }
                } else {
                    let sum = hasher.finalize();
                    if said.is_some_and(|said| said != sum) {
                        return Err(io::Error::other(format!(
                            "{} was changed while it was sent",
                            entry.name
                        )));
                    }
                    out.extend(entry.tail(sum));
                    self.sums.push(sum);
                    Stage::Head
                }
            }
            Stage::Directory { start, next, offset } if next < self.sums.len() => {
                let entry = self.entry(next);
                out.extend(entry.line(self.sums[next], offset));
                Stage::Directory { start, next: next + 1, offset: offset + entry.span() }
            }
            Stage::Directory { start, .. } => {
                out.extend(zip::end(self.sums.len() as u64, start, told - start));
                Stage::Done
            }
            Stage::Done => Stage::Done,
        };
        Ok(())
    }
}

fn sum(file: &dyn ReadAt, size: u64) -> io::Result<u32> {
    let (mut hasher, mut block, mut at) = (Hasher::new(), vec![0; BLOCK], 0);
    while at < size {
        let count = (size - at).min(BLOCK as u64) as usize;
        read_whole(file, &mut block[..count], at)?;
        hasher.update(&block[..count]);
        at += count as u64;
    }
    Ok(hasher.finalize())
}

fn read_whole(file: &dyn ReadAt, mut buf: &mut [u8], mut at: u64) -> io::Result<()> {
    while !buf.is_empty() {
        let got = file.read_at(buf, at)?;
        if got == 0 {
            // It became shorter; the client must notice.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at += got as u64;
        buf = &mut buf[got..];
    }
    Ok(())
}

/// The archives that are on their way out: so many and no more, for each holds the names of its files. One whose client
/// takes nothing yields to one that is asked for.
#[derive(Clone, Default)]
pub struct Turns {
    slots: Arc<Mutex<Vec<Weak<Slot>>>>,
}

struct Slot(Mutex<State>);

enum State {
    /// What goes out is being found out.
    Plans,
    /// Waits for its client since then.
    Waits(Box<Zip>, Instant),
    /// A block is being read.
    Reads,
    /// It yielded to another.
    Yielded,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the next block.
    fn read(&self) -> io::Result<Option<Bytes>> {
        // Not within the match: its lock would be held to the end of it.
        let state = std::mem::replace(&mut *self.state(), State::Reads);
        let mut zip = match state {
            State::Waits(zip, _) => zip,
            State::Plans | State::Reads | State::Yielded => {
                *self.state() = State::Yielded;
                return Err(io::Error::other("it stood still, and another archive was asked for"));
            }
        };
        let block = zip.read()?;
        *self.state() = State::Waits(zip, Instant::now());
        Ok(block)
    }

    /// Returns since when it stands still.
    fn waits(&self) -> Option<Instant> {
        match *self.state() {
            State::Waits(_, since) => Some(since),
            State::Plans | State::Reads | State::Yielded => None,
        }
    }
}

impl Turns {
    /// Gives a turn, before what goes out is found out: that, too, is done for so many and no more.
    ///
    /// # Errors
    /// `Busy` while there are too many and each is being taken.
    pub fn take(&self, now: Instant) -> Result<Turn> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.strong_count() > 0);
        if slots.len() >= MOST_AT_ONCE {
            let still = slots.iter().filter_map(Weak::upgrade).filter_map(|slot| Some((slot.waits()?, slot)));
            let longest = still.min_by_key(|(since, _)| *since);
            let longest = longest.filter(|(since, _)| now.saturating_duration_since(*since) >= STANDS_STILL);
            let Some((_, yields)) = longest else {
                let what =
                    format!("{MOST_AT_ONCE} archives are on their way out; ask again when one is done");
                return Err(Error::new(Kind::Busy, what));
            };
            *yields.state() = State::Yielded;
            slots.retain(|slot| slot.as_ptr() != Arc::as_ptr(&yields));
        }
        let slot = Arc::new(Slot(Mutex::new(State::Plans)));
        slots.push(Arc::downgrade(&slot));
        Ok(Turn(slot))
    }
}

/// The right to send one archive; it goes back when this is dropped, or when the whole was sent.
pub struct Turn(Arc<Slot>);

impl Turn {
    /// Answers GET or HEAD with an archive. `name` is what it is saved as, without the extension.
    pub fn answer(self, method: &Method, files: Arc<dyn Files>, name: &str) -> Response {
        let zip = Zip::new(files);
        let length = zip.length();
        let body = if method == Method::HEAD {
            Body::empty()
        } else {
            let slot = self.begins(zip, Instant::now());
            Body::from_stream(stream::try_unfold(slot, |slot| async move {
                let reads = slot.clone();
                let read = tokio::task::spawn_blocking(move || reads.read()).await;
                let block = read.map_err(io::Error::other)??;
                Ok::<_, io::Error>(block.map(|block| (block, slot)))
            }))
        };
        let mut response = body.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
        headers.insert(header::CONTENT_LENGTH, length.into());
        if let Ok(value) = HeaderValue::from_str(&disposition(name)) {
            headers.insert(header::CONTENT_DISPOSITION, value);
        }
        response
    }

    fn begins(self, zip: Zip, now: Instant) -> Arc<Slot> {
        *self.0.state() = State::Waits(Box::new(zip), now);
        self.0
    }
}

/// Returns how a browser saves it: a plain name, and the whole name in UTF-8 (RFC 6266, 4.1; RFC 8187, 3.2).
fn disposition(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || " -_.()".contains(c) { c } else { '_' };
    let ascii: String = name.chars().map(plain).collect();
    let mut whole = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => whole.push(char::from(byte)),
            byte => whole.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("attachment; filename=\"{ascii}.zip\"; filename*=UTF-8''{whole}.zip")
}

/// Bytes read at once: a block of many is a block of memory per client.
const BLOCK: usize = 128 << 10;
/// A file of more bytes is read once only: a slow disk takes ten seconds for so many.
const READ_TWICE: u64 = 256 << 20;
const MOST_AT_ONCE: usize = 4;
/// How long a client takes nothing before its archive may yield.
const STANDS_STILL: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
