//! The rules of the box: (state, input, now) to (state, effects) or a refusal. Pure: no I/O, no clock of its own.
//!
//! [`Rules::command`] and [`Rules::event`] are the only place that decides what is heard. `task` carries the effects out.

mod edits;
mod guest;
mod happens;
mod landed;
mod levels;
mod modes;
mod opened;
mod quiet;
mod said;
mod setup;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::hifi::command::{At, Command, Playable, QueueId, Refused, Repeat};
use crate::hifi::queue::Queue;
use crate::hifi::quiet::{Clock, Quiet};
use crate::hifi::rules::guest::Guest;
use crate::hifi::rules::landed::Landing;
use crate::hifi::rules::levels::Levels;
use crate::hifi::rules::opened::Opened;
use crate::hifi::state::{Entry, Modes, Notice, Picture, Position, Sleeping, Source, State, Transport};
use crate::hifi::volume::Knob;
use crate::offer::push::{BeamId, OnArrival};
use crate::offer::{Right, Via};
use crate::player;
use crate::signal::{Device, OnAir, PlaySerial, SignalPath};
use crate::track::{AudioFormat, Tags, Track, TrackId};
use crate::units::{Millis, UnixTime};
use crate::words::Words;

/// What a command needs of the shelf, looked up before it reaches the rules.
#[derive(Debug, Clone)]
pub struct Given {
    /// The tracks that the command names.
    pub tracks: HashMap<TrackId, Arc<Track>>,
    /// What `PlaySomething` plays on an empty queue, in order.
    pub something: Vec<Arc<Track>>,
    /// Seed of a shuffle.
    pub seed: u64,
    /// By which face the command came.
    pub by: Via,
}

/// What happens to the box without anybody's command.
#[derive(Debug)]
pub enum Event {
    /// The motor has opened a file.
    Opened {
        /// Which start.
        serial: PlaySerial,
        /// Length; `None` keeps what the shelf says.
        duration: Option<Millis>,
        /// Whether it has positions.
        seekable: bool,
        /// The way of the signal.
        signal: Arc<SignalPath>,
    },
    /// The first frame of a start is at the output.
    Started {
        /// Which start.
        serial: PlaySerial,
        /// When.
        at: Instant,
    },
    /// The motor says where it is.
    At {
        /// Which start.
        serial: PlaySerial,
        /// Where and when.
        position: Position,
    },
    /// The last frame was played, and nothing was primed.
    Finished(PlaySerial),
    /// A start or a running track broke.
    Failed {
        /// Which start.
        serial: PlaySerial,
        /// Why, for a person.
        why: String,
        /// What is broken.
        fault: Fault,
    },
    /// The sound device changed.
    Device(Device),
    /// The device was let go.
    Released,
    /// The shelf changed; the tracks of the queue and the deck as they are now, missing ones left out.
    Shelf {
        /// The revision.
        rev: u64,
        /// Those tracks.
        tracks: HashMap<TrackId, Arc<Track>>,
    },
    /// What a live stream says about itself.
    OnAir {
        /// Which start.
        serial: PlaySerial,
        /// What.
        on_air: OnAir,
    },
    /// What the file behind a URL says of itself.
    Tags {
        /// Which start.
        serial: PlaySerial,
        /// What.
        tags: Box<Tags>,
        /// The cover in it.
        picture: Option<Picture>,
    },
    /// Files on their way in.
    Offers(u64),
    /// A song that somebody sent is on the shelf.
    Landed {
        /// With what it came.
        beam: BeamId,
        /// Its place there.
        index: u32,
        /// The song.
        track: Arc<Track>,
        /// What its sender calls itself.
        from: Arc<str>,
        /// What is to happen.
        wish: OnArrival,
    },
    /// Songs that somebody sent are taken back.
    TakenBack(Vec<TrackId>),
    /// Something to say.
    Notice(Words, Right),
    /// What is known of the time; at least once a minute.
    Clock(Clock),
    /// Time went on.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Cut whatever sounds, and start this.
    Load {
        /// The start.
        serial: PlaySerial,
        /// What.
        what: Playable,
        /// From where.
        from: Millis,
    },
    /// What follows without a gap; `None` takes the primed one back.
    Prime(Option<(PlaySerial, Playable)>),
    /// Pause the motor.
    Pause,
    /// Let it go on.
    Resume,
    /// Stop the motor and let the device go soon.
    Stop,
    /// Move in the current file.
    Seek(PlaySerial, Millis),
    /// Let the device go at once.
    Release,
    /// A track of the shelf was started.
    Played(TrackId),
    /// Look through the music folders.
    Rescan,
    /// Play on this output.
    Output(Arc<str>),
    /// Who has the knob from now on. The sound has ended before.
    Knob(player::Knob),
    /// Play the test sound; its end is of no interest.
    TestSound(PlaySerial),
}

