//! Info:1: what sounds, how it is coded, and what a station says (reference upnp 3.8). An action answers from the box as it
//! is; only its counters follow from what was told.

use crate::hifi::Session;
use crate::upnp::av::transport::view::with_cover;
use crate::upnp::openhome::follow::{Now, details, look_up};
use crate::upnp::openhome::shown::{Shown, current, station};
use crate::upnp::own::Mark;
use crate::upnp::service::{
    Action, Argument, Arguments, Call, Fault, Service, Type, Value, Values, Variable,
};

/// How what sounds is coded; nothing while it is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Details {
    /// Seconds, rounded down.
    pub duration: u32,
    /// Bits in a second in the mean; 0 unknown.
    pub bit_rate: u32,
    /// Bits of a sample; 0 where the coding has none.
    pub bit_depth: u32,
    /// Samples in a second.
    pub sample_rate: u32,
    /// The studio's samples come back.
    pub lossless: bool,
    /// Its name.
    pub codec: &'static str,
}

/// How often what was told changed; details and metatext since the track began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Tracks.
    pub tracks: u32,
    /// Details of the track.
    pub details: u32,
    /// Words of the station.
    pub metatexts: u32,
}

/// Fulfils an action from the box as it is now, so that an app reads what it just wrote; only what counts changes is as it was
/// told.
pub(super) async fn act(
    call: &Call<'_>,
    session: &Session,
    mark: Mark,
    told: &Values,
) -> Result<Arguments, Fault> {
    let (state, answer) = (session.state(), Arguments::new());
    match call.action.name {
        "Counters" => call.action.gives().try_fold(answer, |answer, argument| {
            match told.iter().find(|(name, _)| *name == argument.variable) {
                Some((_, Value::Text(count))) => Ok(answer.with_text(argument.name, count.clone())),
                _ => Err(Fault::ACTION_FAILED),
            }
        }),
        "Track" => {
            let entry = current(&state).map(|entry| with_cover(entry.clone(), &state, call.host));
            let shown = entry.map(|entry| Shown::readable(&entry, call.host, mark)).unwrap_or_default();
            Ok(answer.with_text("Uri", shown.uri).with_text("Metadata", shown.metadata))
        }
        "Details" => {
            let track = look_up(session, &state, None).await;
            let track = track.as_ref().and_then(|looked| looked.track.as_deref());
            let details = details(&state, track).unwrap_or_default();
            Ok(answer
                .with("Duration", details.duration)
                .with("BitRate", details.bit_rate)
                .with("BitDepth", details.bit_depth)
                .with("SampleRate", details.sample_rate)
                .with("Lossless", u8::from(details.lossless))
                .with("CodecName", details.codec))
        }
        "Metatext" => Ok(answer.with_text("Value", station(&state))),
        _ => Err(Fault::INVALID_ACTION),
    }
}

/// Returns the evented variables, in the order of the table.
pub(super) fn values(now: &Now<'_>) -> Vec<(&'static str, Value)> {
    let (counts, details) = (now.counts, now.details);
    vec![
        ("TrackCount", Value::of(counts.tracks)),
        ("DetailsCount", Value::of(counts.details)),
        ("MetatextCount", Value::of(counts.metatexts)),
        ("Uri", Value::of(&now.shown.uri)),
        ("Metadata", Value::of(&now.shown.metadata)),
        ("Duration", Value::of(details.duration)),
        ("BitRate", Value::of(details.bit_rate)),
        ("BitDepth", Value::of(details.bit_depth)),
        ("SampleRate", Value::of(details.sample_rate)),
        ("Lossless", Value::of(u8::from(details.lossless))),
        ("CodecName", Value::of(details.codec)),
        ("Metatext", Value::of(now.metatext)),
    ]
}

/// The service.
pub static SERVICE: Service = Service {
    kind: "urn:av-openhome-org:service:Info:1",
    id: "urn:av-openhome-org:serviceId:Info",
    path: "oh-info",
    actions: &[
        Action {
            name: "Counters",
            arguments: &[
                Argument::gives("TrackCount", "TrackCount"),
                Argument::gives("DetailsCount", "DetailsCount"),
                Argument::gives("MetatextCount", "MetatextCount"),
            ],
        },
        Action {
            name: "Track",
            arguments: &[Argument::gives("Uri", "Uri"), Argument::gives("Metadata", "Metadata")],
        },
        Action {
            name: "Details",
            arguments: &[
                Argument::gives("Duration", "Duration"),
                Argument::gives("BitRate", "BitRate"),
                Argument::gives("BitDepth", "BitDepth"),
                Argument::gives("SampleRate", "SampleRate"),
                Argument::gives("Lossless", "Lossless"),
                Argument::gives("CodecName", "CodecName"),
            ],
        },
        Action { name: "Metatext", arguments: &[Argument::gives("Value", "Metatext")] },
    ],
    variables: &[
        Variable::new("TrackCount", Type::Ui4).evented(),
        Variable::new("DetailsCount", Type::Ui4).evented(),
        Variable::new("MetatextCount", Type::Ui4).evented(),
        Variable::new("Uri", Type::Text).evented(),
        Variable::new("Metadata", Type::Text).evented(),
        Variable::new("Duration", Type::Ui4).evented(),
        Variable::new("BitRate", Type::Ui4).evented(),
        Variable::new("BitDepth", Type::Ui4).evented(),
        Variable::new("SampleRate", Type::Ui4).evented(),
        Variable::new("Lossless", Type::Boolean).evented(),
        Variable::new("CodecName", Type::Text).evented(),
        Variable::new("Metatext", Type::Text).evented(),
    ],
};
