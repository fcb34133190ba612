//! Phones without an app: tus-js-client (npm), tuspy (PyPI) and curl, and what a person hears of it. Nothing that plays
//! meanwhile may stutter, and nothing beside the staging folder may be touched.

mod cuts;
mod ends;
mod hostile;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::support::fixtures::noise;
use crate::support::konpo::Konpo;
use crate::support::localsend::{answer, asked, shelved, staged};
use crate::support::net::{Host, Lan};
use crate::support::process::Process;
use crate::support::{all, shelf, wait_for};

struct House {
    konpo: Konpo,
    place: Host,
    phone: Host,
    folder: TempDir,
    _lan: Lan,
}

const PORT: &str = "8200";

fn house(push: &str) -> House {
    house_on(push, None)
}

fn house_on(push: &str, disk: Option<&str>) -> House {
    let lan = Lan::new();
    let (place, phone) = (lan.host("box"), lan.host("phone"));
    let settings =
        format!("name = \"Living Room\"\n[output]\ndevice = \"silent\"\n[intake]\npush = \"{push}\"\n");
    let mut konpo = Konpo::new(&place, &settings);
    if let Some(size) = disk {
        konpo = konpo.on_a_disk(size);
    }
    konpo.spawn_with(&["--port", PORT]);
    konpo.ready();
    House { konpo, place, phone, folder: tempfile::tempdir().expect("a folder"), _lan: lan }
}

impl House {
    fn url(&self, path: &str) -> String {
        format!("http://{}:{PORT}{path}", self.place.address)
    }

