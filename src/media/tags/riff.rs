//! The INFO list of WAV files (Multimedia Programming Interface and Data Specifications 1.0, 2.14). Its words have no charset:
//! UTF-8 when they are, else one byte each.

use crate::media::sound::Sound;
use crate::media::tags::fields::Fields;
use crate::media::tags::look::{bytes, le};
use crate::media::tags::named;

/// Returns what the list says; empty without one.
pub(super) fn read(sound: &mut Sound) -> Fields {
    let mut fields = Fields::default();
    // A chunk that breaks off ends the walk; what came before it counts.
    let _ended = chunks(sound, &mut fields);
    fields
}

fn chunks(sound: &mut Sound, fields: &mut Fields) -> Option<()> {
    let len = sound.byte_len()?;
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        let head = bytes(sound, at, 8)?;
        let size = le(&head, 4, 4);
        if head.starts_with(b"LIST") && size >= 4 && at + 8 + size <= len {
            let list = bytes(sound, at + 8, size)?;
            if list.starts_with(b"INFO") {
                info(&list[4..], fields);
            }
        }
        // Chunks begin at even places.
        at += 8 + size + (size & 1);
    }
    Some(())
}

fn info(mut list: &[u8], fields: &mut Fields) {
    while list.len() >= 8 {
        let size = le(list, 4, 4) as usize;
        let Some(value) = list.get(8..8usize.saturating_add(size)) else { return };
        let name = std::str::from_utf8(&list[..4]).ok().and_then(|id| named(RIFF_NAMES, id));
        if let Some(name) = name {
            fields.push_bytes(name, value);
        }
        list = list.get(8 + size + (size & 1)..).unwrap_or_default();
    }
}

/// Its `ISRC` is a source, not a recording code.
const RIFF_NAMES: &[(&str, &str)] = &[
    ("INAM", "TITLE"),
    ("IART", "ARTIST"),
    ("IPRD", "ALBUM"),
    ("IPRT", "TRACKNUMBER"),
    ("ITRK", "TRACKNUMBER"),
    ("ICRD", "DATE"),
    ("IGNR", "GENRE"),
    ("ICMT", "COMMENT"),
    ("IMUS", "COMPOSER"),
];

/// Chunks of a file.
const MOST_CHUNKS: usize = 256;
