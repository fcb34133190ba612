//! The box: one `Command` goes in, one `State` comes out. The one API of all faces.

mod chime;
mod clock;
pub mod command;
pub mod export;
mod landed;
mod memory;
mod news;
mod purchases;
mod queue;
pub mod quiet;
mod rules;
mod shuffle;
pub mod state;
mod task;
pub mod urls;
pub mod volume;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::error::{Error, Kind, Result};
use crate::hifi::clock::WallClock;
use crate::hifi::command::{At, Command, NewEntry, Playable, QueueId, Refused};
use crate::hifi::memory::Memory;
use crate::hifi::queue::Queue;
use crate::hifi::quiet::{Choice, Clock, Quiet, QuietConfig};
use crate::hifi::rules::{Event, Given, Restored, Rules};
use crate::hifi::state::State;
use crate::hifi::task::{Done, Inlets, Message, Task};
use crate::hifi::urls::{Links, Urls};
use crate::hifi::volume::Knob;
use crate::library::Library;
use crate::library::art::{self, Size};
use crate::library::cover::Cover;
use crate::library::serve::Served;
use crate::offer::push::Pushed;
use crate::offer::{Board, Caller, Right, ShelfProgress, Via};
use crate::player::{OutputInfo, Player, PlayerEvent, choice};
use crate::query::{Field, Filter, Group, GroupId, Item, Page, Query, Section, What};
use crate::signal::{Device, GainMode};
use crate::track::correction::Change;
use crate::track::{Protection, Track, TrackId};
use crate::units::{UnixTime, Volume};
use crate::words::Words;

/// The box. Cheap to clone.
#[derive(Clone)]
pub struct Hifi {
    commands: mpsc::Sender<Message>,
    state: watch::Receiver<Arc<State>>,
    events: mpsc::Sender<Event>,
    library: Library,
    urls: Urls,
    /// Who may make a cover of an entry: one at a time, the others wait.
    scaling: Arc<Semaphore>,
}

/// What the box is built on.
pub struct Parts {
    /// The shelf.
    pub library: Library,
    /// The motor.
    pub player: Player,
    /// Its events.
    pub events: mpsc::Receiver<PlayerEvent>,
    /// The device it found.
    pub device: Device,
    /// Who is here and what comes in.
    pub board: watch::Receiver<Arc<Board>>,
    /// How URLs become sound.
    pub urls: Urls,
    /// What senders bring; `None` where nobody can.
    pub pushes: Option<mpsc::Receiver<Pushed>>,
}

/// `[output]` and `[quiet]` as far as the box obeys them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HifiConfig {
    /// The amplifier has the knob: full scale, bit-perfect.
    pub fixed_volume: bool,
    /// What 100 on every face means.
    pub max_volume: Volume,
    /// How tracks are made equally loud; off where the amplifier has the knob.
    pub gains: GainMode,
    /// Quiet hours.
    pub quiet: QuietConfig,
}

/// The running box: its handle and its tasks, to be joined after the stop token fell.
pub struct Running {
    /// The handle.
    pub hifi: Hifi,
    /// The loop first, then the writer, the followers of the shelf, of its news, of what is sent, and of the clock.
    pub tasks: Vec<JoinHandle<()>>,
}

