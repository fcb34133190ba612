//! Part files: bytes on their way in, in the hidden folder of the music disk, each under a row of the journal.
//! At the start they are held against the journal. Nothing here reads what the bytes are.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tracing::{debug, info, warn};

use crate::error::{Error, Kind, Result};
use crate::intake::append::{Append, Sum, Tail};
use crate::intake::inbox::{self, Taken};
use crate::intake::names::FROM_INBOX;
use crate::intake::stages::{AtStart, Found, at_start};
use crate::intake::{Inner, board, can_be_fetched};
use crate::library::disk::{move_new, remove, sync_folder};
use crate::library::{JournalRow, Library};
use crate::offer::{OfferId, RemoteItem, Stage, Verdict};
use crate::track::TrackId;
use crate::units::{ByteCount, UnixTime};

/// The way in of one file's bytes. Dropped, it leaves what is here for the next time.
#[derive(Debug)]
pub struct Part {
    held: Arc<Held>,
    row: JournalRow,
    file: Append<Held>,
    path: PathBuf,
    here: u64,
    /// Bytes in all as the transfer announced them; what the listing says is only a hint.
    announced: Option<u64>,
    /// Up to here the disk was asked for room.
    room: u64,
    /// The transfer says itself where it ends: what the listing said does not matter.
    told_its_end: bool,
    /// Where the row is to be written, when it says less than this does.
    unwritten: Option<u64>,
    /// How long it may be at most while its length is not announced.
    most: u64,
}

/// Marks a file as being at work on, as long as it lives.
#[derive(Debug)]
pub(in crate::intake) struct Held {
    inner: Arc<Inner>,
    id: OfferId,
}

impl Part {
    /// Makes the row and an empty file.
    pub(in crate::intake) async fn new(inner: Arc<Inner>, mut row: JournalRow) -> Result<Part> {
        inner.keep(&mut row, ByteCount(0)).await?;
        Part::open(inner, row).await
    }

    /// Takes up a row that broke off.
    pub(in crate::intake) async fn again(
        inner: Arc<Inner>,
        mut row: JournalRow,
        item: RemoteItem,
    ) -> Result<Part> {
        if row.stage != Stage::Offered || inner.held().contains(&row.id) {
            return Err(Error::new(
                Kind::Busy,
                format!("{} is on its way already", row.provenance.original_name),
            ));
        }
        let before = row.item.replace(item);
        // What comes in pieces is taken up every few milliseconds, and its row says all there is to say already.
        let says_it = before == row.item && UnixTime::now().0 - row.at.0 < ROW_FRESH;
        let before = before.and_then(|item| item.size);
        let now = row.item.as_ref().and_then(|item| item.size);
        let mut part = Part::open(inner, row).await?;
        if part.here > 0 && (before != now || now.is_some_and(|size| part.here > size.0)) {
            part.restart().await?;
        } else if !says_it {
            let (inner, here) = (part.held.inner.clone(), ByteCount(part.here));
            inner.keep(&mut part.row, here).await?;
        }
        Ok(part)
    }

    async fn open(inner: Arc<Inner>, row: JournalRow) -> Result<Part> {
        let held = Arc::new(Held::new(inner.clone(), row.id)?);
        let folder = staging_dir(&inner.library).await?;
        let path = folder.join(row.part.as_deref().unwrap_or_default());
        let (at, guard) = (path.clone(), held.clone());
        let opened =
            blocking(move || Append::open(&at, guard).map_err(|error| Error::io("open a part file", error)));
        let (file, here) = opened.await?;
        Ok(Part {
            held,
            row,
            file,
            path,
            here,
            announced: None,
            room: here,
            told_its_end: false,
            unwritten: None,
            most: LARGEST_UNANNOUNCED,
        })
    }

    /// Returns the journal's number of it.
    pub fn id(&self) -> OfferId {
        self.row.id
    }

    /// Returns its row as it is now.
    pub(in crate::intake) fn row(&self) -> &JournalRow {
        &self.row
    }

    /// Returns how many bytes are here: where to go on.
    pub fn offset(&self) -> u64 {
        self.here
    }

