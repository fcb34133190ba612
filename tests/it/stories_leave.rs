//! Story 12 of product.md: the owner leaves konpo for another system.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use http::StatusCode;
use konpo::track::TrackId;
use konpo::units::UnixTime;
use serde_json::{Value, json};

use crate::api::{Bench, Who, shelve};
use crate::mint;

/// Every file below a folder, konpo's own left out.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_file() {
                found.push(path);
            } else if entry.file_name() != ".konpo" {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

async fn items(bench: &mut Bench, path: &str) -> Vec<Value> {
    let (status, list) = bench.ask(Who::Owner, "GET", path, None).await;
    assert_eq!(status, StatusCode::OK, "{path}: {list}");
    let items = list["items"].as_array().cloned().unwrap_or_default();
    assert_eq!(list["total"].as_u64(), Some(items.len() as u64), "{path}");
    items
}

async fn done(bench: &mut Bench, method: &str, path: &str, body: Option<Value>) {
    let (status, answer) = bench.ask(Who::Owner, method, path, body).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{method} {path}: {answer}");
}

/// A box with a life behind it: bought music, a locked song, plays, a favourite, corrections, a playlist, something deleted.
/// Returns the plays.
async fn lived_in(bench: &mut Bench, music: &Path) -> Vec<(String, i64)> {
    shelve(&bench.library, 1, "plus.m4a", &mint::itunes_plus()).await;
    shelve(&bench.library, 2, "locked.wma", &mint::wm_drm("http://licence.example/")).await;
    shelve(&bench.library, 3, "tone.flac", &mint::data("tone.flac")).await;
    shelve(&bench.library, 4, "amazon.mp3", &mint::amazon()).await;
    shelve(&bench.library, 5, "tone.ogg", &mint::data("tone.ogg")).await;
    // Somebody else in the house bought the first song as well.
    let other = mint::atom(&mint::data("tone-aac.m4a"), b"apID", 1, SECOND_BUYER.as_bytes());
    shelve(&bench.library, 6, "second.m4a", &other).await;
    let song = files(music)
        .into_iter()
        .find(|path| path.extension().is_some_and(|e| e == "flac"))
        .expect("it lies there");
    let song = song.strip_prefix(music).expect("below").to_string_lossy().into_owned();
    let list = format!("#EXTM3U\n#EXTINF:-1,A station\nhttp://radio.example/x\n../{song}\n");
    std::fs::write(music.join("Playlists/夜.m3u8"), list).expect("written");
    bench.library.start_scanning().expect("started");
    let begun = Instant::now();
    while items(bench, "/api/library/playlists").await.first().is_none_or(|list| list["tracks"] != 1) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the playlist was not read");
        tokio::task::yield_now().await;
    }
    let mut plays = Vec::new();
    for (at, track) in [(1_700_000_000, 3), (1_700_000_300, 1), (1_700_000_200, 3)] {
        bench.library.note_play(TrackId(track), UnixTime(at)).await.expect("noted");
        plays.push((UnixTime(at).rfc3339(), track));
    }
    done(bench, "PUT", "/api/tracks/3/favourite", None).await;
    done(bench, "PUT", "/api/tracks/4/favourite", None).await;
    let words = json!({ "title": "Say \"hello\", again", "artist": "歌手", "album": null, "year": 1999 });
    done(bench, "PUT", "/api/tracks/3/correction", Some(words)).await;
    let several = json!({ "ids": [1, 4], "set": { "genre": ["演歌", "Pop"], "compilation": true } });
    done(bench, "POST", "/api/corrections", Some(several)).await;
    done(bench, "POST", "/api/corrections", Some(json!({ "ids": [4], "clear": ["compilation"] }))).await;
    done(bench, "DELETE", "/api/tracks/5", None).await;
    plays
}

const SECOND_BUYER: &str = "ken@example.com";

/// Runs `konpo export` beside the running box.
fn export(folder: &Path, to: &Path) -> Value {
    let ran = Command::new(env!("CARGO_BIN_EXE_konpo"))
        .args(["export", "--all", "--leave", "--receipts", "--json", "--music"])
        .arg(folder.join("music"))
        .arg("--data")
        .arg(folder.join("data"))
        .arg(to)
        .env("HOME", folder)
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("STATE_DIRECTORY")
        .output()
        .expect("run");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_leaves_konpo_for_another_system() {
    let mut bench = Bench::new().await.expect("started");
    let folder = bench.folder.path().to_owned();
    let music = folder.join("music");
    let plays = lived_in(&mut bench, &music).await;
    let tracks = items(&mut bench, "/api/library/tracks").await;
    let told = json!({
        "purchases": items(&mut bench, "/api/purchases").await,
        "favourites": items(&mut bench, "/api/library/favourites").await,
        "played": items(&mut bench, "/api/library/played").await,
        "corrected": tracks.iter().filter(|track| track["corrected"].is_object()).collect::<Vec<_>>(),
        "plays": plays,
    });
    let told_at = folder.join("told.json");
    std::fs::write(&told_at, told.to_string()).expect("written");

    let to = folder.join("elsewhere");
    let written = export(&folder, &to);
    assert_eq!(written["left_out"], 1, "{written}");
    // Every file that may leave is there with its bytes, under its name.
    let (mut same, mut locked) = (0, 0);
    for file in files(&music) {
        let below = file.strip_prefix(&music).expect("below");
        if below.starts_with("Playlists") {
            continue;
        }
        if file.extension().is_some_and(|extension| extension == "wma") {
            assert!(!to.join(below).exists(), "a locked file left");
            locked += 1;
            continue;
        }
        let left =
            std::fs::read(to.join(below)).unwrap_or_else(|error| panic!("{}: {error}", below.display()));
        assert!(left == std::fs::read(&file).expect("there"), "{}", below.display());
        same += 1;
    }
    assert_eq!((same, locked), (3, 1));
    let reasons = std::fs::read_to_string(to.join("LEFT-OUT.txt")).expect("there");
    assert!(reasons.contains("Protected by Windows Media. Burn it to an audio CD"), "{reasons}");

    // A stranger's program, which knows the README only, finds all that the API told.
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/stranger.py");
    let ran =
        Command::new("python3").arg(script).arg(&to).arg(&told_at).output().expect("python3 is installed");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let found: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(
        (&found["plays"], &found["favourites"], &found["corrections"], &found["trashed"], &found["lists"]),
        (&json!(3), &json!(2), &json!(7), &json!([5]), &json!([["夜.m3u8", 2]])),
        "{found}"
    );
    assert_eq!(found["arrived"], json!([1, 2, 3, 4, 5]));
    assert!(found["purchases"].as_u64() >= Some(2), "{found}");

    // Once more: everything is there already.
    let again = export(&folder, &to);
    assert_eq!((&again["files"], &again["left_out"]), (&json!(0), &json!(1)), "{again}");
    bench.end().await;
}
