//! Playlist:1: the one queue (reference upnp 3.8). It is there whichever source is chosen; what plays it chooses it first.

use std::collections::HashMap;
use std::net::SocketAddrV4;

use crate::hifi::command::{At, Command, Input, QueueId, Repeat};
use crate::hifi::state::{Entry, State, Transport};
use crate::hifi::{MOST_ENTRIES, Session};
use crate::upnp::openhome::follow::Now;
use crate::upnp::openhome::shown::Shown;
use crate::upnp::openhome::{Source, play, seek_absolute, seek_relative, tell, transport_of};
use crate::upnp::own::Mark;
use crate::upnp::refusals::{Asked, fault};
use crate::upnp::service::{Action, Argument, Arguments, Call, Fault, Service, Type, Value, Variable};
use crate::upnp::{formats, handed};
use crate::wire::xml::escape_into;

/// Fulfils an action.
pub(super) async fn act(call: &Call<'_>, session: &Session, mark: Mark) -> Result<Arguments, Fault> {
    let (given, answer, state) = (&call.given, Arguments::new(), session.state());
    let is_chosen = Source::of(&state) == Source::Playlist;
    match call.action.name {
        "Play" => play(session, to_play(&state)).await,
        // What another source plays is not this one's to stop or move.
        "Pause" | "Stop" | "Next" | "Previous" if !is_chosen => Ok(answer),
        "Pause" => tell(session, Command::Pause, Asked::Key).await,
        "Stop" => tell(session, Command::Stop, Asked::Key).await,
        "Next" => play(session, Command::Next).await,
        "Previous" => play(session, Command::Previous).await,
        "SetRepeat" => tell(session, set_repeat(given.truth("Value")), Asked::Key).await,
        "Repeat" => Ok(answer.with_truth("Value", repeats(&state))),
        "SetShuffle" => tell(session, Command::SetShuffle(given.truth("Value")), Asked::Key).await,
        "Shuffle" => Ok(answer.with_truth("Value", state.shuffle)),
        "SeekSecondAbsolute" | "SeekSecondRelative" if !is_chosen => Err(NOT_MOVED),
        "SeekSecondAbsolute" => seek_absolute(session, &state, given.number("Value")).await,
        "SeekSecondRelative" => seek_relative(session, &state, given.signed("Value")).await,
        "SeekId" => play(session, Command::Play(Some(QueueId(given.number("Value"))))).await,
        "SeekIndex" => play(session, Command::Play(Some(id_at(&state, given.number("Value"))?))).await,
        "TransportState" => Ok(answer.with("Value", transport_of(&state, state.transport, Source::Playlist))),
        "Id" => Ok(answer.with("Value", id(&state))),
        "Read" => read(&state, given.number("Id"), call.host, mark),
        "ReadList" => {
            Ok(answer.with_text("TrackList", track_list(&state, given.text("IdList"), call.host, mark)))
        }
        "Insert" => insert(call, session).await,
        "DeleteId" => {
            tell(session, Command::Remove(vec![QueueId(given.number("Value"))]), Asked::Entry).await
        }
        "DeleteAll" => tell(session, Command::Clear, Asked::Key).await,
        "TracksMax" => Ok(answer.with("Value", MOST_ENTRIES)),
        "IdArray" => Ok(answer.with("Token", token(&state)).with_text("Array", id_array(&state))),
        "IdArrayChanged" => Ok(answer.with_truth("Value", given.number("Token") != token(&state))),
        "ProtocolInfo" => Ok(answer.with("Value", formats::taken())),
        _ => Err(Fault::INVALID_ACTION),
    }
}

/// Play resumes what is paused and begins what plays anew (reference upnp 3.8, "Play").
fn to_play(state: &State) -> Command {
    match (state.source.input(), state.transport, state.place) {
        (Input::Queue, Transport::Playing | Transport::Opening, place) => Command::Play(place),
        (Input::Queue, _, _) => Command::Play(None),
        (Input::Deck(_), _, Some(place)) => Command::Play(Some(place)),
        (Input::Deck(_), _, None) => Command::SetInput(Input::Queue),
    }
}

/// OpenHome knows one kind of repeating.
pub(super) fn set_repeat(on: bool) -> Command {
    Command::SetRepeat(if on { Repeat::All } else { Repeat::Off })
}

