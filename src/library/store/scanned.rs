//! What a scan knows of the files of a folder, and what it writes about them.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::error::Result;
use crate::library::CopyRow;
use crate::library::store::purchases::{self, Teller};
use crate::library::store::roots::{bytes, folder_id, path_of};
use crate::library::store::same;
use crate::library::store::shown::{self, Shown};
use crate::library::store::tracks::{self, COPY_ROW, copy_row, fingerprint_bytes};
use crate::track::{
    AudioFormat, CopyId, Fingerprint, PersonalBytes, Protection, Purchase, QuickKey, Tags, TrackId,
};
use crate::units::{ByteCount, Millis};

/// The names that are known in a folder, in order.
#[derive(Debug, Default)]
pub struct Names {
    bytes: Vec<u8>,
    /// Where each name begins and ends, and what is known of it; `None` once it was taken.
    known: Vec<(u32, u32, Option<Known>)>,
}

impl Names {
    fn push(&mut self, name: &[u8], known: Known) {
        let start = self.bytes.len() as u32;
        self.bytes.extend_from_slice(name);
        self.known.push((start, self.bytes.len() as u32, Some(known)));
    }

    /// Puts the names in order.
    fn finish(&mut self) {
        let bytes = &self.bytes;
        let name = |&(start, end, _): &(u32, u32, Option<Known>)| &bytes[start as usize..end as usize];
        if !self.known.is_sorted_by_key(name) {
            self.known.sort_by(|a, b| name(a).cmp(name(b)));
        }
    }

    /// Returns what is known of a name, once.
    pub fn take(&mut self, name: &[u8]) -> Option<Known> {
        let bytes = &self.bytes;
        let at = self
            .known
            .binary_search_by(|&(start, end, _)| bytes[start as usize..end as usize].cmp(name))
            .ok()?;
        self.known[at].2.take()
    }

    /// Returns what was not taken.
    pub fn rest(&self) -> impl Iterator<Item = Known> {
        self.known.iter().filter_map(|(_, _, known)| *known)
    }
}

/// What is known of one name in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Bytes.
    pub size: u64,
    /// Tells its times of change; `None`: it must be read again.
    pub stamp: Option<i64>,
    /// Its row; `None` for a file that was refused.
    pub copy: Option<CopyId>,
}

/// A file as a scan read it.
#[derive(Debug)]
pub struct Read {
    /// Its name in its folder.
    pub name: Vec<u8>,
    /// Bytes.
    pub size: u64,
    /// Tells its times of change.
    pub stamp: i64,
    /// When it changed last, seconds since 1970.
    pub modified: i64,
    /// What it is, or why it is refused, in words.
    pub what: std::result::Result<Box<Facts>, String>,
}

/// What a file of the shelf is and says.
#[derive(Debug)]
pub struct Facts {
    /// What its bytes are.
    pub format: AudioFormat,
    /// Whether it is locked.
    pub protection: Protection,
    /// Where the buyer's bytes lie.
    pub personal: Vec<PersonalBytes>,
    /// What proves a buy.
    pub purchases: Vec<Purchase>,
    /// Hint of the payload.
    pub quick: QuickKey,
    /// How long it sounds.
    pub duration: Millis,
    /// What it shows.
    pub shown: Shown,
}

/// Returns what is known of the names in a folder, and the folder's number.
pub fn known(connection: &Connection, root: i64, folder: &Path) -> Result<(Option<i64>, Names)> {
    let mut names = Names::default();
    let Some(id) = super::roots::folder(connection, root, folder)? else { return Ok((None, names)) };
    let here = "SELECT name, size, stamp, id FROM copy INDEXED BY copy_path
                WHERE folder = ?1 AND trashed IS NULL AND missing IS NULL";
    let refused = "SELECT name, size, stamp, NULL FROM idx.refused WHERE folder = ?1";
    for sql in [here, refused] {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([id])?;
        while let Some(row) = rows.next()? {
            let known = Known {
                size: row.get::<_, i64>(1)?.unsigned_abs(),
                stamp: row.get(2)?,
                copy: row.get::<_, Option<i64>>(3)?.map(CopyId),
            };
            names.push(row.get_ref(0)?.as_bytes().unwrap_or_default(), known);
        }
    }
    names.finish();
    Ok((Some(id), names))
}

