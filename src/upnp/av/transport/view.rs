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

/// Returns every variable that is told in LastChange, by its name, and of which instance it is.
///
/// An app reads its own words byte for byte in AVTransportURIMetaData and NextAVTransportURIMetaData; CurrentTrackMetaData is
/// what every reader takes.
pub fn variables(state: &State, reached: Reached) -> Vec<Told> {
    let (now, next, is_guest) = match &state.source {
        Source::Guest { now, next, .. } => (Some(Entry::clone(now)), next.as_deref(), true),
        Source::Queue => (state.entry().or(state.queue.entries.first()).cloned(), None, false),
        Source::Empty { .. } => (None, None, true),
    };
    // Of what is open the motor knows the length.
    let now = now.map(|entry| match state.current {
        Some(id) if id == entry.id => Entry { duration: state.duration, ..entry },
        _ => entry,
    });
    let Reached { host, mark } = reached;
    let now = now.map(|entry| with_cover(entry, state, host));
    let of = |entry: Option<&Entry>| entry.map_or(0, |entry| u64::from(entry.id.0));
    let url = |entry: Option<&Entry>| entry.map_or(String::new(), |entry| handed::url(entry, host, mark));
    let shown =
        |entry: Option<&Entry>| entry.map_or(String::new(), |entry| handed::metadata(entry, host, mark));
    let said = |entry: Option<&Entry>| {
        let said = entry.and_then(|entry| entry.said.as_ref());
        said.map_or(String::new(), |said| said.to_string())
    };
    let (now, count) = (now.as_ref(), u8::from(now.is_some()).to_string());
    let whole = if is_guest { said(now) } else { shown(now) };
    let length = times::written(now.map_or(Millis::ZERO, |entry| entry.duration));
    let told = |name, value: String, of| Told { name, channel: None, value, of };
    let fixed = |name, value: &str| told(name, value.to_owned(), 0);
    vec![
        told("AVTransportURI", url(now), of(now)),
        told("AVTransportURIMetaData", whole, of(now)),
        told("CurrentTrackURI", url(now), of(now)),
        told("CurrentTrackMetaData", shown(now), of(now)),
        told("CurrentTrackDuration", length.clone(), of(now)),
        told("CurrentMediaDuration", length, of(now)),
        told("NextAVTransportURI", url(next), of(next)),
        told("NextAVTransportURIMetaData", said(next), of(next)),
        fixed("NumberOfTracks", &count),
        fixed("CurrentTrack", &count),
        fixed("TransportState", transport_state(state)),
        fixed("TransportStatus", if state.failed.is_some() { "ERROR_OCCURRED" } else { "OK" }),
        fixed("TransportPlaySpeed", "1"),
        fixed("CurrentTransportActions", actions(state)),
        fixed("CurrentPlayMode", play_mode(state)),
        fixed("PlaybackStorageMedium", if now.is_some() { "NETWORK" } else { "NONE" }),
        fixed("PossiblePlaybackStorageMedia", "NONE,NETWORK"),
        fixed("RecordStorageMedium", "NOT_IMPLEMENTED"),
        fixed("PossibleRecordStorageMedia", "NOT_IMPLEMENTED"),
        fixed("RecordMediumWriteStatus", "NOT_IMPLEMENTED"),
        fixed("CurrentRecordQualityMode", "NOT_IMPLEMENTED"),
        fixed("PossibleRecordQualityModes", "NOT_IMPLEMENTED"),
    ]
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
/// for them (reference upnp 7.3). `moves` is the instance of TransportState: a move in a track tells it again, so that apps
/// ask for the position (reference upnp 7.1, "Seek").
pub fn last_change(state: &State, reached: Reached, moves: u64) -> LastChange {
    let mut variables = variables(state, reached);
    let (now, next) = match &state.source {
        Source::Guest { now, next, .. } => (Some(now), next.as_ref()),
        Source::Queue | Source::Empty { .. } => (None, None),
    };
    for told in &mut variables {
        let entry = match told.name {
            "AVTransportURIMetaData" => now,
            "NextAVTransportURIMetaData" => next,
            "TransportState" => {
                told.of = moves;
                continue;
            }
            _ => continue,
        };
        if let Some(entry) = entry.filter(|_| !is_plain(&told.value) && !handed::is_readable(&told.value)) {
            told.value = handed::written(entry, reached.host, reached.mark);
        }
    }
    LastChange { space: SPACE, variables }
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
