//! What the motor costs beside MPD 0.23, in one run and with the same files: the processor for decoding alone, as fast as
//! it goes, and for playing in real time into null sinks of the same make; memory while playing. 60 s of sound and 20 s of
//! playing a format, or 10 minutes and 120 s with `KONPO_ALL=1`, which ends with 1 when a goal is missed. Needs root, as the
//! peers do.
//!
//!     cargo bench --bench motor -- [decode] [seek] [play]     only these
//!     cargo bench --bench motor -- --decode FILE              decodes a file into nothing, for a profiler

#[path = "../peers/support/mod.rs"]
#[allow(dead_code)]
mod support;

mod mpd;
mod seek;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use konpo::media::sound::Sound;
use konpo::player::source::decoders;
use mpd::Mpd;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use support::dac::{Dac, Form};
use support::fixtures::{Random, Signal};
use support::process::run;
use support::twin::Twin;
use support::wait_for;

/// A file that both play.
struct Piece {
    name: &'static str,
    file: &'static str,
    /// 24 bits at 96 kHz, else 16 at 44.1.
    fine: bool,
    arguments: &'static [&'static str],
}

const PIECES: [Piece; 8] = [
    piece("FLAC 16/44.1", "cd.flac", false, &["-c:a", "flac"]),
    piece(
        "FLAC 24/96",
        "fine.flac",
        true,
        &["-c:a", "flac", "-sample_fmt", "s32", "-bits_per_raw_sample", "24"],
    ),
    piece("ALAC 16/44.1", "alac.m4a", false, &["-c:a", "alac"]),
    piece("WAV 16/44.1", "cd.wav", false, &["-c:a", "pcm_s16le"]),
    piece("MP3 320", "song.mp3", false, &["-c:a", "libmp3lame", "-b:a", "320k"]),
    piece("AAC 256", "aac.m4a", false, &["-c:a", "aac", "-b:a", "256k"]),
    piece("Vorbis q6", "song.ogg", false, &["-c:a", "libvorbis", "-q:a", "6"]),
    piece("Opus 160", "song.opus", false, &["-c:a", "libopus", "-b:a", "160k"]),
];

