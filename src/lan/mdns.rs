//! Names by multicast DNS (RFC 6762, 6763): the page is announced as `_http._tcp`, and names are browsed.
//! One publisher at a time: Avahi when it is on the system bus, else our own responder. Runs as one task.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use mdns_sd::{IfKind, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::lan::avahi;
use crate::lan::interfaces::Interface;

/// A page that somebody on the network announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// What it calls itself.
    pub instance: String,
    /// Its host, ending in `.local.`
    pub host: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its port.
    pub port: u16,
}

/// What is announced.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// The name of the box, shown as it is.
    pub instance: String,
    /// Our own host label, never the machine's.
    pub label: String,
    /// The port of the page.
    pub port: u16,
}

/// Returns the host label of a name: its ASCII letters and digits, lower case, else `konpo`.
pub fn label_of(name: &str) -> String {
    let spaced: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let label: Vec<&str> = spaced.split('-').filter(|part| !part.is_empty()).collect();
    let label: String = label.join("-").chars().take(LONGEST_LABEL).collect();
    let label = label.trim_end_matches('-').to_owned();
    if label.is_empty() { "konpo".into() } else { label }
}

/// Announces and browses until the stop token falls, then says goodbye.
pub async fn run(
    announcement: Announcement,
    mut interfaces: watch::Receiver<Vec<Interface>>,
    names: watch::Sender<Arc<Vec<Name>>>,
    stop: CancellationToken,
) {
    let daemon = match ServiceDaemon::new() {
        Ok(daemon) => daemon,
        Err(error) => {
            warn!(%error, "names on the network cannot be used");
            return;
        }
    };
    let mut here: Vec<Interface> = Vec::new();
    use_interfaces(&daemon, &[], &[]);
    let mut browser = daemon.browse(SERVICE).ok();
    let mut known: BTreeMap<String, Name> = BTreeMap::new();
    let mut avahi = avahi::Avahi::connect().await;
    let mut by_avahi = false;
    let mut renew = true;
    loop {
        if interfaces.has_changed().unwrap_or(false) || here.is_empty() {
            let now = interfaces.borrow_and_update().clone();
            if now != here {
                use_interfaces(&daemon, &here, &now);
                here = now;
                renew = true;
            }
        }
        let there = match &mut avahi {
            Some(avahi) => avahi.is_there().await,
            None => false,
        };
        if (renew || there != by_avahi) && !here.is_empty() {
            renew = !publish(&daemon, avahi.as_mut().filter(|_| there), &announcement, &here).await;
            if there != by_avahi {
                info!(avahi = there, "the publisher of our name changed");
                by_avahi = there;
            }
        }
        tokio::select! {
            () = stop.cancelled() => break,
            changed = interfaces.changed() => if changed.is_err() { break },
            () = avahi::changed(avahi.as_mut()) => {}
            () = tokio::time::sleep(RETRY), if renew => {}
            event = next_event(&mut browser) => {
                if note(&mut known, event) {
                    names.send_replace(Arc::new(known.values().cloned().collect()));
                }
            }
        }
    }
    if let Some(avahi) = &mut avahi {
        avahi.withdraw().await;
    }
    withdraw(&daemon, &announcement).await;
    if let Ok(done) = daemon.shutdown() {
        // The goodbye is on its way; the daemon's thread ends by itself.
        let _late = tokio::time::timeout(GOODBYE, done.recv_async()).await;
    }
}

async fn publish(
    daemon: &ServiceDaemon,
    avahi: Option<&mut avahi::Avahi>,
    announcement: &Announcement,
    here: &[Interface],
) -> bool {
    let addresses: Vec<Ipv4Addr> = here.iter().map(|interface| interface.address).collect();
    if let Some(avahi) = avahi {
        withdraw(daemon, announcement).await;
        match avahi.publish(announcement, &addresses).await {
            Ok(()) => return true,
            Err(error) => warn!(%error, "Avahi does not publish our name"),
        }
        return false;
    }
    let host = format!("{}.local.", announcement.label);
    let ips: Vec<IpAddr> = addresses.into_iter().map(IpAddr::V4).collect();
    let info =
        ServiceInfo::new(SERVICE, &announcement.instance, &host, &ips[..], announcement.port, &TXT[..]);
    match info.and_then(|info| daemon.register(info)) {
        Ok(()) => true,
        Err(error) => {
            warn!(%error, "our name is not announced");
            false
        }
    }
}

async fn withdraw(daemon: &ServiceDaemon, announcement: &Announcement) {
    let full = format!("{}.{SERVICE}", announcement.instance);
    if let Ok(done) = daemon.unregister(&full) {
        // Nothing was registered, or the goodbye went out.
        let _either = tokio::time::timeout(GOODBYE, done.recv_async()).await;
    }
}

/// Lets the daemon speak on our interfaces only.
fn use_interfaces(daemon: &ServiceDaemon, old: &[Interface], new: &[Interface]) {
    if old.is_empty() {
        said(daemon.disable_interface(IfKind::All));
    }
    for interface in old.iter().filter(|interface| !new.contains(interface)) {
        said(daemon.disable_interface(IfKind::Addr(interface.address.into())));
    }
    for interface in new.iter().filter(|interface| !old.contains(interface)) {
        said(daemon.enable_interface(IfKind::Addr(interface.address.into())));
    }
}

fn said(result: mdns_sd::Result<()>) {
    if let Err(error) = result {
        debug!(%error, "the mDNS responder is busy");
    }
}

type Browser = Option<mdns_sd::Receiver<ServiceEvent>>;

async fn next_event(browser: &mut Browser) -> ServiceEvent {
    if let Some(events) = browser {
        if let Ok(event) = events.recv_async().await {
            return event;
        }
        *browser = None;
    }
    std::future::pending().await
}

fn note(known: &mut BTreeMap<String, Name>, event: ServiceEvent) -> bool {
    match event {
        ServiceEvent::ServiceResolved(found) if known.len() < MOST_NAMES => {
            let full = found.fullname.clone();
            let instance = full.strip_suffix(&format!(".{SERVICE}")).unwrap_or(&full).to_owned();
            let addresses = found.addresses.iter().map(|address| address.to_ip_addr()).collect();
            let name = Name { instance, host: found.host.clone(), addresses, port: found.port };
            known.insert(full, name.clone()) != Some(name)
        }
        ServiceEvent::ServiceRemoved(_, full) => known.remove(&full).is_some(),
        _ => false,
    }
}

const SERVICE: &str = "_http._tcp.local.";
/// RFC 6763, 6: where the page begins.
const TXT: [(&str, &str); 1] = [("path", "/")];
/// RFC 1035, 2.3.4.
const LONGEST_LABEL: usize = 63;
const MOST_NAMES: usize = 200;
/// How long a goodbye may hold the end.
const GOODBYE: Duration = Duration::from_millis(200);
const RETRY: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_plain() {
        for (name, want) in [
            ("Living Room", "living-room"),
            ("Küche", "k-che"),
            ("寝室", "konpo"),
            ("--a__b--", "a-b"),
            ("Yuki's Stereo!", "yuki-s-stereo"),
        ] {
            assert_eq!(label_of(name), want);
        }
        assert!(label_of(&"x-".repeat(99)).len() <= LONGEST_LABEL);
    }
}
