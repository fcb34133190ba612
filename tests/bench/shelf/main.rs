//! A large collection, read for the first time and again when nothing has changed, by konpo, MPD and minidlna in the same
//! run on a warm page cache: 5,000 made-up files, or 100,000 with `KONPO_ALL=1`. Ends with 1 when a goal is missed. Needs
//! root, as the peers do.
//!
//!     cargo bench --bench shelf -- [konpo] [mpd] [minidlna]    only these
//!     cargo bench --bench shelf -- --small FOLDER COUNT        only make the collection, in a folder that is there
//!     cargo bench --bench shelf -- --big FOLDER COUNT          only make files of 100 MB

#[path = "../../peers/support/mod.rs"]
#[allow(dead_code)]
mod support;

mod bits;
mod figures;
mod flac;
mod generate;
mod konpo;
mod m4a;
mod mp3;
mod names;
mod peers;
mod song;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

use figures::Figures;
use support::fixtures::Random;
use support::net::{Host, Lan};
use tempfile::TempDir;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    // `cargo test --benches` and `cargo bench` both come here; only the latter measures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    if let [what, folder, count] = &words[..]
        && what.starts_with("--")
    {
        let make = if what == "--big" { generate::big } else { generate::small };
        make(Path::new(folder), count.parse().expect("a count"));
        return ExitCode::SUCCESS;
    }
    let all = std::env::var_os("KONPO_ALL").is_some();
    let count = if all { 100_000 } else { 5_000 };
    let has = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    let music = collection(count);
    let lan = Lan::new();
    let programs: [(&str, Host, Measure); 3] = [
        ("konpo", lan.host("konpo"), konpo::konpo),
        ("mpd", lan.host("mpd"), peers::mpd),
        ("minidlna", lan.host("minidlna"), peers::minidlna),
    ];
    let mut measured: [Vec<Figures>; 3] = Default::default();
    for round in 0..ROUNDS {
        for ((name, host, of), measured) in programs.iter().zip(&mut measured) {
            // No goal hangs on minidlna: once is enough for a small run.
            if has(name) && (all || round == 0 || *name != "minidlna") {
                measured.push(of(host, music.path(), count));
            }
        }
    }
    drop(music);
    let [konpo, mpd, minidlna] = measured.map(|runs| Figures::middle(&runs));
    println!("{count} files, the page cache warm; medians of {ROUNDS} rounds");
    compare(&[("konpo", konpo), ("MPD 0.23", mpd), ("minidlna 1.3.0", minidlna)]);
    if !has("konpo") || !has("mpd") {
        return ExitCode::SUCCESS;
    }
    let files = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    generate::big(files.path(), BIG_FILES);
    let read = konpo::reads(&lan.host("reader"), files.path(), BIG_FILES) / 1024.0;
    // A small run is noisy.
    let part = if all { 1.0 } else { 0.5 };
    let goals = [
        Goal::at_least("first scan, times MPD", konpo.cold / mpd.cold, 6.0 * part),
        Goal::at_least("scan without a change, times MPD", konpo.unchanged / mpd.unchanged, 4.0 * part),
        Goal::at_most("resident memory, MB", konpo.resident, 30.0),
        Goal::at_most("peak of memory, MB", konpo.peak, 48.0),
        Goal::at_most("databases, bytes a track", konpo.database, 1024.0),
        Goal::at_most("start to an answer over HTTP, ms", konpo.answers, 150.0),
        Goal::at_most("read of a new file of 100 MB, KiB", read, 512.0 + PROGRAM_KIB),
    ];
    judge(&goals)
}

/// Measures a program on a machine over a collection of so many files.
type Measure = fn(&Host, &Path, usize) -> Figures;

/// Makes the collection and looks whether its files are what they seem.
fn collection(count: usize) -> TempDir {
    let music = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let start = Instant::now();
    generate::small(music.path(), count);
    println!("{count} files made in {:.1} s", start.elapsed().as_secs_f64());
    let files = generate::warm(music.path());
    assert_eq!(files.len(), count, "no two songs share a path");
    let mut random = Random(count as u64);
    for _ in 0..PROBED {
        let file = &files[random.below(files.len() as u64) as usize];
        let mut command = Command::new("ffprobe");
        command.args(["-v", "error", "-show_entries", "stream=codec_name"]).arg(file);
        let output = command.output().expect("ffprobe is installed");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{}: {said}", file.display());
    }
    music
}

fn compare(programs: &[(&str, Figures)]) {
    print!("{:<44}", "");
    programs.iter().for_each(|(name, _)| print!("{name:>18}"));
    println!();
    let row = |what: &str, unit: &str, of: fn(&Figures) -> f64| {
        print!("{what:<44}");
        for value in programs.iter().map(|(_, figures)| of(figures)) {
            let text = if value.is_nan() { "-".to_owned() } else { format!("{value:.1} {unit}") };
            print!("{text:>18}");
        }
        println!();
    };
    row("first scan", "tracks/s", |it| it.cold);
    row("scan without a change", "tracks/s", |it| it.unchanged);
    row("resident memory, scanned", "MB", |it| it.resident);
    row("peak of memory", "MB", |it| it.peak);
    row("databases", "B/track", |it| it.database);
    row("start to an answer over HTTP", "ms", |it| it.answers);
    println!("The time of minidlna includes its start.");
}

/// A figure and its bound.
struct Goal {
    what: &'static str,
    figure: f64,
    bound: f64,
    least: bool,
}

impl Goal {
    fn at_least(what: &'static str, figure: f64, bound: f64) -> Goal {
        Goal { what, figure, bound, least: true }
    }

    fn at_most(what: &'static str, figure: f64, bound: f64) -> Goal {
        Goal { what, figure, bound, least: false }
    }

    /// NaN holds nothing.
    fn holds(&self) -> bool {
        if self.least { self.figure >= self.bound } else { self.figure <= self.bound }
    }
}

/// Prints every goal and returns 1 when one is missed.
fn judge(goals: &[Goal]) -> ExitCode {
    println!("{:<44}{:>12}{:>14}", "", "konpo", "goal");
    for goal in goals {
        let sign = if goal.least { ">=" } else { "<=" };
        let word = if goal.holds() { "" } else { "  MISSED" };
        println!("{:<44}{:>12.1}{:>14}{word}", goal.what, goal.figure, format!("{sign} {:.1}", goal.bound));
    }
    if goals.iter().all(Goal::holds) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One after the other, the programs in turn: what else the machine does meets all of them.
const ROUNDS: usize = 3;
/// How many files ffprobe looks at.
const PROBED: usize = 30;
const BIG_FILES: usize = 50;
/// What konpo reads beside the music, its own program and databases, shared among the big files.
const PROGRAM_KIB: f64 = 16.0;
