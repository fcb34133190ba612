//! The shipped settings are the documented defaults; what the owner sets while the box runs.

use std::path::Path;

use http::StatusCode;
use konpo::config::{Config, ReplayGain};
use konpo::ctl::{Ask, Daemon};
use konpo::units::calendar::TimeOfDay;
use serde_json::{Value, json};

use crate::api::{Bench, Who, shelve};

#[test]
fn every_documented_key_has_its_default() {
    let shipped = shipped();
    assert_eq!(Config::parse(&shipped, "konpo.toml").expect("shipped as it is"), Config::default());
    let mut all = Config::parse(&spoken(&shipped), "konpo.toml").expect("each key alone is right");
    // Not set, these have no fixed default; what stands there is what is usual.
    assert_eq!((all.name.take().as_deref(), all.http.port.take()), (Some("Stereo"), Some(8200)));
    assert_eq!(all.output.replaygain.take(), Some(ReplayGain::Auto));
    assert_eq!(all.library.keep_free_mb.take(), Some(2000));
    let night = (all.quiet.from.take(), all.quiet.to.take());
    assert_eq!(night, (TimeOfDay::new(22, 0), TimeOfDay::new(7, 0)));
    assert_eq!(all, Config::default());
}

#[test]
fn every_key_is_documented() {
    let spoken = spoken(&shipped());
    for section in known(&refusal("nothing_of_that_name = 1\n")) {
        if section == "name" {
            continue;
        }
        assert!(spoken.contains(&format!("\n[{section}]\n")), "[{section}] is not documented");
        for key in known(&refusal(&format!("[{section}]\nnothing_of_that_name = 1\n"))) {
            assert!(spoken.contains(&format!("\n{key} = ")), "{section}.{key} is not documented");
        }
    }
}

fn shipped() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/konpo.toml");
    std::fs::read_to_string(path).expect("the shipped settings")
}

/// The same with every key set.
fn spoken(shipped: &str) -> String {
    let set = |line: &str| {
        let key =
            line.strip_prefix('#').filter(|rest| rest.starts_with(|sign: char| sign.is_ascii_lowercase()));
        key.unwrap_or(line).to_owned() + "\n"
    };
    shipped.lines().map(set).collect()
}

fn refusal(text: &str) -> String {
    Config::parse(text, "konpo.toml").expect_err("an unknown key").to_string()
}

