//! ZIP archives as shops send them: what is in them, and the bytes of each file. APPNOTE.TXT 6.3.10 (PKWARE): stored and
//! deflated files, ZIP64, names in UTF-8, in the charset of Japanese Windows or in that of the west. Everything is bounded;
//! what leads out of the archive or is no plain file makes the whole archive one that nobody should touch.

use std::io::{self, Read, Seek, SeekFrom};

use flate2::read::DeflateDecoder;

use crate::error::{Error, Kind, Result};

/// One file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path below the archive, with `/`; checked.
    pub name: String,
    /// Bytes as it comes out.
    pub size: u64,
    /// What keeps it from being read, in words; `None`: it can be.
    pub unfit: Option<&'static str>,
    packed: u64,
    method: u16,
    crc: u32,
    at: u64,
}

/// Returns whether bytes begin as an archive does (4.3.7, 4.3.16).
pub fn is_archive(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

/// Reads what is in an archive: plain files only, folders are left out.
///
/// # Errors
/// `Damaged` when it is none or breaks off, `Unsupported` when it is beyond all measure, leads elsewhere, or holds links or
/// devices; and those of the disk.
/// # Blocks
/// As long as the disk takes.
pub fn directory(file: &mut (impl Read + Seek)) -> Result<Vec<Entry>> {
    let failed = |error| Error::io("read an archive", error);
    let length = file.seek(SeekFrom::End(0)).map_err(failed)?;
    let End { count, size, at, base } = end(file, length)?;
    if count > MOST_FILES || size > LARGEST_DIRECTORY {
        return Err(Error::new(
            Kind::Unsupported,
            format!("archives of more than {MOST_FILES} files are not taken"),
        ));
    }
    let mut bytes = vec![0; size as usize];
    file.seek(SeekFrom::Start(at)).map_err(failed)?;
    file.read_exact(&mut bytes).map_err(|_| broken("its directory breaks off"))?;
    let mut raw = Vec::new();
    let mut rest = &bytes[..];
    for _ in 0..count {
        let (entry, behind) = header(rest, base)?;
        raw.push(entry);
        rest = behind;
    }
    shares_nothing(&raw)?;
    let names = names(&raw);
    let (mut entries, mut total) = (Vec::new(), 0_u64);
    for (raw, name) in raw.iter().zip(names) {
        total = total.saturating_add(raw.size);
        if total > LARGEST_TOTAL {
            return Err(Error::new(Kind::Unsupported, "more than 64 GB would come out of this archive"));
        }
        if raw.is_link() {
            return Err(Error::new(Kind::Unsupported, "an archive with links or devices in it is not taken"));
        }
        if leads_elsewhere(&name) {
            return Err(Error::new(Kind::Unsupported, "an archive whose names lead elsewhere is not taken"));
        }
        if !name.ends_with('/') {
            entries.push(raw.entry(name, length));
        }
    }
    // Each for itself may be small and all of them far too many.
    let fit = entries.iter().filter(|entry| entry.unfit.is_none());
    let out = fit.fold(0_u64, |sum, entry| sum.saturating_add(entry.size));
    if out > length.saturating_mul(MOST_RATIO).saturating_add(SMALL) {
        return Err(Error::new(Kind::Unsupported, "far more would come out of this archive than lies in it"));
    }
    Ok(entries)
}

/// Reads one file out of an archive, a block at a time, and checks its sum.
///
/// # Errors
/// `Damaged` when more or less comes out than was said, or something else; and those of the disk and of `take`.
/// # Blocks
/// As long as the disk and `take` take.
pub fn unpack(
    file: &mut (impl Read + Seek),
    entry: &Entry,
    mut take: impl FnMut(Vec<u8>) -> Result<()>,
) -> Result<()> {
    if let Some(why) = entry.unfit {
        return Err(Error::new(Kind::Unsupported, why));
    }
    let failed = |error| Error::io("read an archive", error);
    let mut head = [0; 30];
    file.seek(SeekFrom::Start(entry.at)).map_err(failed)?;
    file.read_exact(&mut head).map_err(|_| broken("a file breaks off"))?;
    if !head.starts_with(b"PK\x03\x04") {
        return Err(broken("a file is not where it should be"));
    }
    let skip = u64::from(u16_at(&head, 26)) + u64::from(u16_at(&head, 28));
    file.seek(SeekFrom::Start(entry.at + 30 + skip)).map_err(failed)?;
    let packed = file.take(entry.packed);
    let mut plain: Box<dyn Read + '_> =
        if entry.method == STORED { Box::new(packed) } else { Box::new(DeflateDecoder::new(packed)) };
    let (mut sum, mut came) = (crc32fast::Hasher::new(), 0_u64);
    loop {
        let mut block = vec![0; BLOCK];
        let count = match plain.read(&mut block) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.raw_os_error().is_some() => return Err(failed(error)),
            Err(_) => return Err(broken("a file in it is damaged")),
        };
        came += count as u64;
        if came > entry.size {
            return Err(broken("more comes out than it says"));
        }
        block.truncate(count);
        sum.update(&block);
        take(block)?;
    }
    if came != entry.size || sum.finalize() != entry.crc {
        return Err(broken("a file in it is damaged"));
    }
    Ok(())
}

