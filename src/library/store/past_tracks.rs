//! What another program told of tracks that are here: plays, marks, readings, when they came to it.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::error::Result;
use crate::track::TrackId;
use crate::units::UnixTime;

/// What a library of another program tells of one song.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastTrack {
    /// The library, 0 for one that has no number.
    pub library: i64,
    /// The song in it.
    pub item: i64,
    /// The track that it means.
    pub track: TrackId,
    /// How often it was heard there.
    pub plays: u32,
    /// When last.
    pub played: Option<UnixTime>,
    /// How often it was skipped there.
    pub skips: u32,
    /// 1..=100, 20 a star.
    pub rating: Option<u8>,
    /// It was marked there.
    pub loved: bool,
    /// JSON list of readings: title, artist, album, album artist.
    pub sorts: Option<String>,
}

/// Calls `each` with every song that was heard in another program.
///
/// # Errors
/// Those of the database and of `each`.
pub fn heard(connection: &Connection, mut each: impl FnMut(&PastTrack) -> Result<()>) -> Result<()> {
    let sql = "SELECT library, item, track, plays, played, skips, rating, loved, sorts FROM past_track
               WHERE plays > 0 ORDER BY played, library, item";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(&read(row)?)?;
    }
    Ok(())
}

/// Takes over what is told of songs; what was told before is taken back first. Returns how many are told otherwise than before.
pub fn put(transaction: &Transaction<'_>, told: &[PastTrack], now: UnixTime) -> Result<u64> {
    let sql = "SELECT library, item, track, plays, played, skips, rating, loved, sorts FROM past_track
               WHERE library = ?1 AND item = ?2";
    let mut changed = 0;
    for song in told {
        let known = transaction.prepare_cached(sql)?.query_row([song.library, song.item], read).optional()?;
        if known.as_ref() == Some(song) {
            continue;
        }
        changed += 1;
        if let Some(known) = &known {
            let sql = "UPDATE played SET times = times - ?2 WHERE track = ?1";
            transaction.prepare_cached(sql)?.execute([known.track.0, known.plays.into()])?;
            let sql = "DELETE FROM played WHERE track = ?1 AND times <= 0";
            transaction.prepare_cached(sql)?.execute([known.track.0])?;
        }
        if song.plays > 0 {
            let sql = "INSERT INTO played(track, times, last) VALUES (?1, ?2, ?3)
                       ON CONFLICT(track) DO UPDATE SET times = times + ?2, last = max(last, ?3)";
            let last = song.played.map_or(0, |at| at.0);
            transaction.prepare_cached(sql)?.execute([song.track.0, song.plays.into(), last])?;
        }
        // Whoever took the mark away here meant it.
        if song.loved && !known.is_some_and(|known| known.loved && known.track == song.track) {
            let sql = "INSERT OR IGNORE INTO favourite(track, at) VALUES (?1, ?2)";
            transaction.prepare_cached(sql)?.execute([song.track.0, now.0])?;
        }
        let sql = "INSERT OR REPLACE INTO past_track(library, item, track, plays, played, skips, rating, loved, sorts)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        transaction.prepare_cached(sql)?.execute(params![
            song.library,
            song.item,
            song.track.0,
            song.plays,
            song.played.map(|at| at.0),
            song.skips,
            song.rating,
            song.loved,
            song.sorts,
        ])?;
    }
    Ok(changed)
}

/// Notes that a track was in another program's library before it was found here. What was received here keeps its day.
/// Returns whether that is news.
pub fn was_there(transaction: &Transaction<'_>, track: TrackId, since: UnixTime) -> Result<bool> {
    let sql = "UPDATE track SET added = ?2 WHERE id = ?1 AND added > ?2
               AND NOT EXISTS (SELECT 1 FROM copy WHERE track = ?1 AND event IS NOT NULL)";
    let earlier = transaction.prepare_cached(sql)?.execute([track.0, since.0])? > 0;
    if earlier {
        let sql = "UPDATE idx.shown SET added = ?2 WHERE track = ?1";
        transaction.prepare_cached(sql)?.execute([track.0, since.0])?;
    }
    Ok(earlier)
}

fn read(row: &Row<'_>) -> rusqlite::Result<PastTrack> {
    Ok(PastTrack {
        library: row.get(0)?,
        item: row.get(1)?,
        track: TrackId(row.get(2)?),
        plays: row.get(3)?,
        played: row.get::<_, Option<i64>>(4)?.map(UnixTime),
        skips: row.get(5)?,
        rating: row.get(6)?,
        loved: row.get(7)?,
        sorts: row.get(8)?,
    })
}
