//! Writes what goes out into a folder: each file whole and synced before it has its name, so that what is there after a power
//! cut is right, and the next call goes on. A file that is there already is not written again; what somebody else put there
//! is never touched. What cannot be read stays and is named; only the target ends it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::library::disk::{make_folder, remove, sync_folder};
use crate::library::export::file::{Failed, Text, is_same, one, system_time};
use crate::library::export::plan::words_of;
use crate::library::export::record::{Record, Sum, is_same_time, sum_of};
use crate::library::export::{Bytes, Plan, Planned, Reader, Stays};
use crate::query::export::Export;
use crate::track::CopyId;
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
    /// Files that stay on the shelf; `LEFT-OUT.txt` names them.
    pub left_out: u64,
    /// Those of them that could not be read; another time they may.
    pub unread: u64,
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

/// Writes all that goes out. `told` hears of every file before it is written. What cannot be read stays, and is named in
/// `LEFT-OUT.txt`, which is written last.
///
/// # Errors
/// As [`Reader::plan`]; `Invalid` when something that konpo did not write lies in the way, `Full` with the bytes needed, both
/// before anything is written; those of the target; what was written stays, and the next call goes on.
/// # Blocks
/// As long as the disks take.
pub fn write(
    reader: &Reader,
    export: &Export,
    target: Target,
    told: &mut dyn FnMut(&str),
) -> Result<Written> {
    let Target { path: folder, record } = target;
    let written = Written::default();
    let mut writer = Writer { reader, folder, record, told, last: None, written };
    let mut stays = Stays::default();
    loop {
        let before = stays.count();
        let plan = reader.plan(export, &stays, &writer.folder)?;
        writer.round(&plan, &mut stays)?;
        if stays.count() == before {
            return Ok(writer.written);
        }
        // Once more without what cannot be read: another file of a track may go out instead, and the texts tell what is there.
    }
}

/// What is being written.
struct Writer<'a> {
    reader: &'a Reader,
    folder: PathBuf,
    record: Record,
    told: &'a mut dyn FnMut(&str),
    /// The folder of the file that was written last; its entries may not be on the disk yet.
    last: Option<PathBuf>,
    written: Written,
}

