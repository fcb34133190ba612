//! Who may hold a connection when many want one. A newcomer takes the place of whoever has waited longest without asking
//! for anything, of its own address first: so connections that trickle their bytes keep nobody out (reference upnp 6.1,
//! "limit, log, not ban"). Who is being served is never turned out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::CancellationToken;

/// The connections of one listener. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Crowd(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    places: HashMap<u64, Entry>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    address: Option<IpAddr>,
    /// Since when nothing is asked; `None` while something is.
    waiting: Option<Instant>,
    turned_out: CancellationToken,
}

impl Crowd {
    /// Gives a newcomer a place; `address` is `None` on the local socket. `None` when everybody is being served.
    pub fn admit(&self, address: Option<IpAddr>, now: Instant) -> Option<Place> {
        let mut table = lock(&self.0);
        let of_one = |entry: &Entry| entry.address == address;
        if address.is_some() && table.places.values().filter(|entry| of_one(entry)).count() >= MOST_OF_ONE {
            table.turn_out(of_one)?;
        }
        if table.places.len() >= MOST {
            table.turn_out(|_| true)?;
        }
        let id = table.next;
        table.next += 1;
        let turned_out = CancellationToken::new();
        let entry = Entry { address, waiting: Some(now), turned_out: turned_out.clone() };
        table.places.insert(id, entry);
        Some(Place { crowd: self.clone(), id, turned_out })
    }
}

impl Table {
    /// Turns out whoever waited longest.
    fn turn_out(&mut self, of: impl Fn(&Entry) -> bool) -> Option<()> {
        let waiting = self.places.iter().filter(|(_, entry)| of(entry));
        let longest = waiting.filter_map(|(id, entry)| Some((entry.waiting?, *id))).min();
        let entry = self.places.remove(&longest?.1)?;
        entry.turned_out.cancel();
        Some(())
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A place among the connections, given back when dropped.
#[derive(Debug)]
pub struct Place {
    crowd: Crowd,
    id: u64,
    /// Falls when a newcomer took the place.
    pub turned_out: CancellationToken,
}

impl Place {
    /// Marks that something is asked, until the answer's body is gone.
    pub fn serve(self: &Arc<Place>) -> Serving {
        self.mark(None);
        Serving(self.clone())
    }

    fn mark(&self, waiting: Option<Instant>) {
        if let Some(entry) = lock(&self.crowd.0).places.get_mut(&self.id) {
            entry.waiting = waiting;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.crowd.0).places.remove(&self.id);
    }
}

/// Somebody is being served.
#[derive(Debug)]
pub struct Serving(Arc<Place>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.mark(Some(Instant::now()));
    }
}

/// The body of an answer, during which its connection is being served.
pub struct Served {
    body: Body,
    _serving: Serving,
}

impl Served {
    /// Wraps a body.
    pub fn new(body: Body, serving: Serving) -> Served {
        Served { body, _serving: serving }
    }
}

impl HttpBody for Served {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Connections in all.
const MOST: usize = 256;
/// Connections of one address.
const MOST_OF_ONE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn address(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, 0, last]))
    }

    #[test]
    fn a_newcomer_takes_the_place_of_who_waited_longest() {
        let (crowd, start) = (Crowd::default(), Instant::now());
        let places: Vec<Place> = (0..MOST_OF_ONE as u64)
            .map(|n| crowd.admit(address(1), start + Duration::from_millis(n)).expect("a place"))
            .collect();
        let friend = crowd.admit(address(2), start).expect("a place");
        let late = crowd.admit(address(1), start + Duration::from_secs(1)).expect("a place");
        assert!(places[0].turned_out.is_cancelled(), "of its own address");
        assert!(places[1..].iter().all(|place| !place.turned_out.is_cancelled()));
        assert!(!friend.turned_out.is_cancelled() && !late.turned_out.is_cancelled());
    }

    #[test]
    fn who_is_served_stays_and_then_nobody_comes() {
        let (crowd, now) = (Crowd::default(), Instant::now());
        let places: Vec<Arc<Place>> =
            (0..MOST_OF_ONE).map(|_| Arc::new(crowd.admit(address(1), now).expect("a place"))).collect();
        let mut serving: Vec<Serving> = places.iter().map(Place::serve).collect();
        assert!(crowd.admit(address(1), now).is_none());
        assert!(crowd.admit(address(2), now).is_some(), "somebody else");
        serving.remove(7);
        assert!(crowd.admit(address(1), now).is_some());
        assert!(places[7].turned_out.is_cancelled());
    }

    #[test]
    fn many_addresses_share_what_there_is_and_nothing_is_kept() {
        let (crowd, now) = (Crowd::default(), Instant::now());
        let places: Vec<Place> =
            (0..2000u32).map(|n| crowd.admit(address((n % 200) as u8), now).expect("a place")).collect();
        let left = places.iter().filter(|place| !place.turned_out.is_cancelled()).count();
        assert_eq!((left, lock(&crowd.0).places.len()), (MOST, MOST));
        drop(places);
        assert_eq!(lock(&crowd.0).places.len(), 0);
    }
}