impl Hifi {
    /// Starts the box as it was left.
    ///
    /// # Errors
    /// Those of reading the shelf. A memory that cannot be read is put aside with a notice.
    pub async fn start(parts: Parts, config: HifiConfig, stop: CancellationToken) -> Result<Running> {
        let Parts { library, player, events: motor, device, board, urls, pushes } = parts;
        let now = Instant::now();
        let (memory, complaint) = read_memory(&library).await?;
        let last = memory.as_ref().and_then(Memory::volume);
        let knob = Knob::new(config.fixed_volume, config.max_volume, last, now);
        let clock = WallClock::new(memory.as_ref().and_then(Memory::known));
        let (clock, told) = first_look(clock).await?;
        let quiet = match &memory {
            Some(memory) => memory.quiet(config.quiet, told),
            None => Quiet::new(config.quiet, Choice::default(), told),
        };
        let restored = match memory {
            Some(memory) => {
                let tracks = task::tracks_by_id(&library, &memory.tracks()).await?;
                Restored { quiet, ..memory.restore(&tracks) }
            }
            None => Restored { quiet, ..Restored::default() },
        };
        let gains = if config.fixed_volume { GainMode::Off } else { config.gains };
        let rules = Rules::new(knob, restored, device, now).with_gains(gains);
        let (state_in, state) = watch::channel(Arc::new(rules.state(0)));
        // Faces wait for their turn when 64 commands stand in line.
        let (commands, commands_out) = mpsc::channel(64);
        let (events, events_out) = mpsc::channel(64);
        let (notes, notes_out) = mpsc::channel(64);
        let links = Links::new(urls.clone(), events.clone());
        let owed = Arc::new(AtomicBool::new(false));
        let task = Task::new(rules, player, library.clone(), state_in, notes, links, owed.clone());
        let inlets =
            Inlets { commands: commands_out, player: motor, events: events_out, board, stop: stop.clone() };
        let mut tasks = vec![
            tokio::spawn(task.run(inlets)),
            tokio::spawn(task::write_notes(library.clone(), notes_out, owed)),
            tokio::spawn(task::follow_shelf(library.clone(), state.clone(), events.clone(), stop.clone())),
        ];
        tasks.push(tokio::spawn(news::follow(library.clone(), events.clone(), stop.clone())));
        if let Some(pushes) = pushes {
            tasks.push(tokio::spawn(landed::follow(library.clone(), pushes, events.clone(), stop.clone())));
        }
        tasks.push(tokio::spawn(task::follow_clock(clock, events.clone(), stop)));
        let scaling = Arc::new(Semaphore::new(1));
        let hifi = Hifi { commands, state, events, library, urls, scaling };
        if let Some(words) = complaint {
            hifi.say(words, Right::Room).await;
        }
        Ok(Running { hifi, tasks })
    }

    /// Returns the box as this caller may use it.
    pub fn of(&self, caller: Caller) -> Session {
        Session { hifi: self.clone(), caller }
    }

    /// Puts a notice on every face whose caller has this right.
    pub async fn say(&self, words: impl Into<Words>, right: Right) {
        task::say(&self.events, words, right).await;
    }

    /// Returns whether the music disk is there.
    pub async fn shelf_online(&self) -> bool {
        let library = self.library.clone();
        let looked = tokio::task::spawn_blocking(move || library.look_at_disk()).await;
        looked.is_ok_and(|found| found.is_ok())
    }

    /// Returns how far the look through the music folders is.
    pub fn shelf(&self) -> ShelfProgress {
        self.library.shelf()
    }

    async fn given(&self, command: &Command, by: Via) -> Result<Given> {
        let mut ids = Vec::new();
        let mut something = false;
        needs(command, &mut ids, &mut something);
        let mut given = Given { tracks: HashMap::new(), something: Vec::new(), seed: seed(), by };
        if !ids.is_empty() {
            given.tracks = task::tracks_by_id(&self.library, &ids).await?;
        }
        if something && self.state.borrow().queue.entries.is_empty() {
            given.something = self.something(given.seed).await?;
        }
        Ok(given)
    }

    /// Returns the last album heard, else the newest arrivals, else the shelf shuffled; only what can be played.
    async fn something(&self, seed: u64) -> Result<Vec<Arc<Track>>> {
        for way in 0..3 {
            let ids = match way {
                0 => self.library.last_album_heard().await?,
                1 => self.library.newest(SOMETHING).await?,
                _ => self.library.shuffled(SOMETHING, seed).await?,
            };
            let found = self.library.get(&ids).await?;
            let playable = |track: &Arc<Track>| track.playable().is_some();
            let tracks: Vec<Arc<Track>> = found.into_iter().flatten().filter(playable).collect();
            if !tracks.is_empty() {
                return Ok(tracks);
            }
        }
        Ok(Vec::new())
    }
}

/// The box as one caller may use it.
#[derive(Clone)]
pub struct Session {
    hifi: Hifi,
    caller: Caller,
}

impl Session {
    /// Tracks that are corrected at once.
    pub const MOST_CORRECTED: usize = 10_000;

