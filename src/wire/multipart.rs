//! Forms with files: multipart/form-data (RFC 7578, RFC 2046 5.1), read as the bytes come. Nothing is kept but the head of a
//! part and what may still be a boundary.

use crate::error::{Error, Kind, Result};

/// What a form tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A part begins.
    Part(Head),
    /// Bytes of it.
    Data(Vec<u8>),
    /// It ends.
    PartEnd,
    /// The form ends; whatever follows does not matter.
    End,
}

/// What a part says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The name of its field.
    pub name: String,
    /// The name of its file; `None`: it is no file.
    pub file: Option<String>,
    /// Its media type as stated, else empty.
    pub mime: String,
}

/// A form that is read.
#[derive(Debug)]
pub struct Form {
    /// The line break, two hyphens and the boundary.
    delimiter: Vec<u8>,
    held: Vec<u8>,
    stage: Stage,
    parts: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// In front of the first boundary.
    Preamble,
    /// Behind a boundary.
    Boundary,
    Head,
    Data,
    Over,
}

/// Returns the boundary of a content type (RFC 2046, 5.1.1); `None`: it is no form with files.
pub fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    let fits = (1..=70).contains(&value.len()) && value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    fits.then_some(value)
}

impl Form {
    /// Returns a form with this boundary.
    pub fn new(boundary: &str) -> Form {
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        // The first boundary may stand at the very beginning.
        Form { delimiter, held: b"\r\n".to_vec(), stage: Stage::Preamble, parts: 0 }
    }

    /// Takes bytes; ask for what they tell before more are given.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.stage != Stage::Over {
            self.held.extend_from_slice(bytes);
        }
    }

    /// Returns what comes next; `None`: more bytes are needed.
    ///
    /// # Errors
    /// `Invalid` for what is no form, a head beyond 16 KiB, and more than 5,000 parts.
    pub fn read(&mut self) -> Result<Option<Event>> {
        loop {
            match self.stage {
                Stage::Over => return Ok(Some(Event::End)),
                Stage::Preamble => {
                    let Some(at) = self.within(b"", "it does not begin with its boundary")? else {
                        return Ok(None);
                    };
                    self.held.drain(..at + self.delimiter.len());
                    self.stage = Stage::Boundary;
                }
                Stage::Boundary => match self.behind_boundary()? {
                    Some(stage) => self.stage = stage,
                    None => return Ok(None),
                },
                Stage::Head => {
                    let Some(end) = self.within(b"\r\n\r\n", "the head of a part is too long")? else {
                        return Ok(None);
                    };
                    let head = head(&self.held[2.min(end)..end])?;
                    self.held.drain(..end + 4);
                    self.stage = Stage::Data;
                    self.parts += 1;
                    if self.parts > MOST_PARTS {
                        return Err(wrong("it has too many parts"));
                    }
                    return Ok(Some(Event::Part(head)));
                }
                Stage::Data => return Ok(self.data()),
            }
        }
    }

    /// Returns where something begins, the delimiter when it is empty; `None`: more bytes are needed. Whatever the pieces, the
    /// limit is the same.
    fn within(&self, what: &[u8], else_wrong: &str) -> Result<Option<usize>> {
        let what = if what.is_empty() { &self.delimiter } else { what };
        match find(&self.held, what) {
            Some(at) if at <= LONGEST_HEAD => Ok(Some(at)),
            None if self.held.len() <= LONGEST_HEAD + what.len() => Ok(None),
            _ => Err(wrong(else_wrong)),
        }
    }

    /// Two hyphens end the form, a line break begins a part (RFC 2046, 5.1.1); blanks between are passed over.
    fn behind_boundary(&mut self) -> Result<Option<Stage>> {
        if self.held.len() < 2 {
            return Ok(None);
        }
        if self.held.starts_with(b"--") {
            self.held.clear();
            return Ok(Some(Stage::Over));
        }
        let blanks = self.held.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if blanks > LONGEST_PADDING {
            return Err(wrong("a boundary does not end its line"));
        }
        if self.held.len() < blanks + 2 {
            return Ok(None);
        }
        if self.held.get(blanks..blanks + 2) != Some(&b"\r\n"[..]) {
            return Err(wrong("a boundary does not end its line"));
        }
        // The line break stays, for a head without a line ends with two of them at once.
        self.held.drain(..blanks);
        Ok(Some(Stage::Head))
    }

    fn data(&mut self) -> Option<Event> {
        if let Some(at) = find(&self.held, &self.delimiter) {
            if at > 0 {
                return Some(Event::Data(self.held.drain(..at).collect()));
            }
            self.held.drain(..self.delimiter.len());
            self.stage = Stage::Boundary;
            return Some(Event::PartEnd);
        }
        // The last bytes may be the beginning of a boundary.
        let sure = self.held.len().saturating_sub(self.delimiter.len() - 1);
        let sure =
            self.held[sure..].iter().position(|&byte| byte == b'\r').map_or(self.held.len(), |at| sure + at);
        (sure > 0).then(|| Event::Data(self.held.drain(..sure).collect()))
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}

