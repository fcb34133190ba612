//! Keeps a finder that is as new as the shelf: a thread of its own makes one after changes, at most a tenth of the time.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{debug, warn};

use crate::error::{Error, Result};
use crate::library::find::Find;
use crate::library::store;

/// The finder of now, and the thread that makes the next one.
#[derive(Debug)]
pub struct Keeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    data: PathBuf,
    desk: Mutex<Desk>,
    woken: Condvar,
    find: RwLock<Arc<Find>>,
    /// The revision that the finder shows; faces follow it.
    shown: watch::Sender<u64>,
    /// Whether there is a finder at all.
    made: watch::Sender<bool>,
}

#[derive(Debug)]
struct Desk {
    want: u64,
    have: Option<u64>,
    /// What making the last one took.
    cost: Duration,
    /// A look through the folders changes the shelf all the time.
    busy: bool,
    stop: bool,
}

impl Keeper {
    /// Starts to make a finder of the shelf at a revision.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(data: &Path, revision: u64) -> Result<Keeper> {
        let desk = Desk { want: revision, have: None, cost: Duration::ZERO, busy: false, stop: false };
        let shared = Arc::new(Shared {
            data: data.to_owned(),
            desk: Mutex::new(desk),
            woken: Condvar::new(),
            find: RwLock::default(),
            shown: watch::Sender::new(revision),
            made: watch::Sender::new(false),
        });
        let works = shared.clone();
        let thread = std::thread::Builder::new().name("konpo-find".into()).spawn(move || works.run());
        let thread = thread.map_err(|error| Error::io("start the finder", error))?;
        Ok(Keeper { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Returns the watch of the revision that is shown.
    pub fn shown(&self) -> watch::Receiver<u64> {
        self.shared.shown.subscribe()
    }

    /// Tells that the shelf is at this revision.
    pub fn tell(&self, revision: u64) {
        self.shared.desk().want = revision;
        self.shared.woken.notify_all();
    }

    /// Tells whether the shelf changes all the time: then a new finder is made now and then only.
    pub fn set_busy(&self, busy: bool) {
        self.shared.desk().busy = busy;
        self.shared.woken.notify_all();
    }

    /// Returns the finder as it is.
    pub fn now(&self) -> Arc<Find> {
        self.shared.find.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the finder that shows what was changed before: it waits for one that is made quickly, and for the first.
    pub async fn fresh(&self) -> Arc<Find> {
        let (want, quick) = {
            let desk = self.shared.desk();
            (desk.want, desk.cost < QUICK && !desk.busy)
        };
        let mut made = self.shared.made.subscribe();
        // Ends at the latest when the shelf closes.
        drop(tokio::time::timeout(LONGEST, made.wait_for(|made| *made)).await);
        if quick {
            let mut shown = self.shared.shown.subscribe();
            drop(tokio::time::timeout(LONGEST, shown.wait_for(|&shown| shown >= want)).await);
        }
        self.now()
    }

    /// Ends the thread.
    ///
    /// # Blocks
    /// Until what is being made is made.
    pub fn stop(&self) {
        self.shared.desk().stop = true;
        self.shared.woken.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the finder broke");
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut ended = Instant::now();
        while let Some(want) = self.wait(ended) {
            let begun = Instant::now();
            let made = store::connect(&self.data).and_then(|connection| Find::make(&connection));
            let cost = begun.elapsed();
            ended = Instant::now();
            match made {
                Ok(find) => {
                    debug!(tracks = find.len(), ms = cost.as_millis(), "the finder is made anew");
                    *self.find.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(find);
                }
                Err(error) => warn!(%error, "the shelf could not be read for searching; it stays as it was"),
            }
            crate::library::idle::give_back();
            let mut desk = self.desk();
            (desk.have, desk.cost) = (Some(want), cost);
            drop(desk);
            self.shown.send_replace(want);
            self.made.send_replace(true);
        }
    }

    /// Waits until something changed and the pause is over. Returns the revision to show; `None` at the stop.
    fn wait(&self, ended: Instant) -> Option<u64> {
        let mut desk = self.desk();
        loop {
            if desk.stop {
                return None;
            }
            if desk.have == Some(desk.want) {
                desk = self.woken.wait(desk).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let pause = if desk.busy { BUSY_PAUSE } else { (desk.cost * PAUSE).min(LONGEST_PAUSE) };
            let pause = pause.saturating_sub(ended.elapsed());
            if desk.have.is_none() || (desk.cost < QUICK && !desk.busy) || pause.is_zero() {
                return Some(desk.want);
            }
            desk = self.woken.wait_timeout(desk, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A finder made faster than this is waited for.
const QUICK: Duration = Duration::from_millis(30);
/// The longest wait for a finder.
const LONGEST: Duration = Duration::from_secs(5);
/// Between two finders lie as many times what the last one took.
const PAUSE: u32 = 9;
/// While everything changes, a list that is so old is new enough.
const BUSY_PAUSE: Duration = Duration::from_secs(2);
/// A small box takes a second and more for a large shelf; a song that came must not wait for ever.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
