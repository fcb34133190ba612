//! The media server over a made shelf of 1,000 tracks, without a network: calls go straight into the service, requests for
//! files straight into the router.

mod replayed;
mod shelf;

use std::collections::{BTreeMap, HashMap, HashSet};

use http::{HeaderMap, HeaderValue, StatusCode};
use konpo::upnp::content_directory::tree::LONGEST;
use quick_xml::events::Event;
use shelf::{Answer, HOSTILE, Server, TRACKS, songs};

/// An object of an answer as a strict reader sees it.
#[derive(Debug, Clone, Default, PartialEq)]
struct Object {
    is_item: bool,
    attributes: BTreeMap<String, String>,
    /// Name, attributes and text of every element.
    elements: Vec<(String, BTreeMap<String, String>, String)>,
}

impl Object {
    fn id(&self) -> &str {
        &self.attributes["id"]
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.elements.iter().find(|(known, ..)| known == name).map(|(_, _, text)| text.as_str())
    }

    fn title(&self) -> &str {
        self.text("dc:title").expect("every object has a title")
    }

    fn children(&self) -> u64 {
        self.attributes["childCount"].parse().expect("a number")
    }
}

/// Reads a listing as a reader does that forgives nothing.
fn objects(didl: &str) -> Vec<Object> {
    let mut reader = quick_xml::reader::Reader::from_str(didl);
    reader.config_mut().check_end_names = true;
    let (mut all, mut open): (Vec<Object>, Option<Object>) = (Vec::new(), None);
    loop {
        match reader.read_event().unwrap_or_else(|error| panic!("{error}: {didl}")) {
            Event::Start(tag) => {
                let name = tag.name().as_ref().to_owned();
                let attributes = tag.attributes().map(|attribute| {
                    let attribute = attribute.expect("well formed");
                    let value = konpo::wire::xml::unescape(&attribute.value);
                    (attribute.key.as_ref().to_owned(), value)
                });
                let attributes: BTreeMap<String, String> = attributes.collect();
                let is_item = name == "item";
                if is_item || name == "container" {
                    open = Some(Object { is_item, attributes, elements: Vec::new() });
                } else if let Some(object) = &mut open {
                    object.elements.push((name, attributes, String::new()));
                }
            }
            Event::Text(piece) => {
                open.iter_mut().flat_map(|o| o.elements.last_mut()).for_each(|e| e.2.push_str(&piece))
            }
            Event::GeneralRef(name) => {
                let text = konpo::wire::xml::entity(&name);
                open.iter_mut().flat_map(|o| o.elements.last_mut()).for_each(|e| e.2.push_str(&text));
            }
            Event::End(tag) if matches!(tag.name().as_ref(), "item" | "container") => all.extend(open.take()),
            Event::End(_) => {}
            Event::Eof => return all,
            other => panic!("{other:?}"),
        }
    }
}

/// Returns everything in a container, in pages of so many.
async fn children(server: &Server, id: &str, page: u32) -> Vec<Object> {
    let mut all = Vec::new();
    loop {
        let answer = server.browse(id, "BrowseDirectChildren", all.len(), page).await.expect(id);
        let read = objects(&answer["Result"]);
        assert_eq!(answer.number("NumberReturned"), read.len() as u64, "{id}");
        all.extend(read);
        let total = answer.number("TotalMatches");
        if all.len() as u64 >= total {
            assert_eq!(all.len() as u64, total, "{id}");
            return all;
        }
        assert!(answer.number("NumberReturned") > 0, "{id}");
    }
}

