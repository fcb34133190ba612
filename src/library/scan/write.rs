//! What a scan read becomes rows: on the writer's thread, some hundred files at a time, the history before the rows.

use std::path::PathBuf;

use rusqlite::{Connection, Transaction};
use tracing::info;

use crate::error::Result;
use crate::library::ledger::AdoptedLine;
use crate::library::roots::Disk;
use crate::library::scan::walk::name_of;
use crate::library::store::roots::folder_id;
use crate::library::store::same::{self, Joined, Song};
use crate::library::store::scanned::{self, Facts, Read};
use crate::library::store::{purchases, shown, tracks};
use crate::library::{CopyRow, Inner};
use crate::query::purchases::SameBy;
use crate::track::{CopyId, Purchase, TrackId};

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
    let any_locked = batch.songs(true).next().is_some() || same::any_locked(&transaction)?;
    let (mut fresh, mut lines, mut unlocked) = (0, Vec::new(), Vec::new());
    // Locked files last, so that each finds the free one that came with it.
    for locked in [false, true] {
        let songs: Vec<Song<'_>> = batch.songs(locked).filter(|_| locked).collect();
        let mut free = same::free_for(&transaction, &songs)?.into_iter();
        for batched in &batch.folders {
            let mut files = batched.files.iter().filter(|read| is_locked(read) == locked).peekable();
            if locked && files.peek().is_none() {
                continue;
            }
            let folder = folder_id(&transaction, disk.id, &batched.folder)?;
            let (first_look, any_there) = (batch.first_look, scanned::any_at(&transaction, folder)?);
            let (transaction, batch, held) = (&transaction, batched, &held);
            let look = Look { any_there, any_missing, any_locked, first_look };
            let mut work = Work { transaction, batch, folder, look, held, lines, unlocked, now };
            for read in files {
                let free = if locked { free.next().flatten() } else { None };
                fresh += usize::from(work.file(read, free)?);
            }
            (lines, unlocked) = (work.lines, work.unlocked);
        }
    }
    if disk.is_writable() && !lines.is_empty() {
        disk.ledger()?.append_all(&lines)?;
    }
    shown::note_both(&transaction)?;
    inner.commit(transaction)?;
    inner.tell_unlocked(unlocked);
    Ok(fresh)
}

impl Batch {
    /// Returns the songs that are locked, or those that are not, in the order of the files.
    fn songs(&self, locked: bool) -> impl Iterator<Item = Song<'_>> {
        let files = self.folders.iter().flat_map(|folder| &folder.files);
        let facts = files.filter_map(|read| read.what.as_deref().ok());
        let wanted = facts.filter(move |facts| facts.protection.is_locked() == locked);
        wanted.map(|facts| song_of(facts))
    }
}

fn song_of(facts: &Facts) -> Song<'_> {
    Song { purchases: &facts.purchases, shown: &facts.shown, duration: facts.duration }
}

fn is_locked(read: &Read) -> bool {
    read.what.as_deref().is_ok_and(|facts| facts.protection.is_locked())
}

/// What is known before a file is looked at.
#[derive(Clone, Copy)]
struct Look {
    /// The first look at this root.
    first_look: bool,
    /// Something is known to lie in the folder.
    any_there: bool,
    /// Without anything missing no new file can be one that moved.
    any_missing: bool,
    /// Without anything locked nothing can be unlocked.
    any_locked: bool,
}

struct Work<'a> {
    transaction: &'a Transaction<'a>,
    batch: &'a FolderRead,
    folder: i64,
    look: Look,
    /// Paths that interrupted arrivals hold.
    held: &'a [PathBuf],
    lines: Vec<AdoptedLine>,
    unlocked: Vec<TrackId>,
    now: i64,
}

