//! MPEG audio frames (ISO/IEC 11172-3, 13818-3) and AAC in ADTS (ISO/IEC 14496-3, 1.A.2), with tags in front and behind.

use crate::error::{Error, Kind, Result};
use crate::media::raw::RawTag;
use crate::media::sniff::look::{Look, be, le};
use crate::media::sniff::{AacConfig, Sniffed, apev2, id3};
use crate::track::{Codec, Container};
use crate::units::{Frames, SampleRate};

/// Says what the frames behind `start` are; `raw` are the tags in front of them.
///
/// # Errors
/// `Unsupported` when there are none.
pub fn sniff(look: &mut Look<'_>, start: u64, raw: Vec<RawTag>) -> Result<Sniffed> {
    let window = look.some(start, WINDOW)?;
    let end = end_of_audio(look)?;
    let found = (0..window.len().saturating_sub(4)).find_map(|at| {
        let bytes = &window[at..];
        adts(bytes)
            .filter(|frame| follows(&window, at, frame, adts))
            .map(|f| (at, f))
            .or_else(|| header(bytes).filter(|frame| follows(&window, at, frame, header)).map(|f| (at, f)))
    });
    let Some((at, frame)) = found else {
        return Err(Error::new(Kind::Unsupported, "this is not music in a form konpo knows"));
    };
    let first = start + at as u64;
    // A tag behind the audio that claims to begin in front of it is no tag.
    let end = if end > first { end } else { look.len() };
    let mut sniffed = Sniffed::new(frame.container, frame.codec, first..end);
    sniffed.format.rate = SampleRate::new(frame.rate);
    sniffed.format.channels = Some(frame.channels);
    sniffed.format.frames = match frame.container {
        Container::Mpeg => announced(&window[at..], &frame).and_then(|said| said.sounding(&frame)),
        _ => None,
    };
    if sniffed.format.frames.is_none()
        && frame.container == Container::Mpeg
        && frame.bitrate > 0
        && end < u64::MAX
    {
        // Constant bit rate: the length follows from the size.
        let seconds = (end - sniffed.audio.start) as u128 * 8 * u128::from(frame.rate);
        sniffed.format.frames = Some(Frames((seconds / u128::from(frame.bitrate)) as u64));
    }
    sniffed.aac = (frame.container == Container::Adts)
        .then_some(AacConfig { object_type: frame.object_type, sbr: false });
    sniffed.raw = raw;
    // Some programs wrote the tag in front.
    if window.starts_with(b"APETAGEX") {
        sniffed.raw.extend(apev2::items(look, start)?);
    }
    sniffed.raw.extend(apev2::items(look, end)?);
    if end < u64::MAX && look.some(end, 3)? == b"ID3" {
        sniffed.raw.extend(id3::frames(look, end, "id3")?);
    }
    Ok(sniffed)
}

/// What a frame header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    container: Container,
    codec: Codec,
    /// Bytes of the frame with its header.
    pub bytes: usize,
    /// Frames of sound per second.
    pub rate: u32,
    /// Channels.
    pub channels: u16,
    /// Frames of sound in it.
    pub samples: u64,
    /// Bits per second.
    pub bitrate: u32,
    object_type: u8,
    /// MPEG-2 or 2.5: half the samples and a shorter side information.
    low: bool,
    /// I, II or III as 1, 2, 3; 0 for AAC.
    pub layer: u8,
    /// It has a slot more than others of its bit rate.
    pub padded: bool,
}

/// What the Xing, Info or VBRI header in a first frame says. That frame holds no sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Frames of the stream, without this one.
    pub frames: Option<u64>,
    /// Bytes of the stream, with this frame.
    pub bytes: Option<u64>,
    /// Where each hundredth of the time begins, in 1/256 of the bytes.
    pub table: Option<[u8; 100]>,
    /// What the encoder added in front and behind, in frames of sound (LAME tag); without what decoders add.
    pub gapless: Option<(u32, u32)>,
}

impl Announced {
    /// Returns the length without what the encoder added.
    fn sounding(&self, frame: &Frame) -> Option<Frames> {
        let all = self.frames?.checked_mul(frame.samples)?;
        let (delay, padding) = self.gapless.unwrap_or((0, 0));
        Some(Frames(all.saturating_sub(u64::from(delay) + u64::from(padding)))).filter(|frames| frames.0 > 0)
    }
}

/// A header is believed when the next ones stand where it says and agree, or the file ends first.
fn follows(window: &[u8], at: usize, frame: &Frame, read: fn(&[u8]) -> Option<Frame>) -> bool {
    let mut place = at;
    let mut here = *frame;
    for seen in 0..AGREEING {
        place += here.bytes;
        if place + 4 > window.len() {
            return seen > 0 || place == window.len();
        }
        match read(&window[place..]) {
            Some(next) if (next.rate, next.codec) == (here.rate, here.codec) => here = next,
            // A tag behind the only frames.
            _ => {
                return seen > 0
                    && (window[place..].starts_with(b"TAG") || window[place..].starts_with(b"APET"));
            }
        }
    }
    true
}

