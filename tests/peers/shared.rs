//! Files that a phone shares by a link, fetched from a real LocalSend program: localsendd (PyPI) 0.1.1.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::fixtures::{long_wav, noise};
use crate::support::konpo::Konpo;
use crate::support::localsend::{Phone, shelved, staged};
use crate::support::net::{Host, Lan};
use crate::support::process::run;
use crate::support::wait_for;

struct House {
    // First, so that it shows its words before the network goes.
    konpo: Konpo,
    phone: Phone,
    place: Host,
    lan: Lan,
}

/// A box, and a phone that shares so many songs, a text and a picture.
fn house(songs: u64, more: &[&str]) -> House {
    let lan = Lan::new();
    let place = lan.host("box");
    let konpo = Konpo::start(&place, "name = \"Living Room\"\n[output]\ndevice = \"silent\"\n");
    let phone = Phone::start_with(&lan.host("phone"), "Yuki", more);
    fs::create_dir_all(phone.got()).expect("a folder");
    for number in 1..=songs {
        let sound = noise(300 + number, 44_100, 16, 44_100);
        let bytes = sound.tagged_wav(&format!("Song {number}"), "Yuki", "Shared");
        fs::write(phone.got().join(format!("{number:02} 夜の歌 & more.wav")), bytes).expect("written");
    }
    fs::write(phone.got().join("note.txt"), "hello").expect("written");
    fs::write(phone.got().join("cover.jpg"), "no picture").expect("written");
    // Somebody looks who is there: apps that are open answer at once.
    assert_eq!(konpo.ask("POST", "/api/search", None).status, 202);
    House { konpo, phone, place, lan }
}

/// Waits until the phone is a neighbour and what is going on with it is this.
fn until(konpo: &Konpo, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let (neighbour, _) = wait_for(what, Duration::from_secs(60), || {
        konpo.neighbour("Yuki").filter(|one| one["kind"] == "localsend" && is(&one["state"]))
    });
    neighbour
}

fn id(neighbour: &Value) -> String {
    neighbour["id"].as_str().expect("an id").to_owned()
}

fn ctl(konpo: &Konpo, arguments: &[&str]) -> String {
    let data = konpo.path("data");
    let mut command = konpo.command(&["ctl", "--data", &data.to_string_lossy()]);
    command.args(arguments);
    String::from_utf8_lossy(&run(command)).into_owned()
}

/// The contents of all songs in a folder and below.
fn songs(folder: &Path) -> BTreeSet<Vec<u8>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path: PathBuf = entry.path();
        if path.is_dir() && !path.ends_with(".konpo") {
            found.extend(songs(&path));
        } else if path.extension().is_some_and(|end| end == "wav") {
            found.insert(fs::read(path).expect("a file"));
        }
    }
    found
}

#[test]
fn what_a_phone_shares_is_looked_at_and_fetched_byte_for_byte() {
    let mut house = house(5, &[]);
    let konpo = &house.konpo;
    let yuki = until(konpo, "the phone is a neighbour", |state| state["state"] == "ready");
    assert_eq!(yuki["consent"], "ask", "{yuki}");
    assert!(
        konpo.arrivals().is_empty() && staged(konpo) == 0,
        "nothing is asked for before somebody says so"
    );
    let id = id(&yuki);
    konpo.neighbour_do(&id, "look");
    let looked = until(konpo, "it is counted", |state| state["state"] == "looked");
    let count = |name: &str| looked["state"][name].as_u64().expect("a count");
    assert_eq!((count("tracks"), count("new"), count("left")), (5, 5, 2), "{looked}");
    assert_eq!(konpo.tracks().len(), 0, "a look takes nothing");
    ctl(konpo, &["pull", &id]);
    until(konpo, "all of it came", |state| state["state"] == "pulled");
    shelved(konpo, 5, Duration::from_secs(60));
    let (had, got) = (songs(&house.phone.got()), songs(&konpo.music()));
    assert!(
        had.len() == 5 && had == got,
        "{} of {} came as they are",
        got.intersection(&had).count(),
        had.len()
    );
    let ledger = fs::read_to_string(konpo.music().join(".konpo/ledger.jsonl")).expect("a ledger");
    assert!(ledger.contains("\"localsend\"") && ledger.contains("Yuki"), "{ledger}");
    // The same again: nothing is new, and nothing comes twice.
    konpo.neighbour_do(&id, "look");
    until(konpo, "nothing is new", |state| {
        state["state"] == "looked" && state["new"] == 0 && state["tracks"] == 5
    });
    konpo.neighbour_do(&id, "pull");
    until(konpo, "nothing was to be fetched", |state| state["state"] == "pulled" && state["new"] == 0);
    assert_eq!((konpo.tracks().len(), konpo.arrivals().len()), (5, 5));
    // An app that is closed shares nothing; its person may be left alone for good.
    konpo.neighbour_do(&id, "never");
    let refused = konpo.ask("POST", &format!("/api/neighbours/{}/pull", id.replace(':', "%3A")), None);
    assert_eq!(refused.status, 403, "{}", refused.json);
    house.konpo.stop();
}

