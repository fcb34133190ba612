//! ID3v2 tags at places where lofty does not look: in `ID32` boxes of MP4, behind the sound of DSF and DFF, and Sony's `ea3`,
//! which is ID3v2.3 under another name (reference purchases 1.3, 2.4). Pictures and other large frames are left out before
//! lofty sees it.

use std::io::Cursor;

use lofty::config::ParseOptions;
use lofty::file::AudioFile;
use lofty::mpeg::MpegFile;

use crate::media::sound::Sound;
use crate::media::tags::fields::Fields;
use crate::media::tags::id3v2;
use crate::media::tags::look::{be, bytes};

/// Returns what the tag at `at` says, of which `room` bytes may be read; `None` when there is none.
pub(super) fn read(sound: &mut Sound, at: u64, room: u64) -> Option<Fields> {
    let tag = small(sound, at, room)?;
    let file = MpegFile::read_from(&mut Cursor::new(tag), ParseOptions::new().read_properties(false)).ok()?;
    file.id3v2().map(id3v2)
}

/// Returns what the `ea3` tag of an OpenMG file says.
pub(super) fn of_oma(sound: &mut Sound, len: u64) -> Option<Fields> {
    let mut fields = read(sound, 0, len)?;
    for (from, to) in OMG_NAMES {
        fields.give(from, to);
    }
    Some(fields)
}

/// Returns the tag with its small frames only, as one of ID3v2 with nothing behind it.
fn small(sound: &mut Sound, at: u64, room: u64) -> Option<Vec<u8>> {
    let head = bytes(sound, at, 10).filter(|_| room >= 10)?;
    if !head.starts_with(b"ID3") && !head.starts_with(b"ea3") || !(2..=4).contains(&head[3]) {
        return None;
    }
    let (version, flags) = (head[3], head[5]);
    let size = synchsafe(&head[6..10]).min(room - 10);
    let mut body = Vec::new();
    // An unsynchronised tag and one with an extended header have frames where only their reader knows; those of ID3v2.2 have
    // another form.
    if flags & 0xc0 != 0 || version == 2 {
        body = bytes(sound, at + 10, size)?;
    } else {
        let (mut from, end) = (at + 10, at + 10 + size);
        for _ in 0..MOST_FRAMES {
            let Some(frame) = bytes(sound, from, 10).filter(|_| from + 10 < end) else { break };
            let length = if version == 4 { synchsafe(&frame[4..8]) } else { be(&frame, 4, 4) };
            if !frame[..4].iter().all(u8::is_ascii_alphanumeric) || from + 10 + length > end {
                break;
            }
            if length <= LARGEST && !matches!(&frame[..4], b"APIC" | b"GEOB") && body.len() < MOST_BYTES {
                body.extend_from_slice(&frame);
                body.extend(bytes(sound, from + 10, length)?);
            }
            from += 10 + length;
        }
    }
    let size = body.len();
    let safe = [21, 14, 7, 0].map(|shift| (size >> shift) as u8 & 0x7f);
    let flags = flags & 0xc0;
    Some([&b"ID3"[..], &[version, 0, flags], &safe, &body, &[0; BEHIND]].concat())
}

fn synchsafe(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |size, &byte| size << 7 | u64::from(byte & 0x7f))
}

/// What SonicStage and its sisters write in TXXX.
const OMG_NAMES: [(&str, &str); 8] = [
    ("OMG_TRACK", "TRACKNUMBER"),
    ("OMG_TRLDA", "DATE"),
    ("OMG_ATPE1", "ALBUMARTIST"),
    ("OMG_AGENR", "GENRE"),
    ("OMG_TIT2S", "TITLESORT"),
    ("OMG_TPE1S", "ARTISTSORT"),
    ("OMG_ALBMS", "ALBUMSORT"),
    ("OMG_ATP1S", "ALBUMARTISTSORT"),
];

/// Frames of a tag.
const MOST_FRAMES: usize = 512;
/// A frame with words.
const LARGEST: u64 = 64 << 10;
/// Bytes of all frames that are kept.
const MOST_BYTES: usize = 1 << 20;
/// Zeros in which lofty looks for tags at the end of a file.
const BEHIND: usize = 512;
