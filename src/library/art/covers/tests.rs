use std::cell::Cell;

use image::{DynamicImage, ImageFormat, RgbImage};

use super::*;

fn picture(seed: u8) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = RgbImage::from_fn(64, 64, |x, y| image::Rgb([seed, (x * 3) as u8, (y * 3) as u8]));
    DynamicImage::ImageRgb8(picture).write_to(&mut bytes, ImageFormat::Png).expect("encoded");
    bytes.into_inner()
}

fn key(n: u8) -> String {
    blake3::hash(&[n]).to_hex().to_string()
}

fn never() -> Result<Option<Vec<u8>>> {
    panic!("it is made again");
}

#[test]
fn a_cover_is_made_once_and_found_by_the_next_konpo() {
    let data = tempfile::tempdir().expect("a folder");
    let covers = Covers::open(data.path());
    let made = covers.get(&key(1), Size::Small160, || Ok(Some(picture(1)))).expect("made").expect("a cover");
    assert_eq!(covers.get(&key(1), Size::Small160, never).expect("kept"), Some(made.clone()));
    assert_eq!(Covers::open(data.path()).get(&key(1), Size::Small160, never).expect("kept"), Some(made));
    let path = data.path().join("art").join(&key(1)[..2]).join(format!("{}-160.jpg", key(1)));
    assert!(path.is_file(), "{}", path.display());
    // Another size is another file.
    let asked = Cell::new(0);
    let make = || {
        asked.set(asked.get() + 1);
        Ok(Some(picture(1)))
    };
    assert!(covers.get(&key(1), Size::Large600, make).expect("made").is_some());
    assert_eq!(asked.get(), 1);
}

#[test]
fn that_there_is_none_is_remembered_and_an_error_is_not() {
    let data = tempfile::tempdir().expect("a folder");
    let covers = Covers::open(data.path());
    for (n, made) in [
        (1, Ok(None)),
        (2, Ok(Some(b"no picture".to_vec()))),
        (3, Err(Error::new(Kind::Damaged, "x"))),
        (4, Err(Error::new(Kind::Unsupported, "x"))),
    ] {
        assert_eq!(covers.get(&key(n), Size::Small160, || made).expect("none"), None);
        assert_eq!(covers.get(&key(n), Size::Small160, never).expect("none"), None);
    }
    let offline = covers.get(&key(5), Size::Small160, || Err(Error::new(Kind::Offline, "x")));
    assert_eq!(offline.expect_err("offline").kind(), Kind::Offline);
    assert!(covers.get(&key(5), Size::Small160, || Ok(Some(picture(5)))).expect("made").is_some());
}

#[test]
fn what_a_power_cut_left_is_made_again() {
    let data = tempfile::tempdir().expect("a folder");
    let covers = Covers::open(data.path());
    let path = covers.path(&key(1), Size::Small160).expect("a path");
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(&path, [0; 4096]).expect("written");
    fs::write(data.path().join("art/new"), "half").expect("written");
    assert!(covers.get(&key(1), Size::Small160, || Ok(Some(picture(1)))).expect("made").is_some());
    assert!(covers.get(&key(1), Size::Small160, never).expect("kept").is_some());
}

#[test]
fn a_disk_that_takes_nothing_costs_no_cover() {
    let data = tempfile::tempdir().expect("a folder");
    fs::write(data.path().join("art"), "a file where the folder should be").expect("written");
    let covers = Covers::open(data.path());
    for _ in 0..2 {
        assert!(covers.get(&key(1), Size::Small160, || Ok(Some(picture(1)))).expect("made").is_some());
    }
}

#[test]
fn a_key_is_no_path() {
    let covers = Covers::open(Path::new("/nowhere"));
    let long = "é".repeat(32);
    for bad in ["", "../../../etc/passwd", &"g".repeat(64), &"a".repeat(63), &long] {
        assert_eq!(
            covers.get(bad, Size::Small160, never).expect_err("refused").kind(),
            Kind::Invalid,
            "{bad}"
        );
    }
}

#[test]
fn what_was_not_used_for_long_goes_first() {
    let data = tempfile::tempdir().expect("a folder");
    let covers = Covers { most: 12 * 4096, ..Covers::open(data.path()) };
    let day = Duration::from_secs(24 * 60 * 60);
    let there = |n: u8| covers.path(&key(n), Size::Small160).expect("a path").exists();
    for n in 0..12 {
        covers.get(&key(n), Size::Small160, || Ok(Some(picture(n)))).expect("made");
        let path = covers.path(&key(n), Size::Small160).expect("a path");
        let file = File::options().append(true).open(path).expect("there");
        file.set_modified(SystemTime::now() - day * (30 - u32::from(n))).expect("set");
    }
    // The oldest was shown today.
    assert!(covers.get(&key(0), Size::Small160, never).expect("kept").is_some());
    *covers.making.lock().expect("whole") = LOOK_AFTER;
    covers.get(&key(12), Size::Small160, || Ok(Some(picture(12)))).expect("made");
    let gone: Vec<u8> = (0..13).filter(|&n| !there(n)).collect();
    assert_eq!(gone, [1, 2, 3]);
    // Not looked again before much was written.
    for n in 20..30 {
        covers.get(&key(n), Size::Small160, || Ok(None)).expect("none");
    }
    assert!((20..30).all(there));
}

#[test]
fn one_is_made_at_a_time() {
    let data = tempfile::tempdir().expect("a folder");
    let covers = Covers::open(data.path());
    let (busy, most) = (Mutex::new(0), Mutex::new(0));
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (covers, busy, most) = (&covers, &busy, &most);
            scope.spawn(move || {
                let make = || {
                    let now = {
                        let mut busy = busy.lock().expect("whole");
                        *busy += 1;
                        *busy
                    };
                    let mut most = most.lock().expect("whole");
                    *most = now.max(*most);
                    std::thread::yield_now();
                    *busy.lock().expect("whole") -= 1;
                    Ok(Some(picture(n)))
                };
                covers.get(&key(n), Size::Small160, make).expect("made");
            });
        }
    });
    assert_eq!(*most.lock().expect("whole"), 1);
}
