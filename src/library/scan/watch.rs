//! Hears of changes in the music folders.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use notify::event::{EventKind, ModifyKind};
use notify::{ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};
use tracing::warn;

use crate::library::roots::Disk;
use crate::library::scan::{QUIET, Shared};

/// Watches the folders of roots.
#[derive(Debug, Default)]
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    /// A disk that went took its watches along.
    over: HashMap<PathBuf, Weak<Disk>>,
    /// Folders that could not be read. They are tried again at every look.
    shut: Vec<PathBuf>,
}

impl Watch {
    /// Watches a root and everything below it, from now on.
    pub fn over(&mut self, disk: &Arc<Disk>, shared: &Arc<Shared>) {
        let (root, now) = (&disk.root.path, Arc::downgrade(disk));
        if self.over.get(root).is_some_and(|was| was.ptr_eq(&now)) {
            self.try_again(root, shared);
            return;
        }
        let again = self.over.remove(root).is_some();
        let mut shut = Vec::new();
        let watched = self.watcher(shared).and_then(|watcher| {
            // An error means that there was none any more.
            let _gone = again.then(|| watcher.unwatch(root));
            watch_below(watcher, root, &mut shut)
        });
        self.shut.retain(|folder| !folder.starts_with(root));
        self.shut.extend(shut);
        match watched {
            Ok(()) => drop(self.over.insert(root.clone(), now)),
            Err(error) => {
                warn!(path = %root.display(), %error, "changes in this music folder are noticed at the next rescan only");
            }
        }
    }

    /// Watches folders that can be read by now. What came into them meanwhile nobody has told.
    fn try_again(&mut self, root: &Path, shared: &Arc<Shared>) {
        let Some(watcher) = &mut self.watcher else { return };
        let (tried, mut shut): (Vec<_>, Vec<_>) =
            self.shut.drain(..).partition(|folder| folder.starts_with(root));
        for folder in tried.into_iter().filter(|folder| folder.is_dir()) {
            if std::fs::read_dir(&folder).is_err() {
                shut.push(folder);
            } else if watch_below(watcher, &folder, &mut shut).is_ok() {
                shared.ask();
            }
        }
        self.shut = shut;
    }

    fn watcher(&mut self, shared: &Arc<Shared>) -> notify::Result<&mut RecommendedWatcher> {
        if self.watcher.is_none() {
            let shared = shared.clone();
            // As the walk: what a link names is no part of the folder; one to / would have the whole system watched.
            let config = notify::Config::default().with_follow_symlinks(false);
            self.watcher = Some(RecommendedWatcher::new(move |event| heard(&shared, event), config)?);
        }
        self.watcher.as_mut().ok_or_else(|| notify::Error::generic("there is no watcher"))
    }
}

/// Watches a folder and everything below it. notify gives up at the first one that cannot be read (`lost+found`): then
/// those in it are watched one by one, and `shut` has the ones that cannot.
fn watch_below(
    watcher: &mut RecommendedWatcher,
    folder: &Path,
    shut: &mut Vec<PathBuf>,
) -> notify::Result<()> {
    let Err(error) = watcher.watch(folder, RecursiveMode::Recursive) else { return Ok(()) };
    let Some(entries) = std::fs::read_dir(folder).ok().filter(|_| matches!(error.kind, ErrorKind::Io(_)))
    else {
        shut.extend(Some(folder.to_owned()).filter(|_| matches!(error.kind, ErrorKind::Io(_))));
        return Err(error);
    };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        match watch_below(watcher, &entry.path(), shut) {
            Err(error) if !matches!(error.kind, ErrorKind::Io(_)) => return Err(error),
            _watched_or_shut => {}
        }
    }
    Ok(())
}

fn heard(shared: &Shared, event: notify::Result<Event>) {
    let Ok(event) = event else { return };
    if event.need_rescan() {
        shared.ask();
        return;
    }
    if matches!(event.kind, EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_)))
        && !is_written(&event)
    {
        return;
    }
    for path in event.paths {
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if let Some(folder) = path.parent().filter(|_| !hidden) {
            shared.note(folder.to_owned(), QUIET);
        }
    }
}

/// A file that was open for writing was closed, or its times were set.
fn is_written(event: &Event) -> bool {
    use notify::event::{AccessKind, AccessMode};
    matches!(
        event.kind,
        EventKind::Access(AccessKind::Close(AccessMode::Write)) | EventKind::Modify(ModifyKind::Metadata(_))
    )
}