/// What the rules keep.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The queue.
    pub queue: Queue,
    /// The knob.
    pub knob: Knob,
    current: Option<QueueId>,
    transport: Transport,
    repeat: Repeat,
    modes: Modes,
    sleep: Option<Sleeping>,
    quiet: Quiet,
    /// It was quiet when the rules last looked.
    was_quiet: bool,
    /// The start that sounds to its end though it is quiet.
    finishing: Option<PlaySerial>,
    /// It was said that the time is not known.
    clock_told: bool,
    /// The last time that could be trusted.
    known: Option<UnixTime>,
    starts: u64,
    moves: u64,
    position: Position,
    duration: Millis,
    /// The last start given out.
    serial: PlaySerial,
    /// The start that the motor works on for `current`.
    loaded: Option<PlaySerial>,
    primed: Option<(PlaySerial, QueueId)>,
    /// What was primed before: it starts all the same when its sound was decoded already.
    retired: Vec<(PlaySerial, QueueId)>,
    /// What is primed cannot be opened: it will not start by itself.
    primed_broken: bool,
    /// What was loaded is over or broken; the motor goes on with what is primed by itself.
    over: bool,
    /// The device was given away: whether sound ran then.
    yielded: Option<bool>,
    /// Entries that broke in a row since something sounded.
    broken: usize,
    guest: Option<Guest>,
    /// As whose deck the deck was chosen while nothing is on it.
    empty_deck: Option<Via>,
    /// Somebody sent it to bed.
    standby: bool,
    /// What the last command put into the queue.
    added: Vec<QueueId>,
    /// The entry that broke and ended the sound, until something else is wished for.
    failed: Option<QueueId>,
    /// Covers that lie in the files behind URLs, newest last.
    pictures: Arc<Vec<(QueueId, Picture)>>,
    /// Where somebody moved to, and when: what the motor said before it heard of that no longer counts.
    sought: Option<(Millis, Instant)>,
    levels: Levels,
    /// Starts that are open and wait for their turn.
    ahead: Vec<Opened>,
    /// What is loaded has positions, as far as the motor said.
    seekable: bool,
    /// What stations say, by the start it belongs to.
    on_air: Vec<(PlaySerial, Arc<OnAir>)>,
    format: Option<Arc<AudioFormat>>,
    signal: Option<Arc<SignalPath>>,
    device: Arc<Device>,
    /// The output that is wanted.
    output: Arc<str>,
    notices: Arc<Vec<Notice>>,
    library_rev: u64,
    offers: u64,
    /// What senders brought and is in the queue, the newest last.
    landings: Vec<Landing>,
    /// The last test sound, until it ended.
    testing: Option<PlaySerial>,
}

/// What is broken when a start fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This entry.
    Entry,
    /// The music disk is not there.
    Shelf,
}

/// What of the rules survives a power cut.
#[derive(Debug, Clone, Default)]
pub struct Restored {
    /// The queue.
    pub queue: Queue,
    /// The current entry.
    pub current: Option<QueueId>,
    /// The position in it.
    pub position: Millis,
    /// Repeating.
    pub repeat: Repeat,
    /// Single, consume, stop after this.
    pub modes: Modes,
    /// Quiet hours.
    pub quiet: Quiet,
    /// The last time that could be trusted.
    pub known: Option<UnixTime>,
    /// What an app put on beside the queue; the position is that of what is on it then.
    pub deck: Option<Source>,
}

