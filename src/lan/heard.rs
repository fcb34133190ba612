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
    /// What is shown: one of the ways, the same one while it holds.
    heard: Heard,
    /// Every way on which it was heard, by our address; at most [`MOST_WAYS`].
    ways: Vec<Known>,
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
            // It may still be there on another network of ours, where it has another address.
            Message::Gone { udn } => self.keep(|heard, known| {
                heard.udn != udn || (known.local != way.local && known.from.ip() != way.from.ip())
            }),
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
            return entry.heard_again(here, way, expires, is_server);
        }
        let sender = way.from.ip();
        let of_sender = self.known.values().filter(|entry| entry.heard.from.ip() == sender).count();
        if !is_server || self.known.len() >= MOST_DEVICES || of_sender >= MOST_OF_ONE {
            return false;
        }
        let heard = Heard {
            udn: here.udn.clone(),
            location: here.location.clone(),
            server: here.server,
            from: way.from,
            interface: way.interface.clone(),
            local: way.local,
            expires,
            first: now,
            boot_id: here.boot_id,
        };
        let ways = vec![Known::new(here.location, way, expires)];
        self.known.insert(here.udn, Entry { heard, ways, failures: 0, hidden: false });
        true
    }

    /// Notes that a device did not answer. The second time in a row it is looked for on the next way, and without one
    /// it is hidden; returns whether that happened now.
    pub fn failed(&mut self, udn: &str) -> bool {
        let Some(entry) = self.known.get_mut(udn) else { return false };
        entry.failures = entry.failures.saturating_add(1);
        if entry.failures < FAILURES || entry.hidden {
            return false;
        }
        if entry.ways.len() > 1 {
            let local = entry.heard.local;
            entry.ways.retain(|known| known.local != local);
            entry.failures = 0;
            entry.choose();
        } else {
            entry.hidden = true;
        }
        true
    }

    /// Notes that a device answered.
    pub fn answered(&mut self, udn: &str) {
        if let Some(entry) = self.known.get_mut(udn) {
            entry.failures = 0;
        }
    }

    /// Forgets whose time is over. Returns whether what is shown changed.
    pub fn expire(&mut self, now: Instant) -> bool {
        self.keep(|_, known| known.expires > now)
    }

    /// Forgets who was heard only on an address we no longer have. Returns whether what is shown changed.
    pub fn left(&mut self, local: Ipv4Addr) -> bool {
        self.keep(|_, known| known.local != local)
    }

    /// Keeps these ways, and the devices that have one left.
    fn keep(&mut self, keep: impl Fn(&Heard, &Known) -> bool) -> bool {
        let mut changed = false;
        self.known.retain(|_, entry| {
            entry.ways.retain(|known| keep(&entry.heard, known));
            changed |= entry.choose() && !entry.hidden;
            !entry.ways.is_empty()
        });
        changed
    }

    /// Returns whether somebody is heard from this address.
    pub fn is_heard_from(&self, address: Ipv4Addr) -> bool {
        self.known.values().any(|entry| entry.ways.iter().any(|known| known.from.ip() == address))
    }

    /// Returns when the next one is forgotten.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.known.values().flat_map(|entry| &entry.ways).map(|known| known.expires).min()
    }

    /// Returns who is shown, the longest known first.
    pub fn shown(&self) -> Vec<Heard> {
        let shown = self.known.values().filter(|entry| !entry.hidden);
        let mut shown: Vec<Heard> = shown.map(|entry| entry.heard.clone()).collect();
        shown.sort_by(|a, b| (a.first, &a.udn).cmp(&(b.first, &b.udn)));
        shown
    }
}

/// One way to a device.
#[derive(Debug)]
struct Known {
    location: String,
    from: SocketAddr,
    interface: String,
    local: Ipv4Addr,
    expires: Instant,
}

impl Known {
    fn new(location: String, Way { from, interface, local }: Way, expires: Instant) -> Known {
        Known { location, from, interface, local, expires }
    }
}

impl Entry {
    fn heard_again(&mut self, here: Here, way: Way, expires: Instant, is_server: bool) -> bool {
        let known = self.ways.iter_mut().find(|known| known.local == way.local);
        if let Some(known) = known {
            known.expires = expires.max(known.expires);
        }
        // The other messages of a set say nothing new of the place.
        if !is_server {
            return false;
        }
        let expires = self.ways.iter().find(|k| k.local == way.local).map_or(expires, |k| k.expires);
        self.ways.retain(|known| known.local != way.local);
        if self.ways.len() < MOST_WAYS {
            self.ways.push(Known::new(here.location, way, expires));
        }
        let was = (self.hidden, self.heard.boot_id);
        (self.failures, self.hidden) = (0, false);
        // Some say it in announcements only.
        self.heard.boot_id = here.boot_id.or(self.heard.boot_id);
        self.heard.server = here.server;
        self.choose() | (was != (false, self.heard.boot_id))
    }

