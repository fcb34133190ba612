//! OpenHome's services among control points that others wrote: async-upnp-client's OhmDevice, and openhomedevice, by which
//! Home Assistant drives them (reference upnp 9.2, row OH); what the DAC hears of a playlist that an app inserted, and that
//! the album plays on without the app.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::{SILENT, Stereo};
use crate::support::control_point::{call, discover, python, request};
use crate::support::dac::{Form, equal, find};
use crate::support::database::rows;
use crate::support::fixtures::{self, Signal};
use crate::support::konpo::Konpo;
use crate::support::net::{Host, Lan};
use crate::support::process::{Process, run};
use crate::support::twin::Twin;
use crate::support::wait_for;

/// An app of OpenHome that browses our media server and puts what it found into the playlist.
const OHM: &str = r#"
import asyncio, sys, time
from async_upnp_client.aiohttp import AiohttpNotifyServer, AiohttpRequester
from async_upnp_client.client_factory import UpnpFactory
from async_upnp_client.exceptions import UpnpActionError
from async_upnp_client.profiles.dlna import DmsDevice
from async_upnp_client.profiles.ohmedia import OhmDevice
from didl_lite.didl_lite import to_xml_string

# It looks for Linn's and OpenHome's own type only; ours stands on the renderer.
OhmDevice.DEVICE_TYPES = ["urn:schemas-upnp-org:device:MediaRenderer:1"]

async def until(what, test):
    begun = time.monotonic()
    while not test():
        if time.monotonic() - begun > 20:
            raise SystemExit(f"not told: {what}")
        await asyncio.sleep(0.02)
    print("told", what, round(1000 * (time.monotonic() - begun)), "ms", flush=True)

async def code(name, call):
    try:
        await call
        print("code", name, 0)
    except UpnpActionError as error:
        print("code", name, error.error_code)

