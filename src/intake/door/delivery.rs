//! The files of one sender on their way to staging: each counted, summed, made durable, and only then told to be received.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tracing::warn;

use crate::error::{Error, Kind, Result};
use crate::intake::Inner;
use crate::intake::append::Sum;
use crate::intake::door::beams::Begun;
use crate::intake::door::{MOST_NAMES, Offered, shown};
use crate::intake::names;
use crate::intake::noted::Noted;
use crate::intake::staging::Part;
use crate::library::JournalRow;
use crate::offer::push::{BeamId, OnArrival, Sent};
use crate::offer::{OfferId, Provenance, RemoteItem, Stage};
use crate::track::Sha256;
use crate::units::{ByteCount, UnixTime};

/// Room that is kept for bytes that are not here yet.
#[derive(Debug)]
struct Promise {
    /// Of all its files.
    bytes: AtomicU64,
    /// What came of each file, by its place in the offer; of one that is sent again, the most.
    came: Vec<AtomicU64>,
}

/// Files that may come. Dropped, nothing more comes of it; what is here stays.
#[derive(Debug)]
pub struct Delivery {
    inner: Arc<Inner>,
    beam: BeamId,
    offered: Offered,
    promise: Arc<Promise>,
    left: AtomicU64,
    /// Its first file's place in the beam.
    first: u32,
}

impl Delivery {
    /// Counts the offer and shows it.
    pub(in crate::intake) fn begin(inner: Arc<Inner>, offered: Offered, wish: OnArrival) -> Delivery {
        let (files, bytes) = (offered.wanted.len() as u64, offered.bytes);
        let names = offered.known.iter().map(|(index, _)| shown(&offered.files[*index].name));
        let left_out =
            offered.left_out.iter().map(|(index, why)| why.told(shown(&offered.files[*index].name)));
        let begun = Begun {
            from: shown(&offered.sender.name),
            identity: offered.counted(),
            way: offered.sender.way,
            device: offered.caller.device,
            wish,
            files,
            bytes,
            known: names.take(MOST_NAMES).collect(),
            known_count: offered.known.len() as u64,
            left_out: left_out.take(MOST_NAMES).collect(),
            left_out_count: offered.left_out.len() as u64,
        };
        let mut desk = inner.door.desk();
        let now = Instant::now();
        let joined = if offered.joins { desk.beams.join(&begun, now) } else { None };
        let beam = joined.unwrap_or_else(|| BeamId(desk.number()));
        desk.quotas.note(&offered.counted(), files, bytes, UnixTime::now());
        desk.promised = desk.promised.saturating_add(bytes.0);
        if files > 0 {
            desk.use_window(now);
        }
        if joined.is_none() {
            desk.beams.begin(beam, begun, now);
        }
        let first = desk.beams.places(beam, offered.files.len());
        // A song that is here already is what its sender wants to hear all the same.
        let known = &offered.known;
        let told: Vec<_> = known
            .iter()
            .filter_map(|&(index, track)| desk.beams.known(beam, first + index as u32, track))
            .collect();
        drop(desk);
        told.into_iter().for_each(|pushed| inner.door.tell(pushed));
        inner.show_door();
        let came = offered.files.iter().map(|_| AtomicU64::new(0)).collect();
        let promise = Arc::new(Promise { bytes: AtomicU64::new(bytes.0), came });
        Delivery { inner, beam, offered, promise, left: AtomicU64::new(files), first }
    }

    /// Returns its number.
    pub fn id(&self) -> BeamId {
        self.beam
    }

    /// Returns the places, in the offer, of the files to be sent; the others are not needed.
    pub fn accepted(&self) -> &[usize] {
        &self.offered.wanted
    }

    /// Returns how many files the shelf has already.
    pub fn known(&self) -> usize {
        self.offered.known.len()
    }

    /// Opens the way in for one of the accepted files, by its place in the offer.
    ///
    /// # Errors
    /// `Invalid` for a file that is not among them, `Full`, `Offline`, `Stopped`, and those of the disk and the database.
    pub async fn receive(&self, index: usize) -> Result<Incoming> {
        let file = self.file(index)?;
        let mut incoming = self.open(index, self.row(file)).await?;
        (incoming.size, incoming.wanted) = (Some(file.size.0), file.sha256);
        incoming.begin(file.size.0, None).await?;
        if let (Some(part), Some(_)) = (&mut incoming.part, file.sha256) {
            part.begin_sum(Sum::Sha256);
        }
        Ok(incoming)
    }

    /// Opens the way in for a file of which only the most is known: what the offer says is its bound.
    ///
    /// # Errors
    /// As [`Delivery::receive`].
    pub async fn receive_up_to(&self, index: usize) -> Result<Incoming> {
        let file = self.file(index)?;
        let mut row = self.row(file);
        row.size = None;
        if let Some(item) = &mut row.item {
            item.size = None;
        }
        let mut incoming = self.open(index, row).await?;
        if let Some(part) = &mut incoming.part {
            part.tells_its_end();
            part.at_most(file.size.0);
        }
        Ok(incoming)
    }

