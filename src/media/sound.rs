//! An opened piece of sound: a file or a stream, without its path.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

/// Bytes that can be read and sought, and what is known beside them. Reading blocks.
pub struct Sound {
    bytes: Box<dyn Bytes>,
    len: Option<u64>,
    extension: Option<Arc<str>>,
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
        let len = file.metadata()?.len();
        Ok(Sound::new(file, Some(len), extension))
    }

    /// Returns a sound of any bytes. `len` is their count when known.
    pub fn new(bytes: impl Bytes + 'static, len: Option<u64>, extension: Option<&str>) -> Sound {
        Sound { bytes: Box::new(bytes), len, extension: extension.map(Arc::from) }
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
