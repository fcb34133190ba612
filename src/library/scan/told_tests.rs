//! What the history is told, and what goes to the trash, of files that were found where they stand.

use super::*;
use crate::error::Kind;

#[test]
fn a_rebuild_tells_the_history_nothing_that_it_knows() {
    let shelf = Shelf::new();
    shelf.put("A/1.flac", "tone.flac", "First", "One");
    shelf.put("A/2.mp3", "tone.mp3", "Second", "One");
    let first = shelf.scan();
    let history = || fs::read(shelf.at(".konpo/ledger.jsonl")).expect("a history");
    let before = history();
    assert_eq!(before.iter().filter(|byte| **byte == b'\n').count(), 2);
    for _ in 0..2 {
        rebuild(&shelf.config()).expect("rebuilt");
        assert!(history() == before, "{}", String::from_utf8_lossy(&history()));
    }
    shelf.forget("owner.db");
    shelf.forget_index();
    assert_eq!(shelf.scan(), first);
    assert!(history() == before, "{}", String::from_utf8_lossy(&history()));
}

#[test]
fn a_file_that_was_written_anew_is_not_trashed_for_the_one_it_was() {
    let shelf = Shelf::new();
    let path = shelf.put("A/1.flac", "tone.flac", "First", "One");
    let library = shelf.open();
    look(&library);
    let [(id, _)] = titles(&library, &Filter::All)[..] else { panic!("one track") };
    // Another song under the same name, before konpo looked again.
    fs::write(&path, wav(5)).expect("written");
    let refused = wait(library.trash(id)).expect_err("it is another file");
    assert_eq!(refused.kind(), Kind::Busy);
    assert_eq!(fs::read(&path).expect("untouched"), wav(5));
    look(&library);
    let [(id, _)] = titles(&library, &Filter::All)[..] else { panic!("one track") };
    wait(library.trash(id)).expect("it is the one that was read");
    assert!(!path.exists());
    library.close().expect("closed");
}
