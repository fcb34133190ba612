//! ReplayGain: by how much an entry is made louder or quieter. Decided when the motor is told of it, and never after, so
//! that no track changes its loudness while it sounds.

use std::time::Instant;

use super::Rules;
use crate::hifi::command::QueueId;
use crate::hifi::state::Entry;
use crate::signal::{GainMode, GainOf, PlaySerial, ReplayGain};
use crate::track::{Loudness, Tags};
use crate::units::Gain;

/// What was decided for the starts that the motor knows.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    mode: GainMode,
    fixed: Vec<Fixed>,
}

/// What was decided for one start.
#[derive(Debug, Clone, Copy)]
struct Fixed {
    serial: PlaySerial,
    /// What tags and measurements ask for.
    wanted: Option<ReplayGain>,
    /// What is applied: no more than the knob left room for.
    given: Option<ReplayGain>,
}

impl Rules {
    /// Sets which gains are used, from the next start on.
    pub fn with_gains(mut self, mode: GainMode) -> Rules {
        self.levels.mode = mode;
        self
    }

    /// Sets which gains are used, from the next start on.
    pub(super) fn levels_by(&mut self, mode: GainMode) {
        self.levels.mode = mode;
    }

    /// Returns by how much a start is made louder or quieter.
    pub fn level_of(&self, serial: PlaySerial) -> Option<ReplayGain> {
        self.levels.fixed.iter().find(|fixed| fixed.serial == serial)?.given
    }

    /// Decides how loud a start of this entry is.
    ///
    /// A gain that raises is cut to the room between the knob and the highest it may go now, so that the sum of both never
    /// passes that. The tracks of an album that sound one after the other keep what the first one was given.
    pub(super) fn level(&mut self, serial: PlaySerial, id: QueueId, now: Instant) {
        let wanted = self.entry(id).and_then(|entry| wanted(self.levels.mode, entry, self.beside_album(id)));
        let before = self.levels.fixed.iter().find(|fixed| Some(fixed.serial) == self.loaded);
        let same = before.filter(|before| wanted.is_some() && before.wanted == wanted).copied();
        let room = self.knob.headroom();
        let given = wanted.map(|wanted| {
            let mut gain = wanted.gain;
            if gain > Gain::UNITY {
                gain = gain.min(room);
            }
            if let Some(kept) = same.and_then(|before| before.given) {
                gain = gain.min(kept.gain);
            }
            ReplayGain { gain, ..wanted }
        });
        let known = self.serials();
        self.levels.fixed.retain(|fixed| known.contains(&Some(fixed.serial)) && fixed.serial != serial);
        self.levels.fixed.push(Fixed { serial, wanted, given });
        self.carry(now);
    }

    /// Tells the knob the most that is added behind it by what sounds or may sound next.
    pub(super) fn carry(&mut self, now: Instant) {
        let known = self.serials();
        let given = |fixed: &Fixed| fixed.given.filter(|_| known.contains(&Some(fixed.serial)));
        let most = self.levels.fixed.iter().filter_map(given).map(|given| given.gain).max();
        self.knob.carry(most.unwrap_or(Gain::UNITY).max(Gain::UNITY), self.sounding(), now);
    }

    /// Returns whether the entry in front of this one or behind it is of the same album. A shuffled queue has no albums.
    fn beside_album(&self, id: QueueId) -> bool {
        let Some(entry) = self.entry(id) else { return false };
        if self.is_guest(id) {
            return self.deck().any(|other| other.id != id && same_album(&entry.shown, &other.shown));
        }
        if self.queue.shuffled().is_some() {
            return false;
        }
        let entries = &self.queue.view().entries;
        let Some(at) = entries.iter().position(|entry| entry.id == id) else { return false };
        let mut beside =
            [at.checked_sub(1), Some(at + 1)].into_iter().flatten().filter_map(|at| entries.get(at));
        beside.any(|other| same_album(&entry.shown, &other.shown))
    }
}

