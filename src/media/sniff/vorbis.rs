//! Vorbis comments with their places (xiph.org, Vorbis I specification, 5), as FLAC and Ogg carry them.

use crate::media::raw::{RawTag, RawValue};
use crate::media::sniff::look::le;

/// Returns the comments of a block; a broken one ends the walk.
pub fn comments(block: &[u8]) -> Vec<RawTag> {
    let mut found = Vec::new();
    let mut at = 4 + le(block, 0, 4) as usize;
    let count = le(block, at, 4).min(MOST_COMMENTS);
    at += 4;
    for _ in 0..count {
        let length = le(block, at, 4) as usize;
        let Some(text) = block.get(at + 4..(at + 4).saturating_add(length)) else { break };
        at += 4 + length;
        // Pictures in base64 are of no use here.
        if length > LONGEST_COMMENT {
            continue;
        }
        let text = String::from_utf8_lossy(text);
        if let Some((key, value)) = text.split_once('=') {
            let place = format!("vc:{}", key.to_ascii_uppercase());
            found.push(RawTag::new(place, RawValue::Text(value.to_owned())));
        }
    }
    found
}

const MOST_COMMENTS: u64 = 2048;
const LONGEST_COMMENT: usize = 16 << 10;
