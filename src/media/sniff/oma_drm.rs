//! OMA DRM of phones (reference purchases 2.5): messages and DCF of version 1, and the `ohdr` box of version 2.

use crate::media::raw::{RawTag, RawValue};
use crate::media::sniff::look::be;

/// Returns what a file of OMA DRM 1 says of itself; `None` when it is none. A forward-locked message is `--boundary`, then a
/// header; a DCF has version 1, two lengths, a MIME type and a `cid:`, two lengths more, then headers as text.
pub fn drm_1(head: &[u8]) -> Option<Vec<RawTag>> {
    if head.starts_with(b"--") {
        let text = String::from_utf8_lossy(head);
        let second = text.lines().nth(1).unwrap_or("").to_ascii_lowercase();
        let message = second.starts_with("content-type:") || second.starts_with("content-transfer-encoding:");
        return message.then(Vec::new);
    }
    let (Some(1), Some(&kind), Some(&uri)) = (head.first(), head.get(1), head.get(2)) else { return None };
    let (mime_end, id_end) = (3 + usize::from(kind), 3 + usize::from(kind) + usize::from(uri));
    let (mime, id) = (head.get(3..mime_end)?, head.get(mime_end..id_end)?);
    if !mime.contains(&b'/') || !mime.is_ascii() || !id.starts_with(b"cid:") {
        return None;
    }
    let mut found = vec![text("ContentType", mime), text("ContentID", id)];
    let mut at = id_end;
    let length = uintvar(head, &mut at).unwrap_or(0);
    let _of_the_sound = uintvar(head, &mut at);
    let end = at.saturating_add(length).min(head.len());
    for line in String::from_utf8_lossy(head.get(at..end).unwrap_or_default()).lines().take(MOST_LINES) {
        if let Some((name, value)) = line.split_once(':') {
            found.push(text(name.trim(), value.trim().as_bytes()));
        }
    }
    Some(found)
}

/// A number of 7-bit groups, at most five (WAP-230-WSP, 8.1.2).
fn uintvar(bytes: &[u8], at: &mut usize) -> Option<usize> {
    let mut number = 0usize;
    for _ in 0..5 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number = number << 7 | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Reads the body of `ohdr`: version and flags, method, padding, plain length, three lengths, then content id, address of the
/// rights issuer and headers (OMA DRM Content Format 2.0, 5.2). Returns the address, and all of it as tags.
pub fn ohdr(body: &[u8]) -> (String, Vec<RawTag>) {
    let lengths = [14, 16, 18].map(|at| be(body, at, 2) as usize);
    let mut at = 20usize;
    let mut field = |length: usize| {
        let from = at;
        at = at.saturating_add(length);
        body.get(from..at).unwrap_or_default()
    };
    let (id, issuer, headers) = (field(lengths[0]), field(lengths[1]), field(lengths[2]));
    let mut found = vec![text("ContentID", id), text("RightsIssuerURL", issuer)];
    found.push(RawTag::new("oma-drm:EncryptionMethod", RawValue::Number(be(body, 4, 1) as i64)));
    // Each header ends with a zero.
    for line in headers.split(|&b| b == 0).take(MOST_LINES) {
        if let Some(colon) = line.iter().position(|&b| b == b':') {
            found.push(text(String::from_utf8_lossy(&line[..colon]).trim(), line[colon + 1..].trim_ascii()));
        }
    }
    found.retain(|tag| tag.text().is_none_or(|text| !text.is_empty()));
    (String::from_utf8_lossy(issuer).into_owned(), found)
}

fn text(name: &str, value: &[u8]) -> RawTag {
    RawTag::new(format!("oma-drm:{name}"), RawValue::Text(String::from_utf8_lossy(value).into_owned()))
}

const MOST_LINES: usize = 32;
