//! A house full of servers: gerbera, rygel, minidlna, rclone and a broken one at once. Everything arrives once.

use std::path::Path;
use std::time::Duration;

use crate::support::hostile::{self, Mode, SONGS};
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::phone::Phone;
use crate::support::servers::Server;
use crate::support::{fixtures, shelf, wait_for};

const ALWAYS: &str = "[intake]\npull = \"always\"\n[output]\ndevice = \"silent\"\n";

#[test]
fn everything_of_five_servers_at_once_arrives_once() {
    let lan = Lan::new();
    let konpo = Konpo::start(&lan.host("hifi"), ALWAYS);
    let music = ["minidlna", "gerbera", "rygel", "rclone"].map(|name| (name, songs(name)));
    let at =
        |name: &str| music.iter().find(|(own, _)| *own == name).expect("one of them").1.path().to_owned();
    let _phone = Phone::start(&lan.host("minidlna"), &at("minidlna"));
    let _gerbera = Server::gerbera(&lan.host("gerbera"), "Gerbera & Co", &at("gerbera"));
    let _rygel = Server::rygel(&lan.host("rygel"), "Rygel's", &at("rygel"));
    let _rclone = Server::rclone(&lan.host("rclone"), "Rclone", &at("rclone"));
    hostile::start(&lan.host("worst"), Mode::Truncated);
    let mut sent: Vec<String> = music.iter().flat_map(|(_, folder)| shelf::hashes(folder.path())).collect();
    sent.extend((0..SONGS).map(|number| shelf::sum(&hostile::song(Mode::Truncated, number))));
    sent.sort();
    let (_, took) = wait_for("everything arrives", Duration::from_secs(120), || {
        let here = shelf::hashes(&konpo.music());
        let worst = sent.iter().filter(|hash| !here.contains(hash)).count();
        let missing: Vec<_> = music
            .iter()
            .map(|(name, folder)| {
                let theirs = shelf::hashes(folder.path());
                (*name, theirs.iter().filter(|hash| !here.contains(hash)).count())
            })
            .filter(|(_, missing)| *missing > 0)
            .collect();
        if !missing.is_empty() && std::env::var_os("KONPO_SHOW").is_some() {
            println!("{missing:?} {}", konpo.get("/api/neighbours")["items"]);
        }
        (missing.is_empty() && worst == 0).then_some(())
    });
    println!("{} files of four real servers and a broken one after {:.1} s", sent.len(), took.as_secs_f64());
    konpo.at_rest(Duration::from_secs(90));
    assert_eq!(shelf::hashes(&konpo.music()), sent, "each once, byte for byte");
    assert_eq!(konpo.tracks().len(), sent.len());
    let lines = shelf::ledger(&konpo.music());
    assert_eq!(shelf::texts(&lines, "sha256"), sent, "nothing was fetched to be merged");
    for neighbour in konpo.get("/api/neighbours")["items"].as_array().expect("a list") {
        println!("{}: {}", neighbour["name"], neighbour["state"]);
        assert_ne!(neighbour["state"]["state"], "unusable", "{neighbour}");
    }
    // Two of them cannot be loaded by rupnp; our own reader does.
    let repaired = konpo.said().matches("rupnp cannot load this device").count();
    assert_eq!(repaired, 2, "gerbera and rclone, each found out once");
}

/// Four songs that only this server has.
fn songs(server: &str) -> tempfile::TempDir {
    // rygel looks into no folder whose name begins with a dot.
    let music = tempfile::Builder::new().prefix("music").tempdir().expect("a folder");
    let seed = server.bytes().fold(0u64, |sum, byte| sum * 31 + u64::from(byte));
    for number in 1..=4u64 {
        let (title, track) = (format!("{server} & song {number}"), number.to_string());
        let tags = [("title", &*title), ("artist", server), ("album", "Of the house"), ("track", &*track)];
        let signal = fixtures::noise(seed + number, 44_100, 16, 44_100);
        let folder: &Path = music.path();
        if number % 2 == 0 {
            signal.flac(&folder.join(format!("Album/{number} {server}.flac")), &tags);
        } else {
            let path = folder.join(format!("{number} {server}.mp3"));
            signal.encode(&path, &["-c:a", "libmp3lame", "-b:a", "128k"], &tags);
        }
    }
    music
}
