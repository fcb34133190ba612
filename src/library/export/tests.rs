//! What goes out of a shelf, into a folder, read back from the disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::folder::{Target, Written, write};
use super::*;
use crate::library::tests::wav_of;
use crate::library::{LibraryConfig, scan};
use crate::query::export::Wanted;
use crate::track::correction::Change;

pub(super) struct Shelf {
    pub(super) folder: tempfile::TempDir,
}

impl Shelf {
    /// A shelf of three songs in two folders and a playlist of two of them, with a station.
    pub(super) fn new() -> Shelf {
        let shelf = Shelf { folder: tempfile::tempdir().expect("a folder") };
        // One after the other: what nothing else orders goes out in the order in which it came.
        for (path, seed) in [("B/con.wav", 3), ("A/One/01 歌.wav", 1u8), ("A/One/02.wav", 2)] {
            let path = shelf.music().join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            let data: Vec<u8> = (0..200u8).map(|i| i.wrapping_mul(seed)).collect();
            fs::write(path, wav_of(&data)).expect("written");
            let library = shelf.open();
            scan::once(&library.inner).expect("looked through");
            library.close().expect("closed");
        }
        fs::create_dir_all(shelf.music().join("Playlists")).expect("made");
        let list = "#EXTM3U\n../B/con.wav\n#EXTINF:-1,A station\nhttp://radio.example/x\n../A/One/01 歌.wav\n../gone.wav\n";
        fs::write(shelf.music().join("Playlists/Mine.m3u8"), list).expect("written");
        let library = shelf.open();
        scan::once(&library.inner).expect("looked through");
        library.close().expect("closed");
        shelf
    }

    pub(super) fn music(&self) -> PathBuf {
        self.folder.path().join("music")
    }

    pub(super) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(super) fn open(&self) -> Library {
        Library::open(LibraryConfig {
            music: vec![self.music()],
            data: self.data(),
            keep_free: Some(ByteCount(0)),
        })
        .expect("opened")
    }

    pub(super) fn export(&self, wanted: Wanted, leave: bool, to: &Path) -> Result<Written> {
        let reader = Reader::open(&self.data())?;
        let target = Target::open(&reader, to)?;
        write(&reader, &Export { wanted, receipts: leave, leave }, target, &mut |_| {})
    }
}

/// Every file below a folder, by its path there.
pub(super) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name != ".konpo-export.jsonl" {
                let name = path.strip_prefix(folder).expect("below").to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).expect("read"));
            }
        }
    }
    found
}

pub(super) fn text(files: &BTreeMap<String, Vec<u8>>, name: &str) -> String {
    String::from_utf8(files.get(name).unwrap_or_else(|| panic!("{name} is missing")).clone()).expect("UTF-8")
}

#[test]
fn everything_goes_out_as_it_lies_there_and_a_second_time_nothing_is_written() {
    let shelf = Shelf::new();
    let to = shelf.folder.path().join("out");
    let written = shelf.export(Wanted::All, false, &to).expect("written");
    assert_eq!((written.files, written.there, written.left_out), (4, 0, 0));
    let out = files(&to);
    for (there, here) in [
        ("A/One/01 歌.wav", "A/One/01 歌.wav"),
        ("A/One/02.wav", "A/One/02.wav"),
        ("B/con.wav", "B/_con.wav"),
    ] {
        assert!(out.get(here) == Some(&fs::read(shelf.music().join(there)).expect("there")), "{here}");
    }
    let list = text(&out, "Playlists/Mine.m3u8");
    let entries: Vec<&str> = list.lines().filter(|line| !line.starts_with("#EXTINF:0")).collect();
    assert_eq!(entries[0], "#EXTM3U");
    for want in [
        "../B/_con.wav",
        "#EXTINF:-1,A station",
        "http://radio.example/x",
        "../A/One/01 歌.wav",
        "# not on the shelf: ../gone.wav",
    ] {
        assert!(list.lines().any(|line| line == want), "{want} is not in:\n{list}");
    }
    let again = shelf.export(Wanted::All, false, &to).expect("written");
    assert_eq!((again.files, again.there), (0, 4));
    // What a power cut left half, and what is missing, is written; the rest is not.
    fs::write(to.join("A/One/.konpo-export.part"), b"half").expect("written");
    fs::remove_file(to.join("A/One/02.wav")).expect("removed");
    fs::remove_file(to.join("B/_con.wav")).expect("removed");
    let third = shelf.export(Wanted::All, false, &to).expect("written");
    assert_eq!((third.files, third.there), (2, 2));
    assert!(files(&to) == out);
}

#[test]
fn what_is_taken_out_does_not_land_on_the_shelf_again() {
    let shelf = Shelf::new();
    let error = shelf.export(Wanted::All, false, &shelf.music().join("out")).expect_err("refused");
    assert_eq!(error.kind(), Kind::Invalid, "{error}");
    assert!(error.to_string().contains("choose another"), "{error}");
}

