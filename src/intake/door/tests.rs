//! The door on a real shelf, without tasks and network.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::intake::IntakeConfig;
use crate::intake::Take;
use crate::intake::door::asking::MOST_ASKING;
use crate::intake::tests::with_config;
use crate::intake::worker;
use crate::offer::push::{BeamState, Request};
use crate::offer::{DeviceId, Stage, Via};
use crate::track::Sha256;

fn phone(name: &str, key: Option<&str>) -> Sender {
    Sender {
        way: "localsend",
        key: key.map(|sum| Key::Certificate(sum.into())),
        name: name.into(),
        address: IpAddr::from([10, 77, 0, 9]),
    }
}

fn file(name: &str, bytes: &[u8]) -> Sent {
    use sha2::Digest;
    let sum = sha2::Sha256::digest(bytes).into();
    let size = ByteCount(bytes.len() as u64);
    Sent { name: name.into(), size, mime: "audio/flac".into(), sha256: Some(Sha256(sum)) }
}

fn owner() -> Caller {
    Caller::itself()
}

async fn intake(folder: &Path, push: Push) -> Intake {
    with_config(folder, IntakeConfig { push, ..IntakeConfig::new(Take::Music) }).await
}

fn song(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).expect("test data")
}

async fn send(delivery: &Delivery, index: usize, bytes: &[u8]) -> Result<Finished> {
    let mut incoming = delivery.receive(index).await?;
    for piece in bytes.chunks(10_000) {
        incoming.write(Bytes::copy_from_slice(piece)).await?;
    }
    let finished = incoming.finish().await?;
    delivery.settled(index);
    Ok(finished)
}

/// Does the worker's part until nothing waits.
async fn work(intake: &Intake) {
    loop {
        let open = intake.inner.library.journal_open().await.expect("read");
        let Some(row) = open.into_iter().find(|row| row.stage != Stage::Offered) else { return };
        worker::bring(&intake.inner, row).await;
    }
}

async fn staged(intake: &Intake) -> usize {
    let folder = intake.inner.library.staging_dir().expect("online");
    intake.inner.door.tasks.close();
    intake.inner.door.tasks.wait().await;
    intake.inner.door.tasks.reopen();
    std::fs::read_dir(folder).expect("there").count()
}

fn beams(intake: &Intake) -> Vec<crate::offer::push::Beam> {
    intake.inner.notes.publish();
    intake.board().borrow().beams.clone()
}

fn asks(intake: &Intake) -> Vec<Request> {
    intake.inner.notes.publish();
    intake.board().borrow().asks.clone()
}

async fn asked(intake: &Intake) -> Request {
    for _ in 0..500 {
        if let Some(request) = asks(intake).into_iter().next() {
            return request;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nobody is asked");
}

#[tokio::test]
async fn a_stranger_waits_until_somebody_says_yes_and_a_no_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Ask).await;
    let bytes = song("tone.mp3");
    for yes in [true, false] {
        let (other, offered) = (intake.clone(), file("夜/a\u{7}.mp3".replace('\u{7}', "").as_str(), &bytes));
        let waiting = tokio::spawn(async move {
            other.offer(phone("Yuki\n", None), vec![offered], None).await.map(|d| d.accepted().to_vec())
        });
        let request = asked(&intake).await;
        assert_eq!(
            (request.from.as_str(), request.files, &request.names[..]),
            ("Yuki", 1, &["夜/a.mp3".to_owned()][..])
        );
        let again = intake.offer(phone("Yuki", None), vec![file("b.mp3", b"x")], None).await;
        assert!(matches!(again, Err(Refusal::Busy(_))), "one question for each sender");
        let room = Caller::room(Via::Web);
        assert_eq!(intake.answer(&room, request.id, yes).expect_err("refused").kind(), Kind::NotAllowed);
        intake.answer(&owner(), request.id, yes).expect("answered");
        let told = waiting.await.expect("no panic");
        match yes {
            true => assert_eq!(told.expect("let in"), [0]),
            false => assert!(matches!(told, Err(Refusal::Declined(_)))),
        }
        assert_eq!(intake.answer(&owner(), request.id, yes).expect_err("over").kind(), Kind::NotFound);
        assert!(asks(&intake).is_empty());
    }
}

