//! A multicast group of another protocol than SSDP, on every interface we live on: one listener, and a sender for each
//! address of ours.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::net::UdpSocket;
use tracing::debug;

use crate::lan::interfaces::Interface;

/// The sockets of a group.
#[derive(Debug)]
pub struct Group {
    group: SocketAddrV4,
    listener: UdpSocket,
    senders: HashMap<Interface, UdpSocket>,
}

impl Group {
    /// Opens the listener, which other programs of this box may have as well. No interface is used yet.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn open(group: SocketAddrV4) -> io::Result<Group> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        // Only groups that this socket joined itself, not those of other programs.
        socket.set_multicast_all_v4(false)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, group.port()).into())?;
        Ok(Group { group, listener: UdpSocket::from_std(socket.into())?, senders: HashMap::new() })
    }

    /// Lives on these interfaces from now on. One that was there before is joined anew: its link may have been down. One
    /// that cannot be used keeps nobody from the others.
    pub fn live_on(&mut self, interfaces: &[Interface]) {
        let listener = SockRef::from(&self.listener);
        for interface in self.senders.keys() {
            // A link that is gone took its membership along.
            let _gone = listener.leave_multicast_v4_n(self.group.ip(), &index(interface));
        }
        self.senders.clear();
        for interface in interfaces {
            match listener.join_multicast_v4_n(self.group.ip(), &index(interface)) {
                Err(error) if error.raw_os_error() != Some(libc::EADDRINUSE) => {
                    debug!(interface = interface.name, %error, "a group cannot be joined");
                    continue;
                }
                _ => {}
            }
            match sender(interface.address) {
                Ok(socket) => drop(self.senders.insert(interface.clone(), socket)),
                Err(error) => debug!(interface = interface.name, %error, "nothing can be announced there"),
            }
        }
    }

    /// Waits for the next datagram of one of our networks. Returns its length in the buffer and its sender.
    ///
    /// # Errors
    /// Those of the socket.
    ///
    /// # Cancel
    /// Nothing is lost.
    pub async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddrV4)> {
        loop {
            if let (length, SocketAddr::V4(from)) = self.listener.recv_from(buffer).await?
                && self.senders.keys().any(|interface| interface.reaches(*from.ip()))
            {
                return Ok((length, from));
            }
        }
    }

    /// Sends a datagram to the group on every interface; a link that takes nothing does not hold the others.
    pub fn send(&self, datagram: &[u8]) {
        for (interface, socket) in &self.senders {
            if let Err(error) = socket.try_send_to(datagram, self.group.into()) {
                debug!(interface = interface.name, %error, "a datagram could not be sent");
            }
        }
    }
}

fn index(interface: &Interface) -> InterfaceIndexOrAddress {
    InterfaceIndexOrAddress::Index(interface.index)
}

fn sender(address: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_multicast_if_v4(&address)?;
    // 224.0.0.0/24 stays on its link (RFC 5771, 4).
    socket.set_multicast_ttl_v4(1)?;
    // Programs on this box hear us too.
    socket.set_multicast_loop_v4(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(address, 0).into())?;
    UdpSocket::from_std(socket.into())
}
