//! Music leaves the box as an archive that other programs open, with the bytes it came with.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use konpo::http::server::PeerCred;
use konpo::http::zip::{Files, ReadAt, Zip};
use konpo::offer::{Key, Right};
use konpo::units::UnixTime;
use serde_json::json;
use tower_service::Service;

use crate::api::{Bench, Who, arrival, shelve};
use crate::mint;
use crate::stories_leave::files;

/// Asks for an archive as the owner.
async fn fetch(bench: &mut Bench, method: &str, query: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::builder().method(method).uri(format!("/api/export.zip?{query}"));
    let mut request = request.header(header::HOST, "localhost").body(Body::empty()).expect("a request");
    request.extensions_mut().insert(PeerCred { uid: 0, gid: 0 });
    let (head, body) = bench.app.call(request).await.expect("infallible").into_parts();
    (head.status, head.headers, body.collect().await.expect("whole").to_bytes().to_vec())
}

/// Runs a program that must succeed; returns what it says.
fn run(program: &str, arguments: &[&str]) -> String {
    let ran =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{program} {arguments:?}: {said}{}", String::from_utf8_lossy(&ran.stderr));
    said
}

const COMPARE: &str = "import sys, zipfile\n\
    z = zipfile.ZipFile(sys.argv[1])\n\
    assert z.testzip() is None\n\
    wanted = [open(path, 'rb').read() for path in sys.argv[2:]]\n\
    music = [i for i in z.infolist() if not i.filename.endswith(('.m3u8', '.jpg', '.txt', '.json'))]\n\
    assert [z.read(i) for i in music] == wanted, [i.filename for i in music]\n\
    assert all(i.compress_type == zipfile.ZIP_STORED and i.flag_bits & 2048 for i in music)\n\
    print('\\n'.join(z.namelist()))";

