//! What the finder is made of: the texts of every shown track, and the lists that only the database can order.

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Result;
use crate::library::store::marks::ListEntry;
use crate::query::{GroupId, Measure, Sort};
use crate::track::TrackId;

/// Calls `each` with number, sort key and time of every shown track, in order of number.
pub fn keys(connection: &Connection, mut each: impl FnMut(u32, &[u8], i64)) -> Result<()> {
    let mut statement =
        connection.prepare("SELECT track, key, added FROM idx.shown WHERE marks & 8 = 0 ORDER BY track")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        // Numbers beyond 32 bits would need 4 billion arrivals.
        let Ok(id) = u32::try_from(row.get::<_, i64>(0)?) else { continue };
        each(id, row.get_ref(1)?.as_bytes().unwrap_or_default(), row.get(2)?);
    }
    Ok(())
}

/// Returns how many tracks are shown, and the bytes of their texts.
pub fn sizes(connection: &Connection) -> Result<(usize, usize)> {
    let sql = "SELECT count(*), coalesce(sum(octet_length(line)), 0) FROM idx.shown";
    Ok(connection
        .query_row(sql, [], |row| Ok((row.get::<_, i64>(0)? as usize, row.get::<_, i64>(1)? as usize)))?)
}

/// Calls `each` with head, line and marks of one track; not when it is shown no more.
pub fn texts(connection: &Connection, id: u32, each: impl FnOnce(&str, &str, u8)) -> Result<()> {
    let mut statement =
        connection.prepare_cached("SELECT head, line, marks FROM idx.shown WHERE track = ?1")?;
    let mut rows = statement.query([id])?;
    if let Some(row) = rows.next()? {
        let text =
            |column| row.get_ref(column).ok().and_then(|value| value.as_str().ok()).unwrap_or_default();
        each(text(0), text(1), row.get(2)?);
    }
    Ok(())
}

/// Returns the tracks that a list of the database names, in its order; each once.
pub fn ordered(connection: &Connection, sort: Sort) -> Result<Vec<u32>> {
    let sql = match sort {
        Sort::Bought => {
            "SELECT track FROM purchase WHERE track IN (SELECT track FROM copy WHERE trashed IS NULL)
             GROUP BY track ORDER BY max(at) IS NULL, max(at) DESC, track"
        }
        Sort::Played => "SELECT track FROM played ORDER BY last DESC, times DESC, track",
        Sort::MostPlayed => "SELECT track FROM played ORDER BY times DESC, last DESC, track",
        Sort::Favoured => "SELECT track FROM favourite ORDER BY at DESC, track DESC",
        _ => return Ok(Vec::new()),
    };
    numbers(connection, sql, [])
}

/// Returns the tracks that were bought from a store, or from any.
pub fn bought(connection: &Connection, store: Option<&str>) -> Result<Vec<u32>> {
    let sql = "SELECT DISTINCT track FROM purchase WHERE track IS NOT NULL AND (?1 IS NULL OR store = ?1)";
    numbers(connection, sql, [store])
}

/// Returns the tracks that lie in a folder, by name; each once, also with two copies there.
pub fn in_folder(connection: &Connection, folder: GroupId) -> Result<Vec<u32>> {
    let sql = "SELECT track FROM copy WHERE folder = ?1 AND trashed IS NULL AND missing IS NULL GROUP BY track ORDER BY min(name)";
    numbers(connection, sql, [folder.0])
}

/// Returns the tracks of a playlist in its order, also twice.
pub fn in_list(connection: &Connection, list: GroupId) -> Result<Vec<u32>> {
    let sql = "SELECT track FROM list_entry WHERE list = ?1 AND track IS NOT NULL ORDER BY place";
    numbers(connection, sql, [list.0])
}

/// Returns the tracks whose tagged date is this one, or begins so.
pub fn dated(connection: &Connection, text: &str, whole: bool) -> Result<Vec<u32>> {
    let sql = "SELECT track FROM idx.shown WHERE CASE ?2 WHEN 1 THEN json_extract(tags, '$.date') = ?1
               ELSE substr(json_extract(tags, '$.date'), 1, length(?1)) = ?1 END";
    numbers(connection, sql, params![text, whole])
}

/// Returns the tracks whose number is at least this one.
pub fn at_least(connection: &Connection, measure: Measure, least: i64) -> Result<Vec<u32>> {
    let sql = match measure {
        Measure::Length => "SELECT DISTINCT track FROM copy WHERE trashed IS NULL AND duration >= ?1",
        Measure::Size => "SELECT DISTINCT track FROM copy WHERE trashed IS NULL AND size >= ?1",
        Measure::Number => {
            "SELECT track FROM idx.shown WHERE coalesce(CAST(json_extract(tags, '$.track') AS INTEGER), 0) >= ?1"
        }
        // What a short date lacks is that of the first of January.
        Measure::Day => {
            "SELECT track FROM (SELECT track, json_extract(tags, '$.date') AS date FROM idx.shown)
             WHERE date IS NOT NULL AND
                   CAST(replace(substr(date || substr('0000-01-01', length(date) + 1), 1, 10), '-', '') AS INTEGER) >= ?1"
        }
    };
    numbers(connection, sql, [least])
}

/// Returns every track with how long it sounds, in order of length.
pub fn by_length(connection: &Connection) -> Result<Vec<u32>> {
    let sql = "SELECT track FROM copy WHERE trashed IS NULL GROUP BY track ORDER BY max(duration), track";
    numbers(connection, sql, [])
}

