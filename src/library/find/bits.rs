//! A set of rows.

/// One bit per row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bits {
    words: Vec<u64>,
    len: usize,
}

impl Bits {
    /// Returns a set of `len` rows without any of them.
    pub fn none(len: usize) -> Bits {
        Bits { words: vec![0; len.div_ceil(64)], len }
    }

    /// Returns a set of all `len` rows.
    pub fn all(len: usize) -> Bits {
        let mut bits = Bits { words: vec![u64::MAX; len.div_ceil(64)], len };
        bits.trim();
        bits
    }

    /// Adds a row.
    pub fn add(&mut self, row: usize) {
        self.words[row / 64] |= 1 << (row % 64);
    }

    /// Takes a row out.
    pub fn remove(&mut self, row: usize) {
        self.words[row / 64] &= !(1 << (row % 64));
    }

    /// Adds rows from `start` to before `end`.
    pub fn add_range(&mut self, start: usize, end: usize) {
        for (at, mask) in masks(start, end) {
            self.words[at] |= mask;
        }
    }

    /// Returns whether a row is in it.
    pub fn has(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// Returns how many rows are in it.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Returns how many rows from `start` to before `end` are in it.
    pub fn count_range(&self, start: usize, end: usize) -> usize {
        masks(start, end).map(|(at, mask)| (self.words[at] & mask).count_ones() as usize).sum()
    }

    /// Keeps what is in the other, too.
    pub fn and(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, with)| *word &= with);
    }

    /// Adds what is in the other.
    pub fn or(&mut self, other: &Bits) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, with)| *word |= with);
    }

    /// Turns it into what it is not.
    pub fn not(&mut self) {
        self.words.iter_mut().for_each(|word| *word = !*word);
        self.trim();
    }

    /// Returns its rows in order from the `skip`th on.
    pub fn rows(&self, skip: usize) -> impl Iterator<Item = usize> {
        let (mut at, mut left) = (0, skip);
        while let Some(count) = self.words.get(at).map(|word| word.count_ones() as usize) {
            if left < count {
                break;
            }
            (at, left) = (at + 1, left - count);
        }
        let words = self.words.iter().enumerate().skip(at);
        words.flat_map(|(at, &word)| Ones(word).map(move |bit| at * 64 + bit)).skip(left)
    }

    fn trim(&mut self) {
        if let Some(last) = self.words.last_mut().filter(|_| !self.len.is_multiple_of(64)) {
            *last &= (1 << (self.len % 64)) - 1;
        }
    }
}

/// Returns the words that rows from `start` to before `end` lie in, each with the bits of those rows.
fn masks(start: usize, end: usize) -> impl Iterator<Item = (usize, u64)> {
    let words = if start < end { start / 64..end.div_ceil(64) } else { 0..0 };
    words.map(move |at| {
        let (first, last) = (start.saturating_sub(at * 64), (end - at * 64).min(64));
        (at, u64::MAX >> (64 - (last - first)) << first)
    })
}

struct Ones(u64);

impl Iterator for Ones {
    type Item = usize;
    fn next(&mut self) -> Option<usize> {
        let bit = (self.0 != 0).then(|| self.0.trailing_zeros() as usize)?;
        self.0 &= self.0 - 1;
        Some(bit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_is_a_set(len in 0usize..300, picks in proptest::collection::vec(0usize..300, 0..80), skip in 0usize..90) {
            let picks: std::collections::BTreeSet<usize> = picks.into_iter().filter(|&row| row < len).collect();
            let mut bits = Bits::none(len);
            picks.iter().for_each(|&row| bits.add(row));
            prop_assert_eq!(bits.count(), picks.len());
            prop_assert!(bits.rows(skip).eq(picks.iter().copied().skip(skip)));
            let mut others = bits.clone();
            others.not();
            prop_assert_eq!(others.count(), len - picks.len());
            others.or(&bits);
            prop_assert_eq!(&others, &Bits::all(len));
            others.and(&bits);
            prop_assert_eq!(&others, &bits);
            let (start, end) = (skip.min(len), (skip * 2).min(len));
            prop_assert_eq!(bits.count_range(start, end), picks.range(start..end).count());
            others.add_range(start, end);
            (start..end).for_each(|row| bits.add(row));
            prop_assert_eq!(others, bits);
        }
    }
}
