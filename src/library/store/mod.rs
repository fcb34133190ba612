//! All SQL. One writer connection on its own thread, a few readers; owner.db with index.db attached as `idx`.

pub mod bought;
pub mod corrections;
pub mod devices;
pub mod finding;
pub mod journal;
pub mod loudness;
pub mod marks;
pub mod past_tracks;
pub mod purchases;
pub mod roots;
pub mod salvage;
pub mod same;
pub mod scanned;
pub mod shown;
pub mod tracks;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::error::{Error, Kind, Result};

type Job = Box<dyn FnOnce(&mut Connection) + Send>;

/// The databases. Closed by dropping the last handle.
#[derive(Debug)]
pub struct Store {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    readers: Arc<Readers>,
}

#[derive(Debug)]
struct Readers {
    data: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turns: Semaphore,
    /// How often was read, and how often when that was last looked at and when pages were last given back.
    reads: AtomicU64,
    seen: AtomicU64,
    rested: AtomicU64,
}

impl Store {
    /// Opens the databases in `data`, makes or upgrades them. Returns, too, whether nothing must be mended: the last stop was
    /// clean and index.db is as it was left.
    ///
    /// # Errors
    /// `Damaged` when owner.db fails its check after an unclean stop, `Unsupported` when it is of a newer konpo.
    pub fn open(data: &Path) -> Result<(Store, bool)> {
        let mut connection = connect(data)?;
        let index_is_new = super::upgrade::upgrade(&mut connection, &data.join(OWNER))?;
        let clean = kept(&connection, "clean")?.is_none_or(|value| value == "1");
        if !clean {
            tracing::info!("the last stop was not clean: the shelf is mended");
            let verdict: String = connection.query_row("PRAGMA main.quick_check(1)", [], |row| row.get(0))?;
            if verdict != "ok" {
                let what =
                    format!("check {}: {verdict}; `konpo check --rebuild` makes it anew", data.display());
                return Err(Error::new(Kind::Damaged, what));
            }
        }
        keep(&connection, "clean", "0")?;
        // Callers wait for their turn when 64 writes stand in line.
        let (jobs, mut line) = mpsc::channel::<Job>(64);
        let thread = std::thread::Builder::new().name("konpo-store".into()).spawn(move || {
            while let Some(job) = line.blocking_recv() {
                job(&mut connection);
            }
        });
        let thread = thread.map_err(|error| Error::io("start the writer of the database", error))?;
        let readers = Readers::of(data);
        let store = Store {
            jobs: Mutex::new(Some(jobs)),
            thread: Mutex::new(Some(thread)),
            readers: Arc::new(readers),
        };
        Ok((store, clean && !index_is_new))
    }

    /// Runs a write on the writer's thread.
    ///
    /// # Errors
    /// Those of the work; `Stopped` after `close`.
    ///
    /// # Cancel
    /// A dropped future leaves the work to finish.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // A caller that went away does not undo the work.
            let _gone = done.send(work(connection));
        });
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stopped = || Error::new(Kind::Stopped, "the shelf is closed");
        jobs.ok_or_else(stopped)?.send(job).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| Error::new(Kind::Internal, "the writer of the database broke"))?
    }

    /// Hands a write to the writer's thread. Its answer comes through what is returned.
    ///
    /// # Errors
    /// `Stopped` after `close`.
    /// # Blocks
    /// While 64 writes stand in line.
    pub fn hand_over<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T>>> {
        let (done, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // A caller that went away does not undo the work.
            let _gone = done.send(work(connection));
        });
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let stopped = || Error::new(Kind::Stopped, "the shelf is closed");
        jobs.ok_or_else(stopped)?.blocking_send(job).map_err(|_| stopped())?;
        Ok(answer)
    }

    /// Returns a connection of one's own, for reading a lot.
    ///
    /// # Errors
    /// Those of the database.
    pub fn reader(&self) -> Result<Connection> {
        let connection = connect(&self.readers.data)?;
        connection.execute_batch("PRAGMA query_only = ON")?;
        Ok(connection)
    }

    /// Runs a write and waits for it on this thread: only while the shelf is being opened.
    ///
    /// # Errors
    /// Those of the work.
    /// # Blocks
    /// As long as the disk takes.
    pub fn write_now<T: Send + 'static>(&self, work: impl FnOnce(&mut Connection) -> Result<T>) -> Result<T> {
        let mut connection = connect(&self.readers.data)?;
        work(&mut connection)
    }

    /// Runs a read on one of a few connections.
    ///
    /// # Errors
    /// Those of the work.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let readers = self.readers.clone();
        let stopped = |_| Error::new(Kind::Stopped, "the shelf is closed");
        let _turn = self.readers.turns.acquire().await.map_err(stopped)?;
        let done = tokio::task::spawn_blocking(move || readers.run(work)).await;
        done.map_err(|error| Error::with(Kind::Internal, "read the database", error))?
    }

    /// Runs a read on this thread.
    ///
    /// # Errors
    /// Those of the work.
    /// # Blocks
    /// As long as the disk takes.
    pub fn read_blocking<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.readers.run(work)
    }

    /// Gives back the pages its idle connections keep in memory: 1 MB each. The kernel has them, too.
    pub fn rest(&self) {
        for connection in self.readers.idle.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            forget_pages(connection);
        }
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A writer that has work in line does not rest.
        let _busy = jobs.map(|jobs| jobs.try_send(Box::new(|connection| forget_pages(connection))));
    }

    /// As [`Store::rest`] when something was read, but nothing since this was last asked. Returns whether it was so.
    pub fn rest_when_calm(&self) -> bool {
        let Readers { reads, seen, rested, .. } = &*self.readers;
        let now = reads.load(Relaxed);
        let is_calm = seen.swap(now, Relaxed) == now && rested.load(Relaxed) != now;
        if is_calm {
            rested.store(now, Relaxed);
            self.rest();
        }
        is_calm
    }

    /// Marks a clean stop and ends the writer's thread. Later writes are refused.
    ///
    /// # Blocks
    /// Until the writes in line are done.
    pub fn close(&self) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(jobs) = jobs {
            let last: Job = Box::new(|connection| {
                let clean = keep(connection, "clean", "1")
                    .and_then(|()| Ok(connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?));
                if let Err(error) = clean {
                    tracing::warn!(%error, "the database could not be closed in order");
                }
            });
            // The thread is gone only when it broke; then there is nothing to close.
            let _broken = jobs.blocking_send(last);
        }
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer of the database broke");
        }
    }
}

