//! What only `ffmpeg` decodes: HE-AAC, Windows Media, WavPack, Monkey's Audio, DSD, ATRAC3, phones' speech.
//!
//! The child gets the opened file as its standard input and never a path; it may open nothing but that and has limits on
//! memory, processor time, files and output. PCM comes through a bounded pipe. Its exit code proves nothing: what came out
//! is held against the length that the container tells. It is killed and reaped on drop.

mod process;
mod wavpack;

use std::fs::File;
use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::media::decode::{Block, Samples, Spec, clear};
use crate::media::sniff::Sniffed;
use crate::media::sniff::rare::MUSEPACK_VERSION;
use crate::media::sound::Sound;
use crate::track::{Codec, Container};
use crate::units::{Frames, SampleRate};

use process::{Begin, Input, Process};

/// A sound that a child `ffmpeg` decodes.
pub(super) struct Child {
    how: How,
    seekable: bool,
    /// Where the sound lies in the file.
    audio: Range<u64>,
    /// `None` only after a process could not be started anew.
    process: Option<Process>,
    spec: Spec,
    /// The stretch of the child's timeline that sounds, in frames; the end only where it is exact.
    first: u64,
    end: Option<u64>,
    length: Option<Frames>,
    /// The next frame of the child's timeline.
    at: u64,
    /// Nothing before this is given out.
    wanted: u64,
    /// Bytes of a frame that is not complete.
    rest: Vec<u8>,
    buffer: Vec<u8>,
    ended: bool,
}

/// What a child is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct How {
    /// ffmpeg's name of the container: it may not guess.
    demuxer: &'static str,
    /// Options of the demuxer and decoder.
    options: &'static [&'static str],
    /// Integers of 32 bits, else floats.
    integers: bool,
    /// The rate to convert to, in Hz, for one-bit sound.
    rate: Option<u32>,
    /// The most seconds of processor time; `None` for a stream without an end.
    seconds: Option<u64>,
}

/// Returns whether `ffmpeg` is there.
pub(super) fn is_installed() -> bool {
    process::find("ffmpeg").is_some()
}

impl Child {
    /// Starts the child and waits for the head of its output.
    ///
    /// # Errors
    /// `Unsupported` when `ffmpeg` is not installed, `Damaged` when it finds no sound.
    pub(super) fn open(sound: Sound, sniffed: &Sniffed) -> Result<Child> {
        let how = How::of(sniffed, sound.byte_len())?;
        let input = Input::of(sound);
        let seekable = input.can_seek();
        let mut process = Process::start(&how, input, Begin::Start)?;
        let (spec, block) = head(&mut process, &how, sniffed)?;
        let mut child = Child {
            how,
            seekable,
            audio: sniffed.audio.clone(),
            process: Some(process),
            spec,
            first: 0,
            end: None,
            length: None,
            at: 0,
            wanted: 0,
            rest: Vec::with_capacity(block),
            buffer: vec![0; BLOCK],
            ended: false,
        };
        child.trim(sniffed);
        Ok(child)
    }

    /// Returns the shape of the samples.
    pub(super) fn spec(&self) -> Spec {
        self.spec
    }

    /// Returns the length when the container tells it.
    pub(super) fn duration(&self) -> Option<Frames> {
        self.length
    }

