//! One file from a neighbour into a part: resumed by Range where it broke off, tried three times.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::error::{Error, Kind, Result};
use crate::http::client::{Allow, Client, GetOptions};
use crate::intake::staging::Part;

/// What became of a fetch.
#[derive(Debug)]
pub enum Fetched {
    /// All bytes are here.
    Whole,
    /// Not now, and why: the neighbour does not answer, or does not give it at the moment. Dropped, the part stays for the
    /// next time.
    Later(String, Option<Box<Part>>),
    /// It can never be taken from there.
    Refused,
}

/// Fetches `url` into `part`.
///
/// # Errors
/// Those of the disk: `Full`, `Offline`.
///
/// # Cancel
/// What is here stays for the next time.
pub async fn fetch(
    client: &Client,
    url: &str,
    allow: &Allow,
    mut part: Part,
    stop: &CancellationToken,
) -> Result<Fetched> {
    let mut last = String::new();
    for pause in PAUSES {
        tokio::select! {
            () = stop.cancelled() => return Ok(Fetched::Later("konpo is stopping".into(), None)),
            () = tokio::time::sleep(pause) => {}
        }
        match once(client, url, allow, &mut part).await {
            Ok(Got::All) => match part.finish().await {
                Ok(()) => return Ok(Fetched::Whole),
                Err(error) if error.kind() == Kind::Unreachable => {
                    return Ok(Fetched::Later(error.to_string(), None));
                }
                Err(error) => return Err(error),
            },
            Ok(Got::Refusal(status)) => {
                let why = format!("the neighbour does not give the file ({status})");
                return Ok(Fetched::Later(why, Some(Box::new(part))));
            }
            Err(error) => match error.kind() {
                Kind::Unreachable => {
                    debug!(%error, url, here = part.offset(), "a transfer broke off");
                    last = error.to_string();
                }
                Kind::Full | Kind::Offline | Kind::Internal | Kind::Stopped => return Err(error),
                _ => {
                    part.refuse("source", &error.to_string()).await?;
                    return Ok(Fetched::Refused);
                }
            },
        }
    }
    Ok(Fetched::Later(last, Some(Box::new(part))))
}

enum Got {
    All,
    /// A status says nothing of the file itself: a sleeping phone answers so, and one whose permission is missing.
    Refusal(StatusCode),
}

async fn once(client: &Client, url: &str, allow: &Allow, part: &mut Part) -> Result<Got> {
    // Without a tag of the file, its last bytes here must come again: another file under the same URL is noticed so.
    let known = part.etag().map(str::to_owned);
    let again = if known.is_none() { part.offset().min(OVERLAP) } else { 0 };
    let options =
        GetOptions { from: part.offset() - again, if_range: known, ..GetOptions::copy(allow.clone()) };
    let mut reply = client.get(url, &options).await?;
    let (size, mut repeated) = match reply.status {
        StatusCode::OK => {
            // The whole came: the file is another one now, or the server knows no ranges.
            if part.offset() > 0 {
                part.restart().await?;
            }
            (reply.length, Vec::new())
        }
        StatusCode::PARTIAL_CONTENT => {
            let (first, size) = reply.range.unwrap_or((0, None));
            if first != options.from {
                return another(part, "the server sent another part than was asked for").await;
            }
            // Some servers do not know If-Range.
            let tag = validator(&reply.headers);
            if options.if_range.is_some() && tag.is_some() && tag != options.if_range {
                return another(part, "the file is another one now").await;
            }
            let size = size.or(reply.length.map(|length| first + length));
            (size, part.tail(again as usize).await?)
        }
        StatusCode::RANGE_NOT_SATISFIABLE => return another(part, "the file is shorter now").await,
        status => return Ok(Got::Refusal(status)),
    };
    match part.begin(size, validator(&reply.headers)).await {
        Err(error) if error.kind() == Kind::Invalid => return another(part, error.what()).await,
        begun => begun?,
    }
    while let Some(mut chunk) = reply.chunk().await? {
        let both = repeated.len().min(chunk.len());
        if chunk.split_to(both) != repeated[..both] {
            return another(part, "the file is another one now").await;
        }
        repeated.drain(..both);
        if !chunk.is_empty() {
            part.write(chunk).await?;
        }
    }
    Ok(Got::All)
}

/// What is here is of no use: the next try starts over.
async fn another(part: &mut Part, why: &str) -> Result<Got> {
    part.restart().await?;
    Err(Error::new(Kind::Unreachable, format!("{why}: it starts over")))
}

/// What If-Range may name: a strong entity tag, else the date (RFC 9110, 13.1.5).
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let tag = text(header::ETAG).filter(|tag| !tag.starts_with("W/"));
    tag.or(text(header::LAST_MODIFIED)).map(str::to_owned)
}

/// Bytes that must come again.
const OVERLAP: u64 = 64 << 10;
/// Before each try; a phone that moves from one access point to the next is back within the second pause.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];
