//! The life of the device under the motor, and tracks that break at a bad moment.

use super::*;

/// A track whose file is not there before the returned end of the channel says so.
fn slow(serial: u64, base: i32) -> (Load, std::sync::mpsc::Sender<()>) {
    let (wake, asleep) = std::sync::mpsc::channel::<()>();
    let open = move || {
        let _woken = asleep.recv();
        Ok(Sound::new(std::io::Cursor::new(format!("{base} 5000 44100 0").into_bytes()), None, None))
    };
    (Load { open: Box::new(open), ..load(serial, 0, 0, 44_100, 0, 0) }, wake)
}

impl Rig {
    fn awake(&mut self, wake: &std::sync::mpsc::Sender<()>) {
        wake.send(()).expect("it waits");
        let started = Instant::now();
        while self.motor.opening.is_busy() && started.elapsed() < Duration::from_secs(10) {
            self.motor.opened(self.now);
            std::thread::yield_now();
        }
        self.note();
    }

    fn count(&self, event: &str) -> usize {
        self.events.iter().filter(|e| *e == event).count()
    }
}

#[test]
fn a_pause_while_the_next_track_is_still_being_opened_holds() {
    let mut rig = Rig::new();
    let (next, wake) = slow(2, 10_001);
    rig.take(Message::Load(load(1, 1, 4_410, 44_100, 0, 0)));
    rig.motor.take(Message::Next(Some(next)), rig.now);
    rig.run(500);
    assert_eq!(rig.count("finished 1"), 1);
    rig.motor.take(Message::Pause, rig.now);
    rig.awake(&wake);
    rig.run(500);
    assert_eq!(rig.sound().len(), 4_410, "the pause was overrun");
    rig.take(Message::Resume);
    rig.run(500);
    assert_eq!(rig.sound(), (1..=4_410).chain(10_001..=15_000).collect::<Vec<i32>>());
}

#[test]
fn what_is_primed_follows_a_load_that_cannot_be_opened_also_after_a_pause() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(9, 90_001, 44_100, 44_100, 0, 0)));
    rig.take(Message::Pause);
    rig.run(20);
    rig.heard.clear();
    rig.events.clear();
    let broken = Load {
        open: Box::new(|| Err(Error::new(Kind::Damaged, "open the track"))),
        ..load(1, 0, 0, 44_100, 0, 0)
    };
    rig.take(Message::Load(broken));
    rig.take(Message::Next(Some(load(2, 1, 4_410, 44_100, 0, 0))));
    rig.run(300);
    assert_eq!(rig.sound(), (1..=4_410).collect::<Vec<i32>>());
    assert_eq!(rig.events.first().map(String::as_str), Some("failed 1 open the track"));
}

#[test]
fn a_load_on_a_busy_device_names_the_holder_and_is_played_once_it_is_free() {
    let mut rig = Rig::new();
    rig.control.fail(Some("the device is held by mpd (1234)"));
    rig.take(Message::Load(load(1, 1, 44_100, 44_100, 0, 0)));
    rig.run(2_000);
    assert_eq!(rig.count("trouble the device is held by mpd (1234)"), 1, "said once: {:?}", rig.events);
    assert!(rig.heard.is_empty());
    rig.control.fail(None);
    rig.run(6_000);
    assert!(rig.sound().into_iter().eq(1..=44_100));
}

#[test]
fn a_device_given_away_while_it_is_waited_for_is_not_taken_back() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(1, 1, 44_100, 44_100, 0, 0)));
    rig.run(100);
    rig.control.fail(Some("gone"));
    rig.control.unplug();
    rig.run(100);
    rig.take(Message::Release);
    rig.control.fail(None);
    rig.run(20_000);
    assert_eq!(rig.control.opened(), 1);
    rig.take(Message::Resume);
    rig.run(1_000);
    assert!(rig.sound().into_iter().eq(1..=44_100));
}

