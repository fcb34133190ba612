//! What symphonia reads: a small head of our own making, then the bytes of the payload.
//!
//! The head holds only what a decoder needs. Tags, pictures and seek tables (megabytes in bought files) are never
//! read here, so opening stays quick and small, and a broken tag cannot keep a good song from sounding.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use symphonia::core::io::MediaSource;

use crate::error::{Error, Kind, Result};
use crate::media::decode::caf;
use crate::media::sniff::Sniffed;
use crate::media::sound::Sound;
use crate::track::Container;

/// A head in memory followed by a range of a sound.
pub(super) struct Source {
    sound: Sound,
    layout: Layout,
    /// Where the reader stands, counted from the start of the head.
    at: u64,
    /// Where the sound itself stands, `None` when unknown.
    sound_at: Option<u64>,
    seekable: Seekable,
}

/// A switch shared with the reader's owner: whether the source admits that it can seek.
#[derive(Clone)]
pub(super) struct Seekable(Arc<AtomicBool>);

impl Seekable {
    /// Sets the answer for every later question.
    pub(super) fn set(&self, seekable: bool) {
        self.0.store(seekable, Ordering::Relaxed);
    }
}

/// What to show of a sound.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    head: Vec<u8>,
    start: u64,
    /// `None`: up to wherever the sound ends.
    end: Option<u64>,
    /// Four bytes shown in place of those at an offset of the sound.
    patches: Vec<(u64, [u8; 4])>,
    fragmented: bool,
}

impl Layout {
    /// Returns a head of our own in front of a range of the sound.
    pub(super) fn new(head: Vec<u8>, start: u64, end: u64) -> Layout {
        Layout { head, start, end: Some(end), ..Layout::default() }
    }

    /// Returns whether an MP4 announces movie fragments.
    pub(super) fn fragmented(&self) -> bool {
        self.fragmented
    }

    /// Returns where the payload begins in the sound.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Returns the count of payload bytes when known.
    pub(super) fn payload(&self) -> Option<u64> {
        Some(self.end?.saturating_sub(self.start))
    }

    /// Finds what the decoder of this container needs.
    ///
    /// # Errors
    /// `Damaged` when the container's frame is not there, and those of reading.
    pub(super) fn of(sound: &mut Sound, sniffed: &Sniffed) -> Result<Layout> {
        let whole = Layout { end: sound.byte_len(), ..Layout::default() };
        match sniffed.format.container {
            Container::Flac => flac(sound, sniffed),
            Container::Wav => wav(sound),
            Container::Aiff => aiff(sound),
            Container::Caf => caf::layout(sound),
            Container::Mp4 => mp4(sound, whole),
            Container::Mpeg | Container::Adts if !sniffed.audio.is_empty() => {
                Ok(Layout { start: sniffed.audio.start, end: known(sniffed.audio.end), ..whole })
            }
            _ => Ok(whole),
        }
    }
}

impl Source {
    /// Returns the source and the switch of its seekability, which starts as `seekable`.
    pub(super) fn new(sound: Sound, layout: Layout, seekable: bool) -> (Source, Seekable) {
        let switch = Seekable(Arc::new(AtomicBool::new(seekable)));
        (Source { sound, layout, at: 0, sound_at: None, seekable: switch.clone() }, switch)
    }

