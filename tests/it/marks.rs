//! Every mark of a store and every lock of the reference, as `konpo probe` tells them: one row each.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::formats::sounds::{ffmpeg, folder};
use crate::mint::rows::{self, Row};

/// Returns what `konpo probe` prints of each file, in the order of the files.
fn probed(files: &[PathBuf], options: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_konpo"))
        .args(["probe", "--json"])
        .args(options)
        .args(files)
        .output()
        .expect("konpo starts");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn written(folder: &Path, rows: &[Row]) -> Vec<PathBuf> {
    let write = |(number, row): (usize, &Row)| {
        let path = folder.join(format!("{number:03}.{}", row.extension));
        std::fs::write(&path, &row.bytes).expect("room");
        path
    };
    rows.iter().enumerate().map(write).collect()
}

#[test]
fn every_row_of_the_reference_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = rows::all();
    let told = probed(&written(folder.path(), &rows), &["--personal"]);
    assert_eq!(told.len(), rows.len());
    let wrong: Vec<String> = rows.iter().zip(&told).flat_map(|(row, told)| differences(row, told)).collect();
    assert!(wrong.is_empty(), "{} of {} rows:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
    assert!(rows.len() >= 200, "only {} rows", rows.len());
    println!("{} rows of the reference are told as it says", rows.len());
}

fn differences(row: &Row, told: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut differ = |what: &str, found: String, wanted: String| {
        if found != wanted {
            wrong.push(format!("{}: {what} is {found}, not {wanted}: {}", row.of, told["error"]));
        }
    };
    differ("container", told["container"].as_str().unwrap_or_default().into(), row.container.into());
    let codec = told["codec"].as_str().unwrap_or_default();
    differ("codec", codec.into(), row.codec.into());
    let no_decoder = row.code.is_empty() && row.codec == "other";
    let code = if no_decoder { "unsupported.codec" } else { row.code };
    differ("code", told["code"].as_str().unwrap_or_default().into(), code.into());
    let plays_here = told["protection"]["kind"] == "carrier_copy_guard";
    let verdict = match row.code {
        "" if no_decoder => "no decoder",
        "" => "plays",
        _ if plays_here => "stays here",
        _ => "locked",
    };
    differ("verdict", told["verdict"].as_str().unwrap_or_default().into(), verdict.into());
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let buys: Vec<(String, String)> = told["purchases"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|buy| (word(&buy["store"]), word(&buy["level"])))
        .collect();
    let wanted: Vec<(String, String)> = row.buys.iter().map(|(s, l)| ((*s).into(), (*l).into())).collect();
    differ("what was bought", format!("{buys:?}"), format!("{wanted:?}"));
    differ("personal", told["has_personal"].to_string(), row.personal.to_string());
    for (name, value) in &row.facts {
        let first = &told["purchases"][0];
        let found = match *name {
            "protection" => {
                let all = told["protection"].to_string();
                if all.contains(value) { (*value).to_owned() } else { all }
            }
            place if place.contains(':') => {
                let facts = first["evidence"].as_array().into_iter().flatten();
                facts.filter(|fact| fact["place"] == place).map(|fact| word(&fact["text"])).collect()
            }
            field => word(&first[field]),
        };
        differ(name, found, (*value).to_owned());
    }
    wrong
}

#[test]
fn who_bought_is_not_shown_unless_asked_and_where_it_lies_is_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = rows::all();
    let files = written(folder.path(), &rows);
    let names = ["user@example.com", "Hanako", "777001", "T-9", "U-1", "A-1", "4711"];
    let mut found = 0;
    for (row, told) in rows.iter().zip(probed(&files, &[])) {
        let shown = told.to_string();
        for name in names {
            assert!(!shown.contains(name), "{}: {name} is shown: {shown}", row.of);
        }
        // Blanked where konpo says, nothing of the buyer is left in the file.
        let mut bytes = row.bytes.clone();
        for place in told["personal"].as_array().into_iter().flatten() {
            let (offset, length) = (place["offset"].as_u64(), place["length"].as_u64());
            let (from, count) = (offset.expect("a number") as usize, length.expect("a number") as usize);
            bytes[from..from + count].fill(0);
            found += 1;
        }
        for name in ["user@example.com", "Hanako Yamada", "<UID"] {
            let left = bytes.windows(name.len()).any(|window| window == name.as_bytes());
            assert!(!left, "{}: {name} is left in the file", row.of);
        }
    }
    assert!(found >= 40, "only {found} places");
}

