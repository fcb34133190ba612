//! What an answer to a request for sound means: what is known of the file, where its bytes belong, or why not. Pure.

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName};

use crate::error::{Error, Kind, Result};
use crate::stream::icy;

/// The head of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    /// Bytes of the body as announced.
    pub(super) length: Option<u64>,
    /// The first byte's place and the size of the file, as `Content-Range` tells them.
    pub(super) range: Option<(u64, Option<u64>)>,
}

/// What is known of the file behind a URL since its first answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    /// Its size in bytes.
    pub(super) size: Option<u64>,
    /// Any part of it can be asked for.
    pub(super) ranges: bool,
    /// What tells this file from a changed one: a strong entity tag, else its date (RFC 9110, 8.8).
    pub(super) tag: Option<String>,
    /// A station: it goes on now, not where it was.
    pub(super) live: bool,
    /// What a station calls itself.
    pub(super) name: Option<String>,
}

/// Why an answer is of no use.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It may be better next time.
    Later(Error),
    /// It stays so.
    Never(Error),
}

impl Trouble {
    /// Returns the error itself.
    pub(super) fn error(self) -> Error {
        match self {
            Trouble::Later(error) | Trouble::Never(error) => error,
        }
    }
}

/// Reads the answer to the first request, which asked for the whole.
///
/// # Errors
/// Why there is nothing to play.
pub(super) fn first(head: Head<'_>) -> Result<Known> {
    let damaged = |what: &str| Err(Error::new(Kind::Damaged, what));
    plain(head)?;
    let (mut size, mut ranges) = match (head.status, head.range) {
        (StatusCode::OK, _) => (head.length, says(head.headers, &header::ACCEPT_RANGES, "bytes")),
        (StatusCode::PARTIAL_CONTENT, Some((0, size))) => {
            if size.zip(head.length).is_some_and(|(size, length)| length > size) {
                return damaged("the server gives more bytes than it says the file has");
            }
            (size, true)
        }
        (StatusCode::PARTIAL_CONTENT, Some(_)) => {
            return damaged("the server gives other bytes than asked for");
        }
        // What a part of a whole is that nobody names is taken as the whole.
        (StatusCode::PARTIAL_CONTENT, None) => (head.length, false),
        _ => return Err(refusal(head.status).error()),
    };
    let live = STATION.iter().any(|name| head.headers.contains_key(*name));
    if live {
        // SHOUTcast invents a length for clients that need one.
        (size, ranges) = (None, false);
    }
    let name = head.headers.get("icy-name").map(|value| icy::clean(&icy::words(value.as_bytes())));
    Ok(Known {
        size,
        ranges: ranges && size.is_some(),
        tag: tag(head.headers),
        live,
        name: name.filter(|name| !name.is_empty()),
    })
}

/// Returns the place in the file of the first byte of an answer to a later request, which asked from `wanted` on.
///
/// # Errors
/// `Never` when the file is another one by now or the server does not give these bytes.
pub(super) fn again(known: &Known, wanted: u64, head: Head<'_>) -> Result<u64, Trouble> {
    let never = |kind, what: &str| Err(Trouble::Never(Error::new(kind, what)));
    plain(head).map_err(Trouble::Never)?;
    let size = match (head.status, head.range) {
        (StatusCode::PARTIAL_CONTENT, Some((_, size))) => size,
        (StatusCode::OK, _) => head.length,
        _ => None,
    };
    let other_size = size.zip(known.size).is_some_and(|(now, before)| now != before);
    let other_tag = tag(head.headers).zip(known.tag.as_ref()).is_some_and(|(now, before)| {
        // A date says nothing about a tag.
        now != *before && now.starts_with('"') == before.starts_with('"')
    });
    if head.status.is_success() && (other_size || other_tag) {
        return never(Kind::Damaged, "the file changed while it was played");
    }
    let from = match (head.status, head.range) {
        (StatusCode::PARTIAL_CONTENT, Some((from, _))) => from,
        (StatusCode::PARTIAL_CONTENT, None) => {
            return never(Kind::Damaged, "the server does not say which bytes it gives");
        }
        // The server gives the whole again: what was had is passed over.
        (StatusCode::OK, _) => 0,
        (StatusCode::RANGE_NOT_SATISFIABLE, _) => {
            return never(Kind::Damaged, "the file is shorter than the server said");
        }
        (status, _) => return Err(refusal(status)),
    };
    match wanted.checked_sub(from) {
        Some(over) if over <= MOST_PASSED_OVER => Ok(from),
        Some(_) => never(Kind::Unreachable, "the server cannot go on where it was"),
        None => never(Kind::Damaged, "the server gives other bytes than asked for"),
    }
}

