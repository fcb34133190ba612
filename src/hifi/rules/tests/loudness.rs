//! Whatever is pressed at whatever hour, and whatever ReplayGain adds: the gain never rises by more than 10 dB in a second
//! within a track, knob and ReplayGain together never pass a limit, and nothing turns the knob up but a hand.

use super::gains::{Told, lift, of_album, queued, sum};
use super::*;
use crate::hifi::command::{QuietMode, Sleep, SleepEnd};
use crate::hifi::quiet::{Choice, QuietAction, QuietConfig};
use crate::signal::GainMode;
use crate::units::calendar::{Days, Hours, LocalTime, TimeOfDay, Weekday};

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    Press(Command),
    /// The clock on the wall; `None`: it is not known.
    Clock(Option<u8>),
    Sound,
    PlayOut,
}

/// Below this nothing is heard in a living room, and a rise starts here.
const FLOOR: i32 = -60 * 256;
const LIMIT: u8 = 20;

/// Quiet hours and the knob, naively.
struct Model {
    mode: QuietMode,
    begun: bool,
    hour: Option<u8>,
    /// When it became quiet, and how loud it might be then.
    since: Option<(Instant, i32)>,
    /// The last gain of the knob that was heard, and when.
    heard: Option<(Instant, i32)>,
    /// The last gain of knob and ReplayGain, and of which start.
    level: Option<(PlaySerial, i32)>,
    knob: u8,
}

impl Model {
    fn night(&self) -> Option<bool> {
        self.hour.map(|hour| !(7..22).contains(&hour))
    }

    fn follow(&mut self, step: &Step) {
        match step {
            Step::Clock(hour) => self.hour = *hour,
            Step::Press(Command::SetQuiet(mode)) => (self.mode, self.begun) = (*mode, false),
            _ => return,
        }
        match self.night() {
            Some(true) => self.begun = true,
            Some(false) if self.begun => (self.mode, self.begun) = (QuietMode::Auto, false),
            _ => {}
        }
    }

    fn quiet(&self) -> bool {
        match self.mode {
            QuietMode::Off => false,
            QuietMode::On => true,
            QuietMode::Auto => self.night().unwrap_or(true),
        }
    }

    /// Looks at the box after a step or a while.
    fn check(&mut self, bench: &Bench, turned: bool, limit: i32) {
        let state = bench.rules.state(0);
        let (now, gain, sum) = (bench.now, state.gain.0, sum(bench));
        assert_eq!(state.quiet.because.is_some(), self.quiet(), "quiet at {:?}", self.hour);
        assert!(
            turned || state.volume.value() <= self.knob,
            "{} by itself to {}",
            self.knob,
            state.volume.value()
        );
        self.knob = state.volume.value();
        assert!(sum <= 0, "{sum} is above unity");
        let allowed = self.knob_gain(&state).saturating_add(lift(bench)).min(0).max(limit);
        match (self.quiet(), self.since) {
            (false, _) => self.since = None,
            (true, None) => self.since = Some((now, allowed)),
            (true, Some((since, before))) => {
                assert!(sum <= before.max(limit), "{sum} in quiet hours that began at {before}");
                let faded = now.duration_since(since) > Duration::from_secs(60);
                assert!(!faded || sum <= limit, "{sum} above the limit {limit}");
                assert!(!faded || self.knob <= LIMIT, "the knob stands at {}", self.knob);
            }
        }
        if !bench.rules.sounding() || state.mute {
            return;
        }
        if let Some((at, before)) = self.heard
            && now.duration_since(at) <= Duration::from_secs(1)
        {
            let most = before.max(FLOOR) as f64 + now.duration_since(at).as_secs_f64() * 2560.0 + 1.0;
            assert!(f64::from(gain) <= most.max(f64::from(before)), "{before} to {gain} in {:?}", now - at);
        }
        self.heard = Some((now, gain));
        // What a track is given stays: within it the sum moves as the knob does.
        let serial = bench.motor.0.expect("it sounds");
        let given = bench.rules.level_of(serial).map_or(0, |by| by.gain.0);
        if let Some((_, before)) = self.level.filter(|(of, _)| *of == serial) {
            assert_eq!(given, before, "another gain within a track");
        }
        self.level = Some((serial, given));
    }

    fn knob_gain(&self, state: &State) -> i32 {
        let mut knob = Knob::new(false, Volume::MAX, None, Instant::now());
        // One step up: between two steps it stands where a fade left it.
        knob.turn(state.volume.moved(1), false, Instant::now());
        knob.gain().0
    }
}

