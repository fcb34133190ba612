//! Music goes back to a phone from the page: an album, a playlist, a song, a PIN that is asked for, a no.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::look::{assert_accessible, with_axe};
use super::{Records, Room, assert_calm, own};
use crate::support::browser::Browser;
use crate::support::localsend::Phone;
use crate::support::process::run;
use crate::support::wait_for;

/// Waits until the phone has so many files, and returns their contents.
fn got(phone: &Phone, count: usize) -> Vec<Vec<u8>> {
    let files = || -> Vec<Vec<u8>> {
        let found = fs::read_dir(phone.got()).into_iter().flatten().flatten();
        found.filter_map(|entry| fs::read(entry.path()).ok()).collect()
    };
    wait_for("the phone has the files", Duration::from_secs(60), || {
        Some(files()).filter(|files| files.len() == count)
    })
    .0
}

/// Chooses the phone in the dialog that is open.
fn choose(page: &Browser, name: &str) {
    page.reads("dialog.send-to .lines", name);
    page.click("dialog.send-to .lines button");
}

fn open_album(page: &Browser, name: &str) {
    page.click("#nav a[href='#library']");
    page.click("#tabs [data-list=albums]");
    page.reads("#library-rows", name);
    let script = "[...document.querySelectorAll('#library-rows a')].find((a) => a.innerText.includes(arguments[0])).click()";
    page.run(script, &[json!(name)]);
    page.reads("#library-head h2", name);
}

#[test]
fn an_album_a_playlist_and_a_song_go_to_a_phone_from_the_page() {
    let room = Room::new(Records::Some, "");
    let lists = room.konpo.music().join("Playlists");
    fs::create_dir_all(&lists).expect("a folder");
    let list = "#EXTM3U\n../港町楽団/灯台/04 帰り船.flac\n../Alder & Finch/Slow Rivers/01 Headwater.flac\n";
    fs::write(lists.join("夜の散歩.m3u8"), list).expect("written");
    let phone = Phone::start(&room.lan.host("yuki"), "Yuki");
    let page = room.opens("en");
    own(&page);

    // An album: every file as it lies here.
    open_album(&page, "Late Tram");
    page.click("#library-head button:last-child");
    page.reads("dialog.send-to h2", "Send “Late Tram” to");
    with_axe(&page);
    assert_accessible(&page, "the dialog");
    choose(&page, "Yuki");
    page.reads("dialog.send-to [role=status]", "Yuki has it.");
    assert_accessible(&page, "the dialog when all is there");
    let here = room.konpo.music().join("Marta Olin Trio/Late Tram");
    let mut had: Vec<Vec<u8>> = fs::read_dir(here)
        .expect("the album")
        .flatten()
        .map(|entry| fs::read(entry.path()).expect("a song"))
        .collect();
    let mut came = got(&phone, 4);
    had.sort();
    came.sort();
    assert!(had == came, "byte for byte");
    page.click("dialog.send-to .buttons button:last-child");
    let back = page.run("return document.activeElement.innerText", &[]);
    assert_eq!(back, "Send to a phone", "the focus is where it was");

    // A playlist, in its own order; it is played and added to the queue from there, too.
    page.click("#tabs [data-list=playlists]");
    page.reads("#library-rows", "夜の散歩");
    page.click("#library-rows a");
    page.reads("#library-head h2", "夜の散歩");
    wait_for("its songs in its order", Duration::from_secs(20), || {
        let titles = page.texts("#library-rows .words b");
        (titles == ["帰り船", "Headwater"]).then_some(())
    });
    page.click("#library-head button.main");
    let state = room.until("it plays", |state| state["transport"] == "playing" && state["queue_length"] == 2);
    assert_eq!(state["queue"][0]["title"], "帰り船", "{state}");
    page.click("#library-head button:last-child");
    choose(&page, "Yuki");
    page.reads("dialog.send-to [role=status]", "Yuki has it.");
    // Two songs, and the list of them.
    got(&phone, 7);
    page.click("dialog.send-to .buttons button:last-child");

    // The page opened at the list itself knows its name.
    page.run("location.reload()", &[]);
    page.reads("#library-head h2", "夜の散歩");
    assert_calm(&page);
}

