//! The worker: brings staged files through the stages to the shelf, one at a time, in the order they came. The journal is
//! its queue. One task; reading files is done off the tasks' threads.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::Digest;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::error::{Error, Kind, Result};
use crate::intake::inbox::{self, Leave, Mark, Taken};
use crate::intake::stages::{Next, Outcome, behind, next};
use crate::intake::staging::{Held, blocking, staging_dir};
use crate::intake::{Inner, Take, unpack};
use crate::library::disk::remove;
use crate::library::read::{self, FileFacts};
use crate::library::{JournalRow, NewCopy};
use crate::offer::{OfferId, RemoteItem, Stage, Verdict};
use crate::track::{Sha256, Tags};
use crate::units::{ByteCount, UnixTime};

/// What a file turned out to be, kept between the stages and over retries.
#[derive(Debug)]
struct Work {
    row: JournalRow,
    part: PathBuf,
    read: Option<Facts>,
    new: Option<NewCopy>,
}

/// What reading a part file gave.
#[derive(Debug)]
struct Facts {
    facts: FileFacts,
    sha256: Sha256,
    size: ByteCount,
}

/// How a stage went, when the machine did its part.
#[derive(Debug)]
enum Went {
    Done,
    Shelved(Verdict),
    Unfit {
        code: &'static str,
        reason: String,
    },
    /// It is still being written in the drop folder.
    Unquiet,
}

/// Works until the stop token falls.
pub async fn run(inner: Arc<Inner>) {
    // Files that went behind the others: how often, and when they are tried again.
    let mut later: HashMap<OfferId, (u32, Instant)> = HashMap::new();
    let mut idle = 0;
    while !inner.stop.is_cancelled() {
        match waiting(&inner, &later).await {
            Ok(rows) if rows.is_empty() => {
                let due = later.values().map(|(_, at)| *at).min();
                rest(&inner, due.map(|at| at.saturating_duration_since(Instant::now()))).await;
            }
            Ok(rows) => {
                idle = 0;
                for row in rows {
                    let id = row.id;
                    match bring(&inner, row).await {
                        Ended::Yes => drop(later.remove(&id)),
                        Ended::Held => {
                            let times = later.get(&id).map_or(0, |(times, _)| *times);
                            later.insert(id, (times, Instant::now() + HELD_FOR));
                        }
                        Ended::Later => {
                            let times = later.get(&id).map_or(0, |(times, _)| *times);
                            later.insert(id, (times + 1, Instant::now() + behind(times)));
                        }
                    }
                }
            }
            Err(error) => {
                warn!(%error, "the journal cannot be read");
                let Next::Again(delay) = next(Stage::Staged, Outcome::Trouble(Kind::Full), idle) else {
                    return;
                };
                idle += 1;
                sleep(&inner.stop, delay).await;
            }
        }
    }
}

/// Waits until there is work, the stop token falls, or a while has passed.
async fn rest(inner: &Inner, most: Option<Duration>) {
    let over = async {
        match most {
            Some(most) => tokio::time::sleep(most).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = inner.stop.cancelled() => {}
        () = inner.work.notified() => {}
        () = over => {}
    }
}

/// Returns what waits, in the order it came.
async fn waiting(inner: &Inner, later: &HashMap<OfferId, (u32, Instant)>) -> Result<Vec<JournalRow>> {
    let mut open = inner.library.journal_open().await?;
    let now = Instant::now();
    open.retain(|row| row.stage != Stage::Offered && later.get(&row.id).is_none_or(|(_, at)| *at <= now));
    Ok(open)
}

/// Whether a row is through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It has its verdict.
    Yes,
    /// Who brought its bytes has not let go of it yet.
    Held,
    /// It goes behind the others, or waits for the next start.
    Later,
}

/// Brings one file to the shelf, or puts it aside.
pub async fn bring(inner: &Arc<Inner>, row: JournalRow) -> Ended {
    let Ok(_held) = Held::new(inner.clone(), row.id) else { return Ended::Held };
    let mut work = Work { row, part: PathBuf::new(), read: None, new: None };
    // What was done before the start is repeated: it is pure.
    work.row.stage = Stage::Staged;
    let mut tries = 0;
    loop {
        let stage = work.row.stage;
        let turned = tokio::select! {
            () = inner.stop.cancelled() => return Ended::Later,
            turned = step(inner, &mut work) => turned,
        };
        let trouble = match turned {
            Ok(Stage::Stored | Stage::Refused) => return Ended::Yes,
            Ok(_) => {
                tries = 0;
                continue;
            }
            Err(trouble) => trouble,
        };
        let name = &work.row.provenance.original_name;
        if tries == 0 {
            warn!(error = %trouble, name, "a file on its way in has to wait");
            inner.notes.waits(work.row.id, Some(trouble.to_string()));
        }
        match next(stage, Outcome::Trouble(trouble.kind()), tries) {
            Next::Again(delay) => {
                tries += 1;
                work.row.stage = stage;
                // The disk that comes back is work, too.
                rest(inner, Some(delay)).await;
            }
            Next::To(_) | Next::Later => return Ended::Later,
        }
    }
}

