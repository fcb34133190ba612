//! Power cuts in the middle of a pull.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::support::fixtures::{self, Random};
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::phone::Phone;
use crate::support::{shelf, wait_for};

#[test]
fn after_kills_at_random_moments_everything_is_there_exactly_once() {
    let kills = if crate::support::all() { 100 } else { 10 };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    let seed = u64::from(now.subsec_nanos()) | 1;
    println!("{kills} kills, seed {seed}");
    let mut random = Random(seed);
    let music = tempfile::tempdir().expect("a folder");
    songs(music.path());
    let sent = shelf::hashes(music.path());
    let lan = Lan::new();
    let (hifi, phone_host) = (lan.host("hifi"), lan.host("phone"));
    // Slow enough that a pull lasts through several kills: 200 files of 100 kB.
    phone_host.limit("12mbit");
    let _phone = Phone::start(&phone_host, music.path());
    let mut killed = 0;
    while killed < kills {
        let mut konpo = Konpo::new(&hifi, "[intake]\npull = \"always\"\n[output]\ndevice = \"silent\"\n");
        let mut complete = false;
        while killed < kills && !complete {
            konpo.spawn();
            std::thread::sleep(Duration::from_millis(100 + random.below(2900)));
            konpo.kill();
            killed += 1;
            assert_whole(&konpo.music(), &sent);
            complete = shelf::ledger_so_far(&konpo.music()).len() >= sent.len();
        }
        konpo.spawn();
        konpo.ready();
        wait_for("everything arrives", Duration::from_secs(120), || {
            (konpo.tracks().len() >= sent.len()).then_some(())
        });
        konpo.at_rest(Duration::from_secs(60));
        assert_exactly_once(&konpo, &sent);
        konpo.stop();
        let (report, clean) = konpo.check();
        assert!(clean, "seed {seed}: {report}");
        println!("clean after {killed} kills: {report}");
    }
}

/// 200 songs of 100 kB, each with a payload of its own.
fn songs(folder: &Path) {
    for number in 0..200 {
        let wav = fixtures::noise(1000 + number, 22_050, 16, 25_000).wav();
        fs::write(folder.join(format!("Song {number:03}.wav")), wav).expect("a file");
    }
}

/// No file outside `.konpo` is ever half: whatever is visible is one of those sent.
fn assert_whole(music: &Path, sent: &[String]) {
    for (path, hash) in shelf::files(music) {
        assert!(sent.contains(&hash), "half a file is visible: {}", path.display());
    }
}

fn assert_exactly_once(konpo: &Konpo, sent: &[String]) {
    let tracks = konpo.tracks();
    assert_eq!(tracks.len(), sent.len());
    let titles: BTreeSet<String> = shelf::texts(&tracks, "title").into_iter().collect();
    assert_eq!(titles.len(), sent.len());
    assert_eq!(shelf::texts(&tracks, "sha256"), sent);
    assert_eq!(shelf::hashes(&konpo.music()), sent, "on the disk each once");
    let lines = shelf::ledger_so_far(&konpo.music());
    // A line written before a cut may be written again by the repeated stage: it has the same event.
    let events: BTreeSet<(i64, String)> = lines
        .iter()
        .map(|line| {
            (line["event"].as_i64().expect("an event"), line["sha256"].as_str().expect("a hash").to_owned())
        })
        .collect();
    assert_eq!(events.len(), sent.len(), "an event is one file");
    let staging = fs::read_dir(konpo.music().join(".konpo/staging")).map(Iterator::count).unwrap_or(0);
    assert_eq!(staging, 0, "nothing half is left");
}
