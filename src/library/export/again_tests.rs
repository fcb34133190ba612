//! What stays because it cannot be read, and what a second call makes of what the first one left.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::folder::{Target, Written, write};
use super::tests::{Shelf, files, text};
use super::*;
use crate::query::export::Wanted;
use crate::track::correction::Change;

/// Takes everything out, with the tables; `told` may change the disks meanwhile.
fn leave(shelf: &Shelf, to: &Path, told: &mut dyn FnMut(&str)) -> Result<Written> {
    let reader = Reader::open(&shelf.data())?;
    let target = Target::open(&reader, to)?;
    write(&reader, &Export { wanted: Wanted::All, receipts: true, leave: true }, target, told)
}

fn set_time(path: &Path, time: SystemTime) {
    File::options().write(true).open(path).and_then(|file| file.set_modified(time)).expect("set");
}

#[test]
fn what_cannot_be_read_stays_and_is_named_and_all_else_goes_out() {
    let shelf = Shelf::new();
    let (to, music) = (shelf.folder.path().join("out"), shelf.music());
    let kept = fs::read(music.join("A/One/02.wav")).expect("there");
    let mut told = Vec::new();
    let written = leave(&shelf, &to, &mut |name| {
        if told.is_empty() {
            // One is gone when its turn comes, the other one is longer.
            fs::remove_file(music.join("A/One/02.wav")).expect("removed");
            let longer = [&fs::read(music.join("A/One/01 歌.wav")).expect("there")[..], b"more"].concat();
            fs::write(music.join("A/One/01 歌.wav"), longer).expect("written");
        }
        told.push(name.to_owned());
    })
    .expect("written");
    assert_eq!((told[0].as_str(), told[told.len() - 1].as_str()), ("B/_con.wav", "LEFT-OUT.txt"));
    assert_eq!((written.left_out, written.unread, written.there), (2, 2, 0));
    let out = files(&to);
    let left = text(&out, "LEFT-OUT.txt");
    for want in ["A/One/02.wav: its file is not there now\n", "A/One/01 歌.wav: its file changes just now\n"]
    {
        assert!(left.contains(want), "{want} is not in:\n{left}");
    }
    // The tables and the playlist tell what is there.
    for (name, there) in [("tracks.csv", "B/_con.wav"), ("Playlists/Mine.m3u8", "../B/_con.wav")] {
        let said = text(&out, name);
        assert!(said.contains(there) && !said.contains("01 歌.wav") && !said.contains("02.wav"), "{said}");
    }
    assert!(out.contains_key("history.csv") && !out.contains_key("A/One/01 歌.wav"));

    // The next call finds them.
    fs::write(music.join("A/One/02.wav"), &kept).expect("written");
    let again = leave(&shelf, &to, &mut |_| {}).expect("written");
    assert_eq!((again.left_out, again.unread), (0, 0));
    let out = files(&to);
    assert_eq!(out["A/One/02.wav"], kept);
    assert_eq!(out["A/One/01 歌.wav"], fs::read(music.join("A/One/01 歌.wav")).expect("there"));
    assert!(!out.contains_key("LEFT-OUT.txt") && text(&out, "tracks.csv").contains("A/One/01 歌.wav"));
}

#[test]
fn an_error_of_the_disk_stays_with_its_file_and_one_of_the_target_ends_all() {
    let shelf = Shelf::new();
    let to = shelf.folder.path().join("out");
    // Opens, but cannot be read: EIO, as of a bad sector.
    fs::remove_file(shelf.music().join("A/One/01 歌.wav")).expect("removed");
    std::os::unix::fs::symlink("/proc/self/mem", shelf.music().join("A/One/01 歌.wav")).expect("linked");
    let written = leave(&shelf, &to, &mut |_| {}).expect("written");
    assert_eq!((written.left_out, written.unread), (1, 1));
    let left = text(&files(&to), "LEFT-OUT.txt");
    assert!(left.ends_with("A/One/01 歌.wav: its file cannot be read now\n"), "{left}");

    let other = shelf.folder.path().join("other");
    let mut first = true;
    let error = leave(&shelf, &other, &mut |_| {
        if std::mem::take(&mut first) {
            fs::write(other.join("B"), "a file where a folder must be").expect("written");
        }
    })
    .expect_err("the target cannot be written");
    assert!(error.to_string().contains("other/B"), "{error}");
    assert!(!other.join("LEFT-OUT.txt").exists());
}

