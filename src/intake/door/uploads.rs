//! Files that come in pieces: each has a name that nobody guesses, goes on where it broke off, also after a restart, and is
//! given up a day after its last piece. What is here lies in staging under its row of the journal; only the hash of the name
//! is kept.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::error::{Error, Kind, Result};
use crate::intake::append::{Sum, Tail};
use crate::intake::door::{Delivery, InAll, Offered, Refusal, identity};
use crate::intake::noted::Noted;
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
    table: Arc<Table>,
    /// One at a time looks into the journal for what an earlier run began.
    looking: Arc<tokio::sync::Mutex<()>>,
}

/// The files that came or come in pieces, by their tags.
#[derive(Debug, Default)]
pub(in crate::intake) struct Table {
    open: Mutex<HashMap<String, Arc<Entry>>>,
    /// The tags that only the journal knows: of earlier runs, and of what ended long ago. `None`: nobody asked yet.
    before: Mutex<Option<HashSet<String>>>,
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
    writing: Option<tokio::sync::OwnedMutexGuard<()>>,
}

impl Uploads {
    /// Returns the uploads of a box.
    pub fn new(intake: Intake) -> Uploads {
        let table = Arc::new(Table::default());
        let mut known = intake.inner.door.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Arc::downgrade(&table);
        drop(known);
        Uploads { intake, table, looking: Arc::default() }
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
        self.begin_one_of(sender, file, None, pin).await
    }

    /// As [`Uploads::begin`], of a sender that says what it brings in all: a question is for that.
    ///
    /// # Errors
    /// As [`Uploads::begin`].
    pub async fn begin_one_of(
        &self,
        sender: Sender,
        file: Sent,
        in_all: Option<InAll>,
        pin: Option<&str>,
    ) -> std::result::Result<Begun, Refusal> {
        tend(&self.intake.inner, false).await?;
        self.may_begin(&identity(&sender))?;
        let name = uuid::Uuid::new_v4().simple().to_string();
        let (tag, size, what) = (tag_of(&name), file.size.0, file.name.clone());
        let delivery = self.intake.offer_one_of(sender, file, in_all, pin).await?;
        let known = delivery.known() > 0;
        let coming = if known {
            None
        } else if delivery.accepted().is_empty() {
            return Err(Refusal::Unfit(format!("{what} is no music")));
        } else {
            let row = delivery.lay(0, tag.clone()).await?;
            Some(Coming { delivery, row: Mutex::new(row) })
        };
        let upload = self.keep(&name, Entry { known, ..Entry::new(tag, size, coming) });
        if size == 0 && !known {
            upload.append(0, Counts::AtOnce).await?.end().await?;
        }
        Ok(Begun { name, upload, known })
    }

    /// Makes sure that neither all senders nor one of them has too many files open.
    fn may_begin(&self, identity: &str) -> std::result::Result<(), Refusal> {
        let entries = self.table.entries();
        let open = || entries.values().filter(|entry| !entry.has_ended());
        let own = |entry: &&Arc<Entry>| {
            entry.coming.as_ref().is_some_and(|coming| coming.delivery.identity() == identity)
        };
        if open().count() >= MOST_OPEN || open().filter(own).count() >= MOST_OF_ONE {
            return Err(Refusal::Busy("too many files are on their way".into()));
        }
        Ok(())
    }

