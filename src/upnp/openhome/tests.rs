//! The tables, and what is told of a box as it goes from state to state.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::follow::Teller;
use super::product::Product;
use super::*;
use crate::hifi::command::{Playable, QueueId, QuietMode, Repeat};
use crate::hifi::state::{self, Entry, Modes, Position, QueueView, QuietState};
use crate::signal::{Device, OnAir, SignalPath};
use crate::track::{AudioFormat, Container, Tags};
use crate::units::{Gain, Millis, SampleRate, Volume};
use crate::upnp::describe::scpd;
use crate::upnp::own::Mark;
use crate::upnp::service::{Direction, Value, Variable};

fn mark() -> Mark {
    Mark::of(Uuid::from_u128(7))
}

fn named(lumin: bool) -> Named {
    Named { name: tokio::sync::watch::channel("R&B <Room>".into()).1, product: "konpo".into(), lumin }
}

fn entry(id: u32) -> Entry {
    Entry {
        id: QueueId(id),
        what: Playable::Url(format!("http://10.0.0.9/{id}.flac").into()),
        shown: Arc::new(Tags { title: Some(format!("Song {id}")), ..Tags::default() }),
        duration: Millis(10_000),
        said: None,
        named: None,
        cover: None,
        measured: Default::default(),
    }
}

fn signal() -> SignalPath {
    let source = AudioFormat {
        container: Container::Wav,
        codec: crate::track::Codec::Pcm,
        rate: Some(SampleRate::CD),
        channels: Some(2),
        bits: Some(16),
        frames: None,
    };
    SignalPath {
        source,
        processing: Vec::new(),
        device: "test".into(),
        rate: SampleRate::CD,
        sample: "s16".into(),
        channels: 2,
        hardware: None,
        bit_perfect: true,
        because: None,
    }
}

/// A stopped box with three entries.
fn rest(now: Instant) -> State {
    State {
        rev: 1,
        source: state::Source::Queue,
        transport: Transport::Stopped,
        standby: false,
        current: None,
        place: Some(QueueId(1)),
        failed: None,
        starts: 0,
        moves: 0,
        position: Position { anchor: Millis::ZERO, at: now, running: false },
        duration: Millis::ZERO,
        seekable: true,
        on_air: None,
        pictures: Arc::default(),
        format: None,
        signal: None,
        volume: Volume::new(30).expect("in range"),
        fixed_volume: false,
        gain: Gain::UNITY,
        mute: false,
        repeat: Repeat::Off,
        shuffle: false,
        modes: Modes::default(),
        sleep: None,
        quiet: QuietState { mode: QuietMode::Auto, because: None, until: None, limit: Volume::MAX },
        queue: Arc::new(QueueView { version: 5, entries: (1..=3).map(entry).collect() }),
        library_rev: 0,
        notices: Arc::default(),
        device: Arc::new(Device::closed("test", true)),
        output: "test".into(),
        offers: 0,
    }
}

fn opening(state: &State, id: u32) -> State {
    State {
        transport: Transport::Opening,
        current: Some(QueueId(id)),
        place: Some(QueueId(id)),
        duration: Millis(10_000),
        position: Position { anchor: Millis::ZERO, running: false, ..state.position },
        ..state.clone()
    }
}

fn playing(state: &State, id: u32, at: Instant) -> State {
    State {
        transport: Transport::Playing,
        starts: state.starts + 1,
        position: Position { anchor: Millis::ZERO, at, running: true },
        format: Some(Arc::new(signal().source)),
        signal: Some(Arc::new(signal())),
        ..opening(state, id)
    }
}

