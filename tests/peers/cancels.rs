//! A transfer by LocalSend is stopped at every moment, by the phone and at the box: asked, between two files, in a file, at its
//! last byte, while it is synced. Nothing of it is left, nothing that was told to be received is lost, and the phone may
//! come again at once.

use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::fixtures::noise;
use crate::support::konpo::Konpo;
use crate::support::localsend::{answer, asked, offer, open, plain, shelved, staged, upload};
use crate::support::net::{Host, Lan};
use crate::support::{all, wait_for};

struct House {
    konpo: Konpo,
    place: Host,
    phone: Host,
    folder: TempDir,
    /// The last beam that was taken back: the board may show it as it was for a moment.
    undone: Cell<u64>,
    _lan: Lan,
}

const PREPARE: &str = "/api/localsend/v2/prepare-upload";

fn house() -> House {
    let lan = Lan::new();
    let (place, phone) = (lan.host("box"), lan.host("phone"));
    let settings = "name = \"Living Room\"\n[output]\ndevice = \"silent\"\n[intake]\npush = \"ask\"\n";
    let konpo = Konpo::start(&place, settings);
    House {
        konpo,
        place,
        phone,
        folder: tempfile::tempdir().expect("a folder"),
        undone: Cell::new(0),
        _lan: lan,
    }
}

impl House {
    fn song(&self, number: u64) -> Vec<u8> {
        let sound = noise(7000 + number, 44_100, 16, 44_100 * 2);
        let path = self.folder.path().join("song.wav");
        fs::write(&path, sound.tagged_wav(&format!("Song {number}"), "Yuki", "Beamed")).expect("written");
        fs::read(&path).expect("there")
    }

    fn question(&self, songs: &[Vec<u8>]) -> String {
        let file = |(n, song): (usize, &Vec<u8>)| {
            let id = n.to_string();
            (
                id.clone(),
                json!({ "id": id, "fileName": format!("{id}.wav"), "size": song.len(), "fileType": "audio/wav" }),
            )
        };
        offer(Value::Object(songs.iter().enumerate().map(file).collect()))
    }

    /// Asks for files. It is let in at once, also behind what was just stopped.
    fn session(&self, songs: &[Vec<u8>]) -> Value {
        let (status, said) =
            plain(&self.phone, &self.place, "POST", PREPARE, self.question(songs).as_bytes());
        assert_eq!(status, 200, "{said}");
        said
    }

    fn cancel(&self, session: Option<&Value>) {
        let id = session.and_then(|session| session["sessionId"].as_str());
        let query = id.map(|id| format!("?sessionId={id}")).unwrap_or_default();
        let (status, _) =
            plain(&self.phone, &self.place, "POST", &format!("/api/localsend/v2/cancel{query}"), b"");
        assert_eq!(status, 200);
    }

    /// Begins a question that is held open.
    fn asks(&self, songs: &[Vec<u8>]) -> TcpStream {
        let body = self.question(songs);
        self.sends(PREPARE, body.as_bytes(), body.len())
    }

    /// Sends the first bytes of a body of this length.
    fn sends(&self, path: &str, part: &[u8], whole: usize) -> TcpStream {
        let (to, part) = (self.place.address, part.to_vec());
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {to}:53317\r\nContent-Length: {whole}\r\nConnection: close\r\n\r\n"
        );
        let sent = self.phone.within(move || {
            let mut stream = TcpStream::connect((to, 53317)).expect("konpo listens");
            stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&part)).expect("written");
            stream
        });
        sent.join().expect("sent")
    }

    fn is_still(&self, tracks: usize) {
        wait_for("nothing is left in staging", Duration::from_secs(20), || {
            (staged(&self.konpo) == 0).then_some(())
        });
        shelved(&self.konpo, tracks, Duration::from_secs(20));
    }

    fn nobody_is_asked_for(&self) {
        wait_for("nobody is asked for", Duration::from_secs(20), || {
            self.konpo.get("/api/offers")["asks"].as_array().expect("a list").is_empty().then_some(())
        });
    }

    /// Returns the number of what comes or came last and was not taken back.
    fn beam(&self) -> u64 {
        let (id, _) = wait_for("a beam is shown", Duration::from_secs(20), || {
            let beam = self.konpo.get("/api/offers")["beams"][0].clone();
            beam["id"].as_u64().filter(|id| *id > self.undone.get() && !beam["undo_until"].is_null())
        });
        id
    }

    /// Takes a beam back. Returns how many tracks went.
    fn undo(&self, id: u64) -> u64 {
        let undone = self.konpo.ask("POST", &format!("/api/beam/{id}/undo"), None);
        assert_eq!(undone.status, 200, "{}", undone.json);
        self.undone.set(id);
        undone.json["gone"].as_u64().expect("a count")
    }
}

