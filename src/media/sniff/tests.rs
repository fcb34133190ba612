//! What the gate says of files made here: one row each, and no file of any bytes breaks it.

use std::io::{Cursor, Write};

use proptest::prelude::*;

use super::*;
use crate::media::purchase::purchases;
use crate::mint;

fn look(bytes: &[u8]) -> Result<Sniffed> {
    let mut sound = Sound::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), Some("mp3"));
    sniff(&mut sound)
}

fn good(bytes: &[u8]) -> Sniffed {
    look(bytes).expect("a file that konpo knows")
}

fn said(bytes: &[u8]) -> String {
    look(bytes).expect_err("refused").to_string()
}

#[test]
fn every_container_is_told_by_its_bytes() {
    let vorbis = mint::data("tone.ogg");
    for (name, bytes, container, codec, frames) in [
        ("flac", mint::data("tone.flac"), Container::Flac, Codec::Flac, Some(11_025)),
        ("flac 24", mint::data("tone-24.flac"), Container::Flac, Codec::Flac, Some(2880)),
        ("mp3 with LAME", mint::data("tone.mp3"), Container::Mpeg, Codec::Mp3, Some(11_025)),
        ("bare mp3", mint::mp3_frames(), Container::Mpeg, Codec::Mp3, Some(11_025)),
        ("aac", mint::data("tone-aac.m4a"), Container::Mp4, Codec::AacLc, None),
        ("alac", mint::data("tone-alac.m4a"), Container::Mp4, Codec::Alac, Some(11_025)),
        ("vorbis", vorbis, Container::Ogg, Codec::Vorbis, Some(11_025)),
        ("wav", mint::wav(100), Container::Wav, Codec::Pcm, Some(100)),
        ("aiff", mint::data("tone.aiff"), Container::Aiff, Codec::Pcm, Some(4410)),
        ("plain oma", mint::oma(0xffff, 0, &[0xa0; 384]), Container::Oma, Codec::Atrac3, None),
        ("wma", mint::asf(&[]), Container::Asf, Codec::Other, None),
        ("wavpack", mint::wavpack(44_100), Container::WavPack, Codec::WavPack, Some(44_100)),
        ("ape", mint::ape(3), Container::Ape, Codec::Ape, Some(2 * 73_728 + 7)),
        ("dsf", mint::dsf(2_822_400), Container::Dsf, Codec::Dsd, Some(88_200)),
        ("dff", mint::dff(2_822_400), Container::Dff, Codec::Dsd, Some(88_200)),
    ] {
        let found = good(&bytes);
        assert_eq!((found.format.container, found.format.codec), (container, codec), "{name}");
        assert_eq!(found.protection, Protection::None, "{name}");
        if let Some(frames) = frames {
            assert_eq!(found.format.frames, Some(Frames(frames)), "{name}");
        }
        assert!(found.gate().is_ok(), "{name}");
    }
}

#[test]
fn a_buyer_among_the_rights_of_a_purchase_is_personal() {
    for name in [b"name", b"user", b"tran"] {
        let pair = [&name[..], b"\0\x12\x34\x56"].concat();
        let pinf = mint::boxed(b"pinf", &mint::boxed(b"schi", &mint::boxed(b"righ", &pair)));
        let bytes = mint::insert(&mint::data("tone-aac.m4a"), &mint::ENTRY, &pinf);
        let at = bytes.windows(8).position(|part| part == pair).expect("it is there") as u64 + 4;
        let personal = good(&bytes).personal;
        let lies = |of: &PersonalBytes| of.offset.0 <= at && at + 4 <= of.offset.0 + of.length.0;
        assert!(personal.iter().any(lies), "{name:?}: {personal:?}");
    }
}

#[test]
fn a_long_ogg_file_needs_no_more_than_a_scan_may_read() {
    const MOST: u64 = 512 << 10;
    let one = mint::data("tone.ogg");
    let bytes = one.repeat(MOST as usize / one.len() + 200);
    assert!(bytes.len() as u64 > MOST + (128 << 10), "{}", bytes.len());
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&bytes).expect("written");
    let mut sound = Sound::peek(file, bytes.len() as u64, Some("ogg"), MOST).expect("opens");
    let found = sniff(&mut sound).expect("a file that konpo knows");
    assert_eq!((found.format.codec, found.format.frames), (Codec::Vorbis, Some(Frames(11_025))));
}