/// Returns a variable of what is told.
fn value(values: &[(&'static str, Value)], name: &str) -> String {
    match values.iter().find(|(known, _)| *known == name) {
        Some((_, Value::Text(text))) => text.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

#[test]
fn every_table_is_whole_and_every_variable_that_is_told_is_in_it() {
    let state = rest(Instant::now());
    let mut teller = Teller::new(mark());
    teller.look(&state, None, Instant::now());
    let now = teller.now(&state);
    let product = Product::new(named(false), true);
    for (service, values) in [
        (&product::SERVICE, product.values(&state)),
        (&product::SERVICE_1, product.values(&state)),
        (&playlist::SERVICE, playlist::values(&now)),
        (&info::SERVICE, info::values(&now)),
        (&time::SERVICE, time::values(&now)),
        (&volume::SERVICE, volume::values(&now)),
        (&transport::SERVICE, transport::values(&now)),
        (&radio::SERVICE, radio::values(&now)),
    ] {
        let evented: Vec<&Variable> = service.variables.iter().filter(|v| v.evented).collect();
        let (names, told): (Vec<&str>, Vec<&str>) =
            (evented.iter().map(|v| v.name).collect(), values.iter().map(|(name, _)| *name).collect());
        assert_eq!(told, names, "{}: in the order of the table", service.kind);
        for variable in evented {
            let text = value(&values, variable.name);
            assert_eq!(variable.read(&text).as_deref(), Ok(text.as_str()), "{}", variable.name);
        }
        let mut unique: Vec<&str> = service.variables.iter().map(|variable| variable.name).collect();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), service.variables.len(), "{}", service.kind);
        for action in service.actions {
            let outs: Vec<bool> = action.arguments.iter().map(|a| a.direction == Direction::Out).collect();
            assert!(outs.is_sorted(), "{}: what it takes comes first", action.name);
            let known = |a: &crate::upnp::service::Argument| service.variable(a.variable).is_some();
            assert!(action.arguments.iter().all(known), "{}", action.name);
        }
        assert!(scpd(service).contains("<serviceStateTable>"));
    }
}

/// Reference upnp 0, row 4, and 3.8: what is of version 2, and what is told without a knob.
#[test]
fn lumin_finds_version_one_and_a_box_without_a_knob_names_no_volume() {
    let has = |service: &Service| service.actions.iter().any(|a| a.name == "SetSourceBySystemName");
    assert!(has(&product::SERVICE) && !has(&product::SERVICE_1));
    assert_eq!(product::SERVICE.actions.len(), product::SERVICE_1.actions.len() + 1);
    let attributes =
        |knob| value(&Product::new(named(true), knob).values(&rest(Instant::now())), "Attributes");
    assert_eq!(
        (attributes(true).as_str(), attributes(false).as_str()),
        ("Info Time Volume Transport", "Info Time Transport")
    );
}

/// Reference upnp 3.8, Info: a track counts once, whether its start is seen together with it or later; each start of the
/// same one counts again.
#[test]
fn a_track_counts_once_and_its_details_begin_anew() {
    let begun = Instant::now();
    let mut teller = Teller::new(mark());
    let stopped = rest(begun);
    teller.look(&stopped, None, begun);
    let counts = |teller: &Teller, state: &State| {
        let values = info::values(&teller.now(state));
        ["TrackCount", "DetailsCount", "Uri", "CodecName"].map(|name| value(&values, name))
    };
    assert_eq!(counts(&teller, &stopped), ["0", "0", "", ""]);
    let open = opening(&stopped, 1);
    teller.look(&open, None, begun);
    assert_eq!(counts(&teller, &open), ["1", "0", "http://10.0.0.9/1.flac", ""]);
    let first = playing(&open, 1, begun);
    teller.look(&first, None, begun);
    assert_eq!(counts(&teller, &first), ["1", "1", "http://10.0.0.9/1.flac", "PCM"]);
    let values = info::values(&teller.now(&first));
    let details =
        ["Duration", "BitRate", "BitDepth", "SampleRate", "Lossless"].map(|name| value(&values, name));
    assert_eq!(details, ["10", "1411200", "16", "44100", "1"]);
    // Without a gap: the next one is there with its start.
    let second = playing(&first, 2, begun);
    teller.look(&second, None, begun);
    assert_eq!(counts(&teller, &second), ["2", "1", "http://10.0.0.9/2.flac", "PCM"]);
    // The same one once more.
    let again = playing(&second, 2, begun);
    teller.look(&again, None, begun);
    assert_eq!(counts(&teller, &again), ["3", "1", "http://10.0.0.9/2.flac", "PCM"]);
    teller.look(&again, None, begun);
    assert_eq!(counts(&teller, &again)[..2], ["3", "1"], "nothing changed");
    // A deck without anything on it shows nothing, and the list keeps its place.
    let empty = State {
        source: state::Source::Empty { by: Via::OpenHome },
        transport: Transport::Stopped,
        ..again.clone()
    };
    teller.look(&empty, None, begun);
    assert_eq!(counts(&teller, &empty), ["4", "0", "", ""]);
    assert_eq!(value(&playlist::values(&teller.now(&empty)), "Id"), "2");
}

/// A device that is let go in a pause takes nothing from what is told of the track.
#[test]
fn a_pause_without_a_device_keeps_the_details_and_the_length() {
    let begun = Instant::now();
    let mut teller = Teller::new(mark());
    let first = playing(&rest(begun), 1, begun);
    let told = |teller: &mut Teller, state: &State| {
        teller.look(state, None, begun);
        let values = info::values(&teller.now(state));
        let names =
            ["DetailsCount", "Duration", "BitRate", "BitDepth", "SampleRate", "Lossless", "CodecName"];
        names.map(|name| value(&values, name))
    };
    let before = told(&mut teller, &first);
    assert_eq!(before, ["1", "10", "1411200", "16", "44100", "1", "PCM"]);
    let paused = State { transport: Transport::Paused, signal: None, ..first.clone() };
    assert_eq!(told(&mut teller, &paused), before);
    assert_eq!(told(&mut teller, &first), before);
    let other = State { format: None, ..opening(&paused, 2) };
    assert_eq!(told(&mut teller, &other), ["0", "0", "0", "0", "0", "0", ""]);
}

#[test]
fn a_station_s_words_are_told_with_their_count() {
    let begun = Instant::now();
    let mut teller = Teller::new(mark());
    let title = |title: &str| Some(Arc::new(OnAir { name: None, title: Some(title.into()) }));
    let first = State { on_air: title("A & B"), ..playing(&rest(begun), 1, begun) };
    teller.look(&first, None, begun);
    let values = info::values(&teller.now(&first));
    let metatext = value(&values, "Metatext");
    let read = crate::wire::didl::parse(&metatext).expect("a listing");
    assert_eq!((value(&values, "MetatextCount").as_str(), read.items[0].title.as_str()), ("1", "A & B"));
    let second = State { on_air: title("C"), ..first };
    teller.look(&second, None, begun);
    assert_eq!(value(&info::values(&teller.now(&second)), "MetatextCount"), "2");
}

/// Reference upnp 3.8, Transport: "Buffering".
#[test]
fn what_opens_fast_is_not_told_to_buffer() {
    let begun = Instant::now();
    let mut teller = Teller::new(mark());
    let first = playing(&rest(begun), 1, begun);
    teller.look(&first, None, begun);
    let told =
        |teller: &Teller, state: &State| value(&transport::values(&teller.now(state)), "TransportState");
    let open = opening(&first, 2);
    teller.look(&open, None, begun);
    assert_eq!(told(&teller, &open), "Playing");
    assert_eq!(teller.again(&open, begun), Some(begun + Duration::from_millis(800)));
    let late = begun + Duration::from_millis(800);
    teller.look(&open, None, late);
    assert_eq!(told(&teller, &open), "Buffering");
    assert_eq!(teller.again(&open, late), None);
    let second = playing(&open, 2, late);
    teller.look(&second, None, late);
    assert_eq!(told(&teller, &second), "Playing");
}

#[test]
fn seconds_are_told_as_they_pass_and_not_taken_back_for_a_moment() {
    let begun = Instant::now();
    let mut teller = Teller::new(mark());
    let state = playing(&rest(begun), 1, begun);
    let mut seconds = Vec::new();
    let mut at = begun;
    for _ in 0..4 {
        teller.look(&state, None, at);
        seconds.push(value(&time::values(&teller.now(&state)), "Seconds"));
        at = teller.again(&state, at).expect("the next second");
    }
    assert_eq!(seconds, ["0", "1", "2", "3"]);
    assert_eq!(at, begun + Duration::from_secs(4));
    // The motor says that it is 20 ms behind.
    let late = Position { anchor: Millis(2990), at: begun + Duration::from_secs(3), running: true };
    let corrected = State { position: late, ..state.clone() };
    teller.look(&corrected, None, begun + Duration::from_secs(3));
    assert_eq!(value(&time::values(&teller.now(&corrected)), "Seconds"), "3");
    let back = State { position: Position { anchor: Millis(1000), ..late }, ..state };
    teller.look(&back, None, begun + Duration::from_secs(3));
    assert_eq!(value(&time::values(&teller.now(&back)), "Seconds"), "1", "somebody moved back");
}
