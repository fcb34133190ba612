//! The volume in the card's own mixer: how a gain is split between an [`Element`] of the card and the samples, and in which
//! steps the element follows. Runs on the player's thread; the element may block it for some milliseconds, the ring of
//! [`crate::player::ring`] holds 300. Never called in the sound callback.
//!
//! # The split
//! The element is set to its highest step that is no louder than the gain, and the samples pass untouched: the sum is never
//! louder than what is wanted, less than one step (at most 1 dB) quieter, and bit-perfect up to the card. A remainder in the
//! samples would be exact and cost just that. What lies below the lowest usable step is taken from the samples, and so is
//! silence: mute, the fades of starts and stops, and [`crate::player::gain::Ramp`] stay what they are without a mixer.
//!
//! # The order of steps
//! The element changes what is heard at once, the samples only behind the buffer of the device. So the two never compensate
//! each other: that would need the moment at which a sample is heard, and where that is wrong by a millisecond the sound is
//! too loud for so long. The samples are never raised above unity, hence the element alone bounds the sum, and it obeys this:
//! - down: in strides, at once after one another, so that 20 dB are no click; each is quieter than the one before.
//! - up: never above a gain that rises by 10 dB in a second; the samples rise by their own ramp below that.
//! - before a stream starts, and where nothing was heard for a second: at once.
//!
//! Somebody else's change of the element is noticed at the next step: what was turned up is put right, what was turned down
//! is where the rise begins. Between two steps it is left alone. At the end the element stays where it is.

use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::units::Gain;

/// Where the owner wants the volume to be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// In the card's mixer where its element is known to govern what konpo plays, else in the samples.
    Auto,
    /// In the samples; the card's mixer is not touched.
    Software,
    /// In this element of the card, as `amixer` names it: `PCM`, or `Speaker,1` for the second of that name.
    Named(String),
}

impl Wish {
    /// Returns what `output.mixer` says: `auto`, `software`, or a name.
    pub fn of(text: &str) -> Wish {
        match text {
            "auto" => Wish::Auto,
            "software" => Wish::Software,
            name => Wish::Named(name.to_owned()),
        }
    }
}

/// A position of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What the card calls it.
    pub raw: i64,
    /// What it does to the sound, rounded up; [`Gain::SILENT`] where it mutes.
    pub gain: Gain,
}

/// A playback volume of a card. A fake pays: no test has a card.
pub trait Element: Send {
    /// Returns its name as people know it.
    fn name(&self) -> &str;

    /// Returns its positions, quietest first.
    fn steps(&self) -> &[Step];

    /// Returns where it stands now; where its channels differ, the loudest.
    ///
    /// # Errors
    /// `Unreachable` when the card is gone.
    fn read(&mut self) -> Result<i64>;

    /// Sets all its channels.
    ///
    /// # Errors
    /// As [`Element::read`].
    fn write(&mut self, raw: i64) -> Result<()>;

    /// Opens its switch where it has one and that is closed.
    ///
    /// # Errors
    /// As [`Element::read`].
    fn unmute(&mut self) -> Result<()>;
}

/// An element that carries the volume.
pub struct CardVolume {
    element: Box<dyn Element>,
    /// The usable steps, quietest first; at least one.
    steps: Vec<Step>,
    /// The step at which the element stands; `None` before it was set.
    at: Option<usize>,
    /// The gain that follows the wanted one down at once and up by 10 dB in a second.
    eased: Gain,
    eased_at: Instant,
    /// The samples are silent.
    muted: bool,
}

impl CardVolume {
    /// Takes an element that fits; it is not touched yet.
    ///
    /// # Errors
    /// `Unsupported` with what is wrong with its steps.
    pub fn over(element: Box<dyn Element>, now: Instant) -> Result<CardVolume> {
        let steps = usable(element.steps()).map_err(|why| {
            let words = format!("the card's mixer '{}' {why}: konpo does the volume itself", element.name());
            Error::new(Kind::Unsupported, words)
        })?;
        Ok(CardVolume { element, steps, at: None, eased: Gain::SILENT, eased_at: now, muted: true })
    }

    /// Returns the element's name.
    pub fn name(&self) -> &str {
        self.element.name()
    }

    /// Returns the gain below which the samples take the rest.
    pub fn lowest(&self) -> Gain {
        self.steps[0].gain
    }

    /// Returns the gain of the step at which the element stands; unity before it was set.
    pub fn gain(&self) -> Gain {
        self.at.map_or(Gain::UNITY, |at| self.steps[at].gain)
    }

    /// Returns the gain of the samples: unity, or what lies below the lowest step.
    pub fn software(&self, wanted: Gain) -> Gain {
        if wanted == Gain::SILENT || self.at.is_none() {
            return Gain::SILENT;
        }
        wanted.min(self.eased).and(Gain(-self.lowest().0)).min(Gain::UNITY)
    }

    /// Sets the element where nothing is heard, before a stream starts or after a second of silence, and opens its switch.
    /// Silence leaves it alone: it is set once something is wanted.
    ///
    /// # Errors
    /// Those of the element; it stands no louder than [`CardVolume::gain`] then.
    pub fn start(&mut self, wanted: Gain, now: Instant) -> Result<()> {
        self.eased_at = now;
        self.muted = wanted == Gain::SILENT;
        if self.muted {
            return Ok(());
        }
        self.eased = wanted;
        let goal = self.place(wanted);
        if self.element.read()? != self.steps[goal].raw {
            self.write(goal)?;
        }
        self.at = Some(goal);
        // Only behind the level: a switch that opens first would be heard at whatever level the element had.
        self.element.unmute()
    }

