//! A disk in a file: ext4 on a loop device, filled beforehand, mounted and unmounted by whoever needs it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::run;

/// A loop device. Let go when dropped; the kernel keeps it for as long as it is mounted somewhere.
pub struct Image {
    device: String,
    _file: tempfile::TempDir,
}

impl Image {
    /// Makes a disk of so many megabytes with what lies in `from`.
    pub fn of(from: &Path, megabytes: u64) -> Image {
        let folder = tempfile::tempdir().expect("a folder");
        let file: PathBuf = folder.path().join("disk.img");
        std::fs::File::create(&file).and_then(|file| file.set_len(megabytes << 20)).expect("a hole");
        let mut make = Command::new("mkfs.ext4");
        run({
            make.args(["-q", "-d"]).arg(from).arg(&file);
            make
        });
        let mut attach = Command::new("losetup");
        attach.args(["--find", "--show"]).arg(&file);
        let device = String::from_utf8(run(attach)).expect("a path").trim().to_owned();
        Image { device, _file: folder }
    }

    /// The path of the device.
    pub fn device(&self) -> &str {
        &self.device
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _gone = Command::new("losetup").args(["--detach", &self.device]).output();
    }
}
