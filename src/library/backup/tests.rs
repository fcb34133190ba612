//! Backups beside a writer that goes on, which of them stay, and what may not lie beside the music.

mod roll_back;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::prelude::*;
use sha2::Digest;
use tempfile::TempDir;

use super::*;
use crate::library::{Added, Library, LibraryConfig, NewCopy};
use crate::offer::{Key, OfferId, Provenance, Right};
use crate::track::{AudioFormat, Codec, Container, Fingerprint, Protection, QuickKey, Sha256, Tags, TrackId};
use crate::units::{ByteCount, Millis};

const NOW: UnixTime = UnixTime(1_795_219_200);

struct Bench {
    folder: TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    fn new() -> Bench {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Bench { folder: tempfile::tempdir().expect("a folder"), runtime }
    }

    fn config(&self) -> LibraryConfig {
        LibraryConfig { music: vec![self.music()], data: self.data(), keep_free: Some(ByteCount(0)) }
    }

    fn music(&self) -> PathBuf {
        self.folder.path().join("music")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn open(&self) -> Library {
        Library::open(self.config()).expect("opened")
    }

    fn add(&self, library: &Library, event: i64, seed: u8) -> Added {
        let staged = library.staging_dir().expect("there").join(format!("{event}.part"));
        fs::write(&staged, [seed; 100]).expect("written");
        let provenance = Provenance {
            way: "inbox".into(),
            device: String::new(),
            device_name: String::new(),
            original_name: "song.flac".into(),
            remote: String::new(),
        };
        let format = AudioFormat {
            container: Container::Flac,
            codec: Codec::Flac,
            rate: None,
            channels: None,
            bits: None,
            frames: None,
        };
        let new = NewCopy {
            event: OfferId(event),
            staged,
            original_name: "song.flac".into(),
            tags: Tags { title: Some(format!("Song {seed}")), ..Tags::default() },
            format,
            protection: Protection::None,
            personal: Vec::new(),
            purchases: Vec::new(),
            sha256: Sha256(sha2::Sha256::digest([seed; 100]).into()),
            quick: QuickKey([seed; 16]),
            fingerprint: Some(Fingerprint { algo: 1, hash: QuickKey([seed; 16]) }),
            size: ByteCount(100),
            duration: Millis(1000),
            provenance,
            received: NOW,
            joined: None,
        };
        self.runtime.block_on(library.add(new)).expect("added")
    }

    fn titles(&self, library: &Library) -> Vec<String> {
        let ids: Vec<TrackId> = (1..50).map(TrackId).collect();
        let found = self.runtime.block_on(library.get(&ids)).expect("read");
        found.iter().flatten().map(|track| track.tags.title_or("?").to_owned()).collect()
    }

    /// The database as it is, under the name of a backup.
    fn backup(&self, at: UnixTime) -> PathBuf {
        make(&self.data(), at).expect("backed up")
    }
}

fn close(library: Library) {
    library.close().expect("closed");
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("there").flatten();
    let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A database of some MB whose two tables always have as many rows as each other.
fn pairs(data: &Path) -> Connection {
    let database = Connection::open(data.join(OWNER)).expect("made");
    let filler = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)";
    database
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA user_version = 1;
             CREATE TABLE a(text); CREATE TABLE b(text);
             INSERT INTO a {filler} SELECT hex(zeroblob(500)) FROM n;
             INSERT INTO b {filler} SELECT hex(zeroblob(500)) FROM n;"
        ))
        .expect("filled");
    database
}

