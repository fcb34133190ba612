//! URLs in the queue, and the guest deck beside it.

use super::*;
use crate::hifi::state::Source;
use crate::signal::OnAir;

fn url(name: &str) -> NewEntry {
    let what = Playable::Url(format!("http://10.0.0.9/{name}").into());
    NewEntry {
        what,
        shown: Arc::default(),
        said: Some(format!("<item>{name}</item>").into()),
        hints: Default::default(),
    }
}

fn guest(name: &str) -> Command {
    Command::SetGuest(Some(url(name)))
}

impl Bench {
    fn add_urls(&mut self, names: &[&str], play: bool) -> Result<(), Refused> {
        let entries = names.iter().map(|name| url(name)).collect();
        self.send(Command::Add { entries, at: At::End, play })
    }

    /// The title of what sounds.
    fn sounds(&self) -> Option<String> {
        let state = self.rules.state(0);
        (state.transport == Transport::Playing).then(|| state.entry()?.shown.title.clone()).flatten()
    }

    fn break_it(&mut self) {
        let serial = self.motor.0.expect("loaded");
        self.event(Event::Failed { serial, why: "it cannot be reached".into(), fault: Fault::Entry });
    }

    fn does(&self) -> Transport {
        self.rules.state(0).transport
    }

    fn is_guest(&self) -> bool {
        matches!(self.rules.state(0).source, Source::Guest { .. })
    }
}

#[test]
fn the_selector_stops_what_another_input_played_and_the_queue_stays_where_it_was() {
    let mut bench = Bench::with(&[1, 2, 3]);
    let deck = |by| Command::SetInput(Input::Deck(by));
    bench.send(Command::Play(Some(QueueId(2)))).expect("there");
    bench.sound();
    bench.send(deck(Via::OpenHome)).expect("always");
    let state = bench.rules.state(0);
    assert_eq!((bench.does(), bench.motor.0, state.place), (Transport::Stopped, None, Some(QueueId(2))));
    assert_eq!(state.source, Source::Empty { by: Via::OpenHome });
    // Another deck is another input; the same one again changes nothing.
    bench.send(deck(Via::Upnp)).expect("always");
    assert_eq!(bench.rules.state(0).source.input(), Input::Deck(Via::Upnp));
    bench.send(guest("one")).expect("a url");
    assert_eq!((bench.does(), bench.is_guest()), (Transport::Stopped, true), "it waits for its play");
    bench.send(Command::Play(None)).expect("the guest");
    bench.sound();
    bench.send(deck(Via::Web)).expect("the deck that plays");
    assert_eq!((bench.does(), bench.is_guest()), (Transport::Playing, true));
    assert_eq!(bench.rules.state(0).place, Some(QueueId(2)), "the queue's place, whoever plays");
    bench.send(Command::SetInput(Input::Queue)).expect("always");
    let state = bench.rules.state(0);
    assert_eq!(
        (bench.does(), state.source, state.current),
        (Transport::Stopped, Source::Queue, Some(QueueId(2)))
    );
    // Whoever plays the queue has turned the selector.
    bench.send(deck(Via::OpenHome)).expect("always");
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    assert_eq!((bench.heard(), bench.rules.state(0).source), (Some(2), Source::Queue));
    // A deck that is taken away is not chosen any more.
    bench.send(deck(Via::OpenHome)).expect("always");
    bench.send(Command::SetGuest(None)).expect("always");
    assert_eq!(bench.rules.state(0).source, Source::Queue);
}

#[test]
fn the_place_of_an_empty_queue_is_none_and_of_a_fresh_one_its_first() {
    let mut bench = Bench::new();
    assert_eq!(bench.rules.state(0).place, None);
    bench.add(&[4, 5], At::End, false).expect("fits");
    assert_eq!(bench.rules.added(), [QueueId(1), QueueId(2)]);
    assert_eq!((bench.rules.state(0).place, bench.rules.state(0).current), (Some(QueueId(1)), None));
    bench.add(&[6], At::After(QueueId(1)), false).expect("fits");
    assert_eq!(bench.rules.added(), [QueueId(3)]);
    assert_eq!(bench.add(&[6], At::After(QueueId(9)), false), Err(Refused::NoSuchEntry));
    assert!(bench.rules.added().is_empty(), "a refused command adds nothing");
}

#[test]
fn standby_holds_until_it_is_woken_or_played() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench.send(Command::Standby).expect("always");
    assert!(bench.rules.state(0).standby && bench.does() == Transport::Stopped);
    assert!(bench.effects.contains(&Effect::Release));
    bench.send(Command::Wake).expect("always");
    assert!(!bench.rules.state(0).standby && bench.does() == Transport::Stopped, "nothing plays by that");
    bench.send(Command::Standby).expect("always");
    bench.send(Command::SetVolume(Volume::MIN)).expect("always");
    assert!(bench.rules.state(0).standby);
    bench.send(Command::Play(None)).expect("there is a queue");
    assert!(!bench.rules.state(0).standby);
}

