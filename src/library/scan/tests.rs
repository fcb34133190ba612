//! The scan against real folders.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lofty::config::WriteOptions;
use lofty::tag::{Accessor, TagExt};

use crate::library::check::{Repair, check};
use crate::library::rebuild::rebuild;
use crate::library::store::{finding, scanned};
use crate::library::tests::wav_of;
use crate::library::{Library, LibraryConfig, scan};
use crate::query::{Field, Filter, GroupId, Item, Query, Sort, What, Window};
use crate::track::TrackId;
use crate::units::{ByteCount, UnixTime};

#[path = "bought_tests.rs"]
mod bought;
mod charset;
mod corrections;
mod loudness;
#[path = "told_tests.rs"]
mod told;
#[path = "unlock_tests.rs"]
mod unlock;

struct Shelf {
    folder: tempfile::TempDir,
    roots: Vec<PathBuf>,
}

impl Shelf {
    fn new() -> Shelf {
        let folder = tempfile::tempdir().expect("a folder");
        let roots = vec![folder.path().join("music")];
        fs::create_dir(&roots[0]).expect("a music folder");
        Shelf { folder, roots }
    }

    fn config(&self) -> LibraryConfig {
        LibraryConfig {
            music: self.roots.clone(),
            data: self.folder.path().join("data"),
            keep_free: Some(ByteCount(0)),
        }
    }

    fn open(&self) -> Library {
        Library::open(self.config()).expect("opened")
    }

    /// Opens, looks through everything, and returns what is listed, by number.
    fn scan(&self) -> Vec<(TrackId, String)> {
        let library = self.open();
        look(&library);
        let listed = titles(&library, &Filter::All);
        library.close().expect("closed");
        listed
    }

    fn at(&self, path: &str) -> PathBuf {
        self.roots[0].join(path)
    }

    /// A tone with tags of its own.
    fn put(&self, path: &str, from: &str, title: &str, album: &str) -> PathBuf {
        let to = self.at(path);
        fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(from), &to).expect("copied");
        tag(&to, title, album);
        to
    }

    /// A WAV whose payload the seed decides; it has no tags.
    fn wav(&self, path: impl AsRef<Path>, seed: u32) {
        let to = self.roots[0].join(path);
        fs::create_dir_all(to.parent().expect("a folder")).expect("made");
        fs::write(to, wav(seed)).expect("written");
    }

    fn forget_index(&self) {
        self.forget("index.db");
    }

    fn forget(&self, name: &str) {
        for tail in ["", "-wal", "-shm"] {
            let _not_all_are_there = fs::remove_file(self.config().data.join(format!("{name}{tail}")));
        }
    }
}

fn wav(seed: u32) -> Vec<u8> {
    let data: Vec<u8> = (0..64u32).flat_map(|i| (i.wrapping_mul(seed) ^ seed).to_le_bytes()).collect();
    wav_of(&data)
}

fn tag(path: &Path, title: &str, album: &str) {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path).expect("there");
    let kind =
        lofty::probe::Probe::new(&mut file).guess_file_type().expect("read").file_type().expect("known");
    let mut tag = lofty::tag::Tag::new(kind.primary_tag_type());
    tag.set_title(title.into());
    tag.set_album(album.into());
    tag.set_artist("Singer".into());
    tag.set_track(1);
    tag.save_to_path(path, WriteOptions::default()).expect("tagged");
}

fn look(library: &Library) {
    scan::once(&library.inner).expect("looked through");
    // On a busy machine lists follow later.
    let now = *library.inner.revision.lock().expect("counted");
    wait(library.revision().wait_for(|&shown| shown >= now)).expect("shown");
}

fn wait<T>(answer: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(answer)
}

fn listed(library: &Library, what: What, filter: &Filter, sort: Sort) -> Vec<Item> {
    let window = Window { offset: 0, limit: Window::MOST };
    wait(library.browse(&Query { what, filter: filter.clone(), sort, window })).expect("read").items
}

fn titles(library: &Library, filter: &Filter) -> Vec<(TrackId, String)> {
    let items = listed(library, What::Tracks, filter, Sort::Album);
    let mut found: Vec<(TrackId, String)> = items
        .into_iter()
        .map(|item| match item {
            Item::Track(track) => (track.id, track.tags.title.clone().unwrap_or_default()),
            Item::Group(group) => panic!("no track: {group:?}"),
        })
        .collect();
    found.sort();
    found
}

