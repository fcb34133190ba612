use std::io::Cursor;

use super::*;
use crate::track::{AudioFormat, Protection};

const OGG: &[u8] = include_bytes!("../../../tests/data/tone.ogg");

fn sound(bytes: &[u8]) -> Sound {
    Sound::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), None)
}

fn of(bytes: &[u8], container: Container, codec: Codec, audio: Range<u64>) -> Result<Fingerprint> {
    let sniffed = Sniffed {
        format: AudioFormat { container, codec, rate: None, channels: None, bits: None, frames: None },
        protection: Protection::None,
        audio,
        purchase: None,
        personal: Vec::new(),
        aac: None,
        gapless: None,
        raw: Vec::new(),
    };
    fingerprint(&mut sound(bytes), &sniffed)
}

/// One Ogg page; the checksum is not looked at here.
fn page(serial: u8, number: u8, packets: &[&[u8]]) -> Vec<u8> {
    let mut table = Vec::new();
    for packet in packets {
        table.extend(std::iter::repeat_n(255, packet.len() / 255));
        table.push((packet.len() % 255) as u8);
    }
    let mut page = b"OggS\0\0\0\0\0\0\0\0\0\0".to_vec();
    page.extend_from_slice(&[serial, 0, 0, 0, number, 0, 0, 0, 9, 9, 9, 9, table.len() as u8]);
    page.extend_from_slice(&table);
    packets.iter().for_each(|packet| page.extend_from_slice(packet));
    page
}

#[test]
fn the_payload_counts_and_the_tags_do_not() {
    let payload = [b"tagged".to_vec(), vec![7; 300_000], b"trailer".to_vec()].concat();
    let other = [b"x".to_vec(), vec![7; 300_000]].concat();
    let a = of(&payload, Container::Mpeg, Codec::Mp3, 6..300_006).expect("in range");
    let b = of(&other, Container::Mpeg, Codec::Mp3, 1..300_001).expect("in range");
    assert_eq!((a, a.algo), (b, ALGO));
    let shorter = of(&other, Container::Mpeg, Codec::Mp3, 1..300_000).expect("in range");
    assert_ne!(a, shorter);
    assert_eq!(
        of(&other, Container::Mpeg, Codec::Mp3, 1..300_002).expect_err("too long").kind(),
        Kind::Damaged
    );
}

#[test]
fn the_quick_key_is_length_and_both_ends() {
    let mut bytes = vec![1; 200_000];
    let whole = 0..bytes.len() as u64;
    let key = quick_key(&mut sound(&bytes), &whole).expect("in range");
    bytes[100_000] = 2;
    assert_eq!(quick_key(&mut sound(&bytes), &whole).expect("in range"), key);
    bytes[199_999] = 2;
    assert_ne!(quick_key(&mut sound(&bytes), &whole).expect("in range"), key);
    let short = quick_key(&mut sound(&bytes), &(0..10)).expect("in range");
    assert_ne!(quick_key(&mut sound(&bytes), &(0..11)).expect("in range"), short);
    assert!(quick_key(&mut sound(&bytes), &(0..0)).is_ok());
    assert!(quick_key(&mut sound(&bytes), &(0..200_001)).is_err());
}

#[test]
fn a_longer_comment_in_ogg_changes_nothing() {
    let audio = [&[5; 600][..], &[6; 10]];
    let small =
        [page(1, 0, &[b"\x01vorbis"]), page(1, 1, &[b"\x03vorbis", b"\x05vorbis"]), page(1, 2, &audio)];
    let long = [&b"\x03vorbis"[..], &[b'x'; 3000]].concat();
    let grown = [page(1, 0, &[b"\x01vorbis"]), page(1, 1, &[&long, b"\x05vorbis"]), page(1, 7, &audio)];
    let check = |pages: &[Vec<u8>]| of(&pages.concat(), Container::Ogg, Codec::Vorbis, 0..0).expect("pages");
    assert_eq!(check(&small), check(&grown));
    let other = [small[0].clone(), small[1].clone(), page(1, 2, &[&[5; 600], &[7; 10]])];
    assert_ne!(check(&small), check(&other));
    // Another stream in the same file does not count.
    let muxed = [small[0].clone(), page(2, 0, &[b"video"]), small[1].clone(), small[2].clone()];
    assert_eq!(check(&small), check(&muxed));
}

#[test]
fn a_real_ogg_file_has_a_fingerprint_and_noise_has_none() {
    assert!(of(OGG, Container::Ogg, Codec::Vorbis, 0..0).is_ok());
    assert_eq!(
        of(b"no pages in here", Container::Ogg, Codec::Vorbis, 0..0).expect_err("noise").kind(),
        Kind::Damaged
    );
}
