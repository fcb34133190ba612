//! What is told of a track while the device comes and goes.

use super::*;
use crate::hifi::state::State;

fn opened(serial: PlaySerial, codec: Codec) -> Event {
    let source = AudioFormat { codec, rate: None, ..track(1).copies[0].format.clone() };
    let signal = Arc::new(SignalPath {
        source,
        rate: SampleRate::CD,
        processing: Vec::new(),
        device: "test".into(),
        sample: "s16".into(),
        channels: 2,
        hardware: None,
        bit_perfect: false,
        because: None,
    });
    Event::Opened { serial, duration: Some(Millis(9_000)), seekable: true, signal }
}

fn coded(state: &State) -> Option<(Codec, Option<SampleRate>)> {
    state.format.as_ref().map(|format| (format.codec, format.rate))
}

impl Bench {
    /// The motor opens what was loaded, and it sounds.
    fn open(&mut self, codec: Codec) {
        let serial = self.motor.0.expect("loaded");
        self.event(opened(serial, codec));
        self.sound();
    }

    fn told(&self) -> State {
        self.rules.state(0)
    }
}

#[test]
fn a_long_pause_loses_nothing_that_is_known_of_the_track() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.open(Codec::Flac);
    let flac = Some((Codec::Flac, Some(SampleRate::CD)));
    let before = bench.told();
    assert_eq!((coded(&before), before.duration), (flac, Millis(9_000)));
    bench.send(Command::Pause).expect("it sounds");
    bench.now += Duration::from_secs(15);
    bench.event(Event::Released);
    let paused = bench.told();
    assert_eq!((coded(&paused), paused.duration, paused.signal), (flac, Millis(9_000), None));
    bench.send(Command::Play(None)).expect("it waits");
    assert_eq!(coded(&bench.told()), flac, "before the device is open again");
    // The motor opens the device again and says so; what it says twice ahead counts as said last.
    let (serial, next) = (bench.motor.0.expect("loaded"), bench.motor.1.expect("primed"));
    bench.event(opened(serial, Codec::Flac));
    assert_eq!((coded(&bench.told()), bench.told().signal), (flac, before.signal));
    bench.event(opened(next, Codec::Mp3));
    bench.event(opened(next, Codec::Alac));
    assert_eq!(coded(&bench.told()), flac, "what is ahead waits for its turn");
    bench.play_out();
    assert_eq!(coded(&bench.told()), Some((Codec::Alac, Some(SampleRate::CD))));
}

#[test]
fn another_entry_does_not_show_how_the_one_before_was_coded() {
    let mut bench = Bench::with(&[1, 2]);
    bench.send(Command::Play(None)).expect("there is a queue");
    bench.open(Codec::Flac);
    bench.send(Command::Next).expect("there is one");
    bench.send(Command::Pause).expect("it is being opened");
    let state = bench.told();
    assert_eq!((state.transport, coded(&state), state.signal), (Transport::Paused, None, None));
    bench.sound();
    bench.event(opened(bench.motor.0.expect("loaded"), Codec::Mp3));
    assert_eq!(coded(&bench.told()), Some((Codec::Mp3, Some(SampleRate::CD))));
}
