//! MPEG audio frames (ISO/IEC 11172-3, 13818-3) cut by ourselves, for symphonia's decoders.
//!
//! symphonia's own reader looks at every frame up to where a seek leads, half a second in a long file. This one computes
//! the place where the bit rate is constant, remembers where it has been, and takes the Xing table for the rest, until a
//! table of all frames was counted.

mod index;
mod pace;

use std::io::{ErrorKind, Read, Seek, SeekFrom};

use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::{CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3};
use symphonia::core::errors::{Error as Trouble, Result, SeekErrorKind};
use symphonia::core::formats::well_known::FORMAT_ID_MP3;
use symphonia::core::formats::{FormatInfo, FormatReader, MediaInfo, SeekMode, SeekTo, SeekedTo, Track};
use symphonia::core::io::{MediaSource, MediaSourceStream};
use symphonia::core::meta::{Metadata, MetadataLog};
use symphonia::core::packet::{Packet, PacketBuilder};
use symphonia::core::units::{Duration, Timestamp};

use crate::media::sniff::mpeg::{Announced, Frame, announced, header};

use index::Index;
pub(super) use index::Stretch;
use pace::Pace;

/// A reader of MPEG audio frames. Positions are frames of sound; what the decoder and the encoder put in front lies
/// before 0.
pub(super) struct Reader {
    stream: MediaSourceStream<'static>,
    /// Bytes of the stream and where they begin.
    window: Vec<u8>,
    from: u64,
    used: usize,
    /// The last frame ended here.
    synced: bool,
    /// The first frame that sounds; its place; its successors are alike.
    like: Frame,
    first: u64,
    said: Option<Announced>,
    delay: i64,
    end: Option<i64>,
    /// The position of the next frame, and whether it was counted or computed and not only guessed.
    next: i64,
    exact: bool,
    /// Places that were met by counting, in order.
    marks: Vec<(u64, i64)>,
    pace: Option<Pace>,
    /// Where the frames lie in a file, and the table that is counted from there after the first far jump.
    stretch: Option<Stretch>,
    index: Option<Index>,
    guess: Option<Guess>,
    tracks: [Track; 1],
    info: MediaInfo,
    metadata: MetadataLog,
}

/// A frame whose position was believed after a jump, and how many came since.
struct Guess {
    place: u64,
    next: i64,
    since: u32,
}

impl Reader {
    /// Reads up to the first frame that sounds. With a stretch, the same bytes as the stream's, far jumps become exact.
    ///
    /// # Errors
    /// Those of reading; `Unsupported` when there is no frame.
    pub(super) fn new(stream: MediaSourceStream<'static>, stretch: Option<Stretch>) -> Result<Reader> {
        let nothing = header(&[0xff, 0xfb, 0x90, 0]).ok_or(Trouble::Unsupported("no frame"))?;
        let mut reader = Reader {
            stream,
            window: Vec::new(),
            from: 0,
            used: 0,
            synced: false,
            like: nothing,
            first: 0,
            said: None,
            delay: 0,
            end: None,
            next: 0,
            exact: true,
            marks: Vec::new(),
            pace: None,
            stretch,
            index: None,
            guess: None,
            tracks: [Track::new(0)],
            info: MediaInfo::default(),
            metadata: MetadataLog::default(),
        };
        reader.begin()?;
        Ok(reader)
    }

    fn begin(&mut self) -> Result<()> {
        let none = || Trouble::DecodeError("mpeg: no frame");
        let frame = self.find(None)?.ok_or_else(none)?;
        self.like = frame;
        self.said = announced(self.rest(), &frame);
        if self.said.is_some() {
            self.used += frame.bytes;
            self.like = self.find(Some(frame))?.ok_or_else(none)?;
        }
        self.first = self.place();
        self.synced = true;
        let samples = self.like.samples;
        let mut track = Track::new(0);
        let mut parameters = AudioCodecParameters::new();
        let channels = if self.like.channels == 1 { mono() } else { stereo() };
        let codec = [CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3][usize::from(self.like.layer.clamp(1, 3) - 1)];
        parameters.for_codec(codec).with_sample_rate(self.like.rate).with_channels(channels);
        track.with_codec_params(CodecParameters::Audio(parameters));
        let gapless = self.said.and_then(|said| said.gapless);
        if let Some((delay, padding)) = gapless {
            // A decoder begins 528 + 1 frames late, which takes as much from the padding.
            self.delay = i64::from(delay) + DECODER_DELAY;
            track.with_delay(delay + DECODER_DELAY as u32);
            track.with_padding(padding.saturating_sub(DECODER_DELAY as u32));
        }
        if let Some(count) = self.said.and_then(|said| said.frames).filter(|count| self.believable(*count)) {
            let padding = gapless.map_or(0, |(_, padding)| (i64::from(padding) - DECODER_DELAY).max(0));
            let all = i64::try_from(count.saturating_mul(samples)).unwrap_or(i64::MAX);
            let sounding = all.saturating_sub(self.delay).saturating_sub(padding).max(0);
            self.end = Some(sounding);
            track.with_num_frames(sounding.unsigned_abs());
        }
        self.next = -self.delay;
        self.info = MediaInfo::from_track(&track);
        self.tracks = [track];
        Ok(())
    }

