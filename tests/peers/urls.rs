//! URLs from real servers: nginx with byte ranges, http.server without, an Icecast station.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::dac::{Dac, Form, equal, find};
use crate::support::fixtures;
use crate::support::konpo::Konpo;
use crate::support::net::{Host, Lan};
use crate::support::wait_for;
use crate::support::web::{Nginx, Station, python};

/// How the two URLs are given.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Queue,
    Guest,
}

#[test]
fn two_urls_of_the_queue_sound_in_one_piece_though_the_server_restarts() {
    in_one_piece(By::Queue);
}

#[test]
fn a_guest_and_its_next_sound_in_one_piece_though_the_server_restarts() {
    in_one_piece(By::Guest);
}

/// Two files of nginx cut from one signal, fetched hardly faster than they sound, while nginx restarts: every sample is
/// there, and every byte was fetched once.
fn in_one_piece(by: By) {
    let _one_at_a_time = ONE.lock();
    let rate = 44_100;
    let signal = fixtures::noise(7, 44_100, 16, rate * 12);
    let middle = rate * 9 + 1234;
    let music = tempfile::tempdir().expect("a folder");
    for (name, range) in [("1.flac", 0..middle), ("2.flac", middle..rate * 12)] {
        signal.cut(range).flac(&music.path().join(name), &[]);
    }
    let dac = Dac::start(Form { rate: 44_100, format: "s16le" });
    let lan = Lan::new();
    let konpo = box_on(&lan.host("hifi"), &dac);
    let mut nginx = Nginx::start(&lan.host("web"), music.path(), "300k");
    let recording = dac.record(50);
    let entry = |name: &str| json!({ "what": { "url": nginx.url(name) } });
    let [one, two] = ["1.flac", "2.flac"].map(entry);
    konpo.tell(&match by {
        By::Queue => json!({ "add": { "entries": [one, two], "play": true } }),
        By::Guest => json!({ "batch": [{ "set_guest": one }, { "set_guest_next": two }, { "play": null }] }),
    });
    wait_for("two seconds were heard", Duration::from_secs(20), || {
        (konpo.get("/api/state")["position_ms"].as_u64() > Some(2000)).then_some(())
    });
    nginx.end();
    nginx.begin();
    let state = wait_stopped(&konpo);
    let recording = recording.take();
    let from = rate / 2 * 2;
    let start = find(&recording, &signal.samples[from..from + 64]).expect("the signal is on the recording");
    let same = equal(&recording[start..], &signal.samples[from..]);
    println!("{same} of {} samples are identical in one piece", signal.samples.len() - from);
    if same < signal.samples.len() - from {
        let (heard, sent) = (&recording[start + same..], &signal.samples[from + same..]);
        let zeros = heard.iter().take_while(|sample| **sample == 0).count();
        let goes_on = find(sent, &heard[zeros..][..64]);
        println!("then {zeros} zeros; what is heard then lies {goes_on:?} samples further in the signal");
    }
    println!("{}", nginx.asked().join("\n"));
    assert_eq!(same, signal.samples.len() - from, "{state}");
    assert_eq!(
        (state["notices"].as_array().map(Vec::len), &state["starts"]),
        (Some(0), &json!(2)),
        "{state}"
    );
    let asked = nginx.asked();
    let resumed = asked.iter().find(|line| line.contains("1.flac") && !line.contains("range=bytes=0-"));
    let resumed = resumed.unwrap_or_else(|| panic!("it goes on at the break: {asked:?}"));
    assert!(resumed.contains(" 206 ") && resumed.contains("if=\\x22"), "{resumed}");
    assert_eq!(state["guest"].is_object(), by == By::Guest, "{state}");
}

