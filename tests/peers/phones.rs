//! Phones that send by LocalSend, as far as nothing of it has to be heard: proofs of who they are, PINs, wrong bytes, names.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::support::fixtures::{long_wav, noise};
use crate::support::konpo::Konpo;
use crate::support::localsend::{Phone, Rusty, answer, asked, offer, plain, shelved, staged, upload};
use crate::support::net::{Host, Lan};
use crate::support::wait_for;

struct House {
    konpo: Konpo,
    place: Host,
    lan: Lan,
    folder: TempDir,
}

fn settings(push: &str) -> String {
    format!("name = \"Living Room\"\n[output]\ndevice = \"silent\"\n[intake]\npush = \"{push}\"\n")
}

fn house(push: &str) -> House {
    let lan = Lan::new();
    let place = lan.host("box");
    let konpo = Konpo::start(&place, &settings(push));
    House { konpo, place, lan, folder: tempfile::tempdir().expect("a folder") }
}

fn song(folder: &Path, number: u64) -> PathBuf {
    let path = folder.join(format!("{number:03} 夜の歌.wav"));
    let sound = noise(3000 + number, 44_100, 16, 44_100);
    fs::write(&path, sound.tagged_wav(&format!("Song {number}"), "Yuki", "Beamed")).expect("written");
    path
}

#[test]
fn a_program_without_a_certificate_sends_a_song() {
    let house = house("always");
    let file = song(house.folder.path(), 1);
    let said = Rusty::sends(&house.lan.host("rusty"), &file, &house.place).expect("received");
    println!("localsend-rs: {}", said.lines().last().unwrap_or_default());
    shelved(&house.konpo, 1, Duration::from_secs(30));
    assert_eq!(house.konpo.tracks()[0]["title"], "Song 1");
    wait_for("it is told as taken", Duration::from_secs(10), || {
        let beam = house.konpo.get("/api/offers")["beams"][0].clone();
        (beam["way"] == "localsend" && beam["stored"] == 1).then_some(())
    });
}

#[test]
fn a_phone_says_the_pin_and_is_paired() {
    let house = house("paired");
    let phone = Phone::start(&house.lan.host("phone"), "Yuki");
    let file = song(house.folder.path(), 1);
    let pin = house.konpo.ask("POST", "/api/pin", None).json["pin"].as_str().expect("a PIN").to_owned();
    for wrong in [&[][..], &["--pin", "no"]] {
        let said = phone.sends(std::slice::from_ref(&file), &house.place, wrong).end().expect_err("refused");
        println!("the phone says: {}", said.trim());
        assert_eq!(staged(&house.konpo), 0);
    }
    phone.sends(std::slice::from_ref(&file), &house.place, &["--pin", &pin]).end().expect("received");
    shelved(&house.konpo, 1, Duration::from_secs(30));
    // From now on its certificate says who it is.
    phone.send(&[song(house.folder.path(), 2)], &house.place).expect("received");
    shelved(&house.konpo, 2, Duration::from_secs(30));
    let devices = house.konpo.get("/api/devices");
    assert_eq!((&devices["total"], &devices["items"][0]["name"]), (&json!(1), &json!("Yuki")), "{devices}");
}

#[test]
fn other_bytes_than_the_phone_promised_are_not_taken() {
    let house = house("ask");
    let phone = Phone::start(&house.lan.host("phone"), "Yuki");
    let file = song(house.folder.path(), 1);
    let sending = phone.sends(std::slice::from_ref(&file), &house.place, &[]);
    let ask = asked(&house.konpo);
    // Its sum was told; now it changes, at the same length.
    let writer = fs::File::options().write(true).open(&file).expect("there");
    writer.write_all_at(b"changed", 10_000).expect("written");
    answer(&house.konpo, &ask, "accept");
    let said = sending.end().expect_err("other bytes came");
    println!("the phone says: {}", said.trim());
    wait_for("nothing is left", Duration::from_secs(20), || (staged(&house.konpo) == 0).then_some(()));
    assert_eq!(house.konpo.tracks().len(), 0);
    wait_for("its question is over", Duration::from_secs(10), || {
        house.konpo.get("/api/offers")["asks"].as_array().expect("a list").is_empty().then_some(())
    });
    // Three times at most, by hand, for this phone tries once.
    let hand = house.lan.host("hand");
    let bytes = fs::read(&file).expect("there");
    let sum = "0".repeat(64);
    let body = offer(
        json!({ "1": { "id": "1", "fileName": "a.wav", "size": bytes.len(), "fileType": "audio/wav", "sha256": sum } }),
    );
    let (place, from) = (house.place.clone(), hand.clone());
    let asking = std::thread::spawn(move || {
        plain(&from, &place, "POST", "/api/localsend/v2/prepare-upload", body.as_bytes())
    });
    answer(&house.konpo, &asked(&house.konpo), "accept");
    let (status, session) = asking.join().expect("asked");
    assert_eq!(status, 200, "{session}");
    let (id, token) =
        (session["sessionId"].as_str().expect("an id"), session["files"]["1"].as_str().expect("one"));
    let way = format!("/api/localsend/v2/upload?sessionId={id}&fileId=1&token={token}");
    let said: Vec<u16> = (0..3).map(|_| upload(&hand, &house.place, &way, bytes.clone()).1).collect();
    // The fourth time nothing of it is read, so nothing is sent.
    assert_eq!((said, upload(&hand, &house.place, &way, Vec::new()).1), (vec![422, 422, 422], 403));
    assert_eq!((staged(&house.konpo), house.konpo.tracks().len()), (0, 0));
}

