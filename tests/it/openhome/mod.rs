//! OpenHome's services over a whole box without a network: calls go straight into the services, and what one face changes
//! is read from the other.

mod faces;
mod list;
mod room;
mod sources;

use std::time::{Duration, Instant};

use konpo::hifi::HifiConfig;
use konpo::hifi::command::Playable;
use konpo::hifi::quiet::QuietConfig;
use konpo::hifi::state::Transport;
use konpo::signal::GainMode;
use konpo::units::Volume;
use room::{HOST, LENGTH, Room, hears, wait};
use serde_json::json;

/// Puts the three songs into the queue as an app does that browsed our media server.
async fn three(room: &Room) -> Vec<u32> {
    let mut ids = Vec::new();
    for track in 1..=3 {
        let after = ids.last().copied().unwrap_or(0);
        ids.push(room.insert(after, &room.url(track), "").await.expect("it fits"));
    }
    ids
}

/// Every action of every service answers as its table says, or with a code of OpenHome's.
#[tokio::test(flavor = "multi_thread")]
async fn every_action_answers_as_it_is_described() {
    let room = Room::start().await;
    let ids = three(&room).await;
    let (mut answered, mut refused) = (0, 0);
    for offered in room.services() {
        let service = offered.service;
        for action in service.actions {
            let value = |argument: &konpo::upnp::service::Argument| {
                let variable = service.variable(argument.variable).expect("a variable");
                let is_id = matches!(argument.name, "Id" | "AfterId") || action.name.ends_with("Id");
                match variable.name {
                    "SourceName" | "SourceSystemName" | "Mode" => "Playlist".to_owned(),
                    "Uri" => room.url(1),
                    _ if is_id => ids[0].to_string(),
                    _ if variable.kind.is_number() || variable.name == "Standby" => "0".to_owned(),
                    _ if variable.kind == konpo::upnp::service::Type::Boolean => "0".to_owned(),
                    _ => String::new(),
                }
            };
            let given: Vec<(&str, String)> =
                action.takes().map(|argument| (argument.name, value(argument))).collect();
            let borrowed: Vec<(&str, &str)> =
                given.iter().map(|(name, value)| (*name, value.as_str())).collect();
            match room.call(service.path, action.name, &borrowed).await {
                Ok(answer) => {
                    for argument in action.gives() {
                        let variable = service.variable(argument.variable).expect("a variable");
                        let value = &answer[argument.name];
                        assert!(variable.read(value).is_ok(), "{} {}: {value}", action.name, argument.name);
                    }
                    answered += 1;
                }
                Err(code) => {
                    assert!((800..=814).contains(&code), "{} {}: {code}", service.path, action.name);
                    refused += 1;
                }
            }
            for (index, argument) in action.takes().enumerate() {
                let mut without = borrowed.clone();
                without.remove(index);
                let code = room.call(service.path, action.name, &without).await.err();
                assert_eq!(code, Some(402), "{} without {}", action.name, argument.name);
            }
        }
        assert_eq!(room.call(service.path, "NoSuchAction", &[]).await.err(), Some(401));
    }
    println!("{answered} actions answered, {refused} refused by codes of their own");
    assert!(answered >= 80 && answered + refused == 92, "{answered} {refused}");
    room.end().await;
}

