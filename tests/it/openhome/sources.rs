//! Which source is chosen: the playlist, the radio, UPnP AV; who ends whom (reference upnp 7.5), and standby.

use std::sync::Arc;

use konpo::hifi::command::{Command, NewEntry, Playable};
use konpo::hifi::state::Transport;
use konpo::offer::Via;
use konpo::track::TrackId;
use serde_json::json;

use super::room::{Room, wait};
use super::three;

async fn index(room: &Room) -> String {
    room.get("product", "SourceIndex").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_names_itself_and_its_sources() {
    let room = Room::start().await;
    let product = room.call("product", "Product", &[]).await.expect("answered");
    assert_eq!((product["Room"].as_str(), product["Name"].as_str()), ("Living Room", "konpo"));
    assert_eq!(product["ImageUri"], "http://192.168.7.1:8200/upnp/icons/120.png");
    assert_eq!(room.told("product", "ProductImageUri"), "http://0.0.0.0:0/upnp/icons/120.png");
    let xml = room.get("product", "SourceXml").await;
    assert_eq!(xml, room.told("product", "SourceXml"));
    assert!(
        xml.starts_with(
            "<SourceList><Source><Name>Playlist</Name><Type>Playlist</Type><Visible>true</Visible>"
        ),
        "{xml}"
    );
    assert_eq!(
        (xml.matches("<Source>").count(), room.get("product", "SourceCount").await.as_str()),
        (3, "3")
    );
    for (place, kind) in ["Playlist", "Radio", "UpnpAv"].into_iter().enumerate() {
        let source = room.call("product", "Source", &[("Index", &place.to_string())]).await.expect("there");
        assert_eq!(
            (source["Type"].as_str(), source["SystemName"].as_str(), source["Visible"].as_str()),
            (kind, kind, "1")
        );
    }
    for (action, argument, value) in [
        ("Source", "Index", "3"),
        ("SetSourceIndex", "Value", "3"),
        ("SetSourceIndexByName", "Value", "Phono"),
        ("SetSourceBySystemName", "Value", "playlist"),
    ] {
        assert_eq!(
            room.call("product", action, &[(argument, value)]).await.err(),
            Some(801),
            "{action} {value}"
        );
    }
    room.end().await;
}

/// What SetSourceIndex chooses is chosen: the sound of the other ends, the list keeps its place.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_chosen_is_the_one_that_is_told() {
    let mut room = Room::start().await;
    let ids = three(&room).await;
    room.set("playlist", "SeekIndex", 1).await;
    room.is_told("playlist", "TransportState", "Playing").await;
    for (value, number) in [("Radio", "1"), ("UPnP AV", "2")] {
        room.set("product", "SetSourceIndexByName", value).await;
        assert_eq!(index(&room).await, number);
        room.is_told("product", "SourceIndex", number).await;
        room.is_told("transport", "TransportState", "Stopped").await;
        assert_eq!(room.state().transport, Transport::Stopped);
        assert_eq!(room.ids().await, ids, "the list is there all the same");
        assert_eq!(room.get("playlist", "Id").await, ids[1].to_string());
        // Nothing is on the deck.
        let track = room.call("info", "Track", &[]).await.expect("answered");
        assert_eq!((track["Uri"].as_str(), track["Metadata"].as_str()), ("", ""), "{value}");
        assert_eq!(room.call("transport", "Play", &[]).await.err(), Some(801));
        assert_eq!(room.call("transport", "SkipNext", &[]).await.err(), Some(801));
        // Keys of a source that is not chosen do nothing to the other.
        for key in ["Pause", "Stop", "Next", "Previous"] {
            room.press("playlist", key).await;
        }
        assert_eq!(
            (index(&room).await.as_str(), room.get("playlist", "Id").await),
            (number, ids[1].to_string())
        );
    }
    room.set("product", "SetSourceBySystemName", "Playlist").await;
    assert_eq!((index(&room).await.as_str(), room.shown().await["source"].clone()), ("0", json!("queue")));
    room.set("product", "SetSourceIndex", 1).await;
    // Whoever plays the list has chosen it.
    room.press("playlist", "Play").await;
    room.is_told("product", "SourceIndex", "0").await;
    room.is_told("playlist", "TransportState", "Playing").await;
    assert_eq!(room.get("playlist", "Id").await, ids[1].to_string());
    // The one that is chosen already goes on.
    room.set("product", "SetSourceIndex", 0).await;
    assert_eq!(room.state().transport, Transport::Playing);
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_radio_plays_one_url_beside_the_list() {
    let mut room = Room::start().await;
    let ids = three(&room).await;
    let metadata = "<DIDL-Lite><item id=\"1\"><dc:title>A &amp; B</dc:title></item></DIDL-Lite>";
    let own = room.url(3);
    let channel = [("Uri", own.as_str()), ("Metadata", metadata)];
    room.call("radio", "SetChannel", &channel).await.expect("ours");
    assert_eq!(
        (index(&room).await.as_str(), room.get("radio", "TransportState").await.as_str()),
        ("1", "Stopped")
    );
    let set = room.call("radio", "Channel", &[]).await.expect("answered");
    assert_eq!((&set["Uri"], set["Metadata"].as_str()), (&own, metadata));
    room.press("radio", "Play").await;
    room.is_told("radio", "TransportState", "Playing").await;
    room.is_told("playlist", "TransportState", "Stopped").await;
    assert_eq!((room.ids().await, room.get("playlist", "Id").await), (ids.clone(), ids[0].to_string()));
    assert_eq!(room.shown().await["guest"]["by"], "openhome");
    room.is_told("info", "Uri", &own).await;
    room.set("radio", "SeekSecondAbsolute", 5).await;
    room.press("radio", "Pause").await;
    assert_eq!(room.shown().await["transport"], "paused");
    room.call("transport", "PlayAs", &[("Mode", "Radio"), ("Command", "")]).await.expect("it is there");
    wait("it goes on", || room.state().transport == Transport::Playing).await;
    // No presets.
    let all = room.call("radio", "IdArray", &[]).await.expect("answered");
    assert_eq!((all["Array"].as_str(), room.get("radio", "ChannelsMax").await.as_str()), ("", "0"));
    assert_eq!(room.call("radio", "SetId", &[("Value", "1"), ("Uri", "x")]).await.err(), Some(800));
    assert_eq!(room.call("radio", "Read", &[("Id", "1")]).await.err(), Some(800));
    assert_eq!(
        room.call("radio", "SetChannel", &[("Uri", "ftp://x/y"), ("Metadata", "")]).await.err(),
        Some(600)
    );
    // Without a channel nothing is on it, and the list is not played instead.
    room.call("radio", "SetChannel", &[("Uri", ""), ("Metadata", "")]).await.expect("it is emptied");
    assert_eq!((index(&room).await.as_str(), room.state().transport), ("1", Transport::Stopped));
    assert_eq!(room.call("radio", "Channel", &[]).await.expect("answered")["Uri"], "");
    // The page's deck is told as UPnP AV's: choosing that goes on.
    let entry = json!({ "what": { "url": own } });
    room.page(json!({ "batch": [{ "set_guest": entry }, { "play": null }] })).await;
    wait("the page's deck plays", || room.state().transport == Transport::Playing).await;
    room.set("product", "SetSourceIndex", 2).await;
    assert_eq!((index(&room).await.as_str(), room.state().transport), ("2", Transport::Playing));
    // The list takes over, and the deck is empty.
    room.set("playlist", "SeekId", ids[2]).await;
    room.is_told("playlist", "TransportState", "Playing").await;
    assert_eq!(
        (index(&room).await.as_str(), room.told("radio", "TransportState").as_str()),
        ("0", "Stopped")
    );
    assert_eq!(room.call("radio", "Channel", &[]).await.expect("answered")["Uri"], "");
    room.press("radio", "Play").await;
    assert_eq!(
        (index(&room).await.as_str(), room.state().transport),
        ("1", Transport::Stopped),
        "nothing is on it"
    );
    room.end().await;
}

/// UPnP AV writes the same deck: OpenHome says so, keeps its list, and its play takes over.
#[tokio::test(flavor = "multi_thread")]
async fn an_av_renderer_and_the_list_end_each_other() {
    let room = Room::start().await;
    let ids = three(&room).await;
    room.set("playlist", "SeekIndex", 2).await;
    room.is_told("playlist", "TransportState", "Playing").await;
    let av = room.session(Via::Upnp);
    let what = Playable::Shelf(TrackId(1));
    let entry = NewEntry { what, shown: Arc::default(), said: None, hints: Default::default() };
    av.send(Command::SetGuest(Some(entry))).await.expect("it runs").expect("there");
    room.is_told("product", "SourceIndex", "2").await;
    room.is_told("playlist", "TransportState", "Stopped").await;
    room.is_told("transport", "TransportState", "Playing").await;
    assert_eq!((room.ids().await, room.get("playlist", "Id").await), (ids.clone(), ids[2].to_string()));
    assert_eq!(room.get("radio", "TransportState").await, "Stopped");
    // Info and Time say what sounds.
    room.is_told("info", "CodecName", "PCM").await;
    assert!(room.told("info", "Uri").contains("/media/1-"), "{}", room.told("info", "Uri"));
    assert_eq!(room.call("playlist", "SeekSecondAbsolute", &[("Value", "1")]).await.err(), Some(803));
    let info = room.call("transport", "ModeInfo", &[]).await.expect("answered");
    assert!(info.values().all(|can| can == "0"), "{info:?}");
    assert_eq!(room.call("transport", "SetShuffle", &[("Shuffle", "1")]).await.err(), Some(801));
    room.press("playlist", "Play").await;
    room.is_told("product", "SourceIndex", "0").await;
    room.is_told("playlist", "TransportState", "Playing").await;
    assert_eq!(room.get("playlist", "Id").await, ids[2].to_string());
    for (mode, command, code) in [
        ("Phono", "", 801),
        ("Playlist", "id=9999", 800),
        ("Playlist", "index=9", 802),
        ("Radio", "id=1", 800),
        ("UpnpAv", "", 801),
    ] {
        let done = room.call("transport", "PlayAs", &[("Mode", mode), ("Command", command)]).await;
        assert_eq!(done.err(), Some(code), "{mode} {command}");
    }
    let command = format!("id={}", ids[0]);
    room.call("transport", "PlayAs", &[("Mode", "Playlist"), ("Command", &command)]).await.expect("there");
    assert_eq!(room.get("playlist", "Id").await, ids[0].to_string());
    room.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn standby_is_one_switch_on_every_face() {
    let mut room = Room::start().await;
    three(&room).await;
    room.press("playlist", "Play").await;
    room.is_told("playlist", "TransportState", "Playing").await;
    room.set("product", "SetStandby", "true").await;
    assert_eq!(
        (room.get("product", "Standby").await.as_str(), room.state().transport),
        ("1", Transport::Stopped)
    );
    room.is_told("product", "Standby", "1").await;
    assert_eq!(room.shown().await["standby"], true);
    room.set("product", "SetStandby", 0).await;
    assert_eq!(
        (room.get("product", "Standby").await.as_str(), room.state().transport),
        ("0", Transport::Stopped)
    );
    room.page(json!("standby")).await;
    room.is_told("product", "Standby", "1").await;
    // Any play wakes it.
    room.page(json!({ "play": null })).await;
    room.is_told("product", "Standby", "0").await;
    room.end().await;
}
