//! The queue: entries, ids, version, order, repeat. Pure; who plays is `rules`' business, the shuffled order `shuffle`'s.

use std::collections::HashSet;
use std::sync::Arc;

use crate::hifi::command::{At, Playable, QueueId, Refused, Repeat};
use crate::hifi::shuffle::{Ids, Shuffle};
use crate::hifi::state::{Entry, QueueView};

/// The entries in the order shown, and the order played when shuffled. No edit takes more than a few passes over them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Queue {
    view: Arc<QueueView>,
    /// The last id given; ids go on from here even after a clear.
    last_id: u32,
    /// The round while shuffled; holds every id once.
    shuffle: Option<Shuffle>,
}

impl Queue {
    /// The most entries a queue holds.
    pub const MOST: usize = 10_000;
    /// The most bytes of what apps said and of URLs in all: anyone in the house may add, and the box is small.
    pub const MOST_TEXT: usize = 16 << 20;

    /// Returns a queue as it was saved; `shuffled` is the round and its seed. Ids of 0 and repeated ids are dropped.
    pub fn restored(
        version: u64,
        entries: Vec<Entry>,
        last_id: u32,
        shuffled: Option<(Vec<QueueId>, u64)>,
    ) -> Queue {
        let mut seen = HashSet::new();
        let entries: Vec<Entry> =
            entries.into_iter().filter(|e| e.id.0 != 0 && seen.insert(e.id)).take(Queue::MOST).collect();
        let highest = entries.iter().map(|e| e.id.0).max().unwrap_or(0);
        let ids: Vec<QueueId> = entries.iter().map(|e| e.id).collect();
        let shuffle = shuffled.map(|(order, seed)| Shuffle::restored(seed, order, &ids));
        Queue { view: Arc::new(QueueView { version, entries }), last_id: last_id.max(highest), shuffle }
    }

    /// Returns whether what is saved of this one is what would be saved of the other. Quick: no entries are compared.
    pub fn is_as_saved(&self, other: &Queue) -> bool {
        Arc::ptr_eq(&self.view, &other.view)
            && (self.last_id, &self.shuffle) == (other.last_id, &other.shuffle)
    }

    /// Returns the queue as faces see it.
    pub fn view(&self) -> &Arc<QueueView> {
        &self.view
    }

    /// Returns the last id given, for saving.
    pub fn last_id(&self) -> u32 {
        self.last_id
    }

    /// Returns the play order and the seed of its next draw while shuffled, for saving.
    pub fn shuffled(&self) -> Option<(&[QueueId], u64)> {
        self.shuffle.as_ref().map(|shuffle| (shuffle.order(), shuffle.seed()))
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.view.entries.is_empty()
    }

    /// Returns an entry.
    pub fn get(&self, id: QueueId) -> Option<&Entry> {
        self.view.entries.iter().find(|entry| entry.id == id)
    }

    /// Returns the entry that plays first.
    pub fn first(&self) -> Option<QueueId> {
        match &self.shuffle {
            Some(shuffle) => shuffle.order().first().copied(),
            None => self.view.entries.first().map(|e| e.id),
        }
    }

    /// Returns the entry that plays last.
    pub fn last(&self) -> Option<QueueId> {
        match &self.shuffle {
            Some(shuffle) => shuffle.order().last().copied(),
            None => self.view.entries.last().map(|e| e.id),
        }
    }

    /// Returns what plays by itself when `id` ends: while shuffled, a new round after the last when all repeats.
    pub fn after(&self, id: QueueId, repeat: Repeat) -> Option<QueueId> {
        match repeat {
            Repeat::One => self.get(id).map(|entry| entry.id),
            Repeat::Off => self.neighbour(id, 1),
            Repeat::All => self.neighbour(id, 1).or_else(|| match &self.shuffle {
                Some(shuffle) => shuffle.coming(),
                None => self.first(),
            }),
        }
    }

    /// Returns what the next key chooses: as `after`, but one track does not hold it.
    pub fn next_of(&self, id: QueueId, repeat: Repeat) -> Option<QueueId> {
        self.after(id, if repeat == Repeat::One { Repeat::All } else { repeat })
    }

    /// Returns what stands before `id` in play order; the last one before the first when everything repeats. A round
    /// of a shuffle is not left backwards.
    pub fn before(&self, id: QueueId, repeat: Repeat) -> Option<QueueId> {
        self.neighbour(id, -1).or_else(|| match (repeat, &self.shuffle) {
            (Repeat::All | Repeat::One, None) => self.view.entries.last().map(|e| e.id),
            _ => None,
        })
    }

