//! Writes three made-up songs for `packaging/try.sh --demo`: short tunes as FLAC (RFC 9639), on one album, with the mark that
//! a store leaves in what it sells. Nothing of a store is copied. `demo FOLDER`.

use std::f64::consts::TAU;
use std::io;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: demo FOLDER");
        return ExitCode::from(2);
    };
    match write_all(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the songs could not be written: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write_all(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (number, (title, notes)) in (1..).zip(&SONGS) {
        std::fs::write(folder.join(format!("{number:02} {title}.flac")), song(number, title, notes))?;
    }
    Ok(())
}

/// Title, and the notes in half tones above a' (440 Hz), a quarter of a second each.
const SONGS: [(&str, &str); 3] = [
    (
        "Morning Train",
        "0 4 7 12 7 4 0 4 2 5 9 14 9 5 2 5 -1 2 7 11 7 2 -1 2 0 4 7 12 7 4 0 0 0 0 4 7 12 16 12 7 4 0 0 0",
    ),
    (
        "Paper Lanterns",
        "0 3 7 10 12 10 7 3 -2 2 5 8 10 8 5 2 -4 0 3 7 8 7 3 0 -5 -1 2 5 7 5 2 -1 0 3 7 12 15 12 7 3 0 0",
    ),
    (
        "Last Bus Home",
        "7 7 9 7 12 11 11 11 7 7 9 7 14 12 12 12 7 7 19 16 12 11 9 9 17 17 16 12 14 12 12 12 0 4 7 12",
    ),
];

/// A whole file of one song.
fn song(number: u32, title: &str, notes: &str) -> Vec<u8> {
    let samples = tune(notes);
    let fields = [
        format!("TITLE={title}"),
        "ARTIST=The konpo Demo".to_owned(),
        "ALBUMARTIST=The konpo Demo".to_owned(),
        "ALBUM=Three Tunes".to_owned(),
        format!("TRACKNUMBER={number}"),
        "DATE=2026-11-22".to_owned(),
        // What the store of this name writes into every file it sells.
        "COMMENT=Visit https://konpo-demo.bandcamp.com".to_owned(),
    ];
    let mut file = b"fLaC".to_vec();
    file.extend(block(0, &stream_info(samples.len() as u64)));
    file.extend(block(0x84, &comments(&fields)));
    for (at, part) in (0..).zip(samples.chunks(BLOCK)) {
        file.extend(frame(at, part));
    }
    file
}

/// Plucked strings at a fifth of full scale.
fn tune(notes: &str) -> Vec<i16> {
    let mut samples = Vec::new();
    for note in notes.split(' ').filter_map(|note| note.parse::<f64>().ok()) {
        let pitch = 440.0 * (note / 12.0).exp2() / f64::from(RATE);
        samples.extend((0..RATE / 4).map(|at| {
            let (at, length) = (f64::from(at), f64::from(RATE / 4));
            let wave: f64 =
                (1..=4).map(|over| (TAU * pitch * over as f64 * at).sin() / f64::from(over * over)).sum();
            let fade = (1.0 - at / length) * (at / 200.0).min(1.0);
            (wave * fade * 6500.0) as i16
        }));
    }
    // The last block is as long as the others.
    samples.resize(samples.len().next_multiple_of(BLOCK), 0);
    samples
}

/// STREAMINFO (RFC 9639, 8.2): one channel of 16 bits; sizes of frames and the sum of the samples are not told.
fn stream_info(samples: u64) -> Vec<u8> {
    let block = (BLOCK as u16).to_be_bytes();
    let packed = u64::from(RATE) << 44 | 15 << 36 | samples;
    [&block[..], &block, &[0; 6], &packed.to_be_bytes(), &[0; 16]].concat()
}

fn comments(fields: &[String]) -> Vec<u8> {
    let sized = |text: &str| [&(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let mut body = sized("konpo");
    body.extend((fields.len() as u32).to_le_bytes());
    fields.iter().for_each(|field| body.extend(sized(field)));
    body
}

/// A metadata block; 0x80 marks the last.
fn block(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

/// A frame of samples as they are (RFC 9639, 9.1 and 9.2.4).
fn frame(number: u32, samples: &[i16]) -> Vec<u8> {
    // Fixed size of blocks; 4096 samples at 44.1 kHz; one channel of 16 bits; the number in the manner of UTF-8.
    let mut bytes = vec![0xff, 0xf8, 0xc9, 0x08];
    let letter = char::from_u32(number).unwrap_or('\0');
    bytes.extend(letter.encode_utf8(&mut [0; 4]).as_bytes());
    bytes.push(sum(&bytes, 0x07, 8) as u8);
    bytes.push(0x02);
    bytes.extend(samples.iter().flat_map(|sample| sample.to_be_bytes()));
    bytes.extend(sum(&bytes, 0x8005, 16).to_be_bytes());
    bytes
}

/// A cyclic sum of 8 or 16 bits.
fn sum(bytes: &[u8], polynomial: u16, bits: u32) -> u16 {
    let top = 1 << (bits - 1);
    let mask = u16::MAX >> (16 - bits);
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte) << (bits - 8), |sum, _| {
            (if sum & top == 0 { sum << 1 } else { sum << 1 ^ polynomial }) & mask
        })
    })
}

const RATE: u32 = 44_100;
/// Samples of a frame.
const BLOCK: usize = 4096;
