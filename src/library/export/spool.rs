//! Texts that were made for an export, one after the other in one file without a name: they cost no memory, their lengths
//! are known, and they are gone with the last handle, whatever happens.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::library::disk::remove;

/// The file.
#[derive(Debug)]
pub struct Spool {
    file: File,
}

/// Where a text lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its first byte.
    pub at: u64,
    /// Bytes.
    pub size: u64,
}

impl Spool {
    /// Makes the file in a folder that can be written.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn new(folder: &Path) -> Result<Spool> {
        let path = folder.join(format!("export-{}.part", uuid::Uuid::new_v4().simple()));
        let made = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = made.map_err(|error| Error::io(format!("make {}", path.display()), error))?;
        remove(&path)?;
        Ok(Spool { file })
    }

    /// Writes a text behind the others.
    ///
    /// # Errors
    /// Those of the disk and of `write`.
    pub fn put(&mut self, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<Part> {
        let failed = |error| Error::io("write a text of an export", error);
        let at = self.file.seek(SeekFrom::End(0)).map_err(failed)?;
        let mut out = BufWriter::with_capacity(64 << 10, &self.file);
        write(&mut out)?;
        out.flush().map_err(failed)?;
        drop(out);
        let end = self.file.stream_position().map_err(failed)?;
        Ok(Part { at, size: end - at })
    }

    /// Returns the file, to read it at a place.
    ///
    /// # Errors
    /// Those of the system.
    pub fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}
