//! What people did with tracks: plays, favourites, playlists.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::library::store::roots::{bytes, path_of};
use crate::track::TrackId;
use crate::units::UnixTime;

/// Notes the start of a track.
pub fn note_play(connection: &mut Connection, track: TrackId, at: UnixTime) -> Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute("INSERT INTO play(at, track) VALUES (?1, ?2)", [at.0, track.0])?;
    // A clock that was set back must not hide what was heard just now.
    let sql = "INSERT INTO played(track, times, last)
               VALUES (?1, 1, max(?2, (SELECT coalesce(max(last), 0) + 1 FROM played WHERE last <= ?2 + 86400)))
               ON CONFLICT(track) DO UPDATE SET times = times + 1, last = excluded.last";
    transaction.execute(sql, [track.0, at.0])?;
    transaction.commit()?;
    Ok(())
}

/// Calls `each` with every start of a track, in order of coming.
///
/// # Errors
/// Those of the database and of `each`.
pub fn plays(connection: &Connection, each: impl FnMut(UnixTime, TrackId) -> Result<()>) -> Result<()> {
    timed(connection, "SELECT at, track FROM play ORDER BY rowid", each)
}

/// Calls `each` with every favourite, in the order in which they were marked.
///
/// # Errors
/// Those of the database and of `each`.
pub fn favourites(connection: &Connection, each: impl FnMut(UnixTime, TrackId) -> Result<()>) -> Result<()> {
    timed(connection, "SELECT at, track FROM favourite ORDER BY at, track", each)
}

fn timed(
    connection: &Connection,
    sql: &str,
    mut each: impl FnMut(UnixTime, TrackId) -> Result<()>,
) -> Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(UnixTime(row.get(0)?), TrackId(row.get(1)?))?;
    }
    Ok(())
}

/// Returns the track that was started last.
pub fn last_played(connection: &Connection) -> Result<Option<TrackId>> {
    let sql = "SELECT track FROM play ORDER BY rowid DESC LIMIT 1";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0).map(TrackId)).optional()?)
}

/// Returns how often a track was started.
pub fn times_played(connection: &Connection, track: TrackId) -> Result<u64> {
    let sql = "SELECT times FROM played WHERE track = ?1";
    let times: Option<i64> =
        connection.prepare_cached(sql)?.query_row([track.0], |row| row.get(0)).optional()?;
    Ok(times.unwrap_or(0).unsigned_abs())
}

/// Marks a track as a favourite, or no more.
pub fn set_favourite(connection: &Connection, track: TrackId, at: Option<UnixTime>) -> Result<()> {
    match at {
        Some(at) => {
            let sql = "INSERT OR IGNORE INTO favourite(track, at) VALUES (?1, ?2)";
            connection.prepare_cached(sql)?.execute([track.0, at.0])?;
        }
        None => {
            connection.prepare_cached("DELETE FROM favourite WHERE track = ?1")?.execute([track.0])?;
        }
    }
    Ok(())
}

/// A playlist as its file says.
pub struct List {
    /// Below the root.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Tells its times of change.
    pub stamp: i64,
    /// Its entries.
    pub entries: Vec<ListEntry>,
}

/// One entry of a playlist.
pub struct ListEntry {
    /// As it stands in the file.
    pub said: Vec<u8>,
    /// As it stands in the file.
    pub title: Option<String>,
    /// What it means, where that is known.
    pub track: Option<TrackId>,
}

/// Returns the playlists of a root: path, and what tells its times of change.
pub fn lists_of(connection: &Connection, root: i64) -> Result<Vec<(PathBuf, Option<i64>)>> {
    let mut statement = connection.prepare("SELECT path, stamp FROM list WHERE root = ?1")?;
    let rows = statement.query_map([root], |row| Ok((path_of(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns whether a playlist of a root names something that was not found.
pub fn lists_wait(connection: &Connection, root: i64) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM list_entry JOIN list ON list.id = list WHERE root = ?1 AND track IS NULL)";
    Ok(connection.query_row(sql, [root], |row| row.get(0))?)
}

/// Writes a playlist. What an entry meant before it still means when its file is not found now: it may have moved.
pub fn put_list(connection: &mut Connection, root: i64, list: &List) -> Result<()> {
    let transaction = connection.transaction()?;
    let sql = "INSERT INTO list(root, path, name, stamp) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT(root, path) DO UPDATE SET name = ?3, stamp = ?4";
    transaction.execute(sql, params![root, bytes(&list.path), list.name, list.stamp])?;
    let sql = "SELECT id FROM list WHERE root = ?1 AND path = ?2";
    let id: i64 = transaction.query_row(sql, params![root, bytes(&list.path)], |row| row.get(0))?;
    {
        let mut meant = transaction.prepare(
            "SELECT track FROM list_entry WHERE list = ?1 AND said = ?2 AND track IS NOT NULL LIMIT 1",
        )?;
        let mut tracks = Vec::with_capacity(list.entries.len());
        for entry in &list.entries {
            let mut before =
                || meant.query_row(params![id, entry.said], |row| row.get(0).map(TrackId)).optional();
            tracks.push(match entry.track {
                Some(track) => Some(track),
                None => before()?,
            });
        }
        transaction.execute("DELETE FROM list_entry WHERE list = ?1", [id])?;
        let sql = "INSERT INTO list_entry(list, place, said, title, track) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut insert = transaction.prepare(sql)?;
        for (place, (entry, track)) in list.entries.iter().zip(tracks).enumerate() {
            insert.execute(params![id, place as i64, entry.said, entry.title, track.map(|track| track.0)])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Forgets a playlist whose file was removed by its owner.
pub fn drop_list(connection: &mut Connection, root: i64, path: &Path) -> Result<()> {
    let transaction = connection.transaction()?;
    let which = "(SELECT id FROM list WHERE root = ?1 AND path = ?2)";
    transaction
        .execute(&format!("DELETE FROM list_entry WHERE list = {which}"), params![root, bytes(path)])?;
    transaction.execute("DELETE FROM list WHERE root = ?1 AND path = ?2", params![root, bytes(path)])?;
    transaction.commit()?;
    Ok(())
}
