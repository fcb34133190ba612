//! How loud files are is measured behind, once for each payload, and kept.

use std::sync::Arc;

use super::*;
use crate::library::scan::behind::{self, Due};
use crate::library::scan::measure::{self, Told, each, one};
use crate::library::store::loudness::{Wanted, left, unmeasured};
use crate::media::loudness::Heard;
use crate::track::{CopyId, Track};

/// Looks through everything, then does what is done behind; returns how many files there were to measure.
fn measured(library: &Library) -> u64 {
    look(library);
    let (shared, weak) = (&library.inner.scanner.shared, Arc::downgrade(&library.inner));
    behind::all(shared, &weak).expect("fingerprints");
    shared.desk().unfingerprinted = false;
    let due = library.inner.store.read_blocking(|c| left(c, Wanted::Adopted)).expect("counted");
    let mut told = Told::new();
    assert!(each(shared, &weak, Wanted::Adopted, &mut told).expect("measured"));
    told.tell(&weak).expect("told");
    assert_eq!(library.inner.store.read_blocking(|c| left(c, Wanted::Adopted)).expect("counted"), 0);
    due
}

/// Returns the track with this title.
fn titled(library: &Library, title: &str) -> Arc<Track> {
    let all = titles(library, &Filter::All);
    let (id, _) = all.iter().find(|(_, known)| known == title).expect("listed");
    wait(library.get(&[*id])).expect("read").remove(0).expect("there")
}

fn lufs(track: &Track) -> f64 {
    track.measured.track.expect("measured").lufs
}

/// A second of a tone at so many dBFS, with tags.
fn tone(shelf: &Shelf, path: &str, level: f64, title: &str) -> PathBuf {
    let to = shelf.at(path);
    fs::create_dir_all(to.parent().expect("a folder")).expect("made");
    let mut bytes = crate::mint::wav(44_100);
    let head = bytes.len() - 44_100 * 4;
    for (n, frame) in bytes[head..].chunks_mut(4).enumerate() {
        let sample = (n as f64 * 0.1).sin() * 10f64.powf(level / 20.0) * 32_767.0;
        frame.copy_from_slice(&[(sample as i16).to_le_bytes(); 2].concat());
    }
    fs::write(&to, bytes).expect("written");
    tag(&to, title, "Album");
    to
}

/// Adds a gain to what tags tell.
fn gain(path: &Path, db: &str) {
    use lofty::config::ParseOptions;
    use lofty::file::{AudioFile, TaggedFileExt};
    use lofty::tag::ItemKey;
    let mut file =
        lofty::probe::Probe::open(path).expect("there").options(ParseOptions::new()).read().expect("read");
    assert!(file.primary_tag_mut().expect("tagged").insert_text(ItemKey::ReplayGainTrackGain, db.into()));
    file.save_to_path(path, WriteOptions::default()).expect("tagged");
}

#[test]
fn what_tells_no_gain_is_measured_and_so_is_its_album_once_it_is_whole() {
    let shelf = Shelf::new();
    tone(&shelf, "A/1.wav", -20.0, "One");
    tone(&shelf, "A/2.wav", -14.0, "Two");
    let tagged = tone(&shelf, "A/3.wav", -10.0, "Three");
    gain(&tagged, "-3.00 dB");
    let library = shelf.open();
    assert_eq!(measured(&library), 2);
    let [one, two, three] = ["One", "Two", "Three"].map(|title| titled(&library, title));
    assert!((lufs(&two) - lufs(&one) - 6.0).abs() < 0.1, "{} and {}", lufs(&one), lufs(&two));
    let peak = one.measured.track.expect("measured").true_peak;
    assert!((20.0 * peak.log10() + 20.0).abs() < 0.1, "{peak}");
    assert_eq!((three.measured.track, three.tags.track_gain.map(|gain| gain.0)), (None, Some(-768)));
    assert_eq!(one.measured.album, None, "a third of it is not known");
    // Without the one that tells, the album is what was measured.
    fs::remove_file(tagged).expect("removed");
    shelf.wav("B/other.wav", 5);
    assert_eq!(measured(&library), 1);
    let album = titled(&library, "One").measured.album.expect("whole");
    // The mean of the energies of 1 and 4 is 2.5: 4 dB above the softer one.
    assert!((album.lufs - lufs(&one) - 3.97).abs() < 0.1, "{}", album.lufs);
    library.close().expect("closed");
}

