//! Files that come over HTTP: in pieces by tus (`tus`), as the whole body of one request (`raw`), or from a plain form
//! (`form`). All go through intake's door; nothing is decided here, and nothing that came is ever served from here.

pub mod form;
pub mod raw;
pub mod tus;
mod words;

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Extension;
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use crate::error::{Error, Kind, Result};
use crate::http::server::Peer;
use crate::offer::push::Sender;
use crate::offer::{Caller, Key, Right, Via};
use crate::web::guard;

/// Returns who sends. Only one that is paired is known again by its cookie or token; of others the address counts.
fn sender(headers: &HeaderMap, caller: &Caller, peer: Option<Extension<Peer>>, says: Option<&str>) -> Sender {
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |Extension(Peer(peer))| peer.ip());
    let key = match caller.via {
        Via::Ctl if caller.right >= Right::Owner => Some(Key::LocalOwner),
        _ if caller.device.is_some() => guard::token(headers),
        _ => None,
    };
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = says.map(str::trim).filter(|says| !says.is_empty());
    let name = name.map_or_else(|| format!("{} ({address})", device(agent)), str::to_owned);
    Sender { way: "page", key, name, address }
}

/// Returns a device's kind, as its browser tells it.
fn device(agent: &str) -> &'static str {
    let kinds = [
        ("iPhone", "an iPhone"),
        ("iPad", "an iPad"),
        ("CFNetwork", "an Apple device"),
        ("Android", "an Android phone"),
        ("okhttp", "an Android phone"),
        ("Windows", "a Windows computer"),
        ("Macintosh", "a Mac"),
        ("Linux", "a Linux computer"),
    ];
    kinds.iter().find(|(mark, _)| agent.contains(mark)).map_or("a device", |(_, name)| name)
}

/// Returns a header as text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The body of a request, read with patience that ends: somebody who sends nothing, or next to nothing, holds no place.
struct Coming {
    body: Body,
    /// Since when a share is counted, and its bytes.
    since: Instant,
    came: usize,
}

impl Coming {
    fn new(body: Body) -> Coming {
        Coming { body, since: Instant::now(), came: 0 }
    }

    /// Returns the next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = tokio::time::timeout(STALLED_FOR, self.body.frame()).await;
            let frame = frame.map_err(|_| Error::new(Kind::Unreachable, "nothing came for a while"))?;
            let Some(frame) = frame else { return Ok(None) };
            let frame =
                frame.map_err(|error| Error::with(Kind::Unreachable, "the sender broke off", error))?;
            let Ok(bytes) = frame.into_data() else { continue };
            self.count(bytes.len(), Instant::now())?;
            return Ok(Some(bytes));
        }
    }

    fn count(&mut self, bytes: usize, now: Instant) -> Result<()> {
        self.came += bytes;
        if now.saturating_duration_since(self.since) >= SHARE {
            if self.came < LEAST {
                return Err(Error::new(Kind::Unreachable, "it comes too slowly"));
            }
            (self.since, self.came) = (now, 0);
        }
        Ok(())
    }

    /// Reads on without keeping anything, so that a sender that looks up only at the end hears the answer; not for long.
    async fn drain(&mut self) {
        let all = async {
            let mut left = DRAINED;
            while let Ok(Some(bytes)) = self.next().await {
                left = left.saturating_sub(bytes.len());
                if left == 0 {
                    return;
                }
            }
        };
        let _not_for_long = tokio::time::timeout(DRAINED_FOR, all).await;
    }
}

/// A body of which nothing came for so long is over.
const STALLED_FOR: Duration = Duration::from_secs(45);
/// In each share of time so much must come: half a kilobyte a second, below any radio that works.
const SHARE: Duration = Duration::from_secs(60);
const LEAST: usize = 32 << 10;
/// What is read of a body that nobody wants.
const DRAINED: usize = 32 << 20;
const DRAINED_FOR: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_next_to_nothing_is_let_go() {
        let mut coming = Coming::new(Body::empty());
        let begun = coming.since;
        let at = |seconds| begun + Duration::from_secs(seconds);
        for second in 0..60 {
            coming.count(LEAST / 60 + 1, at(second)).expect("fast enough");
        }
        coming.count(1, at(60)).expect("fast enough");
        for second in 61..120 {
            coming.count(1, at(second)).expect("not looked at yet");
        }
        assert_eq!(coming.count(1, at(121)).expect_err("too slow").kind(), Kind::Unreachable);
    }

    #[test]
    fn a_sender_is_named_by_what_it_is_or_says() {
        let mut headers = HeaderMap::new();
        let agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X)";
        headers.insert(header::USER_AGENT, agent.parse().expect("a value"));
        let room = Caller::room(Via::Web);
        assert_eq!(sender(&headers, &room, None, None).name, "an iPhone (127.0.0.1)");
        assert_eq!(sender(&headers, &room, None, Some(" Yuki ")).name, "Yuki");
        headers.insert(header::COOKIE, "konpo=stranger".parse().expect("a value"));
        assert_eq!(sender(&headers, &room, None, None).key, None, "a cookie that nobody has is no name");
        assert_eq!(device("curl/8.5"), "a device");
    }
}
