//! Searches for the buyer's bytes that end early say so, and those that need not end early do not.

use std::io::Cursor;

use super::*;
use crate::mint;

fn look(bytes: &[u8]) -> Sniffed {
    let mut sound = Sound::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), None);
    sniff(&mut sound).expect("a file that konpo knows")
}

/// Holds a file against what is found in it: whether the search came to its end, and whether the buyer's name was located.
fn check(name: &str, bytes: &[u8], unsearched: bool, located: bool) {
    let found = look(bytes);
    assert_eq!(found.unsearched, unsearched, "{name}: searched to the end");
    let lies = |place: &PersonalBytes| {
        let from = place.offset.0 as usize;
        memchr::memmem::find(&bytes[from..from + place.length.0 as usize], BUYER).is_some()
    };
    assert_eq!(found.personal.iter().any(lies), located, "{name}: {:?}", found.personal);
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
    check("few frames", &mp3(&many(3)), false, true);
    check("511 frames in front", &mp3(&many(511)), false, true);
    check("512 frames in front", &mp3(&many(512)), true, false);
    check("padding", &mp3(&[&buyer[..], &[0; 300]].concat()), false, true);
    check("an empty frame", &mp3(&[&mint::frame(b"TIT2", b"")[..], &buyer].concat()), false, true);
    check("something broken", &mp3(&[b"\xffbroken\xff\xff\xff\xff\xff", &buyer[..]].concat()), true, false);
    check("a long value", &mp3(&text("account_id", &[BUYER, &[b' '; 300_000]].concat())), false, true);
    let two = [mint::tag(b"ID3", &text("x", b"y")).repeat(4), mp3(&buyer)].concat();
    check("five tags in a row", &two, true, false);
}

#[test]
fn frames_whose_sizes_are_plain_numbers_in_a_tag_of_version_4_are_walked() {
    // iTunes wrote them so: 200 is C8, which no size of seven bits a byte has; 0x1234 reads as another size.
    for size in [200, 0x1234] {
        let mut file = mp3(&[text("x", &vec![b'y'; size - 3]), text("account_id", BUYER)].concat());
        file[3] = 4;
        check(&format!("{size} bytes"), &file, false, true);
    }
}

#[test]
fn tags_of_ape_are_found_with_and_without_a_header() {
    let item = |key: &str, value: &[u8]| {
        let size = (value.len() as u32).to_le_bytes();
        [&size[..], &[0; 4], key.as_bytes(), b"\0", value].concat()
    };
    let edge = |count: u32, size: usize, flags: u32| {
        let words = [2000, size as u32 + 32, count, flags].map(u32::to_le_bytes).concat();
        [&b"APETAGEX"[..], &words, &[0; 8]].concat()
    };
    let items = |count: usize, last: Vec<u8>| [item("x", b"y").repeat(count), last].concat();
    let tagged = |count: usize, last: Vec<u8>, header: bool| {
        let body = items(count, last);
        let flags = if header { 1 << 31 } else { 0 };
        let front = if header { edge(count as u32 + 1, body.len(), 0xa000_0000) } else { Vec::new() };
        let foot = edge(count as u32 + 1, body.len(), flags);
        [mint::mp3_frames(), front, body, foot].concat()
    };
    let buyer = || item("PURCHASE_OWNER", BUYER);
    check("with a header", &tagged(2, buyer(), true), false, true);
    check("without a header", &tagged(2, buyer(), false), false, true);
    check("256 items in front", &tagged(256, buyer(), true), true, false);
    let long = item("PURCHASE_OWNER", &[BUYER, &[b' '; 20_000]].concat());
    check("a long value", &tagged(2, long, true), false, true);
}

#[test]
fn tags_behind_one_bit_sound_are_searched() {
    let tag = mint::tag(b"ID3", &text("account_id", BUYER));
    let mut dsf = mint::dsf(2_822_400);
    let at = (dsf.len() as u64).to_le_bytes();
    dsf[20..28].copy_from_slice(&at);
    check("dsf", &[dsf, tag.clone()].concat(), false, true);
    let chunk = [&b"ID3 "[..], &(tag.len() as u64).to_be_bytes(), &tag].concat();
    check("dff", &[mint::dff(2_822_400), chunk].concat(), false, true);
}

#[test]
fn a_buyer_named_where_nothing_is_located_is_told() {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).chain([0, 0]).collect::<Vec<u8>>();
    let (name, value) = (wide("account_id"), wide("user@example.com"));
    let length = |bytes: &[u8]| (bytes.len() as u16).to_le_bytes();
    let body =
        [&[1, 0][..], &length(&name), &name, &[0, 0], &length(&value), &value].concat();
    let extended = [0x40, 0xa4, 0xd0, 0xd2, 0x07, 0xe3, 0xd2, 0x11, 0x97, 0xf0, 0x00, 0xa0, 0xc9, 0x5e, 0xa8, 0x50];
    check("wma", &mint::asf(&mint::asf_object(extended, &body)), true, false);
    check("wma of nobody", &mint::asf(&[]), false, false);
    let core = |key: &str| {
        let info = [&b"\0\0\0\x01"[..], key.as_bytes(), b"\0", BUYER, b"\0"].concat();
        let chunk = |name: &[u8], body: &[u8]| [name, &(body.len() as u64).to_be_bytes(), body].concat();
        let desc = [&44_100f64.to_bits().to_be_bytes()[..], b"lpcm", &[0; 4], &[0, 0, 0, 2], &[0, 0, 0, 1]];
        let desc = [&desc.concat()[..], &[0, 0, 0, 1], &[0, 0, 0, 16]].concat();
        let parts = [chunk(b"desc", &desc), chunk(b"info", &info), chunk(b"data", &[0; 12])].concat();
        [&b"caff\0\x01\0\0"[..], &parts].concat()
    };
    check("caf", &core("account_id"), false, true);
    check("caf of nobody", &core("comments"), false, false);
}
