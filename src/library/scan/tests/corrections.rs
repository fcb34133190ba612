//! Corrections by hand stand whatever becomes of the file, of its tags and of the databases.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::error::Kind;
use crate::library::art::Size;
use crate::library::ledger::{Entry, Ledger};
use crate::track::correction::{Change, Field as Word, Words};
use crate::track::{Tags, Track};

fn change(json: serde_json::Value) -> Change {
    serde_json::from_value(json).expect("a change")
}

fn correct(library: &Library, tracks: &[TrackId], change: serde_json::Value) {
    let change = self::change(change);
    wait(library.correct(tracks, change, UnixTime(1_700_000_000))).expect("corrected");
}

fn track(library: &Library, id: TrackId) -> std::sync::Arc<Track> {
    wait(library.get(&[id])).expect("read").remove(0).expect("there")
}

fn found(library: &Library, words: &str) -> usize {
    titles(library, &Filter::Contains(Field::Any, words.into())).len()
}

fn names(library: &Library, what: What) -> Vec<String> {
    let name = |item| match item {
        Item::Group(group) => group.name,
        Item::Track(track) => panic!("a track: {track:?}"),
    };
    listed(library, what, &Filter::All, Sort::Album).into_iter().map(name).collect()
}

#[test]
fn lists_search_and_order_follow_a_correction_and_the_file_stays() {
    let shelf = Shelf::new();
    let one = shelf.put("A/01.flac", "tone.flac", "Aaa", "Wrong");
    shelf.put("A/02.mp3", "tone.mp3", "Mmm", "Wrong");
    let first = shelf.scan();
    let bytes = fs::read(&one).expect("there");
    let library = shelf.open();
    let both = ids(&first);
    correct(&library, &both, json!({ "set": { "album": "Right", "year": 1999, "genre": ["Enka"] } }));
    correct(
        &library,
        &both[..1],
        json!({ "set": { "title": "青い山脈", "title_sort": "あおいさんみゃく" } }),
    );
    assert_eq!(names(&library, What::Albums), ["Right"]);
    assert_eq!(names(&library, What::Genres), ["Enka"]);
    assert_eq!(names(&library, What::Years), ["1999"]);
    assert_eq!((found(&library, "wrong"), found(&library, "right"), found(&library, "aaa")), (0, 2, 0));
    assert_eq!(found(&library, "aoisan"), 1, "the reading is found in Latin letters");
    let by_title = listed(&library, What::Tracks, &Filter::All, Sort::Title);
    let Some(Item::Track(last)) = by_title.last() else { panic!("no tracks") };
    assert_eq!(last.id, both[0], "kana come behind Latin letters");
    let shown = track(&library, both[0]);
    let corrected = shown.corrected.as_ref().expect("corrected");
    assert_eq!(corrected.tagged.title.as_deref(), Some("Aaa"));
    assert_eq!((shown.tags.title.as_deref(), shown.tags.album.as_deref()), (Some("青い山脈"), Some("Right")));
    // Taken back field by field, then as a whole.
    correct(&library, &both, json!({ "clear": ["album"] }));
    assert_eq!(names(&library, What::Albums), ["Wrong"]);
    wait(library.correct(&both, Change::to(Words::default()), UnixTime(0))).expect("taken back");
    assert_eq!(titles(&library, &Filter::All), first);
    assert!(track(&library, both[0]).corrected.is_none());
    assert_eq!(fs::read(&one).expect("there"), bytes, "no byte of the file is changed");
    let error = wait(library.correct(
        &[both[0], TrackId(99)],
        change(json!({ "set": { "title": "x" } })),
        UnixTime(0),
    ));
    assert_eq!(error.expect_err("unknown").kind(), crate::error::Kind::NotFound);
    assert!(track(&library, both[0]).corrected.is_none(), "all or none");
}

#[test]
fn a_correction_outlives_new_tags_moves_and_both_databases() {
    let shelf = Shelf::new();
    let path = shelf.put("A/01.flac", "tone.flac", "First", "One");
    shelf.put("A/02.mp3", "tone.mp3", "Second", "One");
    let id = ids(&shelf.scan())[0];
    let library = shelf.open();
    correct(&library, &[id], json!({ "set": { "title": "Better" } }));
    correct(&library, &[id], json!({ "set": { "album": "Other" }, "clear": ["title"] }));
    correct(&library, &[id], json!({ "set": { "title": "Best" } }));
    library.close().expect("closed");
    drop(library);
    let stands = |what: &str, tagged: &str| {
        assert_eq!(shelf.scan()[0], (id, "Best".to_owned()), "{what}");
        let library = shelf.open();
        let shown = track(&library, id);
        assert_eq!(shown.tags.album.as_deref(), Some("Other"), "{what}");
        let told = shown.corrected.as_ref().and_then(|corrected| corrected.tagged.title.clone());
        assert_eq!(told.as_deref(), Some(tagged), "{what}");
        library.close().expect("closed");
    };
    stands("a new look", "First");
    tag(&path, "Tagged anew", "One");
    stands("other tags", "Tagged anew");
    fs::rename(shelf.at("A"), shelf.at("B")).expect("moved");
    stands("a move", "Tagged anew");
    shelf.forget_index();
    stands("index.db lost", "Tagged anew");
    rebuild(&shelf.config()).expect("rebuilt");
    stands("a rebuild", "Tagged anew");
    shelf.forget("owner.db");
    shelf.forget_index();
    rebuild(&shelf.config()).expect("rebuilt");
    stands("owner.db lost, and a rebuild", "Tagged anew");
    shelf.forget("owner.db");
    shelf.forget_index();
    stands("owner.db lost, and a start", "Tagged anew");
}