    fn patch(&self, from: u64, bytes: &mut [u8]) {
        for (offset, shown) in &self.layout.patches {
            for (i, byte) in (0u64..).zip(shown) {
                let place = (offset + i).checked_sub(from).and_then(|at| usize::try_from(at).ok());
                if let Some(slot) = place.and_then(|at| bytes.get_mut(at)) {
                    *slot = *byte;
                }
            }
        }
    }
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let head = self.layout.head.len() as u64;
        if self.at < head {
            let rest = &self.layout.head[self.at as usize..];
            let count = rest.len().min(buf.len());
            buf[..count].copy_from_slice(&rest[..count]);
            self.at += count as u64;
            return Ok(count);
        }
        let from = self.layout.start.saturating_add(self.at - head);
        let left = self.layout.end.map_or(u64::MAX, |end| end.saturating_sub(from));
        let want = buf.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if want == 0 {
            return Ok(0);
        }
        if self.sound_at != Some(from) {
            self.sound_at = None;
            self.sound.seek(SeekFrom::Start(from))?;
        }
        let count = self.sound.read(&mut buf[..want])?;
        self.patch(from, &mut buf[..count]);
        self.at += count as u64;
        self.sound_at = Some(from + count as u64);
        Ok(count)
    }
}

impl Seek for Source {
    fn seek(&mut self, pos: SeekFrom) -> io::Result<u64> {
        let to = match pos {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.byte_len().and_then(|len| len.checked_add_signed(by)),
        };
        self.at = to.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "seek outside the sound"))?;
        Ok(self.at)
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        self.layout.end.is_some() && self.seekable.0.load(Ordering::Relaxed)
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.layout.payload()?.saturating_add(self.layout.head.len() as u64))
    }
}

/// Keeps STREAMINFO and goes on at the first frame (RFC 9639, section 8).
fn flac(sound: &mut Sound, sniffed: &Sniffed) -> Result<Layout> {
    let mut at = after_id3v2(sound)?;
    let mut marker = [0; 4];
    read_at(sound, at, &mut marker)?;
    if &marker != b"fLaC" {
        return Err(Error::new(Kind::Damaged, "the file does not begin as FLAC does"));
    }
    at += 4;
    let mut info = None;
    for _ in 0..MOST_CHUNKS {
        let mut block = [0; 4];
        read_at(sound, at, &mut block)?;
        let length = u32::from_be_bytes([0, block[1], block[2], block[3]]);
        if block[0] & 0x7f == 0 && length == 34 && info.is_none() {
            let mut bytes = [0; 34];
            read_at(sound, at + 4, &mut bytes)?;
            info = Some(bytes);
        }
        at += 4 + u64::from(length);
        if block[0] & 0x80 != 0 {
            let info = info.ok_or_else(|| Error::new(Kind::Damaged, "the FLAC file lacks its STREAMINFO"))?;
            let mut head = b"fLaC\x80\x00\x00\x22".to_vec();
            head.extend_from_slice(&info);
            let end = if sniffed.audio.end > at { known(sniffed.audio.end) } else { sound.byte_len() };
            return Ok(Layout { head, start: at, end, ..Layout::default() });
        }
    }
    Err(Error::new(Kind::Damaged, "the FLAC file has no end to its metadata"))
}

/// Keeps `fmt ` and `data` (Multimedia Programming Interface 1.0; RF64: EBU Tech 3306).
fn wav(sound: &mut Sound) -> Result<Layout> {
    let mut format = None;
    let mut long = None;
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        let (id, length) = chunk(sound, at, u32::from_le_bytes)?;
        at += 8;
        match &id {
            b"fmt " => format = Some(chunk_bytes(sound, at, length)?),
            // ds64: RIFF size, data size, sample count.
            b"ds64" => long = chunk_bytes(sound, at, length)?.get(8..16).and_then(|b| b.try_into().ok()),
            b"data" => {
                let format =
                    format.ok_or_else(|| Error::new(Kind::Damaged, "the WAV file lacks its format"))?;
                let said = match long {
                    Some(bytes) if length == u32::MAX => Some(u64::from_le_bytes(bytes)),
                    _ => Some(u64::from(length)).filter(|_| length != u32::MAX),
                };
                let (end, shown) = payload(sound, at, said);
                let mut head = b"RIFF\xff\xff\xff\xffWAVEfmt ".to_vec();
                push_chunk(&mut head, &format, u32::to_le_bytes);
                head.extend_from_slice(b"data");
                head.extend_from_slice(&shown.to_le_bytes());
                return Ok(Layout { head, start: at, end, ..Layout::default() });
            }
            _ => {}
        }
        at = at.saturating_add(u64::from(length) + u64::from(length & 1));
    }
    Err(Error::new(Kind::Damaged, "the WAV file has no data"))
}