async def main():
    _, source, server, own = sys.argv
    requester = AiohttpRequester(timeout=20)
    factory = UpnpFactory(requester, non_strict=False)
    device = await factory.async_create_device(source)
    notify = AiohttpNotifyServer(requester, source=(own, 0))
    await notify.async_start_server()
    ohm = OhmDevice(device, notify.event_handler)
    await ohm.async_subscribe_services()
    await until("sources", lambda: ohm.product_source_index == 0 and ohm.product_room)
    print("room", ohm.product_room, "|", ohm.product_attributes, "|", ohm.product_source_count)
    dms = DmsDevice(await factory.async_create_device(server), None)
    found = await dms.async_search_directory("0", 'upnp:class derivedfrom "object.item.audioItem"')
    tracks = sorted(found.result, key=lambda track: track.title)
    ids, texts = [], []
    for track in tracks:
        texts.append(to_xml_string(track).decode())
        ids.append((await ohm.async_playlist_insert(ids[-1] if ids else 0, track.res[0].uri, texts[-1]))["NewId"])
    print("array", await ohm.async_playlist_id_array())
    read = await ohm.async_playlist_read(ids[1])
    print("verbatim", read["Uri"] == tracks[1].res[0].uri and read["Metadata"] == texts[1])
    listed = await ohm.async_playlist_read_list(f"{ids[2]} -1 99999 {ids[0]}")
    print("entries", listed["TrackList"].count("<Entry>"))
    await ohm.async_playlist_play()
    await until("playing", lambda: "playing" in str(ohm.transport_state).lower())
    await until("details", lambda: ohm.info_codec_name == "FLAC" and ohm.info_sample_rate == 44100 and 500_000 < ohm.info_bit_rate < 1_600_000)
    await until("seconds", lambda: ohm.seconds == 2)
    await ohm.async_playlist_pause()
    await until("paused", lambda: "paused" in str(ohm.transport_state).lower())
    await ohm.async_playlist_play()
    await until("goes on", lambda: "playing" in str(ohm.transport_state).lower())
    await ohm.async_playlist_seek_second_absolute(20)
    await until("moved", lambda: ohm.seconds is not None and ohm.seconds >= 20)
    count = ohm.info_track_count
    await ohm.async_playlist_next()
    await until("next", lambda: tracks[1].title in (ohm.info_metadata or "") and ohm.info_track_count == count + 1)
    await ohm.async_volume_set(33)
    await until("volume", lambda: ohm.get_state_variable_value("Volume", "Volume") == 33)
    await ohm.async_volume_set_mute(True)
    await until("mute", lambda: ohm.is_muted)
    await ohm.async_playlist_set_repeat(True)
    await ohm.async_playlist_set_shuffle(True)
    await until("modes", lambda: ohm.get_state_variable_value("Playlist", "Repeat") and ohm.get_state_variable_value("Playlist", "Shuffle"))
    await ohm.async_playlist_set_shuffle(False)
    await code("index", ohm.async_playlist_seek_index(99))
    await code("id", ohm.async_playlist_seek_id(99999))
    await code("delete", ohm.async_playlist_delete_id(99999))
    await code("after", ohm.async_playlist_insert(99999, tracks[0].res[0].uri, ""))
    await code("volume", ohm.async_volume_set_balance(0))
    await ohm.async_playlist_delete_id(ids[1])
    await until("deleted", lambda: ohm.get_state_variable_value("Playlist", "Id") == ids[2] and tracks[2].title in (ohm.info_metadata or ""))
    await ohm.async_product_set_source_index(1)
    await until("radio", lambda: ohm.product_source_index == 1 and "stopped" in str(ohm.transport_state).lower())
    await ohm.async_radio_set_channel(tracks[0].res[0].uri, texts[0])
    await ohm.async_radio_play()
    await until("radio plays", lambda: "playing" in str(ohm.get_state_variable_value("Radio", "TransportState")).lower())
    await ohm.async_playlist_seek_index(0)
    await until("playlist", lambda: ohm.product_source_index == 0)
    await ohm.async_product_set_standby(True)
    await until("standby", lambda: ohm.product_standby)
    await ohm.async_playlist_delete_all()
    events = []
    ohm.on_event = lambda service, changed: events.extend(1 for one in changed if one.name == "IdArray")
    begun, slowest, ids = time.monotonic(), 0, []
    for number in range(1000):
        one, track = time.monotonic(), tracks[number % len(tracks)]
        ids.append((await ohm.async_playlist_insert(ids[-1] if ids else 0, track.res[0].uri, texts[number % len(tracks)]))["NewId"])
        slowest = max(slowest, time.monotonic() - one)
    took = time.monotonic() - begun
    print("thousand", round(took, 1), "s, slowest", round(1000 * slowest), "ms")
    import base64, struct
    def told():
        array = ohm.get_state_variable_value("Playlist", "IdArray") or ""
        raw = array if isinstance(array, bytes) else base64.b64decode(array)
        return list(struct.unpack(f">{len(raw) // 4}I", raw)) == ids
    await until("thousand ids", told)
    # At most one event in 200 ms.
    print("moderated", len(events) <= 5 * (time.monotonic() - begun) + 2, len(events), "events")
    if took > 20:
        raise SystemExit("too slow")
    await ohm.async_unsubscribe_services()
    print("done")

asyncio.run(main())
"#;

/// Lays songs of noise on the shelf and starts a box.
fn stereo(host: &Host, settings: &str) -> Stereo {
    let konpo = Konpo::new(host, settings);
    for number in 1..=3 {
        let title = format!("Song {number}");
        fixtures::noise(number, 44_100, 16, 44_100 * 40)
            .flac(&konpo.music().join(format!("{number}.flac")), &[("title", &title), ("album", "One")]);
    }
    let konpo = Stereo::of(konpo);
    wait_for("the songs are there", Duration::from_secs(20), || {
        (konpo.konpo.tracks().len() == 3).then_some(())
    });
    konpo
}

fn location(address: SocketAddr) -> String {
    format!("http://{address}{OPENHOME}/description.xml")
}

fn script(phone: &Host, text: &str, arguments: &[&str]) -> String {
    let mut command = python(phone, "python");
    command.arg("-c").arg(text).args(arguments);
    let said = String::from_utf8_lossy(&run(command)).into_owned();
    println!("{said}");
    said
}

