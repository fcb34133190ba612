//! What the box does, told as what is pressed and what is heard.

mod deck;
mod gains;
mod landed;
mod loudness;
mod model;
mod modes;
mod night;
mod released;
mod setup;
mod size;

use std::time::Duration;

use super::*;
use crate::hifi::command::{Input, NewEntry};
use crate::track::{AudioFormat, Codec, Container, CopyId, Measured, Protection, Tags};
use crate::units::{ByteCount, Gain, SampleRate, Volume};
use proptest::prelude::*;

mod guest;
mod life;
mod walk;

fn track(id: i64) -> Arc<Track> {
    let format = AudioFormat {
        container: Container::Flac,
        codec: Codec::Flac,
        rate: Some(SampleRate::CD),
        channels: Some(2),
        bits: Some(16),
        frames: None,
    };
    let protection = if id == LOCKED { Protection::PlayReady } else { Protection::None };
    let copy = crate::track::Copy {
        id: CopyId(id),
        size: ByteCount(1000),
        sha256: None,
        fingerprint: None,
        format,
        protection,
        personal: Vec::new(),
        online: true,
    };
    Arc::new(Track {
        id: TrackId(id),
        tags: Arc::new(Tags { title: Some(format!("Track {id}")), ..Tags::default() }),
        corrected: None,
        duration: Millis(10_000),
        copies: vec![copy],
        album: None,
        added: UnixTime(0),
        purchases: Vec::new(),
        measured: Measured::default(),
    })
}

struct Bench {
    rules: Rules,
    now: Instant,
    /// The start that the motor plays, and the one it holds as its next.
    motor: (Option<PlaySerial>, Option<PlaySerial>),
    effects: Vec<Effect>,
}

impl Bench {
    fn new() -> Bench {
        let now = Instant::now();
        let knob = Knob::new(false, Volume::MAX, None, now);
        let device = Device::closed("test", true);
        let rules = Rules::new(knob, Restored::default(), device, now);
        Bench { rules, now, motor: (None, None), effects: Vec::new() }
    }

    fn with(ids: &[i64]) -> Bench {
        let mut bench = Bench::new();
        bench.add(ids, At::End, false).expect("fits");
        bench
    }

    fn given() -> Given {
        let tracks = (1..=20).chain([LOCKED]).map(|id| (TrackId(id), track(id))).collect();
        Given { tracks, something: vec![track(LOCKED), track(7), track(8)], seed: 1, by: Via::Web }
    }

    fn send(&mut self, command: Command) -> Result<(), Refused> {
        let effects = self.rules.command(command, &Bench::given(), self.now)?;
        self.obey(effects);
        Ok(())
    }

    fn add(&mut self, ids: &[i64], at: At, play: bool) -> Result<(), Refused> {
        let entry = |&id: &i64| NewEntry {
            what: Playable::Shelf(TrackId(id)),
            shown: Arc::default(),
            said: None,
            hints: Default::default(),
        };
        self.send(Command::Add { entries: ids.iter().map(entry).collect(), at, play })
    }

    fn event(&mut self, event: Event) {
        if let Event::Failed { serial, .. } = &event
            && self.motor.0 == Some(*serial)
        {
            // The motor goes on with what it holds.
            self.motor.0 = self.motor.1.take();
        }
        let effects = self.rules.event(event, self.now, UnixTime(0));
        self.obey(effects);
    }

    fn obey(&mut self, effects: Vec<Effect>) {
        for effect in &effects {
            match effect {
                Effect::Load { serial, .. } => self.motor = (Some(*serial), None),
                Effect::Prime(next) => self.motor.1 = next.as_ref().map(|(serial, _)| *serial),
                Effect::Stop => self.motor = (None, None),
                _ => {}
            }
        }
        self.effects = effects;
        // The loop does so after everything.
        self.rules.forward(self.now);
    }

