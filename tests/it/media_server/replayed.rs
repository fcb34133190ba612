//! Requests as devices send them, from their documents and reports (reference upnp 2.3 and 5.5): each finds what it looks for.

use std::collections::HashSet;

use http::{HeaderMap, HeaderValue};

use super::shelf::{Answer, Server, TRACKS};
use super::{Object, objects};

fn named(agent: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(http::header::USER_AGENT, HeaderValue::from_static(agent))])
}

/// Asks and reads what is listed; every list says truly how long it is.
async fn listed(
    server: &Server,
    agent: &'static str,
    action: &str,
    given: &[(&str, &str)],
) -> (Answer, Vec<Object>) {
    let answer =
        server.ask(action, given, &named(agent)).await.unwrap_or_else(|code| panic!("{agent}: {code}"));
    let read = objects(&answer["Result"]);
    assert_eq!(answer.number("NumberReturned"), read.len() as u64, "{agent}");
    (answer, read)
}

fn cover(object: &Object) -> (&str, &str) {
    let found = object.elements.iter().find(|(name, ..)| name == "upnp:albumArtURI");
    found.map(|(_, how, url)| (how["dlna:profileID"].as_str(), url.as_str())).expect("a cover")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_samsung_television_begins_at_its_own_container() {
    let server = Server::start().await;
    let tv = "SEC_HHP_[TV] Samsung Q60 Series (55)/1.0 UPnP/1.0";
    let features = server.ask("X_GetFeatureList", &[], &named(tv)).await.expect("answered");
    let features = &features["FeatureList"];
    assert!(
        features.contains("samsung.com_BASICVIEW") && features.contains("<container id=\"A\""),
        "{features}"
    );
    let given = [
        ("ObjectID", "A"),
        ("BrowseFlag", "BrowseDirectChildren"),
        ("Filter", "dc:title,res,res@duration,res@size,upnp:class,upnp:albumArtURI"),
        ("StartingIndex", "0"),
        ("RequestedCount", "30"),
        ("SortCriteria", ""),
    ];
    let (_, top) = listed(&server, tv, "Browse", &given).await;
    let plain: Vec<&str> = top.iter().filter_map(|object| object.text("upnp:class")).collect();
    assert!(
        !plain.is_empty() && plain.iter().all(|class| *class == "object.container.storageFolder"),
        "{plain:?}"
    );
    let mut songs = given;
    songs[0].1 = "tracks";
    let (answer, songs) = listed(&server, tv, "Browse", &songs).await;
    assert_eq!((answer.number("TotalMatches"), songs.len()), (TRACKS as u64, 30));
    let (profile, url) = cover(&songs[0]);
    assert!(profile == "JPEG_TN" && url.ends_with("/160.jpg"), "{url}");
    for empty in ["V", "I"] {
        let mut given = given;
        given[0].1 = empty;
        assert!(listed(&server, tv, "Browse", &given).await.1.is_empty(), "{empty}");
    }
    let bookmark = [("CategoryType", "BASICVIEW"), ("RID", "1"), ("ObjectID", "T1"), ("PosSecond", "12")];
    assert!(server.ask("X_SetBookmark", &bookmark, &named(tv)).await.expect("answered").is_empty());
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_xbox_searches_by_the_numbers_of_windows_media_connect() {
    let server = Server::start().await;
    let xbox = "Xbox/2.0.17559.0 UPnP/1.0 Xbox/2.0.17559.0";
    let search = async |id: &'static str, criteria: &'static str| {
        let given = [
            ("ContainerID", id),
            ("SearchCriteria", criteria),
            ("Filter", "dc:title,res,res@protection,res@duration,res@bitrate,upnp:genre,upnp:artist"),
            ("StartingIndex", "0"),
            ("RequestedCount", "1000"),
            ("SortCriteria", "+upnp:originalTrackNumber,+dc:title"),
        ];
        listed(&server, xbox, "Search", &given).await
    };
    let (all, songs) = search("4", "(upnp:class derivedfrom &quot;object.item.audioItem&quot;)").await;
    assert_eq!((all.number("TotalMatches"), songs.len()), (TRACKS as u64, 500), "the first page of all");
    for (id, criteria, class) in [
        ("7", "(upnp:class = \"object.container.album.musicAlbum\")", "object.container.album.musicAlbum"),
        (
            "6",
            "(upnp:class = \"object.container.person.musicArtist\")",
            "object.container.person.musicArtist",
        ),
        ("5", "(upnp:class = \"object.container.genre.musicGenre\")", "object.container.genre.musicGenre"),
    ] {
        let (_, found) = search(id, criteria).await;
        let classes: HashSet<&str> = found.iter().filter_map(|object| object.text("upnp:class")).collect();
        assert_eq!(classes, HashSet::from([class]), "{id}");
    }
    let (none, _) = search("F", "(upnp:class = \"object.container.playlistContainer\")").await;
    assert_eq!(none.number("TotalMatches"), 0, "there are no playlists");
    server.end().await;
}

/// HEOS shows what it finds once for each container it finds it as (reference upnp 2.3).
#[tokio::test(flavor = "multi_thread")]
async fn heos_pages_through_each_artist_and_album_once() {
    let server = Server::start().await;
    let heos = "LINUX UPnP/1.0 Denon-Heos/156000";
    for class in ["object.container.person.musicArtist", "object.container.album.musicAlbum"] {
        let criteria = format!("upnp:class = \"{class}\"");
        let (mut names, mut total) = (Vec::new(), 1);
        while (names.len() as u64) < total {
            let start = names.len().to_string();
            let given = [
                ("ContainerID", "0"),
                ("SearchCriteria", criteria.as_str()),
                (
                    "Filter",
                    "dc:title,upnp:albumArtURI,upnp:artist,container@searchable,avega_media_server:streaming",
                ),
                ("StartingIndex", &start),
                ("RequestedCount", "20"),
                ("SortCriteria", "+dc:title"),
            ];
            let (answer, found) = listed(&server, heos, "Search", &given).await;
            assert!(!found.is_empty() && found.len() <= 20, "{class} from {start}");
            assert!(found.iter().all(|object| object.attributes["searchable"] == "1"), "{class}");
            total = answer.number("TotalMatches");
            names.extend(found.iter().map(|object| (object.title().to_owned(), object.id().to_owned())));
        }
        let ids: HashSet<&str> = names.iter().map(|(_, id)| id.as_str()).collect();
        assert_eq!(ids.len() as u64, total, "{class}: one is there twice");
        assert!(
            names.windows(2).all(|pair| pair[0].0.to_lowercase() != pair[1].0.to_lowercase())
                || class.ends_with("Album")
        );
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn musiccast_asks_for_an_album_song_by_song() {
    let server = Server::start().await;
    let yamaha = "MusicCast/1.0 UPnP/1.0";
    let all = [("ObjectID", "albums"), ("BrowseFlag", "BrowseDirectChildren"), ("RequestedCount", "5")];
    let (_, albums) = listed(&server, yamaha, "Browse", &all).await;
    let album = albums.iter().find(|album| album.children() > 1).expect("a whole one");
    let page = async |start: u64, count: u64| {
        let (start, count) = (start.to_string(), count.to_string());
        let given = [
            ("ObjectID", album.id()),
            ("BrowseFlag", "BrowseDirectChildren"),
            ("Filter", "*"),
            ("StartingIndex", &start),
            ("RequestedCount", &count),
            ("SortCriteria", "+upnp:originalTrackNumber,+dc:title"),
        ];
        listed(&server, yamaha, "Browse", &given).await.1
    };
    let whole = page(0, 0).await;
    assert_eq!(whole.len() as u64, album.children());
    for (at, song) in (0..).zip(&whole) {
        assert_eq!(page(at, 1).await, std::slice::from_ref(song), "song {at}");
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_and_a_panasonic_get_what_they_need() {
    let server = Server::start().await;
    let windows = "Microsoft-Windows/10.0 UPnP/1.0 Microsoft-DLNA DLNADOC/1.50";
    let given = [
        ("ContainerID", "0"),
        ("SearchCriteria", "upnp:class derivedfrom \"object.item.audioItem\" and @refID exists false"),
        ("Filter", "*"),
        ("StartingIndex", "0"),
        ("RequestedCount", "200"),
        ("SortCriteria", ""),
    ];
    let (answer, found) = listed(&server, windows, "Search", &given).await;
    assert_eq!((answer.number("TotalMatches"), found.len()), (TRACKS as u64, 200));
    assert!(found.iter().all(|song| !song.attributes.contains_key("refID")));
    let panasonic = "Panasonic MIL DLNA CP UPnP/1.0 DLNADOC/1.50";
    let given = [
        ("ObjectID", "tracks"),
        ("BrowseFlag", "BrowseDirectChildren"),
        ("RequestedCount", "10"),
        ("SortCriteria", "+upnp:class,+res@resolution"),
    ];
    let (_, found) = listed(&server, panasonic, "Browse", &given).await;
    let (_, plain) =
        listed(&server, "any", "Browse", &[&given[..3], &[("SortCriteria", "+dc:title")]].concat()).await;
    let titles = |all: &[Object]| all.iter().map(|object| object.title().to_owned()).collect::<Vec<_>>();
    assert_eq!(titles(&found), titles(&plain), "by title, whatever it asks for");
    let (profile, url) = cover(&found[0]);
    assert!(profile == "JPEG_TN" && url.ends_with(".jpg"), "{url}");
    server.end().await;
}
