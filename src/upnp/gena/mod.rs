//! Events (UPnP Device Architecture 1.0, 4): who wants to know what of which service. Each subscription is a task, which
//! diffs the newest values against what it told last; none waits for another.

mod deliver;
mod table;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;
use uuid::Uuid;

use crate::http::written::Written;
use crate::upnp::gena::deliver::{Subscriber, Terms};
use crate::upnp::gena::table::{Full, Table};
use crate::upnp::service::Values;
use crate::wire::gena::{self, Callback};

/// All subscriptions. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    table: Arc<Mutex<Table>>,
    tasks: TaskTracker,
    terms: Terms,
    stop: CancellationToken,
}

/// A request for events.
pub struct Asked<'a> {
    /// The path of the service's events.
    pub service: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Who asks.
    pub peer: IpAddr,
    /// Our address that was asked.
    pub local: SocketAddr,
    /// The same as others reach it.
    pub host: SocketAddrV4,
    /// Waits until the answer is on the wire.
    pub written: Option<Written>,
}

impl Events {
    /// Returns none; with the stop token all end.
    pub fn new(stop: CancellationToken) -> Events {
        Events { table: Arc::default(), tasks: TaskTracker::new(), terms: Terms::USUAL, stop }
    }

    /// Answers `SUBSCRIBE`: a new one, or one that is renewed (reference upnp 4.1).
    pub fn subscribe(&self, asked: Asked<'_>, values: watch::Receiver<Values>) -> Response {
        let text = |name: &str| asked.headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let lasts = gena::timeout(text("timeout"));
        let new = text("nt").is_some() || text("callback").is_some();
        match text("sid") {
            Some(_) if new => refusal(StatusCode::BAD_REQUEST),
            Some(sid) => {
                let renewed = |sid: &Uuid| self.table().renew(asked.service, *sid, lasts, Instant::now());
                match gena::sid(sid).filter(renewed) {
                    Some(sid) => granted(sid, lasts),
                    None => refusal(StatusCode::PRECONDITION_FAILED),
                }
            }
            None if text("nt") != Some("upnp:event") => refusal(StatusCode::PRECONDITION_FAILED),
            None => {
                let mut callbacks = gena::callbacks(text("callback").unwrap_or_default());
                callbacks.retain(|callback| may_be_told(callback, asked.peer, asked.local));
                if callbacks.is_empty() {
                    debug!(peer = %asked.peer, callback = text("callback"), "a subscription for others is refused");
                    return refusal(StatusCode::PRECONDITION_FAILED);
                }
                match self.begin(&asked, callbacks, lasts, values) {
                    Ok(sid) => granted(sid, lasts),
                    Err(Full) => refusal(StatusCode::SERVICE_UNAVAILABLE),
                }
            }
        }
    }

    /// Answers `UNSUBSCRIBE`.
    pub fn unsubscribe(&self, service: &str, headers: &HeaderMap) -> Response {
        if headers.contains_key("nt") || headers.contains_key("callback") {
            return refusal(StatusCode::BAD_REQUEST);
        }
        let sid = headers.get("sid").and_then(|sid| gena::sid(sid.to_str().ok()?));
        match sid.is_some_and(|sid| self.table().unsubscribe(service, sid, Instant::now())) {
            true => refusal(StatusCode::OK),
            false => refusal(StatusCode::PRECONDITION_FAILED),
        }
    }

    fn begin(
        &self,
        asked: &Asked<'_>,
        callbacks: Vec<Callback>,
        lasts: Duration,
        values: watch::Receiver<Values>,
    ) -> Result<Uuid, Full> {
        let to = callbacks.first().map_or(Ipv4Addr::UNSPECIFIED, |callback| *callback.to.ip());
        let (sid, ended) = self.table().subscribe(asked.service, to, lasts, Instant::now())?;
        let subscriber = Subscriber { sid, callbacks, host: asked.host, values, terms: self.terms };
        self.tasks.spawn(subscriber.run(asked.written.clone(), self.table.clone(), ended, self.stop.clone()));
        Ok(sid)
    }

    /// Ends the subscriptions of those who cannot be reached any more.
    pub fn keep(&self, reached: impl Fn(Ipv4Addr) -> bool) {
        self.table().keep(reached);
    }

    /// Returns how many subscriptions there are.
    pub fn len(&self) -> usize {
        self.table().len()
    }

    /// Waits until every subscriber's task ended; the stop token must have fallen.
    pub async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events go to whoever asked for them and to nobody else, and to no server of our own (CallStranger, CVE-2020-12695:
/// reference upnp 4.3). A program on this box may be told at its own port.
fn may_be_told(callback: &Callback, peer: IpAddr, local: SocketAddr) -> bool {
    let to = IpAddr::V4(*callback.to.ip());
    let is_ours = to == local.ip().to_canonical() || to.is_loopback();
    to == peer.to_canonical() && !(is_ours && callback.to.port() == local.port())
}

fn granted(sid: Uuid, lasts: Duration) -> Response {
    let mut response = refusal(StatusCode::OK);
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    };
    put("sid", format!("uuid:{sid}"));
    put("timeout", format!("Second-{}", lasts.as_secs()));
    response
}

/// A status without a body.
fn refusal(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}
