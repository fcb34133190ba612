//! The SSDP engine for both roles: one listener for announcements and searches, one socket per interface that searches,
//! announces and answers. Runs as one task; each of those sockets has a reader task of its own, so that one silent interface
//! delays nobody.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use crate::error::{Error, Result};
use crate::lan::announce::{Advertised, Announcer, Asked, Datagram as Said};
use crate::lan::changes::{Change, Changes, Family, Settling};
use crate::lan::heard::{Heard, Table, Way};
use crate::lan::interfaces::{Interface, difference, usable};
use crate::lan::sockets::{self, GROUP, PORT, Received};
use crate::wire::ssdp::{Message, parse, search};

/// What the handle asks.
#[derive(Debug)]
pub enum Ask {
    /// Search everywhere again.
    Search,
    /// Search at one address.
    Probe(Ipv4Addr),
    /// A device did not answer.
    Failed(String),
    /// A device answered.
    Answered(String),
    /// These are our own devices from now on.
    Advertise(Vec<Advertised>),
}

/// The engine's task.
pub struct Engine {
    only: Vec<String>,
    table: Table,
    announcer: Announcer,
    listener: UdpSocket,
    searchers: HashMap<Interface, Searcher>,
    /// Asks devices beyond our networks; opened with the first of them.
    routed: Option<Searcher>,
    /// Which of those were asked: only they may answer.
    probed: Vec<Ipv4Addr>,
    datagrams: (mpsc::Sender<Datagram>, mpsc::Receiver<Datagram>),
    heard: watch::Sender<Arc<Vec<Heard>>>,
    interfaces: watch::Sender<Vec<Interface>>,
    settling: Settling,
    /// When the interfaces are looked at though nothing was noticed.
    look_at: Instant,
    /// Since when things are as they are.
    young_since: Instant,
    searches: Vec<Instant>,
}

struct Searcher {
    socket: Arc<UdpSocket>,
    _reader: AbortOnDropHandle<()>,
}

/// Its bytes, its sender, and the searcher it came to: `None` is the one beyond our networks.
type Datagram = (Vec<u8>, SocketAddr, Option<Interface>);

