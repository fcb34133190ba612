//! The board: who is here and what is coming in. Changed by anybody, published by one task at most twice a second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::library::JournalRow;
use crate::offer::{Arrival, Board, Neighbour, NeighbourId, OfferId, Stage};
use crate::units::{ByteCount, UnixTime};

/// The board before it is published.
#[derive(Debug)]
pub struct Notes {
    desk: Mutex<Desk>,
    changed: Notify,
    published: watch::Sender<Arc<Board>>,
}

#[derive(Debug, Default)]
struct Desk {
    neighbours: BTreeMap<NeighbourId, Neighbour>,
    under_way: BTreeMap<OfferId, Arrival>,
    /// Newest first.
    ended: VecDeque<Arrival>,
}

impl Notes {
    /// Returns a board with the files that ended before, newest first.
    pub fn new(recent: &[JournalRow]) -> Notes {
        let ended = recent.iter().filter(|row| has_ended(row.stage)).take(MOST_ENDED);
        let ended = ended.map(|row| arrival(row, row.size.unwrap_or_default())).collect();
        let desk = Desk { ended, ..Desk::default() };
        let published = watch::Sender::new(Arc::new(Board::default()));
        Notes { desk: Mutex::new(desk), changed: Notify::new(), published }
    }

    /// Returns the watch of what is published.
    pub fn watch(&self) -> watch::Receiver<Arc<Board>> {
        self.published.subscribe()
    }

    /// Notes how far a file is.
    pub fn put(&self, arrival: Arrival) {
        let mut desk = self.desk();
        desk.under_way.remove(&arrival.id);
        if has_ended(arrival.stage) {
            desk.ended.retain(|ended| ended.id != arrival.id);
            desk.ended.push_front(arrival);
            desk.ended.truncate(MOST_ENDED);
        } else {
            desk.under_way.insert(arrival.id, arrival);
        }
        drop(desk);
        self.changed.notify_one();
    }

    /// Notes how many bytes of a file are here.
    pub fn received(&self, id: OfferId, received: ByteCount) {
        if let Some(arrival) = self.desk().under_way.get_mut(&id) {
            (arrival.received, arrival.at) = (received, UnixTime::now());
        }
        self.changed.notify_one();
    }

    /// Notes a neighbour.
    pub fn set_neighbour(&self, neighbour: Neighbour) {
        self.desk().neighbours.insert(neighbour.id.clone(), neighbour);
        self.changed.notify_one();
    }

    /// Drops a neighbour.
    pub fn forget_neighbour(&self, id: &NeighbourId) {
        if self.desk().neighbours.remove(id).is_some() {
            self.changed.notify_one();
        }
    }

    /// Publishes what is noted.
    pub fn publish(&self) {
        let desk = self.desk();
        let arrivals = desk.under_way.values().rev().chain(&desk.ended).cloned().collect();
        let board = Board {
            rev: self.published.borrow().rev + 1,
            neighbours: desk.neighbours.values().cloned().collect(),
            arrivals,
            pending: desk.under_way.len() as u64,
        };
        drop(desk);
        self.published.send_replace(Arc::new(board));
    }

    /// Publishes changes until the stop token falls.
    pub async fn run(&self, stop: &CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => self.publish(),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(BETWEEN) => {}
            }
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a row as the board shows it.
pub fn arrival(row: &JournalRow, received: ByteCount) -> Arrival {
    Arrival {
        id: row.id,
        name: row.provenance.original_name.clone(),
        from: row.provenance.device_name.clone(),
        stage: row.stage,
        received,
        size: row.size,
        verdict: row.verdict.clone(),
        at: row.at,
    }
}

fn has_ended(stage: Stage) -> bool {
    matches!(stage, Stage::Stored | Stage::Refused)
}

const BETWEEN: Duration = Duration::from_millis(500);
const MOST_ENDED: usize = 200;
