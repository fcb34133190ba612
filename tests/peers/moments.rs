//! Moments that a listener notices: the silence while a device changes its rate, and how long a press of a key takes to
//! be heard. Recorded from the null sink; the figures are printed.

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::dac::{Form, Recording};
use crate::support::fixtures::{Signal, noise};
use crate::support::twin::Twin;
use crate::support::wait_for;

fn lay(folder: &Path, number: usize, signal: &Signal) {
    let (title, track) = (format!("Part {number}"), number.to_string());
    let tags = [("title", &*title), ("artist", "Tone"), ("album", "Moments"), ("track", &*track)];
    signal.flac(&folder.join(format!("{number}.flac")), &tags);
}

fn tone(rate: u32, hz: f64, seconds: f64) -> Signal {
    let step = std::f64::consts::TAU * hz / f64::from(rate);
    let frames = (f64::from(rate) * seconds) as usize;
    let sample = |n: usize| (((n as f64 * step).sin() * 0.5 * 2_147_483_648.0) as i32) & !0xffff;
    Signal { rate, bits: 16, samples: (0..frames).flat_map(|n| [sample(n); 2]).collect() }
}

/// Line b of step 4: 44.1, 48, 96 and 44.1 kHz on one album.
#[test]
fn an_album_of_three_rates_has_the_right_pitch_and_short_clean_silences() {
    let _one_at_a_time = ONE.lock();
    let rates = [44_100, 48_000, 96_000, 44_100];
    let (hz, seconds, at) = (1_000.0, 3.0, 96_000u32);
    let stereo = Twin::new(Form { rate: at, format: "s32le" }, "fixed", |folder| {
        // Sound that is on the shelf already would not be taken in again: each is a little shorter.
        let length = |n: usize| seconds - n as f64 * 0.01;
        rates.iter().enumerate().for_each(|(n, rate)| lay(folder, n + 1, &tone(*rate, hz, length(n))));
        rates.len()
    });
    let (recording, _) = stereo.hear();
    let left: Vec<f64> = recording.chunks(2).map(|frame| f64::from(frame[0]) / 2_147_483_648.0).collect();
    let runs = sounding(&left, at);
    assert_eq!(runs.len(), rates.len(), "one run of tone for each track");
    for (rate, run) in rates.iter().zip(&runs) {
        let tone = &left[run.start..run.end];
        let length = tone.len() as f64 / f64::from(at);
        let pitch = pitch(&tone[tone.len() / 10..tone.len() * 9 / 10], at);
        println!("{rate} Hz: {pitch:.2} Hz of {hz} for {length:.3} s of {seconds}");
        assert!((pitch - hz).abs() < 0.5, "{pitch}");
        assert!((length - seconds).abs() < 0.05, "{length}");
    }
    for (pair, rate) in runs.windows(2).zip(&rates[1..]) {
        let silence = &left[pair[0].end + EDGE..pair[1].start - EDGE];
        let millis = (pair[1].start - pair[0].end) as f64 * 1_000.0 / f64::from(at);
        let peak = 20.0 * silence.iter().fold(1e-9f64, |peak, s| peak.max(s.abs())).log10();
        println!("before {rate} Hz: {millis:.1} ms of silence, at most {peak:.1} dBFS in it");
        assert!(millis < 300.0, "{millis}");
        assert!(peak < -60.0, "{peak}");
    }
}

/// Where the tone runs: a window of 5 ms within 6 dB of its power and all that follow on.
fn sounding(samples: &[f64], rate: u32) -> Vec<std::ops::Range<usize>> {
    let window = rate as usize / 200;
    let loud = |part: &[f64]| part.iter().map(|s| s * s).sum::<f64>() / part.len() as f64 > 0.125 / 4.0;
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (n, part) in samples.chunks(window).enumerate().filter(|(_, part)| loud(part)) {
        let (start, end) = (n * window, n * window + part.len());
        match runs.last_mut() {
            Some(run) if run.end == start => run.end = end,
            _ => runs.push(start..end),
        }
    }
    // To the sample: the tone begins and ends where it is last above -60 dBFS within a window of the run's ends.
    for run in &mut runs {
        let near = |at: usize| at.saturating_sub(window)..(at + window).min(samples.len());
        let first = near(run.start).find(|&at| samples[at].abs() > 0.001);
        let last = near(run.end).rev().find(|&at| samples[at].abs() > 0.001);
        *run = first.unwrap_or(run.start)..last.unwrap_or(run.end) + 1;
    }
    runs
}

