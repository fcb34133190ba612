//! Appends to a part file beside the network: while some blocks are written, and every few MiB synced, the next one is
//! received. A slow disk slows the transfer down instead of filling the memory, and the last sync is short. Where a sum is
//! wanted, it is made where the bytes are written, not where they are received.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// A file that grows at its end. Dropped, it loses what was not handed on to be written yet; `guard` lives until the last
/// write is over.
#[derive(Debug)]
pub struct Append<G> {
    shared: Arc<Shared>,
    /// What is not worth a write yet.
    block: Vec<u8>,
    tail: Tail,
    guard: Arc<G>,
}

/// A sync that may still run when the file is closed, and what it does not hold.
#[derive(Debug, Default)]
pub struct Tail {
    syncing: Option<JoinHandle<io::Result<()>>>,
    /// Bytes since the last sync was begun.
    unsynced: usize,
}

/// A sum that can be made of what is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sum {
    /// SHA-1 (FIPS 180-4), 20 bytes: against broken cables, not against anybody who means harm.
    Sha1,
    /// SHA-256 (FIPS 180-4), 32 bytes.
    Sha256,
}

#[derive(Debug)]
struct Shared {
    file: File,
    desk: Mutex<Desk>,
    /// A block was written, or the last one.
    moved: Notify,
}

#[derive(Debug, Default)]
struct Desk {
    waiting: VecDeque<Vec<u8>>,
    /// Empty blocks, to be filled again.
    spare: Vec<Vec<u8>>,
    /// Blocks that wait, are written, or are spare.
    blocks: usize,
    /// Somebody writes what waits.
    writes: bool,
    sum: Option<Summing>,
    /// Nothing is written behind a gap.
    failed: Option<io::Error>,
}

struct Summing(Context);

impl fmt::Debug for Summing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Summing")
    }
}

impl<G: Send + Sync + 'static> Append<G> {
    /// Opens a file, or makes it. Returns its length as well.
    ///
    /// # Errors
    /// Those of the disk.
    /// # Blocks
    /// As long as the disk takes.
    pub fn open(path: &Path, guard: Arc<G>) -> io::Result<(Append<G>, u64)> {
        let file = File::options().append(true).create(true).open(path)?;
        let length = file.metadata()?.len();
        let shared = Arc::new(Shared { file, desk: Mutex::default(), moved: Notify::new() });
        Ok((Append { shared, block: Vec::new(), tail: Tail::default(), guard }, length))
    }

    /// Goes on behind a file that was closed: what its last sync says counts here.
    pub fn follow(&mut self, tail: Tail) {
        self.tail = tail;
    }

    /// Returns what may still run when this is dropped.
    pub fn tail(&mut self) -> Tail {
        std::mem::take(&mut self.tail)
    }

    /// Begins a sum of what is pushed from now on. Nothing may wait to be written.
    pub fn begin_sum(&mut self, sum: Sum) {
        let algorithm = match sum {
            Sum::Sha1 => &SHA1_FOR_LEGACY_USE_ONLY,
            Sum::Sha256 => &SHA256,
        };
        self.shared.desk().sum = Some(Summing(Context::new(algorithm)));
    }

    /// Ends the sum, behind everything that was pushed; empty when none was begun.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn end_sum(&mut self) -> io::Result<Vec<u8>> {
        self.flush().await?;
        let sum = self.shared.desk().sum.take();
        Ok(sum.map_or_else(Vec::new, |Summing(context)| context.finish().as_ref().to_vec()))
    }

    /// Takes bytes; waits while too many are not written yet.
    ///
    /// # Errors
    /// Those of an earlier write.
    ///
    /// # Cancel
    /// The first of the bytes may be taken: drop this as well, and open the file again.
    pub async fn push(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.block.capacity() == 0 {
                self.block = self.shared.fresh().await?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            if self.block.len() == BLOCK {
                self.hand_on();
                self.sync_behind().await?;
            }
        }
        Ok(())
    }

    /// Waits until everything is in the file.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.hand_on();
        self.shared.rests().await
    }

    /// Waits until everything is in the file and on the disk.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn sync(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.synced().await?;
        self.tail.unsynced = 0;
        let done = self.beside(|file| file.sync_all()).await;
        done.inspect_err(|error| self.shared.desk().failed = Some(same(error)))
    }

    /// Throws everything away.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn empty(&mut self) -> io::Result<()> {
        self.cut(0).await
    }

    /// Takes back what lies behind a place; of what was pushed and is not written yet nothing may come later.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn cut(&mut self, length: u64) -> io::Result<()> {
        self.block.clear();
        self.shared.rests().await?;
        self.shared.desk().sum = None;
        self.beside(move |file| if file.metadata()?.len() > length { file.set_len(length) } else { Ok(()) })
            .await
    }

    /// Hands the block on, and sees to it that somebody writes.
    fn hand_on(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let block = std::mem::take(&mut self.block);
        self.tail.unsynced += block.len();
        let mut desk = self.shared.desk();
        desk.waiting.push_back(block);
        if !std::mem::replace(&mut desk.writes, true) {
            let (shared, guard) = (self.shared.clone(), self.guard.clone());
            tokio::task::spawn_blocking(move || shared.write(guard));
        }
    }

    /// Begins a sync where it is time. Waits only for one that takes longer than as much again took to come.
    async fn sync_behind(&mut self) -> io::Result<()> {
        if self.tail.unsynced < SYNC_EVERY {
            return Ok(());
        }
        let runs = self.tail.syncing.as_ref().is_some_and(|syncing| !syncing.is_finished());
        if runs && self.tail.unsynced < 2 * SYNC_EVERY {
            return Ok(());
        }
        self.synced().await?;
        self.tail.unsynced = 0;
        let shared = self.shared.clone();
        self.tail.syncing = Some(tokio::task::spawn_blocking(move || shared.file.sync_data()));
        Ok(())
    }

    /// Waits for the sync that runs. What it could not do is never forgotten.
    async fn synced(&mut self) -> io::Result<()> {
        let Some(syncing) = &mut self.tail.syncing else { return Ok(()) };
        let done = syncing.await;
        self.tail.syncing = None;
        let done = done.unwrap_or_else(|broke| Err(io::Error::other(broke)));
        done.inspect_err(|error| self.shared.desk().failed = Some(same(error)))
    }

    async fn beside(&self, work: impl FnOnce(&File) -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let (shared, guard) = (self.shared.clone(), self.guard.clone());
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&shared.file);
            drop(guard);
            done
        });
        done.await.unwrap_or_else(|broke| Err(io::Error::other(broke)))
    }
}

