//! Property lists of Apple in their XML form, part by part from a stream (DTD PropertyList-1.0). Pure over `Read`; keeps one
//! element in memory, whatever the size of the file. No DTD is followed and no entity defined in the file is expanded.

use std::io::{self, BufRead, BufReader, Read};

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8};
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

use crate::error::{Error, Kind, Result};
use crate::units::UnixTime;

/// One part of a property list, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A dictionary begins; keys and values in turn up to its [`Part::End`].
    Dict,
    /// An array begins; values up to its [`Part::End`].
    Array,
    /// The last dictionary or array that began ends.
    End,
    /// A key of a dictionary.
    Key(String),
    /// `<string>`.
    Text(String),
    /// `<integer>`.
    Number(i64),
    /// `<real>`.
    Real(f64),
    /// `<true/>` and `<false/>`.
    Flag(bool),
    /// `<date>`, always UTC.
    Date(UnixTime),
    /// A value that is not kept: `<data>`, text of more than 64 KiB, a number or date that is none.
    Opaque,
}

/// Reads a property list.
pub struct Plist<R: Read> {
    xml: Reader<Clean<R>>,
    event: Vec<u8>,
    /// Dictionaries and arrays that are open.
    depth: usize,
    /// An empty one was just begun.
    closes: bool,
    /// `<plist>` began.
    began: bool,
    done: bool,
}

impl<R: Read> Plist<R> {
    /// Returns the reader of a property list. Reads nothing yet.
    pub fn new(from: R) -> Plist<R> {
        let mut xml = Reader::from_reader(Clean::new(from));
        xml.config_mut().allow_dangling_amp = true;
        Plist { xml, event: Vec::new(), depth: 0, closes: false, began: false, done: false }
    }

    /// Returns the next part, `None` behind the last.
    ///
    /// # Errors
    /// `Damaged` with the place for XML that is broken, breaks off, or is nested deeper or has larger elements than any real
    /// list; `Unsupported` for what is no property list, and for the binary form; those of reading. After an error, `None`.
    pub fn next_part(&mut self) -> Result<Option<Part>> {
        if self.done {
            return Ok(None);
        }
        let part = self.part();
        self.done = !matches!(part, Ok(Some(_)));
        part
    }

