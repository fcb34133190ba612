//! The MP4 family (ISO/IEC 14496-12): the walk through boxes. Sample entries are read by `mp4_entry`, lists of
//! tags by `mp4_list`.

use std::mem;

use crate::error::{Error, Kind, Result};
use crate::media::raw::{RawTag, RawValue};
use crate::media::sniff::look::{Look, be};
use crate::media::sniff::mp4_entry::{self, Entry};
use crate::media::sniff::{Gapless, Sniffed, id3, mp4_list, oma_drm};
use crate::track::{Codec, Container, Protection};
use crate::units::{Frames, SampleRate};

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
    /// Its handler says that it is sound.
    sound: bool,
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
    /// Address of the rights issuer, of OMA DRM 2.
    oma_drm: Option<String>,
    fragmented: bool,
    mdat: Option<(u64, u64)>,
    moov: bool,
    /// Names of the list's numbered items.
    keys: Vec<String>,
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
            b"odrm" => walk.odrm(look, &block)?,
            b"uuid" | b"meta" | b"udta" | b"free" | b"skip" => walk.visit(look, &block, 1)?,
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
            self.raw.push(mp4_list::unused(parent));
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
                // Those of another list.
                self.keys.clear();
                self.children(look, &Block { at, ..block.clone() }, depth + 1)?;
            }
            b"keys" => self.keys = mp4_list::keys(look, block)?,
            b"ilst" => mp4_list::items(look, block, &self.keys, &mut self.boxes, &mut self.raw)?,
            b"free" | b"skip" => self.raw.push(mp4_list::unused(block)),
            // A version, flags and a language in front of the tag (ID3v2 in ISO base media, MP4 registration authority).
            b"ID32" => {
                self.raw.push(RawTag::new("mp4:ID32", RawValue::Bytes(Vec::new())));
                if look.some(block.at + 6, 10)?.starts_with(b"ID3") {
                    self.raw.extend(id3::frames(look, block.at + 6, "id3")?);
                }
            }
            b"titl" | b"perf" | b"auth" | b"albm" | b"gnre" | b"yrrc" | b"cprt" | b"dscp" => {
                self.raw.extend(mp4_list::of_phone(look, block)?);
            }
            b"hdlr" => self.track.sound |= look.some(block.at + 8, 4)? == b"soun",
            b"mvhd" => self.movie_scale = scale(look, block)?.0,
            b"mdhd" => self.track.media = scale(look, block)?,
            b"stsd" => {
                self.track.entry = mp4_entry::of(look, block, &mut self.boxes)?;
                if self.track.entry.is_none() && self.track.sound {
                    self.track.entry = mp4_entry::unknown(look, block)?;
                }
            }
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

    /// `odrm` is a full box; its `odhe` is one too, with a MIME type in front of `ohdr` (OMA DRM Content Format 2.0, 5).
    fn odrm(&mut self, look: &mut Look<'_>, odrm: &Block) -> Result<()> {
        let full = look.some(odrm.at, 8)?.get(4..8) != Some(b"odhe");
        let at = odrm.at + if full { 4 } else { 0 };
        let mut issuer = String::new();
        if let Some(odhe) = next_box(look, at, odrm.end, &mut self.boxes)?.filter(|b| &b.name == b"odhe") {
            let mime = be(&look.some(odhe.at + 4, 1)?, 0, 1);
            let mut at = odhe.at + 5 + mime;
            while let Some(block) = next_box(look, at, odhe.end, &mut self.boxes)? {
                if &block.name == b"ohdr" {
                    let size = (block.end - block.at).min(LARGEST_VALUE as u64) as usize;
                    let (address, raw) = oma_drm::ohdr(&look.some(block.at, size)?);
                    issuer = address;
                    self.raw.extend(raw);
                }
                at = block.end;
            }
        }
        self.oma_drm = Some(issuer);
        Ok(())
    }

    /// Returns what a container is that has a form of its own around the sound: OMA DRM 2 and Audible.
    fn sealed(&mut self, len: u64) -> Option<Sniffed> {
        let has = |brand: &[u8; 4]| self.brands.contains(brand);
        // A DCF without its head is one all the same.
        if self.oma_drm.is_some() || has(b"odcf") {
            let protection = Protection::OmaDrm2 { rights_issuer: self.oma_drm.take().unwrap_or_default() };
            let whole = Sniffed::new(Container::OmaDrm, Codec::Other, 0..len);
            return Some(Sniffed { protection, raw: mem::take(&mut self.raw), ..whole });
        }
        let audible = has(b"aax ") || has(b"aaxc");
        let whole = Sniffed::new(Container::Audible, Codec::Other, 0..len);
        audible.then_some(Sniffed { protection: Protection::Audible, ..whole })
    }

    fn conclude(mut self, len: u64) -> Result<Sniffed> {
        if let Some(sealed) = self.sealed(len) {
            return Ok(sealed);
        }
        if !self.moov {
            return Err(Error::new(
                Kind::Damaged,
                "the MP4 file breaks off: its table of contents is missing",
            ));
        }
        let Track { entry, media, edit, .. } = self.track;
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
        carrier(&mut sniffed, &self.brands, self.copy_guard);
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

/// What brands and the mark of au/KDDI make of the lock (reference purchases 2.1 and 2.6): a clear entry plays here, any
/// other is locked to the phone.
fn carrier(sniffed: &mut Sniffed, brands: &[[u8; 4]], copy_guard: bool) {
    if copy_guard {
        sniffed.raw.push(RawTag::new(COPY_GUARD, RawValue::Bytes(Vec::new())));
    }
    let of_carrier = copy_guard || brands.iter().any(|brand| brand.eq_ignore_ascii_case(b"kddi"));
    let plain = sniffed.protection == Protection::None;
    let nameless = matches!(sniffed.protection, Protection::Cenc { .. } | Protection::UnknownEncrypted);
    if plain && brands.contains(b"isc2") {
        sniffed.protection = Protection::UnknownEncrypted;
    } else if of_carrier && plain && sniffed.format.codec != Codec::Other {
        sniffed.protection = Protection::CarrierCopyGuard;
    } else if of_carrier && (plain || nameless) {
        sniffed.protection = Protection::CarrierLocked;
    }
}

/// iTunes' own numbers: ` 00000000 DDDDDDDD PPPPPPPP SSSSSSSSSSSSSSSS …` in hex (reference purchases 7.6).
fn smpb(raw: &[RawTag]) -> Option<Gapless> {
    let text = raw.iter().find(|tag| tag.place == SMPB)?.text()?;
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

/// 63706764-A88C-11D4-8197-009027087703.
const CPGD: [u8; 16] =
    [0x63, 0x70, 0x67, 0x64, 0xa8, 0x8c, 0x11, 0xd4, 0x81, 0x97, 0x00, 0x90, 0x27, 0x08, 0x77, 0x03];
/// Where the mark of au/KDDI is kept.
pub const COPY_GUARD: &str = "mp4:uuid/cpgd";
const SMPB: &str = "mp4:ilst/----:com.apple.iTunes:iTunSMPB";
const MOST_BOXES: usize = 4096;
const DEEPEST: usize = 16;
const LARGEST_VALUE: usize = 64 << 10;
const INDEX_BEHIND: &str =
    "the index of this MP4 file stands behind its sound, and its server does not give parts of a file";