fn ids(listed: &[(TrackId, String)]) -> Vec<TrackId> {
    listed.iter().map(|(id, _)| *id).collect()
}

/// Plays and marks a track, so that there is something to lose.
fn love(library: &Library, track: TrackId) {
    wait(library.note_play(track, UnixTime(1_700_000_000))).expect("noted");
    wait(library.set_favourite(track, Some(UnixTime(1_700_000_000)))).expect("marked");
}

fn loved(library: &Library) -> Vec<TrackId> {
    let both = Filter::And(vec![Filter::Exists(Field::Favourite), Filter::Exists(Field::Played)]);
    ids(&titles(library, &both))
}

#[test]
fn files_are_adopted_where_they_stand_and_keep_their_numbers() {
    let shelf = Shelf::new();
    shelf.put("A/One/01.flac", "tone.flac", "First", "One");
    shelf.put("A/One/02.mp3", "tone.mp3", "Second", "One");
    shelf.put("loose.m4a", "tone-alac.m4a", "Third", "Two");
    let before = fs::read(shelf.at("A/One/01.flac")).expect("there");
    let first = shelf.scan();
    let names: Vec<&str> = first.iter().map(|(_, title)| title.as_str()).collect();
    assert_eq!(
        {
            let mut names = names.clone();
            names.sort_unstable();
            names
        },
        ["First", "Second", "Third"]
    );
    assert_eq!(shelf.scan(), first, "a second look changes nothing");
    shelf.forget_index();
    assert_eq!(shelf.scan(), first, "what index.db knew is read again");
    assert_eq!(fs::read(shelf.at("A/One/01.flac")).expect("there"), before, "no byte is changed");
    let report = check(&shelf.config(), Repair::No).expect("checked");
    assert_eq!((report.problems.len(), report.unknown.len(), report.tracks), (0, 0, 3));
}

#[test]
fn what_moves_keeps_its_plays_and_favourites() {
    let shelf = Shelf::new();
    shelf.put("A/One/01.flac", "tone.flac", "First", "One");
    shelf.put("A/One/02.mp3", "tone.mp3", "Second", "One");
    let first = shelf.scan();
    let library = shelf.open();
    ids(&first).into_iter().for_each(|track| love(&library, track));
    library.close().expect("closed");
    drop(library);
    // A file, then a folder above it, then both at once.
    fs::rename(shelf.at("A/One/01.flac"), shelf.at("A/One/1 - First.flac")).expect("renamed");
    assert_eq!(shelf.scan(), first);
    fs::rename(shelf.at("A"), shelf.at("B")).expect("renamed");
    assert_eq!(shelf.scan(), first);
    fs::create_dir(shelf.at("C")).expect("made");
    fs::rename(shelf.at("B/One/02.mp3"), shelf.at("C/x.mp3")).expect("moved");
    fs::rename(shelf.at("B/One"), shelf.at("C/Uno")).expect("moved");
    assert_eq!(shelf.scan(), first);
    // Moved between disks: the copy comes before the first one goes.
    fs::copy(shelf.at("C/x.mp3"), shelf.at("x.mp3")).expect("copied");
    assert_eq!(shelf.scan().len(), 3, "two files are two tracks");
    fs::remove_file(shelf.at("C/x.mp3")).expect("removed");
    assert_eq!(shelf.scan(), first);
    let library = shelf.open();
    assert_eq!(loved(&library), ids(&first));
}

#[test]
fn other_tags_are_read_and_the_track_stays() {
    let shelf = Shelf::new();
    let path = shelf.put("01.flac", "tone.flac", "First", "One");
    let first = shelf.scan();
    let found = fs::metadata(&path).expect("there");
    tag(&path, "Better", "One");
    // Not even a tagger that sets the time back hides it.
    let times = fs::FileTimes::new().set_modified(found.modified().expect("a time"));
    fs::File::options().write(true).open(&path).and_then(|file| file.set_times(times)).expect("set");
    let second = shelf.scan();
    assert_eq!(second, [(first[0].0, "Better".to_owned())]);
}

