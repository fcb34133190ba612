//! Tracks, their copies, what proves a buy, where they came from: the SQL of the shelf itself.

use std::path::Path;
use std::sync::Arc;

use rusqlite::types::FromSqlError;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, Transaction, params};

use crate::error::Result;
use crate::library::store::purchases::{self, Teller};
use crate::library::store::roots::{bytes, folder_id, path_of, split};
use crate::library::store::shown::{self, Shown, format_of, mark};
use crate::library::store::{corrections, from_json, loudness, same, to_json};
use crate::library::{CopyRow, NewCopy, Reserved};
use crate::offer::OfferId;
use crate::track::correction::Corrected;
use crate::track::{
    Copy, CopyId, Fingerprint, Loudness, Measured, Protection, Purchase, PurchaseLevel, QuickKey, Sha256,
    Tags, Track, TrackId,
};
use crate::units::{ByteCount, Millis, UnixTime};

/// Returns the track that an event ended in, when it did.
pub fn of_event(connection: &Connection, event: OfferId) -> Result<Option<TrackId>> {
    let mut statement = connection.prepare_cached("SELECT track FROM provenance WHERE event = ?1")?;
    Ok(statement.query_row([event.0], |row| row.get(0).map(TrackId)).optional()?)
}

/// Returns the copy on the shelf with the same bytes, one on this root before one that lies elsewhere.
pub fn by_sha256(connection: &Connection, sha256: Sha256, root: i64) -> Result<Option<CopyRow>> {
    copy_where(connection, "sha256 = ?1", sha256.to_string(), root)
}

/// Returns the track of which a copy with these bytes lies on the shelf.
pub fn with_sum(connection: &Connection, sha256: Sha256) -> Result<Option<TrackId>> {
    let sql = "SELECT track FROM copy WHERE sha256 = ?1 AND trashed IS NULL AND missing IS NULL LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row([sha256.to_string()], |row| row.get(0).map(TrackId)).optional()?)
}

/// Returns the copy on the shelf with the same audio payload, one on this root before one that lies elsewhere.
pub fn by_fingerprint(
    connection: &Connection,
    fingerprint: Fingerprint,
    root: i64,
) -> Result<Option<CopyRow>> {
    copy_where(connection, "fingerprint = ?1", fingerprint_bytes(fingerprint), root)
}

fn copy_where(
    connection: &Connection,
    condition: &str,
    value: impl rusqlite::ToSql,
    root: i64,
) -> Result<Option<CopyRow>> {
    let sql = format!(
        "{COPY_ROW} WHERE {condition} AND trashed IS NULL AND missing IS NULL
         ORDER BY folder.root = ?2 DESC, copy.id LIMIT 1"
    );
    Ok(connection.prepare_cached(&sql)?.query_row(params![value, root], copy_row).optional()?)
}

/// Calls `each` with every copy of a root, trashed and missing ones too.
pub fn every_copy(connection: &Connection, root: i64, mut each: impl FnMut(CopyRow)) -> Result<()> {
    let mut statement = connection.prepare(&format!("{COPY_ROW} WHERE folder.root = ?1 ORDER BY copy.id"))?;
    let mut rows = statement.query([root])?;
    while let Some(row) = rows.next()? {
        each(copy_row(row)?);
    }
    Ok(())
}

