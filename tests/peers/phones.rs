//! Phones that send by LocalSend, as far as nothing of it has to be heard: proofs of who they are, PINs, wrong bytes, names.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
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

fn house(push: &str) -> House {
    let lan = Lan::new();
    let place = lan.host("box");
    let settings =
        format!("name = \"Living Room\"\n[output]\ndevice = \"silent\"\n[intake]\npush = \"{push}\"\n");
    let konpo = Konpo::start(&place, &settings);
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
    let offers = house.konpo.get("/api/offers");
    assert_eq!((&offers["beams"][0]["way"], &offers["beams"][0]["stored"]), (&json!("localsend"), &json!(1)));
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
    let said: Vec<u16> = (0..4).map(|_| upload(&hand, &house.place, &way, bytes.clone()).1).collect();
    assert_eq!(said, [422, 422, 422, 403]);
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