impl Engine {
    /// Opens the listener. `only` lists interfaces by name; empty: every usable one. `own` are our UDNs, `http_port` the
    /// port of our descriptions.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn open(
        only: Vec<String>,
        own: Vec<String>,
        http_port: u16,
        heard: watch::Sender<Arc<Vec<Heard>>>,
        interfaces: watch::Sender<Vec<Interface>>,
    ) -> Result<Engine> {
        let listener =
            sockets::listener().map_err(|error| Error::io("listen for announcements on port 1900", error))?;
        let now = Instant::now();
        Ok(Engine {
            only,
            table: Table::new(own),
            announcer: Announcer::new(http_port, seconds(), chance),
            listener,
            searchers: HashMap::new(),
            routed: None,
            probed: Vec::new(),
            // Datagrams beyond this are lost, as UDP may lose them; devices repeat themselves.
            datagrams: mpsc::channel(256),
            heard,
            interfaces,
            settling: Settling::default(),
            look_at: now,
            young_since: now,
            searches: Vec::new(),
        })
    }

    /// Runs until the stop token falls.
    pub async fn run(mut self, mut asks: mpsc::Receiver<Ask>, stop: CancellationToken) {
        let mut changes = Changes::open(Family::Four);
        if let Err(error) = &changes {
            warn!(%error, "the kernel does not say when a network comes or goes: it is looked at often");
        }
        let mut buffer = vec![0; LARGEST];
        loop {
            let soonest = self.searches.iter().min().copied();
            let ours = self.announcer.next();
            let times = [soonest, ours, self.table.next_expiry(), self.settling.due(), Some(self.look_at)];
            let wake = times.into_iter().flatten().min().unwrap_or(self.look_at);
            tokio::select! {
                () = stop.cancelled() => return self.farewell().await,
                noticed = next_change(&mut changes) => {
                    let now = Instant::now();
                    noticed.into_iter().for_each(|change| self.settling.note(change, now));
                }
                got = sockets::receive(&self.listener, &mut buffer) => match got {
                    Ok(received) => self.announcement(&buffer[..received.length], received),
                    Err(error) => {
                        debug!(%error, "an announcement could not be read");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                },
                Some((datagram, from, interface)) = self.datagrams.1.recv() => {
                    match interface {
                        Some(interface) => self.take(&datagram, from, &interface),
                        None => self.take_from_beyond(&datagram, from),
                    }
                }
                Some(ask) = asks.recv() => self.ask(ask).await,
                () = tokio::time::sleep_until(wake.into()) => {
                    let every = if changes.is_ok() { LOOK_EVERY } else { LOOK_OFTEN };
                    self.look_if_due(every);
                    self.tick().await;
                }
            }
        }
    }

    fn look_if_due(&mut self, every: Duration) {
        let now = Instant::now();
        if self.look_at > now && self.settling.due().is_none_or(|due| due > now) {
            return;
        }
        let down = self.settling.take();
        let all_joined = self.look_at_interfaces(&down);
        self.look_at = now + if all_joined { every } else { LOOK_OFTEN };
    }

    async fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Search => self.plan_searches(),
            Ask::Probe(address) => self.probe(address).await,
            Ask::Failed(udn) => {
                if self.table.failed(&udn) {
                    info!(udn, "it does not answer any more: hidden until it speaks again");
                    self.publish();
                    self.plan_searches();
                }
            }
            Ask::Answered(udn) => self.table.answered(&udn),
            Ask::Advertise(devices) => self.announcer.set(devices, Instant::now()),
        }
    }

    /// Asks one address, and everybody while it has not answered: some servers ignore what is sent to them alone
    /// (minidlna 1.3: tests/peers/interfaces.rs).
    async fn probe(&mut self, address: Ipv4Addr) {
        let target = SocketAddrV4::new(address, PORT);
        let text = search(MEDIA_SERVER, &target.to_string(), 1);
        let mut reached = false;
        for (interface, searcher) in &self.searchers {
            if interface.reaches(address) {
                reached = true;
                send(&searcher.socket, &text, target, &interface.name).await;
            }
        }
        if !reached {
            match self.beyond(address) {
                Ok(socket) => send(&socket, &text, target, "routed").await,
                Err(error) => debug!(%error, %address, "a device beyond our networks cannot be asked"),
            }
        }
        if !self.table.is_heard_from(address) {
            self.plan_searches();
        }
    }

    fn beyond(&mut self, address: Ipv4Addr) -> std::io::Result<Arc<UdpSocket>> {
        if self.routed.is_none() {
            self.routed = Some(Searcher::start(sockets::routed()?, None, self.datagrams.0.clone()));
        }
        if !self.probed.contains(&address) {
            self.probed.truncate(MOST_PROBED - 1);
            self.probed.insert(0, address);
        }
        let routed = self.routed.as_ref().ok_or(std::io::ErrorKind::NotConnected)?;
        Ok(routed.socket.clone())
    }

    async fn tick(&mut self) {
        let now = Instant::now();
        if self.table.expire(now) {
            self.publish();
        }
        let due = self.searches.iter().filter(|&&at| at <= now).count();
        self.searches.retain(|&at| at > now);
        if due > 0 {
            let target = SocketAddrV4::new(GROUP, PORT);
            let text = search(MEDIA_SERVER, &target.to_string(), MX);
            for (interface, searcher) in &self.searchers {
                send(&searcher.socket, &text, target, &interface.name).await;
            }
        }
        for said in self.announcer.take(now) {
            self.say(&said).await;
        }
        if self.searches.is_empty() {
            let young = now.duration_since(self.young_since) < YOUNG;
            self.searches.push(now + if young { SEARCH_WHILE_YOUNG } else { SEARCH_EVERY });
        }
    }

    /// Three searches, for UDP loses some (reference upnp 1.3: at 0, 0.5 and 1 s).
    fn plan_searches(&mut self) {
        let now = Instant::now();
        self.searches = [0, 500, 1000].map(|ms| now + Duration::from_millis(ms)).to_vec();
    }

    async fn say(&self, said: &Said) {
        if let Some(searcher) = self.searchers.get(&said.interface) {
            send(&searcher.socket, &said.text, said.to, &said.interface.name).await;
        }
    }

    /// Says good-bye, twice, for UDP loses some (reference upnp 1.3: "byebye at stop").
    async fn farewell(&mut self) {
        let all = self.announcer.farewell();
        for said in all.iter().chain(&all) {
            self.say(said).await;
            tokio::time::sleep(BETWEEN_FAREWELLS).await;
        }
    }

    fn announcement(&mut self, datagram: &[u8], received: Received) {
        let address = *received.from.ip();
        // Announcements from outside our networks are none of ours. What this box sends to itself comes by `lo`.
        let near = |interface: &&Interface| interface.reaches(address);
        let by_card = |interface: &&Interface| interface.index == received.index && near(interface);
        let interface = self.searchers.keys().find(by_card).or_else(|| self.searchers.keys().find(near));
        let Some(interface) = interface.cloned() else { return };
        match parse(datagram) {
            Some(Message::Search { target, mx }) => {
                // Our own searches come back to us.
                let is_own = |searcher: &Searcher| {
                    searcher.socket.local_addr().is_ok_and(|own| own == SocketAddr::V4(received.from))
                };
                if !self.searchers.values().any(is_own) {
                    let to_us_alone = !received.to.is_multicast();
                    let asked = Asked { target: &target, mx, from: received.from, to_us_alone };
                    self.announcer.search(asked, &interface, Instant::now());
                }
            }
            Some(_) => self.take(datagram, SocketAddr::V4(received.from), &interface),
            None => {}
        }
    }

    fn take(&mut self, datagram: &[u8], from: SocketAddr, interface: &Interface) {
        let Some(message) = parse(datagram) else { return };
        let way = Way { from, interface: interface.name.clone(), local: interface.address };
        if self.table.take(message, way, Instant::now()) {
            self.publish();
        }
    }

    fn take_from_beyond(&mut self, datagram: &[u8], from: SocketAddr) {
        let IpAddr::V4(address) = from.ip() else { return };
        let Some(message) = parse(datagram).filter(|_| self.probed.contains(&address)) else { return };
        let Ok(local) = sockets::address_towards(address) else { return };
        let interface = self.searchers.keys().find(|interface| interface.address == local);
        let interface = interface.map_or(String::new(), |interface| interface.name.clone());
        if self.table.take(message, Way { from, interface, local }, Instant::now()) {
            self.publish();
        }
    }

    fn publish(&self) {
        self.heard.send_replace(Arc::new(self.table.shown()));
    }

    /// Follows addresses that come and go, and links that were `down` meanwhile. Returns whether all of them are in use:
    /// one that cannot be used keeps nobody from the others.
    fn look_at_interfaces(&mut self, down: &BTreeSet<u32>) -> bool {
        let now = match usable(&self.only) {
            Ok(now) => now,
            Err(error) => {
                warn!(%error, "the interfaces stay as they were");
                return false;
            }
        };
        let before: Vec<Interface> = self.searchers.keys().cloned().collect();
        let difference = difference(&before, &now, down);
        for interface in &difference.gone {
            self.searchers.remove(interface);
            self.announcer.leave(interface);
            if self.searchers.keys().all(|other| other.index != interface.index) {
                sockets::leave(&self.listener, interface);
            }
            // Whoever was there before a link dropped for a moment will be there after it.
            if difference.new.contains(interface) {
                continue;
            }
            info!(interface = interface.name, address = %interface.address, "the network is gone");
            if self.table.left(interface.address) {
                self.publish();
            }
        }
        let mut all_joined = true;
        for interface in &difference.new {
            match self.join(interface) {
                Ok(()) => info!(interface = interface.name, address = %interface.address, "on the network"),
                Err(error) => {
                    all_joined = false;
                    warn!(interface = interface.name, %error, "the network cannot be searched");
                }
            }
        }
        if !difference.gone.is_empty() || before.len() != self.searchers.len() {
            let mut all: Vec<Interface> = self.searchers.keys().cloned().collect();
            all.sort_by_key(|interface| (interface.index, interface.address));
            self.interfaces.send_replace(all);
            self.young_since = Instant::now();
            self.plan_searches();
        }
        all_joined
    }

    fn join(&mut self, interface: &Interface) -> std::io::Result<()> {
        sockets::join(&self.listener, interface)?;
        let socket = sockets::searcher(interface.address)?;
        let searcher = Searcher::start(socket, Some(interface.clone()), self.datagrams.0.clone());
        self.searchers.insert(interface.clone(), searcher);
        self.announcer.join(interface, Instant::now());
        Ok(())
    }
}

