//! What sounds, what is decoded, and what waits, in their order; which frame of the ring belongs to which track.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::player::output::Want;
use crate::player::ring::{Feed, Render};
use crate::player::source::Source;
use crate::player::{Knob, PlayerEvent};
use crate::signal::PlaySerial;
use crate::units::{Frames, Millis, SampleRate};

/// A track on its way from the decoder to the ring.
pub struct Active {
    /// Its start of sound.
    pub serial: PlaySerial,
    /// Its decoder.
    pub source: Box<dyn Source>,
    /// Whether `Opened` was told.
    pub announced: bool,
    from: Frames,
    at: u64,
    pending: Vec<i32>,
    offset: usize,
    copies: usize,
}

impl Active {
    /// Returns a track that starts at a time.
    ///
    /// # Errors
    /// When it cannot start there.
    pub fn new(serial: PlaySerial, mut source: Box<dyn Source>, from: Millis) -> Result<Active> {
        let mut at = Frames(0);
        if from > Millis::ZERO {
            let frame = source.about().rate.frames_in(from);
            at = source.seek(frame)?;
        }
        let pending = Vec::new();
        Ok(Active { serial, source, announced: false, from: at, at: at.0, pending, offset: 0, copies: 1 })
    }

    /// Returns what it wants from a device.
    pub fn want(&self, knob: Knob) -> Want {
        let about = self.source.about();
        let enough = if about.format.codec.is_lossless() { about.bits } else { about.bits.min(LOSSY_BITS) };
        Want { rate: about.rate, channels: about.channels, bits: about.bits, enough, knob }
    }

    /// Spreads mono over the channels of the device.
    pub fn spread(&mut self, channels: u16) {
        self.copies = usize::from((channels / self.source.about().channels.max(1)).max(1));
    }

    /// Decodes into the ring until it is full (`false`) or the track has ended (`true`).
    ///
    /// # Errors
    /// When the track cannot go on.
    pub fn write(&mut self, feed: &mut Feed) -> Result<bool> {
        let width = usize::from(self.source.about().channels) * self.copies;
        loop {
            if self.offset < self.pending.len() {
                let taken = feed.write(&self.pending[self.offset..]);
                self.offset += taken;
                self.at += (taken / width.max(1)) as u64;
                if taken == 0 {
                    return Ok(false);
                }
                continue;
            }
            self.offset = 0;
            self.pending.clear();
            if !self.source.read(&mut self.pending)? {
                self.pending.clear();
                return Ok(true);
            }
            if self.copies > 1 {
                let mono = std::mem::take(&mut self.pending);
                self.pending.extend(mono.iter().flat_map(|s| std::iter::repeat_n(*s, self.copies)));
            }
        }
    }

    fn go(&mut self, to: Frames) -> Result<()> {
        self.pending.clear();
        self.offset = 0;
        if self.at != to.0 {
            self.at = self.source.seek(to)?.0;
        }
        Ok(())
    }
}

/// A run of frames in the ring that belongs to one track.
pub struct Span {
    serial: PlaySerial,
    rate: SampleRate,
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
    /// The ring's other end until the stream starts.
    pub render: Option<Render>,
}

impl Line {
    /// Returns the track that is heard, or will be first.
    pub fn front(&self) -> Option<PlaySerial> {
        let decoded = self.current.as_ref().map(|active| active.serial);
        self.spans.front().map(|span| span.serial).or(decoded)
    }

    /// Notes that the current track goes into the ring from this frame on.
    pub fn enter(&mut self, start: u64) {
        let Some(active) = &self.current else { return };
        self.spans.push_back(Span {
            serial: active.serial,
            rate: active.source.about().rate,
            start,
            position: active.at,
            end: None,
            started: active.at != active.from.0,
            retired: None,
            error: None,
        });
    }

    /// Notes that the current track is decoded up to this frame, to its end or to an error.
    pub fn retire(&mut self, end: u64, error: Option<Error>) {
        let Some(span) = self.spans.back_mut() else { return };
        span.end = Some(end);
        span.error = error;
        span.retired = self.current.take();
    }

    /// Returns the track and the position at the frame that is heard.
    pub fn position(&self, heard: Option<u64>) -> Option<(PlaySerial, Millis)> {
        if let (Some(heard), Some(span)) = (heard, self.spans.front()) {
            return Some((span.serial, span.rate.time_of(Frames(span.frame(heard)))));
        }
        let active = self.current.as_ref()?;
        Some((active.serial, active.source.about().rate.time_of(Frames(active.at))))
    }

    /// Tells what started and finished up to the frame that is heard; returns whether a track started.
    pub fn progress(&mut self, heard: u64, now: Instant, events: &mut VecDeque<PlayerEvent>) -> bool {
        let mut any = false;
        while let Some(span) = self.spans.front_mut() {
            let serial = span.serial;
            let ended = span.end.is_some_and(|end| heard >= end);
            if !span.started && (heard > span.start || ended) {
                span.started = true;
                any = true;
                let past = span.rate.time_of(Frames(heard.saturating_sub(span.start)));
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

    /// Returns the frame at which something is to be told next.
    pub fn next_mark(&self) -> Option<u64> {
        let span = self.spans.front()?;
        if span.started { span.end } else { Some(span.start + 1) }
    }

    /// Takes back everything that was not heard: the first track goes to a time (`None`: to where it was heard), the
    /// others to their start.
    ///
    /// # Errors
    /// The track that cannot be sought, and why.
    pub fn rewind(&mut self, heard: u64, to: Option<Millis>) -> Result<(), (PlaySerial, Error)> {
        let place = self.spans.front().map(|span| (span.rate, span.frame(heard)));
        let begun: Vec<Active> = self.spans.drain(..).filter_map(|span| span.retired).collect();
        let mut line: VecDeque<Active> = begun.into_iter().chain(self.current.take()).collect();
        for (nth, active) in line.iter_mut().enumerate() {
            let rate = active.source.about().rate;
            let goal = match (nth, to, place) {
                (0, Some(to), _) => rate.frames_in(to),
                (0, None, Some((_, frame))) => Frames(frame),
                (0, None, None) => Frames(active.at),
                _ => active.from,
            };
            active.go(goal).map_err(|error| (active.serial, error))?;
        }
        self.current = line.pop_front();
        line.append(&mut self.waiting);
        self.waiting = line;
        Ok(())
    }
}

impl Span {
    /// Returns the track's frame that is heard.
    fn frame(&self, heard: u64) -> u64 {
        let end = self.end.unwrap_or(u64::MAX);
        self.position + heard.min(end).saturating_sub(self.start)
    }
}

/// What a CD resolves: lossy sound is not coded finer.
const LOSSY_BITS: u16 = 16;