/// Returns the copies of a root that went to the trash.
pub fn trashed(connection: &Connection, root: i64) -> Result<Vec<CopyRow>> {
    let mut statement =
        connection.prepare(&format!("{COPY_ROW} WHERE trashed IS NOT NULL AND folder.root = ?1"))?;
    let rows = statement.query_map([root], copy_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns the copies of a track that lie on the shelf, the one that sounds first.
pub fn copies_of(connection: &Connection, track: TrackId) -> Result<Vec<CopyRow>> {
    let sql = format!(
        "{COPY_ROW} WHERE track = ?1 AND trashed IS NULL AND missing IS NULL
         ORDER BY playable DESC, strength DESC, copy.id DESC"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([track.0], copy_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Returns one copy.
pub fn copy(connection: &Connection, id: CopyId) -> Result<Option<CopyRow>> {
    let mut statement = connection.prepare_cached(&format!("{COPY_ROW} WHERE copy.id = ?1"))?;
    Ok(statement.query_row([id.0], copy_row).optional()?)
}

/// Returns the hint of a copy's payload.
pub fn quick_of(connection: &Connection, id: CopyId) -> Result<QuickKey> {
    let sql = "SELECT quick FROM copy WHERE id = ?1";
    let quick: Option<[u8; 16]> = connection.prepare_cached(sql)?.query_row([id.0], |row| row.get(0))?;
    Ok(QuickKey(quick.unwrap_or_default()))
}

/// Returns the times of change of a copy's file as they were when it was read; `None` when it is to be read again.
pub fn stamp_of(connection: &Connection, id: CopyId) -> Result<Option<i64>> {
    let sql = "SELECT stamp FROM copy WHERE id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([id.0], |row| row.get(0))?)
}

/// What [`copy_row`] reads; conditions follow.
pub const COPY_ROW: &str =
    "SELECT copy.id, track, folder.root, folder.path, name, size, sha256, coalesce(playable, 0), strength, trashed,
            event, missing
     FROM copy JOIN folder ON folder.id = copy.folder LEFT JOIN idx.file ON file.copy = copy.id";

/// Reads a row of [`COPY_ROW`].
pub fn copy_row(row: &Row<'_>) -> rusqlite::Result<CopyRow> {
    let sha256: Option<String> = row.get(6)?;
    let folder = path_of(row.get(3)?);
    Ok(CopyRow {
        id: CopyId(row.get(0)?),
        track: TrackId(row.get(1)?),
        root: row.get(2)?,
        path: folder.join(path_of(row.get(4)?)),
        size: ByteCount(row.get::<_, i64>(5)?.unsigned_abs()),
        sha256: sha256.and_then(|text| text.parse().ok()),
        playable: row.get(7)?,
        strength: row.get(8)?,
        trashed: row.get(9)?,
        event: row.get::<_, Option<i64>>(10)?.map(OfferId),
        missing: row.get::<_, Option<i64>>(11)?.is_some(),
    })
}

/// Returns whether a path below a root belongs to a copy or is reserved.
pub fn path_taken(connection: &Connection, root: i64, path: &Path) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM copy JOIN folder ON folder.id = copy.folder
                              WHERE root = ?1 AND path = ?3 AND name = ?4 AND trashed IS NULL AND missing IS NULL)
                   OR EXISTS (SELECT 1 FROM reserved WHERE root = ?1 AND path = ?2)";
    let mut statement = connection.prepare_cached(sql)?;
    let (folder, name) = split(path);
    Ok(statement.query_row(params![root, bytes(path), bytes(folder), name], |row| row.get(0))?)
}

/// Reserves a path, and a fresh track id unless one is given.
pub fn reserve(
    connection: &mut Connection,
    new: &NewCopy,
    track: Option<TrackId>,
    root: i64,
    path: &Path,
) -> Result<Reserved> {
    let transaction = connection.transaction()?;
    let track = match track {
        Some(track) => track,
        None => fresh_track(&transaction, new.received)?,
    };
    let sql = "INSERT INTO reserved(event, track, root, path, facts) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT(event) DO UPDATE SET path = ?4";
    transaction.execute(sql, params![new.event.0, track.0, root, bytes(path), to_json(new)?])?;
    transaction.commit()?;
    Ok(Reserved { track, root, path: path.to_owned(), new: new.clone() })
}

fn fresh_track(transaction: &Transaction<'_>, added: UnixTime) -> Result<TrackId> {
    transaction.execute("INSERT INTO track(added) VALUES (?1)", [added.0])?;
    Ok(TrackId(transaction.last_insert_rowid()))
}

/// Returns what an event reserved.
pub fn reserved(connection: &Connection, event: OfferId) -> Result<Option<Reserved>> {
    Ok(every_reserved(connection)?.into_iter().find(|reserved| reserved.new.event == event))
}

/// Returns everything that is reserved; after a clean stop nothing is.
pub fn every_reserved(connection: &Connection) -> Result<Vec<Reserved>> {
    let mut statement =
        connection.prepare_cached("SELECT track, root, path, facts FROM reserved ORDER BY event")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let facts: String = row.get(3)?;
        found.push(Reserved {
            track: TrackId(row.get(0)?),
            root: row.get(1)?,
            path: path_of(row.get(2)?),
            new: from_json(&facts)?,
        });
    }
    Ok(found)
}

/// Lets a reservation go; its track id stays unused for ever.
pub fn unreserve(connection: &Connection, event: OfferId) -> Result<()> {
    connection.execute("DELETE FROM reserved WHERE event = ?1", [event.0])?;
    Ok(())
}

/// Makes the row of a file that lies at its reserved place; `stamp` tells its times of change.
pub fn commit(connection: &mut Connection, reserved: &Reserved, stamp: Option<i64>) -> Result<()> {
    let transaction = connection.transaction()?;
    insert(&transaction, reserved, None, stamp)?;
    transaction.commit()?;
    Ok(())
}

/// Makes the row of a file, as a part of a greater work; `trashed` is its name in the trash when it lies there.
pub fn insert(
    transaction: &Transaction<'_>,
    reserved: &Reserved,
    trashed: Option<&str>,
    stamp: Option<i64>,
) -> Result<()> {
    let Reserved { track, root, path, new } = reserved;
    hold(transaction, *track, new.received.0)?;
    let (folder, name) = split(path);
    let shown = Shown::of(&new.tags)?;
    let sql = "INSERT INTO copy(track, folder, name, size, sha256, quick, fingerprint, format, protection, personal,
                   tags, duration, strength, event, trashed, stamp, alike)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)";
    transaction.execute(
        sql,
        params![
            track.0,
            folder_id(transaction, *root, folder)?,
            name,
            new.size.0 as i64,
            new.sha256.to_string(),
            new.quick.0,
            new.fingerprint.map(fingerprint_bytes),
            to_json(&new.format)?,
            to_json(&new.protection)?,
            to_json(&new.personal)?,
            to_json(&new.tags)?,
            new.duration.0 as i64,
            strength(new),
            new.event.0,
            trashed,
            stamp,
            shown.alike,
        ],
    )?;
    let copy = CopyId(transaction.last_insert_rowid());
    shown::put_file(transaction, copy, &new.format, &new.protection, &new.personal)?;
    same::note_locked(transaction, copy, &new.protection, &shown, &new.purchases)?;
    if let Some(by) = new.joined {
        same::note(transaction, new.event.0, *track, new.received.0, by)?;
    }
    note_arrival(transaction, *track, new)?;
    transaction.execute("DELETE FROM reserved WHERE event = ?1", [new.event.0])?;
    if new.protection.is_locked() && same::is_free(transaction, *track)? {
        // What plays tells what the track is called.
        return shown::refresh(transaction, *track);
    }
    shown::show(transaction, *track, &shown)
}

