//! Files that are cut, flipped and that lie: an error or a clean end, never a panic, a hang or a giant allocation.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use konpo::media::decode::Block;
use konpo::units::Frames;

use crate::formats::sounds::*;
use crate::mint;

/// Opens, decodes, seeks; whatever comes must end. Returns the frames that came.
fn survive(path: &Path, seek: u64) -> u64 {
    let Ok((mut decoder, _)) = open(path) else { return 0 };
    let spec = decoder.spec();
    assert!(spec.channels > 0);
    let (mut block, mut frames) = (Block::default(), 0u64);
    while decoder.next(&mut block).unwrap_or(false) {
        assert!(block.samples.len().is_multiple_of(usize::from(spec.channels)), "whole frames");
        frames += (block.samples.len() / usize::from(spec.channels)) as u64;
        assert!(frames < 20_000_000, "it never ends");
    }
    if decoder.seek(Frames(seek)).is_ok() {
        let _either_way = decoder.next(&mut block);
    }
    frames
}

/// A second of every format, made once.
fn fixtures() -> &'static [(String, Vec<u8>)] {
    static MADE: std::sync::OnceLock<Vec<(String, Vec<u8>)>> = std::sync::OnceLock::new();
    MADE.get_or_init(|| {
        let (_folder, wav, _) = folder(44_100, 30_000);
        let encoded = [
            ("flac", &["-c:a", "flac"][..]),
            ("oga", &["-c:a", "flac", "-f", "ogg"]),
            ("m4a", &["-c:a", "alac"]),
            ("aac.m4a", &["-c:a", "aac"]),
            ("mp4", &["-c:a", "aac", "-movflags", "+frag_keyframe+empty_moov"]),
            ("aac", &["-c:a", "aac"]),
            ("mp3", &["-c:a", "libmp3lame"]),
            ("mp2", &["-c:a", "mp2"]),
            ("ogg", &["-c:a", "libvorbis"]),
            ("opus", &["-c:a", "libopus"]),
            ("aiff", &["-c:a", "pcm_s16be"]),
            ("caf", &["-c:a", "alac"]),
            ("pcm.caf", &["-c:a", "pcm_s24le"]),
            ("wv", &["-c:a", "wavpack"]),
            ("wma", &["-c:a", "wmav2"]),
            ("mka", &["-c:a", "flac"]),
        ];
        let mut all = vec![("wav".to_owned(), fs::read(&wav).expect("it is there"))];
        for (extension, args) in encoded {
            let to = wav.with_extension(extension);
            ffmpeg(&wav, args, &to);
            all.push((extension.to_owned(), fs::read(&to).expect("it is there")));
        }
        all.push(("dsf".to_owned(), mint::dsf(2_822_400)));
        all.push(("he.m4a".to_owned(), mint::data("tone-he-aac.m4a")));
        all.push(("oma".to_owned(), mint::oma(0xffff, 0, &[&[0xa0][..], &[0; 191]].concat().repeat(99))));
        all
    })
}

/// The formats that start a child for every case.
fn is_slow(name: &str) -> bool {
    matches!(name, "wv" | "wma" | "mka" | "dsf" | "he.m4a" | "oma")
}

fn wound(which: &(String, Vec<u8>), wounds: &[(f64, u8)], keep: f64, seek: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = which.1.clone();
    for (place, flip) in wounds {
        // Heads are hurt more often than sound.
        let at = (place * place * place * bytes.len() as f64) as usize;
        bytes[at] ^= flip;
    }
    bytes.truncate((keep * bytes.len() as f64) as usize);
    let path = folder.path().join(format!("a.{}", which.0));
    fs::write(&path, bytes).expect("written");
    survive(&path, seek);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn no_wound_takes_the_decoder_down(
        which in 0usize..14,
        wounds in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..12),
        keep in 0.05f64..=1.0,
        seek in 0u64..40_000,
    ) {
        let quick: Vec<_> = fixtures().iter().filter(|(name, _)| !is_slow(name)).collect();
        wound(quick[which % quick.len()], &wounds, keep, seek);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(30) })]

    #[test]
    fn no_wound_takes_the_box_down_through_its_child(
        which in 0usize..6,
        wounds in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..12),
        keep in 0.05f64..=1.0,
        seek in 0u64..40_000,
    ) {
        let slow: Vec<_> = fixtures().iter().filter(|(name, _)| is_slow(name)).collect();
        wound(slow[which % slow.len()], &wounds, keep, seek);
    }
}

/// Changes the bytes that follow a name.
fn lie(bytes: &[u8], name: &[u8], skip: usize, with: &[u8]) -> Vec<u8> {
    let at = bytes.windows(name.len()).position(|window| window == name).expect("the name is there");
    let mut bytes = bytes.to_vec();
    let from = at + name.len() + skip;
    bytes[from..from + with.len()].copy_from_slice(with);
    bytes
}

