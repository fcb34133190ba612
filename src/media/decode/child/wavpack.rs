//! Where in a WavPack file a moment lies (WavPack 4 & 5 Binary File / Block Format): every block tells its first frame.
//! ffmpeg finds it by passing over every block from the start, a tenth of a second in two hours.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// Returns the byte at which the block of a frame begins, and its first frame; `None` where the blocks cannot be followed.
///
/// # Blocks
/// On about 30 reads of the disk.
pub(super) fn place(file: &File, audio: &Range<u64>, frame: u64) -> Option<(u64, u64)> {
    let first = Block::at(file, audio.start)?;
    let (mut low, mut high) = (first.place, audio.end);
    while high.saturating_sub(low) > NEAR {
        let middle = low + (high - low) / 2;
        match first_behind(file, middle..high) {
            Some(block) if block.frame <= frame => low = block.place,
            _ => high = middle,
        }
    }
    let mut best = None;
    for _ in 0..MOST_STEPS {
        let Some(block) = Block::at(file, low).filter(|block| block.frame <= frame) else { break };
        if block.begins {
            best = Some((block.place, block.frame));
        }
        low = block.end;
    }
    best
}

/// Returns the first block that begins in a stretch of the file and is followed by another one, or by the end.
fn first_behind(file: &File, within: Range<u64>) -> Option<Block> {
    let most = within.end.saturating_sub(within.start).min(LARGEST_BLOCK + 2 * HEAD as u64);
    let mut bytes = vec![0; usize::try_from(most).ok()?];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], within.start + filled as u64).ok()? {
            0 => break,
            count => filled += count,
        }
    }
    memchr::memmem::find_iter(&bytes[..filled], MAGIC).find_map(|at| {
        let block = Block::at(file, within.start + at as u64).filter(|block| block.begins)?;
        (block.end >= within.end || Block::at(file, block.end).is_some()).then_some(block)
    })
}

/// The head of a block.
struct Block {
    place: u64,
    /// Where the next one begins.
    end: u64,
    /// Its first frame.
    frame: u64,
    /// It has sound, and is the first of the blocks that share a moment: more than two channels take several.
    begins: bool,
}

impl Block {
    fn at(file: &File, place: u64) -> Option<Block> {
        let mut head = [0; HEAD];
        file.read_exact_at(&mut head, place).ok()?;
        let word = |at: usize| head[at..at + 4].iter().rev().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        let version = u16::from_le_bytes([head[8], head[9]]);
        let size = word(4) + 8;
        let plain = head.starts_with(MAGIC) && VERSIONS.contains(&version);
        (plain && (HEAD as u64..=LARGEST_BLOCK).contains(&size)).then(|| Block {
            place,
            end: place + size,
            frame: word(16) | u64::from(head[10]) << 32,
            begins: word(20) > 0 && word(24) & INITIAL != 0,
        })
    }
}

const MAGIC: &[u8] = b"wvpk";
const HEAD: usize = 32;
/// Versions of the stream that the format's document knows.
const VERSIONS: std::ops::RangeInclusive<u16> = 0x402..=0x410;
const INITIAL: u64 = 1 << 11;
/// Bytes of a block with its head, as the document limits it.
const LARGEST_BLOCK: u64 = (1 << 20) + 8;
/// Bytes that are followed block by block.
const NEAR: u64 = 256 << 10;
/// Blocks that are followed: the smallest are some hundred bytes.
const MOST_STEPS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// A file of blocks of 1,000 frames and odd lengths with `extra` blocks beside each, and a few magics within.
    fn blocks(count: u32, extra: usize) -> (File, Vec<u64>, Range<u64>) {
        let (mut bytes, mut places) = (b"a tag in front".to_vec(), Vec::new());
        let start = bytes.len() as u64;
        for n in 0..count {
            places.push(bytes.len() as u64);
            for nth in 0..=extra {
                let size = 100 + (n * 37 % 900) + nth as u32;
                bytes.extend_from_slice(MAGIC);
                bytes.extend_from_slice(&(size + 24).to_le_bytes());
                bytes.extend_from_slice(&[0x10, 4, 0, 0, 0, 0, 0, 0]);
                bytes.extend_from_slice(&(n * 1_000).to_le_bytes());
                bytes.extend_from_slice(&1_000u32.to_le_bytes());
                let flags = if nth == 0 { 1u32 << 11 } else { 0 };
                bytes.extend_from_slice(&flags.to_le_bytes());
                bytes.extend_from_slice(&[0; 4]);
                let body = bytes.len();
                bytes.resize(body + size as usize, (n % 200) as u8);
                bytes[body + 10..body + 14].copy_from_slice(MAGIC);
            }
        }
        let end = bytes.len() as u64;
        bytes.extend_from_slice(b"APETAGEX and more");
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&bytes).expect("written");
        (file, places, start..end)
    }

    #[test]
    fn every_frame_is_found_in_its_block() {
        for extra in [0, 2] {
            let (file, places, audio) = blocks(3_000, extra);
            for frame in (0..3_000_000).step_by(7_919).chain([0, 999, 1_000, 2_999_999]) {
                let n = frame / 1_000;
                assert_eq!(place(&file, &audio, frame), Some((places[n as usize], n * 1_000)), "{frame}");
            }
        }
    }

    #[test]
    fn what_is_no_wavpack_has_no_place() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&vec![7; 1 << 20]).expect("written");
        assert_eq!(place(&file, &(0..1 << 20), 5), None);
        assert_eq!(place(&file, &(1 << 30..1 << 31), 5), None);
    }
}
