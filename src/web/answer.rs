//! The one table from konpo's errors and refusals to HTTP, as problem details (RFC 9457).

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use crate::error::{Error, Kind};
use crate::hifi::command::Refused;
use crate::http::problem::Problem;
use crate::intake::door::Refusal;

/// Why a request is not fulfilled.
#[derive(Debug)]
pub struct Failure(Problem);

impl Failure {
    /// Returns a failure of its own words.
    pub fn new(status: StatusCode, code: &'static str, words: &str) -> Failure {
        Failure(Problem::new(status, code, words))
    }

    /// Returns the status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// Returns the words for a person.
    pub fn words(&self) -> &str {
        self.0.words()
    }
}

/// The result of a handler.
pub type Answer<T> = Result<Json<T>, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let (status, code) = match error.kind() {
            Kind::Invalid => (StatusCode::BAD_REQUEST, "invalid"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Kind::NotAllowed => (StatusCode::FORBIDDEN, "not_allowed"),
            Kind::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Kind::Full => (StatusCode::INSUFFICIENT_STORAGE, "full"),
            Kind::Offline => (StatusCode::SERVICE_UNAVAILABLE, "offline"),
            Kind::Unreachable => (StatusCode::BAD_GATEWAY, "unreachable"),
            Kind::Damaged => (StatusCode::UNPROCESSABLE_ENTITY, "damaged"),
            Kind::Unsupported => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported"),
            Kind::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "stopped"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(%error, "a request failed");
        }
        Failure(Problem::new(status, code, &error.to_string()))
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        let (status, code) = match refused {
            Refused::EmptyQueue => (StatusCode::CONFLICT, "empty_queue"),
            Refused::NoSuchEntry => (StatusCode::NOT_FOUND, "no_such_entry"),
            Refused::NoSuchTrack => (StatusCode::NOT_FOUND, "no_such_track"),
            Refused::Locked => (StatusCode::CONFLICT, "locked"),
            Refused::NotSeekable => (StatusCode::CONFLICT, "not_seekable"),
            Refused::OutOfRange => (StatusCode::CONFLICT, "out_of_range"),
            Refused::NoDevice => (StatusCode::CONFLICT, "no_device"),
            Refused::FixedVolume => (StatusCode::CONFLICT, "fixed_volume"),
            Refused::Unsupported => (StatusCode::CONFLICT, "unsupported"),
            Refused::QuietHours => (StatusCode::CONFLICT, "quiet_hours"),
            Refused::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Refused::NotAllowed => (StatusCode::FORBIDDEN, "not_allowed"),
        };
        Failure(Problem::new(status, code, refused.words()))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        let words = refusal.words();
        let (status, code) = match refusal {
            Refusal::Unfit(_) => (StatusCode::BAD_REQUEST, "unfit"),
            Refusal::PinMissing => (StatusCode::FORBIDDEN, "pin_missing"),
            Refusal::PinWrong => (StatusCode::FORBIDDEN, "wrong_pin"),
            Refusal::LockedOut => (StatusCode::TOO_MANY_REQUESTS, "locked_out"),
            Refusal::Declined(_) => (StatusCode::FORBIDDEN, "declined"),
            Refusal::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Refusal::Full(_) => (StatusCode::INSUFFICIENT_STORAGE, "full"),
            Refusal::Failed(error) => return error.into(),
        };
        Failure(Problem::new(status, code, &words))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

/// Returns an answer.
pub fn ok<T: Serialize>(value: T) -> Answer<T> {
    Ok(Json(value))
}
