//! Programs that only throw sound at a renderer: a file with hardly a word about it, and all that a desktop plays.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::renderer::renderer;
use super::{SILENT, Stereo};
use crate::support::control_point::python;
use crate::support::dac::{Dac, Form};
use crate::support::fixtures;
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::process::{Process, run};
use crate::support::wait_for;

fn plays(konpo: &Konpo) -> Option<Value> {
    let state = konpo.get("/api/state");
    (state["transport"] == "playing" && state["guest"].is_object()).then_some(state)
}

#[test]
fn nanodlna_throws_a_file_without_metadata() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("song.flac");
    fixtures::noise(1, 44_100, 16, 44_100 * 30).flac(&file, &[("title", "R&B"), ("artist", "Singer")]);
    let konpo = Stereo::start(&hifi);
    let mut command = python(&phone, "nanodlna");
    command.args(["-H", &phone.address.to_string(), "play", "-n", "-d", &renderer(&konpo)]).arg(&file);
    let sends = Process::start("nanodlna", command, &folder.path().join("said"));
    wait_for("it plays by its own words", Duration::from_secs(30), || {
        plays(&konpo.konpo).filter(|state| state["guest"]["now"]["title"] == "R&B")
    });
    assert_eq!(konpo.konpo.get("/api/state")["guest"]["now"]["artist"], "Singer", "{}", sends.said());
    let mut command = python(&phone, "nanodlna");
    command.args(["-H", &phone.address.to_string(), "stop", "-d", &renderer(&konpo)]);
    run(command);
    wait_for("it is stopped", Duration::from_secs(10), || {
        (konpo.konpo.get("/api/state")["transport"] == "stopped").then_some(())
    });
    println!("nanodlna 0.3.0 throws a file and stops it");
}

/// pa-dlna makes a sink of each renderer; what is played into it comes as a stream without an end, under the same URL each
/// time.
#[test]
fn pa_dlna_sends_what_a_desktop_plays() {
    let lan = Lan::new();
    let (hifi, desk) = (lan.host("hifi"), lan.host("desk"));
    let folder = tempfile::tempdir().expect("a folder");
    let wav = folder.path().join("desk.wav");
    fs::write(&wav, fixtures::noise(1, 44_100, 16, 44_100 * 60).wav()).expect("written");
    let konpo = Stereo::of(Konpo::new(&hifi, SILENT));
    let dac = Dac::start(Form { rate: 44_100, format: "s16le" });
    let tool = |program: &str| {
        let mut command = Command::new(program);
        command.envs(dac.environment());
        command
    };
    let mut command = python(&desk, "pa-dlna");
    command.args(["--nics", "eth0", "--loglevel", "debug"]).envs(dac.environment());
    let _sends = Process::start("pa-dlna", command, &folder.path().join("said"));
    let (sink, _) = wait_for("its sink", Duration::from_secs(30), || {
        let output = tool("pactl").args(["list", "short", "sinks"]).output().expect("pactl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let names = text.lines().filter_map(|line| line.split('\t').nth(1).map(str::to_owned));
        names.into_iter().find(|name| name != "dac")
    });
    for time in 1..=2 {
        let mut command = tool("paplay");
        command.arg(format!("--device={sink}")).arg(&wav);
        let mut player = Process::start("paplay", command, &folder.path().join("player"));
        let (state, took) = wait_for("it is heard", Duration::from_secs(30), || {
            plays(&konpo.konpo).filter(|state| state["position_ms"].as_u64() > Some(500))
        });
        println!("pa-dlna 2.0, time {time}: {} after {took:?}", state["guest"]["now"]["url"]);
        player.kill();
        wait_for("it ends with its player", Duration::from_secs(30), || {
            (konpo.konpo.get("/api/state")["transport"] == "stopped").then_some(())
        });
    }
}
