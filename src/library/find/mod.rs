//! The finder: the whole shelf as order arrays and one text arena in album order, so that any page and any search is
//! answered without the database. Made anew from index.db after changes; a made one never changes.
//!
//! A *row* is a track's place in album order, 0-based. A *unit* is a piece of the arena: for each album its head (what its
//! tracks share), then one for each of its tracks.

pub mod bits;
pub mod groups;
mod ids;
mod keeper;
mod named;
mod page;
mod runs;
mod select;

use std::sync::{Arc, Mutex, OnceLock};

use rusqlite::Connection;

use crate::error::Result;
use crate::library::find::bits::Bits;
use crate::library::find::groups::{Gathering, Groups, id_of_bytes};
use crate::library::find::ids::Ids;
use crate::library::find::runs::Runs;
use crate::library::store::finding;
use crate::library::store::shown::{FIELD, PART, VALUE, head, line, mark};
use crate::media::text::{Heading, heading};
use crate::query::{Filter, GroupId, Section};

pub use keeper::Keeper;

/// The shelf, ready to be asked.
#[derive(Debug, Default)]
pub struct Find {
    /// Track numbers by row, and back.
    ids: Ids,
    /// Folded texts, and where each unit ends.
    arena: String,
    unit_end: Vec<u32>,
    /// Rows whose head is not the first one of their album, and which it is.
    other_heads: Vec<(u32, u32)>,
    /// First row of each album, and the number of rows at the end.
    albums: Vec<u32>,
    /// Albums that have a name, in order of their artist, of their own name, and newest first.
    named: Vec<u32>,
    albums_by_name: Vec<u32>,
    albums_by_added: Vec<u32>,
    /// Numbers with their album, by number.
    album_ids: Vec<(GroupId, u32)>,
    /// Rows by title, and newest first.
    by_title: Vec<u32>,
    by_added: Runs,
    /// Rows by artist, genre, year, album name and length, and albums by year, once somebody asked for it.
    by_artist: OnceLock<Vec<u32>>,
    by_genre: OnceLock<Vec<u32>>,
    by_year: OnceLock<Vec<u32>>,
    by_album_name: OnceLock<Vec<u32>>,
    by_length: OnceLock<Vec<u32>>,
    albums_by_year: OnceLock<Vec<u32>>,
    artists: Groups,
    album_artists: Groups,
    genres: Groups,
    composers: Groups,
    years: Groups,
    playable: Option<Bits>,
    title_sections: Vec<Section>,
    album_sections: Vec<Section>,
    /// The last answers of filters that look at nothing but this.
    answers: Mutex<Vec<(Filter, Arc<Bits>)>>,
}

/// What is only needed while a finder is made.
struct Making {
    find: Find,
    artists: Gathering,
    album_artists: Gathering,
    genres: Gathering,
    composers: Gathering,
    years: Gathering,
    playable: Bits,
    titles: Arena,
}

/// Byte strings one after the other.
#[derive(Default)]
struct Arena {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Arena {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len() as u32);
    }

    fn get(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.bytes[start..self.ends[at] as usize]
    }
}

impl Find {
    /// Makes a finder of what index.db shows now.
    ///
    /// # Errors
    /// Those of the database.
    pub fn make(connection: &Connection) -> Result<Find> {
        // One state of the database for all reads.
        connection.execute_batch("BEGIN")?;
        let made = Find::read(connection);
        connection.execute_batch("COMMIT")?;
        made
    }

    fn read(connection: &Connection) -> Result<Find> {
        let (count, bytes) = finding::sizes(connection)?;
        let find = Find::in_order(connection, count)?;
        let mut making = Making::new(find, bytes);
        for album in 0..making.find.albums.len().saturating_sub(1) {
            let rows = making.find.albums[album]..making.find.albums[album + 1];
            making.album(connection, rows)?;
        }
        Ok(making.finish())
    }

