//! Notices whether a file carries a picture, by walking heads only: no picture is ever read.

use std::io::{self, Read, Seek, SeekFrom};

use crate::media::sound::Sound;
use crate::track::Container;

/// Returns whether the tags hold a picture.
///
/// # Errors
/// Those of reading; a tag that ends early is one.
pub(in crate::media) fn any(sound: &mut Sound, container: Container) -> io::Result<bool> {
    match container {
        Container::Flac => flac(sound),
        Container::Mpeg | Container::Adts => id3v2(sound, 0),
        Container::Mp4 => mp4(sound),
        Container::Wav => chunks(sound, u32::from_le_bytes),
        Container::Aiff => chunks(sound, u32::from_be_bytes),
        Container::Ogg => ogg(sound),
        _ => Ok(false),
    }
}

fn flac(sound: &mut Sound) -> io::Result<bool> {
    let mut at = 4;
    for _ in 0..MOST_STEPS {
        let [kind, a, b, c] = read::<4>(sound, at)?;
        if kind & 0x7f == 6 {
            return Ok(true);
        }
        if kind & 0x80 != 0 {
            break;
        }
        at += 4 + u64::from(u32::from_be_bytes([0, a, b, c]));
    }
    Ok(false)
}

/// Walks frame heads of ID3v2.2 (6 bytes, `PIC`), 2.3 and 2.4 (10 bytes, `APIC`).
fn id3v2(sound: &mut Sound, start: u64) -> io::Result<bool> {
    let head = read::<10>(sound, start)?;
    if &head[..3] != b"ID3" {
        return Ok(false);
    }
    let (version, flags) = (head[3], head[5]);
    let end = start + 10 + synchsafe([head[6], head[7], head[8], head[9]]);
    let mut at = start + 10;
    if flags & 0x40 != 0 && version > 2 {
        let size = read::<4>(sound, at)?;
        at += if version == 3 { 4 + u64::from(u32::from_be_bytes(size)) } else { synchsafe(size) };
    }
    let length = if version == 2 { 6 } else { 10 };
    for _ in 0..MOST_STEPS {
        if at + length > end {
            break;
        }
        let frame = read::<7>(sound, at)?;
        if frame[0] == 0 {
            break;
        }
        if &frame[..4] == b"APIC" || (version == 2 && &frame[..3] == b"PIC") {
            return Ok(true);
        }
        let size = match version {
            2 => u64::from(u32::from_be_bytes([0, frame[3], frame[4], frame[5]])),
            3 => u64::from(u32::from_be_bytes(read::<4>(sound, at + 4)?)),
            _ => synchsafe(read::<4>(sound, at + 4)?),
        };
        at += length + size;
    }
    Ok(false)
}

/// Looks for `moov/udta/meta/ilst/covr`.
fn mp4(sound: &mut Sound) -> io::Result<bool> {
    let (mut at, mut end) = (0, sound.byte_len().unwrap_or(u64::MAX));
    let mut path = [b"moov", b"udta", b"meta", b"ilst", b"covr"].iter();
    let mut wanted = path.next();
    for _ in 0..MOST_STEPS {
        let Some(name) = wanted else { return Ok(true) };
        if at + 8 > end {
            break;
        }
        let head = read::<8>(sound, at)?;
        let short = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let (skip, size) = match short {
            0 => (8, end - at),
            1 => (16, u64::from_be_bytes(read::<8>(sound, at + 8)?)),
            short => (8, u64::from(short)),
        };
        if size < skip {
            break;
        }
        if head[4..] == name[..] {
            // `meta` is a full box: version and flags come before its children.
            let version = if *name == b"meta" { 4 } else { 0 };
            (at, end) = (at + skip + version, at.saturating_add(size).min(end));
            wanted = path.next();
        } else {
            at = at.saturating_add(size);
        }
    }
    Ok(wanted.is_none())
}

/// Looks into the ID3v2 chunk of WAV (`id3 `) and AIFF (`ID3 `).
fn chunks(sound: &mut Sound, size: fn([u8; 4]) -> u32) -> io::Result<bool> {
    let mut at = 12;
    for _ in 0..MOST_STEPS {
        let [a, b, c, d, e, f, g, h] = read::<8>(sound, at)?;
        if [a, b, c, d].eq_ignore_ascii_case(b"id3 ") {
            return id3v2(sound, at + 8);
        }
        let length = u64::from(size([e, f, g, h]));
        at += 8 + length + (length & 1);
    }
    Ok(false)
}

/// Looks for the name of the picture comment near the start. Text comments stand before pictures in every tagger seen.
fn ogg(sound: &mut Sound) -> io::Result<bool> {
    sound.seek(SeekFrom::Start(0))?;
    let mut start = Vec::new();
    sound.take(OGG_START).read_to_end(&mut start)?;
    start.make_ascii_uppercase();
    Ok([&b"METADATA_BLOCK_PICTURE="[..], b"COVERART="]
        .iter()
        .any(|name| memchr::memmem::find(&start, name).is_some()))
}

fn synchsafe(bytes: [u8; 4]) -> u64 {
    bytes.iter().fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f))
}

fn read<const N: usize>(sound: &mut Sound, at: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    sound.seek(SeekFrom::Start(at))?;
    sound.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Heads that are looked at.
const MOST_STEPS: usize = 2048;
/// Bytes of an Ogg file that are searched.
const OGG_START: u64 = 64 << 10;
