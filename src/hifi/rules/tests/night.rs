//! Quiet hours, told as a night with people in the house. What is heard is the gain while sound runs.

use super::*;
use crate::hifi::command::QuietMode;
use crate::hifi::quiet::{Choice, QuietAction, QuietConfig};
use crate::units::calendar::{Days, Hours, LocalTime, TimeOfDay, Weekday};

/// What a clock on the wall says on a Wednesday.
fn at(hour: u8, minute: u8) -> Clock {
    let time = TimeOfDay::new(hour, minute).expect("a time");
    Clock::Local(LocalTime { day: Weekday::from_monday(2), time })
}

fn config(action: QuietAction) -> QuietConfig {
    let (from, to) = (TimeOfDay::new(22, 0).expect("a time"), TimeOfDay::new(7, 0).expect("a time"));
    let limit = Volume::new(20).expect("in range");
    QuietConfig { hours: Some(Hours { from, to, days: Days::ALL }), limit, action }
}

fn volume(value: u8) -> Volume {
    Volume::new(value).expect("in range")
}

impl Bench {
    /// A box with quiet hours from 22:00 to 07:00 at 20 that plays the first of three tracks.
    fn at_night(action: QuietAction, knob: Knob, clock: Clock) -> Bench {
        let mut bench = Bench::new();
        let quiet = Quiet::new(config(action), Choice::default(), clock);
        let restored = Restored { quiet, ..Restored::default() };
        let device = Device::closed("test", true);
        bench.rules = Rules::new(knob, restored, device, bench.now);
        bench.add(&[1, 2, 3], At::End, false).expect("fits");
        bench.event(Event::Clock(clock));
        bench
    }

    fn loud(action: QuietAction) -> Bench {
        let knob = Knob::new(false, Volume::MAX, None, Instant::now());
        let mut bench = Bench::at_night(action, knob, at(21, 59));
        bench.send(Command::SetVolume(volume(80))).expect("box mode");
        bench.pass(2);
        bench.send(Command::Play(None)).expect("there is a queue");
        bench.sound();
        assert_eq!(bench.gain(), limit_of(80));
        bench
    }

    fn gain(&self) -> Gain {
        self.rules.state(0).gain
    }

    /// Seconds pass, alarm by alarm as the loop does; returns every gain on the way.
    fn pass(&mut self, seconds: u64) -> Vec<Gain> {
        let end = self.now + Duration::from_secs(seconds);
        let mut gains = Vec::new();
        while let Some(next) = self.rules.forward(self.now).filter(|&next| next <= end) {
            self.now = next.max(self.now + Duration::from_millis(1));
            self.event(Event::Tick);
            gains.push(self.gain());
        }
        self.now = end;
        self.event(Event::Tick);
        gains.push(self.gain());
        gains
    }
}

/// The gain of this position of the knob.
fn limit_of(value: u8) -> Gain {
    let now = Instant::now();
    let mut knob = Knob::new(false, Volume::MAX, None, now);
    knob.turn(volume(value), false, now);
    knob.gain()
}

#[test]
fn quiet_from_22_00_with_five_ways_to_turn_it_up() {
    let mut bench = Bench::loud(QuietAction::Fade);
    bench.event(Event::Clock(at(22, 0)));
    let gains = bench.pass(61);
    assert!(gains.is_sorted_by(|a, b| a >= b), "it only gets softer: {gains:?}");
    let louder_than = |line: i32| gains.iter().filter(|gain| gain.0 > line).count();
    assert!(louder_than(limit_of(50).0) > 100, "it is a fade, not a cut");
    assert_eq!((bench.gain(), bench.rules.state(0).volume), (limit_of(20), volume(20)));

    // The remote, the page, apps and `konpo ctl` send these; a restart and the highest maximum are below.
    let ways = [
        Command::SetVolume(Volume::MAX),
        Command::MoveVolume(80),
        Command::Batch(vec![Command::SetMute(true), Command::SetVolume(volume(90)), Command::SetMute(false)]),
        Command::Batch(vec![Command::Stop, Command::SetVolume(volume(70)), Command::Play(None)]),
        Command::Batch(vec![Command::Pause, Command::MoveVolume(100), Command::Toggle]),
    ];
    for way in ways {
        bench.send(way.clone()).expect("nobody is refused");
        let gains = bench.pass(5);
        assert!(gains.iter().all(|&gain| gain <= limit_of(20)), "{way:?}: {gains:?}");
        assert_eq!(bench.rules.state(0).volume, volume(20), "{way:?}");
    }
    let now = bench.now;
    for max in [100, 50] {
        let restarted = Bench::at_night(
            QuietAction::Fade,
            Knob::new(false, volume(max), Some(volume(35)), now),
            at(3, 0),
        );
        assert_eq!(restarted.rules.state(0).volume, volume(20), "restarted with a maximum of {max}");
        assert!(restarted.gain() <= limit_of(20));
    }

    // In the morning nothing gets louder by itself; a hand may turn it up again.
    bench.event(Event::Clock(at(7, 0)));
    bench.pass(60);
    assert_eq!(bench.gain(), limit_of(20));
    bench.send(Command::SetVolume(volume(40))).expect("box mode");
    bench.pass(10);
    assert_eq!(bench.gain(), limit_of(40));
}

#[test]
fn a_knob_below_the_limit_stays_where_it_is() {
    let mut bench = Bench::loud(QuietAction::Fade);
    bench.send(Command::SetVolume(volume(10))).expect("box mode");
    bench.event(Event::Clock(at(22, 0)));
    bench.pass(70);
    assert_eq!((bench.gain(), bench.rules.state(0).volume), (limit_of(10), volume(10)));
}

