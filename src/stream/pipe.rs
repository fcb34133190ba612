//! Between the task that fetches and the thread that decodes: a bounded stretch of the file's bytes. The reader blocks,
//! the writer never does; neither waits for longer than the other lives.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};
use crate::media::sound::sought;
use crate::stream::answer::Known;

/// What both sides share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the reader.
    came: Condvar,
    /// Wakes the fetching task: there is room, or a jump, or somebody waits.
    wants: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// The bytes at hand; those behind the reader stay as long as there is room.
    bytes: VecDeque<u8>,
    /// The place of the first of them in the file.
    start: u64,
    /// Where the reader stands.
    at: u64,
    /// Behind the last byte that it got.
    got: u64,
    /// Grows with every jump; what was fetched for an older one is dropped.
    jump: u64,
    known: Option<Known>,
    /// When the first byte came.
    first: Option<Instant>,
    /// Since when the reader waits without a byte coming.
    hungry: Option<Instant>,
    /// A live stream ran dry: it goes on once a little is there.
    thin: bool,
    ended: bool,
    failed: Option<(Kind, String)>,
    closed: bool,
}

impl State {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    /// Bytes in front of the reader.
    fn ahead(&self) -> usize {
        usize::try_from(self.end().saturating_sub(self.at)).unwrap_or(usize::MAX).min(self.bytes.len())
    }

    fn ranges(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.ranges)
    }

    fn live(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.live)
    }

    fn size(&self) -> Option<u64> {
        self.known.as_ref().and_then(|known| known.size)
    }

    /// Drops what lies behind the reader as far as `more` bytes need the room; returns how many bytes fit.
    fn make_room(&mut self, more: usize) -> usize {
        let over = (self.bytes.len() + more).saturating_sub(MOST);
        // Who looks at the head of a file goes back there, and a server without ranges gives it only once. Who only looks
        // whether there is a tail has not left it; who waits for bytes behind it has.
        let in_head = self.at < HEAD || (self.got < HEAD && self.hungry.is_none());
        let keeps = self.start == 0 && in_head && !self.ranges();
        let behind = if keeps { 0 } else { self.at.saturating_sub(self.start) };
        let behind = usize::try_from(behind).unwrap_or(usize::MAX);
        let drop = over.min(behind).min(self.bytes.len());
        self.bytes.drain(..drop);
        self.start += drop as u64;
        // A last large piece may lie above the limit.
        more.min(MOST.saturating_sub(self.bytes.len()))
    }

    /// Whether the bytes at the reader's place are there or will come without a new request.
    fn reaches(&self) -> bool {
        let near = if self.ranges() { NEAR } else { FAR };
        (self.start..=self.end().saturating_add(near)).contains(&self.at)
    }

    fn failure(&self) -> Option<Error> {
        if self.closed {
            return Some(Error::new(Kind::Stopped, "it is not wanted any more"));
        }
        self.failed.as_ref().map(|(kind, what)| Error::new(*kind, what.clone()))
    }

    /// What a read gets now; `None` while it has to wait.
    fn give(&mut self, into: &mut [u8]) -> Option<io::Result<usize>> {
        if self.size().is_some_and(|size| self.at >= size) {
            return Some(Ok(0));
        }
        let settled = self.ended || self.failed.is_some() || !self.thin;
        if self.at >= self.start && self.ahead() > 0 && settled {
            self.thin = false;
            let from = (self.at - self.start) as usize;
            let (front, back) = self.bytes.as_slices();
            let there = if from < front.len() { &front[from..] } else { &back[from - front.len()..] };
            let count = there.len().min(into.len());
            into[..count].copy_from_slice(&there[..count]);
            self.at += count as u64;
            self.got = self.at;
            return Some(Ok(count));
        }
        if let Some(error) = self.failure() {
            return Some(Err(io::Error::new(kind_of(&error), error.to_string())));
        }
        if self.ended && self.at >= self.end() {
            return Some(Ok(0));
        }
        if self.at < self.start && !self.ranges() {
            let what = "what was played already cannot be had again from this stream";
            return Some(Err(io::Error::new(io::ErrorKind::Unsupported, what)));
        }
        // Whoever looks that far ahead in a stream wants its end, which it has not.
        (!self.ranges() && !self.reaches()).then_some(Ok(0))
    }
}

/// The words of an error travel in `io::Error`; its kind is told again by [`Error::io`].
fn kind_of(error: &Error) -> io::ErrorKind {
    match error.kind() {
        Kind::NotFound => io::ErrorKind::NotFound,
        Kind::NotAllowed => io::ErrorKind::PermissionDenied,
        Kind::Damaged | Kind::Invalid => io::ErrorKind::InvalidData,
        _ => io::ErrorKind::TimedOut,
    }
}

