//! The page without a pointer: everything by the keyboard, the focus where a person left it, and what a screen reader hears.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Records, Room, assert_calm, own};
use crate::support::browser::Browser;
use crate::support::fixtures::{self, noise};
use crate::support::{localsend, wait_for};

const TAB: &str = "\u{E004}";
const SHIFT: &str = "\u{E008}";
const ENTER: &str = "\u{E007}";
const RIGHT: &str = "\u{E014}";
/// The page follows the box within moments; a loaded machine takes longer.
const FOCUSED_WITHIN: Duration = Duration::from_secs(20);

/// Presses Tab until what a selector names has the focus, which is seen.
fn tab_to(page: &Browser, selector: &str) {
    walk(page, selector, Walk::On);
    let seen = "const e = document.activeElement; const s = getComputedStyle(e); return e.matches(':focus-visible') \
         && (s.outlineStyle !== 'none' || e.matches('#choose'))";
    assert_eq!(page.run(seen, &[]), true, "{selector}: the focus is seen");
}

/// As `tab_to`, with Shift and Tab.
fn tab_back_to(page: &Browser, selector: &str) {
    walk(page, selector, Walk::Back);
}

#[derive(Clone, Copy, PartialEq)]
enum Walk {
    On,
    Back,
}

impl Walk {
    fn press(self, page: &Browser, times: usize) {
        let keys = TAB.repeat(times);
        if self == Walk::On { page.keys(&keys) } else { page.chord(SHIFT, &keys) }
    }
}

/// Some keys at a time, noting what had the focus on the way; what was passed is gone back to.
fn walk(page: &Browser, selector: &str, walk: Walk) {
    page.find(selector);
    let is_there =
        || page.run("return document.activeElement.matches(arguments[0])", &[json!(selector)]) == true;
    if is_there() {
        return;
    }
    let follow = "window.trail = []; window.follow?.abort(); window.follow = new AbortController(); \
         addEventListener('focusin', (event) => window.trail.push(event.target.matches(arguments[0])), { signal: window.follow.signal })";
    let other = if walk == Walk::On { Walk::Back } else { Walk::On };
    for _ in 0..20 {
        page.run(follow, &[json!(selector)]);
        walk.press(page, 8);
        let passed = page.run("return [window.trail.indexOf(true), window.trail.length]", &[]);
        let (Some(at), Some(all)) = (passed[0].as_u64(), passed[1].as_u64()) else { continue };
        other.press(page, (all - 1 - at) as usize);
        // Between the end of the page and its start the browser itself has the focus.
        for _ in 0..4 {
            if is_there() {
                return;
            }
            other.press(page, 1);
        }
    }
    let at = page.run("return document.activeElement.outerHTML", &[]);
    panic!("{selector} is not reached by the keyboard: {at}");
}

fn focused(page: &Browser) -> String {
    let script = "const e = document.activeElement; return e.getAttribute('aria-label') || e.innerText || e.id || e.tagName";
    page.run(script, &[]).as_str().unwrap_or_default().to_owned()
}