#[test]
fn a_backup_shows_one_moment_while_the_writer_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    let writer = pairs(data);
    writer.busy_timeout(Duration::ZERO).expect("set");
    let (stop, written) = (&AtomicBool::new(false), &AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let both = "BEGIN; INSERT INTO a VALUES ('x'); INSERT INTO b VALUES ('x'); COMMIT";
                writer.execute_batch(both).expect("the writer is never held up");
                written.fetch_add(1, Ordering::Relaxed);
            }
        });
        let made: Vec<Result<PathBuf>> = (0..5).map(|n| make(data, UnixTime(NOW.0 + n))).collect();
        let during = written.load(Ordering::Relaxed);
        stop.store(true, Ordering::Relaxed);
        assert!(during > 0, "nothing was written during five backups");
        let mut before = 0;
        for path in made {
            let path = path.expect("made");
            assert_eq!(verify(&path).expect("whole"), 1);
            let copy = open_to_read(&path).expect("opened");
            let count = |sql| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("counted");
            let (a, b) = (count("SELECT count(*) FROM a"), count("SELECT count(*) FROM b"));
            assert!(a == b && a >= 2000 && a >= before, "{a} rows, {b} rows, {before} before");
            before = a;
        }
    });
    assert_eq!(names(&data.join(FOLDER)).len(), 5, "nothing but the backups is left");
}

#[test]
fn what_a_power_cut_left_is_removed_by_the_next_backup() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    drop(pairs(data));
    fs::create_dir(data.join(FOLDER)).expect("made");
    for tail in ["", "-journal", "-wal"] {
        fs::write(data.join(FOLDER).join(format!("{PART}{tail}")), "half a backup").expect("written");
    }
    assert_eq!(last(data, NOW).expect("listed"), None, "half a backup is none");
    make(data, NOW).expect("made");
    assert_eq!(names(&data.join(FOLDER)), ["owner-20261121T000000Z.db"]);
    assert_eq!(last(data, NOW).expect("listed"), Some(NOW));
    assert_eq!(last(data, UnixTime(NOW.0 - 1)).expect("listed"), None, "it is dated after now");
}

#[test]
fn a_database_that_is_damaged_is_not_backed_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path();
    drop(pairs(data));
    make(data, NOW).expect("made");
    let mut bytes = fs::read(data.join(OWNER)).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8192].fill(0xff);
    fs::write(data.join(OWNER), bytes).expect("written");
    let error = make(data, UnixTime(NOW.0 + 1)).expect_err("damaged");
    assert_eq!(error.kind(), Kind::Damaged, "{error}");
    fs::write(data.join(OWNER), "").expect("written");
    assert_eq!(make(data, UnixTime(NOW.0 + 2)).expect_err("empty").kind(), Kind::Damaged);
    fs::remove_file(data.join(OWNER)).expect("there");
    assert!(make(data, UnixTime(NOW.0 + 3)).is_err() && !data.join(OWNER).exists());
    assert_eq!(names(&data.join(FOLDER)), ["owner-20261121T000000Z.db"], "the good one stays alone");
}

#[test]
fn old_backups_go_and_other_files_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    let backups = folder.path().join(FOLDER);
    assert!(prune(folder.path(), NOW).is_ok(), "no backups yet");
    fs::create_dir(&backups).expect("made");
    for day in 0..60 {
        fs::write(backups.join(name_of(UnixTime(NOW.0 - day * DAY))), "").expect("written");
    }
    for other in ["owner-2026.db", "owner-20261321T000000Z.db", "mine.txt"] {
        fs::write(backups.join(other), "").expect("written");
    }
    prune(folder.path(), NOW).expect("pruned");
    let left = names(&backups);
    let old: Vec<&str> =
        left.iter().map(String::as_str).filter(|name| name.starts_with("owner-2026")).collect();
    // NOW is a Saturday: seven days reach back to last Sunday, then the Sundays before.
    let want = [
        "owner-2026.db",
        "owner-20261025T000000Z.db",
        "owner-20261101T000000Z.db",
        "owner-20261108T000000Z.db",
        "owner-20261115T000000Z.db",
        "owner-20261116T000000Z.db",
        "owner-20261117T000000Z.db",
        "owner-20261118T000000Z.db",
        "owner-20261119T000000Z.db",
        "owner-20261120T000000Z.db",
        "owner-20261121T000000Z.db",
        "owner-20261321T000000Z.db",
    ];
    assert_eq!(old, want);
    assert!(left.contains(&"mine.txt".to_owned()));
}