#[tokio::test]
async fn a_sender_that_goes_takes_its_question_along() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Ask).await;
    let other = intake.clone();
    let waiting = tokio::spawn(async move {
        other.offer(phone("Yuki", None), vec![file("a.mp3", b"x")], None).await.map(drop)
    });
    let request = asked(&intake).await;
    waiting.abort();
    assert!(waiting.await.expect_err("aborted").is_cancelled());
    assert!(asks(&intake).is_empty());
    assert_eq!(intake.answer(&owner(), request.id, true).expect_err("gone").kind(), Kind::NotFound);
}

#[tokio::test]
async fn questions_that_wait_are_bounded() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Ask).await;
    let mut waiting = Vec::new();
    for n in 0..MOST_ASKING {
        let (other, from) =
            (intake.clone(), Sender { address: [10, 77, 1, n as u8].into(), ..phone("x", None) });
        waiting.push(tokio::spawn(async move {
            other.offer(from, vec![file("a.mp3", b"x")], None).await.map(drop)
        }));
    }
    for _ in 0..500 {
        if asks(&intake).len() == MOST_ASKING {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let beyond = intake.offer(phone("x", Some("ff")), vec![file("a.mp3", b"x")], None).await;
    assert!(matches!(beyond, Err(Refusal::Busy(_))), "{beyond:?}");
    waiting.iter().for_each(|waiting| waiting.abort());
}

#[tokio::test]
async fn a_window_asks_for_nobody_until_it_is_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Window).await;
    let offer = || intake.offer(phone("Yuki", None), vec![file("a.mp3", b"x")], None);
    assert!(matches!(offer().await, Err(Refusal::Declined(_))));
    assert!(intake.open_window(&Caller::room(Via::Web)).is_err());
    let until = intake.open_window(&owner()).expect("opened");
    assert_eq!(offer().await.expect("let in").accepted(), [0]);
    intake.inner.notes.publish();
    assert!(intake.board().borrow().window.is_some_and(|shown| shown >= until));
    intake.close_window(&owner()).expect("closed");
    assert!(matches!(offer().await, Err(Refusal::Declined(_))));
}

#[tokio::test]
async fn what_is_received_is_safe_lands_and_is_known_the_next_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Always).await;
    let mut pushes = intake.pushes().expect("once");
    let bytes = song("tone.mp3");
    let names = || vec![file("a.mp3", &bytes), file("cover.jpg", b"picture"), file("b.mp3", b"no music")];
    let delivery = intake.offer(phone("Yuki", Some("aa")), names(), None).await.expect("let in");
    assert_eq!((delivery.accepted(), delivery.known()), (&[0, 2][..], 0), "a picture need not be sent");
    assert_eq!(send(&delivery, 0, &bytes).await.expect("sent"), Finished::Safe);
    let open = intake.inner.library.journal_open().await.expect("read");
    assert_eq!(open.iter().map(|row| row.stage).collect::<Vec<_>>(), [Stage::Staged]);
    assert_eq!(send(&delivery, 2, b"no music").await.expect("sent"), Finished::Safe);
    work(&intake).await;
    let Ok(Pushed::Landed { index: 0, track, wish: OnArrival::PlayIfIdle, .. }) = pushes.try_recv() else {
        panic!("it landed")
    };
    let shown = beams(&intake).remove(0);
    assert_eq!((shown.files, shown.received, shown.stored, shown.refused), (2, 2, 1, 1));
    assert_eq!((shown.state, shown.undo_until.is_some()), (BeamState::Ended, true));
    drop(delivery);
    // By its sum, whoever sends it; what was no music is tried again.
    let again = intake.offer(phone("Ken", None), names(), None).await.expect("let in");
    assert_eq!((again.accepted(), again.known()), (&[2][..], 1));
    assert!(
        matches!(pushes.try_recv(), Ok(Pushed::Landed { track: known, .. }) if known == track),
        "it is wanted all the same"
    );
    // Without a sum by its name and size, from the same device only.
    let unsummed = || vec![Sent { sha256: None, ..file("a.mp3", &bytes) }];
    let same = intake.offer(phone("Yuki", Some("aa")), unsummed(), None).await.expect("let in");
    assert_eq!((same.accepted().len(), same.known()), (0, 1));
    let other = intake.offer(phone("Ken", Some("bb")), unsummed(), None).await.expect("let in");
    assert_eq!((other.accepted().len(), other.known()), (1, 0));
    // What was deleted comes again.
    intake.inner.library.trash(track).await.expect("deleted");
    let gone = intake.offer(phone("Yuki", Some("aa")), unsummed(), None).await.expect("let in");
    assert_eq!((gone.accepted().len(), gone.known()), (1, 0));
}

