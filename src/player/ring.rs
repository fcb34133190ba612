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
use crate::player::gain::{Gate, Ramp, Swing};
use crate::units::{Gain, SampleRate};

/// What both ends see.
#[derive(Debug)]
pub struct Shared {
    consumed: AtomicU64,
    skip_to: AtomicU64,
    running: AtomicBool,
    ending: AtomicBool,
    gain: AtomicU64,
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

    /// Returns how often the ring was empty in the middle of a track.
    pub fn underruns(&self) -> u64 {
        self.underruns.load(Ordering::Relaxed)
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
    knob: Knob,
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
        knob,
    };
    (feed, render)
}

/// A sample as a device takes it.
pub trait DeviceSample: Copy {
    /// Returns the sample of a left-justified one; exact when its low bits are zero.
    fn exact(left: i32) -> Self;
    /// Returns the sample times the factor, rounded at the device's depth.
    fn scaled(left: i32, factor: f64) -> Self;
}

impl DeviceSample for i16 {
    fn exact(left: i32) -> i16 {
        (left >> 16) as i16
    }
    fn scaled(left: i32, factor: f64) -> i16 {
        // A float cast saturates.
        (f64::from(left) * factor / 65_536.0).round() as i16
    }
}

impl DeviceSample for i32 {
    fn exact(left: i32) -> i32 {
        left
    }
    fn scaled(left: i32, factor: f64) -> i32 {
        (f64::from(left) * factor).round() as i32
    }
}

impl DeviceSample for f32 {
    fn exact(left: i32) -> f32 {
        // Exact for up to 24 significant bits; the divisor is a power of two.
        left as f32 / 2_147_483_648.0
    }
    fn scaled(left: i32, factor: f64) -> f32 {
        (f64::from(left) * factor / 2_147_483_648.0) as f32
    }
}

impl Render {
    /// Returns the channels of a frame.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Returns the frames per second.
    pub fn rate(&self) -> u32 {
        self.rate
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
            self.silence = self.silence.saturating_add((out.len() / self.channels) as u64);
            self.gate.shut();
            self.ramp.jump();
        }
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
        let samples = first.iter().chain(second);
        if factor == 1.0 {
            out.iter_mut().zip(samples).for_each(|(to, left)| *to = T::exact(*left));
        } else {
            out.iter_mut().zip(samples).for_each(|(to, left)| *to = T::scaled(*left, factor));
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
                *to = if factor == 1.0 { T::exact(left) } else { T::scaled(left, factor) };
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
        assert_eq!(i16::scaled(3 << 16, 0.5), 2);
        assert_eq!(i16::scaled(i32::MIN, 2.0), i16::MIN);
        assert_eq!(i32::scaled(i32::MAX, 4.0), i32::MAX);
    }
}
