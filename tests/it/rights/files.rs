//! What others are served of a file that names its buyer: nothing of the buyer, all of the rest.

use std::fs::{self, File};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use konpo::error::Kind;
use konpo::http::overlay::Overlay;
use konpo::media::blank::blanks;
use konpo::media::decode::{Block, Decoder, Samples};
use konpo::media::fingerprint::fingerprint;
use konpo::media::raw::RawValue;
use konpo::media::sniff::sniff;
use konpo::media::sound::Sound;
use konpo::media::tags;
use konpo::track::blank::Blank;
use serde_json::Value;

use super::fixtures::{Named, awkward, converted, of_rows, told, with_sum};
use crate::mint;

fn sound(bytes: &[u8], extension: &str) -> Sound {
    Sound::new(Cursor::new(bytes.to_vec()), Some(bytes.len() as u64), Some(extension))
}

/// The file in a folder, and as others may read it; `None` when they may not.
fn overlay(folder: &Path, name: &str, bytes: &[u8]) -> Option<Overlay> {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("room");
    let file = File::open(&path).expect("it is there");
    let extension = path.extension().and_then(|extension| extension.to_str());
    let mut sound = Sound::file(file.try_clone().expect("a second handle"), extension).expect("a file");
    let blanks = match blanks(&mut sound) {
        Ok(blanks) => blanks,
        Err(error) => {
            assert_eq!(error.kind(), Kind::NotAllowed, "{name}: {error}");
            assert_eq!(told(error.to_string().as_bytes()), [""; 0], "{error}");
            return None;
        }
    };
    assert!(blanks.windows(2).all(|pair: &[Blank]| pair[0].end() <= pair[1].offset.0), "{blanks:?}");
    let modified = file.metadata().and_then(|about| about.modified()).expect("a time");
    Some(Overlay::new(file, bytes.len() as u64, modified, None, blanks))
}

fn whole(overlay: &Overlay) -> Vec<u8> {
    let mut bytes = vec![0; overlay.size() as usize];
    let mut at = 0;
    while at < bytes.len() {
        let got = overlay.read_at(&mut bytes[at..], at as u64).expect("read");
        assert!(got > 0, "it ends at {at}");
        at += got;
    }
    bytes
}

fn all(folder: &Path) -> Vec<Named> {
    let all: Vec<Named> = of_rows().into_iter().chain(awkward()).chain(converted(folder)).collect();
    assert!(all.len() >= 60, "only {} files name a buyer", all.len());
    all
}

/// The samples of a file as konpo decodes them; `None` when it opens no decoder.
fn decoded(file: &Path) -> Option<Vec<u8>> {
    let extension = file.extension().and_then(|extension| extension.to_str());
    let mut sound = Sound::file(File::open(file).expect("it is there"), extension).expect("a file");
    let sniffed = sniff(&mut sound).expect("a file that konpo knows");
    let mut decoder = Decoder::open(sound, &sniffed).ok()?;
    let (mut all, mut block) = (Vec::new(), Block::default());
    while decoder.next(&mut block).expect("sound") {
        match &block.samples {
            Samples::Int(samples) => all.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
            Samples::Float(samples) => all.extend(samples.iter().flat_map(|sample| sample.to_le_bytes())),
        }
    }
    Some(all)
}

#[test]
fn nobody_else_reads_the_buyer_and_everybody_the_rest() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut served, mut refused, mut sounded) = (0, 0, 0);
    for Named { of, bytes, extension, served: may, sounds } in all(folder.path()) {
        let name = format!("file.{extension}");
        let found = overlay(folder.path(), &name, &bytes).map(|overlay| whole(&overlay));
        assert_eq!(found.is_some(), may, "{of}: whether others may read it");
        let Some(blanked) = found else {
            refused += 1;
            continue;
        };
        served += 1;
        assert_eq!(
            fs::read(folder.path().join(&name)).expect("it is there"),
            bytes,
            "{of}: the file was touched"
        );
        assert_ne!(blanked, bytes, "{of}: nothing was taken out");
        assert_eq!(told(&blanked), [""; 0], "{of}");
        let (mut before, mut after) = (sound(&bytes, &extension), sound(&blanked, &extension));
        let was = sniff(&mut before).expect("known");
        let is = sniff(&mut after).unwrap_or_else(|error| panic!("{of}: {error}"));
        assert_eq!(
            (&is.format, &is.audio, &is.protection),
            (&was.format, &was.audio, &was.protection),
            "{of}"
        );
        for tag in is.raw.iter().filter(|tag| tag.personal.is_some()) {
            let says_nothing = match &tag.value {
                RawValue::Text(text) => text.trim_matches([' ', '\0', 'ÿ']).is_empty(),
                RawValue::Bytes(bytes) => bytes.iter().all(|byte| matches!(byte, 0 | 0xff)),
                RawValue::Number(number) => *number == 0,
            };
            assert!(says_nothing, "{of}: {tag:?}");
        }
        // The sound is the same, and so are all other tags.
        let hash = |sound: &mut Sound, sniffed| fingerprint(sound, sniffed).ok();
        let same = (hash(&mut before, &was), hash(&mut after, &is));
        assert_eq!(same.0, same.1, "{of}: the payload differs");
        assert!(same.0.is_some() || !sounds, "{of} has no payload");
        let words = |sound: &mut Sound, sniffed| tags::read(sound, sniffed).map(|(tags, _)| tags);
        let tags = (words(&mut before, &was), words(&mut after, &is));
        match tags {
            (Ok(was), Ok(is)) => assert_eq!(is, was, "{of}: another tag differs"),
            (was, is) => assert!(was.is_err() && is.is_err(), "{of}: {was:?}, {is:?}"),
        }
        if sounds {
            let other = folder.path().join(format!("blanked.{extension}"));
            fs::write(&other, &blanked).expect("room");
            let samples = decoded(&folder.path().join(&name));
            assert!(samples.as_ref().is_some_and(|samples| !samples.is_empty()), "{of} makes no sound");
            assert!(decoded(&other) == samples, "{of} sounds otherwise");
            sounded += 1;
        }
    }
    assert!(
        served >= 50 && refused >= 3 && sounded >= 45,
        "{served} served, {refused} refused, {sounded} heard"
    );
    println!("{served} files served without their buyer, {refused} refused, {sounded} sound the same");
}

