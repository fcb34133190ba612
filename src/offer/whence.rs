//! From where somebody speaks. Plain data.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Where a caller is: its address, and for one that holds on a single link only (fe80::/10) that link as well, for two links
/// may have the same address (RFC 4007, 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whence {
    /// The address. One of IPv4 in IPv6 clothes stands here as what it is.
    pub address: IpAddr,
    /// The kernel's number of the link; 0 for addresses that mean the same on all of them.
    pub link: u32,
}

impl From<SocketAddr> for Whence {
    fn from(at: SocketAddr) -> Whence {
        let link = match at {
            SocketAddr::V6(six) if six.ip().is_unicast_link_local() => six.scope_id(),
            _ => 0,
        };
        Whence { address: at.ip().to_canonical(), link }
    }
}

impl From<IpAddr> for Whence {
    fn from(address: IpAddr) -> Whence {
        Whence { address: address.to_canonical(), link: 0 }
    }
}

impl fmt::Display for Whence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.link {
            0 => self.address.fmt(f),
            link => write!(f, "{}%{link}", self.address),
        }
    }
}

/// Returns what counts as one where places and tries are shared out: an IPv4 address, and of IPv6 the whole /64, in which a
/// single machine makes itself as many addresses as it likes (RFC 4291, 2.5.1; RFC 8981).
pub fn share(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX)).into(),
        four => four,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_addresses_of_one_machine_are_one_share() {
        let share = |text: &str| super::share(text.parse().expect("an address")).to_string();
        assert_eq!(share("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(share("2001:db8:1:2:ffff::1"), share("2001:db8:1:2::7"));
        assert_ne!(share("2001:db8:1:3::1"), share("2001:db8:1:2::1"));
        assert_eq!(share("10.77.0.9"), "10.77.0.9");
        assert_eq!(share("::ffff:10.77.0.9"), "10.77.0.9");
    }

    #[test]
    fn the_link_tells_two_machines_of_one_address_apart() {
        let at = |text: &str| Whence::from(text.parse::<SocketAddr>().expect("an address"));
        assert_ne!(at("[fe80::1%2]:5"), at("[fe80::1%3]:5"));
        assert_eq!(at("[fe80::1%2]:5"), at("[fe80::1%2]:6"));
        assert_eq!(at("[fd00::1]:5"), at("[fd00::1]:6"));
        assert_eq!(at("[::ffff:10.0.0.1]:5"), at("10.0.0.1:6"));
        assert_eq!(at("[fe80::1%2]:5").to_string(), "fe80::1%2");
    }
}
