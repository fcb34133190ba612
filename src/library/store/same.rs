//! Which locked and which free file are one song (product.md "Protected tracks"): the same item of the same store, the same
//! recording code, or artist, title and length. Two free files are never told to be one here.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::error::Result;
use crate::library::store::shown::{Shown, mark};
use crate::query::purchases::SameBy;
use crate::track::{CopyId, Protection, Purchase, PurchaseLevel, TrackId};
use crate::units::{Millis, UnixTime};

/// What a song is known by.
#[derive(Debug, Clone, Copy)]
pub struct Song<'a> {
    /// What proves buys of it.
    pub purchases: &'a [Purchase],
    /// What its tags say.
    pub shown: &'a Shown,
    /// How long it sounds; zero unknown.
    pub duration: Millis,
}

/// A locked and a free file that are one song.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// The track they share.
    pub track: TrackId,
    /// What tells it.
    pub by: SameBy,
}

impl Song<'_> {
    /// Items as their stores wrote them. What a person or a program filled in proves no more than a name.
    fn items(&self) -> impl Iterator<Item = (&str, &str)> {
        self.purchases
            .iter()
            .filter(|purchase| purchase.level >= PurchaseLevel::Embedded && purchase.store != UNKNOWN)
            .filter_map(|purchase| Some((purchase.item_id.as_deref()?, purchase.store.as_str())))
    }

    fn isrc(&self) -> Option<&str> {
        isrc(self.purchases, self.shown)
    }
}

fn isrc<'a>(purchases: &'a [Purchase], shown: &'a Shown) -> Option<&'a str> {
    let of_store = purchases.iter().find_map(|purchase| purchase.isrc.as_deref());
    of_store.or(shown.isrc.as_deref())
}

/// Notes by what a locked copy is told again; one that is free, perhaps since it was replaced, is not.
pub fn note_locked(
    connection: &Connection,
    copy: CopyId,
    protection: &Protection,
    shown: &Shown,
    purchases: &[Purchase],
) -> Result<()> {
    if protection.is_locked() {
        let sql = "INSERT OR REPLACE INTO idx.locked(copy, song, isrc) VALUES (?1, ?2, ?3)";
        connection.prepare_cached(sql)?.execute(params![copy.0, shown.song, isrc(purchases, shown)])?;
    } else {
        connection.prepare_cached("DELETE FROM idx.locked WHERE copy = ?1")?.execute([copy.0])?;
    }
    Ok(())
}

/// Returns whether any file is locked: without one nothing can be unlocked.
pub fn any_locked(connection: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM idx.locked)";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Returns the track that a free file unlocks: one of which nothing can be played.
pub fn locked_for(connection: &Connection, song: &Song<'_>) -> Result<Option<Joined>> {
    for item in song.items() {
        let sql = format!(
            "SELECT track FROM purchase WHERE item = ?1 AND store = ?2 AND level >= 2 AND {}
             ORDER BY track LIMIT 1",
            locked("purchase")
        );
        if let Some(track) = one(connection, &sql, item)? {
            return Ok(Some(Joined { track, by: SameBy::Item }));
        }
    }
    let at = "FROM idx.locked JOIN copy ON copy.id = locked.copy";
    if let Some(isrc) = song.isrc() {
        let sql =
            format!("SELECT track {at} WHERE locked.isrc = ?1 AND {} ORDER BY track LIMIT 1", locked("copy"));
        if let Some(track) = one(connection, &sql, [isrc])? {
            return Ok(Some(Joined { track, by: SameBy::Isrc }));
        }
    }
    let (Some(words), 1..) = (song.shown.song, song.duration.0) else { return Ok(None) };
    let sql = format!(
        "SELECT track {at} WHERE locked.song = ?1 AND duration > 0 AND abs(duration - ?2) <= {WITHIN}
             AND (?3 IS NULL OR locked.isrc IS NULL OR locked.isrc = ?3) AND {}
         ORDER BY abs(duration - ?2), track LIMIT 1",
        locked("copy")
    );
    let found = one(connection, &sql, params![words, song.duration.0 as i64, song.isrc()])?;
    Ok(found.map(|track| Joined { track, by: SameBy::Words }))
}