#[test]
fn a_file_of_a_server_with_ranges_is_sought_and_one_without_plays_to_its_end() {
    let _one_at_a_time = ONE.lock();
    let music = tempfile::tempdir().expect("a folder");
    // 60 s are more than is held: the far end can only be had by a range.
    fixtures::noise(3, 44_100, 16, 44_100 * 60).flac(&music.path().join("long.flac"), &[]);
    fixtures::noise(4, 44_100, 16, 44_100 * 3).flac(&music.path().join("short.flac"), &[]);
    let lan = Lan::new();
    let konpo = Konpo::start(&lan.host("hifi"), "[output]\ndevice = \"silent\"\n");
    let web = lan.host("web");
    let nginx = Nginx::start(&web, music.path(), "0");
    let said = tempfile::tempdir().expect("a folder");
    let _python = python(&web, music.path(), &said.path().join("said"));
    let plain = |name: &str| format!("http://{}:8000/{name}", web.address);

    play(&konpo, &[nginx.url("long.flac")]);
    let (_, took) = wait_for("it plays", Duration::from_secs(10), || playing(&konpo));
    println!("a FLAC of nginx sounds {took:?} after the command");
    assert_eq!(konpo.get("/api/state")["duration_ms"], 60_000);
    konpo.tell(&json!({ "seek": 55_000 }));
    wait_for("the end comes", Duration::from_secs(15), || {
        (konpo.get("/api/state")["transport"] == "stopped").then_some(())
    });
    assert_eq!(konpo.get("/api/state")["notices"], json!([]));

    play(&konpo, &[plain("long.flac")]);
    wait_for("it plays", Duration::from_secs(10), || playing(&konpo));
    let refused = konpo.ask("POST", "/api/command", Some(&json!({ "seek": 55_000 })));
    assert!(refused.status >= 400, "{}", refused.json);
    assert_eq!(refused.json["code"], "not_seekable", "{}", refused.json);
    play(&konpo, &[plain("short.flac"), plain("missing.flac"), nginx.url("short.flac")]);
    let state = wait_stopped(&konpo);
    let words = state["notices"].to_string();
    assert!(words.contains("missing.flac cannot be played") && words.contains("404"), "{words}");
    assert_eq!(state["notices"].as_array().map(Vec::len), Some(1), "{words}");
}

#[test]
fn an_https_url_plays_only_when_the_server_proves_its_name() {
    let _one_at_a_time = ONE.lock();
    let music = tempfile::tempdir().expect("a folder");
    fixtures::noise(5, 44_100, 16, 44_100 * 2).flac(&music.path().join("a.flac"), &[]);
    let lan = Lan::new();
    let nginx = Nginx::start(&lan.host("web"), music.path(), "0");
    let host = lan.host("hifi");
    let private = nginx.url("a.flac").replace("http:", "https:");
    for trusts in [true, false] {
        let mut konpo = Konpo::new(&host, "[output]\ndevice = \"silent\"\n");
        if trusts {
            konpo = konpo.with("SSL_CERT_FILE", &nginx.authority().to_string_lossy());
        }
        konpo.spawn();
        konpo.ready();
        play(&konpo, &[private.clone(), nginx.url("moved/?to=a.flac")]);
        let state = wait_stopped(&konpo);
        let words = state["notices"].to_string();
        if trusts {
            assert_eq!((&state["starts"], &state["notices"]), (&json!(2), &json!([])), "{state}");
        } else {
            assert_eq!(state["starts"], 0, "{state}");
            assert!(words.contains("UnknownIssuer"), "{words}");
        }
        konpo.stop();
    }
    let asked = nginx.asked();
    assert!(asked.iter().any(|line| line.contains("/moved/")), "{asked:?}");
}