impl Shared {
    /// Returns an empty block; waits while there are enough.
    async fn fresh(&self) -> io::Result<Vec<u8>> {
        loop {
            {
                let mut desk = self.desk();
                if let Some(error) = &desk.failed {
                    return Err(same(error));
                }
                if let Some(block) = desk.spare.pop() {
                    return Ok(block);
                }
                if desk.blocks < MOST_BLOCKS {
                    desk.blocks += 1;
                    return Ok(Vec::with_capacity(BLOCK));
                }
            }
            self.moved.notified().await;
        }
    }

    /// Waits until nobody writes.
    async fn rests(&self) -> io::Result<()> {
        loop {
            {
                let desk = self.desk();
                if !desk.writes {
                    return desk.failed.as_ref().map_or(Ok(()), |error| Err(same(error)));
                }
            }
            self.moved.notified().await;
        }
    }

    /// Writes what waits, until nothing does.
    fn write<G>(&self, guard: Arc<G>) {
        loop {
            let mut desk = self.desk();
            let Some(mut block) = desk.waiting.pop_front() else {
                // Whoever hears that it rests finds the guard gone.
                drop(guard);
                desk.writes = false;
                drop(desk);
                self.moved.notify_one();
                return;
            };
            let (mut sum, goes_on) = (desk.sum.take(), desk.failed.is_none());
            drop(desk);
            let wrote = if goes_on { (&self.file).write_all(&block) } else { Ok(()) };
            if let Some(Summing(context)) = &mut sum {
                context.update(&block);
            }
            block.clear();
            let mut desk = self.desk();
            desk.sum = sum;
            desk.failed = desk.failed.take().or(wrote.err());
            desk.spare.push(block);
            drop(desk);
            self.moved.notify_one();
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns an error once more, for whoever asks next.
fn same(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::new(error.kind(), error.to_string()),
    }
}

/// Bytes of a write: few enough that they are still in the processor's cache when they are written.
const BLOCK: usize = 256 << 10;
/// Blocks of one file in memory: 2 MiB.
const MOST_BLOCKS: usize = 8;
/// Twice as much may wait for the disk: a disk of 20 MB/s that has to write more than 8 MiB at once would stop the music that
/// is read from it.
const SYNC_EVERY: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_pushed_is_in_the_file_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("part");
        let (mut append, length) = Append::open(&path, Arc::new(())).expect("opened");
        assert_eq!(length, 0);
        let bytes: Vec<u8> =
            (0..12_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for piece in bytes.chunks(77_777) {
            append.push(piece).await.expect("taken");
        }
        append.sync().await.expect("synced");
        assert!(std::fs::read(&path).expect("read") == bytes);
        drop(append);
        let (mut append, length) = Append::open(&path, Arc::new(())).expect("opened");
        assert_eq!(length, 12_000_000);
        append.push(b"end").await.expect("taken");
        append.flush().await.expect("written");
        assert_eq!(std::fs::metadata(&path).expect("there").len(), 12_000_003);
        append.push(b"nothing of this").await.expect("taken");
        append.cut(11_999_990).await.expect("cut");
        assert_eq!(std::fs::metadata(&path).expect("there").len(), 11_999_990);
        append.push(b"nothing of this").await.expect("taken");
        append.empty().await.expect("emptied");
        append.push(b"new").await.expect("taken");
        append.flush().await.expect("written");
        assert_eq!(std::fs::read(&path).expect("read"), b"new");
    }

    #[tokio::test]
    async fn the_guard_lives_as_long_as_a_write() {
        let folder = tempfile::tempdir().expect("a folder");
        let guard = Arc::new(());
        let (mut append, _) = Append::open(&folder.path().join("part"), guard.clone()).expect("opened");
        append.push(&vec![7; BLOCK]).await.expect("taken");
        drop(append);
        while Arc::strong_count(&guard) > 1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(std::fs::metadata(folder.path().join("part")).expect("there").len(), BLOCK as u64);
    }

    #[tokio::test]
    async fn a_sum_is_of_what_was_written_since_it_was_begun() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut append, _) = Append::open(&folder.path().join("part"), Arc::new(())).expect("opened");
        append.push(b"before").await.expect("taken");
        append.flush().await.expect("written");
        for (sum, algorithm) in [(Sum::Sha256, &SHA256), (Sum::Sha1, &SHA1_FOR_LEGACY_USE_ONLY)] {
            append.begin_sum(sum);
            let bytes = vec![5; 3 * BLOCK + 7];
            for piece in bytes.chunks(1000) {
                append.push(piece).await.expect("taken");
            }
            let want = ring::digest::digest(algorithm, &bytes);
            assert_eq!(append.end_sum().await.expect("written"), want.as_ref());
        }
        assert!(append.end_sum().await.expect("written").is_empty(), "none was begun");
    }

    #[tokio::test]
    async fn what_a_sync_behind_could_not_do_is_told_by_the_file_that_follows() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut append, _) = Append::open(&folder.path().join("part"), Arc::new(())).expect("opened");
        let broken = tokio::spawn(async { Err(io::Error::from_raw_os_error(5)) });
        append.follow(Tail { syncing: Some(broken), unsynced: 0 });
        append.push(b"more").await.expect("taken");
        assert_eq!(append.sync().await.expect_err("it is lost").raw_os_error(), Some(5));
        assert_eq!(append.sync().await.expect_err("still").raw_os_error(), Some(5));
    }

    #[tokio::test]
    async fn more_than_the_disk_takes_waits_and_nothing_is_lost() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("part");
        let (mut append, _) = Append::open(&path, Arc::new(())).expect("opened");
        // As if a write took long.
        append.shared.desk().writes = true;
        let shared = append.shared.clone();
        let (block, all) = (vec![1; BLOCK], MOST_BLOCKS + 3);
        let pushing = tokio::spawn(async move {
            for _ in 0..all {
                append.push(&block).await.expect("taken");
            }
            append.flush().await.expect("written");
        });
        while shared.desk().waiting.len() < MOST_BLOCKS {
            tokio::task::yield_now().await;
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!pushing.is_finished() && shared.desk().waiting.len() == MOST_BLOCKS, "it waits");
        shared.write(Arc::new(()));
        pushing.await.expect("no panic");
        assert_eq!(std::fs::metadata(path).expect("there").len(), (all * BLOCK) as u64);
    }

    #[tokio::test]
    async fn a_disk_that_fails_is_told() {
        let guard = Arc::new(());
        let Ok((mut append, _)) = Append::open(Path::new("/dev/full"), guard) else {
            panic!("it can be opened")
        };
        append.push(&[1; 100]).await.expect("taken");
        for _ in 0..2 {
            assert_eq!(append.flush().await.expect_err("full").kind(), io::ErrorKind::StorageFull);
        }
    }
}