    /// Returns whether an earlier transfer brought all bytes, and only did not end.
    pub fn has_all(&self) -> bool {
        let listed = self.row.item.as_ref().and_then(|item| item.size);
        let here = Some(ByteCount(self.here));
        self.here > 0
            && self.announced.is_none()
            && self.row.size == here
            && (listed.is_none() || listed == here)
    }

    /// Notes that the transfer marks its end itself, although its length was not announced (chunks, RFC 9112, 7.1).
    pub fn tells_its_end(&mut self) {
        self.told_its_end = true;
    }

    /// Notes how long it may be at most, although its length was not announced: it comes within something of known length.
    pub(in crate::intake) fn at_most(&mut self, bytes: u64) {
        self.most = bytes.min(LARGEST_FILE);
    }

    /// Writes down another tag of the bytes.
    pub(in crate::intake) async fn tag(&mut self, etag: String) -> Result<()> {
        self.row.etag = Some(etag);
        let (inner, here) = (self.held.inner.clone(), ByteCount(self.here));
        inner.keep(&mut self.row, here).await
    }

    /// Goes on behind a part of the same file that was dropped: what its last sync could not do is told here.
    pub(in crate::intake) fn follow(&mut self, tail: Tail) {
        self.file.follow(tail);
    }

    /// Returns what may still run when this is dropped.
    pub(in crate::intake) fn left_over(&mut self) -> Tail {
        self.file.tail()
    }

    /// Begins a sum of what is written from now on. Nothing may be written and not flushed.
    pub(in crate::intake) fn begin_sum(&mut self, sum: Sum) {
        self.file.begin_sum(sum);
    }

    /// Ends the sum; empty when none was begun.
    ///
    /// # Errors
    /// Those of the disk.
    pub(in crate::intake) async fn end_sum(&mut self) -> Result<Vec<u8>> {
        match self.file.end_sum().await {
            Ok(sum) => Ok(sum),
            Err(error) => Err(self.failed("write a part file", error).await),
        }
    }

    /// Takes back what lies behind a place.
    pub(in crate::intake) async fn cut(&mut self, length: u64) -> Result<()> {
        if let Err(error) = self.file.cut(length).await {
            return Err(self.failed("shorten a part file", error).await);
        }
        self.here = self.here.min(length);
        Ok(())
    }

    /// Returns whether the transfer announced its length.
    pub fn is_announced(&self) -> bool {
        self.announced.is_some()
    }

    /// Shows why it does not go on now.
    pub fn waits(&self, why: &str) {
        self.held.inner.notes.waits(self.row.id, Some(why.to_owned()));
    }

    /// Returns the entity tag or date of the bytes that are here, for If-Range.
    pub fn etag(&self) -> Option<&str> {
        self.row.etag.as_deref()
    }