    /// Makes the row and the empty file of one that comes in pieces; the tag finds it again. Returns the row.
    pub(in crate::intake) async fn lay(&self, index: usize, tag: String) -> Result<JournalRow> {
        let file = self.file(index)?;
        let row = JournalRow { etag: Some(tag.clone()), ..self.row(file) };
        let mut incoming = self.open(index, row).await?;
        incoming.begin(file.size.0, Some(tag)).await?;
        // From here on its name finds it: it stays.
        let part = incoming.part.take();
        let ended = || Error::new(Kind::Internal, "this file ended already");
        part.map(|part| part.row().clone()).ok_or_else(ended)
    }

    /// Takes up a file of an earlier run, of which a part is here.
    pub(in crate::intake) fn again(
        inner: Arc<Inner>,
        offered: Offered,
        row: OfferId,
        wish: OnArrival,
    ) -> Delivery {
        let delivery = Delivery::begin(inner, offered, wish);
        let mut desk = delivery.inner.door.desk();
        desk.beams.row(row, delivery.beam, delivery.first);
        drop(desk);
        delivery
    }

    fn file(&self, index: usize) -> Result<&Sent> {
        let file = self.offered.files.get(index).filter(|_| self.offered.wanted.contains(&index));
        file.ok_or_else(|| Error::new(Kind::Invalid, "this file was not accepted"))
    }

    /// Makes the row and the empty file; both go when nobody takes what this returns.
    async fn open(&self, index: usize, row: JournalRow) -> Result<Incoming> {
        if self.inner.stop.is_cancelled() {
            return Err(Error::new(Kind::Stopped, "konpo is stopping"));
        }
        let (inner, promise, beam) = (self.inner.clone(), self.promise.clone(), self.beam);
        let place = self.first + index as u32;
        let opening = self.inner.door.tasks.spawn(async move {
            let part = Part::new(inner.clone(), row).await?;
            let id = part.id();
            inner.door.desk().beams.row(id, beam, place);
            let part = Some(part);
            Ok(Incoming { inner, beam, id, promise, index, size: None, wanted: None, here: 0, part })
        });
        opening.await.map_err(|error| Error::with(Kind::Internal, "open a part file", error))?
    }

    /// Notes that a file is safe here.
    pub(in crate::intake) fn received(&self) {
        let mut desk = self.inner.door.desk();
        desk.beams.received(self.beam, Instant::now());
        desk.use_window(Instant::now());
    }

    /// Notes that a file is here or will never be: its room is promised no more.
    pub fn settled(&self, index: usize) {
        let size = self.offered.files.get(index).map_or(0, |file| file.size.0);
        let given = self.promise.came(index, size);
        let left = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1));
        let mut desk = self.inner.door.desk();
        desk.promised = desk.promised.saturating_sub(given);
        if left == Ok(1) {
            desk.beams.ended(self.beam);
        }
        drop(desk);
        self.inner.show_door();
    }

    /// Keeps no room any more for what is missing: nothing comes. Whatever does come all the same is asked room for anew.
    pub(in crate::intake) fn let_go(&self) {
        let bytes = self.promise.bytes.swap(0, Ordering::AcqRel);
        let mut desk = self.inner.door.desk();
        desk.promised = desk.promised.saturating_sub(bytes);
    }

    /// Returns by what its sender is known again.
    pub(in crate::intake) fn identity(&self) -> &str {
        &self.offered.identity
    }

    /// Notes that so many bytes of a file are here: no room is kept for them any more.
    pub(in crate::intake) fn came(&self, index: usize, here: u64) {
        let given = self.promise.came(index, here);
        let mut desk = self.inner.door.desk();
        desk.promised = desk.promised.saturating_sub(given);
    }

    /// Notes that a file of which only the most was known is here, with so many bytes.
    pub fn settled_at(&self, index: usize, came: u64) {
        let most = self.offered.files.get(index).map_or(0, |file| file.size.0);
        let mut desk = self.inner.door.desk();
        let less = ByteCount(most.saturating_sub(came));
        desk.quotas.give_back(&self.offered.counted(), 0, less);
        desk.beams.less(self.beam, less);
        drop(desk);
        self.settled(index);
    }

    /// Returns what its rows note of it.
    pub(in crate::intake) fn noted(&self) -> String {
        Noted { counted: self.offered.counted(), beam: Some(self.beam), done: None }.to_facts()
    }

    fn row(&self, file: &Sent) -> JournalRow {
        let name = file.name.rsplit('/').next().unwrap_or_default();
        JournalRow {
            id: OfferId(0),
            stage: Stage::Offered,
            provenance: Provenance {
                way: self.offered.sender.way.to_owned(),
                device: self.offered.identity.clone(),
                device_name: shown(&self.offered.sender.name),
                original_name: name.to_owned(),
                remote: file.name.clone(),
            },
            part: Some(names::part_name(name)),
            size: Some(file.size),
            item: Some(RemoteItem {
                object_id: file.name.clone(),
                // Nothing can be fetched: what breaks off is sent anew.
                url: String::new(),
                size: Some(file.size),
                mime: file.mime.clone(),
                title: String::new(),
                artist: None,
                album: None,
                track: None,
                duration: None,
                views: Vec::new(),
            }),
            etag: None,
            verdict: None,
            facts: self.noted(),
            at: UnixTime::now(),
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let (bytes, files) =
            (self.promise.bytes.swap(0, Ordering::AcqRel), self.left.load(Ordering::Acquire));
        let mut desk = self.inner.door.desk();
        desk.promised = desk.promised.saturating_sub(bytes);
        desk.quotas.give_back(&self.offered.counted(), files, ByteCount(bytes));
        if files > 0 {
            desk.beams.ended(self.beam);
        }
        drop(desk);
        self.inner.show_door();
    }
}