#[test]
fn an_app_of_openhome_plays_an_album_from_our_library() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = stereo(&hifi, SILENT);
    let own = phone.address.to_string();
    let said = script(&phone, OHM, &[&location(konpo.address), &konpo.location(), &own]);
    for part in [
        "room Stereo | Info Time Volume Transport | 3",
        "verbatim True",
        "entries 2",
        "code index 802",
        "code id 800",
        "code delete 800",
        "code after 800",
        "code volume 0",
        "told thousand ids",
        "moderated True",
        "done",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    // The same on the page.
    let state = konpo.konpo.get("/api/state");
    assert_eq!(
        (&state["queue_length"], &state["volume"], &state["standby"]),
        (&json!(1000), &json!(33), &json!(true))
    );
    let shelf =
        state["queue"].as_array().expect("entries").iter().filter(|entry| entry["track"].is_i64()).count();
    assert_eq!(shelf, 1000, "each is the track of the shelf");
}

/// Apps look for the version they know, and get a device of a newer one; Lumin's wants version 1 (reference upnp 0, row 4, and
/// 3.9).
#[test]
fn it_is_found_by_each_version_up_to_its_own() {
    let lan = Lan::new();
    let (hifi, other, phone) = (lan.host("hifi"), lan.host("other"), lan.host("phone"));
    let konpo = Stereo::start(&hifi);
    let lumin = Stereo::start_with(&other, "[output]\ndevice = \"silent\"\n[upnp]\nlumin_compat = true\n");
    let (at, at_lumin) = (location(konpo.address), location(lumin.address));
    for (version, want) in [(1, vec![&at, &at_lumin]), (2, vec![&at]), (3, vec![])] {
        let target = format!("urn:av-openhome-org:service:Product:{version}");
        let seen = discover(&phone, 4, &target);
        let mut found: Vec<&String> = seen.iter().map(|seen| &seen.location).collect();
        found.sort();
        found.dedup();
        assert_eq!(found, want, "{target}");
    }
    let (_, _, text) =
        request(&phone, lumin.address, &format!("GET {OPENHOME}/oh-product/scpd.xml HTTP/1.1"), "");
    assert!(text.contains("<name>SourceXml</name>") && !text.contains("SetSourceBySystemName"), "{text}");
}

/// Home Assistant's way: everything pushed, media by Radio (reference upnp 3.9).
const HOME: &str = r#"
import asyncio, sys, time
from async_upnp_client.aiohttp import AiohttpNotifyServer, AiohttpRequester
from openhomedevice.device import Device

async def main():
    _, source, uri = sys.argv
    device = Device(source)
    await device.init()
    changes = {}
    def told(change):
        changes.update(change)
    await device.subscribe(told)
    async def until(what, test):
        begun = time.monotonic()
        while not await test():
            if time.monotonic() - begun > 20:
                raise SystemExit(f"not told: {what} {changes}")
            await asyncio.sleep(0.02)
        print("told", what, flush=True)
    print("room", await device.room(), "|", await device.name())
    print("sources", [source["name"] for source in await device.sources()])
    await device.play_media({"uri": uri, "title": "A Station", "albumArtwork": "http://10.77.0.9/a.jpg"})
    async def plays(): return str(await device.transport_state()) == "Playing"
    await until("playing", plays)
    async def title(): return "A Station" in str(await device.track_info())
    await until("title", title)
    print("source", (await device.source())["name"])
    await device.pause()
    async def paused(): return str(await device.transport_state()) == "Paused"
    await until("paused", paused)
    await device.set_volume(21)
    await device.increase_volume()
    async def volume(): return await device.volume() == 22
    await until("volume", volume)
    await device.set_mute(True)
    async def mute(): return await device.is_muted()
    await until("mute", mute)
    await device.stop()
    await device.set_source(0)
    async def playlist(): return (await device.source())["name"] == "Playlist"
    await until("playlist", playlist)
    await device.play()
    await until("queue plays", plays)
    await device.skip(1)
    async def second(): return "Song 2" in str(await device.track_info())
    await until("skipped", second)
    await device.set_standby(True)
    async def sleeps(): return await device.is_in_standby()
    await until("standby", sleeps)
    await device.set_standby(False)
    async def wakes(): return not await device.is_in_standby()
    await until("awake", wakes)
    pushed = sorted(changes)
    await device.unsubscribe()
    print("pushed", pushed)
    print("done")

asyncio.run(main())
"#;

