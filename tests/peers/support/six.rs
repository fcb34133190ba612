//! IPv6 on the test's LAN: addresses that are known to be nobody else's, the group of LocalSend, and requests by curl.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::net::if_::if_nametoindex;
use serde_json::{Value, json};

use super::net::Host;
use super::process::run;
use super::wait_for;

/// The group of LocalSend 1.18.
pub const GROUP: Ipv6Addr = Ipv6Addr::new(0xff12, 0, 0, 0, 0, 0, 0xfd3a, 0xe420);

/// Returns a host's link-local address, once nobody else has it.
pub fn link_local(host: &Host) -> Ipv6Addr {
    switch(host, true);
    let (address, _) = wait_for("an address of the link", Duration::from_secs(20), || {
        let mut command = Command::new("ip");
        command.args(["-n", &host.namespace, "-6", "-o", "addr", "show", "dev", "eth0", "scope", "link"]);
        let text = String::from_utf8_lossy(&run(command)).into_owned();
        let line = text.lines().find(|line| !line.contains("tentative"))?.to_owned();
        line.split_whitespace().nth(3)?.split('/').next()?.parse().ok()
    });
    address
}

/// Switches IPv6 on or off on a host.
pub fn switch(host: &Host, on: bool) {
    for which in ["all", "default", "eth0"] {
        let mut command = host.command("sysctl");
        command.args(["-qw", &format!("net.ipv6.conf.{which}.disable_ipv6={}", u8::from(!on))]);
        run(command);
    }
}

/// Gives a host another address, at once.
pub fn add(host: &Host, address: &str) {
    let mut command = Command::new("ip");
    command.args(["-n", &host.namespace, "-6", "addr", "add", address, "dev", "eth0", "nodad"]);
    run(command);
}

/// Asks by curl. Returns the status, 0 when nobody answered, and the body.
pub fn curl(from: &Host, url: &str, more: &[&str]) -> (u16, String) {
    let mut command = from.command("curl");
    command.args(["-6", "-g", "-s", "-k", "-m", "30", "-w", "\n%{http_code}"]).args(more).arg(url);
    let output = command.output().expect("curl runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').expect("a status");
    (status.parse().expect("a number"), body.to_owned())
}

/// A device with LocalSend of plain HTTP, which answers over both families. Heads of what it was asked, with who asked.
pub struct Hand {
    host: Host,
    fingerprint: &'static str,
    pub asked: Arc<Mutex<Vec<(SocketAddr, String)>>>,
}

impl Hand {
    /// Listens.
    pub fn listens(host: &Host, alias: &'static str, fingerprint: &'static str) -> Hand {
        let asked = Arc::<Mutex<Vec<(SocketAddr, String)>>>::default();
        let heads = asked.clone();
        let (ready, listens) = std::sync::mpsc::channel();
        let _until_the_test_ends = host.within(move || {
            // Both families, as `bindv6only` is off.
            let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)).expect("bound");
            ready.send(()).expect("somebody waits");
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let from = stream.peer_addr().expect("a peer");
                stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a socket");
                let mut text = Vec::new();
                let mut part = [0; 4096];
                while !is_whole(&text) {
                    match stream.read(&mut part) {
                        Ok(count) if count > 0 => text.extend_from_slice(&part[..count]),
                        _ => break,
                    }
                }
                heads.lock().expect("whole").push((from, String::from_utf8_lossy(&text).into_owned()));
                let body =
                    json!({ "alias": alias, "version": "2.1", "fingerprint": fingerprint }).to_string();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
                let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                let _gone = stream.write_all(answer.as_bytes());
            }
        });
        listens.recv_timeout(Duration::from_secs(10)).expect("it listens");
        Hand { host: host.clone(), fingerprint, asked }
    }

    /// Announces itself to the group over IPv6 or IPv4.
    pub fn announces(&self, alias: &str, six: bool) {
        let said = json!({ "alias": alias, "version": "2.1", "deviceType": "mobile", "fingerprint": self.fingerprint,
            "port": PORT, "protocol": "http", "announce": true })
        .to_string();
        let address = self.host.address;
        let told = self.host.within(move || {
            if six {
                let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).expect("bound");
                let index = if_nametoindex("eth0").expect("a card");
                let to = std::net::SocketAddrV6::new(GROUP, 53317, 0, index);
                socket.send_to(said.as_bytes(), to).expect("sent");
            } else {
                let socket = UdpSocket::bind((address, 0)).expect("bound");
                socket.send_to(said.as_bytes(), ("224.0.0.167", 53317)).expect("sent");
            }
        });
        told.join().expect("announced");
    }
}

/// Where a hand listens.
pub const PORT: u16 = 50_123;

fn is_whole(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.to_ascii_lowercase();
    let length = length.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0_usize)
}

/// Listens to the group over IPv6 until a box of this name announced itself, and returns what it said and from where.
pub fn announced(host: &Host, alias: &'static str) -> JoinHandle<(Value, SocketAddr)> {
    host.within(move || {
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 53317)).expect("bound");
        let index = if_nametoindex("eth0").expect("a card");
        socket.join_multicast_v6(&GROUP, index).expect("joined");
        socket.set_read_timeout(Some(Duration::from_secs(100))).expect("a socket");
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).expect("it announces every 30 seconds");
            let said: Value = serde_json::from_slice(&buffer[..length]).expect("JSON");
            if said["alias"] == alias {
                return (said, from);
            }
        }
    })
}