#[test]
fn heads_that_lie_are_not_believed() {
    let of = |name: &str| &fixtures().iter().find(|(fixture, _)| fixture == name).expect("made").1;
    let folder = tempfile::tempdir().expect("a folder");
    let most = [0xff; 8];
    let long = (1u64 << 63).to_be_bytes();
    let huge = 4_000_000_000u32;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        // RIFF: size, tag, channels, rate.
        ("wav", lie(of("wav"), b"fmt ", 8, &0u32.to_le_bytes())),
        ("wav", lie(of("wav"), b"fmt ", 8, &huge.to_le_bytes())),
        ("wav", lie(of("wav"), b"fmt ", 6, &255u16.to_le_bytes())),
        ("wav", lie(of("wav"), b"fmt ", 6, &0u16.to_le_bytes())),
        ("wav", lie(of("wav"), b"data", 0, &[0xfe, 0xff, 0xff, 0xff])),
        // AIFF: size, channels, frames, bits, rate as an extended number.
        ("aiff", lie(of("aiff"), b"COMM", 4, &255u16.to_be_bytes())),
        ("aiff", lie(of("aiff"), b"COMM", 6, &u32::MAX.to_be_bytes())),
        ("aiff", lie(of("aiff"), b"COMM", 12, &[0; 10])),
        ("aiff", lie(of("aiff"), b"COMM", 12, &[0x7f, 0xff, 0xff, 0xff, 0xff])),
        // STREAMINFO: 10 bytes, then rate, channels, bits, frames.
        ("flac", lie(of("flac"), b"fLaC", 4 + 10, &[0, 0, 0x00])),
        ("flac", lie(of("flac"), b"fLaC", 4 + 10, &[0xff, 0xff, 0xfe])),
        ("flac", lie(of("flac"), b"fLaC", 4 + 13, &most[..5])),
        ("flac", lie(of("flac"), b"fLaC", 4, &[0xff, 0xff, 0xff, 0xff])),
        // MP4: time scale and duration of the medium, rate of the entry, counts and sizes of the samples.
        ("m4a", lie(of("m4a"), b"mdhd", 12, &0u32.to_be_bytes())),
        ("m4a", lie(of("m4a"), b"mdhd", 12, &huge.to_be_bytes())),
        ("m4a", lie(of("m4a"), b"mdhd", 16, &most[..4])),
        ("m4a", lie(of("m4a"), b"stsz", 8, &u32::MAX.to_be_bytes())),
        ("m4a", lie(of("m4a"), b"stsz", 12, &u32::MAX.to_be_bytes())),
        ("m4a", lie(of("m4a"), b"stts", 4, &u32::MAX.to_be_bytes())),
        ("m4a", lie(of("m4a"), b"stco", 8, &u32::MAX.to_be_bytes())),
        ("aac.m4a", lie(of("aac.m4a"), b"elst", 8, &most)),
        ("aac.m4a", lie(of("aac.m4a"), b"mp4a", 16, &255u16.to_be_bytes())),
        // Ogg: the granule of the first page; Vorbis: channels and rate; Opus: channels, skip and rate.
        ("ogg", lie(of("ogg"), b"OggS", 2, &long)),
        ("ogg", lie(of("ogg"), b"vorbis", 4, &[255])),
        ("ogg", lie(of("ogg"), b"vorbis", 5, &0u32.to_le_bytes())),
        ("ogg", lie(of("ogg"), b"vorbis", 5, &huge.to_le_bytes())),
        ("opus", lie(of("opus"), b"OpusHead", 1, &[255])),
        ("opus", lie(of("opus"), b"OpusHead", 2, &[0xff, 0xff])),
        ("opus", lie(of("opus"), b"OpusHead", 8, &[0, 0x80])),
        // CAF: rate, bytes and frames per packet, channels; the packet table; the length of the cookie and the data.
        ("caf", lie(of("caf"), b"desc", 8, &0f64.to_be_bytes())),
        ("caf", lie(of("caf"), b"desc", 8, &f64::MAX.to_be_bytes())),
        ("caf", lie(of("caf"), b"desc", 8 + 24, &255u32.to_be_bytes())),
        ("caf", lie(of("caf"), b"desc", 8 + 20, &u32::MAX.to_be_bytes())),
        ("caf", lie(of("caf"), b"pakt", 8, &i64::MAX.to_be_bytes())),
        ("caf", lie(of("caf"), b"pakt", 16, &i64::MAX.to_be_bytes())),
        ("caf", lie(of("caf"), b"pakt", 32, &most)),
        ("caf", lie(of("caf"), b"kuki", 0, &(1i64 << 40).to_be_bytes())),
        ("pcm.caf", lie(of("pcm.caf"), b"desc", 8 + 16, &u32::MAX.to_be_bytes())),
        ("pcm.caf", lie(of("pcm.caf"), b"data", 0, &i64::MAX.to_be_bytes())),
        // What the child decodes.
        ("wv", lie(of("wv"), b"wvpk", 8, &(u32::MAX - 1).to_le_bytes())),
        ("wv", lie(of("wv"), b"wvpk", 0, &u32::MAX.to_le_bytes())),
        ("dsf", lie(of("dsf"), b"fmt ", 24, &0u32.to_le_bytes())),
        ("dsf", lie(of("dsf"), b"fmt ", 24, &huge.to_le_bytes())),
        ("dsf", lie(of("dsf"), b"fmt ", 20, &255u32.to_le_bytes())),
        ("dsf", lie(of("dsf"), b"fmt ", 32, &(1u64 << 63).to_le_bytes())),
    ];
    for (i, (extension, bytes)) in cases.into_iter().enumerate() {
        let path = folder.path().join(format!("{i}.{extension}"));
        fs::write(&path, bytes).expect("written");
        let frames = survive(&path, 20_000);
        // The longest is what DSF holds at four times its rate.
        assert!(frames < 400_000, "{i} {extension}: {frames}");
    }
    // Not all was kept out: a lie about the length alone costs nothing.
    let path = folder.path().join("long.wav");
    fs::write(&path, lie(of("wav"), b"data", 0, &[0xff; 4])).expect("written");
    assert_eq!(survive(&path, 5), 30_000);
}
