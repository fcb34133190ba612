//! Tracks, their copies, what proves a buy, where they came from: the SQL of the shelf itself.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};

use crate::error::Result;
use crate::library::store::{from_json, to_json};
use crate::library::{CopyRow, NewCopy, Reserved};
use crate::media::text::{fold, sort_key};
use crate::offer::OfferId;
use crate::track::{
    Copy, CopyId, Fingerprint, Protection, Purchase, PurchaseLevel, QuickKey, Sha256, Tags, Track, TrackId,
};
use crate::units::{ByteCount, Millis, UnixTime};

/// Returns the root's number, and keeps where it was seen.
pub fn root_id(connection: &Connection, uuid: &str, path: &Path) -> Result<i64> {
    let path = path.to_string_lossy();
    let sql = "INSERT INTO root(uuid, path) VALUES (?1, ?2) ON CONFLICT(uuid) DO UPDATE SET path = ?2";
    connection.execute(sql, params![uuid, path])?;
    Ok(connection.query_row("SELECT id FROM root WHERE uuid = ?1", [uuid], |row| row.get(0))?)
}

/// Returns the UUID under which a folder was known.
pub fn root_uuid(connection: &Connection, path: &Path) -> Result<Option<String>> {
    let sql = "SELECT uuid FROM root WHERE path = ?1 ORDER BY id DESC LIMIT 1";
    Ok(connection.query_row(sql, [path.to_string_lossy()], |row| row.get(0)).optional()?)
}

/// Notes which root's disk is there, if any.
pub fn set_online(connection: &Connection, root: Option<i64>) -> Result<()> {
    connection.execute("UPDATE root SET online = (id IS ?1)", [root])?;
    Ok(())
}

/// Returns where a root was last seen.
pub fn root_path(connection: &Connection, root: i64) -> Result<PathBuf> {
    let path: String =
        connection.query_row("SELECT path FROM root WHERE id = ?1", [root], |row| row.get(0))?;
    Ok(PathBuf::from(path))
}

/// Returns the track that an event ended in, when it did.
pub fn of_event(connection: &Connection, event: OfferId) -> Result<Option<TrackId>> {
    let mut statement = connection.prepare_cached("SELECT track FROM provenance WHERE event = ?1")?;
    Ok(statement.query_row([event.0], |row| row.get(0).map(TrackId)).optional()?)
}

/// Returns the copy on the shelf with the same bytes, one on this root before one that lies elsewhere.
pub fn by_sha256(connection: &Connection, sha256: Sha256, root: i64) -> Result<Option<CopyRow>> {
    copy_where(connection, "sha256 = ?1 AND trashed IS NULL", &sha256.to_string(), root)
}

/// Returns the copy on the shelf with the same audio payload, one on this root before one that lies elsewhere.
pub fn by_fingerprint(
    connection: &Connection,
    fingerprint: Fingerprint,
    root: i64,
) -> Result<Option<CopyRow>> {
    copy_where(connection, "fingerprint = ?1 AND trashed IS NULL", &fingerprint_text(fingerprint), root)
}

fn copy_where(connection: &Connection, condition: &str, value: &str, root: i64) -> Result<Option<CopyRow>> {
    let sql = format!("{COPY_ROW} WHERE {condition} ORDER BY root = ?2 DESC, id LIMIT 1");
    Ok(connection.prepare_cached(&sql)?.query_row(params![value, root], copy_row).optional()?)
}

