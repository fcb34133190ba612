//! Single, consume, stop after this, rounds of a shuffle, the sleep timer: what is pressed and what is heard.

use super::*;
use crate::hifi::command::{Sleep, SleepEnd};

/// A box that plays the first of these tracks.
fn playing(ids: &[i64]) -> Bench {
    let mut bench = Bench::with(ids);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench
}

fn queue(bench: &Bench) -> Vec<i64> {
    let track = |entry: &Entry| match entry.what {
        Playable::Shelf(id) => id.0,
        Playable::Url(_) => 0,
    };
    bench.rules.state(0).queue.entries.iter().map(track).collect()
}

/// Lets time pass as the loop does, alarm by alarm.
fn wait(bench: &mut Bench, time: Duration) {
    let end = bench.now + time;
    while let Some(next) = bench.rules.forward(bench.now).filter(|&next| next <= end) {
        bench.now = next.max(bench.now + Duration::from_millis(1));
        bench.event(Event::Tick);
    }
    bench.now = end;
    bench.event(Event::Tick);
}

#[test]
fn single_stops_behind_every_track_with_the_next_chosen() {
    let mut bench = playing(&[1, 2, 3]);
    bench.send(Command::SetSingle(true)).expect("always");
    assert_eq!(bench.motor.1, None, "the motor holds no next");
    bench.play_out();
    let state = bench.rules.state(0);
    assert_eq!((state.transport, state.current), (Transport::Stopped, Some(state.queue.entries[1].id)));
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    assert_eq!(bench.heard(), Some(2));
    // One track that repeats goes before it.
    bench.send(Command::SetRepeat(Repeat::One)).expect("always");
    bench.play_out();
    assert_eq!(bench.heard(), Some(2));
}

#[test]
fn stop_after_this_stops_once() {
    let mut bench = playing(&[1, 2, 3]);
    bench.send(Command::StopAfter(true)).expect("always");
    bench.play_out();
    let state = bench.rules.state(0);
    assert_eq!((state.transport, state.modes.stop_after), (Transport::Stopped, false));
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    assert_eq!(bench.heard(), Some(2));
    bench.play_out();
    assert_eq!(bench.heard(), Some(3));
}

#[test]
fn stop_after_this_holds_when_the_track_breaks_in_the_middle() {
    let mut bench = playing(&[1, 2]);
    bench.send(Command::StopAfter(true)).expect("always");
    let serial = bench.motor.0.expect("loaded");
    bench.event(Event::Failed { serial, why: "it is damaged".into(), fault: Fault::Entry });
    let state = bench.rules.state(0);
    assert_eq!((state.transport, state.modes.stop_after), (Transport::Stopped, false));
    assert_eq!(state.current, Some(state.queue.entries[1].id));
}

#[test]
fn consume_takes_out_what_was_played_and_ends_with_nothing() {
    let mut bench = playing(&[1, 2, 3]);
    bench.send(Command::SetConsume(true)).expect("always");
    bench.send(Command::SetRepeat(Repeat::All)).expect("always");
    bench.play_out();
    assert_eq!((bench.heard(), queue(&bench)), (Some(2), vec![2, 3]));
    bench.send(Command::Next).expect("there is one");
    bench.sound();
    assert_eq!((bench.heard(), queue(&bench)), (Some(3), vec![3]));
    bench.play_out();
    let state = bench.rules.state(0);
    assert_eq!((state.transport, state.current, queue(&bench)), (Transport::Stopped, None, vec![]));
}

#[test]
fn shuffled_and_repeated_each_round_is_whole_and_without_a_gap() {
    let ids: Vec<i64> = (1..=8).collect();
    let mut bench = Bench::with(&ids);
    bench.send(Command::SetShuffle(true)).expect("always");
    bench.send(Command::SetRepeat(Repeat::All)).expect("always");
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    let mut rounds = Vec::new();
    let mut last = None;
    for _ in 0..5 {
        let mut round = Vec::new();
        for _ in 0..8 {
            let heard = bench.heard();
            assert_ne!(heard, last, "the same track twice in a row");
            round.extend(heard);
            last = heard;
            assert!(bench.motor.1.is_some(), "the next round begins without a gap");
            bench.play_out();
        }
        let mut sorted = round.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, ids);
        rounds.push(round);
    }
    assert!(rounds.windows(2).all(|pair| pair[0] != pair[1]), "a new round is a new order: {rounds:?}");
    assert!(rounds.iter().any(|round| round[0] != rounds[0][0]), "they begin differently: {rounds:?}");
}

