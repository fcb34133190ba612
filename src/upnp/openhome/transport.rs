//! Transport:1: the keys, whichever source is chosen (reference upnp 3.8).

use crate::hifi::Session;
use crate::hifi::command::{Command, Input, QueueId};
use crate::hifi::state::{Source as Sounds, State, Transport};
use crate::upnp::openhome::follow::Now;
use crate::upnp::openhome::playlist::{id_at, repeats, set_repeat};
use crate::upnp::openhome::{Source, play, seek_absolute, seek_relative, tell, transport_name};
use crate::upnp::refusals::Asked;
use crate::upnp::service::{Action, Argument, Arguments, Call, Fault, Service, Type, Value, Variable};

/// Fulfils an action.
pub(super) async fn act(call: &Call<'_>, session: &Session) -> Result<Arguments, Fault> {
    let (given, answer, state) = (&call.given, Arguments::new(), session.state());
    let can = Can::of(&state);
    match call.action.name {
        "PlayAs" => play_as(&state, given.text("Mode"), given.text("Command"), session).await,
        "Play" if is_empty(&state) => Err(NOT_HERE),
        "Play" => play(session, Command::Play(None)).await,
        "Pause" => tell(session, Command::Pause, Asked::Key).await,
        "Stop" => tell(session, Command::Stop, Asked::Key).await,
        "SkipNext" if can.skip_next => play(session, Command::Next).await,
        "SkipPrevious" if can.skip_previous => play(session, Command::Previous).await,
        "SetRepeat" if can.order => tell(session, set_repeat(given.truth("Repeat")), Asked::Key).await,
        "SetShuffle" if can.order => {
            tell(session, Command::SetShuffle(given.truth("Shuffle")), Asked::Key).await
        }
        "SkipNext" | "SkipPrevious" | "SetRepeat" | "SetShuffle" => Err(NOT_HERE),
        "SeekSecondAbsolute" | "SeekSecondRelative" if given.number("StreamId") != stream(&state) => {
            Err(Fault::new(804, "Stream is not the current one"))
        }
        "SeekSecondAbsolute" => seek_absolute(session, &state, given.number("SecondAbsolute")).await,
        "SeekSecondRelative" => seek_relative(session, &state, given.signed("SecondRelative")).await,
        "TransportState" => Ok(answer.with("State", transport_name(state.transport))),
        "Modes" => Ok(answer.with("Modes", modes())),
        "ModeInfo" => Ok(answer
            .with_truth("CanSkipNext", can.skip_next)
            .with_truth("CanSkipPrevious", can.skip_previous)
            .with_truth("CanRepeat", can.order)
            .with_truth("CanShuffle", can.order)),
        "StreamInfo" => Ok(answer
            .with("StreamId", stream(&state))
            .with_truth("CanSeek", can.seek)
            .with_truth("CanPause", can.pause)),
        "StreamId" => Ok(answer.with("StreamId", stream(&state))),
        "Repeat" => Ok(answer.with_truth("Repeat", repeats(&state))),
        "Shuffle" => Ok(answer.with_truth("Shuffle", state.shuffle)),
        _ => Err(Fault::INVALID_ACTION),
    }
}

/// Chooses a source and plays something of it: of the queue `id=N`, `index=N` or nothing more; of the deck what is on it.
async fn play_as(state: &State, mode: &str, command: &str, session: &Session) -> Result<Arguments, Fault> {
    let source = Source::ALL.into_iter().find(|source| source.kind() == mode).ok_or(NOT_HERE)?;
    let number = |text: &str| text.trim().parse::<u32>().map_err(|_| Fault::VALUE_INVALID);
    let is_on = source.input() == state.source.input() && !is_empty(state);
    match (source, command.trim().split_once('=')) {
        (Source::Playlist, Some(("id", id))) => {
            play(session, Command::Play(Some(QueueId(number(id)?)))).await
        }
        (Source::Playlist, Some(("index", index))) => {
            play(session, Command::Play(Some(id_at(state, number(index)?)?))).await
        }
        (Source::Playlist, None) if command.trim().is_empty() => match state.place {
            Some(id) if state.source.input() != Input::Queue => play(session, Command::Play(Some(id))).await,
            _ => play(session, Command::Play(None)).await,
        },
        // There are no presets to be named.
        (Source::Radio, Some(("id", id))) => number(id).and(Err(Fault::new(800, "Id not found"))),
        (Source::Radio | Source::UpnpAv, None) if is_on => play(session, Command::Play(None)).await,
        (Source::Radio | Source::UpnpAv, None) => Err(NOT_HERE),
        _ => Err(Fault::VALUE_INVALID),
    }
}

/// What the source that is chosen lets be done.
struct Can {
    skip_next: bool,
    skip_previous: bool,
    /// Repeat and shuffle.
    order: bool,
    seek: bool,
    pause: bool,
}

impl Can {
    fn of(state: &State) -> Can {
        let is_queue = state.source == Sounds::Queue;
        let has_next = matches!(&state.source, Sounds::Guest { next: Some(_), .. });
        let sounds = matches!(state.transport, Transport::Playing | Transport::Paused);
        Can {
            skip_next: is_queue || has_next,
            skip_previous: is_queue,
            order: is_queue,
            seek: sounds && state.seekable && state.duration > crate::units::Millis::ZERO,
            pause: sounds,
        }
    }
}

