//! The decoder: an opened sound to PCM, one block per call, trimmed to the very frames that were encoded.
//!
//! What symphonia and libopus know is decoded in this process, the rest by a child `ffmpeg`. Runs on whichever thread owns
//! it (the player's decoder thread, intake workers) and blocks on reading. It never sees a protected file:
//! [`Sniffed::gate`] stands in front.

mod caf;
mod child;
mod flac;
mod mpeg;
mod native;
mod source;
mod window;

use crate::error::{Error, Kind, Result};
use crate::media::sniff::Sniffed;
use crate::media::sound::Sound;
use crate::track::{Codec, Container};
use crate::units::{Frames, SampleRate};

use child::Child;
use native::Native;

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
    backend: Backend,
}

enum Backend {
    Native(Box<Native>),
    Child(Box<Child>),
}

impl Decoder {
    /// Opens a sound and decodes its first packet, so that what opens also plays.
    ///
    /// # Errors
    /// `Unsupported` for protected files, codecs without a decoder, more channels than any device has, and when the
    /// `ffmpeg` that would decode them is not installed; `Damaged` for broken files; those of reading.
    ///
    /// # Blocks
    /// On reading the head and about 64 KiB of audio; on the start of a child process, about 60 ms.
    pub fn open(sound: Sound, sniffed: &Sniffed) -> Result<Decoder> {
        sniffed.gate()?;
        if !sniffed.format.codec.is_decodable() {
            let codec = sniffed.format.codec;
            return Err(Error::new(Kind::Unsupported, format!("konpo has no decoder for {codec:?}")));
        }
        if let Some(channels) = sniffed.format.channels.filter(|channels| *channels > MOST_CHANNELS) {
            let what =
                format!("the file says that it has {channels} channels, at most {MOST_CHANNELS} are played");
            return Err(Error::new(Kind::Unsupported, what));
        }
        let by_child = match way(sniffed) {
            Way::Native => false,
            Way::Child => true,
            // Better the lower half of the spectrum than silence.
            Way::ChildIfThere => child::is_installed(),
        };
        let backend = match by_child {
            true => Backend::Child(Box::new(Child::open(sound, sniffed)?)),
            false => Backend::Native(Box::new(Native::open(sound, sniffed)?)),
        };
        Ok(Decoder { backend })
    }

    /// Returns the shape of the samples.
    pub fn spec(&self) -> Spec {
        match &self.backend {
            Backend::Native(native) => native.spec(),
            Backend::Child(child) => child.spec(),
        }
    }

    /// Returns the length; exact where the file tells it, else guessed from the bit rate, `None` when nothing tells.
    pub fn duration(&self) -> Option<Frames> {
        match &self.backend {
            Backend::Native(native) => native.duration(),
            Backend::Child(child) => child.duration(),
        }
    }

    /// Returns how many damaged packets were left out, as far as the decoder tells.
    pub fn skipped(&self) -> u64 {
        match &self.backend {
            Backend::Native(native) => native.skipped(),
            Backend::Child(_) => 0,
        }
    }

    /// Decodes the next block into `out`. Returns `false` at the end, with `out` empty.
    ///
    /// # Errors
    /// `Damaged` after 50 bad packets in a row, when the decoder itself broke down, or when much less came out than the
    /// file says it holds; those of reading.
    pub fn next(&mut self, out: &mut Block) -> Result<bool> {
        match &mut self.backend {
            Backend::Native(native) => native.next(out),
            Backend::Child(child) => child.next(out),
        }
    }

    /// Returns, once, whether the position of the last block does not follow from the one before: what was said since a seek
    /// into a long MP3 of varying bit rate was a guess, and the table of its frames knows better.
    pub fn corrected(&mut self) -> bool {
        match &mut self.backend {
            Backend::Native(native) => native.corrected(),
            Backend::Child(_) => false,
        }
    }

    /// Goes to a frame; the next block begins there. Beyond the end it goes to the end. Returns the position reached.
    ///
    /// # Errors
    /// `Unsupported` when the sound cannot be sought, `Damaged`, and those of reading.
    ///
    /// # Blocks
    /// On reading up to 24 MB of an MP3 of varying bit rate; a longer way is guessed, and [`Decoder::corrected`] tells. On the
    /// start of a child process.
    pub fn seek(&mut self, to: Frames) -> Result<Frames> {
        match &mut self.backend {
            Backend::Native(native) => native.seek(to),
            Backend::Child(child) => child.seek(to),
        }
    }
}

/// Who decodes a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Native,
    Child,
    /// The child does it right, this process only half.
    ChildIfThere,
}

/// Decides who decodes.
fn way(sniffed: &Sniffed) -> Way {
    use Container as In;
    let format = &sniffed.format;
    let many = format.channels.is_some_and(|channels| channels > 2);
    // Spectral band replication is often not announced (ISO/IEC 14496-3, 1.6.5.3: implicit signalling); then the core
    // has half the rate, at most 24 kHz.
    let hidden_band = format.rate.is_some_and(|rate| rate.hz() <= HIGHEST_CORE);
    match (format.container, format.codec) {
        (In::Flac | In::Ogg | In::Mp4, Codec::Flac) => Way::Native,
        (In::Wav | In::Aiff | In::Caf | In::Mp4, Codec::Pcm) => Way::Native,
        (In::Mp4 | In::Caf, Codec::Alac) => Way::Native,
        (In::Mpeg, Codec::Mp3 | Codec::Mp2) => Way::Native,
        (In::Mp4, Codec::Mp3) => Way::Native,
        (In::Ogg, Codec::Vorbis) => Way::Native,
        (In::Ogg, Codec::Opus) if !many => Way::Native,
        (In::Mp4 | In::Adts, Codec::AacLc) if !many => match hidden_band {
            true => Way::ChildIfThere,
            false => Way::Native,
        },
        _ => Way::Child,
    }
}

fn clear(out: &mut Block) {
    match &mut out.samples {
        Samples::Int(samples) => samples.clear(),
        Samples::Float(samples) => samples.clear(),
    }
}

/// The highest rate of an AAC core under spectral band replication, in Hz.
const HIGHEST_CORE: u32 = 24_000;
/// As many as a byte counts; a packet of 65,535 would take 150 MB.
const MOST_CHANNELS: u16 = 255;

#[cfg(test)]
mod tests;
