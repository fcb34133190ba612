//! Every knob of the box. Each variant says precondition, effect, refusal, right.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::hifi::HifiConfig;
use crate::offer::{Right, Via};
use crate::track::{Tags, TrackId};
use crate::units::{Millis, Volume};

/// One entry of the queue: never 0, never reused while the shelf lives. MPD's song id and OpenHome's id are this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct QueueId(pub u32);

/// What an entry plays.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Playable {
    /// A track of the shelf.
    Shelf(TrackId),
    /// A URL an app gave.
    Url(Arc<str>),
}

/// An entry as a face brings it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewEntry {
    /// What it plays.
    pub what: Playable,
    /// What is shown; empty for a shelf track, which brings its own.
    #[serde(default)]
    pub shown: Arc<Tags>,
    /// The app's own metadata, returned verbatim.
    #[serde(default)]
    pub said: Option<Arc<str>>,
    /// What a face read of it beside.
    #[serde(skip)]
    pub hints: Hints,
}

/// What a face knows of an entry before it is opened.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hints {
    /// The URL by which an app named a track of the shelf, verbatim; `None` where the URL itself is played.
    pub named: Option<Arc<str>>,
    /// Where an app says that its cover lies; kept of URLs only, for the shelf has its own.
    pub cover: Option<Arc<str>>,
    /// Its length as an app says it, until the motor knows better; kept of URLs only.
    pub length: Option<Millis>,
}

/// Where new entries go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum At {
    /// Behind the last one.
    #[default]
    End,
    /// Behind the one that plays; at the start when none does.
    Next,
    /// Before the entry now at this place; the end when beyond it.
    Index(u32),
    /// Behind this entry, which must be there.
    After(QueueId),
}

/// How far repeating goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// The queue plays once.
    #[default]
    Off,
    /// The queue starts again at its end.
    All,
    /// The current entry plays until something else is chosen.
    One,
}

/// What the box listens to, as the selector of an amplifier says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// The one queue.
    Queue,
    /// The deck beside it, as this face writes it.
    Deck(Via),
}

/// When the music ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sleep {
    /// How long from now, up to 24 hours.
    pub after: Millis,
    /// How it ends then.
    #[serde(default)]
    pub end: SleepEnd,
}

/// How the sleep timer ends the music.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SleepEnd {
    /// The sound goes down in the last minute and is paused at the end.
    #[default]
    Fade,
    /// The track that plays at the end is finished, then it stops.
    FinishTrack,
}

/// Whether quiet hours are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuietMode {
    /// As the hours are set.
    #[default]
    Auto,
    /// Quiet now, until the quiet hours that are or come end; without such hours, until it is changed.
    On,
    /// Not quiet, until the quiet hours that are or come end; without such hours, the same as `Auto`.
    Off,
}

