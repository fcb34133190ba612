//! The shelf against power cuts, merges and rebuilds, with real files in a folder of the test's own.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::arrive::Step;
use super::*;
use crate::library::check::{Repair, check};
use crate::library::rebuild::rebuild;
use crate::library::store::{devices, journal, marks};
use crate::offer::{Consent, Key, Right};
use crate::query::{Query, Window};
use crate::track::{Codec, Container, Evidence, PurchaseLevel};

#[path = "purchase_tests.rs"]
mod purchases;

struct Bench {
    folder: TempDir,
}

/// A 16-bit mono WAV of a few frames, so that a rebuild can read it again.
fn wav(seed: u8) -> Vec<u8> {
    wav_of(&(0..200u8).map(|i| i.wrapping_mul(seed)).collect::<Vec<u8>>())
}

/// A 16-bit mono WAV of these bytes.
pub(super) fn wav_of(data: &[u8]) -> Vec<u8> {
    let mut file =
        b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x44\xac\0\0\x88\x58\x01\0\x02\0\x10\0data".to_vec();
    file.extend_from_slice(&(data.len() as u32).to_le_bytes());
    file.extend_from_slice(data);
    let size = (file.len() - 8) as u32;
    file[4..8].copy_from_slice(&size.to_le_bytes());
    file
}

impl Bench {
    fn new() -> Bench {
        Bench { folder: tempfile::tempdir().expect("a folder") }
    }

    fn config(&self) -> LibraryConfig {
        LibraryConfig {
            music: vec![self.music()],
            data: self.folder.path().join("data"),
            keep_free: Some(ByteCount(0)),
        }
    }

    fn music(&self) -> PathBuf {
        self.folder.path().join("music")
    }

    fn open(&self) -> Library {
        Library::open(self.config()).expect("opened")
    }

    /// A file in staging, ready for the shelf.
    fn staged(&self, event: i64, title: &str, bytes: &[u8]) -> NewCopy {
        use sha2::Digest;
        let staged = self.music().join(".konpo/staging").join(format!("{event}.part"));
        fs::write(&staged, bytes).expect("written");
        let hash: [u8; 32] = sha2::Sha256::digest(bytes).into();
        NewCopy {
            event: OfferId(event),
            staged: staged.clone(),
            original_name: format!("{title}.wav"),
            tags: Tags {
                title: Some(title.into()),
                artist: Some("Singer".into()),
                album: Some("Album".into()),
                ..Tags::default()
            },
            format: AudioFormat {
                container: Container::Wav,
                codec: Codec::Pcm,
                rate: crate::units::SampleRate::new(44_100),
                channels: Some(1),
                bits: Some(16),
                frames: None,
            },
            protection: Protection::None,
            personal: Vec::new(),
            purchases: Vec::new(),
            sha256: Sha256(hash),
            quick: read::facts(&staged).map_or(QuickKey([0; 16]), |facts| facts.quick),
            fingerprint: Some(Fingerprint { algo: 1, hash: QuickKey(hash[..16].try_into().expect("16")) }),
            size: ByteCount(bytes.len() as u64),
            duration: Millis(1000),
            provenance: Provenance {
                way: "upnp".into(),
                device: "udn:x".into(),
                device_name: "Phone".into(),
                original_name: format!("{title}.wav"),
                remote: "1".into(),
            },
            received: UnixTime(1_700_000_000),
            joined: None,
        }
    }

    fn add(library: &Library, new: NewCopy) -> Result<Added> {
        Bench::add_cut(library, new, &mut |_| Ok(()))
    }

    fn add_cut(library: &Library, new: NewCopy, cut: &mut dyn FnMut(Step) -> Result<()>) -> Result<Added> {
        library.inner.store.write_now(|c| arrive::add(&library.inner, c, new, cut))
    }

