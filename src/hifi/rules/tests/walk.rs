//! Random commands against the real thread of the motor, its paced output running eight times as fast as the clock, and
//! stalling, failing, being pulled out and drifting: what is heard is what the state says, frame for frame, and nothing is
//! ever stuck. Each sample names its track and its frame.

use super::*;
use crate::error::{Error, Kind};
use crate::hifi::task::told;
use crate::media::sound::Sound;
use crate::player::silent::{Silent, SilentControl};
use crate::player::source::{About, Decoders, Source as Decoder};
use crate::player::{Load, Player, PlayerConfig, PlayerEvent};
use crate::units::Frames;

/// A track that counts: its id in the upper bits, the frame from 1 on below.
struct Counting {
    id: i64,
    about: About,
    at: u64,
}

impl Decoder for Counting {
    fn about(&self) -> &About {
        &self.about
    }
    fn read(&mut self, into: &mut Vec<i32>) -> crate::error::Result<bool> {
        if self.id == BREAKS && self.at > BREAKS_AT {
            return Err(Error::new(Kind::Damaged, "read the track"));
        }
        let len = frames(self.id);
        let end = (self.at + 1_000).min(len);
        into.extend((self.at..end).flat_map(|n| [((self.id as i32) << FRAME_BITS) | (n as i32 + 1); 2]));
        let more = self.at < len;
        self.at = end;
        Ok(more)
    }
    fn seek(&mut self, to: Frames) -> crate::error::Result<Frames> {
        self.at = to.0.min(frames(self.id));
        Ok(Frames(self.at))
    }
}

fn frames(id: i64) -> u64 {
    8_000 + id as u64 * 9_000
}

fn rate(id: i64) -> SampleRate {
    SampleRate::new([44_100, 48_000, 44_100, 88_200][id as usize % 4]).expect("a rate")
}

fn decoders() -> Decoders {
    Arc::new(|mut sound| {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut sound, &mut text).expect("memory");
        let id: i64 = text.parse().expect("a number");
        if id == BROKEN {
            return Err(Error::new(Kind::Damaged, "open the track"));
        }
        if id == SLOW {
            std::thread::sleep(Duration::from_millis(30));
        }
        let rate = rate(id);
        let duration = Some(Frames(frames(id)));
        let format = AudioFormat {
            container: Container::Wav,
            codec: Codec::Pcm,
            rate: Some(rate),
            channels: Some(2),
            bits: Some(32),
            frames: duration,
        };
        let about = About { format, rate, channels: 2, bits: 32, duration, seekable: true, float: false };
        Ok(Box::new(Counting { id, about, at: 0 }))
    })
}

/// What happens in a walk.
#[derive(Debug, Clone)]
enum Step {
    Press(Command),
    Add(i64, At, bool),
    /// Looks whether state and sound agree.
    Look,
    Stall(bool),
    Drift(i32),
    Unplug,
    Fail(bool),
}

fn any_step() -> impl Strategy<Value = Step> {
    let at = prop_oneof![Just(At::End), Just(At::Next), (0u32..4).prop_map(At::Index)];
    prop_oneof![
        400 => any_command().prop_map(Step::Press),
        120 => (1i64..=12, at, prop::bool::weighted(0.3)).prop_map(|(id, at, play)| Step::Add(id, at, play)),
        300 => Just(Step::Look),
        20 => any::<bool>().prop_map(Step::Stall),
        20 => (5_000_000i32..9_000_000).prop_map(Step::Drift),
        5 => Just(Step::Unplug),
        3 => any::<bool>().prop_map(Step::Fail),
    ]
}

struct Walk {
    rules: Rules,
    player: Player,
    events: tokio::sync::mpsc::Receiver<PlayerEvent>,
    control: SilentControl,
    /// The last sample that was no silence, as track and frame.
    last: Option<(i64, u64)>,
    /// Whether a jump within a track was asked for since state and sound last agreed.
    moved: bool,
    stalled: bool,
    failing: bool,
    log: std::collections::VecDeque<String>,
    began: Instant,
}