/// Returns whether anything repeats; one entry that does is more than OpenHome can say.
pub(super) fn repeats(state: &State) -> bool {
    state.repeat != Repeat::Off
}

/// Returns the entry at a place.
pub(super) fn id_at(state: &State, index: u32) -> Result<QueueId, Fault> {
    let entry = usize::try_from(index).ok().and_then(|index| state.queue.entries.get(index));
    entry.map(|entry| entry.id).ok_or(NO_INDEX)
}

/// Returns the entry that plays or plays next, 0 when there is none.
fn id(state: &State) -> u32 {
    state.place.map_or(0, |id| id.0)
}

/// The number of the list as it is.
fn token(state: &State) -> u32 {
    // Wrapping round is fine: only whether it is the same one counts.
    state.queue.version as u32
}

/// Returns the ids in order, each of four bytes, the highest first, in base64 (reference upnp 3.8, "IdArray").
pub(super) fn id_array(state: &State) -> String {
    let ids: Vec<u8> = state.queue.entries.iter().flat_map(|entry| entry.id.0.to_be_bytes()).collect();
    base64(&ids)
}

/// Base64 with padding (RFC 4648, 4).
fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for sign in 0..4 {
            let six = word >> (18 - 6 * sign) & 63;
            text.push(if sign <= group.len() { char::from(SIGNS[six as usize]) } else { '=' });
        }
    }
    text
}

async fn insert(call: &Call<'_>, session: &Session) -> Result<Arguments, Fault> {
    let given = &call.given;
    let at = match given.number("AfterId") {
        0 => At::Index(0),
        id => At::After(QueueId(id)),
    };
    let entry = handed::entry(given.text("Uri"), given.text("Metadata"));
    let ids = session.insert(vec![entry], at).await?.map_err(|refused| fault(Asked::Entry, refused))?;
    let id = ids.first().ok_or(Fault::ACTION_FAILED)?;
    Ok(Arguments::new().with("NewId", id.0))
}

fn read(state: &State, id: u32, host: SocketAddrV4, mark: Mark) -> Result<Arguments, Fault> {
    let entry = state.queue.entries.iter().find(|entry| entry.id == QueueId(id));
    let Shown { uri, metadata } = Shown::verbatim(entry.ok_or(NO_ID)?, host, mark);
    Ok(Arguments::new().with_text("Uri", uri).with_text("Metadata", metadata))
}

/// Returns the entries of a list of ids with blanks between. An id that is not there is left out, also -1, which Lumin asks
/// for; so is what makes the answer too large: an app asks for it again.
fn track_list(state: &State, ids: &str, host: SocketAddrV4, mark: Mark) -> String {
    let entries: HashMap<QueueId, &Entry> =
        state.queue.entries.iter().map(|entry| (entry.id, entry)).collect();
    let known =
        ids.split_whitespace().take(MOST_ENTRIES).filter_map(|id| entries.get(&QueueId(id.parse().ok()?)));
    let mut text = String::from("<TrackList>");
    for entry in known {
        let Shown { uri, metadata } = Shown::verbatim(entry, host, mark);
        if text.len() + metadata.len() > LARGEST_LIST {
            break;
        }
        text.push_str(&format!("<Entry><Id>{}</Id><Uri>", entry.id.0));
        escape_into(&mut text, &uri);
        text.push_str("</Uri><Metadata>");
        escape_into(&mut text, &metadata);
        text.push_str("</Metadata></Entry>");
    }
    text + "</TrackList>"
}

/// Returns the evented variables, in the order of the table.
pub(super) fn values(now: &Now<'_>) -> Vec<(&'static str, Value)> {
    let state = now.state;
    vec![
        ("TransportState", Value::of(transport_of(state, now.transport, Source::Playlist))),
        ("Repeat", Value::of(u8::from(repeats(state)))),
        ("Shuffle", Value::of(u8::from(state.shuffle))),
        ("Id", Value::of(id(state))),
        ("IdArray", Value::of(now.ids)),
        ("TracksMax", Value::of(MOST_ENTRIES)),
        ("ProtocolInfo", Value::of(formats::taken())),
    ]
}

const NO_ID: Fault = Fault::new(800, "Id not found");
const NO_INDEX: Fault = Fault::new(802, "Index not found");
const NOT_MOVED: Fault = Fault::new(803, "Seek failed");
const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Bytes of an answer to ReadList: 1,000 entries with long metadata.
const LARGEST_LIST: usize = 4 << 20;

