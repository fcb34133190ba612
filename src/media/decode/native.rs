//! Decoding inside the process: symphonia's readers and decoders, and libopus, trimmed to the very frames that were encoded.
//!
//! FLAC, ALAC, WAV, AIFF and CAF come out bit-exact.

mod alac;
mod parts;
mod pcm;
mod planes;

use std::io::{Seek, SeekFrom};
use std::ops::Range;

use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::{Error as Trouble, SeekErrorKind};
use symphonia::core::formats::{FormatReader, SeekMode, SeekTo, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::packet::Packet;
use symphonia::core::units::{TimeBase, Timestamp};

use crate::error::{Error, Kind, Result};
use crate::media::decode::mpeg::{SETTLED, Stretch};
use crate::media::decode::source::{Layout, Source};
use crate::media::decode::window::window;
use crate::media::decode::{Block, Samples, Spec, clear};
use crate::media::sniff::Sniffed;
use crate::media::sound::Sound;
use crate::track::{Codec, Container};
use crate::units::{Frames, SampleRate};

use parts::{OpusHead, audio_decoder, broken, contained, reader, trouble};
use pcm::Pcm;
use planes::interleaved;

/// A sound that symphonia and libopus decode.
pub(super) struct Native {
    /// `None` only after a panic inside [`Native::rewind`].
    reader: Option<Box<dyn FormatReader>>,
    decoder: Box<dyn AudioDecoder>,
    track: u32,
    container: Container,
    codec: Codec,
    /// MP4 in movie fragments, whose seek table symphonia walks wrongly.
    fragmented: bool,
    spec: Spec,
    /// Ticks of the container are frames.
    ticks_are_frames: bool,
    time_base: Option<TimeBase>,
    /// A packet's stated duration bounds what it sounds (the last AAC packet in MP4).
    duration_bounds: bool,
    /// The stretch of the container's timeline that sounds, in frames.
    first: i64,
    end: Option<i64>,
    /// The earliest position that the container knows.
    earliest: i64,
    /// The gain that an Opus head orders, as a factor; `None` is unity.
    factor: Option<f32>,
    length: Option<Frames>,
    /// Added to packet times; grows with each link of a chained Ogg stream.
    base: i64,
    /// Where the next packet begins if nothing says otherwise.
    expected: i64,
    /// Nothing before this is given out.
    wanted: i64,
    /// Packets that end before this are not decoded.
    skim: i64,
    /// A decoded packet that waits in the decoder: its first frame's position and its frames.
    pending: Option<(i64, usize)>,
    /// Packets since the last jump.
    run: u32,
    /// The reader put the position right: what it said since a jump was a guess.
    corrected: bool,
    /// Its samples need no decoder.
    pcm: Option<Pcm>,
    /// What is pending, where nothing was decoded.
    raw: Option<Packet>,
    /// Bytes of the first packet, for guessing a length.
    packet_bytes: Option<u64>,
    skipped: u64,
    bad_run: u32,
    state: Health,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Sound,
    Ended,
    /// A panic left the decoder in a state nobody knows.
    Broken,
}

impl Native {
    /// Opens a sound that passed the gate and decodes its first packet.
    ///
    /// # Errors
    /// As [`super::Decoder::open`].
    pub(super) fn open(mut sound: Sound, sniffed: &Sniffed) -> Result<Native> {
        let layout = Layout::of(&mut sound, sniffed)?;
        let (payload, fragmented) = (layout.payload(), layout.fragmented());
        let stretch = sound.opened().zip(payload).filter(|_| sniffed.format.container == Container::Mpeg);
        let stretch = stretch.map(|(file, len)| Stretch { file: file.clone(), start: layout.start(), len });
        // An honest stream that cannot seek is not walked through by symphonia's ADTS reader. It may seek once it is open.
        let walks = sniffed.format.container == Container::Adts;
        let (source, seekable) = Source::new(sound, layout, !walks);
        let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
        let container = sniffed.format.container;
        let reader =
            contained(|| reader(container, stream, stretch))?.map_err(|e| trouble("open the file", e))?;
        seekable.set(true);
        let mut decoder = contained(|| Native::with(reader, sniffed, fragmented))??;
        if !decoder.decode_packet()? {
            return Err(Error::new(Kind::Damaged, "no sound could be decoded"));
        }
        decoder.settle(payload);
        decoder.pcm = Pcm::of(decoder.decoder.codec_params()).filter(|_| !decoder.spec.float);
        Ok(decoder)
    }

    fn with(mut reader: Box<dyn FormatReader>, sniffed: &Sniffed, fragmented: bool) -> Result<Native> {
        // Pictures and texts that the reader kept are of no use here.
        reader.metadata().skip_to_latest();
        let mut track = reader
            .default_track(TrackType::Audio)
            .ok_or_else(|| Error::new(Kind::Damaged, "there is no audio track in the file"))?
            .clone();
        if fragmented {
            // What it counted is not what the fragments hold.
            (track.num_frames, track.duration) = (None, None);
        }
        let (decoder, opus) = audio_decoder(&track)?;
        let rate = decoder.codec_params().sample_rate.and_then(SampleRate::new).unwrap_or(SampleRate::CD);
        let recip = |base: TimeBase| base.numer.get() == 1 && base.denom.get() == rate.hz();
        let ticks_are_frames = track.time_base.is_none_or(recip);
        let mp4 = sniffed.format.container == Container::Mp4;
        let mut window = window(&track, sniffed, rate, mp4 && ticks_are_frames);
        if let Some(head) = &opus {
            window.skip(track.start_ts.get(), track.num_frames, head.skip);
        }
        let before = track.delay.filter(|_| !mp4 && opus.is_none());
        Ok(Native {
            reader: Some(reader),
            decoder,
            track: track.id,
            container: sniffed.format.container,
            codec: sniffed.format.codec,
            fragmented,
            spec: Spec { rate, channels: 0, bits: 0, float: false },
            ticks_are_frames,
            time_base: track.time_base,
            duration_bounds: mp4 && ticks_are_frames,
            first: window.first,
            end: window.end,
            earliest: before.map_or(0, |delay| -i64::from(delay)),
            factor: opus.and_then(|head| head.factor()),
            length: window.length,
            base: 0,
            expected: 0,
            wanted: window.first,
            skim: i64::MIN,
            pending: None,
            run: 0,
            corrected: false,
            pcm: None,
            raw: None,
            packet_bytes: None,
            skipped: 0,
            bad_run: 0,
            state: Health::Sound,
        })
    }

    /// Takes the shape of the sound from the first decoded packet: parameters of a container may lie (HE-AAC).
    fn settle(&mut self, payload: Option<u64>) {
        let decoded = self.decoder.last_decoded();
        let float = matches!(decoded, GenericAudioBufferRef::F32(_) | GenericAudioBufferRef::F64(_));
        let parameters = self.decoder.codec_params();
        // ALAC has its depth in the magic cookie only (ALACSpecificConfig: frameLength, compatibleVersion, bitDepth).
        let cookie = parameters.extra_data.as_deref().filter(|_| self.codec == Codec::Alac);
        let depth = cookie.and_then(|cookie| cookie.get(5)).map(|depth| u32::from(*depth));
        let said = parameters.bits_per_sample.or(depth).unwrap_or(match decoded {
            GenericAudioBufferRef::U8(_) | GenericAudioBufferRef::S8(_) => 8,
            GenericAudioBufferRef::U16(_) | GenericAudioBufferRef::S16(_) => 16,
            GenericAudioBufferRef::U24(_) | GenericAudioBufferRef::S24(_) => 24,
            _ => 32,
        });
        let bits = match said {
            _ if float => 32,
            0..=16 => 16,
            17..=24 => 24,
            _ => 32,
        };
        self.spec.bits = bits;
        self.spec.float = float;
        if self.length.is_none() && matches!(self.container, Container::Mpeg | Container::Adts) {
            self.length = self.guess_length(payload);
        }
    }

    /// Guesses the length of MPEG frames without a header that tells it, from the bit rate of the first one.
    fn guess_length(&self, payload: Option<u64>) -> Option<Frames> {
        let (_, frames) = self.pending?;
        let packet = self.packet_bytes?;
        Some(Frames(payload?.checked_div(packet)?.saturating_mul(frames as u64)))
    }

    /// Returns the shape of the samples.
    pub(super) fn spec(&self) -> Spec {
        self.spec
    }

    /// Returns the length; exact where the file tells it, else guessed from the bit rate, `None` when nothing tells.
    pub(super) fn duration(&self) -> Option<Frames> {
        self.length
    }

    /// Returns how many damaged packets were left out.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Returns, once, whether the last block's position does not follow from the one before: it was a guess.
    pub(super) fn corrected(&mut self) -> bool {
        std::mem::take(&mut self.corrected)
    }

    /// Decodes the next block into `out`. Returns `false` at the end, with `out` empty.
    ///
    /// # Errors
    /// `Damaged` after 50 bad packets in a row or when the decoder itself broke down; those of reading.
    pub(super) fn next(&mut self, out: &mut Block) -> Result<bool> {
        loop {
            if self.pending.is_none() && !self.decode_packet()? {
                clear(out);
                return Ok(false);
            }
            if self.give(out) {
                return Ok(true);
            }
        }
    }

    /// Copies the wanted part of the pending packet. Returns whether there was any.
    fn give(&mut self, out: &mut Block) -> bool {
        let Some((start, frames)) = self.pending.take() else { return false };
        let stop = start.saturating_add(frames as i64);
        let to = self.end.map_or(stop, |end| stop.min(end));
        if self.end.is_some_and(|end| stop >= end) {
            self.state = Health::Ended;
        }
        let from = start.max(self.wanted);
        if from >= to {
            return false;
        }
        self.copy_out((from - start) as usize..(to - start) as usize, out);
        out.at = Frames((from - self.first).max(0) as u64);
        self.wanted = to;
        true
    }

    /// Copies frames of the pending packet.
    fn copy_out(&mut self, frames: Range<usize>, out: &mut Block) {
        match (&out.samples, self.spec.float) {
            (Samples::Float(_), true) | (Samples::Int(_), false) => {}
            (_, true) => out.samples = Samples::Float(Vec::new()),
            (_, false) => out.samples = Samples::Int(Vec::new()),
        }
        if let (Some(pcm), Some(packet), Samples::Int(samples)) =
            (self.pcm, self.raw.take(), &mut out.samples)
        {
            let width = pcm.width() * usize::from(self.spec.channels);
            let bytes = packet.data.get(frames.start * width..frames.end * width);
            pcm.left_justified(bytes.unwrap_or_default(), samples);
            return;
        }
        interleaved(&self.decoder.last_decoded(), frames, &mut out.samples);
        if let (Some(factor), Samples::Float(samples)) = (self.factor, &mut out.samples) {
            samples.iter_mut().for_each(|sample| *sample *= factor);
        }
    }

    /// Goes to a frame; the next block begins there. Beyond the end it goes to the end. Returns the position reached.
    ///
    /// # Errors
    /// `Unsupported` when the sound cannot be sought, `Damaged`, and those of reading.
    ///
    /// # Blocks
    /// For an MP3 symphonia walks all frame headers up to the position, reading every byte in between.
    pub(super) fn seek(&mut self, to: Frames) -> Result<Frames> {
        if self.state == Health::Broken {
            return Err(broken());
        }
        let ahead = i64::try_from(to.0).unwrap_or(i64::MAX);
        let mut target = self.first.saturating_add(ahead);
        if let Some(end) = self.end.or(self.exact_end()) {
            target = target.min(end);
            if target == end {
                self.pending = None;
                self.wanted = end;
                self.state = Health::Ended;
                return Ok(Frames((end - self.first).max(0) as u64));
            }
        }
        // The first try goes back as far as the codec's memory reaches; a container that lands late gets more room.
        let second = i64::from(self.spec.rate.hz());
        let ogg_tail = self.container == Container::Ogg
            && self.length.is_none_or(|length| to.0.saturating_add(OGG_TAIL) > length.0);
        // Its Ogg reader counts a page's times from its end, which is early on the last page: begin in front of it.
        let memory = if ogg_tail { OGG_TAIL as i64 } else { self.memory() };
        for room in [memory, second, 10 * second, i64::MAX] {
            let from = target.saturating_sub(room).max(self.earliest);
            if !self.jump(from)? {
                self.state = Health::Ended;
                return Ok(self.length.unwrap_or(to).min(to));
            }
            self.wanted = target;
            let skipped = self.skipped;
            let found = self.decode_to(target)?;
            if found || from <= self.earliest {
                // The first packets after a jump may lack what they refer to; that is no damage.
                self.skipped = skipped;
                let at = self.pending.map_or(self.expected, |(start, _)| start.max(target));
                self.wanted = at.max(self.first);
                return Ok(Frames((self.wanted - self.first).max(0) as u64));
            }
        }
        Err(Error::new(Kind::Damaged, "the position cannot be found in the file"))
    }

    /// Decodes and drops up to the packet that holds a position. Returns whether it was met; the stream may have ended
    /// before, or may have begun behind.
    fn decode_to(&mut self, target: i64) -> Result<bool> {
        while self.decode_packet()? {
            match self.pending {
                Some((start, frames)) if start.saturating_add(frames as i64) > target => {
                    return Ok(start <= target);
                }
                _ => self.pending = None,
            }
        }
        Ok(false)
    }

    /// Moves the container to a packet at or before a position and forgets what was decoded. Returns `false` when the
    /// position lies beyond the end.
    fn jump(&mut self, from: i64) -> Result<bool> {
        let ticks = self.ticks(from.saturating_sub(self.base));
        let to = SeekTo::Timestamp { ts: Timestamp::new(ticks), track_id: self.track };
        self.pending = None;
        // Its Ogg reader counts a page's times from its end, which the first page of a short stream does not allow.
        let near = self.container == Container::Ogg && self.base == 0 && from < NEAR;
        let walk = self.fragmented || near;
        // Its CAF reader does not find back from the end of a packet table.
        if self.container == Container::Caf || walk {
            self.rewind()?;
        }
        let (reader, decoder) = (self.reader.as_mut().ok_or_else(broken)?, &mut self.decoder);
        let reached = contained(|| {
            decoder.reset();
            if walk { Ok(None) } else { reader.seek(SeekMode::Accurate, to).map(Some) }
        });
        let reached = reached.inspect_err(|_| self.state = Health::Broken)?;
        let reached = match reached {
            Ok(reached) => reached.map_or(0, |reached| reached.actual_ts.get()),
            Err(Trouble::SeekError(SeekErrorKind::OutOfRange)) => return Ok(false),
            Err(error) => return Err(trouble("seek", error)),
        };
        self.expected = self.frames(reached).saturating_add(self.base);
        // Vorbis needs the packet before; what is walked through of Ogg is short.
        self.skim = if self.fragmented && self.ticks_are_frames { from } else { i64::MIN };
        self.state = Health::Sound;
        (self.bad_run, self.run, self.corrected) = (0, 0, false);
        Ok(true)
    }

    /// Opens the container anew at its start.
    fn rewind(&mut self) -> Result<()> {
        let old = self.reader.take().ok_or_else(broken)?;
        let container = self.container;
        let fresh = contained(|| {
            let mut stream = old.into_inner();
            stream.seek(SeekFrom::Start(0))?;
            reader(container, stream, None)
        });
        let fresh = fresh.inspect_err(|_| self.state = Health::Broken)?;
        let mut fresh = fresh.map_err(|e| trouble("go back to the start", e))?;
        fresh.metadata().skip_to_latest();
        self.reader = Some(fresh);
        Ok(())
    }

    /// Decodes up to the next packet that holds frames. Returns `false` at the end.
    fn decode_packet(&mut self) -> Result<bool> {
        match self.state {
            Health::Sound => {}
            Health::Ended => return Ok(false),
            Health::Broken => return Err(broken()),
        }
        // symphonia's decoders index by what the file says in places; a panic of theirs must not take the box down.
        // The decoder is never used again after one, so no half-made state is seen (hence AssertUnwindSafe).
        match contained(|| self.decode_packet_unguarded()) {
            Ok(result) => result,
            Err(error) => {
                self.state = Health::Broken;
                self.pending = None;
                Err(error)
            }
        }
    }

    fn decode_packet_unguarded(&mut self) -> Result<bool> {
        loop {
            let Some(packet) = self.next_packet()? else { return Ok(self.ended()) };
            self.packet_bytes.get_or_insert(packet.data.len() as u64);
            let ticks = packet.pts.get().saturating_add_unsigned(packet.trim_start.get());
            let start = match self.ticks_are_frames {
                true => ticks.saturating_add(self.base),
                false => self.expected,
            };
            self.run = self.run.saturating_add(1);
            let far = start.abs_diff(self.expected) > packet.dur.get();
            if far && self.run >= SETTLED && self.container == Container::Mpeg {
                (self.corrected, self.wanted) = (true, start.max(self.first));
            }
            let behind = start.saturating_add_unsigned(packet.dur.get());
            if behind <= self.skim {
                self.expected = behind;
                continue;
            }
            if let Some(pcm) = self.pcm {
                let frames = packet.data.len() / (pcm.width() * usize::from(self.spec.channels.max(1)));
                let bound = usize::try_from(packet.dur.get()).unwrap_or(usize::MAX);
                let frames = if self.duration_bounds { frames.min(bound) } else { frames };
                self.expected = start.saturating_add(frames as i64);
                if frames > 0 {
                    (self.raw, self.pending) = (Some(packet), Some((start, frames)));
                    return Ok(true);
                }
                continue;
            }
            let decoded = match self.decoder.decode(&packet) {
                Ok(decoded) => decoded,
                Err(Trouble::IoError(_) | Trouble::DecodeError(_) | Trouble::LimitError(_)) => {
                    self.bad()?;
                    continue;
                }
                Err(error) => return Err(trouble("decode", error)),
            };
            let (rate, channels) = (decoded.spec().rate(), decoded.spec().channels().count());
            let mut frames = decoded.frames();
            if self.spec.channels == 0 {
                let rate = SampleRate::new(rate);
                self.spec.rate =
                    rate.ok_or_else(|| Error::new(Kind::Damaged, "the sample rate is impossible"))?;
                self.spec.channels = u16::try_from(channels).unwrap_or(u16::MAX);
            }
            if rate != self.spec.rate.hz() || channels != usize::from(self.spec.channels) {
                self.bad()?;
                continue;
            }
            if self.duration_bounds {
                frames = frames.min(usize::try_from(packet.dur.get()).unwrap_or(usize::MAX));
            }
            self.bad_run = 0;
            self.expected = start.saturating_add(frames as i64);
            if frames > 0 {
                self.pending = Some((start, frames));
                return Ok(true);
            }
        }
    }

    /// Returns the next packet of the track, past what cannot be read; `None` at the end.
    fn next_packet(&mut self) -> Result<Option<Packet>> {
        loop {
            let reader = self.reader.as_mut().ok_or_else(broken)?;
            match reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track => return Ok(Some(packet)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(Trouble::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Ok(None);
                }
                Err(Trouble::IoError(error)) => return Err(Error::io("read the sound", error)),
                Err(Trouble::ResetRequired) => self.next_link()?,
                Err(_) => self.bad()?,
            }
        }
    }

    /// Goes on with the next link of a chained Ogg stream, which brings its own codec headers.
    fn next_link(&mut self) -> Result<()> {
        let track = self.reader.as_ref().and_then(|reader| reader.default_track(TrackType::Audio));
        let track =
            track.ok_or_else(|| Error::new(Kind::Damaged, "the stream goes on without sound"))?.clone();
        let (decoder, opus) = audio_decoder(&track)?;
        self.decoder = decoder;
        self.factor = opus.as_ref().and_then(OpusHead::factor);
        self.track = track.id;
        // What a new link skips lies in front of where the old one ended.
        let skip = opus.map_or(0, |head| i64::from(head.skip));
        self.base = self.expected.saturating_sub(track.start_ts.get().max(0)).saturating_sub(skip);
        self.wanted = self.wanted.max(self.expected);
        // Its length is not known before it ends.
        self.length = None;
        self.bad()
    }

    fn bad(&mut self) -> Result<()> {
        self.skipped += 1;
        self.bad_run += 1;
        if self.bad_run > MOST_BAD {
            return Err(Error::new(Kind::Damaged, "too many damaged packets in a row"));
        }
        Ok(())
    }

    fn ended(&mut self) -> bool {
        self.state = Health::Ended;
        false
    }

    /// Returns how far back a codec must begin for its output at a position to be the same as without a seek.
    fn memory(&self) -> i64 {
        match self.codec {
            // Up to nine frames of bit reservoir at the lowest bit rates, and the overlap of the one before.
            Codec::Mp3 => 11 * 1152,
            // The overlap of the block before.
            Codec::AacLc => 2 * 1024,
            // RFC 7845, 4.6: 80 ms until the decoder has converged; twice that, as its prediction is long.
            Codec::Opus => 2 * 3840,
            _ => 0,
        }
    }

    /// Returns the end of lossless material, where the container's length is binding.
    fn exact_end(&self) -> Option<i64> {
        let length = self.length.filter(|_| self.codec.is_lossless())?;
        Some(self.first.saturating_add(i64::try_from(length.0).ok()?))
    }

    /// Returns frames as ticks of the container, rounded down.
    fn ticks(&self, frames: i64) -> i64 {
        match self.time_base {
            Some(base) if !self.ticks_are_frames => {
                let scale = (base.denom.get(), u64::from(base.numer.get()) * u64::from(self.spec.rate.hz()));
                scaled(frames, scale.0.into(), scale.1)
            }
            _ => frames,
        }
    }

    /// Returns ticks of the container as frames, rounded down.
    fn frames(&self, ticks: i64) -> i64 {
        match self.time_base {
            Some(base) if !self.ticks_are_frames => {
                let scale = (u64::from(base.numer.get()) * u64::from(self.spec.rate.hz()), base.denom.get());
                scaled(ticks, scale.0, scale.1.into())
            }
            _ => ticks,
        }
    }
}

fn scaled(value: i64, times: u64, by: u64) -> i64 {
    let scaled = i128::from(value) * i128::from(times) / i128::from(by.max(1));
    i64::try_from(scaled).unwrap_or(i64::MAX)
}

/// Bad packets in a row after which the rest is given up.
const MOST_BAD: u32 = 50;
/// Frames before the end of an Ogg stream within which its last page may begin; pages are a second long, or 64 KiB.
const OGG_TAIL: u64 = 8 * 48_000;
/// Frames from the start of an Ogg stream that are decoded through instead of sought.
const NEAR: i64 = 1 << 16;
