//! The shelf: a disk and SQLite. Knows no network, no sound, no queue.

mod arrive;
pub mod art;
mod ask;
pub mod backup;
pub mod check;
mod correct;
pub mod cover;
mod desk;
pub mod disk;
mod exchange;
pub mod export;
mod find;
pub mod idle;
pub mod itunes;
mod keep_safe;
pub mod ledger;
mod past;
mod picture;
mod place;
pub mod read;
pub mod rebuild;
mod root;
mod roots;
mod scan;
pub mod serve;
mod store;
mod trash;
mod upgrade;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tracing::warn;

use crate::error::{Error, Kind, Result};
use crate::library::art::covers::Covers;
use crate::library::find::Keeper;
use crate::library::keep_safe::Safety;
use crate::library::roots::{Disk, Roots};
use crate::library::scan::Scanner;
use crate::library::store::{Store, keep, kept, roots as folders, scanned, tracks};
use crate::media::sound::Sound;
use crate::offer::{OfferId, Provenance, RemoteItem, ShelfProgress, Stage, Verdict};
use crate::query::purchases::SameBy;
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
    /// What always stays free on a disk of music; `None`: max(2 GB, 2 %). Never more than a quarter of the disk.
    pub keep_free: Option<ByteCount>,
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
    /// What tells that it is the song of a track that was locked until now, or that it is the locked file of a song that is
    /// there; found out by the shelf, `None` until then.
    #[serde(default)]
    pub joined: Option<SameBy>,
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
    /// A locked song can be played now.
    pub unlocked: bool,
}

