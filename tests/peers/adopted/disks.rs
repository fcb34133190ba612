//! Disks of further music folders: pulled out and put back, read only, unreadable in part, slow, or not answering at all.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::many::Latencies;
use super::{SILENT, assert_served, here, ids, noticed, path_of, progress, quiet, rescan, wav};
use crate::support::image::Image;
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::slow::SlowDisk;
use crate::support::{fixtures, patient, wait_for};

#[test]
fn a_second_disk_goes_and_comes_back_while_konpo_runs() {
    let (lan, usb) = (Lan::new(), disk_with(&[("B/2.wav", 2), ("B/3.wav", 3), ("4.wav", 4)]));
    let konpo = Konpo::new(&lan.host("hifi"), SILENT).finds(&["music", "usb"]);
    wav(konpo.path("music/A/1.wav"), 1);
    let at = konpo.path("usb").to_string_lossy().into_owned();
    let mut konpo = konpo.prepared(&format!("mount {} '{at}'", usb.device()));
    konpo.spawn();
    konpo.ready();
    let all = here(&konpo, "both disks", 4);

    konpo.in_its_view(&["umount", "-l", &at]);
    noticed("the second disk is away", || (offline(&konpo.tracks()) == 3).then_some(()));
    assert_eq!(ids(&konpo.tracks()), ids(&all), "known and away");
    assert_eq!(konpo.get("/api/health")["music_disk"], "online", "new tracks can come");
    let away = konpo.tracks().into_iter().find(|track| track["offline"] == true).expect("one is away");
    let refused = konpo.ask("GET", &format!("/api/media/{}.wav", away["id"]), None);
    assert_eq!((refused.status, &refused.json["code"]), (503, &json!("offline")), "{}", refused.json);
    wav(konpo.path("music/A/5.wav"), 5);
    noticed("a file on the first disk meanwhile", || (konpo.tracks().len() == 5).then_some(()));
    assert_eq!(fs::read_dir(konpo.path("usb")).expect("there").count(), 0, "nothing is made under it");

    konpo.in_its_view(&["mount", usb.device(), &at]);
    let back = here(&konpo, "the second disk is back", 5);
    assert!(ids(&all).iter().all(|id| ids(&back).contains(id)), "the same numbers");
    ids(&back).into_iter().for_each(|id| assert_served(&konpo, id));
    quiet(&konpo);
    wav(konpo.seen("usb/C/6.wav"), 6);
    fs::rename(konpo.seen("usb/B"), konpo.seen("usb/D")).expect("renamed");
    let more = here(&konpo, "changes on the disk that came back", 6);
    noticed("a renamed folder there", || {
        let moved = |id: &i64| path_of(&konpo.seen("usb"), *id).is_some_and(|path| path.starts_with("D/"));
        (ids(&more).iter().filter(|id| moved(id)).count() == 2).then_some(())
    });
    assert!(ids(&all).iter().all(|id| ids(&konpo.tracks()).contains(id)));
    assert_eq!(fs::read_dir(konpo.path("usb")).expect("there").count(), 0, "nor later");
    konpo.stop();
    assert_eq!(fs::read_dir(konpo.path("usb")).expect("there").count(), 0, "nor at the end");
}