    /// The motor's first frame of what was loaded.
    fn sound(&mut self) {
        let serial = self.motor.0.expect("loaded");
        self.event(Event::Started { serial, at: self.now });
    }

    /// The track plays to its end.
    fn play_out(&mut self) {
        self.now += Duration::from_secs(10);
        match self.motor.1.take() {
            Some(next) => {
                // The motor tells the end of each track, then the start of the one it held.
                self.event(Event::Finished(self.motor.0.expect("loaded")));
                assert!(
                    !self.effects.iter().any(|e| matches!(e, Effect::Load { .. })),
                    "the hand-over was cut"
                );
                self.motor.0 = Some(next);
                self.event(Event::Started { serial: next, at: self.now });
            }
            None => self.event(Event::Finished(self.motor.0.expect("loaded"))),
        }
    }

    fn heard(&self) -> Option<i64> {
        let state = self.rules.state(0);
        match (state.transport, &state.entry()?.what) {
            (Transport::Playing, Playable::Shelf(id)) => Some(id.0),
            _ => None,
        }
    }
}

#[test]
fn an_album_plays_through_and_stops_at_its_start() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    assert_eq!(bench.heard(), Some(1));
    bench.play_out();
    assert_eq!(bench.heard(), Some(2));
    bench.play_out();
    let state = bench.rules.state(0);
    assert_eq!((state.transport, state.starts), (Transport::Stopped, 2));
    assert_eq!(state.current, state.queue.entries.first().map(|e| e.id));
}

#[test]
fn what_is_put_next_is_what_the_motor_holds_next() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench.add(&[9], At::Next, false).expect("fits");
    assert!(
        matches!(&bench.effects[..], [Effect::Prime(Some((_, Playable::Shelf(TrackId(9)))))]),
        "{:?}",
        bench.effects
    );
    bench.play_out();
    assert_eq!(bench.heard(), Some(9));
}

#[test]
fn repeat_one_primes_the_same_track_again() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench.send(Command::SetRepeat(Repeat::One)).expect("always");
    bench.play_out();
    assert_eq!((bench.heard(), bench.rules.state(0).starts), (Some(1), 2));
}

#[test]
fn a_pause_during_opening_is_not_overrun_by_the_start() {
    let mut bench = Bench::with(&[1]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.send(Command::Pause).expect("always");
    bench.sound();
    assert_eq!(bench.rules.state(0).transport, Transport::Paused);
}

#[test]
fn answers_about_an_old_start_change_nothing() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    let old = bench.motor.0.expect("loaded");
    bench.send(Command::Next).expect("there is one");
    bench.event(Event::Finished(old));
    bench.event(Event::Failed { serial: old, why: "late".into(), fault: Fault::Entry });
    bench.sound();
    assert_eq!(bench.heard(), Some(2));
    assert!(bench.rules.state(0).notices.is_empty());
}

#[test]
fn an_unreachable_entry_is_skipped_with_a_notice() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    let serial = bench.motor.0.expect("loaded");
    bench.event(Event::Failed { serial, why: "it is damaged".into(), fault: Fault::Entry });
    bench.sound();
    assert_eq!(bench.heard(), Some(2));
    let notices = bench.rules.state(0).notices;
    assert_eq!(notices[0].words, "Track 1 cannot be played: it is damaged");
}

#[test]
fn while_the_music_disk_is_away_the_box_waits_where_it_is() {
    let mut bench = Bench::with(&[1, 2, 3]);
    bench.send(Command::Play(None)).expect("there is a queue");
    let serial = bench.motor.0.expect("loaded");
    let why = "the music disk is not there".to_owned();
    bench.event(Event::Failed { serial, why: why.clone(), fault: Fault::Shelf });
    let state = bench.rules.state(0);
    assert_eq!(
        (state.transport, state.current),
        (Transport::Paused, state.queue.entries.first().map(|e| e.id))
    );
    assert_eq!(state.notices.iter().map(|n| n.words.clone()).collect::<Vec<_>>(), [why]);
    bench.send(Command::Play(None)).expect("it is tried again");
    bench.sound();
    assert_eq!(bench.heard(), Some(1));
}

