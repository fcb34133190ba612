//! Who is there, what do they offer, fetch it or take it. Serves intake's ask channel; knows no SQL, no player, no box.

pub mod choose;
mod content_directory;
mod fetch;
pub mod localsend;
mod neighbour;
pub mod share;
mod shares;
mod sharing;
mod taking;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::beam::content_directory::Server;
use crate::beam::content_directory::way::Reader;
use crate::beam::neighbour::{Tools, Visit, Wish, Wished, check_location, id_of};
use crate::beam::share::Shared;
use crate::beam::shares::Shares;
use crate::error::{Error, Kind, Result};
use crate::http::client::{Allow, Client};
use crate::intake::{Asked, Intake, Take};
use crate::lan::Lan;
use crate::lan::heard::Heard;
use crate::offer::{Ask, Consent, Neighbour, NeighbourId, NeighbourState};
use crate::units::UnixTime;

/// What happens when a phone or player appears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// Everything new is taken from everybody.
    Always,
    /// Only its description is read until somebody says more.
    Ask,
    /// Nothing is ever taken.
    Never,
}

/// How music is fetched.
#[derive(Debug, Clone, Copy)]
pub struct BeamConfig {
    /// What happens when a phone or player appears.
    pub pull: Policy,
    /// What is taken.
    pub take: Take,
}

/// The running part.
#[derive(Debug, Clone)]
pub struct Beam {
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
    shares: mpsc::Sender<Shared>,
}

impl Beam {
    /// Follows who is there and serves what is asked.
    ///
    /// # Errors
    /// `Internal` when intake's ask channel is served already.
    pub async fn start(
        config: BeamConfig,
        lan: Lan,
        client: Client,
        intake: Intake,
        stop: CancellationToken,
    ) -> Result<Beam> {
        let taken = || Error::new(Kind::Internal, "the ask channel is served already");
        let asks = intake.asks().ok_or_else(taken)?;
        let tools = Tools { policy: config.pull, take: config.take, lan, client, intake };
        // What was asked by address waits here when 16 stand in line; beyond, the asker is told.
        let (found, found_out) = mpsc::channel(16);
        // Phones that are heard while 16 wait are heard again within half a minute.
        let (shares, shared) = mpsc::channel(16);
        let host = Host {
            shares: Shares::new(tools.clone(), stop.clone()),
            tools,
            visits: HashMap::new(),
            manual: HashMap::new(),
            found,
            tasks: JoinSet::new(),
            looks: JoinSet::new(),
            stop,
        };
        let task = tokio::spawn(host.run(asks, found_out, shared));
        Ok(Beam { task: Arc::new(Mutex::new(Some(task))), shares })
    }

    /// Returns where it is told which phones share files by a link.
    pub fn shares(&self) -> mpsc::Sender<Shared> {
        self.shares.clone()
    }

    /// Waits until every task ended; the stop token must have fallen.
    pub async fn stopped(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            warn!(%error, "the ways in ended badly");
        }
    }
}

/// Keeps a task per neighbour.
struct Host {
    tools: Tools,
    visits: HashMap<String, Guest>,
    /// Phones that share files by a link.
    shares: Shares,
    /// Devices that were added by address: no announcement keeps them.
    manual: HashMap<String, Heard>,
    found: mpsc::Sender<Answer>,
    tasks: JoinSet<()>,
    /// Looks at addresses; nothing is lost when one is cut off.
    looks: JoinSet<()>,
    stop: CancellationToken,
}

/// What a look at an address that was added gave.
enum Answer {
    /// A device, to be kept although it announces nothing.
    Here(Box<Heard>),
    /// It answers by itself.
    Speaks(NeighbourId),
    /// Nothing that can be used.
    Silent(NeighbourId, SocketAddr, Error),
}

struct Guest {
    heard: watch::Sender<Heard>,
    wishes: mpsc::Sender<Wished>,
    stop: CancellationToken,
}

