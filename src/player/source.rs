//! From an opened sound to left-justified 32-bit samples: read-ahead, gate, decoder.

use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::media::decode::{Block, Decoder, Samples};
use crate::media::sniff::sniff;
use crate::media::sound::Sound;
use crate::player::aside::Aside;
use crate::player::gain::word_of;
use crate::player::readahead;
use crate::player::ring::float_of;
use crate::track::{AudioFormat, Codec, Container};
use crate::units::{Frames, SampleRate};

/// What a source is.
#[derive(Debug, Clone)]
pub struct About {
    /// What the file holds.
    pub format: AudioFormat,
    /// Frames per second.
    pub rate: SampleRate,
    /// Channels.
    pub channels: u16,
    /// Bits that carry sound: 16, 24 or 32.
    pub bits: u16,
    /// The file holds floats without loss: [`Source::read`] gives the bits of each `f32` as they are.
    pub float: bool,
    /// Length, when known.
    pub duration: Option<Frames>,
    /// Whether it can be sought.
    pub seekable: bool,
}

/// Decoded sound. A fake pays: tests play numbers.
pub trait Source: Send {
    /// Returns what it is.
    fn about(&self) -> &About;

    /// Returns whether [`Source::read`] gives something at once; one that waits for the network may take a moment to tell.
    fn ready(&mut self) -> bool {
        true
    }

    /// Replaces what is in `into` by the next block, interleaved and left-justified (or floats, as
    /// [`About::float`] says); `false` at the end.
    ///
    /// # Errors
    /// `Damaged` when it cannot go on.
    fn read(&mut self, into: &mut Vec<i32>) -> Result<bool>;

    /// As [`Source::read`], each sample times `factor`, rounded at the last of 32 bits and limited at full scale.
    ///
    /// # Errors
    /// As [`Source::read`].
    fn read_times(&mut self, factor: f64, into: &mut Vec<i32>) -> Result<bool> {
        let more = self.read(into)?;
        let float = self.about().float;
        into.iter_mut().for_each(|word| *word = times(*word, float, factor));
        Ok(more)
    }

    /// Returns, once, the position of the last block when it does not follow from what was read before: a seek had to guess.
    fn corrected(&mut self) -> Option<Frames> {
        None
    }

    /// Goes to a frame and returns the one that was reached.
    ///
    /// # Errors
    /// `Unsupported` when it cannot be sought, else what reading the file says.
    fn seek(&mut self, to: Frames) -> Result<Frames>;
}

/// Makes a source of a sound.
pub type Decoders = Arc<dyn Fn(Sound) -> Result<Box<dyn Source>> + Send + Sync>;

/// Returns what plays every file that konpo can decode; what is no file is decoded on a thread of its own.
pub fn decoders() -> Decoders {
    Arc::new(|sound| {
        let local = sound.opened().is_some();
        let decoded = Box::new(Decoded::open(sound)?);
        Ok(if local { decoded } else { Box::new(Aside::new(decoded)?) })
    })
}

/// A file through the gate and the decoder, read ahead.
struct Decoded {
    decoder: Decoder,
    about: About,
    block: Block,
}

impl Decoded {
    fn open(sound: Sound) -> Result<Decoded> {
        let mut sound = readahead::ahead(sound)?;
        let seekable = sound.byte_len().is_some();
        let sniffed = sniff(&mut sound)?;
        sniffed.gate()?;
        let rewound = sound.seek(SeekFrom::Start(0));
        rewound.map_err(|e| Error::io("go to the start of the sound", e))?;
        let decoder = Decoder::open(sound, &sniffed)?;
        let spec = decoder.spec();
        let mut format = sniffed.format.clone();
        format.rate = Some(spec.rate);
        format.channels = Some(spec.channels);
        // A live WAV says some huge length that stands for none.
        let guessed = !seekable && format.container == Container::Wav;
        let float = spec.float && matches!(format.codec, Codec::Pcm | Codec::WavPack);
        let about = About {
            format,
            rate: spec.rate,
            channels: spec.channels,
            // A lossy codec has no depth; 24 bits are more than it carries. Nor has one-bit sound as PCM.
            bits: if spec.float && !float { 24 } else { spec.bits },
            float,
            duration: decoder.duration().filter(|_| !guessed),
            seekable,
        };
        Ok(Decoded { decoder, about, block: Block::default() })
    }
}

impl Source for Decoded {
    fn about(&self) -> &About {
        &self.about
    }

    fn read(&mut self, into: &mut Vec<i32>) -> Result<bool> {
        self.read_times(1.0, into)
    }

    /// What overshoots in a float block is multiplied before it is limited: made quieter, it is whole.
    fn read_times(&mut self, factor: f64, into: &mut Vec<i32>) -> Result<bool> {
        if !self.decoder.next(&mut self.block)? {
            return Ok(false);
        }
        match &mut self.block.samples {
            // It was copied once already.
            Samples::Int(samples) if factor == 1.0 && into.is_empty() => std::mem::swap(into, samples),
            Samples::Int(samples) if factor == 1.0 => into.extend_from_slice(samples),
            Samples::Int(samples) => into.extend(samples.iter().map(|word| times(*word, false, factor))),
            Samples::Float(samples) if self.about.float => {
                // What is no number is no sound.
                let word = |s: &f32| if s.is_finite() { s.to_bits().cast_signed() } else { 0 };
                into.extend(samples.iter().map(|s| times(word(s), true, factor)));
            }
            Samples::Float(samples) => into.extend(samples.iter().map(|s| left_justified(*s, factor))),
        }
        Ok(true)
    }

    fn corrected(&mut self) -> Option<Frames> {
        self.decoder.corrected().then_some(self.block.at)
    }

    fn seek(&mut self, to: Frames) -> Result<Frames> {
        self.decoder.seek(to)
    }
}

/// Returns the float sample times a factor as a left-justified integer, rounded and limited at full scale.
pub fn left_justified(sample: f32, factor: f64) -> i32 {
    word_of(f64::from(sample) * factor * 2_147_483_648.0)
}

/// Returns a word of a block times a factor: a float's bits, or a left-justified integer that is limited at full scale.
pub fn times(word: i32, float: bool, factor: f64) -> i32 {
    if float {
        ((f64::from(float_of(word)) * factor) as f32).to_bits().cast_signed()
    } else {
        word_of(f64::from(word) * factor)
    }
}
