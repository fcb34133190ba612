//! The worst servers of a house, all at once: each is read as far as it can be, or named with its reason, and delays nobody.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::hostile::{self, ALL, Mode, SONGS};
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::phone::Phone;
use crate::support::{fixtures, patient, shelf, wait_for};

const ALWAYS: &str = "[intake]\npull = \"always\"\n[output]\ndevice = \"silent\"\n";

/// What konpo makes of a server.
enum Want {
    /// So many songs of it arrive.
    Songs(usize),
    /// It is shown as unusable, with these words.
    Unusable(&'static str),
    /// Its songs are on the board, with these words.
    Board(&'static str),
}

fn want(mode: Mode) -> Want {
    match mode {
        Mode::HangsAtConnect => Want::Unusable("cannot be reached"),
        Mode::HangsAtDescription | Mode::HangsInDescription => {
            Want::Unusable("does not send its description")
        }
        Mode::HangsInBody => Want::Board("nothing came for"),
        Mode::LiesAboutLength => Want::Board("end of file before message length reached"),
        // It is asked for all at once then.
        Mode::IgnoresStart => Want::Songs(120),
        Mode::TwoHundredThousand => Want::Unusable("more than 20000 things"),
        Mode::EmptyUrls => Want::Unusable("does not say where it can be asked"),
        Mode::RedirectsToLoopback => Want::Board("neither the device itself nor on our network"),
        Mode::DescriptionAtLoopback => Want::Unusable("its description lies elsewhere"),
        _ => Want::Songs(SONGS),
    }
}

#[test]
fn the_worst_servers_are_read_or_named_and_delay_nobody() {
    let alone = phone_beside(&[]).0;
    let (among, konpo, _lan) = phone_beside(&ALL);
    println!(
        "a phone's song after {:.2} s alone, {:.2} s among {} servers",
        alone.as_secs_f64(),
        among.as_secs_f64(),
        ALL.len()
    );
    assert!(among < alone + patient(Duration::from_secs(1)), "{among:?} instead of {alone:?}");
    for mode in ALL {
        let bound = Duration::from_secs(90);
        let started = Instant::now();
        loop {
            match met(&konpo, mode) {
                Ok(words) => {
                    println!("{mode:?}: {words}");
                    break;
                }
                Err(instead) => assert!(started.elapsed() < bound, "{mode:?}: {instead}"),
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Starts servers, waits until they had their chance, and measures how long a good phone takes among them.
fn phone_beside(modes: &[Mode]) -> (Duration, Konpo, Lan) {
    let lan = Lan::new();
    let konpo = Konpo::start(&lan.host("hifi"), ALWAYS);
    for (number, mode) in modes.iter().enumerate() {
        hostile::start(&lan.host(&format!("h{number}")), *mode);
    }
    if !modes.is_empty() {
        wait_for("all are seen", Duration::from_secs(20), || {
            let all = konpo.get("/api/neighbours");
            (all["items"].as_array().map_or(0, Vec::len) >= modes.len()).then_some(())
        });
    }
    let music = tempfile::tempdir().expect("a folder");
    let tags = [("title", "Harmless"), ("artist", "Phone"), ("album", "Good")];
    fixtures::noise(69_000, 44_100, 16, 44_100).flac(&music.path().join("Harmless.flac"), &tags);
    let phone = Phone::start(&lan.host("phone"), music.path());
    wait_for("the phone's song", Duration::from_secs(30), || {
        konpo.tracks().into_iter().find(|track| track["title"] == "Harmless")
    });
    (phone.started.elapsed(), konpo, lan)
}

/// Returns what came of a server, or why that is not what is wanted yet.
fn met(konpo: &Konpo, mode: Mode) -> Result<String, String> {
    let id = format!("udn:{}", hostile::udn(mode));
    let all = konpo.get("/api/neighbours");
    let neighbour =
        all["items"].as_array().and_then(|all| all.iter().find(|one| one["id"] == id.as_str())).cloned();
    let reason =
        neighbour.as_ref().and_then(|one| one["state"]["reason"].as_str()).unwrap_or_default().to_owned();
    match want(mode) {
        Want::Songs(count) => {
            let here = shelf::hashes(&konpo.music());
            let sums: Vec<String> =
                (0..count).map(|number| shelf::sum(&hostile::song(mode, number))).collect();
            let missing = sums.iter().filter(|sum| !here.contains(sum)).count();
            let more =
                konpo.tracks().iter().filter(|track| track["artist"] == hostile::name(mode).as_str()).count();
            if missing == 0 && more == count {
                Ok(format!("{count} songs arrived"))
            } else {
                Err(format!("{missing} of {count} are missing, {more} are listed: {neighbour:?}"))
            }
        }
        Want::Unusable(words) if reason.contains(words) => Ok(reason),
        Want::Unusable(words) => Err(format!("{words:?} is not its reason: {neighbour:?}")),
        Want::Board(words) => {
            let arrivals = konpo.arrivals();
            let own = |arrival: &&Value| arrival["from"] == hostile::name(mode).as_str();
            let said: Vec<String> = arrivals
                .iter()
                .filter(own)
                .filter_map(|a| a["waits"].as_str().or(a["verdict"]["reason"].as_str()).map(str::to_owned))
                .collect();
            said.iter()
                .find(|said| said.contains(words))
                .cloned()
                .ok_or_else(|| format!("{said:?} {neighbour:?}"))
        }
    }
}
