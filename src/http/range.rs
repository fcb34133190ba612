//! A file as an answer: byte ranges, conditions, HEAD (RFC 9110, 13 and 14). Reads in blocks, so a file of any size costs
//! little memory and a stalled client nothing but its connection.

use std::sync::Arc;
use std::time::SystemTime;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::http::overlay::Overlay;
use crate::http::problem::Problem;

/// Answers GET or HEAD with a picture; the one who asked may keep it for a day.
pub fn jpeg_response(asked: &HeaderMap, method: &Method, jpeg: Vec<u8>, etag: &str) -> Response {
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut response = if known.into_iter().any(|list| names(list, etag)) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let length = jpeg.len();
        let body = if method == Method::HEAD { Body::empty() } else { Body::from(jpeg) };
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
        ([kind, (header::CONTENT_LENGTH, length.into())], body).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(KEPT));
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

/// Answers GET or HEAD with a file as the one who asks may read it. `etag` is quoted and names the form, `mime` is a media
/// type.
pub fn file_response(
    asked: &HeaderMap,
    method: &Method,
    file: Overlay,
    etag: &str,
    mime: &'static str,
) -> Response {
    let size = file.size();
    let changed = date(file.modified());
    let text = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|list| names(list, etag)) {
        return with_head(StatusCode::NOT_MODIFIED.into_response(), etag, &changed, None);
    }
    // A range of another version of the file is no use to the client: it gets the whole.
    let same = text(header::IF_RANGE).is_none_or(|wanted| wanted == etag || wanted == changed);
    let wanted = text(header::RANGE).filter(|_| same).map(|range| parse(range, size));
    let (status, first, count) = match wanted {
        None | Some(Wanted::Whole) => (StatusCode::OK, 0, size),
        Some(Wanted::Part { first, count }) => (StatusCode::PARTIAL_CONTENT, first, count),
        Some(Wanted::None) => {
            let words = format!("the file has {size} bytes");
            let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", &words);
            return with_head(problem.into_response(), etag, &changed, Some(format!("bytes */{size}")));
        }
    };
    let body = if method == Method::HEAD { Body::empty() } else { blocks(file, first, count) };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(mime));
    headers.insert(header::CONTENT_LENGTH, count.into());
    let range = (status == StatusCode::PARTIAL_CONTENT)
        .then(|| format!("bytes {first}-{}/{size}", first + count.saturating_sub(1)));
    with_head(response, etag, &changed, range)
}

fn with_head(mut response: Response, etag: &str, changed: &str, range: Option<String>) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let mut put = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put(header::ETAG, etag);
    put(header::LAST_MODIFIED, changed);
    if let Some(range) = range {
        put(header::CONTENT_RANGE, &range);
    }
    response
}

/// Returns whether a list of entity tags, as in `If-None-Match`, names this one; weak ones compare by their text (RFC 9110,
/// 8.8.3.2).
pub fn names(list: &str, etag: &str) -> bool {
    list.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Returns a time as HTTP writes it (RFC 9110, 5.6.7): whole seconds.
fn date(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// What a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// No range that concerns us: the whole file.
    Whole,
    /// A part that lies within the file.
    Part {
        /// Its first byte.
        first: u64,
        /// Its bytes, at least one.
        count: u64,
    },
    /// A range outside the file.
    None,
}

/// Reads `Range: bytes=…`. Several ranges, other units and what is malformed ask for the whole (RFC 9110, 14.2).
pub fn parse(range: &str, size: u64) -> Wanted {
    let Some(spec) = range.trim().strip_prefix("bytes=").filter(|spec| !spec.contains(',')) else {
        return Wanted::Whole;
    };
    let Some((from, to)) = spec.trim().split_once('-') else { return Wanted::Whole };
    let number = |text: &str| (!text.is_empty()).then(|| text.parse::<u64>());
    match (number(from.trim()), number(to.trim())) {
        (Some(Ok(first)), to @ (None | Some(Ok(_)))) => {
            let last = to.and_then(Result::ok).unwrap_or(u64::MAX);
            if last < first {
                Wanted::Whole
            } else if first >= size {
                Wanted::None
            } else {
                Wanted::Part { first, count: last.min(size - 1) - first + 1 }
            }
        }
        (None, Some(Ok(0))) => Wanted::None,
        (None, Some(Ok(_))) if size == 0 => Wanted::None,
        (None, Some(Ok(last))) => Wanted::Part { first: size - last.min(size), count: last.min(size) },
        _ => Wanted::Whole,
    }
}

fn blocks(file: Overlay, first: u64, count: u64) -> Body {
    let file = Arc::new(file);
    let read = move |room, at, left| {
        let file = file.clone();
        tokio::task::spawn_blocking(move || read_block(&file, room, at, left))
    };
    // One is read while the one before it is on its way, into the memory of the one before that.
    let begin = (None, BytesMut::new(), first, count);
    let stream = stream::try_unfold(begin, move |(ahead, spare, at, left)| {
        let read = read.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let reading = ahead.unwrap_or_else(|| read(BytesMut::new(), at, left));
            let (block, room) = reading.await.map_err(std::io::Error::other)??;
            let (at, left) = (at + block.len() as u64, left - block.len() as u64);
            let ahead = (left > 0).then(|| read(spare, at, left));
            Ok::<_, std::io::Error>(Some((block, (ahead, room, at, left))))
        }
    });
    Body::from_stream(stream)
}

