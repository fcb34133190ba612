//! What sounds, what is decoded, and what waits, in their order; which frame of the ring belongs to which track.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::player::output::Want;
use crate::player::resample::{Resampler, scale};
use crate::player::ring::{Feed, Words, float_of, float_word};
use crate::player::source::{Source, left_justified};
use crate::player::{Knob, PlayerEvent};
use crate::signal::{PlaySerial, ReplayGain};
use crate::units::{Frames, Millis, SampleRate};

/// A track on its way from the decoder to the ring.
pub struct Active {
    /// Its start of sound.
    pub serial: PlaySerial,
    /// Its decoder.
    pub source: Box<dyn Source>,
    /// Whether `Opened` was told for the device that is open.
    pub announced: bool,
    /// Whether `Started` was told.
    started: bool,
    /// Its decoder waits for the network.
    pub starved: bool,
    /// By how much it is made louder or quieter. It is applied to what the decoder gives, in front of the resampler: so it
    /// changes exactly at the first frame of a track, also where one track follows another without a gap.
    ///
    /// The knob is applied by the callback, later and to both tracks of a joint alike. Two multiplications are two roundings:
    /// this one at the last of 32 bits, 48 dB below the last of 24, so that only the callback's, at the depth of the device
    /// and dithered there, is one that matters.
    pub level: Option<ReplayGain>,
    from: Frames,
    /// From this frame of the ring on the position is another than was counted.
    moved: Option<(u64, u64)>,
    /// The source's frame that is read next.
    at: u64,
    /// Sound as the device takes it; written up to `offset`.
    pending: Vec<i32>,
    offset: usize,
    /// A block on its way through the resampler.
    block: Vec<i32>,
    copies: usize,
    /// What the ring carries.
    words: Words,
    resampler: Option<Resampler>,
    over: bool,
    error: Option<Error>,
}

impl Active {
    /// Returns a track that starts at a time.
    ///
    /// # Errors
    /// When it cannot start there.
    pub fn new(
        serial: PlaySerial,
        mut source: Box<dyn Source>,
        from: Millis,
        level: Option<ReplayGain>,
    ) -> Result<Active> {
        let mut at = Frames(0);
        if from > Millis::ZERO {
            let frame = source.about().rate.frames_in(from);
            at = source.seek(frame)?;
        }
        Ok(Active {
            serial,
            source,
            announced: false,
            started: false,
            starved: false,
            level,
            from: at,
            moved: None,
            at: at.0,
            pending: Vec::new(),
            offset: 0,
            block: Vec::new(),
            copies: 1,
            words: Words::Whole,
            resampler: None,
            over: false,
            error: None,
        })
    }

    /// Returns what it wants from a device.
    pub fn want(&self, knob: Knob) -> Want {
        let about = self.source.about();
        let enough = if about.format.codec.is_lossless() { about.bits } else { about.bits.min(LOSSY_BITS) };
        let float = about.float && knob == Knob::Fixed;
        Want { rate: about.rate, channels: about.channels, bits: about.bits, enough, knob, float }
    }

    /// Sets up its way into a ring of this rate, width and kind of words: mono is spread, another rate resampled. A
    /// resampler that came from the track before goes on.
    ///
    /// # Errors
    /// `Unsupported` when the rates cannot be converted.
    pub fn fit(&mut self, rate: SampleRate, channels: u16, words: Words) -> Result<()> {
        let about = self.source.about();
        self.words = words;
        self.copies = usize::from((channels / about.channels.max(1)).max(1));
        if about.rate == rate {
            self.resampler = None;
        } else if !self.resampler.as_ref().is_some_and(|it| it.is_for(about.rate, rate, about.channels)) {
            self.resampler = Some(Resampler::new(about.rate, rate, about.channels)?);
        }
        Ok(())
    }

    /// Goes on where `before` ends, resampled in one piece with it where both have the same form; returns how many frames
    /// of `before` come out with this one.
    pub fn follow(&mut self, before: &mut Active, rate: SampleRate) -> u64 {
        let about = self.source.about();
        self.resampler = before.resampler.take_if(|it| it.is_for(about.rate, rate, about.channels));
        self.owed()
    }

    /// Returns how many frames of the tracks before are still in the resampler.
    pub fn owed(&self) -> u64 {
        self.resampler.as_ref().map_or(0, Resampler::owed)
    }

