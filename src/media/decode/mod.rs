//! The decoder: an opened sound to PCM, one block per call, trimmed to the very frames that were encoded.
//!
//! FLAC, ALAC, WAV and AIFF come out bit-exact. Runs on whichever thread owns it (the player's decoder thread, intake
//! workers) and blocks on reading. It never sees a protected file: [`Sniffed::gate`] stands in front.

mod source;

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::audio::conv::ConvertibleSample;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::{Error as Trouble, SeekErrorKind};
use symphonia::core::formats::{FormatOptions, FormatReader, SeekMode, SeekTo, Track, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::units::{TimeBase, Timestamp};
use symphonia::default::formats;

use crate::error::{Error, Kind, Result};
use crate::media::sniff::Sniffed;
use crate::media::sound::Sound;
use crate::track::{Codec, Container};
use crate::units::{Frames, SampleRate};

use source::{Layout, Source};

/// The shape of the PCM that a decoder gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spec {
    /// Frames per second, as decoded.
    pub rate: SampleRate,
    /// Samples per frame.
    pub channels: u16,
    /// Significant bits: 16, 24 or 32; always 32 for float.
    pub bits: u16,
    /// Samples are [`Samples::Float`].
    pub float: bool,
}

/// Interleaved samples.
#[derive(Debug, Clone, PartialEq)]
pub enum Samples {
    /// Left-justified in 32 bits: a 16-bit sample `s` is `s << 16`.
    Int(Vec<i32>),
    /// -1.0 to 1.0, of lossy codecs and float files; may overshoot.
    Float(Vec<f32>),
}

impl Samples {
    /// Returns the count of samples of all channels.
    pub fn len(&self) -> usize {
        match self {
            Samples::Int(samples) => samples.len(),
            Samples::Float(samples) => samples.len(),
        }
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What one call of [`Decoder::next`] gives; its buffer is used again by the next call.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Whole frames, interleaved.
    pub samples: Samples,
    /// The position of the first frame in the track.
    pub at: Frames,
}

impl Default for Block {
    fn default() -> Block {
        Block { samples: Samples::Int(Vec::new()), at: Frames(0) }
    }
}

/// An opened sound that gives PCM.
pub struct Decoder {
    reader: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    codec: Codec,
    spec: Spec,
    /// Ticks of the container are frames.
    ticks_are_frames: bool,
    time_base: Option<TimeBase>,
    /// A packet's stated duration bounds what it sounds (the last AAC packet in MP4).
    duration_bounds: bool,
    /// The stretch of the container's timeline that sounds, in frames.
    first: i64,
    end: Option<i64>,
    /// The earliest position that the container knows.
    earliest: i64,
    length: Option<Frames>,
    /// Added to packet times; grows with each link of a chained Ogg stream.
    base: i64,
    /// Where the next packet begins if nothing says otherwise.
    expected: i64,
    /// Nothing before this is given out.
    wanted: i64,
    /// A decoded packet that waits in the decoder: its first frame's position and its frames.
    pending: Option<(i64, usize)>,
    /// Bytes of the first packet, for guessing a length.
    packet_bytes: Option<u64>,
    skipped: u64,
    bad_run: u32,
    state: Health,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Sound,
    Ended,
    /// A panic left the decoder in a state nobody knows.
    Broken,
}

impl Decoder {
    /// Opens a sound and decodes its first packet, so that what opens also plays.
    ///
    /// # Errors
    /// `Unsupported` for protected files and codecs without a decoder, `Damaged` for broken ones, those of reading.
    ///
    /// # Blocks
    /// On reading the head and about 64 KiB of audio.
    pub fn open(mut sound: Sound, sniffed: &Sniffed) -> Result<Decoder> {
        sniffed.gate()?;
        if !sniffed.format.codec.is_decodable() {
            let codec = sniffed.format.codec;
            return Err(Error::new(Kind::Unsupported, format!("konpo has no decoder for {codec:?}")));
        }
        let layout = Layout::of(&mut sound, sniffed)?;
        let payload = layout.payload();
        // Without a Xing header symphonia guesses the length of an MP3 from 16 frames and cuts what lies behind its
        // guess; an honest stream that cannot seek is not guessed at. It may seek once it is open.
        let guesses = matches!(sniffed.format.container, Container::Mpeg | Container::Adts);
        let (source, seekable) = Source::new(sound, layout, !guesses);
        let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
        let container = sniffed.format.container;
        let reader = contained(|| reader(container, stream))?.map_err(|e| trouble("open the file", e))?;
        seekable.set(true);
        let mut decoder = contained(|| Decoder::with(reader, sniffed))??;
        if !decoder.decode_packet()? {
            return Err(Error::new(Kind::Damaged, "no sound could be decoded"));
        }
        decoder.settle(payload);
        Ok(decoder)
    }

