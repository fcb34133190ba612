//! Identity of the audio payload, blind to tags: BLAKE3 cut to 128 bits. Runs on an intake worker and blocks on reading.
//!
//! Rule 1 ([`ALGO`]) hashes the bytes of [`Sniffed::audio`]; for Ogg, whose pages mix audio with numbering that changes
//! when a tag grows, the page bodies after the header packets.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::media::sniff::Sniffed;
use crate::media::sound::Sound;
use crate::track::{Codec, Container, Fingerprint, QuickKey};

/// The version of the rule, kept in [`Fingerprint::algo`].
pub const ALGO: u8 = 1;

/// Returns the quick key: payload length, first and last 64 KiB. Two reads, whatever the size.
///
/// # Errors
/// Those of reading; `Damaged` when the range is not in the file.
pub fn quick_key(sound: &mut Sound, audio: &Range<u64>) -> Result<QuickKey> {
    let length = audio.end.saturating_sub(audio.start);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length.to_le_bytes());
    let head = audio.start..audio.start.saturating_add(length.min(ENDS));
    let tail = audio.end.saturating_sub(ENDS).max(head.end)..audio.end.max(head.end);
    let mut buffer = vec![0; length.min(ENDS) as usize];
    for part in [head, tail] {
        stream(sound, &part, &mut buffer, &mut hasher).map_err(unread)?;
    }
    Ok(short(&hasher))
}

/// Returns the fingerprint of the whole payload.
///
/// # Errors
/// Those of reading; `Damaged` when the payload is not where it was found.
///
/// # Blocks
/// On reading the whole file once.
pub fn fingerprint(sound: &mut Sound, sniffed: &Sniffed) -> Result<Fingerprint> {
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; BLOCK];
    match sniffed.format.container {
        Container::Ogg => ogg(sound, sniffed.format.codec, &mut hasher, &mut buffer),
        _ => stream(sound, &sniffed.audio, &mut buffer, &mut hasher),
    }
    .map_err(unread)?;
    Ok(Fingerprint { algo: ALGO, hash: short(&hasher) })
}

fn unread(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::new(Kind::Damaged, "the file ends inside its sound"),
        _ => Error::io("read the sound", error),
    }
}

fn short(hasher: &blake3::Hasher) -> QuickKey {
    let mut hash = [0; 16];
    hasher.finalize_xof().fill(&mut hash);
    QuickKey(hash)
}

fn stream(
    sound: &mut Sound,
    range: &Range<u64>,
    buffer: &mut [u8],
    hasher: &mut blake3::Hasher,
) -> io::Result<()> {
    sound.seek(SeekFrom::Start(range.start))?;
    let mut left = range.end.saturating_sub(range.start);
    while left > 0 {
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        sound.read_exact(&mut buffer[..want])?;
        hasher.update(&buffer[..want]);
        left -= want as u64;
    }
    Ok(())
}

/// Hashes the page bodies of the first logical stream behind its header packets (RFC 3533, section 6).
fn ogg(sound: &mut Sound, codec: Codec, hasher: &mut blake3::Hasher, buffer: &mut [u8]) -> io::Result<()> {
    sound.seek(SeekFrom::Start(0))?;
    let mut reader = io::BufReader::with_capacity(OGG_BUFFER, sound);
    // Vorbis I 4.2.1: three headers; RFC 7845, section 3: two; Ogg FLAC 1.0 counts what follows its first one.
    let mut headers = match codec {
        Codec::Opus => 2,
        _ => 3,
    };
    let mut serial = None;
    let mut first = true;
    let mut found = 0u64;
    loop {
        let mut head = [0; 27];
        match reader.read_exact(&mut head) {
            // A stream may end anywhere behind its first page; intake has judged that already.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && found > 0 => return Ok(()),
            result => result?,
        }
        if &head[..4] != b"OggS" {
            return if found > 0 { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let mut table = [0; 255];
        let table = &mut table[..usize::from(head[26])];
        reader.read_exact(table)?;
        let body = &mut buffer[..table.iter().map(|&lace| usize::from(lace)).sum()];
        reader.read_exact(body)?;
        found += 1;
        let id = [head[14], head[15], head[16], head[17]];
        if *serial.get_or_insert(id) != id {
            continue;
        }
        if first {
            first = false;
            if let (Codec::Flac, Some(&[high, low])) =
                (codec, body.get(7..9).and_then(|b| b.first_chunk::<2>()))
            {
                headers = 1 + u32::from(u16::from_be_bytes([high, low]));
            }
        }
        if headers == 0 {
            hasher.update(body);
            continue;
        }
        // A packet ends at each lacing value below 255; what follows the last header on its page is audio.
        let mut at = 0;
        for &lace in table.iter() {
            if headers == 0 {
                break;
            }
            at += usize::from(lace);
            headers -= u32::from(lace < 255);
        }
        hasher.update(&body[at.min(body.len())..]);
    }
}

/// Bytes hashed at a time. At least the largest Ogg page body, 65025.
const BLOCK: usize = 256 << 10;
/// Bytes read at a time from an Ogg file.
const OGG_BUFFER: usize = 64 << 10;
/// Bytes of each end in a quick key.
const ENDS: u64 = 64 << 10;

#[cfg(test)]
mod tests;