impl Promise {
    /// Notes how much of a file is here. Returns how much less is to be kept for it.
    fn came(&self, index: usize, here: u64) -> u64 {
        let before = self.came.get(index).map_or(here, |came| came.fetch_max(here, Ordering::AcqRel));
        let more = here.saturating_sub(before);
        let take = |bytes: u64| Some(bytes.saturating_sub(more));
        let bytes = self.bytes.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).unwrap_or(0);
        bytes.min(more)
    }
}

/// How a file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// It is on the disk and in the journal.
    Safe,
    /// Its sum is another one: it may be sent again.
    WrongSum,
    /// More or fewer bytes came than were stated.
    WrongSize,
}

/// One file that comes in. Dropped before its end, what is here goes.
#[derive(Debug)]
pub struct Incoming {
    inner: Arc<Inner>,
    beam: BeamId,
    id: OfferId,
    promise: Arc<Promise>,
    /// Its place in the offer.
    index: usize,
    /// As stated; `None`: it ends where it ends.
    size: Option<u64>,
    wanted: Option<Sha256>,
    here: u64,
    /// Gone once it ended.
    part: Option<Part>,
}

impl Incoming {
    /// Returns the journal's number of it.
    pub fn id(&self) -> OfferId {
        self.id
    }

    /// Returns how many bytes came.
    pub fn here(&self) -> u64 {
        self.here
    }

    /// Takes bytes.
    ///
    /// # Errors
    /// `Damaged` when more comes than was stated, `Stopped`, `Full`, `Offline`, and those of the disk.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let stopped = || Error::new(Kind::Stopped, "this file ended already");
        if self.inner.stop.is_cancelled() {
            return Err(Error::new(Kind::Stopped, "konpo is stopping"));
        }
        let here = self.here + bytes.len() as u64;
        let given = self.promise.came(self.index, here);
        {
            let mut desk = self.inner.door.desk();
            desk.promised = desk.promised.saturating_sub(given);
            if desk.beams.is_undone(self.id) {
                return Err(Error::new(Kind::NotAllowed, "somebody took this back"));
            }
        }
        self.here = here;
        self.part.as_mut().ok_or_else(stopped)?.write(bytes).await
    }

    async fn begin(&mut self, size: u64, tag: Option<String>) -> Result<()> {
        let Some(part) = &mut self.part else { return Ok(()) };
        let Err(error) = part.begin(Some(size), tag).await else { return Ok(()) };
        if let Some(part) = self.part.take() {
            part.refuse("full", &error.to_string()).await?;
        }
        Err(error)
    }

    /// Ends the file: it is made durable and goes to the shelf.
    ///
    /// # Errors
    /// Those of the disk and the database.
    ///
    /// # Cancel
    /// It ends all the same: its sender may be gone, its bytes are here.
    pub async fn finish(self) -> Result<Finished> {
        let ending = self.inner.door.tasks.clone().spawn(self.end());
        ending.await.map_err(|error| Error::with(Kind::Internal, "end a file", error))?
    }

    async fn end(mut self) -> Result<Finished> {
        let Some(mut part) = self.part.take() else {
            return Err(Error::new(Kind::Internal, "this file ended already"));
        };
        if let Some(size) = self.size.filter(|&size| size != self.here) {
            let what = format!("{} of {size} bytes came", self.here);
            part.refuse("gone", &what).await?;
            return Ok(Finished::WrongSize);
        }
        if let Some(wanted) = self.wanted
            && part.end_sum().await? != wanted.0
        {
            part.refuse("gone", "its sum is not the one that was stated").await?;
            return Ok(Finished::WrongSum);
        }
        part.finish().await?;
        let mut desk = self.inner.door.desk();
        desk.beams.received(self.beam, Instant::now());
        desk.use_window(Instant::now());
        drop(desk);
        self.inner.show_door();
        Ok(Finished::Safe)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let Some(part) = self.part.take() else { return };
        let tidied = async move {
            if let Err(error) = part.refuse("gone", "its sender broke off").await {
                warn!(%error, "what broke off lies in the staging folder until the next start");
            }
        };
        // Without a runtime the next start tidies it away.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            self.inner.door.tasks.spawn_on(tidied, &runtime);
        }
    }
}
