//! Writes MP4 (ISO/IEC 14496-12, -14) with AAC-LC (14496-3), or with ALAC in frames that are not compressed. Tags are
//! iTunes' `ilst`. The small ones have `moov` first, the big ones last.

use std::io::{self, Write};

use super::bits::Bits;
use super::song::{Key, Song};
use super::support::fixtures::Random;

/// The sound: its frames and what a reader must know of them.
struct Sound {
    codec: Codec,
    channels: u16,
    /// Samples of a frame.
    frame: u32,
    /// Bytes of each frame.
    sizes: Vec<u32>,
    /// Frames of a chunk; divides their count.
    chunk: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Codec {
    Aac,
    Alac,
}

/// Returns a whole file of 2 to 8 kB.
pub fn small(song: &Song) -> Vec<u8> {
    let mut random = Random(song.seed | 1);
    let codec = if random.below(4) == 0 { Codec::Alac } else { Codec::Aac };
    let (frame, frames): (u32, Vec<Vec<u8>>) = match codec {
        Codec::Aac => (1024, (0..40 + random.below(60)).map(|_| aac(&mut random, 24)).collect()),
        Codec::Alac => (512, (0..2 + random.below(5)).map(|_| alac(&mut random, 512, 1)).collect()),
    };
    let sizes: Vec<u32> = frames.iter().map(|frame| u32::try_from(frame.len()).expect("small")).collect();
    let sound = Sound { codec, channels: 1, frame, chunk: sizes.len() as u32, sizes };
    // The size of `moov` does not hang on where the sound lies.
    let before = KIND.len() + moov(song, &sound, 0).len() + 8;
    [KIND, &moov(song, &sound, before), &boxed(b"mdat", &frames.concat())].concat()
}

/// Writes a file of about `length` bytes: ALAC with large frames, or AAC, whose many small ones make a long table.
pub fn big(song: &Song, length: u64, file: &mut impl Write) -> io::Result<()> {
    let mut random = Random(song.seed | 1);
    let (codec, channels, samples, chunk, frame) = match random.below(2) {
        0 => (Codec::Aac, 1, 1024, 22, aac(&mut random, 260)),
        _ => (Codec::Alac, 2, 4096, 5, alac(&mut random, 4096, 2)),
    };
    let run: Vec<u8> = frame.repeat(chunk as usize);
    let runs = usize::try_from(length).expect("fits") / run.len();
    let sizes = vec![u32::try_from(frame.len()).expect("small"); runs * chunk as usize];
    let sound = Sound { codec, channels, frame: samples, sizes, chunk };
    let size = u32::try_from(runs * run.len() + 8).expect("below 4 GB");
    file.write_all(KIND)?;
    file.write_all(&[&size.to_be_bytes()[..], b"mdat"].concat())?;
    (0..runs).try_for_each(|_| file.write_all(&run))?;
    file.write_all(&moov(song, &sound, KIND.len() + 8))
}

/// A silent frame with a fill element of `fill` bytes, 15 to 269 (ISO/IEC 14496-3, 4.4.2.1, 4.4.2.7).
fn aac(random: &mut Random, fill: u32) -> Vec<u8> {
    let mut bits = Bits::default();
    // One channel without a single band: id 0, tag, gain, and what follows all zero.
    bits.push(0, 29);
    bits.push(6, 3);
    bits.push(15, 4);
    bits.push(fill - 14, 8);
    // Of the kind that has no meaning.
    bits.push(0, 4);
    bits.push(random.next() as u32, 4);
    (1..fill).for_each(|_| bits.push((random.next() >> 32) as u32, 8));
    bits.push(7, 3);
    bits.whole()
}

/// A frame of quiet noise that is not compressed.
fn alac(random: &mut Random, samples: u32, channels: u16) -> Vec<u8> {
    let mut bits = Bits::default();
    bits.push(u32::from(channels - 1), 3);
    bits.push(0, 4 + 12);
    // Of the full length, no shifted bits, not compressed.
    bits.push(0b0001, 4);
    for _ in 0..samples * u32::from(channels) {
        let sample = (random.next() >> 58) as i32 - 32;
        bits.push(sample as u32, 16);
    }
    bits.push(7, 3);
    bits.whole()
}

fn moov(song: &Song, sound: &Sound, offset: usize) -> Vec<u8> {
    let length = (sound.sizes.len() as u32 * sound.frame).to_be_bytes();
    let rate = RATE.to_be_bytes();
    let matrix: Vec<u8> =
        [0x1_0000u32, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000].iter().flat_map(|n| n.to_be_bytes()).collect();
    let mvhd =
        [&[0; 12][..], &rate, &length, &[0, 1, 0, 0, 1, 0], &[0; 10], &matrix, &[0; 24], &[0, 0, 0, 2]];
    let tkhd = [
        &[0, 0, 0, 7][..],
        &[0; 8],
        &[0, 0, 0, 1],
        &[0; 4],
        &length,
        &[0; 12],
        &[1, 0, 0, 0],
        &matrix,
        &[0; 8],
    ];
    let mdhd = [&[0; 12][..], &rate, &length, &[0x55, 0xC4, 0, 0]];
    let hdlr = [&[0; 8][..], b"soun", &[0; 12], b"SoundHandler\0"];
    let dref = boxed(b"dref", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &boxed(b"url ", &[0, 0, 0, 1])].concat());
    let minf = [boxed(b"smhd", &[0; 8]), boxed(b"dinf", &dref), stbl(sound, offset)];
    let mdia =
        [boxed(b"mdhd", &mdhd.concat()), boxed(b"hdlr", &hdlr.concat()), boxed(b"minf", &minf.concat())];
    let trak = [boxed(b"tkhd", &tkhd.concat()), boxed(b"mdia", &mdia.concat())];
    let handler = [&[0; 8][..], b"mdirappl", &[0; 9]].concat();
    let meta = [&[0; 4][..], &boxed(b"hdlr", &handler), &boxed(b"ilst", &items(song))].concat();
    let all = [
        boxed(b"mvhd", &mvhd.concat()),
        boxed(b"trak", &trak.concat()),
        boxed(b"udta", &boxed(b"meta", &meta)),
    ];
    boxed(b"moov", &all.concat())
}

