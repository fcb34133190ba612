//! The music folder new tracks go to, while its disk is there: it may go at any time and come back, here or as another
//! disk. Whoever asks for it finds out; nothing is created under an empty mount point.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tracing::{info, warn};

use crate::error::{Error, Kind, Result};
use crate::library::ledger::Ledger;
use crate::library::root::Root;
use crate::library::store::{Store, tracks};

/// The first music folder, there or not.
#[derive(Debug)]
pub struct Roots {
    path: PathBuf,
    /// `None` while its disk is not there.
    disk: RwLock<Option<Arc<Disk>>>,
}

/// What looking for the disk found.
#[derive(Debug)]
pub struct Found {
    /// The disk, or `Offline`.
    pub disk: Result<Arc<Disk>>,
    /// It went, or came back, just now.
    pub turned: bool,
}

/// A music folder that is there, and its history.
#[derive(Debug)]
pub struct Disk {
    /// The folder.
    pub root: Root,
    /// Its number in the database.
    pub id: i64,
    /// `None` while it can only be read.
    ledger: Option<Mutex<Ledger>>,
}

impl Roots {
    /// Looks for the folder for the first time.
    ///
    /// # Errors
    /// `Busy` while another konpo holds it, and those of the disk. A disk that is not there is no error.
    pub fn open(path: &Path, store: &Store) -> Result<Roots> {
        let disk = match Disk::open(path, store) {
            Ok(disk) => Some(Arc::new(disk)),
            Err(error) if matches!(error.kind(), Kind::Offline | Kind::NotAllowed) => {
                let why = in_words(path, &error);
                warn!(why, "the shelf is offline");
                None
            }
            Err(error) => return Err(error),
        };
        let id = disk.as_ref().map(|disk| disk.id);
        store.write_now(|c| tracks::set_online(c, id))?;
        Ok(Roots { path: path.to_owned(), disk: RwLock::new(disk) })
    }

    /// Returns the disk as it is now: one that came back is opened, one that went is let go.
    ///
    /// # Blocks
    /// As long as a disk takes to wake.
    pub fn look(&self, store: &Store) -> Found {
        let there = |disk: &Option<Arc<Disk>>| disk.clone().filter(|disk| disk.root.is_online());
        if let Some(disk) = there(&self.disk.read().unwrap_or_else(PoisonError::into_inner)) {
            return Found { disk: Ok(disk), turned: false };
        }
        let mut place = self.disk.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have found it meanwhile.
        if let Some(disk) = there(&place) {
            return Found { disk: Ok(disk), turned: false };
        }
        // Lets its lock and its history go first: the same disk may be found again.
        let went = place.take().is_some();
        let disk = match Disk::open(&self.path, store) {
            Ok(disk) => Ok(place.insert(Arc::new(disk)).clone()),
            Err(error) => Err(Error::new(Kind::Offline, in_words(&self.path, &error))),
        };
        drop(place);
        let turned = went || disk.is_ok();
        if turned {
            let id = disk.as_ref().ok().map(|disk| disk.id);
            if let Err(error) = store.write_now(|c| tracks::set_online(c, id)) {
                warn!(%error, "whether the music disk is there could not be noted");
            }
            match &disk {
                Ok(disk) => info!(path = %disk.root.path.display(), "the music disk is there"),
                Err(error) => warn!(%error, "the music disk went"),
            }
        }
        Found { disk, turned }
    }
}

impl Disk {
    fn open(path: &Path, store: &Store) -> Result<Disk> {
        let known = store.read_blocking(|c| tracks::root_uuid(c, path))?;
        let root = Root::open(path, known.and_then(|uuid| uuid.parse().ok()))?;
        let ledger = if root.writable { Some(Mutex::new(Ledger::open(&root.ledger())?)) } else { None };
        let (mut track, mut event) = (0, 0);
        Ledger::read(&root.ledger(), |line| (track, event) = (line.track.max(track), line.event.max(event)))?;
        let id = store.write_now(|c| {
            tracks::ids_from(c, track, event)?;
            tracks::root_id(c, &root.uuid.to_string(), &root.path)
        })?;
        Ok(Disk { root, id, ledger })
    }

    /// Returns the history, to write to it.
    ///
    /// # Errors
    /// `Offline` while the disk can only be read.
    pub fn ledger(&self) -> Result<MutexGuard<'_, Ledger>> {
        let ledger = self.ledger.as_ref().ok_or_else(|| self.root.read_only())?;
        Ok(ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns this disk when it can be written.
    ///
    /// # Errors
    /// `Offline` while it can only be read.
    pub fn writable(self: Arc<Disk>) -> Result<Arc<Disk>> {
        if self.ledger.is_some() { Ok(self) } else { Err(self.root.read_only()) }
    }
}

/// A folder that konpo may not write comes with the command that mends it (product.md, "Nothing is lost").
fn in_words(path: &Path, error: &Error) -> String {
    match error.kind() {
        Kind::NotAllowed => {
            format!(
                "konpo may not write to the music folder (sudo chown -R konpo: {}): {error}",
                path.display()
            )
        }
        _ => error.to_string(),
    }
}
