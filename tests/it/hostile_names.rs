//! Names that mean harm, through every way in that the page's port has, and in archives: refused, or taken under a name that
//! is one; nothing is written beside the staging folder, the trash and the shelf. LocalSend's way is held against the same
//! names in its own tests.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use futures_util::future::join_all;
use http::{Request, header};
use http_body_util::BodyExt;
use konpo::http::server::PeerCred;
use konpo::media::archive;
use serde_json::Value;
use tower_service::Service;
use unicode_normalization::is_nfc;

use crate::api::Bench;

#[path = "../support/hostile_names.rs"]
mod names;

/// Asks as the owner, over a router of its own.
async fn ask(
    app: &axum::Router,
    method: &str,
    path: &str,
    more: &[(&str, &str)],
    body: Vec<u8>,
) -> (u16, String, String) {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    let length = body.len().to_string();
    let mut request =
        request.header(header::CONTENT_LENGTH, length).body(Body::from(body)).expect("a request");
    request.extensions_mut().insert(PeerCred { uid: 0, gid: 0 });
    let response = app.clone().call(request).await.expect("infallible");
    let status = response.status().as_u16();
    let at = response.headers().get(header::LOCATION).and_then(|at| at.to_str().ok()).unwrap_or_default();
    let at = at.to_owned();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned(), at)
}

fn percent(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let three = |three: &[u8]| {
        let value =
            three.iter().enumerate().fold(0_u32, |bits, (at, &byte)| bits | u32::from(byte) << (16 - 8 * at));
        let letter = |at: usize| {
            if at > three.len() { '=' } else { letters[(value >> (18 - 6 * at) & 63) as usize] as char }
        };
        (0..4).map(letter).collect::<String>()
    };
    bytes.chunks(3).map(three).collect()
}

/// The body of a form with these files, as bytes: names are written as browsers do, with `"` and line breaks as they are
/// escaped there (WHATWG HTML, 4.10.21.8).
fn form(names: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::new();
    for name in names {
        let name: Vec<u8> = name
            .iter()
            .flat_map(|byte| match byte {
                b'"' => b"%22".to_vec(),
                b'\r' => b"%0D".to_vec(),
                b'\n' => b"%0A".to_vec(),
                other => vec![*other],
            })
            .collect();
        body.extend_from_slice(b"--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"");
        body.extend_from_slice(&name);
        body.extend_from_slice(b"\"\r\n\r\nx\r\n");
    }
    body.extend_from_slice(b"--XX--\r\n");
    body
}

/// An archive of stored files (PKWARE APPNOTE 4.3.7, 4.3.12, 4.3.16); names that are UTF-8 are marked so.
fn zip(files: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let (mut all, mut list) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let at = all.len() as u32;
        let mark: u16 = if std::str::from_utf8(name).is_ok() { 1 << 11 } else { 0 };
        let mut facts = Vec::new();
        for word in [20, mark, 0, 0, 0x5a21] {
            facts.extend_from_slice(&word.to_le_bytes());
        }
        for long in [crc(bytes), bytes.len() as u32, bytes.len() as u32] {
            facts.extend_from_slice(&long.to_le_bytes());
        }
        facts.extend_from_slice(&(name.len() as u16).to_le_bytes());
        facts.extend_from_slice(&[0, 0]);
        all.extend([b"PK\x03\x04", &facts[..], name, bytes].concat());
        let place = [&[0; 4][..], &0o100_644_u32.wrapping_shl(16).to_le_bytes(), &at.to_le_bytes()].concat();
        list.extend([b"PK\x01\x02", &[20, 3][..], &facts, &[0, 0], &place[..], name].concat());
    }
    let (count, size, at) = (files.len() as u16, list.len() as u32, all.len() as u32);
    let end = [
        &[0; 4][..],
        &count.to_le_bytes(),
        &count.to_le_bytes(),
        &size.to_le_bytes(),
        &at.to_le_bytes(),
        &[0, 0],
    ];
    [&all[..], &list, b"PK\x05\x06", &end.concat()].concat()
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Everything below a folder, links not followed.
fn everything(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let kind = entry.file_type().expect("a kind");
        assert!(
            kind.is_dir() || kind.is_file() || entry.path().ends_with("lock"),
            "{:?} is {kind:?}",
            entry.path()
        );
        if kind.is_dir() {
            found.extend(everything(&entry.path()));
        }
        found.insert(entry.path());
    }
    found
}

