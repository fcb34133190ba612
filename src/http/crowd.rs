//! Who may hold a connection when many want one. A newcomer takes the place of whoever has waited longest without asking
//! for anything, of its own address first: so connections that trickle their bytes keep nobody out (reference upnp 6.1,
//! "limit, log, not ban"). Whoever sends a file does not wait while it comes, nor does one whose question is here. Who is
//! being served is turned out only when its address holds more than its share and somebody else has next to nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::CancellationToken;

use crate::offer::whence::share;

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
    since: Instant,
    /// Since when nothing is asked; `None` while something is.
    waiting: Option<Instant>,
    turned_out: CancellationToken,
}

impl Crowd {
    /// Gives a newcomer a place; `address` is `None` on the local socket. `None` when everybody is being served, nobody
    /// holds more than its share, or the newcomer has places already. Addresses of one [`share`] are one.
    pub fn admit(&self, address: Option<IpAddr>, now: Instant) -> Option<Place> {
        let address = address.map(share);
        let mut table = lock(&self.0);
        let of_one = |entry: &Entry| entry.address == address;
        if address.is_some() && table.places.values().filter(|entry| of_one(entry)).count() >= MOST_OF_ONE {
            table.turn_out(of_one)?;
        }
        if table.places.len() >= MOST && table.turn_out(|_| true).is_none() {
            table.share(address)?;
        }
        let id = table.next;
        table.next += 1;
        let turned_out = CancellationToken::new();
        let entry = Entry { address, since: now, waiting: Some(now), turned_out: turned_out.clone() };
        table.places.insert(id, entry);
        Some(Place {
            crowd: self.clone(),
            id,
            turned_out,
            came: AtomicUsize::new(0),
            unread: AtomicBool::new(false),
        })
    }
}

impl Table {
    /// Turns out whoever waited longest.
    fn turn_out(&mut self, of: impl Fn(&Entry) -> bool) -> Option<()> {
        let waiting = self.places.iter().filter(|(_, entry)| of(entry));
        let longest = waiting.filter_map(|(id, entry)| Some((entry.waiting?, *id))).min();
        self.end(longest?.1)
    }

    /// Takes, for one that has next to nothing, the oldest place of the address that holds most, when that is too much: event
    /// streams and downloads that never end keep nobody else out.
    fn share(&mut self, newcomer: Option<IpAddr>) -> Option<()> {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        self.places
            .values()
            .filter_map(|entry| entry.address)
            .for_each(|from| *held.entry(from).or_default() += 1);
        if newcomer.and_then(|newcomer| held.get(&newcomer)).is_some_and(|&held| held >= FEW) {
            return None;
        }
        let (most, _) =
            held.into_iter().filter(|(_, held)| *held > FAIR).max_by_key(|(from, held)| (*held, *from))?;
        let theirs = self.places.iter().filter(|(_, entry)| entry.address == Some(most));
        let oldest = theirs.map(|(id, entry)| (entry.since, *id)).min();
        self.end(oldest?.1)
    }

    fn end(&mut self, id: u64) -> Option<()> {
        self.places.remove(&id)?.turned_out.cancel();
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
    /// Bytes of a question since it was last taken for alive.
    came: AtomicUsize,
    /// A question was answered before all of it was read.
    unread: AtomicBool,
}

impl Place {
    /// Marks that something is asked, until the answer's body is gone.
    pub fn serve(self: &Arc<Place>) -> Serving {
        self.mark(None);
        Serving(self.clone())
    }

    /// Returns whether a question was answered before all of it was read: its sender may still be at it.
    pub fn has_unread(&self) -> bool {
        self.unread.load(Ordering::Acquire)
    }