/// Keeps `COMM` and `SSND` (Audio Interchange File Format 1.3 and AIFF-C, in any order).
fn aiff(sound: &mut Sound) -> Result<Layout> {
    let mut form = [0; 12];
    read_at(sound, 0, &mut form)?;
    let (mut common, mut data) = (None, None);
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        let Ok((id, length)) = chunk(sound, at, u32::from_be_bytes) else { break };
        at += 8;
        match &id {
            b"COMM" => common = Some(chunk_bytes(sound, at, length)?),
            b"SSND" => {
                let mut offset = [0; 4];
                read_at(sound, at, &mut offset)?;
                let skip = 8 + u64::from(u32::from_be_bytes(offset));
                data = Some((at.saturating_add(skip), u64::from(length).saturating_sub(skip)));
            }
            _ => {}
        }
        if common.is_some() && data.is_some() {
            break;
        }
        at = at.saturating_add(u64::from(length) + u64::from(length & 1));
    }
    let (Some(common), Some((start, said))) = (common, data) else {
        return Err(Error::new(Kind::Damaged, "the AIFF file has no sound data"));
    };
    let (end, shown) = payload(sound, start, Some(said));
    let mut inner = form[8..12].to_vec();
    inner.extend_from_slice(b"COMM");
    push_chunk(&mut inner, &common, u32::to_be_bytes);
    inner.extend_from_slice(b"SSND");
    let sized = shown.saturating_add(8);
    inner.extend_from_slice(&sized.to_be_bytes());
    // Offset and block size, both zero.
    inner.extend_from_slice(&[0; 8]);
    let total = u32::try_from(inner.len()).unwrap_or(u32::MAX).saturating_add(shown);
    let mut head = b"FORM".to_vec();
    head.extend_from_slice(&total.to_be_bytes());
    head.append(&mut inner);
    Ok(Layout { head, start, end, ..Layout::default() })
}

/// Shows the boxes that hold tags as `free` (ISO/IEC 14496-12, 8.1.2).
fn mp4(sound: &mut Sound, mut whole: Layout) -> Result<Layout> {
    let len = sound.byte_len().unwrap_or(0);
    let mut levels = vec![(0, len)];
    let mut seen = 0;
    while let Some((mut at, end)) = levels.pop() {
        while at + 8 <= end && seen < MOST_BOXES {
            seen += 1;
            let mut head = [0; 16];
            let wide = usize::from(at + 16 <= end) * 8 + 8;
            read_at(sound, at, &mut head[..wide])?;
            let short = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            let (skip, size) = match short {
                0 => (8, end - at),
                1 => (16, u64::from_be_bytes(head[8..].try_into().unwrap_or([0; 8]))),
                short => (8, u64::from(short)),
            };
            if size < skip {
                break;
            }
            // A box without a size goes to the end of the file; symphonia reads on behind its head, but for sound data.
            let inside = short == 0 && &head[4..8] != b"mdat";
            let next = at.saturating_add(if inside { skip } else { size });
            match &head[4..8] {
                b"moov" | b"moof" | b"traf" => levels.push((at + skip, at.saturating_add(size).min(end))),
                b"trun" => check_run(sound, at + skip, size - skip)?,
                b"udta" | b"meta" => whole.patches.push((at + 4, *b"free")),
                b"mvex" => whole.fragmented = true,
                _ => {}
            }
            at = next;
        }
    }
    Ok(whole)
}

/// Returns an end that is one: a stream of unknown length is taken to be endless by the sniffers.
fn known(end: u64) -> Option<u64> {
    (end < u64::MAX).then_some(end)
}

