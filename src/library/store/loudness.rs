//! What was measured of how loud payloads are, by their fingerprint: it stays when a file moves, is tagged anew, or comes a
//! second time, and when the rest of index.db is made anew.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::library::CopyRow;
use crate::library::store::shown;
use crate::library::store::tracks::{COPY_ROW, copy_row};
use crate::media::loudness::Heard;
use crate::track::{CopyId, Loudness};
use crate::units::Millis;

/// Which copies are to be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Those that arrived.
    Arrived,
    /// Those found where they stood, whose tags tell no gain.
    Adopted,
}

impl Wanted {
    fn sql(self) -> &'static str {
        match self {
            Wanted::Arrived => "event IS NOT NULL",
            Wanted::Adopted => {
                "event IS NULL AND EXISTS (SELECT 1 FROM idx.shown
                     WHERE shown.track = copy.track AND instr(tags, '\"track_gain\"') = 0)"
            }
        }
    }
}

/// What every copy that can be measured has, and nobody measured yet.
const UNMEASURED: &str =
    "fingerprint IS NOT NULL AND playable = 1 AND online = 1 AND missing IS NULL AND trashed IS NULL
    AND NOT EXISTS (SELECT 1 FROM idx.loudness WHERE loudness.fingerprint = copy.fingerprint)";

/// Returns how many copies are to be measured.
///
/// # Errors
/// Those of the database.
pub fn left(connection: &Connection, wanted: Wanted) -> Result<u64> {
    let sql = format!(
        "SELECT count(*) FROM copy JOIN folder ON folder.id = copy.folder JOIN root ON root.id = folder.root
             JOIN idx.file ON file.copy = copy.id WHERE {UNMEASURED} AND {}",
        wanted.sql()
    );
    Ok(connection.prepare_cached(&sql)?.query_row([], |row| row.get::<_, i64>(0))?.unsigned_abs())
}

/// Returns the next copies behind one that are to be measured.
///
/// # Errors
/// Those of the database.
pub fn unmeasured(
    connection: &Connection,
    wanted: Wanted,
    behind: CopyId,
    limit: u32,
) -> Result<Vec<CopyRow>> {
    let sql = format!(
        "{COPY_ROW} JOIN root ON root.id = folder.root WHERE copy.id > ?1 AND {UNMEASURED} AND {}
         ORDER BY copy.id LIMIT ?2",
        wanted.sql()
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![behind.0, limit], copy_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Keeps what was heard of a copy; `None`: it cannot be measured. Nothing is kept of a file that changed meanwhile.
///
/// # Errors
/// Those of the database.
pub fn put(connection: &Connection, copy: &CopyRow, heard: Option<Heard>) -> Result<()> {
    let (lufs, true_peak) = match heard {
        Some(Heard::Loud(Loudness { lufs, true_peak })) => (Some(lufs), Some(true_peak)),
        Some(Heard::Silence) => (None, Some(0.0)),
        Some(Heard::Stopped) => return Ok(()),
        None => (None, None),
    };
    let sql = "INSERT OR REPLACE INTO idx.loudness(fingerprint, lufs, true_peak)
               SELECT fingerprint, ?3, ?4 FROM copy WHERE id = ?1 AND size = ?2 AND fingerprint IS NOT NULL";
    connection.prepare_cached(sql)?.execute(params![copy.id.0, copy.size.0 as i64, lufs, true_peak])?;
    Ok(())
}

/// Forgets what could not be measured, so that it is tried again: a decoder may have been installed.
///
/// # Errors
/// Those of the database.
pub fn try_again(connection: &Connection) -> Result<()> {
    connection.execute("DELETE FROM idx.loudness WHERE true_peak IS NULL", [])?;
    Ok(())
}

/// Returns how loud each album is whose tracks were all measured. What could not be measured, and silence, is as if it
/// were not there.
///
/// # Errors
/// Those of the database.
pub fn albums(connection: &Connection) -> Result<Vec<(i64, Loudness)>> {
    // A row for each track that can be played; of several copies the one that is known, or the louder.
    let sql =
        "SELECT key, max(copy.duration), max(lufs), max(true_peak), max(loudness.fingerprint IS NOT NULL)
               FROM idx.shown JOIN copy ON copy.track = shown.track JOIN idx.file ON file.copy = copy.id
                    LEFT JOIN idx.loudness ON loudness.fingerprint = copy.fingerprint
               WHERE marks & 9 = 1 AND playable = 1 AND trashed IS NULL AND missing IS NULL
               GROUP BY shown.track";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    // `None`: a track of it is not measured yet.
    let mut found: HashMap<i64, Option<Vec<(Loudness, Millis)>>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let Some(album) = album_of(row.get_ref(0)?.as_bytes().unwrap_or_default()) else { continue };
        let known = found.entry(album).or_insert_with(|| Some(Vec::new()));
        if !row.get::<_, bool>(4)? {
            *known = None;
        }
        if let (Some(list), Some(lufs), Some(true_peak)) = (known, row.get(2)?, row.get(3)?) {
            list.push((Loudness { lufs, true_peak }, Millis(row.get::<_, i64>(1)?.unsigned_abs())));
        }
    }
    let whole = found.into_iter().filter_map(|(album, tracks)| Some((album, Loudness::of_album(tracks?)?)));
    Ok(whole.collect())
}

/// Returns whether any album was summed up.
///
/// # Errors
/// Those of the database.
pub fn any_album(connection: &Connection) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM idx.loud_album)";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Keeps how loud albums are, in place of what was known.
///
/// # Errors
/// Those of the database.
pub fn put_albums(connection: &Connection, albums: &[(i64, Loudness)]) -> Result<()> {
    connection.execute("DELETE FROM idx.loud_album", [])?;
    let sql = "INSERT OR REPLACE INTO idx.loud_album(album, lufs, true_peak) VALUES (?1, ?2, ?3)";
    let mut statement = connection.prepare_cached(sql)?;
    for (album, Loudness { lufs, true_peak }) in albums {
        statement.execute(params![album, lufs, true_peak])?;
    }
    Ok(())
}

/// Returns how loud the album is whose track has this sort key.
///
/// # Errors
/// Those of the database.
pub fn of_album(connection: &Connection, key: &[u8]) -> Result<Option<Loudness>> {
    let Some(album) = album_of(key) else { return Ok(None) };
    let sql = "SELECT lufs, true_peak FROM idx.loud_album WHERE album = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok(Loudness { lufs: row.get(0)?, true_peak: row.get(1)? });
    Ok(connection.prepare_cached(sql)?.query_row([album], read).optional()?)
}

/// Returns the number of the album in a sort key: its artist, its name and its year; `None` without a name.
fn album_of(key: &[u8]) -> Option<i64> {
    shown::album_of(key).map(|id| id.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tracks_of_one_album_have_one_number() {
        let one = album_of(b"artist\0album\x002007\x000001000001\0");
        assert!(one.is_some());
        assert_eq!(one, album_of(b"artist\0album\x002007\x000002000012\0title"));
        assert_ne!(one, album_of(b"artist\0album\x002008\x000001000001\0"));
        assert_ne!(one, album_of(b"artist\0other\x002007\x000001000001\0"));
        assert_eq!(album_of(b"artist\0\0\x000001000001\0"), None);
        assert_eq!(album_of(b""), None);
    }
}
