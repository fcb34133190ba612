//! Files that rotted on the shelf, through the whole box: a notice at most, and always the next track.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::fixtures::{Random, noise};
use crate::support::konpo::Konpo;
use crate::support::net::Lan;
use crate::support::{shelf, wait_for};
use crate::wounds::{fixtures, lies};

/// Line g of step 4: every file is taken in whole, then hurt where it lies and played, a healthy one
/// behind it.
#[test]
fn a_rotten_file_is_followed_by_the_next_track() {
    let lan = Lan::new();
    let konpo = Konpo::start(&lan.host("hifi"), "[output]\ndevice = \"silent\"\nvolume = \"fixed\"\n");
    let (good, files) = shelved(&konpo);
    let mut random = Random(0x726f_7474);
    let seen = notices(&konpo).last().map_or(0, |(number, _)| *number);
    let rounds = if crate::support::all() { 20 } else { 1 };
    let (mut played, mut broke) = (0, 0);
    let mut check = |what: &str, of: &Shelved, bytes: &[u8]| {
        let (heard, told) = follows(&konpo, what, of, bytes, &good);
        played += u64::from(heard);
        broke += u64::from(told);
    };
    for _ in 0..rounds {
        for (name, of) in &files {
            let keep = (of.bytes.len() as u64 / 20 + random.below(of.bytes.len() as u64 * 19 / 20)) as usize;
            check(&format!("{name} cut at {keep}"), of, &of.bytes[..keep]);
            let mut flipped = of.bytes.clone();
            for _ in 0..1 + random.below(12) {
                // Heads are hurt more often than sound.
                let place = random.below(1 << 20) as f64 / f64::from(1 << 20);
                let at = (place.powi(3) * flipped.len() as f64) as usize;
                flipped[at] ^= 1 << random.below(8);
            }
            check(&format!("{name} with flipped bits"), of, &flipped);
        }
    }
    for (n, (extension, bytes)) in lies().iter().enumerate() {
        check(&format!("lie {n}, {extension}"), &files[*extension], bytes);
    }
    konpo.tell(&json!("stop"));
    let told = notices(&konpo).into_iter().filter(|(number, _)| *number > seen).count();
    println!(
        "{played} rotten files were heard as far as they go, of {broke} the box told; {told} notices are kept"
    );
    // Some are hurt beyond all sound.
    assert!(broke > 0 && told > 0 && played > 0);
}

/// A file on the shelf.
struct Shelved {
    id: i64,
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Lays one whole file of every format and a healthy track on the shelf; returns the healthy one, and the others by their
/// extension.
fn shelved(konpo: &Konpo) -> (Shelved, BTreeMap<String, Shelved>) {
    let aside = tempfile::tempdir().expect("a folder");
    let mut names = HashMap::new();
    let mut lay = |name: &str, bytes: &[u8]| {
        names.insert(shelf::sum(bytes), name.to_owned());
        let path = aside.path().join(format!("Song {}.{name}", name.replace('.', " ")));
        fs::write(&path, bytes).expect("a file");
        konpo.drop_in(&path);
    };
    fixtures().iter().for_each(|(extension, bytes)| lay(extension, bytes));
    // It need not end: what follows a rotten file is cut off when it is heard.
    lay("healthy.wav", &noise(3, 44_100, 16, 44_100 * 30).wav());
    let (tracks, _) = wait_for("every file is on the shelf", Duration::from_secs(120), || {
        Some(konpo.tracks()).filter(|tracks| tracks.len() == names.len())
    });
    let paths: HashMap<String, PathBuf> = shelf::files(&konpo.music())
        .into_iter()
        .map(|(path, hash)| (hash, konpo.music().join(path)))
        .collect();
    let mut files = BTreeMap::new();
    for track in tracks {
        let hash = track["sha256"].as_str().expect("a hash").to_owned();
        let (name, path) = (names[&hash].clone(), paths[&hash].clone());
        let bytes = fs::read(&path).expect("it is there");
        files.insert(name, Shelved { id: track["id"].as_i64().expect("an id"), path, bytes });
    }
    (files.remove("healthy.wav").expect("it is there"), files)
}

/// Hurts a file that is in the queue, plays it and the healthy one behind it, and heals it; returns whether it was heard at
/// all, and whether the box told of it.
fn follows(konpo: &Konpo, what: &str, rotten: &Shelved, bytes: &[u8], good: &Shelved) -> (bool, bool) {
    konpo.tell(&json!("clear"));
    let entries: Vec<Value> = [rotten.id, good.id].iter().map(|id| json!({"what": {"shelf": id}})).collect();
    konpo.tell(&json!({"add": {"entries": entries}}));
    let before = konpo.get("/api/state");
    let told = notices(konpo).last().map_or(0, |(number, _)| *number);
    let (first, last) = (&before["queue"][0]["id"], &before["queue"][1]["id"]);
    fs::write(&rotten.path, bytes).expect("hurt");
    konpo.tell(&json!({ "play": first }));
    let begun = Instant::now();
    let mut longer = Some(json!("next"));
    let (after, took) = wait_for(&format!("the track behind {what}"), Duration::from_secs(20), || {
        let state = konpo.get("/api/state");
        // A rate that lies makes a short file long; then a key must help.
        if begun.elapsed() > LONG
            && state["current"] == *first
            && let Some(next) = longer.take()
        {
            konpo.tell(&next);
        }
        let sounds = state["transport"] == "playing" && state["position_ms"].as_u64() > Some(0);
        (state["current"] == *last && sounds).then_some(state)
    });
    fs::write(&rotten.path, &rotten.bytes).expect("healed");
    let heard = after["starts"].as_u64() > before["starts"].as_u64().map(|starts| starts + 1);
    // What was said last is not said again.
    let told = notices(konpo)
        .last()
        .is_some_and(|(number, words)| *number > told || (!heard && words.contains("cannot be played")));
    assert!(heard || told, "{what} is passed over without a word");
    println!("{what}: {:.1} s{}", took.as_secs_f64(), if told { ", told" } else { "" });
    (heard, told)
}

/// Returns the notices that are kept, by number.
fn notices(konpo: &Konpo) -> Vec<(u64, String)> {
    let state = konpo.get("/api/state");
    let all = state["notices"].as_array().expect("a list").clone();
    all.iter().map(|it| (it["number"].as_u64().expect("a number"), it["words"].to_string())).collect()
}

/// Longer than every whole file.
const LONG: Duration = Duration::from_secs(5);
