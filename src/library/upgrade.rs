//! Numbered steps of owner.db; index.db of another version is dropped and rebuilt.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{Error, Kind, Result};

/// Brings both databases to this version.
///
/// # Errors
/// `Unsupported` for an owner.db of a newer konpo: it is never touched.
pub fn upgrade(connection: &mut Connection, owner: &Path) -> Result<()> {
    let at = connection.query_row("PRAGMA main.user_version", [], |row| row.get::<_, u32>(0))? as usize;
    if at > STEPS.len() {
        let what = format!("open {}: it is of a newer konpo (version {at})", owner.display());
        return Err(Error::new(Kind::Unsupported, what));
    }
    for (number, step) in STEPS.iter().enumerate().skip(at) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.execute_batch(&format!("PRAGMA main.user_version = {}", number + 1))?;
        transaction.commit()?;
    }
    let index: u32 = connection.query_row("PRAGMA idx.user_version", [], |row| row.get(0))?;
    if index != INDEX_VERSION {
        let transaction = connection.transaction()?;
        transaction.execute_batch("DROP TABLE IF EXISTS idx.shown")?;
        let schema = include_str!("index.sql").replace("CREATE TABLE ", "CREATE TABLE idx.");
        transaction.execute_batch(&schema.replace("CREATE INDEX ", "CREATE INDEX idx."))?;
        transaction.execute_batch(&format!("PRAGMA idx.user_version = {INDEX_VERSION}"))?;
        transaction.commit()?;
    }
    Ok(())
}

/// Step n brings owner.db from version n to n + 1. A step that was released never changes.
const STEPS: [&str; 2] = [include_str!("owner.sql"), include_str!("owner2.sql")];
/// Grows with every change of index.sql.
const INDEX_VERSION: u32 = 1;
