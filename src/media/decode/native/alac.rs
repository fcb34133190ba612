//! Apple Lossless of one and two channels, in seven tenths of the time of symphonia's decoder, which took half of MPD's and
//! more. That one still has the rest: more channels, and packets that begin with something else.
//!
//! Sources: Apple's description of the magic cookie (ALACMagicCookieDescription.txt) and its reference decoder's format of
//! a packet: elements as in AAC, each with its predictors, then the differences in an adaptive Golomb code.

use symphonia::core::audio::{
    AsGenericAudioBufferRef, AudioBuffer, AudioMut, AudioSpec, GenericAudioBufferRef,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, FinalizeResult};
use symphonia::core::errors::{Error as Trouble, Result};
use symphonia::core::packet::PacketRef;

/// A decoder that gives what `theirs` would give.
pub(super) struct Alac {
    theirs: Box<dyn AudioDecoder>,
    cookie: Cookie,
    planes: AudioBuffer<i32>,
    /// The lower bits of samples that were cut off before the prediction.
    low: Vec<u16>,
    /// The last packet was theirs.
    passed_on: bool,
}

impl Alac {
    /// Takes the place of symphonia's decoder where it can.
    pub(super) fn before(theirs: Box<dyn AudioDecoder>) -> Box<dyn AudioDecoder> {
        let parameters = theirs.codec_params();
        let cookie = parameters.extra_data.as_deref().and_then(Cookie::read);
        let channels = parameters.channels.clone();
        let (Some(cookie), Some(channels)) = (cookie, channels) else { return theirs };
        if channels.count() != usize::from(cookie.channels) {
            return theirs;
        }
        let planes = AudioBuffer::new(AudioSpec::new(cookie.rate, channels), cookie.frames as usize);
        Box::new(Alac { theirs, cookie, planes, low: Vec::new(), passed_on: false })
    }

    fn packet(&mut self, bytes: &[u8]) -> Result<()> {
        self.planes.clear();
        self.planes.render_uninit(Some(self.cookie.frames as usize));
        let mut bits = Bits { bytes, at: ELEMENT };
        let frames = match self.cookie.channels {
            1 => {
                let mono = self.planes.plane_mut(0).unwrap_or_default();
                element(&self.cookie, &mut bits, &mut self.low, [mono])
            }
            _ => {
                let (left, right) = self.planes.plane_pair_mut(0, 1).unwrap_or_default();
                element(&self.cookie, &mut bits, &mut self.low, [left, right])
            }
        };
        match frames {
            Ok(frames) => self.planes.truncate(frames),
            Err(_) => self.planes.clear(),
        }
        frames.map(drop)
    }
}

impl AudioDecoder for Alac {
    fn reset(&mut self) {
        self.theirs.reset();
    }