#[test]
fn rates_channels_and_depths_are_read() {
    let shape = |bytes: &[u8]| {
        let format = good(bytes).format;
        (format.rate.map(|rate| rate.hz()), format.channels, format.bits)
    };
    assert_eq!(shape(&mint::data("tone.flac")), (Some(44_100), Some(2), Some(16)));
    assert_eq!(shape(&mint::data("tone-24.flac")), (Some(96_000), Some(2), Some(24)));
    assert_eq!(shape(&mint::data("tone-alac.m4a")), (Some(44_100), Some(2), Some(16)));
    assert_eq!(shape(&mint::data("tone-aac.m4a")), (Some(44_100), Some(2), None));
    assert_eq!(shape(&mint::data("tone.aiff")), (Some(44_100), Some(1), Some(16)));
    assert_eq!(shape(&mint::data("tone.mp3")), (Some(44_100), Some(2), None));
    assert_eq!(shape(&mint::data("tone.ogg")), (Some(44_100), Some(2), None));
    assert_eq!(shape(&mint::wavpack(9)), (Some(44_100), Some(2), Some(16)));
    assert_eq!(shape(&mint::ape(3)), (Some(44_100), Some(2), Some(16)));
    // What konpo makes of one-bit sound.
    assert_eq!(shape(&mint::dsf(8)), (Some(88_200), Some(2), Some(1)));
    assert_eq!(shape(&mint::dff(8)), (Some(88_200), Some(2), Some(1)));
}

#[test]
fn every_lock_is_named_and_keeps_decoders_out() {
    let extended =
        [0x14, 0xe6, 0x8a, 0x29, 0x22, 0x26, 0x17, 0x4c, 0xb9, 0x35, 0xda, 0xe0, 0x7e, 0xe9, 0x28, 0x9c];
    let header: Vec<u8> =
        "<WRMHEADER version=\"4.1.0.0\"/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let play_ready = mint::asf(&mint::asf_object(extended, &header));
    let dcf = [&[1, 9, 7][..], b"audio/mp4cid:abc"].concat();
    let message = b"--boundary\r\nContent-Type: audio/mp4\r\n\r\nxxxx".to_vec();
    for (name, bytes, protection, code) in [
        ("fairplay", mint::itunes_locked(), Protection::FairPlay { user_id: Some(4711) }, "drm.fairplay"),
        (
            "cenc",
            mint::cenc(),
            Protection::Cenc { scheme: "cenc".into(), systems: vec!["Widevine".into()] },
            "drm.cenc",
        ),
        (
            "oma 2",
            mint::oma_drm_2(),
            Protection::OmaDrm2 { rights_issuer: "http://rights.example/ri".into() },
            "drm.oma",
        ),
        ("oma 1 message", message, Protection::OmaDrm1, "drm.oma"),
        ("oma 1 dcf", dcf, Protection::OmaDrm1, "drm.oma"),
        ("openmg", mint::oma(1, 1, &[0; 100]), Protection::OpenMg { word: 1 }, "drm.openmg"),
        (
            "scrambled mp3",
            mint::oma(0xfffe, 3, &mint::mp3_frames()),
            Protection::SonyObfuscatedMp3,
            "drm.sonymp3",
        ),
        (
            "windows media",
            mint::wm_drm("http://licence.example/"),
            Protection::WmDrm { license_url: "http://licence.example/".into() },
            "drm.wm",
        ),
        ("playready", play_ready, Protection::PlayReady, "drm.wm"),
        ("audible", mint::branded(&mint::data("tone-aac.m4a"), b"aax "), Protection::Audible, "drm.audible"),
        ("audible aa", b"\0\0\0\0\x57\x90\x75\x36\0\0\0\0".to_vec(), Protection::Audible, "drm.audible"),
    ] {
        let found = good(&bytes);
        assert_eq!(found.protection, protection, "{name}");
        assert_eq!(found.protection.code(), Some(code), "{name}");
        assert_eq!(found.gate().expect_err("locked").kind(), Kind::Unsupported, "{name}");
        let decoder = Sound::new(Cursor::new(bytes.clone()), Some(bytes.len() as u64), None);
        assert!(crate::media::decode::Decoder::open(decoder, &found).is_err(), "{name} reached a decoder");
    }
}

#[test]
fn a_carriers_mark_lets_the_file_play_here() {
    let found = good(&mint::branded(&mint::data("tone-aac.m4a"), b"KDDI"));
    assert_eq!(found.protection, Protection::CarrierCopyGuard);
    assert!(found.gate().is_ok());
}

