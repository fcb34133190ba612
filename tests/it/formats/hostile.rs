//! Files that are cut, flipped and that lie: an error or a clean end, never a panic, a hang or a giant allocation.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use konpo::media::decode::Block;
use konpo::units::Frames;

use crate::formats::sounds::*;
use crate::formats::wounds::{fixture, fixtures, is_slow, lie, lies};

/// Opens, decodes, seeks; whatever comes must end. Returns the frames that came.
fn survive(path: &Path, seek: u64) -> u64 {
    let Ok((mut decoder, _)) = open(path) else { return 0 };
    let spec = decoder.spec();
    assert!(spec.channels > 0);
    let (mut block, mut frames) = (Block::default(), 0u64);
    while decoder.next(&mut block).unwrap_or(false) {
        assert!(block.samples.len().is_multiple_of(usize::from(spec.channels)), "whole frames");
        frames += (block.samples.len() / usize::from(spec.channels)) as u64;
        assert!(frames < 20_000_000, "it never ends");
    }
    if decoder.seek(Frames(seek)).is_ok() {
        let _either_way = decoder.next(&mut block);
    }
    frames
}

fn wound(which: &(String, Vec<u8>), wounds: &[(f64, u8)], keep: f64, seek: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = which.1.clone();
    for (place, flip) in wounds {
        // Heads are hurt more often than sound.
        let at = (place * place * place * bytes.len() as f64) as usize;
        bytes[at] ^= flip;
    }
    bytes.truncate((keep * bytes.len() as f64) as usize);
    let path = folder.path().join(format!("a.{}", which.0));
    fs::write(&path, bytes).expect("written");
    survive(&path, seek);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn no_wound_takes_the_decoder_down(
        which in 0usize..14,
        wounds in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..12),
        keep in 0.05f64..=1.0,
        seek in 0u64..40_000,
    ) {
        let quick: Vec<_> = fixtures().iter().filter(|(name, _)| !is_slow(name)).collect();
        wound(quick[which % quick.len()], &wounds, keep, seek);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(30) })]

    #[test]
    fn no_wound_takes_the_box_down_through_its_child(
        which in 0usize..6,
        wounds in prop::collection::vec((0.0f64..1.0, any::<u8>()), 0..12),
        keep in 0.05f64..=1.0,
        seek in 0u64..40_000,
    ) {
        let slow: Vec<_> = fixtures().iter().filter(|(name, _)| is_slow(name)).collect();
        wound(slow[which % slow.len()], &wounds, keep, seek);
    }
}

#[test]
fn heads_that_lie_are_not_believed() {
    let folder = tempfile::tempdir().expect("a folder");
    for (i, (extension, bytes)) in lies().into_iter().enumerate() {
        let path = folder.path().join(format!("{i}.{extension}"));
        fs::write(&path, bytes).expect("written");
        let frames = survive(&path, 20_000);
        // The longest is what DSF holds at four times its rate.
        assert!(frames < 400_000, "{i} {extension}: {frames}");
    }
    // Not all was kept out: a lie about the length alone costs nothing.
    let path = folder.path().join("long.wav");
    fs::write(&path, lie(fixture("wav"), b"data", 0, &[0xff; 4])).expect("written");
    assert_eq!(survive(&path, 5), 30_000);
}
