//! Pages of tracks and of albums.

use std::sync::Arc;

use rusqlite::Connection;

use crate::error::Result;
use crate::library::find::bits::Bits;
use crate::library::find::groups::Groups;
use crate::library::find::{ALBUM_PARTS, Find, groups, parts};
use crate::library::store::{finding, shown, tracks};
use crate::query::{Field, Filter, Group, Item, Page, Query, Section, Sort, What, Window};
use crate::track::TrackId;

impl Find {
    /// Answers a query.
    ///
    /// # Errors
    /// Those of the database.
    pub fn answer(&self, query: &Query, connection: &Connection) -> Result<Page<Item>> {
        // One state of the database for all reads, and one lock instead of one for each statement.
        let transaction = connection.unchecked_transaction()?;
        let page = self.page(query, &transaction)?;
        transaction.commit()?;
        Ok(page)
    }

    fn page(&self, query: &Query, connection: &Connection) -> Result<Page<Item>> {
        let window = Window { limit: query.window.limit.min(Window::MOST), ..query.window };
        match query.what {
            What::Tracks => {
                let (total, ids) = match query.filter.looks_at(Field::Name) {
                    true => {
                        let filter = query.filter.clone().with_name(Field::Title);
                        self.tracks(&filter, query.sort, window, connection)?
                    }
                    false => self.tracks(&query.filter, query.sort, window, connection)?,
                };
                let mut items = Vec::with_capacity(ids.len());
                let mut loader = tracks::Loader::new(connection)?;
                for id in ids {
                    items.extend(loader.load(TrackId(i64::from(id)))?.map(Item::Track));
                }
                Ok(Page { total, items })
            }
            What::Albums => self.albums(query, window, connection),
            What::Folders => self.folders(&query.filter, window, connection),
            What::Playlists => self.playlists(&query.filter, window, connection),
            what => self.names(what, query, window, connection),
        }
    }

    /// Returns how many tracks a filter lets through, and the numbers of one page.
    ///
    /// # Errors
    /// Those of the database.
    pub fn tracks(
        &self,
        filter: &Filter,
        sort: Sort,
        window: Window,
        connection: &Connection,
    ) -> Result<(u64, Vec<u32>)> {
        if sort == Sort::Listed {
            if let Some((list, rest)) = filter.within(What::Playlists) {
                return self.listed(&finding::in_list(connection, list)?, &rest, window, connection);
            }
            if let Some((folder, rest)) = filter.within(What::Folders) {
                return self.listed(&finding::in_folder(connection, folder)?, &rest, window, connection);
            }
        }
        let rows = self.fewer(filter, connection)?;
        let rows = rows.as_deref();
        let total = rows.map_or(self.len(), Bits::count) as u64;
        let (skip, take) = (usize::try_from(window.offset).unwrap_or(usize::MAX), window.limit as usize);
        let passes = |row: &u32| rows.is_none_or(|rows| rows.has(*row as usize));
        let ordered = |order: &[u32]| match rows {
            None => order.iter().skip(skip).take(take).copied().collect::<Vec<u32>>(),
            Some(_) => order.iter().copied().filter(passes).skip(skip).take(take).collect(),
        };
        let found = match sort {
            Sort::Album | Sort::Listed => match rows {
                None => (skip.min(self.len())..skip.saturating_add(take).min(self.len()))
                    .map(|row| row as u32)
                    .collect(),
                Some(rows) => rows.rows(skip).take(take).map(|row| row as u32).collect(),
            },
            Sort::Title => ordered(&self.by_title),
            Sort::Added => match rows {
                None => self.by_added.all().skip(skip).take(take).collect(),
                Some(_) => self.by_added.all().iter().filter(passes).skip(skip).take(take).collect(),
            },
            Sort::Artist => ordered(self.by_artist.get_or_init(|| self.order_by(&self.artists))),
            Sort::Genre => ordered(self.by_genre.get_or_init(|| self.order_by(&self.genres))),
            Sort::Date => ordered(self.by_year.get_or_init(|| self.order_by(&self.years))),
            Sort::AlbumName => ordered(self.by_album_name.get_or_init(|| self.order_by_album_name())),
            Sort::Length => {
                if self.by_length.get().is_none() {
                    let rows = finding::by_length(connection)?.into_iter().filter_map(|id| self.row_of(id));
                    let rows = rows.map(|row| row as u32).chain(0..self.len() as u32);
                    // Two who ask at once make it twice, alike.
                    self.by_length.get_or_init(|| self.once(rows).collect());
                }
                ordered(self.by_length.get().map_or(&[][..], Vec::as_slice))
            }
            Sort::Bought | Sort::Played | Sort::MostPlayed | Sort::Favoured => {
                let first = finding::ordered(connection, sort)?;
                let first = first.into_iter().filter_map(|id| self.row_of(id)).map(|row| row as u32);
                let first: Vec<u32> = self.once(first.filter(passes)).collect();
                let mut rest = rows.cloned().unwrap_or_else(|| Bits::all(self.len()));
                first.iter().for_each(|&row| rest.remove(row as usize));
                let rest = rest.rows(skip.saturating_sub(first.len())).map(|row| row as u32);
                first.iter().copied().skip(skip).chain(rest).take(take).collect()
            }
        };
        Ok((total, found.into_iter().map(|row: u32| self.ids.id(row as usize)).collect()))
    }

