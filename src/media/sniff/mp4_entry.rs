//! Sample entries of MP4: the codec, the lock, and the store's boxes beside them (reference purchases 1.1 and 2.1).

use crate::error::Result;
use crate::media::raw::{RawTag, RawValue};
use crate::media::sniff::AacConfig;
use crate::media::sniff::look::{Look, be};
use crate::media::sniff::mp4::{Block, next_box};
use crate::media::sniff::mpeg::AAC_RATES;
use crate::media::sniff::{mp4_list, oma_drm, stretch};
use crate::track::{Codec, Evidence, PersonalBytes, Protection, Purchase, PurchaseLevel};
use crate::units::{ByteCount, SampleRate};

/// What the sound entries of `stsd` say: the first one, and the lock of any.
#[derive(Debug)]
pub struct Entry {
    /// The coding.
    pub codec: Codec,
    /// The lock.
    pub protection: Protection,
    /// Frames per second.
    pub rate: Option<SampleRate>,
    /// Channels.
    pub channels: Option<u16>,
    /// Bits of lossless material.
    pub bits: Option<u16>,
    /// The AAC configuration.
    pub aac: Option<AacConfig>,
    /// What `pinf` or `sinf` prove.
    pub purchase: Option<Purchase>,
    /// The store's boxes as raw tags, with the places of those that name the buyer.
    pub raw: Vec<RawTag>,
}

impl Entry {
    /// Takes over the lock of another entry, and what its boxes prove: a decoder could reach it through this file.
    pub fn join(&mut self, other: Entry) {
        if !self.protection.is_locked() {
            self.protection = other.protection;
        }
        self.purchase = self.purchase.take().or(other.purchase);
        self.raw.extend(other.raw);
    }
}

/// Reads the entries; `None` when none is sound.
///
/// # Errors
/// Those of reading.
pub fn of(look: &mut Look<'_>, stsd: &Block, boxes: &mut usize) -> Result<Option<Entry>> {
    let mut found: Option<Entry> = None;
    let mut at = stsd.at + 8;
    // Files with a clear beginning have one clear and one locked entry. The stated count is not believed: a decoder may
    // not believe it either.
    while let Some(block) = next_box(look, at, stsd.end, boxes)? {
        at = block.end;
        match (&mut found, one(look, &block, boxes)?) {
            (Some(first), Some(other)) => first.join(other),
            (None, entry) => found = entry,
            (Some(_), None) => {}
        }
    }
    Ok(found)
}

/// Returns the first entry of a sound track none of whose codings is known.
///
/// # Errors
/// Those of reading.
pub fn unknown(look: &mut Look<'_>, stsd: &Block) -> Result<Option<Entry>> {
    let head = look.some(stsd.at + 8, 36)?;
    if head.len() < 36 {
        return Ok(None);
    }
    let mut entry = empty(Codec::Other);
    entry.channels = u16::try_from(be(&head, 24, 2)).ok();
    entry.rate = SampleRate::new(be(&head, 32, 2) as u32);
    Ok(Some(entry))
}

fn one(look: &mut Look<'_>, block: &Block, boxes: &mut usize) -> Result<Option<Entry>> {
    let codec = match &block.name {
        b"mp4a" | b"drms" | b"enca" => Codec::Other,
        b"alac" => Codec::Alac,
        b"fLaC" => Codec::Flac,
        b"Opus" => Codec::Opus,
        b".mp3" => Codec::Mp3,
        b"samr" | b"sawb" | b"sevc" | b"sqcp" => Codec::Speech,
        b"sowt" | b"twos" | b"lpcm" | b"in24" => Codec::Pcm,
        b"aavd" => Codec::Other,
        b"drmi" | b"encv" => {
            // A locked film is a locked file: it may not reach a decoder by its sound either.
            let protection = locked_by(&block.name);
            return Ok(Some(Entry { protection, ..empty(Codec::Other) }));
        }
        _ => return Ok(None),
    };
    let head = look.some(block.at, 28)?;
    let mut entry = empty(codec);
    entry.protection = locked_by(&block.name);
    entry.channels = u16::try_from(be(&head, 16, 2)).ok();
    entry.bits = codec.is_lossless().then(|| be(&head, 18, 2) as u16);
    entry.rate = SampleRate::new(be(&head, 24, 2) as u32);
    // QuickTime versions 1 and 2 have longer heads.
    let skip = match be(&head, 8, 2) {
        1 => 28 + 16,
        2 => 28 + 36,
        _ => 28,
    };
    let mut at = block.at + skip;
    while let Some(child) = next_box(look, at, block.end, boxes)? {
        match &child.name {
            b"esds" => esds(look, &child, &mut entry)?,
            b"alac" => alac(look, &child, &mut entry)?,
            b"pinf" | b"sinf" => sinf(look, &child, &mut entry, boxes)?,
            b"adrm" | b"aabd" => entry.protection = Protection::Audible,
            _ => {}
        }
        at = child.end;
    }
    Ok(Some(entry))
}

