//! The gate in front of every decoder and tag reader: container, codec, protection, store marks, from bounded looks at the
//! bytes. The name of a file is never believed, but it may lock one (`SONY_NAMES`).

mod ape;
pub(in crate::media) mod apev2;
mod asf;
mod caf;
mod dsd;
pub(in crate::media) mod flac;
pub(in crate::media) mod id3;
pub(in crate::media) mod look;
mod matroska;
mod matroska_tags;
pub(in crate::media) mod mp4;
mod mp4_entry;
mod mp4_list;
pub(in crate::media) mod mpeg;
pub(in crate::media) mod ogg;
mod oma;
mod oma_drm;
pub(in crate::media) mod rare;
mod riff;
pub(in crate::media) mod vorbis;
mod wavpack;

use std::ops::Range;

use crate::error::{Error, Kind, Result};
use crate::media::raw::{RawTag, RawValue};
use crate::media::sniff::look::{Look, be};
use crate::media::sound::Sound;
use crate::track::{AudioFormat, Codec, Container, PersonalBytes, Protection, Purchase, Tags};
use crate::units::{ByteCount, Frames};

/// What a file is.
#[derive(Debug, Clone, PartialEq)]
pub struct Sniffed {
    /// Container, codec, rate, channels, bits, length.
    pub format: AudioFormat,
    /// Whether it is locked, and how.
    pub protection: Protection,
    /// The bytes of the audio payload, as far as known; tags lie outside.
    pub audio: Range<u64>,
    /// What boxes alone prove of a buy (iTunes `pinf` and `sinf`).
    pub purchase: Option<Purchase>,
    /// Where the buyer's bytes lie.
    pub personal: Vec<PersonalBytes>,
    /// The AAC configuration, when there is one.
    pub aac: Option<AacConfig>,
    /// What encoders added at both ends (MP4 only).
    pub gapless: Option<Gapless>,
    /// Tags as they lie in the file.
    pub raw: Vec<RawTag>,
}

/// ISO/IEC 14496-3, AudioSpecificConfig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AacConfig {
    /// 2 is low complexity.
    pub object_type: u8,
    /// Spectral band replication: HE-AAC.
    pub sbr: bool,
}

/// Frames that encoders added, at the output rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gapless {
    /// In front.
    pub delay: u32,
    /// Behind.
    pub padding: u32,
    /// What remains between the two, when stated.
    pub frames: Option<Frames>,
}

impl Sniffed {
    /// Lets plain files pass.
    ///
    /// # Errors
    /// `Unsupported` with the lock's name: no decoder and no tag reader may see this file.
    pub fn gate(&self) -> Result<()> {
        if self.protection.is_locked() {
            return Err(Error::new(Kind::Unsupported, self.protection.headline()));
        }
        Ok(())
    }

    fn new(container: Container, codec: Codec, audio: Range<u64>) -> Sniffed {
        Sniffed {
            format: AudioFormat { container, codec, rate: None, channels: None, bits: None, frames: None },
            protection: Protection::None,
            audio,
            purchase: None,
            personal: Vec::new(),
            aac: None,
            gapless: None,
            raw: Vec::new(),
        }
    }

    /// Collects where the raw tags name the buyer.
    fn gather_personal(&mut self) {
        let read = self.raw.iter().filter(|tag| !tag.is_unread());
        self.personal.extend(read.filter_map(|tag| tag.personal));
        self.personal.sort_by_key(|bytes| (bytes.offset, bytes.length));
        self.personal.dedup();
    }
}

/// Says what a sound is. It may be left at any position.
///
/// # Errors
/// `Damaged` for an empty, truncated or broken file, `Unsupported` for what is not music, both in words for a person; and
/// those of reading.
/// # Blocks
/// As long as a few looks at the disk take.
pub fn sniff(sound: &mut Sound) -> Result<Sniffed> {
    let mut look = Look::new(sound);
    let head = look.some(0, HEAD)?;
    if head.is_empty() {
        return Err(Error::new(Kind::Damaged, "the file is empty"));
    }
    if head.iter().all(|&byte| byte == 0) {
        return Err(Error::new(Kind::Damaged, "the file holds nothing but zeros"));
    }
    let mut sniffed = by_magic(&mut look, &head)?;
    sniffed.gather_personal();
    Ok(sniffed)
}

