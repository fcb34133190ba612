//! The player's thread: messages to the motor, its events out. Blocks on reads and decoding; knows no tokio runtime.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::player::motor::Motor;
use crate::player::output::Output;
use crate::player::source::Decoders;
use crate::player::{Message, PlayerConfig, PlayerEvent};

/// Runs the motor until it is closed or its handle is gone.
pub(super) fn run(
    config: &PlayerConfig,
    output: Box<dyn Output>,
    decoders: Decoders,
    messages: &Receiver<Message>,
    events: &Sender<PlayerEvent>,
) {
    let mut motor = Motor::new(config, output, decoders, Instant::now());
    loop {
        let wait = motor.turn(Instant::now());
        tell(&mut motor, events);
        let message = match wait {
            Some(wait) => messages.recv_timeout(wait),
            None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match message {
            Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => {
                return motor.take(Message::Close, Instant::now());
            }
            Ok(message) => motor.take(message, Instant::now()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        tell(&mut motor, events);
    }
}

/// Tells what happened as far as the receiver keeps up; it never waits, so that the sound goes on.
fn tell(motor: &mut Motor, events: &Sender<PlayerEvent>) {
    while let Some(event) = motor.event() {
        match events.try_send(event) {
            Ok(()) => {}
            Err(TrySendError::Full(event)) => return motor.untold(event),
            // Nobody listens: what happened is of no use to anybody.
            Err(TrySendError::Closed(_)) => {}
        }
    }
}
