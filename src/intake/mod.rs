//! The one door for bytes: from an item that a neighbour has, what a sender brings, or a file in the drop folder, to a track
//! on the shelf.
//! Everything is in the journal before it happens, so a power cut costs at most the bytes of one file. Knows no protocol:
//! `beam` brings the bytes, faces ask through a bounded channel.

pub mod append;
mod board;
mod disk;
pub mod door;
pub mod glance;
mod history;
mod inbox;
pub mod names;
mod noted;
pub mod out;
mod stages;
pub mod staging;
mod unpack;
mod worker;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::error::{Error, Kind, Result};
use crate::intake::board::Notes;
use crate::intake::door::Door;
use crate::intake::inbox::Left;
use crate::intake::out::Out;
use crate::intake::staging::{Part, room_for};
use crate::library::{JournalRow, Library, SeenRemote};
use crate::offer::push::{OnArrival, Push};
use crate::offer::{
    Ask, Board, Caller, Consent, DeviceId, Key, Neighbour, NeighbourId, OfferId, Provenance, RemoteItem,
    Right, Stage, Verdict, Via,
};
use crate::track::{Sha256, TrackId};
use crate::units::{ByteCount, UnixTime};

/// What intake needs to know.
#[derive(Debug, Clone)]
pub struct IntakeConfig {
    /// What is taken.
    pub take: Take,
    /// Who may send without being asked.
    pub push: Push,
    /// What happens to what was sent.
    pub on_arrival: OnArrival,
}

impl IntakeConfig {
    /// Returns the settings of a living room: senders are asked for, and their songs play when nothing does.
    pub fn new(take: Take) -> IntakeConfig {
        IntakeConfig { take, push: Push::Ask, on_arrival: OnArrival::PlayIfIdle }
    }
}

/// What is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// All music.
    Music,
    /// Only files that carry a proof of purchase.
    Purchased,
}

/// A question and the place for its answer.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub ask: Ask,
    /// Where the answer goes; nobody may be waiting any more.
    pub reply: oneshot::Sender<Result<()>>,
}

/// The way in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Intake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    library: Library,
    take: Take,
    notes: Notes,
    door: Door,
    out: Out,
    asks: mpsc::Sender<Asked>,
    asked: Mutex<Option<mpsc::Receiver<Asked>>>,
    /// Files that somebody is writing right now.
    held: Mutex<HashSet<OfferId>>,
    /// What was looked at and left in the drop folder, by path below it.
    left: Mutex<HashMap<PathBuf, Left>>,
    /// The journal has a staged row.
    work: Notify,
    /// Grows when the music disk comes back.
    turns: watch::Sender<u64>,
    tasks: Mutex<Vec<(&'static str, JoinHandle<()>)>>,
    stop: CancellationToken,
}

impl Intake {
    /// Takes up what the last run left, and starts the worker, the drop folder and the board.
    ///
    /// # Errors
    /// Those of the database. A music disk that is not there is no error: everything else then answers `Offline`.
    pub async fn start(config: IntakeConfig, library: Library, stop: CancellationToken) -> Result<Intake> {
        let intake = Intake::prepare(config, library, stop).await?;
        let there = staging::staging_dir(&intake.inner.library).await.is_ok();
        let mut tasks = intake.inner.tasks();
        let inner = intake.inner.clone();
        tasks.push(("the board", tokio::spawn(async move { inner.notes.run(&inner.stop).await })));
        tasks.push(("the look at the scan", tokio::spawn(follow_scan(intake.inner.clone()))));
        tasks.push(("the worker", tokio::spawn(worker::run(intake.inner.clone()))));
        tasks.push(("the look at the disk", tokio::spawn(disk::run(intake.inner.clone(), there))));
        tasks.push(("the drop folder", tokio::spawn(inbox::run(intake.inner.clone()))));
        drop(tasks);
        Ok(intake)
    }

    /// Everything of a start but the tasks.
    async fn prepare(config: IntakeConfig, library: Library, stop: CancellationToken) -> Result<Intake> {
        let recent = library.journal_recent(ROWS_REMEMBERED).await?;
        let dropped = library.journal_of_way(inbox::WAY).await?;
        let left = inbox::left_before(&dropped);
        let lying = dropped.iter().filter(|row| left.values().any(|left| left.id == row.id));
        let (asks, asked) = mpsc::channel(MOST_ASKS);
        let has_owner = library.has_owner().await?;
        let inner = Inner {
            notes: Notes::new(&recent, lying),
            left: Mutex::new(left),
            library,
            take: config.take,
            door: Door::new(config.push, config.on_arrival, has_owner),
            out: Out::new(),
            asks,
            asked: Mutex::new(Some(asked)),
            held: Mutex::default(),
            work: Notify::new(),
            turns: watch::Sender::new(0),
            tasks: Mutex::default(),
            stop,
        };
        let inner = Arc::new(inner);
        staging::take_up(&inner, staging::Strays::Go).await?;
        door::past::take_up(&inner).await?;
        inner.notes.publish();
        Ok(Intake { inner })
    }

