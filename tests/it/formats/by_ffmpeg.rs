//! What a child `ffmpeg` decodes: counts, places, seeking, and what happens when it goes wrong.

use std::path::Path;
use std::time::{Duration, Instant};

use konpo::error::Kind;
use konpo::media::decode::{Block, Decoder};
use konpo::media::sniff::sniff;
use konpo::media::sound::Sound;
use konpo::track::Codec;
use konpo::units::Frames;

use crate::formats::sounds::*;
use crate::mint;

const FRAMES: usize = 100_003;

#[test]
fn lossless_formats_are_exact_to_the_bit() {
    let (_folder, wav, samples) = folder(44_100, FRAMES);
    let expected = floats(&samples);
    for (extension, args, bits, float) in [
        ("wv", &["-c:a", "wavpack"][..], 16, false),
        ("tta", &["-c:a", "tta"], 16, false),
        ("24.wv", &["-c:a", "wavpack", "-sample_fmt", "s32p", "-bits_per_raw_sample", "24"], 24, false),
        ("float.wv", &["-c:a", "wavpack", "-sample_fmt", "fltp"], 32, true),
    ] {
        let file = wav.with_extension(extension);
        ffmpeg(&wav, args, &file);
        let (spec, got) = decode(&file);
        assert!(got == expected, "{extension}: {} samples of {}", got.len(), expected.len());
        assert_eq!((spec.float, spec.bits), (float, bits), "{extension}");
    }
    // Matroska states its length in milliseconds.
    let file = wav.with_extension("mka");
    ffmpeg(&wav, &["-c:a", "flac"], &file);
    let (mut decoder, _) = open(&file).expect("it opens");
    assert!(rest(&mut decoder) == expected);
}

#[test]
fn lossy_formats_give_what_ffmpeg_gives() {
    let (_folder, wav, _) = folder(44_100, FRAMES);
    for (extension, args) in [
        ("wma", &["-c:a", "wmav2", "-b:a", "128k"][..]),
        ("1.wma", &["-c:a", "wmav1", "-b:a", "128k"]),
        ("webm", &["-c:a", "libopus"]),
        ("surround.opus", &["-af", "pan=5.1|FL=FL|FR=FR|FC=FL|LFE=FR|BL=FL|BR=FR", "-c:a", "libopus"]),
        ("surround.m4a", &["-af", "pan=5.1|FL=FL|FR=FR|FC=FL|LFE=FR|BL=FL|BR=FR", "-c:a", "aac"]),
        ("vorbis.mka", &["-c:a", "libvorbis"]),
        ("mp3.wav", &["-c:a", "libmp3lame"]),
    ] {
        let file = wav.with_extension(extension);
        ffmpeg(&wav, args, &file);
        let (mut decoder, sniffed) = open(&file).unwrap_or_else(|e| panic!("{extension}: {e}"));
        let got = rest(&mut decoder);
        let other = by_ffmpeg(&file);
        let spec = decoder.spec();
        let frames = got.len() / usize::from(spec.channels);
        // Where konpo trims by the container's own numbers it may leave out more at the end.
        assert!(got == other[..got.len()], "{extension}");
        assert!(frames + 3000 > FRAMES && got.len() + 12_000 > other.len(), "{extension}: {frames}");
        // A WAV that holds MP3 states no length that konpo believes.
        let length = decoder.duration().map_or(0, |length| length.0);
        let told = length.abs_diff(frames as u64) < 4410;
        assert!(told || extension == "mp3.wav", "{extension}: {length}");
        assert!(sniffed.format.codec != Codec::Other);
    }
}

#[test]
fn he_aac_has_its_full_rate_and_its_numbers() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, delay, all) in [("tone-he-aac.m4a", 5058, 28_672), ("tone-he-aac-v2.m4a", 7106, 30_720)] {
        let file = folder.path().join(name);
        std::fs::write(&file, mint::data(name)).expect("written");
        let (spec, whole) = decode(&file);
        assert_eq!((spec.rate.hz(), spec.channels, whole.len()), (44_100, 2, all * 2), "{name}");
        put_smpb(&file, delay, all as u64 - delay - 22_050, 22_050);
        let (_, cut) = decode(&file);
        assert_eq!(cut.len(), 22_050 * 2, "{name}");
        assert!(cut == whole[delay as usize * 2..][..cut.len()], "{name}");
        let late = lateness(&cut);
        println!("{name}: 440 Hz are {late:.2} frames late");
        assert!(late.abs() < 4.0, "{name}: {late}");
        // Some tools count at the rate of the core, which is half.
        let file = folder.path().join(format!("core-{name}"));
        std::fs::write(&file, mint::data(name)).expect("written");
        put_smpb(&file, delay / 2, (all as u64 - delay - 22_050) / 2, 11_025);
        let (_, core) = decode(&file);
        assert!(core == cut, "{name}: {} samples", core.len());
    }
    // Nothing in ADTS says that there is more than the core.
    let file = folder.path().join("radio.aac");
    std::fs::write(&file, mint::data("tone-he-aac.aac")).expect("written");
    let (mut decoder, _) = open(&file).expect("it opens");
    assert_eq!(decoder.spec().rate.hz(), 44_100);
    assert_eq!(rest(&mut decoder).len(), 28_672 * 2);
}

/// How many frames later than from its first frame on a tone of 440 Hz at 44.1 kHz begins, by its phase.
fn lateness(samples: &[f32]) -> f64 {
    let step = std::f64::consts::TAU * 440.0 / 44_100.0;
    let left = samples.iter().step_by(2).enumerate().skip(4000).take(10_000);
    let (sine, cosine) = left.fold((0.0, 0.0), |(sine, cosine), (frame, sample)| {
        let (s, c) = (step * frame as f64).sin_cos();
        (sine + f64::from(*sample) * s, cosine + f64::from(*sample) * c)
    });
    -f64::atan2(cosine, sine) / step
}