    /// Orders rows and albums by their keys, which are held no longer than this.
    fn in_order(connection: &Connection, count: usize) -> Result<Find> {
        let mut keys = Arena { bytes: Vec::new(), ends: Vec::with_capacity(count) };
        let mut ids = Vec::with_capacity(count);
        let mut added = Vec::with_capacity(count);
        finding::keys(connection, |id, key, at| {
            keys.push(key);
            ids.push(id);
            added.push(at);
        })?;
        let mut order: Vec<u32> = (0..ids.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| keys.get(a as usize).cmp(keys.get(b as usize)).then(a.cmp(&b)));
        let mut find = Find { ids: Ids::of(order.iter().map(|&at| ids[at as usize])), ..Find::default() };
        let mut newest: Vec<u32> = (0..ids.len() as u32).collect();
        newest.sort_by_key(|&row| std::cmp::Reverse(added[order[row as usize] as usize]));
        find.by_added = Runs::of(newest);
        find.note_albums(&keys, &order, &added);
        Ok(find)
    }

    /// Finds where albums begin: artist, album and year of the keys differ.
    fn note_albums(&mut self, keys: &Arena, order: &[u32], added: &[i64]) {
        let (mut names, mut newest): (Vec<&[u8]>, Vec<i64>) = (Vec::new(), Vec::new());
        let mut last: Option<&[u8]> = None;
        let mut last_heading = None;
        for (row, &at) in order.iter().enumerate() {
            let key = keys.get(at as usize);
            let album = parts(key, ALBUM_PARTS);
            let added = added[at as usize];
            if last == Some(album) {
                if let Some(newest) = newest.last_mut() {
                    *newest = added.max(*newest);
                }
                continue;
            }
            last = Some(album);
            let number = self.albums.len() as u32;
            self.albums.push(row as u32);
            let mut split = album.split(|&byte| byte == PART);
            let (artist, name) = (split.next().unwrap_or_default(), split.next().unwrap_or_default());
            names.push(name);
            newest.push(added);
            self.album_ids.push((id_of_bytes(album), number));
            if !name.is_empty() {
                let under = heading(std::str::from_utf8(artist).unwrap_or_default());
                if last_heading != Some(under) {
                    last_heading = Some(under);
                    begin(&mut self.album_sections, &under, self.named.len());
                }
                self.named.push(number);
            }
        }
        self.albums.push(order.len() as u32);
        self.albums_by_name = self.named.clone();
        self.albums_by_name.sort_by_key(|&album| names[album as usize]);
        self.albums_by_added = self.named.clone();
        self.albums_by_added.sort_by_key(|&album| std::cmp::Reverse(newest[album as usize]));
        self.album_ids.sort_unstable();
        self.albums.shrink_to_fit();
        self.named.shrink_to_fit();
        self.album_ids.shrink_to_fit();
    }

    /// Returns how many tracks are shown.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Returns the row of a track.
    fn row_of(&self, id: u32) -> Option<usize> {
        self.ids.row(id)
    }

    fn rows_of_album(&self, album: u32) -> std::ops::Range<usize> {
        self.albums[album as usize] as usize..self.albums[album as usize + 1] as usize
    }

    /// Returns the text of a unit.
    fn unit(&self, unit: usize) -> &str {
        let start = if unit == 0 { 0 } else { self.unit_end[unit - 1] as usize };
        self.arena[start..self.unit_end[unit] as usize].trim_end_matches(END)
    }
}

impl Making {
    fn new(mut find: Find, bytes: usize) -> Making {
        let count = find.ids.len();
        // Heads are shorter than what lines hold beside what is searched.
        find.arena.reserve_exact(bytes);
        find.unit_end.reserve_exact(count + find.albums.len());
        Making {
            playable: Bits::none(count),
            find,
            artists: Gathering::default(),
            album_artists: Gathering::default(),
            genres: Gathering::default(),
            composers: Gathering::default(),
            years: Gathering::default(),
            titles: Arena::default(),
        }
    }

