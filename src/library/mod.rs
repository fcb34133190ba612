//! The shelf: a disk and SQLite. Knows no network, no sound, no queue.

mod arrive;
pub mod check;
pub mod disk;
mod ledger;
mod place;
pub mod read;
pub mod rebuild;
mod root;
mod roots;
mod store;
mod trash;
mod upgrade;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::error::{Error, Kind, Result};
use crate::library::roots::{Disk, Roots};
use crate::library::store::{Store, browse, devices, journal, keep, kept, tracks};
use crate::media::sound::Sound;
use crate::offer::{
    Consent, DeviceId, Key, NeighbourId, OfferId, Provenance, RemoteItem, Right, Stage, Verdict,
};
use crate::query::{Item, Page, Query, Window};
use crate::track::{
    AudioFormat, CopyId, Fingerprint, PersonalBytes, Protection, Purchase, QuickKey, Sha256, Tags, Track,
    TrackId,
};
use crate::units::{ByteCount, Millis, UnixTime};

/// Where the shelf lies.
#[derive(Debug, Clone)]
pub struct LibraryConfig {
    /// Music folders, full paths; the first is where new tracks go. At least one.
    pub music: Vec<PathBuf>,
    /// The folder of the databases.
    pub data: PathBuf,
}

/// A file that is ready for the shelf.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewCopy {
    /// The journal id; the same event is never stored twice.
    pub event: OfferId,
    /// Where the file lies, in the staging folder of the first root, synced.
    pub staged: PathBuf,
    /// The name it came with.
    pub original_name: String,
    /// What its tags, or else the sender, say.
    pub tags: Tags,
    /// What its bytes are.
    pub format: AudioFormat,
    /// Whether it is locked.
    pub protection: Protection,
    /// Where the buyer's bytes lie.
    pub personal: Vec<PersonalBytes>,
    /// What proves a buy.
    pub purchases: Vec<Purchase>,
    /// The whole file.
    pub sha256: Sha256,
    /// Hint of the payload.
    pub quick: QuickKey,
    /// The payload; `None` for a locked file.
    pub fingerprint: Option<Fingerprint>,
    /// Bytes.
    pub size: ByteCount,
    /// How long it sounds; zero unknown.
    pub duration: Millis,
    /// Where it came from.
    pub provenance: Provenance,
    /// When.
    pub received: UnixTime,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Its track.
    pub track: TrackId,
    /// The same music was there.
    pub merged: bool,
    /// It took the place of the file that was there.
    pub replaced: bool,
}

/// A file of the shelf, opened.
#[derive(Debug)]
pub struct OpenTrack {
    /// Its track.
    pub track: Arc<Track>,
    /// Which of its copies.
    pub copy: CopyId,
    /// The file, at its start.
    pub file: File,
    /// Its extension, without the dot.
    pub extension: Option<String>,
    /// Bytes.
    pub size: ByteCount,
    /// When it last changed.
    pub modified: SystemTime,
}

/// A file on its way in, as the journal keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalRow {
    /// Its number; 0 for a new one.
    pub id: OfferId,
    /// How far it is.
    pub stage: Stage,
    /// Where it comes from.
    pub provenance: Provenance,
    /// What the neighbour says of it.
    pub item: Option<RemoteItem>,
    /// Its file in the staging folder.
    pub part: Option<String>,
    /// Bytes in all, when known.
    pub size: Option<ByteCount>,
    /// Entity tag or date of the remote file, for If-Range.
    pub etag: Option<String>,
    /// What became of it, once that is known.
    pub verdict: Option<Verdict>,
    /// What intake wants to keep, as JSON.
    pub facts: String,
    /// When this last changed.
    pub at: UnixTime,
}

