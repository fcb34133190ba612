//! Bounded reading for the tags that lofty does not know.

use std::io::{Read, Seek, SeekFrom};

use crate::media::sound::Sound;

/// Returns `count` bytes from `at`; `None` when they are not there, or are more than any real tag has.
pub(super) fn bytes(sound: &mut Sound, at: u64, count: u64) -> Option<Vec<u8>> {
    if count > MOST {
        return None;
    }
    sound.seek(SeekFrom::Start(at)).ok()?;
    let mut bytes = Vec::new();
    sound.take(count).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == count).then_some(bytes)
}

/// Reads a little-endian number of 1 to 8 bytes; 0 where the bytes end.
pub(super) fn le(bytes: &[u8], at: usize, count: usize) -> u64 {
    let field = at.checked_add(count).and_then(|end| bytes.get(at..end));
    field.map_or(0, |field| field.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// Reads a big-endian number of 1 to 8 bytes; 0 where the bytes end.
pub(super) fn be(bytes: &[u8], at: usize, count: usize) -> u64 {
    let field = at.checked_add(count).and_then(|end| bytes.get(at..end));
    field.map_or(0, |field| field.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

/// Returns UTF-16 up to its NUL; the rest of `bytes` is not looked at.
pub(super) fn wide(bytes: &[u8], of: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).map(|pair| of([pair[0], pair[1]])).take_while(|&unit| unit != 0);
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// Bytes read at once.
const MOST: u64 = 256 << 10;