#[test]
fn when_nothing_can_be_played_the_box_stops_looking() {
    let mut bench = Bench::with(&[1, 2, 3]);
    bench.send(Command::SetRepeat(Repeat::All)).expect("always");
    bench.send(Command::Play(None)).expect("there is a queue");
    for _ in 0..3 {
        let serial = bench.motor.0.expect("loaded");
        bench.event(Event::Failed { serial, why: "broken".into(), fault: Fault::Entry });
    }
    assert_eq!(bench.rules.state(0).transport, Transport::Stopped);
    assert_eq!(bench.motor.0, None);
}

#[test]
fn what_broke_before_somebody_pressed_play_is_past() {
    let mut bench = Bench::with(&[1, 2]);
    let first = bench.rules.state(0).queue.entries[0].id;
    for _ in 0..3 {
        bench.send(Command::Play(Some(first))).expect("it is in the queue");
        let serial = bench.motor.0.expect("loaded");
        bench.event(Event::Failed { serial, why: "broken".into(), fault: Fault::Entry });
        bench.sound();
        assert_eq!(bench.heard(), Some(2));
    }
}

#[test]
fn play_on_an_empty_queue_plays_something_that_can_be_played() {
    let mut bench = Bench::new();
    assert_eq!(bench.send(Command::Play(None)), Err(Refused::EmptyQueue));
    bench.send(Command::Toggle).expect("the shelf has tracks");
    bench.sound();
    assert_eq!(bench.heard(), Some(7));
    assert_eq!(bench.rules.state(0).queue.entries.len(), 2);
}

#[test]
fn a_locked_or_unknown_track_is_refused_by_name_and_nothing_is_added() {
    let mut bench = Bench::new();
    assert_eq!(bench.add(&[1, LOCKED], At::End, true), Err(Refused::Locked));
    assert_eq!(bench.add(&[1, 12_345], At::End, true), Err(Refused::NoSuchTrack));
    assert!(bench.rules.state(0).queue.entries.is_empty());
    assert_eq!(bench.motor.0, None);
}

#[test]
fn a_batch_is_all_or_nothing() {
    let mut bench = Bench::with(&[1]);
    let batch = vec![Command::Clear, Command::Play(None)];
    assert_eq!(bench.send(Command::Batch(batch)), Err(Refused::EmptyQueue));
    assert_eq!(bench.rules.state(0).queue.entries.len(), 1);
}

#[test]
fn previous_starts_a_track_again_once_three_seconds_were_heard() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench.play_out();
    bench.now += Duration::from_secs(4);
    bench.send(Command::Previous).expect("there is one");
    bench.sound();
    assert_eq!(bench.heard(), Some(2));
    bench.now += Duration::from_secs(1);
    bench.send(Command::Previous).expect("there is one");
    bench.sound();
    assert_eq!(bench.heard(), Some(1));
}

