//! The HTTP side of LocalSend v2 (README 3.3, 4, 6; reference beam, a.3): who we are, what is to come, the bytes, and the
//! end. Every error is `{"message": …}`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, watch};
use tracing::{debug, info};

use crate::beam::localsend::receiver;
use crate::beam::localsend::sessions::{Coming, Session, Sessions, Who};
use crate::error::{Error, Kind};
use crate::http::bodies::{self, Bodies};
use crate::http::coming;
use crate::http::hosts::{self, Hosts};
use crate::http::server::{Peer, PeerCertificate, Private};
use crate::intake::Intake;
use crate::intake::door::{Delivery, Finished, Refusal};
use crate::offer::Key;
use crate::offer::push::{Sender, Sent};
use crate::offer::whence::Whence;
use crate::units::ByteCount;
use crate::wire::localsend::{self, Device, Info, Prepare};

/// What the routes share. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Desk {
    /// What the box is called.
    pub alias: watch::Receiver<Arc<str>>,
    /// The SHA-256 of our certificate.
    pub fingerprint: Arc<str>,
    /// Where we listen.
    pub port: u16,
    /// Where what is sent goes.
    pub intake: Intake,
    /// Who sends.
    pub sessions: Arc<Sessions>,
    /// What is being read of them.
    pub bodies: Bodies,
    /// Devices that registered without a proof of who they are, and those that share files. They are asked; when many wait,
    /// they come again.
    pub unproved: mpsc::Sender<(Device, SocketAddr)>,
}

impl Desk {
    /// Returns who we are, as answers have it.
    pub fn info(&self) -> Info<'_> {
        Info::ours(self.alias.borrow().clone(), &self.fingerprint)
    }

    /// Returns who we are, as announcements and `register` have it.
    pub fn introduction(&self, announce: Option<bool>) -> Info<'_> {
        Info { announce, ..self.info().at(self.port) }
    }
}

/// Returns the routes; whoever serves them puts the peer and its certificate into each request's extensions.
pub fn router(desk: Desk, hosts: Hosts) -> Router {
    let mut router = Router::new();
    let short = middleware::from_fn_with_state((desk.bodies.clone(), LARGEST_REGISTER), bodies::collect);
    for version in ["v1", "v2"] {
        let path = |name: &str| format!("/api/localsend/{version}/{name}");
        let register = post(register).layer(short.clone());
        router = router.route(&path("info"), get(info)).route(&path("register"), register);
    }
    router
        .route("/api/localsend/v2/prepare-upload", post(prepare))
        .route("/api/localsend/v2/upload", post(upload).layer(DefaultBodyLimit::disable()))
        .route("/api/localsend/v2/cancel", post(cancel))
        .route("/api/localsend/v2/prepare-download", post(nothing_shared))
        .route("/api/localsend/v2/download", get(nothing_shared))
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(middleware::from_fn(no_pages))
        .layer(middleware::from_fn_with_state(hosts, hosts::check))
        .layer(middleware::map_response(in_words))
        .with_state(desk)
}

