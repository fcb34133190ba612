//! Buys that a history tells (an iTunes library, an order): with their file here or without. And dates of buys as they are
//! sorted.

use serde::{Deserialize, Serialize};

use crate::offer::Provenance;
use crate::track::{Purchase, TrackId};
use crate::units::{Millis, UnixTime};

/// One buy that a history tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastPurchase {
    /// The track it means, where its file is here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track: Option<TrackId>,
    /// The title as the history has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The artist as the history has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// The album as the history has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
    /// How long it sounds; zero unknown.
    pub duration: Millis,
    /// The history's own number of it, the same in its next reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_id: Option<String>,
    /// What is known of the buy: `Receipt` or `Claimed`, with its evidence.
    pub purchase: Purchase,
    /// What told it: `way` names the kind of history (`itunes`), `original_name` its file.
    pub from: Provenance,
}

impl PastPurchase {
    /// Returns how a later reading knows it again: by store and item, else by store and persistent id. `None` with neither:
    /// such a buy cannot be kept.
    pub fn name(&self) -> Option<String> {
        let store = &self.purchase.store;
        let item = self.purchase.item_id.as_ref().map(|item| format!("{store}:item:{item}"));
        item.or_else(|| self.persistent_id.as_ref().map(|id| format!("{store}:id:{id}")))
    }
}

/// What became of a history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryAdded {
    /// Buys that were not known.
    pub added: u64,
    /// Known ones that are told otherwise now: a track was found for them, say.
    pub changed: u64,
    /// Known ones that are told as before.
    pub known: u64,
    /// Buys without anything to know them again by; they are not kept.
    pub nameless: u64,
}

/// Returns when something was bought as it is sorted: `YYYY[-MM[-DD[ HH:MM:SS]]]`, in UTC where the text names a zone and as
/// it stands where it does not. `None` for a text that is no date.
///
/// Stores write `YYYY-MM-DD HH:MM:SS` (iTunes), RFC 3339 (UITS, iTunes libraries), `YYYYMMDD` (ID3 OWNE, ID3v2.3 4.24) or
/// parts of one.
pub fn sortable(text: &str) -> Option<String> {
    let text = text.trim();
    let plain = text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit());
    let dashed = if plain {
        format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..])
    } else {
        text.replace(['/', '.'], "-").replacen('T', " ", 1)
    };
    let (date, time) = dashed.split_once(' ').unwrap_or((&dashed, ""));
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4, 1900..=9999)?;
    let Some(month) = parts.next() else { return time.is_empty().then(|| format!("{year:04}")) };
    let month = number(month, 2, 1..=12)?;
    let Some(day) = parts.next() else { return time.is_empty().then(|| format!("{year:04}-{month:02}")) };
    let day = number(day, 2, 1..=31)?;
    let date = format!("{year:04}-{month:02}-{day:02}");
    // A day that its month does not have is no date.
    let midnight = UnixTime::parse(&format!("{date}T00:00:00Z"))?;
    if parts.next().is_some() {
        return None;
    }
    if time.is_empty() {
        return Some(date);
    }
    let (clock, zone) =
        time.split_at(time.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(time.len()));
    let mut parts = clock.split(':');
    let (hour, minute) = (number(parts.next()?, 2, 0..=23)?, number(parts.next()?, 2, 0..=59)?);
    let second = parts.next().map_or(Some(0), |second| number(second, 2, 0..=60))?;
    let seconds = midnight.0 + hour * 3600 + minute * 60 + second - offset(zone)?;
    let utc = UnixTime(seconds).rfc3339();
    Some(format!("{} {}", utc.get(..10)?, utc.get(11..19)?))
}

fn number(text: &str, digits: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|number| plain && range.contains(number))
}

/// Reads a zone (`Z`, `+09:00`, `+0900`) behind parts of a second; returns its seconds east of Greenwich. 0 for none.
fn offset(text: &str) -> Option<i64> {
    let text =
        match text.strip_prefix('-').filter(|rest| rest.bytes().next().is_some_and(|b| b.is_ascii_digit())) {
            // `sortable` made a dash of the point in front of parts of a second; a zone has four digits.
            Some(rest) if !is_zone(rest) => rest.trim_start_matches(|c: char| c.is_ascii_digit()),
            _ => text,
        };
    let text = text.trim();
    match text.as_bytes().first() {
        None | Some(b'Z' | b'z') => Some(0),
        Some(sign @ (b'+' | b'-')) if is_zone(&text[1..]) => {
            let digits = text[1..].replace(':', "");
            let (hours, minutes) = (number(&digits[..2], 2, 0..=14)?, number(&digits[2..], 2, 0..=59)?);
            let seconds = hours * 3600 + minutes * 60;
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn is_zone(text: &str) -> bool {
    let digits = text.replacen(':', "", 1);
    digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn dates_of_stores_sort_as_they_follow_each_other() {
        for (text, wanted) in [
            ("2007-10-16 09:30:00", Some("2007-10-16 09:30:00")),
            ("2011-03-04T05:06:07Z", Some("2011-03-04 05:06:07")),
            ("2011-03-04T05:06:07.250Z", Some("2011-03-04 05:06:07")),
            ("2011-03-04T05:06:07+09:00", Some("2011-03-03 20:06:07")),
            ("2011-12-31 23:30:00 -0100", Some("2012-01-01 00:30:00")),
            ("2007-10-16 09:30", Some("2007-10-16 09:30:00")),
            ("20071016", Some("2007-10-16")),
            ("2007/10/16", Some("2007-10-16")),
            ("2007-10", Some("2007-10")),
            ("2007", Some("2007")),
            ("2007-02-30", None),
            ("2007-13-01", None),
            ("0000-00-00", None),
            ("2007-10-16 25:00:00", None),
            ("2007-10-16 09:30:00 JST", None),
            ("16.10.2007", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(sortable(text).as_deref(), wanted, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_sorted_stays_as_it_is(text in "\\PC{0,30}", time in 0i64..4_000_000_000) {
            if let Some(first) = sortable(&text) {
                prop_assert_eq!(sortable(&first), Some(first));
            }
            let written = UnixTime(time).rfc3339();
            let wanted = written.replace('T', " ").replace('Z', "");
            prop_assert_eq!(sortable(&written), Some(wanted));
        }
    }
}