/// Holds the name of a file on the shelf against the rule of names (design, "On disk", Path).
fn is_a_name(path: &Path) {
    for part in path.components() {
        let Component::Normal(part) = part else { panic!("{path:?}") };
        let part = part.to_str().unwrap_or_else(|| panic!("{path:?} is no UTF-8"));
        assert!(part.len() <= 200 && is_nfc(part), "{path:?}");
        assert!(
            !part.contains(|letter: char| letter.is_control() || "\\/:*?\"<>|".contains(letter)),
            "{path:?}"
        );
        assert!(!part.starts_with(['.', ' ']) && !part.ends_with(['.', ' ']), "{path:?}");
        let stem = part.split('.').next().unwrap_or_default().to_ascii_uppercase();
        assert!(!["CON", "PRN", "AUX", "NUL", "COM1", "LPT9"].contains(&stem.as_str()), "{path:?}");
        assert!(!part.contains(['\u{202e}', '\u{2066}', '\u{200b}', '\u{feff}']), "{path:?}");
    }
}

/// Of the odd names so many as one way gets: a third of them, and each another one, unless it is the long form.
fn share(way: usize) -> Vec<Vec<u8>> {
    let all = std::env::var_os("KONPO_ALL").is_some();
    let odd = all_bytes().into_iter().enumerate();
    odd.filter(|(n, _)| all || n % 3 == way % 3).map(|(_, name)| name).collect()
}

