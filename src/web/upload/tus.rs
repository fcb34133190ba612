//! Resumable uploads: tus resumable upload protocol 1.0.0 (tus.io/protocols) with the extensions creation,
//! creation-with-upload, termination, checksum and expiration. The length must be known.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use tracing::debug;

use crate::error::{Error, Kind};
use crate::http::coming::Coming;
use crate::http::server::Peer;
use crate::intake::append::Sum;
use crate::intake::door::InAll;
use crate::intake::door::uploads::{Begun, Counts, Piece, Upload};
use crate::offer::Caller;
use crate::offer::push::Sent;
use crate::track::Sha256;
use crate::units::ByteCount;
use crate::web::Web;
use crate::web::answer::Failure;
use crate::web::upload::{sender, text};
use crate::wire::tus::{self, Checksum};

/// `OPTIONS`: what is spoken (1.0.0, "OPTIONS"), and the longest file.
pub async fn about() -> Response {
    let told = [
        (RESUMABLE, tus::VERSION),
        (HeaderName::from_static("tus-version"), tus::VERSION),
        (HeaderName::from_static("tus-extension"), EXTENSIONS),
        (HeaderName::from_static("tus-checksum-algorithm"), tus::CHECKSUMS),
        (HeaderName::from_static("tus-max-size"), LARGEST),
    ];
    (StatusCode::NO_CONTENT, told).into_response()
}

/// `POST /api/uploads`: a file is begun (extension Creation), with its first bytes when they are there.
pub async fn create(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    told(begin(&web, &caller, peer, &headers, body).await)
}

/// `HEAD /api/uploads/{id}`: how many bytes are here.
pub async fn head(State(web): State<Web>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    told(offset(&web, &id, &headers).await)
}

/// `PATCH /api/uploads/{id}`: the next bytes.
pub async fn patch(
    State(web): State<Web>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    told(append(&web, &id, &headers, body).await)
}

/// `DELETE /api/uploads/{id}`: it is given up (extension Termination).
pub async fn delete(State(web): State<Web>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    told(terminate(&web, &id, &headers).await)
}

/// `POST /api/uploads/{id}`: PATCH or DELETE of a client that cannot say so (1.0.0, "X-HTTP-Method-Override").
pub async fn instead(
    State(web): State<Web>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let method = text(&headers, "x-http-method-override").map(str::to_ascii_uppercase);
    match method.as_deref() {
        Some("PATCH") => told(append(&web, &id, &headers, body).await),
        Some("DELETE") => told(terminate(&web, &id, &headers).await),
        Some("HEAD") => told(offset(&web, &id, &headers).await),
        _ => {
            let words = "say in X-HTTP-Method-Override what is to be done, or ask by that method itself";
            told(Err(Failure::new(StatusCode::BAD_REQUEST, "invalid", words)))
        }
    }
}

/// Every answer names the version (1.0.0, "Tus-Resumable").
fn told(answer: Result<Response, Failure>) -> Response {
    let mut response = answer.unwrap_or_else(IntoResponse::into_response);
    let is_other = response.status() == StatusCode::PRECONDITION_FAILED;
    let headers = response.headers_mut();
    headers.insert(RESUMABLE, HeaderValue::from_static(tus::VERSION));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if is_other {
        headers.insert("tus-version", HeaderValue::from_static(tus::VERSION));
    }
    response
}

/// A request of another version is not processed (1.0.0, "Tus-Resumable").
fn is_spoken(headers: &HeaderMap) -> Result<(), Failure> {
    if text(headers, "tus-resumable") == Some(tus::VERSION) {
        return Ok(());
    }
    let words = "only tus 1.0.0 is spoken here: Tus-Resumable must say so";
    Err(Failure::new(StatusCode::PRECONDITION_FAILED, "wrong_version", words))
}

