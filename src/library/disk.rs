//! Work on files that is safe against a power cut: what returned is on the disk. Shared with `intake`.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use crate::error::{Error, Result};

/// Makes a folder and the ones above it, and puts new ones durably into their parents.
///
/// # Errors
/// Those of the disk.
pub fn make_folder(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let failed = |error| Error::io(format!("make the folder {}", path.display()), error);
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent, 0o775)?;
    }
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        made => made.map_err(failed)?,
    }
    // The umask of a service is stricter than a shared music folder needs.
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes the entries of a folder durable.
///
/// # Errors
/// Those of the disk.
pub fn sync_folder(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Error::io(format!("sync the folder {}", path.display()), error))
}

/// Moves a file to a place where nothing may be yet, durably. Returns whether it moved; false: something is there.
///
/// # Errors
/// Those of the disk.
pub fn move_new(from: &Path, to: &Path) -> Result<bool> {
    let what = || format!("move {} to {}", from.display(), to.display());
    let moved = match renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE) {
        Ok(()) => true,
        Err(nix::errno::Errno::EEXIST) => return Ok(false),
        // exFAT and some network disks do not know the flag: a link refuses an existing name as well, and where
        // there are no links either, a look before must do.
        Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOSYS) => move_by_link(from, to)?,
        Err(errno) => return Err(Error::io(what(), errno.into())),
    };
    if moved {
        to.parent().map_or(Ok(()), sync_folder)?;
        from.parent().map_or(Ok(()), sync_folder)?;
    }
    Ok(moved)
}

fn move_by_link(from: &Path, to: &Path) -> Result<bool> {
    let failed = |error| Error::io(format!("move {} to {}", from.display(), to.display()), error);
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from).map(|()| true).map_err(failed),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
        Err(_) if to.exists() => Ok(false),
        Err(_) => fs::rename(from, to).map(|()| true).map_err(failed),
    }
}

/// Removes a file; one that is gone is no error.
///
/// # Errors
/// Those of the disk.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_ever_moved_over_something() {
        let folder = tempfile::tempdir().expect("a folder");
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "a").expect("written");
        fs::write(&b, "b").expect("written");
        assert!(!move_new(&a, &b).expect("asked"));
        assert_eq!(fs::read_to_string(&b).expect("there"), "b");
        assert!(!move_by_link(&a, &b).expect("asked"));
        assert!(move_new(&a, &folder.path().join("c")).expect("moved"));
        assert!(!a.exists());
    }
}