impl Rules {
    /// Returns the box after power-on: paused where it was, or stopped. The device's name is the output that is wanted.
    pub fn new(knob: Knob, restored: Restored, device: Device, now: Instant) -> Rules {
        let kept = restored.current.filter(|&id| restored.queue.get(id).is_some());
        let guest = restored.deck.and_then(|deck| Guest::restored(deck, kept));
        let entry = match &guest {
            Some(guest) => Some(guest.entry()),
            None => kept.and_then(|id| restored.queue.get(id)),
        };
        let (current, duration) = (entry.map(|e| e.id), entry.map_or(Millis::ZERO, |e| e.duration));
        let paused = current.is_some() && restored.position > Millis::ZERO;
        let anchor = if paused { restored.position } else { Millis::ZERO };
        let mut rules = Rules {
            queue: restored.queue,
            knob,
            current,
            transport: if paused { Transport::Paused } else { Transport::Stopped },
            repeat: restored.repeat,
            modes: restored.modes,
            sleep: None,
            quiet: restored.quiet,
            was_quiet: false,
            finishing: None,
            clock_told: false,
            known: restored.known,
            starts: 0,
            moves: 0,
            position: Position { anchor, at: now, running: false },
            duration,
            serial: PlaySerial(0),
            loaded: None,
            primed: None,
            retired: Vec::new(),
            primed_broken: false,
            over: false,
            yielded: None,
            broken: 0,
            guest,
            empty_deck: None,
            standby: false,
            added: Vec::new(),
            failed: None,
            pictures: Arc::default(),
            sought: None,
            levels: Levels::default(),
            ahead: Vec::new(),
            seekable: true,
            on_air: Vec::new(),
            format: None,
            signal: None,
            output: device.name.as_str().into(),
            device: Arc::new(device),
            notices: Arc::default(),
            library_rev: 0,
            offers: 0,
            landings: Vec::new(),
            testing: None,
        };
        rules.keep_quiet(now);
        rules
    }

    /// Returns the snapshot for faces.
    pub fn state(&self, rev: u64) -> State {
        State {
            rev,
            source: self.source(),
            transport: self.transport,
            standby: self.standby,
            current: self.current,
            place: self.queue_place().or_else(|| self.queue.first()),
            failed: self.failed.filter(|&id| self.current == Some(id)),
            starts: self.starts,
            moves: self.moves,
            position: self.position,
            duration: self.duration,
            seekable: self.seekable,
            on_air: self.heard_on_air(),
            pictures: self.pictures.clone(),
            format: self.format.clone(),
            signal: self.signal.clone(),
            volume: self.knob.volume(),
            fixed_volume: self.knob.is_fixed(),
            gain: self.knob.gain(),
            mute: self.knob.is_muted(),
            repeat: self.repeat,
            shuffle: self.queue.shuffled().is_some(),
            modes: self.modes,
            sleep: self.sleep,
            quiet: self.quiet.state(),
            queue: self.queue.view().clone(),
            library_rev: self.library_rev,
            notices: self.notices.clone(),
            device: self.device.clone(),
            output: self.output.clone(),
            offers: self.offers,
        }
    }

    /// Returns whether sound runs.
    pub fn sounding(&self) -> bool {
        matches!(self.transport, Transport::Playing | Transport::Opening)
    }

    /// Takes one command of a face. A refused one leaves everything as it was.
    ///
    /// # Errors
    /// The refusal.
    pub fn command(&mut self, command: Command, given: &Given, now: Instant) -> Result<Vec<Effect>, Refused> {
        let mut effects = Vec::new();
        if command.count() > MOST_COMMANDS {
            return Err(Refused::OutOfRange);
        }
        self.added.clear();
        let before = self.clone();
        let obeyed = self.obey(command, given, now, &mut effects);
        if let Err(refused) = obeyed.and_then(|()| self.allow(&effects)) {
            *self = before;
            return Err(refused);
        }
        self.hush(now, &mut effects);
        self.prime(now, &mut effects);
        Ok(effects)
    }

    /// Returns the entries that the last command put into the queue, in its order.
    pub fn added(&self) -> &[QueueId] {
        &self.added
    }