#[tokio::test(flavor = "multi_thread")]
async fn an_album_opens_in_unzip_and_python_with_the_bytes_it_came_with() {
    let mut bench = Bench::new().await.expect("started");
    let files = ["tone.flac", "tone.mp3", "tone-alac.m4a"];
    for (event, name) in files.iter().enumerate() {
        shelve(&bench.library, event as i64 + 1, name, &mint::data(name)).await;
    }
    for (id, title) in [(1, "正しい街"), (2, "歌舞伎町の女王"), (3, "丸の内サディスティック")]
    {
        let set = json!({ "title": title, "artist": "椎名林檎", "album": "無罪: モラトリアム", "year": 1999, "track": id,
            "album_artist": null, "compilation": false, "disc": null });
        let (status, body) =
            bench.ask(Who::Owner, "POST", "/api/corrections", Some(json!({ "ids": [id], "set": set }))).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    }
    let (_, track) = bench.ask(Who::Room, "GET", "/api/tracks/1", None).await;
    assert_eq!(track["corrected"]["title"]["word"], "正しい街", "{track}");
    // On a busy machine lists follow later.
    let begun = Instant::now();
    let id = loop {
        let (_, albums) = bench.ask(Who::Owner, "GET", "/api/library/albums", None).await;
        let mut all = albums["items"].as_array().into_iter().flatten();
        let album = all.find(|album| album["name"] == "無罪: モラトリアム" && album["tracks"] == 3);
        if let Some(id) = album.and_then(|album| album["id"].as_str()) {
            break id.to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{albums}");
        tokio::task::yield_now().await;
    };

    let (status, headers, archive) = fetch(&mut bench, "GET", &format!("album={id}")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers[header::CONTENT_LENGTH], archive.len().to_string());
    assert_eq!(headers[header::CONTENT_TYPE], "application/zip");
    let (_, headers, body) = fetch(&mut bench, "HEAD", &format!("album={id}")).await;
    assert_eq!((headers[header::CONTENT_LENGTH].clone(), body.len()), (archive.len().into(), 0));

    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("album.zip");
    std::fs::write(&path, archive).expect("written");
    let path = path.to_string_lossy().into_owned();
    let said = run("unzip", &["-t", &path]);
    assert!(said.contains("No errors detected"), "{said}");
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let sources: Vec<String> =
        files.iter().map(|name| data.join(name).to_string_lossy().into_owned()).collect();
    let arguments: Vec<&str> =
        ["-c", COMPARE, &path].into_iter().chain(sources.iter().map(String::as_str)).collect();
    let names = run("python3", &arguments);
    let album = "椎名林檎/無罪_ モラトリアム (1999)";
    for want in [format!("{album}/01 正しい街.flac"), format!("{album}/椎名林檎 - 無罪_ モラトリアム.m3u8")]
    {
        assert!(names.lines().any(|name| name == want), "{want} is not in\n{names}");
    }
    assert!(!names.contains("LEFT-OUT") && !names.contains("purchases.json"), "{names}");
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_stays_and_is_named_and_receipts_go_only_when_asked() {
    let mut bench = Bench::new().await.expect("started");
    shelve(&bench.library, 1, "amazon.mp3", &mint::amazon()).await;
    shelve(&bench.library, 2, "locked.m4p", &mint::itunes_locked()).await;
    let script = "import sys, zipfile, json\n\
                  z = zipfile.ZipFile(sys.argv[1])\n\
                  print(json.dumps({n: z.read(n).decode() for n in z.namelist() if n.endswith(('.txt', '.json'))}))\n";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.zip").to_string_lossy().into_owned();
    for (query, receipts) in [("tracks=1,2", false), ("purchases&receipts", true)] {
        let (status, _, archive) = fetch(&mut bench, "GET", query).await;
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&archive));
        std::fs::write(&path, archive).expect("written");
        let texts: serde_json::Value =
            serde_json::from_str(&run("python3", &["-c", script, &path])).expect("JSON");
        let left = texts["LEFT-OUT.txt"].as_str().unwrap_or_default();
        assert!(left.contains("(track 2): Bought from iTunes with copy protection. Download"), "{texts}");
        assert!(!left.contains("track 1"), "{left}");
        assert_eq!(
            texts["purchases.json"].as_str().is_some_and(|told| told.contains("user@example.com")),
            receipts
        );
    }
    for (query, status) in
        [("tracks=9", 404), ("album=7", 404), ("playlist=7", 404), ("", 400), ("all&purchases", 400)]
    {
        assert_eq!(fetch(&mut bench, "GET", query).await.0.as_u16(), status, "{query}");
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_takes_music_out_without_what_names_its_buyer() {
    let mut bench = Bench::new().await.expect("started");
    let key = Key::Cookie(blake3::hash(b"the-phone").to_hex().to_string());
    bench.library.add_device(key, "a phone".into(), Right::Member).await.expect("paired");
    shelve(&bench.library, 1, "plus.m4a", &mint::itunes_plus()).await;
    shelve(&bench.library, 2, "locked.wma", &mint::wm_drm("http://licence.example/")).await;
    shelve(&bench.library, 3, "tone.flac", &mint::data("tone.flac")).await;
    let (status, archive) = as_member(&mut bench, "/api/export.zip?tracks=1,2,3").await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&archive));
    for personal in ["user@example.com", "Hanako Yamada"] {
        assert!(!archive.windows(personal.len()).any(|part| part == personal.as_bytes()), "{personal}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.to_string_lossy().into_owned()
    };
    let path = put("x.zip", &archive);
    let mut arguments = vec!["-c".to_owned(), COMPARE.to_owned(), path.clone()];
    for id in [1, 3] {
        let (status, served) = as_member(&mut bench, &format!("/api/media/{id}.bin")).await;
        assert_eq!(status, StatusCode::OK);
        arguments.push(put(&id.to_string(), &served));
    }
    assert_ne!(std::fs::read(folder.path().join("1")).expect("there"), mint::itunes_plus(), "it is blanked");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert!(run("python3", &arguments).contains("LEFT-OUT.txt"));
    assert!(run("unzip", &["-t", &path]).contains("No errors detected"));
    for more in ["all", "purchases&receipts", "tracks=3&receipts", "tracks=3&leave"] {
        let (status, _) = as_member(&mut bench, &format!("/api/export.zip?{more}")).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{more}");
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_takes_out_what_its_own_device_brought() {
    let mut bench = Bench::new().await.expect("started");
    let key = Key::Cookie(blake3::hash(b"the-phone").to_hex().to_string());
    let device = bench.library.add_device(key, "a phone".into(), Right::Member).await.expect("paired");
    let mut own = arrival(&bench.library, 1, "plus.m4a", &mint::itunes_plus());
    own.provenance.device = format!("device:{}", device.0);
    bench.library.add(own).await.expect("added");
    shelve(&bench.library, 2, "amazon.mp3", &mint::amazon()).await;
    shelve(&bench.library, 3, "tone.flac", &mint::data("tone.flac")).await;
    let (status, archive) = as_member(&mut bench, "/api/export.zip?purchases").await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&archive));
    for personal in ["user@example.com", "Hanako Yamada"] {
        assert!(!archive.windows(personal.len()).any(|part| part == personal.as_bytes()), "{personal}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let [path, wanted] = ["x.zip", "1"].map(|name| folder.path().join(name).to_string_lossy().into_owned());
    std::fs::write(&path, archive).expect("written");
    let (_, served) = as_member(&mut bench, "/api/media/1.bin").await;
    std::fs::write(&wanted, served).expect("written");
    // Its own buy, as it is served, and nothing else.
    let names = run("python3", &["-c", COMPARE, &path, &wanted]);
    assert!(names.contains("Purchases.m3u8") && !names.contains(".json"), "{names}");
    for query in ["purchases&receipts", "tracks=1&receipts", "all", "all&leave", "tracks=1&leave"] {
        let (status, _) = as_member(&mut bench, &format!("/api/export.zip?{query}")).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{query}");
    }
    let (status, _) = bench.ask(Who::Room, "GET", "/api/export.zip?purchases", None).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_fails_the_call_and_the_others_go_out() {
    let bench = Bench::new().await.expect("started");
    for (event, name) in [(1, "tone.flac"), (2, "tone.ogg")] {
        shelve(&bench.library, event, name, &mint::data(name)).await;
    }
    let folder = bench.folder.path();
    let (music, to) = (folder.join("music"), folder.join("elsewhere"));
    let lies = files(&music);
    let broken =
        lies.iter().find(|path| path.extension().is_some_and(|e| e == "ogg")).expect("it lies there");
    // Opens, but cannot be read: EIO, as of a bad sector.
    std::fs::remove_file(broken).expect("removed");
    std::os::unix::fs::symlink("/proc/self/mem", broken).expect("linked");
    let call = |json: &[&str]| {
        let ran = Command::new(env!("CARGO_BIN_EXE_konpo"))
            .args(["export", "--all", "--leave"])
            .args(json)
            .args([Path::new("--music"), &music, Path::new("--data"), &folder.join("data"), &to])
            .env("HOME", folder)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("STATE_DIRECTORY")
            .output();
        let ran = ran.expect("run");
        let errors = String::from_utf8_lossy(&ran.stderr).into_owned();
        (ran.status.code(), format!("{}{errors}", String::from_utf8_lossy(&ran.stdout)))
    };
    let (code, said) = call(&[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("1 files stay on the shelf") && said.contains("1 of them could not be read"),
        "{said}"
    );
    let reasons = std::fs::read_to_string(to.join("LEFT-OUT.txt")).expect("there");
    assert!(reasons.contains(".ogg: its file cannot be read now"), "{reasons}");
    assert!(
        to.join("tracks.csv").exists()
            && files(&to).iter().any(|path| path.extension().is_some_and(|e| e == "flac"))
    );
    let (code, said) = call(&["--json"]);
    let told: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(
        (code, &told["files"], &told["unread"], &told["left_out"]),
        (Some(1), &json!(0), &json!(1), &json!(1))
    );
    bench.end().await;
}

async fn as_member(bench: &mut Bench, path: &str) -> (StatusCode, Vec<u8>) {
    let request = Request::builder()
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::COOKIE, "konpo=the-phone");
    let request = request.body(Body::empty()).expect("a request");
    let (head, body) = bench.app.call(request).await.expect("infallible").into_parts();
    (head.status, body.collect().await.expect("whole").to_bytes().to_vec())
}

/// A file of many bytes that takes no room, and one behind it.
struct Large(File);

const LARGE: u64 = (4 << 30) + (64 << 20);

impl Files for Large {
    fn count(&self) -> usize {
        2
    }

    fn about(&self, at: usize) -> (&str, u64, UnixTime) {
        [("大きい.wav", LARGE, UnixTime(0)), ("behind.wav", 3, UnixTime(0))][at]
    }

    fn open(&self, _: usize) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(self.0.try_clone()?))
    }
}

#[test]
fn more_than_four_gigabytes_open_in_unzip_and_python() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = tempfile::tempfile_in(folder.path()).expect("a file");
    source.set_len(LARGE).expect("sparse");
    source.write_all_at(b"abc", 0).expect("written");
    source.write_all_at(b"end", LARGE - 3).expect("written");
    let path = folder.path().join("large.zip");
    let mut archive = File::create(&path).expect("made");
    let mut zip = Zip::new(Arc::new(Large(source)));
    let length = zip.length();
    // The archive takes no more room than the file.
    let zeros = vec![0; 1 << 20];
    while let Some(block) = zip.read().expect("read") {
        if block[..] == zeros[..block.len()] {
            archive.seek(SeekFrom::Current(block.len() as i64)).expect("passed over");
        } else {
            archive.write_all(&block).expect("written");
        }
    }
    assert_eq!(archive.stream_position().expect("a place"), length);
    assert!(length > LARGE + 3);
    drop(archive);
    let path = path.to_string_lossy().into_owned();
    let said = run("unzip", &["-t", &path]);
    assert!(said.contains("No errors detected"), "{said}");
    let script = "import sys, zipfile\n\
                  z = zipfile.ZipFile(sys.argv[1])\n\
                  assert z.testzip() is None\n\
                  print([(i.filename, i.file_size) for i in z.infolist()], z.read('behind.wav'))";
    let want = format!("[('大きい.wav', {LARGE}), ('behind.wav', 3)] b'abc'\n");
    assert_eq!(run("python3", &["-c", script, &path]), want);
}
