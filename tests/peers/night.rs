//! How the queue is played, and quiet hours, across a power cut.

use std::fs;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::support::fixtures;
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::wait_for;

#[test]
fn a_power_cut_in_a_quiet_night_changes_neither_the_round_nor_the_volume() {
    let lan = Lan::new();
    let settings = "[output]\ndevice = \"silent\"\nmax_volume = 50\n[quiet]\nmax_volume = 15\n";
    let mut konpo = Konpo::start(&lan.host("hifi"), settings);
    let songs = tempfile::tempdir().expect("a folder");
    for number in 0..6 {
        let path = songs.path().join(format!("Song {number}.wav"));
        fs::write(&path, fixtures::noise(40 + number, 8_000, 16, 8_000 * 60).wav()).expect("a file");
        konpo.drop_in(&path);
    }
    let (tracks, _) = wait_for("the songs are on the shelf", Duration::from_secs(60), || {
        Some(konpo.tracks()).filter(|tracks| tracks.len() == 6)
    });
    let entries: Vec<Value> =
        tracks.iter().map(|track| json!({ "what": { "shelf": track["id"] } })).collect();
    for command in [
        json!({ "add": { "entries": entries } }),
        json!({ "set_shuffle": true }),
        json!({ "set_repeat": "all" }),
        json!({ "set_consume": true }),
        json!({ "play": null }),
        json!("next"),
        json!({ "set_quiet": "on" }),
        json!({ "set_volume": 100 }),
        json!({ "stop_after": true }),
    ] {
        konpo.tell(&command);
    }
    let (before, _) = wait_for("it plays", Duration::from_secs(10), || {
        Some(konpo.get("/api/state")).filter(|state| state["position_ms"].as_u64() > Some(0))
    });
    // A minute from 25 down to the limit of 15: the knob may still be on its way.
    assert!(before["volume"].as_u64() <= Some(25), "{before}");
    let (kept, _) = wait_for("it is written down", Duration::from_secs(30), || {
        let kept = memory(&konpo);
        let is = kept["modes"]["stop_after"] == true && kept["position_ms"].as_u64() > Some(0);
        (is && kept["current"] == before["current"]).then_some(kept)
    });
    konpo.kill();
    konpo.spawn();
    konpo.ready();

    let after = konpo.get("/api/state");
    assert_eq!(after["transport"], "paused");
    for key in ["queue", "current", "repeat", "shuffle", "single", "consume", "stop_after"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_eq!((&after["quiet"]["mode"], &after["volume"]), (&json!("on"), &json!(15)));
    // What was to come next comes next.
    let round = kept["shuffled"].as_array().expect("a round");
    let here = round.iter().position(|id| *id == before["current"]).expect("in the round");
    konpo.tell(&json!({ "set_volume": 100 }));
    konpo.tell(&json!("next"));
    let next = konpo.get("/api/state");
    assert_eq!((&next["current"], &next["volume"]), (&round[here + 1], &json!(15)));
    assert_eq!(next["queue_length"], json!(4), "two were played");
    konpo.stop();
}

/// Returns what the box wrote down last: its queue, and the place that is written more often.
fn memory(konpo: &Konpo) -> Value {
    let path = konpo.path("data").join("owner.db");
    let database = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a database");
    let read = |name: &str| -> Value {
        let sql = "SELECT value FROM kept WHERE name = ?1";
        let text: String = database.query_row(sql, [name], |row| row.get(0)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    };
    let mut memory = read("memory");
    let place = read("place");
    if let (Some(memory), Some(place)) = (memory.as_object_mut(), place.as_object()) {
        memory.extend(place.clone());
    }
    memory
}
