//! LocalSend: phones with that app find this box and push music to it (protocol v2.1 with what 1.18 adds; v1 only as far
//! as old apps look for devices by it). It listens and announces over IPv4
//! and, where the box has it, IPv6. TLS and plain HTTP share one port: which one comes is told by its first
//! byte. Everything is decided at intake's door.

mod announce;
mod server;
mod sessions;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::beam::localsend::announce::Announcer;
use crate::beam::localsend::server::{Desk, router};
use crate::beam::localsend::sessions::Sessions;
use crate::beam::share::Shared;
use crate::error::{Error, Kind, Result};
use crate::http::bodies::Bodies;
use crate::http::door::Door;
use crate::http::hosts::Hosts;
use crate::http::own_tls::Own;
use crate::http::server as http_server;
use crate::intake::Intake;
use crate::intake::door::policy;
use crate::lan::Lan;
use crate::offer::out::{Receiver, ReceiverId};
use crate::wire::localsend::Device;

/// What LocalSend needs to know.
#[derive(Debug, Clone)]
pub struct LocalSendConfig {
    /// What phones show; the owner may change it.
    pub alias: watch::Receiver<Arc<str>>,
    /// Where it listens.
    pub port: u16,
    /// The certificate by which phones know this box.
    pub own: Own,
    /// Where it is told who shares files by a link.
    pub shares: mpsc::Sender<Shared>,
}

/// The running receiver.
#[derive(Debug)]
pub struct LocalSend {
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl LocalSend {
    /// Listens and announces.
    ///
    /// # Errors
    /// `Busy` when the port is taken, and those of the sockets.
    pub async fn start(
        config: LocalSendConfig,
        lan: &Lan,
        intake: Intake,
        hosts: Hosts,
        stop: CancellationToken,
    ) -> Result<LocalSend> {
        let LocalSendConfig { alias, port, own, shares } = config;
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.map_err(|error| {
            let kind =
                if error.kind() == std::io::ErrorKind::AddrInUse { Kind::Busy } else { Kind::Internal };
            Error::with(kind, format!("listen for LocalSend on port {port}"), error)
        })?;
        let acceptor = own.acceptor()?;
        let sessions = Arc::new(Sessions::default());
        let fingerprint = own.fingerprint().into();
        let bodies = Bodies::default();
        let (unproved, to_prove) = mpsc::channel(MOST_UNPROVED);
        let desk = Desk { alias, fingerprint, port, intake, sessions: sessions.clone(), bodies, unproved };
        let networks = lan.networks();
        let announcer = Announcer::open(desk.clone(), Arc::new(own), networks.clone(), to_prove, shares)?;
        let door = Door::beside(listener, Arc::new(move |from| networks.lets_in(from)));
        info!(port, "phones with LocalSend find this box");
        let served = http_server::serve_either(door, router(desk, hosts), acceptor, stop.clone());
        let tasks = vec![
            tokio::spawn(announcer.run(stop.clone())),
            tokio::spawn(tidy(sessions.clone(), stop.clone())),
            tokio::spawn(served),
        ];
        Ok(LocalSend { tasks: Mutex::new(tasks) })
    }

    /// Waits until every task ended; the stop token must have fallen.
    pub async fn stopped(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            if let Err(error) = task.await {
                warn!(%error, "a part of LocalSend ended badly");
            }
        }
    }
}

/// Returns a device as the rest of konpo names it. Its name stays while it keeps its certificate and its address.
fn receiver(device: &Device, at: SocketAddr, trouble: Option<String>) -> Receiver {
    let known_by = format!("{} {}", device.fingerprint.to_lowercase(), at.ip());
    let id = blake3::hash(known_by.as_bytes()).to_hex();
    let shown = |text: &str| policy::shown(text, LONGEST_NAME);
    let name = shown(device.alias.trim());
    Receiver {
        id: ReceiverId(id[..16].into()),
        name: if name.is_empty() { at.ip().to_string() } else { name },
        model: shown(device.device_model.as_deref().unwrap_or_default()),
        kind: shown(device.device_type.as_deref().unwrap_or("desktop")),
        address: at,
        certificate: (!device.is_plain()).then(|| device.fingerprint.to_lowercase()),
        fingerprint: device.fingerprint.to_lowercase(),
        trouble,
    }
}

/// Devices that wait to be asked who they are.
const MOST_UNPROVED: usize = 8;
/// Letters of a name that are shown.
const LONGEST_NAME: usize = 80;

/// Ends sessions in which nothing comes any more, and at the stop all of them.
async fn tidy(sessions: Arc<Sessions>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return sessions.end_all(),
            () = tokio::time::sleep(TIDY_EVERY) => sessions.tidy(Instant::now()),
        }
    }
}

const TIDY_EVERY: Duration = Duration::from_secs(5);
