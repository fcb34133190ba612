//! A stream that sounds: waits for the server, and gives it exactly the bytes it asks for. One thread for each stream;
//! on the way of the sound it touches no heap, lock or log, and no system call but `poll`, `read` and `write`.
//!
//! A server that stops reading blocks nobody: what it does not take waits in one buffer, and nothing is rendered behind
//! it. Where the sound is that is heard is asked for once a second and after whatever disturbs it; the clock tells the rest.
//!
//! Rule: PulseAudio native protocol (`PROTOCOL` of PulseAudio 16.1): REQUEST, STARTED, UNDERFLOW, OVERFLOW,
//! PLAYBACK_STREAM_SUSPENDED, _MOVED, _KILLED, PLAYBACK_BUFFER_ATTR_CHANGED, GET_PLAYBACK_LATENCY.

use std::io::{Cursor, Error as IoError, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pulseaudio::protocol::{
    Command, DESCRIPTOR_SIZE, Descriptor, DescriptorFlags, LatencyParams, MAX_MEMBLOCKQ_LENGTH,
    PlaybackLatency, TagStructReader, encode_command_message, encode_descriptor,
};

use crate::error::{Error, Kind, Result};
use crate::player::output::Stream;
use crate::player::pulse::place::Place;
use crate::player::ring::{DeviceSample, Render};

/// A sample on its way to the server.
pub trait Wire: DeviceSample + Send + 'static {
    /// Its bytes.
    const SIZE: usize;

    /// Writes it in the order of this machine; `to` has [`Wire::SIZE`] bytes.
    fn put(self, to: &mut [u8]);
}

impl Wire for i16 {
    const SIZE: usize = 2;
    fn put(self, to: &mut [u8]) {
        to.copy_from_slice(&self.to_ne_bytes());
    }
}

impl Wire for i32 {
    const SIZE: usize = 4;
    fn put(self, to: &mut [u8]) {
        to.copy_from_slice(&self.to_ne_bytes());
    }
}

impl Wire for f32 {
    const SIZE: usize = 4;
    fn put(self, to: &mut [u8]) {
        to.copy_from_slice(&self.to_ne_bytes());
    }
}

impl Wire for cpal::I24 {
    const SIZE: usize = 4;
    fn put(self, to: &mut [u8]) {
        self.inner().put(to);
    }
}

/// What the server says of a stream that it just opened.
#[derive(Debug, Clone, Copy)]
pub struct Opened {
    /// The version that both ends speak.
    pub version: u16,
    /// The stream's number on this connection.
    pub channel: u32,
    /// Bytes that it wants at once.
    pub wanted: u32,
    /// Bytes that its buffer holds: the longest piece that is written.
    pub longest: u32,
    /// How long the sound takes behind its buffer, in µs.
    pub delay: u64,
    /// The device is suspended, and stays so although there is a stream now.
    pub suspended: bool,
}

/// One end of the connection of a stream: messages in, sound out. Never blocks.
pub struct Pump<T> {
    socket: UnixStream,
    opened: Opened,
    render: Render,
    inbox: Inbox,
    /// A piece of sound as it comes from the ring.
    samples: Vec<T>,
    /// What goes out in one write; gone up to `sent`.
    out: Vec<u8>,
    sent: usize,
    filled: usize,
    /// Bytes that the server waits for.
    wanted: usize,
    /// Frames that were given to it.
    written: u64,
    place: Place,
    /// Whether the server plays, and was given sound since it last ran out of it.
    started: bool,
    fed: bool,
    suspended: Arc<AtomicBool>,
    /// The question that waits for its answer, and what was written before it.
    asked: Option<(u32, u64)>,
    serial: u32,
    /// When the next question may go beside sound, and when it goes alone.
    ask_beside: Instant,
    ask_alone: Instant,
    /// When something was said last, by us and by the server.
    told: Instant,
    heard: Instant,
}

