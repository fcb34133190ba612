//! Uploads that break off where it hurts: the cable, the last byte, the moment in which the file is synced. Whoever was told
//! that a file is here finds it on the shelf.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::support::konpo::Konpo;
use crate::support::localsend::{prepare, shelved, staged, upload};
use crate::support::net::Link;
use crate::support::process::Process;
use crate::support::{all, fixtures, patient, wait_for};
use crate::uploads::{House, PORT, house, sent};

impl House {
    fn sender(&self, chunk: usize, files: &[PathBuf], said: &str) -> Process {
        Process::start("tus-js-client", self.node(chunk, files), &self.konpo.path(said))
    }

    /// Sends bytes to the box and cuts the connection, or returns what was answered.
    fn send(&self, bytes: Vec<u8>, then: Then) -> String {
        let to = self.place.address;
        let sent = self.phone.within(move || {
            let mut stream = TcpStream::connect((to, 8200)).expect("konpo listens");
            stream.set_read_timeout(Some(patient(Duration::from_secs(60)))).expect("a socket");
            // The box may be gone in the middle of it.
            let _gone = stream.write_all(&bytes);
            let mut answer = Vec::new();
            if then == Then::Reads {
                let _reset = stream.read_to_end(&mut answer);
            }
            String::from_utf8_lossy(&answer).into_owned()
        });
        sent.join().expect("sent")
    }

    /// Begins an upload and returns where it goes.
    fn begins(&self, size: usize) -> String {
        let more = format!("Upload-Length: {size}\r\nContent-Length: 0\r\n");
        let said = self.send(head(self.place.address, "POST", "/api/uploads", &more), Then::Reads);
        let at = said.lines().find_map(|line| line.strip_prefix("location: "));
        at.unwrap_or_else(|| panic!("no place: {said}")).to_owned()
    }

    /// Asks how many bytes are here.
    fn offset(&self, at: &str) -> usize {
        let (here, _) = wait_for("the box says how far it is", Duration::from_secs(20), || {
            let said = self.send(head(self.place.address, "HEAD", at, ""), Then::Reads);
            said.lines().find_map(|line| line.strip_prefix("upload-offset: "))?.parse().ok()
        });
        here
    }

    fn patch(&self, at: &str, from: usize, bytes: &[u8], length: usize, then: Then) -> String {
        let more = format!(
            "Upload-Offset: {from}\r\nContent-Type: application/offset+octet-stream\r\nContent-Length: {length}\r\n"
        );
        self.send([&head(self.place.address, "PATCH", at, &more)[..], bytes].concat(), then)
    }
}

/// What a sender does behind its last byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Reads,
    Goes,
}

fn head(to: Ipv4Addr, method: &str, path: &str, more: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}:{PORT}\r\nConnection: close\r\nTus-Resumable: 1.0.0\r\n{more}\r\n"
    )
    .into_bytes()
}

#[test]
fn an_upload_goes_on_after_the_cable_was_pulled() {
    let house = house("always");
    let file = house.song("夜の長い歌.wav", 1, 120);
    let size = fs::metadata(&file).expect("there").len();
    house.phone.limit("40mbit");
    let mut sender = house.sender(4 << 20, std::slice::from_ref(&file), "tus");
    for (part, out) in [(size / 4, 2), (size / 2, if all() { 60 } else { 4 })] {
        sent(&sender, part);
        house.phone.link(Link::Down);
        // So long nothing comes; the box lets go of a sender that is silent for 45 s.
        std::thread::sleep(Duration::from_secs(out));
        house.phone.link(Link::Up);
    }
    let (status, _) = sender.wait(Duration::from_secs(120));
    assert!(status.success(), "{}", sender.said());
    shelved(&house.konpo, 1, Duration::from_secs(30));
    house.has(&[file]);
    assert_eq!(staged(&house.konpo), 0);
}

#[test]
fn two_uploads_at_once_bring_both() {
    let house = house("always");
    let files = [house.song("a.wav", 1, 40), house.song("b.wav", 2, 40)];
    let senders = ["a", "b"].into_iter().zip(&files);
    let senders = senders.map(|(said, file)| house.sender(1 << 20, std::slice::from_ref(file), said));
    for mut sender in senders.collect::<Vec<_>>() {
        let (status, _) = sender.wait(Duration::from_secs(60));
        assert!(status.success(), "{}", sender.said());
    }
    shelved(&house.konpo, 2, Duration::from_secs(30));
    house.has(&files);
}

