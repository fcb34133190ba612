//! The facts that konpo reads from files of our own, held against what other programs read from the same files: mutagen,
//! exiftool, AtomicParsley and ffprobe. They need no network.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::mint::rows::{self, Row};
use crate::mint::{self, buys};

fn run(program: &str, arguments: &[&str], file: &Path) -> (bool, String, String) {
    let output = Command::new(program).args(arguments).arg(file).output();
    let output = output.unwrap_or_else(|error| panic!("{program} is not installed: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("room");
    path
}

/// What konpo says of a file.
fn konpo(file: &Path) -> Value {
    let (_, text, said) = run(env!("CARGO_BIN_EXE_konpo"), &["probe", "--json", "--personal"], file);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}: {text}{said}", file.display()))
}

/// The text of a fact by its place.
fn fact(told: &Value, place: &str) -> String {
    let buys = told["purchases"].as_array().into_iter().flatten();
    let mut facts = buys.flat_map(|buy| buy["evidence"].as_array().into_iter().flatten());
    let found = facts.find(|fact| fact["place"] == place).unwrap_or_else(|| panic!("no {place}: {told}"));
    found["text"].as_str().unwrap_or_default().to_owned()
}

/// Returns a number that is written in sixteens, or as its eight bytes, as one in tens, and anything else as it is.
fn in_digits(text: &str) -> String {
    let bytes: Vec<u8> = text.split(' ').map_while(|byte| byte.parse().ok()).collect();
    if let Ok(bytes) = <[u8; 8]>::try_from(bytes) {
        return u64::from_be_bytes(bytes).to_string();
    }
    let number = text.trim().trim_start_matches("hex ").strip_prefix("0x");
    let number = number.and_then(|digits| u64::from_str_radix(digits, 16).ok());
    number.map_or_else(|| text.to_owned(), |number| number.to_string())
}

/// A file with everything that the iTunes Store writes, clear or locked.
fn whole(file: &[u8]) -> Vec<u8> {
    let file = mint::atom(file, b"akID", 21, &[0]);
    let file = mint::atom(&file, b"atID", 21, &77u32.to_be_bytes());
    let file = mint::atom(&file, b"geID", 21, &27u32.to_be_bytes());
    let file = mint::atom(&file, b"xid ", 1, b"Label:isrc:JPX010700001");
    mint::atom(&file, b"cprt", 1, "℗ 2007 Label".as_bytes())
}

#[test]
fn exiftool_reads_the_same_purchase_in_the_boxes_of_the_store() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, bytes) in [("plus.m4a", mint::itunes_plus()), ("locked.m4p", mint::itunes_locked())] {
        let file = put(folder.path(), name, &whole(&bytes));
        let (done, text, said) = run("exiftool", &["-j", "-n"], &file);
        assert!(done, "{said}");
        let theirs: Value = serde_json::from_str::<Value>(&text).expect("JSON")[0].clone();
        let told = konpo(&file);
        let entry = if name == "plus.m4a" { "mp4:pinf" } else { "mp4:sinf" };
        let of_entry = |name: &str| format!("{entry}/{name}");
        for (their_name, place) in [
            ("UserID", of_entry("user")),
            ("UserName", of_entry("name")),
            ("TransactionID", of_entry("tran")),
            ("ItemID", of_entry("song")),
            ("AppleStoreAccount", "mp4:ilst/apID".into()),
            ("AppleStoreCountry", "mp4:ilst/sfID".into()),
            ("AppleStoreCatalogID", "mp4:ilst/cnID".into()),
            ("AlbumTitleID", "mp4:ilst/atID".into()),
            ("GenreID", "mp4:ilst/geID".into()),
            ("PlayListID", "mp4:ilst/plID".into()),
            ("Copyright", "mp4:ilst/cprt".into()),
        ] {
            let theirs = match &theirs[their_name] {
                Value::String(text) => text.clone(),
                Value::Null => panic!("{name}: exiftool has no {their_name}: {theirs}"),
                other => other.to_string(),
            };
            assert_eq!(fact(&told, &place), in_digits(&theirs), "{name}: {their_name}");
        }
        // Its own form of dates has colons in the day as in the hour.
        let date = theirs["PurchaseDate"].as_str().and_then(|date| date.split_once(' '));
        let date = date.map(|(day, hour)| format!("{} {hour}", day.replace(':', "-"))).unwrap_or_default();
        assert_eq!(told["purchases"][0]["bought_at"], date.as_str(), "{name}");
    }
}

