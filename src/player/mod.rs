//! The motor: an opened file becomes sound at the DAC. Knows no SQL, no protocol, no queue.
//!
//! [`Player`] is the bounded handle; everything happens on the thread of `thread`, which decodes into the ring of
//! [`ring`]; the device's own callback empties it. What happened comes back as [`PlayerEvent`].

mod aside;
mod card_mixer;
pub mod cards;
pub mod choice;
pub mod gain;
mod inbox;
mod line;
pub mod mixer;
mod motor;
mod opening;
pub mod output;
mod phase;
mod priority;
pub mod pulse;
pub mod readahead;
pub mod resample;
pub mod ring;
pub mod seam;
pub mod silent;
pub mod sound_card;
pub mod source;
mod thread;

use std::fmt;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::mpsc;

use crate::error::{Error, Kind, Result};
use crate::media::sound::Sound;
use crate::signal::{Device, PlaySerial, ReplayGain, SignalPath};
use crate::track::AudioFormat;
use crate::units::{Frames, Gain, Millis};

/// Opens what a [`Load`] plays. Called once, on the player's thread, or beside it for a next track; may block as long as a disk takes to wake.
pub type Opener = Box<dyn FnOnce() -> Result<Sound> + Send>;

/// One start of sound.
pub struct Load {
    /// Its number; every event about it carries it.
    pub serial: PlaySerial,
    /// Opens the file or stream.
    pub open: Opener,
    /// Where to start.
    pub from: Millis,
    /// By how much it is made louder or quieter, from its first sample to its last.
    pub level: Option<ReplayGain>,
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Load").field("serial", &self.serial).field("from", &self.from).finish_non_exhaustive()
    }
}

/// Who has the volume knob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knob {
    /// konpo: gains are applied, and starts, pauses and stops are faded.
    Box,
    /// The amplifier: full scale, every sample untouched, no fades, gains are ignored.
    Fixed,
}

/// How the motor is set up.
#[derive(Debug, Clone)]
pub struct PlayerConfig {
    /// `auto`, `silent`, or a name as `konpo outputs` prints it.
    pub device: String,
    /// Who has the volume knob.
    pub knob: Knob,
    /// Where the volume is applied where konpo has the knob.
    pub mixer: mixer::Wish,
    /// The gain to start with.
    pub gain: Gain,
}

/// What happened in the motor. The receiver must keep reading; while it does not, positions are dropped first.
#[derive(Debug)]
pub enum PlayerEvent {
    /// A file is open and understood; its sound follows.
    Opened {
        /// The start it belongs to.
        serial: PlaySerial,
        /// What the file holds.
        format: AudioFormat,
        /// Its length at its own rate, when known.
        duration: Option<Frames>,
        /// Whether [`Player::seek`] works.
        seekable: bool,
        /// Its way to the DAC.
        signal: SignalPath,
    },
    /// Its first frame is at the output.
    Started {
        /// The start it belongs to.
        serial: PlaySerial,
        /// When.
        at: Instant,
    },
    /// A position: on every change of state, and every 5 s while sound runs.
    Position {
        /// The start it belongs to.
        serial: PlaySerial,
        /// The position in the track.
        position: Millis,
        /// When it was so.
        at: Instant,
        /// Whether it moves on from there.
        running: bool,
    },
    /// Its last frame was played.
    Finished {
        /// The start it belongs to.
        serial: PlaySerial,
    },
    /// Its last frame is decoded and nothing is primed behind it: [`Player::next`] within 300 ms keeps it gapless.
    NeedNext {
        /// The start that ends.
        serial: PlaySerial,
    },
    /// It cannot be played (any further).
    Failed {
        /// The start it belongs to.
        serial: PlaySerial,
        /// Why.
        error: Error,
    },
    /// The device changed: opened, released, in trouble.
    Device(Device),
    /// Sound waits.
    Paused {
        /// The start that waits.
        serial: PlaySerial,
        /// Where.
        position: Millis,
    },
    /// Sound runs again.
    Resumed {
        /// The start that runs.
        serial: PlaySerial,
        /// From where.
        position: Millis,
    },
    /// The device is closed, another program may have it.
    Released,
}

/// An output as `konpo outputs` prints it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OutputInfo {
    /// What `output.device` takes.
    pub name: String,
    /// For a person.
    pub description: String,
    /// Whether `auto` would take it now.
    pub chosen: bool,
    /// Who holds it now, when it is busy and that can be read.
    pub holder: Option<String>,
}

/// What the handle tells the thread.
#[derive(Debug)]
enum Message {
    Load(Load),
    Next(Option<Load>),
    Pause,
    Resume,
    Stop,
    Seek(PlaySerial, Millis),
    Gain(Gain),
    Release,
    Output(Replaced),
    Knob(Knob),
    Close,
}

/// Another output, to be used from now on.
struct Replaced {
    device: String,
    output: Box<dyn output::Output>,
}