    fn with(mut reader: Box<dyn FormatReader>, sniffed: &Sniffed) -> Result<Decoder> {
        // Pictures and texts that the reader kept are of no use here.
        reader.metadata().skip_to_latest();
        let track = reader
            .default_track(TrackType::Audio)
            .ok_or_else(|| Error::new(Kind::Damaged, "there is no audio track in the file"))?
            .clone();
        let decoder = audio_decoder(&track)?;
        let rate = decoder.codec_params().sample_rate.and_then(SampleRate::new).unwrap_or(SampleRate::CD);
        let recip = |base: TimeBase| base.numer.get() == 1 && base.denom.get() == rate.hz();
        let ticks_are_frames = track.time_base.is_none_or(recip);
        let mp4 = sniffed.format.container == Container::Mp4;
        let window = window(&track, sniffed, rate, mp4 && ticks_are_frames);
        Ok(Decoder {
            reader,
            decoder,
            track: track.id,
            codec: sniffed.format.codec,
            spec: Spec { rate, channels: 0, bits: 0, float: false },
            ticks_are_frames,
            time_base: track.time_base,
            duration_bounds: mp4 && ticks_are_frames,
            first: window.first,
            end: window.end,
            earliest: if mp4 { 0 } else { track.delay.map_or(0, |delay| -i64::from(delay)) },
            length: window.length,
            base: 0,
            expected: 0,
            wanted: window.first,
            pending: None,
            packet_bytes: None,
            skipped: 0,
            bad_run: 0,
            state: Health::Sound,
        })
    }

    /// Takes the shape of the sound from the first decoded packet: parameters of a container may lie (HE-AAC).
    fn settle(&mut self, payload: Option<u64>) {
        let decoded = self.decoder.last_decoded();
        let float = matches!(decoded, GenericAudioBufferRef::F32(_) | GenericAudioBufferRef::F64(_));
        let parameters = self.decoder.codec_params();
        // ALAC has its depth in the magic cookie only (ALACSpecificConfig: frameLength, compatibleVersion, bitDepth).
        let cookie = parameters.extra_data.as_deref().filter(|_| self.codec == Codec::Alac);
        let depth = cookie.and_then(|cookie| cookie.get(5)).map(|depth| u32::from(*depth));
        let said = parameters.bits_per_sample.or(depth).unwrap_or(match decoded {
            GenericAudioBufferRef::U8(_) | GenericAudioBufferRef::S8(_) => 8,
            GenericAudioBufferRef::U16(_) | GenericAudioBufferRef::S16(_) => 16,
            GenericAudioBufferRef::U24(_) | GenericAudioBufferRef::S24(_) => 24,
            _ => 32,
        });
        let bits = match said {
            _ if float => 32,
            0..=16 => 16,
            17..=24 => 24,
            _ => 32,
        };
        self.spec.bits = bits;
        self.spec.float = float;
        if self.length.is_none() && self.bad_run == 0 {
            self.length = self.guess_length(payload);
        }
    }

    /// Guesses the length of MPEG frames without a header that tells it, from the bit rate of the first one.
    fn guess_length(&self, payload: Option<u64>) -> Option<Frames> {
        let (_, frames) = self.pending?;
        let packet = self.packet_bytes?;
        Some(Frames(payload?.checked_div(packet)?.saturating_mul(frames as u64)))
    }

    /// Returns the shape of the samples.
    pub fn spec(&self) -> Spec {
        self.spec
    }

    /// Returns the length; exact where the file tells it, else guessed from the bit rate, `None` when nothing tells.
    pub fn duration(&self) -> Option<Frames> {
        self.length
    }

