//! Notices of the kernel that links and addresses change (rtnetlink(7)), and how long to wait until they have settled.
//! Says only that something changed and which links were down meanwhile; what is there now is read by `interfaces`.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, socket,
};
use tokio::io::unix::AsyncFd;

/// Whose addresses are of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    Four,
    /// IPv6.
    Six,
}

/// The kernel's notices about links and addresses of one family.
pub struct Changes {
    socket: AsyncFd<OwnedFd>,
}

impl Changes {
    /// Opens the socket.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn open(family: Family) -> io::Result<Changes> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        let addresses = match family {
            Family::Four => libc::RTMGRP_IPV4_IFADDR,
            Family::Six => libc::RTMGRP_IPV6_IFADDR,
        };
        let groups = (libc::RTMGRP_LINK | addresses) as u32;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        // SAFETY: `fd` owns an open descriptor, which stays the same until the `AsyncFd` that takes it over is dropped.
        // The standard library and tokio have no netlink socket of their own.
        #[allow(unsafe_code)]
        let socket = unsafe { AsyncFd::register(fd)? };
        Ok(Changes { socket })
    }

    /// Waits for the next notices.
    ///
    /// # Errors
    /// Those of the socket. Notices that the kernel had to drop are no error: something changed.
    ///
    /// # Cancel
    /// Nothing is lost.
    pub async fn next(&self) -> io::Result<Vec<Change>> {
        let mut buffer = [0; LARGEST];
        loop {
            let mut ready = self.socket.readable().await?;
            let read = ready.try_io(|fd| match recvfrom::<NetlinkAddr>(fd.as_raw_fd(), &mut buffer) {
                Ok((length, from)) => Ok(Some((length, from))),
                // netlink(7): the queue was full, some notices are lost.
                Err(Errno::ENOBUFS) => Ok(None),
                Err(error) => Err(error.into()),
            });
            match read {
                Err(_not_yet) => {}
                Ok(Ok(None)) => return Ok(vec![Change { down: None }]),
                // Only the kernel, port 0, speaks for the kernel.
                Ok(Ok(Some((length, Some(from))))) if from.pid() == 0 => {
                    let changes = read_notices(&buffer[..length]);
                    if !changes.is_empty() {
                        return Ok(changes);
                    }
                }
                Ok(Ok(Some(_))) => {}
                Ok(Err(error)) => return Err(error),
            }
        }
    }
}

/// One notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The number of a link that is down or has no carrier.
    pub down: Option<u32>,
}

/// Reads what is a notice about a link or an address; the rest is left out (rtnetlink(7), netlink(7)).
fn read_notices(mut bytes: &[u8]) -> Vec<Change> {
    let mut found = Vec::new();
    while let (Some(length), Some(kind)) = (number(bytes, 0), bytes.get(4..6)) {
        let length = length as usize;
        let Some(message) = bytes.get(..length).filter(|_| length >= HEADER) else { break };
        let body = &message[HEADER..];
        match u16::from_ne_bytes([kind[0], kind[1]]) {
            libc::RTM_NEWLINK | libc::RTM_DELLINK => {
                let (index, flags) = (number(body, 4), number(body, 8));
                let here = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
                let is_down = flags.is_some_and(|flags| flags & here != here);
                found.push(Change { down: index.filter(|_| is_down) });
            }
            libc::RTM_NEWADDR | libc::RTM_DELADDR => found.push(Change { down: None }),
            _ => {}
        }
        // Messages begin at multiples of four.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    found
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Gathers notices until they have settled. Pure; the clock is an argument.
#[derive(Debug, Default)]
pub struct Settling {
    since: Option<(Instant, Instant)>,
    down: BTreeSet<u32>,
}

impl Settling {
    /// Takes a notice.
    pub fn note(&mut self, change: Change, now: Instant) {
        let first = self.since.map_or(now, |(first, _)| first);
        self.since = Some((first, now));
        self.down.extend(change.down);
    }

    /// Returns when to look; `None` when nothing changed.
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|(first, last)| (last + QUIET).min(first + LONGEST))
    }

    /// Returns the links that were down meanwhile, and begins anew.
    pub fn take(&mut self) -> BTreeSet<u32> {
        self.since = None;
        std::mem::take(&mut self.down)
    }
}

/// An interface that comes up sends a handful of notices within a few milliseconds, and DHCP one or two later.
const QUIET: Duration = Duration::from_millis(300);
/// A link that flaps without end is looked at all the same.
const LONGEST: Duration = Duration::from_millis(1500);
/// `nlmsghdr`: length, kind, flags, sequence, port.
const HEADER: usize = 16;
/// Notices come one by one; one about a link with many attributes has some 2 KiB. A longer one is cut, its head is read.
const LARGEST: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(kind: u16, words: &[u32]) -> Vec<u8> {
        let length = HEADER + words.len() * 4;
        let mut bytes = (length as u32).to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([0; 10]);
        words.iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        bytes
    }

    #[test]
    fn notices_say_which_link_was_down() {
        let running = (libc::IFF_UP | libc::IFF_RUNNING) as u32;
        let up = notice(libc::RTM_NEWLINK, &[0, 7, running, 0]);
        let no_carrier = notice(libc::RTM_NEWLINK, &[0, 8, libc::IFF_UP as u32, 0]);
        let address = notice(libc::RTM_DELADDR, &[0, 9]);
        let other = notice(libc::RTM_NEWROUTE, &[0, 9]);
        let all = [up.clone(), no_carrier, other, address].concat();
        let want = [None, Some(8), None].map(|down| Change { down });
        assert_eq!(read_notices(&all), want);
        for length in 0..up.len() {
            assert_eq!(read_notices(&up[..length]), [], "half a notice is none");
        }
        assert_eq!(read_notices(&[0; 64]), [], "a notice without a length ends the reading");
    }

    #[test]
    fn it_waits_for_silence_but_not_for_ever() {
        let start = Instant::now();
        let after = |ms: u64| start + Duration::from_millis(ms);
        let mut settling = Settling::default();
        assert_eq!(settling.due(), None);
        settling.note(Change { down: Some(3) }, start);
        assert_eq!(settling.due(), Some(after(300)));
        settling.note(Change { down: None }, after(200));
        assert_eq!(settling.due(), Some(after(500)));
        for ms in (400..3000).step_by(200) {
            settling.note(Change { down: None }, after(ms));
        }
        assert_eq!(settling.due(), Some(after(1500)), "a flapping link");
        assert_eq!(settling.take(), BTreeSet::from([3]));
        assert_eq!((settling.due(), settling.take()), (None, BTreeSet::new()));
    }

    #[tokio::test]
    async fn the_kernel_can_be_listened_to() {
        for family in [Family::Four, Family::Six] {
            let changes = Changes::open(family).expect("a netlink socket needs no right");
            let nothing = tokio::time::timeout(Duration::from_millis(1), changes.next()).await;
            // A busy machine may say something right now.
            assert!(nothing.is_err() || nothing.is_ok_and(|said| said.is_ok()));
        }
    }
}
