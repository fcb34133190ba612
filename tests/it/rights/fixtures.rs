//! Files that name their buyer in every way that konpo knows, and in some awkward ones.

use std::path::Path;
use std::process::Command;

use crate::mint::rows::{self, Row};
use crate::mint::{self, buys};

/// A file that names its buyer.
pub struct Named {
    /// What is in it.
    pub of: String,
    pub bytes: Vec<u8>,
    pub extension: String,
    /// It can be served to others.
    pub served: bool,
    /// A decoder can open it.
    pub sounds: bool,
}

/// What no byte for others may hold: names, addresses and numbers that the fixtures carry.
pub const PERSONAL: [&str; 5] =
    ["user@example.com", "Hanako Yamada", "T-9&amp;1", "<UID version=\"1\">U-1", "KONPO_PURCHASE_ORDER=A-1"];

/// Returns which of [`PERSONAL`] bytes hold, as text of one byte a letter or in UTF-16 of either order.
pub fn told(bytes: &[u8]) -> Vec<&'static str> {
    let mut found = Vec::new();
    for word in PERSONAL {
        let units: Vec<u16> = word.encode_utf16().collect();
        let little: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        let big: Vec<u8> = units.iter().flat_map(|unit| unit.to_be_bytes()).collect();
        if [word.as_bytes(), &little, &big].iter().any(|form| memchr::memmem::find(bytes, form).is_some()) {
            found.push(word);
        }
    }
    found
}

/// Returns which numbers of a buyer a JSON text holds, as numbers or as words of a text.
pub fn numbers_told(json: &[u8]) -> Vec<&'static str> {
    fn walk(value: &serde_json::Value, found: &mut Vec<&'static str>) {
        let mut look = |text: &str| {
            let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
            found.extend(NUMBERS.into_iter().filter(|number| words.contains(number)));
        };
        match value {
            serde_json::Value::String(text) => look(text),
            serde_json::Value::Number(number) => look(&number.to_string()),
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            serde_json::Value::Object(fields) => fields.values().for_each(|field| walk(field, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let Ok(value) = serde_json::from_slice(json) {
        walk(&value, &mut found);
    }
    found
}

/// A transaction and an account.
pub const NUMBERS: [&str; 2] = ["777001", "4711"];

/// Every row of the reference's table that names a buyer.
pub fn of_rows() -> Vec<Named> {
    let named = rows::all().into_iter().filter(|row| row.personal);
    let file = |row: Row| {
        let locked = !row.code.is_empty();
        let extension = match row.container {
            "mp4" => "m4a",
            "mpeg" => "mp3",
            other => other,
        };
        Named {
            of: row.of.to_owned(),
            bytes: row.bytes,
            extension: extension.to_owned(),
            served: !locked,
            sounds: !locked && !row.of.contains("version"),
        }
    };
    named.map(file).collect()
}

const BUYER: &str = "user@example.com";

/// A tag of ID3 of this version with these flags.
fn tagged(version: u8, flags: u8, frames: &[u8]) -> Vec<u8> {
    let mut tag = mint::tag(b"ID3", frames);
    (tag[3], tag[5]) = (version, flags);
    tag
}

/// A frame with these flags of its own.
fn flagged(name: &[u8], flags: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = mint::frame(name, body);
    frame[9] = flags;
    frame
}

/// Puts a zero behind each FF.
fn put_in(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().flat_map(|&b| if b == 0xff { vec![0xff, 0] } else { vec![b] }).collect()
}

/// ISO 3309.
fn crc_32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(
            sum ^ u32::from(byte),
            |sum, _| if sum & 1 != 0 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 },
        )
    })
}

