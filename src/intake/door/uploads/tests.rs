//! Uploads on a real shelf, without tasks and network.

use std::path::Path;

use super::*;
use crate::intake::IntakeConfig;
use crate::intake::Take;
use crate::intake::tests::with_config;
use crate::intake::worker;
use crate::offer::push::Push;

async fn intake(folder: &Path, push: Push) -> Intake {
    with_config(folder, IntakeConfig { push, ..IntakeConfig::new(Take::Music) }).await
}

fn sender() -> Sender {
    Sender { way: WAY, key: None, name: "a phone".into(), address: IpAddr::from([10, 77, 0, 9]) }
}

fn file(name: &str, size: usize) -> Sent {
    Sent { name: name.into(), size: ByteCount(size as u64), mime: String::new(), sha256: None }
}

fn song(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read(path).expect("test data").into()
}

fn staged(intake: &Intake) -> usize {
    std::fs::read_dir(intake.inner.library.staging_dir().expect("online")).expect("there").count()
}

/// Does the worker's part until nothing waits, and returns the verdicts.
async fn work(intake: &Intake) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    loop {
        let open = intake.inner.library.journal_open().await.expect("read");
        let Some(row) = open.into_iter().find(|row| row.stage != Stage::Offered) else { return verdicts };
        let id = row.id;
        worker::bring(&intake.inner, row).await;
        let recent = intake.inner.library.journal_recent(100).await.expect("read");
        verdicts.extend(recent.into_iter().find(|row| row.id == id).and_then(|row| row.verdict));
    }
}

#[tokio::test]
async fn a_file_comes_in_pieces_over_a_cut_and_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = intake(folder.path(), Push::Always).await;
    let (bytes, uploads) = (song("tone.flac"), Uploads::new(first.clone()));
    let size = bytes.len();
    let Begun { name, upload, known } =
        uploads.begin(sender(), file("夜/tone.flac", size), None).await.expect("let in");
    assert_eq!((known, upload.size(), upload.offset().await.expect("read")), (false, size as u64, 0));
    let mut piece = upload.append(0, Counts::AtOnce).await.expect("opened");
    piece.write(bytes.slice(..1000)).await.expect("taken");
    assert_eq!(piece.break_off().await.expect("kept"), 1000);
    assert_eq!(upload.append(0, Counts::AtOnce).await.expect_err("elsewhere").kind(), Kind::Invalid);
    // Its sender begins anew while the old connection still hangs.
    let hangs = upload.append(1000, Counts::AtOnce).await.expect("opened");
    let (ended, other) = (hangs.taken_over(), upload.clone());
    let anew = tokio::spawn(async move { other.offset().await });
    ended.cancelled().await;
    drop(hangs);
    assert_eq!(anew.await.expect("no panic").expect("read"), 1000);
    // The process ends.
    drop((upload, uploads, first));
    let second = intake(folder.path(), Push::Never).await;
    let uploads = Uploads::new(second.clone());
    let upload = uploads.find(&name).await.expect("known after a restart");
    assert_eq!(upload.offset().await.expect("read"), 1000);
    let mut piece = upload.append(1000, Counts::AtOnce).await.expect("opened");
    piece.write(bytes.slice(1000..)).await.expect("taken");
    assert_eq!((piece.room(), piece.end().await.expect("safe")), (0, size as u64));
    assert_eq!(upload.offset().await.expect("read"), size as u64);
    assert_eq!(upload.append(0, Counts::AtOnce).await.expect_err("over").kind(), Kind::Invalid);
    assert!(matches!(work(&second).await[..], [Verdict::Stored { .. }]));
    assert_eq!(staged(&second), 0);
    // Whoever did not hear that it is safe asks again, also after another restart.
    drop((upload, uploads, second));
    let third = intake(folder.path(), Push::Never).await;
    let upload = Uploads::new(third.clone()).find(&name).await.expect("known");
    assert_eq!((upload.is_whole(), upload.offset().await.expect("read")), (true, size as u64));
    assert_eq!(Uploads::new(third).find("0123").await.expect_err("no such").kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_piece_that_counts_only_when_right_leaves_nothing_when_it_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = intake(folder.path(), Push::Always).await;
    let (bytes, uploads) = (song("tone.flac"), Uploads::new(first.clone()));
    let Begun { name, upload, .. } =
        uploads.begin(sender(), file("tone.flac", bytes.len()), None).await.expect("let in");
    let mut piece = upload.append(0, Counts::WhenRight).await.expect("opened");
    piece.write(bytes.slice(..500)).await.expect("taken");
    assert_eq!(piece.end().await.expect("right"), 500);
    let mut piece = upload.append(500, Counts::WhenRight).await.expect("opened");
    piece.write(bytes.slice(..700)).await.expect("taken");
    assert_eq!(piece.break_off().await.expect("taken back"), 500);
    // A process that dies with half of a piece on the disk.
    let mut piece = upload.append(500, Counts::WhenRight).await.expect("opened");
    piece.write(Bytes::from(vec![7; 600_000_usize.min(bytes.len() - 500)])).await.expect("taken");
    piece.part.as_mut().expect("open").flush().await.expect("written");
    drop(piece);
    drop((upload, uploads, first));
    let second = intake(folder.path(), Push::Always).await;
    let upload = Uploads::new(second.clone()).find(&name).await.expect("known");
    assert_eq!(upload.offset().await.expect("read"), 500);
    let mut piece = upload.append(500, Counts::AtOnce).await.expect("opened");
    piece.write(bytes.slice(500..)).await.expect("taken");
    piece.end().await.expect("safe");
    assert!(matches!(work(&second).await[..], [Verdict::Stored { .. }]), "byte for byte");
}