    /// Returns who asks.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Sends a command; one that the caller has no right to is refused. When it answers, the snapshot of the revision returned shows the effect.
    ///
    /// # Errors
    /// `Stopped` when the box is stopping, else those of reading the shelf. A refusal is a value.
    ///
    /// # Cancel
    /// A dropped future may still have its effect.
    pub async fn send(&self, command: Command) -> Result<Result<u64, Refused>> {
        Ok(self.ask(command).await?.map(|done| done.rev))
    }

    /// Adds entries to the queue and returns their ids, in their order; else as [`Session::send`].
    ///
    /// # Errors
    /// As [`Session::send`]; `Command::Add` tells the refusals.
    pub async fn insert(&self, entries: Vec<NewEntry>, at: At) -> Result<Result<Vec<QueueId>, Refused>> {
        Ok(self.ask(Command::Add { entries, at, play: false }).await?.map(|done| done.added))
    }

    async fn ask(&self, mut command: Command) -> Result<Result<Done, Refused>> {
        if self.caller.right < command.right() {
            return Ok(Err(Refused::NotAllowed));
        }
        if !are_there(command.outputs()).await {
            return Ok(Err(Refused::NoDevice));
        }
        self.hifi.urls.settle(&mut command);
        let given = self.hifi.given(&command, self.caller.via).await?;
        let (reply, answer) = oneshot::channel();
        let stopped = || Error::new(Kind::Stopped, "konpo is stopping");
        let message = Message { command, given, reply };
        self.hifi.commands.send(message).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())
    }

    /// Returns the sound outputs, in the order in which `auto` prefers them. Owner only: the devices are asked.
    ///
    /// # Errors
    /// `NotAllowed` below Owner.
    pub async fn outputs(&self) -> Result<Vec<OutputInfo>> {
        self.need(Right::Owner, "look for outputs")?;
        let looked = tokio::task::spawn_blocking(choice::outputs).await;
        looked.map_err(|error| Error::with(Kind::Internal, "look for outputs", error))
    }

    /// Returns the snapshots; show them through `State::seen_by`.
    pub fn watch(&self) -> watch::Receiver<Arc<State>> {
        self.hifi.state.clone()
    }

    /// Returns the newest snapshot as this caller may see it.
    pub fn state(&self) -> State {
        self.hifi.state.borrow().seen_by(&self.caller)
    }

    /// Asks the shelf.
    ///
    /// # Errors
    /// `NotAllowed` below Owner for what tells of purchases, and those of the shelf.
    pub async fn browse(&self, query: &Query) -> Result<Page<Item>> {
        if query.tells_purchases() {
            self.need(Right::Owner, "see what was bought")?;
        }
        let mut page = self.hifi.library.browse(query).await?;
        if self.caller.right < Right::Owner {
            for item in &mut page.items {
                if let Item::Track(track) = item {
                    *track = without_personal(track);
                }
            }
        }
        Ok(page)
    }

    /// Returns where the names under each heading begin in the usual order of a kind.
    pub async fn sections(&self, what: What) -> Vec<Section> {
        self.hifi.library.sections(what).await
    }

    /// Returns where headings begin among those names of a kind that a filter lets through.
    ///
    /// # Errors
    /// `NotAllowed` below Owner for what tells of purchases, and those of the shelf.
    pub async fn sections_of(&self, what: What, filter: Filter) -> Result<Vec<Section>> {
        if filter.looks_at(Field::Store) {
            self.need(Right::Owner, "see what was bought")?;
        }
        self.hifi.library.sections_of(what, filter).await
    }

    /// Returns albums, names, folders or playlists by their number, each with what a filter shows of it; `None` for one that
    /// is not there.
    ///
    /// # Errors
    /// As [`Session::sections_of`].
    pub async fn groups(&self, what: What, ids: Vec<GroupId>, filter: Filter) -> Result<Vec<Option<Group>>> {
        if filter.looks_at(Field::Store) {
            self.need(Right::Owner, "see what was bought")?;
        }
        self.hifi.library.groups(what, ids, filter).await
    }

    /// Marks a track as a favourite, or no more. Members and the owner only.
    ///
    /// # Errors
    /// `NotAllowed` for the room, `NotFound`.
    pub async fn set_favourite(&self, id: TrackId, on: bool) -> Result<()> {
        if self.caller.right < Right::Member {
            return Err(Error::new(Kind::NotAllowed, "only paired devices may mark favourites"));
        }
        self.hifi.library.set_favourite(id, on.then(UnixTime::now)).await
    }

    /// Returns one track.
    ///
    /// # Errors
    /// `NotFound`, and those of the shelf.
    pub async fn track(&self, id: TrackId) -> Result<Arc<Track>> {
        let found = self.hifi.library.get(&[id]).await?.into_iter().flatten().next();
        let track = found.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no track {id}")))?;
        Ok(if self.caller.right < Right::Owner { without_personal(&track) } else { track })
    }

    /// Changes what is corrected of tracks, of all of them or of none; no file is touched. Owner only.
    ///
    /// # Errors
    /// `NotAllowed` below Owner, `Invalid` for more than [`Session::MOST_CORRECTED`], `NotFound`, `Offline`.
    pub async fn correct(&self, ids: &[TrackId], change: Change) -> Result<()> {
        self.need(Right::Owner, "correct tracks")?;
        if ids.len() > Session::MOST_CORRECTED {
            let what = format!("{} tracks at once, at most {}", ids.len(), Session::MOST_CORRECTED);
            return Err(Error::new(Kind::Invalid, what));
        }
        self.hifi.library.correct(ids, change, UnixTime::now()).await
    }

    /// Keeps a picture, so that corrections can name it as a cover. Returns its name. Owner only.
    ///
    /// # Errors
    /// `NotAllowed` below Owner, `Unsupported` and `Damaged` for what cannot be shown, `Full`, and those of the disk.
    pub async fn keep_picture(&self, bytes: Vec<u8>) -> Result<String> {
        self.need(Right::Owner, "choose covers")?;
        self.hifi.library.keep_picture(bytes).await
    }

    /// Moves a track to the trash. Owner only.
    ///
    /// # Errors
    /// `NotAllowed` below Owner, `NotFound`, `Offline`.
    pub async fn trash(&self, id: TrackId) -> Result<()> {
        self.need(Right::Owner, "delete a track")?;
        self.hifi.library.trash(id).await
    }

    /// Opens the file of a track as this caller may read it: the owner as it lies on the shelf, others without what names the
    /// buyer.
    ///
    /// # Errors
    /// `NotAllowed` below Owner for a protected file and one of which it is not known where it names the buyer, `NotFound`,
    /// `Offline`, and those of the disk.
    pub async fn open_media(&self, id: TrackId) -> Result<Served> {
        self.hifi.library.open_served(id, self.caller.right).await
    }

    /// Returns tracks as anybody may see them, by id; those that are not there are left out.
    ///
    /// # Errors
    /// Those of the shelf.
    pub async fn tracks(&self, ids: &[TrackId]) -> Result<HashMap<TrackId, Arc<Track>>> {
        let found = task::tracks_by_id(&self.hifi.library, ids).await?;
        Ok(found.into_iter().map(|(id, track)| (id, without_personal(&track))).collect())
    }

    /// Returns the cover of a track, made anew from its picture: nothing of the file or its buyer is in it.
    ///
    /// # Errors
    /// `NotFound` also when the track has no cover, `Offline`, and those of the disk.
    pub async fn cover(&self, id: TrackId, size: Size) -> Result<Cover> {
        let found = self.hifi.library.cover(id, size).await?;
        found.ok_or_else(|| Error::new(Kind::NotFound, format!("track {id} has no cover")))
    }

    /// Returns the cover that lies in the file behind the URL of an entry, made anew as [`Session::cover`].
    ///
    /// # Errors
    /// `NotFound` also when it has none or sounded long ago, `Damaged` and `Unsupported` for what cannot be shown.
    pub async fn cover_of_entry(&self, id: QueueId, size: Size) -> Result<Cover> {
        let pictures = self.hifi.state.borrow().pictures.clone();
        let found = pictures.iter().find(|(of, _)| *of == id).map(|(_, picture)| picture.clone());
        let picture =
            found.ok_or_else(|| Error::new(Kind::NotFound, format!("entry {} has no cover", id.0)))?;
        let turn = self.hifi.scaling.clone().acquire_owned().await;
        let stopped = |_| Error::new(Kind::Stopped, "konpo is stopping");
        let turn = turn.map_err(stopped)?;
        let made = tokio::task::spawn_blocking(move || {
            let jpeg = art::scale(&picture.0, size);
            let etag = format!("\"{}-{}\"", &blake3::hash(&picture.0).to_hex()[..32], size.edge());
            drop(turn);
            jpeg.map(|jpeg| Cover { jpeg, etag })
        });
        made.await.map_err(|error| Error::with(Kind::Internal, "make a cover", error))?
    }

    fn need(&self, right: Right, what: &str) -> Result<()> {
        if self.caller.right >= right {
            return Ok(());
        }
        Err(Error::new(Kind::NotAllowed, format!("only the owner may {what}")))
    }
}