/// An MP3 whose tag has an extended header with a sum over its frames; and where the frames lie.
pub fn with_sum() -> (Vec<u8>, std::ops::Range<usize>) {
    let frames =
        [song(), buys::user_text("PURCHASE_OWNER", BUYER), mint::frame(b"TPE1", b"\0Singer")].concat();
    let head = [&10u32.to_be_bytes()[..], &[0x80, 0], &[0; 4], &crc_32(&frames).to_be_bytes()].concat();
    let tag = tagged(3, 0x40, &[head, frames].concat());
    let end = tag.len();
    ([tag, mint::mp3_frames()].concat(), 24..end)
}

/// A title.
fn song() -> Vec<u8> {
    mint::frame(b"TIT2", b"\0Song")
}

/// A tag of APE, with a header when it is wanted.
fn ape(header: bool) -> Vec<u8> {
    let item = |key: &str, value: &str| {
        [&(value.len() as u32).to_le_bytes()[..], &[0; 4], key.as_bytes(), &[0], value.as_bytes()].concat()
    };
    let items = [item("Title", "Song"), item("Account_ID", BUYER), item("Artist", "Singer")].concat();
    let end = |flags: u32| {
        let size = (items.len() as u32 + 32).to_le_bytes();
        [&b"APETAGEX\xd0\x07\0\0"[..], &size, &3u32.to_le_bytes(), &flags.to_le_bytes(), &[0; 8]].concat()
    };
    if header {
        [end(0xa000_0000), items.clone(), end(0x8000_0000)].concat()
    } else {
        [items.clone(), end(0)].concat()
    }
}

fn id3() -> Vec<(&'static str, Vec<u8>)> {
    let artist = mint::frame(b"TPE1", b"\0Singer");
    let mp3 = |tag: Vec<u8>| [tag, mint::mp3_frames()].concat();
    let wide = [&[1][..], &buys::wide("PURCHASE_OWNER"), &buys::wide(BUYER)].concat();
    let unsynchronised = put_in(&[song(), mint::frame(b"TXXX", &wide), artist.clone()].concat());
    let of_frame = flagged(b"TXXX", 2, &put_in(&wide));
    // Compressed: nothing here can read it, so its bytes need not be any packer's.
    let packed = [&100u32.to_be_bytes()[..], b"x\x9c packed user@example.com \xff\0\xff\0"].concat();
    let long = [&b"\x03PURCHASE_OWNER\0"[..], BUYER.repeat(20_000).as_bytes()].concat();
    let later = tagged(4, 0x10, &[song(), buys::user_text("APID", BUYER)].concat());
    let footer = [b"3DI", &later[3..10]].concat();
    vec![
        ("ID3 of UTF-16, unsynchronised", mp3(tagged(3, 0x80, &unsynchronised))),
        ("ID3, a frame unsynchronised", mp3(tagged(4, 0, &[song(), of_frame, artist.clone()].concat()))),
        (
            "ID3, a TXXX compressed",
            mp3(tagged(3, 0, &[song(), flagged(b"TXXX", 0x80, &packed), artist.clone()].concat())),
        ),
        (
            "ID3, a PRIV compressed",
            mp3(tagged(3, 0, &[song(), flagged(b"PRIV", 0x80, &packed), artist.clone()].concat())),
        ),
        (
            "ID3, a TXXX encrypted",
            mp3(tagged(3, 0, &[song(), flagged(b"TXXX", 0x40, &packed), artist.clone()].concat())),
        ),
        (
            "ID3 of version 4, a TXXX compressed",
            mp3(tagged(4, 0, &[song(), flagged(b"TXXX", 0x09, &packed[..28]), artist.clone()].concat())),
        ),
        (
            "ID3, a TXXX that is too long to read",
            mp3(tagged(3, 0, &[song(), mint::frame(b"TXXX", &long), artist.clone()].concat())),
        ),
        (
            "ID3, behind a frame without a byte",
            mp3(tagged(3, 0, &[song(), mint::frame(b"TALB", b""), buys::user_text("APID", BUYER)].concat())),
        ),
        (
            "ID3, behind a broken frame",
            mp3(tagged(
                3,
                0,
                &[song(), b"a b \0\0\0\x10\0\0".to_vec(), buys::user_text("APID", BUYER)].concat(),
            )),
        ),
        ("ID3 with a sum", with_sum().0),
        (
            "ID3 behind the sound",
            [mint::tag(b"ID3", &[song(), artist].concat()), mint::mp3_frames(), later, footer].concat(),
        ),
        ("APE behind the sound", [mint::mp3_frames(), ape(true)].concat()),
        ("APE without a header", [mint::mp3_frames(), ape(false)].concat()),
    ]
}

