//! What a face asks of the shelf: built by faces, compiled once and answered by `library`.

pub mod export;
pub mod purchases;

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
    /// Artists of albums by name.
    AlbumArtists,
    /// Genres.
    Genres,
    /// Composers.
    Composers,
    /// Years.
    Years,
    /// Folders: the music folders, or those within one with [`Filter::In`].
    Folders,
    /// Playlists.
    Playlists,
}

/// The number of an album, artist, genre, composer, year, folder or playlist: the same after a new scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GroupId(pub i64);

impl std::fmt::Display for GroupId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl std::str::FromStr for GroupId {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<GroupId, Self::Err> {
        u64::from_str_radix(text, 16).map(|number| GroupId(number.cast_signed()))
    }
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
    /// Composer.
    Composer,
    /// Date as tagged.
    Date,
    /// Title, artist, album and their readings.
    Any,
    /// `yes` or `no`: whether a decoder may and can open it.
    Playable,
    /// The store it was bought from.
    Store,
    /// Marked as a favourite; only `Exists`.
    Favourite,
    /// Was started at least once; only `Exists`.
    Played,
    /// The name of the very thing asked for: a track's or an album's title, an artist's name. Not of folders.
    Name,
}

/// A number that can be filtered on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// How long a track sounds, in milliseconds; unknown is 0.
    Length,
    /// Bytes of its largest file.
    Size,
    /// Its number on the disc; without one 0.
    Number,
    /// Its date as the number YYYYMMDD, the first day of a month or year that is tagged alone; without one it has none.
    Day,
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
    /// The number is this one or a higher one.
    AtLeast(Measure, i64),
    /// These tracks.
    Ids(Vec<TrackId>),
    /// What belongs to one album, artist, genre, composer, year, folder or playlist.
    In(What, GroupId),
}

impl Filter {
    /// Returns whether the answer depends on a field.
    pub fn looks_at(&self, field: Field) -> bool {
        match self {
            Filter::All | Filter::Ids(_) | Filter::In(..) | Filter::AtLeast(..) => false,
            Filter::And(all) | Filter::Or(all) => all.iter().any(|filter| filter.looks_at(field)),
            Filter::Not(filter) => filter.looks_at(field),
            Filter::Is(at, _) | Filter::Contains(at, _) | Filter::Starts(at, _) | Filter::Exists(at) => {
                *at == field
            }
        }
    }

    /// Returns the same condition where [`Field::Name`] is this field.
    pub fn with_name(self, field: Field) -> Filter {
        let each = |all: Vec<Filter>| all.into_iter().map(|filter| filter.with_name(field)).collect();
        match self {
            Filter::And(all) => Filter::And(each(all)),
            Filter::Or(all) => Filter::Or(each(all)),
            Filter::Not(filter) => Filter::Not(Box::new(filter.with_name(field))),
            Filter::Is(Field::Name, text) => Filter::Is(field, text),
            Filter::Contains(Field::Name, text) => Filter::Contains(field, text),
            Filter::Starts(Field::Name, text) => Filter::Starts(field, text),
            Filter::Exists(Field::Name) => Filter::Exists(field),
            other => other,
        }
    }

    /// Returns which folder or playlist it is about, and what else it asks; `None` when it is about no single one.
    pub fn within(&self, what: What) -> Option<(GroupId, Filter)> {
        let of = |filter: &Filter| match filter {
            Filter::In(kind, id) if *kind == what => Some(*id),
            _ => None,
        };
        if let Some(id) = of(self) {
            return Some((id, Filter::All));
        }
        let Filter::And(all) = self else { return None };
        let at = all.iter().position(|filter| of(filter).is_some())?;
        let rest = all.iter().enumerate().filter(|(place, _)| *place != at).map(|(_, filter)| filter.clone());
        Some((of(&all[at])?, Filter::And(rest.collect())))
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
    /// Heard last first; never heard last.
    Played,
    /// Heard most often first.
    MostPlayed,
    /// Marked last first; not marked last.
    Favoured,
    /// Year, earliest first; without one last.
    Date,
    /// First genre; without one last.
    Genre,
    /// Shortest first; of albums and names no order of its own.
    Length,
    /// Name of the album; without one last.
    AlbumName,
    /// As they lie in their folder or stand in their playlist; with [`Filter::In`] only, else as `Album`.
    Listed,
}

/// Which part of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// Items to leave out at the start.
    pub offset: u64,
    /// Most items to answer, 0..=[`Window::MOST`]; 0 asks how many there are.
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
    /// Its number.
    pub id: GroupId,
    /// Album title, artist, genre, composer, year, folder or playlist.
    pub name: String,
    /// The album's artist, for albums.
    pub artist: Option<String>,
    /// How many tracks.
    pub tracks: u64,
    /// How many albums they lie in, of an artist, genre, composer or year; how many folders lie in a folder; else 0.
    pub groups: u64,
    /// The folder that a folder lies in.
    pub parent: Option<GroupId>,
    /// One of them, for the cover; `None` for a folder that holds only folders.
    pub example: Option<TrackId>,
}

/// Where the names under one heading begin in an order: あかさたな, A–Z, 0–9.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// The heading.
    pub heading: String,
    /// Offset of the first name under it.
    pub offset: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_group_is_found_by_what_it_prints(id in any::<i64>(), text in "\\PC{0,20}") {
            prop_assert_eq!(GroupId(id).to_string().parse(), Ok(GroupId(id)));
            if let Ok(read) = text.parse::<GroupId>() {
                prop_assert_eq!(read.to_string().parse(), Ok(read));
            }
        }
    }
}
