//! SOAP 1.1 as UPnP uses it (UPnP Device Architecture 1.0, 3.2): one call, one answer or fault. Pure and bounded; tolerant
//! of what servers of phones write.

pub mod device;

use std::collections::HashMap;

use quick_xml::escape::escape;
use quick_xml::events::Event;

use crate::error::{Error, Kind, Result};
use crate::wire::xml::{decode, entity, local, reader};

/// What a service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The values of its arguments, by name.
    Done(HashMap<String, String>),
    /// It refused.
    Fault(Fault),
}

/// Why a service refused (UPnP Device Architecture 1.0, 3.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// UPnP's code; 0 when it gives none.
    pub code: u32,
    /// Its words; empty when it gives none.
    pub words: String,
}

/// Returns the body of a call. `arguments` in the order of the service's own description.
pub fn request(service: &str, action: &str, arguments: &[(&str, &str)]) -> String {
    let arguments: String =
        arguments.iter().map(|(name, value)| format!("<{name}>{}</{name}>", escape(*value))).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n\
         <s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>\
         <u:{action} xmlns:u=\"{}\">{arguments}</u:{action}></s:Body></s:Envelope>",
        escape(service)
    )
}

/// Returns the value of the header `SOAPACTION`.
pub fn action(service: &str, action: &str) -> String {
    format!("\"{service}#{action}\"")
}

/// Reads an answer. An argument that holds elements instead of escaped text is returned as they were written (repair 7);
/// an answer that was cut off gives what is there (repair 8).
///
/// # Errors
/// `Damaged` for bytes that are no answer, or beyond the limits.
pub fn parse_reply(bytes: &[u8]) -> Result<Reply> {
    let damaged = |what: &str| Error::new(Kind::Damaged, format!("its answer {what}"));
    let mut parser = parse(bytes, LARGEST).ok_or_else(|| damaged("is larger than it may be"))?;
    match (parser.fault, parser.answered) {
        (true, _) => Ok(Reply::Fault(Fault {
            code: parser.values.get("errorCode").and_then(|code| code.trim().parse().ok()).unwrap_or(0),
            words: parser.values.remove("errorDescription").unwrap_or_default().trim().to_owned(),
        })),
        (false, Some(_)) => Ok(Reply::Done(parser.values)),
        (false, None) => Err(damaged("cannot be read")),
    }
}

