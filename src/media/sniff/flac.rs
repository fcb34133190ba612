//! Native FLAC (RFC 9639).

use crate::error::{Error, Kind, Result};
use crate::media::raw::RawTag;
use crate::media::sniff::Sniffed;
use crate::media::sniff::look::{Look, be};
use crate::media::sniff::vorbis;
use crate::track::{Codec, Container};
use crate::units::{Frames, SampleRate};

/// Says what the FLAC stream at `start` is; `raw` are the tags in front of it.
///
/// # Errors
/// `Damaged` when it breaks off, in its head or before the last frame that STREAMINFO promises.
pub fn sniff(look: &mut Look<'_>, start: u64, mut raw: Vec<RawTag>) -> Result<Sniffed> {
    let mut at = start + 4;
    let mut info = None;
    for _ in 0..MOST_BLOCKS {
        let head = look.exact(at, 4)?;
        let (kind, length) = (head[0] & 0x7f, be(&head, 1, 3));
        match kind {
            0 if length >= 34 => info = Some(look.exact(at + 4, 34)?),
            4 => raw.extend(vorbis::comments(look, &vorbis::Block::one(at + 4, length), 0)?.0),
            127 => return Err(broken()),
            _ => {}
        }
        at += 4 + length;
        if head[0] & 0x80 != 0 {
            break;
        }
    }
    let info = info.ok_or_else(broken)?;
    if at >= look.len() {
        return Err(Error::new(Kind::Damaged, "the FLAC file breaks off before its first sound"));
    }
    // RFC 9639, 8.2: 20 bits rate, 3 channels - 1, 5 bits - 1, 36 samples.
    let packed = be(&info, 10, 8);
    let total = packed & 0xf_ffff_ffff;
    let mut sniffed = Sniffed::new(Container::Flac, Codec::Flac, at..look.len());
    sniffed.format.rate = SampleRate::new((packed >> 44) as u32);
    sniffed.format.channels = Some((packed >> 41 & 7) as u16 + 1);
    sniffed.format.bits = Some((packed >> 36 & 31) as u16 + 1);
    sniffed.format.frames = (total > 0).then_some(Frames(total));
    sniffed.raw = raw;
    let fixed_block = (be(&info, 0, 2), be(&info, 2, 2));
    if total > 0 && look.len() < u64::MAX {
        check_end(look, at, total, fixed_block)?;
    }
    Ok(sniffed)
}

/// Finds the farthest frame end and holds it against the promised length. A file without any frame header near its end
/// (a long tail of other bytes) is left to the decoder. Sound that looks like a header by chance has small numbers
/// nearly always, so the farthest end counts, not the last one found.
fn check_end(look: &mut Look<'_>, audio: u64, total: u64, (smallest, largest): (u64, u64)) -> Result<()> {
    let from = look.len().saturating_sub(TAIL).max(audio);
    let tail = look.some(from, TAIL as usize)?;
    let mut last = None;
    for at in 0..tail.len().saturating_sub(6) {
        // Sync code, then a header whose CRC-8 is right (RFC 9639, 9.1).
        if tail[at] == 0xff
            && tail[at + 1] & 0xfe == 0xf8
            && let Some(Header { number, block, .. }) = header(&tail[at..])
        {
            let variable = tail[at + 1] & 1 == 1;
            let first = if variable { number } else { number.saturating_mul(smallest.max(1)) };
            if smallest == largest || variable {
                let end = first.saturating_add(block);
                last = last.max((first < total).then_some(end));
            }
        }
    }
    match last {
        Some(end) if end < total => {
            let lost = 100 - end.saturating_mul(100) / total.max(1);
            Err(Error::new(
                Kind::Damaged,
                format!("the FLAC file breaks off: the last {} % are missing", lost.max(1)),
            ))
        }
        _ => Ok(()),
    }
}

/// What a frame header says (RFC 9639, 9.1).
pub(in crate::media) struct Header {
    /// The number of the frame, or of its first sample where the blocks are of different sizes.
    pub(in crate::media) number: u64,
    /// Samples of each channel.
    pub(in crate::media) block: u64,
    /// Frames per second; 0 where only STREAMINFO tells.
    pub(in crate::media) rate: u64,
    /// Bits of a sample; 0 where only STREAMINFO tells.
    pub(in crate::media) bits: u64,
    pub(in crate::media) channels: u64,
}

/// Reads the frame header behind a sync code, which is the first two bytes. `None` when it is none.
pub(in crate::media) fn header(bytes: &[u8]) -> Option<Header> {
    let (sizes, format) = (*bytes.get(2)?, *bytes.get(3)?);
    let (block_code, rate_code) = (sizes >> 4, sizes & 0x0f);
    if block_code == 0 || rate_code == 15 || format >> 4 > 10 || format & 1 == 1 {
        return None;
    }
    let (number, used) = coded_number(bytes.get(4..)?)?;
    let mut at = 4 + used;
    let block = match block_code {
        1 => 192,
        2..=5 => 576 << (block_code - 2),
        6 => be(bytes, at, 1) + 1,
        7 => be(bytes, at, 2) + 1,
        _ => 256 << (block_code - 8),
    };
    at += match block_code {
        6 => 1,
        7 => 2,
        _ => 0,
    };
    let (rate, used) = match rate_code {
        12 => (1000 * be(bytes, at, 1), 1),
        13 => (be(bytes, at, 2), 2),
        14 => (10 * be(bytes, at, 2), 2),
        code => (RATES[usize::from(code)], 0),
    };
    at += used;
    let channels = if format >> 4 < 8 { u64::from(format >> 4) + 1 } else { 2 };
    let bits = BITS[usize::from(format >> 1 & 7)];
    (crc8(bytes.get(..at)?) == *bytes.get(at)?).then_some(Header { number, block, rate, bits, channels })
}

/// The number in the manner of UTF-8, up to 36 bits (RFC 9639, 9.1.5).
fn coded_number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let ones = first.leading_ones() as usize;
    match ones {
        0 => Some((u64::from(first), 1)),
        2..=7 => {
            let mut number = u64::from(first) & (0x7f >> ones);
            for &byte in bytes.get(1..ones)? {
                (byte & 0xc0 == 0x80).then_some(())?;
                number = number << 6 | u64::from(byte & 0x3f);
            }
            Some((number, ones))
        }
        _ => None,
    }
}

/// RFC 9639, 9.1.8: polynomial x^8 + x^2 + x + 1, initial 0.
fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 != 0 { crc << 1 ^ 0x07 } else { crc << 1 })
    })
}

fn broken() -> Error {
    Error::new(Kind::Damaged, "the head of the FLAC file is broken")
}

/// Frames per second of the codes 1 to 11 (RFC 9639, 9.1.2).
const RATES: [u64; 12] =
    [0, 88_200, 176_400, 192_000, 8_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000];
/// Bits of a sample (RFC 9639, 9.1.4); the code 3 is reserved and fits no stream.
const BITS: [u64; 8] = [0, 8, 12, u64::MAX, 16, 20, 24, 32];
const MOST_BLOCKS: usize = 1024;
/// A frame of 8 channels of 24 bits and 4,608 samples is far smaller.
const TAIL: u64 = 256 << 10;
