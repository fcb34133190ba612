//! Writes a plan into a folder: each file whole and synced before it has its name, so that what is there after a power cut
//! is right, and the next call goes on. A file that is there already with the same length and time is not written again.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::library::disk::{make_folder, sync_folder};
use crate::library::export::{Bytes, Plan, Planned, Reader};
use crate::units::{ByteCount, UnixTime};

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Written {
    /// Files that were written.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there already.
    pub there: u64,
    /// Files that stay on the shelf.
    pub left_out: u64,
}

/// Writes all that goes out. `told` hears of every file that is written.
///
/// # Errors
/// `Invalid` for a folder within a music folder, `Full` with the bytes needed before anything is written, `Busy` when a
/// file is changed meanwhile, and those of the disks; what was written stays, and the next call goes on.
/// # Blocks
/// As long as the disks take.
pub fn write(reader: &Reader, plan: &Plan, folder: &Path, told: &mut dyn FnMut(&str)) -> Result<Written> {
    make_folder(folder, 0o775)?;
    outside_of_shelf(reader, folder)?;
    let missing: Vec<&Planned> = plan.files().iter().filter(|file| !is_there(plan, file, folder)).collect();
    let covers: Vec<_> = plan.covers.iter().filter(|(name, _)| !folder.join(name).is_file()).collect();
    let music: u64 = missing.iter().map(|file| file.size.0.next_multiple_of(CLUSTER)).sum();
    has_room(folder, ByteCount(music + covers.len() as u64 * USUAL_COVER))?;
    let mut written = Written { left_out: plan.left_out, ..Written::default() };
    written.there = (plan.files().len() - missing.len() + plan.covers.len() - covers.len()) as u64;
    let mut last: Option<PathBuf> = None;
    let mut put = |name: &str, size: u64, modified: UnixTime, from: &mut dyn Read| {
        told(name);
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder).to_owned();
        make_folder(&parent, 0o775)?;
        if last.as_ref().is_some_and(|last| *last != parent) {
            last.as_deref().map_or(Ok(()), sync_folder)?;
        }
        one(&path, size, modified, from)?;
        last = Some(parent);
        written.files += 1;
        written.bytes += size;
        Ok::<(), Error>(())
    };
    for file in missing {
        match file.from {
            Bytes::Copy { copy, .. } => {
                let path = reader.path_of(copy)?;
                let failed = |error| Error::io(format!("open {}", path.display()), error);
                let mut from = File::open(&path).map_err(failed)?;
                put(&file.name, file.size.0, file.modified, &mut from)?;
            }
            Bytes::Text { at } => {
                let texts = plan.texts().map_err(|error| Error::io("read a text of an export", error))?;
                put(&file.name, file.size.0, file.modified, &mut Text { texts, at, left: file.size.0 })?;
            }
        }
    }
    for (name, copy) in covers {
        if let Some(jpeg) = reader.cover(*copy)? {
            put(name, jpeg.len() as u64, UnixTime::now(), &mut jpeg.as_slice())?;
        }
    }
    last.as_deref().map_or(Ok(()), sync_folder)?;
    sync_folder(folder)?;
    Ok(written)
}

/// A file that goes out must not come in again.
fn outside_of_shelf(reader: &Reader, folder: &Path) -> Result<()> {
    let failed = |error| Error::io(format!("find {}", folder.display()), error);
    let target = folder.canonicalize().map_err(failed)?;
    for root in reader.roots()? {
        let Ok(root) = root.canonicalize() else { continue };
        if target.starts_with(&root) {
            let what =
                format!("{} lies in the music folder {}: choose another", folder.display(), root.display());
            return Err(Error::new(Kind::Invalid, what));
        }
    }
    Ok(())
}

/// Whether a file lies there already: music by its length and time, a text by its bytes.
fn is_there(plan: &Plan, file: &Planned, folder: &Path) -> bool {
    let path = folder.join(&file.name);
    let Ok(found) = fs::symlink_metadata(&path) else { return false };
    if !found.is_file() || found.len() != file.size.0 {
        return false;
    }
    match file.from {
        Bytes::Copy { .. } => {
            let seconds = |time: SystemTime| {
                time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
            };
            let modified = found.modified().map_or(0, seconds);
            modified.abs_diff(file.modified.0.unsigned_abs()) <= COARSEST_TIME
        }
        Bytes::Text { at } => same_text(plan, &path, at, file.size.0).unwrap_or(false),
    }
}

fn same_text(plan: &Plan, path: &Path, at: u64, size: u64) -> io::Result<bool> {
    let mut made = Text { texts: plan.texts()?, at, left: size };
    let mut there = File::open(path)?;
    let (mut a, mut b) = ([0; 8192], [0; 8192]);
    loop {
        let count = made.read(&mut a)?;
        if count == 0 {
            return Ok(true);
        }
        there.read_exact(&mut b[..count])?;
        if a[..count] != b[..count] {
            return Ok(false);
        }
    }
}

fn has_room(folder: &Path, needed: ByteCount) -> Result<()> {
    let stat = nix::sys::statvfs::statvfs(folder).map_err(|error| {
        Error::io(format!("ask for the free space of {}", folder.display()), error.into())
    })?;
    let free = ByteCount((stat.blocks_available() as u64).saturating_mul(stat.fragment_size() as u64));
    if needed <= free {
        return Ok(());
    }
    let what = format!("{} has not the room: {needed} are needed, {free} are free", folder.display());
    Err(Error::new(Kind::Full, what))
}

/// Writes one file; it has its name when it is whole and on the disk.
fn one(path: &Path, size: u64, modified: UnixTime, from: &mut dyn Read) -> Result<()> {
    let failed = |error| Error::io(format!("write {}", path.display()), error);
    let part = path.with_file_name(PART);
    let written = File::create(&part).and_then(|mut file| {
        let count = copy(from, &mut file)?;
        let since = Duration::from_secs(modified.0.max(0).unsigned_abs());
        file.set_modified(SystemTime::UNIX_EPOCH + since)?;
        file.sync_all()?;
        Ok(count)
    });
    let settled = match written {
        Ok(count) if count == size => fs::rename(&part, path).map_err(failed),
        Ok(_) => Err(Error::new(Kind::Busy, format!("write {}: it was changed meanwhile", path.display()))),
        Err(error) => Err(failed(error)),
    };
    if settled.is_err() {
        // What cannot be removed now is written over by the next call.
        let _left = fs::remove_file(&part);
    }
    settled
}

fn copy(from: &mut dyn Read, to: &mut File) -> io::Result<u64> {
    let (mut block, mut count) = (vec![0; BLOCK], 0);
    loop {
        match from.read(&mut block)? {
            0 => return Ok(count),
            got => {
                to.write_all(&block[..got])?;
                count += got as u64;
            }
        }
    }
}

/// A text that was made, as a reader.
struct Text {
    texts: File,
    at: u64,
    left: u64,
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
/// Seconds: FAT keeps times in steps of two.
const COARSEST_TIME: u64 = 2;
/// A file takes whole clusters of the disk.
const CLUSTER: u64 = 4096;
/// Bytes of a cover of 600 pixels, more than most have.
const USUAL_COVER: u64 = 200 << 10;
