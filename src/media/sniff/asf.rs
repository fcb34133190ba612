//! ASF and WMA: the header's objects (Advanced Systems Format specification, 2 and 3), and those that lock a file.

use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::media::raw::{RawTag, RawValue, names_buyer};
use crate::media::sniff::Sniffed;
use crate::media::sniff::look::{Look, le};
use crate::track::{Codec, Container, PersonalBytes, Protection};
use crate::units::{ByteCount, Frames, SampleRate};

/// ASF_Header_Object.
pub const HEADER: [u8; 16] =
    [0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9, 0x00, 0xaa, 0x00, 0x62, 0xce, 0x6c];

/// Says what an ASF file is.
///
/// # Errors
/// `Damaged` when its header breaks off.
pub fn sniff(look: &mut Look<'_>) -> Result<Sniffed> {
    let head = look.exact(0, 30)?;
    let end = le(&head, 16, 8);
    if end > look.len() {
        return Err(Error::new(Kind::Damaged, "the WMA file breaks off in its head"));
    }
    let mut sniffed = Sniffed::new(Container::Asf, Codec::Other, end..look.len());
    let mut walk = Walk { sniffed: &mut sniffed, objects: 0, duration: 0 };
    walk.objects_in(look, 30..end, le(&head, 24, 4), 0)?;
    let duration = walk.duration;
    if let Some(rate) = sniffed.format.rate {
        sniffed.format.frames =
            Some(Frames(duration.saturating_mul(u64::from(rate.hz())) / 1000)).filter(|f| f.0 > 0);
    }
    Ok(sniffed)
}

/// What the walk gathers.
struct Walk<'a> {
    sniffed: &'a mut Sniffed,
    objects: u64,
    /// In milliseconds.
    duration: u64,
}

impl Walk<'_> {
    /// Visits at most `count` objects of a part of the file; what is broken ends the walk.
    fn objects_in(&mut self, look: &mut Look<'_>, part: Range<u64>, count: u64, depth: usize) -> Result<()> {
        let mut at = part.start;
        for _ in 0..count {
            self.objects += 1;
            if at.saturating_add(24) > part.end || self.objects > MOST_OBJECTS || depth > DEEPEST {
                break;
            }
            let object = look.exact(at, 24)?;
            let size = le(&object, 16, 8);
            if size < 24 || at.saturating_add(size) > part.end {
                break;
            }
            self.object(look, &object[..16], at + 24..at + size, depth)?;
            at += size;
        }
        Ok(())
    }

    fn object(&mut self, look: &mut Look<'_>, guid: &[u8], lies: Range<u64>, depth: usize) -> Result<()> {
        // Reserved GUID and number, size, then objects (ASF specification 3.4): Advanced Content Encryption lies here.
        if guid == HEADER_EXTENSION {
            return self.objects_in(look, lies.start.saturating_add(22)..lies.end, MOST_OBJECTS, depth + 1);
        }
        let body =
            |look: &mut Look<'_>| look.exact(lies.start, (lies.end - lies.start).min(LARGEST_BODY) as usize);
        if guid == CONTENT_ENCRYPTION {
            let license_url = license(&body(look)?);
            self.sniffed.protection = Protection::WmDrm { license_url };
        } else if guid == EXTENDED_ENCRYPTION || guid == ADVANCED_ENCRYPTION {
            let found = encryption(guid, &body(look)?);
            // The first object names the licence; a second one only says so again.
            if matches!(self.sniffed.protection, Protection::None | Protection::UnknownEncrypted) {
                self.sniffed.protection = found;
            }
        } else if guid == FILE_PROPERTIES {
            let body = body(look)?;
            // Play duration in 100 ns, preroll in ms.
            self.duration = (le(&body, 40, 8) / 10_000).saturating_sub(le(&body, 56, 8));
        } else if guid == STREAM_PROPERTIES {
            stream(self.sniffed, &body(look)?);
        } else if guid == EXTENDED_STREAM {
            self.extended_stream(look, lies, depth)?;
        } else if guid == CONTENT_DESCRIPTION {
            description(self.sniffed, &body(look)?);
        } else if guid == EXTENDED_DESCRIPTION || guid == METADATA_LIBRARY || guid == METADATA {
            attributes(self.sniffed, look, guid, lies)?;
        }
        Ok(())
    }

    /// 64 bytes, then names (stream, length, text) and extension systems (GUID, size, length, bytes), then perhaps the
    /// stream's properties as an object (ASF specification 4.1).
    fn extended_stream(&mut self, look: &mut Look<'_>, lies: Range<u64>, depth: usize) -> Result<()> {
        let head = look.some(lies.start, 64.min(lies.end - lies.start) as usize)?;
        let (names, systems) = (le(&head, 60, 2), le(&head, 62, 2));
        let mut at = lies.start.saturating_add(64);
        for _ in 0..names.min(MOST_NAMES) {
            at = at.saturating_add(4 + le(&look.some(at, 4)?, 2, 2));
        }
        for _ in 0..systems.min(MOST_NAMES) {
            at = at.saturating_add(22).saturating_add(le(&look.some(at, 22)?, 18, 4));
        }
        self.objects_in(look, at..lies.end, 1, depth + 1)
    }
}

