use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::media::sniff::{Gapless, Sniffed};
use crate::track::{AudioFormat, Protection};

const FLAC: &[u8] = include_bytes!("../../../tests/data/tone.flac");
const FLAC_24: &[u8] = include_bytes!("../../../tests/data/tone-24.flac");
const ALAC: &[u8] = include_bytes!("../../../tests/data/tone-alac.m4a");
const AAC: &[u8] = include_bytes!("../../../tests/data/tone-aac.m4a");
const MP3: &[u8] = include_bytes!("../../../tests/data/tone.mp3");
const OGG: &[u8] = include_bytes!("../../../tests/data/tone.ogg");
const AIFF: &[u8] = include_bytes!("../../../tests/data/tone.aiff");

/// Frames of the stereo tone.
const TONE: u64 = 11_025;

fn sniffed(bytes: &[u8], container: Container, codec: Codec) -> Sniffed {
    let format = AudioFormat { container, codec, rate: None, channels: None, bits: None, frames: None };
    let id3 = |b: &[u8]| 10 + b[6..10].iter().fold(0, |size, byte| size << 7 | u64::from(*byte));
    let start = if container == Container::Mpeg && bytes.starts_with(b"ID3") { id3(bytes) } else { 0 };
    let audio = start..bytes.len() as u64;
    let gapless =
        (codec == Codec::AacLc).then_some(Gapless { delay: 1024, padding: 0, frames: Some(Frames(TONE)) });
    Sniffed {
        format,
        protection: Protection::None,
        audio,
        purchase: None,
        personal: Vec::new(),
        aac: None,
        gapless,
        raw: Vec::new(),
    }
}

fn open(bytes: &[u8], container: Container, codec: Codec) -> Result<Decoder> {
    let sound = Sound::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), None);
    Decoder::open(sound, &sniffed(bytes, container, codec))
}

/// Decodes to the end; floats are scaled to 24 bits, so that both kinds compare.
fn rest(decoder: &mut Decoder) -> Vec<i32> {
    let mut all = Vec::new();
    let mut block = Block::default();
    while decoder.next(&mut block).expect("the file is sound") {
        match &block.samples {
            Samples::Int(samples) => all.extend_from_slice(samples),
            Samples::Float(samples) => all.extend(samples.iter().map(|s| (s * 8_388_608.0) as i32)),
        }
    }
    assert!(block.samples.is_empty());
    all
}

fn all(bytes: &[u8], container: Container, codec: Codec) -> (Spec, Vec<i32>) {
    let mut decoder = open(bytes, container, codec).expect("it opens");
    (decoder.spec(), rest(&mut decoder))
}

/// The tone of `tests/data/README.md` as ffmpeg computes it, within one 16-bit step.
fn assert_tone(samples: &[i32], rate: f64, shift: u32) {
    for (frame, pair) in samples.chunks_exact(2).enumerate().step_by(97) {
        let t = frame as f64 / rate;
        let expected = 0.4 * (2.0 * std::f64::consts::PI * 440.0 * t).sin();
        let got = f64::from(pair[0]) / 2_147_483_648.0;
        assert!(
            (expected - got).abs() < 2.0 / f64::from(1u32 << shift),
            "frame {frame}: {got} for {expected}"
        );
    }
}

/// A RIFF of 16-bit frames with a picture-like chunk in front and a list behind.
fn wav(bits: u16, float: bool, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"RIFF\0\0\0\0WAVE".to_vec();
    let mut chunk = |id: &[u8], body: &[u8]| {
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
        bytes.extend_from_slice(body);
        bytes.extend_from_slice(&[0][..body.len() & 1]);
    };
    chunk(b"junk", &[7; 33]);
    let mut format = vec![if float { 3 } else { 1 }, 0, 1, 0];
    format.extend_from_slice(&8000u32.to_le_bytes());
    format.extend_from_slice(&(8000 * u32::from(bits / 8)).to_le_bytes());
    format.extend_from_slice(&(bits / 8).to_le_bytes());
    format.extend_from_slice(&bits.to_le_bytes());
    chunk(b"fmt ", &format);
    chunk(b"data", data);
    chunk(b"LIST", b"INFOINAM\x02\0\0\0x\0");
    bytes
}

#[test]
fn every_codec_gives_the_frames_that_were_encoded() {
    let check = |bytes: &[u8], container, codec, frames: u64| {
        let mut decoder = open(bytes, container, codec).expect("it opens");
        let channels = usize::from(decoder.spec().channels);
        assert_eq!(decoder.duration(), Some(Frames(frames)), "{codec:?}");
        assert_eq!(rest(&mut decoder).len() / channels, frames as usize, "{codec:?}");
        assert_eq!(decoder.skipped(), 0, "{codec:?}");
    };
    check(FLAC, Container::Flac, Codec::Flac, TONE);
    check(FLAC_24, Container::Flac, Codec::Flac, 2880);
    check(ALAC, Container::Mp4, Codec::Alac, TONE);
    check(AAC, Container::Mp4, Codec::AacLc, TONE);
    check(MP3, Container::Mpeg, Codec::Mp3, TONE);
    check(OGG, Container::Ogg, Codec::Vorbis, TONE);
    check(AIFF, Container::Aiff, Codec::Pcm, 4410);
}

