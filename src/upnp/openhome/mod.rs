//! OpenHome's services (av.openhome.org; reference upnp 3.8, 3.9, 7.5): the one queue as a playlist that outlives the app, the
//! deck beside it as a radio, and the knob. They hold no music: every answer and every event is derived from the box's
//! newest `State`; what a command does, the box decides.
//!
//! One file for each service, with its table; `shown` is how an entry is named to an app, `follow` tells subscribers.

mod follow;
pub mod info;
pub mod playlist;
pub mod product;
pub mod radio;
mod shown;
#[cfg(test)]
mod tests;
pub mod time;
pub mod transport;
pub mod volume;

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::hifi::command::{Command, Input, Refused};
use crate::hifi::state::{State, Transport};
use crate::hifi::{Hifi, Session};
use crate::offer::{Caller, Via};
use crate::units::Millis;
use crate::upnp::Offered;
use crate::upnp::own::Mark;
use crate::upnp::refusals::{Asked, fault};
use crate::upnp::service::{Arguments, Call, Fault, Handler, Service, Values};

/// What the services tell of the box, beside its state.
#[derive(Debug, Clone)]
pub struct Named {
    /// What people call it: the room. The owner may change it.
    pub name: watch::Receiver<Arc<str>>,
    /// Its maker and model.
    pub product: String,
    /// Lumin's app does not list a device with a newer Product than version 1 (reference upnp 0, row 4).
    pub lumin: bool,
}

/// Returns the services of a box: without Volume where the amplifier has the knob. The task that tells their subscribers ends
/// with the stop token.
pub fn services(
    hifi: &Hifi,
    named: Named,
    mark: Mark,
    stop: CancellationToken,
) -> (Vec<Offered>, JoinHandle<()>) {
    let session = hifi.of(Caller::room(Via::OpenHome));
    let state = session.state();
    let has_knob = !state.fixed_volume;
    let product = Arc::new(product::Product::new(named.clone(), has_knob));
    let (outlets, told) = follow::outlets(&state, &product, mark);
    let product_service = if named.lumin { &product::SERVICE_1 } else { &product::SERVICE };
    let of = |part: Part, service: &'static Service, values: watch::Receiver<Values>| Offered {
        service,
        handler: Arc::new(OpenHome { part, hifi: hifi.clone(), mark, product: product.clone(), values }),
    };
    let mut offered = vec![
        of(Part::Product, product_service, told.product),
        of(Part::Playlist, &playlist::SERVICE, told.playlist),
        of(Part::Info, &info::SERVICE, told.info),
        of(Part::Time, &time::SERVICE, told.time),
        of(Part::Transport, &transport::SERVICE, told.transport),
        of(Part::Radio, &radio::SERVICE, told.radio),
    ];
    if has_knob {
        offered.push(of(Part::Volume, &volume::SERVICE, told.volume));
    }
    (offered, tokio::spawn(follow::follow(session, product, mark, outlets, stop)))
}

/// Which service.
#[derive(Debug, Clone, Copy)]
enum Part {
    Product,
    Playlist,
    Info,
    Time,
    Volume,
    Transport,
    Radio,
}

/// Fulfils one of the services.
struct OpenHome {
    part: Part,
    hifi: Hifi,
    mark: Mark,
    product: Arc<product::Product>,
    values: watch::Receiver<Values>,
}

impl Handler for OpenHome {
    fn act<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Arguments, Fault>> {
        Box::pin(async move {
            let session = self.hifi.of(Caller { via: Via::OpenHome, ..call.caller.clone() });
            match self.part {
                Part::Product => self.product.act(&call, &session).await,
                Part::Playlist => playlist::act(&call, &session, self.mark).await,
                Part::Info => {
                    let told = self.values.borrow().clone();
                    info::act(&call, &session, self.mark, &told).await
                }
                Part::Time => time::act(&call, &session, &self.values.borrow().clone()),
                Part::Volume => volume::act(&call, &session).await,
                Part::Transport => transport::act(&call, &session).await,
                Part::Radio => radio::act(&call, &session, self.mark).await,
            }
        })
    }

