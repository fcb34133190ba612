//! The only loop of the box: commands, events of the motor, the shelf and timers go through the rules;
//! their effects are carried out, the snapshot is published, then the reply is given. It never awaits I/O:
//! the shelf is read and written by the two tasks beside it. Runs as one tokio task.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::hifi::chime;
use crate::hifi::clock::WallClock;
use crate::hifi::command::{Command, Playable, QueueId, Refused};
use crate::hifi::memory::{Memory, Place};
use crate::hifi::queue::Queue;
use crate::hifi::rules::{Effect, Event, Fault, Given, Rules};
use crate::hifi::state::{Changes, Position, Source, State, Transport};
use crate::hifi::urls::Links;
use crate::library::Library;
use crate::offer::{Board, Right};
use crate::player::{Load, Opener, Player, PlayerEvent};
use crate::signal::PlaySerial;
use crate::track::{Track, TrackId};
use crate::units::{Gain, Millis, UnixTime};
use crate::words::Words;

/// A command on its way to the loop.
pub struct Message {
    /// The command.
    pub command: Command,
    /// What it needs of the shelf.
    pub given: Given,
    /// Where the answer goes: what was done, or the refusal.
    pub reply: oneshot::Sender<Result<Done, Refused>>,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The revision of the snapshot that shows it.
    pub rev: u64,
    /// What it put into the queue, in its order.
    pub added: Vec<QueueId>,
}

/// What the writer writes.
pub enum Note {
    /// The memory.
    Memory(Box<Memory>),
    /// What of it changes often, and the version of the queue that was written down.
    Place(Place, u64),
    /// A track was started.
    Play(TrackId, UnixTime),
}

/// The loop and what it holds.
pub struct Task {
    rules: Rules,
    player: Player,
    library: Library,
    state: watch::Sender<Arc<State>>,
    notes: mpsc::Sender<Note>,
    links: Links,
    gain: Gain,
    /// When time matters to the rules again: the knob, the sleep timer.
    alarm_at: Option<Instant>,
    /// When something unsaved must be written down.
    save_at: Option<Instant>,
    /// The queue and the deck as they were written down last.
    kept: Option<(Queue, Source)>,
    /// The writer could not write the memory.
    owed: Arc<AtomicBool>,
}

/// Everything that comes in.
pub struct Inlets {
    /// Commands of faces.
    pub commands: mpsc::Receiver<Message>,
    /// The motor.
    pub player: mpsc::Receiver<PlayerEvent>,
    /// The shelf as the reader sees it, and notices of other parts.
    pub events: mpsc::Receiver<Event>,
    /// Who is here and what comes in.
    pub board: watch::Receiver<Arc<Board>>,
    /// The end.
    pub stop: CancellationToken,
}

impl Task {
    /// Returns the loop; `notes` is bounded, and a full one loses the oldest-but-one memory only. `owed` is the writer's
    /// way to tell that it could not write one.
    pub fn new(
        rules: Rules,
        player: Player,
        library: Library,
        state: watch::Sender<Arc<State>>,
        notes: mpsc::Sender<Note>,
        links: Links,
        owed: Arc<AtomicBool>,
    ) -> Task {
        let gain = rules.knob.gain();
        tell(player.set_gain(gain));
        let (alarm_at, save_at, kept) = (None, None, None);
        Task { rules, player, library, state, notes, links, gain, alarm_at, save_at, kept, owed }
    }

