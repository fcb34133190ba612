//! Power cuts at random moments of everything that writes the shelf: whatever was begun, the next start has one whole
//! database, and nothing that was there is lost or there twice.

mod anew;
mod copied;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::fixtures::{self, Random};
use crate::support::konpo::{Konpo, text};
use crate::support::net::Lan;
use crate::support::stock::Stock;
use crate::support::{database, shelf, wait_for};

#[test]
fn a_scan_that_is_cut_off_again_and_again_gives_every_file_one_number() {
    let mut random = random("scan");
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT);
    let mut stock = Stock::new(konpo.path("stock"), konpo.music(), 25);
    stock.rests();
    let mut numbers = BTreeMap::new();
    let mut moments = BTreeMap::new();
    for kill in 0..kills() {
        stock.stir(&mut random);
        stock.bring(12);
        konpo.spawn();
        if kill % 2 == 0 {
            konpo.ready();
        }
        sleep(random.below(if kill % 2 == 0 { 150 } else { 300 }));
        konpo.kill();
        *moments.entry(moment(&text(&konpo.path("said")))).or_insert(0) += 1;
        database::assert_whole(&konpo.path("data"), "cut in a scan");
        numbers = numbers_now(&konpo, &numbers);
    }
    stock.stir(&mut random);
    stock.bring(25);
    looks_through(&mut konpo);
    shows(&konpo, &stock, &[]);
    konpo.stop();
    let numbers = numbers_now(&konpo, &numbers);
    let there = stock.there();
    assert_eq!(numbers.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>());
    let owner = konpo.path("data").join("owner.db");
    let mut paths: Vec<String> = there.values().map(|(path, _)| path.display().to_string()).collect();
    paths.sort();
    assert_eq!(database::rows(&owner, PATHS), paths, "every file has one row, at its place");
    let torn = assert_clean(&konpo, there.len());
    println!("cut {moments:?}; {} files, {torn} torn lines", there.len());
}

#[test]
fn what_is_dropped_in_while_scans_are_cut_off_arrives_exactly_once() {
    let mut random = random("intake");
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT);
    let mut stock = Stock::new(konpo.path("stock"), konpo.music(), 25);
    let (inbox, waiting) = (konpo.music().join("Inbox"), konpo.path("waiting"));
    fs::create_dir_all(&inbox).expect("a folder");
    stock.rests();
    let (mut numbers, mut dropped, mut moments) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    for kill in 0..kills() {
        stock.stir(&mut random);
        stock.bring(4);
        for number in 0..DROPPED {
            let title = format!("Dropped {kill:02}{number:02}");
            let song = fixtures::noise(50_000 + kill * DROPPED + number, 22_050, 16, 5000);
            fs::write(&waiting, song.tagged_wav(&title, "The Visitors", "Found")).expect("a file");
            dropped.push((shelf::sha256(&waiting), title));
            fs::rename(&waiting, inbox.join(format!("{kill:02}{number:02}.wav"))).expect("dropped");
        }
        konpo.spawn();
        konpo.ready();
        let begun = Instant::now();
        if kill % 2 == 0 {
            // What is quiet for 2 s is taken; a scan of what came meanwhile runs beside.
            sleep(1200);
            stock.bring(1);
            stock.stir(&mut random);
            sleep(700 + random.below(500));
        } else {
            // What was taken and not put on the shelf goes on beside the first look.
            sleep(random.below(500));
        }
        konpo.kill();
        let arrived = arrivals(&konpo).len();
        *moments.entry(arrived).or_insert(0) += 1;
        database::assert_whole(&konpo.path("data"), "cut in an intake");
        assert_none_half(&konpo, &stock, &dropped);
        numbers = numbers_now(&konpo, &numbers);
        println!("{:?} after ready: {arrived} of {} arrived", begun.elapsed(), dropped.len());
    }
    stock.bring(25);
    looks_through(&mut konpo);
    let all = stock.there().len() + dropped.len();
    wait_for("everything arrives", Duration::from_secs(60), || (konpo.tracks().len() >= all).then_some(()));
    konpo.at_rest(Duration::from_secs(60));
    shows(&konpo, &stock, &dropped);
    konpo.stop();
    let numbers = numbers_now(&konpo, &numbers);
    assert_eq!(numbers.len(), all, "every file has one number");
    let mut sent: Vec<String> = dropped.iter().map(|(hash, _)| hash.clone()).collect();
    sent.extend(stock.there().into_values().map(|(path, _)| shelf::sha256(&konpo.music().join(path))));
    sent.sort();
    assert_eq!(shelf::hashes(&konpo.music()), sent, "on the disk each once");
    assert_eq!(arrivals(&konpo).len(), dropped.len(), "an event is one file");
    for folder in ["Inbox", ".konpo/staging", ".konpo/trash"] {
        let left = fs::read_dir(konpo.music().join(folder)).expect("a folder").count();
        assert_eq!(left, 0, "nothing is left in {folder}");
    }
    let torn = assert_clean(&konpo, all);
    println!("{all} files, {torn} torn lines");
}

/// How often each kind of work is cut off.
fn kills() -> u64 {
    if crate::support::all() { 60 } else { 2 }
}

/// Returns the numbers that decide when a test cuts.
fn random(what: &str) -> Random {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
    let seed = u64::from(now.subsec_nanos()) | 1;
    println!("{} kills of a {what}, seed {seed}", kills());
    Random(seed)
}