/// One knob, one queue: what OpenHome changes the page shows and hears, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_openhome_turn_the_same_knob() {
    let mut room = Room::start().await;
    let mut events = room.events().await;
    room.set("volume", "SetVolume", 42).await;
    assert_eq!(room.shown().await["volume"], 42);
    hears(&mut events, "\"volume\":42").await;
    room.page(json!({ "set_volume": 17 })).await;
    assert_eq!(room.get("volume", "Volume").await, "17");
    room.is_told("volume", "Volume", "17").await;
    room.set("volume", "SetMute", 1).await;
    assert_eq!(room.shown().await["mute"], true);
    room.is_told("volume", "Mute", "1").await;
    // Turned up it is heard again; turned to nothing it stays muted.
    room.set("volume", "SetVolume", 0).await;
    assert_eq!(room.get("volume", "Mute").await, "1");
    room.set("volume", "SetVolume", 20).await;
    assert_eq!(
        (room.get("volume", "Mute").await.as_str(), room.shown().await["volume"].clone()),
        ("0", json!(20))
    );
    for (value, code) in [("101", 811), ("4294967295", 811), ("x", 402)] {
        assert_eq!(room.call("volume", "SetVolume", &[("Value", value)]).await.err(), Some(code), "{value}");
    }
    room.set("volume", "SetVolume", 100).await;
    room.press("volume", "VolumeInc").await;
    room.press("volume", "VolumeDec").await;
    assert_eq!(room.get("volume", "Volume").await, "99");
    room.set("volume", "SetVolume", 0).await;
    room.press("volume", "VolumeDec").await;
    assert_eq!(room.shown().await["volume"], 0);
    for (action, value, code) in [("SetBalance", "1", 812), ("SetFade", "-1", 813)] {
        assert_eq!(room.call("volume", action, &[("Value", value)]).await.err(), Some(code));
    }
    assert_eq!(room.call("volume", "BalanceInc", &[]).await.err(), Some(801));
    let all = room.call("volume", "Characteristics", &[]).await.expect("answered");
    assert_eq!((all.number("VolumeMax"), all.number("VolumeSteps"), all.number("BalanceMax")), (100, 100, 0));
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_the_knob_stops_at_their_limit_and_says_so() {
    let room = Room::start().await;
    assert_eq!(room.get("volume", "VolumeLimit").await, "100");
    let owner = room.hifi.of(konpo::offer::Caller::itself());
    let quiet = konpo::hifi::command::Command::SetQuiet(konpo::hifi::command::QuietMode::On);
    owner.send(quiet).await.expect("it runs").expect("the owner may");
    room.is_told("volume", "VolumeLimit", "20").await;
    room.set("volume", "SetVolume", 60).await;
    assert_eq!(room.get("volume", "Volume").await, "20");
    room.end().await;
}