    /// Runs until the stop token falls; then writes the memory down and returns.
    pub async fn run(mut self, mut inlets: Inlets) {
        let (mut offers, mut trouble) = (0, None);
        loop {
            let alarm = [self.alarm_at, self.save_at].into_iter().flatten().min();
            let wake = async {
                match alarm {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = inlets.stop.cancelled() => break,
                Some(message) = inlets.commands.recv() => self.command(message),
                Some(event) = inlets.player.recv() => self.motor(event),
                Some(event) = inlets.events.recv() => self.event(event),
                Ok(()) = inlets.board.changed() => {
                    let (pending, now) = {
                        let board = inlets.board.borrow_and_update();
                        (board.pending, board.trouble.clone())
                    };
                    if now != trouble {
                        let again = || Words::new("takes_again", &[]);
                        let words = now.clone().map_or_else(again, Words::from);
                        self.event(Event::Notice(words, Right::Room));
                        trouble = now;
                    }
                    if pending != offers {
                        offers = pending;
                        self.event(Event::Offers(pending));
                    }
                }
                () = wake => {
                    self.event(Event::Tick);
                    if self.save_at.is_some_and(|at| at <= Instant::now()) {
                        self.save();
                    }
                }
            }
        }
        let memory = Box::new(self.memory());
        // The writer is alive until this loop lets go of its channel.
        if self.notes.send(Note::Memory(memory)).await.is_err() {
            warn!("the queue could not be written down at the end");
        }
        // Nothing waits for the network any more.
        self.links.keep(&[]);
        let player = self.player;
        // Closing waits for the motor's thread.
        if tokio::task::spawn_blocking(move || player.close()).await.is_err() {
            warn!("the motor did not stop in order");
        }
    }

    fn command(&mut self, message: Message) {
        info!(command = ?Brief(&message.command), "command");
        let result = self.rules.command(message.command, &message.given, Instant::now());
        let result = result.map(|effects| {
            self.carry_out(effects);
            Done { rev: self.publish(), added: self.rules.added().to_vec() }
        });
        // Nobody waits any more when the connection is gone.
        let _gone = message.reply.send(result);
    }

    fn motor(&mut self, event: PlayerEvent) {
        if let Some(event) = told(event) {
            self.event(event);
        }
    }

    fn event(&mut self, event: Event) {
        let effects = self.rules.event(event, Instant::now(), UnixTime::now());
        self.carry_out(effects);
        self.publish();
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let done = match effect {
                Effect::Load { serial, what, from } => {
                    let load = self.load(serial, what, from);
                    // The motor may wait for what was wanted before.
                    self.links.keep(&self.rules.serials());
                    self.player.load(load)
                }
                Effect::Prime(next) => {
                    let next = next.map(|(serial, what)| self.load(serial, what, Millis::ZERO));
                    self.player.next(next)
                }
                Effect::Pause => self.player.pause(),
                Effect::Resume => self.player.resume(),
                Effect::Stop => self.player.stop(),
                Effect::Seek(serial, to) => self.player.seek(serial, to),
                Effect::Release => self.player.release(),
                Effect::Output(name) => self.player.set_output(&name),
                Effect::Knob(knob) => self.player.set_knob(knob),
                Effect::TestSound(serial) => self.player.load(chime::load(serial)),
                Effect::Rescan => {
                    self.library.rescan();
                    continue;
                }
                Effect::Played(track) => {
                    info!(track = track.0, "plays");
                    // One that is lost is a play that does not count.
                    let _taken = self.note(Note::Play(track, UnixTime::now()));
                    Ok(())
                }
            };
            tell(done);
        }
        self.links.keep(&self.rules.serials());
        self.alarm_at = self.rules.forward(Instant::now());
        let gain = self.rules.knob.gain();
        if gain != self.gain {
            self.gain = gain;
            tell(self.player.set_gain(gain));
        }
    }

    fn load(&mut self, serial: PlaySerial, what: Playable, from: Millis) -> Load {
        let library = self.library.clone();
        let open: Opener = match what {
            Playable::Shelf(id) => Box::new(move || library.open_sound(id)),
            Playable::Url(url) => self.links.opener(serial, url),
        };
        Load { serial, open, from, level: self.rules.level_of(serial) }
    }

