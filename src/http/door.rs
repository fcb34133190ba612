//! A port on which callers of both families come in: the listener of IPv4, and beside it one of IPv6 alone (RFC 3493, 5.3),
//! where the box has that. Both share what a listener has: places, limits, its end.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, info};

/// Whether a caller over IPv6 is let in.
pub type LetsIn = Arc<dyn Fn(&SocketAddrV6) -> bool + Send + Sync>;

/// An open port.
pub struct Door {
    four: TcpListener,
    six: Option<(TcpListener, LetsIn)>,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("four", &self.four).field("six", &self.six.is_some()).finish()
    }
}

impl From<TcpListener> for Door {
    /// A door for callers over IPv4 only.
    fn from(four: TcpListener) -> Door {
        Door { four, six: None }
    }
}

impl Door {
    /// Opens the same port for callers over IPv6 that are let in. A box without IPv6 stays as it is; where another program
    /// holds the port there, the log says so.
    pub fn beside(four: TcpListener, lets_in: LetsIn) -> Door {
        let port = four.local_addr().map(|local| local.port());
        let six = match port.and_then(listen_six) {
            Ok(listener) => Some((listener, lets_in)),
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                info!(%error, "another program has this port over IPv6: callers come over IPv4 only");
                None
            }
            Err(error) => {
                debug!(%error, "this box has no IPv6");
                None
            }
        };
        Door { four, six }
    }

    /// Waits for the next caller. Those who are not let in are told nothing.
    ///
    /// # Errors
    /// Those of accepting.
    ///
    /// # Cancel
    /// Nothing is lost.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let Some((six, lets_in)) = &self.six else { return self.four.accept().await };
        loop {
            let (stream, from) = tokio::select! {
                accepted = self.four.accept() => return accepted,
                accepted = six.accept() => accepted?,
            };
            match from {
                SocketAddr::V6(caller) if lets_in(&caller) => return Ok((stream, from)),
                _ => debug!(%from, "a caller of no network of ours"),
            }
        }
    }
}

fn listen_six(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_only_v6(true)?;
    // A port is free again at once after a restart.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0).into())?;
    socket.listen(WAITING)?;
    TcpListener::from_std(socket.into())
}

/// Connections that wait to be accepted, as for IPv4.
const WAITING: i32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Whether this machine has IPv6 at all; the builders of some have not.
    fn has_six() -> bool {
        std::net::TcpListener::bind("[::1]:0").is_ok()
    }

    #[tokio::test]
    async fn callers_of_both_families_come_in_and_strangers_do_not() {
        let four = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = four.local_addr().expect("bound").port();
        let strangers = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let asked = strangers.clone();
        let lets_in: LetsIn = Arc::new(move |from| {
            from.ip().is_loopback() && !asked.load(std::sync::atomic::Ordering::Relaxed)
        });
        let door = Door::beside(four, lets_in);
        let _here = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        assert!(door.accept().await.expect("accepted").1.is_ipv4());
        assert_eq!(door.six.is_some(), has_six(), "a box without IPv6 is as it was");
        if door.six.is_some() {
            let _six = TcpStream::connect(("::1", port)).await.expect("connected");
            assert!(door.accept().await.expect("accepted").1.is_ipv6());
            strangers.store(true, std::sync::atomic::Ordering::Relaxed);
            let _stranger = TcpStream::connect(("::1", port)).await.expect("connected");
            let nobody = tokio::time::timeout(Duration::from_millis(100), door.accept()).await;
            assert!(nobody.is_err(), "{nobody:?}");
        }
        let _again = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        assert!(door.accept().await.expect("accepted").1.is_ipv4());
    }
}