#[test]
fn atomic_parsley_reads_the_same_atoms() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = put(folder.path(), "plus.m4a", &whole(&mint::itunes_plus()));
    let output =
        Command::new("AtomicParsley").arg(&file).arg("-t").output().expect("AtomicParsley is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = konpo(&file);
    let mut compared = 0;
    for name in ["apID", "ownr", "purd", "cnID", "atID", "geID", "plID", "sfID", "cprt", "xid "] {
        let start = format!("Atom \"{name}\" contains: ");
        let Some(theirs) = text.lines().find_map(|line| line.strip_prefix(&start)) else {
            continue;
        };
        let ours = fact(&told, &format!("mp4:ilst/{name}"));
        // It adds the country's or the genre's name to a number.
        assert!(in_digits(theirs).contains(&ours), "{name}: {theirs:?} is not {ours:?}");
        compared += 1;
    }
    assert!(compared >= 6, "AtomicParsley names {compared} atoms:\n{text}");
}

/// Prints what mutagen reads, by the places that konpo uses.
const MUTAGEN: &str = r#"
import json, sys, mutagen
for path in sys.argv[1:]:
    f = mutagen.File(path)
    found = {}
    def add(place, value): found.setdefault(place, []).append(value)
    kind = type(f).__name__
    pairs = f.tags or []
    for key, value in (pairs.items() if pairs and kind not in ('FLAC', 'OggVorbis') else pairs):
        if kind == 'MP4':
            for v in value:
                text = bytes(v).decode() if isinstance(v, bytes) else str(v)
                add('mp4:ilst/' + key.replace('\xa9', '©'), text)
        elif kind == 'MP3':
            name = value.FrameID
            if name == 'OWNE': add('OWNE', [value.price, value.date, value.seller])
            elif name == 'COMR': add('COMR', [value.price, value.valid_until, value.contact, value.seller])
            elif name == 'COMM': add('id3:COMM', value.text[0])
            elif name == 'USER': add('id3:USER', value.text)
            elif name == 'TXXX': add('id3:TXXX/' + value.desc, value.text[0])
            elif name == 'WXXX': add('id3:WXXX/' + value.desc, value.url)
            elif name.startswith('W'): add('id3:' + name, value.url)
            elif name.startswith('T'): add('id3:' + name, str(value.text[0]))
        elif kind in ('FLAC', 'OggVorbis'):
            add('vc:' + key.upper(), value)
    print(json.dumps(found))
"#;

/// What mutagen says of files, in their order.
fn mutagen(files: &[PathBuf]) -> Vec<Value> {
    // Another Python in front of Debian's does not have Debian's modules.
    let found = ["python3", "/usr/bin/python3"].iter().find_map(|python| {
        let output = Command::new(python).args(["-c", MUTAGEN]).args(files).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    });
    let text = found.expect("python3 with mutagen is installed and reads the files");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn mutagen_reads_the_same_facts_in_every_row() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut names, mut files) = (Vec::new(), Vec::new());
    for (number, row) in rows::all().into_iter().enumerate() {
        let Row { of, bytes, container, codec, .. } = row;
        let plain_mp4 = container == "mp4" && matches!(codec, "aac_lc" | "alac");
        if !row.buys.is_empty() && (plain_mp4 || matches!(container, "mpeg" | "flac" | "ogg")) {
            files.push(put(folder.path(), &format!("{number}.{}", extension(container)), &bytes));
            names.push(of);
        }
    }
    let mut compared = 0;
    let theirs = mutagen(&files);
    assert_eq!(theirs.len(), files.len());
    for ((of, file), theirs) in names.iter().zip(&files).zip(theirs) {
        let told = konpo(file);
        let facts = told["purchases"].as_array().into_iter().flatten();
        for fact in facts.flat_map(|buy| buy["evidence"].as_array().into_iter().flatten()) {
            let (place, text) =
                (fact["place"].as_str().unwrap_or_default(), fact["text"].as_str().unwrap_or_default());
            let found = &theirs[place];
            // Boxes, documents inside of frames and frames of a form of their own have other names there.
            if found.is_null() || text.is_empty() {
                continue;
            }
            let same = found.as_array().into_iter().flatten().any(|value| value.as_str() == Some(text));
            assert!(same, "{of}: {place} is {text:?}, and {found} to mutagen");
            compared += 1;
        }
    }
    assert!(compared >= 80, "only {compared} facts were compared");
    println!("{compared} facts are the same to mutagen");
}

