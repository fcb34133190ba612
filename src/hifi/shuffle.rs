//! The play order while shuffled: each entry once a round, reproducible from its seed. Pure.
//!
//! What was played stands before the entry that plays, what is left of the round behind it.

use std::collections::HashSet;

use crate::hifi::command::QueueId;

/// Some ids, sorted: what asks 10,000 times whether it holds one is answered faster than by hashing.
#[derive(Debug)]
pub struct Ids(Vec<QueueId>);

impl Ids {
    /// Returns the ids, each once.
    pub fn of(ids: &[QueueId]) -> Ids {
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        Ids(ids)
    }

    /// Returns whether this id is among them.
    pub fn holds(&self, id: QueueId) -> bool {
        self.0.binary_search(&id).is_ok()
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// The order of the round that runs, and the numbers that the next draws come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Shuffle {
    /// Every entry of the queue once.
    order: Vec<QueueId>,
    random: Random,
}

impl Shuffle {
    /// Returns a first round of these entries; `first` begins it when it is among them.
    pub fn new(seed: u64, ids: Vec<QueueId>, first: Option<QueueId>) -> Shuffle {
        let mut shuffle = Shuffle { order: ids, random: Random(seed) };
        shuffle.mix(0);
        if let Some(place) = first.and_then(|id| shuffle.place(id)) {
            shuffle.order.swap(0, place);
        }
        shuffle
    }

    /// Returns the round as it was saved, mended so that it holds each of `ids` once.
    pub fn restored(seed: u64, order: Vec<QueueId>, ids: &[QueueId]) -> Shuffle {
        let mut missing: HashSet<QueueId> = ids.iter().copied().collect();
        let mut order: Vec<QueueId> = order.into_iter().filter(|id| missing.remove(id)).collect();
        order.extend(ids.iter().filter(|id| missing.contains(id)));
        Shuffle { order, random: Random(seed) }
    }

    /// Returns the order of the round.
    pub fn order(&self) -> &[QueueId] {
        &self.order
    }

    /// Returns the seed of the next draw, for saving.
    pub fn seed(&self) -> u64 {
        self.random.0
    }

    /// Returns the place of an entry in the round.
    pub fn place(&self, id: QueueId) -> Option<usize> {
        self.order.iter().position(|&o| o == id)
    }

    /// Returns what begins the round after this one: never what ends this one, unless it is alone.
    pub fn coming(&self) -> Option<QueueId> {
        let mut random = self.random.clone();
        self.order.get(random.below(self.order.len().saturating_sub(1).max(1))).copied()
    }

    /// Begins the round after this one.
    pub fn turn_over(&mut self) {
        if self.order.len() > 1 {
            let first = self.random.below(self.order.len() - 1);
            self.order.swap(0, first);
            self.mix(1);
        }
    }

    /// Goes on from one entry to another. What is chosen out of turn comes forward, so that the round still holds what
    /// was passed over; at the end of the round the next one begins with it.
    pub fn arrive(&mut self, from: Option<QueueId>, at: QueueId) {
        let Some(mut place) = self.place(at) else { return };
        let here = from.and_then(|id| self.place(id));
        if here == Some(place) || here.map_or(0, |here| here + 1) == place {
            return;
        }
        if here.is_some_and(|here| here + 1 == self.order.len()) {
            self.turn_over();
            place = self.place(at).unwrap_or(0);
            self.order.swap(0, place);
            return;
        }
        self.order.remove(place);
        // Taking it out moved what plays when it stood behind.
        let behind = here.map_or(0, |here| if place < here { here } else { here + 1 });
        self.order.insert(behind, at);
    }

    /// Lets new entries into the round right behind what plays.
    pub fn insert_next(&mut self, ids: &[QueueId], current: Option<QueueId>) {
        let behind = self.left_from(current);
        self.order.splice(behind..behind, ids.iter().copied());
    }

    /// Lets new entries into what is left of the round, each anywhere; the others keep their order.
    pub fn join(&mut self, ids: &[QueueId], current: Option<QueueId>) {
        let mut fresh = ids.to_vec();
        self.random.shuffle(&mut fresh);
        let left = self.order.split_off(self.left_from(current));
        let (mut fresh, mut left) = (fresh.into_iter().peekable(), left.into_iter().peekable());
        while fresh.peek().is_some() || left.peek().is_some() {
            let draw = self.random.below(fresh.len() + left.len());
            let next = if draw < fresh.len() { fresh.next() } else { left.next() };
            self.order.extend(next);
        }
    }