/// A command to the box. All are open to Room unless the variant says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Plays this entry from its start; `None` resumes, else plays the current or first entry. `EmptyQueue`, `NoSuchEntry`.
    Play(Option<QueueId>),
    /// Plays the queue; on an empty one the last album heard, else the newest arrivals, else the shelf shuffled. `EmptyQueue` on an empty shelf.
    PlaySomething,
    /// Pauses; nothing happens when nothing plays.
    Pause,
    /// Pauses or plays; on an empty queue as `PlaySomething`.
    Toggle,
    /// Stops and forgets the position in the track. The current entry stays.
    Stop,
    /// Plays the entry behind the current one; at the end of the queue, stops. `EmptyQueue`.
    Next,
    /// Plays the current entry again when more than 3 s were heard, else the one before. `EmptyQueue`.
    Previous,
    /// Moves to this position in the current track; while stopped the next `Play(None)` begins there. `EmptyQueue`,
    /// `OutOfRange` beyond the end, `NotSeekable`.
    Seek(Millis),
    /// Sets the knob; in quiet hours up to their limit. Above zero it ends a mute. `FixedVolume` in fixed mode.
    SetVolume(Volume),
    /// Turns the knob by steps; up, it ends a mute. `FixedVolume` in fixed mode.
    MoveVolume(i16),
    /// Mutes or unmutes; the knob stays. `FixedVolume` in fixed mode.
    SetMute(bool),
    /// Sets repeating.
    SetRepeat(Repeat),
    /// Shuffles what has not been played, or restores the order. Each entry plays once a round; what is added joins the
    /// round; with everything repeated a new round follows.
    SetShuffle(bool),
    /// Stops behind every entry, with the next one chosen; repeating one entry goes before it.
    SetSingle(bool),
    /// Removes each entry from the queue once it was played or passed over while it played.
    SetConsume(bool),
    /// Stops once, behind the entry that plays, with the next one chosen; a stop by hand ends the wish.
    StopAfter(bool),
    /// Sets the sleep timer; `None` ends it. What is fading out then comes back. It does not outlive a restart: nothing plays
    /// by itself then. `OutOfRange` above 24 hours.
    Sleep(Option<Sleep>),
    /// Keeps quiet hours or not. Owner. While they hold no command sets the knob above their limit: it stops there.
    SetQuiet(QuietMode),
    /// Plays on another output, named as `konpo outputs` prints it, or `auto`, until konpo starts again: then the settings
    /// count. Owner. What sounds goes on there at its place. `NoDevice` for one that is not there.
    SetOutput(Arc<str>),
    /// Takes the settings of the box as they are now; how they are set and kept is none of its business. Owner, and never by
    /// JSON. Where the knob goes to the amplifier or comes back, the sound ends.
    #[serde(skip)]
    Adjust(HifiConfig),
    /// Plays a short quiet chime on the output, as loud as music would be. Owner. What is paused stays where it is. `Busy` while
    /// something sounds, `QuietHours`.
    TestSound,
    /// Adds entries. `OutOfRange` above 10,000 entries or 16 MiB of apps' text in the queue, `NoSuchTrack`, `Locked`,
    /// `NoSuchEntry` behind one that is not there, `Unsupported` for what is no http or https URL. A URL of our own media
    /// path is that track.
    Add {
        /// The entries in order.
        entries: Vec<NewEntry>,
        /// Where.
        #[serde(default)]
        at: At,
        /// Starts the first of them at once.
        #[serde(default)]
        play: bool,
    },
    /// Moves entries so that the first of them stands at this index; the round of a shuffle stays. `NoSuchEntry`.
    Move {
        /// Which, in the new order.
        ids: Vec<QueueId>,
        /// Where to, counted in the queue without them.
        to: u32,
    },
    /// Removes entries; the current one stops, and the next is played if it was playing. `NoSuchEntry`.
    Remove(Vec<QueueId>),
    /// Empties the queue and stops; a guest plays on.
    Clear,
    /// Puts this on the guest deck, whose next is forgotten: while something sounds it plays at once, else `Play` plays it.
    /// The queue stays as it is and is stopped; any play of the queue ends the deck. `None` takes the deck away and stops it.
    /// `Unsupported` for what is no http or https URL, `NoSuchTrack`, `Locked`, `OutOfRange` for texts that are too long.
    SetGuest(Option<NewEntry>),
    /// Sets what follows the guest without a gap; `None` takes it back. `NoSuchEntry` without a guest of the
    /// same face, else as `SetGuest`.
    SetGuestNext(Option<NewEntry>),
    /// Turns the selector. What sounded from another input stops; a deck that is left is empty then, and the queue stays
    /// where it was. Any play of the queue, and whatever is put on the deck, turns it as well.
    SetInput(Input),
    /// All or nothing, in order: the first refusal undoes the ones before it. `OutOfRange` above 1,000 commands, those in
    /// batches within counted too.
    Batch(Vec<Command>),
    /// Closes the sound device and stops; any play ends it.
    Standby,
    /// Ends standby; nothing plays by that.
    Wake,
    /// Gives the sound device to another program at once and holds the sound; any play takes it back.
    Yield,
    /// Ends a `Yield`: sound that ran then goes on. Without one nothing happens.
    Resume,
    /// Looks through the music folders again, behind everything else.
    Rescan,
}

impl Command {
    /// Returns the least right that may send it.
    pub fn right(&self) -> Right {
        match self {
            Command::SetQuiet(_) | Command::SetOutput(_) | Command::Adjust(_) | Command::TestSound => {
                Right::Owner
            }
            Command::Batch(commands) => commands.iter().map(Command::right).max().unwrap_or(Right::Room),
            _ => Right::Room,
        }
    }

    /// Returns the outputs that it names, those in batches within, too.
    pub fn outputs(&self) -> Vec<Arc<str>> {
        match self {
            Command::SetOutput(name) => vec![name.clone()],
            Command::Batch(commands) => commands.iter().flat_map(Command::outputs).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns how many commands it is, those in batches within counted.
    pub fn count(&self) -> usize {
        match self {
            Command::Batch(commands) => 1 + commands.iter().map(Command::count).sum::<usize>(),
            _ => 1,
        }
    }
}

/// What the box says no to, in its own words. A value, not an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// There is nothing to play.
    EmptyQueue,
    /// No entry has that id.
    NoSuchEntry,
    /// No track has that id.
    NoSuchTrack,
    /// The track is protected or in a format without a decoder.
    Locked,
    /// This source has no positions.
    NotSeekable,
    /// Outside the limits of the knob, track or queue.
    OutOfRange,
    /// There is no sound device.
    NoDevice,
    /// The volume is fixed: the knob is on the amplifier.
    FixedVolume,
    /// konpo cannot play this kind of source.
    Unsupported,
    /// Quiet hours hold, and konpo cannot turn the amplifier down.
    QuietHours,
    /// Something else is under way.
    Busy,
    /// The caller has not the right.
    NotAllowed,
}

impl Refused {
    /// Returns the words for a person.
    pub fn words(self) -> &'static str {
        match self {
            Refused::EmptyQueue => "there is nothing to play",
            Refused::NoSuchEntry => "no such entry in the queue",
            Refused::NoSuchTrack => "no such track on the shelf",
            Refused::Locked => "this track cannot be played: it is protected or has no decoder here",
            Refused::NotSeekable => "this source cannot be moved in",
            Refused::OutOfRange => "outside what is possible here",
            Refused::NoDevice => "there is no sound device",
            Refused::FixedVolume => "the volume is fixed: turn the knob on the amplifier",
            Refused::Unsupported => "konpo cannot play this kind of source",
            Refused::QuietHours => "quiet hours: konpo cannot turn the amplifier down, so nothing plays",
            Refused::Busy => "something else is under way",
            Refused::NotAllowed => "this needs a right you do not have",
        }
    }
}
