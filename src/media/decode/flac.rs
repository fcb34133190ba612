//! FLAC frames (RFC 9639) cut by ourselves, for symphonia's decoder.
//!
//! symphonia opens the stream and goes where a seek leads. Its way from frame to frame takes a sixth of the time of
//! decoding, most of it for the search and the sum; this one takes a third of that. It keeps the rule: a frame lasts from
//! a header that fits the stream to the next one for which the sum is right, and what is damaged is left out.

mod sum;

use std::io::{Cursor, Read, Seek, SeekFrom};

use memchr::memmem::Finder;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::errors::{Error as Trouble, Result, SeekErrorKind};
use symphonia::core::formats::well_known::FORMAT_ID_FLAC;
use symphonia::core::formats::{
    FormatInfo, FormatOptions, FormatReader, MediaInfo, SeekMode, SeekTo, SeekedTo, Track,
};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::{Metadata, MetadataLog};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default::formats::FlacReader;

use crate::media::sniff::flac::{Header, header};
use crate::media::sniff::look::be;

use sum::crc16;

/// A reader of FLAC frames. Positions are frames of sound.
pub(super) struct Reader {
    stage: Stage,
    shape: Shape,
    sync: Finder<'static>,
    /// Bytes of the stream, of which `filled` were read.
    window: Vec<u8>,
    filled: usize,
    /// Bytes to read next.
    step: usize,
    /// No more bytes come.
    ended: bool,
    /// Where the next header is looked for.
    seen: usize,
    /// Where the frame may have begun that is looked at, the oldest place first, and how far their sums were taken.
    starts: Vec<Start>,
    summed: usize,
    /// The number of the last whole frame.
    last: u64,
    tracks: [Track; 1],
    info: MediaInfo,
    metadata: MetadataLog,
}

enum Stage {
    /// Opened or sought: symphonia stands in front of a frame.
    Found(Box<FlacReader<'static>>),
    /// On the way from frame to frame.
    Cutting(MediaSourceStream<'static>),
    /// The stream went with an error while symphonia opened it.
    Lost,
}

/// Where a frame may begin.
struct Start {
    at: usize,
    header: Header,
    sum: u16,
}

/// What STREAMINFO says of every frame (RFC 9639, 8.2).
struct Shape {
    smallest: u64,
    largest: u64,
    /// Bytes of the largest frame.
    bytes: usize,
    rate: u64,
    channels: u64,
    bits: u64,
}

impl Reader {
    /// Reads up to the first frame.
    ///
    /// # Errors
    /// Those of reading; `DecodeError` when it is no FLAC.
    pub(super) fn new(stream: MediaSourceStream<'static>) -> Result<Reader> {
        let reader = Box::new(FlacReader::try_new(stream, FormatOptions::default())?);
        let track = reader.tracks().first().ok_or(Trouble::DecodeError("flac: no track"))?.clone();
        let info = match &track.codec_params {
            Some(CodecParameters::Audio(parameters)) => parameters.extra_data.as_deref(),
            _ => None,
        };
        let shape = Shape::of(info.unwrap_or_default());
        Ok(Reader {
            sync: Finder::new(if shape.is_fixed() { &FIXED } else { &VARIABLE }),
            shape,
            info: *reader.media_info(),
            tracks: [track],
            stage: Stage::Found(reader),
            window: Vec::new(),
            filled: 0,
            step: LEAST,
            ended: false,
            seen: 0,
            starts: Vec::new(),
            summed: 0,
            last: 0,
            metadata: MetadataLog::default(),
        })
    }

    /// Takes the stream from symphonia, which left it at a frame.
    fn begin(&mut self) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Lost) {
            Stage::Found(reader) => Stage::Cutting(reader.into_inner()),
            stage => stage,
        };
        self.starts.clear();
        (self.filled, self.seen, self.summed, self.last) = (0, 0, 0, 0);
        (self.step, self.ended) = (LEAST, false);
    }

    /// Reads on. What lies before the frame that is looked at goes.
    fn more(&mut self) -> Result<()> {
        let Stage::Cutting(stream) = &mut self.stage else { return Err(lost()) };
        if self.window.len() < self.filled + self.step {
            let gone = self.starts.first().map_or(self.seen, |start| start.at);
            self.window.copy_within(gone..self.filled, 0);
            self.filled -= gone;
            self.seen -= gone;
            self.summed = self.summed.saturating_sub(gone);
            self.starts.iter_mut().for_each(|start| start.at -= gone);
            if self.window.len() < self.filled + self.step {
                self.window.resize(self.filled + WINDOW, 0);
            }
        }
        let read = stream.read(&mut self.window[self.filled..self.filled + self.step])?;
        self.filled += read;
        self.ended = read == 0;
        // What cannot be sought is heard as it comes.
        if stream.is_seekable() {
            self.step = (2 * self.step).min(MOST);
        }
        Ok(())
    }

    /// Goes on to the next header that fits the stream. `None` at the end of what was read.
    fn next_header(&mut self) -> Option<(usize, Header)> {
        while let Some(offset) = self.sync.find(&self.window[self.seen..self.filled]) {
            let at = self.seen + offset;
            if self.filled - at < LONGEST_HEADER && !self.ended {
                self.seen = at;
                return None;
            }
            self.seen = at + FIXED.len();
            let header = header(&self.window[at..self.filled]);
            if let Some(header) = header.filter(|header| self.shape.fits(header, self.last)) {
                return Some((at, header));
            }
        }
        // The first half of a sync code may be the last byte.
        self.seen = self.seen.max(self.filled.saturating_sub(1));
        None
    }

