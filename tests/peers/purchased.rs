//! Story 5.

use std::time::Duration;

use serde_json::json;

use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::phone::Phone;
use crate::support::{fixtures, shelf, wait_for};

#[test]
fn a_song_bought_with_protection_years_ago_named_kept_and_unlocked_when_its_free_copy_comes() {
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
    let buy = &bought["items"][0];
    assert_eq!(
        (&buy["store"], &buy["level"], &buy["locked"]),
        (&json!("itunes"), &json!("embedded"), &json!(true))
    );
    assert_eq!(buy["account"], "hanako@example.com", "the owner may see it");
    assert!(buy["protection"]["advice"].as_str().is_some_and(|words| words.contains("Apple")), "{buy}");
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

    // Unlocked: the free copy comes through the drop folder and takes the place in the same track.
    let free = tempfile::tempdir().expect("a folder");
    let free = free.path().join("free.m4a");
    fixtures::bought_song(&free, 6, fixtures::Kind::Plus, "Under Lock", fixtures::LOCKED_ITEM);
    std::fs::copy(&free, konpo.music().join("Inbox/free.m4a")).expect("dropped");
    let (unlocked, _) = wait_for("the song is unlocked", Duration::from_secs(30), || {
        let track = konpo.get(&format!("/api/tracks/{id}"));
        (track["playable"] == true).then_some(track)
    });
    assert_eq!((&unlocked["id"], &unlocked["copies"]), (id, &json!(2)), "{unlocked}");
    let story = unlocked["story"].as_str().expect("told");
    assert!(story.starts_with("Bought 16 October 2007 at the iTunes Store, beamed from "), "{story}");
    assert!(story.contains("unlocked by a free file"), "{story}");
    assert_eq!(konpo.tracks().len(), 1, "still one track");
    wait_for("a notice says so", Duration::from_secs(10), || {
        let state = konpo.get("/api/state");
        let says = |notice: &serde_json::Value| {
            notice["words"].as_str().is_some_and(|words| words.starts_with("unlocked: Under Lock"))
        };
        state["notices"].as_array().is_some_and(|notices| notices.iter().any(says)).then_some(())
    });
    let bought = konpo.get("/api/purchases");
    assert_eq!((&bought["total"], &bought["items"][0]["locked"]), (&json!(1), &json!(false)), "{bought}");
    assert_eq!(bought["items"][0]["unlocked"]["by"], "item", "{bought}");
    // Both files are kept, byte-identical.
    let both = shelf::hashes(&konpo.music());
    for hash in shelf::hashes(music.path()) {
        assert!(both.contains(&hash), "the locked file is kept");
    }
    assert_eq!(both.len(), 2, "{both:?}");
    // It sounds.
    let play = json!({"add": {"entries": [{"what": {"shelf": id}}], "play": true}});
    assert_eq!(konpo.ask("POST", "/api/command", Some(&play)).status, 200);
    wait_for("it plays", Duration::from_secs(10), || {
        (konpo.get("/api/state")["transport"] == "playing").then_some(())
    });
}
