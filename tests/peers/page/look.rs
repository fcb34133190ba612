//! How the page looks and whether everybody can use it: axe-core on every view, pictures in every size.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{Records, Room, assert_calm};
use crate::support::browser::Browser;
use crate::support::{fixtures, localsend, wait_for};

#[test]
fn every_view_in_every_size_is_for_everybody_and_fits() {
    let room = Room::new(Records::Some, "");
    let page = room.opens("en");
    with_axe(&page);
    assert_accessible(&page, "the first start");
    page.click("#welcome button.main");
    page.find("#welcome .questions");
    page.click("#welcome input[name=quiet]");
    assert_accessible(&page, "the four questions");
    page.click("#welcome .buttons button:last-child");
    room.konpo.tell(&json!({ "set_volume": 24 }));
    let tracks = room.konpo.tracks();
    let albums = ["Late Tram", "Slow Rivers", "灯台"];
    let entries: Vec<Value> = albums
        .iter()
        .flat_map(|album| tracks.iter().filter(move |track| track["album"] == *album))
        .map(|track| json!({ "what": { "shelf": track["id"] } }))
        .collect();
    room.konpo.tell(&json!({ "add": { "entries": entries, "play": true } }));
    page.reads("#title", "Late Tram");
    room.until("it plays", |state| state["transport"] == "playing");
    // Held first: then the place is exact.
    room.konpo.tell(&json!("pause"));
    room.konpo.tell(&json!({ "seek": 61_000 }));
    page.reads("#at", "1:01");
    let views = ["now", "library", "arrivals", "neighbours", "purchases", "settings"];
    for (width, height) in [(320, 640), (768, 1024), (1440, 900)] {
        for scheme in ["light", "dark"] {
            page.looks(width, height, scheme);
            for view in views {
                page.click(&format!("#nav a[href='#{view}']"));
                page.find(&format!("#view-{view}"));
                settle(&page);
                let wide = page.run("return document.documentElement.scrollWidth", &[]);
                assert!(wide.as_u64() <= Some(u64::from(width)), "{view} at {width}: {wide} wide");
                assert_accessible(&page, &format!("{view} at {width} in {scheme}"));
                if let Some(folder) = std::env::var_os("KONPO_PICTURES") {
                    let name = format!("{view}-{width}-{scheme}.png");
                    page.picture(&PathBuf::from(folder).join(name));
                }
                let shown =
                    matches!(view, "now" | "settings") || (view, width, scheme) == ("library", 1440, "dark");
                if let Some(folder) = pictures().filter(|_| shown) {
                    page.picture(&folder.join(format!("{view}-{width}-{scheme}.png")));
                }
            }
        }
    }
    filled(&room, &page);
    assert_calm(&page);
}

/// The views with something in them: a question, what came and what did not, a phone, a purchase that is locked.
fn filled(room: &Room, page: &Browser) {
    let folder = tempfile::tempdir().expect("a folder");
    let (old, song, text) =
        (folder.path().join("2006.m4a"), folder.path().join("夜.wav"), folder.path().join("no.mp3"));
    fixtures::bought_m4a(&old, 5, fixtures::Kind::FairPlay);
    let sound = fixtures::noise(91, 44_100, 16, 44_100 * 2);
    fs::write(&song, sound.tagged_wav("Gift", "Ken", "Beamed")).expect("written");
    fs::write(&text, "this is no music, whatever it is called\n".repeat(50)).expect("written");
    room.konpo.drop_in(&old);
    let ken = localsend::Phone::start(&room.lan.host("ken"), "Ken");
    let sending = ken.sends(&[song, text], &room.place, &[]);
    page.reads("#asks", "Ken wants to send");
    for (width, height, scheme) in [(320, 640, "light"), (1440, 900, "dark")] {
        page.looks(width, height, scheme);
        assert_accessible(page, "a question");
        picture(page, &format!("question-{width}-{scheme}"), false);
    }
    page.click("#asks button.main");
    sending.end().expect("it was taken");
    page.click("#nav a[href='#arrivals']");
    page.reads("#files", "this is not music: it looks like text");
    page.reads("#beams", "1 song came");
    for view in ["arrivals", "neighbours", "purchases"] {
        page.click(&format!("#nav a[href='#{view}']"));
        page.find(&format!("#view-{view}"));
        for (width, height, scheme) in [(320, 640, "light"), (320, 640, "dark"), (1440, 900, "dark")] {
            page.looks(width, height, scheme);
            if view == "purchases" {
                page.reads("#purchase-rows", "What to do: Download the protection-free version");
            }
            settle(page);
            assert_accessible(page, &format!("{view} with something in it at {width} in {scheme}"));
            let wide = page.run("return document.documentElement.scrollWidth", &[]);
            assert!(wide.as_u64() <= Some(u64::from(width)), "{view} at {width}: {wide} wide");
            let shown =
                matches!((view, width, scheme), ("arrivals", 1440, "dark") | ("purchases", 320, "light"));
            picture(page, &format!("{view}-{width}-{scheme}"), shown);
        }
    }
}

/// Takes a picture where somebody wants all of them, and for the README where it has this one.
fn picture(page: &Browser, name: &str, shown: bool) {
    if let Some(folder) = std::env::var_os("KONPO_PICTURES") {
        page.picture(&PathBuf::from(folder).join(format!("full-{name}.png")));
    }
    if let Some(folder) = pictures().filter(|_| shown) {
        page.picture(&folder.join(format!("{name}.png")));
    }
}

/// Waits until every picture that is asked for is here and nothing moves.
fn settle(page: &Browser) {
    let script =
        "return [...document.images].every((i) => i.complete) && !document.querySelector('#toasts p')";
    wait_for("all pictures are here", Duration::from_secs(30), || {
        (page.run(script, &[]) == true).then_some(())
    });
}

/// Loads axe-core into the page.
pub(super) fn with_axe(page: &Browser) {
    let axe = fs::read_to_string(axe()).expect("tests/run.sh installs axe-core");
    page.run(&format!("{axe}\nwindow.axe = window.axe || axe;"), &[]);
}

/// No finding of axe-core that is serious or critical.
pub(super) fn assert_accessible(page: &Browser, what: &str) {
    let script = "const done = arguments[arguments.length - 1]; \
         axe.run(document, { resultTypes: ['violations'] }).then((found) => done(found.violations.map((v) => \
         [v.impact, v.id, v.nodes.map((n) => n.target.join(' ') + ': ' + n.failureSummary).slice(0, 3)])), \
         (error) => done([['critical', String(error), []]]))";
    let found = page.wait_run(script);
    let all = found.as_array().unwrap_or_else(|| panic!("{what}: axe-core answers {found}"));
    let bad: Vec<&Value> = all.iter().filter(|v| v[0] == "serious" || v[0] == "critical").collect();
    assert!(bad.is_empty(), "{what}: {bad:#?}");
}

/// Where pictures for the README go, when they are to be made anew.
fn pictures() -> Option<PathBuf> {
    std::env::var_os("KONPO_ALL")?;
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("packaging/pictures");
    fs::create_dir_all(&folder).expect("a folder");
    Some(folder)
}

fn axe() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/peers-node/node_modules/axe-core/axe.min.js")
}
