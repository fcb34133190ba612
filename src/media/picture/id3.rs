//! Covers in ID3v2 tags (id3.org: ID3v2.2.0, 2.3.0, 2.4.0-structure and -frames): PIC and APIC.

use std::io::{self, ErrorKind};

use crate::media::picture::{LARGEST, Walk, cut_out};

/// Reads the tags at a place, some programs put a new one in front of the old one. Returns where the last one ends, or the
/// place itself when there is none.
pub(super) fn tags(walk: &mut Walk<'_>, mut at: u64) -> io::Result<u64> {
    for _ in 0..MOST_TAGS {
        let head = walk.head::<10>(at)?;
        if !head.starts_with(b"ID3") {
            break;
        }
        let size = synchsafe(&head[6..]);
        let tag = Tag::open(walk, &head, at + 10, size);
        match tag.and_then(|tag| tag.map_or(Ok(()), |tag| tag.pictures(walk))) {
            // What lies behind a broken tag may be whole.
            Err(error) if error.kind() == ErrorKind::InvalidData => {}
            read => read?,
        }
        let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
        at += 10 + size + footer;
    }
    Ok(at)
}

/// A tag behind its head.
struct Tag {
    version: u8,
    /// The flag "unsynchronisation" of the head.
    unsynchronised: bool,
    /// Where the body begins in the file.
    at: u64,
    /// Its length as the frames count it.
    length: u64,
    /// The body, where it had to be changed as a whole to be read.
    changed: Option<Vec<u8>>,
}

impl Tag {
    /// Returns the tag; `None` for a version or form that nobody knows.
    fn open(walk: &mut Walk<'_>, head: &[u8; 10], at: u64, length: u64) -> io::Result<Option<Tag>> {
        let (version, flags) = (head[3], head[5]);
        // Flag 0x40 of version 2.2 is a compression that was never defined.
        if !(2..=4).contains(&version) || (version == 2 && flags & 0x40 != 0) {
            return Ok(None);
        }
        let unsynchronised = flags & 0x80 != 0;
        let mut tag = Tag { version, unsynchronised, at, length, changed: None };
        // Up to 2.3 the tag is changed as a whole and its frames count what was there before; in 2.4 each frame by itself.
        if unsynchronised && version < 4 {
            if length > LARGEST + SLACK {
                return Ok(None);
            }
            let mut body = walk.bytes(at, length)?;
            resynchronise(&mut body);
            tag.length = body.len() as u64;
            tag.changed = Some(body);
        }
        if flags & 0x40 != 0 {
            let size = tag.get(walk, 0, 4)?;
            let skip = if version == 4 { synchsafe(&size) } else { 4 + plain(&size) };
            tag.at += skip;
            tag.length = tag.length.saturating_sub(skip);
            if let Some(body) = &mut tag.changed {
                body.drain(..body.len().min(skip as usize));
            }
        }
        Ok(Some(tag))
    }

    /// Reads from the body.
    fn get(&self, walk: &mut Walk<'_>, from: u64, count: u64) -> io::Result<Vec<u8>> {
        let end = from.checked_add(count).filter(|&end| end <= self.length).ok_or(ErrorKind::InvalidData)?;
        match &self.changed {
            Some(body) => body
                .get(from as usize..end as usize)
                .map(<[u8]>::to_vec)
                .ok_or_else(|| ErrorKind::InvalidData.into()),
            None => walk.bytes(self.at + from, count),
        }
    }

    fn pictures(&self, walk: &mut Walk<'_>) -> io::Result<()> {
        let (id_length, head_length) = if self.version == 2 { (3, 6) } else { (4, 10) };
        let mut place = 0;
        for _ in 0..MOST_FRAMES {
            if place + head_length >= self.length {
                break;
            }
            let head = self.get(walk, place, head_length)?;
            let (id, from) = (&head[..id_length], place + head_length);
            if !is_name(id) {
                break;
            }
            let size = match self.version {
                2 => plain(&head[3..6]),
                3 => plain(&head[4..8]),
                _ => self.size(walk, from, &head[4..8])?,
            };
            if size > self.length - from {
                break;
            }
            if (id == b"APIC" || id == b"PIC") && size <= LARGEST + SLACK {
                let flags = head.get(9).copied().unwrap_or(0);
                self.picture(walk, from, size, flags)?;
            }
            place = from + size;
        }
        Ok(())
    }

