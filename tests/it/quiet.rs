//! Story 8 through the API and `konpo ctl`, on the silent output.

use std::time::{Duration, Instant};

use http::StatusCode;
use konpo::ctl::{self, Ask, Daemon, Mode};
use konpo::hifi::HifiConfig;
use konpo::hifi::quiet::QuietConfig;
use konpo::http::server;
use konpo::signal::GainMode;
use konpo::units::Volume;
use konpo::units::calendar::{Days, Hours, TimeOfDay};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use crate::api::{Bench, Who};

async fn tell(bench: &mut Bench, who: Who, command: Value) -> (StatusCode, Value) {
    bench.ask(who, "POST", "/api/command", Some(command)).await
}

async fn state(bench: &mut Bench) -> Value {
    bench.ask(Who::Room, "GET", "/api/state", None).await.1
}

#[tokio::test(flavor = "multi_thread")]
async fn quiet_from_22_00_with_five_ways_to_turn_it_up() {
    // The highest that can be set: it must not be a sixth way.
    let quiet = QuietConfig::default();
    let config = HifiConfig { fixed_volume: false, max_volume: Volume::MAX, gains: GainMode::Off, quiet };
    let mut bench = Bench::with(config).await.expect("started");
    let (status, _) = tell(&mut bench, Who::Room, json!({ "set_quiet": "on" })).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "quiet hours are the owner's");
    let (status, _) = tell(&mut bench, Who::Owner, json!({ "set_quiet": "on" })).await;
    assert_eq!(status, StatusCode::OK);
    let quiet = state(&mut bench).await;
    assert_eq!((&quiet["volume"], &quiet["quiet"]["because"]), (&json!(20), &json!("hand")));
    let limit = quiet["gain_db"].as_f64().expect("not silent");

    let ways = [
        json!({ "set_volume": 100 }),
        json!({ "move_volume": 80 }),
        json!({ "batch": [{ "set_mute": true }, { "set_volume": 90 }, { "set_mute": false }] }),
        json!({ "batch": [{ "set_volume": 5 }, { "move_volume": 32767 }] }),
    ];
    for way in ways {
        let (status, _) = tell(&mut bench, Who::Room, way.clone()).await;
        assert_eq!(status, StatusCode::OK, "{way}");
        let now = state(&mut bench).await;
        assert_eq!(now["volume"], json!(20), "{way}");
        assert!(now["gain_db"].as_f64().is_some_and(|gain| gain <= limit), "{way}: {now}");
    }
    for mode in ["off", "auto"] {
        let (status, body) = tell(&mut bench, Who::Room, json!({ "set_quiet": mode })).await;
        assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &json!("not_allowed")));
        let batch = json!({ "batch": [{ "set_quiet": mode }, { "set_volume": 100 }] });
        assert_eq!(tell(&mut bench, Who::Room, batch).await.0, StatusCode::FORBIDDEN);
        assert_eq!(state(&mut bench).await["volume"], json!(20), "{mode}");
    }

    // The owner's own `konpo ctl` is held too, until the owner ends it; and the end turns nothing up.
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("ctl.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let stop = CancellationToken::new();
    let served = tokio::spawn(server::serve_unix(listener, bench.app.clone(), stop.clone()));
    let daemon = Daemon::Socket(socket);
    for ask in [Ask::Volume { volume: 100 }, Ask::Mode(Mode::Turn { steps: 50 }), Ask::Mute, Ask::Unmute] {
        ctl::run(&daemon, &ask, false).await.expect("done");
        let shown = ctl::run(&daemon, &Ask::Status, false).await.expect("shown");
        assert!(shown.contains("volume 20") && shown.contains(", quiet"), "{ask:?}: {shown}");
    }
    ctl::run(&daemon, &Ask::Mode(Mode::Quiet { mode: "auto".into() }), false).await.expect("done");
    let after = state(&mut bench).await;
    assert_eq!((&after["volume"], &after["quiet"]["because"]), (&json!(20), &Value::Null));
    assert_eq!(after["gain_db"].as_f64(), Some(limit));
    ctl::run(&daemon, &Ask::Volume { volume: 30 }, false).await.expect("done");
    assert_eq!(state(&mut bench).await["volume"], json!(30));
    stop.cancel();
    served.await.expect("in order");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_starts_in_quiet_hours_is_quiet_and_says_when_it_does_not_know_the_time() {
    // From noon to noon: whatever the clock of this machine says, and whether it can be trusted.
    let noon = TimeOfDay::new(12, 0).expect("a time");
    let hours = Some(Hours { from: noon, to: noon, days: Days::ALL });
    let quiet = QuietConfig { hours, ..QuietConfig::default() };
    let config = HifiConfig { fixed_volume: false, max_volume: Volume::MAX, gains: GainMode::Off, quiet };
    let mut bench = Bench::with(config).await.expect("started");
    let mut first = state(&mut bench).await;
    assert_eq!(first["volume"], json!(20), "and not 25");
    let because = first["quiet"]["because"].clone();
    assert!(because == "hours" || because == "clock", "{because}");
    assert_eq!(first["quiet"]["until"].is_null(), because == "clock");
    if because == "clock" {
        let since = Instant::now();
        while first["notices"][0].is_null() && since.elapsed() < Duration::from_secs(10) {
            tokio::task::yield_now().await;
            first = state(&mut bench).await;
        }
        let words = first["notices"][0]["words"].as_str().unwrap_or_default();
        assert!(words.starts_with("The clock was not set"), "{first}");
    }
    tell(&mut bench, Who::Owner, json!({ "set_quiet": "off" })).await;
    tell(&mut bench, Who::Room, json!({ "set_volume": 60 })).await;
    let after = state(&mut bench).await;
    assert_eq!((&after["volume"], &after["quiet"]["mode"]), (&json!(60), &json!("off")));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn how_the_queue_is_played_is_told_and_shown() {
    let mut bench = Bench::new().await.expect("started");
    for (command, key, shown) in [
        (json!({ "set_single": true }), "single", json!(true)),
        (json!({ "set_consume": true }), "consume", json!(true)),
        (json!({ "stop_after": true }), "stop_after", json!(true)),
        (json!({ "set_shuffle": true }), "shuffle", json!(true)),
        (json!({ "set_repeat": "all" }), "repeat", json!("all")),
        (json!("stop"), "stop_after", json!(false)),
        (json!({ "sleep": null }), "sleep", Value::Null),
    ] {
        let (status, body) = tell(&mut bench, Who::Room, command.clone()).await;
        assert_eq!(status, StatusCode::OK, "{command}: {body}");
        assert_eq!(state(&mut bench).await[key], shown, "{command}");
    }
    tell(&mut bench, Who::Room, json!({ "sleep": { "after": 60_000, "end": "finish_track" } })).await;
    let sleep = state(&mut bench).await["sleep"].clone();
    assert!(sleep["left_ms"].as_u64().is_some_and(|left| left > 0 && left <= 60_000), "{sleep}");
    assert_eq!(sleep["end"], "finish_track");
    for wrong in [json!({ "sleep": { "after": 86_400_001 } }), json!({ "batch": vec!["next"; 1001] })] {
        let (status, body) = tell(&mut bench, Who::Room, wrong).await;
        assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("out_of_range")));
    }
    bench.end().await;
}