impl<T: Wire> Pump<T> {
    /// Returns the pump of a stream. The socket must not block.
    pub fn new(socket: UnixStream, opened: Opened, render: Render, now: Instant) -> Pump<T> {
        let frame = render.channels().max(1) * T::SIZE;
        let frames = (opened.longest as usize).min(MAX_MEMBLOCKQ_LENGTH).div_ceil(frame).max(1);
        Pump {
            socket,
            opened,
            place: Place::before(opened.delay, render.rate(), now),
            samples: vec![T::exact(0); frames * render.channels().max(1)],
            out: vec![0; DESCRIPTOR_SIZE + frames * frame + QUESTION],
            inbox: Inbox::new(),
            render,
            sent: 0,
            filled: 0,
            wanted: (opened.wanted as usize).min(MAX_MEMBLOCKQ_LENGTH),
            written: 0,
            started: false,
            fed: false,
            suspended: Arc::new(AtomicBool::new(opened.suspended)),
            asked: None,
            serial: FIRST_QUESTION,
            ask_beside: now + ASK_EVERY,
            ask_alone: now + ASK_EVERY,
            told: now,
            heard: now,
        }
    }

    /// Takes what the server has said and gives what it waits for, as far as it takes it now.
    ///
    /// # Errors
    /// `Unreachable` when the server or the sink is gone, or does not answer any more.
    pub fn turn(&mut self, now: Instant) -> Result<()> {
        self.receive(now)?;
        loop {
            self.send()?;
            if self.sent < self.filled || !self.compose(now) {
                break;
            }
        }
        let waits = self.asked.is_some() || self.sent < self.filled;
        if waits && now.saturating_duration_since(self.told.max(self.heard)) > PATIENCE {
            return Err(Error::new(Kind::Unreachable, "the sound server does not answer"));
        }
        Ok(())
    }

