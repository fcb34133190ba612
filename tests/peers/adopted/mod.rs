//! Music folders as people have them, found by a konpo that runs: what changes there, disks that come and go, odd things
//! in between, and a great many files.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::konpo::Konpo;
use crate::support::{fixtures, shelf, wait_for};

mod disks;
mod many;
mod odd;
mod watch;

const SILENT: &str = "[output]\ndevice = \"silent\"\n";

/// What changes is on the shelf within this time, by itself.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);

/// Waits until konpo noticed something, and tells how long it took.
fn noticed<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    let (answer, took) = wait_for(what, NOTICED_WITHIN, ask);
    println!("{what}: {:.1} s", took.as_secs_f64());
    answer
}

/// Waits until so many tracks are listed that are here, and returns all that are listed.
fn here(konpo: &Konpo, what: &str, count: usize) -> Vec<Value> {
    let mut last = None;
    noticed(what, || {
        let tracks = konpo.tracks();
        if last.replace(tracks.len()).is_some_and(|last| last != tracks.len()) {
            println!("{} are listed", tracks.len());
        }
        let here = tracks.iter().filter(|track| track["offline"] == false).count();
        (here == count && tracks.len() == count).then_some(tracks)
    })
}

/// Returns how far konpo is with its music folders, as it tells the paired.
fn progress(konpo: &Konpo) -> Value {
    let board = crate::support::api::event(&konpo.path("data").join("ctl.sock"), "board");
    board.expect("a board")["shelf"].clone()
}

/// Waits until nothing is looked at, nor will be.
fn quiet(konpo: &Konpo) {
    let mut since = Instant::now();
    wait_for("quiet", Duration::from_secs(120), || {
        if konpo.get("/api/health")["shelf"]["scanning"] == true {
            since = Instant::now();
        }
        // A file that was written just now is looked at again after two seconds.
        (since.elapsed() > Duration::from_millis(2600)).then_some(())
    });
}

/// Asks for a look at everything and waits for its end.
fn rescan(konpo: &Konpo) {
    let passes = || konpo.get("/api/health")["shelf"]["passes"].as_u64().expect("a number");
    let before = passes();
    konpo.tell(&json!("rescan"));
    wait_for("a look at everything", Duration::from_secs(20), || (passes() > before).then_some(()));
}

/// Returns the sorted numbers of tracks.
fn ids(tracks: &[Value]) -> Vec<i64> {
    let mut ids: Vec<i64> = tracks.iter().map(|track| track["id"].as_i64().expect("an id")).collect();
    ids.sort_unstable();
    ids
}

/// Returns the number of the track with this title.
fn id_of(tracks: &[Value], title: &str) -> i64 {
    let mut found = tracks.iter().filter(|track| track["title"] == title);
    let (one, other) = (found.next(), found.next());
    assert!(other.is_none(), "twice: {title}");
    one.unwrap_or_else(|| panic!("{title}: {tracks:#?}"))["id"].as_i64().expect("an id")
}

/// Returns where the history of a root says that a track lies.
fn path_of(root: &Path, id: i64) -> Option<String> {
    let lines = shelf::ledger_so_far(root);
    let last = lines.iter().rev().find(|line| line["track"] == id)?;
    Some(last["path"].as_str().expect("a path").to_owned())
}

/// Asserts that the file of a track can be fetched.
fn assert_served(konpo: &Konpo, id: i64) {
    let reply = konpo.ask("GET", &format!("/api/media/{id}.x"), None);
    assert_eq!(reply.status, 200, "track {id}: {}", reply.json);
}

/// Writes a short WAV without tags whose payload the seed decides.
fn wav(path: impl Into<PathBuf>, seed: u64) {
    let path = path.into();
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, fixtures::noise(seed, 8000, 16, 64).wav()).expect("a file");
}
