//! The life of the device under the motor, and tracks that break at a bad moment.

use super::*;
use crate::player::Replaced;
use crate::player::gain::nearest;

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
        while self.motor.opening.is_busy() && started.elapsed() < Duration::from_secs(60) {
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

/// The rig with the knob on konpo, at full scale.
fn faded() -> Rig {
    let mut rig = Rig::new();
    let config =
        PlayerConfig { device: "silent".into(), knob: Knob::Box, mixer: Wish::Software, gain: Gain::UNITY };
    let output = Box::new(Silent::controlled(rig.control.clone()));
    rig.motor = Motor::new(&config, output, counting(), rig.now);
    rig
}

fn other() -> (SilentControl, Message) {
    let control = SilentControl::by_hand();
    let output: Box<dyn Output> = Box::new(Silent::controlled(control.clone()));
    (control, Message::Output(Replaced { device: "other".into(), output }))
}

#[test]
fn another_output_waits_for_the_fade_of_the_old_one_and_fades_in_itself() {
    let mut rig = faded();
    let loud = 1 << 24;
    rig.take(Message::Load(load(1, loud, 44_100, 44_100, 0, 0)));
    rig.run(200);
    let (control, message) = other();
    rig.take(message);
    assert!(rig.control.is_open(), "the fade is still to be heard");
    rig.heard.clear();
    rig.run(100);
    assert!(!rig.control.is_open());
    let fade: Vec<i32> = rig.heard.iter().copied().take_while(|s| *s != 0).collect();
    assert!((200..=240).contains(&fade.len()), "5 ms: {}", fade.len());
    assert!(fade.windows(2).all(|two| two[1] <= two[0] && two[0] - two[1] < loud / 150), "no click");
    rig.control = control;
    rig.heard.clear();
    rig.run(100);
    let come: Vec<i32> = rig.heard.iter().copied().skip_while(|s| *s == 0).collect();
    assert!(come[0] < loud / 100 && come.windows(2).all(|two| two[1] >= two[0]), "a fade in: {}", come[0]);
    // Nothing was lost but what faded: 5 ms behind frame 8,820.
    let settled = come[1_000] - loud;
    assert!((8_820..=8_820 + 441 + 1_000).contains(&settled), "{settled}");
}

#[test]
fn a_start_or_the_end_of_a_pause_goes_over_at_once() {
    for message in [Message::Load(load(2, 50_001, 4_410, 44_100, 0, 0)), Message::Pause] {
        let pauses = matches!(message, Message::Pause);
        let mut rig = faded();
        rig.take(Message::Load(load(1, 1, 44_100, 44_100, 0, 0)));
        rig.run(100);
        let (control, output) = other();
        rig.take(output);
        rig.take(message);
        if pauses {
            rig.take(Message::Resume);
        }
        assert!(!rig.control.is_open() && control.is_open());
        rig.control = control;
        rig.run(100);
        assert_eq!(rig.control.opened(), 1, "the switch is done once");
    }
}

#[test]
fn an_output_that_is_chosen_in_silence_is_shown_and_not_opened() {
    let mut rig = faded();
    let (control, output) = other();
    rig.take(output);
    rig.run(1_000);
    assert!(!control.is_open() && !rig.control.is_open());
    assert_eq!(rig.motor.told_device.as_ref().map(|device| device.name.as_str()), Some("other"));
}

/// Counts as long as it may, and waits for the network else.
struct Stalling {
    counting: Counting,
    flows: Arc<std::sync::atomic::AtomicBool>,
}

impl Source for Stalling {
    fn about(&self) -> &About {
        &self.counting.about
    }
    fn ready(&mut self) -> bool {
        self.flows.load(std::sync::atomic::Ordering::Relaxed)
    }
    fn read(&mut self, into: &mut Vec<i32>) -> Result<bool> {
        assert!(self.ready(), "the motor would hang");
        self.counting.read(into)
    }
    fn seek(&mut self, to: Frames) -> Result<Frames> {
        self.counting.seek(to)
    }
}

#[test]
fn a_network_that_stalls_keeps_the_motor_from_nothing_and_the_sound_goes_on_where_it_was() {
    let mut rig = Rig::new();
    let flows = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let (switch, numbers) = (flows.clone(), counting());
    rig.motor.decoders = Arc::new(move |sound| {
        let about = numbers(sound)?.about().clone();
        let len = about.duration.expect("a length").0;
        let counting = Counting { about, base: 1, at: 0, len, fails_at: None };
        Ok(Box::new(Stalling { counting, flows: switch.clone() }))
    });
    rig.take(Message::Load(load(1, 1, 44_100, 44_100, 0, 0)));
    rig.run(100);
    flows.store(false, std::sync::atomic::Ordering::Relaxed);
    rig.run(1_000);
    assert!(rig.motor.turn(rig.now).expect("it looks again soon") <= Duration::from_millis(20));
    rig.take(Message::Pause);
    rig.run(100);
    let paused = |event: &String| event.starts_with("paused 1 ");
    assert!(rig.events.iter().any(paused), "{:?}", rig.events);
    rig.take(Message::Resume);
    flows.store(true, std::sync::atomic::Ordering::Relaxed);
    rig.run(1_500);
    assert_eq!(rig.sound(), (1..=44_100).collect::<Vec<i32>>());
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
        |from: i32, factor: f64| (from..from + 5_000).map(move |n| nearest(f64::from(n) * factor) as i32);
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

#[test]
fn a_device_that_was_let_go_in_a_pause_is_told_of_again_with_the_track() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(1, 1, 441_000, 44_100, 0, 0)));
    rig.run(500);
    rig.take(Message::Pause);
    rig.run(20_000);
    assert_eq!((rig.count("released"), rig.count("opened 1")), (1, 1), "{:?}", rig.events);
    rig.take(Message::Resume);
    rig.run(500);
    assert_eq!((rig.count("opened 1"), rig.count("started 1")), (2, 1), "{:?}", rig.events);
}
