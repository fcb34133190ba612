//! 300 ms of frames between the player's thread and the sound callback.
//!
//! Samples are 32-bit, left-justified, interleaved. Frames are counted from the opening of the stream; the thread
//! knows which start of sound each number belongs to, so a flush is one atomic number: everything before it is
//! dropped by the callback at once. [`Render::fill`] runs in the callback: no lock, log, allocation, free, syscall.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rtrb::chunks::ChunkError;
use rtrb::{Consumer, Producer, RingBuffer};

use crate::player::Knob;
use crate::player::gain::{Gate, Ramp, Swing, nearest};
use crate::units::{Gain, SampleRate};

/// What both ends see.
#[derive(Debug)]
pub struct Shared {
    consumed: AtomicU64,
    skip_to: AtomicU64,
    running: AtomicBool,
    ending: AtomicBool,
    gain: AtomicU64,
    level: AtomicU64,
    underruns: AtomicU64,
    silence: AtomicU64,
    latency: AtomicU64,
}

impl Shared {
    /// Returns how many frames the callback has taken or dropped.
    pub fn consumed(&self) -> u64 {
        self.consumed.load(Ordering::Acquire)
    }

    /// Returns the number of the frame that is heard now, as far as the device says.
    pub fn heard(&self) -> u64 {
        let consumed = self.consumed();
        let given = consumed.saturating_add(self.silence());
        let heard = given.saturating_sub(self.latency()).min(consumed);
        heard.max(self.skip_to.load(Ordering::Acquire))
    }

    /// Returns how often the ring, or the device behind it, was empty in the middle of a track.
    pub fn underruns(&self) -> u64 {
        self.underruns.load(Ordering::Relaxed)
    }

    /// Counts a hole in the sound that the device had.
    pub fn count_underrun(&self) {
        self.underruns.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many frames of silence were given since the last frame of sound.
    pub fn silence(&self) -> u64 {
        self.silence.load(Ordering::Acquire)
    }

    /// Returns how many frames lie between the callback and the output, as far as the device says.
    pub fn latency(&self) -> u64 {
        self.latency.load(Ordering::Relaxed)
    }

    /// Notes how many frames lie between the callback and the output.
    pub fn note_latency(&self, frames: u64) {
        self.latency.store(frames, Ordering::Relaxed);
    }

    /// Lets the sound run or holds it.
    pub fn run(&self, swing: Swing) {
        self.running.store(swing == Swing::Open, Ordering::Release);
    }

    /// Says whether an empty ring is the end of the sound or an underrun.
    pub fn expect(&self, end: Expect) {
        self.ending.store(end == Expect::End, Ordering::Release);
    }

    /// Returns the factor at which the sound may come back at once: what is heard or was last, infinite before the first.
    pub fn level(&self) -> f64 {
        f64::from_bits(self.level.load(Ordering::Acquire))
    }

    /// Sets the gain to reach.
    pub fn aim(&self, gain: Gain) {
        self.gain.store(gain.factor().to_bits(), Ordering::Release);
    }
}

/// What an empty ring means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// More sound: an empty ring is an underrun.
    More,
    /// The end.
    End,
}

/// The thread's end.
#[derive(Debug)]
pub struct Feed {
    ring: Producer<i32>,
    shared: Arc<Shared>,
    channels: usize,
    most: usize,
    written: u64,
}

impl Feed {
    /// Returns what both ends see.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Returns the number of the next frame to be written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Returns how many frames fit now.
    pub fn room(&self) -> usize {
        let taken = self.shared.consumed().max(self.shared.skip_to.load(Ordering::Relaxed));
        let ahead = self.written.saturating_sub(taken) as usize;
        self.most.saturating_sub(ahead).min(self.ring.slots() / self.channels)
    }

    /// Writes as many whole frames as fit and returns the count of samples taken.
    pub fn write(&mut self, samples: &[i32]) -> usize {
        let frames = self.room().min(samples.len() / self.channels);
        let count = frames * self.channels;
        if self.ring.push_entire_slice(&samples[..count]).is_err() {
            return 0;
        }
        self.written += frames as u64;
        count
    }

    /// Drops every frame that the callback has not taken.
    pub fn flush(&self) {
        self.shared.skip_to.store(self.written, Ordering::Release);
    }
}

