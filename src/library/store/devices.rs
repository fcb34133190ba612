//! Consents, addresses, paired devices.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::library::store::{from_json, keep, kept, to_json};
use crate::offer::push::{Device, OnArrival};
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

/// Gives a key to a device. Returns the one that had it, when it has no other key and is forgotten therefore; `None` when there
/// is no such device.
pub fn give_key(connection: &mut Connection, key: &Key, to: DeviceId) -> Result<Option<Option<DeviceId>>> {
    let before = by_key(connection, key)?.map(|(id, _)| id).filter(|id| *id != to);
    let Some((kind, value)) = parts(key) else { return Ok(None) };
    let transaction = connection.transaction()?;
    let there = "SELECT EXISTS (SELECT 1 FROM device WHERE id = ?1)";
    if !transaction.query_row(there, [to.0], |row| row.get(0))? {
        return Ok(None);
    }
    let sql = "INSERT OR REPLACE INTO device_key(kind, value, device) VALUES (?1, ?2, ?3)";
    transaction.execute(sql, params![kind, value, to.0])?;
    let keys = "SELECT EXISTS (SELECT 1 FROM device_key WHERE device = ?1)";
    let mut left = None;
    if let Some(id) = before
        && !transaction.query_row(keys, [id.0], |row| row.get(0))?
    {
        left = Some(id);
    }
    transaction.commit()?;
    if let Some(id) = left {
        remove(connection, id)?;
    }
    Ok(Some(left))
}

/// Returns every paired device, the oldest first.
pub fn all(connection: &Connection) -> Result<Vec<Device>> {
    let arrivals = arrivals(connection)?;
    let mut statement = connection.prepare_cached("SELECT id, name, right_ FROM device ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let id: i64 = row.get(0)?;
        let right = from_json(&row.get::<_, String>(2)?)?;
        let on_arrival = arrivals.get(&id).copied();
        found.push(Device { id: DeviceId(id), name: row.get(1)?, right, on_arrival });
    }
    Ok(found)
}

/// Sets what happens to a device's songs; `None`: as the settings say. Returns whether there is such a device.
pub fn set_on_arrival(connection: &mut Connection, id: DeviceId, wish: Option<OnArrival>) -> Result<bool> {
    let transaction = connection.transaction()?;
    let there: bool =
        transaction.query_row("SELECT EXISTS (SELECT 1 FROM device WHERE id = ?1)", [id.0], |r| r.get(0))?;
    let mut arrivals = arrivals(&transaction)?;
    match wish {
        Some(wish) if there => drop(arrivals.insert(id.0, wish)),
        _ => drop(arrivals.remove(&id.0)),
    }
    keep(&transaction, ON_ARRIVAL, &to_json(&arrivals)?)?;
    transaction.commit()?;
    Ok(there)
}

/// Returns what happens to a device's songs, where that was set.
pub fn on_arrival(connection: &Connection, id: DeviceId) -> Result<Option<OnArrival>> {
    Ok(arrivals(connection)?.get(&id.0).copied())
}

/// Forgets a device and its keys. Returns whether there was one.
pub fn remove(connection: &mut Connection, id: DeviceId) -> Result<bool> {
    let transaction = connection.transaction()?;
    transaction.execute("DELETE FROM device_key WHERE device = ?1", [id.0])?;
    let there = transaction.execute("DELETE FROM device WHERE id = ?1", [id.0])? > 0;
    let mut arrivals = arrivals(&transaction)?;
    if arrivals.remove(&id.0).is_some() {
        keep(&transaction, ON_ARRIVAL, &to_json(&arrivals)?)?;
    }
    transaction.commit()?;
    Ok(there)
}

/// Returns whether a device has the owner's right. Tokens of scripts are none: they are made by the owner of the machine.
pub fn has_owner(connection: &Connection) -> Result<bool> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM device WHERE right_ = ?1 AND name <> ?2)")?;
    Ok(statement.query_row(params![to_json(&Right::Owner)?, TOKEN], |row| row.get(0))?)
}

fn arrivals(connection: &Connection) -> Result<BTreeMap<i64, OnArrival>> {
    kept(connection, ON_ARRIVAL)?.as_deref().map_or(Ok(BTreeMap::new()), from_json)
}

fn parts(key: &Key) -> Option<(&'static str, &str)> {
    match key {
        Key::LocalOwner => None,
        Key::Cookie(hash) => Some(("cookie", hash)),
        Key::Udn(udn) => Some(("udn", udn)),
        Key::Certificate(sum) => Some(("certificate", sum)),
    }
}

/// The single value that holds what happens to songs, by device: JSON of numbers and wishes. A number is never used again.
const ON_ARRIVAL: &str = "on_arrival";
/// What a token of `konpo ctl token` is called.
pub const TOKEN: &str = "a token";