    /// Reads the texts of one album's rows.
    fn album(&mut self, connection: &Connection, rows: std::ops::Range<u32>) -> Result<()> {
        let mut heads: Vec<String> = Vec::new();
        let mut lines = String::new();
        let mut ends = Vec::new();
        for row in rows {
            let id = self.find.ids.id(row as usize);
            finding::texts(connection, id, |head, line, marks| {
                let number = heads.iter().position(|known| known == head).unwrap_or(heads.len());
                if number == heads.len() {
                    heads.push(head.to_owned());
                }
                if number > 0 {
                    self.find.other_heads.push((row, number as u32));
                }
                self.row(row, head, line, marks, &mut lines);
            })?;
            lines.push(END);
            ends.push(lines.len());
        }
        for (i, head) in heads.iter().enumerate() {
            if i > 0 {
                // Another spelling of the same album: its fields count from the start again.
                self.find.arena.push(OTHER_HEAD);
            }
            self.find.arena.push_str(head);
        }
        self.find.arena.push(END);
        let start = self.find.arena.len();
        self.find.unit_end.push(start as u32);
        self.find.arena.push_str(&lines);
        self.find.unit_end.extend(ends.into_iter().map(|end| (start + end) as u32));
        Ok(())
    }

    fn row(&mut self, row: u32, head_text: &str, text: &str, marks: u8, lines: &mut String) {
        let mut fields = [""; line::FIELDS];
        fields.iter_mut().zip(text.split(FIELD)).for_each(|(field, text)| *field = text);
        let album_artist = head_text.split(FIELD).nth(head::ARTIST).unwrap_or_default();
        let artists = if fields[line::ARTISTS].is_empty() { album_artist } else { fields[line::ARTISTS] };
        // A reading of the credit is the reading of a name only while there is one name.
        let key = if artists.contains(VALUE) { "" } else { fields[line::ARTIST_KEY] };
        artists.split(VALUE).for_each(|name| self.artists.add(name, key, row));
        let album_key = if artists == album_artist { key } else { "" };
        self.artists.add(album_artist, album_key, row);
        self.album_artists.add(album_artist, album_key, row);
        fields[line::GENRES].split(VALUE).for_each(|name| self.genres.add(name, "", row));
        fields[line::COMPOSERS].split(VALUE).for_each(|name| self.composers.add(name, "", row));
        self.years.add(fields[line::YEAR], "", row);
        if marks & mark::PLAYABLE != 0 {
            self.playable.add(row as usize);
        }
        let title = fields[line::TITLE];
        let title_key = if fields[line::TITLE_KEY].is_empty() { title } else { fields[line::TITLE_KEY] };
        self.titles.push(title_key.as_bytes());
        let searched: usize =
            fields[..=line::READINGS].iter().map(|field| field.len() + FIELD.len_utf8()).sum();
        lines.push_str(&text[..(searched - FIELD.len_utf8()).min(text.len())]);
    }

    fn finish(self) -> Find {
        let Making { mut find, artists, album_artists, genres, composers, years, playable, titles } = self;
        find.arena.shrink_to_fit();
        find.by_title = (0..titles.ends.len() as u32).collect();
        find.by_title.sort_by_key(|&row| titles.get(row as usize));
        let mut last = None;
        for (place, &row) in find.by_title.iter().enumerate() {
            let under = heading(std::str::from_utf8(titles.get(row as usize)).unwrap_or_default());
            if last != Some(under) {
                last = Some(under);
                begin(&mut find.title_sections, &under, place);
            }
        }
        drop(titles);
        find.artists = artists.split().finish();
        find.album_artists = album_artists.split().finish();
        find.genres = genres.finish();
        find.composers = composers.finish();
        find.years = years.finish();
        find.playable = Some(playable);
        find
    }
}

/// Notes where a heading begins, once: signs stand before digits, behind them and behind letters.
fn begin(sections: &mut Vec<Section>, heading: &Heading, place: usize) {
    let heading = heading.to_string();
    if !sections.iter().any(|known| known.heading == heading) {
        sections.push(Section { heading, offset: place as u64 });
    }
}

/// Returns the first parts of a sort key.
fn parts(key: &[u8], count: usize) -> &[u8] {
    let ends = key.iter().enumerate().filter(|(_, byte)| **byte == PART);
    ends.map(|(at, _)| at).nth(count - 1).map_or(key, |end| &key[..end])
}

/// Parts of a sort key that tell an album: artist, album, year.
const ALBUM_PARTS: usize = 3;
/// Ends a unit.
const END: char = '\n';
/// Between different heads of one album.
const OTHER_HEAD: char = '\u{1d}';

#[cfg(test)]
mod several_tests;
#[cfg(test)]
mod tests;