    /// Finds a file by the name it got.
    ///
    /// # Errors
    /// `NotFound`, and those of the database.
    pub async fn find(&self, name: &str) -> Result<Upload> {
        let gone = || Error::new(Kind::NotFound, "this upload is not known here, or was given up");
        if name.len() != NAME_LENGTH || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(gone());
        }
        let tag = tag_of(name);
        if let Some(entry) = self.here(&tag) {
            return Ok(entry);
        }
        // Whoever guesses names costs a look at what is in memory.
        if self.table.before().as_ref().is_some_and(|before| !before.contains(&tag)) {
            return Err(gone());
        }
        let _one = self.looking.lock().await;
        if let Some(entry) = self.here(&tag) {
            return Ok(entry);
        }
        let library = &self.intake.inner.library;
        let mut rows = library.journal_open().await?;
        rows.extend(library.journal_recent(ROWS_LOOKED_AT).await?);
        let tags = rows.iter().filter_map(|row| row.etag.as_deref()).filter(|etag| etag.starts_with(UPLOAD));
        *self.table.before() = Some(tags.map(|etag| tag_in(etag).to_owned()).collect());
        let row = rows.into_iter().find(|row| row.etag.as_deref().is_some_and(|etag| tag_in(etag) == tag));
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
    async fn take_up(&self, mut row: JournalRow, size: u64) -> Result<Coming> {
        let inner = self.intake.inner.clone();
        let identity = row.provenance.device.clone();
        let key = identity.strip_prefix("cookie:").map(|hash| Key::Cookie(hash.to_owned()));
        let caller = self.intake.who(key.clone(), Via::Itself).await;
        let wish = match caller.device {
            Some(device) => inner.library.on_arrival(device).await?,
            None => None,
        };
        let counted = Noted::of(&row).counted;
        let address: IpAddr = [&counted, &identity]
            .into_iter()
            .find_map(|known| known.strip_prefix("addr:"))
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
            left_out: Vec::new(),
            bytes: ByteCount(size),
            joins: true,
        };
        let wish = wish.unwrap_or(inner.door.rules().1);
        let delivery = Delivery::again(inner, offered, row.id, wish);
        row.facts = delivery.noted();
        Ok(Coming { delivery, row: Mutex::new(row) })
    }

    fn keep(&self, name: &str, entry: Entry) -> Upload {
        let entry = Arc::new(entry);
        self.table.entries().insert(tag_of(name), entry.clone());
        Upload { inner: self.intake.inner.clone(), entry }
    }

    fn here(&self, tag: &str) -> Option<Upload> {
        let entry = self.table.entries().get(tag).cloned()?;
        if entry.coming.is_some() && entry.ended.load(Ordering::Acquire) && !entry.is_whole() {
            return None;
        }
        Some(Upload { inner: self.intake.inner.clone(), entry })
    }
}

impl Table {
    fn entries(&self) -> MutexGuard<'_, HashMap<String, Arc<Entry>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn before(&self) -> MutexGuard<'_, Option<HashSet<String>>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what ended long ago; the journal still knows it.
    fn forget(&self, now: i64) {
        let mut before = self.before();
        self.entries().retain(|tag, entry| {
            let stays = !entry.has_ended() || now - entry.touched().0 < ENDED_KEPT;
            if let Some(before) = before.as_mut().filter(|before| !stays && before.len() < MOST_BEFORE) {
                before.insert(tag.clone());
            }
            stays
        });
    }

    /// Returns those that nobody writes and nobody went on with for so many seconds.
    fn idle(&self, now: i64, since: i64) -> Vec<(String, Arc<Entry>)> {
        let entries = self.entries();
        let idle = entries.iter().filter(|(_, entry)| {
            !entry.has_ended() && now - entry.touched().0 > since && entry.writing.try_lock().is_ok()
        });
        idle.map(|(tag, entry)| (tag.clone(), entry.clone())).collect()
    }
}

