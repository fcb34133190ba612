//! Sound without a gap while the box does everything else it does: a scan of a large collection, a pull of four streams
//! from a server, 50 requests a second. A minute over 5,000 tracks, or half an hour over 100,000 with `KONPO_ALL=1`.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde_json::json;

use crate::support::dac::{Form, equal, find};
use crate::support::fixtures::{Signal, long_wav, noise};
use crate::support::konpo::Konpo;
use crate::support::phone::Phone;
use crate::support::twin::Twin;
use crate::support::wait_for;
use crate::support::{self, api, shelf};

#[path = "../bench/shelf/bits.rs"]
#[allow(dead_code)]
mod bits;
#[path = "../bench/shelf/flac.rs"]
#[allow(dead_code)]
mod flac;
#[path = "../bench/shelf/generate.rs"]
#[allow(dead_code)]
mod generate;
#[path = "../bench/shelf/m4a.rs"]
#[allow(dead_code)]
mod m4a;
#[path = "../bench/shelf/mp3.rs"]
#[allow(dead_code)]
mod mp3;
#[path = "../bench/shelf/names.rs"]
#[allow(dead_code)]
mod names;
#[path = "../bench/shelf/song.rs"]
#[allow(dead_code)]
mod song;

/// What the box does beside the sound, counted.
#[derive(Default)]
struct Beside {
    over: AtomicBool,
    scans: AtomicU64,
    requests: AtomicU64,
    /// The slowest answer, in ms.
    slowest: AtomicU64,
}

/// Ends what goes on beside, also when the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Line e of step 4.
#[test]
fn nothing_that_the_box_does_beside_is_heard() {
    let all = crate::support::all();
    let (parts, tracks) = if all { (30, 100_000) } else { (1, 5_000) };
    let part = |n: usize| noise(70 + n as u64, RATE, 16, RATE as usize * PART);
    let form = Form { rate: RATE, format: "s16le" };
    let mut twin = Twin::new(form, "fixed", |folder| {
        (0..parts).for_each(|n| part(n).flac(&folder.join(format!("{n:02}.flac")), &[]));
        parts
    });
    twin.konpo.at_rest(Duration::from_secs(120));
    // Only what follows is pulled, and the queue is the noise alone.
    let files = fs::read_to_string(twin.konpo.path("konpo.toml")).expect("settings");
    fs::write(twin.konpo.path("konpo.toml"), format!("{files}[intake]\npull = \"always\"\n"))
        .expect("settings");
    twin.konpo.stop();
    twin.konpo.spawn();
    twin.konpo.ready();
    let songs = tempfile::tempdir().expect("a folder");
    (0..15 * parts as u64).for_each(|n| long_wav(&songs.path().join(format!("Long {n}.wav")), BYTES + n * 8));

    let recording = twin.dac.record(50);
    twin.add(true);
    twin.reaches("playing");
    let server = twin.lan.host("server");
    // About as long as the sound.
    server.limit("8mbit");
    let phone = Phone::start(&server, songs.path());
    let beside = Beside::default();
    let socket = twin.konpo.path("data").join("ctl.sock");
    std::thread::scope(|scope| {
        scope.spawn(|| ask(&socket, &beside));
        scope.spawn(|| scan(&twin.konpo, tracks, &beside));
        let _ends = Over(&beside.over);
        wait_for("the sound is over", Duration::from_secs((parts * PART) as u64 + 60), || {
            let state = api::ask(&socket, "GET", "/api/state", None).ok()?;
            (state.json["transport"] == "stopped").then_some(())
        });
    });
    let heard = recording.take();
    let underruns = twin.underruns();
    let pulled = shelf::files(&twin.konpo.music().join("Beamed"));
    let pulled = pulled.keys().filter(|path| path.extension().is_some_and(|it| it == "wav")).count();
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    println!(
        "{} s of sound: {underruns} underruns; beside it {} scans of {tracks} tracks, {} requests (the slowest took {} \
         ms), {pulled} files pulled",
        parts * PART,
        of(&beside.scans),
        of(&beside.requests),
        of(&beside.slowest),
    );
    drop(phone);
    let broken = gap(&heard, parts, part);
    println!("{}", broken.as_deref().unwrap_or("the recording is whole, each sample in its place"));
    assert!(of(&beside.scans) > 0 && pulled > 0, "it was not busy");
    assert!(of(&beside.requests) >= (parts * PART) as u64 * 25, "it was not asked");
    if niceness() > 0 {
        println!("this runs behind other programs: gaps say nothing");
        return;
    }
    assert_eq!((underruns, broken), (0, None));
}

