//! Looks into konpo's databases with sqlite3, as they lie on the disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::process::run;

/// Returns the rows of a query, each its columns as text between `|`. Nothing is written, but a history of writes beside the
/// database (`-wal`) may be taken in: of a konpo that was killed ask a [`copy`].
///
/// # Panics
/// When the database or the query is broken.
pub fn rows(database: &Path, sql: &str) -> Vec<String> {
    let mut command = Command::new("sqlite3");
    command.args(["-batch", "-bail", "-cmd", ".timeout 5000"]).arg(database).arg(sql);
    String::from_utf8_lossy(&run(command)).lines().map(str::to_owned).collect()
}

/// Returns the one number that a query answers.
///
/// # Panics
/// As [`rows`], and when it is none.
pub fn number(database: &Path, sql: &str) -> i64 {
    let rows = rows(database, sql);
    rows.first().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{sql}: {rows:?}"))
}

/// Copies the databases of a folder with what a kill left beside them, so that looking changes nothing for the next start.
/// What is about to be exchanged is found where the next start finds it.
pub fn copy(data: &Path) -> TempDir {
    let there = tempfile::tempdir().expect("a folder");
    for name in ["owner.db", "owner.db-wal", "index.db", "index.db-wal"] {
        if data.join(name).exists() {
            fs::copy(data.join(name), there.path().join(name)).expect("a copy");
        }
    }
    there
}

/// Asserts that the databases of a folder are whole, in a copy.
pub fn assert_whole(data: &Path, what: &str) {
    let copy = copy(data);
    for name in ["owner.db", "index.db"].map(|name| copy.path().join(name)) {
        if name.exists() {
            assert_eq!(rows(&name, "PRAGMA integrity_check"), ["ok"], "{what}: {}", name.display());
        }
    }
    let owner = copy.path().join("owner.db");
    if owner.exists() {
        assert_eq!(rows(&owner, "PRAGMA foreign_key_check"), Vec::<String>::new(), "{what}");
    }
}

/// Returns what a person would miss, line by line: numbers of tracks by file, purchases, where each came from, plays,
/// favourites, playlists.
pub fn kept(owner: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, sql) in KEPT {
        lines.extend(rows(owner, sql).into_iter().map(|row| format!("{name}: {row}")));
    }
    lines
}

/// Asserts that two lists hold the same lines, each as often.
pub fn assert_same(before: &[String], after: &[String]) {
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    before.iter().for_each(|line| *counts.entry(line).or_default() -= 1);
    after.iter().for_each(|line| *counts.entry(line).or_default() += 1);
    let lost: Vec<_> = counts.iter().filter(|(_, count)| **count < 0).collect();
    let new: Vec<_> = counts.iter().filter(|(_, count)| **count > 0).collect();
    assert!(lost.is_empty() && new.is_empty(), "lost: {lost:#?}\nnew: {new:#?}");
}

const KEPT: [(&str, &str); 9] = [
    (
        "track",
        "SELECT coalesce(sha256, CAST(name AS TEXT)) AS file, track FROM copy
         WHERE trashed IS NULL AND missing IS NULL ORDER BY file",
    ),
    (
        "purchase",
        "SELECT track, max(event, -1), store, level, at, said, item, isrc, account, way, device FROM purchase
         ORDER BY track, store, at, item",
    ),
    (
        "evidence",
        "SELECT track, store, place, text, personal FROM evidence JOIN purchase ON purchase.id = purchase
         ORDER BY track, store, number",
    ),
    ("corrected", "SELECT track, words FROM correction ORDER BY track"),
    ("provenance", "SELECT event, track, at, facts FROM provenance ORDER BY event"),
    ("play", "SELECT at, track FROM play ORDER BY at, track"),
    ("played", "SELECT track, times, last FROM played ORDER BY track"),
    ("favourite", "SELECT track, at FROM favourite ORDER BY track"),
    (
        "playlist",
        "SELECT name, place, CAST(said AS TEXT), track FROM list_entry JOIN list ON list.id = list
         ORDER BY name, place",
    ),
];