#[test]
fn a_replacement_of_the_same_song_is_a_copy_of_the_same_track() {
    let shelf = Shelf::new();
    let mp3 = shelf.put("A/01 Song.mp3", "tone.mp3", "Song", "Album");
    let other = shelf.put("A/02 Other.mp3", "tone.mp3", "Other", "Album");
    let first = shelf.scan();
    let library = shelf.open();
    ids(&first).into_iter().for_each(|track| love(&library, track));
    library.close().expect("closed");
    drop(library);
    fs::remove_file(mp3).expect("removed");
    shelf.put("A/01 Song.flac", "tone.flac", "Song", "Album");
    assert_eq!(shelf.scan(), first, "the FLAC takes the place of the MP3");
    // Another song in the same place is another track; the first one is not forgotten.
    fs::remove_file(other).expect("removed");
    shelf.put("A/02 Other.mp3", "tone.flac", "Quite another", "Album");
    let third = shelf.scan();
    assert_eq!(third.len(), 2);
    assert!(!ids(&first).contains(&third[1].0), "{third:?}");
    let library = shelf.open();
    let gone = ids(&first).into_iter().find(|id| !ids(&third).contains(id)).expect("one is gone");
    let kept =
        wait(library.get(&[gone])).expect("read").remove(0).expect("nothing is deleted because it is absent");
    assert_eq!((kept.tags.title.as_deref(), kept.is_offline()), (Some("Other"), true));
    assert_eq!(wait(library.times_played(gone)).expect("read"), 1);
}

#[test]
fn a_thousand_copies_stay_a_thousand_tracks() {
    let shelf = Shelf::new();
    for number in 0..1000 {
        shelf.wav(format!("{}/{number}.wav", number % 7), number % 16);
    }
    let first = shelf.scan();
    assert_eq!(first.len(), 1000);
    fs::rename(shelf.at("3"), shelf.at("three")).expect("renamed");
    assert!(ids(&shelf.scan()) == ids(&first), "a folder was renamed");
    shelf.forget("owner.db");
    shelf.forget_index();
    rebuild(&shelf.config()).expect("rebuilt");
    assert!(ids(&shelf.scan()) == ids(&first), "the database was lost");
}

