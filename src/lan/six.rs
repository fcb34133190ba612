//! Our IPv6 addresses (RFC 4291), for what is found by them: the page, and phones with LocalSend. UPnP and mDNS live on
//! `interfaces`. A box without IPv6 has none, and nothing else changes.

use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::{Duration, Instant};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::error::{Error, Result};
use crate::lan::changes::{Changes, Family, Settling};
use crate::lan::interfaces::is_usable;

/// An IPv6 address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Six {
    /// The kernel's name.
    pub name: String,
    /// The kernel's number, which is the scope of what is sent to a link-local address (RFC 4007, 6).
    pub index: u32,
    /// Our address there.
    pub address: Ipv6Addr,
    /// Length of the network's prefix, 0..=128.
    pub prefix: u8,
}

impl Six {
    /// Returns whether an address is on this network. A link-local one is only when it says that it is on this link.
    pub fn reaches(&self, other: &SocketAddrV6) -> bool {
        if other.ip().is_unicast_link_local() {
            return other.scope_id() == self.index;
        }
        let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix.min(128))).unwrap_or(0);
        !self.address.is_unicast_link_local() && self.address.to_bits() & mask == other.ip().to_bits() & mask
    }
}

/// Returns the addresses to use now, by interface. `only` lists names; empty: every usable one.
///
/// # Errors
/// Those of asking the kernel.
pub fn usable(only: &[String]) -> Result<Vec<Six>> {
    let addresses = getifaddrs().map_err(|error| Error::io("list the network interfaces", error.into()))?;
    let mut found: Vec<Six> = addresses
        .filter_map(|entry| {
            let name = entry.interface_name;
            if !is_usable(&name, entry.flags, only) {
                return None;
            }
            let address = entry.address?.as_sockaddr_in6()?.ip();
            let mask = entry.netmask?.as_sockaddr_in6()?.ip();
            let index = if_nametoindex(name.as_str()).ok()?;
            Some(Six { name, index, address, prefix: mask.to_bits().leading_ones() as u8 })
        })
        .collect();
    found.sort_by_key(|six| (six.index, six.address));
    Ok(found)
}

/// Returns whether a caller over IPv6 may be heard at all: from this box, from a link or a network of ours, or from a network
/// that is nobody's but the house's (RFC 4193). Addresses of IPv6 are reached from everywhere where no router stands
/// before them, as those of IPv4 are not.
pub fn lets_in(ours: &[Six], from: &SocketAddrV6) -> bool {
    let address = from.ip();
    address.is_loopback()
        || address.is_unicast_link_local()
        || address.is_unique_local()
        || ours.iter().any(|six| six.reaches(from))
}

/// Keeps the list in step with the kernel's until the stop token falls. Runs as one task.
pub async fn follow(only: Vec<String>, list: watch::Sender<Vec<Six>>, stop: CancellationToken) {
    let changes = Changes::open(Family::Six);
    if let Err(error) = &changes {
        debug!(%error, "changes of IPv6 addresses are looked for");
    }
    let mut settling = Settling::default();
    loop {
        let every = Instant::now() + if changes.is_ok() { LOOK_EVERY } else { LOOK_OFTEN };
        let at = settling.due().unwrap_or(every);
        let next = async {
            match &changes {
                Ok(changes) => changes.next().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            noticed = next => match noticed {
                Ok(noticed) => noticed.into_iter().for_each(|change| settling.note(change, Instant::now())),
                Err(error) => {
                    debug!(%error, "the kernel's notices cannot be read");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            () = tokio::time::sleep_until(at.into()) => {
                let was_down = !settling.take().is_empty();
                look(&only, &list, was_down);
            }
        }
    }
}

/// Tells of a list that changed, or whose links forgot their groups meanwhile.
fn look(only: &[String], list: &watch::Sender<Vec<Six>>, was_down: bool) {
    match usable(only) {
        Ok(now) => {
            list.send_if_modified(|before| {
                let (changed, has_some) = (*before != now, !now.is_empty());
                if changed {
                    info!(addresses = now.len(), "addresses of IPv6 changed");
                    *before = now;
                }
                changed || (was_down && has_some)
            });
        }
        Err(error) => debug!(%error, "the addresses of IPv6 stay as they were"),
    }
}

/// How often it is looked though nothing was noticed.
const LOOK_EVERY: Duration = Duration::from_secs(60);
const LOOK_OFTEN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn six(index: u32, text: &str, prefix: u8) -> Six {
        Six { name: format!("eth{index}"), index, address: text.parse().expect("an address"), prefix }
    }

    fn from(text: &str) -> SocketAddrV6 {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_reaches_its_own_and_a_link_its_own() {
        let (link, home) = (six(2, "fe80::1", 64), six(2, "2001:db8:1:2::1", 64));
        assert!(link.reaches(&from("[fe80::9%2]:1")) && home.reaches(&from("[fe80::9%2]:1")));
        assert!(!link.reaches(&from("[fe80::9%3]:1")), "of another link");
        assert!(!link.reaches(&from("[fe80::9]:1")), "of no link");
        assert!(
            home.reaches(&from("[2001:db8:1:2:ffff::9]:1")) && !home.reaches(&from("[2001:db8:1:3::9]:1"))
        );
        assert!(!link.reaches(&from("[2001:db8:1:2::9]:1")));
        assert!(six(2, "2001:db8::1", 0).reaches(&from("[2606::1]:1")));
    }

    #[test]
    fn the_world_is_not_let_in() {
        let ours = [six(2, "fe80::1", 64), six(2, "2001:db8:1:2::1", 64)];
        for near in ["[::1]:1", "[fe80::9%3]:1", "[fd12::9]:1", "[2001:db8:1:2::9]:1"] {
            assert!(lets_in(&ours, &from(near)), "{near}");
        }
        for far in ["[2001:db8:1:3::9]:1", "[2606:4700::1111]:1", "[::ffff:8.8.8.8]:1"] {
            assert!(!lets_in(&ours, &from(far)), "{far}");
        }
        assert!(!lets_in(&[], &from("[2001:db8:1:2::9]:1")));
    }

    #[test]
    fn the_addresses_of_this_machine_can_be_listed() {
        let all = usable(&["lo".into()]).expect("the kernel answers");
        assert!(all.iter().all(|six| six.name == "lo"), "{all:?}");
    }
}
