//! Tags of ASF, that is WMA (Advanced Systems Format specification, 3.10, 3.11, 4.7, 4.8): the content description, the
//! extended one, and the metadata library, in which long values and those of one stream stand.

use crate::media::sound::Sound;
use crate::media::tags::fields::Fields;
use crate::media::tags::look::{bytes, le, wide};
use crate::media::tags::plain_name;

/// Returns what the header says; `None` when it is none.
pub(super) fn read(sound: &mut Sound) -> Option<Fields> {
    let head = bytes(sound, 0, 30)?;
    let mut found = Found::default();
    let end = le(&head, 16, 8);
    // An object that breaks off ends the walk; what came before it counts.
    let _ended = found.objects(sound, 30, end, true);
    // Of several values the first stands in a description, the others in the library, whatever comes first in the file.
    let mut fields = found.plain;
    fields.add(found.extended);
    fields.add(found.library);
    fields.fill(found.counted);
    Some(fields)
}

#[derive(Default)]
struct Found {
    count: usize,
    plain: Fields,
    extended: Fields,
    library: Fields,
    /// What stands in where nothing better is said.
    counted: Fields,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Where {
    Extended,
    Library,
}

impl Found {
    fn objects(&mut self, sound: &mut Sound, mut at: u64, end: u64, outer: bool) -> Option<()> {
        while at.checked_add(24)? <= end {
            self.count += 1;
            let head = bytes(sound, at, 24).filter(|_| self.count <= MOST_OBJECTS)?;
            let size = le(&head, 16, 8);
            let stop = at.checked_add(size).filter(|&stop| size >= 24 && stop <= end)?;
            let (body, length) = (at + 24, size - 24);
            match &head[..16] {
                CONTENT if outer => self.content(&bytes(sound, body, length)?),
                EXTENDED if outer => self.extended(&bytes(sound, body, length.min(LARGEST))?),
                METADATA | LIBRARY => self.library(&bytes(sound, body, length.min(LARGEST))?),
                // A GUID, a number, and the size of the objects within.
                EXTENSION if outer => self.objects(sound, body + 22, stop, false)?,
                _ => {}
            }
            at = stop;
        }
        Some(())
    }

    /// Five lengths, then as many texts.
    fn content(&mut self, body: &[u8]) {
        let mut at = 10;
        for (i, name) in ["TITLE", "ARTIST", "", "COMMENT"].into_iter().enumerate() {
            let length = le(body, i * 2, 2) as usize;
            let Some(text) = body.get(at..at + length) else { return };
            if !name.is_empty() {
                self.plain.push(name, &wide(text, u16::from_le_bytes));
            }
            at += length;
        }
    }

    /// A count; then of each: length of the name, name, type, length of the value, value.
    fn extended(&mut self, body: &[u8]) {
        let mut at = 2;
        for _ in 0..le(body, 0, 2) {
            let name_length = le(body, at, 2) as usize;
            let Some(name) = body.get(at + 2..at + 2 + name_length) else { return };
            at += 2 + name_length;
            let (kind, length) = (le(body, at, 2), le(body, at + 2, 2) as usize);
            let Some(value) = body.get(at + 4..at + 4 + length) else { return };
            at += 4 + length;
            self.put(Where::Extended, &wide(name, u16::from_le_bytes), kind, value);
        }
    }

    /// A count; then of each: language, stream, length of the name, type, length of the value, name, value.
    fn library(&mut self, body: &[u8]) {
        let mut at = 2;
        for _ in 0..le(body, 0, 2) {
            let (stream, name_length) = (le(body, at + 2, 2), le(body, at + 4, 2) as usize);
            let (kind, length) = (le(body, at + 6, 2), le(body, at + 8, 4) as usize);
            let Some(name) = body.get(at + 12..at + 12 + name_length) else { return };
            at += 12 + name_length;
            let Some(value) = at.checked_add(length).and_then(|end| body.get(at..end)) else { return };
            at += length;
            // What is said of one stream is not said of the song.
            if stream == 0 {
                self.put(Where::Library, &wide(name, u16::from_le_bytes), kind, value);
            }
        }
    }