/// The service.
pub static SERVICE: Service = Service {
    kind: "urn:av-openhome-org:service:Playlist:1",
    id: "urn:av-openhome-org:serviceId:Playlist",
    path: "oh-playlist",
    actions: &[
        Action { name: "Play", arguments: &[] },
        Action { name: "Pause", arguments: &[] },
        Action { name: "Stop", arguments: &[] },
        Action { name: "Next", arguments: &[] },
        Action { name: "Previous", arguments: &[] },
        Action { name: "SetRepeat", arguments: &[Argument::takes("Value", "Repeat")] },
        Action { name: "Repeat", arguments: &[Argument::gives("Value", "Repeat")] },
        Action { name: "SetShuffle", arguments: &[Argument::takes("Value", "Shuffle")] },
        Action { name: "Shuffle", arguments: &[Argument::gives("Value", "Shuffle")] },
        Action { name: "SeekSecondAbsolute", arguments: &[Argument::takes("Value", "Absolute")] },
        Action { name: "SeekSecondRelative", arguments: &[Argument::takes("Value", "Relative")] },
        Action { name: "SeekId", arguments: &[Argument::takes("Value", "Id")] },
        Action { name: "SeekIndex", arguments: &[Argument::takes("Value", "Index")] },
        Action { name: "TransportState", arguments: &[Argument::gives("Value", "TransportState")] },
        Action { name: "Id", arguments: &[Argument::gives("Value", "Id")] },
        Action {
            name: "Read",
            arguments: &[
                Argument::takes("Id", "Id"),
                Argument::gives("Uri", "Uri"),
                Argument::gives("Metadata", "Metadata"),
            ],
        },
        Action {
            name: "ReadList",
            arguments: &[Argument::takes("IdList", "IdList"), Argument::gives("TrackList", "TrackList")],
        },
        Action {
            name: "Insert",
            arguments: &[
                Argument::takes("AfterId", "Id"),
                Argument::takes("Uri", "Uri"),
                Argument::takes("Metadata", "Metadata"),
                Argument::gives("NewId", "Id"),
            ],
        },
        Action { name: "DeleteId", arguments: &[Argument::takes("Value", "Id")] },
        Action { name: "DeleteAll", arguments: &[] },
        Action { name: "TracksMax", arguments: &[Argument::gives("Value", "TracksMax")] },
        Action {
            name: "IdArray",
            arguments: &[Argument::gives("Token", "IdArrayToken"), Argument::gives("Array", "IdArray")],
        },
        Action {
            name: "IdArrayChanged",
            arguments: &[
                Argument::takes("Token", "IdArrayToken"),
                Argument::gives("Value", "IdArrayChanged"),
            ],
        },
        Action { name: "ProtocolInfo", arguments: &[Argument::gives("Value", "ProtocolInfo")] },
    ],
    variables: &[
        Variable::new("TransportState", Type::Text)
            .one_of(&["Playing", "Paused", "Stopped", "Buffering"])
            .evented(),
        Variable::new("Repeat", Type::Boolean).evented(),
        Variable::new("Shuffle", Type::Boolean).evented(),
        Variable::new("Id", Type::Ui4).evented(),
        Variable::new("IdArray", Type::Base64).evented(),
        Variable::new("TracksMax", Type::Ui4).evented(),
        Variable::new("ProtocolInfo", Type::Text).evented(),
        Variable::new("Index", Type::Ui4),
        Variable::new("Relative", Type::I4),
        Variable::new("Absolute", Type::Ui4),
        Variable::new("IdList", Type::Text),
        Variable::new("TrackList", Type::Text),
        Variable::new("Uri", Type::Text),
        Variable::new("Metadata", Type::Text),
        Variable::new("IdArrayToken", Type::Ui4),
        Variable::new("IdArrayChanged", Type::Boolean),
    ],
};

#[cfg(test)]
mod tests {
    use super::base64;

    /// Reference upnp 3.8, "IdArray", and RFC 4648, 10.
    #[test]
    fn ids_are_four_bytes_each_in_base64() {
        for (bytes, want) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foobar", "Zm9vYmFy"),
            (&[0, 0, 0, 1, 0, 0, 0, 2], "AAAAAQAAAAI="),
            (&[0xff; 4], "/////w=="),
        ] {
            assert_eq!(base64(bytes), want);
        }
    }
}
