//! Corrections by hand over HTTP.

use std::collections::BTreeSet;

use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{Path, State};
use axum::{Extension, Json};
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::offer::Caller;
use crate::track::TrackId;
use crate::track::correction::{Change, Field, Words};
use crate::web::Web;
use crate::web::answer::{Answer, Failure, ok};
use crate::web::library::track_id;

/// `POST /api/corrections`: tracks by number, what to set, and which fields show the tagged word again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeveralJson {
    ids: Vec<i64>,
    #[serde(default)]
    set: Words,
    #[serde(default)]
    clear: BTreeSet<Field>,
}

/// `PUT /api/tracks/{id}/correction`: the words that are corrected; every other field shows what the file says.
pub async fn replace(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    body: Result<Json<Words>, JsonRejection>,
) -> Result<StatusCode, Failure> {
    change(&web, caller, &[track_id(&id)?], Change::to(read(body)?)).await
}

/// `DELETE /api/tracks/{id}/correction`.
pub async fn remove(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<StatusCode, Failure> {
    change(&web, caller, &[track_id(&id)?], Change::to(Words::default())).await
}

/// `POST /api/corrections`.
pub async fn several(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    body: Result<Json<SeveralJson>, JsonRejection>,
) -> Result<StatusCode, Failure> {
    let SeveralJson { ids, set, clear } = read(body)?;
    let ids: Vec<TrackId> = ids.into_iter().map(TrackId).collect();
    change(&web, caller, &ids, Change { clear, set }).await
}

/// The name of a picture that was kept: the word of the field `cover`.
#[derive(Debug, Serialize)]
pub struct PictureJson {
    cover: String,
}

/// `POST /api/covers`: a picture as the whole body, JPEG, PNG, WebP, GIF or BMP.
pub async fn picture(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<PictureJson> {
    let bytes = body.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    let cover = web.hifi.of(caller).keep_picture(bytes.to_vec()).await?;
    ok(PictureJson { cover })
}

async fn change(web: &Web, caller: Caller, ids: &[TrackId], change: Change) -> Result<StatusCode, Failure> {
    web.hifi.of(caller).correct(ids, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn read<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Error> {
    body.map(|Json(body)| body).map_err(|error| Error::new(Kind::Invalid, error.body_text()))
}
