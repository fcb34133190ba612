//! How loud a recording is, after EBU R 128: the integrated loudness and the true peak of all that a decoder gives. Streams,
//! with a fixed amount of memory whatever the length; blocks on reading and decoding. Runs on a thread that yields to
//! everybody. What it hears is what is played: the gain in the head of an Opus stream is in it, tags are not.

use ebur128::{Channel, EbuR128, Mode};

use crate::error::{Error, Kind, Result};
use crate::media::decode::{Block, Decoder, Samples};
use crate::track::Loudness;

/// What a measurement came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Heard {
    /// It is this loud.
    Loud(Loudness),
    /// Nothing in it passes the gate of -70 LUFS.
    Silence,
    /// It was told to stop before the end.
    Stopped,
}

/// Whether a measurement goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Go {
    /// It does.
    On,
    /// It stops; nothing of it is kept.
    Stop,
}

/// Measures what a decoder gives from here to its end. `go` is asked between blocks, some ten times for each second of
/// sound, and may wait.
///
/// One channel counts as two, for konpo plays it on both speakers (EBU Tech 3341, dual mono). Loudness is gathered in a
/// histogram of 0.1 dB steps, so that the length does not matter.
///
/// # Errors
/// `Damaged` when the decoder cannot go on, `Unsupported` for channels or a rate beyond BS.1770, and those of reading.
///
/// # Blocks
/// As long as decoding takes.
pub fn measure(decoder: &mut Decoder, go: &mut dyn FnMut() -> Go) -> Result<Heard> {
    let spec = decoder.spec();
    let refused = |error| Error::with(Kind::Unsupported, "measure how loud a track is", error);
    let modes = Mode::I | Mode::TRUE_PEAK | Mode::HISTOGRAM;
    let mut meter = EbuR128::new(u32::from(spec.channels), spec.rate.hz(), modes).map_err(refused)?;
    if spec.channels == 1 {
        meter.set_channel(0, Channel::DualMono).map_err(refused)?;
    }
    let mut block = Block::default();
    while decoder.next(&mut block)? {
        match &block.samples {
            Samples::Int(samples) => meter.add_frames_i32(samples),
            Samples::Float(samples) => meter.add_frames_f32(samples),
        }
        .map_err(refused)?;
        if go() == Go::Stop {
            return Ok(Heard::Stopped);
        }
    }
    let lufs = meter.loudness_global().map_err(refused)?;
    let mut true_peak = 0.0f64;
    for channel in 0..u32::from(spec.channels) {
        true_peak = true_peak.max(meter.true_peak(channel).map_err(refused)?);
    }
    let known = lufs.is_finite() && true_peak.is_finite();
    Ok(if known { Heard::Loud(Loudness { lufs, true_peak }) } else { Heard::Silence })
}

#[cfg(test)]
mod tests;
