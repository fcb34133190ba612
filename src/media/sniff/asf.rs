//! ASF and WMA: the header's objects (Advanced Systems Format specification, 2 and 3), and the three that lock a file.

use crate::error::{Error, Kind, Result};
use crate::media::raw::{RawTag, RawValue};
use crate::media::sniff::Sniffed;
use crate::media::sniff::look::{Look, le};
use crate::track::{Codec, Container, Protection};
use crate::units::{Frames, SampleRate};

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
    let mut duration = 0;
    let mut at = 30;
    for _ in 0..le(&head, 24, 4).min(MOST_OBJECTS) {
        if at + 24 > end {
            break;
        }
        let object = look.exact(at, 24)?;
        let size = le(&object, 16, 8);
        if size < 24 || at.saturating_add(size) > end {
            break;
        }
        let body_size = (size - 24).min(LARGEST_BODY) as usize;
        let guid = &object[..16];
        if guid == CONTENT_ENCRYPTION {
            sniffed.protection = Protection::WmDrm { license_url: license(&look.exact(at + 24, body_size)?) };
        } else if guid == EXTENDED_ENCRYPTION || guid == ADVANCED_ENCRYPTION {
            let body = look.exact(at + 24, body_size)?;
            let play_ready = guid == EXTENDED_ENCRYPTION && wide(&body).contains("4.1.0.0");
            let found = if play_ready {
                Protection::PlayReady
            } else {
                Protection::WmDrm { license_url: la_url(&body) }
            };
            // The first object names the licence; a second one only says so again.
            if !sniffed.protection.is_locked() {
                sniffed.protection = found;
            }
        } else if guid == FILE_PROPERTIES {
            let body = look.exact(at + 24, body_size)?;
            // Play duration in 100 ns, preroll in ms.
            duration = (le(&body, 40, 8) / 10_000).saturating_sub(le(&body, 56, 8));
        } else if guid == STREAM_PROPERTIES {
            stream(&mut sniffed, &look.exact(at + 24, body_size)?);
        } else if guid == CONTENT_DESCRIPTION {
            description(&mut sniffed, &look.exact(at + 24, body_size)?);
        } else if guid == EXTENDED_DESCRIPTION {
            extended_description(&mut sniffed, &look.exact(at + 24, body_size)?);
        }
        at += size;
    }
    if let Some(rate) = sniffed.format.rate {
        sniffed.format.frames =
            Some(Frames(duration.saturating_mul(u64::from(rate.hz())) / 1000)).filter(|f| f.0 > 0);
    }
    Ok(sniffed)
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

/// `<LA_URL>` of the WRMHEADER.
fn la_url(body: &[u8]) -> String {
    let text = wide(body);
    let inner = text.split_once("<LA_URL>").and_then(|(_, rest)| rest.split_once("</LA_URL>"));
    inner.map_or(String::new(), |(url, _)| url.trim().to_owned())
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

fn extended_description(sniffed: &mut Sniffed, body: &[u8]) {
    let mut at = 2;
    for _ in 0..le(body, 0, 2).min(MOST_OBJECTS) {
        let name_length = le(body, at, 2) as usize;
        let Some(name) = body.get(at + 2..at + 2 + name_length) else { return };
        at += 2 + name_length;
        let (kind, length) = (le(body, at, 2), le(body, at + 2, 2) as usize);
        let Some(value) = body.get(at + 4..at + 4 + length) else { return };
        at += 4 + length;
        let name = wide(name);
        match kind {
            0 => put(sniffed, &name, Some(value)),
            3..=5 => {
                let number = le(value, 0, value.len().min(8)) as i64;
                sniffed.raw.push(RawTag::new(format!("asf:{name}"), RawValue::Number(number)));
            }
            _ => {}
        }
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
const AUDIO_MEDIA: [u8; 16] =
    [0x40, 0x9e, 0x69, 0xf8, 0x4d, 0x5b, 0xcf, 0x11, 0xa8, 0xfd, 0x00, 0x80, 0x5f, 0x5c, 0x44, 0x2b];
const MOST_OBJECTS: u64 = 512;
const LARGEST_BODY: u64 = 1 << 20;
