//! The motor with a simulated element behind the silent output, and a buffer of 50 ms between them.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::player::mixer::Element;
use crate::player::mixer::tests::Fake;
use crate::player::output::{Plan, Stream};
use crate::player::ring::Render;

/// The silent output as a card with a mixer.
struct Card {
    silent: Silent,
    element: Option<Fake>,
}

impl Output for Card {
    fn plan(&mut self, want: &Want) -> Result<Plan> {
        self.silent.plan(want)
    }
    fn mixer(&mut self, _plan: &Plan, wish: &Wish) -> Result<Option<Box<dyn Element>>> {
        match wish {
            Wish::Software => Ok(None),
            Wish::Named(name) if name != "PCM" => {
                Err(Error::new(Kind::NotFound, format!("no element {name}; it has: PCM")))
            }
            _ => Ok(self.element.clone().map(|element| Box::new(element) as Box<dyn Element>)),
        }
    }
    fn start(&mut self, plan: &Plan, render: Render) -> Result<Box<dyn Stream>> {
        self.silent.start(plan, render)
    }
}

/// The same sample for ever.
struct Steady(About);

impl Source for Steady {
    fn about(&self) -> &About {
        &self.0
    }
    fn read(&mut self, into: &mut Vec<i32>) -> Result<bool> {
        into.extend([LOUD; 2_000]);
        Ok(true)
    }
    fn seek(&mut self, to: Frames) -> Result<Frames> {
        Ok(to)
    }
}

struct Bench {
    rig: Rig,
    fake: Fake,
    /// What waits in the device.
    buffer: VecDeque<i32>,
    /// The loudest of each 10 ms behind the card's mixer.
    levels: Vec<f64>,
    /// The last sample as it left the motor.
    last: i32,
}

fn bench(wish: Wish, gain: Gain, fake: Fake) -> Bench {
    let mut rig = Rig::new();
    let config = PlayerConfig { device: "card".into(), knob: Knob::Box, mixer: wish, gain };
    let card = Card { silent: Silent::controlled(rig.control.clone()), element: Some(fake.clone()) };
    let numbers = counting();
    let steady: Decoders = Arc::new(move |sound| Ok(Box::new(Steady(numbers(sound)?.about().clone()))));
    rig.motor = Motor::new(&config, Box::new(card), steady, rig.now);
    Bench { rig, fake, buffer: VecDeque::new(), levels: Vec::new(), last: 0 }
}

impl Bench {
    fn play(&mut self, rate: u32) {
        self.rig.take(Message::Load(load(1, 1, 10_000_000, rate, 0, 0)));
    }

    /// Lets time run in steps of 10 ms, the motor turning every 5.
    fn run(&mut self, millis: u64) {
        for _ in 0..millis / 10 {
            self.rig.motor.turn(self.rig.now);
            self.rig.now += Duration::from_millis(5);
            self.rig.motor.turn(self.rig.now);
            let frames = self.rig.control.pull(441);
            // A closed device plays on what it has.
            let silence = if frames.is_empty() { 441 } else { 0 };
            self.buffer.extend(frames.chunks(2).map(|frame| frame[0]));
            self.buffer.extend(std::iter::repeat_n(0, silence));
            let ready = self.buffer.len().saturating_sub(BUFFERED);
            let loudest = self.buffer.drain(..ready).inspect(|sample| self.last = *sample).max().unwrap_or(0);
            self.levels.push(f64::from(loudest) / f64::from(LOUD) * self.fake.gain().factor());
            self.rig.now += Duration::from_millis(5);
            self.rig.note();
        }
    }

    fn level(&self) -> f64 {
        20.0 * self.levels.last().copied().unwrap_or(0.0).log10()
    }

    fn set(&mut self, gain: Gain) {
        self.rig.take(Message::Gain(gain));
    }

    fn told(&self) -> &Device {
        self.rig.motor.told_device.as_ref().expect("a device was told")
    }
}

#[test]
fn the_card_has_the_volume_and_every_sample_passes_untouched() {
    let mut bench = bench(Wish::Auto, Gain::from_db(-36), Fake::new(128, -60, 0));
    bench.play(44_100);
    bench.run(300);
    assert_eq!((bench.last, bench.fake.gain()), (LOUD, Gain::from_db(-36)));
    let mixer = bench.told().mixer.clone().expect("the card has it");
    assert_eq!((mixer.element.as_str(), mixer.lowest), ("PCM", Gain::from_db(-60)));
    bench.set(Gain::from_db(-70));
    bench.run(300);
    assert!((bench.level() + 70.0).abs() < 0.1, "{}", bench.level());
    bench.set(Gain::from_db(-30));
    bench.run(5_000);
    assert_eq!((bench.last, bench.fake.gain()), (LOUD, Gain::from_db(-30)));
}

#[test]
fn a_mixer_that_is_not_wished_for_or_not_there_is_not_touched() {
    let mut bench = self::bench(Wish::Software, Gain::from_db(-20), Fake::new(128, -60, 0));
    bench.play(44_100);
    bench.run(300);
    assert!(bench.fake.state().done.is_empty() && bench.told().mixer.is_none());
    assert_eq!(bench.told().trouble, None);
    assert_eq!(f64::from(bench.last), (f64::from(LOUD) * 0.1).round());
    let mut bench = self::bench(Wish::Named("Line".into()), Gain::from_db(-20), Fake::new(128, -60, 0));
    bench.play(44_100);
    bench.run(300);
    assert_eq!(f64::from(bench.last), (f64::from(LOUD) * 0.1).round());
    assert!(bench.told().trouble.as_deref().is_some_and(|words| words.contains("it has: PCM")));
}

