//! The stories of product.md in which somebody holds a phone with a browser, in their words.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::{Records, Room, assert_calm, own};
use crate::support::browser::Browser;
use crate::support::fixtures::{self, noise};
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::{localsend, shelf, wait_for};

/// Counts what a finger does from here on, whatever page is loaded meanwhile.
fn count_taps(page: &Browser) {
    let script = "sessionStorage.taps = 0; \
        addEventListener('pointerdown', () => { sessionStorage.taps = Number(sessionStorage.taps) + 1; }, true)";
    page.run(script, &[]);
}

fn taps(page: &Browser) -> u64 {
    let said = page.run("return Number(sessionStorage.taps)", &[]);
    said.as_u64().unwrap_or_else(|| panic!("no count of taps: {said}"))
}

/// A song as a phone has it in its files.
fn song(folder: &std::path::Path, name: &str, seed: u64, seconds: usize) -> PathBuf {
    let path = folder.join(name);
    let sound = noise(seed, 44_100, 16, 44_100 * seconds);
    fs::write(&path, sound.tagged_wav(&format!("Song {seed}"), "Yuki", "Beamed")).expect("written");
    path
}

#[test]
fn a_fresh_box_with_no_screen_and_no_phone_app_from_power_to_the_first_sound() {
    let mut room = Room::new(Records::None, "");
    // Nobody gave it a name or an output: what was written for the other tests is taken away.
    room.konpo.stop();
    fs::write(room.konpo.path("konpo.toml"), "[library]\nkeep_free_mb = 1000\n").expect("written");
    room.konpo.spawn_with(&[]);
    room.konpo.ready();
    let folder = tempfile::tempdir().expect("a folder");
    let file = song(folder.path(), "first.wav", 1, 20);

    let page = Browser::open(&room.person, "en");
    page.looks(390, 844, "light");
    // What the phone's camera reads has no port either.
    page.go(&format!("http://{}/", room.place.address));
    page.reads("#welcome h1", "Welcome");
    count_taps(&page);
    page.click("#welcome button.main");
    // The four questions, on one page, each with an answer already.
    page.reads("#welcome h1", "It is yours");
    page.empty("#welcome input[name=box]");
    page.write("#welcome input[name=box]", "Kitchen");
    page.click("#welcome .test");
    let opened = || Some(room.konpo.get("/api/state")).filter(|state| state["device"]["open"] == true);
    let (state, _) = wait_for("the test sound opens the output", Duration::from_secs(30), opened);
    assert_eq!(state["transport"], "stopped", "nothing is put on by that: {state}");
    page.click("#welcome button.main");
    page.reads("#welcome h1", "Ready for the first song");
    page.reads("#welcome .ways", "LocalSend");
    assert_eq!(page.run("return document.querySelectorAll('#welcome .ways svg').length", &[]), 3, "pictures");
    page.reads("#name", "Kitchen");
    page.click("#welcome button.main");
    page.choose("#choose", &[file]);
    room.until("the first song sounds", |state| {
        state["transport"] == "playing" && state["position_ms"].as_u64() > Some(0)
    });
    // The dialog of the phone is its own: two more for a file and "Open".
    // And one for the field of the name.
    let fingers = taps(&page) + 2 + 1;
    println!("{fingers} taps from the fresh box to the first sound");
    assert!(fingers <= 8, "{fingers} taps");
    // The person sees what sounds, how to stop it, and how to take it back.
    page.reads("#mini-title", "Song 1");
    page.find("#mini-toggle[aria-label=Pause]");
    page.reads("#uploads", "first.wav is on the shelf.");
    page.reads("#beams li button:not([hidden])", "Undo");

    // All of it holds, also after a power cut, and the first sound was not loud.
    let state = room.konpo.get("/api/state");
    assert!(state["volume"].as_u64() <= Some(25), "{state}");
    room.konpo.kill();
    room.konpo.spawn_with(&[]);
    room.konpo.ready();
    let settings = room.konpo.get("/api/settings");
    for (key, value, source) in [
        ("name", json!("Kitchen"), "page"),
        ("output.volume", json!("box"), "default"),
        ("quiet.from", json!(null), "default"),
    ] {
        let told = &settings[key];
        assert_eq!((&told["value"], &told["source"]), (&value, &json!(source)), "{key}: {settings}");
    }
    page.reads("#name", "Kitchen");
}

