//! Names with what lies under them: artists, genres, composers, years, folders, playlists; whole pages and single ones.

use std::sync::Arc;

use rusqlite::Connection;

use crate::error::Result;
use crate::library::find::Find;
use crate::library::find::bits::Bits;
use crate::library::find::groups::{Groups, id_of};
use crate::library::find::runs::Rows;
use crate::library::store::finding::{self, Named};
use crate::library::store::shown;
use crate::media::text::fold;
use crate::query::{Field, Filter, Group, GroupId, Item, Page, Query, Section, What, Window};
use crate::track::{Tags, TrackId};

/// A condition on a name: its own letters, and the rows under it.
enum Asked {
    /// Something of the name itself.
    Own(fn(&str, &str) -> bool, String),
    /// One of these rows lies under it.
    Some(Arc<Bits>),
    All(Vec<Asked>),
    Any(Vec<Asked>),
    Not(Box<Asked>),
}

impl Asked {
    fn of(find: &Find, filter: &Filter, connection: &Connection) -> Result<Asked> {
        let each =
            |all: &[Filter]| all.iter().map(|one| Asked::of(find, one, connection)).collect::<Result<_>>();
        Ok(match filter {
            filter if !filter.looks_at(Field::Name) => Asked::Some(find.select(filter, connection)?),
            Filter::Is(_, text) => Asked::Own(|name, text| name == text, fold(text)),
            Filter::Contains(_, text) => Asked::Own(|name, text| name.contains(text), fold(text)),
            Filter::Starts(_, text) => Asked::Own(|name, text| name.starts_with(text), fold(text)),
            Filter::And(all) => Asked::All(each(all)?),
            Filter::Or(any) => Asked::Any(each(any)?),
            Filter::Not(inner) => Asked::Not(Box::new(Asked::of(find, inner, connection)?)),
            _ => Asked::Own(|_, _| true, String::new()),
        })
    }

    fn holds(&self, name: &str, rows: Rows) -> bool {
        match self {
            Asked::Own(test, text) => test(name, text),
            Asked::Some(wanted) => rows.any(wanted),
            Asked::All(all) => all.iter().all(|asked| asked.holds(name, rows)),
            Asked::Any(any) => any.iter().any(|asked| asked.holds(name, rows)),
            Asked::Not(inner) => !inner.holds(name, rows),
        }
    }
}

/// Takes apart what a filter asks of the names themselves and what of the rows under them.
fn apart(filter: &Filter) -> (Filter, Option<Filter>) {
    match filter {
        filter if !filter.looks_at(Field::Name) => (filter.clone(), None),
        Filter::And(all) => {
            let (own, rest): (Vec<Filter>, Vec<Filter>) =
                all.iter().cloned().partition(|filter| filter.looks_at(Field::Name));
            (if rest.is_empty() { Filter::All } else { Filter::And(rest) }, Some(Filter::And(own)))
        }
        own => (Filter::All, Some(own.clone())),
    }
}

impl Find {
    /// Returns a page of names of a kind.
    pub(super) fn names(
        &self,
        what: What,
        query: &Query,
        window: Window,
        connection: &Connection,
    ) -> Result<Page<Item>> {
        let Some(groups) = self.groups(what) else { return Ok(Page { total: 0, items: Vec::new() }) };
        let skip = usize::try_from(window.offset).unwrap_or(usize::MAX);
        let take = window.limit as usize;
        let (rest, own) = apart(&query.filter);
        let rows = self.fewer(&rest, connection)?;
        let rows = rows.as_deref();
        let (total, found): (usize, Vec<(usize, usize)>) = if rows.is_none() && own.is_none() {
            let page = (0..groups.len()).skip(skip).take(take);
            (groups.len(), page.map(|place| (place, groups.rows(place).len())).collect())
        } else {
            let own = own.map(|own| Asked::of(self, &own, connection)).transpose()?;
            let holds = |place: &usize| {
                own.as_ref().is_none_or(|own| own.holds(groups.name(*place), groups.rows(*place)))
            };
            let places = (0..groups.len()).filter(holds);
            let counted = places.map(|place| (place, among(groups.rows(place), rows)));
            let all: Vec<(usize, usize)> = counted.filter(|&(_, tracks)| tracks > 0).collect();
            (all.len(), all.into_iter().skip(skip).take(take).collect())
        };
        let mut items = Vec::with_capacity(found.len());
        for (place, _) in found {
            items.extend(self.name(what, groups, place, rows, connection)?.map(Item::Group));
        }
        Ok(Page { total: total as u64, items })
    }

    /// Returns a name with what is shown under it; `None` when that is nothing.
    fn name(
        &self,
        what: What,
        groups: &Groups,
        place: usize,
        shown: Option<&Bits>,
        connection: &Connection,
    ) -> Result<Option<Group>> {
        let folded = groups.name(place);
        let is_shown = |row: u32| shown.is_none_or(|shown| shown.has(row as usize));
        let rows: Vec<u32> = groups.rows(place).iter().filter(|&row| is_shown(row)).collect();
        let Some(&first) = rows.first() else { return Ok(None) };
        let example = TrackId(i64::from(self.ids.id(first as usize)));
        let tags = shown::tags_of(connection, example)?.unwrap_or_default();
        let name = spelled(what, &tags, folded).unwrap_or_else(|| folded.to_owned());
        Ok(Some(Group {
            id: id_of(folded),
            name,
            artist: None,
            tracks: rows.len() as u64,
            groups: self.albums_under(&rows),
            parent: None,
            example: Some(example),
        }))
    }

