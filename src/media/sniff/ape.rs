//! Monkey's Audio: the heads of versions before and since 3.98.

use crate::error::Result;
use crate::media::raw::RawTag;
use crate::media::sniff::Sniffed;
use crate::media::sniff::look::{Look, le};
use crate::media::sniff::{apev2, mpeg};
use crate::track::{Codec, Container};
use crate::units::{Frames, SampleRate};

/// Says what the Monkey's Audio file behind `start` is; `raw` are the tags in front of it.
///
/// # Errors
/// `Damaged` when it breaks off in its head.
pub fn sniff(look: &mut Look<'_>, start: u64, raw: Vec<RawTag>) -> Result<Sniffed> {
    let head = look.exact(start, 40)?;
    let version = le(&head, 4, 2);
    let end = mpeg::end_of_audio(look)?;
    let mut sniffed = Sniffed::new(Container::Ape, Codec::Ape, start..end.max(start));
    sniffed.raw = raw;
    sniffed.raw.extend(apev2::items(look, end)?);
    let (channels, bits, rate, blocks, count, last);
    if version >= 3980 {
        // A descriptor of stated length, then: level, flags, blocks per frame, blocks of the last one, frames, bits,
        // channels, rate.
        let body = look.exact(start.saturating_add(le(&head, 8, 4)), 24)?;
        (blocks, last, count) = (le(&body, 4, 4), le(&body, 8, 4), le(&body, 12, 4));
        (bits, channels, rate) = (le(&body, 16, 2), le(&body, 18, 2), le(&body, 20, 4));
    } else {
        let (level, flags) = (le(&head, 6, 2), le(&head, 8, 2));
        (channels, rate) = (le(&head, 10, 2), le(&head, 12, 4));
        (count, last) = (le(&head, 24, 4), le(&head, 28, 4));
        bits = match flags {
            flags if flags & 1 != 0 => 8,
            flags if flags & 8 != 0 => 24,
            _ => 16,
        };
        blocks = match version {
            3950.. => 73_728 * 4,
            3900.. => 73_728,
            3800.. if level >= 4000 => 73_728,
            _ => 9216,
        };
    }
    let format = &mut sniffed.format;
    format.channels = u16::try_from(channels).ok().filter(|&channels| channels > 0);
    format.bits = u16::try_from(bits).ok().filter(|&bits| bits > 0);
    format.rate = SampleRate::new(rate as u32);
    let all = count.checked_sub(1).map(|full| full.saturating_mul(blocks).saturating_add(last));
    format.frames = all.filter(|&all| all > 0).map(Frames);
    Ok(sniffed)
}