async fn alone(server: &Server, id: &str) -> Object {
    let answer = server.browse(id, "BrowseMetadata", 0, 0).await.expect(id);
    assert_eq!((answer.number("NumberReturned"), answer.number("TotalMatches")), (1, 1), "{id}");
    objects(&answer["Result"]).remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_tree_is_walked_and_every_object_is_what_its_container_shows() {
    let server = Server::start().await;
    let (mut left, mut seen, mut tracks) = (vec!["0".to_owned()], HashSet::new(), HashSet::new());
    let root = alone(&server, "0").await;
    assert_eq!((root.attributes["parentID"].as_str(), root.title()), ("-1", "Test <1>"));
    let mut checked = 0;
    while let Some(id) = left.pop() {
        let all = children(&server, &id, 100).await;
        for (place, object) in all.iter().enumerate() {
            assert!(seen.insert(object.id().to_owned()) || is_home(object), "{} is there twice", object.id());
            assert_eq!(object.attributes["parentID"], id, "{object:?}");
            assert_eq!(object.attributes["restricted"], "1");
            assert!(object.id().len() <= LONGEST && !object.id().contains([',', '"', '&', ' ']));
            assert!(!object.title().is_empty() && object.text("upnp:class").is_some());
            if object.is_item {
                tracks.insert(object.attributes.get("refID").map_or(object.id(), String::as_str).to_owned());
            } else {
                left.push(object.id().to_owned());
            }
            // Each container, and of the tracks the first of each.
            if !object.is_item || place == 0 {
                let alone = alone(&server, object.id()).await;
                let (mut one, mut other) = (alone, object.clone());
                if is_home(object) {
                    // Shown below a list as well as in its own place.
                    one.attributes.remove("parentID");
                    other.attributes.remove("parentID");
                }
                assert_eq!(one, other);
                checked += 1;
            }
            if !object.is_item && checked % 7 == 0 {
                let count = children(&server, object.id(), 500).await.len() as u64;
                assert_eq!(object.children(), count, "{}", object.id());
            }
        }
    }
    assert_eq!(tracks.len(), TRACKS, "every track that can be played, and no other");
    println!("{} objects, {checked} of them also asked alone", seen.len());
    server.end().await;
}

/// Folders and headings have one id wherever they are shown.
fn is_home(object: &Object) -> bool {
    object.id().starts_with('F') && !object.id().contains('@')
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_size_are_parts_of_one_list() {
    let server = Server::start().await;
    for id in ["tracks", "albums", "artists", "everyone", "0", "recent"] {
        let whole = children(&server, id, 500).await;
        for page in [7, 100, 0] {
            assert_eq!(children(&server, id, page).await, whole, "{id} by {page}");
        }
        let one = server.browse(id, "BrowseDirectChildren", whole.len() / 2, 1).await.expect("one");
        assert_eq!(objects(&one["Result"])[..], whole[whole.len() / 2..=whole.len() / 2]);
        let beyond = server.browse(id, "BrowseDirectChildren", whole.len() + 5, 10).await.expect("none");
        assert_eq!((beyond.number("NumberReturned"), beyond.number("TotalMatches")), (0, whole.len() as u64));
        assert!(objects(&beyond["Result"]).is_empty() && beyond["Result"].contains("DIDL-Lite"));
    }
    assert_eq!(children(&server, "tracks", 500).await.len(), TRACKS);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_the_same_after_a_restart_and_a_rescan() {
    let server = Server::start().await;
    let ids =
        |all: Vec<Object>| all.into_iter().map(|object| (object.title().to_owned(), object.id().to_owned()));
    let mut before = Vec::new();
    for id in ["tracks", "albums", "artists", "genres", "composers", "years", "folders"] {
        before.extend(ids(children(&server, id, 500).await));
    }
    let server = server.again().await;
    let mut after = Vec::new();
    for id in ["tracks", "albums", "artists", "genres", "composers", "years", "folders"] {
        after.extend(ids(children(&server, id, 500).await));
    }
    assert_eq!(before, after);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_find_each_thing_once_and_in_its_own_place() {
    let server = Server::start().await;
    let class = |class: &str| format!("upnp:class derivedfrom \"{class}\"");
    let item = class("object.item.audioItem");
    let all = songs();
    let count = |test: &dyn Fn(&shelf::Song) -> bool| all.iter().filter(|song| test(song)).count() as u64;
    let has = |text: &str, part: &str| text.to_lowercase().contains(part);
    let artists: HashSet<&str> = all.iter().map(|song| song.artist.as_str()).collect();
    let albums: HashSet<(&str, &str)> =
        all.iter().map(|song| (song.album_artist.as_str(), song.album.as_str())).collect();
    let named = |part: &str| artists.iter().filter(|name| has(name, part)).count() as u64;
    // The bought song has words of its own.
    let made = format!("{item} and dc:title contains \"song\"");
    let songs = |test: &dyn Fn(&shelf::Song) -> bool| count(&|s| has(&s.title, "song") && test(s));
    let album = "upnp:class = \"object.container.album.musicAlbum\"";
    for (criteria, want) in [
        (format!("({item} and dc:title contains \"song 7\")"), count(&|s| has(&s.title, "song 7"))),
        (
            format!("({item} and (dc:creator contains \"artist 1\" or upnp:artist contains \"artist 1\"))"),
            count(&|s| has(&s.artist, "artist 1") || has(&s.album_artist, "artist 1")),
        ),
        (
            format!("({album} and dc:title contains \"album 1\")"),
            albums.iter().filter(|(_, album)| has(album, "album 1")).count() as u64,
        ),
        (
            format!("({album} and upnp:artist contains \"artist 3\")"),
            albums.iter().filter(|(artist, _)| has(artist, "artist 3")).count() as u64,
        ),
        (
            "upnp:class = \"object.container.person.musicArtist\" and dc:title contains \"artist 1\"".into(),
            named("artist 1"),
        ),
        (format!("{item} and @refID exists false"), TRACKS as u64),
        ("(upnp:class derivedfrom &quot;object.item.audioItem&quot;)".into(), TRACKS as u64),
        (format!("{} and dc:title contains \"genre \"", class("object.container.genre")), 3),
        (class("object.container.playlistContainer"), 0),
        (format!("{made} and dc:date >= \"2000\""), songs(&|s| s.year >= 2000)),
        (format!("{made} and upnp:genre = \"genre 1\""), songs(&|s| s.genre == "Genre 1")),
        (format!("{made} and upnp:originalTrackNumber = \"3\""), songs(&|s| s.number == 3)),
        (format!("{made} and upnp:nothing = \"x\""), 0),
        (format!("{made} and dc:title doesNotContain \"7\""), songs(&|s| !has(&s.title, "7"))),
    ] {
        let answer = server.search("0", &criteria, 0, 500).await.expect(&criteria);
        assert_eq!(answer.number("TotalMatches"), want, "{criteria}");
        let found = objects(&answer["Result"]);
        let ids: HashSet<&str> = found.iter().map(Object::id).collect();
        assert_eq!(ids.len(), found.len(), "{criteria}");
        for object in found.iter().step_by(97) {
            assert_eq!(alone(&server, object.id()).await, *object, "{criteria}");
            assert!(object.is_item || object.attributes["searchable"] == "1");
        }
    }
    // Within an album, an artist, a list.
    let album = children(&server, "albums", 1).await.remove(0);
    let inside = server.search(album.id(), &item, 0, 0).await.expect("found").number("TotalMatches");
    assert_eq!(inside, album.children());
    let tracks = server.search("tracks", "*", 0, 1).await.expect("found").number("TotalMatches");
    assert_eq!(tracks, TRACKS as u64);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_meant_has_its_code() {
    let server = Server::start().await;
    let code = |answer: Result<Answer, u16>| answer.expect_err("refused");
    for id in ["64", "", "A1", "R2@H41", "T99999", "T1@A1", "H7a7a", "L7", "F99", "albums@G1", "x y", "V"] {
        let is_alias = id == "V";
        for flag in ["BrowseMetadata", "BrowseDirectChildren"] {
            let answer = server.browse(id, flag, 0, 0).await;
            assert_eq!(answer.as_ref().err(), if is_alias { None } else { Some(&701) }, "{id:?} {flag}");
        }
    }
    assert_eq!(code(server.browse("T1", "BrowseDirectChildren", 0, 0).await), 701, "a track is no container");
    assert_eq!(code(server.browse("0", "BrowseAll", 0, 0).await), 402);
    assert_eq!(code(server.browse("0", "BrowseMetadata", 1, 0).await), 402);
    assert_eq!(code(server.search("0", "dc:title like \"x\"", 0, 0).await), 708);
    assert_eq!(code(server.search("64", "*", 0, 0).await), 710);
    assert_eq!(code(server.search("T1", "*", 0, 0).await), 710);
    let given =
        [("ContainerID".to_owned(), "7".to_owned()), ("BrowseFlag".into(), "BrowseDirectChildren".into())];
    let xbox = HeaderMap::from_iter([(
        http::header::USER_AGENT,
        HeaderValue::from_static("Xbox/2.0.17559.0 UPnP/1.0"),
    )]);
    let answer = server.call("Browse", &given, &xbox).await.expect("an Xbox asks for a container");
    assert_eq!(answer.number("TotalMatches"), children(&server, "albums", 500).await.len() as u64);
    let answer = server.browse("A", "BrowseDirectChildren", 0, 0).await.expect("a TV begins here");
    assert_eq!(objects(&answer["Result"]), children(&server, "0", 500).await);
    for action in [
        "GetSearchCapabilities",
        "GetSortCapabilities",
        "GetSortExtensionCapabilities",
        "GetSystemUpdateID",
        "GetFeatureList",
        "GetServiceResetToken",
        "X_GetFeatureList",
    ] {
        let answer = server.call(action, &[], &HeaderMap::new()).await.expect(action);
        assert!(answer.values().all(|value| !value.is_empty()), "{action}");
    }
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_those_that_are_asked_for() {
    let server = Server::start().await;
    let sorted = async |id: &str, order: &str| {
        let answer = server.browse_sorted(id, order).await.expect(order);
        objects(&answer["Result"]).iter().map(|object| object.title().to_owned()).collect::<Vec<_>>()
    };
    let up = sorted("tracks", "+dc:title").await;
    let mut down = sorted("tracks", "-dc:title").await;
    // Both are the first 500 of 1,000: what both have is the same the other way round.
    down.reverse();
    assert!(up.first() <= up.last() && down.first() <= down.last() && up.last() <= down.first());
    let by_year = server.browse_sorted("tracks", "-dc:date,+dc:title").await.expect("sorted");
    let years: Vec<String> =
        objects(&by_year["Result"]).iter().filter_map(|o| o.text("dc:date").map(str::to_owned)).collect();
    assert!(years.windows(2).all(|pair| pair[0] >= pair[1]) && years.len() >= 499, "{years:?}");
    let albums = children(&server, "albums", 500).await;
    let album = albums.iter().find(|album| album.children() > 1).expect("a whole one");
    let numbers = |order: &'static str| {
        let (server, id) = (&server, album.id().to_owned());
        async move {
            let answer = server.browse_sorted(&id, order).await.expect("sorted");
            let number =
                |object: &Object| object.text("upnp:originalTrackNumber").and_then(|n| n.parse().ok());
            objects(&answer["Result"]).iter().filter_map(number).collect::<Vec<u32>>()
        }
    };
    let plain = numbers("").await;
    assert!(plain.is_sorted() && plain.len() > 1, "{plain:?}");
    assert_eq!(numbers("+upnp:originalTrackNumber,+dc:title").await, plain);
    assert_eq!(numbers("avega:nothing").await, plain);
    assert_eq!(numbers("-upnp:originalTrackNumber").await, plain.into_iter().rev().collect::<Vec<_>>());
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tracks_say_what_they_are_and_hostile_tags_do_no_harm() {
    let server = Server::start().await;
    let all = children(&server, "tracks", 500).await;
    let mut by_title = HashMap::new();
    for object in &all {
        by_title.insert(object.title().to_owned(), object);
    }
    for title in HOSTILE {
        let shown: String = title
            .chars()
            .filter(|c| !c.is_control() || *c == '\n')
            .map(|c| if c == '\n' { ' ' } else { c })
            .collect();
        assert!(by_title.keys().any(|known| known.trim() == shown.trim()), "{title:?}");
    }
    let is_mp3 = |object: &&Object| object.text("res").is_some_and(|url| url.ends_with(".mp3"));
    let object = all.iter().find(is_mp3).expect("an MP3");
    let (_, res, url) = object.elements.iter().find(|(name, ..)| name == "res").expect("a file");
    let profile =
        "DLNA.ORG_PN=MP3;DLNA.ORG_OP=01;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=01700000000000000000000000000000";
    assert_eq!(res["protocolInfo"], format!("http-get:*:audio/mpeg:{profile}"));
    assert!(res["duration"].starts_with("0:00:0") && res["duration"].len() == 11, "{res:?}");
    let (size, bitrate): (u64, u64) =
        (res["size"].parse().expect("bytes"), res["bitrate"].parse().expect("bytes"));
    assert!(bitrate > 4_000 && bitrate < 60_000 && size > 1000, "bytes a second: {res:?}");
    assert!(res.contains_key("sampleFrequency") && res.contains_key("nrAudioChannels"), "{res:?}");
    assert!(!res.contains_key("bitsPerSample"), "{res:?}");
    assert!(url.starts_with("http://192.168.7.1:8200/media/") && url.ends_with(".mp3"), "{url}");
    let (_, cover, art) =
        object.elements.iter().find(|(name, ..)| name == "upnp:albumArtURI").expect("a cover");
    assert_eq!((cover["dlna:profileID"].as_str(), art.ends_with("/cover/600.jpg")), ("JPEG_MED", true));
    let bare = server.browse_filtered("tracks", "").await.expect("answered");
    let bare = &objects(&bare["Result"])[0];
    assert!(
        bare.text("upnp:genre").is_none() && bare.text("res").is_some() && bare.text("upnp:class").is_some()
    );
    // What konpo reads as a control point is what it wrote.
    let page = server.browse("tracks", "BrowseDirectChildren", 0, 500).await.expect("answered");
    let read = konpo::wire::didl::parse(&page["Result"]).expect("a listing");
    assert!(!read.cut && read.items.len() == 500);
    assert!(read.items.iter().zip(&all).all(|(item, object)| item.id == object.id()));
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_served_by_parts_with_the_headers_of_dlna_and_without_the_buyer() {
    let server = Server::start().await;
    let get = async |path: &str, headers: &[(&'static str, &str)]| server.get("GET", path, headers).await;
    let found = server.search("0", "dc:title = \"song 77\"", 0, 1).await.expect("found");
    let url = objects(&found["Result"])[0].text("res").expect("a file").to_owned();
    let path = &url[url.find("/media/").expect("a path")..];
    let name = path.trim_start_matches("/media/").trim_end_matches(".mp3");
    let (id, mark) = name.split_once('-').expect("a mark of the box");
    assert_eq!(mark.len(), 8, "{name}");
    assert_eq!(
        get(&format!("/media/{id}.mp3"), &[]).await.0,
        StatusCode::OK,
        "as handed out before there were marks"
    );
    let another = format!("/media/{id}-{}.mp3", mark.chars().rev().collect::<String>());
    assert_eq!(get(&another, &[]).await.0, StatusCode::NOT_FOUND, "another box handed it out");
    let (status, head, whole) = get(path, &[]).await;
    assert_eq!(status, StatusCode::OK);
    let length = whole.len().to_string();
    for (name, value) in [
        ("accept-ranges", "bytes"),
        ("content-type", "audio/mpeg"),
        ("transfermode.dlna.org", "Streaming"),
        ("content-length", length.as_str()),
    ] {
        assert_eq!(head[name], value, "{name}");
    }
    assert!(head["contentfeatures.dlna.org"].to_str().is_ok_and(|text| text.starts_with("DLNA.ORG_PN=MP3;")));
    let (status, like, none) = server.get("HEAD", path, &[]).await;
    assert_eq!((status, none.len()), (StatusCode::OK, 0));
    for name in head.keys() {
        assert_eq!(head[name], like[name], "{name}");
    }
    let n = whole.len();
    for (range, from, to) in
        [("bytes=0-99", 0, 100), ("bytes=100-", 100, n), ("bytes=-7", n - 7, n), ("bytes=5-999999999", 5, n)]
    {
        let (status, head, part) = get(path, &[("range", range)]).await;
        assert_eq!((status, &part[..]), (StatusCode::PARTIAL_CONTENT, &whole[from..to]), "{range}");
        assert_eq!(head["content-range"], format!("bytes {from}-{}/{n}", to - 1));
    }
    let (status, head, _) = get(path, &[("range", &format!("bytes={n}-"))]).await;
    assert_eq!(
        (status, head["content-range"].to_str().ok()),
        (StatusCode::RANGE_NOT_SATISFIABLE, Some(&*format!("bytes */{n}")))
    );
    for several in ["bytes=0-1,4-5", "bytes=9-3", "lines=1-2", "bytes=x"] {
        assert_eq!(get(path, &[("range", several)]).await.0, StatusCode::OK, "{several}");
    }
    let etag = head["etag"].to_str().expect("text").to_owned();
    let changed = get(path, &[]).await.1["last-modified"].to_str().expect("text").to_owned();
    for (condition, want) in [
        (etag.as_str(), 206),
        (changed.as_str(), 206),
        ("\"other\"", 200),
        ("Sat, 21 Nov 2020 10:00:00 GMT", 200),
    ] {
        let (status, ..) = get(path, &[("range", "bytes=0-0"), ("if-range", condition)]).await;
        assert_eq!(status.as_u16(), want, "{condition}");
    }
    for (name, value, want) in [
        ("timeseekrange.dlna.org", "npt=10-", 406),
        ("timeseekrange.dlna.org", "npt=0:00:00.000-", 200),
        ("timeseekrange.dlna.org", "npt=0-10", 406),
        ("playspeed.dlna.org", "speed=2", 406),
        ("playspeed.dlna.org", "speed=1", 200),
        ("getavailableseekrange.dlna.org", "1", 406),
        ("getcontentfeatures.dlna.org", "0", 400),
        ("getcontentfeatures.dlna.org", "1", 200),
        ("transfermode.dlna.org", "Interactive", 200),
        ("icy-metadata", "1", 200),
    ] {
        assert_eq!(get(path, &[(name, value)]).await.0.as_u16(), want, "{name}");
    }
    assert_eq!(
        get(path, &[("transfermode.dlna.org", "Background")]).await.1["transfermode.dlna.org"],
        "Background"
    );
    let (none, small) = (format!("/media/{id}/cover/600.jpg"), format!("/media/{id}/cover/7.jpg"));
    for missing in ["/media/99999.mp3", "/media/x.mp3", "/media/-1", &none, &small] {
        assert_eq!(get(missing, &[]).await.0, StatusCode::NOT_FOUND, "{missing}");
    }
    // A TV that browses under one name fetches under another.
    server.browse_as("SEC_HHP_[TV] Samsung/1.0").await;
    assert_eq!(get(path, &[("user-agent", "gstreamer")]).await.1["content-type"], "audio/mpeg");
    let bought = server.bought();
    let (status, _, bytes) = get(&format!("/media/{bought}.m4a"), &[]).await;
    assert_eq!(status, StatusCode::OK);
    for personal in ["user@example.com", "Hanako Yamada"] {
        assert!(!bytes.windows(personal.len()).any(|part| part == personal.as_bytes()), "{personal}");
    }
    assert_ne!(get(&format!("/media/{}.m4p", server.locked()), &[]).await.0, StatusCode::OK);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_song_that_comes_is_told_with_its_album() {
    let server = Server::start().await;
    let before = server.told();
    let (id, list) = (before.0, before.1);
    assert!(list.contains_key("0") && list.contains_key("tracks"));
    server.add("New/Song.mp3", "A new song", "A new album").await;
    let album = server.search(
        "0",
        "upnp:class = \"object.container.album.musicAlbum\" and dc:title = \"a new album\"",
        0,
        1,
    );
    let album = objects(&album.await.expect("found")["Result"]).remove(0);
    let (now, told) = server.told_after(id, album.id()).await;
    assert!(now > id && told["tracks"] == now && told[album.id()] <= now, "{told:?}");
    let answer = server.browse("0", "BrowseMetadata", 0, 0).await.expect("answered");
    assert!(answer.number("UpdateID") >= u64::from(now));
    server.end().await;
}

/// Reference upnp 9.2, row CDS: "ContainerUpdateIDs on add/remove".
#[tokio::test(flavor = "multi_thread")]
async fn a_song_that_goes_is_told_with_its_album() {
    let server = Server::start().await;
    let albums = children(&server, "albums", 500).await;
    let album = albums.iter().find(|album| album.children() > 1).expect("a whole one");
    let songs = children(&server, album.id(), 0).await;
    let track = songs[0].attributes.get("refID").map_or(songs[0].id(), String::as_str);
    let track = track.trim_start_matches('T').split('@').next().and_then(|id| id.parse().ok());
    let before = server.told().0;
    server.remove(track.expect("a number")).await;
    let (now, told) = server.told_after(before, album.id()).await;
    assert!(now > before && told["albums"] == now && told["0"] == now, "{told:?}");
    assert_eq!(children(&server, album.id(), 0).await.len(), songs.len() - 1);
    server.end().await;
}
