//! DIDL-Lite (UPnP ContentDirectory:1, 2.8) as konpo's media server writes it. Pure; whatever a tag holds, the result is
//! well-formed XML 1.0.

use crate::units::Millis;
use crate::wire::xml::is_allowed;

/// Which letters a reader understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letters {
    /// All of UTF-8.
    Unicode,
    /// ASCII; others are written as numbers.
    Ascii,
}

/// A listing that is being written.
#[derive(Debug)]
pub struct Writer {
    text: String,
    letters: Letters,
    open: Option<&'static str>,
}

impl Writer {
    /// Begins a listing with the four namespaces of reference upnp 5.2.
    /// Room is made for so many objects.
    pub fn new(letters: Letters, objects: usize) -> Writer {
        let head = "<DIDL-Lite xmlns=\"urn:schemas-upnp-org:metadata-1-0/DIDL-Lite/\" \
                    xmlns:dc=\"http://purl.org/dc/elements/1.1/\" \
                    xmlns:upnp=\"urn:schemas-upnp-org:metadata-1-0/upnp/\" \
                    xmlns:dlna=\"urn:schemas-dlna-org:metadata-1-0/\">";
        let mut text = String::with_capacity(head.len() + objects * USUAL + 32);
        text.push_str(head);
        Writer { text, letters, open: None }
    }

    /// Opens an `item` or a `container` with its attributes; what is open is closed.
    pub fn begin(&mut self, name: &'static str, attributes: &[(&str, &str)]) {
        self.end();
        self.tag(name, attributes);
        self.open = Some(name);
    }

    /// Closes what is open.
    pub fn end(&mut self) {
        if let Some(name) = self.open.take() {
            self.close(name);
        }
    }

    /// Writes one element with its text.
    pub fn leaf(&mut self, name: &str, attributes: &[(&str, &str)], text: &str) {
        self.tag(name, attributes);
        escape(&mut self.text, text, self.letters);
        self.close(name);
    }

    /// Returns how many bytes are written.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Returns whether nothing was listed yet.
    pub fn is_empty(&self) -> bool {
        self.text.ends_with("metadata-1-0/\">")
    }

    /// Returns the whole listing.
    pub fn finish(mut self) -> String {
        self.end();
        self.close("DIDL-Lite");
        self.text
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.text.push('<');
        self.text.push_str(name);
        for (name, value) in attributes {
            self.text.push(' ');
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(&mut self.text, value, self.letters);
            self.text.push('"');
        }
        self.text.push('>');
    }

    fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }
}

/// Bytes of an object with every detail; what is longer costs a copy of the listing.
const USUAL: usize = 1200;

/// Adds text: white space as blanks, characters that XML forbids left out, all five signs escaped (Bose SoundTouch reads an
/// apostrophe as the end, reference upnp 2.3).
fn escape(out: &mut String, text: &str, letters: Letters) {
    // Most bytes stay as they are and go over in runs. 0xEF begins U+FFFE and U+FFFF.
    let is_plain = |byte: u8| match byte {
        0..=0x1f | b'&' | b'<' | b'>' | b'"' | b'\'' | 0xef => false,
        0x80.. => letters == Letters::Unicode,
        _ => true,
    };
    let mut rest = text;
    loop {
        let run = rest.bytes().position(|byte| !is_plain(byte)).unwrap_or(rest.len());
        out.push_str(&rest[..run]);
        let mut chars = rest[run..].chars();
        let Some(c) = chars.next() else { return };
        rest = chars.as_str();
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => out.push(' '),
            c if !is_allowed(c) => {}
            c if letters == Letters::Ascii && !c.is_ascii() => {
                out.push_str("&#");
                out.push_str(&u32::from(c).to_string());
                out.push(';');
            }
            c => out.push(c),
        }
    }
}

/// Returns a length as `H:MM:SS.mmm` (ContentDirectory:1, appendix B.2; three digits of a second as minidlna writes them).
pub fn duration(length: Millis) -> String {
    let (seconds, millis) = (length.0 / 1000, length.0 % 1000);
    format!("{}:{:02}:{:02}.{millis:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::didl;
    use proptest::prelude::*;

    /// What a strict reader makes of it: the texts of all elements, in order.
    fn texts(xml: &str) -> Vec<String> {
        let mut reader = quick_xml::reader::Reader::from_str(xml);
        reader.config_mut().check_end_names = true;
        let (mut found, mut text) = (Vec::new(), String::new());
        loop {
            match reader.read_event().expect("well formed") {
                quick_xml::events::Event::Start(tag) => {
                    tag.attributes().for_each(|attribute| drop(attribute.expect("well formed")));
                    text.clear();
                }
                quick_xml::events::Event::Text(piece) => text.push_str(&piece),
                quick_xml::events::Event::GeneralRef(name) => text.push_str(&crate::wire::xml::entity(&name)),
                quick_xml::events::Event::End(_) => found.push(std::mem::take(&mut text)),
                quick_xml::events::Event::Eof => return found,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_listing_is_read_back() {
        let mut writer = Writer::new(Letters::Unicode, 2);
        assert!(writer.is_empty());
        writer.begin("container", &[("id", "A1"), ("parentID", "0"), ("restricted", "1")]);
        writer.leaf("dc:title", &[], "夢 & <x>\u{1} \"q\" 'a'\n🎵");
        writer.leaf("upnp:class", &[], "object.container");
        writer.begin("item", &[("id", "T\"1")]);
        writer.leaf("dc:title", &[], "");
        writer.leaf("upnp:artist", &[], "Singer");
        writer.leaf("upnp:artist", &[("role", "Composer")], "Writer");
        writer.leaf(
            "res",
            &[("protocolInfo", "http-get:*:audio/flac:*"), ("duration", &duration(Millis(201_500)))],
            "http://x/?a&b",
        );
        let text = writer.finish();
        let read = didl::parse(&text).expect("a listing");
        assert_eq!(read.containers[0].title, "夢 & <x> \"q\" 'a' 🎵");
        assert_eq!((read.items[0].id.as_str(), read.items[0].artist.as_deref()), ("T\"1", Some("Singer")));
        let res = &read.items[0].resources[0];
        assert_eq!((res.url.as_str(), res.duration), ("http://x/?a&b", Some(Millis(201_500))));
        assert!(!read.cut);
    }

    #[test]
    fn lengths_have_three_digits_of_a_second() {
        for (length, want) in [(0, "0:00:00.000"), (225_360, "0:03:45.360"), (36_000_001, "10:00:00.001")] {
            assert_eq!(duration(Millis(length)), want);
        }
    }

    proptest! {
        #[test]
        fn whatever_a_tag_holds_is_well_formed(title in any::<String>(), id in any::<String>(), ascii in any::<bool>()) {
            let letters = if ascii { Letters::Ascii } else { Letters::Unicode };
            let mut writer = Writer::new(letters, 1);
            writer.begin("item", &[("id", &id)]);
            writer.leaf("dc:title", &[], &title);
            let text = writer.finish();
            let plain = |text: &str| -> String {
                text.chars().filter(|c| is_allowed(*c)).map(|c| if c.is_ascii_whitespace() { ' ' } else { c }).collect()
            };
            prop_assert_eq!(texts(&text)[0].clone(), plain(&title));
            prop_assert!(!ascii || text.is_ascii());
        }
    }
}
