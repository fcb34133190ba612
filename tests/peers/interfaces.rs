//! Networks that come and go while konpo runs.

use std::fs;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::konpo::Konpo;
use crate::support::net::{Host, Lan};
use crate::support::phone::Phone;
use crate::support::{fixtures, wait_for};

const SILENT: &str = "[output]\ndevice = \"silent\"\n";

#[test]
fn a_phone_is_found_again_after_every_replug_and_nothing_is_left_behind() {
    let (house, annex) = (Lan::new(), Lan::new());
    let hifi = house.host("hifi");
    annex.plug(&hifi, "eth1");
    hifi.replug("eth1", Ipv4Addr::new(10, 78, 0, 99));
    let music = one_song();
    // They announce themselves once in ten minutes: who is found sooner was searched.
    let here = house.host("phone");
    let _here = Phone::start_as(&here, music.path(), HERE.0, HERE.1, 600);
    let there = annex.host("phone").moved_to(Ipv4Addr::new(10, 78, 0, 1));
    let _there = Phone::start_as(&there, music.path(), THERE.0, THERE.1, 600);
    let mut konpo = Konpo::new(&hifi, SILENT);
    konpo.spawn();
    let url = konpo.ready();
    let port: u16 =
        url.trim_end_matches('/').rsplit(':').next().and_then(|p| p.parse().ok()).expect("a port");
    for (name, _) in [HERE, THERE] {
        wait_for(name, Duration::from_secs(20), || ready(&konpo, name));
    }
    let rounds = if std::env::var_os("KONPO_ALL").is_some() { 200 } else { 20 };
    let mut figures = Vec::new();
    for round in 0..rounds {
        hifi.unplug("eth1");
        wait_for("who was there is gone", FOUND_WITHIN, || konpo.neighbour(THERE.0).is_none().then_some(()));
        assert!(ready(&konpo, HERE.0).is_some(), "round {round}: the other network is not touched");
        let address = Ipv4Addr::new(10, 78, 0, 100 + round % 100);
        hifi.replug("eth1", address);
        let replugged = Instant::now();
        wait_for("it is found again", FOUND_WITHIN, || ready(&konpo, THERE.0));
        let took = replugged.elapsed();
        assert!(took < FOUND_WITHIN, "round {round}: {took:?}");
        assert!(ready(&konpo, HERE.0).is_some(), "round {round}: the other network is not touched");
        assert_eq!(page(&there, address, port), "200", "round {round}: the page is there at its new address");
        figures.push((took, resident(&konpo), open_files(&konpo)));
    }
    report(&figures);
}

/// Prints what the rounds took and holds the last against the first: the first ones fill caches and arenas.
fn report(figures: &[(Duration, u64, usize)]) {
    let (early, late) = (&figures[5..10], &figures[figures.len() - 5..]);
    let most = |part: &[(Duration, u64, usize)]| {
        let memory = part.iter().map(|f| f.1).max().expect("rounds");
        (memory, part.iter().map(|f| f.2).max().expect("rounds"))
    };
    let ((memory, files), (memory_late, files_late)) = (most(early), most(late));
    let longest = figures.iter().map(|f| f.0).max().expect("rounds");
    let sum: Duration = figures.iter().map(|f| f.0).sum();
    println!(
        "{} rounds: found again after {} ms on average, {} ms at most; resident {memory} kB in rounds 6 to 10, \
         {memory_late} kB in the last 5 ({:?} kB in the first and the last); open files {files}, then {files_late}",
        figures.len(),
        sum.as_millis() / figures.len() as u128,
        longest.as_millis(),
        (figures[0].1, figures[figures.len() - 1].1),
    );
    assert!(files_late <= files, "open files: {files}, then {files_late}");
    assert!(memory_late <= memory + SLACK_KB, "resident: {memory} kB, then {memory_late} kB");
}

fn ready(konpo: &Konpo, name: &str) -> Option<Value> {
    konpo.neighbour(name).filter(|neighbour| neighbour["state"]["state"] == "ready")
}

/// Asks for the page from another machine and returns the status.
fn page(from: &Host, address: Ipv4Addr, port: u16) -> String {
    let mut command = from.command("curl");
    command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "5"]);
    command.arg(format!("http://{address}:{port}/api/health"));
    String::from_utf8_lossy(&command.output().expect("curl runs").stdout).into_owned()
}

/// Memory in kB that is in use now.
fn resident(konpo: &Konpo) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", konpo.id())).expect("it runs");
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("a figure");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("kB")
}

fn open_files(konpo: &Konpo) -> usize {
    fs::read_dir(format!("/proc/{}/fd", konpo.id())).expect("it runs").count()
}

fn one_song() -> tempfile::TempDir {
    let music = tempfile::tempdir().expect("a folder");
    fixtures::noise(1, 44_100, 16, 44_100).flac(&music.path().join("One.flac"), &[("title", "One")]);
    music
}

const HERE: (&str, &str) = ("Yuki's phone", "4d696e69-444c-164e-9d41-000000000001");
const THERE: (&str, &str) = ("Ken's phone", "4d696e69-444c-164e-9d41-000000000002");
/// What was asked for (the owner's issue).
const FOUND_WITHIN: Duration = Duration::from_secs(5);
const SLACK_KB: u64 = 1024;
