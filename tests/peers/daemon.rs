//! The daemon as a neighbour of other programs: starting, stopping, a second one, a drop folder.

use std::fs::{self, File};
use std::io::Write;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::{fixtures, patient, shelf, wait_for};

#[test]
fn it_ends_within_two_seconds_while_playing() {
    let lan = Lan::new();
    let mut konpo = Konpo::start(&lan.host("hifi"), "[output]\ndevice = \"silent\"\n");
    drop_song(&konpo, "Long", 30);
    wait_for("the song is on the shelf", Duration::from_secs(20), || konpo.tracks().pop());
    konpo.tell(&json!("play_something"));
    wait_for("it plays", Duration::from_secs(5), || {
        (konpo.get("/api/state")["transport"] == "playing").then_some(())
    });
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (status, took) = konpo.signal(signal);
        println!("{signal}: ended in {} ms", took.as_millis());
        assert!(status.success(), "{status}");
        assert!(took < patient(Duration::from_secs(2)), "{took:?}");
        konpo.spawn();
        konpo.ready();
        let state = konpo.get("/api/state");
        assert_eq!(state["queue"].as_array().map(Vec::len), Some(1), "the queue survives: {state}");
        assert_ne!(state["transport"], "playing", "nothing sounds by itself: {state}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let lan = Lan::new();
    let mut konpo = Konpo::start(&lan.host("hifi"), "[output]\ndevice = \"silent\"\n");
    let (status, took) = konpo.signals_at_once(&[Signal::SIGTERM, Signal::SIGINT]);
    println!("ended in {} ms", took.as_millis());
    assert_eq!(status.code(), Some(130), "{status}");
    // What was left is mended at the next start.
    konpo.spawn();
    konpo.ready();
}

#[test]
fn a_stop_while_it_starts_ends_it_in_order() {
    let lan = Lan::new();
    let mut konpo = Konpo::start(&lan.host("hifi"), "[output]\ndevice = \"silent\"\n");
    for wait in 0..16u64 {
        let (status, _) = konpo.signals_at_once(&[Signal::SIGTERM]);
        // In its first moments nobody hears the signal yet, which ends it as any process.
        assert!(matches!(status.code(), Some(0) | None), "{status} after {} ms", wait * 4);
        konpo.spawn();
        std::thread::sleep(Duration::from_millis(wait * 4));
    }
    konpo.ready();
}

#[test]
fn it_starts_where_its_lines_cannot_be_written() {
    let lan = Lan::new();
    let konpo = Konpo::new(&lan.host("hifi"), "[output]\ndevice = \"silent\"\n");
    let mut konpo = konpo.prepared("exec > /dev/full");
    konpo.spawn();
    wait_for("its complaint", Duration::from_secs(20), || {
        konpo.said().contains("standard output takes nothing").then_some(())
    });
    assert_eq!(konpo.get("/api/health")["status"], "ok");
    let (status, _) = konpo.signal(Signal::SIGTERM);
    assert!(status.success(), "{status}");
}

#[test]
fn a_second_daemon_is_refused_on_the_same_shelf() {
    let lan = Lan::new();
    let konpo = Konpo::start(&lan.host("hifi"), "[output]\ndevice = \"silent\"\n");
    let mut command = konpo.command(&["serve", "--port", "0", "--output", "silent"]);
    konpo.places(&mut command);
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&konpo.id().to_string()) || said.contains("another"),
        "it says who holds it: {said}"
    );
    assert!(!konpo.get("/api/health").is_null(), "the first one goes on");
}

#[test]
fn a_half_written_file_waits_until_it_is_closed() {
    let lan = Lan::new();
    let konpo = Konpo::start(&lan.host("hifi"), "[output]\ndevice = \"silent\"\n");
    let made = tempfile::tempdir().expect("a folder");
    // Half an MP3 is an MP3: only that it is still open tells.
    let source = made.path().join("Slow.mp3");
    let tags = [("title", "Slow"), ("artist", "Copy")];
    fixtures::noise(7, 44_100, 16, 88_200).encode(&source, &["-c:a", "libmp3lame"], &tags);
    let bytes = fs::read(&source).expect("a file");
    let inbox = konpo.music().join("Inbox");
    wait_for("the drop folder is there", Duration::from_secs(5), || inbox.is_dir().then_some(()));
    let mut file = File::create(inbox.join("Slow.mp3")).expect("dropped");
    file.write_all(&bytes[..bytes.len() / 2]).expect("half");
    file.sync_all().expect("synced");
    konpo.at_rest(Duration::from_secs(20));
    assert_eq!(konpo.tracks().len(), 0, "half a file is not taken: {:#?}", konpo.arrivals());
    file.write_all(&bytes[bytes.len() / 2..]).expect("the rest");
    drop(file);
    wait_for("the whole file is taken", Duration::from_secs(20), || konpo.tracks().pop());
    assert_eq!(shelf::hashes(&konpo.music()), [shelf::sha256(&source)]);
    assert!(!inbox.join("Slow.mp3").exists());
}

/// Drops a song of `seconds` into the Inbox, in one move as a file manager does.
fn drop_song(konpo: &Konpo, title: &str, seconds: usize) {
    let made = tempfile::tempdir().expect("a folder");
    let file = made.path().join(format!("{title}.flac"));
    fixtures::noise(9, 44_100, 16, 44_100 * seconds).flac(&file, &[("title", title), ("artist", "Nobody")]);
    konpo.drop_in(&file);
}
