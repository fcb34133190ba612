//! Several artists in one text.

use std::path::Path;

use rusqlite::Connection;

use crate::library::find::Find;
use crate::library::store::shown::{self, Shown};
use crate::library::upgrade;
use crate::query::{Field, Filter, What};
use crate::track::{Tags, TrackId};

#[test]
fn a_track_of_several_artists_is_found_under_each_that_stands_alone_elsewhere() {
    let mut connection = Connection::open_in_memory().expect("a database");
    connection.execute_batch("ATTACH DATABASE ':memory:' AS idx").expect("another one");
    upgrade::upgrade(&mut connection, Path::new("in memory")).expect("made");
    let artists = ["Aimer", "Milet", "Aimer; Milet", "Aimer / Nobody", "AC/DC; Live"];
    for (number, artist) in (1i64..).zip(artists) {
        let tags = Tags { title: Some("x".into()), artist: Some(artist.into()), ..Tags::default() };
        let shown = Shown::of(&tags).expect("plain data");
        shown::put(&connection, TrackId(number), &shown, None, true, false, 0).expect("written");
    }
    let find = Find::make(&connection).expect("made");
    let mut names: Vec<&str> = (0..find.artists.len()).map(|place| find.artists.name(place)).collect();
    names.sort_unstable();
    assert_eq!(names, ["ac/dc; live", "aimer", "aimer / nobody", "milet"]);
    let check = |filter: Filter, wanted: &[u32]| {
        let bits = find.select(&filter, &connection).expect("answered");
        let mut found: Vec<u32> = bits.rows(0).map(|row| find.ids.id(row)).collect();
        found.sort_unstable();
        assert_eq!(found, wanted, "{filter:?}");
    };
    for field in [Field::Artist, Field::AlbumArtist] {
        check(Filter::Is(field, "Milet".into()), &[2, 3]);
        check(Filter::Is(field, "Aimer".into()), &[1, 3]);
        check(Filter::Is(field, "Aimer; Milet".into()), &[3]);
        check(Filter::Starts(field, "mil".into()), &[2, 3]);
    }
    let id = crate::library::find::groups::id_of("milet");
    check(Filter::In(What::Artists, id), &[2, 3]);
}
