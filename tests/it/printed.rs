//! What commands print, where nobody reads it or it cannot be written.

use std::fs::File;
use std::process::{Command, Output, Stdio};

/// `konpo probe` of two files of ours, with standard output as given.
fn probe(out: impl Into<Stdio>) -> Output {
    let sound = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tone.flac");
    let mut konpo = Command::new(env!("CARGO_BIN_EXE_konpo"));
    konpo.args(["probe", sound, sound]).stdin(Stdio::null()).stdout(out).output().expect("run")
}

fn said(ran: &Output) -> String {
    String::from_utf8_lossy(&ran.stderr).into_owned()
}

#[test]
fn a_reader_that_went_away_has_read_enough() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ran = probe(writer);
    assert_eq!((ran.status.code(), said(&ran)), (Some(0), String::new()));
}

#[test]
fn what_cannot_be_printed_is_said_once() {
    let full = File::options().write(true).open("/dev/full").expect("a device");
    let ran = probe(full);
    assert_eq!(ran.status.code(), Some(1));
    assert_eq!(said(&ran), "konpo: print: No space left on device (os error 28)\n");
}

#[test]
fn a_complaint_that_nobody_reads_is_told_by_the_code() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ctl = Command::new(env!("CARGO_BIN_EXE_konpo"))
        .args(["ctl", "--socket", "/nowhere/konpo.sock", "status"])
        .stderr(writer)
        .status();
    assert_eq!(ctl.expect("run").code(), Some(3), "no daemon is there");
}