/// Keeps no more room for what has not gone on for minutes, gives up what has not for a day, forgets what ended long ago;
/// with `older`, also looks for what only the journal knows.
///
/// # Errors
/// Those of the disk and the database.
pub(in crate::intake) async fn tend(inner: &Arc<Inner>, older: bool) -> Result<()> {
    let table = inner.door.uploads.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
    let now = UnixTime::now().0;
    let mut open = HashSet::new();
    if let Some(table) = table {
        table.forget(now);
        for (_, entry) in table.idle(now, PROMISED_FOR) {
            entry.coming.iter().for_each(|coming| coming.delivery.let_go());
        }
        for (tag, entry) in table.idle(now, UPLOAD_WAITS) {
            debug!("an upload is given up");
            let upload = Upload { inner: inner.clone(), entry };
            upload.give_up("its sender did not come back").await?;
            table.entries().remove(&tag);
        }
        open.extend(table.entries().keys().cloned());
    }
    if older { staging::give_up_uploads(inner, &open).await } else { Ok(()) }
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
        let writing = self.entry.writing.clone().lock_owned().await;
        if self.entry.is_whole() {
            return Ok(self.entry.size);
        }
        let row = self.row(self.coming()?).clone();
        self.at_rest(row.id).await?;
        let path =
            staging::staging_dir(&self.inner.library).await?.join(row.part.as_deref().unwrap_or_default());
        let here = blocking(move || Ok(std::fs::metadata(&path).map_or(0, |found| found.len()))).await?;
        let here = here.min(counted(&row).unwrap_or(u64::MAX));
        if here == self.entry.size {
            // Whoever hears that all is here forgets it: its end did not get through, and is made up for first.
            drop(writing);
            return match self.append(here, Counts::AtOnce).await {
                Ok(piece) => piece.end().await,
                Err(_) if self.entry.is_whole() => Ok(here),
                Err(error) => Err(error),
            };
        }
        Ok(here)
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
        Ok(Piece { upload: self.clone(), part: Some(part), from: at, counts, turn, writing: Some(writing) })
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
        let here = part.offset() + bytes.len() as u64;
        self.upload.entry.coming.iter().for_each(|coming| coming.delivery.came(0, here));
        part.write(bytes).await
    }

    /// Ends the piece as right: its bytes count. With the last byte the file is made durable and goes to the shelf. Returns
    /// how many bytes are here.
    ///
    /// # Errors
    /// Those of the disk and the database.
    ///
    /// # Cancel
    /// With the last byte here it ends all the same: its sender may be gone.
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
        let (upload, part, writing) =
            (self.upload.clone(), self.part.take().ok_or_else(ended)?, self.writing.take());
        let ending = upload.inner.door.tasks.clone().spawn(async move {
            part.finish().await?;
            if let Some(coming) = &upload.entry.coming {
                coming.delivery.received();
                upload.over(coming, Stage::Staged);
            }
            drop(writing);
            Ok(here)
        });
        ending.await.map_err(|error| Error::with(Kind::Internal, "end an upload", error))?
    }

    /// Ends the piece where it broke off. What counts at once stays; the rest is taken back. Returns how many bytes count.
    ///
    /// # Errors
    /// Those of the disk and the database.
    pub async fn break_off(mut self) -> Result<u64> {
        if self.counts == Counts::WhenRight {
            return self.take_back().await;
        }
        let part = self.part.as_mut().ok_or_else(ended)?;
        part.flush().await?;
        self.upload.note(part);
        self.upload.entry.touch();
        Ok(part.offset())
    }

    /// Ends the piece as wrong: nothing of it counts. Returns how many bytes do.
    ///
    /// # Errors
    /// Those of the disk and the database.
    pub async fn take_back(mut self) -> Result<u64> {
        let part = self.part.as_mut().ok_or_else(ended)?;
        part.cut(self.from).await?;
        part.tag(self.upload.entry.tag.clone()).await?;
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
/// Of one sender: more than any client sends at once.
const MOST_OF_ONE: usize = 100;
/// Digits of a name.
const NAME_LENGTH: usize = 32;
/// Seconds for which room is kept for an upload of which nothing comes.
const PROMISED_FOR: i64 = 300;
/// Tags of what ended long ago that are kept in memory.
const MOST_BEFORE: usize = 20_000;
/// Rows of the journal that are looked through for a file that came in whole before a restart.
const ROWS_LOOKED_AT: u32 = 2000;
/// Seconds for which the names of whole files are kept in memory.
const ENDED_KEPT: i64 = 3600;
const AT_REST_TRIES: u32 = 500;
const AT_REST_STEP: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests;