impl Readers {
    fn of(data: &Path) -> Readers {
        Readers {
            data: data.to_owned(),
            idle: Mutex::default(),
            turns: Semaphore::new(READERS),
            reads: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            rested: AtomicU64::new(0),
        }
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        self.reads.fetch_add(1, Relaxed);
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = connect(&self.data)?;
                connection.execute_batch("PRAGMA query_only = ON")?;
                connection
            }
        };
        let result = work(&connection);
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < READERS {
            idle.push(connection);
        }
        result
    }
}

/// Opens a connection to both databases.
pub fn connect(data: &Path) -> Result<Connection> {
    let owner = data.join(OWNER);
    let opened = Connection::open(&owner);
    let connection = opened.map_err(|error| {
        Error::with(Kind::Internal, format!("open the database {}", owner.display()), error)
    })?;
    connection.execute("ATTACH DATABASE ?1 AS idx", [data.join(INDEX).to_string_lossy()])?;
    // 512 KiB of pages each: the box is small, the kernel caches the files anyway.
    connection.execute_batch(
        "PRAGMA main.journal_mode = WAL; PRAGMA main.synchronous = FULL;
         PRAGMA idx.journal_mode = WAL; PRAGMA idx.synchronous = NORMAL;
         PRAGMA main.cache_size = -512; PRAGMA idx.cache_size = -512;
         PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000; PRAGMA temp_store = MEMORY;",
    )?;
    // A partial index may be used for one value and not for another, so SQLite plans such a statement again for every value.
    // All of ours are written for one plan.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn forget_pages(connection: &Connection) {
    if let Err(error) = connection.execute_batch("PRAGMA shrink_memory") {
        tracing::debug!(%error, "a connection keeps its pages");
    }
}

/// Returns a single kept value.
pub fn kept(connection: &Connection, name: &str) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached("SELECT value FROM kept WHERE name = ?1")?;
    Ok(statement.query_row([name], |row| row.get(0)).optional()?)
}

/// Keeps a single value.
pub fn keep(connection: &Connection, name: &str, value: &str) -> Result<()> {
    let sql = "INSERT INTO kept(name, value) VALUES (?1, ?2) ON CONFLICT(name) DO UPDATE SET value = ?2";
    connection.prepare_cached(sql)?.execute([name, value])?;
    Ok(())
}

/// Forgets a single value.
pub fn forget(connection: &Connection, name: &str) -> Result<()> {
    connection.prepare_cached("DELETE FROM kept WHERE name = ?1")?.execute([name])?;
    Ok(())
}

/// Returns a value as the JSON of a column.
pub fn to_json(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::with(Kind::Internal, "write a column as JSON", error))
}

/// Returns the value of a JSON column.
pub fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::with(Kind::Damaged, "read a column of the database", error))
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Error {
        use rusqlite::ErrorCode as Code;
        let kind = match error.sqlite_error_code() {
            Some(Code::DiskFull) => Kind::Full,
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Kind::Damaged,
            Some(Code::DatabaseBusy | Code::DatabaseLocked) => Kind::Busy,
            Some(Code::ReadOnly) => Kind::NotAllowed,
            _ => Kind::Internal,
        };
        Error::with(kind, "work on the database", error)
    }
}

/// What cannot be recomputed.
pub const OWNER: &str = "owner.db";
/// What a scan can rebuild.
pub const INDEX: &str = "index.db";
/// Two readers: one for a list that is long, one for the player.
const READERS: usize = 2;
