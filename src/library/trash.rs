//! `.konpo/trash`: what was deleted, replaced or put aside stays for 30 days, and yields oldest first when room is needed
//! (product.md, "Nothing is lost"). Works on files only; the rows are their callers'.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tracing::info;

use crate::error::{Error, Kind, Result};
use crate::library::disk::{move_new, remove};
use crate::library::place::component;
use crate::library::root::Room;
use crate::library::roots::Disk;
use crate::offer::OfferId;
use crate::track::CopyId;
use crate::units::{ByteCount, UnixTime};

/// Returns the name of a file in the trash: the arrival's number and what it was called.
pub fn name(event: OfferId, original: &str) -> String {
    format!("{event}-{}", component(original))
}

/// Returns the name of an adopted file in the trash.
pub fn name_of_adopted(copy: CopyId, original: &str) -> String {
    format!("a{}-{}", copy.0, component(original))
}

/// Moves a file into the trash; one of the same name and length that lies there already is the same file.
///
/// # Errors
/// Those of the disk.
pub fn put(disk: &Disk, file: &Path, name: &str) -> Result<()> {
    let target = disk.root.trash().join(name);
    let length = |path: &Path| fs::metadata(path).map(|found| found.len()).ok();
    if !file.exists() || move_new(file, &target)? {
        return Ok(());
    }
    if length(file) == length(&target) {
        return remove(file);
    }
    for number in 2..MOST_NAMESAKES {
        if move_new(file, &target.with_file_name(format!("{name} ({number})")))? {
            return Ok(());
        }
    }
    Err(Error::new(Kind::Internal, format!("find a name for {name} in the trash")))
}

/// Removes what lies there for more than 30 days.
///
/// # Errors
/// Those of the disk.
pub fn empty(disk: &Disk, now: UnixTime) -> Result<()> {
    for lies in contents(disk)? {
        if now.0 - lies.since > KEPT_FOR {
            info!(path = %lies.path.display(), "30 days in the trash are over");
            remove(&lies.path)?;
        }
    }
    Ok(())
}

/// Makes sure that there is room for so many bytes and for the reserve.
///
/// # Errors
/// `Full` with the bytes needed, and those of the disk.
pub fn make_room(disk: &Disk, keep: Option<ByteCount>, bytes: ByteCount) -> Result<()> {
    let room = disk.root.room()?;
    let Err(full) = has_room(room, keep, bytes) else { return Ok(()) };
    let mut lies = contents(disk)?;
    // What would not be enough is not thrown away for nothing.
    has_room(without(room, &lies), keep, bytes)?;
    lies.sort_by_key(|lies| lies.since);
    for oldest in lies {
        info!(path = %oldest.path.display(), "the trash yields: room is needed");
        remove(&oldest.path)?;
        if has_room(disk.root.room()?, keep, bytes).is_ok() {
            return Ok(());
        }
    }
    Err(full)
}

/// Says whether so many bytes would find room, were the trash gone.
///
/// # Errors
/// `Full` with the bytes needed, and those of the disk.
pub fn would_have_room(disk: &Disk, keep: Option<ByteCount>, bytes: ByteCount) -> Result<()> {
    let room = disk.root.room()?;
    if has_room(room, keep, bytes).is_ok() {
        return Ok(());
    }
    has_room(without(room, &contents(disk)?), keep, bytes)
}

/// Returns the room there would be without the trash.
fn without(room: Room, lies: &[Lies]) -> Room {
    let bytes = lies.iter().map(|lies| lies.size).sum();
    Room { free: room.free.saturating_add(ByteCount(bytes)), ..room }
}

fn has_room(room: Room, keep: Option<ByteCount>, bytes: ByteCount) -> Result<()> {
    let needed = bytes.saturating_add(reserve(room.size, keep));
    if needed <= room.free {
        return Ok(());
    }
    let missing = ByteCount(needed.0 - room.free.0);
    let what =
        format!("the disk is full: {missing} more must be free to take {bytes} ({} are free)", room.free);
    Err(Error::new(Kind::Full, what))
}

/// Returns what stays free for the database and the queue: what the owner wants, else max(2 GB, 2 %) of the disk (product.md,
/// "Nothing is lost"). A small disk would never take anything so: a quarter of it is enough.
fn reserve(size: ByteCount, keep: Option<ByteCount>) -> ByteCount {
    let usual = || LEAST_RESERVE.max(size.0 / 50);
    ByteCount(keep.map_or_else(usual, |keep| keep.0).min(size.0 / 4))
}

struct Lies {
    path: PathBuf,
    /// When it came there, seconds since 1970: a rename changes no other time.
    since: i64,
    size: u64,
}

fn contents(disk: &Disk) -> Result<Vec<Lies>> {
    let folder = disk.root.trash();
    let failed = |error| Error::io(format!("list {}", folder.display()), error);
    let entries = fs::read_dir(&folder).map_err(failed)?.flatten();
    let files = entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
    let files = files.filter(|(_, found)| found.is_file());
    Ok(files.map(|(path, found)| Lies { path, since: found.ctime(), size: found.len() }).collect())
}

/// Seconds: 30 days.
const KEPT_FOR: i64 = 30 * 24 * 3600;
const LEAST_RESERVE: u64 = 2_000_000_000;
const MOST_NAMESAKES: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_disk_stays_free() {
        let gb = 1_000_000_000;
        for (size, want) in [(1000 * gb, 20 * gb), (64 * gb, 2 * gb), (8 * gb, 2 * gb), (4 * gb, gb), (0, 0)]
        {
            assert_eq!(reserve(ByteCount(size), None).0, want, "{size}");
        }
        for (keep, want) in [(0, 0), (gb / 2, gb / 2), (40 * gb, 16 * gb)] {
            assert_eq!(reserve(ByteCount(64 * gb), Some(ByteCount(keep))).0, want, "{keep}");
        }
        let room = |free| Room { free: ByteCount(free), size: ByteCount(64 * gb) };
        assert!(has_room(room(2 * gb + 7), None, ByteCount(7)).is_ok());
        let error = has_room(room(2 * gb), None, ByteCount(5_000_000)).expect_err("full");
        assert_eq!(error.kind(), Kind::Full);
        assert!(error.to_string().contains("5.0 MB more must be free"), "{error}");
    }
}
