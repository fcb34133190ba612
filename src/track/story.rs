//! How a track came here, in one sentence. Pure: what the listener may not know is left out before.

/// A day on the wall calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// The year.
    pub year: i64,
    /// The month, 1..=12.
    pub month: u8,
    /// The day, 1..=31.
    pub day: u8,
}

/// What is told of one track.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Story {
    /// The buy with the strongest proof.
    pub bought: Option<Buy>,
    /// How it came first.
    pub came: Option<Came>,
    /// How the free file of a locked song came.
    pub unlocked: Option<Came>,
}

/// A buy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buy {
    /// The store, by its name for a person.
    pub store: String,
    /// When, as it is sorted (`past::sortable`); `None` unknown.
    pub at: Option<String>,
    /// The store's own mark or a receipt proves it.
    pub proved: bool,
}

/// One arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Came {
    /// `upnp`, `inbox`, `found`, …
    pub way: String,
    /// What the device that brought it called itself; empty: none, or not to be told.
    pub device: String,
    /// When.
    pub on: Day,
}

impl Story {
    /// Returns the sentence, without a full stop; `today` decides whether a year has to be told. `None` when nothing is known.
    pub fn tell(&self, today: Day) -> Option<String> {
        let bought = self.bought.as_ref().map(Buy::tell);
        let came = self.came.as_ref().map(|came| came.tell(today));
        let unlocked = self.unlocked.as_ref().map(|came| {
            let from = if came.device.is_empty() { String::new() } else { format!(" from {}", came.device) };
            format!("unlocked by a free file{from} {}", on(came.on, today))
        });
        let parts: Vec<String> = [bought, came, unlocked].into_iter().flatten().collect();
        let told = parts.join(", ");
        let mut letters = told.chars();
        let first = letters.next()?;
        Some(first.to_uppercase().chain(letters).collect())
    }
}

impl Buy {
    fn tell(&self) -> String {
        let said = if self.proved { "bought" } else { "said to be bought" };
        match self.at.as_deref().and_then(date) {
            Some(date) => format!("{said} {date} at {}", self.store),
            None => format!("{said} at {}", self.store),
        }
    }
}

impl Came {
    fn tell(&self, today: Day) -> String {
        let on = on(self.on, today);
        let from = if self.device.is_empty() { String::new() } else { format!(" from {}", self.device) };
        match self.way.as_str() {
            "inbox" => format!("put into the drop folder {on}"),
            "found" => format!("found in the music folder {on}"),
            _ => format!("beamed{from} {on}"),
        }
    }
}

/// Returns `16 October 2007`, `in October 2007` or `in 2007`.
fn date(sorted: &str) -> Option<String> {
    let year = sorted.get(..4)?;
    let Some(month) = sorted.get(5..7) else { return Some(format!("in {year}")) };
    let name = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    Some(match sorted.get(8..10) {
        Some(day) => format!("{} {name} {year}", day.trim_start_matches('0')),
        None => format!("in {name} {year}"),
    })
}

/// Returns `on 3 March`, with the year when it is not this one.
fn on(day: Day, today: Day) -> String {
    let month = MONTHS.get(usize::from(day.month).wrapping_sub(1)).copied().unwrap_or_default();
    let year = if day.year == today.year { String::new() } else { format!(" {}", day.year) };
    format!("on {} {month}{year}", day.day)
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i64, month: u8, day: u8) -> Day {
        Day { year, month, day }
    }

    fn came(way: &str, device: &str, on: Day) -> Option<Came> {
        Some(Came { way: way.into(), device: device.into(), on })
    }

    fn buy(at: Option<&str>) -> Option<Buy> {
        Some(Buy { store: "mora".into(), at: at.map(str::to_owned), proved: true })
    }

    #[test]
    fn a_track_tells_how_it_came() {
        let today = day(2026, 11, 21);
        let march = day(2026, 3, 3);
        for (story, wanted) in [
            (
                Story {
                    bought: buy(Some("2007-10-16 09:30:00")),
                    came: came("upnp", "Yuki's phone", march),
                    unlocked: None,
                },
                Some("Bought 16 October 2007 at mora, beamed from Yuki's phone on 3 March"),
            ),
            (
                Story {
                    bought: buy(Some("2007-10")),
                    came: came("found", "", day(2025, 12, 31)),
                    unlocked: came("inbox", "", march),
                },
                Some(
                    "Bought in October 2007 at mora, found in the music folder on 31 December 2025, unlocked by a free file on 3 March",
                ),
            ),
            (Story { bought: buy(Some("2007")), ..Story::default() }, Some("Bought in 2007 at mora")),
            (Story { bought: buy(None), ..Story::default() }, Some("Bought at mora")),
            (
                Story { bought: buy(None).map(|buy| Buy { proved: false, ..buy }), ..Story::default() },
                Some("Said to be bought at mora"),
            ),
            (
                Story { came: came("inbox", "", march), ..Story::default() },
                Some("Put into the drop folder on 3 March"),
            ),
            (Story { came: came("upnp", "", march), ..Story::default() }, Some("Beamed on 3 March")),
            (
                Story { came: came("upnp", "Éva's phone", march), ..Story::default() },
                Some("Beamed from Éva's phone on 3 March"),
            ),
            (Story::default(), None),
        ] {
            assert_eq!(story.tell(today).as_deref(), wanted);
        }
    }
}