impl Walk {
    /// Every second walk goes through an output that takes fresh streams, as a sound server's.
    fn new(restarts: bool) -> Walk {
        let control = SilentControl::default();
        control.restarts(restarts);
        control.capture(1 << 24);
        control.drift(FAST);
        let config = PlayerConfig {
            device: "silent".into(),
            knob: crate::player::Knob::Fixed,
            mixer: crate::player::mixer::Wish::Software,
            gain: Gain::UNITY,
        };
        let output = Box::new(Silent::controlled(control.clone()));
        let (player, events) = Player::with(config, output, decoders()).expect("a thread");
        let now = Instant::now();
        let knob = Knob::new(true, Volume::MAX, None, now);
        let device = Device::closed("silent", true);
        let rules = Rules::new(knob, Restored::default(), device, now);
        Walk {
            rules,
            player,
            events,
            control,
            last: None,
            moved: false,
            stalled: false,
            failing: false,
            log: Default::default(),
            began: now,
        }
    }

    /// Keeps the last of what went on, for the words of a failure.
    fn note(&mut self, what: &dyn std::fmt::Debug) {
        if self.log.len() == 60 {
            self.log.pop_front();
        }
        self.log.push_back(format!("{:?} {:?}: {what:?}", self.began.elapsed(), self.last));
    }

    fn press(&mut self, command: Command) {
        self.note(&command);
        if let Ok(effects) = self.rules.command(command, &Bench::given(), Instant::now()) {
            self.carry_out(effects);
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.moved |= matches!(effect, Effect::Load { .. } | Effect::Seek(..));
            let done = match effect {
                Effect::Load { serial, what, from } => self.player.load(load(serial, &what, from)),
                Effect::Prime(next) => {
                    self.player.next(next.map(|(serial, what)| load(serial, &what, Millis::ZERO)))
                }
                Effect::Pause => self.player.pause(),
                Effect::Resume => self.player.resume(),
                Effect::Stop => self.player.stop(),
                Effect::Seek(serial, to) => self.player.seek(serial, to),
                Effect::Release => self.player.release(),
                _ => Ok(()),
            };
            done.expect("the thread lives");
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Press(command) => self.press(command),
            Step::Add(id, at, play) => {
                let what = Playable::Shelf(TrackId(id));
                let entries =
                    vec![NewEntry { what, shown: Arc::default(), said: None, hints: Default::default() }];
                self.press(Command::Add { entries, at, play });
            }
            Step::Look => self.look()?,
            Step::Stall(on) => {
                self.stalled = on;
                self.control.stall(on);
            }
            Step::Drift(by) => self.control.drift(by),
            Step::Unplug => self.control.unplug(),
            Step::Fail(on) => {
                self.failing = on;
                self.control.fail(on.then_some("the cable is out"));
                if on {
                    self.control.unplug();
                }
            }
        }
        self.listen().map(|_| ())
    }

    /// Lets a moment pass: the thread turns, its events reach the rules. Returns what was heard, and holds each frame
    /// against the one before.
    fn listen(&mut self) -> Result<Vec<i32>, TestCaseError> {
        // A turn of the motor is due sooner than its clock says: time runs fast.
        self.player.set_gain(Gain::UNITY).expect("the thread lives");
        std::thread::sleep(Duration::from_millis(2));
        let heard: Vec<i32> = self.control.take_captured().chunks(2).map(|frame| frame[0]).collect();
        for &sample in heard.iter().filter(|sample| **sample != 0) {
            let here = (i64::from(sample >> FRAME_BITS), (sample & ((1 << FRAME_BITS) - 1)) as u64 - 1);
            let whole = match self.last {
                Some((track, frame)) => here == (track, frame + 1) || here.1 == 0,
                None => here.1 == 0,
            };
            prop_assert!(
                whole || self.moved,
                "after {:?} comes {here:?}\n{}",
                self.last,
                Vec::from(self.log.clone()).join("\n")
            );
            self.last = Some(here);
        }
        while let Ok(event) = self.events.try_recv() {
            if let Some(event) = told(event) {
                self.note(&event);
                let effects = self.rules.event(event, Instant::now(), UnixTime(0));
                self.carry_out(effects);
            }
        }
        Ok(heard)
    }