fn is_empty(state: &State) -> bool {
    matches!(state.source, Sounds::Empty { .. })
}

/// Returns the number of what sounds; of what is being opened, that which it will have.
fn stream(state: &State) -> u32 {
    // Wrapping round is fine: only whether it is the same one counts.
    (state.starts + u64::from(state.transport == Transport::Opening)) as u32
}

/// Returns the names of the modes as a JSON array.
fn modes() -> String {
    let names = Source::ALL.map(|source| format!("\"{}\"", source.kind()));
    format!("[{}]", names.join(","))
}

/// Returns the evented variables, in the order of the table.
pub(super) fn values(now: &Now<'_>) -> Vec<(&'static str, Value)> {
    let (state, can) = (now.state, Can::of(now.state));
    let truth = |value: bool| Value::of(u8::from(value));
    vec![
        ("Modes", Value::of(modes())),
        ("CanSkipNext", truth(can.skip_next)),
        ("CanSkipPrevious", truth(can.skip_previous)),
        ("CanRepeat", truth(can.order)),
        ("CanShuffle", truth(can.order)),
        ("StreamId", Value::of(stream(state))),
        ("CanSeek", truth(can.seek)),
        ("CanPause", truth(can.pause)),
        ("TransportState", Value::of(transport_name(now.transport))),
        ("Repeat", truth(repeats(state))),
        ("Shuffle", truth(state.shuffle)),
    ]
}

const NOT_HERE: Fault = Fault::new(801, "Not available in this mode");

/// The service.
pub static SERVICE: Service = Service {
    kind: "urn:av-openhome-org:service:Transport:1",
    id: "urn:av-openhome-org:serviceId:Transport",
    path: "oh-transport",
    actions: &[
        Action {
            name: "PlayAs",
            arguments: &[Argument::takes("Mode", "Mode"), Argument::takes("Command", "Command")],
        },
        Action { name: "Play", arguments: &[] },
        Action { name: "Pause", arguments: &[] },
        Action { name: "Stop", arguments: &[] },
        Action { name: "SkipNext", arguments: &[] },
        Action { name: "SkipPrevious", arguments: &[] },
        Action { name: "SetRepeat", arguments: &[Argument::takes("Repeat", "Repeat")] },
        Action { name: "SetShuffle", arguments: &[Argument::takes("Shuffle", "Shuffle")] },
        Action {
            name: "SeekSecondAbsolute",
            arguments: &[
                Argument::takes("StreamId", "StreamId"),
                Argument::takes("SecondAbsolute", "SecondAbsolute"),
            ],
        },
        Action {
            name: "SeekSecondRelative",
            arguments: &[
                Argument::takes("StreamId", "StreamId"),
                Argument::takes("SecondRelative", "SecondRelative"),
            ],
        },
        Action { name: "TransportState", arguments: &[Argument::gives("State", "TransportState")] },
        Action { name: "Modes", arguments: &[Argument::gives("Modes", "Modes")] },
        Action {
            name: "ModeInfo",
            arguments: &[
                Argument::gives("CanSkipNext", "CanSkipNext"),
                Argument::gives("CanSkipPrevious", "CanSkipPrevious"),
                Argument::gives("CanRepeat", "CanRepeat"),
                Argument::gives("CanShuffle", "CanShuffle"),
            ],
        },
        Action {
            name: "StreamInfo",
            arguments: &[
                Argument::gives("StreamId", "StreamId"),
                Argument::gives("CanSeek", "CanSeek"),
                Argument::gives("CanPause", "CanPause"),
            ],
        },
        Action { name: "StreamId", arguments: &[Argument::gives("StreamId", "StreamId")] },
        Action { name: "Repeat", arguments: &[Argument::gives("Repeat", "Repeat")] },
        Action { name: "Shuffle", arguments: &[Argument::gives("Shuffle", "Shuffle")] },
    ],
    variables: &[
        Variable::new("Modes", Type::Text).evented(),
        Variable::new("CanSkipNext", Type::Boolean).evented(),
        Variable::new("CanSkipPrevious", Type::Boolean).evented(),
        Variable::new("CanRepeat", Type::Boolean).evented(),
        Variable::new("CanShuffle", Type::Boolean).evented(),
        Variable::new("StreamId", Type::Ui4).evented(),
        Variable::new("CanSeek", Type::Boolean).evented(),
        Variable::new("CanPause", Type::Boolean).evented(),
        Variable::new("TransportState", Type::Text)
            .one_of(&["Playing", "Paused", "Stopped", "Buffering", "Waiting"])
            .evented(),
        Variable::new("Repeat", Type::Boolean).evented(),
        Variable::new("Shuffle", Type::Boolean).evented(),
        Variable::new("Mode", Type::Text),
        Variable::new("Command", Type::Text),
        Variable::new("SecondAbsolute", Type::Ui4),
        Variable::new("SecondRelative", Type::I4),
    ],
};
