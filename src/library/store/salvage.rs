//! Brings what no history tells from an old owner.db into a new one: decisions, devices, plays, the queue. The old one may
//! be broken: each part comes over by itself, and one that cannot be read is named.

use std::path::Path;

use rusqlite::Connection;

use crate::error::Result;
use crate::library::store::roots::adopt_parents;
use crate::library::store::{connect, keep, kept};
use crate::library::upgrade::{newest, owner};

/// Brings everything over. Returns what did not come, in words for a person; nothing when there is no old database.
///
/// # Errors
/// Those of the new database.
pub fn bring_over(data: &Path, old: &Path) -> Result<Vec<String>> {
    if !old.exists() {
        return Ok(Vec::new());
    }
    // One of an earlier konpo is brought to this version first, beside.
    let copy = data.join("salvage.db");
    let old = match brought_up(old, &copy) {
        Ok(true) => copy.as_path(),
        Ok(false) => old,
        Err(error) => return Ok(vec![format!("everything of the old database: {error}")]),
    };
    let mut connection = connect(data)?;
    if let Err(error) = connection.execute("ATTACH DATABASE ?1 AS old", [old.to_string_lossy()]) {
        return Ok(vec![format!("everything of the old database: {error}")]);
    }
    let mut lost = Vec::new();
    for (name, sql) in PARTS {
        if let Err(error) = part(&mut connection, sql) {
            lost.push(format!("{name}: {error}"));
        }
    }
    // No revision of the shelf ever means two things.
    let revision = |c: &Connection, sql| c.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap_or(0);
    let before = revision(&connection, "SELECT CAST(value AS INTEGER) FROM old.kept WHERE name = 'revision'");
    let now: i64 = kept(&connection, "revision")?.and_then(|r| r.parse().ok()).unwrap_or(0);
    keep(&connection, "revision", &(before.max(now) + 1).to_string())?;
    adopt_parents(&connection)?;
    connection.execute_batch("DETACH DATABASE old; PRAGMA wal_checkpoint(TRUNCATE)")?;
    for tail in ["", "-wal", "-shm"] {
        let _not_all_are_there = std::fs::remove_file(format!("{}{tail}", copy.display()));
    }
    Ok(lost)
}

/// Copies an old database and brings the copy to this version. Returns false when there is nothing to bring.
fn brought_up(old: &Path, copy: &Path) -> Result<bool> {
    let version =
        |connection: &Connection| connection.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0));
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    if version(&Connection::open_with_flags(old, flags)?)? >= newest() {
        return Ok(false);
    }
    let failed = |error| crate::error::Error::io("copy the old database", error);
    for tail in ["", "-wal"] {
        let with = |path: &Path| std::path::PathBuf::from(format!("{}{tail}", path.display()));
        if with(old).exists() {
            std::fs::copy(with(old), with(copy)).map_err(failed)?;
        }
    }
    owner(&mut Connection::open(copy)?, copy)?;
    Ok(true)
}

fn part(connection: &mut Connection, sql: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(sql)?;
    transaction.commit()
}

