//! The phones that share files by a link, as far as they are heard: one task for each.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::beam::neighbour::{Tools, Wish, Wished};
use crate::beam::share::{Shared, link, who_is};
use crate::beam::sharing::Sharing;
use crate::error::{Error, Kind, Result};
use crate::intake::Asked;
use crate::offer::{Ask, NeighbourId};

/// What is kept of them.
pub struct Shares {
    tools: Tools,
    guests: HashMap<NeighbourId, Guest>,
    tasks: JoinSet<()>,
    /// Links that were typed, and are asked who is there.
    links: JoinSet<Linked>,
    stop: CancellationToken,
}

struct Guest {
    heard: watch::Sender<Shared>,
    wishes: mpsc::Sender<Wished>,
    last: Instant,
    busy: Arc<AtomicBool>,
    stop: CancellationToken,
}

/// Who is at a link, and the person who waits to hear whether it is fetched.
struct Linked {
    found: Result<Shared>,
    pin: Option<String>,
    reply: oneshot::Sender<Result<()>>,
}

impl Shares {
    /// Returns nobody yet.
    pub fn new(tools: Tools, stop: CancellationToken) -> Shares {
        Shares { tools, guests: HashMap::new(), tasks: JoinSet::new(), links: JoinSet::new(), stop }
    }

    /// Notes that a phone was heard: who begins to share is welcomed, who ends it is let go.
    pub fn heard(&mut self, shared: Shared) {
        let now = Instant::now();
        let Some(guest) = self.guests.get_mut(&shared.id) else {
            if shared.shares && self.guests.len() < MOST_SHARES {
                self.welcome(shared, now);
            }
            return;
        };
        let known = guest.heard.borrow().near.clone();
        let fresh = now.saturating_duration_since(guest.last) < HEARD_FOR;
        if fresh && !is_same_or_better(known.at(), shared.near.at(), shared.near.is_private()) {
            return;
        }
        match shared.shares {
            true => {
                guest.last = now;
                guest.heard.send_replace(shared);
            }
            // What is under way ends by itself when it is really over.
            false if guest.busy.load(Ordering::Relaxed) => {}
            false => self.forget(&shared.id),
        }
    }

