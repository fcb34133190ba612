//! Buys and what proves them: the SQL that writes them, and that reads those of one track.

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::error::Result;
use crate::library::store::{from_json, to_json};
use crate::offer::Provenance;
use crate::track::past::{PastPurchase, sortable};
use crate::track::{CopyId, Evidence, Purchase, PurchaseLevel, TrackId};
use crate::units::Millis;

/// A file that tells of buys.
pub enum Teller<'a> {
    /// One that arrived with this event.
    Arrival(i64, &'a Provenance),
    /// One that was found where it stood.
    Found(CopyId),
}

/// Notes what a file proves.
pub fn note(
    transaction: &Transaction<'_>,
    track: TrackId,
    teller: &Teller<'_>,
    purchases: &[Purchase],
) -> Result<()> {
    let found = Provenance { way: FOUND.into(), ..Provenance::default() };
    let (event, from) = match teller {
        Teller::Arrival(event, from) => (*event, *from),
        Teller::Found(copy) => (-copy.0, &found),
    };
    for purchase in purchases {
        let told = Told { track: Some(track), event: Some(event), name: None, from, past: None };
        insert(transaction, &told, purchase)?;
    }
    Ok(())
}

/// Writes what an adopted file proves now, in place of what it proved before. What a store wrote stays proved when a tagger
/// took it out of the file; what a person filled in goes with it. Returns whether anything changed.
pub fn renew_found(
    transaction: &Transaction<'_>,
    track: TrackId,
    copy: CopyId,
    now: &[Purchase],
) -> Result<bool> {
    let before = of_found(transaction, copy)?;
    let told = |was: &Purchase| now.iter().any(|new| new.store == was.store && new.level >= was.level);
    let kept = before.iter().filter(|was| was.level >= PurchaseLevel::Embedded && !told(was));
    let all: Vec<Purchase> = now.iter().chain(kept).cloned().collect();
    if all == before {
        return Ok(false);
    }
    transaction.prepare_cached("DELETE FROM purchase WHERE event = ?1")?.execute([-copy.0])?;
    note(transaction, track, &Teller::Found(copy), &all)?;
    Ok(true)
}

/// Returns what an adopted file proved, as it was written.
pub fn of_found(connection: &Connection, copy: CopyId) -> Result<Vec<Purchase>> {
    let sql = format!("SELECT {FIELDS} FROM purchase WHERE event = ?1 ORDER BY id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([-copy.0], |row| Ok((row.get::<_, i64>(0)?, purchase(row)?)))?;
    rows.map(|row| {
        let (id, purchase) = row?;
        Ok(Purchase { evidence: evidence_of(connection, id)?, ..purchase })
    })
    .collect()
}

/// Writes what the history says that an adopted file proved, with its title, artist and album. Without a copy the file is
/// gone, and what its track proves already is left out.
pub fn note_told(
    transaction: &Transaction<'_>,
    track: TrackId,
    copy: Option<CopyId>,
    purchases: &[Purchase],
    words: [&Option<String>; 3],
) -> Result<()> {
    if purchases.is_empty() {
        return Ok(());
    }
    let known = if copy.is_none() { of_track(transaction, track)? } else { Vec::new() };
    let from = Provenance { way: FOUND.into(), ..Provenance::default() };
    for purchase in purchases.iter().filter(|purchase| !known.contains(purchase)) {
        let event = copy.map(|copy| -copy.0);
        let told = Told { track: Some(track), event, name: None, from: &from, past: None };
        let id = insert(transaction, &told, purchase)?;
        let sql = "UPDATE purchase SET title = ?2, artist = ?3, album = ?4 WHERE id = ?1";
        let [title, artist, album] = words;
        transaction.prepare_cached(sql)?.execute(params![id, title, artist, album])?;
    }
    Ok(())
}

/// Writes a buy that a history tells, in place of what it told of it before.
pub fn put_past(transaction: &Transaction<'_>, name: &str, past: &PastPurchase) -> Result<()> {
    transaction.prepare_cached("DELETE FROM purchase WHERE name = ?1")?.execute([name])?;
    let told = Told { track: past.track, event: None, name: Some(name), from: &past.from, past: Some(past) };
    insert(transaction, &told, &past.purchase).map(drop)
}

/// Who tells a buy, and of which track.
struct Told<'a> {
    track: Option<TrackId>,
    event: Option<i64>,
    name: Option<&'a str>,
    from: &'a Provenance,
    past: Option<&'a PastPurchase>,
}

