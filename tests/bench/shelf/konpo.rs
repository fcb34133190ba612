//! konpo over the same collection.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::figures::{Figures, memory, middle, read_bytes, sizes};
use super::peers::{BOUND, PASSES, SETTLED};
use super::support::net::Host;
use super::support::process::Process;
use super::support::{api, wait_for};

/// Measures konpo over `count` files. The times of scans are those it tells of itself.
pub fn konpo(host: &Host, music: &Path, count: usize) -> Figures {
    let mut konpo = Konpo::start(host, music);
    let tracks = count as f64;
    let cold = tracks * 1000.0 / konpo.scanned(1).number("last_pass_ms") as f64;
    // Fingerprints are taken behind the first scan and must not disturb the next ones; their memory counts.
    std::thread::sleep(SETTLED);
    wait_for("every file has its fingerprint", BOUND, || {
        (konpo.shelf().number("fingerprints_left") == 0).then_some(())
    });
    assert_eq!(konpo.shelf().number("tracks"), count as u64, "konpo does not take every file");
    let pass = |_| {
        let before = konpo.shelf().number("passes");
        let reply = konpo.ask("POST", "/api/command", Some(&json!("rescan")));
        assert!(reply.status < 300, "rescan: {} {}", reply.status, reply.json);
        let took = konpo.scanned(before + 1).number("last_pass_ms");
        // Less than a millisecond is counted as one.
        tracks * 1000.0 / took.max(1) as f64
    };
    let unchanged = middle((0..PASSES).map(pass).collect());
    std::thread::sleep(SETTLED);
    let memory = |line| memory(konpo.process.id(), line).expect("it runs");
    let (resident, peak) = (memory("VmRSS"), memory("VmHWM"));
    konpo.stop();
    let sizes = sizes(konpo.data.path());
    let databases: u64 = sizes.iter().filter(|(name, _)| name.contains(".db")).map(|(_, size)| size).sum();
    let starts = (0..STARTS).map(|_| {
        let took = konpo.again();
        konpo.stop();
        took
    });
    let answers = middle(starts.collect());
    Figures { cold, unchanged, resident, peak, database: databases as f64 / tracks, answers }
}

/// Returns how many bytes of each file konpo reads when it scans `files` of them for the first time, fingerprints not
/// counted, which are taken later.
pub fn reads(host: &Host, music: &Path, files: usize) -> f64 {
    let mut konpo = Konpo::start(host, music);
    let start = Instant::now();
    let read = loop {
        let health = api::ask(&konpo.socket(), "GET", "/api/health", None);
        let read = read_bytes(konpo.process.id(), FINGERPRINTS);
        if health.is_ok_and(|it| Shelf::of(&it.json).is_some_and(|shelf| shelf.done(1))) {
            break read;
        }
        assert!(start.elapsed() < BOUND, "the big files are not scanned");
        std::thread::sleep(Duration::from_millis(2));
    };
    // Lists may follow the scan.
    wait_for("konpo lists every big file", Duration::from_secs(10), || {
        (konpo.shelf().number("tracks") == files as u64).then_some(())
    });
    konpo.stop();
    read as f64 / files as f64
}

/// A running konpo with data of its own over a collection that it does not own.
struct Konpo<'a> {
    // First, so that it can show its words before the folder goes.
    process: Process,
    data: TempDir,
    host: &'a Host,
    music: &'a Path,
}

impl<'a> Konpo<'a> {
    /// Starts it with nothing known.
    fn start(host: &'a Host, music: &'a Path) -> Konpo<'a> {
        forget(music);
        let data = tempfile::tempdir().expect("a folder");
        let process = serve(host, music, data.path());
        Konpo { process, data, host, music }
    }

    /// Starts it again with what it knows and returns after how many ms it answers over HTTP.
    fn again(&mut self) -> f64 {
        let start = Instant::now();
        self.process = serve(self.host, self.music, self.data.path());
        let answered = self.host.within(move || {
            while !answers() {
                assert!(start.elapsed() < BOUND, "konpo does not answer");
                std::thread::sleep(Duration::from_millis(1));
            }
            start.elapsed().as_secs_f64() * 1000.0
        });
        answered.join().expect("konpo answers")
    }

    /// Waits until this many scans have ended and none runs.
    fn scanned(&self, passes: u64) -> Shelf {
        let done = || {
            let health = api::ask(&self.socket(), "GET", "/api/health", None).ok()?;
            let shelf = Shelf::of(&health.json);
            let shelf = shelf.unwrap_or_else(|| panic!("health says nothing of its shelf: {}", health.json));
            shelf.done(passes).then_some(shelf)
        };
        wait_for("konpo has scanned", BOUND, done).0
    }

    fn shelf(&self) -> Shelf {
        let health = self.ask("GET", "/api/health", None);
        Shelf::of(&health.json).unwrap_or_else(|| panic!("health says nothing of its shelf: {}", health.json))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> api::Reply {
        let reply = api::ask(&self.socket(), method, path, body);
        reply.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn socket(&self) -> std::path::PathBuf {
        self.data.path().join("ctl.sock")
    }

    fn stop(&mut self) {
        self.process.signal(Signal::SIGTERM);
        let (status, _) = self.process.wait(Duration::from_secs(30));
        assert!(status.success(), "konpo ended with {status}:\n{}", self.process.said());
    }
}

impl Drop for Konpo<'_> {
    fn drop(&mut self) {
        self.process.kill();
        forget(self.music);
    }
}

/// What `GET /api/health` says of the shelf.
struct Shelf(Value);

impl Shelf {
    fn of(health: &Value) -> Option<Shelf> {
        health.get("shelf").cloned().map(Shelf)
    }

    fn number(&self, name: &str) -> u64 {
        self.0[name].as_u64().unwrap_or_else(|| panic!("{name} is no number: {}", self.0))
    }

    fn done(&self, passes: u64) -> bool {
        self.0["scanning"] == false && self.number("passes") >= passes
    }
}

fn serve(host: &Host, music: &Path, data: &Path) -> Process {
    let mut command = host.command(env!("CARGO_BIN_EXE_konpo"));
    command.args(["serve", "--output", "silent", "--port", &PORT.to_string()]);
    command.arg("--music").arg(music).arg("--data").arg(data);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("HOME", data).env("KONPO_LOG", "info").env("LANG", "C.UTF-8");
    Process::start("konpo", command, &data.join("said"))
}

/// Whether somebody on this machine answers over HTTP that it is there.
fn answers() -> bool {
    let ask = || {
        let mut line = TcpStream::connect(("127.0.0.1", PORT))?;
        line.set_read_timeout(Some(Duration::from_secs(10)))?;
        line.write_all(b"GET /api/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut status = [0; 12];
        line.read_exact(&mut status).map(|()| status)
    };
    ask().is_ok_and(|status: [u8; 12]| &status == b"HTTP/1.1 200")
}

/// Takes away what konpo lays beside the music.
fn forget(music: &Path) {
    for name in [".konpo", "Inbox", "Playlists"] {
        let _gone = fs::remove_dir_all(music.join(name));
    }
}

/// A namespace of its own has every port free.
const PORT: u16 = 8200;
const STARTS: usize = 3;
/// Threads that take fingerprints are called so.
const FINGERPRINTS: &str = "konpo-behind";