    /// Returns the first entry from `id` on in play order that is not among `gone`.
    pub fn left_from(&self, id: QueueId, gone: &Ids) -> Option<QueueId> {
        match &self.shuffle {
            Some(shuffle) => {
                shuffle.order()[shuffle.place(id)?..].iter().copied().find(|&id| !gone.holds(id))
            }
            None => self.view.entries[self.index(id)?..].iter().map(|e| e.id).find(|&id| !gone.holds(id)),
        }
    }

    /// Returns the place of an entry in the order played; `None` when it is not there.
    pub fn turn(&self, id: QueueId) -> Option<usize> {
        match &self.shuffle {
            Some(shuffle) => shuffle.place(id),
            None => self.index(id),
        }
    }

    /// Returns whether an entry is there and its turn comes behind `current`.
    pub fn is_ahead(&self, id: QueueId, current: Option<QueueId>) -> bool {
        let now = current.and_then(|id| self.turn(id));
        self.turn(id).is_some_and(|turn| now.is_none_or(|now| turn > now))
    }

    /// Goes on from one entry to another, for the round of a shuffle.
    pub fn arrive(&mut self, from: Option<QueueId>, at: QueueId) {
        if let Some(shuffle) = &mut self.shuffle {
            shuffle.arrive(from, at);
        }
    }

    /// The queue was played to its end: a shuffled one is shuffled anew. Returns what plays first now.
    pub fn start_over(&mut self) -> Option<QueueId> {
        if let Some(shuffle) = &mut self.shuffle {
            shuffle.turn_over();
        }
        self.first()
    }

    /// Adds entries, whose ids are given here, and returns the ids in order. While shuffled they join what is left of
    /// the round; those to be next stand next.
    ///
    /// # Errors
    /// `OutOfRange` when the queue would hold more than [`Queue::MOST`], or more text of apps than [`Queue::MOST_TEXT`];
    /// `NoSuchEntry` behind an entry that is not there.
    pub fn add(
        &mut self,
        entries: Vec<Entry>,
        at: At,
        current: Option<QueueId>,
    ) -> Result<Vec<QueueId>, Refused> {
        let text: usize = self.view.entries.iter().chain(&entries).map(words_of).sum();
        if self.view.entries.len() + entries.len() > Queue::MOST || text > Queue::MOST_TEXT {
            return Err(Refused::OutOfRange);
        }
        let index = match at {
            At::End => self.view.entries.len(),
            At::Next => current.and_then(|id| self.index(id)).map_or(0, |i| i + 1),
            At::Index(i) => (i as usize).min(self.view.entries.len()),
            At::After(id) => self.index(id).ok_or(Refused::NoSuchEntry)? + 1,
        };
        let mut ids = Vec::with_capacity(entries.len());
        let mut fresh = Vec::with_capacity(entries.len());
        for mut entry in entries {
            entry.id = self.new_id();
            ids.push(entry.id);
            fresh.push(entry);
        }
        self.edit(|list| {
            list.splice(index..index, fresh);
        });
        match (&mut self.shuffle, at) {
            (Some(shuffle), At::Next) => shuffle.insert_next(&ids, current),
            (Some(shuffle), _) => shuffle.join(&ids, current),
            (None, _) => {}
        }
        Ok(ids)
    }

    /// Removes entries.
    ///
    /// # Errors
    /// `NoSuchEntry` when one is not there; then none is removed.
    pub fn remove(&mut self, gone: &Ids) -> Result<(), Refused> {
        let there = self.view.entries.iter().filter(|entry| gone.holds(entry.id)).count();
        if there < gone.count() {
            return Err(Refused::NoSuchEntry);
        }
        if there == 0 {
            return Ok(());
        }
        self.edit(|list| list.retain(|entry| !gone.holds(entry.id)));
        if let Some(shuffle) = &mut self.shuffle {
            shuffle.remove(gone);
        }
        Ok(())
    }

