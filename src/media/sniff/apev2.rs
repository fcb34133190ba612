//! APEv2 items with their places (APEv2 specification, "APE Tags Header" and "APE Tag Item"), as they stand behind the audio.

use std::ops::Range;

use crate::error::Result;
use crate::media::raw::{RawTag, RawValue, names_buyer};
use crate::media::sniff::look::{Look, le};
use crate::track::PersonalBytes;
use crate::units::ByteCount;

/// Returns the texts of the tag that begins at `at`, with or without a header; none when there is no tag.
///
/// # Errors
/// Those of reading; a broken item ends the walk.
pub fn items(look: &mut Look<'_>, at: u64) -> Result<Vec<RawTag>> {
    let Some(Items { count, lie }) = items_of(look, at)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let mut place = lie.start;
    for number in 0..count {
        let item = look.some(place, 8 + LONGEST_KEY)?;
        let (size, flags) = (le(&item, 0, 4), le(&item, 4, 4));
        let length = item.iter().skip(8).position(|&b| b == 0);
        let value = place + 9 + length.unwrap_or_default() as u64;
        let Some(length) = length.filter(|_| number < MOST_ITEMS && value.saturating_add(size) <= lie.end)
        else {
            look.give_up();
            break;
        };
        let key = String::from_utf8_lossy(&item[8..8 + length]).to_ascii_uppercase();
        let long = size > LONGEST_VALUE;
        // Bits 1 and 2: 0 is text, 1 bytes, 2 an address. A long value is of use only when its key names the buyer.
        if flags & 6 != 2 && (!long || names_buyer(&key, "")) {
            let read = look.some(value, size.min(LONGEST_VALUE) as usize)?;
            let text = String::from_utf8_lossy(&read).into_owned();
            let lies = PersonalBytes { offset: ByteCount(value), length: ByteCount(size) };
            let personal = names_buyer(&key, &text).then_some(lies);
            found.push(RawTag { personal, ..RawTag::new(format!("ape:{key}"), RawValue::Text(text)) });
        }
        place = value + size;
    }
    Ok(found)
}

/// The items of a tag: how many, and where they lie.
struct Items {
    count: u64,
    lie: Range<u64>,
}

/// Returns the items of the tag that begins at `at`. Its size counts them and the footer.
fn items_of(look: &mut Look<'_>, at: u64) -> Result<Option<Items>> {
    let head = look.some(at, 32)?;
    if head.len() == 32 && head.starts_with(b"APETAGEX") {
        let end = at.saturating_add(le(&head, 12, 4)).min(look.len());
        return Ok(Some(Items { count: le(&head, 16, 4), lie: at + 32..end.max(at + 32) }));
    }
    if look.is_endless() {
        return Ok(None);
    }
    // A tag without a header ends with the file, or in front of ID3v1.
    for behind in [0, 128] {
        let Some(foot) = look.len().checked_sub(behind + 32).filter(|&foot| foot >= at) else { break };
        let tail = look.some(foot, 32)?;
        let begins = (foot + 32).checked_sub(le(&tail, 12, 4));
        if tail.starts_with(b"APETAGEX") && begins == Some(at) {
            return Ok(Some(Items { count: le(&tail, 16, 4), lie: at..foot }));
        }
    }
    Ok(None)
}

const MOST_ITEMS: u64 = 256;
/// Keys have 2 to 255 letters and a zero.
const LONGEST_KEY: usize = 256;
const LONGEST_VALUE: u64 = 16 << 10;