    /// Returns the last bytes that are here.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn tail(&mut self, count: usize) -> Result<Vec<u8>> {
        self.flush().await?;
        let (path, from) = (self.path.clone(), self.here.saturating_sub(count as u64));
        let length = (self.here - from) as usize;
        blocking(move || {
            let failed = |error| Error::io("read a part file", error);
            let mut bytes = vec![0; length];
            let file = fs::File::open(&path).map_err(failed)?;
            file.read_exact_at(&mut bytes, from).map_err(failed)?;
            Ok(bytes)
        })
        .await
    }

    /// Throws away what is here: the file over there is another one now.
    ///
    /// # Errors
    /// Those of the disk and the database.
    pub async fn restart(&mut self) -> Result<()> {
        self.file.empty().await.map_err(|error| Error::io("empty a part file", error))?;
        (self.here, self.room, self.announced) = (0, 0, None);
        self.row.etag = None;
        let inner = self.held.inner.clone();
        inner.keep(&mut self.row, ByteCount(0)).await
    }

    /// Notes what the transfer announced: the bytes of the whole file, not of the range, and its tag or date.
    ///
    /// # Errors
    /// `Full`, `Offline`, `Invalid` when more is here than there is and the part must be restarted, and those of the database.
    pub async fn begin(&mut self, size: Option<u64>, etag: Option<String>) -> Result<()> {
        if let Some(size) = size {
            if size < self.here {
                return Err(Error::new(Kind::Invalid, "more bytes are here than the file has now"));
            }
            if size > LARGEST_FILE {
                return Err(too_large());
            }
            // A tag was kept together with the size that was announced with it.
            if self.here > 0
                && self.row.etag.is_some()
                && self.row.size.is_some_and(|before| before.0 != size)
            {
                return Err(Error::new(Kind::Invalid, "the file has another length now"));
            }
            // What lies in the trash yields to bytes that come, not to words about them.
            if size > self.here {
                let (library, more) = (self.held.inner.library.clone(), ByteCount(size - self.here));
                blocking(move || library.would_take(more)).await?;
            }
        }
        self.announced = size;
        let size = size.map(ByteCount).or(self.row.size);
        // Some answer a range without the tag of the whole.
        let etag = if etag.is_some() || self.here == 0 { etag } else { self.row.etag.clone() };
        // Without the tag a transfer that broke off early goes on all the same: its last bytes are compared then. A short
        // file is spared the write.
        if (size, &etag) != (self.row.size, &self.row.etag) {
            self.unwritten = Some(self.here + ROW_AFTER);
        }
        (self.row.size, self.row.etag) = (size, etag);
        self.held.inner.notes.put(board::arrival(&self.row, ByteCount(self.here)));
        Ok(())
    }

    async fn write_row(&mut self) -> Result<()> {
        if self.unwritten.take().is_some() {
            let (inner, here) = (self.held.inner.clone(), ByteCount(self.here));
            inner.keep(&mut self.row, here).await?;
        }
        Ok(())
    }

    /// Adds bytes at the end.
    ///
    /// # Errors
    /// `Full`, `Offline`, `Damaged` when more comes than was announced, and those of the disk.
    ///
    /// # Cancel
    /// A dropped future may leave the bytes taken, but counted by nobody: drop the part as well, and open it again.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let end = self.here + bytes.len() as u64;
        if self.announced.is_some_and(|size| end > size) {
            return Err(Error::new(Kind::Damaged, "more bytes came than were announced"));
        }
        if end > if self.announced.is_some() { LARGEST_FILE } else { self.most } {
            return Err(too_large());
        }
        if end > self.room {
            let more = self.announced.map_or(ROOM_STEP, |size| (size - self.here).min(ROOM_STEP));
            room_for(&self.held.inner.library, ByteCount(more)).await?;
            self.room = self.here + more;
        }
        if let Err(error) = self.file.push(&bytes).await {
            return Err(self.failed("write a part file", error).await);
        }
        self.here = end;
        self.held.inner.notes.received(self.row.id, ByteCount(end));
        if self.unwritten.is_some_and(|at| end >= at) {
            self.write_row().await?;
        }
        Ok(())
    }

    /// Writes down what is here: the transfer does not go on now.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn flush(&mut self) -> Result<()> {
        if let Err(error) = self.file.flush().await {
            return Err(self.failed("write a part file", error).await);
        }
        self.write_row().await
    }

    /// Returns whether all bytes are here that were announced, or at least listed.
    ///
    /// # Errors
    /// `Unreachable` when some are missing, and those of the disk and the database; what is here stays.
    pub async fn is_whole(&mut self) -> Result<()> {
        let listed = self.row.item.as_ref().and_then(|item| item.size).map(|size| size.0);
        let listed = listed.filter(|_| !self.told_its_end);
        if let Some(size) = self.announced.or(listed).filter(|&size| size > self.here) {
            let what = format!("the transfer broke off after {} of {size} bytes", self.here);
            self.flush().await?;
            return Err(Error::new(Kind::Unreachable, what));
        }
        Ok(())
    }

    /// Ends the transfer: the bytes are made durable and wait for the worker.
    ///
    /// # Errors
    /// `Unreachable` when bytes are missing (what is here stays), and those of the disk and the database.
    pub async fn finish(mut self) -> Result<()> {
        self.is_whole().await?;
        let folder = self.path.parent().map(Path::to_owned).unwrap_or_default();
        let (file, folder) = tokio::join!(self.file.sync(), blocking(move || sync_folder(&folder)));
        if let Err(error) = file {
            return Err(self.failed("sync a part file", error).await);
        }
        if let Err(error) = folder {
            // A disk that went says so itself.
            staging_dir(&self.held.inner.library).await?;
            return Err(error);
        }
        self.row.stage = Stage::Staged;
        self.row.size = Some(ByteCount(self.here));
        let (inner, here) = (self.held.inner.clone(), ByteCount(self.here));
        inner.keep(&mut self.row, here).await?;
        drop(self);
        inner.work.notify_one();
        Ok(())
    }

    /// Ends the transfer without the file. It is not offered as new again unless the code is `full` or `gone`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn refuse(mut self, code: &str, reason: &str) -> Result<()> {
        let verdict = Verdict::Refused { code: code.to_owned(), reason: reason.to_owned() };
        let (inner, here) = (self.held.inner.clone(), ByteCount(self.here));
        inner.end(&mut self.row, verdict, here).await?;
        info!(name = self.row.provenance.original_name, code, reason, "not taken");
        let path = self.path.clone();
        drop(self);
        blocking(move || remove(&path)).await
    }

    /// Tells a disk that is gone, and one that is full, from other trouble.
    async fn failed(&self, what: &str, error: std::io::Error) -> Error {
        let library = self.held.inner.library.clone();
        let missing = self.announced.unwrap_or(self.here + ROOM_STEP).saturating_sub(self.here);
        let error = Error::io(what, error);
        if error.kind() == Kind::Full {
            // Another program was faster than the reserve: the words are those of a disk that was full before.
            let full = room_for(&library, ByteCount(missing)).await;
            return full.err().unwrap_or_else(|| Error::with(Kind::Full, "the disk is full", error));
        }
        match blocking(move || library.staging_dir()).await {
            Err(offline) => offline,
            Ok(_) => error,
        }
    }
}

