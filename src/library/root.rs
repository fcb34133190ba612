//! A music folder: its marker, its lock, its hidden folders.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, Kind, Result};
use crate::library::disk::{make_folder, sync_folder};
use crate::units::ByteCount;

/// A music folder that is there.
#[derive(Debug)]
pub struct Root {
    /// Its full path.
    pub path: PathBuf,
    /// What its marker says.
    pub uuid: Uuid,
    /// Whether konpo may write there.
    pub writable: bool,
    /// The marker as it was opened; of the folder itself where there can be no marker.
    stamp: Stamp,
    marked: bool,
    /// New tracks, the drop folder and the playlists are here.
    first: bool,
    /// `None` on a disk that can only be read and has no lock file.
    _lock: Option<Flock<File>>,
}

/// Tells one disk from another under the same path: the device, and when the marker was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    modified: (i64, i64),
}

/// `.konpo/root.toml`.
#[derive(Debug, Serialize, Deserialize)]
struct Marker {
    uuid: Uuid,
}

impl Root {
    /// Opens a music folder and takes its lock. `known` says whether this folder was a root before: then a missing marker
    /// means that the disk is not there, and nothing is created. A folder with its marker that konpo may not write is
    /// opened for reading; so is one without, unless it is the first: there new tracks could not be kept.
    ///
    /// # Errors
    /// `Offline` for a known folder without its marker, `Busy` while another konpo holds it, `NotAllowed` for a new first
    /// folder that konpo may not write, and those of the disk.
    pub fn open(path: &Path, known: Option<Uuid>, first: bool) -> Result<Root> {
        let hidden = path.join(HIDDEN);
        let marker = hidden.join("root.toml");
        let found = match fs::read_to_string(&marker) {
            Ok(text) => Some(toml::from_str::<Marker>(&text).map_err(|error| {
                Error::with(Kind::Invalid, format!("read the marker {}", marker.display()), error)
            })?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io(format!("read the marker {}", marker.display()), error)),
        };
        let Some(found) = found else {
            if !first && !is_writable(path) {
                return Root::unmarked(path, known);
            }
            if known.is_some() || !first && !path.is_dir() {
                return Err(not_there(path));
            }
            make_folder(path, 0o775)?;
            make_folder(&hidden, 0o700)?;
            return Root::prepare(path, None, first);
        };
        match Root::prepare(path, Some(found.uuid), first) {
            Err(error) if error.kind() == Kind::NotAllowed => Root::read_only_root(path, found.uuid, first),
            prepared => prepared,
        }
    }

    fn prepare(path: &Path, uuid: Option<Uuid>, first: bool) -> Result<Root> {
        let hidden = path.join(HIDDEN);
        let marker = hidden.join("root.toml");
        let lock = lock(&hidden.join("lock"))?;
        let uuid = uuid.map_or_else(|| write_marker(&marker), Ok)?;
        for name in ["staging", "trash"] {
            make_folder(&hidden.join(name), 0o700)?;
        }
        for name in ["Inbox", "Playlists"].into_iter().filter(|_| first) {
            make_folder(&path.join(name), 0o775)?;
        }
        let stamp = Stamp::of(&marker)?;
        Ok(Root {
            path: path.to_owned(),
            uuid,
            writable: true,
            stamp,
            marked: true,
            first,
            _lock: Some(lock),
        })
    }

    fn read_only_root(path: &Path, uuid: Uuid, first: bool) -> Result<Root> {
        let hidden = path.join(HIDDEN);
        let file = File::open(hidden.join("lock")).ok();
        let lock = file.and_then(|file| Flock::lock(file, FlockArg::LockSharedNonblock).ok());
        let stamp = Stamp::of(&hidden.join("root.toml"))?;
        Ok(Root { path: path.to_owned(), uuid, writable: false, stamp, marked: true, first, _lock: lock })
    }

    /// A folder that cannot be marked is known by its path; while it is empty its disk is taken to be away.
    fn unmarked(path: &Path, known: Option<Uuid>) -> Result<Root> {
        if !holds_anything(path) {
            return Err(not_there(path));
        }
        let (uuid, stamp) = (known.unwrap_or_else(Uuid::new_v4), Stamp::of_folder(path)?);
        Ok(Root {
            path: path.to_owned(),
            uuid,
            writable: false,
            stamp,
            marked: false,
            first: false,
            _lock: None,
        })
    }

    /// Returns whether new tracks, the drop folder and the playlists are here.
    pub fn is_first(&self) -> bool {
        self.first
    }

    /// Returns whether this disk is still there, and still as writable as it was: a disk can go at any time, and another
    /// one may be mounted in its place.
    pub fn is_online(&self) -> bool {
        if !self.marked {
            let there = Stamp::of_folder(&self.path).is_ok_and(|now| now == self.stamp);
            return there && holds_anything(&self.path);
        }
        let hidden = self.path.join(HIDDEN);
        let there = Stamp::of(&hidden.join("root.toml")).is_ok_and(|now| now == self.stamp);
        // A disk with errors turns read-only by itself.
        there && self.writable == nix::unistd::access(&hidden, nix::unistd::AccessFlags::W_OK).is_ok()
    }

