//! Ten faults of other renderers, each named by what its owner saw (reference upnp 7.6).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use konpo::hifi::state::{Source, Transport};
use konpo::wire::strict::is_whole;

use crate::renderer::rig::{Rig, Web, didl};

async fn both() -> (Rig, Web) {
    (Rig::new().await, Web::start(HashMap::new()))
}

/// The players that fetch the next track only when the current URI changed would stop after the second one.
#[tokio::test(flavor = "multi_thread")]
async fn bug_1_the_app_stalls_because_the_next_uri_never_becomes_the_current_one() {
    let (rig, web) = both().await;
    let (one, two) = (web.wav(1500, 44_100, 1), web.wav(60_000, 44_100, 2));
    let told = rig.listen("transport");
    rig.start(&one).await;
    rig.set_next(&two, &didl("Two", &two)).await;
    assert_eq!(rig.av("GetMediaInfo", &[]).await["NextURI"], two);
    rig.until_uri(&two).await;
    let media = rig.av("GetMediaInfo", &[]).await;
    assert_eq!((&media["CurrentURI"], media["NextURI"].as_str()), (&two, ""));
    assert_eq!(media["CurrentURIMetaData"], didl("Two", &two));
    told.until("AVTransportURI", &two).await;
    told.until("NextAVTransportURI", "").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bug_2_two_tracks_are_skipped_because_a_next_outlives_a_new_uri_or_a_stop() {
    let (rig, web) = both().await;
    let long = |number| web.wav(60_000, 44_100, number);
    rig.start(&long(1)).await;
    rig.set_next(&long(2), "").await;
    rig.set(&long(3), "").await;
    assert_eq!(rig.av("GetMediaInfo", &[]).await["NextURI"], "");
    rig.set_next(&long(4), "").await;
    rig.av("Stop", &[]).await;
    let media = rig.av("GetMediaInfo", &[]).await;
    assert_eq!((media["NextURI"].as_str(), &media["CurrentURI"]), ("", &long(3)));
    // One that is taken while stopped, and taken back.
    rig.set_next(&long(5), "").await;
    assert_eq!(rig.av("GetMediaInfo", &[]).await["NextURI"], long(5));
    rig.set_next("", "").await;
    assert_eq!(rig.av("GetMediaInfo", &[]).await["NextURI"], "");
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bug_3_the_old_track_goes_on_because_a_new_uri_while_playing_is_ignored() {
    let (rig, web) = both().await;
    let told = rig.listen("transport");
    rig.start(&web.wav(60_000, 44_100, 1)).await;
    told.until("TransportState", "PLAYING").await;
    let (second, third) = (web.wav(60_000, 44_100, 2), web.wav(60_000, 44_100, 3));
    rig.set(&second, "").await;
    assert_ne!(rig.state().await, "STOPPED");
    rig.until("PLAYING").await;
    assert_eq!(rig.snapshot().starts, 2, "it sounds without another Play");
    told.until("CurrentTrackURI", &second).await;
    let states = told.all("TransportState");
    let first = states.iter().position(|state| state == "PLAYING").expect("it played");
    assert!(!states[first..].contains(&"STOPPED".to_owned()), "{states:?}");
    // While paused it stays paused, and the next Play plays the new one.
    rig.av("Pause", &[]).await;
    rig.set(&third, "").await;
    assert_eq!(rig.state().await, "PAUSED_PLAYBACK");
    rig.play().await;
    rig.until("PLAYING").await;
    assert_eq!(rig.av("GetPositionInfo", &[]).await["TrackURI"], third);
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bug_4_every_track_plays_twice_because_stopped_is_told_between_them() {
    let (rig, web) = both().await;
    let (one, two) = (web.wav(1000, 44_100, 1), web.wav(60_000, 44_100, 2));
    rig.set(&one, &didl("One", &one)).await;
    rig.set_next(&two, &didl("Two", &two)).await;
    rig.play().await;
    rig.until("PLAYING").await;
    let told = rig.listen("transport");
    rig.until_uri(&two).await;
    told.until("AVTransportURI", &two).await;
    let states = told.all("TransportState");
    assert!(states.iter().all(|state| state == "PLAYING"), "{states:?}");
    // All of it in one event.
    let events = told.told();
    let event = events.iter().skip(1).find(|event| event.contains(&("AVTransportURI".into(), two.clone())));
    let event: HashMap<_, _> = event.expect("the change").iter().cloned().collect();
    for (name, value) in [
        ("AVTransportURIMetaData", didl("Two", &two).as_str()),
        ("CurrentTrackURI", &two),
        ("CurrentTrackMetaData", &didl("Two", &two)),
        ("CurrentTrackDuration", "0:01:00"),
        ("NextAVTransportURI", ""),
        ("NextAVTransportURIMetaData", ""),
    ] {
        assert_eq!(event.get(name).map(String::as_str), Some(value), "{name}");
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bug_5_nothing_plays_because_metadata_is_empty_or_broken() {
    let (rig, web) = both().await;
    let url = web.wav(60_000, 44_100, 1);
    let cut = &didl("Cut", &url)[..200];
    for junk in ["", "NOT_IMPLEMENTED", ".", "<", "&lt;DIDL-Lite&gt;", "<DIDL-Lite><item>", "R&B \u{1}", cut]
    {
        rig.set(&url, junk).await;
        rig.play().await;
        rig.until("PLAYING").await;
        let media = rig.av("GetMediaInfo", &[]).await;
        assert_eq!(media["CurrentURIMetaData"], junk, "byte for byte");
        let shown = rig.av("GetPositionInfo", &[]).await["TrackMetaData"].clone();
        assert!(is_whole(&shown, "DIDL-Lite") && shown.contains("1.wav"), "{junk}: {shown}");
        rig.av("Stop", &[]).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bug_6_events_are_dropped_because_what_an_app_said_breaks_them() {
    let (rig, web) = both().await;
    let url = web.wav(60_000, 44_100, 1);
    let told = rig.listen("transport");
    let unbound = didl("Unbound", &url).replace("<upnp:class>", "<sec:x/><upnp:class>");
    let bare = didl("R&B", &format!("{url}?a=1&b=2"));
    for (said, title) in [(unbound.as_str(), "Unbound"), (&bare, "R&amp;B"), ("<DIDL-Lite><item>", "1.wav")] {
        rig.set(&url, said).await;
        let wanted = format!("<dc:title>{title}</dc:title>");
        for name in ["CurrentTrackMetaData", "AVTransportURIMetaData"] {
            super::rig::until(&wanted, || {
                told.last(name)
                    .filter(|shown| shown.contains(&wanted) && is_whole(shown, "DIDL-Lite"))
                    .map(drop)
            })
            .await;
        }
        assert_eq!(
            rig.av("GetMediaInfo", &[]).await["CurrentURIMetaData"],
            said,
            "whoever asks gets it as it was"
        );
    }
    // What every reader takes is told as it was, tabs and line ends too.
    let fine = didl("Fine &amp; \"good\"", &url);
    assert!(fine.contains("\n\t"));
    rig.set(&url, &fine).await;
    for name in ["CurrentTrackMetaData", "AVTransportURIMetaData"] {
        told.until(name, &fine).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bug_7_the_renderer_hangs_in_transitioning_or_plays_nothing_for_ever() {
    let (rig, web) = both().await;
    let told = rig.listen("transport");
    // A server that never answers: what is wished for next counts at once.
    rig.set(&format!("{}/silent", web.at), "").await;
    rig.play().await;
    assert_eq!(rig.state().await, "TRANSITIONING");
    told.until("TransportState", "TRANSITIONING").await;
    let begun = Instant::now();
    rig.av("Stop", &[]).await;
    assert_eq!(rig.state().await, "STOPPED");
    rig.start(&web.wav(60_000, 44_100, 1)).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    // One that is not there: stopped, and it is said.
    let missing = format!("{}/missing.mp3", web.at);
    rig.set(&missing, "").await;
    rig.until("STOPPED").await;
    assert_eq!(rig.av("GetTransportInfo", &[]).await["CurrentTransportStatus"], "ERROR_OCCURRED");
    told.until("TransportStatus", "ERROR_OCCURRED").await;
    assert_eq!(rig.av("GetMediaInfo", &[]).await["CurrentURI"], missing);
    // Play is no no-op after that, and a new URI ends the trouble.
    rig.play().await;
    super::rig::until("it is asked for again", || {
        (web.asked().iter().filter(|path| *path == "/missing.mp3").count() > 1).then_some(())
    })
    .await;
    rig.until("STOPPED").await;
    rig.start(&web.wav(60_000, 44_100, 2)).await;
    assert_eq!(rig.av("GetTransportInfo", &[]).await["CurrentTransportStatus"], "OK");
    told.until("TransportStatus", "OK").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bug_8_the_app_drops_the_renderer_because_a_pause_is_refused() {
    let (rig, web) = both().await;
    rig.av("Pause", &[]).await;
    rig.set(&web.wav(60_000, 44_100, 1), "").await;
    rig.av("Pause", &[]).await;
    assert_eq!(rig.state().await, "STOPPED");
    // While it is being opened: remembered, and held after the start.
    rig.play().await;
    rig.av("Pause", &[]).await;
    assert_eq!(rig.state().await, "PAUSED_PLAYBACK");
    super::rig::until("it is open", || rig.snapshot().signal.is_some().then_some(())).await;
    assert_eq!(rig.state().await, "PAUSED_PLAYBACK");
    rig.play().await;
    rig.until("PLAYING").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bug_9_the_app_shows_the_old_place_because_a_seek_is_not_told_and_a_key_is_missing() {
    let (rig, web) = both().await;
    let told = rig.listen("transport");
    rig.start(&web.wav(60_000, 44_100, 1)).await;
    told.until("TransportState", "PLAYING").await;
    super::rig::until("it is open", || rig.snapshot().signal.is_some().then_some(())).await;
    let before = told.all("TransportState").len();
    rig.av("Seek", &[("Unit", "REL_TIME"), ("Target", "0:00:30")]).await;
    assert_eq!(rig.av("GetPositionInfo", &[]).await["RelTime"], "0:00:30");
    super::rig::until("the seek is told", || (told.all("TransportState").len() > before).then_some(())).await;
    assert_eq!(told.last("TransportState").as_deref(), Some("PLAYING"));
    // Neither a short move nor the start again at once is swallowed.
    for (unit, target) in [("REL_TIME", "0:00:30.5"), ("REL_TIME", "0:00:00.8"), ("TRACK_NR", "1")] {
        let before = told.all("TransportState").len();
        rig.av("Seek", &[("Unit", unit), ("Target", target)]).await;
        super::rig::until(target, || (told.all("TransportState").len() > before).then_some(())).await;
    }
    // A pause and a seek behind it: the old place is not shown for a moment.
    rig.av("Pause", &[]).await;
    rig.av("Seek", &[("Unit", "ABS_TIME"), ("Target", "0:00:10")]).await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(500) {
        let info = rig.av("GetPositionInfo", &[]).await;
        assert_eq!((info["RelTime"].as_str(), info["AbsTime"].as_str()), ("0:00:10", "0:00:10"));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Both keys are there: the start again, and the end of what has no next.
    rig.play().await;
    rig.av("Previous", &[]).await;
    rig.until("PLAYING").await;
    assert_eq!(rig.av("GetPositionInfo", &[]).await["RelTime"], "0:00:00");
    rig.av("Next", &[]).await;
    assert_eq!(rig.state().await, "STOPPED");
    told.until("TransportState", "STOPPED").await;
    let before = told.all("TransportState").len();
    rig.av("Seek", &[("Unit", "REL_TIME"), ("Target", "0:00:10")]).await;
    super::rig::until("told while stopped", || (told.all("TransportState").len() > before).then_some(()))
        .await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bug_10_the_same_song_twice_or_a_server_that_is_gone_breaks_the_change() {
    let (rig, web) = both().await;
    let url = web.wav(1200, 44_100, 1);
    let told = rig.listen("transport");
    rig.set(&url, "").await;
    rig.set_next(&url, "").await;
    rig.play().await;
    super::rig::until("the first", || (rig.snapshot().starts == 1).then_some(())).await;
    super::rig::until("the second", || (rig.snapshot().starts == 2).then_some(())).await;
    let position = rig.av("GetPositionInfo", &[]).await;
    assert_eq!((position["RelTime"].as_str(), &position["TrackURI"]), ("0:00:00", &url));
    super::rig::until("it is told again", || (told.all("AVTransportURI").len() >= 3).then_some(())).await;
    rig.until("STOPPED").await;
    let state = rig.snapshot();
    assert_eq!((state.starts, state.transport), (2, Transport::Stopped));
    let Source::Guest { next: None, .. } = state.source else { panic!("{:?}", state.source) };
    assert_eq!(web.asked().len(), 2, "each instance was fetched: {:?}", web.asked());
    rig.end().await;
}