#[test]
fn a_shuffled_queue_that_ended_is_shuffled_anew_for_the_next_play() {
    let mut bench = Bench::with(&(1..=8).collect::<Vec<i64>>());
    bench.send(Command::SetShuffle(true)).expect("always");
    let mut rounds = Vec::new();
    for _ in 0..2 {
        bench.send(Command::Play(None)).expect("there is a queue");
        bench.sound();
        let mut round = Vec::new();
        while let Some(heard) = bench.heard() {
            round.push(heard);
            bench.play_out();
        }
        assert_eq!(round.len(), 8);
        rounds.push(round);
    }
    assert_ne!(rounds[0], rounds[1]);
}

#[test]
fn what_is_added_to_a_shuffled_queue_is_heard_in_this_round() {
    let mut bench = Bench::with(&[1, 2, 3, 4]);
    bench.send(Command::SetShuffle(true)).expect("always");
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    let mut heard = vec![bench.heard().expect("plays")];
    bench.play_out();
    heard.extend(bench.heard());
    bench.add(&[11, 12], At::End, false).expect("fits");
    bench.add(&[13], At::Next, false).expect("fits");
    bench.play_out();
    assert_eq!(bench.heard(), Some(13), "what is to be next is next");
    for _ in 0..5 {
        heard.extend(bench.heard());
        bench.play_out();
    }
    heard.sort_unstable();
    assert_eq!(heard, [1, 2, 3, 4, 11, 12, 13]);
    assert_eq!(bench.rules.state(0).transport, Transport::Stopped);
}

#[test]
fn the_sleep_timer_fades_and_holds_the_place() {
    let mut bench = playing(&[1]);
    let before = bench.rules.state(0).gain;
    let sleep = Sleep { after: Millis(90_000), end: SleepEnd::Fade };
    bench.send(Command::Sleep(Some(sleep))).expect("in range");
    wait(&mut bench, Duration::from_secs(30));
    assert_eq!(bench.rules.state(0).gain, before, "the last minute fades");
    wait(&mut bench, Duration::from_secs(30));
    let half = bench.rules.state(0).gain;
    assert!((29.0..31.0).contains(&(before.db() - half.db())), "{before:?} to {half:?}");
    wait(&mut bench, Duration::from_secs(30));
    let state = bench.rules.state(0);
    assert_eq!(
        (state.transport, state.sleep, state.volume),
        (Transport::Paused, None, Volume::new(25).expect("fits"))
    );
    assert_eq!(state.position.anchor, Millis(90_000));
    wait(&mut bench, Duration::from_secs(2));
    assert_eq!(bench.rules.state(0).gain, before, "the next play is as loud as the knob says");
}

#[test]
fn ended_the_sleep_timer_lets_the_sound_come_back_slowly() {
    let mut bench = playing(&[1]);
    let before = bench.rules.state(0).gain;
    let sleep = Sleep { after: Millis(10_000), end: SleepEnd::Fade };
    bench.send(Command::Sleep(Some(sleep))).expect("in range");
    wait(&mut bench, Duration::from_secs(3));
    let low = bench.rules.state(0).gain;
    assert!(low < before);
    bench.send(Command::Sleep(None)).expect("always");
    wait(&mut bench, Duration::from_secs(1));
    let risen = bench.rules.state(0).gain.db() - low.db();
    assert!((9.0..=10.0).contains(&risen), "{risen} dB in a second");
    wait(&mut bench, Duration::from_secs(10));
    assert_eq!((bench.rules.state(0).gain, bench.heard()), (before, Some(1)));
}

#[test]
fn the_sleep_timer_finishes_the_track_when_it_is_told_to() {
    let mut bench = playing(&[1, 2]);
    let sleep = Sleep { after: Millis(3_000), end: SleepEnd::FinishTrack };
    bench.send(Command::Sleep(Some(sleep))).expect("in range");
    wait(&mut bench, Duration::from_secs(4));
    assert_eq!((bench.heard(), bench.motor.1), (Some(1), None));
    bench.play_out();
    assert_eq!(bench.rules.state(0).transport, Transport::Stopped);
    let long = Sleep { after: Millis(24 * 3_600_000 + 1), end: SleepEnd::Fade };
    assert_eq!(bench.send(Command::Sleep(Some(long))), Err(Refused::OutOfRange));
    // With nothing to end it ends nothing: what is played later plays on.
    let sleep = Sleep { after: Millis(1_000), end: SleepEnd::FinishTrack };
    bench.send(Command::Sleep(Some(sleep))).expect("in range");
    wait(&mut bench, Duration::from_secs(2));
    assert!(!bench.rules.state(0).modes.stop_after);
}

#[test]
fn a_batch_has_a_limit_that_nesting_does_not_lift() {
    let mut bench = Bench::with(&[1]);
    let many = |count| Command::Batch(vec![Command::SetSingle(true); count]);
    bench.send(many(999)).expect("it fits");
    assert_eq!(bench.send(many(1000)), Err(Refused::OutOfRange));
    assert_eq!(bench.send(Command::Batch(vec![many(500), many(500)])), Err(Refused::OutOfRange));
}
