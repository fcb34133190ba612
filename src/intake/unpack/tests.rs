//! Archives on a real shelf, without tasks and network.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::intake::door::uploads::{Counts, Uploads};
use crate::intake::tests::with_config;
use crate::intake::{Intake, IntakeConfig, Take, worker};
use crate::offer::push::{Push, Sender};

fn song(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).expect("test data")
}

/// An archive as Python's zipfile writes it.
fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.zip");
    let script = "import sys,zipfile,struct\nz=zipfile.ZipFile(sys.argv[1],'w',zipfile.ZIP_DEFLATED)\nr=sys.stdin.buffer\n\
                  while (h:=r.read(8)):\n  n,b=struct.unpack('<II',h);name=r.read(n).decode();z.writestr(name,r.read(b))\nz.close()";
    let mut python = Command::new("python3")
        .args(["-c", script])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("python3 runs");
    let mut input = python.stdin.take().expect("piped");
    for (name, bytes) in files {
        input.write_all(&(name.len() as u32).to_le_bytes()).expect("written");
        input.write_all(&(bytes.len() as u32).to_le_bytes()).expect("written");
        input.write_all(name.as_bytes()).and_then(|()| input.write_all(bytes)).expect("written");
    }
    drop(input);
    assert!(python.wait().expect("ended").success());
    std::fs::read(path).expect("made")
}

async fn send(intake: &Intake, name: &str, bytes: &[u8]) {
    let sender = Sender { way: "page", key: None, name: "a phone".into(), address: [10, 77, 0, 9].into() };
    let file =
        Sent { name: name.into(), size: ByteCount(bytes.len() as u64), mime: String::new(), sha256: None };
    let begun = Uploads::new(intake.clone()).begin(sender, file, None).await.expect("let in");
    let mut piece = begun.upload.append(0, Counts::AtOnce).await.expect("opened");
    piece.write(Bytes::copy_from_slice(bytes)).await.expect("taken");
    piece.end().await.expect("safe");
}

/// Does the worker's part until nothing waits, and returns the verdicts in order.
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

async fn intake(folder: &Path) -> Intake {
    with_config(folder, IntakeConfig { push: Push::Always, ..IntakeConfig::new(Take::Music) }).await
}

fn staged(intake: &Intake) -> usize {
    std::fs::read_dir(intake.inner.library.staging_dir().expect("online")).expect("there").count()
}

#[tokio::test]
async fn an_album_of_a_shop_comes_out_song_by_song_and_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path()).await;
    let mut pushes = intake.pushes().expect("once");
    let (flac, mp3) = (song("tone.flac"), song("tone.mp3"));
    let bytes = zip(&[
        ("Artist - Album/", b""),
        ("Artist - Album/Artist - Album - 01 夜の歌.flac", &flac),
        ("Artist - Album/Artist - Album - 02 Song.mp3", &mp3),
        ("Artist - Album/cover.jpg", b"a picture"),
        ("Artist - Album/more.zip", b"PK\x05\x06"),
        ("__MACOSX/._x.flac", b"fork"),
        ("Artist - Album/03 Broken.flac", b"no music at all"),
    ]);
    send(&intake, "Artist - Album.zip", &bytes).await;
    let verdicts = work(&intake).await;
    let Verdict::Read { told } = &verdicts[0] else { panic!("{verdicts:?}") };
    assert!(told.starts_with("3 songs came out") && told.contains("cover.jpg: it is no music"), "{told}");
    assert!(told.contains("more.zip: an archive in an archive"), "{told}");
    let stored = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Stored { .. })).count();
    let refused = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Refused { .. })).count();
    assert_eq!((stored, refused, staged(&intake)), (2, 1, 0), "{verdicts:?}");
    assert!(pushes.try_recv().is_err(), "what came in an archive is not played by itself");
    intake.inner.notes.publish();
    let beam = intake.board().borrow().beams[0].clone();
    assert_eq!((beam.files, beam.stored, beam.refused), (4, 2, 1), "{beam:?}");
    let gone = intake.undo(&crate::offer::Caller::itself(), beam.id).await.expect("taken back");
    assert_eq!(gone, 2);
}

