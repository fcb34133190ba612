//! Positions, seeks, and what a URL says of itself where no app said anything.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use konpo::error::Kind;
use konpo::hifi::command::QueueId;
use konpo::offer::{Caller, Via};
use lofty::config::WriteOptions;
use lofty::picture::{MimeType, Picture, PictureType};
use lofty::tag::{Accessor, TagExt};

use crate::renderer::rig::{Rig, TONE, Web, didl, until};

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_a_seek_is_taken_and_the_position_only_grows() {
    let (rig, web) = (Rig::new().await, Web::start(HashMap::new()));
    rig.start(&web.wav(120_000, 44_100, 1)).await;
    until("it is open", || rig.snapshot().signal.is_some().then_some(())).await;
    assert_eq!(rig.av("GetPositionInfo", &[]).await["TrackDuration"], "0:02:00");
    rig.av("Pause", &[]).await;
    let place = async || rig.av("GetPositionInfo", &[]).await["RelTime"].clone();
    for (unit, target, want) in [
        ("REL_TIME", "0:00:12", "0:00:12"),
        ("ABS_TIME", "00:01:02.500", "0:01:02"),
        ("REL_TIME", "+0:00:20", "0:00:20"),
        ("REL_TIME", "0:00:10.1/2", "0:00:10"),
        ("REL_TIME", "00:00:12,000", "0:00:12"),
        ("REL_TIME", "1:15", "0:01:15"),
        ("REL_TIME", "42", "0:00:42"),
        ("TRACK_NR", "1", "0:00:00"),
    ] {
        rig.av("Seek", &[("Unit", unit), ("Target", target)]).await;
        assert_eq!(place().await, want, "{unit} {target}");
    }
    let beyond = rig.call("transport", "Seek", &[("Unit", "REL_TIME"), ("Target", "0:02:01")]).await;
    assert_eq!(beyond, Err(711));
    rig.play().await;
    let (begun, mut last) = (Instant::now(), String::new());
    while begun.elapsed() < Duration::from_secs(2) {
        let now = place().await;
        assert!(now >= last, "{now} after {last}");
        last = now;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(last.as_str() >= "0:00:01", "{last}");
    // While stopped it is remembered for the next Play.
    rig.av("Stop", &[]).await;
    rig.av("Seek", &[("Unit", "REL_TIME"), ("Target", "0:01:00")]).await;
    assert_eq!((rig.state().await.as_str(), place().await.as_str()), ("STOPPED", "0:01:00"));
    rig.play().await;
    rig.until("PLAYING").await;
    assert!(place().await.as_str() >= "0:01:00", "{}", place().await);
    rig.end().await;
}

/// An app that goes on where it was sends all three at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_seek_while_it_is_being_opened_is_where_it_begins() {
    let (rig, web) = (Rig::new().await, Web::start(HashMap::new()));
    rig.set(&web.wav(120_000, 44_100, 1), "").await;
    rig.play().await;
    rig.av("Seek", &[("Unit", "REL_TIME"), ("Target", "0:00:30")]).await;
    rig.until("PLAYING").await;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        let place = rig.av("GetPositionInfo", &[]).await["RelTime"].clone();
        assert!(place.as_str() >= "0:00:30" && place.as_str() < "0:00:35", "{place}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_without_metadata_gets_title_artist_and_cover_from_its_own_tags() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("song.flac");
    std::fs::write(&path, TONE).expect("written");
    let mut tag = lofty::tag::Tag::new(lofty::tag::TagType::VorbisComments);
    tag.set_title("R&B <1>".into());
    tag.set_artist("Singer".into());
    tag.set_album("Album".into());
    let front =
        Picture::unchecked(PNG.to_vec()).pic_type(PictureType::CoverFront).mime_type(MimeType::Png).build();
    tag.push_picture(front);
    tag.save_to_path(&path, WriteOptions::default()).expect("tagged");
    let file = std::fs::read(&path).expect("tagged");
    let (rig, web) = (Rig::new().await, Web::start(HashMap::from([("/song.flac".to_owned(), file)])));
    let (url, told) = (format!("{}/song.flac", web.at), rig.listen("transport"));
    rig.set(&url, "").await;
    let shown = rig.av("GetPositionInfo", &[]).await["TrackMetaData"].clone();
    assert!(shown.contains("<dc:title>song.flac</dc:title>"), "{shown}");
    rig.play().await;
    let of = async |words: &str| {
        let shown = || told.last("CurrentTrackMetaData").filter(|shown| shown.contains(words)).map(drop);
        until(&format!("{words} is told"), shown).await;
    };
    of("<dc:title>R&amp;B &lt;1&gt;</dc:title>").await;
    of("<upnp:artist>Singer</upnp:artist>").await;
    of("<upnp:album>Album</upnp:album>").await;
    assert_eq!(rig.av("GetMediaInfo", &[]).await["CurrentURIMetaData"], "", "the app said nothing");
    let id = rig.snapshot().current.expect("on the deck");
    of(&format!("<upnp:albumArtURI>http://192.168.7.1:8200/media/entry/{}/cover/600.jpg<", id.0)).await;
    let room = rig.hifi.of(Caller::room(Via::Upnp));
    let size = || "600".parse().expect("a size");
    let cover = room.cover_of_entry(id, size()).await.expect("its cover");
    assert!(cover.jpeg.starts_with(b"\xff\xd8") && cover.etag.ends_with("-600\""), "{}", cover.etag);
    let none = room.cover_of_entry(QueueId(id.0 + 1), size()).await.expect_err("no such entry");
    assert_eq!(none.kind(), Kind::NotFound);
    // An app's own words stay.
    rig.set(&url, &didl("Theirs", &url)).await;
    rig.play().await;
    rig.until("STOPPED").await;
    assert_eq!(rig.av("GetPositionInfo", &[]).await["TrackMetaData"], didl("Theirs", &url));
    rig.end().await;
}

const PNG: &[u8] = include_bytes!("../../fuzz/corpus/picture/plain.png");
