//! Control points that nobody here wrote, and bare requests where the test must decide every byte.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::net::Host;
use super::process::{Process, run};

/// What gssdp-discover prints of one announcement or answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// `available` or `unavailable`.
    pub state: String,
    /// Its unique service name.
    pub usn: String,
    /// URL of the description; empty with a good-bye.
    pub location: String,
}

/// Returns what gssdp-discover of gupnp-tools 0.12 sees within some seconds.
pub fn discover(host: &Host, seconds: u32, target: &str) -> Vec<Seen> {
    let mut command = host.command("gssdp-discover");
    command.args(["-i", "eth0", &format!("--timeout={seconds}"), "-t", target]);
    seen(&String::from_utf8_lossy(&run(command)))
}

/// Starts gssdp-discover for good, with good-byes.
pub fn watch(host: &Host, card: &str, said: &std::path::Path) -> Process {
    // Its output is buffered when it is no terminal.
    let mut command = host.command("stdbuf");
    command.args(["-oL", "gssdp-discover", "-i", card, "-m", "all"]);
    Process::start("gssdp-discover", command, said)
}

/// Reads what gssdp-discover printed.
pub fn seen(text: &str) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(state) = line.strip_prefix("resource ") {
            all.push(Seen { state: state.to_owned(), usn: String::new(), location: String::new() });
        }
        let Some(last) = all.last_mut() else { continue };
        if let Some(usn) = line.strip_prefix("USN:") {
            last.usn = usn.trim().to_owned();
        }
        if let Some(location) = line.strip_prefix("Location:") {
            last.location = location.trim().to_owned();
        }
    }
    all
}

/// Sends one search and returns every answer that comes within `bound`.
pub fn search(host: &Host, to: Ipv4Addr, lines: &str, bound: Duration) -> Vec<String> {
    let (own, lines) = (host.address, lines.to_owned());
    let ask = move || {
        let socket = UdpSocket::bind((own, 0)).expect("a socket");
        let text = format!("M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n{lines}\r\n");
        socket.send_to(text.as_bytes(), (to, 1900)).expect("sent");
        let (end, mut buffer, mut answers) = (Instant::now() + bound, [0; 2048], Vec::new());
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            socket.set_read_timeout(Some(left)).expect("a time");
            if let Ok((length, _)) = socket.recv_from(&mut buffer) {
                answers.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        }
        answers
    };
    host.within(ask).join().expect("asked")
}

/// Sends a request from a machine and returns status, head and body; `Connection: close` is added.
pub fn request(host: &Host, to: SocketAddr, head: &str, body: &str) -> (u16, String, String) {
    let (head, body) = (head.to_owned(), body.to_owned());
    host.within(move || ask(to, &head, &body)).join().expect("asked")
}

/// As [`request`], on the machine of the calling thread.
pub fn ask(to: SocketAddr, head: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(30)).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
    let text =
        format!("{head}\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    // What is refused before it was read whole breaks off; the answer is there all the same.
    let _broken = stream.write_all(text.as_bytes());
    let mut bytes = Vec::new();
    let _broken = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.as_str(), ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, head.to_owned(), body.to_owned())
}

/// Returns the head of a call of an action, and its body.
pub fn call(path: &str, service: &str, action: &str, given: &[(&str, &str)]) -> (String, String) {
    let head = format!(
        "POST {path} HTTP/1.1\r\nContent-Type: text/xml; charset=\"utf-8\"\r\nSOAPACTION: {}",
        konpo::wire::soap::action(service, action)
    );
    (head, konpo::wire::soap::request(service, action, given))
}

/// A program of the Python peers, which tests/run.sh installs: async-upnp-client 0.49.0, upnpclient 2.0.3.
pub fn python(host: &Host, program: &str) -> Command {
    host.command(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/peers-python/bin").join(program))
}
