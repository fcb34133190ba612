//! Who is here and what comes in, over HTTP.

use axum::Extension;
use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Deserialize;

use crate::error::{Error, Kind};
use crate::offer::{Ask, Caller, Consent, Neighbour, NeighbourId};
use crate::web::Web;
use crate::web::answer::{Answer, Failure, ok};
use crate::web::json::ListJson;

/// `GET /api/neighbours`.
pub async fn list(State(web): State<Web>) -> Answer<ListJson<Neighbour>> {
    let items = web.intake.board().borrow().neighbours.clone();
    ok(ListJson { total: items.len() as u64, items })
}

/// The body of `POST` and `DELETE /api/neighbours`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewNeighbour {
    /// `host`, `host:port` or the URL of a description.
    address: String,
}

/// `POST /api/neighbours`: adds a device by its address.
pub async fn add(
    State(web): State<Web>,
    body: Result<Json<NewNeighbour>, JsonRejection>,
) -> Result<StatusCode, Failure> {
    let Json(new) = body.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    web.intake.ask(Ask::Add(new.address)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `DELETE /api/neighbours`: forgets an address that was added.
pub async fn forget(
    State(web): State<Web>,
    body: Result<Json<NewNeighbour>, JsonRejection>,
) -> Result<StatusCode, Failure> {
    let Json(old) = body.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    web.intake.ask(Ask::Forget(old.address)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The body of `POST /api/links`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// As the phone shows it: `http://192.168.1.20:53317`.
    link: String,
    /// The PIN that it asks for.
    #[serde(default)]
    pin: Option<String>,
}

/// `POST /api/links`: fetches what a phone shares at a link; how far it is stands among the neighbours.
pub async fn link(
    State(web): State<Web>,
    body: Result<Json<NewLink>, JsonRejection>,
) -> Result<StatusCode, Failure> {
    let Json(new) = body.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    web.intake.ask(Ask::Link(new.link, typed(new.pin))).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Returns what somebody typed, when it is something.
fn typed(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// `POST /api/search`: looks for devices again.
pub async fn search(State(web): State<Web>) -> Result<StatusCode, Failure> {
    web.intake.ask(Ask::Search).await?;
    Ok(StatusCode::ACCEPTED)
}

/// What may be said with `POST /api/neighbours/{id}/{what}`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// The PIN that a phone asks for.
    #[serde(default)]
    pin: Option<String>,
}

/// `POST /api/neighbours/{id}/{what}`: `look`, `pull`, `always`, `ask`, `never`; the first two with a PIN where one is asked for.
pub async fn ask(
    State(web): State<Web>,
    Extension(_): Extension<Caller>,
    Path((id, what)): Path<(String, String)>,
    body: Bytes,
) -> Result<StatusCode, Failure> {
    let id = NeighbourId(id.into());
    let said: Said = match body.is_empty() {
        true => Said::default(),
        false => serde_json::from_slice(&body)
            .map_err(|error| Error::new(Kind::Invalid, format!("read what is said: {error}")))?,
    };
    if let (Some(pin), "look" | "pull") = (typed(said.pin), what.as_str()) {
        web.intake.ask(Ask::Pin(id.clone(), pin)).await?;
    }
    let ask = match what.as_str() {
        "look" => Ask::Look(id),
        "pull" => Ask::Pull(id),
        "always" => Ask::Decide(id, Consent::Always),
        "ask" => Ask::Decide(id, Consent::Ask),
        "never" => Ask::Decide(id, Consent::Never),
        _ => {
            let words = format!("{what:?} is not one of look, pull, always, ask, never");
            return Err(Error::new(Kind::NotFound, words).into());
        }
    };
    web.intake.ask(ask).await?;
    Ok(StatusCode::ACCEPTED)
}