    /// Waits until what is heard is what the state says.
    fn look(&mut self) -> Result<(), TestCaseError> {
        let started = Instant::now();
        let mut still = 0;
        loop {
            let heard = self.listen()?;
            let state = self.rules.state(0);
            let current = state.entry().map(|entry| entry.what.clone());
            let silent = heard.iter().all(|sample| *sample == 0);
            let sounds = heard.last().is_some_and(|s| *s != 0);
            still = if silent { still + 1 } else { 0 };
            let agreed = match state.transport {
                Transport::Stopped | Transport::Paused => still > 4,
                Transport::Playing | Transport::Opening if self.stalled || self.failing => true,
                Transport::Playing => {
                    sounds && current == self.last.map(|(id, _)| Playable::Shelf(TrackId(id)))
                }
                Transport::Opening => false,
            };
            // A pause is answered before the motor has told its place.
            if agreed && self.is_where_it_says(&state) {
                // What sounds while the output stalls or fails may be what lay in it before the jump.
                self.moved &= !sounds || self.stalled || self.failing;
                return Ok(());
            }
            prop_assert!(
                started.elapsed() < STUCK,
                "stuck: {:?} of {current:?} at {:?}, heard {:?} last, {:?}, {:?}\n{}",
                state.transport,
                state.position.anchor,
                self.last,
                state.device,
                state.notices.last(),
                Vec::from(self.log.clone()).join("\n"),
            );
        }
    }

    /// Whether a pause shows the place up to which its track was heard.
    fn is_where_it_says(&self, state: &State) -> bool {
        let heard = self
            .last
            .filter(|(id, _)| state.entry().map(|entry| &entry.what) == Some(&Playable::Shelf(TrackId(*id))));
        match heard.filter(|_| state.transport == Transport::Paused && !self.moved) {
            // Where it broke the motor does not tell, and the clock is slower than the sound.
            Some((BREAKS, BREAKS_AT)) => true,
            Some((id, frame)) => state.position.anchor.0.abs_diff(rate(id).time_of(Frames(frame)).0) <= 60,
            None => true,
        }
    }

    /// Everything works again: a track that is added and played is heard.
    fn end(mut self) -> Result<(), TestCaseError> {
        self.step(Step::Stall(false))?;
        self.step(Step::Fail(false))?;
        self.step(Step::Drift(FAST))?;
        self.look()?;
        self.press(Command::Clear);
        self.step(Step::Add(3, At::End, true))?;
        self.look()?;
        prop_assert_eq!(self.last.map(|(id, _)| id), Some(3));
        self.player.close();
        Ok(())
    }
}

fn load(serial: PlaySerial, what: &Playable, from: Millis) -> Load {
    let Playable::Shelf(TrackId(id)) = *what else { panic!("only tracks of the shelf are added") };
    let open = move || Ok(Sound::new(std::io::Cursor::new(id.to_string().into_bytes()), None, None));
    Load { serial, open: Box::new(open), from, level: None }
}

proptest! {
    // 20 walks of 100 steps.
    #![proptest_config(ProptestConfig {
        cases: 20, max_shrink_time: 60_000, failure_persistence: None, ..ProptestConfig::default()
    })]
    #[test]
    fn whatever_is_pressed_the_state_is_what_is_heard(restarts: bool, steps in prop::collection::vec(any_step(), 100)) {
        let mut walk = Walk::new(restarts);
        for id in [1, 2, BREAKS, BROKEN, 4] {
            walk.step(Step::Add(id, At::End, false))?;
        }
        walk.press(Command::Play(None));
        for step in steps {
            walk.step(step)?;
        }
        walk.end()?;
    }
}

/// Cannot be opened.
const BROKEN: i64 = 5;
/// Takes its time to be opened.
const SLOW: i64 = 7;
/// Breaks in its middle.
const BREAKS: i64 = 9;
/// Its last frame that is heard.
const BREAKS_AT: u64 = 5_999;
const FRAME_BITS: u32 = 20;
/// Eight times as fast as the clock.
const FAST: i32 = 7_000_000;
/// Longer than a device that was pulled out is waited for between two tries.
const STUCK: Duration = Duration::from_secs(12);
