use std::io::Cursor;
use std::process::Command;

use super::*;
use crate::media::sniff::sniff;
use crate::media::sound::Sound;

const RATE: u32 = 48_000;

/// A WAV of 16 bits whose frames are the same on every channel.
fn wav(rate: u32, channels: u16, frames: impl Iterator<Item = f64>) -> Vec<u8> {
    let one = |sample: f64| ((sample * 32_768.0).round() as i16).to_le_bytes();
    let data: Vec<u8> =
        frames.flat_map(|sample| std::iter::repeat_n(one(sample), usize::from(channels)).flatten()).collect();
    let (width, size) = (channels * 2, data.len() as u32);
    let mut bytes = b"RIFF".to_vec();
    bytes.extend_from_slice(&(36 + size).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0");
    bytes.extend_from_slice(&channels.to_le_bytes());
    bytes.extend_from_slice(&rate.to_le_bytes());
    bytes.extend_from_slice(&(rate * u32::from(width)).to_le_bytes());
    bytes.extend_from_slice(&width.to_le_bytes());
    bytes.extend_from_slice(b"\x10\0data");
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend(data);
    bytes
}

fn sine(rate: u32, hz: f64, level: f64, seconds: f64) -> impl Iterator<Item = f64> {
    let step = std::f64::consts::TAU * hz / f64::from(rate);
    (0..(f64::from(rate) * seconds) as usize).map(move |n| (n as f64 * step).sin() * level)
}

/// White noise, always the same.
fn noise(rate: u32, level: f64, seconds: f64) -> impl Iterator<Item = f64> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    (0..(f64::from(rate) * seconds) as usize).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0) * level
    })
}

fn decoder(bytes: &[u8]) -> Decoder {
    let sound = || Sound::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), Some("wav"));
    let sniffed = sniff(&mut sound()).expect("a sound");
    Decoder::open(sound(), &sniffed).expect("it decodes")
}

