//! What intake itself notes in a row of the journal: by whom the file is counted, with what it came, and of an archive how far
//! it is. So nothing of it is lost with the power: it is written with the row, at no other time.

use serde::{Deserialize, Serialize};

use crate::library::JournalRow;
use crate::offer::push::BeamId;

/// The notes of one row. Rows of the drop folder and of pulls have none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Noted {
    /// By what its sender is counted; empty: it is not.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub counted: String,
    /// With what it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beam: Option<BeamId>,
    /// How far an archive is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done: Option<Done>,
}

/// How far an archive is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Files that were looked at.
    pub files: usize,
    /// Songs among them that came out.
    pub songs: usize,
    /// What was left, in words.
    pub left: Vec<String>,
}

impl Noted {
    /// Returns the notes of a row; none where they are of another kind.
    pub fn of(row: &JournalRow) -> Noted {
        serde_json::from_str(&row.facts).unwrap_or_default()
    }

    /// Returns these as a row keeps them.
    pub fn to_facts(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_read_again_and_other_notes_are_none() {
        let done = Done { files: 2, songs: 1, left: vec!["a.jpg: it is no music".into()] };
        let noted = Noted { counted: "addr:10.77.0.9".into(), beam: Some(BeamId(7)), done: Some(done) };
        let read = |facts: &str| serde_json::from_str::<Noted>(facts).unwrap_or_default();
        assert_eq!(read(&noted.to_facts()), noted);
        for other in ["", "{\"path\":[47],\"mark\":{\"size\":1,\"modified\":2}}", "no JSON", "[]"] {
            assert_eq!(read(other), Noted::default(), "{other}");
        }
        assert_eq!(Noted::default().to_facts(), "{}");
    }
}
