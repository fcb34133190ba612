//! The main job: a phone appears, its tracks are pulled in and stored.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::phone::{NAME, Phone};
use crate::support::{fixtures, patient, shelf, wait_for};

#[test]
fn everything_on_a_phone_is_on_the_shelf_within_15_s() {
    let lan = Lan::new();
    let music = tempfile::tempdir().expect("a folder");
    let names = fixtures::phone_library(music.path());
    assert!(names.len() >= 14, "{names:?}");
    let sent = shelf::hashes(music.path());
    let mut konpo =
        Konpo::start(&lan.host("hifi"), "[intake]\npull = \"always\"\n[output]\ndevice = \"silent\"\n");
    let mut phone = Phone::start(&lan.host("phone"), music.path());

    let (tracks, _) = wait_for("all tracks are on the shelf", Duration::from_secs(30), || {
        let tracks = konpo.tracks();
        // Two files are one recording.
        (tracks.len() + 1 == sent.len() && arrived(&konpo.music()).len() == sent.len()).then_some(tracks)
    });
    let took = phone.started.elapsed();
    println!("{} files on the shelf {:.2} s after the phone was started", sent.len(), took.as_secs_f64());
    assert!(took < patient(Duration::from_secs(15)), "{took:?}");

    assert_history(&konpo.music(), &sent);
    assert_bytes(&konpo.music(), &sent);
    assert_marks(&tracks);

    konpo.stop();
    konpo.spawn();
    konpo.ready();
    wait_pulled(&konpo);
    phone.leave();
    wait_for("the phone has gone", Duration::from_secs(30), || konpo.neighbour(NAME).is_none().then_some(()));
    phone.wake();
    wait_pulled(&konpo);
    konpo.at_rest(Duration::from_secs(60));
    assert_eq!(arrived(&konpo.music()).len(), sent.len(), "nothing is pulled twice");
    assert_eq!(konpo.tracks().len(), tracks.len());
    let gets = phone.said().lines().filter(|line| line.contains("GET /MediaItems/")).count();
    assert_eq!(gets, 0, "not even asked for");
    konpo.stop();
    let (report, clean) = konpo.check();
    assert!(clean, "{report}");
}

#[test]
fn a_stranger_is_not_browsed_before_somebody_looks() {
    let lan = Lan::new();
    let music = tempfile::tempdir().expect("a folder");
    for seed in 1..=3 {
        let tags = [("title", &*format!("Song {seed}")), ("artist", "Someone"), ("album", "Private")];
        fixtures::noise(seed, 44_100, 16, 44_100).flac(&music.path().join(format!("{seed}.flac")), &tags);
    }
    let konpo = Konpo::start(&lan.host("hifi"), "[output]\ndevice = \"silent\"\n");
    let phone = Phone::start(&lan.host("phone"), music.path());
    let (neighbour, _) = wait_for("the phone is seen", Duration::from_secs(15), || {
        konpo.neighbour(NAME).filter(|neighbour| neighbour["state"]["state"] == "ready")
    });
    assert_eq!(neighbour["consent"], "ask", "{neighbour}");
    konpo.at_rest(Duration::from_secs(30));
    assert!(phone.said().contains("rootDesc.xml"), "the description is read");
    assert!(!browsed(&phone), "nothing else is: {}", phone.said());

    let id = neighbour["id"].as_str().expect("an id");
    konpo.neighbour_do(id, "look");
    let (count, _) = wait_for("it is counted", Duration::from_secs(30), || {
        konpo.neighbour(NAME).filter(|neighbour| neighbour["state"]["state"] == "looked")
    });
    assert_eq!(
        (&count["state"]["tracks"], &count["state"]["new"]),
        (&Value::from(3), &Value::from(3)),
        "{count}"
    );
    assert!(browsed(&phone));
    assert_eq!(konpo.tracks().len(), 0, "a look takes nothing");

    // After a look, "always" takes what was looked at; and "never" on the way only until it is allowed again.
    konpo.neighbour_do(id, "always");
    konpo.neighbour_do(id, "never");
    konpo.neighbour_do(id, "always");
    wait_for("three tracks", Duration::from_secs(30), || (konpo.tracks().len() == 3).then_some(()));
    assert_eq!(shelf::hashes(&konpo.music()), shelf::hashes(music.path()));
}

