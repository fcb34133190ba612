//! "My purchases": the SQL that asks for buys, with or without a track. The same buy told by several files of a track is one.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use crate::error::Result;
use crate::library::store::purchases::{FIELDS, FOUND, evidence_of, purchase};
use crate::library::store::shown::{self, mark};
use crate::library::store::{from_json, same, tracks};
use crate::offer::Provenance;
use crate::query::Window;
use crate::query::purchases::{Bought, By, Order, PurchaseGroup, PurchaseQuery, Purchases, Unlocked};
use crate::track::{Protection, Tags, TrackId};
use crate::units::{Millis, UnixTime};

/// Returns the buys of a query.
pub fn bought(connection: &Connection, query: &PurchaseQuery) -> Result<Purchases> {
    let (group, order) = ordered(query);
    // With an index for one track, which the page of a track asks for.
    let of = if query.track.is_some() { "track = :track" } else { ":track IS NULL" };
    let sql = format!(
        "WITH asked_of AS (SELECT * FROM purchase WHERE {of}), {ONE}
         SELECT id, {group} AS grouped, device_name FROM one
             WHERE (:store IS NULL OR store = :store)
             AND (:year IS NULL OR substr(at, 1, 4) = :year)
             AND (:person IS NULL OR coalesce(lower(account), '') = lower(:person))
             AND (:locked IS NULL OR locked = :locked)
         ORDER BY {order}, id"
    );
    let mine = query.brought_by.as_ref().map(|devices| serde_json::Value::from(devices.clone()).to_string());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(named_params! {
        ":mine": mine,
        ":track": query.track.map(|track| track.0),
        ":device": query.device,
        ":store": query.store,
        ":year": query.year.map(|year| format!("{year:04}")),
        ":person": query.person,
        ":locked": query.locked,
        ":playable": mark::PLAYABLE,
    })?;
    let window = query.window.unwrap_or(Window { offset: 0, limit: u32::MAX });
    let page = window.offset..window.offset.saturating_add(u64::from(window.limit));
    let mut found = Purchases::default();
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, key): (i64, String) = (row.get(0)?, row.get(1)?);
        if page.contains(&found.total) {
            ids.push(id);
        }
        found.total += 1;
        match found.groups.iter_mut().find(|group| group.key == key) {
            Some(group) => group.total += 1,
            None => {
                found.groups.push(PurchaseGroup::of(query.by, key, row.get(2)?));
            }
        }
    }
    for id in ids {
        found.items.extend(one(connection, id)?);
    }
    Ok(found)
}

/// Returns what the list is grouped by, and its order, as SQL over the columns of `ONE`.
fn ordered(query: &PurchaseQuery) -> (&'static str, String) {
    let group = match query.by {
        By::Date => "coalesce(substr(at, 1, 4), '')",
        By::Store => "store",
        By::Device => "CASE device WHEN '' THEN way ELSE device END",
        By::Person => "coalesce(lower(account), '')",
    };
    let groups = match (query.by, query.order) {
        (By::Date, Order::Oldest) => "grouped = '', grouped",
        (By::Date, _) => "grouped DESC",
        (By::Device, _) => "device = '', lower(device_name), grouped",
        (By::Store | By::Person, _) => "grouped = '', grouped",
    };
    let order = match query.order {
        Order::Newest => "at IS NULL, at DESC",
        Order::Oldest => "at IS NULL, at",
        Order::Album => "key IS NULL, key, artist, album, title",
    };
    // An album's buys stay together whatever their years.
    let order = match (query.by, query.order) {
        (By::Date, Order::Album) => order.to_owned(),
        _ => format!("{groups}, {order}"),
    };
    (group, order)
}

/// Calls `each` with every buy as each file and each history tells it, in order of telling: the same buy may be told again.
pub fn every(connection: &Connection, mut each: impl FnMut(&Bought) -> Result<()>) -> Result<()> {
    let mut statement = connection.prepare("SELECT id FROM purchase ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(bought) = one(connection, row.get(0)?)? {
            each(&bought)?;
        }
    }
    Ok(())
}

