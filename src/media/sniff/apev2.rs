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
    if head.len() < 32 || !head.starts_with(b"APETAGEX") {
        return Ok(Vec::new());
    }
    // The size counts the items and the footer.
    let end = at.saturating_add(le(&head, 12, 4)).min(look.len());
    let mut found = Vec::new();
    let mut place = at + 32;
    for _ in 0..le(&head, 16, 4).min(MOST_ITEMS) {
        let item = look.some(place, 8 + LONGEST_KEY)?;
        let (size, flags) = (le(&item, 0, 4), le(&item, 4, 4));
        let Some(length) = item.iter().skip(8).position(|&b| b == 0) else { break };
        let value = place + 9 + length as u64;
        if value.saturating_add(size) > end {
            break;
        }
        // Bits 1 and 2: 0 is text, 1 bytes, 2 an address.
        if flags & 6 != 2 && size <= LONGEST_VALUE {
            let key = String::from_utf8_lossy(&item[8..8 + length]).to_ascii_uppercase();
            let text = String::from_utf8_lossy(&look.some(value, size as usize)?).into_owned();
            let lies = PersonalBytes { offset: ByteCount(value), length: ByteCount(size) };
            let personal = names_buyer(&key, &text).then_some(lies);
            found.push(RawTag { personal, ..RawTag::new(format!("ape:{key}"), RawValue::Text(text)) });
        }
        place = value + size;
    }
    Ok(found)
}

const MOST_ITEMS: u64 = 256;
/// Keys have 2 to 255 letters and a zero.
const LONGEST_KEY: usize = 256;
const LONGEST_VALUE: u64 = 16 << 10;
