//! What the bytes of a track are called: media types, DLNA profiles and the fourth field of protocolInfo (reference upnp 6.2
//! and 6.3). Pure.

use crate::track::{AudioFormat, Codec, Container};
use crate::units::{ByteCount, Millis};

/// How a file is named to a control point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Media type.
    pub mime: &'static str,
    /// DLNA.ORG_PN; `None` where no profile is known to hold.
    pub profile: Option<&'static str>,
}

impl Form {
    /// Returns what a file of this format, size and length is.
    pub fn of(format: &AudioFormat, size: ByteCount, length: Millis) -> Form {
        Form { mime: mime(format), profile: profile(format, bit_rate(size, length)) }
    }

    /// Returns the fourth field of protocolInfo: byte seeks, not converted; streaming, background, stalls, DLNA 1.5.
    pub fn additional(&self) -> String {
        let rest = "DLNA.ORG_OP=01;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=01700000000000000000000000000000";
        match self.profile {
            Some(profile) => format!("DLNA.ORG_PN={profile};{rest}"),
            None => rest.to_owned(),
        }
    }

    /// Returns the whole of protocolInfo.
    pub fn protocol_info(&self) -> String {
        format!("http-get:*:{}:{}", self.mime, self.additional())
    }
}

/// Returns how many bits a second takes in the mean; 0 unknown.
fn bit_rate(size: ByteCount, length: Millis) -> u64 {
    size.0.saturating_mul(8000).checked_div(length.0).unwrap_or(0)
}

/// Returns the extension that a URL of such a file ends with.
pub fn extension(format: &AudioFormat) -> &'static str {
    match format.container {
        Container::Mp4 => "m4a",
        Container::Matroska => "mka",
        container => container.extension(format.codec).unwrap_or("bin"),
    }
}

fn mime(format: &AudioFormat) -> &'static str {
    match format.container {
        Container::Mpeg => "audio/mpeg",
        Container::Flac => "audio/flac",
        Container::Mp4 => "audio/mp4",
        Container::Adts => "audio/aac",
        Container::Ogg => "audio/ogg",
        Container::Wav => "audio/wav",
        Container::Aiff => "audio/aiff",
        Container::Asf => "audio/x-ms-wma",
        Container::Dsf => "audio/dsf",
        Container::Dff => "audio/dff",
        Container::WavPack => "audio/x-wavpack",
        Container::Ape => "audio/x-ape",
        Container::Caf => "audio/x-caf",
        Container::Matroska => "audio/x-matroska",
        Container::Tta => "audio/x-tta",
        Container::Tak => "audio/x-tak",
        Container::Musepack => "audio/x-musepack",
        Container::Oma => "audio/x-oma",
        Container::Audible | Container::OmaDrm | Container::Unknown => "application/octet-stream",
    }
}

/// A profile that does not hold is worse than none: a device would refuse the file, or play noise.
fn profile(format: &AudioFormat, bits: u64) -> Option<&'static str> {
    let rate = format.rate?.hz();
    let channels = format.channels?;
    let within = |most| (1..=most).contains(&bits);
    match (format.container, format.codec) {
        (Container::Mpeg, Codec::Mp3) if channels <= 2 && matches!(rate, 32_000 | 44_100 | 48_000) => {
            Some("MP3")
        }
        (Container::Mpeg, Codec::Mp3) if channels <= 2 && matches!(rate, 16_000 | 22_050 | 24_000) => {
            Some("MP3X")
        }
        (Container::Mp4, Codec::AacLc) if rate <= 48_000 => match channels {
            1 | 2 if within(320_000) => Some("AAC_ISO_320"),
            1 | 2 => Some("AAC_ISO"),
            _ => Some("AAC_MULT5_ISO"),
        },
        (Container::Adts, Codec::AacLc) if rate <= 48_000 => match channels {
            1 | 2 if within(320_000) => Some("AAC_ADTS_320"),
            1 | 2 => Some("AAC_ADTS"),
            _ => Some("AAC_MULT5_ADTS"),
        },
        _ => None,
    }
}

/// What the media server serves, for ConnectionManager's SourceProtocolInfo: every media type that konpo plays.
pub const SERVED: [&str; 20] = [
    "http-get:*:audio/mpeg:DLNA.ORG_PN=MP3",
    "http-get:*:audio/mpeg:*",
    "http-get:*:audio/mp4:DLNA.ORG_PN=AAC_ISO_320",
    "http-get:*:audio/mp4:*",
    "http-get:*:audio/vnd.dlna.adts:DLNA.ORG_PN=AAC_ADTS_320",
    "http-get:*:audio/aac:*",
    "http-get:*:audio/flac:*",
    "http-get:*:audio/x-flac:*",
    "http-get:*:audio/ogg:*",
    "http-get:*:audio/wav:*",
    "http-get:*:audio/x-wav:*",
    "http-get:*:audio/aiff:*",
    "http-get:*:audio/x-ms-wma:*",
    "http-get:*:audio/dsf:*",
    "http-get:*:audio/dff:*",
    "http-get:*:audio/x-wavpack:*",
    "http-get:*:audio/x-ape:*",
    "http-get:*:audio/x-caf:*",
    "http-get:*:audio/x-matroska:*",
    "http-get:*:audio/x-musepack:*",
];