    /// Takes one event.
    pub fn event(&mut self, event: Event, now: Instant, wall: UnixTime) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.take(event, now, wall, &mut effects);
        self.hush(now, &mut effects);
        self.prime(now, &mut effects);
        effects
    }

    fn obey(
        &mut self,
        command: Command,
        given: &Given,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        if edits::asks_for_sound(&command) {
            // What broke before is past.
            self.broken = 0;
        }
        self.note_hand(&command);
        match command {
            Command::Play(Some(id)) => {
                self.entry(id).ok_or(Refused::NoSuchEntry)?;
                self.arrive(self.current, id);
                self.start(id, Millis::ZERO, now, out);
            }
            Command::Play(None) => self.play(now, out)?,
            Command::PlaySomething => self.play_something(given, now, out)?,
            Command::Pause => self.pause(now, out),
            Command::Toggle if self.sounding() => self.pause(now, out),
            Command::Toggle => self.play_something(given, now, out)?,
            Command::Stop => self.stop_by_hand(now, out),
            Command::Next if self.guest.is_some() => self.next_guest(now, out),
            Command::Previous if self.guest.is_some() => self.again_guest(now, out),
            Command::Next => self.next(now, out)?,
            Command::Previous => self.previous(now, out)?,
            Command::Seek(to) => self.seek(to, now, out)?,
            Command::SetVolume(volume) => self.set_volume(volume, now)?,
            Command::MoveVolume(steps) => self.move_volume(steps, now)?,
            Command::SetMute(_) if self.knob.is_fixed() => return Err(Refused::FixedVolume),
            Command::SetMute(mute) => self.knob.set_mute(mute, self.sounding(), now),
            Command::SetRepeat(repeat) => self.repeat = repeat,
            Command::SetShuffle(on) => self.set_shuffle(on, given.seed),
            Command::SetSingle(on) => self.modes.single = on,
            Command::SetConsume(on) => self.modes.consume = on,
            Command::StopAfter(on) => self.modes.stop_after = on,
            Command::Sleep(sleep) => self.set_sleep(sleep, now)?,
            Command::SetQuiet(mode) => self.set_quiet(mode, now),
            Command::SetOutput(name) => {
                self.output = name.clone();
                out.push(Effect::Output(name));
            }
            Command::Adjust(config) => self.adjust(&config, now, out),
            Command::TestSound => self.test_sound(now, out)?,
            Command::Add { entries, at, play } => self.add(entries, at, play, given, now, out)?,
            Command::Move { ids, to } => self.queue.shift(&ids, to)?,
            Command::Remove(ids) => self.remove(&ids, now, out)?,
            Command::SetGuest(entry) => self.set_guest(entry, given, now, out)?,
            Command::SetGuestNext(entry) => self.set_guest_next(entry, given)?,
            Command::SetInput(input) => self.set_input(input, now, out),
            Command::Clear if self.guest.is_some() => self.queue.clear(),
            Command::Clear => self.clear(now, out),
            Command::Batch(commands) => {
                for command in commands {
                    self.obey(command, given, now, out)?;
                }
            }
            Command::Rescan => out.push(Effect::Rescan),
            Command::Standby => self.stand_by(now, out),
            Command::Wake => self.standby = false,
            Command::Yield => {
                self.yielded = self.yielded.or(Some(self.sounding()));
                self.pause(now, out);
                out.push(Effect::Release);
            }
            Command::Resume => {
                if self.yielded.take() == Some(true) && self.transport == Transport::Paused {
                    self.play(now, out)?;
                }
            }
        }
        Ok(())
    }

    fn play(&mut self, now: Instant, out: &mut Vec<Effect>) -> Result<(), Refused> {
        self.yielded = None;
        match (self.transport, self.loaded) {
            (Transport::Playing | Transport::Opening, _) => {}
            (Transport::Paused, Some(_)) => {
                self.knob.forward(false, now);
                self.standby = false;
                self.transport = Transport::Playing;
                self.position = Position { at: now, running: true, ..self.position };
                out.push(Effect::Resume);
            }
            _ => {
                let id = self.current.or_else(|| self.queue.first()).ok_or(Refused::EmptyQueue)?;
                self.start(id, self.position.anchor, now, out);
            }
        }
        Ok(())
    }

    fn play_something(&mut self, given: &Given, now: Instant, out: &mut Vec<Effect>) -> Result<(), Refused> {
        self.dismiss_guest(now, out);
        if !self.queue.is_empty() || self.guest.is_some() {
            return self.play(now, out);
        }
        let entries: Vec<Entry> =
            given.something.iter().filter(|t| t.playable().is_some()).map(|t| shelf_entry(t)).collect();
        let ids = self.queue.add(entries, At::End, None)?;
        let first = ids.first().ok_or(Refused::EmptyQueue)?;
        self.arrive(self.current, *first);
        self.start(*first, Millis::ZERO, now, out);
        Ok(())
    }

    fn pause(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.sounding() {
            self.transport = Transport::Paused;
            self.position = Position { anchor: self.position.now(now), at: now, running: false };
            out.push(Effect::Pause);
        }
    }

    fn stop(&mut self, now: Instant, out: &mut Vec<Effect>) {
        if self.loaded.take().is_some() {
            out.push(Effect::Stop);
        }
        self.retired.clear();
        (self.primed, self.over, self.yielded, self.sought) = (None, false, None, None);
        self.stop_guest();
        self.transport = Transport::Stopped;
        self.position = Position { anchor: Millis::ZERO, at: now, running: false };
    }

    /// Plays the entry; while stopped only chooses it.
    fn select(&mut self, id: QueueId, now: Instant, out: &mut Vec<Effect>) {
        if self.transport == Transport::Stopped {
            self.choose(id, Millis::ZERO, now);
        } else {
            self.start(id, Millis::ZERO, now, out);
        }
    }

    fn seek(&mut self, to: Millis, now: Instant, out: &mut Vec<Effect>) -> Result<(), Refused> {
        self.current.ok_or(Refused::EmptyQueue)?;
        if self.duration > Millis::ZERO && to > self.duration {
            return Err(Refused::OutOfRange);
        }
        match self.loaded {
            Some(_) if !self.seekable => return Err(Refused::NotSeekable),
            Some(serial) => {
                self.sought = Some((to, now));
                out.push(Effect::Seek(serial, to));
            }
            // The next play begins there.
            None => {}
        }
        self.moves += 1;
        self.position = Position { anchor: to, at: now, running: self.transport == Transport::Playing };
        Ok(())
    }

    fn start(&mut self, id: QueueId, from: Millis, now: Instant, out: &mut Vec<Effect>) {
        self.knob.forward(self.sounding(), now);
        self.choose(id, from, now);
        let Some(entry) = self.entry(id) else { return };
        let what = entry.what.clone();
        (self.empty_deck, self.standby) = (None, false);
        self.serial = PlaySerial(self.serial.0 + 1);
        self.loaded = Some(self.serial);
        self.retired.clear();
        (self.primed, self.over, self.yielded) = (None, false, None);
        (self.failed, self.sought) = (None, None);
        self.level(self.serial, id, now);
        self.transport = Transport::Opening;
        out.push(Effect::Load { serial: self.serial, what, from });
    }

    fn choose(&mut self, id: QueueId, from: Millis, now: Instant) {
        self.move_guest(id);
        self.current = Some(id);
        // What is told of a track ends with it; what is open ahead is told at once again.
        (self.format, self.signal) = (None, None);
        self.seekable = true;
        self.duration = self.entry(id).map_or(Millis::ZERO, |entry| entry.duration);
        self.position = Position { anchor: from, at: now, running: false };
    }

    /// Keeps what the motor holds as its next equal to what the queue says comes next.
    fn prime(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Some(current) = self.current.filter(|_| self.loaded.is_some()) else { return };
        let wanted = self.follows(current);
        if self.primed.map(|(_, id)| id) == wanted {
            return;
        }
        let entry = wanted.and_then(|id| self.entry(id));
        let next = entry.map(|entry| (entry.id, entry.what.clone()));
        if self.retired.len() == MOST_RETIRED {
            self.retired.remove(0);
        }
        self.retired.extend(self.primed);
        self.primed_broken = false;
        match next {
            Some((id, what)) => {
                self.serial = PlaySerial(self.serial.0 + 1);
                self.primed = Some((self.serial, id));
                self.level(self.serial, id, now);
                out.push(Effect::Prime(Some((self.serial, what))));
            }
            // Nothing is left that the motor could go on with.
            None if self.over => self.finished(now, out),
            None => {
                self.primed = None;
                out.push(Effect::Prime(None));
            }
        }
    }
}

/// Returns the entry of a track of the shelf; the queue gives it its id.
pub fn shelf_entry(track: &Track) -> Entry {
    Entry {
        id: QueueId(0),
        what: Playable::Shelf(track.id),
        shown: track.tags.clone(),
        duration: track.duration,
        said: None,
        named: None,
        cover: None,
        measured: track.measured,
    }
}

/// How many commands a batch holds: more would keep the loop from everything else.
const MOST_COMMANDS: usize = 1000;
/// Edits of the queue within the 300 ms that are decoded ahead; nobody makes more.
const MOST_RETIRED: usize = 32;

#[cfg(test)]
mod tests;