impl fmt::Debug for Replaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replaced").field("device", &self.device).finish_non_exhaustive()
    }
}

/// The handle of the motor. Its methods never wait; what the thread has not taken yet is overtaken by what follows.
#[derive(Debug)]
pub struct Player {
    to: inbox::Sender,
    thread: Option<JoinHandle<()>>,
}

impl Player {
    /// Starts the thread. No device is opened before the first load.
    ///
    /// # Errors
    /// `Internal` when the system refuses a thread.
    pub fn start(config: PlayerConfig) -> Result<(Player, mpsc::Receiver<PlayerEvent>)> {
        let output = Box::new(choice::Choice::new(&config.device));
        Player::with(config, output, source::decoders())
    }

    /// Starts the thread with an output and decoders of the caller's, e.g. those of a test.
    ///
    /// # Errors
    /// As [`Player::start`].
    pub fn with(
        config: PlayerConfig,
        output: Box<dyn output::Output>,
        decoders: source::Decoders,
    ) -> Result<(Player, mpsc::Receiver<PlayerEvent>)> {
        let (to, messages) = inbox::inbox();
        let (events, from) = mpsc::channel(EVENTS);
        let thread = std::thread::Builder::new()
            .name("konpo-player".into())
            .spawn(move || thread::run(&config, output, decoders, &messages, &events))
            .map_err(|e| Error::with(Kind::Internal, "start the player's thread", e))?;
        Ok((Player { to, thread: Some(thread) }, from))
    }

    /// Cuts what sounds, drops what is primed, and starts this.
    ///
    /// # Errors
    /// Of every command: `Stopped` when the thread is gone.
    pub fn load(&self, load: Load) -> Result<()> {
        self.tell(Message::Load(load))
    }

    /// Primes what follows the current track without a gap; `None` takes it back. Too late when its sound was
    /// already decoded: then `Started` of it comes all the same.
    ///
    /// # Errors
    /// As [`Player::load`].
    pub fn next(&self, load: Option<Load>) -> Result<()> {
        self.tell(Message::Next(load))
    }

    /// Holds the sound where it is.
    ///
    /// # Errors
    /// As [`Player::load`].
    pub fn pause(&self) -> Result<()> {
        self.tell(Message::Pause)
    }

    /// Goes on after a pause.
    ///
    /// # Errors
    /// As [`Player::load`].
    pub fn resume(&self) -> Result<()> {
        self.tell(Message::Resume)
    }

    /// Ends the sound and drops what is primed.
    ///
    /// # Errors
    /// As [`Player::load`].
    pub fn stop(&self) -> Result<()> {
        self.tell(Message::Stop)
    }

    /// Goes to a position of the current track; does nothing when another one sounds.
    ///
    /// # Errors
    /// As [`Player::load`].
    pub fn seek(&self, serial: PlaySerial, to: Millis) -> Result<()> {
        self.tell(Message::Seek(serial, to))
    }

    /// Sets the gain to reach. It falls within 20 ms and rises by at most 10 dB in a second while sound runs.
    ///
    /// # Errors
    /// As [`Player::load`].
    pub fn set_gain(&self, gain: Gain) -> Result<()> {
        self.tell(Message::Gain(gain))
    }

    /// Closes the device now (standby); a playing track is paused.
    ///
    /// # Errors
    /// As [`Player::load`].
    pub fn release(&self) -> Result<()> {
        self.tell(Message::Release)
    }

    /// Ends the sound, closes the device and joins the thread.
    ///
    /// # Blocks
    /// Until the thread ended: as long as a read from the disk takes.
    pub fn close(mut self) {
        self.end();
    }

    /// Plays on another device from now on, named as `konpo outputs` prints it; what sounds goes on there.
    ///
    /// # Errors
    /// As [`Player::load`].
    pub fn set_output(&self, device: &str) -> Result<()> {
        self.set_output_to(device, Box::new(choice::Choice::new(device)))
    }

    /// Plays on an output of the caller's from now on.
    ///
    /// # Errors
    /// As [`Player::load`].
    pub fn set_output_to(&self, device: &str, output: Box<dyn output::Output>) -> Result<()> {
        self.tell(Message::Output(Replaced { device: device.to_owned(), output }))
    }

    /// Gives the volume knob to konpo or to the amplifier: what sounds is cut and the device closed, so that nothing on its way
    /// comes out at another level than it was meant for.
    ///
    /// # Errors
    /// As [`Player::load`].
    pub fn set_knob(&self, knob: Knob) -> Result<()> {
        self.tell(Message::Knob(knob))
    }

    fn tell(&self, message: Message) -> Result<()> {
        let taken = self.to.send(message);
        taken.then_some(()).ok_or_else(|| Error::new(Kind::Stopped, "the player has stopped"))
    }

    fn end(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A thread that is gone needs no word.
            self.to.send(Message::Close);
            let _ = thread.join();
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.end();
    }
}

/// Events that may wait before positions are dropped.
const EVENTS: usize = 256;