#[test]
fn removing_what_plays_goes_on_with_what_follows() {
    let mut bench = Bench::with(&[1, 2, 3]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    let ids: Vec<QueueId> = bench.rules.state(0).queue.entries.iter().map(|e| e.id).collect();
    bench.send(Command::Remove(vec![ids[0], ids[1]])).expect("both there");
    bench.sound();
    assert_eq!(bench.heard(), Some(3));
}

#[test]
fn after_power_on_it_waits_where_it_was() {
    let now = Instant::now();
    let saved = Bench::with(&[1, 2]);
    let second = saved.rules.state(0).queue.entries[1].id;
    let restored = Restored {
        queue: saved.rules.queue.clone(),
        current: Some(second),
        position: Millis(5000),
        repeat: Repeat::All,
        ..Restored::default()
    };
    let knob = Knob::new(false, Volume::MAX, None, now);
    let device = Device::closed("test", true);
    let mut bench = Bench { rules: Rules::new(knob, restored, device, now), now, ..Bench::new() };
    assert_eq!(bench.rules.state(0).transport, Transport::Paused);
    bench.send(Command::Play(None)).expect("paused");
    let load = bench.effects.iter().find_map(|e| match e {
        Effect::Load { what: Playable::Shelf(id), from, .. } => Some((id.0, from.0)),
        _ => None,
    });
    assert_eq!(load, Some((2, 5000)));
}

#[test]
fn seeking_beyond_the_end_is_refused() {
    let mut bench = Bench::with(&[1]);
    assert_eq!(bench.send(Command::Seek(Millis(1))), Err(Refused::EmptyQueue));
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    assert_eq!(bench.send(Command::Seek(Millis(10_001))), Err(Refused::OutOfRange));
    bench.send(Command::Seek(Millis(10_000))).expect("at the end");
    assert_eq!(bench.rules.state(0).position.anchor, Millis(10_000));
}

#[test]
fn a_move_to_the_end_says_nothing_of_the_next_track() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench.send(Command::Seek(Millis(10_000))).expect("at the end");
    let next = bench.motor.1.take().expect("the motor holds it");
    bench.event(Event::Finished(bench.motor.0.expect("loaded")));
    bench.event(Event::Started { serial: next, at: bench.now });
    assert_eq!(bench.heard(), Some(2));
    let serial = bench.rules.loaded.expect("it is heard");
    let position = Position { anchor: Millis(300), at: bench.now, running: true };
    bench.event(Event::At { serial, position });
    assert_eq!(bench.rules.state(0).position.anchor, Millis(300));
}

