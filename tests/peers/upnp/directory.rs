//! The media server among control points that others wrote: they walk the tree, search it, and fetch and play what they find
//! (reference upnp 9.2, rows CDS and HTTP).

use std::fs;
use std::time::Duration;

use super::{SILENT, Stereo};
use crate::support::control_point::{ask, call, python, request};
use crate::support::fixtures::noise;
use crate::support::konpo::Konpo;
use crate::support::net::{Host, Lan};
use crate::support::process::{Process, run};
use crate::support::wait_for;

/// A box with 12 songs of two artists on three albums, all of them listed.
fn shelf(host: &Host) -> Stereo {
    let konpo = Konpo::new(host, SILENT);
    for number in 0..SONGS {
        let (artist, album, title) =
            (format!("Artist {}", number % 2), format!("Album {}", number % 3), format!("Song & {number}"));
        let path = konpo.music().join(format!("{number}.flac"));
        let tags = [("title", title.as_str()), ("artist", &artist), ("album", &album), ("genre", "Noise")];
        noise(number + 1, 44_100, 16, 44_100).flac(&path, &tags);
    }
    let konpo = Stereo::of(konpo);
    wait_for("every song is listed", Duration::from_secs(60), || {
        (konpo.konpo.tracks().len() as u64 == SONGS).then_some(())
    });
    konpo
}

fn said(command: std::process::Command) -> String {
    String::from_utf8_lossy(&run(command)).into_owned()
}

#[test]
fn dms_device_walks_the_whole_tree_and_searches_it() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = shelf(&hifi);
    let mut command = python(&phone, "python");
    command.arg("-c").arg(WALK.replace("LOCATION", &konpo.location()));
    let said = said(command);
    let line = |name: &str| {
        let found = said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{said}"));
        found.trim().to_owned()
    };
    assert_eq!(line("tracks"), SONGS.to_string(), "{said}");
    assert_eq!(line("albums"), "6", "{said}");
    assert_eq!(line("found"), "1 Song & 7", "{said}");
    assert!(line("url").starts_with(&format!("http://{}/media/", konpo.address)), "{said}");
}

#[test]
fn upnpclient_browses_with_arguments_that_it_checks_itself() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = shelf(&hifi);
    let mut command = python(&phone, "python");
    command.arg("-c").arg(format!(
        "import upnpclient\nd = upnpclient.Device({:?})\nc = d.ContentDirectory\n\
         r = c.Browse(ObjectID='albums', BrowseFlag='BrowseDirectChildren', Filter='*', StartingIndex=0, \
         RequestedCount=2, SortCriteria='')\nprint(r['NumberReturned'], r['TotalMatches'])\n\
         r = c.Search(ContainerID='0', SearchCriteria='upnp:class derivedfrom \"object.item.audioItem\"', Filter='', \
         StartingIndex=0, RequestedCount=0, SortCriteria='+dc:title')\nprint(r['NumberReturned'], r['TotalMatches'])\n\
         print(c.GetSystemUpdateID()['Id'] >= 0, len(c.X_GetFeatureList()['FeatureList']) > 0)\n",
        konpo.location()
    ));
    let said = said(command);
    assert!(said.contains("2 6\n12 12\nTrue True"), "{said}");
}

#[test]
fn mpd_lists_searches_and_plays_by_its_upnp_plug_in() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let _konpo = shelf(&hifi);
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let settings = format!(
        "bind_to_address \"{}\"\nlog_level \"verbose\"\nzeroconf_enabled \"no\"\ndatabase {{\n plugin \"upnp\"\n interface \"eth0\"\n}}\n\
         input {{\n plugin \"curl\"\n}}\naudio_output {{\n type \"null\"\n name \"out\"\n}}\n",
        at("socket").display(),
    );
    fs::write(at("mpd.conf"), settings).expect("settings");
    let mut command = phone.command("mpd");
    command.args(["--no-daemon", "--stderr"]).arg(at("mpd.conf")).env("HOME", folder.path());
    let _mpd = Process::start("mpd", command, &at("said"));
    let mpc = |arguments: &[&str]| {
        let mut command = phone.command("mpc");
        command.arg("--host").arg(at("socket")).args(arguments);
        command
            .output()
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default()
    };
    wait_for("MPD found the box", Duration::from_secs(30), || mpc(&["ls"]).contains("Stereo").then_some(()));
    assert!(mpc(&["ls", "Stereo"]).contains("Stereo/Albums"), "{}", mpc(&["ls", "Stereo"]));
    assert_eq!(mpc(&["ls", "Stereo/Artists/Artist 0"]).lines().count(), 4, "three albums and all tracks");
    let found = mpc(&["search", "title", "Song & 7"]);
    assert_eq!(found.lines().count(), 1, "{found}");
    mpc(&["searchadd", "title", "Song & 7"]);
    mpc(&["play"]);
    wait_for("MPD plays it", Duration::from_secs(20), || mpc(&["status"]).contains("Song & 7").then_some(()));
}

