//! A position that was a guess and is put right while it sounds.

use super::*;

/// Counts, and finds out behind its twentieth block that it began elsewhere.
struct Guessing {
    counting: Counting,
    blocks: u32,
}

impl Source for Guessing {
    fn about(&self) -> &About {
        &self.counting.about
    }
    fn read(&mut self, into: &mut Vec<i32>) -> Result<bool> {
        self.blocks += 1;
        self.counting.read(into)
    }
    fn corrected(&mut self) -> Option<Frames> {
        (self.blocks == 20).then_some(Frames(100_000))
    }
    fn seek(&mut self, to: Frames) -> Result<Frames> {
        self.blocks = 100;
        self.counting.seek(to)
    }
}

fn guessing() -> Rig {
    let mut rig = Rig::new();
    let numbers = counting();
    rig.motor.decoders = Arc::new(move |sound| {
        let about = numbers(sound)?.about().clone();
        let len = about.duration.expect("a length").0;
        let counting = Counting { about, base: 1, at: 0, len, fails_at: None };
        Ok(Box::new(Guessing { counting, blocks: 0 }))
    });
    rig.take(Message::Load(load(1, 1, 441_000, 44_100, 0, 0)));
    rig
}

/// Returns the frame that is told to be heard, to a millisecond.
fn told(rig: &Rig) -> u64 {
    let (_, position) = rig.motor.position().expect("it sounds");
    SampleRate::CD.frames_in(position).0
}

#[test]
fn the_position_is_the_guess_until_the_first_frame_is_heard_that_is_known_better() {
    let mut rig = guessing();
    rig.run(400);
    assert!(told(&rig).abs_diff(17_640) < 50, "{}", told(&rig));
    rig.run(200);
    // Block 20 begins at frame 19,000.
    let expected = 100_000 + 26_460 - 19_000;
    assert!(told(&rig).abs_diff(expected) < 50, "{}", told(&rig));
    assert!(rig.sound().into_iter().eq(1..=26_460), "not a frame is lost");
}

#[test]
fn a_loss_of_the_device_goes_back_to_the_place_that_is_known() {
    let mut rig = guessing();
    rig.run(600);
    let before = told(&rig);
    rig.control.fail(Some("the cable is out"));
    rig.control.unplug();
    rig.run(50);
    assert!(told(&rig).abs_diff(before) < 500, "{} of {before}", told(&rig));
}
