//! The decoders that run in this process. What the child `ffmpeg` decodes is its own affair and too slow here.

use std::io::Cursor;

use konpo::media::decode::{Block, Decoder};
use konpo::media::sniff::sniff;
use konpo::media::sound::Sound;
use konpo::track::{Codec, Container};
use konpo::units::Frames;

use crate::Target;

pub const TARGETS: [Target; 1] = [Target {
    name: "decode",
    read: decoded,
    words: &[
        b"fLaC",
        b"OggS",
        b"OpusHead",
        b"\x01vorbis",
        b"RIFF",
        b"fmt ",
        b"data",
        b"caff",
        b"desc",
        b"pakt",
        b"kuki",
        b"stsz",
        b"stts",
        b"stsc",
        b"stco",
        b"moof",
        b"trun",
        b"\xff\xfb\x90\x64",
        b"\xff\xf1",
        b"\xff\xf8\xc9\x18",
        b"Xing",
        b"LAME",
        b"VBRI",
    ],
    largest: 60_000,
    memory: 64 << 20,
}];

fn decoded(bytes: &[u8]) -> String {
    let mut sound = Sound::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), None);
    let Ok(sniffed) = sniff(&mut sound) else { return "unknown".into() };
    let (container, codec) = (sniffed.format.container, sniffed.format.codec);
    let inside = matches!(
        container,
        Container::Flac
            | Container::Mpeg
            | Container::Mp4
            | Container::Ogg
            | Container::Wav
            | Container::Aiff
    ) || matches!((container, codec), (Container::Caf, Codec::Pcm | Codec::Alac));
    let many = sniffed.format.channels.is_some_and(|channels| channels > 2);
    let low = sniffed.format.rate.is_none_or(|rate| rate.hz() <= 24_000);
    let plain = match codec {
        Codec::AacLc => !many && !low,
        Codec::Opus => !many && container == Container::Ogg,
        Codec::Mp3 => container != Container::Wav && container != Container::Aiff,
        codec => matches!(codec, Codec::Flac | Codec::Mp2 | Codec::Alac | Codec::Vorbis | Codec::Pcm),
    };
    if sniffed.gate().is_err() || !inside || !plain {
        return format!("{container:?} {codec:?} is left out");
    }
    let mut decoder = match Decoder::open(sound, &sniffed) {
        Ok(decoder) => decoder,
        Err(error) => return format!("{container:?} {codec:?} {}", error.what()),
    };
    let (mut block, mut frames) = (Block::default(), 0);
    let channels = usize::from(decoder.spec().channels);
    let mut drain = |decoder: &mut Decoder| {
        // A small file may hold much silence.
        while frames < MOST_FRAMES {
            match decoder.next(&mut block) {
                Ok(true) => frames += block.samples.len() / channels.max(1),
                Ok(false) => return "ended",
                Err(_) => return "broke",
            }
            assert!(block.samples.len().is_multiple_of(channels), "a block has whole frames");
        }
        "long"
    };
    let end = drain(&mut decoder);
    let sought = decoder.seek(Frames(1000)).is_ok();
    let again = drain(&mut decoder);
    format!("{container:?} {codec:?} {end} {} {sought} {again}", frames.checked_ilog2().unwrap_or(0))
}

/// Frames after which a decoder has shown that it goes on.
const MOST_FRAMES: usize = 300_000;
