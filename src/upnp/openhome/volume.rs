//! Volume:1: the one knob, 0 to 100 (reference upnp 3.8, 7.4). A stereo has no balance or fade to turn.

use crate::hifi::Session;
use crate::hifi::command::Command;
use crate::hifi::state::State;
use crate::units::Volume;
use crate::upnp::openhome::follow::Now;
use crate::upnp::openhome::tell;
use crate::upnp::refusals::Asked;
use crate::upnp::service::{Action, Argument, Arguments, Call, Fault, Service, Type, Value, Variable};

/// Fulfils an action.
pub(super) async fn act(call: &Call<'_>, session: &Session) -> Result<Arguments, Fault> {
    let (given, answer) = (&call.given, Arguments::new());
    match call.action.name {
        "Characteristics" => Ok(answer
            .with("VolumeMax", MAX)
            .with("VolumeUnity", MAX)
            .with("VolumeSteps", MAX)
            .with("VolumeMilliDbPerStep", MILLI_DB)
            .with("BalanceMax", 0)
            .with("FadeMax", 0)),
        "SetVolume" => set(given.number("Value"), session).await,
        // At the end of its way the knob stays, which is no fault.
        "VolumeInc" => tell(session, Command::MoveVolume(1), Asked::Volume).await,
        "VolumeDec" => tell(session, Command::MoveVolume(-1), Asked::Volume).await,
        "Volume" => Ok(answer.with("Value", session.state().volume.value())),
        "SetMute" => tell(session, Command::SetMute(given.truth("Value")), Asked::Volume).await,
        "Mute" => Ok(answer.with_truth("Value", session.state().mute)),
        "VolumeLimit" => Ok(answer.with("Value", limit(&session.state()))),
        "SetBalance" if given.signed("Value") == 0 => Ok(answer),
        "SetBalance" => Err(Fault::new(812, "Balance invalid")),
        "SetFade" if given.signed("Value") == 0 => Ok(answer),
        "SetFade" => Err(Fault::new(813, "Fade invalid")),
        "BalanceInc" | "BalanceDec" | "FadeInc" | "FadeDec" => Err(Fault::new(801, "Not supported")),
        "Balance" | "Fade" => Ok(answer.with("Value", 0)),
        _ => Err(Fault::INVALID_ACTION),
    }
}

/// Turns the knob. In quiet hours it stops at their limit.
async fn set(value: u32, session: &Session) -> Result<Arguments, Fault> {
    let volume = u8::try_from(value).ok().and_then(Volume::new).ok_or(TOO_HIGH)?;
    tell(session, Command::SetVolume(volume), Asked::Volume).await
}

/// Returns how far the knob goes at the moment.
fn limit(state: &State) -> u8 {
    state.quiet.because.map_or(Volume::MAX, |_| state.quiet.limit).value()
}

/// Returns the evented variables, in the order of the table.
pub(super) fn values(now: &Now<'_>) -> Vec<(&'static str, Value)> {
    let state = now.state;
    vec![
        ("Volume", Value::of(state.volume.value())),
        ("Mute", Value::of(u8::from(state.mute))),
        ("Balance", Value::of(0)),
        ("Fade", Value::of(0)),
        ("VolumeLimit", Value::of(limit(state))),
        ("VolumeMax", Value::of(MAX)),
        ("VolumeUnity", Value::of(MAX)),
        ("VolumeSteps", Value::of(MAX)),
        ("VolumeMilliDbPerStep", Value::of(MILLI_DB)),
        ("BalanceMax", Value::of(0)),
        ("FadeMax", Value::of(0)),
    ]
}

const TOO_HIGH: Fault = Fault::new(811, "Volume invalid");
const MAX: u8 = 100;
/// One decibel in OpenHome's binary thousandths.
const MILLI_DB: u32 = 1024;

/// The service.
pub static SERVICE: Service = Service {
    kind: "urn:av-openhome-org:service:Volume:1",
    id: "urn:av-openhome-org:serviceId:Volume",
    path: "oh-volume",
    actions: &[
        Action {
            name: "Characteristics",
            arguments: &[
                Argument::gives("VolumeMax", "VolumeMax"),
                Argument::gives("VolumeUnity", "VolumeUnity"),
                Argument::gives("VolumeSteps", "VolumeSteps"),
                Argument::gives("VolumeMilliDbPerStep", "VolumeMilliDbPerStep"),
                Argument::gives("BalanceMax", "BalanceMax"),
                Argument::gives("FadeMax", "FadeMax"),
            ],
        },
        Action { name: "SetVolume", arguments: &[Argument::takes("Value", "Volume")] },
        Action { name: "VolumeInc", arguments: &[] },
        Action { name: "VolumeDec", arguments: &[] },
        Action { name: "Volume", arguments: &[Argument::gives("Value", "Volume")] },
        Action { name: "SetBalance", arguments: &[Argument::takes("Value", "Balance")] },
        Action { name: "BalanceInc", arguments: &[] },
        Action { name: "BalanceDec", arguments: &[] },
        Action { name: "Balance", arguments: &[Argument::gives("Value", "Balance")] },
        Action { name: "SetFade", arguments: &[Argument::takes("Value", "Fade")] },
        Action { name: "FadeInc", arguments: &[] },
        Action { name: "FadeDec", arguments: &[] },
        Action { name: "Fade", arguments: &[Argument::gives("Value", "Fade")] },
        Action { name: "SetMute", arguments: &[Argument::takes("Value", "Mute")] },
        Action { name: "Mute", arguments: &[Argument::gives("Value", "Mute")] },
        Action { name: "VolumeLimit", arguments: &[Argument::gives("Value", "VolumeLimit")] },
    ],
    variables: &[
        Variable::new("Volume", Type::Ui4).within(0, 100).refused(811).evented(),
        Variable::new("Mute", Type::Boolean).evented(),
        Variable::new("Balance", Type::I4).evented(),
        Variable::new("Fade", Type::I4).evented(),
        Variable::new("VolumeLimit", Type::Ui4).evented(),
        Variable::new("VolumeMax", Type::Ui4).evented(),
        Variable::new("VolumeUnity", Type::Ui4).evented(),
        Variable::new("VolumeSteps", Type::Ui4).evented(),
        Variable::new("VolumeMilliDbPerStep", Type::Ui4).evented(),
        Variable::new("BalanceMax", Type::Ui4).evented(),
        Variable::new("FadeMax", Type::Ui4).evented(),
    ],
};