    /// Passes over the rest of the dictionary or array that began last.
    ///
    /// # Errors
    /// As [`Plist::next_part`].
    pub fn skip(&mut self) -> Result<()> {
        let mut open = 1usize;
        while open > 0 {
            match self.next_part()? {
                Some(Part::Dict | Part::Array) => open += 1,
                Some(Part::End) => open -= 1,
                Some(_) => {}
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn part(&mut self) -> Result<Option<Part>> {
        if std::mem::take(&mut self.closes) {
            self.depth -= 1;
            return Ok(Some(Part::End));
        }
        loop {
            let (name, empty) = match self.event()? {
                Seen::Start(name, empty) => (name, empty),
                Seen::End if self.depth > 0 => {
                    self.depth -= 1;
                    return Ok(Some(Part::End));
                }
                // `</plist>`; what may lie behind it is not read.
                Seen::End => return Ok(None),
                Seen::Over => return Err(self.damaged("breaks off")),
                Seen::Text(text) => {
                    if !text.trim().is_empty() {
                        return Err(self.foreign());
                    }
                    continue;
                }
            };
            if name == Name::Plist && !self.began {
                self.began = true;
                if empty {
                    return Ok(None);
                }
                continue;
            }
            if !self.began {
                return Err(self.foreign());
            }
            return match name {
                Name::Dict | Name::Array => {
                    self.depth += 1;
                    if self.depth > DEEPEST {
                        return Err(self.damaged("is nested deeper than any real one"));
                    }
                    self.closes = empty;
                    Ok(Some(if name == Name::Dict { Part::Dict } else { Part::Array }))
                }
                Name::Plist | Name::Other => Err(self.damaged("has an element that no property list has")),
                _ => {
                    let text = if empty { Some(String::new()) } else { self.leaf()? };
                    Ok(Some(leaf(name, text)))
                }
            };
        }
    }

    /// Reads the text of a value up to its end; `None` when it is too long to be kept.
    fn leaf(&mut self) -> Result<Option<String>> {
        let mut text = Some(String::new());
        loop {
            match self.event()? {
                Seen::Text(more) => {
                    if let Some(kept) = &mut text {
                        kept.push_str(&more);
                    }
                    text = text.filter(|kept| kept.len() <= LONGEST);
                }
                Seen::End => return Ok(text),
                Seen::Start(..) => return Err(self.damaged("has an element within a value")),
                Seen::Over => return Err(self.damaged("breaks off")),
            }
        }
    }

    fn event(&mut self) -> Result<Seen> {
        self.event.clear();
        if self.event.capacity() > SHRINK {
            self.event.shrink_to(SHRINK);
        }
        self.xml.get_mut().left = MOST_EVENT;
        let read = self.xml.read_event_into(&mut self.event);
        let seen = match read {
            Ok(Event::Start(start)) => Seen::Start(Name::of(start.name().as_ref()), false),
            Ok(Event::Empty(start)) => Seen::Start(Name::of(start.name().as_ref()), true),
            Ok(Event::End(_)) => Seen::End,
            Ok(Event::Eof) => Seen::Over,
            Ok(Event::Text(text)) => Seen::Text(text.xml10_content().into_owned()),
            Ok(Event::CData(text)) => Seen::Text(text.xml10_content().into_owned()),
            Ok(Event::GeneralRef(reference)) => Seen::Text(resolved(&reference)),
            Ok(Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_)) => {
                Seen::Text(String::new())
            }
            Err(quick_xml::Error::Io(error)) => {
                let error = io::Error::new(error.kind(), error.to_string());
                return Err(match error.kind() {
                    io::ErrorKind::InvalidData => self.damaged("has an element larger than any real one"),
                    _ => Error::io("read the property list", error),
                });
            }
            Err(error) => return Err(self.damaged(&format!("is broken ({error})"))),
        };
        Ok(seen)
    }

    fn damaged(&self, how: &str) -> Error {
        Error::new(Kind::Damaged, format!("the property list {how}, at byte {}", self.xml.buffer_position()))
    }

    fn foreign(&self) -> Error {
        if self.began {
            return self.damaged("has text between its elements");
        }
        Error::new(Kind::Unsupported, "this is not a property list")
    }
}

/// What an event of XML is to a property list.
enum Seen {
    Start(Name, bool),
    End,
    Text(String),
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Plist,
    Dict,
    Array,
    Key,
    Text,
    Number,
    Real,
    Date,
    Data,
    True,
    False,
    Other,
}

impl Name {
    fn of(name: &str) -> Name {
        match name {
            "plist" => Name::Plist,
            "dict" => Name::Dict,
            "array" => Name::Array,
            "key" => Name::Key,
            "string" => Name::Text,
            "integer" => Name::Number,
            "real" => Name::Real,
            "date" => Name::Date,
            "data" => Name::Data,
            "true" => Name::True,
            "false" => Name::False,
            _ => Name::Other,
        }
    }
}

fn leaf(name: Name, text: Option<String>) -> Part {
    let Some(text) = text else { return Part::Opaque };
    let value = text.trim();
    let part = match name {
        Name::Key => Some(Part::Key(text)),
        Name::Text => Some(Part::Text(text)),
        Name::Number => value.parse().ok().map(Part::Number),
        Name::Real => value.parse().ok().filter(|real: &f64| real.is_finite()).map(Part::Real),
        Name::Date => UnixTime::parse(value).map(Part::Date),
        Name::True => Some(Part::Flag(true)),
        Name::False => Some(Part::Flag(false)),
        _ => None,
    };
    part.unwrap_or(Part::Opaque)
}

/// Returns what a reference stands for: a number or one of the five names of XML. Anything else stays as it is written:
/// what a file defines for itself may grow without end.
fn resolved(reference: &quick_xml::events::BytesRef<'_>) -> String {
    if reference.is_char_ref() {
        return reference
            .resolve_char_ref()
            .ok()
            .flatten()
            .filter(|c| is_allowed(*c))
            .map(String::from)
            .unwrap_or_default();
    }
    resolve_predefined_entity(reference).map_or_else(|| format!("&{};", &**reference), str::to_owned)
}

/// XML 1.0, 2.2.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{fffd}' | '\u{10000}'..)
}

/// Text as UTF-8, from UTF-8 or UTF-16 with a mark; what is neither becomes U+FFFD. Refuses to give more than so many bytes
/// for one element.
struct Clean<R> {
    from: BufReader<R>,
    decoder: Option<Decoder>,
    out: Box<[u8]>,
    at: usize,
    end: usize,
    over: bool,
    left: usize,
}

impl<R: Read> Clean<R> {
    fn new(from: R) -> Clean<R> {
        let out = vec![0; CHUNK].into_boxed_slice();
        let from = BufReader::with_capacity(CHUNK, from);
        Clean { from, decoder: None, out, at: 0, end: 0, over: false, left: MOST_EVENT }
    }