/// Reads an envelope as far as it can be read; `None` beyond the limits.
fn parse(bytes: &[u8], largest: usize) -> Option<Parser> {
    if bytes.len() > largest {
        return None;
    }
    let text = decode(bytes);
    let mut reader = reader(&text);
    let mut parser = Parser::default();
    loop {
        let before = position(&reader);
        match reader.read_event() {
            Ok(Event::Start(tag)) => parser.open(local(tag.name().as_ref()), position(&reader)),
            Ok(Event::Empty(tag)) => {
                parser.open(local(tag.name().as_ref()), position(&reader));
                parser.close(&text, before);
            }
            Ok(Event::End(_)) => parser.close(&text, before),
            Ok(Event::Text(piece)) => parser.say(&piece),
            Ok(Event::CData(piece)) => parser.say(&piece),
            Ok(Event::GeneralRef(name)) => parser.say(&entity(&name)),
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
        if parser.path.len() > DEEPEST || parser.values.len() > MOST_VALUES {
            return None;
        }
    }
    // One that was cut off: what is open ends here.
    while !parser.path.is_empty() {
        parser.close(&text, text.len());
    }
    Some(parser)
}

fn position(reader: &quick_xml::reader::Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

#[derive(Default)]
struct Parser {
    /// The local names of the elements around this place.
    path: Vec<String>,
    /// The argument that is open: the depth and the place of its content, and whether it holds elements.
    argument: Option<(usize, usize, bool)>,
    text: String,
    values: HashMap<String, String>,
    /// The element in the body: the action, or the answer to it.
    answered: Option<String>,
    fault: bool,
}

impl Parser {
    fn open(&mut self, name: &str, content: usize) {
        let in_body = self.path.last().is_some_and(|parent| parent == "Body");
        let in_answer = self.path.len() >= 2 && self.path[self.path.len() - 2] == "Body";
        if in_body {
            self.answered.get_or_insert_with(|| name.to_owned());
        }
        self.fault |= in_body && name == "Fault";
        let leaf_of_fault = self.fault && matches!(name, "errorCode" | "errorDescription");
        match &mut self.argument {
            Some((_, _, holds_elements)) => *holds_elements = true,
            None if leaf_of_fault || (in_answer && !self.fault) => {
                self.argument = Some((self.path.len(), content, false));
                self.text.clear();
            }
            None => {}
        }
        self.path.push(name.to_owned());
    }

    fn say(&mut self, piece: &str) {
        if self.argument.is_some() {
            self.text.push_str(piece);
        }
    }

    fn close(&mut self, all: &str, end: usize) {
        let Some(name) = self.path.pop() else { return };
        let Some((depth, content, holds_elements)) = self.argument else { return };
        if depth == self.path.len() {
            self.argument = None;
            let text = std::mem::take(&mut self.text);
            let inside = all.get(content..end.max(content)).unwrap_or_default();
            self.values.insert(name, if holds_elements { inside.to_owned() } else { text });
        }
    }
}

/// A page of 50 things with long metadata is far below this.
pub const LARGEST: usize = 4 << 20;
const DEEPEST: usize = 64;
const MOST_VALUES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn done(text: &str) -> HashMap<String, String> {
        match parse_reply(text.as_bytes()).expect("an answer") {
            Reply::Done(values) => values,
            Reply::Fault(fault) => panic!("{fault:?}"),
        }
    }

    fn answer(arguments: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"x\"><s:Body><u:BrowseResponse xmlns:u=\"y\">{arguments}\
             </u:BrowseResponse></s:Body></s:Envelope>"
        )
    }

    #[test]
    fn a_call_is_escaped_and_names_its_action() {
        let body = request("urn:x:1", "Browse", &[("ObjectID", "a<&\"b"), ("Filter", "*")]);
        assert!(
            body.contains("<ObjectID>a&lt;&amp;&quot;b</ObjectID><Filter>*</Filter></u:Browse>"),
            "{body}"
        );
        assert_eq!(action("urn:x:1", "Browse"), "\"urn:x:1#Browse\"");
    }

    #[test]
    fn an_answer_gives_its_values() {
        let values = done(&answer(
            "<Result>&lt;DIDL&gt;A &amp;amp; B&lt;/DIDL&gt;</Result><NumberReturned>1</NumberReturned><Empty/>",
        ));
        assert_eq!(values["Result"], "<DIDL>A &amp; B</DIDL>");
        assert_eq!((values["NumberReturned"].as_str(), values["Empty"].as_str()), ("1", ""));
    }

    #[test]
    fn a_result_may_be_cdata_or_elements_or_missing() {
        let didl = "<DIDL-Lite><item id=\"1\"><dc:title>A &amp; B</dc:title></item></DIDL-Lite>";
        assert_eq!(done(&answer(&format!("<Result><![CDATA[{didl}]]></Result>")))["Result"], didl);
        assert_eq!(done(&answer(&format!("<Result>{didl}</Result><N>1</N>")))["Result"], didl);
        let values = done(&answer("<NumberReturned>0</NumberReturned>"));
        assert!(!values.contains_key("Result"));
    }

    #[test]
    fn an_answer_that_was_cut_off_gives_what_is_there() {
        let whole = answer("<Result>&lt;DIDL&gt;&lt;item/&gt;&lt;item</Result>");
        let cut = &whole[..whole.find("</Result>").expect("there")];
        assert_eq!(done(cut)["Result"], "<DIDL><item/><item");
    }

    #[test]
    fn a_bare_ampersand_costs_nothing() {
        assert_eq!(done(&answer("<Result>R&B & Soul</Result>"))["Result"], "R&B & Soul");
    }

    #[test]
    fn a_fault_gives_code_and_words() {
        let fault = "<s:Envelope xmlns:s=\"x\"><s:Body><s:Fault><faultcode>s:Client</faultcode>\
            <faultstring>UPnPError</faultstring><detail><UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\">\
            <errorCode>701</errorCode><errorDescription>No such object</errorDescription></UPnPError></detail>\
            </s:Fault></s:Body></s:Envelope>";
        let want = Fault { code: 701, words: "No such object".into() };
        assert_eq!(parse_reply(fault.as_bytes()).expect("an answer"), Reply::Fault(want));
        let bare = "<s:Envelope><s:Body><s:Fault/></s:Body></s:Envelope>";
        let want = Fault { code: 0, words: String::new() };
        assert_eq!(parse_reply(bare.as_bytes()).expect("an answer"), Reply::Fault(want));
    }

    #[test]
    fn what_is_no_answer_says_so() {
        for text in ["", "<html>404</html>", "<s:Envelope><s:Body><broken", "{}"] {
            assert_eq!(parse_reply(text.as_bytes()).expect_err("none").kind(), Kind::Damaged, "{text}");
        }
        let deep = format!("<s:Envelope><s:Body><a>{}", "<b>".repeat(100));
        assert!(parse_reply(deep.as_bytes()).is_err());
        assert!(parse_reply(&vec![b' '; LARGEST + 1]).is_err());
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_reader(at in 0usize..300, with in "[<>&/\"=a-z0-9 \\[\\]!]{0,30}") {
            let whole = answer("<Result>&lt;DIDL&gt;&lt;/DIDL&gt;</Result><NumberReturned>1</NumberReturned>");
            let at = at.min(whole.len());
            let _either_way = parse_reply(format!("{}{with}{}", &whole[..at], &whole[at..]).as_bytes());
        }
    }
}