/// Returns the row.
fn insert(transaction: &Transaction<'_>, told: &Told<'_>, purchase: &Purchase) -> Result<i64> {
    let sql = "INSERT INTO purchase(track, event, name, store, level, at, said, country, item, release, isrc, price,
                   account, transaction_id, order_id, way, device, device_name, title, artist, album, duration, source)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                   ?22, ?23)";
    let Told { track, event, name, from, past } = told;
    transaction.prepare_cached(sql)?.execute(params![
        track.map(|track| track.0),
        event,
        name,
        purchase.store,
        number_of(purchase.level),
        purchase.bought_at.as_deref().and_then(sortable),
        purchase.bought_at,
        purchase.country,
        purchase.item_id,
        purchase.album_id,
        purchase.isrc,
        purchase.price,
        purchase.account,
        purchase.transaction_id,
        purchase.order_id,
        from.way,
        from.device,
        from.device_name,
        past.and_then(|past| past.title.as_deref()),
        past.and_then(|past| past.artist.as_deref()),
        past.and_then(|past| past.album.as_deref()),
        past.map(|past| past.duration.0 as i64),
        past.map(|past| (&past.from.original_name, &past.from.remote, &past.persistent_id))
            .map(|source| to_json(&source))
            .transpose()?,
    ])?;
    let id = transaction.last_insert_rowid();
    let sql = "INSERT INTO evidence(purchase, number, place, text, personal) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut statement = transaction.prepare_cached(sql)?;
    for (number, fact) in purchase.evidence.iter().enumerate() {
        statement.execute(params![id, number as i64, fact.place, fact.text, fact.personal])?;
    }
    Ok(id)
}

/// Returns what a history told of a buy before.
pub fn past(connection: &Connection, name: &str) -> Result<Option<PastPurchase>> {
    let sql = format!(
        "SELECT {FIELDS}, track, way, device, device_name, title, artist, album, duration, source
                       FROM purchase WHERE name = ?1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let found = statement.query_row([name], |row| {
        let text = |column| row.get::<_, String>(column);
        let from =
            Provenance { way: text(14)?, device: text(15)?, device_name: text(16)?, ..Provenance::default() };
        let past = PastPurchase {
            track: row.get::<_, Option<i64>>(13)?.map(TrackId),
            title: row.get(17)?,
            artist: row.get(18)?,
            album: row.get(19)?,
            duration: Millis(row.get::<_, Option<i64>>(20)?.unwrap_or(0).unsigned_abs()),
            persistent_id: None,
            purchase: purchase(row)?,
            from,
        };
        Ok((row.get::<_, i64>(0)?, text(21)?, past))
    });
    let Some((id, source, mut past)) = found.optional()? else { return Ok(None) };
    (past.from.original_name, past.from.remote, past.persistent_id) = from_json(&source)?;
    past.purchase.evidence = evidence_of(connection, id)?;
    Ok(Some(past))
}

/// Returns what proves the buys of a track, strongest first; what several files tell alike once.
pub fn of_track(connection: &Connection, track: TrackId) -> Result<Vec<Purchase>> {
    let sql = format!("SELECT {FIELDS} FROM purchase WHERE track = ?1 ORDER BY level DESC, id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([track.0], |row| Ok((row.get::<_, i64>(0)?, purchase(row)?)))?;
    let mut found = Vec::new();
    for row in rows {
        let (id, purchase) = row?;
        let purchase = Purchase { evidence: evidence_of(connection, id)?, ..purchase };
        if !found.contains(&purchase) {
            found.push(purchase);
        }
    }
    Ok(found)
}

/// Returns what proves a buy, by its row.
pub fn evidence_of(connection: &Connection, id: i64) -> Result<Vec<Evidence>> {
    let sql = "SELECT place, text, personal FROM evidence WHERE purchase = ?1 ORDER BY number";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([id], |row| {
        Ok(Evidence { place: row.get(0)?, text: row.get(1)?, personal: row.get(2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Reads a row of [`FIELDS`], without its evidence.
pub fn purchase(row: &Row<'_>) -> rusqlite::Result<Purchase> {
    let level = match row.get::<_, i64>(2)? {
        3 => PurchaseLevel::Receipt,
        2 => PurchaseLevel::Embedded,
        _ => PurchaseLevel::Claimed,
    };
    Ok(Purchase {
        country: row.get(4)?,
        bought_at: row.get(3)?,
        item_id: row.get(5)?,
        album_id: row.get(6)?,
        isrc: row.get(7)?,
        price: row.get(8)?,
        account: row.get(9)?,
        transaction_id: row.get(10)?,
        order_id: row.get(11)?,
        ..Purchase::at(row.get::<_, String>(1)?, level)
    })
}

/// Writes the dates as they are sorted, where they are not written yet.
pub fn sort_dates(transaction: &Transaction<'_>) -> Result<()> {
    let rows: Vec<(i64, String)> = {
        let mut statement =
            transaction.prepare("SELECT id, said FROM purchase WHERE at IS NULL AND said IS NOT NULL")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for (id, said) in rows {
        transaction.execute("UPDATE purchase SET at = ?2 WHERE id = ?1", params![id, sortable(&said)])?;
    }
    Ok(())
}

fn number_of(level: PurchaseLevel) -> i64 {
    match level {
        PurchaseLevel::Claimed => 1,
        PurchaseLevel::Embedded => 2,
        PurchaseLevel::Receipt => 3,
    }
}

/// What [`purchase`] reads; further columns begin at 13.
pub const FIELDS: &str = "purchase.id, purchase.store, purchase.level, purchase.said, purchase.country, purchase.item,
    purchase.release, purchase.isrc, purchase.price, purchase.account, purchase.transaction_id, purchase.order_id,
    purchase.at";
/// The way of a file that was found where it stood.
pub const FOUND: &str = "found";
