//! What a person corrected of tracks.

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::library::store::{from_json, to_json};
use crate::track::TrackId;
use crate::track::correction::Words;
use crate::units::UnixTime;

/// What is corrected of one track.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Correction {
    /// The words; empty once all were taken back.
    pub words: Words,
    /// How often they were changed; 0 never.
    pub number: u32,
    /// When they were changed last.
    pub at: UnixTime,
}

/// Returns what is corrected of a track.
///
/// # Errors
/// Those of the database.
pub fn of(connection: &Connection, track: TrackId) -> Result<Correction> {
    let sql = "SELECT words, number, at FROM correction WHERE track = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?));
    let found = connection.prepare_cached(sql)?.query_row([track.0], read).optional()?;
    let Some((words, number, at)) = found else { return Ok(Correction::default()) };
    Ok(Correction { words: from_json(&words)?, number, at: UnixTime(at) })
}

/// Keeps what is corrected of a track, unless what is kept was changed more often. Returns whether it was kept.
///
/// # Errors
/// Those of the database.
pub fn put(connection: &Connection, track: TrackId, correction: &Correction) -> Result<bool> {
    let sql = "INSERT INTO correction(track, words, number, at) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT(track) DO UPDATE SET words = ?2, number = ?3, at = ?4 WHERE number < ?3";
    let Correction { words, number, at } = correction;
    let put = params![track.0, to_json(words)?, number, at.0];
    Ok(connection.prepare_cached(sql)?.execute(put)? > 0)
}

/// Calls `each` with every track of which something is corrected, in order of number.
///
/// # Errors
/// Those of the database and of `each`.
pub fn every(connection: &Connection, mut each: impl FnMut(TrackId, Correction) -> Result<()>) -> Result<()> {
    let sql = "SELECT track, words, number, at FROM correction WHERE words <> '{}' ORDER BY track";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let words = from_json(&row.get::<_, String>(1)?)?;
        each(TrackId(row.get(0)?), Correction { words, number: row.get(2)?, at: UnixTime(row.get(3)?) })?;
    }
    Ok(())
}
