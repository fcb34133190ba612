//! ID3v2 frames with their places (id3.org, ID3v2.2.0, 2.3.0, 2.4.0-structure). Also the frames of Sony's `ea3` tag.

use crate::error::Result;
use crate::media::raw::{RawTag, RawValue};
use crate::media::sniff::look::{Look, be};
use crate::track::PersonalBytes;
use crate::units::ByteCount;

/// Returns where the tag that starts at 0 ends, padding and footer included.
pub fn end_of(head: &[u8]) -> u64 {
    let footer = if head.get(5).is_some_and(|flags| flags & 0x10 != 0) { 10 } else { 0 };
    10 + synchsafe(head.get(6..10).unwrap_or_default()) + footer
}

fn synchsafe(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, &b| n << 7 | u64::from(b & 0x7f))
}

/// Returns the frames that purchase evidence may be in: texts, comments, links, private data. Pictures are passed over.
///
/// # Errors
/// Those of reading; a broken frame ends the walk.
pub fn frames(look: &mut Look<'_>, at: u64, dialect: &str) -> Result<Vec<RawTag>> {
    let head = look.exact(at, 10)?;
    let (version, flags) = (head[3], head[5]);
    let end = (at + 10 + synchsafe(&head[6..10])).min(look.len());
    let (id_len, size_len, head_len) = if version == 2 { (3, 3, 6) } else { (4, 4, 10) };
    let mut place = at + 10;
    if flags & 0x40 != 0 && version >= 3 {
        let extended = look.some(place, 4)?;
        place += if version == 4 { synchsafe(&extended) } else { be(&extended, 0, 4) + 4 };
    }
    let mut found = Vec::new();
    for _ in 0..MOST_FRAMES {
        if place + head_len >= end {
            break;
        }
        let frame = look.exact(place, head_len as usize)?;
        let id = &frame[..id_len];
        if !id.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
            break;
        }
        let size = match version {
            4 => synchsafe(&frame[4..8]),
            _ => be(&frame, id_len, size_len),
        };
        let body = place + head_len;
        if size == 0 || body + size > end {
            break;
        }
        // Compressed and encrypted frames are not read here. A group byte and a length may stand in front of the text
        // (ID3v2.3.0, 3.3.1; ID3v2.4.0-structure, 4.1.2).
        let form = if version >= 3 { frame[9] } else { 0 };
        let (odd, skip) = match version {
            4 => (form & 0x0c != 0, u64::from(form >> 6 & 1) + 4 * u64::from(form & 1)),
            _ => (form & 0xc0 != 0, u64::from(form >> 5 & 1)),
        };
        if !odd && is_of_use(id) && size <= LARGEST_FRAME && skip < size {
            let bytes = look.exact(body + skip, (size - skip) as usize)?;
            found.extend(frame_tag(id, &bytes, dialect, body + skip));
        }
        place = body + size;
    }
    Ok(found)
}

fn is_of_use(id: &[u8]) -> bool {
    let known: &[&[u8]] = &[b"COMM", b"COM", b"PRIV", b"OWNE", b"COMR", b"USER", b"UFID", b"GEOB"];
    id[0] == b'T' || id[0] == b'W' || known.contains(&id)
}

fn frame_tag(id: &[u8], bytes: &[u8], dialect: &str, at: u64) -> Option<RawTag> {
    let name = String::from_utf8_lossy(id).into_owned();
    let all = PersonalBytes { offset: ByteCount(at), length: ByteCount(bytes.len() as u64) };
    let tag = |place: String, value| RawTag::new(format!("{dialect}:{place}"), value);
    match name.as_str() {
        "PRIV" => {
            let end = bytes.iter().position(|&b| b == 0)?;
            let owner = latin(&bytes[..end]);
            let data = bytes.get(end + 1..)?;
            // The UITS of a store carries a transaction and may carry a user (reference purchases 1.2).
            let names_buyer = owner == "www.amazon.com" || owner.ends_with("/UITS");
            let at = at + end as u64 + 1;
            let place = PersonalBytes { offset: ByteCount(at), length: ByteCount(data.len() as u64) };
            let personal = names_buyer.then_some(place);
            Some(RawTag { personal, ..tag(format!("PRIV/{owner}"), RawValue::Bytes(data.to_vec())) })
        }
        "OWNE" | "TOWN" => Some(RawTag { personal: Some(all), ..tag(name, RawValue::Bytes(bytes.to_vec())) }),
        "COMM" | "COM" => {
            let text = text_of(*bytes.first()?, bytes.get(4..)?);
            let (_, comment) = text.split_once('\0').unwrap_or(("", &text));
            Some(tag(name, RawValue::Text(comment.trim_end_matches('\0').to_owned())))
        }
        "TXXX" | "TXX" => {
            let text = text_of(*bytes.first()?, bytes.get(1..)?);
            let (key, value) = text.split_once('\0')?;
            let place = if dialect == "oma" { key.to_owned() } else { format!("TXXX/{key}") };
            Some(tag(place, RawValue::Text(value.trim_end_matches('\0').to_owned())))
        }
        "GEOB" => {
            let body = text_of(*bytes.first()?, bytes.get(1..).map(|b| &b[..b.len().min(256)])?);
            Some(tag(name, RawValue::Text(body)))
        }
        _ if id[0] == b'T' => {
            let text = text_of(*bytes.first()?, bytes.get(1..)?);
            Some(tag(name, RawValue::Text(text.trim_end_matches('\0').to_owned())))
        }
        _ if id[0] == b'W' => Some(tag(name, RawValue::Text(latin(bytes).trim_matches('\0').to_owned()))),
        _ => Some(tag(name, RawValue::Bytes(bytes.to_vec()))),
    }
}

/// Decodes by the encoding byte: 0 Latin-1, 1 UTF-16 with a mark, 2 UTF-16BE, 3 UTF-8 (ID3v2.4.0-structure, 4).
fn text_of(encoding: u8, bytes: &[u8]) -> String {
    match encoding {
        1 | 2 => utf16(encoding == 2, bytes),
        3 => String::from_utf8_lossy(bytes).into_owned(),
        _ => latin(bytes),
    }
}

fn utf16(mut big: bool, bytes: &[u8]) -> String {
    let mut units = Vec::with_capacity(bytes.len() / 2);
    for pair in bytes.chunks_exact(2) {
        match (pair[0], pair[1]) {
            (0xfe, 0xff) => big = true,
            (0xff, 0xfe) => big = false,
            (a, b) => units.push(if big { u16::from_be_bytes([a, b]) } else { u16::from_le_bytes([a, b]) }),
        }
    }
    String::from_utf16_lossy(&units)
}

fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

const MOST_FRAMES: usize = 512;
/// A UITS document has at most 64 kB; texts are shorter.
const LARGEST_FRAME: u64 = 256 << 10;
