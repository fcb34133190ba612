//! Who finds konpo, on which network, and how soon again (reference upnp 9.2, row SSDP).

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use super::{CONNECTIONS, RENDERER, SERVER, Stereo};
use crate::support::control_point::{self, Seen, discover, search};
use crate::support::konpo::text;
use crate::support::net::{Lan, Link};
use crate::support::wait_for;

#[test]
fn every_name_is_found_once_and_says_good_bye() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let folder = tempfile::tempdir().expect("a folder");
    let mut konpo = Stereo::start(&hifi);
    let own = |seen: Vec<Seen>| -> Vec<Seen> {
        let mut own: Vec<Seen> = seen.into_iter().filter(|seen| seen.location == konpo.location()).collect();
        own.sort_by(|a, b| a.usn.cmp(&b.usn));
        own
    };
    let all = own(discover(&phone, 5, "ssdp:all"));
    let (_, _, description) =
        control_point::request(&phone, konpo.address, "GET /upnp/server/description.xml HTTP/1.1", "");
    let services = description.matches("<serviceType>").count();
    assert_eq!(all.len(), 3 + services, "three names and one for each service: {all:#?}");
    let mut names: Vec<&str> = all.iter().map(|seen| seen.usn.as_str()).collect();
    names.dedup();
    assert_eq!(names.len(), all.len(), "each once: {names:?}");
    for part in ["::upnp:rootdevice", SERVER, CONNECTIONS] {
        assert_eq!(names.iter().filter(|name| name.ends_with(part)).count(), 1, "{part} in {names:?}");
    }
    assert_eq!(own(discover(&phone, 4, SERVER)).len(), 1);
    // The renderer is a root device of its own, with a name of its own.
    let at = format!("http://{}{RENDERER}", konpo.address);
    let kind = "urn:schemas-upnp-org:device:MediaRenderer:1";
    let found: Vec<Seen> = discover(&phone, 4, kind).into_iter().filter(|seen| seen.location == at).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].usn.ends_with(kind) && !names.iter().any(|name| name[..41] == found[0].usn[..41]),
        "{found:?}"
    );
    assert_eq!(discover(&phone, 4, "urn:schemas-upnp-org:device:MediaServer:9"), []);
    let watching = control_point::watch(&phone, "eth0", &folder.path().join("seen"));
    let count =
        |state: &str| control_point::seen(&watching.said()).iter().filter(|seen| seen.state == state).count();
    wait_for("it is seen", Duration::from_secs(10), || (count("available") >= all.len()).then_some(()));
    konpo.konpo.stop();
    let (_, took) = wait_for("every name says good-bye", Duration::from_secs(5), || {
        (count("unavailable") >= all.len()).then_some(())
    });
    println!("{} names found; their good-byes heard {} ms after the end", all.len(), took.as_millis());
}

/// Reference upnp 1.3: MX, MAN, version, unicast.
#[test]
fn searches_are_answered_as_the_protocol_says() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let konpo = Stereo::start(&hifi);
    let group = Ipv4Addr::new(239, 255, 255, 250);
    let ask = |to, lines: &str| search(&phone, to, lines, Duration::from_millis(1500)).len();
    let full = format!("MAN: \"ssdp:discover\"\r\nMX: 1\r\nST: {SERVER}\r\n");
    // The announcements of the start are over when it answers.
    wait_for("it answers", Duration::from_secs(10), || (ask(group, &full) == 1).then_some(()));
    for (what, lines, want) in [
        ("whole", full.clone(), 1),
        ("no MX", full.replace("MX: 1\r\n", ""), 0),
        ("MX is no number", full.replace("MX: 1", "MX: x"), 0),
        ("MX 0", full.replace("MX: 1", "MX: 0"), 1),
        ("no MAN", full.replace("MAN: \"ssdp:discover\"\r\n", ""), 0),
        ("no quotes", full.replace('"', ""), 0),
        ("header in lower case", full.replace("MAN", "man").replace("ST", "st"), 1),
        ("version 9", full.replace("Server:1", "Server:9"), 0),
        ("another device", full.replace("MediaServer", "Basic"), 0),
    ] {
        assert_eq!(ask(group, &lines), want, "{what}");
    }
    assert_eq!(ask(hifi.address, &full.replace("MX: 1\r\n", "")), 1, "to it alone, without MX");
    let answer = search(&phone, hifi.address, &full, Duration::from_millis(500)).remove(0);
    for line in ["HTTP/1.1 200 OK", "EXT:", "SERVER: ", "CACHE-CONTROL: max-age=1800", "BOOTID.UPNP.ORG: "] {
        assert!(answer.contains(line), "{line} in {answer}");
    }
    assert!(answer.contains(&format!("ST: {SERVER}\r\n")) && answer.contains(&konpo.location()), "{answer}");
    // A flood: twenty answers in a second, and the rest is silence.
    let flood = phone.within(move || {
        let socket = std::net::UdpSocket::bind(("0.0.0.0", 0)).expect("a socket");
        let text = format!("M-SEARCH * HTTP/1.1\r\nMAN: \"ssdp:discover\"\r\nST: {SERVER}\r\n\r\n");
        let start = Instant::now();
        (0..2000).for_each(|_| assert!(socket.send_to(text.as_bytes(), (hifi.address, 1900)).is_ok()));
        let (mut answers, mut buffer) = (0, [0; 2048]);
        socket.set_read_timeout(Some(Duration::from_millis(500))).expect("a time");
        while socket.recv_from(&mut buffer).is_ok() {
            answers += 1;
        }
        (answers, start.elapsed().as_secs_f64())
    });
    let (answers, seconds) = flood.join().expect("flooded");
    println!("2000 searches in {seconds:.1} s: {answers} answers");
    assert!(answers >= 1 && f64::from(answers) <= 20.0 * (seconds + 1.0), "{answers} in {seconds} s");
}