impl Held {
    pub(in crate::intake) fn new(inner: Arc<Inner>, id: OfferId) -> Result<Held> {
        if !inner.held().insert(id) {
            return Err(Error::new(Kind::Busy, "this file is on its way already"));
        }
        Ok(Held { inner, id })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.inner.held().remove(&self.id);
    }
}

/// What becomes of part files that no row knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::intake) enum Strays {
    /// They are removed: nobody writes yet.
    Go,
    /// They stay: one that has just been made may have no row in what was read.
    Stay,
}

/// Holds the journal against the staging folder after a start, or when the disk came back, and puts every file back on its
/// way that nobody is at work on.
pub(in crate::intake) async fn take_up(inner: &Arc<Inner>, strays: Strays) -> Result<()> {
    let folder = match staging_dir(&inner.library).await {
        Ok(folder) => folder,
        Err(error) => {
            warn!(%error, "files on their way in wait");
            return Ok(());
        }
    };
    let library = inner.library.clone();
    let inbox = blocking(move || library.inbox_dir()).await?;
    let mut known = HashSet::new();
    for mut row in inner.library.journal_open().await? {
        known.extend(row.part.clone());
        let Ok(held) = Held::new(inner.clone(), row.id) else { continue };
        let part = folder.join(row.part.as_deref().unwrap_or_default());
        let taken = Taken::of(&row);
        let (there, size, lies) = {
            let (part, from) = (part.clone(), taken.as_ref().map(|taken| inbox.join(taken.path())));
            blocking(move || {
                let size = fs::metadata(&part).ok().filter(fs::Metadata::is_file).map(|found| found.len());
                Ok((size.is_some(), ByteCount(size.unwrap_or(0)), from.is_some_and(|from| from.is_file())))
            })
            .await?
        };
        let shelved = if there { None } else { inner.library.arrived(row.id).await? };
        let (inbox, resumes) = (taken.as_ref().map(|_| lies), can_be_fetched(&row) || is_upload(&row));
        let found = Found { part: there, inbox, shelved: shelved.is_some(), resumes };
        match at_start(row.stage, found) {
            AtStart::Wait if UnixTime::now().0 - row.at.0 > longest_wait(&row) => {
                let reason = "its sender did not come back with the rest".to_owned();
                inner.end(&mut row, Verdict::Refused { code: "gone".into(), reason }, size).await?;
                blocking(move || remove(&part)).await?;
            }
            // All of it is here and counts: only the word of it is missing, which its sender cannot say again.
            AtStart::Wait if strays == Strays::Go && there && is_whole_upload(&row, size) => {
                blocking(move || {
                    let synced = fs::File::open(&part).and_then(|file| file.sync_all());
                    synced.map_err(|error| Error::io("sync a part file", error))
                })
                .await?;
                row.stage = Stage::Staged;
                inner.keep(&mut row, size).await?;
            }
            AtStart::Wait => inner.notes.put(board::arrival(&row, size)),
            AtStart::Work => {
                if row.stage == Stage::Offered {
                    row.stage = Stage::Staged;
                    inner.keep(&mut row, size).await?;
                }
                inner.notes.put(board::arrival(&row, size));
            }
            AtStart::TakeAgain => inbox::take_again(inner, row, Some(held)).await?,
            AtStart::Shelved => {
                if let Some(track) = shelved {
                    let verdict = verdict_of(inner, track).await?;
                    let size = row.size.unwrap_or_default();
                    inner.end(&mut row, verdict, size).await?;
                }
            }
            AtStart::Gone => {
                let half = there && row.stage == Stage::Offered;
                let reason = if half { "its sender broke off" } else { "its bytes are gone" }.to_owned();
                inner.end(&mut row, Verdict::Refused { code: "gone".into(), reason }, ByteCount(0)).await?;
                blocking(move || remove(&part)).await?;
            }
        }
    }
    if strays == Strays::Stay {
        return Ok(());
    }
    blocking(move || clean(&folder, &inbox, &known)).await
}

