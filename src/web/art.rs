//! Covers over HTTP.

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

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
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut response = if known.into_iter().any(|list| range::names(list, &cover.etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let length = cover.jpeg.len();
        let body = if method == Method::HEAD { Body::empty() } else { Body::from(cover.jpeg) };
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
        ([kind, (header::CONTENT_LENGTH, length.into())], body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(KEPT));
    if let Ok(etag) = HeaderValue::from_str(&cover.etag) {
        headers.insert(header::ETAG, etag);
    }
    Ok(response)
}

/// For a day, by the one who asked.
const KEPT: &str = "private, max-age=86400";