/// Unpacks an archive; of anything else does one stage. What somebody took back goes no further.
async fn step(inner: &Arc<Inner>, work: &mut Work) -> Result<Stage> {
    if inner.door.is_undone(work.row.id) {
        work.part = staging_dir(&inner.library).await?.join(work.row.part.as_deref().unwrap_or_default());
        aside(inner, work, "gone", "somebody took this back".into(), Leave::No).await?;
        return Ok(work.row.stage);
    }
    match unpack::unpack(inner, &mut work.row).await? {
        Some(ended) => Ok(ended),
        None => turn(inner, work).await,
    }
}

/// Does one stage and writes down how it went. Returns the stage the file is at now.
async fn turn(inner: &Inner, work: &mut Work) -> Result<Stage> {
    let stage = work.row.stage;
    let went = match stage {
        Stage::Offered | Stage::Staged => verify(inner, work).await?,
        Stage::Verified => tag(inner.take, work),
        Stage::Tagged => shelve(inner, work).await?,
        Stage::Stored | Stage::Refused => return Ok(stage),
    };
    let size = work.row.size.unwrap_or_default();
    let outcome = match went {
        Went::Done | Went::Shelved(_) => Outcome::Done,
        Went::Unfit { .. } | Went::Unquiet => Outcome::Unfit,
    };
    let Next::To(to) = next(stage, outcome, 0) else { return Ok(stage) };
    match went {
        Went::Done => {
            work.row.stage = to;
            inner.keep(&mut work.row, size).await?;
        }
        Went::Shelved(verdict) => inner.end(&mut work.row, verdict, size).await?,
        Went::Unfit { code, reason } => {
            let leave = if code == "gone" { Leave::No } else { Leave::UntilItChanges };
            aside(inner, work, code, reason, leave).await?;
        }
        Went::Unquiet => aside(inner, work, "gone", "it was still being written".into(), Leave::No).await?,
    }
    Ok(work.row.stage)
}

/// Sniffs and reads the whole file.
async fn verify(inner: &Inner, work: &mut Work) -> Result<Went> {
    let part = staging_dir(&inner.library).await?.join(work.row.part.as_deref().unwrap_or_default());
    work.part = part.clone();
    let stop = inner.stop.clone();
    let done = tokio::task::spawn_blocking(move || examine(&part, &stop)).await;
    let read = match done {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => {
            return match unfit(&error) {
                Some(code) => Ok(Went::Unfit { code, reason: error.to_string() }),
                None if error.kind() == Kind::NotFound => {
                    // A disk that is gone looks the same.
                    staging_dir(&inner.library).await?;
                    Ok(Went::Unfit { code: "gone", reason: "its bytes are gone".to_owned() })
                }
                None => Err(error),
            };
        }
        Err(panic) => {
            error!(%panic, name = work.row.provenance.original_name, "a reader broke on a file");
            return Ok(Went::Unfit { code: "damaged", reason: "it cannot be read".to_owned() });
        }
    };
    let (mark, read) = read;
    if Taken::of(&work.row).is_some_and(|taken| taken.mark != mark) {
        return Ok(Went::Unquiet);
    }
    work.row.size = Some(read.size);
    work.read = Some(read);
    Ok(Went::Done)
}