/// What a person wants to hear of the shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// These locked songs can be played now: a free file of each is there.
    Unlocked(Vec<TrackId>),
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
    /// Where it lies.
    path: PathBuf,
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
    /// `None` for an adopted file.
    event: Option<OfferId>,
    /// Nothing lies at its path.
    missing: bool,
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
    keeper: Keeper,
    scanner: Scanner,
    data: PathBuf,
    safety: Mutex<Safety>,
    /// Held while the revision grows.
    revision: Mutex<u64>,
    covers: Covers,
    forms: serve::Forms,
    keep_free: Option<ByteCount>,
    /// News for whoever asked for them first.
    news: (mpsc::Sender<News>, Mutex<Option<mpsc::Receiver<News>>>),
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
        let library = Library::open_as_it_is(config)?;
        let inner = &library.inner;
        let disks: Vec<Arc<Disk>> = inner.roots.disks().filter(|disk| disk.untold.is_some()).collect();
        for disk in &disks {
            inner.take_up(disk)?;
        }
        if !disks.is_empty() {
            inner.store.write_now(|c| inner.changed(c))?;
        }
        Ok(library)
    }

    /// Opens the shelf; a history that the database does not know stays untold.
    fn open_as_it_is(config: LibraryConfig) -> Result<Library> {
        let LibraryConfig { music, data, keep_free } = config;
        if music.is_empty() {
            return Err(Error::new(Kind::Invalid, "there is no music folder"));
        }
        disk::make_folder(&data, 0o700)?;
        let lock = root::lock(&data.join("lock"))?;
        exchange::finish(&data)?;
        let (store, clean) = Store::open(&data)?;
        if !clean {
            store.write_now(|c| store::shown::mend(c).map(drop))?;
        }
        let roots = Roots::open(&music, &store)?;
        let revision =
            store.read_blocking(|c| kept(c, "revision"))?.and_then(|r| r.parse().ok()).unwrap_or(0);
        let keeper = Keeper::start(&data, revision)?;
        let (revision, scanner) = (Mutex::new(revision), Scanner::default());
        let covers = Covers::open(&data);
        let safety = Mutex::new(Safety::open(&data));
        // News that nobody takes are dropped when 64 wait: the list of purchases tells them all.
        let (tell, told) = mpsc::channel(64);
        let news = (tell, Mutex::new(Some(told)));
        let forms = serve::Forms::default();
        let inner = Inner {
            store,
            roots,
            keeper,
            scanner,
            data,
            safety,
            revision,
            covers,
            forms,
            keep_free,
            news,
            _lock: lock,
        };
        let library = Library { inner: Arc::new(inner) };
        if !clean && let Ok(disk) = library.inner.disk() {
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
        self.inner.scanner.stop();
        self.inner.keeper.stop();
        self.inner.store.close();
        Ok(())
    }

    /// Returns the revision that lists show, which grows with every change of the shelf.
    pub fn revision(&self) -> watch::Receiver<u64> {
        self.inner.keeper.shown()
    }

    /// Returns the news, once.
    pub fn take_news(&self) -> Option<mpsc::Receiver<News>> {
        self.inner.news.1.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Starts to look through the music folders, now and whenever something changes there.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start_scanning(&self) -> Result<()> {
        scan::start(&self.inner)
    }

    /// Says whether sound runs. Meanwhile, and for a moment after, nothing is decoded to measure how loud it is.
    pub fn set_sounding(&self, sounding: bool) {
        self.inner.scanner.set_sounding(sounding);
    }

    /// Asks for a new look at every music folder. One that is under way is followed by another.
    pub fn rescan(&self) {
        self.inner.scanner.ask_for_all();
    }

    /// Returns how far the scan is, and how many tracks lists show.
    pub fn shelf(&self) -> ShelfProgress {
        let tracks = self.inner.keeper.now().len() as u64;
        ShelfProgress { tracks, ..self.inner.scanner.progress().borrow().clone() }
    }

    /// Returns the watch of how far the scan is; it does not count tracks.
    pub fn scanning(&self) -> watch::Receiver<ShelfProgress> {
        self.inner.scanner.progress()
    }

    /// Returns files that are no music or cannot be read, as full paths with the reason in words.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn refused(&self, limit: u32) -> Result<Vec<(PathBuf, String)>> {
        self.inner.store.read(move |c| scanned::refused(c, limit)).await
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
        trash::make_room(&*self.inner.disk()?.writable()?, self.inner.keep_free, bytes)
    }

    /// Says whether anything can come in.
    ///
    /// # Errors
    /// `Full` with the bytes needed, `Offline`, and those of the disk.
    /// # Blocks
    /// As long as the disk takes.
    pub fn takes_more(&self) -> Result<()> {
        trash::would_have_room(&*self.inner.disk()?.writable()?, self.inner.keep_free, ByteCount(0))
    }

    /// Says whether so many bytes would find room, were the trash gone; nothing is removed.
    ///
    /// # Errors
    /// `Full` with the bytes needed, `Offline`, and those of the disk.
    /// # Blocks
    /// As long as the disk takes.
    pub fn would_take(&self, bytes: ByteCount) -> Result<()> {
        trash::would_have_room(&*self.inner.disk()?.writable()?, self.inner.keep_free, bytes)
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
        self.open_of(id, |copy| copy.playable)
    }

    /// Opens the best copy of those that are wanted; as [`Library::open_blocking`].
    fn open_of(&self, id: TrackId, wanted: impl Fn(&CopyRow) -> bool) -> Result<OpenTrack> {
        let found =
            self.inner.store.read_blocking(|c| Ok((tracks::load(c, id)?, tracks::copies_of(c, id)?)))?;
        let (Some(track), copies) = found else {
            return Err(Error::new(Kind::NotFound, format!("there is no track {id}")));
        };
        let mut wanted = copies.into_iter().filter(wanted).peekable();
        let Some(first) = wanted.peek() else {
            let why = track.copies.first().map_or("", |copy| copy.protection.headline());
            return Err(Error::new(Kind::Unsupported, format!("track {id} cannot be played: {why}")));
        };
        let elsewhere = first.root;
        let there = wanted.find_map(|copy| Some((self.inner.disk_of(copy.root)?, copy)));
        let Some((disk, copy)) = there else {
            let folder = self.inner.store.read_blocking(|c| folders::root_path(c, elsewhere))?;
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
            path,
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
}

impl Inner {
    /// Returns the first root. When its disk came back just now, what was interrupted is finished first.
    ///
    /// # Errors
    /// `Offline`; nothing may be created under it then.
    fn disk(&self) -> Result<Arc<Disk>> {
        self.disk_at(0)
    }

    /// Returns a root by its place in the settings; as [`Inner::disk`].
    fn disk_at(&self, place: usize) -> Result<Arc<Disk>> {
        let found = self.roots.look(place, &self.store);
        if found.turned {
            if let Ok(disk) = &found.disk {
                if let Err(error) = self.take_up(disk) {
                    warn!(%error, "the history of the music disk could not be taken up");
                }
                if let Err(error) = arrive::mend(self, disk) {
                    warn!(%error, "what was interrupted when the music disk went could not be finished");
                }
                // It may have been somewhere else meanwhile.
                self.scanner.ask_for_all();
            }
            // Everybody's tracks are here again, or away.
            self.store.write_now(|c| self.changed(c))?;
        }
        found.disk
    }

    /// Takes up a disk whose history the database lost.
    fn take_up(&self, disk: &Disk) -> Result<()> {
        rebuild::take_up(&self.store, &self.data, disk)?;
        // The count of the database that was lost goes on.
        let before = self.store.read_blocking(|c| kept(c, "revision"))?.and_then(|text| text.parse().ok());
        let mut revision = self.revision.lock().unwrap_or_else(PoisonError::into_inner);
        *revision = before.unwrap_or(0).max(*revision);
        Ok(())
    }

    /// Returns the disk that has a number in the database, while it is there.
    fn disk_of(&self, id: i64) -> Option<Arc<Disk>> {
        let by_place = |place| self.disk_at(place).ok().filter(|disk| disk.id == id);
        match self.roots.place_of(id) {
            Some(place) => by_place(place),
            // One that is away may be back.
            None => (0..self.roots.len()).find_map(by_place),
        }
    }

    /// Tells a file that is gone from a disk that is gone.
    fn explain(&self, path: &Path, error: std::io::Error) -> Error {
        match self.disk() {
            Err(offline) => offline,
            Ok(_) => {
                // Somebody took it away or moved it: the next look finds where it is.
                self.scanner.ask_for_all();
                Error::io(format!("open {}", path.display()), error)
            }
        }
    }

    /// Says that locked songs can be played now.
    fn tell_unlocked(&self, tracks: Vec<TrackId>) {
        if !tracks.is_empty() {
            tracing::info!(tracks = tracks.len(), first = tracks[0].0, "unlocked: a free file is there");
            // Full, or nobody listens: the list of purchases tells it.
            let _untold = self.news.0.try_send(News::Unlocked(tracks));
        }
    }

    /// Returns how often the shelf has changed.
    fn revision_now(&self) -> u64 {
        *self.revision.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a change of the shelf. Kept in the database, so that no revision means two things.
    fn changed(&self, connection: &mut rusqlite::Connection) -> Result<()> {
        self.commit(connection.transaction()?)
    }

    /// Commits a change of the shelf, and counts it.
    fn commit(&self, transaction: rusqlite::Transaction<'_>) -> Result<()> {
        let mut revision = self.revision.lock().unwrap_or_else(PoisonError::into_inner);
        keep(&transaction, "revision", &(*revision + 1).to_string())?;
        transaction.commit()?;
        *revision += 1;
        self.keeper.tell(*revision);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod upgrade_tests;
