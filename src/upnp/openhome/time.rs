//! Time:1: where in the track the sound is, told once a second while it runs (reference upnp 3.8).

use std::time::Instant;

use crate::hifi::Session;
use crate::hifi::state::{State, Transport};
use crate::upnp::openhome::follow::Now;
use crate::upnp::openhome::shown::current;
use crate::upnp::service::{
    Action, Argument, Arguments, Call, Fault, Service, Type, Value, Values, Variable,
};

/// Fulfils an action: the place of this moment, and the count of tracks as it was told.
pub(super) fn act(call: &Call<'_>, session: &Session, told: &Values) -> Result<Arguments, Fault> {
    let (state, count) = (session.state(), told.iter().find(|(name, _)| *name == "TrackCount"));
    match (call.action.name, count) {
        ("Time", Some((_, Value::Text(count)))) => Ok(Arguments::new()
            .with("TrackCount", count)
            .with("Duration", duration(&state))
            .with("Seconds", second(&state, Instant::now()))),
        _ => Err(Fault::INVALID_ACTION),
    }
}

/// Returns the length of what sounds, in whole seconds; 0 when nothing is there or nobody knows.
pub(super) fn duration(state: &State) -> u32 {
    let length = current(state).map_or(0, |_| state.duration.0 / 1000);
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Returns the whole seconds that were heard; 0 when stopped.
pub(super) fn second(state: &State, now: Instant) -> u32 {
    match state.transport {
        Transport::Stopped => 0,
        _ => u32::try_from(state.position.now(now).0 / 1000).unwrap_or(u32::MAX),
    }
}

/// Returns the evented variables, in the order of the table.
pub(super) fn values(now: &Now<'_>) -> Vec<(&'static str, Value)> {
    vec![
        ("TrackCount", Value::of(now.counts.tracks)),
        ("Duration", Value::of(duration(now.state))),
        ("Seconds", Value::of(now.second)),
    ]
}

/// The service.
pub static SERVICE: Service = Service {
    kind: "urn:av-openhome-org:service:Time:1",
    id: "urn:av-openhome-org:serviceId:Time",
    path: "oh-time",
    actions: &[Action {
        name: "Time",
        arguments: &[
            Argument::gives("TrackCount", "TrackCount"),
            Argument::gives("Duration", "Duration"),
            Argument::gives("Seconds", "Seconds"),
        ],
    }],
    variables: &[
        Variable::new("TrackCount", Type::Ui4).evented(),
        Variable::new("Duration", Type::Ui4).evented(),
        Variable::new("Seconds", Type::Ui4).evented(),
    ],
};
