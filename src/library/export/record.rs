//! `.konpo-export.jsonl` in a folder that music went out to: what konpo wrote there. Nothing else is ever written over, and
//! a second call goes on where the first was broken off.

use std::collections::HashMap;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::units::UnixTime;

/// The record of a folder, open for appending.
#[derive(Debug)]
pub struct Record {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    /// Every version that was written, or was about to be when a call was broken off.
    known: HashMap<String, Vec<Wrote>>,
}

/// One version of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    name: String,
    #[serde(flatten)]
    wrote: Wrote,
}

/// Its length in bytes, the time it was given, in seconds since 1970, and BLAKE3 of its bytes, where it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Wrote {
    size: u64,
    modified: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sum: Option<Sum>,
}

/// BLAKE3 of the bytes of a file, in hex.
pub type Sum = String;

impl Record {
    /// Opens the record of a folder; one that is empty gets one.
    ///
    /// # Errors
    /// `Invalid` for a folder that holds something and has no record, and those of the disk.
    pub fn open(folder: &Path) -> Result<Record> {
        let path = folder.join(NAME);
        let failed = |error| Error::io(format!("open {}", path.display()), error);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => {}
            Ok(_) => {
                return Err(Error::new(Kind::Invalid, format!("{} is no file of konpo", path.display())));
            }
            Err(_) => is_empty(folder)?,
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(failed)?;
        let mut known: HashMap<String, Vec<Wrote>> = HashMap::new();
        let mut reader = BufReader::new(&file);
        let mut bytes = Vec::new();
        while reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes).map_err(failed)? > 0 {
            // A line that a power cut tore names a file that was not written yet.
            if let Ok(Line { name, wrote }) = serde_json::from_slice(&bytes) {
                known.entry(name).or_default().push(wrote);
            }
            bytes.clear();
        }
        drop(reader);
        Ok(Record { folder: folder.to_owned(), path, file, known })
    }

    /// Whether what lies under a name is what konpo wrote there, unchanged. FAT keeps local times, which move with summer
    /// time, and none before 1980: of another time the bytes tell.
    ///
    /// # Blocks
    /// As long as it takes to read the file, when its time is another one.
    pub fn is_ours(&self, name: &str, found: &Metadata) -> bool {
        let versions: Vec<&Wrote> = self.as_long(name, found).collect();
        if versions.iter().any(|wrote| is_same_time(found, UnixTime(wrote.modified))) {
            return true;
        }
        let mut sums = versions.iter().filter_map(|wrote| wrote.sum.as_ref()).peekable();
        if sums.peek().is_none() {
            return false;
        }
        let there = File::open(self.folder.join(name)).and_then(sum_of);
        there.is_ok_and(|there| sums.any(|sum| *sum == there))
    }

    /// Whether konpo wrote a file of this length under this name, whatever time it has now.
    pub fn knows(&self, name: &str, found: &Metadata) -> bool {
        self.as_long(name, found).next().is_some()
    }

    /// Returns the versions that have the length of what lies there.
    fn as_long(&self, name: &str, found: &Metadata) -> impl Iterator<Item = &Wrote> {
        let (size, versions) = (found.len(), self.known.get(name).filter(|_| found.is_file()));
        versions.map_or(&[][..], Vec::as_slice).iter().filter(move |wrote| wrote.size == size)
    }

    /// Notes files that are about to be written, with the sum where it is known; it is on the disk when this returns.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn note<'a>(
        &mut self,
        files: impl IntoIterator<Item = (&'a str, u64, UnixTime, Option<Sum>)>,
    ) -> Result<()> {
        let failed = |error| Error::io(format!("write {}", self.path.display()), error);
        // Behind a line that was torn the next one stands alone.
        let mut text = b"\n".to_vec();
        for (name, size, modified, sum) in files {
            let line = Line { name: name.to_owned(), wrote: Wrote { size, modified: modified.0, sum } };
            serde_json::to_writer(&mut text, &line).map_err(|error| failed(error.into()))?;
            text.push(b'\n');
            self.known.entry(line.name).or_default().push(line.wrote);
        }
        if text.len() > 1 {
            self.file.write_all(&text).and_then(|()| self.file.sync_data()).map_err(failed)?;
        }
        Ok(())
    }

    /// Adds the sum of a file that was written. A power cut may lose it: then its time must tell.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn wrote(&mut self, name: &str, size: u64, modified: UnixTime, sum: Sum) -> Result<()> {
        let failed = |error| Error::io(format!("write {}", self.path.display()), error);
        let wrote = Wrote { size, modified: modified.0, sum: Some(sum) };
        let line = Line { name: name.to_owned(), wrote: wrote.clone() };
        let mut text = serde_json::to_vec(&line).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(failed)?;
        let versions = self.known.entry(line.name).or_default();
        // It takes the place of what was noted before it was written.
        versions.retain(|version| {
            (version.size, version.modified) != (wrote.size, wrote.modified) || version.sum.is_some()
        });
        versions.push(wrote);
        Ok(())
    }
}

/// Returns the sum of what a reader gives.
///
/// # Errors
/// Those of the reader.
/// # Blocks
/// As long as the disk takes.
pub fn sum_of(mut from: impl Read) -> io::Result<Sum> {
    let (mut hasher, mut block) = (blake3::Hasher::new(), vec![0; BLOCK]);
    loop {
        match from.read(&mut block)? {
            0 => return Ok(hasher.finalize().to_hex().to_string()),
            got => drop(hasher.update(&block[..got])),
        }
    }
}

/// Whether a file has this time, as coarse as the disk keeps it.
pub fn is_same_time(found: &Metadata, time: UnixTime) -> bool {
    let seconds =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    found.modified().map_or(0, seconds).abs_diff(time.0.max(0).unsigned_abs()) <= COARSEST_TIME
}

/// What a system keeps at the top of a disk is no content.
fn is_empty(folder: &Path) -> Result<()> {
    let failed = |error| Error::io(format!("list {}", folder.display()), error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        if !(OF_SYSTEMS.contains(&&*name) || name.starts_with(".Trash")) {
            let what =
                format!("{} is not empty: choose a new folder, or one that konpo wrote", folder.display());
            return Err(Error::new(Kind::Invalid, what));
        }
    }
    Ok(())
}

const NAME: &str = ".konpo-export.jsonl";
const OF_SYSTEMS: [&str; 4] = ["lost+found", "System Volume Information", ".Spotlight-V100", ".fseventsd"];
/// Seconds: FAT keeps times in steps of two.
const COARSEST_TIME: u64 = 2;
/// Bytes read at once.
const BLOCK: usize = 256 << 10;
/// A name has at most some thousand bytes.
const LONGEST_LINE: u64 = 64 << 10;
