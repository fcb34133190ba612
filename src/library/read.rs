//! What the bytes of a file on the shelf say: the gate first, then tags, purchase facts and the payload's identity.

use std::fs::File;
use std::path::Path;

use crate::error::{Error, Result};
use crate::media::raw::RawTag;
use crate::media::sniff::{Sniffed, sniff, tags_of_locked};
use crate::media::sound::Sound;
use crate::media::tags::unsettled::Unsettled;
use crate::media::{fingerprint, purchase, tags as tag_reader};
use crate::track::{AudioFormat, Fingerprint, PersonalBytes, Protection, Purchase, QuickKey, Tags};
use crate::units::Millis;

/// What a file is and says.
#[derive(Debug, Clone, PartialEq)]
pub struct FileFacts {
    /// What its bytes are.
    pub format: AudioFormat,
    /// Whether it is locked.
    pub protection: Protection,
    /// Where the buyer's bytes lie.
    pub personal: Vec<PersonalBytes>,
    /// What its tags say.
    pub tags: Tags,
    /// What proves a buy.
    pub purchases: Vec<Purchase>,
    /// Hint of the payload.
    pub quick: QuickKey,
    /// The payload; `None` for a locked file.
    pub fingerprint: Option<Fingerprint>,
    /// How long it sounds; zero unknown.
    pub duration: Millis,
}

/// Returns what a file is and says. A locked file reaches neither the tag reader nor a decoder.
///
/// # Errors
/// `Damaged` or `Unsupported` with words for a person, and those of the disk.
/// # Blocks
/// As long as reading the whole file takes, for its fingerprint.
pub fn facts(path: &Path) -> Result<FileFacts> {
    let mut sound = open(path)?;
    let (facts, sniffed) = look(&mut sound)?;
    let locked = sniffed.protection.is_locked();
    let fingerprint = if locked { None } else { Some(fingerprint::fingerprint(&mut sound, &sniffed)?) };
    Ok(FileFacts { fingerprint, ..facts })
}

/// Returns what a sound is and says, without its fingerprint: a few looks, whatever its size.
///
/// # Errors
/// As [`facts`].
/// # Blocks
/// As long as a few looks at the disk take.
pub fn look(sound: &mut Sound) -> Result<(FileFacts, Sniffed)> {
    look_unsettled(sound).map(|(facts, sniffed, _)| (facts, sniffed))
}

/// As [`look`], and the words whose charset only the other files of the album tell.
///
/// # Errors
/// As [`facts`].
/// # Blocks
/// As [`look`].
pub fn look_unsettled(sound: &mut Sound) -> Result<(FileFacts, Sniffed, Option<Unsettled>)> {
    let sniffed = sniff(sound)?;
    let (tags, raw, unsettled) = read_tags(sound, &sniffed)?;
    let facts = FileFacts {
        duration: sniffed.format.duration().unwrap_or(Millis::ZERO),
        format: sniffed.format.clone(),
        protection: sniffed.protection.clone(),
        personal: sniffed.personal.clone(),
        tags,
        purchases: purchase::purchases(&sniffed, &raw),
        quick: fingerprint::quick_key(sound, &sniffed.audio)?,
        fingerprint: None,
    };
    Ok((facts, sniffed, unsettled))
}

/// Returns the fingerprint of a file; `None` for a locked one.
///
/// # Errors
/// As [`facts`].
/// # Blocks
/// As long as reading the whole file takes.
pub fn fingerprint_of(file: File, extension: Option<&str>) -> Result<Option<Fingerprint>> {
    let mut sound = Sound::file(file, extension).map_err(|error| Error::io("read a track", error))?;
    let sniffed = sniff(&mut sound)?;
    if sniffed.protection.is_locked() {
        return Ok(None);
    }
    fingerprint::fingerprint(&mut sound, &sniffed).map(Some)
}

fn open(path: &Path) -> Result<Sound> {
    let what = || format!("open {}", path.display());
    let file = File::open(path).map_err(|error| Error::io(what(), error))?;
    let extension = path.extension().map(|e| e.to_string_lossy().into_owned());
    Sound::file(file, extension.as_deref()).map_err(|error| Error::io(what(), error))
}

fn read_tags(sound: &mut Sound, sniffed: &Sniffed) -> Result<(Tags, Vec<RawTag>, Option<Unsettled>)> {
    if sniffed.protection.is_locked() {
        return Ok((tags_of_locked(sniffed), Vec::new(), None));
    }
    tag_reader::read_unsettled(sound, sniffed)
}
