//! Quiet hours: whether they hold, by the hours the owner set, what somebody chose, and what is known of the time. Pure.

use serde::{Deserialize, Serialize};

use crate::hifi::command::QuietMode;
use crate::hifi::state::{QuietCause, QuietState};
use crate::units::Volume;
use crate::units::calendar::{Hours, LocalTime};

/// `[quiet]` as far as the box obeys it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuietConfig {
    /// The hours; `None`: only by hand.
    pub hours: Option<Hours>,
    /// The highest the knob goes meanwhile.
    pub limit: Volume,
    /// What happens to sound that runs when they begin.
    pub action: QuietAction,
}

/// What happens to sound that runs when quiet hours begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuietAction {
    /// It goes down to the limit in 60 s.
    Fade,
    /// The track is finished, then it stops. The only one possible with a fixed volume.
    Stop,
}

impl Default for QuietConfig {
    fn default() -> QuietConfig {
        let limit = Volume::new(20).unwrap_or(Volume::MIN);
        QuietConfig { hours: None, limit, action: QuietAction::Fade }
    }
}

/// What is known of the time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Clock {
    /// Nothing has set the clock since power-on.
    #[default]
    Unknown,
    /// What a clock on the wall says.
    Local(LocalTime),
}

/// What of quiet hours survives a power cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Choice {
    /// What somebody chose.
    mode: QuietMode,
    /// Quiet hours were seen since: when they end, so does the choice.
    begun: bool,
}

/// Quiet hours and where they stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quiet {
    config: QuietConfig,
    choice: Choice,
    clock: Clock,
}

impl Quiet {
    /// Returns quiet hours after power-on. A choice against them does not hold while the time is not known: nobody can
    /// tell whether it is for this night.
    pub fn new(config: QuietConfig, kept: Choice, clock: Clock) -> Quiet {
        let stale = clock == Clock::Unknown && kept.mode == QuietMode::Off;
        let choice = if stale { Choice::default() } else { kept };
        let mut quiet = Quiet { config, choice, clock };
        quiet.tell(clock);
        quiet
    }

    /// Takes what somebody chooses.
    pub fn choose(&mut self, mode: QuietMode) {
        let pointless = mode == QuietMode::Off && self.config.hours.is_none();
        self.choice = Choice { mode: if pointless { QuietMode::Auto } else { mode }, begun: false };
        self.tell(self.clock);
    }

    /// Takes other settings. A choice against hours that are gone is over.
    pub fn set_config(&mut self, config: QuietConfig) {
        self.config = config;
        if config.hours.is_none() && self.choice.mode == QuietMode::Off {
            self.choice = Choice::default();
        }
        self.tell(self.clock);
    }

    /// Takes what is known of the time.
    pub fn tell(&mut self, clock: Clock) {
        self.clock = clock;
        let Some(hours) = self.config.hours else { return };
        match clock {
            Clock::Local(now) if hours.hold(now) => self.choice.begun = true,
            Clock::Local(_) if self.choice.begun => self.choice = Choice::default(),
            _ => {}
        }
    }

    /// Returns why it is quiet now, or `None` when it is not.
    pub fn because(&self) -> Option<QuietCause> {
        match (self.choice.mode, self.config.hours, self.clock) {
            (QuietMode::Off, ..) => None,
            (_, Some(hours), Clock::Local(now)) if hours.hold(now) => Some(QuietCause::Hours),
            (QuietMode::On, ..) => Some(QuietCause::Hand),
            (QuietMode::Auto, Some(_), Clock::Unknown) => Some(QuietCause::Clock),
            (QuietMode::Auto, ..) => None,
        }
    }

    /// Returns the settings.
    pub fn config(&self) -> QuietConfig {
        self.config
    }

    /// Returns what is to survive a power cut.
    pub fn choice(&self) -> Choice {
        self.choice
    }

    /// Returns what is known of the time.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Returns quiet hours for faces.
    pub fn state(&self) -> QuietState {
        let because = self.because();
        let known = because.is_some() && self.clock != Clock::Unknown;
        let until = self.config.hours.filter(|_| known).map(|hours| hours.to);
        QuietState { mode: self.choice.mode, because, until, limit: self.config.limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::calendar::{Days, TimeOfDay, Weekday};

    fn at(hour: u8) -> Clock {
        let time = TimeOfDay::new(hour, 0).expect("a time");
        Clock::Local(LocalTime { day: Weekday::from_monday(2), time })
    }

    fn night(clock: Clock) -> Quiet {
        let (from, to) = (TimeOfDay::new(22, 0).expect("a time"), TimeOfDay::new(7, 0).expect("a time"));
        let hours = Some(Hours { from, to, days: Days::ALL });
        Quiet::new(QuietConfig { hours, ..QuietConfig::default() }, Choice::default(), clock)
    }

    #[test]
    fn a_choice_holds_until_the_quiet_hours_end() {
        for mode in [QuietMode::On, QuietMode::Off] {
            let mut quiet = night(at(20));
            quiet.choose(mode);
            for hour in [20, 21, 22, 23, 3, 6] {
                quiet.tell(at(hour));
                assert_eq!(quiet.because().is_some(), mode == QuietMode::On, "{mode:?} at {hour}");
                assert_eq!(quiet.state().mode, mode);
            }
            quiet.tell(at(7));
            assert_eq!((quiet.state().mode, quiet.because()), (QuietMode::Auto, None));
            quiet.tell(at(22));
            assert_eq!(quiet.because(), Some(QuietCause::Hours));
        }
    }

    #[test]
    fn while_the_time_is_not_known_it_is_quiet_and_who_is_there_may_end_it() {
        let mut quiet = night(Clock::Unknown);
        assert_eq!(quiet.because(), Some(QuietCause::Clock));
        assert_eq!(quiet.state().until, None);
        quiet.choose(QuietMode::Off);
        assert_eq!(quiet.because(), None);
        // The choice of last time is not for this night.
        let kept = quiet.choice();
        assert!(Quiet::new(quiet.config(), kept, Clock::Unknown).because().is_some());
        assert!(Quiet::new(quiet.config(), kept, at(23)).because().is_none());
        quiet.tell(at(12));
        assert_eq!(quiet.because(), None);
    }

    #[test]
    fn without_hours_only_a_hand_makes_it_quiet() {
        let mut quiet = Quiet::new(QuietConfig::default(), Choice::default(), Clock::Unknown);
        assert_eq!(quiet.because(), None);
        quiet.choose(QuietMode::On);
        assert_eq!(quiet.because(), Some(QuietCause::Hand));
        quiet.tell(at(7));
        assert_eq!(quiet.because(), Some(QuietCause::Hand));
        quiet.choose(QuietMode::Off);
        assert_eq!((quiet.because(), quiet.state().mode), (None, QuietMode::Auto));
    }
}
