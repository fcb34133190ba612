//! Files that come in pieces: each has a name that nobody guesses, goes on where it broke off, also after a restart, and is
//! given up a day after its last piece. What is here lies in staging under its row of the journal; only the hash of the name
//! is kept.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::error::{Error, Kind, Result};
use crate::intake::append::{Sum, Tail};
use crate::intake::door::{Delivery, Offered, Refusal};
use crate::intake::staging::{self, Part, UPLOAD, UPLOAD_WAITS, blocking};
use crate::intake::{Inner, Intake};
use crate::library::JournalRow;
use crate::offer::push::{Sender, Sent};
use crate::offer::{Caller, Key, OfferId, Right, Stage, Verdict, Via};
use crate::units::{ByteCount, UnixTime};

/// The files that come in pieces. Cheap to clone; whoever serves them keeps it.
#[derive(Debug, Clone)]
pub struct Uploads {
    intake: Intake,
    open: Arc<Mutex<HashMap<String, Arc<Entry>>>>,
    /// One at a time looks into the journal for what an earlier run began.
    looking: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Entry {
    tag: String,
    size: u64,
    /// `None`: nothing more is expected, for it is here.
    coming: Option<Coming>,
    ended: AtomicBool,
    /// The shelf had it before it was begun.
    known: bool,
    /// When the last piece came.
    touched: Mutex<UnixTime>,
    /// Ends the one who writes.
    turn: Mutex<CancellationToken>,
    writing: Arc<tokio::sync::Mutex<()>>,
    /// What the piece before left to the disk.
    tail: Mutex<Tail>,
}

#[derive(Debug)]
struct Coming {
    delivery: Delivery,
    row: Mutex<JournalRow>,
}

/// What was begun.
#[derive(Debug)]
pub struct Begun {
    /// By what its sender calls it from now on; 128 random bits, lower-case hex.
    pub name: String,
    /// The file.
    pub upload: Upload,
    /// The shelf has it: nothing needs to be sent.
    pub known: bool,
}

/// One file that comes in pieces.
#[derive(Debug, Clone)]
pub struct Upload {
    inner: Arc<Inner>,
    entry: Arc<Entry>,
}

/// Whether what a piece brings counts at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Every byte, as it comes.
    AtOnce,
    /// All or nothing, when the piece is said to be right: its sum is known only at the end.
    WhenRight,
}

/// A piece that comes in. Dropped, what of it lies on the disk counts, unless it counts only when right.
#[derive(Debug)]
pub struct Piece {
    upload: Upload,
    /// Gone once it ended.
    part: Option<Part>,
    from: u64,
    counts: Counts,
    turn: CancellationToken,
    _writing: tokio::sync::OwnedMutexGuard<()>,
}

impl Uploads {
    /// Returns the uploads of a box.
    pub fn new(intake: Intake) -> Uploads {
        Uploads { intake, open: Arc::default(), looking: Arc::default() }
    }

    /// Begins a file. One that the shelf has is whole at once.
    ///
    /// # Errors
    /// The refusal; a file that is no music by its name is `Unfit`.
    pub async fn begin(
        &self,
        sender: Sender,
        file: Sent,
        pin: Option<&str>,
    ) -> std::result::Result<Begun, Refusal> {
        self.give_up_old().await?;
        if self.entries().values().filter(|entry| !entry.has_ended()).count() >= MOST_OPEN {
            return Err(Refusal::Busy("too many files are on their way".into()));
        }
        let name = uuid::Uuid::new_v4().simple().to_string();
        let (tag, size, what) = (tag_of(&name), file.size.0, file.name.clone());
        let delivery = self.intake.offer_next(sender, file, pin).await?;
        let known = delivery.known() > 0;
        let coming = if known {
            None
        } else if delivery.accepted().is_empty() {
            return Err(Refusal::Unfit(format!("{what} is no music")));
        } else {
            let mut part = delivery.part(0, Some(tag.clone())).await?;
            part.flush().await?;
            let row = part.row().clone();
            Some(Coming { delivery, row: Mutex::new(row) })
        };
        let upload = self.keep(&name, Entry { known, ..Entry::new(tag, size, coming) });
        if size == 0 && !known {
            upload.append(0, Counts::AtOnce).await?.end().await?;
        }
        Ok(Begun { name, upload, known })
    }