#[test]
fn whatever_lies_around_is_left_alone() {
    let shelf = Shelf::new();
    shelf.wav("plain.wav", 1);
    shelf.wav(OsStr::from_bytes(b"caf\xe9/\xff\xfe.wav"), 2);
    shelf.wav("Inbox/waiting.wav", 3);
    shelf.wav(".hidden/x.wav", 4);
    fs::write(shelf.at("text.mp3"), "this is not music at all, whatever it is called").expect("written");
    fs::write(shelf.at("empty.flac"), "").expect("written");
    fs::write(shelf.at("cover.jpg"), "x").expect("written");
    nix::unistd::mkfifo(&shelf.at("pipe.wav"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let outside = shelf.folder.path().join("outside");
    fs::create_dir(&outside).expect("made");
    fs::write(outside.join("secret.wav"), wav(5)).expect("written");
    std::os::unix::fs::symlink(&outside, shelf.at("link")).expect("linked");
    std::os::unix::fs::symlink(outside.join("secret.wav"), shelf.at("link.wav")).expect("linked");
    std::os::unix::fs::symlink(shelf.at(""), shelf.at("loop")).expect("linked");
    // A hole of 5 GB behind a valid head: its length is believed, its bytes are not read.
    let sparse = shelf.put("sparse.flac", "tone.flac", "Sparse", "Big");
    fs::OpenOptions::new().write(true).open(sparse).and_then(|file| file.set_len(5 << 30)).expect("a hole");
    let first = shelf.scan();
    assert_eq!(first.len(), 3, "{first:?}");
    let library = shelf.open();
    let refused = wait(library.refused(10)).expect("read");
    let names: Vec<String> = refused
        .iter()
        .map(|(path, why)| format!("{}: {why}", path.file_name().expect("a name").display()))
        .collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names[0].starts_with("empty.flac: the file is empty"), "{names:?}");
    assert!(names[1].starts_with("text.mp3: this is not music"), "{names:?}");
    look(&library);
    let unread = library.inner.store.read_blocking(|c| scanned::known(c, 1, Path::new(""))).expect("read").1;
    assert_eq!(
        unread.rest().filter(|known| known.stamp.is_none()).count(),
        0,
        "nothing is read again for nothing"
    );
    // What became music is taken.
    fs::write(shelf.at("empty.flac"), wav(9)).expect("written");
    look(&library);
    assert_eq!(titles(&library, &Filter::All).len(), 4);
    assert_eq!(wait(library.refused(10)).expect("read").len(), 1);
}

#[test]
fn no_clock_confuses_the_look() {
    let shelf = Shelf::new();
    let set = |path: &str, time: SystemTime| {
        let times = fs::FileTimes::new().set_modified(time);
        fs::File::options()
            .write(true)
            .open(shelf.at(path))
            .and_then(|file| file.set_times(times))
            .expect("set");
    };
    shelf.wav("future.wav", 1);
    set("future.wav", SystemTime::now() + Duration::from_secs(400 * 86_400));
    shelf.wav("past.wav", 2);
    set("past.wav", SystemTime::UNIX_EPOCH);
    shelf.wav("old.wav", 3);
    set("old.wav", SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000));
    let first = shelf.scan();
    let library = shelf.open();
    let added: Vec<i64> = ids(&first)
        .into_iter()
        .map(|id| wait(library.get(&[id])).expect("read")[0].as_ref().expect("there").added.0)
        .collect();
    let now = UnixTime::now().0;
    assert!(added.iter().all(|&added| added <= now), "nothing came in the future: {added:?}");
    assert_eq!(added.iter().filter(|&&added| added == 1_500_000_000).count(), 1, "{added:?}");
    library.close().expect("closed");
    drop(library);
    // Written again while the clock was wrong: another content, an older time.
    fs::write(shelf.at("future.wav"), wav(77)).expect("written");
    set("future.wav", SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000));
    let second = shelf.scan();
    assert_eq!(second.len(), 3);
    assert_ne!(ids(&second), ids(&first), "another payload without a title is another track");
}

#[test]
fn a_disk_that_goes_takes_nothing_with_it() {
    let mut shelf = Shelf::new();
    let second = shelf.folder.path().join("second");
    fs::create_dir_all(second.join("B")).expect("made");
    shelf.wav("A/1.wav", 1);
    fs::write(second.join("B/2.wav"), wav(2)).expect("written");
    shelf.roots.push(second.clone());
    let library = shelf.open();
    look(&library);
    let first = titles(&library, &Filter::All);
    assert_eq!(first.len(), 2);
    let away = shelf.folder.path().join("away");
    fs::rename(&second, &away).expect("taken away");
    fs::create_dir(&second).expect("an empty mount point");
    look(&library);
    assert_eq!(titles(&library, &Filter::All), first, "offline, not forgotten");
    let offline = |library: &Library| {
        ids(&first)
            .iter()
            .filter(|id| {
                wait(library.get(&[**id])).expect("read")[0].as_ref().is_some_and(|t| t.is_offline())
            })
            .count()
    };
    assert_eq!(offline(&library), 1);
    assert_eq!(fs::read_dir(&second).expect("there").count(), 0, "nothing is made under it");
    fs::remove_dir(&second).expect("still empty");
    fs::rename(&away, &second).expect("back");
    look(&library);
    assert_eq!(offline(&library), 0);
    assert!(ids(&first).iter().all(|&id| library.open_blocking(id).is_ok()));
    // An emptied folder is told from one that is away by its marker: here somebody deleted the music.
    fs::remove_dir_all(second.join("B")).expect("removed");
    look(&library);
    assert_eq!(titles(&library, &Filter::All).len(), 1);
}

