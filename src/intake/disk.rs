//! Watches whether the music disk is there and has room, so that what waits goes on by itself; once a day it empties the
//! trash and forgets old rows of the journal, and copies what cannot be computed again. One task.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};

use crate::error::{Kind, Result};
use crate::intake::door::uploads;
use crate::intake::staging::{Strays, blocking, take_up};
use crate::intake::{Inner, inbox};
use crate::units::UnixTime;

/// Watches until the stop token falls. `there` is whether the start found the disk.
pub async fn run(inner: Arc<Inner>, mut there: bool) {
    let mut tidied: Option<Instant> = None;
    let mut safe: Option<Instant> = None;
    let mut swept: Option<Instant> = None;
    loop {
        let library = inner.library.clone();
        let looked = blocking(move || library.takes_more()).await;
        let offline = looked.as_ref().is_err_and(|error| error.kind() != Kind::Full);
        inner.notes.trouble(looked.err().map(|error| error.to_string()));
        if there == offline {
            there = !offline;
            if there {
                came_back(&inner).await;
            }
        }
        if there && tidied.is_none_or(|at| at.elapsed() >= TIDY_EVERY) {
            tidied = Some(Instant::now());
            if let Err(error) = tidy(&inner).await {
                warn!(%error, "the trash or the journal could not be tidied");
            }
        }
        if safe.is_none_or(|at| at.elapsed() >= SAFE_EVERY) {
            safe = Some(Instant::now());
            let older = there && swept.is_none_or(|at| at.elapsed() >= SWEPT_EVERY);
            if older {
                swept = Some(Instant::now());
            }
            if let Err(error) = uploads::tend(&inner, older).await {
                warn!(%error, "uploads that broke off could not be given up");
            }
            let (library, now) = (inner.library.clone(), UnixTime::now());
            // What fails is logged there.
            let _always = blocking(move || {
                library.keep_safe(now);
                Ok(())
            })
            .await;
        }
        tokio::select! {
            () = inner.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Takes up what waited in staging, and wakes everybody who waits.
async fn came_back(inner: &Arc<Inner>) {
    info!("what is on its way in goes on");
    if let Err(error) = take_up(inner, Strays::Stay).await {
        warn!(%error, "the staging folder could not be taken up");
    }
    inner.turns.send_modify(|turns| *turns += 1);
    inner.work.notify_one();
}

async fn tidy(inner: &Inner) -> Result<()> {
    let (library, now) = (inner.library.clone(), UnixTime::now());
    blocking(move || library.empty_trash(now)).await?;
    let lying = inner.left().values().map(|left| left.id).collect();
    let before = UnixTime(now.0 - JOURNAL_KEPT.as_secs() as i64);
    inner.library.journal_prune(before, inbox::WAY, lying).await
}

const LOOK_EVERY: Duration = Duration::from_secs(2);
const SAFE_EVERY: Duration = Duration::from_secs(60);
/// How often the journal is looked through for uploads that nobody comes back for.
const SWEPT_EVERY: Duration = Duration::from_secs(3600);
const TIDY_EVERY: Duration = Duration::from_secs(24 * 3600);
/// Rows of files that ended are of use while somebody may ask what became of them.
const JOURNAL_KEPT: Duration = Duration::from_secs(90 * 24 * 3600);
