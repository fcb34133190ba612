//! Consents, addresses, paired devices.

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::library::store::{from_json, to_json};
use crate::offer::{Consent, DeviceId, Key, Right};

/// Returns what was decided about a neighbour.
pub fn consent(connection: &Connection, neighbour: &str) -> Result<Option<Consent>> {
    let mut statement = connection.prepare_cached("SELECT consent FROM consent WHERE neighbour = ?1")?;
    let found: Option<String> = statement.query_row([neighbour], |row| row.get(0)).optional()?;
    found.as_deref().map(from_json).transpose()
}

/// Keeps what was decided about a neighbour.
pub fn set_consent(connection: &Connection, neighbour: &str, consent: Consent) -> Result<()> {
    let sql = "INSERT INTO consent(neighbour, consent) VALUES (?1, ?2)
               ON CONFLICT(neighbour) DO UPDATE SET consent = ?2";
    connection.prepare_cached(sql)?.execute(params![neighbour, to_json(&consent)?])?;
    Ok(())
}

/// Returns the devices added by their address.
pub fn addresses(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT address FROM address ORDER BY address")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Keeps a device added by its address.
pub fn add_address(connection: &Connection, address: &str) -> Result<()> {
    connection.prepare_cached("INSERT OR IGNORE INTO address(address) VALUES (?1)")?.execute([address])?;
    Ok(())
}

/// Forgets a device added by its address. Returns whether it was known.
pub fn remove_address(connection: &Connection, address: &str) -> Result<bool> {
    Ok(connection.prepare_cached("DELETE FROM address WHERE address = ?1")?.execute([address])? > 0)
}

/// Returns the device that has a key. The local owner is no device.
pub fn by_key(connection: &Connection, key: &Key) -> Result<Option<(DeviceId, Right)>> {
    let Some((kind, value)) = parts(key) else { return Ok(None) };
    let sql = "SELECT device.id, right_ FROM device_key JOIN device ON device.id = device
               WHERE kind = ?1 AND value = ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let found = statement.query_row([kind, value], row).optional()?;
    found.map(|(id, right)| Ok((DeviceId(id), from_json(&right)?))).transpose()
}

/// Adds a device with its first key.
pub fn add(connection: &mut Connection, key: &Key, name: &str, right: Right) -> Result<DeviceId> {
    let transaction = connection.transaction()?;
    transaction
        .execute("INSERT INTO device(name, right_) VALUES (?1, ?2)", params![name, to_json(&right)?])?;
    let id = transaction.last_insert_rowid();
    if let Some((kind, value)) = parts(key) {
        let sql = "INSERT OR REPLACE INTO device_key(kind, value, device) VALUES (?1, ?2, ?3)";
        transaction.execute(sql, params![kind, value, id])?;
    }
    transaction.commit()?;
    Ok(DeviceId(id))
}

fn parts(key: &Key) -> Option<(&'static str, &str)> {
    match key {
        Key::LocalOwner => None,
        Key::Cookie(hash) => Some(("cookie", hash)),
        Key::Udn(udn) => Some(("udn", udn)),
    }
}
