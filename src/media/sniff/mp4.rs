//! The MP4 family (ISO/IEC 14496-12): the walk through boxes. Sample entries are read by `mp4_entry`.

use std::mem;

use crate::error::{Error, Kind, Result};
use crate::media::raw::{RawTag, RawValue};
use crate::media::sniff::look::{Look, be};
use crate::media::sniff::mp4_entry::{self, Entry};
use crate::media::sniff::{Gapless, Sniffed};
use crate::track::{Codec, Container, PersonalBytes, Protection};
use crate::units::{ByteCount, Frames, SampleRate};

/// A box: its name, and where its payload lies.
#[derive(Debug, Clone)]
pub struct Block {
    /// Four characters.
    pub name: [u8; 4],
    /// First byte of the payload.
    pub at: u64,
    /// Behind the payload.
    pub end: u64,
}

/// What one track says: its sound, time scale and duration, edit.
#[derive(Default)]
struct Track {
    entry: Option<Entry>,
    media: (u64, u64),
    edit: Option<(i64, u64)>,
}

impl Track {
    /// Keeps the first sound track; a lock on any other track locks the file too.
    fn joined(mut self, next: Track) -> Track {
        match (&mut self.entry, next.entry) {
            (Some(first), Some(other)) => {
                first.join(other);
                self
            }
            (Some(_), None) => self,
            (None, entry) => Track { entry, ..next },
        }
    }
}

/// What the walk gathers.
#[derive(Default)]
struct Walk {
    boxes: usize,
    brands: Vec<[u8; 4]>,
    track: Track,
    movie_scale: u64,
    systems: Vec<String>,
    copy_guard: bool,
    oma_drm: Option<String>,
    fragmented: bool,
    mdat: Option<(u64, u64)>,
    moov: bool,
    raw: Vec<RawTag>,
}

/// Says what an MP4 file is.
///
/// # Errors
/// `Damaged` when a box lies beyond the end, `Unsupported` when there is no sound track.
pub fn sniff(look: &mut Look<'_>) -> Result<Sniffed> {
    let mut walk = Walk::default();
    let mut at = 0;
    while let Some(block) = next_box(look, at, look.len(), &mut walk.boxes)? {
        match &block.name {
            b"ftyp" => walk.brands = brands(&look.some(block.at, (block.end - block.at).min(256) as usize)?),
            b"moov" | b"moof" => {
                walk.moov |= &block.name == b"moov";
                walk.children(look, &block, 1)?;
            }
            // What lies behind it is out of reach, and the sound means nothing without.
            b"mdat" if !walk.moov && look.is_endless() => {
                return Err(Error::new(Kind::Unsupported, INDEX_BEHIND));
            }
            b"mdat" if block.end > block.at => {
                let first = walk.mdat.map_or(block.at, |(first, _)| first);
                walk.mdat = Some((first, block.end));
            }
            b"odrm" => walk.oma_drm = Some(rights_issuer(look, &block, &mut walk.boxes)?),
            b"uuid" => walk.uuid(look, &block)?,
            _ => {}
        }
        at = block.end;
    }
    walk.conclude(look.len())
}

/// Returns the box at `at`, or `None` at `end`.
///
/// # Errors
/// `Damaged` when it lies beyond the end, or there are more boxes than any real file has.
pub fn next_box(look: &mut Look<'_>, at: u64, end: u64, count: &mut usize) -> Result<Option<Block>> {
    // Less than a head behind the last box is padding.
    if at.saturating_add(8) > end {
        return Ok(None);
    }
    *count += 1;
    if *count > MOST_BOXES {
        return Err(Error::new(Kind::Damaged, "the MP4 file has more boxes than any real one"));
    }
    let head = look.exact(at, 8)?;
    let name = [head[4], head[5], head[6], head[7]];
    let (size, head_size) = match be(&head, 0, 4) {
        0 => (end - at, 8),
        1 => (be(&look.exact(at + 8, 8)?, 0, 8), 16),
        size => (size, 8),
    };
    let stop = at.saturating_add(size);
    if size < head_size || stop > end {
        let printable = name.iter().all(|b| b.is_ascii_graphic() || *b == b' ' || *b == 0xa9);
        let what = if printable { String::from_utf8_lossy(&name).into_owned() } else { "a box".into() };
        return Err(Error::new(Kind::Damaged, format!("the MP4 file breaks off inside {what}")));
    }
    Ok(Some(Block { name, at: at + head_size, end: stop }))
}

impl Walk {
    fn children(&mut self, look: &mut Look<'_>, parent: &Block, depth: usize) -> Result<()> {
        if depth > DEEPEST {
            return Ok(());
        }
        let mut at = parent.at;
        while let Some(block) = next_box(look, at, parent.end, &mut self.boxes)? {
            self.visit(look, &block, depth)?;
            at = block.end;
        }
        Ok(())
    }

