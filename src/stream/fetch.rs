//! The task behind one stream: asks, pours what comes into the pipe, and asks again where a break, a stall or a jump of the
//! reader needs it. Runs as one tokio task per open stream until its sound is dropped or its stop token falls.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::error::{Error, Kind, Result};
use crate::http::client::{GetOptions, Reply, join};
use crate::media::playlist::{self, Form, Location};
use crate::signal::OnAir;
use crate::stream::answer::{self, Head, Known, Trouble};
use crate::stream::icy::Icy;
use crate::stream::pipe::{Goal, Shared, Taken};
use crate::stream::{Inner, Told};

/// One stream that is fetched.
pub(super) struct Fetch {
    inner: Arc<Inner>,
    url: Arc<str>,
    shared: Arc<Shared>,
    told: Told,
    on_air: OnAir,
}

/// Why the pouring of one answer came to an end.
enum Flow {
    /// Its body is complete.
    Ended,
    /// The reader went elsewhere.
    Jumped,
    /// Nobody reads for now; the connection was given back.
    Rests,
    /// It broke or stalled.
    Broke(Error),
    /// It brings less than music needs.
    Creeps(Error),
    /// It cannot be had, and will not be.
    Lost(Error),
}

/// Delays between tries that brought nothing.
struct Tries {
    next: Duration,
    failed: u32,
    /// Connections that crept.
    crept: u32,
}

impl Fetch {
    pub(super) fn new(inner: Arc<Inner>, url: Arc<str>, shared: Arc<Shared>, told: Told) -> Fetch {
        Fetch { inner, url, shared, told, on_air: OnAir::default() }
    }

