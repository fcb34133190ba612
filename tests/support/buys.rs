//! What stores write into files.

use super::{LIST, boxed, data, frame, insert, mp3_frames, tag};

/// A Vorbis comment block: vendor, then `NAME=value` each.
pub fn comments(fields: &[(&str, &str)]) -> Vec<u8> {
    let sized = |text: &str| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let mut block = sized("konpo");
    block.extend_from_slice(&(fields.len() as u32).to_le_bytes());
    fields.iter().for_each(|(name, value)| block.extend(sized(&format!("{name}={value}"))));
    block
}

/// A FLAC file with these comments and no other.
pub fn flac(fields: &[(&str, &str)]) -> Vec<u8> {
    let file = data("tone.flac");
    let (mut kept, mut at) = (Vec::new(), 4);
    loop {
        let length = u32::from_be_bytes([0, file[at + 1], file[at + 2], file[at + 3]]) as usize;
        let (kind, last) = (file[at] & 0x7f, file[at] & 0x80 != 0);
        if kind == 0 {
            kept.push(0);
            kept.extend_from_slice(&file[at + 1..at + 4 + length]);
        }
        at += 4 + length;
        if last {
            break;
        }
    }
    let block = comments(fields);
    let size = (block.len() as u32).to_be_bytes();
    [b"fLaC", &kept[..], &[0x84], &size[1..], &block, &file[at..]].concat()
}

/// An Ogg Vorbis file with these comments and no other, every packet of the head on pages of its own. `first` bytes of the
/// comments stand on one page, the rest on the next.
pub fn ogg(fields: &[(&str, &str)], first: usize) -> Vec<u8> {
    let file = data("tone.ogg");
    let (packets, audio) = heads(&file);
    let mut block = b"\x03vorbis".to_vec();
    block.extend(comments(fields));
    block.push(1);
    let serial = &file[14..18];
    // A page that ends inside a packet ends with a full segment.
    let cut = (first / 255 * 255).min(block.len() / 255 * 255);
    let mut pages = vec![page(2, serial, 0, &packets[0], true)];
    if cut > 0 {
        pages.push(page(0, serial, 1, &block[..cut], false));
        pages.push(page(1, serial, 2, &block[cut..], true));
    } else {
        pages.push(page(0, serial, 1, &block, true));
    }
    pages.push(page(0, serial, pages.len() as u32, &packets[2], true));
    let first = pages.len() as u32;
    for (number, mut whole) in (first..).zip(audio) {
        whole[18..22].copy_from_slice(&number.to_le_bytes());
        pages.push(summed(whole));
    }
    pages.concat()
}

/// The three packets of the head, and the pages of sound.
pub fn heads(file: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut packets, mut audio, mut open, mut at) = (Vec::new(), Vec::new(), Vec::new(), 0);
    while at + 27 <= file.len() {
        let lacing = &file[at + 27..at + 27 + file[at + 26] as usize];
        let mut body = at + 27 + lacing.len();
        let end = body + lacing.iter().map(|&n| n as usize).sum::<usize>();
        if packets.len() >= 3 {
            audio.push(file[at..end].to_vec());
        } else {
            for &length in lacing {
                open.extend_from_slice(&file[body..body + length as usize]);
                body += length as usize;
                if length < 255 {
                    packets.push(std::mem::take(&mut open));
                }
            }
        }
        at = end;
    }
    (packets, audio)
}

/// A page; `ends` when the packet ends on it.
pub fn page(kind: u8, serial: &[u8], number: u32, body: &[u8], ends: bool) -> Vec<u8> {
    let mut lacing = vec![255; body.len() / 255];
    if ends {
        lacing.push((body.len() % 255) as u8);
    }
    let granule = if ends { 0u64 } else { u64::MAX };
    let head = [b"OggS", &[0, kind][..], &granule.to_le_bytes(), serial, &number.to_le_bytes(), &[0; 4]];
    summed([&head.concat()[..], &[lacing.len() as u8], &lacing, body].concat())
}

/// RFC 3533, 6: a sum of the page with zeros in its place, polynomial 0x04c11db7.
pub fn summed(mut page: Vec<u8>) -> Vec<u8> {
    page[22..26].fill(0);
    let sum = page.iter().fold(0u32, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte) << 24, |sum, _| {
            if sum & 0x8000_0000 != 0 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 }
        })
    });
    page[22..26].copy_from_slice(&sum.to_le_bytes());
    page
}

/// An MP3 with these frames of ID3v2.3.
pub fn mp3(frames: &[Vec<u8>]) -> Vec<u8> {
    [tag(b"ID3", &frames.concat()), mp3_frames()].concat()
}

