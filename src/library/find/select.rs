//! Filters, compiled once and run over the arena.

use std::sync::Arc;

use memchr::memmem::Finder;
use rusqlite::Connection;

use crate::error::Result;
use crate::library::find::bits::Bits;
use crate::library::find::groups::Groups;
use crate::library::find::{END, Find, OTHER_HEAD};
use crate::library::store::finding;
use crate::library::store::shown::{FIELD, VALUE, head, line};
use crate::media::text::fold;
use crate::query::{Field, Filter, GroupId, Sort, What};

/// How a text is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Is,
    Contains,
    Starts,
}

/// Which fields of a unit count, as bits by the field's place.
#[derive(Debug, Clone, Copy)]
struct Places {
    head: u16,
    line: u16,
}

impl Find {
    /// Returns the rows that a filter lets through.
    ///
    /// # Errors
    /// Those of the database, for what only it knows.
    pub fn select(&self, filter: &Filter, connection: &Connection) -> Result<Arc<Bits>> {
        let kept = is_kept(filter);
        if kept {
            let answers = self.answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some((_, bits)) = answers.iter().find(|(known, _)| known == filter) {
                return Ok(bits.clone());
            }
        }
        let bits = Arc::new(self.run(filter, connection)?);
        if kept {
            let mut answers = self.answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            answers.insert(0, (filter.clone(), bits.clone()));
            answers.truncate(ANSWERS);
        }
        Ok(bits)
    }

    fn run(&self, filter: &Filter, connection: &Connection) -> Result<Bits> {
        let all = || Bits::all(self.len());
        let none = || Bits::none(self.len());
        Ok(match filter {
            Filter::All => all(),
            Filter::And(filters) => {
                let mut bits = all();
                for filter in filters {
                    bits.and(&self.run(filter, connection)?);
                }
                bits
            }
            Filter::Or(filters) => {
                let mut bits = none();
                for filter in filters {
                    bits.or(&self.run(filter, connection)?);
                }
                bits
            }
            Filter::Not(inner) => {
                let mut bits = self.run(inner, connection)?;
                bits.not();
                bits
            }
            Filter::Is(field, text) => self.compare(*field, How::Is, text, connection)?,
            Filter::Contains(field, text) => self.compare(*field, How::Contains, text, connection)?,
            Filter::Starts(field, text) => self.compare(*field, How::Starts, text, connection)?,
            Filter::Exists(field) => self.exists(*field, connection)?,
            Filter::AtLeast(measure, least) => self.of_ids(finding::at_least(connection, *measure, *least)?),
            Filter::Ids(ids) => self.of_ids(ids.iter().filter_map(|id| u32::try_from(id.0).ok())),
            Filter::In(what, id) => self.within(*what, *id, connection)?,
        })
    }

    fn of_ids(&self, ids: impl IntoIterator<Item = u32>) -> Bits {
        let mut bits = Bits::none(self.len());
        ids.into_iter().filter_map(|id| self.row_of(id)).for_each(|row| bits.add(row));
        bits
    }

    fn compare(&self, field: Field, how: How, text: &str, connection: &Connection) -> Result<Bits> {
        let folded = fold(text);
        let one = |place: usize| 1u16 << place;
        let places = match field {
            // Of a track it is the title; who asks for other names put theirs in its place.
            Field::Title | Field::Name => Places { head: 0, line: one(line::TITLE) },
            Field::Artist => Places { head: one(head::ARTIST), line: one(line::ARTISTS) | one(line::CREDIT) },
            Field::Album => Places { head: one(head::ALBUM), line: 0 },
            Field::AlbumArtist => Places { head: one(head::ARTIST), line: 0 },
            Field::Any => Places { head: u16::MAX, line: u16::MAX },
            Field::Genre => return Ok(self.named(&self.genres, how, &folded)),
            Field::Composer => return Ok(self.named(&self.composers, how, &folded)),
            Field::Date => return self.dated(how, text, connection),
            Field::Playable => {
                let mut bits = self.playable.clone().unwrap_or_else(|| Bits::none(self.len()));
                if !matches!(text, "yes" | "1" | "true") {
                    bits.not();
                }
                return Ok(bits);
            }
            Field::Store => return Ok(self.of_ids(finding::bought(connection, Some(text))?)),
            Field::Favourite | Field::Played => return self.exists(field, connection),
        };
        let mut bits = self.search(&folded, how, places);
        let groups = match field {
            Field::Artist => Some(&self.artists),
            Field::AlbumArtist => Some(&self.album_artists),
            _ => None,
        };
        // The text of a track has several artists in one.
        if let Some(groups) = groups.filter(|groups| groups.split) {
            bits.or(&self.named(groups, how, &folded));
        }
        Ok(bits)
    }