#[test]
fn a_pin_and_a_no_of_the_phone_are_said_in_the_dialog_in_japanese() {
    let room = Room::new(Records::None, "");
    super::drop_song(&room, "Headwater");
    let phone = Phone::start(&room.lan.host("yuki"), "ユキ");
    run(phone.control(&["pin", "4711"]));
    let page = room.opens("ja");
    page.click("#welcome button.main");
    page.reads("#welcome h1", "登録しました");
    page.click("#welcome .buttons button:last-child");
    page.click("#nav a[href='#library']");
    page.click("#tabs [data-list=tracks]");
    page.reads("#library-rows", "Headwater");
    page.click("#library-rows [aria-label='Headwaterをスマートフォンへ送る']");
    page.reads("dialog.send-to h2", "「Headwater」の送り先");
    choose(&page, "ユキ");
    page.reads("dialog.send-to [role=status]", "ユキのPINを入力してください");
    with_axe(&page);
    assert_accessible(&page, "the PIN is asked for");
    // It is typed at once: the field has the focus.
    page.keys("0000");
    page.keys("\u{E007}");
    page.reads("dialog.send-to [role=status]", "ユキのPINと違います");
    page.empty("dialog.send-to input[name=pin]");
    page.write("dialog.send-to input[name=pin]", "4711");
    page.click("dialog.send-to form button.main");
    page.reads("dialog.send-to [role=status]", "ユキに届きました。");
    got(&phone, 1);
    page.keys("\u{E00C}");
    assert_eq!(page.text("dialog.send-to"), "", "Escape closes it");
    // A phone that is gone is said, too; nothing hangs.
    page.click("#library-rows [aria-label='Headwaterをスマートフォンへ送る']");
    page.reads("dialog.send-to .lines", "ユキ");
    drop(phone);
    page.click("dialog.send-to .lines button");
    page.reads("dialog.send-to [role=status]", "ユキが応答しません");
    assert_accessible(&page, "the refusal");
    assert_calm(&page);
}

/// A phone has a cookie (the page) and a certificate (the app): one tap makes both one device, and from then on nobody is asked.
#[test]
fn the_page_and_the_localsend_app_of_one_phone_become_one_device_by_a_tap() {
    let room = Room::new(Records::None, "[intake]\npush = \"paired\"\n");
    let page = room.opens("en");
    own(&page);
    let stranger = Phone::start(&room.lan.host("stranger"), "Mia");
    let app = Phone::start(&room.person, "Yuki's iPhone");
    page.click("#nav a[href='#neighbours']");
    page.reads("#joins", "“Yuki's iPhone” with LocalSend is open on this device, too.");
    assert!(!page.text("#joins").contains("Mia"), "another phone is never offered");
    with_axe(&page);
    assert_accessible(&page, "two that may be one");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("song.wav");
    let sound = crate::support::fixtures::noise(77, 44_100, 16, 44_100 * 2);
    fs::write(&path, sound.tagged_wav("Song", "Yuki", "Beamed")).expect("written");
    let before = app.send(std::slice::from_ref(&path), &room.place);
    assert!(before.is_err(), "the app alone is a stranger: {before:?}");
    page.click("#joins button");
    wait_for("it is said", Duration::from_secs(20), || page.text("#joins").is_empty().then_some(()));
    app.send(std::slice::from_ref(&path), &room.place).expect("the owner's own app");
    let (tracks, _) = wait_for("it is on the shelf", Duration::from_secs(30), || {
        Some(room.konpo.tracks()).filter(|tracks| tracks.len() == 1)
    });
    assert_eq!(tracks[0]["title"], "Song");
    assert_eq!(room.konpo.get("/api/devices")["total"], 1, "one person, one device");
    let refused = stranger.send(std::slice::from_ref(&path), &room.place);
    assert!(refused.is_err(), "nobody else was let in by that: {refused:?}");
    assert_calm(&page);
}