    /// Types: 0 text, 1 bytes, 2 yes or no, 3 to 5 numbers of 32, 64 and 16 bits.
    fn put(&mut self, at: Where, name: &str, kind: u64, value: &[u8]) {
        let text = match kind {
            0 => wide(value, u16::from_le_bytes),
            2..=5 => le(value, 0, value.len().min(8)).to_string(),
            _ => return,
        };
        let fields = match at {
            Where::Extended => &mut self.extended,
            Where::Library => &mut self.library,
        };
        match NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            // It counts from 0; TrackNumber stands beside it since Windows Media Player 9.
            Some((_, "TRACK")) => {
                let number = text.parse::<u32>().ok().and_then(|track| track.checked_add(1));
                self.counted.push("TRACKNUMBER", &number.map(|track| track.to_string()).unwrap_or_default());
            }
            Some((_, field)) => fields.push(field, &text),
            None => fields.push(&plain_name(name), &text),
        }
    }
}

const CONTENT: &[u8] =
    &[0x33, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11, 0xa6, 0xd9, 0x00, 0xaa, 0x00, 0x62, 0xce, 0x6c];
const EXTENDED: &[u8] =
    &[0x40, 0xa4, 0xd0, 0xd2, 0x07, 0xe3, 0xd2, 0x11, 0x97, 0xf0, 0x00, 0xa0, 0xc9, 0x5e, 0xa8, 0x50];
const EXTENSION: &[u8] =
    &[0xb5, 0x03, 0xbf, 0x5f, 0x2e, 0xa9, 0xcf, 0x11, 0x8e, 0xe3, 0x00, 0xc0, 0x0c, 0x20, 0x53, 0x65];
const METADATA: &[u8] =
    &[0xea, 0xcb, 0xf8, 0xc5, 0xaf, 0x5b, 0x77, 0x48, 0x84, 0x67, 0xaa, 0x8c, 0x44, 0xfa, 0x4c, 0xca];
const LIBRARY: &[u8] =
    &[0x94, 0x1c, 0x23, 0x44, 0x98, 0x94, 0xd1, 0x49, 0xa1, 0x41, 0x1d, 0x13, 0x4e, 0x45, 0x70, 0x54];

/// Attributes of Windows Media, and those that taggers add.
const NAMES: [(&str, &str); 26] = [
    ("Title", "TITLE"),
    ("Author", "ARTIST"),
    ("WM/ARTISTS", "ARTISTS"),
    ("Description", "COMMENT"),
    ("WM/AlbumTitle", "ALBUM"),
    ("WM/AlbumArtist", "ALBUMARTIST"),
    ("WM/TrackNumber", "TRACKNUMBER"),
    ("WM/Track", "TRACK"),
    ("TotalTracks", "TRACKTOTAL"),
    ("WM/PartOfSet", "DISCNUMBER"),
    ("TotalDiscs", "DISCTOTAL"),
    ("WM/Year", "DATE"),
    ("WM/OriginalReleaseYear", "ORIGINALDATE"),
    ("WM/Genre", "GENRE"),
    ("WM/Composer", "COMPOSER"),
    ("WM/ISRC", "ISRC"),
    ("WM/Barcode", "BARCODE"),
    ("WM/IsCompilation", "COMPILATION"),
    ("WM/TitleSortOrder", "TITLESORT"),
    ("TitleSort", "TITLESORT"),
    ("WM/ArtistSortOrder", "ARTISTSORT"),
    ("ArtistSort", "ARTISTSORT"),
    ("WM/AlbumSortOrder", "ALBUMSORT"),
    ("AlbumSort", "ALBUMSORT"),
    ("WM/AlbumArtistSortOrder", "ALBUMARTISTSORT"),
    ("WM/ComposerSortOrder", "COMPOSERSORT"),
];

/// Objects of a header.
const MOST_OBJECTS: usize = 512;
/// Bytes of one object; a picture may make it larger, and then only its front is read.
const LARGEST: u64 = 256 << 10;
