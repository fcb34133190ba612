//! Ogg pages (RFC 3533) with Vorbis, Opus (RFC 7845) or FLAC inside.

use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::media::raw::RawTag;
use crate::media::sniff::Sniffed;
use crate::media::sniff::look::{Look, be, le};
use crate::media::sniff::vorbis::{self, Block};
use crate::track::{Codec, Container, PersonalBytes};
use crate::units::{Frames, SampleRate};

/// Says what the first stream is.
///
/// # Errors
/// `Damaged` when its head breaks off, `Unsupported` for another codec than music.
pub fn sniff(look: &mut Look<'_>) -> Result<Sniffed> {
    let first = packet(look, 0, MOST_HEAD)?.ok_or_else(broken)?;
    let head = first.block.some(look, 0, first.block.len())?;
    let mut sniffed = Sniffed::new(Container::Ogg, Codec::Other, 0..look.len());
    let format = &mut sniffed.format;
    let (rate, skip) = if head.starts_with(b"\x01vorbis") {
        format.codec = Codec::Vorbis;
        format.channels = Some(u16::from(*head.get(11).unwrap_or(&0)));
        (le(&head, 12, 4) as u32, 0)
    } else if head.starts_with(b"OpusHead") {
        format.codec = Codec::Opus;
        format.channels = Some(u16::from(*head.get(9).unwrap_or(&0)));
        // Opus always counts at 48 kHz (RFC 7845, 4).
        (48_000, le(&head, 10, 2))
    } else if head.starts_with(b"\x7fFLAC") {
        format.codec = Codec::Flac;
        let packed = be(&head, 17 + 10, 8);
        format.channels = Some((packed >> 41 & 7) as u16 + 1);
        format.bits = Some((packed >> 36 & 31) as u16 + 1);
        ((packed >> 44) as u32, 0)
    } else {
        let what = "this is not music: an Ogg file without Vorbis, Opus or FLAC";
        return Err(Error::new(Kind::Unsupported, what));
    };
    format.rate = SampleRate::new(rate);
    if let Some(Comments { raw, personal, .. }) = comments(look, NEAR)? {
        (sniffed.raw, sniffed.personal) = (raw, personal);
    }
    let length = last_granule(look)?.map(|granule| Frames(granule.saturating_sub(skip)));
    sniffed.format.frames = length.filter(|frames| frames.0 > 0);
    Ok(sniffed)
}

/// The comments of the first stream.
pub struct Comments {
    /// As they lie in the file.
    pub raw: Vec<RawTag>,
    /// Where those that name the buyer lie; a page's head may stand in between.
    pub personal: Vec<PersonalBytes>,
    /// Where the pages lie that hold them.
    pub pages: Vec<Range<u64>>,
}

/// Reads the comments of the first stream; `None` when they do not end within about `most` bytes.
///
/// # Errors
/// `Damaged` when the head breaks off, and those of reading.
pub fn comments(look: &mut Look<'_>, most: u64) -> Result<Option<Comments>> {
    let first = packet(look, 0, MOST_HEAD)?.ok_or_else(broken)?;
    let Some(second) = packet(look, first.next, most)? else { return Ok(None) };
    let mark = second.block.some(look, 0, 8)?;
    let from = match &mark[..] {
        _ if mark.starts_with(b"\x03vorbis") => 7,
        b"OpusTags" => 8,
        // A metadata block of FLAC: kind and length in front (Ogg mapping of FLAC, RFC 9639, 10.1).
        [kind, ..] if kind & 0x7f == 4 => 4,
        _ => return Ok(None),
    };
    let (raw, personal) = vorbis::comments(look, &second.block, from)?;
    Ok(Some(Comments { raw, personal, pages: second.pages }))
}

/// Returns the serial number of the stream that the page at `at` belongs to; `None` when there is no page.
///
/// # Errors
/// Those of reading.
pub fn serial(look: &mut Look<'_>, at: u64) -> Result<Option<u64>> {
    let head = look.some(at, 18)?;
    Ok((head.len() == 18 && head.starts_with(b"OggS")).then(|| le(&head, 14, 4)))
}

/// Returns where the last page begins; `None` when none begins in the last 128 KiB.
///
/// # Errors
/// Those of reading.
pub fn last_page(look: &mut Look<'_>) -> Result<Option<u64>> {
    let from = look.len().saturating_sub(TAIL);
    let tail = look.some(from, TAIL as usize)?;
    let found = (0..tail.len().saturating_sub(26)).rev().find(|&at| tail[at..].starts_with(b"OggS\0"));
    Ok(found.map(|at| from + at as u64))
}

/// Where a packet lies.
struct Packet {
    block: Block,
    pages: Vec<Range<u64>>,
    /// Where the page behind it begins.
    next: u64,
}

/// Returns the packet that begins with the page at `at`; `None` when it breaks off or is longer than about `most`.
fn packet(look: &mut Look<'_>, mut at: u64, most: u64) -> Result<Option<Packet>> {
    let (mut block, mut pages) = (Block::default(), Vec::new());
    while block.len() <= most && pages.len() <= MOST_PAGES {
        let head = look.some(at, LARGEST_PAGE_HEAD)?;
        let lacing = head.get(27..).filter(|_| head.starts_with(b"OggS"));
        let Some(lacing) = lacing.and_then(|rest| rest.get(..usize::from(head[26]))) else { break };
        let body = at + 27 + lacing.len() as u64;
        let next = body + lacing.iter().map(|&n| u64::from(n)).sum::<u64>();
        if next > look.len() {
            break;
        }
        pages.push(at..next);
        let ends = lacing.iter().position(|&n| n < 255);
        let taken = &lacing[..ends.map_or(lacing.len(), |end| end + 1)];
        block.push(body, taken.iter().map(|&n| u64::from(n)).sum());
        if ends.is_some() {
            return Ok(Some(Packet { block, pages, next }));
        }
        at = next;
    }
    Ok(None)
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

const MOST_HEAD: u64 = 64 << 10;
/// Comments with a larger picture are looked for only where they matter.
const NEAR: u64 = 512 << 10;
/// Pages of more than a few bytes that hold the largest comments.
const MOST_PAGES: usize = 4096;
const LARGEST_PAGE_HEAD: usize = 27 + 255;
/// The largest page has 65,307 bytes.
const TAIL: u64 = 128 << 10;
