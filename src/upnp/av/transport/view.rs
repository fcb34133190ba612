//! The box as AVTransport shows it (reference upnp 7.1 to 7.3): each variable follows from the snapshot. Pure.
//!
//! What an app brought stands on the box's deck of two; while the box plays its own queue, the variables tell of that.

use std::net::SocketAddrV4;

use crate::hifi::command::Repeat;
use crate::hifi::state::{Entry, Source, State, Transport};
use crate::units::Millis;
use crate::upnp::av::transport::times;
use crate::upnp::handed;
use crate::upnp::own::Mark;
use crate::upnp::service::{LastChange, Told};

/// Where our own files are reached, for what somebody else put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Our address and port.
    pub host: SocketAddrV4,
    /// What our files' names carry.
    pub mark: Mark,
}

/// The box at one moment, from which each variable is read by its name.
pub struct View<'a> {
    state: &'a State,
    reached: Reached,
    now: Option<Entry>,
    next: Option<&'a Entry>,
    /// The deck is chosen.
    is_deck: bool,
}

/// Who reads words that an app handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// One that asks: it gets an app's own words back byte for byte.
    Asker,
    /// All that subscribed.
    Subscribers,
}

impl<'a> View<'a> {
    /// Returns the box in this state, for somebody who reaches our files so.
    pub fn of(state: &'a State, reached: Reached) -> View<'a> {
        let (now, next, is_deck) = match &state.source {
            Source::Guest { now, next, .. } => (Some(Entry::clone(now)), next.as_deref(), true),
            Source::Queue => (state.entry().or(state.queue.entries.first()).cloned(), None, false),
            Source::Empty { .. } => (None, None, true),
        };
        // Of what is open the motor knows the length.
        let now = now.map(|entry| match state.current {
            Some(id) if id == entry.id => Entry { duration: state.duration, ..entry },
            _ => entry,
        });
        let now = now.map(|entry| with_cover(entry, state, reached.host));
        View { state, reached, now, next, is_deck }
    }

    /// Returns what an action answers for a variable; `None` for one that is not there. Only this one is built.
    ///
    /// An app reads its own words byte for byte in AVTransportURIMetaData and NextAVTransportURIMetaData;
    /// CurrentTrackMetaData is what every reader takes.
    pub fn value(&self, name: &str) -> Option<String> {
        self.read(name, Reader::Asker)
    }

    fn read(&self, name: &str, reader: Reader) -> Option<String> {
        let (now, state) = (self.now.as_ref(), self.state);
        let fixed = match name {
            "AVTransportURI" | "CurrentTrackURI" => return Some(self.url(now)),
            "NextAVTransportURI" => return Some(self.url(self.next)),
            "AVTransportURIMetaData" if self.is_deck => return Some(self.said(now, reader)),
            "AVTransportURIMetaData" | "CurrentTrackMetaData" => return Some(self.shown(now, reader)),
            "NextAVTransportURIMetaData" => return Some(self.said(self.next, reader)),
            "CurrentTrackDuration" | "CurrentMediaDuration" => {
                return Some(times::written(now.map_or(Millis::ZERO, |entry| entry.duration)));
            }
            "NumberOfTracks" | "CurrentTrack" => return Some(u8::from(now.is_some()).to_string()),
            "TransportState" => transport_state(state),
            "TransportStatus" if state.failed.is_some() => "ERROR_OCCURRED",
            "TransportStatus" => "OK",
            "TransportPlaySpeed" => "1",
            "CurrentTransportActions" => actions(state),
            "CurrentPlayMode" => play_mode(state),
            "PlaybackStorageMedium" if now.is_some() => "NETWORK",
            "PlaybackStorageMedium" => "NONE",
            "PossiblePlaybackStorageMedia" => "NONE,NETWORK",
            "RecordStorageMedium"
            | "PossibleRecordStorageMedia"
            | "RecordMediumWriteStatus"
            | "CurrentRecordQualityMode"
            | "PossibleRecordQualityModes" => "NOT_IMPLEMENTED",
            _ => return None,
        };
        Some(fixed.to_owned())
    }

    fn url(&self, entry: Option<&Entry>) -> String {
        entry.map_or(String::new(), |entry| handed::url(entry, self.reached.host, self.reached.mark))
    }

    fn shown(&self, entry: Option<&Entry>, reader: Reader) -> String {
        let Reached { host, mark } = self.reached;
        entry.map_or(String::new(), |entry| match reader {
            Reader::Asker => handed::metadata(entry, host, mark),
            Reader::Subscribers => handed::told(entry, host, mark),
        })
    }

    /// What the app said itself, nothing when it said nothing; to subscribers only what every reader takes.
    fn said(&self, entry: Option<&Entry>, reader: Reader) -> String {
        let said = entry.and_then(|entry| entry.said.as_deref()).unwrap_or_default();
        if reader == Reader::Asker || is_plain(said) { said.to_owned() } else { self.shown(entry, reader) }
    }

    /// Returns of which instance a variable is.
    fn instance(&self, name: &str, moves: u64) -> u64 {
        let of = |entry: Option<&Entry>| entry.map_or(0, |entry| u64::from(entry.id.0));
        match name {
            "AVTransportURI"
            | "AVTransportURIMetaData"
            | "CurrentTrackURI"
            | "CurrentTrackMetaData"
            | "CurrentTrackDuration"
            | "CurrentMediaDuration" => of(self.now.as_ref()),
            "NextAVTransportURI" | "NextAVTransportURIMetaData" => of(self.next),
            "TransportState" => moves,
            _ => 0,
        }
    }
}

/// Names the cover in the file behind a URL where no app named one.
pub fn with_cover(entry: Entry, state: &State, host: SocketAddrV4) -> Entry {
    let known = state.pictures.iter().any(|(of, _)| *of == entry.id);
    match &entry.cover {
        None if known => {
            let url = format!("http://{host}/media/entry/{}/cover/600.jpg", entry.id.0);
            Entry { cover: Some(url.into()), ..entry }
        }
        _ => entry,
    }
}

/// Returns what subscribers are told. Words of an app that not every reader takes are written anew: some drop a whole event
/// for them (reference upnp 7.3); so are long ones, which would go out to each subscriber. `moves` is the instance of
/// TransportState: a move in a track tells it again, so that apps ask for the position (reference upnp 7.1, "Seek").
pub fn last_change(state: &State, reached: Reached, moves: u64) -> LastChange {
    let view = View::of(state, reached);
    let told = |name: &&'static str| {
        let value = view.read(name, Reader::Subscribers)?;
        Some(Told { name, channel: None, value, of: view.instance(name, moves) })
    };
    LastChange { space: SPACE, variables: TOLD.iter().filter_map(told).collect() }
}