    fn files(&self, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.music().join(folder))
            .map(|entries| entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect())
            .unwrap_or_default();
        names.sort();
        names
    }

    fn clean(&self) {
        let report = check(&self.config(), Repair::No).expect("checked");
        assert_eq!(report.problems, [], "konpo check finds something");
    }
}

fn purchase(evidence: usize) -> Purchase {
    let fact = Evidence { place: "mp4:ilst/cnID".into(), text: "1".into(), personal: false };
    Purchase {
        country: Some("JP".into()),
        bought_at: Some("2007-10-16".into()),
        item_id: Some("1".into()),
        evidence: vec![fact; evidence],
        ..Purchase::at("itunes", PurchaseLevel::Embedded)
    }
}

/// Waits for what the shelf answers.
fn wait<T>(answer: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(answer)
}

fn newest(library: &Library) -> Vec<TrackId> {
    wait(library.newest(10)).expect("read")
}

/// The revision that is shown once the finder is as new as the shelf.
fn shown(library: &Library) -> u64 {
    wait(library.inner.keeper.fresh());
    *library.revision().borrow()
}

fn get(library: &Library, id: TrackId) -> Option<Arc<Track>> {
    library.inner.store.read_blocking(|c| tracks::load(c, id)).expect("read")
}

#[test]
fn a_file_comes_to_lie_where_a_person_looks_for_it() {
    let bench = Bench::new();
    let library = bench.open();
    let revision = shown(&library);
    let added = Bench::add(&library, bench.staged(1, "Song", &wav(1))).expect("added");
    assert_eq!(bench.files("Singer/Album"), ["Song.wav"]);
    assert_eq!(fs::read(bench.music().join("Singer/Album/Song.wav")).expect("there"), wav(1));
    assert_eq!(shown(&library), revision + 1);
    let track = get(&library, added.track).expect("there");
    assert_eq!((track.tags.title.as_deref(), track.copies.len()), (Some("Song"), 1));
    let open = library.open_blocking(added.track).expect("opened");
    assert_eq!((open.size.0, open.extension.as_deref()), (wav(1).len() as u64, Some("wav")));
    library.close().expect("closed");
    drop((library, open));
    bench.clean();
}

#[test]
fn whatever_step_the_power_is_cut_at_there_is_one_track_and_no_half_file() {
    for step in [Step::Reserve, Step::Ledger, Step::Move, Step::Commit, Step::Retire] {
        for intake_comes_again in [true, false] {
            let bench = Bench::new();
            let library = bench.open();
            let new = bench.staged(1, "Song", &wav(1));
            let cut = Bench::add_cut(&library, new.clone(), &mut |at| {
                if at == step { Err(Error::new(Kind::Internal, "power cut")) } else { Ok(()) }
            });
            assert!(cut.is_err(), "{step:?}");
            drop(library);
            let library = bench.open();
            let still_staged = new.staged.exists();
            if intake_comes_again || still_staged {
                Bench::add(&library, new).expect("finished");
            }
            assert_eq!(bench.files("Singer/Album"), ["Song.wav"], "{step:?}");
            assert_eq!(bench.files(".konpo/staging"), [""; 0], "{step:?}");
            let all = newest(&library);
            assert_eq!(all.len(), 1, "{step:?}");
            library.close().expect("closed");
            drop(library);
            bench.clean();
        }
    }
}

#[test]
fn what_the_sender_said_survives_the_loss_of_the_index() {
    let bench = Bench::new();
    let library = bench.open();
    // The file itself carries no tags: its title is what the phone called it.
    let added = Bench::add(&library, bench.staged(1, "Song", &wav(1))).expect("added");
    library.close().expect("closed");
    drop(library);
    for tail in ["", "-wal", "-shm"] {
        let _not_all_are_there = fs::remove_file(bench.config().data.join(format!("index.db{tail}")));
    }
    let library = bench.open();
    let title = |library: &Library| get(library, added.track).and_then(|t| t.tags.title.clone());
    assert_eq!(title(&library).as_deref(), Some("Song"));
    library.close().expect("closed");
    drop(library);
    rebuild(&bench.config()).expect("rebuilt");
    let library = bench.open();
    assert_eq!(title(&library).as_deref(), Some("Song"));
}