    /// Writes a song of some seconds under a name.
    fn song(&self, name: &str, number: usize, seconds: usize) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        let sound = noise(3000 + number as u64, 44_100, 16, 44_100 * seconds);
        fs::write(&path, sound.tagged_wav(&format!("Song {number}"), "Yuki", "Beamed")).expect("written");
        path
    }

    fn songs(&self, from: usize, count: usize) -> Vec<PathBuf> {
        (from..from + count).map(|number| self.song(&format!("{number:03} 夜の歌.wav"), number, 1)).collect()
    }

    fn node(&self, chunk: usize, files: &[PathBuf]) -> Command {
        let mut command = self.phone.command("node");
        command.arg(support("tus.cjs")).arg(self.url("/api/uploads")).arg(self.folder.path().join("store"));
        command.arg(chunk.to_string()).args(files);
        command.env("NODE_PATH", root().join("target/peers-node/node_modules"));
        command
    }

    fn tuspy(&self, chunk: usize, sums: &str, files: &[PathBuf]) -> Output {
        let mut command = self.phone.command(root().join("target/peers-python/bin/python"));
        command.arg(support("tuspy.py")).arg(self.url("/api/uploads"));
        let output = command.arg(chunk.to_string()).arg(sums).args(files).output();
        output.expect("tuspy runs")
    }

    /// Returns the status and the words.
    fn curl(&self, arguments: &[&str]) -> (u16, String) {
        let mut command = self.phone.command("curl");
        command.args(["-s", "--max-time", "60", "-w", "\n%{http_code}"]).args(arguments);
        let output = command.output().expect("curl runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (words, status) = text.rsplit_once('\n').expect("a status");
        (status.parse().expect("a number"), words.to_owned())
    }

    /// Plays noise for minutes.
    fn busy(&self) {
        let path = self.konpo.path("long.wav");
        fs::write(&path, noise(7, 44_100, 16, 44_100 * 200).tagged_wav("Long", "Other", "Other"))
            .expect("written");
        self.konpo.drop_in(&path);
        shelved(&self.konpo, 1, Duration::from_secs(60));
        self.konpo.tell(&json!("play_something"));
        wait_for("it plays", Duration::from_secs(20), || {
            (self.konpo.get("/api/state")["transport"] == "playing").then_some(())
        });
    }

    fn never_stuttered(&self) {
        let device = self.konpo.get("/api/state")["device"].clone();
        assert_eq!(device["underruns"], 0, "{device}");
    }

    /// Everything of these files is on the shelf, byte for byte.
    fn has(&self, files: &[PathBuf]) {
        let here = shelf::hashes(&self.konpo.music());
        let sent = tempfile::tempdir().expect("a folder");
        for (at, file) in files.iter().enumerate() {
            fs::copy(file, sent.path().join(format!("{at}.wav"))).expect("copied");
        }
        for hash in shelf::hashes(sent.path()) {
            assert!(here.contains(&hash), "a file is not here byte for byte");
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn support(name: &str) -> PathBuf {
    root().join("tests/peers/support").join(name)
}

fn content(mut command: Command) -> String {
    let output = command.output().expect("it runs");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn tus_clients_bring_one_and_many_files_while_music_plays() {
    let house = house("always");
    house.busy();
    let count = if all() { 1000 } else { 50 };
    let files = house.songs(1, count);
    let begun = Instant::now();
    content(house.node(8 << 20, &files));
    println!("{count} songs by tus-js-client were received after {:?}", begun.elapsed());
    shelved(&house.konpo, 1 + count, Duration::from_secs(if all() { 900 } else { 90 }));
    println!("and on the shelf after {:?}", begun.elapsed());
    house.has(&files);
    // The same name twice, other songs; whole with one sum, in pieces with theirs, and without.
    let others: Vec<PathBuf> =
        (0..3).map(|at| house.song(&format!("{at}/同じ名前.wav"), 5000 + at, 4)).collect();
    for (at, (chunk, sums)) in
        [(usize::MAX >> 1, "sums"), (100_000, "sums"), (100_000, "plain")].into_iter().enumerate()
    {
        let output = house.tuspy(chunk, sums, &others[at..=at]);
        assert!(output.status.success(), "{chunk} {sums}: {}", String::from_utf8_lossy(&output.stderr));
    }
    shelved(&house.konpo, 4 + count, Duration::from_secs(30));
    house.has(&others);
    let empty = house.folder.path().join("empty.wav");
    fs::write(&empty, "").expect("written");
    content(house.node(8 << 20, &[empty]));
    let (words, _) = wait_for("the empty file is told", Duration::from_secs(10), || {
        let arrivals = house.konpo.arrivals();
        arrivals.into_iter().find(|one| one["name"] == "empty.wav" && !one["verdict"].is_null())
    });
    assert_eq!(words["verdict"]["code"], "empty", "{words}");
    house.never_stuttered();
    assert_eq!(
        (house.konpo.get("/api/state")["transport"].as_str(), staged(&house.konpo)),
        (Some("playing"), 0)
    );
}

/// Waits until a client has sent so much.
fn sent(process: &Process, bytes: u64) {
    wait_for("a part of it is sent", Duration::from_secs(60), || {
        let said = process.said();
        let last = said.lines().rev().find_map(|line| line.strip_prefix("sent "))?.parse::<u64>().ok()?;
        (last >= bytes).then_some(())
    });
}

#[test]
fn an_upload_goes_on_after_its_sender_and_konpo_were_killed_in_the_middle() {
    let mut house = house("always");
    let file = house.song("夜の長い歌.wav", 1, 120);
    let size = fs::metadata(&file).expect("there").len();
    house.phone.limit("40mbit");
    // The sender is killed, as a phone whose battery is empty.
    let mut sender = Process::start(
        "tus-js-client",
        house.node(4 << 20, std::slice::from_ref(&file)),
        &house.konpo.path("tus-1"),
    );
    sent(&sender, size / 4);
    sender.kill();
    // It goes on, and konpo is killed, as by a power cut.
    let mut sender = Process::start(
        "tus-js-client",
        house.node(4 << 20, std::slice::from_ref(&file)),
        &house.konpo.path("tus-2"),
    );
    sent(&sender, size / 2);
    assert!(sender.said().contains("goes on"), "{}", sender.said());
    house.konpo.kill();
    assert_eq!(staged(&house.konpo), 1, "the part lies in staging");
    house.konpo.spawn_with(&["--port", PORT]);
    house.konpo.ready();
    let (status, _) = sender.wait(Duration::from_secs(60));
    assert!(status.success(), "{}", sender.said());
    shelved(&house.konpo, 1, Duration::from_secs(30));
    house.has(&[file]);
    assert!(house.konpo.said().contains("goes on after a restart"), "{}", house.konpo.said());
    house.konpo.stop();
    let (report, clean) = house.konpo.check();
    assert!(clean, "{report}");
}

#[test]
fn curl_brings_files_whole_and_by_a_form_and_hears_in_words_what_became_of_them() {
    let house = house("ask");
    let file = house.song("夜の歌.wav", 1, 2);
    let path = file.to_string_lossy().into_owned();
    // Nobody is paired: somebody is asked for, once for all.
    let (phone, url, named) = (house.phone.clone(), house.url("/beam/"), path.clone());
    let sending = std::thread::spawn(move || {
        let mut command = phone.command("curl");
        command.args(["-s", "--max-time", "60", "-T", &named, &url]).output().expect("curl runs")
    });
    let ask = asked(&house.konpo);
    assert_eq!((&ask["files"], &ask["names"][0]), (&json!(1), &json!("夜の歌.wav")), "{ask}");
    assert_eq!(staged(&house.konpo), 0, "not a byte before the answer");
    answer(&house.konpo, &ask, "accept");
    let said = sending.join().expect("ended").stdout;
    assert_eq!(String::from_utf8_lossy(&said), "夜の歌.wav is on the shelf.\n");
    let (second, third) = (house.song("2.wav", 2, 1), house.song("3.wav", 3, 1));
    let form = |file: &Path| format!("file=@{}", file.display());
    let (status, words) = house.curl(&[
        "-F",
        &form(&second),
        "-F",
        &form(&third),
        "-H",
        "Accept-Language: ja",
        &house.url("/beam"),
    ]);
    assert_eq!((status, words.as_str()), (200, "「2.wav」が棚に入りました。\n「3.wav」が棚に入りました。\n"));
    let raw = format!("@{path}");
    let (status, words) = house.curl(&["--data-binary", &raw, &house.url("/beam?name=again.wav")]);
    assert_eq!((status, words.as_str()), (200, "again.wav was on the shelf already.\n"));
    // A page of another site, and a name that was pointed here.
    let (status, _) =
        house.curl(&["-H", "Origin: http://evil.example", "-F", &form(&second), &house.url("/beam")]);
    assert_eq!(status, 403);
    let (status, _) = house.curl(&["-H", "Host: evil.example", "-T", &path, &house.url("/beam/")]);
    assert_eq!(status, 421);
    house.has(&[file, second, third]);
    assert_eq!(house.konpo.tracks().len(), 3);
}

#[test]
fn a_full_disk_is_told_before_the_first_byte_and_a_cancel_frees_it() {
    let house = house_on("always", Some("48m"));
    let big = house.song("big.wav", 1, 600);
    let said = house.node(8 << 20, std::slice::from_ref(&big)).output().expect("runs");
    assert!(!said.status.success());
    let (status, words) = house.curl(&["-T", &big.to_string_lossy(), &house.url("/beam/")]);
    assert!(status == 507 && words.contains("full"), "{status} {words}");
    assert_eq!(staged(&house.konpo), 0);
    let small = house.song("small.wav", 2, 2);
    let (status, words) = house.curl(&["-T", &small.to_string_lossy(), &house.url("/beam/")]);
    assert_eq!(status, 201, "{words}");
    // One that is cancelled in the middle leaves nothing.
    let head = ["-s", "-D", "-", "-o", "/dev/null", "-X", "POST", "-H", "Tus-Resumable: 1.0.0"];
    let mut create = house.phone.command("curl");
    create.args(head).args([
        "-H",
        "Upload-Length: 1000000",
        "-H",
        "Content-Type: application/offset+octet-stream",
    ]);
    let made = content({
        create.args(["--data-binary", "0123456789", &house.url("/api/uploads")]);
        create
    });
    let at =
        made.lines().find_map(|line| line.strip_prefix("location: ")).expect("a place").trim().to_owned();
    assert!(made.contains("upload-offset: 10"), "{made}");
    assert_eq!(staged(&house.konpo), 1);
    let (status, _) = house.curl(&["-X", "DELETE", "-H", "Tus-Resumable: 1.0.0", &house.url(&at)]);
    assert_eq!((status, staged(&house.konpo)), (204, 0));
}