    /// Finds a file by the name it got.
    ///
    /// # Errors
    /// `NotFound`, and those of the database.
    pub async fn find(&self, name: &str) -> Result<Upload> {
        let gone = || Error::new(Kind::NotFound, "this upload is not known here, or was given up");
        if name.len() > LONGEST_NAME {
            return Err(gone());
        }
        let tag = tag_of(name);
        if let Some(entry) = self.here(&tag) {
            return Ok(entry);
        }
        let _one = self.looking.lock().await;
        if let Some(entry) = self.here(&tag) {
            return Ok(entry);
        }
        let library = &self.intake.inner.library;
        let is_it = |row: &JournalRow| row.etag.as_deref().is_some_and(|etag| tag_in(etag) == tag);
        let open = library.journal_open().await?.into_iter().find(is_it);
        let row = match open {
            Some(row) => Some(row),
            None => library.journal_recent(ROWS_LOOKED_AT).await?.into_iter().find(is_it),
        };
        let row = row.ok_or_else(gone)?;
        if row.stage == Stage::Offered {
            let size = row.size.ok_or_else(gone)?.0;
            info!(name = row.provenance.original_name, "an upload goes on after a restart");
            let coming = self.take_up(row, size).await?;
            return Ok(self.keep(name, Entry::new(tag, size, Some(coming))));
        }
        let never_came = matches!(&row.verdict, Some(Verdict::Refused { code, .. }) if code == "gone");
        if never_came {
            return Err(gone());
        }
        Ok(self.keep(name, Entry::new(tag, row.size.unwrap_or_default().0, None)))
    }

    /// Counts a file of an earlier run again: who may send was decided then.
    async fn take_up(&self, row: JournalRow, size: u64) -> Result<Coming> {
        let inner = self.intake.inner.clone();
        let identity = row.provenance.device.clone();
        let key = identity.strip_prefix("cookie:").map(|hash| Key::Cookie(hash.to_owned()));
        let caller = self.intake.who(key.clone(), Via::Itself).await;
        let wish = match caller.device {
            Some(device) => inner.library.on_arrival(device).await?,
            None => None,
        };
        let address: IpAddr = identity
            .strip_prefix("addr:")
            .and_then(|address| address.parse().ok())
            .unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let mime = row.item.as_ref().map(|item| item.mime.clone()).unwrap_or_default();
        let file = Sent { name: row.provenance.remote.clone(), size: ByteCount(size), mime, sha256: None };
        let sender = Sender { way: WAY, key, name: row.provenance.device_name.clone(), address };
        let offered = Offered {
            sender,
            identity,
            caller: Caller { right: caller.right.max(Right::Room), ..caller },
            files: vec![file],
            wanted: vec![0],
            known: Vec::new(),
            bytes: ByteCount(size),
            joins: true,
        };
        let wish = wish.unwrap_or(inner.door.on_arrival);
        let delivery = Delivery::again(inner, offered, row.id, wish);
        Ok(Coming { delivery, row: Mutex::new(row) })
    }

    fn keep(&self, name: &str, entry: Entry) -> Upload {
        let entry = Arc::new(entry);
        self.entries().insert(tag_of(name), entry.clone());
        Upload { inner: self.intake.inner.clone(), entry }
    }

    fn here(&self, tag: &str) -> Option<Upload> {
        let entry = self.entries().get(tag).cloned()?;
        if entry.coming.is_some() && entry.ended.load(Ordering::Acquire) && !entry.is_whole() {
            return None;
        }
        Some(Upload { inner: self.intake.inner.clone(), entry })
    }

