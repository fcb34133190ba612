//! SSDP datagrams (UPnP Device Architecture 1.0, section 1): HTTP heads over UDP.

use std::fmt::Write;
use std::time::Duration;

/// A datagram that says something about a device or asks for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// `NOTIFY` with `ssdp:alive` or `ssdp:update`, or an answer to a search.
    Here(Here),
    /// `NOTIFY` with `ssdp:byebye`.
    Gone {
        /// The device, without `uuid:`, lower case.
        udn: String,
    },
    /// `M-SEARCH`.
    Search {
        /// What is looked for.
        target: String,
        /// Within how many seconds it wants its answers; `None`: it does not say, or not in a number.
        mx: Option<u32>,
    },
}

/// A device that says where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Here {
    /// The device, without `uuid:`, lower case.
    pub udn: String,
    /// What it announces itself as here: the NT or ST.
    pub kind: String,
    /// URL of its description.
    pub location: String,
    /// How long this holds, 20 s to one day.
    pub max_age: Duration,
    /// Its software; empty when it does not say.
    pub server: String,
    /// Grows when it was restarted (UDA 1.1, 1.2.2).
    pub boot_id: Option<u32>,
}

/// Reads a datagram; `None` for what is not SSDP or says nothing of use. Header names in any case, line ends of any kind.
pub fn parse(datagram: &[u8]) -> Option<Message> {
    if datagram.len() > LONGEST {
        return None;
    }
    let text = String::from_utf8_lossy(datagram);
    let mut lines = text.lines();
    let start = lines.next()?.trim();
    let head = Head::of(lines);
    let first = start.split_whitespace().next()?.to_ascii_uppercase();
    match first.as_str() {
        "NOTIFY" => match head.get("nts")?.to_ascii_lowercase().as_str() {
            "ssdp:alive" | "ssdp:update" => here(&head, "nt").map(Message::Here),
            "ssdp:byebye" => Some(Message::Gone { udn: udn(head.get("usn")?)? }),
            _ => None,
        },
        "M-SEARCH" => {
            // Without the quotes nobody answers (measured with three stacks).
            (head.get("man")? == "\"ssdp:discover\"").then_some(())?;
            let mx = head.get("mx").and_then(|mx| mx.parse().ok());
            Some(Message::Search { target: head.get("st")?.to_owned(), mx })
        }
        version if version.starts_with("HTTP/1.") => {
            (start.split_whitespace().nth(1)? == "200").then_some(())?;
            here(&head, "st").map(Message::Here)
        }
        _ => None,
    }
}

/// Returns a search for `target`, to be answered within `mx` seconds, 1..=5 (UDA 1.0, 1.2.2).
pub fn search(target: &str, host: &str, mx: u8) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _infallible = write!(
        text,
        "M-SEARCH * HTTP/1.1\r\nHOST: {host}\r\nMAN: \"ssdp:discover\"\r\nMX: {mx}\r\nST: {target}\r\n\
         USER-AGENT: Linux UPnP/1.0 konpo/{}\r\n\r\n",
        env!("CARGO_PKG_VERSION")
    );
    text
}

/// What a device of ours says about itself (reference upnp 1.2).
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// The device, without `uuid:`.
    pub udn: &'a str,
    /// NT, or what was searched for.
    pub kind: &'a str,
    /// URL of the description.
    pub location: &'a str,
    /// Grows whenever we join a network.
    pub boot_id: u32,
    /// Which description it is, below 2^24.
    pub config_id: u32,
}

impl Own<'_> {
    /// Returns `NOTIFY` with `ssdp:alive`.
    pub fn alive(&self) -> String {
        format!(
            "NOTIFY * HTTP/1.1\r\n{}CACHE-CONTROL: max-age={}\r\nLOCATION: {}\r\nSERVER: {SERVER}\r\nNT: {}\r\n\
             NTS: ssdp:alive\r\n{}\r\n",
            HOST,
            MAX_AGE.as_secs(),
            self.location,
            self.kind,
            self.tail()
        )
    }

    /// Returns `NOTIFY` with `ssdp:byebye`.
    pub fn byebye(&self) -> String {
        format!("NOTIFY * HTTP/1.1\r\n{HOST}NT: {}\r\nNTS: ssdp:byebye\r\n{}\r\n", self.kind, self.tail())
    }

    /// Returns the answer to a search; `kind` is what was searched for, as it was written.
    pub fn answer(&self) -> String {
        format!(
            "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age={}\r\nEXT:\r\nLOCATION: {}\r\nSERVER: {SERVER}\r\nST: {}\r\n{}\r\n",
            MAX_AGE.as_secs(),
            self.location,
            self.kind,
            self.tail()
        )
    }

    fn tail(&self) -> String {
        let usn = match self.kind.get(..5).is_some_and(|kind| kind.eq_ignore_ascii_case("uuid:")) {
            true => format!("uuid:{}", self.udn),
            false => format!("uuid:{}::{}", self.udn, self.kind),
        };
        let (boot, config) = (self.boot_id, self.config_id);
        format!("USN: {usn}\r\nBOOTID.UPNP.ORG: {boot}\r\nCONFIGID.UPNP.ORG: {config}\r\n")
    }
}

