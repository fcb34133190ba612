//! Where in an MPEG stream a moment lies, without looking at every frame.

use symphonia::core::errors::Result;
use symphonia::core::io::MediaSource;

use crate::media::decode::mpeg::index::Index;
use crate::media::decode::mpeg::{LARGEST_FRAME, Reader};

/// How bytes and time go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Every frame has `bytes / by` bytes: a place can be computed.
    Constant { bytes: u64, by: u64 },
    /// A frame has about so many bytes.
    Varying { bytes: u64 },
}

impl Reader {
    /// Looks at the first frames and at some of the middle. It leaves the reader anywhere.
    pub(super) fn measure(&mut self) -> Result<Pace> {
        let mut sizes = Vec::new();
        self.go(self.first)?;
        self.synced = true;
        let like = self.like;
        let (mut padded, mut alike) = (0, true);
        while sizes.len() < SAMPLE {
            let Some(frame) = self.find(Some(like))? else { break };
            alike &= frame.bitrate == like.bitrate;
            padded += u64::from(frame.padded);
            sizes.push(frame.bytes as u64);
            self.used += frame.bytes;
        }
        let count = (sizes.len() as u64).max(1);
        let sum: u64 = sizes.iter().sum();
        let len = self.stream.byte_len().unwrap_or(0);
        for part in 1..4 {
            self.go(self.first + len.saturating_sub(self.first) / 4 * part)?;
            self.synced = false;
            alike &= self.find(Some(like))?.is_none_or(|frame| frame.bitrate == like.bitrate);
        }
        // Slots of four bytes in layer I, of one else; the bits of a frame are samples / 8 * rate / Hz.
        let (bytes, by) = (like.samples / 8 * u64::from(like.bitrate), u64::from(like.rate));
        let exact = sum.abs_diff(count * bytes / by) <= SLACK;
        Ok(match alike {
            true if exact => Pace::Constant { bytes, by },
            // An encoder that never fills the last slot.
            true if padded == 0 => Pace::Constant { bytes: like.bytes as u64, by: 1 },
            _ => Pace::Varying { bytes: self.average(sum / count) },
        })
    }

    fn average(&self, seen: u64) -> u64 {
        let all = self.stream.byte_len().map(|len| len.saturating_sub(self.first));
        let told = all.zip(self.said.and_then(|said| said.frames)).map(|(all, frames)| all / frames.max(1));
        told.filter(|bytes| (8..=LARGEST_FRAME).contains(bytes)).unwrap_or(seen).max(1)
    }

    /// Jumps to a frame or two before a position when it is far.
    pub(super) fn jump(&mut self, pace: Pace, to: i64) -> Result<()> {
        let samples = self.like.samples;
        let frame = (to.saturating_add(self.delay).max(0).unsigned_abs() / samples).saturating_sub(2);
        let start = -self.delay;
        let position = |frame: u64| {
            start.saturating_add(i64::try_from(frame.saturating_mul(samples)).unwrap_or(i64::MAX))
        };
        let len = self.stream.byte_len().unwrap_or(u64::MAX);
        match pace {
            Pace::Constant { bytes, by } => {
                let offset = |frame: u64| u128::from(frame) * u128::from(bytes) / u128::from(by);
                let guess = self.first.saturating_add(u64::try_from(offset(frame)).unwrap_or(u64::MAX));
                // A little before it, so that the frame meant is the next one found.
                self.stand(guess.saturating_sub(bytes / by / 2).max(self.first).min(len), 0, false)?;
                if self.find(Some(self.like))?.is_none() {
                    return Ok(());
                }
                let found = u128::from(self.place() - self.first);
                let index = (found * u128::from(by) + u128::from(bytes) / 2) / u128::from(bytes.max(1));
                let index = u64::try_from(index).unwrap_or(u64::MAX);
                self.next = position(index);
                self.exact = offset(index).abs_diff(found) <= u128::from(SLACK);
            }
            Pace::Varying { bytes } => {
                let away = position(frame).saturating_sub(self.next).max(0).unsigned_abs() / samples;
                if away.saturating_mul(bytes) <= WALK {
                    return Ok(());
                }
                let guess = self.looked_up(frame).unwrap_or_else(|| frame.saturating_mul(bytes));
                self.stand(self.first.saturating_add(guess).min(len), position(frame), false)?;
            }
        }
        if !self.exact && self.index.is_none() {
            self.index = self.stretch.take().and_then(Index::start);
        }
        Ok(())
    }

    /// Returns the bytes up to a frame as the Xing table has them.
    fn looked_up(&self, frame: u64) -> Option<u64> {
        let said = self.said?;
        let (frames, table) = (said.frames?, said.table?);
        let bytes = said.bytes.or_else(|| Some(self.stream.byte_len()?.saturating_sub(self.first)))?;
        // In 1/65,536 of the time; a hundredth is 655 of them.
        let part = (u128::from(frame) << 16) / u128::from(frames.max(1));
        let part = u64::try_from(part.min(65_535)).ok()?;
        let i = ((part * 100) >> 16) as usize;
        let (low, high) = (u64::from(table[i]), table.get(i + 1).map_or(256, |&high| u64::from(high)));
        let within = (part * 100) & 0xffff;
        let place = (low << 16) + high.checked_sub(low)? * within;
        u64::try_from((u128::from(place) * u128::from(bytes)) >> 24).ok()
    }
}

/// Frames that are looked at for a constant bit rate.
const SAMPLE: usize = 200;
/// Bytes by which a frame of a constant bit rate may lie off.
const SLACK: u64 = 4;
/// Bytes that are read to know a position exactly where the bit rate varies: 15 minutes at 210 kbit/s, 30 ms from memory.
const WALK: u64 = 24 << 20;