/// Waits until the focus is on what is named so: the page follows the box, and the box the keys.
fn focuses(page: &Browser, is: impl Fn(&str) -> bool) {
    let mut last = String::new();
    let start = Instant::now();
    while start.elapsed() < FOCUSED_WITHIN {
        last = focused(page);
        if is(&last) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the focus is on {last:?}");
}

/// Notes from here on everything that a live region says.
fn listen(page: &Browser) {
    let script = "window.heard = []; const all = document.querySelectorAll('[aria-live], [role=status], [role=alert]'); \
         for (const one of all) new MutationObserver(() => { if (one.checkVisibility()) window.heard.push(one.innerText.trim()); }) \
         .observe(one, { subtree: true, childList: true, characterData: true })";
    page.run(script, &[]);
}

fn hears(page: &Browser, words: &str) {
    wait_for(&format!("a screen reader hears {words:?}"), Duration::from_secs(30), || {
        let heard = page.run("return window.heard", &[]);
        heard.as_array()?.iter().any(|one| one.as_str().is_some_and(|one| one.contains(words))).then_some(())
    });
}

#[test]
fn play_seek_search_and_the_queue_by_the_keyboard_alone() {
    let room = Room::new(Records::Some, "");
    let page = room.opens("en");
    own(&page);
    page.looks(1280, 800, "light");
    // The first Tab offers to skip the navigation.
    page.go(&room.url);
    page.reads("#name", "Living Room");
    listen(&page);
    page.keys(TAB);
    focuses(&page, |on| on == "To the content");
    tab_to(&page, "#nav a[href='#library']");
    page.keys(ENTER);
    // The view that came has the focus.
    focuses(&page, |on| on == "Library");
    tab_to(&page, "#search");
    page.keys("Headwater");
    page.reads("#library-count", "found");
    hears(&page, "3 found");
    tab_to(&page, "#library-rows [data-track]");
    page.keys(ENTER);
    room.until("it plays", |state| state["transport"] == "playing");
    hears(&page, "Headwater");
    // It stays on the song.
    focuses(&page, |on| on.contains("Headwater"));
    // More songs into the queue from the list of all.
    tab_back_to(&page, "#tabs [data-list=tracks]");
    page.keys(ENTER);
    page.reads("#library-rows", "Ice Line");
    for _ in 0..2 {
        tab_to(&page, "#library-rows .entry [data-shape=add]");
        page.keys(ENTER);
    }
    room.until("three are in the queue", |state| state["queue_length"] == 3);
    tab_back_to(&page, "#nav a[href='#now']");
    page.keys(ENTER);
    // Seek and volume by arrows; the value is said in words.
    tab_to(&page, "#seek");
    let before = room.konpo.get("/api/state")["position_ms"].as_u64().expect("a place");
    page.keys(&RIGHT.repeat(40));
    let told = "return document.getElementById('seek').getAttribute('aria-valuetext')";
    assert!(page.run(told, &[]).as_str().expect("words").contains(" of "), "the place in words");
    room.until("the sound moved", |state| state["position_ms"].as_u64() >= Some(before + 30_000));
    tab_to(&page, "#toggle");
    page.keys(" ");
    room.until("it waits", |state| state["transport"] == "paused");
    // The key has another name now, and the focus still.
    focuses(&page, |on| on == "Play");
    // Moved and removed: the focus stays on the key, then on that of the next entry.
    tab_to(&page, "#queue .entry:nth-child(2) [data-shape=down]");
    page.keys(ENTER);
    hears(&page, "place 3 of 3");
    focuses(&page, |on| on.starts_with("Move ") || on.starts_with("Play"));
    tab_back_to(&page, "#queue .entry:nth-child(2) [data-shape=remove]");
    page.keys(ENTER);
    room.until("it is gone", |state| state["queue_length"] == 2);
    // On what is next to it.
    focuses(&page, |on| on.starts_with("Remove "));
    // What another remote does meanwhile takes the focus from nobody.
    let held = focused(&page);
    room.konpo.tell(&json!({ "set_volume": 9 }));
    page.reads("#volume-number", "9");
    room.konpo.tell(&json!("toggle"));
    page.find("#toggle[aria-label=Pause]");
    assert_eq!(focused(&page), held);
    assert_calm(&page);
}

#[test]
fn a_beam_is_answered_and_a_purchase_is_read_by_the_keyboard_alone() {
    let room = Room::new(Records::None, "[intake]\npush = \"ask\"\n");
    let folder = tempfile::tempdir().expect("a folder");
    let (gift, old) = (folder.path().join("gift.wav"), folder.path().join("2006.m4a"));
    fs::write(&gift, noise(9, 44_100, 16, 44_100 * 2).tagged_wav("Gift", "Ken", "Beamed")).expect("written");
    fixtures::bought_m4a(&old, 5, fixtures::Kind::FairPlay);
    room.konpo.drop_in(&old);
    let page = room.opens("en");
    own(&page);
    listen(&page);
    let phone = localsend::Phone::start(&room.lan.host("sender"), "Ken");
    let sending = phone.sends(&[PathBuf::from(&gift)], &room.place, &[]);
    page.reads("#asks", "Ken wants to send 1 song");
    hears(&page, "Ken wants to send 1 song");
    // Wherever the focus is, the question stands before the content.
    page.run("document.activeElement.blur(); window.scrollTo(0, 0)", &[]);
    tab_to(&page, "#asks button.main");
    page.keys(ENTER);
    sending.end().expect("it was taken");
    room.until("it is in the queue", |state| state["queue_length"] == 1);
    wait_for("the question is gone, and the focus is at the content", Duration::from_secs(30), || {
        let at = page.run("return document.activeElement.id || document.activeElement.tagName", &[]);
        (page.text("#asks").is_empty() && at == "main").then_some(())
    });
    tab_back_to(&page, "#nav a[href='#arrivals']");
    page.keys(ENTER);
    page.reads("#beams", "1 song came");
    tab_to(&page, "#beams li button");
    focuses(&page, |on| on.starts_with("Undo: From Ken"));
    tab_back_to(&page, "#nav a[href='#purchases']");
    page.keys(ENTER);
    focuses(&page, |on| on == "Bought");
    page.reads("#purchase-rows", "Bought from iTunes with copy protection");
    tab_to(&page, "#purchase-tabs [data-locked=true]");
    page.keys(" ");
    page.find("#purchase-tabs [data-locked=true][aria-pressed=true]");
    page.reads("#purchase-rows", "What to do: Download the protection-free version");
    assert_calm(&page);
}

/// The six views and the dialogs, letters twice as large on the smallest phone, in both languages: nothing is scrolled sideways.
#[test]
fn letters_twice_as_large_fit_on_the_smallest_phone_and_nothing_moves_for_whom_that_makes_ill() {
    let room = Room::new(Records::None, "");
    super::drop_song(&room, "Headwater");
    for language in ["en", "ja"] {
        let page = room.opens(language);
        if language == "en" {
            own(&page);
        }
        page.looks(320, 640, "light");
        page.run("document.documentElement.style.fontSize = '200%'", &[]);
        let wide = |what: &str| {
            let script = "const w = document.documentElement.clientWidth; const out = [...document.querySelectorAll('body *')] \
                 .filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > w + 1 && !e.closest('.spoken, .skip, .pick')) \
                 .map((e) => e.tagName + '.' + e.className + '#' + e.id).slice(0, 6); \
                 return [document.documentElement.scrollWidth, out]";
            let told = page.run(script, &[]);
            let cut = told[1].as_array().is_some_and(|out| !out.is_empty());
            (told[0].as_u64() > Some(320) || cut).then(|| format!("{language} {what}: {told}"))
        };
        let mut bad: Vec<String> = Vec::new();
        for view in ["now", "library", "arrivals", "neighbours", "purchases", "settings"] {
            page.click(&format!("#nav a[href='#{view}']"));
            page.find(&format!("#view-{view}"));
            bad.extend(wide(view));
        }
        if language == "en" {
            page.click("#nav a[href='#neighbours']");
            page.click("#invite");
            page.find("#invitation svg.code path");
            bad.extend(wide("an invitation"));
            page.click("#nav a[href='#library']");
            page.click("#tabs [data-list=tracks]");
            page.click("#library-rows [data-shape=phone]");
            page.find("dialog.send-to");
            bad.extend(wide("the dialog to send"));
            page.keys("\u{E00C}");
            page.click("#library-rows [data-shape=edit]");
            page.find("dialog.dialog");
            bad.extend(wide("the dialog to correct"));
            page.keys("\u{E00C}");
        }
        assert!(bad.is_empty(), "{bad:#?}");
        let calm = json!({ "features": [{ "name": "prefers-reduced-motion", "value": "reduce" }] });
        page.devtools("Emulation.setEmulatedMedia", &calm);
        let moves = "return [...document.querySelectorAll('*')].filter((e) => { const s = getComputedStyle(e); \
             return s.transitionProperty !== 'none' && s.transitionDuration !== '0s' || s.animationName !== 'none' }).length";
        assert_eq!(page.run(moves, &[]), Value::from(0), "nothing moves");
        assert_calm(&page);
    }
}