#[test]
fn words_for_a_person_say_what_it_is_and_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = |bytes: &[u8], options: &[&str]| {
        let path = folder.path().join("song");
        std::fs::write(&path, bytes).expect("room");
        let mut command = Command::new(env!("CARGO_BIN_EXE_konpo"));
        let output = command.arg("probe").args(options).arg(&path).output().expect("konpo starts");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let locked = said(&crate::mint::itunes_locked(), &[]);
    for words in [
        "AAC in MP4, 44100 Hz, 2 channels",
        "Locked: Bought from iTunes with copy protection [drm.fairplay]",
        "Download the protection-free version",
        "Bought at itunes (JP), 2007-10-16 12:34:56 [embedded: the store wrote it into the file]",
        "item 123456, album 9000000001",
        "The file tells who bought it; `--personal` shows it",
    ] {
        assert!(locked.contains(words), "{words:?} is not said:\n{locked}");
    }
    assert!(!locked.contains("user@example.com") && !locked.contains("4711"), "{locked}");
    let asked = said(&crate::mint::itunes_locked(), &["--personal"]);
    assert!(asked.contains("account user@example.com") && asked.contains("(account 4711)"), "{asked}");
    let plain = said(&crate::mint::data("tone.flac"), &[]);
    assert!(
        plain.contains("FLAC in FLAC, 44100 Hz, 2 channels, 16 bits") && plain.contains("Not protected"),
        "{plain}"
    );
    assert!(!plain.contains("who bought"), "{plain}");
    let claimed = crate::mint::buys::mp3(&[crate::mint::frame(b"WCOM", b"https://mora.jp/package/1")]);
    assert!(said(&claimed, &[]).contains("[claimed: a mark that anybody can write]"));
}

#[test]
fn what_ffmpeg_makes_is_told() {
    let (_folder, wav, _) = folder(44_100, 22_050);
    let key = "00112233445566778899aabbccddeeff";
    let cenc =
        ["-c:a", "aac", "-encryption_scheme", "cenc-aes-ctr", "-encryption_key", key, "-encryption_kid", key];
    let plain = [
        ("flac", &["-c:a", "flac"][..], "flac", "flac"),
        ("alac.m4a", &["-c:a", "alac"], "mp4", "alac"),
        ("aac.m4a", &["-c:a", "aac"], "mp4", "aac_lc"),
        ("mp3", &["-c:a", "libmp3lame"], "mpeg", "mp3"),
        ("opus", &["-c:a", "libopus"], "ogg", "opus"),
        ("ogg", &["-c:a", "libvorbis"], "ogg", "vorbis"),
        ("wv", &["-c:a", "wavpack"], "wavpack", "wav_pack"),
        ("aiff", &["-c:a", "pcm_s16be"], "aiff", "pcm"),
        ("wma", &["-c:a", "wmav2"], "asf", "wma"),
        ("tta", &["-c:a", "tta"], "tta", "tta"),
        ("3gp", &["-c:a", "aac", "-f", "3gp"], "mp4", "aac_lc"),
        ("3g2", &["-c:a", "aac", "-f", "3g2"], "mp4", "aac_lc"),
        ("cenc.mp4", &cenc, "mp4", "aac_lc"),
    ];
    let files: Vec<PathBuf> = plain.iter().map(|(extension, ..)| wav.with_extension(extension)).collect();
    for ((_, args, ..), file) in plain.iter().zip(&files) {
        ffmpeg(&wav, args, file);
    }
    for ((name, _, container, codec), told) in plain.iter().zip(probed(&files, &[])) {
        assert_eq!(
            (&told["container"], &told["codec"]),
            (&json!(container), &json!(codec)),
            "{name}: {told}"
        );
        let locked = *name == "cenc.mp4";
        assert_eq!(told["verdict"], if locked { "locked" } else { "plays" }, "{name}: {told}");
        assert_eq!(told["code"], if locked { json!("drm.cenc") } else { Value::Null }, "{name}: {told}");
        assert_eq!(told["purchases"], json!([]), "{name}");
    }
}
