//! A LAN on one machine: namespaces joined by a bridge that lives in a namespace of its own, so that nothing is ever
//! announced on a real interface.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::process::run;

/// One LAN, removed with everything that runs in it when dropped.
pub struct Lan {
    prefix: String,
    hosts: AtomicU32,
}

/// One machine on it: a namespace with `eth0` and `lo`.
#[derive(Clone)]
pub struct Host {
    /// The name of the namespace.
    pub namespace: String,
    /// Its address.
    pub address: Ipv4Addr,
}

impl Lan {
    /// Lays a bridge in a namespace of its own.
    ///
    /// # Panics
    /// Without root or iproute2.
    pub fn new() -> Lan {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let lan =
            Lan { prefix: format!("{PREFIX}{}-{number}-", std::process::id()), hosts: AtomicU32::new(0) };
        let bridge = lan.bridge();
        ip(&["netns", "add", &bridge]);
        ip(&["-n", &bridge, "link", "set", "lo", "up"]);
        ip(&["-n", &bridge, "link", "add", "name", "br0", "type", "bridge"]);
        ip(&["-n", &bridge, "link", "set", "br0", "up"]);
        lan
    }

    /// Puts another machine on the LAN.
    pub fn host(&self, name: &str) -> Host {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed) + 1;
        let octet = u8::try_from(number).expect("few hosts");
        let host =
            Host { namespace: format!("{}{name}", self.prefix), address: Ipv4Addr::new(10, 77, 0, octet) };
        let (namespace, bridge, port) = (&host.namespace, self.bridge(), format!("port{number}"));
        ip(&["netns", "add", namespace]);
        ip(&[
            "-n", &bridge, "link", "add", "name", &port, "type", "veth", "peer", "name", "eth0", "netns",
            namespace,
        ]);
        ip(&["-n", &bridge, "link", "set", &port, "master", "br0", "up"]);
        ip(&["-n", namespace, "link", "set", "lo", "up"]);
        ip(&["-n", namespace, "addr", "add", &format!("{}/24", host.address), "dev", "eth0"]);
        ip(&["-n", namespace, "link", "set", "eth0", "up"]);
        // Without it a datagram to 239.255.255.250 or 224.0.0.251 finds no way.
        ip(&["-n", namespace, "route", "add", "224.0.0.0/4", "dev", "eth0"]);
        host
    }

    /// Plugs another card of `host` into this LAN. It is down and has no address yet.
    pub fn plug(&self, host: &Host, card: &str) {
        let number = self.hosts.fetch_add(1, Ordering::Relaxed) + 1;
        let (bridge, port) = (self.bridge(), format!("port{number}"));
        ip(&[
            "-n",
            &bridge,
            "link",
            "add",
            "name",
            &port,
            "type",
            "veth",
            "peer",
            "name",
            card,
            "netns",
            &host.namespace,
        ]);
        ip(&["-n", &bridge, "link", "set", &port, "master", "br0", "up"]);
    }

    fn bridge(&self) -> String {
        format!("{}lan", self.prefix)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for namespace in namespaces().into_iter().filter(|name| name.starts_with(&self.prefix)) {
            remove(&namespace);
        }
    }
}