#[test]
fn urls_are_called_by_their_last_part_until_somebody_says_more() {
    let mut bench = Bench::new();
    bench.add_urls(&["a/My%20Song.flac?x=1", "", "%E5%9D%82%zz.mp3"], false).expect("urls");
    let state = bench.rules.state(0);
    let titles: Vec<_> = state.queue.entries.iter().map(|e| e.shown.title.clone().expect("a name")).collect();
    assert_eq!(titles, ["My Song.flac", "10.0.0.9", "坂%zz.mp3"]);
    assert_eq!(state.queue.entries[1].said.as_deref(), Some("<item></item>"));
}

#[test]
fn what_is_no_web_address_is_refused() {
    let mut bench = Bench::new();
    for (text, refused) in [
        ("ftp://10.0.0.9/x", Refused::Unsupported),
        ("file:///etc/passwd", Refused::Unsupported),
        ("http://", Refused::Unsupported),
        ("x", Refused::Unsupported),
    ] {
        let entry = NewEntry { what: Playable::Url(text.into()), ..url("") };
        assert_eq!(bench.send(Command::SetGuest(Some(entry.clone()))), Err(refused), "{text}");
        let add = Command::Add { entries: vec![entry], at: At::End, play: false };
        assert_eq!(bench.send(add), Err(refused), "{text}");
    }
    assert_eq!(bench.send(guest(&"x".repeat(9000))), Err(Refused::OutOfRange));
    let long = NewEntry { said: Some("x".repeat(300_000).into()), ..url("a") };
    assert_eq!(bench.send(Command::SetGuest(Some(long))), Err(Refused::OutOfRange));
}

#[test]
fn a_queue_of_only_unreachable_urls_stops_instead_of_spinning() {
    for repeat in [Repeat::Off, Repeat::All, Repeat::One] {
        let mut bench = Bench::new();
        bench.send(Command::SetRepeat(repeat)).expect("always");
        bench.add_urls(&["a", "b", "c"], true).expect("urls");
        let mut tries = 0;
        while bench.motor.0.is_some() {
            bench.break_it();
            tries += 1;
            assert!(tries < 10, "it spins with {repeat:?}");
        }
        assert_eq!((tries, bench.does()), (3, Transport::Stopped));
        // One that repeats is tried twice, and named once.
        let named = if repeat == Repeat::One { 2 } else { 3 };
        assert_eq!(bench.rules.state(0).notices.len(), named, "{repeat:?}");
    }
}

