//! One large file from a phone by tus, whole as tus-js-client sends it by itself and in pieces of 8 MiB as the page does, beside
//! `curl -T` to nginx in the same run, over the bare link; the same by LocalSend over TLS; and how long after its last byte a song
//! of 5 MB sounds. konpo's figures end when the file is synced, nginx syncs nothing. Needs root, as the peers do.

#[path = "../peers/support/mod.rs"]
#[allow(dead_code)]
mod support;
#[path = "upload_tls.rs"]
mod upload_tls;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::konpo::Konpo;
use support::net::{Host, Lan};
use support::process::{Process, run};
use support::{fixtures, wait_for};

fn main() {
    // `cargo test --benches` and `cargo bench` both come here; only the latter measures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let all = std::env::var_os("KONPO_ALL").is_some();
    let (bytes, rounds): (u64, usize) = if all { (1_000_000_000, 5) } else { (100_000_000, 5) };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("Long.wav");
    fixtures::long_wav(&file, bytes);
    let runs: Vec<Round> = (0..rounds).map(|_| round(&file)).collect();
    for (what, took) in
        [("whole", (|run| run.whole) as fn(&Round) -> f64), ("in pieces of 8 MiB", |run| run.pieces)]
    {
        let mut ratios: Vec<(f64, f64)> = runs.iter().map(|run| (took(run), run.nginx)).collect();
        ratios.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (konpo, nginx) = ratios[rounds / 2];
        let what = format!("tus upload of {} MB {what}, curl -T to nginx", bytes / 1_000_000);
        println!("{what:<60}{konpo:>7.1} MB/s{nginx:>7.1} MB/s{:>8.3}   goal >= 0.8", konpo / nginx);
    }
    upload_tls::measure(&file, rounds);
    let mut times = sounds(if all { 40 } else { 12 });
    times.sort();
    let p95 = times[(times.len() * 95).div_ceil(100) - 1];
    println!(
        "from the last byte of a song of 5 MB to its sound    median {:?}, p95 {p95:?}   goal p95 <= 400 ms",
        times[times.len() / 2]
    );
}

/// Throughputs, MB/s.
struct Round {
    whole: f64,
    pieces: f64,
    nginx: f64,
}

fn round(file: &Path) -> Round {
    let lan = Lan::new();
    let (place, phone) = (lan.host("box"), lan.host("phone"));
    let megabytes = fs::metadata(file).expect("there").len() as f64 / 1e6;
    let upload = |piece: usize| {
        // A new one each time: the one before still listens to how loud the last file is.
        let mut konpo = box_at(&place);
        quiet();
        let (address, path) = (place.address, file.to_owned());
        let took = phone.within(move || tus(address, &path, piece)).join().expect("uploaded");
        wait_for("it is on the shelf", Duration::from_secs(120), || {
            let arrivals = konpo.arrivals();
            arrivals.iter().any(|one| !one["verdict"].is_null()).then_some(())
        });
        konpo.stop();
        megabytes / took
    };
    let (whole, pieces) = (upload(usize::MAX), upload(8 << 20));
    let folder = tempfile::tempdir().expect("a folder");
    let nginx = nginx(&place, folder.path(), 8080, "");
    let mut command = phone.command("curl");
    command
        .args(["-s", "-S", "--fail", "-T"])
        .arg(file)
        .arg(format!("http://{}:8080/Long.wav", place.address));
    quiet();
    let start = Instant::now();
    run(command);
    let curl = start.elapsed().as_secs_f64();
    drop(nginx);
    Round { whole, pieces, nginx: megabytes / curl }
}

/// What one of them left to be written is not the other's to wait for.
fn quiet() {
    run(Command::new("sync"));
}

fn box_at(place: &Host) -> Konpo {
    let settings = "[intake]\npush = \"always\"\n[output]\ndevice = \"silent\"\n";
    let mut konpo = Konpo::new(place, settings).with("KONPO_LOG", "konpo=info");
    konpo.spawn_with(&["--port", "8200"]);
    konpo.ready();
    konpo
}