    /// Brings the element one stride nearer while sound may be heard.
    ///
    /// # Errors
    /// As [`CardVolume::start`].
    pub fn follow(&mut self, wanted: Gain, now: Instant) -> Result<()> {
        if wanted == Gain::SILENT {
            self.muted = true;
            self.eased_at = now;
            return Ok(());
        }
        let Some(at) = self.at else { return self.start(wanted, now) };
        self.ease(wanted, now);
        let silent = std::mem::replace(&mut self.muted, false);
        if self.place(self.eased) == at {
            return Ok(());
        }
        let at = self.look(at)?;
        let goal = self.place(self.eased);
        let next = if goal >= at || silent { goal } else { self.stride(at, goal) };
        if next != at {
            self.write(next)?;
        }
        self.at = Some(next);
        Ok(())
    }

    /// Returns how soon [`CardVolume::follow`] has more to do; `None` when it stands where it belongs.
    pub fn next_in(&self, wanted: Gain) -> Option<Duration> {
        let at = self.at.filter(|_| wanted != Gain::SILENT)?;
        if self.place(self.eased.min(wanted)) < at {
            Some(STRIDE_EVERY)
        } else {
            (self.eased < wanted).then_some(RISE_EVERY)
        }
    }

    /// Returns the highest step that is no louder than the gain, or the lowest.
    fn place(&self, gain: Gain) -> usize {
        self.steps.partition_point(|step| step.gain <= gain).saturating_sub(1)
    }

    /// Brings the eased gain forward. So much time counts at most that the first step after a rest is no jump.
    fn ease(&mut self, wanted: Gain, now: Instant) {
        let elapsed = now.saturating_duration_since(self.eased_at).min(LONGEST_COUNTED);
        self.eased_at = now;
        let rise = elapsed.as_millis() as i32 * RISE_PER_SECOND.0 / 1000;
        self.eased = wanted.min(Gain(self.eased.max(FLOOR).0.saturating_add(rise)));
    }

    /// Returns where the element really stands, in steps; one below all is at the lowest.
    fn look(&mut self, at: usize) -> Result<usize> {
        let raw = self.element.read()?;
        if raw == self.steps[at].raw {
            return Ok(at);
        }
        let real = self.steps.iter().position(|step| step.raw >= raw).unwrap_or(self.steps.len() - 1);
        self.at = Some(real);
        if real < at {
            self.eased = self.eased.min(self.steps[real].gain);
        }
        Ok(real)
    }

    /// Returns the step to go down to: a stride away, at least one step.
    fn stride(&self, at: usize, goal: usize) -> usize {
        let to = Gain(self.steps[at].gain.0.saturating_sub(STRIDE.0));
        self.steps.partition_point(|step| step.gain < to).clamp(goal, at - 1)
    }

    /// Sets the element. After a failure it is taken to stand at the louder of both steps.
    fn write(&mut self, to: usize) -> Result<()> {
        let before = self.at;
        self.at = Some(before.map_or(to, |at| at.max(to)));
        self.element.write(self.steps[to].raw).inspect_err(|_| {
            if before.is_none() {
                // It was never ours: it may stand anywhere.
                self.at = None;
            }
        })
    }
}

/// Returns the steps that serve as a volume: from 0 dB downwards as long as they are fine, thinned where they are finer than
/// anybody hears. Those that amplify, mute or come after a coarse one are left out.
///
/// # Errors
/// What is wrong, to be read after the name of the element.
pub fn usable(steps: &[Step]) -> std::result::Result<Vec<Step>, String> {
    let mut kept: Vec<Step> = Vec::new();
    let mut gap = None;
    for step in steps.iter().rev().filter(|step| step.gain <= Gain::UNITY && step.gain != Gain::SILENT) {
        let Some(last) = kept.last() else {
            kept.push(*step);
            continue;
        };
        let down = Gain(last.gain.0.saturating_sub(step.gain.0));
        if down > COARSEST {
            gap = Some(down);
            break;
        }
        if down >= FINEST {
            kept.push(*step);
        }
    }
    kept.reverse();
    match (kept.first(), kept.last()) {
        (Some(lowest), Some(_)) if lowest.gain > DEEP => Err(gap.map_or_else(
            || format!("goes down to {:.1} dB only", lowest.gain.db()),
            |gap| format!("has steps of {:.1} dB", gap.db()),
        )),
        (_, Some(top)) if top.gain >= HIGH => Ok(kept),
        _ => Err("does not reach 0 dB".to_owned()),
    }
}

/// Product rule "Volume is safe": the gain never rises by more than 10 dB in a second while sound runs.
const RISE_PER_SECOND: Gain = Gain(10 * 256);
/// Where a rise from silence starts, as that of the knob; below it nothing is heard in a living room.
const FLOOR: Gain = Gain(-60 * 256);
/// The time that counts for one step upwards, at most: half a decibel, as often as the knob is brought forward.
const LONGEST_COUNTED: Duration = Duration::from_millis(50);
/// How far the element goes down at once.
const STRIDE: Gain = Gain(2 * 256);
/// How soon the next stride follows: 60 dB take 150 ms and the time of the card.
const STRIDE_EVERY: Duration = Duration::from_millis(5);
/// How soon a rise goes on: a quarter of a decibel.
const RISE_EVERY: Duration = Duration::from_millis(25);
/// The widest step: what is wanted is missed by less, which nobody hears.
const COARSEST: Gain = Gain(256);
/// The narrowest step that is worth one: a tenth of a decibel.
const FINEST: Gain = Gain(26);
/// How far down an element must go: knob 22.
const DEEP: Gain = Gain(-40 * 256);
/// How near to 0 dB its highest step must be.
const HIGH: Gain = Gain(-128);

#[cfg(test)]
#[path = "mixer_tests.rs"]
pub(super) mod tests;
