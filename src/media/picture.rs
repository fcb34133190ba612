//! The cover inside a music file: walks heads, and reads only pictures that are better than what was found before. Knows
//! nothing of decoding pictures. Behind the gate like every tag reader.

mod ape;
mod blocks;
mod id3;
pub(in crate::media) mod notice;
mod ogg;

use std::io::{self, ErrorKind, Read, Seek, SeekFrom};

use crate::error::{Error, Result};
use crate::media::sniff::Sniffed;
use crate::media::sound::Sound;
use crate::track::Container;

/// Returns the bytes of the embedded cover: the front cover, else one without a kind, else the first other one. `None` when
/// there is none, when it is larger than 20 MB, or when the file is too damaged to find it.
///
/// # Errors
/// `Unsupported` for a protected file, and those of the disk.
/// # Blocks
/// On reading at most 100 MB.
pub fn embedded(sound: &mut Sound, sniffed: &Sniffed) -> Result<Option<Vec<u8>>> {
    sniffed.gate()?;
    let mut walk = Walk::new(sound);
    let walked = match sniffed.format.container {
        Container::Flac => blocks::flac(&mut walk),
        Container::Mpeg => id3::tags(&mut walk, 0).and_then(|_| ape::tag(&mut walk)),
        Container::Adts => id3::tags(&mut walk, 0).map(drop),
        Container::Mp4 => blocks::mp4(&mut walk),
        Container::Wav => blocks::chunks(&mut walk, u32::from_le_bytes),
        Container::Aiff => blocks::chunks(&mut walk, u32::from_be_bytes),
        Container::Dsf => blocks::dsf(&mut walk),
        Container::Ogg => ogg::comments(&mut walk),
        Container::WavPack | Container::Ape | Container::Tak | Container::Musepack => ape::tag(&mut walk),
        Container::Tta => id3::tags(&mut walk, 0).and_then(|_| ape::tag(&mut walk)),
        Container::Asf | Container::Oma | Container::Dff => Ok(()),
        Container::Caf | Container::Matroska => Ok(()),
        Container::Audible | Container::OmaDrm | Container::Unknown => Ok(()),
    };
    match walked {
        // What was found before the damage is as good as any.
        Err(error) if !matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => {
            Err(Error::io("read the cover of a track", error))
        }
        _ => Ok(walk.best.map(|(_, picture)| picture)),
    }
}

/// Returns whether bytes begin like a picture that can be shown: JPEG, PNG, WebP, GIF, BMP. What the tag says of the type
/// is never believed.
pub fn is_picture(bytes: &[u8]) -> bool {
    let starts: [&[u8]; 4] = [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM"];
    starts.iter().any(|start| bytes.starts_with(start))
        || (bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"))
}

/// A walk through one file: how much of it may still be read, and the best picture so far.
struct Walk<'a> {
    sound: &'a mut Sound,
    /// Bytes.
    left: u64,
    /// Heads.
    steps: u32,
    best: Option<(u8, Vec<u8>)>,
}

impl<'a> Walk<'a> {
    fn new(sound: &'a mut Sound) -> Walk<'a> {
        Walk { sound, left: MOST_READ, steps: MOST_STEPS, best: None }
    }

    /// Reads exactly `count` bytes.
    fn bytes(&mut self, at: u64, count: u64) -> io::Result<Vec<u8>> {
        self.left = self.left.checked_sub(count).ok_or(ErrorKind::InvalidData)?;
        let mut bytes = Vec::new();
        self.seek(at)?;
        // The count may lie: room is made as the bytes come.
        (&mut *self.sound).take(count).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < count {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }

    /// Reads the head of something; every loop of a walk reads one.
    fn head<const N: usize>(&mut self, at: u64) -> io::Result<[u8; N]> {
        self.steps = self.steps.checked_sub(1).ok_or(ErrorKind::InvalidData)?;
        let mut head = [0; N];
        self.seek(at)?;
        self.sound.read_exact(&mut head)?;
        Ok(head)
    }

    fn seek(&mut self, at: u64) -> io::Result<()> {
        // Places come from the file; no file ends there.
        if i64::try_from(at).is_err() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.sound.seek(SeekFrom::Start(at)).map(drop)
    }

    /// Whether a picture of this kind would be better than what was found.
    fn wants(&self, kind: u32) -> bool {
        self.best.as_ref().is_none_or(|(rank, _)| rank_of(kind) < *rank)
    }

    /// Takes a picture when it is one and is better than what was found.
    fn offer(&mut self, kind: u32, picture: Vec<u8>) {
        if self.wants(kind) && picture.len() as u64 <= LARGEST && is_picture(&picture) {
            self.best = Some((rank_of(kind), picture));
        }
    }
}

/// Orders the kinds of ID3v2 (APIC, which FLAC and APE share): the front cover, then "other", which is what writers put who
/// know one picture only; the file icons last.
fn rank_of(kind: u32) -> u8 {
    match kind {
        FRONT => 0,
        OTHER => 1,
        1 | 2 => 3,
        _ => 2,
    }
}

/// Returns kind and place of the data in a FLAC picture block (RFC 9639, 8.8); data that is cut off is taken as far as it goes.
fn flac_picture(block: &[u8]) -> Option<(u32, std::ops::Range<usize>)> {
    let number = |at: usize| {
        let field = block.get(at..at.checked_add(4)?)?;
        Some(u32::from_be_bytes([field[0], field[1], field[2], field[3]]))
    };
    let kind = number(0)?;
    let description = 8_usize.checked_add(number(4)? as usize)?;
    // Behind the description: width, height, depth, colours.
    let length = description.checked_add(4 + 16)?.checked_add(number(description)? as usize)?;
    let (from, size) = (length.checked_add(4)?, number(length)? as usize);
    Some((kind, from..from.saturating_add(size).min(block.len())))
}

/// Leaves nothing but `part` of some bytes, without a second block of memory.
fn cut_out(mut bytes: Vec<u8>, part: std::ops::Range<usize>) -> Vec<u8> {
    bytes.truncate(part.end);
    bytes.drain(..part.start.min(bytes.len()));
    bytes
}

/// The kind of a front cover.
const FRONT: u32 = 3;
/// The kind of a picture of which nothing is said.
const OTHER: u32 = 0;
/// Bytes of the largest picture that is read (reference purchases 7.7).
const LARGEST: u64 = 20_000_000;
/// Bytes that one walk may read: a few pictures, one better than the other.
const MOST_READ: u64 = 100_000_000;
/// Heads that one walk may read: an Ogg cover of 20 MB lies on some thousand pages.
const MOST_STEPS: u32 = 32_768;

#[cfg(test)]
mod tests;
