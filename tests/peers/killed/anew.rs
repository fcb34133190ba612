//! Power cuts while the database is made anew, and both databases lost.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{SILENT, kills, looks_through, random, sleep};
use crate::support::fixtures::{self, Kind};
use crate::support::konpo::{Konpo, text};
use crate::support::net::Lan;
use crate::support::process::{Process, run};
use crate::support::stock::Stock;
use crate::support::{database, wait_for};

#[test]
fn a_rebuild_that_is_cut_off_leaves_the_old_database_or_the_new_one() {
    let mut random = random("rebuild");
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT);
    let kept = lived_in(&mut konpo);
    let begun = Instant::now();
    rebuild(&konpo, &kept);
    let whole = begun.elapsed().as_millis() as u64;
    let (data, log) = (konpo.path("data"), konpo.path("rebuilt"));
    let (mut new, mut promised) = (0, 0);
    for kill in 0..kills() {
        let before = put_aside(&data);
        let mut process = Process::start("konpo check", rebuilding(&konpo), &log);
        sleep(random.below(whole + 20));
        process.kill();
        promised += usize::from(data.join("rebuild/ready").exists());
        database::assert_whole(&data, "cut in a rebuild");
        // Whoever comes next finds a whole shelf: the daemon, or another rebuild.
        if kill % 2 == 0 {
            looks_through(&mut konpo);
            assert_eq!(konpo.tracks().len(), tracks(&kept), "shown");
            konpo.stop();
            assert_kept(&konpo, &kept);
        }
        new += put_aside(&data).difference(&before).count();
    }
    println!(
        "a rebuild takes {whole} ms; the new one was found {new} times, {promised} of them by finishing"
    );
    rebuild(&konpo, &kept);
    assert!(!data.join("rebuild").exists(), "nothing half is left");
}

#[test]
fn both_databases_lost_come_back_from_the_history_and_the_snapshot() {
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT);
    let kept = lived_in(&mut konpo);
    let data = konpo.path("data");
    konpo::library::backup::snapshot(&data, &konpo.music()).expect("a copy beside the music");
    // A start makes them anew by itself, and so does whoever asks for it.
    for asked in [false, true] {
        forget(&data);
        fs::remove_dir_all(data.join("backup")).expect("removed");
        if asked {
            rebuild(&konpo, &kept);
        }
        comes_back(&mut konpo, &kept);
    }
}

fn comes_back(konpo: &mut Konpo, kept: &[String]) {
    looks_through(konpo);
    let tracks = konpo.tracks();
    for name in ["Plus One", "Under Lock"] {
        let bought = tracks.iter().find(|track| track["title"] == name).expect("listed");
        assert_eq!(bought["purchases"][0]["store"], "itunes", "{bought}");
    }
    assert_eq!(konpo.get("/api/purchases")["total"], 2);
    assert_eq!(konpo.get("/api/library/favourites")["total"], 3);
    let lists = konpo.get("/api/library/playlists");
    assert_eq!((&lists["total"], &lists["items"][0]["name"]), (&1.into(), &"Evening".into()), "{lists}");
    konpo.stop();
    assert_kept(konpo, kept);
}

