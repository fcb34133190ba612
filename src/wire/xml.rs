//! What media servers of phones write as XML and is none: mended before and while it is read (reference upnp 8.1, repairs
//! 1 to 6). Pure. No DTD is ever followed: an entity that it would define stays as it was written.

use std::borrow::Cow;

use quick_xml::escape::{escape, resolve_html5_entity};
use quick_xml::reader::Reader;

/// Returns bytes as text: UTF-8, UTF-16 with its mark, else Windows-1252, which holds all of Latin-1 (repair 5). Halves of
/// surrogate pairs that were written as UTF-8, and characters that XML forbids, are left out (repair 1; XML 1.0, 2.2).
pub fn decode(bytes: &[u8]) -> String {
    let text = match encoding_rs::Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding.decode(bytes).0,
        None => match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => one_byte_each(bytes),
        },
    };
    if text.chars().all(is_allowed) {
        text.into_owned()
    } else {
        text.chars().filter(|c| is_allowed(*c)).collect()
    }
}

/// Text that is no UTF-8. One that would be but for surrogates stays UTF-8.
fn one_byte_each(bytes: &[u8]) -> Cow<'_, str> {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if matches!(bytes[at..], [0xED, 0xA0..=0xBF, 0x80..=0xBF, ..]) {
            at += 3;
        } else {
            plain.push(bytes[at]);
            at += 1;
        }
    }
    match String::from_utf8(plain) {
        Ok(text) => Cow::Owned(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0,
    }
}

/// Returns whether XML may hold a character (XML 1.0, 2.2).
pub fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}

/// Returns a reader that goes on over what servers get wrong: names of tags that do not match, an `&` that begins nothing
/// (repair 2). Prefixes are never looked up, so one that was not declared is none (repair 3).
pub fn reader(text: &str) -> Reader<&[u8]> {
    let mut reader = Reader::from_str(text);
    let config = reader.config_mut();
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    config.allow_dangling_amp = true;
    reader
}

/// Returns what a reference stands for: the names of XML and HTML (repair 4), numbers; half a surrogate pair and a
/// character that XML forbids are nothing (repair 1). Anything else stays as it was written.
pub fn entity(name: &str) -> String {
    if let Some(number) = name.strip_prefix('#') {
        let number = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        return match number {
            Ok(number) => {
                char::from_u32(number).filter(|c| is_allowed(*c)).map(String::from).unwrap_or_default()
            }
            Err(_) => format!("&{name};"),
        };
    }
    resolve_html5_entity(name).map_or_else(|| format!("&{name};"), str::to_owned)
}

/// Returns text with its references resolved; an `&` that begins none stays.
pub fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        match reference(rest) {
            Some(name) => {
                out.push_str(&entity(name));
                rest = &rest[name.len() + 2..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

/// Returns text that was escaped once too often as it was meant (repair 6: minidlna 1.3.0 writes `&amp;quot;`).
pub fn unescape_twice_escaped(text: String) -> String {
    let meant = ["&amp;", "&quot;", "&apos;", "&lt;", "&gt;", "&#"];
    if meant.iter().any(|name| text.contains(name)) { unescape(&text) } else { text }
}

/// Returns text as it may stand in an element or an attribute: all five characters of XML escaped (Bose SoundTouch needs
/// `'` as well: reference upnp 2.3), what XML forbids left out (XML 1.0, 2.2).
pub fn escaped(text: &str) -> Cow<'_, str> {
    match allowed(text) {
        Cow::Borrowed(text) => escape(text),
        Cow::Owned(text) => Cow::Owned(escape(text).into_owned()),
    }
}

/// Adds text as it may stand in an element, quotes as they are: a listing has two for each attribute, and minidlna leaves
/// them, too. A carriage return becomes a number, for a reader makes a line end of it (XML 1.0, 2.11).
pub fn escape_into(out: &mut String, text: &str) {
    let text = allowed(text);
    let returns = memchr::memchr(b'\r', text.as_bytes()).is_some();
    let add = |out: &mut String, piece: &str| {
        if !returns {
            return out.push_str(piece);
        }
        for (nth, part) in piece.split('\r').enumerate() {
            out.push_str(if nth > 0 { "&#13;" } else { "" });
            out.push_str(part);
        }
    };
    let mut from = 0;
    for at in memchr::memchr3_iter(b'<', b'>', b'&', text.as_bytes()) {
        add(out, &text[from..at]);
        out.push_str(match text.as_bytes()[at] {
            b'<' => "&lt;",
            b'>' => "&gt;",
            _ => "&amp;",
        });
        from = at + 1;
    }
    add(out, &text[from..]);
}

/// Leaves out what XML forbids.
fn allowed(text: &str) -> Cow<'_, str> {
    // Bytes are looked at faster than characters; 0xEF begins U+FFFE and U+FFFF.
    let plain = text.bytes().all(|byte| byte >= 0x20 && byte != 0xef);
    if plain || text.chars().all(is_allowed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().filter(|c| is_allowed(*c)).collect())
}

/// Returns a document whose characters beyond ASCII are numbers, for readers that know no UTF-8 (Yamaha `KnOS/3.2`:
/// reference upnp 2.3). They must stand in text or attributes only.
pub fn in_ascii(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            out.push_str(&format!("&#{};", u32::from(c)));
        }
    }
    out
}