    /// Fetches until the stop token falls or nothing is left to do.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        // Also when the runtime itself ends.
        let _closes = Closes(self.shared.clone());
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.work() => stop.cancelled().await,
        }
    }

    async fn work(&mut self) {
        let begun = timeout(self.inner.patience.open, self.begin()).await;
        let late = |_| Error::new(Kind::Unreachable, format!("{}: no answer in time", self.url));
        let (mut reply, known) = match begun.map_err(late).and_then(|begun| begun) {
            Ok((reply, known)) => (Some(reply), known),
            Err(error) => return self.shared.fail(&error),
        };
        if let Some(name) = &known.name {
            self.on_air.name = Some(name.as_str().into());
            (self.told)(self.on_air.clone());
        }
        info!(url = %self.url, size = known.size, ranges = known.ranges, live = known.live, "stream opened");
        self.shared.know(known.clone());
        let mut tries = Tries::new(self.inner.patience.first);
        loop {
            let goal = self.shared.goal();
            let (flow, came) = match reply.take() {
                Some(reply) => self.pour(reply, 0, goal, &known).await,
                None => match self.resume(&known, goal).await {
                    Ok((reply, from)) => self.pour(reply, from, goal, &known).await,
                    Err(Trouble::Later(error)) => (Flow::Broke(error), 0),
                    Err(Trouble::Never(error)) => (Flow::Lost(error), 0),
                },
            };
            tries.heard(came, self.inner.patience.first);
            match self.settle(flow, came, goal, &known, &mut tries).await {
                Some(()) => {}
                None => return,
            }
        }
    }

    /// Decides how it goes on after an answer; `None`: not at all.
    async fn settle(
        &self,
        flow: Flow,
        came: u64,
        goal: Goal,
        known: &Known,
        tries: &mut Tries,
    ) -> Option<()> {
        let flow = match flow {
            // A station that hangs up is asked once more: encoders restart.
            Flow::Ended if known.live && came >= STATION_HEARD => {
                Flow::Broke(Error::new(Kind::Unreachable, "the station ended the stream"))
            }
            Flow::Ended if known.size.is_some_and(|size| self.shared.goal().at < size) => {
                Flow::Broke(Error::new(Kind::Unreachable, "the server ended before the file did"))
            }
            Flow::Creeps(error) => {
                tries.crept += 1;
                if tries.crept >= MOST_CREPT { Flow::Lost(error) } else { Flow::Broke(error) }
            }
            flow => flow,
        };
        match flow {
            Flow::Jumped => Some(()),
            Flow::Rests => {
                self.shared.low(goal.jump).await;
                Some(())
            }
            Flow::Ended => {
                self.shared.end(goal.jump);
                self.elsewhere(goal, known).await
            }
            Flow::Lost(error) => {
                self.shared.fail(&self.named(error));
                None
            }
            Flow::Broke(error) | Flow::Creeps(error) => {
                debug!(url = %self.url, %error, at = self.shared.goal().at, "stream broke");
                if self.shared.hungry_for() >= self.inner.patience.give_up {
                    self.shared.fail(&self.named(error));
                    return None;
                }
                if tries.failed >= TRIES_AT_REST && !self.shared.is_hungry() {
                    // Nobody waits: the server may take its time to come back.
                    self.shared.needed(goal.jump).await;
                    *tries = Tries::new(self.inner.patience.first);
                    return Some(());
                }
                tokio::select! {
                    () = self.shared.jumped(goal.jump) => {}
                    () = tries.wait(self.inner.patience.longest) => {}
                }
                Some(())
            }
        }
    }

    /// Waits until the reader wants something else of a file that was fetched to its end.
    async fn elsewhere(&self, goal: Goal, known: &Known) -> Option<()> {
        if !known.ranges {
            return None;
        }
        self.shared.jumped(goal.jump).await;
        Some(())
    }

    fn named(&self, error: Error) -> Error {
        Error::with(error.kind(), self.url.to_string(), error)
    }

    /// Asks for the whole, by way of the playlists that stand before it.
    async fn begin(&mut self) -> Result<(Reply, Known)> {
        for _ in 0..=MOST_PLAYLISTS {
            let reply = self.ask(0, Some("bytes=0-"), None).await?;
            let reply = match reply.status.as_u16() {
                // Some servers of live streams take no range, not even all of it.
                416 => self.ask(0, None, None).await?,
                _ => reply,
            };
            if reply.status.is_success() && answer::playlist(&reply.headers) {
                self.url = self.entry_of(reply).await?;
                continue;
            }
            let known = answer::first(head(&reply))?;
            return Ok((reply, known));
        }
        Err(Error::new(Kind::Unsupported, "playlists lead only to playlists"))
    }

    /// Returns the first URL of a playlist.
    async fn entry_of(&self, reply: Reply) -> Result<Arc<str>> {
        let bytes = reply.whole(LARGEST_PLAYLIST).await?;
        if memchr::memmem::find(&bytes, b"#EXT-X-").is_some() {
            return Err(Error::new(Kind::Unsupported, "konpo cannot play HTTP Live Streaming"));
        }
        let pls = bytes.trim_ascii_start().get(..10).is_some_and(|b| b.eq_ignore_ascii_case(b"[playlist]"));
        let list = playlist::parse(&bytes, if pls { Form::Pls } else { Form::M3u });
        let entry = list.entries.into_iter().next();
        let entry = entry.ok_or_else(|| Error::new(Kind::Damaged, "the playlist is empty"))?;
        let url = match entry.location {
            Location::Url(url) => url,
            Location::Path(path) => join(&self.url, &String::from_utf8_lossy(&path))?,
        };
        debug!(from = %self.url, to = url, "a playlist leads on");
        Ok(url.into())
    }

    /// Asks for what is missing, and returns the answer with the place of its first byte.
    async fn resume(&self, known: &Known, goal: Goal) -> Result<(Reply, u64), Trouble> {
        let (from, tag) = if known.live { (0, None) } else { (goal.at, known.tag.clone()) };
        if !known.live && known.size.is_none() && goal.at > 0 {
            // Nothing tells where the second half of such a stream begins.
            let what = "the connection broke, and this server cannot go on where it was";
            return Err(Trouble::Never(Error::new(Kind::Unreachable, what)));
        }
        let asked = timeout(self.inner.patience.open, self.ask(from, None, tag)).await;
        let late = |_| Error::new(Kind::Unreachable, "no answer in time");
        let reply = match asked.map_err(late).and_then(|reply| reply) {
            Ok(reply) => reply,
            Err(error) if error.kind() == Kind::Unreachable => return Err(Trouble::Later(error)),
            Err(error) => return Err(Trouble::Never(error)),
        };
        if known.live {
            let again = answer::first(head(&reply));
            return again.map(|_| (reply, goal.at)).map_err(|error| match error.kind() {
                // A mount that is gone for a moment answers 404.
                Kind::NotFound | Kind::Unreachable => Trouble::Later(error),
                _ => Trouble::Never(error),
            });
        }
        let at = answer::again(known, goal.at, head(&reply))?;
        Ok((reply, at))
    }

    async fn ask(&self, from: u64, range: Option<&'static str>, tag: Option<String>) -> Result<Reply> {
        let mut headers: Vec<(&'static str, Cow<'static, str>)> = vec![
            ("icy-metadata", "1".into()),
            ("transfermode.dlna.org", "Streaming".into()),
            ("accept-encoding", "identity".into()),
        ];
        headers.extend(range.map(|range| ("range", range.into())));
        let patience = &self.inner.patience;
        let options = GetOptions {
            from,
            if_range: tag,
            headers,
            connect: patience.connect,
            stall: patience.stall,
            ..GetOptions::copy((self.inner.allow)())
        };
        self.inner.client.get(&self.url, &options).await
    }

    /// Pours an answer whose first byte lies at `from` into the pipe; returns how it ended and how many new bytes came.
    async fn pour(&mut self, mut reply: Reply, from: u64, goal: Goal, known: &Known) -> (Flow, u64) {
        let mut over = goal.at.saturating_sub(from);
        let mut icy = titles(&reply).and_then(Icy::new);
        let (mut came, mut sound) = (0, Vec::new());
        let mut pace = Pace::new();
        loop {
            match self.room(goal, known).await {
                Ok(true) => pace = Pace::new(),
                Ok(false) => {}
                Err(flow) => return (flow, came),
            }
            let chunk = tokio::select! {
                biased;
                () = self.shared.jumped(goal.jump) => return (Flow::Jumped, came),
                chunk = reply.chunk() => chunk,
            };
            let chunk = match chunk {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return (Flow::Ended, came),
                Err(error) => return (Flow::Broke(error), came),
            };
            let mut bytes: &[u8] = &chunk;
            if let Some(icy) = &mut icy {
                sound.clear();
                if let Some(title) = icy.take(bytes, &mut sound) {
                    self.title(title);
                }
                bytes = &sound;
            }
            if pace.creeps(bytes.len(), &self.inner.patience) && self.shared.is_hungry() {
                let what = "the server sends less than any music needs";
                return (Flow::Creeps(Error::new(Kind::Unreachable, what)), came);
            }
            // What was had before a break is passed over.
            let skip = usize::try_from(over).unwrap_or(usize::MAX).min(bytes.len());
            over -= skip as u64;
            bytes = self.within(&bytes[skip..], known);
            if self.shared.push(bytes, goal.jump) == Taken::Jumped {
                return (Flow::Jumped, came);
            }
            came += bytes.len() as u64;
            if known.size.is_some_and(|size| self.shared.goal().at >= size) {
                return (Flow::Ended, came);
            }
        }
    }

    /// Cuts what goes beyond the size that the server told.
    fn within<'a>(&self, bytes: &'a [u8], known: &Known) -> &'a [u8] {
        let Some(size) = known.size else { return bytes };
        let left = size.saturating_sub(self.shared.goal().at);
        &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))]
    }

    /// Waits for room; returns whether it had to. A connection that nobody needs for a while is given back where the
    /// server lets us go on later: a phone's radio sleeps better without.
    async fn room(&self, goal: Goal, known: &Known) -> Result<bool, Flow> {
        let begun = Instant::now();
        let room = self.shared.room(goal.jump);
        let taken = match known.ranges {
            true => timeout(self.inner.patience.rest, room).await.map_err(|_| Flow::Rests)?,
            false => room.await,
        };
        match taken {
            Taken::All => Ok(begun.elapsed() > Duration::from_millis(1)),
            Taken::Jumped => Err(Flow::Jumped),
        }
    }

    fn title(&mut self, title: String) {
        let title: Option<Arc<str>> = Some(title).filter(|title| !title.is_empty()).map(Into::into);
        if self.on_air.title != title {
            self.on_air.title = title;
            (self.told)(self.on_air.clone());
        }
    }
}

