//! The rules of the box: (state, input, now) to (state, effects) or a refusal. Pure: no I/O, no clock of its own.
//!
//! [`Rules::command`] and [`Rules::event`] are the only place that decides what is heard. `task` carries the effects out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use crate::hifi::command::{At, Command, NewEntry, Playable, QueueId, Refused, Repeat};
use crate::hifi::queue::Queue;
use crate::hifi::state::{Entry, Notice, Position, Source, State, Transport};
use crate::hifi::volume::Knob;
use crate::offer::Right;
use crate::signal::{Device, PlaySerial, SignalPath};
use crate::track::{Track, TrackId};
use crate::units::{Millis, UnixTime, Volume};

/// What a command needs of the shelf, looked up before it reaches the rules.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The tracks that the command names.
    pub tracks: HashMap<TrackId, Arc<Track>>,
    /// What `PlaySomething` plays on an empty queue, in order.
    pub something: Vec<Arc<Track>>,
    /// Seed of a shuffle.
    pub seed: u64,
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
    /// The shelf changed; the tracks of the queue as they are now, missing ones left out.
    Shelf {
        /// The revision.
        rev: u64,
        /// The queue's tracks.
        tracks: HashMap<TrackId, Arc<Track>>,
    },
    /// Files on their way in.
    Offers(u64),
    /// Something to say.
    Notice(String, Right),
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
    starts: u64,
    position: Position,
    duration: Millis,
    /// The last start given out.
    serial: PlaySerial,
    /// The start that the motor works on for `current`.
    loaded: Option<PlaySerial>,
    primed: Option<(PlaySerial, QueueId)>,
    /// What was primed before: it starts all the same when its sound was decoded already.
    retired: Option<(PlaySerial, QueueId)>,
    /// What is primed cannot be opened: it will not start by itself.
    primed_broken: bool,
    /// Entries that broke in a row since something sounded.
    broken: usize,
    signal: Option<Arc<SignalPath>>,
    device: Arc<Device>,
    notices: Arc<Vec<Notice>>,
    library_rev: u64,
    offers: u64,
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
}

impl Rules {
    /// Returns the box after power-on: paused where it was, or stopped.
    pub fn new(knob: Knob, restored: Restored, device: Device, now: Instant) -> Rules {
        let current = restored.current.filter(|&id| restored.queue.get(id).is_some());
        let paused = current.is_some() && restored.position > Millis::ZERO;
        let duration = current.and_then(|id| restored.queue.get(id)).map_or(Millis::ZERO, |e| e.duration);
        let anchor = if paused { restored.position } else { Millis::ZERO };
        Rules {
            queue: restored.queue,
            knob,
            current,
            transport: if paused { Transport::Paused } else { Transport::Stopped },
            repeat: restored.repeat,
            starts: 0,
            position: Position { anchor, at: now, running: false },
            duration,
            serial: PlaySerial(0),
            loaded: None,
            primed: None,
            retired: None,
            primed_broken: false,
            broken: 0,
            signal: None,
            device: Arc::new(device),
            notices: Arc::default(),
            library_rev: 0,
            offers: 0,
        }
    }

    /// Returns the snapshot for faces.
    pub fn state(&self, rev: u64) -> State {
        State {
            rev,
            source: Source::Queue,
            transport: self.transport,
            current: self.current,
            starts: self.starts,
            position: self.position,
            duration: self.duration,
            signal: self.signal.clone(),
            volume: self.knob.volume(),
            fixed_volume: self.knob.is_fixed(),
            gain: self.knob.gain(),
            mute: self.knob.is_muted(),
            repeat: self.repeat,
            shuffle: self.queue.shuffled().is_some(),
            queue: self.queue.view().clone(),
            library_rev: self.library_rev,
            notices: self.notices.clone(),
            device: self.device.clone(),
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
        let before = self.clone();
        if let Err(refused) = self.obey(command, given, now, &mut effects) {
            *self = before;
            return Err(refused);
        }
        self.prime(&mut effects);
        Ok(effects)
    }

    /// Takes one event.
    pub fn event(&mut self, event: Event, now: Instant, wall: UnixTime) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.take(event, now, wall, &mut effects);
        self.prime(&mut effects);
        effects
    }

