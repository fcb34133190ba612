//! The Host check: a page of another site that points its own name at our address (DNS rebinding) is turned away.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use crate::http::problem::Problem;

/// The names under which this box may be asked for. Cheap to clone; renewed when addresses change.
#[derive(Debug, Clone)]
pub struct Hosts {
    names: Arc<[String]>,
    now: Arc<RwLock<Now>>,
}

#[derive(Debug, Default)]
struct Now {
    addresses: Vec<IpAddr>,
    labels: Vec<String>,
}

impl Hosts {
    /// Returns a check that allows loopback and these names, compared without case.
    pub fn new(names: &[String]) -> Hosts {
        Hosts { names: names.iter().map(|name| name.to_ascii_lowercase()).collect(), now: Arc::default() }
    }

    /// Sets the addresses of the box.
    pub fn set_addresses(&self, addresses: Vec<IpAddr>) {
        self.now.write().unwrap_or_else(PoisonError::into_inner).addresses = addresses;
    }

    /// Sets the box's own labels, allowed alone and with `.local`.
    pub fn set_labels(&self, labels: Vec<String>) {
        let labels = labels.into_iter().map(|label| label.to_ascii_lowercase()).collect();
        self.now.write().unwrap_or_else(PoisonError::into_inner).labels = labels;
    }

    /// Returns whether a Host header names this box.
    pub fn allows(&self, host: &str) -> bool {
        let host = without_zone(host);
        let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
        let name = authority.host().trim_matches(['[', ']']).to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        if let Ok(address) = name.parse::<IpAddr>().map(|address| address.to_canonical()) {
            return address.is_loopback() || now.addresses.contains(&address);
        }
        let label = name.strip_suffix(".local").unwrap_or(name);
        name == "localhost" || now.labels.iter().any(|l| l == label) || self.names.iter().any(|n| n == name)
    }
}

/// Takes the zone from `[fe80::1%25eth0]:8200`: it means something to the caller alone, and most leave it out (RFC 6874, 1).
fn without_zone(host: &str) -> Cow<'_, str> {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, port)) => {
            let address = literal.split_once('%').map_or(literal, |(address, _)| address);
            format!("[{address}]{port}").into()
        }
        None => host.into(),
    }
}

/// Turns a request away whose Host is not this box: 421 (RFC 9110, 15.5.20).
pub async fn check(State(hosts): State<Hosts>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = host.or(request.uri().authority().map(|a| a.as_str()));
    if host.is_some_and(|host| hosts.allows(host)) {
        return next.run(request).await;
    }
    let words = "this box is not known under that name: use its address, or add the name to http.names";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "wrong_host", words).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_answered() {
        let hosts = Hosts::new(&["Music.example".into()]);
        let ours = ["10.0.0.2", "fe80::2", "fd00::a:2"].map(|text| text.parse().expect("an address"));
        hosts.set_addresses(ours.to_vec());
        hosts.set_labels(vec!["living-room".into()]);
        for host in [
            "10.0.0.2",
            "10.0.0.2:8200",
            "127.0.0.1:1",
            "localhost:8200",
            "[::1]:8200",
            "[fe80::2]:8200",
            "[FE80:0::2]",
            "[fe80::2%25eth0]:8200",
            "[fe80::2%eth0]",
            "[fd00::A:2]:53317",
            "[::ffff:10.0.0.2]:8200",
            "living-room.local",
            "Living-Room.local.",
            "living-room",
            "music.EXAMPLE",
        ] {
            assert!(hosts.allows(host), "{host}");
        }
        for host in [
            "10.0.0.3",
            "[fe80::3]:8200",
            "[fe80::3%fe80::2]",
            "[fe80::2",
            "[]",
            "[evil.example]",
            "evil.example",
            "",
            "a b",
            "10.0.0.2.evil.example",
            "local",
            ".local",
            "x:y:z",
        ] {
            assert!(!hosts.allows(host), "{host}");
        }
    }
}