/// Notes that the same music came again.
pub fn merge(connection: &mut Connection, track: TrackId, new: &NewCopy) -> Result<()> {
    let transaction = connection.transaction()?;
    note_arrival(&transaction, track, new)?;
    shown::refresh(&transaction, track)?;
    transaction.commit()?;
    Ok(())
}

/// Makes the row of a track, unless it is there: its number goes to no other.
pub fn hold(transaction: &Transaction<'_>, track: TrackId, added: i64) -> Result<()> {
    let sql = "INSERT OR IGNORE INTO track(id, added) VALUES (?1, ?2)";
    transaction.prepare_cached(sql)?.execute([track.0, added])?;
    Ok(())
}

/// Notes where an arrival came from and what proves its buy; the same event counts once.
pub fn note_arrival(transaction: &Transaction<'_>, track: TrackId, new: &NewCopy) -> Result<()> {
    let sql = "INSERT OR IGNORE INTO provenance(event, track, at, facts) VALUES (?1, ?2, ?3, ?4)";
    let fresh =
        transaction.execute(sql, params![new.event.0, track.0, new.received.0, to_json(&new.provenance)?])?;
    if fresh == 0 {
        return Ok(());
    }
    let teller = Teller::Arrival(new.event.0, &new.provenance);
    purchases::note(transaction, track, &teller, &new.purchases)
}