#[tokio::test]
async fn a_wrong_sum_or_size_and_a_break_leave_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Always).await;
    let bytes = song("tone.mp3");
    let delivery =
        intake.offer(phone("Yuki", None), vec![file("a.mp3", &bytes)], None).await.expect("let in");
    let mut wrong = bytes.clone();
    wrong[5] ^= 1;
    assert_eq!(send(&delivery, 0, &wrong).await.expect("told"), Finished::WrongSum);
    assert_eq!(send(&delivery, 0, &bytes[..100]).await.expect("told"), Finished::WrongSize);
    let mut more = bytes.clone();
    more.push(0);
    assert_eq!(send(&delivery, 0, &more).await.expect_err("too much").kind(), Kind::Damaged);
    let mut broken = delivery.receive(0).await.expect("begun");
    broken.write(Bytes::from_static(b"abc")).await.expect("written");
    drop(broken);
    assert_eq!(staged(&intake).await, 0);
    assert!(delivery.receive(1).await.is_err(), "not offered");
    assert_eq!(send(&delivery, 0, &bytes).await.expect("sent"), Finished::Safe);
}

#[tokio::test]
async fn an_undo_takes_back_what_is_new_and_leaves_what_was_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Always).await;
    let mut pushes = intake.pushes().expect("once");
    let (old, new) = (song("tone.mp3"), song("tone.ogg"));
    let first = intake.offer(phone("Ken", None), vec![file("a.mp3", &old)], None).await.expect("let in");
    send(&first, 0, &old).await.expect("sent");
    work(&intake).await;
    let files = || vec![file("a.mp3", &old), file("b.ogg", &new)];
    let second = intake.offer(phone("Yuki", None), files(), None).await.expect("let in");
    let id = second.id();
    send(&second, 1, &new).await.expect("sent");
    work(&intake).await;
    assert_eq!(intake.inner.library.newest(10).await.expect("read").len(), 2);
    let member = Caller { right: Right::Member, device: Some(DeviceId(7)), via: Via::Web };
    assert_eq!(intake.undo(&Caller::room(Via::Web), id).await.expect_err("refused").kind(), Kind::NotAllowed);
    assert_eq!(intake.undo(&member, id).await.expect_err("another's").kind(), Kind::NotAllowed);
    assert_eq!(intake.undo(&owner(), id).await.expect("undone"), 1);
    assert_eq!(intake.inner.library.newest(10).await.expect("read").len(), 1, "the one that was here stays");
    let told = std::iter::from_fn(|| pushes.try_recv().ok()).last();
    assert!(matches!(told, Some(Pushed::Undone(tracks)) if tracks.len() == 1));
    assert_eq!(intake.undo(&owner(), id).await.expect_err("over").kind(), Kind::NotFound);
    // What comes after it was taken back goes as well.
    let third = intake.offer(phone("Yuki", None), vec![file("b.ogg", &new)], None).await.expect("let in");
    let mut incoming = third.receive(0).await.expect("begun");
    incoming.write(Bytes::copy_from_slice(&new)).await.expect("written");
    assert_eq!(incoming.finish().await.expect("safe"), Finished::Safe);
    assert_eq!(intake.undo(&owner(), third.id()).await.expect("undone"), 0);
    work(&intake).await;
    assert_eq!(intake.inner.library.newest(10).await.expect("read").len(), 1);
}

