//! What phones bring by themselves, and who may: questions, the beam window, taking back, pairing, paired devices.

use axum::Extension;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::http::server::{Local, Peer};
use crate::intake::door::Pin;
use crate::lan::networks;
use crate::offer::push::{Beam, BeamId, Device, OnArrival, Request, RequestId};
use crate::offer::{Arrival, Caller, DeviceId, Key, Right};
use crate::units::UnixTime;
use crate::web::Web;
use crate::web::answer::{Answer, Failure, ok};
use crate::web::json::ListJson;

/// Who waits, what came, and what comes.
#[derive(Debug, Serialize)]
pub struct Offers {
    total: u64,
    items: Vec<Arrival>,
    asks: Vec<Request>,
    beams: Vec<Beam>,
    window: Option<UnixTime>,
}

/// `GET /api/offers`: senders that wait, what they brought, files on their way in and the last ones that ended.
pub async fn offers(State(web): State<Web>) -> Answer<Offers> {
    let board = web.intake.board().borrow().clone();
    let items = board.arrivals.clone();
    let (asks, beams, window) = (board.asks.clone(), board.beams.clone(), board.window);
    ok(Offers { total: items.len() as u64, items, asks, beams, window })
}

/// `POST /api/offers/{id}/{what}`: `accept` or `reject`.
pub async fn answer(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path((id, what)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    let yes = match what.as_str() {
        "accept" => true,
        "reject" => false,
        _ => return Err(Error::new(Kind::NotFound, format!("{what:?} is not one of accept, reject")).into()),
    };
    web.intake.answer(&caller, RequestId(number(&id)?), yes)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The beam window.
#[derive(Debug, Serialize)]
pub struct Window {
    until: UnixTime,
}

/// `POST /api/beam`: for ten minutes, and longer while it is used, nobody is asked for.
pub async fn open(State(web): State<Web>, Extension(caller): Extension<Caller>) -> Answer<Window> {
    ok(Window { until: web.intake.open_window(&caller)? })
}

/// `DELETE /api/beam`: senders are asked for again.
pub async fn close(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
) -> Result<StatusCode, Failure> {
    web.intake.close_window(&caller)?;
    Ok(StatusCode::NO_CONTENT)
}

/// What was taken back.
#[derive(Debug, Serialize)]
pub struct Undone {
    gone: u64,
}

/// `POST /api/beam/{id}/undo`: what came at once goes to the trash.
pub async fn undo(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer<Undone> {
    ok(Undone { gone: web.intake.undo(&caller, BeamId(number(&id)?)).await? })
}

/// Whether the first device that asks becomes the owner.
#[derive(Debug, Serialize)]
pub struct Setup {
    open: bool,
    seconds: u64,
}

/// `GET /api/setup`.
pub async fn setup(State(web): State<Web>) -> Json<Setup> {
    let left = web.intake.setup();
    Json(Setup { open: left.is_some(), seconds: left.unwrap_or_default().as_secs() })
}

/// Who wants to be paired.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Newcomer {
    /// What the device is called.
    name: String,
    /// The PIN, where one is needed.
    #[serde(default)]
    pin: Option<String>,
    /// The token of an invitation, in place of a PIN.
    #[serde(default)]
    token: Option<String>,
}

/// `POST /api/setup`: the first device becomes the owner. Only from a network of the box, never from beyond.
pub async fn become_owner(
    State(web): State<Web>,
    peer: Option<Extension<Peer>>,
    body: Result<Json<Newcomer>, JsonRejection>,
) -> Result<Response, Failure> {
    let Json(new) = body.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    if !is_near(peer.map(|Extension(peer)| peer)).await {
        return Err(Error::new(Kind::NotAllowed, "become the owner from another network").into());
    }
    let (token, key) = new_token();
    web.intake.become_owner(key, &new.name).await?;
    Ok(paired(&token, Right::Owner))
}

/// `POST /api/setup/open`: opens the door of the first start again.
pub async fn open_setup(State(web): State<Web>, Extension(caller): Extension<Caller>) -> Answer<Setup> {
    let lasts = web.intake.open_setup(&caller)?;
    ok(Setup { open: true, seconds: lasts.as_secs() })
}

/// A PIN and how long it lasts.
#[derive(Debug, Serialize)]
pub struct NewPin {
    pin: String,
    seconds: u64,
}

/// `POST /api/pin`: a new PIN, by which devices are paired.
pub async fn pin(State(web): State<Web>, Extension(caller): Extension<Caller>) -> Answer<NewPin> {
    let (pin, lasts) = web.intake.set_pin(&caller)?;
    ok(NewPin { pin, seconds: lasts.as_secs() })
}

/// `DELETE /api/pin`.
pub async fn clear_pin(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
) -> Result<StatusCode, Failure> {
    web.intake.clear_pin(&caller)?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/pair`: whoever says the PIN is paired.
pub async fn pair(
    State(web): State<Web>,
    peer: Option<Extension<Peer>>,
    body: Result<Json<Newcomer>, JsonRejection>,
) -> Result<Response, Failure> {
    let Json(new) = body.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    if let Some(token) = &new.token {
        return invited(&web, peer, token, &new.name).await;
    }
    let from = peer.map(|Extension(Peer(peer))| peer.ip());
    let from =
        from.ok_or_else(|| Error::new(Kind::Invalid, "pair over the local socket: it is the owner's"))?;
    let refused = match web.intake.say_pin(new.pin.as_deref(), from) {
        Pin::Right => None,
        Pin::LockedOut => {
            Some((StatusCode::TOO_MANY_REQUESTS, "locked_out", "too many wrong PINs: try again in a minute"))
        }
        Pin::NotSet => Some((StatusCode::FORBIDDEN, "no_pin", "no PIN is set: `konpo ctl pair` makes one")),
        Pin::Missing | Pin::Wrong => Some((StatusCode::FORBIDDEN, "wrong_pin", "this is not the PIN")),
    };
    if let Some((status, code, words)) = refused {
        return Err(Failure::new(status, code, words));
    }
    let (token, key) = new_token();
    web.intake.pair(key, &new.name.chars().take(LONGEST_NAME).collect::<String>(), Right::Member).await?;
    web.intake.pin_was_used();
    Ok(paired(&token, Right::Member))
}

/// Whoever brings the token of an invitation is paired; the owner only comes from a network of the box.
async fn invited(
    web: &Web,
    peer: Option<Extension<Peer>>,
    token: &str,
    name: &str,
) -> Result<Response, Failure> {
    let most = if is_near(peer.map(|Extension(peer)| peer)).await { Right::Owner } else { Right::Member };
    let (cookie, key) = new_token();
    let paired_as = web.intake.pair_invited(token, key, name, most).await;
    let right = paired_as.map_err(|error| match error.kind() {
        Kind::NotAllowed => {
            let words = "this code was used already or is too old: ask the owner for another one";
            Failure::new(StatusCode::FORBIDDEN, "invitation_over", words)
        }
        _ => error.into(),
    })?;
    Ok(paired(&cookie, right))
}

/// An invitation: an address that pairs one device, and the QR code of it.
#[derive(Debug, Serialize)]
pub struct Invitation {
    url: String,
    seconds: u64,
    /// The edge of the code in modules, without its margin.
    side: usize,
    /// Its dark modules as the data of an SVG path, one unit each.
    path: String,
}

/// `POST /api/invitations`: an address with a token that pairs the one device that opens it.
pub async fn invite(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    local: Option<Extension<Local>>,
) -> Answer<Invitation> {
    let (token, lasts) = web.intake.invite(&caller)?;
    let url = invitation(&web.base(local.map(|Extension(local)| local)).await, &token);
    let code = qrcode::QrCode::new(coded(&url));
    let code = code.map_err(|error| Error::with(Kind::Internal, "draw the code", error))?;
    let (side, colours) = (code.width(), code.to_colors());
    let mut path = String::new();
    for (at, colour) in colours.iter().enumerate() {
        if *colour == qrcode::Color::Dark {
            let (row, column) = (at / side, at % side);
            path.push_str(&format!("M{column} {row}h1v1h-1z"));
        }
    }
    ok(Invitation { url, seconds: lasts.as_secs(), side, path })
}

/// Returns the address that pairs by a token, below the address of the page.
pub fn invitation(base: &str, token: &str) -> String {
    format!("{base}b/{token}")
}

/// Returns an invitation as its code has it: in capitals it is smaller (ISO/IEC 18004, 7.4.4), and browsers read scheme and host
/// all the same (RFC 3986, 6.2.2.1).
pub fn coded(invitation: &str) -> String {
    invitation.to_ascii_uppercase()
}

/// `GET /api/devices`: who is paired.
pub async fn devices(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
) -> Answer<ListJson<Device>> {
    let items = web.intake.devices(&caller).await?;
    ok(ListJson { total: items.len() as u64, items })
}

/// What is set of a device.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// What happens to its songs; null: as the settings say.
    on_arrival: Option<OnArrival>,
}

/// `PUT /api/devices/{id}`.
pub async fn set_device(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    body: Result<Json<Wish>, JsonRejection>,
) -> Result<StatusCode, Failure> {
    let Json(wish) = body.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    web.intake.set_on_arrival(&caller, device_id(&id)?, wish.on_arrival).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /api/devices/{id}`: it is paired no more.
pub async fn forget_device(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    web.intake.forget_device(&caller, device_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn device_id(id: &str) -> Result<DeviceId, Error> {
    let number = number(id)?;
    i64::try_from(number).map(DeviceId).map_err(|_| Error::new(Kind::NotFound, format!("there is no {id:?}")))
}

fn number(id: &str) -> Result<u64, Error> {
    id.parse().map_err(|_| Error::new(Kind::NotFound, format!("there is no {id:?}")))
}

/// A new token, and the key by which it is known: only its hash is kept.
fn new_token() -> (String, Key) {
    let token = uuid::Uuid::new_v4().simple().to_string();
    let key = Key::Cookie(blake3::hash(token.as_bytes()).to_hex().to_string());
    (token, key)
}

/// Answers with the cookie that stands for the device. Scripts cannot read it, and other sites do not send it.
fn paired(token: &str, right: Right) -> Response {
    let cookie = format!("konpo={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={YEAR}");
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        headers.insert(header::SET_COOKIE, value);
    }
    (headers, Json(serde_json::json!({ "right": right }))).into_response()
}

/// Returns whether a caller is on a network of the box, or on the box.
async fn is_near(peer: Option<Peer>) -> bool {
    let Some(Peer(from)) = peer else { return false };
    let looked = tokio::task::spawn_blocking(move || networks::is_near_now(from)).await;
    looked.is_ok_and(|found| found.is_ok_and(|is_near| is_near))
}

/// Seconds.
const YEAR: u32 = 365 * 24 * 3600;
const LONGEST_NAME: usize = 100;
