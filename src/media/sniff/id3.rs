//! ID3v2 frames with their places (id3.org, ID3v2.2.0, 2.3.0, 2.4.0-structure). Also the frames of Sony's `ea3` tag, and the
//! tag inside an MP4 `ID32` box.

use crate::error::Result;
use crate::media::raw::{RawTag, RawValue, names_buyer};
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

/// The bytes of a tag. In an unsynchronised one (ID3v2.3.0, 5) sizes count the bytes without those that were put in.
struct Body {
    /// Where the tag begins in the file.
    start: u64,
    /// The tag without the bytes that were put in, and in front of which of its bytes one was.
    plain: Option<(Vec<u8>, Vec<u64>)>,
}

impl Body {
    fn new(look: &mut Look<'_>, start: u64, length: u64, unsynchronised: bool) -> Result<Body> {
        if !unsynchronised || length > LARGEST_UNSYNCHRONISED {
            return Ok(Body { start, plain: None });
        }
        let bytes = look.some(start, length as usize)?;
        let (mut plain, mut put_in) = (Vec::with_capacity(bytes.len()), Vec::new());
        for (at, &byte) in bytes.iter().enumerate() {
            if byte == 0 && at > 0 && bytes[at - 1] == 0xff {
                put_in.push(plain.len() as u64);
            } else {
                plain.push(byte);
            }
        }
        Ok(Body { start, plain: Some((plain, put_in)) })
    }

    /// Returns up to `count` bytes from `at`, counted from the start of the tag.
    fn some(&self, look: &mut Look<'_>, at: u64, count: usize) -> Result<Vec<u8>> {
        let Some((plain, _)) = &self.plain else { return look.some(self.start + at, count) };
        let from = usize::try_from(at).map_or(plain.len(), |at| at.min(plain.len()));
        Ok(plain[from..(from.saturating_add(count)).min(plain.len())].to_vec())
    }

    /// Returns where a range of the tag lies in the file.
    fn place(&self, at: u64, length: u64) -> PersonalBytes {
        let in_file = |at: u64| {
            let put_in = self.plain.as_ref().map_or(&[][..], |(_, put_in)| put_in);
            // Each byte that was put in moves what stands behind it.
            at + put_in.partition_point(|&before| before <= at) as u64
        };
        let (from, to) = (in_file(at), in_file(at + length));
        PersonalBytes { offset: ByteCount(self.start + from), length: ByteCount(to - from) }
    }
}

/// Returns the frames that purchase evidence may be in: texts, comments, links, private data. Pictures are passed over, and
/// what cannot be read and may name the buyer is marked as unread.
///
/// # Errors
/// Those of reading; a broken frame ends the walk.
pub fn frames(look: &mut Look<'_>, at: u64, dialect: &str) -> Result<Vec<RawTag>> {
    let head = look.exact(at, 10)?;
    let (version, flags) = (head[3], head[5]);
    let length = (10 + synchsafe(&head[6..10])).min(look.len() - at);
    // Since 2.4 each frame says it for itself, and its size counts all bytes.
    let unsynchronised = flags & 0x80 != 0 && version < 4;
    let body = Body::new(look, at, length, unsynchronised)?;
    if unsynchronised && body.plain.is_none() {
        return Ok(vec![RawTag::unread(body.place(10, length.saturating_sub(10)))]);
    }
    let length = body.plain.as_ref().map_or(length, |(plain, _)| plain.len() as u64);
    let (id_len, size_len, head_len) = if version == 2 { (3, 3, 6) } else { (4, 4, 10) };
    let mut place = 10;
    if flags & 0x40 != 0 && version >= 3 {
        let extended = body.some(look, place, 4)?;
        place += if version == 4 { synchsafe(&extended) } else { be(&extended, 0, 4) + 4 };
    }
    let mut found = Vec::new();
    for number in 0.. {
        if place + head_len >= length {
            break;
        }
        let rest = || RawTag::unread(body.place(place, length - place));
        let frame = body.some(look, place, head_len as usize)?;
        let Some(id) = frame.get(..id_len).filter(|_| frame.len() == head_len as usize) else { break };
        // Padding is zeros.
        if id.iter().all(|&b| b == 0) {
            break;
        }
        if number == MOST_FRAMES || !is_name(id) {
            found.push(rest());
            break;
        }
        let inside = place + head_len;
        let size = match version {
            4 => size_of_v4(look, &body, &frame, inside..length)?,
            _ => be(&frame, id_len, size_len),
        };
        if inside + size > length {
            found.push(rest());
            break;
        }
        // Compressed and encrypted frames are not read here. A group byte and a length may stand in front of the text
        // (ID3v2.3.0, 3.3.1; ID3v2.4.0-structure, 4.1.2).
        let form = if version >= 3 { frame[9] } else { 0 };
        let (odd, skip) = match version {
            4 => (form & 0x0c != 0, u64::from(form >> 6 & 1) + 4 * u64::from(form & 1)),
            _ => (form & 0xc0 != 0, u64::from(form >> 5 & 1)),
        };
        let unsynchronised = version == 4 && form & 2 != 0;
        let frame = Frame { id, odd, unsynchronised, skip, lies: inside..inside + size };
        found.extend(frame.tag(look, &body, dialect)?);
        place = inside + size;
    }
    Ok(found)
}

