//! Whether a text is XML that every reader takes (XML 1.0, 2.1; Namespaces in XML 1.0, 5): for what an app handed in and
//! others are told again, some of whom drop an event for one undeclared prefix (reference upnp 3.5). Pure and bounded.

use quick_xml::escape::{resolve_xml_entity, unescape_with};
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use crate::wire::xml::{is_allowed, local};

/// Returns whether a text is one whole element of this local name, with nothing undeclared, unescaped or forbidden in it and
/// no document type.
pub fn is_whole(text: &str, root: &str) -> bool {
    if text.len() > LARGEST || !text.chars().all(is_allowed) {
        return false;
    }
    let mut reader = Reader::from_str(text);
    let mut seen = Seen { root, open: Vec::new(), roots: 0 };
    loop {
        let fits = match reader.read_event() {
            Ok(Event::Start(tag)) => seen.open(&tag),
            Ok(Event::Empty(tag)) => seen.open(&tag) && seen.open.pop().is_some(),
            Ok(Event::End(_)) => seen.open.pop().is_some(),
            Ok(Event::Text(piece)) => !seen.open.is_empty() || piece.trim().is_empty(),
            Ok(Event::CData(_)) => !seen.open.is_empty(),
            Ok(Event::GeneralRef(name)) => !seen.open.is_empty() && is_known(&name),
            Ok(Event::Decl(_) | Event::Comment(_) | Event::PI(_)) => true,
            Ok(Event::DocType(_)) | Err(_) => false,
            Ok(Event::Eof) => return seen.open.is_empty() && seen.roots == 1,
        };
        if !fits {
            return false;
        }
    }
}

/// What was read so far.
struct Seen<'a> {
    root: &'a str,
    /// The prefixes that each open element declares.
    open: Vec<Vec<String>>,
    roots: usize,
}

impl Seen<'_> {
    fn open(&mut self, tag: &BytesStart<'_>) -> bool {
        let name = tag.name();
        if self.open.is_empty() {
            self.roots += 1;
            if self.roots > 1 || local(name.as_ref()) != self.root {
                return false;
            }
        }
        let (mut declared, mut used) = (Vec::new(), vec![name.as_ref().to_owned()]);
        for attribute in tag.attributes() {
            let Ok(attribute) = attribute else { return false };
            if attribute.value.contains('<') || unescape_with(&attribute.value, resolve_xml_entity).is_err() {
                return false;
            }
            match attribute.key.as_ref().split_once(':') {
                Some(("xmlns", prefix)) => declared.push(prefix.to_owned()),
                _ => used.push(attribute.key.as_ref().to_owned()),
            }
        }
        self.open.push(declared);
        let is_declared =
            |prefix: &str| prefix == "xml" || self.open.iter().flatten().any(|declared| declared == prefix);
        let fits = |name: &String| match name.split_once(':') {
            Some((prefix, local)) => !local.contains(':') && !local.is_empty() && is_declared(prefix),
            None => !name.is_empty(),
        };
        self.open.len() <= DEEPEST && used.iter().all(fits)
    }
}

/// The five names of XML, and numbers of characters that it may hold.
fn is_known(name: &str) -> bool {
    let Some(number) = name.strip_prefix('#') else { return resolve_xml_entity(name).is_some() };
    let number = match number.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    number.ok().and_then(char::from_u32).is_some_and(is_allowed)
}

/// Bytes: what an app may hand in (reference upnp 3.1).
const LARGEST: usize = 256 << 10;
const DEEPEST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_every_reader_takes_is_whole() {
        let whole = |text: &str| is_whole(text, "DIDL-Lite");
        for text in [
            "<DIDL-Lite/>",
            "<?xml version=\"1.0\"?>\n<!-- x --><DIDL-Lite xmlns=\"d\"><item id=\"1\"/></DIDL-Lite>\n",
            "<d:DIDL-Lite xmlns:d=\"d\" xmlns:dc=\"c\"><item><dc:title>R&amp;B &#233;</dc:title></item></d:DIDL-Lite>",
            "<DIDL-Lite><item><dc:title xmlns:dc=\"c\">x</dc:title></item></DIDL-Lite>",
            "<DIDL-Lite><res a='1&amp;2' xml:lang=\"en\">x<![CDATA[<&]]></res></DIDL-Lite>",
        ] {
            assert!(whole(text), "{text}");
        }
        for text in [
            "",
            "NOT_IMPLEMENTED",
            "<item/>",
            "<DIDL-Lite/><DIDL-Lite/>",
            "<DIDL-Lite>",
            "<DIDL-Lite><item></DIDL-Lite>",
            "<DIDL-Lite><dc:title>x</dc:title></DIDL-Lite>",
            "<DIDL-Lite><res sec:x=\"1\"/></DIDL-Lite>",
            "<DIDL-Lite><res a=\"1&2\"/></DIDL-Lite>",
            "<DIDL-Lite><res a=\"<\"/></DIDL-Lite>",
            "<DIDL-Lite><res a=\"1\" a=\"2\"/></DIDL-Lite>",
            "<DIDL-Lite>R&B</DIDL-Lite>",
            "<DIDL-Lite>&nbsp;</DIDL-Lite>",
            "<DIDL-Lite>&#1;</DIDL-Lite>",
            "<DIDL-Lite>\u{1}</DIDL-Lite>",
            "<DIDL-Lite/>x",
            "<!DOCTYPE x [<!ENTITY y \"z\">]><DIDL-Lite/>",
            "&lt;DIDL-Lite/&gt;",
            &format!("<DIDL-Lite>{}{}</DIDL-Lite>", "<a>".repeat(40), "</a>".repeat(40)),
        ] {
            assert!(!whole(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(<DIDL-Lite>|</DIDL-Lite>|<dc:a b=\"|\"/>|&amp;|&#|<!|[ -~]|é){0,40}") {
            let _either_way = is_whole(&text, "DIDL-Lite");
        }
    }
}