#[test]
fn lossless_samples_are_exact_and_left_justified() {
    let (spec, flac) = all(FLAC, Container::Flac, Codec::Flac);
    assert_eq!((spec.rate.hz(), spec.channels, spec.bits, spec.float), (44_100, 2, 16, false));
    assert!(flac.iter().all(|sample| sample & 0xffff == 0));
    assert_tone(&flac, 44_100.0, 15);
    let (spec, alac) = all(ALAC, Container::Mp4, Codec::Alac);
    assert_eq!((spec.bits, spec.float), (16, false));
    assert!(alac == flac);
    let (spec, deep) = all(FLAC_24, Container::Flac, Codec::Flac);
    assert_eq!((spec.rate.hz(), spec.bits), (96_000, 24));
    assert!(deep.iter().all(|sample| sample & 0xff == 0) && deep.iter().any(|sample| sample & 0xff00 != 0));
    assert_tone(&deep, 96_000.0, 23);
}

#[test]
fn lossy_codecs_are_aligned_with_the_original() {
    let (_, flac) = all(FLAC, Container::Flac, Codec::Flac);
    for (bytes, container, codec) in [
        (MP3, Container::Mpeg, Codec::Mp3),
        (AAC, Container::Mp4, Codec::AacLc),
        (OGG, Container::Ogg, Codec::Vorbis),
    ] {
        let (spec, decoded) = all(bytes, container, codec);
        assert_eq!((spec.bits, spec.float), (32, true));
        let off = |shift: usize| -> f64 {
            let pairs = decoded[4000..18_000].iter().zip(&flac[4000 - 4 + shift * 2..]);
            pairs.map(|(a, b)| (f64::from(*a) / 8_388_608.0 - f64::from(*b) / 2_147_483_648.0).abs()).sum()
        };
        // Shift 2 is none; at this bit rate AAC bends the phase of a tone by half a frame.
        let best = (0..=4).min_by(|a, b| off(*a).total_cmp(&off(*b)));
        assert!(matches!(best, Some(1..=3)), "{codec:?}: {best:?}");
    }
}

#[test]
fn wav_of_any_depth_is_widened() {
    let check = |bits, float, data: &[u8], expected: Samples, said| {
        let bytes = wav(bits, float, data);
        let mut decoder = open(&bytes, Container::Wav, Codec::Pcm).expect("it opens");
        let mut block = Block::default();
        assert!(decoder.next(&mut block).expect("plain data"));
        assert_eq!(block.samples, expected);
        assert_eq!(decoder.spec().bits, said);
        assert!(!decoder.next(&mut block).expect("plain data"));
    };
    check(8, false, &[0, 128, 255], Samples::Int(vec![i32::MIN, 0, 127 << 24]), 16);
    check(16, false, &[1, 0, 0, 0x80], Samples::Int(vec![1 << 16, i32::MIN]), 16);
    check(24, false, &[1, 0, 0, 0, 0, 0x80], Samples::Int(vec![1 << 8, i32::MIN]), 24);
    check(32, false, &[1, 0, 0, 0], Samples::Int(vec![1]), 32);
    check(32, true, &0.5f32.to_le_bytes(), Samples::Float(vec![0.5]), 32);
}

#[test]
fn a_file_of_thirty_thousand_channels_is_refused_in_words() {
    let mut bytes = wav(16, false, &[0; 64]);
    let format = bytes.windows(4).position(|name| name == b"fmt ").expect("a chunk");
    bytes[format + 10..format + 12].copy_from_slice(&30_000u16.to_le_bytes());
    let mut sound = Sound::new(Cursor::new(bytes.clone()), Some(bytes.len() as u64), None);
    let sniffed = crate::media::sniff::sniff(&mut sound).expect("it is known");
    let error = Decoder::open(sound, &sniffed).err().expect("refused");
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.to_string().contains("30000 channels"), "{error}");
}