#[test]
fn home_assistant_s_openhomedevice_drives_it_and_is_told() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = stereo(&hifi, SILENT);
    let mut tracks = konpo.konpo.tracks();
    tracks.sort_by_key(|track| track["title"].to_string());
    let entries: Vec<_> = tracks.iter().map(|track| json!({ "what": { "shelf": track["id"] } })).collect();
    konpo.konpo.tell(&json!({ "add": { "entries": entries } }));
    let uri = format!("http://{}/media/{}.flac", konpo.address, tracks[2]["id"]);
    let said = script(&phone, HOME, &[&location(konpo.address), &uri]);
    for part in [
        "room Stereo",
        "'Playlist', 'Radio', 'UPnP AV'",
        "source Radio",
        "told skipped",
        "told awake",
        "done",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    let pushed = said.lines().find(|line| line.starts_with("pushed ")).expect("a line");
    assert!(pushed.contains("transport_state") && pushed.contains("volume"), "{pushed}");
    assert_eq!(konpo.konpo.get("/api/state")["volume"], 22);
}

/// Inserts URLs by bare calls and returns their ids.
fn insert(host: &Host, address: SocketAddr, urls: &[String]) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for url in urls {
        let after = ids.last().cloned().unwrap_or_else(|| "0".into());
        let text =
            act(host, address, "playlist", "Insert", &[("AfterId", &after), ("Uri", url), ("Metadata", "")]);
        let id = text.split_once("<NewId>").and_then(|(_, rest)| rest.split_once('<')).expect("an id").0;
        ids.push(id.to_owned());
    }
    ids
}

fn act(host: &Host, address: SocketAddr, service: &str, action: &str, given: &[(&str, &str)]) -> String {
    let mut name = service.to_owned();
    name[..1].make_ascii_uppercase();
    let kind = format!("urn:av-openhome-org:service:{name}:1");
    let (head, body) = call(&format!("{OPENHOME}/oh-{service}/control"), &kind, action, given);
    let (status, _, text) = request(host, address, &head, &body);
    assert_eq!(status, 200, "{action}: {text}");
    text
}

/// The tracks of a playlist that an app inserted sound in one piece.
#[test]
fn a_playlist_sounds_without_a_gap_sample_by_sample() {
    let rate = 44_100usize;
    let signal = fixtures::noise(77, 44_100, 16, rate * 6);
    // Not at a block's border.
    let cuts = [0, rate * 2 + 1234, rate * 4 + 77, rate * 6];
    let parts: Vec<Signal> = cuts.windows(2).map(|pair| signal.cut(pair[0]..pair[1])).collect();
    let twin = Twin::new(Form { rate: 44_100, format: "s16le" }, "fixed", |folder| {
        for (number, part) in parts.iter().enumerate() {
            let track = (number + 1).to_string();
            let tags = [("title", &*track), ("album", "One Signal"), ("track", &*track)];
            part.flac(&folder.join(format!("{track}.flac")), &tags);
        }
        parts.len()
    });
    let phone = twin.lan.host("phone");
    let address = address_of(&twin.konpo);
    let url = |track: &serde_json::Value| format!("http://{address}/media/{}.flac", track["id"]);
    let urls: Vec<String> = twin.tracks.iter().map(url).collect();
    insert(&phone, address, &urls);
    let recording = twin.dac.record(50);
    act(&phone, address, "playlist", "Play", &[]);
    twin.reaches("playing");
    twin.reaches("stopped");
    let heard = recording.take();
    let from = rate / 2 * 2;
    let start = find(&heard, &signal.samples[from..from + 64]).expect("the signal is on the recording");
    let same = equal(&heard[start..], &signal.samples[from..]);
    println!("{same} of {} samples are identical in one piece", signal.samples.len() - from);
    assert_eq!(same, signal.samples.len() - from, "{} underruns", twin.underruns());
}

fn address_of(konpo: &Konpo) -> SocketAddr {
    let said = konpo.said();
    let url = said.lines().find_map(|line| line.strip_prefix("konpo ready http://")).expect("the ready line");
    url.trim().trim_end_matches('/').parse().expect("an address and a port")
}

/// An app that queues an album from our library, then waits to be killed.
const QUEUES: &str = r#"
import asyncio, sys
from async_upnp_client.aiohttp import AiohttpRequester
from async_upnp_client.client_factory import UpnpFactory
from async_upnp_client.profiles.dlna import DmsDevice
from async_upnp_client.profiles.ohmedia import OhmDevice
from didl_lite.didl_lite import to_xml_string