#[test]
fn the_same_event_is_never_stored_twice() {
    let bench = Bench::new();
    let library = bench.open();
    let first = Bench::add(&library, bench.staged(1, "Song", &wav(1))).expect("added");
    let again = Bench::add(&library, bench.staged(1, "Song", &wav(1))).expect("known");
    assert_eq!(first.track, again.track);
    assert_eq!(bench.files("Singer/Album"), ["Song.wav"]);
    assert_eq!(bench.files(".konpo/staging"), [""; 0]);
}

#[test]
fn the_same_bytes_again_are_another_provenance_entry() {
    let bench = Bench::new();
    let library = bench.open();
    let first = Bench::add(&library, bench.staged(1, "Song", &wav(1))).expect("added");
    let again = Bench::add(&library, bench.staged(2, "Song", &wav(1))).expect("merged");
    assert_eq!((again.track, again.merged, again.replaced), (first.track, true, false));
    assert_eq!(bench.files(".konpo/trash"), [""; 0]);
    library.close().expect("closed");
    drop(library);
    bench.clean();
}

#[test]
fn a_file_that_comes_back_after_its_copy_was_lost_is_never_thrown_away() {
    let bench = Bench::new();
    let library = bench.open();
    let first = Bench::add(&library, bench.staged(1, "Song", &wav(1))).expect("added");
    fs::remove_file(bench.music().join("Singer/Album/Song.wav")).expect("there");
    let again = Bench::add(&library, bench.staged(2, "Song", &wav(1))).expect("added again");
    assert_eq!(again.track, first.track);
    assert!(library.open_blocking(first.track).is_ok());
    assert!(bench.files("Singer/Album").iter().any(|name| name.starts_with("Song")));
}

#[test]
fn of_two_files_with_one_payload_the_stronger_evidence_stays() {
    let bench = Bench::new();
    let library = bench.open();
    let mut plain = bench.staged(1, "Song", &wav(1));
    plain.fingerprint = Some(Fingerprint { algo: 1, hash: QuickKey([7; 16]) });
    let first = Bench::add(&library, plain).expect("added");
    let mut bought = bench.staged(2, "Song", &wav(2));
    bought.fingerprint = Some(Fingerprint { algo: 1, hash: QuickKey([7; 16]) });
    bought.purchases = vec![purchase(1)];
    let second = Bench::add(&library, bought).expect("replaced");
    assert_eq!((second.track, second.replaced), (first.track, true));
    let open = library.open_blocking(first.track).expect("opened");
    assert_eq!(open.track.purchases.len(), 1);
    assert_eq!(fs::read(bench.music().join("Singer/Album/Song (2).wav")).expect("there"), wav(2));
    assert_eq!(bench.files(".konpo/trash"), ["1-Song.wav"]);
    // A weaker one goes to the trash itself, its evidence into the history.
    let mut weak = bench.staged(3, "Song", &wav(3));
    weak.fingerprint = Some(Fingerprint { algo: 1, hash: QuickKey([7; 16]) });
    let third = Bench::add(&library, weak).expect("merged");
    assert_eq!((third.track, third.merged, third.replaced), (first.track, true, false));
    assert_eq!(bench.files(".konpo/trash"), ["1-Song.wav", "3-Song.wav"]);
    let history = fs::read_to_string(bench.music().join(".konpo/ledger.jsonl")).expect("there");
    assert_eq!(history.lines().count(), 4, "two arrivals, what was replaced, what was merged");
    library.close().expect("closed");
    drop((library, open));
    bench.clean();
}

