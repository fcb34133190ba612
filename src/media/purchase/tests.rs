//! Hosts that only look like a store's, documents that are none, and where the buyer's bytes lie in awkward files. The table of
//! all marks is in `tests/it/marks.rs`.

use std::io::Cursor;

use super::hosts::{host_of, store_named, store_of};
use super::storefronts::country;
use super::uits::uits;
use super::*;
use crate::media::sniff::sniff;
use crate::media::sound::Sound;
use crate::mint::{self, buys};

fn sniffed(bytes: &[u8]) -> Sniffed {
    let mut sound = Sound::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), None);
    sniff(&mut sound).expect("a file that konpo knows")
}

/// The bytes that name the buyer.
fn personal(bytes: &[u8]) -> Vec<Vec<u8>> {
    let places = sniffed(bytes).personal;
    let piece = |at: u64, length: u64| bytes[at as usize..(at + length) as usize].to_vec();
    places.iter().map(|place| piece(place.offset.0, place.length.0)).collect()
}

#[test]
fn a_host_is_compared_by_its_domain() {
    for (address, store) in [
        ("https://singer.bandcamp.com/album/x", Some("bandcamp")),
        ("HTTPS://Bandcamp.COM", Some("bandcamp")),
        (" https://www.amazon.co.jp/dp/B0 ", Some("amazon")),
        ("https://amazon.com", Some("amazon")),
        ("https://amazon.co.jp.evil.example", None),
        ("https://amazon.example", None),
        ("https://evil-amazon.com", None),
        ("https://bandcamp.com.evil.example/", None),
        ("https://notbandcamp.com/", None),
        ("https://evil.example/?bandcamp.com", None),
        ("https://bandcamp.com@evil.example/", None),
        ("ftp://bandcamp.com/", None),
        ("bandcamp.com", None),
        ("http://://bandcamp.com/", None),
        ("", None),
    ] {
        assert_eq!(store_of(address), store, "{address}");
    }
    assert_eq!(host_of("http://://licence.example/"), None);
    assert_eq!(store_named(" Amazon.com ").as_deref(), Some("amazon"));
    assert_eq!(store_named("The iTunes Store").as_deref(), Some("itunes"));
    assert_eq!(store_named("Corner\0 Shop").as_deref(), Some("Corner Shop"));
    assert_eq!(store_named(" \0").as_deref(), None);
}

#[test]
fn storefronts_are_countries() {
    let known =
        [("143441", "US"), ("143462-9,32", "JP"), ("143470", "TW"), ("143538", "AI"), ("143605", "ZW")];
    for (front, wanted) in known {
        assert_eq!(country(front), Some(wanted), "{front}");
    }
    for none in ["143440", "143488", "143606", "", "x", "99999999999999999999"] {
        assert_eq!(country(none), None, "{none}");
    }
}

#[test]
fn only_a_uits_document_is_one() {
    let good = buys::uits("Amazon.com", "2011-03-04T05:06:07Z");
    let read = uits(&good).expect("a document");
    assert_eq!((read.distributor.as_str(), read.transaction.as_str()), ("Amazon.com", "T-9&1"));
    assert_eq!(read.asset, ("JPX010700001".into(), "ISRC".into()));
    assert_eq!(read.media, ("ab12".into(), "SHA256".into()));
    assert_eq!(read.extra, [("TransactionType".to_owned(), "Download - Paid".to_owned())]);
    let text = String::from_utf8(good).expect("UTF-8");
    let padded = format!("\u{feff}{text}\0\0");
    assert_eq!(uits(padded.as_bytes()), Some(read));
    for broken in [
        text.replace("UITS", "OTHER"),
        text.replace("?><uits", "?><!DOCTYPE x [<!ENTITY y \"z\">]><uits"),
        text.replace("&amp;", "&y;"),
        format!("{}{text}", "<x>".repeat(3000)),
        String::new(),
    ] {
        assert_eq!(uits(broken.as_bytes()), None, "{}", broken.chars().take(80).collect::<String>());
    }
    assert_eq!(uits(&[0xff; 100]), None);
}

#[test]
fn a_buyer_on_two_pages_of_ogg_is_found_on_both() {
    let owner = "Hanako Yamada of a street with a long name, user@example.com";
    for first in [0, 255, 510, 765] {
        let filler = "x".repeat(255 - 80);
        let bytes =
            buys::ogg(&[("TITLE", &filler), ("PURCHASE_OWNER", owner), ("LYRICS", &"y".repeat(1000))], first);
        let pieces = personal(&bytes);
        assert_eq!(pieces.concat(), owner.as_bytes(), "cut at {first}");
        assert_eq!(pieces.len(), if first == 255 { 2 } else { 1 }, "cut at {first}");
        assert_eq!(purchases(&sniffed(&bytes), &[])[0].account.as_deref(), Some(owner));
    }
}