/// Returns what became of a file that was stored just before the power cut.
async fn verdict_of(inner: &Inner, track: TrackId) -> Result<Verdict> {
    let found = inner.library.get(&[track]).await?.into_iter().flatten().next();
    let copy =
        found.filter(|track| track.playable().is_none()).and_then(|track| track.copies.first().cloned());
    Ok(match copy {
        Some(copy) if copy.protection.is_locked() => {
            Verdict::Locked { track, protection: copy.protection.without_personal() }
        }
        _ => Verdict::Stored { track },
    })
}

/// Removes part files that no row knows. What came from the drop folder may be the only copy and goes back there.
fn clean(folder: &Path, inbox: &Path, known: &HashSet<String>) -> Result<()> {
    let entries = fs::read_dir(folder).map_err(|error| Error::io("list the staging folder", error))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if known.contains(text.as_ref()) || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        if let Some(own) = text.strip_prefix(FROM_INBOX) {
            warn!(name = own, "a file of the drop folder lost its row and goes back");
            put_back(inbox, Path::new(own), &entry.path())?;
        } else {
            debug!(name = %text, "a part file without a row is removed");
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Moves a file into the drop folder under its name, or the next free one. Returns where it lies, below the folder.
///
/// # Errors
/// Those of the disk; the file then still lies where it was.
/// # Blocks
/// As long as the disk takes.
pub(in crate::intake) fn put_back(inbox: &Path, name: &Path, from: &Path) -> Result<PathBuf> {
    let folder = name.parent().unwrap_or(Path::new(""));
    fs::create_dir_all(inbox.join(folder))
        .map_err(|error| Error::io("make a folder in the drop folder", error))?;
    let stem = name.file_stem().unwrap_or_default();
    for number in 1..MOST_NAMESAKES {
        let mut file = stem.to_owned();
        if number > 1 {
            file.push(format!(" ({number})"));
        }
        if let Some(extension) = name.extension() {
            file.push(".");
            file.push(extension);
        }
        let back = folder.join(file);
        if move_new(from, &inbox.join(&back))? {
            return Ok(back);
        }
    }
    Err(Error::new(Kind::Internal, format!("find a name for {} in the drop folder", name.display())))
}

/// Runs file work off the tasks' threads.
///
/// # Errors
/// Those of the work; `Internal` when it panics.
pub(in crate::intake) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::with(Kind::Internal, "work on a file", error))?
}

/// Returns the folder of part files; the look at the disk is done off the tasks' threads.
///
/// # Errors
/// `Offline`.
pub(in crate::intake) async fn staging_dir(library: &Library) -> Result<PathBuf> {
    let library = library.clone();
    blocking(move || library.staging_dir()).await
}

/// Makes sure that the disk has room for a file and a reserve.
///
/// # Errors
/// `Full` with the bytes needed, `Offline`.
pub(in crate::intake) async fn room_for(library: &Library, size: ByteCount) -> Result<()> {
    let library = library.clone();
    blocking(move || library.make_room(size)).await
}