/// Returns one buy with its track, by its row.
fn one(connection: &Connection, id: i64) -> Result<Option<Bought>> {
    let sql = format!(
        "SELECT {FIELDS}, track, way, device, device_name, title, artist, album, duration FROM purchase WHERE id = ?1"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let read = |row: &Row<'_>| {
        let track: Option<i64> = row.get(13)?;
        let bought = Bought {
            purchase: purchase(row)?,
            at: row.get(12)?,
            track: None,
            title: row.get(17)?,
            artist: row.get(18)?,
            album: row.get(19)?,
            duration: Millis(row.get::<_, Option<i64>>(20)?.unwrap_or(0).unsigned_abs()),
            way: row.get(14)?,
            device: row.get(15)?,
            device_name: row.get(16)?,
            lock: None,
            locked: false,
            unlocked: None,
        };
        Ok((track.map(TrackId), bought))
    };
    let Some((track, mut bought)) = statement.query_row([id], read).optional()? else { return Ok(None) };
    bought.purchase.evidence = evidence_of(connection, id)?;
    let Some(track) = track else { return Ok(Some(bought)) };
    bought.track = tracks::load(connection, track)?;
    match &bought.track {
        Some(track) => {
            let tags = &track.tags;
            bought.title = tags.title.clone().or(bought.title);
            bought.artist = tags.artist.clone().or(bought.artist);
            bought.album = tags.album.clone().or(bought.album);
            bought.duration = track.duration;
        }
        None => words_of_deleted(connection, track, &mut bought)?,
    }
    bought.lock = lock_of(connection, track)?;
    bought.locked = bought.lock.is_some() && !same::is_free(connection, track)?;
    bought.unlocked = if bought.lock.is_some() { unlocked(connection, track)? } else { None };
    Ok(Some(bought))
}

/// What a deleted file said when it came.
fn words_of_deleted(connection: &Connection, track: TrackId, bought: &mut Bought) -> Result<()> {
    let sql = "SELECT tags, duration FROM copy WHERE track = ?1 AND tags IS NOT NULL ORDER BY strength DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([track.0], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)));
    let (tags, duration) = match found.optional()? {
        Some((tags, duration)) => (Some(from_json(&tags)?), duration),
        // Only what arrived keeps its words.
        None => (shown::tags_of(connection, track)?, 0),
    };
    let tags: Tags = tags.unwrap_or_default();
    bought.title = bought.title.take().or(tags.title);
    bought.artist = bought.artist.take().or(tags.artist);
    bought.album = bought.album.take().or(tags.album);
    if bought.duration == Millis::ZERO {
        bought.duration = Millis(duration.unsigned_abs());
    }
    Ok(())
}

/// Returns how the locked file of a track is locked.
fn lock_of(connection: &Connection, track: TrackId) -> Result<Option<Protection>> {
    let sql = "SELECT file.protection FROM copy JOIN idx.locked ON locked.copy = copy.id JOIN idx.file ON file.copy = copy.id
               WHERE track = ?1 AND trashed IS NULL ORDER BY missing IS NULL DESC, copy.id LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let found: Option<Option<String>> = statement.query_row([track.0], |row| row.get(0)).optional()?;
    found.flatten().map(|text| from_json(&text)).transpose()
}

/// Returns how a track was unlocked, while something of it is free.
pub fn unlocked(connection: &Connection, track: TrackId) -> Result<Option<Unlocked>> {
    if !same::is_free(connection, track)? {
        return Ok(None);
    }
    let sql =
        "SELECT unlocked.at, by, coalesce(facts ->> '$.way', 'found'), coalesce(facts ->> '$.device', ''),
                   coalesce(facts ->> '$.device_name', '')
               FROM unlocked LEFT JOIN provenance ON provenance.event = unlocked.event
               WHERE unlocked.track = ?1 ORDER BY unlocked.at DESC, unlocked.event DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([track.0], |row| {
        let by: String = row.get(1)?;
        Ok(Unlocked {
            at: UnixTime(row.get(0)?),
            by: same::by_of(&by),
            way: row.get(2)?,
            device: row.get(3)?,
            device_name: row.get(4)?,
        })
    });
    Ok(found.optional()?)
}

