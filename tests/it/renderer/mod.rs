//! The renderer as a control point meets it: hand-made calls, and what a subscriber is told. Without a network but for a
//! server of sounds on loopback.

mod bugs;
mod gapless;
pub mod random;
mod rig;
mod said;
mod volume;

use std::collections::HashMap;

use konpo::hifi::command::{At, Command, NewEntry, Playable};
use konpo::hifi::state::Source;
use konpo::track::TrackId;

use crate::renderer::rig::{Rig, Web};

#[tokio::test(flavor = "multi_thread")]
async fn the_states_of_the_transport_follow_the_table() {
    let (rig, web) = (Rig::new().await, Web::start(HashMap::new()));
    let url = web.wav(60_000, 44_100, 1);
    let told = rig.listen("transport");
    assert_eq!(rig.state().await, "NO_MEDIA_PRESENT");
    assert_eq!(rig.call("transport", "Play", &[]).await, Err(701));
    let media = rig.av("GetMediaInfo", &[]).await;
    assert_eq!((media["NrTracks"].as_str(), media["PlayMedium"].as_str()), ("0", "NONE"));
    assert_eq!(rig.av("GetPositionInfo", &[]).await["Track"], "0");

    rig.set(&url, "").await;
    assert_eq!(rig.state().await, "STOPPED");
    assert_eq!(rig.av("GetCurrentTransportActions", &[]).await["Actions"], "Play,Seek,Next,Previous");
    let media = rig.av("GetMediaInfo", &[]).await;
    assert_eq!((media["NrTracks"].as_str(), media["CurrentURI"].as_str()), ("1", url.as_str()));
    rig.play().await;
    rig.until("PLAYING").await;
    rig.play().await;
    assert_eq!(rig.state().await, "PLAYING", "a second Play changes nothing");
    rig.av("Pause", &[]).await;
    assert_eq!(rig.state().await, "PAUSED_PLAYBACK");
    rig.av("Pause", &[]).await;
    assert_eq!(rig.state().await, "PAUSED_PLAYBACK");
    rig.play().await;
    rig.until("PLAYING").await;
    rig.av("Stop", &[]).await;
    assert_eq!(rig.state().await, "STOPPED");
    let position = rig.av("GetPositionInfo", &[]).await;
    assert_eq!((position["RelTime"].as_str(), position["TrackURI"].as_str()), ("0:00:00", url.as_str()));
    rig.set("", "").await;
    assert_eq!(rig.state().await, "NO_MEDIA_PRESENT");
    rig.av("Stop", &[]).await;
    told.until("TransportState", "NO_MEDIA_PRESENT").await;
    assert_eq!(told.last("AVTransportURI").as_deref(), Some(""));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_shown_while_it_plays_and_an_empty_uri_never_plays_it() {
    let (rig, web) = (Rig::new().await, Web::start(HashMap::new()));
    let what = Playable::Shelf(TrackId(1));
    let entry = NewEntry { what, shown: Default::default(), said: None, hints: Default::default() };
    rig.send(Command::Add { entries: vec![entry], at: At::End, play: false }).await;
    assert_eq!(rig.state().await, "STOPPED");
    let info = rig.av("GetPositionInfo", &[]).await;
    assert_eq!(info["TrackURI"], format!("http://192.168.7.1:8200/media/1-{}", rig.mark));
    assert!(info["TrackMetaData"].contains("http://192.168.7.1:8200/media/1/cover/600.jpg"), "{info:?}");
    assert_eq!(info["Track"], "1");

    let url = web.wav(60_000, 44_100, 1);
    rig.start(&url).await;
    assert_eq!(rig.snapshot().queue.entries.len(), 1, "the queue is untouched");
    rig.set("", "").await;
    assert_eq!(rig.state().await, "NO_MEDIA_PRESENT");
    assert_eq!(rig.av("GetMediaInfo", &[]).await["CurrentURI"], "");
    // What waits in the queue is not an app's to move or play.
    let seek = [("Unit", "REL_TIME"), ("Target", "0:00:01")];
    let place = rig.snapshot().place;
    for (action, given) in
        [("Play", &[("Speed", "1")][..]), ("Next", &[]), ("Previous", &[]), ("Seek", &seek)]
    {
        assert_eq!(rig.call("transport", action, given).await.err(), Some(701), "{action}");
    }
    assert_eq!((rig.state().await.as_str(), rig.snapshot().place), ("NO_MEDIA_PRESENT", place));
    // While the queue is the source, an empty URI changes nothing.
    rig.send(Command::Play(place)).await;
    rig.until("PLAYING").await;
    rig.set("", "").await;
    assert_eq!(rig.snapshot().source, Source::Queue);
    assert!(rig.av("GetMediaInfo", &[]).await["CurrentURI"].contains("/media/1-"));
    assert_ne!(rig.state().await, "NO_MEDIA_PRESENT");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_of_our_own_shelf_is_that_track_wherever_the_box_was() {
    let rig = Rig::new().await;
    let told = rig.listen("transport");
    let said = rig::didl("Mine", "x");
    for (starts, host) in [(1, "192.168.7.1:8200"), (2, "10.1.2.3:8207")] {
        let url = rig.own(host);
        rig.set(&url, &said).await;
        assert_eq!(rig.snapshot().entry().expect("on the deck").what, Playable::Shelf(TrackId(1)));
        rig.play().await;
        told.until("CurrentTrackURI", &url).await;
        let info = rig.av("GetMediaInfo", &[]).await;
        assert_eq!((&info["CurrentURI"], &info["CurrentURIMetaData"]), (&url, &said), "as the app said");
        rig::until("it sounds", || (rig.snapshot().starts == starts).then_some(())).await;
        rig.until("STOPPED").await;
    }
    // Nobody listens there: it was read from the shelf.
    let gone = rig.own("10.1.2.3:8207").replace("/1-", "/99-");
    let refused = rig.call("transport", "SetAVTransportURI", &[("CurrentURI", &gone)]).await;
    assert_eq!(refused, Err(716));
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_call_is_refused_with_the_code_of_the_table() {
    let rig = Rig::new().await;
    let uri = |uri| [("CurrentURI", uri), ("CurrentURIMetaData", "")];
    let long = format!("http://10.0.0.2/{}", "a".repeat(9000));
    for (action, given, code) in [
        ("SetAVTransportURI", &uri("ftp://10.0.0.2/a.flac")[..], 716),
        ("SetAVTransportURI", &uri("file:///etc/passwd"), 716),
        ("SetAVTransportURI", &uri("x-rincon:1"), 716),
        ("SetAVTransportURI", &uri(&long), 605),
        ("SetAVTransportURI", &[("CurrentURIMetaData", "")], 402),
        ("SetNextAVTransportURI", &[("NextURI", "http://10.0.0.2/a.flac")], 701),
        ("Play", &[("InstanceID", "1"), ("Speed", "1")], 718),
        ("Play", &[("Speed", "2")], 717),
        ("Play", &[("Speed", "1")], 701),
        ("Next", &[], 701),
        ("Seek", &[("Unit", "REL_TIME"), ("Target", "0:00:01")], 701),
        ("Seek", &[("Unit", "ABS_COUNT"), ("Target", "1")], 710),
        ("Seek", &[("Unit", "TRACK_NR"), ("Target", "2")], 711),
        ("Seek", &[("Unit", "REL_TIME"), ("Target", "-0:00:01")], 711),
        ("SetPlayMode", &[("NewPlayMode", "INTRO")], 712),
        ("Record", &[], 401),
    ] {
        assert_eq!(rig.call("transport", action, given).await, Err(code), "{action} {given:?}");
    }
    // An empty next takes back nothing, which is fine.
    rig.set_next("", "").await;
    let connection = rig.call("connection-manager", "GetProtocolInfo", &[]).await.expect("answered");
    assert_eq!(connection["Source"], "");
    for way in ["http-get:*:audio/flac:*", "http-get:*:audio/x-flac:*", "http-get:*:audio/mp4:*"] {
        assert!(connection["Sink"].split(',').any(|known| known == way), "{way}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_play_mode_is_that_of_the_box() {
    let rig = Rig::new().await;
    let told = rig.listen("transport");
    for mode in ["REPEAT_ALL", "REPEAT_ONE", "SHUFFLE", "NORMAL"] {
        rig.av("SetPlayMode", &[("NewPlayMode", mode)]).await;
        assert_eq!(rig.av("GetTransportSettings", &[]).await["PlayMode"], mode);
        told.until("CurrentPlayMode", mode).await;
    }
    rig.send(Command::SetShuffle(true)).await;
    told.until("CurrentPlayMode", "SHUFFLE").await;
    rig.end().await;
}