    /// Moves entries so that the first stands at `to`, counted without them. The round of a shuffle stays.
    ///
    /// # Errors
    /// `NoSuchEntry` when one is not there or named twice; then none is moved.
    pub fn shift(&mut self, ids: &[QueueId], to: u32) -> Result<(), Refused> {
        let moving = Ids::of(ids);
        let there = self.view.entries.iter().filter(|entry| moving.holds(entry.id)).count();
        if moving.count() != ids.len() || there != ids.len() {
            return Err(Refused::NoSuchEntry);
        }
        if ids.is_empty() {
            return Ok(());
        }
        let mut places: Vec<(QueueId, usize)> = ids.iter().enumerate().map(|(i, &id)| (id, i)).collect();
        places.sort_unstable();
        self.edit(|list| {
            let (mut moved, mut rest) = (Vec::with_capacity(ids.len()), Vec::with_capacity(list.len()));
            for entry in list.drain(..) {
                match places.binary_search_by_key(&entry.id, |(id, _)| *id) {
                    Ok(at) => moved.push((places[at].1, entry)),
                    Err(_) => rest.push(entry),
                }
            }
            moved.sort_unstable_by_key(|(place, _)| *place);
            let to = (to as usize).min(rest.len());
            rest.splice(to..to, moved.into_iter().map(|(_, entry)| entry));
            *list = rest;
        });
        Ok(())
    }

    /// Removes everything; ids go on.
    pub fn clear(&mut self) {
        if !self.is_empty() {
            self.edit(Vec::clear);
        }
        if let Some(shuffle) = &mut self.shuffle {
            *shuffle = Shuffle::restored(shuffle.seed(), Vec::new(), &[]);
        }
    }

    /// Shuffles what does not play now behind what does, or restores the order. The same seed gives the same rounds.
    pub fn shuffle(&mut self, on: bool, current: Option<QueueId>, seed: u64) {
        let ids = || self.view.entries.iter().map(|e| e.id).collect();
        self.shuffle = on.then(|| Shuffle::new(seed, ids(), current));
    }

    /// Replaces what entries show by calling `renew` on each; the version moves only when something differs.
    pub fn renew(&mut self, mut renew: impl FnMut(&Entry) -> Option<Entry>) {
        let changed: Vec<(usize, Entry)> =
            self.view.entries.iter().enumerate().filter_map(|(i, e)| Some((i, renew(e)?))).collect();
        if changed.is_empty() {
            return;
        }
        self.edit(|list| {
            for (i, entry) in changed {
                let id = list[i].id;
                list[i] = Entry { id, ..entry };
            }
        });
    }

    /// Returns a fresh id, for an entry of a guest deck too.
    pub fn new_id(&mut self) -> QueueId {
        // 4 billion entries do not fit in a lifetime; wrapping past 0 keeps the type's promise all the same.
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        QueueId(self.last_id)
    }

    fn index(&self, id: QueueId) -> Option<usize> {
        self.view.entries.iter().position(|entry| entry.id == id)
    }

    fn neighbour(&self, id: QueueId, step: isize) -> Option<QueueId> {
        match &self.shuffle {
            Some(shuffle) => shuffle.order().get(shuffle.place(id)?.checked_add_signed(step)?).copied(),
            None => self.view.entries.get(self.index(id)?.checked_add_signed(step)?).map(|e| e.id),
        }
    }

    fn edit(&mut self, change: impl FnOnce(&mut Vec<Entry>)) {
        let view = Arc::make_mut(&mut self.view);
        change(&mut view.entries);
        view.version += 1;
    }
}

