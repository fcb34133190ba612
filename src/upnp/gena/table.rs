//! Who is subscribed to what, and until when. Pure; the clock is an argument.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Every subscription.
#[derive(Debug, Default)]
pub struct Table {
    entries: HashMap<Uuid, Entry>,
}

#[derive(Debug)]
struct Entry {
    /// The path of the service's events.
    service: String,
    /// Whom it is delivered to.
    to: Ipv4Addr,
    expires: Instant,
    /// When it was made or renewed.
    heard: Instant,
    ended: CancellationToken,
}

/// No more subscriptions are possible.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

impl Table {
    /// Makes a subscription. Of one address the one that was renewed longest ago makes room, for an app that is started
    /// again does not end those it had; the token falls when a subscription ends.
    ///
    /// # Errors
    /// `Full` when the others leave no room (reference upnp 4.2, "limits").
    pub fn subscribe(
        &mut self,
        service: &str,
        to: Ipv4Addr,
        lasts: Duration,
        now: Instant,
    ) -> Result<(Uuid, CancellationToken), Full> {
        self.entries.retain(|_, entry| entry.expires > now || entry.end());
        let same = |entry: &&Entry| entry.service == service;
        if self.entries.values().filter(same).filter(|entry| entry.to == to).count() >= MOST_OF_ONE {
            let of_one = self.entries.iter().filter(|(_, entry)| entry.service == service && entry.to == to);
            if let Some(sid) = of_one.min_by_key(|(_, entry)| entry.heard).map(|(sid, _)| *sid) {
                self.end(sid);
            }
        }
        if self.entries.len() >= MOST || self.entries.values().filter(same).count() >= MOST_OF_SERVICE {
            return Err(Full);
        }
        let (sid, ended) = (Uuid::new_v4(), CancellationToken::new());
        let entry =
            Entry { service: service.to_owned(), to, expires: now + lasts, heard: now, ended: ended.clone() };
        self.entries.insert(sid, entry);
        Ok((sid, ended))
    }

    /// Renews a subscription; `false` when there is none.
    pub fn renew(&mut self, service: &str, sid: Uuid, lasts: Duration, now: Instant) -> bool {
        let entry = self.entries.get_mut(&sid).filter(|e| e.service == service && e.expires > now);
        entry.is_some_and(|entry| {
            entry.expires = now + lasts;
            entry.heard = now;
            true
        })
    }

    /// Ends a subscription of this service; `false` when there is none.
    pub fn unsubscribe(&mut self, service: &str, sid: Uuid, now: Instant) -> bool {
        let is_there = self.entries.get(&sid).is_some_and(|e| e.service == service && e.expires > now);
        is_there && self.end(sid)
    }

    /// Ends a subscription.
    pub fn end(&mut self, sid: Uuid) -> bool {
        self.entries.remove(&sid).is_some_and(|entry| !entry.end())
    }

    /// Returns until when a subscription lasts; `None`: it is over.
    pub fn lasts(&self, sid: Uuid) -> Option<Instant> {
        self.entries.get(&sid).map(|entry| entry.expires)
    }

    /// Ends those that are delivered elsewhere.
    pub fn keep(&mut self, keep: impl Fn(Ipv4Addr) -> bool) {
        self.entries.retain(|_, entry| keep(entry.to) || entry.end());
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

impl Entry {
    /// Ends it; always `false`, as `retain` wants it.
    fn end(&self) -> bool {
        self.ended.cancel();
        false
    }
}

/// Subscriptions of one address to one service.
pub const MOST_OF_ONE: usize = 8;
/// Subscriptions to one service.
pub const MOST_OF_SERVICE: usize = 64;
/// Subscriptions in all.
pub const MOST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn phone(last: u32) -> Ipv4Addr {
        Ipv4Addr::from(0x0a4d_0000 + last)
    }

    #[test]
    fn a_subscription_lasts_until_it_is_not_renewed() {
        let (mut table, now) = (Table::default(), Instant::now());
        let (sid, ended) = table.subscribe("a", phone(1), MINUTE, now).expect("room");
        assert!(table.renew("a", sid, MINUTE, now + MINUTE / 2));
        assert_eq!(table.lasts(sid), Some(now + MINUTE / 2 + MINUTE));
        assert!(!table.renew("b", sid, MINUTE, now), "of another service");
        assert!(!table.renew("a", Uuid::nil(), MINUTE, now));
        assert!(!table.renew("a", sid, MINUTE, now + 2 * MINUTE), "expired");
        assert!(!table.unsubscribe("a", sid, now + 2 * MINUTE), "expired");
        assert!(!table.unsubscribe("b", sid, now) && !ended.is_cancelled());
        assert!(table.unsubscribe("a", sid, now) && ended.is_cancelled());
        assert_eq!((table.lasts(sid), table.len()), (None, 0));
    }

    #[test]
    fn an_app_that_was_started_again_pushes_out_its_own() {
        let (mut table, now) = (Table::default(), Instant::now());
        let mut of_one: Vec<_> = (0..MOST_OF_ONE as u64)
            .map(|n| table.subscribe("a", phone(1), MINUTE, now + Duration::from_secs(n)).expect("room"))
            .collect();
        assert!(table.renew("a", of_one[0].0, MINUTE, now + Duration::from_secs(20)));
        of_one.push(table.subscribe("a", phone(1), MINUTE, now + Duration::from_secs(21)).expect("room"));
        let ended: Vec<usize> = (0..9).filter(|n| of_one[*n].1.is_cancelled()).collect();
        assert_eq!(ended, [1], "heard longest ago");
        table.subscribe("b", phone(1), MINUTE, now).expect("another service");
    }

    #[test]
    fn there_is_an_end_to_it_and_those_that_expired_do_not_count() {
        let (mut table, now) = (Table::default(), Instant::now());
        for n in 0..MOST_OF_SERVICE as u32 {
            table.subscribe("a", phone(n), MINUTE, now).expect("room");
        }
        assert_eq!(table.subscribe("a", phone(200), MINUTE, now).err(), Some(Full));
        for service in ["b", "c", "d"] {
            for n in 0..MOST_OF_SERVICE as u32 {
                table.subscribe(service, phone(n), MINUTE, now).expect("room");
            }
        }
        assert_eq!(table.subscribe("e", phone(200), MINUTE, now).err(), Some(Full));
        let (_, ended) =
            table.subscribe("a", phone(200), MINUTE, now + 2 * MINUTE).expect("the others are over");
        assert_eq!(table.len(), 1);
        table.keep(|address| address != phone(200));
        assert!(ended.is_cancelled() && table.len() == 0);
    }
}
