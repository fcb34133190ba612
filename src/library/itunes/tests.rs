//! Libraries of iTunes against a shelf of real files.

use std::fs;
use std::path::PathBuf;

use lofty::config::WriteOptions;
use lofty::tag::{Accessor, Tag, TagExt, TagType};

use super::*;
use crate::library::store::finding;
use crate::library::tests::wav_of;
use crate::library::{LibraryConfig, scan};
use crate::query::Sort;
use crate::units::ByteCount;

/// A shelf with three files: two that only their names tell, and one with tags.
struct Bench {
    folder: tempfile::TempDir,
    library: Library,
}

impl Bench {
    fn new() -> Bench {
        let folder = tempfile::tempdir().expect("a folder");
        let music = folder.path().join("music");
        fs::create_dir_all(music.join("a/b")).expect("made");
        fs::write(music.join("a/b/01 夜が.wav"), wav_of(&[1; 200])).expect("written");
        fs::write(music.join("a/02 Plain.wav"), wav_of(&[2; 400])).expect("written");
        let tone = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/tone.mp3");
        let song = music.join("song.mp3");
        fs::copy(tone, &song).expect("copied");
        let mut tag = Tag::new(TagType::Id3v2);
        tag.set_title("Moon  River".into());
        tag.set_artist("Singer".into());
        tag.set_album("Album".into());
        tag.save_to_path(&song, WriteOptions::default()).expect("tagged");
        let library = Library::open(LibraryConfig {
            music: vec![music],
            data: folder.path().join("data"),
            keep_free: Some(ByteCount(0)),
        });
        let library = library.expect("opened");
        scan::once(&library.inner).expect("looked through");
        Bench { folder, library }
    }

    fn read(&self, xml: &str) -> Result<ItunesRead> {
        let path = self.folder.path().join("iTunes Library.xml");
        fs::write(&path, xml).expect("written");
        self.library.read_itunes(&path, "iTunes Library.xml", &|| true)
    }