const fn piece(
    name: &'static str,
    file: &'static str,
    fine: bool,
    arguments: &'static [&'static str],
) -> Piece {
    Piece { name, file, fine, arguments }
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [what, file] = &words[..]
        && what == "--decode"
    {
        println!("{}", decode(Path::new(file)));
        return ExitCode::SUCCESS;
    }
    // `cargo test --benches` and `cargo bench` both come here; only the latter measures.
    if !std::env::args().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let all = std::env::var_os("KONPO_ALL").is_some();
    let has = |name: &str| words.is_empty() || words.iter().any(|word| word == name);
    let (length, warm, long) = if all { (600, 10, 120) } else { (60, 3, 20) };
    let music = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    make(music.path(), length);
    let mut missed = 0;
    if has("decode") {
        missed += decoding(music.path(), length);
    }
    if has("seek") {
        // Two hours, or ten minutes.
        missed += seek::seeking(music.path(), if all { 240 } else { 20 });
    }
    if has("play") {
        missed += playing(music.path(), Duration::from_secs(warm), Duration::from_secs(long));
    }
    // A small run is noisy.
    if all && missed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Lays every piece into the folder, `seconds` long.
fn make(folder: &Path, seconds: u32) {
    let sources = [(false, "cd.source.wav"), (true, "fine.source.wav")];
    for (fine, name) in sources {
        let (rate, bits) = if fine { (96_000, 24) } else { (44_100, 16) };
        fs::write(folder.join(name), music(rate, bits).wav()).expect("a source");
    }
    for piece in &PIECES {
        let (_, source) = sources[usize::from(piece.fine)];
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-y", "-stream_loop", "-1", "-i"]).arg(folder.join(source));
        command.args(["-t", &seconds.to_string()]).args(piece.arguments).arg(folder.join(piece.file));
        run(command);
    }
    sources.iter().for_each(|(_, name)| fs::remove_file(folder.join(name)).expect("a source goes"));
}

/// Half a minute that costs an encoder and a decoder about what music does: tones that swell, and noise below them.
fn music(rate: u32, bits: u16) -> Signal {
    let mask = !0 << (32 - bits);
    let mut random = Random(0x6d75_7369);
    let mut low = [0.0f64; 2];
    let mut samples = Vec::with_capacity(rate as usize * 60);
    for frame in 0..rate * 30 {
        let t = f64::from(frame) / f64::from(rate);
        let wave = |hz: f64| (std::f64::consts::TAU * hz * t).sin();
        let swell = 0.6 + 0.4 * wave(0.7);
        let tones =
            swell * (0.2 * wave(110.0) + 0.1 * wave(440.7) + 0.05 * wave(1319.0) + 0.02 * wave(5274.0));
        for (side, low) in low.iter_mut().enumerate() {
            let white = (random.next() >> 32) as u32 as i32;
            *low += 0.2 * (f64::from(white) / 2_147_483_648.0 - *low);
            let pan = if side == 0 { 1.0 } else { 0.8 };
            let value = tones * pan + 0.15 * *low;
            samples.push(((value * 2_147_483_648.0) as i32) & mask);
        }
    }
    Signal { rate, bits, samples }
}

/// Decodes a file as the player does, up to the ring, and returns the count of its frames.
fn decode(file: &Path) -> u64 {
    let mut source = decoders()(opened(file)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let width = u64::from(source.about().channels);
    let (mut block, mut samples) = (Vec::new(), 0);
    while source.read(&mut block).unwrap_or_else(|error| panic!("{}: {error}", file.display())) {
        samples += block.len() as u64;
        block.clear();
    }
    samples / width
}

fn opened(file: &Path) -> Sound {
    let extension = file.extension().and_then(|extension| extension.to_str());
    Sound::file(File::open(file).expect("it is there"), extension).expect("it has a size")
}

/// Prints the processor time of both for decoding every piece, and returns how many goals are missed.
fn decoding(music: &Path, seconds: u32) -> usize {
    println!(
        "{:<24}{:>14}{:>14}{:>10}{:>10}",
        format!("decoding {seconds} s, CPU"),
        "konpo",
        "MPD 0.23",
        "ratio",
        "goal"
    );
    let mut mpd = Mpd::start(music, "type \"null\"\nsync \"no\"", &[]);
    let mut missed = 0;
    for piece in &PIECES {
        let rate = if piece.fine { 96_000 } else { 44_100 };
        // Opus decodes at 48 kHz.
        let rate = if piece.file.ends_with("opus") { 48_000 } else { rate };
        // One round is now and then a few hundredths off.
        let mut rounds = [(); ROUNDS].map(|()| {
            let (konpo, frames) = alone(&music.join(piece.file));
            let apart = frames.abs_diff(u64::from(seconds * rate));
            assert!(apart < u64::from(rate / 10), "{}: {frames} frames", piece.name);
            (konpo, unsynced(&mut mpd, piece))
        });
        rounds.sort_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        let (konpo, theirs) = rounds[ROUNDS / 2];
        let ratio = konpo / theirs;
        missed += usize::from(ratio > DECODE_GOAL);
        println!(
            "{:<24}{konpo:>12.2} s{theirs:>12.2} s{ratio:>10.2}{:>10}{}",
            piece.name,
            format!("<= {DECODE_GOAL}"),
            word(ratio <= DECODE_GOAL),
        );
    }
    println!(
        "Medians of {ROUNDS}. MPD plays into its null output without a clock; konpo decodes up to the ring, its reader included."
    );
    println!();
    missed
}

/// Lets MPD play a piece as fast as it can, and returns its processor time in s.
fn unsynced(mpd: &mut Mpd, piece: &Piece) -> f64 {
    mpd.tell("clear");
    mpd.tell(&format!("add \"{}\"", piece.file));
    let before = cpu(mpd.id());
    mpd.tell("play 0");
    wait_for("MPD has played", Duration::from_secs(300), || {
        let status = mpd.tell("status");
        assert!(!status.contains("error: "), "{}: {status}", piece.name);
        status.contains("state: stop").then_some(())
    });
    cpu(mpd.id()) - before
}

/// Decodes a file in a process of its own; returns its processor time in s and the frames.
fn alone(file: &Path) -> (f64, u64) {
    let used = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it is known");
        (usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6
    };
    let before = used();
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg("--decode").arg(file);
    let said = String::from_utf8_lossy(&run(command)).into_owned();
    (used() - before, said.trim().parse().expect("a count"))
}

/// Plays every piece by both at once, each into a sink of its own, prints what that costs, and returns how many goals are
/// missed.
fn playing(music: &Path, warm: Duration, long: Duration) -> usize {
    let mut pairs: Vec<Pair> = PIECES.iter().map(|piece| Pair::new(piece, music)).collect();
    pairs.iter_mut().for_each(Pair::play);
    std::thread::sleep(warm);
    let used = || -> Vec<[f64; 2]> { pairs.iter().map(|pair| pair.ids().map(cpu)).collect() };
    let before = used();
    std::thread::sleep(long);
    let after = used();
    println!(
        "{:<24}{:>14}{:>14}{:>10}{:>20}{:>20}",
        format!("playing {} s, CPU", long.as_secs()),
        "konpo",
        "MPD 0.23",
        "ratio",
        "konpo RSS, PSS",
        "MPD RSS, PSS"
    );
    let mut missed = 0;
    for ((pair, before), after) in pairs.iter().zip(&before).zip(&after) {
        let state = pair.twin.konpo.get("/api/state");
        assert_eq!(state["transport"], "playing", "{}: konpo does not play any more", pair.name);
        let underruns = pair.twin.underruns();
        let [konpo, mpd] = [0, 1].map(|n| (after[n] - before[n]) / long.as_secs_f64() * 1_000.0);
        let [ours, theirs] = pair.ids().map(memory);
        let good = konpo <= mpd && ours.0 < theirs.0;
        missed += usize::from(!good);
        println!(
            "{:<24}{konpo:>9.2} ms/s{mpd:>9.2} ms/s{:>10.2}{:>11.1} {:>5.1} MB{:>11.1} {:>5.1} MB{}{}",
            pair.name,
            konpo / mpd,
            ours.0,
            ours.1,
            theirs.0,
            theirs.1,
            word(good),
            if underruns > 0 { format!("  {underruns} underruns") } else { String::new() },
        );
    }
    println!(
        "Goal: at most MPD's processor time, memory below MPD's. All play at once, each into a sink of its own. Both give \
         the server {BUFFER} ms ahead; behind that konpo has 300 ms decoded and MPD its 4 MB, as both come."
    );
    missed
}

/// Both with the same piece.
struct Pair {
    name: &'static str,
    twin: Twin,
    mpd: Mpd,
    _dac: Dac,
}

impl Pair {
    fn new(piece: &Piece, music: &Path) -> Pair {
        let form = match piece.fine {
            true => Form { rate: 96_000, format: "s32le" },
            false if piece.file.ends_with("opus") => Form { rate: 48_000, format: "s16le" },
            false => Form { rate: 44_100, format: "s16le" },
        };
        let file: PathBuf = music.join(piece.file);
        let mut twin = Twin::new(form, "fixed", |folder| {
            fs::copy(&file, folder.join(piece.file)).expect("a copy");
            1
        });
        // The way in needed memory once, and takes fingerprints behind.
        twin.konpo.at_rest(Duration::from_secs(120));
        twin.konpo.stop();
        twin.konpo.spawn();
        twin.konpo.ready();
        let dac = Dac::start(form);
        let mut environment = dac.environment();
        environment.push(("PULSE_LATENCY_MSEC".into(), BUFFER.to_string()));
        let mut mpd = Mpd::start(music, "type \"pulse\"\nsink \"dac\"", &environment);
        mpd.tell(&format!("add \"{}\"", piece.file));
        Pair { name: piece.name, twin, mpd, _dac: dac }
    }

    fn play(&mut self) {
        self.twin.add(true);
        self.mpd.tell("play 0");
        self.twin.reaches("playing");
        wait_for("MPD plays", Duration::from_secs(10), || {
            self.mpd.tell("status").contains("state: play").then_some(())
        });
    }

    fn ids(&self) -> [u32; 2] {
        [self.twin.konpo.id(), self.mpd.id()]
    }
}

/// Returns user and system time of a process in s, to a hundredth (proc(5), stat: fields 14 and 15, in ticks of 10 ms).
fn cpu(id: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).expect("it runs");
    // The name may have spaces; fields count from 3 behind it.
    let (_, rest) = text.rsplit_once(") ").expect("a name");
    rest.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("ticks")).sum::<f64>() / 100.0
}

/// Returns the resident memory of a process, and its share of what is shared, in MB.
fn memory(id: u32) -> (f64, f64) {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).expect("it runs");
    let of = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kib * 1024.0 / 1e6
    };
    (of("Rss:"), of("Pss:"))
}

fn word(good: bool) -> &'static str {
    if good { "" } else { "  MISSED" }
}

const DECODE_GOAL: f64 = 0.5;
/// How often each piece is decoded by both.
const ROUNDS: usize = 5;
/// What konpo asks a server to hold: two periods of a thirtieth of a second.
const BUFFER: u32 = 67;
