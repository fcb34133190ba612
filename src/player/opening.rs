//! Opens the next track beside the motor: a disk that sleeps, or a file whose head is long, is not heard. One track at a
//! time, each on a thread of its own; the newest wish counts.

use std::thread::JoinHandle;

use crate::error::{Error, Kind, Result};
use crate::player::Load;
use crate::player::line::Active;
use crate::player::source::Decoders;
use crate::signal::PlaySerial;

/// The track that is being opened, and the one that is to be opened after it.
#[derive(Default)]
pub struct Opening {
    running: Option<(PlaySerial, JoinHandle<Result<Active>>)>,
    /// A thread that hangs on a disk is not joined by a second one.
    waiting: Option<Load>,
    wanted: Option<PlaySerial>,
}

/// Opens a load on this thread.
///
/// # Errors
/// Those of its opener and of the decoder.
pub fn open(load: Load, decoders: &Decoders) -> Result<Active> {
    (load.open)()
        .and_then(|sound| decoders(sound))
        .and_then(|source| Active::new(load.serial, source, load.from, load.level))
}

impl Opening {
    /// Wants this track next, and none that was wanted before.
    pub fn want(&mut self, load: Load, decoders: &Decoders) {
        self.wanted = Some(load.serial);
        self.waiting = Some(load);
        self.go_on(decoders);
    }

    /// Wants nothing any more.
    pub fn forget(&mut self) {
        (self.wanted, self.waiting) = (None, None);
    }

    /// Returns whether something that is wanted is not open yet.
    pub fn is_busy(&self) -> bool {
        self.wanted.is_some()
    }

    /// Returns the track that is wanted once it is open, or why it cannot be opened.
    pub fn poll(&mut self, decoders: &Decoders) -> Option<(PlaySerial, Result<Active>)> {
        while let Some((serial, thread)) = self.running.take_if(|(_, thread)| thread.is_finished()) {
            let opened = thread.join();
            self.go_on(decoders);
            if self.wanted == Some(serial) {
                self.wanted = None;
                let broke = |_| Err(Error::new(Kind::Damaged, "a reader broke on the file"));
                return Some((serial, opened.unwrap_or_else(broke)));
            }
        }
        None
    }

    fn go_on(&mut self, decoders: &Decoders) {
        if self.running.is_some() {
            return;
        }
        let Some(load) = self.waiting.take() else { return };
        let (serial, decoders) = (load.serial, decoders.clone());
        let thread = std::thread::Builder::new().name("konpo-next".into());
        match thread.spawn(move || open(load, &decoders)) {
            Ok(thread) => self.running = Some((serial, thread)),
            Err(error) => {
                // It is opened when its turn comes.
                tracing::warn!(%error, "the next track cannot be opened ahead");
                self.wanted = None;
            }
        }
    }
}