#[test]
fn one_bit_sound_and_sonys_become_pcm() {
    let folder = tempfile::tempdir().expect("a folder");
    // ATRAC3 silence: each sound unit is A0 and zeros.
    let mut unit = [0; 192];
    unit[0] = 0xa0;
    for (name, bytes, rate, frames) in [
        ("a.dsf", mint::dsf(2_822_400), 88_200, 88_200),
        ("a.dff", mint::dff(2_822_400), 88_200, 88_200),
        ("a.oma", mint::oma(0xffff, 0, &unit.repeat(260)), 44_100, 133_120),
    ] {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).expect("written");
        let (mut decoder, _) = open(&file).unwrap_or_else(|e| panic!("{name}: {e}"));
        let got = rest(&mut decoder);
        assert_eq!(decoder.spec().rate.hz(), rate, "{name}");
        assert_eq!(decoder.duration(), Some(Frames(frames)), "{name}");
        assert!((got.len() as u64 / 2).abs_diff(frames) < 4096 / 8, "{name}: {} frames", got.len() / 2);
        // The filter of one-bit sound begins out of nothing.
        let settled = got.get(2000..got.len() - 2000).expect("half a second and more");
        let loudest = settled.iter().fold(0.0f32, |most, sample| most.max(sample.abs()));
        assert!(loudest < 0.01, "{name} is not silent: {loudest}");
    }
}

#[test]
fn a_seek_lands_on_the_very_frame() {
    let (_folder, wav, samples) = folder(44_100, 441_000);
    for (extension, args, bound) in [
        ("wv", &["-c:a", "wavpack"][..], 0.0),
        ("flac.mka", &["-c:a", "flac"], 0.0),
        ("wma", &["-c:a", "wmav2"], f32::MAX),
    ] {
        let file = wav.with_extension(extension);
        ffmpeg(&wav, args, &file);
        let (mut decoder, _) = open(&file).expect("it opens");
        let mut block = Block::default();
        for to in [300_001, 7, 0, 88_200, 440_900] {
            let begun = Instant::now();
            assert_eq!(decoder.seek(Frames(to)).expect("it can seek"), Frames(to));
            assert!(decoder.next(&mut block).expect("it goes on"), "{extension} at {to}");
            let took = begun.elapsed();
            println!("{extension}: {} ms to the first sample at {to}", took.as_millis());
            assert_eq!(block.at, Frames(to), "{extension}");
            // A debug build on a busy machine; the goal is 300 ms.
            assert!(took < Duration::from_secs(20), "{extension}: {took:?}");
            if bound == 0.0 {
                let got = rest(&mut decoder);
                let all = floats(&samples[to as usize * 2..]);
                let given = all.len() - got.len();
                assert!(given > 0 && got == all[given..], "{extension} at {to}");
            }
        }
        let length = decoder.duration().expect("it is told");
        assert_eq!(decoder.seek(Frames(u64::MAX)).expect("the end"), length);
        assert!(!decoder.next(&mut block).expect("the end"));
        decoder.seek(Frames(5)).expect("and back");
        assert!(decoder.next(&mut block).expect("it plays"));
    }
}

#[test]
fn a_stream_is_fed_through_a_pipe() {
    let (_folder, wav, samples) = folder(44_100, FRAMES);
    let file = wav.with_extension("wv");
    ffmpeg(&wav, &["-c:a", "wavpack"], &file);
    let bytes = std::fs::read(&file).expect("it is there");
    let length = bytes.len() as u64;
    let mut sound = Sound::new(std::io::Cursor::new(bytes), Some(length), None);
    let sniffed = sniff(&mut sound).expect("it is known");
    let mut decoder = Decoder::open(sound, &sniffed).expect("it opens");
    assert!(rest(&mut decoder) == floats(&samples));
    decoder.seek(Frames(50_000)).expect("it can seek");
    assert!(rest(&mut decoder) == floats(&samples[100_000..]));
    decoder.seek(Frames(10)).expect("it can seek");
    // Dropped while it is fed.
}

#[test]
fn a_cut_file_plays_up_to_the_cut_and_says_so() {
    let (_folder, wav, samples) = folder(44_100, 441_000);
    let file = wav.with_extension("wv");
    ffmpeg(&wav, &["-c:a", "wavpack"], &file);
    change(&file, |bytes| bytes.truncate(bytes.len() / 2));
    let (mut decoder, _) = open(&file).expect("it opens");
    let (mut block, mut frames) = (Block::default(), 0);
    let error = loop {
        match decoder.next(&mut block) {
            Ok(more) => assert!(more, "it may not end as if it were whole"),
            Err(error) => break error,
        }
        frames += block.samples.len() / 2;
    };
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.to_string().starts_with("only "), "{error}");
    assert!((100_000..300_000).contains(&frames), "{frames}");
    assert!(samples.len() > frames);
    assert!(!decoder.next(&mut block).expect("it stays at the end"));
}

#[test]
fn noise_behind_a_good_head_is_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let noise: Vec<u8> = (0..50_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for (name, head) in [("a.wv", mint::wavpack(100_000)), ("a.ape", mint::ape(3)), ("a.wma", mint::asf(&[]))]
    {
        let file = folder.path().join(name);
        std::fs::write(&file, [head, noise.clone()].concat()).expect("written");
        let error = open(&file).map(|_| ()).expect_err(name);
        assert!(matches!(error.kind(), Kind::Damaged | Kind::Unsupported), "{name}: {error}");
    }
    assert!(Path::new("/proc/self/fd/0").exists(), "where the child finds its input");
}