/// What the fetching task is told when it hands over bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// They are taken.
    All,
    /// The reader went elsewhere.
    Jumped,
}

/// Where the fetching task goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Goal {
    /// The first byte that is missing.
    pub(super) at: u64,
    /// The jump it belongs to.
    pub(super) jump: u64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete when the lock is given back.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what is known of the file.
    pub(super) fn know(&self, known: Known) {
        self.lock().known = Some(known);
        self.came.notify_all();
    }

    /// Returns where to go on.
    pub(super) fn goal(&self) -> Goal {
        let state = self.lock();
        Goal { at: state.end(), jump: state.jump }
    }

    /// Hands over bytes that follow those at hand. They fit when [`Shared::room`] said so before; what does not fit of a
    /// last large piece is kept all the same.
    pub(super) fn push(&self, bytes: &[u8], jump: u64) -> Taken {
        let mut state = self.lock();
        if state.jump != jump {
            return Taken::Jumped;
        }
        if !bytes.is_empty() {
            state.make_room(bytes.len());
            state.bytes.extend(bytes);
            state.first.get_or_insert_with(Instant::now);
            state.hungry = state.hungry.map(|_| Instant::now());
        }
        drop(state);
        self.came.notify_all();
        Taken::All
    }

    /// Tells that nothing follows what is at hand.
    pub(super) fn end(&self, jump: u64) {
        let mut state = self.lock();
        if state.jump == jump {
            state.ended = true;
        }
        drop(state);
        self.came.notify_all();
    }

    /// Tells that nothing more will come, and why; what is at hand is still read.
    pub(super) fn fail(&self, error: &Error) {
        self.lock().failed = Some((error.kind(), error.to_string()));
        self.came.notify_all();
    }

    /// Ends every wait at once.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.came.notify_all();
        self.wants.notify_one();
    }

    /// Waits until there is room for another piece. Returns `Jumped` at once when the reader goes elsewhere.
    ///
    /// # Cancel
    /// Nothing is lost.
    pub(super) async fn room(&self, jump: u64) -> Taken {
        loop {
            {
                let mut state = self.lock();
                if state.jump != jump {
                    return Taken::Jumped;
                }
                if state.make_room(PIECE) == PIECE {
                    return Taken::All;
                }
            }
            self.wants.notified().await;
        }
    }

    /// Waits until the reader goes elsewhere.
    ///
    /// # Cancel
    /// Nothing is lost.
    pub(super) async fn jumped(&self, jump: u64) {
        while self.lock().jump == jump {
            self.wants.notified().await;
        }
    }

    /// Waits until the reader needs more soon: half of what may be held is used up, or it went elsewhere.
    ///
    /// # Cancel
    /// Nothing is lost.
    pub(super) async fn low(&self, jump: u64) {
        loop {
            {
                let state = self.lock();
                if state.jump != jump || state.ahead() < MOST / 2 {
                    return;
                }
            }
            self.wants.notified().await;
        }
    }

    /// Waits until the reader waits or goes elsewhere.
    ///
    /// # Cancel
    /// Nothing is lost.
    pub(super) async fn needed(&self, jump: u64) {
        loop {
            {
                let state = self.lock();
                if state.jump != jump || state.hungry.is_some() {
                    return;
                }
            }
            self.wants.notified().await;
        }
    }

    /// Returns for how long the reader has waited without a byte coming.
    pub(super) fn hungry_for(&self) -> Duration {
        self.lock().hungry.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Returns whether the reader waits.
    pub(super) fn is_hungry(&self) -> bool {
        self.lock().hungry.is_some()
    }

    /// Waits for what the stream is and for its first bytes.
    ///
    /// # Errors
    /// Why there are none.
    ///
    /// # Blocks
    /// Until they are there; the deadlines are those of the fetching task.
    pub(super) fn opened(&self) -> Result<Known> {
        let mut state = self.lock();
        state.hungry = Some(Instant::now());
        loop {
            if let Some(error) = state.failure() {
                return Err(error);
            }
            let enough = state.ended || state.bytes.len() >= FIRST;
            let waited = state.first.is_some_and(|first| first.elapsed() >= FIRST_WITHIN);
            if let Some(known) = state.known.clone().filter(|_| enough || waited) {
                state.hungry = None;
                return Ok(known);
            }
            state = self.wait(state);
        }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        // Looked at again now and then: a stream that is thin goes on after a while with what it has.
        let (state, _) = self.came.wait_timeout(state, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner);
        state
    }

    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let mut state = self.lock();
        let began = Instant::now();
        loop {
            if state.ranges() && !state.reaches() && state.size().is_none_or(|size| state.at < size) {
                state.bytes.clear();
                state.start = state.at;
                state.jump += 1;
                state.ended = false;
                self.wants.notify_one();
            }
            if state.thin && (state.ahead() >= THIN || began.elapsed() >= FIRST_WITHIN) {
                state.thin = false;
            }
            if let Some(given) = state.give(into) {
                state.hungry = None;
                self.wants.notify_one();
                return given;
            }
            state.thin |= state.live() && state.ahead() == 0;
            state.hungry.get_or_insert_with(Instant::now);
            self.wants.notify_one();
            state = self.wait(state);
        }
    }
}