    /// Shows the way that was shown, else the one that was heard last: a device in two networks of ours has a location in
    /// each and must not seem to move with every message. Returns whether another place is shown.
    fn choose(&mut self) -> bool {
        let same = self.ways.iter().find(|known| known.local == self.heard.local);
        let Some(known) = same.or(self.ways.last()) else { return true };
        let moved = (&self.heard.location, self.heard.local) != (&known.location, known.local);
        self.heard.location.clone_from(&known.location);
        self.heard.interface.clone_from(&known.interface);
        (self.heard.from, self.heard.local, self.heard.expires) = (known.from, known.local, known.expires);
        moved
    }
}

/// After so many failed connections in a row a device is hidden (reference upnp 8.1).
const FAILURES: u8 = 2;
/// A device is heard on as many networks as we are on.
const MOST_WAYS: usize = 8;
/// More devices than a house has are an attack.
const MOST_DEVICES: usize = 500;
/// One machine runs a few servers, not a house full: it must not take the places of others.
const MOST_OF_ONE: usize = 20;

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

    fn by(nic: u8, host: u8) -> Way {
        let from = SocketAddr::from(([10, 77, nic, host], 1900));
        Way { from, interface: format!("eth{nic}"), local: Ipv4Addr::new(10, 77, nic, 1) }
    }

    #[test]
    fn a_device_in_two_networks_stays_when_one_goes() {
        let mut table = Table::new(Vec::new());
        let now = Instant::now();
        assert!(table.take(here("a", SERVER, "http://one/"), by(1, 5), now));
        for _ in 0..3 {
            assert!(!table.take(here("a", SERVER, "http://two/"), by(2, 5), now), "it did not move");
            assert!(!table.take(here("a", SERVER, "http://one/"), by(1, 5), now));
        }
        assert_eq!(table.shown()[0].location, "http://one/");
        assert!(table.left(Ipv4Addr::new(10, 77, 1, 1)), "it is to be asked elsewhere now");
        let shown = table.shown();
        assert_eq!((shown[0].location.as_str(), shown[0].interface.as_str()), ("http://two/", "eth2"));
        assert!(!table.left(Ipv4Addr::new(10, 77, 1, 1)));
        assert!(table.left(Ipv4Addr::new(10, 77, 2, 1)) && table.shown().is_empty());
    }

    #[test]
    fn a_farewell_in_one_network_leaves_the_other() {
        let mut table = Table::new(Vec::new());
        let now = Instant::now();
        table.take(here("a", SERVER, "http://one/"), by(1, 5), now);
        table.take(here("a", SERVER, "http://two/"), by(2, 5), now);
        assert!(table.take(Message::Gone { udn: "a".into() }, by(1, 5), now));
        assert_eq!(table.shown()[0].location, "http://two/");
        // Two of our interfaces in one network: the farewell is heard once.
        table.take(
            here("a", SERVER, "http://two/"),
            Way { local: Ipv4Addr::new(10, 77, 2, 2), ..by(2, 5) },
            now,
        );
        assert!(table.take(Message::Gone { udn: "a".into() }, by(2, 5), now) && table.shown().is_empty());
    }

    #[test]
    fn a_way_that_fails_twice_gives_way_to_the_next() {
        let mut table = Table::new(Vec::new());
        let now = Instant::now();
        table.take(here("a", SERVER, "http://one/"), by(1, 5), now);
        table.take(here("a", SERVER, "http://two/"), by(2, 5), now);
        assert!(!table.failed("a") && table.failed("a"));
        assert_eq!(table.shown()[0].location, "http://two/");
        assert!(!table.failed("a") && table.failed("a") && table.shown().is_empty());
    }

    #[test]
    fn a_flood_of_devices_is_bounded() {
        let mut table = Table::new(Vec::new());
        for n in 0..2000 {
            table.take(here(&n.to_string(), SERVER, "http://x/"), way(), Instant::now());
        }
        assert_eq!(table.shown().len(), MOST_OF_ONE, "of one sender");
        let from = "10.77.0.3:1900".parse().expect("an address");
        assert!(table.take(here("phone", SERVER, "http://y/"), Way { from, ..way() }, Instant::now()));
        for n in 0..2000u16 {
            let from = std::net::SocketAddr::from(([10, 77, (n >> 8) as u8 + 1, n as u8], 1900));
            table.take(here(&format!("x{n}"), SERVER, "http://x/"), Way { from, ..way() }, Instant::now());
        }
        assert_eq!(table.shown().len(), MOST_DEVICES);
    }
}