#[test]
fn what_was_measured_outlives_other_tags_a_move_and_a_new_index() {
    let shelf = Shelf::new();
    let path = tone(&shelf, "A/1.wav", -20.0, "One");
    let library = shelf.open();
    assert_eq!(measured(&library), 1);
    let before = titled(&library, "One").measured;
    tag(&path, "Uno", "Other");
    fs::rename(&path, shelf.at("moved.wav")).expect("moved");
    assert_eq!(measured(&library), 0);
    assert_eq!(titled(&library, "Uno").measured.track, before.track);
    library.close().expect("closed");
    drop(library);
    let index = rusqlite::Connection::open(shelf.config().data.join("index.db")).expect("there");
    index.execute_batch("PRAGMA user_version = 1").expect("made old");
    drop(index);
    let library = shelf.open();
    assert_eq!(measured(&library), 0);
    assert_eq!(titled(&library, "Uno").measured.track, before.track);
    library.close().expect("closed");
}

#[test]
fn what_cannot_be_measured_is_not_tried_again_and_again() {
    let shelf = Shelf::new();
    // Its head is right, and nothing else.
    fs::write(shelf.at("1.wv"), crate::mint::wavpack(44_100)).expect("written");
    let library = shelf.open();
    assert_eq!(measured(&library), 1);
    assert_eq!(titled(&library, "").measured.track, None);
    assert_eq!(measured(&library), 0);
    library.close().expect("closed");
}

#[test]
fn nothing_is_measured_while_sound_runs() {
    let shelf = Shelf::new();
    tone(&shelf, "A/1.wav", -20.0, "One");
    let library = shelf.open();
    look(&library);
    let shared = &library.inner.scanner.shared;
    behind::all(shared, &Arc::downgrade(&library.inner)).expect("fingerprints");
    let next = |c: &rusqlite::Connection| unmeasured(c, Wanted::Adopted, CopyId(0), 1);
    let copy = library.inner.store.read_blocking(next).expect("read").remove(0);
    let now = || one(shared, &library.inner, &copy).expect("it opens");
    library.set_sounding(true);
    assert_eq!(now(), Some(Heard::Stopped));
    library.set_sounding(false);
    assert_eq!(now(), Some(Heard::Stopped), "the listener may only be between two tracks");
    shared.desk().silent_since = None;
    assert!(matches!(now(), Some(Heard::Loud(_))));
    library.close().expect("closed");
}

#[test]
fn after_a_look_that_changed_nothing_nothing_is_counted() {
    let shelf = Shelf::new();
    tone(&shelf, "A/1.wav", -20.0, "One");
    let library = shelf.open();
    look(&library);
    let (shared, weak) = (&library.inner.scanner.shared, Arc::downgrade(&library.inner));
    assert_eq!(behind::all(shared, &weak).expect("fingerprints"), Some(0));
    let revision = library.inner.revision_now();
    look(&library);
    assert_eq!(library.inner.revision_now(), revision);
    // Nobody waits until the box has settled: something else is to be done first.
    shared.desk().unfingerprinted = true;
    let (mut told, mut due) = (Told::new(), Due { revision, ..Due::default() });
    let mut left = |due: &mut Due| {
        measure::all(shared, &weak, &mut told, due).expect("counted");
        shared.progress.borrow().loudness_left
    };
    assert_eq!((left(&mut due), due.loudness), (1, Some((0, 1))));
    due.loudness = Some((0, 7));
    due.forget_unless(revision);
    assert_eq!(left(&mut due), 7, "what is known is not counted again");
    tone(&shelf, "A/2.wav", -20.0, "Two");
    look(&library);
    due.forget_unless(library.inner.revision_now());
    assert_eq!((due.fingerprints, due.loudness), (None, None));
    assert_eq!(behind::all(shared, &weak).expect("fingerprints"), Some(0));
    assert_eq!(left(&mut due), 2);
    library.close().expect("closed");
}