fn wrong(why: &str) -> Error {
    Error::new(Kind::Invalid, format!("read a form: {why}"))
}

/// Reads the head of a part (RFC 7578, 4.2, 4.4).
fn head(bytes: &[u8]) -> Result<Head> {
    let text = String::from_utf8_lossy(bytes);
    let mut head = Head::default();
    let mut named = false;
    for line in text.split("\r\n") {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.trim().eq_ignore_ascii_case("content-type") {
            value.trim().clone_into(&mut head.mime);
        } else if name.trim().eq_ignore_ascii_case("content-disposition") {
            named = true;
            for (key, value) in parameters(value) {
                match key.to_ascii_lowercase().as_str() {
                    "name" => head.name = value,
                    "filename" if head.file.is_none() => head.file = Some(value),
                    // Not of the standard (RFC 7578, 4.2), and sent all the same.
                    "filename*" => head.file = extended(&value).or(head.file),
                    _ => {}
                }
            }
        }
    }
    if named { Ok(head) } else { Err(wrong("a part does not say what it is")) }
}

/// Returns the parameters of a header. Browsers write a quote as %22 and curl as \", and neither doubles a backslash (WHATWG
/// HTML, 4.10.21.8): one in front of anything else stands for itself.
fn parameters(value: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut rest = value.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((key, behind)) = rest.split_once('=') {
        let key = key.trim().trim_start_matches(';').trim().to_owned();
        let behind = behind.trim_start();
        let (value, left) = match behind.strip_prefix('"') {
            Some(quoted) => quoted_string(quoted),
            None => {
                let (value, left) = behind.split_once(';').unwrap_or((behind, ""));
                (value.trim().to_owned(), left)
            }
        };
        all.push((key, value));
        rest = left;
        if all.len() >= MOST_PARAMETERS {
            break;
        }
    }
    all
}

fn quoted_string(text: &str) -> (String, &str) {
    let (mut value, mut letters) = (String::new(), text.char_indices().peekable());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (unescaped(&value), &text[at + 1..]),
            '\\' if letters.peek().is_some_and(|(_, next)| *next == '"') => {
                letters.next();
                value.push('"');
            }
            letter => value.push(letter),
        }
    }
    (unescaped(&value), "")
}

/// The three that browsers write so (WHATWG HTML, 4.10.21.8).
fn unescaped(text: &str) -> String {
    text.replace("%22", "\"").replace("%0D", "\r").replace("%0A", "\n")
}

