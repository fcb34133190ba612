//! The page found by its name, whoever announces it and whatever becomes of the network.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::konpo::Konpo;
use crate::support::net::{Host, Lan};
use crate::support::process::Process;
use crate::support::{patient, wait_for};

const SETTINGS: &str = "name = \"Living Room\"\n[output]\ndevice = \"silent\"\n";

#[test]
fn the_name_follows_the_address() {
    let (house, annex) = (Lan::new(), Lan::new());
    let hifi = house.host("hifi");
    annex.plug(&hifi, "eth1");
    hifi.replug("eth1", Ipv4Addr::new(10, 78, 0, 99));
    let there = annex.host("other").moved_to(Ipv4Addr::new(10, 78, 0, 1));
    let visitor = Visitor::arrive(&there, "there");
    let konpo = Konpo::start(&hifi, SETTINGS);
    let port = port_of(&konpo);
    visitor.finds("living-room", Ipv4Addr::new(10, 78, 0, 99), port);
    for last in [101, 102] {
        let address = Ipv4Addr::new(10, 78, 0, last);
        hifi.unplug("eth1");
        hifi.replug("eth1", address);
        let took = visitor.finds("living-room", address, port);
        println!("moved to {address}: found by its name after {:.1} s", took.as_secs_f64());
        assert!(took < patient(Duration::from_secs(10)), "{took:?}");
    }
}

#[test]
fn the_page_stays_findable_while_avahi_comes_and_goes() {
    let lan = Lan::new();
    let hifi = lan.host("hifi");
    let bus = Bus::start(&hifi);
    let mut konpo = Konpo::new(&hifi, SETTINGS).with("DBUS_SYSTEM_BUS_ADDRESS", &bus.address());
    konpo.spawn();
    konpo.ready();
    let port = port_of(&konpo);
    // Each visitor is new to the network: nothing is remembered from before.
    let finds = |visitor: String| {
        let took = Visitor::arrive(&lan.host(&visitor), &visitor).finds("living-room", hifi.address, port);
        println!("{visitor}: found after {:.1} s", took.as_secs_f64());
    };
    said(&konpo, "announced by konpo itself", 1);
    finds("first".into());
    for turn in 1..=2 {
        let mut avahi = bus.avahi("box");
        let took = said(&konpo, "announced through Avahi", turn);
        println!("Avahi is noticed after {} ms", took.as_millis());
        finds(format!("with{turn}"));
        avahi.kill();
        let took = said(&konpo, "announced by konpo itself", turn + 1);
        println!("its end is noticed after {} ms", took.as_millis());
        finds(format!("without{turn}"));
    }
}

#[test]
fn a_name_that_is_taken_becomes_the_second_and_is_answered_to() {
    for through_avahi in [false, true] {
        let lan = Lan::new();
        let hifi = lan.host("hifi");
        // A machine that has the label already: Avahi announces it as the name of its host.
        let visitor = Visitor::arrive(&lan.host("other"), "living-room");
        wait_for("it has the name", Duration::from_secs(20), || visitor.said("NAMED living-room.local"));
        let bus = Bus::start(&hifi);
        let _avahi = through_avahi.then(|| bus.avahi("box"));
        let mut konpo = Konpo::new(&hifi, SETTINGS).with("DBUS_SYSTEM_BUS_ADDRESS", &bus.address());
        if through_avahi {
            wait_for("Avahi runs", Duration::from_secs(20), || bus.said("Server startup complete"));
        }
        konpo.spawn();
        konpo.ready();
        let took = visitor.finds("living-room-2", hifi.address, port_of(&konpo));
        println!("through Avahi: {through_avahi}; found as the second after {:.1} s", took.as_secs_f64());
    }
}

#[test]
fn neighbours_lists_a_konpo_by_its_name() {
    let lan = Lan::new();
    let (hifi, other) = (lan.host("hifi"), lan.host("other"));
    let konpo = Konpo::start(&hifi, SETTINGS);
    let port = port_of(&konpo);
    let asks = Konpo::new(&other, SETTINGS);
    let list = |json: bool| {
        let mut arguments = vec!["neighbours", "--seconds", "3"];
        arguments.extend(json.then_some("--json"));
        let output = asks.command(&arguments).output().expect("konpo neighbours runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let (named, _) = wait_for("it is listed", Duration::from_secs(30), || {
        let text = list(true);
        let found = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found.into_iter().find(|one| one["kind"] == "konpo")
    });
    assert_eq!(named["name"], "Living Room", "{named}");
    assert_eq!(named["url"], format!("http://living-room.local:{port}/"), "{named}");
    assert_eq!(named["addresses"], serde_json::json!([hifi.address.to_string()]), "{named}");
    let text = list(false);
    assert!(text.contains("also heard by name:\nLiving Room  http://living-room.local:"), "{text}");
}

/// A D-Bus of its own on a machine, and Avahi on it when asked for.
struct Bus {
    _daemon: Process,
    host: Host,
    folder: tempfile::TempDir,
}