    fn variables(&self) -> watch::Receiver<Values> {
        self.values.clone()
    }
}

/// Sends a command; nothing is answered.
async fn tell(session: &Session, command: Command, asked: Asked) -> Result<Arguments, Fault> {
    session.send(command).await?.map(|_| Arguments::new()).map_err(|refused| fault(asked, refused))
}

/// Plays; that there is nothing to play is no fault, the state goes on to say stopped.
async fn play(session: &Session, command: Command) -> Result<Arguments, Fault> {
    match session.send(command).await? {
        Ok(_) | Err(Refused::EmptyQueue) => Ok(Arguments::new()),
        Err(refused) => Err(fault(Asked::Entry, refused)),
    }
}

/// Moves by seconds from where the sound is; before its start is its start.
async fn seek_relative(session: &Session, state: &State, seconds: i32) -> Result<Arguments, Fault> {
    let here = i64::try_from(state.position.now(Instant::now()).0).unwrap_or(i64::MAX);
    let to = here.saturating_add(i64::from(seconds) * 1000).max(0).unsigned_abs();
    seek(session, state, Millis(to)).await
}

/// Moves to a second of what sounds.
async fn seek_absolute(session: &Session, state: &State, second: u32) -> Result<Arguments, Fault> {
    seek(session, state, Millis(u64::from(second) * 1000)).await
}

/// What is stopped has no place to be moved from.
async fn seek(session: &Session, state: &State, to: Millis) -> Result<Arguments, Fault> {
    if state.transport == Transport::Stopped {
        return Err(fault(Asked::Second, Refused::NotSeekable));
    }
    tell(session, Command::Seek(to), Asked::Second).await
}

/// Returns what a service of one source says of the transport: stopped while another is chosen.
fn transport_of(state: &State, transport: Transport, source: Source) -> &'static str {
    if Source::of(state) == source { transport_name(transport) } else { transport_name(Transport::Stopped) }
}

/// Returns OpenHome's word for what the transport does.
fn transport_name(transport: Transport) -> &'static str {
    match transport {
        Transport::Stopped => "Stopped",
        Transport::Opening => "Buffering",
        Transport::Playing => "Playing",
        Transport::Paused => "Paused",
    }
}

/// The sources of the box, in the order of Product's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The one queue.
    Playlist,
    /// The deck as OpenHome writes it.
    Radio,
    /// The deck as another face writes it: UPnP AV.
    UpnpAv,
}

impl Source {
    const ALL: [Source; 3] = [Source::Playlist, Source::Radio, Source::UpnpAv];

    /// Returns the one that is chosen.
    fn of(state: &State) -> Source {
        match state.source.input() {
            Input::Queue => Source::Playlist,
            Input::Deck(Via::OpenHome) => Source::Radio,
            Input::Deck(_) => Source::UpnpAv,
        }
    }

    /// Returns the input that it is.
    fn input(self) -> Input {
        match self {
            Source::Playlist => Input::Queue,
            Source::Radio => Input::Deck(Via::OpenHome),
            Source::UpnpAv => Input::Deck(Via::Upnp),
        }
    }

    /// Returns its type, which is its system name and its mode as well.
    fn kind(self) -> &'static str {
        match self {
            Source::Playlist => "Playlist",
            Source::Radio => "Radio",
            Source::UpnpAv => "UpnpAv",
        }
    }

    /// Returns what people call it.
    fn name(self) -> &'static str {
        match self {
            Source::UpnpAv => "UPnP AV",
            other => other.kind(),
        }
    }

    /// Returns its place in the list.
    fn index(self) -> usize {
        Source::ALL.iter().position(|source| *source == self).unwrap_or(0)
    }
}