    /// Gives up what nobody went on with for a day, and forgets what ended long ago.
    async fn give_up_old(&self) -> Result<()> {
        let now = UnixTime::now().0;
        let old: Vec<(String, Arc<Entry>)> = {
            let mut entries = self.entries();
            entries.retain(|_, entry| !entry.has_ended() || now - entry.touched().0 < ENDED_KEPT);
            let old = entries.iter().filter(|(_, entry)| now - entry.touched().0 > UPLOAD_WAITS);
            old.map(|(tag, entry)| (tag.clone(), entry.clone())).collect()
        };
        for (tag, entry) in old {
            debug!("an upload is given up");
            Upload { inner: self.intake.inner.clone(), entry }
                .give_up("its sender did not come back")
                .await?;
            self.entries().remove(&tag);
        }
        Ok(())
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<String, Arc<Entry>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn new(tag: String, size: u64, coming: Option<Coming>) -> Entry {
        Entry {
            tag,
            size,
            ended: AtomicBool::new(coming.is_none()),
            coming,
            known: false,
            touched: Mutex::new(UnixTime::now()),
            turn: Mutex::default(),
            writing: Arc::default(),
            tail: Mutex::default(),
        }
    }

    fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// It ended with all its bytes.
    fn is_whole(&self) -> bool {
        let row = |coming: &Coming| coming.row.lock().unwrap_or_else(PoisonError::into_inner).stage;
        self.has_ended() && self.coming.as_ref().is_none_or(|coming| row(coming) != Stage::Refused)
    }

    fn touched(&self) -> UnixTime {
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn touch(&self) {
        *self.touched.lock().unwrap_or_else(PoisonError::into_inner) = UnixTime::now();
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the one who writes, and makes the caller the one.
    fn take_turn(&self) -> CancellationToken {
        let mine = CancellationToken::new();
        let mut turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *turn, mine.clone()).cancel();
        mine
    }
}

impl Upload {
    /// Returns the bytes of the whole file.
    pub fn size(&self) -> u64 {
        self.entry.size
    }

    /// Returns when it is given up; `None` once it is here.
    pub fn expires(&self) -> Option<UnixTime> {
        (!self.entry.has_ended()).then(|| UnixTime(self.entry.touched().0 + UPLOAD_WAITS))
    }

    /// Returns whether the shelf had it before it was begun.
    pub fn is_known(&self) -> bool {
        self.entry.known
    }

    /// Returns whether nothing more is expected.
    pub fn is_whole(&self) -> bool {
        self.entry.is_whole()
    }

    /// Returns the journal's number of the file; `None` when an earlier run or another file brought it.
    pub fn id(&self) -> Option<OfferId> {
        self.entry.coming.as_ref().map(|coming| self.row(coming).id)
    }

    /// Returns how many bytes count: where to go on. Ends a piece that still comes, for its sender asks anew.
    ///
    /// # Errors
    /// `NotFound` when it was given up, `Busy`, `Offline`, and those of the disk.
    pub async fn offset(&self) -> Result<u64> {
        if self.entry.is_whole() {
            return Ok(self.entry.size);
        }
        let _turn = self.entry.take_turn();
        let _writing = self.entry.writing.clone().lock_owned().await;
        if self.entry.is_whole() {
            return Ok(self.entry.size);
        }
        let row = self.row(self.coming()?).clone();
        self.at_rest(row.id).await?;
        let path =
            staging::staging_dir(&self.inner.library).await?.join(row.part.as_deref().unwrap_or_default());
        let here = blocking(move || Ok(std::fs::metadata(&path).map_or(0, |found| found.len()))).await?;
        Ok(here.min(counted(&row).unwrap_or(u64::MAX)))
    }

    /// Opens the way in for a piece that begins at a place. One that still comes is ended, for its sender begins anew.
    ///
    /// # Errors
    /// `Invalid` when it does not begin where the bytes end, `NotFound` when it was given up, `Busy`, `Full`, `Offline`,
    /// `Stopped`, and those of the disk and the database.
    pub async fn append(&self, at: u64, counts: Counts) -> Result<Piece> {
        if self.inner.stop.is_cancelled() {
            return Err(Error::new(Kind::Stopped, "konpo is stopping"));
        }
        let turn = self.entry.take_turn();
        let writing = self.entry.writing.clone().lock_owned().await;
        let row = self.row(self.coming()?).clone();
        if self.entry.has_ended() {
            return Err(Error::new(Kind::Invalid, "the file is here already"));
        }
        self.at_rest(row.id).await?;
        let item =
            row.item.clone().ok_or_else(|| Error::new(Kind::Internal, "an upload without its item"))?;
        let counted = counted(&row);
        let mut part = Part::again(self.inner.clone(), row, item).await?;
        part.follow(std::mem::take(&mut *self.entry.tail()));
        if let Some(counted) = counted {
            part.cut(counted).await?;
        }
        if part.offset() != at {
            let words = format!("{} bytes are here, and this begins at {at}", part.offset());
            return Err(Error::new(Kind::Invalid, words));
        }
        let tag = match counts {
            Counts::AtOnce => self.entry.tag.clone(),
            Counts::WhenRight => format!("{}:{at}", self.entry.tag),
        };
        part.begin(Some(self.entry.size), Some(tag.clone())).await?;
        if counted.is_some() || counts == Counts::WhenRight {
            part.tag(tag).await?;
            self.note(&part);
        }
        self.entry.touch();
        Ok(Piece { upload: self.clone(), part: Some(part), from: at, counts, turn, _writing: writing })
    }

    /// Gives it up: what is here goes.
    ///
    /// # Errors
    /// `NotFound` when it was given up before or is whole, and those of the disk and the database.
    pub async fn cancel(&self) -> Result<()> {
        if self.entry.has_ended() {
            return Err(Error::new(Kind::NotFound, "nothing more of this is on its way"));
        }
        self.give_up("its sender took it back").await
    }

    async fn give_up(&self, why: &str) -> Result<()> {
        let Some(coming) = &self.entry.coming else { return Ok(()) };
        let _turn = self.entry.take_turn();
        let _writing = self.entry.writing.clone().lock_owned().await;
        if self.entry.has_ended() {
            return Ok(());
        }
        let row = self.row(coming).clone();
        self.at_rest(row.id).await?;
        let item =
            row.item.clone().ok_or_else(|| Error::new(Kind::Internal, "an upload without its item"))?;
        Part::again(self.inner.clone(), row, item).await?.refuse("gone", why).await?;
        self.over(coming, Stage::Refused);
        Ok(())
    }

    fn over(&self, coming: &Coming, stage: Stage) {
        self.row(coming).stage = stage;
        self.entry.ended.store(true, Ordering::Release);
        self.entry.touch();
        coming.delivery.settled(0);
    }

    /// Waits until the last write of a piece that was dropped is over.
    async fn at_rest(&self, id: OfferId) -> Result<()> {
        for _ in 0..AT_REST_TRIES {
            if !self.inner.held().contains(&id) {
                return Ok(());
            }
            tokio::time::sleep(AT_REST_STEP).await;
        }
        Err(Error::new(Kind::Busy, "the piece before is still being written"))
    }

    fn coming(&self) -> Result<&Coming> {
        let gone = || Error::new(Kind::NotFound, "this upload was given up");
        let coming = self
            .entry
            .coming
            .as_ref()
            .ok_or_else(|| Error::new(Kind::Invalid, "the file is here already"))?;
        if self.row(coming).stage == Stage::Refused { Err(gone()) } else { Ok(coming) }
    }

    fn row<'a>(&self, coming: &'a Coming) -> MutexGuard<'a, JournalRow> {
        coming.row.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the row as the part has it.
    fn note(&self, part: &Part) {
        if let Some(coming) = &self.entry.coming {
            *self.row(coming) = part.row().clone();
        }
    }
}

impl Piece {
    /// Returns what falls when its sender begins anew: the piece is to be ended then.
    pub fn taken_over(&self) -> CancellationToken {
        self.turn.clone()
    }