impl Host {
    async fn run(
        mut self,
        mut asks: mpsc::Receiver<Asked>,
        mut found: mpsc::Receiver<Answer>,
        mut shared: mpsc::Receiver<Shared>,
    ) {
        let mut heard = self.tools.lan.heard();
        let mut remembered = tokio::time::interval(REMEMBERED_EVERY);
        let mut awaited = tokio::time::interval(AWAITED_EVERY);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                changed = heard.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let now = heard.borrow_and_update().clone();
                    self.follow(&now);
                }
                Some(asked) = asks.recv() => self.serve(asked).await,
                Some(answer) = found.recv() => {
                    self.answered(answer);
                    let now = heard.borrow().clone();
                    self.follow(&now);
                }
                Some(shared) = shared.recv() => self.shares.heard(shared),
                _ = awaited.tick() => {
                    self.shares.tidy();
                    self.look_for_awaited().await;
                }
                _ = remembered.tick() => self.look_for_remembered().await,
                Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
                Some(_) = self.looks.join_next(), if !self.looks.is_empty() => {}
                () = self.shares.next() => {}
            }
        }
        self.looks.shutdown().await;
        for guest in self.visits.values() {
            guest.stop.cancel();
        }
        while self.tasks.join_next().await.is_some() {}
        self.shares.stopped().await;
    }

    /// Starts and ends tasks, so that there is one for everybody who is here.
    fn follow(&mut self, heard: &[Heard]) {
        let manual = self.manual.values().filter(|m| heard.iter().all(|h| h.udn != m.udn));
        let all: HashMap<String, Heard> =
            heard.iter().chain(manual).map(|heard| (heard.udn.clone(), heard.clone())).collect();
        let gone: Vec<String> = self.visits.keys().filter(|udn| !all.contains_key(*udn)).cloned().collect();
        for udn in gone {
            if let Some(guest) = self.visits.remove(&udn) {
                info!(udn, "a neighbour is gone");
                guest.stop.cancel();
                self.tools.intake.forget_neighbour(&id_of(&udn));
            }
        }
        for (udn, heard) in all {
            match self.visits.get(&udn) {
                Some(guest) => {
                    guest.heard.send_if_modified(|old| {
                        let moved = (&old.location, old.boot_id) != (&heard.location, heard.boot_id);
                        *old = heard;
                        moved
                    });
                }
                None => self.welcome(udn, heard),
            }
        }
    }

    fn welcome(&mut self, udn: String, heard: Heard) {
        let (heard_in, heard) = watch::channel(heard);
        // A person who asks more than 8 things of a busy phone is told so.
        let (wishes, wished) = mpsc::channel(8);
        let stop = self.stop.child_token();
        let visit = Visit::new(self.tools.clone(), heard, stop.clone());
        self.tasks.spawn(visit.run(wished));
        self.visits.insert(udn, Guest { heard: heard_in, wishes, stop });
    }

    async fn serve(&mut self, asked: Asked) {
        let Some(Asked { ask, reply }) = self.shares.serve(asked) else { return };
        let result = match ask {
            Ask::Look(id) => return self.pass(&id, Wish::Look, reply),
            Ask::Pull(id) => return self.pass(&id, Wish::Pull, reply),
            Ask::Decide(id, consent) if self.visits.contains_key(udn_of(&id)) => {
                return self.pass(&id, Wish::Decide(consent), reply);
            }
            // A device that is away can be decided about all the same.
            Ask::Decide(id, consent) => self.tools.intake.set_consent(&id, consent).await,
            Ask::Search => {
                self.tools.intake.look_for_receivers();
                self.tools.lan.search()
            }
            Ask::Pin(id, pin) => return self.pass(&id, Wish::Pin(pin), reply),
            Ask::Link(link, pin) => return self.shares.link(&link, pin, reply),
            Ask::Add(address) => self.add(address).await,
            Ask::Forget(address) => self.forget(address).await,
        };
        // Nobody waits any more when the connection is gone.
        let _gone = reply.send(result);
    }

    fn pass(&self, id: &NeighbourId, wish: Wish, reply: oneshot::Sender<Result<()>>) {
        let Some(guest) = self.visits.get(udn_of(id)) else {
            let _gone = reply.send(Err(Error::new(Kind::NotFound, format!("{id} is not here"))));
            return;
        };
        if let Err(error) = guest.wishes.try_send((wish, reply)) {
            let (_, reply) = error.into_inner();
            let _gone = reply.send(Err(Error::new(Kind::Busy, "this device is busy")));
        }
    }

    async fn add(&mut self, address: String) -> Result<()> {
        let target = Target::parse(&address)?;
        self.tools.intake.add_address(address.trim().to_owned()).await?;
        self.ask_target(target)
    }

    async fn forget(&mut self, address: String) -> Result<()> {
        if let Ok(target) = Target::parse(&address) {
            self.tools.intake.forget_neighbour(&id_of_address(target.at()));
        }
        self.tools.intake.remove_address(address.trim().to_owned()).await?;
        // One that announces itself as well stays; one that does not is looked for no more.
        self.manual.clear();
        self.look_for_remembered().await;
        let now = self.tools.lan.heard().borrow().clone();
        self.follow(&now);
        Ok(())
    }

    /// A phone whose link was cut says nothing when it is back; it is searched for while the rest of a file is awaited.
    async fn look_for_awaited(&self) {
        match self.tools.intake.awaits_somebody().await {
            Ok(true) => {
                drop(self.tools.lan.search());
                self.tools.intake.look_for_receivers();
            }
            Ok(false) => {}
            Err(error) => warn!(%error, "what broke off is not known"),
        }
    }

    async fn look_for_remembered(&mut self) {
        match self.tools.intake.addresses().await {
            Ok(addresses) => {
                for address in addresses {
                    if let Err(error) = Target::parse(&address).and_then(|target| self.ask_target(target)) {
                        warn!(%error, address, "a device added by its address cannot be asked");
                    }
                }
            }
            Err(error) => warn!(%error, "the devices added by their address are not known"),
        }
    }

    fn ask_target(&mut self, target: Target) -> Result<()> {
        let (lan, found) = (self.tools.lan.clone(), self.found.clone());
        match target {
            Target::Host(address) => {
                lan.probe(address)?;
                self.looks.spawn(async move {
                    let at = SocketAddr::from((address, 0));
                    // A full channel is tried again with the next round.
                    let _full = found.try_send(speaks(&lan, at).await);
                });
            }
            Target::Description(locations, from) => {
                self.looks.spawn(async move {
                    let answer = match read_first(&lan, locations, from).await {
                        Ok((heard, _)) => Answer::Here(Box::new(heard)),
                        Err(error) => Answer::Silent(id_of_address(from), from, error),
                    };
                    let _full = found.try_send(answer);
                });
            }
        }
        Ok(())
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Here(heard) => {
                self.tools.intake.forget_neighbour(&id_of_address(heard.from));
                self.manual.insert(heard.udn.clone(), *heard);
            }
            Answer::Speaks(id) => self.tools.intake.forget_neighbour(&id),
            Answer::Silent(id, address, error) => {
                info!(%error, %id, "a device added by its address does not answer");
                self.tools.intake.set_neighbour(unusable(id, address, &error));
            }
        }
    }
}

