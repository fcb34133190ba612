//! What lies on a disk: the files of a shelf, their hashes, its history.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// Returns the SHA-256 of a file in hex.
pub fn sha256(path: &Path) -> String {
    sum(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// Returns the SHA-256 of bytes in hex.
pub fn sum(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Returns every file below `folder` with its hash; `.konpo` and the drop folder are no music and left out.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).expect("a folder") {
            let path = entry.expect("an entry").path();
            let hidden =
                at == folder && [".konpo", "Inbox", "Playlists"].iter().any(|name| path.ends_with(name));
            if path.is_dir() && !hidden {
                folders.push(path);
            } else if path.is_file() {
                found.insert(path.strip_prefix(folder).expect("below").to_owned(), sha256(&path));
            }
        }
    }
    found
}

/// Returns the hashes of every file below `folder`, sorted.
pub fn hashes(folder: &Path) -> Vec<String> {
    let mut hashes: Vec<String> = files(folder).into_values().collect();
    hashes.sort();
    hashes
}

/// Returns the lines of the shelf's history.
pub fn ledger(music: &Path) -> Vec<Value> {
    let text = super::konpo::text(&music.join(".konpo/ledger.jsonl"));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("a ledger line: {line}")))
        .collect()
}

/// Returns the whole lines of the history of a konpo that was killed: its last line may be torn.
pub fn ledger_so_far(music: &Path) -> Vec<Value> {
    let text = super::konpo::text(&music.join(".konpo/ledger.jsonl"));
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Returns the field `name` of each value, sorted.
pub fn texts(values: &[Value], name: &str) -> Vec<String> {
    let mut texts: Vec<String> =
        values.iter().filter_map(|value| value[name].as_str().map(str::to_owned)).collect();
    texts.sort();
    texts
}
