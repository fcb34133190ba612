//! Story 5, without the unlocking.

use std::time::Duration;

use serde_json::json;

use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::phone::Phone;
use crate::support::{fixtures, shelf, wait_for};

#[test]
fn a_song_bought_with_protection_years_ago_named_kept() {
    let lan = Lan::new();
    let music = tempfile::tempdir().expect("a folder");
    fixtures::bought_m4a(&music.path().join("2006.m4a"), 5, fixtures::Kind::FairPlay);
    let konpo =
        Konpo::start(&lan.host("hifi"), "[intake]\npull = \"always\"\n[output]\ndevice = \"silent\"\n");
    let _phone = Phone::start(&lan.host("phone"), music.path());
    let (track, _) = wait_for("the song is listed", Duration::from_secs(30), || konpo.tracks().pop());

    // Named: what it is, that it is locked, by what, and what to do.
    assert_eq!(track["title"], "Under Lock", "{track}");
    assert_eq!(track["artist"], "Hanako Yamada Band");
    assert_eq!(track["playable"], false);
    for words in ["code", "headline", "advice"] {
        assert!(
            track["protection"][words].as_str().is_some_and(|words| !words.is_empty()),
            "{words}: {track}"
        );
    }
    let bought = konpo.get("/api/purchases");
    assert_eq!(bought["total"], 1, "{bought}");
    assert_eq!(bought["items"][0]["purchases"][0]["store"], "itunes", "{bought}");
    assert_eq!(bought["items"][0]["purchases"][0]["account"], "hanako@example.com", "the owner may see it");
    // Kept: byte-identical, with its history.
    assert_eq!(shelf::hashes(&konpo.music()), shelf::hashes(music.path()));
    let lines = shelf::ledger(&konpo.music());
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["protection"]["kind"], "fair_play", "{}", lines[0]);
    // It never reaches a decoder: asked to play, the box stays silent and says so.
    let id = &track["id"];
    let reply = konpo.ask(
        "POST",
        "/api/command",
        Some(&json!({"add": {"entries": [{"what": {"shelf": id}}], "play": true}})),
    );
    wait_for("the box says why it is silent", Duration::from_secs(10), || {
        let state = konpo.get("/api/state");
        let said =
            reply.status >= 400 || state["notices"].as_array().is_some_and(|notices| !notices.is_empty());
        (said && state["transport"] == "stopped").then_some(())
    });
}
