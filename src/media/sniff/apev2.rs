//! APEv2 items with their places (APEv2 specification, "APE Tags Header" and "APE Tag Item"), as they stand behind the audio.

use crate::error::Result;
use crate::media::raw::{RawTag, RawValue, names_buyer};
use crate::media::sniff::look::{Look, le};
use crate::track::PersonalBytes;
use crate::units::ByteCount;

/// Returns the texts of the tag whose header stands at `at`; none when there is no header.
///
/// # Errors
/// Those of reading; a broken item ends the walk.
pub fn items(look: &mut Look<'_>, at: u64) -> Result<Vec<RawTag>> {
    let head = look.some(at, 32)?;
    if head.len() < 32 || !head.starts_with(MAGIC) {
        return Ok(Vec::new());
    }
    // The size counts the items and the footer.
    let end = at.saturating_add(le(&head, 12, 4)).min(look.len());
    walk(look, at + 32, end, le(&head, 16, 4))
}

/// Returns the texts of the tag whose footer ends at `end`, with a header or without one as in version 1, and where the tag
/// begins; `None` when there is no footer.
///
/// # Errors
/// As [`items`].
pub fn in_front_of(look: &mut Look<'_>, end: u64) -> Result<Option<(Vec<RawTag>, u64)>> {
    let Some(footer) = end.checked_sub(32) else { return Ok(None) };
    let foot = look.some(footer, 32)?;
    if !foot.starts_with(MAGIC) {
        return Ok(None);
    }
    // The size counts the items and the footer, not the header.
    let Some(start) = end.checked_sub(le(&foot, 12, 4).max(32)) else { return Ok(None) };
    let header = if le(&foot, 20, 4) & 0x8000_0000 != 0 { 32 } else { 0 };
    let found = walk(look, start, footer, le(&foot, 16, 4))?;
    Ok(Some((found, start.saturating_sub(header))))
}

/// Reads the items from `place` on; what stands behind a broken one, or behind more than any real tag has, is marked as
/// unread.
fn walk(look: &mut Look<'_>, mut place: u64, end: u64, count: u64) -> Result<Vec<RawTag>> {
    let mut found = Vec::new();
    for number in 0..count {
        let item = look.some(place, 8 + LONGEST_KEY)?;
        let (size, flags) = (le(&item, 0, 4), le(&item, 4, 4));
        let length = item.iter().skip(8).position(|&b| b == 0);
        let value = place.saturating_add(9 + length.unwrap_or(0) as u64);
        let behind = value.saturating_add(size);
        let Some(length) = length.filter(|_| behind <= end && number < MOST_ITEMS) else {
            if place < end {
                let (offset, length) = (ByteCount(place), ByteCount(end - place));
                found.push(RawTag::unread(PersonalBytes { offset, length }));
            }
            break;
        };
        let key = String::from_utf8_lossy(&item[8..8 + length]).to_ascii_uppercase();
        let long = size > LONGEST_VALUE;
        // Bits 1 and 2: 0 is text, 1 bytes, 2 an address.
        if (flags & 6 != 2 && !long) || names_buyer(&key, "") {
            let count = if long { 0 } else { size };
            let text = String::from_utf8_lossy(&look.some(value, count as usize)?).into_owned();
            let lies = PersonalBytes { offset: ByteCount(value), length: ByteCount(size) };
            let personal = names_buyer(&key, &text).then_some(lies);
            found.push(RawTag { personal, ..RawTag::new(format!("ape:{key}"), RawValue::Text(text)) });
        }
        place = behind;
    }
    Ok(found)
}

const MAGIC: &[u8] = b"APETAGEX";
const MOST_ITEMS: u64 = 256;
/// Keys have 2 to 255 letters and a zero.
const LONGEST_KEY: usize = 256;
const LONGEST_VALUE: u64 = 16 << 10;