    /// Returns for what to watch the socket, and for how many ms at most.
    fn interest(&self, now: Instant) -> (PollFlags, u16) {
        let blocked = self.sent < self.filled;
        let flags = if blocked { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        let left = if blocked || self.asked.is_some() {
            ASK_EVERY
        } else {
            self.ask_alone.saturating_duration_since(now).min(ASK_EVERY)
        };
        // One more than the rest, so that it is over when this returns.
        (flags, u16::try_from(left.as_millis()).unwrap_or(u16::MAX).saturating_add(1))
    }

    fn receive(&mut self, now: Instant) -> Result<()> {
        match self.inbox.fill(&self.socket) {
            Ok(true) => self.heard = now,
            Ok(false) => return Ok(()),
            Err(error) => return Err(gone(error)),
        }
        while let Some((serial, command, answer)) = self.inbox.next(self.opened.version) {
            match answer {
                Some(latency) => self.answer(serial, &latency, now),
                None => self.take(serial, command, now)?,
            }
        }
        Ok(())
    }

    fn take(&mut self, serial: u32, command: Command, now: Instant) -> Result<()> {
        match command {
            Command::Request(request) => {
                self.wanted = self.wanted.saturating_add(request.length as usize).min(MAX_MEMBLOCKQ_LENGTH);
            }
            Command::Started(_) => {
                self.started = true;
                self.place.run(now);
                self.ask_soon(now);
            }
            Command::Underflow(_) => {
                self.hole();
                self.place.stand(now);
                self.ask_soon(now);
            }
            // Never while both keep to what was asked for: the server threw sound away.
            Command::Overflow(_) => {
                self.hole();
                self.ask_soon(now);
            }
            Command::PlaybackStreamSuspended(params) => {
                self.suspended.store(params.suspended, Ordering::Relaxed);
                self.place.stand(now);
                self.ask_soon(now);
                tracing::info!(suspended = params.suspended, "the sound server holds the device");
            }
            Command::PlaybackStreamMoved(to) => {
                self.suspended.store(to.device_suspended, Ordering::Relaxed);
                self.ask_soon(now);
                let sink = to.device_name.to_string_lossy();
                tracing::info!(%sink, "the sound server plays on another device");
            }
            Command::PlaybackBufferAttrChanged(_) => self.ask_soon(now),
            Command::PlaybackStreamKilled(_) => {
                return Err(Error::new(Kind::Unreachable, "the sound server has closed the stream"));
            }
            Command::Error(_) => {
                self.asked.take_if(|(asked, _)| *asked == serial);
            }
            // News of no use: events of the stream, of the client, of nobody's question.
            _ => {}
        }
        Ok(())
    }

    /// Counts what was missing while sound ran. In silence that was given, nothing is.
    fn hole(&mut self) {
        let sounded = self.render.shared().silence() == 0;
        if self.started && std::mem::take(&mut self.fed) && sounded {
            self.render.shared().count_underrun();
            LATE.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn answer(&mut self, serial: u32, latency: &PlaybackLatency, now: Instant) {
        let Some((_, written)) = self.asked.take_if(|(asked, _)| *asked == serial) else { return };
        let frame = (self.render.channels().max(1) * T::SIZE) as i64;
        let waiting = latency.write_offset.saturating_sub(latency.read_offset).max(0) / frame;
        self.place.told(written, waiting.unsigned_abs(), latency.sink_usec, now);
        if latency.playing {
            self.place.run(now);
        } else {
            self.place.stand(now);
        }
        // It says so also in the moment in which it starts.
        let suspended = self.suspended.load(Ordering::Relaxed);
        let wait = if latency.playing || suspended { ASK_EVERY } else { ASK_STARTING };
        (self.ask_beside, self.ask_alone) = (now + wait, now + wait + GRACE);
    }

    /// Asks anew: an answer that is on its way tells what was before.
    fn ask_soon(&mut self, now: Instant) {
        self.asked = None;
        (self.ask_beside, self.ask_alone) = (now, now);
    }

    fn send(&mut self) -> Result<()> {
        while self.sent < self.filled {
            match (&self.socket).write(&self.out[self.sent..self.filled]) {
                Ok(0) => return Err(gone(ErrorKind::WriteZero.into())),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(gone(error)),
            }
        }
        Ok(())
    }

    /// Puts the next piece of sound and a question that is due into the buffer; returns whether there is one of them.
    fn compose(&mut self, now: Instant) -> bool {
        (self.sent, self.filled) = (0, 0);
        let frame = self.render.channels().max(1) * T::SIZE;
        let sounds = self.wanted >= frame;
        if sounds {
            self.render(frame, now);
        }
        let due = if sounds { self.wanted < frame && now >= self.ask_beside } else { now >= self.ask_alone };
        if due && self.asked.is_none() {
            self.question();
        }
        if self.filled > 0 {
            self.told = now;
        }
        self.filled > 0
    }

    fn render(&mut self, frame: usize, now: Instant) {
        let count = (self.wanted / frame * self.render.channels().max(1)).min(self.samples.len());
        let length = count * T::SIZE;
        let frames = (length / frame) as u64;
        // What is given now is heard behind what waits in the server.
        self.render.shared().note_latency(self.place.ahead(self.written, now) + frames);
        let samples = &mut self.samples[..count];
        self.render.fill(samples);
        let Some((head, body)) = self.out.split_first_chunk_mut::<DESCRIPTOR_SIZE>() else { return };
        let descriptor = Descriptor {
            length: length as u32,
            channel: self.opened.channel,
            offset: 0,
            flags: DescriptorFlags::empty(),
        };
        encode_descriptor(head, &descriptor);
        body.chunks_exact_mut(T::SIZE).zip(samples).for_each(|(to, sample)| sample.put(to));
        self.filled = DESCRIPTOR_SIZE + length;
        self.wanted -= length;
        self.written += frames;
        self.fed = true;
    }

    fn question(&mut self) {
        let params = LatencyParams { channel: self.opened.channel, now: SystemTime::now() };
        let command = Command::GetPlaybackLatency(params);
        let to = &mut self.out[self.filled..];
        // There is room for it, see `QUESTION`.
        if let Ok(length) = encode_command_message(to, self.serial, &command, self.opened.version) {
            self.filled += length;
            self.asked = Some((self.serial, self.written));
            self.serial = self.serial.wrapping_add(1);
        }
    }
}

fn gone(error: IoError) -> Error {
    Error::with(Kind::Unreachable, "the sound server is gone", error)
}

/// What the server says: the number of the question, the command, and for `Reply` what the only question of a pump is
/// answered with.
type News = (u32, Command, Option<PlaybackLatency>);

/// What was read and is not understood yet. Longer messages than a stream needs are passed over.
struct Inbox {
    bytes: Box<[u8; INBOX]>,
    start: usize,
    end: usize,
    /// Bytes of a long message that are still to come.
    skip: usize,
}

impl Inbox {
    fn new() -> Inbox {
        Inbox { bytes: Box::new([0; INBOX]), start: 0, end: 0, skip: 0 }
    }

    /// Reads once; returns whether something was there.
    fn fill(&mut self, mut socket: &UnixStream) -> Result<bool, IoError> {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        match socket.read(&mut self.bytes[self.end..]) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                self.end += count;
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns the next whole message that is understood.
    fn next(&mut self, version: u16) -> Option<News> {
        loop {
            let skipped = self.skip.min(self.end - self.start);
            self.start += skipped;
            self.skip -= skipped;
            let there = &self.bytes[self.start..self.end];
            let (head, rest) = there.split_first_chunk::<DESCRIPTOR_SIZE>()?;
            let [a, b, c, d, channel @ ..] = head;
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            if length > INBOX - DESCRIPTOR_SIZE {
                self.skip = DESCRIPTOR_SIZE + length;
                continue;
            }
            let body = rest.get(..length)?;
            let news = if channel[..4] == [0xff; 4] { understood(body, version) } else { None };
            self.start += DESCRIPTOR_SIZE + length;
            if news.is_some() {
                return news;
            }
        }
    }
}

/// Returns `None` for what this version of the protocol does not know.
fn understood(body: &[u8], version: u16) -> Option<News> {
    let mut body = Cursor::new(body);
    let (serial, command) = Command::read_tag_prefixed(&mut body, version).ok()?;
    if command != Command::Reply {
        return Some((serial, command, None));
    }
    let latency = TagStructReader::new(&mut body, version).read().ok()?;
    Some((serial, command, Some(latency)))
}

/// What ended the thread.
type Fault = Arc<Mutex<Option<Error>>>;

struct PulseStream {
    name: String,
    fault: Fault,
    suspended: Arc<AtomicBool>,
    /// Its end is the word to end.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

/// Starts the thread of a stream.
///
/// # Errors
/// Those of the system.
pub fn spawn<T: Wire>(name: String, pump: Pump<T>) -> Result<Box<dyn Stream>, IoError> {
    let (stopped, stop) = std::io::pipe()?;
    let fault = Fault::default();
    let (slot, suspended) = (Arc::clone(&fault), Arc::clone(&pump.suspended));
    let thread = std::thread::Builder::new().name(THREAD.into()).spawn(move || {
        if let Err(error) = run(pump, &stopped) {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    })?;
    Ok(Box::new(PulseStream { name, fault, suspended, stop: Some(stop), thread: Some(thread) }))
}

fn run<T: Wire>(mut pump: Pump<T>, stopped: &PipeReader) -> Result<()> {
    loop {
        let now = Instant::now();
        pump.turn(now)?;
        let (flags, millis) = pump.interest(now);
        let watched =
            &mut [PollFd::new(pump.socket.as_fd(), flags), PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
        match poll(watched, PollTimeout::from(millis)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(Error::with(Kind::Internal, "wait for the sound server", error)),
        }
        if watched[1].any().unwrap_or(true) {
            return Ok(());
        }
    }
}

impl Stream for PulseStream {
    fn trouble(&mut self) -> Option<Error> {
        let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A thread says why it ended, or it broke.
        let broke = || ended.then(|| Error::new(Kind::Internal, "the thread of the sound ended"));
        let fault = fault.or_else(broke)?;
        Some(Error::with(fault.kind(), format!("play on the device {}", self.name), fault))
    }

    fn held(&self) -> Option<String> {
        let suspended = self.suspended.load(Ordering::Relaxed);
        suspended.then(|| format!("the sound server has suspended the device {}", self.name))
    }
}

impl Drop for PulseStream {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether servers ran out of sound so often that the machine must be busy: later streams get the longer buffer.
pub fn often_late() -> bool {
    LATE.load(Ordering::Relaxed) >= OFTEN_LATE
}

static LATE: AtomicU32 = AtomicU32::new(0);
/// Holes in the sound after which it is no chance.
const OFTEN_LATE: u32 = 4;
/// The name by which `priority` finds the thread.
pub const THREAD: &str = "konpo-pulse";
/// Every message that a stream needs is far shorter.
const INBOX: usize = 4_096;
/// Room for a question: descriptor, two words, channel and time with their tags are 49 bytes.
const QUESTION: usize = 64;
/// Numbers of questions begin behind those of the opening.
const FIRST_QUESTION: u32 = 1_000;
const ASK_EVERY: Duration = Duration::from_secs(1);
const ASK_STARTING: Duration = Duration::from_millis(50);
/// How long a question that is due waits for sound to go with.
const GRACE: Duration = Duration::from_millis(100);
/// A server that says nothing for so long although it was asked is given up.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
#[path = "pump_tests.rs"]
mod tests;