#[tokio::test]
async fn what_is_cancelled_goes_and_what_is_here_is_not_sent_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Always).await;
    let (bytes, uploads) = (song("tone.flac"), Uploads::new(intake.clone()));
    let begun = uploads.begin(sender(), file("a.flac", bytes.len()), None).await.expect("let in");
    let mut piece = begun.upload.append(0, Counts::AtOnce).await.expect("opened");
    piece.write(bytes.slice(..10)).await.expect("taken");
    piece.break_off().await.expect("kept");
    assert_eq!(staged(&intake), 1);
    begun.upload.cancel().await.expect("cancelled");
    assert_eq!(staged(&intake), 0);
    assert_eq!(begun.upload.cancel().await.expect_err("twice").kind(), Kind::NotFound);
    assert_eq!(begun.upload.append(0, Counts::AtOnce).await.expect_err("gone").kind(), Kind::NotFound);
    assert_eq!(uploads.find(&begun.name).await.expect_err("gone").kind(), Kind::NotFound);
    let begun = uploads.begin(sender(), file("a.flac", bytes.len()), None).await.expect("let in");
    let mut piece = begun.upload.append(0, Counts::AtOnce).await.expect("opened");
    piece.write(bytes.clone()).await.expect("taken");
    piece.end().await.expect("safe");
    work(&intake).await;
    use sha2::Digest;
    let sum = crate::track::Sha256(sha2::Sha256::digest(&bytes).into());
    let again = Sent { sha256: Some(sum), ..file("b.flac", bytes.len()) };
    let begun = uploads.begin(sender(), again, None).await.expect("let in");
    assert_eq!((begun.known, begun.upload.offset().await.expect("read")), (true, bytes.len() as u64));
    // One beam for what one sender brings one by one.
    intake.inner.notes.publish();
    let beams = intake.board().borrow().beams.clone();
    assert_eq!(
        (beams.len(), beams[0].files, beams[0].stored, beams[0].known_count),
        (1, 2, 1, 1),
        "{beams:?}"
    );
    // An empty file is here at once, and no music.
    let begun = uploads.begin(sender(), file("empty.flac", 0), None).await.expect("let in");
    assert!(begun.upload.is_whole());
    assert!(matches!(&work(&intake).await[..], [Verdict::Refused { code, .. }] if code == "empty"));
    let picture = uploads.begin(sender(), file("a.jpg", 5), None).await;
    assert!(matches!(picture, Err(Refusal::Unfit(_))), "{picture:?}");
}