fn stbl(sound: &Sound, offset: usize) -> Vec<u8> {
    let table = |name, head: &[u32], values: &[u32]| {
        let body: Vec<u8> =
            [&[0], head, values].iter().copied().flatten().flat_map(|n| n.to_be_bytes()).collect();
        boxed(name, &body)
    };
    let count = u32::try_from(sound.sizes.len()).expect("small");
    let mut at = u32::try_from(offset).expect("below 4 GB");
    let mut chunks = Vec::new();
    for chunk in sound.sizes.chunks(sound.chunk as usize) {
        chunks.push(at);
        at += chunk.iter().sum::<u32>();
    }
    let entry = match sound.codec {
        Codec::Aac => boxed(b"mp4a", &[entry(sound), boxed(b"esds", &esds())].concat()),
        Codec::Alac => boxed(b"alac", &[entry(sound), boxed(b"alac", &cookie(sound))].concat()),
    };
    let parts = [
        boxed(b"stsd", &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &entry].concat()),
        table(b"stts", &[1], &[count, sound.frame]),
        table(b"stsc", &[1], &[1, sound.chunk, 1]),
        table(b"stsz", &[0, count], &sound.sizes),
        table(b"stco", &[chunks.len() as u32], &chunks),
    ];
    boxed(b"stbl", &parts.concat())
}

/// The fields of every sound's sample entry.
fn entry(sound: &Sound) -> Vec<u8> {
    let channels = sound.channels.to_be_bytes();
    [&[0, 0, 0, 0, 0, 0, 0, 1][..], &[0; 8], &channels, &[0, 16, 0, 0, 0, 0], &(RATE << 16).to_be_bytes()]
        .concat()
}

/// Descriptors of AAC-LC, 44.1 kHz, mono (ISO/IEC 14496-1, 7.2.6).
fn esds() -> Vec<u8> {
    let bits = 96_000u32.to_be_bytes();
    let known = [0x05, 2, 0x12, 0x08];
    let decoder = [&[0x04, 17, 0x40, 0x15, 0, 0, 0][..], &bits, &bits, &known].concat();
    [&[0, 0, 0, 0, 0x03, 25, 0, 0, 0][..], &decoder, &[0x06, 1, 2]].concat()
}

/// What an ALAC decoder must know (ALACSpecificConfig).
fn cookie(sound: &Sound) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(sound.frame.to_be_bytes());
    bytes.extend([0, 16, 40, 10, 14, sound.channels as u8, 0, 255]);
    bytes.extend([0; 8]);
    bytes.extend(RATE.to_be_bytes());
    bytes
}

fn items(song: &Song) -> Vec<u8> {
    let mut items = Vec::new();
    for (key, values) in &song.tags {
        items.extend(item(*key, values));
    }
    let (track, disc) = (song.track, song.disc);
    items.extend(boxed(b"trkn", &data(0, &[0, 0, 0, track.0, 0, track.1, 0, 0])));
    if disc.1 > 1 {
        items.extend(boxed(b"disk", &data(0, &[0, 0, 0, disc.0, 0, disc.1])));
    }
    if song.compilation {
        items.extend(boxed(b"cpil", &data(21, &[1])));
    }
    if let Some(cover) = &song.cover {
        items.extend(boxed(b"covr", &data(13, cover)));
    }
    items
}

fn item(key: Key, values: &[String]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|value| data(1, value.as_bytes())).collect();
    if key.itunes != b"----" {
        return boxed(key.itunes, &data);
    }
    let text = |name, text: &str| boxed(name, &[&[0; 4][..], text.as_bytes()].concat());
    boxed(b"----", &[text(b"mean", "com.apple.iTunes"), text(b"name", key.vorbis), data].concat())
}

fn data(kind: u32, value: &[u8]) -> Vec<u8> {
    boxed(b"data", &[&kind.to_be_bytes()[..], &[0; 4], value].concat())
}

fn boxed(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).expect("below 4 GB");
    [&length.to_be_bytes()[..], name, body].concat()
}

const KIND: &[u8] = b"\0\0\0\x18ftypM4A \0\0\x02\0M4A isom";
const RATE: u32 = 44_100;
