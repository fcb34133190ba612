//! Which frames of a container's timeline sound: the gapless rule. Pure.

use symphonia::core::formats::Track;

use crate::media::sniff::Sniffed;
use crate::units::{Frames, SampleRate};

/// The stretch of a container's timeline that sounds.
pub(super) struct Window {
    /// The first frame that sounds.
    pub(super) first: i64,
    /// The frame behind the last one that sounds, where the decoder must cut.
    pub(super) end: Option<i64>,
    /// The length as the file tells it.
    pub(super) length: Option<Frames>,
}

impl Window {
    /// Takes over the numbers of an Opus stream (RFC 7845, 4.4 and 4.5): positions count what is skipped in front, and the
    /// last position says where the sound ends.
    pub(super) fn skip(&mut self, start: i64, last: Option<u64>, skip: u16) {
        self.first = start.max(0).saturating_add(skip.into());
        // The last page trims by itself; another link may follow.
        let last = last.filter(|last| *last > 0).map(|last| i64::try_from(last).unwrap_or(i64::MAX));
        (self.end, self.length) = (None, last.map(|last| Frames(last.max(self.first).abs_diff(self.first))));
    }
}

/// Decides what to trim. symphonia trims MP3 and Vorbis by itself; MP4 says it in an edit list or iTunSMPB, and with
/// the sum of the sample durations (ISO/IEC 14496-12, 8.6.1.2), which is exact where the edit list is in milliseconds.
pub(super) fn window(track: &Track, sniffed: &Sniffed, rate: SampleRate, exact_sum: bool) -> Window {
    let frames = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let sum = track.num_frames.filter(|_| exact_sum).filter(|sum| *sum > 0).map(frames);
    let Some(gapless) = &sniffed.gapless else {
        let first = track.start_ts.get().max(0);
        let length = track.num_frames.filter(|count| *count > 0).map(Frames).or(sniffed.format.frames);
        return Window { first, end: sum, length: length.or(sum.map(|sum| Frames(sum.unsigned_abs()))) };
    };
    let first = i64::from(gapless.delay);
    let stated = match gapless.frames {
        Some(count) => Some(first.saturating_add(frames(count.0))),
        None => sum.map(|sum| sum.saturating_sub(gapless.padding.into())),
    };
    let rounding = i64::from(rate.hz() / 500) + 1;
    let end = match (stated, sum) {
        (Some(stated), Some(sum)) if sum % AAC_FRAME != 0 && (stated - sum).abs() <= rounding => Some(sum),
        (Some(stated), Some(sum)) => Some(stated.min(sum)),
        (stated, sum) => stated.or(sum),
    };
    let length = end.map(|end| Frames(end.saturating_sub(first).max(0).unsigned_abs()));
    Window { first, end: end.map(|end| end.max(first)), length: length.or(sniffed.format.frames) }
}

/// Frames of an AAC packet.
const AAC_FRAME: i64 = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::sniff::Gapless;
    use crate::track::{AudioFormat, Codec, Container, Protection};

    fn check(sum: u64, gapless: Option<(u32, u32, Option<u64>)>, expected: (i64, Option<i64>, Option<u64>)) {
        let mut track = Track::new(0);
        track.with_num_frames(sum);
        let sniffed = Sniffed {
            format: AudioFormat {
                container: Container::Mp4,
                codec: Codec::AacLc,
                rate: None,
                channels: None,
                bits: None,
                frames: None,
            },
            protection: Protection::None,
            audio: 0..0,
            purchase: None,
            personal: Vec::new(),
            aac: None,
            gapless: gapless.map(|(delay, padding, count)| Gapless {
                delay,
                padding,
                frames: count.map(Frames),
            }),
            raw: Vec::new(),
        };
        let window = window(&track, &sniffed, SampleRate::CD, true);
        assert_eq!(
            (window.first, window.end, window.length),
            (expected.0, expected.1, expected.2.map(Frames))
        );
    }

    #[test]
    fn the_exact_number_wins_over_the_rounded_one() {
        // iTunSMPB beside whole packets: taken as it is.
        check(134_144, Some((2112, 732, Some(131_300))), (2112, Some(133_412), Some(131_300)));
        // An edit list in milliseconds beside exact durations (ffmpeg): the sum of the durations.
        check(132_095, Some((1024, 0, Some(131_065))), (1024, Some(132_095), Some(131_071)));
        // Only a padding.
        check(134_144, Some((1024, 820, None)), (1024, Some(133_324), Some(132_300)));
        // More than there is.
        check(10_240, Some((1024, 0, Some(1 << 40))), (1024, Some(10_240), Some(9216)));
        // A delay beyond the end.
        check(1000, Some((2112, 0, None)), (2112, Some(2112), Some(0)));
        check(4096, None, (0, Some(4096), Some(4096)));
    }
}