    fn exists(&self, field: Field, connection: &Connection) -> Result<Bits> {
        let union = |groups: &Groups| self.named(groups, How::Contains, "");
        Ok(match field {
            Field::Genre => union(&self.genres),
            Field::Composer => union(&self.composers),
            Field::Date => union(&self.years),
            Field::Artist => union(&self.artists),
            Field::AlbumArtist => union(&self.album_artists),
            Field::Store => self.of_ids(finding::bought(connection, None)?),
            Field::Favourite => self.of_ids(finding::ordered(connection, Sort::Favoured)?),
            Field::Played => self.of_ids(finding::ordered(connection, Sort::Played)?),
            Field::Album => {
                let mut bits = Bits::none(self.len());
                for &album in &self.named {
                    let rows = self.rows_of_album(album);
                    bits.add_range(rows.start, rows.end);
                }
                bits
            }
            Field::Title | Field::Name | Field::Any | Field::Playable => {
                let mut bits = Bits::none(self.len());
                let is_title = matches!(field, Field::Title | Field::Name);
                let filled = |row: &usize| !is_title || self.has_title(*row);
                (0..self.len()).filter(filled).for_each(|row| bits.add(row));
                bits
            }
        })
    }

    fn has_title(&self, row: usize) -> bool {
        let album = self.albums.partition_point(|&start| start as usize <= row);
        self.unit(row + album).split(FIELD).next().is_some_and(|title| !title.is_empty())
    }

    /// Returns the rows under one album, artist, genre, composer, year, folder or playlist.
    fn within(&self, what: What, id: GroupId, connection: &Connection) -> Result<Bits> {
        if let Some(groups) = self.groups(what) {
            let mut bits = Bits::none(self.len());
            let rows = groups.place(id).map(|place| groups.rows(place)).unwrap_or_default();
            rows.add_to(&mut bits);
            return Ok(bits);
        }
        Ok(match what {
            What::Albums => {
                let mut bits = Bits::none(self.len());
                if let Ok(at) = self.album_ids.binary_search_by_key(&id, |&(id, _)| id) {
                    let rows = self.rows_of_album(self.album_ids[at].1);
                    bits.add_range(rows.start, rows.end);
                }
                bits
            }
            What::Folders => self.of_ids(finding::in_folder(connection, id)?),
            What::Playlists => self.of_ids(finding::in_list(connection, id)?),
            _ => self.of_ids(u32::try_from(id.0)),
        })
    }

    /// Returns the names of a kind, where a finder keeps them as such.
    pub(super) fn groups(&self, what: What) -> Option<&Groups> {
        match what {
            What::Artists => Some(&self.artists),
            What::AlbumArtists => Some(&self.album_artists),
            What::Genres => Some(&self.genres),
            What::Composers => Some(&self.composers),
            What::Years => Some(&self.years),
            What::Tracks | What::Albums | What::Folders | What::Playlists => None,
        }
    }

    fn named(&self, groups: &Groups, how: How, text: &str) -> Bits {
        let passes = |name: &str| match how {
            How::Is => name == text,
            How::Contains => name.contains(text),
            How::Starts => name.starts_with(text),
        };
        let mut bits = Bits::none(self.len());
        for place in groups.places_where(passes) {
            groups.rows(place).add_to(&mut bits);
        }
        bits
    }

    fn dated(&self, how: How, text: &str, connection: &Connection) -> Result<Bits> {
        let text = text.trim();
        match how {
            How::Starts if text.len() <= 4 => Ok(self.named(&self.years, How::Starts, text)),
            How::Contains => Ok(self.named(&self.years, How::Contains, text.get(..4).unwrap_or(text))),
            _ => Ok(self.of_ids(finding::dated(connection, text, how == How::Is)?)),
        }
    }

