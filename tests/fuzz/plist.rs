//! Libraries of iTunes and other property lists. What is told is whole: places have no odd parts, numbers are within their
//! limits, and nothing comes behind an error.

use konpo::media::itunes_xml::{Entry, Location, read};
use konpo::media::plist::{Part, Plist};

use crate::Target;

pub const TARGETS: [Target; 1] = [Target {
    name: "plist",
    read: |bytes| format!("{} {}", library(bytes), parts(bytes)),
    words: &[
        b"<dict>",
        b"</dict>",
        b"<array>",
        b"</array>",
        b"<key>Tracks</key><dict>",
        b"<key>Playlists</key><array>",
        b"<key>Playlist Items</key><array>",
        b"<key>Track ID</key><integer>7</integer>",
        b"<key>Location</key><string>file://localhost/C:/%E3%81%82/../x",
        b"<key>Persistent ID</key><string>0123456789ABCDEF</string>",
        b"<date>2008-07-17T09:12:45Z</date>",
        b"<true/>",
        b"<data>QUJD</data>",
        b"<integer>-9223372036854775808</integer>",
        b"<!DOCTYPE x [<!ENTITY y \"z\">]>",
        b"<![CDATA[",
        b"]]>",
        b"&y;",
        b"&#0;",
        b"&",
        b"<!--",
        b"\xff\xfe",
        b"</plist>",
    ],
    largest: 60_000,
    memory: 16 << 20,
}];

fn library(bytes: &[u8]) -> String {
    let (mut tracks, mut lists, mut told, mut places, mut error) = (0, 0, 0, 0, None);
    for entry in read(bytes) {
        assert!(error.is_none(), "something comes behind an error");
        match entry {
            Ok(Entry::Library(library)) => told += 1 + usize::from(library.folder.is_some()),
            Ok(Entry::Track(track)) => {
                tracks += 1;
                assert!(
                    track.rating.is_none_or(|rating| (1..=100).contains(&rating)),
                    "a rating beyond five stars"
                );
                let texts = [&track.name, &track.artist, &track.album, &track.kind];
                assert!(texts.into_iter().flatten().all(|text| !text.trim().is_empty()), "a blank text");
                if let Some(Location::File(path)) = &track.location {
                    places += 1;
                    let odd = |part: &str| matches!(part, "." | "..") || part.contains('\0');
                    assert!(!path.ends_with('/') && !path.split('/').any(odd), "an odd part in {path:?}");
                }
            }
            Ok(Entry::List(list)) => lists += 1 + list.tracks.len().min(2),
            Err(broke) => error = Some(broke.kind()),
        }
    }
    format!("{told} {} {} {} {error:?}", tracks.min(3), lists.min(4), places.min(2))
}

/// Reads all parts; as many begin as end when the list is whole.
fn parts(bytes: &[u8]) -> String {
    let (mut list, mut open, mut kinds) = (Plist::new(bytes), 0usize, [0usize; 4]);
    loop {
        match list.next_part() {
            Ok(Some(Part::Dict | Part::Array)) => open += 1,
            Ok(Some(Part::End)) => open = open.checked_sub(1).expect("no more ends than begins"),
            Ok(Some(Part::Key(_))) => kinds[0] += 1,
            Ok(Some(Part::Text(_))) => kinds[1] += 1,
            Ok(Some(Part::Opaque)) => kinds[2] += 1,
            Ok(Some(_)) => kinds[3] += 1,
            Ok(None) => {
                assert!(open == 0, "a list that is open at its end");
                return format!("{:?}", kinds.map(|kind| kind.min(2)));
            }
            Err(error) => {
                return format!("{} {open} {:?}", error.kind() as u8, kinds.map(|kind| kind.min(2)));
            }
        }
    }
}