    fn obey(
        &mut self,
        command: Command,
        given: &Given,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        match command {
            Command::Play(Some(id)) => {
                self.queue.get(id).ok_or(Refused::NoSuchEntry)?;
                self.start(id, Millis::ZERO, now, out);
            }
            Command::Play(None) => self.play(now, out)?,
            Command::PlaySomething => self.play_something(given, now, out)?,
            Command::Pause => self.pause(now, out),
            Command::Toggle if self.sounding() => self.pause(now, out),
            Command::Toggle => self.play_something(given, now, out)?,
            Command::Stop => self.stop(now, out),
            Command::Next => self.next(now, out)?,
            Command::Previous => self.previous(now, out)?,
            Command::Seek(to) => self.seek(to, now, out)?,
            Command::SetVolume(volume) => self.turn(volume, now)?,
            Command::MoveVolume(steps) => self.turn(self.knob.volume().moved(steps), now)?,
            Command::SetMute(_) if self.knob.is_fixed() => return Err(Refused::FixedVolume),
            Command::SetMute(mute) => self.knob.set_mute(mute, self.sounding(), now),
            Command::SetRepeat(repeat) => self.repeat = repeat,
            Command::SetShuffle(on) if on == self.queue.shuffled().is_some() => {}
            Command::SetShuffle(on) => self.queue.shuffle(on, self.current, given.seed),
            Command::Add { entries, at, play } => self.add(entries, at, play, given, now, out)?,
            Command::Move { ids, to } => self.queue.shift(&ids, to)?,
            Command::Remove(ids) => self.remove(&ids, now, out)?,
            Command::Clear => {
                self.stop(now, out);
                self.queue.clear();
                self.current = None;
                self.duration = Millis::ZERO;
            }
            Command::Batch(commands) => {
                for command in commands {
                    self.obey(command, given, now, out)?;
                }
            }
            Command::Rescan => out.push(Effect::Rescan),
            Command::Standby => {
                self.stop(now, out);
                out.push(Effect::Release);
            }
        }
        Ok(())
    }

    fn play(&mut self, now: Instant, out: &mut Vec<Effect>) -> Result<(), Refused> {
        match (self.transport, self.loaded) {
            (Transport::Playing | Transport::Opening, _) => {}
            (Transport::Paused, Some(_)) => {
                self.knob.forward(false, now);
                self.transport = Transport::Playing;
                self.position = Position { at: now, running: true, ..self.position };
                out.push(Effect::Resume);
            }
            _ => {
                let id = self.current.or_else(|| self.queue.first()).ok_or(Refused::EmptyQueue)?;
                let from =
                    if self.transport == Transport::Paused { self.position.anchor } else { Millis::ZERO };
                self.start(id, from, now, out);
            }
        }
        Ok(())
    }

    fn play_something(&mut self, given: &Given, now: Instant, out: &mut Vec<Effect>) -> Result<(), Refused> {
        if !self.queue.is_empty() {
            return self.play(now, out);
        }
        let entries: Vec<Entry> =
            given.something.iter().filter(|t| t.playable().is_some()).map(|t| shelf_entry(t)).collect();
        let ids = self.queue.add(entries, At::End, None, given.seed)?;
        let first = ids.first().ok_or(Refused::EmptyQueue)?;
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
        (self.primed, self.retired) = (None, None);
        self.transport = Transport::Stopped;
        self.position = Position { anchor: Millis::ZERO, at: now, running: false };
    }

    fn next(&mut self, now: Instant, out: &mut Vec<Effect>) -> Result<(), Refused> {
        let here = self.current.or_else(|| self.queue.first()).ok_or(Refused::EmptyQueue)?;
        match self.queue.next_of(here, self.repeat) {
            Some(id) => self.select(id, now, out),
            None => self.stop(now, out),
        }
        Ok(())
    }

    fn previous(&mut self, now: Instant, out: &mut Vec<Effect>) -> Result<(), Refused> {
        let here = self.current.or_else(|| self.queue.first()).ok_or(Refused::EmptyQueue)?;
        let again = self.position.now(now) > HEARD_ENOUGH;
        let id = if again { here } else { self.queue.before(here, self.repeat).unwrap_or(here) };
        self.select(id, now, out);
        Ok(())
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
        match (self.transport, self.loaded) {
            (Transport::Stopped, _) => return Err(Refused::NotSeekable),
            (_, Some(serial)) => out.push(Effect::Seek(serial, to)),
            (_, None) => {}
        }
        self.position = Position { anchor: to, at: now, running: self.transport == Transport::Playing };
        Ok(())
    }

    fn turn(&mut self, volume: Volume, now: Instant) -> Result<(), Refused> {
        if self.knob.is_fixed() {
            return Err(Refused::FixedVolume);
        }
        self.knob.turn(volume, self.sounding(), now);
        Ok(())
    }

    fn add(
        &mut self,
        entries: Vec<NewEntry>,
        at: At,
        play: bool,
        given: &Given,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        let entries = entries
            .into_iter()
            .map(|new| {
                let Playable::Shelf(id) = new.what else { return Err(Refused::Unsupported) };
                let track = given.tracks.get(&id).ok_or(Refused::NoSuchTrack)?;
                track.playable().ok_or(Refused::Locked)?;
                Ok(Entry { said: new.said, ..shelf_entry(track) })
            })
            .collect::<Result<Vec<Entry>, Refused>>()?;
        let ids = self.queue.add(entries, at, self.current, given.seed)?;
        if let (true, Some(&first)) = (play, ids.first()) {
            self.start(first, Millis::ZERO, now, out);
        }
        Ok(())
    }

