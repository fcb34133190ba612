//! Files that come over HTTP: in pieces by tus (`tus`), as the whole body of one request (`raw`), or from a plain form
//! (`form`). All go through intake's door; nothing is decided here, and nothing that came is ever served from here.

pub mod form;
pub mod raw;
pub mod tus;
mod words;

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::Extension;
use http::{HeaderMap, header};

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

#[cfg(test)]
mod tests {
    use super::*;

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
