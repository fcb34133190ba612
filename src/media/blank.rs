//! What of a file nobody but the owner may read, and what stands there instead: same length, so that every reader finds the
//! rest where it was (product, "Who, and what each may do"). Decided on the bytes as they are now, not as they were when
//! the file came. The file is never touched.

mod sums;

use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::media::raw::{RawTag, names_buyer};
use crate::media::sniff::look::Look;
use crate::media::sniff::{apev2, id3, ogg, sniff};
use crate::media::sound::Sound;
use crate::track::blank::{Blank, Fill, sorted};
use crate::track::{Container, PersonalBytes, Protection};
use crate::units::ByteCount;

/// Returns what stands in a file for others, sorted and without overlap; empty when nothing in it names a buyer. The sound
/// may be left at any position.
///
/// # Errors
/// `NotAllowed` in words for a person for a locked file, one that may not travel on, and one of which it is not known where
/// it names the buyer; as [`sniff`]; and those of reading.
/// # Blocks
/// As long as a few looks at the disk take.
pub fn blanks(sound: &mut Sound) -> Result<Vec<Blank>> {
    let sniffed = sniff(sound)?;
    if sniffed.protection != Protection::None {
        let what = format!("only the owner may read this file: {}", sniffed.protection.headline());
        return Err(Error::new(Kind::NotAllowed, what));
    }
    let (container, audio) = (sniffed.format.container, sniffed.audio);
    let mut look = Look::new(sound);
    let found = match container {
        Container::Ogg => return of_ogg(&mut look),
        Container::Matroska => {
            no_buyer(&mut look)?;
            sniffed.raw
        }
        Container::Mp4 | Container::Asf | Container::Caf => sniffed.raw,
        _ => sniffed.raw.into_iter().chain(behind(&mut look)?).collect(),
    };
    if found.iter().any(|tag| stays(tag, container, &audio)) {
        return Err(unplaced());
    }
    let mut blanks = Vec::new();
    for tag in found {
        let Some(lies) = tag.personal.map(|lies| within(lies, look.len())) else { continue };
        blanks.push(Blank { with: fill(&mut look, &tag, lies, container)?, ..blank(lies, Fill::Zeros) });
    }
    let blanks = sorted(blanks);
    let sum = sums::of_id3(&mut look, &blanks)?;
    Ok(sorted(blanks.into_iter().chain(sum).collect()))
}

/// Comments, and the sums of the pages that hold them.
fn of_ogg(look: &mut Look<'_>) -> Result<Vec<Blank>> {
    let comments = ogg::comments(look, LARGEST_COMMENTS)?.ok_or_else(unplaced)?;
    // Another stream, beside the first or behind it, has comments of its own.
    let first = ogg::serial(look, 0)?;
    let last = ogg::last_page(look)?.ok_or_else(unplaced)?;
    for page in comments.pages.iter().map(|page| page.start).chain([last]) {
        if ogg::serial(look, page)? != first {
            return Err(unplaced());
        }
    }
    let unread = comments.raw.iter().filter(|tag| tag.is_unread()).filter_map(|tag| tag.personal);
    let zeros = unread.map(|lies| blank(within(lies, look.len()), Fill::Zeros));
    let spaces = comments.personal.iter().map(|lies| blank(*lies, Fill::Spaces));
    let mut blanks = sorted(spaces.chain(zeros).collect());
    let sums = sums::of_pages(look, &comments.pages, &blanks)?;
    blanks.extend(sums);
    Ok(sorted(blanks))
}

/// Reads the tags at the end of a file, in whatever order they are written.
fn behind(look: &mut Look<'_>) -> Result<Vec<RawTag>> {
    let (mut found, mut end) = (Vec::new(), look.len());
    for _ in 0..MOST_TAGS {
        let tail = look.some(end.saturating_sub(15), end.min(15) as usize)?;
        let start = if end >= 128 && look.some(end - 128, 3)? == b"TAG" {
            end - 128
        } else if tail.ends_with(b"LYRICS200") {
            let size = std::str::from_utf8(&tail[..6]).ok().and_then(|digits| digits.parse::<u64>().ok());
            end.saturating_sub(size.unwrap_or(0) + 15)
        } else if let Some((tags, start)) = apev2::in_front_of(look, end)? {
            found.extend(tags);
            start
        } else if let Some(foot) = tail.get(5..).filter(|foot| foot.starts_with(b"3DI")) {
            // The footer is a copy of the header (ID3v2.4.0-structure, 3.4).
            let start = end.saturating_sub(id3::end_of(foot).max(20));
            if look.some(start, 3)? == b"ID3" {
                found.extend(id3::frames(look, start, "id3")?);
            }
            start
        } else {
            break;
        };
        end = start;
    }
    Ok(found)
}

