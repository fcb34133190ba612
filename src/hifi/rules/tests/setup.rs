//! What the owner sets while the box runs, and the test sound.

use super::*;
use crate::hifi::HifiConfig;
use crate::hifi::quiet::QuietConfig;
use crate::signal::GainMode;
use crate::units::calendar::{Days, Hours, LocalTime, TimeOfDay, Weekday};

fn config() -> HifiConfig {
    let quiet = QuietConfig::default();
    HifiConfig { fixed_volume: false, max_volume: Volume::MAX, gains: GainMode::Off, quiet }
}

fn volume(value: u8) -> Volume {
    Volume::new(value).expect("in range")
}

/// A box that plays the first of two tracks at 80.
fn playing() -> Bench {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::SetVolume(volume(80))).expect("box mode");
    bench.now += Duration::from_secs(60);
    bench.rules.forward(bench.now);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench
}

fn seconds(bench: &mut Bench, seconds: u64) -> Vec<Gain> {
    let tenth = |bench: &mut Bench| {
        bench.now += Duration::from_millis(100);
        bench.event(Event::Tick);
        bench.rules.state(0).gain
    };
    (0..seconds * 10).map(|_| tenth(bench)).collect()
}

#[test]
fn another_limit_is_quieter_at_once_and_louder_slowly() {
    let mut bench = playing();
    let before = bench.rules.state(0).gain;
    bench.send(Command::Adjust(HifiConfig { max_volume: volume(50), ..config() })).expect("the owner's");
    let low = bench.rules.state(0).gain;
    assert!(low.0 < before.0 - 17 * 256, "{low:?} after {before:?}");
    bench.send(Command::Adjust(config())).expect("the owner's");
    let mut last = bench.rules.state(0).gain;
    assert!(last.0 <= low.0 + 256, "no jump: {last:?} after {low:?}");
    for gain in seconds(&mut bench, 3) {
        assert!(gain.0 - last.0 <= 2 * 256, "{gain:?} after {last:?}");
        last = gain;
    }
    assert_eq!(last, before);
}

#[test]
fn hours_that_are_set_hold_at_once_and_end_with_nothing_louder() {
    let mut bench = playing();
    let time = TimeOfDay::new(23, 0).expect("a time");
    bench.event(Event::Clock(Clock::Local(LocalTime { day: Weekday::from_monday(2), time })));
    let (from, to) = (TimeOfDay::new(22, 0).expect("a time"), TimeOfDay::new(7, 0).expect("a time"));
    let night = |limit| {
        let hours = Some(Hours { from, to, days: Days::ALL });
        let quiet = QuietConfig { hours, limit: volume(limit), ..QuietConfig::default() };
        Command::Adjust(HifiConfig { quiet, ..config() })
    };
    bench.send(night(20)).expect("the owner's");
    assert!(bench.rules.state(0).quiet.because.is_some());
    seconds(&mut bench, 61);
    assert_eq!(bench.rules.state(0).volume, volume(20));
    // A higher limit lets a hand turn it up, and does so by itself never; a lower one presses it down.
    bench.send(night(30)).expect("the owner's");
    seconds(&mut bench, 61);
    assert_eq!(bench.rules.state(0).volume, volume(20));
    bench.send(Command::SetVolume(volume(90))).expect("box mode");
    assert_eq!(bench.rules.state(0).volume, volume(30));
    bench.send(night(10)).expect("the owner's");
    seconds(&mut bench, 61);
    assert_eq!(bench.rules.state(0).volume, volume(10));
    bench.send(Command::Adjust(config())).expect("the owner's");
    seconds(&mut bench, 5);
    let day = bench.rules.state(0);
    assert_eq!((day.quiet.because, day.volume), (None, volume(10)));
    bench.send(Command::SetVolume(volume(60))).expect("box mode");
    assert_eq!(bench.rules.state(0).volume, volume(60));
}

#[test]
fn where_the_knob_goes_to_the_amplifier_the_sound_ends_before_and_waits_at_its_place() {
    let mut bench = playing();
    bench.now += Duration::from_secs(4);
    let fixed = HifiConfig { fixed_volume: true, ..config() };
    bench.send(Command::Adjust(fixed)).expect("the owner's");
    let fixed = player::Knob::Fixed;
    assert_eq!(bench.effects, [Effect::Stop, Effect::Release, Effect::Knob(fixed)]);
    let state = bench.rules.state(0);
    assert_eq!((state.transport, state.fixed_volume), (Transport::Paused, true));
    assert_eq!(state.position.now(bench.now), Millis(4000));
    bench.send(Command::Play(None)).expect("it goes on");
    assert!(
        matches!(
            &bench.effects[0],
            Effect::Load { from: Millis(4000), what: Playable::Shelf(TrackId(1)), .. }
        ),
        "{:?}",
        bench.effects
    );
    bench.send(Command::Adjust(config())).expect("the owner's");
    let state = bench.rules.state(0);
    assert_eq!((state.fixed_volume, state.volume), (false, volume(25)), "as at the first start");
}

#[test]
fn a_test_sound_is_refused_while_something_sounds_and_leaves_what_is_paused_where_it_is() {
    let mut bench = playing();
    assert_eq!(bench.send(Command::TestSound), Err(Refused::Busy));
    bench.now += Duration::from_secs(2);
    bench.send(Command::Pause).expect("always");
    bench.send(Command::TestSound).expect("it is quiet");
    let [Effect::TestSound(serial)] = bench.effects[..] else { panic!("{:?}", bench.effects) };
    // Whatever the motor says of it is no news about the queue.
    bench.event(Event::Started { serial, at: bench.now });
    bench.event(Event::Finished(serial));
    let state = bench.rules.state(0);
    assert_eq!((state.transport, state.starts), (Transport::Paused, 1));
    assert_eq!(state.position.now(bench.now), Millis(2000));
    bench.send(Command::Play(None)).expect("it goes on");
    assert!(matches!(&bench.effects[0], Effect::Load { from: Millis(2000), .. }), "{:?}", bench.effects);
    bench.send(Command::Stop).expect("always");
    bench.send(Command::TestSound).expect("it is quiet");
    let [Effect::TestSound(serial), ..] = bench.effects[..] else { panic!("{:?}", bench.effects) };
    bench.event(Event::Failed { serial, why: "no device".into(), fault: Fault::Entry });
    let state = bench.rules.state(0);
    let notice = state.notices.last().expect("said");
    assert_eq!((notice.code, notice.about.as_slice()), ("test_failed", &["no device".to_owned()][..]));
}
