//! The one snapshot of the box that every face reads, and what changed between two of them.

use std::sync::Arc;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::hifi::command::{Input, Playable, QueueId, QuietMode, Repeat, SleepEnd};
use crate::offer::{Caller, Right};
use crate::signal::{Device, OnAir, SignalPath};
use crate::track::{AudioFormat, Measured, Tags};
use crate::units::calendar::TimeOfDay;
use crate::units::{Gain, Millis, UnixTime, Volume};

/// What the transport does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Nothing sounds; the position is the start, or where somebody moved it for the next play.
    #[default]
    Stopped,
    /// A file is being opened.
    Opening,
    /// Sound runs.
    Playing,
    /// Sound waits at a position.
    Paused,
}

/// An entry of the queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number.
    pub id: QueueId,
    /// What it plays.
    pub what: Playable,
    /// What is shown.
    pub shown: Arc<Tags>,
    /// Its length; zero when unknown.
    pub duration: Millis,
    /// The app's own metadata, verbatim.
    pub said: Option<Arc<str>>,
    /// The URL by which an app named a track of the shelf, verbatim.
    pub named: Option<Arc<str>>,
    /// Where an app says that the cover of a URL lies.
    pub cover: Option<Arc<str>>,
    /// How loud it is, as far as konpo measured it.
    pub measured: Measured,
}

impl Entry {
    /// Returns the URL by which an app brought it, verbatim; `None` for a track that nobody named by one.
    pub fn url(&self) -> Option<&Arc<str>> {
        match &self.what {
            Playable::Url(url) => Some(url),
            Playable::Shelf(_) => self.named.as_ref(),
        }
    }
}

/// The queue as faces see it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct QueueView {
    /// Grows with every change.
    pub version: u64,
    /// The entries in order.
    pub entries: Vec<Entry>,
}

/// A picture as it lies in a file; a copy is equal to it, another one with the same bytes is not.
#[derive(Clone)]
pub struct Picture(pub Arc<[u8]>);

impl PartialEq for Picture {
    fn eq(&self, other: &Picture) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} bytes)", self.0.len())
    }
}

/// Where the sound comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// The one queue.
    Queue,
    /// A two-slot deck that a face writes; the queue is untouched and stopped meanwhile.
    Guest {
        /// Which face.
        by: crate::offer::Via,
        /// What plays.
        now: Arc<Entry>,
        /// What follows without a gap.
        next: Option<Arc<Entry>>,
    },
    /// The deck was chosen, and nothing is on it; the queue is stopped.
    Empty {
        /// As the deck of which face.
        by: crate::offer::Via,
    },
}

impl Source {
    /// Returns which input that is.
    pub fn input(&self) -> Input {
        match self {
            Source::Queue => Input::Queue,
            Source::Guest { by, .. } | Source::Empty { by } => Input::Deck(*by),
        }
    }

    /// Returns what is on the deck, in order: none to two entries.
    pub fn deck(&self) -> impl Iterator<Item = &Entry> {
        let deck = match self {
            Source::Guest { now, next, .. } => [Some(now), next.as_ref()],
            Source::Queue | Source::Empty { .. } => [None, None],
        };
        deck.into_iter().flatten().map(Arc::as_ref)
    }
}

/// A position as an anchor: exact at `at`, running on from there while sound runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// Position in the track at the anchor.
    pub anchor: Millis,
    /// When that was so.
    pub at: Instant,
    /// Whether it moves.
    pub running: bool,
}

impl Position {
    /// Returns the position at `now`.
    pub fn now(&self, now: Instant) -> Millis {
        if !self.running {
            return self.anchor;
        }
        self.anchor.saturating_add(now.saturating_duration_since(self.at).into())
    }
}

/// How the queue is played, beside repeat and shuffle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Modes {
    /// It stops behind every entry.
    pub single: bool,
    /// What was played leaves the queue.
    pub consume: bool,
    /// It stops behind the entry that plays.
    pub stop_after: bool,
}

/// The sleep timer while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sleeping {
    /// When the music ends.
    pub at: Instant,
    /// How.
    pub end: SleepEnd,
}

/// Quiet hours as they are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QuietState {
    /// What somebody chose.
    pub mode: QuietMode,
    /// Why it is quiet now; `None` when it is not.
    pub because: Option<QuietCause>,
    /// When it ends in the time of the box's zone; `None` when it is not quiet or nobody can tell.
    pub until: Option<TimeOfDay>,
    /// The highest the knob goes while it is quiet.
    pub limit: Volume,
}

/// Why it is quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QuietCause {
    /// The quiet hours.
    Hours,
    /// Somebody chose it.
    Hand,
    /// There are quiet hours, and the clock was not set since power-on.
    Clock,
}

/// Something the box wants to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Grows by one each.
    pub number: u64,
    /// When.
    pub at: UnixTime,
    /// For a person, in English.
    pub words: String,
    /// Which sentence it is, for a face in another language; empty for one that has no code.
    pub code: &'static str,
    /// What is told in it.
    pub about: Vec<String>,
    /// The least right that may read it.
    pub right: Right,
}

