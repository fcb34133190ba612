//! Another output is chosen while music plays: it goes on there at its place.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::support::dac::{Dac, Form, equal, find};
use crate::support::fixtures::noise;
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::wait_for;

#[test]
fn the_sound_goes_from_one_dac_to_another_without_losing_its_place() {
    let rate = 44_100;
    let dac = Dac::start(Form { rate, format: "s16le" });
    dac.add("other");
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), "");
    for (name, value) in dac.environment() {
        konpo = konpo.with(&name, &value);
    }
    let [first, second] = ["dac", "other"].map(|name| konpo.output(name));
    fs::write(konpo.path("konpo.toml"), format!("[output]\ndevice = \"{first}\"\nvolume = \"fixed\"\n"))
        .expect("settings");
    konpo.spawn();
    konpo.ready();
    let signal = noise(77, rate, 16, rate as usize * 6);
    let aside = tempfile::tempdir().expect("a folder");
    signal.flac(&aside.path().join("1.flac"), &[("title", "Noise")]);
    konpo.drop_in(&aside.path().join("1.flac"));
    let (tracks, _) = wait_for("the track is on the shelf", Duration::from_secs(30), || {
        Some(konpo.tracks()).filter(|tracks| tracks.len() == 1)
    });
    let heard = [dac.record(50), dac.record_sink("other", 50)];
    let entries = json!([{ "what": { "shelf": tracks[0]["id"] } }]);
    konpo.tell(&json!({ "add": { "entries": entries, "play": true } }));
    wait_for("a second of it", Duration::from_secs(10), || {
        (konpo.get("/api/state")["position_ms"].as_u64() > Some(1_000)).then_some(())
    });
    let nobody = konpo.ask("POST", "/api/command", Some(&json!({ "set_output": "pulseaudio:nobody" })));
    assert!((400..500).contains(&nobody.status) && nobody.json["title"].is_string(), "{}", nobody.json);
    konpo.tell(&json!({ "set_output": second }));
    wait_for("it is shown", Duration::from_secs(10), || {
        let state = konpo.get("/api/state");
        (state["output"] == *second && state["device"]["name"] == *second).then_some(())
    });
    wait_for("it is over", Duration::from_secs(60), || {
        (konpo.get("/api/state")["transport"] == "stopped").then_some(())
    });
    assert_eq!(konpo.get("/api/state")["starts"], 1);
    let [before, after] = heard.map(|recording| recording.take());

    let sound = |recording: &[i32]| recording.iter().position(|sample| *sample != 0).expect("sound");
    let from = sound(&before);
    let start = find(&signal.samples, &before[from..from + 64]).expect("the start of the signal");
    let left = start + equal(&before[from..], &signal.samples[start..]);
    let from = sound(&after);
    let again = find(&signal.samples, &after[from..from + 64]).expect("the signal goes on");
    let to_its_end = again + equal(&after[from..], &signal.samples[again..]);
    let millis = |samples: usize| samples as f64 / 2.0 / f64::from(rate) * 1_000.0;
    println!("left at {:.1} ms, went on at {:.1} ms", millis(left), millis(again));
    assert!(millis(left) > 900.0 && millis(left.abs_diff(again)) < 100.0);
    assert_eq!(to_its_end, signal.samples.len(), "bit for bit to the end");
    konpo.stop();
}
