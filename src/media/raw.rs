//! Tags as they lie in a file, with the place where they were found: the raw material of purchase evidence.

use crate::track::PersonalBytes;

/// The value of a raw tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawValue {
    /// Text.
    Text(String),
    /// Bytes of a form that only its owner knows.
    Bytes(Vec<u8>),
    /// A number.
    Number(i64),
}

/// One raw tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTag {
    /// Where: `mp4:ilst/apID`, `mp4:pinf/name`, `id3:PRIV/www.amazon.com`, `id3:COMM`, `vc:COMMENT`, `oma:TIT2`, `asf:Title`.
    pub place: String,
    /// What.
    pub value: RawValue,
    /// Where its bytes lie in the file, when they name the buyer.
    pub personal: Option<PersonalBytes>,
}

impl RawTag {
    /// Returns a tag that names nobody.
    pub fn new(place: impl Into<String>, value: RawValue) -> RawTag {
        RawTag { place: place.into(), value, personal: None }
    }

    /// Returns bytes of a tag that are not read and may name the buyer; they are no evidence.
    pub fn unread(lies: PersonalBytes) -> RawTag {
        RawTag { personal: Some(lies), ..RawTag::new(UNREAD, RawValue::Bytes(Vec::new())) }
    }

    /// Returns whether these are bytes that are not read.
    pub fn is_unread(&self) -> bool {
        self.place == UNREAD
    }

    /// Returns the value as text; `None` for bytes.
    pub fn text(&self) -> Option<String> {
        match &self.value {
            RawValue::Text(text) => Some(text.clone()),
            RawValue::Number(number) => Some(number.to_string()),
            RawValue::Bytes(_) => None,
        }
    }
}

/// Returns whether a free field of this name tells who bought: taggers, stores and programs that convert write them
/// (reference purchases 1.4 and 9, trap 11). `key` in any case.
pub fn names_buyer(key: &str, value: &str) -> bool {
    // Beatport writes the track's number there (1.3).
    let of_track = |value: &str| value.trim().strip_prefix("track-").is_some_and(is_number);
    let key = key.to_ascii_uppercase();
    BUYERS_FIELDS.contains(&key.as_str()) && (key != "FILEOWNER" || !of_track(value))
}

/// Returns a recording code (ISO 3901) in the form in which codes are compared: two letters, three letters or digits, seven
/// digits; hyphens are only for print. `None` for anything else.
pub fn isrc(text: &str) -> Option<String> {
    let plain = text.chars().filter(|c| *c != '-' && !c.is_whitespace() && *c != '\0');
    let code = plain.collect::<String>().to_ascii_uppercase();
    let bytes = code.as_bytes();
    let shape = bytes.len() == 12
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2..5].iter().all(u8::is_ascii_alphanumeric)
        && bytes[5..].iter().all(u8::is_ascii_digit);
    shape.then_some(code)
}

/// Returns whether a text is digits and nothing else.
pub fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

const BUYERS_FIELDS: [&str; 9] = [
    "FILEOWNER",
    "PURCHASE_OWNER",
    "PURCHASEOWNER",
    "PURCHASE OWNER",
    "ACCOUNT_ID",
    "APID",
    "OWNR",
    "KONPO_PURCHASE_ORDER",
    "KONPO_PURCHASE_ACCOUNT",
];
/// The place of what is not read.
const UNREAD: &str = "unread";