/// Reads the header of an MPEG audio frame; free format is none.
pub fn header(bytes: &[u8]) -> Option<Frame> {
    let head = be(bytes.get(..4)?, 0, 4) as u32;
    if head >> 21 != 0x7ff {
        return None;
    }
    let (version, layer) = (head >> 19 & 3, head >> 17 & 3);
    let (bitrate, rate) = ((head >> 12 & 15) as usize, (head >> 10 & 3) as usize);
    if version == 1 || layer == 0 || bitrate == 0 || bitrate == 15 || rate == 3 {
        return None;
    }
    let low = version != 3;
    let rate = [44_100, 48_000, 32_000][rate] >> [2, 0, 1, 0][version as usize];
    let kbit = match (low, layer) {
        (false, 3) => LAYER_1[bitrate],
        (false, 2) => LAYER_2[bitrate],
        (false, _) => LAYER_3[bitrate],
        (true, 3) => LOW_1[bitrate],
        (true, _) => LOW_2[bitrate],
    };
    let bitrate = kbit * 1000;
    let padding = head >> 9 & 1;
    let (samples, bytes) = match layer {
        3 => (384, (12 * bitrate / rate + padding) * 4),
        1 if low => (576, 72 * bitrate / rate + padding),
        _ => (1152, 144 * bitrate / rate + padding),
    };
    Some(Frame {
        container: Container::Mpeg,
        codec: if layer == 1 { Codec::Mp3 } else { Codec::Mp2 },
        bytes: bytes as usize,
        rate,
        channels: if head >> 6 & 3 == 3 { 1 } else { 2 },
        samples,
        bitrate,
        object_type: 0,
        low,
        layer: 4 - layer as u8,
        padded: padding == 1,
    })
}

fn adts(bytes: &[u8]) -> Option<Frame> {
    let head = be(bytes.get(..7)?, 0, 7);
    // Sync word of 12 bits, layer 0.
    if head >> 44 != 0xfff || head >> 41 & 3 != 0 {
        return None;
    }
    let (profile, rate, channels) = (head >> 38 & 3, (head >> 34 & 15) as usize, head >> 30 & 7);
    let length = (head >> 13 & 0x1fff) as usize;
    let rate = *AAC_RATES.get(rate)?;
    if length < 7 {
        return None;
    }
    Some(Frame {
        container: Container::Adts,
        codec: if profile == 1 { Codec::AacLc } else { Codec::Other },
        bytes: length,
        rate,
        channels: if channels == 7 { 8 } else { channels.max(1) as u16 },
        samples: 1024,
        bitrate: 0,
        object_type: profile as u8 + 1,
        low: false,
        layer: 0,
        padded: false,
    })
}

/// Reads the Xing, Info or VBRI header of a first frame.
pub fn announced(first: &[u8], frame: &Frame) -> Option<Announced> {
    if frame.layer != 3 {
        return None;
    }
    let side = match (frame.low, frame.channels) {
        (false, 2) => 32,
        (false, _) | (true, 2) => 17,
        (true, _) => 9,
    };
    let at = 4 + side;
    let name = first.get(at..at + 4)?;
    if name == b"Xing" || name == b"Info" {
        let flags = be(first, at + 4, 4);
        let mut place = at + 8;
        let mut field = |flag: u64, size: usize| {
            let here = place;
            let there = flags & flag != 0;
            place += if there { size } else { 0 };
            there.then_some(here)
        };
        let (frames, bytes, table, _quality) = (field(1, 4), field(2, 4), field(4, 100), field(8, 4));
        let number = |at: Option<usize>| at.map(|at| be(first, at, 4)).filter(|&number| number > 0);
        let coder = first.get(place..place + 4).unwrap_or_default();
        let both = first.get(place + 21..place + 24).map(|field| be(field, 0, 3));
        let known = coder == b"LAME" || coder == b"Lavc" || coder == b"Lavf";
        return Some(Announced {
            frames: number(frames),
            bytes: number(bytes),
            table: table.and_then(|at| first.get(at..at + 100)?.try_into().ok()),
            gapless: both.filter(|_| known).map(|both| ((both >> 12) as u32, (both & 0xfff) as u32)),
        });
    }
    let vbri = first.get(36..40)? == b"VBRI";
    let number = |at: usize| Some(be(first, at, 4)).filter(|&number| number > 0);
    vbri.then(|| Announced { frames: number(50), bytes: number(46), table: None, gapless: None })
}

/// Where tags behind the audio begin: ID3v1, ID3v2 with a footer, Lyrics3v2, APEv2, from the end on.
pub fn end_of_audio(look: &mut Look<'_>) -> Result<u64> {
    let mut end = look.len();
    if end == u64::MAX {
        return Ok(end);
    }
    if end >= 128 && look.some(end - 128, 3)? == b"TAG" {
        end -= 128;
    }
    if end >= 20 {
        let foot = look.some(end - 10, 10)?;
        let start = end.saturating_sub(id3::end_of(&foot));
        // The footer is a copy of the header (ID3v2.4.0-structure, 3.4).
        if foot.starts_with(b"3DI") && look.some(start, 3)? == b"ID3" {
            end = start;
        }
    }
    if end >= 15 {
        let tail = look.some(end - 15, 15)?;
        if tail.ends_with(b"LYRICS200") {
            let size = std::str::from_utf8(&tail[..6]).ok().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            end = end.saturating_sub(size + 15);
        }
    }
    if end >= 32 {
        let tail = look.some(end - 32, 32)?;
        if tail.starts_with(b"APETAGEX") {
            let header = if le(&tail, 20, 4) & 0x8000_0000 != 0 { 32 } else { 0 };
            end = end.saturating_sub(le(&tail, 12, 4) + header);
        }
    }
    Ok(end)
}

/// Noise in front of the first frame is short; files that begin with more are something else.
const WINDOW: usize = 64 << 10;
/// Four headers in a row do not agree by chance.
const AGREEING: usize = 4;
const LAYER_1: [u32; 15] = [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448];
const LAYER_2: [u32; 15] = [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384];
const LAYER_3: [u32; 15] = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const LOW_1: [u32; 15] = [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256];
const LOW_2: [u32; 15] = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
/// ISO/IEC 14496-3, table 1.18.
pub const AAC_RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
