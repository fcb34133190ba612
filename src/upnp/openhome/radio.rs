//! Radio:1: the deck beside the queue, one URL at a time (reference upnp 3.8). The box keeps no presets: the list of
//! channels is empty and stays so.

use crate::hifi::Session;
use crate::hifi::command::Command;
use crate::hifi::state::State;
use crate::offer::Via;
use crate::upnp::openhome::follow::Now;
use crate::upnp::openhome::shown::{Shown, current};
use crate::upnp::openhome::{Source, play, seek_absolute, seek_relative, tell, transport_of};
use crate::upnp::own::Mark;
use crate::upnp::refusals::Asked;
use crate::upnp::service::{Action, Argument, Arguments, Call, Fault, Service, Type, Value, Variable};
use crate::upnp::{formats, handed};

/// Fulfils an action.
pub(super) async fn act(call: &Call<'_>, session: &Session, mark: Mark) -> Result<Arguments, Fault> {
    let (given, answer, state) = (&call.given, Arguments::new(), session.state());
    let is_chosen = Source::of(&state) == Source::Radio;
    match call.action.name {
        "SetChannel" => set_channel(given.text("Uri"), given.text("Metadata"), session).await,
        "Channel" => {
            let shown = channel(&state).map(|entry| Shown::verbatim(entry, call.host, mark));
            let Shown { uri, metadata } = shown.unwrap_or_default();
            Ok(answer.with_text("Uri", uri).with_text("Metadata", metadata))
        }
        // Without a channel there is nothing to play, which is no fault; the state goes on to say stopped.
        "Play" if channel(&state).is_some() => play(session, Command::Play(None)).await,
        "Play" => tell(session, Command::SetInput(Source::Radio.input()), Asked::Key).await,
        // What another source plays is not this one's to stop or move.
        "Pause" | "Stop" if !is_chosen => Ok(answer),
        "Pause" => tell(session, Command::Pause, Asked::Key).await,
        "Stop" => tell(session, Command::Stop, Asked::Key).await,
        "SeekSecondAbsolute" | "SeekSecondRelative" if !is_chosen => Err(Fault::new(803, "Seek failed")),
        "SeekSecondAbsolute" => seek_absolute(session, &state, given.number("Value")).await,
        "SeekSecondRelative" => seek_relative(session, &state, given.signed("Value")).await,
        "TransportState" => Ok(answer.with("Value", transport_of(&state, state.transport, Source::Radio))),
        "Id" => Ok(answer.with("Value", 0)),
        "SetId" | "Read" => Err(Fault::new(800, "Id not found")),
        "ReadList" => Ok(answer.with("ChannelList", "<ChannelList></ChannelList>")),
        "IdArray" => Ok(answer.with("Token", 0).with("Array", "")),
        "IdArrayChanged" => Ok(answer.with_truth("Value", given.number("Token") != 0)),
        "ChannelsMax" => Ok(answer.with("Value", 0)),
        "ProtocolInfo" => Ok(answer.with("Value", formats::taken())),
        _ => Err(Fault::INVALID_ACTION),
    }
}

/// Puts a URL on the deck, where it waits for Play unless something sounds; without one the deck is emptied, and the queue
/// stays as it is.
async fn set_channel(uri: &str, metadata: &str, session: &Session) -> Result<Arguments, Fault> {
    let command = match uri.trim().is_empty() {
        true => handed::emptied(&session.state(), Via::OpenHome),
        false => Some(Command::SetGuest(Some(handed::entry(uri, metadata)))),
    };
    match command {
        Some(command) => tell(session, command, Asked::Entry).await,
        None => Ok(Arguments::new()),
    }
}

/// Returns what is on the deck as this service wrote it.
fn channel(state: &State) -> Option<&crate::hifi::state::Entry> {
    (Source::of(state) == Source::Radio).then(|| current(state)).flatten()
}

/// Returns the evented variables, in the order of the table.
pub(super) fn values(now: &Now<'_>) -> Vec<(&'static str, Value)> {
    let state = now.state;
    let shown = if channel(state).is_some() { now.shown } else { &Shown::default() };
    vec![
        ("Uri", Value::of(&shown.uri)),
        ("Metadata", Value::of(&shown.metadata)),
        ("TransportState", Value::of(transport_of(state, now.transport, Source::Radio))),
        ("Id", Value::of(0)),
        ("IdArray", Value::of("")),
        ("ChannelsMax", Value::of(0)),
        ("ProtocolInfo", Value::of(formats::taken())),
    ]
}

/// The service.
pub static SERVICE: Service = Service {
    kind: "urn:av-openhome-org:service:Radio:1",
    id: "urn:av-openhome-org:serviceId:Radio",
    path: "oh-radio",
    actions: &[
        Action { name: "Play", arguments: &[] },
        Action { name: "Pause", arguments: &[] },
        Action { name: "Stop", arguments: &[] },
        Action { name: "SeekSecondAbsolute", arguments: &[Argument::takes("Value", "Absolute")] },
        Action { name: "SeekSecondRelative", arguments: &[Argument::takes("Value", "Relative")] },
        Action {
            name: "Channel",
            arguments: &[Argument::gives("Uri", "Uri"), Argument::gives("Metadata", "Metadata")],
        },
        Action {
            name: "SetChannel",
            arguments: &[Argument::takes("Uri", "Uri"), Argument::takes("Metadata", "Metadata")],
        },
        Action { name: "TransportState", arguments: &[Argument::gives("Value", "TransportState")] },
        Action { name: "Id", arguments: &[Argument::gives("Value", "Id")] },
        Action { name: "SetId", arguments: &[Argument::takes("Value", "Id"), Argument::takes("Uri", "Uri")] },
        Action {
            name: "Read",
            arguments: &[Argument::takes("Id", "Id"), Argument::gives("Metadata", "Metadata")],
        },
        Action {
            name: "ReadList",
            arguments: &[Argument::takes("IdList", "IdList"), Argument::gives("ChannelList", "ChannelList")],
        },
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
        Action { name: "ChannelsMax", arguments: &[Argument::gives("Value", "ChannelsMax")] },
        Action { name: "ProtocolInfo", arguments: &[Argument::gives("Value", "ProtocolInfo")] },
    ],
    variables: &[
        Variable::new("Uri", Type::Text).evented(),
        Variable::new("Metadata", Type::Text).evented(),
        Variable::new("TransportState", Type::Text)
            .one_of(&["Playing", "Paused", "Stopped", "Buffering"])
            .evented(),
        Variable::new("Id", Type::Ui4).evented(),
        Variable::new("IdArray", Type::Base64).evented(),
        Variable::new("ChannelsMax", Type::Ui4).evented(),
        Variable::new("ProtocolInfo", Type::Text).evented(),
        Variable::new("Absolute", Type::Ui4),
        Variable::new("Relative", Type::I4),
        Variable::new("IdList", Type::Text),
        Variable::new("ChannelList", Type::Text),
        Variable::new("IdArrayToken", Type::Ui4),
        Variable::new("IdArrayChanged", Type::Boolean),
    ],
};
