//! The music folders, while their disks are there: each may go at any time and come back, here or as another disk. Whoever
//! asks for one finds out; nothing is created under an empty mount point.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tracing::{info, warn};

use crate::error::{Error, Kind, Result};
use crate::library::ledger::Ledger;
use crate::library::root::Root;
use crate::library::store::{Store, keep, kept, roots, tracks};

/// The music folders, there or not; new tracks go to the first.
#[derive(Debug)]
pub struct Roots {
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    first: bool,
    /// `None` while its disk is not there.
    disk: RwLock<Option<Arc<Disk>>>,
}

/// What looking for a disk found.
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
    /// Its history is this shelf's own, and the database does not know it yet: the database was lost. Up to which byte.
    pub untold: Option<u64>,
    /// `None` while it can only be read.
    ledger: Option<Mutex<Ledger>>,
}

impl Roots {
    /// Looks for the folders for the first time.
    ///
    /// # Errors
    /// `Busy` while another konpo holds one, and those of the disk. A disk that is not there is no error.
    pub fn open(paths: &[PathBuf], store: &Store) -> Result<Roots> {
        store.write_now(|c| roots::all_offline(c))?;
        let mut places = Vec::with_capacity(paths.len());
        for (number, path) in paths.iter().enumerate() {
            let first = number == 0;
            let disk = match Disk::open(path, first, store) {
                Ok(disk) => Some(Arc::new(disk)),
                Err(error) if matches!(error.kind(), Kind::Offline | Kind::NotAllowed) => {
                    let why = in_words(path, &error);
                    warn!(why, "a music folder is offline");
                    None
                }
                Err(error) => return Err(error),
            };
            if let Some(disk) = &disk {
                store.write_now(|c| roots::set_online(c, disk.id, true))?;
            }
            places.push(Place { path: path.clone(), first, disk: RwLock::new(disk) });
        }
        Ok(Roots { places })
    }

    /// Returns how many folders there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Returns the paths of the folders.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.places.iter().map(|place| place.path.as_path())
    }

    /// Returns the disks that were there at the last look.
    pub fn disks(&self) -> impl Iterator<Item = Arc<Disk>> {
        self.places
            .iter()
            .filter_map(|place| place.disk.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Returns the number of the folder whose disk has this number in the database, as far as it is there.
    pub fn place_of(&self, id: i64) -> Option<usize> {
        self.places.iter().position(|place| {
            place
                .disk
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .as_ref()
                .is_some_and(|disk| disk.id == id)
        })
    }

    /// Returns a disk as it is now: one that came back is opened, one that went is let go.
    ///
    /// # Blocks
    /// As long as a disk takes to wake.
    pub fn look(&self, number: usize, store: &Store) -> Found {
        self.places[number].look(store)
    }
}

impl Place {
    fn look(&self, store: &Store) -> Found {
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
        let went = place.take();
        let disk = match Disk::open(&self.path, self.first, store) {
            Ok(disk) => Ok(place.insert(Arc::new(disk)).clone()),
            Err(error) => Err(Error::new(Kind::Offline, in_words(&self.path, &error))),
        };
        drop(place);
        let turned = went.is_some() || disk.is_ok();
        if turned {
            let noted = store.write_now(|c| {
                if let Some(went) = &went {
                    roots::set_online(c, went.id, false)?;
                }
                disk.as_ref().map_or(Ok(()), |disk| roots::set_online(c, disk.id, true))
            });
            if let Err(error) = noted {
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
    fn open(path: &Path, first: bool, store: &Store) -> Result<Disk> {
        let known = store.read_blocking(|c| roots::root_uuid(c, path))?;
        let root = Root::open(path, known.and_then(|uuid| uuid.parse().ok()), first)?;
        let ledger = if root.writable { Some(Mutex::new(Ledger::open(&root.ledger())?)) } else { None };
        let name = format!("ledger:{}", root.uuid);
        // What was read before is in the database; a history that grew elsewhere is read from there on.
        let read: Option<u64> = store.read_blocking(|c| kept(c, &name))?.and_then(|at| at.parse().ok());
        let (mut track, mut event) = (0, 0);
        let (_, end) = Ledger::read_from(&root.ledger(), read.unwrap_or(0), |entry| {
            (track, event) = (entry.track().max(track), entry.event().max(event));
        })?;
        let uuid = root.uuid.to_string();
        let ours = read.is_none() && end > 0 && store.read_blocking(|c| roots::may_be_ours(c, &uuid))?;
        let id = store.write_now(|c| {
            tracks::ids_from(c, track, event)?;
            if read != Some(end) && !ours {
                keep(c, &name, &end.to_string())?;
            }
            roots::root_id(c, &uuid, &root.path)
        })?;
        Ok(Disk { root, id, untold: ours.then_some(end), ledger })
    }

    /// Notes that the database knows what the history tells.
    ///
    /// # Errors
    /// Those of the database.
    pub fn is_told(&self, store: &Store) -> Result<()> {
        let Some(end) = self.untold else { return Ok(()) };
        store.write_now(|c| keep(c, &format!("ledger:{}", self.root.uuid), &end.to_string()))
    }

    /// Returns the history, to write to it.
    ///
    /// # Errors
    /// `Offline` while the disk can only be read.
    pub fn ledger(&self) -> Result<MutexGuard<'_, Ledger>> {
        let ledger = self.ledger.as_ref().ok_or_else(|| self.root.read_only())?;
        Ok(ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns whether the disk can be written.
    pub fn is_writable(&self) -> bool {
        self.ledger.is_some()
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
