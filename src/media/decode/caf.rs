//! A Core Audio file as symphonia may see it (Apple Core Audio Format Specification 1.0): the chunks that a decoder needs,
//! none of them larger than the file could mean. symphonia believes the sizes it reads and asks for that much memory.

use crate::error::{Error, Kind, Result};
use crate::media::decode::source::{Layout, read_at};
use crate::media::sound::Sound;

/// Keeps `desc`, `kuki` and `pakt`, and goes on at the data.
///
/// # Errors
/// `Damaged` when a chunk is missing or says the impossible, and those of reading.
pub(super) fn layout(sound: &mut Sound) -> Result<Layout> {
    let len = sound.byte_len().unwrap_or(u64::MAX);
    let (mut description, mut cookie, mut table, mut data) = (None, None, None, None);
    let mut at = 8u64;
    for _ in 0..MOST_CHUNKS {
        if at.saturating_add(12) > len {
            break;
        }
        let mut chunk = [0; 12];
        read_at(sound, at, &mut chunk)?;
        let size = i64::from_be_bytes(chunk[4..].try_into().unwrap_or([0; 8]));
        let body = at + 12;
        // Only the data may go on to the end of the file.
        let end = match u64::try_from(size) {
            Ok(size) => body.saturating_add(size).min(len),
            Err(_) => len,
        };
        match &chunk[..4] {
            b"desc" => description = Some(bytes(sound, body, end, DESCRIPTION)?),
            b"kuki" => cookie = Some(bytes(sound, body, end, LARGEST_COOKIE)?),
            b"pakt" => table = Some(bytes(sound, body, end, LARGEST_TABLE)?),
            // Four bytes count the edits.
            b"data" => data = Some((body.saturating_add(4).min(end), end)),
            _ => {}
        }
        at = end;
    }
    let (Some(description), Some((start, end))) = (description, data) else {
        return Err(damaged("the CAF file has no sound data"));
    };
    let constant = check_description(&description)?;
    let mut head = b"caff\x00\x01\x00\x00".to_vec();
    push(&mut head, b"desc", &description);
    if let Some(cookie) = &cookie {
        push(&mut head, b"kuki", cookie);
    }
    match &table {
        Some(table) if !constant => {
            check_table(table, &description, end - start)?;
            push(&mut head, b"pakt", table);
        }
        None if !constant => return Err(damaged("the CAF file lacks its packet table")),
        _ => {}
    }
    head.extend_from_slice(b"data");
    head.extend_from_slice(&(end - start).saturating_add(4).to_be_bytes());
    head.extend_from_slice(&[0; 4]);
    Ok(Layout::new(head, start, end))
}

/// Rate, format, flags, bytes and frames per packet, channels, bits. Returns whether all packets are alike.
fn check_description(description: &[u8]) -> Result<bool> {
    let field =
        |at: usize| description.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes);
    let (bytes, frames, channels, bits) = (field(16), field(20), field(24), field(28));
    let sane = description.len() as u64 == DESCRIPTION
        && bytes <= LARGEST_PACKET
        && frames <= LONGEST_PACKET
        && (1..=MOST_CHANNELS).contains(&channels)
        && bits <= 64;
    sane.then_some(bytes > 0 && frames > 0)
        .ok_or_else(|| damaged("the CAF file describes an impossible sound"))
}

/// The packets of the table have to fit into the data.
fn check_table(table: &[u8], description: &[u8], data: u64) -> Result<()> {
    let broken = || damaged("the packet table of the CAF file is broken");
    let count = table.get(..8).and_then(|b| b.try_into().ok()).map(i64::from_be_bytes).unwrap_or(-1);
    let count = u64::try_from(count).map_err(|_| broken())?;
    let varying = |at: usize| description.get(at..at + 4) == Some(&[0; 4]);
    let (sizes, lengths) = (varying(16), varying(20));
    let mut rest = table.get(24..).ok_or_else(broken)?;
    if count > rest.len() as u64 {
        return Err(broken());
    }
    let mut sum = 0u64;
    for _ in 0..count {
        if sizes {
            let size = number(&mut rest).filter(|size| *size <= LARGEST_PACKET.into()).ok_or_else(broken)?;
            sum += size;
        }
        if lengths {
            number(&mut rest).filter(|frames| *frames <= LONGEST_PACKET.into()).ok_or_else(broken)?;
        }
    }
    // A cut file plays up to the cut; one that promises far more is none.
    if sum > data.saturating_mul(1024) { Err(broken()) } else { Ok(()) }
}

/// A number in groups of seven bits, the high ones first.
fn number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for _ in 0..9 {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn push(head: &mut Vec<u8>, name: &[u8; 4], body: &[u8]) {
    head.extend_from_slice(name);
    head.extend_from_slice(&(body.len() as u64).to_be_bytes());
    head.extend_from_slice(body);
}

fn bytes(sound: &mut Sound, at: u64, end: u64, most: u64) -> Result<Vec<u8>> {
    let count = end - at;
    if count > most {
        return Err(damaged("a chunk of the CAF file is longer than any known"));
    }
    let mut bytes = vec![0; count as usize];
    read_at(sound, at, &mut bytes)?;
    Ok(bytes)
}

fn damaged(what: &str) -> Error {
    Error::new(Kind::Damaged, what)
}

const MOST_CHUNKS: usize = 256;
const DESCRIPTION: u64 = 32;
const LARGEST_COOKIE: u64 = 64 << 10;
/// Ten hours of AAC packets need 3 MB.
const LARGEST_TABLE: u64 = 32 << 20;
/// Bytes of a packet.
const LARGEST_PACKET: u32 = 1 << 20;
/// Frames of a packet.
const LONGEST_PACKET: u32 = 1 << 16;
const MOST_CHANNELS: u32 = 32;
