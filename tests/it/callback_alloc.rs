//! The sound callback never touches the heap: counted by an allocator of this test program, which counts bytes for others.
#![allow(unsafe_code)] // A global allocator is an unsafe trait; it only counts and passes on.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use konpo::player::Knob;
use konpo::player::gain::Swing;
use konpo::player::ring::{DeviceSample, Expect, ring};
use konpo::units::{Gain, SampleRate};

struct Counting;

thread_local! {
    static TOUCHES: Cell<u64> = const { Cell::new(0) };
    /// Bytes that this thread holds, and the most that it held.
    static HELD: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
}

fn hold(bytes: i64) {
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        held.set((now + bytes, most.max(now + bytes)));
    });
}

/// Returns the most bytes that this thread holds at once meanwhile, beyond what it holds already.
pub fn most_held(run: impl FnOnce()) -> i64 {
    let before = HELD.with(|held| {
        held.set((held.get().0, held.get().0));
        held.get().0
    });
    run();
    HELD.with(|held| held.get().1 - before)
}

fn touch() {
    // A thread that is ending has no counter any more; it is not the one that is measured.
    let _ = TOUCHES.try_with(|touches| touches.set(touches.get() + 1));
}

// SAFETY: every call goes unchanged to the system's allocator; the counter is a plain cell that allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        touch();
        hold(layout.size() as i64);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        touch();
        hold(-(layout.size() as i64));
        // SAFETY: the pointer came from `System` by this allocator, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        touch();
        hold(size as i64 - layout.size() as i64);
        // SAFETY: the pointer came from `System` by this allocator, with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn touches(run: impl FnOnce()) -> u64 {
    let before = TOUCHES.with(Cell::get);
    run();
    TOUCHES.with(Cell::get) - before
}

/// Plays, changes the gain, pauses, resumes, seeks, starves, ends: every path of the callback. The samples have more bits
/// than 16 and 24, as those of a resampler have, so that forms of these depths are dithered.
fn check<T: DeviceSample>(knob: Knob) {
    let (mut feed, mut render) = ring(SampleRate::CD, 2, knob, Gain::from_db(-12));
    let samples = vec![123_456_789; 8_000];
    assert!(!i16::holds(samples[0]) && !cpal::I24::holds(samples[0]));
    let mut out = vec![T::exact(0); 1_024];
    let shared = feed.shared().clone();
    let count = touches(|| {
        for round in 0..64 {
            match round {
                0 => shared.run(Swing::Open),
                8 => shared.aim(Gain::UNITY),
                12 => shared.aim(Gain::from_db(-40)),
                16 => shared.aim(Gain::SILENT),
                20 => shared.aim(Gain::from_db(-30)),
                24 => shared.run(Swing::Close),
                30 => shared.run(Swing::Open),
                36 => feed.flush(),
                50 => shared.expect(Expect::End),
                _ => {}
            }
            if round < 44 {
                feed.write(&samples);
            }
            render.fill(&mut out);
        }
    });
    assert_eq!(count, 0);
    assert!(shared.consumed() > 10_000);
}

#[test]
fn the_allocator_counts() {
    assert!(touches(|| drop(std::hint::black_box(vec![1u8; 100]))) >= 2);
}

#[test]
fn the_callback_never_touches_the_heap() {
    check::<i16>(Knob::Box);
    check::<i32>(Knob::Box);
    check::<f32>(Knob::Box);
    check::<cpal::I24>(Knob::Box);
    check::<i16>(Knob::Fixed);
    check::<i32>(Knob::Fixed);
    check::<f32>(Knob::Fixed);
    check::<cpal::I24>(Knob::Fixed);
}

/// Lets a server that is played by hand ask for sound, break off, and answer what it is asked.
#[cfg(feature = "pulseaudio")]
fn check_server<T: konpo::player::pulse::pump::Wire>() {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::time::{Duration, Instant};

    use konpo::player::pulse::pump::{Opened, Pump};
    use pulseaudio::protocol::{Command, MAX_VERSION, Request, Underflow, write_command_message};

    let (ours, mut server) = UnixStream::pair().expect("a pair");
    ours.set_nonblocking(true).expect("a socket");
    let (mut feed, render) = ring(SampleRate::CD, 2, Knob::Box, Gain::from_db(-12));
    feed.shared().run(Swing::Open);
    let start = Instant::now();
    let period = (1_470 * 2 * T::SIZE) as u32;
    let both = 2 * period;
    let opened =
        Opened { version: MAX_VERSION, channel: 0, wanted: both, longest: both, delay: 0, suspended: false };
    let mut pump = Pump::<T>::new(ours, opened, render, start);
    let (samples, mut taken) = (vec![123_456_789; 2_940], vec![0; 1 << 20]);
    let (mut count, mut length) = (0, 0);
    for round in 0..90 {
        feed.write(&samples);
        let mut said = Vec::new();
        let mut say =
            |command| write_command_message(&mut said, 1_000, &command, MAX_VERSION).expect("a message");
        match round {
            0 => say(Command::Started(0)),
            40 => say(Command::Underflow(Underflow { channel: 0, offset: 0 })),
            50 => say(Command::Overflow(0)),
            _ => {}
        }
        say(Command::Request(Request { channel: 0, length: period }));
        server.write_all(&said).expect("it is sent");
        let now = start + Duration::from_millis(33 * round);
        count += touches(|| pump.turn(now).expect("it turns"));
        length += server.read(&mut taken).expect("sound");
    }
    assert_eq!(count, 0);
    assert!(length > 90 * period as usize);
    assert!(feed.shared().underruns() > 0);
}

#[cfg(feature = "pulseaudio")]
#[test]
fn what_a_sound_server_asks_for_never_touches_the_heap() {
    check_server::<i16>();
    check_server::<i32>();
    check_server::<f32>();
    check_server::<cpal::I24>();
}
