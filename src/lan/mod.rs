//! The network: interfaces we live on, who was heard on them, names. The SSDP and mDNS sockets for both roles.
//! Knows nothing of music.

pub mod announce;
mod avahi;
mod changes;
pub mod group;
pub mod group_six;
pub mod heard;
pub mod interfaces;
pub mod mdns;
pub mod networks;
mod publish;
pub mod six;
mod sockets;
mod ssdp;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::error::{Error, Kind, Result};
use crate::lan::announce::Advertised;
use crate::lan::heard::Heard;
use crate::lan::interfaces::Interface;
use crate::lan::mdns::Name;
use crate::lan::networks::Networks;
use crate::lan::six::Six;
use crate::lan::ssdp::{Ask, Engine};

/// How the network is used.
#[derive(Debug, Clone)]
pub struct LanConfig {
    /// Interfaces by name; empty: every usable one.
    pub interfaces: Vec<String>,
    /// The port of the page, announced by name.
    pub http_port: u16,
    /// The name of the box; the owner may change it.
    pub name: watch::Receiver<Arc<str>>,
    /// Our own devices, never listed as neighbours.
    pub own_udns: Vec<String>,
}

/// The network. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lan {
    heard: watch::Receiver<Arc<Vec<Heard>>>,
    interfaces: watch::Receiver<Vec<Interface>>,
    sixes: watch::Receiver<Vec<Six>>,
    names: watch::Receiver<Arc<Vec<Name>>>,
    labels: watch::Receiver<Vec<String>>,
    asks: mpsc::Sender<Ask>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Lan {
    /// Listens, searches, announces the page by name.
    ///
    /// # Errors
    /// Those of the sockets.
    pub async fn start(config: LanConfig, stop: CancellationToken) -> Result<Lan> {
        let (names, port) = (config.name.clone(), config.http_port);
        let label = publish::label_of(&names.borrow());
        let mut lan = Lan::open(config, stop.clone())?;
        let (labels_in, labels) = watch::channel(vec![label]);
        lan.labels = labels;
        lan.keep(publish::run(names, port, lan.interfaces.clone(), labels_in, stop));
        Ok(lan)
    }

    /// Listens and searches, also for the names of other konpos, without announcing anything.
    ///
    /// # Errors
    /// Those of the sockets.
    pub async fn listen(config: LanConfig, stop: CancellationToken) -> Result<Lan> {
        let mut lan = Lan::open(config, stop.clone())?;
        let (names_in, names) = watch::channel(Arc::default());
        lan.names = names;
        lan.keep(mdns::browse(lan.interfaces.clone(), names_in, stop));
        Ok(lan)
    }

    fn open(config: LanConfig, stop: CancellationToken) -> Result<Lan> {
        let (heard_in, heard) = watch::channel(Arc::default());
        let (interfaces_in, interfaces) = watch::channel(interfaces::usable(&config.interfaces)?);
        let (sixes_in, sixes) = watch::channel(six::usable(&config.interfaces)?);
        let (_, names) = watch::channel(Arc::default());
        let (_, labels) = watch::channel(Vec::new());
        // 64 asks wait; more are refused as busy.
        let (asks, asked) = mpsc::channel(64);
        let only = config.interfaces.clone();
        let engine =
            Engine::open(config.interfaces, config.own_udns, config.http_port, heard_in, interfaces_in)?;
        let lan = Lan { heard, interfaces, sixes, names, labels, asks, tasks: Arc::default() };
        lan.keep(six::follow(only, sixes_in, stop.clone()));
        lan.keep(engine.run(asked, stop));
        Ok(lan)
    }

    fn keep(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(tokio::spawn(work));
    }

    /// Waits until every task ended; the stop token must have fallen.
    pub async fn stopped(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if let Err(error) = task.await {
                warn!(%error, "a part of the network ended badly");
            }
        }
    }

    /// Returns who was heard, the longest known first.
    pub fn heard(&self) -> watch::Receiver<Arc<Vec<Heard>>> {
        self.heard.clone()
    }

    /// Returns the interfaces we live on.
    pub fn interfaces(&self) -> watch::Receiver<Vec<Interface>> {
        self.interfaces.clone()
    }

    /// Returns our networks of both families.
    pub fn networks(&self) -> Networks {
        Networks { four: self.interfaces.clone(), six: self.sixes.clone() }
    }

    /// Returns the konpos that announce their page by name; nobody while this box announces itself.
    pub fn names(&self) -> watch::Receiver<Arc<Vec<Name>>> {
        self.names.clone()
    }

    /// Returns our own addresses of IPv4.
    pub fn addresses(&self) -> Vec<Ipv4Addr> {
        self.interfaces.borrow().iter().map(|interface| interface.address).collect()
    }

    /// Returns our own addresses of both families.
    pub fn all_addresses(&self) -> Vec<IpAddr> {
        self.networks().addresses()
    }

    /// Returns the host labels under which this box is known: the one made of its name, then those it had to take because
    /// others have that one.
    pub fn labels(&self) -> watch::Receiver<Vec<String>> {
        self.labels.clone()
    }

    /// Searches everywhere again.
    ///
    /// # Errors
    /// `Busy` when too much is asked, `Stopped`.
    pub fn search(&self) -> Result<()> {
        self.ask(Ask::Search)
    }

    /// Searches at one address.
    ///
    /// # Errors
    /// As [`Lan::search`].
    pub fn probe(&self, address: Ipv4Addr) -> Result<()> {
        self.ask(Ask::Probe(address))
    }

    /// Announces devices of ours on every network, now and from now on, and answers who searches for them. With the stop
    /// token they say good-bye.
    ///
    /// # Errors
    /// As [`Lan::search`].
    pub fn advertise(&self, devices: Vec<Advertised>) -> Result<()> {
        self.ask(Ask::Advertise(devices))
    }

    /// Says that a device did not answer: the second time in a row it is hidden, and everybody is searched again.
    pub fn failed(&self, udn: &str) {
        // A full channel only delays that.
        let _later = self.ask(Ask::Failed(udn.to_owned()));
    }

    /// Says that a device answered.
    pub fn answered(&self, udn: &str) {
        let _later = self.ask(Ask::Answered(udn.to_owned()));
    }

    fn ask(&self, ask: Ask) -> Result<()> {
        self.asks.try_send(ask).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Error::new(Kind::Busy, "the network is asked too much at once")
            }
            mpsc::error::TrySendError::Closed(_) => Error::new(Kind::Stopped, "konpo is stopping"),
        })
    }
}
