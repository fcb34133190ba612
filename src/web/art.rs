//! Covers over HTTP.

use axum::Extension;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::{HeaderMap, Method};
use serde::Deserialize;

use crate::error::{Error, Kind};
use crate::http::range;
use crate::offer::Caller;
use crate::web::Web;
use crate::web::answer::Failure;
use crate::web::library::track_id;
use crate::web::page;

/// What to show for a track without a cover.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Instead {
    /// `disc`: a drawing of a disc, so that a page need not ask twice; without it, not found.
    or: Option<Drawing>,
}

/// A picture that konpo brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Drawing {
    Disc,
}

/// `GET` and `HEAD /api/art/{id}/{size}.jpg`.
pub async fn cover(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    Path((id, name)): Path<(String, String)>,
    given: Result<Query<Instead>, QueryRejection>,
    method: Method,
    asked: HeaderMap,
) -> Result<Response, Failure> {
    let Query(instead) = given.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    let size = name.strip_suffix(".jpg");
    let size = size.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no cover {name:?}")))?;
    let cover = match web.hifi.of(caller).cover(track_id(&id)?, size.parse()?).await {
        Err(error) if error.kind() == Kind::NotFound && instead.or == Some(Drawing::Disc) => {
            return Ok(page::disc(&method, &asked));
        }
        cover => cover?,
    };
    Ok(range::jpeg_response(&asked, &method, cover.jpeg, &cover.etag))
}
