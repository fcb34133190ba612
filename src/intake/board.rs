//! The board: who is here and what is coming in. Changed by anybody, published by one task at most twice a second.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::library::JournalRow;
use crate::offer::out::{Receiver, Sending};
use crate::offer::push::{Beam, Request};
use crate::offer::{Arrival, Board, Neighbour, NeighbourId, OfferId, ShelfProgress, Stage};
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
    /// Refused files that still lie in the drop folder: their reason stays with them.
    lying: BTreeMap<OfferId, Arrival>,
    /// Newest first.
    ended: VecDeque<Arrival>,
    trouble: Option<String>,
    shelf: ShelfProgress,
    asks: Vec<Request>,
    beams: Vec<Beam>,
    window: Option<UnixTime>,
    receivers: Vec<Receiver>,
    /// What goes out, newest first.
    sends: VecDeque<Sending>,
}

impl Notes {
    /// Returns a board with the files that ended before, newest first, and those that still lie in the drop folder.
    pub fn new<'a>(recent: &[JournalRow], lying: impl Iterator<Item = &'a JournalRow>) -> Notes {
        let shown = |row: &JournalRow| arrival(row, row.size.unwrap_or_default());
        let lying: BTreeMap<OfferId, Arrival> = lying.map(|row| (row.id, shown(row))).collect();
        let ended = recent.iter().filter(|row| has_ended(row.stage) && !lying.contains_key(&row.id));
        let ended = ended.take(MOST_ENDED).map(shown).collect();
        let desk = Desk { ended, lying, ..Desk::default() };
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

    /// Notes that a refused file lies in the drop folder.
    pub fn lies(&self, arrival: Arrival) {
        let mut desk = self.desk();
        desk.ended.retain(|ended| ended.id != arrival.id);
        desk.lying.insert(arrival.id, arrival);
        if desk.lying.len() > MOST_LYING {
            desk.lying.pop_first();
        }
        drop(desk);
        self.changed.notify_one();
    }

    /// Notes that a refused file is gone from the drop folder, or another one now.
    pub fn lies_no_more(&self, id: OfferId) {
        if self.desk().lying.remove(&id).is_some() {
            self.changed.notify_one();
        }
    }

    /// Notes why a file waits.
    pub fn waits(&self, id: OfferId, why: Option<String>) {
        if let Some(arrival) = self.desk().under_way.get_mut(&id) {
            (arrival.waits, arrival.at) = (why, UnixTime::now());
        }
        self.changed.notify_one();
    }

    /// Notes why nothing can come in, or that everything can.
    pub fn trouble(&self, why: Option<String>) {
        let mut desk = self.desk();
        if desk.trouble != why {
            desk.trouble = why;
            drop(desk);
            self.changed.notify_one();
        }
    }

    /// Notes who waits for a yes, what senders brought, and the beam window.
    pub fn set_door(&self, asks: Vec<Request>, beams: Vec<Beam>, window: Option<UnixTime>) {
        let mut desk = self.desk();
        (desk.asks, desk.beams, desk.window) = (asks, beams, window);
        drop(desk);
        self.changed.notify_one();
    }

    /// Notes how far the look through the music folders is.
    pub fn set_shelf(&self, shelf: ShelfProgress) {
        self.desk().shelf = shelf;
        self.changed.notify_one();
    }

    /// Notes how many bytes of a file are here.
    pub fn received(&self, id: OfferId, received: ByteCount) {
        if let Some(arrival) = self.desk().under_way.get_mut(&id) {
            (arrival.received, arrival.waits, arrival.at) = (received, None, UnixTime::now());
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

    /// Notes who takes files.
    pub fn set_receivers(&self, receivers: Vec<Receiver>) {
        let mut desk = self.desk();
        if desk.receivers != receivers {
            desk.receivers = receivers;
            drop(desk);
            self.changed.notify_one();
        }
    }

    /// Notes how far something is that goes out.
    pub fn set_sending(&self, sending: Sending) {
        let mut desk = self.desk();
        match desk.sends.iter_mut().find(|known| known.id == sending.id) {
            Some(known) => *known = sending,
            None => desk.sends.push_front(sending),
        }
        desk.sends.truncate(MOST_SENDS);
        drop(desk);
        self.changed.notify_one();
    }

    /// Publishes what is noted.
    pub fn publish(&self) {
        let desk = self.desk();
        let lying = desk.lying.values().rev();
        let arrivals = desk.under_way.values().rev().chain(lying).chain(&desk.ended).cloned().collect();
        let board = Board {
            rev: self.published.borrow().rev + 1,
            neighbours: desk.neighbours.values().cloned().collect(),
            arrivals,
            trouble: desk.trouble.clone(),
            pending: desk.under_way.len() as u64,
            asks: desk.asks.clone(),
            beams: desk.beams.clone(),
            window: desk.window.filter(|until| *until > UnixTime::now()),
            shelf: desk.shelf.clone(),
            receivers: desk.receivers.clone(),
            sends: desk.sends.iter().cloned().collect(),
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
        waits: None,
        at: row.at,
    }
}

fn has_ended(stage: Stage) -> bool {
    matches!(stage, Stage::Stored | Stage::Refused)
}

const BETWEEN: Duration = Duration::from_millis(500);
const MOST_ENDED: usize = 200;
const MOST_LYING: usize = 500;
/// At most four of them are under way, and those are the newest.
const MOST_SENDS: usize = 20;