/// Reads a value with its charset (RFC 8187, 3.2): UTF-8 only.
fn extended(value: &str) -> Option<String> {
    let encoded = value.strip_prefix("UTF-8''").or(value.strip_prefix("utf-8''"))?;
    let (mut bytes, mut rest) = (Vec::new(), encoded.as_bytes());
    while let [first, behind @ ..] = rest {
        if *first == b'%' {
            let hex = std::str::from_utf8(behind.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

const LONGEST_HEAD: usize = 16 << 10;
const LONGEST_PADDING: usize = 64;
const MOST_PARTS: usize = 5000;
const MOST_PARAMETERS: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a form in pieces of a size; the data of a part joined.
    fn read(bytes: &[u8], step: usize) -> Result<Vec<(Head, Vec<u8>)>> {
        let mut form = Form::new("XX");
        let mut parts: Vec<(Head, Vec<u8>)> = Vec::new();
        for piece in bytes.chunks(step) {
            form.push(piece);
            while let Some(event) = form.read()? {
                match event {
                    Event::Part(head) => parts.push((head, Vec::new())),
                    Event::Data(data) => parts.last_mut().expect("a part").1.extend(data),
                    Event::PartEnd => {}
                    Event::End => return Ok(parts),
                }
            }
        }
        Err(wrong("it breaks off"))
    }

    fn part(head: &str, data: &[u8]) -> Vec<u8> {
        [b"--XX\r\n", head.as_bytes(), b"\r\n\r\n", data, b"\r\n"].concat()
    }

    #[test]
    fn files_and_fields_come_out_whatever_the_pieces() {
        let song = b"\r\n--X not yet\r\n--\r\n\0\xff--XX";
        let bytes = [
            part("Content-Disposition: form-data; name=\"pin\"", b"123456"),
            part("content-disposition: form-data; name=\"f\"; filename=\"夜 %22a%22;b.flac\"\r\nContent-Type: audio/flac", song),
            part("Content-Disposition: form-data; name=f; filename=\"a\\\"b\\c.mp3\"", b""),
            part("Content-Disposition: form-data; name=\"f\"; filename=\"x\"; filename*=UTF-8''%E5%A4%9C.mp3", b"y"),
            b"--XX--\r\nwhatever".to_vec(),
        ]
        .concat();
        for step in [1, 2, 3, 7, 64, bytes.len()] {
            let parts = read(&bytes, step).expect("right");
            let files: Vec<Option<&str>> = parts.iter().map(|(head, _)| head.file.as_deref()).collect();
            assert_eq!(files, [None, Some("夜 \"a\";b.flac"), Some("a\"b\\c.mp3"), Some("夜.mp3")], "{step}");
            assert_eq!((parts[0].0.name.as_str(), &parts[0].1[..]), ("pin", &b"123456"[..]));
            assert_eq!((parts[1].0.mime.as_str(), &parts[1].1[..]), ("audio/flac", &song[..]), "{step}");
            assert_eq!((&parts[2].1[..], &parts[3].1[..]), (&b""[..], &b"y"[..]));
        }
    }

    #[test]
    fn what_is_no_form_is_refused() {
        for wrong in [
            &b"--XXY\r\n\r\n"[..],
            b"--XX\r\nContent-Type: a/b\r\n\r\nx\r\n--XX--",
            b"--XX\r\n\r\nx\r\n--XX--",
            b"",
            b"--XX\r\nContent-Disposition: form-data; name=a\r\n\r\nx",
        ] {
            assert!(read(wrong, 5).is_err(), "{:?}", String::from_utf8_lossy(wrong));
        }
        assert!(read(&vec![b'a'; LONGEST_HEAD + 100], 1000).is_err());
        let endless = [b"--XX\r\nA: ".to_vec(), vec![b'a'; LONGEST_HEAD]].concat();
        assert!(read(&endless, 1000).is_err());
        let crowd = part("Content-Disposition: form-data; name=a", b"").repeat(MOST_PARTS + 1);
        assert!(read(&crowd, 100_000).is_err());
        for (text, want) in [
            ("multipart/form-data; boundary=XX", Some("XX")),
            ("Multipart/Form-Data; charset=utf-8; boundary=\"a b\"", Some("a b")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/mixed; boundary=XX", None),
            ("text/plain; boundary=XX", None),
        ] {
            assert_eq!(boundary(text).as_deref(), want, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(data in proptest::collection::vec(prop_oneof![
            Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'X'), any::<u8>()
        ], 0..200), step in 1..50_usize) {
            prop_assume!(find(&[b"\r\n", &data[..], b"\r\n"].concat(), b"\r\n--XX").is_none());
            let bytes = [part("Content-Disposition: form-data; name=a", &data), b"--XX--".to_vec()].concat();
            let parts = read(&bytes, step).expect("right");
            prop_assert_eq!(&parts[0].1, &data);
        }
    }
}
