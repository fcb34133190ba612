//! Pulling 200 MB from a phone, beside curl that fetches the same URLs from the same server in the same run: over a link
//! of 1 Gbit/s and over the bare one. konpo's time ends when the last file is synced in staging. Needs root, as the peers do.

#[path = "../peers/support/mod.rs"]
#[allow(dead_code)]
mod support;

use std::time::{Duration, Instant};

use support::konpo::Konpo;
use support::net::{Host, Lan};
use support::phone::Phone;
use support::{fixtures, wait_for};

fn main() {
    // `cargo test --benches` and `cargo bench` both come here; only the latter measures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let rounds = if std::env::var_os("KONPO_ALL").is_some() { 7 } else { 3 };
    let music = tempfile::tempdir().expect("a folder");
    for number in 0..FILES {
        fixtures::long_wav(&music.path().join(format!("Long {number}.wav")), BYTES + number * 8);
    }
    println!(
        "{:<44}{:>12}{:>12}{:>12}{:>12}",
        "200 MB in ten files, minidlna 1.3.0", "konpo", "curl", "ratio", "goal"
    );
    for (what, rate, goal) in [("a link of 1 Gbit/s", Some("1gbit"), ">= 0.95"), ("the bare link", None, "")]
    {
        let mut runs: Vec<(f64, f64)> = (0..rounds).map(|_| round(music.path(), rate)).collect();
        runs.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (konpo, curl) = runs[runs.len() / 2];
        println!("{what:<44}{konpo:>7.1} MB/s{curl:>7.1} MB/s{:>12.3}{goal:>12}", konpo / curl);
    }
    println!(
        "The median of {rounds} rounds each; konpo's figure includes fsync in staging, curl's does not."
    );
}

/// Returns the throughput of konpo and of curl, MB/s.
fn round(music: &std::path::Path, rate: Option<&str>) -> (f64, f64) {
    let lan = Lan::new();
    let (hifi, host) = (lan.host("hifi"), lan.host("phone"));
    if let Some(rate) = rate {
        host.limit(rate);
    }
    let settings = "[intake]\npull = \"always\"\n[output]\ndevice = \"silent\"\n";
    let mut konpo = Konpo::new(&hifi, settings).with("KONPO_LOG", "konpo::beam=debug");
    let phone = Phone::start(&host, music);
    // Everything is listed before the first is pulled.
    wait_for("the phone has scanned", Duration::from_secs(30), || {
        phone.said().contains("Scanning").then_some(())
    });
    std::thread::sleep(Duration::from_secs(2));
    konpo.spawn();
    konpo.ready();
    wait_for("everything is pulled", Duration::from_secs(120), || {
        (konpo.said().matches("a transfer is whole").count() as u64 == FILES).then_some(())
    });
    let said = konpo.said();
    let urls: Vec<String> = said
        .lines()
        .filter(|line| line.contains("a transfer begins"))
        .filter_map(|line| Some(line.split("url=\"").nth(1)?.split('"').next()?.to_owned()))
        .collect();
    assert_eq!(urls.len() as u64, FILES, "{said}");
    let time = |what: &str, last: bool| {
        let mut lines = said.lines().filter(|line| line.contains(what));
        let line = if last { lines.next_back() } else { lines.next() };
        seconds(line.expect("it was said"))
    };
    let took = time("a transfer is whole", true) - time("a transfer begins", false);
    // What is on its way to the shelf must not disturb curl.
    wait_for("everything is on the shelf", Duration::from_secs(60), || {
        (konpo.tracks().len() as u64 == FILES).then_some(())
    });
    konpo.stop();
    (megabytes() / took, megabytes() / fetch(&hifi, &urls))
}

fn megabytes() -> f64 {
    (0..FILES).map(|number| (BYTES + number * 8 + 44) as f64 / 1e6).sum()
}

/// Returns how long curl takes for all, one after the other.
fn fetch(host: &Host, urls: &[String]) -> f64 {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = host.command("curl");
    command.args(["-s", "-S", "--fail", "-H", "transferMode.dlna.org: Background"]);
    for (number, url) in urls.iter().enumerate() {
        command.arg("-o").arg(folder.path().join(number.to_string())).arg(url);
    }
    let start = Instant::now();
    support::process::run(command);
    start.elapsed().as_secs_f64()
}

/// Returns the time of a line of the log, in seconds of its day.
fn seconds(line: &str) -> f64 {
    let time = line.split('T').nth(1).and_then(|rest| rest.split('Z').next()).expect("a time");
    time.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().expect("a number"))
}

const FILES: u64 = 10;
const BYTES: u64 = 20_000_000;