    /// Publishes the snapshot when it differs from the last one, and returns its revision.
    fn publish(&mut self) -> u64 {
        self.library.set_sounding(self.rules.sounding());
        let old = self.state.borrow().clone();
        let fresh = self.rules.state(old.rev + 1);
        let changes = Changes::between(&old, &fresh);
        if changes.is_empty() {
            return old.rev;
        }
        let soon = Instant::now() + QUEUE_SAVED_WITHIN;
        let kept = Changes::QUEUE | Changes::OPTIONS | Changes::QUIET;
        // The gain is not kept: while it rises or fades nothing is written.
        let place = |state: &State| (state.current, state.transport, state.volume);
        if changes.intersects(kept) || place(&old) != place(&fresh) || old.source != fresh.source {
            self.save_at = Some(self.save_at.map_or(soon, |at| at.min(soon)));
        } else if fresh.transport == Transport::Playing && self.save_at.is_none() {
            self.save_at = Some(Instant::now() + POSITION_SAVED_EVERY);
        }
        let rev = fresh.rev;
        self.state.send_replace(Arc::new(fresh));
        rev
    }

    fn save(&mut self) {
        let playing = self.rules.state(0).transport == Transport::Playing;
        self.save_at = playing.then(|| Instant::now() + POSITION_SAVED_EVERY);
        let owed = self.owed.swap(false, Ordering::AcqRel);
        let queue = &self.rules.queue;
        let same = |(kept, deck): &&(Queue, Source)| kept.is_as_saved(queue) && *deck == self.rules.source();
        if let Some((kept, _)) = self.kept.as_ref().filter(|_| !owed).filter(same) {
            self.note(Note::Place(Place::of(&self.rules, self.position()), kept.view().version));
            return;
        }
        let kept = (queue.clone(), self.rules.source());
        let noted = self.note(Note::Memory(Box::new(self.memory())));
        self.kept = noted.then_some(kept);
    }

    fn memory(&self) -> Memory {
        Memory::of(&self.rules, self.position())
    }

    /// Returns where the queue is now, or the guest's entry while there is one.
    fn position(&self) -> Millis {
        self.rules.state(0).position.now(Instant::now())
    }

    /// Hands a note to the writer; returns whether it was taken. A full channel means a disk that hangs: the next save
    /// carries the memory.
    fn note(&self, note: Note) -> bool {
        let taken = self.notes.try_send(note).is_ok();
        if !taken {
            warn!("the disk is slow: a note of the box is written later");
        }
        taken
    }
}

fn at_event(serial: PlaySerial, anchor: Millis, at: Instant, running: bool) -> Event {
    Event::At { serial, position: Position { anchor, at, running } }
}

/// Writes notes to the shelf until the loop lets go of the channel; `owed` tells that a memory could not be written. Runs
/// as one tokio task.
pub async fn write_notes(library: Library, mut notes: mpsc::Receiver<Note>, owed: Arc<AtomicBool>) {
    while let Some(note) = notes.recv().await {
        let written = match note {
            // Of 10,000 entries this is milliseconds of work: here, not in the loop.
            Note::Memory(memory) => {
                let written = library.save_memory(memory.json()).await;
                owed.fetch_or(written.is_err(), Ordering::AcqRel);
                written
            }
            Note::Place(place, version) => library.save_place(place.json(version)).await,
            Note::Play(track, at) => library.note_play(track, at).await,
        };
        if let Err(error) = written {
            warn!(%error, "the box could not be written down");
        }
    }
}

/// Reads the tracks of the queue and the deck anew whenever the shelf changes. Runs as one tokio task.
pub async fn follow_shelf(
    library: Library,
    state: watch::Receiver<Arc<State>>,
    events: mpsc::Sender<Event>,
    stop: CancellationToken,
) {
    let mut revision = library.revision();
    loop {
        let rev = *revision.borrow_and_update();
        let ids: Vec<TrackId> = {
            let state = state.borrow();
            let id = |entry: &crate::hifi::state::Entry| match entry.what {
                Playable::Shelf(id) => Some(id),
                Playable::Url(_) => None,
            };
            state.queue.entries.iter().chain(state.source.deck()).filter_map(id).collect()
        };
        match tracks_by_id(&library, &ids).await {
            Ok(tracks) => {
                if events.send(Event::Shelf { rev, tracks }).await.is_err() {
                    return;
                }
            }
            Err(error) => warn!(%error, "the tracks of the queue and the deck could not be read anew"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = revision.changed() => if changed.is_err() { return },
        }
    }
}

/// Tells the box what is known of the time, now and at every full minute: quiet hours may be set at any time. Runs as one
/// tokio task.
pub async fn follow_clock(mut clock: WallClock, events: mpsc::Sender<Event>, stop: CancellationToken) {
    loop {
        let look = move || (clock.look(), clock);
        let looked = tokio::task::spawn_blocking(look).await;
        let Ok((told, back)) = looked else {
            return warn!("the clock is watched no more");
        };
        clock = back;
        if events.send(Event::Clock(told)).await.is_err() {
            return;
        }
        let rest = 60 - UnixTime::now().0.rem_euclid(60).unsigned_abs();
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(Duration::from_secs(rest)) => {}
        }
    }
}

