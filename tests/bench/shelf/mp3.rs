//! Writes MPEG-1 Layer III (ISO/IEC 11172-3): frames without sound, whose ancillary bytes differ from file to file, behind
//! ID3v2.3 or ID3v2.4 and before ID3v1 in some.

use std::io::{self, Write};

use super::song::{ALBUM, ARTIST, DATE, Key, Song, TITLE};
use super::support::fixtures::Random;

/// A run of frames.
#[derive(Clone, Copy)]
struct Form {
    /// What follows 0xFFFB: bit rate, sample rate, channels.
    header: [u8; 2],
    /// Bytes of a frame without a padding slot: 144 × bit rate / sample rate.
    frame: usize,
    /// Bytes of the header and the side information: all zeros say that no sound follows.
    side: usize,
}

/// 32 kbit/s mono and 320 kbit/s stereo at 44.1 kHz.
const SMALL: Form = Form { header: [0x10, 0xC4], frame: 104, side: 4 + 17 };
const BIG: Form = Form { header: [0xE0, 0x04], frame: 1044, side: 4 + 32 };

/// Returns a whole file of 2 to 8 kB.
pub fn small(song: &Song) -> Vec<u8> {
    let mut random = Random(song.seed | 1);
    let frames = 18 + random.below(40) as usize;
    let mut file = head(song, &mut random);
    if random.below(2) == 0 {
        file.extend(info(SMALL, frames));
    }
    (0..frames).for_each(|_| file.extend(frame(SMALL, &mut random)));
    if random.below(3) == 0 {
        file.extend(version_1(song));
    }
    file
}

/// Writes a file of about `length` bytes.
pub fn big(song: &Song, length: u64, file: &mut impl Write) -> io::Result<()> {
    let mut random = Random(song.seed | 1);
    let run: Vec<u8> = (0..RUN).flat_map(|_| frame(BIG, &mut random)).collect();
    let runs = usize::try_from(length).expect("fits") / run.len();
    file.write_all(&head(song, &mut random))?;
    file.write_all(&info(BIG, runs * RUN))?;
    (0..runs).try_for_each(|_| file.write_all(&run))
}

fn frame(form: Form, random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![0; form.frame];
    bytes[..4].copy_from_slice(&[0xFF, 0xFB, form.header[0], form.header[1]]);
    for part in bytes[form.side..].chunks_mut(8) {
        // Below 0x80, so that nothing looks like the start of a frame.
        let noise = random.next() & 0x7F7F_7F7F_7F7F_7F7F;
        part.copy_from_slice(&noise.to_le_bytes()[..part.len()]);
    }
    bytes
}

/// The frame that says how many follow, as encoders write it for a constant bit rate.
fn info(form: Form, frames: usize) -> Vec<u8> {
    let mut bytes = vec![0; form.frame];
    bytes[..4].copy_from_slice(&[0xFF, 0xFB, form.header[0], form.header[1]]);
    let number = |value: usize| u32::try_from(value).expect("small").to_be_bytes();
    let body = [&b"Info"[..], &number(3), &number(frames), &number((frames + 1) * form.frame)].concat();
    bytes[form.side..form.side + body.len()].copy_from_slice(&body);
    bytes
}

/// ID3v2 with some padding.
fn head(song: &Song, random: &mut Random) -> Vec<u8> {
    let version = if random.below(2) == 0 { Version::Three } else { Version::Four };
    let mut body = Vec::new();
    for (key, values) in &song.tags {
        body.extend(text(version, *key, values));
    }
    let count = |(number, count): (u8, u8)| format!("{number}/{count}");
    body.extend(named(version, "TRCK", &plain(&count(song.track))));
    if song.disc.1 > 1 {
        body.extend(named(version, "TPOS", &plain(&count(song.disc))));
    }
    if song.compilation {
        body.extend(named(version, "TCMP", &plain("1")));
    }
    if let Some(cover) = &song.cover {
        body.extend(named(version, "APIC", &[b"\0image/jpeg\0\x03\0", &cover[..]].concat()));
    }
    body.resize(body.len() + random.below(600) as usize, 0);
    let number = if version == Version::Three { 3 } else { 4 };
    [&b"ID3"[..], &[number, 0, 0], &syncsafe(body.len()), &body].concat()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Three,
    Four,
}

fn text(version: Version, key: Key, values: &[String]) -> Vec<u8> {
    let (name, value) = match version {
        Version::Three if key == DATE => ("TYER", values[0][..4].to_owned()),
        Version::Three => (key.id3, values.join("/")),
        Version::Four => (key.id3, values.join("\0")),
    };
    if name == "TXXX" {
        return named(version, name, &plain(&format!("{}\0{value}", key.vorbis)));
    }
    let bytes = match version {
        Version::Four => [&[3], value.as_bytes()].concat(),
        Version::Three if value.is_ascii() => plain(&value),
        Version::Three => {
            let units = std::iter::once(0xFEFF).chain(value.encode_utf16());
            std::iter::once(1).chain(units.flat_map(u16::to_le_bytes)).collect()
        }
    };
    named(version, name, &bytes)
}

/// ASCII under the mark of Latin-1.
fn plain(text: &str) -> Vec<u8> {
    [&[0], text.as_bytes()].concat()
}

fn named(version: Version, name: &str, body: &[u8]) -> Vec<u8> {
    let size = match version {
        Version::Three => u32::try_from(body.len()).expect("small").to_be_bytes(),
        Version::Four => syncsafe(body.len()),
    };
    [name.as_bytes(), &size, &[0, 0], body].concat()
}

/// Seven bits a byte (ID3v2.4, 6.2).
fn syncsafe(value: usize) -> [u8; 4] {
    [21, 14, 7, 0].map(|shift| (value >> shift & 0x7F) as u8)
}

/// ID3v1.1: what fits, in Latin-1.
fn version_1(song: &Song) -> Vec<u8> {
    let field = |key: Key, length: usize| {
        let values = song.tags.iter().find(|(it, _)| *it == key).map(|(_, values)| values[0].as_str());
        let latin = values.unwrap_or_default().chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'));
        let mut bytes: Vec<u8> = latin.take(length).collect();
        bytes.resize(length, 0);
        bytes
    };
    let mut bytes = b"TAG".to_vec();
    for (key, length) in [(TITLE, 30), (ARTIST, 30), (ALBUM, 30), (DATE, 4)] {
        bytes.extend(field(key, length));
    }
    bytes.resize(126, 0);
    bytes.extend([song.track.0, 255]);
    bytes
}

/// Frames that are written at once.
const RUN: usize = 1000;
