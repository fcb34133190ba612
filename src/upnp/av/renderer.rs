//! What the renderer tells subscribers: follows the box, and hands on each snapshot as the variables of AVTransport and
//! RenderingControl. Runs as one task; keeps nothing beyond the last snapshot.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

use crate::hifi::Hifi;
use crate::hifi::state::{State, Transport};
use crate::offer::{Caller, Via};
use crate::upnp::av::rendering;
use crate::upnp::av::transport::view::{self, Reached};
use crate::upnp::own::Mark;
use crate::upnp::service::{HERE, LastChange, Value, Values};

/// The evented variables of both services.
pub struct Told {
    /// Of AVTransport.
    pub transport: watch::Sender<Values>,
    /// Of RenderingControl.
    pub rendering: watch::Sender<Values>,
}

impl Told {
    /// Returns the variables of a box as it is now.
    pub fn new(hifi: &Hifi, mark: Mark) -> Told {
        let state = hifi.of(Caller::room(Via::Upnp)).state();
        Told {
            transport: watch::Sender::new(values(view::last_change(&state, reached(mark), 0))),
            rendering: watch::Sender::new(values(rendering::last_change(&state))),
        }
    }

    fn tell(&self, state: &State, mark: Mark, moves: u64) {
        set(&self.transport, view::last_change(state, reached(mark), moves));
        set(&self.rendering, rendering::last_change(state));
    }
}

/// Follows the box until the stop token falls. What is being opened is told as TRANSITIONING only when that takes more than
/// 200 ms (reference upnp 7.1).
pub async fn follow(hifi: Hifi, mark: Mark, told: Told, stop: CancellationToken) {
    let session = hifi.of(Caller::room(Via::Upnp));
    let mut states = session.watch();
    let (mut moves, mut last): (u64, Option<Arc<State>>) = (0, None);
    let mut opening: Option<Instant> = None;
    loop {
        let state = states.borrow_and_update().clone();
        moves += u64::from(last.as_ref().is_some_and(|last| has_moved(last, &state)));
        opening = opening.filter(|_| is_opening(&state)).or(is_opening(&state).then(Instant::now));
        let due = opening.map(|since| since + OPENS_WITHIN);
        let waits = due.filter(|due| *due > Instant::now());
        if waits.is_none() {
            told.tell(&state, mark, moves);
        }
        last = Some(state);
        tokio::select! {
            () = stop.cancelled() => return,
            changed = states.changed() => if changed.is_err() { return },
            () = async { sleep_until(waits.unwrap_or_else(Instant::now).into()).await }, if waits.is_some() => {}
        }
    }
}

/// Each subscriber is told the address of ours that it knows.
fn reached(mark: Mark) -> Reached {
    Reached { host: HERE, mark }
}

fn is_opening(state: &State) -> bool {
    state.transport == Transport::Opening
}

/// Returns whether the same entry is at another place than its clock led to, or began again.
fn has_moved(before: &State, now: &State) -> bool {
    if before.current != now.current || now.current.is_none() || now.transport == Transport::Stopped {
        return false;
    }
    let at = now.position.at;
    let apart = before.position.now(at).0.abs_diff(now.position.now(at).0);
    let again = now.starts != before.starts && before.transport != Transport::Opening;
    again || (apart > JUMP_MS && !is_opening(now) && !is_opening(before))
}

fn set(to: &watch::Sender<Values>, all: LastChange) {
    let fresh = values(all);
    to.send_if_modified(|known| {
        let differs = *known != fresh;
        if differs {
            *known = fresh;
        }
        differs
    });
}

fn values(all: LastChange) -> Values {
    Arc::new(vec![("LastChange", Value::LastChange(Arc::new(all)))])
}

/// Reference upnp 7.1.
const OPENS_WITHIN: Duration = Duration::from_millis(200);
/// What no clock that is set right now and then makes.
const JUMP_MS: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upnp::service::Told as Variable;

    fn all(value: &str, of: u64) -> Value {
        let variable = |name, value: &str, of| Variable { name, channel: None, value: value.to_owned(), of };
        let variables = vec![variable("AVTransportURI", value, of), variable("TransportState", "PLAYING", 0)];
        Value::LastChange(Arc::new(LastChange { space: "s", variables }))
    }

    #[test]
    fn only_what_differs_is_told_and_the_same_song_twice_is_told_twice() {
        let since = |now: &Value, before: Option<&Value>| match now {
            Value::LastChange(now) => now.since(before),
            other => panic!("{other:?}"),
        };
        let (first, again) = (all("u", 1), all("u", 2));
        let whole = since(&first, None).expect("all of it");
        assert!(whole.contains("AVTransportURI val=\"u\"") && whole.contains("TransportState"), "{whole}");
        assert_eq!(since(&first, Some(&first)), None);
        let text = since(&again, Some(&first)).expect("another instance");
        assert!(text.contains("AVTransportURI val=\"u\"") && !text.contains("TransportState"), "{text}");
    }
}
