//! Senders that mean harm: names and archives that lead elsewhere, senders that hang, and what a full disk makes of it.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::support::konpo::Konpo;
use crate::support::localsend::{shelved, staged};
use crate::support::{patient, wait_for};
use crate::uploads::{House, content, house, house_on};

#[test]
fn hostile_senders_touch_nothing_and_the_sound_goes_on() {
    let house = house("always");
    house.busy();
    let before = outside(&house.konpo);
    let song = house.song("a.wav", 1, 1);
    let brings = |name: &str| {
        house.curl(&[
            "--data-binary",
            &format!("@{}", song.display()),
            &house.url(&format!("/beam?name={name}")),
        ])
    };
    for name in
        ["..%2F..%2Fx.wav", "%2Fetc%2Fx.wav", "a%2F..%2F..%2Fx.wav", "..%5Cx.wav", "C%3A%5Cx.wav", "x%00.wav"]
    {
        let (status, words) = brings(name);
        assert_eq!(status, 400, "{name}: {words}");
    }
    // Marks that turn the direction of writing: what it is shows.
    let (status, words) = brings("%E2%80%AEvaw.exe");
    assert!(status == 415 && words.contains("Not taken: vaw.exe is no music"), "{status} {words}");
    for (script, what) in [
        ("z.writestr('../../../x.wav', b'x')", "lead elsewhere"),
        ("z.writestr('a.wav', b'\\0' * (200 << 20))", "far more would come out"),
        (
            "i = zipfile.ZipInfo('l.wav'); i.create_system = 3; i.external_attr = 0o120777 << 16; z.writestr(i, '/etc/passwd')",
            "links",
        ),
    ] {
        let path = house.folder.path().join("a.zip");
        let script = format!(
            "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED)\n{script}\nz.close()"
        );
        let made = Command::new("python3").args(["-c", &script]).arg(&path).status().expect("python3 runs");
        assert!(made.success());
        let (status, words) = house.curl(&["-T", &path.to_string_lossy(), &house.url("/beam/")]);
        assert!(status == 415 && words.contains(what), "{status} {words}");
    }
    // Sixty that send a byte and wait, beside one that sends a song.
    let place = house.place.address;
    let hanging = house.phone.within(move || {
        let hang = |_| {
            let mut stream = TcpStream::connect((place, 8200)).ok()?;
            let head = format!(
                "PUT /beam/slow.wav HTTP/1.1\r\nHost: {place}:8200\r\nContent-Length: 1000000\r\n\r\nR"
            );
            stream.write_all(head.as_bytes()).ok().map(|()| stream)
        };
        (0..60).filter_map(hang).collect::<Vec<_>>()
    });
    let mut hanging = hanging.join().expect("connected");
    let (status, words) = house.curl(&["-T", &song.to_string_lossy(), &house.url("/beam/")]);
    assert_eq!(status, 201, "{words}");
    // Whoever sends nothing for 45 s is let go, and what came of it goes.
    let mut slow = hanging.pop().expect("one was let in");
    slow.set_read_timeout(Some(patient(Duration::from_secs(90)))).expect("a socket");
    let mut answer = Vec::new();
    let ended = slow.read_to_end(&mut answer);
    let reset = ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
    assert!(ended.is_ok() || reset, "nobody let go of it: {ended:?}");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 502"), "{answer}");
    wait_for("nothing is left in staging", Duration::from_secs(60), || {
        (staged(&house.konpo) == 0).then_some(())
    });
    drop(hanging);
    assert_eq!(outside(&house.konpo), before, "nothing beside the shelf was touched");
    house.never_stuttered();
}

/// What lies beside the music and the data.
fn outside(konpo: &Konpo) -> Vec<String> {
    let entries = fs::read_dir(konpo.path("")).expect("its folder").flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let state: Value = konpo.get("/api/state");
    assert!(state["transport"].is_string());
    names
}

/// Makes an archive by a line of Python, in which `z` is the archive to be.
fn zip(house: &House, script: &str) -> PathBuf {
    let path = house.folder.path().join("made.zip");
    let script = format!(
        "import os, sys, zipfile\nz = zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED)\n{script}\nz.close()"
    );
    let made = Command::new("python3").args(["-c", &script]).arg(&path).status().expect("python3 runs");
    assert!(made.success());
    path
}

#[test]
fn an_archive_without_room_holds_up_no_song_and_words_do_not_empty_the_trash() {
    let house = house_on("always", Some("48m"));
    let old = house.song("old.wav", 1, 60);
    let (status, words) = house.curl(&["-T", &old.to_string_lossy(), &house.url("/beam/")]);
    assert_eq!(status, 201, "{words}");
    let id = house.konpo.tracks()[0]["id"].clone();
    assert_eq!(house.konpo.ask("DELETE", &format!("/api/tracks/{id}"), None).status, 204);
    let trash = || fs::read_dir(house.konpo.music().join(".konpo/trash")).map_or(0, |found| found.count());
    assert_eq!(trash(), 1);
    // It is let in, for the trash would yield; nothing of it ever comes.
    let head = ["-s", "-D", "-", "-o", "/dev/null", "-X", "POST", "-H", "Tus-Resumable: 1.0.0"];
    let mut create = house.phone.command("curl");
    create.args(head).args(["-H", "Upload-Length: 30000000", &house.url("/api/uploads")]);
    let made = content(create);
    let at =
        made.lines().find_map(|line| line.strip_prefix("location: ")).expect("a place").trim().to_owned();
    assert_eq!(trash(), 1, "words alone took the owner's trash");
    let (status, _) = house.curl(&["-X", "DELETE", "-H", "Tus-Resumable: 1.0.0", &house.url(&at)]);
    assert_eq!(status, 204);
    // 2 MB that become 66 MB: more than the disk has.
    let bomb = zip(&house, "for n in range(6): z.writestr(f'{n}.wav', os.urandom(300000) + bytes(11 << 20))");
    let (status, words) = house.curl(&["-T", &bomb.to_string_lossy(), &house.url("/beam/")]);
    assert!(status == 507 && words.contains("full"), "{status} {words}");
    let small = house.song("small.wav", 2, 2);
    let (status, words) = house.curl(&["-T", &small.to_string_lossy(), &house.url("/beam/")]);
    assert_eq!(status, 201, "{words}");
    shelved(&house.konpo, 1, Duration::from_secs(20));
    assert_eq!(staged(&house.konpo), 0);
}
