//! Words in chunks of AIFF (Audio Interchange File Format 1.3, 13 to 16), Core Audio (Apple Core Audio Format Specification
//! 1.0, "Information Chunk") and DSDIFF files (DSDIFF 1.5, 3.3.2).

use crate::media::raw::RawTag;
use crate::media::sound::Sound;
use crate::media::tags::bare_id3;
use crate::media::tags::fields::Fields;
use crate::media::tags::look::{be, bytes};
use crate::media::tags::named;

/// Returns what the text chunks of an AIFF file say, and its ID3v2 tag.
pub(super) fn aiff(sound: &mut Sound) -> (Fields, Fields) {
    let (mut texts, mut id3) = (Fields::default(), Fields::default());
    // A chunk that breaks off ends each walk; what came before it counts.
    let _ended = walk(sound, 12, Size::Short, |sound, name, at, size| {
        match (name, named_bytes(AIFF_NAMES, name)) {
            (b"ID3 ", _) => id3.fill(bare_id3::read(sound, at, size).unwrap_or_default()),
            (_, Some(field)) => texts.push_bytes(field, &bytes(sound, at, size)?),
            _ => {}
        }
        Some(())
    });
    (texts, id3)
}

/// Returns what the information chunk of a Core Audio file says, as the sniffer met it.
pub(super) fn caf(raw: &[RawTag]) -> Fields {
    let mut fields = Fields::default();
    for tag in raw {
        if let (Some(key), Some(text)) = (tag.place.strip_prefix("caf:"), tag.text()) {
            fields.push(named(CAF_NAMES, &key.to_lowercase()).unwrap_or(key), &text);
        }
    }
    fields
}

/// Returns what a DSDIFF file says: its ID3v2 tag, which is no part of the standard, else artist and title of the master.
pub(super) fn dff(sound: &mut Sound) -> Fields {
    let (mut fields, mut master) = (Fields::default(), Fields::default());
    let _ended = walk(sound, 16, Size::Long, |sound, name, at, size| {
        match name {
            b"ID3 " => fields.fill(bare_id3::read(sound, at, size).unwrap_or_default()),
            b"DIIN" => {
                let end = at.checked_add(size)?;
                let _ended = walk_to(sound, at, end, Size::Long, &mut |sound, name, at, size| {
                    if let Some(field) = named_bytes(DIIN_NAMES, name) {
                        // A count of letters in front.
                        master.push_bytes(field, bytes(sound, at, size)?.get(4..)?);
                    }
                    Some(())
                });
            }
            _ => {}
        }
        Some(())
    });
    fields.fill(master);
    fields
}

/// How a file writes the sizes of its chunks, which begin at even places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    /// In four bytes.
    Short,
    /// In eight bytes.
    Long,
}

/// What is done with a chunk: name, place and size of its body.
type Visit<'a> = dyn FnMut(&mut Sound, &[u8], u64, u64) -> Option<()> + 'a;

/// Visits each chunk: name, place and size of its body. `None` ends the walk.
fn walk(
    sound: &mut Sound,
    at: u64,
    form: Size,
    mut visit: impl FnMut(&mut Sound, &[u8], u64, u64) -> Option<()>,
) -> Option<()> {
    let end = sound.byte_len()?;
    walk_to(sound, at, end, form, &mut visit)
}

fn walk_to(sound: &mut Sound, mut at: u64, end: u64, form: Size, visit: &mut Visit<'_>) -> Option<()> {
    let wide = if form == Size::Short { 4 } else { 8 };
    for _ in 0..MOST_CHUNKS {
        if at.checked_add(4 + wide)? > end {
            break;
        }
        let head = bytes(sound, at, 4 + wide)?;
        let body = at + 4 + wide;
        let size = be(&head, 4, wide as usize).min(end - body);
        visit(sound, &head[..4], body, size)?;
        at = body + size + (size & 1);
    }
    Some(())
}

