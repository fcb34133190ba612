//! A pump against a server that is played by hand over a pair of sockets.

use super::*;
use crate::player::Knob;
use crate::player::gain::Swing;
use crate::player::ring::{Feed, ring};
use crate::units::{Gain, SampleRate};
use pulseaudio::protocol::{
    CommandTag, MAX_VERSION, PlaybackStreamMovedParams, Request, StreamSuspendedParams, Underflow,
    read_descriptor, stream, write_command_message, write_reply_message,
};

const CHANNEL: u32 = 3;
/// 100 frames of two channels of 16 bits.
const PERIOD: u32 = 400;

struct Server {
    socket: UnixStream,
    feed: Feed,
    sent: i32,
    start: Instant,
}

fn opened(wanted: u32) -> (Server, Pump<i16>) {
    opened_on(wanted, false)
}

fn opened_on(wanted: u32, suspended: bool) -> (Server, Pump<i16>) {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("a socket");
    theirs.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    let (feed, render) = ring(SampleRate::CD, 2, Knob::Fixed, Gain::UNITY);
    feed.shared().run(Swing::Open);
    let start = Instant::now();
    let (version, longest) = (MAX_VERSION, 2 * PERIOD);
    let opened = Opened { version, channel: CHANNEL, wanted, longest, delay: 0, suspended };
    (Server { socket: theirs, feed, sent: 0, start }, Pump::new(ours, opened, render, start))
}

impl Server {
    /// Fills the ring with frames that count on from 1.
    fn feed(&mut self, frames: i32) {
        let words: Vec<i32> = (1..=frames * 2).map(|n| (self.sent + n) << 16).collect();
        assert_eq!(self.feed.write(&words), words.len());
        self.sent += frames * 2;
    }

    fn say(&mut self, command: &Command) {
        write_command_message(&mut self.socket, u32::MAX, command, MAX_VERSION).expect("it is sent");
    }

