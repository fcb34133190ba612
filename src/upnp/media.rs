//! The files of the media server and their covers: byte ranges, HEAD, the headers of DLNA (reference upnp 6.1). Serves the
//! room: what names a buyer is blanked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tracing::error;

use crate::error::{Error, Kind};
use crate::hifi::Hifi;
use crate::hifi::command::QueueId;
use crate::http::overlay::Overlay;
use crate::http::problem::Problem;
use crate::http::range;
use crate::http::server::Peer;
use crate::offer::{Caller, Via};
use crate::track::TrackId;
use crate::upnp::content_directory::form;
use crate::upnp::formats::Form;
use crate::upnp::own::Mark;
use crate::upnp::quirks::{Clients, PLAIN};

/// What the routes stand on.
#[derive(Clone)]
struct Media {
    hifi: Hifi,
    clients: Arc<Clients>,
    mark: Mark,
}

/// Returns `GET` and `HEAD /media/{id}-{mark}.{ext}`, `/media/{id}/cover/{edge}.jpg`, and for what is played from a URL
/// `/media/entry/{id}/cover/{edge}.jpg`. The ids are those of tracks, so a URL
/// holds over restarts and rescans, and carries no secret; one that another box handed out is none of ours.
pub fn router(hifi: Hifi, clients: Arc<Clients>, mark: Mark) -> Router {
    Router::new()
        .route("/media/{file}", get(file))
        .route("/media/{id}/cover/{file}", get(cover))
        .route("/media/entry/{id}/cover/{file}", get(cover_of_entry))
        .with_state(Media { hifi, clients, mark })
}

/// What is asked beside the path.
struct Asked {
    method: Method,
    headers: HeaderMap,
    peer: Option<IpAddr>,
    /// The Xbox 360 and Windows Media Player ask for a cover so.
    cover: bool,
}

impl Asked {
    fn of(request: Request) -> Asked {
        let (parts, _) = request.into_parts();
        let cover = parts.uri.query().is_some_and(|query| query.contains("albumArt=true"));
        let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip().to_canonical());
        Asked { method: parts.method, headers: parts.headers, peer, cover }
    }
}

async fn file(State(media): State<Media>, Path(name): Path<String>, request: Request) -> Response {
    let asked = Asked::of(request);
    let Some(track) = media.mark.track(&name) else { return refused(unknown(&name)) };
    let answer = match asked.cover {
        true => media.cover(track, "160", &asked).await,
        false => media.file(track, &asked).await,
    };
    answer.unwrap_or_else(refused)
}

async fn cover(
    State(media): State<Media>,
    Path((id, name)): Path<(String, String)>,
    request: Request,
) -> Response {
    let edge = name.strip_suffix(".jpg").unwrap_or("");
    let Some(track) = media.mark.track(&id) else { return refused(unknown(&id)) };
    media.cover(track, edge, &Asked::of(request)).await.unwrap_or_else(refused)
}

