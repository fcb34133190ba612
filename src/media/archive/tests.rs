use std::io::Cursor;

use proptest::prelude::*;

use super::*;

/// A file to be put into an archive.
struct Put<'a> {
    name: &'a [u8],
    bytes: &'a [u8],
    deflated: bool,
    flags: u16,
    /// Unix mode; 0: made elsewhere.
    mode: u32,
    zip64: bool,
}

impl<'a> Put<'a> {
    fn new(name: &'a [u8], bytes: &'a [u8]) -> Put<'a> {
        Put { name, bytes, deflated: false, flags: 0, mode: 0, zip64: false }
    }
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    flate2::read::DeflateEncoder::new(bytes, flate2::Compression::best())
        .read_to_end(&mut out)
        .expect("in memory");
    out
}

/// Writes an archive as APPNOTE 4.3 says.
fn archive(puts: &[Put<'_>]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for put in puts {
        let packed = if put.deflated { deflate(put.bytes) } else { put.bytes.to_vec() };
        let at = out.len() as u32;
        let method = if put.deflated { DEFLATED } else { STORED };
        let mut both = Vec::new();
        both.extend(put.flags.to_le_bytes());
        both.extend(method.to_le_bytes());
        both.extend([0; 4]);
        both.extend(crc32fast::hash(put.bytes).to_le_bytes());
        let (mut small, mut extra) = (vec![packed.len() as u32, put.bytes.len() as u32], Vec::new());
        if put.zip64 {
            extra.extend(ZIP64.to_le_bytes());
            extra.extend(16_u16.to_le_bytes());
            extra.extend((put.bytes.len() as u64).to_le_bytes());
            extra.extend((packed.len() as u64).to_le_bytes());
            small = vec![u32::MAX, u32::MAX];
        }
        small.iter().for_each(|size| both.extend(size.to_le_bytes()));
        both.extend((put.name.len() as u16).to_le_bytes());
        both.extend((extra.len() as u16).to_le_bytes());
        out.extend(b"PK\x03\x04\x14\0");
        out.extend(&both);
        out.extend(put.name);
        out.extend(&extra);
        out.extend(&packed);
        directory.extend(b"PK\x01\x02\x14");
        directory.push(if put.mode == 0 { 0 } else { 3 });
        directory.extend(b"\x14\0");
        directory.extend(&both);
        directory.extend([0; 6]);
        directory.extend((put.mode << 16).to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(put.name);
        directory.extend(&extra);
    }
    let (at, size, count) = (out.len() as u32, directory.len() as u32, puts.len() as u16);
    out.extend(directory);
    if puts.iter().any(|put| put.zip64) {
        let record = out.len() as u64;
        out.extend(b"PK\x06\x06");
        out.extend(44_u64.to_le_bytes());
        out.extend([45, 0, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        for value in [u64::from(count), u64::from(count), u64::from(size), u64::from(at)] {
            out.extend(value.to_le_bytes());
        }
        out.extend(b"PK\x06\x07\0\0\0\0");
        out.extend(record.to_le_bytes());
        out.extend(1_u32.to_le_bytes());
        out.extend(b"PK\x05\x06");
        out.extend([0xff; 16]);
        out.extend([0, 0]);
        // The number of this disk and that of the directory.
        let end = out.len() - 18;
        out[end..end + 4].fill(0);
        return out;
    }
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(at.to_le_bytes());
    out.extend([0, 0]);
    out
}

fn read(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut file = Cursor::new(bytes);
    let mut all = Vec::new();
    for entry in directory(&mut file)? {
        let mut plain = Vec::new();
        unpack(&mut file, &entry, |block| {
            plain.extend(block);
            Ok(())
        })?;
        all.push((entry.name, plain));
    }
    Ok(all)
}

#[test]
fn stored_and_deflated_files_come_out_with_zip64_and_behind_other_bytes() {
    let noise: Vec<u8> = (0..300_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for zip64 in [false, true] {
        let puts = [
            Put { zip64, ..Put::new(b"Artist - Album/", b"") },
            Put { zip64, ..Put::new(b"Artist - Album/01 Song.flac", &noise) },
            Put { deflated: true, zip64, mode: 0o100_644, ..Put::new(b"cover.jpg", b"picture") },
        ];
        let bytes = archive(&puts);
        let all = read(&bytes).expect("right");
        assert_eq!(all.len(), 2, "zip64 {zip64}");
        assert!(all[0] == ("Artist - Album/01 Song.flac".into(), noise.clone()));
        assert_eq!(all[1], ("cover.jpg".into(), b"picture".to_vec()));
        if !zip64 {
            let moved = [&b"#!/bin/sh a program in front"[..], &bytes, b""].concat();
            assert_eq!(read(&moved).expect("right").len(), 2, "behind other bytes");
        }
    }
    assert!(read(&archive(&[])).expect("right").is_empty());
}

#[test]
fn names_are_read_in_the_charset_of_the_shop() {
    let (marked, sjis, _) =
        ("夜の歌/01 情熱大陸.flac", encoding_rs::SHIFT_JIS.encode("夜の歌/01 情熱大陸.flac").0, 0);
    let name = |puts: &[Put<'_>]| read(&archive(puts)).expect("right").remove(0).0;
    assert_eq!(name(&[Put { flags: 1 << 11, ..Put::new(marked.as_bytes(), b"x") }]), marked);
    assert_eq!(name(&[Put::new(marked.as_bytes(), b"x")]), marked, "UTF-8 without its mark");
    assert_eq!(name(&[Put::new(&sjis, b"x"), Put::new(b"cover.jpg", b"x")]), marked);
    // 表 ends in the byte of a backslash, which is no divider there.
    let table = encoding_rs::SHIFT_JIS.encode("表示.flac").0;
    assert_eq!(name(&[Put::new(&table, b"x")]), "表示.flac");
    assert_eq!(name(&[Put::new(b"Bj\xf6rk/J\xf3ga.flac", b"x")]), "Björk/Jóga.flac");
    assert_eq!(name(&[Put::new(b"a\\b.flac", b"x")]), "a/b.flac");
}

#[test]
fn what_leads_elsewhere_or_is_no_file_makes_the_whole_archive_unfit() {
    for name in [
        &b"../x.flac"[..],
        b"a/../../x.flac",
        b"/etc/passwd",
        b"..\\x.flac",
        b"C:\\x.flac",
        b"c:x.flac",
        b"a/.. /x.flac",
        b"\\\\server\\x.flac",
        b"a\0.flac",
        b".",
    ] {
        let puts = [Put::new(b"good.flac", b"x"), Put::new(name, b"x")];
        let error = read(&archive(&puts)).expect_err("refused");
        assert_eq!(error.kind(), Kind::Unsupported, "{name:?}");
    }
    for mode in [0o120_777, 0o060_600, 0o010_600, 0o140_600, 0o020_600] {
        let puts = [Put { mode, ..Put::new(b"link", b"/etc/passwd") }];
        assert_eq!(read(&archive(&puts)).expect_err("refused").kind(), Kind::Unsupported, "{mode:o}");
    }
}

#[test]
fn bombs_secrets_and_damage_are_refused() {
    let zeros = vec![0; 8 << 20];
    let bomb = archive(&[Put { deflated: true, ..Put::new(b"a.wav", &zeros) }]);
    assert!(bomb.len() < 20_000);
    assert!(directory(&mut Cursor::new(&bomb)).expect("read")[0].unfit.is_some(), "1:1000");
    // One that says a small size and holds more.
    let mut liar = bomb.clone();
    let at = liar.windows(4).position(|four| four == b"PK\x01\x02").expect("a directory");
    liar[at + 24..at + 28].copy_from_slice(&1000_u32.to_le_bytes());
    let mut file = Cursor::new(&liar);
    let entry = directory(&mut file).expect("read").remove(0);
    let mut came = 0;
    let error = unpack(&mut file, &entry, |block| {
        came += block.len();
        Ok(())
    });
    assert_eq!(
        (error.expect_err("refused").kind(), came),
        (Kind::Damaged, 0),
        "not a byte more than it says"
    );
    let secret = archive(&[Put { flags: 1, ..Put::new(b"a.flac", b"x") }]);
    assert_eq!(read(&secret).expect_err("refused").kind(), Kind::Unsupported);
    let mut damaged = archive(&[Put::new(b"a.flac", b"0123456789")]);
    damaged[40] ^= 1;
    assert_eq!(read(&damaged).expect_err("its sum").kind(), Kind::Damaged);
    let whole = archive(&[Put::new(b"a.flac", b"0123456789"), Put::new(b"b.flac", b"9876543210")]);
    for length in 0..whole.len() {
        assert!(read(&whole[..length]).is_err(), "cut at {length}");
    }
    let many = MOST_FILES as usize + 1;
    let mut crowd = archive(&[]);
    crowd[10..12].copy_from_slice(&(many as u16).to_le_bytes());
    assert!(read(&crowd).is_err());
}

proptest! {
    #[test]
    fn whatever_is_in_it_nothing_leads_elsewhere(name in proptest::collection::vec(prop_oneof![
        Just(b'.'), Just(b'/'), Just(b'\\'), Just(b' '), Just(b':'), Just(b'a'), any::<u8>()
    ], 1..12), flip in 0..200_usize, with in any::<u8>()) {
        let mut bytes = archive(&[Put::new(&name, b"0123456789")]);
        for turn in [false, true] {
            if turn {
                let at = flip % bytes.len();
                bytes[at] = with;
            }
            for entry in directory(&mut Cursor::new(&bytes)).unwrap_or_default() {
                let path = std::path::Path::new(&entry.name);
                prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))), "{:?}", entry.name);
            }
        }
    }
}

#[test]
fn files_that_lie_on_each_other_are_a_trap() {
    let put = |name| Put { deflated: true, ..Put::new(name, &[0; 5000]) };
    let whole = archive(&[put(b"a.wav"), put(b"b.wav")]);
    assert_eq!(directory(&mut Cursor::new(&whole)).expect("plain").len(), 2);
    // The second line of the directory leads to the first file.
    let second = whole.windows(4).rposition(|four| four == b"PK\x01\x02").expect("two lines");
    let mut twice = whole.clone();
    twice[second + 42..second + 46].fill(0);
    let refused = directory(&mut Cursor::new(&twice)).expect_err("a trap");
    assert_eq!(refused.kind(), Kind::Unsupported);
    assert!(refused.to_string().contains("lie on each other"), "{refused}");
}

#[test]
fn many_small_files_are_not_far_too_much_together() {
    let silence = vec![0; 900 << 10];
    let puts: Vec<Put<'_>> = (0..8).map(|_| Put { deflated: true, ..Put::new(b"a.wav", &silence) }).collect();
    assert!(directory(&mut Cursor::new(archive(&puts[..1]))).is_ok(), "one is small");
    let refused = directory(&mut Cursor::new(archive(&puts))).expect_err("eight are not");
    assert!(refused.to_string().contains("far more would come out of this"), "{refused}");
}
