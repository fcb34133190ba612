//! Exact counts and places of every codec that is decoded in the process, and albums cut from one signal.

use std::fs;
use std::path::PathBuf;

use crate::formats::sounds::*;

/// No multiple of any codec's frame.
const FRAMES: usize = 100_003;

#[test]
fn every_lossless_format_is_exact_to_the_bit() {
    let (_folder, wav, samples) = folder(44_100, FRAMES);
    let expected = floats(&samples);
    for (extension, args) in [
        ("flac", &["-c:a", "flac"][..]),
        ("oga", &["-c:a", "flac", "-f", "ogg"]),
        ("alac.m4a", &["-c:a", "alac"]),
        ("flac.mp4", &["-c:a", "flac", "-strict", "-2"]),
        ("24.wav", &["-c:a", "pcm_s24le"]),
        ("32.wav", &["-c:a", "pcm_s32le"]),
        ("float.wav", &["-c:a", "pcm_f32le"]),
        ("aiff", &["-c:a", "pcm_s16be"]),
        ("24.aiff", &["-c:a", "pcm_s24be"]),
        ("caf", &["-c:a", "pcm_s16be"]),
        ("24.caf", &["-c:a", "pcm_s24le"]),
        ("float.caf", &["-c:a", "pcm_f32le"]),
    ] {
        let (_, got) = decode(&lossless(&wav, args, extension));
        assert!(got == expected, "{extension}: {} samples of {}", got.len(), expected.len());
    }
    let (_, same) = decode(&wav);
    assert!(same == expected);
    // ffmpeg writes whole packets as the length of ALAC in CAF; the last packet knows better.
    let (mut decoder, _) = open(&lossless(&wav, &["-c:a", "alac"], "alac.caf")).expect("it opens");
    assert!(rest(&mut decoder) == expected);
}

#[test]
fn every_lossy_format_has_the_frames_of_its_encoder_at_their_places() {
    let (_folder, wav, _) = folder(44_100, FRAMES);
    // What another decoder rounds otherwise; a shift by one frame would be above 0.04.
    let check = |name: &str, file: PathBuf| {
        let (spec, got) = decode(&file);
        let other = by_ffmpeg(&file);
        // ffmpeg 5.1 does not leave out what AAC has behind the end.
        assert!(other.len() >= got.len(), "{name}: {} samples", other.len());
        let distance = deviation(&got, &other[..got.len()]);
        println!("{name}: {} frames, {distance:.6} from ffmpeg", got.len() / 2);
        assert_eq!((spec.rate.hz(), got.len() / 2), (44_100, FRAMES), "{name}");
        assert!(distance < 0.002, "{name}: {distance}");
    };
    check("MP3 by LAME", lame(&wav));
    check("MP3 by LAME, varying", lame_vbr(&wav));
    check("MP3 by ffmpeg", ffmpeg_mp3(&wav));
    check("AAC with an edit list", aac(&wav));
    check("AAC in 3GP", lossless(&wav, &["-c:a", "aac", "-f", "3gp"], "3gp"));
    check("Vorbis", vorbis(&wav));
}

#[test]
fn numbers_of_itunes_outrank_the_edit_list() {
    let (_folder, wav, _) = folder(44_100, FRAMES);
    let (_, plain) = decode(&aac(&wav));
    let (_, numbers) = decode(&aac_smpb(&wav));
    assert_eq!(numbers.len() / 2, FRAMES);
    assert!(deviation(&numbers, &plain) < 1e-6);
    // Beside an edit list that says something else.
    let both = lossless(&wav, &["-c:a", "aac", "-b:a", "192k"], "both.m4a");
    let whole = (FRAMES as u64 + 1024).next_multiple_of(1024);
    put_smpb(&both, 2048, whole - 2048 - 90_000, 90_000);
    let (_, cut) = decode(&both);
    assert_eq!(cut.len() / 2, 90_000);
    assert!(deviation(&cut, &plain[2 * 1024..2 * (1024 + 90_000)]) < 1e-6);
}

#[test]
fn opus_has_the_frames_and_the_gain_of_its_head() {
    let (_folder, wav, _) = folder(48_000, FRAMES);
    let file = opus(&wav);
    let (spec, plain) = decode(&file);
    assert_eq!((spec.rate.hz(), plain.len() / 2), (48_000, FRAMES));
    let distance = deviation(&plain, &by_opusdec(&file));
    println!("Opus: {FRAMES} frames, {distance:.6} from opusdec");
    assert!(distance < 1e-4, "{distance}");
    // -6 dB, and more to skip than a packet holds.
    change(&file, |bytes| {
        let head = 28;
        assert!(bytes[head..].starts_with(b"OpusHead"));
        bytes[head + 16..head + 18].copy_from_slice(&(-6i16 * 256).to_le_bytes());
        bytes[head + 10..head + 12].copy_from_slice(&3000u16.to_le_bytes());
        seal_first_page(bytes);
    });
    let (_, quiet) = decode(&file);
    assert!(quiet.len() < plain.len() - 4000);
    assert!(deviation(&quiet, &by_opusdec(&file)) < 1e-4);
}

#[test]
fn layer_two_is_decoded_whole() {
    let (_folder, wav, _) = folder(44_100, FRAMES);
    let file = lossless(&wav, &["-c:a", "mp2", "-b:a", "256k"], "mp2");
    let (mut decoder, _) = open(&file).expect("it opens");
    let (got, other) = (rest(&mut decoder), by_ffmpeg(&file));
    assert!(got.len() >= FRAMES * 2);
    let distance = deviation(&got, &other);
    assert!(distance < 0.002, "{distance}");
}