#[test]
fn after_every_change_of_the_network_it_is_found_again() {
    let (house, annex) = (Lan::new(), Lan::new());
    let hifi = house.host("hifi");
    annex.plug(&hifi, "eth1");
    let (phone, there) = (house.host("phone"), annex.host("phone").moved_to(Ipv4Addr::new(10, 78, 0, 1)));
    let folder = tempfile::tempdir().expect("a folder");
    let here = control_point::watch(&phone, "eth0", &folder.path().join("here"));
    let away = control_point::watch(&there, "eth0", &folder.path().join("away"));
    let konpo = Stereo::start(&hifi);
    let found = |location: &str, log: &str| {
        control_point::seen(log)
            .iter()
            .filter(|seen| seen.location == location && seen.state == "available")
            .count()
    };
    wait_for("it is found", FOUND_WITHIN, || (found(&konpo.location(), &here.said()) > 0).then_some(()));
    assert_eq!(found(&konpo.location(), &away.said()), 0, "the other network knows nothing of it");
    // A second network: its own address there.
    let second = Ipv4Addr::new(10, 78, 0, 10);
    hifi.replug("eth1", second);
    let at_second = konpo.location_at(second);
    let (_, took) =
        wait_for("found on the second", FOUND_WITHIN, || (found(&at_second, &away.said()) > 0).then_some(()));
    println!("a second card: found there after {} ms", took.as_millis());
    assert_eq!(found(&at_second, &here.said()), 0, "each network has its own location");
    // Another address.
    let moved = hifi.clone().moved_to(Ipv4Addr::new(10, 77, 0, 90));
    let at_moved = konpo.location_at(moved.address);
    let (_, took) = wait_for("found at the new address", FOUND_WITHIN, || {
        (found(&at_moved, &here.said()) > 0).then_some(())
    });
    println!("another address: found after {} ms", took.as_millis());
    let (_, _, text_there) = control_point::request(
        &phone,
        (moved.address, konpo.address.port()).into(),
        "GET /upnp/server/description.xml HTTP/1.1",
        "",
    );
    assert!(text_there.contains("<UDN>"), "{text_there}");
    // A link that is lost and comes back: it is announced anew to whoever has forgotten it.
    let logged = |words: &str| text(&konpo.konpo.path("said")).matches(words).count();
    let (joined, left) = (logged("on the network"), logged("the network is gone"));
    moved.link(Link::Down);
    wait_for("it has left", FOUND_WITHIN, || (logged("the network is gone") > left).then_some(()));
    let fresh = control_point::watch(&phone, "eth0", &folder.path().join("fresh"));
    moved.link(Link::Up);
    let (_, took) =
        wait_for("found again", FOUND_WITHIN, || (found(&at_moved, &fresh.said()) > 0).then_some(()));
    assert!(logged("on the network") > joined);
    println!("a link that came back: found after {} ms", took.as_millis());
}

/// What was asked for (the owner's issue).
const FOUND_WITHIN: Duration = Duration::from_secs(5);
