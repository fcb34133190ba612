//! One file as the whole body of a request: `POST /beam?name=` for iOS Shortcuts and Android's HTTP Shortcuts, `PUT` for
//! `curl -T`. Answers with one plain sentence, or JSON for whom asks for it. A form goes to `form`.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use crate::error::{Error, Kind};
use crate::http::coming::Coming;
use crate::http::server::Peer;
use crate::intake::door::{Finished, Incoming};
use crate::offer::push::Sent;
use crate::offer::{Caller, OfferId, Verdict};
use crate::units::ByteCount;
use crate::web::Web;
use crate::web::answer::Failure;
use crate::web::upload::words::{Language, Outcome, shown};
use crate::web::upload::{form, sender, text};
use crate::wire::multipart;

/// What can be said beside a body.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Said {
    /// What the file is called.
    name: Option<String>,
    /// What the sender is called.
    from: Option<String>,
    /// The PIN, where one is asked for.
    pin: Option<String>,
}

/// `POST /beam`, `PUT /beam`: the file, or a form with files.
pub async fn beam(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    peer: Option<Extension<Peer>>,
    Query(said): Query<Said>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if let Some(boundary) = text(&headers, "content-type").and_then(multipart::boundary) {
        let from = sender(&headers, &caller, peer, said.from.as_deref());
        return form::take(&web, from, said.pin, &boundary, &headers, body).await;
    }
    answer(&web, &caller, peer, said, &headers, body).await
}

/// `PUT /beam/{name}`: as `curl -T` and file managers have it.
pub async fn put(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    peer: Option<Extension<Peer>>,
    Path(name): Path<String>,
    Query(said): Query<Said>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    answer(&web, &caller, peer, Said { name: Some(name), ..said }, &headers, body).await
}

async fn answer(
    web: &Web,
    caller: &Caller,
    peer: Option<Extension<Peer>>,
    said: Said,
    headers: &HeaderMap,
    body: Body,
) -> Response {
    let language = Language::of(headers);
    let wants_json = text(headers, "accept").is_some_and(|accept| accept.contains("json"));
    let mut coming = Coming::new(body).expected(headers);
    match take(web, caller, peer, &said, headers, &mut coming, language).await {
        Ok(outcome) => {
            let status = StatusCode::from_u16(outcome.status()).unwrap_or(StatusCode::OK);
            if wants_json {
                return (status, Json(outcome)).into_response();
            }
            (status, outcome.words + "\n").into_response()
        }
        Err(failure) => {
            coming.drain().await;
            if wants_json {
                return failure.into_response();
            }
            let words =
                language.choose("Not taken: ", "受け取れませんでした：").to_owned() + failure.words() + ".\n";
            (failure.status(), words).into_response()
        }
    }
}

async fn take(
    web: &Web,
    caller: &Caller,
    peer: Option<Extension<Peer>>,
    said: &Said,
    headers: &HeaderMap,
    coming: &mut Coming,
    language: Language,
) -> Result<Outcome, Failure> {
    let mime = text(headers, "content-type").unwrap_or_default().to_owned();
    let name = said.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| "song".to_owned());
    let length = text(headers, "content-length").and_then(|length| length.parse().ok()).map(ByteCount);
    let Some(size) = length else {
        let words = "the length must be said before the bytes (Content-Length)";
        return Err(Failure::new(StatusCode::LENGTH_REQUIRED, "length_required", words));
    };
    let from = sender(headers, caller, peer, said.from.as_deref());
    let file = Sent { name: name.clone(), size, mime: kind_of(&mime), sha256: None };
    let delivery = web.intake.offer_next(from, file, said.pin.as_deref()).await?;
    if delivery.known() > 0 {
        coming.drain().await;
        return Ok(Outcome::known(&name, language));
    }
    if delivery.accepted().is_empty() {
        return Err(Failure::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_audio",
            &format!("{} is no music", shown(&name)),
        ));
    }
    let mut incoming = delivery.receive(0).await?;
    let id = incoming.id();
    copy(coming, &mut incoming).await?;
    let finished = incoming.finish().await?;
    delivery.settled(0);
    match finished {
        Finished::Safe => Ok(Outcome::of(&name, verdict(web, id).await.as_ref(), language)),
        Finished::WrongSize | Finished::WrongSum => {
            Err(Error::new(Kind::Invalid, "fewer bytes came than were said").into())
        }
    }
}

async fn copy(coming: &mut Coming, incoming: &mut Incoming) -> Result<(), Error> {
    while let Some(bytes) = coming.next().await? {
        incoming.write(bytes).await?;
    }
    Ok(())
}

/// What HTTP clients say when they know nothing is no hint; a form's own type neither.
fn kind_of(mime: &str) -> String {
    let plain = mime.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let says_nothing = ["application/x-www-form-urlencoded", "text/plain", "application/octet-stream"];
    if says_nothing.contains(&plain.as_str()) { String::new() } else { plain }
}

/// Waits a while for what becomes of a file; `None`: that takes longer.
pub async fn verdict(web: &Web, id: OfferId) -> Option<Verdict> {
    let mut board = web.intake.board();
    let known = board
        .wait_for(|board| board.arrivals.iter().any(|arrival| arrival.id == id && arrival.verdict.is_some()));
    let board = tokio::time::timeout(VERDICT_WITHIN, known).await.ok()?.ok()?;
    board.arrivals.iter().find(|arrival| arrival.id == id).and_then(|arrival| arrival.verdict.clone())
}

/// A person waits with the phone in the hand.
const VERDICT_WITHIN: Duration = Duration::from_secs(5);