/// Returns for each locked file the track of a free one of the same song. Looks through all that is shown once, whatever
/// their number.
pub fn free_for(connection: &Connection, songs: &[Song<'_>]) -> Result<Vec<Option<Joined>>> {
    let mut found = vec![None; songs.len()];
    let mut by_isrc: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut by_words: HashMap<i64, Vec<usize>> = HashMap::new();
    for (place, song) in songs.iter().enumerate() {
        for item in song.items() {
            let free = one(connection, FREE, item)?;
            found[place] = found[place].or(free.map(|track| Joined { track, by: SameBy::Item }));
        }
        if found[place].is_none() {
            song.isrc().into_iter().for_each(|isrc| by_isrc.entry(isrc).or_default().push(place));
            let words = song.shown.song.filter(|_| song.duration > Millis::ZERO);
            words.into_iter().for_each(|words| by_words.entry(words).or_default().push(place));
        }
    }
    if by_isrc.is_empty() && by_words.is_empty() {
        return Ok(found);
    }
    // How far apart the lengths are of what was found by words.
    let mut apart = vec![u64::MAX; songs.len()];
    let sql = "SELECT track, song, isrc FROM idx.shown WHERE marks & ?1 = ?2";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([mark::PLAYABLE | mark::GONE, mark::PLAYABLE])?;
    while let Some(row) = rows.next()? {
        let track = TrackId(row.get(0)?);
        let code = row.get_ref(2)?.as_str_or_null().ok().flatten();
        let isrc = code.and_then(|code| by_isrc.get(code));
        for &place in isrc.into_iter().flatten() {
            if found[place].is_none_or(|known| known.by == SameBy::Words) {
                found[place] = Some(Joined { track, by: SameBy::Isrc });
            }
        }
        let words = row.get::<_, Option<i64>>(1)?.and_then(|words| by_words.get(&words));
        for &place in words.into_iter().flatten() {
            // Two recordings of one name.
            if code.zip(songs[place].isrc()).is_some_and(|(one, other)| one != other) {
                continue;
            }
            let near = near(connection, track, songs[place].duration)?;
            let free = found[place].is_none_or(|known| known.by == SameBy::Words);
            if let Some(near) = near.filter(|&near| free && near < apart[place]) {
                (found[place], apart[place]) = (Some(Joined { track, by: SameBy::Words }), near);
            }
        }
    }
    Ok(found)
}

/// Returns by how many milliseconds a length differs from that of what plays of a track, when it is near enough.
fn near(connection: &Connection, track: TrackId, duration: Millis) -> Result<Option<u64>> {
    let sql = format!(
        "SELECT min(abs(duration - ?2)) FROM copy JOIN idx.file ON file.copy = copy.id
         WHERE track = ?1 AND trashed IS NULL AND playable = 1 AND duration > 0 AND abs(duration - ?2) <= {WITHIN}"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let apart: Option<i64> = statement.query_row(params![track.0, duration.0 as i64], |row| row.get(0))?;
    Ok(apart.map(i64::unsigned_abs))
}

/// Returns the condition that the track of a row is locked: nothing of it can be played. A file that was not read yet counts
/// as one that can.
fn locked(row: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM copy AS own JOIN idx.locked AS lock ON lock.copy = own.id
                 WHERE own.track = {row}.track AND own.trashed IS NULL)
         AND NOT EXISTS (SELECT 1 FROM copy AS own LEFT JOIN idx.file ON file.copy = own.id
                         WHERE own.track = {row}.track AND own.trashed IS NULL AND coalesce(file.playable, 1) = 1)"
    )
}

/// Returns whether nothing of a track can be played because it is locked.
pub fn is_locked(connection: &Connection, track: TrackId) -> Result<bool> {
    let sql = format!("SELECT track FROM (SELECT ?1 AS track) AS told WHERE {}", locked("told"));
    Ok(one(connection, &sql, [track.0])?.is_some())
}

fn one(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<Option<TrackId>> {
    Ok(connection.prepare_cached(sql)?.query_row(values, |row| row.get(0).map(TrackId)).optional()?)
}

/// Returns whether something of a track can be played, were its disk there.
pub fn is_free(connection: &Connection, track: TrackId) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM copy JOIN idx.file ON file.copy = copy.id
                              WHERE track = ?1 AND trashed IS NULL AND missing IS NULL AND playable = 1)";
    Ok(connection.prepare_cached(sql)?.query_row([track.0], |row| row.get(0))?)
}

/// Notes that two files came together; `event` is that of the later one, minus its copy's id when it was found.
pub fn note(transaction: &Transaction<'_>, event: i64, track: TrackId, at: i64, by: SameBy) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO unlocked(event, track, at, by) VALUES (?1, ?2, ?3, ?4)";
    transaction.prepare_cached(sql)?.execute(params![event, track.0, at, word(by)])?;
    Ok(())
}

/// Returns what an adopted copy came together with its track by, and when.
pub fn of_found(connection: &Connection, copy: CopyId) -> Result<Option<(SameBy, i64)>> {
    let mut statement = connection.prepare_cached("SELECT by, at FROM unlocked WHERE event = ?1")?;
    let found = statement.query_row([-copy.0], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)));
    Ok(found.optional()?.map(|(by, at)| (by_of(&by), at)))
}

/// Calls `each` with every song that was unlocked: when, its track, and what told it (`item`, `isrc`, `words`).
///
/// # Errors
/// Those of the database and of `each`.
pub fn every_unlocked(
    connection: &Connection,
    mut each: impl FnMut(UnixTime, TrackId, &str) -> Result<()>,
) -> Result<()> {
    let mut statement = connection.prepare("SELECT at, track, by FROM unlocked ORDER BY at, track")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(UnixTime(row.get(0)?), TrackId(row.get(1)?), word(by_of(&row.get::<_, String>(2)?)))?;
    }
    Ok(())
}

fn word(by: SameBy) -> &'static str {
    match by {
        SameBy::Item => "item",
        SameBy::Isrc => "isrc",
        SameBy::Words => "words",
    }
}

/// Reads the column `by` of `unlocked`.
pub fn by_of(text: &str) -> SameBy {
    match text {
        "item" => SameBy::Item,
        "isrc" => SameBy::Isrc,
        _ => SameBy::Words,
    }
}

/// A store that no field names.
const UNKNOWN: &str = "unknown";
/// product.md "Protected tracks": lengths that differ by up to so many milliseconds are the same.
const WITHIN: u64 = 2000;
/// The track of an item of which something can be played.
const FREE: &str = "SELECT track FROM purchase WHERE item = ?1 AND store = ?2 AND level >= 2
    AND EXISTS (SELECT 1 FROM copy AS own JOIN idx.file ON file.copy = own.id
                WHERE own.track = purchase.track AND own.trashed IS NULL AND own.missing IS NULL AND file.playable = 1)
    ORDER BY track LIMIT 1";
