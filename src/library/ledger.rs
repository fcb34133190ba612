//! `.konpo/ledger.jsonl`: the append-only history of the files of one root. It moves with the disk and rebuilds the database.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::offer::Provenance;
use crate::query::purchases::SameBy;
use crate::track::Tags;
use crate::track::correction::Words;
use crate::track::past::PastPurchase;
use crate::track::{
    AudioFormat, Fingerprint, PersonalBytes, Protection, Purchase, QuickKey, Sha256, TrackId,
};
use crate::units::UnixTime;

/// What a line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// A file came to lie at `path`.
    Arrived,
    /// The same music was there; `path` is where it lies, `trashed` where this file went.
    Merged,
    /// A file went to the trash.
    Trashed,
}

/// One line. Unknown fields of newer versions are ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Version of the form.
    pub v: u32,
    /// The journal id; of several lines with one event and kind the last counts.
    pub event: i64,
    /// RFC 3339.
    pub at: String,
    /// What it tells.
    pub kind: What,
    /// The track's id, restored by a rebuild.
    pub track: i64,
    /// Path below the root; a path that is not UTF-8 is shown lossily, which konpo itself never writes.
    pub path: String,
    /// Its name in `.konpo/trash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trashed: Option<String>,
    /// The whole file.
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
    /// Hint of the payload.
    pub quick: QuickKey,
    /// The payload.
    pub fingerprint: Option<Fingerprint>,
    /// What the bytes are; absent in lines of the first form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<AudioFormat>,
    /// How long it sounds, milliseconds; 0 unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Whether it is locked, and how.
    pub protection: Protection,
    /// What proves a buy.
    pub purchases: Vec<Purchase>,
    /// Where the buyer's bytes lie.
    pub personal: Vec<PersonalBytes>,
    /// Where it came from.
    pub provenance: Provenance,
    /// The name it came with.
    pub original_name: String,
    /// A locked and a free file of one song came together with this one, and what told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<SameBy>,
    /// For a person who reads the file.
    pub title: Option<String>,
    /// For a person who reads the file.
    pub artist: Option<String>,
    /// For a person who reads the file.
    pub album: Option<String>,
}

/// What an adopted file is known by. Short, for there are many: a line per file that konpo found where it stood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdoptedLine {
    /// Always `adopted`.
    pub kind: Adopted,
    /// The track's id, restored by a rebuild.
    pub track: i64,
    /// Path below the root; shown lossily when it is not UTF-8.
    pub path: String,
    /// The path's bytes in hex, when it is not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Hint of the payload.
    pub quick: QuickKey,
    /// When its track came to the shelf, seconds since 1970.
    pub added: i64,
    /// Its name in `.konpo/trash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trashed: Option<String>,
    /// A locked and a free file of one song came together with this one: what told it, and when, seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<(SameBy, i64)>,
    /// What proves a buy; it outlives the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub purchases: Vec<Purchase>,
    /// What was bought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Of a bought file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artist: Option<String>,
    /// Of a bought file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album: Option<String>,
}

/// The one kind of an [`AdoptedLine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Adopted {
    /// A file was found where it stands; of several lines with one path the last counts.
    Adopted,
}

impl AdoptedLine {
    /// Returns the line of a file.
    pub fn new(track: TrackId, path: &Path, size: u64, quick: QuickKey, added: i64) -> AdoptedLine {
        let raw = path
            .to_str()
            .is_none()
            .then(|| path.as_os_str().as_bytes().iter().map(|byte| format!("{byte:02x}")).collect());
        let (kind, track, path) = (Adopted::Adopted, track.0, path.to_string_lossy().into_owned());
        let (trashed, joined, purchases, title, artist, album) = (None, None, Vec::new(), None, None, None);
        AdoptedLine {
            kind,
            track,
            path,
            raw,
            size,
            quick,
            added,
            trashed,
            joined,
            purchases,
            title,
            artist,
            album,
        }
    }

    /// Returns the same, telling what the file proves, and of what; nothing when it proves no buy.
    pub fn bought(self, purchases: Vec<Purchase>, tags: &Tags) -> AdoptedLine {
        if purchases.is_empty() {
            return self;
        }
        let (title, artist, album) = (tags.title.clone(), tags.artist.clone(), tags.album.clone());
        AdoptedLine { purchases, title, artist, album, ..self }
    }

    /// Returns the path as the file system has it.
    pub fn full_path(&self) -> PathBuf {
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let raw =
            self.raw.as_ref().and_then(|raw| raw.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>());
        raw.map_or_else(|| PathBuf::from(&self.path), |bytes| PathBuf::from(OsString::from_vec(bytes)))
    }
}

