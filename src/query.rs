//! What a face asks of the shelf: built by faces, compiled once and answered by `library`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::track::{Track, TrackId};

/// The kind of thing asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Tracks.
    Tracks,
    /// Albums: (album artist, album).
    Albums,
    /// Artists and album artists by name.
    Artists,
    /// Genres.
    Genres,
}

/// A field that can be filtered on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Title.
    Title,
    /// Artist or album artist.
    Artist,
    /// Album.
    Album,
    /// Album artist.
    AlbumArtist,
    /// Genre.
    Genre,
    /// Date as tagged.
    Date,
    /// Title, artist, album and their readings.
    Any,
    /// `yes` or `no`: whether a decoder may and can open it.
    Playable,
    /// The store it was bought from.
    Store,
}

/// A condition. Text is compared folded: NFKC, lower case, accents off, katakana as hiragana.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Everything.
    All,
    /// Every one of them; true when empty.
    And(Vec<Filter>),
    /// At least one of them; false when empty.
    Or(Vec<Filter>),
    /// Not that.
    Not(Box<Filter>),
    /// The field equals the text.
    Is(Field, String),
    /// The field contains the text.
    Contains(Field, String),
    /// The field starts with the text.
    Starts(Field, String),
    /// The field is there.
    Exists(Field),
    /// These tracks.
    Ids(Vec<TrackId>),
}

impl Filter {
    /// Returns whether the answer depends on a field.
    pub fn looks_at(&self, field: Field) -> bool {
        match self {
            Filter::All | Filter::Ids(_) => false,
            Filter::And(all) | Filter::Or(all) => all.iter().any(|filter| filter.looks_at(field)),
            Filter::Not(filter) => filter.looks_at(field),
            Filter::Is(at, _) | Filter::Contains(at, _) | Filter::Starts(at, _) | Filter::Exists(at) => {
                *at == field
            }
        }
    }
}

/// The order of the answer. Ties are broken by album artist, album, disc, track, id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Album artist, album, disc, track.
    Album,
    /// Title.
    Title,
    /// Artist, then as `Album`.
    Artist,
    /// Newest arrival first.
    Added,
    /// Date of purchase, newest first; without one last.
    Bought,
}

/// Which part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Items to leave out at the start.
    pub offset: u64,
    /// Most items to answer, 1..=[`Window::MOST`].
    pub limit: u32,
}

impl Window {
    /// The most items in one answer.
    pub const MOST: u32 = 1000;
    /// The first page of a usual size.
    pub const FIRST: Window = Window { offset: 0, limit: 100 };
}

/// A question to the shelf.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Query {
    /// The kind of thing.
    pub what: What,
    /// Which of them.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// Which page.
    pub window: Window,
}

impl Query {
    /// Returns whether the answer tells what was bought.
    pub fn tells_purchases(&self) -> bool {
        self.sort == Sort::Bought || self.filter.looks_at(Field::Store)
    }
}

/// One page of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// How many there are in all, exactly.
    pub total: u64,
    /// Those of the window, in order.
    pub items: Vec<T>,
}

/// One thing in an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A track.
    Track(Arc<Track>),
    /// An album, an artist or a genre.
    Group(Group),
}

/// Tracks under one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Album title, artist or genre.
    pub name: String,
    /// The album's artist, for albums.
    pub artist: Option<String>,
    /// How many tracks.
    pub tracks: u64,
    /// One of them, for the cover.
    pub example: TrackId,
}