    fn visit(&mut self, look: &mut Look<'_>, block: &Block, depth: usize) -> Result<()> {
        match &block.name {
            b"trak" => {
                let before = mem::take(&mut self.track);
                self.children(look, block, depth + 1)?;
                self.track = before.joined(mem::take(&mut self.track));
            }
            b"mdia" | b"minf" | b"stbl" | b"edts" | b"udta" | b"traf" => {
                self.children(look, block, depth + 1)?
            }
            b"mvex" => self.fragmented = true,
            // A full box: four bytes before its children; QuickTime leaves them out.
            b"meta" => {
                let full = look.some(block.at, 8)?.get(4..8) != Some(b"hdlr");
                let at = block.at + if full { 4 } else { 0 };
                self.children(look, &Block { at, ..block.clone() }, depth + 1)?;
            }
            b"ilst" => self.list(look, block)?,
            b"mvhd" => self.movie_scale = scale(look, block)?.0,
            b"mdhd" => self.track.media = scale(look, block)?,
            b"stsd" => self.track.entry = mp4_entry::of(look, block, &mut self.boxes)?,
            b"elst" => self.track.edit = edit(look, block)?,
            b"pssh" => {
                let id = look.some(block.at + 4, 16)?;
                self.systems.push(mp4_entry::system_name(&id));
            }
            b"uuid" => self.uuid(look, block)?,
            _ => {}
        }
        Ok(())
    }

    /// au/KDDI's mark (reference purchases 2.1).
    fn uuid(&mut self, look: &mut Look<'_>, block: &Block) -> Result<()> {
        self.copy_guard |= look.some(block.at, 16)? == CPGD;
        Ok(())
    }

    /// `ilst`: each child is a name with `data` inside (QuickTime metadata as Apple writes it).
    fn list(&mut self, look: &mut Look<'_>, list: &Block) -> Result<()> {
        let mut at = list.at;
        while let Some(item) = next_box(look, at, list.end, &mut self.boxes)? {
            let mut name: String = item.name.iter().map(|&b| char::from(b)).collect();
            let mut inner = item.at;
            while let Some(part) = next_box(look, inner, item.end, &mut self.boxes)? {
                let size = (part.end - part.at) as usize;
                match &part.name {
                    b"name" if size <= 256 => {
                        name =
                            String::from_utf8_lossy(&look.exact(part.at, size)?[4.min(size)..]).into_owned();
                    }
                    b"data" if name == "covr" => {
                        self.raw.push(RawTag::new("mp4:ilst/covr", RawValue::Bytes(Vec::new())));
                    }
                    b"data" if (8..=LARGEST_VALUE).contains(&size) => {
                        let data = look.exact(part.at, size)?;
                        self.raw.push(value(&name, &data, part.at));
                    }
                    _ => {}
                }
                inner = part.end;
            }
            at = item.end;
        }
        Ok(())
    }

