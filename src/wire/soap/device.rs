//! The device's side of SOAP: a control point's call as apps write it, the answer, the fault (UPnP Device Architecture 1.0,
//! 3.2; what is tolerated: reference upnp 3.1). Pure and bounded.

use std::collections::HashMap;
use std::fmt::Write;

use crate::error::{Error, Kind, Result};
use crate::wire::soap::parse;
use crate::wire::xml::{escape_into, escaped};

/// A call of an action, as far as its body tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The action's name.
    pub action: String,
    /// What was given, by name; in any order, known or not.
    pub given: HashMap<String, String>,
}

/// Reads the header `SOAPACTION`: service type and action. With or without quotes.
pub fn parse_action(header: &str) -> Option<(&str, &str)> {
    let plain = header.trim().trim_matches('"').trim();
    let (service, action) = plain.rsplit_once('#')?;
    (!service.is_empty() && !action.is_empty() && service.len() <= LONGEST_TYPE).then_some((service, action))
}

/// Reads the body of a call: with or without an XML declaration, a mark or blanks before it, with any prefixes, CDATA, or
/// elements that were not escaped.
///
/// # Errors
/// `Damaged` for bytes that are no call, or beyond the limits.
pub fn parse_call(bytes: &[u8]) -> Result<Call> {
    let damaged = |what: &str| Error::new(Kind::Damaged, format!("a call {what}"));
    let parser = parse(bytes, LARGEST).ok_or_else(|| damaged("is larger than it may be"))?;
    let is_name = |name: &String| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    let action = parser.answered.filter(is_name).ok_or_else(|| damaged("cannot be read"))?;
    Ok(Call { action, given: parser.values })
}

/// Returns the body of an answer. `service` is the type as it was asked for; `arguments` in the order of the description.
pub fn answer(service: &str, action: &str, arguments: &[(&str, &str)]) -> String {
    let room: usize = arguments.iter().map(|(name, value)| 2 * name.len() + value.len() * 3 / 2 + 8).sum();
    let mut text = String::with_capacity(OPEN.len() + CLOSE.len() + room + 256);
    text.push_str(OPEN);
    let service = escaped(service);
    // Writing to a String cannot fail.
    let _infallible = write!(text, "<u:{action}Response xmlns:u=\"{service}\">");
    for (name, value) in arguments {
        for piece in ["<", name, ">"] {
            text.push_str(piece);
        }
        escape_into(&mut text, value);
        for piece in ["</", name, ">"] {
            text.push_str(piece);
        }
    }
    let _infallible = write!(text, "</u:{action}Response>");
    text + CLOSE
}

/// Returns the body of a fault, which goes out with status 500 (UPnP Device Architecture 1.0, 3.2.2).
pub fn fault(code: u16, words: &str) -> String {
    let words = escaped(words);
    format!(
        "{OPEN}<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail>\
         <UPnPError xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}</errorCode>\
         <errorDescription>{words}</errorDescription></UPnPError></detail></s:Fault>{CLOSE}"
    )
}

