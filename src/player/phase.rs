//! What the motor is doing, with the data of it. Pure.

use std::time::{Duration, Instant};

/// What the motor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is loaded; the device is given back after a while.
    Idle {
        /// Since when.
        since: Instant,
    },
    /// Sound runs.
    Playing,
    /// Sound waits; the device is given back after a while.
    Paused {
        /// Since when.
        since: Instant,
    },
    /// The device is in trouble; it is asked again.
    Waiting {
        /// When.
        until: Instant,
    },
}

impl Phase {
    /// Returns when an open device is given back; `None` while sound runs.
    pub fn release_at(self) -> Option<Instant> {
        match self {
            Phase::Idle { since } | Phase::Paused { since } => Some(since + RELEASE_AFTER),
            Phase::Playing | Phase::Waiting { .. } => None,
        }
    }

    /// Returns whether sound runs, or would if the device did.
    pub fn wants_sound(self) -> bool {
        matches!(self, Phase::Playing | Phase::Waiting { .. })
    }
}

const RELEASE_AFTER: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_is_given_back_ten_seconds_after_pause_or_stop_only() {
        let now = Instant::now();
        let ten = Some(now + Duration::from_secs(10));
        assert_eq!(Phase::Idle { since: now }.release_at(), ten);
        assert_eq!(Phase::Paused { since: now }.release_at(), ten);
        assert_eq!(Phase::Playing.release_at(), None);
        assert_eq!(Phase::Waiting { until: now }.release_at(), None);
    }
}