    /// Says that this disk can only be read, and what to do.
    pub fn read_only(&self) -> Error {
        let path = self.path.display();
        let what = format!(
            "the music disk can only be read: mount it for writing, or give it to konpo (sudo chown -R konpo: {path})"
        );
        Error::new(Kind::Offline, what)
    }

    /// Returns the folder of part files.
    pub fn staging(&self) -> PathBuf {
        self.path.join(HIDDEN).join("staging")
    }

    /// Returns the trash.
    pub fn trash(&self) -> PathBuf {
        self.path.join(HIDDEN).join("trash")
    }

    /// Returns the history.
    pub fn ledger(&self) -> PathBuf {
        self.path.join(HIDDEN).join("ledger.jsonl")
    }

    /// Returns the copy of what cannot be computed again.
    pub fn snapshot(&self) -> PathBuf {
        self.path.join(HIDDEN).join("snapshot.db")
    }

    /// Returns the room that an ordinary user has on this disk.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn room(&self) -> Result<Room> {
        let stat = nix::sys::statvfs::statvfs(&self.path)
            .map_err(|error| Error::io("ask for the free space", error.into()))?;
        let bytes = |blocks: u64| ByteCount(blocks.saturating_mul(stat.fragment_size() as u64));
        Ok(Room { free: bytes(stat.blocks_available() as u64), size: bytes(stat.blocks() as u64) })
    }
}

impl Stamp {
    fn of(marker: &Path) -> Result<Stamp> {
        let found = fs::metadata(marker)
            .map_err(|error| Error::io(format!("look at the marker {}", marker.display()), error))?;
        Ok(Stamp { device: found.dev(), modified: (found.mtime(), found.mtime_nsec()) })
    }

    /// The device alone: the times of a folder change with what is put into it.
    fn of_folder(path: &Path) -> Result<Stamp> {
        let found = fs::metadata(path)
            .map_err(|error| Error::io(format!("look at the music folder {}", path.display()), error))?;
        Ok(Stamp { device: found.dev(), modified: (0, 0) })
    }
}

fn not_there(path: &Path) -> Error {
    Error::new(Kind::Offline, format!("the music disk is not there: {}", path.display()))
}

fn holds_anything(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some())
}

fn is_writable(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::W_OK) != Err(nix::errno::Errno::EROFS)
        && nix::unistd::access(path, nix::unistd::AccessFlags::W_OK) != Err(nix::errno::Errno::EACCES)
}

/// The room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Free for an ordinary user.
    pub free: ByteCount,
    /// The whole disk.
    pub size: ByteCount,
}

/// Takes the lock of a folder for the life of the returned file.
///
/// # Errors
/// `Busy` naming the process that holds it.
pub fn lock(path: &Path) -> Result<Flock<File>> {
    let failed = |error| Error::io(format!("lock {}", path.display()), error);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path).map_err(failed)?;
    let mut flock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
        if errno != nix::errno::Errno::EWOULDBLOCK {
            return failed(errno.into());
        }
        let holder = fs::read_to_string(path).unwrap_or_default();
        let what = format!("another konpo (process {}) holds {}", holder.trim(), path.display());
        Error::new(Kind::Busy, what)
    })?;
    flock.set_len(0).map_err(failed)?;
    writeln!(flock, "{}", std::process::id()).map_err(failed)?;
    Ok(flock)
}

fn write_marker(path: &Path) -> Result<Uuid> {
    let failed = |error| Error::io(format!("write the marker {}", path.display()), error);
    let uuid = Uuid::new_v4();
    let fresh = path.with_extension("new");
    let mut file = File::create(&fresh).map_err(failed)?;
    writeln!(file, "# konpo knows this disk by this number. Do not remove it.\nuuid = \"{uuid}\"")
        .map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&fresh, path).map_err(failed)?;
    path.parent().map_or(Ok(()), sync_folder)?;
    Ok(uuid)
}

/// konpo's own folder in a music folder.
pub const HIDDEN: &str = ".konpo";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_folder_without_its_marker_is_offline_and_stays_empty() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = Root::open(folder.path(), Some(Uuid::new_v4()), true).expect_err("not there");
        assert_eq!(error.kind(), Kind::Offline);
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0);
    }

    #[test]
    fn a_second_konpo_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Root::open(folder.path(), None, true).expect("opened");
        let error = Root::open(folder.path(), Some(first.uuid), true).expect_err("locked");
        assert_eq!(error.kind(), Kind::Busy);
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(first);
        assert!(Root::open(folder.path(), None, true).is_ok());
    }
}