/// What is corrected of a track after a person changed it; the file is as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CorrectedLine {
    /// Always `corrected`.
    pub kind: Corrected,
    /// RFC 3339.
    pub at: String,
    /// The track's id.
    pub track: i64,
    /// How often its corrections were changed, this time included; of several lines the highest counts.
    pub number: u32,
    /// All that is corrected from now on; empty: nothing.
    pub words: Words,
    /// For a person who reads the file: path below the root, shown lossily when it is not UTF-8.
    pub path: String,
}

/// The one kind of a [`CorrectedLine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Corrected {
    /// A person changed words that a track shows.
    Corrected,
}

impl CorrectedLine {
    /// Returns the line of a change.
    pub fn new(track: TrackId, path: &Path, number: u32, at: UnixTime, words: &Words) -> CorrectedLine {
        let path = path.to_string_lossy().into_owned();
        let kind = Corrected::Corrected;
        CorrectedLine { kind, at: at.rfc3339(), track: track.0, number, words: words.clone(), path }
    }
}

/// A buy that a history told (an iTunes library, an order).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastLine {
    /// Always `bought`.
    pub kind: PastKind,
    /// When it was told, RFC 3339.
    pub at: String,
    /// The buy.
    #[serde(flatten)]
    pub past: PastPurchase,
}

/// The one kind of a [`PastLine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PastKind {
    /// Something was bought; of several lines with one name (`PastPurchase::name`) the last counts.
    Bought,
}

impl PastLine {
    /// Returns the line of a buy that was told at this time.
    pub fn new(past: PastPurchase, at: String) -> PastLine {
        PastLine { kind: PastKind::Bought, at, past }
    }
}

/// Any line.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Entry {
    /// What is corrected of a track.
    Corrected(CorrectedLine),
    /// A file that was found.
    Adopted(AdoptedLine),
    /// What became of an arrival.
    Line(Box<Line>),
    /// A buy that a history told.
    Past(Box<PastLine>),
    /// A line of a kind that only a newer konpo knows; it is passed over.
    #[serde(skip_deserializing)]
    Newer(Newer),
}

/// What is read of a line of an unknown kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newer {
    /// Its kind.
    pub kind: String,
    /// The track it is about; 0 none. Its number is not given again.
    #[serde(default)]
    pub track: i64,
}

impl Newer {
    /// Reads a line that is none of ours; `None` for one of a known kind, which is torn or malformed then.
    fn of(bytes: &[u8]) -> Option<Newer> {
        let newer: Newer = serde_json::from_slice(bytes).ok()?;
        let known = ["arrived", "merged", "trashed", "adopted", "corrected", "bought"];
        (!known.contains(&newer.kind.as_str())).then_some(newer)
    }
}

impl Entry {
    /// Returns the track's id; 0 for none.
    pub fn track(&self) -> i64 {
        match self {
            Entry::Corrected(line) => line.track,
            Entry::Adopted(line) => line.track,
            Entry::Line(line) => line.track,
            Entry::Newer(newer) => newer.track,
            Entry::Past(line) => line.past.track.map_or(0, |track| track.0),
        }
    }

    /// Returns the journal id; 0 for what is no arrival.
    pub fn event(&self) -> i64 {
        match self {
            Entry::Corrected(_) | Entry::Adopted(_) | Entry::Newer(_) | Entry::Past(_) => 0,
            Entry::Line(line) => line.event,
        }
    }
}

/// Reads one line of the history.
///
/// # Errors
/// `Damaged` for one that is torn or of another form.
pub fn parse_line(bytes: &[u8]) -> Result<Entry> {
    serde_json::from_slice(bytes).or_else(|error| match Newer::of(bytes) {
        Some(newer) => Ok(Entry::Newer(newer)),
        None => Err(Error::with(Kind::Damaged, "read a line of the history", error)),
    })
}

/// The history, open for appending.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    /// A line may have been written in part (the disk was full): what follows it must not be glued to it.
    torn: bool,
}