    /// Returns the size of a frame of 2.4. Old iTunes wrote plain numbers there: what leads to another frame is right.
    fn size(&self, walk: &mut Walk<'_>, from: u64, field: &[u8]) -> io::Result<u64> {
        let (safe, plain) = (synchsafe(field), plain(field));
        if safe == plain || self.continues(walk, from + safe)? || !self.continues(walk, from + plain)? {
            return Ok(safe);
        }
        Ok(plain)
    }

    /// Whether a frame, padding or the end of the tag lies at a place.
    fn continues(&self, walk: &mut Walk<'_>, place: u64) -> io::Result<bool> {
        if place + 4 > self.length {
            return Ok(place == self.length);
        }
        let id = self.get(walk, place, 4)?;
        Ok(is_name(&id) || id == [0; 4])
    }

    fn picture(&self, walk: &mut Walk<'_>, from: u64, size: u64, flags: u8) -> io::Result<()> {
        // Compressed and encrypted frames are not read. A group byte and a length may stand in front (ID3v2.3.0, 3.3.1;
        // ID3v2.4.0-structure, 4.1.2).
        let (odd, skip) = match self.version {
            4 => (flags & 0x0c != 0, u64::from(flags >> 6 & 1) + 4 * u64::from(flags & 1)),
            3 => (flags & 0xc0 != 0, u64::from(flags >> 5 & 1)),
            _ => (false, 0),
        };
        if odd || skip >= size {
            return Ok(());
        }
        let mut frame = self.get(walk, from + skip, size - skip)?;
        // Programs set the flag of the tag without doing it. What holds a false synchronisation was not changed.
        let changed = self.version == 4 && (self.unsynchronised || flags & 0x02 != 0);
        if changed && !frame.windows(2).any(|pair| pair[0] == 0xff && pair[1] >= 0xe0) {
            resynchronise(&mut frame);
        }
        if let Some((kind, data)) = attached(&frame, self.version) {
            let end = frame.len();
            walk.offer(kind, cut_out(frame, data..end));
        }
        Ok(())
    }
}

/// Returns kind and start of the picture in a frame: encoding, type, kind, description (ID3v2.4.0-frames, 4.14).
fn attached(frame: &[u8], version: u8) -> Option<(u32, usize)> {
    let encoding = *frame.first()?;
    let kind_at = match version {
        // Three characters as `JPG`.
        2 => 4,
        _ => 1 + frame.get(1..)?.iter().position(|&byte| byte == 0)? + 1,
    };
    let kind = u32::from(*frame.get(kind_at)?);
    let description = frame.get(kind_at + 1..)?;
    let length = match encoding {
        // UTF-16 ends with two zeros at an even place.
        1 | 2 => description.chunks_exact(2).position(|pair| pair == [0, 0])? * 2 + 2,
        _ => description.iter().position(|&byte| byte == 0)? + 1,
    };
    Some((kind, kind_at + 1 + length))
}

/// Takes out the zeros that were put behind every 0xFF (ID3v2.4.0-structure, 6.1).
fn resynchronise(bytes: &mut Vec<u8>) {
    let mut before = 0;
    bytes.retain(|&byte| {
        let stuffed = before == 0xff && byte == 0;
        before = byte;
        !stuffed
    });
}

fn is_name(id: &[u8]) -> bool {
    id.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn synchsafe(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, &byte| n << 7 | u64::from(byte & 0x7f))
}

fn plain(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte))
}

/// More tags in a row are no accident of programs.
const MOST_TAGS: usize = 4;
const MOST_FRAMES: usize = 2048;
/// What may lie around the largest picture: other frames, a description, stuffed zeros.
const SLACK: u64 = 1 << 20;