#[test]
fn a_purchase_without_a_lock_plays_and_proves_the_buy() {
    let bytes = mint::itunes_plus();
    let found = good(&bytes);
    assert_eq!(found.protection, Protection::None);
    let [purchase] = &purchases(&found, &[])[..] else { panic!("one purchase") };
    assert_eq!((purchase.store.as_str(), purchase.country.as_deref()), ("itunes", Some("JP")));
    assert_eq!(purchase.bought_at.as_deref(), Some("2007-10-16 12:34:56"));
    assert_eq!(purchase.item_id.as_deref(), Some("123456"));
    assert_eq!(purchase.album_id.as_deref(), Some("9000000001"));
    assert_eq!(purchase.transaction_id.as_deref(), Some("777001"));
    assert_eq!(purchase.account.as_deref(), Some("user@example.com"));
    let shown = serde_json::to_string(&purchase.without_personal()).expect("plain data");
    for personal in ["user@example.com", "Hanako", "777001", "4711"] {
        assert!(!shown.contains(personal), "{personal} is shown to others");
    }
    let text = |at: u64, length: u64| {
        String::from_utf8_lossy(&bytes[at as usize..(at + length) as usize]).into_owned()
    };
    let personal: Vec<String> = found.personal.iter().map(|p| text(p.offset.0, p.length.0)).collect();
    for name in ["user@example.com", "Hanako Yamada"] {
        assert!(personal.iter().any(|bytes| bytes.starts_with(name)), "{name} lies nowhere: {personal:?}");
    }
    assert_eq!(personal.len(), 5, "apID, ownr, user, name, tran");
}

#[test]
fn a_locked_purchase_keeps_its_title_and_its_proof() {
    let found = good(&mint::itunes_locked());
    let tags = tags_of_locked(&found);
    assert_eq!((tags.title.as_deref(), tags.artist.as_deref()), (Some("夜"), Some("Aimer")));
    assert_eq!((tags.album.as_deref(), tags.track, tags.tracks), (Some("Test"), Some(3), Some(12)));
    assert_eq!(purchases(&found, &[])[0].item_id.as_deref(), Some("123456"));
    let sony = tags_of_locked(&good(&mint::oma(1, 1, &[0; 100])));
    assert_eq!((sony.title.as_deref(), sony.artist.as_deref()), (Some("夜空"), Some("Singer")));
}

#[test]
fn amazon_and_bandcamp_are_recognised_by_what_they_write() {
    let found = good(&mint::amazon());
    let [purchase] = &purchases(&found, &[])[..] else { panic!("one purchase") };
    assert_eq!((purchase.store.as_str(), purchase.item_id.as_deref()), ("amazon", Some("207891234")));
    assert_eq!(purchase.bought_at, None, "the epoch means not known");
    assert_eq!(purchase.transaction_id.as_deref(), Some("T-9"));
    assert_eq!(found.personal.len(), 1);
    let with = |comment: &str| {
        let body = [&b"\x03eng\0"[..], comment.as_bytes()].concat();
        let bytes = [mint::tag(b"ID3", &mint::frame(b"COMM", &body)), mint::mp3_frames()].concat();
        purchases(&good(&bytes), &[]).into_iter().map(|p| p.store).collect::<Vec<_>>()
    };
    assert_eq!(with("Visit https://singer.bandcamp.com"), ["bandcamp"]);
    for none in [
        "Visit https://bandcamp.com.evil.example",
        "Visit https://evilbandcamp.com",
        "I like bandcamp.com",
        "Amazon.com Song ID: x",
        "",
    ] {
        assert_eq!(with(none), Vec::<String>::new(), "{none}");
    }
    assert!(purchases(&good(&mint::data("tone-aac.m4a")), &[]).is_empty());
}

#[test]
fn what_is_broken_or_no_music_says_so_in_words() {
    for (bytes, words) in [
        (vec![], "the file is empty"),
        (vec![0; 4096], "nothing but zeros"),
        (b"Hello, this is a shopping list.\nMilk\n".to_vec(), "looks like text"),
        (b"<!DOCTYPE html><html>".to_vec(), "looks like a web page"),
        (b"\x89PNG\r\n\x1a\n0000000000000".to_vec(), "looks like a picture"),
        (b"PK\x03\x04000000000000000".to_vec(), "looks like a ZIP archive"),
        (mint::cut(&mint::data("tone.flac"), 60), "the FLAC file breaks off"),
        (mint::cut(&mint::data("tone-aac.m4a"), 60), "the MP4 file breaks off"),
        (mint::cut(&mint::wav(1000), 60), "the WAV file breaks off"),
        (mint::cut(&mint::data("tone.aiff"), 60), "the AIFF file breaks off"),
        (b"OggS\0\x02".to_vec(), "the Ogg file breaks off"),
        (mint::tag(b"ID3", &[0; 100])[..60].to_vec(), "breaks off inside its tag"),
    ] {
        let said = said(&bytes);
        assert!(said.contains(words), "{said:?} does not say {words:?}");
    }
}