/// What a playlist is called among media types; its entries are what is to be played.
pub(super) fn playlist(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    PLAYLISTS.contains(&kind.as_str())
}

fn refusal(status: StatusCode) -> Trouble {
    let words = |what: &str| format!("{what} ({})", status.as_u16());
    let never = |kind, what: &str| Trouble::Never(Error::new(kind, words(what)));
    match status.as_u16() {
        404 | 410 => never(Kind::NotFound, "the server does not have it"),
        401 | 403 | 407 => never(Kind::NotAllowed, "the server does not give it to us"),
        408 | 425 | 429 | 500..=599 => {
            Trouble::Later(Error::new(Kind::Unreachable, words("the server cannot give it now")))
        }
        _ => never(Kind::Unreachable, "the server answers with something else"),
    }
}

/// Refuses a body that is not the bytes of the file themselves.
fn plain(head: Head<'_>) -> Result<()> {
    let coded = head.headers.get(header::CONTENT_ENCODING).is_some_and(|value| value != "identity");
    let parts = says(head.headers, &header::CONTENT_TYPE, "multipart/byteranges");
    if head.status.is_success() && (coded || parts) {
        let what = "the server packs the file in a way that was not asked for";
        return Err(Error::new(Kind::Unsupported, what));
    }
    Ok(())
}

fn says(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.to_ascii_lowercase().contains(word)
}

fn tag(headers: &HeaderMap) -> Option<String> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // A weak tag does not promise equal bytes (RFC 9110, 8.8.1).
    text(header::ETAG).filter(|tag| tag.starts_with('"')).or_else(|| text(header::LAST_MODIFIED))
}

