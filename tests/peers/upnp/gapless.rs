//! An album that an app plays track by track, held against what the DAC heard.

use std::sync::Mutex;
use std::time::Duration;

use super::Stereo;
use super::renderer::{ALBUM, app, renderer};
use crate::support::dac::{Dac, Form, equal, find};
use crate::support::fixtures;
use crate::support::net::Lan;
use crate::support::process::Process;
use crate::support::twin;
use crate::support::web::Nginx;

/// Four files cut from one signal: nothing inserted, dropped or changed where one follows the other.
#[test]
fn an_album_of_an_app_sounds_in_one_piece() {
    let _one_at_a_time = ONE.lock();
    let rate = 44_100;
    let signal = fixtures::noise(9, 44_100, 16, rate * 16);
    let cuts = [0, rate * 4 + 1234, rate * 8 + 77, rate * 12 + 4321, rate * 16];
    let music = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = (1..=4).map(|number| format!("{number}.flac")).collect();
    for (name, range) in names.iter().zip(cuts.windows(2)) {
        signal.cut(range[0]..range[1]).flac(&music.path().join(name), &[]);
    }
    let dac = Dac::start(Form { rate: 44_100, format: "s16le" });
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let mut konpo = twin::player(&hifi, &dac, "fixed");
    let address =
        konpo.ready().trim_start_matches("http://").trim_end_matches('/').parse().expect("an address");
    let konpo = Stereo { konpo, address };
    let nginx = Nginx::start(&phone, music.path(), "0");
    let recording = dac.record(50);
    let urls: Vec<String> = names.iter().map(|name| nginx.url(name)).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let command = app(&phone, ALBUM, &renderer(&konpo), &urls);
    let mut app = Process::start("async-upnp-client", command, &music.path().join("said"));
    let (status, _) = app.wait(Duration::from_secs(90));
    let said = app.said();
    assert!(status.success(), "{said}");
    let recording = recording.take();
    let from = rate / 2 * 2;
    let start = find(&recording, &signal.samples[from..from + 64]).expect("the signal is on the recording");
    let same = equal(&recording[start..], &signal.samples[from..]);
    println!("{same} of {} samples of four tracks are identical in one piece", signal.samples.len() - from);
    println!("{}", said.trim());
    assert_eq!(same, signal.samples.len() - from, "{}", konpo.konpo.said());
    let states: Vec<&str> =
        said.lines().find_map(|line| line.strip_prefix("states ")).unwrap_or("").split(' ').collect();
    let playing = states.iter().position(|state| *state == "PLAYING").expect("it played");
    let stopped = states[playing..].iter().filter(|state| **state == "STOPPED").count();
    assert_eq!(stopped, 1, "only at the end: {states:?}");
}

/// Sound in real time: two at once on a small machine would disturb each other.
static ONE: Mutex<()> = Mutex::new(());