    /// Lets those go that have not been heard for a while; a phone that gives files may have no ear for anything else.
    pub fn tidy(&mut self) {
        let now = Instant::now();
        let silent = |guest: &Guest| {
            now.saturating_duration_since(guest.last) >= HEARD_FOR && !guest.busy.load(Ordering::Relaxed)
        };
        let gone: Vec<NeighbourId> =
            self.guests.iter().filter(|(_, guest)| silent(guest)).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.forget(id));
    }

    /// Passes what is asked of one of these; returns what is not.
    pub fn serve(&mut self, asked: Asked) -> Option<Asked> {
        let Asked { ask, reply } = asked;
        let known = |id: &NeighbourId| self.guests.contains_key(id);
        match ask {
            Ask::Look(id) if known(&id) => self.pass(&id, Wish::Look, reply),
            Ask::Pull(id) if known(&id) => self.pass(&id, Wish::Pull, reply),
            Ask::Decide(id, consent) if known(&id) => self.pass(&id, Wish::Decide(consent), reply),
            Ask::Pin(id, pin) if known(&id) => self.pass(&id, Wish::Pin(pin), reply),
            ask => return Some(Asked { ask, reply }),
        }
        None
    }

    /// Fetches what is shared at a link that a person typed, from our own networks only.
    pub fn link(&mut self, text: &str, pin: Option<String>, reply: oneshot::Sender<Result<()>>) {
        let at = match self.place_of(text) {
            Ok(at) => at,
            Err(error) => {
                let _gone = reply.send(Err(error));
                return;
            }
        };
        // One that was heard there may want to be talked to in private.
        let known = self.guests.values().map(|guest| guest.heard.borrow().clone());
        let known = known.into_iter().find(|shared| shared.near.at() == at);
        self.links.spawn(async move {
            let found = match known {
                Some(shared) => Ok(shared),
                None => who_is(at).await,
            };
            Linked { found, pin, reply }
        });
    }

    fn place_of(&self, text: &str) -> Result<SocketAddr> {
        let at = link(text)?;
        let networks = self.tools.lan.networks();
        let at = match at {
            // The link of a link-local address goes without saying where there is one only.
            SocketAddr::V6(mut six) if six.ip().is_unicast_link_local() && six.scope_id() == 0 => {
                let indexes: std::collections::BTreeSet<u32> =
                    networks.six.borrow().iter().map(|six| six.index).collect();
                if let (Some(index), 1) = (indexes.first(), indexes.len()) {
                    six.set_scope_id(*index);
                }
                six.into()
            }
            at => at,
        };
        if self.links.len() >= MOST_LINKS {
            return Err(Error::new(Kind::Busy, "other links are being asked: try again in a moment"));
        }
        if networks.addresses().contains(&at.ip()) || !networks.reach(at) {
            return Err(Error::new(Kind::NotAllowed, format!("{} is no phone on our network", at.ip())));
        }
        Ok(at)
    }

    /// Waits for the next task that ends; for ever when there is none.
    ///
    /// # Cancel
    /// Nothing is lost.
    pub async fn next(&mut self) {
        tokio::select! {
            Some(_) = self.tasks.join_next(), if !self.tasks.is_empty() => {}
            Some(linked) = self.links.join_next(), if !self.links.is_empty() => {
                if let Ok(linked) = linked {
                    self.linked(linked);
                }
            }
            () = std::future::pending() => {}
        }
    }

    fn linked(&mut self, Linked { found, pin, reply }: Linked) {
        let shared = match found {
            Ok(shared) => shared,
            Err(error) => {
                let _gone = reply.send(Err(error));
                return;
            }
        };
        let id = shared.id.clone();
        self.heard(shared);
        if let Some(pin) = pin {
            // A PIN that is none is told by the phone.
            let (told, _nobody_waits) = oneshot::channel();
            self.pass(&id, Wish::Pin(pin), told);
        }
        self.pass(&id, Wish::Pull, reply);
    }

    /// Waits until every task ended; the stop token must have fallen.
    pub async fn stopped(&mut self) {
        self.links.shutdown().await;
        self.guests.values().for_each(|guest| guest.stop.cancel());
        while self.tasks.join_next().await.is_some() {}
    }

    fn welcome(&mut self, shared: Shared, now: Instant) {
        let (id, busy, stop) = (shared.id.clone(), Arc::<AtomicBool>::default(), self.stop.child_token());
        let (heard, hears) = watch::channel(shared);
        // A person who asks more than 8 things of a busy phone is told so.
        let (wishes, wished) = mpsc::channel(8);
        let sharing = Sharing::new(self.tools.clone(), hears, busy.clone(), stop.clone());
        self.tasks.spawn(sharing.run(wished));
        self.guests.insert(id, Guest { heard, wishes, last: now, busy, stop });
    }

    fn forget(&mut self, id: &NeighbourId) {
        if let Some(guest) = self.guests.remove(id) {
            info!(%id, "somebody shares nothing any more");
            guest.stop.cancel();
            self.tools.intake.forget_neighbour(id);
        }
    }

    fn pass(&self, id: &NeighbourId, wish: Wish, reply: oneshot::Sender<Result<()>>) {
        let Some(guest) = self.guests.get(id) else {
            let _gone = reply.send(Err(Error::new(Kind::Busy, "too many share something already")));
            return;
        };
        if let Err(error) = guest.wishes.try_send((wish, reply)) {
            let (_, reply) = error.into_inner();
            debug!(%id, "a phone that shares is asked too much");
            let _gone = reply.send(Err(Error::new(Kind::Busy, "this device is busy")));
        }
    }
}

/// Whether what was heard now may stand for a device that is known at another address: it is the same one, or an address of
/// IPv4 of one that proved who it is. Who proves nothing takes nobody's place.
fn is_same_or_better(known: SocketAddr, now: SocketAddr, proved: bool) -> bool {
    let same_family = known.is_ipv4() == now.is_ipv4();
    known == now || (same_family && (proved || known.ip() == now.ip())) || (!same_family && now.is_ipv4())
}

/// As long as for those who take files: apps that are open answer announcements, which come every 30 seconds.
const HEARD_FOR: Duration = Duration::from_secs(100);
const MOST_SHARES: usize = 32;
const MOST_LINKS: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_device_at_two_addresses_is_found_by_the_one_of_ipv4() {
        let better = |known: &str, now: &str, proved| {
            is_same_or_better(known.parse().expect("one"), now.parse().expect("one"), proved)
        };
        let (four, other, six) = ("10.77.0.9:53317", "10.77.0.10:53317", "[fe80::9%2]:53317");
        assert!(better(six, four, false) && better(six, four, true));
        assert!(!better(four, six, false) && !better(four, six, true));
        assert!(better(four, four, false) && better(four, "10.77.0.9:53318", false));
        assert!(better(four, other, true) && !better(four, other, false));
    }
}
