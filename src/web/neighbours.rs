//! Who is here and what comes in, over HTTP.

use axum::Extension;
use axum::Json;
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

/// `POST /api/search`: looks for devices again.
pub async fn search(State(web): State<Web>) -> Result<StatusCode, Failure> {
    web.intake.ask(Ask::Search).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `POST /api/neighbours/{id}/{what}`: `look`, `pull`, `always`, `ask`, `never`.
pub async fn ask(
    State(web): State<Web>,
    Extension(_): Extension<Caller>,
    Path((id, what)): Path<(String, String)>,
) -> Result<StatusCode, Failure> {
    let id = NeighbourId(id.into());
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
