//! Being found (README 3.1; reference beam, a.1 and a.2): announces on every network of both families at the start, when a
//! network changes, and every 30 seconds, and answers the announcements of others with `register`. Who is there and takes
//! files is told to intake; who shares some by a link is told to those who fetch. One task.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::beam::localsend::receiver;
use crate::beam::localsend::server::Desk;
use crate::beam::share::Shared;
use crate::error::{Error, Kind, Result};
use crate::http::near::{NOT_ITSELF, Near, Silent};
use crate::http::own_tls::Own;
use crate::lan::group::Group;
use crate::lan::group_six::GroupSix;
use crate::lan::networks::Networks;
use crate::offer::whence::Whence;
use crate::wire::localsend::{self, Device};

/// What announces.
pub struct Announcer {
    desk: Desk,
    own: Arc<Own>,
    group: Group,
    /// `None` on a box without IPv6.
    six: Option<GroupSix>,
    networks: Networks,
    /// Where it is told who shares files.
    shares: mpsc::Sender<Shared>,
    /// Announcements to come.
    due: Vec<Instant>,
    /// When somebody last wanted to see who is there.
    asked: Option<Instant>,
    /// Who was answered when.
    answered: HashMap<Whence, Instant>,
    answers: JoinSet<Answered>,
    /// Devices that registered and did not prove who they are, or share files.
    unproved: mpsc::Receiver<(Device, SocketAddr)>,
}

/// What became of telling a device who we are.
struct Answered {
    address: Whence,
    reached: bool,
    /// Who announced itself and cannot be reached is told by datagram, as 1.17 does.
    by_datagram: bool,
}

impl Announcer {
    /// Opens the socket.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn open(
        desk: Desk,
        own: Arc<Own>,
        networks: Networks,
        unproved: mpsc::Receiver<(Device, SocketAddr)>,
        shares: mpsc::Sender<Shared>,
    ) -> Result<Announcer> {
        let group = Group::open(GROUP).map_err(|error| Error::io("listen for LocalSend devices", error))?;
        let six = GroupSix::open(GROUP_SIX, GROUP.port());
        let six = six.inspect_err(|error| debug!(%error, "this box has no IPv6")).ok();
        let (due, answered) = (Vec::new(), HashMap::new());
        Ok(Announcer {
            desk,
            own,
            group,
            six,
            networks,
            shares,
            due,
            asked: None,
            answered,
            answers: JoinSet::new(),
            unproved,
        })
    }

    /// Runs until the stop token falls.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut buffer, mut buffer_six) = (vec![0; LARGEST], vec![0; LARGEST]);
        self.moved();
        let mut renamed = self.desk.alias.clone();
        loop {
            let next = self.due.iter().min().copied().unwrap_or_else(|| Instant::now() + EVERY);
            tokio::select! {
                () = stop.cancelled() => break,
                changed = self.networks.four.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    self.moved();
                }
                Ok(()) = self.networks.six.changed() => self.moved(),
                // A sender that is gone renames nobody.
                Ok(()) = renamed.changed() => self.moved(),
                () = tokio::time::sleep_until(next.into()) => self.announce(),
                () = self.desk.intake.receivers_wanted() => self.asked(),
                heard = self.group.receive(&mut buffer) => match heard {
                    Ok((length, from)) => self.hear(&buffer[..length], from.into()),
                    Err(error) => {
                        debug!(%error, "an announcement could not be read");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                },
                heard = receive(self.six.as_ref(), &mut buffer_six) => match heard {
                    Ok((length, from)) => self.hear(&buffer_six[..length], from),
                    Err(error) => {
                        debug!(%error, "an announcement could not be read");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                },
                Some((device, at)) = self.unproved.recv() => self.meet(device, at),
                Some(Ok(answered)) = self.answers.join_next(), if !self.answers.is_empty() => self.answered(&answered),
            }
        }
        self.answers.shutdown().await;
    }

    /// Lives on the networks that there are now, under the name of now, and says so three times, for datagrams get lost.
    fn moved(&mut self) {
        let interfaces = self.networks.four.borrow_and_update().clone();
        self.group.live_on(&interfaces);
        let addresses = self.networks.six.borrow_and_update().clone();
        if let Some(six) = &mut self.six {
            six.live_on(&addresses);
        }
        let now = Instant::now();
        self.due = BURST.iter().map(|&after| now + after).collect();
    }

    /// Announces at once, for apps that are open answer: not more often than every two seconds, however often it is asked.
    fn asked(&mut self) {
        let now = Instant::now();
        if self.asked.is_none_or(|before| now.saturating_duration_since(before) >= ANSWERED_EVERY) {
            self.asked = Some(now);
            self.send(Some(true));
        }
    }

    fn announce(&mut self) {
        let now = Instant::now();
        self.due.retain(|&due| due > now);
        self.send(Some(true));
        self.desk.intake.tidy_receivers(now);
        if self.due.is_empty() {
            self.due.push(now + EVERY);
        }
    }

    fn send(&self, announce: Option<bool>) {
        match serde_json::to_vec(&self.desk.introduction(announce)) {
            Ok(datagram) => {
                self.group.send(&datagram);
                self.six.iter().for_each(|six| six.send(&datagram));
            }
            Err(error) => warn!(%error, "an announcement could not be written"),
        }
    }

    fn answered(&mut self, answered: &Answered) {
        if answered.by_datagram {
            self.send(Some(false));
        }
        // It may have been about to listen; its next word counts sooner.
        if !answered.reached
            && let Some(at) = self.answered.get_mut(&answered.address)
        {
            *at = at.checked_sub(ANSWERED_EVERY * 3 / 4).unwrap_or(*at);
        }
    }

    fn hear(&mut self, datagram: &[u8], mut from: SocketAddr) {
        if let Some(device) = localsend::heard(datagram, &self.desk.fingerprint) {
            from.set_port(device.port);
            self.meet(device, from);
        }
    }

    /// Tells a device who we are, not more often than once in two seconds, and few at a time; who took it is there. With TLS that
    /// proves that it is the one it says.
    fn meet(&mut self, device: Device, at: SocketAddr) {
        let (address, ours) = (Whence::from(at), self.networks.reach(at));
        let now = Instant::now();
        self.answered.retain(|_, at| now.saturating_duration_since(*at) < ANSWERED_EVERY);
        let crowded = self.answers.len() >= MOST_ANSWERS || self.answered.len() >= MOST_ANSWERED;
        if !ours || crowded || self.answered.contains_key(&address) {
            return;
        }
        self.answered.insert(address, now);
        let Ok(body) = serde_json::to_vec(&self.desk.introduction(None)) else { return };
        let (own, intake, shares) = (self.own.clone(), self.desk.intake.clone(), self.shares.clone());
        self.answers.spawn(async move {
            let reached =
                match tokio::time::timeout(ANSWERED_WITHIN, introduce(&own, at, &device, body)).await {
                    Ok(Ok((near, shared))) => {
                        intake.heard_receiver(receiver(&device, at, None));
                        // Full: it is heard again within half a minute.
                        let _later = shares.try_send(Shared::new(&device, near, shared));
                        true
                    }
                    Ok(Err(Silent::NotItself)) => {
                        debug!(%at, "a device has another certificate than the one it announced");
                        intake.heard_receiver(receiver(&device, at, Some(NOT_ITSELF.into())));
                        false
                    }
                    Ok(Err(Silent::Away(error))) => {
                        debug!(%error, %at, "a device could not be answered");
                        false
                    }
                    Err(_) => false,
                };
            Answered { address, reached, by_datagram: !reached && device.wants_answer() }
        });
    }
}