/// Returns what an event of the motor is for the rules.
pub fn told(event: PlayerEvent) -> Option<Event> {
    Some(match event {
        PlayerEvent::Opened { serial, format: _, duration, seekable, signal } => {
            let duration = duration.map(|frames| signal.source.rate.unwrap_or(signal.rate).time_of(frames));
            Event::Opened { serial, duration, seekable, signal: Arc::new(signal) }
        }
        PlayerEvent::Started { serial, at } => Event::Started { serial, at },
        PlayerEvent::Position { serial, position, at, running } => at_event(serial, position, at, running),
        PlayerEvent::Paused { serial, position } => at_event(serial, position, Instant::now(), false),
        PlayerEvent::Resumed { serial, position } => at_event(serial, position, Instant::now(), true),
        PlayerEvent::Finished { serial } => Event::Finished(serial),
        PlayerEvent::Failed { serial, error } => {
            warn!(serial = serial.0, %error, "cannot play");
            let away = error.kind() == crate::error::Kind::Offline;
            let fault = if away { Fault::Shelf } else { Fault::Entry };
            Event::Failed { serial, why: error.to_string(), fault }
        }
        PlayerEvent::Device(device) => Event::Device(device),
        PlayerEvent::Released => Event::Released,
        PlayerEvent::NeedNext { .. } => return None,
    })
}

/// Returns the tracks that are there, by id.
///
/// # Errors
/// Those of the shelf.
pub async fn tracks_by_id(
    library: &Library,
    ids: &[TrackId],
) -> crate::error::Result<HashMap<TrackId, Arc<Track>>> {
    let found = library.get(ids).await?;
    Ok(found.into_iter().flatten().map(|track| (track.id, track)).collect())
}

/// Says something to everyone with this right, by way of the loop.
pub async fn say(events: &mpsc::Sender<Event>, words: impl Into<Words>, right: Right) {
    // A closed channel means that the box is stopping.
    let _stopping = events.send(Event::Notice(words.into(), right)).await;
}

/// Logs a command that the motor did not take; its own events tell the box how it goes on.
fn tell(done: crate::error::Result<()>) {
    if let Err(error) = done {
        warn!(%error, "the motor does not take a command");
    }
}

/// A command without the lists in it.
struct Brief<'a>(&'a Command);

impl std::fmt::Debug for Brief<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Command::Add { entries, at, play } => {
                write!(f, "Add {{ {} entries, at: {at:?}, play: {play} }}", entries.len())
            }
            Command::Move { ids, to } => write!(f, "Move {{ {} entries, to: {to} }}", ids.len()),
            Command::Remove(ids) => write!(f, "Remove({} entries)", ids.len()),
            Command::Batch(commands) => write!(f, "Batch({} commands)", commands.len()),
            Command::SetGuest(Some(entry)) => write!(f, "SetGuest({:?})", entry.what),
            Command::SetGuestNext(Some(entry)) => write!(f, "SetGuestNext({:?})", entry.what),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Queue edits are written down together after this time (design: "On disk").
const QUEUE_SAVED_WITHIN: Duration = Duration::from_secs(2);
/// While sound runs the position is written down this often (design: "On disk").
const POSITION_SAVED_EVERY: Duration = Duration::from_secs(15);