#[test]
fn a_rebuild_brings_back_numbers_and_the_snapshot_the_rest() {
    let shelf = Shelf::new();
    shelf.put("A/One/01.flac", "tone.flac", "First", "One");
    shelf.put("A/One/02.mp3", "tone.mp3", "Second", "One");
    fs::create_dir_all(shelf.at("Playlists")).expect("made");
    fs::write(shelf.at("Playlists/Mine.m3u8"), "#EXTM3U\n../A/One/02.mp3\n../A/One/01.flac\n")
        .expect("written");
    let first = shelf.scan();
    let library = shelf.open();
    ids(&first).into_iter().for_each(|track| love(&library, track));
    library.close().expect("closed");
    drop(library);
    crate::library::backup::snapshot(&shelf.config().data, &shelf.roots[0]).expect("copied");
    // Moved and tagged while the database was lost.
    fs::rename(shelf.at("A/One"), shelf.at("A/Uno")).expect("renamed");
    tag(&shelf.at("A/Uno/01.flac"), "Renamed", "One");
    shelf.forget("owner.db");
    shelf.forget_index();
    let report = rebuild(&shelf.config()).expect("rebuilt");
    assert_eq!((report.tracks, report.problems.len(), report.lost.len()), (2, 0, 0), "{report:?}");
    let library = shelf.open();
    assert_eq!(ids(&titles(&library, &Filter::All)), ids(&first), "the same numbers");
    assert_eq!(loved(&library), ids(&first), "plays and favourites");
    let lists = listed(&library, What::Playlists, &Filter::All, Sort::Listed);
    let [Item::Group(list)] = &lists[..] else { panic!("one list: {lists:?}") };
    let of_list = Filter::In(What::Playlists, list.id);
    let tracks = listed(&library, What::Tracks, &of_list, Sort::Listed);
    assert_eq!(
        (list.name.as_str(), list.tracks, tracks.len()),
        ("Mine", 2, 2),
        "the list means the files that moved"
    );
}

#[test]
fn a_rebuild_brings_back_when_a_track_came() {
    let shelf = Shelf::new();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000);
    for (path, from, title) in [("A/1.mp3", "tone.mp3", "First"), ("A/2.flac", "tone.flac", "Second")] {
        let file = fs::File::options().write(true).open(shelf.put(path, from, title, "One"));
        file.and_then(|file| file.set_modified(long_ago)).expect("set");
    }
    let first = shelf.scan();
    fs::rename(shelf.at("A/2.flac"), shelf.at("2.flac")).expect("moved");
    assert_eq!(shelf.scan(), first);
    shelf.forget("owner.db");
    shelf.forget_index();
    rebuild(&shelf.config()).expect("rebuilt");
    let library = shelf.open();
    for track in wait(library.get(&ids(&first))).expect("read").into_iter().flatten() {
        assert_eq!(track.added, UnixTime(1_500_000_000), "{track:?}");
    }
}

#[test]
fn what_a_power_cut_took_from_the_index_is_made_up_for() {
    let shelf = Shelf::new();
    let index = shelf.config().data.join("index.db");
    let of_now = || fs::read(&index).expect("one file after a clean stop");
    shelf.put("A/1.mp3", "tone.mp3", "First", "One");
    shelf.put("A/2.flac", "tone.flac", "Second", "One");
    let there = shelf.scan();
    let shown = of_now();
    let away = shelf.folder.path().join("away");
    fs::rename(shelf.at("A"), &away).expect("renamed");
    assert_eq!(shelf.scan(), []);
    let hidden = of_now();
    // The owner's database is a commit ahead: the index is written behind it, and synced later.
    let cut = |index_of_then: &[u8]| {
        shelf.forget_index();
        fs::write(&index, index_of_then).expect("written");
        let owner = rusqlite::Connection::open(shelf.config().data.join("owner.db")).expect("opened");
        owner.execute("UPDATE kept SET value = '0' WHERE name = 'clean'", []).expect("unclean");
    };
    cut(&shown);
    assert_eq!(shelf.scan(), [], "what went is not listed");
    fs::rename(&away, shelf.at("B")).expect("renamed");
    assert_eq!(shelf.scan(), there);
    cut(&hidden);
    assert_eq!(shelf.scan(), there, "what came back is listed");
    tag(&shelf.at("B/1.mp3"), "Renamed", "One");
    let renamed = shelf.scan();
    assert_ne!(renamed, there);
    cut(&shown);
    assert_eq!(shelf.scan(), renamed, "what was tagged again shows it");
}

