use std::time::{Duration, Instant};

use super::*;
use crate::media::sound::Sound;
use crate::player::mixer::Wish;
use crate::player::silent::{Silent, SilentControl};
use crate::player::source::{About, Source};
use crate::track::{AudioFormat, Codec, Container};
use crate::units::{Frames, SampleRate};

#[path = "motor_life_tests.rs"]
mod life;
#[path = "motor_mixer_tests.rs"]
mod mixer;
#[path = "motor_place_tests.rs"]
mod place;

/// Counts upwards: frame n of the track that starts at `base` is `base + n` on both channels.
struct Counting {
    about: About,
    base: i32,
    at: u64,
    len: u64,
    fails_at: Option<u64>,
}

impl Source for Counting {
    fn about(&self) -> &About {
        &self.about
    }
    fn read(&mut self, into: &mut Vec<i32>) -> Result<bool> {
        if self.fails_at.is_some_and(|at| self.at >= at) {
            return Err(Error::new(Kind::Damaged, "read the track"));
        }
        let end = (self.at + 1000).min(self.len);
        into.extend((self.at..end).flat_map(|n| [self.base + n as i32; 2]));
        let more = self.at < self.len;
        self.at = end;
        Ok(more)
    }
    fn seek(&mut self, to: Frames) -> Result<Frames> {
        self.at = to.0.min(self.len);
        Ok(Frames(self.at))
    }
}

/// The sound's bytes say what to count: base, length, rate, where to fail.
fn load(serial: u64, base: i32, len: u64, rate: u32, fails_at: u64, from: u64) -> Load {
    let text = format!("{base} {len} {rate} {fails_at}");
    let open = move || Ok(Sound::new(std::io::Cursor::new(text.into_bytes()), None, None));
    Load { serial: PlaySerial(serial), open: Box::new(open), from: Millis(from), level: None }
}

fn counting() -> Decoders {
    Arc::new(|mut sound| {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut sound, &mut text).expect("memory");
        let n: Vec<u64> = text.split(' ').map(|n| n.parse().expect("a number")).collect();
        let rate = SampleRate::new(n[2] as u32).expect("a rate");
        let (container, codec) = (Container::Wav, Codec::Pcm);
        let frames = Some(Frames(n[1]));
        let format =
            AudioFormat { container, codec, rate: Some(rate), channels: Some(2), bits: Some(16), frames };
        let about =
            About { format, rate, channels: 2, bits: 16, duration: frames, seekable: true, float: false };
        let fails_at = (n[3] > 0).then_some(n[3]);
        Ok(Box::new(Counting { about, base: n[0] as i32, at: 0, len: n[1], fails_at }))
    })
}

struct Rig {
    motor: Motor,
    control: SilentControl,
    now: Instant,
    heard: Vec<i32>,
    events: Vec<String>,
}

impl Rig {
    fn new() -> Rig {
        let control = SilentControl::by_hand();
        let config = PlayerConfig {
            device: "silent".into(),
            knob: Knob::Fixed,
            mixer: Wish::Software,
            gain: Gain::UNITY,
        };
        let output = Box::new(Silent::controlled(control.clone()));
        let now = Instant::now();
        let motor = Motor::new(&config, output, counting(), now);
        Rig { motor, control, now, heard: Vec::new(), events: Vec::new() }
    }

    fn take(&mut self, message: Message) {
        self.motor.take(message, self.now);
        // The next track is opened beside the motor: it is here before the clock goes on.
        let started = Instant::now();
        while self.motor.opening.is_busy() && started.elapsed() < Duration::from_secs(60) {
            self.motor.opened(self.now);
            std::thread::yield_now();
        }
        self.note();
    }

    /// Lets time and sound run for a while, in steps of 10 ms at 44.1 kHz.
    fn run(&mut self, millis: u64) {
        for _ in 0..millis / 10 {
            self.motor.turn(self.now);
            self.note();
            self.heard.extend(self.control.pull(441).chunks(2).map(|frame| frame[0]));
            self.now += Duration::from_millis(10);
        }
        self.motor.turn(self.now);
        self.note();
    }

