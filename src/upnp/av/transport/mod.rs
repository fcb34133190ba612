//! AVTransport:1 (reference upnp 3.3 and 7): an app puts one thing after the other on the box's deck and works its knobs.
//! Holds no music state: what it answers follows from the newest snapshot.

pub mod table;
pub mod times;
pub mod view;

use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::hifi::command::{Command, NewEntry, Refused, Repeat};
use crate::hifi::state::Source;
use crate::hifi::{Hifi, Session};
use crate::units::Millis;
use crate::upnp::av::transport::view::{Reached, View};
use crate::upnp::handed;
use crate::upnp::own::Mark;
use crate::upnp::refusals::{Asked, fault};
use crate::upnp::service::{Arguments, Call, Fault, Handler, Values};

/// The service's handler.
pub struct AvTransport {
    hifi: Hifi,
    mark: Mark,
    values: watch::Receiver<Values>,
}

impl AvTransport {
    /// Returns the handler of a box whose files' names carry this mark; `values` come from [`super::renderer::follow`].
    pub fn new(hifi: Hifi, mark: Mark, values: watch::Receiver<Values>) -> AvTransport {
        AvTransport { hifi, mark, values }
    }

    async fn call(&self, call: Call<'_>) -> Result<Arguments, Fault> {
        if call.given.number("InstanceID") != 0 {
            return Err(Fault::new(718, "Invalid InstanceID"));
        }
        let session = self.hifi.of(call.caller.clone());
        let given = |name| call.given.text(name);
        let done = match call.action.name {
            "SetAVTransportURI" => {
                let brought = brought(given("CurrentURI"), given("CurrentURIMetaData"));
                let command = match brought {
                    Some(entry) => Some(Command::SetGuest(Some(entry))),
                    None => handed::emptied(&session.state(), call.caller.via),
                };
                match command {
                    Some(command) => send(&session, command, Asked::Uri).await,
                    None => Ok(()),
                }
            }
            "SetNextAVTransportURI" => {
                let entry = brought(given("NextURI"), given("NextURIMetaData"));
                let clears = entry.is_none();
                match send(&session, Command::SetGuestNext(entry), Asked::Uri).await {
                    // There is no deck to take it from.
                    Err(Fault { code: 701, .. }) if clears => Ok(()),
                    done => done,
                }
            }
            // The deck was chosen and nothing is on it: what waits in the queue is not meant.
            "Play" | "Next" | "Previous" | "Seek"
                if matches!(session.state().source, Source::Empty { .. }) =>
            {
                Err(Fault::new(701, "Transition not available"))
            }
            "Play" => match given("Speed").trim() {
                "1" | "1/1" | "1.0" | "" => send(&session, Command::Play(None), Asked::Transport).await,
                _ => Err(Fault::new(717, "Play speed not supported")),
            },
            // Also while nothing plays: an app that is refused a pause drops the renderer (reference upnp 7.1).
            "Pause" => send(&session, Command::Pause, Asked::Transport).await,
            "Stop" => send(&session, Command::Stop, Asked::Transport).await,
            "Next" => send(&session, Command::Next, Asked::Transport).await,
            "Previous" => send(&session, Command::Previous, Asked::Transport).await,
            "Seek" => seek(&session, given("Unit"), given("Target")).await,
            "SetPlayMode" => set_play_mode(&session, given("NewPlayMode")).await,
            _ => return self.told(&call, &session),
        };
        done.map(|()| Arguments::new())
    }

    /// Answers what only asks: each argument is the variable that the table relates it to.
    fn told(&self, call: &Call<'_>, session: &Session) -> Result<Arguments, Fault> {
        let state = session.state();
        let view = View::of(&state, Reached { host: call.host, mark: self.mark });
        let position = || times::written(state.position.now(Instant::now()).min(ended(state.duration)));
        let mut answer = Arguments::new();
        for argument in call.action.gives() {
            let value = match argument.variable {
                // Some apps read only the one, some only the other (reference upnp 7.2).
                "RelativeTimePosition" | "AbsoluteTimePosition" => position(),
                "RelativeCounterPosition" | "AbsoluteCounterPosition" => i32::MAX.to_string(),
                name => view.value(name).ok_or(Fault::ACTION_FAILED)?,
            };
            answer = answer.with_text(argument.name, value);
        }
        Ok(answer)
    }
}

impl Handler for AvTransport {
    fn act<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Arguments, Fault>> {
        Box::pin(self.call(call))
    }

    fn variables(&self) -> watch::Receiver<Values> {
        self.values.clone()
    }
}

/// Returns what an app puts on the deck; `None` for the empty URL that takes it away.
fn brought(url: &str, metadata: &str) -> Option<NewEntry> {
    let url = url.trim();
    (!url.is_empty()).then(|| handed::entry(url, metadata))
}

async fn send(session: &Session, command: Command, asked: Asked) -> Result<(), Fault> {
    session.send(command).await?.map(drop).map_err(|refused| fault(asked, refused))
}

async fn seek(session: &Session, unit: &str, target: &str) -> Result<(), Fault> {
    const ILLEGAL: Fault = Fault::new(711, "Illegal seek target");
    let to = match unit.trim() {
        // There is one track, and moving to it is its start.
        "TRACK_NR" => match target.trim() {
            "0" | "1" => Millis::ZERO,
            _ => return Err(ILLEGAL),
        },
        // Both are taken for the place in the track, as everybody does (reference upnp 7.2).
        _ => times::read(target).ok_or(ILLEGAL)?,
    };
    match session.send(Command::Seek(to)).await? {
        // What has no positions is at its start already, or begins there again.
        Err(Refused::NotSeekable) if to == Millis::ZERO => Ok(()),
        done => done.map(drop).map_err(|refused| fault(Asked::Seek, refused)),
    }
}

async fn set_play_mode(session: &Session, mode: &str) -> Result<(), Fault> {
    let (shuffle, repeat) = match mode.trim() {
        "SHUFFLE" => (true, Repeat::Off),
        "REPEAT_ONE" => (false, Repeat::One),
        "REPEAT_ALL" => (false, Repeat::All),
        _ => (false, Repeat::Off),
    };
    let both = Command::Batch(vec![Command::SetShuffle(shuffle), Command::SetRepeat(repeat)]);
    send(session, both, Asked::Transport).await
}

/// The clock may run a moment past the end; without a known end it just runs.
fn ended(duration: Millis) -> Millis {
    if duration > Millis::ZERO { duration } else { Millis(u64::MAX) }
}
