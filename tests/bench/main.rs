//! The figures that must hold: memory idle and playing, and the time from `play` to the first sample, beside MPD in the
//! same run, on the same output, with the same file. `KONPO_ALL=1` plays more often. Needs root, as the peers do.

#[path = "../peers/support/mod.rs"]
#[allow(dead_code)]
mod support;

mod mpd;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use mpd::Mpd;
use serde_json::json;
use support::dac::{Dac, Form};
use support::net::{Host, Lan};
use support::twin::player;
use support::{fixtures, wait_for};

fn main() {
    // `cargo test --benches` and `cargo bench` both come here; only the latter measures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let plays = if std::env::var_os("KONPO_ALL").is_some() { 50 } else { 7 };
    let lan = Lan::new();
    let host = lan.host("hifi");
    let dac = Dac::start(Form { rate: 44_100, format: "s16le" });
    let songs = tempfile::tempdir().expect("a folder");
    let song = songs.path().join("Long.flac");
    fixtures::noise(1, 44_100, 16, 44_100 * 90)
        .flac(&song, &[("title", "Long"), ("artist", "Noise"), ("album", "Bench")]);

    let konpo = of_konpo(&host, &dac, &song, plays);
    let mpd = of_mpd(&dac, songs.path(), plays);
    println!();
    println!(
        "{:<44}{:>12}{:>12}{:>12}",
        "one FLAC of 16/44.1, PulseAudio null sink", "konpo", "MPD 0.23", "goal"
    );
    let row = |what: &str, of: fn(&Figures) -> f64, unit: &str, goal: &str| {
        println!("{what:<44}{:>9.1} {unit}{:>9.1} {unit}{goal:>12}", of(&konpo), of(&mpd));
    };
    row("resident memory, idle", |it| it.idle, "MB", "< 25 MB");
    row("resident memory, playing", |it| it.playing, "MB", "< 35 MB");
    row("play to first sample, output closed", |it| it.first, "ms", "");
    row("play to first sample, median", |it| middle(&it.starts), "ms", "< 100 ms");
    row("play to first sample, slowest", |it| it.starts.iter().copied().fold(0.0, f64::max), "ms", "");
    println!("The times include what the recorder of the null sink adds, for both alike.");
}

/// What was measured of one program; MB are 1,000,000 bytes.
#[derive(Default)]
struct Figures {
    idle: f64,
    playing: f64,
    first: f64,
    starts: Vec<f64>,
}

fn of_konpo(host: &Host, dac: &Dac, song: &Path, plays: usize) -> Figures {
    let mut konpo = player(host, dac, "fixed");
    konpo.drop_in(song);
    let (track, _) = wait_for("the song is on the shelf", Duration::from_secs(30), || konpo.tracks().pop());
    // The way in needed memory once; idle is after a fresh start.
    konpo.stop();
    konpo.spawn();
    konpo.ready();
    std::thread::sleep(SETTLED);
    let mut figures = Figures { idle: resident(konpo.id()), ..Figures::default() };
    konpo.tell(&json!({"add": {"entries": [{"what": {"shelf": track["id"]}}]}}));
    for number in 0..=plays {
        let ear = dac.record(EVERY);
        let start = Instant::now();
        konpo.tell(&json!({"play": null}));
        let took = ear.sounds_after(0, start);
        if number == 0 {
            figures.first = took;
            std::thread::sleep(SETTLED);
            figures.playing = resident(konpo.id());
        } else {
            figures.starts.push(took);
        }
        konpo.tell(&json!("stop"));
        quiet(dac);
    }
    figures
}

fn of_mpd(dac: &Dac, songs: &Path, plays: usize) -> Figures {
    let mut mpd = Mpd::start(songs, "type \"pulse\"\nsink \"dac\"", &dac.environment());
    std::thread::sleep(SETTLED);
    let mut figures = Figures { idle: resident(mpd.id()), ..Figures::default() };
    mpd.tell("add Long.flac");
    for number in 0..=plays {
        let ear = dac.record(EVERY);
        let start = Instant::now();
        mpd.tell("play 0");
        let took = ear.sounds_after(0, start);
        if number == 0 {
            figures.first = took;
            std::thread::sleep(SETTLED);
            figures.playing = resident(mpd.id());
        } else {
            figures.starts.push(took);
        }
        mpd.tell("stop");
        quiet(dac);
    }
    figures
}

/// Waits until the sink is silent again.
fn quiet(dac: &Dac) {
    let ear = dac.record(EVERY);
    wait_for("silence", Duration::from_secs(10), || ear.quiet_for(Duration::from_millis(300)).then_some(()));
}

/// Returns VmRSS of a process in MB.
fn resident(id: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    let kib: f64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number");
    kib * 1024.0 / 1e6
}

fn middle(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How long a program rests before its memory is read.
const SETTLED: Duration = Duration::from_secs(4);

/// How often the recorder gets sound, in ms.
const EVERY: u32 = 2;