#[test]
fn a_locked_file_is_listed_and_never_opened() {
    let bench = Bench::new();
    let library = bench.open();
    let mut locked = bench.staged(1, "Song", &wav(1));
    locked.protection = Protection::FairPlay { user_id: Some(7) };
    (locked.fingerprint, locked.purchases) = (None, vec![purchase(2)]);
    let added = Bench::add(&library, locked).expect("added");
    let track = get(&library, added.track).expect("there");
    assert_eq!(track.copies[0].protection.code(), Some("drm.fairplay"));
    assert!(track.playable().is_none());
    assert_eq!(library.open_blocking(added.track).expect_err("locked").kind(), Kind::Unsupported);
    let bought = wait(library.bought(&Default::default())).expect("read");
    assert_eq!(bought.total, 1);
}

#[test]
fn a_rebuild_restores_the_same_track_numbers_and_purchases() {
    let bench = Bench::new();
    let library = bench.open();
    // A number that was given and lost must not come back.
    let lost = Bench::add_cut(&library, bench.staged(9, "Lost", &wav(9)), &mut |step| match step {
        Step::Ledger => Err(Error::new(Kind::Internal, "power cut")),
        _ => Ok(()),
    });
    assert!(lost.is_err());
    fs::remove_file(bench.music().join(".konpo/staging/9.part")).expect("there");
    let mut new = bench.staged(10, "Song", &wav(1));
    new.purchases = vec![purchase(1)];
    let added = Bench::add(&library, new).expect("added");
    library.close().expect("closed");
    drop(library);
    let report = rebuild(&bench.config()).expect("rebuilt");
    assert_eq!((report.tracks, report.problems.len()), (1, 0));
    let library = bench.open();
    let track = get(&library, added.track).expect("the same number");
    assert_eq!(track.purchases, [purchase(1)]);
    let next = Bench::add(&library, bench.staged(11, "Next", &wav(2))).expect("added");
    assert!(next.track > added.track);
}

#[test]
fn check_names_what_is_wrong() {
    let bench = Bench::new();
    let library = bench.open();
    for (event, title) in [(1, "Kept"), (2, "Changed"), (3, "Gone")] {
        Bench::add(&library, bench.staged(event, title, &wav(event as u8))).expect("added");
    }
    library.close().expect("closed");
    drop(library);
    let place = |name: &str| bench.music().join("Singer/Album").join(name);
    let mut bytes = wav(2);
    *bytes.last_mut().expect("not empty") ^= 1;
    fs::write(place("Changed.wav"), bytes).expect("written");
    fs::remove_file(place("Gone.wav")).expect("there");
    fs::write(place("Foreign.wav"), wav(4)).expect("written");
    fs::write(bench.music().join(".konpo/staging/x.part"), "x").expect("written");
    let report = check(&bench.config(), Repair::No).expect("checked");
    let said: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].contains("Changed.wav: its bytes changed"), "{said:?}");
    assert!(said[1].contains("Gone.wav: the database knows this file, the disk does not"), "{said:?}");
    assert!(said[2].contains("x.part: a leftover in staging"), "{said:?}");
    assert_eq!(report.unknown, [Path::new("Singer/Album/Foreign.wav")]);
    check(&bench.config(), Repair::Yes).expect("repaired");
    assert_eq!(bench.files(".konpo/staging"), [""; 0]);
}

#[test]
fn a_missing_disk_is_offline_and_nothing_is_created_there() {
    let bench = Bench::new();
    let library = bench.open();
    let added = Bench::add(&library, bench.staged(1, "Song", &wav(1))).expect("added");
    let away = bench.folder.path().join("away");
    fs::rename(bench.music(), &away).expect("moved");
    fs::create_dir(bench.music()).expect("an empty mount point");
    assert_eq!(library.look_at_disk().expect_err("away").kind(), Kind::Offline);
    assert_eq!(library.open_blocking(added.track).expect_err("away").kind(), Kind::Offline);
    library.close().expect("closed");
    drop(library);
    let library = bench.open();
    assert_eq!(library.look_at_disk().expect_err("away").kind(), Kind::Offline);
    assert!(get(&library, added.track).is_some(), "it is known all the same");
    assert_eq!(fs::read_dir(bench.music()).expect("there").count(), 0);
    drop(library);
    fs::remove_dir(bench.music()).expect("empty");
    fs::rename(&away, bench.music()).expect("moved back");
    let library = bench.open();
    assert!(library.open_blocking(added.track).is_ok());
}

