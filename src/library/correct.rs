//! Corrections by hand: a line of the history beside the music, then the row, then what the track shows. The file is never
//! touched, and a new scan shows the corrected words again.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::error::{Error, Kind, Result};
use crate::library::ledger::CorrectedLine;
use crate::library::store::corrections::{self, Correction};
use crate::library::store::{loudness, roots, shown, tracks};
use crate::library::{Inner, Library};
use crate::track::TrackId;
use crate::track::correction::Change;
use crate::units::UnixTime;

impl Library {
    /// Changes what is corrected of tracks, of all of them or of none. Lists show it at once.
    ///
    /// # Errors
    /// `NotFound` for a track that is not on the shelf, `Offline` while its disk is not there, and those of the disk.
    pub async fn correct(&self, ids: &[TrackId], change: Change, at: UnixTime) -> Result<()> {
        let (inner, ids) = (self.inner.clone(), ids.to_vec());
        self.inner.store.write(move |c| correct(&inner, c, &ids, &change, at)).await
    }
}

fn correct(
    inner: &Inner,
    connection: &mut Connection,
    ids: &[TrackId],
    change: &Change,
    at: UnixTime,
) -> Result<()> {
    let mut changed: BTreeMap<TrackId, Correction> = BTreeMap::new();
    let mut lines: BTreeMap<i64, Vec<CorrectedLine>> = BTreeMap::new();
    for &id in ids {
        let copies = tracks::copies_of(connection, id)?;
        if copies.is_empty() {
            return Err(Error::new(Kind::NotFound, format!("there is no track {id}")));
        }
        let before = corrections::of(connection, id)?;
        let words = change.of(&before.words);
        if words == before.words || changed.contains_key(&id) {
            continue;
        }
        let after = Correction { words, number: before.number.saturating_add(1), at };
        for copy in &copies {
            let line = || CorrectedLine::new(id, &copy.path, after.number, at, &after.words);
            match lines.entry(copy.root).or_default() {
                known if known.last().is_some_and(|last| last.track == id.0) => {}
                known => known.push(line()),
            }
        }
        changed.insert(id, after);
    }
    if changed.is_empty() {
        return Ok(());
    }
    tell(inner, connection, &lines)?;
    let transaction = connection.transaction()?;
    for (id, correction) in &changed {
        corrections::put(&transaction, *id, correction)?;
        shown::refresh(&transaction, *id)?;
    }
    // Its album may be another one now.
    if loudness::any_album(&transaction)? {
        let albums = loudness::albums(&transaction)?;
        loudness::put_albums(&transaction, &albums)?;
    }
    shown::note_both(&transaction)?;
    inner.commit(transaction)
}

/// Writes the lines into the history of each disk. One that can only be read keeps none: the database alone knows then.
fn tell(inner: &Inner, connection: &Connection, lines: &BTreeMap<i64, Vec<CorrectedLine>>) -> Result<()> {
    let mut disks = Vec::with_capacity(lines.len());
    for (&root, lines) in lines {
        let Some(disk) = inner.disk_of(root) else {
            let folder = roots::root_path(connection, root)?;
            let what = format!("the music disk is not there: {}", folder.display());
            return Err(Error::new(Kind::Offline, what));
        };
        disks.push((disk, lines));
    }
    for (disk, lines) in disks.into_iter().filter(|(disk, _)| disk.is_writable()) {
        disk.ledger()?.append_all(lines)?;
    }
    Ok(())
}
