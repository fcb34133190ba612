//! One neighbour: its description, a look, a pull. Runs as one task per device, so that none delays another.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::beam::Policy;
use crate::beam::choose::{Short, choose, count};
use crate::beam::content_directory::{Listing, Server};
use crate::beam::fetch::{Fetched, fetch, is_bought};
use crate::error::{Error, Kind, Result};
use crate::http::client::{Allow, Client};
use crate::intake::{Intake, Take};
use crate::lan::Lan;
use crate::lan::heard::Heard;
use crate::offer::{Consent, Count, Neighbour, NeighbourId, NeighbourState, RemoteItem};
use crate::units::UnixTime;

/// What a person asks of a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Count what is there.
    Look,
    /// Take everything new.
    Pull,
    /// Remember a decision.
    Decide(Consent),
}

/// A wish and where its answer goes: whether it is under way, not whether it is done.
pub type Wished = (Wish, oneshot::Sender<Result<()>>);

/// What every neighbour's task needs.
#[derive(Clone)]
pub struct Tools {
    /// What happens when a phone appears.
    pub policy: Policy,
    /// What is taken.
    pub take: Take,
    /// The network.
    pub lan: Lan,
    /// The client.
    pub client: Client,
    /// The one door for bytes.
    pub intake: Intake,
}

/// The task of one neighbour.
pub struct Visit {
    tools: Tools,
    heard: watch::Receiver<Heard>,
    stop: CancellationToken,
    shown: Neighbour,
    server: Option<Server>,
    /// What the last listing said, to see whether it still grows.
    last: Option<(u32, u64)>,
    /// When it is read again, and how often that happened.
    again: Option<(Instant, usize)>,
}

impl Visit {
    /// Returns the task of a device that was heard.
    pub fn new(tools: Tools, heard: watch::Receiver<Heard>, stop: CancellationToken) -> Visit {
        let seen = heard.borrow();
        let shown = Neighbour {
            id: id_of(&seen.udn),
            name: seen.from.ip().to_string(),
            model: seen.server.clone(),
            kind: "media_server".into(),
            address: Some(seen.from),
            consent: Consent::Ask,
            state: NeighbourState::Reading,
            seen: UnixTime::now(),
        };
        drop(seen);
        Visit { tools, heard, stop, shown, server: None, last: None, again: None }
    }

