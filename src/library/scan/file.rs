//! One file of a music folder, as a scan sees it.

use std::ffi::OsStr;
use std::fs::{Metadata, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::{OFlag, PosixFadviseAdvice, posix_fadvise};

use crate::error::{Error, Result};
use crate::library::read;
use crate::library::scan::settle::Doubted;
use crate::library::store::scanned::{Facts, Read};
use crate::library::store::shown::Shown;
use crate::media::sound::Sound;

/// Returns whether a name is one of a music file. What it is its bytes say.
pub fn is_music(name: &OsStr) -> bool {
    let name = name.as_bytes();
    let Some(dot) = name.iter().rposition(|&byte| byte == b'.').filter(|&dot| dot > 0) else { return false };
    let extension = &name[dot + 1..];
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known.as_bytes()))
}

/// Tells a file that changed: the times of its content and of its entry, to the nanosecond, as one number. A clock that was
/// set back changes them all the same.
pub fn stamp(found: &Metadata) -> i64 {
    mixed([found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()])
}

/// As [`stamp`], of what stat(2) tells.
pub fn stamp_of_stat(found: &nix::sys::stat::FileStat) -> i64 {
    mixed([found.st_mtime, found.st_mtime_nsec, found.st_ctime, found.st_ctime_nsec])
}

fn mixed(times: [i64; 4]) -> i64 {
    // FNV-1a over the four numbers.
    let mix =
        |hash: u64, time: i64| (hash ^ time.cast_unsigned()).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    times.into_iter().fold(0xcbf2_9ce4_8422_2325, mix).cast_signed()
}

/// Reads what a file is and says, at most [`MOST`] bytes of it; and its words that the files of its album have to settle.
///
/// # Errors
/// Those of the disk; what is wrong with the file itself stands in the answer.
pub fn read(path: &Path) -> Result<Doubted> {
    let failed = |error| Error::io(format!("read {}", path.display()), error);
    // A pipe that took the place of a file must not hold up the scan, and a link is not followed.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let name = path.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
    let (size, stamp, modified) = (found.len(), stamp(&found), found.mtime());
    let answer = |what| Read { name, size, stamp, modified, what };
    if !found.is_file() {
        return Ok((answer(Err("this is not a file".into())), None));
    }
    if size > MOST {
        // The system would read ahead of every look.
        let _only_advice = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_RANDOM);
    }
    let extension = path.extension().and_then(OsStr::to_str);
    let mut sound = Sound::peek(file, size, extension, MOST).map_err(failed)?;
    let mut unsettled = None;
    let what = match read::look_unsettled(&mut sound) {
        Ok((facts, _, doubt)) => {
            unsettled = doubt;
            Ok(Box::new(Facts {
                shown: Shown::of(&facts.tags)?,
                format: facts.format,
                protection: facts.protection,
                personal: facts.personal,
                purchases: facts.purchases,
                quick: facts.quick,
                duration: facts.duration,
            }))
        }
        Err(error) if is_of_the_disk(&error) => return Err(error),
        Err(error) => Err(error.to_string()),
    };
    Ok((answer(what), unsettled))
}

/// Whether an error tells of the disk, not of the file.
fn is_of_the_disk(error: &Error) -> bool {
    use crate::error::Kind;
    !matches!(error.kind(), Kind::Damaged | Kind::Unsupported)
}

/// Bytes that a scan reads of any file.
pub const MOST: u64 = 512 << 10;

/// What music files are called.
const EXTENSIONS: [&str; 34] = [
    "flac", "mp3", "m4a", "m4b", "m4p", "mp4", "aac", "ogg", "oga", "opus", "wav", "wave", "aif", "aiff",
    "aifc", "caf", "wma", "asf", "oma", "aa3", "omg", "at3", "wv", "ape", "dsf", "dff", "3gp", "3g2", "mp2",
    "aa", "aax", "dcf", "odf", "mka",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn music_is_told_by_its_name_first() {
        for name in ["a.flac", "a.b.MP3", "ü.m4a", "x.Opus"] {
            assert!(is_music(OsStr::new(name)), "{name}");
        }
        for name in ["cover.jpg", ".mp3", "mp3", "a.mp3.part", ""] {
            assert!(!is_music(OsStr::new(name)), "{name}");
        }
        assert!(is_music(OsStr::from_bytes(b"\xff\xfe.mp3")));
    }
}