fn named_bytes(names: &[(&[u8], &'static str)], name: &[u8]) -> Option<&'static str> {
    names.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
}

const AIFF_NAMES: &[(&[u8], &str)] = &[(b"NAME", "TITLE"), (b"AUTH", "ARTIST"), (b"ANNO", "COMMENT")];
const DIIN_NAMES: &[(&[u8], &str)] = &[(b"DITI", "TITLE"), (b"DIAR", "ARTIST")];
/// Apple's keys, and those of ffmpeg.
const CAF_NAMES: &[(&str, &str)] = &[
    ("track number", "TRACKNUMBER"),
    ("recorded date", "DATE"),
    ("comments", "COMMENT"),
    ("album_artist", "ALBUMARTIST"),
    ("album artist", "ALBUMARTIST"),
];
const MOST_CHUNKS: usize = 256;

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::media::raw::RawValue;

    fn sound(bytes: Vec<u8>) -> Sound {
        let length = bytes.len() as u64;
        Sound::new(Cursor::new(bytes), Some(length), None)
    }

    fn short(name: &[u8], body: &[u8]) -> Vec<u8> {
        let pad = vec![0; body.len() & 1];
        [name, &(body.len() as u32).to_be_bytes(), body, &pad].concat()
    }

    fn long(name: &[u8], body: &[u8]) -> Vec<u8> {
        [name, &(body.len() as u64).to_be_bytes(), body, &vec![0; body.len() & 1]].concat()
    }

    fn id3(title: &str) -> Vec<u8> {
        let frame = [&b"TIT2\0\0\0"[..], &[title.len() as u8 + 1, 0, 0, 3], title.as_bytes()].concat();
        [&b"ID3\x04\0\0\0\0\0"[..], &[frame.len() as u8], &frame].concat()
    }

    #[test]
    fn words_of_aiff_are_read_in_any_charset() {
        let shift_jis = [0x8f, 0xee, 0x94, 0x4d, 0x91, 0xe5, 0x97, 0xa4];
        let words =
            [short(b"NAME", &shift_jis), short(b"AUTH", "葉加瀬".as_bytes()), short(b"SSND", &[0; 8])];
        let (texts, _) = aiff(&mut sound([&b"FORM\0\0\0\0AIFF"[..], &words.concat()].concat()));
        assert_eq!(texts.latin().count(), 1, "its charset is settled with the album");
        assert_eq!(texts.tags().artist.as_deref(), Some("葉加瀬"));
        let both = [short(b"NAME", b"old"), short(b"ID3 ", &id3("new"))].concat();
        let (texts, id3) = aiff(&mut sound([&b"FORM\0\0\0\0AIFF"[..], &both].concat()));
        assert_eq!((texts.tags().title.as_deref(), id3.tags().title.as_deref()), (Some("old"), Some("new")));
    }

    #[test]
    fn core_audio_tells_by_keys() {
        let text = |key: &str, text: &str| RawTag::new(format!("caf:{key}"), RawValue::Text(text.into()));
        let tags = caf(&[text("title", "夜"), text("artist", "Aimer"), text("track number", "3")]).tags();
        let words = (tags.title.as_deref(), tags.artist.as_deref(), tags.track);
        assert_eq!(words, (Some("夜"), Some("Aimer"), Some(3)));
    }

    #[test]
    fn dsdiff_has_a_master_and_perhaps_a_tag() {
        let text = |text: &[u8]| [&(text.len() as u32).to_be_bytes(), text].concat();
        let master = [long(b"DIAR", &text(b"Bill Evans")), long(b"DITI", &text(b"Gloria's Step"))].concat();
        let file =
            |more: Vec<u8>| [&b"FRM8\0\0\0\0\0\0\0\0DSD "[..], &long(b"DIIN", &master), &more].concat();
        let tags = dff(&mut sound(file(Vec::new()))).tags();
        assert_eq!(
            (tags.title.as_deref(), tags.artist.as_deref()),
            (Some("Gloria's Step"), Some("Bill Evans"))
        );
        let tags = dff(&mut sound(file(long(b"ID3 ", &id3("Alice in Wonderland"))))).tags();
        assert_eq!(tags.title.as_deref(), Some("Alice in Wonderland"));
        assert_eq!(tags.artist.as_deref(), Some("Bill Evans"));
    }
}
