//! Every format at the DAC: what is lossless arrives bit by bit, what is lossy with the very frames of its encoder, albums
//! cut from one signal in one piece. `KONPO_ALL=1` records every depth at every rate.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::mint;
use crate::sounds::{self, Encoder, Reference};
use crate::support::dac::{Form, equal, find};
use crate::support::fixtures::{Signal, noise};
use crate::support::twin::Twin;

/// Bits of a sample, the sink that takes them as they are, and the lossless formats that know them.
struct Depth {
    bits: u16,
    float: bool,
    sink: &'static str,
    /// As konpo names the form in which it gives them to the device.
    given: &'static str,
    formats: &'static [(&'static str, &'static [&'static str])],
}

const DEPTHS: [Depth; 4] = [
    Depth {
        bits: 16,
        float: false,
        sink: "s16le",
        given: "s16",
        formats: &[
            ("flac", &["-c:a", "flac"]),
            ("oga", &["-c:a", "flac", "-f", "ogg"]),
            ("alac.m4a", &["-c:a", "alac"]),
            ("alac.caf", &["-c:a", "alac"]),
            ("wav", &["-c:a", "pcm_s16le"]),
            ("aiff", &["-c:a", "pcm_s16be"]),
            ("caf", &["-c:a", "pcm_s16be"]),
            ("wv", &["-c:a", "wavpack"]),
        ],
    },
    Depth {
        bits: 24,
        float: false,
        sink: "s24le",
        given: "s24",
        formats: &[
            ("flac", &["-c:a", "flac", "-sample_fmt", "s32", "-bits_per_raw_sample", "24"]),
            ("alac.m4a", &["-c:a", "alac", "-sample_fmt", "s32p", "-bits_per_raw_sample", "24"]),
            ("wav", &["-c:a", "pcm_s24le"]),
            ("aiff", &["-c:a", "pcm_s24be"]),
            ("caf", &["-c:a", "pcm_s24le"]),
            ("wv", &["-c:a", "wavpack", "-sample_fmt", "s32p", "-bits_per_raw_sample", "24"]),
        ],
    },
    Depth {
        bits: 32,
        float: false,
        sink: "s32le",
        given: "s32",
        formats: &[
            ("wav", &["-c:a", "pcm_s32le"]),
            ("aiff", &["-c:a", "pcm_s32be"]),
            ("caf", &["-c:a", "pcm_s32le"]),
            ("wv", &["-c:a", "wavpack", "-sample_fmt", "s32p", "-bits_per_raw_sample", "32"]),
        ],
    },
    Depth {
        bits: 32,
        float: true,
        sink: "float32le",
        given: "f32",
        formats: &[
            ("wav", &["-c:a", "pcm_f32le"]),
            ("aiff", &["-c:a", "pcm_f32be"]),
            ("caf", &["-c:a", "pcm_f32le"]),
            ("wv", &["-c:a", "wavpack", "-sample_fmt", "fltp"]),
        ],
    },
];

const RATES: [u32; 6] = [44_100, 48_000, 88_200, 96_000, 176_400, 192_000];

