//! What the door knows of an earlier run. The journal says what came, by whom it is counted and with what it came: so an Undo
//! holds for its ten minutes over a restart and a power cut, and a day's share that was used stays used (product.md, "When a
//! song lands"; reference beam, ingest contract 1, "quota per sender/day"). What was taken back is written down beside it.

use std::collections::HashMap;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tracing::{info, warn};

use crate::error::{Kind, Result};
use crate::intake::Inner;
use crate::intake::noted::Noted;
use crate::library::JournalRow;
use crate::offer::push::BeamId;
use crate::offer::{Key, Stage, Verdict};
use crate::units::{ByteCount, UnixTime};

/// A beam that somebody took back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenBack {
    /// Which.
    pub beam: BeamId,
    /// Its tracks are off the shelf.
    pub done: bool,
}

/// Takes up what the last run left: what can be taken back, what each sender brought today, and where the numbers go on.
///
/// # Errors
/// Those of the database.
pub(in crate::intake) async fn take_up(inner: &Inner) -> Result<()> {
    let wall = UnixTime::now();
    let today = wall.0 - wall.0.rem_euclid(DAY);
    let rows = inner.library.journal_since(UnixTime(today.min(wall.0 - LOOKED_BACK))).await?;
    let newest = inner.library.journal_recent(NUMBERS_LOOKED_AT).await?;
    let undone = inner.library.load_undone().await?;
    let undone: Vec<TakenBack> = undone.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
    let mut devices = HashMap::new();
    for identity in rows.iter().map(|row| &row.provenance.device) {
        if let Some(key) = key_in(identity).filter(|_| !devices.contains_key(identity)) {
            devices.insert(identity.clone(), inner.library.device_by_key(key).await?);
        }
    }
    let devices = devices.into_iter().filter_map(|(identity, found)| Some((identity, found?.0))).collect();
    let numbers = newest.iter().chain(&rows).filter_map(|row| Noted::of(row).beam);
    let last = numbers.chain(undone.iter().map(|taken| taken.beam)).map(|beam| beam.0).max();
    let today = rows.iter().filter(|row| row.at.0 >= today && row.at <= wall && came(row));
    {
        let mut desk = inner.door.desk();
        desk.next = desk.next.max(last.unwrap_or(0).saturating_add(1));
        for (counted, row) in today.map(|row| (Noted::of(row).counted, row)) {
            if !counted.is_empty() {
                desk.quotas.note(&counted, 1, row.size.unwrap_or(ByteCount(0)), row.at);
            }
        }
        desk.beams.take_up(&rows, &undone, &devices, (wall, Instant::now()));
        desk.undone = undone.clone();
    }
    for taken in undone.iter().filter(|taken| !taken.done) {
        take_off(inner, &rows, taken.beam).await?;
    }
    inner.show_door();
    Ok(())
}

/// Ends an undo that the power cut.
async fn take_off(inner: &Inner, rows: &[JournalRow], beam: BeamId) -> Result<()> {
    let of_it = rows.iter().filter(|row| Noted::of(row).beam == Some(beam));
    for track in of_it.filter_map(|row| row.verdict.as_ref()?.brought()) {
        match inner.library.trash(track).await {
            Ok(()) => info!(track = track.0, "taken back, as somebody said before the restart"),
            Err(error) if error.kind() == Kind::NotFound => {}
            // It is tried again at the next start.
            Err(error) => {
                warn!(%error, track = track.0, "a track that was taken back could not be moved");
                return Ok(());
            }
        }
    }
    inner.note_undone(beam, true).await
}

/// Returns whether a file is here or was: its sender was told so, and it counts.
pub fn came(row: &JournalRow) -> bool {
    match &row.verdict {
        Some(Verdict::Refused { code, .. }) => !matches!(code.as_str(), "gone" | "full"),
        _ => row.stage != Stage::Offered,
    }
}

/// Returns the key by which a sender was known again.
fn key_in(identity: &str) -> Option<Key> {
    let (kind, value) = identity.split_once(':')?;
    match kind {
        "certificate" => Some(Key::Certificate(value.into())),
        "cookie" => Some(Key::Cookie(value.into())),
        "udn" => Some(Key::Udn(value.into())),
        _ => None,
    }
}

impl Inner {
    /// Writes down that somebody took a beam back, before its tracks go and when they are gone.
    ///
    /// # Errors
    /// Those of the database.
    pub(in crate::intake) async fn note_undone(&self, beam: BeamId, done: bool) -> Result<()> {
        let json = {
            let mut desk = self.door.desk();
            desk.undone.retain(|taken| taken.beam != beam);
            desk.undone.push(TakenBack { beam, done });
            let from = desk.undone.len().saturating_sub(MOST_UNDONE);
            desk.undone.drain(..from);
            serde_json::to_string(&desk.undone).unwrap_or_default()
        };
        self.library.save_undone(json).await
    }
}

/// Seconds.
const DAY: i64 = 86_400;
/// Seconds in which something that can still be taken back came, with a file that waited to be looked at.
const LOOKED_BACK: i64 = 3600;
/// The newest rows have the highest numbers.
const NUMBERS_LOOKED_AT: u32 = 200;
/// Of which it is remembered that they were taken back: more than are shown.
const MOST_UNDONE: usize = 100;

#[cfg(test)]
mod tests;
