//! What cannot be taken: a named reason on the board, and the rest goes on.

use std::fs;
use std::time::Duration;

use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::phone::Phone;
use crate::support::{fixtures, shelf, wait_for};

#[test]
fn broken_files_of_a_phone_are_named_and_the_rest_goes_on() {
    let lan = Lan::new();
    let music = tempfile::tempdir().expect("a folder");
    let at = |name: &str| music.path().join(name);
    spoil(music.path());
    fixtures::noise(2, 44_100, 16, 44_100).flac(&at("Fine.flac"), &[("title", "Fine"), ("artist", "Whole")]);
    let konpo =
        Konpo::start(&lan.host("hifi"), "[intake]\npull = \"always\"\n[output]\ndevice = \"silent\"\n");
    let _phone = Phone::start(&lan.host("phone"), music.path());

    wait_for("what is whole is on the shelf", Duration::from_secs(60), || {
        (shelf::texts(&konpo.tracks(), "title").len() == 2).then_some(())
    });
    konpo.at_rest(Duration::from_secs(90));
    assert_eq!(shelf::texts(&konpo.tracks(), "title"), ["Fine", "Wrong Name"]);
    let path =
        shelf::files(&konpo.music()).into_keys().find(|path| path.to_string_lossy().contains("Wrong Name"));
    assert_eq!(
        path.as_ref().and_then(|path| path.extension()),
        Some("flac".as_ref()),
        "named as what it is: {path:?}"
    );
    for name in ["Text", "Short", "Nothing"] {
        let reason =
            reason(&konpo, name).unwrap_or_else(|| panic!("{name} has no reason: {:#?}", konpo.arrivals()));
        println!("{name}: {reason}");
    }
    assert_eq!(staged(&konpo), Vec::<String>::new(), "nothing half is left");
}

#[test]
fn what_cannot_be_taken_stays_in_the_inbox_with_its_reason() {
    let lan = Lan::new();
    let konpo = Konpo::start(&lan.host("hifi"), "[output]\ndevice = \"silent\"\n");
    let inbox = konpo.music().join("Inbox");
    wait_for("the drop folder is there", Duration::from_secs(5), || inbox.is_dir().then_some(()));
    let made = tempfile::tempdir().expect("a folder");
    spoil(made.path());
    fixtures::noise(4, 44_100, 16, 44_100)
        .flac(&made.path().join("Fine.flac"), &[("title", "Fine"), ("artist", "Whole")]);
    for entry in fs::read_dir(made.path()).expect("a folder").flatten() {
        fs::copy(entry.path(), inbox.join(entry.file_name())).expect("dropped");
    }
    wait_for("what is whole is on the shelf", Duration::from_secs(30), || {
        (konpo.tracks().len() == 2).then_some(())
    });
    konpo.at_rest(Duration::from_secs(30));
    assert_eq!(shelf::texts(&konpo.tracks(), "title"), ["Fine", "Wrong Name"]);
    let mut left: Vec<String> = fs::read_dir(&inbox)
        .expect("a folder")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    left.sort();
    assert_eq!(left, ["Nothing.flac", "Short.flac", "Text.mp3"], "they stay, the others went");
    for name in left {
        assert!(reason(&konpo, &name).is_some(), "{name} has no reason: {:#?}", konpo.arrivals());
    }
}

/// Text renamed, a file cut short, an empty one, and a whole one under a wrong name.
fn spoil(folder: &std::path::Path) {
    let at = |name: &str| folder.join(name);
    fs::write(at("Text.mp3"), "This is a letter and no song.\n".repeat(5000)).expect("a file");
    fixtures::noise(1, 44_100, 16, 88_200).flac(&at("Short.flac"), &[("title", "Short"), ("artist", "Cut")]);
    let whole = fs::read(at("Short.flac")).expect("a file");
    fs::write(at("Short.flac"), &whole[..whole.len() / 2]).expect("a file");
    fs::write(at("Nothing.flac"), "").expect("a file");
    fixtures::noise(3, 44_100, 16, 44_100)
        .flac(&at("x.flac"), &[("title", "Wrong Name"), ("artist", "Whole")]);
    fs::rename(at("x.flac"), at("Wrong Name.mp3")).expect("renamed");
}

/// Returns the words of the board about the file called `name`.
fn reason(konpo: &Konpo, name: &str) -> Option<String> {
    let lines = konpo.arrivals();
    let line = lines.iter().find(|line| line["name"].as_str().is_some_and(|it| it.starts_with(name)))?;
    let reason = line["verdict"]["reason"].as_str().filter(|reason| !reason.is_empty())?;
    Some(format!("{}: {reason}", line["verdict"]["code"].as_str()?))
}

fn staged(konpo: &Konpo) -> Vec<String> {
    let folder = fs::read_dir(konpo.music().join(".konpo/staging"));
    folder
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}