/// Returns whether the phone was asked what it has.
fn browsed(phone: &Phone) -> bool {
    let said = phone.said();
    ["#Browse", "#Search", "BrowseContentDirectory", "SearchContentDirectory"]
        .iter()
        .any(|word| said.contains(word))
}

/// Returns the history's lines about files that came in.
fn arrived(music: &Path) -> Vec<Value> {
    let came = |line: &Value| line["kind"] == "arrived" || line["kind"] == "merged";
    shelf::ledger(music).into_iter().filter(came).collect()
}

fn wait_pulled(konpo: &Konpo) {
    wait_for("the phone is seen again and nothing is new", Duration::from_secs(60), || {
        konpo.neighbour(NAME).filter(|neighbour| neighbour["state"]["state"] == "pulled")
    });
}

/// One line for each file, each with an event of its own.
fn assert_history(music: &Path, sent: &[String]) {
    let lines = arrived(music);
    assert_eq!(shelf::texts(&lines, "sha256"), sent, "one line each");
    let events: BTreeSet<i64> = lines.iter().filter_map(|line| line["event"].as_i64()).collect();
    assert_eq!(events.len(), lines.len());
    let line =
        |title: &str| lines.iter().find(|line| line["title"] == title).unwrap_or_else(|| panic!("{title}"));
    let plus = line("Plus One");
    assert_eq!(plus["purchases"][0]["store"], "itunes", "{plus}");
    assert_eq!(plus["purchases"][0]["item_id"], fixtures::ITEM.to_string(), "{plus}");
    assert!(
        plus["purchases"][0]["bought_at"].as_str().is_some_and(|at| at.starts_with("2007-10-16")),
        "{plus}"
    );
    assert!(
        plus["personal"].as_array().is_some_and(|bytes| !bytes.is_empty()),
        "where the buyer stands: {plus}"
    );
    assert_eq!(line("Ember")["purchases"][0]["store"], "bandcamp");
    assert_eq!(line("River")["purchases"][0]["store"], "amazon");
    assert_eq!(line("First Light")["purchases"], Value::Array(Vec::new()));
    assert_eq!(line("First Light")["provenance"]["device_name"], NAME);
}

/// What lies on the shelf is what the phone has, except one of the two that are one recording.
fn assert_bytes(music: &Path, sent: &[String]) {
    let stored = shelf::hashes(music);
    assert_eq!(stored.len() + 1, sent.len());
    assert!(stored.iter().all(|hash| sent.contains(hash)), "byte-identical");
    let here = shelf::files(music);
    assert!(here.keys().any(|path| path.ends_with("港町楽団/灯台/01 夜明け前.flac")), "{here:#?}");
}

fn assert_marks(tracks: &[Value]) {
    let track = |title: &str| {
        tracks
            .iter()
            .find(|track| track["title"] == title)
            .unwrap_or_else(|| panic!("{title} in {tracks:#?}"))
    };
    let locked = track("Under Lock");
    assert_eq!(locked["playable"], false, "{locked}");
    assert_eq!(locked["protection"]["kind"], "fair_play", "{locked}");
    assert!(locked["protection"]["headline"].as_str().is_some_and(|words| !words.is_empty()), "{locked}");
    for (title, codec) in [
        ("First Light", "flac"),
        ("Gull", "mp3"),
        ("Rope", "aac"),
        ("Anchor", "alac"),
        ("Pier", "vorbis"),
        ("Salt", "pcm"),
        ("Tide", "pcm"),
        ("Sunny 🌞 Day", "mp3"),
    ] {
        let track = track(title);
        let said = track["format"]["codec"].to_string().to_lowercase();
        assert!(said.contains(codec), "{title}: {track}");
        assert_eq!(track["playable"], true, "{track}");
    }
    let deep = &track("High Water")["format"];
    assert_eq!((&deep["rate"], &deep["bits"]), (&Value::from(96_000), &Value::from(24)), "{deep}");
}
