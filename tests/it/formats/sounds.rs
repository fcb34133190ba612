//! Tones, the programs that encode them, and konpo's decoder over the result.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use konpo::error::Result;
use konpo::media::decode::{Block, Decoder, Samples, Spec};
use konpo::media::sniff::{Sniffed, sniff};
use konpo::media::sound::Sound;
use konpo::units::Frames;

/// A stereo signal of 16 bits that no shift of a frame leaves as it is: two sweeps of many tones.
pub fn signal(rate: u32, frames: usize) -> Vec<i16> {
    let mut samples = Vec::with_capacity(frames * 2);
    for frame in 0..frames {
        let t = frame as f64 / f64::from(rate);
        let wave = |hz: f64| (std::f64::consts::TAU * hz * t).sin();
        let left = 0.25 * wave(311.3) + 0.15 * wave(2217.7) + 0.05 * wave(97.1 * (1.0 + t / 9.0));
        let right = 0.25 * wave(405.9) + 0.15 * wave(1979.1);
        samples.extend([left, right].map(|x| (x * 32_767.0).round() as i16));
    }
    samples
}

/// Writes a WAV of 16-bit stereo.
pub fn write_wav(path: &Path, rate: u32, samples: &[i16]) {
    let mut file = std::io::BufWriter::new(File::create(path).expect("a file"));
    let bytes = samples.len() as u32 * 2;
    let mut head = b"RIFF".to_vec();
    head.extend_from_slice(&(bytes + 36).to_le_bytes());
    head.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x02\0");
    head.extend_from_slice(&rate.to_le_bytes());
    head.extend_from_slice(&(rate * 4).to_le_bytes());
    head.extend_from_slice(b"\x04\0\x10\0data");
    head.extend_from_slice(&bytes.to_le_bytes());
    file.write_all(&head).expect("written");
    samples.iter().for_each(|sample| file.write_all(&sample.to_le_bytes()).expect("written"));
}

/// Encodes a WAV and returns the file.
pub type Encoder = fn(&Path) -> PathBuf;
/// Decodes a file by another program, trimmed at the start by the encoder's numbers.
pub type Reference = fn(&Path) -> Vec<f32>;

/// Encodes a WAV by ffmpeg into a file of this extension beside it.
pub fn lossless(wav: &Path, args: &[&str], extension: &str) -> PathBuf {
    let to = wav.with_extension(extension);
    ffmpeg(wav, args, &to);
    to
}

/// FLAC.
pub fn flac(wav: &Path) -> PathBuf {
    lossless(wav, &["-c:a", "flac"], "flac")
}

/// ALAC in MP4.
pub fn alac(wav: &Path) -> PathBuf {
    lossless(wav, &["-c:a", "alac"], "alac.m4a")
}

/// MP3 by LAME.
pub fn lame(wav: &Path) -> PathBuf {
    let to = wav.with_extension("mp3");
    run("lame", "lame", &["--quiet", "-b", "192", text(wav), text(&to)]);
    to
}

/// MP3 by LAME, of varying bit rate.
pub fn lame_vbr(wav: &Path) -> PathBuf {
    let to = wav.with_extension("vbr.mp3");
    run("lame", "lame", &["--quiet", "-V", "2", text(wav), text(&to)]);
    to
}

/// MP3 by LAME inside ffmpeg.
pub fn ffmpeg_mp3(wav: &Path) -> PathBuf {
    lossless(wav, &["-c:a", "libmp3lame", "-b:a", "192k"], "ffmpeg.mp3")
}

/// AAC with an edit list.
pub fn aac(wav: &Path) -> PathBuf {
    lossless(wav, &["-c:a", "aac", "-b:a", "192k"], "m4a")
}

/// AAC without an edit list: only iTunes' own numbers.
pub fn aac_smpb(wav: &Path) -> PathBuf {
    let to = lossless(wav, &["-c:a", "aac", "-b:a", "192k", "-use_editlist", "0"], "smpb.m4a");
    let frames = (fs::metadata(wav).expect("it is there").len() - 44) / 4;
    let whole = (frames + 1024).next_multiple_of(1024);
    put_smpb(&to, 1024, whole - 1024 - frames, frames);
    to
}

/// Opus by opusenc.
pub fn opus(wav: &Path) -> PathBuf {
    let to = wav.with_extension("opus");
    run("opusenc", "opus-tools", &["--quiet", "--bitrate", "160", text(wav), text(&to)]);
    to
}

/// Vorbis.
pub fn vorbis(wav: &Path) -> PathBuf {
    lossless(wav, &["-c:a", "libvorbis", "-q:a", "6"], "ogg")
}

