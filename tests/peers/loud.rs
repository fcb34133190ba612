//! Equal loudness, as it comes out at the DAC: every sample of a recording against the file's own times the gain.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::dac::{Dac, Form};
use crate::support::fixtures::{Signal, noise};
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::process::run;
use crate::support::wait_for;

/// What was heard, and the way that the box told of each track, in order.
struct Heard {
    samples: Vec<f64>,
    told: Vec<Value>,
    underruns: u64,
}

/// Lays tracks into the Inbox, waits until `ready`, plays them in order at this volume and records them; again where the
/// machine was too busy to keep the sound whole, which other tests are about.
fn play(settings: &str, volume: u8, lay: impl Fn(&Path) -> usize, ready: impl Fn(&Value) -> bool) -> Heard {
    let mut tries = (0..TRIES).map(|_| play_once(settings, volume, &lay, &ready));
    let first = tries.next().expect("one");
    if first.underruns == 0 { first } else { tries.find(|heard| heard.underruns == 0).unwrap_or(first) }
}

fn play_once(
    settings: &str,
    volume: u8,
    lay: impl Fn(&Path) -> usize,
    ready: impl Fn(&Value) -> bool,
) -> Heard {
    let form = Form { rate: 48_000, format: "s32le" };
    let dac = Dac::start(form);
    let lan = Lan::new();
    let mut konpo = Konpo::new(&lan.host("hifi"), "").with("KONPO_LOG", "warn");
    for (name, value) in dac.environment() {
        konpo = konpo.with(&name, &value);
    }
    let device = konpo.output("dac");
    fs::write(konpo.path("konpo.toml"), format!("[output]\ndevice = \"{device}\"\n{settings}"))
        .expect("settings");
    konpo.spawn();
    konpo.ready();
    let aside = tempfile::tempdir().expect("a folder");
    let count = lay(aside.path());
    for entry in fs::read_dir(aside.path()).expect("a folder").flatten() {
        konpo.drop_in(&entry.path());
    }
    let (mut tracks, _) = wait_for("all tracks are on the shelf", Duration::from_secs(120), || {
        Some(konpo.tracks()).filter(|tracks| tracks.len() == count && tracks.iter().all(&ready))
    });
    tracks.sort_by_key(|track| track["track"].as_u64());
    let entries: Vec<Value> = tracks.iter().map(|track| json!({"what": {"shelf": track["id"]}})).collect();
    konpo.tell(&json!({"set_volume": volume}));
    let recording = dac.record(50);
    konpo.tell(&json!({"add": {"entries": entries, "play": true}}));
    let mut told: Vec<Value> = Vec::new();
    wait_for("it plays to its end", Duration::from_secs(60), || {
        let state = konpo.get("/api/state");
        if state["transport"] == "playing" && told.len() < state["starts"].as_u64().unwrap_or(0) as usize {
            println!("track {}: {}", told.len() + 1, state["signal"]["processing"]);
            told.push(state["signal"].clone());
        }
        (state["transport"] == "stopped" && told.len() == count).then_some(())
    });
    let samples = recording.take().into_iter().map(|sample| f64::from(sample) / FULL).collect();
    let underruns = konpo.get("/api/state")["device"]["underruns"].as_u64().expect("a count");
    Heard { samples, told, underruns }
}

impl Heard {
    /// Compares with what should be heard, the first fifth of a second left out: there it fades in. Returns the largest
    /// deviation in decibels below full scale.
    fn deviates(&self, expected: &[f64]) -> f64 {
        let from = LEAD * 2;
        let near = |at: usize, n: usize, sample: f64| (self.samples[at + n] - sample).abs() < CLOSE;
        let first = self.samples.iter().position(|sample| *sample != 0.0).expect("something is heard");
        // What a server puts in front is short; the place is found in the signal itself.
        let window = first.saturating_sub(48_000)..first + 48_000;
        let start = window
            .filter(|at| at + expected.len() <= self.samples.len())
            .find(|&at| (from..from + 64).all(|n| near(at, n, expected[n])))
            .expect("the signal is on the recording");
        let worst = (from..expected.len())
            .map(|n| (self.samples[start + n] - expected[n]).abs())
            .fold(1e-12, f64::max);
        if let Some(at) = (from..expected.len()).find(|&n| !near(start + n, 0, expected[n])) {
            // A machine that is busy leaves a hole, a fault of the joint does not: zeros tell them apart.
            let zeros = self.samples[start + at..].iter().take_while(|sample| **sample == 0.0).count();
            println!("it deviates from frame {} of {} on; {zeros} zeros there", at / 2, expected.len() / 2);
        }
        20.0 * worst.log10()
    }

