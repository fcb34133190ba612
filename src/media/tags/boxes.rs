//! Tags of MP4 files that are no list of Apple's: those of 3GPP in `moov/udta` (3GPP TS 26.244, 8), and ID3v2 in `ID32` boxes
//! of a `meta` (mora and Sony wrote both; reference purchases 1.3).

use crate::media::sound::Sound;
use crate::media::tags::bare_id3;
use crate::media::tags::fields::Fields;
use crate::media::tags::look::{be, bytes, wide};

/// Returns what they say, 3GPP's first; empty without any.
pub(super) fn read(sound: &mut Sound) -> Fields {
    let mut walk = Walk { boxes: 0, gpp: Fields::default(), id3: Fields::default() };
    let end = sound.byte_len().unwrap_or(0);
    // What breaks off has told what it has.
    let _ended = walk.children(sound, 0, end, Inside::File);
    let mut fields = walk.gpp;
    fields.fill(walk.id3);
    fields
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    File,
    Movie,
    UserData,
    Meta,
}

struct Walk {
    boxes: usize,
    gpp: Fields,
    id3: Fields,
}

impl Walk {
    fn children(&mut self, sound: &mut Sound, mut at: u64, end: u64, inside: Inside) -> Option<()> {
        while at.checked_add(8)? <= end {
            self.boxes += 1;
            let head = bytes(sound, at, 8).filter(|_| self.boxes <= MOST_BOXES)?;
            let (size, front) = match be(&head, 0, 4) {
                0 => (end - at, 8),
                1 => (be(&bytes(sound, at + 8, 8)?, 0, 8), 16),
                size => (size, 8),
            };
            let stop = at.checked_add(size).filter(|&stop| size >= front && stop <= end)?;
            let body = at + front;
            match (inside, &head[4..8]) {
                (Inside::File, b"moov") => self.children(sound, body, stop, Inside::Movie)?,
                (Inside::Movie, b"udta") => self.children(sound, body, stop, Inside::UserData)?,
                // A full box: four bytes in front of its children.
                (Inside::File | Inside::Movie | Inside::UserData, b"meta") => {
                    self.children(sound, body + 4, stop, Inside::Meta)?;
                }
                (Inside::Meta, b"ID32") => {
                    // Version and flags, then the language.
                    if let Some(found) = bare_id3::read(sound, body + 6, stop.saturating_sub(body + 6)) {
                        self.id3.fill(found);
                    }
                }
                (Inside::UserData, name) => {
                    if let Some((_, field)) = GPP_NAMES.iter().find(|(known, _)| *known == name) {
                        let body = bytes(sound, body, stop - body)?;
                        self.asset(field, &body);
                    }
                }
                _ => {}
            }
            at = stop;
        }
        Some(())
    }

    /// A full box: version and flags, then a language and a text with its NUL, or a year. The first language is the one.
    fn asset(&mut self, field: &str, body: &[u8]) {
        if field == "DATE" {
            let year = be(body, 4, 2);
            if (1..=9999).contains(&year) {
                self.gpp.push(field, &format!("{year:04}"));
            }
            return;
        }
        let Some(bytes) = body.get(6..) else { return };
        let (text, length) = match bytes {
            [0xfe, 0xff, rest @ ..] => counted(rest, u16::from_be_bytes),
            [0xff, 0xfe, rest @ ..] => counted(rest, u16::from_le_bytes),
            _ => {
                let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
                (String::from_utf8_lossy(&bytes[..end]).into_owned(), end + 1)
            }
        };
        let mut said = Fields::default();
        said.push(field, &text);
        if let (true, Some(&track)) = (field == "ALBUM", bytes.get(length)) {
            said.push("TRACKNUMBER", &track.to_string());
        }
        self.gpp.fill(said);
    }
}

/// Returns UTF-16 behind its mark, and its bytes with mark and NUL.
fn counted(bytes: &[u8], of: fn([u8; 2]) -> u16) -> (String, usize) {
    let nul = bytes.chunks_exact(2).position(|pair| pair == [0, 0]);
    (wide(bytes, of), nul.map_or(bytes.len(), |at| at * 2 + 2) + 2)
}

/// 3GPP TS 26.244, table 8.1 and on.
const GPP_NAMES: [(&[u8], &str); 7] = [
    (b"titl", "TITLE"),
    (b"perf", "ARTIST"),
    (b"auth", "COMPOSER"),
    (b"albm", "ALBUM"),
    (b"gnre", "GENRE"),
    (b"yrrc", "DATE"),
    (b"dscp", "COMMENT"),
];

/// Boxes looked at.
const MOST_BOXES: usize = 4096;