/// A few numbers that look like chance.
fn numbers(seed: u64) -> impl Iterator<Item = u64> {
    (1u64..).map(move |n| {
        let x = (n + seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x ^ x >> 27
    })
}

#[test]
fn any_range_is_the_slice_of_the_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    for (seed, Named { of, bytes, extension, .. }) in of_rows().into_iter().chain(awkward()).enumerate() {
        let Some(overlay) = overlay(folder.path(), &format!("file.{extension}"), &bytes) else { continue };
        let blanked = whole(&overlay);
        let changed: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] != blanked[at]).collect();
        assert!(!changed.is_empty(), "{of}: nothing was taken out");
        let len = bytes.len() as u64;
        let mut chance = numbers(seed as u64 * 1000);
        let mut next = move || chance.next().unwrap_or_default();
        for turn in 0..200 {
            // Half of them begin near a byte that is another one.
            let near = changed[next() as usize % changed.len()] as u64;
            let from = if turn % 2 == 0 { next() % len } else { (near + next() % 9).saturating_sub(4) };
            let mut part = vec![0x5a; 1 + (next() % 300) as usize];
            let got = overlay.read_at(&mut part, from).expect("read");
            let end = (from as usize + part.len()).min(bytes.len());
            assert_eq!(part[..got], blanked[(from as usize).min(end)..end], "{of}: {} at {from}", part.len());
        }
    }
}

#[test]
fn wounded_files_are_refused_or_blanked_within_their_bounds() {
    for (seed, Named { of, bytes, extension, .. }) in of_rows().into_iter().chain(awkward()).enumerate() {
        let mut chance = numbers(seed as u64 * 5000);
        let mut next = move || chance.next().unwrap_or_default() as usize;
        // Tags lie within these.
        let front = bytes.len().min(3000);
        for _ in 0..60 {
            let mut wounded = bytes.clone();
            for _ in 0..1 + next() % 4 {
                let at = if next() % 2 == 0 { next() % front } else { bytes.len() - 1 - next() % front };
                wounded[at] = next() as u8;
            }
            wounded.truncate(wounded.len() - next() % 2 * (next() % front));
            let Ok(found) = blanks(&mut sound(&wounded, &extension)) else { continue };
            let ordered = found.windows(2).all(|pair: &[Blank]| pair[0].end() <= pair[1].offset.0);
            let inside = found.iter().all(|blank| blank.end() <= wounded.len() as u64);
            assert!(ordered && inside, "{of}: {found:?} of {} bytes", wounded.len());
        }
    }
}

#[test]
fn the_sum_of_a_tag_is_that_of_what_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bytes, frames) = with_sum();
    let blanked = whole(&overlay(folder.path(), "sum.mp3", &bytes).expect("served"));
    let sum = !blanked[frames].iter().fold(u32::MAX, |sum, &byte| {
        (0..8).fold(
            sum ^ u32::from(byte),
            |sum, _| if sum & 1 != 0 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 },
        )
    });
    assert_ne!(blanked[20..24], bytes[20..24]);
    assert_eq!(blanked[20..24], sum.to_be_bytes());
}

