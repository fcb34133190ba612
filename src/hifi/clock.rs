//! The clock on the wall: what it says in the box's own zone, and whether it may be trusted. A small box without a
//! battery clock wakes up at any time until the network tells it better. Reads a few small files of the kernel and
//! `/etc/localtime`; `task::follow_clock` runs it beside the loop.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::hifi::quiet::Clock;
use crate::units::UnixTime;
use crate::units::calendar::{LocalTime, TimeOfDay, Weekday};

/// What speaks for the clock and against it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Signs {
    /// What the system says.
    pub now: UnixTime,
    /// The last time that konpo trusted and wrote down.
    pub known: Option<UnixTime>,
    /// What a battery clock says; `None` when there is none.
    pub battery: Option<UnixTime>,
    /// A time server was heard since power-on.
    pub synchronised: bool,
    /// The clock was put forward or back while konpo watched.
    pub stepped: bool,
}

/// Returns whether the clock may be trusted: it was set since power-on, or a battery clock that is not empty agrees with
/// it. A battery clock that runs in local time differs by whole quarters of an hour.
pub fn trusted(signs: &Signs) -> bool {
    let Signs { now, known, battery, synchronised, stepped } = *signs;
    let kept = |battery: UnixTime| {
        let earliest = known.map_or(BUILT, |known| UnixTime(known.0 - DAY).max(BUILT));
        let apart = (battery.0 - now.0 + QUARTER / 2).rem_euclid(QUARTER) - QUARTER / 2;
        battery >= earliest && (battery.0 - now.0).abs() < DAY && apart.abs() <= DRIFT
    };
    now >= BUILT && (synchronised || stepped || battery.is_some_and(kept))
}

/// Returns what a clock on the wall says; `None` beyond the year 9999.
pub fn local(now: UnixTime, zone: &TimeZone) -> Option<LocalTime> {
    let there = Timestamp::from_second(now.0).ok()?.to_zoned(zone.clone());
    let number = |value: i8| u8::try_from(value).ok();
    let time = TimeOfDay::new(number(there.hour())?, number(there.minute())?)?;
    let day = Weekday::from_monday(number(there.weekday().to_monday_zero_offset())?);
    Some(LocalTime { day, time })
}

/// Watches the clock of the system.
#[derive(Debug)]
pub struct WallClock {
    known: Option<UnixTime>,
    /// The clock less the time since power-on, in seconds, when it was last looked at.
    offset: Option<i64>,
    stepped: bool,
}

impl WallClock {
    /// Returns a watch; `known` is the last time that konpo trusted and wrote down.
    pub fn new(known: Option<UnixTime>) -> WallClock {
        WallClock { known, offset: None, stepped: false }
    }

    /// Looks at the clock.
    ///
    /// # Blocks
    /// For the reading of four small files.
    pub fn look(&mut self) -> Clock {
        let now = UnixTime::now();
        if let Some(up) = uptime() {
            let offset = now.0 - up;
            self.stepped |= self.offset.is_some_and(|before| (offset - before).abs() >= STEP);
            self.offset = Some(offset);
        }
        let signs = Signs {
            now,
            known: self.known,
            battery: battery(),
            synchronised: Path::new(SYNCHRONISED).exists(),
            stepped: self.stepped,
        };
        let there = local(now, &TimeZone::system()).filter(|_| trusted(&signs));
        there.map_or(Clock::Unknown, Clock::Local)
    }
}

/// Seconds since power-on, sleep included (proc(5), uptime).
fn uptime() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    text.split('.').next()?.parse().ok()
}

/// What the first battery clock says (Linux, Documentation/ABI/testing/sysfs-class-rtc, since_epoch).
fn battery() -> Option<UnixTime> {
    std::fs::read_to_string("/sys/class/rtc/rtc0/since_epoch").ok()?.trim().parse().ok().map(UnixTime)
}

/// Made by systemd-timesyncd when a server was heard since power-on (systemd-timesyncd.service(8), Files).
const SYNCHRONISED: &str = "/run/systemd/timesync/synchronized";
/// No konpo is older than 2026-11-01: an earlier clock is wrong.
const BUILT: UnixTime = UnixTime(1_793_491_200);
const DAY: i64 = 86_400;
const QUARTER: i64 = 900;
/// How far a battery clock may be from the system's, in seconds; without a time server one was set from the other.
const DRIFT: i64 = 120;
/// The clock is set when it jumps by this, in seconds; a time server that only slews it has set it before.
const STEP: i64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: UnixTime = UnixTime(1_795_219_200 + 43_200);

    fn signs() -> Signs {
        Signs { now: NOON, ..Signs::default() }
    }

    #[test]
    fn a_clock_that_nothing_set_is_not_trusted() {
        assert!(!trusted(&signs()));
        // The time of the last shutdown, which systemd starts from, is no sign.
        assert!(!trusted(&Signs { known: Some(UnixTime(NOON.0 - 5)), ..signs() }));
        assert!(trusted(&Signs { synchronised: true, ..signs() }));
        assert!(trusted(&Signs { stepped: true, ..signs() }));
        assert!(!trusted(&Signs { now: UnixTime(1000), synchronised: true, stepped: true, ..signs() }));
        // Once wrong and written down, a time does not stand in the way of a server.
        assert!(trusted(&Signs { known: Some(UnixTime(NOON.0 + 400 * DAY)), synchronised: true, ..signs() }));
    }

    #[test]
    fn a_battery_clock_is_trusted_unless_its_battery_is_empty() {
        let with = |battery: i64| Signs { battery: Some(UnixTime(battery)), ..signs() };
        assert!(trusted(&with(NOON.0 + 1)));
        assert!(!trusted(&with(1000)), "it started from 1970");
        assert!(trusted(&with(NOON.0 + 2 * 3600 - 30)), "it runs in local time");
        assert!(!trusted(&with(NOON.0 + 3600 + 400)), "nobody set the system from it");
        let later = Some(UnixTime(NOON.0 + 2 * DAY));
        assert!(!trusted(&Signs { known: later, ..with(NOON.0) }), "it was later once");
    }

    #[test]
    fn local_time_follows_summer_time() {
        // POSIX.1-2017, 8.3, TZ: central Europe; no files of the system are read.
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        for (utc, day, time) in [
            ("2026-03-28T21:00:00Z", 5, "22:00"),
            ("2026-03-29T00:59:59Z", 6, "01:59"),
            ("2026-03-29T01:00:00Z", 6, "03:00"),
            ("2026-10-25T00:30:00Z", 6, "02:30"),
            ("2026-10-25T01:30:00Z", 6, "02:30"),
            ("2026-10-25T21:00:00Z", 6, "22:00"),
            ("2026-12-31T23:30:00Z", 4, "00:30"),
        ] {
            let local = local(UnixTime::parse(utc).expect("a time"), &zone).expect("in range");
            assert_eq!(
                (local.day, local.time.to_string().as_str()),
                (Weekday::from_monday(day), time),
                "{utc}"
            );
        }
    }

    #[test]
    fn the_system_is_read_without_trouble() {
        let mut clock = WallClock::new(None);
        let first = clock.look();
        assert_eq!(first == Clock::Unknown, clock.look() == Clock::Unknown);
    }
}
