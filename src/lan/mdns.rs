//! Our own mDNS responder (RFC 6762, 6763), kept on the interfaces we live on, and the pages it hears of.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use mdns_sd::{IfKind, IfPredicate, ServiceDaemon, ServiceEvent};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::lan::interfaces::Interface;

/// The page of a konpo that somebody on the network announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// What it calls itself.
    pub instance: String,
    /// Its host, ending in `.local`
    pub host: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its port.
    pub port: u16,
    /// Its version.
    pub version: String,
}

/// The responder. It speaks only on the addresses it was told.
pub struct Responder {
    /// Its thread takes commands by this.
    pub daemon: ServiceDaemon,
    allowed: Arc<RwLock<HashSet<IpAddr>>>,
    calm_at: Option<Instant>,
}

impl Responder {
    /// Starts it on these interfaces.
    ///
    /// # Errors
    /// Those of its thread and sockets.
    pub fn start(here: &[Interface]) -> mdns_sd::Result<Responder> {
        let daemon = ServiceDaemon::new()?;
        let allowed = Arc::new(RwLock::new(addresses(here)));
        let asked = allowed.clone();
        let ours = IfPredicate::new(move |interface| is_in(&asked, interface.ip()));
        daemon.disable_interface(IfKind::All)?;
        // A rule that looks at a list: the responder keeps every rule it was ever given.
        daemon.enable_interface(IfKind::Predicate(ours))?;
        Ok(Responder { daemon, allowed, calm_at: Some(Instant::now()) })
    }

    /// Lets it speak on these interfaces from now on: within a second, for that is its shortest look.
    pub fn follow(&mut self, here: &[Interface]) {
        *self.allowed.write().unwrap_or_else(PoisonError::into_inner) = addresses(here);
        said(self.daemon.set_ip_check_interval(1));
        self.calm_at = Some(Instant::now() + CALM_AFTER);
    }

    /// Waits until it may look less often, and says so; for ever when it does.
    ///
    /// # Cancel
    /// Nothing is lost.
    pub async fn calm(&mut self) {
        let Some(at) = self.calm_at else { return std::future::pending().await };
        tokio::time::sleep_until(at.into()).await;
        said(self.daemon.set_ip_check_interval(LOOK_EVERY));
        self.calm_at = None;
    }

    /// Ends it; what was announced must have been taken back.
    pub async fn end(self) {
        if let Ok(done) = self.daemon.shutdown() {
            // Goodbyes are on their way; the responder's thread ends by itself.
            let _late = tokio::time::timeout(GOODBYE, done.recv_async()).await;
        }
    }
}

fn addresses(here: &[Interface]) -> HashSet<IpAddr> {
    here.iter().map(|interface| interface.address.into()).collect()
}

fn is_in(allowed: &RwLock<HashSet<IpAddr>>, address: IpAddr) -> bool {
    allowed.read().unwrap_or_else(PoisonError::into_inner).contains(&address)
}

fn said(result: mdns_sd::Result<()>) {
    if let Err(error) = result {
        debug!(%error, "the mDNS responder is busy");
    }
}

/// Listens for the pages of konpos until the stop token falls. Runs as one task and announces nothing.
pub async fn browse(
    mut interfaces: watch::Receiver<Vec<Interface>>,
    names: watch::Sender<Arc<Vec<Name>>>,
    stop: CancellationToken,
) {
    let here = interfaces.borrow_and_update().clone();
    let started = Responder::start(&here).and_then(|r| Ok((r.daemon.browse(SERVICE)?, r)));
    let (events, mut responder) = match started {
        Ok(started) => started,
        Err(error) => {
            warn!(%error, "names on the network cannot be heard");
            return;
        }
    };
    let mut known: BTreeMap<String, Name> = BTreeMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            changed = interfaces.changed() => {
                if changed.is_err() {
                    break;
                }
                let here = interfaces.borrow_and_update().clone();
                responder.follow(&here);
            }
            () = responder.calm() => {}
            event = events.recv_async() => match event {
                Ok(event) => if note(&mut known, event) {
                    names.send_replace(Arc::new(known.values().cloned().collect()));
                },
                Err(_) => break,
            }
        }
    }
    responder.end().await;
}

fn note(known: &mut BTreeMap<String, Name>, event: ServiceEvent) -> bool {
    match event {
        ServiceEvent::ServiceResolved(found) if known.len() < MOST_NAMES => {
            // Printers and routers have pages, too.
            let Some(version) = found.get_property_val_str(KONPO) else { return false };
            let full = found.fullname.clone();
            let instance = full.strip_suffix(&format!(".{SERVICE}")).unwrap_or(&full).to_owned();
            let host = found.host.trim_end_matches('.').to_owned();
            let mut addresses: Vec<IpAddr> = found.addresses.iter().map(|a| a.to_ip_addr()).collect();
            addresses.sort();
            let name = Name { instance, host, addresses, port: found.port, version: version.to_owned() };
            known.insert(full, name.clone()) != Some(name)
        }
        ServiceEvent::ServiceRemoved(_, full) => known.remove(&full).is_some(),
        _ => false,
    }
}

/// The kind of a page.
pub const SERVICE: &str = "_http._tcp.local.";
/// The TXT key that tells a konpo from other pages; its value is the version.
pub const KONPO: &str = "konpo";
const MOST_NAMES: usize = 200;
/// How long a goodbye may hold the end.
pub const GOODBYE: Duration = Duration::from_millis(200);
/// The responder looks at the interfaces so often, in seconds, when nothing is known to have changed.
const LOOK_EVERY: u32 = 60;
/// A change needs one look; the second one is for a join that came too early.
const CALM_AFTER: Duration = Duration::from_millis(2500);
