//! Sums over bytes that are served as others: those of Ogg pages, and that of an ID3v2 tag that has one.

use std::ops::Range;

use crate::error::Result;
use crate::media::sniff::id3;
use crate::media::sniff::look::{Look, be};
use crate::track::blank::{Blank, Fill, apply};
use crate::units::ByteCount;

/// Returns the new sums of the pages that blanks lie in (RFC 3533, 6: bytes 22 to 25, of the page with zeros there).
///
/// # Errors
/// Those of reading.
pub fn of_pages(look: &mut Look<'_>, pages: &[Range<u64>], blanks: &[Blank]) -> Result<Vec<Blank>> {
    let mut found = Vec::new();
    for page in pages {
        if !touched(blanks, page) {
            continue;
        }
        // At most 65,307 bytes.
        let mut bytes = look.exact(page.start, (page.end - page.start) as usize)?;
        bytes[22..26].fill(0);
        apply(blanks, page.start, &mut bytes);
        let next = |sum: u32, &byte: &u8| sum << 8 ^ PAGES[usize::from((sum >> 24) as u8 ^ byte)];
        let sum = bytes.iter().fold(0, next);
        found.push(number(page.start + 22, sum.to_le_bytes()));
    }
    Ok(found)
}

/// Returns the new sum of the tag at the start of a file, when it has one and blanks lie in it (ID3v2.3.0, 3.2;
/// ID3v2.4.0-structure, 3.2). One whose bytes were put in between others stays: no reader is known that looks at it.
///
/// # Errors
/// Those of reading.
pub fn of_id3(look: &mut Look<'_>, blanks: &[Blank]) -> Result<Vec<Blank>> {
    let head = look.some(0, 24)?;
    let (version, flags) = (be(&head, 3, 1), be(&head, 5, 1));
    let end = id3::end_of(&head).saturating_sub(if flags & 0x10 != 0 { 10 } else { 0 });
    let plain = version == 4 || flags & 0x80 == 0;
    if !head.starts_with(b"ID3") || flags & 0x40 == 0 || !plain || end > LARGEST_TAG {
        return Ok(Vec::new());
    }
    // Where the sum stands, where the frames begin, how much padding does not count.
    let (sum_at, from, padding) = match version {
        3 if be(&head, 14, 2) & 0x8000 != 0 => (20, 14 + be(&head, 10, 4), be(&head, 16, 4)),
        // A length stands in front of each flag's data, and there is none for the update flag but a zero.
        4 if head.get(15).is_some_and(|flags| flags & 0x20 != 0) => {
            let update = u64::from(head.get(15).is_some_and(|flags| flags & 0x40 != 0));
            let size = head[10..14].iter().fold(0, |n, &b| n << 7 | u64::from(b & 0x7f));
            (17 + update, 10 + size, 0)
        }
        _ => return Ok(Vec::new()),
    };
    let frames = from..end.saturating_sub(padding);
    if frames.is_empty() || !touched(blanks, &frames) {
        return Ok(Vec::new());
    }
    let mut bytes = look.some(frames.start, (frames.end - frames.start) as usize)?;
    apply(blanks, frames.start, &mut bytes);
    let sum = crc32fast::hash(&bytes);
    if version == 3 {
        return Ok(vec![number(sum_at, sum.to_be_bytes())]);
    }
    // Five times seven bits. The first holds the four highest ones.
    let low = [21, 14, 7, 0].map(|shift| (sum >> shift & 0x7f) as u8);
    let high = [(sum >> 28) as u8, 0, 0, 0];
    let first = Blank { length: ByteCount(1), ..number(sum_at, high) };
    Ok(vec![first, number(sum_at + 1, low)])
}

fn touched(blanks: &[Blank], part: &Range<u64>) -> bool {
    blanks.iter().any(|blank| blank.offset.0 < part.end && blank.end() > part.start)
}

fn number(at: u64, bytes: [u8; 4]) -> Blank {
    Blank { offset: ByteCount(at), length: ByteCount(4), with: Fill::Number(bytes) }
}

/// Larger tags have no sum.
const LARGEST_TAG: u64 = 32 << 20;

/// What a byte in front does to a page's sum: polynomial 0x04c11db7, nothing reflected.
const PAGES: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 0x8000_0000 != 0 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};