OhmDevice.DEVICE_TYPES = ["urn:schemas-upnp-org:device:MediaRenderer:1"]

async def main():
    factory = UpnpFactory(AiohttpRequester(timeout=20))
    ohm = OhmDevice(await factory.async_create_device(sys.argv[1]), None)
    dms = DmsDevice(await factory.async_create_device(sys.argv[2]), None)
    found = await dms.async_search_directory("0", 'upnp:class derivedfrom "object.item.audioItem"')
    last = 0
    for track in sorted(found.result, key=lambda track: track.title):
        last = (await ohm.async_playlist_insert(last, track.res[0].uri, to_xml_string(track).decode()))["NewId"]
    await ohm.async_playlist_play()
    print("queued", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"#;

/// Story 9 of product.md by OpenHome's list: the app is killed, the box loses its power and comes back at another address;
/// the album is there and plays on, and nothing was ever fetched from our own media path.
#[test]
fn an_app_queues_an_album_from_our_library_and_is_closed_and_the_album_plays_on() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let mut konpo = stereo(&hifi, SILENT);
    let folder = tempfile::tempdir().expect("a folder");
    let wire = listen(&hifi, konpo.address.port(), folder.path());
    let mut command = python(&phone, "python");
    command.arg("-c").arg(QUEUES).args([&location(konpo.address), &konpo.location()]);
    let mut app = Process::start("the app", command, &folder.path().join("app"));
    wait_for("the album is queued", Duration::from_secs(40), || app.said().contains("queued").then_some(()));
    app.kill();
    let plays = |konpo: &Konpo| {
        wait_for("it plays", Duration::from_secs(20), || {
            let state = konpo.get("/api/state");
            (state["transport"] == "playing" && state["position_ms"].as_u64() > Some(500)).then_some(state)
        })
        .0
    };
    plays(&konpo.konpo);
    konpo.konpo.tell(&json!("next"));
    let before = plays(&konpo.konpo);
    let current = format!("\"current\":{},", before["current"]);
    let database = konpo.konpo.path("data").join("owner.db");
    wait_for("where it plays is written down", Duration::from_secs(10), || {
        rows(&database, KEPT).iter().any(|text| text.contains(&current)).then_some(())
    });
    konpo.konpo.kill();
    let hifi = hifi.moved_to(std::net::Ipv4Addr::new(10, 77, 0, 77));
    konpo.konpo.spawn();
    konpo.konpo.ready();
    let state = konpo.konpo.get("/api/state");
    assert_eq!((&state["queue_length"], &state["current"]), (&json!(3), &before["current"]), "{state}");
    konpo.konpo.tell(&json!({ "play": null }));
    plays(&konpo.konpo);
    konpo.konpo.tell(&json!("next"));
    let state = plays(&konpo.konpo);
    let title = state["queue"][2]["title"].as_str();
    assert_eq!((title, &state["current"]), (Some("Song 3"), &state["queue"][2]["id"]));
    let asked = wire.said();
    assert!(asked.contains("POST /upnp/"), "the wire was heard: {asked}");
    assert!(!asked.contains("GET /media/"), "our own file was fetched");
    println!(
        "{} asks of the box on the wire, none for a file; now at {}",
        asked.matches("POST /upnp/").count(),
        hifi.address
    );
}

/// Writes down every request to the box, on its network and within it.
fn listen(hifi: &Host, port: u16, folder: &Path) -> Process {
    let mut command = hifi.command("tcpdump");
    let filter = format!("dst port {port} and tcp[tcpflags] & tcp-push != 0");
    command.args(["-i", "any", "-l", "-n", "-A", "-s", "1000", &filter]);
    let log = folder.join("wire");
    fs::write(&log, "").expect("a file");
    let heard = Process::start("tcpdump", command, &log);
    wait_for("tcpdump listens", Duration::from_secs(10), || {
        heard.said().contains("listening on").then_some(())
    });
    heard
}

const OPENHOME: &str = "/upnp/renderer";
/// The queue and where it plays, as the box writes them down.
const KEPT: &str = "SELECT value FROM kept WHERE name IN ('memory', 'place')";