#[test]
fn folders_of_one_name_in_other_letters_are_one() {
    let bench = Bench::new();
    let library = bench.open();
    for (event, artist) in [(1, "BoA"), (2, "BOA"), (3, "か\u{3099}く"), (4, "がく")] {
        let mut new = bench.staged(event, &format!("T{event}"), &wav(event as u8));
        new.tags.artist = Some(artist.into());
        Bench::add(&library, new).expect("added");
    }
    assert_eq!(bench.files("BoA/Album"), ["T1.wav", "T2.wav"]);
    assert_eq!(bench.files("がく/Album"), ["T3.wav", "T4.wav"]);
}

#[test]
fn searches_find_by_sound_and_count_exactly() {
    let bench = Bench::new();
    let library = bench.open();
    for (event, title, artist) in [(1, "カラオケ", "Björk"), (2, "Army of Me", "BJORK"), (3, "Else", "Other")]
    {
        let mut new = bench.staged(event, title, &wav(event as u8));
        new.tags.artist = Some(artist.into());
        Bench::add(&library, new).expect("added");
    }
    let ask = |filter| {
        let query = Query {
            what: crate::query::What::Tracks,
            filter,
            sort: crate::query::Sort::Album,
            window: Window { offset: 0, limit: 1 },
        };
        wait(library.browse(&query)).expect("read").total
    };
    use crate::query::{Field, Filter};
    assert_eq!(ask(Filter::All), 3);
    assert_eq!(ask(Filter::Contains(Field::Any, "bjö".into())), 2);
    assert_eq!(ask(Filter::Contains(Field::Title, "らお".into())), 1);
    assert_eq!(ask(Filter::Is(Field::Artist, "björk".into())), 2);
    assert_eq!(ask(Filter::Starts(Field::Artist, "oth".into())), 1);
    assert_eq!(ask(Filter::Not(Box::new(Filter::Is(Field::Title, "else".into())))), 2);
    assert_eq!(ask(Filter::Or(vec![])), 0);
    assert_eq!(ask(Filter::And(vec![])), 3);
    assert_eq!(ask(Filter::Contains(Field::Any, "%' OR 1".into())), 0);
}

#[test]
fn a_disk_that_comes_back_while_konpo_runs_is_opened_again() {
    let bench = Bench::new();
    let library = bench.open();
    let added = Bench::add(&library, bench.staged(1, "Song", &wav(1))).expect("added");
    let revision = shown(&library);
    let away = bench.folder.path().join("away");
    fs::rename(bench.music(), &away).expect("moved");
    fs::create_dir(bench.music()).expect("an empty mount point");
    assert!(library.look_at_disk().is_err());
    let track = get(&library, added.track).expect("known all the same");
    assert!(track.is_offline() && track.playable().is_some());
    assert!(newest(&library).is_empty(), "nothing is offered that cannot be opened");
    assert!(shown(&library) > revision, "faces hear of it");
    fs::remove_dir(bench.music()).expect("nothing was created there");
    fs::rename(&away, bench.music()).expect("moved back");
    library.look_at_disk().expect("there again");
    assert!(!get(&library, added.track).expect("there").is_offline());
    assert_eq!(newest(&library), [added.track]);
    Bench::add(&library, bench.staged(2, "Next", &wav(2))).expect("its history goes on");
    library.close().expect("closed");
    drop(library);
    bench.clean();
}

