//! Marks of stores and locks: boxes of MP4, objects of ASF, OpenMG, purchase frames of ID3, UITS documents. Beside never
//! panicking, the gate keeps promises, and one that is broken here panics, so that it is a finding.

use std::io::Cursor;

use konpo::media::purchase::{purchases, uits};
use konpo::media::sniff::{sniff, tags_of_locked};
use konpo::media::sound::Sound;

use crate::Target;
use crate::mint::{buys, rows};

pub const TARGETS: [Target; 5] = [
    Target {
        name: "mp4",
        read: gate,
        words: &[
            b"ftypkddi",
            b"ftypodcf",
            b"moov",
            b"trak",
            b"mdia",
            b"hdlr",
            b"soun",
            b"minf",
            b"stbl",
            b"stsd",
            b"mp4a",
            b"drms",
            b"enca",
            b"encv",
            b"aavd",
            b"pinf",
            b"sinf",
            b"schm",
            b"itun",
            b"cenc",
            b"odkm",
            b"iAEC",
            b"schi",
            b"tenc",
            b"user",
            b"name",
            b"righ",
            b"tran",
            b"pssh",
            b"moof",
            b"uuid",
            b"cpgd",
            b"odrm",
            b"odhe",
            b"ohdr",
            b"udta",
            b"meta",
            b"ilst",
            b"----",
            b"mean",
            b"data",
            b"apID",
            b"plID",
            b"ID32",
            b"titl",
            b"yrrc",
            b"free",
        ],
        largest: 200_000,
        memory: 64 << 20,
    },
    Target {
        name: "asf",
        read: gate,
        words: &[
            b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c",
            b"\xfb\xb3\x11\x22\x23\xbd\xd2\x11\xb4\xb7\x00\xa0\xc9\x55\xfc\x6e",
            b"\x14\xe6\x8a\x29\x22\x26\x17\x4c\xb9\x35\xda\xe0\x7e\xe9\x28\x9c",
            b"\x33\x85\x05\x43\x81\x69\xe6\x49\x9b\x74\xad\x12\xcb\x86\xd5\x8c",
            b"\xb5\x03\xbf\x5f\x2e\xa9\xcf\x11\x8e\xe3\x00\xc0\x0c\x20\x53\x65",
            b"\xcb\xa5\xe6\x14\x72\xc6\x32\x43\x83\x99\xa9\x69\x52\x06\x5b\x5a",
            b"\x91\x07\xdc\xb7\xb7\xa9\xcf\x11\x8e\xe6\x00\xc0\x0c\x20\x53\x65",
            b"\x40\xa4\xd0\xd2\x07\xe3\xd2\x11\x97\xf0\x00\xa0\xc9\x5e\xa8\x50",
            b"\x94\x1c\x23\x44\x98\x94\xd1\x49\xa1\x41\x1d\x13\x4e\x45\x70\x54",
            b"<\0L\0A\0_\0U\0R\0L\0>\0",
        ],
        largest: 60_000,
        memory: 64 << 20,
    },
    Target {
        name: "oma",
        read: gate,
        words: &[
            b"ea3\x03\0\0",
            b"EA3\x01\0\x60",
            b"\xff\xff",
            b"\xff\xfe",
            b"\0\x01",
            b"GEOB",
            b"TXXX",
            b"TIT2",
            b"APIC",
            b"\0O\0M\0G\0_\0L\0S\0I\0\0",
            b"\x02binary\0\0\0",
            b"\xff\xfb\x90\x64",
        ],
        largest: 60_000,
        memory: 64 << 20,
    },
    Target {
        name: "id3",
        read: gate,
        words: &[
            b"ID3\x02\0\0",
            b"ID3\x03\0\0",
            b"ID3\x03\0\x80",
            b"ID3\x04\0\0",
            b"PRIV",
            b"www.amazon.com\0",
            b"OWNE",
            b"COMR",
            b"TOWN",
            b"USER",
            b"WCOM",
            b"WXXX",
            b"TXXX",
            b"COMM",
            b"\x01eng\xff\xfe\0\0",
            b"PURCHASE_OWNER\0",
            b"\xff\0",
            b"https://mora.jp/",
            b":UITS",
            b"JPY250\x0020080717",
            b"APETAGEX\xd0\x07\0\0",
            b"TAG",
        ],
        largest: 60_000,
        memory: 64 << 20,
    },
    Target {
        name: "uits",
        read: document,
        words: &[
            b"<uits:UITS>",
            b"</uits:UITS>",
            b"<TID>",
            b"</TID>",
            b"<Extra type=\"",
            b"&amp;",
            b"&#x0;",
            b"&y;",
            b"<!DOCTYPE x [<!ENTITY y \"z\">]>",
            b"<![CDATA[",
            b"]]>",
            b"<!--",
            b"\xef\xbb\xbf",
            b"\0",
        ],
        largest: 100_000,
        memory: 16 << 20,
    },
];