/// What Extended and Advanced Content Encryption say: a length and a `WRMHEADER` in UTF-16. Versions 4 are PlayReady's.
fn encryption(guid: &[u8], body: &[u8]) -> Protection {
    let stated = le(body, 0, 4) as usize;
    let inside = body.get(4..).filter(|rest| guid == EXTENDED_ENCRYPTION && stated <= rest.len());
    let text = wide(inside.unwrap_or(body));
    let version = text.split_once("version=").map_or("", |(_, rest)| rest);
    if version.trim_start_matches(['"', '\'']).starts_with("4.") {
        return Protection::PlayReady;
    }
    let inner = text.split_once("<LA_URL>").and_then(|(_, rest)| rest.split_once("</LA_URL>"));
    Protection::WmDrm { license_url: inner.map_or(String::new(), |(url, _)| url.trim().to_owned()) }
}

fn stream(sniffed: &mut Sniffed, body: &[u8]) {
    if body.get(..16) != Some(&AUDIO_MEDIA) {
        return;
    }
    let format = body.get(54..).unwrap_or_default();
    sniffed.format.codec = match le(format, 0, 2) {
        // Windows Media Audio Voice, 1, 2, Professional, Lossless.
        0x0a | 0x160..=0x163 => Codec::Wma,
        0x01 => Codec::Pcm,
        0x55 => Codec::Mp3,
        _ => Codec::Other,
    };
    sniffed.format.channels = u16::try_from(le(format, 2, 2)).ok();
    sniffed.format.rate = SampleRate::new(le(format, 4, 4) as u32);
    // Flag bit 15: encrypted content (reference purchases 2.3, unconfirmed): it can only lock what no object names.
    if le(body, 48, 2) & 0x8000 != 0 && !sniffed.protection.is_locked() {
        sniffed.protection = Protection::UnknownEncrypted;
    }
}

/// Secret data, protection type, key id, licence URL: each a length and bytes.
fn license(body: &[u8]) -> String {
    let mut at = 0;
    let mut field = &body[..0];
    for _ in 0..4 {
        let length = le(body, at, 4) as usize;
        field = body.get(at + 4..(at + 4).saturating_add(length)).unwrap_or_default();
        at = at.saturating_add(4).saturating_add(length);
    }
    String::from_utf8_lossy(field).trim_end_matches('\0').to_owned()
}

fn wide(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let aligned = String::from_utf16_lossy(&units);
    aligned.trim_end_matches('\0').to_owned()
}

fn description(sniffed: &mut Sniffed, body: &[u8]) {
    let mut at = 10;
    for (i, name) in ["Title", "Author", "Copyright", "Description"].into_iter().enumerate() {
        let length = le(body, i * 2, 2) as usize;
        put(sniffed, name, body.get(at..at + length));
        at += length;
    }
}

/// Reads the attributes of an Extended Content Description, or of a Metadata (Library) Object, which tell a language and a
/// stream too (ASF specification 3.11, 4.7, 4.8). What stands behind a broken one is marked as unread.
fn attributes(sniffed: &mut Sniffed, look: &mut Look<'_>, guid: &[u8], lies: Range<u64>) -> Result<()> {
    let library = guid != EXTENDED_DESCRIPTION;
    let count = le(&look.some(lies.start, 2)?, 0, 2);
    let mut at = lies.start + 2;
    for number in 0..count {
        // Language, stream, length of the name, kind, length of the value, name; or length, name, kind, length.
        let head = look.some(at, if library { 12 } else { 2 })?;
        let name_length = if library { le(&head, 4, 2) } else { le(&head, 0, 2) };
        let name_at = at + head.len() as u64;
        let name = look.some(name_at, name_length as usize)?;
        let behind = name_at + name_length;
        let (kind, length, value) = if library {
            (le(&head, 6, 2), le(&head, 8, 4), behind)
        } else {
            let sizes = look.some(behind, 4)?;
            (le(&sizes, 0, 2), le(&sizes, 2, 2), behind + 4)
        };
        let end = value.saturating_add(length);
        if end > lies.end || number >= MOST_OBJECTS {
            let rest = ByteCount(lies.end.saturating_sub(at));
            sniffed.raw.push(RawTag::unread(PersonalBytes { offset: ByteCount(at), length: rest }));
            break;
        }
        let name = wide(&name);
        // Pictures are of no use here.
        if length <= LARGEST_VALUE || names_buyer(&name, "") {
            let bytes = look.some(value, length.min(LARGEST_VALUE) as usize)?;
            let text = wide(&bytes);
            if names_buyer(&name, &text) {
                let lies = PersonalBytes { offset: ByteCount(value), length: ByteCount(length) };
                let tag = RawTag::new(format!("asf:{name}"), RawValue::Text(text));
                sniffed.raw.push(RawTag { personal: Some(lies), ..tag });
            } else {
                attribute(sniffed, &name, kind, &bytes);
            }
        }
        at = end;
    }
    Ok(())
}

