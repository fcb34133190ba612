//! One-bit sound: DSF (DSF File Format Specification 1.01) and DSDIFF (DSDIFF File Format Specification 1.5).

use crate::error::{Error, Kind, Result};
use crate::media::sniff::look::{Look, be, le};
use crate::media::sniff::{Sniffed, id3};
use crate::track::{Codec, Container};
use crate::units::{Frames, SampleRate};

/// Says what a DSF file is. Rate and length are those of the PCM that konpo makes of it.
///
/// # Errors
/// `Damaged` when it breaks off.
pub fn dsf(look: &mut Look<'_>) -> Result<Sniffed> {
    let head = look.exact(0, 92)?;
    if &head[28..32] != b"fmt " || &head[80..84] != b"data" {
        return Err(Error::new(Kind::Damaged, "the head of the DSF file is broken"));
    }
    let end = 80u64.saturating_add(le(&head, 84, 8));
    let audio = sound("DSF", look, 92, end)?;
    let mut sniffed = Sniffed::new(Container::Dsf, Codec::Dsd, audio);
    sniffed.format.channels = u16::try_from(le(&head, 52, 4)).ok();
    sniffed.format.bits = Some(1);
    convert(&mut sniffed, le(&head, 56, 4), le(&head, 64, 8));
    // Where the tag begins; 0 without one.
    tag(&mut sniffed, look, le(&head, 20, 8))?;
    Ok(sniffed)
}

/// Reads the ID3v2 tag at a place behind the sound, if one is there.
fn tag(sniffed: &mut Sniffed, look: &mut Look<'_>, at: u64) -> Result<()> {
    if !look.is_endless() && at >= sniffed.audio.end && look.some(at, 10)?.starts_with(b"ID3") {
        sniffed.raw.extend(id3::frames(look, at, "id3")?);
    }
    Ok(())
}

/// Says what a DSDIFF file is. Rate and length are those of the PCM that konpo makes of it.
///
/// # Errors
/// `Damaged` when it breaks off.
pub fn dff(look: &mut Look<'_>) -> Result<Sniffed> {
    let mut sniffed = Sniffed::new(Container::Dff, Codec::Dsd, 0..0);
    sniffed.format.bits = Some(1);
    let (mut at, mut rate, mut found) = (16, 0, false);
    for _ in 0..MOST_CHUNKS {
        let head = look.some(at, 12)?;
        if head.len() < 12 {
            break;
        }
        let (size, body) = (be(&head, 4, 8), at + 12);
        let end = body.saturating_add(size);
        match &head[..4] {
            b"PROP" => rate = properties(&mut sniffed, look, body + 4, end)?,
            name @ (b"DSD " | b"DST ") => {
                sniffed.audio = sound("DSDIFF", look, body, end)?;
                // DST is compressed: its length follows from no size.
                let channels = sniffed.format.channels.map_or(0, u64::from);
                let bits = (size / channels.max(1)).saturating_mul(8);
                convert(&mut sniffed, rate, if name == b"DSD " && channels > 0 { bits } else { 0 });
                found = true;
                if look.is_endless() {
                    break;
                }
            }
            // Not of the specification, but what taggers write.
            b"ID3 " if found => tag(&mut sniffed, look, body)?,
            _ => {}
        }
        at = end.saturating_add(size & 1);
    }
    if !found {
        return Err(Error::new(Kind::Damaged, "the DSDIFF file breaks off before its sound"));
    }
    Ok(sniffed)
}

fn properties(sniffed: &mut Sniffed, look: &mut Look<'_>, mut at: u64, end: u64) -> Result<u64> {
    let mut rate = 0;
    for _ in 0..MOST_CHUNKS {
        let head = look.some(at, 16)?;
        if head.len() < 14 || at >= end {
            break;
        }
        match &head[..4] {
            b"FS  " => rate = be(&head, 12, 4),
            b"CHNL" => sniffed.format.channels = Some(be(&head, 12, 2) as u16),
            _ => {}
        }
        let size = be(&head, 4, 8);
        at = at.saturating_add(12).saturating_add(size).saturating_add(size & 1);
    }
    Ok(rate)
}

/// Takes over a rate and a length in single bits: PCM at the lowest multiple of the CD's or the video rate that keeps all
/// but the noise.
fn convert(sniffed: &mut Sniffed, rate: u64, bits: u64) {
    let to = if rate.is_multiple_of(48_000) { 96_000 } else { 88_200 };
    sniffed.format.rate = (rate > 0).then(|| SampleRate::new(to)).flatten();
    let frames = (u128::from(bits) * u128::from(to)).checked_div(rate.into()).unwrap_or(0);
    sniffed.format.frames = u64::try_from(frames).ok().filter(|&frames| frames > 0).map(Frames);
}

fn sound(name: &str, look: &Look<'_>, start: u64, end: u64) -> Result<std::ops::Range<u64>> {
    if end > look.len() {
        let lost = (end - look.len()) as f64 * 100.0 / (end - start).max(1) as f64;
        let what = format!("the {name} file breaks off: the last {:.0} % are missing", lost.max(1.0));
        return Err(Error::new(Kind::Damaged, what));
    }
    if end <= start {
        return Err(Error::new(Kind::Damaged, format!("the {name} file holds no sound")));
    }
    Ok(start..end)
}

const MOST_CHUNKS: usize = 256;
