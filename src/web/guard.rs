//! Who asks, and whether it may: the caller of every request, the right of every route, and the Origin rule.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::http::problem::Problem;
use crate::http::server::PeerCred;
use crate::offer::{Caller, Key, Right, Via};
use crate::web::Web;

/// Makes the caller of a request and puts it among the request's extensions.
pub async fn identify(State(web): State<Web>, mut request: Request, next: Next) -> Response {
    if let Some(problem) = foreign_origin(request.method(), request.headers()) {
        return problem.into_response();
    }
    let caller = match request.extensions().get::<PeerCred>() {
        Some(peer) if is_owner(*peer).await => web.intake.who(Some(Key::LocalOwner), Via::Ctl).await,
        Some(_) => Caller::room(Via::Ctl),
        None => web.intake.who(token(request.headers()), Via::Web).await,
    };
    let forgotten = caller.device.map(|device| web.intake.until_forgotten(device));
    request.extensions_mut().insert(caller);
    let response = next.run(request).await;
    match forgotten {
        Some(forgotten) => response.map(|body| Body::new(Known::new(body, forgotten))),
        None => response,
    }
}

/// An answer to a paired device: events and archives break off when the device is forgotten.
struct Known {
    body: Body,
    forgotten: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Known {
    fn new(body: Body, forgotten: CancellationToken) -> Known {
        Known { body, forgotten: Box::pin(forgotten.cancelled_owned()) }
    }
}

impl HttpBody for Known {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.forgotten.as_mut().poll(context).is_ready() {
            return Poll::Ready(Some(Err(axum::Error::new("this device is paired no more"))));
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Lets a request pass whose caller has at least the route's right.
pub async fn require(State(right): State<Right>, request: Request, next: Next) -> Response {
    let has = request.extensions().get::<Caller>().map(|caller| caller.right);
    if has.is_some_and(|has| has >= right) {
        return next.run(request).await;
    }
    let words = match right {
        Right::Owner => "only the owner may do this",
        _ => "only a paired device may do this",
    };
    Problem::new(StatusCode::FORBIDDEN, "not_allowed", words).into_response()
}

/// The local socket: uid 0, the daemon's own uid, or a member of group konpo is the owner.
async fn is_owner(peer: PeerCred) -> bool {
    let own = nix::unistd::Uid::current().as_raw();
    if peer.uid == 0 || peer.uid == own {
        return true;
    }
    // Groups may be asked of a server on the network.
    tokio::task::spawn_blocking(move || in_group(peer)).await.unwrap_or(false)
}

fn in_group(peer: PeerCred) -> bool {
    let group = nix::unistd::Group::from_name("konpo").ok().flatten();
    let Some(group) = group else { return false };
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(peer.uid)).ok().flatten();
    peer.gid == group.gid.as_raw() || user.is_some_and(|user| group.mem.contains(&user.name))
}

/// The key of a `Authorization: Bearer` token or of the cookie `konpo`. Only its hash goes further.
pub(super) fn token(headers: &HeaderMap) -> Option<Key> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookie = cookies.flat_map(|value| value.split(';')).find_map(|c| c.trim().strip_prefix("konpo="));
    let token = bearer.or(cookie)?.trim();
    (!token.is_empty()).then(|| Key::Cookie(blake3::hash(token.as_bytes()).to_hex().to_string()))
}

/// A page of another site may not change anything here: its Origin is not this host (Fetch standard, 3.1), or the browser
/// says itself that it comes from elsewhere (Fetch metadata, 2.4).
fn foreign_origin(method: &Method, headers: &HeaderMap) -> Option<Problem> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    let words = "a page of another site may not change anything here";
    let foreign = || Problem::new(StatusCode::FORBIDDEN, "foreign_origin", words);
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Some(foreign());
    }
    let origin = headers.get(header::ORIGIN)?.to_str().unwrap_or("");
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or("");
    let same = origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host));
    (!same).then(foreign)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (header::HeaderName::from_static(name), header::HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_pages_of_this_host_may_change_things() {
        let foreign = |method: Method, origin: &'static str| {
            foreign_origin(&method, &headers(&[("host", "10.0.0.2:8200"), ("origin", origin)])).is_some()
        };
        assert!(!foreign(Method::POST, "http://10.0.0.2:8200"));
        assert!(foreign(Method::POST, "http://evil.example"));
        assert!(foreign(Method::POST, "null"));
        assert!(foreign(Method::DELETE, "http://10.0.0.2"));
        assert!(!foreign(Method::GET, "http://evil.example"));
        assert!(foreign_origin(&Method::POST, &headers(&[("host", "10.0.0.2:8200")])).is_none());
        for (site, want) in [("cross-site", true), ("same-origin", false), ("none", false)] {
            let asked = headers(&[("host", "10.0.0.2:8200"), ("sec-fetch-site", site)]);
            assert_eq!(foreign_origin(&Method::POST, &asked).is_some(), want, "{site}");
        }
    }

    #[test]
    fn a_token_is_read_from_either_place_and_never_kept_itself() {
        let hash = Key::Cookie(blake3::hash(b"abc").to_hex().to_string());
        assert_eq!(token(&headers(&[("authorization", "Bearer abc")])), Some(hash.clone()));
        assert_eq!(token(&headers(&[("cookie", "a=b; konpo=abc")])), Some(hash));
        assert_eq!(token(&headers(&[("cookie", "konpo=")])), None);
        assert_eq!(token(&headers(&[])), None);
    }
}
