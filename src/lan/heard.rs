//! Who was heard, and until when that holds: keyed by UDN, for a location changes. Pure; the clock is an argument.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use crate::wire::ssdp::{Here, Message};

/// A media server that was heard.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// The device, without `uuid:`.
    pub udn: String,
    /// URL of its description.
    pub location: String,
    /// Its software; empty when it does not say.
    pub server: String,
    /// Where it spoke from.
    pub from: SocketAddr,
    /// The interface it was heard on.
    pub interface: String,
    /// Our address there.
    pub local: Ipv4Addr,
    /// When it is forgotten unless it speaks again.
    pub expires: Instant,
    /// When it appeared.
    pub first: Instant,
    /// Grows when it was restarted.
    pub boot_id: Option<u32>,
}

/// Where a datagram came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// Its sender.
    pub from: SocketAddr,
    /// The interface.
    pub interface: String,
    /// Our address there.
    pub local: Ipv4Addr,
}

/// Everybody who was heard.
#[derive(Debug, Default)]
pub struct Table {
    known: HashMap<String, Entry>,
    own: Vec<String>,
}

#[derive(Debug)]
struct Entry {
    heard: Heard,
    failures: u8,
    /// Two connections failed: not shown until it speaks again.
    hidden: bool,
}

impl Table {
    /// Returns an empty table that never holds our own devices.
    pub fn new(own: Vec<String>) -> Table {
        Table { known: HashMap::new(), own }
    }

    /// Takes a message. Returns whether what is shown changed.
    pub fn take(&mut self, message: Message, way: Way, now: Instant) -> bool {
        match message {
            Message::Here(here) => self.here(here, way, now),
            Message::Gone { udn } => self.known.remove(&udn).is_some_and(|entry| !entry.hidden),
            Message::Search { .. } => false,
        }
    }

    fn here(&mut self, here: Here, way: Way, now: Instant) -> bool {
        if self.own.contains(&here.udn) {
            return false;
        }
        let expires = now + here.max_age;
        let is_server =
            [":device:MediaServer:", ":service:ContentDirectory:"].iter().any(|k| here.kind.contains(k));
        if let Some(entry) = self.known.get_mut(&here.udn) {
            entry.heard.expires = expires.max(entry.heard.expires);
            // The other messages of a set say nothing new of the place.
            if !is_server {
                return false;
            }
            let was = (entry.hidden, entry.heard.location.clone(), entry.heard.boot_id);
            (entry.failures, entry.hidden) = (0, false);
            entry.heard.location = here.location;
            entry.heard.boot_id = here.boot_id;
            entry.heard.server = here.server;
            (entry.heard.from, entry.heard.interface, entry.heard.local) =
                (way.from, way.interface, way.local);
            return was != (false, entry.heard.location.clone(), entry.heard.boot_id);
        }
        if !is_server || self.known.len() >= MOST_DEVICES {
            return false;
        }
        let heard = Heard {
            udn: here.udn.clone(),
            location: here.location,
            server: here.server,
            from: way.from,
            interface: way.interface,
            local: way.local,
            expires,
            first: now,
            boot_id: here.boot_id,
        };
        self.known.insert(here.udn, Entry { heard, failures: 0, hidden: false });
        true
    }

    /// Notes that a device did not answer. The second time in a row it is hidden; returns whether that happened now.
    pub fn failed(&mut self, udn: &str) -> bool {
        let Some(entry) = self.known.get_mut(udn) else { return false };
        entry.failures = entry.failures.saturating_add(1);
        let hides = entry.failures >= FAILURES && !entry.hidden;
        entry.hidden |= hides;
        hides
    }

    /// Notes that a device answered.
    pub fn answered(&mut self, udn: &str) {
        if let Some(entry) = self.known.get_mut(udn) {
            entry.failures = 0;
        }
    }

    /// Forgets whose time is over. Returns whether what is shown changed.
    pub fn expire(&mut self, now: Instant) -> bool {
        self.forget(|heard| heard.expires > now)
    }

    /// Forgets who was heard on an address we no longer have. Returns whether what is shown changed.
    pub fn left(&mut self, local: Ipv4Addr) -> bool {
        self.forget(|heard| heard.local != local)
    }