fn any_step() -> impl Strategy<Value = (Step, u64)> {
    let volume = || (0u8..=100).prop_map(|value| Volume::new(value).expect("in range"));
    let mode = prop_oneof![Just(QuietMode::Auto), Just(QuietMode::On), Just(QuietMode::Off)];
    let sleep = (0u64..90_000).prop_map(|ms| Sleep { after: Millis(ms), end: SleepEnd::Fade });
    let step = prop_oneof![
        4 => volume().prop_map(|volume| Step::Press(Command::SetVolume(volume))),
        3 => (-40i16..80).prop_map(|steps| Step::Press(Command::MoveVolume(steps))),
        3 => any::<bool>().prop_map(|mute| Step::Press(Command::SetMute(mute))),
        1 => volume().prop_map(|volume| Step::Press(Command::Batch(vec![
            Command::Pause, Command::SetMute(true), Command::SetVolume(volume), Command::SetMute(false),
            Command::Play(None),
        ]))),
        2 => Just(Step::Press(Command::Play(None))),
        2 => prop_oneof![Just(Command::Pause), Just(Command::Toggle), Just(Command::Stop), Just(Command::Next)]
            .prop_map(Step::Press),
        2 => mode.prop_map(|mode| Step::Press(Command::SetQuiet(mode))),
        3 => prop::option::weighted(0.9, 0u8..24).prop_map(Step::Clock),
        1 => prop::option::of(sleep).prop_map(|sleep| Step::Press(Command::Sleep(sleep))),
        3 => Just(Step::Sound),
        2 => Just(Step::PlayOut),
    ];
    (step, prop_oneof![3 => 0u64..300, 2 => 300u64..5_000, 1 => 55_000u64..70_000])
}

fn clock(hour: Option<u8>) -> Clock {
    hour.map_or(Clock::Unknown, |hour| {
        let time = TimeOfDay::new(hour, 0).expect("a time");
        Clock::Local(LocalTime { day: Weekday::from_monday(0), time })
    })
}

fn bench(gains: [i8; 4]) -> Bench {
    let mut bench = Bench::new();
    let (from, to) = (TimeOfDay::new(22, 0).expect("a time"), TimeOfDay::new(7, 0).expect("a time"));
    let limit = Volume::new(LIMIT).expect("in range");
    let hours = Some(Hours { from, to, days: Days::ALL });
    let config = QuietConfig { hours, limit, action: QuietAction::Fade };
    let quiet = Quiet::new(config, Choice::default(), clock(Some(12)));
    let knob = Knob::new(false, Volume::MAX, None, bench.now);
    let device = Device::closed("test", true);
    bench.rules = Rules::new(knob, Restored { quiet, ..Restored::default() }, device, bench.now);
    bench.rules = bench.rules.with_gains(GainMode::Auto);
    let told =
        |db: i8| Told { track: Some(db.into()), album: Some(db.into()), peak: Some(0.1), ..Told::default() };
    let tracks = [1, 2, 3, 4]
        .map(|id| of_album(id, ["A", "A", "B", "C"][id as usize - 1], told(gains[id as usize - 1])));
    queued(bench, &tracks)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]

    /// At least 5,000 steps in a run.
    #[test]
    fn nothing_gets_loud_whatever_is_pressed(steps in prop::collection::vec(any_step(), 20..60), gains: [i8; 4]) {
        let mut bench = bench(gains.map(|db| db % 16));
        let limit = {
            let mut knob = Knob::new(false, Volume::MAX, None, bench.now);
            knob.turn(Volume::new(LIMIT).expect("in range"), false, bench.now);
            knob.gain().0
        };
        let mut model = Model {
            mode: QuietMode::Auto, begun: false, hour: Some(12), since: None, heard: None, level: None, knob: 25,
        };
        for (step, wait) in steps {
            let turned = matches!(&step, Step::Press(Command::SetVolume(_) | Command::MoveVolume(_) | Command::Batch(_)));
            let transport = bench.rules.state(0).transport;
            match &step {
                Step::Press(command) => { let _refusals_are_fine = bench.send(command.clone()); }
                Step::Clock(hour) => bench.event(Event::Clock(clock(*hour))),
                Step::Sound if transport == Transport::Opening => bench.sound(),
                Step::PlayOut if transport == Transport::Playing => bench.play_out(),
                Step::Sound | Step::PlayOut => {}
            }
            model.follow(&step);
            model.check(&bench, turned, limit);
            let end = bench.now + Duration::from_millis(wait);
            while let Some(next) = bench.rules.forward(bench.now).filter(|&next| next <= end) {
                bench.now = next.max(bench.now + Duration::from_millis(1));
                bench.event(Event::Tick);
                model.check(&bench, false, limit);
            }
            bench.now = end;
            bench.event(Event::Tick);
            model.check(&bench, false, limit);
        }
    }
}