proptest! {
    #[test]
    fn the_newest_three_and_whatever_is_dated_after_now_stay(
        stamps in prop::collection::vec(-100 * DAY..100 * DAY, 0..60),
        now in -200 * DAY..200 * DAY,
    ) {
        let stamps: Vec<UnixTime> = stamps.into_iter().map(|stamp| UnixTime(NOW.0 + stamp)).collect();
        let now = UnixTime(NOW.0 + now);
        let stays = keep(&stamps, now);
        prop_assert_eq!(stays.len(), stamps.len());
        let mut sorted = stamps.clone();
        sorted.sort();
        let third = sorted.iter().rev().nth(2);
        let (mut left, mut days, mut past) = (Vec::new(), HashSet::new(), 0);
        for (&stamp, &stays) in stamps.iter().zip(&stays) {
            prop_assert!(stays || stamp <= now && Some(&stamp) <= third);
            if stays {
                left.push(stamp);
                days.insert(stamp.0.div_euclid(DAY));
                past += usize::from(stamp <= now);
            }
        }
        prop_assert!(left.len() >= stamps.len().min(NEWEST));
        prop_assert!(past <= NEWEST + (DAYS + WEEKS) as usize);
        // Each of the last seven days that had one still has one.
        for stamp in stamps.iter().filter(|stamp| **stamp <= now) {
            let day = stamp.0.div_euclid(DAY);
            prop_assert!(now.0.div_euclid(DAY) - day >= DAYS || days.contains(&day));
        }
        prop_assert!(keep(&left, now).into_iter().all(|stays| stays), "a second look removes more");
    }

    #[test]
    fn a_year_of_backups_always_reaches_back_three_weeks(hours in prop::collection::vec(1i64..30, 400)) {
        let (mut left, mut now) = (Vec::new(), NOW);
        for step in hours {
            now = UnixTime(now.0 + step * HOUR);
            left.push(now);
            let stays = keep(&left, now);
            left = left.into_iter().zip(stays).filter(|(_, stays)| *stays).map(|(stamp, _)| stamp).collect();
            let oldest = left.iter().min().copied().unwrap_or(now);
            prop_assert!(now.0 - NOW.0 < 28 * DAY || now.0 - oldest.0 >= 20 * DAY, "{oldest:?} at {now:?}");
        }
        prop_assert!(left.len() <= NEWEST + (DAYS + WEEKS) as usize);
    }

    #[test]
    fn a_name_reads_back_its_time(stamp in 0i64..250_000_000_000) {
        prop_assert_eq!(stamp_of(&name_of(UnixTime(stamp))), Some(UnixTime(stamp)));
    }

    #[test]
    fn no_name_is_too_strange(name in "owner-.{0,20}\\.db") {
        let _whatever_it_is = stamp_of(&name);
    }

    #[test]
    fn whatever_the_clock_says_a_copy_is_due_once(last in any::<Option<i64>>(), now in any::<i64>()) {
        let (last, now) = (last.map(UnixTime), UnixTime(now));
        let mut due = Due::since(last);
        let fresh = last.is_some_and(|last| last <= now && now.0.saturating_sub(last.0) < DAY);
        prop_assert_eq!(due.is_due(now), !fresh);
        due.made(now);
        prop_assert!(!due.is_due(now));
        due.arrived(MOST_ARRIVALS);
        prop_assert!(due.is_due(now));
    }
}