fn numbers(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<u32>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params, |row| row.get::<_, i64>(0))?;
    let mut found = Vec::new();
    for row in rows {
        found.extend(u32::try_from(row?).ok());
    }
    Ok(found)
}

/// Leaves out tracks whose disk is away.
pub fn online(connection: &Connection, ids: Vec<TrackId>) -> Result<Vec<TrackId>> {
    let sql = "SELECT EXISTS (SELECT 1 FROM copy JOIN folder ON folder.id = copy.folder JOIN root ON root.id = folder.root
                   JOIN idx.file ON file.copy = copy.id
                   WHERE track = ?1 AND trashed IS NULL AND missing IS NULL AND playable = 1 AND online = 1)";
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        if statement.query_row([id.0], |row| row.get(0))? {
            found.push(id);
        }
    }
    Ok(found)
}

/// A folder or a playlist in a list.
pub struct Named {
    /// Its number.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// Folders directly in it; 0 of a playlist.
    pub folders: u64,
    /// The folder it lies in.
    pub parent: Option<GroupId>,
}

/// Returns the folders within a folder, or the music folders themselves, by name; and how many there are.
pub fn folders(
    connection: &Connection,
    within: Option<GroupId>,
    limit: u32,
    offset: u64,
) -> Result<(u64, Vec<Named>)> {
    let total = match within {
        None => "SELECT count(*) FROM folder WHERE path = x'' AND ?1 IS NULL",
        Some(_) => "SELECT count(*) FROM folder WHERE parent = ?1",
    };
    let within = within.map(|id| id.0);
    let total: i64 = connection.prepare_cached(total)?.query_row([within], |row| row.get(0))?;
    let which = if within.is_some() { "folder.parent = ?1" } else { "folder.path = x'' AND ?1 IS NULL" };
    let sql = format!("{FOLDER} WHERE {which} ORDER BY folder.path LIMIT ?2 OFFSET ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![within, limit, offset as i64], folder_row)?;
    Ok((total.unsigned_abs(), rows.collect::<rusqlite::Result<_>>()?))
}

/// Returns one folder.
pub fn folder(connection: &Connection, id: GroupId) -> Result<Option<Named>> {
    let mut statement = connection.prepare_cached(&format!("{FOLDER} WHERE folder.id = ?1"))?;
    Ok(statement.query_row([id.0], folder_row).optional()?)
}

fn folder_row(row: &Row<'_>) -> rusqlite::Result<Named> {
    let path: Vec<u8> = row.get(1)?;
    let own = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    // The room sees no more of the machine than the folder's own name.
    let root: String = row.get(2)?;
    let root = root.rsplit('/').find(|part| !part.is_empty()).unwrap_or("/").to_owned();
    let name = if own.is_empty() { root } else { String::from_utf8_lossy(own).into_owned() };
    let parent = row.get::<_, Option<i64>>(4)?.map(GroupId);
    Ok(Named { id: GroupId(row.get(0)?), name, folders: row.get::<_, i64>(3)?.unsigned_abs(), parent })
}

/// Returns the playlists by name, and how many there are.
pub fn lists(connection: &Connection, limit: u32, offset: u64) -> Result<(u64, Vec<Named>)> {
    let total: i64 = connection.query_row("SELECT count(*) FROM list", [], |row| row.get(0))?;
    let sql = format!("{LIST} ORDER BY name COLLATE NOCASE, id LIMIT ?1 OFFSET ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![limit, offset as i64], list_row)?;
    Ok((total.unsigned_abs(), rows.collect::<rusqlite::Result<_>>()?))
}

/// Returns one playlist.
pub fn list(connection: &Connection, id: GroupId) -> Result<Option<Named>> {
    let mut statement = connection.prepare_cached(&format!("{LIST} WHERE id = ?1"))?;
    Ok(statement.query_row([id.0], list_row).optional()?)
}

/// Returns the name of a playlist; `None` for one that is not there.
pub fn list_name(connection: &Connection, list: GroupId) -> Result<Option<String>> {
    let sql = "SELECT name FROM list WHERE id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([list.0], |row| row.get(0)).optional()?)
}

/// Returns number and name of every playlist.
pub fn every_list(connection: &Connection) -> Result<Vec<(GroupId, String)>> {
    let mut statement = connection.prepare("SELECT id, name FROM list ORDER BY name COLLATE NOCASE, id")?;
    let rows = statement.query_map([], |row| Ok((GroupId(row.get(0)?), row.get(1)?)))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns the entries of a playlist, in order; also those that name nothing on the shelf.
pub fn list_entries(connection: &Connection, list: GroupId) -> Result<Vec<ListEntry>> {
    let sql = "SELECT said, title, track FROM list_entry WHERE list = ?1 ORDER BY place";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([list.0], |row| {
        let track = row.get::<_, Option<i64>>(2)?.map(TrackId);
        Ok(ListEntry { said: row.get(0)?, title: row.get(1)?, track })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn list_row(row: &Row<'_>) -> rusqlite::Result<Named> {
    Ok(Named { id: GroupId(row.get(0)?), name: row.get(1)?, folders: 0, parent: None })
}

/// A folder: number, path, path of its root, folders in it, the folder it lies in.
const FOLDER: &str = "SELECT folder.id, folder.path, root.path,
        (SELECT count(*) FROM folder AS below WHERE below.parent = folder.id), folder.parent
    FROM folder JOIN root ON root.id = folder.root";
/// A playlist: number, name.
const LIST: &str = "SELECT id, name FROM list";
