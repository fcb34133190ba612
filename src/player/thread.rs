//! The player's thread: messages to the motor, its events out. Blocks on reads and decoding; knows no tokio runtime.

use std::time::Instant;

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::player::inbox::Receiver;
use crate::player::motor::Motor;
use crate::player::output::Output;
use crate::player::source::Decoders;
use crate::player::{Message, PlayerConfig, PlayerEvent};

/// Runs the motor until it is closed or its handle is gone.
pub(super) fn run(
    config: &PlayerConfig,
    output: Box<dyn Output>,
    decoders: Decoders,
    messages: &Receiver,
    events: &Sender<PlayerEvent>,
) {
    let mut motor = Motor::new(config, output, decoders, Instant::now());
    loop {
        let wait = motor.turn(Instant::now());
        tell(&mut motor, events);
        match messages.receive(wait) {
            Ok(Some(Message::Close)) | Err(()) => return motor.take(Message::Close, Instant::now()),
            Ok(Some(message)) => motor.take(message, Instant::now()),
            Ok(None) => {}
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
