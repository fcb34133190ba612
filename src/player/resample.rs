//! From one rate to another, for a device that does not take the source's: rubato's FFT resampler in 64-bit float, blocks
//! of about 20 ms. The filter's delay is cut off, so that frame n of the source is heard at frame n times the ratio. Runs
//! on the player's thread; one resampler goes on over the tracks of an album, so that their joints stay whole.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

use crate::error::{Error, Kind, Result};
use crate::player::gain::word_of;
use crate::units::SampleRate;

/// A stream of frames on its way to another rate.
pub struct Resampler {
    fft: Fft<f64>,
    from: SampleRate,
    to: SampleRate,
    channels: usize,
    /// Interleaved frames that do not make a block yet.
    input: Vec<f64>,
    /// A block of the result.
    block: Vec<f64>,
    taken: u64,
    given: u64,
    /// Frames of the filter's delay that are still to be cut off.
    delay: usize,
}

impl Resampler {
    /// Returns a resampler at the start of a stream.
    ///
    /// # Errors
    /// `Unsupported` when the rates have so little in common that a block would be longer than a second or so.
    pub fn new(from: SampleRate, to: SampleRate, channels: u16) -> Result<Resampler> {
        let refused = || Error::new(Kind::Unsupported, format!("konpo cannot turn {from} into {to}"));
        if !converts(from, to) {
            return Err(refused());
        }
        let channels = usize::from(channels.max(1));
        let (hz_in, hz_out) = (from.hz() as usize, to.hz() as usize);
        let wanted = (hz_in / BLOCKS_PER_SECOND).max(1);
        let fft = Fft::new(hz_in, hz_out, wanted, channels, FixedSync::Both)
            .map_err(|e| Error::with(Kind::Unsupported, refused().what().to_owned(), e))?;
        let block = vec![0.0; fft.output_frames_max() * channels];
        let delay = fft.output_delay();
        Ok(Resampler { fft, from, to, channels, input: Vec::new(), block, taken: 0, given: 0, delay })
    }

    /// Returns whether it turns this into that.
    pub fn is_for(&self, from: SampleRate, to: SampleRate, channels: u16) -> bool {
        (self.from, self.to, self.channels) == (from, to, usize::from(channels))
    }

    /// Takes interleaved, left-justified frames and adds to `out` what of the result is ready.
    ///
    /// # Errors
    /// `Internal` when the resampler refuses a block of its own size.
    pub fn push(&mut self, frames: &[i32], out: &mut Vec<i32>) -> Result<()> {
        self.taken += (frames.len() / self.channels) as u64;
        self.input.extend(frames.iter().map(|sample| f64::from(*sample) / FULL_SCALE));
        self.convert(u64::MAX, out)
    }

    /// Returns how many frames of the result are still to come for what was taken.
    pub fn owed(&self) -> u64 {
        self.due().saturating_sub(self.given)
    }

    /// Adds to `out` all that is owed; the stream is over.
    ///
    /// # Errors
    /// As [`Resampler::push`].
    pub fn finish(&mut self, out: &mut Vec<i32>) -> Result<()> {
        let due = self.due();
        while self.given < due {
            let missing = self.fft.input_frames_next() * self.channels;
            self.input.resize(missing.max(self.input.len()), 0.0);
            self.convert(due, out)?;
        }
        Ok(())
    }

    /// Converts every whole block; of the result nothing beyond frame `most` is given.
    fn convert(&mut self, most: u64, out: &mut Vec<i32>) -> Result<()> {
        let broken = |e| Error::with(Kind::Internal, "resample a block", e);
        let mut done = 0;
        loop {
            let (need, make) = (self.fft.input_frames_next(), self.fft.output_frames_next());
            if self.input.len() - done < need * self.channels {
                break;
            }
            let source = InterleavedSlice::new(&self.input[done..], self.channels, need);
            let source = source.map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
            let result = InterleavedSlice::new_mut(&mut self.block, self.channels, make);
            let mut result = result.map_err(|e| Error::new(Kind::Internal, e.to_string()))?;
            let (used, made) = self.fft.process_into_buffer(&source, &mut result, None).map_err(broken)?;
            done += used * self.channels;
            let cut = self.delay.min(made);
            self.delay -= cut;
            let keep = ((made - cut) as u64).min(most.saturating_sub(self.given)) as usize;
            let part = &self.block[cut * self.channels..(cut + keep) * self.channels];
            // A float cast saturates: what overshoots between two samples is limited at full scale.
            out.extend(part.iter().map(|sample| word_of(sample * FULL_SCALE)));
            self.given += keep as u64;
        }
        self.input.drain(..done);
        Ok(())
    }