fn too_large() -> Error {
    Error::new(Kind::Unsupported, format!("files above {} are not taken", ByteCount(LARGEST_FILE)))
}

/// Returns whether a sender knows how to go on with a row: it has the name of an upload.
fn is_upload(row: &JournalRow) -> bool {
    row.etag.as_deref().is_some_and(|tag| tag.starts_with(UPLOAD))
}

/// Returns whether all bytes of an upload are here, and none waits for the word that it is right.
fn is_whole_upload(row: &JournalRow, here: ByteCount) -> bool {
    let counts = row.etag.as_deref().and_then(|tag| tag.strip_prefix(UPLOAD));
    counts.is_some_and(|tag| !tag.contains(':')) && row.size == Some(here)
}

/// Gives up the uploads of earlier runs that nobody went on with for a day; `open` are the tags of those that are known.
pub(in crate::intake) async fn give_up_uploads(inner: &Arc<Inner>, open: &HashSet<String>) -> Result<()> {
    let now = UnixTime::now().0;
    for mut row in inner.library.journal_open().await? {
        let tag = row.etag.as_deref().unwrap_or_default();
        let is_old = row.stage == Stage::Offered && now - row.at.0 > UPLOAD_WAITS;
        if !is_upload(&row) || !is_old || open.iter().any(|open| tag.starts_with(open.as_str())) {
            continue;
        }
        let Ok(_held) = Held::new(inner.clone(), row.id) else { continue };
        let part = staging_dir(&inner.library).await?.join(row.part.as_deref().unwrap_or_default());
        let reason = "its sender did not come back with the rest".to_owned();
        inner.end(&mut row, Verdict::Refused { code: "gone".into(), reason }, ByteCount(0)).await?;
        blocking(move || remove(&part)).await?;
    }
    Ok(())
}

/// Returns the seconds for which what broke off is waited for.
fn longest_wait(row: &JournalRow) -> i64 {
    if is_upload(row) { UPLOAD_WAITS } else { LONGEST_WAIT }
}

/// The tag of a row that comes in pieces begins so; behind it stands what its sender calls it, hashed.
pub(in crate::intake) const UPLOAD: &str = "upload:";
/// Seconds for which an upload is waited for after its last piece: a day.
pub(in crate::intake) const UPLOAD_WAITS: i64 = 24 * 3600;
/// Seconds after which what broke off is given up: 30 days.
const LONGEST_WAIT: i64 = 30 * 24 * 3600;
/// Above anything that is sold as one track.
pub const LARGEST_FILE: u64 = 8 << 30;
/// What is longer and does not say how long is a station, not a song.
const LARGEST_UNANNOUNCED: u64 = 1 << 30;
/// Bytes between two looks at the room.
const ROOM_STEP: u64 = 16 << 20;
/// Seconds for which the time in a row is good enough.
const ROW_FRESH: i64 = 600;
/// Bytes after which a transfer is worth a row that knows its tag.
const ROW_AFTER: u64 = 8 << 20;
const MOST_NAMESAKES: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_goes_back_under_the_next_free_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let inbox = folder.path().join("Inbox");
        let from = folder.path().join("part");
        for want in ["a/b.wav", "a/b (2).wav"] {
            fs::write(&from, want).expect("written");
            let back = put_back(&inbox, Path::new("a/b.wav"), &from).expect("moved");
            assert_eq!(back, Path::new(want));
            assert_eq!(fs::read_to_string(inbox.join(back)).expect("there"), want);
        }
    }

    #[test]
    fn what_no_row_knows_is_removed_unless_it_is_the_owners_only_copy() {
        let folder = tempfile::tempdir().expect("a folder");
        let (staging, inbox) = (folder.path().join("staging"), folder.path().join("Inbox"));
        fs::create_dir_all(&staging).expect("made");
        for name in ["known.wav", "stray.wav", "inbox-x.wav"] {
            fs::write(staging.join(name), name).expect("written");
        }
        clean(&staging, &inbox, &HashSet::from(["known.wav".to_owned()])).expect("cleaned");
        assert!(staging.join("known.wav").exists());
        assert_eq!(fs::read_dir(&staging).expect("there").count(), 1);
        assert!(inbox.join("x.wav").exists());
    }
}