    /// Returns how many damaged packets were left out.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Decodes the next block into `out`. Returns `false` at the end, with `out` empty.
    ///
    /// # Errors
    /// `Damaged` after 50 bad packets in a row or when the decoder itself broke down; those of reading.
    pub fn next(&mut self, out: &mut Block) -> Result<bool> {
        loop {
            if self.pending.is_none() && !self.decode_packet()? {
                clear(out);
                return Ok(false);
            }
            if self.give(out) {
                return Ok(true);
            }
        }
    }

    /// Copies the wanted part of the pending packet. Returns whether there was any.
    fn give(&mut self, out: &mut Block) -> bool {
        let Some((start, frames)) = self.pending.take() else { return false };
        let stop = start.saturating_add(frames as i64);
        let to = self.end.map_or(stop, |end| stop.min(end));
        if self.end.is_some_and(|end| stop >= end) {
            self.state = Health::Ended;
        }
        let from = start.max(self.wanted);
        if from >= to {
            return false;
        }
        let channels = usize::from(self.spec.channels);
        let range = (from - start) as usize * channels..(to - start) as usize * channels;
        let decoded = self.decoder.last_decoded();
        match (&mut out.samples, self.spec.float) {
            (Samples::Float(samples), true) => copy(&decoded, range, samples),
            (Samples::Int(samples), false) => copy(&decoded, range, samples),
            (samples, true) => {
                let mut fresh = Vec::new();
                copy(&decoded, range, &mut fresh);
                *samples = Samples::Float(fresh);
            }
            (samples, false) => {
                let mut fresh = Vec::new();
                copy(&decoded, range, &mut fresh);
                *samples = Samples::Int(fresh);
            }
        }
        out.at = Frames((from - self.first).max(0) as u64);
        self.wanted = to;
        true
    }

    /// Goes to a frame; the next block begins there. Beyond the end it goes to the end. Returns the position reached.
    ///
    /// # Errors
    /// `Unsupported` when the sound cannot be sought, `Damaged`, and those of reading.
    ///
    /// # Blocks
    /// For an MP3 symphonia walks all frame headers up to the position, reading every byte in between.
    pub fn seek(&mut self, to: Frames) -> Result<Frames> {
        if self.state == Health::Broken {
            return Err(broken());
        }
        let ahead = i64::try_from(to.0).unwrap_or(i64::MAX);
        let mut target = self.first.saturating_add(ahead);
        if let Some(end) = self.end.or(self.exact_end()) {
            target = target.min(end);
            if target == end {
                self.pending = None;
                self.wanted = end;
                self.state = Health::Ended;
                return Ok(Frames((end - self.first).max(0) as u64));
            }
        }
        // The first try goes back as far as the codec's memory reaches; a container that lands late gets more room.
        let second = i64::from(self.spec.rate.hz());
        for room in [self.memory(), second, 10 * second, i64::MAX] {
            let from = target.saturating_sub(room).max(self.earliest);
            if !self.jump(from)? {
                self.state = Health::Ended;
                return Ok(self.length.unwrap_or(to).min(to));
            }
            self.wanted = target;
            let skipped = self.skipped;
            loop {
                if !self.decode_packet()? {
                    return Ok(Frames((self.expected.min(target) - self.first).max(0) as u64));
                }
                match self.pending {
                    Some((start, frames)) if start.saturating_add(frames as i64) > target => {
                        if start > target && from > self.earliest {
                            break;
                        }
                        self.wanted = start.max(target);
                        // The first packets after a jump may lack what they refer to; that is no damage.
                        self.skipped = skipped;
                        return Ok(Frames((self.wanted - self.first).max(0) as u64));
                    }
                    _ => self.pending = None,
                }
            }
        }
        Err(Error::new(Kind::Damaged, "the position cannot be found in the file"))
    }

    /// Moves the container to a packet at or before a position and forgets what was decoded. Returns `false` when the
    /// position lies beyond the end.
    fn jump(&mut self, from: i64) -> Result<bool> {
        let ticks = self.ticks(from.saturating_sub(self.base));
        let to = SeekTo::Timestamp { ts: Timestamp::new(ticks), track_id: self.track };
        let (reader, decoder) = (&mut self.reader, &mut self.decoder);
        let reached = contained(|| {
            let reached = reader.seek(SeekMode::Accurate, to);
            decoder.reset();
            reached
        });
        self.pending = None;
        let reached = reached.inspect_err(|_| self.state = Health::Broken)?;
        let reached = match reached {
            Ok(reached) => reached,
            Err(Trouble::SeekError(SeekErrorKind::OutOfRange)) => return Ok(false),
            Err(error) => return Err(trouble("seek", error)),
        };
        self.expected = self.frames(reached.actual_ts.get()).saturating_add(self.base);
        self.state = Health::Sound;
        self.bad_run = 0;
        Ok(true)
    }