/// Lets the work go on for a while before it is cut: the moment is what is being tried.
fn sleep(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Starts it and waits until it looked through everything once.
fn looks_through(konpo: &mut Konpo) {
    konpo.spawn();
    konpo.ready();
    wait_for("everything is looked through", Duration::from_secs(30), || {
        konpo.said().contains(LOOKED).then_some(())
    });
}

/// Says how far a scan was, of what was logged.
fn moment(said: &str) -> &'static str {
    match (said.contains("konpo ready"), said.contains(LOOKED)) {
        (false, _) => "before it was ready",
        (true, false) => "in the first look",
        (true, true) => "behind it",
    }
}

/// Returns the track of every file in the database of a konpo that was killed or stopped; no file has two, no track has two,
/// and those that were known stay.
fn numbers_now(konpo: &Konpo, known: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let copy = database::copy(&konpo.path("data"));
    let owner = copy.path().join("owner.db");
    // A cut may come before the first table.
    let made = owner.exists() && database::number(&owner, "PRAGMA user_version") == NEWEST;
    let rows = if made { database::rows(&owner, NUMBERS) } else { Vec::new() };
    let split = |row: &String| row.split_once('|').map(|(file, track)| (file.to_owned(), track.to_owned()));
    let now: BTreeMap<String, String> = rows.iter().map(|row| split(row).expect("two columns")).collect();
    assert_eq!(now.len(), rows.len(), "no file has two rows: {rows:?}");
    assert_eq!(now.values().collect::<BTreeSet<_>>().len(), rows.len(), "no number is given twice: {rows:?}");
    for (file, track) in known {
        assert_eq!(now.get(file), Some(track), "{file} keeps its number");
    }
    now
}

/// Waits until the faces show exactly these files, each with the tags that it has now: lists may follow a scan.
fn shows(konpo: &Konpo, stock: &Stock, dropped: &[(String, String)]) {
    let mut titles: Vec<String> = stock.there().into_values().map(|(_, title)| title).collect();
    titles.extend(dropped.iter().map(|(_, title)| title.clone()));
    titles.sort();
    let what = format!("{} titles are shown as the files say", titles.len());
    wait_for(&what, Duration::from_secs(30), || {
        let tracks = konpo.tracks();
        let all = shelf::texts(&tracks, "title") == titles;
        (all && tracks.iter().all(|track| track["playable"] == true)).then_some(())
    });
}

/// No file outside `.konpo` and the drop folder is ever half.
fn assert_none_half(konpo: &Konpo, stock: &Stock, dropped: &[(String, String)]) {
    let of_stock: BTreeSet<_> = stock.there().into_values().map(|(path, _)| path).collect();
    for (path, hash) in shelf::files(&konpo.music()) {
        let whole = of_stock.contains(&path) || dropped.iter().any(|(sent, _)| *sent == hash);
        assert!(whole, "half a file is visible: {}", path.display());
    }
}

/// Asserts that `konpo check` finds nothing wrong with so many files, and that the history can be read but for lines that a
/// cut tore; no number in it means two files. Returns how many lines are torn.
fn assert_clean(konpo: &Konpo, files: usize) -> u64 {
    database::assert_whole(&konpo.path("data"), "at the end");
    let (report, clean) = konpo.check();
    assert!(clean && report["unknown"].as_array().is_some_and(Vec::is_empty), "{report}");
    assert_eq!(
        (report["tracks"].as_u64(), report["copies"].as_u64()),
        (Some(files as u64), Some(files as u64))
    );
    let history = text(&konpo.music().join(".konpo/ledger.jsonl"));
    let lines = history.lines().filter(|line| !line.trim().is_empty());
    let parsed: Vec<Option<Value>> = lines.map(|line| serde_json::from_str(line).ok()).collect();
    let torn = parsed.iter().filter(|line| line.is_none()).count() as u64;
    assert!(torn <= kills(), "{torn} torn lines");
    assert_eq!(report["torn_lines"].as_u64(), Some(torn));
    let mut meant: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    for line in parsed.iter().flatten() {
        let name = Path::new(line["path"].as_str().expect("a path")).file_name().expect("a name");
        let file = line["sha256"].as_str().map_or_else(|| name.to_string_lossy().into_owned(), str::to_owned);
        meant.entry(line["track"].as_i64().expect("a track")).or_default().insert(file);
    }
    let twice = meant.iter().find(|(_, files)| files.len() > 1);
    assert_eq!(twice, None, "a number in the history means one file");
    torn
}

/// Returns the arrivals that the history tells, by event.
fn arrivals(konpo: &Konpo) -> BTreeMap<i64, String> {
    let lines = shelf::ledger_so_far(&konpo.music());
    let arrived = lines.iter().filter(|line| line["kind"] == "arrived");
    arrived
        .map(|line| {
            (line["event"].as_i64().expect("an event"), line["sha256"].as_str().expect("a hash").to_owned())
        })
        .collect()
}

const SILENT: &str = "[output]\ndevice = \"silent\"\n";
/// What it logs behind a look through everything.
const LOOKED: &str = "looked through the music folders";
/// Files dropped in before each cut.
const DROPPED: u64 = 20;
/// The version of owner.db that konpo writes.
const NEWEST: i64 = 6;
/// What arrived is known by its bytes, what was found by its name, which is its own.
const NUMBERS: &str = "SELECT coalesce(sha256, CAST(name AS TEXT)), track FROM copy WHERE trashed IS NULL";
const PATHS: &str =
    "SELECT CAST(path || '/' || name AS TEXT) AS full FROM copy JOIN folder ON folder.id = folder
    WHERE trashed IS NULL AND missing IS NULL ORDER BY full";