/// The callback's end.
#[derive(Debug)]
pub struct Render {
    ring: Consumer<i32>,
    shared: Arc<Shared>,
    channels: usize,
    rate: u32,
    consumed: u64,
    silence: u64,
    ramp: Ramp,
    gate: Gate,
    dither: Dither,
    knob: Knob,
    words: Words,
}

/// What the words of a ring are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// Left-justified integers.
    Whole,
    /// The bits of an `f32` each, which a device that takes floats gets as they are.
    Floats,
}

/// Returns the float in a word of [`Words::Floats`].
pub fn float_of(word: i32) -> f32 {
    f32::from_bits(word.cast_unsigned())
}

/// Returns the word of [`Words::Floats`] for a left-justified sample; exact for up to 24 significant bits.
pub fn float_word(left: i32) -> i32 {
    f32::exact(left).to_bits().cast_signed()
}

/// Makes the two ends of a ring of 300 ms. It starts held; nothing sounds before [`Shared::run`].
pub fn ring(rate: SampleRate, channels: u16, knob: Knob, gain: Gain) -> (Feed, Render) {
    let width = usize::from(channels.max(1));
    let most = (rate.hz() as usize * RING_MILLIS / 1000).max(1);
    // Twice the room, so that new sound goes in behind a flush that the callback has not seen yet.
    let (producer, consumer) = RingBuffer::new(2 * most * width);
    let factor = if knob == Knob::Fixed { 1.0 } else { gain.factor() };
    let shared = Arc::new(Shared {
        consumed: AtomicU64::new(0),
        skip_to: AtomicU64::new(0),
        running: AtomicBool::new(false),
        ending: AtomicBool::new(false),
        gain: AtomicU64::new(factor.to_bits()),
        level: AtomicU64::new(f64::INFINITY.to_bits()),
        underruns: AtomicU64::new(0),
        silence: AtomicU64::new(0),
        latency: AtomicU64::new(0),
    });
    let feed = Feed { ring: producer, shared: Arc::clone(&shared), channels: width, most, written: 0 };
    let gate = if knob == Knob::Fixed { Gate::hard() } else { Gate::fading(rate.hz()) };
    let ramp = Ramp::new(factor, rate.hz());
    let render = Render {
        ring: consumer,
        shared,
        channels: width,
        rate: rate.hz(),
        consumed: 0,
        silence: 0,
        ramp,
        gate,
        dither: Dither::new(),
        knob,
        words: Words::Whole,
    };
    (feed, render)
}

/// A sample as a device takes it.
pub trait DeviceSample: Copy {
    /// Returns the sample of a left-justified one that it [holds](DeviceSample::holds).
    fn exact(left: i32) -> Self;
    /// Returns whether the form has every bit of the sample.
    fn holds(left: i32) -> bool;
    /// Returns the left-justified value rounded at the form's depth, with dither where bits are lost.
    fn rounded(left: f64, dither: &mut Dither) -> Self;
    /// Returns a float, full scale 1.0, in the form.
    fn float(sample: f32, dither: &mut Dither) -> Self {
        Self::rounded(f64::from(sample) * 2_147_483_648.0, dither)
    }
}

impl DeviceSample for i16 {
    fn exact(left: i32) -> i16 {
        (left >> 16) as i16
    }
    fn holds(left: i32) -> bool {
        left & 0xffff == 0
    }
    fn rounded(left: f64, dither: &mut Dither) -> i16 {
        // A float cast saturates.
        dither.round(left / 65_536.0) as i16
    }
}

impl DeviceSample for i32 {
    fn exact(left: i32) -> i32 {
        left
    }
    fn holds(_left: i32) -> bool {
        true
    }
    fn rounded(left: f64, _dither: &mut Dither) -> i32 {
        // The last of 32 bits lies far below the noise of every DAC.
        nearest(left) as i32
    }
}

impl DeviceSample for f32 {
    fn exact(left: i32) -> f32 {
        // Exact for up to 24 significant bits; the divisor is a power of two.
        left as f32 / 2_147_483_648.0
    }
    fn holds(_left: i32) -> bool {
        true
    }
    fn rounded(left: f64, _dither: &mut Dither) -> f32 {
        (left / 2_147_483_648.0) as f32
    }
    fn float(sample: f32, _dither: &mut Dither) -> f32 {
        sample
    }
}

/// Noise of a triangular density, two last bits wide, so that what rounding loses is no distortion. A value that needs no
/// rounding passes untouched: silence stays silent, and what a device holds exactly stays exact.
#[derive(Debug, Clone)]
pub struct Dither(u64);

