//! Seeks: to the very frame, and without reading what lies between.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use konpo::media::decode::{Block, Decoder};
use konpo::media::sniff::sniff;
use konpo::media::sound::Sound;
use konpo::units::Frames;

use crate::counted::Counted;
use crate::formats::sounds::*;

fn counted(path: &Path) -> (Decoder, Arc<AtomicU64>) {
    let read = Arc::new(AtomicU64::new(0));
    let file = File::open(path).expect("it is there");
    let length = file.metadata().expect("it has a size").len();
    let mut sound = Sound::new(Counted(file, Arc::clone(&read)), Some(length), None);
    let sniffed = sniff(&mut sound).expect("it is known");
    (Decoder::open(sound, &sniffed).expect("it opens"), read)
}

#[test]
fn a_seek_lands_on_the_very_frame_of_a_long_file() {
    // Half a minute: more than the short ways round in any reader.
    let (_folder, wav, _) = folder(48_000, 1_440_000);
    for (extension, args, bound) in [
        ("flac", &["-c:a", "flac"][..], 0.0),
        ("oga", &["-c:a", "flac", "-f", "ogg"], 0.0),
        ("m4a", &["-c:a", "alac"], 0.0),
        ("caf", &["-c:a", "alac"], 0.0),
        ("aiff", &["-c:a", "pcm_s16be"], 0.0),
        // Without noise in place of music, which is another one each time.
        ("aac.m4a", &["-c:a", "aac", "-aac_pns", "0"], 0.0),
        ("ogg", &["-c:a", "libvorbis"], 0.0),
        ("mp3", &["-c:a", "libmp3lame", "-b:a", "128k"], 0.0),
        ("vbr.mp3", &["-c:a", "libmp3lame", "-q:a", "4"], 0.0),
        (
            "mp4",
            &["-c:a", "aac", "-aac_pns", "0", "-movflags", "+empty_moov", "-frag_duration", "1000000"],
            0.0,
        ),
        // Its prediction forgets slowly.
        ("opus", &["-c:a", "libopus"], 0.01),
    ] {
        let file = wav.with_extension(extension);
        ffmpeg(&wav, args, &file);
        let (mut decoder, _) = open(&file).expect("it opens");
        let whole = rest(&mut decoder);
        // Fragments that are written as they come have no numbers of the encoder.
        assert!(whole.len() == 2_880_000 || extension == "mp4", "{extension}: {}", whole.len());
        for to in [1_000_001, 1_439_999, 5, 1_430_000, 700_000, 65_536, 1_438_000, 65_535, 0] {
            assert_eq!(decoder.seek(Frames(to)).expect("it can seek"), Frames(to), "{extension}");
            let got = rest(&mut decoder);
            let expected = &whole[to as usize * 2..];
            assert_eq!(got.len(), expected.len(), "{extension} at {to}");
            let off = deviation(&got, expected);
            assert!(off <= bound, "{extension} at {to}: {off}");
        }
    }
}

/// Repeats the frames of an MP3 of 30 s; the numbers of its Info or Xing header grow with them.
fn long_mp3(folder: &Path, args: &[&str], times: u32) -> PathBuf {
    let (wav, file) = (folder.join("short.wav"), folder.join("long.mp3"));
    write_wav(&wav, 44_100, &signal(44_100, 1_323_000));
    let mut all = vec!["--quiet"];
    all.extend(args);
    all.extend([text(&wav), text(&file)]);
    run("lame", "lame", &all);
    change(&file, |bytes| {
        let name =
            bytes.windows(4).position(|name| name == b"Info" || name == b"Xing").expect("LAME's header");
        // Frames, then bytes; the table is one of parts and stays true.
        let number =
            |bytes: &[u8], at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four"));
        let frames = number(bytes, name + 8) * times;
        let end =
            bytes[4..].windows(3).position(|b| b[..2] == bytes[..2] && b[2] >> 4 > 0).expect("a frame") + 4;
        let frame = bytes[end..].to_vec();
        bytes.reserve(frame.len() * times as usize);
        (1..times).for_each(|_| bytes.extend_from_slice(&frame));
        let all = bytes.len() as u32;
        bytes[name + 8..name + 12].copy_from_slice(&frames.to_be_bytes());
        bytes[name + 12..name + 16].copy_from_slice(&all.to_be_bytes());
    });
    file
}

#[test]
fn a_long_mp3_is_not_read_to_be_sought() {
    let folder = tempfile::tempdir().expect("a folder");
    // Two hours of constant bit rate, ten of varying one: up to 24 MB of that are counted through.
    for (args, hours, most) in [(&["-b", "128"][..], 2, 1 << 20), (&["-V", "9"], 10, 32 << 20)] {
        let file = long_mp3(folder.path(), args, hours * 120);
        let (mut decoder, read) = counted(&file);
        let second = u64::from(decoder.spec().rate.hz());
        let whole = decoder.duration().expect("it is told").0;
        let expected = u64::from(hours) * 3600 * second;
        // Each half minute is filled up to whole frames.
        assert!(whole.abs_diff(expected) < expected / 200, "{whole}");
        let mut block = Block::default();
        for to in [whole - 9 * second, whole / 2 + 17, 5, whole - 200 * second] {
            let before = read.load(Ordering::Relaxed);
            let begun = std::time::Instant::now();
            assert_eq!(decoder.seek(Frames(to)).expect("it can seek"), Frames(to));
            let cost = read.load(Ordering::Relaxed) - before;
            println!("{args:?} to {} s: {} KiB, {:?}", to / second, cost >> 10, begun.elapsed());
            assert!(cost <= most, "{args:?}: {cost}");
            assert!(decoder.next(&mut block).expect("it goes on"));
            assert_eq!(block.at, Frames(to));
        }
    }
}
