//! Files of every format that is played, and what may be wrong with them.

use std::fs;

use super::sounds::{ffmpeg, folder};
use crate::mint;

/// A second of every format, made once.
pub fn fixtures() -> &'static [(String, Vec<u8>)] {
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
        for (n, (extension, args)) in (1..).zip(encoded) {
            // A shelf takes no sound twice.
            let (_folder, wav, _) = folder(44_100, 30_000 + 7 * n);
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
pub fn is_slow(name: &str) -> bool {
    matches!(name, "wv" | "wma" | "mka" | "dsf" | "he.m4a" | "oma")
}

/// The bytes of one of them, by its extension.
pub fn fixture(name: &str) -> &'static [u8] {
    &fixtures().iter().find(|(fixture, _)| fixture == name).expect("made").1
}

/// Changes the bytes that follow a name.
pub fn lie(bytes: &[u8], name: &[u8], skip: usize, with: &[u8]) -> Vec<u8> {
    let at = bytes.windows(name.len()).position(|window| window == name).expect("the name is there");
    let mut bytes = bytes.to_vec();
    let from = at + name.len() + skip;
    bytes[from..from + with.len()].copy_from_slice(with);
    bytes
}

/// Heads that lie, each with the extension of its file: rates of 0 and of 4 GHz, 255 channels, lengths beyond all reason.
pub fn lies() -> Vec<(&'static str, Vec<u8>)> {
    let of = fixture;
    let most = [0xff; 8];
    let long = (1u64 << 63).to_be_bytes();
    let huge = 4_000_000_000u32;
    vec![
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
    ]
}
