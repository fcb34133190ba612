//! The finder against a plain look through the tags.

use std::path::Path;

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use rusqlite::Connection;

use crate::library::find::groups::{id_of, id_of_bytes};
use crate::library::find::{ALBUM_PARTS, Find, parts};
use crate::library::store::shown::{self, PART, Shown};
use crate::library::upgrade;
use crate::media::text::{fold, heading, romaji, sort_key};
use crate::query::{Field, Filter, Group, GroupId, Item, Measure, Query, Sort, What, Window};
use crate::track::{Tags, TrackId};

/// A track as the plain look sees it.
#[derive(Debug)]
struct Seen {
    id: u32,
    tags: Tags,
    key: Vec<u8>,
    playable: bool,
    added: i64,
}

fn name() -> impl Strategy<Value = String> {
    select(&["a", "B", "ab", "The A", "b a", "カア", "かー", "がb", "é", "ア・イ", "1", "-", "[b", "亜", "я"][..])
        .prop_map(str::to_owned)
}

fn tags() -> impl Strategy<Value = Tags> {
    let names = (weighted(0.9, name()), weighted(0.8, name()), weighted(0.8, name()), weighted(0.4, name()));
    let sorts = (weighted(0.2, name()), weighted(0.2, name()), weighted(0.2, name()), weighted(0.2, name()));
    let lists = (vec(name(), 0..3), vec(name(), 0..3), vec(name(), 0..2));
    let date = weighted(0.7, select(&["1999", "1999-05", "2001-01-02", "2001"][..]).prop_map(str::to_owned));
    (names, sorts, lists, date, weighted(0.8, 0u32..3), any::<bool>()).prop_map(
        |(
            (title, artist, album, album_artist),
            sorts,
            (artists, genres, composers),
            date,
            track,
            compilation,
        )| Tags {
            title,
            artist,
            album,
            album_artist,
            artists,
            genres,
            composers,
            date,
            track,
            compilation,
            title_sort: sorts.0,
            artist_sort: sorts.1,
            album_sort: sorts.2,
            album_artist_sort: sorts.3,
            ..Tags::default()
        },
    )
}