/// Calls `each` with every copy, trashed ones too.
pub fn every_copy(connection: &Connection, mut each: impl FnMut(CopyRow)) -> Result<()> {
    let mut statement = connection.prepare(&format!("{COPY_ROW} ORDER BY id"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        each(copy_row(row)?);
    }
    Ok(())
}

/// Returns the copies of a track that lie on the shelf.
pub fn copies_of(connection: &Connection, track: TrackId) -> Result<Vec<CopyRow>> {
    let sql = format!(
        "{COPY_ROW} WHERE track = ?1 AND trashed IS NULL ORDER BY playable DESC, strength DESC, id DESC"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([track.0], copy_row)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

const COPY_ROW: &str =
    "SELECT id, track, root, path, size, sha256, playable, strength, trashed, event FROM copy";

fn copy_row(row: &Row<'_>) -> rusqlite::Result<CopyRow> {
    let sha256: Option<String> = row.get(5)?;
    Ok(CopyRow {
        id: CopyId(row.get(0)?),
        track: TrackId(row.get(1)?),
        root: row.get(2)?,
        path: path_of(row.get(3)?),
        size: ByteCount(row.get::<_, i64>(4)?.unsigned_abs()),
        sha256: sha256.and_then(|text| text.parse().ok()),
        playable: row.get(6)?,
        strength: row.get(7)?,
        trashed: row.get(8)?,
        event: OfferId(row.get(9)?),
    })
}

fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// Returns whether a path below a root belongs to a copy or is reserved.
pub fn path_taken(connection: &Connection, root: i64, path: &Path) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM copy WHERE root = ?1 AND path = ?2 AND trashed IS NULL)
                   OR EXISTS (SELECT 1 FROM reserved WHERE root = ?1 AND path = ?2)";
    let mut statement = connection.prepare_cached(sql)?;
    Ok(statement.query_row(params![root, path.as_os_str().as_bytes()], |row| row.get(0))?)
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
    transaction
        .execute(sql, params![new.event.0, track.0, root, path.as_os_str().as_bytes(), to_json(new)?])?;
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

/// Makes the row of a file that lies at its reserved place.
pub fn commit(connection: &mut Connection, reserved: &Reserved) -> Result<()> {
    let transaction = connection.transaction()?;
    insert(&transaction, reserved, None)?;
    transaction.commit()?;
    Ok(())
}

/// Makes the row of a file, as a part of a greater work; `trashed` is its name in the trash when it lies there.
pub fn insert(transaction: &Transaction<'_>, reserved: &Reserved, trashed: Option<&str>) -> Result<()> {
    let Reserved { track, root, path, new } = reserved;
    let exists = "INSERT OR IGNORE INTO track(id, added) VALUES (?1, ?2)";
    transaction.execute(exists, [track.0, new.received.0])?;
    let playable = !new.protection.is_locked() && new.format.codec.is_decodable();
    let sql =
        "INSERT INTO copy(track, root, path, size, sha256, quick, fingerprint, format, protection, personal,
                   tags, duration, playable, strength, event, trashed)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
    transaction.execute(
        sql,
        params![
            track.0,
            root,
            path.as_os_str().as_bytes(),
            new.size.0 as i64,
            new.sha256.to_string(),
            new.quick.to_string(),
            new.fingerprint.map(fingerprint_text),
            to_json(&new.format)?,
            to_json(&new.protection)?,
            to_json(&new.personal)?,
            to_json(&new.tags)?,
            new.duration.0 as i64,
            playable,
            strength(new),
            new.event.0,
            trashed,
        ],
    )?;
    note_arrival(transaction, *track, new)?;
    transaction.execute("DELETE FROM reserved WHERE event = ?1", [new.event.0])?;
    show(transaction, *track, &new.tags)
}

/// Notes that the same music came again.
pub fn merge(connection: &mut Connection, track: TrackId, new: &NewCopy) -> Result<()> {
    let transaction = connection.transaction()?;
    note_arrival(&transaction, track, new)?;
    let tags = tags_of(&transaction, track)?;
    show(&transaction, track, &tags)?;
    transaction.commit()?;
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
    for purchase in &new.purchases {
        let sql = "INSERT INTO purchase(track, event, store, at, facts) VALUES (?1, ?2, ?3, ?4, ?5)";
        transaction.execute(
            sql,
            params![track.0, new.event.0, purchase.store, purchase.bought_at, to_json(purchase)?],
        )?;
    }
    Ok(())
}

/// Marks a copy as moved to the trash.
pub fn trash(connection: &mut Connection, copy: CopyId, name: &str) -> Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute("UPDATE copy SET trashed = ?2 WHERE id = ?1", params![copy.0, name])?;
    let track: i64 =
        transaction.query_row("SELECT track FROM copy WHERE id = ?1", [copy.0], |row| row.get(0))?;
    let tags = tags_of(&transaction, TrackId(track))?;
    show(&transaction, TrackId(track), &tags)?;
    transaction.commit()?;
    Ok(())
}

fn tags_of(connection: &Connection, track: TrackId) -> Result<Tags> {
    let mut statement = connection.prepare_cached("SELECT tags FROM idx.shown WHERE track = ?1")?;
    let text: Option<String> = statement.query_row([track.0], |row| row.get(0)).optional()?;
    text.map_or_else(|| Ok(Tags::default()), |text| from_json(&text))
}

