//! The music disk: small, full, pulled out and put back, read only; and names that no disk should be asked to hold.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::phone::{NAME, Phone};
use crate::support::process::run;
use crate::support::{fixtures, shelf, wait_for};

const ALWAYS: &str = "[intake]\npull = \"always\"\n[output]\ndevice = \"silent\"\n";

#[test]
fn a_full_disk_is_named_and_the_pull_goes_on_by_itself_when_there_is_room() {
    let (lan, music) = (Lan::new(), songs(6, 12));
    let mut konpo = Konpo::new(&lan.host("hifi"), ALWAYS).on_a_disk("64m");
    konpo.spawn();
    konpo.ready();
    let host = lan.host("phone");
    // Slow enough to see the middle of a file.
    host.limit("80mbit");
    let _phone = Phone::start(&host, music.path());
    // 64 MiB less a quarter hold four files of 12 MB.
    let reason = waits(&konpo);
    println!("before the first byte of the fifth: {reason}");
    assert!(reason.contains("the disk is full") && reason.contains("MB"), "{reason}");
    let four = || Some(konpo.tracks()).filter(|tracks| tracks.len() == 4);
    let (here, _) = wait_for("four are on the shelf", Duration::from_secs(20), four);
    let staged = fs::read_dir(konpo.music().join(".konpo/staging")).expect("there").count();
    assert_eq!(staged, 0, "not a byte of it was asked for");

    // What the owner deletes lies in the trash, and the trash yields: one more comes.
    let delete = |track: &Value| {
        let reply = konpo.ask("DELETE", &format!("/api/tracks/{}", track["id"]), None);
        assert!(reply.status < 300, "{} {}", reply.status, reply.json);
    };
    delete(&here[0]);
    wait_for("the fifth comes by itself", Duration::from_secs(40), four);

    // Another program fills the disk while the sixth is on its way.
    let filler = konpo.music().join("filler.bin");
    delete(&konpo.tracks()[0]);
    wait_for("the sixth is on its way", Duration::from_secs(40), || {
        let part = fs::read_dir(konpo.music().join(".konpo/staging")).expect("there").flatten().next()?;
        (part.metadata().ok()?.len() > 1_000_000).then_some(())
    });
    fill(&filler);
    let reason = waits(&konpo);
    println!("in the middle: {reason}");
    assert!(reason.contains("full"), "{reason}");
    fs::remove_file(&filler).expect("it is there");
    wait_for("the sixth comes by itself", Duration::from_secs(60), four);
    let sent = shelf::hashes(music.path());
    assert!(shelf::hashes(&konpo.music()).iter().all(|hash| sent.contains(hash)), "whole, each of them");
    konpo.stop();
    let (report, clean) = konpo.check();
    assert!(clean, "{report}");
}

#[test]
fn a_disk_that_is_pulled_out_and_put_back_loses_nothing() {
    let (lan, music) = (Lan::new(), songs(8, 6));
    let mut konpo = Konpo::new(&lan.host("hifi"), ALWAYS).on_a_disk("512m");
    konpo.spawn();
    konpo.ready();
    let host = lan.host("phone");
    host.limit("60mbit");
    let _phone = Phone::start(&host, music.path());
    let (tracks, _) = wait_for("two songs are here", Duration::from_secs(60), || {
        Some(konpo.tracks()).filter(|tracks| tracks.len() >= 2)
    });
    let entries: Vec<_> = tracks.iter().map(|track| json!({"what": {"shelf": track["id"]}})).collect();
    konpo.tell(&json!({"add": {"entries": entries, "play": true}}));
    wait_for("it plays", Duration::from_secs(10), || {
        (konpo.get("/api/state")["transport"] == "playing").then_some(())
    });

    konpo.unmount();
    let reason = waits(&konpo);
    println!("pulled out: {reason}");
    assert!(reason.contains("not there"), "{reason}");
    let known = konpo.tracks();
    assert!(
        known.len() >= 2 && known.iter().all(|track| track["offline"] == true),
        "known and away: {known:#?}"
    );
    konpo.tell(&json!("next"));
    wait_for("the box waits", Duration::from_secs(10), || {
        (konpo.get("/api/state")["transport"] == "paused").then_some(())
    });
    let state = konpo.get("/api/state");
    let words = state["notices"].as_array().and_then(|all| all.last()).map(|notice| notice["words"].clone());
    println!("the notice: {words:?}");
    assert!(
        words.is_some_and(|words| words.as_str().is_some_and(|words| words.contains("not there"))),
        "{state}"
    );
    assert_eq!(
        fs::read_dir(konpo.mount_point()).expect("there").count(),
        0,
        "nothing under the empty mount point"
    );

    konpo.mount();
    let (_, took) = wait_for("everything comes", Duration::from_secs(90), || {
        let tracks = konpo.tracks();
        (tracks.len() == 8 && tracks.iter().all(|track| track["offline"] == false)).then_some(())
    });
    println!("back: all 8 are here after {:.1} s", took.as_secs_f64());
    assert_eq!(shelf::hashes(&konpo.music()), shelf::hashes(music.path()));
    konpo.tell(&json!({"play": null}));
    wait_for("it plays on", Duration::from_secs(10), || {
        (konpo.get("/api/state")["transport"] == "playing").then_some(())
    });
    assert_eq!(fs::read_dir(konpo.mount_point()).expect("there").count(), 0);
    konpo.stop();
    let (report, clean) = konpo.check();
    assert!(clean, "{report}");
}

