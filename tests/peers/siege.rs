//! Everybody who means harm at once, from many addresses and by every way in, while the sound is recorded: each is refused
//! with its code, nothing is written where it must not be, the memory stays what it was, and no sample is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::soak::{RATE, gap};
use crate::support::dac::Form;
use crate::support::fixtures::{Signal, noise};
use crate::support::konpo::Konpo;
use crate::support::localsend::{offer, plain, staged};
use crate::support::net::Host;
use crate::support::twin::Twin;
use crate::support::{all, wait_for};

#[path = "../support/hostile_names.rs"]
mod names;

/// What was answered to whom, counted.
type Answers = Arc<Mutex<BTreeMap<(&'static str, String), u64>>>;

/// One machine with many addresses, and the box it besieges.
#[derive(Clone)]
struct Camp {
    host: Host,
    from: Vec<Ipv4Addr>,
    to: Ipv4Addr,
    page: u16,
    /// The owner's own way in: what it passes on may be somebody else's archive.
    socket: PathBuf,
    answers: Answers,
    over: Arc<AtomicBool>,
}

impl Camp {
    fn new(twin: &Twin) -> Camp {
        let host = twin.lan.host("camp");
        let from: Vec<Ipv4Addr> = (0..ADDRESSES).map(|n| Ipv4Addr::new(10, 77, 0, 100 + n)).collect();
        from.iter().for_each(|address| host.replug("eth0", *address));
        let said = twin.konpo.said();
        let ready =
            said.lines().find_map(|line| line.strip_prefix("konpo ready http://")).expect("it is ready");
        let at: SocketAddrV4 = ready.trim().trim_end_matches('/').parse().expect("an address");
        let (to, page) = (*at.ip(), at.port());
        let socket = twin.konpo.path("data").join("ctl.sock");
        Camp { host, from, to, page, socket, answers: Arc::default(), over: Arc::default() }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn note(&self, who: &'static str, answer: &str) {
        *self.answers.lock().expect("nobody panicked").entry((who, answer.to_owned())).or_default() += 1;
    }

    /// Connects from one of the addresses.
    fn connect(&self, n: usize, port: u16) -> Option<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
        let from = SocketAddr::from((self.from[n % self.from.len()], 0));
        socket.bind(&from.into()).ok()?;
        socket.connect_timeout(&SocketAddr::from((self.to, port)).into(), Duration::from_secs(20)).ok()?;
        Some(socket.into())
    }

    /// Sends bytes and returns the status; `None`: it is held open, or was turned out, which is given back.
    fn ask(&self, n: usize, port: u16, bytes: &[u8], wait: Duration) -> Result<u16, Option<TcpStream>> {
        let Some(mut stream) = self.connect(n, port) else { return Err(None) };
        stream.set_read_timeout(Some(wait)).expect("a socket");
        stream.set_write_timeout(Some(Duration::from_secs(20))).expect("a socket");
        // Who is refused early may be cut off while it still writes; the answer counts.
        let _cut = stream.write_all(bytes);
        let mut first = [0; 12];
        match stream.read_exact(&mut first) {
            Ok(()) => Ok(String::from_utf8_lossy(&first[9..]).parse().unwrap_or(0)),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Err(Some(stream)),
            Err(_) => Err(None),
        }
    }

    fn head(&self, port: u16, method: &str, path: &str, length: usize, more: &str) -> Vec<u8> {
        let to = self.to;
        format!("{method} {path} HTTP/1.1\r\nHost: {to}:{port}\r\nContent-Length: {length}\r\nConnection: close\r\n{more}\r\n")
            .into_bytes()
    }

    /// Runs `work` on a thread of the camp.
    fn sends(&self, work: impl FnOnce(&Camp) + Send + 'static) -> JoinHandle<()> {
        let camp = self.clone();
        self.host.within(move || work(&camp))
    }
}

/// Questions, in parallel and from many addresses: one of each is held, for a person must answer; the others are refused.
fn questions(camp: &Camp, thread: usize, count: usize) {
    let mut held = Vec::new();
    for n in 0..count {
        let info = json!({ "alias": format!("{thread} {n}"), "version": "2.1", "fingerprint": n.to_string(), "port": 0, "protocol": "http" });
        let files = json!({ "1": { "id": "1", "fileName": format!("{n}.mp3"), "size": 1, "fileType": "audio/mpeg" } });
        let body = json!({ "info": info, "files": files }).to_string();
        let bytes = [&camp.head(53317, "POST", PREPARE, body.len(), "")[..], body.as_bytes()].concat();
        match camp.ask((n * 7 + thread) % ASKERS, 53317, &bytes, Duration::from_millis(300)) {
            Ok(status) => camp.note("questions", &status.to_string()),
            Err(Some(stream)) => held.push(stream),
            Err(None) => camp.note("questions", "turned out"),
        }
    }
    while !camp.is_over() {
        std::thread::sleep(Duration::from_millis(50));
    }
    // On a machine with much to do an answer may have been late only.
    for mut stream in held {
        let mut first = [0; 12];
        match stream.read_exact(&mut first) {
            Ok(()) => camp.note("questions", &String::from_utf8_lossy(&first[9..])),
            Err(_) => camp.note("questions", "held"),
        }
    }
}

/// Eight megabytes that are no question, and more than that.
fn bodies(camp: &Camp, thread: usize) {
    while !camp.is_over() {
        for (length, fill) in [(8 << 20, b'['), (9 << 20, b' '), (8 << 20, b'x')] {
            let body = vec![fill; length];
            let bytes = [&camp.head(53317, "POST", PREPARE, body.len(), "")[..], &body].concat();
            let answer = camp.ask(thread, 53317, &bytes, Duration::from_secs(20));
            camp.note("bodies", &answer.map_or("turned out".to_owned(), |status| status.to_string()));
            std::thread::sleep(Duration::from_millis(400));
        }
    }
}

/// Names that lead elsewhere, by LocalSend and as whole bodies.
fn climbing(camp: &Camp) {
    for name in names::climbing().into_iter().filter(|name| !name.is_empty()) {
        if camp.is_over() {
            return;
        }
        let body = offer(json!({ "1": { "id": "1", "fileName": name, "size": 1, "fileType": "audio/wav" } }));
        let bytes = [&camp.head(53317, "POST", PREPARE, body.len(), "")[..], body.as_bytes()].concat();
        let answer = camp.ask(usize::from(ADDRESSES) - 1, 53317, &bytes, Duration::from_secs(20));
        camp.note("names", &answer.map_or("turned out".to_owned(), |status| status.to_string()));
        let name: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let bytes = [&camp.head(camp.page, "POST", &format!("/beam?name={name}"), 1, "")[..], b"x"].concat();
        let answer = camp.ask(usize::from(ADDRESSES) - 1, camp.page, &bytes, Duration::from_secs(20));
        camp.note("names", &answer.map_or("turned out".to_owned(), |status| status.to_string()));
    }
}

/// Pages of other sites, and names that were pointed here.
fn pages(camp: &Camp) {
    let foreign = ["Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n", "Origin: null\r\n"];
    let ways = [
        ("POST", "/beam?name=a.wav"),
        ("POST", "/api/uploads"),
        ("POST", "/api/command"),
        ("PUT", "/beam/a.wav"),
    ];
    while !camp.is_over() {
        for more in foreign {
            for (method, path) in ways {
                let bytes = camp.head(camp.page, method, path, 0, more);
                let answer = camp.ask(ASKERS, camp.page, &bytes, Duration::from_secs(20));
                camp.note("pages", &answer.map_or("turned out".to_owned(), |status| status.to_string()));
            }
        }
        let bytes = camp.head(53317, "POST", PREPARE, 0, "Origin: http://evil.example\r\n");
        let answer = camp.ask(ASKERS, 53317, &bytes, Duration::from_secs(20));
        camp.note("pages", &answer.map_or("turned out".to_owned(), |status| status.to_string()));
        for (port, path) in
            [(camp.page, "/api/state"), (camp.page, "/beam"), (53317, "/api/localsend/v2/info")]
        {
            let bytes =
                format!("GET {path} HTTP/1.1\r\nHost: evil.example:{port}\r\nConnection: close\r\n\r\n");
            let answer = camp.ask(ASKERS, port, bytes.as_bytes(), Duration::from_secs(20));
            camp.note("rebound", &answer.map_or("turned out".to_owned(), |status| status.to_string()));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Archives that burst, share their bytes, or hold what is no file; they come by the owner's own way, so nobody is asked.
fn archives(camp: &Camp, folder: &Path) {
    let made = archives_in(folder);
    while !camp.is_over() {
        for (name, path) in &made {
            let mut command = Command::new("curl");
            command.args([
                "-s",
                "--max-time",
                "60",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "--unix-socket",
            ]);
            command.arg(&camp.socket).arg("-T").arg(path).arg(format!("http://localhost/beam/{name}.zip"));
            let output = command.output().expect("curl runs");
            camp.note("archives", &String::from_utf8_lossy(&output.stdout));
        }
        std::thread::sleep(Duration::from_millis(500));
    }
}

fn archives_in(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let special = |mode: &str| {
        format!(
            "i = zipfile.ZipInfo('l.wav'); i.create_system = 3; i.external_attr = {mode} << 16; z.writestr(i, '/etc/passwd')"
        )
    };
    let scripts = [
        ("bomb", "z.writestr('a.wav', bytes(100 << 20))".to_owned()),
        ("many", "for n in range(30000): z.writestr(f'{n}.wav', b'')".to_owned()),
        (
            "shared",
            "z.writestr('a.wav', os.urandom(1 << 20))\nfor n in range(500): i = copy.copy(z.filelist[0]); i.filename = f'{n}.wav'; z.filelist.append(i)".to_owned(),
        ),
        ("link", special("0o120777")),
        ("block", special("0o060666")),
        ("char", special("0o020666")),
        ("fifo", special("0o010666")),
        ("climbs", "z.writestr('../../../../tmp/siege.wav', b'x')".to_owned()),
        ("root", "z.writestr('/tmp/siege.wav', b'x')".to_owned()),
    ];
    scripts
        .into_iter()
        .map(|(name, script)| {
            let path = folder.join(format!("{name}.zip"));
            let script = format!(
                "import copy, os, sys, zipfile\nz = zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED)\n{script}\nz.close()"
            );
            let made = Command::new("python3").args(["-c", &script]).arg(&path).status().expect("python3 runs");
            assert!(made.success(), "{name}");
            (name, path)
        })
        .collect()
}

/// Uploads of which a byte comes now and then, by every way; they are let in while the window is open.
fn slow(camp: &Camp, sessions: &[String]) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for n in 0..SLOW {
        let form = "Content-Type: multipart/form-data; boundary=XX\r\n";
        let part = "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"slow.wav\"\r\n\r\nR";
        let tus = "Tus-Resumable: 1.0.0\r\nUpload-Length: 1000000\r\nContent-Type: application/offset+octet-stream\r\n";
        let ways = [
            (camp.page, camp.head(camp.page, "PUT", "/beam/slow.wav", 1_000_000, ""), "R"),
            (camp.page, camp.head(camp.page, "POST", "/beam", 1_000_000, form), part),
            (camp.page, camp.head(camp.page, "POST", "/api/uploads", 1_000_000, tus), "R"),
        ];
        for (port, head, begin) in ways {
            let Some(mut stream) = camp.connect(n, port) else { continue };
            let _cut = stream.write_all(&[&head[..], begin.as_bytes()].concat());
            streams.push(stream);
        }
    }
    for (n, path) in sessions.iter().enumerate() {
        let Some(mut stream) = camp.connect(n, 53317) else { continue };
        let _cut = stream.write_all(&[&camp.head(53317, "POST", path, 1_000_000, "")[..], b"R"].concat());
        streams.push(stream);
    }
    streams
}

fn trickle(camp: &Camp, mut streams: Vec<TcpStream>) {
    while !camp.is_over() {
        // Those that were let go take nothing any more.
        streams.retain_mut(|stream| stream.write_all(b"x").is_ok());
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(if camp.is_over() { 0 } else { 100 }));
        }
    }
    camp.note("slow", &format!("{} still held", streams.len()));
}

/// Opens a LocalSend session from an address. Returns where its file goes.
fn session(camp: &Camp, n: usize) -> Option<String> {
    let body = offer(
        json!({ "1": { "id": "1", "fileName": "slow.wav", "size": 1_000_000, "fileType": "audio/wav" } }),
    );
    let mut stream = camp.connect(n, 53317)?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    stream
        .write_all(&[&camp.head(53317, "POST", PREPARE, body.len(), "")[..], body.as_bytes()].concat())
        .ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    let said: Value = serde_json::from_str(said.split_once("\r\n\r\n")?.1).ok()?;
    let (id, token) = (said["sessionId"].as_str()?, said["files"]["1"].as_str()?);
    Some(format!("/api/localsend/v2/upload?sessionId={id}&fileId=1&token={token}"))
}

/// What lies where nothing may be written: names beside the box's own folders, and in folders that everybody has.
fn outside(konpo: &Konpo) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut list = |folder: PathBuf, is_shared: bool| {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Others work here as well; what a sender could have brought bears one of its names.
            let brought =
                [".wav", ".mp3", ".flac", ".zip", "passwd", "siege"].iter().any(|mark| name.contains(mark));
            if brought || !is_shared {
                found.insert(entry.path());
            }
        }
    };
    list(konpo.path(""), false);
    list(konpo.path("home"), false);
    list(konpo.music(), false);
    list(konpo.music().join("Inbox"), false);
    let seen = PathBuf::from(format!("/proc/{}/cwd", konpo.id()));
    for folder in
        ["/", "/tmp", "/etc", "/etc/cron.d", "/root", "/home", "/var", "/var/tmp", "/run"].map(PathBuf::from)
    {
        list(folder, true);
    }
    list(seen, true);
    found
}