    /// Decodes up to the next packet that holds frames. Returns `false` at the end.
    fn decode_packet(&mut self) -> Result<bool> {
        match self.state {
            Health::Sound => {}
            Health::Ended => return Ok(false),
            Health::Broken => return Err(broken()),
        }
        // symphonia's decoders index by what the file says in places; a panic of theirs must not take the box down.
        // The decoder is never used again after one, so no half-made state is seen (hence AssertUnwindSafe).
        match contained(|| self.decode_packet_unguarded()) {
            Ok(result) => result,
            Err(error) => {
                self.state = Health::Broken;
                self.pending = None;
                Err(error)
            }
        }
    }

    fn decode_packet_unguarded(&mut self) -> Result<bool> {
        loop {
            let packet = match self.reader.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok(self.ended()),
                Err(Trouble::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Ok(self.ended());
                }
                Err(Trouble::IoError(error)) => return Err(Error::io("read the sound", error)),
                Err(Trouble::ResetRequired) => {
                    self.next_link()?;
                    continue;
                }
                Err(_) => {
                    self.bad()?;
                    continue;
                }
            };
            if packet.track_id != self.track {
                continue;
            }
            self.packet_bytes.get_or_insert(packet.data.len() as u64);
            let ticks = packet.pts.get().saturating_add_unsigned(packet.trim_start.get());
            let start = match self.ticks_are_frames {
                true => ticks.saturating_add(self.base),
                false => self.expected,
            };
            let decoded = match self.decoder.decode(&packet) {
                Ok(decoded) => decoded,
                Err(Trouble::IoError(_) | Trouble::DecodeError(_) | Trouble::LimitError(_)) => {
                    self.bad()?;
                    continue;
                }
                Err(error) => return Err(trouble("decode", error)),
            };
            let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
            let mut frames = decoded.frames();
            if self.spec.channels == 0 {
                let rate = SampleRate::new(rate);
                self.spec.rate =
                    rate.ok_or_else(|| Error::new(Kind::Damaged, "the sample rate is impossible"))?;
                self.spec.channels = u16::try_from(channels).unwrap_or(u16::MAX);
            }
            if rate != self.spec.rate.hz() || channels != usize::from(self.spec.channels) {
                self.bad()?;
                continue;
            }
            if self.duration_bounds {
                frames = frames.min(usize::try_from(packet.dur.get()).unwrap_or(usize::MAX));
            }
            self.bad_run = 0;
            self.expected = start.saturating_add(frames as i64);
            if frames > 0 {
                self.pending = Some((start, frames));
                return Ok(true);
            }
        }
    }

    /// Goes on with the next link of a chained Ogg stream, which brings its own codec headers.
    fn next_link(&mut self) -> Result<()> {
        let track = self.reader.default_track(TrackType::Audio);
        let track =
            track.ok_or_else(|| Error::new(Kind::Damaged, "the stream goes on without sound"))?.clone();
        self.decoder = audio_decoder(&track)?;
        self.track = track.id;
        self.base = self.expected.saturating_sub(track.start_ts.get().max(0));
        // Its length is not known before it ends.
        self.length = None;
        self.bad()
    }

    fn bad(&mut self) -> Result<()> {
        self.skipped += 1;
        self.bad_run += 1;
        if self.bad_run > MOST_BAD {
            return Err(Error::new(Kind::Damaged, "too many damaged packets in a row"));
        }
        Ok(())
    }

    fn ended(&mut self) -> bool {
        self.state = Health::Ended;
        false
    }

    /// Returns how far back a codec must begin for its output at a position to be the same as without a seek.
    fn memory(&self) -> i64 {
        match self.codec {
            // Up to nine frames of bit reservoir at the lowest bit rates, and the overlap of the one before.
            Codec::Mp3 => 11 * 1152,
            // The overlap of the block before.
            Codec::AacLc => 2 * 1024,
            _ => 0,
        }
    }

    /// Returns the end of lossless material, where the container's length is binding.
    fn exact_end(&self) -> Option<i64> {
        let length = self.length.filter(|_| self.codec.is_lossless())?;
        Some(self.first.saturating_add(i64::try_from(length.0).ok()?))
    }