impl Writer<'_> {
    /// Writes the music and the covers of a plan, and the texts when nothing was added to what stays.
    fn round(&mut self, plan: &Plan, stays: &mut Stays) -> Result<()> {
        let (stayed, before) = (stays.count(), self.written.files);
        let missing = self.missing(plan, stays)?;
        let mut there = (plan.files().len() - missing.len()) as u64;
        let is_new = |(name, _): &&(String, CopyId)| fs::symlink_metadata(self.folder.join(name)).is_err();
        let covers = plan.covers.iter().filter(is_new).count() as u64;
        let music: u64 = missing.iter().map(|file| file.size.0.next_multiple_of(CLUSTER)).sum();
        has_room(&self.folder, ByteCount(music + covers * USUAL_COVER))?;
        let (texts, music): (Vec<&Planned>, Vec<&Planned>) =
            missing.into_iter().partition(|file| matches!(file.from, Bytes::Text { .. }));
        self.record.note(music.iter().map(|file| (file.name.as_str(), file.size.0, file.modified, None)))?;
        for file in music {
            let Bytes::Copy { copy, .. } = file.from else { continue };
            if let Some(why) = source(self.music(file, copy))?.err() {
                stays.music.insert(copy, why);
            }
        }
        for (name, copy) in &plan.covers {
            match source(self.cover(name, *copy))? {
                Ok(was_there) => there += u64::from(was_there),
                Err(_) => drop(stays.covers.insert(*copy)),
            }
        }
        if stays.count() == stayed {
            self.texts(plan, &texts)?;
            // What an earlier round wrote is there now.
            self.written.there = there.saturating_sub(before);
            self.written.left_out = plan.left_out;
            self.written.unread = plan.unread;
        }
        Ok(())
    }

    fn music(&mut self, file: &Planned, copy: CopyId) -> Result<(), Failed> {
        let mut from = self.source_of(copy)?;
        let sum = self.put(&file.name, file.size.0, file.modified, &mut from)?;
        Ok(self.record.wrote(&file.name, file.size.0, file.modified, sum)?)
    }

    fn source_of(&self, copy: CopyId) -> Result<File, Failed> {
        let path = self.reader.path_of(copy).map_err(Failed::Source)?;
        File::open(&path)
            .map_err(|error| Failed::Source(Error::io(format!("open {}", path.display()), error)))
    }

    /// Writes a cover, unless somebody else's lies there. Returns whether it was there.
    fn cover(&mut self, name: &str, copy: CopyId) -> Result<bool, Failed> {
        let path = self.folder.join(name);
        let found = fs::symlink_metadata(&path).ok();
        if found.as_ref().is_some_and(|found| !self.record.is_ours(name, found)) {
            return Ok(true);
        }
        let made = self.reader.cover(copy).map_err(Failed::Source)?;
        let Some(jpeg) = made else {
            // The one that konpo wrote once is its cover no more.
            remove(&path)?;
            return Ok(false);
        };
        let (size, now) = (jpeg.len() as u64, UnixTime::now());
        if found.is_some_and(|found| found.len() == size) && is_same(&path, &mut jpeg.as_slice(), size)? {
            return Ok(true);
        }
        self.record.note([(name, size, now, Some(blake3::hash(&jpeg).to_hex().to_string()))])?;
        self.put(name, size, now, &mut jpeg.as_slice())?;
        Ok(false)
    }

    /// Writes texts, and makes all names of the folder durable.
    fn texts(&mut self, plan: &Plan, texts: &[&Planned]) -> Result<()> {
        let failed = |error| Error::io("read a text of an export", error);
        let sum =
            |file: &&Planned| -> Result<Option<Sum>> { Ok(Some(sum_of(text(plan, file)?).map_err(failed)?)) };
        let sums: Vec<_> = texts.iter().map(sum).collect::<Result<_>>()?;
        let noted = texts.iter().zip(sums);
        self.record.note(noted.map(|(file, sum)| (file.name.as_str(), file.size.0, file.modified, sum)))?;
        for file in texts {
            self.put(&file.name, file.size.0, file.modified, &mut text(plan, file)?)?;
        }
        self.last.as_deref().map_or(Ok(()), sync_folder)?;
        forget_reasons(plan, &self.folder, &self.record)?;
        sync_folder(&self.folder)
    }

    fn put(&mut self, name: &str, size: u64, modified: UnixTime, from: &mut dyn Read) -> Result<Sum, Failed> {
        (self.told)(name);
        let path = self.folder.join(name);
        let parent = path.parent().unwrap_or(&self.folder).to_owned();
        make_folder(&parent, 0o775)?;
        if self.last.as_ref().is_some_and(|last| *last != parent) {
            self.last.as_deref().map_or(Ok(()), sync_folder)?;
        }
        self.last = Some(parent);
        let sum = one(&path, size, modified, from)?;
        self.written.files += 1;
        self.written.bytes += size;
        Ok(sum)
    }

    /// Returns what is to be written; what cannot be read to compare it stays.
    ///
    /// # Errors
    /// `Invalid` when something that konpo did not write lies in the way.
    fn missing<'p>(&self, plan: &'p Plan, stays: &mut Stays) -> Result<Vec<&'p Planned>> {
        let mut plain = HashSet::new();
        let names =
            plan.files().iter().map(|file| &file.name).chain(plan.covers.iter().map(|(name, _)| name));
        names.into_iter().try_for_each(|name| plain_folders(&self.folder, name, &mut plain))?;
        let (mut missing, mut moved) = (Vec::new(), Vec::new());
        for file in plan.files() {
            match (source(self.lies(plan, file))?, file.from) {
                (Ok(Lies::There), _) => {}
                (Ok(Lies::Moved), _) => moved.push(file),
                (Ok(Lies::Missing), _) => missing.push(file),
                (Ok(Lies::Foreign), _) => {
                    let path = self.folder.join(&file.name);
                    let what = format!("{} is not as konpo wrote it: move it away", path.display());
                    return Err(Error::new(Kind::Invalid, what));
                }
                (Err(why), Bytes::Copy { copy, .. }) => drop(stays.music.insert(copy, why)),
                (Err(why), Bytes::Text { .. }) => return Err(Error::new(Kind::Internal, why)),
            }
        }
        for file in moved {
            // The next call need not compare it again. A disk that has no such time keeps the other one.
            let put_back = File::open(self.folder.join(&file.name))
                .and_then(|there| there.set_modified(system_time(file.modified)));
            drop(put_back);
        }
        Ok(missing)
    }

    /// Says what lies under the name of a file: music is told by its length and time, of another time by its bytes, as a text.
    fn lies(&self, plan: &Plan, file: &Planned) -> Result<Lies, Failed> {
        let path = self.folder.join(&file.name);
        let Ok(found) = fs::symlink_metadata(&path) else { return Ok(Lies::Missing) };
        if found.is_file() && found.len() == file.size.0 {
            match file.from {
                Bytes::Copy { .. } if is_same_time(&found, file.modified) => return Ok(Lies::There),
                // A disk whose clock moved keeps no time that could tell; what was changed is not as long for sure.
                Bytes::Copy { copy, .. } if self.record.knows(&file.name, &found) => {
                    if is_same(&path, &mut self.source_of(copy)?, file.size.0)? {
                        return Ok(Lies::Moved);
                    }
                }
                Bytes::Copy { .. } => {}
                Bytes::Text { .. } => {
                    if is_same(&path, &mut text(plan, file)?, file.size.0)? {
                        return Ok(Lies::There);
                    }
                }
            }
        }
        Ok(if self.record.is_ours(&file.name, &found) { Lies::Missing } else { Lies::Foreign })
    }
}

/// Takes the words for a person of what failed at the source; what failed at the target ends all.
fn source<T>(done: Result<T, Failed>) -> Result<Result<T, String>> {
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(Failed::Source(error)) if error.kind() == Kind::NotAllowed => {
            Ok(Err("who takes it out may not read its file".to_owned()))
        }
        Err(Failed::Source(error)) => Ok(Err(words_of(&error))),
        Err(Failed::Target(error)) => Err(error),
    }
}

/// Returns a text that was made.
fn text(plan: &Plan, file: &Planned) -> Result<Text> {
    let at = if let Bytes::Text { at } = file.from { at } else { 0 };
    let texts = plan.texts().map_err(|error| Error::io("read a text of an export", error))?;
    Ok(Text::new(texts, at, file.size.0))
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
    /// The file itself, with another time.
    Moved,
    /// Nothing, or an older one that konpo wrote.
    Missing,
    /// Something else.
    Foreign,
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

/// Says what stays, and why.
const LEFT_OUT: &str = "LEFT-OUT.txt";
/// A file takes whole clusters of the disk.
const CLUSTER: u64 = 4096;
/// Bytes of a cover of 600 pixels, more than most have.
const USUAL_COVER: u64 = 200 << 10;