/// Vorbis comments in Ogg whose packet begins with a picture of this many bytes, over as many pages as it takes; the sound
/// comes so many times.
fn ogg_of(picture: usize, times: usize) -> Vec<u8> {
    let cover = "A".repeat(picture);
    let fields = [("METADATA_BLOCK_PICTURE", cover.as_str()), ("TITLE", "Song"), ("PURCHASE_OWNER", BUYER)];
    let file = mint::data("tone.ogg");
    let (packets, audio) = buys::heads(&file);
    let packet = [&b"\x03vorbis"[..], &buys::comments(&fields), &[1]].concat();
    let serial = &file[14..18];
    let mut pages = vec![buys::page(2, serial, 0, &packets[0], true)];
    let pieces: Vec<&[u8]> = packet.chunks(255 * 255).collect();
    for (number, piece) in pieces.iter().enumerate() {
        let kind = u8::from(number > 0);
        pages.push(buys::page(kind, serial, pages.len() as u32, piece, number + 1 == pieces.len()));
    }
    pages.push(buys::page(0, serial, pages.len() as u32, &packets[2], true));
    let first = pages.len() as u32;
    let pieces = std::iter::repeat_n(&audio, times).flatten().cloned();
    for (number, mut whole) in (first..).zip(pieces) {
        whole[18..22].copy_from_slice(&number.to_le_bytes());
        pages.push(buys::summed(whole));
    }
    pages.concat()
}

/// An Ogg file that is longer than what a scan reads of one.
pub fn long_ogg() -> Vec<u8> {
    let sound = ogg_of(100, 2).len() - ogg_of(100, 1).len();
    let file = ogg_of(100, (900 << 10) / sound);
    assert!(file.len() > 600 << 10, "{} bytes", file.len());
    file
}

/// Awkward files made here.
pub fn awkward() -> Vec<Named> {
    let long = format!("{BUYER} {}", "x".repeat(20_000));
    let old_list = mint::atom(&mint::data("tone-aac.m4a"), b"free", 1, BUYER.as_bytes());
    let flac = buys::flac(&[("TITLE", "Song"), ("PURCHASE_OWNER", &long), ("ARTIST", "Singer")]);
    let behind_id3 =
        [mint::tag(b"ID3", &buys::user_text("APID", BUYER)), buys::flac(&[("TITLE", "Song")])].concat();
    let owner = format!("Hanako Yamada of a street with a long name, {BUYER}");
    let filler = "x".repeat(255 - 80);
    let split = buys::ogg(&[("TITLE", &filler), ("PURCHASE_OWNER", &owner), ("ARTIST", "Singer")], 255);
    let ogg = buys::ogg(&[("TITLE", "Song"), ("OWNR", BUYER)], 0);
    let mut dsf = mint::dsf(8192);
    let at = (dsf.len() as u64).to_le_bytes();
    dsf[20..28].copy_from_slice(&at);
    dsf.extend(mint::tag(b"ID3", &[song(), buys::user_text("APID", BUYER)].concat()));
    let text = |text: &str| text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let (name, value) = (text("account_id"), text(BUYER));
    let count = 1u16.to_le_bytes();
    let sizes = [(name.len() as u16).to_le_bytes(), [0, 0], (value.len() as u16).to_le_bytes()];
    let attribute = [&count[..], &sizes[0], &name, &sizes[1], &sizes[2], &value].concat();
    let extended =
        [0x40, 0xa4, 0xd0, 0xd2, 0x07, 0xe3, 0xd2, 0x11, 0x97, 0xf0, 0x00, 0xa0, 0xc9, 0x5e, 0xa8, 0x50];
    let wma = mint::locks::asf_of(&[mint::locks::stream(0x161, 0), mint::asf_object(extended, &attribute)]);
    let sounding = [
        ("MP4, an old list in room that is free", old_list, "m4a"),
        ("FLAC, a comment that is too long to read", flac, "flac"),
        ("FLAC behind ID3", behind_id3, "flac"),
        ("Ogg, on two pages", split, "ogg"),
        ("Ogg behind a large picture", ogg_of(1_600_000, 1), "ogg"),
    ];
    let mut all: Vec<Named> =
        id3().into_iter().map(|(of, bytes)| named(of, bytes, "mp3", true, true)).collect();
    all.extend(sounding.into_iter().map(|(of, bytes, name)| named(of, bytes, name, true, true)));
    all.push(named(
        "Ogg, two files one behind the other",
        [split_serial(&ogg), ogg].concat(),
        "ogg",
        false,
        false,
    ));
    all.push(named("DSF", dsf, "dsf", true, false));
    all.push(named("ASF", wma, "wma", true, false));
    all
}