/// Returns the frequency by the count of rising zero crossings, each to a fraction of a sample.
fn pitch(tone: &[f64], rate: u32) -> f64 {
    let crossings: Vec<f64> = tone
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair[0] < 0.0 && pair[1] >= 0.0)
        .map(|(n, pair)| n as f64 + pair[0] / (pair[0] - pair[1]))
        .collect();
    let (first, last) = (crossings.first().expect("a tone"), crossings.last().expect("a tone"));
    (crossings.len() - 1) as f64 * f64::from(rate) / (last - first)
}

/// Line d of step 4, on a device that is open, with the knob on the amplifier.
#[test]
fn play_and_seek_are_heard_soon() {
    let _one_at_a_time = ONE.lock();
    let box_of = Pressed::new("fixed");
    let (play, seek) = (box_of.plays(), box_of.seeks());
    soon("play", play, 50.0);
    soon("seek", seek, 50.0);
}

/// With the knob on konpo a seek is heard behind the fade of what the device has already, and without a click.
#[test]
fn volume_is_heard_soon() {
    let _one_at_a_time = ONE.lock();
    let box_of = Pressed::new("box");
    let (play, seek, volume) = (box_of.plays(), box_of.seeks(), box_of.volumes());
    soon("play", play, 50.0);
    soon("seek", seek, 50.0);
    soon("volume", volume, 150.0);
}

/// A box whose keys are pressed again and again. The times include the API and the recorder.
struct Pressed {
    stereo: Twin,
    ear: Recording,
    count: u64,
}

impl Pressed {
    fn new(volume: &str) -> Pressed {
        // Half a minute of silence, then noise: a seek from one into the other is heard as the first sample that is not zero.
        let mut signal = noise(5, 44_100, 16, 44_100 * 60);
        signal.samples[..44_100 * 30 * 2].fill(0);
        let loud = noise(6, 44_100, 16, 44_100 * 60);
        let stereo = Twin::new(Form { rate: 44_100, format: "s16le" }, volume, |folder| {
            lay(folder, 1, &loud);
            lay(folder, 2, &signal);
            2
        });
        let ear = stereo.dac.record(2);
        stereo.add(false);
        let count = if crate::support::all() { 200 } else { 25 };
        Pressed { stereo, ear, count }
    }

    fn press(&self, command: &Value) {
        self.stereo.konpo.tell(command);
    }

    fn play(&self, track: usize) {
        let id = self.stereo.konpo.get("/api/state")["queue"][track]["id"].clone();
        self.press(&json!({"play": id}));
    }

    fn quiet(&self) {
        wait_for("silence", Duration::from_secs(10), || {
            self.ear.quiet_for(Duration::from_millis(120)).then_some(())
        });
    }

    /// Presses, and returns the milliseconds until the first sound after silence.
    fn heard_after(&self, press: impl FnOnce()) -> f64 {
        self.quiet();
        let from = self.ear.length();
        let start = Instant::now();
        press();
        self.ear.sounds_after(from / 4 * 4, start)
    }

    fn plays(&self) -> Vec<f64> {
        let times = (0..=self.count).map(|n| {
            let took = self.heard_after(|| self.play(0));
            std::thread::sleep(Duration::from_millis(30 + 7 * (n % 13)));
            self.press(&json!("stop"));
            took
        });
        // The first opens the device.
        times.skip(1).collect()
    }

    fn seeks(&self) -> Vec<f64> {
        self.quiet();
        self.play(1);
        self.stereo.reaches("playing");
        let times = (0..self.count).map(|n| {
            std::thread::sleep(Duration::from_millis(7 * (n % 13)));
            let took = self.heard_after(|| self.press(&json!({"seek": 35_000})));
            self.press(&json!({"seek": 1_000}));
            took
        });
        times.collect()
    }

    fn volumes(&self) -> Vec<f64> {
        self.play(0);
        self.stereo.reaches("playing");
        let times = (0..self.count).map(|n| {
            self.press(&json!({"set_mute": true}));
            std::thread::sleep(Duration::from_millis(7 * (n % 13)));
            self.heard_after(|| self.press(&json!({"set_mute": false})))
        });
        times.collect()
    }
}

/// A machine that does something else beside is late now and then; a buffer that is too long always is.
fn soon(what: &str, mut times: Vec<f64>, goal: f64) {
    times.sort_by(f64::total_cmp);
    let of = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    println!(
        "{what}: fastest {:.1} ms, median {:.1}, p90 {:.1}, p99 {:.1} of {}; goal {goal} ms",
        of(0.0),
        of(0.5),
        of(0.9),
        of(0.99),
        times.len(),
    );
    assert!(of(0.25) < goal, "{what}: {times:?}");
}

/// Frames at an edge of the tone that belong to the server's resampler: 1 ms at 96 kHz.
const EDGE: usize = 96;
/// Two in real time at once would disturb each other.
static ONE: Mutex<()> = Mutex::new(());
