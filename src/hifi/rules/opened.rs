//! What the motor says of a start that it has opened. Of what follows without a gap it says so ahead, while the track before
//! still sounds: that is kept until its own turn.

use std::sync::Arc;

use super::Rules;
use crate::signal::{PlaySerial, SignalPath};
use crate::track::AudioFormat;
use crate::units::Millis;

/// What the motor says of a start.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Which start.
    pub serial: PlaySerial,
    /// Length; `None` keeps what the shelf says.
    pub duration: Option<Millis>,
    /// Whether it has positions.
    pub seekable: bool,
    /// The way of the signal.
    pub signal: Arc<SignalPath>,
}

impl Rules {
    /// Takes what is said of a start that is wanted.
    pub(super) fn opened(&mut self, opened: Opened) {
        let (serial, known) = (opened.serial, self.serials());
        // A device that opens anew says it once more.
        self.ahead.retain(|opened| known.contains(&Some(opened.serial)) && opened.serial != serial);
        if known.contains(&Some(serial)) {
            self.ahead.push(opened);
        }
        if self.loaded == Some(serial) {
            self.know(serial);
        }
    }

    /// Shows what was said of a start whose turn it is.
    pub(super) fn know(&mut self, serial: PlaySerial) {
        let Some(at) = self.ahead.iter().position(|opened| opened.serial == serial) else { return };
        let Opened { duration, seekable, signal, .. } = self.ahead.swap_remove(at);
        self.duration = duration.unwrap_or(self.duration);
        self.seekable = seekable;
        let rate = signal.source.rate.unwrap_or(signal.rate);
        self.format = Some(Arc::new(AudioFormat { rate: Some(rate), ..signal.source.clone() }));
        self.signal = Some(signal);
    }
}
