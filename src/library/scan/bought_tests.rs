//! Buys of files that were found where they stood outlive the marks in them, the files, and the database.

use super::*;
use crate::mint;
use crate::query::purchases::PurchaseQuery;

/// A file with words of its own; with what a store wrote into it, or without.
fn song(marks: bool) -> Vec<u8> {
    let bytes = if marks { mint::itunes_plus() } else { mint::data("tone-aac.m4a") };
    named(&bytes)
}

fn named(bytes: &[u8]) -> Vec<u8> {
    let bytes = mint::atom(bytes, b"\xa9nam", 1, "夜".as_bytes());
    let bytes = mint::atom(&bytes, b"\xa9alb", 1, b"Album");
    mint::atom(&bytes, b"trkn", 0, &[0, 0, 0, 1, 0, 9, 0, 0])
}

/// Looks through everything. Returns store and title of each buy, and whether it was unlocked.
fn buys(shelf: &Shelf) -> Vec<(String, Option<String>, bool)> {
    let library = shelf.open();
    look(&library);
    let bought = wait(library.bought(&PurchaseQuery::default())).expect("read");
    let mut rows = Vec::new();
    let connection = library.inner.store.read_blocking(|connection| {
        crate::library::store::bought::every(connection, |one| {
            rows.push((one.purchase.store.clone(), one.title.clone(), one.unlocked.is_some()));
            Ok(())
        })
    });
    connection.expect("read");
    assert_eq!(rows.len() as u64, bought.total, "no row twice: {rows:?}");
    library.close().expect("closed");
    rows
}

#[test]
fn a_buy_outlives_its_marks_its_file_and_the_database() {
    for deleted_here in [false, true] {
        let shelf = Shelf::new();
        let path = shelf.at("Song.m4a");
        fs::write(&path, song(true)).expect("written");
        let bought = [("itunes".to_owned(), Some("夜".to_owned()), false)];
        assert_eq!(buys(&shelf), bought, "it is told");
        // A tagger that knows nothing of stores.
        fs::write(&path, song(false)).expect("written");
        assert_eq!(buys(&shelf), bought, "its marks are gone");
        fs::create_dir(shelf.at("B")).expect("made");
        fs::rename(&path, shelf.at("B/Song.m4a")).expect("moved");
        assert_eq!(buys(&shelf), bought, "it moved");
        rebuild(&shelf.config()).expect("rebuilt");
        assert_eq!(buys(&shelf), bought, "a rebuild");
        if deleted_here {
            let library = shelf.open();
            wait(library.trash(TrackId(1))).expect("deleted");
            library.close().expect("closed");
        } else {
            fs::remove_file(shelf.at("B/Song.m4a")).expect("removed");
        }
        assert_eq!(buys(&shelf), bought, "the file is gone");
        for round in 0..2 {
            shelf.forget("owner.db");
            shelf.forget_index();
            assert_eq!(buys(&shelf), bought, "the database is lost {round}, {deleted_here}");
            rebuild(&shelf.config()).expect("rebuilt");
            assert_eq!(buys(&shelf), bought, "another rebuild {round}, {deleted_here}");
        }
    }
}

#[test]
fn a_buy_that_only_the_database_knows_comes_over_once() {
    let shelf = Shelf::new();
    fs::write(shelf.at("Song.m4a"), song(true)).expect("written");
    buys(&shelf);
    fs::remove_file(shelf.at("Song.m4a")).expect("removed");
    buys(&shelf);
    // A history of the first konpos.
    let history = shelf.at(".konpo/ledger.jsonl");
    let lines = fs::read_to_string(&history).expect("read");
    let told = lines.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        line.as_object_mut().expect("an object").remove("purchases");
        format!("{line}\n")
    });
    fs::write(&history, told.collect::<String>()).expect("written");
    for _ in 0..2 {
        rebuild(&shelf.config()).expect("rebuilt");
        let stores: Vec<String> = buys(&shelf).into_iter().map(|(store, ..)| store).collect();
        assert_eq!(stores, ["itunes"]);
    }
}

#[test]
fn a_free_file_in_the_place_of_the_locked_one_unlocks_it() {
    let shelf = Shelf::new();
    let path = shelf.at("Song.m4a");
    fs::write(&path, named(&mint::itunes_locked())).expect("written");
    assert_eq!(buys(&shelf), [("itunes".into(), Some("夜".into()), false)]);
    fs::write(&path, named(&mint::data("tone-alac.m4a"))).expect("written");
    assert_eq!(buys(&shelf), [("itunes".into(), Some("夜".into()), true)], "written over it");
    let library = shelf.open();
    let track = wait(library.get(&[TrackId(1)])).expect("read").remove(0).expect("there");
    assert!(track.playable().is_some(), "{track:?}");
    library.close().expect("closed");
}
