//! What the owner sets on the page, who is invited by it, and what a guest is asked.

use std::fs;
use std::time::Duration;

use serde_json::json;

use super::{Records, Room, assert_calm, own};
use crate::support::browser::Browser;
use crate::support::fixtures::noise;
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::{localsend, wait_for};

#[test]
fn what_the_owner_sets_holds_at_once_and_what_konpo_toml_says_is_locked() {
    let room = Room::new(Records::None, "");
    let page = room.opens("en");
    page.click("#nav a[href='#settings']");
    page.reads("#owners-settings", "The owner sets everything else.");
    // Anybody may be sleepy.
    page.click("#sleep-keys [data-minutes='30']");
    room.until("the timer runs", |state| state["sleep"]["left_ms"].as_u64() > Some(1_000_000));
    page.reads("#sleep-left", "The sound fades out in 2");
    page.click("#sleep-keys [data-minutes='0']");
    room.until("the timer is off", |state| state["sleep"].is_null());
    own(&page);
    let form = "#settings-form";
    page.reads(form, "konpo.toml or the command line says this.");
    let locked = page.run("return document.querySelector('#settings-form [name=box]').disabled", &[]);
    assert_eq!(locked, true, "the name is konpo.toml's");
    page.click(&format!("{form} input[name=quiet]"));
    let set = "const f = document.querySelector('#settings-form'); \
         const at = (hours) => new Date(Date.now() + hours * 3600e3).toTimeString().slice(0, 5); \
         for (const [name, value] of Object.entries({ from: at(-3), to: at(3), limit: '15', push: 'paired', landing: 'keep' })) \
         f.elements[name].value = value;";
    page.run(set, &[]);
    page.click(&format!("{form} button.main"));
    // Whether the clock is right or not: it is quiet at once.
    let state = room.until("it is quiet", |state| !state["quiet"]["because"].is_null());
    assert_eq!(state["quiet"]["limit"], 15, "{state}");
    room.until("the knob came down", |state| state["volume"] == 15);
    let settings = room.konpo.get("/api/settings");
    assert_eq!(settings["intake.on_arrival"]["value"], "keep", "{settings}");
    // The owner ends it for this night by hand.
    page.click("#quiet-keys [data-mode='off']");
    room.until("it is quiet no more", |state| state["quiet"]["because"].is_null());
    let text = fs::read_to_string(room.konpo.path("data/settings.toml")).expect("kept");
    assert!(text.contains("from = ") && !text.contains("name"), "{text}");
    assert_calm(&page);
}

#[test]
fn a_new_name_is_shown_by_every_face_at_once() {
    let lan = Lan::new();
    let (hifi, phone) = (lan.host("hifi"), lan.host("phone"));
    let mut konpo = Konpo::new(&hifi, "[output]\ndevice = \"silent\"\n");
    konpo.spawn();
    let page = konpo.ready();
    let read = |path: &str, host: &str| {
        let mut curl = phone.command("curl");
        curl.args(["-s", "--max-time", "20", "-H", &format!("Host: {host}"), &format!("{page}{path}")]);
        String::from_utf8_lossy(&curl.output().expect("curl runs").stdout).into_owned()
    };
    let address = hifi.address.to_string();
    assert!(read("upnp/server/description.xml", &address).contains("<friendlyName>Stereo<"));
    assert!(!read("api/me", "kitchen.local").contains("room"), "nobody is called that yet");
    let set = konpo.ask("PUT", "/api/settings", Some(&json!({ "name": "Kitchen" })));
    assert_eq!(set.status, 200, "{}", set.json);
    assert_eq!(konpo.get("/api/me")["name"], "Kitchen");
    for role in ["server", "renderer"] {
        let told = |path: String| read(&path, &address).contains("<friendlyName>Kitchen<").then_some(());
        let path = format!("upnp/{role}/description.xml");
        wait_for("apps read the new name", Duration::from_secs(20), || told(path.clone()));
    }
    wait_for("phones with LocalSend see it", Duration::from_secs(20), || {
        let (_, info) = localsend::plain(&phone, &hifi, "GET", "/api/localsend/v2/info", b"");
        (info["alias"] == "Kitchen").then_some(())
    });
    wait_for("its name in the network is another one", Duration::from_secs(30), || {
        read("api/me", "kitchen.local").contains("room").then_some(())
    });
    konpo.stop();
}

