//! Locked and free files of one song that were found where they stood.

use super::*;
use crate::mint;
use crate::query::purchases::{PurchaseQuery, SameBy};

/// Puts a file, looks through everything, and returns the tracks with how many copies each has and whether it plays.
fn after(shelf: &Shelf, path: &str, bytes: &[u8]) -> Vec<(TrackId, usize, bool)> {
    let to = shelf.at(path);
    fs::create_dir_all(to.parent().expect("a folder")).expect("made");
    fs::write(to, bytes).expect("written");
    tracks(shelf)
}

fn tracks(shelf: &Shelf) -> Vec<(TrackId, usize, bool)> {
    let library = shelf.open();
    look(&library);
    let ids: Vec<TrackId> = (1..5).map(TrackId).collect();
    let found = wait(library.get(&ids)).expect("read");
    let tracks = found
        .iter()
        .flatten()
        .map(|track| (track.id, track.copies.len(), track.playable().is_some()))
        .collect();
    library.close().expect("closed");
    tracks
}

/// What unlocked the only buy, and how many buys there are.
fn unlocked(shelf: &Shelf) -> (usize, Option<(SameBy, i64)>) {
    let library = shelf.open();
    let bought = wait(library.bought(&PurchaseQuery::default())).expect("read");
    library.close().expect("closed");
    let first = bought.items.first().and_then(|item| item.unlocked.as_ref());
    (bought.items.len(), first.map(|unlocked| (unlocked.by, unlocked.at.0)))
}

#[test]
fn a_free_file_that_is_found_unlocks_the_locked_one() {
    let shelf = Shelf::new();
    assert_eq!(after(&shelf, "Old/2007.m4p", &mint::itunes_locked()), [(TrackId(1), 1, false)]);
    assert_eq!(unlocked(&shelf), (1, None));
    let both = [(TrackId(1), 2, true)];
    assert_eq!(after(&shelf, "New/2026.m4a", &mint::itunes_plus()), both);
    let told = unlocked(&shelf);
    assert_eq!((told.0, told.1.map(|(by, _)| by)), (1, Some(SameBy::Item)));
    // Also from the history alone.
    shelf.forget("owner.db");
    shelf.forget_index();
    assert_eq!(tracks(&shelf), both);
    assert_eq!(unlocked(&shelf), told);
    // And by a rebuild, and when one of them moves.
    rebuild(&shelf.config()).expect("rebuilt");
    assert_eq!((tracks(&shelf), unlocked(&shelf)), (both.to_vec(), told));
    fs::rename(shelf.at("New/2026.m4a"), shelf.at("Old/2026.m4a")).expect("moved");
    let plays = |found: Vec<(TrackId, usize, bool)>| -> Vec<(TrackId, bool)> {
        found.into_iter().map(|(id, _, plays)| (id, plays)).collect()
    };
    assert_eq!(plays(tracks(&shelf)), [(TrackId(1), true)]);
    shelf.forget("owner.db");
    shelf.forget_index();
    assert_eq!(plays(tracks(&shelf)), [(TrackId(1), true)]);
    assert_eq!(unlocked(&shelf), told, "the new place tells it, too");
}

#[test]
fn a_locked_file_that_is_found_joins_the_free_one() {
    let shelf = Shelf::new();
    assert_eq!(after(&shelf, "New/2026.m4a", &mint::itunes_plus()), [(TrackId(1), 1, true)]);
    assert_eq!(after(&shelf, "Old/2007.m4p", &mint::itunes_locked()), [(TrackId(1), 2, true)]);
    assert_eq!(unlocked(&shelf).1.map(|(by, _)| by), Some(SameBy::Item));
}

#[test]
fn both_are_one_track_when_they_are_found_together() {
    for names in [("A/2007.m4p", "B/2026.m4a"), ("B/2007.m4p", "A/2026.m4a")] {
        let shelf = Shelf::new();
        for (path, bytes) in [(names.0, mint::itunes_locked()), (names.1, mint::itunes_plus())] {
            fs::create_dir_all(shelf.at(path).parent().expect("a folder")).expect("made");
            fs::write(shelf.at(path), bytes).expect("written");
        }
        let found = tracks(&shelf);
        assert_eq!(found.iter().map(|(_, copies, plays)| (*copies, *plays)).collect::<Vec<_>>(), [(2, true)]);
        // Two free recordings of the same name stay two.
        let other = mint::data("tone-alac.m4a");
        assert_eq!(after(&shelf, "C/other.m4a", &other).len(), 2, "{names:?}");
    }
}
