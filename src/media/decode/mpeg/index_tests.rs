use std::io::Write;
use std::time::Instant;

use symphonia::core::formats::{FormatReader, SeekMode, SeekTo};
use symphonia::core::units::Timestamp;

use super::*;
use crate::media::decode::{Block, Decoder};
use crate::media::sniff::sniff;
use crate::media::sound::Sound;
use crate::units::Frames;

/// Frames of 320 kbit/s, then of 64 kbit/s, at 44.1 kHz without padding, and no table.
const SLOW: u64 = 100_000;
const FAST: u64 = 20_000;
const SLOW_BYTES: u64 = 208;
const FAST_BYTES: u64 = 1044;
const IN_FRONT: u64 = 77;

fn two_rates() -> Stretch {
    let mut bytes = vec![7; IN_FRONT as usize];
    for (count, size, rate) in [(FAST, FAST_BYTES, 0xe0), (SLOW, SLOW_BYTES, 0x50)] {
        let mut frame = vec![0; size as usize];
        frame[..4].copy_from_slice(&[0xff, 0xfb, rate, 0x00]);
        (0..count).for_each(|_| bytes.extend_from_slice(&frame));
    }
    let len = bytes.len() as u64 - IN_FRONT;
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&bytes).expect("written");
    Stretch { file: Arc::new(file), start: IN_FRONT, len }
}

/// Returns the number of the frame that begins at a place.
fn number(place: u64) -> u64 {
    let fast = FAST * FAST_BYTES;
    if place < fast { place / FAST_BYTES } else { FAST + (place - fast) / SLOW_BYTES }
}

fn opened() -> Reader {
    let stretch = two_rates();
    let stream = Box::new(At { stretch: stretch.clone(), at: 0 });
    let stream = MediaSourceStream::new(stream, MediaSourceStreamOptions::default());
    Reader::new(stream, Some(stretch)).expect("frames")
}

fn seek(reader: &mut Reader, frame: u64) -> u64 {
    let to = SeekTo::Timestamp { ts: Timestamp::new((frame * 1152) as i64), track_id: 0 };
    let sought = reader.seek(SeekMode::Accurate, to).expect("it can be sought");
    assert_eq!(sought.actual_ts.get() as u64 / 1152, frame, "what it believes");
    number(reader.place())
}

#[test]
fn a_guess_is_put_right_while_it_plays_and_every_later_seek_is_exact() {
    let mut reader = opened();
    let guessed = seek(&mut reader, 30_000);
    assert!(guessed.abs_diff(30_000) > 1_000, "nothing tells where that is: {guessed}");
    let begun = Instant::now();
    let (mut said, mut here) = (30_000, guessed);
    while said != here {
        // It plays on from the same place, again and again, while the table is counted.
        if here > guessed + 200 {
            reader.exact = false;
            here = seek(&mut reader, 30_000);
            if here == 30_000 {
                break;
            }
        }
        here = number(reader.place());
        said = reader.next_packet().expect("readable").expect("not its end").pts.get() as u64 / 1152;
        assert!(said == here || said - 30_000 == here - guessed, "{said} is neither guess nor truth, {here}");
        assert!(begun.elapsed().as_secs() < 60, "it was never put right");
        std::thread::yield_now();
    }
    for frame in [119_990, 5, 20_000, 19_999, 61_234] {
        while reader
            .index
            .as_ref()
            .and_then(|index| index.before(frame as i64 * 1152))
            .is_none_or(|mark| mark.1 + 2 * 128 * 1152 < frame as i64 * 1152)
        {
            assert!(begun.elapsed().as_secs() < 60, "it was never counted");
            std::thread::yield_now();
        }
        assert_eq!(seek(&mut reader, frame), frame);
    }
}

#[test]
fn what_the_decoder_says_at_the_end_is_true_though_it_began_with_a_guess() {
    let file = two_rates().file.try_clone().expect("a second handle");
    let mut sound = Sound::file(file, Some("mp3")).expect("a file");
    let sniffed = sniff(&mut sound).expect("an MP3");
    let mut decoder = Decoder::open(sound, &sniffed).expect("it opens");
    let target = Frames(34_000 * 1152);
    assert_eq!(decoder.seek(target).expect("it can be sought"), target);
    let (mut block, mut end, mut corrections) = (Block::default(), target.0, 0);
    while decoder.next(&mut block).expect("no damage") {
        let corrected = decoder.corrected();
        corrections += u32::from(corrected);
        assert!(corrected || block.at.0 == end, "{} behind {end}", block.at.0);
        end = block.at.0 + block.samples.len() as u64 / 2;
    }
    assert_eq!((corrections, end), (1, (FAST + SLOW) * 1152));
}

#[test]
fn a_place_is_named_to_the_frame_and_one_between_two_is_none() {
    let index = Index::start(two_rates()).expect("a thread");
    let begun = Instant::now();
    let asked = |place| loop {
        if let Some(position) = index.position_at(place) {
            return position;
        }
        assert!(begun.elapsed().as_secs() < 60, "no answer");
        std::thread::yield_now();
    };
    assert_eq!(asked(1_000 * FAST_BYTES), Some(1_000 * 1152));
    assert_eq!(asked(1_000 * FAST_BYTES + 1), None);
    assert_eq!(asked(FAST * FAST_BYTES + 10_000 * SLOW_BYTES), Some(30_000 * 1152));
    assert_eq!(asked(FAST_BYTES), Some(1152));
}