    fn note(&mut self) {
        while let Some(event) = self.motor.event() {
            let words = match event {
                PlayerEvent::Opened { serial, .. } => format!("opened {}", serial.0),
                PlayerEvent::Started { serial, .. } => format!("started {}", serial.0),
                PlayerEvent::Finished { serial } => format!("finished {}", serial.0),
                PlayerEvent::NeedNext { serial } => format!("next {}", serial.0),
                PlayerEvent::Failed { serial, error } => format!("failed {} {}", serial.0, error.what()),
                PlayerEvent::Paused { serial, position } => format!("paused {} {}", serial.0, position.0),
                PlayerEvent::Resumed { serial, position } => format!("resumed {} {}", serial.0, position.0),
                PlayerEvent::Released => "released".to_owned(),
                PlayerEvent::Device(device) => match device.trouble {
                    Some(trouble) => format!("trouble {trouble}"),
                    None => continue,
                },
                PlayerEvent::Position { .. } => continue,
            };
            self.events.push(words);
        }
    }

    fn sound(&self) -> Vec<i32> {
        self.heard.iter().copied().filter(|s| *s != 0).collect()
    }
}

#[test]
fn two_tracks_are_one_piece_and_every_step_is_told() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(1, 1, 10_000, 44_100, 0, 0)));
    rig.take(Message::Next(Some(load(2, 10_001, 5_000, 44_100, 0, 0))));
    rig.run(600);
    assert_eq!(rig.heard[..15_000], (1..=15_000).collect::<Vec<i32>>()[..]);
    let told =
        ["opened 1", "next 1", "opened 2", "next 2", "started 1", "finished 1", "started 2", "finished 2"];
    let mut got = rig.events.clone();
    got.sort();
    let mut told = told.to_vec();
    told.sort();
    assert_eq!(got, told);
    assert_eq!(rig.control.opened(), 1);
}

#[test]
fn a_next_that_comes_when_the_decoder_is_done_is_still_gapless() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(1, 1, 8_000, 44_100, 0, 0)));
    rig.run(100);
    assert!(rig.events.contains(&"next 1".to_owned()));
    rig.take(Message::Next(Some(load(2, 8_001, 4_000, 44_100, 0, 0))));
    rig.run(300);
    assert_eq!(rig.heard[..12_000], (1..=12_000).collect::<Vec<i32>>()[..]);
}

#[test]
fn a_next_that_comes_after_the_end_follows_at_once_but_not_after_a_stop() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(1, 1, 4_410, 44_100, 0, 0)));
    rig.run(600);
    assert!(rig.events.contains(&"finished 1".to_owned()));
    rig.take(Message::Next(Some(load(2, 10_001, 4_410, 44_100, 0, 0))));
    rig.run(300);
    assert!(rig.events.contains(&"finished 2".to_owned()));
    rig.take(Message::Stop);
    rig.take(Message::Next(Some(load(3, 20_001, 4_410, 44_100, 0, 0))));
    rig.run(300);
    assert!(!rig.events.contains(&"started 3".to_owned()));
}

#[test]
fn another_rate_reopens_the_device_after_the_last_frame() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(1, 1, 4_410, 44_100, 0, 0)));
    rig.take(Message::Next(Some(load(2, 10_001, 4_410, 48_000, 0, 0))));
    rig.run(400);
    assert_eq!(rig.sound(), (1..=4_410).chain(10_001..=14_410).collect::<Vec<i32>>());
    assert_eq!(rig.control.opened(), 2);
}

#[test]
fn a_device_without_any_rate_says_rate_and_device() {
    let mut rig = Rig::new();
    rig.control.takes_only(Some(&[]));
    rig.take(Message::Load(load(1, 1, 9_000, 96_000, 0, 0)));
    rig.run(20);
    assert_eq!(rig.events, ["failed 1 the device silent does not take 96000 Hz"]);
}

