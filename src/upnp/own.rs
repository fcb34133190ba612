//! Our own media path: how a track's file is named to others, and the way back. A name carries a mark of this box, so that it
//! is known again though the box has moved to another address or port, and so that another box that sits at our old address
//! is not taken for us. Pure.

use std::fmt::{self, Display};
use std::net::SocketAddrV4;

use uuid::Uuid;

use crate::http::hosts::Hosts;
use crate::track::TrackId;

/// What all names of this box's files carry: eight hexadecimal digits that follow from the UDN of its media server, the same
/// over restarts and addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(u32);

impl Mark {
    /// Returns the mark of the box whose media server has this UDN.
    pub fn of(server: Uuid) -> Mark {
        let hash = blake3::hash(server.as_bytes());
        let [a, b, c, d, ..] = *hash.as_bytes();
        Mark(u32::from_be_bytes([a, b, c, d]))
    }

    /// Returns the URL of a track's file at an address of ours. `extension` may be empty.
    pub fn url(self, host: SocketAddrV4, track: TrackId, extension: &str) -> String {
        let dot = if extension.is_empty() { "" } else { "." };
        format!("http://{host}{MEDIA}{track}-{self}{dot}{extension}")
    }

    /// Returns the track of a file's name; an extension and a name without a mark are taken, one with another box's is
    /// none.
    pub fn track(self, name: &str) -> Option<TrackId> {
        let (id, mark) = parts(name)?;
        mark.is_none_or(|mark| mark == self).then_some(id)
    }
}

impl Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Knows URLs of our own media path. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Own {
    mark: Mark,
    hosts: Hosts,
    port: u16,
}

impl Own {
    /// Returns what knows the URLs of a box: its mark, the names that it has now and its port.
    pub fn new(mark: Mark, hosts: Hosts, port: u16) -> Own {
        Own { mark, hosts, port }
    }

    /// Returns the track behind a URL that somebody hands in. One with our mark is ours wherever it points, for it may
    /// have been handed out before the box moved; one without only at an address, name and port that we have now.
    /// `None` for everything else, also on our own addresses.
    pub fn track(&self, url: &str) -> Option<TrackId> {
        let uri: http::Uri = url.trim().parse().ok()?;
        if uri.scheme_str() != Some("http") || uri.query().is_some_and(|query| query.contains("albumArt=")) {
            return None;
        }
        let here = uri.port_u16().unwrap_or(80) == self.port && self.hosts.allows(uri.host()?);
        if let Some(name) = uri.path().strip_prefix(MEDIA) {
            let (id, mark) = parts(name)?;
            return mark.map_or(here, |mark| mark == self.mark).then_some(id);
        }
        let name = uri.path().strip_prefix(API)?;
        parts(name).filter(|(_, mark)| here && mark.is_none()).map(|(id, _)| id)
    }
}

/// Reads `12`, `12.flac`, `12-0a1b2c3d` and `12-0a1b2c3d.flac`.
fn parts(name: &str) -> Option<(TrackId, Option<Mark>)> {
    let stem = name.split_once('.').map_or(name, |(stem, _)| stem);
    let (id, mark) = match stem.split_once('-') {
        Some((id, mark)) => (id, Some(mark)),
        None => (stem, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let id = id.parse().ok().filter(|_| digits(id)).map(TrackId)?;
    let Some(mark) = mark else { return Some((id, None)) };
    let hex = mark.len() == 8 && mark.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mark = u32::from_str_radix(mark, 16).ok().filter(|_| hex)?;
    Some((id, Some(Mark(mark))))
}

/// Where the media server's files lie.
const MEDIA: &str = "/media/";
/// Where the page's lie.
const API: &str = "/api/media/";

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Own {
        let hosts = Hosts::new(&["music.example".into()]);
        hosts.set_addresses(vec![[10, 0, 0, 2].into()]);
        Own::new(Mark::of(Uuid::from_u128(7)), hosts, 8200)
    }

    #[test]
    fn a_url_of_our_own_media_path_is_that_track() {
        let own = own();
        let known = |url: &str| own.track(url).map(|id| id.0);
        assert_eq!(known("http://10.0.0.2:8200/api/media/12.flac"), Some(12));
        assert_eq!(known("http://music.example:8200/media/12.mp3?x=1"), Some(12));
        assert_eq!(known("http://127.0.0.1:8200/media/12"), Some(12));
        for other in [
            "http://10.0.0.3:8200/media/12.flac",
            "http://10.0.0.2/media/12.flac",
            "http://10.0.0.2:8200/media/x.flac",
            "http://10.0.0.2:8200/media/-12.flac",
            "http://10.0.0.2:8200/media/+12.flac",
            "http://10.0.0.2:8200/media/12/cover/600.jpg",
            "http://10.0.0.2:8200/media/12.mp3?albumArt=true",
            "http://10.0.0.2:8200/api/art/12/160.jpg",
            "http://10.0.0.2:8200/api/state",
            "ftp://10.0.0.2:8200/media/12.flac",
            "not a url",
            "",
        ] {
            assert_eq!(known(other), None, "{other}");
        }
    }

    #[test]
    fn what_was_handed_out_at_another_address_is_known_again() {
        let own = own();
        let old = SocketAddrV4::new([192, 168, 7, 5].into(), 8203);
        let url = own.mark.url(old, TrackId(12), "flac");
        assert_eq!(url, format!("http://192.168.7.5:8203/media/12-{}.flac", own.mark));
        assert_eq!(own.track(&url), Some(TrackId(12)));
        assert_eq!(own.track(&own.mark.url(old, TrackId(12), "")), Some(TrackId(12)));
        let other = Mark::of(Uuid::from_u128(8));
        let here = SocketAddrV4::new([10, 0, 0, 2].into(), 8200);
        assert_eq!(own.track(&other.url(here, TrackId(12), "flac")), None, "another box was here");
        for broken in ["12-", "12-0", "12-XXXXXXXX", "12-0A1B2C3D", "-0a1b2c3d", "12-0a1b2c3d-1"] {
            assert_eq!(own.track(&format!("http://10.0.0.2:8200/media/{broken}.flac")), None, "{broken}");
        }
    }

    #[test]
    fn a_files_name_leads_to_its_track_unless_another_box_gave_it() {
        let mark = Mark::of(Uuid::from_u128(7));
        assert_eq!(mark.track(&format!("12-{mark}.mp3")), Some(TrackId(12)));
        assert_eq!(mark.track("12.mp3"), Some(TrackId(12)));
        assert_eq!(mark.track(&format!("12-{}.mp3", Mark::of(Uuid::from_u128(8)))), None);
        assert_eq!((mark.track("x.mp3"), mark.track("")), (None, None));
    }
}
