//! What the box says to people, in both languages: the sources and the page are held against the table of sentences.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use konpo::words::{Words, japanese, sentences};

fn source(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder and below.
fn below(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut left = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Every error that is made of words of its own in a source: `Error::new(Kind::…, "…")`, also with `format!`. What only
/// heads the system's own reason (`Error::io`, `Error::with`) is not a sentence.
fn errors(text: &str) -> Vec<(usize, String)> {
    let own = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    for (at, _) in own.match_indices("Error::new(") {
        let call = &own[at + "Error::new(".len()..];
        let Some(rest) = call.trim_start().strip_prefix("Kind::") else { continue };
        let Some((kind, rest)) = rest.split_once(',') else { continue };
        // The machine failed: the page says so in general.
        if matches!(kind.trim(), "Internal") {
            continue;
        }
        let rest = rest.trim_start();
        let rest = rest.strip_prefix("format!(").unwrap_or(rest).trim_start();
        let Some(literal) = rest.strip_prefix('"').and_then(literal) else { continue };
        found.push((own[..at].matches('\n').count() + 1, literal));
    }
    found
}

/// Reads a string literal up to its quote; a backslash at the end of a line swallows the white space behind it.
fn literal(text: &str) -> Option<String> {
    let (mut told, mut letters) = (String::new(), text.chars().peekable());
    loop {
        match letters.next()? {
            '"' => return Some(told),
            '\\' => match letters.next()? {
                '\n' => while letters.next_if(|letter| letter.is_whitespace()).is_some() {},
                letter => told.push(letter),
            },
            letter => told.push(letter),
        }
    }
}

/// A sentence with something in each of its places.
fn filled(template: &str) -> String {
    let mut text = String::new();
    let mut parts = template.split('{');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        text.push_str("X1");
        text.push_str(part.split_once('}').map_or("", |(_, rest)| rest));
    }
    text
}

#[test]
fn every_error_that_reaches_a_person_is_in_the_table_in_both_languages() {
    let (mut seen, mut missing) = (0, Vec::new());
    for file in FILES {
        for (line, words) in errors(&source(file)) {
            seen += 1;
            let said = Words::from(filled(&words));
            if said.code.is_empty() && !OTHERWISE.contains(&words.as_str()) {
                missing.push(format!("src/{file}:{line}: {words}"));
            }
        }
    }
    assert!(seen > 80, "only {seen} found");
    println!("{seen} errors, {} sentences", sentences().count());
    assert!(missing.is_empty(), "no sentence in src/words: \n{}", missing.join("\n"));
}

#[test]
fn reasons_that_are_told_without_an_error_are_in_the_table() {
    for (file, words) in [
        ("intake/staging.rs", "its sender did not come back with the rest"),
        ("intake/worker.rs", "its bytes are gone"),
        ("intake/worker.rs", "only bought music is taken, and nothing in this file says so"),
        ("intake/door/policy.rs", "this box takes nothing from phones"),
        ("intake/door/policy.rs", "the beam window is closed: somebody at the box must open it"),
        ("intake/door/policy.rs", "only paired devices may send here"),
        ("intake/door/delivery.rs", "its sum is not the one that was stated"),
        ("intake/door/delivery.rs", "its sender broke off"),
        ("player/choice.rs", "no sound device was found: nothing is heard"),
        ("player/sound_card.rs", "the device {} is held by {by}"),
        ("library/trash.rs", "the disk is full: {missing} more must be free to take {bytes} ({} are free)"),
        ("library/root.rs", "the music disk is not there: {}"),
        ("hifi/command.rs", "this track cannot be played: it is protected or has no decoder here"),
        ("config/layers.rs", "The settings of the page could not be read; they are in {ASIDE} now."),
        ("config/layers.rs", "What the page set as {section} does not hold: {why}"),
        ("hifi/command.rs", "the volume is fixed: turn the knob on the amplifier"),
    ] {
        assert!(source(file).contains(words), "{file} says it no more: {words}");
        let said = Words::from(filled(words));
        assert_ne!(said.code, "", "{words}");
    }
}

#[test]
fn every_protection_and_what_to_do_about_it_is_in_the_table() {
    let text = source("track/words.rs");
    let (_, words) = text.split_once("pub fn headline").expect("the headlines");
    let lines = words.split("#[cfg(test)]").next().expect("a part");
    let mut said = 0;
    for (at, _) in lines.match_indices('"') {
        let Some(words) = literal(&lines[at + 1..]) else { continue };
        // Every second quote ends a literal.
        if lines[..at].matches('"').count() % 2 == 1
            || ["Not protected", "It plays everywhere."].contains(&words.as_str())
        {
            continue;
        }
        assert!(japanese(&words).is_some(), "{words}");
        said += 1;
    }
    assert!(said >= 18, "{said}");
}

#[test]
fn every_code_of_a_problem_is_said_by_the_page_in_japanese() {
    let page = source("web/assets/words.js");
    let mut codes = BTreeSet::new();
    for path in below("web").into_iter().chain(below("http")) {
        let text = fs::read_to_string(&path).expect("a source");
        let own = text.split("#[cfg(test)]").next().unwrap_or_default();
        for (at, _) in own.match_indices("StatusCode::") {
            let rest = own[at..].split_once(',').map_or("", |(_, rest)| rest).trim_start();
            let Some(code) = rest.strip_prefix('"').and_then(literal) else { continue };
            if code.len() > 2
                && code != "accept"
                && code.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_')
            {
                codes.insert(code);
            }
        }
    }
    assert!(codes.len() > 25, "{codes:?}");
    let missing: Vec<&String> =
        codes.iter().filter(|code| !page.contains(&format!("\n  {code}: "))).collect();
    assert!(missing.is_empty(), "words.js says nothing for {missing:?}");
}

#[test]
fn every_word_of_the_page_is_there_in_both_languages_with_the_same_places() {
    let page = source("web/assets/words.js");
    let (_, table) = page.split_once("const WORDS = {").expect("the words");
    let table = table.split("\n};").next().expect("its end");
    let mut seen = 0;
    for line in table.lines().filter(|line| line.contains(": [")) {
        let words: Vec<&str> =
            line.split('\'').filter(|part| !part.starts_with(", ") && !part.ends_with(": [")).collect();
        let [.., english, japanese, end] = words[..] else { panic!("{line}") };
        assert_eq!(end, "],", "{line}");
        let places = |text: &str| (0..5).filter(|at| text.contains(&format!("{{{at}}}"))).count();
        assert!(japanese.is_empty() == english.is_empty() && places(japanese) <= places(english), "{line}");
        seen += 1;
    }
    assert!(seen > 150, "{seen}");
}

/// What it looks like is five sentences of their own, nobody hears the second, and the third is put in other words by its caller.
const OTHERWISE: [&str; 3] = ["this is not music: it looks like {looks}", "nobody takes it", "{} answers {}"];

/// Whose errors stand on the board or the page as they are.
const FILES: [&str; 42] = [
    "media/sniff/mod.rs",
    "media/sniff/asf.rs",
    "media/sniff/riff.rs",
    "media/sniff/flac.rs",
    "media/sniff/mp4.rs",
    "media/sniff/caf.rs",
    "media/sniff/matroska.rs",
    "media/sniff/ogg.rs",
    "media/sniff/oma.rs",
    "media/sniff/dsd.rs",
    "media/sniff/mpeg.rs",
    "media/sniff/look.rs",
    "library/root.rs",
    "library/roots.rs",
    "library/trash.rs",
    "player/choice.rs",
    "player/sound_card.rs",
    "player/card_mixer.rs",
    "player/pulse.rs",
    "player/pulse/sink.rs",
    "player/pulse/wire.rs",
    "player/pulse/pump.rs",
    "player/opening.rs",
    "intake/staging.rs",
    "intake/unpack.rs",
    "intake/door/asking.rs",
    "intake/out.rs",
    "intake/door/joined.rs",
    "media/archive.rs",
    "beam/content_directory/way.rs",
    "beam/content_directory/mod.rs",
    "beam/neighbour.rs",
    "beam/mod.rs",
    "beam/fetch.rs",
    "beam/share.rs",
    "beam/shares.rs",
    "beam/sharing.rs",
    "beam/taking.rs",
    "send/mod.rs",
    "send/parcel.rs",
    "send/transfer.rs",
    "send/body.rs",
];
