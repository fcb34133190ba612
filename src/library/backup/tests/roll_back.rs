//! The way back: what is passed over, what is told again, what stays.

use super::*;
use crate::library::backup::roll_back::{RolledBack, roll_back};
use crate::library::check::{Repair, check};
use crate::library::rebuild::rebuild;

fn rolled_back(bench: &Bench) -> RolledBack {
    roll_back(&bench.config(), NOW).expect("rolled back")
}

#[test]
fn rolling_back_tells_again_what_arrived_and_went_since() {
    let bench = Bench::new();
    let library = bench.open();
    bench.add(&library, 1, 1);
    let gone = bench.add(&library, 2, 2).track;
    bench.backup(UnixTime(NOW.0 - HOUR));
    bench.runtime.block_on(library.save_memory("after the backup".into())).expect("kept");
    bench.add(&library, 3, 3);
    bench.runtime.block_on(library.trash(gone)).expect("deleted");
    // It comes back under the path it had, as another arrival.
    let again = bench.add(&library, 4, 2);
    let same = bench.add(&library, 5, 1);
    assert!(same.merged);
    let (before, revision) = (bench.titles(&library), *library.revision().borrow());
    close(library);
    // The present database is broken.
    fs::write(bench.data().join(OWNER), "this was a database").expect("written");
    let done = rolled_back(&bench);
    assert_eq!((done.told, done.untold.as_deref(), done.made), (3, None, UnixTime(NOW.0 - HOUR)));
    assert!(done.skipped.is_empty());
    let aside = done.aside.expect("there was one");
    assert_eq!(fs::read_to_string(&aside).expect("kept"), "this was a database");
    let library = bench.open();
    assert_eq!(bench.titles(&library), before);
    for (event, track) in [(1, TrackId(1)), (2, gone), (4, again.track), (5, same.track)] {
        let found = bench.runtime.block_on(library.arrived(OfferId(event))).expect("read");
        assert_eq!(found, Some(track), "arrival {event}");
    }
    assert_eq!(bench.runtime.block_on(library.load_memory()).expect("read"), None, "as it was then");
    assert!(*library.revision().borrow() > revision, "a revision never means two things");
    let next = bench.add(&library, 6, 6);
    assert!(next.track > again.track, "a number is never given twice");
    close(library);
    let report = check(&bench.config(), Repair::No);
    assert_eq!(report.expect("checked").problems, []);
}

#[test]
fn a_torn_backup_and_one_of_a_newer_konpo_are_passed_over_by_name() {
    let bench = Bench::new();
    let library = bench.open();
    bench.add(&library, 1, 1);
    let at = |hours: i64| UnixTime(NOW.0 - hours * HOUR);
    let [strange, torn, empty, newer, good] = [-1000, 1, 2, 3, 4].map(|hours| bench.backup(at(hours)));
    close(library);
    let whole = fs::metadata(&torn).expect("there").len();
    File::options().write(true).open(&torn).and_then(|file| file.set_len(whole / 2)).expect("cut");
    fs::write(&empty, "").expect("written");
    let future = Connection::open(&newer).expect("opened");
    future.execute_batch("PRAGMA user_version = 4711").expect("set");
    drop(future);
    let done = rolled_back(&bench);
    assert_eq!(done.backup, good, "not {}, whose clock was wrong", strange.display());
    let skipped: Vec<&PathBuf> = done.skipped.iter().map(|skipped| &skipped.backup).collect();
    assert_eq!(skipped, [&torn, &empty, &newer]);
    assert!(done.skipped[0].why.contains("malformed"), "{}", done.skipped[0].why);
    assert!(done.skipped[1].why.contains("no database of konpo"), "{}", done.skipped[1].why);
    assert!(done.skipped[2].why.contains("newer konpo (version 4711)"), "{}", done.skipped[2].why);
    // Once more in the same second: what was put aside stays.
    let again = rolled_back(&bench);
    let (first, second) = (done.aside.expect("kept"), again.aside.expect("kept"));
    assert!(first != second && first.exists() && second.exists());
    assert!(!bench.data().join("roll-back").exists());
    // The good ones go as well: then there is none, and everything stays.
    for path in [good, strange] {
        fs::write(path, "").expect("written");
    }
    let before = names(&bench.data());
    let error = roll_back(&bench.config(), NOW).expect_err("there is none");
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("no backup that can be used"), "{error}");
    assert!(error.to_string().contains("owner-20261120T230000Z.db: check"), "{error}");
    assert_eq!(names(&bench.data()), before);
    assert_eq!(bench.titles(&bench.open()), ["Song 1"]);
}

#[test]
fn rolling_back_without_the_music_disk_says_so_and_makes_nothing_there() {
    let bench = Bench::new();
    let library = bench.open();
    let first = bench.add(&library, 1, 1).track;
    bench.backup(NOW);
    let second = bench.add(&library, 2, 2).track;
    let revision = *library.revision().borrow();
    let error = roll_back(&bench.config(), NOW).expect_err("konpo runs");
    assert_eq!(error.kind(), Kind::Busy);
    close(library);
    let away = bench.folder.path().join("away");
    fs::rename(bench.music(), &away).expect("moved");
    fs::create_dir(bench.music()).expect("made");
    fs::remove_file(bench.data().join(OWNER)).expect("removed");
    let done = rolled_back(&bench);
    assert!(done.untold.expect("untold").contains("the music disk is not there"));
    assert_eq!((done.told, done.aside), (0, None));
    assert_eq!(names(&bench.music()), [""; 0]);
    fs::remove_dir(bench.music()).and_then(|()| fs::rename(&away, bench.music())).expect("back");
    let library = bench.open();
    assert!(*library.revision().borrow() > revision);
    let third = bench.add(&library, 3, 3).track;
    assert!(first < second && second < third);
    close(library);
    let said = rebuild(&bench.config()).expect("rebuilt");
    assert_eq!((said.tracks, said.problems.len()), (3, 0));
}