/// The most memory that a program ever held, MB (proc(5), status, VmHWM), and what it holds (VmRSS).
fn memory(konpo: &Konpo) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{}/status", konpo.id())).expect("it runs");
    let of = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
        line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("a number") / 1024
    };
    (of("VmHWM"), of("VmRSS"))
}

fn sound(seconds: usize) -> Signal {
    noise(90, RATE, 16, RATE as usize * seconds)
}

/// A box with that sound on its shelf, and what records it.
fn laid(seconds: usize) -> Twin {
    Twin::new(Form { rate: RATE, format: "s16le" }, "fixed", |folder| {
        sound(seconds).flac(&folder.join("0.flac"), &[("title", "Sound"), ("artist", "A"), ("album", "B")]);
        1
    })
}

/// One siege. Returns what is wrong with the sound, and prints the rest.
fn siege(seconds: usize) -> Result<(), String> {
    let twin = laid(seconds);
    let konpo = &twin.konpo;
    konpo.at_rest(Duration::from_secs(60));
    let camp = Camp::new(&twin);
    let folder = tempfile::tempdir().expect("a folder");
    let (before, (_, held)) = (outside(konpo), memory(konpo));
    assert_eq!(konpo.ask("POST", "/api/beam", None).status, 200);
    let opening = camp.clone();
    let slow_ones = camp.host.within(move || {
        let sessions: Vec<String> = (0..5).filter_map(|n| session(&opening, n)).collect();
        assert_eq!(sessions.len(), 5, "they are let in");
        slow(&opening, &sessions)
    });
    let slow_ones = slow_ones.join().expect("begun");
    assert!(slow_ones.len() >= 30, "{}", slow_ones.len());
    wait_for("their first bytes are here", Duration::from_secs(20), || (staged(konpo) >= 30).then_some(()));
    assert_eq!(konpo.ask("DELETE", "/api/beam", None).status, 204);

    let recording = twin.dac.record(50);
    twin.add(true);
    twin.reaches("playing");
    let begun = Instant::now();
    let count = if all() { 10_000 } else { 1_000 } / THREADS;
    let mut at_work = vec![camp.sends(climbing), camp.sends(pages)];
    at_work.extend((0..THREADS).map(|thread| camp.sends(move |camp| questions(camp, thread, count))));
    at_work.extend((0..2).map(|thread| camp.sends(move |camp| bodies(camp, ASKERS + 1 + thread))));
    at_work.push(camp.sends(move |camp| trickle(camp, slow_ones)));
    let place = folder.path().to_owned();
    at_work.push(camp.sends(move |camp| archives(camp, &place)));
    twin.reaches("stopped");
    camp.over.store(true, Ordering::Relaxed);
    at_work.into_iter().for_each(|thread| thread.join().expect("no panic"));
    let heard = recording.take();
    let (underruns, (most, _)) = (twin.underruns(), memory(konpo));
    let answers = camp.answers.lock().expect("nobody panicked").clone();
    println!(
        "a siege of {:.0} s: {underruns} underruns, {held} MB before, at most {most} MB",
        begun.elapsed().as_secs_f64()
    );
    answers.iter().for_each(|((who, answer), count)| println!("  {who}: {count} × {answer}"));
    right_codes(&answers, count * THREADS);
    assert!(most < held + 250, "{held} MB before, {most} MB at most");
    // What came by tus may go on for a day; nothing else is left.
    wait_for("nothing else is left in staging", Duration::from_secs(120), || {
        (staged(konpo) <= SLOW).then_some(())
    });
    assert_eq!(konpo.tracks().len(), 1, "nothing of them is on the shelf");
    let after = outside(konpo);
    let fresh: Vec<&PathBuf> = after.difference(&before).collect();
    assert!(fresh.is_empty(), "{fresh:?}");
    // Whoever means well is let in as before.
    let place = Host { address: camp.to, ..camp.host.clone() };
    let (status, _) = plain(&twin.lan.host("friend"), &place, "GET", "/api/localsend/v2/info", b"");
    assert_eq!(status, 200);
    let broken = gap(&heard, 1, |_| sound(seconds));
    println!("  {}", broken.as_deref().unwrap_or("the recording is whole, each sample in its place"));
    match (underruns, broken) {
        (0, None) => Ok(()),
        (underruns, broken) => Err(format!("{underruns} underruns, {broken:?}")),
    }
}

