//! WAV (RIFF, RF64) and AIFF (IFF, AIFC): chunks.

use crate::error::{Error, Kind, Result};
use crate::media::raw::RawTag;
use crate::media::sniff::look::{Look, be, le};
use crate::media::sniff::{Sniffed, id3, stretch};
use crate::track::{Codec, Container};
use crate::units::{Frames, SampleRate};

/// Says what a WAV file is.
///
/// # Errors
/// `Damaged` when it breaks off.
pub fn wav(look: &mut Look<'_>) -> Result<Sniffed> {
    let mut sniffed = Sniffed::new(Container::Wav, Codec::Other, 0..0);
    let (mut at, mut long_size, mut block) = (12, None, 0);
    for count in 0.. {
        let head = look.some(at, 8)?;
        if head.len() < 8 || is_beyond(&mut sniffed, look, at, count) {
            break;
        }
        let (size, body) = (le(&head, 4, 4), at + 8);
        match &head[..4] {
            // EBU Tech 3306: the 64-bit sizes of RF64.
            b"ds64" => long_size = Some(le(&look.some(body, 24)?, 8, 8)),
            b"fmt " if sniffed.audio.is_empty() => {
                let format = look.some(body, 40)?;
                block = le(&format, 12, 2);
                let tag = match le(&format, 0, 2) {
                    // WAVE_FORMAT_EXTENSIBLE: the tag begins the GUID.
                    0xfffe => le(&format, 24, 2),
                    tag => tag,
                };
                sniffed.format.codec = match tag {
                    1 | 3 => Codec::Pcm,
                    // ATRAC3 in WAV (reference purchases 8).
                    0x270 => Codec::Atrac3,
                    0x55 => Codec::Mp3,
                    _ => Codec::Other,
                };
                sniffed.format.channels = u16::try_from(le(&format, 2, 2)).ok();
                sniffed.format.rate = SampleRate::new(le(&format, 4, 4) as u32);
                sniffed.format.bits = u16::try_from(le(&format, 14, 2)).ok().filter(|&bits| bits > 0);
            }
            b"data" if sniffed.audio.is_empty() => {
                // Programs that stream write 0 or the largest number: then the file's end counts.
                let streamed = size == 0 || size == 0xffff_ffff;
                let size = if streamed {
                    long_size.filter(|&s| s > 0).unwrap_or(look.len().saturating_sub(body))
                } else {
                    size
                };
                audio(&mut sniffed, look, "WAV", body, size, block)?;
                at = sniffed.audio.end.saturating_add(size % 2);
                if at >= look.len() {
                    break;
                }
                continue;
            }
            b"id3 " | b"ID3 " => tag(&mut sniffed, look, body, size)?,
            _ => {}
        }
        at = body + size + size % 2;
    }
    if sniffed.audio.is_empty() {
        return Err(Error::new(Kind::Damaged, "the WAV file breaks off before its sound"));
    }
    Ok(sniffed)
}

/// Says what an AIFF file is.
///
/// # Errors
/// `Damaged` when it breaks off.
pub fn aiff(look: &mut Look<'_>) -> Result<Sniffed> {
    let mut sniffed = Sniffed::new(Container::Aiff, Codec::Other, 0..0);
    let compressed = look.some(8, 4)? == b"AIFC";
    let (mut at, mut block, mut sound) = (12, 0, None);
    for count in 0.. {
        let head = look.some(at, 8)?;
        if head.len() < 8 || is_beyond(&mut sniffed, look, at, count) {
            break;
        }
        let (size, body) = (be(&head, 4, 4), at + 8);
        match &head[..4] {
            b"COMM" => {
                let common = look.some(body, 22)?;
                let (channels, bits) = (be(&common, 0, 2), be(&common, 6, 2));
                block = channels * bits.div_ceil(8);
                sniffed.format.channels = u16::try_from(channels).ok();
                sniffed.format.bits = u16::try_from(bits).ok();
                sniffed.format.rate = extended(&common[8.min(common.len())..]).and_then(SampleRate::new);
                let plain = !compressed
                    || matches!(common.get(18..22), Some(b"NONE" | b"sowt" | b"twos" | b"fl32" | b"FL32"));
                sniffed.format.codec = if plain { Codec::Pcm } else { Codec::Other };
            }
            b"SSND" => sound = Some((body + 8, size.saturating_sub(8))),
            b"ID3 " => tag(&mut sniffed, look, body, size)?,
            _ => {}
        }
        at = body + size + size % 2;
    }
    match sound {
        Some((body, size)) => audio(&mut sniffed, look, "AIFF", body, size, block).map(|()| sniffed),
        None => Err(Error::new(Kind::Damaged, "the AIFF file breaks off before its sound")),
    }
}

fn audio(sniffed: &mut Sniffed, look: &Look<'_>, name: &str, body: u64, size: u64, block: u64) -> Result<()> {
    let end = body.saturating_add(size);
    if end > look.len() {
        let lost = (end - look.len()) as f64 * 100.0 / size.max(1) as f64;
        let what = format!("the {name} file breaks off: the last {:.0} % are missing", lost.max(1.0));
        return Err(Error::new(Kind::Damaged, what));
    }
    if size == 0 {
        return Err(Error::new(Kind::Damaged, format!("the {name} file holds no sound")));
    }
    sniffed.audio = body..end;
    if sniffed.format.codec == Codec::Pcm && block > 0 {
        sniffed.format.frames = Some(Frames(size / block));
    }
    Ok(())
}

/// A chunk with an ID3v2 tag in it, which may break off.
fn tag(sniffed: &mut Sniffed, look: &mut Look<'_>, body: u64, size: u64) -> Result<()> {
    if size > 10 && look.some(body, 10)?.starts_with(b"ID3") {
        sniffed.raw.extend(id3::frames(look, body, "id3")?);
    }
    Ok(())
}

/// Returns whether there are more chunks than any real file has; a tag may stand in one that is not looked at.
fn is_beyond(sniffed: &mut Sniffed, look: &Look<'_>, at: u64, count: usize) -> bool {
    let beyond = count >= MOST_CHUNKS;
    if beyond {
        sniffed.raw.push(RawTag::unread(stretch(at, look.len())));
    }
    beyond
}

/// The whole part of an 80-bit extended number, as AIFF writes its rate (Apple SANE).
fn extended(bytes: &[u8]) -> Option<u32> {
    let exponent = be(bytes.get(..10)?, 0, 2) & 0x7fff;
    let shift = 16_383u64.checked_add(63)?.checked_sub(exponent).filter(|&s| s < 64)?;
    u32::try_from(be(bytes, 2, 8) >> shift).ok()
}

const MOST_CHUNKS: usize = 256;
