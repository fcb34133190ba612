//! The life of the device and of broken files, as the rules see it.

use super::*;

impl Bench {
    fn fail(&mut self, serial: PlaySerial) {
        self.event(Event::Failed { serial, why: "it is damaged".into(), fault: Fault::Entry });
    }

    fn transport(&self) -> Transport {
        self.rules.state(0).transport
    }

    fn loads(&self) -> usize {
        self.effects.iter().filter(|e| matches!(e, Effect::Load { .. })).count()
    }
}

#[test]
fn a_track_that_breaks_in_its_middle_is_followed_by_what_the_motor_holds_without_a_cut() {
    let mut bench = Bench::with(&[1, 2, 3]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench.fail(bench.motor.0.expect("loaded"));
    assert_eq!(bench.loads(), 0);
    bench.sound();
    assert_eq!(bench.heard(), Some(2));
    assert_eq!(bench.rules.state(0).notices.len(), 1);
}

#[test]
fn what_the_motor_would_go_on_with_breaks_after_the_end_of_the_track_before() {
    for over in [true, false] {
        let mut bench = Bench::with(&[1, 2, 3]);
        bench.send(Command::Play(None)).expect("there is a queue");
        bench.sound();
        let (loaded, primed) = (bench.motor.0.expect("loaded"), bench.motor.1.expect("primed"));
        // The disk is slow: the next track is still being opened when this one ends, well or broken.
        if over {
            bench.event(Event::Finished(loaded))
        } else {
            bench.fail(loaded)
        };
        bench.fail(primed);
        assert_eq!(bench.loads(), 1);
        bench.sound();
        assert_eq!(bench.heard(), Some(3));
    }
}

#[test]
fn what_the_motor_would_go_on_with_is_taken_out_of_the_queue_after_the_end() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench.event(Event::Finished(bench.motor.0.expect("loaded")));
    let second = bench.rules.state(0).queue.entries[1].id;
    bench.send(Command::Remove(vec![second])).expect("it is there");
    assert_eq!(bench.transport(), Transport::Stopped);
    assert_eq!(bench.motor.0, None);
}

#[test]
fn a_queue_of_files_that_all_break_after_their_first_frame_stops() {
    let mut bench = Bench::with(&[1, 2, 3]);
    bench.send(Command::SetRepeat(Repeat::All)).expect("always");
    bench.send(Command::Play(None)).expect("there is a queue");
    let mut tries = 0;
    while let Some(serial) = bench.motor.0 {
        bench.sound();
        bench.fail(serial);
        tries += 1;
        assert!(tries < 10, "it spins");
    }
    assert_eq!((tries, bench.transport()), (3, Transport::Stopped));
}

#[test]
fn one_file_that_breaks_late_does_not_stop_a_queue_that_plays() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::SetRepeat(Repeat::All)).expect("always");
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    for _ in 0..20 {
        bench.fail(bench.motor.0.expect("loaded"));
        bench.sound();
        assert_eq!(bench.heard(), Some(2));
        bench.play_out();
        assert_eq!(bench.heard(), Some(1));
    }
}

#[test]
fn yield_gives_the_device_away_and_resume_goes_on_only_where_sound_ran() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench.send(Command::Yield).expect("always");
    assert_eq!(bench.effects, [Effect::Pause, Effect::Release]);
    assert_eq!(bench.transport(), Transport::Paused);
    // A second one forgets nothing.
    bench.send(Command::Yield).expect("always");
    bench.send(Command::Resume).expect("always");
    assert_eq!(bench.effects, [Effect::Resume]);
    assert_eq!(bench.transport(), Transport::Playing);
    bench.send(Command::Resume).expect("always");
    assert!(bench.effects.is_empty());

    bench.send(Command::Pause).expect("always");
    bench.send(Command::Yield).expect("always");
    bench.send(Command::Resume).expect("always");
    assert_eq!(bench.transport(), Transport::Paused);

    bench.send(Command::Play(None)).expect("it waits");
    bench.send(Command::Yield).expect("always");
    bench.send(Command::Stop).expect("always");
    bench.send(Command::Resume).expect("always");
    assert_eq!(bench.transport(), Transport::Stopped);
}

#[test]
fn the_position_stands_still_while_the_device_is_away() {
    let mut bench = Bench::with(&[1]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    let serial = bench.motor.0.expect("loaded");
    let position = |anchor, running| Position { anchor: Millis(anchor), at: bench.now, running };
    let (lost, back) = (position(4_000, false), position(4_000, true));
    bench.event(Event::At { serial, position: lost });
    bench.now += Duration::from_secs(60);
    assert_eq!(bench.rules.state(0).position.now(bench.now), Millis(4_000));
    bench.event(Event::At { serial, position: Position { at: bench.now, ..back } });
    bench.now += Duration::from_secs(1);
    assert_eq!(bench.rules.state(0).position.now(bench.now), Millis(5_000));
    assert_eq!(bench.transport(), Transport::Playing);
}

#[test]
fn what_was_primed_behind_a_track_that_overtook_the_queue_is_taken_back() {
    let mut bench = Bench::with(&[1, 2, 3]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    let (first, second) = (bench.motor.0.expect("loaded"), bench.motor.1.expect("primed"));
    let third = bench.rules.state(0).queue.entries[2].id;
    // The motor has gone on with the second track when the third is put before it.
    bench.send(Command::Move { ids: vec![third], to: 1 }).expect("they are there");
    bench.event(Event::Finished(first));
    bench.motor.0 = Some(second);
    bench.sound();
    assert_eq!(bench.heard(), Some(2));
    assert_eq!(bench.motor.1, None, "nothing follows the last entry");
}