/// Bytes of an entry that its face brought.
fn words_of(entry: &Entry) -> usize {
    let url = if let Playable::Url(url) = &entry.what { url.len() } else { 0 };
    let words = [&entry.said, &entry.named, &entry.cover];
    url + words.into_iter().flatten().map(|words| words.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hifi::command::Playable;
    use crate::track::TrackId;
    use proptest::prelude::*;

    fn entry(track: i64) -> Entry {
        Entry {
            id: QueueId(0),
            what: Playable::Shelf(TrackId(track)),
            shown: Arc::default(),
            duration: crate::units::Millis(1000),
            said: None,
            named: None,
            cover: None,
            measured: Default::default(),
        }
    }

    fn queue(count: i64) -> (Queue, Vec<QueueId>) {
        let mut queue = Queue::default();
        let ids = queue.add((1..=count).map(entry).collect(), At::End, None).expect("small");
        (queue, ids)
    }

    fn tracks(queue: &Queue) -> Vec<i64> {
        let track = |e: &Entry| match e.what {
            Playable::Shelf(TrackId(id)) => id,
            Playable::Url(_) => 0,
        };
        queue.view().entries.iter().map(track).collect()
    }

    #[test]
    fn next_goes_behind_the_one_that_plays() {
        let (mut queue, ids) = queue(3);
        queue.add(vec![entry(9)], At::Next, Some(ids[1])).expect("small");
        assert_eq!(tracks(&queue), [1, 2, 9, 3]);
        queue.add(vec![entry(8)], At::Next, None).expect("small");
        assert_eq!(tracks(&queue), [8, 1, 2, 9, 3]);
    }

    #[test]
    fn behind_an_entry_is_behind_that_one_and_no_other() {
        let (mut queue, ids) = queue(3);
        let new = queue.add(vec![entry(9)], At::After(ids[0]), Some(ids[2])).expect("small");
        assert_eq!(tracks(&queue), [1, 9, 2, 3]);
        queue.add(vec![entry(8), entry(7)], At::After(new[0]), None).expect("small");
        assert_eq!(tracks(&queue), [1, 9, 8, 7, 2, 3]);
        assert_eq!(queue.add(vec![entry(6)], At::After(QueueId(77)), None), Err(Refused::NoSuchEntry));
        assert_eq!(tracks(&queue), [1, 9, 8, 7, 2, 3]);
    }

    #[test]
    fn ids_are_never_given_twice() {
        let (mut queue, ids) = queue(2);
        queue.clear();
        let more = queue.add(vec![entry(1)], At::End, None).expect("small");
        assert!(!ids.contains(&more[0]));
        assert_eq!(more[0], QueueId(3));
    }

    #[test]
    fn moving_counts_without_the_moved() {
        let (mut queue, ids) = queue(5);
        queue.shift(&[ids[3], ids[0]], 1).expect("both there");
        assert_eq!(tracks(&queue), [2, 4, 1, 3, 5]);
        assert_eq!(queue.shift(&[ids[0], ids[0]], 0), Err(Refused::NoSuchEntry));
        assert_eq!(queue.shift(&[QueueId(77)], 0), Err(Refused::NoSuchEntry));
        assert_eq!(tracks(&queue), [2, 4, 1, 3, 5]);
    }

    #[test]
    fn a_full_queue_refuses_and_stays() {
        let mut queue = Queue::default();
        let all = (0..Queue::MOST as i64).map(entry).collect();
        queue.add(all, At::End, None).expect("as many as fit");
        assert_eq!(queue.add(vec![entry(1)], At::End, None), Err(Refused::OutOfRange));
        assert_eq!(queue.view().entries.len(), Queue::MOST);
        let mut queue = Queue::default();
        let wordy = || Entry { said: Some("x".repeat(Queue::MOST_TEXT / 2).into()), ..entry(1) };
        queue.add(vec![wordy()], At::End, None).expect("it fits");
        assert_eq!(queue.add(vec![wordy(), entry(2), wordy()], At::End, None), Err(Refused::OutOfRange));
    }

    #[test]
    fn repeat_one_holds_the_track_but_not_the_key() {
        let (queue, ids) = queue(2);
        assert_eq!(queue.after(ids[0], Repeat::One), Some(ids[0]));
        assert_eq!(queue.next_of(ids[0], Repeat::One), Some(ids[1]));
        assert_eq!(queue.after(ids[1], Repeat::Off), None);
        assert_eq!(queue.after(ids[1], Repeat::All), Some(ids[0]));
        assert_eq!(queue.before(ids[0], Repeat::Off), None);
        assert_eq!(queue.before(ids[0], Repeat::All), Some(ids[1]));
    }

    proptest! {
        #[test]
        fn shuffled_plays_each_once(count in 1i64..60, seed: u64, start in 0usize..60) {
            let (mut queue, ids) = queue(count);
            let start = ids[start % ids.len()];
            queue.shuffle(true, Some(start), seed);
            let mut heard = vec![start];
            while let Some(next) = queue.after(*heard.last().expect("one"), Repeat::Off) {
                heard.push(next);
            }
            let mut sorted = heard.clone();
            sorted.sort();
            prop_assert_eq!(sorted, ids);
        }

        #[test]
        fn edits_keep_the_play_order_whole(
            edits in prop::collection::vec((0u8..5, 0u32..20), 0..40), seed: u64,
        ) {
            let (mut queue, _) = queue(5);
            queue.shuffle(true, None, seed);
            for (what, n) in edits {
                let some = queue.view().entries.get(n as usize).map(|e| e.id);
                match (what, some) {
                    (0, _) => { queue.add(vec![entry(1), entry(2)], At::Index(n), some).expect("small"); }
                    (1, Some(id)) => queue.remove(&Ids::of(&[id])).expect("there"),
                    (2, Some(id)) => queue.shift(&[id], n / 2).expect("there"),
                    (3, _) => { queue.add(vec![entry(3)], At::Next, some).expect("small"); }
                    _ => {}
                }
            }
            let mut order = queue.shuffled().expect("on").0.to_vec();
            let mut shown: Vec<QueueId> = queue.view().entries.iter().map(|e| e.id).collect();
            order.sort();
            shown.sort();
            prop_assert_eq!(order, shown);
        }
    }
}