impl Dither {
    /// Returns the start of a sequence that is always the same.
    pub fn new() -> Dither {
        Dither(0x9e37_79b9_7f4a_7c15)
    }

    /// Returns a value in units of the last bit, rounded.
    pub fn round(&mut self, value: f64) -> f64 {
        let whole = nearest(value);
        if whole == value { whole } else { nearest(value + self.noise()) }
    }

    /// Returns the difference of two even densities of one bit's width.
    fn noise(&mut self) -> f64 {
        // Marsaglia's xorshift, 13-7-17.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let (high, low) = ((self.0 >> 32) as u32, self.0 as u32);
        (f64::from(high) - f64::from(low)) / 4_294_967_296.0
    }
}

impl Default for Dither {
    fn default() -> Dither {
        Dither::new()
    }
}

/// Returns a word of the ring as the device takes it.
fn given<T: DeviceSample>(left: i32, words: Words, factor: f64, dither: &mut Dither) -> T {
    if words == Words::Floats {
        // A factor of 1 leaves every bit.
        T::float((f64::from(float_of(left)) * factor) as f32, dither)
    } else if factor == 1.0 && T::holds(left) {
        T::exact(left)
    } else {
        T::rounded(f64::from(left) * factor, dither)
    }
}

impl Render {
    /// Comes in no louder than `level`, where another stream was heard just before.
    pub fn take_over(&mut self, level: f64) {
        let factor = f64::from_bits(self.shared.gain.load(Ordering::Acquire));
        self.ramp = Ramp::after(level, factor, self.rate);
        self.shared.level.store(level.to_bits(), Ordering::Release);
    }

    /// Says what the words of the ring are; integers until then.
    pub fn carries(&mut self, words: Words) {
        self.words = words;
    }

    /// Returns the channels of a frame.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Returns the frames per second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Returns who has the volume knob.
    pub fn knob(&self) -> Knob {
        self.knob
    }

    /// Returns what both ends see.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Fills a device's buffer with sound as far as there is some, and with silence behind.
    pub fn fill<T: DeviceSample>(&mut self, out: &mut [T]) {
        if self.knob == Knob::Box {
            self.ramp.aim(f64::from_bits(self.shared.gain.load(Ordering::Acquire)));
        }
        let mut out = out;
        let skip_to = self.shared.skip_to.load(Ordering::Acquire);
        if skip_to > self.consumed {
            let before = (skip_to - self.consumed) as usize;
            out = self.play(out, before, Swing::Close);
            if self.gate.closed() {
                self.drop_until(skip_to);
            }
        }
        let running = self.shared.running.load(Ordering::Acquire);
        let swing = if running { Swing::Open } else { Swing::Close };
        // A flush that still fades fills its whole buffer, so nothing of what follows is touched here.
        out = self.play(out, usize::MAX, swing);
        if !out.is_empty() {
            if running && self.silence == 0 && !self.shared.ending.load(Ordering::Acquire) {
                self.shared.underruns.fetch_add(1, Ordering::Relaxed);
            }
            out.fill(T::exact(0));
            let frames = out.len() / self.channels;
            self.silence = self.silence.saturating_add(frames as u64);
            self.gate.shut();
            // A hole in the sound, as a seek or another rate makes one, lifts the gain no further than sound would.
            if self.silence >= u64::from(self.rate) {
                self.ramp.jump();
            } else {
                self.ramp.rest(frames);
            }
        }
        self.shared.level.store(self.ramp.level().to_bits(), Ordering::Release);
        self.shared.silence.store(self.silence, Ordering::Release);
        self.shared.consumed.store(self.consumed, Ordering::Release);
    }

