//! What a person corrected of a track's words: an overlay on what the tags say. The file is never touched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::track::Tags;

/// A word that can be corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The title.
    Title,
    /// The credit as printed.
    Artist,
    /// Every artist by name; the credit alone while only that is corrected.
    Artists,
    /// The album.
    Album,
    /// The album's artist.
    AlbumArtist,
    /// Number on the disc, 1..=999,999.
    Track,
    /// Number of the disc, 1..=9,999.
    Disc,
    /// The year, 1..=9,999.
    Year,
    /// Genres.
    Genre,
    /// How the title is read, which orders it.
    TitleSort,
    /// How the artist is read.
    ArtistSort,
    /// How the album is read.
    AlbumSort,
    /// How the album's artist is read.
    AlbumArtistSort,
    /// Whether it is part of a compilation.
    Compilation,
    /// The cover: BLAKE3 of a picture that was kept, in hex.
    Cover,
}

/// The largest picture that is shown, in bytes.
pub const MOST_PICTURE: usize = 20_000_000;

impl Field {
    /// Every field, in the order in which they are shown.
    pub const ALL: [Field; 15] = [
        Field::Title,
        Field::Artist,
        Field::Artists,
        Field::Album,
        Field::AlbumArtist,
        Field::Track,
        Field::Disc,
        Field::Year,
        Field::Genre,
        Field::TitleSort,
        Field::ArtistSort,
        Field::AlbumSort,
        Field::AlbumArtistSort,
        Field::Compilation,
        Field::Cover,
    ];

    /// Returns its name in the API, in the history and in lists of corrections.
    pub fn name(self) -> &'static str {
        match self {
            Field::Title => "title",
            Field::Artist => "artist",
            Field::Artists => "artists",
            Field::Album => "album",
            Field::AlbumArtist => "album_artist",
            Field::Track => "track",
            Field::Disc => "disc",
            Field::Year => "year",
            Field::Genre => "genre",
            Field::TitleSort => "title_sort",
            Field::ArtistSort => "artist_sort",
            Field::AlbumSort => "album_sort",
            Field::AlbumArtistSort => "album_artist_sort",
            Field::Compilation => "compilation",
            Field::Cover => "cover",
        }
    }

    /// Returns what tags say in this field; `None` when they say nothing.
    pub fn of(self, tags: &Tags) -> Option<Word> {
        let text = |text: &Option<String>| text.clone().map(Word::Text);
        let list = |list: &[String]| (!list.is_empty()).then(|| Word::List(list.to_vec()));
        match self {
            Field::Title => text(&tags.title),
            Field::Artist => text(&tags.artist),
            Field::Artists => list(&tags.artists),
            Field::Album => text(&tags.album),
            Field::AlbumArtist => text(&tags.album_artist),
            Field::Track => tags.track.map(Word::Number),
            Field::Disc => tags.disc.map(Word::Number),
            Field::Year => year_of(tags).map(Word::Number),
            Field::Genre => list(&tags.genres),
            Field::TitleSort => text(&tags.title_sort),
            Field::ArtistSort => text(&tags.artist_sort),
            Field::AlbumSort => text(&tags.album_sort),
            Field::AlbumArtistSort => text(&tags.album_artist_sort),
            Field::Compilation => tags.compilation.then_some(Word::Flag(true)),
            // A file's picture has no name.
            Field::Cover => None,
        }
    }

    /// Returns a word in the form of this field; `None` for one that says nothing.
    fn settled(self, word: Word) -> Result<Option<Word>, String> {
        let wrong = |word: &dyn std::fmt::Debug, must: &str| format!("{} is {word:?}, {must}", self.name());
        let number = |most: u32| {
            let must = format!("must be a number from 1 to {most}");
            let number = match &word {
                Word::Number(number) => Some(*number),
                Word::Text(text) if text.trim().is_empty() => return Ok(None),
                Word::Text(text) => text.trim().parse().ok(),
                _ => None,
            };
            let number = number.filter(|number| (1..=most).contains(number));
            number.map(|number| Some(Word::Number(number))).ok_or_else(|| wrong(&word, &must))
        };
        match self {
            Field::Track => number(999_999),
            Field::Disc | Field::Year => number(9999),
            Field::Compilation => match word {
                Word::Flag(_) => Ok(Some(word)),
                word => Err(wrong(&word, "must be true or false")),
            },
            Field::Cover => match word {
                Word::Text(name) if is_hash(&name) => Ok(Some(Word::Text(name))),
                Word::Text(name) if name.is_empty() => Ok(None),
                word => Err(wrong(&word, "must be the name of a picture that was kept")),
            },
            Field::Genre | Field::Artists => {
                let list = match word {
                    Word::List(list) => list,
                    Word::Text(text) => vec![text],
                    word => return Err(wrong(&word, "must be a list of words")),
                };
                if list.len() > MOST_VALUES {
                    return Err(format!("{} has {} values, at most {MOST_VALUES}", self.name(), list.len()));
                }
                let mut settled: Vec<String> = Vec::with_capacity(list.len());
                for text in list {
                    settled.extend(self.text(&text)?.filter(|text| !settled.contains(text)));
                }
                Ok((!settled.is_empty()).then_some(Word::List(settled)))
            }
            _ => match word {
                Word::Text(text) => Ok(self.text(&text)?.map(Word::Text)),
                word => Err(wrong(&word, "must be a text")),
            },
        }
    }

    fn text(self, text: &str) -> Result<Option<String>, String> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(format!("{} has {} bytes, at most {LONGEST}", self.name(), text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(format!("{} holds a control character", self.name()));
        }
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }
}