    /// A count that leaves more bytes to a frame than any has would cut the music.
    fn believable(&self, count: u64) -> bool {
        let all = self.stream.byte_len().map(|len| len.saturating_sub(self.first));
        all.is_none_or(|all| all / count.max(1) <= LARGEST_FRAME)
    }

    fn rest(&self) -> &[u8] {
        &self.window[self.used..]
    }

    fn place(&self) -> u64 {
        self.from + self.used as u64
    }

    /// Sees to it that `count` bytes lie ahead. Returns `false` when the stream ends before.
    fn reach(&mut self, count: usize) -> Result<bool> {
        while self.window.len() - self.used < count {
            if self.used > 0 {
                self.window.drain(..self.used);
                self.from += self.used as u64;
                self.used = 0;
            }
            let held = self.window.len();
            self.window.resize(held + BLOCK, 0);
            let read = loop {
                match self.stream.read(&mut self.window[held..]) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    read => break read,
                }
            };
            self.window.truncate(held + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Goes to a byte.
    fn go(&mut self, place: u64) -> Result<()> {
        let inside = place.checked_sub(self.from).and_then(|at| usize::try_from(at).ok());
        match inside.filter(|at| *at <= self.window.len()) {
            Some(at) => self.used = at,
            None => {
                self.window.clear();
                (self.from, self.used) = (place, 0);
                self.stream.seek(SeekFrom::Start(place))?;
            }
        }
        Ok(())
    }

    /// Goes on to the next whole frame, passing over what is none. `None` at the end.
    fn find(&mut self, like: Option<Frame>) -> Result<Option<Frame>> {
        let alike = |frame: &Frame, other: &Frame| (frame.layer, frame.rate) == (other.layer, other.rate);
        loop {
            if !self.reach(4)? {
                return Ok(None);
            }
            let frame = header(self.rest()).filter(|frame| like.is_none_or(|like| alike(frame, &like)));
            if let Some(frame) = frame {
                let follows = self.reach(frame.bytes + 4)?;
                // Sound may look like a header; a second one behind it is no chance, nor is the end.
                let next = follows.then(|| header(&self.rest()[frame.bytes..]));
                let believed = next.is_none_or(|next| next.is_some_and(|next| alike(&next, &frame)));
                if self.rest().len() < frame.bytes {
                    return Ok(None);
                }
                if self.synced || believed {
                    self.synced = true;
                    return Ok(Some(frame));
                }
            }
            self.synced = false;
            let skip = memchr::memchr(0xff, &self.rest()[1..]).map_or(self.rest().len(), |at| at + 1);
            self.used += skip;
        }
    }

    /// Passes over the frame that begins here.
    fn pass(&mut self, frame: &Frame) {
        let often = self.marks.last().is_none_or(|(_, at)| self.next >= at.saturating_add(MARK_EVERY));
        if self.exact && often {
            self.marks.push((self.place(), self.next));
        }
        self.used += frame.bytes;
        self.next = self.next.saturating_add_unsigned(frame.samples);
    }

    /// Puts the position right once the table knows it. Not at once after a jump: whoever sought has got what he asked for,
    /// as far as it was known, before the clock is set.
    fn correct(&mut self) {
        let Some(index) = self.index.as_ref().filter(|_| !self.exact) else {
            self.guess = None;
            return;
        };
        let (place, next) = (self.from + self.used as u64, self.next);
        let guess = self.guess.get_or_insert(Guess { place, next, since: 0 });
        guess.since += 1;
        if guess.since <= SETTLED {
            return;
        }
        match index.position_at(guess.place) {
            Some(Some(position)) => {
                self.next = self.next.saturating_add(position.saturating_sub(guess.next));
                (self.exact, self.guess) = (true, None);
            }
            Some(None) => self.guess = None,
            None => {}
        }
    }

    /// Goes to a place whose position is known or believed.
    fn stand(&mut self, place: u64, next: i64, exact: bool) -> Result<()> {
        self.go(place)?;
        (self.next, self.exact, self.synced) = (next, exact, exact);
        Ok(())
    }

    /// Goes as near before a position as can be without reading all that lies between.
    fn approach(&mut self, to: i64) -> Result<()> {
        let met = self.marks.partition_point(|(_, at)| *at <= to).checked_sub(1).map(|i| self.marks[i]);
        let counted = self.index.as_ref().and_then(|index| index.before(to));
        let known = met.into_iter().chain(counted).max_by_key(|(_, at)| *at);
        let (place, at) = known.unwrap_or((self.first, -self.delay));
        let near = (to - at) / self.like.samples as i64 <= FEW_FRAMES;
        // What is known goes before what is believed.
        if self.next > to || at > self.next || (near && !self.exact) {
            self.stand(place, at, true)?;
        }
        let frames = to.saturating_sub(self.next) / self.like.samples as i64;
        if frames < FEW_FRAMES || !self.stream.is_seekable() {
            return Ok(());
        }
        let pace = match self.pace {
            Some(pace) => pace,
            None => {
                let (place, next, exact) = (self.place(), self.next, self.exact);
                let pace = self.measure()?;
                self.pace = Some(pace);
                self.stand(place, next, exact)?;
                pace
            }
        };
        self.jump(pace, to)
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
        let Some(frame) = self.find(Some(self.like))? else { return Ok(None) };
        self.correct();
        let data = self.rest()[..frame.bytes].to_vec();
        let at = self.next;
        self.pass(&frame);
        let end = self.end.filter(|_| self.exact).map(Timestamp::new);
        let packet = PacketBuilder::new().track_id(0).pts(Timestamp::new(at));
        Ok(Some(packet.trimmed_dur(Duration::new(frame.samples), end).data(data).build()))
    }

    fn seek(&mut self, _mode: SeekMode, to: SeekTo) -> Result<SeekedTo> {
        let SeekTo::Timestamp { ts: to, track_id } = to else {
            return Err(Trouble::SeekError(SeekErrorKind::Unseekable));
        };
        if to.get() < self.next && !self.stream.is_seekable() {
            return Err(Trouble::SeekError(SeekErrorKind::ForwardOnly));
        }
        self.guess = None;
        self.approach(to.get())?;
        loop {
            let frame = self.find(Some(self.like))?;
            let frame = frame.ok_or(Trouble::SeekError(SeekErrorKind::OutOfRange))?;
            if self.next.saturating_add_unsigned(frame.samples) > to.get() {
                return Ok(SeekedTo { track_id, actual_ts: Timestamp::new(self.next), required_ts: to });
            }
            self.pass(&frame);
        }
    }

    fn into_inner<'s>(self: Box<Self>) -> MediaSourceStream<'s>
    where
        Self: 's,
    {
        self.stream
    }
}

fn mono() -> symphonia::core::audio::Channels {
    symphonia::core::audio::layouts::CHANNEL_LAYOUT_MONO
}

fn stereo() -> symphonia::core::audio::Channels {
    symphonia::core::audio::layouts::CHANNEL_LAYOUT_STEREO
}

const INFO: FormatInfo =
    FormatInfo { format: FORMAT_ID_MP3, short_name: "mpeg", long_name: "MPEG audio frames" };
/// Frames of sound by which every decoder of layer III is late.
const DECODER_DELAY: i64 = 529;
/// Bytes read at once.
const BLOCK: usize = 64 << 10;
/// Bytes: 384 kbit/s of layer II at 32 kHz.
const LARGEST_FRAME: u64 = 1800;
/// Frames after a jump before its position is put right.
pub(super) const SETTLED: u32 = 64;
/// Frames of sound between two marks, three seconds of them.
const MARK_EVERY: i64 = 128 * 1152;
/// MPEG frames that are counted through rather than jumped over: half a megabyte.
const FEW_FRAMES: i64 = 512;