/// Writes what a track shows; a track without a copy on the shelf shows nothing.
pub fn show(connection: &Connection, track: TrackId, tags: &Tags) -> Result<()> {
    let playable: Option<bool> = connection
        .prepare_cached("SELECT max(playable) FROM copy WHERE track = ?1 AND trashed IS NULL")?
        .query_row([track.0], |row| row.get(0))?;
    let Some(playable) = playable else {
        connection.execute("DELETE FROM idx.shown WHERE track = ?1", [track.0])?;
        return Ok(());
    };
    let added: i64 =
        connection.query_row("SELECT added FROM track WHERE id = ?1", [track.0], |row| row.get(0))?;
    let (bought, stores): (Option<String>, Option<String>) = connection
        .prepare_cached("SELECT max(at), group_concat(DISTINCT store) FROM purchase WHERE track = ?1")?
        .query_row([track.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let folded = Folded::of(tags);
    let sql =
        "INSERT OR REPLACE INTO idx.shown(track, tags, title, artist, album, album_artist, genre, date, any_,
                   by_album, by_title, by_artist, added, bought, stores, playable)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";
    connection.prepare_cached(sql)?.execute(params![
        track.0,
        to_json(tags)?,
        folded.title,
        folded.artist,
        folded.album,
        folded.album_artist,
        folded.genre,
        tags.date.as_deref().unwrap_or(""),
        folded.any,
        folded.by_album,
        folded.by_title,
        folded.by_artist,
        added,
        bought.unwrap_or_default(),
        enclosed(stores.unwrap_or_default().split(',').map(str::to_owned)),
        playable,
    ])?;
    Ok(())
}

struct Folded {
    title: String,
    artist: String,
    album: String,
    album_artist: String,
    genre: String,
    any: String,
    by_album: String,
    by_title: String,
    by_artist: String,
}

impl Folded {
    fn of(tags: &Tags) -> Folded {
        let text = |value: &Option<String>| value.as_deref().map(fold).unwrap_or_default();
        let key = |sort: &Option<String>, shown: &Option<String>| {
            sort.as_deref().or(shown.as_deref()).map(sort_key).unwrap_or_default()
        };
        let album_artist = tags.album_artist.clone().or_else(|| tags.artist.clone());
        let artists = tags.artist.iter().chain(&tags.artists).chain(&tags.album_artist).map(|a| fold(a));
        let mut artists: Vec<String> = artists.collect();
        artists.sort();
        artists.dedup();
        let album_sort = tags.album_artist_sort.clone().or_else(|| {
            // The artist's reading serves only while the artist is the album's.
            tags.artist_sort
                .clone()
                .filter(|_| tags.album_artist.as_ref().is_none_or(|a| Some(a) == tags.artist.as_ref()))
        });
        let by_album = format!(
            "{}\u{1}{}\u{1}{:04}\u{1}{:06}\u{1}{}",
            key(&album_sort, &album_artist),
            key(&tags.album_sort, &tags.album),
            tags.disc.unwrap_or(0),
            tags.track.unwrap_or(0),
            key(&tags.title_sort, &tags.title),
        );
        let readings = [&tags.title_sort, &tags.artist_sort, &tags.album_sort, &tags.album_artist_sort];
        let any = [text(&tags.title), artists.join("\u{1f}"), text(&tags.album)].into_iter();
        let any: Vec<String> = any.chain(readings.into_iter().map(text)).collect();
        Folded {
            title: text(&tags.title),
            artist: enclosed(artists),
            album: text(&tags.album),
            album_artist: text(&album_artist),
            genre: enclosed(tags.genres.iter().map(|genre| fold(genre))),
            any: any.join("\u{1f}"),
            by_title: key(&tags.title_sort, &tags.title),
            by_artist: format!("{}\u{1}{by_album}", key(&tags.artist_sort, &tags.artist)),
            by_album,
        }
    }
}

/// Joins values so that each stands between separators, and `instr` finds whole ones.
fn enclosed(values: impl IntoIterator<Item = String>) -> String {
    let joined: String = values.into_iter().filter(|v| !v.is_empty()).map(|v| v + "\u{1f}").collect();
    if joined.is_empty() { joined } else { format!("\u{1f}{joined}") }
}

/// Returns a track with its copies on the shelf and what proves its buys; `None` when nothing of it lies there.
pub fn load(connection: &Connection, id: TrackId) -> Result<Option<Arc<Track>>> {
    let sql = "SELECT copy.id, size, sha256, fingerprint, format, protection, personal, duration, online
               FROM copy JOIN root ON root.id = copy.root WHERE track = ?1 AND trashed IS NULL
               ORDER BY online DESC, playable DESC, strength DESC, copy.id DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([id.0])?;
    let mut copies = Vec::new();
    let mut duration = Millis::ZERO;
    while let Some(row) = rows.next()? {
        let (sha256, fingerprint): (Option<String>, Option<String>) = (row.get(2)?, row.get(3)?);
        copies.push(Copy {
            id: CopyId(row.get(0)?),
            size: ByteCount(row.get::<_, i64>(1)?.unsigned_abs()),
            sha256: sha256.and_then(|text| text.parse().ok()),
            fingerprint: fingerprint.as_deref().and_then(fingerprint_of),
            format: from_json(&row.get::<_, String>(4)?)?,
            protection: from_json::<Protection>(&row.get::<_, String>(5)?)?,
            personal: from_json(&row.get::<_, String>(6)?)?,
            online: row.get(8)?,
        });
        if duration == Millis::ZERO {
            duration = Millis(row.get::<_, i64>(7)?.unsigned_abs());
        }
    }
    if copies.is_empty() {
        return Ok(None);
    }
    let added: i64 = connection
        .prepare_cached("SELECT added FROM track WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))?;
    let tags = Arc::new(tags_of(connection, id)?);
    let purchases = purchases_of(connection, id)?;
    Ok(Some(Arc::new(Track { id, tags, duration, copies, added: UnixTime(added), purchases })))
}

fn purchases_of(connection: &Connection, id: TrackId) -> Result<Vec<Purchase>> {
    let mut statement =
        connection.prepare_cached("SELECT facts FROM purchase WHERE track = ?1 ORDER BY id")?;
    let rows = statement.query_map([id.0], |row| row.get::<_, String>(0))?;
    let mut found = Vec::new();
    for row in rows {
        let purchase: Purchase = from_json(&row?)?;
        if !found.contains(&purchase) {
            found.push(purchase);
        }
    }
    found.sort_by_key(|purchase| std::cmp::Reverse(purchase.level));
    Ok(found)
}

/// Returns what the best copy of a track said when it arrived.
pub fn tags_at_arrival(connection: &Connection, track: TrackId) -> Result<Tags> {
    let sql = "SELECT tags FROM copy WHERE track = ?1 AND trashed IS NULL
               ORDER BY playable DESC, strength DESC, id DESC LIMIT 1";
    let text: Option<String> =
        connection.prepare_cached(sql)?.query_row([track.0], |row| row.get(0)).optional()?;
    text.map_or_else(|| Ok(Tags::default()), |text| from_json(&text))
}

/// Returns the tracks on the shelf that show nothing yet: index.db is new, or a crash came between the two databases.
pub fn not_shown(connection: &Connection) -> Result<Vec<TrackId>> {
    let sql = "SELECT DISTINCT track FROM copy WHERE trashed IS NULL
               AND track NOT IN (SELECT track FROM idx.shown)";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| row.get(0).map(TrackId))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
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
    let tags = &new.tags;
    let present = [
        tags.title.is_some(),
        tags.artist.is_some(),
        tags.album.is_some(),
        tags.album_artist.is_some(),
        tags.track.is_some(),
        tags.date.is_some(),
        !tags.genres.is_empty(),
        tags.has_picture,
    ];
    let fullness = present.into_iter().filter(|&there| there).count();
    evidence * 1_000_000 + facts.min(999) as i64 * 1000 + fullness as i64
}

fn fingerprint_text(fingerprint: Fingerprint) -> String {
    format!("{}:{}", fingerprint.algo, fingerprint.hash)
}

fn fingerprint_of(text: &str) -> Option<Fingerprint> {
    let (algo, hash) = text.split_once(':')?;
    Some(Fingerprint { algo: algo.parse().ok()?, hash: hash.parse::<QuickKey>().ok()? })
}
