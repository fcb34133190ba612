//! Intake on a real shelf in a folder of its own, without its tasks.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;
use crate::intake::inbox::Mark;
use crate::intake::worker::Ended;
use crate::library::LibraryConfig;
use crate::offer::NeighbourState;
use crate::units::Millis;

struct Konpo {
    folder: TempDir,
    library: Library,
    intake: Intake,
}

impl Konpo {
    async fn new(take: Take) -> Konpo {
        let folder = tempfile::tempdir().expect("a folder");
        let config = LibraryConfig {
            music: vec![folder.path().join("music")],
            data: folder.path().join("data"),
            keep_free: Some(ByteCount(0)),
        };
        fs::create_dir_all(&config.data).expect("made");
        let library = Library::open(config).expect("opened");
        let intake = prepare(take, &library).await;
        Konpo { folder, library, intake }
    }

    /// What a start finds after a power cut.
    async fn again(self) -> Konpo {
        let intake = prepare(self.intake.inner.take, &self.library).await;
        Konpo { intake, ..self }
    }

    fn inbox(&self) -> PathBuf {
        self.folder.path().join("music/Inbox")
    }

    fn staged(&self) -> usize {
        fs::read_dir(self.folder.path().join("music/.konpo/staging")).expect("there").count()
    }

    /// Does the worker's part until nothing waits. Returns the verdicts.
    async fn work(&self) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        loop {
            let open = self.library.journal_open().await.expect("read");
            let Some(row) = open.into_iter().find(|row| row.stage != Stage::Offered) else { return verdicts };
            let id = row.id;
            assert_eq!(worker::bring(&self.intake.inner, row).await, Ended::Yes);
            let recent = self.library.journal_recent(100).await.expect("read");
            verdicts.extend(recent.into_iter().find(|row| row.id == id).and_then(|row| row.verdict));
        }
    }

    async fn drop_in(&self, name: &str, bytes: &[u8]) -> Mark {
        let path = self.inbox().join(name);
        fs::write(&path, bytes).expect("written");
        Mark::of(&fs::metadata(path).expect("there"))
    }

    async fn take(&self, name: &str, bytes: &[u8]) {
        let mark = self.drop_in(name, bytes).await;
        inbox::take(&self.intake.inner, Path::new(name), mark).await.expect("taken");
    }

    async fn pull(&self, item: &RemoteItem, bytes: &[u8]) -> Result<()> {
        let mut part = self.intake.pull_item(&phone(), item.clone()).await?;
        part.begin(Some(bytes.len() as u64), None).await?;
        part.write(Bytes::copy_from_slice(bytes)).await?;
        part.finish().await
    }

    async fn new_ones(&self, items: &[RemoteItem]) -> usize {
        self.intake.is_new(&phone().id, items.to_vec()).await.expect("read").len()
    }

    async fn tracks(&self) -> usize {
        self.library.newest(100).await.expect("read").len()
    }
}

/// Returns an intake in a folder, without its tasks, for the tests of those who bring bytes.
pub async fn in_folder(folder: &Path) -> Intake {
    let config = LibraryConfig {
        music: vec![folder.join("music")],
        data: folder.join("data"),
        keep_free: Some(ByteCount(0)),
    };
    fs::create_dir_all(&config.data).expect("made");
    prepare(Take::Music, &Library::open(config).expect("opened")).await
}

/// Returns an intake with these settings in a folder, without its tasks.
pub async fn with_config(folder: &Path, config: IntakeConfig) -> Intake {
    let shelf = LibraryConfig {
        music: vec![folder.join("music")],
        data: folder.join("data"),
        keep_free: Some(ByteCount(0)),
    };
    fs::create_dir_all(&shelf.data).expect("made");
    let library = Library::open(shelf).expect("opened");
    Intake::prepare(config, library, CancellationToken::new()).await.expect("started")
}