    /// Returns how many frames the result of what was taken has in all.
    fn due(&self) -> u64 {
        scale(self.taken, self.from, self.to)
    }
}

/// Returns whether a resampler between these rates is of a sane size.
pub fn converts(from: SampleRate, to: SampleRate) -> bool {
    let common = gcd(from.hz(), to.hz());
    from.hz() / common <= LONGEST_BLOCK && to.hz() / common <= LONGEST_BLOCK
}

/// Returns the count of frames at rate `to` that last as long as `frames` at rate `from`, rounded up.
pub fn scale(frames: u64, from: SampleRate, to: SampleRate) -> u64 {
    let exact = u128::from(frames) * u128::from(to.hz());
    u64::try_from(exact.div_ceil(u128::from(from.hz()))).unwrap_or(u64::MAX)
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}

const FULL_SCALE: f64 = 2_147_483_648.0;
const BLOCKS_PER_SECOND: usize = 50;
/// Frames: some 10 MB of tables and less than a second at the rates where it is reached.
const LONGEST_BLOCK: u32 = 50_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(hz: u32) -> SampleRate {
        SampleRate::new(hz).expect("a rate")
    }

    fn sine(hz: f64, at: u32, frames: usize) -> Vec<i32> {
        let step = std::f64::consts::TAU * hz / f64::from(at);
        let sample = |n: usize| ((n as f64 * step).sin() * 0.5 * FULL_SCALE) as i32;
        (0..frames).flat_map(|n| [sample(n), -sample(n)]).collect()
    }

    /// Resamples in pieces of `piece` frames.
    fn run(from: u32, to: u32, source: &[i32], piece: usize) -> Vec<i32> {
        let mut out = Vec::new();
        let mut resampler = Resampler::new(rate(from), rate(to), 2).expect("these rates");
        for part in source.chunks(piece * 2) {
            resampler.push(part, &mut out).expect("a block");
            assert!(resampler.owed() < u64::from(to), "{}", resampler.owed());
        }
        resampler.finish(&mut out).expect("a block");
        assert_eq!(resampler.owed(), 0);
        out
    }

    #[test]
    fn a_tone_keeps_its_pitch_its_level_and_its_place() {
        for (from, to) in
            [(44_100, 48_000), (48_000, 44_100), (96_000, 48_000), (192_000, 44_100), (8_000, 96_000)]
        {
            let hz = f64::from(from) / 12.3;
            let out = run(from, to, &sine(hz, from, from as usize), 1_000);
            assert_eq!(out.len(), to as usize * 2);
            let want = sine(hz, to, to as usize);
            // The ends have half a filter.
            let middle = to as usize / 2..to as usize * 3 / 2;
            let wrong = middle
                .map(|n| (f64::from(out[n]) - f64::from(want[n])).abs() / FULL_SCALE)
                .fold(0.0, f64::max);
            let db = 20.0 * wrong.log10();
            println!("{from} to {to}: the largest deviation is {db:.1} dBFS");
            // A hundredth of a sample of displacement would be -40 dB.
            assert!(db < -100.0, "{from} to {to}: {db:.1} dBFS");
        }
    }

    #[test]
    fn what_the_new_rate_cannot_carry_is_gone() {
        let out = run(96_000, 44_100, &sine(30_000.0, 96_000, 96_000), 4_096);
        let peak = out[8_000..80_000].iter().map(|s| s.unsigned_abs()).max().unwrap_or(0);
        let db = 20.0 * (f64::from(peak) / FULL_SCALE).log10();
        println!("30 kHz at 96 kHz to 44.1 kHz leaves {db:.1} dBFS");
        assert!(db < -100.0, "{db}");
    }

    #[test]
    fn rates_with_nothing_in_common_are_refused() {
        assert!(Resampler::new(rate(767_999), rate(192_000), 2).is_err());
        assert!(Resampler::new(rate(44_056), rate(48_000), 2).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn pieces_of_any_size_give_the_same(piece in 1usize..3_000, frames in 1usize..20_000) {
            let source = sine(997.0, 44_100, frames);
            prop_assert_eq!(run(44_100, 48_000, &source, piece), run(44_100, 48_000, &source, 1_024));
        }
    }
}