fn extension(container: &str) -> &str {
    match container {
        "mp4" => "m4a",
        "mpeg" => "mp3",
        "ogg" => "ogg",
        other => other,
    }
}

#[test]
fn mutagen_reads_the_same_receipt() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = buys::mp3(&[buys::ownership("JPY250", "20080717", "mora"), buys::offer()]);
    let file = put(folder.path(), "owned.mp3", &bytes);
    let theirs = mutagen(std::slice::from_ref(&file)).remove(0);
    assert_eq!(theirs["OWNE"][0], serde_json::json!(["JPY250", "20080717", "mora"]));
    let wanted = serde_json::json!(["JPY250", "20301231", "http://shop.example/", "Shop"]);
    assert_eq!(theirs["COMR"][0], wanted);
    let told = konpo(&file);
    let buy = &told["purchases"][0];
    assert_eq!(
        (&buy["store"], &buy["price"], &buy["bought_at"]),
        (&"mora".into(), &"JPY 250".into(), &"2008-07-17".into())
    );
    assert_eq!(fact(&told, "id3:COMR"), "JPY250, until 2030-12-31, http://shop.example/, Shop");
}

#[test]
fn ffprobe_sees_the_locks_and_the_same_shape() {
    let folder = tempfile::tempdir().expect("a folder");
    let entries = "stream=codec_name,codec_tag_string,sample_rate,channels:format=format_name";
    let probe = |file: &Path| run("ffprobe", &["-v", "error", "-show_entries", entries, "-of", "json"], file);
    let locked = put(folder.path(), "locked.m4p", &mint::itunes_locked());
    let (_, text, _) = probe(&locked);
    let theirs: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(theirs["streams"][0]["codec_tag_string"], "drms", "{theirs}");
    assert_eq!(konpo(&locked)["code"], "drm.fairplay");
    // A protected OpenMG file is refused by both.
    let openmg = put(
        folder.path(),
        "a.oma",
        &mint::locks::oma(1, 1, 0, 0x2030, &["OMG_LSI"], &mint::locks::silence(40)),
    );
    let (_, text, said) = probe(&openmg);
    assert!(!text.contains("codec_name") || !said.is_empty(), "{text}{said}");
    assert_eq!(konpo(&openmg)["code"], "drm.openmg");
    let mut compared = 0;
    for (number, row) in rows::all().into_iter().enumerate() {
        let plain = matches!(
            row.codec,
            "aac_lc" | "alac" | "mp3" | "flac" | "vorbis" | "atrac3" | "pcm" | "dsd" | "tta"
        );
        if !row.code.is_empty()
            || !plain
            || !row.buys.is_empty()
            || row.container == "oma" && row.codec == "mp3"
        {
            continue;
        }
        let file = put(folder.path(), &format!("{number}.bin"), &row.bytes);
        let (_, text, _) = probe(&file);
        // What it cannot open it leaves without an end.
        let Ok(theirs) = serde_json::from_str::<Value>(&text) else { continue };
        let stream = &theirs["streams"][0];
        let told = konpo(&file);
        // One-bit sound is counted at the rate that konpo makes of it; what ffprobe does not know has no rate.
        let Some(rate) = stream["sample_rate"].as_str().filter(|_| row.codec != "dsd") else { continue };
        let Some(ours) = told["format"]["rate"].as_u64() else { continue };
        assert_eq!(ours.to_string(), rate, "{}: {theirs}", row.of);
        assert_eq!(told["format"]["channels"], stream["channels"], "{}: {theirs}", row.of);
        compared += 1;
    }
    assert!(compared >= 40, "only {compared} files were compared");
    println!("{compared} files have the same rate and channels to ffprobe");
}