/// Returns a track as anybody may see it: who bought it and where its bytes name the buyer left out.
fn without_personal(track: &Arc<Track>) -> Arc<Track> {
    let plain = |copy: &crate::track::Copy| copy.protection == Protection::None && copy.personal.is_empty();
    if track.purchases.is_empty() && track.copies.iter().all(plain) {
        return track.clone();
    }
    let mut shown = Track { purchases: Vec::new(), ..Track::clone(track) };
    for copy in &mut shown.copies {
        copy.protection = copy.protection.without_personal();
        copy.personal.clear();
    }
    Arc::new(shown)
}

/// Returns whether all of these outputs can be chosen; asks the devices only where one is named.
async fn are_there(wanted: Vec<Arc<str>>) -> bool {
    let named: Vec<Arc<str>> = wanted.into_iter().filter(|name| !choice::always(name)).collect();
    if named.is_empty() {
        return true;
    }
    let looked = tokio::task::spawn_blocking(move || {
        let there = choice::outputs();
        named.iter().all(|name| there.iter().any(|output| *output.name == **name))
    });
    looked.await.unwrap_or(false)
}

/// Looks at the clock before anything can sound.
async fn first_look(mut clock: WallClock) -> Result<(WallClock, Clock)> {
    let looked = tokio::task::spawn_blocking(move || {
        let told = clock.look();
        (clock, told)
    });
    looked.await.map_err(|error| Error::with(Kind::Internal, "look at the clock", error))
}

