//! Whole samples that need no decoder. symphonia's reads them one by one, which takes longer than FLAC does; this takes
//! packets as they are.

use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_PCM_S16BE, CODEC_ID_PCM_S16LE, CODEC_ID_PCM_S24BE, CODEC_ID_PCM_S24LE, CODEC_ID_PCM_S32BE,
    CODEC_ID_PCM_S32LE,
};

/// The form of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pcm {
    S16Le,
    S16Be,
    S24Le,
    S24Be,
    S32Le,
    S32Be,
}

impl Pcm {
    /// Returns the form of sound that fills its samples; `None` for every other one, which the decoder knows.
    pub fn of(parameters: &AudioCodecParameters) -> Option<Pcm> {
        let pcm = match parameters.codec {
            CODEC_ID_PCM_S16LE => Pcm::S16Le,
            CODEC_ID_PCM_S16BE => Pcm::S16Be,
            CODEC_ID_PCM_S24LE => Pcm::S24Le,
            CODEC_ID_PCM_S24BE => Pcm::S24Be,
            CODEC_ID_PCM_S32LE => Pcm::S32Le,
            CODEC_ID_PCM_S32BE => Pcm::S32Be,
            _ => return None,
        };
        // The decoder shifts samples that were coded with fewer bits than they have.
        let full = u32::try_from(pcm.width() * 8).ok()?;
        let bits = parameters.bits_per_sample.unwrap_or(full);
        (parameters.bits_per_coded_sample.unwrap_or(bits) == bits).then_some(pcm)
    }

    /// Returns the bytes of a sample.
    pub fn width(self) -> usize {
        match self {
            Pcm::S16Le | Pcm::S16Be => 2,
            Pcm::S24Le | Pcm::S24Be => 3,
            Pcm::S32Le | Pcm::S32Be => 4,
        }
    }

    /// Replaces what is in `out` by the samples, left-justified; a part of a sample at the end is left out.
    pub fn left_justified(self, bytes: &[u8], out: &mut Vec<i32>) {
        out.clear();
        match self {
            Pcm::S16Le => {
                out.extend(bytes.as_chunks().0.iter().map(|[a, b]| i32::from_le_bytes([0, 0, *a, *b])))
            }
            Pcm::S16Be => {
                out.extend(bytes.as_chunks().0.iter().map(|[a, b]| i32::from_be_bytes([*a, *b, 0, 0])))
            }
            Pcm::S24Le => {
                out.extend(bytes.as_chunks().0.iter().map(|[a, b, c]| i32::from_le_bytes([0, *a, *b, *c])));
            }
            Pcm::S24Be => {
                out.extend(bytes.as_chunks().0.iter().map(|[a, b, c]| i32::from_be_bytes([*a, *b, *c, 0])));
            }
            Pcm::S32Le => out.extend(bytes.as_chunks().0.iter().map(|it| i32::from_le_bytes(*it))),
            Pcm::S32Be => out.extend(bytes.as_chunks().0.iter().map(|it| i32::from_be_bytes(*it))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_left_justified() {
        let check = |pcm: Pcm, bytes: &[u8], expected: &[i32]| {
            let mut out = vec![7];
            pcm.left_justified(bytes, &mut out);
            assert_eq!(out, expected, "{pcm:?}");
            assert_eq!(bytes.len() / pcm.width(), expected.len());
        };
        check(Pcm::S16Le, &[0x34, 0x12, 0xff, 0xff, 1], &[0x1234_0000, -0x1_0000]);
        check(Pcm::S16Be, &[0x12, 0x34, 0x80, 0x00], &[0x1234_0000, i32::MIN]);
        check(Pcm::S24Le, &[0x56, 0x34, 0x12, 0xff, 0xff, 0xff, 9, 9], &[0x1234_5600, -0x100]);
        check(Pcm::S24Be, &[0x12, 0x34, 0x56, 0x80, 0, 0], &[0x1234_5600, i32::MIN]);
        check(Pcm::S32Le, &[0x78, 0x56, 0x34, 0x12, 0], &[0x1234_5678]);
        check(Pcm::S32Be, &[0xff, 0xff, 0xff, 0xfe], &[-2]);
    }
}