    fn forget(&mut self, keep: impl Fn(&Heard) -> bool) -> bool {
        let mut changed = false;
        self.known.retain(|_, entry| {
            let keep = keep(&entry.heard);
            changed |= !keep && !entry.hidden;
            keep
        });
        changed
    }

    /// Returns when the next one is forgotten.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.known.values().map(|entry| entry.heard.expires).min()
    }

    /// Returns who is shown, the longest known first.
    pub fn shown(&self) -> Vec<Heard> {
        let shown = self.known.values().filter(|entry| !entry.hidden);
        let mut shown: Vec<Heard> = shown.map(|entry| entry.heard.clone()).collect();
        shown.sort_by(|a, b| (a.first, &a.udn).cmp(&(b.first, &b.udn)));
        shown
    }
}

/// After so many failed connections in a row a device is hidden (reference upnp 8.1).
const FAILURES: u8 = 2;
/// More devices than a house has are an attack.
const MOST_DEVICES: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn here(udn: &str, kind: &str, location: &str) -> Message {
        Message::Here(Here {
            udn: udn.into(),
            kind: kind.into(),
            location: location.into(),
            max_age: Duration::from_secs(70),
            server: String::new(),
            boot_id: None,
        })
    }

    fn way() -> Way {
        let from = "10.77.0.2:1900".parse().expect("an address");
        Way { from, interface: "eth0".into(), local: Ipv4Addr::new(10, 77, 0, 1) }
    }

    const SERVER: &str = "urn:schemas-upnp-org:device:MediaServer:1";

    #[test]
    fn a_set_of_announcements_is_one_device() {
        let mut table = Table::new(vec!["me".into()]);
        let now = Instant::now();
        assert!(!table.take(here("a", "upnp:rootdevice", "http://x/"), way(), now));
        assert!(table.take(here("a", SERVER, "http://x/"), way(), now));
        assert!(!table.take(here("a", SERVER, "http://x/"), way(), now));
        assert!(!table.take(here("me", SERVER, "http://x/"), way(), now));
        assert!(!table.take(
            here("r", "urn:schemas-upnp-org:device:MediaRenderer:1", "http://x/"),
            way(),
            now
        ));
        assert_eq!(table.shown().len(), 1);
        // The same device at another place.
        assert!(table.take(here("a", SERVER, "http://y/"), way(), now));
        assert_eq!(table.shown()[0].location, "http://y/");
    }

    #[test]
    fn a_phone_that_vanishes_silently_is_forgotten_in_time() {
        let mut table = Table::new(Vec::new());
        let now = Instant::now();
        table.take(here("a", SERVER, "http://x/"), way(), now);
        assert!(!table.expire(now + Duration::from_secs(69)));
        // Any message of it keeps it.
        table.take(here("a", "upnp:rootdevice", "http://x/"), way(), now + Duration::from_secs(69));
        assert!(!table.expire(now + Duration::from_secs(80)));
        assert!(table.expire(now + Duration::from_secs(140)));
        assert!(table.shown().is_empty());
    }

    #[test]
    fn two_failures_hide_a_device_until_it_speaks() {
        let mut table = Table::new(Vec::new());
        let now = Instant::now();
        table.take(here("a", SERVER, "http://x/"), way(), now);
        assert!(!table.failed("a"));
        table.answered("a");
        assert!(!table.failed("a") && table.failed("a"));
        assert!(table.shown().is_empty());
        assert!(table.take(here("a", SERVER, "http://x/"), way(), now));
        assert_eq!(table.shown().len(), 1);
    }

    #[test]
    fn a_farewell_and_a_lost_address_remove() {
        let mut table = Table::new(Vec::new());
        let now = Instant::now();
        table.take(here("a", SERVER, "http://x/"), way(), now);
        table.take(here("b", SERVER, "http://y/"), way(), now);
        assert!(table.take(Message::Gone { udn: "a".into() }, way(), now));
        assert!(table.left(Ipv4Addr::new(10, 77, 0, 1)));
        assert!(table.shown().is_empty());
    }

    #[test]
    fn a_flood_of_devices_is_bounded() {
        let mut table = Table::new(Vec::new());
        for n in 0..2000 {
            table.take(here(&n.to_string(), SERVER, "http://x/"), way(), Instant::now());
        }
        assert_eq!(table.shown().len(), MOST_DEVICES);
    }
}
