//! Phones that send by LocalSend: localsendd (PyPI) with its control client, and requests written by hand.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::konpo::Konpo;
use super::net::Host;
use super::process::Process;
use super::wait_for;

/// A phone with LocalSend, on a machine of its own.
pub struct Phone {
    // First, so that it can show its words before the folder goes.
    daemon: Process,
    host: Host,
    folder: TempDir,
    /// Its name and further arguments.
    told: Vec<String>,
}

impl Phone {
    /// Starts it.
    pub fn start(host: &Host, alias: &str) -> Phone {
        Phone::start_with(host, alias, &[])
    }

    /// Starts it with further arguments.
    pub fn start_with(host: &Host, alias: &str, more: &[&str]) -> Phone {
        let folder = tempfile::tempdir().expect("a folder");
        let told: Vec<String> = [alias].iter().chain(more).map(|&text| text.to_owned()).collect();
        let daemon = Phone::launch(host, &folder, &told);
        Phone { daemon, host: host.clone(), folder, told }
    }

    /// Starts it again after its end, with what it has and the certificate that it had.
    pub fn again(&mut self) {
        let _left = fs::remove_file(self.folder.path().join("socket"));
        self.daemon = Phone::launch(&self.host, &self.folder, &self.told);
    }

    fn launch(host: &Host, folder: &TempDir, told: &[String]) -> Process {
        let mut command = host.command(program("localsendd"));
        command
            .arg("--alias")
            .args(told)
            .args(["--unattended", "--socket"])
            .arg(folder.path().join("socket"));
        command.arg("--download-dir").arg(folder.path().join("got")).env("HOME", folder.path());
        command.env_remove("XDG_CONFIG_HOME").env_remove("XDG_RUNTIME_DIR").env("LANG", "C.UTF-8");
        let daemon = Process::start("localsendd", command, &folder.path().join("said"));
        wait_for("localsendd's socket", Duration::from_secs(15), || {
            folder.path().join("socket").exists().then_some(())
        });
        daemon
    }

    /// Returns a command of its control client.
    pub fn control(&self, arguments: &[&str]) -> Command {
        let mut command = self.host.command(program("localsendctl"));
        command.arg("--socket").arg(self.folder.path().join("socket")).args(arguments);
        command.env("HOME", self.folder.path()).env("LANG", "C.UTF-8");
        command
    }

    /// Begins to send files to a machine.
    pub fn sends(&self, files: &[PathBuf], to: &Host, more: &[&str]) -> Sending {
        let mut command = self.control(&["send", "--to", &to.address.to_string(), "--wait", "--quiet"]);
        command.args(more).args(files).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Sending(Some(command.spawn().expect("localsendctl starts")))
    }

    /// Sends files and returns what its control client said, when it was content.
    pub fn send(&self, files: &[PathBuf], to: &Host) -> Result<String, String> {
        self.sends(files, to, &[]).end()
    }

    /// Returns whether its list of devices names one.
    pub fn sees(&self, alias: &str) -> bool {
        let output = self.control(&["devices", "--json"]).output().expect("localsendctl runs");
        String::from_utf8_lossy(&output.stdout).contains(alias)
    }

    /// Returns where it keeps what it got. It shares what lies there.
    pub fn got(&self) -> PathBuf {
        self.folder.path().join("got")
    }

    /// Returns the machine it runs on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Starts another phone at the same place, which shows another certificate.
    pub fn replaced(&self, alias: &str) -> Phone {
        Phone::start(&self.host, alias)
    }

    /// Ends it as a battery that is empty does.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }
}

/// localsend-rs (crates.io) 0.1.2, which shows no certificate when it sends.
pub struct Rusty {
    _process: Process,
    folder: TempDir,
}

impl Rusty {
    /// Starts it as a receiver with TLS that takes everything.
    pub fn receives(host: &Host) -> Rusty {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Rusty::command(host, folder.path());
        command.args(["receive", "--https", "--auto-accept", "--port", "53317", "--directory"]);
        command.arg(folder.path().join("got"));
        let process = Process::start("localsend-rs", command, &folder.path().join("said"));
        Rusty { _process: process, folder }
    }

    /// Sends a file to a machine and returns what it said, when it was content.
    pub fn sends(host: &Host, file: &Path, to: &Host) -> Result<String, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Rusty::command(host, folder.path());
        command.arg("send").arg(to.address.to_string()).arg(file).stdin(Stdio::null());
        let output = command.output().expect("localsend-rs runs");
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(said) } else { Err(said) }
    }

    /// Returns where it keeps what it got.
    pub fn got(&self) -> PathBuf {
        self.folder.path().join("got")
    }

    fn command(host: &Host, home: &Path) -> Command {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers-cargo/bin/localsend-rs");
        let mut command = host.command(program);
        command.env("HOME", home).env_remove("XDG_CONFIG_HOME").env("LANG", "C.UTF-8");
        command
    }
}