    /// Returns the rows that a filter lets through; `None` when those are all.
    pub(super) fn fewer(&self, filter: &Filter, connection: &Connection) -> Result<Option<Arc<Bits>>> {
        if *filter == Filter::All {
            return Ok(None);
        }
        Ok(Some(self.select(filter, connection)?).filter(|rows| rows.count() < self.len()))
    }

    /// Returns one page of a list that holds its own order.
    fn listed(
        &self,
        ids: &[u32],
        filter: &Filter,
        window: Window,
        connection: &Connection,
    ) -> Result<(u64, Vec<u32>)> {
        let rows = self.fewer(filter, connection)?;
        let passes =
            |id: u32| self.row_of(id).is_some_and(|row| rows.as_ref().is_none_or(|rows| rows.has(row)));
        let shown: Vec<u32> = ids.iter().copied().filter(|&id| passes(id)).collect();
        let skip = usize::try_from(window.offset).unwrap_or(usize::MAX);
        let page = shown.iter().copied().skip(skip).take(window.limit as usize).collect();
        Ok((shown.len() as u64, page))
    }

    /// Returns rows by name, then in album order; those without one last. A row of two names stands with the first.
    fn order_by(&self, names: &Groups) -> Vec<u32> {
        let named = (0..names.len()).flat_map(|place| names.rows(place).iter());
        self.once(named.chain(0..self.len() as u32)).collect()
    }

    fn order_by_album_name(&self) -> Vec<u32> {
        let rows = |&album: &u32| self.albums[album as usize]..self.albums[album as usize + 1];
        self.once(self.albums_by_name.iter().flat_map(rows).chain(0..self.len() as u32)).collect()
    }

    fn albums_by_year(&self) -> Vec<u32> {
        let of = |row: u32| (self.albums.partition_point(|&start| start <= row) - 1) as u32;
        let dated = (0..self.years.len()).flat_map(|place| self.years.rows(place).iter().map(of));
        let mut seen = Bits::none(self.albums.len());
        let mut fresh = |album: &u32| {
            let fresh = !seen.has(*album as usize) && self.named.binary_search(album).is_ok();
            seen.add(*album as usize);
            fresh
        };
        dated.chain(self.named.iter().copied()).filter(|album| fresh(album)).collect()
    }

    /// Leaves out rows that came before.
    fn once(&self, rows: impl Iterator<Item = u32>) -> impl Iterator<Item = u32> {
        let mut seen = Bits::none(self.len());
        rows.filter(move |&row| {
            let fresh = !seen.has(row as usize);
            seen.add(row as usize);
            fresh
        })
    }

