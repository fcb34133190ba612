//! Writes a plan into a folder: each file whole and synced before it has its name, so that what is there after a power cut
//! is right, and the next call goes on. A file that is there already with the same length and time is not written again;
//! what somebody else put there is never touched.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::library::disk::{make_folder, remove, sync_folder};
use crate::library::export::record::{Record, is_same_time};
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

/// A folder that music goes out to.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    record: Record,
}

impl Target {
    /// Opens a folder, makes it when there is none.
    ///
    /// # Errors
    /// `Invalid` for a folder within a music folder and for one that holds what konpo did not write, and those of the disk.
    pub fn open(reader: &Reader, path: &Path) -> Result<Target> {
        outside_of_shelf(reader, path)?;
        make_folder(path, 0o775)?;
        // A link on the way there shows only now.
        outside_of_shelf(reader, path)?;
        Ok(Target { path: path.to_owned(), record: Record::open(path)? })
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes all that goes out. `told` hears of every file that is written.
///
/// # Errors
/// `Invalid` when something that konpo did not write lies in the way, `Full` with the bytes needed, both before anything is
/// written; `Busy` when a file is changed meanwhile, and those of the disks; what was written stays, and the next call goes
/// on.
/// # Blocks
/// As long as the disks take.
pub fn write(reader: &Reader, plan: &Plan, target: Target, told: &mut dyn FnMut(&str)) -> Result<Written> {
    let Target { path: folder, mut record } = target;
    let folder = folder.as_path();
    let missing = missing(plan, folder, &record)?;
    // A cover that is there stays, whoever put it there.
    let covers: Vec<_> =
        plan.covers.iter().filter(|(name, _)| fs::symlink_metadata(folder.join(name)).is_err()).collect();
    let music: u64 = missing.iter().map(|file| file.size.0.next_multiple_of(CLUSTER)).sum();
    has_room(folder, ByteCount(music + covers.len() as u64 * USUAL_COVER))?;
    let mut written = Written { left_out: plan.left_out, ..Written::default() };
    written.there = (plan.files().len() - missing.len() + plan.covers.len() - covers.len()) as u64;
    record.note(missing.iter().map(|file| (file.name.as_str(), file.size.0, file.modified)))?;
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
            let (size, now) = (jpeg.len() as u64, UnixTime::now());
            record.note([(name.as_str(), size, now)])?;
            put(name, size, now, &mut jpeg.as_slice())?;
        }
    }
    last.as_deref().map_or(Ok(()), sync_folder)?;
    forget_reasons(plan, folder, &record)?;
    sync_folder(folder)?;
    Ok(written)
}

/// Returns what is to be written.
///
/// # Errors
/// `Invalid` when something that konpo did not write lies in the way.
fn missing<'a>(plan: &'a Plan, folder: &Path, record: &Record) -> Result<Vec<&'a Planned>> {
    let mut plain = HashSet::new();
    let names = plan.files().iter().map(|file| &file.name).chain(plan.covers.iter().map(|(name, _)| name));
    names.into_iter().try_for_each(|name| plain_folders(folder, name, &mut plain))?;
    let mut missing: Vec<&Planned> = Vec::new();
    for file in plan.files() {
        match lies(plan, file, folder, record) {
            Lies::There => {}
            Lies::Missing => missing.push(file),
            Lies::Foreign => {
                let what =
                    format!("{} is not as konpo wrote it: move it away", folder.join(&file.name).display());
                return Err(Error::new(Kind::Invalid, what));
            }
        }
    }
    Ok(missing)
}

/// A file that goes out must not come in again: neither into a music folder nor through a link that leads there.
fn outside_of_shelf(reader: &Reader, folder: &Path) -> Result<()> {
    let failed = |error| Error::io(format!("find {}", folder.display()), error);
    // Of a folder that is not there yet the nearest one above it that is.
    let full = std::path::absolute(folder).map_err(failed)?;
    let there = full.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let target = there.canonicalize().map_err(failed)?;
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

/// Refuses a link among the folders of a name: it may lead anywhere. `plain` are folders that were looked at.
fn plain_folders(folder: &Path, name: &str, plain: &mut HashSet<PathBuf>) -> Result<()> {
    let mut path = folder.to_owned();
    let parents = name.rsplit_once('/').map_or("", |(parents, _)| parents);
    for part in parents.split('/').filter(|part| !part.is_empty()) {
        path.push(part);
        if plain.contains(&path) {
            continue;
        }
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_dir() => {
                let what = format!("{} is no folder of its own: move it away", path.display());
                return Err(Error::new(Kind::Invalid, what));
            }
            Ok(_) => drop(plain.insert(path.clone())),
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// What lies under the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lies {
    /// The file itself.
    There,
    /// Nothing, or an older one that konpo wrote.
    Missing,
    /// Something else.
    Foreign,
}

/// Says what lies under the name of a file: music is told by its length and time, a text by its bytes.
fn lies(plan: &Plan, file: &Planned, folder: &Path, record: &Record) -> Lies {
    let path = folder.join(&file.name);
    let Ok(found) = fs::symlink_metadata(&path) else { return Lies::Missing };
    let same = found.is_file() && found.len() == file.size.0;
    let same = same
        && match file.from {
            Bytes::Copy { .. } => is_same_time(&found, file.modified),
            Bytes::Text { at } => same_text(plan, &path, at, file.size.0).unwrap_or(false),
        };
    if same {
        return Lies::There;
    }
    if record.is_ours(&file.name, &found) { Lies::Missing } else { Lies::Foreign }
}

/// Removes the reasons that an earlier call gave, when nothing stays any more.
fn forget_reasons(plan: &Plan, folder: &Path, record: &Record) -> Result<()> {
    if plan.files().iter().any(|file| file.name == LEFT_OUT) {
        return Ok(());
    }
    let path = folder.join(LEFT_OUT);
    match fs::symlink_metadata(&path) {
        Ok(found) if record.is_ours(LEFT_OUT, &found) => remove(&path),
        _ => Ok(()),
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
    // What an interrupted call left; never through a link.
    remove(&part)?;
    let written = File::create_new(&part).and_then(|mut file| {
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
/// Says what stays, and why.
const LEFT_OUT: &str = "LEFT-OUT.txt";
/// A file takes whole clusters of the disk.
const CLUSTER: u64 = 4096;
/// Bytes of a cover of 600 pixels, more than most have.
const USUAL_COVER: u64 = 200 << 10;
