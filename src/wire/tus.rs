//! The headers of tus, the protocol for resumable uploads: tus resumable upload protocol 1.0.0 (tus.io/protocols).

use crate::error::{Error, Kind, Result};
use crate::units::UnixTime;

/// What a client says of the file it is about to send (1.0.0, "Upload-Metadata").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata(Vec<(String, Vec<u8>)>);

impl Metadata {
    /// Returns a value as text; `None` when it is not there or no UTF-8.
    pub fn text(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        std::str::from_utf8(value).ok()
    }
}

/// A sum that stands for a piece (1.0.0, extension Checksum).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    /// SHA-1, which every server must know.
    Sha1(Vec<u8>),
    /// SHA-256.
    Sha256(Vec<u8>),
}

/// The names of the sums, as `Tus-Checksum-Algorithm` lists them.
pub const CHECKSUMS: &str = "sha1,sha256";
/// The version that is spoken.
pub const VERSION: &str = "1.0.0";

/// Reads `Upload-Metadata`: keys and base64 values, divided by commas; a key without a value is empty (1.0.0,
/// "Upload-Metadata").
///
/// # Errors
/// `Invalid` for what is longer than 16 KiB, a key twice, and anything that is no base64.
pub fn metadata(text: &str) -> Result<Metadata> {
    let wrong = |why: &str| Error::new(Kind::Invalid, format!("read Upload-Metadata: {why}"));
    if text.len() > LONGEST_METADATA {
        return Err(wrong("it is too long"));
    }
    let mut all: Vec<(String, Vec<u8>)> = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("a key is not ASCII"));
        }
        if all.iter().any(|(known, _)| known == key) {
            return Err(wrong("a key stands there twice"));
        }
        let value = base64(value.trim()).ok_or_else(|| wrong("a value is no base64"))?;
        all.push((key.to_owned(), value));
        if all.len() > MOST_KEYS {
            return Err(wrong("too many keys"));
        }
    }
    Ok(Metadata(all))
}

/// Reads `Upload-Length` and `Upload-Offset`: a number of bytes, digits only.
///
/// # Errors
/// `Invalid`.
pub fn bytes(text: &str) -> Result<u64> {
    let digits = !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
    let read = if digits { text.parse().ok() } else { None };
    read.ok_or_else(|| {
        Error::new(Kind::Invalid, "read a number of bytes: it must be digits and nothing else")
    })
}

/// Reads `Upload-Checksum`: the name of the sum, a space, and its base64.
///
/// # Errors
/// `Unsupported` for a sum that is not known here, `Invalid` for a wrong one.
pub fn checksum(text: &str) -> Result<Checksum> {
    let wrong = || Error::new(Kind::Invalid, "read Upload-Checksum: it is no sum in base64");
    let (name, value) = text.split_once(' ').ok_or_else(wrong)?;
    let sum = if value.len() <= 64 { base64(value.trim()) } else { None }.ok_or_else(wrong)?;
    match (name, sum.len()) {
        ("sha1", 20) => Ok(Checksum::Sha1(sum)),
        ("sha256", 32) => Ok(Checksum::Sha256(sum)),
        ("sha1" | "sha256", _) => Err(wrong()),
        _ => Err(Error::new(Kind::Unsupported, format!("only these sums are known here: {CHECKSUMS}"))),
    }
}

/// Returns a moment as `Upload-Expires` has it (1.0.0, extension Expiration; RFC 9110, 5.6.7, IMF-fixdate).
pub fn date(at: UnixTime) -> String {
    let text = at.rfc3339();
    let (day, time) = text.trim_end_matches('Z').split_once('T').unwrap_or_default();
    let mut parts = day.splitn(3, '-');
    let (year, month, day) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let month =
        month.parse::<usize>().ok().and_then(|month| MONTHS.get(month.wrapping_sub(1))).unwrap_or(&"Jan");
    // 1970-01-01 was a Thursday.
    let weekday = WEEKDAYS[at.0.div_euclid(86_400).rem_euclid(7) as usize];
    format!("{weekday}, {day} {month} {year} {time} GMT")
}

const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Decodes base64 with its padding (RFC 4648, 4). `None` for anything else.
fn base64(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let body = text.strip_suffix("==").or(text.strip_suffix('=')).unwrap_or(text);
    let (mut bits, mut held) = (0_u32, 0);
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for letter in body.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(out)
}

const LONGEST_METADATA: usize = 16 << 10;
const MOST_KEYS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read_and_wrong_ones_are_refused() {
        let read = metadata("filename 5aSc44Gu5q2MLmZsYWM=,filetype YXVkaW8vZmxhYw==, is_confidential")
            .expect("right");
        assert_eq!(read.text("filename"), Some("夜の歌.flac"));
        assert_eq!(read.text("filetype"), Some("audio/flac"));
        assert_eq!((read.text("is_confidential"), read.text("other")), (Some(""), None));
        assert_eq!(metadata("").expect("none"), Metadata::default());
        assert_eq!(metadata("a /w==").expect("bytes").text("a"), None, "no UTF-8");
        for wrong in ["a b", "a YQ", "a YQ==, a YQ==", "ä YQ==", "a YQ== YQ==", "a Y*==", "a ===="] {
            assert_eq!(metadata(wrong).expect_err(wrong).kind(), Kind::Invalid);
        }
        assert!(metadata(&"a".repeat(LONGEST_METADATA + 1)).is_err());
        let many: Vec<String> = (0..=MOST_KEYS).map(|n| format!("k{n}")).collect();
        assert!(metadata(&many.join(",")).is_err());
    }

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!(bytes("0").ok(), Some(0));
        assert_eq!(bytes("8589934592").ok(), Some(8 << 30));
        for wrong in ["", "-1", "+1", " 1", "1 ", "1.0", "0x1", "9999999999999999999", "１"] {
            assert!(bytes(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_date_is_that_of_the_web() {
        assert_eq!(date(UnixTime(0)), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(UnixTime(784_111_777)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn sums_are_read() {
        let sum = checksum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=").expect("right");
        assert!(matches!(sum, Checksum::Sha1(sum) if sum[0] == 0x2a && sum.len() == 20));
        assert_eq!(checksum("md5 Kq5sNclPz7QV2+lfQIuc6Q==").expect_err("unknown").kind(), Kind::Unsupported);
        for wrong in ["sha1", "sha1 ", "sha1 YQ==", "sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0=", "sha1 !"] {
            assert_eq!(checksum(wrong).expect_err(wrong).kind(), Kind::Invalid);
        }
    }
}
