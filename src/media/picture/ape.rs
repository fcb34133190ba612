//! Covers in APEv2 tags, which lie at the end of a file (wiki.hydrogenaud.io, "APEv2 specification").

use std::io;

use crate::media::picture::{FRONT, LARGEST, OTHER, Walk, cut_out};

/// Reads the items `Cover Art (…)`: a file name, NUL, the picture.
pub(super) fn tag(walk: &mut Walk<'_>) -> io::Result<()> {
    let Some((mut at, end)) = items(walk)? else { return Ok(()) };
    while at + 8 < end {
        let head = walk.head::<8>(at)?;
        let size = u64::from(u32::from_le_bytes([head[0], head[1], head[2], head[3]]));
        // Keys have 2 to 255 characters.
        let key = walk.bytes(at + 8, LONGEST_KEY.min(end - at - 8))?;
        let Some(length) = key.iter().position(|&byte| byte == 0) else { break };
        let from = at + 8 + length as u64 + 1;
        if let Some(kind) = kind_of(&key[..length])
            && walk.wants(kind)
            && size <= LARGEST + LONGEST_NAME
        {
            let value = walk.bytes(from, size)?;
            let name = value.iter().take(LONGEST_NAME as usize).position(|&byte| byte == 0);
            let whole = name.map_or(0, |name| name + 1)..value.len();
            walk.offer(kind, cut_out(value, whole));
        }
        at = from.saturating_add(size);
    }
    Ok(())
}

/// Returns where the items lie; the footer stands at the very end, or in front of an ID3v1 tag.
fn items(walk: &mut Walk<'_>) -> io::Result<Option<(u64, u64)>> {
    let length = walk.sound.byte_len().unwrap_or(0);
    for behind in [0, 128] {
        let Some(at) = length.checked_sub(FOOTER + behind) else { continue };
        let footer = walk.head::<16>(at)?;
        if footer.starts_with(b"APETAGEX") {
            // Items and footer, without the header.
            let size = u64::from(u32::from_le_bytes([footer[12], footer[13], footer[14], footer[15]]));
            return Ok((at + FOOTER).checked_sub(size).map(|from| (from, at)));
        }
    }
    Ok(None)
}

fn kind_of(key: &[u8]) -> Option<u32> {
    let key = key.to_ascii_lowercase();
    Some(match key.strip_prefix(b"cover art (")? {
        b"front)" => FRONT,
        b"other)" => OTHER,
        b"icon)" | b"other icon)" | b"png icon)" => 1,
        _ => BACK,
    })
}

const FOOTER: u64 = 32;
const LONGEST_KEY: u64 = 256;
/// Bytes of a file name in front of a picture.
const LONGEST_NAME: u64 = 4096;
/// The kind of a back cover; one of many that are neither front nor icon.
const BACK: u32 = 4;