impl Intake {
    /// Publishes the board at once, which its task does twice a second.
    pub fn tests_publish(&self) {
        self.inner.notes.publish();
    }
}

async fn prepare(take: Take, library: &Library) -> Intake {
    let stop = CancellationToken::new();
    Intake::prepare(IntakeConfig::new(take), library.clone(), stop).await.expect("started")
}

/// A neighbour.
pub fn phone() -> Neighbour {
    Neighbour {
        id: NeighbourId("udn:phone".into()),
        name: "Yuki's phone".into(),
        model: "X".into(),
        kind: "media_server".into(),
        address: None,
        consent: Consent::Always,
        state: NeighbourState::Ready,
        seen: UnixTime(0),
    }
}

/// An item of it.
pub fn item(id: &str, title: &str, size: usize) -> RemoteItem {
    RemoteItem {
        object_id: id.into(),
        url: format!("http://phone/{id}.wav"),
        size: Some(ByteCount(size as u64)),
        mime: "audio/wav".into(),
        title: title.into(),
        artist: Some("The Band".into()),
        album: Some("<unknown>".into()),
        track: None,
        duration: Some(Millis(1000)),
        views: Vec::new(),
    }
}

/// A canonical WAV of 16-bit stereo whose samples depend on the seed.
fn wav(seed: u8, frames: u32) -> Vec<u8> {
    let data = frames * 4;
    let mut bytes = Vec::new();
    bytes.extend(b"RIFF");
    bytes.extend((36 + data).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    for word in [1u16, 2] {
        bytes.extend(word.to_le_bytes());
    }
    for long in [44_100u32, 176_400] {
        bytes.extend(long.to_le_bytes());
    }
    for word in [4u16, 16] {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(b"data");
    bytes.extend(data.to_le_bytes());
    bytes.extend((0..data).map(|at| (at as u8).wrapping_mul(7).wrapping_add(seed)));
    bytes
}

/// An Audible file, as far as anybody looks.
fn locked() -> Vec<u8> {
    let mut bytes = vec![0, 0, 1, 0, 0x57, 0x90, 0x75, 0x36];
    bytes.resize(4096, 1);
    bytes
}

#[tokio::test]
async fn a_file_that_its_transfer_still_holds_is_not_put_off_for_a_minute() {
    let konpo = Konpo::new(Take::Music).await;
    let bytes = wav(1, 1000);
    konpo.pull(&item("1", "Song", bytes.len()), &bytes).await.expect("pulled");
    let inner = &konpo.intake.inner;
    let row = konpo.library.journal_open().await.expect("read").remove(0);
    let held = staging::Held::new(inner.clone(), row.id).expect("nobody has it");
    assert_eq!(worker::bring(inner, row.clone()).await, Ended::Held);
    drop(held);
    assert_eq!(worker::bring(inner, row).await, Ended::Yes);
}

#[tokio::test]
async fn a_pulled_file_goes_to_the_shelf_and_is_never_new_again() {
    let konpo = Konpo::new(Take::Music).await;
    let bytes = wav(1, 1000);
    let song = item("22", "Song", bytes.len());
    assert_eq!(konpo.new_ones(std::slice::from_ref(&song)).await, 1);
    konpo.pull(&song, &bytes).await.expect("pulled");
    assert_eq!(konpo.new_ones(std::slice::from_ref(&song)).await, 0, "it is on its way");
    let verdicts = konpo.work().await;
    let [Verdict::Stored { track }] = verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!(konpo.new_ones(std::slice::from_ref(&song)).await, 0);
    let renumbered = RemoteItem { object_id: "99".into(), ..song };
    assert_eq!(konpo.new_ones(&[renumbered]).await, 0, "the phone was scanned anew");
    assert_eq!(konpo.staged(), 0);
    let found = konpo.library.get(&[track]).await.expect("read");
    let tags = found[0].as_ref().expect("there").tags.clone();
    assert_eq!((tags.title.as_deref(), tags.artist.as_deref()), (Some("Song"), Some("The Band")));
    assert_eq!(tags.album, None, "what a phone does not know is no album");
    let open = konpo.library.open_track(track).await.expect("opened");
    assert_eq!(open.size.0, bytes.len() as u64);
}

#[tokio::test]
async fn the_same_music_is_merged_and_a_lock_is_named() {
    let konpo = Konpo::new(Take::Music).await;
    let bytes = wav(1, 1000);
    konpo.pull(&item("1", "Song", bytes.len()), &bytes).await.expect("pulled");
    konpo.pull(&item("2", "Song again", bytes.len()), &bytes).await.expect("pulled");
    konpo.take("book.aa", &locked()).await;
    let verdicts = konpo.work().await;
    assert!(
        matches!(verdicts[..], [Verdict::Stored { .. }, Verdict::Merged { .. }, Verdict::Locked { .. }]),
        "{verdicts:?}"
    );
    assert_eq!((konpo.tracks().await, konpo.staged()), (1, 0));
}

#[tokio::test]
async fn what_is_damaged_is_dropped_and_not_fetched_again() {
    let konpo = Konpo::new(Take::Music).await;
    let mut bytes = wav(1, 1000);
    bytes.truncate(700);
    let song = item("22", "Song", bytes.len());
    konpo.pull(&song, &bytes).await.expect("pulled");
    konpo.pull(&item("23", "Empty", 0), b"").await.expect("pulled");
    let verdicts = konpo.work().await;
    let codes: Vec<_> = verdicts
        .iter()
        .map(|verdict| match verdict {
            Verdict::Refused { code, .. } => code.as_str(),
            _ => "taken",
        })
        .collect();
    assert_eq!(codes, ["damaged", "empty"]);
    assert_eq!((konpo.staged(), konpo.tracks().await), (0, 0));
    assert_eq!(konpo.again().await.new_ones(&[song]).await, 0);
}

#[tokio::test]
async fn a_transfer_goes_on_where_it_broke_off() {
    let konpo = Konpo::new(Take::Music).await;
    let bytes = wav(1, 1000);
    let song = item("22", "Song", bytes.len());
    let mut part = konpo.intake.pull_item(&phone(), song.clone()).await.expect("opened");
    part.begin(Some(bytes.len() as u64), Some("\"tag\"".into())).await.expect("room");
    part.write(Bytes::copy_from_slice(&bytes[..500])).await.expect("written");
    assert_eq!(
        konpo.intake.pull_item(&phone(), song.clone()).await.map(|_| ()).map_err(|e| e.kind()),
        Err(Kind::Busy)
    );
    let error = part.finish().await.expect_err("short");
    assert_eq!(error.kind(), Kind::Unreachable);

    let konpo = konpo.again().await;
    assert_eq!(konpo.new_ones(std::slice::from_ref(&song)).await, 1, "its phone may bring the rest");
    let mut part = konpo.intake.pull_item(&phone(), song.clone()).await.expect("opened");
    assert_eq!((part.offset(), part.etag()), (500, Some("\"tag\"")));
    part.begin(Some(bytes.len() as u64), Some("\"tag\"".into())).await.expect("room");
    let more = part.write(Bytes::copy_from_slice(&bytes)).await.expect_err("too much");
    assert_eq!(more.kind(), Kind::Damaged);
    part.write(Bytes::copy_from_slice(&bytes[500..])).await.expect("written");
    part.finish().await.expect("whole");
    assert!(matches!(konpo.work().await[..], [Verdict::Stored { .. }]));
}

#[tokio::test]
async fn another_file_under_the_same_number_starts_over() {
    let konpo = Konpo::new(Take::Music).await;
    let mut part = konpo.intake.pull_item(&phone(), item("22", "Song", 900)).await.expect("opened");
    part.write(Bytes::from_static(&[1; 100])).await.expect("written");
    drop(part.finish().await);
    let part = konpo.intake.pull_item(&phone(), item("22", "Song", 800)).await.expect("opened");
    assert_eq!(part.offset(), 0);
    part.refuse("unsupported", "a ringtone").await.expect("refused");
    assert_eq!((konpo.staged(), konpo.new_ones(&[item("22", "Song", 800)]).await), (0, 0));
}

#[tokio::test]
async fn what_is_no_music_stays_in_the_drop_folder_with_the_reason() {
    let konpo = Konpo::new(Take::Music).await;
    konpo.take("note.txt", b"milk, bread, and a long list of other things to buy tomorrow").await;
    let verdicts = konpo.work().await;
    let [Verdict::Refused { code, .. }] = &verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!(code, "not_audio");
    assert!(konpo.inbox().join("note.txt").exists());
    assert_eq!(konpo.staged(), 0);
    let konpo = konpo.again().await;
    assert!(konpo.intake.inner.left().contains_key(Path::new("note.txt")), "a start does not try it again");
}

#[tokio::test]
async fn a_power_cut_while_a_file_is_taken_neither_loses_nor_doubles_it() {
    let konpo = Konpo::new(Take::Music).await;
    let bytes = wav(3, 1000);
    // Before the move, and after it but before its row says so.
    for (name, moved) in [("a.wav", false), ("b.wav", true)] {
        konpo.take(name, &bytes).await;
        let mut row = konpo.library.journal_open().await.expect("read").remove(0);
        let part = konpo.library.staging_dir().expect("online").join(row.part.clone().expect("named"));
        if !moved {
            fs::rename(&part, konpo.inbox().join(name)).expect("moved");
        }
        row.stage = Stage::Offered;
        konpo.library.journal_put(row).await.expect("written");
        let before = konpo.tracks().await;
        let intake = prepare(Take::Music, &konpo.library).await;
        assert!(!konpo.inbox().join(name).exists());
        let row = konpo.library.journal_open().await.expect("read").remove(0);
        assert_eq!(row.stage, Stage::Staged);
        assert_eq!(worker::bring(&intake.inner, row).await, Ended::Yes);
        assert_eq!(konpo.tracks().await, before.max(1));
    }
    assert!(konpo.library.journal_open().await.expect("read").is_empty());
    assert_eq!(konpo.staged(), 0);
}

#[tokio::test]
async fn a_file_that_still_grows_goes_back_and_is_taken_later() {
    let konpo = Konpo::new(Take::Music).await;
    let bytes = wav(3, 1000);
    konpo.take("a.wav", &bytes[..500]).await;
    let row = konpo.library.journal_open().await.expect("read").remove(0);
    let part = konpo.library.staging_dir().expect("online").join(row.part.expect("named"));
    fs::write(part, &bytes).expect("the copying program goes on");
    assert!(matches!(konpo.work().await[..], [Verdict::Refused { .. }]));
    assert_eq!(fs::read(konpo.inbox().join("a.wav")).expect("there"), bytes);
    assert!(konpo.intake.inner.left().is_empty());
}

#[tokio::test]
async fn only_bought_music_is_taken_where_the_owner_says_so() {
    let konpo = Konpo::new(Take::Purchased).await;
    let bytes = wav(1, 1000);
    konpo.pull(&item("22", "Song", bytes.len()), &bytes).await.expect("pulled");
    let verdicts = konpo.work().await;
    let [Verdict::Refused { code, .. }] = &verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!(code, "rule");
    let none = konpo.library.bought(&Default::default()).await.expect("read");
    assert_eq!(none.total, 0);
}

#[tokio::test]
async fn a_listing_names_each_item_once() {
    let konpo = Konpo::new(Take::Music).await;
    let song = item("1", "Song", 10);
    let same_url = RemoteItem { object_id: "2".into(), title: "Other".into(), ..song.clone() };
    let same_song = RemoteItem { object_id: "3".into(), url: "http://phone/3".into(), ..song.clone() };
    let other = item("4", "Other", 11);
    let two_takes = [song.clone(), song.clone(), same_url, same_song.clone(), other];
    assert_eq!(konpo.new_ones(&two_takes).await, 3, "a title alone may be said of two songs");
}

#[tokio::test]
async fn a_server_without_sizes_that_reuses_a_number_hides_nothing() {
    let konpo = Konpo::new(Take::Music).await;
    let bytes = wav(1, 1000);
    let first = RemoteItem { size: None, ..item("22", "Song", 0) };
    konpo.pull(&first, &bytes).await.expect("pulled");
    konpo.work().await;
    assert_eq!(konpo.new_ones(std::slice::from_ref(&first)).await, 0);
    let second = RemoteItem { title: "Another song".into(), ..first };
    assert_eq!(konpo.new_ones(&[second]).await, 1);
}

#[tokio::test]
async fn a_row_that_could_not_be_written_after_the_tags_is_not_the_files_fault() {
    let konpo = Konpo::new(Take::Music).await;
    let bytes = wav(1, 1000);
    konpo.pull(&item("22", "Song", bytes.len()), &bytes).await.expect("pulled");
    let row = konpo.library.journal_open().await.expect("read").remove(0);
    assert_eq!(worker::tests::bring_with_a_lost_row(&konpo.intake.inner, row).await, Ended::Yes);
    assert_eq!(konpo.tracks().await, 1);
}

#[tokio::test]
async fn what_is_damaged_can_be_looked_at_for_a_while() {
    let konpo = Konpo::new(Take::Music).await;
    let mut bytes = wav(1, 1000);
    bytes.truncate(700);
    konpo.pull(&item("22", "Song", bytes.len()), &bytes).await.expect("pulled");
    konpo.work().await;
    let trash: Vec<_> = fs::read_dir(konpo.folder.path().join("music/.konpo/trash"))
        .expect("there")
        .flatten()
        .map(|entry| entry.path())
        .collect();
    assert_eq!(trash.len(), 1);
    assert_eq!(fs::read(&trash[0]).expect("read"), bytes);
}

#[tokio::test]
async fn the_reason_stays_on_the_board_as_long_as_the_file_lies_in_the_drop_folder() {
    let konpo = Konpo::new(Take::Music).await;
    konpo.take("note.txt", b"milk, bread, and a long list of other things to buy tomorrow").await;
    konpo.work().await;
    let board = |konpo: &Konpo| {
        konpo.intake.inner.notes.publish();
        let board = konpo.intake.board().borrow().clone();
        board.arrivals.iter().filter(|arrival| arrival.name == "note.txt").count()
    };
    assert_eq!(board(&konpo), 1);
    // Many others end after it, and a start comes between.
    for n in 0..300 {
        let id = OfferId(1000 + n);
        let row = JournalRow {
            id,
            stage: Stage::Stored,
            ..konpo.library.journal_recent(1).await.expect("read").remove(0)
        };
        konpo
            .library
            .journal_put(JournalRow {
                provenance: Provenance {
                    way: "upnp".into(),
                    original_name: "other".into(),
                    ..row.provenance.clone()
                },
                verdict: Some(Verdict::Stored { track: TrackId(1) }),
                at: UnixTime::now(),
                ..row
            })
            .await
            .expect("written");
    }
    let konpo = konpo.again().await;
    assert_eq!(board(&konpo), 1);
    let lying = konpo.intake.inner.left().values().map(|left| left.id).collect();
    konpo.library.journal_prune(UnixTime(i64::MAX), inbox::WAY, lying).await.expect("pruned");
    assert_eq!(konpo.library.journal_recent(1000).await.expect("read").len(), 1);
    fs::remove_file(konpo.inbox().join("note.txt")).expect("there");
    inbox::tests::look_once(&konpo.intake.inner).await;
    assert_eq!(board(&konpo), 0);
}

#[tokio::test]
async fn files_on_their_way_in_go_on_when_the_music_disk_is_back() {
    let konpo = Konpo::new(Take::Music).await;
    let music = konpo.folder.path().join("music");
    let away = konpo.folder.path().join("away");
    let bytes = wav(1, 1000);
    konpo.pull(&item("22", "Song", bytes.len()), &bytes).await.expect("pulled");
    fs::rename(&music, &away).expect("moved");
    fs::create_dir(&music).expect("an empty mount point");
    let stop = CancellationToken::new();
    let config = IntakeConfig::new(Take::Music);
    let intake = Intake::start(config, konpo.library.clone(), stop.clone()).await.expect("started");
    let konpo = Konpo { intake, ..konpo };
    let mut board = konpo.intake.board();
    let within = Duration::from_secs(30);
    let waits = board.wait_for(|board| board.trouble.is_some());
    let words = tokio::time::timeout(within, waits).await.expect("in time").expect("alive").trouble.clone();
    assert!(words.is_some_and(|words| words.contains("music disk is not there")));
    assert_eq!(
        konpo.intake.pull_item(&phone(), item("23", "Other", 10)).await.expect_err("away").kind(),
        Kind::Offline
    );
    assert_eq!(fs::read_dir(&music).expect("there").count(), 0);
    fs::remove_dir(&music).expect("nothing was created there");
    fs::rename(&away, &music).expect("moved back");
    let stored = board.wait_for(|board| {
        board.trouble.is_none() && board.arrivals.iter().any(|arrival| arrival.stage == Stage::Stored)
    });
    tokio::time::timeout(within, stored).await.expect("in time").expect("alive");
    fs::write(konpo.inbox().join("b.wav"), wav(2, 1000)).expect("written");
    let two = board.wait_for(|board| board.arrivals.iter().filter(|a| a.stage == Stage::Stored).count() == 2);
    tokio::time::timeout(within, two).await.expect("the drop folder is watched again").expect("alive");
    stop.cancel();
    konpo.intake.stopped().await;
}

#[tokio::test]
async fn a_listing_that_lies_beyond_all_measure_is_not_believed() {
    let konpo = Konpo::new(Take::Music).await;
    let mut huge = item("1", "Song", 0);
    huge.size = Some(ByteCount(u64::MAX / 2));
    let mut part = konpo.intake.pull_item(&phone(), huge).await.expect("a hint");
    let error = part.begin(Some(u64::MAX / 2), None).await.expect_err("what the transfer says counts");
    assert_eq!(error.kind(), Kind::Unsupported);
    part.begin(Some(100), None).await.expect("room");
}

#[tokio::test]
async fn asks_are_answered_and_a_crowd_is_busy() {
    let konpo = Konpo::new(Take::Music).await;
    let mut asked = konpo.intake.asks().expect("the first one gets them");
    assert!(konpo.intake.asks().is_none());
    let answering = tokio::spawn(async move {
        while let Some(Asked { ask, reply }) = asked.recv().await {
            let known = ask == Ask::Search;
            let answer = if known { Ok(()) } else { Err(Error::new(Kind::NotFound, "not here")) };
            let _nobody_waits = reply.send(answer);
        }
    });
    assert!(konpo.intake.ask(Ask::Search).await.is_ok());
    let error = konpo.intake.ask(Ask::Look(phone().id)).await.expect_err("not here");
    assert_eq!(error.kind(), Kind::NotFound);
    answering.abort();

    let crowd = prepare(Take::Music, &konpo.library).await;
    let waiting: Vec<_> = (0..MOST_ASKS).map(|_| Box::pin(crowd.ask(Ask::Search))).collect();
    let mut waiting = futures_util::future::join_all(waiting);
    assert!(futures_util::poll!(&mut waiting).is_pending());
    assert_eq!(crowd.ask(Ask::Search).await.expect_err("full").kind(), Kind::Busy);
}

#[tokio::test]
async fn a_key_gives_its_right() {
    let konpo = Konpo::new(Take::Music).await;
    let key = Key::Cookie("abc".into());
    let device = konpo.intake.pair(key.clone(), "a page", Right::Member).await.expect("paired");
    for (key, right, whose) in [
        (None, Right::Room, None),
        (Some(Key::LocalOwner), Right::Owner, None),
        (Some(key), Right::Member, Some(device)),
        (Some(Key::Udn("x".into())), Right::Room, None),
    ] {
        let caller = konpo.intake.who(key, Via::Web).await;
        assert_eq!((caller.right, caller.device, caller.via), (right, whose, Via::Web));
    }
}

#[tokio::test]
async fn the_tasks_bring_a_file_to_the_shelf_and_stop() {
    let konpo = Konpo::new(Take::Music).await;
    let stop = CancellationToken::new();
    let config = IntakeConfig::new(Take::Music);
    let intake = Intake::start(config, konpo.library.clone(), stop.clone()).await.expect("started");
    let konpo = Konpo { intake, ..konpo };
    let mut board = konpo.intake.board();
    assert!(board.borrow().rev > 0);
    konpo.intake.set_neighbour(phone());
    let bytes = wav(1, 1000);
    konpo.pull(&item("22", "Song", bytes.len()), &bytes).await.expect("pulled");
    let stored = board.wait_for(|board| {
        board.pending == 0 && board.arrivals.iter().any(|arrival| arrival.stage == Stage::Stored)
    });
    let stored =
        tokio::time::timeout(Duration::from_secs(30), stored).await.expect("in time").expect("alive").clone();
    assert_eq!(stored.neighbours.len(), 1);
    assert_eq!(
        (stored.arrivals[0].name.as_str(), stored.arrivals[0].from.as_str()),
        ("Song.wav", "Yuki's phone")
    );
    stop.cancel();
    konpo.intake.stopped().await;
    konpo.intake.stopped().await;
    assert_eq!(konpo.intake.ask(Ask::Search).await.expect_err("stopped").kind(), Kind::Stopped);
}

#[tokio::test]
async fn what_a_rule_left_is_new_once_the_rule_is_gone() {
    let konpo = Konpo::new(Take::Purchased).await;
    let bytes = wav(1, 1000);
    let song = item("22", "Song", bytes.len());
    konpo.pull(&song, &bytes).await.expect("pulled");
    konpo.work().await;
    assert_eq!(konpo.new_ones(std::slice::from_ref(&song)).await, 0);
    let all = prepare(Take::Music, &konpo.library).await;
    assert_eq!(all.is_new(&phone().id, vec![song]).await.expect("read").len(), 1);
}

#[tokio::test]
async fn a_transfer_that_broke_off_is_awaited_and_given_up_after_a_month() {
    let konpo = Konpo::new(Take::Music).await;
    assert!(!konpo.intake.awaits(&phone().id).await.expect("read"));
    let mut part = konpo.intake.pull_item(&phone(), item("22", "Song", 900)).await.expect("opened");
    part.write(Bytes::from_static(&[1; 100])).await.expect("written");
    assert_eq!(part.tail(40).await.expect("read"), [1; 40]);
    drop(part);
    let konpo = konpo.again().await;
    assert!(konpo.intake.awaits(&phone().id).await.expect("read"));
    let mut row = konpo.library.journal_open().await.expect("read").remove(0);
    row.at = UnixTime(row.at.0 - 31 * 24 * 3600);
    konpo.library.journal_put(row).await.expect("written");
    let konpo = konpo.again().await;
    assert!(!konpo.intake.awaits(&phone().id).await.expect("read"));
    assert_eq!(konpo.staged(), 0);
}