    /// Returns frames as ticks of the container, rounded down.
    fn ticks(&self, frames: i64) -> i64 {
        match self.time_base {
            Some(base) if !self.ticks_are_frames => {
                let scale = (base.denom.get(), u64::from(base.numer.get()) * u64::from(self.spec.rate.hz()));
                scaled(frames, scale.0.into(), scale.1)
            }
            _ => frames,
        }
    }

    /// Returns ticks of the container as frames, rounded down.
    fn frames(&self, ticks: i64) -> i64 {
        match self.time_base {
            Some(base) if !self.ticks_are_frames => {
                let scale = (u64::from(base.numer.get()) * u64::from(self.spec.rate.hz()), base.denom.get());
                scaled(ticks, scale.0, scale.1.into())
            }
            _ => ticks,
        }
    }
}

/// The stretch of a container's timeline that sounds.
struct Window {
    first: i64,
    end: Option<i64>,
    length: Option<Frames>,
}

/// Decides what to trim. symphonia trims MP3 and Vorbis by itself; MP4 says it in an edit list or iTunSMPB, and with
/// the sum of the sample durations (ISO/IEC 14496-12, 8.6.1.2), which is exact where the edit list is in milliseconds.
fn window(track: &Track, sniffed: &Sniffed, rate: SampleRate, exact_sum: bool) -> Window {
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

/// Opens the container's reader directly: `sniff` already knows what it is, and symphonia's own probe would scan
/// megabytes of junk.
fn reader(
    container: Container,
    stream: MediaSourceStream<'static>,
) -> Result<Box<dyn FormatReader>, Trouble> {
    let options = FormatOptions::default();
    Ok(match container {
        Container::Flac => Box::new(formats::FlacReader::try_new(stream, options)?),
        Container::Mpeg => Box::new(formats::MpaReader::try_new(stream, options)?),
        Container::Adts => Box::new(formats::AdtsReader::try_new(stream, options)?),
        Container::Mp4 => Box::new(formats::IsoMp4Reader::try_new(stream, options)?),
        Container::Ogg => Box::new(formats::OggReader::try_new(stream, options)?),
        Container::Wav => Box::new(formats::WavReader::try_new(stream, options)?),
        Container::Aiff => Box::new(formats::AiffReader::try_new(stream, options)?),
        _ => return Err(Trouble::Unsupported("container")),
    })
}

fn audio_decoder(track: &Track) -> Result<Box<dyn AudioDecoder>> {
    let Some(CodecParameters::Audio(parameters)) = &track.codec_params else {
        return Err(Error::new(Kind::Damaged, "the audio track has no codec parameters"));
    };
    let decoder =
        symphonia::default::get_codecs().make_audio_decoder(parameters, &AudioDecoderOptions::default());
    decoder.map_err(|e| trouble("open the decoder", e))
}

/// Runs foreign code that may panic on hostile input.
fn contained<T>(run: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| broken())
}

fn broken() -> Error {
    Error::new(Kind::Damaged, "the decoder broke down on this file")
}

fn trouble(what: &str, error: Trouble) -> Error {
    match error {
        Trouble::IoError(error) => Error::io(what, error),
        Trouble::Unsupported(_) => Error::with(Kind::Unsupported, what, error),
        error => Error::with(Kind::Damaged, what, error),
    }
}

fn scaled(value: i64, times: u64, by: u64) -> i64 {
    let scaled = i128::from(value) * i128::from(times) / i128::from(by.max(1));
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

/// Copies a range of samples, counted interleaved; widens integers by a shift, which keeps every bit.
fn copy<S: ConvertibleSample>(decoded: &GenericAudioBufferRef<'_>, range: Range<usize>, out: &mut Vec<S>) {
    decoded.copy_to_vec_interleaved(out);
    out.truncate(range.end);
    out.drain(..range.start.min(out.len()));
}

fn clear(out: &mut Block) {
    match &mut out.samples {
        Samples::Int(samples) => samples.clear(),
        Samples::Float(samples) => samples.clear(),
    }
}

/// Bad packets in a row after which the rest is given up.
const MOST_BAD: u32 = 50;
/// Frames of an AAC packet.
const AAC_FRAME: i64 = 1024;

#[cfg(test)]
mod tests;
