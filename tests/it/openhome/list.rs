//! The queue as OpenHome edits it: order, ids, limits, what is told, and what outlives the app.

use std::sync::Arc;
use std::time::{Duration, Instant};

use konpo::hifi::command::{At, Command, NewEntry, Playable};
use konpo::offer::Via;
use serde_json::json;

use super::room::{Room, decoded, hears, wait};
use super::three;

fn didl(title: &str) -> String {
    format!(
        "<DIDL-Lite xmlns=\"urn:schemas-upnp-org:metadata-1-0/DIDL-Lite/\" xmlns:dc=\"http://purl.org/dc/elements/1.1/\" \
         xmlns:upnp=\"urn:schemas-upnp-org:metadata-1-0/upnp/\"><item id='{title}' parentID=\"0\" restricted=\"1\">\
         <dc:title>{title}</dc:title><upnp:artist>An artist</upnp:artist><upnp:class>object.item.audioItem.musicTrack\
         </upnp:class><res protocolInfo=\"http-get:*:audio/flac:*\" duration=\"0:03:05\">http://10.0.0.9/{title}.flac</res>\
         </item></DIDL-Lite>"
    )
}

fn url(name: &str) -> String {
    format!("http://10.0.0.9/{name}.flac?a=1&b=2")
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_inserted_read_and_deleted_where_the_app_says() {
    let mut room = Room::start().await;
    let mut events = room.events().await;
    assert_eq!(
        (room.get("playlist", "Id").await.as_str(), room.told("playlist", "IdArray").as_str()),
        ("0", "")
    );
    let one = room.insert(0, &url("one"), &didl("one")).await.expect("it fits");
    let three = room.insert(one, &url("three"), &didl("three")).await.expect("it fits");
    let two = room.insert(one, &url("two"), "").await.expect("it fits");
    let zero = room.insert(0, &url("zero"), "junk <& metadata").await.expect("it fits");
    assert_eq!(room.ids().await, [zero, one, two, three]);
    hears(&mut events, "\"length\":4").await;
    wait("the ids are told", || decoded(&room.told("playlist", "IdArray")) == [zero, one, two, three]).await;
    assert_eq!(room.get("playlist", "Id").await, zero.to_string(), "what plays next");
    let shown = room.shown().await;
    let titles: Vec<&str> = shown["queue"]
        .as_array()
        .expect("entries")
        .iter()
        .filter_map(|entry| entry["title"].as_str())
        .collect();
    assert_eq!(titles, ["zero.flac", "one", "two.flac", "three"]);
    assert_eq!(shown["queue"][1]["duration_ms"], 185_000);
    // Byte for byte, also what is no XML.
    for (id, name, metadata) in [(one, "one", didl("one")), (zero, "zero", "junk <& metadata".into())] {
        let read = room.call("playlist", "Read", &[("Id", &id.to_string())]).await.expect("there");
        assert_eq!((&read["Uri"], &read["Metadata"]), (&url(name), &metadata));
    }
    // Lumin asks for -1; what is not there is left out.
    let ids = format!("{three} -1 999999 {one} x");
    let list =
        room.call("playlist", "ReadList", &[("IdList", &ids)]).await.expect("answered")["TrackList"].clone();
    let escaped = konpo::wire::xml::escaped(&didl("three")).into_owned();
    let (first, second) = (format!("<Entry><Id>{three}</Id>"), format!("<Entry><Id>{one}</Id>"));
    assert!(list.starts_with(&format!("<TrackList>{first}")) && list.ends_with("</TrackList>"), "{list}");
    assert!(list.find(&first) < list.find(&second) && list.matches("<Entry>").count() == 2, "{list}");
    assert!(konpo::wire::xml::unescape(&list).contains(&konpo::wire::xml::unescape(&escaped)), "{list}");
    assert!(list.contains("?a=1&amp;b=2"), "{list}");
    let empty = room.call("playlist", "ReadList", &[("IdList", "")]).await.expect("answered");
    assert_eq!(empty["TrackList"], "<TrackList></TrackList>");
    // The number of the list tells whether it is another one.
    let token = room.call("playlist", "IdArray", &[]).await.expect("answered")["Token"].clone();
    let changed = async |room: &Room| {
        room.call("playlist", "IdArrayChanged", &[("Token", &token)]).await.expect("answered")["Value"]
            .clone()
    };
    assert_eq!(changed(&room).await, "0");
    room.set("playlist", "DeleteId", two).await;
    assert_eq!((changed(&room).await.as_str(), room.ids().await), ("1", vec![zero, one, three]));
    for (action, value, code) in
        [("DeleteId", two, 800), ("SeekId", two, 800), ("SeekIndex", 3, 802), ("DeleteId", 0, 800)]
    {
        let done = room.call("playlist", action, &[("Value", &value.to_string())]).await;
        assert_eq!(done.err(), Some(code), "{action} {value}");
    }
    assert_eq!(room.call("playlist", "Read", &[("Id", "0")]).await.err(), Some(800));
    assert_eq!(room.insert(two, &url("x"), "").await, Err(800));
    for wrong in ["", "file:///etc/passwd", "ftp://10.0.0.9/x", "nothing", "http://"] {
        assert_eq!(room.insert(0, wrong, "").await, Err(600), "{wrong}");
    }
    assert_eq!(room.ids().await, [zero, one, three], "what was refused changed nothing");
    // What the page moves and adds OpenHome sees.
    room.page(json!({ "move": { "ids": [three], "to": 0 } })).await;
    assert_eq!(room.ids().await, [three, zero, one]);
    room.page(json!({ "add": { "entries": [{ "what": { "shelf": 1 } }] } })).await;
    let last = *room.ids().await.last().expect("four");
    let read = room.call("playlist", "Read", &[("Id", &last.to_string())]).await.expect("there");
    assert!(read["Uri"].starts_with("http://192.168.7.1:8200/media/1-"), "{}", read["Uri"]);
    assert!(
        konpo::wire::didl::parse(&read["Metadata"]).expect("a listing").items[0].resources[0].url
            == read["Uri"]
    );
    room.press("playlist", "DeleteAll").await;
    assert_eq!((room.ids().await, room.shown().await["queue_length"].clone()), (vec![], json!(0)));
    room.is_told("playlist", "Id", "0").await;
    room.end().await;
}

/// An app inserts an album track by track and waits for each id (reference upnp 9.2, row OH: 1,000 under 20 s).
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_tracks_are_inserted_one_by_one() {
    let room = Room::start().await;
    let (begun, mut slowest, mut ids) = (Instant::now(), Duration::ZERO, Vec::new());
    for n in 0..1000 {
        let one = Instant::now();
        let name = format!("track{n}");
        let own = room.url(n % 3 + 1);
        let link = if n % 2 == 0 { own } else { url(&name) };
        ids.push(room.insert(ids.last().copied().unwrap_or(0), &link, &didl(&name)).await.expect("it fits"));
        slowest = slowest.max(one.elapsed());
    }
    let took = begun.elapsed();
    println!("1,000 inserts in {took:?}, the slowest {slowest:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(room.ids().await, ids);
    wait("the ids are told", || decoded(&room.told("playlist", "IdArray")) == ids).await;
    let hundred: Vec<String> = ids[..100].iter().map(u32::to_string).collect();
    let list = room.call("playlist", "ReadList", &[("IdList", &hundred.join(" "))]).await.expect("answered");
    assert_eq!(list["TrackList"].matches("<Entry>").count(), 100);
    room.end().await;
}

/// As many as TracksMax says fit with the words that apps say of each; one more is told to be too many.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_list_holds_what_it_promised_and_says_that_it_is_full() {
    let room = Room::start().await;
    let most: usize = room.get("playlist", "TracksMax").await.parse().expect("a number");
    assert_eq!(most, 10_000);
    let said: Arc<str> = didl(&"x".repeat(320)).into();
    assert!(said.len() > 1_300, "as long as of a media server: {}", said.len());
    let entry = |n: usize| NewEntry {
        what: Playable::Url(url(&n.to_string()).into()),
        shown: Arc::default(),
        said: Some(said.clone()),
        hints: Default::default(),
    };
    let add = Command::Add { entries: (1..most).map(entry).collect(), at: At::End, play: false };
    room.session(Via::Web).send(add).await.expect("it runs").expect("they fit");
    let last = *room.ids().await.last().expect("many");
    let begun = Instant::now();
    room.insert(last, &url("last"), &said).await.expect("the last one fits");
    println!("an insert behind 9,999: {:?}", begun.elapsed());
    assert_eq!(room.insert(0, &url("more"), "").await, Err(801));
    assert_eq!(room.ids().await.len(), most);
    // An answer has an end; it holds whole entries.
    let all: Vec<String> = room.ids().await.iter().map(u32::to_string).collect();
    let list = room.call("playlist", "ReadList", &[("IdList", &all.join(" "))]).await.expect("answered");
    let count = list["TrackList"].matches("</Entry>").count();
    assert!(count >= 1000 && list["TrackList"].len() < 6 << 20, "{count}");
    room.end().await;
}

/// The list is the box's own: the app may sleep, the power may go (reference upnp 3.8, "persistence").
#[tokio::test(flavor = "multi_thread")]
async fn the_list_and_its_ids_outlive_the_power() {
    let room = Room::start().await;
    let ids = three(&room).await;
    let named = room.insert(ids[2], &url("four"), &didl("four")).await.expect("it fits");
    room.set("playlist", "SetRepeat", 1).await;
    room.set("playlist", "SeekIndex", 1).await;
    room.is_told("playlist", "TransportState", "Playing").await;
    let before = room.ids().await;
    let mut room = room.again().await;
    assert_eq!(room.ids().await, before);
    assert_eq!(
        (room.get("playlist", "Id").await, room.get("playlist", "Repeat").await),
        (ids[1].to_string(), "1".into())
    );
    let read = room.call("playlist", "Read", &[("Id", &named.to_string())]).await.expect("there");
    assert_eq!((&read["Uri"], &read["Metadata"]), (&url("four"), &didl("four")));
    assert!(room.insert(0, &url("new"), "").await.expect("it fits") > named, "ids are never given twice");
    // The album goes on with one key.
    room.press("playlist", "Play").await;
    room.is_told("playlist", "TransportState", "Playing").await;
    assert_eq!(room.shown().await["current"], ids[1]);
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_that_plays_is_deleted_and_the_next_one_plays() {
    let mut room = Room::start().await;
    let ids = three(&room).await;
    room.set("playlist", "SeekId", ids[1]).await;
    room.is_told("playlist", "TransportState", "Playing").await;
    room.set("playlist", "DeleteId", ids[1]).await;
    room.is_told("playlist", "Id", &ids[2].to_string()).await;
    wait("the third plays", || room.state().transport == konpo::hifi::state::Transport::Playing).await;
    room.set("playlist", "DeleteId", ids[2]).await;
    assert_eq!(room.shown().await["transport"], "stopped", "it was the last one");
    room.set("playlist", "DeleteId", ids[0]).await;
    assert_eq!(
        (room.get("playlist", "Id").await.as_str(), room.shown().await["queue_length"].clone()),
        ("0", json!(0))
    );
    // Nothing to play is no fault; the state says stopped.
    room.press("playlist", "Play").await;
    assert_eq!(room.get("playlist", "TransportState").await, "Stopped");
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeat_and_shuffle_are_the_same_switches_on_every_face() {
    let mut room = Room::start().await;
    let ids = three(&room).await;
    room.set("playlist", "SetRepeat", "true").await;
    room.set("playlist", "SetShuffle", 1).await;
    let shown = room.shown().await;
    assert_eq!((&shown["repeat"], &shown["shuffle"]), (&json!("all"), &json!(true)));
    room.is_told("transport", "Repeat", "1").await;
    room.is_told("playlist", "Shuffle", "1").await;
    assert_eq!(room.ids().await, ids, "the list keeps its order");
    room.page(json!({ "set_repeat": "off" })).await;
    room.page(json!({ "set_shuffle": false })).await;
    assert_eq!(
        (room.get("playlist", "Repeat").await.as_str(), room.get("transport", "Shuffle").await.as_str()),
        ("0", "0")
    );
    room.call("transport", "SetRepeat", &[("Repeat", "1")]).await.expect("the queue is chosen");
    assert_eq!(room.shown().await["repeat"], "all");
    room.end().await;
}
