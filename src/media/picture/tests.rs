use std::io::Cursor;

use lofty::config::WriteOptions;
use lofty::picture::{Picture, PictureType};
use lofty::tag::{Tag, TagExt, TagType};
use proptest::prelude::*;

use super::*;
use crate::error::Kind;
use crate::media::sniff::sniff;
use crate::mint;

/// Something that begins like a JPEG and ends with a word, with bytes that unsynchronisation changes.
fn picture(word: &str) -> Vec<u8> {
    [b"\xff\xd8\xff\xe0\0\x10JFIF\0\xff\0\xff\xc0\xff\0\0", word.as_bytes()].concat()
}

fn cover(file: &[u8]) -> Option<Vec<u8>> {
    let mut sound = Sound::new(Cursor::new(file.to_vec()), Some(file.len() as u64), None);
    let sniffed = sniff(&mut sound).expect("a file that konpo knows");
    embedded(&mut sound, &sniffed).expect("damage is no error")
}

/// The cover of bytes that need not be a file: the container is said.
fn cover_in(file: &[u8], container: Container) -> Option<Vec<u8>> {
    let mut sound = Sound::new(Cursor::new(file.to_vec()), Some(file.len() as u64), None);
    let wav = mint::wav(8);
    let mut plain = Sound::new(Cursor::new(wav.clone()), Some(wav.len() as u64), None);
    let mut sniffed = sniff(&mut plain).expect("a WAV");
    sniffed.format.container = container;
    embedded(&mut sound, &sniffed).expect("damage is no error")
}

/// A file with these pictures, written by lofty.
fn written(file: Vec<u8>, tag_type: TagType, pictures: &[(PictureType, &str)]) -> Vec<u8> {
    let mut tag = Tag::new(tag_type);
    for (kind, word) in pictures {
        tag.push_picture(Picture::unchecked(picture(word)).pic_type(*kind).build());
    }
    let mut file = Cursor::new(file);
    tag.save_to(&mut file, WriteOptions::default()).expect("written");
    file.into_inner()
}

/// A picture block of FLAC.
fn block(kind: u32, word: &str) -> Vec<u8> {
    let data = picture(word);
    let text = |text: &[u8]| [&(text.len() as u32).to_be_bytes()[..], text].concat();
    [&kind.to_be_bytes()[..], &text(b"image/jpeg"), &text("表紙".as_bytes()), &[0; 16], &text(&data)].concat()
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits =
            three.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for letter in 0..4 {
            let pad = letter > three.len();
            text.push(if pad { '=' } else { char::from(LETTERS[(bits >> (18 - 6 * letter) & 63) as usize]) });
        }
    }
    text
}

/// Ogg pages with `most` segments each, between pages of another stream. No checksums: nobody here checks them.
fn ogg(packets: &[Vec<u8>], most: usize) -> Vec<u8> {
    let mut segments: Vec<(u8, &[u8])> = Vec::new();
    for packet in packets {
        segments.extend(packet.chunks_exact(255).map(|chunk| (255, chunk)));
        let rest = packet.chunks_exact(255).remainder();
        segments.push((rest.len() as u8, rest));
    }
    let page = |serial: u32, segments: &[(u8, &[u8])]| {
        let mut page = b"OggS\0\0\0\0\0\0\0\0\0\0".to_vec();
        page.extend_from_slice(&serial.to_le_bytes());
        page.extend_from_slice(&[0; 8]);
        page.push(segments.len() as u8);
        page.extend(segments.iter().map(|(length, _)| *length));
        segments.iter().for_each(|(_, bytes)| page.extend_from_slice(bytes));
        page
    };
    let pages = segments.chunks(most).map(|segments| [page(7, segments), page(8, &[(3, b"abc")])].concat());
    pages.collect::<Vec<_>>().concat()
}

fn comment_list(comments: &[String]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let count = (comments.len() as u32).to_le_bytes();
    [text("vendor"), count.to_vec(), comments.iter().flat_map(|comment| text(comment)).collect()].concat()
}

fn opus(comments: &[String], most: usize) -> Vec<u8> {
    let head = b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0".to_vec();
    ogg(&[head, [b"OpusTags".to_vec(), comment_list(comments)].concat(), vec![1; 300]], most)
}

