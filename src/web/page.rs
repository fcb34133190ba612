//! `GET /` and `GET /assets/…`: the page. Its files are part of the program; there is no build step, and nothing of another
//! host is ever loaded. They hold no data: scripts in the browser ask the API for it, with the right that the browser has.

use std::sync::LazyLock;

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use crate::http::problem::Problem;
use crate::http::range;
use crate::words;

/// One file of the page.
struct Asset {
    name: &'static str,
    mime: &'static str,
    text: &'static str,
}

/// `GET` and `HEAD /`.
pub async fn page(method: Method, asked: HeaderMap) -> Response {
    answer(&INDEX, &method, &asked)
}

/// `GET` and `HEAD /assets/{file}`.
pub async fn asset(Path(name): Path<String>, method: Method, asked: HeaderMap) -> Response {
    let sentences = Asset { name: "sentences.js", mime: SCRIPT, text: &SENTENCES };
    match ASSETS.iter().chain([&sentences]).find(|asset| asset.name == name) {
        Some(asset) => answer(asset, &method, &asked),
        None => Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing here").into_response(),
    }
}

/// Answers with the drawing of a disc, for what has no cover.
pub fn disc(method: &Method, asked: &HeaderMap) -> Response {
    answer(&DISC, method, asked)
}

/// Answers with a file, or that the one in the browser is still right (RFC 9110, 13.1.2). It is asked for each time, so that
/// a page never mixes files of two versions of konpo for longer than one visit.
fn answer(asset: &Asset, method: &Method, asked: &HeaderMap) -> Response {
    let etag = format!("\"{}\"", &blake3::hash(asset.text.as_bytes()).to_hex()[..16]);
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut response = if known.into_iter().any(|list| range::names(list, &etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let body = if *method == Method::HEAD { Body::empty() } else { Body::from(asset.text) };
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static(asset.mime));
        ([kind, (header::CONTENT_LENGTH, asset.text.len().into())], body).into_response()
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// What the box says to people, for whom reads Japanese: rows of code, English, Japanese.
static SENTENCES: LazyLock<String> = LazyLock::new(|| {
    let rows: Vec<words::Sentence> = words::sentences().collect();
    format!("export const SENTENCES = {};\n", serde_json::json!(rows))
});

/// Scripts and styles of ours alone, none of them inline; no text ever becomes markup (Content Security Policy Level 3;
/// Trusted Types); no page of another site may frame this one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-cache"),
];

const INDEX: Asset =
    Asset { name: "index.html", mime: "text/html; charset=utf-8", text: include_str!("assets/index.html") };

const DISC: Asset = Asset { name: "disc.svg", mime: "image/svg+xml", text: include_str!("assets/disc.svg") };

const SCRIPT: &str = "text/javascript; charset=utf-8";

const fn script(name: &'static str, text: &'static str) -> Asset {
    Asset { name, mime: SCRIPT, text }
}

/// What the page is made of, beside the page itself.
const ASSETS: &[Asset] = &[
    Asset { name: "style.css", mime: "text/css; charset=utf-8", text: include_str!("assets/style.css") },
    Asset { name: "icon.svg", mime: "image/svg+xml", text: include_str!("assets/icon.svg") },
    DISC,
    script("page.js", include_str!("assets/page.js")),
    script("start.js", include_str!("assets/start.js")),
    script("box.js", include_str!("assets/box.js")),
    script("words.js", include_str!("assets/words.js")),
    script("parts.js", include_str!("assets/parts.js")),
    script("now.js", include_str!("assets/now.js")),
    script("queue.js", include_str!("assets/queue.js")),
    script("library.js", include_str!("assets/library.js")),
    script("beam.js", include_str!("assets/beam.js")),
    script("arrivals.js", include_str!("assets/arrivals.js")),
    script("neighbours.js", include_str!("assets/neighbours.js")),
    script("purchases.js", include_str!("assets/purchases.js")),
    script("settings.js", include_str!("assets/settings.js")),
    script("corrections.js", include_str!("assets/corrections.js")),
    script("send.js", include_str!("assets/send.js")),
    script("welcome.js", include_str!("assets/welcome.js")),
];
