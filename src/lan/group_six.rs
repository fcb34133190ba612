//! A multicast group of IPv6 on every link we live on: one listener, and a sender for each link (RFC 3493, 5.2). Links are
//! known by their number, for a group holds on its link only.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tracing::debug;

use crate::lan::six::Six;

/// The sockets of a group.
#[derive(Debug)]
pub struct GroupSix {
    group: Ipv6Addr,
    port: u16,
    listener: UdpSocket,
    /// By the number of the link.
    senders: BTreeMap<u32, UdpSocket>,
}

impl GroupSix {
    /// Opens the listener, which other programs of this box may have as well. No link is used yet.
    ///
    /// # Errors
    /// Those of the socket; on a box without IPv6 there is none.
    pub fn open(group: Ipv6Addr, port: u16) -> io::Result<GroupSix> {
        let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_only_v6(true)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        // Only groups that this socket joined itself, not those of other programs. Linux before 4.20 does not know it.
        let _old_kernel = socket.set_multicast_all_v6(false);
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0).into())?;
        Ok(GroupSix { group, port, listener: UdpSocket::from_std(socket.into())?, senders: BTreeMap::new() })
    }

    /// Lives on the links of these addresses from now on. One that was there before is joined anew: it may have been down.
    /// One that cannot be used keeps nobody from the others.
    pub fn live_on(&mut self, addresses: &[Six]) {
        let listener = SockRef::from(&self.listener);
        for &index in self.senders.keys() {
            // A link that is gone took its membership along.
            let _gone = listener.leave_multicast_v6(&self.group, index);
        }
        self.senders.clear();
        let links: BTreeSet<u32> = addresses.iter().map(|six| six.index).collect();
        for index in links {
            match listener.join_multicast_v6(&self.group, index) {
                Err(error) if error.raw_os_error() != Some(libc::EADDRINUSE) => {
                    debug!(index, %error, "a group cannot be joined");
                    continue;
                }
                _ => {}
            }
            match sender(index) {
                Ok(socket) => drop(self.senders.insert(index, socket)),
                Err(error) => debug!(index, %error, "nothing can be announced there"),
            }
        }
    }

    /// Waits for the next datagram from one of our links. Returns its length in the buffer and its sender.
    ///
    /// # Errors
    /// Those of the socket.
    ///
    /// # Cancel
    /// Nothing is lost.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddrV6)> {
        loop {
            if let (length, SocketAddr::V6(from)) = self.listener.recv_from(buffer).await? {
                return Ok((length, from));
            }
        }
    }

    /// Sends a datagram to the group on every link; one that takes nothing does not hold the others. Until an address is
    /// known to be nobody else's (RFC 4862, 5.4) nothing goes out by it.
    pub fn send(&self, datagram: &[u8]) {
        for (&index, socket) in &self.senders {
            let to = SocketAddrV6::new(self.group, self.port, 0, index);
            if let Err(error) = socket.try_send_to(datagram, to.into()) {
                debug!(index, %error, "a datagram could not be sent");
            }
        }
    }
}

fn sender(index: u32) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_only_v6(true)?;
    socket.set_multicast_if_v6(index)?;
    // The group's scope is the link (RFC 4291, 2.7).
    socket.set_multicast_hops_v6(1)?;
    // Programs on this box hear us too.
    socket.set_multicast_loop_v6(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, 0, 0, 0).into())?;
    UdpSocket::from_std(socket.into())
}