#[test]
fn a_disk_that_can_only_be_read_is_played_from() {
    let (lan, music) = (Lan::new(), songs(1, 1));
    let mut konpo = Konpo::new(&lan.host("hifi"), ALWAYS).on_a_disk("64m");
    konpo.spawn();
    konpo.ready();
    konpo.drop_in(&music.path().join("Song 0.wav"));
    wait_for("the song is on the shelf", Duration::from_secs(20), || konpo.tracks().pop());
    konpo.unmount();
    konpo.mount_read_only();
    let phone = songs(2, 1);
    let _phone = Phone::start(&lan.host("phone"), phone.path());
    let reason = waits(&konpo);
    println!("read only: {reason}");
    assert!(reason.contains("read") && reason.contains("chown"), "it says what to do: {reason}");
    konpo.tell(&json!("play_something"));
    wait_for("it plays", Duration::from_secs(10), || {
        (konpo.get("/api/state")["transport"] == "playing").then_some(())
    });
    konpo.unmount();
    konpo.mount();
    // One of the two is the song that is there.
    wait_for("the other song comes", Duration::from_secs(60), || (konpo.tracks().len() == 2).then_some(()));
}

#[test]
fn names_from_a_hostile_phone_stay_inside_the_music_folder() {
    let lan = Lan::new();
    let music = tempfile::tempdir().expect("a folder");
    let long = "Long ".repeat(60);
    let names = [
        ("../../etc/x", "../.."),
        ("nul\0byte", "a\0b"),
        (long.as_str(), long.as_str()),
        ("CON", "AUX"),
        ("One", "BoA"),
        ("Two", "BOA"),
        ("Three", "boa"),
        ("Four", "が"),
        ("Five", "か\u{3099}"),
        (".hidden", "..."),
    ];
    for (number, (title, artist)) in names.iter().enumerate() {
        let path = music.path().join(format!("{number}.flac"));
        fixtures::noise(500 + number as u64, 44_100, 16, 44_100).flac(&path, &[("album", "Names")]);
        fixtures::name(&path, title, artist);
    }
    let mut konpo = Konpo::start(&lan.host("hifi"), ALWAYS);
    let _phone = Phone::start(&lan.host("phone"), music.path());
    wait_for("all are on the shelf", Duration::from_secs(60), || {
        (konpo.tracks().len() == names.len()).then_some(())
    });
    konpo.at_rest(Duration::from_secs(60));
    assert_eq!(shelf::hashes(&konpo.music()), shelf::hashes(music.path()), "byte-identical, each once");
    let files: Vec<_> = shelf::files(&konpo.music()).into_keys().collect();
    println!("{files:#?}");
    for part in files.iter().flat_map(|path| path.iter()) {
        let text = part.to_str().expect("what konpo names is UTF-8");
        assert!(text.len() <= 200 && !text.starts_with('.') && !text.contains('\0'), "{text}");
    }
    let folders: std::collections::BTreeSet<String> = files
        .iter()
        .filter_map(|path| path.iter().next())
        .map(|folder| folder.to_string_lossy().to_lowercase())
        .collect();
    assert!(folders.contains("boa") && folders.contains("が"), "{folders:?}");
    assert_eq!(folders.len(), 7, "BoA is one folder, が is one folder: {folders:?}");
    konpo.stop();
    let (report, clean) = konpo.check();
    assert!(clean, "{report}");
}

/// Songs of so many MB each.
fn songs(count: u64, megabytes: usize) -> tempfile::TempDir {
    let music = tempfile::tempdir().expect("a folder");
    for number in 0..count {
        let wav = fixtures::noise(9000 + number, 44_100, 16, megabytes * 250_000).wav();
        fs::write(music.path().join(format!("Song {number}.wav")), wav).expect("a file");
    }
    music
}

/// Waits until the phone's files wait, and returns why.
fn waits(konpo: &Konpo) -> String {
    let (state, _) = wait_for("the pull waits", Duration::from_secs(60), || {
        Some(konpo.neighbour(NAME)?["state"].clone()).filter(|state| state["state"] == "waiting")
    });
    state["reason"].as_str().expect("a reason").to_owned()
}

/// Leaves no byte free on a disk.
fn fill(filler: &Path) {
    let mut command = std::process::Command::new("sh");
    // It ends when the disk is full.
    command.args(["-c", "cat /dev/zero > \"$1\" 2> /dev/null || true", "sh"]).arg(filler);
    run(command);
}
