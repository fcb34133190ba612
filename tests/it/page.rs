//! What the page is made of: whole, of this host alone, kept by browsers only while it is right, and run by nobody else.

use std::collections::BTreeSet;

use axum::body::Body;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::json;
use tower_service::Service;

use crate::api::{Bench, Who, shelve};

/// The answer to a GET or HEAD as a browser asks that has the version of this tag, or none.
async fn get(
    bench: &mut Bench,
    method: &str,
    path: &str,
    known: Option<&str>,
) -> (StatusCode, HeaderMap, String) {
    let mut request = Request::builder().method(method).uri(path).header(header::HOST, "localhost");
    if let Some(known) = known {
        request = request.header(header::IF_NONE_MATCH, known);
    }
    let response = bench.app.call(request.body(Body::empty()).expect("a request")).await.expect("infallible");
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.expect("a body").to_bytes();
    (head.status, head.headers, String::from_utf8(bytes.to_vec()).expect("text"))
}

/// Every address of this host that a text names: what a browser will ask for.
fn named(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for quote in ['"', '\''] {
        for part in text.split(quote) {
            let name = part.strip_prefix("/assets/").or_else(|| part.strip_prefix("./"));
            let name = name.filter(|name| name.rsplit_once('.').is_some_and(|(_, kind)| kind.len() <= 3));
            found.extend(name.map(|name| format!("/assets/{name}")));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_of_the_page_is_here_kept_right_and_of_no_other_host() {
    let mut bench = Bench::new().await.expect("started");
    let (mut left, mut seen) = (vec!["/".to_owned()], BTreeSet::new());
    let (mut size, mut table, mut texts) = (0, 0, String::new());
    while let Some(path) = left.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let (status, headers, text) = get(&mut bench, "GET", &path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let head = |name: header::HeaderName| headers[name].to_str().expect("text").to_owned();
        let kind = match path.rsplit('.').next() {
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        };
        assert_eq!(head(header::CONTENT_TYPE), kind, "{path}");
        assert_eq!(head(header::X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
        assert_eq!(head(header::CACHE_CONTROL), "no-cache", "{path}");
        let policy = head(header::CONTENT_SECURITY_POLICY);
        for rule in ["default-src 'none'", "script-src 'self';", "style-src 'self';", "base-uri 'none'"] {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{path}: {policy}");
        let etag = head(header::ETAG);
        let (status, again, body) = get(&mut bench, "GET", &path, Some(&etag)).await;
        assert_eq!((status, body.as_str()), (StatusCode::NOT_MODIFIED, ""), "{path}");
        assert_eq!(again[header::ETAG], *etag, "{path}");
        assert_eq!(get(&mut bench, "GET", &path, Some("\"other\"")).await.2, text, "{path}");
        let (status, alone, body) = get(&mut bench, "HEAD", &path, None).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, ""), "{path}");
        assert_eq!(alone[header::CONTENT_LENGTH], text.len().to_string(), "{path}");
        // The names of XML are no addresses that anything is asked for, nor is what a sentence shows as one.
        let plain = text.replace("http://www.w3.org/2000/svg", "").replace("http://192.168.1.20:53317", "");
        for strange in ["http://", "https://", "src=\"//", "innerHTML", "eval(", " style=", "javascript:"] {
            assert!(!plain.contains(strange), "{path} has {strange}");
        }
        // Only whoever reads Japanese loads what the box says.
        let is_table = path.ends_with("sentences.js");
        table += if is_table { text.len() } else { 0 };
        size += if is_table { 0 } else { text.len() };
        left.extend(named(&text));
        texts.push_str(&text);
    }
    assert!(seen.len() > 10, "{seen:?}");
    assert!(size < 150_000, "{size} bytes");
    assert!(table > 10_000 && table < 60_000, "{table} bytes of sentences");
    println!("{} files, {size} bytes, {table} of sentences", seen.len());
    let (status, ..) = get(&mut bench, "GET", "/assets/../Cargo.toml", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, ..) = get(&mut bench, "GET", "/assets/none.js", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_a_cover_gets_a_drawing_when_it_asks_for_one() {
    let mut bench = Bench::new().await.expect("started");
    shelve(&bench.library, 1, "tone.flac", &crate::mint::data("tone.flac")).await;
    let (status, ..) = get(&mut bench, "GET", "/api/art/1/300.jpg", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, headers, text) = get(&mut bench, "GET", "/api/art/1/300.jpg?or=disc", None).await;
    assert_eq!(
        (status, &headers[header::CONTENT_TYPE]),
        (StatusCode::OK, &"image/svg+xml".parse().expect("text"))
    );
    assert!(text.starts_with("<svg"), "{text}");
    let (status, ..) = get(&mut bench, "GET", "/api/art/1/300.jpg?or=other", None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_learns_what_its_browser_may() {
    let mut bench = Bench::new().await.expect("started");
    for (who, right) in [(Who::Room, "room"), (Who::Owner, "owner")] {
        let (status, me) = bench.ask(who, "GET", "/api/me", None).await;
        assert_eq!((status, &me["right"]), (StatusCode::OK, &json!(right)), "{me}");
        assert_eq!(me["name"], "Test <1>", "{me}");
    }
    bench.end().await;
}