    fn conclude(mut self, len: u64) -> Result<Sniffed> {
        if let Some(rights_issuer) = self.oma_drm {
            let whole = Sniffed::new(Container::OmaDrm, Codec::Other, 0..len);
            return Ok(Sniffed { protection: Protection::OmaDrm2 { rights_issuer }, ..whole });
        }
        let has = |brand: &[u8; 4]| self.brands.contains(brand);
        if has(b"aax ") || has(b"aaxc") {
            let whole = Sniffed::new(Container::Audible, Codec::Other, 0..len);
            return Ok(Sniffed { protection: Protection::Audible, ..whole });
        }
        if !self.moov {
            return Err(Error::new(
                Kind::Damaged,
                "the MP4 file breaks off: its table of contents is missing",
            ));
        }
        let Track { entry, media, edit } = self.track;
        let entry = entry.ok_or_else(|| Error::new(Kind::Unsupported, "this MP4 file holds no sound"))?;
        let (first, end) = self.mdat.unwrap_or((0, len));
        let mut sniffed = Sniffed::new(Container::Mp4, entry.codec, first..end);
        let (media_scale, media_length) = media;
        sniffed.format.rate = entry.rate;
        sniffed.format.channels = entry.channels;
        sniffed.format.bits = entry.bits;
        sniffed.aac = entry.aac;
        sniffed.raw = self.raw;
        sniffed.raw.extend(entry.raw);
        sniffed.purchase = entry.purchase;
        sniffed.protection = entry.protection;
        if let Protection::Cenc { systems, .. } = &mut sniffed.protection {
            self.systems.sort();
            self.systems.dedup();
            systems.append(&mut self.systems);
        }
        let kddi = self.brands.iter().any(|brand| brand.eq_ignore_ascii_case(b"kddi"));
        if sniffed.protection == Protection::None && (self.copy_guard || kddi) {
            sniffed.protection = Protection::CarrierCopyGuard;
        }
        hidden_band(&mut sniffed, media);
        let rate = u64::from(sniffed.format.rate.map_or(0, |rate| rate.hz()));
        let in_frames = |time: u64, scale: u64| {
            (scale > 0).then(|| (u128::from(time) * u128::from(rate) / u128::from(scale)) as u64)
        };
        let media = in_frames(media_length, media_scale).filter(|&frames| frames > 0);
        let told = smpb(&sniffed.raw).map(|told| at_full_rate(told, sniffed.format.codec, media));
        sniffed.gapless = told.or_else(|| {
            let (start, length) = edit?;
            let delay = u32::try_from(in_frames(u64::try_from(start).ok()?, media_scale)?).ok()?;
            let frames = in_frames(length, self.movie_scale).filter(|&f| f > 0)?;
            // Its time is rounded, often to milliseconds: it may not reach beyond the sound.
            let frames = frames.min(media?.saturating_sub(u64::from(delay)));
            let padding = media?.saturating_sub(u64::from(delay)).saturating_sub(frames);
            Some(Gapless { delay, padding: u32::try_from(padding).ok()?, frames: Some(Frames(frames)) })
        });
        let lossless = sniffed.format.codec == Codec::Alac;
        if lossless {
            sniffed.gapless = None;
        }
        let stated = sniffed.gapless.and_then(|gapless| gapless.frames);
        sniffed.format.frames = stated.or(media.map(Frames)).filter(|_| !self.fragmented);
        Ok(sniffed)
    }
}

/// A value of `ilst`: type, locale, bytes.
fn value(name: &str, data: &[u8], at: u64) -> RawTag {
    let (kind, bytes) = (be(data, 0, 4), &data[8..]);
    let place = format!("mp4:ilst/{name}");
    let number = || {
        let shift = 64 - 8 * bytes.len().min(8) as u32;
        RawValue::Number((be(bytes, 0, bytes.len()) << shift) as i64 >> shift)
    };
    let numeric = NUMBERS.contains(&name) && (1..=8).contains(&bytes.len());
    let value = match kind {
        1 => RawValue::Text(String::from_utf8_lossy(bytes).into_owned()),
        // Stores write their numbers as type 21 or 0 (reference purchases 1.1).
        // They are ids up to 32 and 64 bits: no sign.
        21 | 0 if numeric => RawValue::Number(be(bytes, 0, bytes.len()) as i64),
        21 if (1..=8).contains(&bytes.len()) => number(),
        _ => RawValue::Bytes(bytes.to_vec()),
    };
    let personal = matches!(name, "apID" | "ownr")
        .then_some(PersonalBytes { offset: ByteCount(at + 8), length: ByteCount(bytes.len() as u64) });
    RawTag { personal, ..RawTag::new(place, value) }
}

/// iTunes' own numbers: ` 00000000 DDDDDDDD PPPPPPPP SSSSSSSSSSSSSSSS …` in hex (reference purchases 7.6).
fn smpb(raw: &[RawTag]) -> Option<Gapless> {
    let text = raw.iter().find(|tag| tag.place == "mp4:ilst/iTunSMPB")?.text()?;
    let mut fields = text.split_whitespace().skip(1).map(|field| u64::from_str_radix(field, 16));
    let (delay, padding, frames) = (fields.next()?.ok()?, fields.next()?.ok()?, fields.next()?.ok()?);
    // Believed when the sum is whole AAC frames; taggers copy these lines into other files.
    let whole = delay.checked_add(padding)?.checked_add(frames)? % 1024 == 0 && frames > 0;
    let (delay, padding) = (u32::try_from(delay).ok()?, u32::try_from(padding).ok()?);
    whole.then_some(Gapless { delay, padding, frames: Some(Frames(frames)) })
}

/// Spectral band replication may go unannounced (ISO/IEC 14496-3, 1.6.5.3); a clock, or numbers of iTunes, that count twice
/// the core's frames tell of it all the same.
fn hidden_band(sniffed: &mut Sniffed, (scale, length): (u64, u64)) {
    let format = &mut sniffed.format;
    let Some(rate) = format.rate.filter(|rate| format.codec == Codec::AacLc && rate.hz() <= 24_000) else {
        return;
    };
    let full = u64::from(rate.hz()) * 2;
    let core = u128::from(length) * u128::from(rate.hz()) / u128::from(scale.max(1));
    let counted = smpb(&sniffed.raw).map(|told| sum(&told));
    if scale == full || counted.is_some_and(|sum| u128::from(sum).abs_diff(core * 2) <= 2048) {
        format.codec = Codec::HeAac;
        format.rate = SampleRate::new(rate.hz() * 2);
    }
}

