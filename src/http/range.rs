//! A file as an answer: byte ranges, conditions, HEAD (RFC 9110, 13 and 14). Reads in blocks, so a file of any size costs
//! little memory and a stalled client nothing but its connection.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::http::overlay::Overlay;
use crate::http::problem::Problem;

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
    let text = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|list| names(list, etag)) {
        return with_head(StatusCode::NOT_MODIFIED.into_response(), etag, None);
    }
    // A range of another version of the file is no use to the client: it gets the whole.
    let same = text(header::IF_RANGE).is_none_or(|wanted| wanted == etag);
    let wanted = text(header::RANGE).filter(|_| same).map(|range| parse(range, size));
    let (status, first, count) = match wanted {
        None | Some(Wanted::Whole) => (StatusCode::OK, 0, size),
        Some(Wanted::Part { first, count }) => (StatusCode::PARTIAL_CONTENT, first, count),
        Some(Wanted::None) => {
            let words = format!("the file has {size} bytes");
            let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", &words);
            return with_head(problem.into_response(), etag, Some(format!("bytes */{size}")));
        }
    };
    let body = if method == Method::HEAD { Body::empty() } else { blocks(file, first, count) };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(mime));
    headers.insert(header::CONTENT_LENGTH, count.into());
    let range = (status == StatusCode::PARTIAL_CONTENT)
        .then(|| format!("bytes {first}-{}/{size}", first + count.saturating_sub(1)));
    with_head(response, etag, range)
}

fn with_head(mut response: Response, etag: &str, range: Option<String>) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let mut put = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    put(header::ETAG, etag);
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

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// No range that concerns us: the whole file.
    Whole,
    Part {
        first: u64,
        count: u64,
    },
    /// A range outside the file.
    None,
}

/// Reads `Range: bytes=…`. Several ranges, other units and what is malformed ask for the whole (RFC 9110, 14.2).
fn parse(range: &str, size: u64) -> Wanted {
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
    let stream = stream::try_unfold((first, count), move |(at, left)| {
        let file = file.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let read = tokio::task::spawn_blocking(move || read_block(&file, at, left)).await;
            let block = read.map_err(std::io::Error::other)??;
            let got = block.len() as u64;
            Ok::<_, std::io::Error>(Some((block, (at + got, left - got))))
        }
    });
    Body::from_stream(stream)
}

fn read_block(file: &Overlay, at: u64, left: u64) -> std::io::Result<Bytes> {
    let mut block = vec![0; left.min(BLOCK) as usize];
    let got = file.read_at(&mut block, at)?;
    if got == 0 {
        // The file became shorter while it was served; the client must notice.
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    block.truncate(got);
    Ok(block.into())
}

/// Bytes read at once: a block of many is a block of memory per client.
const BLOCK: u64 = 128 << 10;

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
