//! An opened piece of sound: a file or a stream, without its path.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// Bytes that can be read and sought, and what is known beside them. Reading blocks.
pub struct Sound {
    bytes: Box<dyn Bytes>,
    len: Option<u64>,
    extension: Option<Arc<str>>,
    opened: Option<Arc<File>>,
}

/// What a sound reads from.
pub trait Bytes: Read + Seek + Send + Sync {}
impl<T: Read + Seek + Send + Sync> Bytes for T {}

impl Sound {
    /// Returns the sound of an opened file. `extension` is a hint, without the dot.
    ///
    /// # Errors
    /// Those of asking the file for its size.
    pub fn file(file: File, extension: Option<&str>) -> io::Result<Sound> {
        let about = file.metadata()?;
        let opened = if about.is_file() { Some(Arc::new(file.try_clone()?)) } else { None };
        Ok(Sound::new(file, Some(about.len()), extension).with_opened(opened))
    }

    /// Returns the sound of an opened file of `len` bytes of which at most `most` are read: the head at once, the rest as it
    /// is asked for. Reading more is an error.
    ///
    /// # Errors
    /// Those of reading its head.
    pub fn peek(file: File, len: u64, extension: Option<&str>, most: u64) -> io::Result<Sound> {
        let mut head = vec![0; len.min(HEAD) as usize];
        let mut filled = 0;
        while filled < head.len() {
            match file.read_at(&mut head[filled..], filled as u64)? {
                0 => break,
                count => filled += count,
            }
        }
        head.truncate(filled);
        let left = most.saturating_sub(filled as u64);
        let peek = Peek { file, len, at: 0, head, chunk: Vec::new(), chunk_at: 0, left };
        Ok(Sound::new(peek, Some(len), extension))
    }

    /// Returns a sound of any bytes. `len` is their count when known.
    pub fn new(bytes: impl Bytes + 'static, len: Option<u64>, extension: Option<&str>) -> Sound {
        Sound { bytes: Box::new(bytes), len, extension: extension.map(Arc::from), opened: None }
    }

    /// Returns the sound with the regular file that its bytes come from, for whoever wraps one sound into another.
    pub fn with_opened(self, opened: Option<Arc<File>>) -> Sound {
        Sound { opened, ..self }
    }

    /// Returns the opened file when the bytes are those of a regular one. Its place is shared with the sound's: read it at
    /// offsets or open it anew through its descriptor.
    pub fn opened(&self) -> Option<&Arc<File>> {
        self.opened.as_ref()
    }

    /// Returns the count of bytes; `None` for a stream without an end.
    pub fn byte_len(&self) -> Option<u64> {
        self.len
    }

    /// Returns the extension, a hint for containers that no head tells apart.
    pub fn extension(&self) -> Option<&str> {
        self.extension.as_deref()
    }
}

/// A file of which little is read.
struct Peek {
    file: File,
    len: u64,
    at: u64,
    head: Vec<u8>,
    chunk: Vec<u8>,
    chunk_at: u64,
    /// Bytes that may still be read.
    left: u64,
}

impl Peek {
    /// Reads from the file itself, and counts.
    fn fetch(&mut self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let what = "more of the file would have to be read than a look at it may";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.file.read_at(&mut into[..most], at)?;
        self.left -= count as u64;
        Ok(count)
    }
}

impl Read for Peek {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let copied = |from: &[u8], buf: &mut [u8]| {
            let count = from.len().min(buf.len());
            buf[..count].copy_from_slice(&from[..count]);
            count
        };
        let at = self.at;
        let count = if let Some(rest) =
            usize::try_from(at).ok().and_then(|at| self.head.get(at..)).filter(|rest| !rest.is_empty())
        {
            copied(rest, buf)
        } else if at >= self.len || buf.is_empty() {
            0
        } else if buf.len() >= CHUNK {
            self.fetch(at, buf)?
        } else {
            let inside = at >= self.chunk_at && at < self.chunk_at + self.chunk.len() as u64;
            if !inside {
                let mut chunk = std::mem::take(&mut self.chunk);
                chunk.resize(CHUNK, 0);
                let count = self.fetch(at, &mut chunk)?;
                chunk.truncate(count);
                (self.chunk, self.chunk_at) = (chunk, at);
            }
            copied(&self.chunk[(at - self.chunk_at) as usize..], buf)
        };
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Peek {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        self.at = sought(pos, self.at, self.len)?;
        Ok(self.at)
    }
}

/// Returns where a move from `at` leads in `len` bytes; beyond the end is no error.
///
/// # Errors
/// `InvalidInput` in front of the start.
pub fn sought(to: SeekFrom, at: u64, len: u64) -> io::Result<u64> {
    let to = match to {
        SeekFrom::Start(to) => Some(to),
        SeekFrom::End(by) => len.checked_add_signed(by),
        SeekFrom::Current(by) => at.checked_add_signed(by),
    };
    to.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Bytes of the head that are read at once: it holds the tags of most files.
const HEAD: u64 = 64 << 10;
/// Bytes read at once elsewhere.
const CHUNK: usize = 16 << 10;

impl Read for Sound {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.bytes.read(buf)
    }
}

impl Seek for Sound {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(pos)
    }
}