/// Returns whether two tracks are of one album: its name and its artist are the same; a compilation has none.
fn same_album(one: &Tags, other: &Tags) -> bool {
    fn artist(tags: &Tags) -> Option<&String> {
        tags.album_artist.as_ref().or(tags.artist.as_ref().filter(|_| !tags.compilation))
    }
    one.album.is_some() && one.album == other.album && artist(one) == artist(other)
}

/// Returns what makes an entry as loud as others, as far as its peak allows; `None` when nothing is known, or nothing wanted.
fn wanted(mode: GainMode, entry: &Entry, beside_album: bool) -> Option<ReplayGain> {
    let first = match mode {
        GainMode::Off => return None,
        GainMode::Track => GainOf::Track,
        GainMode::Album => GainOf::Album,
        GainMode::Auto if beside_album => GainOf::Album,
        GainMode::Auto => GainOf::Track,
    };
    let other = if first == GainOf::Album { GainOf::Track } else { GainOf::Album };
    let tagged = [first, other].into_iter().find_map(|of| tagged(entry, of)).filter(|_| trusted(entry));
    let (gain, peak, of, measured) = match tagged {
        Some((gain, peak, of)) => (gain, peak, of, false),
        None => {
            let (own, of) = [first, other].into_iter().find_map(|of| Some((own(entry, of)?, of)))?;
            (gain_of(own), Some(own.true_peak), of, true)
        }
    };
    Some(ReplayGain { gain: guarded(gain, peak), of, measured })
}

/// Returns what the tags ask for, and the highest peak that is known of what it is applied to.
fn tagged(entry: &Entry, of: GainOf) -> Option<(Gain, Option<f64>, GainOf)> {
    let (gain, peak) = match of {
        GainOf::Track => (entry.shown.track_gain, entry.shown.track_peak),
        GainOf::Album => (entry.shown.album_gain, entry.shown.album_peak),
    };
    let measured = own(entry, of).map(|own| own.true_peak);
    let highest = peak.into_iter().chain(measured).max_by(f64::total_cmp);
    Some((gain?, highest, of))
}

/// Returns whether the tags may be believed: konpo's own measurement, where there is one, is not far from them.
fn trusted(entry: &Entry) -> bool {
    let far = |tag: Option<Gain>, of: GainOf| {
        let own = own(entry, of).map(gain_of);
        tag.zip(own).is_some_and(|(tag, own)| tag.0.abs_diff(own.0) > FAR)
    };
    !far(entry.shown.track_gain, GainOf::Track) && !far(entry.shown.album_gain, GainOf::Album)
}

fn own(entry: &Entry, of: GainOf) -> Option<Loudness> {
    match of {
        GainOf::Track => entry.measured.track,
        GainOf::Album => entry.measured.album,
    }
}

/// Returns the gain that brings a loudness to ReplayGain's own.
fn gain_of(own: Loudness) -> Gain {
    Gain(((TARGET_LUFS - own.lufs) * 256.0).round().clamp(-LARGEST, LARGEST) as i32)
}

/// Returns as much of a gain as lets no sample pass full scale. Where the peak is not known, nothing is raised.
fn guarded(gain: Gain, peak: Option<f64>) -> Gain {
    let gain = Gain(gain.0.clamp(-LARGEST as i32, LARGEST as i32));
    match peak.filter(|peak| *peak > 0.0) {
        // Rounded down: the last 256th of a decibel would be one too many.
        Some(peak) => gain.min(Gain((-20.0 * peak.log10() * 256.0).floor().clamp(-LARGEST, LARGEST) as i32)),
        None => gain.min(Gain::UNITY),
    }
}

/// ReplayGain 2.0: the loudness that every track is brought to.
const TARGET_LUFS: f64 = -18.0;
/// purchases.md 7.5: tags that are 3 dB away from what is measured are wrong.
const FAR: u32 = 3 * 256;
/// In 1/256 dB: more than any music needs.
const LARGEST: f64 = 60.0 * 256.0;
