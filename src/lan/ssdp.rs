//! The SSDP sockets: one listener for announcements, one searcher per interface. Runs as one task; each searcher has a
//! reader task of its own, so that one silent interface delays nobody.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, info, warn};

use crate::error::{Error, Result};
use crate::lan::heard::{Heard, Table, Way};
use crate::lan::interfaces::{Interface, usable};
use crate::wire::ssdp::{parse, search};

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
}

/// The engine's task.
pub struct Engine {
    only: Vec<String>,
    table: Table,
    listener: UdpSocket,
    searchers: HashMap<Interface, Searcher>,
    datagrams: (mpsc::Sender<Datagram>, mpsc::Receiver<Datagram>),
    heard: watch::Sender<Arc<Vec<Heard>>>,
    interfaces: watch::Sender<Vec<Interface>>,
    started: Instant,
    searches: Vec<Instant>,
}

struct Searcher {
    socket: Arc<UdpSocket>,
    _reader: AbortOnDropHandle<()>,
}

type Datagram = (Vec<u8>, SocketAddr, Interface);

impl Engine {
    /// Opens the listener. `only` lists interfaces by name; empty: every usable one. `own` are our UDNs.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn open(
        only: Vec<String>,
        own: Vec<String>,
        heard: watch::Sender<Arc<Vec<Heard>>>,
        interfaces: watch::Sender<Vec<Interface>>,
    ) -> Result<Engine> {
        let listener =
            listener().map_err(|error| Error::io("listen for announcements on port 1900", error))?;
        let started = Instant::now();
        Ok(Engine {
            only,
            table: Table::new(own),
            listener,
            searchers: HashMap::new(),
            // Datagrams beyond this are lost, as UDP may lose them; devices repeat themselves.
            datagrams: mpsc::channel(256),
            heard,
            interfaces,
            started,
            searches: Vec::new(),
        })
    }

    /// Runs until the stop token falls.
    pub async fn run(mut self, mut asks: mpsc::Receiver<Ask>, stop: CancellationToken) {
        self.look_at_interfaces();
        let mut look = tokio::time::interval(INTERFACES_EVERY);
        look.reset();
        let mut buffer = vec![0; LARGEST];
        loop {
            let next_search = self.searches.iter().min().copied();
            let wake = [next_search, self.table.next_expiry()].into_iter().flatten().min();
            let wake = wake.unwrap_or_else(|| Instant::now() + INTERFACES_EVERY);
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => self.look_at_interfaces(),
                got = self.listener.recv_from(&mut buffer) => match got {
                    Ok((length, from)) => self.announcement(&buffer[..length], from),
                    Err(error) => {
                        debug!(%error, "an announcement could not be read");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                },
                Some((datagram, from, interface)) = self.datagrams.1.recv() => {
                    self.take(&datagram, from, &interface);
                }
                Some(ask) = asks.recv() => self.ask(ask).await,
                () = tokio::time::sleep_until(wake.into()) => self.tick().await,
            }
        }
    }

    async fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Search => self.plan_searches(),
            Ask::Probe(address) => {
                let target = SocketAddrV4::new(address, PORT);
                let text = search(MEDIA_SERVER, &target.to_string(), 1);
                for (interface, searcher) in &self.searchers {
                    if interface.reaches(address) {
                        send(&searcher.socket, &text, target, interface).await;
                    }
                }
            }
            Ask::Failed(udn) => {
                if self.table.failed(&udn) {
                    info!(udn, "it does not answer any more: hidden until it speaks again");
                    self.publish();
                    self.plan_searches();
                }
            }
            Ask::Answered(udn) => self.table.answered(&udn),
        }
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
                send(&searcher.socket, &text, target, interface).await;
            }
        }
        if self.searches.is_empty() {
            let young = now.duration_since(self.started) < YOUNG;
            self.searches.push(now + if young { SEARCH_WHILE_YOUNG } else { SEARCH_EVERY });
        }
    }

    /// Three searches, for UDP loses some (reference upnp 1.3: at 0, 0.5 and 1 s).
    fn plan_searches(&mut self) {
        let now = Instant::now();
        self.searches = [0, 500, 1000].map(|ms| now + Duration::from_millis(ms)).to_vec();
    }

    fn announcement(&mut self, datagram: &[u8], from: SocketAddr) {
        let IpAddr::V4(address) = from.ip() else { return };
        // Announcements from outside our networks are none of ours.
        let interface = self.searchers.keys().find(|interface| interface.reaches(address)).cloned();
        if let Some(interface) = interface {
            self.take(datagram, from, &interface);
        }
    }

    fn take(&mut self, datagram: &[u8], from: SocketAddr, interface: &Interface) {
        let Some(message) = parse(datagram) else { return };
        let way = Way { from, interface: interface.name.clone(), local: interface.address };
        if self.table.take(message, way, Instant::now()) {
            self.publish();
        }
    }

    fn publish(&self) {
        self.heard.send_replace(Arc::new(self.table.shown()));
    }

    /// Follows addresses that come and go.
    fn look_at_interfaces(&mut self) {
        let now = match usable(&self.only) {
            Ok(now) => now,
            Err(error) => {
                warn!(%error, "the interfaces stay as they were");
                return;
            }
        };
        let gone: Vec<Interface> = self.searchers.keys().filter(|i| !now.contains(i)).cloned().collect();
        let mut changed = false;
        for interface in gone {
            info!(interface = interface.name, address = %interface.address, "the network is gone");
            self.searchers.remove(&interface);
            self.leave(&interface);
            changed = true;
            if self.table.left(interface.address) {
                self.publish();
            }
        }
        for interface in now {
            if self.searchers.contains_key(&interface) {
                continue;
            }
            match self.join(&interface) {
                Ok(()) => {
                    info!(interface = interface.name, address = %interface.address, "on the network");
                    changed = true;
                }
                Err(error) => warn!(interface = interface.name, %error, "the network cannot be searched"),
            }
        }
        if changed {
            let mut all: Vec<Interface> = self.searchers.keys().cloned().collect();
            all.sort_by_key(|interface| (interface.index, interface.address));
            self.interfaces.send_replace(all);
            self.plan_searches();
        }
    }

    fn join(&mut self, interface: &Interface) -> std::io::Result<()> {
        let by_index = InterfaceIndexOrAddress::Index(interface.index);
        let listener = socket2::SockRef::from(&self.listener);
        match listener.join_multicast_v4_n(&GROUP, &by_index) {
            // A second address of an interface that has joined already.
            Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => {}
            joined => joined?,
        }
        let socket = Arc::new(searcher(interface.address)?);
        let reader = read(socket.clone(), interface.clone(), self.datagrams.0.clone());
        let reader = AbortOnDropHandle::new(tokio::spawn(reader));
        self.searchers.insert(interface.clone(), Searcher { socket, _reader: reader });
        Ok(())
    }

    fn leave(&self, interface: &Interface) {
        if self.searchers.keys().any(|other| other.index == interface.index) {
            return;
        }
        let by_index = InterfaceIndexOrAddress::Index(interface.index);
        // The kernel forgot the membership together with the interface.
        let _gone = socket2::SockRef::from(&self.listener).leave_multicast_v4_n(&GROUP, &by_index);
    }
}

