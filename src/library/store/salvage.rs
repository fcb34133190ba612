//! Brings what no history tells from an old owner.db into a new one: decisions, devices, plays, the queue. The old one may
//! be broken: each part comes over by itself, and one that cannot be read is named.

use std::path::Path;

use rusqlite::Connection;

use crate::error::Result;
use crate::library::store::{connect, keep, kept};

/// Brings everything over. Returns what did not come, in words for a person; nothing when there is no old database.
///
/// # Errors
/// Those of the new database.
pub fn bring_over(data: &Path, old: &Path) -> Result<Vec<String>> {
    if !old.exists() {
        return Ok(Vec::new());
    }
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
    connection.execute_batch("DETACH DATABASE old; PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(lost)
}

fn part(connection: &mut Connection, sql: &str) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(sql)?;
    transaction.commit()
}

/// What comes over, each in a transaction of its own. Rows that the history told already stay as it told them.
const PARTS: [(&str, &str); 8] = [
    (
        "tracks on other music folders",
        "INSERT OR IGNORE INTO main.root(uuid, path) SELECT uuid, path FROM old.root;
         INSERT OR IGNORE INTO main.track(id, added) SELECT id, added FROM old.track;
         INSERT INTO main.copy(track, root, path, size, sha256, quick, fingerprint, format, protection, personal, tags,
                               duration, playable, strength, event, trashed)
             SELECT was.track, now.id, was.path, was.size, was.sha256, was.quick, was.fingerprint, was.format,
                    was.protection, was.personal, was.tags, was.duration, was.playable, was.strength, was.event,
                    was.trashed
             FROM old.copy AS was JOIN old.root AS place ON place.id = was.root
                  JOIN main.root AS now ON now.uuid = place.uuid
             WHERE now.online = 0 AND was.event NOT IN (SELECT event FROM main.copy);
         INSERT INTO main.purchase(track, event, store, at, facts)
             SELECT track, event, store, at, facts FROM old.purchase
             WHERE event NOT IN (SELECT event FROM main.provenance);
         INSERT OR IGNORE INTO main.provenance(event, track, at, facts)
             SELECT event, track, at, facts FROM old.provenance;",
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
    ("what was played", "INSERT INTO main.play(at, track) SELECT at, track FROM old.play;"),
    (
        "the queue and the volume",
        "INSERT OR IGNORE INTO main.kept(name, value) SELECT name, value FROM old.kept WHERE name = 'memory';",
    ),
];