/// Returns what the renderer takes, for ConnectionManager's SinkProtocolInfo.
pub fn taken() -> String {
    let ways = PLAYED.iter().map(|mime| format!("http-get:*:{mime}:*"));
    std::iter::once("http-get:*:audio/mpeg:DLNA.ORG_PN=MP3".to_owned())
        .chain(ways)
        .collect::<Vec<_>>()
        .join(",")
}

/// Every media type that konpo plays, in all spellings that servers use: BubbleUPnP compares them letter by letter
/// (reference upnp 2.3).
const PLAYED: [&str; 42] = [
    "audio/mpeg",
    "audio/mp3",
    "audio/x-mp3",
    "audio/mpeg3",
    "audio/x-mpeg",
    "audio/flac",
    "audio/x-flac",
    "application/flac",
    "application/x-flac",
    "audio/mp4",
    "audio/m4a",
    "audio/x-m4a",
    "audio/alac",
    "audio/aac",
    "audio/aacp",
    "audio/x-aac",
    "audio/vnd.dlna.adts",
    "audio/ogg",
    "audio/x-ogg",
    "application/ogg",
    "audio/vorbis",
    "audio/x-vorbis",
    "audio/x-vorbis+ogg",
    "audio/opus",
    "audio/wav",
    "audio/x-wav",
    "audio/wave",
    "audio/vnd.wave",
    "audio/aiff",
    "audio/x-aiff",
    "audio/dsf",
    "audio/x-dsf",
    "audio/dff",
    "audio/x-dff",
    "audio/x-ms-wma",
    "audio/wavpack",
    "audio/x-wavpack",
    "audio/ape",
    "audio/x-ape",
    "audio/x-caf",
    "audio/x-matroska",
    "audio/x-musepack",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::SampleRate;

    fn format(container: Container, codec: Codec, rate: u32, channels: u16) -> AudioFormat {
        AudioFormat {
            container,
            codec,
            rate: SampleRate::new(rate),
            channels: Some(channels),
            bits: None,
            frames: None,
        }
    }

    #[test]
    fn a_profile_is_named_only_where_it_holds() {
        let second = Millis(1000);
        for (container, codec, rate, channels, bytes, want) in [
            (Container::Mpeg, Codec::Mp3, 44_100, 2, 40_000, Some("MP3")),
            (Container::Mpeg, Codec::Mp3, 24_000, 1, 8_000, Some("MP3X")),
            (Container::Mpeg, Codec::Mp3, 11_025, 1, 8_000, None),
            (Container::Mpeg, Codec::Mp2, 44_100, 2, 24_000, None),
            (Container::Mp4, Codec::AacLc, 44_100, 2, 32_000, Some("AAC_ISO_320")),
            (Container::Mp4, Codec::AacLc, 44_100, 2, 64_000, Some("AAC_ISO")),
            (Container::Mp4, Codec::AacLc, 48_000, 6, 64_000, Some("AAC_MULT5_ISO")),
            (Container::Mp4, Codec::AacLc, 96_000, 2, 32_000, None),
            (Container::Mp4, Codec::Alac, 44_100, 2, 90_000, None),
            (Container::Flac, Codec::Flac, 44_100, 2, 90_000, None),
            (Container::Adts, Codec::AacLc, 44_100, 2, 16_000, Some("AAC_ADTS_320")),
        ] {
            let form = Form::of(&format(container, codec, rate, channels), ByteCount(bytes), second);
            assert_eq!(form.profile, want, "{container:?} {codec:?} {rate} {channels} {bytes}");
        }
    }

    #[test]
    fn the_fourth_field_has_its_order() {
        let form = Form::of(&format(Container::Mpeg, Codec::Mp3, 44_100, 2), ByteCount(1), Millis(0));
        let flags = "DLNA.ORG_OP=01;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=01700000000000000000000000000000";
        assert_eq!(form.protocol_info(), format!("http-get:*:audio/mpeg:DLNA.ORG_PN=MP3;{flags}"));
        let form = Form::of(&format(Container::Flac, Codec::Flac, 96_000, 2), ByteCount(1), Millis(0));
        assert_eq!(form.protocol_info(), format!("http-get:*:audio/flac:{flags}"));
        assert_eq!(extension(&format(Container::Mp4, Codec::Alac, 1, 1)), "m4a");
        assert_eq!(extension(&format(Container::Ogg, Codec::Opus, 1, 1)), "opus");
    }
}
