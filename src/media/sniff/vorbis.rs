//! Vorbis comments with their places (xiph.org, Vorbis I specification, 5), as FLAC and Ogg carry them.

use std::ops::Range;

use crate::error::Result;
use crate::media::raw::{RawTag, RawValue, names_buyer};
use crate::media::sniff::look::{Look, le};
use crate::track::PersonalBytes;
use crate::units::ByteCount;

/// A block in a file: one piece, or several with the heads of pages between them.
#[derive(Debug, Default)]
pub struct Block {
    /// Where each piece begins in the block and in the file.
    pieces: Vec<(u64, u64)>,
    length: u64,
}

impl Block {
    /// Returns a block of one piece.
    pub fn one(at: u64, length: u64) -> Block {
        Block { pieces: vec![(0, at)], length }
    }

    /// Adds what lies at a place of the file.
    pub fn push(&mut self, at: u64, length: u64) {
        self.pieces.push((self.length, at));
        self.length += length;
    }

    /// Returns how long the block is.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Returns up to `count` bytes from `at` of the block.
    ///
    /// # Errors
    /// Those of reading.
    pub fn some(&self, look: &mut Look<'_>, at: u64, count: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for part in self.lies(at..at.saturating_add(count)) {
            let read = look.some(part.offset.0, part.length.0 as usize)?;
            let short = (read.len() as u64) < part.length.0;
            bytes.extend(read);
            if short {
                break;
            }
        }
        Ok(bytes)
    }

    /// Returns where a range of the block lies in the file.
    pub fn lies(&self, range: Range<u64>) -> Vec<PersonalBytes> {
        let ends = self.pieces.iter().skip(1).map(|(start, _)| *start).chain([self.length]);
        let parts = self.pieces.iter().zip(ends).filter_map(|(&(start, at), end)| {
            let (from, to) = (range.start.max(start), range.end.min(end));
            let (offset, length) = (ByteCount(at + from.saturating_sub(start)), to.saturating_sub(from));
            (from < to).then_some(PersonalBytes { offset, length: ByteCount(length) })
        });
        parts.collect()
    }
}

/// Returns the comments that begin at `from` of a block, and where those that name the buyer lie. What stands behind a
/// broken one, or behind more than any real file has, is marked as unread.
///
/// # Errors
/// Those of reading.
pub fn comments(look: &mut Look<'_>, block: &Block, from: u64) -> Result<(Vec<RawTag>, Vec<PersonalBytes>)> {
    // Nearly always all that is of use.
    let front = block.some(look, from, FRONT)?;
    let mut some = |at: u64, count: u64| {
        let inside = usize::try_from(at.saturating_sub(from)).ok();
        let near = inside.and_then(|at| front.get(at..at.checked_add(count as usize)?));
        near.map_or_else(|| block.some(look, at, count), |bytes| Ok(bytes.to_vec()))
    };
    let (mut found, mut personal) = (Vec::new(), Vec::new());
    let mut at = from + 4 + le(&some(from, 4)?, 0, 4);
    let count = le(&some(at, 4)?, 0, 4);
    at = at.saturating_add(4);
    for number in 0..count {
        let head = some(at, 4)?;
        let lies = at.saturating_add(4)..at.saturating_add(4).saturating_add(le(&head, 0, 4));
        if head.len() < 4 || lies.end > block.len() || number >= MOST_WALKED {
            let rest = block.lies(at..block.len());
            found.extend(rest.into_iter().map(RawTag::unread));
            break;
        }
        at = lies.end;
        let length = lies.end - lies.start;
        // Of a picture in base64 the name is enough.
        let long = length > LONGEST_COMMENT;
        let text = some(lies.start, if long { LONGEST_NAME } else { length })?;
        let Some(equals) = text.iter().position(|&b| b == b'=') else { continue };
        let key = String::from_utf8_lossy(&text[..equals]);
        let value = String::from_utf8_lossy(&text[equals + 1..]);
        let names = names_buyer(&key, &value);
        let mut tag =
            RawTag::new(format!("vc:{}", key.to_ascii_uppercase()), RawValue::Text(value.to_string()));
        if names {
            let lies = block.lies(lies.start + equals as u64 + 1..lies.end);
            tag.personal = lies.first().copied();
            personal.extend(lies);
        }
        if names || (!long && found.len() < MOST_COMMENTS) {
            found.push(tag);
        }
    }
    Ok((found, personal))
}

const MOST_COMMENTS: usize = 2048;
/// No file has so many.
const MOST_WALKED: u64 = 64 << 10;
const LONGEST_COMMENT: u64 = 16 << 10;
const LONGEST_NAME: u64 = 256;
const FRONT: u64 = 16 << 10;