    /// Looks for a folded text in the arena. An album's head that has it stands for all its rows.
    fn search(&self, text: &str, how: How, places: Places) -> Bits {
        let mut bits = Bits::none(self.len());
        if text.is_empty() {
            return if how == How::Is { bits } else { Bits::all(self.len()) };
        }
        let finder = Finder::new(text);
        let arena = self.arena.as_bytes();
        let (mut at, mut unit, mut album) = (0, 0, 0);
        while let Some(found) = arena.get(at..).and_then(|rest| finder.find(rest)) {
            let hit = at + found;
            unit = self.unit_of(hit, unit);
            // Album `a` begins at unit `albums[a] + a`.
            while self.albums.get(album + 1).is_some_and(|&row| row as usize + album < unit) {
                album += 1;
            }
            let is_head = self.albums[album] as usize + album == unit;
            let wanted = if is_head { places.head } else { places.line };
            let start = if unit == 0 { 0 } else { self.unit_end[unit - 1] as usize };
            let whole = &arena[start..self.unit_end[unit] as usize];
            if is_head && whole.contains(&(OTHER_HEAD as u8)) {
                // Only rows that show the spelling with the hit; the others may have one of their own.
                for (number, spelling) in whole.split(|&byte| byte == OTHER_HEAD as u8).enumerate() {
                    let mut hits = finder.find_iter(spelling);
                    if hits.any(|hit| counts(spelling, hit, text.len(), how, wanted)) {
                        let rows = self.rows_of_album(album as u32);
                        rows.filter(|&row| self.spelling(row) == number).for_each(|row| bits.add(row));
                    }
                }
            } else if !counts(whole, hit - start, text.len(), how, wanted) {
                at = hit + 1;
                continue;
            } else if is_head {
                let rows = self.rows_of_album(album as u32);
                bits.add_range(rows.start, rows.end);
                unit += rows.len();
            } else {
                bits.add(unit - album - 1);
            }
            at = self.unit_end[unit] as usize;
        }
        bits
    }

    /// Returns the unit of a byte; it is `from` or behind it, mostly close.
    fn unit_of(&self, byte: usize, from: usize) -> usize {
        let ends = &self.unit_end[from..];
        let mut reach = 1;
        while ends.get(reach - 1).is_some_and(|&end| end as usize <= byte) {
            reach *= 2;
        }
        let below = reach / 2;
        let near = &ends[below..reach.min(ends.len())];
        from + below + near.partition_point(|&end| end as usize <= byte)
    }

    /// Returns which of its album's heads a row has.
    fn spelling(&self, row: usize) -> usize {
        let found = self.other_heads.binary_search_by_key(&(row as u32), |&(row, _)| row);
        found.map_or(0, |at| self.other_heads[at].1 as usize)
    }
}

/// Returns whether a hit in a unit lies in one of the wanted fields, and is whole where it must be.
fn counts(unit: &[u8], hit: usize, length: usize, how: How, wanted: u16) -> bool {
    const ENDS: [u8; 3] = [FIELD as u8, VALUE as u8, END as u8];
    if wanted != u16::MAX {
        let field = unit[..hit].iter().filter(|&&byte| byte == FIELD as u8).count();
        if wanted >> field.min(15) & 1 == 0 {
            return false;
        }
    }
    let begins = hit == 0 || ENDS.contains(&unit[hit - 1]);
    let ends = unit.get(hit + length).is_none_or(|byte| ENDS.contains(byte));
    match how {
        How::Contains => true,
        How::Starts => begins,
        How::Is => begins && ends,
    }
}

/// Whether the answer depends on nothing but the finder.
fn is_kept(filter: &Filter) -> bool {
    match filter {
        Filter::All | Filter::Ids(_) | Filter::AtLeast(..) => false,
        Filter::And(all) | Filter::Or(all) => !all.is_empty() && all.iter().all(is_kept),
        Filter::Not(inner) => is_kept(inner),
        Filter::Is(field, _) | Filter::Contains(field, _) | Filter::Starts(field, _) => {
            !matches!(field, Field::Store | Field::Favourite | Field::Played | Field::Date)
        }
        Filter::Exists(field) => !matches!(field, Field::Store | Field::Favourite | Field::Played),
        Filter::In(what, _) => !matches!(what, What::Folders | What::Playlists | What::Tracks),
    }
}

/// The three lists of one search, and a page turned.
const ANSWERS: usize = 8;