fn sum(told: &Gapless) -> u64 {
    told.frames.map_or(0, |frames| frames.0).saturating_add(u64::from(told.delay) + u64::from(told.padding))
}

/// HE-AAC has twice the frames of its core, and some tools count those of the core.
fn at_full_rate(told: Gapless, codec: Codec, media: Option<u64>) -> Gapless {
    let frames = told.frames.map_or(0, |frames| frames.0);
    let sum = frames.saturating_add(u64::from(told.delay) + u64::from(told.padding));
    // The last packet may be short.
    let half =
        codec == Codec::HeAac && media.is_some_and(|media| media.abs_diff(sum.saturating_mul(2)) <= 2048);
    if !half {
        return told;
    }
    let twice = |number: u32| number.saturating_mul(2);
    let frames = told.frames.map(|frames| Frames(frames.0.saturating_mul(2)));
    Gapless { delay: twice(told.delay), padding: twice(told.padding), frames }
}

fn brands(ftyp: &[u8]) -> Vec<[u8; 4]> {
    let brand = |b: &[u8]| [b[0], b[1], b[2], b[3]];
    let compatible = ftyp.get(8..).unwrap_or_default().chunks_exact(4).map(brand);
    ftyp.get(..4).map(brand).into_iter().chain(compatible).collect()
}

/// `mvhd` and `mdhd`: time scale and duration, 32 or 64 bits by version.
fn scale(look: &mut Look<'_>, block: &Block) -> Result<(u64, u64)> {
    let bytes = look.some(block.at, 32)?;
    Ok(if bytes.first() == Some(&1) {
        (be(&bytes, 20, 4), be(&bytes, 24, 8))
    } else {
        let duration = be(&bytes, 16, 4);
        (be(&bytes, 12, 4), if duration == 0xffff_ffff { 0 } else { duration })
    })
}

/// The one edit that is no empty one: media time and segment duration; several edits mean nothing simple.
fn edit(look: &mut Look<'_>, block: &Block) -> Result<Option<(i64, u64)>> {
    let bytes = look.some(block.at, 8 + 20 * 4)?;
    let long = bytes.first() == Some(&1);
    let entry = if long { 20 } else { 12 };
    let count = be(&bytes, 4, 4).min(4) as usize;
    let edits = (0..count).map(|i| {
        let at = 8 + i * entry;
        if long {
            (be(&bytes, at + 8, 8) as i64, be(&bytes, at, 8))
        } else {
            (i64::from(be(&bytes, at + 4, 4) as u32 as i32), be(&bytes, at, 4))
        }
    });
    let real: Vec<(i64, u64)> = edits.filter(|&(start, _)| start >= 0).collect();
    Ok(if let [one] = real[..] { Some(one) } else { None })
}

/// `odrm/odhe/ohdr`: method, padding, plain length, three lengths, then content id and the rights issuer (OMA DRM 2 DCF).
fn rights_issuer(look: &mut Look<'_>, odrm: &Block, boxes: &mut usize) -> Result<String> {
    let bytes = look.some(odrm.at, ((odrm.end - odrm.at) as usize).min(4096))?;
    *boxes += 1;
    let Some(at) = bytes.windows(4).position(|w| w == b"ohdr") else { return Ok(String::new()) };
    let body = at + 4 + 4;
    let (id, url) = (be(&bytes, body + 10, 2) as usize, be(&bytes, body + 12, 2) as usize);
    let start = body + 16 + id;
    Ok(String::from_utf8_lossy(bytes.get(start..start + url).unwrap_or_default()).into_owned())
}

/// 63706764-A88C-11D4-8197-009027087703.
const CPGD: [u8; 16] =
    [0x63, 0x70, 0x67, 0x64, 0xa8, 0x8c, 0x11, 0xd4, 0x81, 0x97, 0x00, 0x90, 0x27, 0x08, 0x77, 0x03];
/// Atoms that hold numbers whatever type they state.
const NUMBERS: [&str; 9] = ["sfID", "cnID", "plID", "atID", "geID", "cmID", "akID", "stik", "rtng"];
const MOST_BOXES: usize = 4096;
const DEEPEST: usize = 16;
const LARGEST_VALUE: usize = 64 << 10;
const INDEX_BEHIND: &str =
    "the index of this MP4 file stands behind its sound, and its server does not give parts of a file";