#[tokio::test]
async fn several_files_of_a_stranger_are_asked_for_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Ask).await;
    let uploads = Uploads::new(intake.clone());
    for yes in [false, true] {
        let begin = |n: usize| {
            let uploads = uploads.clone();
            tokio::spawn(async move { uploads.begin(sender(), file(&format!("{n}.flac"), 10), None).await })
        };
        let both = [begin(1), begin(2)];
        let mut waited = 0;
        let request = loop {
            intake.inner.notes.publish();
            if let Some(request) = intake.board().borrow().asks.first().cloned() {
                break request;
            }
            waited += 1;
            assert!(waited < 1000, "nobody is asked");
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        intake.answer(&Caller::itself(), request.id, yes).expect("answered");
        for one in both {
            assert_eq!(one.await.expect("no panic").is_ok(), yes);
        }
        if !yes {
            intake.inner.door.desk().answers = Default::default();
        }
    }
    uploads.begin(sender(), file("3.flac", 10), None).await.expect("the yes holds");
}

#[tokio::test]
async fn a_file_whose_end_did_not_get_through_is_not_told_to_be_here_before_it_is() {
    for restarts in [false, true] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut intake = intake(folder.path(), Push::Always).await;
        let (bytes, mut uploads) = (song("tone.flac"), Uploads::new(intake.clone()));
        let size = bytes.len() as u64;
        let Begun { name, upload, .. } =
            uploads.begin(sender(), file("a.flac", bytes.len()), None).await.expect("let in");
        let mut piece = upload.append(0, Counts::AtOnce).await.expect("opened");
        piece.write(bytes).await.expect("taken");
        assert_eq!(piece.break_off().await.expect("kept"), size, "all bytes, and not the word");
        assert!(!upload.is_whole());
        drop(upload);
        if restarts {
            drop((uploads, intake));
            intake = self::intake(folder.path(), Push::Never).await;
            uploads = Uploads::new(intake.clone());
        }
        let upload = uploads.find(&name).await.expect("known");
        assert_eq!(upload.offset().await.expect("read"), size);
        assert!(upload.is_whole());
        let verdicts = work(&intake).await;
        assert!(matches!(verdicts[..], [Verdict::Stored { .. }]), "{restarts}: {verdicts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_goes_while_its_file_is_synced_leaves_it_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Always).await;
    let (bytes, uploads) = (song("tone.flac"), Uploads::new(intake.clone()));
    let begun = uploads.begin(sender(), file("a.flac", bytes.len()), None).await.expect("let in");
    let mut piece = begun.upload.append(0, Counts::AtOnce).await.expect("opened");
    piece.write(bytes.clone()).await.expect("taken");
    // One poll, then nobody waits for it any more.
    let _gone = futures_util::poll!(std::pin::pin!(piece.end()));
    let song = song("tone.mp3");
    let delivery = intake.offer(sender(), vec![file("b.mp3", song.len())], None).await.expect("let in");
    let mut incoming = delivery.receive(0).await.expect("opened");
    incoming.write(song).await.expect("taken");
    let _gone = futures_util::poll!(std::pin::pin!(incoming.finish()));
    intake.inner.door.stopped().await;
    let verdicts = work(&intake).await;
    assert!(matches!(verdicts[..], [Verdict::Stored { .. }, Verdict::Stored { .. }]), "{verdicts:?}");
    assert!(begun.upload.is_whole());
    assert_eq!(staged(&intake), 0);
}

#[tokio::test]
async fn a_sender_that_begins_and_never_sends_keeps_nobody_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = intake(folder.path(), Push::Always).await;
    let uploads = Uploads::new(first.clone());
    let mut begun = Vec::new();
    for number in 0..MOST_OF_ONE {
        let name = format!("{number}.flac");
        begun.push(uploads.begin(sender(), file(&name, 1000), None).await.expect("let in"));
    }
    let more = uploads.begin(sender(), file("x.flac", 1000), None).await;
    assert!(matches!(more, Err(Refusal::Busy(_))), "{more:?}");
    let other = Sender { address: IpAddr::from([10, 77, 0, 10]), ..sender() };
    uploads.begin(other, file("y.flac", 1000), None).await.expect("somebody else");
    let promised = || first.inner.door.desk().promised;
    assert_eq!(promised(), 1000 * (MOST_OF_ONE as u64 + 1));
    let mut piece = begun[0].upload.append(0, Counts::AtOnce).await.expect("opened");
    piece.write(Bytes::from(vec![7; 400])).await.expect("taken");
    assert_eq!(promised(), 1000 * (MOST_OF_ONE as u64 + 1) - 400, "what is here takes room itself");
    piece.break_off().await.expect("kept");
    // Minutes later no room is kept for it, a day later it is given up.
    for (index, ago, kept, left) in [(1, PROMISED_FOR, 1000, 1), (2, UPLOAD_WAITS, 2000, 0)] {
        let entry = &begun[index].upload.entry;
        *entry.touched.lock().expect("nobody panics") = UnixTime(UnixTime::now().0 - ago - 1);
        tend(&first.inner, true).await.expect("tended");
        assert_eq!(promised(), 1000 * (MOST_OF_ONE as u64 + 1) - 400 - kept);
        assert_eq!(uploads.find(&begun[index].name).await.is_ok(), left == 1, "{ago}");
    }
    let (name, here) = (begun[3].name.clone(), staged(&first));
    drop((begun, uploads, first));
    // Of an earlier run only the journal knows.
    let second = intake(folder.path(), Push::Always).await;
    let mut rows = second.inner.library.journal_open().await.expect("read");
    let row = rows.iter_mut().find(|row| row.etag.as_deref() == Some(&tag_of(&name))).expect("its row");
    row.at = UnixTime(UnixTime::now().0 - UPLOAD_WAITS - 1);
    second.inner.library.journal_put(row.clone()).await.expect("kept");
    let uploads = Uploads::new(second.clone());
    tend(&second.inner, true).await.expect("tended");
    assert_eq!(staged(&second), here - 1);
    assert_eq!(uploads.find(&name).await.expect_err("given up").kind(), Kind::NotFound);
}