#[test]
fn a_copy_is_due_once_a_day_and_after_fifty_arrivals() {
    let mut due = Due::since(None);
    let at = |seconds| UnixTime(NOW.0 + seconds);
    assert!(due.is_due(NOW));
    due.failed(NOW);
    assert!(!due.is_due(at(HOUR - 1)) && due.is_due(at(HOUR)));
    assert!(due.is_due(at(-DAY)), "the clock was set back meanwhile");
    due.made(NOW);
    assert!(!due.is_due(at(DAY - 1)) && due.is_due(at(DAY)));
    due.arrived(49);
    assert!(!due.is_due(at(1)));
    due.arrived(1);
    assert!(due.is_due(at(1)));
    assert!(due.is_due(at(-1)), "the last one is dated after now");
}

#[test]
fn a_snapshot_has_everything_but_the_keys() {
    let bench = Bench::new();
    let library = bench.open();
    bench.add(&library, 1, 1);
    let (cookie, udn) = ("5ec4e7c001e".repeat(20), "4d696e69-444c-164e-9d41-0000005ec4e7");
    for (n, key) in [Key::Cookie(cookie.clone()), Key::Udn(udn.into())].into_iter().enumerate() {
        let added = library.add_device(key, format!("Device {n}"), Right::Owner);
        bench.runtime.block_on(added).expect("added");
    }
    let kept = Connection::open(bench.data().join(OWNER)).expect("opened");
    kept.execute("INSERT INTO kept(name, value) VALUES ('page_token', '5ec4e770ken')", []).expect("kept");
    bench.runtime.block_on(library.save_memory("{}".into())).expect("kept");
    snapshot(&bench.data(), &bench.music()).expect("made");
    let bytes = fs::read(bench.music().join(".konpo").join(SNAPSHOT)).expect("there");
    for secret in [cookie.as_bytes(), udn.as_bytes(), b"5ec4e770ken".as_slice()] {
        let found = memchr::memmem::find(&bytes, secret);
        assert_eq!(found, None, "{}", String::from_utf8_lossy(secret));
        let whole = fs::read(bench.backup(NOW)).expect("there");
        assert!(memchr::memmem::find(&whole, secret).is_some(), "a backup has it");
    }
    let copy = open_to_read(&bench.music().join(".konpo").join(SNAPSHOT)).expect("opened");
    let count = |sql: &str| copy.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("counted");
    assert_eq!(count("PRAGMA user_version"), i64::from(crate::library::upgrade::newest()));
    assert_eq!((count("SELECT count(*) FROM copy"), count("SELECT count(*) FROM device_key")), (1, 0));
    assert_eq!(count("SELECT count(*) FROM kept WHERE name = 'memory'"), 1);
    let left = names(&bench.music().join(".konpo"));
    assert!(!left.iter().any(|name| name.starts_with(SNAPSHOT_PART)), "{left:?}");
    assert_eq!(names(&bench.data().join(FOLDER)), ["owner-20261121T000000Z.db"]);
    assert!(last_snapshot(&bench.music()).is_some());
    close(library);
}

#[test]
fn a_snapshot_that_cannot_be_made_leaves_the_one_before() {
    let bench = Bench::new();
    close(bench.open());
    let hidden = bench.music().join(".konpo");
    snapshot(&bench.data(), &bench.music()).expect("made");
    let before = fs::read(hidden.join(SNAPSHOT)).expect("there");
    fs::write(hidden.join(SNAPSHOT_PART), "left by a power cut").expect("written");
    fs::write(bench.data().join(OWNER), "this was a database").expect("written");
    assert!(snapshot(&bench.data(), &bench.music()).is_err());
    assert_eq!(fs::read(hidden.join(SNAPSHOT)).expect("there"), before);
    assert!(!hidden.join(SNAPSHOT_PART).exists());
    // An empty mount point stays empty.
    fs::remove_dir_all(&hidden).expect("removed");
    let error = snapshot(&bench.data(), &bench.music()).expect_err("the disk is not there");
    assert_eq!(error.kind(), Kind::Offline);
    assert!(!hidden.exists() && last_snapshot(&bench.music()).is_none());
}
