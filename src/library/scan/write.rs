//! What a scan read becomes rows: on the writer's thread, some hundred files at a time, the history before the rows.

use std::path::PathBuf;

use rusqlite::{Connection, Transaction};
use tracing::info;

use crate::error::Result;
use crate::library::ledger::AdoptedLine;
use crate::library::roots::Disk;
use crate::library::scan::walk::name_of;
use crate::library::store::roots::folder_id;
use crate::library::store::scanned::{self, Facts, Read};
use crate::library::store::{shown, tracks};
use crate::library::{CopyRow, Inner};
use crate::track::{CopyId, TrackId};

/// Files that were read, by folder.
#[derive(Default)]
pub struct Batch {
    /// The folders.
    pub folders: Vec<FolderRead>,
    /// The first look at this root: what is there came when it was last changed.
    pub first_look: bool,
}

/// Files of one folder that were read.
pub struct FolderRead {
    /// The folder, below the root.
    pub folder: PathBuf,
    /// The files.
    pub files: Vec<Read>,
    /// Some of them were refused before.
    pub refused: bool,
}

/// Writes a batch, all or nothing. Returns how many files are new to the shelf.
///
/// # Errors
/// Those of the database and of the disk of the history.
pub fn write(
    inner: &Inner,
    connection: &mut Connection,
    disk: &Disk,
    batch: &Batch,
    now: i64,
) -> Result<usize> {
    let transaction = connection.transaction()?;
    let any_missing = scanned::any_missing(&transaction)?;
    let held = scanned::held(&transaction, disk.id)?;
    let (mut fresh, mut lines) = (0, Vec::new());
    for batched in &batch.folders {
        let folder = folder_id(&transaction, disk.id, &batched.folder)?;
        let (first_look, any_there) = (batch.first_look, scanned::any_at(&transaction, folder)?);
        let (transaction, batch, held) = (&transaction, batched, &held);
        let mut work =
            Work { transaction, batch, first_look, folder, any_there, any_missing, held, lines, now };
        for read in &batched.files {
            fresh += usize::from(work.file(read)?);
        }
        lines = work.lines;
    }
    if disk.is_writable() && !lines.is_empty() {
        disk.ledger()?.append_all(&lines)?;
    }
    shown::note_both(&transaction)?;
    inner.commit(transaction)?;
    Ok(fresh)
}

struct Work<'a> {
    transaction: &'a Transaction<'a>,
    batch: &'a FolderRead,
    first_look: bool,
    folder: i64,
    /// Something is known to lie in the folder.
    any_there: bool,
    /// Paths that interrupted arrivals hold.
    held: &'a [PathBuf],
    any_missing: bool,
    lines: Vec<AdoptedLine>,
    now: i64,
}

