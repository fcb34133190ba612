//! Ogg pages (RFC 3533) with Vorbis, Opus (RFC 7845) or FLAC inside.

use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::media::sniff::Sniffed;
use crate::media::sniff::look::{Look, be, le};
use crate::media::sniff::vorbis;
use crate::track::{Codec, Container, PersonalBytes};
use crate::units::{ByteCount, Frames, SampleRate};

/// Says what the first stream is.
///
/// # Errors
/// `Damaged` when its head breaks off, `Unsupported` for another codec than music.
pub fn sniff(look: &mut Look<'_>) -> Result<Sniffed> {
    // A scan may read 512 KiB of a file: more than this only where a cover makes the comments long.
    let mut window = look.some(0, SHORT_WINDOW)?;
    let Packet { bytes: head, next, .. } = packet(&window, 0).ok_or_else(broken)?;
    let mut second = packet(&window, next);
    if second.is_none() {
        window = look.some(0, WINDOW)?;
        second = packet(&window, next);
    }
    let mut sniffed = Sniffed::new(Container::Ogg, Codec::Other, 0..look.len());
    let format = &mut sniffed.format;
    let (rate, skip, comments) = if head.starts_with(b"\x01vorbis") {
        format.codec = Codec::Vorbis;
        format.channels = Some(u16::from(*head.get(11).unwrap_or(&0)));
        (le(&head, 12, 4) as u32, 0, 7)
    } else if head.starts_with(b"OpusHead") {
        format.codec = Codec::Opus;
        format.channels = Some(u16::from(*head.get(9).unwrap_or(&0)));
        // Opus always counts at 48 kHz (RFC 7845, 4).
        (48_000, le(&head, 10, 2), 8)
    } else if head.starts_with(b"\x7fFLAC") {
        format.codec = Codec::Flac;
        let packed = be(&head, 17 + 10, 8);
        format.channels = Some((packed >> 41 & 7) as u16 + 1);
        format.bits = Some((packed >> 36 & 31) as u16 + 1);
        ((packed >> 44) as u32, 0, 4)
    } else {
        let what = "this is not music: an Ogg file without Vorbis, Opus or FLAC";
        return Err(Error::new(Kind::Unsupported, what));
    };
    format.rate = SampleRate::new(rate);
    if let Some(packet) = second {
        let block = packet.bytes.get(comments..).unwrap_or_default();
        let place = |lies: Range<usize>| packet.lies(lies.start + comments..lies.end + comments);
        (sniffed.raw, sniffed.personal) = vorbis::comments(block, place);
    }
    let length = last_granule(look)?.map(|granule| Frames(granule.saturating_sub(skip)));
    sniffed.format.frames = length.filter(|frames| frames.0 > 0);
    Ok(sniffed)
}

/// A packet, put together from its pieces on one or more pages.
struct Packet {
    bytes: Vec<u8>,
    /// Where each piece begins in the packet and in the file.
    pieces: Vec<(usize, usize)>,
    /// Where the page behind it begins.
    next: usize,
}

impl Packet {
    /// Returns where a range of the packet lies in the file: a page's head may stand in between.
    fn lies(&self, range: Range<usize>) -> Vec<PersonalBytes> {
        let ends = self.pieces.iter().skip(1).map(|(start, _)| *start).chain([self.bytes.len()]);
        let parts = self.pieces.iter().zip(ends).filter_map(|(&(start, at), end)| {
            let (from, to) = (range.start.max(start), range.end.min(end));
            let place = |from: usize| ByteCount((at + from - start) as u64);
            (from < to).then(|| PersonalBytes { offset: place(from), length: ByteCount((to - from) as u64) })
        });
        parts.collect()
    }
}

/// Returns the packet that begins with the page at `at`.
fn packet(window: &[u8], mut at: usize) -> Option<Packet> {
    let (mut bytes, mut pieces) = (Vec::new(), Vec::new());
    loop {
        let head = window.get(at..at + 27).filter(|head| head.starts_with(b"OggS"))?;
        let lacing = window.get(at + 27..at + 27 + head[26] as usize)?;
        let mut body = at + 27 + lacing.len();
        let page_end = body + lacing.iter().map(|&n| n as usize).sum::<usize>();
        pieces.push((bytes.len(), body));
        for &length in lacing {
            bytes.extend_from_slice(window.get(body..body + length as usize)?);
            body += length as usize;
            if length < 255 {
                return Some(Packet { bytes, pieces, next: page_end });
            }
        }
        at = page_end;
    }
}

/// The granule position of the last page.
fn last_granule(look: &mut Look<'_>) -> Result<Option<u64>> {
    if look.len() == u64::MAX {
        return Ok(None);
    }
    let from = look.len().saturating_sub(TAIL);
    let tail = look.some(from, TAIL as usize)?;
    let pages = (0..tail.len().saturating_sub(14)).rev().filter(|&at| tail[at..].starts_with(b"OggS\0"));
    // A page on which no packet ends has the granule -1.
    Ok(pages.map(|at| le(&tail, at + 6, 8)).find(|&granule| granule != u64::MAX))
}

fn broken() -> Error {
    Error::new(Kind::Damaged, "the Ogg file breaks off in its head")
}

const WINDOW: usize = 1 << 20;
const SHORT_WINDOW: usize = 128 << 10;
/// The largest page has 65,307 bytes.
const TAIL: u64 = 128 << 10;
