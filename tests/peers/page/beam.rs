//! Files from a phone's browser, and a cable that is pulled meanwhile.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::{Records, Room, assert_calm, own};
use crate::support::fixtures::noise;
use crate::support::net::Link;
use crate::support::{shelf, wait_for};

#[test]
fn three_files_are_beamed_while_the_cable_is_pulled_and_go_on_where_they_were() {
    let room = Room::new(Records::None, "");
    let page = room.opens("en");
    own(&page);
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<PathBuf> = (1..=3)
        .map(|number| {
            let path = folder.path().join(format!("{number} 夜の歌.wav"));
            let sound = noise(70 + number, 44_100, 16, 44_100 * 50);
            fs::write(&path, sound.tagged_wav(&format!("Song {number}"), "Yuki", "Beamed")).expect("written");
            path
        })
        .collect();
    let sent = shelf::hashes(folder.path());
    page.click("#nav a[href='#arrivals']");
    page.run(
        "window.states = []; new MutationObserver((all) => all.forEach((one) => window.states.push(one.target.dataset.state))) \
         .observe(document.getElementById('uploads'), { subtree: true, attributes: true, attributeFilter: ['data-state'] })",
        &[],
    );
    room.person.limit("20mbit");
    page.choose("#choose", &files);
    let far =
        "return [...document.querySelectorAll('#uploads progress')].filter((bar) => bar.value > 5e6).length";
    wait_for("one is past its first piece", Duration::from_secs(60), || {
        (page.run(far, &[]).as_u64() > Some(0)).then_some(())
    });
    room.person.link(Link::Down);
    page.reads("#uploads", "interrupted at");
    room.person.link(Link::Up);
    let ended = "return document.querySelectorAll('#uploads [data-state=received]').length";
    let (_, took) = wait_for("all are at the box", Duration::from_secs(120), || {
        (page.run(ended, &[]).as_u64() == Some(3)).then_some(())
    });
    let states = page.run("return window.states", &[]);
    assert!(states.as_array().is_some_and(|states| states.contains(&json!("resumed"))), "{states}");
    wait_for("all are on the shelf", Duration::from_secs(60), || {
        (room.konpo.tracks().len() == 3).then_some(())
    });
    assert_eq!(shelf::hashes(&room.konpo.music()), sent, "byte-identical");
    println!("three files were at the box {:.1} s after the cable was plugged in again", took.as_secs_f64());
    page.reads("#beams", "songs came");

    // The same again is not sent, and what is no music is refused in words.
    let before = page.complaints();
    println!("the console said meanwhile: {before:?}");
    page.choose("#choose", &files[..1]);
    page.reads("#uploads [data-state=merged]", "was here already");
    room.until("it plays", |state| state["transport"] == "playing");
    assert_calm(&page);
}