#[test]
fn what_was_taken_back_does_not_return_with_an_old_database() {
    let shelf = Shelf::new();
    shelf.put("A/01.flac", "tone.flac", "First", "One");
    let first = shelf.scan();
    let library = shelf.open();
    correct(&library, &ids(&first), json!({ "set": { "title": "Wrong" } }));
    library.close().expect("closed");
    drop(library);
    let old = fs::read(shelf.config().data.join("owner.db")).expect("there");
    let library = shelf.open();
    correct(&library, &ids(&first), json!({ "clear": ["title"] }));
    library.close().expect("closed");
    drop(library);
    shelf.forget("owner.db");
    fs::write(shelf.config().data.join("owner.db"), old).expect("written");
    rebuild(&shelf.config()).expect("rebuilt");
    assert_eq!(shelf.scan(), first);
}

#[test]
fn a_cover_that_was_chosen_stands_and_outlives_the_folder_of_data() {
    let shelf = Shelf::new();
    shelf.put("A/01.flac", "tone.flac", "First", "One");
    let id = ids(&shelf.scan())[0];
    let mut png = std::io::Cursor::new(Vec::new());
    let picture = image::RgbImage::from_pixel(40, 20, image::Rgb([200, 10, 10]));
    picture.write_to(&mut png, image::ImageFormat::Png).expect("a picture");
    let library = shelf.open();
    let cover = |library: &Library| {
        library.cover_blocking(id, Size::Small160).expect("asked").map(|cover| cover.jpeg)
    };
    let own = cover(&library);
    let name = wait(library.keep_picture(png.into_inner())).expect("kept");
    correct(&library, &[id], json!({ "set": { "cover": name } }));
    let chosen = cover(&library).expect("a cover");
    assert_ne!(Some(&chosen), own.as_ref());
    assert_eq!(
        wait(library.keep_picture(b"no picture".to_vec())).expect_err("refused").kind(),
        Kind::Unsupported
    );
    library.close().expect("closed");
    drop(library);
    // All that the folder of data knew is lost.
    fs::remove_dir_all(shelf.config().data).expect("removed");
    assert_eq!(shelf.scan().len(), 1);
    let library = shelf.open();
    assert_eq!(cover(&library), Some(chosen), "it lies beside the music");
    correct(&library, &[id], json!({ "set": { "cover": null } }));
    assert_eq!(cover(&library), None);
    correct(&library, &[id], json!({ "clear": ["cover"] }));
    assert_eq!(cover(&library), own);
}

#[test]
fn a_line_of_a_newer_konpo_is_passed_over() {
    let shelf = Shelf::new();
    shelf.put("A/01.flac", "tone.flac", "First", "One");
    let first = shelf.scan();
    let path = shelf.at(".konpo/ledger.jsonl");
    let mut text = fs::read_to_string(&path).expect("there");
    text.push_str("{\"kind\":\"lent\",\"track\":1,\"to\":\"Yuki\"}\n");
    fs::write(&path, text).expect("written");
    let mut newer = 0;
    let bad =
        Ledger::read(&path, |entry| newer += usize::from(matches!(entry, Entry::Newer(_)))).expect("read");
    assert_eq!((bad, newer), (0, 1));
    shelf.forget("owner.db");
    rebuild(&shelf.config()).expect("rebuilt");
    assert_eq!(shelf.scan(), first);
}

/// What lists show of one field, read back as a naive table would hold it.
fn shows(library: &Library, id: TrackId) -> Tags {
    Tags::clone(&track(library, id).tags)
}

proptest! {
    // Each case opens databases some times.
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn random_changes_are_as_if_written_on_paper_also_after_a_rebuild(
        steps in prop::collection::vec((0..2usize, prop::option::of("[a-zあ-う]{0,5}"), 0..4usize, any::<bool>()), 1..10)
    ) {
        let fields = [Word::Title, Word::Album, Word::AlbumArtist, Word::TitleSort];
        let shelf = Shelf::new();
        shelf.put("A/01.flac", "tone.flac", "First", "One");
        shelf.put("A/02.mp3", "tone.mp3", "Second", "One");
        let tracks = ids(&shelf.scan());
        let library = shelf.open();
        let tagged: Vec<Tags> = tracks.iter().map(|&id| shows(&library, id)).collect();
        let mut paper: [BTreeMap<Word, Option<String>>; 2] = Default::default();
        for (which, word, field, clear) in steps {
            let field = fields[field];
            let edit = if clear {
                paper[which].remove(&field);
                json!({ "clear": [field] })
            } else {
                paper[which].insert(field, word.clone().filter(|word| !word.is_empty()));
                json!({ "set": { (field.name()): word } })
            };
            correct(&library, &tracks[which..=which], edit);
        }
        let expected = |which: usize| -> Tags {
            let words: Words = serde_json::from_value(json!(paper[which])).expect("words");
            words.apply(&tagged[which])
        };
        for (which, &id) in tracks.iter().enumerate() {
            prop_assert_eq!(shows(&library, id), expected(which));
            for (field, word) in &paper[which] {
                let now = field.of(&shows(&library, id)).map(|word| word.to_string());
                prop_assert_eq!(&now, word, "{:?}", field);
            }
        }
        library.close().expect("closed");
        drop(library);
        shelf.forget("owner.db");
        shelf.forget_index();
        rebuild(&shelf.config()).expect("rebuilt");
        let library = shelf.open();
        for (which, &id) in tracks.iter().enumerate() {
            prop_assert_eq!(shows(&library, id), expected(which), "after the rebuild");
        }
    }
}
