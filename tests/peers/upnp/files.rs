//! Players that read files in their own manner (reference upnp 9.2, row HTTP): one that pauses by not reading, many that go
//! away in the middle.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::{SILENT, Stereo};
use crate::support::control_point::{ask, call, request};
use crate::support::fixtures::long_wav;
use crate::support::konpo::Konpo;
use crate::support::net::{Host, Lan};
use crate::support::shelf::sum;
use crate::support::wait_for;

/// A box with one long file, and the file's path there.
fn shelf(hifi: &Host, phone: &Host) -> (Stereo, String) {
    let konpo = Konpo::new(hifi, SILENT);
    long_wav(&konpo.music().join("Long.wav"), SIZE);
    let konpo = Stereo::of(konpo);
    wait_for("it is listed", Duration::from_secs(60), || (konpo.konpo.tracks().len() == 1).then_some(()));
    let given = [("ObjectID", "tracks"), ("BrowseFlag", "BrowseDirectChildren"), ("Filter", "res")];
    let (head, body) = call(CONTROL, CONTENT_DIRECTORY, "Browse", &given);
    let (_, _, answer) = request(phone, konpo.address, &head, &body);
    let file = answer.split("/media/").find(|part| part.contains(".wav")).expect("a file");
    let path = format!("/media/{}", file.split("&lt;").next().expect("a path"));
    (konpo, path)
}

fn get(to: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(30)).expect("connected");
    let text = format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).expect("sent");
    stream
}

/// A renderer pauses by not reading; others are served meanwhile, and it goes on where it was.
#[test]
fn a_player_that_stops_reading_goes_on_and_keeps_nobody_waiting() {
    let lan = Lan::new();
    let (hifi, phone, other) = (lan.host("hifi"), lan.host("phone"), lan.host("other"));
    let (konpo, path) = shelf(&hifi, &phone);
    let stalled = Duration::from_secs(if crate::support::all() { 60 } else { 15 });
    let (to, from) = (konpo.address, path.clone());
    let reading = phone.within(move || {
        let mut stream = get(to, &from);
        let (mut bytes, mut part) = (Vec::new(), vec![0; 64 << 10]);
        stream.read_exact(&mut part).expect("the begin");
        bytes.extend(part);
        std::thread::sleep(stalled);
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
        stream.read_to_end(&mut bytes).expect("the rest");
        let head = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("a head") + 4;
        sum(&bytes[head..])
    });
    let asked = other.within(move || {
        let begun = Instant::now();
        let mut slowest = Duration::ZERO;
        let mut count = 0;
        while begun.elapsed() < stalled {
            let start = Instant::now();
            let head =
                format!("GET {path} HTTP/1.1\r\nRange: bytes={}-{}", count * 1000, count * 1000 + 9_999);
            assert_eq!(ask(to, &head, "").0, 206);
            (slowest, count) = (slowest.max(start.elapsed()), count + 1);
            std::thread::sleep(Duration::from_millis(20));
        }
        (count, slowest)
    });
    let (count, slowest) = asked.join().expect("each was answered");
    let got = reading.join().expect("read to its end");
    println!("{count} parts read beside one that read nothing for {stalled:?}: the slowest took {slowest:?}");
    assert_eq!(got, sum(&fs::read(konpo.konpo.music().join("Long.wav")).expect("the file")));
}

/// A control point looks into each file of an album and goes away.
#[test]
fn players_that_go_away_in_the_middle_leave_nothing() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let (konpo, path) = shelf(&hifi, &phone);
    let id = konpo.konpo.id();
    let files = || fs::read_dir(format!("/proc/{id}/fd")).expect("it runs").count();
    let to = konpo.address;
    let away = move |path: String, rounds: usize| {
        for _ in 0..rounds {
            let mut stream = get(to, &path);
            stream.read_exact(&mut [0; 4096]).expect("the begin");
        }
    };
    phone
        .within({
            let path = path.clone();
            move || away(path, 20)
        })
        .join()
        .expect("the first went away");
    let before = files();
    phone
        .within({
            let path = path.clone();
            move || away(path, 300)
        })
        .join()
        .expect("all went away");
    let (_, took) = wait_for("their files are closed", Duration::from_secs(10), || {
        (files() <= before + OF_ITS_OWN).then_some(())
    });
    println!(
        "300 went away in the middle: {before} open files before, {} after {} ms",
        files(),
        took.as_millis()
    );
    assert_eq!(request(&phone, to, &format!("GET {path} HTTP/1.1\r\nRange: bytes=0-9"), "").0, 206);
}

const CONTROL: &str = "/upnp/server/content-directory/control";
const CONTENT_DIRECTORY: &str = "urn:schemas-upnp-org:service:ContentDirectory:1";
/// Bytes of the file: far more than sockets hold.
const SIZE: u64 = 60_000_000;
/// Files that konpo opens and closes for itself meanwhile.
const OF_ITS_OWN: usize = 16;
