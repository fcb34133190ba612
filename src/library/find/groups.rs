//! Names and the rows under each: artists, genres, composers, years.

use std::collections::HashMap;

use crate::library::find::begin;
use crate::media::text::{heading, sort_key};
use crate::query::{GroupId, Section};

/// Names in order, each with its rows.
#[derive(Debug, Default)]
pub struct Groups {
    /// Folded names one after the other, and where each ends.
    names: String,
    ends: Vec<u32>,
    /// Rows of each name one after the other, and where those of each end.
    rows: Vec<u32>,
    rows_end: Vec<u32>,
    /// Numbers with the place of their name, by number.
    places: Vec<(GroupId, u32)>,
    /// Where headings begin.
    pub sections: Vec<Section>,
}

/// Groups while rows are being added in order.
#[derive(Debug, Default)]
pub struct Gathering {
    numbers: HashMap<Box<str>, u32>,
    /// Sort keys that tags told, by number.
    keys: Vec<Option<Box<str>>>,
    pairs: Vec<(u32, u32)>,
}

impl Gathering {
    /// Puts a row under a name; `key` is its sort key where a tag tells it.
    pub fn add(&mut self, name: &str, key: &str, row: u32) {
        if name.is_empty() {
            return;
        }
        let number = match self.numbers.get(name) {
            Some(&number) => number,
            None => {
                let number = self.keys.len() as u32;
                self.numbers.insert(name.into(), number);
                self.keys.push(None);
                number
            }
        };
        if !key.is_empty() && self.keys[number as usize].is_none() {
            self.keys[number as usize] = Some(key.into());
        }
        // Rows come in order, so a row twice under one name stands at the end or shortly before.
        self.pairs.push((number, row));
    }

    /// Orders the names.
    pub fn finish(self) -> Groups {
        let Gathering { numbers, mut keys, mut pairs } = self;
        let mut names: Vec<(Box<str>, Box<str>, u32)> = numbers
            .into_iter()
            .map(|(name, number)| {
                let key = keys[number as usize].take().unwrap_or_else(|| sort_key(&name).into());
                (key, name, number)
            })
            .collect();
        names.sort_unstable();
        let mut place_of = vec![0; names.len()];
        for (place, (_, _, number)) in names.iter().enumerate() {
            place_of[*number as usize] = place as u32;
        }
        pairs.iter_mut().for_each(|(number, _)| *number = place_of[*number as usize]);
        pairs.sort_unstable();
        pairs.dedup();
        let mut groups = Groups { rows: Vec::with_capacity(pairs.len()), ..Groups::default() };
        let bytes = names.iter().map(|(_, name, _)| name.len()).sum();
        groups.names.reserve_exact(bytes);
        let mut last = None;
        let mut pairs = pairs.into_iter().peekable();
        for (place, (key, name, _)) in names.iter().enumerate() {
            groups.names.push_str(name);
            groups.ends.push(groups.names.len() as u32);
            while let Some((_, row)) = pairs.next_if(|&(at, _)| at as usize == place) {
                groups.rows.push(row);
            }
            groups.rows_end.push(groups.rows.len() as u32);
            groups.places.push((id_of(name), place as u32));
            let under = heading(key);
            if last != Some(under) {
                last = Some(under);
                begin(&mut groups.sections, &under, place);
            }
        }
        groups.places.sort_unstable();
        groups.ends.shrink_to_fit();
        groups.rows_end.shrink_to_fit();
        groups.places.shrink_to_fit();
        groups
    }
}

impl Groups {
    /// Returns how many names there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns the folded name at a place.
    pub fn name(&self, place: usize) -> &str {
        let start = if place == 0 { 0 } else { self.ends[place - 1] as usize };
        &self.names[start..self.ends[place] as usize]
    }

    /// Returns the rows under the name at a place, in order.
    pub fn rows(&self, place: usize) -> &[u32] {
        let start = if place == 0 { 0 } else { self.rows_end[place - 1] as usize };
        &self.rows[start..self.rows_end[place] as usize]
    }

    /// Returns the place of a number.
    pub fn place(&self, id: GroupId) -> Option<usize> {
        let at = self.places.binary_search_by_key(&id, |&(id, _)| id).ok()?;
        Some(self.places[at].1 as usize)
    }

    /// Returns the places whose name passes.
    pub fn places_where(&self, mut passes: impl FnMut(&str) -> bool) -> Vec<usize> {
        (0..self.len()).filter(|&place| passes(self.name(place))).collect()
    }
}

/// Returns the number of a folded name.
pub fn id_of(name: &str) -> GroupId {
    id_of_bytes(name.as_bytes())
}

/// Returns the number of what these bytes tell.
pub fn id_of_bytes(bytes: &[u8]) -> GroupId {
    let hash = blake3::hash(bytes);
    GroupId(i64::from_le_bytes(hash.as_bytes()[..8].try_into().unwrap_or_default()))
}