#[test]
fn tracks_of_another_music_folder_are_offline_and_never_opened_in_its_place() {
    let bench = Bench::new();
    let library = bench.open();
    let first = Bench::add(&library, bench.staged(1, "Song", &wav(1))).expect("added");
    library.close().expect("closed");
    drop(library);
    let old = bench.folder.path().join("old");
    fs::rename(bench.music(), &old).expect("moved");
    let other = LibraryConfig { music: vec![bench.folder.path().join("other")], ..bench.config() };
    let library = Library::open(other.clone()).expect("opened");
    let error = library.open_blocking(first.track).expect_err("elsewhere");
    assert_eq!(error.kind(), Kind::Offline);
    assert!(error.to_string().contains("music"), "{error}");
    assert!(get(&library, first.track).expect("known").is_offline());
    // The same song comes again: it is stored here, and the copy elsewhere stays what it is.
    let mut again = bench_staged_in(&bench, &other.music[0], 2);
    again.tags.title = Some("Song".into());
    let second = Bench::add(&library, again).expect("stored");
    assert_eq!(second.track, first.track);
    assert!(library.open_blocking(first.track).is_ok());
    assert!(old.join("Singer/Album/Song.wav").exists());
    library.close().expect("closed");
    drop(library);
    fs::rename(&old, bench.music()).expect("moved back");
    let library = bench.open();
    assert!(library.open_blocking(first.track).is_ok(), "back in the first folder");
    library.close().expect("closed");
    drop(library);
    bench.clean();
}

fn bench_staged_in(bench: &Bench, music: &Path, event: i64) -> NewCopy {
    fs::create_dir_all(bench.music().join(".konpo/staging")).expect("made");
    let new = bench.staged(event, "Song", &wav(1));
    let staged = music.join(".konpo/staging").join(format!("{event}.part"));
    fs::rename(&new.staged, &staged).expect("moved");
    fs::remove_dir_all(bench.music()).expect("removed");
    NewCopy { staged, ..new }
}

#[test]
fn a_rebuild_knows_what_was_replaced_deleted_or_cannot_be_read() {
    let bench = Bench::new();
    let library = bench.open();
    let same = Some(Fingerprint { algo: 1, hash: QuickKey([7; 16]) });
    let mut plain = bench.staged(1, "Song", &wav(1));
    plain.fingerprint = same;
    let song = Bench::add(&library, plain).expect("added").track;
    let mut bought = bench.staged(2, "Song", &wav(2));
    (bought.fingerprint, bought.purchases) = (same, vec![purchase(1)]);
    assert!(Bench::add(&library, bought).expect("replaced").replaced);
    let deleted = Bench::add(&library, bench.staged(3, "Gone", &wav(3))).expect("added").track;
    library.inner.store.write_now(|c| arrive::trash_track(&library.inner, c, deleted)).expect("deleted");
    // Its place is used again.
    let new = Bench::add(&library, bench.staged(4, "Gone", &wav(4))).expect("added").track;
    let broken = Bench::add(&library, bench.staged(5, "Broken", &wav(5))).expect("added").track;
    let absent = Bench::add(&library, bench.staged(6, "Absent", &wav(6))).expect("added").track;
    library.close().expect("closed");
    drop(library);
    bench.clean();
    fs::write(bench.music().join("Singer/Album/Broken.wav"), "no music").expect("written");
    fs::remove_file(bench.music().join("Singer/Album/Absent.wav")).expect("there");

    let report = rebuild(&bench.config()).expect("rebuilt");
    let said: Vec<String> = report.problems.iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(report.lost.is_empty(), "{:?}", report.lost);
    let library = bench.open();
    assert_eq!(get(&library, song).expect("there").copies.len(), 1);
    assert_eq!(library.open_blocking(song).expect("opened").track.purchases.len(), 1);
    assert!(get(&library, deleted).is_none());
    assert!(library.open_blocking(new).is_ok());
    for track in [broken, absent] {
        let track = get(&library, track).expect("nothing is deleted because it is absent");
        assert_eq!(track.copies[0].format.codec, Codec::Pcm, "as the history tells");
    }
    let seen = library.inner.store.read_blocking(|c| journal::seen_remote(c, "udn:x")).expect("read");
    assert!(!seen.is_empty(), "phones are not pulled a second time");
}

