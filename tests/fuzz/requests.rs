//! What control points send: calls of actions, headers of subscriptions, byte ranges, metadata. What is taken is whole: a callback is a
//! literal address with a path, a part of a file lies within it.

use std::time::Duration;

use konpo::http::range::{self, Wanted};
use konpo::upnp::handed;
use konpo::wire::gena;
use konpo::wire::soap::device;
use konpo::wire::strict;

use crate::Target;

pub const TARGETS: [Target; 4] = [
    Target {
        name: "call",
        read: call,
        words: &[
            b"<?xml version=\"1.0\"?>",
            b"<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\">",
            b"<s:Body>",
            b"</s:Body>",
            b"<u:Browse xmlns:u=\"urn:schemas-upnp-org:service:ContentDirectory:1\">",
            b"</u:Browse>",
            b"<ObjectID>",
            b"</ObjectID>",
            b"<s:Fault>",
            b"<!DOCTYPE x [<!ENTITY y \"&z;&z;\"><!ENTITY z \"&y;\">]>",
            b"&y;",
            b"&lt;",
            b"&#x0;",
            b"<![CDATA[",
            b"]]>",
            b"\xef\xbb\xbf",
            b"\xff\xfe",
        ],
        largest: 300_000,
        // A body of 256 KiB, read as text beside it.
        memory: 8 << 20,
    },
    Target {
        name: "gena",
        read: headers,
        words: &[
            b"<http://10.77.0.2:4004/event>",
            b"<http://",
            b">",
            b"https://",
            b"@",
            b"[::1]",
            b":0",
            b":65536",
            b"Second-",
            b"infinite",
            b"18446744073709551616",
            b"uuid:",
            b"00000000-0000-0000-0000-000000000000",
            b"\n",
            b"\xc3\xa9",
        ],
        largest: 4_000,
        memory: 1 << 20,
    },
    Target {
        name: "range",
        read: part,
        words: &[
            b"bytes=",
            b"-",
            b",",
            b"0-0",
            b"18446744073709551615",
            b"18446744073709551616",
            b" ",
            b"\n9",
        ],
        largest: 200,
        memory: 1 << 20,
    },
    Target {
        name: "handed",
        read: handed,
        words: &[
            b"<DIDL-Lite xmlns:dc=\"d\">",
            b"</DIDL-Lite>",
            b"<item id=\"1\">",
            b"</item>",
            b"<dc:title>",
            b"</dc:title>",
            b"<sec:x/>",
            b"<res duration=\"0:00:01\">",
            b"</res>",
            b"&lt;DIDL-Lite&gt;",
            b"&amp;lt;",
            b"&nbsp;",
            b"NOT_IMPLEMENTED",
            b"<![CDATA[",
            b"\x01",
        ],
        largest: 8_000,
        memory: 2 << 20,
    },
];

/// What an app says of a URL: kept as it is, and what others are told of it is taken by every reader.
fn handed(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let entry = handed::entry("http://10.77.0.2/a.flac", &text);
    assert_eq!(entry.said.as_deref().unwrap_or_default(), text);
    let readable = handed::is_readable(&text);
    assert!(!readable || strict::is_whole(&text, "DIDL-Lite"));
    let (shown, hints) = (&entry.shown, &entry.hints);
    let known = (shown.title.is_some(), shown.artist.is_some(), shown.album.is_some());
    format!("{readable} {known:?} {} {}", hints.cover.is_some(), hints.length.is_some())
}

fn call(bytes: &[u8]) -> String {
    match device::parse_call(bytes) {
        Ok(call) => {
            assert!(!call.action.contains(['<', '>', '&']), "{:?}", call.action);
            let again = device::answer("urn:x:1", "Get", &[("Value", call.action.as_str())]);
            assert!(device::parse_call(again.as_bytes()).is_ok(), "{again}");
            let mut given: Vec<_> =
                call.given.iter().map(|(name, value)| (name.len().min(9), value.len().min(3))).collect();
            given.sort_unstable();
            format!("{} {given:?}", call.action.len().min(9))
        }
        Err(error) => error.to_string(),
    }
}

fn headers(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let mut line = || lines.next().unwrap_or_default();
    let callbacks = gena::callbacks(line());
    for callback in &callbacks {
        let url: http::Uri = callback.url().parse().unwrap_or_else(|error| panic!("{error}: {callback:?}"));
        assert_eq!(url.host(), Some(callback.to.ip().to_string().as_str()), "{callback:?}");
        assert_eq!(url.port_u16(), Some(callback.to.port()), "{callback:?}");
        assert!(callback.path.starts_with('/') && url.scheme_str() == Some("http"), "{callback:?}");
    }
    let lasts = gena::timeout(Some(line()));
    assert!((Duration::from_secs(60)..=gena::LONGEST).contains(&lasts), "{lasts:?}");
    let ports: Vec<bool> = callbacks.iter().map(|callback| callback.to.port() == 80).collect();
    format!("{ports:?} {} {:?}", lasts.as_secs().ilog2(), gena::sid(line()).map(|sid| sid.is_nil()))
}

fn part(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let (range, size) = text.split_once('\n').unwrap_or((&text, "10"));
    let size: u64 = size.trim().parse().unwrap_or(u64::MAX);
    match range::parse(range, size) {
        Wanted::Part { first, count } => {
            assert!(
                count > 0 && first.checked_add(count).is_some_and(|end| end <= size),
                "{first} {count} of {size}"
            );
            format!("{} {}", first.min(3), count == size - first)
        }
        other => format!("{other:?} {}", size.min(1)),
    }
}
