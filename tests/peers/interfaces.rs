//! Networks that come and go while konpo runs.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::konpo::{Konpo, text};
use crate::support::net::{Host, Lan};
use crate::support::phone::Phone;
use crate::support::{fixtures, patient, wait_for};

const SILENT: &str = "[output]\ndevice = \"silent\"\n";

#[test]
fn a_phone_is_found_again_after_every_replug_and_nothing_is_left_behind() {
    let (house, annex) = (Lan::new(), Lan::new());
    let hifi = house.host("hifi");
    annex.plug(&hifi, "eth1");
    hifi.replug("eth1", Ipv4Addr::new(10, 78, 0, 10));
    let music = one_song();
    // They announce themselves once in ten minutes: who is found sooner was searched.
    let here = house.host("phone");
    let _here = Phone::start_as(&here, music.path(), HERE.0, HERE.1, 600);
    let there = annex.host("phone").moved_to(Ipv4Addr::new(10, 78, 0, 1));
    let _there = Phone::start_as(&there, music.path(), THERE.0, THERE.1, 600);
    let mut konpo = Konpo::new(&hifi, SILENT);
    konpo.spawn();
    let url = konpo.ready();
    let port: u16 =
        url.trim_end_matches('/').rsplit(':').next().and_then(|p| p.parse().ok()).expect("a port");
    for (name, _) in [HERE, THERE] {
        wait_for(name, Duration::from_secs(20), || ready(&konpo, name));
    }
    let rounds = if crate::support::all() { 200 } else { 20 };
    let mut figures = Vec::new();
    for round in 0..rounds {
        // A cable one time, a whole card the other: the kernel gives the next one another number.
        if round % 2 == 0 {
            hifi.unplug("eth1");
        } else {
            hifi.take_out("eth1");
            annex.plug(&hifi, "eth1");
        }
        wait_for("who was there is gone", FOUND_WITHIN, || konpo.neighbour(THERE.0).is_none().then_some(()));
        assert!(ready(&konpo, HERE.0).is_some(), "round {round}: the other network is not touched");
        // Never one that was used: the phone would look for it at the old card, which is its kernel's affair.
        let address = Ipv4Addr::new(10, 78, 0, 20 + round);
        hifi.replug("eth1", address);
        let replugged = Instant::now();
        wait_for("it is found again", FOUND_WITHIN, || ready(&konpo, THERE.0));
        let took = replugged.elapsed();
        assert!(took < patient(FOUND_WITHIN), "round {round}: {took:?}");
        assert!(ready(&konpo, HERE.0).is_some(), "round {round}: the other network is not touched");
        assert_eq!(page(&there, address, port), "200", "round {round}: the page is there at its new address");
        wait_for("both groups are joined", FOUND_WITHIN, || {
            let groups = hifi.groups("eth1");
            ["239.255.255.250", "224.0.0.251"].iter().all(|group| groups.contains(group)).then_some(())
        });
        figures.push((took, resident(&konpo), open_files(&konpo)));
    }
    report(&figures);
}

#[test]
fn a_link_that_drops_for_a_moment_loses_nobody() {
    let lan = Lan::new();
    let (hifi, host) = (lan.host("hifi"), lan.host("phone"));
    let konpo = Konpo::start(&hifi, SILENT);
    let music = one_song();
    let mut phone = Phone::start_as(&host, music.path(), HERE.0, HERE.1, 600);
    wait_for(HERE.0, Duration::from_secs(20), || ready(&konpo, HERE.0));
    let joins = || text(&konpo.path("said")).matches("on the network").count();
    assert_eq!(joins(), 1);
    // The same address comes back before anybody looked.
    hifi.blink();
    wait_for("the group is joined anew", FOUND_WITHIN, || (joins() == 2).then_some(()));
    assert!(ready(&konpo, HERE.0).is_some(), "the phone stayed");
    // Announcements are heard as before.
    phone.leave();
    wait_for("its good-bye is heard", FOUND_WITHIN, || konpo.neighbour(HERE.0).is_none().then_some(()));
}

#[test]
fn a_bare_address_is_asked_wherever_it_is() {
    let (house, annex) = (Lan::new(), Lan::new());
    let (hifi, router) = (house.host("hifi"), house.host("router"));
    annex.plug(&router, "eth1");
    router.replug("eth1", Ipv4Addr::new(10, 78, 0, 254));
    let far = annex.host("far").moved_to(Ipv4Addr::new(10, 78, 0, 1));
    router.forward();
    far.route_by(Ipv4Addr::new(10, 78, 0, 254));
    hifi.route_by(router.address);
    answer_searches(&far);
    let konpo = Konpo::start(&hifi, SILENT);
    assert!(konpo.get("/api/neighbours")["items"].as_array().is_some_and(Vec::is_empty), "nobody is near");
    add(&konpo, far.address);
    let (_, took) = wait_for("the far one is there", FOUND_WITHIN, || ready(&konpo, FAR.0));
    println!("a device behind a router is usable after {} ms", took.as_millis());
}

#[test]
fn a_phone_that_ignores_what_is_sent_to_it_alone_is_found_by_its_address() {
    let lan = Lan::new();
    let (hifi, host) = (lan.host("hifi"), lan.host("phone"));
    let music = one_song();
    let phone = Phone::start_as(&host, music.path(), HERE.0, HERE.1, 600);
    let announced = || phone.said().matches("Sending ssdp:alive").count();
    wait_for("it has announced itself twice", Duration::from_secs(20), || (announced() == 12).then_some(()));
    // Its answers to the searches of the start are lost.
    host.mistakes(hifi.address);
    let konpo = Konpo::start(&hifi, SILENT);
    let answered = || phone.said().matches("Sending M-SEARCH response").count();
    wait_for("the searches of the start are over", Duration::from_secs(20), || {
        (answered() == 3).then_some(())
    });
    assert!(konpo.neighbour(HERE.0).is_none(), "nothing arrived");
    host.remembers(hifi.address);
    add(&konpo, host.address);
    let (_, took) = wait_for("it is there", Duration::from_secs(10), || ready(&konpo, HERE.0));
    println!("a device that ignores unicast searches is usable after {} ms", took.as_millis());
}

