//! Pages of tracks and of names.

use rusqlite::Connection;

use crate::error::Result;
use crate::library::find::bits::Bits;
use crate::library::find::{ALBUM_PARTS, Find, groups, parts};
use crate::library::store::{finding, shown, tracks};
use crate::media::text::fold;
use crate::query::{Filter, Group, Item, Page, Query, Section, Sort, What, Window};
use crate::track::{Tags, TrackId};

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
                let (total, ids) = self.tracks(&query.filter, query.sort, window, connection)?;
                let mut items = Vec::with_capacity(ids.len());
                for id in ids {
                    items.extend(tracks::load(connection, TrackId(i64::from(id)))?.map(Item::Track));
                }
                Ok(Page { total, items })
            }
            What::Albums => self.albums(query, window, connection),
            What::Folders => {
                let within = match &query.filter {
                    Filter::In(What::Folders, id) => Some(*id),
                    _ => None,
                };
                Ok(page(finding::folders(connection, within, window.limit, window.offset)?))
            }
            What::Playlists => Ok(page(finding::lists(connection, window.limit, window.offset)?)),
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
        if let (Sort::Listed, Filter::In(What::Playlists, list)) = (sort, filter) {
            return self.listed(&finding::in_list(connection, *list)?, window);
        }
        if let (Sort::Listed, Filter::In(What::Folders, folder)) = (sort, filter) {
            return self.listed(&finding::in_folder(connection, *folder)?, window);
        }
        let rows = match filter {
            Filter::All => None,
            filter => Some(self.select(filter, connection)?),
        };
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
            Sort::Added => ordered(&self.by_added),
            Sort::Artist => ordered(self.by_artist.get_or_init(|| self.order_by_artist())),
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
        Ok((total, found.into_iter().map(|row: u32| self.ids[row as usize]).collect()))
    }

    /// Returns one page of a list that holds its own order.
    fn listed(&self, ids: &[u32], window: Window) -> Result<(u64, Vec<u32>)> {
        let shown: Vec<u32> = ids.iter().copied().filter(|&id| self.row_of(id).is_some()).collect();
        let skip = usize::try_from(window.offset).unwrap_or(usize::MAX);
        let page = shown.iter().copied().skip(skip).take(window.limit as usize).collect();
        Ok((shown.len() as u64, page))
    }

    /// Returns rows by artist, then in album order; those without an artist last. A row of two artists stands with the first.
    fn order_by_artist(&self) -> Vec<u32> {
        let named = (0..self.artists.len()).flat_map(|place| self.artists.rows(place).iter().copied());
        self.once(named.chain(0..self.len() as u32)).collect()
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
            Sort::Title => &self.albums_by_name,
            Sort::Added => &self.albums_by_added,
            _ => &self.named,
        };
        let skip = usize::try_from(window.offset).unwrap_or(usize::MAX);
        let take = window.limit as usize;
        let count = |album: u32, rows: Option<&Bits>| {
            let range = self.rows_of_album(album);
            rows.map_or(range.len(), |rows| rows.count_range(range.start, range.end))
        };
        let (total, found): (usize, Vec<(u32, usize)>) = if query.filter == Filter::All {
            let page = order.iter().skip(skip).take(take).map(|&album| (album, count(album, None))).collect();
            (order.len(), page)
        } else {
            let rows = self.select(&query.filter, connection)?;
            let counted = order.iter().map(|&album| (album, count(album, Some(&rows))));
            let all: Vec<(u32, usize)> = counted.filter(|&(_, tracks)| tracks > 0).collect();
            (all.len(), all.into_iter().skip(skip).take(take).collect())
        };
        let mut items = Vec::with_capacity(found.len());
        for (album, tracks) in found {
            let first = self.albums[album as usize];
            let example = TrackId(i64::from(self.ids[first as usize]));
            let (tags, key) = shown::tags_and_key(connection, example)?;
            let artist = match (&tags.album_artist, tags.compilation) {
                (None, true) => None,
                (album_artist, _) => album_artist.clone().or(tags.artist),
            };
            let id = groups::id_of_bytes(parts(&key, ALBUM_PARTS));
            let name = tags.album.unwrap_or_default();
            items.push(Item::Group(Group {
                id,
                name,
                artist,
                tracks: tracks as u64,
                example: Some(example),
            }));
        }
        Ok(Page { total: total as u64, items })
    }

    fn names(
        &self,
        what: What,
        query: &Query,
        window: Window,
        connection: &Connection,
    ) -> Result<Page<Item>> {
        let Some(groups) = self.groups(what) else { return Ok(Page { total: 0, items: Vec::new() }) };
        let skip = usize::try_from(window.offset).unwrap_or(usize::MAX);
        let take = window.limit as usize;
        let (total, found): (usize, Vec<(usize, usize)>) = if query.filter == Filter::All {
            let page = (0..groups.len()).skip(skip).take(take);
            (groups.len(), page.map(|place| (place, groups.rows(place).len())).collect())
        } else {
            let rows = self.select(&query.filter, connection)?;
            let among = |place| groups.rows(place).iter().filter(|&&row| rows.has(row as usize)).count();
            let counted = (0..groups.len()).map(|place| (place, among(place)));
            let all: Vec<(usize, usize)> = counted.filter(|&(_, tracks)| tracks > 0).collect();
            (all.len(), all.into_iter().skip(skip).take(take).collect())
        };
        let mut items = Vec::with_capacity(found.len());
        for (place, tracks) in found {
            let folded = groups.name(place);
            let example = groups.rows(place).first().map(|&row| TrackId(i64::from(self.ids[row as usize])));
            let tags = match example {
                Some(example) => shown::tags_of(connection, example)?.unwrap_or_default(),
                None => Tags::default(),
            };
            let name = spelled(what, &tags, folded).unwrap_or_else(|| folded.to_owned());
            let id = groups::id_of(folded);
            items.push(Item::Group(Group { id, name, artist: None, tracks: tracks as u64, example }));
        }
        Ok(Page { total: total as u64, items })
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
        rows.filter(|&row| self.is_playable(row)).map(|row| self.ids[row]).collect()
    }

    /// Returns playable tracks, newest first.
    pub fn newest(&self) -> impl Iterator<Item = u32> {
        let rows = self.by_added.iter().map(|&row| row as usize);
        rows.filter(|&row| self.is_playable(row)).map(|row| self.ids[row])
    }

    /// Returns playable tracks in an order that the seed decides.
    pub fn shuffled(&self, seed: u64) -> impl Iterator<Item = u32> {
        let count = self.len().max(1) as u64;
        // A step without a divisor in common with the count visits every row once.
        let step = (seed % count..).find(|&step| step > 0 && gcd(step, count) == 1).unwrap_or(1);
        let rows = (0..self.len() as u64).map(move |i| ((seed / count % count + i * step) % count) as usize);
        rows.filter(|&row| self.is_playable(row)).map(|row| self.ids[row])
    }

    fn is_playable(&self, row: usize) -> bool {
        self.playable.as_ref().is_some_and(|rows| rows.has(row))
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn page((total, found): (u64, Vec<finding::Named>)) -> Page<Item> {
    let group = |named: finding::Named| {
        let finding::Named { id, name, tracks, example } = named;
        Item::Group(Group { id, name, artist: None, tracks, example })
    };
    Page { total, items: found.into_iter().map(group).collect() }
}

/// Returns a name as a track spells it.
fn spelled(what: What, tags: &Tags, folded: &str) -> Option<String> {
    let lists: [&[String]; 3] = match what {
        What::Artists | What::AlbumArtists => {
            [&tags.artists, tags.artist.as_slice(), tags.album_artist.as_slice()]
        }
        What::Genres => [&tags.genres, &[], &[]],
        What::Composers => [&tags.composers, &[], &[]],
        _ => [&[], &[], &[]],
    };
    lists.into_iter().flatten().find(|name| fold(name) == folded).cloned()
}