    /// Takes the length and the gapless numbers, which may count at the rate of a core, over to the rate that came out.
    fn trim(&mut self, sniffed: &Sniffed) {
        let said = sniffed.format.rate.unwrap_or(self.spec.rate);
        let here = |frames: u64| {
            let scaled = u128::from(frames) * u128::from(self.spec.rate.hz()) / u128::from(said.hz().max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        let gapless = sniffed.gapless.filter(|_| sniffed.format.container == Container::Mp4);
        let first = gapless.map_or(0, |gapless| here(gapless.delay.into()));
        let stated = gapless.and_then(|gapless| gapless.frames).or(sniffed.format.frames);
        let length = stated.map(|frames| here(frames.0)).filter(|frames| *frames > 0);
        let exact = gapless.is_some() || matches!(sniffed.format.codec, Codec::WavPack | Codec::Ape);
        (self.first, self.wanted) = (first, first);
        self.end = length.filter(|_| exact).map(|length| first.saturating_add(length));
        self.length = length.map(Frames);
    }

    /// Gives the next block, as [`super::Decoder::next`].
    ///
    /// # Errors
    /// `Damaged` when less came out than the container tells, those of reading.
    pub(super) fn next(&mut self, out: &mut Block) -> Result<bool> {
        clear(out);
        while !self.ended {
            let Some(process) = &mut self.process else { break };
            let count = process.read(&mut self.buffer)?;
            if count == 0 {
                self.ended = true;
                self.check_length()?;
                break;
            }
            if self.give(count, out) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Turns bytes into samples, without what is not wanted. Returns whether there were any.
    fn give(&mut self, count: usize, out: &mut Block) -> bool {
        self.rest.extend_from_slice(&self.buffer[..count]);
        let size = usize::from(self.spec.channels) * SAMPLE;
        let whole = self.rest.len() / size;
        let (start, stop) = (self.at, self.at.saturating_add(whole as u64));
        let to = self.end.map_or(stop, |end| stop.min(end));
        self.ended = self.end.is_some_and(|end| stop >= end);
        let from = start.max(self.wanted).min(to);
        let bytes = &self.rest[(from - start) as usize * size..(to.max(start) - start) as usize * size];
        let words = bytes.as_chunks::<SAMPLE>().0.iter();
        match (&mut out.samples, self.spec.float) {
            (Samples::Float(samples), true) => samples.extend(words.map(|word| f32::from_le_bytes(*word))),
            (Samples::Int(samples), false) => samples.extend(words.map(|word| i32::from_le_bytes(*word))),
            (samples, true) => {
                *samples = Samples::Float(words.map(|word| f32::from_le_bytes(*word)).collect())
            }
            (samples, false) => {
                *samples = Samples::Int(words.map(|word| i32::from_le_bytes(*word)).collect())
            }
        }
        out.at = Frames(from.saturating_sub(self.first));
        self.rest.drain(..whole * size);
        self.at = stop;
        from < to
    }

    /// Holds what came out against what the container tells.
    fn check_length(&mut self) -> Result<()> {
        let Some(length) = self.length else { return Ok(()) };
        let rate = u64::from(self.spec.rate.hz());
        let slack = rate / 2 + length.0 / 100;
        let reached = self.at.saturating_sub(self.first);
        if reached.saturating_add(slack) >= length.0 {
            return Ok(());
        }
        let said = self.process.as_ref().map(Process::said).unwrap_or_default();
        let what = format!("only {} of {} s could be decoded{said}", reached / rate, length.0 / rate);
        Err(Error::new(Kind::Damaged, what))
    }

    /// Goes to a frame, as [`super::Decoder::seek`]: a new child begins a little before it.
    ///
    /// # Errors
    /// `Unsupported` for a stream that cannot go back; those of starting a child.
    pub(super) fn seek(&mut self, to: Frames) -> Result<Frames> {
        let to = self.length.map_or(to, |length| to.min(length));
        if self.length == Some(to) {
            // The process is kept: it holds the input for a later seek back.
            self.ended = true;
            return Ok(to);
        }
        if !self.seekable {
            return Err(Error::new(Kind::Unsupported, "this sound cannot be sought"));
        }
        let input = self.process.take().and_then(Process::stop);
        let input = input.ok_or_else(|| Error::new(Kind::Damaged, "the sound was lost with its decoder"))?;
        let target = self.first.saturating_add(to.0);
        let (from, begin) = match &input {
            Input::File(file) => self.entry(file, target),
            // ffmpeg loses count when it shall skip in a pipe.
            Input::Sound(_) => (0, Begin::Start),
        };
        let mut process = Process::start(&self.how, input, begin)?;
        let spec = self.spec;
        let again = wav_head(&mut process)?;
        if again.is_some_and(|head| (head.rate, head.channels) != (spec.rate.hz(), spec.channels)) {
            return Err(Error::new(Kind::Damaged, "the sound has another shape there"));
        }
        self.process = Some(process);
        self.rest.clear();
        (self.at, self.wanted, self.ended) = (from, target, again.is_none());
        Ok(to)
    }
}

impl Child {
    /// Returns the frame at which a child shall begin for a target, and how it is told.
    fn entry(&self, file: &File, target: u64) -> (u64, Begin) {
        // Blocks of WavPack refer to nothing before them; one-bit sound is counted otherwise there.
        let block = match self.how.demuxer == "wv" && self.how.rate.is_none() {
            true => wavpack::place(file, &self.audio, target),
            false => None,
        };
        if let Some((byte, frame)) = block {
            return (frame, Begin::Byte(byte));
        }
        // Codecs that refer to what came before have settled after this.
        let from = target.saturating_sub(u64::from(self.spec.rate.hz()) / 5);
        (from, Begin::Second(from as f64 / f64::from(self.spec.rate.hz())))
    }
}

impl How {
    fn of(sniffed: &Sniffed, bytes: Option<u64>) -> Result<How> {
        let format = &sniffed.format;
        // Edit lists and iTunSMPB are read by `sniff`; the child shall not trim by its own reading of them.
        let whole: &[&str] = &["-ignore_editlist", "1", "-flags2", "+skip_manual"];
        let (demuxer, options): (_, &'static [&'static str]) = match format.container {
            Container::Mp4 => ("mov", whole),
            Container::Adts => ("aac", &[]),
            Container::Asf => ("asf", &[]),
            Container::Oma => ("oma", &[]),
            Container::WavPack => ("wv", &[]),
            Container::Ape => ("ape", &[]),
            Container::Dsf => ("dsf", &[]),
            Container::Dff => ("iff", &[]),
            Container::Matroska => ("matroska", &[]),
            Container::Tta => ("tta", &[]),
            Container::Tak => ("tak", &[]),
            Container::Musepack => (musepack(sniffed), &[]),
            Container::Caf => ("caf", &[]),
            Container::Wav => ("wav", &[]),
            Container::Aiff => ("aiff", &[]),
            Container::Ogg => ("ogg", &[]),
            Container::Mpeg => ("mp3", &[]),
            Container::Flac => ("flac", &[]),
            Container::Audible | Container::OmaDrm | Container::Unknown => {
                return Err(Error::new(Kind::Unsupported, "konpo has no decoder for this container"));
            }
        };
        let dsd = format.codec == Codec::Dsd;
        // `sniff` states the rate of the PCM that one-bit sound becomes.
        let rate = dsd.then(|| format.rate.map_or(88_200, SampleRate::hz));
        let integers = format.codec.is_lossless() && !dsd && format.bits.is_some();
        // A minute for every started ten minutes of sound, or for every 10 MB where the length is not known.
        let pieces = match (format.duration(), bytes) {
            (Some(length), _) => Some(length.0 / 600_000),
            (None, bytes) => bytes.map(|bytes| bytes / 10_000_000),
        };
        let seconds = pieces.map(|pieces| pieces.saturating_add(1).saturating_mul(60).min(MOST_SECONDS));
        Ok(How { demuxer, options, integers, rate, seconds })
    }
}

fn musepack(sniffed: &Sniffed) -> &'static str {
    let seven = sniffed
        .raw
        .iter()
        .any(|tag| tag.place == MUSEPACK_VERSION && tag.value == crate::media::raw::RawValue::Number(7));
    if seven { "mpc" } else { "mpc8" }
}

/// Reads the head of a new child's output and says what shape it has, and the size of a frame in bytes.
fn head(process: &mut Process, how: &How, sniffed: &Sniffed) -> Result<(Spec, usize)> {
    let Some(head) = wav_head(process)? else {
        let what = format!("no sound could be decoded{}", process.said());
        return Err(Error::new(Kind::Damaged, what));
    };
    let rate = SampleRate::new(head.rate);
    let rate = rate.ok_or_else(|| Error::new(Kind::Damaged, "the sample rate is impossible"))?;
    let bits = match sniffed.format.bits {
        _ if !how.integers => 32,
        Some(0..=16) => 16,
        Some(17..=24) => 24,
        _ => 32,
    };
    let spec = Spec { rate, channels: head.channels, bits, float: !how.integers };
    Ok((spec, usize::from(head.channels) * SAMPLE))
}

#[derive(Clone, Copy)]
struct WavHead {
    rate: u32,
    channels: u16,
}

/// Reads a RIFF head up to the data; `None` when the child ended before.
fn wav_head(process: &mut Process) -> Result<Option<WavHead>> {
    let odd = || Error::new(Kind::Internal, "ffmpeg did not write what it was told to");
    let mut start = [0; 12];
    if !process.fill(&mut start)? {
        return Ok(None);
    }
    if !start.starts_with(b"RIFF") || !start.ends_with(b"WAVE") {
        return Err(odd());
    }
    let mut found = None;
    for _ in 0..MOST_CHUNKS {
        let mut chunk = [0; 8];
        if !process.fill(&mut chunk)? {
            return Ok(None);
        }
        let size = u32::from_le_bytes([chunk[4], chunk[5], chunk[6], chunk[7]]);
        if chunk.starts_with(b"data") {
            return found.map(Some).ok_or_else(odd);
        }
        if size > LONGEST_CHUNK {
            return Err(odd());
        }
        let mut body = vec![0; size as usize + (size & 1) as usize];
        if !process.fill(&mut body)? {
            return Ok(None);
        }
        if chunk.starts_with(b"fmt ") && body.len() >= 16 {
            let rate = u32::from_le_bytes([body[4], body[5], body[6], body[7]]);
            let (channels, bits) =
                (u16::from_le_bytes([body[2], body[3]]), u16::from_le_bytes([body[14], body[15]]));
            let plain = usize::from(bits) == SAMPLE * 8 && (1..=MOST_CHANNELS).contains(&channels);
            found = plain.then_some(WavHead { rate, channels });
        }
    }
    Err(odd())
}

/// Bytes of a sample, integer or float.
const SAMPLE: usize = 4;
/// Bytes read at once.
const BLOCK: usize = 32 << 10;
/// Chunks of a head that ffmpeg writes.
const MOST_CHUNKS: usize = 8;
/// Bytes of such a chunk.
const LONGEST_CHUNK: u32 = 4096;
/// More channels than any music has.
const MOST_CHANNELS: u16 = 64;
/// The longest processor time, a day.
const MOST_SECONDS: u64 = 86_400;