/// The box, whole. Cheap to clone.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Grows with every publication.
    pub rev: u64,
    /// Where the sound comes from.
    pub source: Source,
    /// What the transport does.
    pub transport: Transport,
    /// Somebody sent it to bed; any play wakes it.
    pub standby: bool,
    /// The entry that plays, is paused, or plays next.
    pub current: Option<QueueId>,
    /// The queue's own entry that plays, is paused, or plays next, whatever is on the deck; `None` for an empty queue.
    pub place: Option<QueueId>,
    /// The current entry where it broke and that ended the sound, until something else is wished for.
    pub failed: Option<QueueId>,
    /// Grows with every start of a track.
    pub starts: u64,
    /// Grows with every move in a track that somebody asked for, to the same place and while stopped, too.
    pub moves: u64,
    /// The position in the current track.
    pub position: Position,
    /// Length of the current track; zero when unknown.
    pub duration: Millis,
    /// Whether the current track has positions, as far as the motor said.
    pub seekable: bool,
    /// What the station that plays says about itself.
    pub on_air: Option<Arc<OnAir>>,
    /// Covers that lie in the files behind URLs, for the entries that sounded last or follow.
    pub pictures: Arc<Vec<(QueueId, Picture)>>,
    /// How the current track is coded: from when it is open until another one is current, also while the device is let go.
    /// The rate is that of its samples.
    pub format: Option<Arc<AudioFormat>>,
    /// The current track from file to DAC, while a device is open.
    pub signal: Option<Arc<SignalPath>>,
    /// The knob; 100 in fixed mode.
    pub volume: Volume,
    /// Whether the amplifier has the knob.
    pub fixed_volume: bool,
    /// What is applied for the knob. ReplayGain stands in the signal path.
    pub gain: Gain,
    /// Muted.
    pub mute: bool,
    /// Repeating.
    pub repeat: Repeat,
    /// Shuffled.
    pub shuffle: bool,
    /// Single, consume, stop after this.
    pub modes: Modes,
    /// The sleep timer while it runs.
    pub sleep: Option<Sleeping>,
    /// Quiet hours.
    pub quiet: QuietState,
    /// The queue.
    pub queue: Arc<QueueView>,
    /// Revision of the shelf.
    pub library_rev: u64,
    /// The last 32 notices, oldest first.
    pub notices: Arc<Vec<Notice>>,
    /// The sound device.
    pub device: Arc<Device>,
    /// The output that is wanted: `auto`, or a name as `konpo outputs` prints it.
    pub output: Arc<str>,
    /// Files on their way in and offers that wait.
    pub offers: u64,
}

impl State {
    /// Returns what this caller may see.
    pub fn seen_by(&self, caller: &Caller) -> State {
        let mut seen = self.clone();
        if self.notices.iter().any(|notice| notice.right > caller.right) {
            let may = |notice: &&Notice| notice.right <= caller.right;
            seen.notices = Arc::new(self.notices.iter().filter(may).cloned().collect());
        }
        seen
    }

    /// Returns the entry that plays, is paused, or plays next.
    pub fn entry(&self) -> Option<&Entry> {
        let id = self.current?;
        match &self.source {
            Source::Guest { now, .. } if now.id == id => Some(now),
            _ => self.queue.entries.iter().find(|entry| entry.id == id),
        }
    }
}

/// What changed between two snapshots: a set of bits, one per thing a face tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes(u16);

impl Changes {
    /// Nothing.
    pub const NONE: Changes = Changes(0);
    /// Transport, standby, current entry, starts, moves, position anchor, length, coding, source, what a station says.
    pub const PLAYER: Changes = Changes(1);
    /// The queue's entries.
    pub const QUEUE: Changes = Changes(2);
    /// Volume, gain, mute.
    pub const MIXER: Changes = Changes(4);
    /// Repeat, shuffle, single, consume, stop after this.
    pub const OPTIONS: Changes = Changes(8);
    /// The shelf.
    pub const LIBRARY: Changes = Changes(16);
    /// The device and the signal path.
    pub const DEVICE: Changes = Changes(32);
    /// Notices.
    pub const NOTICES: Changes = Changes(64);
    /// Offers.
    pub const OFFERS: Changes = Changes(128);
    /// Quiet hours.
    pub const QUIET: Changes = Changes(256);
    /// The sleep timer.
    pub const SLEEP: Changes = Changes(512);

    /// Returns what differs from `old` to `new`.
    pub fn between(old: &State, new: &State) -> Changes {
        let mut set = 0;
        let mut mark = |differs: bool, bit: Changes| set |= if differs { bit.0 } else { 0 };
        let player =
            |s: &State| (s.transport, s.current, s.starts, s.moves, s.position, s.duration, s.failed);
        let said = old.on_air != new.on_air || old.pictures != new.pictures;
        let rest = |s: &State| (s.standby, s.place, s.seekable);
        let other = rest(old) != rest(new) || old.source != new.source || old.format != new.format || said;
        mark(player(old) != player(new) || other, Changes::PLAYER);
        mark(old.queue.version != new.queue.version, Changes::QUEUE);
        let mixer = |s: &State| (s.volume, s.gain, s.mute, s.fixed_volume);
        mark(mixer(old) != mixer(new), Changes::MIXER);
        let options = |s: &State| (s.repeat, s.shuffle, s.modes);
        mark(options(old) != options(new), Changes::OPTIONS);
        mark(old.library_rev != new.library_rev, Changes::LIBRARY);
        let device = |s: &State| (s.device.clone(), s.output.clone(), s.signal.clone());
        mark(device(old) != device(new), Changes::DEVICE);
        mark(old.notices != new.notices, Changes::NOTICES);
        mark(old.offers != new.offers, Changes::OFFERS);
        mark(old.quiet != new.quiet, Changes::QUIET);
        mark(old.sleep != new.sleep, Changes::SLEEP);
        Changes(set)
    }

    /// Returns whether all of `other` is in this set.
    pub fn contains(self, other: Changes) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether any of `other` is in this set.
    pub fn intersects(self, other: Changes) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns whether nothing changed.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::ops::BitOr for Changes {
    type Output = Changes;
    fn bitor(self, other: Changes) -> Changes {
        Changes(self.0 | other.0)
    }
}