fn by_magic(look: &mut Look<'_>, head: &[u8]) -> Result<Sniffed> {
    let whole = 0..look.len();
    let locked = |container, protection| {
        Ok(Sniffed { protection, ..Sniffed::new(container, Codec::Other, whole.clone()) })
    };
    // Sony's files first: what looks like an MP3 inside them may be scrambled (reference purchases 2.4).
    if head.starts_with(b"ea3") || head.starts_with(b"EA3") {
        return oma::sniff(look, head);
    }
    if head.len() >= 12 && &head[4..8] == b"ftyp" {
        return mp4::sniff(look);
    }
    match head {
        _ if head.starts_with(b"fLaC") => flac::sniff(look, 0, Vec::new()),
        _ if head.starts_with(b"OggS") => ogg::sniff(look),
        _ if matches!(head.get(..4), Some(b"RIFF" | b"RF64")) && head.get(8..12) == Some(b"WAVE") => {
            riff::wav(look)
        }
        _ if head.starts_with(b"FORM") && matches!(head.get(8..12), Some(b"AIFF" | b"AIFC")) => {
            riff::aiff(look)
        }
        _ if head.starts_with(&asf::HEADER) => asf::sniff(look),
        _ if head.starts_with(b"wvpk") => wavpack::sniff(look, 0, Vec::new()),
        _ if head.starts_with(b"MAC ") => ape::sniff(look, 0, Vec::new()),
        _ if head.starts_with(b"DSD ") => dsd::dsf(look),
        _ if head.starts_with(b"FRM8") && head.get(12..16) == Some(b"DSD ") => dsd::dff(look),
        _ if head.starts_with(b"caff") => caf::sniff(look),
        _ if head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) => matroska::sniff(look),
        // reference purchases 2.2: Audible's .aa.
        _ if head.get(4..8) == Some(&[0x57, 0x90, 0x75, 0x36]) => {
            locked(Container::Audible, Protection::Audible)
        }
        _ if head.starts_with(b"ID3") => behind_id3(look, head),
        _ if head.get(4..8) == Some(b"moov") || head.get(4..8) == Some(b"mdat") => mp4::sniff(look),
        _ => by_few_signs(look, head),
    }
}

/// What has no magic of its own, or one of few letters.
fn by_few_signs(look: &mut Look<'_>, head: &[u8]) -> Result<Sniffed> {
    let whole = 0..look.len();
    if let Some(raw) = oma_drm::drm_1(head) {
        let protection = Protection::OmaDrm1;
        return Ok(Sniffed { protection, raw, ..Sniffed::new(Container::OmaDrm, Codec::Other, whole) });
    }
    if let Some(sniffed) = rare::sniff(look, 0, head, &mut Vec::new())? {
        return Ok(sniffed);
    }
    // Containers of OpenMG Jukebox, Memory Stick and Hi-MD: always locked, and no reader of them is public. Their sound may
    // look like MPEG by chance (reference purchases 2.4).
    if look.extension().is_some_and(|name| SONY_NAMES.iter().any(|sony| name.eq_ignore_ascii_case(sony))) {
        let protection = Protection::OpenMg { word: 0 };
        return Ok(Sniffed { protection, ..Sniffed::new(Container::Oma, Codec::Other, whole) });
    }
    mpeg::sniff(look, 0, Vec::new()).map_err(|error| not_music(head, error))
}

/// What follows the ID3v2 tags says what the file is.
fn behind_id3(look: &mut Look<'_>, head: &[u8]) -> Result<Sniffed> {
    let (mut end, mut raw, mut next) = (0, Vec::new(), head.to_vec());
    // Some programs put a new tag in front of the old one.
    for _ in 0..MOST_TAGS {
        if !next.starts_with(b"ID3") {
            break;
        }
        let behind = end + id3::end_of(&next);
        if behind >= look.len() {
            return Err(Error::new(Kind::Damaged, "the file breaks off inside its tag"));
        }
        raw.extend(id3::frames(look, end, "id3")?);
        end = behind;
        next = look.some(end, 16)?;
    }
    if next.starts_with(b"ID3") {
        raw.push(RawTag::unread(stretch(end, end.saturating_add(id3::end_of(&next)).min(look.len()))));
    }
    match next.get(..4) {
        Some(b"fLaC") => return flac::sniff(look, end, raw),
        Some(b"wvpk") => return wavpack::sniff(look, end, raw),
        Some(b"MAC ") => return ape::sniff(look, end, raw),
        _ => {}
    }
    if let Some(sniffed) = rare::sniff(look, end, &next, &mut raw)? {
        return Ok(sniffed);
    }
    if next.starts_with(b"ea3") || next.starts_with(b"EA3") {
        return Ok(Sniffed {
            protection: Protection::OpenMg { word: 0 },
            ..Sniffed::new(Container::Oma, Codec::Other, end..look.len())
        });
    }
    mpeg::sniff(look, end, raw)
}