#[test]
fn a_buyer_in_a_flac_and_in_an_ape_tag_is_found() {
    let flac = buys::flac(&[("TITLE", "Song"), ("purchase_owner", "user@example.com"), ("ARTIST", "Singer")]);
    assert_eq!(personal(&flac), [b"user@example.com".to_vec()]);
    let item = |key: &str, value: &str| {
        [&(value.len() as u32).to_le_bytes()[..], &[0; 4], key.as_bytes(), &[0], value.as_bytes()].concat()
    };
    let items = [item("Title", "Song"), item("Account_ID", "user@example.com")].concat();
    let end = |flags: u32| {
        let size = (items.len() as u32 + 32).to_le_bytes();
        [&b"APETAGEX\xd0\x07\0\0"[..], &size, &2u32.to_le_bytes(), &flags.to_le_bytes(), &[0; 8]].concat()
    };
    let tag = [end(0xa000_0000), items.clone(), end(0x8000_0000)].concat();
    for audio in [mint::mp3_frames(), mint::ape(3), mint::wavpack(9)] {
        assert_eq!(personal(&[audio, tag.clone()].concat()), [b"user@example.com".to_vec()]);
    }
}

#[test]
fn a_buyer_in_an_unsynchronised_tag_is_found() {
    // Every FF is followed by a zero that does not count.
    let put_in = |bytes: &[u8]| {
        bytes.iter().flat_map(|&b| if b == 0xff { vec![0xff, 0] } else { vec![b] }).collect::<Vec<u8>>()
    };
    let owner = [&[1][..], &buys::wide("Hanako Yamada")].concat();
    let frames =
        [mint::frame(b"TIT2", &[&[1][..], &buys::wide("Song")].concat()), mint::frame(b"TOWN", &owner)];
    let mut bytes = [mint::tag(b"ID3", &put_in(&frames.concat())), mint::mp3_frames()].concat();
    bytes[5] = 0x80;
    assert_eq!(purchases(&sniffed(&bytes), &[])[0].account.as_deref(), Some("Hanako Yamada"));
    assert_eq!(personal(&bytes), [put_in(&owner)]);
    // Version 4: each frame says it, and its size counts what was put in.
    let mut frame = mint::frame(b"TOWN", &put_in(&owner));
    frame[9] = 2;
    let mut bytes = [mint::tag(b"ID3", &frame), mint::mp3_frames()].concat();
    (bytes[3], bytes[5]) = (4, 0x80);
    assert_eq!(purchases(&sniffed(&bytes), &[])[0].account.as_deref(), Some("Hanako Yamada"));
    assert_eq!(personal(&bytes), [put_in(&owner)]);
}

#[test]
fn what_is_known_of_one_store_is_one_buy() {
    let uits = buys::uits("Amazon.com", "2011-03-04T05:06:07Z");
    let bytes = buys::mp3(&[
        buys::comment("Amazon.com Song ID: 207891234"),
        buys::private("www.amazon.com", &uits),
        mint::frame(b"WOAF", b"https://www.amazon.com/x"),
        mint::frame(b"WCOM", b"https://mora.jp/x"),
        buys::user_text("PURCHASE_PRICE", "JPY 150"),
    ]);
    let found = purchases(&sniffed(&bytes), &[]);
    let stores: Vec<(&str, PurchaseLevel)> =
        found.iter().map(|buy| (buy.store.as_str(), buy.level)).collect();
    // The price names no store, and there are two to choose from.
    let wanted = [
        ("amazon", PurchaseLevel::Embedded),
        ("mora", PurchaseLevel::Claimed),
        ("unknown", PurchaseLevel::Claimed),
    ];
    assert_eq!(stores, wanted);
    assert_eq!(found[0].item_id.as_deref(), Some("207891234"));
    assert_eq!(found[0].bought_at.as_deref(), Some("2011-03-04T05:06:07Z"));
    assert!(found[0].evidence.iter().any(|fact| fact.place == "id3:WOAF"));
    let alone =
        buys::mp3(&[buys::comment("Amazon.com Song ID: 1"), buys::user_text("PURCHASE_PRICE", "JPY 150")]);
    let [one] = &purchases(&sniffed(&alone), &[])[..] else { panic!("one buy") };
    assert_eq!((one.price.as_deref(), one.level), (Some("JPY 150"), PurchaseLevel::Embedded));
}
