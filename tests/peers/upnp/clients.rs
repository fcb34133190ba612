//! Control points that others wrote load the device, call it and are told by it (reference upnp 9.2, description and SOAP).

use std::path::Path;
use std::time::Duration;

use super::{CONNECTIONS, CONTROL, SILENT, Stereo};
use crate::support::control_point::{call, python, request};
use crate::support::fixtures;
use crate::support::konpo::Konpo;
use crate::support::net::{Host, Lan};
use crate::support::process::{Process, run};
use crate::support::wait_for;

fn said(command: std::process::Command) -> String {
    String::from_utf8_lossy(&run(command)).into_owned()
}

#[test]
fn async_upnp_client_loads_it_strictly_calls_it_and_is_told() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let folder = tempfile::tempdir().expect("a folder");
    let konpo = Stereo::start(&hifi);
    let location = konpo.location();
    let mut found = python(&phone, "upnp-client");
    found.args(["--strict", "--timeout", "5", "search", "--bind", &phone.address.to_string()]);
    found.args(["--search_target", "upnp:rootdevice"]);
    let found = said(found);
    assert!(found.contains(&location), "{found}");
    let mut called = python(&phone, "upnp-client");
    called.args(["--strict", "call-action", &location, "CM/GetCurrentConnectionInfo", "ConnectionID=0"]);
    let called = said(called);
    assert!(called.contains("\"Direction\": \"Output\"") && called.contains("\"RcsID\": -1"), "{called}");
    let events = subscribed(&phone, &location, &folder.path().join("told"));
    let (said, took) = wait_for("the first event", Duration::from_secs(20), || {
        Some(events.said()).filter(|said| said.contains("CurrentConnectionIDs"))
    });
    println!("async-upnp-client 0.49.0 is told after {} ms", took.as_millis());
    assert!(said.contains("SourceProtocolInfo"), "{said}");
}

fn subscribed(phone: &Host, location: &str, log: &Path) -> Process {
    let mut command = python(phone, "upnp-client");
    command.args(["--strict", "subscribe", location, "CM"]);
    command.env("PYTHONUNBUFFERED", "1");
    Process::start("upnp-client", command, log)
}

/// The profile that Home Assistant browses by, without its tolerance.
const DMS: &str = r#"
import asyncio, sys
from async_upnp_client.aiohttp import AiohttpRequester
from async_upnp_client.client_factory import UpnpFactory
from async_upnp_client.profiles.dlna import DmsDevice

async def main():
    device = await UpnpFactory(AiohttpRequester(timeout=20), non_strict=False).async_create_device(sys.argv[1])
    dms = DmsDevice(device, None)
    root = await dms.async_browse_metadata("0")
    print("root", root.title)
    page = await dms.async_browse_direct_children("0")
    for child in page.result:
        print("child", child.title, child.upnp_class)
    found = await dms.async_search_directory("0", 'upnp:class derivedfrom "object.item.audioItem"')
    print("found", found.total_matches)
    for track in found.result:
        print("track", track.title, "|", track.res[0].uri, "|", track.res[0].protocol_info)

asyncio.run(main())
"#;

#[test]
fn home_assistants_profile_browses_and_searches() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = Konpo::new(&hifi, SILENT);
    fixtures::noise(1, 44_100, 16, 44_100).flac(&konpo.music().join("One.flac"), &[("title", "R&B <One>")]);
    let konpo = Stereo::of(konpo);
    wait_for("the song is there", Duration::from_secs(20), || {
        (konpo.konpo.tracks().len() == 1).then_some(())
    });
    let mut command = python(&phone, "python");
    command.args(["-c", DMS, &konpo.location()]);
    let said = said(command);
    println!("{said}");
    for part in
        ["root ", "child ", "found 1\n", "track R&B <One> | http://", "http-get:*:audio/flac:DLNA.ORG_OP=01"]
    {
        assert!(said.contains(part), "{part} in {said}");
    }
    let uri = said.lines().find_map(|line| line.strip_prefix("track ")?.split(" | ").nth(1)).expect("a URL");
    assert!(uri.starts_with(&format!("http://{}/", konpo.address)), "{uri}");
    let mut fetched = phone.command("curl");
    fetched.args(["-s", "-f", "-o", "/dev/null", "-w", "%{http_code} %{content_type} %{size_download}", uri]);
    let fetched = self::said(fetched);
    let size = std::fs::metadata(konpo.konpo.music().join("One.flac")).expect("the song").len();
    assert_eq!(fetched, format!("200 audio/flac {size}"));
}

