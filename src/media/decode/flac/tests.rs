use std::io;

use proptest::prelude::*;
use symphonia::core::io::ReadOnlySource;

use super::*;

const TONE: &[u8] = include_bytes!("../../../../tests/data/tone.flac");
const TONE_24: &[u8] = include_bytes!("../../../../tests/data/tone-24.flac");

/// A packet: its position, frames and bytes.
type Cut = (i64, u64, Vec<u8>);

fn stream(bytes: &[u8]) -> MediaSourceStream<'static> {
    MediaSourceStream::new(Box::new(Cursor::new(bytes.to_vec())), Default::default())
}

fn ours(bytes: &[u8]) -> Reader {
    Reader::new(stream(bytes)).expect("it opens")
}

fn theirs(bytes: &[u8]) -> FlacReader<'static> {
    FlacReader::try_new(stream(bytes), FormatOptions::default()).expect("it opens")
}

/// Reads to the end, which is an error for symphonia where frames are missing.
fn rest(reader: &mut dyn FormatReader) -> Vec<Cut> {
    std::iter::from_fn(|| reader.next_packet().ok().flatten())
        .map(|packet| (packet.pts.get(), packet.dur.get(), packet.data.to_vec()))
        .collect()
}

/// The first frame of the tone as frame `number`, below 128, with more bytes at its end.
fn frame(number: u8, more: &[u8]) -> Vec<u8> {
    let (_, _, mut frame) = rest(&mut ours(TONE)).swap_remove(0);
    frame[4] = number;
    // RFC 9639, 9.1.8.
    frame[5] = frame[..5].iter().fold(0u8, |sum, byte| {
        (0..8).fold(sum ^ byte, |sum, _| sum << 1 ^ if sum & 0x80 == 0 { 0 } else { 7 })
    });
    frame.truncate(frame.len() - 2);
    frame.extend_from_slice(more);
    let sum = crc16(0, &frame);
    frame.extend_from_slice(&sum.to_be_bytes());
    frame
}

/// A file of frames that does not say its length.
fn file(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut bytes = b"fLaC\x80\x00\x00\x22".to_vec();
    bytes.extend_from_slice(&TONE[8..42]);
    // The count of samples has 36 bits.
    bytes[8 + 13] &= 0xf0;
    bytes[8 + 14..8 + 18].fill(0);
    bytes.extend(frames.into_iter().flatten());
    bytes
}

#[test]
fn frames_are_those_that_symphonia_cuts() {
    let long = file((0..60).map(|n| frame(n, &[])));
    for bytes in [TONE, TONE_24, &long] {
        let (ours, theirs) = (rest(&mut ours(bytes)), rest(&mut theirs(bytes)));
        assert!(!ours.is_empty());
        assert!(ours == theirs, "{} for {}", ours.len(), theirs.len());
    }
}

#[test]
fn a_header_within_a_frame_does_not_end_it() {
    let header = frame(9, &[])[..6].to_vec();
    let odd = frame(1, &header.repeat(2));
    let bytes = file([frame(0, &[]), odd.clone(), frame(2, &[])]);
    let cut = rest(&mut ours(&bytes));
    assert_eq!(cut.len(), 3);
    assert!(cut[1].2 == odd);
}

/// Gives 700 bytes at a time.
struct Trickle(Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(700);
        self.0.read(&mut into[..most])
    }
}

#[test]
fn a_stream_that_cannot_be_sought_is_cut_as_it_comes() {
    let bytes = file((0..9).map(|n| frame(n, &[])));
    let mut reader = ours(&bytes);
    let expected = rest(&mut reader);
    let trickle = Trickle(Cursor::new(bytes));
    let stream = MediaSourceStream::new(Box::new(ReadOnlySource::new(trickle)), Default::default());
    let mut reader = Reader::new(stream).expect("it opens");
    let mut cut = Vec::new();
    while let Ok(Some(packet)) = reader.next_packet() {
        cut.push((packet.pts.get(), packet.dur.get(), packet.data.to_vec()));
        let to = SeekTo::Timestamp { ts: Timestamp::new(0), track_id: 0 };
        assert!(reader.seek(SeekMode::Accurate, to).is_err());
    }
    assert!(cut == expected, "{} for {}", cut.len(), expected.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_costs_no_frame_that_symphonia_saves(flips in proptest::collection::vec(any::<(u32, u8)>(), 1..12)) {
        let mut bytes = file((0..30).map(|n| frame(n, &[])));
        let whole = rest(&mut ours(&bytes));
        // The first header stands, so that both open the file.
        let from = 42 + 6;
        for (at, bits) in flips {
            let at = from + at as usize % (bytes.len() - from);
            bytes[at] ^= bits;
        }
        let cut = rest(&mut ours(&bytes));
        let theirs = rest(&mut theirs(&bytes));
        // One damaged frame in 65,536 has the right sum all the same (RFC 9639, 9.3): symphonia lets it through too.
        let right = |frame| whole.contains(frame) || theirs.contains(frame);
        prop_assert!(cut.iter().all(right), "a damaged frame came through");
        prop_assert!(theirs.iter().all(|frame| cut.contains(frame)), "a frame is lost");
    }

    #[test]
    fn seeks_go_where_symphonia_goes(jumps in proptest::collection::vec((0i64..40 * 4608, 0usize..3), 1..6)) {
        let bytes = file((0..40).map(|n| frame(n, &[])));
        let mut reader = ours(&bytes);
        for (ts, packets) in jumps {
            let to = || SeekTo::Timestamp { ts: Timestamp::new(ts), track_id: 0 };
            let expected = theirs(&bytes).seek(SeekMode::Accurate, to()).expect("it is there").actual_ts;
            let reached = reader.seek(SeekMode::Accurate, to()).expect("it is there");
            prop_assert_eq!(reached.actual_ts, expected);
            for n in 0..packets {
                let packet = reader.next_packet().expect("it is whole");
                let at = packet.map(|packet| packet.pts.get());
                let there = expected.get() + 4608 * n as i64;
                prop_assert_eq!(at, (there < 40 * 4608).then_some(there));
            }
        }
    }
}