fn here(head: &Head<'_>, kind: &str) -> Option<Here> {
    let location = head.get("location").filter(|location| location.starts_with("http://"))?;
    Some(Here {
        udn: udn(head.get("usn")?)?,
        kind: head.get(kind)?.to_owned(),
        location: location.to_owned(),
        max_age: head.get("cache-control").and_then(max_age).unwrap_or(USUAL_AGE),
        server: head.get("server").unwrap_or("").to_owned(),
        boot_id: head.get("bootid.upnp.org").and_then(|id| id.parse().ok()),
    })
}

/// `uuid:U` or `uuid:U::…` (UDA 1.0, 1.1.4).
fn udn(usn: &str) -> Option<String> {
    let rest = usn
        .trim()
        .get(5..)
        .filter(|_| usn.trim().get(..5).is_some_and(|p| p.eq_ignore_ascii_case("uuid:")))?;
    let udn = rest.split("::").next().unwrap_or(rest).trim().to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_graphic() && !"/\\<>\"".contains(c);
    (!udn.is_empty() && udn.len() <= 128 && udn.chars().all(plain)).then_some(udn)
}

fn max_age(value: &str) -> Option<Duration> {
    let directive = value.split(',').find_map(|part| {
        let (name, seconds) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("max-age").then(|| seconds.trim().trim_matches('"'))
    })?;
    let seconds: u64 = directive.parse().ok()?;
    Some(Duration::from_secs(seconds).clamp(SHORTEST_AGE, LONGEST_AGE))
}

struct Head<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Head<'a> {
    fn of(lines: impl Iterator<Item = &'a str>) -> Head<'a> {
        let pair = |line: &'a str| line.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
        Head(lines.take(MOST_LINES).take_while(|line| !line.trim().is_empty()).filter_map(pair).collect())
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|&(_, value)| value)
    }
}