/// Returns the names that a refusal of an unknown key lists: "expected one of `a`, `b`".
fn known(refusal: &str) -> Vec<String> {
    let (_, list) = refusal.split_once("expected").unwrap_or_else(|| panic!("{refusal}"));
    list.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The settings as the owner sees them.
async fn shown(bench: &mut Bench) -> Value {
    let (status, shown) = bench.ask(Who::Owner, "GET", "/api/settings", None).await;
    assert_eq!(status, StatusCode::OK, "{shown}");
    shown
}

async fn put(bench: &mut Bench, changes: Value) -> (StatusCode, Value) {
    bench.ask(Who::Owner, "PUT", "/api/settings", Some(changes)).await
}

async fn state(bench: &mut Bench) -> Value {
    bench.ask(Who::Room, "GET", "/api/state", None).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_sets_changes_the_running_box_and_is_kept() {
    let mut bench = Bench::new().await.expect("started");
    let before = shown(&mut bench).await;
    assert_eq!(before["name"], json!({ "value": "Test <1>", "source": "file", "locked": true }), "{before}");
    assert_eq!(before["output.max_volume"]["value"], 100, "{before}");
    assert_eq!(before.as_object().map(serde_json::Map::len), Some(11), "{before}");

    // What 100 means: the same knob is quieter at once.
    let gain = |state: &Value| state["gain_db"].as_f64().expect("not silent");
    let loud = gain(&state(&mut bench).await);
    let (status, after) =
        put(&mut bench, json!({ "output.max_volume": 50, "intake.on_arrival": "keep" })).await;
    assert_eq!((status, &after["output.max_volume"]["source"]), (StatusCode::OK, &json!("page")), "{after}");
    let quiet = state(&mut bench).await;
    assert_eq!(quiet["volume"], 25, "the knob stays");
    assert!(gain(&quiet) < loud - 17.0, "{} dB after {loud} dB", gain(&quiet));

    // Quiet hours by the clock of this machine, whatever it says: from now on, and no more.
    let hours = [("00:00", "12:00"), ("12:00", "00:00")];
    let mut because = Value::Null;
    for (from, to) in hours {
        let (status, body) =
            put(&mut bench, json!({ "quiet.from": from, "quiet.to": to, "quiet.max_volume": 10 })).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let now = state(&mut bench).await;
        if because.is_null() && !now["quiet"]["because"].is_null() {
            because = now["quiet"]["because"].clone();
            assert_eq!((&now["volume"], &now["quiet"]["limit"]), (&json!(10), &json!(10)), "{now}");
        }
    }
    assert!(because == "hours" || because == "clock", "one half of the day is now: {because}");
    let (status, _) = put(&mut bench, json!({ "quiet.from": null, "quiet.to": null })).await;
    assert_eq!(status, StatusCode::OK);
    let day = state(&mut bench).await;
    assert_eq!(
        (&day["quiet"]["because"], &day["volume"]),
        (&Value::Null, &json!(10)),
        "nothing turned it up"
    );

    // The amplifier has the knob, and has it no more.
    let (status, body) = put(&mut bench, json!({ "output.volume": "fixed", "quiet.action": "stop" })).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let fixed = state(&mut bench).await;
    assert_eq!((&fixed["fixed_volume"], &fixed["volume"]), (&json!(true), &json!(100)), "{fixed}");
    let (status, _) = put(&mut bench, json!({ "output.volume": null })).await;
    assert_eq!(status, StatusCode::OK);
    let back = state(&mut bench).await;
    assert_eq!(
        (&back["fixed_volume"], &back["volume"]),
        (&json!(false), &json!(25)),
        "as at the first start"
    );

    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("ctl.sock");
    let listener = tokio::net::UnixListener::bind(&socket).expect("a socket");
    let stop = tokio_util::sync::CancellationToken::new();
    let served = tokio::spawn(konpo::http::server::serve_unix(listener, bench.app.clone(), stop.clone()));
    let told = konpo::ctl::run(&Daemon::Socket(socket), &Ask::Settings, false).await.expect("shown");
    for line in [
        "name = \"Test <1>\"  (konpo.toml)",
        "output.max_volume = 50  (the page)",
        "quiet.from = not set  (the default)",
    ] {
        assert!(told.lines().any(|told| told == line), "{line} is not in {told}");
    }
    stop.cancel();
    served.await.expect("in order");

    let text = std::fs::read_to_string(bench.folder.path().join("data/settings.toml")).expect("kept");
    let kept = Config::parse(&text, "settings.toml").expect("as konpo.toml is written");
    assert_eq!((kept.output.max_volume.value(), kept.name), (50, None), "{text}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_hold_are_refused_and_change_nothing() {
    let mut bench = Bench::new().await.expect("started");
    let before = shown(&mut bench).await;
    for (changes, status, code) in [
        (json!({ "name": "Kitchen" }), StatusCode::FORBIDDEN, "not_allowed"),
        (json!({ "output.max_volume": 0 }), StatusCode::BAD_REQUEST, "invalid"),
        (json!({ "quiet.from": "22:00" }), StatusCode::BAD_REQUEST, "invalid"),
        (json!({ "http.port": 80 }), StatusCode::BAD_REQUEST, "invalid"),
        (json!([1]), StatusCode::BAD_REQUEST, "invalid"),
        (
            json!({ "output.device": "alsa:nothing", "output.max_volume": 9 }),
            StatusCode::CONFLICT,
            "no_device",
        ),
    ] {
        let (said, body) = put(&mut bench, changes.clone()).await;
        assert_eq!((said, &body["code"]), (status, &json!(code)), "{changes}: {body}");
    }
    assert_eq!(shown(&mut bench).await, before);
    assert!(!bench.folder.path().join("data/settings.toml").exists(), "nothing was written");
    for (method, path) in [("GET", "/api/settings"), ("PUT", "/api/settings"), ("GET", "/api/outputs")] {
        let (status, _) = bench.ask(Who::Room, method, path, Some(json!({}))).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path}");
    }
    let (_, outputs) = bench.ask(Who::Owner, "GET", "/api/outputs", None).await;
    let named =
        |name: &str| outputs["items"].as_array().is_some_and(|all| all.iter().any(|one| one["name"] == name));
    assert!(named("silent"), "{outputs}");
    let (status, body) = put(&mut bench, json!({ "output.device": "silent" })).await;
    assert_eq!((status, &body["output.device"]["source"]), (StatusCode::OK, &json!("page")), "{body}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_test_sound_opens_the_output_and_disturbs_no_music() {
    let mut bench = Bench::new().await.expect("started");
    let test = || Some(json!("test_sound"));
    let (status, _) = bench.ask(Who::Room, "POST", "/api/command", test()).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "it is the owner's");
    assert_eq!(state(&mut bench).await["device"]["open"], false);
    let (status, body) = bench.ask(Who::Owner, "POST", "/api/command", test()).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let begun = std::time::Instant::now();
    while state(&mut bench).await["device"]["open"] != true {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "nothing is heard");
        tokio::task::yield_now().await;
    }
    let now = state(&mut bench).await;
    assert_eq!(
        (&now["transport"], &now["queue_length"], &now["starts"]),
        (&json!("stopped"), &json!(0), &json!(0))
    );
    shelve(&bench.library, 1, "tone.flac", &crate::mint::data("tone.flac")).await;
    let add = json!({ "add": { "entries": [{ "what": { "shelf": 1 } }], "play": true } });
    // A quarter of a second, again and again: it must not end before it is asked for.
    let begin = json!({ "batch": [{ "set_repeat": "one" }, add] });
    let (status, body) = bench.ask(Who::Room, "POST", "/api/command", Some(begin)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let (status, body) = bench.ask(Who::Owner, "POST", "/api/command", test()).await;
    assert_eq!(
        (status, &body["code"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("busy")),
        "it plays: {body}"
    );
    // What is paused waits at its place.
    let held = json!({ "batch": ["pause", { "seek": 100 }] });
    assert_eq!(bench.ask(Who::Room, "POST", "/api/command", Some(held)).await.0, StatusCode::OK);
    assert_eq!(bench.ask(Who::Owner, "POST", "/api/command", test()).await.0, StatusCode::OK);
    let held = state(&mut bench).await;
    assert_eq!((&held["transport"], &held["position_ms"]), (&json!("paused"), &json!(100)), "{held}");
    bench.end().await;
}
