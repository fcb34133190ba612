//! Phones that come over IPv6: LocalSend, the page, and a box without it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::fixtures::noise;
use crate::support::konpo::Konpo;
use crate::support::localsend::{offer, plain, prepare, shelved, upload};
use crate::support::net::{Host, Lan};
use crate::support::six::{Hand, PORT, add, announced, curl, link_local, switch};
use crate::support::wait_for;

fn settings() -> &'static str {
    "name = \"Living Room\"\n[output]\ndevice = \"silent\"\n[intake]\npush = \"always\"\n"
}

/// Starts a box there; returns it and the port of its page.
fn served(place: &Host) -> (Konpo, String) {
    let mut konpo = Konpo::new(place, settings());
    konpo.spawn();
    let page = konpo.ready();
    let (_, port) = page.trim_end_matches('/').rsplit_once(':').expect("a port");
    (konpo, port.to_owned())
}

fn song(number: u64) -> Vec<u8> {
    noise(number, 44_100, 16, 44_100).tagged_wav(&format!("Six {number}"), "Yuki", "Beamed")
}

/// Sends a song by curl to what begins so, from this address or card of the phone's.
fn sends(from: &Host, base: &str, number: u64, by: &str) {
    let (folder, bytes) = (tempfile::tempdir().expect("a folder"), song(number));
    let path = folder.path().join("song.wav");
    std::fs::write(&path, &bytes).expect("written");
    let name = format!("{number}.wav");
    let file = json!({ "id": "1", "fileName": name, "size": bytes.len(), "fileType": "audio/wav" });
    let question = offer(json!({ "1": file }));
    let ask = |path: &str, by: &str, body: &str| {
        curl(from, &format!("{base}{path}"), &["--interface", by, "--data-binary", body])
    };
    let (status, said) = ask("/api/localsend/v2/prepare-upload", by, &question);
    assert_eq!(status, 200, "{said}");
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let (id, token) = (said["sessionId"].as_str().expect("an id"), said["files"]["1"].as_str().expect("one"));
    let way = format!("/api/localsend/v2/upload?sessionId={id}&fileId=1&token={token}");
    if by != "eth0" {
        let (status, said) = ask(&way, "fd77::3", "x");
        assert_eq!(status, 403, "another address than the one that asked: {said}");
    }
    let (status, said) = ask(&way, by, &format!("@{}", path.display()));
    assert_eq!(status, 200, "{said}");
}

#[test]
fn a_phone_finds_the_box_over_ipv6_sends_and_opens_the_page() {
    let lan = Lan::new();
    let (place, phone) = (lan.host("box"), lan.host("phone"));
    let (ours, theirs) = (link_local(&place), link_local(&phone));
    let (mut konpo, port) = served(&place);
    // It is heard on the link, where it is.
    let listening = announced(&phone, "Living Room");
    let (_, _) = wait_for("it is heard on the link", Duration::from_secs(40), || {
        // Somebody looks who is there.
        konpo.get("/api/receivers");
        listening.is_finished().then_some(())
    });
    let (said, from) = listening.join().expect("heard");
    assert_eq!((&said["announce"], &said["port"]), (&json!(true), &json!(53317)), "{said}");
    assert_eq!(from.ip(), IpAddr::V6(ours));
    // Addresses that come while it runs.
    add(&place, "fd77::1/64");
    add(&phone, "fd77::2/64");
    add(&phone, "fd77::3/64");
    let page = format!("http://[{ours}%eth0]:{port}");
    let home = format!("http://[fd77::1]:{port}");
    wait_for("its new address is known", Duration::from_secs(30), || {
        (curl(&phone, &format!("{home}/api/state"), &[]).0 == 200).then_some(())
    });
    for base in [&page, &home] {
        let (status, body) = curl(&phone, &format!("{base}/"), &[]);
        assert!(status == 200 && body.contains("<html"), "{status} {body}");
        for host in ["evil.example", "[fd77::9]:8200", "[fe80::9]"] {
            let (status, body) =
                curl(&phone, &format!("{base}/api/state"), &["-H", &format!("Host: {host}")]);
            assert_eq!(status, 421, "{host}: {body}");
        }
    }
    // LocalSend, plain and in private, from the link and from the network of the house.
    let (link, house) = (format!("[{ours}%eth0]:53317"), "[fd77::1]:53317");
    for scheme in ["http", "https"] {
        for at in [link.as_str(), house] {
            let (status, said) = curl(&phone, &format!("{scheme}://{at}/api/localsend/v2/info"), &[]);
            assert!(status == 200 && said.contains("Living Room"), "{status} {said}");
            let me = json!({ "alias": "Six", "version": "2.1", "fingerprint": "s", "port": 1, "protocol": "http" });
            let register = format!("{scheme}://{at}/api/localsend/v2/register");
            let (status, said) = curl(&phone, &register, &["--data-binary", &me.to_string()]);
            assert!(status == 200 && said.contains("Living Room"), "{status} {said}");
        }
    }
    let (status, said) =
        curl(&phone, &format!("http://{house}/api/localsend/v2/info"), &["-H", "Host: evil.example:53317"]);
    assert_eq!(status, 421, "{said}");
    sends(&phone, &format!("http://{link}"), 1, "eth0");
    sends(&phone, &format!("https://{link}"), 2, "eth0");
    sends(&phone, "http://[fd77::1]:53317", 3, "fd77::2");
    shelved(&konpo, 3, Duration::from_secs(60));
    // The first start: of a network of the house, though nobody was there by IPv4.
    let setup = format!("{page}/api/setup");
    let body = ["-X", "POST", "-H", "Content-Type: application/json", "--data-binary", "{\"name\":\"Yuki\"}"];
    let (status, said) = curl(&phone, &setup, &body);
    assert!(status == 200 && said.contains("owner"), "{status} {said}");
    println!("the box {ours} heard {theirs}");
    konpo.stop();
}