impl Work<'_> {
    /// Returns whether the file is new to the shelf. `free` is the track of the song whose locked file it may be.
    fn file(&mut self, read: &Read, free: Option<Joined>) -> Result<bool> {
        if !self.held.is_empty() && self.held.contains(&self.batch.folder.join(name_of(&read.name))) {
            // It is finished by its own way.
            return Ok(false);
        }
        let there =
            if self.look.any_there { scanned::at(self.transaction, self.folder, &read.name)? } else { None };
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
        if self.look.any_missing
            && let Some(moved) = scanned::moved_from(self.transaction, self.folder, read, facts.quick)?
        {
            let renewed = scanned::reread(self.transaction, &moved, self.folder, read, facts)?;
            if renewed || !self.is_told(&moved, read)? {
                self.tell_again(&moved, read, facts)?;
            }
            return Ok(false);
        }
        let replaces = match facts.shown.alike {
            Some(alike) if self.look.any_missing => {
                scanned::replaced(self.transaction, alike, facts.duration)?
            }
            _ => None,
        };
        let joins = match replaces {
            Some(_) => None,
            None if facts.protection.is_locked() => free,
            None if self.may_unlock(facts) => same::locked_for(self.transaction, &song_of(facts))?,
            None => None,
        };
        match joins.or(self.unlocks(replaces, facts)?) {
            Some(joined) => self.join(read, facts, joined)?,
            None => drop(self.adopt(read, facts, replaces)?),
        }
        Ok(replaces.is_none())
    }

    /// A free file of a song that was locked, or the locked one of a song that is free: both lie under one track.
    fn join(&mut self, read: &Read, facts: &Facts, joined: Joined) -> Result<()> {
        let copy = self.adopt(read, facts, Some(joined.track))?;
        same::note(self.transaction, -copy.0, joined.track, self.now, joined.by)?;
        if let Some(line) = self.lines.last_mut() {
            line.joined = Some((joined.by, self.now));
        }
        self.unlocked.push(joined.track);
        Ok(())
    }

    /// A file that is known at its place was changed: other tags, or another payload.
    fn again(&mut self, read: &Read, facts: &Facts, row: &CopyRow) -> Result<bool> {
        let was = tracks::quick_of(self.transaction, row.id)?;
        if was == facts.quick {
            if scanned::reread(self.transaction, row, self.folder, read, facts)? {
                self.tell_again(row, read, facts)?;
            }
            return Ok(false);
        }
        scanned::miss(self.transaction, row.id, self.now)?;
        let same = match facts.shown.alike {
            Some(alike) => scanned::replaced(self.transaction, alike, facts.duration)?,
            None => None,
        };
        let own = same.filter(|&track| track == row.track);
        let joins = match own {
            Some(_) => self.unlocks(own, facts)?,
            None if self.may_unlock(facts) => same::locked_for(self.transaction, &song_of(facts))?,
            None => None,
        };
        match joins {
            Some(joined) => self.join(read, facts, joined)?,
            None => drop(self.adopt(read, facts, own)?),
        }
        Ok(same.is_none())
    }

    fn may_unlock(&self, facts: &Facts) -> bool {
        self.look.any_locked && !facts.protection.is_locked() && facts.format.codec.is_decodable()
    }

    /// Returns what a free file unlocks that takes the place of another one of the same words: the track of that, when it
    /// was locked.
    fn unlocks(&self, instead_of: Option<TrackId>, facts: &Facts) -> Result<Option<Joined>> {
        let Some(track) = instead_of.filter(|_| self.may_unlock(facts)) else { return Ok(None) };
        let locked = same::is_locked(self.transaction, track)?;
        Ok(locked.then_some(Joined { track, by: SameBy::Words }))
    }

    fn adopt(&mut self, read: &Read, facts: &Facts, track: Option<TrackId>) -> Result<CopyId> {
        let past = (YEAR_1980..self.now).contains(&read.modified).then_some(read.modified);
        let added = past.filter(|_| self.look.first_look).unwrap_or(self.now);
        let (track, copy) = scanned::adopt(self.transaction, self.folder, read, facts, track, added)?;
        if !self.look.first_look {
            scanned::note_newcomer(self.transaction, copy, facts.quick)?;
        }
        self.tell((track, copy), read, facts, facts.purchases.clone())?;
        Ok(copy)
    }

    /// Whether the history says already what a file that was missing is, and that it lies here: so it is after a rebuild. Where
    /// others lay at the same place, the last line may be theirs.
    fn is_told(&self, was: &CopyRow, read: &Read) -> Result<bool> {
        let here = was.path == self.batch.folder.join(name_of(&read.name)) && was.size.0 == read.size;
        Ok(here && was.event.is_none() && !scanned::had_others(self.transaction, self.folder, &read.name)?)
    }

    /// A file that is known has another place, or proves other buys.
    fn tell_again(&mut self, row: &CopyRow, read: &Read, facts: &Facts) -> Result<()> {
        let purchases = purchases::of_found(self.transaction, row.id)?;
        self.tell((row.track, row.id), read, facts, purchases)
    }

    fn tell(
        &mut self,
        (track, copy): (TrackId, CopyId),
        read: &Read,
        facts: &Facts,
        purchases: Vec<Purchase>,
    ) -> Result<()> {
        let path = self.batch.folder.join(name_of(&read.name));
        let added = tracks::added(self.transaction, track)?;
        let joined = if self.look.any_locked { same::of_found(self.transaction, copy)? } else { None };
        let mut line = AdoptedLine::new(track, &path, read.size, facts.quick, added);
        if !purchases.is_empty() {
            line = line.bought(purchases, &shown::unpacked(&facts.shown.tags)?);
        }
        self.lines.push(AdoptedLine { joined, ..line });
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
            let joined = same::of_found(&transaction, instead.id)?;
            let proved = purchases::of_found(&transaction, instead.id)?;
            let tags = shown::tagged_of(&transaction, row.track)?.unwrap_or_default();
            let line = AdoptedLine::new(row.track, &instead.path, instead.size.0, quick, added);
            let line = line.bought(proved, &tags);
            lines.push(AdoptedLine { joined, ..line });
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