/// What comes over, each in a transaction of its own. Rows that the history told already stay as it told them.
const PARTS: [(&str, &str); 11] = [
    (
        "tracks on other music folders",
        "INSERT OR IGNORE INTO main.root(uuid, path) SELECT uuid, path FROM old.root;
         INSERT OR IGNORE INTO main.track(id, added) SELECT id, added FROM old.track;
         CREATE TEMP TABLE away AS SELECT now.id AS now, was.id AS was
             FROM old.root AS was JOIN main.root AS now ON now.uuid = was.uuid
             WHERE NOT EXISTS (SELECT 1 FROM main.copy JOIN main.folder ON folder.id = copy.folder
                               WHERE folder.root = now.id);
         INSERT OR IGNORE INTO main.folder(root, path)
             SELECT now, path FROM old.folder JOIN away ON was = root;
         INSERT INTO main.copy(track, folder, name, size, quick, fingerprint, alike, duration, strength, missing, event,
                               sha256, format, protection, personal, tags, trashed)
             SELECT was.track, now.id, was.name, was.size, was.quick, was.fingerprint, was.alike, was.duration,
                    was.strength, was.missing, was.event, was.sha256, was.format, was.protection, was.personal, was.tags,
                    was.trashed
             FROM old.copy AS was JOIN old.folder AS place ON place.id = was.folder JOIN away ON away.was = place.root
                  JOIN main.folder AS now ON now.root = away.now AND now.path = place.path
             WHERE was.event IS NULL OR was.event NOT IN (SELECT event FROM main.copy WHERE event IS NOT NULL);
         CREATE TEMP TABLE untold AS SELECT id AS was, id + (SELECT coalesce(max(id), 0) FROM main.purchase) AS now
             FROM old.purchase AS bought
             WHERE event > 0 AND event NOT IN (SELECT event FROM main.provenance)
                 OR name IS NOT NULL AND name NOT IN (SELECT name FROM main.purchase WHERE name IS NOT NULL)
                 -- Of an adopted file that is not there: one that is tells its buys itself when it is read.
                 OR name IS NULL AND NOT coalesce(event > 0, FALSE)
                     AND NOT EXISTS (
                         SELECT 1 FROM old.copy JOIN old.folder AS place ON place.id = copy.folder
                         WHERE copy.id = -bought.event AND copy.trashed IS NULL AND copy.missing IS NULL
                             AND place.root NOT IN (SELECT was FROM away))
                     AND NOT EXISTS (
                         SELECT 1 FROM main.purchase AS told
                         WHERE told.track = bought.track AND told.store = bought.store AND told.item IS bought.item
                             AND told.said IS bought.said AND told.account IS bought.account
                             AND told.transaction_id IS bought.transaction_id);
         DROP TABLE away;
         INSERT INTO main.purchase(id, track, event, name, store, level, at, said, country, item, release, isrc, price,
                                   account, transaction_id, order_id, way, device, device_name, title, artist, album,
                                   duration, source)
             SELECT now, track, CASE WHEN event > 0 THEN event END, name, store, level, at, said, country, item, release, isrc, price, account,
                    transaction_id, order_id, way, device, device_name, title, artist, album, duration, source
             FROM old.purchase JOIN untold ON was = id;
         INSERT INTO main.evidence(purchase, number, place, text, personal)
             SELECT now, number, place, text, personal FROM old.evidence JOIN untold ON was = purchase;
         DROP TABLE untold;
         INSERT OR IGNORE INTO main.provenance(event, track, at, facts)
             SELECT event, track, at, facts FROM old.provenance;
         INSERT OR IGNORE INTO main.unlocked(event, track, at, by)
             SELECT event, track, at, by FROM old.unlocked WHERE event > 0;",
    ),
    (
        "files on their way in",
        "INSERT OR IGNORE INTO main.journal(id, stage, provenance, item, part, size, etag, verdict, facts, at)
             SELECT id, stage, provenance, item, part, size, etag, verdict, facts, at FROM old.journal;",
    ),
    (
        "what phones were seen to have",
        "INSERT OR IGNORE INTO main.seen_remote(device, object_id, size, hash, verdict, track)
             SELECT device, object_id, size, hash, verdict, track FROM old.seen_remote;",
    ),
    (
        "decisions about phones",
        "INSERT OR IGNORE INTO main.consent(neighbour, consent) SELECT neighbour, consent FROM old.consent;",
    ),
    (
        "devices added by their address",
        "INSERT OR IGNORE INTO main.address(address) SELECT address FROM old.address;",
    ),
    (
        "paired devices",
        "INSERT OR IGNORE INTO main.device(id, name, right_) SELECT id, name, right_ FROM old.device;
         INSERT OR IGNORE INTO main.device_key(kind, value, device) SELECT kind, value, device FROM old.device_key;",
    ),
    (
        "what was played",
        "INSERT INTO main.play(at, track) SELECT at, track FROM old.play EXCEPT SELECT at, track FROM main.play;
         INSERT OR REPLACE INTO main.played(track, times, last) SELECT track, times, last FROM old.played;
         INSERT OR IGNORE INTO main.past_track(library, item, track, plays, played, skips, rating, loved, sorts)
             SELECT library, item, track, plays, played, skips, rating, loved, sorts FROM old.past_track;",
    ),
    ("favourites", "INSERT OR IGNORE INTO main.favourite(track, at) SELECT track, at FROM old.favourite;"),
    (
        "corrections",
        "INSERT INTO main.correction(track, words, number, at) SELECT track, words, number, at FROM old.correction WHERE true
             ON CONFLICT(track) DO UPDATE SET words = excluded.words, number = excluded.number, at = excluded.at
             WHERE number < excluded.number;",
    ),
    (
        "playlists",
        "INSERT OR IGNORE INTO main.list(id, root, path, name)
             SELECT list.id, now.id, list.path, list.name FROM old.list JOIN old.root AS was ON was.id = list.root
                  JOIN main.root AS now ON now.uuid = was.uuid;
         INSERT OR IGNORE INTO main.list_entry(list, place, said, title, track)
             SELECT list, place, said, title, track FROM old.list_entry WHERE list IN (SELECT id FROM main.list);",
    ),
    (
        "the queue and the volume",
        "INSERT OR IGNORE INTO main.kept(name, value) SELECT name, value FROM old.kept
             WHERE name = 'place' AND NOT EXISTS (SELECT 1 FROM main.kept WHERE name = 'memory');
         INSERT OR IGNORE INTO main.kept(name, value) SELECT name, value FROM old.kept WHERE name = 'memory';",
    ),
];
