//! What control points ask of ContentDirectory: search criteria, orders, filters, ids. What is read is written the same, and
//! is a condition on every kind of thing that searches find.

use konpo::upnp::content_directory::filter::Wanted;
use konpo::upnp::content_directory::search::{KINDS, Told, told};
use konpo::upnp::content_directory::tree::{LONGEST, ObjectId};
use konpo::upnp::content_directory::{criteria, sort};

use crate::Target;

pub const TARGETS: [Target; 2] = [
    Target {
        name: "criteria",
        read: criteria,
        words: &[
            b"upnp:class",
            b"dc:title",
            b"dc:date",
            b"res@duration",
            b"@id",
            b"@parentID",
            b" derivedfrom ",
            b" contains ",
            b" doesNotContain ",
            b" startsWith ",
            b" exists ",
            b" and ",
            b" or ",
            b"(",
            b")",
            b"\"",
            b"\\\"",
            b"&quot;",
            b"&amp;quot;",
            b">=",
            b"!=",
            b"\"object.container.person.musicArtist\"",
            b"\"9:99:99.9/9\"",
            b"\"9223372036854775807\"",
            b"\"2007-10-16\"",
            b"\"A1\"",
            b"*",
        ],
        largest: 5_000,
        memory: 4 << 20,
    },
    Target {
        name: "object_id",
        read: object_id,
        words: &[
            b"@",
            b"T",
            b"A",
            b"R",
            b"G",
            b"H41",
            b".",
            b"albums",
            b"tracks",
            b"artists",
            b"4294967295",
            b"z",
        ],
        largest: 200,
        memory: 1 << 20,
    },
];

fn criteria(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let order = sort::parse(&text).map(|order| order.sort);
    let wanted = Wanted::parse(&text);
    let _either_way = (wanted.wants("dc:title"), wanted.wants_of_resource("size"));
    let Ok(read) = criteria::parse(&text) else { return format!("none {order:?}") };
    let written = read.to_string();
    assert!(criteria::parse(&written).is_ok() || written.len() > 4096, "{written}");
    let kinds: Vec<u8> = KINDS
        .iter()
        .map(|kind| match told(&read, kind) {
            Told::Every => 2,
            Told::None => 0,
            Told::Those(_) => 1,
        })
        .collect();
    format!("{kinds:?} {order:?}")
}

fn object_id(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<ObjectId>() {
        Ok(id) => {
            assert_eq!(id.to_string(), text);
            assert!(text.len() <= LONGEST, "{text}");
            let outer = id.outer().map(|outer| outer.to_string());
            if let Some(outer) = &outer {
                assert!(outer.parse::<ObjectId>().is_ok(), "{outer} of {text}");
            }
            let steps = text.split('@').count();
            format!("{steps} {} {:?}", id.is_own(), text.chars().next())
        }
        Err(()) => "none".to_owned(),
    }
}
