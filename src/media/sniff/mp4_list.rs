//! Tags in MP4: Apple's `ilst` (reference purchases 1.1) and the boxes of phones (2.6, 3GPP TS 26.244, 8).

use crate::error::Result;
use crate::media::raw::{RawTag, RawValue, names_buyer};
use crate::media::sniff::id3::{end_of_text, text_of};
use crate::media::sniff::look::{Look, be};
use crate::media::sniff::mp4::{Block, next_box};
use crate::track::PersonalBytes;
use crate::units::ByteCount;

/// Reads `ilst`: each child is a name with `data` inside; `----` has its name in `mean` and `name` beside it. `keys` are the
/// names of children that have a number instead.
///
/// # Errors
/// `Damaged` when a box lies beyond the list, and those of reading.
pub fn items(
    look: &mut Look<'_>,
    list: &Block,
    keys: &[String],
    boxes: &mut usize,
    raw: &mut Vec<RawTag>,
) -> Result<()> {
    let mut at = list.at;
    while let Some(item) = next_box(look, at, list.end, boxes)? {
        if matches!(&item.name, b"free" | b"skip") {
            raw.push(unused(&item));
            at = item.end;
            continue;
        }
        let mut name: String = item.name.iter().map(|&b| char::from(b)).collect();
        let number = (be(&item.name, 0, 4) as usize).checked_sub(1);
        let mut key = number.and_then(|number| keys.get(number)).cloned().unwrap_or_default();
        if !key.is_empty() {
            name = format!("mdta:{key}");
        }
        let mut inner = item.at;
        while let Some(part) = next_box(look, inner, item.end, boxes)? {
            let size = (part.end - part.at) as usize;
            match &part.name {
                b"mean" | b"name" if size <= 256 => {
                    let bytes = look.exact(part.at, size)?;
                    key = String::from_utf8_lossy(&bytes[4.min(size)..]).into_owned();
                    name = format!("{name}:{key}");
                }
                b"data" if name == "covr" => {
                    raw.push(RawTag::new("mp4:ilst/covr", RawValue::Bytes(Vec::new())));
                }
                b"data" if size >= 8 => {
                    let data = look.exact(part.at, size.min(LARGEST_VALUE))?;
                    let tag = value(&name, &key, &data, &part);
                    raw.extend(Some(tag).filter(|tag| size <= LARGEST_VALUE || tag.personal.is_some()));
                }
                b"free" | b"skip" => raw.push(unused(&part)),
                _ => {}
            }
            inner = part.end;
        }
        at = item.end;
    }
    Ok(())
}

/// Reads `keys`: version and flags, a count, then each with its length, a namespace and a name (QuickTime File Format,
/// "Metadata Item Keys Atom").
///
/// # Errors
/// Those of reading.
pub fn keys(look: &mut Look<'_>, block: &Block) -> Result<Vec<String>> {
    let body = look.some(block.at, (block.end - block.at).min(LARGEST_VALUE as u64) as usize)?;
    let (mut found, mut at) = (Vec::new(), 8);
    while let Some(length) = body.get(at..at + 4).map(|size| be(size, 0, 4) as usize) {
        let Some(name) = body.get(at + 8..at.saturating_add(length)) else { break };
        found.push(String::from_utf8_lossy(name).into_owned());
        at += length;
    }
    Ok(found)
}

/// Room that is not used: programs that edit tags leave old ones in it.
pub fn unused(block: &Block) -> RawTag {
    RawTag::unread(lies(block, 0))
}

/// Where what stands behind the first bytes of a box lies.
fn lies(block: &Block, skip: u64) -> PersonalBytes {
    let length = (block.end - block.at).saturating_sub(skip);
    PersonalBytes { offset: ByteCount(block.at + skip), length: ByteCount(length) }
}

/// A value of `ilst`: type, locale, bytes.
fn value(name: &str, key: &str, data: &[u8], block: &Block) -> RawTag {
    let (kind, bytes) = (be(data, 0, 4), &data[8..]);
    let place = format!("mp4:ilst/{name}");
    let number = || {
        let shift = 64 - 8 * bytes.len().min(8) as u32;
        RawValue::Number((be(bytes, 0, bytes.len()) << shift) as i64 >> shift)
    };
    let numeric = NUMBERS.contains(&name) && (1..=8).contains(&bytes.len());
    let value = match kind {
        1 => RawValue::Text(String::from_utf8_lossy(bytes).into_owned()),
        // Stores write their numbers as type 21 or 0 (reference purchases 1.1).
        // They are ids up to 32 and 64 bits: no sign.
        21 | 0 if numeric => RawValue::Number(be(bytes, 0, bytes.len()) as i64),
        21 if (1..=8).contains(&bytes.len()) => number(),
        _ => RawValue::Bytes(bytes.to_vec()),
    };
    let buyer = if let RawValue::Text(text) = &value { names_buyer(key, text) } else { false };
    // In whatever form it is written.
    let buyer = buyer || matches!(name, "apID" | "ownr") || names_buyer(key, "");
    let personal = buyer.then(|| lies(block, 8));
    RawTag { personal, ..RawTag::new(place, value) }
}

/// Reads a tag of a phone: version and flags, a packed language, then a text; `yrrc` has a number of two bytes instead. `albm`
/// may end with the track's number.
///
/// # Errors
/// Those of reading.
pub fn of_phone(look: &mut Look<'_>, block: &Block) -> Result<Option<RawTag>> {
    let size = (block.end - block.at).min(LARGEST_VALUE as u64) as usize;
    let body = look.some(block.at, size)?;
    let name = String::from_utf8_lossy(&block.name).into_owned();
    let place = format!("mp4:udta/{name}");
    if name == "yrrc" {
        return Ok(Some(be(&body, 4, 2))
            .filter(|&y| y > 0)
            .map(|y| RawTag::new(place, RawValue::Text(y.to_string()))));
    }
    let text = body.get(6..).unwrap_or_default();
    let encoding = if text.starts_with(&[0xfe, 0xff]) || text.starts_with(&[0xff, 0xfe]) { 1 } else { 3 };
    let words = text_of(encoding, &text[..end_of_text(encoding, text).start]);
    Ok((!words.is_empty()).then(|| RawTag::new(place, RawValue::Text(words))))
}

/// Atoms that hold numbers whatever type they state.
const NUMBERS: [&str; 9] = ["sfID", "cnID", "plID", "atID", "geID", "cmID", "akID", "stik", "rtng"];
const LARGEST_VALUE: usize = 64 << 10;