/// Where the directory lies.
struct End {
    count: u64,
    size: u64,
    at: u64,
    /// Bytes in front of the archive, for those that are stuck behind something else.
    base: u64,
}

/// Finds the end of the directory (4.3.16), and that of ZIP64 (4.3.14, 4.3.15).
fn end(file: &mut (impl Read + Seek), length: u64) -> Result<End> {
    let failed = |error| Error::io("read an archive", error);
    let tail = length.min(22 + 0xffff + 20);
    let from = length - tail;
    let mut bytes = vec![0; tail as usize];
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    file.read_exact(&mut bytes).map_err(failed)?;
    let fits = |at: &usize| {
        bytes[*at..].starts_with(b"PK\x05\x06")
            && at + 22 + usize::from(u16_at(&bytes, at + 20)) <= bytes.len()
    };
    let at = (0..bytes.len().saturating_sub(21)).rev().find(fits).ok_or_else(|| broken("it breaks off"))?;
    let mut found = (
        u64::from(u16_at(&bytes, at + 10)),
        u64::from(u32_at(&bytes, at + 12)),
        u64::from(u32_at(&bytes, at + 16)),
    );
    let mut behind = from + at as u64;
    let locator = at.checked_sub(20).filter(|at| bytes[*at..].starts_with(b"PK\x06\x07"));
    if let Some(locator) = locator {
        let place = u64_at(&bytes, locator + 8);
        let mut record = [0; 56];
        if place.checked_add(56).is_none_or(|end| end > length) {
            return Err(broken("its directory lies nowhere"));
        }
        file.seek(SeekFrom::Start(place)).map_err(failed)?;
        file.read_exact(&mut record).map_err(failed)?;
        if !record.starts_with(b"PK\x06\x06") {
            return Err(broken("its directory lies nowhere"));
        }
        found = (u64_at(&record, 32), u64_at(&record, 40), u64_at(&record, 48));
        behind = place;
    }
    let (count, size, at) = found;
    // What is in front of an archive moves everything by as much.
    let base = behind.checked_sub(size).and_then(|start| start.checked_sub(at));
    let base = base.ok_or_else(|| broken("its directory lies nowhere"))?;
    Ok(End { count, size, at: at + base, base })
}

/// A file as the directory has it.
struct Raw {
    name: Vec<u8>,
    is_utf8: bool,
    is_secret: bool,
    size: u64,
    packed: u64,
    method: u16,
    crc: u32,
    at: u64,
    host: u8,
    mode: u32,
}

/// Reads one file's head in the directory (4.3.12), with what ZIP64 adds (4.5.3).
fn header(bytes: &[u8], base: u64) -> Result<(Raw, &[u8])> {
    if bytes.len() < 46 || !bytes.starts_with(b"PK\x01\x02") {
        return Err(broken("its directory is damaged"));
    }
    let (name, extra, comment) =
        (u16_at(bytes, 28) as usize, u16_at(bytes, 30) as usize, u16_at(bytes, 32) as usize);
    let (extra_at, end) = (46 + name, 46 + name + extra + comment);
    if end > bytes.len() {
        return Err(broken("its directory is damaged"));
    }
    let flags = u16_at(bytes, 8);
    let mut raw = Raw {
        name: bytes[46..extra_at].to_vec(),
        is_utf8: flags & 1 << 11 != 0,
        is_secret: flags & (1 | 1 << 6 | 1 << 13) != 0,
        size: u64::from(u32_at(bytes, 24)),
        packed: u64::from(u32_at(bytes, 20)),
        method: u16_at(bytes, 10),
        crc: u32_at(bytes, 16),
        at: u64::from(u32_at(bytes, 42)),
        host: bytes[5],
        mode: u32_at(bytes, 38) >> 16,
    };
    let mut rest = &bytes[extra_at..extra_at + extra];
    while rest.len() >= 4 {
        let (kind, length) = (u16_at(rest, 0), u16_at(rest, 2) as usize);
        let Some(field) = rest.get(4..4 + length) else { break };
        if kind == ZIP64 {
            let mut at = 0;
            for value in [&mut raw.size, &mut raw.packed, &mut raw.at] {
                if *value == u64::from(u32::MAX) && field.len() >= at + 8 {
                    *value = u64_at(field, at);
                    at += 8;
                }
            }
        }
        rest = &rest[4 + length..];
    }
    raw.at = raw.at.checked_add(base).ok_or_else(|| broken("its directory is damaged"))?;
    Ok((raw, &bytes[end..]))
}

