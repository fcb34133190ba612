//! Who is seen on the LAN, and who sees konpo.

use std::io::Read;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::Duration;

use serde_json::Value;

use crate::support::hostile::{self, Mode};
use crate::support::konpo::Konpo;
use crate::support::net::{Host, Lan, Link};
use crate::support::phone::{NAME, Phone, UUID};
use crate::support::process::Process;
use crate::support::{fixtures, patient, wait_for};

const SILENT: &str = "[output]\ndevice = \"silent\"\n";

#[test]
fn neighbours_lists_a_phone_without_a_daemon_and_says_why_another_cannot_be_used() {
    let lan = Lan::new();
    let (hifi, phone, broken) = (lan.host("hifi"), lan.host("phone"), lan.host("broken"));
    let music = one_song();
    let _phone = Phone::start(&phone, music.path());
    hang(&broken);
    let konpo = Konpo::new(&hifi, SILENT);
    let (found, _) = wait_for("both are listed", Duration::from_secs(60), || {
        let mut command = konpo.command(&["neighbours", "--seconds", "4", "--json"]);
        let output = command.output().expect("konpo neighbours runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let found: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        (found.len() == 2).then_some(found)
    });
    let phone = found.iter().find(|one| one["name"] == NAME).unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!(phone["state"]["state"], "ready", "{phone}");
    assert!(phone["id"].as_str().is_some_and(|id| id.contains(UUID)), "{phone}");
    let broken = found.iter().find(|one| one["name"] != NAME).unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!(broken["state"]["state"], "unusable", "{broken}");
    println!("unusable: {}", broken["state"]["reason"]);
    assert!(broken["state"]["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{broken}");
}

#[test]
fn a_hanging_device_delays_nobody() {
    let lan = Lan::new();
    let (hifi, phone, broken) = (lan.host("hifi"), lan.host("phone"), lan.host("broken"));
    hang(&broken);
    let konpo = Konpo::start(&hifi, SILENT);
    let music = one_song();
    let phone = Phone::start(&phone, music.path());
    wait_for("the phone is usable", Duration::from_secs(20), || {
        konpo.neighbour(NAME).filter(|neighbour| neighbour["state"]["state"] == "ready")
    });
    let took = phone.started.elapsed();
    println!("usable {:.2} s after its start, beside a device that never answers", took.as_secs_f64());
    assert!(took < patient(Duration::from_secs(6)), "{took:?}");
}

#[test]
fn a_phone_that_says_goodbye_or_vanishes_is_gone() {
    let lan = Lan::new();
    let (hifi, host) = (lan.host("hifi"), lan.host("phone"));
    let konpo = Konpo::start(&hifi, SILENT);
    let music = one_song();
    let mut phone = Phone::start(&host, music.path());
    let here = || konpo.neighbour(NAME).map(|_| ());
    let gone = || konpo.neighbour(NAME).is_none().then_some(());
    wait_for("it is seen", Duration::from_secs(15), here);
    phone.leave();
    let (_, took) = wait_for("its good-bye is heard", Duration::from_secs(5), gone);
    println!("good-bye heard in {} ms", took.as_millis());
    phone.wake();
    wait_for("it is seen again", Duration::from_secs(15), here);
    host.link(Link::Down);
    // minidlna announces for twice its interval and 10 s more.
    let (_, took) = wait_for("its announcement expires", Duration::from_secs(60), gone);
    println!("a phone that vanished was forgotten after {:.1} s", took.as_secs_f64());
    host.link(Link::Up);
    wait_for("it is seen a third time", Duration::from_secs(60), here);
}

#[test]
fn a_device_can_be_added_by_its_address() {
    let lan = Lan::new();
    let (hifi, host) = (lan.host("hifi"), lan.host("phone"));
    // It neither announces itself nor answers a search.
    let port = hostile::start_quietly(&host, Mode::Good);
    let mut konpo = Konpo::start(&hifi, SILENT);
    let ask = |konpo: &Konpo, method: &str, address: &str| {
        let body = serde_json::json!({"address": address});
        let reply = konpo.ask(method, "/api/neighbours", Some(&body));
        assert!(reply.status < 300, "{method} {address}: {} {}", reply.status, reply.json);
    };
    let ready = |konpo: &Konpo| konpo.neighbour("Good").filter(|phone| phone["state"]["state"] == "ready");
    let at = format!("{}:{port}", host.address);
    for address in [format!("http://{at}/description.xml"), at] {
        ask(&konpo, "POST", &address);
        wait_for("it is there", Duration::from_secs(20), || ready(&konpo));
        ask(&konpo, "DELETE", &address);
        wait_for("it is forgotten", Duration::from_secs(20), || ready(&konpo).is_none().then_some(()));
    }
    // Where nobody is, that is said; and it holds up no stop.
    let nobody = "10.77.0.200:81";
    ask(&konpo, "POST", nobody);
    let (words, _) = wait_for("nobody is there", Duration::from_secs(60), || {
        Some(konpo.neighbour("10.77.0.200")?["state"]["reason"].as_str()?.to_owned())
    });
    println!("{nobody}: {words}");
    ask(&konpo, "POST", "10.77.0.201:81");
    let took = konpo.stop();
    println!("stopped in {} ms meanwhile", took.as_millis());
    assert!(took < patient(Duration::from_secs(1)), "{took:?}");
}

#[test]
fn the_page_is_found_by_its_name() {
    let lan = Lan::new();
    let (hifi, other) = (lan.host("hifi"), lan.host("other"));
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = other.command("unshare");
    command.args(["-m", "sh", "-c", AVAHI]);
    let avahi = Process::start("avahi", command, &folder.path().join("said"));
    let mut konpo = Konpo::new(&hifi, &format!("name = \"Living Room\"\n{SILENT}"));
    konpo.spawn();
    let url = konpo.ready();
    let (line, took) = wait_for("avahi-browse finds the page", Duration::from_secs(40), || {
        let said = avahi.said();
        said.lines()
            .find(|line| line.starts_with("=;") && line.contains("Living") && line.contains("IPv4"))
            .map(str::to_owned)
    });
    println!("found after {:.1} s: {line}", took.as_secs_f64());
    let fields: Vec<&str> = line.split(';').collect();
    let port = url.trim_end_matches('/').rsplit(':').next().expect("a port");
    assert_eq!((fields[7], fields[8]), (hifi.address.to_string().as_str(), port), "{line}");
    // Found by its name, the page answers to it.
    let host = fields[6];
    let mut command = other.command("curl");
    command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "30"]);
    command.args([
        "--resolve",
        &format!("{host}:{port}:{}", hifi.address),
        &format!("http://{host}:{port}/api/health"),
    ]);
    let output = command.output().expect("curl runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "200");
}

fn one_song() -> tempfile::TempDir {
    let music = tempfile::tempdir().expect("a folder");
    fixtures::noise(1, 44_100, 16, 44_100).flac(&music.path().join("One.flac"), &[("title", "One")]);
    music
}

/// Announces a media server whose description never comes: it takes every connection and says nothing.
fn hang(host: &Host) {
    let address = host.address;
    host.within(move || {
        let listener = TcpListener::bind((address, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        std::thread::spawn(move || {
            let mut open = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let mut some = [0; 1];
                let _asked = stream.read(&mut some);
                open.push(stream);
            }
        });
        let socket = UdpSocket::bind((address, 0)).expect("a socket");
        std::thread::spawn(move || {
            for _ in 0..120 {
                let words = format!(
                    "NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nCACHE-CONTROL: max-age=1800\r\n\
                     LOCATION: http://{address}:{port}/description.xml\r\n\
                     NT: urn:schemas-upnp-org:device:MediaServer:1\r\nNTS: ssdp:alive\r\nSERVER: Linux UPnP/1.0 Stuck/1\r\n\
                     USN: uuid:{STUCK}::urn:schemas-upnp-org:device:MediaServer:1\r\n\r\n"
                );
                // The namespace is gone when the test is over: then this ends.
                if socket.send_to(words.as_bytes(), (Ipv4Addr::new(239, 255, 255, 250), 1900)).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(500));
            }
        });
    })
    .join()
    .expect("it announces");
}

const STUCK: &str = "00000000-0000-4000-8000-00000000dead";

/// D-Bus and Avahi with a `/run` of their own; then the services of the LAN, again and again.
const AVAHI: &str = "
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/dbus /run/avahi-daemon
dbus-daemon --system --fork --nopidfile
printf '[server]\\nallow-interfaces=eth0\\nuse-ipv6=no\\n[publish]\\npublish-workstation=no\\n' > /run/avahi.conf
avahi-daemon --no-drop-root --no-chroot --no-rlimits -f /run/avahi.conf &
while :; do avahi-browse -rpt _http._tcp || true; sleep 1; done
";
