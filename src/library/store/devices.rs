//! Consents, addresses, paired devices, plays.

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::library::store::{from_json, to_json};
use crate::offer::{Consent, DeviceId, Key, Right};
use crate::track::TrackId;
use crate::units::UnixTime;

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

/// Notes the start of a track.
pub fn note_play(connection: &Connection, track: TrackId, at: UnixTime) -> Result<()> {
    connection.prepare_cached("INSERT INTO play(at, track) VALUES (?1, ?2)")?.execute([at.0, track.0])?;
    Ok(())
}

/// Returns the tracks of the album that was heard last, in order; the track alone when it has no album.
pub fn last_album_heard(connection: &Connection) -> Result<Vec<TrackId>> {
    let sql = "SELECT other.track FROM idx.shown AS heard JOIN idx.shown AS other
                   ON other.track = heard.track
                   OR (heard.album <> '' AND other.album = heard.album AND other.album_artist = heard.album_artist)
               WHERE heard.track = (SELECT track FROM play ORDER BY at DESC, rowid DESC LIMIT 1)
                 AND other.playable = 1 AND other.track IN (SELECT track FROM here)
               ORDER BY other.by_album, other.track";
    ids(connection, sql, [])
}

/// Returns the newest arrivals that can be played, newest first.
pub fn newest(connection: &Connection, limit: u32) -> Result<Vec<TrackId>> {
    let sql = "SELECT track FROM idx.shown WHERE playable = 1 AND track IN (SELECT track FROM here) ORDER BY added DESC, by_album, track LIMIT ?1";
    ids(connection, sql, [i64::from(limit)])
}

/// Returns tracks that can be played in an order that the seed decides.
pub fn shuffled(connection: &Connection, limit: u32, seed: u64) -> Result<Vec<TrackId>> {
    // A multiplicative hash with an odd factor visits every id once; the seed is its offset.
    let sql = "SELECT track FROM idx.shown WHERE playable = 1 AND track IN (SELECT track FROM here)
               ORDER BY ((track + ?1) * 2654435761) % 4294967296 LIMIT ?2";
    ids(connection, sql, [(seed >> 33) as i64, i64::from(limit)])
}

fn ids(connection: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<TrackId>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params, |row| row.get(0).map(TrackId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}
