//! The networks we live on, of both families: who is on one of them, and who is let in.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use tokio::sync::watch;

use crate::error::Result;
use crate::lan::interfaces::{self, Interface};
use crate::lan::six::{self, Six};

/// Our networks of now. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Networks {
    /// Of IPv4.
    pub four: watch::Receiver<Vec<Interface>>,
    /// Of IPv6.
    pub six: watch::Receiver<Vec<Six>>,
}

impl Networks {
    /// Returns networks that stay as they are, for tests and seams.
    pub fn fixed(four: Vec<Interface>, six: Vec<Six>) -> Networks {
        Networks { four: watch::channel(four).1, six: watch::channel(six).1 }
    }

    /// Returns whether an address is on one of our networks.
    pub fn reach(&self, at: SocketAddr) -> bool {
        reach(&self.four.borrow(), &self.six.borrow(), at)
    }

    /// Returns whether a caller over IPv6 may be heard at all; see [`six::lets_in`].
    pub fn lets_in(&self, from: &SocketAddrV6) -> bool {
        six::lets_in(&self.six.borrow(), from)
    }

    /// Returns our addresses, those of IPv4 first.
    pub fn addresses(&self) -> Vec<IpAddr> {
        let four = self.four.borrow().iter().map(|interface| interface.address.into()).collect::<Vec<_>>();
        four.into_iter().chain(self.six.borrow().iter().map(|six| six.address.into())).collect()
    }
}

/// Returns whether an address is on a network of this box as the kernel lists them now, or on the box itself.
///
/// # Errors
/// Those of asking the kernel.
///
/// # Blocks
/// Asks the kernel.
pub fn is_near_now(at: SocketAddr) -> Result<bool> {
    if at.ip().to_canonical().is_loopback() {
        return Ok(true);
    }
    Ok(reach(&interfaces::usable(&[])?, &six::usable(&[])?, at))
}

fn reach(four: &[Interface], six: &[Six], at: SocketAddr) -> bool {
    match (at.ip().to_canonical(), at) {
        (IpAddr::V4(address), _) => four.iter().any(|interface| interface.reaches(address)),
        (IpAddr::V6(_), SocketAddr::V6(at)) => six.iter().any(|six| six.reaches(&at)),
        (IpAddr::V6(_), SocketAddr::V4(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_near() {
        let four = Interface { name: "e".into(), index: 2, address: [10, 77, 0, 1].into(), prefix: 24 };
        let six =
            Six { name: "e".into(), index: 2, address: "fe80::1".parse().expect("an address"), prefix: 64 };
        let networks = Networks::fixed(vec![four], vec![six]);
        let near = |text: &str| networks.reach(text.parse().expect("an address"));
        assert!(near("10.77.0.9:1") && near("[fe80::9%2]:1") && near("[::ffff:10.77.0.9]:1"));
        assert!(!near("10.78.0.9:1") && !near("[fe80::9%3]:1") && !near("[2001:db8::1]:1"));
        assert_eq!(networks.addresses().len(), 2);
        assert!(is_near_now("[::1]:1".parse().expect("an address")).expect("asked"));
    }
}
