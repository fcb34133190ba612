//! Info:1: what sounds, how it is coded, and what a station says (reference upnp 3.8). What its counters say follows from
//! what was told, so actions and events cannot differ.

use crate::upnp::openhome::follow::Now;
use crate::upnp::service::{
    Action, Argument, Arguments, Call, Fault, Service, Type, Value, Values, Variable, at_host,
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

/// Fulfils an action from what is told.
pub(super) fn act(call: &Call<'_>, told: &Values) -> Result<Arguments, Fault> {
    // Each argument is the variable of its own name, but for the one of Metatext.
    call.action.gives().try_fold(Arguments::new(), |answer, argument| {
        let found = told.iter().find(|(name, _)| *name == argument.variable);
        match found {
            Some((_, Value::Text(text))) => {
                Ok(answer.with_text(argument.name, at_host(text, call.host).into_owned()))
            }
            _ => Err(Fault::ACTION_FAILED),
        }
    })
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
