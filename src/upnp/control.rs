//! Control (UPnP Device Architecture 1.0, 3): one request, one action, one answer or fault (reference upnp 3.1).

use std::net::SocketAddrV4;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use tokio::time::timeout;
use tracing::debug;

use crate::http::server::Peer;
use crate::offer::{Caller, Via};
use crate::upnp::service::{Arguments, Call, Fault, Value, at_host};
use crate::upnp::{Offered, quirks, text};
use crate::wire::didl_writer::Letters;
use crate::wire::soap::device;
use crate::wire::xml::in_ascii;

/// Answers a request to a service's control URL. `host` is our address that was asked.
pub async fn answer(offered: &Offered, host: SocketAddrV4, parts: Parts, body: Body) -> Response {
    // M-POST is what some send after a 405 to POST (SOAP 1.1, 6: the extension framework); it is taken at once.
    if parts.method != Method::POST && parts.method.as_str() != "M-POST" {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED);
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    // A page of another site can send a body, but not this header without being asked first (Fetch standard, 3.2.5).
    let Some((service, action)) = soap_action(&parts.headers) else {
        return plain(StatusCode::BAD_REQUEST);
    };
    let bytes = match whole(body).await {
        Ok(bytes) => bytes,
        Err(status) => return plain(status),
    };
    let Ok(call) = device::parse_call(&bytes) else { return plain(StatusCode::BAD_REQUEST) };
    drop(bytes);
    let reply = |(status, text)| xml(status, shaped(text, &parts.headers));
    if service == QUERY && action == "QueryStateVariable" {
        return reply(query(offered, &call, host));
    }
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0.ip());
    let result = match peer {
        Some(peer) if is_kind(service, offered.service.kind) && call.action == action => {
            let call = offered.service.check(action, &call.given).map(|(action, given)| Call {
                action,
                given,
                caller: Caller::room(Via::Upnp),
                host,
                peer: peer.to_canonical(),
                headers: &parts.headers,
            });
            act(offered, service, call).await
        }
        _ => Err(Fault::INVALID_ACTION),
    };
    reply(match result {
        Ok(text) => (StatusCode::OK, text),
        Err(fault) => {
            debug!(service, action, code = fault.code, words = %fault.words, "an action is refused");
            refused(&fault)
        }
    })
}

fn refused(fault: &Fault) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, device::fault(fault.code, &fault.words))
}

/// Returns an answer as the device that asks can read it (reference upnp 2.3): EC-IRADIO/1.0 wants no declaration, KnOS/3.2
/// reads ASCII alone.
fn shaped(text: String, headers: &HeaderMap) -> String {
    let asks = quirks::named(headers);
    let text = match text.strip_prefix(device::DECLARATION) {
        Some(bare) if !asks.declares => bare.to_owned(),
        _ => text,
    };
    if asks.letters == Letters::Ascii && !text.is_ascii() { in_ascii(&text) } else { text }
}

async fn act(offered: &Offered, service: &str, call: Result<Call<'_>, Fault>) -> Result<String, Fault> {
    let call = call?;
    let action = call.action;
    let done = timeout(ACTS_WITHIN, offered.handler.act(call)).await;
    let arguments: Arguments = done.map_err(|_| Fault::ACTION_FAILED)??;
    let ordered = offered.service.ordered(action, &arguments)?;
    Ok(device::answer(service, action.name, &ordered))
}

/// Answers the question for one variable (UPnP Device Architecture 1.0, 3.3; only old control points ask it).
fn query(offered: &Offered, call: &device::Call, host: SocketAddrV4) -> (StatusCode, String) {
    let name = call.given.get("varName").map(|name| name.trim()).unwrap_or_default();
    let values = offered.handler.variables().borrow().clone();
    let found = values.iter().find_map(|(known, value)| match value {
        Value::Text(text) if *known == name => Some(at_host(text, host).into_owned()),
        Value::LastChange(all) if *known == name => {
            all.since(None).map(|text| at_host(&text, host).into_owned())
        }
        _ => None,
    });
    match found {
        Some(value) => {
            (StatusCode::OK, device::answer(QUERY, "QueryStateVariable", &[("return", value.as_str())]))
        }
        None => refused(&Fault::INVALID_VAR),
    }
}

/// Reads the header `SOAPACTION`, or `NN-SOAPACTION` of M-POST.
fn soap_action(headers: &HeaderMap) -> Option<(&str, &str)> {
    let named = |name: &str| name == "soapaction" || name.get(2..) == Some("-soapaction");
    let (_, value) = headers.iter().find(|(name, _)| named(name.as_str()))?;
    device::parse_action(value.to_str().ok()?)
}

/// Returns whether a type that was asked for is that of the service, in any version: apps ask for lower ones than a
/// device has, or for the one they were built for.
fn is_kind(asked: &str, kind: &str) -> bool {
    let name = |kind: &str| kind.rsplit_once(':').map(|(name, _)| name.to_owned());
    name(asked) == name(kind)
}

async fn whole(body: Body) -> Result<Bytes, StatusCode> {
    let read = timeout(BODY_WITHIN, Limited::new(body, device::LARGEST).collect()).await;
    match read {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(StatusCode::PAYLOAD_TOO_LARGE)
        }
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

fn xml(status: StatusCode, body: String) -> Response {
    let mut response = text(status, body);
    response.headers_mut().insert("ext", HeaderValue::from_static(""));
    response
}

fn plain(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

const QUERY: &str = "urn:schemas-upnp-org:control-1-0";
/// Reference upnp 3.1, "time".
const ACTS_WITHIN: Duration = Duration::from_secs(30);
/// A body that trickles is not waited for.
const BODY_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_of_either_method_is_read() {
        let headers = |name: &'static str| {
            let value = HeaderValue::from_static("\"urn:x:service:A:1#Go\"");
            HeaderMap::from_iter([(header::HeaderName::from_static(name), value)])
        };
        assert_eq!(soap_action(&headers("soapaction")), Some(("urn:x:service:A:1", "Go")));
        assert_eq!(soap_action(&headers("01-soapaction")), Some(("urn:x:service:A:1", "Go")));
        assert_eq!(soap_action(&headers("x-soapaction-x")), None);
    }

    #[test]
    fn any_version_of_the_service_is_meant() {
        assert!(is_kind("urn:x:service:A:1", "urn:x:service:A:1"));
        assert!(is_kind("urn:x:service:A:2", "urn:x:service:A:1"));
        assert!(!is_kind("urn:x:service:B:1", "urn:x:service:A:1"));
        assert!(!is_kind("", "urn:x:service:A:1"));
    }
}
