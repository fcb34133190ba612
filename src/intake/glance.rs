//! Whether a file was bought, before it is fetched: the gate looks at a few of its bytes. Pure.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::media::purchase::purchases;
use crate::media::sniff::sniff;
use crate::media::sound::{Sound, sought};

/// What the bytes so far say.
#[derive(Debug, PartialEq, Eq)]
pub enum Says {
    /// These bytes are needed: the first one and how many.
    More(u64, u64),
    /// It carries a store's mark.
    Bought,
    /// It carries none, or cannot be told from so few bytes.
    NotBought,
}

/// The few bytes of a remote file.
#[derive(Debug)]
pub struct Glance {
    size: u64,
    pieces: Vec<(u64, Bytes)>,
    spent: u64,
}

impl Glance {
    /// Returns a glance at a file of this size.
    pub fn new(size: u64) -> Glance {
        Glance { size, pieces: Vec::new(), spent: 0 }
    }

    /// Adds bytes that came.
    pub fn add(&mut self, at: u64, bytes: Bytes) {
        self.spent += bytes.len() as u64;
        self.pieces.push((at, bytes));
    }

    /// Says what the bytes so far tell. At most [`MOST`] bytes are ever asked for, the first 128 KiB first.
    pub fn says(&self) -> Says {
        if self.pieces.is_empty() {
            return Says::More(0, FIRST.min(self.size));
        }
        let missing = Arc::new(Mutex::new(None));
        let sparse = Sparse { size: self.size, pieces: self.pieces.clone(), at: 0, missing: missing.clone() };
        let sniffed = sniff(&mut Sound::new(sparse, Some(self.size), None));
        let missing = missing.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (sniffed, missing) {
            (Ok(sniffed), _) if purchases(&sniffed, &[]).iter().any(|buy| buy.level.is_proof()) => {
                Says::Bought
            }
            (Err(_), Some(at)) if self.spent < MOST && self.pieces.len() < PIECES => {
                Says::More(at, STEP.min(self.size - at).min(MOST - self.spent))
            }
            _ => Says::NotBought,
        }
    }
}

/// A file of which only pieces are here; what is not is noted and fails.
struct Sparse {
    size: u64,
    pieces: Vec<(u64, Bytes)>,
    at: u64,
    missing: Arc<Mutex<Option<u64>>>,
}

impl Read for Sparse {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.size || into.is_empty() {
            return Ok(0);
        }
        let piece =
            self.pieces.iter().find(|(from, bytes)| (*from..from + bytes.len() as u64).contains(&self.at));
        let Some((from, bytes)) = piece else {
            *self.missing.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.at);
            return Err(io::Error::other("these bytes are not here"));
        };
        let here = &bytes[(self.at - from) as usize..];
        let count = here.len().min(into.len());
        into[..count].copy_from_slice(&here[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Sparse {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = sought(to, self.at, self.size)?;
        Ok(self.at)
    }
}

/// Design, "seen_remote": the first 128 KiB, then the `moov` box wherever it lies, at most 4 MiB.
const FIRST: u64 = 128 << 10;
const STEP: u64 = 256 << 10;
/// The most bytes of a glance.
pub const MOST: u64 = 4 << 20;
const PIECES: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mint;
    use crate::track::PurchaseLevel;

    fn glance(bytes: &[u8]) -> (Says, u64) {
        let mut glance = Glance::new(bytes.len() as u64);
        loop {
            match glance.says() {
                Says::More(at, count) => {
                    assert!(count > 0 && at + count <= bytes.len() as u64);
                    let piece = Bytes::copy_from_slice(&bytes[at as usize..(at + count) as usize]);
                    glance.add(at, piece);
                }
                said => return (said, glance.spent),
            }
        }
    }

    #[test]
    fn a_purchase_is_told_from_a_few_of_its_bytes() {
        assert_eq!(glance(&mint::itunes_plus()).0, Says::Bought);
        assert_eq!(glance(&mint::itunes_locked()).0, Says::Bought);
        assert_eq!(glance(&mint::amazon()).0, Says::Bought);
        assert_eq!(glance(&mint::data("tone.flac")).0, Says::NotBought);
        assert_eq!(glance(b"just text").0, Says::NotBought);
        // The address of a shop in a tag is a claim, and no proof.
        let linked = mint::buys::flac(&[("TITLE", "Song"), ("URL", "https://www.7digital.com/artist/song")]);
        let told = sniff(&mut Sound::new(io::Cursor::new(linked.clone()), Some(linked.len() as u64), None));
        let claims = purchases(&told.expect("a FLAC file"), &[]);
        assert_eq!(claims.iter().map(|buy| buy.level).collect::<Vec<_>>(), [PurchaseLevel::Claimed]);
        assert_eq!(glance(&linked).0, Says::NotBought);
    }

    #[test]
    fn of_a_large_file_only_its_table_of_contents_is_fetched() {
        let plus = mint::itunes_plus();
        let moov = plus.windows(4).position(|w| w == b"moov").expect("moov") - 4;
        // The payload grows by 3 MB in front of the table: a `free` box does as well as sound.
        let wide = mint::boxed(b"free", &vec![0; 3_000_000]);
        let large = [&plus[..moov], &wide, &plus[moov..]].concat();
        let (said, spent) = glance(&large);
        assert_eq!(said, Says::Bought);
        assert!(spent < 600_000, "{spent} bytes were fetched");
    }

    #[test]
    fn a_file_that_leads_nowhere_is_given_up() {
        let noise: Vec<u8> =
            (0..8u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 & 0x7f).collect();
        let (said, spent) = glance(&noise);
        assert_eq!(said, Says::NotBought);
        assert!(spent <= MOST);
    }
}
