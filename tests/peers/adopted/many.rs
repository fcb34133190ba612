//! A great many files, and the front panel while they are looked through.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{SILENT, ids, noticed, quiet};
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::{fixtures, wait_for};

#[test]
fn twenty_thousand_files_in_one_folder_hold_nobody_up() {
    let count = if crate::support::all() { 100_000 } else { 20_000 };
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT);
    let folder = konpo.path("music/All");
    fs::create_dir(&folder).expect("a folder");
    let template = fixtures::noise(1, 8000, 16, 16).wav();
    for number in 0..count {
        let mut file = template.clone();
        // Each sounds otherwise.
        file[44..48].copy_from_slice(&u32::to_le_bytes(number));
        fs::write(folder.join(format!("{number}.wav")), file).expect("a file");
    }
    looked_through(&mut konpo, count.into());
    // Two less.
    fs::remove_file(folder.join("17.wav")).expect("there");
    fs::remove_file(folder.join("18.wav")).expect("there");
    noticed("two less", || (total(&konpo) == u64::from(count) - 2).then_some(()));
    let took = konpo.stop();
    println!("stopped after {:.1} s", took.as_secs_f64());
}

#[test]
fn sixteen_songs_copied_six_thousand_times_are_six_thousand_tracks() {
    let count = if crate::support::all() { 60_000 } else { 6_000 };
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), SILENT);
    let music = konpo.path("music");
    let templates: Vec<Vec<u8>> = (0..16).map(|seed| fixtures::noise(seed, 8000, 16, 64).wav()).collect();
    let copies = |folder: &Path| {
        for number in 0..count {
            let folder = folder.join(format!("{}", number % 100));
            fs::create_dir_all(&folder).expect("a folder");
            fs::write(folder.join(format!("{number}.wav")), &templates[number % 16]).expect("a file");
        }
    };
    copies(&music);
    looked_through(&mut konpo, count as u64);
    let first = ids(&konpo.tracks());
    assert_eq!(first.len(), count);
    // Twins that move stay as many as they are, whoever of them is who.
    fs::create_dir(music.join("Moved")).expect("a folder");
    for number in 0..50 {
        fs::rename(music.join(number.to_string()), music.join("Moved").join(number.to_string()))
            .expect("moved");
    }
    quiet(&konpo);
    assert!(ids(&konpo.tracks()) == first, "{} tracks", total(&konpo));
    konpo.stop();
    let (report, clean) = konpo.check();
    assert!(clean, "{report}");
}

/// Starts konpo and asks it things until its first look has ended and so many tracks are listed.
fn looked_through(konpo: &mut Konpo, count: u64) {
    konpo.spawn();
    konpo.ready();
    let begun = Instant::now();
    let mut all = Latencies::default();
    while total(konpo) < count {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} of {count}", total(konpo));
        all.ask(konpo, 10, &json!("pause"));
    }
    println!("{count} files after {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(total(konpo), count);
    all.print("while they were looked through");
    wait_for("the look ends", Duration::from_secs(20), || {
        (konpo.get("/api/health")["shelf"]["scanning"] == false).then_some(())
    });
}

fn total(konpo: &Konpo) -> u64 {
    konpo.get("/api/library/tracks?limit=1")["total"].as_u64().expect("a total")
}

/// How long the box took to answer.
#[derive(Default)]
pub struct Latencies {
    states: Vec<Duration>,
    commands: Vec<Duration>,
}

impl Latencies {
    /// Asks so many times for the state, and sends a command as often.
    pub fn of(konpo: &Konpo, count: usize, command: &Value) -> Latencies {
        let mut latencies = Latencies::default();
        latencies.ask(konpo, count, command);
        latencies
    }

    /// Returns how often it was asked.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// As [`Latencies::of`], some more times.
    pub fn ask(&mut self, konpo: &Konpo, count: usize, command: &Value) {
        for _ in 0..count {
            let begun = Instant::now();
            konpo.get("/api/state");
            self.states.push(begun.elapsed());
            let begun = Instant::now();
            konpo.tell(command);
            self.commands.push(begun.elapsed());
        }
    }

    /// Prints the figures and holds them against the bound.
    pub fn print(self, when: &str) {
        let (count, worst) =
            (self.states.len(), |all: &[Duration]| all.iter().max().map_or(0, Duration::as_millis));
        let (state, command) = (worst(&self.states), worst(&self.commands));
        let (state_p99, command_p99) = self.assert_quick(when);
        println!(
            "{when}, {count} asks: state p99 {state_p99} ms, at most {state} ms; command p99 {command_p99} ms, at most {command} ms"
        );
    }

    /// Asserts that of 100 answers 99 came in time, and returns how many milliseconds they took.
    pub fn assert_quick(self, when: &str) -> (u128, u128) {
        let p99 = |mut all: Vec<Duration>| {
            all.sort_unstable();
            all[(all.len() * 99 / 100).min(all.len() - 1)].as_millis()
        };
        let found = (p99(self.states), p99(self.commands));
        let bound = ANSWERED_WITHIN.as_millis();
        assert!(found.0 < bound && found.1 < bound, "{when}: state {} ms, command {} ms", found.0, found.1);
        found
    }
}

/// What a hand at the knob takes for at once.
const ANSWERED_WITHIN: Duration = Duration::from_millis(200);
