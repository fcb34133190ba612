//! The renderer among apps that others wrote: they put music on, work the keys, and know what it does.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::{RENDERER, SILENT, Stereo};
use crate::support::control_point::python;
use crate::support::fixtures;
use crate::support::konpo::Konpo;
use crate::support::net::{Host, Lan};
use crate::support::process::{Process, run};
use crate::support::wait_for;
use crate::support::web::Nginx;

/// What all of them print is what they know by events and answers; each line of work ends only when it is told.
const PRELUDE: &str = r#"
import asyncio, sys, time
from datetime import timedelta
from async_upnp_client.aiohttp import AiohttpNotifyServer, AiohttpRequester
from async_upnp_client.client_factory import UpnpFactory
from async_upnp_client.profiles.dlna import DmrDevice, PlayMode, TransportState

async def until(what, is_so, bound=20):
    begun = time.monotonic()
    while not is_so():
        if time.monotonic() - begun > bound:
            raise Exception("not in time: " + what)
        await asyncio.sleep(0.02)

class App:
    async def open(self, url, own):
        requester = AiohttpRequester(timeout=10)
        device = await UpnpFactory(requester, non_strict=False).async_create_device(url)
        self.server = AiohttpNotifyServer(requester, source=(own, 0))
        await self.server.async_start_server()
        self.dmr = DmrDevice(device, self.server.event_handler)
        self.states, self.uris = [], []
        self.dmr.on_event = self.heard
        await self.dmr.async_subscribe_services(auto_resubscribe=True)
        await self.dmr.async_update()
        return self

    def heard(self, service, variables):
        for one in variables:
            if one.name == "TransportState":
                self.states.append(one.value)
            if one.name == "AVTransportURI":
                self.uris.append(one.value)

    async def close(self):
        await self.dmr.async_unsubscribe_services()
        await self.server.async_stop_server()

    def plays(self):
        return self.dmr.transport_state == TransportState.PLAYING
"#;

const WORKS: &str = r#"
async def main(url, own, one, two):
    app = await App().open(url, own)
    dmr = app.dmr
    for what in ["has_play", "has_pause", "has_stop", "has_next", "has_previous", "has_seek_rel_time", "has_seek_abs_time",
                 "has_volume_level", "has_volume_mute", "has_next_transport_uri", "has_play_media", "has_play_mode", "has_presets"]:
        assert getattr(dmr, what), what
    assert "http-get:*:audio/flac:*" in dmr.sink_protocol_info
    meta = await dmr.construct_play_media_metadata(one, "R&B <One>", override_upnp_class="object.item.audioItem.musicTrack",
        meta_data={"artist": "Singer", "album": "Album"})
    await dmr.async_set_transport_uri(one, "R&B <One>", meta)
    await dmr.async_wait_for_can_play()
    await dmr.async_play()
    await until("it plays", app.plays)
    await until("its title", lambda: dmr.media_title == "R&B <One>")
    assert (dmr.media_artist, dmr.media_album_name) == ("Singer", "Album"), (dmr.media_artist, dmr.media_album_name)
    assert dmr.av_transport_uri == one and dmr.current_track_uri == one, dmr.av_transport_uri
    await until("its length", lambda: dmr.media_duration == 30)
    await dmr.async_pause()
    await until("the pause", lambda: dmr.transport_state == TransportState.PAUSED_PLAYBACK)
    await dmr.async_seek_rel_time(timedelta(seconds=12))
    await dmr.async_update()
    assert dmr.media_position == 12, dmr.media_position
    await dmr.async_seek_abs_time(timedelta(seconds=20))
    await dmr.async_play()
    await until("it goes on", app.plays)
    await dmr.async_update()
    assert 20 <= dmr.media_position <= 22, dmr.media_position
    await dmr.async_set_volume_level(0.3)
    await until("the volume", lambda: dmr.volume_level == 0.3)
    await dmr.async_mute_volume(True)
    await until("the mute", lambda: dmr.is_volume_muted)
    await dmr.async_mute_volume(False)
    await until("no mute", lambda: not dmr.is_volume_muted)
    await dmr.async_set_play_mode(PlayMode.REPEAT_ALL)
    await until("the mode", lambda: dmr.play_mode == PlayMode.REPEAT_ALL)
    await dmr.async_set_play_mode(PlayMode.NORMAL)
    await dmr.async_set_next_transport_uri(two, "Two")
    await dmr.async_next()
    await until("the second", lambda: dmr.av_transport_uri == two and app.plays())
    assert dmr.media_title == "Two", dmr.media_title
    await dmr.async_previous()
    await until("it plays again", app.plays)
    await dmr.async_stop()
    await until("the stop", lambda: dmr.transport_state == TransportState.STOPPED)
    assert dmr.preset_names == ["FactoryDefaults"], dmr.preset_names
    await dmr.async_select_preset("FactoryDefaults")
    await until("the preset", lambda: dmr.volume_level == 0.25)
    print("told", app.states)
    # The volume of the page is told here, too.
    print("turn", flush=True)
    await until("what the page turned", lambda: dmr.volume_level == 0.17 and dmr.is_volume_muted)
    await app.close()
    print("done")

