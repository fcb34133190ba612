//! A sound server that is suspended, loses its sink, stands still, or ends while it plays: the sound goes on as soon as it
//! can, and konpo answers all the while.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::dac::Form;
use crate::support::fixtures::noise;
use crate::support::twin::Twin;
use crate::support::{patient, wait_for};

#[test]
fn the_sound_survives_whatever_its_server_does() {
    let rate = 44_100;
    let mut twin = Twin::new(Form { rate, format: "s16le" }, "fixed", |folder| {
        noise(5, rate, 16, rate as usize * 180).flac(&folder.join("1.flac"), &[("title", "Noise")]);
        1
    });
    twin.add(true);
    moves(&twin);

    twin.dac.tell(&["suspend-sink", "dac", "1"]);
    trouble(&twin);
    let at = position(&twin);
    // The clock that is shown stands, also where the next position is told after 5 s.
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(6) {
        let now = position(&twin);
        assert!(now.abs_diff(at) < 100, "{at} ms, then {now} ms");
        std::thread::sleep(Duration::from_millis(200));
    }
    twin.dac.tell(&["suspend-sink", "dac", "0"]);
    moves(&twin);
    assert!(position(&twin) > at);

    twin.dac.tell(&["unload-module", "module-null-sink"]);
    trouble(&twin);
    twin.dac.tell(&["load-module", "module-null-sink", "sink_name=dac", "rate=44100", "format=s16le"]);
    moves(&twin);

    // It takes nothing any more, and says nothing.
    twin.dac.signal(Signal::SIGSTOP);
    let start = Instant::now();
    let mut longest = Duration::ZERO;
    while start.elapsed() < Duration::from_secs(9) {
        let asked = Instant::now();
        twin.konpo.tell(&json!("pause"));
        twin.konpo.tell(&json!({ "play": null }));
        position(&twin);
        longest = longest.max(asked.elapsed());
    }
    println!("the longest answer beside a server that stands still: {longest:?}");
    assert!(longest < patient(Duration::from_secs(1)), "{longest:?}");
    trouble(&twin);
    twin.dac.signal(Signal::SIGCONT);
    moves(&twin);

    twin.dac.kill();
    trouble(&twin);
    twin.dac.restart();
    moves(&twin);
    twin.konpo.stop();
}

fn position(twin: &Twin) -> u64 {
    twin.konpo.get("/api/state")["position_ms"].as_u64().expect("a position")
}

/// Waits until the sound runs.
fn moves(twin: &Twin) {
    let mut from = None;
    let ((), took) = wait_for("it plays", Duration::from_secs(20), || {
        let state = twin.konpo.get("/api/state");
        let device = &state["device"];
        let plays = state["transport"] == "playing" && device["open"] == true && device["trouble"].is_null();
        let at = state["position_ms"].as_u64().filter(|_| plays)?;
        (at > *from.get_or_insert(at) + 500).then_some(())
    });
    println!("it plays after {took:?}");
}

/// Waits until the trouble is told.
fn trouble(twin: &Twin) {
    let (why, took) = wait_for("trouble is told", Duration::from_secs(20), || {
        twin.konpo.get("/api/state")["device"]["trouble"].as_str().map(str::to_owned)
    });
    println!("told after {took:?}: {why}");
}
