//! The interfaces we live on: up, multicast, IPv4, and neither loopback nor made by containers, unless listed by name.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

use crate::error::{Error, Result};

/// An IPv4 address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Interface {
    /// The kernel's name.
    pub name: String,
    /// The kernel's number.
    pub index: u32,
    /// Our address there.
    pub address: Ipv4Addr,
    /// Length of the network's prefix, 0..=32.
    pub prefix: u8,
}

impl Interface {
    /// Returns whether an address is on this network.
    pub fn reaches(&self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
        u32::from(self.address) & mask == u32::from(address) & mask
    }
}

/// What changed between two lists of interfaces, by number and address.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Those that are not there any more; to be left before the new ones are joined.
    pub gone: Vec<Interface>,
    /// Those that are new.
    pub new: Vec<Interface>,
}

/// Returns what changed. A link that was `down` meanwhile lost its groups in the switch: it is gone and new.
pub fn difference(before: &[Interface], now: &[Interface], down: &BTreeSet<u32>) -> Difference {
    let stayed = |interface: &Interface, in_other: &[Interface]| {
        in_other.contains(interface) && !down.contains(&interface.index)
    };
    let missing = |from: &[Interface], in_other: &[Interface]| {
        from.iter().filter(|interface| !stayed(interface, in_other)).cloned().collect()
    };
    Difference { gone: missing(before, now), new: missing(now, before) }
}

/// Returns the interfaces to use now, by name and address. `only` lists names; empty: every usable one.
///
/// # Errors
/// Those of asking the kernel.
pub fn usable(only: &[String]) -> Result<Vec<Interface>> {
    let addresses = getifaddrs().map_err(|error| Error::io("list the network interfaces", error.into()))?;
    let mut found: Vec<Interface> = addresses
        .filter_map(|entry| {
            let name = entry.interface_name;
            if !is_usable(&name, entry.flags, only) {
                return None;
            }
            let address = entry.address?.as_sockaddr_in()?.ip();
            let mask = entry.netmask?.as_sockaddr_in()?.ip();
            let index = if_nametoindex(name.as_str()).ok()?;
            Some(Interface { name, index, address, prefix: u32::from(mask).leading_ones() as u8 })
        })
        .collect();
    found.sort_by_key(|interface| (interface.index, interface.address));
    Ok(found)
}

pub(super) fn is_usable(name: &str, flags: InterfaceFlags, only: &[String]) -> bool {
    if !flags.contains(InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING) {
        return false;
    }
    if !only.is_empty() {
        return only.iter().any(|wanted| wanted == name);
    }
    let made = MADE_BY_CONTAINERS.iter().any(|prefix| name.starts_with(prefix));
    flags.contains(InterfaceFlags::IFF_MULTICAST) && !flags.contains(InterfaceFlags::IFF_LOOPBACK) && !made
}

/// Networks that lead to no phone: containers, virtual machines, tunnels.
const MADE_BY_CONTAINERS: [&str; 8] = ["docker", "br-", "veth", "virbr", "tun", "tap", "wg", "zt"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_networks_with_people_are_used() {
        let up = InterfaceFlags::IFF_UP | InterfaceFlags::IFF_RUNNING | InterfaceFlags::IFF_MULTICAST;
        assert!(is_usable("eth0", up, &[]) && is_usable("wlan0", up, &[]));
        assert!(!is_usable("docker0", up, &[]) && !is_usable("tun0", up, &[]));
        assert!(!is_usable("lo", up | InterfaceFlags::IFF_LOOPBACK, &[]));
        assert!(is_usable("lo", up | InterfaceFlags::IFF_LOOPBACK, &["lo".into()]));
        assert!(!is_usable("eth0", up, &["eth1".into()]));
        assert!(!is_usable("eth0", InterfaceFlags::IFF_UP, &[]));
    }

    #[test]
    fn a_network_reaches_its_own() {
        let here = Interface { name: "e".into(), index: 1, address: Ipv4Addr::new(10, 77, 0, 1), prefix: 24 };
        assert!(here.reaches(Ipv4Addr::new(10, 77, 0, 200)) && !here.reaches(Ipv4Addr::new(10, 77, 1, 1)));
        let all = Interface { prefix: 0, ..here };
        assert!(all.reaches(Ipv4Addr::new(8, 8, 8, 8)));
    }

    #[test]
    fn a_replugged_cable_is_gone_and_new() {
        let nic = |index, last| Interface {
            name: format!("eth{index}"),
            index,
            address: Ipv4Addr::new(10, 77, index as u8, last),
            prefix: 24,
        };
        let all = [nic(1, 1), nic(2, 1), nic(2, 99)];
        let pick = |which: &[usize]| which.iter().map(|&i| all[i].clone()).collect::<Vec<_>>();
        let check = |before: &[usize], now: &[usize], down: &[u32], gone: &[usize], new: &[usize]| {
            let got = difference(&pick(before), &pick(now), &down.iter().copied().collect());
            assert_eq!(got, Difference { gone: pick(gone), new: pick(new) });
        };
        check(&[], &[0, 1], &[], &[], &[0, 1]);
        check(&[0, 1], &[0, 1], &[], &[], &[]);
        check(&[0, 1], &[0], &[2], &[1], &[]);
        check(&[0, 1], &[0, 2], &[], &[1], &[2]);
        check(&[0, 1], &[0, 1], &[2], &[1], &[1]);
    }
}