    fn remove(&mut self, ids: &[QueueId], now: Instant, out: &mut Vec<Effect>) -> Result<(), Refused> {
        let current = self.current.filter(|id| ids.contains(id));
        let mut heir = current;
        while let Some(id) = heir.filter(|id| ids.contains(id)) {
            heir = self.queue.after(id, Repeat::Off);
        }
        self.queue.remove(ids)?;
        if current.is_none() {
            return Ok(());
        }
        let sounding = self.sounding();
        self.stop(now, out);
        match heir {
            Some(id) if sounding => self.start(id, Millis::ZERO, now, out),
            Some(id) => self.choose(id, Millis::ZERO, now),
            None => (self.current, self.duration) = (None, Millis::ZERO),
        }
        Ok(())
    }

    fn start(&mut self, id: QueueId, from: Millis, now: Instant, out: &mut Vec<Effect>) {
        self.knob.forward(self.sounding(), now);
        self.choose(id, from, now);
        let Some(entry) = self.queue.get(id) else { return };
        let what = entry.what.clone();
        self.serial = PlaySerial(self.serial.0 + 1);
        self.loaded = Some(self.serial);
        (self.primed, self.retired) = (None, None);
        self.transport = Transport::Opening;
        out.push(Effect::Load { serial: self.serial, what, from });
    }

    fn choose(&mut self, id: QueueId, from: Millis, now: Instant) {
        self.current = Some(id);
        self.duration = self.queue.get(id).map_or(Millis::ZERO, |entry| entry.duration);
        self.position = Position { anchor: from, at: now, running: false };
    }

    /// Keeps what the motor holds as its next equal to what the queue says comes next.
    fn prime(&mut self, out: &mut Vec<Effect>) {
        let Some(current) = self.current.filter(|_| self.loaded.is_some()) else { return };
        let wanted = self.queue.after(current, self.repeat);
        if self.primed.map(|(_, id)| id) == wanted {
            return;
        }
        let entry = wanted.and_then(|id| self.queue.get(id));
        let next = entry.map(|entry| (entry.id, entry.what.clone()));
        self.retired = self.primed.or(self.retired);
        self.primed_broken = false;
        match next {
            Some((id, what)) => {
                self.serial = PlaySerial(self.serial.0 + 1);
                self.primed = Some((self.serial, id));
                out.push(Effect::Prime(Some((self.serial, what))));
            }
            None => {
                self.primed = None;
                out.push(Effect::Prime(None));
            }
        }
    }

    fn take(&mut self, event: Event, now: Instant, wall: UnixTime, out: &mut Vec<Effect>) {
        match event {
            Event::Opened { serial, duration, signal } if self.loaded == Some(serial) => {
                self.duration = duration.unwrap_or(self.duration);
                self.signal = Some(signal);
            }
            Event::Started { serial, at } => self.started(serial, at, out),
            Event::At { serial, position } if self.loaded == Some(serial) => {
                // A late report of a running clock must not undo a pause that was answered already.
                if position.running == (self.transport == Transport::Playing) {
                    self.position = position;
                }
            }
            // What is primed starts by itself, and says so.
            Event::Finished(serial) if self.loaded == Some(serial) => {
                if self.primed.is_none() || self.primed_broken {
                    self.finished(now, out);
                }
            }
            Event::Failed { serial, why, fault: Fault::Entry } => self.failed(serial, &why, now, wall, out),
            Event::Failed { serial, why, fault: Fault::Shelf } => self.away(serial, &why, now, wall, out),
            Event::Device(device) => {
                if let Some(trouble) =
                    device.trouble.clone().filter(|t| self.device.trouble.as_ref() != Some(t))
                {
                    self.notice(trouble, Right::Room, wall);
                }
                self.device = Arc::new(device);
            }
            Event::Released => {
                self.signal = None;
                let device = Device { open: false, ..Device::clone(&self.device) };
                self.device = Arc::new(device);
            }
            Event::Shelf { rev, tracks } => self.shelf(rev, &tracks),
            Event::Offers(count) => self.offers = count,
            Event::Notice(words, right) => self.notice(words, right, wall),
            Event::Tick => {
                self.knob.forward(self.sounding(), now);
            }
            // Answers about a start that is no longer wanted.
            Event::Opened { .. } | Event::At { .. } | Event::Finished(_) => {}
        }
    }