/// Reads a block. `room` is memory that may be taken for it when nobody holds it any more; it is given back.
fn read_block(file: &Overlay, mut room: BytesMut, at: u64, left: u64) -> std::io::Result<(Bytes, BytesMut)> {
    let wanted = left.min(BLOCK) as usize;
    // Fresh memory costs as much as reading what goes into it.
    if !room.try_reclaim(wanted) {
        room = BytesMut::with_capacity(wanted);
    }
    room.resize(wanted, 0);
    let got = file.read_at(&mut room, at)?;
    if got == 0 {
        // The file became shorter while it was served; the client must notice.
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    room.truncate(got);
    Ok((room.split().freeze(), room))
}

/// For a day, by the one who asked.
const KEPT: &str = "private, max-age=86400";
/// Bytes read at once; a client costs two such blocks of memory.
const BLOCK: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    async fn ask(headers: &[(header::HeaderName, &str)], method: Method) -> (Response, Vec<u8>) {
        use std::io::Write;
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"0123456789").expect("written");
        let value = |v: &str| HeaderValue::from_str(v).expect("a value");
        let headers = headers.iter().map(|(name, v)| (name.clone(), value(v))).collect();
        let modified = file.metadata().and_then(|about| about.modified()).expect("a time");
        let file = Overlay::new(file, 10, modified, None, Vec::new());
        let response = file_response(&headers, &method, file, "\"x\"", "audio/flac");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("read").to_bytes().to_vec();
        (Response::from_parts(parts, Body::empty()), bytes)
    }

    #[tokio::test]
    async fn ranges_and_conditions() {
        let get = |headers: Vec<(header::HeaderName, &'static str)>| async move {
            let (response, body) = ask(&headers, Method::GET).await;
            (response.status().as_u16(), String::from_utf8(body).expect("digits"))
        };
        assert_eq!(get(vec![]).await, (200, "0123456789".into()));
        for (range, want) in [
            ("bytes=0-0", (206, "0")),
            ("bytes=3-5", (206, "345")),
            ("bytes=7-", (206, "789")),
            ("bytes=-2", (206, "89")),
            ("bytes=-99", (206, "0123456789")),
            ("bytes=8-99", (206, "89")),
            ("bytes=5-3", (200, "0123456789")),
            ("bytes=0-1,4-5", (200, "0123456789")),
            ("lines=1-2", (200, "0123456789")),
            ("bytes=a-b", (200, "0123456789")),
        ] {
            assert_eq!(get(vec![(header::RANGE, range)]).await, (want.0, want.1.to_owned()), "{range}");
        }
        assert_eq!(get(vec![(header::RANGE, "bytes=10-")]).await.0, 416);
        let part = (header::RANGE, "bytes=1-2");
        assert_eq!(get(vec![part.clone(), (header::IF_RANGE, "\"x\"")]).await, (206, "12".into()));
        assert_eq!(get(vec![part, (header::IF_RANGE, "\"y\"")]).await.0, 200);
        assert_eq!(get(vec![(header::IF_NONE_MATCH, "W/\"x\"")]).await, (304, String::new()));
    }

    #[tokio::test]
    async fn head_is_get_without_the_body() {
        let (response, body) = ask(&[(header::RANGE, "bytes=2-4")], Method::HEAD).await;
        assert_eq!((response.status().as_u16(), body.len()), (206, 0));
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "3");
        assert_eq!(response.headers()[header::CONTENT_RANGE], "bytes 2-4/10");
        assert_eq!(response.headers()[header::ETAG], "\"x\"");
    }

    proptest! {
        #[test]
        fn a_part_lies_within_the_file(range in "bytes=[0-9]{0,12}-[0-9]{0,12}", size in 0u64..1000) {
            if let Wanted::Part { first, count } = parse(&range, size) {
                prop_assert!(count > 0 && first + count <= size);
            }
        }
    }
}
