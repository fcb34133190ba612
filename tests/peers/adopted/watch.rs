//! Changes while konpo runs. Nobody asks for a rescan here.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{NOTICED_WITHIN, SILENT, assert_served, here, id_of, ids, noticed, path_of, quiet, wav};
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::process::run;
use crate::support::{fixtures, wait_for};

#[test]
fn what_changes_while_konpo_runs_is_noticed_by_itself() {
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT).finds(&["music", "other"]);
    let (music, other) = (konpo.path("music"), konpo.path("other"));
    album(&music.join("Old/Harbour"), "Harbour", ["First Light", "Gull", "Rope"], 1);
    konpo.spawn();
    konpo.ready();
    let harbour = here(&konpo, "an album that was there before", 3);

    let outside = tempfile::tempdir().expect("a folder");
    album(&outside.path().join("Wood"), "Wood", ["Ember", "Fir", "Moss"], 11);
    copy(&outside.path().join("Wood"), &music);
    let six = here(&konpo, "an album that is copied in", 6);
    assert!(ids(&harbour).iter().all(|id| ids(&six).contains(id)));
    let ember = id_of(&six, "Ember");
    konpo.tell(&json!({"add": {"entries": [{"what": {"shelf": ember}}]}}));

    // Several things at once, in several folders.
    let gull = id_of(&six, "Gull");
    fs::rename(music.join("Old"), music.join("Lamplighters")).expect("renamed");
    fs::rename(music.join("Wood/3 Moss.wav"), music.join("Wood/03. Moss.wav")).expect("renamed");
    noticed("a renamed folder and a renamed file", || {
        let there = |title, path: &str| path_of(&music, id_of(&six, title)).as_deref() == Some(path);
        (there("Gull", "Lamplighters/Harbour/2 Gull.mp3") && there("Moss", "Wood/03. Moss.wav")).then_some(())
    });
    assert_eq!(ids(&here(&konpo, "all of it", 6)), ids(&six));
    six.iter().for_each(|track| assert_served(&konpo, track["id"].as_i64().expect("an id")));

    retag(&music.join("Wood/1 Ember.flac"), "Ember (live)");
    let moss = id_of(&six, "Moss");
    fs::rename(music.join("Wood/03. Moss.wav"), outside.path().join("Moss.wav")).expect("taken away");
    fs::remove_file(music.join("Lamplighters/Harbour/2 Gull.mp3")).expect("removed");
    song(&music.join("Lamplighters/Harbour/2 Gull.flac"), "Gull", "Harbour", 2, 902);
    let changed = noticed("other tags, a file that went, a FLAC in the place of an MP3", || {
        let tracks = konpo.tracks();
        let flac = tracks.iter().any(|track| track["id"] == gull && track["format"]["container"] == "flac");
        let live = tracks.iter().any(|track| track["id"] == ember && track["title"] == "Ember (live)");
        (tracks.len() == 5 && flac && live).then_some(tracks)
    });
    assert!(!ids(&changed).contains(&moss), "{changed:#?}");
    fs::copy(outside.path().join("Moss.wav"), music.join("Wood/Moss.wav")).expect("put back");
    let again = here(&konpo, "a file that is put back", 6);
    assert_eq!(ids(&again), ids(&six), "nobody lost its number");

    fs::rename(music.join("Wood"), other.join("Trees")).expect("moved");
    noticed("an album in another music folder", || {
        (path_of(&other, ember).as_deref() == Some("Trees/1 Ember.flac")).then_some(())
    });
    assert_eq!(ids(&here(&konpo, "all of it", 6)), ids(&six));
    konpo.tell(&json!({"play": null}));
    wait_for("what was put into the queue before it moved plays", NOTICED_WITHIN, || {
        let state = konpo.get("/api/state");
        (state["transport"] == "playing" && state["starts"] == 1).then_some(())
    });
    konpo.stop();
    let (report, clean) = konpo.check();
    assert!(clean, "{report}");
}

#[test]
fn an_album_that_is_copied_to_another_disk_and_then_deleted_keeps_its_numbers() {
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT).finds(&["music", "other"]);
    let (music, other) = (konpo.path("music"), konpo.path("other"));
    album(&music.join("Harbour"), "Harbour", ["First Light", "Gull", "Rope"], 1);
    konpo.spawn();
    konpo.ready();
    let harbour = here(&konpo, "an album that was there before", 3);
    copy(&music.join("Harbour"), &other);
    here(&konpo, "a copy", 6);
    fs::remove_dir_all(music.join("Harbour")).expect("removed");
    assert_eq!(ids(&here(&konpo, "the first one is deleted", 3)), ids(&harbour));
    ids(&harbour).into_iter().for_each(|id| assert_served(&konpo, id));
}

#[test]
fn a_file_that_is_written_slowly_is_listed_once_and_whole() {
    let lan = Lan::new();
    let konpo = Konpo::start(&lan.host("hifi"), SILENT);
    let whole = fixtures::noise(5, 44_100, 16, 44_100 * 4).wav();
    // In a folder below a new folder: its watch is made while the file grows.
    let folder = konpo.path("music/New/Deep");
    fs::create_dir_all(&folder).expect("a folder");
    let mut file = File::create(folder.join("slow.wav")).expect("a file");
    for part in whole.chunks(whole.len().div_ceil(4)) {
        file.write_all(part).expect("written");
        assert_eq!(konpo.tracks().len(), 0);
        // A slow network: this is the time it takes, not a time that is waited for.
        std::thread::sleep(Duration::from_millis(900));
    }
    drop(file);
    let tracks = here(&konpo, "a file that grew", 1);
    assert_eq!(tracks[0]["size"], whole.len());
    assert_eq!(tracks[0]["duration_ms"], 4000);
    assert_eq!(ids(&tracks), [1], "it was never another track");
}