fn empty(codec: Codec) -> Entry {
    Entry {
        codec,
        protection: Protection::None,
        rate: None,
        channels: None,
        bits: None,
        aac: None,
        purchase: None,
        raw: Vec::new(),
    }
}

fn locked_by(name: &[u8; 4]) -> Protection {
    match name {
        b"drms" | b"drmi" => Protection::FairPlay { user_id: None },
        b"enca" | b"encv" => Protection::Cenc { scheme: String::new(), systems: Vec::new() },
        b"aavd" => Protection::Audible,
        _ => Protection::None,
    }
}

/// ISO/IEC 14496-1, 7.2.6: descriptors inside each other, the last holds the AudioSpecificConfig.
fn esds(look: &mut Look<'_>, block: &Block, entry: &mut Entry) -> Result<()> {
    let bytes = look.some(block.at, ((block.end - block.at) as usize).min(256))?;
    let mut at = 4;
    for _ in 0..8 {
        let Some(&tag) = bytes.get(at) else { return Ok(()) };
        at += 1;
        // The length in 7-bit groups.
        while bytes.get(at).is_some_and(|b| b & 0x80 != 0) {
            at += 1;
        }
        at += 1;
        match tag {
            3 => {
                let flags = be(&bytes, at + 2, 1);
                at += 3 + if flags & 0x80 != 0 { 2 } else { 0 };
            }
            4 => {
                // objectTypeIndication: 0x40 AAC, 0x66-0x68 MPEG-2 AAC, 0x69 and 0x6b MPEG audio.
                match be(&bytes, at, 1) {
                    0x69 | 0x6b => entry.codec = Codec::Mp3,
                    0x40 | 0x66..=0x68 => entry.codec = Codec::AacLc,
                    _ => {}
                }
                at += 13;
            }
            5 => {
                config(bytes.get(at..).unwrap_or_default(), entry);
                return Ok(());
            }
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// ISO/IEC 14496-3, 1.6.2.1: 5 bits type, 4 bits rate, 4 bits channels; SBR by type 5, 29 or the sync extension 0x2b7.
fn config(bytes: &[u8], entry: &mut Entry) {
    let bits =
        bytes.iter().take(16).fold((0u128, 0u32), |(n, count), &b| (n << 8 | u128::from(b), count + 8));
    let mut place = 0;
    let mut take = |count: u32| {
        let from = bits.1.checked_sub(place + count)?;
        place += count;
        Some((bits.0 >> from & ((1 << count) - 1)) as u32)
    };
    let Some(object_type) = take(5) else { return };
    let rate =
        take(4).and_then(|index| if index == 15 { take(24) } else { AAC_RATES.get(index as usize).copied() });
    let channels = take(4);
    let mut sbr = matches!(object_type, 5 | 29);
    let full = if sbr {
        take(4).and_then(|index| if index == 15 { take(24) } else { AAC_RATES.get(index as usize).copied() })
    } else {
        None
    };
    // Three flags of GASpecificConfig, then perhaps the extension.
    if object_type == 2 && take(3).is_some() && take(11) == Some(0x2b7) && take(5) == Some(5) {
        sbr = take(1) == Some(1);
    }
    entry.aac = Some(AacConfig { object_type: object_type as u8, sbr });
    entry.codec = match (object_type, sbr) {
        (_, true) => Codec::HeAac,
        (2, false) => Codec::AacLc,
        _ => Codec::Other,
    };
    entry.rate = full.or(rate).and_then(SampleRate::new).or(entry.rate);
    if let Some(channels @ 1..=7) = channels {
        entry.channels = Some(if channels == 7 { 8 } else { channels as u16 });
    }
}

/// Apple Lossless cookie: bit depth at 5, channels at 9, rate at 20, behind the box's version.
fn alac(look: &mut Look<'_>, block: &Block, entry: &mut Entry) -> Result<()> {
    let bytes = look.some(block.at + 4, 24)?;
    if bytes.len() == 24 {
        entry.bits = Some(u16::from(bytes[5]));
        entry.channels = Some(u16::from(bytes[9]));
        entry.rate = SampleRate::new(be(&bytes, 20, 4) as u32).or(entry.rate);
    }
    Ok(())
}

/// `pinf` of a protection-free purchase and `sinf` of a locked one have the same children.
fn sinf(look: &mut Look<'_>, block: &Block, entry: &mut Entry, boxes: &mut usize) -> Result<()> {
    let plus = &block.name == b"pinf";
    let place = if plus { "mp4:pinf" } else { "mp4:sinf" };
    let mut scheme = String::new();
    let mut rights_issuer = String::new();
    let mut at = block.at;
    while let Some(child) = next_box(look, at, block.end, boxes)? {
        match &child.name {
            b"schm" => {
                scheme = look.some(child.at + 4, 4)?.iter().map(|&b| char::from(b)).collect();
            }
            b"frma" if !plus => {
                let original = look.some(child.at, 4)?;
                entry.codec = if original == b"alac" { Codec::Alac } else { entry.codec };
            }
            b"schi" => rights_issuer = schi(look, &child, place, entry, boxes)?,
            b"free" | b"skip" => entry.raw.push(mp4_list::unused(&child)),
            _ => {}
        }
        at = child.end;
    }
    if !plus {
        entry.protection = by_scheme(&entry.protection, &scheme, rights_issuer);
    }
    if scheme == "itun" || plus {
        let evidence = entry.raw.iter().filter(|tag| !tag.is_unread()).map(|tag| Evidence {
            place: tag.place.clone(),
            text: tag.text().unwrap_or_default(),
            personal: tag.personal.is_some(),
        });
        let fact = |name: &str| {
            let place = format!("{place}/{name}");
            entry.raw.iter().find(|tag| tag.place == place).and_then(RawTag::text)
        };
        entry.purchase = Some(Purchase {
            item_id: fact("song"),
            transaction_id: fact("tran"),
            account: fact("name"),
            evidence: evidence.collect(),
            ..Purchase::at("itunes", PurchaseLevel::Embedded)
        });
    }
    Ok(())
}

/// What the scheme of a `sinf` makes of the lock that the entry's name tells (reference purchases 2.1). A `sinf` says that the
/// samples were transformed, whatever the entry is called (ISO/IEC 14496-12, 8.12.1).
fn by_scheme(entry: &Protection, scheme: &str, rights_issuer: String) -> Protection {
    match (entry, scheme) {
        (Protection::FairPlay { .. } | Protection::Audible, _) => entry.clone(),
        (_, "itun") => Protection::FairPlay { user_id: None },
        (_, "odkm") => Protection::OmaDrm2 { rights_issuer },
        (_, "cenc" | "cbcs" | "cens" | "cbc1" | "piff") => {
            Protection::Cenc { scheme: scheme.to_owned(), systems: Vec::new() }
        }
        (Protection::Cenc { .. }, "") => entry.clone(),
        // ISMACryp (`iAEC`) and anything else of a scheme of its own.
        _ => Protection::UnknownEncrypted,
    }
}

/// Returns the address of the rights issuer, of OMA DRM 2.
fn schi(
    look: &mut Look<'_>,
    block: &Block,
    place: &str,
    entry: &mut Entry,
    boxes: &mut usize,
) -> Result<String> {
    let mut rights_issuer = String::new();
    let mut at = block.at;
    while let Some(child) = next_box(look, at, block.end, boxes)? {
        let size = (child.end - child.at).min(512) as usize;
        let tag = |name: &str, value, offset: u64, length: u64| {
            let personal = Some(PersonalBytes { offset: ByteCount(offset), length: ByteCount(length) });
            RawTag { personal, ..RawTag::new(format!("{place}/{name}"), value) }
        };
        match &child.name {
            b"user" => {
                let user = be(&look.some(child.at, 4)?, 0, 4);
                if let Protection::FairPlay { user_id } = &mut entry.protection {
                    *user_id = Some(user as u32);
                }
                entry.raw.push(tag("user", RawValue::Number(user as i64), child.at, 4));
            }
            b"name" => {
                let bytes = look.some(child.at, size)?;
                let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
                let name = String::from_utf8_lossy(&bytes[..end]).into_owned();
                entry.raw.push(tag("name", RawValue::Text(name), child.at, child.end - child.at));
            }
            // Version and flags, pattern, whether it is protected, size of the vector, then the key's id.
            b"tenc" => {
                let id = look.some(child.at + 8, 16)?.iter().map(|b| format!("{b:02x}")).collect();
                entry.raw.push(RawTag::new(format!("{place}/KID"), RawValue::Text(id)));
            }
            // A full box with `ohdr` inside (OMA DRM Content Format 2.0, 6.3).
            b"odkm" => {
                let head = next_box(look, child.at + 4, child.end, boxes)?;
                if let Some(head) = head.filter(|head| &head.name == b"ohdr") {
                    let body = look.some(head.at, (head.end - head.at).min(4096) as usize)?;
                    let (address, raw) = oma_drm::ohdr(&body);
                    rights_issuer = address;
                    entry.raw.extend(raw);
                }
            }
            b"righ" => {
                let pairs = look.some(child.at, size)?;
                let read = righ(&pairs, child.at, place, entry);
                let rest = child.at + size as u64;
                if read * 8 == size && child.end > rest {
                    entry.raw.push(RawTag::unread(stretch(rest, child.end)));
                }
            }
            _ => {}
        }
        at = child.end;
    }
    Ok(rights_issuer)
}

/// Reads pairs of a name and a number, up to a name of zeros. Returns how many.
fn righ(bytes: &[u8], at: u64, place: &str, entry: &mut Entry) -> usize {
    let mut count = 0;
    for (i, pair) in bytes.chunks_exact(8).enumerate().take_while(|(_, pair)| pair[..4] != [0; 4]) {
        count = i + 1;
        let name: String = pair[..4].iter().map(|&b| char::from(b)).collect();
        let lies = PersonalBytes { offset: ByteCount(at + i as u64 * 8 + 4), length: ByteCount(4) };
        // A buyer and its number have boxes of their own; one who puts them here shall be kept from others as well.
        let personal = matches!(name.as_str(), "tran" | "name" | "user").then_some(lies);
        let number = RawValue::Number(be(pair, 4, 4) as i64);
        entry.raw.push(RawTag { personal, ..RawTag::new(format!("{place}/{name}"), number) });
    }
    count
}

/// Names of systems in `pssh` (reference purchases 2.1).
pub fn system_name(id: &[u8]) -> String {
    let known = SYSTEMS.iter().find(|(system, _)| id == system.to_be_bytes());
    known.map_or_else(|| id.iter().map(|b| format!("{b:02x}")).collect(), |(_, name)| (*name).to_owned())
}

const SYSTEMS: [(u128, &str); 3] = [
    (0xedef_8ba9_79d6_4ace_a3c8_27dc_d51d_21ed, "Widevine"),
    (0x9a04_f079_9840_4286_ab92_e65b_e088_5f95, "PlayReady"),
    (0x94ce_86fb_07ff_4f43_adb8_93d2_fa96_8ca2, "FairPlay"),
];