#[test]
fn what_names_nobody_is_served_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let plain = [
        "tone.flac",
        "tone.mp3",
        "tone.ogg",
        "tone-aac.m4a",
        "tone-alac.m4a",
        "tone.aiff",
        "tone-he-aac.aac",
    ];
    for name in plain {
        let bytes = mint::data(name);
        let overlay = overlay(folder.path(), name, &bytes).unwrap_or_else(|| panic!("{name} is refused"));
        assert_eq!(whole(&overlay), bytes, "{name}");
    }
    let locked =
        [mint::itunes_locked(), mint::cenc(), mint::locks::copy_guarded(&mint::data("tone-aac.m4a"))];
    for bytes in locked {
        assert!(
            overlay(folder.path(), "locked.m4a", &bytes).is_none(),
            "a file that may not leave is served"
        );
    }
}

fn run(program: &str, arguments: &[&str], file: &Path) -> Option<String> {
    let output = Command::new(program).args(arguments).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is not installed: {error}"));
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Prints every tag that mutagen reads, without those whose value names nobody any more.
const MUTAGEN: &str = r#"
import json, sys, mutagen
for path in sys.argv[1:]:
    f = mutagen.File(path)
    found = {}
    tags = (f.tags if f is not None else None) or {}
    pairs = tags.items() if hasattr(tags, 'items') else list(tags)
    for key, value in pairs:
        found.setdefault(str(key), []).append(repr(value))
    print(json.dumps(found))
"#;

/// Whether a tag of this name may have lost its value: it named the buyer.
fn names_buyer(key: &str) -> bool {
    let key = key.to_ascii_uppercase();
    ["OWNER", "APID", "OWNR", "ACCOUNT", "PURCHASE_ORDER", "PRIV", "OWNE", "TOWN"].iter().any(|name| key.contains(name))
        // Frames whose own name was of the buyer's bytes.
        || key == "TXXX:" || key.starts_with("TXXX:\0")
}

/// The tags of a file that are not of its buyer, and what stands there in the form for others.
fn other_tags(was: &Value, is: &Value) -> Vec<(String, Value, Value)> {
    let pairs = was.as_object().into_iter().flatten();
    let others =
        pairs.filter(|(key, value)| !names_buyer(key) && told(value.to_string().as_bytes()).is_empty());
    others.map(|(key, value)| (key.clone(), value.clone(), is[key].clone())).collect()
}

#[test]
fn other_programs_read_the_same_sound_and_the_other_tags() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut files, mut names): (Vec<PathBuf>, Vec<String>) = (Vec::new(), Vec::new());
    for (number, Named { of, bytes, extension, sounds, .. }) in all(folder.path()).into_iter().enumerate() {
        let name = format!("{number}.{extension}");
        if let Some(overlay) = overlay(folder.path(), &name, &bytes).filter(|_| sounds) {
            let other = folder.path().join(format!("{number}.blanked.{extension}"));
            fs::write(&other, whole(&overlay)).expect("room");
            files.extend([folder.path().join(name), other]);
            names.push(of);
        }
    }
    let arguments: Vec<&str> = files.iter().filter_map(|file| file.to_str()).collect();
    let output = Command::new("/usr/bin/python3").args(["-c", MUTAGEN]).args(&arguments).output();
    let output = output.expect("python3-mutagen is installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let told: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(told.len(), files.len(), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut heard, mut tags) = (0, 0);
    for ((of, pair), told) in names.iter().zip(files.chunks_exact(2)).zip(told.chunks_exact(2)) {
        let decode = |file: &Path| {
            let file = file.to_str().expect("a plain name");
            run(
                "ffmpeg",
                &["-v", "error", "-xerror", "-nostdin", "-i", file, "-map", "0:a", "-f", "md5"],
                Path::new("-"),
            )
        };
        let (was, is) = (decode(&pair[0]), decode(&pair[1]));
        assert_eq!(is, was, "{of}: ffmpeg hears another sound");
        heard += usize::from(was.is_some());
        let probe = ["-v", "error", "-show_entries", "format_tags:stream_tags", "-of", "json"];
        let probed = |file: &Path| -> Value {
            serde_json::from_str(&run("ffprobe", &probe, file).unwrap_or_default()).unwrap_or_default()
        };
        let (was, is) = (probed(&pair[0]), probed(&pair[1]));
        let pairs = [
            ("ffprobe", &was["format"]["tags"], &is["format"]["tags"]),
            ("ffprobe", &was["streams"][0]["tags"], &is["streams"][0]["tags"]),
            ("mutagen", &told[0], &told[1]),
        ];
        for (reader, was, is) in pairs {
            for (key, was, is) in other_tags(was, is) {
                assert_eq!(is, was, "{of}: {reader} reads another {key}");
                tags += 1;
            }
        }
    }
    assert!(heard >= 45 && tags >= 60, "{heard} heard, {tags} tags compared");
    println!("ffmpeg hears the same in {heard} files; mutagen and ffprobe read the same {tags} other tags");
}
