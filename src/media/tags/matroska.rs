//! What the tags of Matroska and WebM say (Matroska Tags, draft-ietf-cellar-tags), as the sniffer met them.

use crate::media::raw::RawTag;
use crate::media::tags::fields::Fields;
use crate::media::tags::named;

/// Returns what they say. What is said of an album says something else than the same name of a track, where the file tells
/// the two apart.
pub(super) fn of(raw: &[RawTag]) -> Fields {
    let (mut fields, mut album, mut title) = (Fields::default(), Fields::default(), Fields::default());
    let said = raw.iter().filter_map(|tag| {
        let (target, name) = tag.place.strip_prefix("mkv:")?.split_once('/')?;
        Some((target.parse::<u64>().ok()?, name, tag.text()?))
    });
    let said: Vec<(u64, &str, String)> = said.collect();
    let apart = said.iter().any(|(target, ..)| *target == TRACK);
    for (target, name, text) in &said {
        match (*target, named(NAMES, name).unwrap_or(name)) {
            (ALBUM, "TITLE") if apart => album.push("ALBUM", text),
            (ALBUM, "ARTIST") if apart => {
                album.push("ALBUMARTIST", text);
                album.push("ARTIST", text);
            }
            // The number of a disc, where the album has several.
            (VOLUME, "TRACKNUMBER") => album.push("DISCNUMBER", text),
            (60.., "TRACKTOTAL") => album.push("DISCTOTAL", text),
            (TRACK, name) => fields.push(name, text),
            (ALBUM, name) => album.push(name, text),
            _ => {}
        }
    }
    fields.fill(album);
    let named = raw.iter().filter(|tag| tag.place == "mkv:title").filter_map(RawTag::text);
    named.for_each(|text| title.push("TITLE", &text));
    fields.fill(title);
    fields
}

/// Names of the tag registry, and those that ffmpeg writes.
const NAMES: &[(&str, &str)] = &[
    ("PART_NUMBER", "TRACKNUMBER"),
    ("TOTAL_PARTS", "TRACKTOTAL"),
    ("LEAD_PERFORMER", "ARTIST"),
    ("DATE_RELEASED", "DATE"),
    ("DATE_RECORDED", "DATE"),
    ("ALBUM_ARTIST", "ALBUMARTIST"),
    ("TITLE_SORT", "TITLESORT"),
    ("ARTIST_SORT", "ARTISTSORT"),
    ("ALBUM_SORT", "ALBUMSORT"),
];

/// Types of targets: a track, a part of an album (a disc), an album, which is what is meant when nothing is said.
const TRACK: u64 = 30;
const VOLUME: u64 = 40;
const ALBUM: u64 = 50;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use crate::media::sniff::sniff;
    use crate::media::sound::Sound;
    use crate::media::tags::read;
    use crate::mint::element;
    use crate::track::Tags;

    fn tag(target: Option<u8>, said: &[(&str, &str)]) -> Vec<u8> {
        let target = target.map(|target| element(0x68ca, &[target])).unwrap_or_default();
        let simple = said.iter().map(|(name, text)| {
            let inner = [element(0x45a3, name.as_bytes()), element(0x4487, text.as_bytes())].concat();
            element(0x67c8, &inner)
        });
        element(0x7373, &[element(0x63c0, &target), simple.collect::<Vec<_>>().concat()].concat())
    }

    fn file(parts: &[Vec<u8>]) -> Vec<u8> {
        let track = [element(0x83, &[2]), element(0x86, b"A_FLAC")].concat();
        let tracks = element(0x1654_ae6b, &element(0xae, &track));
        [element(0x1a45_dfa3, &[]), element(0x1853_8067, &[tracks, parts.concat()].concat())].concat()
    }

    fn tags(bytes: Vec<u8>) -> Tags {
        let length = bytes.len() as u64;
        let mut sound = Sound::new(Cursor::new(bytes), Some(length), None);
        let sniffed = sniff(&mut sound).expect("it is known");
        read(&mut sound, &sniffed).expect("it is plain").0
    }

    fn cluster() -> Vec<u8> {
        element(0x1f43_b675, &[0; 40])
    }

    #[test]
    fn a_file_of_ffmpeg_says_everything_of_nobody_in_particular() {
        let info = element(0x1549_a966, &element(0x7ba9, "夜".as_bytes()));
        let said = [("ARTIST", "Aimer"), ("ALBUM", "Test"), ("PART_NUMBER", "3/12"), ("DATE", "2026-11-21")];
        let found = tags(file(&[info, element(0x1254_c367, &tag(None, &said)), cluster()]));
        assert_eq!((found.title.as_deref(), found.artist.as_deref()), (Some("夜"), Some("Aimer")));
        assert_eq!((found.album.as_deref(), found.track, found.tracks), (Some("Test"), Some(3), Some(12)));
        assert_eq!((found.album_artist, found.date.as_deref()), (None, Some("2026-11-21")));
    }

    #[test]
    fn what_is_said_of_an_album_is_told_from_what_is_said_of_a_track() {
        let album =
            [("TITLE", "daydream"), ("ARTIST", "Aimer"), ("TOTAL_PARTS", "13"), ("DATE_RELEASED", "2016")];
        let track = [("TITLE", "蝶々結び"), ("ARTIST", "Aimer feat. X"), ("PART_NUMBER", "4")];
        let disc = tag(Some(40), &[("PART_NUMBER", "2")]);
        let all = element(0x1254_c367, &[tag(Some(50), &album), tag(Some(30), &track), disc].concat());
        // Behind the sound, where the index says; places count from the segment's body.
        let entry = |place: u64| {
            let inner = [element(0x53ab, &[0x12, 0x54, 0xc3, 0x67]), element(0x53ac, &place.to_be_bytes())];
            element(0x114d_9b74, &element(0x4dbb, &inner.concat()))
        };
        let front = file(&[]).len() as u64 - 24;
        let place = front + (entry(0).len() + cluster().len()) as u64;
        let found = tags(file(&[entry(place), cluster(), all]));
        assert_eq!((found.title.as_deref(), found.album.as_deref()), (Some("蝶々結び"), Some("daydream")));
        assert_eq!(found.artist.as_deref(), Some("Aimer feat. X"));
        assert_eq!(found.album_artist.as_deref(), Some("Aimer"));
        assert_eq!((found.track, found.tracks, found.disc), (Some(4), Some(13), Some(2)));
        assert_eq!(found.date.as_deref(), Some("2016"));
    }

    #[test]
    fn a_converted_purchase_names_its_buyer_in_bytes_that_are_known() {
        let said = [("ACCOUNT_ID", "user@example.com"), ("ARTIST", "Aimer")];
        let bytes = file(&[element(0x1254_c367, &tag(None, &said)), cluster()]);
        let at = bytes.windows(16).position(|part| part == b"user@example.com").expect("it is there") as u64;
        let mut sound = Sound::new(Cursor::new(bytes.clone()), Some(bytes.len() as u64), None);
        let personal = sniff(&mut sound).expect("it is known").personal;
        assert_eq!(
            personal.iter().map(|lies| (lies.offset.0, lies.length.0)).collect::<Vec<_>>(),
            [(at, 16)]
        );
    }
}