#[test]
fn a_list_stays_whole_when_its_files_move() {
    let shelf = Shelf::new();
    shelf.put("A/1.mp3", "tone.mp3", "First", "One");
    fs::create_dir_all(shelf.at("Playlists")).expect("made");
    fs::write(shelf.at("Playlists/Mine.m3u"), "A/1.mp3\nA/2.flac\nhttp://radio.example/\n").expect("written");
    shelf.scan();
    shelf.put("A/2.flac", "tone.flac", "Second", "One");
    shelf.scan();
    fs::rename(shelf.at("A"), shelf.at("B")).expect("moved");
    shelf.scan();
    let mut text = fs::read(shelf.at("Playlists/Mine.m3u")).expect("there");
    text.extend_from_slice(b"# edited\n");
    fs::write(shelf.at("Playlists/Mine.m3u"), text).expect("written");
    shelf.scan();
    let library = shelf.open();
    let tracks = library.inner.store.read_blocking(|c| finding::in_list(c, GroupId(1))).expect("read");
    assert_eq!(tracks.len(), 2);
    fs::remove_file(shelf.at("Playlists/Mine.m3u")).expect("removed");
    look(&library);
    assert!(listed(&library, What::Playlists, &Filter::All, Sort::Listed).is_empty());
}

#[test]
fn folders_are_browsed_as_they_lie() {
    let shelf = Shelf::new();
    shelf.wav("B/b/2.wav", 2);
    shelf.wav("B/b/10.wav", 10);
    shelf.wav("A/1.wav", 1);
    let library = shelf.open();
    look(&library);
    let folders = |within: &Filter| -> Vec<(String, u64, GroupId)> {
        let items = listed(&library, What::Folders, within, Sort::Listed);
        let group = |item| match item {
            Item::Group(group) => (group.name, group.tracks, group.id),
            Item::Track(track) => panic!("no folder: {track:?}"),
        };
        items.into_iter().map(group).collect()
    };
    let top = folders(&Filter::All);
    assert_eq!(top.len(), 1);
    let within = |id| Filter::In(What::Folders, id);
    let first = folders(&within(top[0].2));
    assert_eq!(first.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    let second = folders(&within(first[1].2));
    assert_eq!((second[0].0.as_str(), second[0].1), ("b", 2));
    assert_eq!(listed(&library, What::Tracks, &within(second[0].2), Sort::Listed).len(), 2);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 8, ..Default::default() })]
    #[test]
    fn a_number_means_one_recording_for_ever(steps in proptest::collection::vec((0u8..4, 0usize..6, 0u8..3), 1..14)) {
        let shelf = Shelf::new();
        let library = shelf.open();
        let mut places: [Option<PathBuf>; 6] = Default::default();
        let mut numbers: [Option<TrackId>; 6] = Default::default();
        for (step, which, folder) in steps {
            let name = PathBuf::from(format!("{folder}/{which}.wav"));
            match (step, places[which].clone()) {
                (0 | 1, None) => {
                    shelf.wav(&name, which as u32 + 1);
                    places[which] = Some(name);
                }
                (2, Some(at)) => {
                    fs::remove_file(shelf.roots[0].join(at)).expect("there");
                    places[which] = None;
                }
                (3, Some(at)) => {
                    fs::create_dir_all(shelf.roots[0].join(&name).parent().expect("a folder")).expect("made");
                    fs::rename(shelf.roots[0].join(at), shelf.roots[0].join(&name)).expect("moved");
                    places[which] = Some(name);
                }
                _ => {}
            }
            look(&library);
            for (place, number) in places.iter().zip(&mut numbers) {
                let Some(place) = place else { continue };
                let (folder, name) = (place.parent().expect("a folder"), place.file_name().expect("a name").as_bytes());
                let base = &shelf.roots[0];
                let found = library.inner.store.read_blocking(|c| scanned::track_at(c, base, folder, name)).expect("read");
                proptest::prop_assert!(found.is_some());
                proptest::prop_assert_eq!(*number.get_or_insert(found.expect("asked")), found.expect("asked"));
            }
            let mut given: Vec<TrackId> = numbers.iter().flatten().copied().collect();
            let count = given.len();
            given.sort_unstable();
            given.dedup();
            proptest::prop_assert_eq!(given.len(), count);
            let there = places.iter().flatten().count();
            proptest::prop_assert_eq!(titles(&library, &Filter::All).len(), there);
        }
    }
}

