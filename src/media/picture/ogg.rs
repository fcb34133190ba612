//! Covers in Ogg files (RFC 3533): `METADATA_BLOCK_PICTURE` in the comments of Vorbis and Opus, picture blocks of FLAC.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use crate::media::picture::{LARGEST, OTHER, Walk, cut_out, flac_picture};

/// Reads the pictures of the first stream.
pub(super) fn comments(walk: &mut Walk<'_>) -> io::Result<()> {
    let mut packets = Packets::new(walk);
    let head = packets.read(16)?;
    if head.starts_with(b"\x7fFLAC") {
        return flac(&mut packets);
    }
    let magic: &[u8] = if head.starts_with(b"OpusHead") { b"OpusTags" } else { b"\x03vorbis" };
    packets.next()?;
    if packets.read(magic.len() as u64)? == magic { list(&mut packets) } else { Ok(()) }
}

/// Reads metadata blocks, one in each packet (xiph.org, "Ogg FLAC mapping").
fn flac(packets: &mut Packets<'_, '_>) -> io::Result<()> {
    for _ in 0..MOST_BLOCKS {
        packets.next()?;
        let head = packets.read(4)?;
        match head.first() {
            Some(kind) if kind & 0x7f == 4 => list(packets)?,
            Some(kind) if kind & 0x7f == 6 => {
                let block = packets.read(LARGEST + SLACK)?;
                offer_block(packets.walk, block);
            }
            // An audio packet.
            Some(0xff) | None => break,
            Some(_) => {}
        }
        if head.first().is_some_and(|kind| kind & 0x80 != 0) {
            break;
        }
    }
    Ok(())
}

/// Reads a comment list: vendor, count, comments, each with its length (Vorbis I, 5.2.1).
fn list(packets: &mut Packets<'_, '_>) -> io::Result<()> {
    let vendor = packets.number()?;
    packets.skip(vendor)?;
    let count = packets.number()?;
    for _ in 0..count.min(MOST_COMMENTS) {
        let length = packets.number()?;
        let start = packets.read(length.min(LONGEST_START))?;
        let rest = length - start.len() as u64;
        let upper = start.to_ascii_uppercase();
        // The first four bytes of the block, six characters of the text, are the kind.
        if upper.starts_with(BLOCK) {
            let mut text = start[BLOCK.len()..].to_vec();
            let mut kind = text.clone();
            let wanted = decode(&mut kind).is_some() && kind.len() >= 4 && {
                packets.walk.wants(u32::from_be_bytes([kind[0], kind[1], kind[2], kind[3]]))
            };
            if wanted && rest <= LONGEST_TEXT {
                packets.append(&mut text, rest)?;
                if decode(&mut text).is_some() {
                    offer_block(packets.walk, text);
                }
                continue;
            }
        }
        // What programs wrote before there was the block: the picture alone.
        if upper.starts_with(BARE) && packets.walk.wants(OTHER) && rest <= LONGEST_TEXT {
            let mut text = start[BARE.len()..].to_vec();
            packets.append(&mut text, rest)?;
            if decode(&mut text).is_some() {
                packets.walk.offer(OTHER, text);
            }
            continue;
        }
        packets.skip(rest)?;
    }
    Ok(())
}

fn offer_block(walk: &mut Walk<'_>, block: Vec<u8>) {
    if let Some((kind, data)) = flac_picture(&block) {
        walk.offer(kind, cut_out(block, data));
    }
}

/// Decodes base64 (RFC 4648, 4) in place; line ends are passed over, what follows the padding is left out. `None` for other
/// characters.
pub(super) fn decode(text: &mut Vec<u8>) -> Option<()> {
    let (mut bits, mut held, mut to) = (0_u32, 0, 0);
    for from in 0..text.len() {
        let value = match text[from] {
            letter @ b'A'..=b'Z' => letter - b'A',
            letter @ b'a'..=b'z' => letter - b'a' + 26,
            digit @ b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            b'\r' | b'\n' => continue,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            // Never in front of what is still to be read: three bytes come out of four.
            text[to] = (bits >> held) as u8;
            to += 1;
        }
    }
    text.truncate(to);
    Some(())
}