/// Reads a file twice: what it is, and its sum. The mark is taken last.
fn examine(path: &Path, stop: &CancellationToken) -> Result<(Mark, Facts)> {
    let failed = |error| Error::io("read a file on its way in", error);
    let size = fs::metadata(path).map_err(failed)?.len();
    if size == 0 {
        return Err(Error::new(Kind::Damaged, EMPTY));
    }
    let facts = read::facts(path)?;
    let mut file = File::open(path).map_err(failed)?;
    let mut sum = sha2::Sha256::new();
    let mut block = vec![0; READ_BLOCK];
    let mut count = 0;
    loop {
        if stop.is_cancelled() {
            return Err(Error::new(Kind::Stopped, "konpo is stopping"));
        }
        match file.read(&mut block) {
            Ok(0) => break,
            Ok(n) => {
                sum.update(&block[..n]);
                count += n as u64;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let mark = Mark::of(&file.metadata().map_err(failed)?);
    let sha256 = Sha256(sum.finalize().into());
    Ok((mark, Facts { facts, sha256, size: ByteCount(count) }))
}

/// Returns the code of a refusal when the file itself is the reason.
fn unfit(error: &Error) -> Option<&'static str> {
    match error.kind() {
        Kind::Damaged if error.what() == EMPTY => Some("empty"),
        Kind::Damaged => Some("damaged"),
        Kind::Unsupported if error.to_string().contains("not music") => Some("not_audio"),
        Kind::Unsupported | Kind::Invalid => Some("unsupported"),
        _ => None,
    }
}

/// Puts together what goes on the shelf.
fn tag(take: Take, work: &mut Work) -> Went {
    // It was done, and only its row could not be written.
    if work.new.is_some() {
        return Went::Done;
    }
    let Some(read) = work.read.take() else {
        return Went::Unfit { code: "gone", reason: "its facts are gone".to_owned() };
    };
    if take == Take::Purchased && !read.facts.purchases.iter().any(|buy| buy.level.is_proof()) {
        work.read = Some(read);
        let reason = "only bought music is taken, and nothing in this file says so".to_owned();
        return Went::Unfit { code: "rule", reason };
    }
    let Facts { facts, sha256, size } = read;
    work.new = Some(NewCopy {
        event: work.row.id,
        staged: work.part.clone(),
        original_name: work.row.provenance.original_name.clone(),
        tags: with_fallback(facts.tags, work.row.item.as_ref()),
        format: facts.format,
        protection: facts.protection,
        personal: facts.personal,
        purchases: facts.purchases,
        sha256,
        quick: facts.quick,
        fingerprint: facts.fingerprint,
        size,
        duration: facts.duration,
        provenance: work.row.provenance.clone(),
        received: UnixTime::now(),
        joined: None,
    });
    Went::Done
}

/// Returns the tags, with what the neighbour says where the file says nothing.
fn with_fallback(mut tags: Tags, item: Option<&RemoteItem>) -> Tags {
    let Some(item) = item else { return tags };
    let said = |text: &str| {
        let text = text.trim();
        let nothing = text.is_empty() || NOTHING.iter().any(|word| text.eq_ignore_ascii_case(word));
        (!nothing).then(|| text.to_owned())
    };
    tags.title = tags.title.or_else(|| said(&item.title));
    if tags.artist.is_none() {
        tags.artist = item.artist.as_deref().and_then(said);
        if tags.artists.is_empty() {
            tags.artists.extend(tags.artist.clone());
        }
    }
    if tags.album.is_none() {
        tags.album = item.album.as_deref().and_then(said);
        // A number says something only within its album.
        tags.track = tags.track.or(item.track.filter(|_| tags.album.is_some()));
    }
    tags
}

async fn shelve(inner: &Inner, work: &mut Work) -> Result<Went> {
    let Some(new) = work.new.clone() else {
        return Ok(Went::Unfit { code: "gone", reason: "its facts are gone".to_owned() });
    };
    let protection = new.protection.clone();
    let added = inner.library.add(new).await?;
    let track = added.track;
    let verdict = match (added.merged, protection.is_locked()) {
        (true, _) => Verdict::Merged { track },
        // The board is read by people who may not know the buyer.
        (false, true) => Verdict::Locked { track, protection: protection.without_personal() },
        (false, false) => Verdict::Stored { track },
    };
    Ok(Went::Shelved(verdict))
}

/// Puts a file aside. What came from the drop folder goes back first, so that a power cut finds it there; what a neighbour
/// still has is removed last, when its verdict is kept.
async fn aside(inner: &Inner, work: &mut Work, code: &str, reason: String, leave: Leave) -> Result<()> {
    let name = work.row.provenance.original_name.clone();
    let dropped = work.row.provenance.way == inbox::WAY;
    let part = work.part.clone();
    let there = exists(part.clone()).await?;
    if dropped && there {
        inbox::give_back(inner, &mut work.row, part.clone(), leave).await?;
    }
    let verdict = Verdict::Refused { code: code.to_owned(), reason: reason.clone() };
    let size = work.row.size.unwrap_or_default();
    inner.end(&mut work.row, verdict, size).await?;
    info!(name, code, reason, "not taken");
    if dropped {
        return Ok(());
    }
    if QUARANTINED.contains(&code) {
        // The neighbour may not have it for long: whoever wants to know more finds it for 30 days.
        let (library, event) = (inner.library.clone(), work.row.id);
        return blocking(move || library.throw_away(&part, event, &name)).await;
    }
    blocking(move || remove(&part)).await
}

async fn exists(path: PathBuf) -> Result<bool> {
    blocking(move || Ok(path.exists())).await
}

async fn sleep(stop: &CancellationToken, time: Duration) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}

/// Refusals of files that somebody may want to look at: they go to the trash.
const QUARANTINED: [&str; 3] = ["damaged", "unsupported", "not_audio"];
/// Between its row and the end of its transfer lies a moment.
const HELD_FOR: Duration = Duration::from_millis(20);
const READ_BLOCK: usize = 256 * 1024;
const EMPTY: &str = "the file is empty";
/// What phones write where they know nothing.
const NOTHING: [&str; 5] = ["<unknown>", "unknown", "unknown artist", "unknown album", "unknown title"];

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Brings a file whose row could not be written once, just after it was tagged.
    pub async fn bring_with_a_lost_row(inner: &Inner, row: JournalRow) -> Ended {
        let mut work = Work { row, part: PathBuf::new(), read: None, new: None };
        work.row.stage = Stage::Staged;
        turn(inner, &mut work).await.expect("verified");
        let verified = work.row.clone();
        turn(inner, &mut work).await.expect("tagged");
        work.row = verified;
        for _ in 0..2 {
            turn(inner, &mut work).await.expect("goes on");
        }
        if work.row.stage == Stage::Stored { Ended::Yes } else { Ended::Later }
    }
}