/// Returns the name of the reference that a text begins with.
fn reference(text: &str) -> Option<&str> {
    let end = text.char_indices().take(LONGEST_NAME).find(|(_, c)| *c == ';')?.0;
    let name = &text[1..end];
    let plain = |c: char| c.is_ascii_alphanumeric();
    (!name.is_empty() && name.strip_prefix('#').unwrap_or(name).chars().all(plain)).then_some(name)
}

/// The name without its prefix: servers declare other prefixes, or none.
pub fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// The longest name of HTML has 31 letters.
const LONGEST_NAME: usize = 34;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_of_any_server_become_text() {
        for (bytes, want) in [
            (&b"plain"[..], "plain"),
            (b"\xEF\xBB\xBFmarked", "marked"),
            ("Bj\u{f6}rk".as_bytes(), "Björk"),
            (b"Bj\xF6rk", "Björk"),
            (b"\x93quoted\x94", "“quoted”"),
            (b"a\x00b\x01c\x0Bd\te", "abcd\te"),
            (b"half \xED\xA0\xBD a pair", "half  a pair"),
            (b"\xFF\xFEa\x00b\x00", "ab"),
        ] {
            assert_eq!(decode(bytes), want, "{bytes:?}");
        }
    }

    #[test]
    fn references_are_resolved_and_the_rest_stays() {
        for (text, want) in [
            ("A &amp; B", "A & B"),
            ("R&B & Soul &", "R&B & Soul &"),
            ("caf&eacute; &nbsp;x", "café \u{a0}x"),
            ("&#x1F3B5;&#233;", "🎵é"),
            ("a&#xD83D;&#1;&#0;b", "ab"),
            ("&unknown; &#xyz;", "&unknown; &#xyz;"),
        ] {
            assert_eq!(unescape(text), want, "{text:?}");
        }
        assert_eq!(unescape_twice_escaped("12&quot; Mix".into()), "12\" Mix");
        assert_eq!(unescape_twice_escaped("R&B; Soul".into()), "R&B; Soul");
    }

    #[test]
    fn what_is_written_can_be_read() {
        let title = "R&B <live> \"12'\" \u{1}🎵é";
        let written = escaped(title);
        assert_eq!(written, "R&amp;B &lt;live&gt; &quot;12&apos;&quot; 🎵é");
        assert_eq!(unescape(&written), title.replace('\u{1}', ""));
        assert!(in_ascii(&written).is_ascii());
        let mut lines = String::new();
        escape_into(&mut lines, "a\r\n<b>\r&");
        assert_eq!(
            (lines.as_str(), unescape(&lines).as_str()),
            ("a&#13;\n&lt;b&gt;&#13;&amp;", "a\r\n<b>\r&")
        );
        assert_eq!(unescape(&in_ascii(&written)), title.replace('\u{1}', ""));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = decode(&bytes);
            prop_assert!(text.chars().all(is_allowed));
            prop_assert!(unescape(&text).len() <= text.len() * 8 + 8);
        }
    }
}
