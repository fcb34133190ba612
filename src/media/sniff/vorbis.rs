//! Vorbis comments with their places (xiph.org, Vorbis I specification, 5), as FLAC and Ogg carry them.

use std::ops::Range;

use crate::media::raw::{RawTag, RawValue, names_buyer};
use crate::media::sniff::look::le;
use crate::track::PersonalBytes;

/// Returns the comments of a block, and where those that name the buyer lie; a broken one ends the walk. `place` says where
/// in the file a range of the block lies.
pub fn comments(
    block: &[u8],
    place: impl Fn(Range<usize>) -> Vec<PersonalBytes>,
) -> (Vec<RawTag>, Vec<PersonalBytes>) {
    let (mut found, mut personal) = (Vec::new(), Vec::new());
    let mut at = 4 + le(block, 0, 4) as usize;
    let count = le(block, at, 4).min(MOST_COMMENTS);
    at += 4;
    for _ in 0..count {
        let length = le(block, at, 4) as usize;
        let lies = at + 4..(at + 4).saturating_add(length);
        let Some(text) = block.get(lies.clone()) else { break };
        at += 4 + length;
        // Pictures in base64 are of no use here.
        if length > LONGEST_COMMENT {
            continue;
        }
        let equals = text.iter().position(|&b| b == b'=');
        let text = String::from_utf8_lossy(text);
        if let (Some((key, value)), Some(equals)) = (text.split_once('='), equals) {
            let mut tag =
                RawTag::new(format!("vc:{}", key.to_ascii_uppercase()), RawValue::Text(value.to_owned()));
            if names_buyer(key, value) {
                let lies = place(lies.start + equals + 1..lies.end);
                tag.personal = lies.first().copied();
                personal.extend(lies);
            }
            found.push(tag);
        }
    }
    (found, personal)
}

const MOST_COMMENTS: u64 = 2048;
const LONGEST_COMMENT: usize = 16 << 10;