impl Host {
    /// Returns a command that runs on this machine. Its process id is that of the program itself.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program.as_ref());
        command
    }

    /// Runs `work` on a thread that lives on this machine: the sockets it opens are there.
    pub fn within<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        let path = Path::new("/run/netns").join(&self.namespace);
        let namespace = File::open(&path).expect("the namespace is there");
        std::thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may enter it");
            work()
        })
    }

    /// Cuts its cable, or plugs it in again.
    pub fn link(&self, state: Link) {
        let state = if state == Link::Up { "up" } else { "down" };
        ip(&["-n", &self.namespace, "link", "set", "eth0", state]);
        if state == "up" {
            ip(&["-n", &self.namespace, "route", "replace", "224.0.0.0/4", "dev", "eth0"]);
        }
    }

    /// Pulls its cable and plugs it in again, quicker than anybody looks.
    pub fn blink(&self) {
        let mut command = self.command("sh");
        command.args(["-c", "ip link set eth0 down && ip link set eth0 up"]);
        run(command);
    }

    /// Gives its first card another address.
    pub fn moved_to(mut self, address: Ipv4Addr) -> Host {
        self.address = address;
        self.unplug("eth0");
        self.replug("eth0", address);
        ip(&["-n", &self.namespace, "route", "replace", "224.0.0.0/4", "dev", "eth0"]);
        self
    }

    /// Pulls the cable of a card, and with it its address.
    pub fn unplug(&self, card: &str) {
        ip(&["-n", &self.namespace, "link", "set", card, "down"]);
        ip(&["-n", &self.namespace, "addr", "flush", "dev", card]);
    }

    /// Takes a card out.
    pub fn take_out(&self, card: &str) {
        ip(&["-n", &self.namespace, "link", "del", card]);
    }

    /// Returns which multicast groups a card listens to, as `ip maddr` prints them.
    pub fn groups(&self, card: &str) -> String {
        let mut command = Command::new("ip");
        command.args(["-n", &self.namespace, "maddr", "show", "dev", card]);
        String::from_utf8_lossy(&run(command)).into_owned()
    }

    /// Plugs a card in; it is given this address.
    pub fn replug(&self, card: &str, address: Ipv4Addr) {
        ip(&["-n", &self.namespace, "link", "set", card, "up"]);
        ip(&["-n", &self.namespace, "addr", "add", &format!("{address}/24"), "dev", card]);
    }

    /// Passes on what is meant for others.
    pub fn forward(&self) {
        let mut command = self.command("sysctl");
        command.args(["-qw", "net.ipv4.ip_forward=1"]);
        run(command);
    }

    /// Sends what is not for its own network to `router`.
    pub fn route_by(&self, router: Ipv4Addr) {
        ip(&["-n", &self.namespace, "route", "replace", "default", "via", &router.to_string()]);
    }

    /// Sends what is for `other` to nobody.
    pub fn mistakes(&self, other: Ipv4Addr) {
        let wrong = ["lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "permanent"];
        ip(&[&["-n", &self.namespace, "neigh", "replace", &other.to_string()], &wrong[..]].concat());
    }

    /// Ends that.
    pub fn remembers(&self, other: Ipv4Addr) {
        ip(&["-n", &self.namespace, "neigh", "del", &other.to_string(), "dev", "eth0"]);
    }

    /// Limits what it sends, e.g. `20mbit`.
    pub fn limit(&self, rate: &str) {
        let mut command = Command::new("tc");
        command.args(["-n", &self.namespace, "qdisc", "replace", "dev", "eth0", "root", "tbf"]);
        command.args(["rate", rate, "burst", "256k", "latency", "100ms"]);
        run(command);
    }
}

/// Whether a cable is plugged in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// It is.
    Up,
    /// It is not.
    Down,
}

fn ip(arguments: &[&str]) {
    let mut command = Command::new("ip");
    command.args(arguments);
    run(command);
}

fn namespaces() -> Vec<String> {
    let mut command = Command::new("ip");
    command.args(["netns", "list"]);
    let text = String::from_utf8_lossy(&run(command)).into_owned();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Kills what runs in a namespace and removes it; errors are left alone, it may be half gone.
fn remove(namespace: &str) {
    if let Ok(output) = Command::new("ip").args(["netns", "pids", namespace]).output() {
        for id in String::from_utf8_lossy(&output.stdout).split_whitespace().filter_map(|id| id.parse().ok())
        {
            let _gone = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
    let _gone = Command::new("ip").args(["netns", "del", namespace]).output();
}

/// Removes what test runs left that were killed themselves.
fn sweep() {
    for namespace in namespaces() {
        let Some(rest) = namespace.strip_prefix(PREFIX) else { continue };
        let id: String = rest.chars().take_while(char::is_ascii_digit).collect();
        if !id.is_empty() && !Path::new("/proc").join(id).exists() {
            remove(&namespace);
        }
    }
}

const PREFIX: &str = "kt";