    /// Returns the level of what is heard between two moments of its first sound, seconds, in dBFS (mean power).
    fn level(&self, from: f64, to: f64) -> f64 {
        let first =
            self.samples.iter().position(|sample| sample.abs() > 1e-4).expect("something is heard") / 2;
        let at = |seconds: f64| (first + (seconds * 48_000.0) as usize) * 2;
        power(&self.samples[at(from)..at(to)])
    }
}

fn power(samples: &[f64]) -> f64 {
    10.0 * (samples.iter().map(|s| s * s).sum::<f64>() / samples.len() as f64).log10()
}

fn floats(signal: &Signal) -> Vec<f64> {
    signal.samples.iter().map(|sample| f64::from(*sample) / FULL).collect()
}

/// Two tracks of one album, cut from one signal of some -13 LUFS, with one album gain and two track gains: konpo believes
/// tags that are within 3 dB of what it measures.
fn album() -> (Signal, usize) {
    let mut signal = noise(70, 48_000, 16, 48_000 * 4);
    signal.samples.iter_mut().for_each(|sample| *sample *= 2);
    // Not at a block's border.
    (signal, 48_000 * 2 + 1_234)
}

fn lay_album(folder: &Path) -> usize {
    let (signal, middle) = album();
    let parts = [signal.cut(0..middle), signal.cut(middle..48_000 * 4)];
    for (n, (part, gain)) in parts.iter().zip(["-3.50 dB", "-7.50 dB"]).enumerate() {
        let (title, number) = (format!("Cut {}", n + 1), (n + 1).to_string());
        let tags = [
            ("title", &*title),
            ("artist", "Noise"),
            ("album", "One Signal"),
            ("track", &*number),
            ("REPLAYGAIN_TRACK_GAIN", gain),
            ("REPLAYGAIN_TRACK_PEAK", "0.2"),
            ("REPLAYGAIN_ALBUM_GAIN", "-6.02 dB"),
            ("REPLAYGAIN_ALBUM_PEAK", "0.2"),
        ];
        part.flac(&folder.join(format!("{}.flac", n + 1)), &tags);
    }
    parts.len()
}

/// It is on the shelf and was measured.
fn measured(track: &Value) -> bool {
    if let Some(lufs) = track["loudness_lufs"].as_f64() {
        println!("{}: {lufs:.2} LUFS, true peak {}", track["title"], track["true_peak"]);
    }
    track["loudness_lufs"].is_number()
}

#[test]
fn an_album_is_one_piece_at_its_own_gain() {
    let _one_at_a_time = ONE.lock();
    let heard = play("replaygain = \"auto\"\n", 100, lay_album, measured);
    let factor = gain(-6.02);
    let expected: Vec<f64> = floats(&album().0).iter().map(|sample| sample * factor).collect();
    let worst = heard.deviates(&expected);
    println!("album: the largest deviation over both tracks and their joint is {worst:.1} dBFS");
    assert!(worst < -120.0, "{worst}");
    for told in &heard.told {
        assert_eq!(told["processing"][0], "ReplayGain -6.0 dB (album)");
        assert_eq!(told["bit_perfect"], false);
    }
}

#[test]
fn each_track_has_its_own_gain_from_its_first_frame_on() {
    let _one_at_a_time = ONE.lock();
    let heard = play("replaygain = \"track\"\n", 100, lay_album, measured);
    let (signal, middle) = album();
    let by = |n: usize| if n < middle * 2 { gain(-3.5) } else { gain(-7.5) };
    let expected: Vec<f64> = floats(&signal).iter().enumerate().map(|(n, s)| s * by(n)).collect();
    let worst = heard.deviates(&expected);
    println!("tracks: the largest deviation, the frame of the joint included, is {worst:.1} dBFS");
    assert!(worst < -120.0, "{worst}");
    assert_eq!(heard.told[1]["processing"][0], "ReplayGain -7.5 dB (track)");
}