impl Searcher {
    fn start(socket: UdpSocket, interface: Option<Interface>, to: mpsc::Sender<Datagram>) -> Searcher {
        let socket = Arc::new(socket);
        let reader = tokio::spawn(read(socket.clone(), interface, to));
        Searcher { socket, _reader: AbortOnDropHandle::new(reader) }
    }
}

/// Waits for notices of the kernel; for ever when there are none to be had.
async fn next_change(changes: &mut std::io::Result<Changes>) -> Vec<Change> {
    if let Ok(open) = changes {
        match open.next().await {
            Ok(noticed) => return noticed,
            Err(error) => {
                warn!(%error, "the kernel's notices cannot be read any more");
                *changes = Err(error);
                return vec![Change { down: None }];
            }
        }
    }
    std::future::pending().await
}

async fn read(socket: Arc<UdpSocket>, interface: Option<Interface>, to: mpsc::Sender<Datagram>) {
    let mut buffer = vec![0; LARGEST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                // A full channel loses the datagram, as UDP may.
                let _lost = to.try_send((buffer[..length].to_vec(), from, interface.clone()));
            }
            Err(error) => {
                debug!(%error, "an answer could not be read");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// A number that grows with each start (reference upnp 1.2, BOOTID).
fn seconds() -> u32 {
    let passed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // It starts anew in 2106.
    passed.as_secs() as u32
}

fn chance() -> f64 {
    uuid::Uuid::new_v4().as_u64_pair().1 as u32 as f64 / f64::from(u32::MAX)
}

async fn send(socket: &UdpSocket, text: &str, target: SocketAddrV4, interface: &str) {
    // A link that takes nothing any more must not hold the others.
    let sent = tokio::time::timeout(SENT_WITHIN, socket.send_to(text.as_bytes(), target)).await;
    match sent {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => debug!(%error, interface, "a search could not be sent"),
        Err(_) => debug!(interface, "a search could not be sent in time"),
    }
}

/// Servers of any version answer a search for version 1 (UDA 1.0, 1.2.3).
const MEDIA_SERVER: &str = "urn:schemas-upnp-org:device:MediaServer:1";
const MX: u8 = 3;
const LARGEST: usize = 8192 + 1;
const BETWEEN_FAREWELLS: Duration = Duration::from_millis(5);
const SENT_WITHIN: Duration = Duration::from_millis(50);
/// How often the interfaces are looked at though the kernel said nothing...
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// ...and how often when it cannot, or when one of them could not be used.
const LOOK_OFTEN: Duration = Duration::from_secs(5);
/// How many devices beyond our networks are asked.
const MOST_PROBED: usize = 64;
/// After a start and after every change of the networks it is searched more often: phones in the room expect it, and a
/// switch may need half a minute until it lets a new link speak.
const YOUNG: Duration = Duration::from_secs(120);
const SEARCH_WHILE_YOUNG: Duration = Duration::from_secs(30);
const SEARCH_EVERY: Duration = Duration::from_secs(300);