#[test]
fn a_large_file_comes_in_by_tus_and_the_sound_goes_on() {
    let house = house("always");
    house.busy();
    let size = if all() { 2_100_000_000 } else { 40_000_000 };
    let path = house.folder.path().join("large.wav");
    fixtures::long_wav(&path, size);
    let begun = Instant::now();
    let mut sender = house.sender(8 << 20, &[path], "tus");
    let (status, took) = sender.wait(Duration::from_secs(300));
    assert!(status.success(), "{}", sender.said());
    shelved(&house.konpo, 2, Duration::from_secs(120));
    println!("{size} bytes by tus-js-client after {took:?}, and on the shelf after {:?}", begun.elapsed());
    assert_eq!(house.konpo.get("/api/state")["transport"], "playing");
    // On a machine that does nothing else.
    if all() {
        house.never_stuttered();
    }
}

#[test]
fn a_sender_that_goes_at_its_last_byte_finds_its_file_or_sends_one_byte() {
    let house = house("always");
    let mut songs = 0;
    for round in 0..if all() { 20 } else { 3 } {
        let song = fs::read(house.song("a.wav", 100 + round, 5)).expect("a song");
        let (size, at) = (song.len(), house.begins(song.len()));
        house.patch(&at, 0, &song[..size - 1], size, Then::Goes);
        wait_for("all but one byte lie in staging", Duration::from_secs(20), || {
            parts(&house.konpo).contains(&(size as u64 - 1)).then_some(())
        });
        let here = house.offset(&at);
        assert_eq!(here, size - 1);
        let said = house.patch(&at, here, &song[here..], 1, Then::Reads);
        assert!(said.starts_with("HTTP/1.1 204"), "{said}");
        songs += 1;
        // Everything is sent, and its sender is gone before it is synced.
        let song = fs::read(house.song("b.wav", 200 + round, 5)).expect("a song");
        let at = house.begins(song.len());
        house.patch(&at, 0, &song, song.len(), Then::Goes);
        let told = house.offset(&at);
        if told < song.len() {
            house.patch(&at, told, &song[told..], song.len() - told, Then::Reads);
        }
        songs += 1;
        shelved(&house.konpo, songs, Duration::from_secs(20));
    }
    wait_for("nothing is left", Duration::from_secs(20), || (staged(&house.konpo) == 0).then_some(()));
}

#[test]
fn the_power_is_cut_at_the_last_byte_of_an_upload_and_what_was_told_to_be_here_is() {
    let mut house = house("always");
    let mut songs = 0;
    for round in 0..if all() { 30 } else { 4 } {
        let song = fs::read(house.song("a.wav", 300 + round, 20)).expect("a song");
        let at = house.begins(song.len());
        house.patch(&at, 0, &song, song.len(), Then::Goes);
        // A little later each time: while it is read, written, synced, entered.
        std::thread::sleep(Duration::from_millis(4 * round as u64));
        again(&mut house.konpo);
        let here = house.offset(&at);
        if here < song.len() {
            let said = house.patch(&at, here, &song[here..], song.len() - here, Then::Reads);
            assert!(said.starts_with("HTTP/1.1 204"), "{said}");
        }
        songs += 1;
        shelved(&house.konpo, songs, Duration::from_secs(30));
        // LocalSend: what was answered is here; what was not can be sent again.
        let song = fs::read(house.song("b.wav", 400 + round, 5)).expect("a song");
        let way = prepare(&house.phone, &house.place, "b.wav", song.len());
        assert_eq!(upload(&house.phone, &house.place, &way, song).1, 200);
        again(&mut house.konpo);
        songs += 1;
        shelved(&house.konpo, songs, Duration::from_secs(30));
    }
    house.konpo.stop();
    let (report, clean) = house.konpo.check();
    assert!(clean, "{report}");
}

/// The lengths of what lies in staging.
fn parts(konpo: &Konpo) -> Vec<u64> {
    let lies = fs::read_dir(konpo.music().join(".konpo/staging")).expect("there").flatten();
    lies.filter_map(|entry| Some(entry.metadata().ok()?.len())).collect()
}

fn again(konpo: &mut Konpo) {
    konpo.kill();
    konpo.spawn_with(&["--port", PORT]);
    konpo.ready();
}