fn filters() -> impl Strategy<Value = Filter> {
    let text =
        (select(&TEXTS[..]), select(&["a", "B", "か", "ka", "a b", "b a", "the a", "亜", "1", "zz"][..]));
    let date = select(&["1999", "1999-05", "2001-01-02", "20"][..]);
    let leaf = prop_oneof![
        Just(Filter::All),
        text.clone().prop_map(|(field, text)| Filter::Is(field, text.into())),
        text.clone().prop_map(|(field, text)| Filter::Contains(field, text.into())),
        text.prop_map(|(field, text)| Filter::Starts(field, text.into())),
        date.clone().prop_map(|text| Filter::Is(Field::Date, text.into())),
        date.prop_map(|text| Filter::Starts(Field::Date, text.into())),
        any::<bool>().prop_map(|yes| Filter::Is(Field::Playable, if yes { "yes" } else { "no" }.into())),
        select(&THERE[..]).prop_map(Filter::Exists),
        (0i64..4).prop_map(|least| Filter::AtLeast(Measure::Number, least)),
        select(&[19_990_101, 19_990_502, 20_010_102, 20_010_103][..])
            .prop_map(|least| Filter::AtLeast(Measure::Day, least)),
        // The number is put in its place by `grounded`.
        (select(&WITHIN[..]), 0i64..100).prop_map(|(what, at)| Filter::In(what, GroupId(at))),
        vec(1i64..70, 0..9).prop_map(|ids| Filter::Ids(ids.into_iter().map(TrackId).collect())),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Filter::And),
            vec(inner.clone(), 0..3).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

/// Turns the places in [`Filter::In`] into numbers of groups that are there.
fn grounded(filter: Filter, seen: &[Seen]) -> Filter {
    let all = |filters: Vec<Filter>| filters.into_iter().map(|filter| grounded(filter, seen)).collect();
    match filter {
        Filter::And(filters) => Filter::And(all(filters)),
        Filter::Or(filters) => Filter::Or(all(filters)),
        Filter::Not(inner) => Filter::Not(Box::new(grounded(*inner, seen))),
        Filter::In(what, GroupId(at)) if what != What::Tracks => {
            let ids: Vec<GroupId> = seen.iter().flat_map(|track| groups_of(track, what)).collect();
            Filter::In(what, if ids.is_empty() { GroupId(at) } else { ids[at as usize % ids.len()] })
        }
        other => other,
    }
}

fn folded(text: &Option<String>) -> Vec<String> {
    text.iter().map(|text| fold(text)).collect()
}

fn album_artist(tags: &Tags) -> Vec<String> {
    let own = tags.album_artist.is_some() || tags.compilation;
    folded(if own { &tags.album_artist } else { &tags.artist })
}

/// The names of a field, folded.
fn values(tags: &Tags, field: Field) -> Vec<String> {
    let list = |list: &[String]| list.iter().map(|text| fold(text)).collect::<Vec<_>>();
    match field {
        Field::Title | Field::Name => folded(&tags.title),
        Field::Artist => [list(&tags.artists), folded(&tags.artist), album_artist(tags)].concat(),
        Field::Album => folded(&tags.album),
        Field::AlbumArtist => album_artist(tags),
        Field::Genre => list(&tags.genres),
        Field::Composer => list(&tags.composers),
        Field::Any => {
            let sorts = [&tags.title_sort, &tags.artist_sort, &tags.album_sort, &tags.album_artist_sort];
            let names =
                [Field::Title, Field::Artist, Field::Album].into_iter().flat_map(|at| values(tags, at));
            let shown: Vec<String> = names.chain(sorts.into_iter().flat_map(folded)).collect();
            let latin = shown.iter().filter_map(|name| romaji(name)).collect();
            [shown, latin].concat()
        }
        _ => tags.date.iter().cloned().collect(),
    }
}

/// The numbers of the groups that a track is in.
fn groups_of(track: &Seen, what: What) -> Vec<GroupId> {
    let tags = &track.tags;
    let names = match what {
        What::Albums => return vec![id_of_bytes(parts(&track.key, ALBUM_PARTS))],
        What::Artists => {
            let own = tags.artists.iter().map(|name| fold(name)).collect::<Vec<_>>();
            let own = if own.is_empty() { folded(&tags.artist) } else { own };
            [own, album_artist(tags)].concat()
        }
        What::AlbumArtists => album_artist(tags),
        What::Genres => values(tags, Field::Genre),
        What::Composers => values(tags, Field::Composer),
        _ => tags.date.iter().map(|date| date[..4].to_owned()).collect(),
    };
    names.iter().map(|name| id_of(name)).collect()
}

fn passes(track: &Seen, filter: &Filter) -> bool {
    let is_playable = |text: &str| track.playable == (text == "yes");
    let some = |field: Field, text: &str, test: fn(&str, &str) -> bool| {
        let text = fold(text);
        values(&track.tags, field).iter().any(|value| test(value, &text))
    };
    match filter {
        Filter::All => true,
        Filter::And(filters) => filters.iter().all(|filter| passes(track, filter)),
        Filter::Or(filters) => filters.iter().any(|filter| passes(track, filter)),
        Filter::Not(inner) => !passes(track, inner),
        Filter::Is(Field::Playable, text) => is_playable(text),
        Filter::Is(field, text) => some(*field, text, |value, text| value == text),
        Filter::Contains(field, text) => some(*field, text, |value, text| value.contains(text)),
        Filter::Starts(field, text) => some(*field, text, |value, text| value.starts_with(text)),
        Filter::Exists(Field::Any) => true,
        Filter::Exists(field) => !values(&track.tags, *field).is_empty(),
        Filter::Ids(ids) => ids.contains(&TrackId(i64::from(track.id))),
        Filter::In(What::Tracks, GroupId(id)) => i64::from(track.id) == *id,
        Filter::In(what, id) => groups_of(track, *what).contains(id),
        Filter::AtLeast(Measure::Number, least) => i64::from(track.tags.track.unwrap_or(0)) >= *least,
        Filter::AtLeast(_, least) => track.tags.date.as_ref().is_some_and(|date| day(date) >= *least),
    }
}

fn day(date: &str) -> i64 {
    let part = |at: std::ops::Range<usize>| date.get(at).map_or(1, |part| part.parse().expect("a number"));
    part(0..4) * 10_000 + part(5..7) * 100 + part(8..10)
}

/// A shelf in memory: every fifth track has left the lists.
fn shelf(every: Vec<(Tags, bool, i64)>) -> (Connection, Vec<Seen>) {
    let mut connection = Connection::open_in_memory().expect("a database");
    connection.execute_batch("ATTACH DATABASE ':memory:' AS idx").expect("another one");
    upgrade::upgrade(&mut connection, Path::new("in memory")).expect("made");
    let mut seen = Vec::new();
    for (number, (tags, playable, added)) in (1u32..).zip(every) {
        let (track, shown) = (TrackId(i64::from(number)), Shown::of(&tags).expect("plain data"));
        shown::put(&connection, track, &shown, None, playable, false, added).expect("written");
        if number % 5 == 0 {
            shown::hide(&connection, track).expect("written");
        } else {
            seen.push(Seen { id: number, tags, key: shown.key, playable, added });
        }
    }
    seen.sort_by(|a, b| a.key.cmp(&b.key).then(a.id.cmp(&b.id)));
    (connection, seen)
}

fn title_key(track: &Seen) -> String {
    let name = track.tags.title_sort.as_ref().or(track.tags.title.as_ref());
    name.map(|name| sort_key(name)).unwrap_or_default()
}

/// The tracks that a filter lets through, in order.
fn expected(find: &Find, seen: &[Seen], filter: &Filter, sort: Sort) -> Vec<u32> {
    let mut found: Vec<&Seen> = seen.iter().filter(|track| passes(track, filter)).collect();
    match sort {
        Sort::Title => found.sort_by_key(|track| title_key(track)),
        Sort::Added => found.sort_by_key(|track| std::cmp::Reverse(track.added)),
        Sort::Artist => {
            let place = |track: &Seen| {
                let places =
                    groups_of(track, What::Artists).into_iter().filter_map(|id| find.artists.place(id));
                places.min().unwrap_or(usize::MAX)
            };
            found.sort_by_key(|track| place(track));
        }
        Sort::Genre => {
            let place = |track: &Seen| {
                let places =
                    groups_of(track, What::Genres).into_iter().filter_map(|id| find.genres.place(id));
                places.min().unwrap_or(usize::MAX)
            };
            found.sort_by_key(|track| place(track));
        }
        Sort::Date => found.sort_by_key(|track| {
            let year = track.tags.date.as_ref().map(|date| date[..4].to_owned());
            (year.is_none(), year)
        }),
        Sort::AlbumName => found.sort_by_key(|track| {
            let name = parts(&track.key, 2).split(|&byte| byte == PART).nth(1).unwrap_or_default();
            (track.tags.album.is_none(), name)
        }),
        Sort::Bought | Sort::Played | Sort::MostPlayed | Sort::Favoured => {
            // Every third track is marked, the larger number later.
            let mark = |track: &Seen| if track.id.is_multiple_of(3) { Some(track.id) } else { None };
            found.sort_by_key(|track| std::cmp::Reverse(mark(track)));
        }
        Sort::Album | Sort::Listed | Sort::Length => {}
    }
    found.into_iter().map(|track| track.id).collect()
}

fn marked(connection: &Connection, count: usize) {
    for id in (3..=count as i64).step_by(3) {
        let sql = "INSERT INTO favourite(track, at) VALUES (?1, ?1)";
        connection.execute(sql, [id]).expect("written");
        let sql = "INSERT INTO played(track, times, last) VALUES (?1, ?1, ?1)";
        connection.execute(sql, [id]).expect("written");
    }
}

const TEXTS: [Field; 7] = [
    Field::Title,
    Field::Artist,
    Field::Album,
    Field::AlbumArtist,
    Field::Genre,
    Field::Composer,
    Field::Any,
];
const THERE: [Field; 7] =
    [Field::Title, Field::Artist, Field::Album, Field::AlbumArtist, Field::Genre, Field::Date, Field::Any];
const WITHIN: [What; 7] = [
    What::Albums,
    What::Artists,
    What::AlbumArtists,
    What::Genres,
    What::Composers,
    What::Years,
    What::Tracks,
];
const SORTS: [Sort; 12] = [
    Sort::Album,
    Sort::Title,
    Sort::Artist,
    Sort::Added,
    Sort::Played,
    Sort::MostPlayed,
    Sort::Favoured,
    Sort::Listed,
    Sort::Genre,
    Sort::Date,
    Sort::AlbumName,
    Sort::Length,
];
const KINDS: [What; 6] =
    [What::Albums, What::Artists, What::AlbumArtists, What::Genres, What::Composers, What::Years];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn tracks_are_those_that_a_plain_look_finds(
        every in vec((tags(), any::<bool>(), 0i64..5), 0..60),
        wanted in vec(filters(), 1..8),
        limit in 1u32..20,
    ) {
        let count = every.len();
        let (connection, seen) = shelf(every);
        marked(&connection, count);
        let find = Find::make(&connection).expect("made");
        prop_assert_eq!(find.len(), seen.len());
        for filter in wanted {
            let filter = grounded(filter, &seen);
            for sort in SORTS {
                let expected = expected(&find, &seen, &filter, sort);
                let mut found: Vec<u32> = Vec::new();
                loop {
                    let window = Window { offset: found.len() as u64, limit };
                    let (total, page) = find.tracks(&filter, sort, window, &connection).expect("an answer");
                    prop_assert_eq!(total, expected.len() as u64, "{:?} {:?}", filter, seen);
                    found.extend(&page);
                    if page.len() < limit as usize {
                        break;
                    }
                }
                prop_assert_eq!(&found, &expected, "{:?} {:?} {:?}", filter, sort, seen);
            }
        }
    }

    #[test]
    fn names_are_those_that_a_plain_look_finds(
        every in vec((tags(), any::<bool>(), 0i64..5), 0..60),
        filter in filters(),
        limit in 1u32..20,
    ) {
        let (connection, seen) = shelf(every);
        let find = Find::make(&connection).expect("made");
        for (what, filter) in KINDS.into_iter().flat_map(|what| [(what, Filter::All), (what, filter.clone())]) {
            let filter = grounded(filter, &seen);
            let named = |track: &&Seen| what != What::Albums || track.tags.album.is_some();
            let mut expected: std::collections::BTreeMap<GroupId, u64> = Default::default();
            for track in seen.iter().filter(named).filter(|track| passes(track, &filter)) {
                let groups: std::collections::BTreeSet<GroupId> = groups_of(track, what).into_iter().collect();
                groups.into_iter().for_each(|id| *expected.entry(id).or_default() += 1);
            }
            let mut found = Vec::new();
            loop {
                let window = Window { offset: found.len() as u64, limit };
                let query = Query { what, filter: filter.clone(), sort: Sort::Album, window };
                let page = find.answer(&query, &connection).expect("an answer");
                prop_assert_eq!(page.total, expected.len() as u64, "{:?} {:?}", what, filter);
                let items = page.items.len();
                found.extend(page.items.into_iter().filter_map(|item| match item {
                    Item::Group(group) => Some((group.id, group.tracks)),
                    Item::Track(_) => None,
                }));
                if items < limit as usize {
                    break;
                }
            }
            found.sort_unstable();
            prop_assert!(found.iter().copied().eq(expected), "{:?} {:?} {:?}", what, filter, seen);
        }
    }

    #[test]
    fn a_name_is_found_by_its_own_letters_and_alone_as_in_a_list(
        every in vec((tags(), any::<bool>(), 0i64..5), 0..60),
        text in select(&["a", "b", "か", "亜", "1", "19", ""][..]),
        filter in filters(),
    ) {
        let (connection, seen) = shelf(every);
        let find = Find::make(&connection).expect("made");
        let filter = grounded(filter, &seen);
        let own = Filter::Contains(Field::Name, text.into());
        let not = Filter::Not(Box::new(own.clone()));
        for what in KINDS {
            let all = |filter: Filter, sort| -> Vec<Group> {
                let query = Query { what, filter, sort, window: Window { offset: 0, limit: Window::MOST } };
                let page = find.answer(&query, &connection).expect("an answer");
                let groups = page.items.into_iter().map(|item| match item {
                    Item::Group(group) => group,
                    Item::Track(track) => panic!("{track:?}"),
                });
                groups.collect()
            };
            let plain = all(filter.clone(), Sort::Album);
            let with = all(Filter::And(vec![own.clone(), filter.clone()]), Sort::Album);
            let without = all(Filter::And(vec![filter.clone(), not.clone()]), Sort::Album);
            let expected: Vec<&Group> = plain.iter().filter(|group| fold(&group.name).contains(&fold(text))).collect();
            // Other spellings of an album's name may have other letters.
            if what != What::Albums {
                prop_assert!(with.iter().eq(expected), "{:?} {:?} {:?}", what, with, plain);
                prop_assert_eq!(with.len() + without.len(), plain.len());
            }
            for group in &plain {
                let alone = find.group(what, group.id, &filter, &connection).expect("an answer");
                prop_assert_eq!(alone.as_ref(), Some(group));
                let albums = Filter::And(vec![Filter::In(what, group.id), filter.clone()]);
                let query = Query { what: What::Albums, filter: albums, sort: Sort::Album, window: Window { offset: 0, limit: 0 } };
                if what != What::Albums {
                    prop_assert_eq!(find.answer(&query, &connection).expect("an answer").total, group.groups);
                }
            }
            prop_assert_eq!(find.group(what, GroupId(77), &filter, &connection).expect("an answer"), None);
            let mut offset = 0;
            for section in find.sections_of(what, &filter, &connection).expect("an answer") {
                prop_assert!(section.offset >= offset && section.offset < plain.len().max(1) as u64 || what == What::Albums);
                offset = section.offset;
            }
            let mut by_year: Vec<GroupId> = all(filter.clone(), Sort::Date).iter().map(|group| group.id).collect();
            by_year.sort_unstable();
            let mut ids: Vec<GroupId> = plain.iter().map(|group| group.id).collect();
            ids.sort_unstable();
            prop_assert_eq!(by_year, ids);
        }
    }

    #[test]
    fn sections_begin_at_the_first_name_with_their_heading(every in vec((tags(), any::<bool>(), 0i64..5), 0..60)) {
        let (connection, seen) = shelf(every);
        let find = Find::make(&connection).expect("made");
        let mut titles: Vec<String> = seen.iter().map(title_key).collect();
        titles.sort_unstable();
        let mut albums: Vec<(&[u8], &str)> = seen
            .iter()
            .filter(|track| track.tags.album.is_some())
            .map(|track| parts(&track.key, ALBUM_PARTS))
            .map(|album| (album, std::str::from_utf8(parts(album, 1)).expect("text")))
            .collect();
        albums.dedup();
        let albums: Vec<String> = albums.into_iter().map(|(_, artist)| artist.to_owned()).collect();
        let years: Vec<String> = (0..find.years.len()).map(|place| find.years.name(place).to_owned()).collect();
        for (what, keys) in [(What::Tracks, titles), (What::Albums, albums), (What::Years, years)] {
            let mut expected: Vec<(String, u64)> = Vec::new();
            for (key, place) in keys.iter().zip(0..) {
                let under = heading(key).to_string();
                if !expected.iter().any(|(known, _)| *known == under) {
                    expected.push((under, place));
                }
            }
            let found: Vec<(String, u64)> =
                find.sections(what).into_iter().map(|section| (section.heading, section.offset)).collect();
            prop_assert_eq!(found, expected, "{:?}", what);
        }
    }
}
