//! From an opened sound to left-justified 32-bit samples: read-ahead, gate, decoder.

use std::io::{Seek, SeekFrom};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::media::decode::{Block, Decoder, Samples};
use crate::media::sniff::sniff;
use crate::media::sound::Sound;
use crate::player::readahead;
use crate::track::{AudioFormat, Container};
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
    /// Length, when known.
    pub duration: Option<Frames>,
    /// Whether it can be sought.
    pub seekable: bool,
}

/// Decoded sound. A fake pays: tests play numbers.
pub trait Source: Send {
    /// Returns what it is.
    fn about(&self) -> &About;

    /// Replaces what is in `into` by the next block, interleaved and left-justified; `false` at the end.
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
        // A float cast saturates.
        into.iter_mut().for_each(|sample| *sample = (f64::from(*sample) * factor).round() as i32);
        Ok(more)
    }

    /// Goes to a frame and returns the one that was reached.
    ///
    /// # Errors
    /// `Unsupported` when it cannot be sought, else what reading the file says.
    fn seek(&mut self, to: Frames) -> Result<Frames>;
}

/// Makes a source of a sound.
pub type Decoders = Arc<dyn Fn(Sound) -> Result<Box<dyn Source>> + Send + Sync>;

/// Returns what plays every file that konpo can decode.
pub fn decoders() -> Decoders {
    Arc::new(|sound| Ok(Box::new(Decoded::open(sound)?)))
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
        let about = About {
            format,
            rate: spec.rate,
            channels: spec.channels,
            // A lossy codec has no depth; 24 bits are more than it carries.
            bits: if spec.float { 24 } else { spec.bits },
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
        match &self.block.samples {
            Samples::Int(samples) if factor == 1.0 => into.extend_from_slice(samples),
            // A float cast saturates.
            Samples::Int(samples) => {
                into.extend(samples.iter().map(|s| (f64::from(*s) * factor).round() as i32));
            }
            Samples::Float(samples) => into.extend(samples.iter().map(|s| left_justified(*s, factor))),
        }
        Ok(true)
    }

    fn seek(&mut self, to: Frames) -> Result<Frames> {
        self.decoder.seek(to)
    }
}

/// Returns the float sample times a factor as a left-justified integer, rounded and limited at full scale.
fn left_justified(sample: f32, factor: f64) -> i32 {
    // The cast saturates.
    (f64::from(sample) * factor * 2_147_483_648.0).round() as i32
}