#[test]
fn while_it_fades_nobody_turns_it_up_again_and_anybody_turns_it_down() {
    let mut bench = Bench::loud(QuietAction::Fade);
    bench.event(Event::Clock(at(22, 0)));
    bench.pass(30);
    assert_eq!(bench.rules.state(0).volume, volume(50));
    bench.send(Command::SetVolume(Volume::MAX)).expect("box mode");
    assert_eq!(bench.rules.state(0).volume, volume(50));
    bench.send(Command::SetVolume(volume(30))).expect("box mode");
    assert_eq!(bench.gain(), limit_of(30));
    // Ended by the owner, it stays where it came to.
    bench.pass(25);
    let there = bench.gain();
    bench.send(Command::SetQuiet(QuietMode::Off)).expect("the owner's");
    let gains = bench.pass(30);
    assert!(gains.iter().all(|&gain| gain == there), "{there:?}, then {gains:?}");
}

#[test]
fn with_stop_the_track_is_finished_and_what_is_played_then_is_soft() {
    let mut bench = Bench::loud(QuietAction::Stop);
    bench.event(Event::Clock(at(22, 0)));
    bench.send(Command::SetVolume(Volume::MAX)).expect("box mode");
    bench.pass(5);
    assert_eq!((bench.heard(), bench.gain()), (Some(1), limit_of(80)), "no louder than it was");
    let words = bench.rules.state(0).notices.last().map(|notice| notice.words.clone());
    assert!(words.is_some_and(|words| words.contains("stops behind this track")));
    bench.play_out();
    assert_eq!(bench.rules.state(0).transport, Transport::Stopped);
    // Play always plays, at the limit.
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    assert_eq!((bench.heard(), bench.gain()), (Some(2), limit_of(20)));
    bench.play_out();
    assert_eq!(bench.heard(), Some(3), "the night goes on as somebody chose");
}

#[test]
fn with_stop_another_track_or_a_pause_ends_the_last_loud_one() {
    for way in [Command::Next, Command::Pause, Command::Stop] {
        let mut bench = Bench::loud(QuietAction::Stop);
        bench.event(Event::Clock(at(22, 0)));
        bench.send(way.clone()).expect("there is a queue");
        bench.send(Command::Play(None)).expect("there is a queue");
        assert!(bench.gain() <= limit_of(20), "{way:?}: {:?}", bench.gain());
    }
}

#[test]
fn with_stop_what_has_no_end_is_faded_out() {
    let mut bench = Bench::loud(QuietAction::Stop);
    bench.rules.duration = Millis::ZERO;
    bench.event(Event::Clock(at(22, 0)));
    let gains = bench.pass(59);
    assert!(gains.is_sorted_by(|a, b| a >= b) && bench.heard().is_some());
    bench.pass(2);
    assert_eq!(bench.rules.state(0).transport, Transport::Paused);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.pass(5);
    assert_eq!(bench.gain(), limit_of(20));
}

#[test]
fn with_a_fixed_volume_nothing_sounds_in_the_night() {
    let knob = || Knob::new(true, Volume::MAX, None, Instant::now());
    // Begun by hand, whatever else the hours would do.
    let mut bench = Bench::at_night(QuietAction::Fade, knob(), at(12, 0));
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench.send(Command::SetQuiet(QuietMode::On)).expect("the owner's");
    assert_eq!(bench.heard(), Some(1), "the track is finished");
    bench.play_out();
    assert_eq!(bench.rules.state(0).transport, Transport::Stopped);

    let mut bench = Bench::at_night(QuietAction::Stop, knob(), at(21, 0));
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench.event(Event::Clock(at(22, 0)));
    assert_eq!(bench.heard(), Some(1), "the track is finished");
    bench.play_out();
    for command in [Command::Play(None), Command::Toggle, Command::PlaySomething] {
        assert_eq!(bench.send(command.clone()), Err(Refused::QuietHours), "{command:?}");
    }
    assert_eq!(bench.add(&[4], At::Next, true), Err(Refused::QuietHours));
    assert_eq!(bench.rules.state(0).queue.entries.len(), 3, "a refused command leaves all as it was");
    bench.add(&[4], At::End, false).expect("adding is no sound");
    bench.send(Command::SetQuiet(QuietMode::Off)).expect("the owner's");
    bench.send(Command::Play(None)).expect("the owner ended it");
    bench.sound();
    // What the motor starts by itself is stopped.
    let primed = bench.motor.1.expect("primed");
    bench.send(Command::SetQuiet(QuietMode::Auto)).expect("the owner's");
    assert!(bench.heard().is_some() && bench.motor.1.is_none());
    bench.event(Event::Started { serial: primed, at: bench.now });
    assert_eq!((bench.rules.state(0).transport, bench.motor.0), (Transport::Stopped, None));
}

#[test]
fn while_the_clock_is_not_set_it_is_quiet_and_says_so_once() {
    let knob = Knob::new(false, Volume::MAX, Some(volume(35)), Instant::now());
    let mut bench = Bench::at_night(QuietAction::Fade, knob, Clock::Unknown);
    bench.event(Event::Clock(Clock::Unknown));
    bench.send(Command::SetVolume(Volume::MAX)).expect("box mode");
    let state = bench.rules.state(0);
    assert_eq!((state.volume, state.gain), (volume(20), limit_of(20)));
    let notices: Vec<String> = state.notices.iter().map(|notice| notice.words.clone()).collect();
    assert_eq!(notices, ["The clock was not set since power-on, so quiet hours apply until it is."]);
    bench.event(Event::Clock(at(12, 0)));
    assert_eq!(bench.gain(), limit_of(20));
    bench.send(Command::SetVolume(volume(60))).expect("box mode");
    assert_eq!(bench.rules.state(0).volume, volume(60));
}
