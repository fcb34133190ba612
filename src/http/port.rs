//! The port of the page: which one is opened, and who holds one that cannot be had.

use std::fs;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;
use tracing::warn;

use crate::error::{Error, Kind, Result};

/// The open port.
#[derive(Debug)]
pub struct Listening {
    /// Takes connections of every interface.
    pub listener: TcpListener,
    /// Its number.
    pub port: u16,
    /// The port that people know and who holds it, when it is not that one.
    pub moved: Option<(u16, String)>,
}

/// Opens port 80 beside the port of the page, so that nobody has to type a port.
///
/// # Errors
/// In words why it cannot be had: konpo goes on without it.
pub async fn short() -> std::result::Result<TcpListener, String> {
    match TcpListener::bind((Ipv4Addr::UNSPECIFIED, SHORT)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            Err(format!("port {SHORT} is held by {}", holder_of(SHORT).await))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(format!("port {SHORT} needs the capability CAP_NET_BIND_SERVICE, which the service has"))
        }
        Err(error) => Err(format!("port {SHORT} cannot be opened: {error}")),
    }
}

/// Opens the port (product.md, "Settings"). An `explicit` one never moves, 0 being any free one. Else the `remembered` one
/// is tried for half a minute, for what holds it may be on its way out; then the next free one is taken.
///
/// # Errors
/// `Busy` with the holder's name when it is taken, and those of the socket.
///
/// # Cancel
/// Nothing is left open.
pub async fn listen(explicit: Option<u16>, remembered: Option<u16>) -> Result<Listening> {
    if let Some(port) = explicit {
        return match bind(port).await? {
            Some(listener) => opened(listener, None),
            None => Err(taken(port).await),
        };
    }
    let mut holder = String::new();
    if let Some(port) = remembered {
        if let Some(listener) = bind(port).await? {
            return opened(listener, None);
        }
        holder = holder_of(port).await;
        warn!(port, holder, "the port of last time is taken: it is tried for half a minute");
        if let Some(listener) = wait_for(port).await? {
            return opened(listener, None);
        }
    }
    for port in others(remembered) {
        if let Some(listener) = bind(port).await? {
            let moved = remembered.map(|old| {
                warn!(port, old, holder, "the port of last time is taken: the page is found here now");
                (old, holder)
            });
            return opened(listener, moved);
        }
    }
    let (first, last) = (USUAL.start(), USUAL.end());
    Err(Error::new(Kind::Busy, format!("every port from {first} to {last} is taken: set http.port")))
}

fn opened(listener: TcpListener, moved: Option<(u16, String)>) -> Result<Listening> {
    let address = listener.local_addr();
    let port = address.map_err(|error| Error::io("read the port that was opened", error))?.port();
    Ok(Listening { listener, port, moved })
}

/// Opens a port; `None` when somebody has it.
async fn bind(port: u16) -> Result<Option<TcpListener>> {
    match TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(Error::io(format!("listen on port {port}"), error)),
    }
}

async fn wait_for(port: u16) -> Result<Option<TcpListener>> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        tokio::time::sleep(TRY_EVERY).await;
        if let Some(listener) = bind(port).await? {
            return Ok(Some(listener));
        }
    }
    Ok(None)
}

/// Returns the ports after the one that was remembered, then those before it.
fn others(remembered: Option<u16>) -> Vec<u16> {
    let known = remembered.filter(|port| USUAL.contains(port));
    let after = known.map_or(*USUAL.start(), |port| port + 1);
    (after..=*USUAL.end()).chain(*USUAL.start()..known.unwrap_or(*USUAL.start())).collect()
}

async fn taken(port: u16) -> Error {
    let holder = holder_of(port).await;
    Error::new(Kind::Busy, format!("listen on port {port}: it is held by {holder}"))
}

async fn holder_of(port: u16) -> String {
    let found = tokio::task::spawn_blocking(move || holder(port)).await;
    found.ok().flatten().unwrap_or_else(|| "another program".into())
}

/// Returns who listens on a port: `mpd (process 1234)` where the system lets us see it, else whose program it is.
///
/// # Blocks
/// Reads `/proc`.
fn holder(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let listener = tables.iter().find_map(|table| listener_in(table, port))?;
    let socket = format!("socket:[{}]", listener.inode);
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    if let Some(process) = numbers.find(|process| has_open(*process, &socket)) {
        let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        return Some(format!("{} (process {process})", name.trim()));
    }
    let user = nix::unistd::User::from_uid(listener.uid.into()).ok().flatten();
    Some(format!("a program of user {}", user.map_or(listener.uid.to_string(), |user| user.name)))
}

fn has_open(process: u32, socket: &str) -> bool {
    let Ok(files) = fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    files.flatten().any(|file| fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == socket))
}

#[derive(Debug, PartialEq, Eq)]
struct Listener {
    uid: u32,
    inode: u64,
}

/// Finds the listener of a port in `/proc/net/tcp` (proc(5)): fields 1 local address, 3 state, 7 user, 9 inode.
fn listener_in(table: &str, port: u16) -> Option<Listener> {
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, local) = fields.get(1)?.rsplit_once(':')?;
        if u16::from_str_radix(local, 16) != Ok(port) || *fields.get(3)? != LISTENS {
            return None;
        }
        Some(Listener { uid: fields.get(7)?.parse().ok()?, inode: fields.get(9)?.parse().ok()? })
    })
}

/// The port of http: addresses (RFC 9110, 4.2.1).
pub const SHORT: u16 = 80;
/// The ports tried when none is set (design, `[http]`).
const USUAL: RangeInclusive<u16> = 8200..=8209;
/// How long the port that apps know is waited for (product.md, "Settings").
const PATIENCE: Duration = Duration::from_secs(30);
const TRY_EVERY: Duration = Duration::from_millis(500);
/// TCP_LISTEN.
const LISTENS: &str = "0A";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_port_comes_first() {
        assert_eq!(others(None), (8200..=8209).collect::<Vec<_>>());
        assert_eq!(others(Some(8207)), [8208, 8209, 8200, 8201, 8202, 8203, 8204, 8205, 8206]);
        assert_eq!(others(Some(8200)), (8201..=8209).collect::<Vec<_>>());
        assert_eq!(others(Some(8209)), (8200..=8208).collect::<Vec<_>>());
        assert_eq!(others(Some(80)), (8200..=8209).collect::<Vec<_>>());
    }

    #[test]
    fn a_listener_is_found_among_connections() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:2008 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 11 1 0\n\
            1: 00000000:2008 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0\n\
            2: broken\n";
        assert_eq!(listener_in(table, 8200), Some(Listener { uid: 1000, inode: 4242 }));
        assert_eq!(listener_in(table, 8080), None);
    }

    #[tokio::test]
    async fn an_explicit_port_never_moves_and_names_the_holder() {
        let first = listen(Some(0), None).await.expect("any free one");
        let error = listen(Some(first.port), Some(first.port)).await.expect_err("taken");
        assert_eq!(error.kind(), Kind::Busy);
        let me = format!("(process {})", std::process::id());
        assert!(error.to_string().contains(&me), "{error}");
    }
}