async fn begin(
    web: &Web,
    caller: &Caller,
    peer: Option<Extension<Peer>>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    is_spoken(headers)?;
    if headers.contains_key("upload-concat") {
        let words = "files are not put together from parts here: send one after the other";
        return Err(Failure::new(StatusCode::BAD_REQUEST, "invalid", words));
    }
    let Some(length) = text(headers, "upload-length") else {
        let words = "Upload-Length is needed: a length that is told later is not taken";
        return Err(Failure::new(StatusCode::BAD_REQUEST, "invalid", words));
    };
    let size = tus::bytes(length)?;
    if size > LARGEST.parse().unwrap_or(u64::MAX) {
        let words = format!("files above {LARGEST} bytes are not taken");
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &words));
    }
    let metadata = tus::metadata(text(headers, "upload-metadata").unwrap_or_default())?;
    let first = |keys: &[&str]| keys.iter().find_map(|key| metadata.text(key)).map(str::to_owned);
    // Uppy says `relativePath`, and `null` where there is none; most say `filename`, some `name`.
    let path = first(&["relativePath"]).filter(|path| !path.is_empty() && path != "null");
    let name = path.or_else(|| first(&["filename", "name"])).filter(|name| !name.is_empty());
    let file = Sent {
        name: name.unwrap_or_else(|| "song".to_owned()),
        size: ByteCount(size),
        mime: first(&["filetype", "type"]).unwrap_or_default(),
        sha256: metadata.text("sha256").and_then(sum),
    };
    let from = sender(headers, caller, peer, metadata.text("from"));
    // Our page says what it brings in all; other clients do not, and need not.
    let count = |key| metadata.text(key).and_then(|text| tus::bytes(text).ok());
    let in_all =
        count("files").zip(count("bytes")).map(|(files, bytes)| InAll { files, bytes: ByteCount(bytes) });
    let begun = web.uploads.begin_one_of(from, file, in_all, metadata.text("pin")).await?;
    let Begun { name, upload, known } = begun;
    let mut answer = StatusCode::CREATED.into_response();
    let carries = text(headers, "content-type") == Some(BYTES);
    let here = match (known, carries && size > 0) {
        (true, _) => size,
        (false, false) => 0,
        (false, true) => take(&upload, 0, headers, body).await?,
    };
    let put = answer.headers_mut();
    put.insert(header::LOCATION, value(&format!("/api/uploads/{name}")));
    if known || carries {
        put.insert(OFFSET, value(&here.to_string()));
    }
    if known {
        put.insert("konpo-known", HeaderValue::from_static("?1"));
    }
    expires(&upload, put);
    Ok(answer)
}

async fn offset(web: &Web, id: &str, headers: &HeaderMap) -> Result<Response, Failure> {
    is_spoken(headers)?;
    let upload = web.uploads.find(id).await?;
    let here = upload.offset().await?;
    let mut answer = StatusCode::OK.into_response();
    let put = answer.headers_mut();
    put.insert(OFFSET, value(&here.to_string()));
    put.insert(LENGTH, value(&upload.size().to_string()));
    expires(&upload, put);
    Ok(answer)
}

async fn append(web: &Web, id: &str, headers: &HeaderMap, body: Body) -> Result<Response, Failure> {
    is_spoken(headers)?;
    if text(headers, "content-type") != Some(BYTES) {
        let words = format!("the content type must be {BYTES}");
        return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", &words));
    }
    let missing = || Failure::new(StatusCode::BAD_REQUEST, "invalid", "Upload-Offset is needed");
    let at = tus::bytes(text(headers, "upload-offset").ok_or_else(missing)?)?;
    let upload = web.uploads.find(id).await?;
    let here = if upload.is_known() {
        // The shelf has it: whoever sends all the same hears that all is here.
        Coming::new(body).expected(headers).drain().await;
        upload.size()
    } else {
        take(&upload, at, headers, body).await?
    };
    let mut answer = StatusCode::NO_CONTENT.into_response();
    answer.headers_mut().insert(OFFSET, value(&here.to_string()));
    expires(&upload, answer.headers_mut());
    Ok(answer)
}