#[tokio::test]
async fn a_pin_pairs_the_device_that_says_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Paired).await;
    let files = || vec![file("a.mp3", b"x")];
    let offer = |pin: Option<&'static str>| intake.offer(phone("Yuki", Some("aa")), files(), pin);
    assert!(matches!(offer(Some("1")).await, Err(Refusal::Declined(_))), "no PIN is set");
    assert!(intake.set_pin(&Caller::room(Via::Web)).is_err());
    let (pin, _) = intake.set_pin(&owner()).expect("set");
    assert_eq!(pin.len(), 6);
    assert!(matches!(offer(None).await, Err(Refusal::PinMissing)));
    let right = Box::leak(pin.into_boxed_str());
    for _ in 0..3 {
        assert!(matches!(offer(Some("x")).await, Err(Refusal::PinWrong)));
    }
    assert!(matches!(offer(Some(right)).await, Err(Refusal::LockedOut)));
    let (pin, _) = intake.set_pin(&owner()).expect("a new one");
    let right = Box::leak(pin.into_boxed_str());
    assert_eq!(offer(Some(right)).await.expect("let in").accepted(), [0]);
    intake.clear_pin(&owner()).expect("taken back");
    assert_eq!(offer(None).await.expect("it is known").accepted(), [0]);
    let device = intake.devices(&owner()).await.expect("read").remove(0);
    assert_eq!((device.name.as_str(), device.right, device.on_arrival), ("Yuki", Right::Member, None));
    intake.set_on_arrival(&owner(), device.id, Some(OnArrival::Keep)).await.expect("set");
    assert_eq!(intake.devices(&owner()).await.expect("read")[0].on_arrival, Some(OnArrival::Keep));
    intake.forget_device(&owner(), device.id).await.expect("forgotten");
    assert!(matches!(offer(None).await, Err(Refusal::Declined(_))));
    assert!(intake.set_on_arrival(&owner(), device.id, None).await.is_err());
}

#[tokio::test]
async fn the_first_device_becomes_the_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Ask).await;
    assert!(intake.setup().is_some());
    let key = |name: &str| Key::Cookie(name.into());
    intake.become_owner(key("a"), "Yuki's phone").await.expect("the first");
    assert_eq!(intake.who(Some(key("a")), Via::Web).await.right, Right::Owner);
    assert_eq!(intake.become_owner(key("b"), "Ken").await.expect_err("closed").kind(), Kind::NotAllowed);
    assert!(intake.inner.library.has_owner().await.expect("read"));
    intake.open_setup(&owner()).expect("opened");
    intake.become_owner(key("b"), "Ken").await.expect("again");
}

/// Asks in a task; returns it with the question that it led to.
async fn ask(
    intake: &Intake,
    sender: Sender,
    name: &str,
    in_all: Option<InAll>,
) -> (tokio::task::JoinHandle<std::result::Result<Delivery, Refusal>>, Request) {
    let (other, file) = (intake.clone(), file(name, name.as_bytes()));
    let waiting = tokio::spawn(async move { other.offer_one_of(sender, file, in_all, None).await });
    (waiting, asked(intake).await)
}

