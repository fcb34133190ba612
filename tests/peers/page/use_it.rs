//! What a person does with the page, and what the box then does.

use std::fs;

use serde_json::json;

use super::{Records, Room, assert_calm, own};
use crate::support::browser::Browser;
use crate::support::fixtures::{self, noise};
use crate::support::localsend;
use crate::support::phone::{NAME, Phone};
use crate::support::wait_for;

#[test]
fn play_seek_volume_and_the_queue_by_finger_and_by_keyboard() {
    let room = Room::new(Records::Some, "");
    let page = room.opens("en");
    own(&page);
    // An album from the library.
    page.click("#nav a[href='#library']");
    page.reads("#library-rows", "Late Tram");
    page.run(
        "[...document.querySelectorAll('#library-rows a')].find((a) => a.innerText.includes('Late Tram')).click()",
        &[],
    );
    page.reads("#library-head h2", "Late Tram");
    page.click("#library-head button.main");
    let state = room.until("it plays", |state| state["transport"] == "playing");
    assert_eq!(
        (&state["queue_length"], &state["queue"][0]["title"]),
        (&json!(4), &json!("Late Tram")),
        "{state}"
    );
    page.reads("#mini-title", "Late Tram");
    page.click("#nav a[href='#now']");
    page.reads("#title", "Late Tram");
    page.reads("#artist", "Marta Olin Trio");
    page.reads("#signal", "FLAC");
    let cover = "const i = document.getElementById('cover'); return i.complete && i.naturalWidth > 100";
    wait_for("the cover is seen", std::time::Duration::from_secs(20), || {
        (page.run(cover, &[]) == true).then_some(())
    });

    // The time goes on by itself, and a finger on the bar moves the sound.
    shows_at_least(&page, 2);
    let middle =
        page.run("return document.getElementById('seek').clientWidth / 4", &[]).as_f64().expect("px");
    page.drag("#seek", &[(middle as i32, 0)]);
    let state = room.until("the sound moved", |state| state["position_ms"].as_u64() > Some(90_000));
    assert!(state["position_ms"].as_u64() < Some(150_000), "{state}");
    shows_at_least(&page, 90);

    // The knob by arrow keys; what another remote does is seen.
    page.run("document.getElementById('volume').focus()", &[]);
    let before = room.konpo.get("/api/state")["volume"].as_u64().expect("a knob");
    page.keys("\u{E014}\u{E014}\u{E014}");
    room.until("the knob was turned", |state| state["volume"] == before + 3);
    room.konpo.tell(&json!({ "set_volume": 11 }));
    page.reads("#volume-number", "11");

    // Moved by a finger: the first entry to the third place; by keys: up again. Removed.
    let titles = |state: &serde_json::Value| -> Vec<String> {
        let queue = state["queue"].as_array().expect("a queue");
        queue.iter().map(|entry| entry["title"].as_str().expect("a title").to_owned()).collect()
    };
    page.run("document.getElementById('queue').scrollIntoView({ block: 'center' })", &[]);
    page.drag("#queue .entry:first-child .grip", &[(0, 30), (0, 50), (0, 42)]);
    let state = room.until("the entry was dragged", |state| titles(state)[0] == "Wet Street");
    assert_eq!(titles(&state), ["Wet Street", "Two Stops", "Late Tram", "Home"]);
    page.click("#queue [aria-label='Move Late Tram up']");
    room.until("the entry went up", |state| titles(state)[1] == "Late Tram");
    page.reads("#queue .entry:nth-child(2)", "Late Tram");
    let focus = page.run("return document.activeElement.getAttribute('aria-label')", &[]);
    assert_eq!(focus, "Move Late Tram up", "the key is under the finger still");
    page.click("#queue [aria-label='Remove Home']");
    room.until("it is gone", |state| state["queue_length"] == 3);
    page.click("#toggle");
    room.until("it waits", |state| state["transport"] == "paused");
    page.find("#toggle[aria-label=Play]");
    page.click("#next");
    room.until("the next one", |state| state["queue"][2]["id"] == state["current"]);
    page.click("#clear");
    room.until("the queue is empty", |state| state["queue_length"] == 0);
    page.reads("#queue-empty:not([hidden])", "empty");
    assert_calm(&page);
}

/// Waits until the clock of the page stands at so many seconds or further: a loaded machine skips some.
fn shows_at_least(page: &Browser, seconds: u32) {
    wait_for(&format!("the clock shows {seconds} s"), std::time::Duration::from_secs(30), || {
        let (minutes, rest) =
            page.text("#at").split_once(':').map(|(m, s)| (m.parse::<u32>(), s.parse::<u32>()))?;
        (minutes.ok()? * 60 + rest.ok()? >= seconds).then_some(())
    });
}

#[test]
fn a_person_who_reads_japanese_searches_in_japanese() {
    let room = Room::new(Records::Some, "");
    let page = room.opens("ja");
    assert_eq!(page.run("return document.documentElement.lang", &[]), "ja");
    page.reads("#nav", "ライブラリ");
    page.reads("#welcome", "ようこそ");
    page.click("#nav a[href='#library']");
    page.reads("#tabs", "アルバム");
    page.write("#search", "夜明け");
    page.reads("#library-rows", "夜明け前");
    // The song, and beside it the band and the record that it is by and on.
    assert_eq!(page.texts("#library-rows .entry").len(), 3, "{:?}", page.texts("#library-rows"));
    page.empty("#search");
    page.write("#search", "港町");
    wait_for("the band, its record and its songs", std::time::Duration::from_secs(20), || {
        (page.texts("#library-rows .entry").len() == 6).then_some(())
    });
    page.empty("#search");
    page.write("#search", "zzzz");
    page.reads("#library-empty:not([hidden])", "見つかりませんでした");
    page.empty("#search");
    page.click("#tabs [data-list=tracks]");
    page.reads("#library-rows", "Alder & Finch");
    page.run("[...document.querySelectorAll('[data-track]')].find((b) => b.innerText.includes('Headwater')).click()", &[]);
    room.until("it plays", |state| state["transport"] == "playing");
    assert_calm(&page);
}

