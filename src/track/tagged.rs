//! What tags tell beside words: ids of databases, an encoder's numbers, and words as they stood before they were repaired.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::units::Frames;

/// Ids of MusicBrainz as tags have them, used for identity only; never looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MusicBrainz {
    /// The recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<Uuid>,
    /// The track of the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<Uuid>,
    /// The release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<Uuid>,
    /// The release group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_group: Option<Uuid>,
    /// The work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub work: Option<Uuid>,
    /// The artists of the track.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub artists: Vec<Uuid>,
    /// The artists of the release.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub album_artists: Vec<Uuid>,
}

/// Frames that an encoder added, and those between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trim {
    /// In front.
    pub front: u32,
    /// Behind.
    pub back: u32,
    /// The music.
    pub frames: Frames,
}

/// Words of a file that were written in another charset than their field says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repaired {
    /// The charset that they were read in instead.
    pub charset: Charset,
    /// The words as they stand in the file, by the names of Vorbis comments: Latin-1, each character a byte.
    pub raw: BTreeMap<String, Vec<String>>,
}

/// A charset that words of old tags were written in, against their standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charset {
    /// UTF-8 in a field of Latin-1.
    Utf8,
    /// EUC-JP, of Unix.
    EucJp,
    /// Shift JIS with the extensions of Windows (CP932).
    ShiftJis,
}
