//! The folder of covers that were made. It may be deleted at any time; nothing else knows what lies there.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::debug;

use crate::error::{Error, Kind, Result};
use crate::library::art::{Size, scale};
use crate::library::disk::make_folder;

/// The folder of covers that were made, `<data>/art`. It may be deleted at any time.
#[derive(Debug)]
pub struct Covers {
    folder: PathBuf,
    /// Bytes that all of it may take.
    most: u64,
    /// Bytes written since it was looked whether it is too much. Held while a cover is made: one at a time, for each takes
    /// much memory.
    making: Mutex<u64>,
    turns: Arc<Semaphore>,
}

impl Covers {
    /// Returns the covers below konpo's data folder. Nothing is written before the first cover is kept.
    pub fn open(data: &Path) -> Covers {
        let turns = Arc::new(Semaphore::new(TURNS));
        // The first cover that is kept looks what is there.
        Covers { folder: data.join("art"), most: MOST_KEPT, making: Mutex::new(LOOK_AFTER), turns }
    }

    /// Waits until a thread may be taken for a cover. Held until it is done.
    ///
    /// # Errors
    /// `Stopped`, which does not happen while this lives.
    pub async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        let turn = self.turns.clone().acquire_owned().await;
        turn.map_err(|error| Error::with(Kind::Stopped, "wait for a cover", error))
    }

    /// Returns a cover as JPEG, made by `make` and [`scale`] when it is not kept yet; `None` when there is none or when it
    /// cannot be shown, which is kept too. `key` is a BLAKE3 hash in hex that changes with the picture.
    ///
    /// # Errors
    /// `Invalid` for another key, and those of `make` other than `Unsupported` and `Damaged`; they are not kept.
    /// # Blocks
    /// While another cover is made, and on making this one.
    pub fn get(
        &self,
        key: &str,
        size: Size,
        make: impl FnOnce() -> Result<Option<Vec<u8>>>,
    ) -> Result<Option<Vec<u8>>> {
        let path = self.path(key, size)?;
        if let Some(kept) = kept(&path) {
            return Ok(kept);
        }
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have been made while this one waited.
        if let Some(kept) = kept(&path) {
            return Ok(kept);
        }
        let made = make().and_then(|picture| picture.map(|bytes| scale(&bytes, size)).transpose());
        let made = match made {
            Err(error) if matches!(error.kind(), Kind::Unsupported | Kind::Damaged) => {
                debug!(%error, key, "a cover cannot be shown");
                None
            }
            made => made?,
        };
        // A full disk costs time at the next call, nothing else.
        if let Err(error) = self.keep(&path, made.as_deref().unwrap_or_default(), &mut making) {
            debug!(%error, key, "a cover is not kept");
        }
        Ok(made)
    }

    fn path(&self, key: &str, size: Size) -> Result<PathBuf> {
        if key.len() != 64 || !key.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::new(Kind::Invalid, format!("{key:?} is no key of a cover")));
        }
        Ok(self.folder.join(&key[..2]).join(format!("{key}-{}.jpg", size.edge())))
    }

    fn keep(&self, path: &Path, bytes: &[u8], grown: &mut u64) -> Result<()> {
        let failed = |error| Error::io(format!("keep the cover {}", path.display()), error);
        path.parent().map_or(Ok(()), |shard| make_folder(shard, 0o700))?;
        // One at a time: one name is enough, and what a power cut leaves is written over.
        let fresh = self.folder.join("new");
        let mut file = File::create(&fresh).map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        // A file that is empty after a power cut would say that there is no picture.
        file.sync_data().map_err(failed)?;
        fs::rename(&fresh, path).map_err(failed)?;
        *grown = grown.saturating_add(cost(bytes.len() as u64));
        if *grown > LOOK_AFTER {
            trim(&self.folder, self.most);
            *grown = 0;
        }
        Ok(())
    }
}

/// Returns what is kept: a cover, or that there is none; `None` when nothing is kept.
fn kept(path: &Path) -> Option<Option<Vec<u8>>> {
    let mut file = File::open(path).ok()?;
    let mut bytes = Vec::new();
    (&mut file).take(LARGEST).read_to_end(&mut bytes).ok()?;
    let now = SystemTime::now();
    let modified = file.metadata().and_then(|found| found.modified()).ok()?;
    // Its time says when it was used last, to the day; one of the future too.
    if now.duration_since(modified).is_ok_and(|age| age > FRESH) {
        let _kept_as_it_is = file.set_modified(now);
    }
    match &bytes[..] {
        [] => Some(None),
        [0xff, 0xd8, ..] => Some(Some(bytes)),
        _ => None,
    }
}

/// Removes what was not used for the longest time, when all takes more than `most` bytes, until a tenth is free.
fn trim(folder: &Path, most: u64) {
    let inside = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files = Vec::new();
    for shard in inside(folder) {
        files.extend(inside(&shard.path()).filter_map(|entry| {
            let found = entry.metadata().ok()?;
            Some((found.modified().ok()?, cost(found.len()), entry.path()))
        }));
    }
    let mut total: u64 = files.iter().map(|(_, cost, _)| cost).sum();
    if total <= most {
        return;
    }
    files.sort_unstable();
    for (_, cost, path) in files {
        if total <= most / 10 * 9 {
            break;
        }
        if let Err(error) = fs::remove_file(&path) {
            debug!(%error, path = %path.display(), "a cover cannot be removed");
            continue;
        }
        total -= cost;
    }
}

/// Returns what a file costs on the disk; an empty one costs its entry.
fn cost(bytes: u64) -> u64 {
    bytes.max(4096)
}

/// Bytes of all covers that are kept.
const MOST_KEPT: u64 = 200_000_000;
/// After so many new bytes it is looked whether they are too many.
const LOOK_AFTER: u64 = 8_000_000;
/// Threads that may be busy with covers.
const TURNS: usize = 4;
/// A cover younger than this is not marked as used again.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of a kept cover that are read; none is as large.
const LARGEST: u64 = 4 << 20;

#[cfg(test)]
mod tests;