/// Returns how a track came first, or when it was found where it stands.
pub fn first_arrival(connection: &Connection, track: TrackId) -> Result<Option<(Provenance, UnixTime)>> {
    let sql = "SELECT facts, at FROM provenance WHERE track = ?1
               AND NOT EXISTS (SELECT 1 FROM copy WHERE copy.track = ?1 AND copy.event IS NULL AND copy.trashed IS NULL
                               AND (SELECT added FROM track WHERE id = ?1) < at)
               ORDER BY at, event LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row([track.0], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)));
    if let Some((facts, at)) = found.optional()? {
        return Ok(Some((from_json(&facts)?, UnixTime(at))));
    }
    let sql = "SELECT added FROM track WHERE id = ?1";
    let added = connection.prepare_cached(sql)?.query_row([track.0], |row| row.get(0)).optional()?;
    Ok(added.map(|added| (Provenance { way: FOUND.into(), ..Provenance::default() }, UnixTime(added))))
}

/// Returns the ids under which a paired device brings music.
pub fn names_of_device(connection: &Connection, device: i64) -> Result<Vec<String>> {
    let sql = "SELECT kind || ':' || value FROM device_key WHERE device = ?1 AND kind <> 'cookie'";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([device], |row| row.get(0))?;
    let mut names: Vec<String> = rows.collect::<rusqlite::Result<_>>()?;
    names.push(format!("device:{device}"));
    Ok(names)
}

/// Every buy once. Of a track's buys at one store, one that a better row tells as well is left out: the same transaction,
/// or nothing that both of them tell differs (buyer, transaction, order; the day, where a store wrote both and they do not
/// name the same item: that one is taken to be loaded again). A buyer is never left out for a row that names none. What a history tells of a song that a file tells as well is left out.
const ONE: &str = "
    asked AS (
        SELECT * FROM asked_of
        WHERE (:mine IS NULL OR device IN (SELECT value FROM json_each(:mine)))
            AND (:device IS NULL OR device = :device OR device_name = :device AND device <> ''
                 OR device = '' AND way = :device)),
    one AS (
        SELECT told.*, shown.key AS key,
            EXISTS (SELECT 1 FROM copy JOIN idx.locked ON locked.copy = copy.id
                    WHERE copy.track = told.track AND copy.trashed IS NULL)
                AND coalesce(shown.marks & :playable, 0) = 0 AS locked
        FROM asked AS told LEFT JOIN idx.shown ON shown.track = told.track
        WHERE (told.track IS NOT NULL OR told.item IS NULL OR NOT EXISTS (
                SELECT 1 FROM purchase AS other
                WHERE other.item = told.item AND other.store = told.store AND other.track IS NOT NULL))
            AND NOT EXISTS (
                SELECT 1 FROM asked AS better WHERE better.track = told.track AND better.store = told.store
                AND (better.account IS NOT NULL, better.level, better.at IS NOT NULL,
                     better.transaction_id IS NOT NULL, -better.id)
                    > (told.account IS NOT NULL, told.level, told.at IS NOT NULL,
                       told.transaction_id IS NOT NULL, -told.id)
                AND CASE
                    WHEN better.transaction_id = told.transaction_id THEN 1
                    WHEN better.transaction_id <> told.transaction_id OR better.order_id <> told.order_id
                        OR lower(better.account) <> lower(told.account) THEN 0
                    WHEN min(better.level, told.level) < 2 OR better.item = told.item THEN 1
                    ELSE coalesce(substr(better.at, 1, min(10, length(better.at), length(told.at)))
                        = substr(told.at, 1, min(10, length(better.at), length(told.at))), 1)
                END))";
