use super::*;
use crate::hifi::command::QueueId;
use crate::track::TrackId;
use proptest::prelude::*;

const URL: &str = "http://10.0.0.9/a.flac?x=1&y=2";
const DIDL: &str = r#"<DIDL-Lite xmlns="urn:schemas-upnp-org:metadata-1-0/DIDL-Lite/" xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:upnp="urn:schemas-upnp-org:metadata-1-0/upnp/"><item id="1" parentID="0" restricted="1"><dc:title>Song &amp; Dance</dc:title>
    <upnp:class>object.item.audioItem.musicTrack</upnp:class><dc:creator>Creator</dc:creator><upnp:artist>Singer</upnp:artist>
    <upnp:album>Album</upnp:album><upnp:genre>Jazz</upnp:genre><upnp:originalTrackNumber>3</upnp:originalTrackNumber>
    <upnp:albumArtURI>http://10.0.0.9/c.jpg</upnp:albumArtURI>
    <res protocolInfo="http-get:*:audio/mpeg:*" duration="0:09:09">http://10.0.0.9/a.mp3</res>
    <res protocolInfo="http-get:*:audio/flac:*" duration="0:03:21.5">http://10.0.0.9/a.flac?x=1&amp;y=2</res></item></DIDL-Lite>"#;

fn title(metadata: &str) -> Option<String> {
    read(URL, metadata).tags.title
}

#[test]
fn what_an_app_says_is_read() {
    let handed = read(URL, DIDL);
    let tags = &handed.tags;
    assert_eq!(tags.title.as_deref(), Some("Song & Dance"));
    assert_eq!((tags.artist.as_deref(), tags.album.as_deref()), (Some("Singer"), Some("Album")));
    assert_eq!(
        (tags.artists.as_slice(), tags.genres.as_slice()),
        (&["Singer".into()][..], &["Jazz".into()][..])
    );
    assert_eq!((tags.track, handed.cover.as_deref()), (Some(3), Some("http://10.0.0.9/c.jpg")));
    assert_eq!(handed.length, Some(Millis(201_500)), "of the way that is played");
    assert_eq!(handed.class, "object.item.audioItem.musicTrack");
}

/// Reference upnp 7.3: each way in which apps write it.
#[test]
fn junk_says_nothing_and_near_misses_are_read() {
    for nothing in
        ["", " ", "NOT_IMPLEMENTED", ".", "<", "<DIDL-Lite/>", "null", "<html>", "\u{feff}", "a title"]
    {
        assert_eq!(read(URL, nothing), Handed::default(), "{nothing}");
        assert_eq!(entry(URL, nothing).said.as_deref(), Some(nothing).filter(|said| !said.is_empty()));
    }
    let twice = crate::wire::xml::escaped(DIDL).into_owned();
    let thrice = crate::wire::xml::escaped(&twice).into_owned();
    let want = Some("Song & Dance".to_owned());
    assert_eq!((title(&twice), title(&thrice)), (want.clone(), want.clone()));
    assert_eq!(title(&format!("\u{feff}<?xml version=\"1.0\"?><!-- x -->{DIDL}")), want);
    assert_eq!(title(&DIDL.replace("Song", "So\u{1}ng")), want);
    let bare = DIDL.replace("&amp;", "&");
    assert_eq!((title(&bare), read(URL, &bare).length), (want.clone(), Some(Millis(201_500))));
    let undeclared =
        "<DIDL-Lite><item><dc:title>A</dc:title><sec:x pv:y=\"1\"/><res>u</res></item></DIDL-Lite>";
    assert_eq!(title(undeclared).as_deref(), Some("A"));
    assert_eq!(title("<item><dc:title>A</dc:title></item>").as_deref(), Some("A"), "no root");
    let nested = "<DIDL-Lite><DIDL-Lite><item><title>A</title></item></DIDL-Lite></DIDL-Lite>";
    assert_eq!(title(nested).as_deref(), Some("A"));
    let cut = &DIDL[..DIDL.find("Album</upnp").expect("there")];
    assert_eq!((title(cut), read(URL, cut).tags.artist.as_deref()), (want, Some("Singer")));
    assert_eq!(read(URL, &DIDL.replace("http://10.0.0.9/c.jpg", "file:///etc/passwd")).cover, None);
    assert_eq!(read(URL, &DIDL.replace("Song &amp; Dance", " ")).tags.title, None);
}

fn on_deck(what: Playable, said: Option<&str>) -> Entry {
    let shown = Tags { title: Some("R&B <1>".into()), artist: Some("Singer".into()), ..Tags::default() };
    let said = said.map(Arc::from);
    let (shown, duration) = (Arc::new(shown), Millis(61_000));
    Entry {
        id: QueueId(4),
        what,
        shown,
        duration,
        said,
        named: None,
        cover: None,
        measured: Default::default(),
    }
}

#[test]
fn an_app_reads_its_own_words_again_unless_others_cannot_read_them() {
    let (host, mark) = (SocketAddrV4::new([10, 0, 0, 2].into(), 8200), Mark::of(uuid::Uuid::nil()));
    let url = Playable::Url(URL.into());
    assert_eq!(metadata(&on_deck(url.clone(), Some(DIDL)), host, mark), DIDL);
    for said in [None, Some("NOT_IMPLEMENTED"), Some("<DIDL-Lite><item><x:y/></item></DIDL-Lite>")] {
        let text = metadata(&on_deck(url.clone(), said), host, mark);
        assert!(is_readable(&text), "{text}");
        let handed = read(URL, &text);
        assert_eq!(handed.tags.title.as_deref(), Some("R&B <1>"), "{text}");
        assert_eq!((handed.length, handed.cover), (Some(Millis(61_000)), None));
    }
    let shelf = on_deck(Playable::Shelf(TrackId(12)), None);
    let handed = read(&mark.url(host, TrackId(12), ""), &metadata(&shelf, host, mark));
    assert_eq!(handed.cover.as_deref(), Some("http://10.0.0.2:8200/media/12/cover/600.jpg"));
    assert_eq!(handed.length, Some(Millis(61_000)));
    let named = Entry { named: Some("http://10.0.0.7:1/media/12".into()), ..shelf };
    assert_eq!(super::url(&named, host, mark), "http://10.0.0.7:1/media/12", "as the app named it");
}

proptest! {
    #[test]
    fn nothing_that_is_handed_in_breaks_it(at in 0usize..1200, with in "[<>&/\"=a-z0-9 \u{1}é]{0,30}") {
        let at = (0..=at.min(DIDL.len())).rev().find(|&i| DIDL.is_char_boundary(i)).unwrap_or(0);
        let text = format!("{}{with}{}", &DIDL[..at], &DIDL[at..]);
        let kept = entry(URL, &text).said;
        prop_assert_eq!(kept.as_deref(), Some(text.as_str()));
        let _cut = read(URL, &DIDL[..at]);
        let written = on_deck(Playable::Url(URL.into()), Some(&text));
        let host = SocketAddrV4::new([10, 0, 0, 2].into(), 8200);
        prop_assert!(is_readable(&metadata(&written, host, Mark::of(uuid::Uuid::nil()))));
    }
}