/// The cover in the file behind a URL, by the number of its entry.
async fn cover_of_entry(
    State(media): State<Media>,
    Path((id, name)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (edge, asked) = (name.strip_suffix(".jpg").unwrap_or(""), Asked::of(request));
    let found = async {
        let id = id.parse().map(QueueId).map_err(|_| unknown(&id))?;
        media.hifi.of(Caller::room(Via::Upnp)).cover_of_entry(id, edge.parse()?).await
    };
    found.await.map_or_else(refused, |cover| picture(cover.jpeg, &cover.etag, edge, &asked))
}

impl Media {
    async fn file(&self, track: TrackId, asked: &Asked) -> Result<Response, Error> {
        let headers = &asked.headers;
        if let Some(refused) = beyond(headers) {
            return Ok(refused);
        }
        let session = self.hifi.of(Caller::room(Via::Upnp));
        let served = session.open_media(track).await?;
        let device = asked.peer.map_or(&PLAIN, |peer| self.clients.of(headers, peer, Instant::now()));
        let form =
            form(device, &served.track).unwrap_or(Form { mime: "application/octet-stream", profile: None });
        let overlay =
            Overlay::new(served.file, served.size.0, served.modified, served.changed, served.blanks);
        let mut response = range::file_response(headers, &asked.method, overlay, &served.etag, form.mime);
        let put = response.headers_mut();
        put.insert("transfermode.dlna.org", HeaderValue::from_static(transfer_mode(headers)));
        if let Ok(features) = HeaderValue::from_str(&form.additional()) {
            put.insert("contentfeatures.dlna.org", features);
        }
        if headers.contains_key("realtimeinfo.dlna.org") {
            put.insert("realtimeinfo.dlna.org", HeaderValue::from_static("DLNA.ORG_TLAG=*"));
        }
        Ok(response)
    }

    async fn cover(&self, track: TrackId, edge: &str, asked: &Asked) -> Result<Response, Error> {
        let session = self.hifi.of(Caller::room(Via::Upnp));
        let cover = session.cover(track, edge.parse()?).await?;
        Ok(picture(cover.jpeg, &cover.etag, edge, asked))
    }
}

/// Returns a cover with the headers of DLNA.
fn picture(jpeg: Vec<u8>, etag: &str, edge: &str, asked: &Asked) -> Response {
    let mut response = range::jpeg_response(&asked.headers, &asked.method, jpeg, etag);
    let put = response.headers_mut();
    put.insert("transfermode.dlna.org", HeaderValue::from_static("Interactive"));
    let profile = match edge {
        "160" => "JPEG_TN",
        "300" => "JPEG_SM",
        _ => "JPEG_MED",
    };
    let rest = "DLNA.ORG_OP=01;DLNA.ORG_CI=1;DLNA.ORG_FLAGS=00f00000000000000000000000000000";
    if let Ok(features) = HeaderValue::from_str(&format!("DLNA.ORG_PN={profile};{rest}")) {
        put.insert("contentfeatures.dlna.org", features);
    }
    response
}

/// Refuses what the fourth field of protocolInfo does not promise (DLNA guidelines as reference upnp 6.1 tells them).
fn beyond(headers: &HeaderMap) -> Option<Response> {
    let refused = |status, words| Some(Problem::new(status, "dlna", words).into_response());
    if headers.get("getcontentfeatures.dlna.org").is_some_and(|value| value.as_bytes().trim_ascii() != b"1") {
        return refused(StatusCode::BAD_REQUEST, "getcontentFeatures.dlna.org must be 1");
    }
    let says = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("").trim());
    // The whole file at its own pace is what everybody gets.
    let from_start = |range: &str| {
        let begin = range.strip_prefix("npt=").and_then(|range| range.split_once('-'));
        begin
            .is_some_and(|(begin, end)| end.is_empty() && begin.chars().all(|c| matches!(c, '0' | ':' | '.')))
    };
    let by_time = says("timeseekrange.dlna.org").is_some_and(|range| !from_start(range));
    let faster = says("playspeed.dlna.org").is_some_and(|speed| speed != "speed=1");
    if by_time || faster || headers.contains_key("getavailableseekrange.dlna.org") {
        return refused(StatusCode::NOT_ACCEPTABLE, "this file is served by bytes, not by time");
    }
    None
}

/// Samsung TVs ask for `Interactive`, which is for pictures; they get the music all the same.
fn transfer_mode(headers: &HeaderMap) -> &'static str {
    match headers.get("transfermode.dlna.org").map(HeaderValue::as_bytes) {
        Some(mode) if mode.trim_ascii().eq_ignore_ascii_case(b"background") => "Background",
        _ => "Streaming",
    }
}

fn unknown(name: &str) -> Error {
    Error::new(Kind::NotFound, format!("there is no track {name:?}"))
}

/// The one table from konpo's errors to the statuses of these routes.
fn refused(error: Error) -> Response {
    let (status, code) = match error.kind() {
        Kind::NotFound | Kind::Invalid => (StatusCode::NOT_FOUND, "not_found"),
        Kind::NotAllowed => (StatusCode::FORBIDDEN, "not_allowed"),
        Kind::Unsupported => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported"),
        Kind::Busy | Kind::Offline | Kind::Stopped | Kind::Unreachable => {
            (StatusCode::SERVICE_UNAVAILABLE, "not_now")
        }
        Kind::Damaged | Kind::Full | Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    };
    if error.kind() == Kind::Internal {
        error!(%error, "a file could not be served");
    }
    Problem::new(status, code, &error.to_string()).into_response()
}