    /// Plays up to `most` frames and returns what of the buffer is left: nothing, or all that found no sound.
    fn play<'a, T: DeviceSample>(&mut self, mut out: &'a mut [T], most: usize, swing: Swing) -> &'a mut [T] {
        let mut left = most;
        while !out.is_empty() && left > 0 {
            if swing == Swing::Close && self.gate.closed() {
                break;
            }
            let frames = (self.ring.slots() / self.channels).min(out.len() / self.channels).min(left);
            if frames == 0 {
                break;
            }
            let steady = swing == Swing::Open && self.gate.open() && self.ramp.settled();
            let taken = if steady { self.steady(out, frames) } else { self.moving(out, frames, swing) };
            self.consumed += taken as u64;
            self.silence = 0;
            left -= taken;
            out = &mut out[taken * self.channels..];
        }
        if left == 0 && swing == Swing::Close {
            self.gate.shut();
        }
        out
    }

    /// Copies frames, times the gain when it is not unity.
    fn steady<T: DeviceSample>(&mut self, out: &mut [T], frames: usize) -> usize {
        let factor = self.ramp.factor();
        let Ok(chunk) = self.ring.read_chunk(frames * self.channels) else { return 0 };
        let (first, second) = chunk.as_slices();
        let (ahead, behind) = out.split_at_mut(first.len().min(out.len()));
        for (to, from) in [(ahead, first), (behind, second)] {
            to.iter_mut()
                .zip(from)
                .for_each(|(to, left)| *to = given(*left, self.words, factor, &mut self.dither));
        }
        chunk.commit_all();
        frames
    }

    /// Plays frames while the gain or the gate moves; stops where the gate has closed or all stands still.
    fn moving<T: DeviceSample>(&mut self, out: &mut [T], frames: usize, swing: Swing) -> usize {
        let mut taken = 0;
        for frame in out.chunks_exact_mut(self.channels).take(frames) {
            let gate = self.gate.advance(swing);
            if swing == Swing::Close && gate == 0.0 {
                break;
            }
            self.ramp.advance();
            let factor = gate * self.ramp.factor();
            for to in frame {
                let left = self.ring.pop().unwrap_or(0);
                *to = given(left, self.words, factor, &mut self.dither);
            }
            taken += 1;
        }
        taken
    }

    fn drop_until(&mut self, frame: u64) {
        let samples = (frame - self.consumed) as usize * self.channels;
        let dropped = match self.ring.read_chunk(samples) {
            Ok(chunk) => {
                chunk.commit_all();
                samples
            }
            Err(ChunkError::TooFewSlots(there)) => {
                let whole = there - there % self.channels;
                if let Ok(chunk) = self.ring.read_chunk(whole) {
                    chunk.commit_all();
                }
                whole
            }
        };
        self.consumed += (dropped / self.channels) as u64;
    }
}