    fn started(&mut self, serial: PlaySerial, at: Instant, out: &mut Vec<Effect>) {
        if let Some((primed, id)) = self.primed.filter(|(primed, _)| *primed == serial) {
            self.loaded = Some(primed);
            self.primed = None;
            self.choose(id, Millis::ZERO, at);
            // The motor went on by itself; only a pause that overtook it holds.
            if self.transport != Transport::Paused {
                self.transport = Transport::Opening;
            }
        }
        if let Some((_, id)) = self.retired.take_if(|(retired, _)| *retired == serial) {
            self.overtaken(serial, id, at, out);
        }
        if self.loaded != Some(serial) {
            return;
        }
        self.broken = 0;
        self.starts += 1;
        if self.transport == Transport::Opening {
            self.transport = Transport::Playing;
        }
        let running = self.transport == Transport::Playing;
        self.position = Position { at, running, ..self.position };
        if let Some(Playable::Shelf(track)) =
            self.current.and_then(|id| self.queue.get(id)).map(|e| e.what.clone())
        {
            out.push(Effect::Played(track));
        }
    }

    /// The motor went on with what the queue no longer has next: it stays when it is in the queue, else the queue wins.
    fn overtaken(&mut self, serial: PlaySerial, id: QueueId, at: Instant, out: &mut Vec<Effect>) {
        let left = self.current;
        if self.queue.get(id).is_some() {
            self.loaded = Some(serial);
            self.primed = None;
            self.choose(id, Millis::ZERO, at);
            if self.transport != Transport::Paused {
                self.transport = Transport::Opening;
            }
            return;
        }
        match left.and_then(|id| self.queue.after(id, self.repeat)) {
            Some(next) => self.start(next, Millis::ZERO, at, out),
            None => self.stop(at, out),
        }
    }

    /// The motor ran dry: nothing was primed, or it came too late to be.
    fn finished(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let next = self.current.and_then(|id| self.queue.after(id, self.repeat));
        match next {
            Some(id) => self.start(id, Millis::ZERO, now, out),
            None => {
                self.stop(now, out);
                // The next play starts the queue again.
                if let Some(first) = self.queue.first() {
                    self.choose(first, Millis::ZERO, now);
                }
            }
        }
    }

    fn failed(&mut self, serial: PlaySerial, why: &str, now: Instant, wall: UnixTime, out: &mut Vec<Effect>) {
        let primed = self.primed.filter(|(primed, _)| *primed == serial);
        let Some(id) = primed.map(|(_, id)| id).or(self.current.filter(|_| self.loaded == Some(serial)))
        else {
            return;
        };
        let name = self.queue.get(id).map_or("a track", |e| e.shown.title_or("a track without a title"));
        self.notice(format!("{name} cannot be played: {why}"), Right::Room, wall);
        if primed.is_some() {
            // It is skipped when its turn comes; the one that sounds goes on.
            self.primed_broken = true;
            return;
        }
        self.broken += 1;
        let next = self.queue.after(id, if self.repeat == Repeat::One { Repeat::All } else { self.repeat });
        match next.filter(|_| self.broken < self.queue.view().entries.len().min(MOST_BROKEN)) {
            Some(next) => self.start(next, Millis::ZERO, now, out),
            None => {
                self.broken = 0;
                self.stop(now, out);
            }
        }
    }

    /// The whole shelf is away: no entry is better than this one, so the box waits where it is.
    fn away(&mut self, serial: PlaySerial, why: &str, now: Instant, wall: UnixTime, out: &mut Vec<Effect>) {
        if self.primed.is_some_and(|(primed, _)| primed == serial) {
            self.primed_broken = true;
        } else if self.loaded == Some(serial) {
            self.notice(why.to_owned(), Right::Room, wall);
            let anchor = self.position.now(now);
            self.stop(now, out);
            self.transport = Transport::Paused;
            self.position = Position { anchor, at: now, running: false };
        }
    }

    fn shelf(&mut self, rev: u64, tracks: &HashMap<TrackId, Arc<Track>>) {
        self.library_rev = rev;
        if self.primed_broken {
            // Its disk may be back.
            (self.primed, self.primed_broken) = (None, false);
        }
        self.queue.renew(|entry| {
            let Playable::Shelf(id) = entry.what else { return None };
            let fresh = Entry { said: entry.said.clone(), id: entry.id, ..shelf_entry(tracks.get(&id)?) };
            (fresh != *entry).then_some(fresh)
        });
    }

    fn notice(&mut self, words: String, right: Right, at: UnixTime) {
        let number = self.notices.last().map_or(0, |n| n.number) + 1;
        let notices = Arc::make_mut(&mut self.notices);
        notices.push(Notice { number, at, words, right });
        if notices.len() > MOST_NOTICES {
            notices.remove(0);
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
    }
}

/// How much of a track must have been heard for the previous key to start it again.
const HEARD_ENOUGH: Millis = Millis(3000);
/// How many entries in a row may break before the box stops looking for one that plays.
const MOST_BROKEN: usize = 50;
/// How many notices are kept.
const MOST_NOTICES: usize = 32;

#[cfg(test)]
mod tests;
