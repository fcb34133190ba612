//! Covers over HTTP.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, Method};

use crate::error::{Error, Kind};
use crate::http::range;
use crate::offer::Caller;
use crate::web::Web;
use crate::web::answer::Failure;
use crate::web::library::track_id;

/// `GET` and `HEAD /api/art/{id}/{size}.jpg`.
pub async fn cover(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path((id, name)): Path<(String, String)>,
    method: Method,
    asked: HeaderMap,
) -> Result<Response, Failure> {
    let size = name.strip_suffix(".jpg");
    let size = size.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no cover {name:?}")))?;
    let cover = web.hifi.of(caller).cover(track_id(&id)?, size.parse()?).await?;
    Ok(range::jpeg_response(&asked, &method, cover.jpeg, &cover.etag))
}