    fn fill(&mut self) -> io::Result<()> {
        while self.at == self.end && !self.over {
            let raw = self.from.fill_buf()?;
            let decoder = self.decoder.get_or_insert_with(|| {
                let found = Encoding::for_bom(raw).map_or(UTF_8, |(encoding, _)| encoding);
                found.new_decoder_with_bom_removal()
            });
            let last = raw.is_empty();
            let (result, read, written, _) = decoder.decode_to_utf8(raw, &mut self.out, last);
            self.from.consume(read);
            (self.at, self.end) = (0, written);
            self.over = last && result == CoderResult::InputEmpty;
        }
        Ok(())
    }
}

impl<R: Read> Read for Clean<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let filled = self.fill_buf()?;
        let count = filled.len().min(into.len());
        into[..count].copy_from_slice(&filled[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Clean<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.fill()?;
        let most = (self.end - self.at).min(self.left);
        if most == 0 && self.at < self.end {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an element is too large"));
        }
        Ok(&self.out[self.at..self.at + most])
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
        self.left = self.left.saturating_sub(count);
    }
}

/// Bytes read and decoded at once.
const CHUNK: usize = 32 << 10;
/// Bytes of one event: a tag, a comment, a text without markup. Real ones have some kilobytes.
const MOST_EVENT: usize = 1 << 20;
/// A text that is kept.
const LONGEST: usize = 64 << 10;
/// Memory for events that stays.
const SHRINK: usize = 64 << 10;
/// Dictionaries and arrays within each other; libraries have 4.
const DEEPEST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(text: &[u8]) -> (Vec<Part>, Option<Kind>) {
        let (mut list, mut found) = (Plist::new(text), Vec::new());
        loop {
            match list.next_part() {
                Ok(Some(part)) => found.push(part),
                Ok(None) => return (found, None),
                Err(error) => {
                    assert!(matches!(list.next_part(), Ok(None)), "nothing comes behind an error");
                    return (found, Some(error.kind()));
                }
            }
        }
    }

    const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://x/p.dtd\">\n";