/// Bytes from a place up to another.
fn stretch(from: u64, to: u64) -> PersonalBytes {
    PersonalBytes { offset: ByteCount(from), length: ByteCount(to.saturating_sub(from)) }
}

/// Names what is not music by how it looks.
fn not_music(head: &[u8], otherwise: Error) -> Error {
    let looks = match head {
        _ if head.starts_with(b"\x89PNG")
            || head.starts_with(b"\xff\xd8\xff")
            || head.starts_with(b"GIF8") =>
        {
            "a picture"
        }
        _ if head.starts_with(b"PK\x03\x04") => "a ZIP archive",
        _ if head.starts_with(b"%PDF") => "a PDF document",
        _ if starts_with_tag(head) => "a web page",
        _ if is_text(head) => "text",
        _ => return otherwise,
    };
    Error::new(Kind::Unsupported, format!("this is not music: it looks like {looks}"))
}

fn starts_with_tag(head: &[u8]) -> bool {
    let start = head.trim_ascii_start();
    let start = start.get(..start.len().min(9)).unwrap_or(start).to_ascii_lowercase();
    start.starts_with(b"<!doctype") || start.starts_with(b"<html")
}

fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // A letter cut at the end of the look is text all the same.
        Err(error) if error.valid_up_to() + 4 > head.len() => {
            std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t' | '\u{c}'))
}

/// Returns what the tags of a locked file say, read here because no tag reader may see it.
pub fn tags_of_locked(sniffed: &Sniffed) -> Tags {
    let text = |places: &[&str]| {
        let found =
            places.iter().find_map(|place| sniffed.raw.iter().find(|tag| tag.place == *place)?.text());
        found.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let pair = |place: &str| match sniffed.raw.iter().find(|tag| tag.place == place).map(|tag| &tag.value) {
        // 2 reserved bytes, number, count (QuickTime metadata, `trkn` and `disk`).
        Some(RawValue::Bytes(bytes)) => (some(be(bytes, 2, 2)), some(be(bytes, 4, 2))),
        _ => (None, None),
    };
    let (track, tracks) = pair("mp4:ilst/trkn");
    let (disc, discs) = pair("mp4:ilst/disk");
    let artist = text(&["mp4:ilst/©ART", "mp4:udta/perf", "oma:TPE1", "asf:Author"]);
    Tags {
        title: text(&["mp4:ilst/©nam", "mp4:udta/titl", "oma:TIT2", "asf:Title", "oma-drm:Content-Name"]),
        artists: artist.iter().cloned().collect(),
        artist,
        album: text(&["mp4:ilst/©alb", "mp4:udta/albm", "oma:TALB", "asf:WM/AlbumTitle"]),
        album_artist: text(&["mp4:ilst/aART", "oma:OMG_ATPE1", "asf:WM/AlbumArtist"]),
        track: track.or(text(&["oma:OMG_TRACK", "asf:WM/TrackNumber"]).and_then(|n| n.parse().ok())),
        tracks,
        disc,
        discs,
        date: text(&["mp4:ilst/©day", "oma:TYER", "asf:WM/Year"]).map(|d| d.chars().take(10).collect()),
        genres: text(&["mp4:ilst/©gen", "oma:TCON", "asf:WM/Genre"]).into_iter().collect(),
        title_sort: text(&["mp4:ilst/sonm", "oma:OMG_TIT2S"]),
        artist_sort: text(&["mp4:ilst/soar", "oma:OMG_TPE1S"]),
        album_sort: text(&["mp4:ilst/soal", "oma:OMG_ALBMS"]),
        album_artist_sort: text(&["mp4:ilst/soaa", "oma:OMG_ATP1S"]),
        isrc: crate::media::purchase::isrc_of(&sniffed.raw),
        has_picture: sniffed.raw.iter().any(|tag| PICTURES.contains(&tag.place.as_str())),
        ..Tags::default()
    }
}

fn some(number: u64) -> Option<u32> {
    u32::try_from(number).ok().filter(|&n| n > 0)
}

/// Where locked files carry a picture (reference purchases 2.4).
const PICTURES: [&str; 3] = ["mp4:ilst/covr", "oma:GEOB/OMG_TDFCA", "oma:GEOB/OMG_FENCA1"];
/// What the first look reads: enough for every magic, and to tell text from noise.
const HEAD: usize = 512;
const SONY_NAMES: [&str; 3] = ["omg", "msa", "hma"];
/// More tags in a row are no accident of programs.
const MOST_TAGS: usize = 4;

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod tests;
