//! One file from a neighbour into a part: resumed by Range where it broke off, tried three times.

use std::time::Duration;

use bytes::BytesMut;
use http::{HeaderMap, StatusCode, header};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::error::{Error, Kind, Result};
use crate::http::client::{Allow, Client, GetOptions, Reply};
use crate::intake::glance::{Glance, Says};
use crate::intake::staging::Part;

/// What became of a fetch.
#[derive(Debug, PartialEq, Eq)]
pub enum Fetched {
    /// All bytes are here.
    Whole,
    /// Not now: the neighbour does not answer, or has not got it at the moment. The part stays for the next time.
    Later(String),
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
            () = stop.cancelled() => return Ok(Fetched::Later("konpo is stopping".into())),
            () = tokio::time::sleep(pause) => {}
        }
        match once(client, url, allow, &mut part).await {
            Ok(Got::All) => match part.finish().await {
                Ok(()) => return Ok(Fetched::Whole),
                Err(error) if error.kind() == Kind::Unreachable => {
                    return Ok(Fetched::Later(error.to_string()));
                }
                Err(error) => return Err(error),
            },
            Ok(Got::Gone(status)) => {
                return Ok(Fetched::Later(format!("the file is not there at the moment ({status})")));
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
    Ok(Fetched::Later(last))
}

enum Got {
    All,
    Gone(StatusCode),
}

async fn once(client: &Client, url: &str, allow: &Allow, part: &mut Part) -> Result<Got> {
    let options = GetOptions {
        from: part.offset(),
        if_range: part.etag().map(str::to_owned),
        ..GetOptions::copy(allow.clone())
    };
    let mut reply = client.get(url, &options).await?;
    let size = match reply.status {
        StatusCode::OK => {
            // The whole came: the file is another one now, or the server knows no ranges.
            if part.offset() > 0 {
                part.restart().await?;
            }
            reply.length
        }
        StatusCode::PARTIAL_CONTENT => {
            let (first, size) = reply.range.unwrap_or((0, None));
            if first != part.offset() {
                part.restart().await?;
                return Err(Error::new(Kind::Unreachable, "the server sent another part than was asked for"));
            }
            size.or(reply.length.map(|length| first + length))
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            part.restart().await?;
            return Err(Error::new(Kind::Unreachable, "the file is shorter now: it starts over"));
        }
        StatusCode::NOT_FOUND | StatusCode::GONE | StatusCode::SERVICE_UNAVAILABLE => {
            return Ok(Got::Gone(reply.status));
        }
        status => {
            let what = format!("the server refuses the file ({})", status.as_u16());
            return Err(Error::new(Kind::Unsupported, what));
        }
    };
    if let Err(error) = part.begin(size, validator(&reply.headers)).await {
        if error.kind() != Kind::Invalid {
            return Err(error);
        }
        part.restart().await?;
        return Err(Error::with(Kind::Unreachable, "the file is another one now: it starts over", error));
    }
    copy(&mut reply, part).await?;
    Ok(Got::All)
}

/// Looks at a few bytes of a file: whether it was bought. A neighbour that knows no ranges is believed to say no more than
/// its first bytes do.
///
/// # Errors
/// `Unreachable`.
pub async fn is_bought(client: &Client, url: &str, allow: &Allow, size: u64) -> Result<bool> {
    let mut glance = Glance::new(size);
    loop {
        let (at, count) = match glance.says() {
            Says::More(at, count) => (at, count),
            said => return Ok(said == Says::Bought),
        };
        let options = GetOptions { from: at, count: Some(count), ..GetOptions::copy(allow.clone()) };
        let mut reply = client.get(url, &options).await?;
        let first = match (reply.status, reply.range) {
            (StatusCode::PARTIAL_CONTENT, Some((first, _))) => first,
            (StatusCode::OK, _) => 0,
            _ => return Ok(false),
        };
        if first != at {
            return Ok(false);
        }
        let mut piece = BytesMut::new();
        while (piece.len() as u64) < count
            && let Some(chunk) = reply.chunk().await?
        {
            piece.extend_from_slice(&chunk);
        }
        piece.truncate(count as usize);
        if piece.is_empty() {
            return Ok(false);
        }
        glance.add(at, piece.freeze());
    }
}

async fn copy(reply: &mut Reply, part: &mut Part) -> Result<()> {
    while let Some(chunk) = reply.chunk().await? {
        part.write(chunk).await?;
    }
    Ok(())
}

/// What If-Range may name: a strong entity tag, else the date (RFC 9110, 13.1.5).
fn validator(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let tag = text(header::ETAG).filter(|tag| !tag.starts_with("W/"));
    tag.or(text(header::LAST_MODIFIED)).map(str::to_owned)
}

/// Before each try; a phone that moves from one access point to the next is back within the second pause.
const PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(4), Duration::from_secs(15)];