fn all_bytes() -> Vec<Vec<u8>> {
    names::odd().into_iter().map(String::into_bytes).chain(names::bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_elsewhere_are_refused_by_every_way() {
    let bench = Bench::new().await.expect("started");
    let (climbing, before) = (names::climbing(), everything(bench.folder.path()));
    assert!(climbing.len() + all_bytes().len() >= 500, "{} and {}", climbing.len(), all_bytes().len());
    for name in &climbing {
        let path = format!("/beam?name={}", percent(name.as_bytes()));
        let (status, words, _) = ask(&bench.app, "POST", &path, &[], b"x".to_vec()).await;
        // Without a name it is called by us.
        assert!(status == 400 || (name.is_empty() && status == 415), "{name:?}: {status} {words}");
        let said = format!("filename {}", base64(name.as_bytes()));
        let head = [("tus-resumable", "1.0.0"), ("upload-length", "1"), ("upload-metadata", said.as_str())];
        let (status, words, _) = ask(&bench.app, "POST", "/api/uploads", &head, Vec::new()).await;
        assert!(status == 400 || (name.is_empty() && status == 201), "{name:?}: {status} {words}");
        let archive =
            zip(&[(b"good.wav".to_vec(), b"x".to_vec()), (name.clone().into_bytes(), b"x".to_vec())]);
        let listed = archive::directory(&mut Cursor::new(archive));
        // An entry that ends as a folder does is one, and a folder is never made; one without a name leads nowhere.
        assert!(
            listed.is_err() || name.ends_with(['/', '\\']) || name == "a//b.wav" || is_only_shown(name),
            "{name:?}: {listed:?}"
        );
    }
    let files: Vec<Vec<u8>> =
        climbing.iter().filter(|name| !quoted(name)).map(|name| name.clone().into_bytes()).collect();
    let head = [("content-type", "multipart/form-data; boundary=XX"), ("accept", "application/json")];
    let (status, words, _) = ask(&bench.app, "POST", "/beam", &head, form(&files)).await;
    let json: Value = serde_json::from_str(&words).unwrap_or_default();
    let items = json["items"].as_array().cloned().unwrap_or_default();
    // A line break is told by three letters there, which lead nowhere.
    let taken: Vec<&Value> =
        items.iter().filter(|item| item["code"] != "refused").map(|item| &item["file"]).collect();
    assert!(status < 500 && items.len() == files.len(), "{status}: {} of {}", items.len(), files.len());
    assert!(taken.iter().all(|file| file.as_str().is_some_and(|file| file.contains('%'))), "{taken:?}");
    let after = everything(bench.folder.path());
    let fresh: Vec<&PathBuf> =
        after.difference(&before).filter(|path| !is_ours(bench.folder.path(), path)).collect();
    assert!(fresh.is_empty(), "{fresh:?}");
    bench.end().await;
}

/// No name at all is no file there, and a stroke before the closing quote is read as a part of the name.
fn quoted(name: &str) -> bool {
    name.is_empty() || name.ends_with('\\')
}

/// Controls in an archive's names are told without them, for archives are made by programs that know no rules; what is left
/// leads nowhere.
fn is_only_shown(name: &str) -> bool {
    name.contains(char::is_control)
        && !name.split(['/', '\\']).any(|part| part.trim_matches(['.', ' ', '\0']).is_empty())
}

/// What konpo itself writes meanwhile: its hidden folder and its databases.
fn is_ours(folder: &Path, path: &Path) -> bool {
    path.starts_with(folder.join("music/.konpo")) || path.starts_with(folder.join("data"))
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_names_are_mended_or_refused_and_lie_where_names_may() {
    let bench = Bench::new().await.expect("started");
    let folder = bench.folder.path().to_owned();
    let top = std::fs::read_dir(folder.join("music")).expect("there").flatten().map(|entry| entry.path());
    let top: BTreeSet<PathBuf> = top.collect();
    // One byte is no song: it goes to the trash, under its name. Many at once, for a person would wait for each.
    for some in share(0).chunks(40) {
        let each = some.iter().map(|name| {
            let app = bench.app.clone();
            let path = format!("/beam?name={}", percent(name));
            async move { ask(&app, "POST", &path, &[], b"x".to_vec()).await }
        });
        for ((status, words, _), name) in join_all(each).await.into_iter().zip(some) {
            assert!([200, 201, 202, 400, 415].contains(&status), "{name:?}: {status} {words}");
            assert!(!words.contains('\u{202e}'), "{words:?}");
        }
    }
    for name in &share(1) {
        let said = format!("filename {}", base64(name));
        let head = [("tus-resumable", "1.0.0"), ("upload-length", "1"), ("upload-metadata", said.as_str())];
        let (status, words, at) = ask(&bench.app, "POST", "/api/uploads", &head, Vec::new()).await;
        assert!(status == 201 || status == 400, "{name:?}: {status} {words}");
        if status == 201 {
            let head = [
                ("tus-resumable", "1.0.0"),
                ("upload-offset", "0"),
                ("content-type", "application/offset+octet-stream"),
            ];
            let (status, words, _) = ask(&bench.app, "PATCH", &at, &head, b"x".to_vec()).await;
            assert_eq!(status, 204, "{name:?}: {words}");
        }
    }
    let head = [("content-type", "multipart/form-data; boundary=XX")];
    let (status, words, _) = ask(&bench.app, "POST", "/beam", &head, form(&share(2))).await;
    assert!(status < 500, "{status} {words}");
    // Songs without tags are called by their names: each of them is on the shelf under one, or told to be left.
    let song = |number: usize| {
        let mut wav = crate::mint::wav(400);
        let end = wav.len();
        wav[end - 4..].copy_from_slice(&(number as u32).to_le_bytes());
        wav
    };
    let files: Vec<(Vec<u8>, Vec<u8>)> = share(0)
        .iter()
        // A name that leads elsewhere for some system refuses its whole archive.
        .filter(|name| {
            let alone = zip(&[((*name).clone(), b"x".to_vec())]);
            archive::directory(&mut Cursor::new(alone)).is_ok()
        })
        .cloned()
        .enumerate()
        .map(|(n, name)| (name, song(n)))
        .collect();
    let (status, words, _) = ask(&bench.app, "PUT", "/beam/album.zip", &[], zip(&files)).await;
    assert!([201, 202].contains(&status), "{status} {words}");
    let staging = folder.join("music/.konpo/staging");
    let mut rests = 0;
    for _ in 0..3000 {
        let idle = std::fs::read_dir(&staging).expect("there").count() == 0;
        rests = if idle { rests + 1 } else { 0 };
        if rests == 5 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(rests == 5, "something is left in staging");
    let shelf = everything(&folder.join("music"));
    let songs: Vec<&PathBuf> =
        shelf.iter().filter(|path| !path.starts_with(folder.join("music/.konpo"))).collect();
    for path in &songs {
        is_a_name(path.strip_prefix(folder.join("music")).expect("below it"));
    }
    for path in shelf.iter().filter(|path| path.starts_with(folder.join("music/.konpo"))) {
        let length = path.file_name().map_or(0, |name| name.len());
        assert!(
            length <= 255
                && path.strip_prefix(folder.join("music/.konpo")).expect("below").components().count() <= 2,
            "{path:?}"
        );
    }
    let count = songs.iter().filter(|path| path.is_file()).count();
    assert!(files.len() > 80 && count > files.len() / 2, "{count} of {} songs", files.len());
    let fresh = std::fs::read_dir(folder.join("music")).expect("there").flatten().map(|entry| entry.path());
    let fresh: Vec<PathBuf> = fresh.filter(|path| !top.contains(path)).collect();
    assert_eq!(fresh, [folder.join("music/Beamed")], "no name makes a folder");
    let beside: BTreeSet<String> = std::fs::read_dir(&folder)
        .expect("there")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(beside, BTreeSet::from(["data".to_owned(), "music".to_owned()]));
    println!("{count} of {} odd names are on the shelf", files.len());
    bench.end().await;
}
