//! RenderingControl:1 (reference upnp 3.4 and 7.4): the one knob of the box and its mute. Holds no state.

pub mod table;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::hifi::Hifi;
use crate::hifi::command::{Command, Refused};
use crate::hifi::state::State;
use crate::hifi::volume::{at_below_full, below_full};
use crate::units::{Gain, Volume};
use crate::upnp::refusals::{Asked, fault};
use crate::upnp::service::{Arguments, Call, Fault, Handler, LastChange, Told, Values};

/// The service's handler.
pub struct RenderingControl {
    hifi: Hifi,
    values: watch::Receiver<Values>,
}

impl RenderingControl {
    /// Returns the handler; `values` come from [`super::renderer::follow`].
    pub fn new(hifi: Hifi, values: watch::Receiver<Values>) -> RenderingControl {
        RenderingControl { hifi, values }
    }

    async fn call(&self, call: Call<'_>) -> Result<Arguments, Fault> {
        if call.given.number("InstanceID") != 0 {
            return Err(Fault::new(702, "Invalid InstanceID"));
        }
        let session = self.hifi.of(call.caller.clone());
        let state = session.state();
        let answer = Arguments::new();
        let command = match call.action.name {
            "ListPresets" => return Ok(answer.with("CurrentPresetNameList", PRESETS)),
            "GetVolume" => return Ok(answer.with("CurrentVolume", state.volume.value())),
            "GetVolumeDB" => return Ok(answer.with("CurrentVolume", decibels(&state))),
            "GetVolumeDBRange" => return Ok(answer.with("MinValue", table::LOWEST).with("MaxValue", 0)),
            "GetMute" => return Ok(answer.with_truth("CurrentMute", state.mute)),
            "SetVolume" => Command::SetVolume(volume(call.given.number("DesiredVolume"))?),
            "SetVolumeDB" => Command::SetVolume(at_below_full(Gain(call.given.signed("DesiredVolume")))),
            "SetMute" => Command::SetMute(call.given.truth("DesiredMute")),
            // A preset makes nothing louder, and a muted box stays muted.
            "SelectPreset" => Command::MoveVolume(-i16::from(state.volume.value().saturating_sub(FACTORY))),
            _ => return Err(Fault::INVALID_ACTION),
        };
        match session.send(command.clone()).await? {
            // The amplifier has the knob: 100 is told and stays (reference upnp 7.4, "fixed output").
            Err(Refused::FixedVolume) if !matches!(command, Command::SetMute(_)) => Ok(answer),
            done => done.map(|_| answer).map_err(|refused| fault(Asked::Rendering, refused)),
        }
    }
}

impl Handler for RenderingControl {
    fn act<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Arguments, Fault>> {
        Box::pin(self.call(call))
    }

    fn variables(&self) -> watch::Receiver<Values> {
        self.values.clone()
    }
}

/// Returns what subscribers are told.
pub fn last_change(state: &State) -> LastChange {
    let told = |name, channel, value: String| Told { name, channel, value, of: 0 };
    let variables = vec![
        told("Volume", MASTER, state.volume.value().to_string()),
        told("Mute", MASTER, u8::from(state.mute).to_string()),
        told("VolumeDB", MASTER, decibels(state).to_string()),
        told("PresetNameList", None, PRESETS.to_owned()),
    ];
    LastChange { space: "urn:schemas-upnp-org:metadata-1-0/RCS/", variables }
}

/// The knob in 1/256 dB below its highest.
fn decibels(state: &State) -> i32 {
    below_full(state.volume).0
}

fn volume(value: u32) -> Result<Volume, Fault> {
    u8::try_from(value).ok().and_then(Volume::new).ok_or(Fault::OUT_OF_RANGE)
}

/// JRiver ignores a volume without its channel (reference upnp 3.5).
const MASTER: Option<&str> = Some("Master");
const PRESETS: &str = "FactoryDefaults";
/// What the knob of a box stands at before anybody turned it.
const FACTORY: u8 = 25;