#[test]
fn a_phone_that_asks_for_its_pin_tells_nothing_without() {
    let house = house(1, &[]);
    let konpo = &house.konpo;
    let id = id(&until(konpo, "the phone is a neighbour", |state| state["state"] == "ready"));
    run(house.phone.control(&["pin", "12 34&x"]));
    let says = |words: &str| {
        until(konpo, words, |state| {
            state["state"] == "waiting"
                && state["reason"].as_str().is_some_and(|reason| reason.contains(words))
        })
    };
    ctl(konpo, &["look", &id]);
    let asks = says("Yuki asks for a PIN");
    assert_eq!(asks["state"]["code"], "pin", "{asks}");
    assert!(
        ctl(konpo, &["neighbours"]).contains("waits: Yuki asks for a PIN"),
        "the command line says it too"
    );
    ctl(konpo, &["look", &id, "--pin", "4711"]);
    says("this is not the PIN of Yuki");
    assert!(konpo.arrivals().is_empty());
    ctl(konpo, &["pull", &id, "--pin", "12 34&x"]);
    until(konpo, "it came", |state| state["state"] == "pulled");
    shelved(konpo, 1, Duration::from_secs(60));
}

#[test]
fn a_pull_is_stopped_here_and_one_whose_phone_vanishes_goes_on_when_it_is_back() {
    let mut house = house(1, &[]);
    let long = house.phone.got().join("long.wav");
    long_wav(&long, 30_000_000);
    let id = id(&until(&house.konpo, "the phone is a neighbour", |state| state["state"] == "ready"));
    house.phone.host().limit("40mbit");
    let staging = house.konpo.music().join(".konpo/staging");
    let begin = |konpo: &Konpo| {
        konpo.neighbour_do(&id, "pull");
        wait_for("its bytes come", Duration::from_secs(60), || {
            let parts = fs::read_dir(&staging).into_iter().flatten().flatten();
            parts.filter_map(|part| part.metadata().ok()).any(|part| part.len() > 1_000_000).then_some(())
        });
    };
    // Somebody here stops it: nothing is left of what came half, and it does not begin again by itself.
    begin(&house.konpo);
    house.konpo.neighbour_do(&id, "ask");
    wait_for("nothing is left", Duration::from_secs(20), || (staged(&house.konpo) == 0).then_some(()));
    wait_for("it is told that it was stopped", Duration::from_secs(20), || {
        let stopped = |one: &Value| one["verdict"]["reason"] == "it was stopped here";
        house.konpo.arrivals().iter().any(stopped).then_some(())
    });
    until(&house.konpo, "it is stopped", |state| state["state"] == "ready");
    begin(&house.konpo);
    house.phone.kill();
    until(&house.konpo, "it is away", |state| state["state"] == "unusable");
    assert!(house.konpo.tracks().len() < 2);
    house.phone.again();
    // It is asked again by itself: the pull was not at its end.
    shelved(&house.konpo, 2, Duration::from_secs(120));
    until(&house.konpo, "all of it came", |state| state["state"] == "pulled");
    assert_eq!(songs(&house.phone.got()), songs(&house.konpo.music()));
    assert_eq!(staged(&house.konpo), 0);
}

#[test]
fn a_link_that_somebody_types_is_fetched_from_our_network_only() {
    let house = house(2, &["--no-encryption"]);
    let konpo = &house.konpo;
    let at = house.phone.host().address;
    let (own, port) = (house.place.address, 53317);
    for (link, status) in [
        ("http://10.99.0.1:53317".to_owned(), 403),
        (format!("http://{own}:{port}"), 403),
        ("http://127.0.0.1:53317".to_owned(), 403),
        ("http://phone.example:53317".to_owned(), 400),
        (String::new(), 400),
    ] {
        let refused = konpo.ask("POST", "/api/links", Some(&json!({ "link": link })));
        assert_eq!(refused.status, status, "{link:?}: {}", refused.json);
    }
    ctl(konpo, &["fetch-link", &format!("http://{at}:{port}/")]);
    let yuki = until(konpo, "it came", |state| state["state"] == "pulled");
    shelved(konpo, 2, Duration::from_secs(60));
    assert_eq!(songs(&house.phone.got()), songs(&konpo.music()));
    // Without encryption nobody can tell that the next one of that name is the same.
    let path = format!("/api/neighbours/{}/always", id(&yuki).replace(':', "%3A"));
    let refused = konpo.ask("POST", &path, None);
    assert_eq!(refused.status, 403, "{}", refused.json);
    // Nobody is there.
    let empty = house.lan.host("empty");
    let link = format!("http://{}:{port}", empty.address);
    let silent = konpo.ask("POST", "/api/links", Some(&json!({ "link": link })));
    assert!(silent.status >= 400, "{}", silent.json);
    assert!(
        silent.json["detail"].as_str().is_some_and(|words| words.contains("share via link")),
        "{}",
        silent.json
    );
}