#[test]
fn links_of_a_chained_stream_follow_each_other_without_a_gap() {
    let (_folder, wav, _) = folder(48_000, FRAMES);
    for file in [opus(&wav), vorbis(&wav)] {
        let (_, one) = decode(&file);
        let other = wav.with_extension("other");
        // Another number of the stream and other sound, as a chain has them.
        ffmpeg(&file, &["-c", "copy", "-f", "ogg", "-serial_offset", "77"], &other);
        let (_, two) = decode(&other);
        change(&file, |bytes| bytes.extend(fs::read(&other).expect("it is there")));
        let (mut decoder, _) = open(&file).expect("it opens");
        let both = rest(&mut decoder);
        assert_eq!(both.len(), one.len() + two.len(), "{}", file.display());
        assert!(both[..one.len()] == one && both[one.len()..] == two, "{}", file.display());
    }
}

#[test]
fn an_mp3_without_numbers_of_lame_is_not_cut() {
    let (_folder, wav, _) = folder(44_100, FRAMES);
    let bare = wav.with_extension("bare.mp3");
    run("lame", "lame", &["--quiet", "-t", "-b", "128", text(&wav), text(&bare)]);
    let (mut decoder, _) = open(&bare).expect("it opens");
    let whole = rest(&mut decoder);
    // ffmpeg leaves out what it takes for a decoder's delay or nothing at all; the end is the same.
    let other = by_ffmpeg(&bare);
    assert!(whole.len().is_multiple_of(2304) && whole.len() >= FRAMES * 2);
    let shift = whole.len() - other.len();
    assert!(deviation(&whole[shift..], &other) < 0.002, "{shift}");
    // Fraunhofer's header announces frames and bytes, and no gaps.
    let vbri = wav.with_extension("vbri.mp3");
    fs::copy(&bare, &vbri).expect("copied");
    let count = (whole.len() / 2304) as u32;
    change(&vbri, |bytes| {
        let mut first = bytes[..417].to_vec();
        first[4..].fill(0);
        first[36..42].copy_from_slice(b"VBRI\0\x01");
        first[46..50].copy_from_slice(&(bytes.len() as u32 + 417).to_be_bytes());
        first[50..54].copy_from_slice(&count.to_be_bytes());
        first[2] &= !2;
        first.extend_from_slice(bytes);
        *bytes = first;
    });
    let (_, told) = decode(&vbri);
    assert!(told == whole);
}

/// An encoder hears nothing before the first frame of a file, so it codes the ends otherwise than the middle of the signal;
/// ffmpeg's AAC encoder most of all. That bounds the joints; that no frame is lost or added is held against another decoder.
#[test]
fn albums_cut_from_one_signal_have_no_joints() {
    let check = |name: &str, rate: u32, encode: Encoder, reference: Reference, bound: f32| {
        let folder = tempfile::tempdir().expect("a folder");
        let lengths: Vec<usize> = (0..10).map(|i| 30_000 + i * 1237).collect();
        let samples = signal(rate, lengths.iter().sum());
        let one = folder.path().join("one.wav");
        write_wav(&one, rate, &samples);
        let (_, expected) = decode(&encode(&one));
        assert_eq!(expected.len(), samples.len(), "{name}");
        let (mut album, mut other, mut at, mut joints) = (Vec::new(), Vec::new(), 0, Vec::new());
        for (i, length) in lengths.iter().enumerate() {
            let wav = folder.path().join(format!("{i}.wav"));
            write_wav(&wav, rate, &samples[at * 2..(at + length) * 2]);
            let track = encode(&wav);
            album.extend(decode(&track).1);
            let (ours, theirs) = (&album[at * 2..], reference(&track));
            // ffmpeg 5.1 leaves out the last block of some Vorbis files.
            let shared = theirs.len().min(ours.len());
            assert!(ours.len() - shared <= 512, "{name}: {shared} of {}", ours.len());
            other.extend_from_slice(&theirs[..shared]);
            other.extend_from_slice(&ours[shared..]);
            at += length;
            joints.push(at);
        }
        assert_eq!(album.len(), samples.len(), "{name}: frames of the whole album");
        joints.pop();
        let near = |joint: usize| (joint - AROUND) * 2..(joint + AROUND) * 2;
        let apart = joints.iter().map(|&at| deviation(&album[near(at)], &expected[near(at)]));
        let worst = apart.fold(0.0, f32::max);
        let decoder = deviation(&album, &other);
        println!(
            "{name}: the largest deviation at nine joints is {worst:.6}, from the other decoder {decoder:.6}"
        );
        assert!(worst <= bound, "{name}: {worst}");
        assert!(decoder < 0.002, "{name}: {decoder} from the other decoder's tracks");
    };
    check("FLAC", 44_100, flac, by_ffmpeg, 0.0);
    check("ALAC", 44_100, alac, by_ffmpeg, 0.0);
    check("MP3 (LAME)", 44_100, lame, by_ffmpeg, 0.12);
    check("AAC (elst)", 44_100, aac, by_ffmpeg, 0.35);
    check("AAC (iTunSMPB)", 44_100, aac_smpb, by_ffmpeg, 0.35);
    check("Opus", 48_000, opus, by_opusdec, 0.12);
    check("Vorbis", 44_100, vorbis, by_ffmpeg, 0.12);
}

/// Frames on either side of a joint that are compared.
const AROUND: usize = 1024;
