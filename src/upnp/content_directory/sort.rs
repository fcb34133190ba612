//! SortCriteria (UPnP ContentDirectory:1, 2.5.7; reference upnp 5.4). Pure.
//!
//! The first key that konpo knows decides; what is equal stands in the order of the shelf (artist, album, disc, number),
//! which is what every app writes behind it. A key that is not known, or has no sign, is left out: with 709 old players
//! show nothing at all.

use crate::query::Sort;

/// The order that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub sort: Sort,
    /// From the end.
    pub way: Way,
}

/// Up or down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `+`.
    Up,
    /// `-`.
    Down,
}

/// What GetSortCapabilities answers.
pub const CAPABILITIES: &str = "dc:title,dc:date,dc:creator,upnp:artist,upnp:album,upnp:genre,upnp:originalTrackNumber,upnp:class,res@duration";

/// Reads SortCriteria; `None`: the list's own order.
pub fn parse(text: &str) -> Option<Order> {
    text.split(',').map(str::trim).find_map(|key| {
        let (way, key) = match key.split_at_checked(1)? {
            ("+", key) => (Way::Up, key),
            ("-", key) => (Way::Down, key),
            _ => return None,
        };
        let sort = match key.trim() {
            "dc:title" => Sort::Title,
            "dc:date" => Sort::Date,
            "dc:creator" | "upnp:artist" | "upnp:albumArtist" => Sort::Artist,
            "upnp:album" => Sort::AlbumName,
            "upnp:genre" => Sort::Genre,
            "upnp:originalTrackNumber" | "upnp:originalDiscNumber" => Sort::Album,
            "res@duration" => Sort::Length,
            // All of one list are of one class, so the next key decides.
            _ => return None,
        };
        Some(Order { sort, way })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_key_with_a_sign_decides() {
        let up = |sort| Some(Order { sort, way: Way::Up });
        for (text, want) in [
            ("", None),
            ("+dc:title", up(Sort::Title)),
            ("-dc:date,+dc:title", Some(Order { sort: Sort::Date, way: Way::Down })),
            ("+upnp:originalTrackNumber,+dc:title", up(Sort::Album)),
            ("+upnp:class,+upnp:artist", up(Sort::Artist)),
            ("+avega:thing, +upnp:album", up(Sort::AlbumName)),
            ("dc:title", None),
            ("dc:title,+upnp:genre", up(Sort::Genre)),
            (",,+", None),
            ("é", None),
        ] {
            assert_eq!(parse(text), want, "{text:?}");
        }
        for key in CAPABILITIES.split(',').filter(|key| *key != "upnp:class") {
            assert!(parse(&format!("+{key}")).is_some(), "{key}");
        }
    }
}
