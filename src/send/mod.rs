//! Music back out: an album, a playlist or tracks to a phone or computer with LocalSend (protocol v2.1 with what 1.18 adds).
//! What goes out is what its sender may read: to the owner byte for byte what lies on the shelf, to members without what
//! names the buyer. What is locked stays, and is named. Nothing on the shelf is touched.
//!
//! Serves intake's wishes; how far each is stands on the board. One task, and one for each that goes out.

mod body;
mod parcel;
mod progress;
mod transfer;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::error::{Error, Kind, Result};
use crate::http::own_tls::Own;
use crate::intake::Intake;
use crate::intake::out::{Wish, Wished};
use crate::lan::networks::Networks;
use crate::library::Library;
use crate::offer::Right;
use crate::offer::out::{Receiver, SendId};
use crate::query::export::Wanted;
use crate::send::transfer::{Ends, Order, Transfer};

/// What the way out needs to know.
#[derive(Debug, Clone)]
pub struct SendConfig {
    /// What phones show as the sender; the owner may change it.
    pub alias: watch::Receiver<Arc<str>>,
    /// Where LocalSend listens here: receivers say there that they stop.
    pub port: u16,
    /// The certificate by which phones know this box.
    pub own: Own,
}

/// The running part.
#[derive(Debug)]
pub struct Outbox {
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What every transfer needs.
struct Tools {
    config: SendConfig,
    library: Library,
    intake: Intake,
    /// Our own networks: nothing goes anywhere else.
    networks: Networks,
}

impl Outbox {
    /// Serves what is asked of the way out.
    ///
    /// # Errors
    /// `Internal` when it is served already.
    pub fn start(
        config: SendConfig,
        networks: Networks,
        library: Library,
        intake: Intake,
        stop: CancellationToken,
    ) -> Result<Outbox> {
        let taken = || Error::new(Kind::Internal, "the way out is served already");
        let wishes = intake.wishes().ok_or_else(taken)?;
        let tools = Arc::new(Tools { config, library, intake, networks });
        let host = Host { tools, running: HashMap::new(), tasks: JoinSet::new(), next: 1, stop };
        Ok(Outbox { task: Mutex::new(Some(tokio::spawn(host.run(wishes)))) })
    }

    /// Waits until every task ended; the stop token must have fallen.
    pub async fn stopped(&self) {
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            warn!(%error, "the way out ended badly");
        }
    }
}

/// Keeps a task for each that goes out.
struct Host {
    tools: Arc<Tools>,
    running: HashMap<SendId, Running>,
    tasks: JoinSet<()>,
    next: u64,
    stop: CancellationToken,
}

/// One that goes out.
struct Running {
    to: Receiver,
    ends: Ends,
    /// The receiver's name of it, once it gave one.
    session: Arc<OnceLock<String>>,
    task: AbortHandle,
}

impl Host {
    async fn run(mut self, mut wishes: mpsc::Receiver<Wished>) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => break,
                wished = wishes.recv() => match wished {
                    Some(Wished { wish, reply }) => self.serve(wish, reply),
                    None => break,
                },
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Err(error) = ended {
                        warn!(%error, "something that went out ended badly");
                    }
                }
            }
        }
        // Each tells its receiver, shortly.
        self.running.values().for_each(|running| running.ends.konpo.cancel());
        while self.tasks.join_next().await.is_some() {}
    }

    fn serve(&mut self, wish: Wish, reply: oneshot::Sender<Result<SendId>>) {
        self.running.retain(|_, running| !running.task.is_finished() && !running.ends.over.is_cancelled());
        let result = match wish {
            Wish::Send { to, wanted, right, pin } => self.begin(to, wanted, right, pin),
            Wish::Stop(id) => self.end(|known, _| known == id, |ends| &ends.here),
            Wish::StopThere(session, address) => {
                let is = |running: &Running| running.session.get() == Some(&session);
                self.end(|_, running| at(running) == address && is(running), |ends| &ends.there)
            }
        };
        // Nobody waits any more when the connection is gone.
        let _gone = reply.send(result);
    }

    fn begin(&mut self, to: Receiver, wanted: Wanted, right: Right, pin: Option<String>) -> Result<SendId> {
        if self.running.values().any(|running| at(running) == to.address.ip()) {
            return Err(Error::new(Kind::Busy, format!("something goes to {} already", to.name)));
        }
        if self.running.len() >= MOST_AT_ONCE {
            return Err(Error::new(
                Kind::Busy,
                "four devices are being sent to: wait until one of them is done",
            ));
        }
        let id = SendId(self.next);
        self.next += 1;
        let (ends, session) = (Ends::default(), Arc::new(OnceLock::new()));
        let order = Order { id, to: to.clone(), wanted, right, pin };
        let transfer = Transfer::new(self.tools.clone(), order, ends.clone(), session.clone());
        let task = self.tasks.spawn(transfer.run());
        self.running.insert(id, Running { to, ends, session, task });
        Ok(id)
    }

    fn end(
        &self,
        which: impl Fn(SendId, &Running) -> bool,
        how: impl Fn(&Ends) -> &CancellationToken,
    ) -> Result<SendId> {
        let found = self.running.iter().find(|(id, running)| which(**id, running));
        let (id, running) = found.ok_or_else(|| Error::new(Kind::NotFound, "this is over already"))?;
        how(&running.ends).cancel();
        Ok(*id)
    }
}

fn at(running: &Running) -> IpAddr {
    running.to.address.ip()
}

/// Receivers that are sent to at once.
const MOST_AT_ONCE: usize = 4;
