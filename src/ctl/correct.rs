//! `konpo ctl correct`: words for tracks, as the API takes them.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};
use crate::track::correction::{Change, Field, MOST_PICTURE, Word, Words};

/// Which tracks, and what they shall show. An empty word: nothing stands there.
#[derive(Debug, Clone, Args)]
pub struct Correct {
    /// Numbers of tracks
    #[arg(required = true)]
    ids: Vec<i64>,
    /// The title
    #[arg(long)]
    title: Option<String>,
    /// The artist as printed
    #[arg(long)]
    artist: Option<String>,
    /// Each artist by name, where the artist as printed is several
    #[arg(long)]
    artists: Vec<String>,
    /// The album
    #[arg(long)]
    album: Option<String>,
    /// The album's artist
    #[arg(long)]
    album_artist: Option<String>,
    /// Number on the disc
    #[arg(long)]
    track: Option<String>,
    /// Number of the disc
    #[arg(long)]
    disc: Option<String>,
    /// The year
    #[arg(long)]
    year: Option<String>,
    /// A genre; may be given several times
    #[arg(long)]
    genre: Vec<String>,
    /// How the title is read
    #[arg(long)]
    title_sort: Option<String>,
    /// How the artist is read
    #[arg(long)]
    artist_sort: Option<String>,
    /// How the album is read
    #[arg(long)]
    album_sort: Option<String>,
    /// How the album's artist is read
    #[arg(long)]
    album_artist_sort: Option<String>,
    /// Part of a compilation: on or off
    #[arg(long, value_parser = ["on", "off"])]
    compilation: Option<String>,
    /// A picture shown as the cover: JPEG, PNG, WebP, GIF or BMP, up to 20 MB; empty: none is shown
    #[arg(long, value_name = "FILE")]
    cover: Option<OsString>,
    /// Show what the file says again: a field named as above with _ for -, or all
    #[arg(long)]
    clear: Vec<String>,
}

impl Correct {
    /// Returns the body of the request.
    ///
    /// # Errors
    /// `Invalid` for a word that does not suit its field, and when nothing is to change.
    pub fn body(&self) -> Result<Value> {
        let invalid = |why: String| Error::new(Kind::Invalid, format!("correct: {why}"));
        let mut change = Change { set: Words::try_from(self.set()).map_err(invalid)?, ..Change::default() };
        for name in &self.clear {
            match name.as_str() {
                "all" => change.clear.extend(Field::ALL),
                name => change.clear.extend([name.replace('-', "_").parse::<Field>().map_err(invalid)?]),
            }
        }
        if change == Change::default() && self.cover.is_none() {
            return Err(invalid("say what shall stand there, or what to clear".into()));
        }
        let mut body = json!(change);
        body["ids"] = json!(self.ids);
        Ok(body)
    }

    /// Reads the picture that shall be kept first and then named in the body.
    ///
    /// # Errors
    /// `Invalid` when it is larger than the daemon takes, and those of reading.
    pub fn picture(&self) -> Result<Option<Vec<u8>>> {
        let Some(path) = self.cover.as_ref().filter(|path| !path.is_empty()).map(Path::new) else {
            return Ok(None);
        };
        let failed = |error| Error::io(format!("read the picture {}", path.display()), error);
        let mut bytes = Vec::new();
        let most = MOST_PICTURE as u64;
        File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(failed)?;
        if bytes.len() as u64 > most {
            let why = format!("correct: {} is larger than {} MB", path.display(), most / 1_000_000);
            return Err(Error::new(Kind::Invalid, why));
        }
        Ok(Some(bytes))
    }

    fn set(&self) -> std::collections::BTreeMap<Field, Option<Word>> {
        let texts = [
            (Field::Title, &self.title),
            (Field::Artist, &self.artist),
            (Field::Album, &self.album),
            (Field::AlbumArtist, &self.album_artist),
            (Field::Track, &self.track),
            (Field::Disc, &self.disc),
            (Field::Year, &self.year),
            (Field::TitleSort, &self.title_sort),
            (Field::ArtistSort, &self.artist_sort),
            (Field::AlbumSort, &self.album_sort),
            (Field::AlbumArtistSort, &self.album_artist_sort),
        ];
        let texts = texts.into_iter().filter_map(|(field, text)| Some((field, Word::Text(text.clone()?))));
        let lists = [(Field::Genre, &self.genre), (Field::Artists, &self.artists)];
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        let lists = lists.map(|(field, list)| (field, Word::List(list.clone())));
        let flag = self.compilation.as_deref().map(|word| (Field::Compilation, Word::Flag(word == "on")));
        let told = texts.chain(lists).chain(flag).map(|(field, word)| (field, Some(word)));
        let bare = self.cover.as_ref().is_some_and(|path| path.is_empty());
        told.chain(bare.then_some((Field::Cover, None))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        correct: Correct,
    }

    fn body(line: &str) -> Result<Value> {
        let words = std::iter::once("correct").chain(line.split(' '));
        Line::try_parse_from(words).expect("a line").correct.body()
    }

    #[test]
    fn a_line_becomes_a_change() {
        let told = body(
            "3 4 --title New --year 1999 --album= --genre Rock --genre Pop --compilation off --clear album-sort",
        );
        let want = json!({
            "ids": [3, 4],
            "clear": ["album_sort"],
            "set": {
                "title": "New", "year": 1999, "album": null, "genre": ["Rock", "Pop"], "compilation": false,
            },
        });
        assert_eq!(told.expect("fine"), want);
        let all = body("3 --clear all").expect("fine");
        assert_eq!(all["clear"].as_array().map(Vec::len), Some(Field::ALL.len()));
        assert_eq!(body("3 --cover=").expect("fine"), json!({ "ids": [3], "set": { "cover": null } }));
        for wrong in ["3", "3 --year MMVII", "3 --clear colour"] {
            assert_eq!(body(wrong).expect_err(wrong).kind(), Kind::Invalid);
        }
    }
}
