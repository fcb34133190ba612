//! WavPack (WavPack 4 & 5 Binary File / Block Format): the head of the first block.

use crate::error::Result;
use crate::media::raw::RawTag;
use crate::media::sniff::Sniffed;
use crate::media::sniff::look::{Look, le};
use crate::media::sniff::{apev2, mpeg};
use crate::track::{Codec, Container};
use crate::units::{Frames, SampleRate};

/// Says what the WavPack file behind `start` is; `raw` are the tags in front of it.
///
/// # Errors
/// `Damaged` when it breaks off in its head.
pub fn sniff(look: &mut Look<'_>, start: u64, raw: Vec<RawTag>) -> Result<Sniffed> {
    let head = look.exact(start, 32)?;
    let end = mpeg::end_of_audio(look)?;
    let mut sniffed = Sniffed::new(Container::WavPack, Codec::WavPack, start..end.max(start));
    let flags = le(&head, 24, 4);
    let format = &mut sniffed.format;
    format.rate = RATES.get((flags >> 23 & 15) as usize).copied().and_then(SampleRate::new);
    // The first block of a file with more than two channels is not the last of its moment.
    let complete = flags & FINAL != 0;
    format.channels = complete.then_some(if flags & MONO != 0 { 1 } else { 2 });
    // Floats have no depth; one-bit sound becomes PCM of this rate.
    format.bits = (flags & (FLOAT | DSD) == 0).then_some((flags as u16 & 3) * 8 + 8);
    if flags & DSD != 0 {
        (format.codec, format.rate) = (Codec::Dsd, SampleRate::new(88_200));
    }
    let samples = le(&head, 12, 4);
    let all = samples | le(&head, 11, 1) << 32;
    format.frames = Some(Frames(all)).filter(|_| samples != 0xffff_ffff && samples > 0 && flags & DSD == 0);
    sniffed.raw = raw;
    sniffed.raw.extend(apev2::items(look, end)?);
    Ok(sniffed)
}

const RATES: [u32; 15] = [
    6000, 8000, 9600, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000,
    192_000,
];
const MONO: u64 = 1 << 2;
const FLOAT: u64 = 1 << 7;
const FINAL: u64 = 1 << 12;
const DSD: u64 = 1 << 31;