#[test]
fn rupnp_browses_and_what_it_gets_is_what_konpo_reads() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = shelf(&hifi);
    let location = konpo.location();
    let asked = phone.within(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let url: rupnp::http::Uri = location.parse().expect("a URL");
            let device = rupnp::Device::from_url(url).await.expect("rupnp loads it");
            let kind = rupnp::ssdp::URN::service("schemas-upnp-org", "ContentDirectory", 1);
            let service = device.find_service(&kind).expect("the service");
            let payload = "<ObjectID>tracks</ObjectID><BrowseFlag>BrowseDirectChildren</BrowseFlag><Filter>*</Filter>\
                <StartingIndex>0</StartingIndex><RequestedCount>0</RequestedCount><SortCriteria></SortCriteria>";
            service.action(device.url(), "Browse", payload).await.expect("an answer")
        })
    });
    let answer = asked.join().expect("asked");
    let read = konpo::wire::didl::parse(&answer["Result"]).expect("a listing");
    assert_eq!((read.items.len() as u64, answer["TotalMatches"].as_str()), (SONGS, "12"));
    let song = read.items.iter().find(|item| item.title == "Song & 7").expect("listed");
    assert_eq!((song.artist.as_deref(), song.genre.as_deref()), (Some("Artist 1"), Some("Noise")));
    let way = &song.resources[0];
    assert!(way.is_http() && !way.is_converted() && way.mime() == "audio/flac", "{way:?}");
}

/// What a Samsung soundbar does before it says that it will play, and what one does that asks for the end first.
#[test]
fn a_file_is_there_by_head_and_by_any_part_for_many_at_once() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = shelf(&hifi);
    let given = [("ObjectID", "tracks"), ("BrowseFlag", "BrowseDirectChildren"), ("RequestedCount", "1")];
    let (head, body) = call(CONTROL, CONTENT_DIRECTORY, "Browse", &given);
    let (_, _, answer) = request(&phone, konpo.address, &head, &body);
    let url = answer
        .split("http://")
        .find(|part| part.contains("/media/") && !part.contains("cover"))
        .expect("a file");
    let path = url[url.find("/media/").expect("there")..].split("&lt;").next().expect("a path").to_owned();
    let (status, head, body) = request(&phone, konpo.address, &format!("HEAD {path} HTTP/1.1"), "");
    let length = head.to_ascii_lowercase();
    let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let size: u64 = length.trim().parse().expect("a number");
    assert!(status == 200 && size > 10_000 && body.is_empty(), "{head}");
    let to = konpo.address;
    let readers: Vec<_> = (0..20u64)
        .map(|number| {
            let path = path.clone();
            phone.within(move || {
                let from = size - 100 - number;
                ask(to, &format!("GET {path} HTTP/1.1\r\nRange: bytes={from}-"), "").0
            })
        })
        .collect();
    assert!(readers.into_iter().all(|reader| reader.join().expect("asked") == 206));
}

const SONGS: u64 = 12;
const CONTROL: &str = "/upnp/server/content-directory/control";
const CONTENT_DIRECTORY: &str = "urn:schemas-upnp-org:service:ContentDirectory:1";

/// Walks everything below the root, with the checks of async-upnp-client switched on.
const WALK: &str = r#"
import asyncio
from async_upnp_client.aiohttp import AiohttpRequester
from async_upnp_client.client_factory import UpnpFactory
from async_upnp_client.profiles.dlna import DmsDevice

async def main():
    device = await UpnpFactory(AiohttpRequester(), non_strict=False).async_create_device("LOCATION")
    dms = DmsDevice(device, None)
    tracks, albums, todo, seen, url = set(), set(), ["0"], set(), ""
    while todo:
        container = todo.pop()
        meta = await dms.async_browse_metadata(container)
        assert meta.id == container, (meta.id, container)
        start = 0
        while True:
            page = await dms.async_browse_direct_children(container, starting_index=start, requested_count=7)
            for one in page.result:
                assert one.parent_id == container, (one.id, one.parent_id, container)
                if one.upnp_class.startswith("object.item"):
                    tracks.add(getattr(one, "ref_id", None) or one.id)
                    url = one.res[0].uri
                elif one.id not in seen:
                    seen.add(one.id)
                    todo.append(one.id)
                    if one.upnp_class == "object.container.album.musicAlbum" and "@" not in one.id:
                        albums.add(one.id)
            start += page.number_returned
            if start >= page.total_matches:
                break
    found = await dms.async_search_directory("0", 'dc:title contains "& 7" and upnp:class derivedfrom "object.item"')
    print("tracks", len(tracks))
    print("albums", len(albums))
    print("found", found.total_matches, found.result[0].title)
    print("url", url)

asyncio.run(main())
"#;