fn way(session: &Value, file: usize) -> String {
    let (id, token) = (&session["sessionId"], &session["files"][file.to_string()]);
    let (id, token) = (id.as_str().expect("an id"), token.as_str().expect("a token"));
    format!("/api/localsend/v2/upload?sessionId={id}&fileId={file}&token={token}")
}

/// Returns the status that a question or a file is answered with; `None`: the connection is cut instead.
fn status(mut stream: TcpStream) -> Option<u16> {
    stream.set_read_timeout(Some(Duration::from_secs(90))).expect("a socket");
    let mut said = [0; 12];
    stream.read_exact(&mut said).ok()?;
    String::from_utf8_lossy(&said[9..]).parse().ok()
}

#[test]
fn a_phone_stops_at_every_moment_and_may_come_again_at_once() {
    let house = house();
    let songs: Vec<Vec<u8>> = (0..3).map(|n| house.song(n)).collect();
    // Asked: by a word, without a session for there is none yet, and by going.
    let question = house.asks(&songs);
    asked(&house.konpo);
    house.cancel(None);
    assert_eq!(status(question), Some(403));
    house.nobody_is_asked_for();
    let question = house.asks(&songs);
    asked(&house.konpo);
    drop(question);
    house.nobody_is_asked_for();
    open(&house.konpo);
    // Between two files: what was received stays.
    let session = house.session(&songs);
    assert_eq!(upload(&house.phone, &house.place, &way(&session, 0), songs[0].clone()).1, 200);
    house.cancel(Some(&session));
    assert_eq!(upload(&house.phone, &house.place, &way(&session, 1), Vec::new()).1, 403);
    house.is_still(1);
    // In a file, and at its last byte.
    for part in [1, songs[1].len() / 2, songs[1].len() - 1] {
        let session = house.session(&songs[1..]);
        let file = house.sends(&way(&session, 0), &songs[1][..part], songs[1].len());
        wait_for("it comes", Duration::from_secs(20), || (staged(&house.konpo) == 1).then_some(()));
        house.cancel(Some(&session));
        let said = status(file);
        assert!(said.is_none_or(|said| said >= 400), "{part}: {said:?}");
        house.is_still(1);
    }
    // While it is read, synced and entered: whoever was told that it is here finds it.
    let (mut here, mut told) = (1, 0);
    let rounds = if all() { 40 } else { 6 };
    for round in 0..rounds {
        let song = house.song(100 + round);
        let session = house.session(std::slice::from_ref(&song));
        let file = house.sends(&way(&session, 0), &song, song.len());
        std::thread::sleep(Duration::from_millis(round * round));
        house.cancel(Some(&session));
        let said = status(file);
        told += u64::from(said == Some(200));
        // Sent again it is there once, whatever was told before.
        let again = house.session(std::slice::from_ref(&song));
        assert_eq!(upload(&house.phone, &house.place, &way(&again, 0), song).1, 200);
        here += 1;
        house.is_still(here);
    }
    println!("of {rounds} songs that were stopped at their end {told} were told to be received");
}

#[test]
fn the_box_stops_at_every_moment_and_keeps_nothing() {
    let house = house();
    let songs: Vec<Vec<u8>> = (0..3).map(|n| house.song(n)).collect();
    let question = house.asks(&songs);
    answer(&house.konpo, &asked(&house.konpo), "reject");
    assert_eq!(status(question), Some(403));
    open(&house.konpo);
    // Between two files.
    let session = house.session(&songs);
    assert_eq!(upload(&house.phone, &house.place, &way(&session, 0), songs[0].clone()).1, 200);
    shelved(&house.konpo, 1, Duration::from_secs(20));
    assert_eq!(house.undo(house.beam()), 1);
    assert_eq!(upload(&house.phone, &house.place, &way(&session, 1), songs[1].clone()).1, 403);
    house.cancel(Some(&session));
    house.is_still(0);
    // In a file, and at its last byte: the phone hears it with the next one.
    for part in [1, songs[1].len() / 2, songs[1].len() - 1] {
        let session = house.session(&songs[1..]);
        let mut file = house.sends(&way(&session, 0), &songs[1][..part], songs[1].len());
        wait_for("it comes", Duration::from_secs(20), || (staged(&house.konpo) == 1).then_some(()));
        assert_eq!(house.undo(house.beam()), 0);
        // It may be told before all of it is written.
        let _cut = file.write_all(&songs[1][part..]);
        let said = status(file);
        assert_eq!(said, Some(403), "{part}");
        house.cancel(Some(&session));
        house.is_still(0);
    }
    for round in 0..if all() { 40 } else { 6 } {
        let song = house.song(100 + round);
        let session = house.session(std::slice::from_ref(&song));
        let beam = house.beam();
        let file = house.sends(&way(&session, 0), &song, song.len());
        std::thread::sleep(Duration::from_millis(round * round));
        house.undo(beam);
        let said = status(file);
        assert!(matches!(said, Some(200 | 403)), "{said:?}");
        house.cancel(Some(&session));
        house.is_still(0);
    }
}