#[test]
fn a_device_of_both_families_is_one_and_the_world_is_not_let_in() {
    let lan = Lan::new();
    let (place, phone) = (lan.host("box"), lan.host("phone"));
    let (ours, theirs) = (link_local(&place), link_local(&phone));
    let (mut konpo, port) = served(&place);
    let hand = Hand::listens(&phone, "Hand", "abc");
    let listed = |six: bool| {
        let (address, _) = wait_for("the device is listed", Duration::from_secs(40), || {
            hand.announces("Hand", six);
            std::thread::sleep(Duration::from_secs(1));
            let all = konpo.get("/api/receivers")["items"].as_array().expect("a list").clone();
            assert!(all.len() <= 1, "{all:?}");
            let at: SocketAddr = all.first()?["address"].as_str()?.parse().expect("an address");
            (at.is_ipv6() == six).then_some(at)
        });
        address
    };
    let at = listed(true);
    assert_eq!((at.ip(), at.port()), (IpAddr::V6(theirs), PORT));
    let heard = hand.asked.lock().expect("whole").clone();
    let (from, text) = heard.first().expect("it was told who we are");
    assert_eq!(from.ip(), IpAddr::V6(ours));
    assert!(text.starts_with("POST /api/localsend/v2/register"), "{text}");
    let host = format!("host: [{theirs}]:{PORT}");
    assert!(text.to_lowercase().contains(&host), "without the link: {text}");
    assert_eq!(listed(false).ip(), IpAddr::V4(phone.address), "IPv4 is preferred");
    // Heard over IPv6 again, it stays where it is.
    let before = hand.asked.lock().expect("whole").len();
    wait_for("it is told once more over IPv6", Duration::from_secs(40), || {
        hand.announces("Hand", true);
        std::thread::sleep(Duration::from_secs(1));
        hand.asked.lock().expect("whole")[before..]
            .iter()
            .any(|(from, _)| from.ip() == IpAddr::V6(ours))
            .then_some(())
    });
    assert!(listed(false).is_ipv4());
    // Somebody beyond our networks reaches the box, for IPv6 has no NAT.
    add(&place, "fd77::1/64");
    add(&phone, "fd77::2/64");
    add(&phone, "2001:db8:9::2/64");
    let mut route = place.command("ip");
    route.args(["-6", "route", "add", "2001:db8:9::/64", "dev", "eth0"]);
    crate::support::process::run(route);
    wait_for("the house is let in", Duration::from_secs(30), || {
        (curl(&phone, &format!("http://[fd77::1]:{port}/api/state"), &["--interface", "fd77::2"]).0 == 200)
            .then_some(())
    });
    for at in [&port, "53317"] {
        let url = format!("http://[fd77::1]:{at}/");
        assert_eq!(curl(&phone, &url, &["--interface", "2001:db8:9::2"]).0, 0, "the world: {at}");
    }
    konpo.stop();
}

#[test]
fn a_box_without_ipv6_is_as_it_was_and_gets_it_later() {
    let lan = Lan::new();
    let (place, phone) = (lan.host("box"), lan.host("phone"));
    switch(&place, false);
    let mut konpo = Konpo::new(&place, settings());
    konpo.spawn();
    let page = konpo.ready();
    assert!(page.contains(&place.address.to_string()), "{page}");
    let (status, said) = plain(&phone, &place, "GET", "/api/localsend/v2/info", b"");
    assert!(status == 200 && said["alias"] == "Living Room", "{status} {said}");
    let bytes = song(9);
    let way = prepare(&phone, &place, "nine.wav", bytes.len());
    assert_eq!(upload(&phone, &place, &way, bytes).1, 200);
    shelved(&konpo, 1, Duration::from_secs(60));
    let said = konpo.said();
    let alarming = said.lines().find(|line| {
        (line.contains("WARN") || line.contains("ERROR")) && line.to_lowercase().contains("ipv6")
    });
    assert_eq!(alarming, None, "nothing alarming");
    // Somebody switches it on.
    let ours = link_local(&place);
    link_local(&phone);
    let info = format!("http://[{ours}%eth0]:53317/api/localsend/v2/info");
    wait_for("it is found over IPv6", Duration::from_secs(40), || {
        (curl(&phone, &info, &[]).0 == 200).then_some(())
    });
    konpo.stop();
}
