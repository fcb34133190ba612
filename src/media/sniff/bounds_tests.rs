//! Searches for the buyer's bytes that end early say where, and those that need not end early do not.

use std::io::Cursor;

use super::*;
use crate::mint;

fn look(bytes: &[u8]) -> Sniffed {
    let mut sound = Sound::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), None);
    sniff(&mut sound).expect("a file that konpo knows")
}

/// Holds a file against what is found in it: whether its buyer's name lies in bytes that were read and are his, in bytes
/// that are known not to be read, or nowhere.
fn check(name: &str, bytes: &[u8], wanted: Found) {
    let raw = look(bytes).raw;
    let holds = |tag: &&RawTag| {
        tag.personal.is_some_and(|place| {
            let from = place.offset.0 as usize;
            memchr::memmem::find(&bytes[from..from + place.length.0 as usize], BUYER).is_some()
        })
    };
    let found = match raw.iter().find(holds) {
        Some(tag) if tag.is_unread() => Found::Unread,
        Some(_) => Found::Located,
        None => Found::Nobody,
    };
    assert_eq!(found, wanted, "{name}");
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Located,
    Unread,
    Nobody,
}

const BUYER: &[u8] = b"user@example.com";

fn text(key: &str, value: &[u8]) -> Vec<u8> {
    mint::frame(b"TXXX", &[b"\0", key.as_bytes(), b"\0", value].concat())
}

fn mp3(frames: &[u8]) -> Vec<u8> {
    [mint::tag(b"ID3", frames), mint::mp3_frames()].concat()
}

#[test]
fn a_buyer_behind_more_frames_than_are_read_is_not_taken_for_nobody() {
    let buyer = text("account_id", BUYER);
    let many = |count: usize| [text("x", b"y").repeat(count), buyer.clone()].concat();
    check("few frames", &mp3(&many(3)), Found::Located);
    check("511 frames in front", &mp3(&many(511)), Found::Located);
    check("512 frames in front", &mp3(&many(512)), Found::Unread);
    check("padding", &mp3(&[&buyer[..], &[0; 300]].concat()), Found::Located);
    check("an empty frame", &mp3(&[&mint::frame(b"TIT2", b"")[..], &buyer].concat()), Found::Located);
    check("something broken", &mp3(&[b"\xffbroken\xff\xff\xff\xff\xff", &buyer[..]].concat()), Found::Unread);
    check("a long value", &mp3(&text("account_id", &[BUYER, &[b' '; 300_000]].concat())), Found::Unread);
    let two = [mint::tag(b"ID3", &text("x", b"y")).repeat(4), mp3(&buyer)].concat();
    check("five tags in a row", &two, Found::Unread);
}

#[test]
fn frames_whose_sizes_are_plain_numbers_in_a_tag_of_version_4_are_walked() {
    // iTunes wrote them so: 200 is C8, which no size of seven bits a byte has; 0x1234 reads as another size.
    for size in [200, 0x1234] {
        let mut file = mp3(&[text("x", &vec![b'y'; size - 3]), text("account_id", BUYER)].concat());
        file[3] = 4;
        check(&format!("{size} bytes"), &file, Found::Located);
    }
}

#[test]
fn items_of_ape_are_searched() {
    let item = |key: &str, value: &[u8]| {
        let size = (value.len() as u32).to_le_bytes();
        [&size[..], &[0; 4], key.as_bytes(), b"\0", value].concat()
    };
    let edge = |count: u32, size: usize, flags: u32| {
        let words = [2000, size as u32 + 32, count, flags].map(u32::to_le_bytes).concat();
        [&b"APETAGEX"[..], &words, &[0; 8]].concat()
    };
    let items = |count: usize, last: Vec<u8>| [item("x", b"y").repeat(count), last].concat();
    let tagged = |count: usize, last: Vec<u8>| {
        let body = items(count, last);
        let front = edge(count as u32 + 1, body.len(), 0xa000_0000);
        let foot = edge(count as u32 + 1, body.len(), 0x8000_0000);
        [mint::mp3_frames(), front, body, foot].concat()
    };
    let buyer = || item("PURCHASE_OWNER", BUYER);
    check("with a header", &tagged(2, buyer()), Found::Located);
    check("256 items in front", &tagged(256, buyer()), Found::Unread);
    let long = item("PURCHASE_OWNER", &[BUYER, &[b' '; 20_000]].concat());
    check("a long value", &tagged(2, long), Found::Located);
}

#[test]
fn tags_behind_one_bit_sound_are_searched() {
    let tag = mint::tag(b"ID3", &text("account_id", BUYER));
    let mut dsf = mint::dsf(2_822_400);
    let at = (dsf.len() as u64).to_le_bytes();
    dsf[20..28].copy_from_slice(&at);
    check("dsf", &[dsf, tag.clone()].concat(), Found::Located);
    let chunk = [&b"ID3 "[..], &(tag.len() as u64).to_be_bytes(), &tag].concat();
    check("dff", &[mint::dff(2_822_400), chunk].concat(), Found::Located);
}

#[test]
fn words_of_core_audio_are_located() {
    let core = |key: &str| {
        let info = [&b"\0\0\0\x01"[..], key.as_bytes(), b"\0", BUYER, b"\0"].concat();
        let chunk = |name: &[u8], body: &[u8]| [name, &(body.len() as u64).to_be_bytes(), body].concat();
        let desc = [&44_100f64.to_bits().to_be_bytes()[..], b"lpcm", &[0; 4], &[0, 0, 0, 2], &[0, 0, 0, 1]];
        let desc = [&desc.concat()[..], &[0, 0, 0, 1], &[0, 0, 0, 16]].concat();
        let parts = [chunk(b"desc", &desc), chunk(b"info", &info), chunk(b"data", &[0; 12])].concat();
        [&b"caff\0\x01\0\0"[..], &parts].concat()
    };
    check("caf", &core("account_id"), Found::Located);
    check("caf of nobody", &core("comments"), Found::Nobody);
}