asyncio.run(main(*sys.argv[1:]))
"#;

/// An album as an app plays it: each next is set when the one before begins, as the URI tells.
pub const ALBUM: &str = r#"
async def main(url, own, *tracks):
    app = await App().open(url, own)
    await app.dmr.async_set_transport_uri(tracks[0], "Track 1")
    await app.dmr.async_play()
    for number, track in enumerate(tracks):
        await until(track, lambda: app.uris and app.uris[-1] == track, 60)
        print("plays", number, flush=True)
        if number + 1 < len(tracks):
            await app.dmr.async_set_next_transport_uri(tracks[number + 1], f"Track {number + 2}")
    await until("the end", lambda: app.dmr.transport_state == TransportState.STOPPED, 60)
    print("states", " ".join(app.states))
    await app.close()

asyncio.run(main(*sys.argv[1:]))
"#;

/// Starts an app of async-upnp-client on a machine.
pub fn app(phone: &Host, script: &str, renderer: &str, arguments: &[&str]) -> std::process::Command {
    let mut command = python(phone, "python");
    command.env("PYTHONUNBUFFERED", "1");
    command.args(["-c", &format!("{PRELUDE}{script}"), renderer, &phone.address.to_string()]);
    command.args(arguments);
    command
}

pub fn renderer(konpo: &Stereo) -> String {
    format!("http://{}{RENDERER}", konpo.address)
}

#[test]
fn home_assistants_profile_works_every_key_and_knows_what_it_does() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let music = tempfile::tempdir().expect("a folder");
    fixtures::noise(1, 44_100, 16, 44_100 * 30).flac(&music.path().join("1.flac"), &[]);
    fixtures::noise(2, 44_100, 16, 44_100 * 30).flac(&music.path().join("2.flac"), &[]);
    let nginx = Nginx::start(&phone, music.path(), "0");
    let konpo = Stereo::start(&hifi);
    let (one, two) = (nginx.url("1.flac"), nginx.url("2.flac"));
    let command = app(&phone, WORKS, &renderer(&konpo), &[&one, &two]);
    let mut app = Process::start("async-upnp-client", command, &music.path().join("said"));
    wait_for("its keys work", Duration::from_secs(60), || {
        let said = app.said();
        assert!(app.ended().is_none(), "{said}");
        said.contains("\nturn").then_some(())
    });
    assert_eq!(konpo.konpo.get("/api/state")["volume"], 25, "one knob");
    konpo.konpo.tell(&json!({ "set_volume": 17 }));
    konpo.konpo.tell(&json!({ "set_mute": true }));
    let (status, took) = app.wait(Duration::from_secs(20));
    let said = app.said();
    println!("async-upnp-client 0.49.0, strict: {} after {took:?}", said.trim().replace('\n', "; "));
    assert!(status.success() && said.trim_end().ends_with("done"), "{said}");
}