const RING_MILLIS: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn started(knob: Knob, gain: Gain) -> (Feed, Render) {
        let (feed, render) = ring(SampleRate::CD, 2, knob, gain);
        feed.shared().run(Swing::Open);
        (feed, render)
    }

    #[test]
    fn floats_reach_a_float_device_as_they_are() {
        let (mut feed, mut render) = started(Knob::Fixed, Gain::UNITY);
        render.carries(Words::Floats);
        // The last one was a whole sample.
        let sent = [1.0e-9f32, -0.3, 1.5, float_of(float_word(0x1234_5600))];
        assert_eq!(feed.write(&sent.map(|float| float.to_bits().cast_signed())), 4);
        let mut out = [0f32; 4];
        render.fill(&mut out);
        assert_eq!(out.map(f32::to_bits), sent.map(f32::to_bits));
        assert_eq!(f64::from(out[3]) * 8_388_608.0, f64::from(0x12_3456));
    }

    #[test]
    fn fixed_is_exact_from_the_first_frame() {
        let (mut feed, mut render) = started(Knob::Fixed, Gain::from_db(-20));
        let samples: Vec<i32> = (0..200).map(|n: i32| n.wrapping_mul(123_456_789) & !0xffff).collect();
        assert_eq!(feed.write(&samples), 200);
        let mut out = [0i16; 256];
        render.fill(&mut out);
        let expected: Vec<i16> = samples.iter().map(|s| (s >> 16) as i16).collect();
        assert_eq!(&out[..200], &expected[..]);
        assert!(out[200..].iter().all(|s| *s == 0));
        assert_eq!(feed.shared().consumed(), 100);
        assert_eq!(feed.shared().silence(), 28);
    }

    proptest! {
        #[test]
        fn every_24_bit_sample_is_exact_as_float(value in -8_388_608i32..=8_388_607) {
            let sample = f32::exact(value << 8);
            prop_assert_eq!((f64::from(sample) * 8_388_608.0) as i32, value);
        }
    }

    #[test]
    fn a_flush_is_dropped_at_once_and_the_new_sound_follows() {
        let (mut feed, mut render) = started(Knob::Fixed, Gain::UNITY);
        feed.write(&[1 << 16; 1000]);
        let mut out = [0i16; 100];
        render.fill(&mut out);
        assert_eq!(out, [1; 100]);
        feed.flush();
        feed.write(&[2 << 16; 100]);
        render.fill(&mut out);
        assert_eq!(out, [2; 100]);
        assert_eq!(feed.shared().consumed(), 550);
    }

    #[test]
    fn a_flush_in_box_mode_fades_5_ms_and_fades_in_again() {
        let (mut feed, mut render) = started(Knob::Box, Gain::UNITY);
        feed.write(&[1 << 30; 4000]);
        let mut out = [0i32; 2000];
        render.fill(&mut out);
        assert!(out[0] < 1 << 22 && out[1999] == 1 << 30, "20 ms in: {} {}", out[0], out[1999]);
        feed.flush();
        feed.write(&[-(1 << 30); 4000]);
        render.fill(&mut out);
        assert!(out[442..].iter().all(|s| *s <= 0), "old sound is gone after 5 ms");
        assert!(out.windows(4).all(|w| (w[0] - w[2]).abs() < 1 << 23), "no click");
    }

    #[test]
    fn a_hold_keeps_what_is_in_the_ring() {
        let (mut feed, mut render) = started(Knob::Fixed, Gain::UNITY);
        feed.write(&[7 << 16; 400]);
        let mut out = [0i16; 100];
        render.fill(&mut out);
        feed.shared().run(Swing::Close);
        render.fill(&mut out);
        assert_eq!(out, [0; 100]);
        assert_eq!(feed.shared().consumed(), 50);
        feed.shared().run(Swing::Open);
        render.fill(&mut out);
        assert_eq!(out, [7; 100]);
    }

    #[test]
    fn an_empty_ring_is_one_underrun_unless_the_end_was_told() {
        let (mut feed, mut render) = started(Knob::Fixed, Gain::UNITY);
        feed.write(&[1; 20]);
        let mut out = [0i32; 64];
        render.fill(&mut out);
        render.fill(&mut out);
        assert_eq!(feed.shared().underruns(), 1);
        feed.write(&[1; 20]);
        feed.shared().expect(Expect::End);
        render.fill(&mut out);
        assert_eq!(feed.shared().underruns(), 1);
    }

    #[test]
    fn a_factor_rounds_at_the_depth_of_the_device() {
        let mut dither = Dither::new();
        assert_eq!(given::<i16>(4 << 16, Words::Whole, 0.5, &mut dither), 2);
        assert_eq!(given::<i16>(i32::MIN, Words::Whole, 2.0, &mut dither), i16::MIN);
        assert_eq!(given::<i32>(i32::MAX, Words::Whole, 4.0, &mut dither), i32::MAX);
        assert_eq!(given::<i32>(3, Words::Whole, 0.5, &mut dither), 2);
    }

    /// The mean, and the largest mean of a square, of what 16 bits make of a value between two of their steps.
    fn dithered(value: f64) -> (f64, f64) {
        let mut dither = Dither::new();
        let count = 100_000;
        let errors: Vec<f64> = (0..count).map(|_| dither.round(value) - value).collect();
        let mean = errors.iter().sum::<f64>() / f64::from(count);
        (mean, errors.iter().map(|e| (e - mean) * (e - mean)).sum::<f64>() / f64::from(count))
    }

    #[test]
    fn what_16_bits_lose_is_noise_of_the_same_power_whatever_the_value() {
        for tenth in 1..10 {
            let (mean, power) = dithered(f64::from(tenth) / 10.0);
            // Triangular dither: no bias, and a quarter of a square bit of noise at every value.
            assert!(mean.abs() < 0.01, "{tenth}: {mean}");
            assert!((power - 0.25).abs() < 0.01, "{tenth}: {power}");
        }
    }

    #[test]
    fn a_24_bit_source_is_dithered_at_16_bits_and_a_16_bit_source_and_silence_are_not() {
        let mut dither = Dither::new();
        let deep: Vec<i16> =
            (0..1_000).map(|_| given((5 << 16) + 0x8000, Words::Whole, 1.0, &mut dither)).collect();
        assert!(deep.iter().any(|s| *s != deep[0]));
        for _ in 0..1_000 {
            assert_eq!(given::<i16>(5 << 16, Words::Whole, 1.0, &mut dither), 5);
            assert_eq!(given::<i16>(0, Words::Whole, 0.3, &mut dither), 0);
        }
    }
}