/// Headers by which a station is known.
const STATION: [&str; 6] = ["icy-metaint", "icy-name", "icy-br", "icy-genre", "icy-pub", "ice-audio-info"];
/// Media types of M3U and PLS.
const PLAYLISTS: [&str; 6] = [
    "audio/x-mpegurl",
    "audio/mpegurl",
    "application/x-mpegurl",
    "application/vnd.apple.mpegurl",
    "audio/x-scpls",
    "application/pls+xml",
];
/// More bytes are not fetched only to be passed over: 64 MiB are ten seconds on a LAN.
const MOST_PASSED_OVER: u64 = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |&(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), header::HeaderValue::from_static(value))
        };
        list.iter().map(pair).collect()
    }

    /// Length and range as the client reads them.
    fn head<'a>(status: u16, headers: &'a HeaderMap) -> Head<'a> {
        let number = |text: &str| text.parse::<u64>().ok();
        let length = headers.get("content-length").and_then(|v| number(v.to_str().ok()?));
        let range = headers.get("content-range").and_then(|value| {
            let (range, size) = value.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
            Some((number(range.split_once('-')?.0)?, number(size)))
        });
        Head { status: StatusCode::from_u16(status).expect("a status"), headers, length, range }
    }

    fn first_of(status: u16, list: &[(&'static str, &'static str)]) -> Result<Known> {
        first(head(status, &headers(list)))
    }

    #[test]
    fn the_first_answer_tells_what_the_file_is() {
        let check = |status, list: &[(&'static str, &'static str)], size, ranges| {
            let known = first_of(status, list).expect("playable");
            assert_eq!((known.size, known.ranges), (size, ranges), "{status} {list:?}");
        };
        check(206, &[("content-range", "bytes 0-99/100"), ("content-length", "100")], Some(100), true);
        check(206, &[("content-range", "bytes 0-9/100"), ("content-length", "10")], Some(100), true);
        check(206, &[("content-range", "bytes 0-99/*")], None, false);
        check(206, &[("content-length", "100")], Some(100), false);
        check(200, &[("content-length", "100"), ("accept-ranges", "bytes")], Some(100), true);
        check(200, &[("content-length", "100"), ("accept-ranges", "none")], Some(100), false);
        check(200, &[("content-length", "100")], Some(100), false);
        check(200, &[], None, false);
        check(200, &[("content-length", "54000000"), ("icy-br", "128")], None, false);
    }

    #[test]
    fn a_first_answer_that_cannot_be_true_or_used_is_refused() {
        let check = |status, list: &[(&'static str, &'static str)], kind| {
            assert_eq!(first_of(status, list).expect_err("refused").kind(), kind, "{status} {list:?}");
        };
        check(206, &[("content-range", "bytes 5-9/10")], Kind::Damaged);
        check(206, &[("content-range", "bytes 0-9/10"), ("content-length", "4294967296")], Kind::Damaged);
        check(200, &[("content-encoding", "gzip")], Kind::Unsupported);
        check(206, &[("content-type", "multipart/byteranges; boundary=x")], Kind::Unsupported);
        check(404, &[], Kind::NotFound);
        check(403, &[], Kind::NotAllowed);
        check(503, &[], Kind::Unreachable);
        check(204, &[], Kind::Unreachable);
    }

    #[test]
    fn a_later_answer_goes_on_where_it_was_or_is_refused() {
        let known =
            Known { size: Some(100), ranges: true, tag: Some("\"a\"".into()), live: false, name: None };
        let ask = |status, list: &[(&'static str, &'static str)]| {
            let map = headers(list);
            again(&known, 40, head(status, &map)).map_err(|trouble| match trouble {
                Trouble::Later(error) => (true, error.kind()),
                Trouble::Never(error) => (false, error.kind()),
            })
        };
        assert_eq!(ask(206, &[("content-range", "bytes 40-99/100"), ("etag", "\"a\"")]), Ok(40));
        // A server that counts in blocks, and one that gives the whole again.
        assert_eq!(ask(206, &[("content-range", "bytes 32-99/100")]), Ok(32));
        assert_eq!(ask(200, &[("content-length", "100")]), Ok(0));
        let changed = Err((false, Kind::Damaged));
        assert_eq!(ask(206, &[("content-range", "bytes 41-99/100")]), changed);
        assert_eq!(ask(206, &[("content-range", "bytes 40-98/99")]), changed);
        assert_eq!(ask(206, &[("content-range", "bytes 40-99/100"), ("etag", "\"b\"")]), changed);
        assert_eq!(ask(200, &[("content-length", "101")]), changed);
        assert_eq!(ask(206, &[]), changed);
        assert_eq!(ask(416, &[]), changed);
        assert_eq!(ask(404, &[]), Err((false, Kind::NotFound)));
        assert_eq!(ask(503, &[]), Err((true, Kind::Unreachable)));
    }

    #[test]
    fn only_what_promises_equal_bytes_is_a_tag() {
        assert_eq!(tag(&headers(&[("etag", "\"x\"")])).as_deref(), Some("\"x\""));
        let dated = headers(&[("etag", "W/\"x\""), ("last-modified", "Sat, 21 Nov 2026 10:00:00 GMT")]);
        assert_eq!(tag(&dated).as_deref(), Some("Sat, 21 Nov 2026 10:00:00 GMT"));
        assert_eq!(tag(&headers(&[("etag", "W/\"x\"")])), None);
    }
}