#[test]
fn another_output_goes_on_at_the_frame_where_the_old_one_was_left() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(1, 1, 44_100, 44_100, 0, 0)));
    rig.run(200);
    let other = SilentControl::by_hand();
    let output: Box<dyn Output> = Box::new(Silent::controlled(other.clone()));
    rig.take(Message::Output(Replaced { device: "other".into(), output }));
    assert!(!rig.control.is_open());
    let old = std::mem::replace(&mut rig.control, other);
    rig.run(1_000);
    assert!(rig.sound().into_iter().eq(1..=44_100));
    assert_eq!((old.opened(), rig.control.opened()), (1, 1));
}

#[test]
fn a_track_that_cannot_go_back_after_a_loss_is_told_and_the_next_one_plays() {
    let mut rig = Rig::new();
    // Reading beyond frame 4,000 fails, and so does the way back: a seek reads.
    rig.take(Message::Load(load(1, 1, 30_000, 44_100, 4_000, 0)));
    rig.take(Message::Next(Some(load(2, 50_001, 4_000, 44_100, 0, 0))));
    rig.run(50);
    rig.control.unplug();
    rig.run(3_000);
    let sound = rig.sound();
    // Blocks of 1,000 frames are counted anew from the place of the loss.
    let (first, second) = sound.split_at(sound.len() - 4_000);
    assert!(first.iter().copied().eq(1..=4_205), "{} frames", first.len());
    assert!(second.iter().copied().eq(50_001..=54_000));
    assert_eq!(rig.count("failed 1 read the track"), 1);
}

#[test]
fn a_stream_that_cannot_be_sought_goes_on_after_a_loss() {
    let mut rig = Rig::new();
    let numbers = counting();
    rig.motor.decoders = Arc::new(move |sound| {
        let mut about = numbers(sound)?.about().clone();
        about.seekable = false;
        let len = about.duration.expect("a length").0;
        Ok(Box::new(Counting { about, base: 1, at: 0, len, fails_at: None }))
    });
    rig.take(Message::Load(load(1, 1, 44_100, 44_100, 0, 0)));
    rig.run(100);
    rig.control.unplug();
    rig.run(3_000);
    assert_eq!(rig.count("failed 1"), 0, "{:?}", rig.events);
    assert_eq!(rig.sound().last(), Some(&44_100));
    assert_eq!(rig.count("finished 1"), 1);
}

/// ReplayGain of so many decibels.
fn by(db: i32) -> Option<crate::signal::ReplayGain> {
    let of = crate::signal::GainOf::Album;
    Some(crate::signal::ReplayGain { gain: Gain::from_db(db), of, measured: false })
}

#[test]
fn a_gain_begins_at_the_first_frame_of_its_track_and_ends_at_its_last() {
    let mut rig = Rig::new();
    rig.take(Message::Load(Load { level: by(-6), ..load(1, 1_000_000, 5_000, 44_100, 0, 0) }));
    rig.take(Message::Next(Some(Load { level: by(-20), ..load(2, 3_000_000, 5_000, 44_100, 0, 0) })));
    rig.run(200);
    rig.take(Message::Next(Some(load(3, 7_000_000, 5_000, 44_100, 0, 0))));
    rig.run(300);
    let half = Gain::from_db(-6).factor();
    let quieter =
        |from: i32, factor: f64| (from..from + 5_000).map(move |n| (f64::from(n) * factor).round() as i32);
    let expected: Vec<i32> =
        quieter(1_000_000, half).chain(quieter(3_000_000, 0.1)).chain(7_000_000..7_005_000).collect();
    assert_eq!(rig.sound(), expected);
}

#[test]
fn a_gain_stays_with_its_track_over_a_seek_and_a_lost_device() {
    let mut rig = Rig::new();
    rig.take(Message::Load(Load { level: by(-20), ..load(1, 1_000_000, 441_000, 44_100, 0, 0) }));
    rig.run(100);
    rig.take(Message::Seek(PlaySerial(1), Millis(2_000)));
    rig.heard.clear();
    rig.run(50);
    assert_eq!(rig.sound().first(), Some(&108_820));
    rig.control.unplug();
    rig.run(100);
    rig.heard.clear();
    rig.run(1_500);
    let back = rig.sound();
    assert!(back.first().is_some_and(|first| (108_820..120_000).contains(first)), "{:?}", back.first());
}