/// Marks a copy as moved to the trash.
pub fn trash(connection: &mut Connection, copy: CopyId, name: &str) -> Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute("UPDATE copy SET trashed = ?2 WHERE id = ?1", params![copy.0, name])?;
    let track: i64 =
        transaction.query_row("SELECT track FROM copy WHERE id = ?1", [copy.0], |row| row.get(0))?;
    shown::refresh(&transaction, TrackId(track))?;
    transaction.commit()?;
    Ok(())
}

/// Returns a track with its copies and what proves its buys; a copy that is missing counts as one whose disk is away. `None`
/// when everything of it went to the trash.
pub fn load(connection: &Connection, id: TrackId) -> Result<Option<Arc<Track>>> {
    Loader::new(connection)?.load(id)
}

/// Loads the tracks of a page, whose statements are looked up once.
pub struct Loader<'a> {
    connection: &'a Connection,
    shown: CachedStatement<'a>,
    copies: CachedStatement<'a>,
}

impl<'a> Loader<'a> {
    /// Returns a loader.
    pub fn new(connection: &'a Connection) -> Result<Loader<'a>> {
        let shown = "SELECT tags, marks, added, key, tagged FROM idx.shown WHERE track = ?1";
        let (shown, copies) = (connection.prepare_cached(shown)?, connection.prepare_cached(COPIES)?);
        Ok(Loader { connection, shown, copies })
    }

    /// As [`load`].
    pub fn load(&mut self, id: TrackId) -> Result<Option<Arc<Track>>> {
        let read = |row: &Row| {
            let tags = row.get_ref(0)?.as_str().map(shown::unpacked);
            let tagged = row.get::<_, Option<String>>(4)?;
            Ok((tags, row.get::<_, u8>(1)?, row.get::<_, i64>(2)?, row.get::<_, Vec<u8>>(3)?, tagged))
        };
        let shown = self.shown.query_row([id.0], read).optional()?;
        let found = copies(&mut self.copies, id)?;
        whole(self.connection, id, shown, found)
    }
}

/// Returns a track of what its row and its copies say.
fn whole(
    connection: &Connection,
    id: TrackId,
    shown: Option<ShownRow>,
    (copies, duration, loudness): Copies,
) -> Result<Option<Arc<Track>>> {
    if copies.is_empty() {
        return Ok(None);
    }
    let (tags, marks, added, key, tagged) = match shown {
        Some((tags, marks, added, key, tagged)) => {
            (tags.unwrap_or_else(|_| shown::unpacked("{}"))?, marks, added, key, tagged)
        }
        // It was gone before index.db was made anew.
        None => {
            (shown::tags_at_arrival(connection, id)?, mark::BOUGHT, added(connection, id)?, Vec::new(), None)
        }
    };
    let tags = Arc::new(tags);
    let album = if loudness.is_some() { loudness::of_album(connection, &key)? } else { None };
    let measured = Measured { track: loudness, album };
    let corrected = match tagged {
        Some(tagged) => {
            let words = corrections::of(connection, id)?.words;
            Some(Arc::new(Corrected { words, tagged: Arc::new(shown::unpacked(&tagged)?) }))
        }
        None => None,
    };
    let purchases = if marks & mark::BOUGHT == 0 { Vec::new() } else { purchases::of_track(connection, id)? };
    Ok(Some(Arc::new(Track {
        id,
        tags,
        corrected,
        duration,
        copies,
        album: shown::album_of(&key),
        added: UnixTime(added),
        purchases,
        measured,
    })))
}

/// Returns when a track came to the shelf, seconds since 1970.
pub fn added(connection: &Connection, id: TrackId) -> Result<i64> {
    let sql = "SELECT added FROM track WHERE id = ?1";
    Ok(connection.prepare_cached(sql)?.query_row([id.0], |row| row.get(0))?)
}

/// Tags, marks, when it came, sort key, and tags as the file says them where something is corrected.
type ShownRow = (std::result::Result<Result<Tags>, FromSqlError>, u8, i64, Vec<u8>, Option<String>);
/// The copies of a track, best first, how long it is, and how loud what sounds of it is.
type Copies = (Vec<Copy>, Millis, Option<Loudness>);

const COPIES: &str =
    "SELECT copy.id, size, sha256, copy.fingerprint, file.format, file.protection, file.personal, duration,
                      online AND missing IS NULL, playable, strength, lufs, true_peak
               FROM copy JOIN folder ON folder.id = copy.folder JOIN root ON root.id = folder.root
                    JOIN idx.file ON file.copy = copy.id
                    LEFT JOIN idx.loudness ON loudness.fingerprint = copy.fingerprint
               WHERE track = ?1 AND trashed IS NULL";

fn copies(statement: &mut rusqlite::Statement, id: TrackId) -> Result<Copies> {
    let mut rows = statement.query([id.0])?;
    let mut copies = Vec::with_capacity(1);
    while let Some(row) = rows.next()? {
        let json = |column| row.get::<_, Option<String>>(column);
        let sha256 = json(2)?.and_then(|text| text.parse().ok());
        let fingerprint: Option<Vec<u8>> = row.get(3)?;
        let id = CopyId(row.get(0)?);
        let best: (bool, bool, i64, CopyId) = (row.get(8)?, row.get(9)?, row.get(10)?, id);
        let copy = Copy {
            id,
            size: ByteCount(row.get::<_, i64>(1)?.unsigned_abs()),
            sha256,
            fingerprint: fingerprint.as_deref().and_then(fingerprint_of),
            format: format_of(row.get_ref(4)?.as_str().unwrap_or_default())?,
            protection: json(5)?.map_or(Ok(Protection::None), |text| from_json(&text))?,
            personal: json(6)?.map_or(Ok(Vec::new()), |text| from_json(&text))?,
            online: best.0,
        };
        let (lufs, true_peak): (Option<f64>, Option<f64>) = (row.get(11)?, row.get(12)?);
        let loud = lufs.zip(true_peak).map(|(lufs, true_peak)| Loudness { lufs, true_peak });
        copies.push((best, Millis(row.get::<_, i64>(7)?.unsigned_abs()), copy, loud));
    }
    // The best first. Not by SQL: setting up its sorter takes longer than all else here.
    copies.sort_by(|(a, ..), (b, ..)| b.cmp(a));
    let duration = copies.iter().map(|(_, duration, ..)| *duration).find(|&duration| duration > Millis::ZERO);
    let loud = copies.first().and_then(|(.., loud)| *loud);
    Ok((copies.into_iter().map(|(.., copy, _)| copy).collect(), duration.unwrap_or(Millis::ZERO), loud))
}

/// Makes later ids larger than these: the database may be younger than the history beside the music.
pub fn ids_from(connection: &Connection, track: i64, event: i64) -> Result<()> {
    for (table, id) in [("track", track), ("journal", event)] {
        let known: Option<i64> = connection
            .query_row("SELECT seq FROM sqlite_sequence WHERE name = ?1", [table], |row| row.get(0))
            .optional()?;
        match known {
            Some(known) if known >= id => {}
            Some(_) => {
                connection
                    .execute("UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1", params![table, id])?;
            }
            None => {
                connection
                    .execute("INSERT INTO sqlite_sequence(name, seq) VALUES (?1, ?2)", params![table, id])?;
            }
        }
    }
    Ok(())
}

/// Returns how strong the evidence and full the tags of a file are: the stronger one of two files stays.
pub fn strength(new: &NewCopy) -> i64 {
    let level = |purchase: &Purchase| match purchase.level {
        PurchaseLevel::Receipt => 3,
        PurchaseLevel::Embedded => 2,
        PurchaseLevel::Claimed => 1,
    };
    let evidence = new.purchases.iter().map(level).max().unwrap_or(0);
    let facts: usize = new.purchases.iter().map(|purchase| purchase.evidence.len()).sum();
    let fullness = shown::fullness(&new.tags);
    evidence * 1_000_000 + facts.min(999) as i64 * 1000 + fullness
}

/// Returns a fingerprint as the database keeps it: version, then digest.
pub fn fingerprint_bytes(fingerprint: Fingerprint) -> [u8; 17] {
    let mut bytes = [fingerprint.algo; 17];
    bytes[1..].copy_from_slice(&fingerprint.hash.0);
    bytes
}

fn fingerprint_of(bytes: &[u8]) -> Option<Fingerprint> {
    let (algo, hash) = bytes.split_first()?;
    Some(Fingerprint { algo: *algo, hash: QuickKey(hash.try_into().ok()?) })
}
