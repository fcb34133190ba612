//! Names and the rows under each: artists, genres, composers, years.

use std::collections::HashMap;

use crate::library::find::begin;
use crate::library::find::runs::{Rows, Runs};
use crate::media::text::{heading, sort_key};
use crate::query::{GroupId, Section};

/// Names in order, each with its rows.
#[derive(Debug, Default)]
pub struct Groups {
    /// Folded names one after the other, and where each ends.
    names: String,
    ends: Vec<u32>,
    /// Rows of each name one after the other, and where the runs of each end.
    rows: Runs,
    rows_end: Vec<u32>,
    /// Numbers with the place of their name, by number.
    places: Vec<(GroupId, u32)>,
    /// Where headings begin.
    pub sections: Vec<Section>,
    /// Some names of the texts are several of these.
    pub split: bool,
}

/// Groups while rows are being added in order.
#[derive(Debug, Default)]
pub struct Gathering {
    numbers: HashMap<Box<str>, u32>,
    /// Sort keys that tags told, by number.
    keys: Vec<Option<Box<str>>>,
    pairs: Vec<(u32, u32)>,
    split: bool,
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

    /// Puts the rows of a name that is several names under each of them: `a; b` and `a / b`, where every part is a name of
    /// its own (reference purchases 7.2). What else joins names stands within those of bands.
    pub fn split(mut self) -> Gathering {
        let parts_of = |name: &str| -> Option<Vec<u32>> {
            let parts = name.split("; ").flat_map(|part| part.split(" / ")).map(str::trim);
            parts.map(|part| self.numbers.get(part).copied()).collect()
        };
        let joined = self.numbers.iter().filter(|(name, _)| name.contains("; ") || name.contains(" / "));
        let several: HashMap<u32, Vec<u32>> =
            joined.filter_map(|(name, &number)| Some((number, parts_of(name)?))).collect();
        if several.is_empty() {
            return self;
        }
        self.numbers.retain(|_, number| !several.contains_key(number));
        let of_parts = |&(number, row): &(u32, u32)| {
            several.get(&number).into_iter().flatten().map(move |&part| (part, row))
        };
        let more: Vec<(u32, u32)> = self.pairs.iter().flat_map(of_parts).collect();
        self.pairs.retain(|(number, _)| !several.contains_key(number));
        self.pairs.extend(more);
        Gathering { split: true, ..self }
    }

    /// Orders the names.
    pub fn finish(self) -> Groups {
        let Gathering { numbers, mut keys, mut pairs, split } = self;
        let mut names: Vec<(Box<str>, Box<str>, u32)> = numbers
            .into_iter()
            .map(|(name, number)| {
                let key = keys[number as usize].take().unwrap_or_else(|| sort_key(&name).into());
                (key, name, number)
            })
            .collect();
        names.sort_unstable();
        // A name that was split has a number and no place.
        let mut place_of = vec![0; keys.len()];
        for (place, (_, _, number)) in names.iter().enumerate() {
            place_of[*number as usize] = place as u32;
        }
        pairs.iter_mut().for_each(|(number, _)| *number = place_of[*number as usize]);
        pairs.sort_unstable();
        pairs.dedup();
        let mut groups = Groups { split, ..Groups::default() };
        let bytes = names.iter().map(|(_, name, _)| name.len()).sum();
        groups.names.reserve_exact(bytes);
        let mut last = None;
        let mut pairs = pairs.into_iter().peekable();
        for (place, (key, name, _)) in names.iter().enumerate() {
            groups.names.push_str(name);
            groups.ends.push(groups.names.len() as u32);
            let own = std::iter::from_fn(|| pairs.next_if(|&(at, _)| at as usize == place));
            groups.rows_end.push(groups.rows.extend(own.map(|(_, row)| row)));
            groups.places.push((id_of(name), place as u32));
            let under = heading(key);
            if last != Some(under) {
                last = Some(under);
                begin(&mut groups.sections, &under, place);
            }
        }
        groups.places.sort_unstable();
        groups.rows.shrink();
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
    pub fn rows(&self, place: usize) -> Rows<'_> {
        let start = if place == 0 { 0 } else { self.rows_end[place - 1] as usize };
        self.rows.list(start..self.rows_end[place] as usize)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(names: &[&str], wanted: &[(&str, &[u32])]) {
        let mut gathering = Gathering::default();
        names.iter().enumerate().for_each(|(row, name)| gathering.add(name, "", row as u32));
        let groups = gathering.split().finish();
        assert_eq!(groups.len(), wanted.len());
        assert_eq!(groups.split, wanted.len() < names.len());
        for (name, rows) in wanted {
            let place = groups.place(id_of(name)).expect("a name");
            assert_eq!(groups.name(place), *name);
            assert_eq!(groups.rows(place).iter().collect::<Vec<_>>(), *rows);
        }
    }

    #[test]
    fn several_artists_in_one_text_are_those_that_stand_alone_elsewhere() {
        check(&["aimer", "milet", "aimer; milet"], &[("aimer", &[0, 2]), ("milet", &[1, 2])]);
        check(&["aimer / milet", "milet", "aimer"], &[("aimer", &[0, 2]), ("milet", &[0, 1])]);
        // One of them stands nowhere alone.
        check(&["aimer", "aimer; milet"], &[("aimer", &[0]), ("aimer; milet", &[1])]);
        // Names of bands.
        let bands = ["a", "a & b", "a/b", "ac", "ac/dc", "b", "dc"];
        let wanted: Vec<(&str, Vec<u32>)> =
            bands.iter().enumerate().map(|(row, name)| (*name, vec![row as u32])).collect();
        check(&bands, &wanted.iter().map(|(name, rows)| (*name, &rows[..])).collect::<Vec<_>>());
    }
}