#[test]
fn a_friend_with_an_iphone_beams_a_song_from_files() {
    let room = Room::new(Records::None, "[intake]\npush = \"ask\"\n");
    let owner = room.opens("en");
    own(&owner);
    let folder = tempfile::tempdir().expect("a folder");
    let good = song(folder.path(), "from files.wav", 7, 10);
    let old = folder.path().join("2006.m4a");
    fixtures::bought_m4a(&old, 5, fixtures::Kind::FairPlay);

    let friend = Browser::open(&room.lan.host("iphone"), "en");
    friend.devtools("Network.setUserAgentOverride", &json!({ "userAgent": IPHONE }));
    friend.looks(390, 844, "light");
    friend.go(&room.url);
    friend.click("#nav a[href='#arrivals']");
    // What cannot come that way, and what can.
    friend
        .reads("#beam", "Songs bought in the Music app of an iPhone cannot be chosen: what is in Files can.");
    friend.choose("#choose", &[good, old]);
    owner.reads("#asks", "wants to send 2 songs");
    // Two are on their way at once: whichever came first is named.
    owner.reads("#asks", "and 1 more");
    owner.click("#asks button.main");
    // A guest hears what became of its own file, and nothing of anybody else's.
    friend.reads("#uploads", "from files.wav is on the shelf.");
    room.until("it plays", |state| state["transport"] == "playing");
    friend
        .reads("#uploads", "2006.m4a is kept, but cannot be played: Bought from iTunes with copy protection");
    friend.reads("#uploads", "Download the protection-free version from your Apple purchases");
    assert_eq!(friend.text("#files"), "", "the board is not a guest's");
    // Whoever is at home sees what plays, may take it back, and finds the locked one with what to do.
    owner.reads("#title", "Song 7");
    owner.click("#nav a[href='#arrivals']");
    owner.reads("#beams li button:not([hidden])", "Undo");
    owner.reads("#files", "kept, but locked");
    owner.click("#nav a[href='#purchases']");
    owner.reads("#purchase-rows", "What to do: Download the protection-free version");
    assert_calm(&friend);
    assert_calm(&owner);
}

#[test]
fn a_friend_with_an_android_phone_beams_by_localsend_unpaired_and_is_asked_for() {
    let room = Room::new(Records::None, "[intake]\npush = \"ask\"\n");
    let page = room.opens("ja");
    page.click("#welcome button.main");
    page.reads("#welcome h1", "登録しました");
    page.click("#welcome .buttons button:last-child");
    let folder = tempfile::tempdir().expect("a folder");
    let files = [song(folder.path(), "一.wav", 11, 5), song(folder.path(), "二.wav", 12, 5)];
    let stranger = localsend::Phone::start(&room.lan.host("stranger"), "Mia");
    let refused = stranger.sends(&files, &room.place, &[]);
    page.reads("#asks", "Miaが2曲を送ろうとしています");
    page.click("#asks .buttons button:last-child");
    assert!(refused.end().is_err(), "somebody said no");
    assert_eq!(room.konpo.tracks().len(), 0);
    let phone = localsend::Phone::start(&room.lan.host("android"), "Ken");
    let sending = phone.sends(&files, &room.place, &[]);
    page.reads("#asks", "Kenが2曲を送ろうとしています");
    page.reads("#asks", "一.wav");
    page.click("#asks button.main");
    sending.end().expect("it was taken");
    let state = room.until("both are in the queue", |state| state["queue_length"] == 2);
    assert_eq!(state["queue"][0]["title"], "Song 11", "in their order: {state}");
    room.until("the first plays", |state| state["transport"] == "playing");
    page.click("#nav a[href='#arrivals']");
    page.reads("#beams", "2曲届きました");
    page.reads("#files", "Ken · 保存しました");
    page.reads("#beams li button:not([hidden])", "取り消す");
    assert_eq!(page.text("#asks"), "", "nobody is asked again");
    assert_calm(&page);
}

