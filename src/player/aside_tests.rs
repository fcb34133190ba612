use std::sync::mpsc;

use super::*;
use crate::track::{AudioFormat, Codec, Container};
use crate::units::SampleRate;

/// Counts frames in blocks of 100; each read waits for leave to go on. A seek lands as far beside as it is told.
struct Gated {
    about: About,
    at: u64,
    beside: i64,
    leave: mpsc::Receiver<()>,
}

impl Source for Gated {
    fn about(&self) -> &About {
        &self.about
    }
    fn read(&mut self, into: &mut Vec<i32>) -> Result<bool> {
        self.leave.recv().map_err(|_| Error::new(Kind::Stopped, "it is not wanted any more"))?;
        let end = (self.at + 100).min(LENGTH);
        into.extend((self.at..end).map(|n| n as i32 + 1));
        let more = self.at < LENGTH;
        self.at = end;
        Ok(more)
    }
    fn seek(&mut self, to: Frames) -> Result<Frames> {
        self.at = to.0.saturating_add_signed(self.beside);
        Ok(Frames(self.at))
    }
}

fn gated(beside: i64) -> (Aside, mpsc::Sender<()>) {
    let (go, leave) = mpsc::channel();
    let format = AudioFormat {
        container: Container::Wav,
        codec: Codec::Pcm,
        rate: Some(SampleRate::CD),
        channels: Some(1),
        bits: Some(16),
        frames: Some(Frames(LENGTH)),
    };
    let about = About {
        format,
        rate: SampleRate::CD,
        channels: 1,
        bits: 16,
        float: false,
        duration: Some(Frames(LENGTH)),
        seekable: true,
    };
    (Aside::new(Box::new(Gated { about, at: 0, beside, leave })).expect("a thread"), go)
}

fn all(aside: &mut Aside) -> Vec<i32> {
    let (mut sound, mut block) = (Vec::new(), Vec::new());
    while aside.read(&mut block).expect("no damage") {
        sound.append(&mut block);
    }
    sound
}

#[test]
fn everything_comes_in_order_and_the_end_stays_the_end() {
    let (mut aside, go) = gated(0);
    (0..=LENGTH / 100).for_each(|_| go.send(()).expect("it reads"));
    assert_eq!(all(&mut aside), (1..=LENGTH as i32).collect::<Vec<_>>());
    assert!(!aside.read(&mut Vec::new()).expect("over"));
}

#[test]
fn a_read_that_stalls_holds_nobody() {
    let (mut aside, go) = gated(0);
    let begun = Instant::now();
    assert!(!aside.ready());
    aside.seek(Frames(500)).expect("told");
    assert!(!aside.ready());
    assert!(begun.elapsed() < Duration::from_secs(20));
    // The read that stalled is dropped, the one behind the jump counts.
    (0..12).for_each(|_| go.send(()).expect("it reads"));
    assert_eq!(all(&mut aside).first(), Some(&501));
}

#[test]
fn the_place_is_exact_wherever_the_reader_lands() {
    for beside in [-250, -100, 0, 40] {
        let (mut aside, go) = gated(beside);
        (0..30).for_each(|_| go.send(()).expect("it reads"));
        assert_eq!(aside.seek(Frames(600)).expect("told"), Frames(600));
        let late = beside.max(0);
        let mut block = Vec::new();
        assert!(aside.read(&mut block).expect("no damage"));
        let landed = aside.corrected().map(|at| at.0 as i64);
        assert_eq!((landed, aside.corrected()), ((late > 0).then_some(600 + late), None));
        block.append(&mut all(&mut aside));
        assert_eq!(block, (601 + late as i32..=LENGTH as i32).collect::<Vec<_>>(), "{beside} beside");
        assert_eq!(aside.corrected(), None);
    }
}

#[test]
fn an_error_is_told_once_and_then_it_is_over() {
    let (mut aside, go) = gated(0);
    drop(go);
    assert_eq!(aside.read(&mut Vec::new()).expect_err("cut").kind(), Kind::Stopped);
    assert!(!aside.read(&mut Vec::new()).expect("over"));
}

#[test]
fn a_factor_counts_for_what_is_decoded_already_and_for_what_comes() {
    let (mut aside, go) = gated(0);
    (0..20).for_each(|_| go.send(()).expect("it reads"));
    let (mut sound, mut block) = (Vec::new(), Vec::new());
    while aside.read_times(if sound.len() < 500 { 3.0 } else { 2.0 }, &mut block).expect("no damage") {
        sound.append(&mut block);
    }
    let expected = |n: i32| if n <= 500 { 3 * n } else { 2 * n };
    assert_eq!(sound, (1..=LENGTH as i32).map(expected).collect::<Vec<_>>());
}

const LENGTH: u64 = 1_000;