    /// Decodes into the ring until it is full or nothing is at hand (`false`), or the track has ended, well or with an
    /// error (`true`).
    pub fn write(&mut self, feed: &mut Feed) -> bool {
        self.starved = false;
        while self.give(feed) {
            if self.over {
                return true;
            }
            self.starved = !self.source.ready();
            if self.starved {
                return false;
            }
            let (before, ring) = (self.at, feed.written() + self.owed());
            match self.read() {
                Ok(more) => self.over = !more,
                Err(error) => (self.over, self.error) = (true, Some(error)),
            }
            if let Some(at) = self.source.corrected() {
                self.at = at.0 + (self.at - before);
                self.moved = Some((ring, at.0));
            }
        }
        false
    }

    /// Writes what the resampler still holds; returns whether all of it fitted into the ring.
    pub fn finish(&mut self, feed: &mut Feed) -> bool {
        if let Some(mut resampler) = self.resampler.take() {
            self.block.clear();
            if let Err(error) = resampler.finish(&mut self.block) {
                self.error.get_or_insert(error);
            }
            self.spread();
        }
        self.give(feed)
    }

    /// Writes what is pending; returns whether all of it fitted into the ring.
    fn give(&mut self, feed: &mut Feed) -> bool {
        while self.offset < self.pending.len() {
            let taken = feed.write(&self.pending[self.offset..]);
            if taken == 0 {
                return false;
            }
            self.offset += taken;
        }
        self.offset = 0;
        self.pending.clear();
        true
    }

    /// Decodes a block into what is pending; `false` at the end.
    fn read(&mut self) -> Result<bool> {
        let width = usize::from(self.source.about().channels.max(1));
        let straight = self.resampler.is_none() && self.copies == 1;
        let into = if straight { &mut self.pending } else { &mut self.block };
        into.clear();
        let factor = self.level.map_or(1.0, |level| level.gain.factor());
        let more =
            if factor == 1.0 { self.source.read(into)? } else { self.source.read_times(factor, into)? };
        if !more {
            into.clear();
            return Ok(false);
        }
        self.at += (into.len() / width) as u64;
        match (self.source.about().float, self.words) {
            (true, Words::Whole) => {
                into.iter_mut().for_each(|word| *word = left_justified(float_of(*word), 1.0))
            }
            (false, Words::Floats) => into.iter_mut().for_each(|word| *word = float_word(*word)),
            (true, Words::Floats) | (false, Words::Whole) => {}
        }
        if let Some(resampler) = &mut self.resampler {
            let decoded = std::mem::take(&mut self.block);
            let pushed = resampler.push(&decoded, &mut self.block);
            pushed?;
        }
        if !straight {
            self.spread();
        }
        Ok(true)
    }

    /// Makes the block pending, each sample once for every channel of the device.
    fn spread(&mut self) {
        let copies = self.copies;
        self.pending.extend(self.block.iter().flat_map(|s| std::iter::repeat_n(*s, copies)));
        self.block.clear();
    }

    /// Drops what was decoded and goes to a frame; a stream that cannot be sought goes on with what comes.
    fn go(&mut self, to: Frames) -> Result<()> {
        self.pending.clear();
        self.offset = 0;
        (self.resampler, self.moved) = (None, None);
        (self.over, self.error) = (false, None);
        if self.at != to.0 && self.source.about().seekable {
            self.at = self.source.seek(to)?.0;
        }
        Ok(())
    }
}

/// A run of frames in the ring that belongs to one track.
pub struct Span {
    serial: PlaySerial,
    /// The source's rate.
    rate: SampleRate,
    /// The ring's.
    heard_at: SampleRate,
    start: u64,
    position: u64,
    end: Option<u64>,
    started: bool,
    /// The decoder that is done, kept until the end was heard: the device may be lost before.
    retired: Option<Active>,
    error: Option<Error>,
}

/// The tracks in their order.
#[derive(Default)]
pub struct Line {
    /// The track that fills the ring.
    pub current: Option<Active>,
    /// What follows it.
    pub waiting: VecDeque<Active>,
    /// What is in the ring, oldest first.
    pub spans: VecDeque<Span>,
}

impl Line {
    /// Returns the track that is heard, or will be first.
    pub fn front(&self) -> Option<PlaySerial> {
        let decoded = self.current.as_ref().map(|active| active.serial);
        self.spans.front().map(|span| span.serial).or(decoded)
    }

    /// Notes that the current track goes into the ring, which has this rate, from this frame on.
    pub fn enter(&mut self, start: u64, rate: SampleRate) {
        let Some(active) = &self.current else { return };
        self.spans.push_back(Span {
            serial: active.serial,
            rate: active.source.about().rate,
            heard_at: rate,
            start,
            position: active.at,
            end: None,
            started: active.started,
            retired: None,
            error: None,
        });
    }