fn add(konpo: &Konpo, address: Ipv4Addr) {
    let body = serde_json::json!({"address": address.to_string()});
    let reply = konpo.ask("POST", "/api/neighbours", Some(&body));
    assert!(reply.status < 300, "{} {}", reply.status, reply.json);
}

/// A media server that answers a search sent to itself alone, with a description and nothing more.
fn answer_searches(host: &Host) {
    let address = host.address;
    host.within(move || {
        let listener = TcpListener::bind((address, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut head = [0; 2048];
                let _asked = stream.read(&mut head);
                let body = DESCRIPTION.replace("NAME", FAR.0).replace("UUID", FAR.1);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                let _gone = stream.write_all((head + &body).as_bytes());
            }
        });
        let socket = UdpSocket::bind((address, 1900)).expect("a socket");
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            // The socket lives as long as the test program; nobody asks it when the test is over.
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                assert!(buffer[..length].starts_with(b"M-SEARCH"));
                let words = format!(
                    "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=1800\r\nEXT:\r\n\
                     LOCATION: http://{address}:{port}/d.xml\r\nSERVER: Linux UPnP/1.0 Far/1\r\n\
                     ST: urn:schemas-upnp-org:device:MediaServer:1\r\n\
                     USN: uuid:{}::urn:schemas-upnp-org:device:MediaServer:1\r\n\r\n",
                    FAR.1
                );
                let _unreachable = socket.send_to(words.as_bytes(), from);
            }
        });
    })
    .join()
    .expect("it answers");
}

/// Prints what the rounds took and holds the last against the first: the first ones fill caches and arenas.
fn report(figures: &[(Duration, u64, usize)]) {
    let (early, late) = (&figures[5..10], &figures[figures.len() - 5..]);
    let most = |part: &[(Duration, u64, usize)]| {
        let memory = part.iter().map(|f| f.1).max().expect("rounds");
        (memory, part.iter().map(|f| f.2).max().expect("rounds"))
    };
    let ((memory, files), (memory_late, files_late)) = (most(early), most(late));
    let longest = figures.iter().map(|f| f.0).max().expect("rounds");
    let sum: Duration = figures.iter().map(|f| f.0).sum();
    println!(
        "{} rounds: found again after {} ms on average, {} ms at most; resident {memory} kB in rounds 6 to 10, \
         {memory_late} kB in the last 5 ({:?} kB in the first and the last); open files {files}, then {files_late}",
        figures.len(),
        sum.as_millis() / figures.len() as u128,
        longest.as_millis(),
        (figures[0].1, figures[figures.len() - 1].1),
    );
    assert!(files_late <= files, "open files: {files}, then {files_late}");
    assert!(memory_late <= memory + SLACK_KB, "resident: {memory} kB, then {memory_late} kB");
}

fn ready(konpo: &Konpo, name: &str) -> Option<Value> {
    konpo.neighbour(name).filter(|neighbour| neighbour["state"]["state"] == "ready")
}

/// Asks for the page from another machine and returns the status.
fn page(from: &Host, address: Ipv4Addr, port: u16) -> String {
    let mut command = from.command("curl");
    command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "30"]);
    command.arg(format!("http://{address}:{port}/api/health"));
    String::from_utf8_lossy(&command.output().expect("curl runs").stdout).into_owned()
}

/// Memory in kB that is in use now.
fn resident(konpo: &Konpo) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", konpo.id())).expect("it runs");
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("a figure");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("kB")
}

fn open_files(konpo: &Konpo) -> usize {
    fs::read_dir(format!("/proc/{}/fd", konpo.id())).expect("it runs").count()
}

fn one_song() -> tempfile::TempDir {
    let music = tempfile::tempdir().expect("a folder");
    fixtures::noise(1, 44_100, 16, 44_100).flac(&music.path().join("One.flac"), &[("title", "One")]);
    music
}

const HERE: (&str, &str) = ("Yuki's phone", "4d696e69-444c-164e-9d41-000000000001");
const THERE: (&str, &str) = ("Ken's phone", "4d696e69-444c-164e-9d41-000000000002");
const FAR: (&str, &str) = ("Far away", "00000000-0000-4000-8000-00000000fa12");
const DESCRIPTION: &str = "<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\"><specVersion><major>1</major>\
    <minor>0</minor></specVersion><device><deviceType>urn:schemas-upnp-org:device:MediaServer:1</deviceType>\
    <friendlyName>NAME</friendlyName><manufacturer>M</manufacturer><modelName>N</modelName><UDN>uuid:UUID</UDN>\
    <serviceList><service><serviceType>urn:schemas-upnp-org:service:ContentDirectory:1</serviceType>\
    <serviceId>urn:upnp-org:serviceId:ContentDirectory</serviceId><SCPDURL>/scpd.xml</SCPDURL>\
    <controlURL>/control</controlURL><eventSubURL>/event</eventSubURL></service></serviceList></device></root>";
/// What was asked for (the owner's issue).
const FOUND_WITHIN: Duration = Duration::from_secs(5);
const SLACK_KB: u64 = 1024;