    /// Returns how many albums with a name rows lie in.
    fn albums_under(&self, rows: &[u32]) -> u64 {
        let (mut at, mut count) = (0, 0);
        while let Some(&row) = rows.get(at) {
            let album = self.albums.partition_point(|&start| start <= row) - 1;
            count += u64::from(self.named.binary_search(&(album as u32)).is_ok());
            let end = self.albums[album + 1];
            at += rows[at..].partition_point(|&row| row < end);
        }
        count
    }

    /// Returns the folders that a filter is about; `tracks` counts those that the filter lets through.
    pub(super) fn folders(
        &self,
        filter: &Filter,
        window: Window,
        connection: &Connection,
    ) -> Result<Page<Item>> {
        let (within, rest) = match filter.within(What::Folders) {
            Some((id, rest)) => (Some(id), rest),
            None => (None, filter.clone()),
        };
        let (total, found) = finding::folders(connection, within, window.limit, window.offset)?;
        let rows = self.fewer(&rest, connection)?;
        let items =
            found.into_iter().map(|named| self.counted(What::Folders, named, rows.as_deref(), connection));
        Ok(Page { total, items: items.map(|group| group.map(Item::Group)).collect::<Result<_>>()? })
    }

    /// Returns the playlists whose name a filter lets through.
    pub(super) fn playlists(
        &self,
        filter: &Filter,
        window: Window,
        connection: &Connection,
    ) -> Result<Page<Item>> {
        let (rest, own) = apart(filter);
        let rows = self.fewer(&rest, connection)?;
        let (total, found) = match own {
            None => finding::lists(connection, window.limit, window.offset)?,
            Some(own) => {
                let own = Asked::of(self, &own, connection)?;
                let (_, mut all) = finding::lists(connection, u32::MAX, 0)?;
                all.retain(|list| own.holds(&fold(&list.name), Rows::default()));
                let skip = usize::try_from(window.offset).unwrap_or(usize::MAX);
                (all.len() as u64, all.into_iter().skip(skip).take(window.limit as usize).collect())
            }
        };
        let items =
            found.into_iter().map(|list| self.counted(What::Playlists, list, rows.as_deref(), connection));
        Ok(Page { total, items: items.map(|group| group.map(Item::Group)).collect::<Result<_>>()? })
    }

    /// Returns a folder or playlist with the tracks in it that are shown and among these rows.
    fn counted(
        &self,
        what: What,
        named: Named,
        among: Option<&Bits>,
        connection: &Connection,
    ) -> Result<Group> {
        let inside = match what {
            What::Playlists => finding::in_list(connection, named.id)?,
            _ => finding::in_folder(connection, named.id)?,
        };
        let row = |id: &u32| self.row_of(*id).is_some_and(|row| among.is_none_or(|rows| rows.has(row)));
        let mut shown = inside.into_iter().filter(row).peekable();
        let example = shown.peek().map(|&id| TrackId(i64::from(id)));
        let Named { id, name, folders, parent, .. } = named;
        let tracks = shown.count() as u64;
        Ok(Group { id, name, artist: None, tracks, groups: folders, parent, example })
    }

    /// Returns one album, name, folder or playlist with what a filter shows of it; `None` when it is not there, or no track
    /// of it is shown. A folder or playlist may be empty.
    ///
    /// # Errors
    /// Those of the database.
    pub fn group(
        &self,
        what: What,
        id: GroupId,
        filter: &Filter,
        connection: &Connection,
    ) -> Result<Option<Group>> {
        let rows = self.fewer(filter, connection)?;
        let rows = rows.as_deref();
        if let Some(groups) = self.groups(what) {
            let Some(place) = groups.place(id) else { return Ok(None) };
            return self.name(what, groups, place, rows, connection);
        }
        let named = match what {
            What::Albums => {
                let Ok(at) = self.album_ids.binary_search_by_key(&id, |&(id, _)| id) else { return Ok(None) };
                let album = self.album_ids[at].1;
                if self.named.binary_search(&album).is_err() {
                    return Ok(None);
                }
                let mut shown =
                    self.rows_of_album(album).filter(|&row| rows.is_none_or(|rows| rows.has(row))).peekable();
                let first = shown.peek().copied();
                return self.album(first, shown.count(), connection);
            }
            What::Folders => finding::folder(connection, id)?,
            What::Playlists => finding::list(connection, id)?,
            _ => None,
        };
        named.map(|named| self.counted(what, named, rows, connection)).transpose()
    }

    /// Returns where headings begin among the names that a filter lets through, in the usual order of a kind of names.
    ///
    /// # Errors
    /// Those of the database.
    pub fn sections_of(&self, what: What, filter: &Filter, connection: &Connection) -> Result<Vec<Section>> {
        let (Some(groups), Some(rows)) = (self.groups(what), self.fewer(filter, connection)?) else {
            return Ok(self.sections(what));
        };
        let starts: Vec<usize> = groups.sections.iter().map(|section| section.offset as usize).collect();
        let (mut sections, mut offset, mut section) = (Vec::new(), 0, 0);
        let mut begun = None;
        for place in 0..groups.len() {
            while starts.get(section + 1).is_some_and(|&start| start <= place) {
                section += 1;
            }
            if !groups.rows(place).any(&rows) {
                continue;
            }
            if begun != Some(section) {
                begun = Some(section);
                let heading = groups.sections[section].heading.clone();
                sections.push(Section { heading, offset });
            }
            offset += 1;
        }
        Ok(sections)
    }
}

/// Returns how many of a name's rows are among others.
fn among(of: Rows, rows: Option<&Bits>) -> usize {
    rows.map_or_else(|| of.len(), |rows| of.among(rows))
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