/// The shelf of one konpo is a neighbour of another.
#[test]
fn another_konpo_finds_it_and_can_look() {
    let lan = Lan::new();
    let (hifi, other) = (lan.host("hifi"), lan.host("other"));
    let konpo = Konpo::new(&hifi, "name = \"Kitchen\"\n[output]\ndevice = \"silent\"\n");
    fixtures::noise(1, 44_100, 16, 44_100).flac(&konpo.music().join("One.flac"), &[("title", "One")]);
    let konpo = Stereo::of(konpo);
    wait_for("the song is there", Duration::from_secs(20), || {
        (konpo.konpo.tracks().len() == 1).then_some(())
    });
    let second = Konpo::start(&other, SILENT);
    let (kitchen, took) = wait_for("it is a neighbour", Duration::from_secs(20), || {
        second.neighbour("Kitchen").filter(|neighbour| neighbour["state"]["state"] == "ready")
    });
    println!("another konpo can use it after {} ms", took.as_millis());
    second.neighbour_do(kitchen["id"].as_str().expect("an id"), "look");
    let (looked, _) = wait_for("it was looked at", Duration::from_secs(20), || {
        second.neighbour("Kitchen").filter(|neighbour| neighbour["state"]["state"] == "looked")
    });
    // A second of noise on no album is no song that anybody takes, but it is seen.
    let state = &looked["state"];
    let seen = state["tracks"].as_u64().zip(state["left"].as_u64()).map(|(tracks, left)| tracks.max(left));
    assert_eq!(seen, Some(1), "{looked}");
}

#[test]
fn upnpclient_loads_it_and_checks_its_own_arguments() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = Stereo::start(&hifi);
    let mut command = python(&phone, "python");
    command.arg("-c").arg(format!(
        "import upnpclient\nd = upnpclient.Device({:?})\nprint(d.friendly_name)\n\
         print(sorted(s.name for s in d.services))\nprint(d.ConnectionManager.GetCurrentConnectionInfo(ConnectionID=0))\n\
         print(d.ConnectionManager.GetProtocolInfo()['Source'])\n",
        konpo.location()
    ));
    let said = said(command);
    for part in ["Stereo", "ConnectionManager", "'Status': 'OK'", "http-get:*:audio/flac:"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}

#[test]
fn rupnp_loads_it_and_calls_it() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = Stereo::start(&hifi);
    let location = konpo.location();
    let asked = phone.within(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let url: rupnp::http::Uri = location.parse().expect("a URL");
            let device = rupnp::Device::from_url(url).await.expect("rupnp loads it");
            let kind = rupnp::ssdp::URN::service("schemas-upnp-org", "ConnectionManager", 1);
            let service = device.find_service(&kind).expect("the service");
            let scpd = service.scpd(device.url()).await.expect("its description");
            let answer =
                service.action(device.url(), "GetCurrentConnectionIDs", "").await.expect("an answer");
            (device.friendly_name().to_owned(), scpd.actions().len(), answer)
        })
    });
    let (name, actions, answer) = asked.join().expect("asked");
    assert_eq!((name.as_str(), actions, answer["ConnectionIDs"].as_str()), ("Stereo", 3, "0"));
}

/// Reference upnp 9.2, row SOAP: codes, sizes, and what a page of another site might send.
#[test]
fn bare_calls_get_the_codes_of_the_protocol() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = Stereo::start(&hifi);
    let ask = |action: &str, given: &[(&str, &str)]| {
        let (head, body) = call(CONTROL, CONNECTIONS, action, given);
        request(&phone, konpo.address, &head, &body)
    };
    let (status, head, body) = ask("GetCurrentConnectionIDs", &[]);
    assert_eq!(status, 200, "{head}");
    let head = head.to_ascii_lowercase();
    for line in
        ["content-type: text/xml; charset=\"utf-8\"", "ext:", "server: ", "date: ", "content-length: "]
    {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert!(!head.contains("chunked") && body.contains("<ConnectionIDs>0</ConnectionIDs>"), "{body}");
    for (action, given, want) in [
        ("NoSuchAction", &[][..], 401),
        ("GetCurrentConnectionInfo", &[], 402),
        ("GetCurrentConnectionInfo", &[("ConnectionID", "x")], 402),
        ("GetCurrentConnectionInfo", &[("ConnectionID", "7")], 706),
    ] {
        let (status, _, body) = ask(action, given);
        assert!(
            status == 500 && body.contains(&format!("<errorCode>{want}</errorCode>")),
            "{action}: {body}"
        );
    }
    let (head, _) = call(CONTROL, CONNECTIONS, "GetProtocolInfo", &[]);
    assert_eq!(request(&phone, konpo.address, &head, &"<".repeat(1 << 20)).0, 413, "1 MB");
    assert_eq!(
        request(&phone, konpo.address, &format!("POST {CONTROL} HTTP/1.1"), "<x/>").0,
        400,
        "no SOAPACTION"
    );
}
