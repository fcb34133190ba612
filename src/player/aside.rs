//! A source that decodes on a thread of its own, for sound from the network: while a read stalls, the motor still takes
//! commands. The thread stays half a second ahead; nothing of it is known to the motor but that it may not be ready.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::player::source::{About, Source, times};
use crate::units::Frames;

/// A source behind a thread.
pub struct Aside {
    about: About,
    shared: Arc<Shared>,
    /// The frame that is read next.
    at: u64,
    /// Where the last block begins, when that is behind the place it was to be.
    landed: Option<Frames>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A decoded block.
struct Decoded {
    /// The frame at which it begins.
    start: u64,
    /// What its samples were multiplied by.
    factor: f64,
    samples: Vec<i32>,
}

struct State {
    blocks: VecDeque<Decoded>,
    /// What the reader wanted last: blocks to come are multiplied by it before they are limited.
    factor: f64,
    /// Samples in them.
    held: usize,
    /// Where to go, once.
    seek: Option<Frames>,
    /// Grows with every seek; what was decoded for an older one is dropped.
    jump: u64,
    /// How it ended; taken by the reader.
    over: Option<Result<()>>,
    closed: bool,
}

impl Aside {
    /// Puts a source behind a thread.
    ///
    /// # Errors
    /// `Internal` when the system refuses a thread.
    pub fn new(source: Box<dyn Source>) -> Result<Aside> {
        let about = source.about().clone();
        let state = State {
            blocks: VecDeque::new(),
            factor: 1.0,
            held: 0,
            seek: None,
            jump: 0,
            over: None,
            closed: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let most = about.rate.hz() as usize * usize::from(about.channels) / 2;
        let thread = std::thread::Builder::new()
            .name("konpo-aside".into())
            .spawn(move || decode(source, &theirs, most))
            .map_err(|error| Error::with(Kind::Internal, "start the decoder's thread", error))?;
        Ok(Aside { about, shared, at: 0, landed: None, thread: Some(thread) })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete when the lock is given back.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settled(&self) -> bool {
        self.seek.is_none() && (!self.blocks.is_empty() || self.over.is_some())
    }

    /// Drops what lies before a frame: a reader may land early.
    fn pass(&mut self, at: u64, width: usize) {
        while let Some(Decoded { start, samples, .. }) = self.blocks.front_mut() {
            let behind =
                usize::try_from(at.saturating_sub(*start)).unwrap_or(usize::MAX).saturating_mul(width);
            if behind < samples.len() {
                samples.drain(..behind);
                *start = at.max(*start);
                self.held -= behind;
                return;
            }
            self.held -= samples.len();
            self.blocks.pop_front();
        }
    }
}

impl Source for Aside {
    fn about(&self) -> &About {
        &self.about
    }

    fn ready(&mut self) -> bool {
        let until = Instant::now() + PATIENCE;
        let width = usize::from(self.about.channels.max(1));
        let mut state = self.shared.lock();
        loop {
            state.pass(self.at, width);
            if state.settled() {
                return true;
            }
            self.shared.changed.notify_all();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Blocks where [`Source::ready`] was not asked before.
    fn read(&mut self, into: &mut Vec<i32>) -> Result<bool> {
        self.read_times(1.0, into)
    }

    fn read_times(&mut self, factor: f64, into: &mut Vec<i32>) -> Result<bool> {
        while !self.ready() {}
        let width = usize::from(self.about.channels.max(1));
        let mut state = self.shared.lock();
        into.clear();
        state.factor = factor;
        let Some(Decoded { start, factor: had, mut samples }) = state.blocks.pop_front() else {
            // It stays over until somebody seeks.
            return match state.over.replace(Ok(())) {
                Some(Err(error)) => Err(error),
                _ => Ok(false),
            };
        };
        state.held -= samples.len();
        drop(state);
        self.shared.changed.notify_all();
        // A reader that landed late tells where it is; one that landed early was passed over up to the place.
        self.landed = (start > self.at).then_some(Frames(start));
        self.at = start + (samples.len() / width) as u64;
        if had != factor {
            let float = self.about.float;
            samples.iter_mut().for_each(|word| *word = times(*word, float, factor / had));
        }
        *into = samples;
        Ok(true)
    }

    fn corrected(&mut self) -> Option<Frames> {
        self.landed.take()
    }

    /// Returns at once: the thread goes there. A failure is that of the next read; what lies between an earlier place that it
    /// finds and this one is dropped, and a later one is told by [`Source::corrected`].
    fn seek(&mut self, to: Frames) -> Result<Frames> {
        let to = Frames(self.about.duration.map_or(to.0, |all| to.0.min(all.0)));
        let mut state = self.shared.lock();
        state.blocks.clear();
        state.held = 0;
        (state.seek, state.over) = (Some(to), None);
        state.jump += 1;
        drop(state);
        self.shared.changed.notify_all();
        self.at = to.0;
        Ok(to)
    }
}

impl Drop for Aside {
    /// # Blocks
    /// Until a read ends; whoever drops it has ended the wait for the network before.
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Decodes until the reader is gone; holds at most about `most` samples.
fn decode(mut source: Box<dyn Source>, shared: &Shared, most: usize) {
    let width = usize::from(source.about().channels.max(1));
    let mut at = 0;
    loop {
        let (jump, seek, factor) = {
            let mut state = shared.lock();
            while !state.closed && state.seek.is_none() && (state.over.is_some() || state.held >= most) {
                state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.closed {
                return;
            }
            (state.jump, state.seek, state.factor)
        };
        let mut samples = Vec::new();
        let done = match seek {
            Some(to) => source.seek(to).map(|reached| {
                at = reached.0;
                true
            }),
            None if factor == 1.0 => source.read(&mut samples),
            None => source.read_times(factor, &mut samples),
        };
        let mut state = shared.lock();
        if state.jump != jump {
            // It went elsewhere meanwhile.
            continue;
        }
        state.seek = None;
        match done {
            Ok(true) if samples.is_empty() => {}
            Ok(true) => {
                let start = at;
                at += (samples.len() / width) as u64;
                state.held += samples.len();
                state.blocks.push_back(Decoded { start, factor, samples });
            }
            Ok(false) => state.over = Some(Ok(())),
            Err(error) => state.over = Some(Err(error)),
        }
        drop(state);
        shared.changed.notify_all();
    }
}

/// How long the motor waits for sound before it looks at its messages.
const PATIENCE: Duration = Duration::from_millis(20);

#[cfg(test)]
#[path = "aside_tests.rs"]
mod tests;