#[test]
fn a_mixer_that_fails_makes_nothing_louder_and_is_tried_again_at_the_next_opening() {
    let mut bench = bench(Wish::Auto, Gain::from_db(-30), Fake::new(128, -60, 0));
    bench.play(44_100);
    bench.run(300);
    bench.fake.state().gone = true;
    bench.levels.clear();
    bench.set(Gain::from_db(-40));
    bench.run(500);
    assert!(bench.levels.iter().all(|level| *level <= Gain::from_db(-30).factor() * 1.001));
    assert!((bench.level() + 40.0).abs() < 0.1, "{}", bench.level());
    assert!(bench.told().mixer.is_none());
    assert!(bench.told().trouble.as_deref().is_some_and(|words| words.contains("gone")));
    bench.set(Gain::from_db(-10));
    bench.run(3_000);
    assert!((bench.level() + 30.0).abs() < 0.1, "the card stands where it stands: {}", bench.level());
    bench.fake.state().gone = false;
    bench.levels.clear();
    bench.play(48_000);
    bench.run(3_000);
    assert!(bench.told().mixer.is_some());
    assert_eq!((bench.last, bench.fake.gain()), (LOUD, Gain::from_db(-10)));
    assert!(bench.levels[5..30].iter().all(|level| *level < Gain::from_db(-26).factor()), "no jump");
}

#[test]
fn another_rate_goes_on_as_loud_as_before_and_a_pause_leaves_the_switch_to_the_next_play() {
    let mut bench = bench(Wish::Auto, Gain::from_db(-50), Fake::new(128, -60, 0));
    bench.play(44_100);
    bench.run(300);
    // A new stream on a card that stands elsewhere comes in no louder than the old one was heard.
    bench.rig.motor.gain = Gain::from_db(-10);
    bench.levels.clear();
    bench.play(48_000);
    bench.run(500);
    assert!(bench.levels.iter().all(|level| *level < Gain::from_db(-43).factor()), "{:?}", bench.levels);
    bench.run(5_000);
    assert_eq!((bench.last, bench.fake.gain()), (LOUD, Gain::from_db(-10)));
    bench.rig.take(Message::Pause);
    bench.run(2_000);
    bench.fake.state().muted = true;
    bench.run(2_000);
    assert!(bench.fake.state().muted);
    bench.rig.take(Message::Resume);
    bench.run(200);
    assert_eq!(bench.fake.gain(), Gain::from_db(-10));
}

/// What a person does.
#[derive(Debug, Clone)]
enum Act {
    Turn(i32),
    Mute,
    Pause,
    Resume,
    Play(u32),
    Elsewhere(i32),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (-90i32 * 256..=0).prop_map(Act::Turn),
        1 => Just(Act::Mute),
        1 => Just(Act::Pause),
        2 => Just(Act::Resume),
        1 => prop::sample::select(vec![44_100u32, 48_000]).prop_map(Act::Play),
        1 => (-60i32 * 256..=-30 * 256).prop_map(Act::Elsewhere),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn card_and_samples_together_never_jump_up_and_never_pass_what_is_wanted(
        acts in prop::collection::vec((act(), 0u64..60), 1..25),
        step in prop::sample::select(vec![26, 128, 256]),
        low in prop::sample::select(vec![-60i32, -100, -128]),
    ) {
        let mut wanted = Gain::from_db(-40);
        let mut bench = bench(Wish::Auto, wanted, Fake::new(step, low, 0));
        bench.play(44_100);
        // The gain that is allowed, as the rule says it: down at once, up by 10 dB in a second.
        let (mut allowed, mut lately) = (-40.0f64, VecDeque::from([-40.0f64]));
        let mut held = 0;
        for (act, tens) in acts.into_iter().chain([(Act::Resume, 20)]) {
            match act {
                Act::Turn(gain) => { wanted = Gain(gain); bench.set(wanted) }
                Act::Mute => bench.set(Gain::SILENT),
                Act::Pause => bench.rig.take(Message::Pause),
                Act::Resume => { bench.set(wanted); bench.rig.take(Message::Resume) }
                Act::Play(rate) => bench.play(rate),
                // Up is somebody's own wish until the next step: it is not konpo that makes it louder.
                Act::Elsewhere(gain) if Gain(gain) < bench.fake.gain() => bench.fake.turn(Gain(gain)),
                Act::Elsewhere(_) => {}
            }
            for _ in 0..tens {
                bench.run(10);
                let level = bench.levels.pop().unwrap_or(0.0);
                held = if level == 0.0 { held + 1 } else { 0 };
                allowed = if held > 95 { wanted.db() } else { wanted.db().min(allowed.max(-60.0) + 0.1) };
                lately.push_back(allowed);
                // 90 dB in strides of 2 dB every 5 ms, the buffer, and the fall of the samples.
                if lately.len() > 35 { lately.pop_front(); }
                let most = lately.iter().copied().fold(f64::MIN, f64::max);
                let level = 20.0 * level.log10();
                // The first step after a rest may be half a decibel; one from silence starts at -60 dB.
                let most = most.max(-59.9) + 0.7;
                prop_assert!(level <= most, "{level} above {most}");
            }
        }
        bench.rig.take(Message::Resume);
        // What somebody else turned down stays so until the next step.
        bench.set(Gain::from_db(-20));
        bench.run(500);
        bench.set(wanted);
        bench.run(10_000);
        if wanted >= Gain::from_db(-59) {
            prop_assert_eq!(bench.last, LOUD);
        }
        let level = bench.level();
        prop_assert!(level <= wanted.db() + 0.01, "{level} above {wanted:?}");
        prop_assert!(level > wanted.db() - 1.01, "{level} below {wanted:?}");
    }
}

const LOUD: i32 = 1 << 28;
/// 50 ms.
const BUFFERED: usize = 2_205;
