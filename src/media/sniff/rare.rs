//! True Audio (TTA1 format description), TAK (its magic alone) and Musepack (stream versions 7 and 8).

use crate::error::Result;
use crate::media::raw::{RawTag, RawValue};
use crate::media::sniff::look::{Look, be, le};
use crate::media::sniff::{Sniffed, apev2, mpeg};
use crate::track::{Codec, Container};
use crate::units::{Frames, SampleRate};

/// Says what the file behind `start` is when its magic is one of these; `raw` are the tags in front of it.
///
/// # Errors
/// `Damaged` when it breaks off in its head.
pub fn sniff(
    look: &mut Look<'_>,
    start: u64,
    magic: &[u8],
    raw: &mut Vec<RawTag>,
) -> Result<Option<Sniffed>> {
    let mut sniffed = match magic.get(..4) {
        Some(b"TTA1") => tta(look, start)?,
        Some(b"tBaK") => Sniffed::new(Container::Tak, Codec::Tak, start..start),
        Some(b"MPCK") => musepack_8(look, start)?,
        // The low half of the byte is the version.
        Some([b'M', b'P', b'+', version]) if version & 15 == 7 => musepack_7(look, start)?,
        _ => return Ok(None),
    };
    let end = mpeg::end_of_audio(look)?;
    sniffed.audio = start..end.max(start);
    sniffed.raw.append(raw);
    sniffed.raw.extend(apev2::items(look, end)?);
    Ok(Some(sniffed))
}

/// `TTA1`, format, channels, bits, rate, samples.
fn tta(look: &mut Look<'_>, start: u64) -> Result<Sniffed> {
    let head = look.exact(start, 22)?;
    let mut sniffed = Sniffed::new(Container::Tta, Codec::Tta, start..start);
    let format = &mut sniffed.format;
    format.channels = Some(le(&head, 6, 2) as u16).filter(|&channels| channels > 0);
    format.bits = Some(le(&head, 8, 2) as u16).filter(|&bits| bits > 0);
    format.rate = SampleRate::new(le(&head, 10, 4) as u32);
    format.frames = Some(Frames(le(&head, 14, 4))).filter(|frames| frames.0 > 0);
    Ok(sniffed)
}

/// `MP+` and version, frames of 1152 samples, then a word whose bits 16 and 17 are the rate. Always stereo.
fn musepack_7(look: &mut Look<'_>, start: u64) -> Result<Sniffed> {
    let head = look.exact(start, 12)?;
    let mut sniffed = musepack(start, 7);
    sniffed.format.channels = Some(2);
    sniffed.format.rate = SampleRate::new(MUSEPACK_RATES[usize::from(head[10] & 3)]);
    sniffed.format.frames = Some(Frames(le(&head, 4, 4) * 1152)).filter(|frames| frames.0 > 0);
    Ok(sniffed)
}

/// `MPCK`, then packets of a key of two letters and a size. `SH` has: checksum, version, samples and silence in front as
/// numbers of 7-bit groups, 3 bits rate, 5 bits bands, 4 bits channels - 1.
fn musepack_8(look: &mut Look<'_>, start: u64) -> Result<Sniffed> {
    let mut sniffed = musepack(start, 8);
    let mut at = start + 4;
    for _ in 0..MOST_PACKETS {
        let packet = look.some(at, 40)?;
        let mut inside = 2;
        let Some(size) = number(&packet, &mut inside).filter(|size| *size >= inside as u64) else { break };
        if packet.starts_with(b"SH") {
            inside += 5;
            let samples = number(&packet, &mut inside);
            let silence = number(&packet, &mut inside).unwrap_or(0);
            let shape = be(&packet, inside, 2);
            sniffed.format.rate =
                MUSEPACK_RATES.get((shape >> 13) as usize).copied().and_then(SampleRate::new);
            sniffed.format.channels = Some((shape >> 4 & 15) as u16 + 1);
            let heard = samples.map(|samples| Frames(samples.saturating_sub(silence)));
            sniffed.format.frames = heard.filter(|frames| frames.0 > 0);
            break;
        }
        at = at.saturating_add(size);
    }
    Ok(sniffed)
}

fn musepack(start: u64, version: i64) -> Sniffed {
    let mut sniffed = Sniffed::new(Container::Musepack, Codec::Musepack, start..start);
    // Its reader has another name for each version.
    sniffed.raw.push(RawTag::new(MUSEPACK_VERSION, RawValue::Number(version)));
    sniffed
}

fn number(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0u64;
    for _ in 0..9 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Where the stream version of a Musepack file is kept.
pub const MUSEPACK_VERSION: &str = "musepack:version";
const MUSEPACK_RATES: [u32; 4] = [44_100, 48_000, 37_800, 32_000];
const MOST_PACKETS: usize = 16;
