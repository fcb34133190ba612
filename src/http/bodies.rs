//! Bodies that are read whole before anything is done with them: within a time that grows only with what came, within a
//! size, and few large ones at once, so that many who send much hold neither places nor memory (reference upnp 6.1, "limit,
//! log, not ban"; reference beam, a.4, "cap JSON body, pending time").

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body::Body as HttpBody;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::http::problem::Problem;

/// The bodies of one listener. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bodies {
    large: Arc<Semaphore>,
    begun_within: Duration,
}

impl Default for Bodies {
    fn default() -> Bodies {
        Bodies { large: Arc::new(Semaphore::new(MOST_LARGE)), begun_within: BEGUN_WITHIN }
    }
}

/// A body that is here. While it lives, a large one holds the place of a large one.
#[derive(Debug)]
pub struct Whole {
    /// What came.
    pub bytes: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRead {
    /// It is, or says that it is, longer than the most.
    TooLarge,
    /// It did not come within its time.
    TooSlow,
    /// Its sender broke off.
    Broken,
}

impl NotRead {
    /// Returns the status of the answer (RFC 9110, 15.5.14, 15.5.9, 15.5.1).
    pub fn status(self) -> StatusCode {
        match self {
            NotRead::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            NotRead::TooSlow => StatusCode::REQUEST_TIMEOUT,
            NotRead::Broken => StatusCode::BAD_REQUEST,
        }
    }

    /// Returns the words of the answer.
    pub fn words(self) -> &'static str {
        match self {
            NotRead::TooLarge => "this is longer than what is read here",
            NotRead::TooSlow => "it comes too slowly",
            NotRead::Broken => "the sender broke off",
        }
    }
}

impl Bodies {
    /// Reads a body of at most so many bytes. Beyond 64 KiB it waits until few others are read.
    ///
    /// # Errors
    /// See [`NotRead`]. A body that says a greater length is refused before a byte of it is read.
    /// # Cancel
    /// What came is gone.
    pub async fn read(&self, mut body: Body, most: usize) -> Result<Whole, NotRead> {
        if HttpBody::size_hint(&body).lower() > most as u64 {
            return Err(NotRead::TooLarge);
        }
        let (begun, mut whole, mut place) = (Instant::now(), BytesMut::new(), None);
        loop {
            let until = begun + self.begun_within + more(whole.len());
            let frame = timeout_at(until, body.frame()).await.map_err(|_| NotRead::TooSlow)?;
            let Some(frame) = frame else { return Ok(Whole { bytes: whole.freeze(), _place: place }) };
            // Trailers say nothing here.
            let Ok(bytes) = frame.map_err(|_| NotRead::Broken)?.into_data() else { continue };
            let here = whole.len() + bytes.len();
            if here > most {
                return Err(NotRead::TooLarge);
            }
            if here > SMALL && place.is_none() {
                let taken = timeout_at(until, self.large.clone().acquire_owned()).await;
                place = Some(taken.map_err(|_| NotRead::TooSlow)?.map_err(|_| NotRead::Broken)?);
            }
            whole.extend_from_slice(&bytes);
        }
    }
}

/// Returns how much longer a body may take of which so many bytes are here.
fn more(here: usize) -> Duration {
    Duration::from_millis(here as u64 / LEAST_A_MILLISECOND)
}

/// Reads the body of a request before its handler runs: a layer for every route whose body is a message, not a file.
pub async fn collect(
    State((bodies, most)): State<(Bodies, usize)>,
    request: Request,
    next: Next,
) -> Response {
    if HttpBody::is_end_stream(request.body()) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    match bodies.read(body, most).await {
        Ok(whole) => next.run(Request::from_parts(head, Body::from(whole.bytes.clone()))).await,
        Err(not) => {
            let code = match not {
                NotRead::TooLarge => "too_large",
                NotRead::TooSlow => "too_slow",
                NotRead::Broken => "invalid",
            };
            Problem::new(not.status(), code, not.words()).into_response()
        }
    }
}

/// A body of which nothing came for so long is over...
const BEGUN_WITHIN: Duration = Duration::from_secs(10);
/// ...and each millisecond more must bring so many bytes.
const LEAST_A_MILLISECOND: u64 = 256;
/// Above this a body is large...
const SMALL: usize = 64 << 10;
/// ...and so many of those are here at once.
const MOST_LARGE: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt, stream};

    fn pieces(count: usize) -> Body {
        Body::from_stream(stream::iter((0..count).map(|_| Ok::<_, std::io::Error>(vec![7; 16 << 10]))))
    }

    #[tokio::test]
    async fn a_body_that_stops_is_let_go() {
        let bodies = Bodies { begun_within: Duration::from_millis(300), ..Bodies::default() };
        let stops = pieces(2).into_data_stream().chain(stream::pending());
        let begun = Instant::now();
        let told = bodies.read(Body::from_stream(stops), 1 << 20).await.map(|whole| whole.bytes.len());
        assert_eq!(told, Err(NotRead::TooSlow));
        assert!(begun.elapsed() >= bodies.begun_within + more(32 << 10));
        assert!(more(8 << 20) > 3 * BEGUN_WITHIN, "what goes on is waited for");
        let broken = stream::iter([Ok(vec![1; 5]), Err("cut")]);
        let told = bodies.read(Body::from_stream(broken), 100).await.map(|whole| whole.bytes.len());
        assert_eq!(told, Err(NotRead::Broken));
    }

    #[tokio::test]
    async fn many_large_bodies_at_once_hold_the_memory_of_few() {
        let bodies = Bodies { begun_within: Duration::from_secs(2), ..Bodies::default() };
        // All of them bring a megabyte, and then wait.
        let held = || {
            let bodies = bodies.clone();
            let body = pieces(64).into_data_stream().chain(stream::pending());
            tokio::spawn(async move { bodies.read(Body::from_stream(body), 8 << 20).await.map(drop) })
        };
        let all: Vec<_> = (0..64).map(|_| held()).collect();
        while bodies.large.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let patient = Bodies { begun_within: Duration::from_secs(60), ..bodies.clone() };
        let small = patient.read(pieces(4), 8 << 20).await.expect("small ones wait for nobody");
        assert_eq!(small.bytes.len(), SMALL);
        let large = patient.read(pieces(64), 8 << 20).await.expect("and large ones until there is room");
        assert!(bodies.large.available_permits() < MOST_LARGE, "while it lives it holds its place");
        for one in all {
            assert_eq!(one.await.expect("no panic"), Err(NotRead::TooSlow));
        }
        assert_eq!(bodies.large.available_permits(), MOST_LARGE - 1);
        drop(large);
        assert_eq!(bodies.large.available_permits(), MOST_LARGE);
    }

    #[tokio::test]
    async fn a_body_beyond_its_size_is_refused_before_it_is_read() {
        let bodies = Bodies::default();
        let told = Body::from(vec![0; 101]);
        assert_eq!(bodies.read(told, 100).await.map(drop), Err(NotRead::TooLarge));
        assert_eq!(bodies.read(pieces(7), 100_000).await.map(drop), Err(NotRead::TooLarge), "as it comes");
        assert_eq!(bodies.read(Body::from(vec![0; 100]), 100).await.map(drop), Ok(()));
    }
}
