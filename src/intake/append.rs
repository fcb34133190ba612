//! Appends to a part file beside the network: while one block is written, and every 8 MiB synced, the next one is received.
//! A slow disk slows the transfer down instead of filling the memory, and the last sync is short.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinHandle;

/// A file that grows at its end. Dropped, it loses what was not written yet; `guard` lives until the last write is over.
#[derive(Debug)]
pub struct Append<G> {
    file: Arc<File>,
    buffer: Vec<u8>,
    running: Option<JoinHandle<io::Result<()>>>,
    unsynced: usize,
    guard: Arc<G>,
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
        let append = Append { file: Arc::new(file), buffer: Vec::new(), running: None, unsynced: 0, guard };
        Ok((append, length))
    }

    /// Takes bytes; waits while too many are not written yet.
    ///
    /// # Errors
    /// Those of an earlier write.
    ///
    /// # Cancel
    /// The bytes were taken or not; none is taken twice.
    pub async fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.len() >= MOST {
            self.ended().await?;
        }
        self.buffer.extend_from_slice(bytes);
        let is_idle = self.running.as_ref().is_none_or(JoinHandle::is_finished);
        if self.buffer.len() >= BLOCK && is_idle {
            self.ended().await?;
            self.write();
        }
        Ok(())
    }

    /// Waits until everything is in the file.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.ended().await?;
        self.write();
        self.ended().await
    }

    /// Waits until everything is in the file and on the disk.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn sync(&mut self) -> io::Result<()> {
        self.flush().await?;
        let file = self.file.clone();
        self.unsynced = 0;
        self.beside(move || file.sync_all());
        self.ended().await
    }

    /// Throws everything away.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn empty(&mut self) -> io::Result<()> {
        self.buffer.clear();
        self.ended().await?;
        let file = self.file.clone();
        self.beside(move || file.set_len(0));
        self.ended().await
    }

    /// Takes back what lies behind a place; what was pushed and is not written yet is lost.
    ///
    /// # Errors
    /// Those of the disk.
    pub async fn cut(&mut self, length: u64) -> io::Result<()> {
        self.buffer.clear();
        self.ended().await?;
        let file = self.file.clone();
        self.beside(move || if file.metadata()?.len() > length { file.set_len(length) } else { Ok(()) });
        self.ended().await
    }

    fn write(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let (file, block) = (self.file.clone(), std::mem::take(&mut self.buffer));
        self.unsynced += block.len();
        let syncs = self.unsynced >= SYNC_EVERY;
        if syncs {
            self.unsynced = 0;
        }
        self.beside(move || {
            (&*file).write_all(&block)?;
            if syncs { file.sync_data() } else { Ok(()) }
        });
    }

    fn beside(&mut self, work: impl FnOnce() -> io::Result<()> + Send + 'static) {
        let guard = self.guard.clone();
        self.running = Some(tokio::task::spawn_blocking(move || {
            let done = work();
            drop(guard);
            done
        }));
    }

    async fn ended(&mut self) -> io::Result<()> {
        let Some(running) = &mut self.running else { return Ok(()) };
        let done = running.await;
        self.running = None;
        done.unwrap_or_else(|broke| Err(io::Error::other(broke)))
    }
}

/// Bytes that are worth a write.
const BLOCK: usize = 256 << 10;
/// Bytes that wait at most, and as many are being written.
const MOST: usize = 2 << 20;
/// More than a disk of 20 MB/s writes in half a second would stop the music that is read from it.
const SYNC_EVERY: usize = 8 << 20;

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
    async fn a_disk_that_fails_is_told() {
        let guard = Arc::new(());
        let Ok((mut append, _)) = Append::open(Path::new("/dev/full"), guard) else {
            panic!("it can be opened")
        };
        append.push(&[1; 100]).await.expect("taken");
        assert_eq!(append.flush().await.expect_err("full").kind(), io::ErrorKind::StorageFull);
    }
}