/// Where the amplifier has the knob there is no Volume, and the attributes do not name it (reference upnp 7.4).
#[tokio::test(flavor = "multi_thread")]
async fn an_amplifier_s_knob_is_none_of_openhome_s() {
    let quiet = QuietConfig::default();
    let knob = HifiConfig { fixed_volume: true, max_volume: Volume::MAX, gains: GainMode::Off, quiet };
    let room = Room::with(knob).await;
    assert!(!room.has("volume") && room.services().count() == 6);
    assert_eq!(room.get("product", "Attributes").await, "Info Time Transport");
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keys_play_and_every_face_sees_where_it_is() {
    let mut room = Room::start().await;
    let ids = three(&room).await;
    let mut events = room.events().await;
    room.press("playlist", "Play").await;
    room.is_told("playlist", "TransportState", "Playing").await;
    room.is_told("transport", "TransportState", "Playing").await;
    hears(&mut events, "\"transport\":\"playing\"").await;
    assert_eq!(
        (room.get("playlist", "Id").await, room.shown().await["current"].clone()),
        (ids[0].to_string(), json!(ids[0]))
    );
    // What sounds, and how it is coded.
    room.is_told("info", "DetailsCount", "1").await;
    let details = room.call("info", "Details", &[]).await.expect("answered");
    assert_eq!(details.number("Duration"), LENGTH);
    assert_eq!(
        (details.number("SampleRate"), details.number("BitDepth"), details.number("BitRate")),
        (8_000, 16, 128_000)
    );
    assert_eq!((details["Lossless"].as_str(), details["CodecName"].as_str()), ("1", "PCM"));
    let track = room.call("info", "Track", &[]).await.expect("answered");
    assert_eq!(track["Uri"], room.url(1));
    assert!(track["Metadata"].contains(&format!("http://{HOST}/media/1/cover/")), "{}", track["Metadata"]);
    assert!(room.told("info", "Metadata").contains("http://0.0.0.0:0/media/1/cover/"));
    // Time alone is told with each second. A loaded machine may leave one out.
    let begun = Instant::now();
    assert!(room.told_seconds(2).await < u64::from(LENGTH));
    assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
    let time = room.call("time", "Time", &[]).await.expect("answered");
    assert!(time.number("Duration") == LENGTH && time.number("Seconds") >= 2);
    room.set("playlist", "SeekSecondAbsolute", 10).await;
    assert!(room.told_seconds(11).await < u64::from(LENGTH));
    let (before, begun) = (room.seconds().await, Instant::now());
    room.set("playlist", "SeekSecondRelative", -6).await;
    let at = room.seconds().await;
    let latest = before - 6 + begun.elapsed().as_secs() + 2;
    assert!(before >= 11 && (before - 6..=latest).contains(&at), "{at} after {before}");
    room.set("playlist", "SeekSecondRelative", -99).await;
    for (action, value) in [("SeekSecondAbsolute", "21"), ("SeekSecondRelative", "99")] {
        assert_eq!(room.call("playlist", action, &[("Value", value)]).await.err(), Some(803), "{action}");
    }
    // The page pauses, OpenHome goes on.
    room.page(json!("pause")).await;
    assert_eq!(room.get("playlist", "TransportState").await, "Paused");
    room.is_told("transport", "TransportState", "Paused").await;
    let stream = room.get("transport", "StreamId").await;
    room.press("playlist", "Play").await;
    assert_eq!(room.shown().await["transport"], "playing");
    let seek = [("StreamId", stream.as_str()), ("SecondAbsolute", "3")];
    room.call("transport", "SeekSecondAbsolute", &seek).await.expect("the stream is this one");
    room.press("playlist", "Next").await;
    wait("the next one plays", || room.state().transport == Transport::Playing).await;
    assert_eq!(room.get("playlist", "Id").await, ids[1].to_string());
    assert_eq!(room.call("transport", "SeekSecondAbsolute", &seek).await.err(), Some(804));
    assert_eq!(room.call("info", "Counters", &[]).await.expect("answered").number("TrackCount"), 2);
    room.press("transport", "SkipPrevious").await;
    wait("the first one plays", || room.state().transport == Transport::Playing).await;
    assert_eq!(room.get("playlist", "Id").await, ids[0].to_string());
    // Play while it plays begins anew.
    room.set("playlist", "SeekSecondAbsolute", 15).await;
    room.press("playlist", "Play").await;
    assert!(room.seconds().await < 10);
    room.press("playlist", "Stop").await;
    assert_eq!(room.shown().await["transport"], "stopped");
    room.is_told("time", "Seconds", "0").await;
    assert_eq!(room.call("playlist", "SeekSecondAbsolute", &[("Value", "3")]).await.err(), Some(803));
    room.end().await;
}

/// An own URL of ours that an app hands in is the track itself (product.md): nothing is fetched, the app finds its URL again.
#[tokio::test(flavor = "multi_thread")]
async fn our_own_url_handed_in_is_the_track_of_the_shelf() {
    let room = Room::start().await;
    let metadata =
        "<DIDL-Lite xmlns:dc=\"x\"><item id=\"T2\"><dc:title>As the app says</dc:title></item></DIDL-Lite>";
    let id = room.insert(0, &room.url(2), metadata).await.expect("ours");
    let state = room.state();
    let entry = &state.queue.entries[0];
    assert!(matches!(entry.what, Playable::Shelf(track) if track.0 == 2), "{entry:?}");
    let read = room.call("playlist", "Read", &[("Id", &id.to_string())]).await.expect("there");
    assert_eq!((&read["Uri"], read["Metadata"].as_str()), (&room.url(2), metadata));
    room.end().await;
}