/// What outlives both databases: numbers, what was loved, lists.
fn outlives(library: &Library, first: &[(TrackId, String)]) {
    assert_eq!(ids(&titles(library, &Filter::All)), ids(first), "the same numbers");
    assert_eq!(loved(library), ids(first), "plays and favourites");
    let lists = listed(library, What::Playlists, &Filter::All, Sort::Listed);
    let [Item::Group(list)] = &lists[..] else { panic!("one list: {lists:?}") };
    assert_eq!((list.name.as_str(), list.tracks), ("Mine", 2));
}

/// Two files, a list, everything loved, a snapshot; returns the tracks and the revision.
fn loved_shelf(shelf: &Shelf) -> (Vec<(TrackId, String)>, u64) {
    // Numbers that a scan of an empty database would not give.
    shelf.put("Z/0.flac", "tone.flac", "Before", "None");
    shelf.scan();
    fs::remove_dir_all(shelf.at("Z")).expect("removed");
    shelf.put("A/One/01.flac", "tone.flac", "First", "One");
    shelf.put("A/One/02.mp3", "tone.mp3", "Second", "One");
    tag(&shelf.at("A/One/01.flac"), "Third", "Two");
    fs::create_dir_all(shelf.at("Playlists")).expect("made");
    fs::write(shelf.at("Playlists/Mine.m3u8"), "../A/One/02.mp3\n../A/One/01.flac\n").expect("written");
    let first = shelf.scan();
    let library = shelf.open();
    ids(&first).into_iter().for_each(|track| love(&library, track));
    let revision = *library.revision().borrow();
    library.close().expect("closed");
    crate::library::backup::snapshot(&shelf.config().data, &shelf.roots[0]).expect("copied");
    (first, revision)
}

#[test]
fn a_start_without_its_databases_takes_the_shelf_up_again() {
    let shelf = Shelf::new();
    let (first, revision) = loved_shelf(&shelf);
    // Moved while the database was lost.
    fs::rename(shelf.at("A/One"), shelf.at("A/Uno")).expect("renamed");
    for index_too in [true, false] {
        shelf.forget("owner.db");
        if index_too {
            shelf.forget_index();
        }
        let again = shelf.scan();
        assert_eq!(again, first, "index too: {index_too}");
        let library = shelf.open();
        assert!(*library.revision().borrow() > revision, "no revision means two things");
        outlives(&library, &first);
        library.close().expect("closed");
    }
    assert_eq!(shelf.scan(), first, "and it is told once");
}

#[test]
fn a_disk_that_comes_after_the_database_was_lost_is_taken_up_too() {
    let shelf = Shelf::new();
    let (first, _) = loved_shelf(&shelf);
    shelf.forget("owner.db");
    shelf.forget_index();
    let away = shelf.folder.path().join("away");
    fs::rename(&shelf.roots[0], &away).expect("unmounted");
    // Without a database nothing tells that a disk belongs there: an empty shelf is made.
    let library = shelf.open();
    library.look_at_disk().expect("an empty shelf");
    fs::rename(&shelf.roots[0], shelf.folder.path().join("under")).expect("covered");
    fs::rename(&away, &shelf.roots[0]).expect("mounted");
    library.look_at_disk().expect("there");
    look(&library);
    outlives(&library, &first);
    library.close().expect("closed");
}

#[test]
fn a_strange_disk_gives_none_of_its_numbers_to_a_shelf_that_has_its_own() {
    let (shelf, strange) = (Shelf::new(), Shelf::new());
    strange.put("B/1.flac", "tone.flac", "Theirs", "Two");
    strange.scan();
    shelf.put("A/1.mp3", "tone.mp3", "Ours", "One");
    let ours = shelf.scan();
    let roots = vec![shelf.roots[0].clone(), strange.roots[0].clone()];
    let both = Shelf { folder: shelf.folder, roots };
    let all = both.scan();
    assert_eq!(all.len(), 2);
    assert!(all.contains(&ours[0]), "{all:?} with {ours:?}");
    assert_ne!(all[0].0, all[1].0);
}