    fn ask_for(&mut self, length: u32) {
        self.say(&Command::Request(Request { channel: CHANNEL, length }));
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    /// Returns the next message, `None` for a question; `true` with its bytes where it is sound.
    fn next(&mut self) -> (Descriptor, Vec<u8>) {
        let head = read_descriptor(&mut self.socket).expect("a descriptor");
        let mut body = vec![0; head.length as usize];
        self.socket.read_exact(&mut body).expect("a body");
        (head, body)
    }

    fn sound(&mut self) -> Vec<i16> {
        let (head, body) = self.next();
        assert_eq!(head.channel, CHANNEL);
        body.as_chunks::<2>().0.iter().map(|two| i16::from_ne_bytes(*two)).collect()
    }

    /// Takes a question and returns its number.
    fn question(&mut self) -> u32 {
        let (head, body) = self.next();
        assert_eq!(head.channel, u32::MAX);
        let (serial, command) =
            Command::read_tag_prefixed(&mut body.as_slice(), MAX_VERSION).expect("a command");
        assert_eq!(command.tag(), CommandTag::GetPlaybackLatency);
        serial
    }

    fn answer(&mut self, serial: u32, waiting: i64, sink_usec: u64) {
        let latency = PlaybackLatency {
            sink_usec,
            source_usec: 0,
            playing: true,
            local_time: SystemTime::UNIX_EPOCH,
            remote_time: SystemTime::UNIX_EPOCH,
            write_offset: 1_000_000 + waiting,
            read_offset: 1_000_000,
            underrun_for: 0,
            playing_for: 0,
        };
        write_reply_message(&mut self.socket, serial, &latency, MAX_VERSION).expect("it is sent");
    }

    fn is_quiet(&self) -> bool {
        self.socket.set_nonblocking(true).expect("a socket");
        let read = (&self.socket).read(&mut [0]);
        self.socket.set_nonblocking(false).expect("a socket");
        matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

#[test]
fn a_request_gets_exactly_its_bytes_and_no_request_gets_none() {
    let (mut server, mut pump) = opened(2 * PERIOD);
    server.feed(1_000);
    pump.turn(server.at(0)).expect("it turns");
    assert_eq!(server.sound(), (1..=400).collect::<Vec<i16>>());
    pump.turn(server.at(1)).expect("it turns");
    assert!(server.is_quiet());
    // Three bytes of a frame wait for the fourth.
    server.ask_for(PERIOD + 3);
    pump.turn(server.at(2)).expect("it turns");
    assert_eq!(server.sound(), (401..=600).collect::<Vec<i16>>());
    server.ask_for(1);
    pump.turn(server.at(3)).expect("it turns");
    assert_eq!(server.sound(), [601, 602]);
    // More than the buffer holds comes in pieces.
    server.ask_for(4 * PERIOD);
    pump.turn(server.at(4)).expect("it turns");
    let pieces = [server.sound(), server.sound()].concat();
    assert_eq!(pieces, (603..=1_402).collect::<Vec<i16>>());
    assert!(server.is_quiet());
}

#[test]
fn a_hole_counts_once_and_only_while_sound_runs() {
    let (mut server, mut pump) = opened(PERIOD);
    let underflow = Command::Underflow(Underflow { channel: CHANNEL, offset: 0 });
    server.feed(100);
    pump.turn(server.at(0)).expect("it turns");
    // Nothing has sounded yet.
    server.say(&underflow);
    server.say(&Command::Started(CHANNEL));
    server.feed(100);
    server.ask_for(PERIOD);
    pump.turn(server.at(1)).expect("it turns");
    assert_eq!(server.feed.shared().underruns(), 0);
    server.say(&underflow);
    server.say(&underflow);
    pump.turn(server.at(2)).expect("it turns");
    assert_eq!(server.feed.shared().underruns(), 1);
    // What was given last is silence: the end was told.
    server.feed.shared().expect(crate::player::ring::Expect::End);
    server.ask_for(PERIOD);
    pump.turn(server.at(3)).expect("it turns");
    server.say(&underflow);
    pump.turn(server.at(4)).expect("it turns");
    assert_eq!(server.feed.shared().underruns(), 1);
}

#[test]
fn a_server_that_does_not_read_blocks_nobody_and_loses_nothing() {
    let (mut server, mut pump) = opened(0);
    let mut millis = 0;
    // Until both buffers of the sockets are full.
    while pump.sent == pump.filled {
        server.feed(100);
        server.ask_for(PERIOD);
        pump.turn(server.at(millis)).expect("it turns");
        millis += 1;
        assert!(millis < 100_000);
    }
    let consumed = server.feed.shared().consumed();
    server.ask_for(PERIOD);
    pump.turn(server.at(millis)).expect("it turns");
    assert_eq!(server.feed.shared().consumed(), consumed, "nothing is rendered behind what waits");
    let mut next = 1i32;
    while i64::from(next) <= consumed as i64 * 2 {
        for word in server.sound() {
            assert_eq!(word, next as i16);
            next += 1;
        }
        pump.turn(server.at(millis)).expect("it turns");
    }
}

#[test]
fn a_server_that_is_gone_or_closes_the_stream_is_trouble() {
    let (server, mut pump) = opened(0);
    let now = server.at(0);
    drop(server);
    assert_eq!(pump.turn(now).map_err(|e| e.kind()), Err(Kind::Unreachable));
    let (mut server, mut pump) = opened(0);
    server.say(&Command::PlaybackStreamKilled(CHANNEL));
    assert_eq!(pump.turn(server.at(0)).map_err(|e| e.kind()), Err(Kind::Unreachable));
}

#[test]
fn a_server_that_answers_no_question_is_given_up_after_5_seconds() {
    let (server, mut pump) = opened(0);
    for second in 1..=5 {
        pump.turn(server.at(second * 1_101)).expect("it turns");
    }
    assert_eq!(pump.turn(server.at(6_300)).map_err(|e| e.kind()), Err(Kind::Unreachable));
}

#[test]
fn the_place_is_asked_for_at_the_start_and_beside_the_sound_of_every_second() {
    let (mut server, mut pump) = opened(2 * PERIOD);
    server.feed(10_000);
    pump.turn(server.at(0)).expect("it turns");
    assert_eq!(server.sound().len(), 400);
    // All of it is still to be heard.
    assert_eq!(server.feed.shared().latency(), 200);
    server.say(&Command::Started(CHANNEL));
    pump.turn(server.at(10)).expect("it turns");
    let serial = server.question();
    // 200 frames were given: 50 wait, and 441 are in the device: the first is heard 291 frames later.
    server.answer(serial, 200, 10_000);
    pump.turn(server.at(10)).expect("it turns");
    let mut questions = 0;
    for millis in 11..=2_100 {
        server.ask_for(4);
        pump.turn(server.at(millis)).expect("it turns");
        assert_eq!(server.sound().len(), 2);
        if pump.asked.is_some() {
            let serial = server.question();
            server.answer(serial, 200, 10_000);
            questions += 1;
        }
        if millis == 20 {
            // Ten frames were given since, and 441 were heard in 10 ms.
            assert_eq!(server.feed.shared().latency(), 50 + 441 + 10 - 441);
        }
    }
    assert_eq!(questions, 2);
}

#[test]
fn a_stream_that_is_suspended_stands_until_it_goes_on() {
    let (mut server, mut pump) = opened(2 * PERIOD);
    server.feed(1_000);
    pump.turn(server.at(0)).expect("it turns");
    server.sound();
    server.say(&Command::Started(CHANNEL));
    let suspended = StreamSuspendedParams { stream_index: CHANNEL, suspended: true };
    server.say(&Command::PlaybackStreamSuspended(suspended));
    pump.turn(server.at(0)).expect("it turns");
    assert_eq!(pump.place.ahead(200, server.at(60_000)), 200);
    assert_eq!(server.feed.shared().underruns(), 0);
    assert!(pump.suspended.load(Ordering::Relaxed));
    let goes_on = StreamSuspendedParams { stream_index: CHANNEL, suspended: false };
    server.say(&Command::PlaybackStreamSuspended(goes_on));
    pump.turn(server.at(60_000)).expect("it turns");
    assert!(!pump.suspended.load(Ordering::Relaxed));
}

#[test]
fn a_stream_on_a_device_that_was_suspended_before_is_held_until_it_goes_on() {
    let (mut server, pump) = opened_on(0, true);
    let stream = spawn("dac".into(), pump).expect("a thread");
    let words = stream.held().expect("it is held");
    assert!(words.contains("suspended the device dac"), "{words}");
    let goes_on = StreamSuspendedParams { stream_index: CHANNEL, suspended: false };
    server.say(&Command::PlaybackStreamSuspended(goes_on));
    let goes_on = std::iter::repeat_with(|| {
        std::thread::yield_now();
        stream.held().is_none()
    });
    assert!(goes_on.take(10_000_000).any(|free| free));
    let (_server, pump) = opened(0);
    assert_eq!(spawn("dac".into(), pump).expect("a thread").held(), None);
}

#[test]
fn a_message_in_drops_is_understood_and_one_that_is_too_long_passed_over() {
    let (mut server, mut pump) = opened(0);
    server.feed(100);
    let mut said = Vec::new();
    // Longer than the inbox, and in the middle of others.
    let name = std::ffi::CString::new(vec![b'x'; 10_000]).expect("a name");
    let moved = PlaybackStreamMovedParams {
        stream_index: CHANNEL,
        device_index: 1,
        device_name: name,
        device_suspended: false,
        buffer_attr: stream::BufferAttr::default(),
        configured_sink_latency: 0,
    };
    let request = Command::Request(Request { channel: CHANNEL, length: 8 });
    for command in [&request, &Command::PlaybackStreamMoved(moved), &request] {
        write_command_message(&mut said, 7, command, MAX_VERSION).expect("a message");
    }
    // A command of a later version.
    said.extend_from_slice(&[0, 0, 0, 10, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    said.extend_from_slice(&[b'L', 0, 0, 200, 0, b'L', 0, 0, 0, 0]);
    write_command_message(&mut said, 7, &request, MAX_VERSION).expect("a message");
    for byte in said {
        server.socket.write_all(&[byte]).expect("it is sent");
        pump.turn(server.at(0)).expect("it turns");
    }
    let heard = [server.sound(), server.sound(), server.sound()].concat();
    assert_eq!(heard, (1..=12).collect::<Vec<i16>>());
}

#[test]
fn dropping_the_stream_ends_its_thread_and_what_ended_it_before_is_told_once() {
    let (mut server, pump) = opened(PERIOD);
    server.feed(100);
    let stream = spawn("dac".into(), pump).expect("a thread");
    assert_eq!(server.sound().len(), 200);
    drop(stream);
    assert!(matches!((&server.socket).read(&mut [0]), Ok(0)), "the connection is closed");

    let (mut server, pump) = opened(0);
    let mut stream = spawn("dac".into(), pump).expect("a thread");
    server.say(&Command::PlaybackStreamKilled(CHANNEL));
    // The thread closes its end when it is over.
    assert!(matches!((&server.socket).read(&mut [0]), Ok(0)));
    let told = std::iter::repeat_with(|| stream.trouble()).take(1_000_000).flatten().next();
    assert!(told.expect("trouble").to_string().contains("dac"));
}