/// Lets somebody use a shelf: music that stood there and moved, music that arrived, some bought; favourites, plays and a
/// playlist. Returns what is to be kept, when konpo has stopped.
fn lived_in(konpo: &mut Konpo) -> Vec<String> {
    let mut stock = Stock::new(konpo.path("stock"), konpo.music(), 25);
    let locked = konpo.path("stock").join("locked.m4a");
    fixtures::bought_m4a(&locked, 31, Kind::FairPlay);
    let plus = konpo.path("Plus.m4a");
    fixtures::bought_m4a(&plus, 32, Kind::Plus);
    stock.rests();
    stock.bring(20);
    fs::rename(&locked, konpo.music().join("Locked.m4a")).expect("renamed");
    looks_through(konpo);
    konpo.drop_in(&plus);
    for number in 0..5 {
        let (path, title) = (konpo.path("Found.wav"), format!("Found {number}"));
        let wav =
            fixtures::noise(90_000 + number, 22_050, 16, 3000).tagged_wav(&title, "The Visitors", "Found");
        fs::write(&path, wav).expect("a file");
        konpo.drop_in(&path);
        wait_for("it is taken", Duration::from_secs(20), || {
            (!konpo.music().join("Inbox/Found.wav").exists()).then_some(())
        });
    }
    let all = stock.there().len() + 7;
    wait_for("everything is listed", Duration::from_secs(30), || (konpo.tracks().len() == all).then_some(()));
    konpo.stop();
    // Moved and tagged again, so that the history has more to tell than one line for each.
    stock.stir(&mut fixtures::Random(7));
    let entries: String =
        stock.there().values().step_by(50).map(|(path, _)| format!("../{}\n", path.display())).collect();
    fs::write(konpo.music().join("Playlists/Evening.m3u8"), entries).expect("written");
    looks_through(konpo);
    wait_for("the list is read", Duration::from_secs(20), || {
        (konpo.get("/api/library/playlists")["total"] == 1).then_some(())
    });
    let tracks = konpo.tracks();
    for track in tracks.iter().filter(|track| is_loved(track)) {
        let reply = konpo.ask("PUT", &format!("/api/tracks/{}/favourite", track["id"]), None);
        assert_eq!(reply.status, 204, "{}", reply.json);
    }
    konpo.stop();
    let owner = konpo.path("data").join("owner.db");
    database::rows(&owner, PLAYS);
    let kept = database::kept(&owner);
    for part in ["track: ", "purchase: ", "provenance: ", "play: ", "played: ", "favourite: ", "playlist: "] {
        assert!(kept.iter().any(|line| line.starts_with(part)), "{part}{kept:?}");
    }
    assert_eq!(self::tracks(&kept), all);
    kept
}

fn is_loved(track: &Value) -> bool {
    ["Plus One", "Found 3", "Song 0907", "Song 0907 again"].iter().any(|title| track["title"] == *title)
}

fn tracks(kept: &[String]) -> usize {
    kept.iter().filter(|line| line.starts_with("track: ")).count()
}

fn rebuilding(konpo: &Konpo) -> Command {
    let mut command = konpo.command(&["check", "--rebuild", "--json"]);
    konpo.places(&mut command);
    command
}

/// Makes the database anew and asserts that nothing is wrong or lost.
fn rebuild(konpo: &Konpo, kept: &[String]) {
    let said = String::from_utf8_lossy(&run(rebuilding(konpo))).into_owned();
    let report: Value = serde_json::from_str(said.trim()).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!((&report["problems"], &report["lost"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert_eq!(report["tracks"], tracks(kept), "{report}");
    assert_kept(konpo, kept);
}

/// Asserts that the database of a konpo that is stopped has all of it, and nothing twice.
fn assert_kept(konpo: &Konpo, kept: &[String]) {
    database::assert_same(kept, &database::kept(&konpo.path("data").join("owner.db")));
}

/// Returns the names of the databases that were put aside; the oldest of many go.
fn put_aside(data: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(data).expect("a folder").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("owner.db.before-")).collect()
}

/// Loses both databases and what is beside them.
fn forget(data: &Path) {
    for entry in fs::read_dir(data).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("owner.db") || name.starts_with("index.db") {
            fs::remove_file(entry.path()).expect("removed");
        }
    }
    assert_eq!(text(&data.join("owner.db")), "");
}

const PLAYS: &str = "INSERT INTO play(at, track) SELECT 1700000000 + id, id FROM track WHERE id % 7 = 0;
    INSERT INTO play(at, track) SELECT 1710000000 + id, id FROM track WHERE id % 21 = 0;
    INSERT INTO played(track, times, last) SELECT track, count(*), max(at) FROM play GROUP BY track;";
