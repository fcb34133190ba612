//! What a sender hears that goes on sending behind a no, and what holds over a power cut: Undo.

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::localsend::{answer, asked, shelved, staged};
use crate::support::wait_for;
use crate::uploads::{House, PORT, house, house_on};

impl House {
    /// A file of so many bytes that takes no room here.
    fn hollow(&self, name: &str, bytes: u64) -> PathBuf {
        let path = self.folder.path().join(name);
        File::create(&path).and_then(|file| file.set_len(bytes)).expect("a hollow file");
        path
    }

    fn beams(&self) -> Vec<Value> {
        self.konpo.get("/api/offers")["beams"].as_array().expect("a list").clone()
    }

    fn cut_the_power(&mut self) {
        self.konpo.kill();
        self.konpo.spawn_with(&["--port", PORT]);
        self.konpo.ready();
    }
}

#[test]
fn who_sends_on_behind_a_no_hears_it_and_no_reset() {
    let house = house_on("always", Some("48m"));
    // More than any buffer between them holds; nothing of it is held back until somebody asks for it.
    let long = house.hollow("long.wav", 200_000_000);
    let path = long.to_string_lossy().into_owned();
    let at_once = ["-H", "Expect:"];
    let (status, words) = house.curl(&[&at_once[..], &["-T", &path, &house.url("/beam/")]].concat());
    assert!(status == 507 && words.contains("disk is full"), "{status} {words}");
    let form = format!("file=@{path}");
    let browser = ["-H", "Accept: text/html,*/*", "-F", &form];
    let (status, words) = house.curl(&[&at_once[..], &browser, &[&house.url("/beam")]].concat());
    assert!(status == 507 && words.contains("<li>") && words.contains("disk is full"), "{status} {words}");
    // A browser looks up only when everything is sent: so does this one.
    let script = "import socket, sys\n\
        s = socket.create_connection((sys.argv[1], 8200)); size = 200_000_000\n\
        head = ['POST /beam HTTP/1.1', 'Host: ' + sys.argv[1] + ':8200', 'Accept: text/html', 'Content-Length: %d' % size,\n\
        'Content-Type: multipart/form-data; boundary=XX', '', '']\n\
        part = b'--XX\\r\\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\\r\\n\\r\\n'\n\
        s.sendall('\\r\\n'.join(head).encode() + part)\n\
        sent, block = len(part), bytes(1 << 16)\n\
        while sent < size: n = min(len(block), size - sent); s.sendall(block[:n]); sent += n\n\
        said = b''\n\
        while True:\n  got = s.recv(65536)\n  said += got\n  if not got: break\n\
        print(said.decode())";
    let mut browser = house.phone.command("python3");
    let output =
        browser.args(["-c", script, &house.place.address.to_string()]).output().expect("python3 runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let broke = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("HTTP/1.1 507") && said.contains("disk is full"), "{said} {broke}");
    assert_eq!(staged(&house.konpo), 0);
    // LocalSend: an upload that nobody expects.
    let url =
        format!("http://{}:53317/api/localsend/v2/upload?sessionId=a&fileId=b&token=c", house.place.address);
    let raw = format!("@{}", house.hollow("most.wav", 50_000_000).display());
    let (status, words) = house.curl(&[&at_once[..], &["--data-binary", &raw, &url]].concat());
    assert!(status == 403 && words.contains("not expected"), "{status} {words}");
}

#[test]
fn a_no_is_heard_by_who_sends_a_song_without_waiting() {
    let house = house("ask");
    let long = house.hollow("long.wav", 100_000_000);
    let (phone, url, path) = (house.phone.clone(), house.url("/beam/"), long.to_string_lossy().into_owned());
    let sending = std::thread::spawn(move || {
        let mut command = phone.command("curl");
        command.args(["-s", "--max-time", "90", "-H", "Expect:", "-w", "%{http_code}", "-T", &path, &url]);
        String::from_utf8_lossy(&command.output().expect("curl runs").stdout).into_owned()
    });
    answer(&house.konpo, &asked(&house.konpo), "reject");
    let said = sending.join().expect("ended");
    assert!(said.ends_with("403") && said.contains("somebody said no"), "{said}");
}

#[test]
fn what_landed_before_the_power_was_cut_is_taken_back_and_stays_away() {
    let mut house = house("always");
    let files = house.songs(1, 2);
    for file in &files {
        let (status, words) = house.curl(&["-T", &file.to_string_lossy(), &house.url("/beam/")]);
        assert_eq!(status, 201, "{words}");
    }
    shelved(&house.konpo, 2, Duration::from_secs(30));
    let shown = house.beams().remove(0);
    assert_eq!((&shown["stored"], shown["undo_until"].is_null()), (&json!(2), false), "{shown}");
    house.cut_the_power();
    let again = house.beams().remove(0);
    assert_eq!((&again["id"], &again["stored"], &again["from"]), (&shown["id"], &json!(2), &shown["from"]));
    let (then, now) = (shown["undo_until"].as_i64(), again["undo_until"].as_i64());
    // A second is lost where both are rounded.
    assert!(now.is_some() && now <= then.map(|then| then + 2), "{shown} {again}");
    let undo = house.konpo.ask("POST", &format!("/api/beam/{}/undo", again["id"]), None);
    assert_eq!((undo.status, &undo.json["gone"]), (200, &json!(2)), "{}", undo.json);
    house.cut_the_power();
    let last = house.beams().remove(0);
    assert_eq!((&last["state"], &last["undo_until"]), (&json!("undone"), &Value::Null), "{last}");
    assert_eq!(house.konpo.tracks().len(), 0);
    let trash = fs::read_dir(house.konpo.music().join(".konpo/trash")).map_or(0, Iterator::count);
    assert_eq!(trash, 2, "they lie in the trash");
    // Sent again they come again, under another number.
    let (status, words) = house.curl(&["-T", &files[0].to_string_lossy(), &house.url("/beam/")]);
    assert_eq!(status, 201, "{words}");
    let (fresh, _) = wait_for("it is told", Duration::from_secs(10), || {
        house.beams().into_iter().find(|beam| beam["stored"] == 1)
    });
    assert_ne!(fresh["id"], last["id"]);
    house.konpo.stop();
    let (report, clean) = house.konpo.check();
    assert!(clean, "{report}");
}