async fn read(socket: Arc<UdpSocket>, interface: Interface, to: mpsc::Sender<Datagram>) {
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

async fn send(socket: &UdpSocket, text: &str, target: SocketAddrV4, interface: &Interface) {
    if let Err(error) = socket.send_to(text.as_bytes(), target).await {
        debug!(%error, interface = interface.name, "a search could not be sent");
    }
}

/// One socket for every interface, shared with other UPnP programs of this box (reference upnp 1.4).
fn listener() -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Only groups that this socket joined itself, not those of other programs.
    socket.set_multicast_all_v4(false)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT).into())?;
    UdpSocket::from_std(socket.into())
}

fn searcher(address: Ipv4Addr) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_multicast_if_v4(&address)?;
    socket.set_multicast_ttl_v4(TTL)?;
    // Programs on this box hear us too.
    socket.set_multicast_loop_v4(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(address, 0).into())?;
    UdpSocket::from_std(socket.into())
}

/// UDA 1.0, 1.1.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const PORT: u16 = 1900;
/// Servers of any version answer a search for version 1 (UDA 1.0, 1.2.3).
const MEDIA_SERVER: &str = "urn:schemas-upnp-org:device:MediaServer:1";
const MX: u8 = 3;
/// UDA 1.0, 1: default 4.
const TTL: u32 = 4;
const LARGEST: usize = 8192 + 1;
const INTERFACES_EVERY: Duration = Duration::from_secs(5);
/// A box that was just switched on looks more often: phones in the room expect it.
const YOUNG: Duration = Duration::from_secs(120);
const SEARCH_WHILE_YOUNG: Duration = Duration::from_secs(30);
const SEARCH_EVERY: Duration = Duration::from_secs(300);