    #[test]
    fn every_kind_of_value_is_read() {
        let text = format!(
            "{HEAD}<plist version=\"1.0\"><dict><key>a &amp; b</key><string> x&#38;y<![CDATA[<z>]]> </string>\
             <key>n</key><integer> -7 </integer><key>r</key><real>1.5</real><key>t</key><true/><key>f</key><false></false>\
             <key>d</key><date>2008-07-17T09:12:45Z</date><key>b</key><data>QUJD</data>\
             <key>e</key><dict/><key>l</key><array><string/></array></dict></plist>trailing"
        );
        let key = |name: &str| Part::Key(name.into());
        let want = [
            Part::Dict,
            key("a & b"),
            Part::Text(" x&y<z> ".into()),
            key("n"),
            Part::Number(-7),
            key("r"),
            Part::Real(1.5),
            key("t"),
            Part::Flag(true),
            key("f"),
            Part::Flag(false),
            key("d"),
            Part::Date(UnixTime(1_216_285_965)),
            key("b"),
            Part::Opaque,
            key("e"),
            Part::Dict,
            Part::End,
            key("l"),
            Part::Array,
            Part::Text(String::new()),
            Part::End,
            Part::End,
        ];
        assert_eq!(parts(text.as_bytes()), (want.to_vec(), None));
        let wide: Vec<u8> =
            "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(parts(&wide), (want.to_vec(), None));
    }

    #[test]
    fn what_is_no_property_list_is_named() {
        let check = |text: &[u8], kind| assert_eq!(parts(text), (Vec::new(), Some(kind)), "{text:?}");
        check(b"bplist00\xd1\x01\x02", Kind::Unsupported);
        check(b"<html><body/></html>", Kind::Unsupported);
        check(b"hello", Kind::Unsupported);
        check(b"", Kind::Damaged);
        check(b"<plist>", Kind::Damaged);
        check(b"<plist><table/></plist>", Kind::Damaged);
    }

    #[test]
    fn what_was_read_before_a_break_is_kept() {
        let (found, error) = parts(b"<plist><dict><key>a</key><integer>1</integer><key>b</key><str");
        assert_eq!((found.len(), error), (4, Some(Kind::Damaged)));
        let (found, error) = parts(b"<plist><dict><key>a</key><integer>1</wrong>");
        assert_eq!((found.len(), error), (2, Some(Kind::Damaged)));
        // A number that is none, and bytes that are no UTF-8, are no reason to stop.
        let (found, error) =
            parts(b"<plist><array><integer>x</integer><string>Bj\xf6rk</string></array></plist>");
        assert_eq!(found, [Part::Array, Part::Opaque, Part::Text("Bj\u{fffd}rk".into()), Part::End]);
        assert_eq!(error, None);
    }

    #[test]
    fn bombs_do_not_go_off() {
        let mut laughs = String::from("<!DOCTYPE plist [<!ENTITY a \"ha\">");
        (0..30).for_each(|i| laughs.push_str(&format!("<!ENTITY a{i} \"&a{0};&a{0};&a{0};\">", i - 1)));
        laughs.push_str("]><plist><string>&a29;&#0;&#x41;</string></plist>");
        assert_eq!(parts(laughs.as_bytes()), (vec![Part::Text("&a29;A".into())], None));
        let deep = format!("<plist>{}", "<array>".repeat(100_000));
        let (found, error) = parts(deep.as_bytes());
        assert_eq!((found.len(), error), (DEEPEST, Some(Kind::Damaged)));
        let long =
            format!("<plist><array><string>{}</string><true/></array></plist>", "x".repeat(LONGEST + 1));
        assert_eq!(parts(long.as_bytes()).0, [Part::Array, Part::Opaque, Part::Flag(true), Part::End]);
        let endless = format!("<plist><array><true/><string>{}", "x".repeat(MOST_EVENT + 10));
        assert_eq!(parts(endless.as_bytes()), (vec![Part::Array, Part::Flag(true)], Some(Kind::Damaged)));
        let endless = format!("<plist><array><true/><{}", "x".repeat(MOST_EVENT + 10));
        assert_eq!(parts(endless.as_bytes()), (vec![Part::Array, Part::Flag(true)], Some(Kind::Damaged)));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200), front in "(<plist>)?(<dict>)?(<key>)?") {
            let (found, error) = parts(&[front.as_bytes(), &bytes].concat());
            prop_assert!(found.len() <= 200 && error.is_none_or(|kind| matches!(kind, Kind::Damaged | Kind::Unsupported)));
        }
    }
}