/// Files of our own to begin with.
pub fn minted(name: &str) -> Vec<Vec<u8>> {
    let times = ["2011-03-04T05:06:07Z", "1970-01-01T00:00:00Z", ""];
    if name == "uits" {
        return times.iter().map(|time| buys::uits("Amazon.com", time)).collect();
    }
    let containers: &[&str] = match name {
        "mp4" => &["mp4", "omadrm", "audible"],
        "asf" => &["asf"],
        "oma" => &["oma"],
        "id3" => &["mpeg"],
        _ => return Vec::new(),
    };
    let rows = rows::all().into_iter().filter(|row| containers.contains(&row.container));
    let bytes = rows.map(|row| row.bytes).filter(|bytes| bytes.len() < 60_000);
    // Five frames of sound are enough behind a tag.
    bytes.map(|bytes| if name == "id3" { without_most_sound(bytes) } else { bytes }).collect()
}

fn without_most_sound(mut bytes: Vec<u8>) -> Vec<u8> {
    let tag = bytes.get(6..10).filter(|_| bytes.starts_with(b"ID3"));
    let size = tag.map_or(0, |size| size.iter().fold(0, |n, &b| n << 7 | usize::from(b)));
    bytes.truncate(10 + size + 2600);
    bytes
}

fn gate(bytes: &[u8]) -> String {
    let mut sound = Sound::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), None);
    let sniffed = match sniff(&mut sound) {
        Ok(sniffed) => sniffed,
        Err(error) => {
            return format!(
                "{:?} {}",
                error.kind(),
                error.what().split(' ').take(5).collect::<Vec<_>>().join(" ")
            );
        }
    };
    for place in &sniffed.personal {
        let end = place.offset.0.checked_add(place.length.0).expect("a place ends");
        assert!(end <= bytes.len() as u64, "a place of the buyer lies beyond the file: {place:?}");
    }
    let (tags, found) = (tags_of_locked(&sniffed), purchases(&sniffed, &[]));
    let names_buyer = found.iter().any(|purchase| purchase.is_personal());
    assert!(
        !names_buyer || !sniffed.personal.is_empty(),
        "nobody knows where the buyer's bytes lie: {found:?}"
    );
    for purchase in &found {
        assert!(!purchase.without_personal().is_personal(), "the buyer is left in {purchase:?}");
        assert!(!purchase.store.is_empty() && purchase.evidence.len() <= 200, "{}", purchase.evidence.len());
        assert!(purchase.isrc.as_ref().is_none_or(|code| code.len() == 12), "{:?}", purchase.isrc);
    }
    let mut stores: Vec<&str> = found.iter().map(|purchase| purchase.store.as_str()).collect();
    stores.dedup();
    assert_eq!(stores.len(), found.len(), "a store twice");
    let facts: Vec<_> = found
        .iter()
        .map(|buy| {
            let known = (buy.bought_at.is_some(), buy.item_id.is_some(), buy.account.is_some());
            (buy.level, known, buy.evidence.len().min(9))
        })
        .collect();
    let kinds = (sniffed.protection.code(), sniffed.format.codec, sniffed.format.frames.is_some());
    format!("{kinds:?} {} {facts:?} {}", sniffed.personal.len().min(3), tags.title.is_some())
}

fn document(bytes: &[u8]) -> String {
    match uits::uits(bytes) {
        Some(read) => {
            assert!(read.extra.len() <= 16, "{} further facts", read.extra.len());
            let there =
                [&read.distributor, &read.time, &read.product, &read.transaction, &read.user, &read.url];
            format!(
                "{:?} {} {:?}",
                there.map(|text| !text.is_empty()),
                read.extra.len(),
                read.asset.1.len().min(5)
            )
        }
        None => "none".into(),
    }
}