#[tokio::test]
async fn a_yes_is_for_what_was_shown_and_a_new_key_is_no_new_sender() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Ask).await;
    let in_all = Some(InAll { files: 3, bytes: ByteCount(3000) });
    let (waiting, shown) = ask(&intake, phone("Yuki\u{202e}", None), "0.mp3", in_all).await;
    assert_eq!((shown.from.as_str(), shown.files, shown.bytes), ("Yuki", 3, ByteCount(3000)));
    intake.answer(&owner(), shown.id, true).expect("answered");
    let mut all = vec![waiting.await.expect("no panic").expect("let in")];
    // The three and a few that come again; then somebody is asked anew, also for one with another certificate.
    for n in 1..5 {
        let name = format!("{n}.mp3");
        let next = intake.offer_one_of(phone("Yuki", None), file(&name, b"x"), in_all, None).await;
        all.push(next.expect("nobody is asked"));
    }
    let (waiting, shown) = ask(&intake, phone("Yuki", Some("aa")), "5.mp3", None).await;
    assert_eq!(shown.files, 1);
    intake.answer(&owner(), shown.id, false).expect("answered");
    assert!(matches!(waiting.await.expect("no panic"), Err(Refusal::Declined(_))));
    // A no holds for a while, whatever it comes by.
    let again = intake.offer_next(phone("Yuki", None), file("6.mp3", b"x"), None).await;
    assert!(matches!(again, Err(Refusal::Declined(_))), "{again:?}");
    let again = intake.offer(phone("Ken", Some("bb")), vec![file("6.mp3", b"x")], None).await;
    assert!(matches!(again, Err(Refusal::Declined(_))), "{again:?}");
    assert!(asks(&intake).is_empty());
}

#[tokio::test]
async fn a_days_share_is_counted_by_address_until_a_device_is_paired() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Always).await;
    let many = || (0..MOST_FILES).map(|n| Sent { sha256: None, ..file(&format!("{n}.mp3"), b"x") }).collect();
    let first = intake.offer(phone("x", Some("aa")), many(), None).await.expect("let in");
    let words = match intake.offer(phone("y", Some("bb")), many(), None).await {
        Err(Refusal::Full(words)) => words,
        other => panic!("{other:?}"),
    };
    assert!(words.contains("files a day"), "{words}");
    intake.pair(Key::Certificate("bb".into()), "Ken", Right::Member).await.expect("paired");
    intake.offer(phone("y", Some("bb")), many(), None).await.expect("a member has a day of its own");
    drop(first);
    intake.offer(phone("z", Some("cc")), many(), None).await.expect("what never came is not counted");
}

#[tokio::test]
async fn what_strangers_do_not_send_pushes_nobodys_beam_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Ask).await;
    let _pushes = intake.pushes().expect("once");
    intake.pair(Key::Certificate("aa".into()), "Yuki", Right::Member).await.expect("paired");
    let bytes = song("tone.mp3");
    let delivery =
        intake.offer(phone("Yuki", Some("aa")), vec![file("a.mp3", &bytes)], None).await.expect("let in");
    assert_eq!(send(&delivery, 0, &bytes).await.expect("sent"), Finished::Safe);
    let id = delivery.id();
    drop(delivery);
    let until = intake.open_window(&owner()).expect("opened");
    let from = |n: usize| Sender { address: [10, 77, 2, n as u8].into(), ..phone("evil", None) };
    for n in 0..120 {
        let none = intake.offer(from(n), vec![file("a.jpg", b"x")], None).await.expect("nothing is asked");
        assert!(none.accepted().is_empty());
    }
    assert_eq!(beams(&intake).len(), 1, "nothing came, nothing is said");
    assert_eq!(intake.board().borrow().window, Some(until), "nor was the window used");
    work(&intake).await;
    for n in 0..120 {
        let known = intake.offer(from(n % 2), vec![file("a.mp3", &bytes)], None).await.expect("known");
        assert_eq!(known.known(), 1);
    }
    assert_eq!(beams(&intake).len(), 3, "one note for each that has it as well");
    // Others that were let in and brought nothing.
    for n in 0..120 {
        drop(intake.offer(from(n), vec![file(&format!("{n}.mp3"), b"x")], None).await.expect("let in"));
    }
    assert_eq!(intake.undo(&owner(), id).await.expect("it is still there"), 1);
}

