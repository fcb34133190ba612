//! One file into a folder: whole and on the disk before it has its name. Whether the source or the target failed is told
//! apart: the other files still go out when one cannot be read.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::error::{Error, Kind};
use crate::library::disk::remove;
use crate::library::export::record::Sum;
use crate::units::UnixTime;

/// Why a file was not written.
#[derive(Debug)]
pub enum Failed {
    /// It cannot be read, or is another one by now.
    Source(Error),
    /// Where it goes to cannot be written.
    Target(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        Failed::Target(error)
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Error {
        match failed {
            Failed::Source(error) | Failed::Target(error) => error,
        }
    }
}

/// Writes one file; it has its name when it is whole and on the disk. Returns its sum.
///
/// # Errors
/// `Source` with `Busy` when it has not `size` bytes, and those of the disks.
/// # Blocks
/// As long as the disks take.
pub fn one(path: &Path, size: u64, modified: UnixTime, from: &mut dyn Read) -> Result<Sum, Failed> {
    let failed = |error| Failed::Target(Error::io(format!("write {}", path.display()), error));
    let part = path.with_file_name(PART);
    // What an interrupted call left; never through a link.
    remove(&part)?;
    let written = File::create_new(&part).map_err(failed).and_then(|mut file| {
        let (count, sum) = copy(from, &mut file, path, size)?;
        if count != size {
            let what = format!("write {}: it was changed meanwhile", path.display());
            return Err(Failed::Source(Error::new(Kind::Busy, what)));
        }
        file.set_modified(system_time(modified)).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&part, path).map_err(failed)?;
        Ok(sum)
    });
    if written.is_err() {
        // What cannot be removed now is written over by the next call.
        let _left = fs::remove_file(&part);
    }
    written
}

/// Copies `size` bytes; of a file that grows without end one block more.
fn copy(from: &mut dyn Read, to: &mut File, path: &Path, size: u64) -> Result<(u64, Sum), Failed> {
    let (mut block, mut count, mut hasher) = (vec![0; BLOCK], 0, blake3::Hasher::new());
    loop {
        let got = match from.read(&mut block) {
            Ok(got) if got == 0 || count > size => {
                return Ok((count, hasher.finalize().to_hex().to_string()));
            }
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Failed::Source(Error::io(format!("read for {}", path.display()), error)));
            }
        };
        to.write_all(&block[..got])
            .map_err(|error| Failed::Target(Error::io(format!("write {}", path.display()), error)))?;
        hasher.update(&block[..got]);
        count += got as u64;
    }
}

/// Whether a file that lies there has the bytes that a reader gives, `size` of them.
///
/// # Errors
/// Those of the disks.
/// # Blocks
/// As long as they take.
pub fn is_same(there: &Path, from: &mut dyn Read, size: u64) -> Result<bool, Failed> {
    let failed = |error| Failed::Target(Error::io(format!("read {}", there.display()), error));
    let mut lies = File::open(there).map_err(failed)?;
    let (mut a, mut b, mut count) = (vec![0; BLOCK], vec![0; BLOCK], 0);
    loop {
        let got = match from.read(&mut a) {
            Ok(0) => return Ok(count == size),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                return Err(Failed::Source(Error::io(format!("read for {}", there.display()), error)));
            }
        };
        match lies.read_exact(&mut b[..got]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read.map_err(failed)?,
        }
        if a[..got] != b[..got] {
            return Ok(false);
        }
        count += got as u64;
    }
}

/// Returns a time as files have it; none before 1970.
pub fn system_time(time: UnixTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.0.max(0).unsigned_abs())
}

/// A text that was made, as a reader.
#[derive(Debug)]
pub struct Text {
    texts: File,
    at: u64,
    left: u64,
}

impl Text {
    /// Returns the text of `size` bytes that begins at `at` of a file.
    pub fn new(texts: File, at: u64, size: u64) -> Text {
        Text { texts, at, left: size }
    }
}

impl Read for Text {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buf.len());
        let got = self.texts.read_at(&mut buf[..most], self.at)?;
        self.at += got as u64;
        self.left -= got as u64;
        Ok(got)
    }
}

/// A file that is being written.
const PART: &str = ".konpo-export.part";
/// Bytes read at once.
const BLOCK: usize = 1 << 20;