/// Keeps texts and numbers; truth values are numbers of 2 or 4 bytes.
fn attribute(sniffed: &mut Sniffed, name: &str, kind: u64, value: &[u8]) {
    match kind {
        0 => put(sniffed, name, Some(value)),
        2..=5 => {
            let number = le(value, 0, value.len().min(8)) as i64;
            sniffed.raw.push(RawTag::new(format!("asf:{name}"), RawValue::Number(number)));
        }
        _ => {}
    }
}

fn put(sniffed: &mut Sniffed, name: &str, value: Option<&[u8]>) {
    let text = wide(value.unwrap_or_default());
    if !text.is_empty() {
        sniffed.raw.push(RawTag::new(format!("asf:{name}"), RawValue::Text(text)));
    }
}

const CONTENT_ENCRYPTION: &[u8] =
    &[0xfb, 0xb3, 0x11, 0x22, 0x23, 0xbd, 0xd2, 0x11, 0xb4, 0xb7, 0x00, 0xa0, 0xc9, 0x55, 0xfc, 0x6e];
const EXTENDED_ENCRYPTION: &[u8] =
    &[0x14, 0xe6, 0x8a, 0x29, 0x22, 0x26, 0x17, 0x4c, 0xb9, 0x35, 0xda, 0xe0, 0x7e, 0xe9, 0x28, 0x9c];
const ADVANCED_ENCRYPTION: &[u8] =
    &[0x33, 0x85, 0x05, 0x43, 0x81, 0x69, 0xe6, 0x49, 0x9b, 0x74, 0xad, 0x12, 0xcb, 0x86, 0xd5, 0x8c];
const FILE_PROPERTIES: &[u8] =
    &[0xa1, 0xdc, 0xab, 0x8c, 0x47, 0xa9, 0xcf, 0x11, 0x8e, 0xe4, 0x00, 0xc0, 0x0c, 0x20, 0x53, 0x65];
const STREAM_PROPERTIES: &[u8] =
    &[0x91, 0x07, 0xdc, 0xb7, 0xb7, 0xa9, 0xcf, 0x11, 0x8e, 0xe6, 0x00, 0xc0, 0x0c, 0x20, 0x53, 0x65];
const CONTENT_DESCRIPTION: &[u8] =
    &[0x33, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9, 0x00, 0xaa, 0x00, 0x62, 0xce, 0x6c];
const EXTENDED_DESCRIPTION: &[u8] =
    &[0x40, 0xa4, 0xd0, 0xd2, 0x07, 0xe3, 0xd2, 0x11, 0x97, 0xf0, 0x00, 0xa0, 0xc9, 0x5e, 0xa8, 0x50];
const HEADER_EXTENSION: &[u8] =
    &[0xb5, 0x03, 0xbf, 0x5f, 0x2e, 0xa9, 0xcf, 0x11, 0x8e, 0xe3, 0x00, 0xc0, 0x0c, 0x20, 0x53, 0x65];
const EXTENDED_STREAM: &[u8] =
    &[0xcb, 0xa5, 0xe6, 0x14, 0x72, 0xc6, 0x32, 0x43, 0x83, 0x99, 0xa9, 0x69, 0x52, 0x06, 0x5b, 0x5a];
const METADATA_LIBRARY: &[u8] =
    &[0x94, 0x1c, 0x23, 0x44, 0x98, 0x94, 0xd1, 0x49, 0xa1, 0x41, 0x1d, 0x13, 0x4e, 0x45, 0x70, 0x54];
const METADATA: &[u8] =
    &[0xea, 0xcb, 0xf8, 0xc5, 0xaf, 0x5b, 0x77, 0x48, 0x84, 0x67, 0xaa, 0x8c, 0x44, 0xfa, 0x4c, 0xca];
const AUDIO_MEDIA: [u8; 16] =
    [0x40, 0x9e, 0x69, 0xf8, 0x4d, 0x5b, 0xcf, 0x11, 0xa8, 0xfd, 0x00, 0x80, 0x5f, 0x5c, 0x44, 0x2b];
const MOST_OBJECTS: u64 = 512;
const MOST_NAMES: u64 = 64;
const DEEPEST: usize = 3;
const LARGEST_BODY: u64 = 1 << 20;
/// Texts are shorter.
const LARGEST_VALUE: u64 = 64 << 10;