#[test]
fn a_second_disk_that_can_only_be_read_is_served_without_a_mark() {
    let (lan, cd) = (Lan::new(), disk_with(&[("B/2.wav", 2), ("3.wav", 3)]));
    let konpo = Konpo::new(&lan.host("hifi"), SILENT).finds(&["music", "cd"]);
    wav(konpo.path("music/1.wav"), 1);
    let at = konpo.path("cd").to_string_lossy().into_owned();
    let mut konpo = konpo.prepared(&format!("mount -o ro {} '{at}'", cd.device()));
    konpo.spawn();
    konpo.ready();
    let all = here(&konpo, "both disks", 3);
    ids(&all).into_iter().for_each(|id| assert_served(&konpo, id));
    // Nothing of it is held open: the owner can take it out.
    konpo.in_its_view(&["umount", &at]);
    noticed("it is away", || (offline(&konpo.tracks()) == 2).then_some(()));
    konpo.in_its_view(&["mount", "-o", "ro", cd.device(), &at]);
    assert_eq!(ids(&here(&konpo, "it is back", 3)), ids(&all));
    konpo.stop();
    // It went while konpo was away, and comes back to one that has started without it.
    let mut konpo = konpo.forgets_lines();
    konpo.spawn();
    konpo.ready();
    noticed("a start without it", || (offline(&konpo.tracks()) == 2).then_some(()));
    konpo.in_its_view(&["mount", "-o", "ro", cd.device(), &at]);
    assert_eq!(ids(&here(&konpo, "it is put in", 3)), ids(&all));
    assert!(!fs::exists(konpo.seen("cd/.konpo")).expect("asked"));
    assert_eq!(fs::read_dir(konpo.path("cd")).expect("there").count(), 0, "nothing is made under it");
}

#[test]
fn a_folder_that_cannot_be_read_is_named_and_its_tracks_stay() {
    let lan = Lan::new();
    let konpo = Konpo::new(&lan.host("hifi"), SILENT);
    let music = konpo.path("music");
    wav(music.join("Open/1.wav"), 1);
    wav(music.join("Shut/2.wav"), 2);
    wav(music.join("Shut/Below/3.wav"), 3);
    let mut konpo = konpo.by_user(65_534);
    konpo.spawn();
    konpo.ready();
    let all = here(&konpo, "three", 3);
    let lines = crate::support::konpo::text(&music.join(".konpo/ledger.jsonl"));

    let shut = music.join("Shut");
    let mode = |mode| fs::set_permissions(&shut, fs::Permissions::from_mode(mode)).expect("root may");
    let named = |konpo: &Konpo| {
        let unreadable = progress(konpo)["unreadable"].as_array().expect("a list").clone();
        unreadable.iter().filter_map(Value::as_str).any(|words| words.starts_with(&*shut.to_string_lossy()))
    };
    mode(0);
    rescan(&konpo);
    noticed("it is named", || named(&konpo).then_some(()));
    println!("{}", progress(&konpo)["unreadable"]);
    assert_eq!(ids(&konpo.tracks()), ids(&all), "what is known of it stays");
    wav(music.join("Open/4.wav"), 4);
    noticed("a change elsewhere", || (konpo.tracks().len() == 4).then_some(()));
    assert!(named(&konpo), "a look at another folder does not take it off the board");
    konpo.stop();
    konpo.spawn();
    konpo.ready();
    noticed("it is named after a start", || named(&konpo).then_some(()));
    assert_eq!(konpo.tracks().len(), 4);

    mode(0o755);
    rescan(&konpo);
    noticed("nothing is named any more", || (!named(&konpo)).then_some(()));
    let again = here(&konpo, "four", 4);
    assert!(ids(&all).iter().all(|id| ids(&again).contains(id)), "the same numbers");
    let now = crate::support::konpo::text(&music.join(".konpo/ledger.jsonl"));
    assert_eq!(now.lines().count(), lines.lines().count() + 1, "nothing was adopted again");
    wav(shut.join("5.wav"), 5);
    wav(shut.join("Below/6.wav"), 6);
    here(&konpo, "changes in it", 6);
}

