//! Numbered steps of owner.db; index.db of another version is dropped and rebuilt.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{Error, Kind, Result};
use crate::library::store::purchases::sort_dates;
use crate::library::store::roots::adopt_parents;

/// Brings both databases to this version. Returns whether index.db was made anew and must be filled.
///
/// # Errors
/// `Unsupported` for an owner.db of a newer konpo: it is never touched.
pub fn upgrade(connection: &mut Connection, path: &Path) -> Result<bool> {
    // What an index tells of another owner.db means nothing.
    let is_new = connection.query_row("PRAGMA main.user_version", [], |row| row.get::<_, u32>(0))? == 0;
    owner(connection, path)?;
    let index: u32 = connection.query_row("PRAGMA idx.user_version", [], |row| row.get(0))?;
    let stale = is_new || index != INDEX_VERSION;
    if stale {
        let transaction = connection.transaction()?;
        transaction.execute_batch(
            "DROP TABLE IF EXISTS idx.shown; DROP TABLE IF EXISTS idx.file; DROP TABLE IF EXISTS idx.refused;
             DROP TABLE IF EXISTS idx.newcomer; DROP TABLE IF EXISTS idx.loud_album; DROP TABLE IF EXISTS idx.locked",
        )?;
        // What was measured takes days to measure again, and is true of the payloads whatever else changed.
        let schema = include_str!("index.sql").replace("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS idx.");
        let schema = schema.replace("CREATE INDEX ", "CREATE INDEX IF NOT EXISTS idx.");
        transaction.execute_batch(&schema)?;
        transaction.execute_batch(&format!("PRAGMA idx.user_version = {INDEX_VERSION}"))?;
        transaction.commit()?;
    }
    Ok(stale)
}

/// Brings an owner.db to this version.
///
/// # Errors
/// As [`upgrade`].
pub fn owner(connection: &mut Connection, path: &Path) -> Result<()> {
    let at = connection.query_row("PRAGMA main.user_version", [], |row| row.get::<_, u32>(0))? as usize;
    if at > STEPS.len() {
        let what = format!("open {}: it is of a newer konpo (version {at})", path.display());
        return Err(Error::new(Kind::Unsupported, what));
    }
    for (number, step) in STEPS.iter().enumerate().skip(at) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        if number == FOLDERS {
            adopt_parents(&transaction)?;
        }
        if number == PURCHASES {
            sort_dates(&transaction)?;
        }
        transaction.execute_batch(&format!("PRAGMA main.user_version = {}", number + 1))?;
        transaction.commit()?;
    }
    Ok(())
}

/// Returns whether both databases are of this version.
///
/// # Errors
/// Those of the database.
pub fn is_current(connection: &Connection) -> Result<bool> {
    let version = |sql| connection.query_row(sql, [], |row| row.get::<_, u32>(0));
    let (owner, index) = (version("PRAGMA main.user_version")?, version("PRAGMA idx.user_version")?);
    Ok((owner, index) == (newest(), INDEX_VERSION))
}

/// Returns the version of owner.db that this konpo writes.
pub fn newest() -> u32 {
    STEPS.len() as u32
}

/// Step n brings owner.db from version n to n + 1. A step that was released never changes.
const STEPS: [&str; 6] = [
    include_str!("owner.sql"),
    include_str!("owner2.sql"),
    include_str!("owner3.sql"),
    include_str!("owner4.sql"),
    include_str!("owner5.sql"),
    include_str!("owner6.sql"),
];
/// The step that splits paths into folders and names.
const FOLDERS: usize = 2;
/// The step that makes columns of what is known of a buy.
const PURCHASES: usize = 3;
/// Grows with every change of index.sql.
const INDEX_VERSION: u32 = 5;