impl Raw {
    /// A link, a device, a pipe or a socket, where the archive was made on a system that has them (4.4.2, 4.4.15).
    fn is_link(&self) -> bool {
        let kind = self.mode & 0o170_000;
        matches!(self.host, 3 | 19) && !matches!(kind, 0 | 0o100_000 | 0o040_000)
    }

    fn entry(&self, name: String, length: u64) -> Entry {
        let within = self.at.checked_add(30).and_then(|at| at.checked_add(self.packed));
        let unfit = if self.is_secret {
            Some("it is locked by a password")
        } else if !matches!(self.method, STORED | DEFLATED) {
            Some("it is packed in a way that is not known here")
        } else if within.is_none_or(|end| end > length) || self.method == STORED && self.size != self.packed {
            Some("it breaks off")
        } else if self.size > LARGEST_FILE {
            Some("it is too large")
        } else if self.size > self.packed.saturating_mul(MOST_RATIO).saturating_add(SMALL) {
            Some("far more would come out of it than lies in it")
        } else {
            None
        };
        let Raw { size, packed, method, crc, at, .. } = *self;
        Entry { name, size, unfit, packed, method, crc, at }
    }
}

/// Returns the names as text. Without the mark of UTF-8 (4.4.4, bit 11) all names of an archive are in one charset: UTF-8
/// when all are, else that of Japanese Windows when all are and something Japanese comes out, else that of the west.
fn names(raw: &[Raw]) -> Vec<String> {
    let unmarked: Vec<&[u8]> = raw.iter().filter(|raw| !raw.is_utf8).map(|raw| &raw.name[..]).collect();
    let is_utf8 = unmarked.iter().all(|name| std::str::from_utf8(name).is_ok());
    let japanese = |name: &&[u8]| {
        let (text, _, wrong) = encoding_rs::SHIFT_JIS.decode(name);
        !wrong && text.chars().all(|letter| letter.is_ascii() || is_japanese(letter))
    };
    let is_japanese = !is_utf8 && unmarked.iter().all(japanese);
    let read = |raw: &Raw| {
        let text = if raw.is_utf8 || is_utf8 {
            String::from_utf8_lossy(&raw.name).into_owned()
        } else if is_japanese {
            encoding_rs::SHIFT_JIS.decode_without_bom_handling(&raw.name).0.into_owned()
        } else {
            encoding_rs::WINDOWS_1252.decode_without_bom_handling(&raw.name).0.into_owned()
        };
        // Some programs of Windows write its own divider (4.4.17.1 wants the other).
        text.replace('\\', "/")
    };
    raw.iter().map(read).collect()
}

/// Kana, kanji, full-width forms, punctuation and signs that Japanese names have; half-width kana are a western accent read
/// wrongly more often than a name (reference purchases, 7.3).
fn is_japanese(letter: char) -> bool {
    matches!(letter, '\u{3000}'..='\u{30ff}' | '\u{3200}'..='\u{33ff}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
        || matches!(letter, '\u{ff01}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}' | '\u{2010}'..='\u{27bf}' | '\u{a7}'..='\u{f7}')
}

/// Makes sure that no two files lie on the same bytes: a few bytes that are many files are a trap.
fn shares_nothing(raw: &[Raw]) -> Result<()> {
    let behind = |raw: &Raw| raw.at.saturating_add(30).saturating_add(raw.packed);
    let mut lies: Vec<(u64, u64)> =
        raw.iter().filter(|raw| raw.packed > 0).map(|raw| (raw.at, behind(raw))).collect();
    lies.sort_unstable();
    if lies.windows(2).any(|two| two[0].1 > two[1].0) {
        return Err(Error::new(Kind::Unsupported, "an archive whose files lie on each other is not taken"));
    }
    Ok(())
}

/// Returns whether a name is none below a folder.
fn leads_elsewhere(name: &str) -> bool {
    let drive = matches!(name.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    let climbs = |part: &str| part.trim_end_matches(['.', ' ']).is_empty() && !part.is_empty();
    let body = name.strip_suffix('/').unwrap_or(name);
    body.is_empty() || body.starts_with('/') || drive || body.split('/').any(climbs) || name.contains('\0')
}

fn broken(why: &str) -> Error {
    Error::new(Kind::Damaged, format!("the archive is damaged: {why}"))
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).map_or(0, |two| u16::from_le_bytes([two[0], two[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

const STORED: u16 = 0;
const DEFLATED: u16 = 8;
const ZIP64: u16 = 1;
const MOST_FILES: u64 = 5000;
const LARGEST_DIRECTORY: u64 = 16 << 20;
const LARGEST_TOTAL: u64 = 64 << 30;
const LARGEST_FILE: u64 = 8 << 30;
/// Silence packs better than anything that is sold, and still not so well.
const MOST_RATIO: u64 = 200;
/// What is so small harms nobody.
const SMALL: u64 = 1 << 20;
const BLOCK: usize = 128 << 10;

#[cfg(test)]
mod tests;
