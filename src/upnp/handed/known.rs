//! What was found out of the texts that were asked for last: a text of an app is read once, not each time that it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Of the entries that are told again and again: what plays and what follows, on the deck and in the queue.
pub static ASKED: Known = Known(Mutex::new(VecDeque::new()));

/// Answers by text; the same text is the same piece of memory. At most [`MOST`] of them, of 256 KiB at most each.
pub struct Known(Mutex<VecDeque<(Arc<str>, bool)>>);

impl Known {
    /// Returns the answer of a text, and finds it out when it is not known.
    pub fn look(&self, text: &Arc<str>, find: impl FnOnce(&str) -> bool) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|(known, _)| Arc::ptr_eq(known, text)).map(|(_, answer)| *answer);
        drop(known);
        if let Some(answer) = found {
            return answer;
        }
        let answer = find(text);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.push_front((text.clone(), answer));
        known.truncate(MOST);
        answer
    }
}

const MOST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_once_and_the_oldest_is_forgotten() {
        let known = Known(Mutex::default());
        let texts: Vec<Arc<str>> = (0..=MOST).map(|_| Arc::from("the same words")).collect();
        let mut reads = 0;
        let mut look = |nth: usize| {
            known.look(&texts[nth], |_| {
                reads += 1;
                nth.is_multiple_of(2)
            })
        };
        assert!((0..100).all(|_| look(0)), "found out once");
        for nth in 1..=MOST {
            assert_eq!(
                (look(nth), look(nth)),
                (nth.is_multiple_of(2), nth.is_multiple_of(2)),
                "another piece has its own answer"
            );
        }
        assert!(look(0), "found out anew");
        assert_eq!(reads, 1 + MOST + 1);
        assert_eq!(known.0.lock().expect("no panic").len(), MOST);
    }
}