#[tokio::test]
async fn an_archive_goes_on_behind_what_came_out_before_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = intake(folder.path()).await;
    let (flac, mp3) = (song("tone.flac"), song("tone.mp3"));
    send(&first, "a.zip", &zip(&[("1.flac", &flac), ("2.mp3", &mp3)])).await;
    let mut row = first.inner.library.journal_open().await.expect("read").remove(0);
    let done = Done { files: 1, songs: 1, left: Vec::new() };
    row.facts = Noted { done: Some(done), ..Noted::of(&row) }.to_facts();
    first.inner.library.journal_put(row).await.expect("kept");
    drop(first);
    let second = intake(folder.path()).await;
    let verdicts = work(&second).await;
    assert!(
        matches!(&verdicts[..], [Verdict::Read { told }, Verdict::Stored { .. }] if told.starts_with("2 songs")),
        "{verdicts:?}"
    );
}

#[tokio::test]
async fn a_hostile_archive_is_refused_whole_and_touches_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let intake = intake(folder.path()).await;
    let flac = song("tone.flac");
    for name in ["../../../evil.flac", "/tmp/evil.flac", "a/../../evil.flac"] {
        send(&intake, "a.zip", &zip(&[("good.flac", &flac), (name, &flac)])).await;
        let verdicts = work(&intake).await;
        assert!(
            matches!(&verdicts[..], [Verdict::Refused { code, .. }] if code == "unsupported"),
            "{verdicts:?}"
        );
    }
    let zeros = vec![0; 30 << 20];
    send(&intake, "bomb.zip", &zip(&[("a.wav", &zeros)])).await;
    let verdicts = work(&intake).await;
    assert!(
        matches!(&verdicts[..], [Verdict::Refused { code, reason }] if code == "not_audio" && reason.contains("far more")),
        "{verdicts:?}"
    );
    send(&intake, "half.zip", &zip(&[("a.flac", &flac)])[..200]).await;
    let verdicts = work(&intake).await;
    assert!(matches!(&verdicts[..], [Verdict::Refused { code, .. }] if code == "damaged"), "{verdicts:?}");
    assert_eq!(staged(&intake), 0);
    let outside = std::fs::read_dir(folder.path()).expect("there").flatten();
    assert!(outside.into_iter().all(|entry| entry.file_name() != "evil.flac"));
    assert!(!Path::new("/tmp/evil.flac").exists());
}

#[tokio::test]
async fn what_comes_out_is_counted_by_address_and_belongs_to_its_beam() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = IntakeConfig { push: Push::Always, ..IntakeConfig::new(Take::Music) };
    let intake = with_config(folder.path(), config).await;
    let archive = zip(&[("a.mp3", &song("tone.mp3")), ("b.ogg", &song("tone.ogg"))]);
    // A certificate that nobody paired is no other sender.
    let key = Some(crate::offer::Key::Certificate("aa".into()));
    let sender = Sender { way: "localsend", key, name: "Yuki".into(), address: [10, 77, 0, 9].into() };
    let file = Sent {
        name: "album.zip".into(),
        size: ByteCount(archive.len() as u64),
        mime: String::new(),
        sha256: None,
    };
    let delivery = intake.offer(sender, vec![file], None).await.expect("let in");
    let mut incoming = delivery.receive(0).await.expect("begun");
    incoming.write(archive.into()).await.expect("taken");
    incoming.finish().await.expect("safe");
    delivery.settled(0);
    work(&intake).await;
    let rows = intake.inner.library.journal_recent(10).await.expect("read");
    let noted: Vec<Noted> = rows.iter().map(Noted::of).collect();
    assert_eq!(noted.len(), 3);
    for noted in noted {
        assert_eq!((noted.counted.as_str(), noted.beam), ("addr:10.77.0.9", Some(delivery.id())));
    }
    assert_eq!(intake.undo(&crate::offer::Caller::itself(), delivery.id()).await.expect("undone"), 2);
}