    /// Returns how many bytes are still to come.
    pub fn room(&self) -> u64 {
        let here = self.part.as_ref().map_or(self.upload.entry.size, Part::offset);
        self.upload.entry.size.saturating_sub(here)
    }

    /// Begins a sum of this piece, before its first byte.
    pub fn begin_sum(&mut self, sum: Sum) {
        self.part.iter_mut().for_each(|part| part.begin_sum(sum));
    }

    /// Ends the sum of what came; empty when none was begun.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn end_sum(&mut self) -> Result<Vec<u8>> {
        self.part.as_mut().ok_or_else(ended)?.end_sum().await
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// `Damaged` when more comes than was stated, `NotAllowed` when somebody took it back, `Stopped`, `Full`, `Offline`, and
    /// those of the disk.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let inner = &self.upload.inner;
        if inner.stop.is_cancelled() {
            return Err(Error::new(Kind::Stopped, "konpo is stopping"));
        }
        let part = self.part.as_mut().ok_or_else(ended)?;
        if inner.door.desk().beams.is_undone(part.id()) {
            return Err(Error::new(Kind::NotAllowed, "somebody took this back"));
        }
        part.write(bytes).await
    }

    /// Ends the piece as right: its bytes count. With the last byte the file is made durable and goes to the shelf. Returns
    /// how many bytes are here.
    ///
    /// # Errors
    /// Those of the disk and the database.
    pub async fn end(mut self) -> Result<u64> {
        let part = self.part.as_mut().ok_or_else(ended)?;
        if self.counts == Counts::WhenRight {
            // Its bytes first, then the word that they count.
            part.flush().await?;
            part.tag(self.upload.entry.tag.clone()).await?;
        }
        let here = part.offset();
        if here < self.upload.entry.size {
            part.flush().await?;
            self.upload.note(part);
            self.upload.entry.touch();
            return Ok(here);
        }
        self.upload.note(part);
        self.part.take().ok_or_else(ended)?.finish().await?;
        if let Some(coming) = &self.upload.entry.coming {
            coming.delivery.received();
            self.upload.over(coming, Stage::Staged);
        }
        Ok(here)
    }