    fn codec_info(&self) -> &CodecInfo {
        self.theirs.codec_info()
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        self.theirs.codec_params()
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        // An element for one channel, or for a pair.
        let ours = packet.data.first().is_some_and(|byte| byte >> (8 - ELEMENT) == self.cookie.channels - 1);
        self.passed_on = !ours;
        if self.passed_on {
            return self.theirs.decode_ref(packet);
        }
        self.packet(packet.data)?;
        Ok(self.planes.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        self.theirs.finalize()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        if self.passed_on { self.theirs.last_decoded() } else { self.planes.as_generic_audio_buffer_ref() }
    }
}

/// What the magic cookie says (ALACSpecificConfig).
#[derive(Debug, Clone, Copy)]
struct Cookie {
    /// In a packet that does not say otherwise; at most 65,536.
    frames: u32,
    /// Bits of a sample: 16, 20, 24 or 32.
    depth: u32,
    /// How fast the mean of the code follows, where it begins, and the largest parameter of the code.
    pace: u32,
    mean: u32,
    widest: u32,
    /// 1 or 2.
    channels: u8,
    rate: u32,
}

impl Cookie {
    fn read(bytes: &[u8]) -> Option<Cookie> {
        // Of 48 bytes the latter half tells the layout. With the boxes of QuickTime in front it is none.
        let (&[a, b, c, d, _, depth, pace, mean, widest, channels, .., e, f, g, h], _) =
            bytes.split_first_chunk::<24>().filter(|(_, layout)| matches!(layout.len(), 0 | 24))?;
        let (frames, rate) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        let known = matches!(depth, 16 | 20 | 24 | 32) && matches!(channels, 1 | 2) && frames <= MOST_FRAMES;
        let [depth, pace, mean, widest] = [depth, pace, mean, widest].map(u32::from);
        known.then_some(Cookie { frames, depth, pace, mean, widest, channels, rate })
    }
}

/// Decodes an element behind its tag into planes, left-justified, and returns the frames.
fn element<const CHANNELS: usize>(
    cookie: &Cookie,
    bits: &mut Bits<'_>,
    low: &mut Vec<u16>,
    planes: [&mut [i32]; CHANNELS],
) -> Result<usize> {
    let _instance = bits.take(4);
    if bits.take(12) != 0 {
        return damaged("the head of a packet has unknown bits");
    }
    let (partial, cut, plain) = (bits.take(1) == 1, 8 * bits.take(2), bits.take(1) == 1);
    let frames = if partial { bits.take(32) } else { cookie.frames };
    if cut >= 24 || cut >= cookie.depth || frames > cookie.frames {
        return damaged("the head of a packet is impossible");
    }
    let frames = frames as usize;
    let mut planes = planes.map(|plane| &mut plane[..frames]);
    let up = 32 - cookie.depth;
    if plain {
        for at in 0..frames {
            planes.iter_mut().for_each(|plane| plane[at] = bits.signed(cookie.depth) << up);
        }
        return bits.within().map(|()| frames);
    }
    // Middle and side need a bit more than left and right.
    let wide = cookie.depth - cut + CHANNELS as u32 - 1;
    if wide > 32 {
        return damaged("the samples of a packet are too wide");
    }
    let (mix_shift, mix) = (bits.take(8), bits.signed(8));
    if (mix_shift > 31 && mix != 0) || (CHANNELS == 1 && (mix_shift, mix) != (0, 0)) {
        return damaged("the channels of a packet are mixed in an impossible way");
    }
    let mut predictors = [(); CHANNELS].map(|()| Predictor::read(bits, cookie));
    low.clear();
    if cut > 0 {
        low.extend((0..CHANNELS * frames).map(|_| bits.take(cut) as u16));
    }
    for (predictor, plane) in predictors.iter_mut().zip(&mut planes) {
        predictor.differences(bits, cookie, wide, plane)?;
        predictor.run(plane, wide)?;
    }
    bits.within()?;
    if let [left, right] = &mut planes[..]
        && mix != 0
    {
        for (left, right) in left.iter_mut().zip(&mut **right) {
            let sum = left.wrapping_add(*right).wrapping_sub(right.wrapping_mul(mix) >> mix_shift);
            (*left, *right) = (sum, sum.wrapping_sub(*right));
        }
    }
    for (channel, plane) in planes.iter_mut().enumerate() {
        let rests = low.iter().skip(channel).step_by(CHANNELS);
        if cut > 0 {
            plane.iter_mut().zip(rests).for_each(|(it, rest)| *it = *it << cut | i32::from(*rest));
        }
        plane.iter_mut().for_each(|it| *it <<= up);
    }
    Ok(frames)
}

/// What a sample is from those before it, learning from each.
struct Predictor {
    /// 0, or 15 for one that runs twice.
    mode: u32,
    shift: u32,
    pace: u32,
    order: usize,
    /// That of the oldest sample first.
    weights: [i32; 32],
}

impl Predictor {
    fn read(bits: &mut Bits<'_>, cookie: &Cookie) -> Predictor {
        let (mode, shift) = (bits.take(4), bits.take(4));
        let pace = cookie.pace * bits.take(3) / 4;
        let order = bits.take(5) as usize;
        let mut weights = [0; 32];
        weights[..order].iter_mut().rev().for_each(|weight| *weight = bits.signed(16));
        Predictor { mode, shift, pace, order, weights }
    }

    /// Reads what differs from the prediction.
    fn differences(&self, bits: &mut Bits<'_>, cookie: &Cookie, wide: u32, out: &mut [i32]) -> Result<()> {
        let (mut mean, mut odd, mut at) = (cookie.mean, 0, 0);
        while at < out.len() {
            let parameter = (31 - ((mean >> 9) + 3).leading_zeros()).min(cookie.widest);
            let value = bits.code(parameter, wide).wrapping_add(odd);
            out[at] = (value >> 1).cast_signed() ^ -(value & 1).cast_signed();
            at += 1;
            mean = match value {
                0..=0xffff => {
                    mean.wrapping_add(self.pace * value).wrapping_sub(self.pace.wrapping_mul(mean) >> 9)
                }
                _ => 0xffff,
            };
            odd = 0;
            if mean < 128 && at < out.len() {
                let parameter = mean.leading_zeros() - 24 + ((mean + 16) >> 6);
                let zeros = bits.code(parameter.min(cookie.widest), 16);
                let to = out.len().min(at + zeros as usize);
                out[at..to].fill(0);
                at = to;
                // Behind a run that was not cut short there is no zero.
                odd = u32::from(zeros < 0xffff);
                mean = 0;
            }
            bits.within()?;
        }
        Ok(())
    }

    /// Turns differences into samples of `wide` bits.
    fn run(&mut self, out: &mut [i32], wide: u32) -> Result<()> {
        if self.mode != 0 && self.mode != 15 {
            return damaged("a packet has an unknown predictor");
        }
        let spare = 32 - wide;
        if self.order == 0 || out.is_empty() {
            return Ok(());
        }
        if self.order == 31 || self.mode == 15 {
            add_up(out, spare);
        }
        let first = out.len().min(self.order + 1);
        add_up(&mut out[..first], spare);
        match self.order {
            // Those of Apple's encoder and ffmpeg's, in registers.
            4 => self.learn::<4>(out, spare),
            5 => self.learn::<5>(out, spare),
            6 => self.learn::<6>(out, spare),
            8 => self.learn::<8>(out, spare),
            order => learn(&mut self.weights[..order], self.shift, out, spare),
        }
        Ok(())
    }

