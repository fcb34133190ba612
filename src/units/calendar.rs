//! Times of day and days of the week as people set them. Pure; which time it is now is `hifi::clock`'s business.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A minute of the day, 00:00 to 23:59. Written and read as `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Returns the time, or `None` beyond 23:59.
    pub const fn new(hour: u8, minute: u8) -> Option<TimeOfDay> {
        if hour < 24 && minute < 60 { Some(TimeOfDay(hour as u16 * 60 + minute as u16)) } else { None }
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = String;
    fn try_from(text: String) -> Result<TimeOfDay, String> {
        let two = |part: &str| part.len() == 2 && part.bytes().all(|sign| sign.is_ascii_digit());
        let digits = |part: &str| part.parse::<u8>().ok().filter(|_| two(part));
        let time = text.split_once(':').and_then(|(h, m)| TimeOfDay::new(digits(h)?, digits(m)?));
        time.ok_or_else(|| format!("{text:?} is not a time of day like \"22:00\""))
    }
}

impl From<TimeOfDay> for String {
    fn from(time: TimeOfDay) -> String {
        time.to_string()
    }
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Weekday(u8);

impl Weekday {
    /// Returns the day so many days behind a Monday, 0..=6; beyond that, counted round.
    pub const fn from_monday(days: u8) -> Weekday {
        Weekday(days % 7)
    }

    /// Returns the day before.
    pub const fn before(self) -> Weekday {
        Weekday((self.0 + 6) % 7)
    }
}

/// A set of days of the week, never empty. Written `all`, or days and ranges like `sun-thu,sat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Days(u8);

impl Days {
    /// Every day.
    pub const ALL: Days = Days(0b111_1111);

    /// Returns whether the day is in the set.
    pub const fn holds(self, day: Weekday) -> bool {
        self.0 >> day.0 & 1 == 1
    }
}

impl TryFrom<String> for Days {
    type Error = String;
    fn try_from(text: String) -> Result<Days, String> {
        if text == "all" {
            return Ok(Days::ALL);
        }
        let wrong = || format!("{text:?} is not \"all\" or days like \"mon-fri\" or \"fri,sat\"");
        let day = |name: &str| NAMES.iter().position(|known| *known == name.trim()).ok_or_else(wrong);
        let mut set = 0;
        for part in text.split(',') {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to) = (day(from)?, day(to)?);
            for step in 0..=(to + 7 - from) % 7 {
                set |= 1 << ((from + step) % 7);
            }
        }
        Ok(Days(set))
    }
}

impl From<Days> for String {
    fn from(days: Days) -> String {
        if days == Days::ALL {
            return "all".into();
        }
        let held = (0u8..7).filter(|&day| days.holds(Weekday(day)));
        held.map(|day| NAMES[usize::from(day)]).collect::<Vec<_>>().join(",")
    }
}

/// What a clock on the wall says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// The day.
    pub day: Weekday,
    /// The time.
    pub time: TimeOfDay,
}

/// Hours that come again: from a time on these days to a time of the same or the next day, which is outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// The first minute.
    pub from: TimeOfDay,
    /// The first minute after; before `from`, it is that of the next day.
    pub to: TimeOfDay,
    /// The days on which they begin.
    pub days: Days,
}

impl Hours {
    /// Returns whether `now` lies in them. What a clock that is put forward leaves out is not waited for.
    pub fn hold(&self, now: LocalTime) -> bool {
        if self.from < self.to {
            return self.days.holds(now.day) && (self.from..self.to).contains(&now.time);
        }
        let begun = now.time >= self.from && self.days.holds(now.day);
        begun || now.time < self.to && self.days.holds(now.day.before())
    }
}

const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> TimeOfDay {
        TimeOfDay::try_from(text.to_owned()).expect("a time")
    }

    fn days(text: &str) -> Days {
        Days::try_from(text.to_owned()).expect("days")
    }

    #[test]
    fn times_are_read_as_they_are_written_and_nothing_else_is() {
        for text in ["00:00", "07:05", "22:00", "23:59"] {
            assert_eq!(time(text).to_string(), text);
        }
        for wrong in ["24:00", "7:00", "22:60", "22", "22:00:00", "+1:00", "", "２２:00"] {
            assert!(TimeOfDay::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn days_are_lists_and_ranges_that_may_pass_sunday() {
        let held = |text: &str| String::from(days(text));
        assert_eq!(held("all"), "all");
        assert_eq!(held("mon-sun"), "all");
        assert_eq!(held("mon-fri"), "mon,tue,wed,thu,fri");
        assert_eq!(held("sun-tue, fri"), "mon,tue,fri,sun");
        for wrong in ["", "monday", "mon-", "all,mon", "0"] {
            assert!(Days::try_from(wrong.to_owned()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hours_over_midnight_belong_to_the_day_on_which_they_begin() {
        let night = Hours { from: time("22:00"), to: time("07:00"), days: days("fri") };
        let at = |day: u8, text: &str| LocalTime { day: Weekday::from_monday(day), time: time(text) };
        for (day, text, inside) in [
            (4, "21:59", false),
            (4, "22:00", true),
            (5, "06:59", true),
            (5, "07:00", false),
            (4, "06:00", false),
            (5, "22:00", false),
        ] {
            assert_eq!(night.hold(at(day, text)), inside, "{day} {text}");
        }
        let noon = Hours { from: time("12:00"), to: time("14:00"), days: Days::ALL };
        assert!(noon.hold(at(0, "12:00")) && !noon.hold(at(0, "14:00")) && !noon.hold(at(0, "11:59")));
        // The Monday before Tuesday, round the week.
        let sunday = Hours { from: time("23:00"), to: time("01:00"), days: days("sun") };
        assert!(sunday.hold(at(0, "00:30")) && !sunday.hold(at(6, "00:30")));
    }
}
