//! The journal of files on their way in, and the memory of what neighbours have.

use rusqlite::{Connection, Row, params};

use crate::error::Result;
use crate::library::store::{from_json, to_json};
use crate::library::{JournalRow, SeenRemote};
use crate::offer::{OfferId, Stage};
use crate::track::TrackId;
use crate::units::{ByteCount, UnixTime};

/// Writes a row; id 0 makes a new one. Returns its id.
pub fn put(connection: &Connection, row: &JournalRow) -> Result<OfferId> {
    let item = row.item.as_ref().map(to_json).transpose()?;
    let verdict = row.verdict.as_ref().map(to_json).transpose()?;
    let id = (row.id.0 != 0).then_some(row.id.0);
    let sql = "INSERT INTO journal(id, stage, provenance, item, part, size, etag, verdict, facts, at)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
               ON CONFLICT(id) DO UPDATE SET stage = ?2, provenance = ?3, item = ?4, part = ?5, size = ?6,
                   etag = ?7, verdict = ?8, facts = ?9, at = ?10";
    connection.prepare_cached(sql)?.execute(params![
        id,
        stage_name(row.stage),
        to_json(&row.provenance)?,
        item,
        row.part,
        row.size.map(|size| size.0 as i64),
        row.etag,
        verdict,
        row.facts,
        row.at.0,
    ])?;
    Ok(id.map_or_else(|| OfferId(connection.last_insert_rowid()), OfferId))
}

/// Returns the rows that have not ended, oldest first.
pub fn open(connection: &Connection) -> Result<Vec<JournalRow>> {
    select(connection, "WHERE stage NOT IN ('stored', 'refused') ORDER BY id", i64::MAX)
}

/// Returns the newest rows, newest first.
pub fn recent(connection: &Connection, limit: u32) -> Result<Vec<JournalRow>> {
    select(connection, "ORDER BY at DESC, id DESC", i64::from(limit))
}

/// Returns the rows that were written since, oldest first; of too many the newest. A row that is older by more than a day is
/// not looked for: rows are written in the order of their ids, but for those that waited.
pub fn since(connection: &Connection, since: UnixTime) -> Result<Vec<JournalRow>> {
    let sql = "SELECT id, stage, provenance, item, part, size, etag, verdict, facts, at FROM journal
               ORDER BY id DESC LIMIT ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([MOST_SINCE])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let at: i64 = row.get(9)?;
        if at < since.0 - DAY {
            break;
        }
        if at >= since.0 {
            found.push(journal_row(row)?);
        }
    }
    found.reverse();
    Ok(found)
}

/// Returns the rows of one way in, newest first.
pub fn of_way(connection: &Connection, way: &str) -> Result<Vec<JournalRow>> {
    // A way is a word of ours.
    let how = format!("WHERE json_extract(provenance, '$.way') = '{way}' ORDER BY at DESC, id DESC");
    select(connection, &how, MOST_OF_WAY)
}

/// Forgets rows that ended before a time, except these.
pub fn prune(connection: &Connection, before: UnixTime, way: &str, keep: &[OfferId]) -> Result<()> {
    let keep: Vec<String> = keep.iter().map(ToString::to_string).collect();
    let sql = format!(
        "DELETE FROM journal WHERE at < ?1 AND stage IN ('stored', 'refused')
         AND NOT (json_extract(provenance, '$.way') = ?2 AND id IN ({}))",
        keep.join(",")
    );
    connection.execute(&sql, params![before.0, way])?;
    Ok(())
}

/// More than all senders of a house bring in a day.
const MOST_SINCE: i64 = 60_000;
/// Seconds.
const DAY: i64 = 86_400;
/// Newer rows say more of a file that lies in the drop folder than these.
const MOST_OF_WAY: i64 = 50_000;

fn select(connection: &Connection, how: &str, limit: i64) -> Result<Vec<JournalRow>> {
    let sql = format!(
        "SELECT id, stage, provenance, item, part, size, etag, verdict, facts, at FROM journal {how} LIMIT ?1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(journal_row(row)?);
    }
    Ok(found)
}

fn journal_row(row: &Row<'_>) -> Result<JournalRow> {
    let stage: String = row.get(1)?;
    let item: Option<String> = row.get(3)?;
    let verdict: Option<String> = row.get(7)?;
    Ok(JournalRow {
        id: OfferId(row.get(0)?),
        stage: from_json::<Stage>(&format!("{stage:?}"))?,
        provenance: from_json(&row.get::<_, String>(2)?)?,
        item: item.as_deref().map(from_json).transpose()?,
        part: row.get(4)?,
        size: row.get::<_, Option<i64>>(5)?.map(|size| ByteCount(size.unsigned_abs())),
        etag: row.get(6)?,
        verdict: verdict.as_deref().map(from_json).transpose()?,
        facts: row.get(8)?,
        at: UnixTime(row.get(9)?),
    })
}

fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Offered => "offered",
        Stage::Staged => "staged",
        Stage::Verified => "verified",
        Stage::Tagged => "tagged",
        Stage::Stored => "stored",
        Stage::Refused => "refused",
    }
}

/// Returns what a device was seen to have.
pub fn seen_remote(connection: &Connection, device: &str) -> Result<Vec<SeenRemote>> {
    let sql = "SELECT object_id, size, hash, verdict, track FROM seen_remote WHERE device = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([device], |row| {
        Ok(SeenRemote {
            device: device.to_owned(),
            object_id: row.get(0)?,
            size: row.get::<_, Option<i64>>(1)?.map(|size| ByteCount(size.unsigned_abs())),
            hash: row.get(2)?,
            verdict: row.get(3)?,
            track: row.get::<_, Option<i64>>(4)?.map(TrackId),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Remembers what a device was seen to have.
pub fn remember(connection: &Connection, seen: &SeenRemote) -> Result<()> {
    let sql = "INSERT INTO seen_remote(device, object_id, size, hash, verdict, track) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT DO UPDATE SET size = ?3, verdict = ?5, track = ?6";
    connection.prepare_cached(sql)?.execute(params![
        seen.device,
        seen.object_id,
        seen.size.map(|size| size.0 as i64),
        seen.hash,
        seen.verdict,
        seen.track.map(|track| track.0),
    ])?;
    Ok(())
}