/// The reader's end. Dropped, it ends the fetching task.
pub(super) struct Pipe {
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl Pipe {
    /// Returns the reader's end; `stop` is what the task waits on.
    pub(super) fn new(shared: Arc<Shared>, stop: CancellationToken) -> Pipe {
        Pipe { shared, stop }
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.shared.read(into)
    }
}

impl Seek for Pipe {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut state = self.shared.lock();
        let len = match (to, state.size()) {
            (SeekFrom::End(_), None) => return Err(io::ErrorKind::Unsupported.into()),
            (_, size) => size.unwrap_or(0),
        };
        state.at = sought(to, state.at, len)?;
        Ok(state.at)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Bytes held of a stream: 25 s of CD quality, beside what the player holds; the whole box stays below 35 MB. With the
/// piece that is on its way it stays below a power of two, to which the memory of it grows.
pub(super) const MOST: usize = (4 << 20) - (128 << 10);
/// Bytes at the start that stay while the reader is in them: readers of tags and decoders go back and forth there.
const HEAD: u64 = 1 << 20;
/// A file of at most so many bytes is held whole.
pub(super) const WHOLE: u64 = (MOST - PIECE) as u64;
/// Room that one more piece needs.
pub(super) const PIECE: usize = 64 << 10;
/// Bytes that are there before a stream is opened: enough for the head of most files.
const FIRST: usize = 64 << 10;
/// How long that is waited for, and how long a live stream gathers after it ran dry.
const FIRST_WITHIN: Duration = Duration::from_secs(1);
/// Bytes that a live stream gathers after it ran dry: a second at 128 kbit/s.
const THIN: usize = 16 << 10;
/// A skip of so many bytes is waited for; a longer one is a new request.
const NEAR: u64 = 256 << 10;
/// The same where no part can be asked for.
const FAR: u64 = 16 << 20;
/// How often a waiting reader looks at the clock.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    fn known(size: Option<u64>, ranges: bool) -> Known {
        Known { size, ranges, tag: None, live: false, name: None }
    }

    fn pipe(size: Option<u64>, ranges: bool) -> Pipe {
        let shared = Arc::new(Shared::default());
        shared.know(known(size, ranges));
        Pipe::new(shared, CancellationToken::new())
    }

    fn bytes(from: u64, count: usize) -> Vec<u8> {
        (from..from + count as u64).map(|n| (n % 251) as u8).collect()
    }

    #[test]
    fn what_was_read_stays_as_long_as_there_is_room() {
        let mut pipe = pipe(None, false);
        let mut at = 0;
        let mut all = vec![0; PIECE];
        while at < MOST as u64 {
            assert_eq!(pipe.shared.push(&bytes(at, PIECE), 0), Taken::All);
            pipe.read_exact(&mut all).expect("there");
            assert_eq!(all, bytes(at, PIECE));
            at += PIECE as u64;
        }
        pipe.seek(SeekFrom::Start(0)).expect("a place");
        pipe.read_exact(&mut all).expect("still there");
        pipe.seek(SeekFrom::Start(at)).expect("a place");
        for piece in 0..2 {
            pipe.shared.push(&bytes(at + piece * PIECE as u64, PIECE), 0);
            pipe.read_exact(&mut all).expect("there");
        }
        pipe.seek(SeekFrom::Start(0)).expect("a place");
        let gone = pipe.read(&mut all).expect_err("dropped by now");
        assert_eq!(gone.kind(), io::ErrorKind::Unsupported);
        assert!(pipe.shared.lock().bytes.len() <= MOST);
    }

    #[test]
    fn a_last_large_piece_may_lie_above_the_limit() {
        let mut pipe = pipe(None, false);
        pipe.shared.push(&bytes(0, MOST - PIECE), 0);
        pipe.shared.push(&bytes((MOST - PIECE) as u64, PIECE + 1000), 0);
        assert_eq!(pipe.shared.lock().make_room(PIECE), 0);
        let mut all = vec![0; MOST + 1000];
        pipe.read_exact(&mut all).expect("there");
        assert!(all == bytes(0, MOST + 1000));
        assert_eq!(pipe.shared.lock().make_room(PIECE), PIECE);
    }