impl Tries {
    fn new(first: Duration) -> Tries {
        Tries { next: first, failed: 0, crept: 0 }
    }

    /// Counts from the start again once something came.
    fn heard(&mut self, came: u64, first: Duration) {
        if came > 0 {
            let crept = if came < PROGRESS { self.crept } else { 0 };
            *self = Tries { crept, ..Tries::new(first) };
        }
    }

    async fn wait(&mut self, longest: Duration) {
        sleep(self.next).await;
        self.failed += 1;
        self.next = (self.next * 2).min(longest);
    }
}

/// How much came lately.
struct Pace {
    since: Instant,
    bytes: usize,
}

impl Pace {
    fn new() -> Pace {
        Pace { since: Instant::now(), bytes: 0 }
    }

    /// Counts what came; returns whether the last whole span brought too little.
    fn creeps(&mut self, bytes: usize, patience: &crate::stream::Patience) -> bool {
        self.bytes += bytes;
        if self.since.elapsed() < patience.span {
            return false;
        }
        let creeps = self.bytes < patience.span_bytes;
        *self = Pace::new();
        creeps
    }
}

/// Ends the waits of the reader when the task ends in whatever way.
struct Closes(Arc<Shared>);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn head(reply: &Reply) -> Head<'_> {
    Head { status: reply.status, headers: &reply.headers, length: reply.length, range: reply.range }
}

fn titles(reply: &Reply) -> Option<usize> {
    reply
        .headers
        .get("icy-metaint")?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .filter(|every| *every <= LONGEST_PART)
}

/// Playlists that may lead to each other.
const MOST_PLAYLISTS: usize = 2;
/// Bytes of a playlist.
const LARGEST_PLAYLIST: usize = 256 << 10;
/// A station that sounded for less is not asked again when it hangs up.
const STATION_HEARD: u64 = 64 << 10;
/// Bytes after which a connection counts as a good one.
const PROGRESS: u64 = 64 << 10;
/// Connections in a row that crept.
const MOST_CREPT: u32 = 2;
/// Tries in a row that brought nothing, after which nobody is asked until somebody waits.
const TRIES_AT_REST: u32 = 5;
/// Bytes between two titles: stations write 8,192 to 65,536.
const LONGEST_PART: usize = 1 << 20;
