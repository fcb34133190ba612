//! Story 9 by AVTransport: an app queues from our library and is closed; the box changes its address and restarts; the music
//! plays on. It never asks itself for its own files.

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::renderer::{app, renderer};
use super::{SILENT, Stereo};
use crate::support::fixtures;
use crate::support::konpo::Konpo;
use crate::support::net::{Host, Lan};
use crate::support::process::Process;
use crate::support::wait_for;

/// Puts one on and one behind it, then hangs for good.
const QUEUES: &str = r#"
async def main(url, own, one, two):
    app = await App().open(url, own)
    await app.dmr.async_set_transport_uri(one, "One")
    await app.dmr.async_play()
    await until("it plays", app.plays)
    await app.dmr.async_set_next_transport_uri(two, "Two")
    print("queued", flush=True)
    await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"#;

#[test]
fn an_album_of_our_library_plays_on_though_the_app_is_gone_and_the_box_moved() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let folder = tempfile::tempdir().expect("a folder");
    let konpo = Konpo::new(&hifi, SILENT);
    for number in 1..=2u64 {
        let (name, track) = (format!("{number}.flac"), number.to_string());
        let tags = [("title", name.as_str()), ("album", "Album"), ("track", track.as_str())];
        fixtures::noise(number, 44_100, 16, 44_100 * 14).flac(&konpo.music().join(&name), &tags);
    }
    let mut konpo = Stereo::of(konpo);
    wait_for("both songs", Duration::from_secs(20), || (konpo.konpo.tracks().len() == 2).then_some(()));
    let wire = listen(&hifi, folder.path());
    let urls = listed(&konpo, &phone);
    let command = app(&phone, QUEUES, &renderer(&konpo), &[&urls[0], &urls[1]]);
    let mut app = Process::start("async-upnp-client", command, &folder.path().join("app"));
    wait_for("the app queued", Duration::from_secs(30), || app.said().contains("queued").then_some(()));
    app.kill();

    // The box changes its address while it plays, and restarts.
    let moved = Ipv4Addr::new(10, 77, 0, 99);
    hifi.clone().moved_to(moved);
    wait_for("the second song", Duration::from_secs(40), || {
        (konpo.konpo.get("/api/state")["starts"] == 2).then_some(())
    });
    wait_for("it is in the second song", Duration::from_secs(10), || {
        (konpo.konpo.get("/api/state")["position_ms"].as_u64() > Some(1500)).then_some(())
    });
    // What is on the deck is written down within two seconds.
    std::thread::sleep(Duration::from_millis(2500));
    konpo.konpo.stop();
    let konpo = Stereo::of(konpo.konpo);
    assert_eq!(konpo.address.ip(), moved);
    let state = konpo.konpo.get("/api/state");
    assert_eq!((&state["source"], &state["transport"]), (&json!("guest"), &json!("paused")), "{state}");
    assert_eq!(state["guest"]["now"]["title"], "2.flac", "{state}");
    konpo.konpo.tell(&json!({ "play": null }));
    wait_for("it plays on to its end", Duration::from_secs(40), || {
        let state = konpo.konpo.get("/api/state");
        (state["transport"] == "stopped" && state["starts"] == 1).then_some(())
    });
    // A list that another app kept from before still plays.
    let kept = json!({ "what": { "url": urls[0] } });
    konpo.konpo.tell(&json!({ "batch": [{ "set_guest": kept }, { "play": null }] }));
    let (playing, _) = wait_for("the first again", Duration::from_secs(20), || {
        let state = konpo.konpo.get("/api/state");
        (state["transport"] == "playing").then_some(state)
    });
    assert!(playing["guest"]["now"]["track"].is_number(), "{playing}");
    let asked: Vec<String> =
        wire.said().lines().filter(|line| line.contains("GET /media/")).map(str::to_owned).collect();
    assert_eq!(asked, [""; 0], "the box asks nobody for its own files");
    println!("two songs of our own played over a move and a restart; no request for /media was on any card");
}

/// Writes down whatever goes over any card of a machine, from itself to itself, too.
fn listen(hifi: &Host, folder: &Path) -> Process {
    let mut command = hifi.command("tcpdump");
    command.args(["-i", "any", "-l", "-n", "-A", "-s", "300", "tcp[tcpflags] & tcp-push != 0"]);
    let wire = Process::start("tcpdump", command, &folder.join("wire"));
    wait_for("tcpdump listens", Duration::from_secs(10), || {
        wire.said().contains("listening on").then_some(())
    });
    wire
}

/// The URLs of the songs as the media server lists them.
fn listed(konpo: &Stereo, phone: &Host) -> Vec<String> {
    use crate::support::control_point::{call, request};
    let service = "urn:schemas-upnp-org:service:ContentDirectory:1";
    let given = [
        ("ObjectID", "tracks"),
        ("BrowseFlag", "BrowseDirectChildren"),
        ("Filter", "*"),
        ("StartingIndex", "0"),
        ("RequestedCount", "0"),
        ("SortCriteria", "+dc:title"),
    ];
    let (head, body) = call("/upnp/server/content-directory/control", service, "Browse", &given);
    let (status, _, answer) = request(phone, konpo.address, &head, &body);
    assert_eq!(status, 200, "{answer}");
    let urls: Vec<String> =
        answer.split("&gt;").filter_map(|part| part.strip_suffix("&lt;/res").map(str::to_owned)).collect();
    assert_eq!(urls.len(), 2, "{answer}");
    assert!(urls.iter().all(|url| url.contains("/media/")), "{urls:?}");
    urls
}
