//! One box under every face: what UPnP AV, OpenHome or the page change is read from the two others, and told to all; two
//! apps at once, one of each kind, press anything.

use std::time::Duration;

use konpo::hifi::state::{Source, Transport};
use serde_json::json;

use super::room::{Room, decoded, hears, wait};
use super::three;
use crate::renderer::random::Dice;

const MASTER: (&str, &str) = ("Channel", "Master");

#[tokio::test(flavor = "multi_thread")]
async fn one_knob_whoever_turns_it() {
    let mut room = Room::start().await;
    let mut events = room.events().await;
    for (face, value) in [("av", 31), ("openhome", 32), ("page", 33)] {
        let text = value.to_string();
        match face {
            "av" => drop(
                room.av("RenderingControl", "SetVolume", &[MASTER, ("DesiredVolume", &text)])
                    .await
                    .expect("set"),
            ),
            "openhome" => room.set("volume", "SetVolume", value).await,
            _ => room.page(json!({ "set_volume": value })).await,
        }
        let av = room.av("RenderingControl", "GetVolume", &[MASTER]).await.expect("answered");
        assert_eq!(
            (av["CurrentVolume"].as_str(), room.get("volume", "Volume").await),
            (text.as_str(), text.clone()),
            "{face}"
        );
        assert_eq!(room.shown().await["volume"], value, "{face}");
        room.is_told("volume", "Volume", &text).await;
        wait(face, || room.told_av("RenderingControl", "Volume") == text).await;
        hears(&mut events, &format!("\"volume\":{value}")).await;
    }
    for (face, mute) in [
        ("av", true),
        ("openhome", false),
        ("page", true),
        ("av", false),
        ("page", true),
        ("openhome", false),
    ] {
        let text = u8::from(mute).to_string();
        match face {
            "av" => drop(
                room.av("RenderingControl", "SetMute", &[MASTER, ("DesiredMute", &text)]).await.expect("set"),
            ),
            "openhome" => room.set("volume", "SetMute", &text).await,
            _ => room.page(json!({ "set_mute": mute })).await,
        }
        let av = room.av("RenderingControl", "GetMute", &[MASTER]).await.expect("answered");
        assert_eq!(
            (av["CurrentMute"].as_str(), room.get("volume", "Mute").await),
            (text.as_str(), text.clone()),
            "{face}"
        );
        assert_eq!(room.shown().await["mute"], mute, "{face}");
        room.is_told("volume", "Mute", &text).await;
        wait(face, || room.told_av("RenderingControl", "Mute") == text).await;
        hears(&mut events, &format!("\"mute\":{mute}")).await;
    }
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_queue_and_one_transport_whoever_presses() {
    let mut room = Room::start().await;
    let mut events = room.events().await;
    let ids = three(&room).await;
    hears(&mut events, "\"length\":3").await;
    let av = async |room: &Room, action: &str, name: &str| {
        room.av("AVTransport", action, &[]).await.expect("answered")[name].clone()
    };
    // AV plays the list that OpenHome made, and says what it is.
    room.av("AVTransport", "Play", &[("Speed", "1")]).await.expect("there is a queue");
    room.is_told("playlist", "TransportState", "Playing").await;
    hears(&mut events, "\"transport\":\"playing\"").await;
    assert_eq!(av(&room, "GetPositionInfo", "TrackURI").await, room.url(1));
    room.av("AVTransport", "Next", &[]).await.expect("there is one");
    room.is_told("playlist", "Id", &ids[1].to_string()).await;
    let second = room.url(2);
    wait("AV is told", || room.told_av("AVTransport", "CurrentTrackURI") == second).await;
    assert_eq!(room.shown().await["current"], ids[1]);
    room.press("playlist", "Pause").await;
    assert_eq!(av(&room, "GetTransportInfo", "CurrentTransportState").await, "PAUSED_PLAYBACK");
    wait("AV is told", || room.told_av("AVTransport", "TransportState") == "PAUSED_PLAYBACK").await;
    // The modes are the same switches.
    let modes = async |room: &mut Room| {
        let av = av(room, "GetTransportSettings", "PlayMode").await;
        let oh = (room.get("playlist", "Repeat").await, room.get("playlist", "Shuffle").await);
        let page = room.shown().await;
        (av, oh.0, oh.1, page["repeat"].clone(), page["shuffle"].clone())
    };
    let is = |av: &str, repeat: &str, shuffle: &str, page: &str| {
        (av.to_owned(), repeat.to_owned(), shuffle.to_owned(), json!(page), json!(shuffle == "1"))
    };
    room.av("AVTransport", "SetPlayMode", &[("NewPlayMode", "REPEAT_ALL")]).await.expect("known");
    assert_eq!(modes(&mut room).await, is("REPEAT_ALL", "1", "0", "all"));
    room.set("playlist", "SetRepeat", 0).await;
    room.set("playlist", "SetShuffle", 1).await;
    assert_eq!(modes(&mut room).await, is("SHUFFLE", "0", "1", "off"));
    room.page(json!({ "set_shuffle": false })).await;
    assert_eq!(modes(&mut room).await, is("NORMAL", "0", "0", "off"));
    // What AV puts on leaves the list as it is, on every face.
    let version = room.shown().await["queue_version"].clone();
    let given = [("CurrentURI", room.url(3)), ("CurrentURIMetaData", String::new())];
    let given: Vec<(&str, &str)> = given.iter().map(|(name, value)| (*name, value.as_str())).collect();
    room.av("AVTransport", "SetAVTransportURI", &given).await.expect("ours");
    room.av("AVTransport", "Play", &[("Speed", "1")]).await.expect("it is on");
    room.is_told("product", "SourceIndex", "2").await;
    room.is_told("info", "Uri", &room.url(3)).await;
    room.is_told("playlist", "TransportState", "Stopped").await;
    let page = room.shown().await;
    assert_eq!((&page["queue_version"], &page["guest"]["by"]), (&version, &json!("upnp")));
    assert_eq!((room.ids().await, room.get("playlist", "Id").await), (ids.clone(), ids[1].to_string()));
    // The page's play of the list takes over.
    room.page(json!({ "play": ids[2] })).await;
    room.is_told("product", "SourceIndex", "0").await;
    room.is_told("playlist", "Id", &ids[2].to_string()).await;
    // A source that is chosen with nothing on it is no media.
    room.set("product", "SetSourceIndex", 2).await;
    assert_eq!(av(&room, "GetTransportInfo", "CurrentTransportState").await, "NO_MEDIA_PRESENT");
    wait("AV is told", || room.told_av("AVTransport", "TransportState") == "NO_MEDIA_PRESENT").await;
    assert_eq!(room.av("AVTransport", "Play", &[("Speed", "1")]).await.err(), Some(701));
    assert_eq!(av(&room, "GetMediaInfo", "NrTracks").await, "0");
    room.end().await;
}

async fn press_av(room: &Room, dice: &mut Dice) {
    let url = if dice.roll(8) == 0 {
        "http://10.0.0.9/missing.wav".into()
    } else {
        room.url(1 + dice.roll(3) as i64)
    };
    let (volume, target) = (dice.roll(60).to_string(), format!("0:00:{:02}", dice.roll(25)));
    let mode = ["NORMAL", "SHUFFLE", "REPEAT_ONE", "REPEAT_ALL"][dice.roll(4) as usize];
    let (service, action, given) = match dice.roll(13) {
        0 | 1 => (
            "AVTransport",
            "SetAVTransportURI",
            vec![("CurrentURI", url.as_str()), ("CurrentURIMetaData", "")],
        ),
        2 => {
            ("AVTransport", "SetNextAVTransportURI", vec![("NextURI", url.as_str()), ("NextURIMetaData", "")])
        }
        3 | 4 => ("AVTransport", "Play", vec![("Speed", "1")]),
        5 => ("AVTransport", "Pause", vec![]),
        6 => ("AVTransport", "Stop", vec![]),
        7 => ("AVTransport", "Next", vec![]),
        8 => ("AVTransport", "Previous", vec![]),
        9 => ("AVTransport", "Seek", vec![("Unit", "REL_TIME"), ("Target", target.as_str())]),
        10 => ("AVTransport", "SetPlayMode", vec![("NewPlayMode", mode)]),
        11 => ("AVTransport", "SetAVTransportURI", vec![("CurrentURI", ""), ("CurrentURIMetaData", "")]),
        _ => ("RenderingControl", "SetVolume", vec![MASTER, ("DesiredVolume", volume.as_str())]),
    };
    let refused = room.av(service, action, &given).await.err();
    assert!(matches!(refused, None | Some(701 | 710 | 711)), "{action} {given:?}: {refused:?}");
}

async fn press_openhome(room: &Room, dice: &mut Dice) {
    let url = if dice.roll(8) == 0 {
        "http://10.0.0.9/missing.wav".into()
    } else {
        room.url(1 + dice.roll(3) as i64)
    };
    let ids = room.ids().await;
    let id = match ids.len() {
        0 => 0,
        count => ids[dice.roll(count as u64) as usize],
    };
    let (id, small, second) = (id.to_string(), dice.roll(4).to_string(), dice.roll(25).to_string());
    let truth = if dice.roll(2) == 0 { "0" } else { "1" };
    let command = format!("id={id}");
    let value = |value| vec![("Value", value)];
    let channel = vec![("Uri", url.as_str()), ("Metadata", "")];
    let (service, action, given) = match dice.roll(22) {
        0..=3 => {
            ("playlist", "Insert", vec![("AfterId", id.as_str()), ("Uri", url.as_str()), ("Metadata", "")])
        }
        4 => ("playlist", "DeleteId", value(id.as_str())),
        5 => ("playlist", "SeekId", value(id.as_str())),
        6 => ("playlist", "SeekIndex", value(small.as_str())),
        7 | 8 => ("playlist", "Play", vec![]),
        9 => ("playlist", "Pause", vec![]),
        10 => ("playlist", "Stop", vec![]),
        11 => ("playlist", "Next", vec![]),
        12 => ("playlist", "Previous", vec![]),
        13 => ("playlist", "SeekSecondAbsolute", value(second.as_str())),
        14 => ("playlist", "SetShuffle", value(truth)),
        15 => ("product", "SetSourceIndex", value(["0", "1", "2"][dice.roll(3) as usize])),
        16 => ("product", "SetStandby", value(truth)),
        17 => ("radio", "SetChannel", channel),
        18 => ("radio", "Play", vec![]),
        19 => ("transport", "Play", vec![]),
        20 => ("transport", "PlayAs", vec![("Mode", "Playlist"), ("Command", command.as_str())]),
        _ => ("volume", "SetVolume", value(second.as_str())),
    };
    let refused = room.call(service, action, &given).await.err();
    assert!(
        refused.is_none_or(|code| (800..=804).contains(&code)),
        "{service} {action} {given:?}: {refused:?}"
    );
}

/// Whatever two apps press at once, the box is not stuck, and what each was told is what the box is.
#[tokio::test(flavor = "multi_thread")]
async fn two_apps_of_two_kinds_at_once_never_get_it_stuck_and_know_what_it_is() {
    let sequences = if std::env::var_os("KONPO_ALL").is_some() { 1000 } else { 40 };
    let room = Room::start().await;
    for sequence in 1..=sequences {
        let (mut one, mut other) = (Dice::new(sequence * 2 + 1), Dice::new(sequence * 7919 + 3));
        let av = async {
            for _ in 0..one.roll(10) + 3 {
                press_av(&room, &mut one).await;
                tokio::time::sleep(Duration::from_millis(one.roll(20))).await;
            }
        };
        let openhome = async {
            for _ in 0..other.roll(14) + 3 {
                press_openhome(&room, &mut other).await;
                tokio::time::sleep(Duration::from_millis(other.roll(20))).await;
            }
        };
        tokio::join!(av, openhome);
        // At rest everybody was told what is so.
        room.press("transport", "Stop").await;
        let (state, ids) = (room.state(), room.ids().await);
        assert_eq!(state.transport, Transport::Stopped, "{sequence}");
        wait("the list is told", || decoded(&room.told("playlist", "IdArray")) == ids).await;
        for (service, name, action) in [
            ("playlist", "Id", "Id"),
            ("playlist", "TransportState", "TransportState"),
            ("playlist", "Shuffle", "Shuffle"),
            ("playlist", "Repeat", "Repeat"),
            ("product", "SourceIndex", "SourceIndex"),
            ("product", "Standby", "Standby"),
            ("volume", "Volume", "Volume"),
        ] {
            let want = room.get(service, action).await;
            room.is_told(service, name, &want).await;
        }
        let volume = state.volume.value().to_string();
        wait("AV is told the volume", || room.told_av("RenderingControl", "Volume") == volume).await;
        // Not stuck: the list plays, then what AV puts on, and each face knows.
        let id = room.insert(0, &room.url(2), "").await.expect("it fits");
        room.set("playlist", "SeekId", id).await;
        room.is_told("playlist", "TransportState", "Playing").await;
        room.is_told("playlist", "Id", &id.to_string()).await;
        let second = room.url(2);
        wait("AV is told the track", || {
            room.told_av("AVTransport", "TransportState") == "PLAYING"
                && room.told_av("AVTransport", "CurrentTrackURI") == second
        })
        .await;
        let third = room.url(3);
        let given = [("CurrentURI", third.as_str()), ("CurrentURIMetaData", "")];
        room.av("AVTransport", "SetAVTransportURI", &given).await.expect("ours");
        room.av("AVTransport", "Play", &[("Speed", "1")]).await.expect("it is on");
        room.is_told("product", "SourceIndex", "2").await;
        room.is_told("playlist", "TransportState", "Stopped").await;
        room.is_told("transport", "TransportState", "Playing").await;
        room.is_told("info", "Uri", &third).await;
        assert!(matches!(room.state().source, Source::Guest { .. }), "{sequence}");
        assert_eq!(room.get("playlist", "Id").await, id.to_string());
        room.press("playlist", "DeleteAll").await;
    }
    println!("{sequences} sequences of two apps of two kinds at once");
    room.end().await;
}