#[test]
fn a_guest_plays_beside_the_queue_and_the_queue_waits_where_it_was() {
    let mut bench = Bench::with(&[1, 2, 3]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.sound();
    bench.play_out();
    assert_eq!(bench.heard(), Some(2));
    let (version, second) = (bench.rules.state(0).queue.version, bench.rules.state(0).current);
    bench.send(guest("one")).expect("a url");
    bench.sound();
    assert_eq!((bench.sounds().as_deref(), bench.is_guest()), (Some("one"), true));
    bench.send(Command::SetGuestNext(Some(url("two")))).expect("a guest is there");
    assert!(bench.motor.1.is_some(), "the next one is primed");
    bench.play_out();
    assert_eq!(bench.sounds().as_deref(), Some("two"));
    let state = bench.rules.state(0);
    assert!(
        matches!(&state.source, Source::Guest { by: Via::Web, next: None, now } if Some(now.id) == state.current)
    );
    assert!(state.current > second, "guests take their numbers from the same counter");
    assert_eq!(state.queue.version, version);
    bench.play_out();
    assert_eq!((bench.does(), bench.is_guest(), bench.motor.0), (Transport::Stopped, true, None));
    bench.send(Command::Play(None)).expect("once more");
    bench.sound();
    assert_eq!(bench.sounds().as_deref(), Some("two"));
    bench.send(Command::PlaySomething).expect("there is a queue");
    bench.sound();
    assert_eq!((bench.heard(), bench.is_guest()), (Some(2), false));
}

#[test]
fn any_play_of_the_queue_ends_the_guest() {
    let ends: [fn(&mut Bench); 4] = [
        |bench| {
            let id = bench.rules.state(0).queue.entries[0].id;
            bench.send(Command::Play(Some(id))).expect("it is there");
        },
        |bench| bench.add(&[1, 2], At::Next, true).expect("they are there"),
        |bench| bench.send(Command::PlaySomething).expect("there is a queue"),
        |bench| {
            bench.send(Command::SetGuest(None)).expect("always");
            bench.send(Command::Toggle).expect("there is a queue");
        },
    ];
    for end in ends {
        let mut bench = Bench::with(&[1, 2]);
        bench.send(guest("one")).expect("a url");
        bench.send(Command::Play(None)).expect("it waits");
        bench.sound();
        bench.send(Command::SetGuestNext(Some(url("two")))).expect("a guest is there");
        end(&mut bench);
        bench.sound();
        assert_eq!((bench.heard(), bench.is_guest()), (Some(1), false));
        bench.play_out();
        assert_eq!(bench.heard(), Some(2));
    }
}

#[test]
fn a_new_guest_keeps_the_state_of_the_transport_and_forgets_the_next() {
    let mut bench = Bench::new();
    bench.send(guest("one")).expect("a url");
    assert_eq!((bench.does(), bench.motor.0), (Transport::Stopped, None));
    bench.send(Command::Play(None)).expect("it waits");
    bench.sound();
    bench.send(Command::SetGuestNext(Some(url("old")))).expect("a guest is there");
    bench.send(guest("two")).expect("a url");
    bench.sound();
    assert_eq!((bench.sounds().as_deref(), bench.motor.1), (Some("two"), None));
    bench.send(Command::Pause).expect("it plays");
    bench.send(guest("three")).expect("a url");
    assert_eq!((bench.does(), bench.motor.0), (Transport::Paused, None));
    bench.send(Command::Play(None)).expect("it waits");
    bench.sound();
    assert_eq!(bench.sounds().as_deref(), Some("three"));
    bench.send(Command::SetGuestNext(Some(url("never")))).expect("a guest is there");
    bench.send(Command::Stop).expect("always");
    bench.send(Command::Play(None)).expect("it waits");
    bench.sound();
    assert_eq!(bench.motor.1, None, "a stop forgets the next");
    assert_eq!(bench.send(Command::SetGuest(None)), Ok(()));
    assert_eq!((bench.does(), bench.is_guest()), (Transport::Stopped, false));
    assert_eq!(bench.send(Command::SetGuestNext(None)), Err(Refused::NoSuchEntry));
}

#[test]
fn the_same_guest_twice_in_a_row_is_two_starts() {
    let mut bench = Bench::new();
    bench.send(guest("one")).expect("a url");
    bench.send(Command::Play(None)).expect("it waits");
    bench.sound();
    bench.send(Command::SetGuestNext(Some(url("one")))).expect("a guest is there");
    let first = bench.rules.state(0).current;
    bench.play_out();
    let state = bench.rules.state(0);
    assert_eq!((state.starts, state.position.anchor), (2, Millis::ZERO));
    assert_ne!(state.current, first);
}

#[test]
fn a_guest_that_breaks_is_followed_by_its_next_or_silence_never_by_the_queue() {
    let mut bench = Bench::with(&[1]);
    bench.send(guest("one")).expect("a url");
    bench.send(Command::Play(None)).expect("it waits");
    bench.send(Command::SetGuestNext(Some(url("two")))).expect("a guest is there");
    bench.break_it();
    bench.sound();
    assert_eq!(bench.sounds().as_deref(), Some("two"));
    bench.break_it();
    assert_eq!((bench.does(), bench.motor.0), (Transport::Stopped, None));
    assert_eq!(bench.rules.state(0).notices[0].words, "one cannot be played: it cannot be reached");
}

#[test]
fn the_keys_for_next_and_previous_stay_on_the_deck() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(guest("one")).expect("a url");
    bench.send(Command::Play(None)).expect("it waits");
    bench.sound();
    bench.send(Command::SetGuestNext(Some(url("two")))).expect("a guest is there");
    bench.send(Command::Previous).expect("it plays");
    bench.sound();
    assert_eq!(bench.sounds().as_deref(), Some("one"));
    bench.send(Command::Next).expect("it plays");
    bench.sound();
    assert_eq!(bench.sounds().as_deref(), Some("two"));
    bench.send(Command::Next).expect("it plays");
    assert_eq!((bench.does(), bench.is_guest()), (Transport::Stopped, true));
}

#[test]
fn the_queue_can_be_edited_beside_a_guest() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(guest("one")).expect("a url");
    bench.send(Command::Play(None)).expect("it waits");
    bench.sound();
    bench.add(&[3], At::End, false).expect("fits");
    let first = bench.rules.state(0).queue.entries[0].id;
    bench.send(Command::Remove(vec![first])).expect("it is there");
    bench.send(Command::SetShuffle(true)).expect("always");
    bench.send(Command::SetShuffle(false)).expect("always");
    assert_eq!(bench.sounds().as_deref(), Some("one"));
    bench.send(Command::Clear).expect("always");
    assert_eq!(bench.sounds().as_deref(), Some("one"));
    bench.send(Command::SetGuest(None)).expect("always");
    let state = bench.rules.state(0);
    assert_eq!((state.current, state.queue.entries.len()), (None, 0));
}

