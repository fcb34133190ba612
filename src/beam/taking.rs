//! What is taken from a neighbour, file by file: one that does not come is tried again later and keeps nobody from the next;
//! while our disk is full or away all of it waits.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use crate::beam::content_directory::Server;
use crate::beam::fetch::{Fetched, fetch, is_bought};
use crate::beam::neighbour::Tools;
use crate::beam::share::is_there;
use crate::error::{Error, Kind, Result};
use crate::http::client::{Allow, Client};
use crate::http::near::Near;
use crate::intake::Take;
use crate::intake::staging::Part;
use crate::offer::{Neighbour, NeighbourState, RemoteItem};

/// Where files are taken from.
pub struct Source<'a> {
    /// What asks.
    pub client: &'a Client,
    /// Where URLs may point.
    pub allow: Allow,
    /// Who has them.
    pub who: Who<'a>,
}

/// Who has the files.
pub enum Who<'a> {
    /// A media server; `None`: it was never there.
    Media(Option<&'a Server>),
    /// A phone whose person shares them.
    Share(&'a Near),
}

impl Source<'_> {
    /// Whether one file failed or the whole phone left.
    async fn is_alive(&self) -> bool {
        match self.who {
            Who::Media(Some(server)) => server.is_there().await,
            Who::Media(None) => false,
            Who::Share(near) => is_there(near).await,
        }
    }
}

/// The state of taking from one neighbour.
pub struct Taking {
    tools: Tools,
    stop: CancellationToken,
    /// Files that did not come, by object id.
    failed: HashMap<String, Failed>,
    /// The last file that came, on its way to the disk. It gets there even when the visit ends.
    finishing: Option<JoinHandle<Result<()>>>,
    /// A file that came could not be made durable: it is to be asked for again.
    unfinished: bool,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    tries: usize,
    next: Instant,
}

impl Taking {
    /// Returns a state in which nothing failed yet.
    pub fn new(tools: Tools, stop: CancellationToken) -> Taking {
        Taking { tools, stop, failed: HashMap::new(), finishing: None, unfinished: false }
    }

    /// Forgets what failed: it is tried again at once.
    pub fn begin_anew(&mut self) {
        self.failed.clear();
    }

    /// Returns whether a file that failed is to be tried again now.
    pub fn is_due(&self) -> bool {
        let now = Instant::now();
        self.failed.values().any(|failed| failed.next <= now)
    }

    /// Returns when the next file that failed is to be tried again; `None` when none is, or only rarely.
    pub fn next_try(&self) -> Option<Instant> {
        self.failed.values().filter(|failed| failed.tries <= RETRIES.len()).map(|failed| failed.next).min()
    }

    /// Returns whether a file that failed is not given up.
    pub fn has_hope(&self) -> bool {
        self.failed.values().any(|failed| failed.tries < RETRIES.len())
    }

    /// Takes what is new. Returns whether all that came is durable.
    ///
    /// # Errors
    /// `Unreachable` when the neighbour has left, and those of the disk and the database.
    pub async fn all(
        &mut self,
        shown: &mut Neighbour,
        new: Vec<RemoteItem>,
        source: &Source<'_>,
    ) -> Result<bool> {
        let total = new.len() as u64;
        for (done, item) in (0..).zip(new) {
            let now = Instant::now();
            if self.failed.get(&item.object_id).is_none_or(|failed| failed.next <= now) {
                self.when_there_is_room(shown, item, (done, total), source).await?;
            }
        }
        self.finished().await?;
        Ok(!std::mem::take(&mut self.unfinished))
    }

    /// Takes one file; while our disk is full or away it waits, and goes on by itself.
    async fn when_there_is_room(
        &mut self,
        shown: &mut Neighbour,
        item: RemoteItem,
        (done, total): (u64, u64),
        source: &Source<'_>,
    ) -> Result<()> {
        let mut pause = ROOM_AGAIN.0;
        loop {
            self.tools.show(shown, NeighbourState::Pulling { done, total });
            match self.one(shown, item.clone(), source).await {
                Err(error) if matches!(error.kind(), Kind::Full | Kind::Offline) => {
                    if pause == ROOM_AGAIN.0 {
                        info!(name = shown.name, %error, "a pull waits");
                    }
                    self.tools.show(shown, NeighbourState::Waiting { code: None, reason: error.to_string() });
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(ROOM_AGAIN.1);
                }
                taken => return taken,
            }
        }
    }

    /// Takes one file. That one does not come keeps nobody from the next, unless the neighbour has left.
    async fn one(&mut self, from: &Neighbour, item: RemoteItem, source: &Source<'_>) -> Result<()> {
        let (url, id, size) = (item.url.clone(), item.object_id.clone(), item.size);
        debug!(url, "a transfer begins");
        let part = match self.tools.intake.pull_item(from, item).await {
            Ok(part) => part,
            Err(error) if error.kind() == Kind::Busy => return Ok(()),
            Err(error) => return Err(error),
        };
        let wanted = match (self.tools.take, size) {
            (Take::Purchased, Some(size)) => {
                is_bought(source.client, &url, &source.allow, size.0).await.map_err(|e| e.to_string())
            }
            _ => Ok(true),
        };
        let fetched = match wanted {
            Ok(true) => fetch(source.client, &url, &source.allow, part, &self.stop).await?,
            Ok(false) => {
                return part.refuse("rule", "it carries no store's mark, and only purchases are taken").await;
            }
            Err(why) => Fetched::Later(why, Some(Box::new(part))),
        };
        let (why, part) = match fetched {
            Fetched::Later(why, part) => (why, part),
            Fetched::Whole(part) => {
                self.failed.remove(&id);
                return self.finish_beside(*part).await;
            }
            Fetched::Refused => {
                self.failed.remove(&id);
                return Ok(());
            }
        };
        if !source.is_alive().await {
            return Err(Error::new(Kind::Unreachable, why));
        }
        let tries = self.failed.get(&id).map_or(0, |failed| failed.tries);
        let pause = RETRIES.get(tries).copied().unwrap_or(RARELY);
        self.failed.insert(id, Failed { tries: tries + 1, next: Instant::now() + pause });
        if let (Some(part), true) = (part, tries >= RETRIES.len()) {
            part.refuse("gone", &why).await?;
        }
        Ok(())
    }

    /// Makes a file durable while the next one comes.
    async fn finish_beside(&mut self, part: Part) -> Result<()> {
        self.finished().await?;
        self.finishing = Some(tokio::spawn(async move {
            let id = part.id();
            part.finish().await.inspect(|()| debug!(id = id.0, "a transfer is whole"))
        }));
        Ok(())
    }

    /// Waits until the last file is durable.
    async fn finished(&mut self) -> Result<()> {
        let Some(finishing) = &mut self.finishing else { return Ok(()) };
        let done = finishing.await;
        self.finishing = None;
        self.unfinished |= !matches!(done, Ok(Ok(())));
        done.map_err(|error| Error::with(Kind::Internal, "finish a transfer", error))?
    }
}

/// A file that does not come from a phone that is there is tried again after these pauses, then given up with the reason...
const RETRIES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(600)];
/// ...and asked for this often.
const RARELY: Duration = Duration::from_secs(24 * 3600);
/// While our disk is full or away it is looked at after the first pause, then ever more rarely up to the second.
const ROOM_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
