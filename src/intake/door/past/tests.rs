//! What the door knows after a restart, on a real shelf, without tasks and network. The process ends as by a power cut:
//! nothing is said to anybody.

use std::net::IpAddr;
use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::intake::door::uploads::{Counts, Uploads};
use crate::intake::door::{Delivery, MOST_FILES};
use crate::intake::tests::with_config;
use crate::intake::{Intake, IntakeConfig, Take, worker};
use crate::offer::push::{Beam, BeamState, Push, Sender, Sent};
use crate::offer::{Caller, Right, Via};

async fn intake(folder: &Path) -> Intake {
    with_config(folder, IntakeConfig { push: Push::Always, ..IntakeConfig::new(Take::Music) }).await
}

fn phone(last: u8, key: Option<&str>) -> Sender {
    let key = key.map(|sum| Key::Certificate(sum.into()));
    Sender { way: "localsend", key, name: "Yuki".into(), address: IpAddr::from([10, 77, 0, last]) }
}

fn song(name: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    std::fs::read(path).expect("test data").into()
}

fn sent(name: &str, bytes: &[u8]) -> Sent {
    Sent { name: name.into(), size: ByteCount(bytes.len() as u64), mime: String::new(), sha256: None }
}

async fn send(delivery: &Delivery, index: usize, bytes: &Bytes) {
    let mut incoming = delivery.receive(index).await.expect("begun");
    incoming.write(bytes.clone()).await.expect("taken");
    incoming.finish().await.expect("safe");
    delivery.settled(index);
}

/// Does the worker's part until nothing waits.
async fn work(intake: &Intake) {
    loop {
        let open = intake.inner.library.journal_open().await.expect("read");
        let Some(row) = open.into_iter().find(|row| row.stage != Stage::Offered) else { return };
        worker::bring(&intake.inner, row).await;
    }
}

fn beams(intake: &Intake) -> Vec<Beam> {
    intake.inner.show_door();
    intake.inner.notes.publish();
    intake.board().borrow().beams.clone()
}

async fn tracks(intake: &Intake) -> usize {
    intake.inner.library.newest(100).await.expect("read").len()
}

#[tokio::test]
async fn what_landed_before_the_power_was_cut_can_be_taken_back_and_stays_taken_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = intake(folder.path()).await;
    let (ogg, mp3, flac) = (song("tone.ogg"), song("tone.mp3"), song("tone.flac"));
    let files = vec![sent("a.ogg", &ogg), sent("b.mp3", &mp3), sent("c.flac", &flac)];
    let delivery = first.offer(phone(9, None), files, None).await.expect("let in");
    let id = delivery.id();
    send(&delivery, 0, &ogg).await;
    work(&first).await;
    // The second is here and not on the shelf yet; of the third a part came.
    send(&delivery, 1, &mp3).await;
    let mut third = delivery.receive(2).await.expect("begun");
    third.write(flac.slice(..1000)).await.expect("taken");
    drop((third, delivery));
    first.inner.door.stopped().await;
    drop(first);

    let second = intake(folder.path()).await;
    let shown = beams(&second).remove(0);
    assert_eq!((shown.id, shown.from.as_str(), shown.state), (id, "Yuki", BeamState::Ended));
    assert_eq!((shown.files, shown.received, shown.stored), (2, 2, 1), "what did not come is not counted");
    assert!(shown.undo_until.is_some());
    work(&second).await;
    assert_eq!((beams(&second)[0].stored, tracks(&second).await), (2, 2));
    let room = Caller::room(Via::Web);
    assert_eq!(second.undo(&room, id).await.expect_err("refused").kind(), Kind::NotAllowed);
    assert_eq!(second.undo(&Caller::itself(), id).await.expect("undone"), 2);
    drop(second);

    let third = intake(folder.path()).await;
    let shown = beams(&third).remove(0);
    assert_eq!((shown.state, shown.undo_until, tracks(&third).await), (BeamState::Undone, None, 0));
    assert_eq!(third.undo(&Caller::itself(), id).await.expect_err("over").kind(), Kind::NotFound);
    let next = third.offer(phone(8, None), vec![sent("a.ogg", &ogg)], None).await.expect("let in");
    assert!(next.id() > id, "a number means one thing for ever");
}