#[test]
fn a_phone_that_cancels_may_come_again() {
    let house = house("always");
    let place = house.lan.host("phone");
    let phone = Phone::start(&place, "Yuki");
    let long = house.folder.path().join("long.wav");
    long_wav(&long, 40_000_000);
    place.limit("40mbit");
    let sending = phone.sends(std::slice::from_ref(&long), &house.place, &[]);
    wait_for("bytes came", Duration::from_secs(30), || {
        let arrivals = house.konpo.arrivals();
        arrivals.iter().any(|one| one["received"].as_u64() > Some(0)).then_some(())
    });
    assert_eq!(staged(&house.konpo), 1);
    crate::support::process::run(phone.control(&["cancel"]));
    sending.end().expect_err("it was cancelled");
    wait_for("nothing is left", Duration::from_secs(20), || (staged(&house.konpo) == 0).then_some(()));
    phone.send(&[song(house.folder.path(), 1)], &house.place).expect("it may come again");
    shelved(&house.konpo, 1, Duration::from_secs(30));
}

#[test]
fn one_name_twice_in_folders_of_japanese_names_is_two_songs() {
    let house = house("always");
    let hand = house.lan.host("hand");
    let songs: Vec<Vec<u8>> =
        (1..=2).map(|number| fs::read(song(house.folder.path(), number)).expect("there")).collect();
    let file = |id: usize, name: &str| json!({ "id": id.to_string(), "fileName": name, "size": songs[id - 1].len(), "fileType": "audio/wav" });
    let body = offer(json!({ "1": file(1, "夜/歌 ~é.wav"), "2": file(2, "夜/歌 ~é.wav") }));
    let (status, session) =
        plain(&hand, &house.place, "POST", "/api/localsend/v2/prepare-upload", body.as_bytes());
    assert_eq!(status, 200, "{session}");
    for (number, bytes) in songs.iter().enumerate() {
        let id = (number + 1).to_string();
        let (session, token) = (session["sessionId"].as_str().expect("one"), session["files"][&id].as_str());
        let way = format!(
            "/api/localsend/v2/upload?sessionId={session}&fileId={id}&token={}",
            token.expect("it is wanted")
        );
        assert_eq!(upload(&hand, &house.place, &way, bytes.clone()).1, 200);
    }
    shelved(&house.konpo, 2, Duration::from_secs(30));
    let mut titles: Vec<String> = house
        .konpo
        .tracks()
        .iter()
        .map(|track| track["title"].as_str().unwrap_or_default().to_owned())
        .collect();
    titles.sort();
    assert_eq!(titles, ["Song 1", "Song 2"]);
}

#[test]
fn the_disk_is_full_and_the_phone_is_told_before_it_sends() {
    let lan = Lan::new();
    let (place, phone) = (lan.host("box"), Phone::start(&lan.host("phone"), "Yuki"));
    let mut konpo = Konpo::new(&place, &settings("always")).on_a_disk("24m");
    konpo.spawn();
    konpo.ready();
    let folder = tempfile::tempdir().expect("a folder");
    let large = folder.path().join("large.wav");
    fs::write(&large, noise(3, 44_100, 16, 44_100 * 170).tagged_wav("Large", "A", "B")).expect("written");
    let said = phone.send(&[large], &place).expect_err("there is no room");
    let body = offer(
        json!({ "1": { "id": "1", "fileName": "a.wav", "size": 30_000_000, "fileType": "audio/wav" } }),
    );
    let (status, told) =
        plain(&lan.host("hand"), &place, "POST", "/api/localsend/v2/prepare-upload", body.as_bytes());
    println!("the phone says: {}; konpo said {status} {told}", said.trim());
    assert!(
        status == 500 && told["message"].as_str().is_some_and(|words| words.contains("disk is full")),
        "{told}"
    );
    assert_eq!(staged(&konpo), 0);
    phone.send(&[song(folder.path(), 1)], &place).expect("a small one fits");
    shelved(&konpo, 1, Duration::from_secs(20));
}

