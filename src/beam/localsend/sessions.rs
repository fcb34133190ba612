//! Who is sending: one session for each address, its files with their tokens, and what ends it (reference beam, a.3).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::intake::door::Delivery;

/// The sessions of this box.
#[derive(Debug, Default)]
pub struct Sessions {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    active: HashMap<String, Arc<Session>>,
    /// Senders that wait for their answer.
    pending: HashMap<IpAddr, CancellationToken>,
}

/// One sender's files.
#[derive(Debug)]
pub struct Session {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub address: IpAddr,
    /// Where the bytes go.
    pub delivery: Delivery,
    /// Falls when somebody cancels.
    pub over: CancellationToken,
    begun: Instant,
    desk: Mutex<Desk>,
}

#[derive(Debug)]
struct Desk {
    files: HashMap<String, Slot>,
    /// Uploads under way.
    running: usize,
    touched: Instant,
}

#[derive(Debug)]
struct Slot {
    index: usize,
    token: String,
    state: State,
    tries: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Pending,
    Coming,
    Over,
}

impl Sessions {
    /// Marks a sender as waiting for its answer. `None` when it waits already, or sends.
    pub fn wait(self: &Arc<Sessions>, address: IpAddr, now: Instant) -> Option<Pending> {
        let mut table = self.table();
        if table.pending.contains_key(&address) {
            return None;
        }
        let before: Vec<Arc<Session>> =
            table.active.values().filter(|session| session.address == address).cloned().collect();
        if before.iter().any(|session| !session.is_left(now)) {
            return None;
        }
        // Whoever asks anew while nothing comes was killed or gave up before.
        before.iter().for_each(|session| table.end(&session.id));
        let cancelled = CancellationToken::new();
        table.pending.insert(address, cancelled.clone());
        Some(Pending { sessions: self.clone(), address, cancelled })
    }

    /// Opens a session for the accepted files: their ids with their places in the offer. Returns it with the tokens.
    pub fn open(
        &self,
        address: IpAddr,
        delivery: Delivery,
        accepted: Vec<(String, usize)>,
        now: Instant,
    ) -> (Arc<Session>, Vec<(String, String)>) {
        let fresh = || uuid::Uuid::new_v4().to_string();
        let slot = |(id, index)| (id, Slot { index, token: fresh(), state: State::Pending, tries: 0 });
        let files: HashMap<String, Slot> = accepted.into_iter().map(slot).collect();
        let tokens = files.iter().map(|(id, slot)| (id.clone(), slot.token.clone())).collect();
        let desk = Desk { files, running: 0, touched: now };
        let over = CancellationToken::new();
        let session = Session { id: fresh(), address, delivery, over, begun: now, desk: Mutex::new(desk) };
        let session = Arc::new(session);
        self.table().active.insert(session.id.clone(), session.clone());
        (session, tokens)
    }

    /// Returns a session, to its own sender only.
    pub fn find(&self, id: &str, address: IpAddr) -> Option<Arc<Session>> {
        self.table().active.get(id).filter(|session| session.address == address).cloned()
    }

    /// Ends a session, or with no id the question of this sender. Others' are left alone.
    pub fn cancel(&self, id: Option<&str>, address: IpAddr) {
        let mut table = self.table();
        match id.filter(|id| !id.is_empty()) {
            Some(id) if table.active.get(id).is_some_and(|session| session.address == address) => {
                info!(session = id, "the sender cancelled");
                table.end(id);
            }
            Some(_) => {}
            None => table.pending.get(&address).into_iter().for_each(CancellationToken::cancel),
        }
    }

    /// Ends a session of which every file came or never will.
    pub fn end_when_done(&self, session: &Session) {
        if session.desk().files.values().all(|slot| slot.state == State::Over) {
            self.table().end(&session.id);
        }
    }

    /// Ends sessions in which nothing comes any more.
    pub fn tidy(&self, now: Instant) {
        let mut table = self.table();
        let stale = |session: &&Arc<Session>| {
            let idle = session.desk().running == 0 && session.idle(now) >= IDLE_FOR;
            idle || now.saturating_duration_since(session.begun) >= LONGEST
        };
        let ended: Vec<String> =
            table.active.values().filter(stale).map(|session| session.id.clone()).collect();
        for id in ended {
            info!(session = id, "nothing came any more");
            table.end(&id);
        }
    }

    /// Ends everything.
    pub fn end_all(&self) {
        let mut table = self.table();
        let all: Vec<String> = table.active.keys().cloned().collect();
        all.iter().for_each(|id| table.end(id));
        table.pending.values().for_each(CancellationToken::cancel);
    }

    /// Returns whether as many send as can.
    pub fn is_full(&self) -> bool {
        self.table().active.len() >= MOST_SESSIONS
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn end(&mut self, id: &str) {
        if let Some(session) = self.active.remove(id) {
            session.over.cancel();
        }
    }
}

impl Session {
    /// Begins an upload. `None` unless the token is the file's and the file is still to come.
    pub fn begin(self: &Arc<Session>, sessions: &Arc<Sessions>, file: &str, token: &str) -> Option<Coming> {
        let mut desk = self.desk();
        let slot =
            desk.files.get_mut(file).filter(|slot| slot.token == token && slot.state == State::Pending)?;
        slot.state = State::Coming;
        slot.tries += 1;
        let (index, tries) = (slot.index, slot.tries);
        desk.running += 1;
        desk.touched = Instant::now();
        let (session, sessions, file) = (self.clone(), sessions.clone(), file.to_owned());
        Some(Coming { session, sessions, file, index, tries, again: false })
    }

    fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.desk().touched)
    }

    fn is_left(&self, now: Instant) -> bool {
        self.desk().running == 0 && self.idle(now) >= LEFT_AFTER
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that comes. Dropped, it came or failed for good, unless it may come again.
#[derive(Debug)]
pub struct Coming {
    session: Arc<Session>,
    sessions: Arc<Sessions>,
    file: String,
    /// Its place in the offer.
    pub index: usize,
    tries: u32,
    again: bool,
}

impl Coming {
    /// Lets the file come again, as long as it has not been tried too often.
    pub fn again(mut self) {
        self.again = self.tries < MOST_TRIES;
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        let mut desk = self.session.desk();
        desk.running -= 1;
        desk.touched = Instant::now();
        if let Some(slot) = desk.files.get_mut(&self.file) {
            slot.state = if self.again { State::Pending } else { State::Over };
        }
        drop(desk);
        if !self.again {
            self.session.delivery.settled(self.index);
            self.sessions.end_when_done(&self.session);
        }
    }
}

/// A sender that waits for its answer; dropped, it waits no more.
#[derive(Debug)]
pub struct Pending {
    sessions: Arc<Sessions>,
    address: IpAddr,
    /// Falls when the sender cancels.
    pub cancelled: CancellationToken,
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.sessions.table().pending.remove(&self.address);
    }
}

/// A file whose sum is wrong is tried so often in all (1.18: reference beam, a.3).
const MOST_TRIES: u32 = 3;
/// Between two files phones sleep a while.
const IDLE_FOR: Duration = Duration::from_secs(120);
/// A sender in whose session nothing came for this long may begin anew.
const LEFT_AFTER: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(6 * 3600);
const MOST_SESSIONS: usize = 32;
