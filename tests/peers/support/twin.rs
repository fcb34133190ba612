//! konpo and what hears it: a box whose DAC is a null sink of PulseAudio, and the recording of its monitor.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::dac::{Dac, Form};
use super::konpo::Konpo;
use super::net::{Host, Lan};
use super::{shelf, wait_for};

/// A box with a null sink for a DAC, and what is on its shelf in the order of the names under which it was laid.
pub struct Twin {
    /// The box.
    pub konpo: Konpo,
    /// What it plays into.
    pub dac: Dac,
    /// The rows of its shelf.
    pub tracks: Vec<Value>,
    /// Where it is; others may come.
    pub lan: Lan,
}

impl Twin {
    /// Starts a box into a sink of this form, with `volume` as `output.volume` takes it, and takes in what `lay` puts into
    /// a folder; it returns how many tracks that are.
    pub fn new(form: Form, volume: &str, lay: impl FnOnce(&Path) -> usize) -> Twin {
        let dac = Dac::start(form);
        let lan = Lan::new();
        let konpo = player(&lan.host("hifi"), &dac, volume);
        let aside = tempfile::tempdir().expect("a folder");
        let count = lay(aside.path());
        let files = shelf::files(aside.path());
        files.keys().for_each(|name| konpo.drop_in(&aside.path().join(name)));
        let (mut tracks, _) = wait_for("all tracks are on the shelf", Duration::from_secs(120), || {
            Some(konpo.tracks()).filter(|tracks| tracks.len() == count)
        });
        let names: HashMap<String, PathBuf> = files.into_iter().map(|(name, hash)| (hash, name)).collect();
        tracks.sort_by_key(|track| names.get(track["sha256"].as_str().unwrap_or_default()).cloned());
        Twin { konpo, dac, tracks, lan }
    }

    /// Puts the whole shelf into the queue, in its order.
    pub fn add(&self, play: bool) {
        let entries: Vec<Value> =
            self.tracks.iter().map(|track| json!({"what": {"shelf": track["id"]}})).collect();
        self.konpo.tell(&json!({"add": {"entries": entries, "play": play}}));
    }

    /// Waits until `transport` is this.
    pub fn reaches(&self, transport: &str) {
        wait_for(transport, Duration::from_secs(180), || {
            (self.konpo.get("/api/state")["transport"] == transport).then_some(())
        });
    }

    /// Plays the whole shelf and returns what the DAC heard, as [`super::dac::Recording::take`] does, and the path of the
    /// signal as the box tells it. The recording lacks the first moment of a stream that opens a silent sink, whoever
    /// plays: the server takes back silence that it has given to the recorder already.
    pub fn hear(&self) -> (Vec<i32>, Value) {
        let recording = self.dac.record(50);
        self.add(true);
        let (signal, _) = wait_for("it plays", Duration::from_secs(20), || {
            let state = self.konpo.get("/api/state");
            (state["transport"] == "playing" && !state["signal"].is_null()).then(|| state["signal"].clone())
        });
        self.reaches("stopped");
        (recording.take(), signal)
    }

    /// Returns how often konpo itself had no sound ready for the device.
    pub fn underruns(&self) -> u64 {
        self.konpo.get("/api/state")["device"]["underruns"].as_u64().expect("a count")
    }
}

/// Starts a box that plays into this sink.
pub fn player(host: &Host, dac: &Dac, volume: &str) -> Konpo {
    let mut konpo = Konpo::new(host, "").with("KONPO_LOG", "warn");
    for (name, value) in dac.environment() {
        konpo = konpo.with(&name, &value);
    }
    let device = konpo.output("dac");
    let settings = format!("[output]\ndevice = \"{device}\"\nvolume = \"{volume}\"\n");
    fs::write(konpo.path("konpo.toml"), settings).expect("settings");
    konpo.spawn();
    konpo.ready();
    konpo
}