/// Waits until a device that was asked by SSDP is heard.
async fn speaks(lan: &Lan, at: SocketAddr) -> Answer {
    let mut heard = lan.heard();
    let here = heard.wait_for(|all| all.iter().any(|heard| heard.from.ip() == at.ip()));
    match tokio::time::timeout(SPEAKS_WITHIN, here).await {
        Ok(_) => Answer::Speaks(id_of_address(at)),
        Err(_) => {
            let words =
                "it does not answer a search: try its address with a port, or the URL of its description";
            Answer::Silent(id_of_address(at), at, Error::new(Kind::Unreachable, words))
        }
    }
}

fn unusable(id: NeighbourId, address: SocketAddr, error: &Error) -> Neighbour {
    Neighbour {
        id,
        name: address.ip().to_string(),
        model: String::new(),
        kind: "media_server".into(),
        address: Some(address),
        consent: Consent::Ask,
        state: NeighbourState::Unusable { reason: error.to_string() },
        seen: UnixTime::now(),
    }
}

/// Returns the name of a device of which nothing but its address is known.
fn id_of_address(address: SocketAddr) -> NeighbourId {
    NeighbourId(format!("addr:{address}").into())
}

/// Where a device that is added by its address is looked for.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    /// Asked by SSDP.
    Host(Ipv4Addr),
    /// Where its description may lie, tried in turn.
    Description(Vec<String>, SocketAddr),
}

impl Target {
    fn at(&self) -> SocketAddr {
        match self {
            Target::Host(address) => (*address, 0).into(),
            Target::Description(_, at) => *at,
        }
    }

    fn parse(text: &str) -> Result<Target> {
        let text = text.trim();
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Ok(Target::Host(address));
        }
        if let Ok(address) = text.parse::<std::net::SocketAddrV4>() {
            let places = USUAL_PLACES.iter().map(|place| format!("http://{address}/{place}")).collect();
            return Ok(Target::Description(places, address.into()));
        }
        let wrong = || {
            let what = format!(
                "{text:?} is neither an address like 192.168.1.5 or 192.168.1.5:8200 nor the URL of a description"
            );
            Error::new(Kind::Invalid, what)
        };
        let uri: http::Uri = text.parse().map_err(|_| wrong())?;
        let host: Ipv4Addr = uri.host().and_then(|host| host.parse().ok()).ok_or_else(wrong)?;
        if uri.scheme_str() != Some("http") {
            return Err(wrong());
        }
        Ok(Target::Description(vec![text.to_owned()], (host, uri.port_u16().unwrap_or(80)).into()))
    }
}

/// Reads the first description that can be used, else says what the last place answered.
async fn read_first(lan: &Lan, locations: Vec<String>, from: SocketAddr) -> Result<(Heard, Neighbour)> {
    let mut last = Error::new(Kind::Unreachable, "it cannot be reached");
    for location in locations {
        match read_location(lan, location, from).await {
            Err(error) => last = error,
            read => return read,
        }
    }
    Err(last)
}

