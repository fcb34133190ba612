//! Covers, from files on the shelf to the answer of the router.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use axum::body::Body;
use clap::Parser;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use konpo::ctl::{self, Ask, Daemon};
use konpo::http::server::{self, PeerCred};
use konpo::library::art::Size;
use konpo::track::TrackId;
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use crate::api::{Bench, Who, shelve};
use crate::mint;

async fn ask(
    bench: &mut Bench,
    method: Method,
    path: &str,
    known: Option<&str>,
) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    if let Some(known) = known {
        request = request.header(header::IF_NONE_MATCH, known);
    }
    let request = request.body(Body::empty()).expect("a request");
    let (head, body) = bench.app.call(request).await.expect("infallible").into_parts();
    (head.status, head.headers, body.collect().await.expect("a body").to_bytes().to_vec())
}

/// A picture of one colour.
fn picture(edge: u32, colour: [u8; 3]) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let picture = DynamicImage::ImageRgb8(RgbImage::from_pixel(edge, edge, Rgb(colour)));
    picture.write_to(&mut bytes, ImageFormat::Png).expect("encoded");
    bytes.into_inner()
}

/// An MP3 with a title, in an album of its own, and a front cover; the one with a cover sounds longer, as another song.
fn song(title: &str, cover: Option<&[u8]>) -> Vec<u8> {
    let text = |name: &[u8], text: &str| mint::frame(name, &[b"\0", text.as_bytes()].concat());
    let mut frames = [text(b"TIT2", title), text(b"TPE1", "Singer"), text(b"TALB", title)].concat();
    if let Some(cover) = cover {
        frames.extend(mint::frame(b"APIC", &[b"\0image/png\0\x03\0", cover].concat()));
    }
    [mint::tag(b"ID3", &frames), mint::mp3_frames().repeat(1 + usize::from(cover.is_some()))].concat()
}

/// The folder of an album on the shelf of a bench.
fn album(bench: &Bench, title: &str) -> std::path::PathBuf {
    let staging = bench.library.staging_dir().expect("online");
    let music = staging.ancestors().nth(2).expect("a music folder");
    music.join("Singer").join(title)
}

/// The edge and the colour in the middle.
fn seen(jpeg: &[u8]) -> (u32, [u8; 3]) {
    let picture = image::load_from_memory_with_format(jpeg, ImageFormat::Jpeg).expect("a JPEG").into_rgb8();
    let middle = picture.get_pixel(picture.width() / 2, picture.height() / 2).0;
    // What JPEG loses.
    (picture.width(), middle.map(|colour| colour / 16 * 16))
}

const RED: [u8; 3] = [200, 8, 8];
const BLUE: [u8; 3] = [8, 8, 200];
const SEEN_RED: [u8; 3] = [192, 0, 0];
const SEEN_BLUE: [u8; 3] = [0, 0, 192];