    /// Notes that the current track is decoded up to this frame, to its end or to an error.
    pub fn retire(&mut self, end: u64) {
        let Some(span) = self.spans.back_mut() else { return };
        span.end = Some(end);
        span.retired = self.current.take();
        span.error = span.retired.as_mut().and_then(|active| active.error.take());
    }

    /// Returns the track and the position at the frame that is heard.
    pub fn position(&self, heard: Option<u64>) -> Option<(PlaySerial, Millis)> {
        if let (Some(heard), Some(span)) = (heard, self.spans.front()) {
            return Some((span.serial, span.rate.time_of(Frames(span.frame(heard)))));
        }
        let active = self.current.as_ref()?;
        Some((active.serial, active.source.about().rate.time_of(Frames(active.at))))
    }

    /// Tells what started and finished up to the frame that is heard; returns whether a track started or
    /// its position was put right.
    pub fn progress(&mut self, heard: u64, now: Instant, events: &mut VecDeque<PlayerEvent>) -> bool {
        let mut any = self.moved(heard);
        while let Some(span) = self.spans.front_mut() {
            let serial = span.serial;
            let ended = span.end.is_some_and(|end| heard >= end);
            if !span.started && (heard > span.start || ended) {
                span.started = true;
                if let Some(active) = span.retired.as_mut().or(self.current.as_mut()) {
                    active.started = true;
                }
                any = true;
                let past = span.heard_at.time_of(Frames(heard.saturating_sub(span.start)));
                let at = now.checked_sub(Duration::from(past)).unwrap_or(now);
                events.push_back(PlayerEvent::Started { serial, at });
            }
            if !ended {
                break;
            }
            events.push_back(match span.error.take() {
                Some(error) => PlayerEvent::Failed { serial, error },
                None => PlayerEvent::Finished { serial },
            });
            self.spans.pop_front();
        }
        any
    }

    /// Counts on from a position that was put right, once that is heard; returns whether it was.
    fn moved(&mut self, heard: u64) -> bool {
        let Some(span) = self.spans.front_mut().filter(|span| span.started) else { return false };
        let active = match (&mut span.retired, &mut self.current) {
            (Some(retired), _) => retired,
            (None, Some(current)) => current,
            (None, None) => return false,
        };
        let Some((start, position)) = active.moved.take_if(|(start, _)| heard >= *start) else {
            return false;
        };
        (span.start, span.position) = (start, position);
        true
    }

    /// Returns the frame at which something is to be told next.
    pub fn next_mark(&self) -> Option<u64> {
        let span = self.spans.front()?;
        if span.started { span.end } else { Some(span.start + 1) }
    }

    /// The device was let go: the next one has another way of the signal, which is told of every track again.
    pub fn untold(&mut self) {
        for active in self.current.iter_mut().chain(&mut self.waiting) {
            active.announced = false;
        }
    }

    /// Takes back everything that was not heard: the first track goes to a time (`None`: to where it was heard), the
    /// others to their start. Returns those that cannot, and why; they are left out.
    pub fn rewind(&mut self, heard: u64, to: Option<Millis>) -> Vec<(PlaySerial, Error)> {
        let place = self.spans.front().map(|span| Frames(span.frame(heard)));
        let begun: Vec<Active> = self.spans.drain(..).filter_map(|span| span.retired).collect();
        let mut line = VecDeque::new();
        let mut broken = Vec::new();
        for (nth, mut active) in begun.into_iter().chain(self.current.take()).enumerate() {
            let goal = match (nth, to, place) {
                (0, Some(to), _) => active.source.about().rate.frames_in(to),
                (0, None, place) => place.unwrap_or(Frames(active.at)),
                _ => active.from,
            };
            match active.go(goal) {
                Ok(()) => line.push_back(active),
                Err(error) => broken.push((active.serial, error)),
            }
        }
        self.current = line.pop_front();
        line.append(&mut self.waiting);
        self.waiting = line;
        broken
    }
}

impl Span {
    /// Returns the track's frame that is heard.
    fn frame(&self, heard: u64) -> u64 {
        let end = self.end.unwrap_or(u64::MAX);
        let past = heard.min(end).saturating_sub(self.start);
        let past = if self.heard_at == self.rate { past } else { scale(past, self.heard_at, self.rate) };
        self.position + past
    }
}

/// What a CD resolves: lossy sound is not coded finer.
const LOSSY_BITS: u16 = 16;