async fn terminate(web: &Web, id: &str, headers: &HeaderMap) -> Result<Response, Failure> {
    is_spoken(headers)?;
    web.uploads.find(id).await?.cancel().await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Takes a piece. Returns how many bytes are here.
async fn take(upload: &Upload, at: u64, headers: &HeaderMap, body: Body) -> Result<u64, Failure> {
    let wanted = text(headers, "upload-checksum").map(tus::checksum).transpose();
    let wanted =
        wanted.map_err(|error| Failure::new(StatusCode::BAD_REQUEST, "invalid", &error.to_string()))?;
    let counts = if wanted.is_some() { Counts::WhenRight } else { Counts::AtOnce };
    let piece = upload.append(at, counts).await.map_err(|error| match error.kind() {
        Kind::Invalid => Failure::new(StatusCode::CONFLICT, "wrong_offset", &error.to_string()),
        _ => error.into(),
    })?;
    let told = text(headers, "content-length").and_then(|length| tus::bytes(length).ok());
    if told.is_some_and(|length| length > piece.room()) {
        let words = "this is more than the file was said to have";
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", words));
    }
    let mut piece = piece;
    if let Some(wanted) = &wanted {
        piece.begin_sum(match wanted {
            Checksum::Sha1(_) => Sum::Sha1,
            Checksum::Sha256(_) => Sum::Sha256,
        });
    }
    if let Err(error) = read(&mut piece, Coming::new(body)).await {
        debug!(%error, "a piece of an upload broke off");
        if error.kind() == Kind::Damaged {
            // Whoever sends more than it said has said something wrong about all of it.
            piece.take_back().await?;
        } else {
            piece.break_off().await?;
        }
        return Err(match error.kind() {
            Kind::Damaged => Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &error.to_string()),
            Kind::Busy => Failure::new(StatusCode::CONFLICT, "taken_over", &error.to_string()),
            _ => error.into(),
        });
    }
    if let Some(Checksum::Sha1(wanted) | Checksum::Sha256(wanted)) = wanted
        && piece.end_sum().await? != wanted
    {
        piece.take_back().await?;
        let mismatch = StatusCode::from_u16(MISMATCH).unwrap_or(StatusCode::BAD_REQUEST);
        return Err(Failure::new(mismatch, "wrong_sum", "the sum of what came is another one"));
    }
    Ok(piece.end().await?)
}

async fn read(piece: &mut Piece, mut coming: Coming) -> Result<(), Error> {
    let taken_over = piece.taken_over();
    loop {
        let next = tokio::select! {
            () = taken_over.cancelled() => return Err(Error::new(Kind::Busy, "its sender began anew")),
            next = coming.next() => next?,
        };
        let Some(bytes) = next else { return Ok(()) };
        piece.write(bytes).await?;
    }
}

fn expires(upload: &Upload, headers: &mut HeaderMap) {
    if let Some(at) = upload.expires() {
        headers.insert("upload-expires", value(&tus::date(at)));
    }
}

/// Digits, hex and dates only: they are always values.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// Reads a SHA-256 in hex.
fn sum(hex: &str) -> Option<Sha256> {
    let bytes = hex.as_bytes();
    let mut sum = [0; 32];
    if bytes.len() != 64 || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (at, byte) in sum.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(Sha256(sum))
}

const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
const LENGTH: HeaderName = HeaderName::from_static("upload-length");
const EXTENSIONS: &str = "creation,creation-with-upload,termination,checksum,expiration";
const BYTES: &str = "application/offset+octet-stream";
/// The longest file that the door takes: 8 GiB.
const LARGEST: &str = "8589934592";
/// 1.0.0, extension Checksum: 460 Checksum Mismatch.
const MISMATCH: u16 = 460;
