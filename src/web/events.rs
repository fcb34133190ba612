//! Server-sent events (WHATWG HTML, 9.2): the newest snapshot whenever it changed, never a backlog.
//! A slow client misses what lay between and ends right. Streams never end by themselves, so there are only so many: a new
//! one takes the place of the oldest, whose browser comes again by itself (9.2.3, "reconnection").

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::hifi::state::{Changes, State as Box_};
use crate::http::server::Peer;
use crate::offer::whence::share;
use crate::offer::{Board, Caller};
use crate::web::Web;
use crate::web::api::BOARD_RIGHT;
use crate::web::json::StateJson;

/// The streams that are open. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Streams(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    /// The oldest first.
    all: Vec<Listener>,
}

#[derive(Debug)]
struct Listener {
    number: u64,
    from: Option<IpAddr>,
    is_paired: bool,
    over: CancellationToken,
}

impl Streams {
    /// Opens a stream for a caller at an address; `None`: over the local socket.
    fn open(&self, from: Option<IpAddr>, is_paired: bool) -> Ticket {
        let mut open = self.lock();
        let from = from.map(share);
        let of_one = |listener: &Listener| from.is_some() && listener.from == from;
        if open.all.iter().filter(|listener| of_one(listener)).count() >= MOST_OF_ONE {
            open.end_oldest(of_one);
        }
        // Who is paired gives way to nobody who is not.
        if open.all.len() >= MOST && !open.end_oldest(|listener| !listener.is_paired) {
            open.end_oldest(|_| true);
        }
        let (number, over) = (open.next, CancellationToken::new());
        open.next += 1;
        open.all.push(Listener { number, from, is_paired, over: over.clone() });
        Ticket { streams: self.clone(), number, over }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn end_oldest(&mut self, of: impl Fn(&Listener) -> bool) -> bool {
        let oldest = self.all.iter().position(of);
        oldest.map(|at| self.all.remove(at).over.cancel()).is_some()
    }
}

/// The place of a stream, given back when dropped.
struct Ticket {
    streams: Streams,
    number: u64,
    /// Falls when somebody else took the place.
    over: CancellationToken,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.streams.lock().all.retain(|listener| listener.number != self.number);
    }
}

/// What one client was told last, and what it waits for.
struct Told {
    state: watch::Receiver<Arc<Box_>>,
    board: watch::Receiver<Arc<Board>>,
    caller: Caller,
    last: Option<Box_>,
    pending: std::collections::VecDeque<Event>,
    board_told: bool,
    ticket: Ticket,
}

/// `GET /api/events`: `state` (without the queue's entries), `queue`, `library`, and for paired devices `board`.
pub async fn events(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    peer: Option<Extension<Peer>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let from = peer.map(|Extension(Peer(peer))| peer.ip());
    let told = Told {
        ticket: web.streams.open(from, caller.device.is_some()),
        state: web.hifi.of(caller.clone()).watch(),
        board: web.intake.board(),
        caller,
        last: None,
        pending: std::collections::VecDeque::new(),
        board_told: false,
    };
    let stream = stream::unfold(told, |mut told| async move {
        let event = told.next().await?;
        Some((Ok(event), told))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

impl Told {
    /// Returns the next event, or `None` when konpo stops or somebody took the place.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Some(event);
            }
            if self.last.is_none() {
                self.tell_state();
                self.tell_board();
                continue;
            }
            let may_read_board = self.caller.right >= BOARD_RIGHT;
            tokio::select! {
                () = self.ticket.over.cancelled() => return None,
                changed = self.state.changed() => {
                    changed.ok()?;
                    self.tell_state();
                }
                changed = self.board.changed(), if may_read_board => {
                    changed.ok()?;
                    self.board_told = false;
                    self.tell_board();
                }
            }
        }
    }

    fn tell_state(&mut self) {
        let state = self.state.borrow_and_update().seen_by(&self.caller);
        let changes = match &self.last {
            Some(last) => Changes::between(last, &state),
            None => Changes::QUEUE | Changes::LIBRARY | Changes::PLAYER,
        };
        if !changes.is_empty() {
            self.push("state", &StateJson::brief(&state, Instant::now()));
        }
        if changes.intersects(Changes::QUEUE) {
            let queue = serde_json::json!({
                "version": state.queue.version, "length": state.queue.entries.len(),
            });
            self.push("queue", &queue);
        }
        if changes.intersects(Changes::LIBRARY) {
            self.push("library", &serde_json::json!({ "rev": state.library_rev }));
        }
        self.last = Some(state);
    }

    fn tell_board(&mut self) {
        if self.board_told || self.caller.right < BOARD_RIGHT {
            return;
        }
        self.board_told = true;
        let board = self.board.borrow_and_update().clone();
        self.push("board", board.as_ref());
    }

    fn push(&mut self, name: &str, data: &impl Serialize) {
        match serde_json::to_string(data) {
            Ok(json) => self.pending.push_back(Event::default().event(name).data(json)),
            Err(error) => tracing::error!(%error, name, "an event could not be written as JSON"),
        }
    }
}

/// Below the idle limit of common proxies and phones.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Streams in all: half of the connections.
const MOST: usize = 128;
/// Streams of one address: a house of tabs.
const MOST_OF_ONE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_stream_takes_the_place_of_the_oldest_and_never_of_a_paired_device_for_a_stranger() {
        let streams = Streams::default();
        let open =
            |last: usize, is_paired| streams.open(Some(IpAddr::from([10, 0, 0, last as u8])), is_paired);
        let own: Vec<Ticket> = (0..MOST_OF_ONE + 2).map(|_| open(1, false)).collect();
        let over: Vec<bool> = own.iter().map(|ticket| ticket.over.is_cancelled()).collect();
        assert_eq!((&over[..3], over[2..].contains(&true)), (&[true, true, false][..], false));
        drop(own);
        assert!(streams.lock().all.is_empty());
        let paired = open(2, true);
        let others: Vec<Ticket> = (0..MOST + 50).map(|n| open(3 + n % 50, false)).collect();
        assert!(!paired.over.is_cancelled());
        assert_eq!(others.iter().filter(|ticket| !ticket.over.is_cancelled()).count(), MOST - 1);
        let local: Vec<Ticket> = (0..MOST_OF_ONE + 1).map(|_| streams.open(None, true)).collect();
        assert!(local.iter().all(|ticket| !ticket.over.is_cancelled()), "the box's own are not counted");
    }
}
