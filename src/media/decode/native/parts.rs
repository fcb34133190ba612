//! What a native decoder is made of: the reader of a container, the decoder of a codec, and their errors.

use std::panic::{AssertUnwindSafe, catch_unwind};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_ALAC, CODEC_ID_OPUS};
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::RegisterableAudioDecoder;
use symphonia::core::errors::Error as Trouble;
use symphonia::core::formats::{FormatOptions, FormatReader, Track};
use symphonia::core::io::MediaSourceStream;
use symphonia::default::formats;
use symphonia_adapter_libopus::OpusDecoder;

use crate::error::{Error, Kind, Result};
use crate::media::decode::native::alac::Alac;
use crate::media::decode::{flac, mpeg};
use crate::track::Container;

/// Opens the container's reader directly: `sniff` already knows what it is, and symphonia's own probe would scan
/// megabytes of junk. `stretch` is the same for MPEG audio in a file.
pub(super) fn reader(
    container: Container,
    stream: MediaSourceStream<'static>,
    stretch: Option<mpeg::Stretch>,
) -> Result<Box<dyn FormatReader>, Trouble> {
    let options = FormatOptions::default();
    Ok(match container {
        Container::Flac => Box::new(flac::Reader::new(stream)?),
        Container::Mpeg => Box::new(mpeg::Reader::new(stream, stretch)?),
        Container::Adts => Box::new(formats::AdtsReader::try_new(stream, options)?),
        Container::Mp4 => Box::new(formats::IsoMp4Reader::try_new(stream, options)?),
        Container::Ogg => Box::new(formats::OggReader::try_new(stream, options)?),
        Container::Wav => Box::new(formats::WavReader::try_new(stream, options)?),
        Container::Caf => Box::new(formats::CafReader::try_new(stream, options)?),
        Container::Aiff => Box::new(formats::AiffReader::try_new(stream, options)?),
        _ => return Err(Trouble::Unsupported("container")),
    })
}

/// What an Opus head says of its sound (RFC 7845, 5.1).
pub(super) struct OpusHead {
    /// Frames to leave out in front.
    pub(super) skip: u16,
    /// Output gain in 1/256 dB.
    gain: i16,
}

impl OpusHead {
    fn read(head: &[u8]) -> Option<OpusHead> {
        let field = |at: usize| Some([*head.get(at)?, *head.get(at + 1)?]);
        let known = head.starts_with(b"OpusHead");
        known.then_some(OpusHead {
            skip: u16::from_le_bytes(field(10)?),
            gain: i16::from_le_bytes(field(16)?),
        })
    }

    /// Returns the gain as a factor; `None` is unity.
    pub(super) fn factor(&self) -> Option<f32> {
        (self.gain != 0).then(|| 10f64.powf(f64::from(self.gain) / (20.0 * 256.0)) as f32)
    }
}

/// Makes the decoder of a track; for Opus also what its head says.
pub(super) fn audio_decoder(track: &Track) -> Result<(Box<dyn AudioDecoder>, Option<OpusHead>)> {
    let Some(CodecParameters::Audio(parameters)) = &track.codec_params else {
        return Err(Error::new(Kind::Damaged, "the audio track has no codec parameters"));
    };
    let options = AudioDecoderOptions::default();
    let failed = |e| trouble("open the decoder", e);
    if parameters.codec == CODEC_ID_OPUS {
        let mut parameters = parameters.clone();
        let mut extra = parameters.extra_data.take().unwrap_or_default();
        let head =
            OpusHead::read(&extra).ok_or_else(|| Error::new(Kind::Damaged, "the Opus head is broken"))?;
        // The adapter cuts what is to be skipped from one packet only; here it is cut from the timeline.
        extra[10..12].fill(0);
        parameters.extra_data = Some(extra);
        return Ok((OpusDecoder::try_registry_new(&parameters, &options).map_err(failed)?, Some(head)));
    }
    let decoder =
        symphonia::default::get_codecs().make_audio_decoder(parameters, &options).map_err(failed)?;
    Ok((if parameters.codec == CODEC_ID_ALAC { Alac::before(decoder) } else { decoder }, None))
}

/// Runs foreign code that may panic on hostile input.
pub(super) fn contained<T>(run: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| broken())
}

pub(super) fn broken() -> Error {
    Error::new(Kind::Damaged, "the decoder broke down on this file")
}

pub(super) fn trouble(what: &str, error: Trouble) -> Error {
    match error {
        Trouble::IoError(error) => Error::io(what, error),
        Trouble::Unsupported(_) => Error::with(Kind::Unsupported, what, error),
        error => Error::with(Kind::Damaged, what, error),
    }
}
