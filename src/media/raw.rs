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

    /// Returns the value as text; `None` for bytes.
    pub fn text(&self) -> Option<String> {
        match &self.value {
            RawValue::Text(text) => Some(text.clone()),
            RawValue::Number(number) => Some(number.to_string()),
            RawValue::Bytes(_) => None,
        }
    }
}