#[test]
fn tags_do_not_count_as_audio() {
    let bare = mint::mp3_frames();
    let mut id3v1 = b"TAG".to_vec();
    id3v1.resize(128, 0);
    let tagged = [mint::tag(b"ID3", &mint::frame(b"TIT2", b"\0Song")), bare.clone(), id3v1].concat();
    let (plain, wrapped) = (good(&bare), good(&tagged));
    let slice =
        |bytes: &[u8], range: std::ops::Range<u64>| bytes[range.start as usize..range.end as usize].to_vec();
    assert_eq!(slice(&bare, plain.audio), slice(&tagged, wrapped.audio));
}

#[test]
fn gapless_numbers_of_itunes_outrank_the_edit_list() {
    let plain = good(&mint::data("tone-aac.m4a"));
    assert_eq!(plain.gapless.map(|gapless| gapless.delay), Some(1024));
    let smpb = b" 00000000 00000840 000002E0 00000000000028E0 00000000";
    let inner = [
        mint::boxed(b"mean", b"\0\0\0\0com.apple.iTunes"),
        mint::boxed(b"name", b"\0\0\0\0iTunSMPB"),
        mint::boxed(b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0][..], smpb].concat()),
    ];
    let list: [&[u8]; 4] = [b"moov", b"udta", b"meta", b"ilst"];
    let bytes = mint::insert(&mint::data("tone-aac.m4a"), &list, &mint::boxed(b"----", &inner.concat()));
    // 0x840 + 0x2e0 + 0x28e0 is 13 frames of 1024.
    let want = Gapless { delay: 0x840, padding: 0x2e0, frames: Some(Frames(0x28e0)) };
    assert_eq!(good(&bytes).gapless, Some(want));
}

