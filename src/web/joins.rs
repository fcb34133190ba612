//! The LocalSend app on the phone that has the page open: one tap makes both the same device.

use axum::Extension;
use axum::extract::{Path, State};
use http::StatusCode;
use serde::Serialize;

use crate::http::server::Peer;
use crate::offer::Caller;
use crate::offer::out::ReceiverId;
use crate::web::Web;
use crate::web::answer::{Answer, Failure, ok};
use crate::web::json::ListJson;

/// An app that may be the same device.
#[derive(Debug, Serialize)]
pub struct JoinJson {
    id: ReceiverId,
    /// What it calls itself.
    name: String,
    /// Its model as it states it.
    model: String,
}

/// `GET /api/joins`: apps with LocalSend that are open at the address of whoever asks.
pub async fn list(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    peer: Option<Extension<Peer>>,
) -> Answer<ListJson<JoinJson>> {
    let found = web.intake.joins(&caller, address(peer)).await?;
    let items: Vec<JoinJson> =
        found.into_iter().map(|one| JoinJson { id: one.id, name: one.name, model: one.model }).collect();
    ok(ListJson { total: items.len() as u64, items })
}

/// `POST /api/joins/{id}`: it is this device.
pub async fn join(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    peer: Option<Extension<Peer>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    web.intake.join(&caller, address(peer), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn address(peer: Option<Extension<Peer>>) -> Option<std::net::IpAddr> {
    peer.map(|Extension(Peer(peer))| peer.ip())
}
