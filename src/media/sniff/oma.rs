//! Sony OpenMG audio (reference purchases 2.4) and OMA DRM 1 messages (2.5).

use crate::error::{Error, Kind, Result};
use crate::media::sniff::Sniffed;
use crate::media::sniff::id3;
use crate::media::sniff::look::{Look, be};
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
    if !header.starts_with(b"EA3") {
        return Err(Error::new(Kind::Damaged, "the head of the OpenMG file is broken"));
    }
    let word = be(&header, 6, 2) as u16;
    let params = be(&header, 33, 3);
    let mut sniffed = Sniffed::new(Container::Oma, Codec::Other, start + EA3_SIZE..look.len());
    sniffed.protection = match word {
        0xffff | 0xff80 => Protection::None,
        0xfffe => Protection::SonyObfuscatedMp3,
        _ => Protection::OpenMg { word },
    };
    let format = &mut sniffed.format;
    format.codec = match header[32] {
        0 | 34 => Codec::Atrac3,
        1 | 33 => Codec::Atrac3Plus,
        2 => Codec::AacLc,
        3 => Codec::Mp3,
        4 => Codec::Pcm,
        5 => Codec::Wma,
        _ => Codec::Other,
    };
    if header[32] <= 1 {
        let rates = [32_000, 44_100, 48_000, 88_200, 96_000];
        format.rate = rates.get((params >> 13 & 7) as usize).copied().and_then(SampleRate::new);
        format.channels = Some(2);
        // Reference purchases 2.4: bytes of a frame, and the frames of sound in it.
        let units = (params & 0x3ff) * 8;
        let (bytes, frames) = if header[32] == 0 { (units, 1024) } else { (units + 8, 2048) };
        let payload = look.len().saturating_sub(start + EA3_SIZE);
        let whole = payload.checked_div(bytes).filter(|_| look.len() < u64::MAX);
        format.frames = whole.map(|count| Frames(count.saturating_mul(frames))).filter(|frames| frames.0 > 0);
    }
    sniffed.raw = raw;
    Ok(sniffed)
}

/// A forward-locked message (`--boundary`, then a header), or a DCF: version 1, two lengths, a MIME type and a `cid:`.
pub fn is_drm_1(head: &[u8]) -> bool {
    if head.starts_with(b"--") {
        let text = String::from_utf8_lossy(head);
        let second = text.lines().nth(1).unwrap_or("").to_ascii_lowercase();
        return second.starts_with("content-type:") || second.starts_with("content-transfer-encoding:");
    }
    let (Some(1), Some(&kind), Some(&uri)) = (head.first(), head.get(1), head.get(2)) else { return false };
    let mime = head.get(3..3 + kind as usize).unwrap_or_default();
    let id = head.get(3 + kind as usize..3 + kind as usize + uri as usize).unwrap_or_default();
    mime.contains(&b'/') && mime.is_ascii() && id.starts_with(b"cid:")
}

const EA3_SIZE: u64 = 96;