/// What begins every answer. EC-IRADIO/1.0 wants none: it is cut off for it (reference upnp 2.3).
pub const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n";
const OPEN: &str = concat!(
    "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n",
    "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" ",
    "s:encodingStyle=\"http://schemas.xmlsoap.org/soap/encoding/\"><s:Body>"
);
const CLOSE: &str = "</s:Body></s:Envelope>\r\n";
/// Reference upnp 3.1: 256 KiB.
pub const LARGEST: usize = 256 << 10;
const LONGEST_TYPE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::soap::{self, Reply};
    use proptest::prelude::*;

    fn call(text: &str) -> Call {
        parse_call(text.as_bytes()).expect("a call")
    }

    #[test]
    fn the_action_is_read_with_and_without_quotes() {
        let want = Some(("urn:schemas-upnp-org:service:ContentDirectory:1", "Browse"));
        for header in [
            "\"urn:schemas-upnp-org:service:ContentDirectory:1#Browse\"",
            "urn:schemas-upnp-org:service:ContentDirectory:1#Browse",
            "  \" urn:schemas-upnp-org:service:ContentDirectory:1#Browse\" ",
        ] {
            assert_eq!(parse_action(header), want, "{header}");
        }
        for header in ["", "\"\"", "Browse", "#Browse", "urn:x#", &format!("{}#x", "u".repeat(300))] {
            assert_eq!(parse_action(header), None, "{header}");
        }
    }

    /// Reference upnp 3.1, "request: accept".
    #[test]
    fn a_call_is_read_as_any_app_writes_it() {
        let want = call(&soap::request("urn:x:1", "Browse", &[("ObjectID", "a<b"), ("Filter", "*")]));
        assert_eq!((want.action.as_str(), want.given["ObjectID"].as_str()), ("Browse", "a<b"));
        let plain = "<s:Envelope xmlns:s='x'><s:Body><u:Browse xmlns:u='urn:x:1'><ObjectID>a&lt;b</ObjectID><Filter>*</Filter>\
            </u:Browse></s:Body></s:Envelope>";
        for (what, text) in [
            ("no declaration", plain.to_owned()),
            ("a newline and blanks before it", format!("\n    {plain}")),
            ("a mark", format!("\u{feff}{plain}")),
            ("other prefixes", plain.replace("s:", "SOAP-ENV:").replace("u:", "m:")),
            ("no prefixes", plain.replace("s:E", "E").replace("s:B", "B").replace("u:B", "B")),
            ("CDATA", plain.replace("a&lt;b", "<![CDATA[a<b]]>")),
            ("types", plain.replace("<ObjectID>", "<ObjectID xmlns:dt='urn:x' dt:dt='string'>")),
            ("a header", plain.replace("<s:Body>", "<s:Header><x>1</x></s:Header><s:Body>")),
        ] {
            assert_eq!(call(&text), want, "{what}");
        }
        let turned =
            plain.replace("<Filter>*</Filter>", "").replace("<ObjectID>", "<Filter>*</Filter><ObjectID>");
        assert_eq!(call(&turned), want, "any order");
        let empty = call("<s:Envelope><s:Body><u:Stop/></s:Body></s:Envelope>");
        assert_eq!((empty.action.as_str(), empty.given.len()), ("Stop", 0));
    }

    #[test]
    fn what_is_no_call_says_so() {
        for text in [
            "",
            "{}",
            "<html/>",
            "<s:Envelope><s:Body/></s:Envelope>",
            "<s:Envelope><s:Body><a&b/></s:Body></s:Envelope>",
        ] {
            assert_eq!(parse_call(text.as_bytes()).expect_err("none").kind(), Kind::Damaged, "{text}");
        }
        assert!(parse_call(&vec![b' '; LARGEST + 1]).is_err());
        let deep = format!("<s:Envelope><s:Body><a>{}", "<b>".repeat(100));
        assert!(parse_call(deep.as_bytes()).is_err());
    }

    #[test]
    fn a_bomb_stays_as_small_as_it_came() {
        let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>\
            <s:Envelope><s:Body><u:Browse><ObjectID>&b;&b;&b;</ObjectID></u:Browse></s:Body></s:Envelope>";
        assert_eq!(call(bomb).given["ObjectID"], "&b;&b;&b;");
    }

    #[test]
    fn answers_and_faults_read_back() {
        let text = answer("urn:x:1", "Browse", &[("Result", "<DIDL>A & 'B'\u{1}</DIDL>"), ("N", "1")]);
        assert!(text.starts_with(DECLARATION) && text.contains("s:encodingStyle="), "{text}");
        assert!(text.contains("<u:BrowseResponse xmlns:u=\"urn:x:1\"><Result>"), "{text}");
        assert!(text.find("<Result>") < text.find("<N>"), "{text}");
        let Ok(Reply::Done(values)) = soap::parse_reply(text.as_bytes()) else { panic!("{text}") };
        assert_eq!((values["Result"].as_str(), values["N"].as_str()), ("<DIDL>A & 'B'</DIDL>", "1"));
        let fault = soap::parse_reply(fault(701, "no <object>").as_bytes()).expect("an answer");
        assert_eq!(fault, Reply::Fault(soap::Fault { code: 701, words: "no <object>".into() }));
    }

    proptest! {
        #[test]
        fn no_call_breaks_the_reader(at in 0usize..300, with in "[<>&/\"=a-z0-9 \\[\\]!]{0,30}") {
            let whole = soap::request("urn:x:1", "Browse", &[("ObjectID", "0"), ("Filter", "*")]);
            let at = at.min(whole.len());
            let _either_way = parse_call(format!("{}{with}{}", &whole[..at], &whole[at..]).as_bytes());
        }

        #[test]
        fn every_value_reads_back(value in "\\PC{0,40}") {
            let text = answer("urn:x:1", "Get", &[("Value", &value)]);
            let Ok(Reply::Done(values)) = soap::parse_reply(text.as_bytes()) else { panic!("{text}") };
            prop_assert_eq!(&values["Value"], &value);
        }
    }
}