/// Who we are, in three parts (UDA 1.0, 1.1.2). Which kernel runs here is nobody's affair.
pub const SERVER: &str = concat!("Linux/0 UPnP/1.0 konpo/", env!("CARGO_PKG_VERSION"));
/// How long an announcement of ours holds (reference upnp 1.3).
pub const MAX_AGE: Duration = Duration::from_secs(1800);
const HOST: &str = "HOST: 239.255.255.250:1900\r\n";
/// Larger datagrams than any device sends are nonsense.
const LONGEST: usize = 8192;
const MOST_LINES: usize = 64;
const USUAL_AGE: Duration = Duration::from_secs(1800);
/// A shorter promise than its own announcement interval would make a device flicker (minidlna says 70 s).
const SHORTEST_AGE: Duration = Duration::from_secs(20);
const LONGEST_AGE: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALIVE: &str = "NOTIFY * HTTP/1.1\r\nHOST:239.255.255.250:1900\r\nCACHE-CONTROL:max-age=70\r\n\
        LOCATION:http://10.77.0.2:8200/rootDesc.xml\r\nSERVER: Debian DLNADOC/1.50 UPnP/1.0 MiniDLNA/1.3.0\r\n\
        NT:urn:schemas-upnp-org:device:MediaServer:1\r\n\
        USN:uuid:4D696E69-444C-164E-9D41-000000000001::urn:schemas-upnp-org:device:MediaServer:1\r\nNTS:ssdp:alive\r\n\r\n";

    #[test]
    fn an_announcement_is_read() {
        let Some(Message::Here(here)) = parse(ALIVE.as_bytes()) else { panic!("not read") };
        assert_eq!(here.udn, "4d696e69-444c-164e-9d41-000000000001");
        assert_eq!(here.location, "http://10.77.0.2:8200/rootDesc.xml");
        assert_eq!(here.max_age, Duration::from_secs(70));
        assert!(here.server.contains("MiniDLNA/1.3.0"));
        let mine = ALIVE.replace("\r\n", "\n").replace("LOCATION", "location");
        assert_eq!(parse(mine.as_bytes()), parse(ALIVE.as_bytes()));
    }

    #[test]
    fn a_farewell_and_an_answer_are_read() {
        let gone = ALIVE.replace("ssdp:alive", "ssdp:byebye");
        let udn = "4d696e69-444c-164e-9d41-000000000001".to_owned();
        assert_eq!(parse(gone.as_bytes()), Some(Message::Gone { udn }));
        let answer = ALIVE.replace("NOTIFY * HTTP/1.1", "HTTP/1.1 200 OK").replace("NT:", "ST:");
        assert!(matches!(parse(answer.as_bytes()), Some(Message::Here(_))));
        // A device without a SERVER header is a device all the same.
        let bare: String =
            answer.lines().filter(|l| !l.starts_with("SERVER")).map(|l| format!("{l}\r\n")).collect();
        assert!(matches!(parse(bare.as_bytes()), Some(Message::Here(here)) if here.server.is_empty()));
    }

    #[test]
    fn what_is_no_announcement_is_dropped() {
        for (from, to) in [
            ("uuid:", "uid:"),
            ("http://", "https://"),
            ("LOCATION", "X"),
            ("NOTIFY", "GET"),
            ("ssdp:alive", "ssdp:what"),
            ("USN:uuid:4D696E69-444C-164E-9D41-000000000001::urn", "USN:uuid:a b::urn"),
        ] {
            assert_eq!(parse(ALIVE.replace(from, to).as_bytes()), None, "{from} -> {to}");
        }
        assert_eq!(parse(&[0xff; 20]), None);
        assert_eq!(parse(ALIVE.repeat(40).as_bytes()), None);
    }

    #[test]
    fn a_search_reads_back() {
        let text = search("upnp:rootdevice", "239.255.255.250:1900", 3);
        let want = |mx| Some(Message::Search { target: "upnp:rootdevice".into(), mx });
        assert_eq!(parse(text.as_bytes()), want(Some(3)));
        assert_eq!(parse(text.replace("MX: 3\r\n", "").as_bytes()), want(None));
        assert_eq!(parse(text.replace("MX: 3", "MX: soon").as_bytes()), want(None));
        assert_eq!(parse(text.replace('"', "").as_bytes()), None);
    }

    /// Reference upnp 1.2: which header stands in which message.
    #[test]
    fn what_we_say_has_every_header_it_needs() {
        let device = "urn:schemas-upnp-org:device:MediaServer:1";
        let location = "http://10.77.0.1:8200/upnp/server/description.xml";
        let own = Own { udn: "4d696e69-0001", kind: device, location, boot_id: 7, config_id: 9 };
        let both =
            ["USN: uuid:4d696e69-0001::urn:schemas-upnp-org:device:MediaServer:1", "BOOTID.UPNP.ORG: 7"];
        let all = [
            "NOTIFY * HTTP/1.1",
            "HOST: 239.255.255.250:1900",
            "NT: urn:schemas-upnp-org:device:MediaServer:1",
        ];
        let where_ =
            ["CACHE-CONTROL: max-age=1800", "SERVER: Linux/0 UPnP/1.0 konpo/", "CONFIGID.UPNP.ORG: 9"];
        let says = |text: &str, lines: &[&str]| {
            assert!(text.ends_with("\r\n\r\n") && !text.contains("\r\n\r\nX"), "{text}");
            let has = |line: &str| text.split("\r\n").any(|is| is.starts_with(line));
            lines.iter().chain(&both).for_each(|line| assert!(has(line), "{line} in {text}"));
        };
        says(&own.alive(), &[&all[..], &where_, &["NTS: ssdp:alive"]].concat());
        says(&own.byebye(), &[&all[..], &["NTS: ssdp:byebye"]].concat());
        says(&own.answer(), &[&where_[..], &["HTTP/1.1 200 OK", "EXT:", "ST: urn:"]].concat());
        let Some(Message::Here(here)) = parse(own.alive().as_bytes()) else { panic!("not read") };
        assert_eq!((here.location.as_str(), here.boot_id, here.max_age), (location, Some(7), MAX_AGE));
        let Some(Message::Here(answer)) = parse(own.answer().as_bytes()) else { panic!("not read") };
        assert_eq!((answer.udn.as_str(), answer.kind.as_str()), ("4d696e69-0001", device));
        assert_eq!(parse(own.byebye().as_bytes()), Some(Message::Gone { udn: "4d696e69-0001".into() }));
        let plain = Own { kind: "uuid:4D696E69-0001", ..own }.answer();
        assert!(plain.contains("USN: uuid:4d696e69-0001\r\n"), "a uuid is its whole name: {plain}");
    }

    proptest! {
        #[test]
        fn no_datagram_breaks_the_reader(cut in 0usize..400, with in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = ALIVE.as_bytes().to_vec();
            let at = cut.min(bytes.len());
            bytes.splice(at..(at + with.len()).min(bytes.len()), with);
            if let Some(Message::Here(here)) = parse(&bytes) {
                prop_assert!(here.location.starts_with("http://") && !here.udn.is_empty());
                prop_assert!((SHORTEST_AGE..=LONGEST_AGE).contains(&here.max_age));
            }
        }
    }
}
