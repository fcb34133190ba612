use proptest::prelude::*;
use serde_json::json;

use super::*;

fn words(json: serde_json::Value) -> Words {
    serde_json::from_value(json).expect("words")
}

fn tagged() -> Tags {
    let some = |text: &str| Some(text.to_owned());
    Tags {
        title: some("Old"),
        title_sort: some("old"),
        artist: some("A & B"),
        artists: vec!["A".into(), "B".into()],
        artist_sort: some("あ"),
        album: some("Album"),
        album_sort: some("あるばむ"),
        date: some("2007-10-16"),
        genres: vec!["Pop".into()],
        track: Some(3),
        ..Tags::default()
    }
}

#[test]
fn a_corrected_word_stands_in_the_place_of_the_tagged_one() {
    let all = words(json!({
        "title": " New ", "artist": "C", "album": "", "track": "7", "disc": 2, "year": 1999, "genre": ["Rock", "Rock", " "],
        "artist_sort": "し", "compilation": true,
    }));
    let shown = all.apply(&tagged());
    assert_eq!(shown.title.as_deref(), Some("New"));
    assert_eq!(shown.title_sort, None, "the reading was that of another title");
    assert_eq!((shown.artist.as_deref(), shown.artists), (Some("C"), vec!["C".to_owned()]));
    assert_eq!(shown.artist_sort.as_deref(), Some("し"));
    assert_eq!((shown.album, shown.album_sort), (None, None));
    assert_eq!((shown.track, shown.disc, shown.date.as_deref()), (Some(7), Some(2), Some("1999")));
    assert_eq!((shown.genres, shown.compilation), (vec!["Rock".to_owned()], true));
}

#[test]
fn saying_again_what_is_tagged_changes_nothing() {
    let same =
        words(json!({ "title": "Old", "artist": "A & B", "year": 2007, "track": 3, "compilation": false }));
    assert_eq!(same.apply(&tagged()), tagged());
    let names = words(json!({ "artist": "A and B", "artists": ["A", "B"] })).apply(&tagged());
    assert_eq!(
        (names.artist.as_deref(), names.artists),
        (Some("A and B"), vec!["A".to_owned(), "B".to_owned()])
    );
}

#[test]
fn what_is_no_word_of_its_field_is_refused() {
    for wrong in [
        json!({ "track": 0 }),
        json!({ "track": "three" }),
        json!({ "year": 10_000 }),
        json!({ "title": ["a"] }),
        json!({ "title": "a\nb" }),
        json!({ "title": "x".repeat(1001) }),
        json!({ "compilation": "yes" }),
        json!({ "genre": vec!["x"; 33] }),
        json!({ "colour": "red" }),
        json!({ "cover": "../../etc/passwd" }),
        json!({ "cover": "F".repeat(64) }),
    ] {
        assert!(serde_json::from_value::<Words>(wrong.clone()).is_err(), "{wrong}");
    }
    assert_eq!("album_artist".parse(), Ok(Field::AlbumArtist));
    assert!("colour".parse::<Field>().is_err());
    for field in Field::ALL {
        assert_eq!(json!(field), json!(field.name()));
    }
}

fn any_field() -> impl Strategy<Value = Field> {
    proptest::sample::select(Field::ALL.to_vec())
}

/// A field and a word that suits it, or none.
pub(crate) fn any_word() -> impl Strategy<Value = (Field, Option<Word>)> {
    (any_field(), "[a-zあ-う ]{0,6}", 1u32..9999, any::<bool>(), 0u8..5).prop_map(
        |(field, text, number, flag, none)| {
            let word = match field {
                Field::Track | Field::Disc | Field::Year => Word::Number(number),
                Field::Compilation => Word::Flag(flag),
                Field::Cover => Word::Text(format!("{number:064x}")),
                Field::Genre | Field::Artists => Word::List(text.split(' ').map(str::to_owned).collect()),
                _ => Word::Text(text),
            };
            (field, (none > 0).then_some(word))
        },
    )
}

proptest! {
    /// Changes against a table in which every cell is set and cleared by hand.
    #[test]
    fn changes_are_what_a_table_says(
        changes in prop::collection::vec((prop::collection::vec(any_field(), 0..3), prop::collection::vec(any_word(), 0..4)), 0..8)
    ) {
        let mut naive: Vec<(Field, Option<Option<Word>>)> = Field::ALL.into_iter().map(|field| (field, None)).collect();
        let mut kept = Words::default();
        for (clear, set) in changes {
            let set = Words::try_from(set.into_iter().collect::<BTreeMap<_, _>>()).expect("suits");
            for (field, cell) in &mut naive {
                if clear.contains(field) {
                    *cell = None;
                }
                if let Some((_, word)) = set.iter().find(|(known, _)| known == field) {
                    *cell = Some(word.cloned());
                }
            }
            kept = Change { clear: clear.into_iter().collect(), set }.of(&kept);
        }
        let shown = kept.apply(&tagged());
        for (field, cell) in naive {
            let now = kept.iter().find(|(known, _)| *known == field).map(|(_, word)| word.cloned());
            prop_assert_eq!(&now, &cell, "{:?}", field);
            // A file's picture has no name, and shows none.
            if let Some(word) = cell.filter(|_| field != Field::Cover) {
                // A flag that is off is as one that says nothing.
                let word = word.filter(|word| *word != Word::Flag(false));
                prop_assert_eq!(field.of(&shown), word, "{:?}", field);
            }
        }
        let again: Words = serde_json::from_str(&serde_json::to_string(&kept).expect("JSON")).expect("its own");
        prop_assert_eq!(again, kept);
    }
}
