//! Who applies the gain: the samples, or an element of the card with the samples for what lies below it. Asked on the
//! player's thread only; [`crate::player::mixer`] says in which order the two move.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::player::Knob;
use crate::player::mixer::{CardVolume, Wish};
use crate::player::motor::Motor;
use crate::player::output::{Output, Plan};
use crate::signal::{CardMixer, Device};
use crate::units::Gain;

/// The volume of the device that is open.
pub(super) struct Volume {
    wish: Wish,
    hand: Hand,
    /// The device whose mixer was asked.
    of: Option<String>,
    /// What the owner should know of the mixer.
    notice: Option<String>,
}

enum Hand {
    Samples,
    Card(CardVolume),
    /// The samples, behind an element that failed and stands no louder than this.
    Stuck(Gain),
}

impl Volume {
    /// Returns the volume as it is before a device is open.
    pub(super) fn new(wish: Wish, knob: Knob) -> Volume {
        let wish = if knob == Knob::Fixed { Wish::Software } else { wish };
        Volume { wish, hand: Hand::Samples, of: None, notice: None }
    }

    /// Returns what the samples are multiplied by.
    pub(super) fn software(&self, wanted: Gain) -> Gain {
        match &self.hand {
            Hand::Samples => wanted,
            Hand::Card(card) => card.software(wanted),
            // An element that failed is no reason to be louder than full scale.
            Hand::Stuck(at) => wanted.and(Gain(-at.0)).min(Gain::UNITY),
        }
    }

    /// Returns the factor of the card behind that of the samples.
    pub(super) fn behind(&self) -> f64 {
        match &self.hand {
            Hand::Samples => 1.0,
            Hand::Card(card) => card.gain().factor(),
            Hand::Stuck(at) => at.factor(),
        }
    }

    /// Takes the element of a device that is about to be opened and sets it, so that nothing is louder than wanted from the
    /// first frame on. One that is opened anew while it is still heard is followed on: what is left of the old stream on its
    /// way through the card must not come out at the level of the new one.
    pub(super) fn open(
        &mut self,
        output: &mut dyn Output,
        plan: &Plan,
        wanted: Gain,
        heard: Heard,
        now: Instant,
    ) {
        let same = self.of.as_ref() == Some(&plan.device) && matches!(self.hand, Hand::Card(_));
        if !same {
            self.leave();
            self.of = Some(plan.device.clone());
            match attach(output, plan, &self.wish, now) {
                Ok(Some(card)) => self.hand = Hand::Card(card),
                Ok(None) => {}
                Err(error) => self.notice = Some(error.to_string()),
            }
        }
        self.follow(wanted, if same { heard } else { Heard::Nothing }, now);
    }

    /// Brings the element nearer to what is wanted: at once where nothing was heard for a while.
    fn follow(&mut self, wanted: Gain, heard: Heard, now: Instant) {
        self.take(|card| match heard {
            Heard::Nothing => card.start(wanted, now),
            Heard::Sound => card.follow(wanted, now),
        });
    }

    /// Lets the element go, as it stands.
    pub(super) fn leave(&mut self) {
        (self.hand, self.of, self.notice) = (Hand::Samples, None, None);
    }

    /// Does something with the element; one that fails is left to the samples, at the loudest it can stand.
    fn take(&mut self, act: impl FnOnce(&mut CardVolume) -> Result<()>) {
        let Hand::Card(card) = &mut self.hand else { return };
        if let Err(error) = act(card) {
            tracing::warn!(element = card.name(), %error, "the card's mixer is in trouble");
            self.notice = Some(format!("{error}: konpo does the volume itself"));
            self.hand = Hand::Stuck(card.gain());
        }
    }

    fn next_in(&self, wanted: Gain) -> Option<Duration> {
        let Hand::Card(card) = &self.hand else { return None };
        card.next_in(wanted)
    }

    /// Returns the element that has the volume.
    pub(super) fn mixer(&self) -> Option<CardMixer> {
        let Hand::Card(card) = &self.hand else { return None };
        Some(CardMixer { element: card.name().to_owned(), lowest: card.lowest() })
    }

    /// Returns what the owner should know.
    pub(super) fn notice(&self) -> Option<String> {
        self.notice.clone()
    }
}

/// What was heard of the device lately.
#[derive(Clone, Copy)]
pub(super) enum Heard {
    /// Nothing for a second: nobody compares.
    Nothing,
    /// Sound, also of a stream that was closed just now.
    Sound,
}

impl Motor {
    /// Applies the gain that is wanted, or one step towards it.
    pub(super) fn apply(&mut self, now: Instant) {
        let Some(device) = &self.device else { return };
        let (shared, heard) = (device.shared(), self.heard_lately(now));
        let before = self.volume.mixer();
        // The card first: a switch that was muted opens its samples only behind it.
        self.volume.follow(self.gain, heard, now);
        shared.aim(self.volume.software(self.gain));
        let after = self.volume.mixer();
        if let Some(told) = self.told_device.as_ref().filter(|told| told.open && before != after) {
            let trouble = self.volume.notice();
            self.tell_device(Device { mixer: after, trouble, ..told.clone() });
        }
    }

    /// Returns what was heard lately.
    pub(super) fn heard_lately(&self, now: Instant) -> Heard {
        let running = self.device.as_ref().filter(|device| device.stream.is_some());
        let silent = match (running, self.left) {
            (Some(device), _) => device.shared().silence() >= u64::from(device.plan.rate.hz()),
            (None, Some((_, at))) => now.saturating_duration_since(at) >= COMPARED,
            (None, None) => true,
        };
        if silent { Heard::Nothing } else { Heard::Sound }
    }

    /// Goes on with what the card could not do at once.
    pub(super) fn apply_due(&mut self, now: Instant) {
        if self.apply_in().is_some() {
            self.apply(now);
        }
    }

    /// Returns how soon the card has more to do.
    pub(super) fn apply_in(&self) -> Option<Duration> {
        self.device.as_ref().and_then(|_| self.volume.next_in(self.gain))
    }
}

/// After so long a silence sound may start at any gain, as with [`crate::player::gain::lifted`].
const COMPARED: Duration = Duration::from_secs(1);

fn attach(output: &mut dyn Output, plan: &Plan, wish: &Wish, now: Instant) -> Result<Option<CardVolume>> {
    let element = output.mixer(plan, wish)?;
    element.map(|element| CardVolume::over(element, now)).transpose()
}
