//! Matroska and WebM (RFC 8794, RFC 9559): what the tracks say, up to the first cluster.

use crate::error::{Error, Kind, Result};
use crate::media::sniff::look::{Look, be};
use crate::media::sniff::{Sniffed, matroska_tags};
use crate::track::{Codec, Container, Protection};
use crate::units::{Frames, SampleRate};

/// What the walk gathers.
#[derive(Default)]
struct Walk {
    elements: usize,
    /// Nanoseconds of a tick, and the length in ticks.
    scale: Option<u64>,
    ticks: f64,
    film: bool,
    locked: bool,
    track: Track,
    sound: Option<Track>,
}

#[derive(Default, Clone)]
struct Track {
    kind: u64,
    codec: Vec<u8>,
    rate: f64,
    channels: Option<u16>,
    bits: Option<u16>,
}

/// Says what a Matroska file is.
///
/// # Errors
/// `Damaged` when it breaks off in its head, `Unsupported` when it is a film or has no sound.
pub fn sniff(look: &mut Look<'_>) -> Result<Sniffed> {
    let mut walk = Walk::default();
    walk.children(look, 0, look.len(), 0)?;
    if walk.film {
        return Err(Error::new(Kind::Unsupported, "this is not music: it is a film"));
    }
    let track =
        walk.sound.ok_or_else(|| Error::new(Kind::Unsupported, "this Matroska file holds no sound"))?;
    let mut sniffed = Sniffed::new(Container::Matroska, codec(&track.codec), 0..look.len());
    if walk.locked {
        sniffed.protection = Protection::UnknownEncrypted;
    }
    let format = &mut sniffed.format;
    // The casts saturate, and what is no number is 0.
    format.rate = SampleRate::new(track.rate as u32);
    format.channels = track.channels;
    format.bits = track.bits.filter(|_| format.codec.is_lossless());
    let seconds = walk.ticks * walk.scale.unwrap_or(1_000_000) as f64 / 1e9;
    let frames = (seconds * track.rate).round() as u64;
    format.frames = (frames > 0 && frames < 1 << 62).then_some(Frames(frames));
    sniffed.raw = matroska_tags::read(look)?;
    Ok(sniffed)
}

fn codec(id: &[u8]) -> Codec {
    match id {
        b"A_OPUS" => Codec::Opus,
        b"A_VORBIS" => Codec::Vorbis,
        b"A_FLAC" => Codec::Flac,
        b"A_ALAC" => Codec::Alac,
        b"A_MPEG/L3" => Codec::Mp3,
        b"A_MPEG/L2" => Codec::Mp2,
        b"A_WAVPACK4" => Codec::WavPack,
        _ if id.starts_with(b"A_AAC") => Codec::AacLc,
        _ if id.starts_with(b"A_PCM/") => Codec::Pcm,
        _ => Codec::Other,
    }
}

impl Walk {
    /// Returns `false` when the first cluster was met: what follows is sound.
    fn children(&mut self, look: &mut Look<'_>, mut at: u64, end: u64, depth: usize) -> Result<bool> {
        while at < end {
            self.elements += 1;
            if self.elements > MOST_ELEMENTS {
                return Err(Error::new(
                    Kind::Damaged,
                    "the Matroska file has more elements than any real one",
                ));
            }
            let head = look.some(at, 12)?;
            let Some((id, id_size)) = number(&head, 4, false) else { break };
            let Some((size, size_size)) = number(&head[id_size..], 8, true) else { break };
            let body = at + (id_size + size_size) as u64;
            // All ones: as long as the parent.
            let open = size == (1 << (7 * size_size)) - 1;
            let stop = if open { end } else { body.saturating_add(size) };
            if id == CLUSTER {
                return Ok(false);
            }
            let known = matches!(id, SEGMENT | INFO | TRACKS | ENTRY | AUDIO | ENCODINGS | ENCODING);
            if known && depth < DEEPEST {
                if id == ENTRY {
                    self.track = Track::default();
                }
                let on = self.children(look, body, stop.min(end), depth + 1)?;
                if id == ENTRY {
                    self.entry();
                }
                if !on {
                    return Ok(false);
                }
            } else if stop - body <= LARGEST_VALUE {
                self.value(id, &look.some(body, (stop - body) as usize)?);
            } else if id == ENCRYPTION {
                self.locked = true;
            }
            at = stop;
        }
        Ok(true)
    }

