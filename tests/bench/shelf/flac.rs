//! Writes FLAC (RFC 9639): a few frames of quiet noise, then frames of silence.

use super::bits::{Bits, crc_8, crc_16};
use super::song::{PICTURE_SIDE, Song};
use super::support::fixtures::Random;

/// Returns a whole file of 2 to 8 kB.
pub fn small(song: &Song) -> Vec<u8> {
    let mut random = Random(song.seed | 1);
    let (loud, silent) = (1 + random.below(3) as u32, 10 + random.below(100) as u32);
    let mut file = head(song, u64::from(loud + silent), &[]);
    for number in 0..loud + silent {
        file.extend(frame(number, (number < loud).then_some(&mut random)));
    }
    file
}

/// Returns the begin and the end of a file of `length` bytes; what is between may be anything.
pub fn big(song: &Song, length: u64) -> (Vec<u8>, Vec<u8>) {
    let mut random = Random(song.seed | 1);
    // About what music takes.
    let frames = length / 11_000;
    let mut begin = head(song, frames, &block(1, &[0; 8192]));
    for number in 0..64 {
        begin.extend(frame(number, Some(&mut random)));
    }
    let last = u32::try_from(frames - 1).expect("below 31 bits");
    (begin, frame(last, Some(&mut random)))
}

/// The mark, STREAMINFO, the comments, the picture and `more` blocks; the last block is marked so.
fn head(song: &Song, frames: u64, more: &[u8]) -> Vec<u8> {
    let mut info = Bits::default();
    info.push(BLOCK, 16);
    info.push(BLOCK, 16);
    // Sizes of frames: unknown.
    info.push(0, 24);
    info.push(0, 24);
    info.push(44_100, 20);
    info.push(CHANNELS - 1, 3);
    info.push(16 - 1, 5);
    let samples = frames * u64::from(BLOCK);
    info.push((samples >> 32) as u32, 4);
    info.push(samples as u32, 32);
    // MD5 of the samples: unknown.
    (0..4).for_each(|_| info.push(0, 32));
    let mut file = b"fLaC".to_vec();
    file.extend(block(0, &info.whole()));
    let mut last = file.len();
    file.extend(block(4, &comments(song)));
    if let Some(cover) = &song.cover {
        last = file.len();
        file.extend(block(6, &picture(cover)));
    }
    if !more.is_empty() {
        last = file.len();
        file.extend(more);
    }
    file[last] |= 0x80;
    file
}

fn block(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("small").to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

fn comments(song: &Song) -> Vec<u8> {
    let mut lines: Vec<String> = Vec::new();
    for (key, values) in &song.tags {
        lines.extend(values.iter().map(|value| format!("{}={value}", key.vorbis)));
    }
    lines.push(format!("TRACKNUMBER={}", song.track.0));
    lines.push(format!("TRACKTOTAL={}", song.track.1));
    if song.disc.1 > 1 {
        lines.push(format!("DISCNUMBER={}", song.disc.0));
        lines.push(format!("DISCTOTAL={}", song.disc.1));
    }
    if song.compilation {
        lines.push("COMPILATION=1".into());
    }
    let mut bytes = Vec::new();
    let mut text = |text: &str| {
        bytes.extend(u32::try_from(text.len()).expect("short").to_le_bytes());
        bytes.extend(text.as_bytes());
    };
    text("reference libFLAC 1.4.2 20221022");
    let mut list = Vec::new();
    for line in &lines {
        list.extend(u32::try_from(line.len()).expect("short").to_le_bytes());
        list.extend(line.as_bytes());
    }
    bytes.extend(u32::try_from(lines.len()).expect("few").to_le_bytes());
    bytes.extend(list);
    bytes
}

fn picture(cover: &[u8]) -> Vec<u8> {
    let number = |value: usize| u32::try_from(value).expect("small").to_be_bytes();
    let mut bytes = number(3).to_vec();
    bytes.extend(number(10));
    bytes.extend(b"image/jpeg");
    bytes.extend(number(0));
    for value in [PICTURE_SIDE as usize, PICTURE_SIDE as usize, 24, 0, cover.len()] {
        bytes.extend(number(value));
    }
    bytes.extend(cover);
    bytes
}

/// Returns a frame: noise on the left and silence on the right, or silence on both.
fn frame(number: u32, noise: Option<&mut Random>) -> Vec<u8> {
    let mut bits = Bits::default();
    // A stream of fixed block size; 4096 samples, 44.1 kHz; two channels of 16 bit.
    bits.push(0xFFF8, 16);
    bits.push(0xC9, 8);
    bits.push((CHANNELS - 1) << 4 | 4 << 1, 8);
    coded(&mut bits, number);
    let sum = crc_8(bits.bytes());
    bits.push(u32::from(sum), 8);
    match noise {
        None => constant(&mut bits),
        Some(random) => {
            // A fixed predictor of order 0, its residual in one partition of Rice parameter 0 (9.2.5, 9.2.7).
            bits.push(8 << 1, 8);
            bits.push(0, 2 + 4 + 4);
            for _ in 0..BLOCK / 32 {
                let word = random.next();
                for sample in 0..32 {
                    bits.push(1, 1 + (word >> (sample * 2) & 3) as u32);
                }
            }
        }
    }
    constant(&mut bits);
    bits.align();
    let sum = crc_16(bits.bytes());
    bits.push(u32::from(sum), 16);
    bits.whole()
}

fn constant(bits: &mut Bits) {
    bits.push(0, 8);
    bits.push(0, 16);
}

/// A number in the manner of UTF-8 (9.1.5), below 2^21.
fn coded(bits: &mut Bits, number: u32) {
    let more = |bits: &mut Bits, shift: u32| bits.push(0x80 | number >> shift & 0x3F, 8);
    match number {
        0..0x80 => bits.push(number, 8),
        0x80..0x800 => {
            bits.push(0xC0 | number >> 6, 8);
            more(bits, 0);
        }
        0x800..0x1_0000 => {
            bits.push(0xE0 | number >> 12, 8);
            more(bits, 6);
            more(bits, 0);
        }
        _ => {
            bits.push(0xF0 | number >> 18, 8);
            more(bits, 12);
            more(bits, 6);
            more(bits, 0);
        }
    }
}

/// Samples of a frame.
const BLOCK: u32 = 4096;
const CHANNELS: u32 = 2;
