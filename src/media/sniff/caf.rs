//! Core Audio files (Apple Core Audio Format Specification 1.0): chunks.

use crate::error::{Error, Kind, Result};
use crate::media::raw::{RawTag, RawValue, names_buyer};
use crate::media::sniff::look::{Look, be};
use crate::media::sniff::{Sniffed, stretch};
use crate::track::{Codec, Container, PersonalBytes};
use crate::units::{ByteCount, Frames, SampleRate};

/// Says what a CAF file is.
///
/// # Errors
/// `Damaged` when it breaks off before its sound.
pub fn sniff(look: &mut Look<'_>) -> Result<Sniffed> {
    let mut sniffed = Sniffed::new(Container::Caf, Codec::Other, 0..0);
    let (mut at, mut packet, mut valid) = (8, 0, None);
    for count in 0.. {
        let head = look.some(at, 12)?;
        if head.len() < 12 {
            break;
        }
        if count >= MOST_CHUNKS {
            sniffed.raw.push(RawTag::unread(stretch(at, look.len())));
            break;
        }
        let (size, body) = (be(&head, 4, 8), at + 12);
        // Only the data may be as long as the file goes on (-1).
        let open = size == u64::MAX;
        let end = if open { look.len() } else { body.saturating_add(size) };
        match &head[..4] {
            b"desc" => packet = describe(&mut sniffed, &look.exact(body, 32)?),
            b"kuki" if sniffed.format.codec == Codec::Alac => {
                // The depth stands in ALACSpecificConfig, perhaps behind two boxes of 12 bytes.
                let cookie = look.some(body, 48)?;
                let skip = if cookie.get(4..8) == Some(b"frma") { 24 } else { 0 };
                sniffed.format.bits = cookie.get(skip + 5).map(|&bits| u16::from(bits));
            }
            b"info" => {
                let size = end.saturating_sub(body);
                let info = look.some(body, size.min(LARGEST_INFO) as usize)?;
                sniffed.raw.extend(words(&info, body));
                if size > LARGEST_INFO {
                    sniffed.raw.push(RawTag::unread(stretch(body, end.min(look.len()))));
                }
            }
            b"pakt" => valid = Some(be(&look.exact(body, 24)?, 8, 8)),
            b"data" => {
                if end > look.len() {
                    let lost = (end - look.len()) as f64 * 100.0 / size.max(1) as f64;
                    let what =
                        format!("the CAF file breaks off: the last {:.0} % are missing", lost.max(1.0));
                    return Err(Error::new(Kind::Damaged, what));
                }
                sniffed.audio = body.saturating_add(4).min(end)..end;
            }
            _ => {}
        }
        at = end;
    }
    if sniffed.audio.is_empty() {
        return Err(Error::new(Kind::Damaged, "the CAF file breaks off before its sound"));
    }
    let bytes = sniffed.audio.end - sniffed.audio.start;
    let counted = bytes.checked_div(packet).filter(|_| sniffed.format.codec == Codec::Pcm);
    sniffed.format.frames = counted.or(valid).filter(|&f| f > 0 && f < 1 << 62).map(Frames);
    Ok(sniffed)
}

/// Rate as a float of 64 bits, format, flags, bytes and frames per packet, channels, bits. Returns the bytes per packet.
fn describe(sniffed: &mut Sniffed, desc: &[u8]) -> u64 {
    let rate = f64::from_bits(be(desc, 0, 8));
    let format = &mut sniffed.format;
    // The cast saturates, and a rate of no number is 0.
    format.rate = SampleRate::new(rate as u32);
    format.channels = u16::try_from(be(desc, 24, 4)).ok();
    let flags = be(desc, 12, 4);
    let bits = be(desc, 28, 4) as u16;
    format.codec = match &desc[8..12] {
        b"lpcm" => Codec::Pcm,
        b"alac" => Codec::Alac,
        b"aac " => Codec::AacLc,
        b"aach" | b"aacp" => Codec::HeAac,
        b".mp3" => Codec::Mp3,
        b".mp2" => Codec::Mp2,
        b"flac" => Codec::Flac,
        b"opus" => Codec::Opus,
        b"samr" => Codec::Speech,
        _ => Codec::Other,
    };
    format.bits = match format.codec {
        Codec::Pcm => Some(bits),
        // kALACFormatFlag.
        Codec::Alac => [16, 20, 24, 32].get((flags as usize).wrapping_sub(1)).copied(),
        _ => None,
    };
    be(desc, 16, 4)
}

/// A count, then a key and a value in turn, UTF-8, each with its NUL.
fn words(info: &[u8], at: u64) -> Vec<RawTag> {
    let mut found = Vec::new();
    let mut from = 4;
    let mut next = || {
        let length = info.get(from..)?.iter().position(|&byte| byte == 0)?;
        let lies = from..from + length;
        from += length + 1;
        Some((String::from_utf8_lossy(&info[lies.clone()]).into_owned(), lies))
    };
    for _ in 0..be(info, 0, 4) {
        let (Some((key, _)), Some((text, lies))) = (next(), next()) else { break };
        let (offset, length) = (ByteCount(at + lies.start as u64), ByteCount(lies.len() as u64));
        let personal = names_buyer(&key, &text).then_some(PersonalBytes { offset, length });
        found.push(RawTag { personal, ..RawTag::new(format!("caf:{key}"), RawValue::Text(text)) });
    }
    found
}

const MOST_CHUNKS: usize = 256;
/// Bytes of words that are read.
const LARGEST_INFO: u64 = 64 << 10;