impl Work<'_> {
    /// Returns whether the file is new to the shelf.
    fn file(&mut self, read: &Read) -> Result<bool> {
        if !self.held.is_empty() && self.held.contains(&self.batch.folder.join(name_of(&read.name))) {
            // It is finished by its own way.
            return Ok(false);
        }
        let there =
            if self.any_there { scanned::at(self.transaction, self.folder, &read.name)? } else { None };
        if self.batch.refused {
            scanned::unrefuse(self.transaction, self.folder, &read.name)?;
        }
        let facts = match &read.what {
            Ok(facts) => facts,
            Err(why) => {
                info!(path = %self.batch.folder.join(name_of(&read.name)).display(), why, "not taken onto the shelf");
                if let Some(copy) = there {
                    scanned::miss(self.transaction, copy, self.now)?;
                }
                scanned::refuse(self.transaction, self.folder, read, why)?;
                return Ok(false);
            }
        };
        if let Some(copy) = there {
            let Some(row) = tracks::copy(self.transaction, copy)? else { return Ok(false) };
            return self.again(read, facts, &row);
        }
        if self.any_missing
            && let Some(moved) = scanned::moved_from(self.transaction, self.folder, read, facts.quick)?
        {
            scanned::reread(self.transaction, &moved, self.folder, read, facts)?;
            if !self.is_told(&moved, read)? {
                self.tell(moved.track, read, facts)?;
            }
            return Ok(false);
        }
        let replaces = match facts.shown.alike {
            Some(alike) if self.any_missing => scanned::replaced(self.transaction, alike, facts.duration)?,
            _ => None,
        };
        self.adopt(read, facts, replaces)?;
        Ok(replaces.is_none())
    }

    /// A file that is known at its place was changed: other tags, or another payload.
    fn again(&mut self, read: &Read, facts: &Facts, row: &CopyRow) -> Result<bool> {
        let was = tracks::quick_of(self.transaction, row.id)?;
        if was == facts.quick {
            scanned::reread(self.transaction, row, self.folder, read, facts)?;
            return Ok(false);
        }
        scanned::miss(self.transaction, row.id, self.now)?;
        let same = match facts.shown.alike {
            Some(alike) => scanned::replaced(self.transaction, alike, facts.duration)?,
            None => None,
        };
        self.adopt(read, facts, same.filter(|&track| track == row.track))?;
        Ok(same.is_none())
    }

    fn adopt(&mut self, read: &Read, facts: &Facts, track: Option<TrackId>) -> Result<()> {
        let past = (YEAR_1980..self.now).contains(&read.modified).then_some(read.modified);
        let added = past.filter(|_| self.first_look).unwrap_or(self.now);
        let (track, copy) = scanned::adopt(self.transaction, self.folder, read, facts, track, added)?;
        if !self.first_look {
            scanned::note_newcomer(self.transaction, copy, facts.quick)?;
        }
        self.tell(track, read, facts)
    }

    /// Whether the history says already what a file that was missing is, and that it lies here: so it is after a rebuild. Where
    /// others lay at the same place, the last line may be theirs.
    fn is_told(&self, was: &CopyRow, read: &Read) -> Result<bool> {
        let here = was.path == self.batch.folder.join(name_of(&read.name)) && was.size.0 == read.size;
        Ok(here && was.event.is_none() && !scanned::had_others(self.transaction, self.folder, &read.name)?)
    }

    fn tell(&mut self, track: TrackId, read: &Read, facts: &Facts) -> Result<()> {
        let path = self.batch.folder.join(name_of(&read.name));
        let added = tracks::added(self.transaction, track)?;
        self.lines.push(AdoptedLine::new(track, &path, read.size, facts.quick, added));
        Ok(())
    }
}

/// Marks copies and folders that are gone; a file that came elsewhere with the same payload takes the old one's place.
///
/// # Errors
/// Those of the database.
pub fn miss(
    inner: &Inner,
    connection: &mut Connection,
    disk: &Disk,
    copies: &[CopyId],
    folders: &[PathBuf],
    now: i64,
) -> Result<usize> {
    let transaction = connection.transaction()?;
    let mut gone: Vec<CopyId> = copies.to_vec();
    for folder in folders {
        gone.extend(scanned::copies_below(&transaction, disk.id, folder)?);
    }
    let mut lines = Vec::new();
    for &copy in &gone {
        let Some(row) = tracks::copy(&transaction, copy)?.filter(|row| !row.missing) else { continue };
        scanned::miss(&transaction, copy, now)?;
        if let Some(instead) = scanned::came_instead(&transaction, &row)? {
            scanned::give(&transaction, instead.id, instead.track, row.track)?;
            let quick = tracks::quick_of(&transaction, instead.id)?;
            let added = tracks::added(&transaction, row.track)?;
            lines.push(AdoptedLine::new(row.track, &instead.path, instead.size.0, quick, added));
        }
    }
    if gone.is_empty() {
        return Ok(0);
    }
    if disk.is_writable() && !lines.is_empty() {
        disk.ledger()?.append_all(&lines)?;
    }
    shown::note_both(&transaction)?;
    inner.commit(transaction)?;
    Ok(gone.len())
}

/// Seconds since 1970. Times before are those of a machine without a clock.
const YEAR_1980: i64 = 315_532_800;