#[tokio::test]
async fn whoever_guesses_names_does_not_make_the_box_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Always).await;
    let uploads = Uploads::new(intake.clone());
    for name in ["", "0123", "../../x", &"g".repeat(32), &"0".repeat(33)] {
        assert_eq!(uploads.find(name).await.expect_err("no name").kind(), Kind::NotFound);
        assert!(uploads.table.before().is_none(), "{name}: nothing was read");
    }
    assert_eq!(uploads.find(&"0".repeat(32)).await.expect_err("unknown").kind(), Kind::NotFound);
    assert!(uploads.table.before().is_some(), "the journal was read once");
    let _nobody_reads = uploads.looking.lock().await;
    assert_eq!(uploads.find(&"1".repeat(32)).await.expect_err("unknown").kind(), Kind::NotFound);
}

#[tokio::test]
async fn more_than_was_said_takes_the_piece_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Always).await;
    let uploads = Uploads::new(intake.clone());
    let begun = uploads.begin(sender(), file("a.flac", 100), None).await.expect("let in");
    let mut piece = begun.upload.append(0, Counts::AtOnce).await.expect("opened");
    piece.write(Bytes::from(vec![1; 60])).await.expect("taken");
    piece.end().await.expect("right");
    let mut piece = begun.upload.append(60, Counts::AtOnce).await.expect("opened");
    piece.write(Bytes::from(vec![2; 40])).await.expect("taken");
    assert_eq!(piece.write(Bytes::from(vec![3; 1])).await.expect_err("more").kind(), Kind::Damaged);
    assert_eq!(piece.take_back().await.expect("taken back"), 60);
    assert_eq!(begun.upload.offset().await.expect("read"), 60);
}