#[test]
fn what_is_not_there_is_not_found_and_no_database_is_made() {
    let shelf = Shelf::new();
    let to = shelf.folder.path().join("out");
    for wanted in
        [Wanted::Album(GroupId(7)), Wanted::Playlist(GroupId(77)), Wanted::Tracks(vec![TrackId(99)])]
    {
        assert_eq!(
            shelf.export(wanted.clone(), false, &to).expect_err("nothing").kind(),
            Kind::NotFound,
            "{wanted:?}"
        );
    }
    let empty = shelf.folder.path().join("empty");
    fs::create_dir(&empty).expect("made");
    assert_eq!(Reader::open(&empty).err().map(|error| error.kind()), Some(Kind::NotFound));
    assert_eq!(fs::read_dir(&empty).expect("there").count(), 0);
}

#[test]
fn a_playlist_goes_out_by_its_words_beside_a_running_konpo() {
    let shelf = Shelf::new();
    let library = shelf.open();
    let reader = Reader::open(&shelf.data()).expect("beside");
    let lists = reader.named(What::Playlists, "MINE").expect("read");
    let [(list, name)] = &lists[..] else { panic!("{lists:?}") };
    assert_eq!(name, "Mine");
    let words: Change = serde_json::from_value(serde_json::json!({
        "set": { "title": "新しい", "artist": "歌手", "album": "CD: 1", "year": 2007, "track": 4 },
    }))
    .expect("a change");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let first = reader
        .plan(
            &Export { wanted: Wanted::Playlist(*list), receipts: false, leave: false },
            &Stays::default(),
            shelf.folder.path(),
        )
        .expect("planned");
    let Bytes::Copy { track, .. } = first.files()[0].from else { panic!("{:?}", first.files()) };
    runtime.block_on(library.correct(&[track], words, UnixTime(0))).expect("corrected");
    let to = shelf.folder.path().join("out");
    shelf.export(Wanted::Playlist(*list), false, &to).expect("written");
    let out = files(&to);
    let names: Vec<&String> = out.keys().collect();
    assert!(
        out.contains_key("歌手/CD_ 1 (2007)/04 新しい.wav") && out.contains_key("Mine.m3u8"),
        "{names:?}"
    );
    assert!(text(&out, "Mine.m3u8").contains("歌手 - 新しい\n歌手/CD_ 1 (2007)/04 新しい.wav\n"));
    assert_eq!(
        fs::read_dir(shelf.data())
            .expect("there")
            .flatten()
            .filter(|e| e.file_name().to_string_lossy().starts_with("export-"))
            .count(),
        0
    );
    library.close().expect("closed");
}

#[test]
fn what_konpo_did_not_write_is_never_touched() {
    let shelf = Shelf::new();
    let to = shelf.folder.path().join("out");
    fs::create_dir(&to).expect("made");
    fs::write(to.join("letter.txt"), "mine").expect("written");
    let error = shelf.export(Wanted::All, false, &to).expect_err("not empty");
    assert!(error.kind() == Kind::Invalid && error.to_string().contains("is not empty"), "{error}");
    fs::remove_file(to.join("letter.txt")).expect("removed");
    shelf.export(Wanted::All, false, &to).expect("written");
    // Changed since, or put there by somebody else: nothing at all is written then.
    fs::write(to.join("A/One/02.wav"), b"tagged anew by another program").expect("written");
    fs::remove_file(to.join("B/_con.wav")).expect("removed");
    let error = shelf.export(Wanted::All, false, &to).expect_err("in the way");
    assert!(
        error.kind() == Kind::Invalid && error.to_string().contains("02.wav is not as konpo wrote it"),
        "{error}"
    );
    assert!(!to.join("B/_con.wav").exists());
    assert_eq!(fs::read(to.join("A/One/02.wav")).expect("there"), b"tagged anew by another program");
    fs::remove_file(to.join("A/One/02.wav")).expect("removed");
    // A link leads nowhere: not into the shelf, and not to somebody's file.
    let before = files(&shelf.music());
    fs::remove_dir_all(to.join("B")).expect("removed");
    std::os::unix::fs::symlink(shelf.music(), to.join("B")).expect("linked");
    let error = shelf.export(Wanted::All, false, &to).expect_err("a link");
    assert!(error.to_string().contains("is no folder of its own"), "{error}");
    fs::remove_file(to.join("B")).expect("removed");
    let elsewhere = shelf.folder.path().join("elsewhere");
    fs::write(&elsewhere, "mine").expect("written");
    std::os::unix::fs::symlink(&elsewhere, to.join("A/One/.konpo-export.part")).expect("linked");
    shelf.export(Wanted::All, false, &to).expect("written");
    assert_eq!(fs::read(&elsewhere).expect("there"), b"mine");
    assert!(files(&shelf.music()) == before);
}