/// A frame: its name, how its body is written and where in the tag it lies.
struct Frame<'a> {
    id: &'a [u8],
    /// Compressed or encrypted.
    odd: bool,
    unsynchronised: bool,
    /// Bytes in front of what it says.
    skip: u64,
    lies: std::ops::Range<u64>,
}

impl Frame<'_> {
    /// Reads what is of use, and marks what cannot be read and may name the buyer.
    fn tag(&self, look: &mut Look<'_>, body: &Body, dialect: &str) -> Result<Option<RawTag>> {
        let (id, lies) = (self.id, &self.lies);
        let size = lies.end - lies.start;
        let unread =
            || (size > 0 && may_name_buyer(id)).then(|| RawTag::unread(body.place(lies.start, size)));
        let largest = if is_object(id) { u64::MAX } else { LARGEST_FRAME };
        if !self.odd && is_of_use(id) && size <= largest && self.skip < size {
            let said = lies.start + self.skip..lies.end;
            // Of an object only its name is of use.
            let count = said.end - said.start;
            let count = if is_object(id) { count.min(OBJECT_HEAD) } else { count };
            let mut bytes = body.some(look, said.start, count as usize)?;
            if self.unsynchronised {
                bytes = synchronised(&bytes);
            }
            return Ok(frame_tag(id, &bytes, dialect, body, said).or_else(unread));
        }
        if self.odd && matches!(id, b"PRIV" | b"OWNE" | b"TOWN") {
            // A frame that cannot be read here may name the buyer all the same.
            let name = format!("{dialect}:{}", String::from_utf8_lossy(id));
            let personal = Some(body.place(lies.start, size));
            return Ok(Some(RawTag { personal, ..RawTag::new(name, RawValue::Bytes(Vec::new())) }));
        }
        Ok(unread())
    }
}

