//! The deck beside the queue: whose it is, what a pause keeps, what the shelf and edits of the queue do to it.

use std::collections::HashMap;

use super::*;
use crate::hifi::state::Source;

fn shelf_guest(id: i64) -> NewEntry {
    NewEntry {
        what: Playable::Shelf(TrackId(id)),
        shown: Arc::default(),
        said: Some("<item/>".into()),
        hints: Default::default(),
    }
}

fn by(via: Via) -> Given {
    Given { by: via, ..Bench::given() }
}

#[test]
fn a_paused_queue_stays_paused_when_an_app_puts_something_on() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench.send(Command::Pause).expect("it sounds");
    bench.send(Command::SetGuest(Some(shelf_guest(4)))).expect("it is there");
    let state = bench.rules.state(0);
    assert_eq!(
        (state.transport, state.position.anchor, bench.motor.0),
        (Transport::Paused, Millis::ZERO, None)
    );
    bench.send(Command::Play(None)).expect("it waits");
    bench.sound();
    assert_eq!((bench.heard(), bench.rules.state(0).place), (Some(4), Some(QueueId(1))));
}

#[test]
fn only_the_face_whose_deck_it_is_sets_what_follows() {
    let mut bench = Bench::new();
    bench.send(Command::SetGuest(Some(shelf_guest(4)))).expect("it is there");
    for (via, next) in [(Via::Upnp, Some(shelf_guest(5))), (Via::OpenHome, None)] {
        let refused = bench.rules.command(Command::SetGuestNext(next), &by(via), bench.now);
        assert_eq!(refused, Err(Refused::NoSuchEntry), "{via:?}");
    }
    bench.send(Command::SetGuestNext(Some(shelf_guest(5)))).expect("its own");
    assert_eq!(bench.rules.state(0).source.deck().count(), 2);
}

#[test]
fn a_deck_that_is_emptied_stays_the_source_and_the_queue_its_place() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(Some(QueueId(2)))).expect("there");
    bench.send(Command::SetGuest(Some(shelf_guest(4)))).expect("it is there");
    let empty = Command::Batch(vec![Command::SetGuest(None), Command::SetInput(Input::Deck(Via::Upnp))]);
    for _ in 0..2 {
        bench.send(empty.clone()).expect("always");
        let state = bench.rules.state(0);
        assert_eq!((state.source, state.transport), (Source::Empty { by: Via::Upnp }, Transport::Stopped));
        assert_eq!(state.place, Some(QueueId(2)));
    }
}

#[test]
fn removing_the_entry_that_waits_beside_the_deck_leaves_the_place_at_its_heir() {
    let mut bench = Bench::with(&[1, 2, 3, 4]);
    bench.send(Command::Play(Some(QueueId(2)))).expect("there");
    bench.sound();
    bench.send(Command::SetGuest(Some(shelf_guest(9)))).expect("it is there");
    bench.sound();
    bench.send(Command::Remove(vec![QueueId(2), QueueId(3)])).expect("they are there");
    assert_eq!((bench.heard(), bench.rules.state(0).place), (Some(9), Some(QueueId(4))));
    bench.send(Command::SetGuest(None)).expect("always");
    assert_eq!(bench.rules.state(0).current, Some(QueueId(4)));
    bench.send(Command::SetGuest(Some(shelf_guest(9)))).expect("it is there");
    bench.send(Command::Remove(vec![QueueId(4)])).expect("it is there");
    assert_eq!(bench.rules.state(0).place, Some(QueueId(1)), "nothing is behind it");
}

#[test]
fn what_the_shelf_says_anew_is_shown_of_the_deck_too() {
    let mut bench = Bench::new();
    bench.send(Command::SetGuest(Some(shelf_guest(4)))).expect("it is there");
    bench.send(Command::SetGuestNext(Some(shelf_guest(5)))).expect("its own");
    let corrected = |id: i64| {
        let tags = Arc::new(Tags { title: Some(format!("Corrected {id}")), ..Tags::default() });
        (TrackId(id), Arc::new(Track { tags, duration: Millis(77_000), ..Track::clone(&track(id)) }))
    };
    let tracks: HashMap<_, _> = [4, 5].map(corrected).into();
    bench.event(Event::Shelf { rev: 2, tracks });
    let state = bench.rules.state(0);
    let shown: Vec<_> =
        state.source.deck().map(|e| (e.shown.title.clone(), e.duration, e.said.is_some())).collect();
    let want = |id: i64| (Some(format!("Corrected {id}")), Millis(77_000), true);
    assert_eq!(shown, [want(4), want(5)]);
    assert_eq!(state.duration, Millis(77_000), "it was not opened yet");
}