#[test]
fn wav_without_a_length_plays_to_the_end_of_the_file() {
    let mut bytes = wav(16, false, &[1, 0, 2, 0]);
    bytes.truncate(bytes.len() - 22);
    let at = bytes.len() - 8;
    bytes[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let (_, samples) = all(&bytes, Container::Wav, Codec::Pcm);
    assert_eq!(samples, [1 << 16, 2 << 16]);
}

#[test]
fn a_seek_lands_on_the_very_frame() {
    for (bytes, container, codec) in [
        (FLAC, Container::Flac, Codec::Flac),
        (ALAC, Container::Mp4, Codec::Alac),
        (AAC, Container::Mp4, Codec::AacLc),
        (MP3, Container::Mpeg, Codec::Mp3),
        (OGG, Container::Ogg, Codec::Vorbis),
    ] {
        let mut decoder = open(bytes, container, codec).expect("it opens");
        let whole = rest(&mut decoder);
        for to in [5000, 0, 1, 1151, 1152, 4096, 10_000, TONE - 1] {
            assert_eq!(decoder.seek(Frames(to)).expect("it can seek"), Frames(to), "{codec:?}");
            let got = rest(&mut decoder);
            assert_eq!(got.len(), whole.len() - to as usize * 2, "{codec:?} at {to}");
            assert!(got == whole[to as usize * 2..], "{codec:?} at {to}");
        }
        for to in [TONE, TONE + 1, u64::MAX] {
            assert_eq!(decoder.seek(Frames(to)).expect("it can seek"), Frames(TONE), "{codec:?}");
            assert!(rest(&mut decoder).is_empty());
        }
    }
}

#[test]
fn mp3_without_a_xing_header_is_not_cut() {
    // The first frame is LAME's; behind it lies a stream without any header.
    let start = sniffed(MP3, Container::Mpeg, Codec::Mp3).audio.start as usize;
    let info =
        MP3[start..].windows(4).position(|w| w == b"Info" || w == b"Xing").expect("LAME wrote it") + start;
    let next =
        MP3[info..].windows(2).position(|w| w[0] == 0xff && w[1] == MP3[start + 1]).expect("a frame") + info;
    let mut decoder = open(&MP3[next..], Container::Mpeg, Codec::Mp3).expect("it opens");
    let guessed = decoder.duration().expect("a guess").0 as usize;
    let frames = rest(&mut decoder).len() / 2;
    assert!(frames.is_multiple_of(1152) && frames > TONE as usize, "{frames}");
    assert!(guessed.abs_diff(frames) <= frames / 4, "{guessed} for {frames}");
    decoder.seek(Frames(3000)).expect("it can seek");
    assert_eq!(rest(&mut decoder).len() / 2, frames - 3000);
}

#[test]
fn a_protected_file_meets_no_decoder() {
    let mut locked = sniffed(AAC, Container::Mp4, Codec::AacLc);
    locked.protection = Protection::FairPlay { user_id: None };
    let sound = Sound::new(Cursor::new(AAC.to_vec()), Some(AAC.len() as u64), None);
    let refused = Decoder::open(sound, &locked).map(|_| ()).expect_err("the gate is shut");
    assert_eq!(refused.kind(), Kind::Unsupported);
    let other = open(OGG, Container::Ogg, Codec::Other).map(|_| ()).expect_err("there is no decoder");
    assert_eq!(other.kind(), Kind::Unsupported);
}

#[test]
fn damage_in_the_middle_costs_only_its_packets() {
    let mut hurt = MP3.to_vec();
    let middle = hurt.len() / 2;
    hurt[middle..middle + 300].fill(0);
    let (_, samples) = all(&hurt, Container::Mpeg, Codec::Mp3);
    assert!(samples.len() / 2 > TONE as usize / 2);
    let nothing = open(&[0; 4096], Container::Mpeg, Codec::Mp3).map(|_| ()).expect_err("no frames");
    assert_eq!(nothing.kind(), Kind::Damaged);
}

#[test]
fn a_cut_file_plays_up_to_the_cut() {
    let (_, whole) = all(FLAC, Container::Flac, Codec::Flac);
    let (_, cut) = all(&FLAC[..FLAC.len() * 3 / 4], Container::Flac, Codec::Flac);
    assert!(!cut.is_empty() && cut.len() < whole.len());
    assert!(cut == whole[..cut.len()]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_mutation_takes_the_decoder_down(
        which in 0usize..7,
        wounds in proptest::collection::vec((0.0f64..1.0, any::<u8>()), 1..12),
        seek in 0u64..20_000,
    ) {
        let (bytes, container, codec) = [
            (FLAC, Container::Flac, Codec::Flac),
            (FLAC_24, Container::Flac, Codec::Flac),
            (ALAC, Container::Mp4, Codec::Alac),
            (AAC, Container::Mp4, Codec::AacLc),
            (MP3, Container::Mpeg, Codec::Mp3),
            (OGG, Container::Ogg, Codec::Vorbis),
            (AIFF, Container::Aiff, Codec::Pcm),
        ][which];
        let mut bytes = bytes.to_vec();
        for (place, byte) in wounds {
            let at = (place * place * bytes.len() as f64) as usize;
            bytes[at] = byte;
        }
        let mut block = Block::default();
        if let Ok(mut decoder) = open(&bytes, container, codec) {
            let mut blocks = 0;
            while decoder.next(&mut block).unwrap_or(false) {
                blocks += 1;
                prop_assert!(blocks < 100_000);
                prop_assert_eq!(block.samples.len() % usize::from(decoder.spec().channels), 0);
            }
            if decoder.seek(Frames(seek)).is_ok() {
                let _ = decoder.next(&mut block);
            }
        }
    }
}
