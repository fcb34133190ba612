//! What the owner sets over HTTP, and the outputs there are to choose from. The test sound is a command.

use std::collections::BTreeMap;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Kind};
use crate::offer::Caller;
use crate::settings::Values;
use crate::web::Web;
use crate::web::answer::{Answer, Failure, ok};
use crate::web::json::ListJson;

/// `GET /api/settings`: each value with where it comes from.
pub async fn shown(State(web): State<Web>, Extension(caller): Extension<Caller>) -> Answer<Values> {
    ok(web.settings.shown(&caller).await?)
}

/// `PUT /api/settings`: an object of keys like `quiet.from`; what is not named stays as it is.
pub async fn change(
    state: State<Web>,
    Extension(caller): Extension<Caller>,
    body: Result<Json<BTreeMap<String, Value>>, JsonRejection>,
) -> Answer<Values> {
    let Json(body) = body.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    let changes: Vec<_> =
        body.into_iter().map(|(key, value)| (key, (!value.is_null()).then_some(value))).collect();
    state.settings.change(&caller, &changes).await??;
    shown(state, Extension(caller)).await
}

/// `GET /api/outputs`, the one that `auto` prefers first.
pub async fn outputs(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<ListJson<impl Serialize>>, Failure> {
    let items = web.hifi.of(caller).outputs().await?;
    ok(ListJson { total: items.len() as u64, items })
}