    /// Runs until the neighbour is gone or konpo stops.
    pub async fn run(mut self, mut wishes: mpsc::Receiver<Wished>) {
        self.shown.consent = self.consent().await;
        self.show(NeighbourState::Reading);
        self.greet().await;
        loop {
            let at = self.again.map(|(at, _)| at);
            let wake = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.stop.cancelled() => return,
                changed = self.heard.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    // It was restarted, or lives at another address now.
                    self.server = None;
                    self.greet().await;
                }
                Some((wish, reply)) = wishes.recv() => self.wish(wish, reply).await,
                () = wake => self.read_again().await,
            }
        }
    }

    async fn consent(&self) -> Consent {
        match (self.tools.policy, self.tools.intake.consent(&self.shown.id).await) {
            (Policy::Never, _) => Consent::Never,
            (_, Ok(Some(decided))) => decided,
            (Policy::Always, _) => Consent::Always,
            (Policy::Ask, _) => Consent::Ask,
        }
    }

    /// Reads the description, and under "always" takes what is new.
    async fn greet(&mut self) {
        self.again = None;
        if let Err(error) = self.load().await {
            self.cannot(&error);
            return;
        }
        self.show(NeighbourState::Ready);
        if self.shown.consent == Consent::Always {
            self.again = Some((Instant::now(), 0));
        }
    }

    async fn load(&mut self) -> Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        let heard = self.heard.borrow().clone();
        check_location(&heard, &self.allow())?;
        let (server, about) = Server::load(&heard.location).await?;
        self.tools.lan.answered(&heard.udn);
        if self.shown.name != about.name {
            info!(name = about.name, model = about.model, address = %heard.from.ip(), "a neighbour is here");
        }
        (self.shown.name, self.shown.model, self.shown.address) = (about.name, about.model, Some(heard.from));
        self.shown.seen = UnixTime::now();
        self.server = Some(server);
        Ok(())
    }

    fn cannot(&mut self, error: &Error) {
        warn!(name = self.shown.name, %error, "a neighbour cannot be used");
        if error.kind() == Kind::Unreachable {
            self.tools.lan.failed(&self.heard.borrow().udn);
            self.server = None;
        }
        self.show(NeighbourState::Unusable { reason: error.to_string() });
        let tries = self.again.map_or(0, |(_, tries)| tries);
        let pause = AGAIN.get(tries).copied().unwrap_or(POLL);
        self.again = Some((Instant::now() + pause, tries + 1));
    }

    fn show(&mut self, state: NeighbourState) {
        self.shown.state = state;
        self.tools.intake.set_neighbour(self.shown.clone());
    }

    async fn wish(&mut self, wish: Wish, reply: oneshot::Sender<Result<()>>) {
        if let Wish::Decide(consent) = wish {
            let kept = self.tools.intake.set_consent(&self.shown.id, consent).await;
            let kept = kept.map(|()| {
                self.shown.consent = consent;
                self.again = (consent == Consent::Always).then(|| (Instant::now(), 0));
                let state = self.shown.state.clone();
                self.show(state);
            });
            // Nobody waits any more when the connection is gone.
            let _gone = reply.send(kept);
            return;
        }
        if self.shown.consent == Consent::Never || self.tools.policy == Policy::Never {
            let words = "this device is to be left alone: decide otherwise first";
            let _gone = reply.send(Err(Error::new(Kind::NotAllowed, words)));
            return;
        }
        let _gone = reply.send(Ok(()));
        let stop = self.stop.clone();
        let work = async {
            self.load().await?;
            match wish {
                Wish::Pull => self.pull().await.map(|_| ()),
                _ => self.look().await,
            }
        };
        let done = tokio::select! {
            () = stop.cancelled() => return,
            done = work => done,
        };
        if let Err(error) = done {
            self.cannot(&error);
        }
    }

    async fn look(&mut self) -> Result<()> {
        self.show(NeighbourState::Looking);
        let (counted, _) = self.find().await?;
        self.show(NeighbourState::Looked(counted));
        Ok(())
    }

    /// Under "always": reads again while it still grows, later when its content changed.
    async fn read_again(&mut self) {
        let tries = self.again.map_or(0, |(_, tries)| tries);
        let stop = self.stop.clone();
        let work = async {
            self.load().await?;
            let settled = tries > AGAIN.len();
            if let (true, Some((update, _)), Some(server)) = (settled, self.last, &self.server) {
                let now = server.update_id().await;
                if now == update && now != 0 {
                    return Ok(());
                }
            }
            if self.shown.consent == Consent::Always {
                self.pull().await.map(|_| ())
            } else {
                self.show(NeighbourState::Ready);
                Ok(())
            }
        };
        let done = tokio::select! {
            () = stop.cancelled() => return,
            done = work => done,
        };
        match done {
            Ok(()) if self.shown.consent == Consent::Always => {
                let pause = AGAIN.get(tries).copied().unwrap_or(POLL);
                self.again = Some((Instant::now() + pause, tries + 1));
            }
            Ok(()) => self.again = None,
            Err(error) => self.cannot(&error),
        }
    }

    /// Lists and chooses; returns the count and what is new.
    async fn find(&mut self) -> Result<(Count, Vec<RemoteItem>)> {
        let server = self.server.as_mut().ok_or_else(|| Error::new(Kind::Unreachable, "it is gone"))?;
        let Listing { items, update, lost } = server.list().await?;
        if lost > 0 {
            warn!(name = self.shown.name, lost, "some things cannot be read");
        }
        let short = if self.tools.policy == Policy::Always { Short::Take } else { Short::Leave };
        let choice = choose(items, short);
        self.last = Some((update, choice.take.len() as u64));
        let new = self.tools.intake.is_new(&self.shown.id, choice.take.clone()).await?;
        Ok((count(&choice, &new), new))
    }

    async fn pull(&mut self) -> Result<Count> {
        let (counted, new) = self.find().await?;
        if counted.tracks > MOST_PULLED {
            let what = format!("it has {} tracks: too many to take at once", counted.tracks);
            return Err(Error::new(Kind::Unsupported, what));
        }
        let total = new.len() as u64;
        let allow = self.allow();
        let mut later = None;
        for (done, item) in (0..).zip(new) {
            self.show(NeighbourState::Pulling { done, total });
            let (url, size) = (item.url.clone(), item.size);
            let part = match self.tools.intake.pull_item(&self.shown, item).await {
                Ok(part) => part,
                Err(error) if error.kind() == Kind::Busy => continue,
                Err(error) => return Err(error),
            };
            if let (Take::Purchased, Some(size)) = (self.tools.take, size)
                && !is_bought(&self.tools.client, &url, &allow, size.0).await?
            {
                part.refuse("rule", "it carries no store's mark, and only purchases are taken").await?;
                continue;
            }
            match fetch(&self.tools.client, &url, &allow, part, &self.stop).await? {
                Fetched::Whole | Fetched::Refused => {}
                Fetched::Later(why) => {
                    later = Some(why);
                    if !self.is_alive().await {
                        break;
                    }
                }
            }
        }
        match later {
            Some(why) => Err(Error::new(Kind::Unreachable, why)),
            None => {
                self.show(NeighbourState::Pulled(counted));
                Ok(counted)
            }
        }
    }

    /// Whether one file failed or the whole phone left.
    async fn is_alive(&self) -> bool {
        match &self.server {
            Some(server) => server.is_there().await,
            None => false,
        }
    }

    fn allow(&self) -> Allow {
        let networks =
            self.tools.lan.interfaces().borrow().iter().map(|i| (IpAddr::V4(i.address), i.prefix)).collect();
        Allow { peer: self.heard.borrow().from.ip(), networks }
    }
}

/// Returns the name of a neighbour.
pub fn id_of(udn: &str) -> NeighbourId {
    NeighbourId(Arc::from(format!("udn:{udn}")))
}

/// A description lies on the device itself or at least on our network, at an address and not at a name.
pub fn check_location(heard: &Heard, allow: &Allow) -> Result<()> {
    let uri: Option<http::Uri> = heard.location.parse().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()).and_then(|host| host.parse::<IpAddr>().ok());
    if host.is_some_and(|host| allow.allows(host)) {
        return Ok(());
    }
    let what = format!("it says that its description lies elsewhere: {}", heard.location);
    Err(Error::new(Kind::Unsupported, what))
}

/// A device that has just appeared is read again after these pauses, for it may still be scanning (reference upnp 8.1: at
/// 2, 5, 10 and 20 s).
const AGAIN: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(5), Duration::from_secs(10)];
/// Afterwards its SystemUpdateID is asked for this often.
const POLL: Duration = Duration::from_secs(60);
/// Servers with more are never pulled as a whole (product.md, "Other people's phones").
const MOST_PULLED: u64 = 20_000;