/// The packets of the first stream, read as they come.
struct Packets<'w, 'a> {
    walk: &'w mut Walk<'a>,
    /// Where the next byte of this page lies, or the next page.
    at: u64,
    serial: Option<[u8; 4]>,
    /// What is left of this page: lengths, and whether the packet ends there.
    pieces: VecDeque<(u64, bool)>,
    /// The packet was read to its end.
    ended: bool,
}

impl<'w, 'a> Packets<'w, 'a> {
    /// Stands at the start of the first packet.
    fn new(walk: &'w mut Walk<'a>) -> Packets<'w, 'a> {
        Packets { walk, at: 0, serial: None, pieces: VecDeque::new(), ended: false }
    }

    /// Goes to the start of the next packet.
    fn next(&mut self) -> io::Result<()> {
        self.skip(u64::MAX)?;
        self.ended = false;
        Ok(())
    }

    /// Reads up to `most` bytes of the packet; fewer where it ends.
    fn read(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.append(&mut bytes, most)?;
        Ok(bytes)
    }

    fn append(&mut self, bytes: &mut Vec<u8>, mut most: u64) -> io::Result<()> {
        while most > 0 {
            let Some(length) = self.piece(most)? else { break };
            bytes.extend_from_slice(&self.walk.bytes(self.at, length)?);
            self.at += length;
            most -= length;
        }
        Ok(())
    }

    fn skip(&mut self, mut count: u64) -> io::Result<()> {
        while count > 0 {
            let Some(length) = self.piece(count)? else { break };
            self.at += length;
            count -= length;
        }
        Ok(())
    }

    /// Reads a little-endian number.
    fn number(&mut self) -> io::Result<u64> {
        let bytes = self.read(4)?;
        let bytes: [u8; 4] = bytes.try_into().map_err(|_| ErrorKind::InvalidData)?;
        Ok(u64::from(u32::from_le_bytes(bytes)))
    }

    /// Takes up to `most` bytes of the packet that lie in one piece. Returns how many; `None` where it ends.
    fn piece(&mut self, most: u64) -> io::Result<Option<u64>> {
        while !self.ended {
            match self.pieces.front_mut() {
                Some((0, ends)) => {
                    self.ended = *ends;
                    self.pieces.pop_front();
                }
                Some((left, _)) => {
                    let taken = most.min(*left);
                    *left -= taken;
                    return Ok(Some(taken));
                }
                None => self.page()?,
            }
        }
        Ok(None)
    }

    /// Opens the next page of this stream.
    fn page(&mut self) -> io::Result<()> {
        loop {
            let head = self.walk.head::<27>(self.at)?;
            if !head.starts_with(b"OggS") {
                return Err(ErrorKind::InvalidData.into());
            }
            let lacing = self.walk.bytes(self.at + 27, u64::from(head[26]))?;
            self.at += 27 + lacing.len() as u64;
            let serial = [head[14], head[15], head[16], head[17]];
            if *self.serial.get_or_insert(serial) != serial {
                self.at += lacing.iter().map(|&length| u64::from(length)).sum::<u64>();
                continue;
            }
            let mut length = 0;
            for &value in &lacing {
                length += u64::from(value);
                if value < 255 {
                    self.pieces.push_back((length, true));
                    length = 0;
                }
            }
            if length > 0 {
                self.pieces.push_back((length, false));
            }
            return Ok(());
        }
    }
}

const BLOCK: &[u8] = b"METADATA_BLOCK_PICTURE=";
const BARE: &[u8] = b"COVERART=";
/// Bytes of a comment that say whether the rest is wanted: the longer name, and eight characters of the kind.
const LONGEST_START: u64 = BLOCK.len() as u64 + 8;
/// What may lie around the largest picture.
const SLACK: u64 = 1 << 16;
/// The largest picture as text.
const LONGEST_TEXT: u64 = (LARGEST + SLACK) / 3 * 4;
const MOST_COMMENTS: u64 = 4096;
const MOST_BLOCKS: usize = 256;