/// What a neighbour was seen to have; it outlives the visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRemote {
    /// The neighbour.
    pub device: String,
    /// Its own number of the item.
    pub object_id: String,
    /// Bytes as stated.
    pub size: Option<ByteCount>,
    /// BLAKE3 of title, artist, album and length, hex.
    pub hash: String,
    /// `stored`, `merged`, `locked`, or the code of a refusal.
    pub verdict: String,
    /// The track it ended in.
    pub track: Option<TrackId>,
}

/// A copy as the disk side of the shelf sees it.
#[derive(Debug, Clone)]
struct CopyRow {
    id: CopyId,
    track: TrackId,
    root: i64,
    path: PathBuf,
    size: ByteCount,
    sha256: Option<Sha256>,
    playable: bool,
    strength: i64,
    trashed: Option<String>,
    event: OfferId,
}

/// A place held for a file between the ledger line and the commit.
#[derive(Debug, Clone)]
struct Reserved {
    track: TrackId,
    root: i64,
    path: PathBuf,
    new: NewCopy,
}

/// The shelf. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Library {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    roots: Roots,
    revision: watch::Sender<u64>,
    /// Held while the revision grows.
    counting: Mutex<()>,
    /// Held for life: two daemons never share a database.
    _lock: nix::fcntl::Flock<File>,
}

impl Library {
    /// Opens the shelf, finishes what a power cut interrupted, and takes the locks.
    ///
    /// # Errors
    /// `Busy` while another konpo holds it, `Damaged` for a broken owner.db, and those of the disk. A music disk that is not
    /// there is no error: the shelf is offline.
    /// # Blocks
    /// As long as the disk takes; after an unclean stop the database is checked first.
    pub fn open(config: LibraryConfig) -> Result<Library> {
        let LibraryConfig { music, data } = config;
        let first = music.first().ok_or_else(|| Error::new(Kind::Invalid, "there is no music folder"))?;
        disk::make_folder(&data, 0o700)?;
        let lock = root::lock(&data.join("lock"))?;
        let (store, clean) = Store::open(&data)?;
        let roots = Roots::open(first, &store)?;
        let revision =
            store.read_blocking(|c| kept(c, "revision"))?.and_then(|r| r.parse().ok()).unwrap_or(0);
        let (revision, counting) = (watch::Sender::new(revision), Mutex::default());
        let inner = Inner { store, roots, revision, counting, _lock: lock };
        let library = Library { inner: Arc::new(inner) };
        if !clean {
            info!("the last stop was not clean: the shelf is mended");
        }
        if let Ok(disk) = library.inner.disk() {
            arrive::mend(&library.inner, &disk)?;
        }
        Ok(library)
    }

    /// Marks a clean stop. Later writes are refused.
    ///
    /// # Errors
    /// None at present; what cannot be closed in order is logged, and mended at the next start.
    /// # Blocks
    /// Until the writes in line are done.
    pub fn close(&self) -> Result<()> {
        self.inner.store.close();
        Ok(())
    }

    /// Returns the revision, which grows with every change of the shelf.
    pub fn revision(&self) -> watch::Receiver<u64> {
        self.inner.revision.subscribe()
    }

    /// Looks whether the music disk is there; one that came back is opened again.
    ///
    /// # Errors
    /// `Offline` in words for a person.
    /// # Blocks
    /// As long as the disk takes to wake.
    pub fn look_at_disk(&self) -> Result<()> {
        self.inner.disk().map(drop)
    }

    /// Returns the folder of part files.
    ///
    /// # Errors
    /// `Offline`, also while the disk can only be read.
    /// # Blocks
    /// As long as the disk takes to wake.
    pub fn staging_dir(&self) -> Result<PathBuf> {
        Ok(self.inner.disk()?.writable()?.root.staging())
    }

    /// Returns the drop folder.
    ///
    /// # Errors
    /// `Offline`, also while the disk can only be read.
    /// # Blocks
    /// As long as the disk takes to wake.
    pub fn inbox_dir(&self) -> Result<PathBuf> {
        Ok(self.inner.disk()?.writable()?.root.path.join("Inbox"))
    }

