//! A URL becomes sound: ranges, live streams and their titles, stalls and breaks, and the rule for where it may point.
//!
//! [`Streams::open`] starts a task that fetches into a bounded stretch of memory (`pipe`); the [`Sound`] that it returns
//! reads from there and blocks, as files do. Nothing is written to disk. What comes next is opened ahead by its caller, and
//! is fetched ahead by being open. Knows no queue, no player, no shelf.

mod answer;
mod fetch;
mod icy;
mod pipe;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::{Error, Result};
use crate::http::client::{Allow, Client};
use crate::media::sound::Sound;
use crate::signal::OnAir;
use crate::stream::fetch::Fetch;
use crate::stream::pipe::{Pipe, Shared, WHOLE};

/// Opens URLs. Cheap to clone.
#[derive(Clone)]
pub struct Streams {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    /// Asked at each request: addresses of the box come and go.
    allow: Box<dyn Fn() -> Allow + Send + Sync>,
    patience: Patience,
    runtime: Handle,
    tasks: TaskTracker,
}

/// What hears a station's name and titles; called on a task, so it must not wait.
pub type Told = Box<dyn Fn(OnAir) + Send + Sync>;

/// One wish to hear a URL.
pub struct Ask {
    /// The URL.
    pub url: Arc<str>,
    /// Ends every wait for it, in opening and in reading, at once.
    pub stop: CancellationToken,
    /// Hears what the station says.
    pub told: Told,
}

/// All deadlines in one place.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For a connection.
    connect: Duration,
    /// Without a byte, and for the head of an answer.
    stall: Duration,
    /// For the first answer with all its redirects.
    open: Duration,
    /// While somebody waits, so much must come in each span of this length.
    span: Duration,
    /// Bytes in such a span.
    span_bytes: usize,
    /// After this time without a byte that somebody waits for, it is given up.
    give_up: Duration,
    /// Delay before the first new try; it doubles up to `longest`, and starts anew once bytes came.
    first: Duration,
    longest: Duration,
    /// A full stretch that nobody reads: after this time the connection is given back.
    rest: Duration,
}

impl Patience {
    const USUAL: Patience = Patience {
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(10),
        open: Duration::from_secs(15),
        span: Duration::from_secs(15),
        // 8 kbit/s: no music is coded in less.
        span_bytes: 15 << 10,
        give_up: Duration::from_secs(25),
        first: Duration::from_millis(200),
        longest: Duration::from_secs(8),
        rest: Duration::from_secs(10),
    };
}

impl Streams {
    /// Returns what opens URLs from any thread; its tasks run where this is called. `allow` says where a URL may point now.
    pub fn new(client: Client, allow: impl Fn() -> Allow + Send + Sync + 'static) -> Streams {
        Streams::with(client, allow, Patience::USUAL)
    }

    fn with(
        client: Client,
        allow: impl Fn() -> Allow + Send + Sync + 'static,
        patience: Patience,
    ) -> Streams {
        let (runtime, tasks) = (Handle::current(), TaskTracker::new());
        Streams { inner: Arc::new(Inner { client, allow: Box::new(allow), patience, runtime, tasks }) }
    }

    /// Opens a URL. The sound can be sought, and knows its length, when the server gives any part of the file or the file is
    /// small; a stream has neither. A break, a stall or a server that restarts is mended at the byte where it happened; a file that changed
    /// meanwhile is an error of reading.
    ///
    /// # Errors
    /// `Invalid` for what is no http or https URL or points where it may not, `NotFound`, `NotAllowed` and `Unreachable` as the
    /// server says, `Damaged` when it contradicts itself, `Stopped` by the stop token.
    ///
    /// # Blocks
    /// Until the first 64 KiB or what came in a second are there, at most about 15 s; never on a runtime's thread.
    pub fn open(&self, ask: Ask) -> Result<Sound> {
        let what = format!("play {}", ask.url);
        let stop = ask.stop.child_token();
        let shared = Arc::new(Shared::default());
        let extension = extension_of(&ask.url).map(str::to_owned);
        let fetch = Fetch::new(self.inner.clone(), ask.url, shared.clone(), ask.told);
        self.inner.tasks.spawn_on(fetch.run(stop.clone()), &self.inner.runtime);
        // Dropped on the way out by an error, it ends the task.
        let pipe = Pipe::new(shared.clone(), stop);
        let known = shared.opened().map_err(|error| Error::with(error.kind(), what, error))?;
        // What is held whole can be sought whatever the server gives.
        let size = known.size.filter(|size| known.ranges || *size <= WHOLE);
        Ok(Sound::new(pipe, size, extension.as_deref()))
    }

    /// Waits until every task ended; all stop tokens must have fallen or all sounds must be gone.
    pub async fn stopped(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

/// Returns the extension of the last part of a URL's path, a hint.
fn extension_of(url: &str) -> Option<&str> {
    let path = url.split(['?', '#']).next()?;
    let (_, name) = path.split_once("://")?.1.rsplit_once('/')?;
    let (_, extension) = name.rsplit_once('.')?;
    let plain = (1..=5).contains(&extension.len()) && extension.bytes().all(|b| b.is_ascii_alphanumeric());
    plain.then_some(extension)
}
