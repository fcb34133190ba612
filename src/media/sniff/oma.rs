//! Sony OpenMG audio (reference purchases 2.4).

use crate::error::{Error, Kind, Result};
use crate::media::sniff::look::{Look, be};
use crate::media::sniff::{Sniffed, id3, mpeg};
use crate::track::{Codec, Container, Protection};
use crate::units::{Frames, SampleRate};

/// Says what an OpenMG file is: the encryption word of its EA3 header decides, before anything looks at the audio.
///
/// # Errors
/// `Damaged` when it breaks off in its head.
pub fn sniff(look: &mut Look<'_>, head: &[u8]) -> Result<Sniffed> {
    let (start, raw) = if head.starts_with(b"ea3") {
        (id3::end_of(head), id3::frames(look, 0, "oma")?)
    } else {
        (0, Vec::new())
    };
    let header = look.exact(start, EA3_SIZE as usize)?;
    // The size stands behind the generation.
    if !header.starts_with(b"EA3") || be(&header, 4, 2) != EA3_SIZE {
        return Err(Error::new(Kind::Damaged, "the head of the OpenMG file is broken"));
    }
    let word = be(&header, 6, 2) as u16;
    let mut sniffed = Sniffed::new(Container::Oma, Codec::Other, start + EA3_SIZE..look.len());
    sniffed.protection = match word {
        0xffff | 0xff80 => Protection::None,
        0xfffe => Protection::SonyObfuscatedMp3,
        _ => Protection::OpenMg { word },
    };
    sniffed.format.codec = match header[32] {
        0 | 34 => Codec::Atrac3,
        1 | 33 => Codec::Atrac3Plus,
        2 => Codec::AacLc,
        3 => Codec::Mp3,
        4 => Codec::Pcm,
        5 => Codec::Wma,
        _ => Codec::Other,
    };
    let payload = look.len().saturating_sub(start + EA3_SIZE);
    let payload = (look.len() < u64::MAX).then_some(payload);
    let params = be(&header, 33, 3);
    match header[32] {
        0 | 1 => atrac(&mut sniffed, header[32] == 1, params, payload),
        4 => {
            // 44.1 kHz, 16 bits, stereo.
            let format = &mut sniffed.format;
            (format.rate, format.channels, format.bits) = (SampleRate::new(44_100), Some(2), Some(16));
            format.frames = payload.map(|bytes| Frames(bytes / 4)).filter(|frames| frames.0 > 0);
        }
        // The sound is looked at only when it is plain.
        3 if !sniffed.protection.is_locked() => {
            if let Some(frame) = mpeg::header(&look.some(start + EA3_SIZE, 4)?) {
                let format = &mut sniffed.format;
                (format.rate, format.channels) = (SampleRate::new(frame.rate), Some(frame.channels));
                let frames = |bytes: u64| {
                    u128::from(bytes) * 8 * u128::from(frame.rate) / u128::from(frame.bitrate.max(1))
                };
                format.frames = payload.map(|bytes| Frames(frames(bytes) as u64)).filter(|f| f.0 > 0);
            }
        }
        _ => {}
    }
    sniffed.raw = raw;
    Ok(sniffed)
}

/// Bits 13 to 15 are the rate, 10 to 12 the channels of ATRAC3plus, 0 to 9 the size of a frame in eights of bytes.
fn atrac(sniffed: &mut Sniffed, plus: bool, params: u64, payload: Option<u64>) {
    let rates = [32_000, 44_100, 48_000, 88_200, 96_000];
    let format = &mut sniffed.format;
    format.rate = rates.get((params >> 13 & 7) as usize).copied().and_then(SampleRate::new);
    let units = (params & 0x3ff) * 8;
    let (bytes, frames) = if plus { (units + 8, 2048) } else { (units, 1024) };
    format.channels = match (plus, params >> 10 & 7) {
        (false, _) => Some(2),
        // 5 is 5.1, 6 is 6.1, 7 is 7.1.
        (true, id @ 5..) => Some(id as u16 + 1),
        (true, id) => Some(id as u16).filter(|&id| id > 0),
    };
    let whole = payload.and_then(|payload| payload.checked_div(bytes));
    format.frames = whole.map(|count| Frames(count.saturating_mul(frames))).filter(|frames| frames.0 > 0);
}

const EA3_SIZE: u64 = 96;
