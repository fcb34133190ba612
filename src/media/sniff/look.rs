//! Bounded looks into a sound: no sniffer reads more of a file than [`MOST_BYTES`].

use std::io::{Read, Seek, SeekFrom};

use crate::error::{Error, Kind, Result};
use crate::media::sound::Sound;

/// A sound, and how much of it may still be read.
pub struct Look<'a> {
    sound: &'a mut Sound,
    len: u64,
    left: u64,
}

impl<'a> Look<'a> {
    /// Returns a look into a sound. A stream of unknown length is taken to be endless.
    pub fn new(sound: &'a mut Sound) -> Look<'a> {
        let len = sound.byte_len().unwrap_or(u64::MAX);
        Look { sound, len, left: MOST_BYTES }
    }

    /// Returns whether the sound is a stream of unknown length: nothing far in front can be looked at.
    pub fn is_endless(&self) -> bool {
        self.len == u64::MAX
    }

    /// Returns the extension of the file's name, without the dot.
    pub fn extension(&self) -> Option<&str> {
        self.sound.extension()
    }

    /// Returns the length of the sound.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns up to `count` bytes from `at`; fewer at the end.
    ///
    /// # Errors
    /// `Damaged` when the file asks for more looks than any real one needs, and those of reading.
    pub fn some(&mut self, at: u64, count: usize) -> Result<Vec<u8>> {
        let count = (count as u64).min(self.len.saturating_sub(at));
        if count > self.left {
            return Err(Error::new(Kind::Damaged, "the file's head is larger than any real one"));
        }
        self.left -= count;
        let failed = |error| Error::io("read the file", error);
        self.sound.seek(SeekFrom::Start(at)).map_err(failed)?;
        if count > LARGE {
            let mut bytes = Vec::new();
            (&mut *self.sound).take(count).read_to_end(&mut bytes).map_err(failed)?;
            return Ok(bytes);
        }
        let mut bytes = vec![0; count as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match self.sound.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// Returns exactly `count` bytes from `at`.
    ///
    /// # Errors
    /// `Damaged` when the file ends before them, and as [`Look::some`].
    pub fn exact(&mut self, at: u64, count: usize) -> Result<Vec<u8>> {
        let bytes = self.some(at, count)?;
        if bytes.len() < count {
            return Err(Error::new(Kind::Damaged, "the file breaks off in its head"));
        }
        Ok(bytes)
    }
}

/// Reads a big-endian number of 1 to 8 bytes; 0 where the bytes end.
pub fn be(bytes: &[u8], at: usize, count: usize) -> u64 {
    bytes.get(at..at + count).map_or(0, |field| field.iter().fold(0, |n, &b| n << 8 | u64::from(b)))
}

/// Reads a little-endian number of 1 to 8 bytes; 0 where the bytes end.
pub fn le(bytes: &[u8], at: usize, count: usize) -> u64 {
    bytes.get(at..at + count).map_or(0, |field| field.iter().rev().fold(0, |n, &b| n << 8 | u64::from(b)))
}

/// What is larger is allocated as it is read: a file may say anything of its lengths.
const LARGE: u64 = 64 << 10;
/// reference purchases 2: at most 64 MiB of head.
const MOST_BYTES: u64 = 64 << 20;