/// Every error says why in the form that the apps read (reference beam, a.3), also those that are not of this file; an
/// unknown path says nothing.
async fn in_words(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || (status == StatusCode::NOT_FOUND) {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let said =
        Limited::new(body, LONGEST_WORDS).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let form: Option<Value> = serde_json::from_slice(&said).ok();
    let told = |name: &str| form.as_ref().and_then(|form| form[name].as_str()).map(str::to_owned);
    let words = told("message").or_else(|| told("detail"));
    let words = words.or_else(|| String::from_utf8(said.to_vec()).ok().filter(|said| !said.is_empty()));
    let words = words.unwrap_or_else(|| status.canonical_reason().unwrap_or("this is not taken").to_owned());
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response::from_parts(head, Body::from(json!({ "message": words }).to_string()))
}

/// Apps send no Origin; a page of another site does, and has no business here.
async fn no_pages(request: Request, next: Next) -> Response {
    if request.method() != Method::GET && request.headers().contains_key(header::ORIGIN) {
        return refuse(StatusCode::FORBIDDEN, "pages of other sites may not send here");
    }
    next.run(request).await
}

fn refuse(status: StatusCode, words: &str) -> Response {
    (status, Json(json!({ "message": words }))).into_response()
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Parameters {
    fingerprint: Option<String>,
    pin: Option<String>,
    session_id: Option<String>,
    file_id: Option<String>,
    token: Option<String>,
}

/// `GET info`: what subnet scans and favourites of 1.17 and older ask (reference beam, a.2).
async fn info(State(desk): State<Desk>, Query(asked): Query<Parameters>) -> Response {
    let own = asked.fingerprint.is_some_and(|asked| asked.eq_ignore_ascii_case(&desk.fingerprint));
    if own {
        return refuse(StatusCode::PRECONDITION_FAILED, "this is you");
    }
    Json(desk.info()).into_response()
}

/// `POST register`: somebody answers our announcement.
async fn register(
    State(desk): State<Desk>,
    Extension(Peer(peer)): Extension<Peer>,
    certificate: Option<Extension<PeerCertificate>>,
    body: Bytes,
) -> Response {
    match localsend::register(&body) {
        Ok(device) if device.fingerprint.eq_ignore_ascii_case(&desk.fingerprint) => {
            refuse(StatusCode::PRECONDITION_FAILED, "this is you")
        }
        Ok(device) => {
            debug!(alias = %device.alias.escape_debug(), "a LocalSend device is here");
            // 1.18 lists only who shows the certificate that it tells of (reference beam, a.3); others show it when they are
            // asked.
            let proves = |Extension(PeerCertificate(sum)): Extension<PeerCertificate>| {
                device.fingerprint.eq_ignore_ascii_case(&sum)
            };
            let (proved, shown) =
                (device.is_plain() || certificate.clone().is_some_and(proves), certificate.is_some());
            let mut at = peer;
            at.set_port(device.port);
            match localsend::reachable(device, &desk.fingerprint) {
                Some(device) if proved => {
                    desk.intake.heard_receiver(receiver(&device, at, None));
                    if device.download {
                        // How it is talked to is found out there.
                        let _it_comes_again = desk.unproved.try_send((device, at));
                    }
                }
                Some(device) if !shown => drop(desk.unproved.try_send((device, at))),
                _ => {}
            }
            Json(desk.info()).into_response()
        }
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

/// `POST prepare-upload`: held open while somebody is asked. A sender that goes takes its question along.
async fn prepare(
    State(desk): State<Desk>,
    Extension(Peer(peer)): Extension<Peer>,
    certificate: Option<Extension<PeerCertificate>>,
    private: Option<Extension<Private>>,
    Query(asked): Query<Parameters>,
    body: Body,
) -> Response {
    let address = Whence::from(peer);
    if asked.pin.is_some() && private.is_none() {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "a PIN is taken only over https: turn encryption on in the app",
        );
    }
    let prepare = match read(&desk, address, body).await {
        Ok(prepare) => prepare,
        Err(refused) => return refused,
    };
    let certificate = certificate.map(|Extension(PeerCertificate(sum))| sum.to_string());
    let says = (prepare.info.alias.clone(), prepare.info.fingerprint.clone());
    let who = Who { address, certificate: certificate.clone(), says };
    let Some(pending) = desk.sessions.wait(who.clone(), Instant::now()) else {
        return refuse(StatusCode::CONFLICT, "you are sending already");
    };
    if desk.sessions.is_full() {
        return refuse(StatusCode::CONFLICT, "too many are sending");
    }
    let name = prepare.info.alias.clone();
    let key = certificate.map(Key::Certificate);
    let sender = Sender { way: "localsend", key, name, address: address.address };
    if let Some(text) = prepare.text() {
        return match desk.intake.say(&sender, text, asked.pin.as_deref()).await {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(refusal) => refused(&refusal),
        };
    }
    let files = prepare.files.0.iter().map(|(_, file)| sent(file)).collect();
    let offered = tokio::select! {
        () = pending.cancelled.cancelled() => return refuse(StatusCode::FORBIDDEN, "cancelled"),
        offered = desk.intake.offer(sender, files, asked.pin.as_deref()) => offered,
    };
    match offered {
        Ok(delivery) => begin(&desk, who, &prepare, delivery),
        Err(refusal) => refused(&refusal),
    }
}

/// Reads what somebody wants to send: a few questions of one address at once, and in their time.
async fn read(desk: &Desk, address: Whence, body: Body) -> Result<Prepare, Response> {
    let Some(_arriving) = desk.sessions.arrive(address) else {
        return Err(refuse(StatusCode::CONFLICT, "you are asking already"));
    };
    let body = desk.bodies.read(body, LARGEST_JSON).await;
    let body = body.map_err(|not| refuse(not.status(), not.words()))?;
    localsend::prepare(&body.bytes).map_err(|error| refuse(StatusCode::BAD_REQUEST, &error.to_string()))
}

fn sent(file: &localsend::File) -> Sent {
    let (size, mime) = (ByteCount(file.size), file.file_type.clone());
    Sent { name: file.file_name.clone(), size, mime, sha256: file.sum() }
}

fn begin(desk: &Desk, who: Who, prepare: &Prepare, delivery: Delivery) -> Response {
    let id = |&index: &usize| Some((prepare.files.0.get(index)?.0.clone(), index));
    let accepted: Vec<(String, usize)> = delivery.accepted().iter().filter_map(id).collect();
    if accepted.is_empty() {
        // Everything is here, or nothing is music.
        return StatusCode::NO_CONTENT.into_response();
    }
    let (files, known) = (accepted.len(), delivery.known());
    let (session, tokens) = desk.sessions.open(who, delivery, accepted, Instant::now());
    info!(session = session.id, files, known, "somebody sends");
    let tokens: Map<String, Value> = tokens.into_iter().map(|(id, token)| (id, token.into())).collect();
    Json(json!({ "sessionId": session.id, "files": tokens })).into_response()
}

/// The one table from refusals of the door to LocalSend.
fn refused(refusal: &Refusal) -> Response {
    let status = match refusal {
        Refusal::Unfit(_) => StatusCode::BAD_REQUEST,
        Refusal::PinMissing | Refusal::PinWrong => StatusCode::UNAUTHORIZED,
        Refusal::LockedOut => StatusCode::TOO_MANY_REQUESTS,
        Refusal::Declined(_) => StatusCode::FORBIDDEN,
        Refusal::Busy(_) => StatusCode::CONFLICT,
        // There is no 507 in the protocol; apps show the words of a 500.
        Refusal::Full(_) | Refusal::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    info!(status = status.as_u16(), words = refusal.words(), "a sender is refused");
    refuse(status, &refusal.words())
}

/// `POST upload`: the bytes of one file. 200 is said only when they are safe.
async fn upload(
    State(desk): State<Desk>,
    Extension(Peer(peer)): Extension<Peer>,
    Query(asked): Query<Parameters>,
    body: Body,
) -> Response {
    let (Some(id), Some(file), Some(token)) = (asked.session_id, asked.file_id, asked.token) else {
        return refuse(StatusCode::BAD_REQUEST, "sessionId, fileId and token are needed");
    };
    let session = desk.sessions.find(&id, peer.into());
    let coming = session.as_ref().and_then(|session| session.begin(&desk.sessions, &file, &token));
    let (Some(session), Some(coming)) = (session, coming) else {
        return refuse(StatusCode::FORBIDDEN, "this file is not expected from you");
    };
    let counts = session.clone();
    let body = Body::new(body.map_frame(move |frame| {
        counts.came(Instant::now());
        frame
    }));
    let taken = tokio::select! {
        () = session.over.cancelled() => Err(Error::new(Kind::Stopped, "this was cancelled")),
        taken = take(&session, &coming, body) => taken,
    };
    match taken {
        Ok(Finished::Safe) => {
            drop(coming);
            StatusCode::OK.into_response()
        }
        Ok(Finished::WrongSum) => {
            coming.again();
            refuse(StatusCode::UNPROCESSABLE_ENTITY, "the sum of what came is another one")
        }
        Ok(Finished::WrongSize) => {
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "fewer bytes came than were stated")
        }
        Err(error) => {
            info!(%error, "a file did not come in");
            let status = match error.kind() {
                Kind::NotAllowed => StatusCode::FORBIDDEN,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            refuse(status, &error.to_string())
        }
    }
}

async fn take(session: &Session, coming: &Coming, body: Body) -> Result<Finished, Error> {
    let mut incoming = session.delivery.receive(coming.index).await?;
    let mut body = coming::Coming::new(body);
    while let Some(bytes) = body.next().await? {
        incoming.write(bytes).await?;
    }
    incoming.finish().await
}

/// `POST cancel`: always 200.
async fn cancel(
    State(desk): State<Desk>,
    Extension(Peer(peer)): Extension<Peer>,
    Query(asked): Query<Parameters>,
) -> StatusCode {
    desk.sessions.cancel(asked.session_id.as_deref(), peer.into());
    if let Some(session) = asked.session_id {
        // One that is none of what goes out was of what comes in.
        let _of_the_other_way = desk.intake.stopped_there(session, peer.ip().to_canonical()).await;
    }
    StatusCode::OK
}

async fn nothing_shared() -> Response {
    refuse(StatusCode::FORBIDDEN, "nothing is shared here")
}

/// 5,000 files with long names.
const LARGEST_JSON: usize = 8 << 20;
/// One device.
const LARGEST_REGISTER: usize = 16 << 10;
/// Words of a refusal.
const LONGEST_WORDS: usize = 64 << 10;

#[cfg(test)]
mod tests;