    /// Makes sure that the disk has room for so many bytes more and for the reserve; the trash yields, oldest first.
    ///
    /// # Errors
    /// `Full` with the bytes needed, `Offline`, and those of the disk.
    /// # Blocks
    /// As long as the disk takes.
    pub fn make_room(&self, bytes: ByteCount) -> Result<()> {
        trash::make_room(&*self.inner.disk()?.writable()?, bytes)
    }

    /// Says whether anything can come in.
    ///
    /// # Errors
    /// `Full` with the bytes needed, `Offline`, and those of the disk.
    /// # Blocks
    /// As long as the disk takes.
    pub fn takes_more(&self) -> Result<()> {
        trash::would_have_room(&*self.inner.disk()?.writable()?, ByteCount(0))
    }

    /// Removes what lies in the trash for more than 30 days.
    ///
    /// # Errors
    /// `Offline`, and those of the disk.
    /// # Blocks
    /// As long as the disk takes.
    pub fn empty_trash(&self, now: UnixTime) -> Result<()> {
        trash::empty(&*self.inner.disk()?.writable()?, now)
    }

    /// Puts a file of the staging folder into the trash, where it stays for 30 days.
    ///
    /// # Errors
    /// `Offline`, and those of the disk.
    /// # Blocks
    /// As long as the disk takes.
    pub fn throw_away(&self, staged: &Path, event: OfferId, name: &str) -> Result<()> {
        trash::put(&*self.inner.disk()?.writable()?, staged, &trash::name(event, name))
    }