    /// Waits until every task has ended; they end when the stop token falls. A second call returns at once.
    pub async fn stopped(&self) {
        let tasks = std::mem::take(&mut *self.inner.tasks());
        for (name, task) in tasks {
            if let Err(error) = task.await {
                warn!(%error, name, "a part of intake ended badly");
            }
        }
        self.inner.door.stopped().await;
    }

    /// Returns who is here and what is coming in, published at most twice a second.
    pub fn board(&self) -> watch::Receiver<Arc<Board>> {
        self.inner.notes.watch()
    }

    /// Returns who a key belongs to. A key that nobody has gives the right of the room.
    pub async fn who(&self, key: Option<Key>, via: Via) -> Caller {
        let Some(key) = key else { return Caller::room(via) };
        if key == Key::LocalOwner {
            return Caller { right: Right::Owner, device: None, via };
        }
        match self.inner.library.device_by_key(key).await {
            Ok(Some((device, right))) => Caller { right, device: Some(device), via },
            Ok(None) => Caller::room(via),
            Err(error) => {
                warn!(%error, "a caller could not be looked up and has the right of the room");
                Caller::room(via)
            }
        }
    }

    /// Remembers a device by its key. The name is what it calls itself.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn pair(&self, key: Key, name: &str, right: Right) -> Result<DeviceId> {
        self.inner.library.add_device(key, name.to_owned(), right).await
    }

    /// Asks those who bring music to do something, and waits until they took it up.
    ///
    /// # Errors
    /// `Busy` while too much is asked already or nobody answers within 10 s, `NotFound` for a neighbour that is not here,
    /// `Stopped`.
    pub async fn ask(&self, ask: Ask) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.inner.asks.try_send(Asked { ask, reply }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Error::new(Kind::Busy, "too much is asked at once"),
            mpsc::error::TrySendError::Closed(_) => Error::new(Kind::Stopped, "konpo is stopping"),
        })?;
        tokio::select! {
            () = self.inner.stop.cancelled() => Err(Error::new(Kind::Stopped, "konpo is stopping")),
            answer = tokio::time::timeout(ANSWERED_WITHIN, answer) => match answer {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => Err(Error::new(Kind::Stopped, "nobody answers any more")),
                Err(_) => Err(Error::new(Kind::Busy, "nobody answered in time")),
            },
        }
    }

    /// Returns what is asked; once, to the one who answers.
    pub fn asks(&self) -> Option<mpsc::Receiver<Asked>> {
        self.inner.asked.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Shows a neighbour on the board.
    pub fn set_neighbour(&self, neighbour: Neighbour) {
        self.inner.notes.set_neighbour(neighbour);
    }

    /// Takes a neighbour off the board.
    pub fn forget_neighbour(&self, id: &NeighbourId) {
        self.inner.notes.forget_neighbour(id);
    }

    /// Returns what was decided about a neighbour.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn consent(&self, neighbour: &NeighbourId) -> Result<Option<Consent>> {
        self.inner.library.consent(neighbour).await
    }

    /// Keeps what was decided about a neighbour.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn set_consent(&self, neighbour: &NeighbourId, consent: Consent) -> Result<()> {
        self.inner.library.set_consent(neighbour, consent).await
    }

    /// Returns the devices added by their address.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn addresses(&self) -> Result<Vec<String>> {
        self.inner.library.addresses().await
    }

    /// Forgets a device added by its address.
    ///
    /// # Errors
    /// `NotFound`, and those of the database.
    pub async fn remove_address(&self, address: String) -> Result<()> {
        self.inner.library.remove_address(address).await
    }

    /// Keeps a device added by its address.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn add_address(&self, address: String) -> Result<()> {
        self.inner.library.add_address(address).await
    }

    /// Returns the items that are worth fetching: not seen before, each once, and not on their way already. An item whose
    /// transfer broke off is among them.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn is_new(&self, neighbour: &NeighbourId, items: Vec<RemoteItem>) -> Result<Vec<RemoteItem>> {
        let mut seen = self.inner.library.seen_remote(&neighbour.0).await?;
        // The owner may have changed the rule since.
        seen.retain(|row| self.inner.take == Take::Purchased || row.verdict != "rule");
        let open = self.inner.library.journal_open().await?;
        let held = self.inner.held().clone();
        let under_way = open.into_iter().filter(|row| row.stage != Stage::Offered || held.contains(&row.id));
        let under_way =
            under_way.filter(|row| row.provenance.device == *neighbour.0).map(|row| row.provenance.remote);
        Ok(unseen(items, &seen, under_way.collect()))
    }

    /// Returns which tracks of the shelf are files of these sums, in their order; `None` for what is not here, and for no sum.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn tracks_of_sums(&self, sums: Vec<Option<Sha256>>) -> Result<Vec<Option<TrackId>>> {
        self.inner.library.with_sums(sums).await
    }

    /// Returns whether a transfer broke off in the last minutes: its sender may be back soon.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn awaits_somebody(&self) -> Result<bool> {
        let open = self.inner.library.journal_open().await?;
        let (held, since) = (self.inner.held().clone(), UnixTime::now().0 - AWAITED_FOR);
        let broke_off = |row: &JournalRow| row.stage == Stage::Offered && can_be_fetched(row);
        Ok(open.iter().any(|row| broke_off(row) && row.at.0 >= since && !held.contains(&row.id)))
    }

    /// Returns whether a transfer of this neighbour broke off and waits for the rest.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn awaits(&self, neighbour: &NeighbourId) -> Result<bool> {
        let open = self.inner.library.journal_open().await?;
        Ok(open.iter().any(|row| row.stage == Stage::Offered && row.provenance.device == *neighbour.0))
    }

    /// Gives up what a neighbour's transfers left half: somebody here stopped them. It is asked for again only when somebody
    /// says so.
    ///
    /// # Errors
    /// Those of the disk and the database.
    pub async fn give_up(&self, neighbour: &NeighbourId, why: &str) -> Result<()> {
        for row in self.inner.library.journal_open().await? {
            let theirs = row.stage == Stage::Offered && row.provenance.device == *neighbour.0;
            let Some(item) = row.item.clone().filter(|_| theirs) else { continue };
            match Part::again(self.inner.clone(), row, item).await {
                Ok(part) => part.refuse("gone", why).await?,
                // Somebody is at it.
                Err(error) if error.kind() == Kind::Busy => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Opens the way in for one item. One that was begun before goes on where it broke off.
    ///
    /// # Errors
    /// `Busy` when it is on its way already, `Full`, `Offline`, and those of the disk and the database.
    pub async fn pull_item(&self, neighbour: &Neighbour, item: RemoteItem) -> Result<Part> {
        // What a listing says is a hint; beyond all measure it is none.
        let hint = item.size.filter(|size| size.0 <= staging::LARGEST_FILE).unwrap_or_default();
        room_for(&self.inner.library, hint).await?;
        let open = self.inner.library.journal_open().await?;
        let same = |row: &JournalRow| {
            row.provenance.device == *neighbour.id.0
                && row.provenance.remote == item.object_id
                && row.provenance.way != inbox::WAY
        };
        if let Some(row) = open.into_iter().find(same) {
            return Part::again(self.inner.clone(), row, item).await;
        }
        let name = names::name_of(&item);
        let row = JournalRow {
            id: OfferId(0),
            stage: Stage::Offered,
            provenance: Provenance {
                way: way_of(&neighbour.kind).to_owned(),
                device: neighbour.id.0.to_string(),
                device_name: neighbour.name.clone(),
                remote: item.object_id.clone(),
                original_name: name.clone(),
            },
            part: Some(names::part_name(&name)),
            size: item.size,
            item: Some(item),
            etag: None,
            verdict: None,
            facts: String::new(),
            at: UnixTime::now(),
        };
        Part::new(self.inner.clone(), row).await
    }
}

impl Inner {
    fn held(&self) -> MutexGuard<'_, HashSet<OfferId>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left(&self) -> MutexGuard<'_, HashMap<PathBuf, Left>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<(&'static str, JoinHandle<()>)>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a row and shows it. Returns its id.
    async fn keep(&self, row: &mut JournalRow, received: ByteCount) -> Result<()> {
        row.at = UnixTime::now();
        row.id = self.library.journal_put(row.clone()).await?;
        self.notes.put(board::arrival(row, received));
        Ok(())
    }

    /// Ends a row with its verdict, and remembers it against the neighbour's item.
    async fn end(&self, row: &mut JournalRow, verdict: Verdict, received: ByteCount) -> Result<()> {
        // First, for somebody wants to hear it.
        if let Some(track) = self.door.ended(row.id, &verdict) {
            info!(track = track.0, "it was taken back before it was here");
            self.library.trash(track).await?;
        }
        if let Some(seen) = remembered(row, &verdict) {
            self.library.remember_remote(seen).await?;
        }
        row.stage = match verdict {
            Verdict::Refused { .. } => Stage::Refused,
            _ => Stage::Stored,
        };
        row.verdict = Some(verdict);
        self.keep(row, received).await?;
        self.show_door();
        // A file that lies in the drop folder keeps its reason as long as it lies there.
        if self.left().values().any(|left| left.id == row.id) {
            self.notes.lies(board::arrival(row, received));
        }
        Ok(())
    }
}

/// Returns whether the rest of a file can be fetched: it was pulled. What a sender brought is sent anew.
fn can_be_fetched(row: &JournalRow) -> bool {
    row.item.as_ref().is_some_and(|item| !item.url.is_empty())
}

/// Returns what to remember of a neighbour's item; `None` when it may be tried again.
fn remembered(row: &JournalRow, verdict: &Verdict) -> Option<SeenRemote> {
    let item = row.item.as_ref()?;
    let (verdict, track): (&str, Option<TrackId>) = match verdict {
        Verdict::Stored { track } => ("stored", Some(*track)),
        Verdict::Merged { track } => ("merged", Some(*track)),
        Verdict::Locked { track, .. } => ("locked", Some(*track)),
        Verdict::Refused { code, .. } if RETRIED.contains(&code.as_str()) => return None,
        Verdict::Read { .. } => return None,
        Verdict::Refused { code, .. } => (code, None),
    };
    Some(SeenRemote {
        device: row.provenance.device.clone(),
        object_id: item.object_id.clone(),
        size: item.size,
        hash: hash_of(item),
        verdict: verdict.to_owned(),
        track,
    })
}

/// Returns what an item is called, as one hash: neighbours number their items anew at every scan.
fn hash_of(item: &RemoteItem) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let ms = item.duration.map(|duration| duration.0.to_string()).unwrap_or_default();
    let words = format!("{}|{}|{}|{ms}", item.title, text(&item.artist), text(&item.album));
    blake3::hash(words.as_bytes()).to_hex().to_string()
}

/// Keeps what was never seen, each once, and is not under way.
fn unseen(items: Vec<RemoteItem>, seen: &[SeenRemote], under_way: HashSet<String>) -> Vec<RemoteItem> {
    let mut ids: HashMap<&str, Vec<(Option<ByteCount>, &str)>> = HashMap::new();
    for row in seen {
        ids.entry(&row.object_id).or_default().push((row.size, &row.hash));
    }
    // Without a size a hash proves nothing: a title alone may be said of two songs.
    let hashes: HashSet<_> = seen.iter().filter_map(|row| Some((row.size?, row.hash.as_str()))).collect();
    let (mut here, mut urls) = (under_way, HashSet::new());
    let mut kept = Vec::new();
    for item in items {
        let hash = hash_of(&item);
        let mut numbers = std::iter::once(&item.object_id).chain(&item.views);
        let by_id = numbers.any(|number| {
            let mut rows = ids.get(number.as_str()).into_iter().flatten();
            rows.any(|&(size, name)| match (size, item.size) {
                (Some(before), Some(now)) => before == now,
                // A server that says no sizes may give a number to another song.
                _ => name == hash,
            })
        });
        let by_name = item.size.is_some_and(|size| hashes.contains(&(size, hash.as_str())));
        let on_its_way = item.views.iter().any(|number| here.contains(number));
        let twice = on_its_way | !here.insert(item.object_id.clone()) | !urls.insert(item.url.clone());
        if !by_id && !by_name && !twice {
            kept.push(item);
        }
    }
    kept
}

/// The way as the ledger names it.
fn way_of(kind: &str) -> &str {
    match kind {
        "media_server" => "upnp",
        other => other,
    }
}

/// Asks in line; the next one is `Busy`.
const MOST_ASKS: usize = 16;
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// Journal rows read at the start, for the board.
const ROWS_REMEMBERED: u32 = 200;
/// Seconds for which the sender of a transfer that broke off is looked for actively.
const AWAITED_FOR: i64 = 900;
/// Refusals that say nothing about the file itself.
const RETRIED: [&str; 2] = ["full", "gone"];

/// Puts on the board how far the look through the music folders is.
async fn follow_scan(inner: Arc<Inner>) {
    let mut scanning = inner.library.scanning();
    loop {
        inner.notes.set_shelf(scanning.borrow_and_update().clone());
        tokio::select! {
            () = inner.stop.cancelled() => return,
            changed = scanning.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
        // The board is published twice a second; more often nothing needs to be copied.
        tokio::time::sleep(SCAN_SHOWN_EVERY).await;
    }
}

/// How often the board hears of the scan at most.
const SCAN_SHOWN_EVERY: std::time::Duration = std::time::Duration::from_millis(400);

#[cfg(test)]
pub mod tests;