    /// Takes entries out.
    pub fn remove(&mut self, gone: &Ids) {
        self.order.retain(|&id| !gone.holds(id));
    }

    fn left_from(&self, current: Option<QueueId>) -> usize {
        current.and_then(|id| self.place(id)).map_or(0, |place| place + 1)
    }

    /// Shuffles the places from `start` on.
    fn mix(&mut self, start: usize) {
        self.random.shuffle(&mut self.order[start..]);
    }
}

/// SplitMix64: small, reproducible, good enough to shuffle records.
#[derive(Debug, Clone, PartialEq)]
struct Random(u64);

impl Random {
    /// Returns a number below `bound`, which is at least 1.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * bound as u128) >> 64) as usize
    }

    /// Fisher and Yates.
    fn shuffle(&mut self, ids: &mut [QueueId]) {
        for i in (1..ids.len()).rev() {
            ids.swap(i, self.below(i + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ids(count: u32) -> Vec<QueueId> {
        (1..=count).map(QueueId).collect()
    }

    fn sorted(order: &[QueueId]) -> Vec<QueueId> {
        let mut order = order.to_vec();
        order.sort();
        order
    }

    #[test]
    fn the_same_seed_gives_the_same_rounds() {
        let rounds = |seed| {
            let mut shuffle = Shuffle::new(seed, ids(50), None);
            let first = shuffle.order().to_vec();
            shuffle.turn_over();
            (first, shuffle.order().to_vec(), shuffle.seed())
        };
        assert_eq!(rounds(7), rounds(7));
        assert_ne!(rounds(7).0, rounds(8).0);
        assert_ne!(rounds(7).0, rounds(7).1);
        // A round that was saved goes on as if it had not been.
        let (order, _, _) = rounds(7);
        let seed = Shuffle::new(7, ids(50), None).seed();
        let mut restored = Shuffle::restored(seed, order, &ids(50));
        restored.turn_over();
        assert_eq!(restored.order(), rounds(7).1);
    }

    #[test]
    fn what_is_chosen_out_of_turn_leaves_nothing_out() {
        let mut shuffle = Shuffle::restored(0, ids(5), &ids(5));
        shuffle.arrive(Some(QueueId(1)), QueueId(4));
        assert_eq!(shuffle.order(), [1, 4, 2, 3, 5].map(QueueId));
        // One that was heard already is heard again, and the rest still comes.
        shuffle.arrive(Some(QueueId(4)), QueueId(1));
        assert_eq!(shuffle.order(), [4, 1, 2, 3, 5].map(QueueId));
        shuffle.arrive(None, QueueId(5));
        assert_eq!(shuffle.order()[0], QueueId(5));
    }

    #[test]
    fn a_damaged_round_is_mended() {
        let shuffle = Shuffle::restored(0, [2, 2, 9, 1].map(QueueId).to_vec(), &ids(4));
        assert_eq!(shuffle.order(), [2, 1, 3, 4].map(QueueId));
    }

    proptest! {
        #[test]
        fn a_new_round_holds_all_and_does_not_begin_with_the_last(count in 1u32..60, seed: u64) {
            let mut shuffle = Shuffle::new(seed, ids(count), None);
            let last = *shuffle.order().last().expect("not empty");
            let coming = shuffle.coming();
            shuffle.turn_over();
            prop_assert_eq!(shuffle.order().first().copied(), coming);
            prop_assert_eq!(sorted(shuffle.order()), ids(count));
            prop_assert!(count == 1 || coming != Some(last));
        }

        #[test]
        fn what_joins_stands_behind_what_plays(count in 1u32..30, more in 0u32..30, at in 0usize..30, seed: u64) {
            let mut shuffle = Shuffle::new(seed, ids(count), None);
            let place = at % count as usize;
            let before = shuffle.order().to_vec();
            let fresh: Vec<QueueId> = (count + 1..=count + more).map(QueueId).collect();
            shuffle.join(&fresh, Some(before[place]));
            prop_assert_eq!(&shuffle.order()[..=place], &before[..=place]);
            prop_assert_eq!(sorted(shuffle.order()), ids(count + more));
            let old: Vec<QueueId> = shuffle.order().iter().copied().filter(|id| id.0 <= count).collect();
            prop_assert_eq!(old, before);
        }
    }
}
