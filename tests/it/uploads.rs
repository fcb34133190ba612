//! Uploads through the router: tus 1.0.0, its refusals, and its limits.

use axum::body::Body;
use futures_util::StreamExt;
use http::{HeaderMap, Request, header};
use http_body_util::BodyExt;
use konpo::http::server::{Peer, PeerCred};
use serde_json::Value;
use sha2::Digest;
use tower_service::Service;

use crate::api::Bench;

/// What was answered.
struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn code(&self) -> String {
        let json: Value = serde_json::from_str(&self.text).unwrap_or(Value::Null);
        json["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Asks as the owner over the local socket, or from the network.
async fn ask(
    bench: &mut Bench,
    near: bool,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(body.into()).expect("a request");
    if near {
        request.extensions_mut().insert(PeerCred { uid: 0, gid: 0 });
    } else {
        request.extensions_mut().insert(Peer(([10, 77, 0, 9], 4000).into()));
    }
    let response = bench.app.call(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        text: String::from_utf8_lossy(&bytes).into_owned(),
    }
}

async fn tus(bench: &mut Bench, method: &str, path: &str, more: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut headers = vec![("tus-resumable", "1.0.0")];
    headers.extend_from_slice(more);
    let length = body.len().to_string();
    if !body.is_empty() {
        headers.push(("content-length", &length));
    }
    ask(bench, true, method, path, &headers, body.to_vec()).await
}

const BYTES: (&str, &str) = ("content-type", "application/offset+octet-stream");

fn song() -> Vec<u8> {
    crate::mint::data("tone.flac")
}

/// Waits until so many tracks are on the shelf.
async fn shelved(bench: &mut Bench, want: u64) {
    for _ in 0..500 {
        let list = ask(bench, true, "GET", "/api/library/tracks", &[], Body::empty()).await;
        let list: Value = serde_json::from_str(&list.text).expect("JSON");
        if list["total"] == want {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("there are not {want} tracks");
}

/// Returns the board, once it tells of a file that is through and of its beam.
async fn told(bench: &mut Bench) -> Value {
    for _ in 0..200 {
        let list = ask(bench, true, "GET", "/api/offers", &[], Body::empty()).await;
        let list: Value = serde_json::from_str(&list.text).expect("JSON");
        if !list["items"][0]["verdict"].is_null() && !list["beams"][0].is_null() {
            return list;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the board tells nothing");
}

fn staged(bench: &Bench) -> usize {
    std::fs::read_dir(bench.folder.path().join("music/.konpo/staging")).expect("there").count()
}

async fn begin(bench: &mut Bench, size: usize) -> String {
    let length = size.to_string();
    let made = tus(bench, "POST", "/api/uploads", &[("upload-length", &length)], b"").await;
    assert_eq!(made.status, 201, "{}", made.text);
    made.header("location").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn tus_takes_a_file_in_pieces_and_says_what_it_speaks() {
    let mut bench = Bench::new().await.expect("started");
    for path in ["/api/uploads", "/api/uploads/x"] {
        let about = ask(&mut bench, false, "OPTIONS", path, &[], Body::empty()).await;
        assert_eq!((about.status, about.header("tus-version")), (204, "1.0.0"));
        assert_eq!(
            about.header("tus-extension"),
            "creation,creation-with-upload,termination,checksum,expiration"
        );
        assert_eq!(about.header("tus-checksum-algorithm"), "sha1,sha256");
        assert_eq!(about.header("tus-max-size"), (8_u64 << 30).to_string());
    }
    let (bytes, whole) = (song(), song().len().to_string());
    // "夜の歌.flac"
    let said = [
        ("upload-length", whole.as_str()),
        ("upload-metadata", "filename 5aSc44Gu5q2MLmZsYWM=,from WXVraQ=="),
    ];
    let made = tus(&mut bench, "POST", "/api/uploads", &said, b"").await;
    assert_eq!((made.status, made.header("tus-resumable")), (201, "1.0.0"), "{}", made.text);
    assert!(made.header("upload-expires").ends_with("GMT"), "{:?}", made.headers);
    let at = made.header("location").to_owned();
    assert!(at.starts_with("/api/uploads/") && at.len() == 13 + 32, "{at}");
    let piece = tus(&mut bench, "PATCH", &at, &[BYTES, ("upload-offset", "0")], &bytes[..777]).await;
    assert_eq!((piece.status, piece.header("upload-offset")), (204, "777"), "{}", piece.text);
    let here = tus(&mut bench, "HEAD", &at, &[], b"").await;
    assert_eq!(
        (here.status, here.header("upload-offset"), here.header("upload-length")),
        (200, "777", &*whole)
    );
    assert_eq!(here.header("cache-control"), "no-store");
    let wrong = tus(&mut bench, "PATCH", &at, &[BYTES, ("upload-offset", "0")], &bytes[..777]).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (409, "wrong_offset"));
    // A client that knows neither PATCH nor the rest in one piece.
    let instead = [BYTES, ("upload-offset", "777"), ("x-http-method-override", "PATCH")];
    let piece = tus(&mut bench, "POST", &at, &instead, &bytes[777..]).await;
    assert_eq!((piece.status, piece.header("upload-offset")), (204, &*whole), "{}", piece.text);
    shelved(&mut bench, 1).await;
    assert_eq!(staged(&bench), 0);
    let here = tus(&mut bench, "HEAD", &at, &[], b"").await;
    assert_eq!((here.status, here.header("upload-offset")), (200, &*whole), "who did not hear it asks again");
    let list = told(&mut bench).await;
    assert_eq!(
        (&list["items"][0]["name"], &list["beams"][0]["from"]),
        (&"夜の歌.flac".into(), &"Yuki".into()),
        "{list}"
    );
    // The same again, with its sum: nothing needs to be sent, and whoever sends hears that all is here.
    let sum: String = sha2::Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let sum: String = format!("filename YS5mbGFj,sha256 {}", base64(sum.as_bytes()));
    let said = [("upload-length", whole.as_str()), ("upload-metadata", &sum)];
    let made = tus(&mut bench, "POST", "/api/uploads", &said, b"").await;
    assert_eq!((made.status, made.header("konpo-known"), made.header("upload-offset")), (201, "?1", &*whole));
    let at = made.header("location").to_owned();
    let piece = tus(&mut bench, "PATCH", &at, &[BYTES, ("upload-offset", "0")], &bytes[..9]).await;
    assert_eq!((piece.status, piece.header("upload-offset")), (204, &*whole));
    assert_eq!(staged(&bench), 0);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tus_checks_sums_gives_up_and_goes_on_where_it_broke_off() {
    let mut bench = Bench::new().await.expect("started");
    let bytes = song();
    let at = begin(&mut bench, bytes.len()).await;
    let right = format!("sha256 {}", base64(&sha2::Sha256::digest(&bytes[..500])));
    let piece = |sum| [BYTES, ("upload-offset", "0"), ("upload-checksum", sum)];
    let wrong = tus(&mut bench, "PATCH", &at, &piece(&right), &bytes[1..501]).await;
    assert_eq!((wrong.status, wrong.code().as_str()), (460, "wrong_sum"));
    let here = tus(&mut bench, "HEAD", &at, &[], b"").await;
    assert_eq!(here.header("upload-offset"), "0", "what is wrong is not kept");
    for (sum, status) in [("md5 Kq5sNclPz7QV2+lfQIuc6Q==", 400), ("sha1 YQ==", 400), (right.as_str(), 204)] {
        assert_eq!(tus(&mut bench, "PATCH", &at, &piece(sum), &bytes[..500]).await.status, status, "{sum}");
    }
    // The connection breaks off in the middle of a piece.
    let broken = futures_util::stream::iter([Ok(bytes[500..900].to_vec()), Err("cut")]);
    let headers = [("tus-resumable", "1.0.0"), BYTES, ("upload-offset", "500")];
    ask(&mut bench, true, "PATCH", &at, &headers, Body::from_stream(broken)).await;
    let here = tus(&mut bench, "HEAD", &at, &[], b"").await;
    assert_eq!(here.header("upload-offset"), "900", "what came is kept");
    // One that hangs is ended by the next.
    let hangs = futures_util::stream::iter([Ok::<_, std::io::Error>(bytes[900..1000].to_vec())])
        .chain(futures_util::stream::pending());
    let mut app = bench.app.clone();
    let mut request =
        Request::builder().method("PATCH").uri(&at).body(Body::from_stream(hangs)).expect("right");
    for (name, value) in [("tus-resumable", "1.0.0"), BYTES, ("upload-offset", "900"), ("host", "localhost")]
    {
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    request.extensions_mut().insert(PeerCred { uid: 0, gid: 0 });
    let hanging = tokio::spawn(async move { app.call(request).await.expect("infallible").status().as_u16() });
    let mut offset = String::new();
    while offset != "1000" {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        if hanging.is_finished() {
            break;
        }
        offset = tus(&mut bench, "HEAD", &at, &[], b"").await.header("upload-offset").to_owned();
    }
    assert_eq!(hanging.await.expect("no panic"), 409, "its place was taken");
    let gone = tus(&mut bench, "DELETE", &at, &[], b"").await;
    assert_eq!((gone.status, staged(&bench)), (204, 0), "{}", gone.text);
    for method in ["HEAD", "PATCH", "DELETE"] {
        let more: &[(&str, &str)] = if method == "PATCH" { &[BYTES, ("upload-offset", "0")] } else { &[] };
        assert_eq!(tus(&mut bench, method, &at, more, b"").await.status, 404, "{method}");
    }
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tus_refuses_what_is_wrong_with_its_code() {
    let mut bench = Bench::new().await.expect("started");
    let at = begin(&mut bench, 10).await;
    let long = "a".repeat(20_000);
    let name = |name: &str| format!("filename {}", base64(name.as_bytes()));
    let (climbs, picture, zero) = (name("../../etc/passwd"), name("a.jpg"), name("a\0b.mp3"));
    let begin: [(&[(&str, &str)], u16); 11] = [
        (&[], 400),
        (&[("upload-defer-length", "1")], 400),
        (&[("upload-length", "-1")], 400),
        (&[("upload-length", "x")], 400),
        (&[("upload-length", "9000000000")], 413),
        (&[("upload-length", "5"), ("upload-metadata", &long)], 400),
        (&[("upload-length", "5"), ("upload-metadata", "filename !!!!")], 400),
        (&[("upload-length", "5"), ("upload-metadata", &climbs)], 400),
        (&[("upload-length", "5"), ("upload-metadata", &picture)], 400),
        (&[("upload-length", "5"), ("upload-metadata", &zero)], 400),
        (&[("upload-length", "5"), ("upload-concat", "partial")], 400),
    ];
    for (headers, want) in begin {
        let said = tus(&mut bench, "POST", "/api/uploads", headers, b"").await;
        assert_eq!(
            (said.status, said.header("tus-resumable")),
            (want, "1.0.0"),
            "{headers:?}: {}",
            said.text
        );
        assert!(said.header("content-type").contains("problem+json"));
    }
    let old =
        ask(&mut bench, true, "POST", "/api/uploads", &[("tus-resumable", "0.2.2")], Body::empty()).await;
    assert_eq!((old.status, old.header("tus-version")), (412, "1.0.0"));
    let plain = [("upload-offset", "0"), ("content-type", "text/html")];
    assert_eq!(tus(&mut bench, "PATCH", &at, &plain, b"x").await.status, 415);
    assert_eq!(tus(&mut bench, "PATCH", &at, &[BYTES], b"x").await.status, 400);
    assert_eq!(tus(&mut bench, "PATCH", &at, &[BYTES, ("upload-offset", "3")], b"x").await.status, 409);
    assert_eq!(
        tus(&mut bench, "PATCH", &at, &[BYTES, ("upload-offset", "0")], b"01234567890").await.status,
        413
    );
    let endless = futures_util::stream::iter((0..100).map(|_| Ok::<_, std::io::Error>(vec![0; 10])));
    let headers = [("tus-resumable", "1.0.0"), BYTES, ("upload-offset", "0")];
    let more = ask(&mut bench, true, "PATCH", &at, &headers, Body::from_stream(endless)).await;
    assert_eq!(more.status, 413, "more than was said: {}", more.text);
    let here = tus(&mut bench, "HEAD", &at, &[], b"").await;
    assert_eq!((here.status, here.header("upload-offset")), (200, "0"), "nothing of it counts");
    assert_eq!(tus(&mut bench, "POST", &at, &[("x-http-method-override", "BREW")], b"").await.status, 400);
    assert_eq!(tus(&mut bench, "HEAD", "/api/uploads/../state", &[], b"").await.status, 404);
    // A page of another site, and one that has pointed its own name here.
    for foreign in [("origin", "http://evil.example"), ("sec-fetch-site", "cross-site")] {
        for (method, path) in [("POST", "/api/uploads"), ("PATCH", at.as_str()), ("OPTIONS", "/api/uploads")]
        {
            let said = tus(&mut bench, method, path, &[foreign, ("upload-length", "5")], b"").await;
            assert_eq!((said.status, said.code().as_str()), (403, "foreign_origin"), "{foreign:?} {method}");
        }
    }
    assert!(
        !tus(&mut bench, "OPTIONS", "/api/uploads", &[], b"")
            .await
            .headers
            .contains_key("access-control-allow-origin")
    );
    bench.end().await;
}

fn base64(bytes: &[u8]) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let value =
            three.iter().enumerate().fold(0_u32, |bits, (at, &byte)| bits | u32::from(byte) << (16 - 8 * at));
        for at in 0..4 {
            let letter = letters[(value >> (18 - 6 * at) & 63) as usize] as char;
            text.push(if at > three.len() { '=' } else { letter });
        }
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_brings_a_file_and_one_sentence_says_what_became_of_it() {
    let mut bench = Bench::new().await.expect("started");
    let bytes = song();
    let length = bytes.len().to_string();
    let said = [("content-length", length.as_str()), ("content-type", "audio/flac")];
    // What Android's HTTP Shortcuts and `curl -T` send.
    let sent =
        ask(&mut bench, true, "POST", "/beam?name=%E5%A4%9C.flac&from=Yuki", &said, bytes.clone()).await;
    assert_eq!((sent.status, sent.text.as_str()), (201, "夜.flac is on the shelf.\n"));
    let japanese = [&said[..], &[("accept-language", "ja-JP"), ("accept", "application/json")]].concat();
    let again = ask(&mut bench, true, "PUT", "/beam/a%20b.flac", &japanese, bytes.clone()).await;
    let json: Value = serde_json::from_str(&again.text).expect("JSON");
    assert_eq!(
        (again.status, &json["code"], &json["words"]),
        (200, &"known".into(), &"「a b.flac」は棚にすでにあります。".into())
    );
    for (path, headers, body, want) in [
        ("/beam?name=a.flac", &[][..], &b"0123456789"[..], 411),
        ("/beam?name=a.flac", &[("content-length", "10")], b"0123456789", 415),
        ("/beam?name=..%2Fa.flac", &[("content-length", "10")], b"0123456789", 400),
        ("/beam?name=a.jpg", &[("content-length", "10")], b"0123456789", 415),
        ("/beam?name=a.flac", &[("content-length", "11")], b"0123456789", 400),
        ("/beam?name=a.flac", &[("content-length", "9999999999")], b"0", 400),
        (
            "/beam?name=a.flac",
            &[("content-length", "10"), ("origin", "http://evil.example")],
            b"0123456789",
            403,
        ),
    ] {
        let sent = ask(&mut bench, true, "POST", path, headers, body.to_vec()).await;
        assert_eq!(sent.status, want, "{path} {headers:?}: {}", sent.text);
        assert!(!sent.header("content-type").contains("html") && !sent.text.is_empty(), "{path}");
    }
    let list = told(&mut bench).await;
    assert_eq!(list["beams"].as_array().map(Vec::len), Some(2), "Yuki's, and the others': {list}");
    bench.end().await;
}

/// The body of a form, as browsers write it.
fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = b"--XX\r\nContent-Disposition: form-data; name=\"pin\"\r\n\r\n\r\n".to_vec();
    for (name, bytes) in files {
        let head = format!(
            "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n"
        );
        body.extend([head.as_bytes(), bytes, b"\r\n"].concat());
    }
    body.extend(b"--XX--\r\n");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_form_brings_several_files_and_answers_a_page_in_words() {
    let mut bench = Bench::new().await.expect("started");
    let page = ask(&mut bench, false, "GET", "/beam", &[("accept-language", "ja")], Body::empty()).await;
    assert!(
        page.text.contains("lang=\"ja\"") && page.text.contains("enctype=\"multipart/form-data\""),
        "{}",
        page.text
    );
    assert!(page.text.contains("Test &lt;1&gt;") && !page.text.contains("name=\"pin\""), "{}", page.text);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    let pin = ask(&mut bench, true, "POST", "/api/pin", &[], Body::empty()).await;
    assert_eq!(pin.status, 200);
    let page = ask(&mut bench, false, "GET", "/beam", &[], Body::empty()).await;
    assert!(page.text.contains("lang=\"en\"") && page.text.contains("name=\"pin\""), "{}", page.text);
    let (flac, mp3) = (song(), crate::mint::data("tone.mp3"));
    let body = form(&[
        ("夜.flac", &flac),
        ("", b""),
        ("<b>.jpg", b"picture"),
        ("../x.mp3", &mp3),
        ("b.mp3", &mp3),
        ("c.mp3", b"no music"),
    ]);
    let length = body.len().to_string();
    let head = [("content-type", "multipart/form-data; boundary=XX"), ("content-length", length.as_str())];
    let browser = [&head[..], &[("accept", "text/html,*/*")]].concat();
    let sent = ask(&mut bench, false, "POST", "/beam", &browser, body.clone()).await;
    assert_eq!(sent.status, 403, "a stranger without the PIN: {}", sent.text);
    assert!(sent.header("content-type").starts_with("text/html") && sent.text.contains("the PIN is needed"));
    let sent = ask(&mut bench, true, "POST", "/beam", &browser, body.clone()).await;
    assert_eq!(sent.status, 200, "{}", sent.text);
    for words in [
        "<li>夜.flac is on the shelf.</li>",
        "<li>&lt;b&gt;.jpg was not taken: it is no music.</li>",
        "is no name of a file",
        "<li>b.mp3 is on the shelf.</li>",
        "<li>c.mp3 was not taken:",
    ] {
        assert!(sent.text.contains(words), "{words}: {}", sent.text);
    }
    shelved(&mut bench, 2).await;
    assert_eq!(staged(&bench), 0);
    // Whoever asks otherwise gets sentences.
    let body = form(&[("again.flac", &flac)]);
    let length = body.len().to_string();
    let head = [("content-type", "multipart/form-data; boundary=XX"), ("content-length", length.as_str())];
    let sent = ask(&mut bench, true, "POST", "/beam", &head, body.clone()).await;
    assert_eq!((sent.status, sent.text.as_str()), (200, "again.flac was on the shelf already.\n"));
    let half = ask(&mut bench, true, "POST", "/beam", &head, body[..body.len() / 2].to_vec()).await;
    assert_eq!(half.status, 400, "{}", half.text);
    let empty = form(&[("", b"")]);
    let length = empty.len().to_string();
    let head = [("content-type", "multipart/form-data; boundary=XX"), ("content-length", length.as_str())];
    assert_eq!(ask(&mut bench, true, "POST", "/beam", &head, empty).await.status, 400, "no file was chosen");
    // What broke off goes a moment later.
    for _ in 0..200 {
        if staged(&bench) == 0 {
            return bench.end().await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("{} files are left", staged(&bench));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_question_shows_what_the_page_brings_in_all() {
    let mut bench = Bench::new().await.expect("started");
    // `filename` is "1.flac", `files` "3", `bytes` "3000".
    let metadata = "filename MS5mbGFj,files Mw==,bytes MzAwMA==";
    let request =
        Request::post("/api/uploads").header(header::HOST, "localhost").header("tus-resumable", "1.0.0");
    let request = request.header("upload-length", "1000").header("upload-metadata", metadata);
    let mut request = request.body(Body::empty()).expect("a request");
    request.extensions_mut().insert(Peer(([10, 77, 0, 9], 4000).into()));
    let mut app = bench.app.clone();
    let waiting = tokio::spawn(async move { app.call(request).await.expect("infallible").status() });
    let mut shown = Value::Null;
    for _ in 0..2000 {
        let offers = ask(&mut bench, true, "GET", "/api/offers", &[], Body::empty()).await;
        shown = serde_json::from_str::<Value>(&offers.text).expect("JSON")["asks"][0].clone();
        if !shown.is_null() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(
        (&shown["files"], &shown["bytes"], &shown["names"][0]),
        (&3.into(), &3000.into(), &"1.flac".into())
    );
    let accept = format!("/api/offers/{}/accept", shown["id"]);
    assert_eq!(ask(&mut bench, true, "POST", &accept, &[], Body::empty()).await.status, 204);
    assert_eq!(waiting.await.expect("no panic"), 201);
    bench.end().await;
}