#[tokio::test]
async fn odd_names_and_files_that_are_too_large_do_not_refuse_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Always).await;
    let bytes = song("tone.mp3");
    let long = format!("{}.mp3", "あ".repeat(90));
    let large = Sent { sha256: None, size: ByteCount(LARGEST_FILE + 1), ..file("video.mkv", b"") };
    let files = vec![file("\u{2068}Anna\u{2069}.mp3", b"one"), large.clone(), file(&long, &bytes)];
    let delivery = intake.offer(phone("Yuki", None), files, None).await.expect("let in");
    assert_eq!(delivery.accepted(), [0, 2]);
    assert_eq!(send(&delivery, 2, &bytes).await.expect("sent"), Finished::Safe);
    work(&intake).await;
    assert_eq!(intake.inner.library.newest(10).await.expect("read").len(), 1);
    let alone = intake.offer(phone("Yuki", None), vec![large], None).await;
    assert!(matches!(&alone, Err(Refusal::Unfit(words)) if words.contains("are not taken")), "{alone:?}");
}

#[tokio::test]
async fn a_pin_that_is_missing_breaks_nothing_that_was_allowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Ask).await;
    let (waiting, shown) = ask(&intake, phone("Yuki", None), "0.mp3", None).await;
    intake.answer(&owner(), shown.id, true).expect("answered");
    let first = waiting.await.expect("no panic").expect("let in");
    intake.set_pin(&owner()).expect("set");
    let next = intake.offer_next(phone("Yuki", None), file("1.mp3", b"x"), None).await.expect("it goes on");
    let from = |n: u8| Sender { address: [10, 77, 3, n].into(), ..phone("Ken", None) };
    // An app and the page are told that there is a PIN; whoever has none is asked for then.
    let told = intake.offer(from(3), vec![file("a.mp3", b"x")], None).await;
    assert!(matches!(told, Err(Refusal::PinMissing)), "{told:?}");
    let told = intake.offer_next(from(3), file("a.mp3", b"x"), None).await;
    assert!(matches!(told, Err(Refusal::PinMissing)), "{told:?}");
    let before = Instant::now().checked_sub(Duration::from_secs(11)).expect("the machine runs for longer");
    assert!(intake.inner.door.desk().pairing.is_to_be_told(from(1).address, before));
    let other = intake.clone();
    let waiting = tokio::spawn(async move { other.offer(from(1), vec![file("a.mp3", b"x")], None).await });
    let shown = asked(&intake).await;
    intake.answer(&owner(), shown.id, true).expect("answered");
    waiting.await.expect("no panic").expect("let in");
    intake.open_window(&owner()).expect("opened");
    let in_window = intake.offer(from(2), vec![file("b.mp3", b"x")], None).await.expect("nobody is asked");
    drop((first, next, in_window));
}

#[tokio::test]
async fn a_disk_without_room_is_told_before_the_first_byte() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Always).await;
    let files: Vec<Sent> = (0..4000)
        .map(|n| Sent { sha256: None, size: ByteCount(LARGEST_FILE), ..file(&format!("{n}.wav"), b"") })
        .collect();
    let full = intake.offer(phone("Yuki", None), files, None).await;
    assert!(matches!(full, Err(Refusal::Full(_))), "{full:?}");
    let none = intake.offer(phone("Yuki", None), Vec::new(), None).await;
    assert!(matches!(none, Err(Refusal::Unfit(_))));
    let harmful = intake.offer(phone("Yuki", None), vec![file("../x.mp3", b"x")], None).await;
    assert!(matches!(harmful, Err(Refusal::Unfit(_))));
    assert!(beams(&intake).is_empty());
}