#[test]
fn a_second_phone_is_paired_by_the_code_on_the_page_and_the_code_is_used_up() {
    let room = Room::new(Records::None, "");
    let page = room.opens("en");
    own(&page);
    page.click("#nav a[href='#neighbours']");
    page.click("#invite");
    page.find("#invitation svg.code path");
    page.reads("#invitation", "It pairs one device");
    let words = page.text("#invitation");
    let url =
        words.split_whitespace().find(|word| word.starts_with("http://")).expect("an address").to_owned();
    let literal = format!("http://{}/b/", room.place.address);
    assert!(url.starts_with(&literal), "port 80 is open here, so that the address needs no port: {url}");
    let second = Browser::open(&room.lan.host("second"), "ja");
    second.looks(390, 844, "light");
    // A camera's preview loads the page and pairs nobody.
    second.go(&url);
    second.reads("#welcome h1", "招待されました");
    second.go(&url);
    second.reads("#welcome h1", "招待されました");
    second.click("#welcome button.main");
    wait_for("it is paired", Duration::from_secs(30), || {
        (second.run("return document.getElementById('welcome').hidden", &[]) == true).then_some(())
    });
    assert_eq!(second.run("return location.pathname", &[]), "/", "the code is not left in the history");
    let devices = room.konpo.get("/api/devices");
    assert_eq!(
        (&devices["total"], &devices["items"][1]["right"]),
        (&json!(2), &json!("member")),
        "{devices}"
    );
    // Its songs are set apart from the others'.
    page.go(&room.url);
    page.click("#nav a[href='#neighbours']");
    page.find("#devices select");
    let chosen = "const s = document.querySelectorAll('#devices select')[1]; s.value = 'keep'; \
         s.dispatchEvent(new Event('change', { bubbles: true }))";
    wait_for("both are listed", Duration::from_secs(30), || {
        (page.texts("#devices li").len() == 2).then_some(())
    });
    page.run(chosen, &[]);
    wait_for("it holds", Duration::from_secs(30), || {
        (room.konpo.get("/api/devices")["items"][1]["on_arrival"] == "keep").then_some(())
    });
    let third = Browser::open(&room.lan.host("third"), "en");
    third.looks(390, 844, "light");
    third.go(&url);
    third.click("#welcome button.main");
    third.reads("#toasts", "This code was used already or is too old.");
    assert_calm(&second);
    assert_calm(&page);
}

#[test]
fn a_guest_types_the_pin_that_is_asked_for_and_the_files_go_on() {
    let room = Room::new(Records::None, "[intake]\npush = \"paired\"\n");
    let page = room.opens("en");
    own(&page);
    let made = room.konpo.ask("POST", "/api/pin", None);
    let pin = made.json["pin"].as_str().expect("a PIN").to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    let files: Vec<_> = (1..=2)
        .map(|number| {
            let path = folder.path().join(format!("{number}.wav"));
            let sound = noise(30 + number, 44_100, 16, 44_100 * 4);
            fs::write(&path, sound.tagged_wav(&format!("Song {number}"), "Ken", "Guest")).expect("written");
            path
        })
        .collect();
    let guest = Browser::open(&room.lan.host("guest"), "ja");
    guest.looks(390, 844, "light");
    guest.go(&room.url);
    guest.click("#nav a[href='#arrivals']");
    guest.choose("#choose", &files);
    guest.reads("#pin-form", "本体のPINが必要です");
    guest.write("#pin-form input", "000");
    guest.click("#pin-form button.main");
    guest.reads("#pin-form", "PINが違います");
    guest.write("#pin-form input", &pin);
    guest.click("#pin-form button.main");
    wait_for("both came", Duration::from_secs(60), || (room.konpo.tracks().len() == 2).then_some(()));
    guest.reads("#uploads", "棚に入りました");
    assert_eq!(guest.text("#pin-form"), "", "it is asked once for both");
}

#[test]
fn a_word_that_is_wrong_is_put_right_on_the_page() {
    let room = Room::new(Records::None, "");
    let folder = tempfile::tempdir().expect("a folder");
    let song = folder.path().join("song.wav");
    let sound = noise(41, 44_100, 16, 44_100 * 4).tagged_wav("Headwater", "Alder", "Rivers");
    fs::write(&song, sound).expect("written");
    room.konpo.drop_in(&song);
    wait_for("it is on the shelf", Duration::from_secs(60), || {
        (room.konpo.tracks().len() == 1).then_some(())
    });
    let page = room.opens("en");
    own(&page);
    page.click("#nav a[href='#library']");
    page.click("#tabs [data-list=tracks]");
    page.reads("#library-rows", "Headwater");
    page.click("#library-rows [aria-label='Correct Headwater']");
    page.empty("dialog input[name=title]");
    page.write("dialog input[name=title]", "Head Water");
    let picture = tempfile::tempdir().expect("a folder");
    let path = picture.path().join("cover.png");
    let red = image::RgbImage::from_pixel(64, 64, image::Rgb([200, 8, 8]));
    red.save_with_format(&path, image::ImageFormat::Png).expect("written");
    page.choose("dialog input[name=cover]", &[path]);
    page.click("dialog button.main");
    page.reads("#library-rows", "Head Water");
    let tracks = room.konpo.tracks();
    let track = tracks.iter().find(|track| track["title"] == "Head Water").expect("put right");
    assert!(track["corrected"]["cover"].is_object(), "{track}");
    page.click("#library-rows [aria-label='Correct Head Water']");
    page.click("dialog .buttons button:nth-child(2)");
    page.reads("#library-rows", "Headwater");
    assert_calm(&page);
}