impl Ledger {
    /// Opens the history. A last line torn by a power cut is closed, so that the next one stands alone.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn open(path: &Path) -> Result<Ledger> {
        let failed = |error| Error::io(format!("open the history {}", path.display()), error);
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        let end = file.seek(SeekFrom::End(0)).map_err(failed)?;
        if end > 0 {
            file.seek(SeekFrom::Start(end - 1)).map_err(failed)?;
            let mut last = [0];
            file.read_exact(&mut last).map_err(failed)?;
            if last != *b"\n" {
                file.write_all(b"\n").and_then(|()| file.sync_data()).map_err(failed)?;
            }
        }
        Ok(Ledger { path: path.to_owned(), file, torn: false })
    }

    /// Appends a line; it is on the disk when this returns.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn append(&mut self, line: &Line) -> Result<()> {
        self.append_all(std::slice::from_ref(line))
    }

    /// Appends lines; they are on the disk when this returns.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn append_all<L: Serialize>(&mut self, lines: &[L]) -> Result<()> {
        let failed = |error| Error::io(format!("write the history {}", self.path.display()), error);
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line).map_err(|error| failed(error.into()))?;
            text.push(b'\n');
        }
        if self.torn {
            text.insert(0, b'\n');
        }
        let written = append_whole(&mut self.file, &text);
        self.torn = written.is_err();
        written.map_err(failed)
    }

    /// Reads every line from the start; one that is torn or of another form is counted, not fatal.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn read(path: &Path, each: impl FnMut(Entry)) -> Result<usize> {
        Ledger::read_from(path, 0, each).map(|(bad, _)| bad)
    }

    /// Reads every line behind so many bytes. Returns how many were bad, and where the last one ended.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn read_from(path: &Path, from: u64, mut each: impl FnMut(Entry)) -> Result<(usize, u64)> {
        let failed = |error| Error::io(format!("read the history {}", path.display()), error);
        let mut file = match File::open(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((0, 0)),
            opened => opened.map_err(failed)?,
        };
        // A history that is shorter than it was is another one.
        let length = file.metadata().map_err(failed)?.len();
        let mut at = if from <= length { from } else { 0 };
        file.seek(SeekFrom::Start(at)).map_err(failed)?;
        let mut bad = 0;
        let mut reader = BufReader::new(file);
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            let count = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes).map_err(failed)?;
            if count == 0 {
                return Ok((bad, at));
            }
            at += count as u64;
            if bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            match parse_line(&bytes) {
                Ok(entry) => each(entry),
                Err(_) => bad += 1,
            }
        }
    }
}

/// Appends and syncs; what was written in part is taken back where the disk allows it.
fn append_whole(file: &mut File, text: &[u8]) -> std::io::Result<()> {
    let before = file.metadata()?.len();
    let written = file.write_all(text).and_then(|()| file.sync_data());
    if written.is_err() {
        // When this fails as well, the next line begins with a line's end.
        let _torn = file.set_len(before);
    }
    written
}

/// A line holds a file's whole purchase evidence: UITS is limited to 64 kB.
const LONGEST_LINE: u64 = 4 << 20;

#[cfg(test)]
#[allow(missing_docs)] // For tests of other modules.
pub mod tests {
    use super::*;

    /// Returns a line of an event.
    pub fn line(event: i64) -> Line {
        Line {
            v: 1,
            event,
            at: "2026-11-21T00:00:00Z".into(),
            kind: What::Arrived,
            track: event,
            path: format!("A/B/{event}.flac"),
            trashed: None,
            sha256: Sha256([1; 32]),
            size: 10,
            quick: QuickKey([2; 16]),
            fingerprint: None,
            format: None,
            duration_ms: None,
            protection: Protection::None,
            purchases: Vec::new(),
            personal: Vec::new(),
            provenance: Provenance {
                way: "inbox".into(),
                device: String::new(),
                device_name: String::new(),
                original_name: "x.flac".into(),
                remote: String::new(),
            },
            original_name: "x.flac".into(),
            joined: None,
            title: Some("x".into()),
            artist: None,
            album: None,
        }
    }

    #[test]
    fn a_torn_last_line_costs_only_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.jsonl");
        Ledger::open(&path).and_then(|mut l| l.append(&line(1))).expect("written");
        let mut torn = std::fs::read(&path).expect("there");
        torn.extend_from_slice(br#"{"v":1,"event":2,"at":"20"#);
        std::fs::write(&path, torn).expect("written");
        let mut ledger = Ledger::open(&path).expect("opened");
        ledger.append(&line(3)).expect("written");
        let mut events = Vec::new();
        let bad = Ledger::read(&path, |entry| events.push(entry.event())).expect("read");
        assert_eq!((events, bad), (vec![1, 3], 1));
    }

    #[test]
    fn a_line_the_full_disk_cut_off_does_not_swallow_the_next() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = Ledger::open(&path).expect("opened");
        ledger.append(&line(1)).expect("written");
        // What a full disk leaves when it does not even give the half line back.
        ledger.file.write_all(br#"{"v":1,"event":2"#).expect("written");
        ledger.torn = true;
        ledger.append(&line(3)).expect("written");
        // A handle that cannot write stands for the disk that fails.
        let whole = std::mem::replace(&mut ledger.file, File::open(&path).expect("opened"));
        assert!(ledger.append(&line(4)).is_err() && ledger.torn);
        ledger.file = whole;
        ledger.append(&line(5)).expect("written");
        let mut events = Vec::new();
        let bad = Ledger::read(&path, |entry| events.push(entry.event())).expect("read");
        assert_eq!((events, bad), (vec![1, 3, 5], 1));
    }
}