/// Returns whether bytes that name the buyer cannot be taken out: there are sums over Matroska's elements (RFC 8794,
/// 11.3.1), and what was not read of a file may be its sound.
fn stays(tag: &RawTag, container: Container, audio: &Range<u64>) -> bool {
    let Some(lies) = tag.personal else { return false };
    let (from, to) = (lies.offset.0, lies.offset.0.saturating_add(lies.length.0));
    match container {
        Container::Matroska => true,
        // Unused room may lie between two pieces of sound.
        Container::Mp4 => false,
        _ => tag.is_unread() && from < audio.end && to > audio.start,
    }
}

/// Lets a Matroska file pass when no tag near its ends, where nothing may lead to it, is called like one that names a buyer.
fn no_buyer(look: &mut Look<'_>) -> Result<()> {
    let len = look.len();
    let tail = len.saturating_sub(NEAR_ENDS).max(NEAR_ENDS);
    for part in [0..len.min(NEAR_ENDS), tail..len] {
        let mut at = part.start;
        while at < part.end {
            let bytes = look.some(at, PIECE.min((part.end - at) as usize))?;
            // TagName with a size of one byte (RFC 9559, 5.1.8.1.2.1).
            let found = memchr::memmem::find_iter(&bytes, b"\x45\xa3").any(|at| {
                let size = bytes.get(at + 2).map_or(0, |size| usize::from(size & 0x7f));
                let name = bytes.get(at + 3..at + 3 + size);
                name.is_some_and(|name| names_buyer(&String::from_utf8_lossy(name), ""))
            });
            if found {
                return Err(unplaced());
            }
            // A name may be cut by the end of a piece.
            at += if bytes.len() == PIECE { (PIECE - LONGEST_NAME) as u64 } else { PIECE as u64 };
        }
    }
    Ok(())
}

/// Returns what a reader takes for a tag that says nothing.
fn fill(look: &mut Look<'_>, tag: &RawTag, lies: PersonalBytes, container: Container) -> Result<Fill> {
    let plain = matches!(container, Container::Mp4 | Container::Asf | Container::Caf);
    let is = |start: &str| tag.place.starts_with(start);
    if is("vc:") || is("ape:") || is("caf:") || (is("mp4:ilst/") && tag.text().is_some()) {
        return Ok(Fill::Spaces);
    }
    // A frame of ID3: its first byte then says Latin-1, and the text is empty.
    if is("id3:") || is("oma:") || (tag.is_unread() && !plain) {
        return Ok(Fill::Stuffed(pairs(look, lies)?));
    }
    Ok(Fill::Zeros)
}

/// Counts the pairs of FF and 00, of which a reader may take the zeros out.
fn pairs(look: &mut Look<'_>, lies: PersonalBytes) -> Result<u64> {
    let (mut at, end) = (lies.offset.0, lies.offset.0 + lies.length.0);
    let (mut count, mut before) = (0, 0);
    while at < end {
        let bytes = look.exact(at, PIECE.min((end - at) as usize))?;
        for &byte in &bytes {
            count += u64::from(before == 0xff && byte == 0);
            before = byte;
        }
        at += bytes.len() as u64;
    }
    Ok(count)
}

fn within(lies: PersonalBytes, len: u64) -> PersonalBytes {
    let length = lies.length.0.min(len.saturating_sub(lies.offset.0));
    PersonalBytes { length: ByteCount(length), ..lies }
}

fn blank(lies: PersonalBytes, with: Fill) -> Blank {
    Blank { offset: lies.offset, length: lies.length, with }
}

fn unplaced() -> Error {
    let what = "only the owner may read this file: where it may name the buyer is not known";
    Error::new(Kind::NotAllowed, what)
}

/// Comments with the largest pictures (reference purchases 7.7, in base64) are smaller.
const LARGEST_COMMENTS: u64 = 64 << 20;
const MOST_TAGS: usize = 8;
/// Tags stand in front of the sound or behind it, pictures perhaps beside them.
const NEAR_ENDS: u64 = 4 << 20;
const PIECE: usize = 64 << 10;
const LONGEST_NAME: usize = 130;
