//! Volume is safe (product.md): whatever is pressed, the gain applied never rises by more than 10 dB in a second of sound.

use std::sync::Arc;
use std::time::{Duration, Instant};

use konpo::error::Result;
use konpo::media::sound::Sound;
use konpo::player::mixer::Wish;
use konpo::player::silent::{Silent, SilentControl};
use konpo::player::source::{About, Decoders, Source};
use konpo::player::{Knob, Load, Player, PlayerConfig};
use konpo::signal::PlaySerial;
use konpo::track::{AudioFormat, Codec, Container};
use konpo::units::{Frames, Gain, Millis, SampleRate};
use proptest::prelude::*;

/// Full scale without an end: what comes out is the gain.
struct Flat(About);

impl Source for Flat {
    fn about(&self) -> &About {
        &self.0
    }
    fn read(&mut self, into: &mut Vec<i32>) -> Result<bool> {
        into.resize(2 * 1_000, i32::MAX);
        Ok(true)
    }
    fn seek(&mut self, to: Frames) -> Result<Frames> {
        Ok(to)
    }
}

fn decoders() -> Decoders {
    Arc::new(|_sound| {
        let rate = SampleRate::new(RATE as u32).expect("a rate");
        let (container, codec) = (Container::Wav, Codec::Pcm);
        let format = AudioFormat {
            container,
            codec,
            rate: Some(rate),
            channels: Some(2),
            bits: Some(32),
            frames: None,
        };
        Ok(Box::new(Flat(About {
            format,
            rate,
            channels: 2,
            bits: 32,
            duration: None,
            seekable: true,
            float: false,
        })))
    })
}

#[derive(Debug, Clone)]
enum Step {
    Gain(i32),
    Mute,
    Pause,
    Resume,
    Load,
    Seek(u64),
    Unplug,
    /// Sound runs for so many tenths of a second.
    Listen(usize),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (-60i32..=0).prop_map(Step::Gain),
        1 => Just(Step::Gain(0)),
        1 => Just(Step::Mute),
        2 => Just(Step::Pause),
        2 => Just(Step::Resume),
        2 => Just(Step::Load),
        2 => (0u64..100_000).prop_map(Step::Seek),
        1 => Just(Step::Unplug),
        8 => (1usize..15).prop_map(Step::Listen),
    ]
}

/// Takes the steps and returns the loudest sample of each hundredth of a second, full scale being 1.
fn played(steps: &[Step]) -> Vec<f64> {
    let control = SilentControl::by_hand();
    let config = PlayerConfig {
        device: "silent".into(),
        knob: Knob::Box,
        mixer: Wish::Software,
        gain: Gain::from_db(-30),
    };
    let output = Box::new(Silent::controlled(control.clone()));
    let (player, _events) = Player::with(config, output, decoders()).expect("a thread");
    let (mut serial, mut peaks) = (0, Vec::new());
    let mut load = || {
        serial += 1;
        let open = || Ok(Sound::new(std::io::Cursor::new(Vec::new()), None, None));
        Load { serial: PlaySerial(serial), open: Box::new(open), from: Millis::ZERO, level: None }
    };
    player.load(load()).expect("the thread lives");
    let mut gain = Gain::from_db(-30);
    let mut current = 1;
    for step in steps {
        let done = match step {
            Step::Gain(db) => {
                gain = Gain::from_db(*db);
                player.set_gain(gain)
            }
            Step::Mute => player.set_gain(Gain::SILENT),
            Step::Pause => player.pause(),
            Step::Resume => player.resume(),
            Step::Load => {
                current += 1;
                player.load(load())
            }
            Step::Seek(to) => player.seek(PlaySerial(current), Millis(*to)),
            Step::Unplug => {
                control.unplug();
                player.set_gain(gain)
            }
            Step::Listen(tenths) => {
                for _ in 0..tenths * 10 {
                    listen(&player, &control, gain, &mut peaks);
                }
                Ok(())
            }
        };
        done.expect("the thread lives");
    }
    player.close();
    peaks
}

/// Takes a hundredth of a second, once the motor has had its turn.
fn listen(player: &Player, control: &SilentControl, gain: Gain, peaks: &mut Vec<f64>) {
    let until = Instant::now() + Duration::from_millis(2);
    let mut out = control.pull(RATE / 100);
    // A ring that is still empty because the thread is slow is a hole; a few of them are part of the test.
    while out.iter().all(|sample| *sample == 0) && Instant::now() < until {
        player.set_gain(gain).expect("the thread lives");
        std::thread::sleep(Duration::from_micros(300));
        peaks.push(0.0);
        out = control.pull(RATE / 100);
    }
    if peaks.len().is_multiple_of(8) {
        player.set_gain(gain).expect("the thread lives");
        std::thread::sleep(Duration::from_micros(200));
    }
    peaks.push(out.iter().map(|s| f64::from(s.unsigned_abs()) / 2_147_483_648.0).fold(0.0, f64::max));
}

/// Returns the largest rise in decibels from anything that was heard in a second to what follows within it. The 20 ms of
/// a fade-in are no level: the first three hundredths after silence are left out.
fn steepest(peaks: &[f64]) -> f64 {
    let settled = |n: usize| (n.saturating_sub(3)..=n).all(|n| peaks[n] > 0.0);
    let mut most = 0.0f64;
    for n in (0..peaks.len()).filter(|n| settled(*n)) {
        let before = (n.saturating_sub(100)..n).filter(|n| settled(*n)).map(|n| peaks[n]);
        let loudest = before.fold(0.0, f64::max);
        if loudest > 0.0 {
            most = most.max(20.0 * (peaks[n] / loudest).log10());
        }
    }
    most
}

#[test]
fn a_rise_is_measured() {
    let mut peaks = vec![0.01; 50];
    peaks.extend([0.1; 50]);
    assert!((steepest(&peaks) - 20.0).abs() < 0.01);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24, max_shrink_time: 30_000, failure_persistence: None, ..ProptestConfig::default()
    })]
    #[test]
    fn the_gain_applied_never_rises_by_more_than_10_db_in_a_second(
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let rise = steepest(&played(&steps));
        prop_assert!(rise <= 10.1, "{rise:.2} dB");
    }
}

const RATE: usize = 8_000;
