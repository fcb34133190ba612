use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::track::{AudioFormat, Protection};

const MP3: &[u8] = include_bytes!("../../../tests/data/tone.mp3");
const FLAC: &[u8] = include_bytes!("../../../tests/data/tone.flac");
const OGG: &[u8] = include_bytes!("../../../tests/data/tone.ogg");
const M4A: &[u8] = include_bytes!("../../../tests/data/tone-aac.m4a");
const AIFF: &[u8] = include_bytes!("../../../tests/data/tone.aiff");

fn sniffed(container: Container, codec: Codec, protection: Protection) -> Sniffed {
    Sniffed {
        format: AudioFormat { container, codec, rate: None, channels: None, bits: None, frames: None },
        protection,
        audio: 0..0,
        purchase: None,
        personal: Vec::new(),
        aac: None,
        gapless: None,
        raw: Vec::new(),
    }
}

fn tags(bytes: &[u8], container: Container, codec: Codec) -> Tags {
    let mut sound = Sound::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), None);
    read(&mut sound, &sniffed(container, codec, Protection::None)).expect("tags never fail").0
}

/// An ID3v2.4 tag in front of nothing.
fn id3(frames: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let synchsafe =
        |n: usize| [(n >> 21) as u8 & 0x7f, (n >> 14) as u8 & 0x7f, (n >> 7) as u8 & 0x7f, n as u8 & 0x7f];
    let mut body = Vec::new();
    for (id, content) in frames {
        body.extend_from_slice(*id);
        body.extend_from_slice(&synchsafe(content.len()));
        body.extend_from_slice(&[0, 0]);
        body.extend_from_slice(content);
    }
    let mut tag = b"ID3\x04\0\0".to_vec();
    tag.extend_from_slice(&synchsafe(body.len()));
    tag.append(&mut body);
    tag
}

fn mp3(frames: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    let start = 10 + MP3[6..10].iter().fold(0, |size, byte| size << 7 | usize::from(*byte));
    let mut bytes = id3(frames);
    bytes.extend_from_slice(&MP3[start..]);
    bytes
}

#[test]
fn the_same_tags_come_out_of_every_container() {
    for (bytes, container, codec) in [
        (MP3, Container::Mpeg, Codec::Mp3),
        (FLAC, Container::Flac, Codec::Flac),
        (OGG, Container::Ogg, Codec::Vorbis),
        (M4A, Container::Mp4, Codec::AacLc),
    ] {
        let tags = tags(bytes, container, codec);
        let words = [&tags.title, &tags.artist, &tags.album, &tags.date].map(|word| word.as_deref());
        assert_eq!(words, [Some("夜"), Some("Aimer"), Some("Test"), Some("2026-11-21")], "{container:?}");
        assert_eq!((tags.track, tags.tracks), (Some(3), Some(12)), "{container:?}");
        assert_eq!(tags.artists, ["Aimer"]);
        assert!(!tags.has_picture && !tags.compilation);
    }
    let aiff = tags(AIFF, Container::Aiff, Codec::Pcm);
    assert_eq!((aiff.title.as_deref(), aiff.track), (Some("夜"), Some(3)));
}

#[test]
fn id3_gives_lists_codes_loudness_and_readings() {
    let tags = tags(
        &mp3(&[
            (b"TPE1", b"\x03Aimer\0milet"),
            (b"TSRC", b"\x03jpb600600123"),
            (b"TCMP", b"\x031"),
            (b"TSOP", "\u{3}えめ".as_bytes()),
            (b"TPOS", b"\x032/2"),
            (b"TXXX", b"\x03replaygain_track_gain\0-6.00 dB"),
            (b"TXXX", b"\x03REPLAYGAIN_TRACK_PEAK\x000.5"),
            (b"COMM", b"\x03eng\0hello"),
            (b"COMM", b"\x03engiTunNORM\0 00000000"),
            (b"TCON", b"\x03J-Pop\0Rock"),
            (b"APIC", b"\0image/png\0\x03\0not a picture"),
        ]),
        Container::Mpeg,
        Codec::Mp3,
    );
    assert_eq!(tags.artists, ["Aimer", "milet"]);
    assert_eq!(tags.isrc.as_deref(), Some("JPB600600123"));
    assert!(tags.compilation && tags.has_picture);
    assert_eq!(tags.artist_sort.as_deref(), Some("えめ"));
    assert_eq!((tags.disc, tags.discs), (Some(2), Some(2)));
    assert_eq!(tags.track_gain.map(|gain| gain.0), Some(-1536));
    assert_eq!(tags.track_peak, Some(0.5));
    assert_eq!(tags.comment.as_deref(), Some("hello"));
    assert_eq!(tags.genres, ["J-Pop", "Rock"]);
}

#[test]
fn a_broken_tag_is_no_tag() {
    assert_eq!(tags(&MP3[..20], Container::Mpeg, Codec::Mp3), Tags::default());
    assert_eq!(tags(b"fLaC", Container::Flac, Codec::Flac), Tags::default());
    assert_eq!(tags(&[], Container::Mp4, Codec::AacLc), Tags::default());
}

#[test]
fn a_protected_file_is_not_read() {
    let mut sound = Sound::new(Cursor::new(M4A.to_vec()), Some(M4A.len() as u64), None);
    let locked = sniffed(Container::Mp4, Codec::AacLc, Protection::FairPlay { user_id: None });
    let refused = read(&mut sound, &locked).map(|_| ()).expect_err("the gate is shut");
    assert_eq!(refused.kind(), Kind::Unsupported);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_mutation_makes_tags_fail(
        which in 0usize..5,
        wounds in proptest::collection::vec((0usize..900, any::<u8>()), 1..16),
    ) {
        let (bytes, container, codec) = [
            (MP3, Container::Mpeg, Codec::Mp3),
            (FLAC, Container::Flac, Codec::Flac),
            (OGG, Container::Ogg, Codec::Vorbis),
            (M4A, Container::Mp4, Codec::AacLc),
            (AIFF, Container::Aiff, Codec::Pcm),
        ][which];
        let mut bytes = bytes.to_vec();
        // MP4 keeps its tags at the end.
        let back = if container == Container::Mp4 { bytes.len() - 900 } else { 0 };
        wounds.iter().for_each(|(at, byte)| bytes[at + back] = *byte);
        let tags = tags(&bytes, container, codec);
        prop_assert!(tags.title.is_none_or(|title| !title.is_empty()));
    }
}