fn named(of: &str, bytes: Vec<u8>, extension: &str, served: bool, sounds: bool) -> Named {
    Named { of: of.to_owned(), bytes, extension: extension.to_owned(), served, sounds }
}

/// The same stream under another serial number.
fn split_serial(file: &[u8]) -> Vec<u8> {
    let (mut pages, mut at) = (Vec::new(), 0);
    while at + 27 <= file.len() {
        let lacing = &file[at + 27..at + 27 + usize::from(file[at + 26])];
        let end = at + 27 + lacing.len() + lacing.iter().map(|&n| usize::from(n)).sum::<usize>();
        let mut page = file[at..end].to_vec();
        page[14] ^= 0x55;
        pages.push(buys::summed(page));
        at = end;
    }
    pages.concat()
}

/// What `ffmpeg` carries along when it converts a purchase (reference purchases 9, trap 11), in every container it writes.
pub fn converted(folder: &Path) -> Vec<Named> {
    let all: [(&str, &[&str], bool); 12] = [
        ("flac", &["-c:a", "flac"], true),
        ("ogg", &["-c:a", "libvorbis"], true),
        ("opus", &["-c:a", "libopus"], true),
        ("oga", &["-c:a", "flac"], true),
        ("mp3", &["-c:a", "libmp3lame"], true),
        ("v4.mp3", &["-c:a", "libmp3lame", "-id3v2_version", "4"], true),
        ("m4a", &["-c:a", "aac", "-movflags", "use_metadata_tags"], true),
        ("wma", &["-c:a", "wmav2"], true),
        ("wv", &["-c:a", "wavpack"], true),
        ("aiff", &["-write_id3v2", "1"], true),
        ("mka", &["-c:a", "flac"], false),
        ("caf", &["-c:a", "pcm_s16be"], true),
    ];
    let make = |(name, codec, served): (&str, &[&str], bool)| {
        let file = folder.join(format!("converted.{name}"));
        let mut command = Command::new("ffmpeg");
        command.args([
            "-v",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            "sine=frequency=440:duration=0.4:sample_rate=44100",
        ]);
        command.args(["-ac", "2", "-metadata", "title=Song", "-metadata", "artist=Singer"]);
        command.args(["-metadata", &format!("account_id={BUYER}")]).args(codec).arg(&file);
        let output = command.output().expect("ffmpeg is installed");
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let bytes = std::fs::read(&file).expect("written");
        let extension = name.rsplit('.').next().unwrap_or(name);
        named(&format!("converted to {name}"), bytes, extension, served, true)
    };
    all.into_iter().map(make).collect()
}