fn loud(bytes: &[u8]) -> Loudness {
    match measure(&mut decoder(bytes), &mut || Go::On).expect("it is measured") {
        Heard::Loud(loudness) => loudness,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sine_at_minus_23_dbfs_on_both_channels_is_minus_23_lufs() {
    // EBU Tech 3341, test case 1: a stereo sine of 1 kHz at -23 dBFS reads -23 LUFS, within 0.1 LU.
    let level = 10f64.powf(-23.0 / 20.0);
    let stereo = loud(&wav(RATE, 2, sine(RATE, 1_000.0, level, 5.0)));
    assert!((stereo.lufs + 23.0).abs() < 0.1, "{stereo:?}");
    assert!((20.0 * stereo.true_peak.log10() + 23.0).abs() < 0.2, "{stereo:?}");
    let mono = loud(&wav(RATE, 1, sine(RATE, 1_000.0, level, 5.0)));
    assert!((mono.lufs - stereo.lufs).abs() < 0.01, "{mono:?} on both speakers");
}

#[test]
fn a_peak_between_two_samples_is_found() {
    // A quarter of the rate, sampled 45 degrees off its tops: the samples reach 0.7071 of the wave.
    let wave = (0..RATE as usize * 2)
        .map(|n| (std::f64::consts::FRAC_PI_2 * n as f64 + std::f64::consts::FRAC_PI_4).sin());
    let found = loud(&wav(RATE, 2, wave.map(|s| s * 0.9)));
    assert!((20.0 * (found.true_peak / 0.9).log10()).abs() < 0.2, "{found:?}");
}

#[test]
fn silence_is_no_loudness_and_a_word_stops_it_at_once() {
    let silence = wav(RATE, 2, std::iter::repeat_n(0.0, RATE as usize));
    assert_eq!(measure(&mut decoder(&silence), &mut || Go::On).expect("it is measured"), Heard::Silence);
    let short = wav(RATE, 2, sine(RATE, 440.0, 0.5, 0.1));
    assert_eq!(measure(&mut decoder(&short), &mut || Go::On).expect("it is measured"), Heard::Silence);
    let long = wav(RATE, 2, sine(RATE, 440.0, 0.5, 5.0));
    let mut asked = 0;
    let mut stop = || {
        asked += 1;
        Go::Stop
    };
    assert_eq!(measure(&mut decoder(&long), &mut stop).expect("no error"), Heard::Stopped);
    assert_eq!(asked, 1);
}

/// What ffmpeg's `ebur128` filter says: integrated loudness in LUFS, true peak in dBTP.
fn by_ffmpeg(bytes: &[u8], channels: u16) -> (f64, f64) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sound.wav");
    std::fs::write(&path, bytes).expect("written");
    let filter = if channels == 1 { "ebur128=peak=true:dualmono=true" } else { "ebur128=peak=true" };
    let run = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-i"])
        .arg(&path)
        .args(["-af", filter, "-f", "null", "-"])
        .output()
        .expect("ffmpeg is installed");
    let text = String::from_utf8_lossy(&run.stderr);
    let summary = text.rsplit_once("Summary:").expect("a summary").1;
    let number = |name: &str| -> f64 {
        let line = summary.lines().find_map(|line| line.trim().strip_prefix(name)).expect("a figure");
        line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
    };
    (number("I:"), number("Peak:"))
}

/// Noise as music has it: most of it below some 3 kHz.
fn soft_noise(rate: u32, level: f64, seconds: f64) -> impl Iterator<Item = f64> {
    let share = 1.0 - (-std::f64::consts::TAU * 3_000.0 / f64::from(rate)).exp();
    let mut poles = [0.0; 3];
    noise(rate, level, seconds).map(move |sample| {
        poles.iter_mut().fold(sample, |through, pole| {
            *pole += (through - *pole) * share;
            *pole
        })
    })
}

/// Fades both ends of a sound, 10 ms: the filters of two meters differ most at an edge.
fn faded(rate: u32, sound: impl Iterator<Item = f64>) -> Vec<f64> {
    let (sound, edge): (Vec<f64>, usize) = (sound.collect(), rate as usize / 100);
    let count = sound.len();
    let at =
        |n: usize| (n.min(count - 1 - n).min(edge) as f64 / edge as f64 * std::f64::consts::FRAC_PI_2).sin();
    sound.iter().enumerate().map(|(n, sample)| sample * at(n).powi(2)).collect()
}

/// A tone and noise, loud, soft and nearly silent: both gates have work.
fn mixture(rate: u32, hz: f64) -> Vec<f64> {
    let parts = [(0.4, 3.0), (0.02, 4.0), (0.0005, 3.0), (0.25, 2.0)];
    let part = |&(level, seconds): &(f64, f64)| {
        let both = sine(rate, hz, level, seconds).zip(soft_noise(rate, level, seconds));
        faded(rate, both.map(|(tone, noise)| tone + noise))
    };
    parts.iter().flat_map(part).collect()
}

/// Returns how far this is from what ffmpeg says: in LU and in decibels of the true peak.
fn differs(name: &str, rate: u32, channels: u16, sound: Vec<f64>) -> (f64, f64) {
    let bytes = wav(rate, channels, sound.into_iter());
    let (lufs, peak) = by_ffmpeg(&bytes, channels);
    let own = loud(&bytes);
    let own_peak = 20.0 * own.true_peak.log10();
    println!(
        "{name}, {rate} Hz, {channels} ch: {:.2} LUFS of {lufs}, {own_peak:.2} dBTP of {peak}",
        own.lufs
    );
    ((own.lufs - lufs).abs(), (own_peak - peak).abs())
}

#[test]
fn it_agrees_with_ffmpeg_within_a_tenth_of_a_unit() {
    let all = [
        differs("mixture", 44_100, 2, mixture(44_100, 997.0)),
        differs("mixture", 48_000, 1, mixture(48_000, 5_001.0)),
        differs("mixture", 96_000, 2, mixture(96_000, 11_025.0)),
        differs("noise", 44_100, 2, faded(44_100, soft_noise(44_100, 0.9, 6.0))),
        differs("low tone", 48_000, 2, faded(48_000, sine(48_000, 40.0, 0.7, 6.0))),
        differs("high tone", 44_100, 2, faded(44_100, sine(44_100, 11_025.7, 0.9, 6.0))),
    ];
    let largest = all.iter().fold((0.0f64, 0.0f64), |most, it| (most.0.max(it.0), most.1.max(it.1)));
    println!("largest differences: {:.3} LU, {:.3} dB", largest.0, largest.1);
    assert!(largest.0 <= 0.1, "{largest:?}");
    assert!(largest.1 <= 0.2, "{largest:?}");
    // White noise up to the very edge of the band is no music: there ffmpeg's filter is steeper than that of BS.1770.
    let (lufs, peak) = differs("white noise", 44_100, 2, noise(44_100, 0.8, 6.0).collect());
    assert!(lufs <= 0.1 && peak <= 1.0, "{lufs} {peak}");
}