#[test]
fn a_disk_that_is_slow_or_does_not_answer_holds_nobody_up() {
    let lan = Lan::new();
    let konpo = Konpo::new(&lan.host("hifi"), SILENT).finds(&["music", "slow"]);
    for number in 0..3 {
        let tone = fixtures::noise(number, 8000, 16, 8000 * 20).wav();
        fs::write(konpo.path("music").join(format!("{number}.wav")), tone).expect("a file");
    }
    let files = (100..130).map(|seed| fixtures::noise(seed, 8000, 16, 4000).wav()).collect();
    let disk = SlowDisk::mount(&konpo.path("slow"), files);
    let mut konpo = konpo;
    disk.answer_after(Duration::from_millis(40));
    konpo.spawn();
    konpo.ready();
    let (first, _) = wait_for("the quick disk", Duration::from_secs(20), || {
        Some(konpo.tracks()).filter(|tracks| tracks.len() >= 3)
    });
    let first: Vec<Value> = first
        .iter()
        .filter(|t| t["duration_ms"] == 20_000)
        .map(|t| json!({"what": {"shelf": t["id"]}}))
        .collect();
    assert_eq!(first.len(), 3);
    konpo.tell(&json!({"add": {"entries": first, "play": true}}));
    let mut latencies = Latencies::default();
    let asked = disk.asked();
    while latencies.len() < 100 || disk.asked() < asked + 20 {
        latencies.ask(&konpo, 1, &json!({"seek": 1000}));
        std::thread::sleep(Duration::from_millis(10));
    }
    latencies.print("while a slow disk is looked through");
    assert!(konpo.tracks().len() < 33, "it takes its time");

    disk.hang(true);
    konpo.tell(&json!("rescan"));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        Latencies::of(&konpo, 20, &json!("toggle")).assert_quick("a disk that does not answer");
        konpo.tell(&json!("next"));
        konpo.tell(&json!({"play": 1}));
        wait_for("a track of the other disk plays", Duration::from_secs(2), || {
            (konpo.get("/api/state")["transport"] == "playing").then_some(())
        });
    }
    let page = konpo.get("/api/library/tracks?limit=100");
    assert!(page["total"].as_u64().is_some_and(|total| total >= 3), "lists go on");
    disk.hang(false);
    disk.answer_after(Duration::ZERO);
    here(&konpo, "it is quick again", 33);
}

#[test]
fn a_stop_waits_for_no_fingerprint_of_a_slow_disk() {
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT).finds(&["music", "slow"]);
    // 200 questions of 128 kB, a quarter of a minute.
    let disk = SlowDisk::mount(&konpo.path("slow"), vec![fixtures::noise(1, 44_100, 16, 25 << 18).wav()]);
    disk.answer_after(Duration::from_millis(75));
    konpo.spawn();
    konpo.ready();
    here(&konpo, "a long file", 1);
    wait_for("its fingerprint is under way", Duration::from_secs(10), || {
        let shelf = konpo.get("/api/health")["shelf"].clone();
        (shelf["scanning"] == false && shelf["fingerprints_left"] == 1).then_some(())
    });
    let asked = disk.asked();
    wait_for("it is read", Duration::from_secs(10), || (disk.asked() > asked + 8).then_some(()));
    let took = konpo.stop();
    println!("stopped after {:.1} s", took.as_secs_f64());
    assert!(took < patient(Duration::from_secs(5)), "{took:?}");
}

#[test]
fn a_folder_that_only_root_can_read_ends_no_watch() {
    let lan = Lan::new();
    let konpo = Konpo::new(&lan.host("hifi"), SILENT);
    let music = konpo.path("music");
    // As ext4 makes one on every disk.
    fs::create_dir(music.join("lost+found")).expect("a folder");
    fs::set_permissions(music.join("lost+found"), fs::Permissions::from_mode(0o700)).expect("root may");
    let folders: Vec<_> = (0..40).map(|number| music.join(format!("{number}/Deep"))).collect();
    folders.iter().enumerate().for_each(|(number, folder)| wav(folder.join("1.wav"), number as u64));
    let mut konpo = konpo.by_user(65_534);
    konpo.spawn();
    konpo.ready();
    here(&konpo, "forty", 40);
    folders.iter().enumerate().for_each(|(number, folder)| wav(folder.join("2.wav"), 100 + number as u64));
    here(&konpo, "one more in each", 80);
}

/// A disk with these files; the number decides what sounds.
fn disk_with(files: &[(&str, u64)]) -> Image {
    let folder = tempfile::tempdir().expect("a folder");
    files.iter().for_each(|(path, seed)| wav(folder.path().join(Path::new(path)), *seed));
    Image::of(folder.path(), 16)
}

fn offline(tracks: &[Value]) -> usize {
    tracks.iter().filter(|track| track["offline"] == true).count()
}