#[test]
fn curl_reaches_it_with_tls_and_without_with_a_certificate_and_without() {
    let house = house("paired");
    let phone = house.lan.host("phone");
    let (key, certificate) = (house.folder.path().join("key.pem"), house.folder.path().join("cert.pem"));
    let mut make = Command::new("openssl");
    make.args([
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "30",
        "-subj",
        "/CN=LocalSend User",
        "-keyout",
    ]);
    make.arg(&key).arg("-out").arg(&certificate);
    crate::support::process::run(make);
    let curl = |scheme: &str, known: bool, path: &str, body: Option<&str>| {
        let mut command = phone.command("curl");
        command.args(["-sk", "--max-time", "20", "-w", "\n%{http_code}"]);
        if known {
            command.arg("--cert").arg(&certificate).arg("--key").arg(&key);
        }
        if let Some(body) = body {
            command.args(["-H", "Content-Type: application/json", "--data-binary", body]);
        }
        command.arg(format!("{scheme}://{}:53317/api/localsend/v2/{path}", house.place.address));
        let output = command.output().expect("curl runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = said.rsplit_once('\n').expect("a status");
        (status.parse::<u16>().expect("a number"), body.to_owned())
    };
    let info = curl("https", false, "info", None);
    assert_eq!((info.0, &info), (200, &curl("https", true, "info", None)));
    assert_eq!(info, curl("http", false, "info", None), "one port for both");
    let fingerprint =
        serde_json::from_str::<serde_json::Value>(&info.1).expect("JSON")["fingerprint"].clone();
    let mut show = phone.command("sh");
    let to = house.place.address;
    show.args(["-c", &format!("openssl s_client -connect {to}:53317 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256")]);
    let shown = String::from_utf8_lossy(&crate::support::process::run(show)).replace(':', "");
    assert!(shown.contains(fingerprint.as_str().expect("text")), "{shown} is not {fingerprint}");

    let song = fs::read(song(house.folder.path(), 1)).expect("there");
    let body = offer(
        json!({ "1": { "id": "1", "fileName": "Album/夜.wav", "size": song.len(), "fileType": "audio/wav" } }),
    );
    assert_eq!(curl("https", true, "prepare-upload", Some(&body)).0, 403, "not paired");
    let pin = house.konpo.ask("POST", "/api/pin", None).json["pin"].as_str().expect("a PIN").to_owned();
    assert_eq!(curl("https", true, "prepare-upload", Some(&body)).0, 401);
    for _ in 0..3 {
        assert_eq!(curl("https", true, "prepare-upload?pin=no", Some(&body)).0, 401);
    }
    assert_eq!(curl("https", true, &format!("prepare-upload?pin={pin}"), Some(&body)).0, 429);
    let (_, waited) = wait_for("the lock-out expires", Duration::from_secs(75), || {
        let (status, said) = curl("https", true, &format!("prepare-upload?pin={pin}"), Some(&body));
        assert!(status == 429 || status == 200, "{said}");
        let session =
            (status == 200).then(|| serde_json::from_str::<serde_json::Value>(&said).expect("JSON"))?;
        let file = house.folder.path().join("song.bin");
        fs::write(&file, &song).expect("written");
        let (id, token) = (session["sessionId"].as_str()?, session["files"]["1"].as_str()?);
        let way = format!("upload?sessionId={id}&fileId=1&token={token}");
        let sent = curl("https", true, &way, Some(&format!("@{}", file.display())));
        assert_eq!(sent.0, 200, "{}", sent.1);
        Some(())
    });
    println!("the lock-out lasted {waited:?}");
    shelved(&house.konpo, 1, Duration::from_secs(20));
    let devices = house.konpo.get("/api/devices");
    assert_eq!((&devices["total"], &devices["items"][0]["name"]), (&json!(1), &json!("Hand")), "{devices}");
    assert_eq!(house.konpo.ask("DELETE", "/api/pin", None).status, 204);
    let another = body.replace("夜", "朝");
    assert_eq!(
        curl("https", true, "prepare-upload", Some(&another)).0,
        200,
        "it is known by its certificate"
    );
    assert_eq!(curl("https", false, "prepare-upload", Some(&another)).0, 409, "one session for an address");
}