#[test]
fn pause_holds_and_after_ten_seconds_the_device_is_free_and_resume_goes_on_at_the_frame() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(1, 1, 44_100, 44_100, 0, 0)));
    rig.run(100);
    rig.take(Message::Pause);
    rig.run(9_900);
    assert!(rig.control.is_open() && !rig.events.contains(&"released".to_owned()));
    rig.run(200);
    assert!(!rig.control.is_open() && rig.events.contains(&"released".to_owned()));
    rig.take(Message::Resume);
    rig.run(1_000);
    assert_eq!(rig.sound(), (1..=44_100).collect::<Vec<i32>>());
}

#[test]
fn stop_frees_the_device_after_ten_seconds() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(1, 1, 44_100, 44_100, 0, 0)));
    rig.run(50);
    rig.take(Message::Stop);
    let before = rig.sound().len();
    rig.run(9_000);
    assert_eq!(rig.sound().len(), before);
    assert!(rig.control.is_open());
    rig.run(1_200);
    assert!(!rig.control.is_open());
}

#[test]
fn a_seek_drops_the_old_sound_at_once() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(1, 1, 441_000, 44_100, 0, 0)));
    rig.run(100);
    rig.take(Message::Seek(PlaySerial(1), Millis(5_000)));
    rig.run(10);
    assert_eq!(rig.heard[4_410..4_413], [220_501, 220_502, 220_503]);
    rig.take(Message::Seek(PlaySerial(9), Millis(0)));
    rig.run(10);
    assert_eq!(rig.heard[4_851], 220_942);
}

#[test]
fn a_device_that_is_unplugged_comes_back_at_the_frame_where_it_was_lost() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(1, 1, 20_000, 44_100, 0, 0)));
    rig.take(Message::Next(Some(load(2, 20_001, 9_000, 44_100, 0, 0))));
    // The second track is being decoded while the first one is still heard.
    rig.run(300);
    rig.control.fail(Some("gone"));
    rig.control.unplug();
    rig.run(3_500);
    assert!(rig.events.contains(&"trouble unplugged".to_owned()));
    rig.control.fail(None);
    rig.run(6_000);
    assert_eq!(rig.sound(), (1..=29_000).collect::<Vec<i32>>());
    assert_eq!(rig.events.iter().filter(|e| *e == "opened 2").count(), 1);
    assert_eq!(rig.events.last().map(String::as_str), Some("finished 2"));
}

#[test]
fn a_damaged_track_plays_as_far_as_it_goes_then_says_so_and_the_next_follows() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(1, 1, 9_000, 44_100, 3_000, 0)));
    rig.take(Message::Next(Some(load(2, 3_001, 1_000, 44_100, 0, 0))));
    rig.run(200);
    assert_eq!(rig.heard[..4_000], (1..=4_000).collect::<Vec<i32>>()[..]);
    assert!(rig.events.contains(&"failed 1 read the track".to_owned()));
    assert!(!rig.events.contains(&"finished 1".to_owned()));
}

#[test]
fn a_load_cuts_what_sounds() {
    let mut rig = Rig::new();
    rig.take(Message::Load(load(1, 1, 44_100, 44_100, 0, 0)));
    rig.run(50);
    rig.take(Message::Load(load(2, 1_000_000, 44_100, 44_100, 0, 500)));
    rig.run(10);
    assert_eq!(rig.heard[2_205], 1_022_050);
    assert_eq!(rig.control.opened(), 1);
}

#[test]
fn a_next_track_on_a_disk_that_sleeps_is_not_heard() {
    let mut rig = Rig::new();
    let (wake, asleep) = std::sync::mpsc::channel::<()>();
    let slow = Load {
        open: Box::new(move || {
            let _woken = asleep.recv();
            Ok(Sound::new(std::io::Cursor::new(b"10001 5000 44100 0".to_vec()), None, None))
        }),
        ..load(2, 0, 0, 44_100, 0, 0)
    };
    rig.take(Message::Load(load(1, 1, 10_000, 44_100, 0, 0)));
    rig.motor.take(Message::Next(Some(slow)), rig.now);
    // The motor's own turns go on meanwhile.
    rig.run(100);
    assert_eq!(rig.heard[..4000], (1..=4000).collect::<Vec<i32>>()[..]);
    assert!(rig.motor.opening.is_busy());
    wake.send(()).expect("it waits");
    let started = Instant::now();
    while rig.motor.opening.is_busy() && started.elapsed() < Duration::from_secs(60) {
        rig.motor.opened(rig.now);
        std::thread::yield_now();
    }
    rig.run(400);
    assert_eq!(rig.heard[..15_000], (1..=15_000).collect::<Vec<i32>>()[..]);
}