#[tokio::test]
async fn an_undo_that_the_power_cut_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = intake(folder.path()).await;
    let (ogg, mp3) = (song("tone.ogg"), song("tone.mp3"));
    let files = vec![sent("a.ogg", &ogg), sent("b.mp3", &mp3)];
    let delivery = first.offer(phone(9, None), files, None).await.expect("let in");
    send(&delivery, 0, &ogg).await;
    work(&first).await;
    send(&delivery, 1, &mp3).await;
    // It is written down, and nothing of it is done.
    first.inner.note_undone(delivery.id(), false).await.expect("written");
    drop((delivery, first));
    let second = intake(folder.path()).await;
    assert_eq!(tracks(&second).await, 0, "the one on the shelf goes at the start");
    work(&second).await;
    assert_eq!(tracks(&second).await, 0, "the other never gets there");
    // The same song, sent anew, is a new arrival and stays.
    let again = second.offer(phone(9, None), vec![sent("a.ogg", &ogg)], None).await.expect("let in");
    send(&again, 0, &ogg).await;
    work(&second).await;
    drop((again, second));
    assert_eq!(tracks(&intake(folder.path()).await).await, 1);
}

#[tokio::test]
async fn a_beam_of_long_ago_and_one_of_a_wrong_clock_are_not_offered() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = intake(folder.path()).await;
    let (ogg, mp3, flac) = (song("tone.ogg"), song("tone.mp3"), song("tone.flac"));
    let mut ids = Vec::new();
    for (name, bytes) in [("a.ogg", &ogg), ("b.mp3", &mp3), ("c.flac", &flac)] {
        let sender = Sender { name: name.into(), ..phone(9, None) };
        let delivery = first.offer(sender, vec![sent(name, bytes)], None).await.expect("let in");
        send(&delivery, 0, bytes).await;
        ids.push(delivery.id());
    }
    work(&first).await;
    let now = UnixTime::now().0;
    for row in first.inner.library.journal_recent(10).await.expect("read") {
        let at = match row.provenance.original_name.as_str() {
            "a.ogg" => now - 601,
            "b.mp3" => now + 3600,
            _ => now - 500,
        };
        let row = JournalRow { at: UnixTime(at), ..row };
        first.inner.library.journal_put(row).await.expect("written");
    }
    drop(first);
    let second = intake(folder.path()).await;
    let shown: Vec<_> = beams(&second).iter().map(|beam| beam.id).collect();
    assert_eq!(shown, [ids[2]]);
}

#[tokio::test]
async fn a_share_of_the_day_that_was_used_stays_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = intake(folder.path()).await;
    let (ogg, mp3) = (song("tone.ogg"), song("tone.mp3"));
    // With certificates that nobody knows they are counted by their address.
    let delivery = first.offer(phone(9, Some("aa")), vec![sent("a.ogg", &ogg)], None).await.expect("let in");
    send(&delivery, 0, &ogg).await;
    let files = vec![sent("b.mp3", &mp3), sent("never.mp3", b"x")];
    let other = first.offer(phone(9, Some("bb")), files, None).await.expect("let in");
    send(&other, 0, &mp3).await;
    // One that goes on after the restart is counted then.
    let uploads = Uploads::new(first.clone());
    let begun = uploads.begin(phone(9, None), sent("c.flac", &[0; 5000]), None).await.expect("let in");
    let mut piece = begun.upload.append(0, Counts::AtOnce).await.expect("opened");
    piece.write(Bytes::from_static(b"fLaC")).await.expect("taken");
    piece.break_off().await.expect("kept");
    let name = begun.name;
    drop((delivery, other, begun.upload, uploads, first));

    let second = intake(folder.path()).await;
    let may = |files: u64| {
        let desk = second.inner.door.desk();
        desk.quotas.refusal("addr:10.77.0.9", Right::Room, files, ByteCount(0), UnixTime::now()).is_none()
    };
    let most = MOST_FILES as u64;
    assert!(may(most - 2) && !may(most - 1), "two came");
    let uploads = Uploads::new(second.clone());
    let upload = uploads.find(&name).await.expect("it goes on");
    assert!(may(most - 3) && !may(most - 2), "and this one does");
    drop(upload);
}