/// A run of samples in a fragment (ISO/IEC 14496-12, 8.8.8): version and flags, count, two fields, then up to four numbers
/// for each sample. symphonia counts through as many as are said, whether or not there are any.
fn check_run(sound: &mut Sound, at: u64, size: u64) -> Result<()> {
    let mut head = [0; 8];
    read_at(sound, at, &mut head)?;
    let numbers = u64::from((head[2] & 0x0f).count_ones());
    let count = u64::from(u32::from_be_bytes([head[4], head[5], head[6], head[7]]));
    if count.saturating_mul(numbers * 4) > size || count > MOST_SAMPLES {
        return Err(Error::new(
            Kind::Damaged,
            "a fragment of the MP4 file says that it holds more than it can",
        ));
    }
    Ok(())
}

/// Returns where the payload ends and its length as a chunk can say it; never beyond the end of the sound.
fn payload(sound: &Sound, start: u64, said: Option<u64>) -> (Option<u64>, u32) {
    let room = sound.byte_len().map(|len| len.saturating_sub(start));
    let length = match (said, room) {
        (Some(said), Some(room)) => Some(said.min(room)),
        (said, room) => said.or(room),
    };
    let shown = length.and_then(|length| u32::try_from(length).ok()).unwrap_or(u32::MAX);
    (length.map(|length| start.saturating_add(length)), shown)
}

fn push_chunk(head: &mut Vec<u8>, bytes: &[u8], size: fn(u32) -> [u8; 4]) {
    head.extend_from_slice(&size(bytes.len() as u32));
    head.extend_from_slice(bytes);
    head.extend_from_slice(&[0][..bytes.len() & 1]);
}

fn chunk(sound: &mut Sound, at: u64, size: fn([u8; 4]) -> u32) -> Result<([u8; 4], u32)> {
    let mut head = [0; 8];
    read_at(sound, at, &mut head)?;
    let [a, b, c, d, e, f, g, h] = head;
    Ok(([a, b, c, d], size([e, f, g, h])))
}

fn chunk_bytes(sound: &mut Sound, at: u64, length: u32) -> Result<Vec<u8>> {
    if length > LONGEST_HEAD {
        return Err(Error::new(Kind::Damaged, "the format chunk is longer than any known"));
    }
    let mut bytes = vec![0; length as usize];
    read_at(sound, at, &mut bytes)?;
    Ok(bytes)
}

/// Returns the offset after ID3v2 tags at the start (ID3v2.4.0 structure, 3.1), which some programs put before FLAC.
fn after_id3v2(sound: &mut Sound) -> Result<u64> {
    let mut at = 0u64;
    for _ in 0..MOST_ID3 {
        let mut head = [0; 10];
        read_at(sound, at, &mut head)?;
        if &head[..3] != b"ID3" {
            break;
        }
        let size = head[6..].iter().fold(0u64, |size, byte| size << 7 | u64::from(byte & 0x7f));
        let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
        at += 10 + size + footer;
    }
    Ok(at)
}

pub(super) fn read_at(sound: &mut Sound, at: u64, bytes: &mut [u8]) -> Result<()> {
    let read = sound.seek(SeekFrom::Start(at)).and_then(|_| sound.read_exact(bytes));
    read.map_err(|error| Error::io("read the head of the file", error))
}

/// More chunks than any file has.
const MOST_CHUNKS: usize = 4096;
/// Boxes of an MP4 that are looked at: ten hours in fragments of ten seconds have 20,000.
const MOST_BOXES: usize = 1 << 16;
/// Samples of one run: half an hour of AAC.
const MOST_SAMPLES: u64 = 1 << 17;
/// More ID3v2 tags in front of a file than any program writes.
const MOST_ID3: usize = 4;
/// Bytes of a `fmt ` or `COMM` chunk.
const LONGEST_HEAD: u32 = 4096;
