//! When copies of what cannot be computed again are made: once a day, and after some arrivals. Called every minute by
//! whoever looks at the disk anyway, so that no disk is woken for it.

use std::path::Path;
use std::sync::PoisonError;

use tracing::{info, warn};

use crate::error::Result;
use crate::library::backup::{self, Due};
use crate::library::{Inner, Library};
use crate::units::UnixTime;

/// What is due.
#[derive(Debug)]
pub(super) struct Safety {
    backup: Due,
    /// Known once the disk was there.
    snapshot: Option<Due>,
}

impl Safety {
    /// Returns what is known at the start.
    pub(super) fn open(data: &Path) -> Safety {
        let last = backup::last(data, UnixTime::now()).unwrap_or_else(|error| {
            warn!(%error, "the folder of backups cannot be read");
            None
        });
        Safety { backup: Due::since(last), snapshot: None }
    }

    /// Counts an arrival.
    pub(super) fn arrived(&mut self) {
        self.backup.arrived(1);
        self.snapshot.iter_mut().for_each(|due| due.arrived(1));
    }
}

impl Library {
    /// Makes a backup, and the copy beside the music, when one is due. What fails is tried again in an hour.
    ///
    /// # Blocks
    /// As long as copying the database takes.
    pub fn keep_safe(&self, now: UnixTime) {
        let inner = &self.inner;
        let root = inner.disk().and_then(|disk| disk.writable()).ok().map(|disk| disk.root.path.clone());
        let (backup, snapshot) = {
            let mut safety = inner.safety();
            if let (None, Some(root)) = (&safety.snapshot, &root) {
                safety.snapshot = Some(Due::since(backup::last_snapshot(root)));
            }
            (safety.backup.is_due(now), safety.snapshot.as_ref().is_some_and(|due| due.is_due(now)))
        };
        if backup {
            let made = backup::make(&inner.data, now).and_then(|path| {
                info!(path = %path.display(), "a backup is made");
                backup::prune(&inner.data, now)
            });
            note(&mut inner.safety().backup, made, now, "a backup could not be made");
        }
        if let Some(root) = root.filter(|_| snapshot) {
            let made = backup::snapshot(&inner.data, &root);
            if let Some(due) = &mut inner.safety().snapshot {
                note(due, made, now, "the copy beside the music could not be made");
            }
        }
    }
}

fn note(due: &mut Due, made: Result<()>, now: UnixTime, words: &str) {
    match made {
        Ok(()) => due.made(now),
        Err(error) => {
            warn!(%error, "{words}");
            due.failed(now);
        }
    }
}

impl Inner {
    /// Returns what is due.
    pub(super) fn safety(&self) -> std::sync::MutexGuard<'_, Safety> {
        self.safety.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use crate::library::{Library, LibraryConfig};
    use crate::units::{ByteCount, UnixTime};

    #[test]
    fn a_new_shelf_is_copied_at_once_and_then_once_a_day() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let config = LibraryConfig {
            music: vec![folder.path().join("music")],
            data: data.clone(),
            keep_free: Some(ByteCount(0)),
        };
        let library = Library::open(config).expect("opened");
        let count = || std::fs::read_dir(data.join("backup")).expect("there").count();
        let now = UnixTime::now();
        library.keep_safe(now);
        assert_eq!(count(), 1);
        let snapshot = folder.path().join("music/.konpo/snapshot.db");
        assert!(snapshot.is_file());
        library.keep_safe(UnixTime(now.0 + 3600));
        assert_eq!(count(), 1);
        for _ in 0..50 {
            library.inner.safety().arrived();
        }
        std::fs::remove_file(&snapshot).expect("removed");
        library.keep_safe(UnixTime(now.0 + 7200));
        assert_eq!(count(), 2);
        assert!(snapshot.is_file());
        library.keep_safe(UnixTime(now.0 + 7200 + 86_400));
        assert_eq!(count(), 3);
    }
}
