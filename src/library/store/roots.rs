//! Music folders and the folders below them.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;

/// Returns the root's number, and keeps where it was seen.
pub fn root_id(connection: &Connection, uuid: &str, path: &Path) -> Result<i64> {
    let path = path.to_string_lossy();
    let sql = "INSERT INTO root(uuid, path) VALUES (?1, ?2) ON CONFLICT(uuid) DO UPDATE SET path = ?2";
    connection.execute(sql, params![uuid, path])?;
    Ok(connection.query_row("SELECT id FROM root WHERE uuid = ?1", [uuid], |row| row.get(0))?)
}

/// Returns the UUID under which a folder was known.
pub fn root_uuid(connection: &Connection, path: &Path) -> Result<Option<String>> {
    let sql = "SELECT uuid FROM root WHERE path = ?1 ORDER BY id DESC LIMIT 1";
    Ok(connection.query_row(sql, [path.to_string_lossy()], |row| row.get(0)).optional()?)
}

/// Returns whether the numbers in a root's history can be those of this database: it knows the root, or no track at all.
pub fn may_be_ours(connection: &Connection, uuid: &str) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM root WHERE uuid = ?1) OR NOT EXISTS (SELECT 1 FROM track)";
    Ok(connection.query_row(sql, [uuid], |row| row.get(0))?)
}

/// Notes that no root's disk is there yet.
pub fn all_offline(connection: &Connection) -> Result<()> {
    connection.execute("UPDATE root SET online = 0 WHERE online <> 0", [])?;
    Ok(())
}

/// Notes whether a root's disk is there.
pub fn set_online(connection: &Connection, root: i64, online: bool) -> Result<()> {
    connection.execute("UPDATE root SET online = ?2 WHERE id = ?1", params![root, online])?;
    Ok(())
}

/// Returns where a root was last seen.
pub fn root_path(connection: &Connection, root: i64) -> Result<PathBuf> {
    let path: String =
        connection.query_row("SELECT path FROM root WHERE id = ?1", [root], |row| row.get(0))?;
    Ok(PathBuf::from(path))
}

/// Returns the number of a folder below a root, when a file of it is known.
pub fn folder(connection: &Connection, root: i64, path: &Path) -> Result<Option<i64>> {
    let sql = "SELECT id FROM folder WHERE root = ?1 AND path = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row(params![root, bytes(path)], |row| row.get(0)).optional()?)
}

/// Returns the number of a folder below a root; a new one gets one.
pub fn folder_id(connection: &Connection, root: i64, path: &Path) -> Result<i64> {
    if let Some(id) = folder(connection, root, path)? {
        return Ok(id);
    }
    let parent = path.parent().map(|parent| folder_id(connection, root, parent)).transpose()?;
    let sql = "INSERT INTO folder(root, parent, path) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(sql)?.execute(params![root, parent, bytes(path)])?;
    Ok(connection.last_insert_rowid())
}

/// Gives every folder the one it lies in: for a database whose paths were split by SQL.
pub fn adopt_parents(connection: &Connection) -> Result<()> {
    let mut statement =
        connection.prepare("SELECT id, root, path FROM folder WHERE parent IS NULL AND path <> x''")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?)))?;
    for (id, root, path) in rows.collect::<rusqlite::Result<Vec<_>>>()? {
        let parent = path_of(path).parent().map(|parent| folder_id(connection, root, parent)).transpose()?;
        connection.execute("UPDATE folder SET parent = ?2 WHERE id = ?1", params![id, parent])?;
    }
    Ok(())
}

/// Returns the folder and the name of a path below a root.
pub fn split(path: &Path) -> (&Path, &[u8]) {
    let folder = path.parent().unwrap_or(Path::new(""));
    (folder, path.file_name().map(OsStrExt::as_bytes).unwrap_or_default())
}

/// Returns the bytes of a path, as the database keeps it.
pub fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

/// Returns the path of bytes that the database keeps.
pub fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}