/// Each is refused with a code that says so.
fn right_codes(answers: &BTreeMap<(&'static str, String), u64>, questions: usize) {
    let of = |who: &'static str| -> Vec<(&str, u64)> {
        let theirs = answers.iter().filter(|((one, _), _)| *one == who);
        theirs.map(|((_, answer), count)| (answer.as_str(), *count)).collect()
    };
    for (who, right) in [
        // 403: nobody answered the one before it.
        ("questions", &["409", "403", "held", "turned out"][..]),
        ("bodies", &["400", "413", "409", "408", "503", "turned out"]),
        ("names", &["400", "turned out"]),
        ("pages", &["403", "turned out"]),
        ("rebound", &["421", "turned out"]),
        // 202: the shelf has not looked at it yet.
        ("archives", &["415", "202"]),
    ] {
        let wrong: Vec<(&str, u64)> =
            of(who).into_iter().filter(|(answer, _)| !right.contains(answer)).collect();
        let told: u64 = of(who)
            .into_iter()
            .filter(|(answer, _)| answer.parse::<u16>().is_ok())
            .map(|(_, count)| count)
            .sum();
        assert!(wrong.is_empty() && told > 0, "{who}: {wrong:?}, {told} were told");
    }
    let asked: u64 = of("questions").into_iter().map(|(_, count)| count).sum();
    // Held until the end, or until nobody had answered for a minute.
    let waited = |answer: &str| answer == "held" || answer == "403";
    let held: u64 =
        of("questions").into_iter().filter(|(answer, _)| waited(answer)).map(|(_, count)| count).sum();
    assert_eq!(asked as usize, questions);
    // Eight questions wait at once; after a minute others follow them.
    assert!((1..=24).contains(&held), "{held} were held");
    // Two minutes are more than anybody waits for who sends next to nothing.
    assert!(!all() || of("slow") == [("0 still held", 1)], "{:?}", of("slow"));
}

#[test]
fn hostile_senders_of_every_kind_at_once_are_refused_and_not_heard() {
    let seconds = if all() { 120 } else { 20 };
    // What they changed they would change each time; a gap can come from a machine that is too busy.
    let mut heard = (0..TRIES).map(|_| siege(seconds));
    let first = heard.next().expect("one");
    let Some(broken) = first.err().filter(|_| heard.all(|tried| tried.is_err())) else { return };
    // Nobody besieges it, and it is recorded all the same: so much of it is the machine.
    let twin = laid(seconds);
    let (heard, _) = twin.hear();
    let gap = gap(&heard, 1, |_| sound(seconds));
    panic!("{broken}; the same sound undisturbed: {} underruns, {gap:?}", twin.underruns());
}

const PREPARE: &str = "/api/localsend/v2/prepare-upload";
const ADDRESSES: u8 = 24;
/// The first of them ask; the others have a trade each.
const ASKERS: usize = 20;
const THREADS: usize = 8;
/// Slow senders by each way of the page.
const SLOW: usize = 10;
const TRIES: usize = 3;