fn corpus() -> Vec<Vec<u8>> {
    vec![
        mint::itunes_plus(),
        mint::itunes_locked(),
        mint::cenc(),
        mint::oma_drm_2(),
        mint::amazon(),
        mint::oma(1, 1, &[0; 100]),
        mint::wm_drm("http://x/"),
        mint::data("tone.flac"),
        mint::data("tone.ogg"),
        mint::data("tone.mp3"),
        mint::data("tone.aiff"),
        mint::wav(50),
        [mint::wav(50), b"id3 \x2a\0\0\0".to_vec(), mint::tag(b"ID3", &mint::frame(b"TIT2", &[0; 22]))]
            .concat(),
        mint::insert(&mint::cenc(), &[b"moov"], &mp4_track(&mint::itunes_locked())),
        [mint::tag(b"ID3", &mint::frame(b"TIT2", b"\0Song")), mint::amazon()].concat(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_file_breaks_the_gate(
        which in 0usize..15, edits in prop::collection::vec((any::<u16>(), any::<u8>()), 0..12), keep in 0usize..=100,
    ) {
        let mut bytes = corpus().swap_remove(which);
        for (at, value) in edits {
            let len = bytes.len();
            bytes[usize::from(at) % len] = value;
        }
        if let Ok(found) = look(&mint::cut(&bytes, keep)) {
            prop_assert!(found.audio.start <= found.audio.end);
            let _facts = purchases(&found, &[]);
            let _tags = tags_of_locked(&found);
        }
    }

    #[test]
    fn noise_is_no_music(bytes in prop::collection::vec(any::<u8>(), 1..600)) {
        let _either_way = look(&bytes);
    }
}

fn mp4_track(file: &[u8]) -> Vec<u8> {
    let at = file.windows(4).position(|w| w == b"trak").expect("a track") - 4;
    let size = u32::from_be_bytes(file[at..at + 4].try_into().expect("4")) as usize;
    file[at..at + size].to_vec()
}

#[test]
fn a_lock_anywhere_in_the_movie_locks_the_file() {
    let plain = mint::data("tone-aac.m4a");
    let sample_tables: [&[u8]; 6] = [b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd"];
    for name in [b"drms", b"drmi", b"enca", b"encv", b"aavd"] {
        let second_entry = mint::insert(&plain, &sample_tables, &mint::boxed(name, &[0; 28]));
        assert!(good(&second_entry).gate().is_err(), "{name:?} behind a clear entry");
        let mut track = mp4_track(&plain);
        let at = track.windows(4).position(|w| w == b"stsd").expect("stsd") + 16;
        track[at..at + 4].copy_from_slice(name);
        let second_track = mint::insert(&plain, &[b"moov"], &track);
        assert!(good(&second_track).gate().is_err(), "{name:?} in a second track");
    }
}

#[test]
fn a_track_behind_the_sound_does_not_change_its_length() {
    let plain = mint::data("tone-aac.m4a");
    let mut chapters = mp4_track(&plain);
    let place = |track: &[u8], name: &[u8]| track.windows(4).position(|w| w == name).expect("a box");
    let entry = place(&chapters, b"stsd") + 16;
    chapters[entry..entry + 4].copy_from_slice(b"text");
    // mdhd: name, version, two times, then the scale. elst: name, version, count, duration, media time.
    let scale = place(&chapters, b"mdhd") + 4 + 12;
    chapters[scale..scale + 4].copy_from_slice(&1000u32.to_be_bytes());
    let media_time = place(&chapters, b"elst") + 4 + 12;
    chapters[media_time..media_time + 4].copy_from_slice(&500u32.to_be_bytes());
    let (one, two) = (good(&plain), good(&mint::insert(&plain, &[b"moov"], &chapters)));
    assert_eq!(two.gapless, one.gapless);
    assert_eq!(two.format, one.format);
}

#[test]
fn store_numbers_have_no_sign() {
    let file = mint::atom(&mint::itunes_plus(), b"atID", 21, &0xf000_0000u32.to_be_bytes());
    let found = good(&file);
    let number = found.raw.iter().find(|tag| tag.place == "mp4:ilst/atID").map(|tag| tag.value.clone());
    assert_eq!(number, Some(RawValue::Number(0xf000_0000)));
}

#[test]
fn sound_that_looks_like_a_frame_header_does_not_make_a_flac_short() {
    // A header of frame 0 with a right CRC-8, as it may stand by chance in the last frame's samples.
    let chance = [0xff, 0xf8, 0xc9, 0x18, 0x00, 0xc2];
    let bytes = [mint::data("tone.flac"), chance.to_vec(), vec![0x55; 16]].concat();
    assert_eq!(good(&bytes).format.frames, Some(Frames(11_025)));
    let all_short = [mint::cut(&mint::data("tone.flac"), 60), chance.to_vec(), vec![0x55; 16]].concat();
    assert!(said(&all_short).contains("breaks off"));
}

#[test]
fn a_tail_that_claims_more_than_the_file_is_not_believed() {
    let mut tail = b"APETAGEX".to_vec();
    tail.extend_from_slice(&2000u32.to_le_bytes());
    tail.extend_from_slice(&u32::MAX.to_le_bytes());
    tail.resize(32, 0);
    let found = good(&[vec![0x55; 10], mint::mp3_frames(), tail].concat());
    assert!(found.audio.start < found.audio.end);
    assert!(found.format.duration().is_none_or(|time| time < crate::units::Millis(60_000)));
}

#[test]
fn a_second_tag_is_passed_over() {
    let cover = mint::frame(b"APIC", &[0x55; 100_000]);
    let tags = [mint::tag(b"ID3", &mint::frame(b"TIT2", b"\0Song")), mint::tag(b"ID3", &cover)].concat();
    let found = good(&[tags.clone(), mint::mp3_frames()].concat());
    assert_eq!((found.format.codec, found.audio.start), (Codec::Mp3, tags.len() as u64));
}

#[test]
fn the_buyers_bytes_are_marked_in_an_unsynchronised_tag_too() {
    let mut bytes = mint::amazon();
    bytes[5] |= 0x80;
    assert_eq!(good(&bytes).personal, good(&mint::amazon()).personal);
}

#[test]
fn tags_in_chunks_of_wav_and_aiff_are_read() {
    let comment = mint::frame(b"COMM", b"\0eng\0Visit https://singer.bandcamp.com");
    let tag = mint::tag(b"ID3", &comment);
    let even = [tag.clone(), vec![0; tag.len() % 2]].concat();
    let wav = [mint::wav(100), b"id3 ".to_vec(), (tag.len() as u32).to_le_bytes().to_vec(), even.clone()];
    let aiff = [mint::data("tone.aiff"), b"ID3 ".to_vec(), (tag.len() as u32).to_be_bytes().to_vec(), even];
    for bytes in [wav.concat(), aiff.concat()] {
        let found = good(&bytes);
        assert_eq!(purchases(&found, &[]).len(), 1);
        assert_eq!(found.format.frames, good(&bytes[..bytes.len() - tag.len()]).format.frames);
    }
}