/// A tone of 440 Hz at the amplitude `level`, continued over tracks by its phase.
struct Tone {
    about: About,
    at: u64,
    len: u64,
    first: u64,
}

impl Source for Tone {
    fn about(&self) -> &About {
        &self.about
    }
    fn read(&mut self, into: &mut Vec<i32>) -> Result<bool> {
        let end = (self.at + 1000).min(self.len);
        let step = std::f64::consts::TAU * 440.0 / f64::from(self.about.rate.hz());
        let sample = |n: u64| (((self.first + n) as f64 * step).sin() * f64::from(1 << 30)) as i32;
        into.extend((self.at..end).flat_map(|n| [sample(n); 2]));
        let more = self.at < self.len;
        self.at = end;
        Ok(more)
    }
    fn seek(&mut self, to: Frames) -> Result<Frames> {
        self.at = to.0.min(self.len);
        Ok(Frames(self.at))
    }
}

fn tones() -> Decoders {
    let numbers = counting();
    Arc::new(move |sound| {
        let mut text = String::new();
        let mut sound = sound;
        std::io::Read::read_to_string(&mut sound, &mut text).expect("memory");
        let first = text.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
        let sound = Sound::new(std::io::Cursor::new(text.into_bytes()), None, None);
        let about = numbers(sound)?.about().clone();
        let len = about.duration.expect("a length").0;
        Ok(Box::new(Tone { about, at: 0, len, first }))
    })
}

#[test]
fn an_album_whose_rate_the_device_refuses_is_resampled_in_one_piece() {
    let mut rig = Rig::new();
    rig.motor.decoders = tones();
    rig.control.takes_only(Some(&[48_000]));
    rig.take(Message::Load(load(1, 0, 30_011, 44_100, 0, 0)));
    rig.take(Message::Next(Some(load(2, 30_011, 40_000, 44_100, 0, 0))));
    rig.run(2_000);
    assert_eq!(rig.control.opened(), 1);
    // 70,011 frames at 44.1 kHz are 76,203 at 48 kHz.
    let frames = rig.heard.iter().rposition(|s| *s != 0).expect("sound") + 1;
    assert!(frames.abs_diff(76_203) <= 1, "{frames}");
    let step = std::f64::consts::TAU * 440.0 / 48_000.0;
    let wrong = (2_000..74_000)
        .map(|n| (f64::from(rig.heard[n]) - (n as f64 * step).sin() * f64::from(1 << 30)).abs())
        .fold(0.0, f64::max);
    let db = 20.0 * (wrong / f64::from(1 << 30)).log10();
    println!("the largest deviation, the joint included: {db:.1} dB");
    assert!(db < -100.0, "{db}");
    assert_eq!(rig.events.iter().filter(|e| e.starts_with("finished")).count(), 2);
}

#[test]
fn a_position_is_the_tracks_own_whatever_the_rate_of_the_device() {
    let mut rig = Rig::new();
    rig.control.takes_only(Some(&[96_000]));
    rig.take(Message::Load(load(1, 1, 441_000, 44_100, 0, 2_000)));
    // 10 ms of 44.1 kHz a step: 96 kHz are heard at 441/960 of their speed.
    rig.run(960);
    rig.take(Message::Pause);
    assert!(rig.events.contains(&"paused 1 2441".to_owned()), "{:?}", rig.events);
    rig.take(Message::Seek(PlaySerial(1), Millis(5_000)));
    rig.take(Message::Resume);
    assert!(rig.events.contains(&"resumed 1 5000".to_owned()), "{:?}", rig.events);
}