    fn value(&mut self, id: u64, bytes: &[u8]) {
        let whole = be(bytes, 0, bytes.len().min(8));
        let float = match bytes.len() {
            4 => f64::from(f32::from_bits(whole as u32)),
            8 => f64::from_bits(whole),
            _ => 0.0,
        };
        match id {
            SCALE => self.scale = Some(whole),
            DURATION => self.ticks = float,
            KIND => self.track.kind = whole,
            CODEC => self.track.codec = bytes.to_vec(),
            RATE => self.track.rate = float,
            CHANNELS => self.track.channels = u16::try_from(whole).ok(),
            BITS => self.track.bits = u16::try_from(whole).ok(),
            ENCRYPTION => self.locked = true,
            _ => {}
        }
    }

    fn entry(&mut self) {
        match self.track.kind {
            1 => self.film = true,
            2 => {
                let track = std::mem::take(&mut self.track);
                self.sound.get_or_insert(track);
            }
            _ => {}
        }
    }
}

/// Reads a number whose leading zeros tell its length (RFC 8794, 4); an id keeps the mark of its length.
pub fn number(bytes: &[u8], most: usize, bare: bool) -> Option<(u64, usize)> {
    let size = bytes.first()?.leading_zeros() as usize + 1;
    if size > most || bytes.len() < size {
        return None;
    }
    let value = be(bytes, 0, size);
    Some((if bare { value & ((1 << (7 * size)) - 1) } else { value }, size))
}

const SEGMENT: u64 = 0x1853_8067;
const INFO: u64 = 0x1549_a966;
const SCALE: u64 = 0x2a_d7b1;
const DURATION: u64 = 0x4489;
const TRACKS: u64 = 0x1654_ae6b;
const ENTRY: u64 = 0xae;
const KIND: u64 = 0x83;
const CODEC: u64 = 0x86;
const AUDIO: u64 = 0xe1;
const RATE: u64 = 0xb5;
const CHANNELS: u64 = 0x9f;
const BITS: u64 = 0x6264;
const ENCODINGS: u64 = 0x6d80;
const ENCODING: u64 = 0x6240;
const ENCRYPTION: u64 = 0x5035;
const CLUSTER: u64 = 0x1f43_b675;
const MOST_ELEMENTS: usize = 4096;
const DEEPEST: usize = 8;
/// Bytes of a value that is read.
const LARGEST_VALUE: u64 = 256;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::media::sound::Sound;
    use crate::mint::element;

    fn track(kind: u8, codec: &[u8], more: &[u8]) -> Vec<u8> {
        let audio =
            [element(RATE, &48_000f64.to_be_bytes()), element(CHANNELS, &[2]), element(BITS, &[24])].concat();
        let inner = [element(KIND, &[kind]), element(CODEC, codec), element(AUDIO, &audio), more.to_vec()];
        element(ENTRY, &inner.concat())
    }

    fn sniffed(tracks: &[Vec<u8>]) -> Result<Sniffed> {
        let info = [element(SCALE, &[0x0f, 0x42, 0x40]), element(DURATION, &2500f32.to_be_bytes())].concat();
        let inner = [element(INFO, &info), element(TRACKS, &tracks.concat()), element(CLUSTER, &[0; 9])];
        let bytes = [element(0x1a45_dfa3, &[]), element(SEGMENT, &inner.concat())].concat();
        let length = bytes.len() as u64;
        crate::media::sniff::sniff(&mut Sound::new(Cursor::new(bytes), Some(length), None))
    }

    #[test]
    fn the_first_sound_track_says_what_it_is() {
        let found =
            sniffed(&[track(17, b"S_TEXT/UTF8", &[]), track(2, b"A_FLAC", &[])]).expect("it is known");
        let format = found.format;
        assert_eq!((format.container, format.codec), (Container::Matroska, Codec::Flac));
        assert_eq!(
            (format.rate.map(SampleRate::hz), format.channels, format.bits),
            (Some(48_000), Some(2), Some(24))
        );
        assert_eq!(format.frames, Some(Frames(120_000)));
        assert_eq!(found.protection, Protection::None);
        let opus = sniffed(&[track(2, b"A_OPUS", &[])]).expect("it is known");
        assert_eq!((opus.format.codec, opus.format.bits), (Codec::Opus, None));
    }

    #[test]
    fn films_and_locked_tracks_stay_out() {
        let film = sniffed(&[track(1, b"V_VP9", &[]), track(2, b"A_OPUS", &[])]).expect_err("a film");
        assert_eq!(film.kind(), Kind::Unsupported);
        assert_eq!(sniffed(&[]).expect_err("no sound").kind(), Kind::Unsupported);
        for body in [vec![], vec![0; 1000]] {
            let lock = element(ENCODINGS, &element(ENCODING, &element(ENCRYPTION, &body)));
            let locked = sniffed(&[track(2, b"A_FLAC", &lock)]).expect("it is known");
            assert_eq!(locked.gate().expect_err("locked").kind(), Kind::Unsupported);
        }
    }
}
