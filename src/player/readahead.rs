//! File bytes ahead of the decoder, so that a slow or sleeping disk is not heard. A thread of its own reads blocks of
//! 256 KiB up to a limit; what was read is given back at once, or filled again.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::error::{Error, Kind, Result};
use crate::media::sound::Sound;

/// Bytes of a sound with a thread that reads ahead.
pub struct ReadAhead {
    shared: Arc<Shared>,
    at: u64,
    len: u64,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Where the first block starts.
    start: u64,
    blocks: VecDeque<Box<[u8]>>,
    /// Whole blocks that were read, to be filled again: fresh memory takes as long to clear as a file to read. With what is
    /// held no more than the limit.
    spare: Vec<Box<[u8]>>,
    held: usize,
    /// Grows with every jump; what was read for an older one is dropped.
    jump: u64,
    ended: bool,
    failed: Option<io::Error>,
    closed: bool,
}

/// Wraps a sound of known length; a stream without an end is given back as it is.
///
/// # Errors
/// `Internal` when the system refuses a thread.
pub fn ahead(sound: Sound) -> Result<Sound> {
    let Some(len) = sound.byte_len() else { return Ok(sound) };
    let extension = sound.extension().map(str::to_owned);
    let opened = sound.opened().cloned();
    let shared = Arc::new(Shared::default());
    let theirs = Arc::clone(&shared);
    let thread = std::thread::Builder::new()
        .name("konpo-ahead".into())
        .spawn(move || read_on(sound, &theirs))
        .map_err(|e| Error::with(Kind::Internal, "start the read-ahead", e))?;
    let bytes = ReadAhead { shared, at: 0, len, thread: Some(thread) };
    Ok(Sound::new(bytes, Some(len), extension.as_deref()).with_opened(opened))
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete when the lock is given back.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Drops the blocks before `at`, or all of them when `at` is not held, and returns what is held from there.
    fn go(&mut self, at: u64) -> Option<&[u8]> {
        while let Some(block) = self.blocks.front() {
            let end = self.start + block.len() as u64;
            if (self.start..end).contains(&at) {
                break;
            }
            self.held -= block.len();
            self.start = end;
            let room = self.held + (self.spare.len() + 1) * BLOCK <= MOST && !self.ended;
            self.spare.extend(self.blocks.pop_front().filter(|block| room && block.len() == BLOCK));
        }
        let block = self.blocks.front()?;
        Some(&block[(at - self.start) as usize..])
    }

    /// Whether the thread will come to `at` by going on.
    fn reaches(&self, at: u64) -> bool {
        let end = self.start + self.held as u64;
        (self.start..=end).contains(&at)
    }

    fn restart(&mut self, at: u64) {
        self.blocks.clear();
        self.held = 0;
        self.start = at;
        self.jump += 1;
        self.ended = false;
        self.failed = None;
    }
}

impl Read for ReadAhead {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || self.at >= self.len {
            return Ok(0);
        }
        let mut state = self.shared.lock();
        if !state.reaches(self.at) {
            state.restart(self.at);
        }
        loop {
            let before = state.held;
            if let Some(there) = state.go(self.at) {
                let count = there.len().min(into.len());
                into[..count].copy_from_slice(&there[..count]);
                self.at += count as u64;
                if state.held != before {
                    self.shared.changed.notify_all();
                }
                return Ok(count);
            }
            if let Some(error) = state.failed.take() {
                // The next read tries again.
                state.restart(self.at);
                self.shared.changed.notify_all();
                return Err(error);
            }
            if state.ended {
                return Ok(0);
            }
            self.shared.changed.notify_all();
            state = self.shared.wait(state);
        }
    }
}

impl Seek for ReadAhead {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reads until the sound is closed.
fn read_on(mut sound: Sound, shared: &Shared) {
    // The thread's own place in the file, and the jump it belongs to.
    let (mut at, mut jump) = (0, u64::MAX);
    loop {
        let (size, spare);
        {
            let mut state = shared.lock();
            while !state.closed
                && jump == state.jump
                && (state.ended || state.failed.is_some() || state.held >= MOST)
            {
                state = shared.wait(state);
            }
            if state.closed {
                return;
            }
            (size, spare) = if state.held == 0 { (FIRST, None) } else { (BLOCK, state.spare.pop()) };
            if jump != state.jump {
                jump = state.jump;
                let goal = state.start;
                drop(state);
                if let Err(error) = sound.seek(SeekFrom::Start(goal)) {
                    fail(shared, jump, error);
                    continue;
                }
                at = goal;
            }
        }
        let mut block = spare.map_or_else(|| vec![0; size], Vec::from);
        let read = fill(&mut sound, &mut block);
        let mut state = shared.lock();
        if jump != state.jump {
            continue;
        }
        match read {
            Ok(0) => {
                state.ended = true;
                state.spare = Vec::new();
            }
            Ok(count) => {
                block.truncate(count);
                at += count as u64;
                state.held += count;
                state.blocks.push_back(block.into_boxed_slice());
                debug_assert_eq!(at, state.start + state.held as u64);
            }
            Err(error) => state.failed = Some(error),
        }
        drop(state);
        shared.changed.notify_all();
    }
}

fn fail(shared: &Shared, jump: u64, error: io::Error) {
    let mut state = shared.lock();
    if jump == state.jump {
        state.failed = Some(error);
    }
    drop(state);
    shared.changed.notify_all();
}

/// Reads until the block is full, the file ends, or no more is at hand: what came of a slow server is given on at once.
fn fill(sound: &mut Sound, block: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < block.len() {
        match sound.read(&mut block[count..]) {
            Ok(0) => break,
            Ok(more) => {
                let whole = count + more == block.len();
                count += more;
                if !whole && count >= LEAST {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// After a jump little is read first, so that the decoder does not wait for much.
const FIRST: usize = 32 << 10;
const BLOCK: usize = 256 << 10;
/// What is given on at once: a quarter of a second at 128 kbit/s.
const LEAST: usize = 4 << 10;
/// 45 s of CD quality in FLAC; the whole box stays under 35 MB while playing.
const MOST: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n * 7 + n / 251) as u8).collect()
    }

    fn sound(len: usize) -> Sound {
        ahead(Sound::new(Cursor::new(bytes(len)), Some(len as u64), Some("wav"))).expect("a thread")
    }

    #[test]
    fn all_bytes_come_in_order() {
        let mut read = Vec::new();
        sound(9 << 20).read_to_end(&mut read).expect("memory");
        assert!(read == bytes(9 << 20));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_jumps_read_what_is_there(jumps in proptest::collection::vec((0u64..700_000, 1usize..5000), 1..12)) {
            let all = bytes(600_000);
            let mut sound = sound(600_000);
            for (at, count) in jumps {
                sound.seek(SeekFrom::Start(at)).expect("in range");
                let mut part = Vec::new();
                sound.by_ref().take(count as u64).read_to_end(&mut part).expect("memory");
                let from = (at as usize).min(all.len());
                prop_assert_eq!(&part[..], &all[from..(from + count).min(all.len())]);
            }
        }
    }

    #[test]
    fn an_unread_sound_is_closed_without_waiting_for_its_end() {
        let sound = sound(64 << 20);
        assert_eq!(sound.byte_len(), Some(64 << 20));
        drop(sound);
    }
}