#[test]
fn a_station_is_heard_with_its_titles_and_comes_back_after_a_break() {
    let _one_at_a_time = ONE.lock();
    let lan = Lan::new();
    let konpo = Konpo::start(&lan.host("hifi"), "[output]\ndevice = \"silent\"\n");
    let mut station = Station::start(&lan.host("radio"));
    station.on_air();
    station.says("First – 一曲目");
    play(&konpo, &[station.url()]);
    let title = |wanted: &'static str| {
        let konpo = &konpo;
        move || {
            let state = konpo.get("/api/state");
            (state["transport"] == "playing" && state["on_air"]["title"] == wanted).then_some(state)
        }
    };
    let (state, took) = wait_for("the first title", Duration::from_secs(15), title("First – 一曲目"));
    println!("on air after {took:?}: {}", state["on_air"]);
    assert_eq!(
        (&state["on_air"]["name"], &state["duration_ms"]),
        (&json!("Radio Noise"), &json!(0)),
        "{state}"
    );
    let refused = konpo.ask("POST", "/api/command", Some(&json!({ "seek": 1000 })));
    assert_eq!(refused.json["code"], "not_seekable", "{}", refused.json);
    station.says("Second");
    wait_for("the second title", Duration::from_secs(15), title("Second"));
    station.off_air();
    station.on_air();
    station.says("Third");
    wait_for("it is heard again", Duration::from_secs(30), title("Third"));
    let state = konpo.get("/api/state");
    assert_eq!((&state["starts"], &state["notices"]), (&json!(1), &json!([])), "{state}");
    konpo.tell(&json!("stop"));
    assert_eq!(konpo.get("/api/state")["on_air"], Value::Null);
}

#[test]
fn our_own_library_is_no_download_and_the_box_itself_no_place_to_ask() {
    let lan = Lan::new();
    let host = lan.host("hifi");
    let mut konpo = Konpo::new(&host, "[output]\ndevice = \"silent\"\n");
    konpo.spawn();
    let page = konpo.ready();
    let aside = tempfile::tempdir().expect("a folder");
    let file = aside.path().join("1.flac");
    fixtures::noise(1, 44_100, 16, 44_100)
        .flac(&file, &[("title", "Ours"), ("artist", "Noise"), ("album", "Here")]);
    konpo.drop_in(&file);
    let (track, _) =
        wait_for("it is on the shelf", Duration::from_secs(30), || konpo.tracks().first().cloned());
    let id = track["id"].as_i64().expect("an id");
    assert!(page.contains(&host.address.to_string()), "{page}");
    play(&konpo, &[format!("{page}api/media/{id}.flac"), format!("{page}api/state")]);
    let state = wait_stopped(&konpo);
    assert_eq!((&state["queue"][0]["track"], &state["queue"][0]["url"]), (&json!(id), &Value::Null));
    let words = state["notices"].to_string();
    assert!(words.contains("is this box itself"), "{words}");
    assert_eq!(state["starts"], 1);
}

/// Starts konpo with this DAC, untouched by any volume.
fn box_on(host: &Host, dac: &Dac) -> Konpo {
    let mut konpo = Konpo::new(host, "");
    for (name, value) in dac.environment() {
        konpo = konpo.with(&name, &value);
    }
    let settings = format!("[output]\ndevice = \"{}\"\nvolume = \"fixed\"\n", konpo.output("dac"));
    write(&konpo.path("konpo.toml"), &settings);
    konpo.spawn();
    konpo.ready();
    konpo
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("settings");
}

fn play(konpo: &Konpo, urls: &[String]) {
    let entries: Vec<Value> = urls.iter().map(|url| json!({ "what": { "url": url } })).collect();
    konpo.tell(&json!({ "batch": ["clear", { "add": { "entries": entries, "play": true } }] }));
}

fn playing(konpo: &Konpo) -> Option<()> {
    (konpo.get("/api/state")["transport"] == "playing").then_some(())
}

/// Waits until all was played and returns the state.
fn wait_stopped(konpo: &Konpo) -> Value {
    let (state, _) = wait_for("it is over", Duration::from_secs(60), || {
        Some(konpo.get("/api/state")).filter(|state| state["transport"] == "stopped")
    });
    state
}

/// Sound in real time: two at once on a small machine would disturb each other.
static ONE: Mutex<()> = Mutex::new(());