/// Returns where the recording of parts of [`RATE`] first differs from what was played; `None` when it never does.
pub fn gap(heard: &[i32], parts: usize, part: impl Fn(usize) -> Signal) -> Option<String> {
    let mut at = 0;
    for n in 0..parts {
        let whole = part(n).samples;
        // The first moment opens the sink, see the recorder.
        let sent = if n == 0 { &whole[RATE as usize..] } else { &whole[..] };
        if n == 0 {
            let Some(begun) = find(heard, &sent[..64]) else {
                return Some("the sound is not on the recording".to_owned());
            };
            at = begun;
        }
        let same = equal(&heard[at..], sent);
        if same != sent.len() {
            let second = (at + same) as f64 / f64::from(RATE * 2);
            return Some(format!("a gap or a wrong sample {second:.2} s into the recording, in part {n}"));
        }
        at += same;
    }
    None
}

/// Returns how nice this process is (proc(5), stat, field 19), and with it the box and the sound server.
pub fn niceness() -> i32 {
    let stat = fs::read_to_string("/proc/self/stat").expect("it runs");
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    fields.split(' ').nth(16).and_then(|nice| nice.parse().ok()).expect("a number")
}

/// Asks 50 times in a second what a page asks.
fn ask(socket: &Path, beside: &Beside) {
    let paths = ["/api/state", "/api/library/tracks?limit=50", "/api/neighbours", "/api/offers?limit=50"];
    let begun = Instant::now();
    for (n, path) in (0..).zip(paths.iter().cycle()) {
        if beside.over.load(Ordering::Relaxed) {
            return;
        }
        let start = Instant::now();
        let reply = api::ask(socket, "GET", path, None).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(reply.status, 200, "{path}: {}", reply.json);
        let took = u64::try_from(start.elapsed().as_millis()).expect("short");
        beside.slowest.fetch_max(took, Ordering::Relaxed);
        beside.requests.fetch_add(1, Ordering::Relaxed);
        let due = begun + Duration::from_millis(20 * (n + 1));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// Lays a collection beside the music, and touches all of it again whenever it is scanned.
fn scan(konpo: &Konpo, tracks: usize, beside: &Beside) {
    let passes = || konpo.get("/api/health")["shelf"].clone();
    let music = konpo.music().join("Collection");
    fs::create_dir(&music).expect("a folder");
    generate::small(&music, tracks);
    let files = generate::warm(&music);
    while !beside.over.load(Ordering::Relaxed) {
        let before = passes()["passes"].as_u64().expect("a count");
        konpo.tell(&json!("rescan"));
        let scanned = || {
            let shelf = passes();
            let done = shelf["scanning"] == false && shelf["passes"].as_u64() > Some(before);
            (done || beside.over.load(Ordering::Relaxed)).then_some(done)
        };
        let (done, _) = wait_for("a scan", Duration::from_secs(1800), scanned);
        beside.scans.fetch_add(u64::from(done), Ordering::Relaxed);
        // Later than before: each file is to be read anew.
        let now = SystemTime::now();
        for file in &files {
            File::options().append(true).open(file).and_then(|file| file.set_modified(now)).expect("touched");
        }
    }
}

/// Frames a second of what is played.
pub const RATE: u32 = 44_100;
/// How long each part of the sound is, s.
const PART: usize = 60;
/// What the server has, in pieces of this size.
const BYTES: u64 = 4_000_000;
