//! From an opened sound to left-justified 32-bit samples: read-ahead, gate, decoder.

use crate::error::Result;
use crate::media::sound::Sound;
use crate::track::AudioFormat;
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

    /// Goes to a frame and returns the one that was reached.
    ///
    /// # Errors
    /// `Unsupported` when it cannot be sought, else what reading the file says.
    fn seek(&mut self, to: Frames) -> Result<Frames>;
}

/// Makes a source of a sound.
pub type Decoders = Box<dyn FnMut(Sound) -> Result<Box<dyn Source>> + Send>;

/// Returns what plays every file that konpo can decode.
pub fn decoders() -> Decoders {
    Box::new(|_sound| Err(crate::error::Error::new(crate::error::Kind::Unsupported, "no decoder")))
}

/// Returns the float sample as a left-justified integer, rounded and limited at full scale.
pub fn left_justified(sample: f32) -> i32 {
    // The cast saturates.
    (f64::from(sample) * 2_147_483_648.0).round() as i32
}
