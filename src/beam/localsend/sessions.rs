//! Who is sending: one session for each sender, its files with their tokens, and what ends it (reference beam, a.3).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::intake::door::Delivery;
use crate::offer::whence::{Whence, share};

/// The sessions of this box.
#[derive(Debug, Default)]
pub struct Sessions {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    active: HashMap<String, Arc<Session>>,
    /// Senders that wait for their answer, one of each address.
    pending: HashMap<Whence, Waits>,
    /// Questions of each address that are being read.
    reading: HashMap<Whence, usize>,
    next: u64,
}

#[derive(Debug)]
struct Waits {
    number: u64,
    who: Who,
    since: Instant,
    cancelled: CancellationToken,
}

/// Who sends, as far as it says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Where it is.
    pub address: Whence,
    /// The SHA-256 of the certificate whose key it proved to have, lower-case hex.
    pub certificate: Option<String>,
    /// What it calls itself, and the fingerprint that it says it has. Nothing is proved by them.
    pub says: (String, String),
}

impl Who {
    /// Returns whether both are one device: by certificate, else by where it is and what it says.
    fn is(&self, other: &Who) -> bool {
        match (&self.certificate, &other.certificate) {
            (Some(own), Some(theirs)) => own == theirs,
            _ => self.address == other.address && self.says == other.says,
        }
    }
}

/// One sender's files.
#[derive(Debug)]
pub struct Session {
    /// Its name.
    pub id: String,
    /// Whose it is.
    pub who: Who,
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
    /// Lets an address say what it wants to send. `None` when it says much at once already.
    pub fn arrive(self: &Arc<Sessions>, address: Whence) -> Option<Arriving> {
        let mut table = self.table();
        let same = |other: &Whence| share(other.address) == share(address.address);
        let of_share: usize = table.reading.iter().filter(|(other, _)| same(other)).map(|(_, n)| n).sum();
        let reading = table.reading.entry(address).or_default();
        if *reading >= MOST_READ || of_share >= MOST_READ * MOST_OF_SHARE {
            if *reading == 0 {
                table.reading.remove(&address);
            }
            return None;
        }
        *reading += 1;
        Some(Arriving { sessions: self.clone(), address })
    }

    /// Marks a sender as waiting for its answer. `None` when it waits already, or sends, and when its address does too much.
    ///
    /// Whoever asks anew while nothing comes was killed, or lost its network: it takes the place of its own question, and in
    /// [`Sessions::open`] that of its own session.
    pub fn wait(self: &Arc<Sessions>, who: Who, now: Instant) -> Option<Pending> {
        let mut table = self.table();
        if let Some(waits) = table.pending.get(&who.address) {
            let left = now.saturating_duration_since(waits.since) >= LEFT_AFTER;
            if !(left && waits.who.is(&who)) {
                return None;
            }
            waits.cancelled.cancel();
        }
        let others = |session: &&Arc<Session>| session.who.address == who.address && !session.who.is(&who);
        let mut own = table.active.values().filter(|session| session.who.is(&who));
        if own.any(|session| !session.is_left(now))
            || table.active.values().filter(others).count() >= MOST_OF_ONE
            || table.of_share(&who) >= MOST_OF_ONE * MOST_OF_SHARE
        {
            return None;
        }
        let (cancelled, number, address) = (CancellationToken::new(), table.next, who.address);
        table.next += 1;
        table.pending.insert(address, Waits { number, who, since: now, cancelled: cancelled.clone() });
        Some(Pending { sessions: self.clone(), address, number, cancelled })
    }

    /// Opens a session for the accepted files: their ids with their places in the offer. Returns it with the tokens. What
    /// the same sender left behind ends.
    pub fn open(
        &self,
        who: Who,
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
        let session = Session { id: fresh(), who, delivery, over, begun: now, desk: Mutex::new(desk) };
        let session = Arc::new(session);
        let mut table = self.table();
        let own = table.active.values().filter(|before| before.who.is(&session.who));
        let before: Vec<String> = own.map(|before| before.id.clone()).collect();
        before.iter().for_each(|id| table.end(id));
        table.active.insert(session.id.clone(), session.clone());
        drop(table);
        (session, tokens)
    }

    /// Returns a session, to its own sender only.
    pub fn find(&self, id: &str, address: Whence) -> Option<Arc<Session>> {
        self.table().active.get(id).filter(|session| session.who.address == address).cloned()
    }

    /// Ends a session, or with no id the question of this sender. Others' are left alone.
    pub fn cancel(&self, id: Option<&str>, address: Whence) {
        let mut table = self.table();
        match id.filter(|id| !id.is_empty()) {
            Some(id) if table.active.get(id).is_some_and(|session| session.who.address == address) => {
                info!(session = id, "the sender cancelled");
                table.end(id);
            }
            Some(_) => {}
            None => table.pending.get(&address).into_iter().for_each(|waits| waits.cancelled.cancel()),
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
        table.pending.values().for_each(|waits| waits.cancelled.cancel());
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
    /// Counts the others who wait or send from the same share: a machine has many addresses of IPv6.
    fn of_share(&self, who: &Who) -> usize {
        let same =
            |other: &Whence| *other != who.address && share(other.address) == share(who.address.address);
        let active = self.active.values().filter(|session| same(&session.who.address)).count();
        active + self.pending.keys().filter(|other| same(other)).count()
    }

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

    /// Notes that bytes came.
    pub fn came(&self, now: Instant) {
        self.desk().touched = now;
    }

    fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.desk().touched)
    }

    /// An upload that nobody ended may be one whose network is gone: bytes are what counts.
    fn is_left(&self, now: Instant) -> bool {
        self.idle(now) >= LEFT_AFTER
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

/// A question that is being read.
#[derive(Debug)]
pub struct Arriving {
    sessions: Arc<Sessions>,
    address: Whence,
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let mut table = self.sessions.table();
        if let Some(reading) = table.reading.get_mut(&self.address) {
            *reading -= 1;
            if *reading == 0 {
                table.reading.remove(&self.address);
            }
        }
    }
}

/// A sender that waits for its answer; dropped, it waits no more.
#[derive(Debug)]
pub struct Pending {
    sessions: Arc<Sessions>,
    address: Whence,
    number: u64,
    /// Falls when the sender cancels, or asks anew.
    pub cancelled: CancellationToken,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let mut table = self.sessions.table();
        if table.pending.get(&self.address).is_some_and(|waits| waits.number == self.number) {
            table.pending.remove(&self.address);
        }
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
/// Sessions of other devices behind one address.
const MOST_OF_ONE: usize = 4;
/// So many times as much of one share: there may be several phones in it (see [`share`]).
const MOST_OF_SHARE: usize = 4;
/// Questions of one address that are read at once; one more is refused before a byte of it is read.
const MOST_READ: usize = 2;
