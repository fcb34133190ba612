//! The seek table of a long MP3 of varying bit rate, counted behind: from the first far jump on a thread of its own goes
//! through all frames, at most 50 MB in a second so that the disk has time for the music. Until it has come by, a place is
//! guessed; afterwards it is known to the frame.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use symphonia::core::errors::Result;
use symphonia::core::io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions};

use crate::media::decode::mpeg::Reader;
use crate::media::sound::sought;

/// The stretch of a file that holds the frames. Each copy has a place of its own.
#[derive(Debug, Clone)]
pub(in crate::media::decode) struct Stretch {
    /// The file; its own place is not touched.
    pub(in crate::media::decode) file: Arc<File>,
    /// The first byte.
    pub(in crate::media::decode) start: u64,
    /// The count of bytes.
    pub(in crate::media::decode) len: u64,
}

/// The table as far as it goes.
pub(super) struct Index {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Places and positions of some frames, in order.
    marks: Vec<(u64, i64)>,
    /// A place whose position is asked for.
    ask: Option<u64>,
    /// A place and its position; none when no frame begins there.
    answer: Option<(u64, Option<i64>)>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete when the lock is given back.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// Starts to count; `None` when the system refuses a thread.
    pub(super) fn start(stretch: Stretch) -> Option<Index> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("konpo-index".into());
        let thread = thread.spawn(move || {
            // A file that cannot be read any more has no table: what is asked then stays unknown.
            let _unreadable = count(stretch, &theirs);
        });
        Some(Index { shared, thread: Some(thread.ok()?) })
    }

    /// Returns the last counted frame at or before a position, as place and position.
    pub(super) fn before(&self, to: i64) -> Option<(u64, i64)> {
        let state = self.shared.lock();
        state.marks.partition_point(|(_, at)| *at <= to).checked_sub(1).map(|last| state.marks[last])
    }

    /// Returns the position of the frame that begins at a place, or `Some(None)` when none does; `None` while that is not
    /// known: asked again a moment later, it mostly is.
    pub(super) fn position_at(&self, place: u64) -> Option<Option<i64>> {
        let mut state = self.shared.lock();
        if let Some((_, position)) = state.answer.filter(|(of, _)| *of == place) {
            return Some(position);
        }
        if state.ask != Some(place) {
            state.ask = Some(place);
            drop(state);
            self.shared.changed.notify_all();
        }
        None
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Counts all frames, then answers until the table is not wanted any more.
fn count(stretch: Stretch, shared: &Shared) -> Result<()> {
    let stream = |stretch: &Stretch| {
        let at = At { stretch: stretch.clone(), at: 0 };
        MediaSourceStream::new(Box::new(at), MediaSourceStreamOptions::default())
    };
    let mut reader = Reader::new(stream(&stretch), None)?;
    let mut asked = Reader::new(stream(&stretch), None)?;
    let mut rested = 0;
    loop {
        let ended = !step(&mut reader)?;
        let place = if ended { u64::MAX } else { reader.place() };
        let rests = place.saturating_sub(rested) >= BETWEEN_RESTS;
        if !rests && !ended {
            continue;
        }
        rested = place;
        let question = {
            let mut state = shared.lock();
            let had = state.marks.len();
            state.marks.extend_from_slice(&reader.marks[had..]);
            let waits = |state: &mut State| !state.closed && state.ask.is_none_or(|ask| ask >= place);
            let rest = if ended { ANSWERS_FOR } else { REST };
            let waited = shared.changed.wait_timeout_while(state, rest, waits);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.closed {
                return Ok(());
            }
            state.ask.take_if(|ask| *ask < place)
        };
        if let Some(place) = question {
            let position = position_of(&mut asked, &reader.marks, place)?;
            shared.lock().answer = Some((place, position));
        }
    }
}

/// Passes over up to 64 frames. Returns `false` at the end.
fn step(reader: &mut Reader) -> Result<bool> {
    for _ in 0..64 {
        let Some(frame) = reader.find(Some(reader.like))? else { return Ok(false) };
        reader.pass(&frame);
    }
    Ok(true)
}

/// Counts from the last mark to a place.
fn position_of(reader: &mut Reader, marks: &[(u64, i64)], place: u64) -> Result<Option<i64>> {
    let Some(last) = marks.partition_point(|(mark, _)| *mark <= place).checked_sub(1) else {
        return Ok(None);
    };
    let (mark, at) = marks[last];
    reader.stand(mark, at, true)?;
    while let Some(frame) = reader.find(Some(reader.like))? {
        if reader.place() >= place {
            return Ok((reader.place() == place).then_some(reader.next));
        }
        reader.pass(&frame);
    }
    Ok(None)
}

/// A place in a stretch of a file.
struct At {
    stretch: Stretch,
    at: u64,
}

impl Read for At {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.stretch.len.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = into.len().min(left);
        let count =
            self.stretch.file.read_at(&mut into[..most], self.stretch.start.saturating_add(self.at))?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for At {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = sought(to, self.at, self.stretch.len)?;
        Ok(self.at)
    }
}

impl MediaSource for At {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.stretch.len)
    }
}

/// Bytes that are counted between two rests, and a rest.
const BETWEEN_RESTS: u64 = 256 << 10;
const REST: Duration = Duration::from_millis(5);
/// How long a finished table waits for a question before it looks again.
const ANSWERS_FOR: Duration = Duration::from_secs(3600);

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