#[test]
fn a_tag_that_would_clip_is_cut_to_the_peak() {
    let _one_at_a_time = ONE.lock();
    // Some -31 LUFS, with a click of half of full scale: the tag's own peak of 0.9 is what counts.
    let mut signal = noise(71, 48_000, 16, 48_000 * 2);
    signal.samples.iter_mut().for_each(|sample| *sample = (*sample / 4) & !0xffff);
    signal.samples[96_000] = 1 << 30;
    let heard = play(
        "",
        50,
        |folder| {
            let tags = [
                ("title", "Loud"),
                ("track", "1"),
                ("REPLAYGAIN_TRACK_GAIN", "+12.00 dB"),
                ("REPLAYGAIN_TRACK_PEAK", "0.900000"),
            ];
            signal.flac(&folder.join("1.flac"), &tags);
            1
        },
        measured,
    );
    // Half of the knob is -18.0625 dB in steps of 1/256 dB, the guard 0.914.
    let factor = 10f64.powf((-18.0625 + 234.0 / 256.0) / 20.0);
    let expected: Vec<f64> = floats(&signal).iter().map(|sample| sample * factor).collect();
    let worst = heard.deviates(&expected);
    println!("guard: the largest deviation from +0.91 dB is {worst:.1} dBFS");
    assert!(worst < -120.0, "{worst}");
    assert_eq!(heard.told[0]["processing"][0], "ReplayGain +0.9 dB (track)");
}

#[test]
fn an_opus_tag_counts_beside_the_gain_in_the_head() {
    let _one_at_a_time = ONE.lock();
    let signal = tone(3.0);
    let heard = play(
        "",
        100,
        |folder| {
            let (source, path) = (folder.join("1.wav"), folder.join("1.opus"));
            fs::write(&source, signal.wav()).expect("a source");
            let mut command = std::process::Command::new("opusenc");
            // Q7.8 against -23 LUFS: -11 dB, which is -6 against ReplayGain's -18.
            command.args([
                "--quiet",
                "--bitrate",
                "192",
                "--title",
                "Tone",
                "--comment",
                "R128_TRACK_GAIN=-2816",
            ]);
            run({
                command.arg(&source).arg(&path);
                command
            });
            fs::remove_file(&source).expect("the source goes");
            let mut bytes = fs::read(&path).expect("a file");
            // RFC 7845, 5.1: the output gain of the head, Q7.8, here -3 dB; the head is alone on the first page.
            bytes[44..46].copy_from_slice(&(-768i16).to_le_bytes());
            crate::sounds::seal_first_page(&mut bytes);
            fs::write(&path, bytes).expect("a file");
            1
        },
        measured,
    );
    let (level, source) = (heard.level(0.5, 2.5), power(&floats(&signal)));
    println!("opus: {:.2} dB of -9.00", level - source);
    assert!((level - source + 9.0).abs() < 0.1, "{level} of {source}");
    assert_eq!(heard.told[0]["processing"][0], "ReplayGain -6.0 dB (track)");
}

#[test]
fn a_song_without_a_gain_is_measured_when_it_arrives() {
    let _one_at_a_time = ONE.lock();
    let mut signal = noise(72, 48_000, 16, 48_000 * 3);
    signal.samples.iter_mut().for_each(|sample| *sample = sample.saturating_mul(6) & !0xffff);
    let lufs = Mutex::new(0.0);
    let heard = play(
        "",
        100,
        |folder| {
            signal.flac(&folder.join("1.flac"), &[("title", "Loud"), ("track", "1")]);
            1
        },
        |track| {
            let found = track["loudness_lufs"].as_f64();
            found.is_some_and(|found| {
                *lufs.lock().expect("no panic") = found;
                true
            })
        },
    );
    let lufs = lufs.into_inner().expect("no panic");
    let factor = gain(-18.0 - lufs);
    let expected: Vec<f64> = floats(&signal).iter().map(|sample| sample * factor).collect();
    let worst = heard.deviates(&expected);
    println!("measured {lufs:.2} LUFS: the largest deviation from that gain is {worst:.1} dBFS");
    assert!(worst < -120.0, "{worst}");
    let words = heard.told[0]["processing"][0].as_str().unwrap_or_default();
    assert!(words.ends_with("(track, measured)"), "{words}");
}

/// A gain as konpo keeps it: in steps of 1/256 dB.
fn gain(db: f64) -> f64 {
    10f64.powf((db * 256.0).round() / 256.0 / 20.0)
}

fn tone(seconds: f64) -> Signal {
    let step = std::f64::consts::TAU * 997.0 / 48_000.0;
    let sample = |n: usize| (((n as f64 * step).sin() * 0.5 * FULL) as i32) & !0xffff;
    let frames = (48_000.0 * seconds) as usize;
    Signal { rate: 48_000, bits: 16, samples: (0..frames).flat_map(|n| [sample(n); 2]).collect() }
}

const FULL: f64 = 2_147_483_648.0;
/// Frames that are left out at the start: 200 ms.
const LEAD: usize = 9_600;
/// How near a sample must be to count as that one while the place is searched: the last of 20 bits.
const CLOSE: f64 = 2e-6;
/// How often a machine may be too busy.
const TRIES: usize = 3;
/// Sound in real time: two at once on a small machine would disturb each other.
static ONE: Mutex<()> = Mutex::new(());