fn is_name(id: &[u8]) -> bool {
    id.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Returns the size of a frame of ID3v2.4, whose body may lie at `room`. iTunes wrote plain numbers for years, where the
/// standard has seven bits a byte: the one behind which another frame, padding or the end stands is meant.
fn size_of_v4(look: &mut Look<'_>, body: &Body, frame: &[u8], room: std::ops::Range<u64>) -> Result<u64> {
    let (safe, plain) = (synchsafe(&frame[4..8]), be(frame, 4, 4));
    if safe == plain || room.start + plain > room.end {
        return Ok(safe);
    }
    let mut leads_on = |size: u64| -> Result<bool> {
        let next = body.some(look, room.start + size, 4)?;
        let ends = room.start + size + 10 >= room.end || next.iter().all(|&byte| byte == 0);
        Ok(ends || is_name(&next))
    };
    Ok(if !leads_on(safe)? && leads_on(plain)? { plain } else { safe })
}

fn synchronised(bytes: &[u8]) -> Vec<u8> {
    let before = [0].iter().chain(bytes);
    bytes
        .iter()
        .zip(before)
        .filter(|(byte, before)| (**byte, **before) != (0, 0xff))
        .map(|(b, _)| *b)
        .collect()
}

fn is_object(id: &[u8]) -> bool {
    matches!(id, b"GEOB" | b"GEO")
}

fn may_name_buyer(id: &[u8]) -> bool {
    matches!(id, b"PRIV" | b"OWNE" | b"TOWN" | b"TXXX" | b"TXX")
}

fn is_of_use(id: &[u8]) -> bool {
    let known: &[&[u8]] = &[b"COMM", b"COM", b"PRIV", b"OWNE", b"COMR", b"USER", b"UFID", b"GEOB", b"GEO"];
    id[0] == b'T' || id[0] == b'W' || known.contains(&id)
}

/// Reads one frame whose body lies at `lies` of the tag.
fn frame_tag(
    id: &[u8],
    bytes: &[u8],
    dialect: &str,
    body: &Body,
    lies: std::ops::Range<u64>,
) -> Option<RawTag> {
    let name = String::from_utf8_lossy(id).into_owned();
    let all = body.place(lies.start, lies.end - lies.start);
    let tag = |place: String, value| RawTag::new(format!("{dialect}:{place}"), value);
    let words = |text: &str| RawValue::Text(text.trim_end_matches('\0').to_owned());
    match name.as_str() {
        "PRIV" => private(bytes, dialect, |from| body.place(lies.start + from, lies.end - lies.start - from)),
        "OWNE" => Some(RawTag { personal: Some(all), ..tag(name, RawValue::Bytes(bytes.to_vec())) }),
        "TOWN" => {
            let text = text_of(*bytes.first()?, bytes.get(1..)?);
            let personal = names_buyer("FILEOWNER", &text).then_some(all);
            Some(RawTag { personal, ..tag(name, words(&text)) })
        }
        "COMM" | "COM" => {
            let text = text_of(*bytes.first()?, bytes.get(4..)?);
            let (_, comment) = text.split_once('\0').unwrap_or(("", &text));
            Some(tag(name, words(comment)))
        }
        "USER" => Some(tag(name, words(&text_of(*bytes.first()?, bytes.get(4..)?)))),
        "TXXX" | "TXX" => {
            let text = text_of(*bytes.first()?, bytes.get(1..)?);
            let (key, value) = text.split_once('\0')?;
            let place = if dialect == "oma" { key.to_owned() } else { format!("TXXX/{key}") };
            let personal = names_buyer(key, value).then_some(all);
            Some(RawTag { personal, ..tag(place, words(value)) })
        }
        // The words in front of the address are in the frame's encoding, the address never is (ID3v2.3.0, 4.3.2).
        "WXXX" | "WXX" => {
            let (encoding, rest) = bytes.split_first()?;
            let end = end_of_text(*encoding, rest);
            let key = text_of(*encoding, &rest[..end.start]);
            let address = latin(rest.get(end.end..)?);
            Some(tag(format!("WXXX/{key}"), words(&address)))
        }
        // Encoding, type, file name, description, object (ID3v2.3.0, 4.16).
        "GEOB" | "GEO" => {
            let (encoding, rest) = bytes.split_first()?;
            let rest = rest.get(end_of_text(0, rest).end..)?;
            let file = end_of_text(*encoding, rest);
            let rest = rest.get(file.end..)?;
            let described = text_of(*encoding, &rest[..end_of_text(*encoding, rest).start]);
            Some(tag(format!("GEOB/{described}"), RawValue::Bytes(Vec::new())))
        }
        _ if id[0] == b'T' => Some(tag(name, words(&text_of(*bytes.first()?, bytes.get(1..)?)))),
        _ if id[0] == b'W' => Some(tag(name, RawValue::Text(latin(bytes).trim_matches('\0').to_owned()))),
        _ => Some(tag(name, RawValue::Bytes(bytes.to_vec()))),
    }
}

/// Reads a private frame: its owner in Latin-1, a zero, bytes. `place` says where they lie from a place of the frame on.
fn private(bytes: &[u8], dialect: &str, place: impl Fn(u64) -> PersonalBytes) -> Option<RawTag> {
    let end = bytes.iter().position(|&b| b == 0)?;
    let owner = latin(&bytes[..end]);
    let data = bytes.get(end + 1..)?;
    // The UITS of a store carries a transaction and may carry a user (reference purchases 1.2).
    let uits = data.windows(4).any(|word| word == b"UITS");
    let names_buyer = uits || BUYERS_FRAMES.contains(&&*owner) || owner.ends_with("/UITS");
    let personal = names_buyer.then(|| place(end as u64 + 1));
    let name = format!("{dialect}:PRIV/{owner}");
    Some(RawTag { personal, ..RawTag::new(name, RawValue::Bytes(data.to_vec())) })
}

/// Returns where a text ends: its terminator, of two bytes in UTF-16; the end of the bytes when there is none.
pub fn end_of_text(encoding: u8, bytes: &[u8]) -> std::ops::Range<usize> {
    let whole = bytes.len()..bytes.len();
    match encoding {
        1 | 2 => {
            let mut pairs = bytes.chunks_exact(2);
            pairs.position(|pair| pair == [0, 0]).map_or(whole, |at| at * 2..at * 2 + 2)
        }
        _ => bytes.iter().position(|&b| b == 0).map_or(whole, |at| at..at + 1),
    }
}

/// Decodes by the encoding byte: 0 Latin-1, 1 UTF-16 with a mark, 2 UTF-16BE, 3 UTF-8 (ID3v2.4.0-structure, 4).
pub fn text_of(encoding: u8, bytes: &[u8]) -> String {
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

/// Decodes ISO 8859-1: each byte is its letter.
pub fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&b| char::from(b)).collect()
}

/// Owners of private frames that say who bought, in a form only they know (reference purchases 1.2 and 1.3).
const BUYERS_FRAMES: [&str; 2] = ["www.amazon.com", "contentgroup@emusic.com"];
const MOST_FRAMES: usize = 512;
/// A UITS document has at most 64 kB; texts are shorter.
const LARGEST_FRAME: u64 = 256 << 10;
/// What of an object is read: its type, file name and description.
const OBJECT_HEAD: u64 = 512;
/// Tags with larger pictures are read as if nothing was put in.
const LARGEST_UNSYNCHRONISED: u64 = 4 << 20;