/// Returns a server that takes files by PUT, at a port; `more` says how it listens there.
fn nginx(place: &Host, folder: &Path, port: u16, more: &str) -> Process {
    let at = folder.display();
    let settings = format!(
        "daemon off;\nuser root;\nworker_processes 1;\npid {at}/pid;\nerror_log stderr;\nevents {{}}\nhttp {{\naccess_log off;\n\
         client_body_temp_path {at}/body;\nproxy_temp_path {at}/proxy;\nfastcgi_temp_path {at}/fastcgi;\nuwsgi_temp_path {at}/uwsgi;\n\
         scgi_temp_path {at}/scgi;\nclient_max_body_size 0;\nserver {{ listen {port}{more}; root {at}/files; dav_methods PUT; }}\n}}\n"
    );
    fs::create_dir(folder.join("files")).expect("a folder");
    fs::write(folder.join("nginx.conf"), settings).expect("settings");
    let mut command = place.command("nginx");
    command.arg("-c").arg(folder.join("nginx.conf")).args(["-e", "stderr"]);
    let process = Process::start("nginx", command, &folder.join("said"));
    let address = place.address;
    wait_for("nginx listens", Duration::from_secs(10), || {
        let asked = place.within(move || TcpStream::connect((address, port)).is_ok());
        asked.join().expect("asked").then_some(())
    });
    process
}

/// Sends a file as tus has it, in pieces of so many bytes, and returns how many seconds that took.
fn tus(to: Ipv4Addr, path: &Path, piece: usize) -> f64 {
    let bytes = fs::read(path).expect("a file");
    let start = Instant::now();
    let mut stream = TcpStream::connect((to, 8200)).expect("konpo listens");
    stream.set_nodelay(true).expect("a socket");
    let head = format!("Host: {to}:8200\r\nTus-Resumable: 1.0.0\r\n");
    let length = bytes.len();
    let made = ask(
        &mut stream,
        &format!(
            "POST /api/uploads HTTP/1.1\r\n{head}Upload-Length: {length}\r\nUpload-Metadata: filename TG9uZy53YXY=\r\nContent-Length: 0\r\n\r\n"
        ),
        b"",
    );
    let at = made.lines().find_map(|line| line.strip_prefix("location: ")).expect("a place").to_owned();
    let mut offset = 0;
    for piece in bytes.chunks(piece) {
        let said = ask(
            &mut stream,
            &format!(
                "PATCH {at} HTTP/1.1\r\n{head}Upload-Offset: {offset}\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: {}\r\n\r\n",
                piece.len()
            ),
            piece,
        );
        assert!(said.starts_with("HTTP/1.1 204"), "{said}");
        offset += piece.len();
    }
    start.elapsed().as_secs_f64()
}

/// Sends a request and returns the head of its answer, which has no body.
fn ask(stream: &mut TcpStream, head: &str, body: &[u8]) -> String {
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body)).expect("written");
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("answered");
        answer.push(byte[0]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// Returns how long after its last byte each of so many songs of 5 MB sounds, on a box where nothing plays.
fn sounds(count: u64) -> Vec<Duration> {
    let lan = Lan::new();
    let (place, phone) = (lan.host("box"), lan.host("phone"));
    let folder = tempfile::tempdir().expect("a folder");
    let mut times = Vec::new();
    for number in 0..count {
        // A new one for each: what somebody stops by hand is not started again by the next song that comes.
        let mut konpo = box_at(&place);
        let path = folder.path().join("song.m4a");
        let title = format!("Song {number}");
        let sound = fixtures::noise(number, 44_100, 16, 44_100 * 125);
        sound.encode(&path, &["-c:a", "aac", "-b:a", "320k"], &[("title", &title)]);
        let before = konpo.get("/api/state")["starts"].as_u64().expect("a count");
        let (address, bytes) = (place.address, fs::read(&path).expect("a song"));
        let sent = phone.within(move || {
            let mut stream = TcpStream::connect((address, 8200)).expect("konpo listens");
            let head = format!("PUT /beam/song.m4a HTTP/1.1\r\nHost: {address}:8200\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes)).expect("written");
            (Instant::now(), stream)
        });
        let (last, _answered_later) = sent.join().expect("sent");
        // Counted when the first sample is at the output; looked at every few milliseconds.
        while konpo.get("/api/state")["starts"].as_u64().expect("a count") == before {
            assert!(last.elapsed() < Duration::from_secs(20), "it never sounds");
            std::thread::sleep(Duration::from_millis(3));
        }
        times.push(last.elapsed());
        konpo.stop();
    }
    times
}