#[test]
fn a_shelf_track_may_be_a_guest_and_counts_as_played() {
    let mut bench = Bench::new();
    let entry = NewEntry { what: Playable::Shelf(TrackId(4)), ..url("") };
    bench.send(Command::SetGuest(Some(entry))).expect("it is there");
    bench.send(Command::Play(None)).expect("it waits");
    bench.sound();
    assert!(bench.effects.contains(&Effect::Played(TrackId(4))));
    let locked = NewEntry { what: Playable::Shelf(TrackId(LOCKED)), ..url("") };
    assert_eq!(bench.send(Command::SetGuest(Some(locked))), Err(Refused::Locked));
    assert_eq!(bench.heard(), Some(4), "a refusal changes nothing");
}

#[test]
fn a_station_has_no_positions_and_tells_its_title() {
    let mut bench = Bench::new();
    bench.add_urls(&["radio", "next"], true).expect("urls");
    let (serial, next) = (bench.motor.0.expect("loaded"), bench.motor.1.expect("primed"));
    let say = |bench: &mut Bench, serial, title: &str| {
        let on_air = OnAir { name: Some("Radio".into()), title: Some(title.into()) };
        bench.event(Event::OnAir { serial, on_air });
    };
    say(&mut bench, serial, "One");
    say(&mut bench, next, "Not yet");
    bench.sound();
    let signal = Arc::new(SignalPath {
        source: track(1).copies[0].format.clone(),
        rate: SampleRate::CD,
        processing: Vec::new(),
        device: "test".into(),
        sample: "s16".into(),
        channels: 2,
        hardware: None,
        bit_perfect: false,
        because: None,
    });
    bench.event(Event::Opened { serial, duration: None, seekable: false, signal });
    let title = |bench: &Bench| bench.rules.state(0).on_air.and_then(|on_air| on_air.title.clone());
    assert_eq!(title(&bench).as_deref(), Some("One"));
    assert_eq!(bench.send(Command::Seek(Millis(5))), Err(Refused::NotSeekable));
    say(&mut bench, serial, "Two");
    assert_eq!(title(&bench).as_deref(), Some("Two"));
    bench.play_out();
    assert_eq!(title(&bench).as_deref(), Some("Not yet"));
    say(&mut bench, serial, "too late");
    assert_eq!(title(&bench).as_deref(), Some("Not yet"));
    bench.send(Command::Stop).expect("always");
    assert_eq!(title(&bench), None);
}

fn any_guest_command() -> impl Strategy<Value = Command> {
    let entry = || prop::option::of((0u8..4).prop_map(|n| url(&n.to_string())));
    prop_oneof![entry().prop_map(Command::SetGuest), entry().prop_map(Command::SetGuestNext), any_command(),]
}

proptest! {
    /// With a guest, too, the snapshot holds together whatever is pressed and whatever the motor does.
    #[test]
    fn the_snapshot_holds_together_with_guests(
        steps in prop::collection::vec((any_guest_command(), 0u8..6), 1..60),
    ) {
        let mut bench = Bench::with(&[1, 2, 3]);
        for (command, motor) in steps {
            let _refusals_are_fine = bench.send(command);
            match (motor, bench.motor.0) {
                (0, Some(_)) => bench.sound(),
                (1, Some(_)) => bench.play_out(),
                (2, Some(_)) => bench.break_it(),
                _ => bench.event(Event::Tick),
            }
            let state = bench.rules.state(0);
            match &state.source {
                Source::Queue => prop_assert!(
                    state.current.is_none_or(|id| state.queue.entries.iter().any(|e| e.id == id))
                ),
                Source::Guest { now, .. } => prop_assert_eq!(state.current, Some(now.id)),
                Source::Empty { .. } => prop_assert_eq!(state.transport, Transport::Stopped),
            }
            let place = state.place.is_none_or(|id| state.queue.entries.iter().any(|e| e.id == id));
            prop_assert!(place && state.place.is_none() == state.queue.entries.is_empty());
            let sounding = matches!(state.transport, Transport::Playing | Transport::Opening);
            prop_assert!(!sounding || bench.motor.0.is_some(), "the state says sound, the motor has none");
            prop_assert!(bench.motor.0.is_none() || state.transport != Transport::Stopped,
                "the motor works on while the state says stopped");
            prop_assert!(state.position.running == (state.transport == Transport::Playing));
            prop_assert!(bench.rules.queue_place().is_none_or(|id| bench.rules.queue.get(id).is_some()));
        }
    }
}
