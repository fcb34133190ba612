//! A small HTTP/1.1 client over konpo's control socket: what `konpo ctl` speaks.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body as JSON, `Null` when it is none.
    pub json: Value,
}

/// Asks over the socket; `Err` when nobody answers.
pub fn ask(socket: &Path, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<Reply> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    // In one piece: the answer may be there, and the connection closed, before a body comes that nobody waits for.
    stream.write_all(request.as_bytes())?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| {
        std::io::Error::new(std::io::ErrorKind::InvalidData, String::from_utf8_lossy(&bytes).into_owned())
    })
}

/// Returns the data of the first event of this name that `GET /api/events` tells (WHATWG HTML, 9.2).
pub fn event(socket: &Path, name: &str) -> std::io::Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let (mut ours, mut told) = (false, String::new());
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if let Some(event) = line.strip_prefix("event:") {
            ours = event.trim() == name;
        } else if let Some(data) = line.strip_prefix("data:").filter(|_| ours) {
            told.push_str(data.trim_start());
        } else if line.is_empty() && !told.is_empty() {
            return serde_json::from_str(&told).map_err(std::io::Error::from);
        }
    }
    Err(std::io::ErrorKind::UnexpectedEof.into())
}

/// Reads an answer that is here as a whole.
pub(super) fn parse(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = &bytes[end + 4..];
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { unchunk(body)? } else { body.to_vec() };
    Some(Reply { status, json: serde_json::from_slice(&body).unwrap_or(Value::Null) })
}

fn unchunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line = body.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&body[..line]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(body.get(line + 2..line + 2 + size)?);
        body = body.get(line + 4 + size..)?;
    }
}