async fn read_location(lan: &Lan, location: String, from: SocketAddr) -> Result<(Heard, Neighbour)> {
    let interface = lan.interfaces().borrow().first().cloned();
    let interface = interface.ok_or_else(|| Error::new(Kind::Unreachable, "there is no network"))?;
    let now = Instant::now();
    let mut heard = Heard {
        udn: String::new(),
        location,
        server: String::new(),
        from,
        interface: interface.name,
        local: interface.address,
        expires: now + REMEMBERED_EVERY,
        first: now,
        boot_id: None,
    };
    let networks = lan.interfaces().borrow().iter().map(|i| (i.address.into(), i.prefix)).collect();
    let allow = Allow::Near { peer: from.ip(), networks };
    check_location(&heard, &allow)?;
    let (_, about) = Server::load(&Client::new(), &heard.location, allow, Reader::Rupnp).await?;
    heard.udn.clone_from(&about.udn);
    let neighbour = Neighbour {
        id: id_of(&about.udn),
        name: about.name,
        model: about.model,
        kind: "media_server".into(),
        address: Some(from),
        consent: Consent::Ask,
        state: NeighbourState::Ready,
        seen: UnixTime::now(),
    };
    Ok((heard, neighbour))
}

fn udn_of(id: &NeighbourId) -> &str {
    id.0.strip_prefix("udn:").unwrap_or(&id.0)
}

/// Listens for a while and reads every description; a device that cannot be used says why. For `konpo neighbours`.
pub async fn read_neighbours(lan: &Lan, addresses: &[String], listen: Duration) -> Vec<Neighbour> {
    let end = tokio::time::Instant::now() + listen;
    let mut read = JoinSet::new();
    let mut known = std::collections::HashSet::new();
    let mut heard = lan.heard();
    for address in addresses {
        match Target::parse(address) {
            Ok(Target::Host(host)) => drop(lan.probe(host)),
            Ok(Target::Description(locations, from)) => {
                let lan = lan.clone();
                read.spawn(async move { read_or_why(&lan, String::new(), locations, from).await });
            }
            Err(error) => warn!(%error, "this address is left out"),
        }
    }
    loop {
        for device in heard.borrow_and_update().iter() {
            if known.insert(device.udn.clone()) {
                let (lan, device) = (lan.clone(), device.clone());
                read.spawn(
                    async move { read_or_why(&lan, device.udn, vec![device.location], device.from).await },
                );
            }
        }
        tokio::select! {
            () = tokio::time::sleep_until(end) => break,
            changed = heard.changed() => if changed.is_err() { break },
        }
    }
    let mut found = Vec::new();
    while let Some(done) = read.join_next().await {
        found.extend(done);
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    found.dedup_by(|a, b| a.id == b.id);
    found
}

async fn read_or_why(lan: &Lan, udn: String, locations: Vec<String>, from: SocketAddr) -> Neighbour {
    match read_first(lan, locations, from).await {
        Ok((_, neighbour)) => neighbour,
        Err(error) => {
            let id = if udn.is_empty() { id_of_address(from) } else { id_of(&udn) };
            unusable(id, from, &error)
        }
    }
}

/// Where the descriptions of common servers lie: minidlna, gerbera, dms and many phones, Kodi and Platinum, Windows.
const USUAL_PLACES: [&str; 6] =
    ["rootDesc.xml", "description.xml", "desc.xml", "DeviceDescription.xml", "dev/desc.xml", ""];
/// A device answers a search within its MX of 3 s; searches are repeated.
const SPEAKS_WITHIN: Duration = Duration::from_secs(8);
/// How often a sender is searched for whose transfer broke off.
const AWAITED_EVERY: Duration = Duration::from_secs(15);
/// Devices added by their address announce nothing: they are asked this often.
const REMEMBERED_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_understood_or_refused_in_words() {
        let host = Ipv4Addr::new(10, 0, 0, 9);
        assert_eq!(Target::parse(" 10.0.0.9 ").expect("an address"), Target::Host(host));
        let url = "http://10.0.0.9:8200/rootDesc.xml";
        let want = Target::Description(vec![url.into()], (host, 8200).into());
        assert_eq!(Target::parse(url).expect("a URL"), want);
        let Target::Description(places, at) = Target::parse("10.0.0.9:8200").expect("an address") else {
            panic!("it has a port")
        };
        assert!(places.contains(&url.to_owned()) && at == (host, 8200).into(), "{places:?}");
        for wrong in ["", "phone", "https://10.0.0.9/", "http://phone/", "10.0.0.9:99999"] {
            assert_eq!(Target::parse(wrong).expect_err("refused").kind(), Kind::Invalid, "{wrong}");
        }
    }
}
