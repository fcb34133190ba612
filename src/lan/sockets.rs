//! How the SSDP sockets are opened. Reference upnp 1.4.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, RawFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::lan::interfaces::Interface;

/// Returns the listener: one socket for every interface, shared with other UPnP programs of this box.
///
/// # Errors
/// Those of the socket.
pub fn listener() -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Only groups that this socket joined itself, not those of other programs.
    socket.set_multicast_all_v4(false)?;
    // Tells by which card a datagram came, and whether it was sent to us alone.
    setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, PORT).into())?;
    UdpSocket::from_std(socket.into())
}

/// A datagram that the listener got.
#[derive(Debug, Clone, Copy)]
pub struct Received {
    /// Its bytes in the buffer.
    pub length: usize,
    /// Its sender.
    pub from: SocketAddrV4,
    /// The number of the card it came by; 0 when the kernel does not say.
    pub index: u32,
    /// The address it was sent to.
    pub to: Ipv4Addr,
}

/// Waits for the next datagram.
///
/// # Errors
/// Those of the socket.
///
/// # Cancel
/// Nothing is lost.
pub async fn receive(listener: &UdpSocket, buffer: &mut [u8]) -> io::Result<Received> {
    listener.async_io(Interest::READABLE, || read(listener.as_raw_fd(), buffer)).await
}

fn read(listener: RawFd, buffer: &mut [u8]) -> io::Result<Received> {
    let mut space = nix::cmsg_space!(libc::in_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let got = recvmsg::<SockaddrIn>(listener, &mut parts, Some(&mut space), MsgFlags::empty())?;
    let from = got.address.ok_or(io::ErrorKind::InvalidData)?;
    let mut received =
        Received { length: got.bytes, from: SocketAddrV4::new(from.ip(), from.port()), index: 0, to: GROUP };
    for message in got.cmsgs()? {
        if let ControlMessageOwned::Ipv4PacketInfo(info) = message {
            received.index = u32::try_from(info.ipi_ifindex).unwrap_or(0);
            received.to = Ipv4Addr::from(u32::from_be(info.ipi_addr.s_addr));
        }
    }
    Ok(received)
}

/// Lets the listener hear the announcements of an interface.
///
/// # Errors
/// Those of the socket; a second address of an interface that has joined already is none.
pub fn join(listener: &UdpSocket, interface: &Interface) -> io::Result<()> {
    let by_index = InterfaceIndexOrAddress::Index(interface.index);
    match socket2::SockRef::from(listener).join_multicast_v4_n(&GROUP, &by_index) {
        Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => Ok(()),
        joined => joined,
    }
}

/// Ends that. A membership is kept for a number whose interface is gone, and a socket may hold only twenty.
pub fn leave(listener: &UdpSocket, interface: &Interface) {
    let by_index = InterfaceIndexOrAddress::Index(interface.index);
    // Nothing to leave is fine.
    let _gone = socket2::SockRef::from(listener).leave_multicast_v4_n(&GROUP, &by_index);
}

/// Returns a socket that searches from this address of ours, by multicast on its interface.
///
/// # Errors
/// Those of the socket.
pub fn searcher(address: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_multicast_if_v4(&address)?;
    socket.set_multicast_ttl_v4(TTL)?;
    // Programs on this box hear us too.
    socket.set_multicast_loop_v4(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV4::new(address, 0).into())?;
    UdpSocket::from_std(socket.into())
}

/// Returns a socket that sends wherever the routes lead.
///
/// # Errors
/// Those of the socket.
pub fn routed() -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

/// Returns which address of ours the routes use towards another; nothing is sent.
///
/// # Errors
/// There is no way.
pub fn address_towards(other: Ipv4Addr) -> io::Result<Ipv4Addr> {
    let socket = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((other, PORT))?;
    match socket.local_addr()?.ip() {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// The group of SSDP (UDA 1.0, 1.1).
pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
/// The port of SSDP (UDA 1.0, 1.1).
pub const PORT: u16 = 1900;
/// UDA 1.0, 1: default 4.
const TTL: u32 = 4;
