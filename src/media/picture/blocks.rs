//! Covers in files of blocks, boxes and chunks: FLAC, MP4, WAV, AIFF, DSF.

use std::io;

use crate::media::picture::{FRONT, LARGEST, Walk, cut_out, flac_picture, id3, is_picture};

/// PICTURE blocks (RFC 9639, 8.8), and the ID3 tag that some programs put in front.
pub(super) fn flac(walk: &mut Walk<'_>) -> io::Result<()> {
    let mut at = id3::tags(walk, 0)? + 4;
    loop {
        let [kind, a, b, c] = walk.head::<4>(at)?;
        let size = u64::from(u32::from_be_bytes([0, a, b, c]));
        if kind & 0x7f == 6 {
            let kind = u32::from_be_bytes(walk.head::<4>(at + 4)?);
            if walk.wants(kind) {
                let block = walk.bytes(at + 4, size)?;
                if let Some((kind, data)) = flac_picture(&block) {
                    walk.offer(kind, cut_out(block, data));
                }
            }
        }
        if kind & 0x80 != 0 {
            return Ok(());
        }
        at += 4 + size;
    }
}

/// `moov/udta/meta/ilst/covr`: any number of `data` boxes, type and locale in front of the picture. No kinds.
pub(super) fn mp4(walk: &mut Walk<'_>) -> io::Result<()> {
    let (mut at, mut end) = (0, walk.sound.byte_len().unwrap_or(u64::MAX >> 2));
    for name in [b"moov", b"udta", b"meta", b"ilst", b"covr"] {
        let Some(found) = find(walk, at, end, name)? else { return Ok(()) };
        (at, end) = found;
        // ISO files have version and flags in front of the children of `meta`, QuickTime files do not.
        if name == b"meta" && &walk.head::<8>(at)?[4..] != b"hdlr" {
            at += 4;
        }
    }
    while let Some((from, to)) = find(walk, at, end, b"data")? {
        let size = to.saturating_sub(from + 8);
        if (1..=LARGEST).contains(&size) {
            let picture = walk.bytes(from + 8, size)?;
            if is_picture(&picture) {
                walk.offer(FRONT, picture);
                return Ok(());
            }
        }
        at = to;
    }
    Ok(())
}

/// Returns the payload of the first box of a name between two places.
fn find(walk: &mut Walk<'_>, mut at: u64, end: u64, name: &[u8; 4]) -> io::Result<Option<(u64, u64)>> {
    while at.saturating_add(8) <= end {
        let head = walk.head::<8>(at)?;
        let (skip, size) = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
            0 => (8, end - at),
            1 => (16, u64::from_be_bytes(walk.head::<8>(at + 8)?)),
            short => (8, u64::from(short)),
        };
        if size < skip {
            break;
        }
        let stop = at.saturating_add(size).min(end);
        if head[4..] == name[..] {
            return Ok(Some((at + skip, stop)));
        }
        at = stop;
    }
    Ok(None)
}

/// The ID3v2 chunk of WAV (`id3 `) and AIFF (`ID3 `).
pub(super) fn chunks(walk: &mut Walk<'_>, size: fn([u8; 4]) -> u32) -> io::Result<()> {
    let mut at = 12;
    loop {
        let [a, b, c, d, e, f, g, h] = walk.head::<8>(at)?;
        if [a, b, c, d].eq_ignore_ascii_case(b"id3 ") {
            return id3::tags(walk, at + 8).map(drop);
        }
        let length = u64::from(size([e, f, g, h]));
        at += 8 + length + (length & 1);
    }
}

/// The ID3v2 tag at the end of a DSF file, whose head says where (DSF file format 1.01, "DSD chunk").
pub(super) fn dsf(walk: &mut Walk<'_>) -> io::Result<()> {
    match u64::from_le_bytes(walk.head::<8>(20)?) {
        0 => Ok(()),
        at => id3::tags(walk, at).map(drop),
    }
}