#[test]
fn the_page_says_when_the_box_is_away_and_comes_back_by_itself() {
    let mut room = Room::new(Records::None, "");
    let page = room.opens("en");
    room.konpo.stop();
    page.reads("#away:not([hidden])", "does not answer");
    let port = room.url.trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    room.konpo.spawn_with(&["--port", &port]);
    room.konpo.ready();
    wait_for("it is back", std::time::Duration::from_secs(40), || {
        (page.run("return document.getElementById('away').hidden", &[]) == true).then_some(())
    });
    room.konpo.tell(&json!({ "set_volume": 17 }));
    page.reads("#volume-number", "17");
}

/// A phone that changes its network while it loads the page gets half of it.
#[test]
fn a_page_of_which_a_part_did_not_come_is_loaded_again() {
    let room = Room::new(Records::None, "");
    let page = crate::support::browser::Browser::open(&room.person, "en");
    page.tool("Network.enable", &json!({}));
    page.tool("Network.setBlockedURLs", &json!({ "urls": ["*/assets/beam.js"] }));
    page.go(&room.url);
    wait_for("it is tried again", std::time::Duration::from_secs(20), || {
        (page.run("return sessionStorage.getItem('loads')", &[]) == "1").then_some(())
    });
    assert_eq!(page.text("#name"), "konpo", "nothing of it runs");
    page.tool("Network.setBlockedURLs", &json!({ "urls": [] }));
    page.reads("#name", "Living Room");
    assert_eq!(page.run("return sessionStorage.getItem('loads')", &[]), json!(null));
}

#[test]
fn a_phone_is_looked_at_and_pulled_and_what_was_bought_is_explained() {
    let room = Room::new(Records::None, "");
    let music = tempfile::tempdir().expect("a folder");
    fixtures::bought_m4a(&music.path().join("2006.m4a"), 5, fixtures::Kind::FairPlay);
    let tags = [("title", "Song"), ("artist", "Someone"), ("album", "Here")];
    noise(1, 44_100, 16, 44_100 * 2).flac(&music.path().join("song.flac"), &tags);
    let page = room.opens("en");
    page.click("#nav a[href='#library']");
    page.reads("#library-head", "LocalSend");
    // A guest sees no names of phones.
    let _phone = Phone::start(&room.lan.host("player"), music.path());
    page.click("#nav a[href='#neighbours']");
    page.reads("#neighbours-empty:not([hidden])", "Only paired devices");
    own(&page);
    let card = "#neighbours li[data-neighbour]";
    page.reads(card, NAME);
    page.reads(card, "ready");
    page.click(&format!("{card} .buttons button"));
    page.reads(card, "2 new of 2");
    page.click(&format!("{card} .buttons .main"));
    page.reads(card, "All is here");
    page.click("#nav a[href='#purchases']");
    page.reads("#purchase-rows", "Bought from iTunes with copy protection");
    page.reads("#purchase-rows", "Download the protection-free version");
    page.click("#nav a[href='#library']");
    page.click("#tabs [data-list=tracks]");
    page.reads("#library-rows .off", "Under Lock");
    // It is left alone from now on.
    page.click("#nav a[href='#neighbours']");
    page.click(&format!("{card} [data-consent=never]"));
    page.reads(&format!("{card} [data-consent=never][aria-pressed=true]"), "Never");
    let neighbour = room.konpo.neighbour(NAME).expect("it is here");
    assert_eq!(neighbour["consent"], "never", "{neighbour}");
    assert_calm(&page);
}

#[test]
fn somebody_wants_to_send_and_is_answered_and_what_came_is_taken_back() {
    let room = Room::new(Records::None, "[intake]\npush = \"ask\"\n");
    let page = room.opens("en");
    own(&page);
    let sender = room.lan.host("sender");
    let (bytes, folder) =
        (noise(9, 44_100, 16, 44_100 * 2).tagged_wav("Gift", "Ken", "Beamed"), tempfile::tempdir());
    let path = folder.expect("a folder").keep().join("gift.wav");
    fs::write(&path, bytes).expect("written");
    let phone = localsend::Phone::start(&sender, "Ken");
    let place = room.place.clone();
    let sending = phone.sends(std::slice::from_ref(&path), &place, &[]);
    page.reads("#asks", "Ken wants to send 1 song");
    page.reads("#asks", "gift.wav");
    page.click("#asks button.main");
    sending.end().expect("it was taken");
    room.until("it is in the queue", |state| state["queue_length"] == 1);
    page.click("#nav a[href='#arrivals']");
    page.reads("#files", "on the shelf");
    page.reads("#beams", "1 song");
    page.click("#beams li button");
    page.reads("#beams", "taken back");
    assert_eq!(room.konpo.tracks().len(), 0);
    let _gone = fs::remove_dir_all(path.parent().expect("its folder"));
    assert_calm(&page);
}