/// Returns the folders right below one that are known.
pub fn folders_below(connection: &Connection, folder: i64) -> Result<Vec<PathBuf>> {
    let mut statement = connection.prepare_cached("SELECT path FROM folder WHERE parent = ?1")?;
    let rows = statement.query_map([folder], |row| row.get(0).map(path_of))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns the copies that are known to lie in a folder and below it.
pub fn copies_below(connection: &Connection, root: i64, folder: &Path) -> Result<Vec<CopyId>> {
    let sql = "WITH RECURSIVE gone(id) AS (
                   SELECT id FROM folder WHERE root = ?1 AND path = ?2
                   UNION ALL SELECT folder.id FROM folder JOIN gone ON folder.parent = gone.id)
               SELECT copy.id FROM copy JOIN gone ON folder = gone.id WHERE trashed IS NULL AND missing IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![root, bytes(folder)], |row| row.get(0).map(CopyId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Marks a copy whose path is empty. Its track leaves the lists when nothing else of it is there.
pub fn miss(connection: &Connection, copy: CopyId, now: i64) -> Result<()> {
    let sql = "UPDATE copy SET missing = ?2 WHERE id = ?1 AND missing IS NULL RETURNING track";
    let track: Option<i64> =
        connection.prepare_cached(sql)?.query_row([copy.0, now], |row| row.get(0)).optional()?;
    match track {
        Some(track) => shown::refresh(connection, TrackId(track)),
        None => Ok(()),
    }
}

/// Returns whether anything is missing: without it no new file can be one that moved.
pub fn any_missing(connection: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM copy WHERE missing IS NOT NULL)";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Returns the missing copy with this payload: of several the one that lay there, or has the same length or name.
pub fn moved_from(
    connection: &Connection,
    folder: i64,
    read: &Read,
    quick: QuickKey,
) -> Result<Option<CopyRow>> {
    let sql = format!(
        "{COPY_ROW} WHERE quick = ?1 AND missing IS NOT NULL AND trashed IS NULL
         ORDER BY copy.folder = ?2 AND name = ?4 DESC, size = ?3 DESC, name = ?4 DESC, copy.id LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let values = params![quick.0, folder, read.size as i64, read.name];
    Ok(statement.query_row(values, copy_row).optional()?)
}

/// Returns the track of a missing copy of the same song: album, disc, number and title alike, lengths within 2 s.
pub fn replaced(connection: &Connection, alike: i64, duration: Millis) -> Result<Option<TrackId>> {
    let sql = "SELECT track FROM copy WHERE alike = ?1 AND missing IS NOT NULL AND abs(duration - ?2) <= 2000
               ORDER BY missing DESC, id DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([alike, duration.0 as i64], |row| row.get(0).map(TrackId)).optional()?)
}

/// Returns a copy with the same payload and name that came later than one that went, when nobody has done anything with
/// its track yet: a file that was copied to another disk or folder before the first was removed.
/// Byte-identical files that stood side by side at the first look never take each other's place.
pub fn came_instead(connection: &Connection, gone: &CopyRow) -> Result<Option<CopyRow>> {
    let sql = format!(
        "{COPY_ROW} WHERE copy.id IN (SELECT copy FROM idx.newcomer WHERE quick = (SELECT quick FROM copy WHERE id = ?1))
             AND copy.id > ?1 AND size = ?2
             AND name = (SELECT name FROM copy WHERE id = ?1)
             AND missing IS NULL AND trashed IS NULL AND event IS NULL AND track <> ?3
             AND NOT EXISTS (SELECT 1 FROM played WHERE track = copy.track)
             AND NOT EXISTS (SELECT 1 FROM favourite WHERE track = copy.track)
             AND NOT EXISTS (SELECT 1 FROM list_entry WHERE track = copy.track)
             AND NOT EXISTS (SELECT 1 FROM correction WHERE track = copy.track)
             AND (SELECT count(*) FROM copy AS other WHERE other.track = copy.track) = 1
         ORDER BY copy.id DESC LIMIT 1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    Ok(statement.query_row(params![gone.id.0, gone.size.0 as i64, gone.track.0], copy_row).optional()?)
}

/// Remembers the payload of a file that came after the first look.
pub fn note_newcomer(connection: &Connection, copy: CopyId, quick: QuickKey) -> Result<()> {
    let sql = "INSERT OR IGNORE INTO idx.newcomer(quick, copy) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![quick.0, copy.0])?;
    Ok(())
}

/// Makes the row of an adopted file. A track is made unless one is given.
pub fn adopt(
    transaction: &Transaction<'_>,
    folder: i64,
    read: &Read,
    facts: &Facts,
    track: Option<TrackId>,
    added: i64,
) -> Result<(TrackId, CopyId)> {
    let fresh = track.is_none();
    let track = match track {
        Some(track) => track,
        None => {
            transaction.prepare_cached("INSERT INTO track(added) VALUES (?1)")?.execute([added])?;
            TrackId(transaction.last_insert_rowid())
        }
    };
    let sql = "INSERT INTO copy(track, folder, name, size, stamp, quick, alike, duration, strength)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    transaction.prepare_cached(sql)?.execute(params![
        track.0,
        folder,
        read.name,
        read.size as i64,
        read.stamp,
        facts.quick.0,
        facts.shown.alike,
        facts.duration.0 as i64,
        facts.shown.fullness,
    ])?;
    let copy = CopyId(transaction.last_insert_rowid());
    let playable = shown::put_file(transaction, copy, &facts.format, &facts.protection, &facts.personal)?;
    purchases::note(transaction, track, &Teller::Found(copy), &facts.purchases)?;
    same::note_locked(transaction, copy, &facts.protection, &facts.shown, &facts.purchases)?;
    if fresh {
        shown::put(transaction, track, &facts.shown, None, playable, !facts.purchases.is_empty(), added)?;
    } else {
        show(transaction, track, facts, &facts.shown)?;
    }
    Ok((track, copy))
}

/// Shows what a file says; a locked one beside what plays of its track says nothing.
fn show(transaction: &Transaction<'_>, track: TrackId, facts: &Facts, shown: &Shown) -> Result<()> {
    if facts.protection.is_locked() && same::is_free(transaction, track)? {
        return shown::refresh(transaction, track);
    }
    shown::show(transaction, track, shown)
}

/// Writes what a known copy says now: it was changed, moved, or index.db had lost it. Returns whether an adopted one proves
/// another buy now.
pub fn reread(
    transaction: &Transaction<'_>,
    copy: &CopyRow,
    folder: i64,
    read: &Read,
    facts: &Facts,
) -> Result<bool> {
    // A payload that is another one now has no fingerprint yet.
    let sql = "UPDATE copy SET folder = ?2, name = ?3, size = ?4, stamp = ?5, alike = ?7, duration = ?8, missing = NULL,
                   fingerprint = CASE WHEN quick IS ?6 THEN fingerprint END, quick = ?6
               WHERE id = ?1";
    transaction.prepare_cached(sql)?.execute(params![
        copy.id.0,
        folder,
        read.name,
        read.size as i64,
        read.stamp,
        facts.quick.0,
        facts.shown.alike,
        facts.duration.0 as i64,
    ])?;
    shown::put_file(transaction, copy.id, &facts.format, &facts.protection, &facts.personal)?;
    let renewed =
        copy.event.is_none() && purchases::renew_found(transaction, copy.track, copy.id, &facts.purchases)?;
    same::note_locked(transaction, copy.id, &facts.protection, &facts.shown, &facts.purchases)?;
    show(transaction, copy.track, facts, &with_senders_words(transaction, copy, &facts.shown)?)?;
    Ok(renewed)
}

/// The sender's words stand where an arrived file has none of its own.
fn with_senders_words(connection: &Connection, copy: &CopyRow, shown: &Shown) -> Result<Shown> {
    if copy.event.is_none() {
        return Ok(shown.clone());
    }
    let said = shown::tags_at_arrival(connection, copy.track)?;
    let mut tags: Tags = shown::unpacked(&shown.tags)?;
    tags.title = tags.title.or(said.title);
    tags.artist = tags.artist.or(said.artist);
    tags.album = tags.album.or(said.album);
    Shown::of(&tags)
}

/// Gives a copy to another track: the file of a track that went came back under a new number.
pub fn give(transaction: &Transaction<'_>, copy: CopyId, from: TrackId, to: TrackId) -> Result<()> {
    transaction.execute("UPDATE copy SET track = ?2 WHERE id = ?1", [copy.0, to.0])?;
    transaction.execute("UPDATE purchase SET track = ?2 WHERE event = ?1", [-copy.0, to.0])?;
    transaction.execute("UPDATE unlocked SET track = ?2 WHERE event = ?1", [-copy.0, to.0])?;
    let tags = shown::tagged_of(transaction, from)?.unwrap_or_default();
    shown::hide(transaction, from)?;
    shown::show(transaction, to, &Shown::of(&tags)?)
}

/// Remembers a file that is refused, so that it is not read again until it changes.
pub fn refuse(transaction: &Transaction<'_>, folder: i64, read: &Read, why: &str) -> Result<()> {
    let sql =
        "INSERT OR REPLACE INTO idx.refused(folder, name, size, stamp, why) VALUES (?1, ?2, ?3, ?4, ?5)";
    transaction.prepare_cached(sql)?.execute(params![
        folder,
        read.name,
        read.size as i64,
        read.stamp,
        why
    ])?;
    Ok(())
}

/// Forgets that a file was refused. Returns whether it was.
pub fn unrefuse(connection: &Connection, folder: i64, name: &[u8]) -> Result<()> {
    let sql = "DELETE FROM idx.refused WHERE folder = ?1 AND name = ?2";
    connection.prepare_cached(sql)?.execute(params![folder, name])?;
    Ok(())
}

/// Returns the files that were refused, as full paths with the reason, at most so many.
pub fn refused(connection: &Connection, limit: u32) -> Result<Vec<(PathBuf, String)>> {
    let sql =
        "SELECT root.path, folder.path, name, why FROM idx.refused JOIN folder ON folder.id = refused.folder
                   JOIN root ON root.id = folder.root ORDER BY folder.path, name LIMIT ?1";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([limit], |row| {
        let root = PathBuf::from(row.get::<_, String>(0)?);
        Ok((root.join(path_of(row.get(1)?)).join(path_of(row.get(2)?)), row.get(3)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns the copy that lies at a name.
pub fn at(connection: &Connection, folder: i64, name: &[u8]) -> Result<Option<CopyId>> {
    let sql = "SELECT id FROM copy WHERE folder = ?1 AND name = ?2 AND trashed IS NULL AND missing IS NULL";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row(params![folder, name], |row| row.get(0).map(CopyId)).optional()?)
}

/// Returns whether more than one file is known to lie, or to have lain, at a place.
pub fn had_others(connection: &Connection, folder: i64, name: &[u8]) -> Result<bool> {
    let sql = "SELECT count(*) > 1 FROM copy WHERE folder = ?1 AND name = ?2";
    Ok(connection.prepare_cached(sql)?.query_row(params![folder, name], |row| row.get(0))?)
}

/// Returns whether anything lies in a folder.
pub fn any_at(connection: &Connection, folder: i64) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM copy WHERE folder = ?1 AND trashed IS NULL AND missing IS NULL)";
    Ok(connection.prepare_cached(sql)?.query_row([folder], |row| row.get(0))?)
}

/// Returns the paths below a root that interrupted arrivals hold.
pub fn held(connection: &Connection, root: i64) -> Result<Vec<PathBuf>> {
    let mut statement = connection.prepare_cached("SELECT path FROM reserved WHERE root = ?1")?;
    let rows = statement.query_map([root], |row| row.get(0).map(path_of))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns the track at a place below a music folder; also one that lay there before.
pub fn track_at(connection: &Connection, base: &Path, folder: &Path, name: &[u8]) -> Result<Option<TrackId>> {
    let sql =
        "SELECT track FROM copy JOIN folder ON folder.id = copy.folder JOIN root ON root.id = folder.root
               WHERE root.path = ?1 AND folder.path = ?2 AND name = ?3 AND trashed IS NULL
               ORDER BY missing IS NULL DESC, copy.id DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let values = params![base.to_string_lossy(), bytes(folder), name];
    Ok(statement.query_row(values, |row| row.get(0).map(TrackId)).optional()?)
}

const UNFINGERPRINTED: &str =
    "fingerprint IS NULL AND playable = 1 AND online = 1 AND missing IS NULL AND trashed IS NULL";

/// Returns how many playable copies that are there have no fingerprint yet.
pub fn fingerprints_left(connection: &Connection) -> Result<u64> {
    let sql = format!(
        "SELECT count(*) FROM copy JOIN folder ON folder.id = copy.folder JOIN root ON root.id = folder.root
             JOIN idx.file ON file.copy = copy.id WHERE {UNFINGERPRINTED}"
    );
    Ok(connection.prepare_cached(&sql)?.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Returns the next copies behind one that have no fingerprint yet.
pub fn unfingerprinted(connection: &Connection, behind: CopyId, limit: u32) -> Result<Vec<CopyRow>> {
    let sql = format!(
        "{COPY_ROW} JOIN root ON root.id = folder.root WHERE copy.id > ?1 AND {UNFINGERPRINTED}
         ORDER BY copy.id LIMIT ?2"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![behind.0, limit], copy_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Notes the fingerprint of a copy, unless the file changed meanwhile.
pub fn put_fingerprint(connection: &Connection, copy: &CopyRow, fingerprint: Fingerprint) -> Result<()> {
    let sql = "UPDATE copy SET fingerprint = ?2 WHERE id = ?1 AND size = ?3";
    connection.prepare_cached(sql)?.execute(params![
        copy.id.0,
        fingerprint_bytes(fingerprint),
        copy.size.0 as i64
    ])?;
    Ok(())
}

/// Restores an adopted file that the history tells, unread: the next scan reads it.
pub fn restore(
    transaction: &Transaction<'_>,
    track: TrackId,
    root: i64,
    path: &Path,
    size: ByteCount,
    quick: QuickKey,
    added: i64,
) -> Result<CopyId> {
    let (folder, name) = super::roots::split(path);
    let folder = folder_id(transaction, root, folder)?;
    tracks::hold(transaction, track, added)?;
    // Missing until it is seen: a file that moved meanwhile is found by its payload.
    let sql = "INSERT INTO copy(track, folder, name, size, quick, duration, strength, missing)
               VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0)";
    transaction.execute(sql, params![track.0, folder, name, size.0 as i64, quick.0])?;
    Ok(CopyId(transaction.last_insert_rowid()))
}