impl Bus {
    fn start(host: &Host) -> Bus {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("bus");
        let settings = format!(
            "<busconfig><type>system</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/>\
             <allow receive_sender=\"*\"/></policy></busconfig>",
            socket.display()
        );
        fs::write(folder.path().join("bus.conf"), settings).expect("settings");
        let mut command = host.command("dbus-daemon");
        command.arg("--nofork").arg("--nopidfile");
        command.arg(format!("--config-file={}", folder.path().join("bus.conf").display()));
        let daemon = Process::start("dbus-daemon", command, &folder.path().join("bus-said"));
        wait_for("the bus is there", Duration::from_secs(10), || socket.exists().then_some(()));
        Bus { _daemon: daemon, host: host.clone(), folder }
    }

    fn address(&self) -> String {
        format!("unix:path={}", self.folder.path().join("bus").display())
    }

    fn avahi(&self, label: &str) -> Process {
        let file = self.folder.path().join("avahi.conf");
        fs::write(&file, avahi_settings(label)).expect("settings");
        let mut command = self.host.command("unshare");
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.address());
        command.args([
            "-m",
            "sh",
            "-c",
            "mount -t tmpfs tmpfs /run && mkdir /run/avahi-daemon && exec \"$@\"",
            "-",
        ]);
        command.args(["avahi-daemon", "--no-drop-root", "--no-chroot", "--no-rlimits", "-f"]).arg(file);
        Process::start("avahi", command, &self.log())
    }

    fn log(&self) -> std::path::PathBuf {
        self.folder.path().join("avahi-said")
    }

    fn said(&self, what: &str) -> Option<()> {
        text(&self.log()).contains(what).then_some(())
    }
}

/// Somebody on the network who asks for names through an Avahi of their own.
struct Visitor {
    browser: Process,
    host: Host,
    _folder: tempfile::TempDir,
}

impl Visitor {
    fn arrive(host: &Host, label: &str) -> Visitor {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("avahi.conf");
        fs::write(&file, avahi_settings(label)).expect("settings");
        let mut command = host.command("unshare");
        command.args(["-m", "sh", "-c", BROWSE, "-"]).arg(file).arg(host.address.to_string());
        let browser = Process::start("visitor", command, &folder.path().join("said"));
        Visitor { browser, host: host.clone(), _folder: folder }
    }

    fn said(&self, what: &str) -> Option<()> {
        self.browser.said().contains(what).then_some(())
    }

    /// Waits until the page is found there, under this host label, and answers to that.
    fn finds(&self, label: &str, address: Ipv4Addr, port: u16) -> Duration {
        let (name, at, port) = (format!("{label}.local"), address.to_string(), port.to_string());
        let (_, took) = wait_for(&format!("{name} at {at}:{port}"), Duration::from_secs(40), || {
            let said = self.browser.said();
            let found = said.lines().filter(|line| line.starts_with("=;") && line.contains("Living"));
            let mut found = found.map(|line| line.split(';').collect::<Vec<_>>());
            // The last line may be half written: fewer fields.
            found.any(|fields| fields.get(6..9) == Some(&[name.as_str(), &at, &port])).then_some(())
        });
        let mut command = self.host.command("curl");
        command.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "30", "--resolve"]);
        command.args([format!("{name}:{port}:{at}"), format!("http://{name}:{port}/api/health")]);
        let output = command.output().expect("curl runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "200", "the page answers to {name}");
        took
    }
}

/// Waits until konpo has said something so often.
fn said(konpo: &Konpo, what: &str, times: usize) -> Duration {
    wait_for(what, Duration::from_secs(20), || {
        (text(&konpo.path("said")).matches(what).count() >= times).then_some(())
    })
    .1
}

fn port_of(konpo: &Konpo) -> u16 {
    let said = text(&konpo.path("said"));
    let url = said.lines().find_map(|line| line.strip_prefix("konpo ready ")).expect("its ready line");
    url.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Settings of an Avahi that takes this label. All machines here share one host name: left to it, they would give way to
/// each other's label again and again, and find nothing meanwhile.
fn avahi_settings(label: &str) -> String {
    format!(
        "[server]\nhost-name={label}\nallow-interfaces=eth0\nuse-ipv6=no\n\
         [publish]\npublish-workstation=no\npublish-hinfo=no\n"
    )
}

/// D-Bus and Avahi with a `/run` of their own; then the name of its own address once, and the services of the LAN again
/// and again.
const BROWSE: &str = "
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/dbus /run/avahi-daemon
dbus-daemon --system --fork --nopidfile
avahi-daemon --no-drop-root --no-chroot --no-rlimits -f \"$1\" &
while ! avahi-resolve -a \"$2\" | sed 's/.*\\t/NAMED /' | grep NAMED; do sleep 0.2; done
while :; do avahi-browse -rpt _http._tcp || true; sleep 0.3; done
";
