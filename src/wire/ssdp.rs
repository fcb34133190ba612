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
            Some(Message::Search { target: head.get("st")?.to_owned() })
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
        assert_eq!(parse(text.as_bytes()), Some(Message::Search { target: "upnp:rootdevice".into() }));
        assert_eq!(parse(text.replace('"', "").as_bytes()), None);
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