#[test]
fn the_power_is_cut_in_the_middle_of_a_beam_of_twelve_songs() {
    let mut room = Room::new(Records::None, "");
    let page = room.opens("en");
    own(&page);
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<PathBuf> =
        (1..=12).map(|number| song(folder.path(), &format!("{number:02}.wav"), 100 + number, 12)).collect();
    let sent = shelf::hashes(folder.path());
    page.click("#nav a[href='#arrivals']");
    room.person.limit("40mbit");
    page.choose("#choose", &files);
    let received = "return document.querySelectorAll('#uploads [data-state=received]').length";
    wait_for("some are there, and others are not", Duration::from_secs(60), || {
        (page.run(received, &[]).as_u64() >= Some(3)).then_some(())
    });
    let before = page.run(received, &[]);
    let port = room.url.trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    room.konpo.kill();
    page.reads("#uploads", "interrupted at");
    room.konpo.spawn_with(&["--port", &port]);
    room.konpo.ready();
    println!("the power was cut with {before} of 12 there");
    // Nobody touches the page: what was told as received is there, the rest goes on by itself.
    wait_for("all twelve are at the box", Duration::from_secs(180), || {
        (page.run(received, &[]).as_u64() == Some(12)).then_some(())
    });
    wait_for("all twelve are on the shelf", Duration::from_secs(60), || {
        (room.konpo.tracks().len() == 12).then_some(())
    });
    assert_eq!(shelf::hashes(&room.konpo.music()), sent, "byte-identical, each once");
    // Nothing is louder after the power is back, and the person sees that the box is there again.
    assert!(room.konpo.get("/api/state")["volume"].as_u64() <= Some(35));
    assert_eq!(page.text("#away"), "");
    room.konpo.stop();
    let (report, clean) = room.konpo.check();
    assert!(clean, "{report}");
}

#[test]
fn the_disk_is_full() {
    let lan = Lan::new();
    let place = lan.host("box");
    let settings = "name = \"Living Room\"\n[output]\ndevice = \"silent\"\n";
    let mut konpo = Konpo::new(&place, settings).on_a_disk("64m");
    konpo.spawn();
    let ready = konpo.ready();
    let port = ready.trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    let small = song(folder.path(), "small.wav", 21, 30);
    let large = song(folder.path(), "large.wav", 22, 400);
    let page = Browser::open(&lan.host("phone"), "ja");
    page.looks(390, 844, "light");
    page.go(&format!("http://{}:{port}/", place.address));
    page.find("#toggle");
    page.click("#nav a[href='#arrivals']");
    page.click("#welcome button.main");
    page.reads("#welcome h1", "登録しました");
    page.click("#welcome .buttons button:last-child");
    page.choose("#choose", std::slice::from_ref(&small));
    let plays = || (konpo.get("/api/state")["transport"] == "playing").then_some(());
    wait_for("the small one plays", Duration::from_secs(60), plays);
    // Before a byte of it is sent, with the bytes that are needed, in the person's language; the sound goes on.
    page.choose("#choose", std::slice::from_ref(&large));
    page.reads("#uploads [data-state=refusedFile]", "ディスクがいっぱいです");
    page.reads("#uploads [data-state=refusedFile]", "空きが必要です");
    assert_eq!(localsend::staged(&konpo), 0, "not a byte of it was asked for");
    assert_eq!(konpo.get("/api/state")["transport"], "playing");
    assert_eq!(konpo.tracks().len(), 1);
    // What fits comes in all the same.
    let other = song(folder.path(), "other.wav", 23, 20);
    page.choose("#choose", std::slice::from_ref(&other));
    wait_for("it is on the shelf", Duration::from_secs(60), || (konpo.tracks().len() == 2).then_some(()));
    page.reads("#uploads", "「other.wav」が棚に入りました。");
    konpo.stop();
    let (report, clean) = konpo.check();
    assert!(clean, "{report}");
}

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
     Version/18.6 Mobile/15E148 Safari/604.1";