/// Returns the memory, or what to say when there is one that cannot be read.
async fn read_memory(library: &Library) -> Result<(Option<Memory>, Option<Words>)> {
    let Some(json) = library.load_memory().await? else { return Ok((None, None)) };
    match Memory::read(&json) {
        Ok(memory) => Ok((Some(memory.at(library.load_place().await?.as_deref())), None)),
        Err(error) => {
            warn!(%error, "the queue starts empty");
            Ok((None, Some(Words::new("queue_lost", &[]))))
        }
    }
}

/// Collects what a command needs of the shelf.
fn needs(command: &Command, ids: &mut Vec<TrackId>, something: &mut bool) {
    let track = |entry: &NewEntry| match entry.what {
        Playable::Shelf(id) => Some(id),
        Playable::Url(_) => None,
    };
    match command {
        Command::Add { entries, .. } => ids.extend(entries.iter().filter_map(track)),
        Command::SetGuest(Some(entry)) | Command::SetGuestNext(Some(entry)) => ids.extend(track(entry)),
        Command::PlaySomething | Command::Toggle => *something = true,
        Command::Batch(commands) => commands.iter().for_each(|c| needs(c, ids, something)),
        _ => {}
    }
}

fn seed() -> u64 {
    let hash: [u8; 8] = uuid::Uuid::new_v4().into_bytes()[..8].try_into().unwrap_or_default();
    u64::from_le_bytes(hash)
}

/// The most entries that the queue holds.
pub const MOST_ENTRIES: usize = Queue::MOST;
/// How many tracks `PlaySomething` puts into an empty queue when no album was heard.
const SOMETHING: u32 = 100;