    fn number(&self, sql: &str) -> i64 {
        let answer = self.library.inner.store.read_blocking(|c| Ok(c.query_row(sql, [], |row| row.get(0))?));
        answer.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    fn track(&self, name: &str) -> i64 {
        self.number(&format!("SELECT track FROM copy WHERE CAST(name AS TEXT) = '{name}'"))
    }

    fn favourites(&self) -> Vec<u32> {
        let read = self.library.inner.store.read_blocking(|c| finding::ordered(c, Sort::Favoured));
        read.expect("read")
    }
}

fn song(number: u32, name: &str, more: &str) -> String {
    format!(
        "<key>{number}</key><dict><key>Track ID</key><integer>{number}</integer><key>Persistent ID</key>\
         <string>{number:016X}</string><key>Name</key><string>{name}</string>{more}</dict>"
    )
}

fn file(url: &str, size: usize) -> String {
    format!(
        "<key>Location</key><string>file://localhost/C:/x/{url}</string><key>Size</key><integer>{size}</integer>"
    )
}

fn count(key: &str, number: u32) -> String {
    format!("<key>{key}</key><integer>{number}</integer>")
}

fn library(songs: &[String], bought: &[u32]) -> String {
    let items: String = bought.iter().map(|id| format!("<dict>{}</dict>", count("Track ID", *id))).collect();
    format!(
        "<plist version=\"1.0\"><dict><key>Library Persistent ID</key><string>00000000000000FF</string>\
         <key>Tracks</key><dict>{}</dict><key>Playlists</key><array><dict><key>Name</key>\
         <string>購入した項目</string><key>Distinguished Kind</key><integer>19</integer><key>Purchased Music</key>\
         <true/><key>Playlist Items</key><array>{items}</array></dict></array></dict></plist>",
        songs.concat()
    )
}

const ADDED: &str = "<key>Date Added</key><date>2008-07-17T09:12:45Z</date>";

/// One song by its file, whose name macOS takes apart, one by its words, one that is not here, one stream.
fn songs(plays: u32) -> Vec<String> {
    let by_file = file("01%20%E5%A4%9C%E3%81%8B%E3%82%99.wav", 244) + ADDED;
    let by_words =
        "<key>Artist</key><string>singer</string><key>Album</key><string>ALBUM</string>".to_owned();
    let told = count("Play Count", plays) + &count("Rating", 80) + "<key>Loved</key><true/>";
    let sorts = "<key>Sort Name</key><string>むーんりばー</string>";
    vec![
        song(1, "Night", &(by_file + &told)),
        song(2, "Moon River", &(by_words + &count("Play Count", 2) + sorts)),
        song(3, "Elsewhere", &(ADDED.to_owned() + "<key>Purchased</key><true/>")),
        song(4, "Rented", "<key>Apple Music</key><true/>"),
        song(5, "Radio", "<key>Track Type</key><string>URL</string>"),
    ]
}

#[test]
fn a_library_of_itunes_tells_of_songs_that_are_here_and_of_every_buy() {
    let bench = Bench::new();
    let told = bench.read(&library(&songs(42), &[1, 4])).expect("read");
    assert_eq!(told, ItunesRead { songs: 4, here: 2, news: 3, bought: 2, new_buys: 2 });
    let (night, river) = (bench.track("01 夜が.wav"), bench.track("song.mp3"));
    let times = |track: i64| bench.number(&format!("SELECT times FROM played WHERE track = {track}"));
    assert_eq!((times(night), times(river)), (42, 2));
    assert_eq!(bench.favourites(), [night as u32]);
    let added = bench.number(&format!("SELECT added FROM track WHERE id = {night}"));
    assert_eq!(UnixTime(added).rfc3339(), "2008-07-17T09:12:45Z");
    let rating = bench.number(&format!("SELECT rating FROM past_track WHERE track = {night}"));
    assert_eq!(rating, 80);
    assert_eq!(bench.number("SELECT count(*) FROM past_track WHERE sorts LIKE '%むーんりばー%'"), 1);
    let sql = "SELECT count(*) FROM purchase WHERE store = 'itunes' AND level = 1 AND said = '2008-07-17'";
    assert_eq!(bench.number(sql), 2);
    let bought = bench.number("SELECT track FROM purchase WHERE track IS NOT NULL");
    assert_eq!((bought, bench.number("SELECT count(*) FROM purchase WHERE track IS NULL")), (night, 1));
}

/// A file that was tagged again has another size and other words.
#[test]
fn a_song_is_found_where_its_file_lies_below_any_folder() {
    let bench = Bench::new();
    let lasts = bench.number("SELECT duration FROM copy WHERE CAST(name AS TEXT) = '01 夜が.wav'") as u32;
    let bought = "<key>Purchased</key><true/>".to_owned() + ADDED;
    let told = |folder: &str, lasts: u32| {
        let file = file(&format!("{folder}/01%20%E5%A4%9C%E3%81%8C.wav"), 9999);
        let song = song(1, "Other", &(file + &bought + &count("Total Time", lasts)));
        bench.read(&library(&[song], &[])).expect("read").here
    };
    assert_eq!((told("A/c", lasts), told("A/B", lasts + 3000), told("b", lasts)), (0, 0, 0));
    // Neither Windows nor macOS tells large letters from small ones.
    assert_eq!(told("iTunes%20Media/Music/A/B", lasts), 1);
    let night = bench.track("01 夜が.wav");
    assert_eq!(bench.number("SELECT track FROM purchase WHERE track IS NOT NULL"), night);
}

#[test]
fn the_same_library_again_adds_nothing_and_a_later_one_adds_what_is_new() {
    let bench = Bench::new();
    bench.read(&library(&songs(42), &[1])).expect("read");
    let night = bench.track("01 夜が.wav");
    let state = || {
        let of = |table: &str| bench.number(&format!("SELECT count(*) FROM {table}"));
        let times = bench.number(&format!("SELECT times FROM played WHERE track = {night}"));
        (of("purchase"), of("evidence"), of("past_track"), of("favourite"), times)
    };
    let before = state();
    let again = bench.read(&library(&songs(42), &[1])).expect("read");
    assert_eq!((again.news, again.new_buys), (0, 0));
    assert_eq!(state(), before);
    // What a person took back here stays taken back, and plays here count beside those there.
    let sql = format!("DELETE FROM favourite; UPDATE played SET times = times + 1 WHERE track = {night}");
    bench.library.inner.store.write_now(|c| Ok(c.execute_batch(&sql)?)).expect("written");
    let later = bench.read(&library(&songs(45), &[1])).expect("read");
    assert_eq!((later.news, later.new_buys), (1, 0));
    assert_eq!(state().4, 46);
    assert!(bench.favourites().is_empty());
}

#[test]
fn a_library_that_breaks_off_or_is_none_changes_nothing() {
    let bench = Bench::new();
    let whole = library(&songs(42), &[1]);
    let broken = bench.read(&whole[..whole.len() - 40]).expect_err("it breaks off");
    assert_eq!(broken.kind(), Kind::Damaged);
    let other = bench.read("<plist version=\"1.0\"><dict><key>Bundle</key><string>x</string></dict></plist>");
    assert_eq!(other.expect_err("another property list").kind(), Kind::Unsupported);
    let stopped = bench.library.read_itunes(&bench.folder.path().join("iTunes Library.xml"), "x", &|| false);
    assert_eq!(stopped.expect_err("stopped").kind(), Kind::Stopped);
    let rows = "SELECT (SELECT count(*) FROM purchase) + (SELECT count(*) FROM past_track)";
    assert_eq!(bench.number(rows), 0);
}