#[test]
fn a_music_folder_within_another_is_no_part_of_it() {
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT).finds(&["music", "music/usb"]);
    let (music, usb) = (konpo.path("music"), konpo.path("music/usb"));
    wav(music.join("1.wav"), 1);
    wav(usb.join("2.wav"), 2);
    konpo.spawn();
    konpo.ready();
    here(&konpo, "one in each", 2);
    wav(music.join("3.wav"), 3);
    wav(usb.join("4.wav"), 4);
    let tracks = here(&konpo, "one more in each", 4);
    quiet(&konpo);
    assert_eq!(ids(&konpo.tracks()), ids(&tracks), "each once");
    for id in ids(&tracks) {
        assert!(path_of(&music, id).is_none() || path_of(&usb, id).is_none(), "track {id} is in both");
    }
    konpo.stop();
    let (report, clean) = konpo.check();
    assert!(clean, "{report}");
}

#[test]
fn what_stays_in_the_drop_folder_is_not_on_the_shelf() {
    let lan = Lan::new();
    let konpo = Konpo::start(&lan.host("hifi"), &format!("{SILENT}[intake]\ntake = \"purchased\"\n"));
    let music = konpo.path("music");
    let outside = tempfile::tempdir().expect("a folder");
    wav(outside.path().join("not bought.wav"), 1);
    konpo.drop_in(&outside.path().join("not bought.wav"));
    noticed("it is refused", || {
        konpo.arrivals().iter().any(|arrival| arrival["verdict"]["code"] == "rule").then_some(())
    });
    assert!(fs::exists(music.join("Inbox/not bought.wav")).expect("asked"));
    wav(music.join("Playlists/no list.wav"), 3);
    wav(music.join("5.wav"), 5);
    here(&konpo, "a file beside it", 1);
    quiet(&konpo);
    assert_eq!(konpo.tracks().len(), 1, "{:#?}", konpo.tracks());
}

#[test]
fn no_clock_hides_a_change_while_konpo_runs() {
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT);
    let music = konpo.path("music");
    let now = SystemTime::now();
    let (future, past) = (now + Duration::from_secs(400 * 86_400), SystemTime::UNIX_EPOCH);
    for (name, seed, time) in [("future.wav", 1, future), ("past.wav", 2, past), ("same.wav", 3, now)] {
        wav(music.join(name), seed);
        set_time(&music.join(name), time);
    }
    konpo.spawn();
    konpo.ready();
    let first = here(&konpo, "three", 3);
    let added: Vec<&str> = first.iter().filter_map(|track| track["added"].as_str()).collect();
    assert!(added.iter().all(|added| !added.starts_with("1970") && *added < "2100"), "{added:?}");
    // Others come in their places: of the same size; one older, one newer, one with the very same time.
    for (name, seed, time) in [("future.wav", 11, past), ("past.wav", 12, future), ("same.wav", 13, now)] {
        let aside = music.join(".aside");
        wav(&aside, seed);
        set_time(&aside, time);
        fs::rename(&aside, music.join(name)).expect("replaced");
    }
    noticed("three others in their places", || {
        let tracks = konpo.tracks();
        (tracks.len() == 3 && ids(&tracks).iter().all(|id| !ids(&first).contains(id))).then_some(())
    });
}

/// A song of three seconds; its kind is that of its name.
fn song(path: &Path, title: &str, album: &str, number: usize, seed: u64) {
    let number = number.to_string();
    let tags = [("title", title), ("artist", "The Lamplighters"), ("album", album), ("track", &number)];
    let sound = fixtures::noise(seed, 44_100, 16, 44_100 * 3);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("flac") => sound.flac(path, &tags),
        Some("mp3") => sound.encode(path, &["-c:a", "libmp3lame", "-b:a", "128k"], &tags),
        _ => sound.encode(path, &["-c:a", "pcm_s16le"], &tags),
    }
}

/// An album of a FLAC, an MP3 and a WAV.
fn album(folder: &Path, name: &str, titles: [&str; 3], seed: u64) {
    for (index, (title, extension)) in titles.into_iter().zip(["flac", "mp3", "wav"]).enumerate() {
        let path = folder.join(format!("{} {title}.{extension}", index + 1));
        song(&path, title, name, index + 1, seed + index as u64);
    }
}

fn copy(folder: &Path, into: &Path) {
    let mut command = Command::new("cp");
    command.arg("-r").arg(folder).arg(into);
    run(command);
}

/// Gives a FLAC another title in place, as a tagger does.
fn retag(path: &Path, title: &str) {
    fixtures::name(path, title, "The Lamplighters");
}

fn set_time(path: &Path, time: SystemTime) {
    let times = fs::FileTimes::new().set_modified(time);
    File::options().write(true).open(path).and_then(|file| file.set_times(times)).expect("set");
}
