//! The page in a browser: a person with a phone in hand, headless Chromium with WebDriver.

mod beam;
mod keyboard;
mod look;
mod own_box;
mod records;
mod send;
mod stories;
mod use_it;

use std::time::Duration;

use serde_json::Value;

use crate::support::browser::Browser;
use crate::support::fixtures::noise;
use crate::support::konpo::Konpo;
use crate::support::net::{Host, Lan};
use crate::support::wait_for;

/// A box and a machine with a browser.
struct Room {
    konpo: Konpo,
    url: String,
    place: Host,
    person: Host,
    lan: Lan,
}

impl Room {
    /// Starts a box with some records on its shelf, if wanted, and these settings beside the usual ones.
    fn new(records: Records, settings: &str) -> Room {
        let lan = Lan::new();
        let place = lan.host("box");
        let usual = "name = \"Living Room\"\n[output]\ndevice = \"silent\"\n";
        let mut konpo = Konpo::new(&place, &format!("{usual}{settings}"));
        if records == Records::Some {
            records::lay(&konpo.music());
        }
        konpo.spawn();
        let ready = konpo.ready();
        let port = ready.trim_end_matches('/').rsplit(':').next().expect("a port").to_owned();
        let url = format!("http://{}:{port}/", place.address);
        if records == Records::Some {
            wait_for("the records are on the shelf", Duration::from_secs(60), || {
                (konpo.tracks().len() == records::count()).then_some(())
            });
        }
        let person = lan.host("phone");
        Room { konpo, url, place, person, lan }
    }

    /// Opens the page in a browser of this language.
    fn opens(&self, language: &str) -> Browser {
        let browser = Browser::open(&self.person, language);
        browser.looks(390, 844, "light");
        browser.go(&self.url);
        browser.find("#toggle");
        browser.reads("#name", "Living Room");
        browser
    }

    /// Waits until the box says so.
    fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let (state, _) = wait_for(what, Duration::from_secs(20), || {
            Some(self.konpo.get("/api/state")).filter(|state| holds(state))
        });
        state
    }
}

/// Whether there is music.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Records {
    None,
    Some,
}

/// Makes this browser the owner's.
fn own(browser: &Browser) {
    browser.empty("#welcome input");
    browser.write("#welcome input", "Yuki's phone");
    browser.click("#welcome button.main");
    browser.reads("#welcome h1", "It is yours");
    browser.click("#welcome .buttons button:last-child");
}

/// Puts one song of this title on the shelf.
fn drop_song(room: &Room, title: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("song.wav");
    let sound = noise(404, 44_100, 16, 44_100 * 60);
    std::fs::write(&path, sound.tagged_wav(title, "Alder & Finch", "Slow Rivers")).expect("written");
    room.konpo.drop_in(&path);
    wait_for("it is on the shelf", Duration::from_secs(60), || {
        (room.konpo.tracks().len() == 1).then_some(())
    });
}

/// Nothing went wrong that a person who looks would find in the console.
fn assert_calm(browser: &Browser) {
    assert_eq!(browser.complaints(), Vec::<String>::new());
}