/// A file with an APEv2 tag behind it.
fn ape(file: &[u8], pictures: &[(&str, &str)]) -> Vec<u8> {
    let item = |key: &str, flags: u32, value: &[u8]| {
        [&(value.len() as u32).to_le_bytes()[..], &flags.to_le_bytes(), key.as_bytes(), &[0], value].concat()
    };
    let mut items = item("Title", 0, b"x");
    for (kind, word) in pictures {
        items.extend(item(&format!("Cover Art ({kind})"), 2, &[b"cover.jpg\0", &picture(word)[..]].concat()));
    }
    let size = (items.len() as u32 + 32).to_le_bytes();
    let count = (pictures.len() as u32 + 1).to_le_bytes();
    let footer = [b"APETAGEX", &2000u32.to_le_bytes()[..], &size, &count, &[0; 12]].concat();
    [file, &items, &footer].concat()
}

#[test]
fn the_front_cover_comes_out_of_every_container() {
    let three =
        [(PictureType::Icon, "icon"), (PictureType::CoverBack, "back"), (PictureType::CoverFront, "front")];
    for (name, tag_type) in [
        ("tone.flac", TagType::VorbisComments),
        ("tone.ogg", TagType::VorbisComments),
        ("tone.mp3", TagType::Id3v2),
        ("tone.aiff", TagType::Id3v2),
    ] {
        let file = written(mint::data(name), tag_type, &three);
        assert_eq!(cover(&file), Some(picture("front")), "{name}");
        assert_eq!(cover(&mint::data(name)), None, "{name}");
        let mut sound = Sound::new(Cursor::new(file.clone()), Some(file.len() as u64), None);
        let container = sniff(&mut sound).expect("known").format.container;
        assert!(notice::any(&mut sound, container).expect("read"), "{name}");
    }
    let wav = written(mint::wav(100), TagType::Id3v2, &three);
    assert_eq!(cover(&wav), Some(picture("front")), "WAV");
    let ape = ape(&mint::mp3_frames(), &[("Back", "back"), ("Front", "front")]);
    assert_eq!(cover(&ape), Some(picture("front")), "APE");
    let before_id3v1 = [ape, b"TAG".to_vec(), vec![0; 125]].concat();
    assert_eq!(cover(&before_id3v1), Some(picture("front")), "APE in front of ID3v1");
    let mp4 = written(mint::data("tone-aac.m4a"), TagType::Mp4Ilst, &[(PictureType::Other, "front")]);
    assert_eq!(cover(&mp4), Some(picture("front")), "MP4");
    let tag =
        mint::tag(b"ID3", &mint::frame(b"APIC", &[b"\0image/jpeg\0\x03\0", &picture("dsf")[..]].concat()));
    let dsf = [b"DSD \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(), 28u64.to_le_bytes().to_vec(), tag].concat();
    assert_eq!(cover_in(&dsf, Container::Dsf), Some(picture("dsf")), "DSF");
}

#[test]
fn what_mutagen_wrote_is_found() {
    let jpeg = mint::data("../fuzz/corpus/picture/grey.jpg");
    for name in ["ape.mp3", "cover.flac", "cover.m4a", "cover.mp3", "cover.opus", "cover.wav"] {
        let file = mint::data(&format!("../fuzz/corpus/sniff/{name}"));
        assert_eq!(cover(&file).as_ref(), Some(&jpeg), "{name}");
    }
}

#[test]
fn a_kind_is_chosen_and_what_is_no_picture_is_passed_over() {
    let mp3 = |frames: &[(u8, &[u8])]| {
        let frames = frames
            .iter()
            .map(|(kind, data)| mint::frame(b"APIC", &[b"\0image/jpeg\0", &[*kind, 0][..], data].concat()));
        [mint::tag(b"ID3", &frames.collect::<Vec<_>>().concat()), mint::mp3_frames()].concat()
    };
    for (kinds, want) in [
        (&[(1, "icon"), (4, "back"), (0, "other"), (3, "front")][..], "front"),
        (&[(1, "icon"), (4, "back"), (0, "other")], "other"),
        (&[(1, "icon"), (4, "back"), (5, "leaflet")], "back"),
        (&[(1, "icon"), (2, "icon 2")], "icon"),
        (&[(3, "front"), (3, "front 2")], "front"),
    ] {
        let pictures: Vec<_> = kinds.iter().map(|(kind, word)| (*kind, picture(word))).collect();
        let frames: Vec<_> = pictures.iter().map(|(kind, data)| (*kind, &data[..])).collect();
        assert_eq!(cover(&mp3(&frames)), Some(picture(want)));
    }
    // A link, or anything else that is no picture, is none.
    assert_eq!(
        cover(&mp3(&[(3, b"http://example.com/a.jpg"), (0, &picture("here"))])),
        Some(picture("here"))
    );
    assert_eq!(cover(&mp3(&[(3, b"nothing")])), None);
}

#[test]
fn every_version_of_id3_and_its_unsynchronisation_is_read() {
    let stuffed = |bytes: &[u8]| {
        let mut out = Vec::new();
        for (at, &byte) in bytes.iter().enumerate() {
            out.push(byte);
            if byte == 0xff && bytes.get(at + 1).is_none_or(|&next| next == 0 || next >= 0xe0) {
                out.push(0);
            }
        }
        out
    };
    let tag = |version: u8, flags: u8, body: &[u8]| {
        let size = [0, (body.len() >> 14) as u8, (body.len() >> 7) as u8 & 0x7f, body.len() as u8 & 0x7f];
        [b"ID3", &[version, 0, flags][..], &size, body, &mint::mp3_frames()].concat()
    };
    let size = |n: usize| [0, 0, (n >> 7) as u8, n as u8 & 0x7f];
    let frame = |flags: [u8; 2], data: &[u8]| [b"APIC", &size(data.len())[..], &flags, data].concat();
    let want = picture("日本 front");
    let wide = [&b"\x01image/jpeg\0\x03\xff\xfe\x68\x88\0\0"[..], &want].concat();
    let plain = [&b"\0image/jpeg\0\x03cover\0"[..], &want].concat();
    let old = [&b"\0JPG\x03cover\0"[..], &want].concat();
    let old = [b"PIC\0\0", &[old.len() as u8][..], &old].concat();
    let third = mint::frame(b"APIC", &wide);
    let text = b"TIT2\0\0\0\x02\0\0\x03x".to_vec();
    let length = [&size(plain.len())[..], &stuffed(&plain)].concat();
    let long = [&b"\0image/jpeg\0\x03\0"[..], &picture(&"long ".repeat(60))].concat();
    let careless = [b"APIC", &(long.len() as u32).to_be_bytes()[..], &[0, 0], &long, &text].concat();
    for (what, file, want) in [
        ("2.2", tag(2, 0, &old), &want),
        ("2.2 unsynchronised", tag(2, 0x80, &stuffed(&old)), &want),
        ("2.3 in UTF-16", tag(3, 0, &third), &want),
        ("2.3 unsynchronised", tag(3, 0x80, &stuffed(&third)), &want),
        (
            "2.3 with an extended head",
            tag(3, 0x40, &[&[0, 0, 0, 6, 0, 0, 0, 0, 0, 0][..], &third].concat()),
            &want,
        ),
        ("2.4", tag(4, 0, &[text.clone(), frame([0, 0], &plain)].concat()), &want),
        ("2.4 frame unsynchronised", tag(4, 0, &frame([0, 2], &stuffed(&plain))), &want),
        ("2.4 with a length", tag(4, 0x80, &frame([0, 3], &length)), &want),
        ("2.4 that says so and is not", tag(4, 0x80, &frame([0, 0], &plain)), &want),
        ("2.4 with a plain size", tag(4, 0, &careless), &picture(&"long ".repeat(60))),
        (
            "a broken tag in front",
            [mint::tag(b"ID3", b"APIC\xff\xff\xff\xff\0\0"), tag(4, 0, &frame([0, 0], &plain))].concat(),
            &want,
        ),
    ] {
        assert_eq!(cover(&file).as_ref(), Some(want), "{what}");
    }
    assert_eq!(cover(&tag(4, 0, &frame([0, 8], &plain))), None, "compressed");
}

#[test]
fn ogg_pictures_lie_over_many_pages() {
    let long = "front ".repeat(9000);
    let comments = |name: &str| {
        vec![
            "TITLE=x".into(),
            format!("METADATA_BLOCK_PICTURE={}", base64(&block(4, "back"))),
            format!("{name}={}", base64(&block(3, &long))),
            "ARTIST=y".into(),
        ]
    };
    for most in [1, 7, 255] {
        assert_eq!(
            cover_in(&opus(&comments("metadata_block_picture"), most), Container::Ogg),
            Some(picture(&long))
        );
    }
    assert_eq!(cover_in(&opus(&comments("OTHER"), 255), Container::Ogg), Some(picture("back")));
    let bare = vec![format!("COVERART={}", base64(&picture("bare")))];
    assert_eq!(cover_in(&opus(&bare, 255), Container::Ogg), Some(picture("bare")));
    let front = block(3, &long);
    let head = |kind: u8, size: usize| [&[kind][..], &(size as u32).to_be_bytes()[1..]].concat();
    let flac = [
        b"\x7fFLAC\x01\0\0\x02fLaC".to_vec(),
        [head(4, 4), comment_list(&["TITLE=x".into()])].concat(),
        [head(0x86, front.len()), front].concat(),
        vec![0xff, 0xf8],
    ];
    assert_eq!(cover_in(&ogg(&flac, 9), Container::Ogg), Some(picture(&long)));
}

#[test]
fn flac_pictures_stand_beside_a_tag_in_front() {
    let stream = mint::data("tone.flac");
    let front = block(3, "front");
    let size = (front.len() as u32).to_be_bytes();
    let blocks = [&stream[..42], &[6], &size[1..], &front, &stream[42..]].concat();
    assert_eq!(cover(&blocks), Some(picture("front")));
    let tag =
        mint::tag(b"ID3", &mint::frame(b"APIC", &[b"\0image/jpeg\0\0\0", &picture("tag")[..]].concat()));
    assert_eq!(cover(&[tag.clone(), blocks].concat()), Some(picture("front")));
    assert_eq!(cover(&[tag, stream].concat()), Some(picture("tag")));
}

#[test]
fn a_picture_that_is_too_large_or_cut_off_is_none() {
    let huge = [picture(""), vec![1; LARGEST as usize]].concat();
    let frame = mint::frame(b"APIC", &[b"\0image/jpeg\0\x03\0", &huge[..]].concat());
    let small = mint::frame(b"APIC", &[b"\0image/jpeg\0\x04\0", &picture("small")[..]].concat());
    let file = [mint::tag(b"ID3", &[frame, small].concat()), mint::mp3_frames()].concat();
    assert_eq!(cover(&file), Some(picture("small")));
    let file = written(mint::data("tone-aac.m4a"), TagType::Mp4Ilst, &[(PictureType::Other, "front")]);
    let mut claims = file.clone();
    let at = claims.windows(4).position(|name| name == b"covr").expect("there");
    claims[at - 4..at].copy_from_slice(&[0x7f; 4]);
    claims[at + 4..at + 8].copy_from_slice(&[0x7f; 4]);
    assert_eq!(cover_in(&claims, Container::Mp4).map(|picture| picture.len() < 500), Some(true));
    let flac =
        written(mint::data("tone.flac"), TagType::VorbisComments, &[(PictureType::CoverFront, "front")]);
    let at = flac.windows(4).position(|word| word == b"JFIF").expect("there");
    assert_eq!(cover_in(&flac[..at], Container::Flac), None);
}

#[test]
fn a_protected_file_is_not_read() {
    let file = mint::itunes_locked();
    let mut sound = Sound::new(Cursor::new(file.clone()), Some(file.len() as u64), None);
    let sniffed = sniff(&mut sound).expect("known");
    assert_eq!(embedded(&mut sound, &sniffed).expect_err("the gate is shut").kind(), Kind::Unsupported);
}

#[test]
fn base64_is_read_with_line_ends_and_refused_with_anything_else() {
    for (text, want) in
        [("SGFsbG8=", Some("Hallo")), ("SGFs\r\nbG8", Some("Hallo")), ("", Some("")), ("SG!s", None)]
    {
        let mut bytes = text.as_bytes().to_vec();
        let decoded = ogg::decode(&mut bytes).map(|()| bytes);
        assert_eq!(decoded.as_deref(), want.map(str::as_bytes), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn no_mutation_makes_the_walk_fail(
        which in 0usize..6,
        wounds in proptest::collection::vec((0usize..1200, any::<u8>()), 1..16),
    ) {
        let front = [(PictureType::CoverFront, "front")];
        let (mut file, container) = match which {
            0 => (written(mint::data("tone.flac"), TagType::VorbisComments, &front), Container::Flac),
            1 => (written(mint::data("tone.ogg"), TagType::VorbisComments, &front), Container::Ogg),
            2 => (written(mint::data("tone.mp3"), TagType::Id3v2, &front), Container::Mpeg),
            3 => (ape(&mint::mp3_frames(), &[("Front", "front")]), Container::Ape),
            4 => (written(mint::wav(100), TagType::Id3v2, &front), Container::Wav),
            _ => (written(mint::data("tone-aac.m4a"), TagType::Mp4Ilst, &front), Container::Mp4),
        };
        let length = file.len();
        // WAV, APE and MP4 keep their tags at the end.
        let back = if which > 2 { length.saturating_sub(1200) } else { 0 };
        wounds.iter().for_each(|(at, byte)| file[(at + back) % length] = *byte);
        let found = cover_in(&file, container);
        prop_assert!(found.is_none_or(|picture| is_picture(&picture)));
    }

    #[test]
    fn base64_comes_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut text = base64(&bytes).into_bytes();
        prop_assert_eq!(ogg::decode(&mut text), Some(()));
        prop_assert_eq!(text, bytes);
    }
}