    fn albums(&self, query: &Query, window: Window, connection: &Connection) -> Result<Page<Item>> {
        let order = match query.sort {
            Sort::Title | Sort::AlbumName => &self.albums_by_name,
            Sort::Added => &self.albums_by_added,
            Sort::Date => self.albums_by_year.get_or_init(|| self.albums_by_year()),
            _ => &self.named,
        };
        let skip = usize::try_from(window.offset).unwrap_or(usize::MAX);
        let take = window.limit as usize;
        let named;
        let filter = match query.filter.looks_at(Field::Name) {
            true => {
                named = query.filter.clone().with_name(Field::Album);
                &named
            }
            false => &query.filter,
        };
        let rows = self.fewer(filter, connection)?;
        let count = |album: u32| {
            let range = self.rows_of_album(album);
            rows.as_ref().map_or(range.len(), |rows| rows.count_range(range.start, range.end))
        };
        let (total, found): (usize, Vec<(u32, usize)>) = if rows.is_none() {
            (order.len(), order.iter().skip(skip).take(take).map(|&album| (album, count(album))).collect())
        } else {
            let counted = order.iter().map(|&album| (album, count(album)));
            let all: Vec<(u32, usize)> = counted.filter(|&(_, tracks)| tracks > 0).collect();
            (all.len(), all.into_iter().skip(skip).take(take).collect())
        };
        let mut items = Vec::with_capacity(found.len());
        for (album, tracks) in found {
            let shown = |row: &usize| rows.as_ref().is_none_or(|rows| rows.has(*row));
            let example = self.rows_of_album(album).find(shown);
            items.extend(self.album(example, tracks, connection)?.map(Item::Group));
        }
        Ok(Page { total: total as u64, items })
    }

    /// Returns the album of a row, of which so many tracks are shown.
    pub(super) fn album(
        &self,
        row: Option<usize>,
        tracks: usize,
        connection: &Connection,
    ) -> Result<Option<Group>> {
        let Some(row) = row else { return Ok(None) };
        let example = TrackId(i64::from(self.ids.id(row)));
        let (tags, key) = shown::tags_and_key(connection, example)?;
        let artist = match (&tags.album_artist, tags.compilation) {
            (None, true) => None,
            (album_artist, _) => album_artist.clone().or(tags.artist),
        };
        Ok(Some(Group {
            id: groups::id_of_bytes(parts(&key, ALBUM_PARTS)),
            name: tags.album.unwrap_or_default(),
            artist,
            tracks: tracks as u64,
            groups: 0,
            parent: None,
            example: Some(example),
        }))
    }

    /// Returns where the names under each heading begin, in the order that a list of this kind has when nothing is said.
    pub fn sections(&self, what: What) -> Vec<Section> {
        match what {
            What::Tracks => self.title_sections.clone(),
            What::Albums => self.album_sections.clone(),
            what => self.groups(what).map(|groups| groups.sections.clone()).unwrap_or_default(),
        }
    }

    /// Returns the playable tracks of the album that a track is in, in order; the track alone when it has none.
    pub fn album_of(&self, track: u32) -> Vec<u32> {
        let Some(row) = self.row_of(track) else { return Vec::new() };
        let album = (self.albums.partition_point(|&start| start as usize <= row) - 1) as u32;
        let rows =
            if self.named.binary_search(&album).is_ok() { self.rows_of_album(album) } else { row..row + 1 };
        rows.filter(|&row| self.is_playable(row)).map(|row| self.ids.id(row)).collect()
    }

    /// Returns playable tracks, newest first.
    pub fn newest(&self) -> impl Iterator<Item = u32> {
        let rows = self.by_added.all().iter().map(|row| row as usize);
        rows.filter(|&row| self.is_playable(row)).map(|row| self.ids.id(row))
    }

    /// Returns playable tracks in an order that the seed decides.
    pub fn shuffled(&self, seed: u64) -> impl Iterator<Item = u32> {
        let count = self.len().max(1) as u64;
        // A step without a divisor in common with the count visits every row once.
        let step = (seed % count..).find(|&step| step > 0 && gcd(step, count) == 1).unwrap_or(1);
        let rows = (0..self.len() as u64).map(move |i| ((seed / count % count + i * step) % count) as usize);
        rows.filter(|&row| self.is_playable(row)).map(|row| self.ids.id(row))
    }

    fn is_playable(&self, row: usize) -> bool {
        self.playable.as_ref().is_some_and(|rows| rows.has(row))
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