    fn learn<const ORDER: usize>(&self, out: &mut [i32], spare: u32) {
        let mut weights = [0; ORDER];
        weights.copy_from_slice(&self.weights[..ORDER]);
        learn(&mut weights, self.shift, out, spare);
    }
}

/// Each sample is the one before and the difference.
fn add_up(out: &mut [i32], spare: u32) {
    for at in 1..out.len() {
        out[at] = out[at].wrapping_add(out[at - 1]) << spare >> spare;
    }
}

/// Predicts each sample from as many before it as there are weights, all counted from the one before those. Where the
/// prediction was wrong, weights follow by one, from the oldest on, until what they make up for is the difference.
#[inline(always)]
fn learn(weights: &mut [i32], shift: u32, out: &mut [i32], spare: u32) {
    let order = weights.len();
    let half = 1 << shift >> 1;
    for at in order + 1..out.len() {
        let (before, now) = out.split_at_mut(at);
        let before = &before[at - order - 1..];
        let (base, difference) = (before[0], now[0]);
        let sum = (0..order)
            .fold(0i32, |sum, n| sum.wrapping_add(weights[n].wrapping_mul(before[n + 1].wrapping_sub(base))));
        let value = difference.wrapping_add(base).wrapping_add(sum.wrapping_add(half) >> shift);
        now[0] = value << spare >> spare;
        // -1 where what is negative is turned round (x ^ -1) - -1, else 0: no jump that is guessed wrongly.
        let sign = difference >> 31;
        let mut left = difference;
        for n in 0..order {
            if (left ^ sign).wrapping_sub(sign) <= 0 {
                break;
            }
            let apart = base.wrapping_sub(before[n + 1]);
            let minus = apart >> 31;
            let size = (apart ^ minus ^ sign).wrapping_sub(minus ^ sign);
            weights[n] -= ((i32::from(apart != 0) | minus) ^ sign).wrapping_sub(sign);
            left = left.wrapping_sub((n as i32 + 1).wrapping_mul(size >> shift));
        }
    }
}

/// The bits of a packet, from the highest of each byte down. Behind the end there are zeros, and [`Bits::within`] tells.
struct Bits<'a> {
    bytes: &'a [u8],
    /// How many were taken.
    at: usize,
}

impl Bits<'_> {
    /// Returns the next 57 or more, the first as the highest.
    #[inline(always)]
    fn ahead(&self) -> u64 {
        let rest = self.bytes.get(self.at / 8..).unwrap_or_default();
        let word = match rest.first_chunk() {
            Some(eight) => u64::from_be_bytes(*eight),
            None => last(rest),
        };
        word << (self.at % 8)
    }

    /// Takes up to 32.
    #[inline(always)]
    fn take(&mut self, count: u32) -> u32 {
        let value = self.ahead() >> 32 >> (32 - count);
        self.at += count as usize;
        value as u32
    }

    /// Takes 1 to 32 in two's complement.
    fn signed(&mut self, count: u32) -> i32 {
        (self.take(count) << (32 - count)).cast_signed() >> (32 - count)
    }

    /// Takes a number of the code: ones, a zero, and `parameter` bits, of which the last is left out where the others are 0.
    /// Nine ones stand for the number in `wide` bits.
    #[inline(always)]
    fn code(&mut self, parameter: u32, wide: u32) -> u32 {
        let ahead = self.ahead();
        let ones = (!ahead).leading_zeros();
        if ones > 8 {
            self.at += 9;
            return self.take(wide);
        }
        if parameter == 0 {
            self.at += ones as usize + 1;
            return 0;
        }
        let rest = (ahead << (ones + 1) >> 32 >> (32 - parameter)) as u32;
        let long = u32::from(rest > 1);
        self.at += (ones + parameter + long) as usize;
        (ones << parameter) - ones + long * rest.wrapping_sub(1)
    }

    /// # Errors
    /// When more were taken than there are.
    fn within(&self) -> Result<()> {
        if self.at > 8 * self.bytes.len() { damaged("a packet ends too early") } else { Ok(()) }
    }
}

/// Fills up the last bytes of a packet with zeros.
#[cold]
fn last(rest: &[u8]) -> u64 {
    rest.iter().zip((0..8).rev()).fold(0, |word, (byte, place)| word | u64::from(*byte) << (8 * place))
}

fn damaged<T>(what: &'static str) -> Result<T> {
    Err(Trouble::DecodeError(what))
}

/// Bits of an element's tag.
const ELEMENT: usize = 3;

/// As many symphonia allows, sixteen times what encoders write.
const MOST_FRAMES: u32 = 65_536;

#[cfg(test)]
mod tests;
