//! A transfer that breaks off: the cable is pulled, the phone's server restarts, konpo is killed, or both.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::konpo::Konpo;
use crate::support::net::{Host, Lan, Link};
use crate::support::phone::{NAME, Phone, UUID};
use crate::support::process::Process;
use crate::support::{fixtures, shelf, wait_for};

const ALWAYS: &str = "[intake]\npull = \"always\"\n[output]\ndevice = \"silent\"\n";

/// What happens in the middle of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    /// The cable is pulled, and the server restarts meanwhile.
    Cable,
    /// konpo is killed.
    Konpo,
    /// Both ends.
    Both,
}

#[test]
fn a_cut_cable_and_a_restarted_server_cost_only_what_was_on_the_wire() {
    goes_on(Event::Cable, 200);
}

#[test]
fn a_killed_konpo_goes_on_where_it_was() {
    goes_on(Event::Konpo, 60);
}

#[test]
fn both_ends_restarted_go_on_where_they_were() {
    goes_on(Event::Both, 60);
}

fn goes_on(event: Event, megabytes: u64) {
    let lan = Lan::new();
    let (hifi, host) = (lan.host("hifi"), lan.host("phone"));
    let music = tempfile::tempdir().expect("a folder");
    let size = megabytes * 1_000_000;
    fixtures::long_wav(&music.path().join("Long.wav"), size);
    let sent = shelf::hashes(music.path());
    // The middle lasts long enough to be met.
    host.limit("160mbit");
    let mut konpo = Konpo::start(&hifi, ALWAYS);
    // It announces itself at its start and then not for ten minutes.
    let mut phone = Phone::start_as(&host, music.path(), NAME, UUID, 600);
    wait_for("the middle of the file", Duration::from_secs(60), || {
        (staged(&konpo.music()) > size / 3).then_some(())
    });
    let wire = tempfile::tempdir().expect("a folder");
    let heard = listen(&hifi, wire.path());
    match event {
        Event::Cable => {
            host.link(Link::Down);
            phone.leave();
            // What it says now nobody hears.
            phone.wake();
            std::thread::sleep(away());
        }
        Event::Konpo => konpo.kill(),
        Event::Both => {
            konpo.kill();
            phone.leave();
        }
    }
    let here = staged(&konpo.music());
    println!("{event:?} after {:.1} of {megabytes} MB", here as f64 / 1e6);
    assert!(here > size / 3 && here < size, "in the middle");
    let back = Instant::now();
    match event {
        Event::Cable => {
            host.link(Link::Up);
        }
        Event::Konpo => konpo.spawn(),
        Event::Both => {
            phone.wake();
            konpo.spawn();
        }
    }
    if event != Event::Cable {
        konpo.ready();
    }
    wait_for("the whole file", Duration::from_secs(60), || (konpo.tracks().len() == 1).then_some(()));
    println!("whole {:.1} s after the return", back.elapsed().as_secs_f64());
    assert_eq!(shelf::hashes(&konpo.music()), sent);
    let ranges = ranges(&heard);
    println!("on the wire: {ranges:?}");
    let from = ranges.iter().filter_map(|range| range.split('-').next()?.parse::<u64>().ok()).max();
    assert!(from.is_some_and(|from| from + 1_000_000 > size / 3), "a range from the middle: {ranges:?}");
    wait_for("the phone is done", Duration::from_secs(30), || {
        konpo.neighbour(NAME).filter(|phone| phone["state"]["state"] == "pulled")
    });
    konpo.stop();
    let (report, clean) = konpo.check();
    assert!(clean, "{report}");
}

/// How long the cable is out: longer than konpo waits for a byte, when there is time for it.
fn away() -> Duration {
    Duration::from_secs(if crate::support::all() { 90 } else { 10 })
}

/// Returns how many bytes wait in the staging folder.
fn staged(music: &Path) -> u64 {
    let parts = fs::read_dir(music.join(".konpo/staging")).into_iter().flatten().flatten();
    parts.filter_map(|part| Some(part.metadata().ok()?.len())).sum()
}

/// Writes down what konpo sends to the phone's port.
fn listen(hifi: &Host, folder: &Path) -> Process {
    let mut command = hifi.command("tcpdump");
    command.args([
        "-i",
        "eth0",
        "-l",
        "-n",
        "-A",
        "-s",
        "1000",
        "dst port 8201 and tcp[tcpflags] & tcp-push != 0",
    ]);
    let heard = Process::start("tcpdump", command, &folder.join("said"));
    wait_for("tcpdump listens", Duration::from_secs(10), || {
        heard.said().contains("listening on").then_some(())
    });
    heard
}

/// Returns the ranges that were asked for: `from-to`.
fn ranges(heard: &Process) -> Vec<String> {
    let said = heard.said().to_lowercase();
    let ranges = said.lines().filter_map(|line| line.trim().strip_prefix("range: bytes="));
    ranges.map(str::to_owned).collect()
}