    /// Counts bytes of a question: each share of them begins the waiting anew. Who trickles gains nothing.
    fn came(&self, bytes: usize, now: Instant) {
        let before = self.came.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) < RENEWED_BY {
            return;
        }
        self.came.store(0, Ordering::Relaxed);
        if let Some(entry) = lock(&self.crowd.0).places.get_mut(&self.id) {
            entry.waiting = entry.waiting.map(|_| now);
        }
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

/// The body of a question: while it comes its connection is alive, and once all of it is here it is being served.
pub struct Asked<B> {
    body: B,
    place: Arc<Place>,
    ended: bool,
}

impl<B: HttpBody> Asked<B> {
    /// Wraps a body.
    pub fn new(body: B, place: Arc<Place>) -> Asked<B> {
        let ended = body.is_end_stream();
        Asked { body, place, ended }
    }
}

impl<B> Drop for Asked<B> {
    fn drop(&mut self) {
        if !self.ended {
            self.place.unread.store(true, Ordering::Release);
        }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Asked<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(bytes) = frame.data_ref()
        {
            self.place.came(bytes.len(), Instant::now());
        }
        if frame.is_none() || self.body.is_end_stream() {
            self.ended = true;
            self.place.mark(None);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
/// More than this one address keeps only while there is room for others...
const FAIR: usize = 16;
/// ...who have less than this.
const FEW: usize = 4;
/// So many bytes of a question are a sign of life: below a tenth of a second of any radio that works.
const RENEWED_BY: usize = 16 << 10;

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
    fn a_machine_with_many_addresses_of_ipv6_holds_one_share() {
        let (crowd, start) = (Crowd::default(), Instant::now());
        let six = |n: u16| Some(IpAddr::from([0xfd00, 0, 0, 1, 0, 0, 0, n]));
        let places: Vec<Place> = (0..MOST_OF_ONE as u16)
            .map(|n| crowd.admit(six(n), start + Duration::from_millis(n.into())).expect("a place"))
            .collect();
        let one_more = crowd.admit(six(999), start + Duration::from_secs(1));
        assert!(one_more.is_some() && places[0].turned_out.is_cancelled());
        assert!(places[1..].iter().all(|place| !place.turned_out.is_cancelled()));
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

    #[tokio::test]
    async fn who_sends_a_file_or_waits_for_an_answer_is_not_turned_out_first() {
        use http_body_util::BodyExt;
        let (crowd, start) = (Crowd::default(), Instant::now());
        let mut places: Vec<Arc<Place>> = Vec::new();
        for n in 0..4_u64 {
            let at = start + Duration::from_millis(n);
            places.push(Arc::new(crowd.admit(address(n as u8), at).expect("a place")));
        }
        let later = start + Duration::from_secs(60);
        // The first sends a file, the second trickles, the third's question is here, the fourth says nothing.
        places[0].came(RENEWED_BY - 1, start);
        places[0].came(1, later);
        places[1].came(RENEWED_BY - 1, later);
        let question =
            Asked::new(http_body_util::Full::new(Bytes::from_static(b"may I?")), places[2].clone());
        assert_eq!(question.collect().await.expect("a body").to_bytes().len(), 6);
        let others: Vec<Place> = (0..MOST + 8)
            .map(|n| {
                crowd.admit(address(100 + (n % 100) as u8), later - Duration::from_secs(1)).expect("a place")
            })
            .collect();
        let turned_out: Vec<bool> = places.iter().map(|place| place.turned_out.is_cancelled()).collect();
        assert_eq!(turned_out, [false, true, false, true]);
        drop(others);
    }

    #[test]
    fn streams_that_never_end_keep_nobody_else_out() {
        let (crowd, start) = (Crowd::default(), Instant::now());
        let at = |n: usize| start + Duration::from_millis(n as u64);
        let place = |n: usize, from: u8| Arc::new(crowd.admit(address(from), at(n)).expect("a place"));
        let hogs: Vec<Arc<Place>> = (0..MOST).map(|n| place(n, (n / MOST_OF_ONE) as u8)).collect();
        let _streams: Vec<Serving> = hogs.iter().map(Place::serve).collect();
        let keep_served = |place: &Arc<Place>| place.mark(None);
        // The owner comes, and has four places after that.
        let owner: Vec<Arc<Place>> = (0..FEW).map(|n| place(1000 + n, 200)).inspect(keep_served).collect();
        assert!(owner.iter().all(|place| !place.turned_out.is_cancelled()));
        let gone = hogs.iter().filter(|place| place.turned_out.is_cancelled()).count();
        assert_eq!(gone, FEW, "of those who held most");
        assert!(crowd.admit(address(200), at(2000)).is_none(), "whoever has some waits as everybody does");
        assert!(crowd.admit(address(0), at(2000)).is_none(), "and so do those who have most");
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