/// The shelf of the box itself, browsed and played by an app; the box never asks itself for it.
#[test]
fn upnpclient_plays_what_it_found_in_our_own_library() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = Konpo::new(&hifi, SILENT);
    fixtures::noise(1, 44_100, 16, 44_100 * 20).flac(&konpo.music().join("One.flac"), &[("title", "One")]);
    let konpo = Stereo::of(konpo);
    wait_for("the song", Duration::from_secs(20), || (konpo.konpo.tracks().len() == 1).then_some(()));
    let script = r#"
import re, sys, time, upnpclient
server, renderer = upnpclient.Device(sys.argv[1]), upnpclient.Device(sys.argv[2])
found = server.ContentDirectory.Browse(ObjectID="tracks", BrowseFlag="BrowseDirectChildren", Filter="*",
    StartingIndex=0, RequestedCount=0, SortCriteria="")["Result"]
url = re.search(r"<res [^>]*>([^<]*)</res>", found).group(1)
av = renderer.AVTransport
av.SetAVTransportURI(InstanceID=0, CurrentURI=url, CurrentURIMetaData=found)
av.Play(InstanceID=0, Speed="1")
for _ in range(500):
    if av.GetTransportInfo(InstanceID=0)["CurrentTransportState"] == "PLAYING":
        break
    time.sleep(0.02)
info = av.GetPositionInfo(InstanceID=0)
media = av.GetMediaInfo(InstanceID=0)
assert media["CurrentURI"] == url and media["CurrentURIMetaData"] == found and info["TrackMetaData"] == found
assert info["TrackDuration"] == "0:00:20", info
av.Seek(InstanceID=0, Unit="REL_TIME", Target="0:00:10")
assert av.GetPositionInfo(InstanceID=0)["RelTime"] == "0:00:10"
renderer.RenderingControl.SetVolume(InstanceID=0, Channel="Master", DesiredVolume=12)
assert renderer.RenderingControl.GetVolume(InstanceID=0, Channel="Master")["CurrentVolume"] == 12
av.Stop(InstanceID=0)
print("done")
"#;
    let mut command = python(&phone, "python");
    command.args(["-c", script, &konpo.location(), &renderer(&konpo)]);
    let said = String::from_utf8_lossy(&run(command)).into_owned();
    assert_eq!(said.trim(), "done");
    let state = konpo.konpo.get("/api/state");
    assert!(state["guest"]["now"]["track"].is_number(), "it is the shelf's: {state}");
    println!("upnpclient 2.0.3 finds a track, plays, seeks and stops it");
}

/// An app of Node that answers no event.
#[test]
fn an_app_that_answers_no_event_is_told_all_the_same() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let folder = tempfile::tempdir().expect("a folder");
    fixtures::noise(1, 44_100, 16, 44_100 * 30).flac(&folder.path().join("1.flac"), &[]);
    let nginx = Nginx::start(&phone, folder.path(), "0");
    let konpo = Stereo::start(&hifi);
    let script = r#"
const Client = require('upnp-mediarenderer-client');
const client = new Client(process.argv[2]);
const fail = (error) => { if (error) { console.log('failed', error); process.exit(1); } };
client.on('status', (status) => console.log('status', JSON.stringify(status)));
client.on('playing', () => { console.log('playing'); client.pause(fail); });
client.on('paused', () => { console.log('paused'); client.stop(fail); });
let begun = false;
client.on('stopped', () => { if (begun) { console.log('stopped'); process.exit(0); } });
client.load(process.argv[3], { autoplay: true, contentType: 'audio/flac',
  metadata: { title: 'R&B', creator: 'Singer', type: 'audio' } }, (error) => { fail(error); begun = true; console.log('loaded'); });
setTimeout(() => { console.log('too late'); process.exit(1); }, 40000);
"#;
    let path = folder.path().join("app.js");
    fs::write(&path, script).expect("written");
    let mut command = phone.command("node");
    let modules = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers-node/node_modules");
    command.env("NODE_PATH", modules).arg(&path).args([&renderer(&konpo), &nginx.url("1.flac")]);
    let said = String::from_utf8_lossy(&run(command)).into_owned();
    println!("upnp-mediarenderer-client 1.4.0: {}", said.trim().replace('\n', "; "));
    for part in ["loaded", "playing", "paused", "stopped"] {
        assert!(said.lines().any(|line| line == part), "{part} in {said}");
    }
}