/// Nothing, or the word for it.
fn is_plain(said: &str) -> bool {
    said.is_empty() || said == "NOT_IMPLEMENTED"
}

/// Returns the state's name.
pub fn transport_state(state: &State) -> &'static str {
    match state.transport {
        Transport::Playing => "PLAYING",
        Transport::Paused => "PAUSED_PLAYBACK",
        Transport::Opening => "TRANSITIONING",
        Transport::Stopped if has_media(state) => "STOPPED",
        Transport::Stopped => "NO_MEDIA_PRESENT",
    }
}

fn has_media(state: &State) -> bool {
    match state.source {
        Source::Guest { .. } => true,
        Source::Empty { .. } => false,
        Source::Queue => !state.queue.entries.is_empty(),
    }
}

fn actions(state: &State) -> &'static str {
    match transport_state(state) {
        "PLAYING" => "Pause,Stop,Seek,Next,Previous",
        "PAUSED_PLAYBACK" => "Play,Stop,Seek,Next,Previous",
        "TRANSITIONING" => "Stop,Pause",
        "STOPPED" => "Play,Seek,Next,Previous",
        _ => "",
    }
}

fn play_mode(state: &State) -> &'static str {
    match (state.shuffle, state.repeat) {
        (_, Repeat::One) => "REPEAT_ONE",
        (true, _) => "SHUFFLE",
        (false, Repeat::All) => "REPEAT_ALL",
        (false, Repeat::Off) => "NORMAL",
    }
}

/// Strict readers drop an event of another namespace (reference upnp 3.5).
const SPACE: &str = "urn:schemas-upnp-org:metadata-1-0/AVT/";
/// What LastChange tells of, in this order.
const TOLD: [&str; 22] = [
    "AVTransportURI",
    "AVTransportURIMetaData",
    "CurrentTrackURI",
    "CurrentTrackMetaData",
    "CurrentTrackDuration",
    "CurrentMediaDuration",
    "NextAVTransportURI",
    "NextAVTransportURIMetaData",
    "NumberOfTracks",
    "CurrentTrack",
    "TransportState",
    "TransportStatus",
    "TransportPlaySpeed",
    "CurrentTransportActions",
    "CurrentPlayMode",
    "PlaybackStorageMedium",
    "PossiblePlaybackStorageMedia",
    "RecordStorageMedium",
    "PossibleRecordStorageMedia",
    "RecordMediumWriteStatus",
    "CurrentRecordQualityMode",
    "PossibleRecordQualityModes",
];