#[test]
fn a_disk_whose_clock_moved_with_summer_time_is_gone_on_with() {
    let shelf = Shelf::new();
    let (to, music) = (shelf.folder.path().join("out"), shelf.music());
    set_time(&music.join("B/con.wav"), SystemTime::UNIX_EPOCH);
    leave(&shelf, &to, &mut |_| {}).expect("written");
    for name in files(&to).keys() {
        let path = to.join(name);
        let time = fs::metadata(&path).and_then(|found| found.modified()).expect("a time");
        set_time(&path, time + Duration::from_secs(3600));
    }
    // FAT begins in 1980.
    set_time(&to.join("B/_con.wav"), SystemTime::UNIX_EPOCH + Duration::from_secs(315_532_800));
    // Meanwhile a tagger wrote a file anew at the same length, and a title was corrected, which a table tells.
    let mut tagged = fs::read(music.join("A/One/02.wav")).expect("there");
    *tagged.last_mut().expect("a byte") ^= 1;
    fs::write(music.join("A/One/02.wav"), &tagged).expect("written");
    set_time(&music.join("A/One/02.wav"), SystemTime::now() + Duration::from_secs(86_400));
    let library = shelf.open();
    let change: Change =
        serde_json::from_value(serde_json::json!({ "set": { "title": "新しい" } })).expect("a change");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(library.correct(&[TrackId(1)], change, UnixTime(0))).expect("corrected");
    library.close().expect("closed");

    let mut told = Vec::new();
    let again = leave(&shelf, &to, &mut |name| told.push(name.to_owned())).expect("nothing is in the way");
    assert!(told.contains(&"tracks.csv".to_owned()) && told.contains(&"A/One/02.wav".to_owned()), "{told:?}");
    assert!(!told.iter().any(|name| name.contains("01 歌") || name.contains("_con")), "{told:?}");
    assert_eq!(again.files + again.there, files(&to).len() as u64);
    let out = files(&to);
    assert_eq!(out["A/One/02.wav"], tagged);
    assert!(text(&out, "tracks.csv").contains("新しい"));

    // What somebody changed at the same length is theirs still.
    let mut theirs = out["A/One/01 歌.wav"].clone();
    *theirs.last_mut().expect("a byte") ^= 1;
    fs::write(to.join("A/One/01 歌.wav"), &theirs).expect("written");
    set_time(&to.join("A/One/01 歌.wav"), SystemTime::now() + Duration::from_secs(3600));
    let error = leave(&shelf, &to, &mut |_| {}).expect_err("in the way");
    assert!(error.to_string().contains("is not as konpo wrote it"), "{error}");
    assert_eq!(fs::read(to.join("A/One/01 歌.wav")).expect("there"), theirs);
}

fn picture(color: [u8; 3]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = image::DynamicImage::ImageRgb8(image::RgbImage::from_pixel(300, 300, image::Rgb(color)));
    picture.write_to(&mut bytes, image::ImageFormat::Jpeg).expect("encoded");
    bytes.into_inner()
}

#[test]
fn a_cover_that_konpo_wrote_follows_the_shelf_and_one_of_others_stays() {
    let shelf = Shelf::new();
    let to = shelf.folder.path().join("out");
    let (here, there) = (shelf.music().join("A/One/cover.jpg"), to.join("A/One/cover.jpg"));
    let all = || shelf.export(Wanted::All, false, &to).expect("written");
    fs::write(&here, picture([200, 8, 8])).expect("written");
    all();
    let red = fs::read(&there).expect("a cover");
    assert_eq!((all().files, fs::read(&there).expect("a cover") == red), (0, true));
    fs::write(&here, picture([8, 8, 200])).expect("written");
    assert_eq!(all().files, 1);
    let blue = fs::read(&there).expect("a cover");
    assert_ne!(blue, red);
    fs::remove_file(&here).expect("removed");
    assert_eq!((all().files, there.exists()), (0, false));
    // Somebody else's.
    fs::write(&there, b"mine").expect("written");
    fs::write(&here, picture([200, 8, 8])).expect("written");
    assert_eq!((all().files, fs::read(&there).expect("there")), (0, b"mine".to_vec()));
}
