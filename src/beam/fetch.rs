//! One file from a neighbour into a part: resumed by Range where it broke off, tried three times.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::error::{Error, Kind, Result};
use crate::http::client::{Allow, Client, GetOptions, Reply};
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

/// What an answer means for the part.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// The whole file follows.
    Whole,
    /// What is missing follows.
    Rest,
    /// Without a range it may work.
    Again,
    /// Later it may work.
    Gone,
    /// It never will.
    Never,
}

/// Decides what an answer means when `here` bytes were there before.
fn way(status: StatusCode, here: u64) -> Way {
    match status {
        StatusCode::OK => Way::Whole,
        StatusCode::PARTIAL_CONTENT => Way::Rest,
        StatusCode::RANGE_NOT_SATISFIABLE => Way::Again,
        // minidlna 1.3.0 answers a range that begins at the end of the file so.
        StatusCode::BAD_REQUEST if here > 0 => Way::Again,
        StatusCode::NOT_FOUND
        | StatusCode::GONE
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_MANY_REQUESTS => Way::Gone,
        // A server that scans answers 500, one that sleeps 503: it is asked again at its next visit.
        status if status.is_server_error() => Way::Gone,
        _ => Way::Never,
    }
}

async fn once(client: &Client, url: &str, allow: &Allow, part: &mut Part) -> Result<Got> {
    let options = GetOptions {
        from: part.offset(),
        if_range: part.etag().map(str::to_owned),
        ..GetOptions::copy(allow.clone())
    };
    let mut reply = client.get(url, &options).await?;
    let size = match way(reply.status, part.offset()) {
        Way::Whole => {
            // The whole came: the file is another one now, or the server knows no ranges.
            if part.offset() > 0 {
                part.restart().await?;
            }
            reply.length
        }
        Way::Rest => {
            let (first, size) = reply.range.unwrap_or((0, None));
            if first != part.offset() {
                part.restart().await?;
                return Err(Error::new(Kind::Unreachable, "the server sent another part than was asked for"));
            }
            size.or(reply.length.map(|length| first + length))
        }
        Way::Again => {
            part.restart().await?;
            let what = format!(
                "the server has no such rest of the file ({}): it starts over",
                reply.status.as_u16()
            );
            return Err(Error::new(Kind::Unreachable, what));
        }
        Way::Gone => return Ok(Got::Gone(reply.status)),
        Way::Never => {
            let what = format!("the server refuses the file ({})", reply.status.as_u16());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_here_whole_when_the_power_went_is_not_refused() {
        // Its rest is empty: there is no such range.
        assert_eq!(way(StatusCode::BAD_REQUEST, 100_044), Way::Again);
        assert_eq!(way(StatusCode::RANGE_NOT_SATISFIABLE, 100_044), Way::Again);
        assert_eq!(way(StatusCode::BAD_REQUEST, 0), Way::Never);
    }

    #[test]
    fn a_server_in_trouble_is_asked_again_another_time() {
        for status in
            [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE, StatusCode::NOT_FOUND]
        {
            assert_eq!(way(status, 0), Way::Gone);
        }
        assert_eq!(way(StatusCode::FORBIDDEN, 0), Way::Never);
    }
}