#[test]
fn a_rebuild_brings_over_what_no_history_tells() {
    let bench = Bench::new();
    let library = bench.open();
    let track = Bench::add(&library, bench.staged(1, "Song", &wav(1))).expect("added").track;
    let phone = "udn:phone";
    library
        .inner
        .store
        .write_now(|c| {
            devices::set_consent(c, phone, Consent::Always)?;
            devices::add_address(c, "10.0.0.9")?;
            devices::add(c, &Key::Cookie("x".into()), "Yuki", Right::Owner)?;
            marks::note_play(c, track, UnixTime(7))?;
            keep(c, "memory", "{}")
        })
        .expect("kept");
    let revision = shown(&library);
    library.close().expect("closed");
    drop(library);
    let report = rebuild(&bench.config()).expect("rebuilt");
    assert!(report.lost.is_empty() && report.problems.is_empty(), "{report:?}");
    let library = bench.open();
    assert!(shown(&library) > revision);
    let heard = wait(library.last_album_heard()).expect("read");
    let (consent, addresses, device, memory) = library
        .inner
        .store
        .read_blocking(|c| {
            let device = devices::by_key(c, &Key::Cookie("x".into()))?;
            Ok((devices::consent(c, phone)?, devices::addresses(c)?, device, kept(c, "memory")?))
        })
        .expect("read");
    assert_eq!((consent, addresses), (Some(Consent::Always), vec!["10.0.0.9".to_owned()]));
    assert_eq!(device.map(|(_, right)| right), Some(Right::Owner));
    assert_eq!((heard, memory.as_deref()), (vec![track], Some("{}")));
}

#[test]
fn a_rebuild_of_a_broken_database_says_what_it_could_not_bring_over() {
    let bench = Bench::new();
    let library = bench.open();
    let track = Bench::add(&library, bench.staged(1, "Song", &wav(1))).expect("added").track;
    library.close().expect("closed");
    drop(library);
    fs::write(bench.config().data.join("owner.db"), "this was a database").expect("written");
    let report = rebuild(&bench.config()).expect("rebuilt");
    assert!(!report.lost.is_empty());
    assert!(get(&bench.open(), track).is_some());
}

#[test]
fn a_file_put_where_a_deleted_one_lay_is_left_alone() {
    let bench = Bench::new();
    let library = bench.open();
    let track = Bench::add(&library, bench.staged(1, "Song", &wav(1))).expect("added").track;
    library.inner.store.write_now(|c| arrive::trash_track(&library.inner, c, track)).expect("deleted");
    library.close().expect("closed");
    drop(library);
    fs::write(bench.music().join("Singer/Album/Song.wav"), "another file of the owner").expect("written");
    drop(bench.open());
    assert_eq!(bench.files("Singer/Album"), ["Song.wav"]);
    assert_eq!(bench.files(".konpo/trash"), ["1-Song.wav"]);
}

#[test]
fn the_trash_yields_after_thirty_days() {
    let bench = Bench::new();
    let library = bench.open();
    let track = Bench::add(&library, bench.staged(1, "Song", &wav(1))).expect("added").track;
    library.inner.store.write_now(|c| arrive::trash_track(&library.inner, c, track)).expect("deleted");
    let now = UnixTime::now();
    library.make_room(ByteCount(u64::MAX / 2)).expect_err("no disk is so large");
    assert_eq!(bench.files(".konpo/trash"), ["1-Song.wav"], "and nothing is thrown away for it");
    library.empty_trash(UnixTime(now.0 + 29 * 24 * 3600)).expect("looked");
    assert_eq!(bench.files(".konpo/trash"), ["1-Song.wav"]);
    library.empty_trash(UnixTime(now.0 + 31 * 24 * 3600)).expect("looked");
    assert_eq!(bench.files(".konpo/trash"), [""; 0]);
    library.close().expect("closed");
    drop(library);
    bench.clean();
}