impl std::str::FromStr for Field {
    type Err = String;

    fn from_str(text: &str) -> Result<Field, String> {
        let found = Field::ALL.into_iter().find(|field| field.name() == text);
        found.ok_or_else(|| {
            let names: Vec<&str> = Field::ALL.into_iter().map(Field::name).collect();
            format!("{text:?} is none of {}", names.join(", "))
        })
    }
}

/// What stands in a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Word {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(u32),
    /// A text, never empty once it is settled.
    Text(String),
    /// Several texts.
    List(Vec<String>),
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Word::Flag(flag) => flag.fmt(f),
            Word::Number(number) => number.fmt(f),
            Word::Text(text) => text.fmt(f),
            Word::List(list) => list.join("; ").fmt(f),
        }
    }
}

/// The fields of a track that were corrected, and what stands there instead; `null`: nothing stands there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<Field, Option<Word>>", into = "BTreeMap<Field, Option<Word>>")]
pub struct Words(BTreeMap<Field, Option<Word>>);

impl TryFrom<BTreeMap<Field, Option<Word>>> for Words {
    type Error = String;

    fn try_from(given: BTreeMap<Field, Option<Word>>) -> Result<Words, String> {
        let settled = |(field, word): (Field, Option<Word>)| {
            let word = word.map(|word| field.settled(word)).transpose()?.flatten();
            Ok((field, word))
        };
        given.into_iter().map(settled).collect::<Result<_, String>>().map(Words)
    }
}

impl From<Words> for BTreeMap<Field, Option<Word>> {
    fn from(words: Words) -> BTreeMap<Field, Option<Word>> {
        words.0
    }
}

impl Words {
    /// Returns whether nothing is corrected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the corrected fields and what stands there.
    pub fn iter(&self) -> impl Iterator<Item = (Field, Option<&Word>)> {
        self.0.iter().map(|(&field, word)| (field, word.as_ref()))
    }

    /// Returns what tags say with these words in their place. A reading of a name that was corrected goes with the name,
    /// unless it was corrected, too; so do the single artists of a credit.
    pub fn apply(&self, tags: &Tags) -> Tags {
        let mut shown = tags.clone();
        let sorts = [
            (Field::Title, &mut shown.title_sort),
            (Field::Artist, &mut shown.artist_sort),
            (Field::Album, &mut shown.album_sort),
            (Field::AlbumArtist, &mut shown.album_artist_sort),
        ];
        for (name, sort) in sorts {
            if self.0.get(&name).is_some_and(|word| *word != name.of(tags)) {
                *sort = None;
            }
        }
        for (&field, word) in &self.0 {
            let word = word.as_ref();
            let text = || match word {
                Some(Word::Text(text)) => Some(text.clone()),
                _ => None,
            };
            let list = || match word {
                Some(Word::List(list)) => list.clone(),
                _ => Vec::new(),
            };
            let number = match word {
                Some(Word::Number(number)) => Some(*number),
                _ => None,
            };
            match field {
                Field::Title => shown.title = text(),
                Field::Artist => {
                    shown.artist = text();
                    // A list of names of its own comes behind, in the order of the fields.
                    if shown.artist != tags.artist {
                        shown.artists = shown.artist.iter().cloned().collect();
                    }
                }
                Field::Artists => shown.artists = list(),
                Field::Album => shown.album = text(),
                Field::AlbumArtist => shown.album_artist = text(),
                Field::Track => shown.track = number,
                Field::Disc => shown.disc = number,
                // The day stays where only its year is said again.
                Field::Year if number == year_of(tags) => {}
                Field::Year => shown.date = number.map(|year| format!("{year:04}")),
                Field::Genre => shown.genres = list(),
                Field::TitleSort => shown.title_sort = text(),
                Field::ArtistSort => shown.artist_sort = text(),
                Field::AlbumSort => shown.album_sort = text(),
                Field::AlbumArtistSort => shown.album_artist_sort = text(),
                Field::Compilation => shown.compilation = word == Some(&Word::Flag(true)),
                Field::Cover => shown.has_picture = word.is_some(),
            }
        }
        shown
    }
}

/// Whether a text is BLAKE3 in hex: it becomes the name of a file.
fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The year of a date as tagged.
fn year_of(tags: &Tags) -> Option<u32> {
    tags.date.as_deref()?.get(..4)?.parse().ok().filter(|year| (1..=9999).contains(year))
}

/// A change of the corrections of one track or of several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    /// Fields that show the tagged word again. Taken back before others are set.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub clear: BTreeSet<Field>,
    /// Fields that show another word; the others stay as they are.
    #[serde(skip_serializing_if = "Words::is_empty")]
    pub set: Words,
}

impl Change {
    /// Returns the change after which these words, and no others, are corrected.
    pub fn to(words: Words) -> Change {
        Change { clear: Field::ALL.into_iter().collect(), set: words }
    }

    /// Returns what is corrected after the change.
    pub fn of(&self, before: &Words) -> Words {
        let mut after = before.clone();
        after.0.retain(|field, _| !self.clear.contains(field));
        after.0.extend(self.set.0.iter().map(|(field, word)| (*field, word.clone())));
        after
    }
}

/// What was corrected of a track, and what its tags say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Corrected {
    /// What was corrected; never empty.
    pub words: Words,
    /// What the tags say.
    pub tagged: Arc<Tags>,
}

/// Bytes of one text.
const LONGEST: usize = 1000;
/// Values of one field.
const MOST_VALUES: usize = 32;

#[cfg(test)]
mod tests;
