//! The tags of a file that comes over the network, from its first bytes: what a decoder has to pass over anyway. Nothing
//! behind them is asked for, so that the sound is not kept waiting.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use crate::media::picture::{embedded, is_picture};
use crate::media::sniff::sniff;
use crate::media::sound::{Sound, sought};
use crate::media::tags::read;
use crate::track::Tags;

/// What the front of a file says of it.
#[derive(Debug)]
pub struct Told {
    /// Its tags.
    pub tags: Tags,
    /// The cover in it, at most 512 KiB.
    pub picture: Option<Vec<u8>>,
}

/// Returns the sound, at any position, and its tags when they lie in its first 512 KiB and it has an end.
///
/// # Blocks
/// On reading so much.
pub fn read_front(sound: Sound) -> (Sound, Option<Told>) {
    let Some(len) = sound.byte_len() else { return (sound, None) };
    let extension = sound.extension().map(str::to_owned);
    let shared = Arc::new(Mutex::new(sound));
    // Of one that is hardly longer all is read: its end would be half a front.
    let until = if len <= FRONT + BACK { len } else { FRONT };
    let front = Front { sound: shared.clone(), at: 0, len, until };
    let mut front = Sound::new(front, Some(len), extension.as_deref());
    let told = sniff(&mut front).ok().and_then(|sniffed| {
        let (tags, _) = read(&mut front, &sniffed).ok()?;
        let picture = if tags.has_picture { embedded(&mut front, &sniffed).ok().flatten() } else { None };
        Some(Told { tags, picture: picture.filter(|picture| is_picture(picture)) })
    });
    drop(front);
    let sound = Arc::into_inner(shared).expect("the front, which held the other half, is gone");
    (sound.into_inner().unwrap_or_else(PoisonError::into_inner), told)
}

/// The start of a sound. Its middle cannot be read; its end, where some tags lie, looks empty.
struct Front {
    sound: Arc<Mutex<Sound>>,
    at: u64,
    len: u64,
    /// Where the start ends.
    until: u64,
}

impl Read for Front {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = into.len().min(left);
        if most == 0 {
            return Ok(0);
        }
        let count = if self.at < self.until {
            let most = most.min((self.until - self.at) as usize);
            let mut sound = self.sound.lock().unwrap_or_else(PoisonError::into_inner);
            sound.seek(SeekFrom::Start(self.at))?;
            sound.read(&mut into[..most])?
        } else if self.at >= self.len.saturating_sub(BACK) {
            into[..most].fill(0);
            most
        } else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the tags are not at the start"));
        };
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Front {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = sought(to, self.at, self.len)?;
        Ok(self.at)
    }
}

/// Bytes that are read: a cover of a usual size stands in front of the words of some files.
const FRONT: u64 = 512 << 10;
/// Bytes at the end that look empty: as many as the sniffer of FLAC looks for the last frame in.
const BACK: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    /// Bytes of which those behind the front must not be read.
    struct Guarded(Cursor<Vec<u8>>);

    impl Read for Guarded {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let most = if (self.0.get_ref().len() as u64) <= FRONT + BACK { FRONT + BACK } else { FRONT };
            assert!(self.0.position() + into.len() as u64 <= most, "read behind the front");
            self.0.read(into)
        }
    }

    impl Seek for Guarded {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    /// An ID3v2.3 tag with a title in front of so many bytes of frames of 128 kbit/s.
    fn mp3(bytes: usize, padding: u32) -> Vec<u8> {
        let mut frames = vec![0xff, 0xfb, 0x90, 0x00];
        frames.resize(417, 0);
        let mut body = b"TIT2\0\0\0\x06\0\0\0Title".to_vec();
        body.resize(body.len() + padding as usize, 0);
        let size = body.len() as u32;
        let mut file = b"ID3\x03\0\0".to_vec();
        file.extend((0..4).rev().map(|part| (size >> (7 * part)) as u8 & 0x7f));
        file.extend(body);
        frames.iter().cycle().take(bytes).for_each(|byte| file.push(*byte));
        file
    }

    /// A FLAC that promises more sound than there is, with a title in front of so many bytes.
    fn flac(bytes: usize) -> Vec<u8> {
        let mut file = b"fLaC\x00\x00\x00\x22\x10\x00\x10\x00\0\0\0\0\0\0".to_vec();
        // 44,100 Hz, 2 channels, 16 bits, 1,000,000 samples (RFC 9639, 8.2); no sum.
        file.extend(((44_100u64 << 44) | (1 << 41) | (15 << 36) | 1_000_000).to_be_bytes());
        file.extend([0; 16]);
        file.extend(b"\x84\x00\x00\x17\0\0\0\0\x01\0\0\0\x0b\0\0\0TITLE=Title");
        file.resize(file.len() + bytes, 0x55);
        file
    }

    fn check(file: Vec<u8>, title: Option<&str>) {
        let (len, first) = (file.len() as u64, file[..3].to_vec());
        let sound = Sound::new(Guarded(Cursor::new(file)), Some(len), Some("mp3"));
        let (mut sound, told) = read_front(sound);
        assert_eq!(told.and_then(|told| told.tags.title).as_deref(), title);
        sound.seek(SeekFrom::Start(0)).expect("a place");
        let mut head = [0; 3];
        sound.read_exact(&mut head).expect("the sound itself");
        assert_eq!(head[..], first[..]);
    }

    #[test]
    fn the_tags_are_read_and_nothing_behind_the_front() {
        check(mp3(3 << 20, 0), Some("Title"));
        check(mp3(100_000, 1_000), Some("Title"));
        for bytes in [100_000, 500_000, 600_000, 750_000, 3 << 20] {
            check(flac(bytes), Some("Title"));
        }
        // A tag beyond the front is none.
        check(mp3(3 << 20, 600_000), None);
    }

    #[test]
    fn a_stream_without_an_end_is_left_alone() {
        let (sound, told) = read_front(Sound::new(Cursor::new(mp3(1_000, 0)), None, None));
        assert!(told.is_none() && sound.byte_len().is_none());
    }
}