/// Faces tell a move though the place is nearly the same, or nothing sounds.
#[test]
fn every_move_counts_by_a_hair_to_the_same_place_and_while_stopped() {
    let mut bench = Bench::with(&[1]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    let mut seen = vec![(bench.rules.state(0))];
    for to in [500, 500, 0] {
        bench.send(Command::Seek(Millis(to))).expect("in it");
        seen.push(bench.rules.state(0));
    }
    bench.send(Command::Seek(Millis(10_001))).expect_err("beyond its end");
    bench.send(Command::Stop).expect("always");
    seen.push(bench.rules.state(0));
    bench.send(Command::Seek(Millis(500))).expect("the next play begins there");
    seen.push(bench.rules.state(0));
    let moves: Vec<u64> = seen.iter().map(|state| state.moves).collect();
    assert_eq!(moves, [0, 1, 2, 3, 3, 4]);
    assert!(
        crate::hifi::state::Changes::between(&seen[1], &seen[2])
            .contains(crate::hifi::state::Changes::PLAYER)
    );
}

#[test]
fn a_fixed_volume_says_where_the_knob_is() {
    let mut bench = Bench::new();
    bench.rules.knob = Knob::new(true, Volume::MAX, None, bench.now);
    assert_eq!(bench.send(Command::SetVolume(Volume::MIN)), Err(Refused::FixedVolume));
    assert_eq!(bench.send(Command::MoveVolume(-5)), Err(Refused::FixedVolume));
    assert_eq!(bench.send(Command::SetMute(true)), Err(Refused::FixedVolume));
    assert_eq!(bench.rules.state(0).gain, Gain::UNITY);
}

/// Reference upnp 7.4, "mute"; product: nothing gets louder by itself.
#[test]
fn who_turns_a_muted_box_up_hears_it_again_slowly() {
    let turns: [(Command, bool); 5] = [
        (Command::SetVolume(Volume::new(60).expect("in range")), false),
        (Command::SetVolume(Volume::new(5).expect("in range")), false),
        (Command::MoveVolume(1), false),
        (Command::MoveVolume(-1), true),
        (Command::SetVolume(Volume::MIN), true),
    ];
    for (turn, muted) in turns {
        let mut bench = Bench::with(&[1]);
        bench.send(Command::Play(None)).expect("there is a queue");
        bench.sound();
        let before = bench.rules.state(0).gain;
        bench.send(Command::SetMute(true)).expect("always");
        bench.now += Duration::from_secs(5);
        bench.send(turn.clone()).expect("always");
        let state = bench.rules.state(0);
        assert_eq!(state.mute, muted, "{turn:?}");
        assert!(state.gain <= before, "{turn:?} is heard at once");
        assert!(muted == (state.gain == Gain::SILENT), "{turn:?}: {:?}", state.gain);
    }
}

#[test]
fn notices_keep_the_last_thirty_two() {
    let mut bench = Bench::new();
    for n in 0..40 {
        bench.event(Event::Notice(format!("{n}").into(), Right::Room));
    }
    let notices = bench.rules.state(0).notices;
    assert_eq!((notices.len(), notices[0].number, notices[31].number), (32, 9, 40));
}

fn any_command() -> impl Strategy<Value = Command> {
    let id = || (1u32..8).prop_map(QueueId);
    prop_oneof![
        prop::option::of(id()).prop_map(Command::Play),
        Just(Command::PlaySomething),
        Just(Command::Pause),
        Just(Command::Toggle),
        Just(Command::Stop),
        Just(Command::Next),
        Just(Command::Previous),
        (0u64..12_000).prop_map(|ms| Command::Seek(Millis(ms))),
        (0u8..=100).prop_map(|v| Command::SetVolume(Volume::new(v).expect("in range"))),
        any::<bool>().prop_map(Command::SetMute),
        any::<bool>().prop_map(Command::SetShuffle),
        Just(Command::SetRepeat(Repeat::All)),
        Just(Command::SetRepeat(Repeat::One)),
        Just(Command::SetRepeat(Repeat::Off)),
        prop::collection::vec(id(), 0..3).prop_map(Command::Remove),
        (prop::collection::vec(id(), 0..3), 0u32..8).prop_map(|(ids, to)| Command::Move { ids, to }),
        Just(Command::Clear),
        Just(Command::Standby),
        Just(Command::Wake),
        Just(Command::SetInput(Input::Queue)),
        Just(Command::SetInput(Input::Deck(Via::OpenHome))),
        Just(Command::Yield),
        Just(Command::Resume),
    ]
}

proptest! {
    /// Whatever is pressed while the motor does whatever it does, the snapshot holds together.
    #[test]
    fn the_snapshot_always_holds_together(
        steps in prop::collection::vec((any_command(), 0u8..6, 1i64..20), 1..60),
    ) {
        let mut bench = Bench::with(&[1, 2, 3]);
        for (command, motor, id) in steps {
            let _refusals_are_fine = bench.send(command);
            match (motor, bench.motor.0) {
                (0, Some(_)) => bench.sound(),
                (1, Some(_)) => bench.play_out(),
                (2, Some(serial)) => bench.event(Event::Failed { serial, why: "broken".into(), fault: Fault::Entry }),
                (3, _) => { let _full_is_fine = bench.add(&[id], At::Next, false); }
                _ => bench.event(Event::Tick),
            }
            let state = bench.rules.state(0);
            let here = state.current.is_none_or(|id| state.queue.entries.iter().any(|e| e.id == id));
            prop_assert!(here, "the current entry is in the queue");
            let sounding = matches!(state.transport, Transport::Playing | Transport::Opening);
            prop_assert!(!sounding || state.current.is_some(), "something sounds that is not there");
            prop_assert!(!sounding || bench.motor.0.is_some(), "the state says sound, the motor has none");
            prop_assert!(bench.motor.0.is_none() || state.transport != Transport::Stopped,
                "the motor works on while the state says stopped");
            prop_assert!(state.position.running == (state.transport == Transport::Playing));
        }
    }
}

const LOCKED: i64 = 100;