    #[test]
    fn a_jump_drops_what_was_fetched_for_the_place_before() {
        let mut pipe = pipe(Some(10 << 20), true);
        pipe.shared.push(&bytes(0, 1000), 0);
        pipe.seek(SeekFrom::Start(5 << 20)).expect("a place");
        let shared = pipe.shared.clone();
        let fetch = std::thread::spawn(move || {
            let deadline = Instant::now() + Duration::from_secs(10);
            while shared.goal().jump == 0 && Instant::now() < deadline {
                std::thread::yield_now();
            }
            assert_eq!(shared.goal(), Goal { at: 5 << 20, jump: 1 });
            assert_eq!(shared.push(b"old", 0), Taken::Jumped);
            assert_eq!(shared.push(&bytes(5 << 20, 100), 1), Taken::All);
        });
        let mut read = vec![0; 100];
        pipe.read_exact(&mut read).expect("came");
        assert_eq!(read, bytes(5 << 20, 100));
        fetch.join().expect("as asserted");
    }

    #[test]
    fn a_stream_is_read_to_its_end_and_its_error_comes_after_its_bytes() {
        let mut read = Vec::new();
        let mut whole = pipe(None, false);
        whole.shared.push(b"abc", 0);
        whole.shared.end(0);
        whole.read_to_end(&mut read).expect("an end");
        assert_eq!(read, b"abc");
        let mut broken = pipe(None, false);
        broken.shared.push(b"abc", 0);
        broken.shared.fail(&Error::new(Kind::Damaged, "the file changed"));
        read.clear();
        let error = broken.read_to_end(&mut read).expect_err("broken");
        assert_eq!((read.as_slice(), error.to_string().as_str()), (&b"abc"[..], "the file changed"));
        assert_eq!(Error::io("read", error).kind(), Kind::Damaged);
    }

    #[test]
    fn whoever_looks_for_the_tail_of_a_stream_without_end_finds_nothing() {
        let mut pipe = pipe(None, false);
        pipe.shared.push(&bytes(0, 1000), 0);
        pipe.seek(SeekFrom::Start(u64::MAX - 128)).expect("a place");
        assert_eq!(pipe.read(&mut [0; 128]).expect("an end"), 0);
        pipe.seek(SeekFrom::Start(10)).expect("a place");
        assert_eq!(pipe.read(&mut [0; 128]).expect("there"), 128);
        assert!(pipe.seek(SeekFrom::End(-1)).is_err());
    }

    #[test]
    fn a_look_for_the_tail_costs_nothing_of_the_head() {
        let mut pipe = pipe(None, false);
        pipe.shared.push(&bytes(0, MOST), 0);
        let mut read = [0; 128];
        pipe.read_exact(&mut read).expect("there");
        pipe.seek(SeekFrom::Start(u64::MAX - 128)).expect("a place");
        assert_eq!(pipe.shared.lock().make_room(PIECE), 0, "between its look and its way back");
        assert_eq!(pipe.read(&mut read).expect("an end"), 0);
        assert_eq!(pipe.shared.lock().make_room(PIECE), 0);
        pipe.seek(SeekFrom::Start(0)).expect("a place");
        pipe.read_exact(&mut read).expect("still there");
        assert_eq!(read.as_slice(), bytes(0, 128));
    }

    #[test]
    fn a_skip_over_more_than_is_held_is_waited_for() {
        let mut pipe = pipe(None, false);
        pipe.shared.push(&bytes(0, MOST), 0);
        let there = 2 * MOST as u64;
        pipe.seek(SeekFrom::Start(there)).expect("a place");
        let shared = pipe.shared.clone();
        let fetch = std::thread::spawn(move || {
            let deadline = Instant::now() + Duration::from_secs(10);
            while shared.goal().at <= there && Instant::now() < deadline {
                let at = shared.goal().at;
                if shared.lock().make_room(PIECE) == PIECE {
                    shared.push(&bytes(at, PIECE), 0);
                }
            }
        });
        let mut read = [0; 128];
        pipe.read_exact(&mut read).expect("it comes");
        assert_eq!(read.as_slice(), bytes(there, 128));
        fetch.join().expect("no panic");
    }

    #[test]
    fn closing_ends_a_wait_at_once() {
        let mut pipe = pipe(None, false);
        let shared = pipe.shared.clone();
        let reader = std::thread::spawn(move || pipe.read(&mut [0; 10]).map_err(|error| error.to_string()));
        let deadline = Instant::now() + Duration::from_secs(10);
        while shared.lock().hungry.is_none() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        let closed = Instant::now();
        shared.close();
        let error = reader.join().expect("no panic").expect_err("closed");
        assert_eq!(error, "it is not wanted any more");
        assert!(closed.elapsed() < Duration::from_secs(5), "{:?}", closed.elapsed());
    }
}