/// Runs a program of a Debian package and returns what it wrote.
///
/// # Panics
/// When it is missing or fails.
pub fn run(program: &str, package: &str, args: &[&str]) -> Vec<u8> {
    let done = Command::new(program).args(args).stdin(Stdio::null()).output();
    let done = done.unwrap_or_else(|e| panic!("{program} does not start ({e}): install {package}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{program} {args:?}: {said}");
    done.stdout
}

/// Encodes by ffmpeg; the arguments stand between the input and the output.
pub fn ffmpeg(from: &Path, args: &[&str], to: &Path) {
    let mut all = vec!["-v", "error", "-y", "-i", text(from)];
    all.extend(args);
    all.push(text(to));
    run("ffmpeg", "ffmpeg", &all);
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// What ffmpeg decodes, as floats.
pub fn by_ffmpeg(path: &Path) -> Vec<f32> {
    let bytes = run("ffmpeg", "ffmpeg", &["-v", "error", "-i", text(path), "-f", "f32le", "-"]);
    bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// What opusdec decodes, as floats.
pub fn by_opusdec(path: &Path) -> Vec<f32> {
    let bytes = run("opusdec", "opus-tools", &["--quiet", "--float", "--force-wav", text(path), "-"]);
    let data = bytes.windows(4).position(|name| name == b"data").expect("a WAV") + 8;
    bytes[data..].as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect()
}

/// Opens a file as the player does.
pub fn open(path: &Path) -> Result<(Decoder, Sniffed)> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let mut sound = Sound::file(File::open(path).expect("it is there"), extension).expect("it has a size");
    let sniffed = sniff(&mut sound)?;
    Ok((Decoder::open(sound, &sniffed)?, sniffed))
}

/// Decodes to the end.
pub fn rest(decoder: &mut Decoder) -> Vec<f32> {
    let (mut all, mut block) = (Vec::new(), Block::default());
    while decoder.next(&mut block).unwrap_or_else(|e| panic!("{e}")) {
        match &block.samples {
            Samples::Int(samples) => all.extend(samples.iter().map(|s| (f64::from(*s) / FULL) as f32)),
            Samples::Float(samples) => all.extend_from_slice(samples),
        }
    }
    all
}

/// Decodes a whole file and holds the length it states against what came.
pub fn decode(path: &Path) -> (Spec, Vec<f32>) {
    let (mut decoder, _) = open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let spec = decoder.spec();
    let all = rest(&mut decoder);
    let frames = all.len() as u64 / u64::from(spec.channels);
    assert_eq!(decoder.duration(), Some(Frames(frames)), "{}", path.display());
    (spec, all)
}

/// The largest distance between two signals of equal length.
pub fn deviation(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len(), "samples of both channels");
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The original as floats.
pub fn floats(samples: &[i16]) -> Vec<f32> {
    samples.iter().map(|sample| f32::from(*sample) / 32_768.0).collect()
}

/// A WAV of the signal in a folder of its own.
pub fn folder(rate: u32, frames: usize) -> (tempfile::TempDir, PathBuf, Vec<i16>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("signal.wav");
    let samples = signal(rate, frames);
    write_wav(&path, rate, &samples);
    (folder, path, samples)
}

/// Puts iTunes' gapless numbers into an M4A.
pub fn put_smpb(path: &Path, delay: u64, padding: u64, frames: u64) {
    let value = format!(" 00000000 {delay:08X} {padding:08X} {frames:016X} 00000000 00000000");
    let program = "import sys; from mutagen.mp4 import MP4; f = MP4(sys.argv[1]); \
                   f['----:com.apple.iTunes:iTunSMPB'] = sys.argv[2].encode(); f.save()";
    run("/usr/bin/python3", "python3-mutagen", &["-c", program, text(path), &value]);
}

/// Changes a file in place.
pub fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("it is there");
    change(&mut bytes);
    fs::write(path, bytes).expect("written");
}

/// Sets the checksum of the Ogg page that begins at 0 anew (RFC 3533, 6: polynomial 0x04c11db7).
pub fn seal_first_page(bytes: &mut [u8]) {
    let lacing = usize::from(bytes[26]);
    let body: usize = bytes[27..27 + lacing].iter().map(|&length| usize::from(length)).sum();
    bytes[22..26].fill(0);
    let crc = bytes[..27 + lacing + body].iter().fold(0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    });
    bytes[22..26].copy_from_slice(&crc.to_le_bytes());
}

/// Full scale of left-justified integers.
const FULL: f64 = 2_147_483_648.0;
