//! Times as AVTransport writes and reads them (AVTransport:1, 2.2.14; reference upnp 7.2). Pure.

use crate::units::Millis;

/// Returns a time as `H:MM:SS`, without a fraction, which some apps cannot read.
pub fn written(time: Millis) -> String {
    let seconds = time.0 / 1000;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Reads the target of a seek: `[+]H:MM:SS[.F]`, `[.F0/F1]`, `MM:SS`, seconds, and a comma for the point. `None` for
/// anything else, also for a time before the start.
pub fn read(text: &str) -> Option<Millis> {
    let text = text.trim();
    let text = text.strip_prefix('+').unwrap_or(text);
    let (whole, fraction) = text.split_once(['.', ',']).unwrap_or((text, ""));
    let parts: Vec<&str> = whole.split(':').collect();
    if parts.len() > 3 {
        return None;
    }
    let mut seconds = 0_u64;
    for (place, part) in parts.iter().enumerate() {
        let number = digits(part)?;
        if place > 0 && number > 59 {
            return None;
        }
        seconds = seconds.checked_mul(60)?.checked_add(number)?;
    }
    let millis = match fraction.split_once('/') {
        Some((over, under)) => {
            let (over, under) = (digits(over)?, digits(under)?);
            if over >= under {
                return None;
            }
            over.checked_mul(1000)? / under
        }
        None if fraction.is_empty() => 0,
        None => {
            digits(fraction.get(..fraction.len().min(18))?)?;
            let shown: String = fraction.chars().chain("00".chars()).take(3).collect();
            digits(&shown)?
        }
    };
    seconds.checked_mul(1000)?.checked_add(millis).map(Millis)
}

fn digits(text: &str) -> Option<u64> {
    (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_written_without_a_fraction() {
        for (time, want) in [
            (0, "0:00:00"),
            (999, "0:00:00"),
            (61_000, "0:01:01"),
            (3_600_000, "1:00:00"),
            (360_000_000, "100:00:00"),
        ] {
            assert_eq!(written(Millis(time)), want);
        }
    }

    #[test]
    fn every_form_in_which_apps_write_a_target_is_read() {
        for (text, want) in [
            ("0:00:12", Some(12_000)),
            ("00:01:02", Some(62_000)),
            ("+1:00:00", Some(3_600_000)),
            ("0:00:01.5", Some(1500)),
            ("0:00:01.25", Some(1250)),
            ("0:00:01.123456789", Some(1123)),
            ("0:00:01.1/4", Some(1250)),
            ("00:00:12,000", Some(12_000)),
            ("1:02", Some(62_000)),
            ("75", Some(75_000)),
            (" 0:00:03 ", Some(3000)),
            ("1000:00:00", Some(3_600_000_000)),
            ("-0:00:01", None),
            ("0:00:60", None),
            ("0:60:00", None),
            ("0:00:01.4/4", None),
            ("0:00:01.1/0", None),
            ("0:00:01.x", None),
            ("1:2:3:4", None),
            ("::", None),
            ("", None),
            ("NOT_IMPLEMENTED", None),
            ("99999999999999999999:00:00", None),
        ] {
            assert_eq!(read(text), want.map(Millis), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(seconds in 0u64..10_000_000) {
            prop_assert_eq!(read(&written(Millis(seconds * 1000))), Some(Millis(seconds * 1000)));
        }

        #[test]
        fn no_text_breaks_it(text in "([0-9]|:|\\.|,|/|\\+|-|é| ){0,40}") {
            let _either_way = read(&text);
        }
    }
}