    /// Ends the piece where it broke off. What counts at once stays; the rest is taken back. Returns how many bytes count.
    ///
    /// # Errors
    /// Those of the disk and the database.
    pub async fn break_off(mut self) -> Result<u64> {
        let part = self.part.as_mut().ok_or_else(ended)?;
        match self.counts {
            Counts::AtOnce => part.flush().await?,
            Counts::WhenRight => {
                part.cut(self.from).await?;
                part.tag(self.upload.entry.tag.clone()).await?;
            }
        }
        self.upload.note(part);
        self.upload.entry.touch();
        Ok(part.offset())
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        if let Some(part) = &mut self.part {
            *self.upload.entry.tail() = part.left_over();
        }
    }
}

fn ended() -> Error {
    Error::new(Kind::Internal, "this piece ended already")
}

/// The tag of a row: only a hash of the name, for the name is a key.
fn tag_of(name: &str) -> String {
    format!("{UPLOAD}{}", blake3::hash(name.as_bytes()).to_hex())
}

/// Returns the tag without what counts.
fn tag_in(etag: &str) -> &str {
    let rest = etag.strip_prefix(UPLOAD).unwrap_or(etag);
    let length = rest.find(':').map_or(etag.len(), |at| UPLOAD.len() + at);
    if etag.starts_with(UPLOAD) { &etag[..length] } else { etag }
}

/// Returns how many bytes count, where that was written down because a piece was to be right first.
fn counted(row: &JournalRow) -> Option<u64> {
    let etag = row.etag.as_deref()?.strip_prefix(UPLOAD)?;
    etag.split_once(':')?.1.parse().ok()
}

/// The way as the ledger names it, of what an earlier run began.
const WAY: &str = "page";
/// Files that are on their way at once.
const MOST_OPEN: usize = 2000;
const LONGEST_NAME: usize = 64;
/// Rows of the journal that are looked through for a file that came in whole before a restart.
const ROWS_LOOKED_AT: u32 = 2000;
/// Seconds for which the names of whole files are kept in memory.
const ENDED_KEPT: i64 = 3600;
const AT_REST_TRIES: u32 = 500;
const AT_REST_STEP: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
