//! `packaging/try.sh --demo`: the main job without a phone (the owner's issue). A second konpo plays the part of the phone; both
//! live on the loopback interface of a machine of the test's own.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::net::Lan;
use crate::support::process::Process;
use crate::support::wait_for;

#[test]
fn three_bought_songs_are_found_taken_in_and_played() {
    let lan = Lan::new();
    let machine = lan.host("machine");
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = machine.command(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/try.sh"));
    command.args(["--demo", "--output", "silent"]).env("KONPO", env!("CARGO_BIN_EXE_konpo"));
    command.env("TMPDIR", folder.path());
    let mut demo = Process::start("try.sh", command, &folder.path().join("said"));
    for (what, words) in [
        ("the phone is found", &["Demo phone (Demo phone)"][..]),
        ("the songs are taken", &["Morning Train.flac  stored", "Three Tunes – Last Bus Home"]),
        ("that they were bought is known", &["bought at bandcamp"]),
        ("the album plays", &["playing: The konpo Demo – ", "0:03 of 0:"]),
    ] {
        let (_, took) = wait_for(what, Duration::from_secs(60), || {
            let said = demo.said();
            words.iter().all(|words| said.contains(words)).then_some(())
        });
        println!("{what} after {} ms", took.as_millis());
    }
    demo.signal(Signal::SIGTERM);
    demo.wait(Duration::from_secs(20));
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("there")
        .flatten()
        .filter(|entry| entry.file_name() != "said")
        .collect();
    assert!(left.is_empty(), "{left:?} is left");
}