#[tokio::test]
async fn a_question_that_is_asked_again_keeps_its_number_and_another_gets_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Ask).await;
    let waits = |name: &'static str| {
        let other = intake.clone();
        tokio::spawn(async move { other.offer(phone("Yuki", None), vec![file(name, b"x")], None).await })
    };
    let first = waits("a.mp3");
    let shown = asked(&intake).await;
    first.abort();
    assert!(first.await.expect_err("aborted").is_cancelled());
    let again = waits("a.mp3");
    assert_eq!(asked(&intake).await.id, shown.id);
    again.abort();
    assert!(again.await.expect_err("aborted").is_cancelled());
    let other = waits("b.mp3");
    assert_ne!(asked(&intake).await.id, shown.id, "a yes to one is none to the other");
    other.abort();
    assert!(other.await.expect_err("aborted").is_cancelled());
    let again = waits("a.mp3");
    assert_eq!(asked(&intake).await.id, shown.id);
    // A yes that was pressed when the first one was shown.
    intake.answer(&owner(), shown.id, true).expect("answered");
    assert_eq!(again.await.expect("no panic").expect("let in").accepted(), [0]);
}

#[tokio::test]
async fn a_yes_to_a_form_is_for_all_its_files_and_no_other_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Ask).await;
    let form = std::sync::Arc::new(OneRequest::default());
    let (other, request) = (intake.clone(), form.clone());
    let waiting = tokio::spawn(async move {
        other.offer_in(&request, phone("Yuki", None), file("0.mp3", b"0"), None).await
    });
    let shown = asked(&intake).await;
    intake.answer(&owner(), shown.id, true).expect("answered");
    let mut all = vec![waiting.await.expect("no panic").expect("let in")];
    for n in 1..60 {
        let name = format!("{n}.mp3");
        let next = intake.offer_in(&form, phone("Yuki", None), file(&name, name.as_bytes()), None).await;
        all.push(next.expect("nobody is asked"));
    }
    let other = intake.clone();
    let waiting = tokio::spawn(async move {
        other.offer_in(&OneRequest::default(), phone("Yuki", None), file("x.mp3", b"x"), None).await
    });
    let shown = asked(&intake).await;
    intake.answer(&owner(), shown.id, false).expect("answered");
    assert!(matches!(waiting.await.expect("no panic"), Err(Refusal::Declined(_))));
}

#[tokio::test]
async fn what_is_left_out_is_told_with_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path(), Push::Always).await;
    let large = || Sent { sha256: None, size: ByteCount(LARGEST_FILE + 1), ..file("long.wav", b"") };
    let files = vec![file("a.mp3", b"x"), file("cover\u{202e}.jpg", b"y"), large()];
    let delivery = intake.offer(phone("Yuki", None), files, None).await.expect("let in");
    let shown = beams(&intake).remove(0);
    let told: Vec<(&str, &str)> =
        shown.left_out.iter().map(|left| (left.name.as_str(), left.code.as_str())).collect();
    assert_eq!(
        (told, shown.left_out_count),
        (vec![("cover.jpg", "not_audio"), ("long.wav", "too_large")], 2)
    );
    assert!(shown.left_out[1].reason.contains("8"), "{shown:?}");
    // One by one they are told with the beam that they belong to.
    let first = intake.offer_next(phone("Ken", None), file("b.mp3", b"z"), None).await.expect("let in");
    let none = intake.offer_next(phone("Ken", None), file("b.txt", b"z"), None).await.expect("no question");
    assert!(none.accepted().is_empty());
    let shown = beams(&intake).remove(0);
    assert_eq!((shown.from.as_str(), shown.files, shown.left_out_count), ("Ken", 1, 1));
    drop((delivery, first, none));
}
