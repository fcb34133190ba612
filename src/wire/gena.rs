//! The messages of eventing (UPnP Device Architecture 1.0, 4): the headers of a subscription and the body of an event.
//! Pure and bounded.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use crate::wire::xml::escaped;

/// Where events are delivered: a literal address, a port and a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Callback {
    /// The address and port.
    pub to: SocketAddrV4,
    /// The path, with a leading slash.
    pub path: String,
}

impl Callback {
    /// Returns the URL.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.to, self.path)
    }
}

/// Reads the header `CALLBACK`: up to three URLs in angle brackets. Those that may not be used are left out: other schemes
/// than http, host names, user names, more than 512 bytes (reference upnp 4.3).
pub fn callbacks(header: &str) -> Vec<Callback> {
    let parts = header.split('<').skip(1).filter_map(|part| part.split_once('>'));
    parts.take(MOST_URLS).filter_map(|(url, _)| callback(url.trim())).collect()
}

fn callback(url: &str) -> Option<Callback> {
    if url.len() > LONGEST_URL || !url.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let rest =
        url.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("http://")).and_then(|_| url.get(7..))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    let address: Ipv4Addr = host.parse().ok()?;
    let port: u16 = port.parse().ok().filter(|port| *port != 0)?;
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let callback = Callback { to: SocketAddrV4::new(address, port), path };
    // What no request could be made of is none.
    callback.url().parse::<http::Uri>().ok().map(|_| callback)
}

/// Reads the header `TIMEOUT`: `Second-N`, at least a minute and at most half an hour. One that is missing, infinite, 0 or
/// cannot be read gets the longest (reference upnp 4.2).
pub fn timeout(header: Option<&str>) -> Duration {
    let seconds = header.and_then(|header| {
        let value = header.trim();
        let number =
            value.get(7..).filter(|_| value.get(..7).is_some_and(|p| p.eq_ignore_ascii_case("Second-")))?;
        number.trim().parse::<u64>().ok().filter(|seconds| *seconds > 0)
    });
    seconds.map_or(LONGEST, |seconds| Duration::from_secs(seconds).clamp(SHORTEST, LONGEST))
}

/// Reads the header `SID`: `uuid:…`; `None` for what is none of ours.
pub fn sid(header: &str) -> Option<uuid::Uuid> {
    let value = header.trim();
    let text = value.get(5..).filter(|_| value.get(..5).is_some_and(|p| p.eq_ignore_ascii_case("uuid:")))?;
    (text.len() == 36).then(|| uuid::Uuid::try_parse(text).ok()).flatten()
}

/// Returns the body of an event: variables with their values. The root element begins a line and ends one, for some readers
/// look at lines (rupnp 3.0.0: reference upnp 4.2).
pub fn propertyset(variables: &[(&str, String)]) -> String {
    let properties: String = variables
        .iter()
        .map(|(name, value)| format!("<e:property><{name}>{}</{name}></e:property>\n", escaped(value)))
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <e:propertyset xmlns:e=\"urn:schemas-upnp-org:event-1-0\">\n{properties}</e:propertyset>\n"
    )
}

/// Returns the number of the next event: after the largest comes 1, for 0 is the first event alone (reference upnp 4.2).
pub fn next(sequence: u32) -> u32 {
    sequence.checked_add(1).unwrap_or(1)
}

const MOST_URLS: usize = 3;
const LONGEST_URL: usize = 512;
const SHORTEST: Duration = Duration::from_secs(60);
/// The longest time that a subscription is given.
pub const LONGEST: Duration = Duration::from_secs(1800);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reference upnp 4.3: the rows that the header alone decides.
    #[test]
    fn only_plain_urls_with_literal_addresses_are_kept() {
        let urls = |header: &str| callbacks(header).iter().map(Callback::url).collect::<Vec<_>>();
        assert_eq!(urls("<http://10.77.0.2:4004/event/x?y=1>"), ["http://10.77.0.2:4004/event/x?y=1"]);
        assert_eq!(urls("<HTTP://10.77.0.2/a#b>"), ["http://10.77.0.2:80/a"]);
        assert_eq!(urls("<http://10.77.0.2:5>"), ["http://10.77.0.2:5/"]);
        assert_eq!(
            urls(" <http://10.77.0.2:1/a> <http://10.77.0.3:2/b>"),
            ["http://10.77.0.2:1/a", "http://10.77.0.3:2/b"]
        );
        assert_eq!(
            urls("<http://phone.local/a><http://10.77.0.2:1/a>"),
            ["http://10.77.0.2:1/a"],
            "good and bad"
        );
        assert_eq!(urls(&"<http://10.77.0.2:1/a>".repeat(9)).len(), 3);
        for header in [
            "",
            "http://10.77.0.2:4004/",
            "<http://10.77.0.2:4004/",
            "<https://10.77.0.2/>",
            "<ftp://10.77.0.2/>",
            "<http://phone.local:1/>",
            "<http://user@10.77.0.2:1/>",
            "<http://user:1@10.77.0.2:1/>",
            "<http://10.77.0.2:0/>",
            "<http://10.77.0.2:70000/>",
            "<http://[fe80::1]:1/>",
            "<http://167772161:1/>",
            "<http://10.77.0.2:1/a b>",
            "<http://10.77.0.2:1/é>",
            "<http://10.77.0.2:1/`>",
            &format!("<http://10.77.0.2:1/{}>", "a".repeat(600)),
        ] {
            assert_eq!(urls(header), [""; 0], "{header}");
        }
    }

    #[test]
    fn the_time_is_between_a_minute_and_half_an_hour() {
        for (header, want) in [
            (Some("Second-300"), 300),
            (Some("second-1800"), 1800),
            (Some("Second-5"), 60),
            (Some("Second-99999999999"), 1800),
            (Some("Second-0"), 1800),
            (Some("Second-infinite"), 1800),
            (Some("infinite"), 1800),
            (Some("300"), 1800),
            (None, 1800),
        ] {
            assert_eq!(timeout(header), Duration::from_secs(want), "{header:?}");
        }
    }

    #[test]
    fn a_sid_is_one_of_ours() {
        let id = uuid::Uuid::from_u128(7);
        assert_eq!(sid(&format!(" uuid:{id}")), Some(id));
        assert_eq!(sid(&format!("UUID:{id}")), Some(id));
        for other in ["", "uuid:", "uuid:7", &id.to_string(), &format!("uuid:{}", id.simple())] {
            assert_eq!(sid(other), None, "{other}");
        }
    }

    #[test]
    fn an_event_is_lines_and_its_values_are_escaped() {
        let text =
            propertyset(&[("SystemUpdateID", "7".into()), ("LastChange", "<Event val=\"R&B\"/>".into())]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].starts_with("<e:propertyset ") && text.ends_with("\n</e:propertyset>\n"), "{text}");
        assert!(text.contains("<LastChange>&lt;Event val=&quot;R&amp;B&quot;/&gt;</LastChange>"), "{text}");
    }

    #[test]
    fn after_the_last_number_comes_one() {
        assert_eq!([next(0), next(1), next(u32::MAX)], [1, 2, 1]);
    }

    proptest! {
        #[test]
        fn no_header_breaks_the_readers(header in "(<|>|http://|10\\.0\\.0\\.1|:|[ -~]|Second-|uuid:|é){0,60}") {
            let found = callbacks(&header);
            prop_assert!(found.len() <= 3 && found.iter().all(|callback| callback.path.starts_with('/')));
            prop_assert!((SHORTEST..=LONGEST).contains(&timeout(Some(&header))));
            let _either_way = sid(&header);
        }
    }
}