/// A transfer under way.
pub struct Sending(Option<std::process::Child>);

impl Sending {
    /// Waits for its end.
    pub fn end(mut self) -> Result<String, String> {
        let child = self.0.take().expect("it runs");
        let output: Output = child.wait_with_output().expect("it can be waited for");
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(said) } else { Err(said) }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers-python/bin").join(name)
}

/// Waits until a sender is asked for and returns what is shown.
pub fn asked(konpo: &Konpo) -> Value {
    let (ask, _) = wait_for("somebody is asked for", Duration::from_secs(20), || {
        konpo.get("/api/offers")["asks"].get(0).cloned()
    });
    ask
}

/// Says yes or no to a sender.
pub fn answer(konpo: &Konpo, ask: &Value, what: &str) {
    let reply = konpo.ask("POST", &format!("/api/offers/{}/{what}", ask["id"]), None);
    assert_eq!(reply.status, 204, "{}", reply.json);
}

/// Opens the beam window.
pub fn open(konpo: &Konpo) {
    let reply = konpo.ask("POST", "/api/beam", None);
    assert_eq!(reply.status, 200, "{}", reply.json);
}

/// Returns the files in the staging folder.
pub fn staged(konpo: &Konpo) -> usize {
    fs::read_dir(konpo.music().join(".konpo/staging")).map_or(0, |found| found.count())
}

/// Waits until so many tracks are on the shelf.
pub fn shelved(konpo: &Konpo, tracks: usize, within: Duration) {
    wait_for(&format!("{tracks} tracks are on the shelf"), within, || {
        let total = konpo.get("/api/library/tracks?limit=1")["total"].as_u64();
        (total == Some(tracks as u64)).then_some(())
    });
}

/// Asks LocalSend over plain HTTP from another machine. Returns the status and the JSON.
pub fn plain(from: &Host, to: &Host, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
    let (address, head) = (to.address, head(to.address, method, path, body.len()));
    let body = body.to_vec();
    from.within(move || {
        let mut stream = connect(address);
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)).expect("written");
        read(&mut stream)
    })
    .join()
    .expect("asked")
}

/// Asks whether a file may come. Returns the path of its upload.
pub fn prepare(from: &Host, to: &Host, name: &str, size: usize) -> String {
    let body = offer(json!({ "1": { "id": "1", "fileName": name, "size": size, "fileType": "audio/mp4" } }));
    // What broke off just before may not have been noticed yet.
    let (said, _) = wait_for("konpo takes it", Duration::from_secs(10), || {
        let (status, said) = plain(from, to, "POST", "/api/localsend/v2/prepare-upload", body.as_bytes());
        assert!(status == 200 || status == 409, "{status} {said}");
        (status == 200).then_some(said)
    });
    let (id, token) =
        (said["sessionId"].as_str().expect("an id"), said["files"]["1"].as_str().expect("a token"));
    format!("/api/localsend/v2/upload?sessionId={id}&fileId=1&token={token}")
}

/// The body of a question.
pub fn offer(files: Value) -> String {
    let info =
        json!({ "alias": "Hand", "version": "2.1", "fingerprint": "x", "port": 0, "protocol": "http" });
    json!({ "info": info, "files": files }).to_string()
}

/// Uploads a file and returns when its last byte was written, and the status.
pub fn upload(from: &Host, to: &Host, path: &str, bytes: Vec<u8>) -> (Instant, u16) {
    let (address, head) = (to.address, head(to.address, "POST", path, bytes.len()));
    from.within(move || {
        let mut stream = connect(address);
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes)).expect("written");
        let last = Instant::now();
        (last, read(&mut stream).0)
    })
    .join()
    .expect("uploaded")
}

/// Uploads the first part of a file and breaks off.
pub fn break_off(from: &Host, to: &Host, path: &str, part: Vec<u8>, whole: usize) {
    let (address, head) = (to.address, head(to.address, "POST", path, whole));
    let cut = from.within(move || {
        let mut stream = connect(address);
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&part)).expect("written");
    });
    cut.join().expect("cut");
}

fn head(to: Ipv4Addr, method: &str, path: &str, length: usize) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}:53317\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

fn connect(to: Ipv4Addr) -> TcpStream {
    let stream = TcpStream::connect((to, 53317)).expect("konpo listens");
    stream.set_read_timeout(Some(Duration::from_secs(90))).expect("a socket");
    stream
}

fn read(stream: &mut TcpStream) -> (u16, Value) {
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("answered");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}