/// UTF-16 with a mark, little-endian, and its zeros.
pub fn wide(text: &str) -> Vec<u8> {
    let units = text.encode_utf16().flat_map(u16::to_le_bytes);
    [0xff, 0xfe].into_iter().chain(units).chain([0, 0]).collect()
}

/// A `COMM` frame without a description, in UTF-16 as stores write it.
pub fn comment(text: &str) -> Vec<u8> {
    frame(b"COMM", &[&b"\x01eng"[..], &wide(""), &wide(text)].concat())
}

/// A `TXXX` frame in UTF-8.
pub fn user_text(name: &str, value: &str) -> Vec<u8> {
    frame(b"TXXX", format!("\x03{name}\0{value}").as_bytes())
}

/// A `PRIV` frame.
pub fn private(owner: &str, bytes: &[u8]) -> Vec<u8> {
    frame(b"PRIV", &[owner.as_bytes(), &[0], bytes].concat())
}

/// A `----` atom of a text.
pub fn freeform(file: &[u8], mean: &str, name: &str, value: &str) -> Vec<u8> {
    let full = |kind: &[u8], text: &str| boxed(kind, &[&[0; 4], text.as_bytes()].concat());
    let value = boxed(b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0][..], value.as_bytes()].concat());
    insert(file, &LIST, &boxed(b"----", &[full(b"mean", mean), full(b"name", name), value].concat()))
}

/// A UITS document.
pub fn uits(distributor: &str, time: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><uits:UITS xmlns:uits=\"http://uits.example/schema/2009/uits/1.1\">\
         <metadata><nonce>QRuoA2cs</nonce><Distributor>{distributor}</Distributor><Time>{time}</Time>\
         <ProductID type=\"UPC\" completed=\"false\">00602517078901</ProductID>\
         <AssetID type=\"ISRC\">JPX010700001</AssetID><TID version=\"1\">T-9&amp;1</TID><UID version=\"1\">U-1</UID>\
         <Media algorithm=\"SHA256\">ab12</Media><URL type=\"WPUB\">http://label.example/</URL>\
         <Extra type=\"TransactionType\">Download - Paid</Extra><Copyright>All rights</Copyright></metadata>\
         <signature algorithm=\"RSA2048\" canonicalization=\"none\" keyID=\"k1\">c2ln</signature></uits:UITS>"
    )
    .into_bytes()
}

/// `OWNE`: price, date, seller.
pub fn ownership(price: &str, date: &str, seller: &str) -> Vec<u8> {
    frame(b"OWNE", format!("\0{price}\0{date}{seller}").as_bytes())
}

/// `COMR`: an offer.
pub fn offer() -> Vec<u8> {
    frame(b"COMR", b"\0JPY250\x0020301231http://shop.example/\0\x03Shop\0A song\0")
}

/// An MP4 of mora's early years: Apple's list, 3GPP's boxes and an ID3 tag in `ID32`.
pub fn three_sets() -> Vec<u8> {
    let file = phone_tags(&data("tone-aac.m4a"));
    let handler = [&[0; 8][..], b"ID32", &[0; 13]].concat();
    let text = tag(b"ID3", &frame(b"TIT2", b"\x03Song"));
    let id32 = boxed(b"ID32", &[&[0, 0, 0, 0, 0x2a, 0x0e][..], &text].concat());
    let meta = boxed(b"meta", &[vec![0; 4], boxed(b"hdlr", &handler), id32].concat());
    insert(&file, &[b"moov"], &meta)
}

/// The boxes that phones write (3GPP TS 26.244, 8): title in UTF-16, the rest in UTF-8, year as a number.
pub fn phone_tags(file: &[u8]) -> Vec<u8> {
    // Version and flags, then `jpn` in three times five bits.
    let head = [0, 0, 0, 0, 0x2a, 0x0e];
    let text = |name: &[u8], words: &[u8]| boxed(name, &[&head[..], words].concat());
    let title: Vec<u8> =
        [0xfeff].into_iter().chain("夜空".encode_utf16()).chain([0]).flat_map(u16::to_be_bytes).collect();
    let all = [
        text(b"titl", &title),
        text(b"perf", b"Singer\0"),
        text(b"albm", b"Album\0\x03"),
        text(b"cprt", b"2007 Label\0"),
        boxed(b"yrrc", &[0, 0, 0, 0, 0x07, 0xd7]),
    ];
    let path: [&[u8]; 2] = [b"moov", b"udta"];
    all.iter().fold(file.to_vec(), |file, child| insert(&file, &path, child))
}