/// Line a of step 4: each rate once and each depth, or every pair of them.
#[test]
fn every_lossless_format_reaches_the_dac_bit_by_bit() {
    let _one_at_a_time = ONE.lock();
    let all = crate::support::all();
    let mut broken = Vec::new();
    for (nth, rate) in RATES.into_iter().enumerate() {
        for (which, depth) in DEPTHS.iter().enumerate() {
            if all || which == [0, 1, 2, 1, 0, 3][nth] {
                // What konpo changed it would change each time; a gap comes from a machine that is too busy.
                let mut tries = (0..TRIES).map(|_| album_of_formats(rate, depth));
                let first = tries.next().expect("one");
                broken.extend(first.err().filter(|_| tries.all(|tried| tried.is_err())));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Plays one file of each format after another and holds what the DAC heard against what was encoded.
fn album_of_formats(rate: u32, depth: &Depth) -> Result<(), String> {
    let frames = rate as usize / 2;
    let mut sent = Vec::new();
    let form = Form { rate, format: depth.sink };
    let twin = Twin::new(form, "fixed", |folder| {
        // The first opens the sink; what is judged follows.
        let formats = depth.formats.iter().take(1).chain(depth.formats);
        for (n, (extension, arguments)) in formats.enumerate() {
            // No multiple of a block, and no two alike.
            // A child decodes the last one; it may take its time to start while the one before plays.
            let times = if n + 1 == depth.formats.len() { 4 } else { 1 };
            let signal = noise(u64::from(rate) + n as u64, rate, depth.bits, frames * times + 111 * n);
            let source = folder.join(format!("{n}.source.wav"));
            let words = if depth.float { floats(&signal.samples) } else { signal.samples.clone() };
            let bytes = if depth.float { float_wav(rate, &words) } else { signal.wav() };
            fs::write(&source, bytes).expect("a source");
            sounds::ffmpeg(&source, arguments, &folder.join(format!("{n}.{extension}")));
            fs::remove_file(&source).expect("the source goes");
            sent.push(words);
        }
        sent.len()
    });
    let (heard, signal) = twin.hear();
    assert_eq!(signal["sample"], depth.given, "{signal}");
    let name = format!("{rate} Hz {}", depth.sink);
    let judged = judge_formats(&name, depth, &heard, &sent[1..]);
    judged.map_err(|why| format!("{why} ({} underruns)", twin.underruns()))
}

fn judge_formats(name: &str, depth: &Depth, heard: &[i32], sent: &[Vec<i32>]) -> Result<(), String> {
    let mut at = 0;
    for ((extension, _), sent) in depth.formats.iter().zip(sent) {
        let Some(begun) = find(&heard[at..], &sent[..64]) else {
            return Err(format!(
                "{name}: {extension} does not begin behind sample {at}: {}",
                missing(&heard[at..], sent)
            ));
        };
        if at > 0 && begun > 0 {
            return Err(format!("{name}: {begun} samples stand before {extension}"));
        }
        let same = equal(&heard[at + begun..], sent);
        if same != sent.len() {
            return Err(format!("{name}: {extension} is identical for {same} of {} samples", sent.len()));
        }
        at += begun + same;
    }
    let formats: Vec<&str> = depth.formats.iter().map(|(extension, _)| *extension).collect();
    println!("{name}: identical in one piece, given as {}: {}", depth.given, formats.join(" "));
    Ok(())
}

/// Says how much of the begin of a signal was not heard.
fn missing(heard: &[i32], sent: &[i32]) -> String {
    let middle = sent.len() / 4 * 2;
    let Some(at) = find(heard, &sent[middle..middle + 64]) else { return "nor its middle".to_owned() };
    let same = heard[..at].iter().rev().zip(sent[..middle].iter().rev()).take_while(|(a, b)| a == b).count();
    let (before, lost) = (&heard[at - same..][..4], middle - same);
    format!("its first {lost} samples are missing; heard from {} on: {before:x?}", at - same)
}

/// Returns the bits of floats that use every bit they have, the small ones too, which no integer holds.
fn floats(samples: &[i32]) -> Vec<i32> {
    let float = |sample: &i32| (f64::from(*sample) / 2_147_483_648.0 * 0.77) as f32;
    samples.iter().map(|sample| float(sample).to_bits().cast_signed()).collect()
}

/// Returns a stereo WAV of floats (WAVE_FORMAT_IEEE_FLOAT).
fn float_wav(rate: u32, words: &[i32]) -> Vec<u8> {
    let integers = Signal { rate, bits: 32, samples: words.to_vec() };
    let mut wav = integers.wav();
    wav[20] = 3;
    wav
}

/// An album of ten tracks and what it must sound like.
struct Album {
    name: &'static str,
    encode: Encoder,
    reference: Reference,
    /// How far a joint may be from the signal encoded in one piece: an encoder codes the ends of a file otherwise.
    joint: f32,
}

/// Line a of step 4: albums cut from one signal, with the count of their frames.
#[test]
fn albums_of_ten_tracks_reach_the_dac_in_one_piece() {
    let _one_at_a_time = ONE.lock();
    let by = sounds::by_ffmpeg;
    let of = |name, encode, reference, joint| Album { name, encode, reference, joint };
    let all = [
        of("FLAC", sounds::flac, by, 0.0),
        of("ALAC", sounds::alac, by, 0.0),
        of("MP3 (LAME)", sounds::lame, by, 0.12),
        of("AAC (elst)", sounds::aac, by, 0.35),
        of("AAC (iTunSMPB)", sounds::aac_smpb, by, 0.35),
        of("Vorbis", sounds::vorbis, by, 0.12),
        of("HE-AAC", he_aac, he_aac_reference, f32::MAX),
    ];
    assert!((0..TRIES).any(|_| albums(44_100, &all)), "this machine is too busy to play");
    let opus = [of("Opus", sounds::opus, sounds::by_opusdec, 0.12)];
    assert!((0..TRIES).any(|_| albums(48_000, &opus)), "this machine is too busy to play");
}

/// What was encoded of an album, in frames of both channels.
struct Sent {
    /// Where each track ends.
    ends: Vec<usize>,
    /// The tracks as the other decoder has them.
    tracks: Vec<f32>,
    /// The signal, encoded in one piece.
    whole: Vec<f32>,
}

/// Plays albums with a marker around each; `false` when konpo got too little of the processor.
fn albums(rate: u32, albums: &[Album]) -> bool {
    let mut sent = Vec::new();
    let marker = |n: usize| noise(900 + n as u64, rate, 16, rate as usize / 2);
    let twin = Twin::new(Form { rate, format: "s16le" }, "fixed", |folder| {
        let mut count = 0;
        for (n, album) in albums.iter().enumerate() {
            marker(n).flac(&folder.join(format!("{n}0.flac")), &[]);
            let album = lay(folder, n, rate, album);
            count += 1 + album.ends.len();
            sent.push(album);
        }
        marker(albums.len()).flac(&folder.join(format!("{}0.flac", albums.len())), &[]);
        count + 1
    });
    let (heard, _) = twin.hear();
    if twin.underruns() > 0 {
        return false;
    }
    let mut at = 0;
    for (n, (album, sent)) in albums.iter().zip(&sent).enumerate() {
        // The second half: the first one opens the sink.
        let before = marker(n).samples;
        let before = &before[before.len() / 2..];
        at += find(&heard[at..], &before[..64]).unwrap_or_else(|| panic!("no marker before {}", album.name));
        assert_eq!(equal(&heard[at..], before), before.len(), "the marker before {}", album.name);
        at += before.len();
        let next = find(&heard[at..], &marker(n + 1).samples[..64]);
        let length = next.unwrap_or_else(|| panic!("no marker behind {}", album.name));
        let full = |word: &i32| (f64::from(*word) / 2_147_483_648.0) as f32;
        let samples: Vec<f32> = heard[at..at + length].iter().map(full).collect();
        judge(album, sent, &samples);
        at += length;
    }
    true
}

/// Cuts a signal into ten tracks, encodes them into the folder as `n` and a letter, and returns what they hold.
fn lay(folder: &Path, n: usize, rate: u32, album: &Album) -> Sent {
    let aside = tempfile::tempdir().expect("a folder");
    // The same sound in two albums of one format would be taken in once.
    let lengths: Vec<usize> = (0..10).map(|i| 20_000 + i * 1237 + n * 13).collect();
    let samples = sounds::signal(rate, lengths.iter().sum());
    let one = aside.path().join("one.wav");
    sounds::write_wav(&one, rate, &samples);
    let mut sent =
        Sent { ends: Vec::new(), tracks: Vec::new(), whole: (album.reference)(&(album.encode)(&one)) };
    let mut at = 0;
    for (i, length) in lengths.iter().enumerate() {
        let letter = char::from(b'a' + u8::try_from(i).expect("ten"));
        let wav = aside.path().join(format!("{n}{letter}.wav"));
        sounds::write_wav(&wav, rate, &samples[at * 2..(at + length) * 2]);
        let track = (album.encode)(&wav);
        let mut theirs = (album.reference)(&track);
        if album.name == "HE-AAC" {
            fs::copy(&track, folder.join(track.file_name().expect("a name"))).expect("laid");
            sent.ends.push(theirs.len() / 2);
            sent.tracks = theirs;
            return sent;
        }
        // ffmpeg 5.1 has frames behind the end of AAC, and leaves out the last block of some Vorbis files.
        theirs.resize(length * 2, f32::NAN);
        sent.tracks.extend(theirs);
        fs::copy(&track, folder.join(track.file_name().expect("a name"))).expect("laid");
        at += length;
        sent.ends.push(at);
    }
    sent
}

/// Holds what was heard against the other decoder, and prints how far each joint is from the signal in one piece.
fn judge(album: &Album, sent: &Sent, heard: &[f32]) {
    let name = album.name;
    assert_eq!(heard.len(), sent.tracks.len(), "{name}: samples of the whole album");
    // NaN stands for what the other decoder leaves out.
    let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let distance = apart(heard, &sent.tracks);
    let left_out = sent.tracks.iter().filter(|sample| sample.is_nan()).count();
    assert!(left_out <= 10 * 1024, "{name}: the other decoder leaves out {left_out} samples");
    let joints: Vec<f32> = sent.ends[..sent.ends.len() - 1]
        .iter()
        .map(|&end| {
            let near = (end - AROUND) * 2..((end + AROUND) * 2).min(sent.whole.len()).min(heard.len());
            apart(&heard[near.clone()], &sent.whole[near])
        })
        .collect();
    println!(
        "{name}: {} frames as encoded, {distance:.6} from the other decoder; at the joints {joints:.6?}",
        heard.len() / 2
    );
    let dithered = if album.joint == 0.0 { 0.0 } else { 0.002 };
    assert!(distance <= dithered, "{name}: {distance} from the other decoder");
    assert!(joints.iter().all(|joint| *joint <= album.joint), "{name}: {joints:?}");
}

/// One file of HE-AAC with iTunes' own numbers; no encoder of it is free, so it is not of the signal.
fn he_aac(wav: &Path) -> PathBuf {
    let to = wav.with_extension("he.m4a");
    fs::write(&to, mint::data("tone-he-aac.m4a")).expect("written");
    sounds::put_smpb(&to, HE_DELAY, HE_ALL - HE_DELAY - HE_FRAMES, HE_FRAMES);
    to
}

/// What ffmpeg decodes of it, cut by the numbers here.
fn he_aac_reference(file: &Path) -> Vec<f32> {
    let bare = file.with_extension("bare.m4a");
    fs::write(&bare, mint::data("tone-he-aac.m4a")).expect("written");
    let all = sounds::by_ffmpeg(&bare);
    // ffmpeg may leave out what an edit list names.
    let cut = (HE_ALL * 2) as usize - all.len();
    let from = (HE_DELAY * 2) as usize - cut;
    all[from..from + (HE_FRAMES * 2) as usize].to_vec()
}

/// The numbers of `tone-he-aac.m4a` at its full rate: the delay of encoder and decoder, the frames it decodes to, and those
/// that are the tone.
const HE_DELAY: u64 = 5058;
const HE_ALL: u64 = 28_672;
const HE_FRAMES: u64 = 22_050;
/// How often a machine may be too busy: other tests say how busy it may be.
const TRIES: usize = 3;
/// Frames on either side of a joint that are compared.
const AROUND: usize = 1024;
/// Sound in real time: two at once on a small machine would disturb each other.
static ONE: Mutex<()> = Mutex::new(());