/// Waits for the next datagram over IPv6; for ever where there is none.
async fn receive(six: Option<&GroupSix>, buffer: &mut [u8]) -> std::io::Result<(usize, SocketAddr)> {
    match six {
        Some(six) => six.receive(buffer).await.map(|(length, from)| (length, from.into())),
        None => std::future::pending().await,
    }
}

/// Tells a device who we are. With TLS it must have the certificate that it announced. Returns how it is talked to, and
/// whether it shares files by a link.
async fn introduce(
    own: &Own,
    at: SocketAddr,
    device: &Device,
    body: Vec<u8>,
) -> Result<(Near, bool), Silent> {
    let pinned = (!device.is_plain()).then_some(device.fingerprint.as_str());
    let near = Near::new(own, at, pinned).map_err(Silent::Away)?;
    let answer = near.post_json("/api/localsend/v2/register", body, LARGEST_INFO).await?;
    if answer.status.is_success() {
        // Its answer is younger than what it announced.
        let shares = localsend::register(&answer.body).map_or(device.download, |said| said.download);
        return Ok((near, shares));
    }
    Err(Silent::Away(Error::new(Kind::Unreachable, format!("{at} answered {}", answer.status))))
}

/// Bytes of who a device is.
const LARGEST_INFO: usize = 16 << 10;
/// README 1: in 224.0.0.0/24, for some phones drop other groups.
const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 167), 53317);
/// In 1.18 beside the other (reference beam, a.1).
const GROUP_SIX: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0xfd3a, 0xe420);
/// The app waits 100, 500 and 2000 ms before its three datagrams (reference beam, a.1).
const BURST: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(600), Duration::from_millis(2600)];
/// Apps announce only when they are opened; a box that repeats itself is found sooner.
const EVERY: Duration = Duration::from_secs(30);
const ANSWERED_EVERY: Duration = Duration::from_secs(2);
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
const MOST_ANSWERS: usize = 8;
const MOST_ANSWERED: usize = 256;
const LARGEST: usize = 8192;