#[tokio::test(flavor = "multi_thread")]
async fn anybody_sees_the_cover_of_a_track_in_three_sizes() {
    let mut bench = Bench::new().await.expect("started");
    shelve(&bench.library, 1, "a.mp3", &song("Plain", None)).await;
    shelve(&bench.library, 2, "b.mp3", &song("Cover", Some(&picture(900, RED)))).await;
    for edge in [160, 300, 600] {
        let path = format!("/api/art/2/{edge}.jpg");
        let (status, headers, jpeg) = ask(&mut bench, Method::GET, &path, None).await;
        assert_eq!((status, seen(&jpeg)), (StatusCode::OK, (edge, SEEN_RED)), "{path}");
        assert_eq!(headers[header::CONTENT_TYPE], "image/jpeg");
        assert_eq!(headers[header::CACHE_CONTROL], "private, max-age=86400");
        assert_eq!(headers[header::CONTENT_LENGTH], jpeg.len().to_string().as_str());
        let etag = headers[header::ETAG].to_str().expect("text").to_owned();
        assert!(etag.starts_with('"') && etag.ends_with(&format!("-{edge}\"")), "{etag}");

        let (status, headers, body) = ask(&mut bench, Method::HEAD, &path, None).await;
        assert_eq!((status, body.len()), (StatusCode::OK, 0));
        assert_eq!(headers[header::CONTENT_LENGTH], jpeg.len().to_string().as_str());
        for known in [etag.clone(), format!("\"x\", W/{etag}"), "*".into()] {
            let (status, headers, body) = ask(&mut bench, Method::GET, &path, Some(&known)).await;
            assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
            assert_eq!(headers[header::ETAG], etag.as_str());
            assert_eq!(headers[header::CACHE_CONTROL], "private, max-age=86400");
        }
        let (status, _, _) = ask(&mut bench, Method::GET, &path, Some("\"x\"")).await;
        assert_eq!(status, StatusCode::OK);
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_cover_is_not_found_in_words() {
    let mut bench = Bench::new().await.expect("started");
    shelve(&bench.library, 1, "a.mp3", &song("Plain", None)).await;
    shelve(&bench.library, 2, "b.mp3", &song("Broken", Some(b"\x89PNG\r\n\x1a\nbroken"))).await;
    shelve(&bench.library, 3, "locked.m4p", &mint::itunes_locked()).await;
    for path in [
        "/api/art/1/160.jpg",
        "/api/art/2/160.jpg",
        "/api/art/3/160.jpg",
        "/api/art/99/160.jpg",
        "/api/art/x/160.jpg",
        "/api/art/1/161.jpg",
        "/api/art/1/160.png",
        "/api/art/1/160",
        "/api/art/1/.jpg",
        "/api/art/1/%2e%2e%2f160.jpg",
    ] {
        // A second time from what is remembered.
        for _ in 0..2 {
            let (status, headers, body) = ask(&mut bench, Method::GET, path, None).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json", "{path}");
            let body: Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(body["code"], "not_found", "{path} {body}");
        }
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_of_the_folder_shows_when_it_is_larger_or_the_only_one() {
    let mut bench = Bench::new().await.expect("started");
    shelve(&bench.library, 1, "a.mp3", &song("Plain", None)).await;
    shelve(&bench.library, 2, "b.mp3", &song("Cover", Some(&picture(200, RED)))).await;
    let put = |folder: &Path, name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).expect("written");
    let etag = |headers: &HeaderMap| headers[header::ETAG].clone();
    let (plain, cover) = (album(&bench, "Plain"), album(&bench, "Cover"));

    assert_eq!(ask(&mut bench, Method::GET, "/api/art/1/160.jpg", None).await.0, StatusCode::NOT_FOUND);
    put(&plain, "Folder.PNG", &picture(50, BLUE));
    let (_, _, jpeg) = ask(&mut bench, Method::GET, "/api/art/1/160.jpg", None).await;
    assert_eq!(seen(&jpeg), (50, SEEN_BLUE), "not enlarged");

    let (_, first, jpeg) = ask(&mut bench, Method::GET, "/api/art/2/160.jpg", None).await;
    assert_eq!(seen(&jpeg), (160, SEEN_RED));
    // A little larger is not enough; another one in front of it in the order is.
    put(&cover, "folder.png", &picture(240, BLUE));
    let (_, second, jpeg) = ask(&mut bench, Method::GET, "/api/art/2/160.jpg", None).await;
    assert_eq!(seen(&jpeg), (160, SEEN_RED));
    put(&cover, "cover.jpg", &picture(260, BLUE));
    let (_, third, jpeg) = ask(&mut bench, Method::GET, "/api/art/2/160.jpg", None).await;
    assert_eq!(seen(&jpeg), (160, SEEN_BLUE));
    assert!(etag(&first) != etag(&second) && etag(&second) != etag(&third));
    // What cannot be read does not hide what can.
    put(&cover, "cover.jpg", b"no picture");
    let (_, _, jpeg) = ask(&mut bench, Method::GET, "/api/art/2/160.jpg", None).await;
    assert_eq!(seen(&jpeg), (160, SEEN_RED));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_ask_at_once_and_all_are_answered() {
    let bench = Bench::new().await.expect("started");
    shelve(&bench.library, 1, "a.mp3", &song("Cover", Some(&picture(700, RED)))).await;
    let asking = (0..64).map(|n| {
        let library = bench.library.clone();
        let size = [Size::Small160, Size::Medium300, Size::Large600][n % 3];
        tokio::spawn(async move { (size, library.cover(TrackId(1), size).await) })
    });
    for asked in asking.collect::<Vec<_>>() {
        let (size, cover) = asked.await.expect("no panic");
        let cover = cover.expect("read").expect("a cover");
        assert_eq!(seen(&cover.jpeg), (size.edge(), SEEN_RED));
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_that_the_owner_chose_is_the_cover() {
    let mut bench = Bench::new().await.expect("started");
    shelve(&bench.library, 1, "a.mp3", &song("Cover", Some(&picture(200, RED)))).await;
    let mut send = async |bytes: Vec<u8>, owner: bool| {
        let request = Request::post("/api/covers").header(header::HOST, "localhost");
        let mut request = request.body(Body::from(bytes)).expect("a request");
        if owner {
            request.extensions_mut().insert(PeerCred { uid: 0, gid: 0 });
        }
        let (head, body) = bench.app.call(request).await.expect("infallible").into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status, serde_json::from_slice::<Value>(&body).expect("JSON"))
    };
    assert_eq!(send(picture(400, BLUE), false).await.0, StatusCode::FORBIDDEN);
    let (status, refused) = send(b"no picture".to_vec(), true).await;
    assert!(status.is_client_error(), "{refused}");
    // As a camera makes it: some megabytes.
    let mut large = RgbImage::new(1200, 1200);
    let mut noise = 7u32;
    for pixel in large.pixels_mut() {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *pixel = Rgb([(noise >> 8) as u8, (noise >> 16) as u8, (noise >> 24) as u8]);
    }
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(large).write_to(&mut bytes, ImageFormat::Png).expect("encoded");
    let bytes = bytes.into_inner();
    assert!(bytes.len() > 3_000_000, "{}", bytes.len());
    let (status, kept) = send(bytes, true).await;
    assert_eq!(status, StatusCode::OK, "{kept}");
    let (status, kept) = send(picture(400, BLUE), true).await;
    assert_eq!(status, StatusCode::OK, "{kept}");
    for (cover, seen_as) in [(kept["cover"].clone(), Some(SEEN_BLUE)), (Value::Null, None)] {
        let body = json!({ "ids": [1], "set": { "cover": cover } });
        let (status, said) = bench.ask(Who::Owner, "POST", "/api/corrections", Some(body)).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{said}");
        let (status, _, jpeg) = ask(&mut bench, Method::GET, "/api/art/1/160.jpg", None).await;
        let found = (status == StatusCode::OK).then(|| seen(&jpeg).1);
        assert_eq!(found, seen_as, "{cover}");
    }
    let cleared = json!({ "ids": [1], "clear": ["cover"] });
    bench.ask(Who::Owner, "POST", "/api/corrections", Some(cleared)).await;
    let (_, _, jpeg) = ask(&mut bench, Method::GET, "/api/art/1/160.jpg", None).await;
    assert_eq!(seen(&jpeg).1, SEEN_RED);

    // The same from a file.
    let folder = tempfile::tempdir().expect("a folder");
    let (socket, file) = (folder.path().join("ctl.sock"), folder.path().join("blue.png"));
    fs::write(&file, picture(400, BLUE)).expect("written");
    let listener = UnixListener::bind(&socket).expect("a socket");
    let stop = CancellationToken::new();
    let served = tokio::spawn(server::serve_unix(listener, bench.app.clone(), stop.clone()));
    let of_line = |cover: &Path| {
        let line = ["konpo", "correct", "1", "--cover"].map(OsStr::new);
        Line::try_parse_from(line.into_iter().chain([cover.as_os_str()])).expect("a line").ask
    };
    let daemon = Daemon::Socket(socket);
    ctl::run(&daemon, &of_line(&file), false).await.expect("done");
    let (_, _, jpeg) = ask(&mut bench, Method::GET, "/api/art/1/160.jpg", None).await;
    assert_eq!(seen(&jpeg).1, SEEN_BLUE);
    let nowhere = folder.path().join("none.png");
    let error = ctl::run(&daemon, &of_line(&nowhere), false).await.expect_err("nothing is there");
    assert!(error.to_string().contains("none.png"), "{error}");
    stop.cancel();
    served.await.expect("in order");
    bench.end().await;
}

/// The words behind `konpo ctl`.
#[derive(clap::Parser)]
struct Line {
    #[command(subcommand)]
    ask: Ask,
}
