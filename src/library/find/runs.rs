//! Rows as runs: an album's tracks share artist, genre, year and the day they came, so that five bytes stand for a dozen
//! rows.

use std::ops::Range;

use crate::library::find::bits::Bits;

/// Lists of rows one after the other, each row as it was added.
#[derive(Debug, Default)]
pub struct Runs {
    first: Vec<u32>,
    /// Rows of each run, 1 to 255.
    count: Vec<u8>,
}

/// Some of the runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rows<'a> {
    first: &'a [u32],
    count: &'a [u8],
}

impl Runs {
    /// Returns a list of rows.
    pub fn of(rows: impl IntoIterator<Item = u32>) -> Runs {
        let mut runs = Runs::default();
        runs.extend(rows);
        runs.shrink();
        runs
    }

    /// Adds a list that begins with a run of its own. Returns where it ends, for [`Runs::list`].
    pub fn extend(&mut self, rows: impl IntoIterator<Item = u32>) -> u32 {
        let begin = self.first.len();
        for row in rows {
            match (self.first[begin..].last(), self.count.last_mut()) {
                (Some(first), Some(count)) if *count < u8::MAX && first + u32::from(*count) == row => {
                    *count += 1
                }
                _ => {
                    self.first.push(row);
                    self.count.push(1);
                }
            }
        }
        self.first.len() as u32
    }

    /// Gives back what was reserved.
    pub fn shrink(&mut self) {
        self.first.shrink_to_fit();
        self.count.shrink_to_fit();
    }

    /// Returns a list by where it begins and ends.
    pub fn list(&self, range: Range<usize>) -> Rows<'_> {
        Rows { first: &self.first[range.clone()], count: &self.count[range] }
    }

    /// Returns all lists as one.
    pub fn all(&self) -> Rows<'_> {
        Rows { first: &self.first, count: &self.count }
    }
}

impl<'a> Rows<'a> {
    /// Returns the runs in order.
    pub fn ranges(self) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let range = |(&first, &count): (&u32, &u8)| first as usize..first as usize + usize::from(count);
        self.first.iter().zip(self.count).map(range)
    }

    /// Returns the rows in order.
    pub fn iter(self) -> impl Iterator<Item = u32> + use<'a> {
        self.ranges().flatten().map(|row| row as u32)
    }

    /// Returns the rows in order without the first `skip`.
    pub fn skip(mut self, skip: usize) -> impl Iterator<Item = u32> + use<'a> {
        let mut left = skip;
        while let Some(count) =
            self.count.first().map(|count| usize::from(*count)).filter(|count| *count <= left)
        {
            left -= count;
            self = Rows { first: &self.first[1..], count: &self.count[1..] };
        }
        self.iter().skip(left)
    }

    /// Returns how many rows there are.
    pub fn len(self) -> usize {
        self.count.iter().map(|count| usize::from(*count)).sum()
    }

    /// Returns how many of the rows are among others.
    pub fn among(self, rows: &Bits) -> usize {
        self.ranges().map(|run| rows.count_range(run.start, run.end)).sum()
    }

    /// Returns whether any of the rows is among others.
    pub fn any(self, rows: &Bits) -> bool {
        self.ranges().any(|run| rows.count_range(run.start, run.end) > 0)
    }

    /// Adds the rows to a set.
    pub fn add_to(self, rows: &mut Bits) {
        self.ranges().for_each(|run| rows.add_range(run.start, run.end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn runs_give_back_their_rows(lists in prop::collection::vec(prop::collection::vec(0u32..700, 0..400), 1..4)) {
            let mut lists = lists;
            lists.push((0..700).collect());
            let (mut runs, mut start) = (Runs::default(), 0);
            for list in &lists {
                let end = runs.extend(list.iter().copied()) as usize;
                let rows = runs.list(start..end);
                start = end;
                prop_assert_eq!(rows.iter().collect::<Vec<_>>(), list.clone());
                prop_assert_eq!(rows.len(), list.len());
                for skip in [0, 1, list.len() / 2, list.len(), list.len() + 3] {
                    prop_assert!(rows.skip(skip).eq(list.iter().copied().skip(skip)));
                }
                let mut own = Bits::none(700);
                rows.add_to(&mut own);
                let mut odd = Bits::none(700);
                (0..700).filter(|row| row % 3 == 1).for_each(|row| odd.add(row));
                let among = list.iter().filter(|&&row| odd.has(row as usize)).count();
                prop_assert_eq!((rows.among(&odd), rows.any(&odd)), (among, among > 0));
                prop_assert!(list.iter().all(|&row| own.has(row as usize)));
                prop_assert_eq!(own.count(), list.iter().collect::<std::collections::HashSet<_>>().len());
            }
            prop_assert!(runs.all().iter().eq(lists.concat()));
        }
    }
}