    /// Returns tracks in the order asked; `None` for one that is not there.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn get(&self, ids: &[TrackId]) -> Result<Vec<Option<Arc<Track>>>> {
        let ids = ids.to_vec();
        self.inner.store.read(move |c| ids.iter().map(|&id| tracks::load(c, id)).collect()).await
    }

    /// Answers a query.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn browse(&self, query: &Query) -> Result<Page<Item>> {
        let query = query.clone();
        self.inner.store.read(move |c| browse::browse(c, &query)).await
    }

    /// Returns the tracks that were bought, newest purchase first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn purchases(&self, window: Window) -> Result<Page<Arc<Track>>> {
        self.inner.store.read(move |c| browse::purchases(c, window)).await
    }

    /// Opens the best copy of a track.
    ///
    /// # Errors
    /// `NotFound`, `Unsupported` when no copy can be played, `Offline` when its disk is not there.
    pub async fn open_track(&self, id: TrackId) -> Result<OpenTrack> {
        let library = self.clone();
        let opened = tokio::task::spawn_blocking(move || library.open_blocking(id)).await;
        opened.map_err(|error| Error::with(Kind::Internal, "open a track", error))?
    }

    /// Opens the best copy of a track on this thread.
    ///
    /// # Errors
    /// As [`Library::open_track`].
    /// # Blocks
    /// As long as the disk takes to wake.
    pub fn open_blocking(&self, id: TrackId) -> Result<OpenTrack> {
        let disk = self.inner.disk();
        let found =
            self.inner.store.read_blocking(|c| Ok((tracks::load(c, id)?, tracks::copies_of(c, id)?)))?;
        let (Some(track), copies) = found else {
            return Err(Error::new(Kind::NotFound, format!("there is no track {id}")));
        };
        let mut playable = copies.into_iter().filter(|copy| copy.playable).peekable();
        let Some(first) = playable.peek() else {
            let why = track.copies.first().map_or("", |copy| copy.protection.headline());
            return Err(Error::new(Kind::Unsupported, format!("track {id} cannot be played: {why}")));
        };
        let elsewhere = first.root;
        let disk = disk?;
        let Some(copy) = playable.find(|copy| copy.root == disk.id) else {
            let folder = self.inner.store.read_blocking(|c| tracks::root_path(c, elsewhere))?;
            let what = format!("track {id} lies on a music disk that is not there: {}", folder.display());
            return Err(Error::new(Kind::Offline, what));
        };
        let path = disk.root.path.join(&copy.path);
        let file = File::open(&path).map_err(|error| self.inner.explain(&path, error))?;
        let metadata = file.metadata().map_err(|error| Error::io("read the size of a track", error))?;
        Ok(OpenTrack {
            track,
            copy: copy.id,
            extension: path.extension().map(|e| e.to_string_lossy().into_owned()),
            size: ByteCount(metadata.len()),
            modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
            file,
        })
    }

    /// Opens the best copy of a track as sound, on this thread.
    ///
    /// # Errors
    /// As [`Library::open_track`].
    /// # Blocks
    /// As long as the disk takes to wake.
    pub fn open_sound(&self, id: TrackId) -> Result<Sound> {
        let open = self.open_blocking(id)?;
        Sound::file(open.file, open.extension.as_deref()).map_err(|error| Error::io("read a track", error))
    }

    /// Puts a staged file on the shelf: stage 5 of a track's way. The same event is never stored twice.
    ///
    /// # Errors
    /// `Offline`, `Full`, and those of the disk; the file then still lies in staging or, after a crash, is found again.
    ///
    /// # Cancel
    /// A dropped future leaves the work to finish.
    pub async fn add(&self, new: NewCopy) -> Result<Added> {
        let inner = self.inner.clone();
        self.inner.store.write(move |c| arrive::add(&inner, c, new, &mut |_| Ok(()))).await
    }

    /// Returns the track that an arrival ended in; `None` while it is not on the shelf.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn arrived(&self, event: OfferId) -> Result<Option<TrackId>> {
        self.inner.store.read(move |c| tracks::of_event(c, event)).await
    }

    /// Moves every copy of a track to the trash.
    ///
    /// # Errors
    /// `NotFound`, `Offline`, and those of the disk.
    pub async fn trash(&self, id: TrackId) -> Result<()> {
        let inner = self.inner.clone();
        self.inner.store.write(move |c| arrive::trash_track(&inner, c, id)).await
    }

    /// Writes a row of the journal; id 0 makes a new one. Returns its id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn journal_put(&self, row: JournalRow) -> Result<OfferId> {
        self.inner.store.write(move |c| journal::put(c, &row)).await
    }

    /// Returns the rows that have not ended, oldest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn journal_open(&self) -> Result<Vec<JournalRow>> {
        self.inner.store.read(journal::open).await
    }

    /// Returns the newest rows, newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn journal_recent(&self, limit: u32) -> Result<Vec<JournalRow>> {
        self.inner.store.read(move |c| journal::recent(c, limit)).await
    }

    /// Returns the rows of one way in, newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn journal_of_way(&self, way: &'static str) -> Result<Vec<JournalRow>> {
        self.inner.store.read(move |c| journal::of_way(c, way)).await
    }

    /// Forgets rows that ended before a time, except these of one way in.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn journal_prune(&self, before: UnixTime, way: &'static str, keep: Vec<OfferId>) -> Result<()> {
        self.inner.store.write(move |c| journal::prune(c, before, way, &keep)).await
    }

    /// Returns what a neighbour was seen to have.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn seen_remote(&self, device: &str) -> Result<Vec<SeenRemote>> {
        let device = device.to_owned();
        self.inner.store.read(move |c| journal::seen_remote(c, &device)).await
    }

    /// Remembers what a neighbour was seen to have.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn remember_remote(&self, seen: SeenRemote) -> Result<()> {
        self.inner.store.write(move |c| journal::remember(c, &seen)).await
    }

    /// Returns what was decided about a neighbour.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn consent(&self, neighbour: &NeighbourId) -> Result<Option<Consent>> {
        let neighbour = neighbour.0.clone();
        self.inner.store.read(move |c| devices::consent(c, &neighbour)).await
    }

    /// Keeps what was decided about a neighbour.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_consent(&self, neighbour: &NeighbourId, consent: Consent) -> Result<()> {
        let neighbour = neighbour.0.clone();
        self.inner.store.write(move |c| devices::set_consent(c, &neighbour, consent)).await
    }

    /// Returns the devices added by their address.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn addresses(&self) -> Result<Vec<String>> {
        self.inner.store.read(devices::addresses).await
    }

    /// Keeps a device added by its address.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_address(&self, address: String) -> Result<()> {
        self.inner.store.write(move |c| devices::add_address(c, &address)).await
    }

    /// Forgets a device added by its address.
    ///
    /// # Errors
    /// `NotFound`, and those of the database.
    pub async fn remove_address(&self, address: String) -> Result<()> {
        let unknown = Error::new(Kind::NotFound, format!("{address} was not added"));
        let known = self.inner.store.write(move |c| devices::remove_address(c, &address)).await?;
        known.then_some(()).ok_or(unknown)
    }

    /// Returns the device that has a key, and its right.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn device_by_key(&self, key: Key) -> Result<Option<(DeviceId, Right)>> {
        self.inner.store.read(move |c| devices::by_key(c, &key)).await
    }

    /// Adds a device with its first key.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_device(&self, key: Key, name: String, right: Right) -> Result<DeviceId> {
        self.inner.store.write(move |c| devices::add(c, &key, &name, right)).await
    }

    /// Returns what the box wrote down about itself.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn load_memory(&self) -> Result<Option<String>> {
        self.inner.store.read(|c| kept(c, "memory")).await
    }

    /// Writes down what the box keeps about itself.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn save_memory(&self, json: String) -> Result<()> {
        self.inner.store.write(move |c| keep(c, "memory", &json)).await
    }

    /// Notes the start of a track.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn note_play(&self, track: TrackId, at: UnixTime) -> Result<()> {
        self.inner.store.write(move |c| devices::note_play(c, track, at)).await
    }

    /// Returns the playable tracks of the album that was heard last, in order.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn last_album_heard(&self) -> Result<Vec<TrackId>> {
        self.inner.store.read(devices::last_album_heard).await
    }

    /// Returns the newest playable arrivals, newest first.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn newest(&self, limit: u32) -> Result<Vec<TrackId>> {
        self.inner.store.read(move |c| devices::newest(c, limit)).await
    }

    /// Returns playable tracks in an order that the seed decides.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn shuffled(&self, limit: u32, seed: u64) -> Result<Vec<TrackId>> {
        self.inner.store.read(move |c| devices::shuffled(c, limit, seed)).await
    }
}

impl Inner {
    /// Returns the first root. When its disk came back just now, what was interrupted is finished first.
    ///
    /// # Errors
    /// `Offline`; nothing may be created under it then.
    fn disk(&self) -> Result<Arc<Disk>> {
        let found = self.roots.look(&self.store);
        if found.turned {
            if let Ok(disk) = &found.disk
                && let Err(error) = arrive::mend(self, disk)
            {
                warn!(%error, "what was interrupted when the music disk went could not be finished");
            }
            // Everybody's tracks are here again, or away.
            self.store.write_now(|c| self.changed(c))?;
        }
        found.disk
    }

    /// Tells a file that is gone from a disk that is gone.
    fn explain(&self, path: &Path, error: std::io::Error) -> Error {
        match self.disk() {
            Err(offline) => offline,
            Ok(_) => Error::io(format!("open {}", path.display()), error),
        }
    }

    /// Counts a change of the shelf. Kept in the database, so that no revision means two things.
    fn changed(&self, connection: &rusqlite::Connection) -> Result<()> {
        let _turn = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = *self.revision.borrow() + 1;
        keep(connection, "revision", &revision.to_string())?;
        self.revision.send_replace(revision);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