    /// Returns the frame that ends here, if the sum is right for one of the places where it may have begun.
    fn frame_to(&mut self, end: usize) -> Option<Packet> {
        let bytes = &self.window[self.summed..end];
        self.starts.iter_mut().for_each(|start| start.sum = crc16(start.sum, bytes));
        self.summed = end;
        let whole = self.starts.iter().position(|start| start.sum == 0)?;
        let Start { at, header: Header { number, block, .. }, .. } = self.starts.swap_remove(whole);
        self.starts.clear();
        self.last = number;
        let first = if self.shape.is_fixed() { number * self.shape.smallest } else { number };
        let first = Timestamp::new(i64::try_from(first).unwrap_or(i64::MAX));
        Some(Packet::new(0, first, Duration::new(block), &self.window[at..end]))
    }

    /// Takes a place as one where a frame may begin. Damage may hide an end, so that a frame seems to be longer than any.
    fn start(&mut self, at: usize, header: Header) {
        let long = self.starts.first().is_some_and(|start| at - start.at > self.shape.bytes);
        if long || self.starts.len() == MOST_STARTS {
            self.starts.remove(0);
        }
        self.starts.push(Start { at, header, sum: 0 });
        self.summed = at;
    }
}

impl FormatReader for Reader {
    fn format_info(&self) -> &FormatInfo {
        &INFO
    }

    fn media_info(&self) -> &MediaInfo {
        &self.info
    }

    fn metadata(&mut self) -> Metadata<'_> {
        self.metadata.metadata()
    }

    fn tracks(&self) -> &[Track] {
        &self.tracks
    }

    fn next_packet(&mut self) -> Result<Option<Packet>> {
        if matches!(self.stage, Stage::Found(_)) {
            self.begin();
        }
        loop {
            if let Some((at, header)) = self.next_header() {
                let packet = self.frame_to(at);
                self.start(at, header);
                if packet.is_some() {
                    return Ok(packet);
                }
            } else if self.ended {
                let packet = self.frame_to(self.filled);
                self.starts.clear();
                return Ok(packet);
            } else {
                if self.starts.first().is_some_and(|start| self.filled - start.at > LARGEST_FRAME) {
                    self.starts.clear();
                }
                self.more()?;
            }
        }
    }

    /// Opened anew, symphonia keeps no half frame from before.
    fn seek(&mut self, mode: SeekMode, to: SeekTo) -> Result<SeekedTo> {
        if let Stage::Cutting(stream) = &mut self.stage {
            if !stream.is_seekable() {
                return Err(Trouble::SeekError(SeekErrorKind::ForwardOnly));
            }
            stream.seek(SeekFrom::Start(0))?;
        }
        let mut reader = match std::mem::replace(&mut self.stage, Stage::Lost) {
            Stage::Found(reader) => reader,
            Stage::Cutting(stream) => Box::new(FlacReader::try_new(stream, FormatOptions::default())?),
            Stage::Lost => return Err(lost()),
        };
        let reached = reader.seek(mode, to);
        self.stage = Stage::Found(reader);
        reached
    }

    fn into_inner<'s>(self: Box<Self>) -> MediaSourceStream<'s>
    where
        Self: 's,
    {
        match self.stage {
            Stage::Found(reader) => reader.into_inner(),
            Stage::Cutting(stream) => stream,
            Stage::Lost => MediaSourceStream::new(Box::new(Cursor::new([])), Default::default()),
        }
    }
}

impl Shape {
    fn of(info: &[u8]) -> Shape {
        let packed = be(info, 10, 8);
        let bytes = be(info, 7, 3) as usize;
        Shape {
            smallest: be(info, 0, 2),
            largest: be(info, 2, 2),
            bytes: if bytes == 0 { LARGEST_FRAME } else { bytes },
            rate: packed >> 44,
            channels: (packed >> 41 & 7) + 1,
            bits: (packed >> 36 & 31) + 1,
        }
    }

    /// All blocks are of one size, and frames are numbered instead of samples.
    fn is_fixed(&self) -> bool {
        self.smallest == self.largest
    }

    /// Returns whether a frame may belong to the stream, behind one of the number `last`.
    fn fits(&self, header: &Header, last: u64) -> bool {
        (header.number > last || header.number == 0)
            && (header.rate == 0 || header.rate == self.rate)
            && (header.bits == 0 || header.bits == self.bits)
            && header.channels == self.channels
            && header.block <= self.largest
    }
}

fn lost() -> Trouble {
    Trouble::SeekError(SeekErrorKind::Unseekable)
}

const INFO: FormatInfo =
    FormatInfo { format: FORMAT_ID_FLAC, short_name: "flac", long_name: "Free Lossless Audio Codec" };
/// Sync codes with the bit of the blocking strategy (RFC 9639, 9.1).
const FIXED: [u8; 2] = [0xff, 0xf8];
const VARIABLE: [u8; 2] = [0xff, 0xf9];
/// Bytes of the longest header: sync code, codes, a number of 7 bytes, block size, rate and sum.
const LONGEST_HEADER: usize = 16;
/// Bytes read at once: few behind a jump, so that the first frame comes soon.
const LEAST: usize = 4 << 10;
const MOST: usize = 32 << 10;
/// Bytes that are held beside a frame.
const WINDOW: usize = 128 << 10;
/// Bytes: 8 channels of 65,535 samples of 32 bits, as they are, take half of it.
const LARGEST_FRAME: usize = 4 << 20;
/// Headers that are believed at a time: sound that looks like one is rare, and its sum is taken from each.
const MOST_STARTS: usize = 4;

#[cfg(test)]
mod tests;
