//! From the planes of a decoder, one for each channel, to interleaved samples.

use std::ops::Range;

use symphonia::core::audio::conv::ConvertibleSample;
use symphonia::core::audio::sample::Sample;
use symphonia::core::audio::{Audio, AudioBuffer, GenericAudioBufferRef};

use crate::media::decode::Samples;

/// Replaces what is in `out` by a range of the decoded frames. Integers are widened by a shift, which keeps every bit.
pub fn interleaved(decoded: &GenericAudioBufferRef<'_>, frames: Range<usize>, out: &mut Samples) {
    match (decoded, out) {
        (GenericAudioBufferRef::S32(planes), Samples::Int(out)) => woven(planes, frames, out),
        (GenericAudioBufferRef::F32(planes), Samples::Float(out)) => woven(planes, frames, out),
        (decoded, Samples::Int(out)) => converted(decoded, frames, out),
        (decoded, Samples::Float(out)) => converted(decoded, frames, out),
    }
}

/// As they are. symphonia's own way takes them one by one, with a check each.
fn woven<S: Sample>(planes: &AudioBuffer<S>, frames: Range<usize>, out: &mut Vec<S>) {
    let width = planes.num_planes();
    out.resize(frames.len() * width, S::MID);
    let plane = |n| planes.plane(n).and_then(|plane| plane.get(frames.clone())).unwrap_or_default();
    if width == 2 {
        let both = plane(0).iter().zip(plane(1));
        out.as_chunks_mut()
            .0
            .iter_mut()
            .zip(both)
            .for_each(|(frame, (left, right))| *frame = [*left, *right]);
        return;
    }
    for channel in 0..width {
        let slots = out.iter_mut().skip(channel).step_by(width);
        slots.zip(plane(channel)).for_each(|(slot, sample)| *slot = *sample);
    }
}

fn converted<S: ConvertibleSample>(
    decoded: &GenericAudioBufferRef<'_>,
    frames: Range<usize>,
    out: &mut Vec<S>,
) {
    let width = decoded.num_planes();
    decoded.copy_to_vec_interleaved(out);
    out.truncate(frames.end * width);
    out.drain(..(frames.start * width).min(out.len()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use symphonia::core::audio::{AsGenericAudioBufferRef, AudioMut, AudioSpec, Channels};

    fn check<S: Sample>(channels: u16, frames: Range<usize>, of: fn(usize) -> S, expected: Samples)
    where
        AudioBuffer<S>: AsGenericAudioBufferRef,
    {
        let mut planes = AudioBuffer::<S>::new(AudioSpec::new(44_100, Channels::Discrete(channels)), 8);
        planes.render_silence(Some(5));
        for channel in 0..usize::from(channels) {
            let plane = planes.plane_mut(channel).expect("a plane");
            plane.iter_mut().enumerate().for_each(|(frame, sample)| *sample = of(10 * channel + frame));
        }
        let mut out = match expected {
            Samples::Int(_) => Samples::Int(vec![7; 3]),
            Samples::Float(_) => Samples::Float(vec![7.0; 30]),
        };
        interleaved(&planes.as_generic_audio_buffer_ref(), frames, &mut out);
        assert_eq!(out, expected);
    }

    #[test]
    fn any_count_of_channels_is_interleaved_from_any_frame() {
        check(1, 1..3, |n| n as i32, Samples::Int(vec![1, 2]));
        check(2, 0..5, |n| n as i32, Samples::Int(vec![0, 10, 1, 11, 2, 12, 3, 13, 4, 14]));
        check(2, 3..5, |n| n as f32, Samples::Float(vec![3.0, 13.0, 4.0, 14.0]));
        check(3, 1..3, |n| n as i32, Samples::Int(vec![1, 11, 21, 2, 12, 22]));
        check(2, 2..2, |n| n as i32, Samples::Int(Vec::new()));
        // Other forms, left-justified.
        check(2, 1..3, |n| n as i16, Samples::Int(vec![1 << 16, 11 << 16, 2 << 16, 12 << 16]));
        check(1, 4..5, |n| n as f64 / 8.0, Samples::Float(vec![0.5]));
    }
}
