//! What the handle tells the player's thread, in order, with what is overtaken left out: a thread that waits for a disk
//! finds the last wish, never a backlog, so the box is bounded by the kinds of messages and nothing is ever refused.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::player::Message;

/// The handle's end.
#[derive(Debug)]
pub struct Sender(Arc<Inbox>);

/// The thread's end. Dropping it closes the box.
#[derive(Debug)]
pub struct Receiver(Arc<Inbox>);

#[derive(Debug, Default)]
struct Inbox {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Message>,
    closed: bool,
}

/// Makes an empty box.
pub fn inbox() -> (Sender, Receiver) {
    let inbox = Arc::new(Inbox::default());
    (Sender(Arc::clone(&inbox)), Receiver(inbox))
}

impl Inbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete when the lock is given back.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sender {
    /// Puts a message in and takes out what it overtakes; `false` when nobody takes messages any more.
    pub fn send(&self, message: Message) -> bool {
        let mut state = self.0.lock();
        if state.closed {
            return false;
        }
        state.waiting.retain(|waiting| !overtakes(&message, waiting));
        state.waiting.push_back(message);
        drop(state);
        self.0.changed.notify_one();
        true
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_one();
    }
}

impl Receiver {
    /// Returns the next message; after `wait` (`None` is for ever) `Ok(None)`.
    ///
    /// # Errors
    /// `Err(())` when the box is empty and its other end is gone.
    pub fn receive(&self, wait: Option<Duration>) -> Result<Option<Message>, ()> {
        let until = wait.map(|wait| Instant::now() + wait);
        let mut state = self.0.lock();
        loop {
            if let Some(message) = state.waiting.pop_front() {
                return Ok(Some(message));
            }
            if state.closed {
                return Err(());
            }
            let Some(until) = until else {
                state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            let waited = self.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.waiting.clear();
    }
}

/// Whether the newer message leaves nothing of an older one that waits.
fn overtakes(newer: &Message, older: &Message) -> bool {
    use Message::{Close, Gain, Knob, Load, Next, Output, Pause, Release, Resume, Seek, Stop};
    match (newer, older) {
        (Close, _) => true,
        (Load(_) | Stop, Load(_) | Next(_) | Pause | Resume | Stop | Seek(..)) => true,
        (Next(_), Next(_)) | (Gain(_), Gain(_)) | (Output(_), Output(_)) | (Knob(_), Knob(_)) => true,
        (Pause | Resume, Pause | Resume) | (Release, Release | Pause) => true,
        (Seek(newer, _), Seek(older, _)) => newer == older,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Kind};
    use crate::signal::PlaySerial;
    use crate::units::{Gain, Millis};

    fn load(serial: u64) -> Message {
        let open = || Err(Error::new(Kind::NotFound, "nothing"));
        let load = crate::player::Load {
            serial: PlaySerial(serial),
            open: Box::new(open),
            from: Millis::ZERO,
            level: None,
        };
        Message::Load(load)
    }

    fn drained(receiver: &Receiver) -> Vec<String> {
        std::iter::from_fn(|| receiver.receive(Some(Duration::ZERO)).ok().flatten())
            .map(|message| match message {
                Message::Load(load) => format!("load {}", load.serial.0),
                other => format!("{other:?}").to_lowercase(),
            })
            .collect()
    }

    #[test]
    fn a_thousand_presses_leave_the_last_wish_only() {
        let (sender, receiver) = inbox();
        for n in 0..1_000 {
            assert!(sender.send(load(n)));
            sender.send(Message::Next(None));
            sender.send(Message::Gain(Gain::from_db(-(n as i32 % 60))));
            sender.send(Message::Seek(PlaySerial(n), Millis(n)));
            sender.send(Message::Pause);
            sender.send(Message::Resume);
        }
        assert_eq!(
            drained(&receiver),
            ["load 999", "next(none)", "gain(gain(-9984))", "seek(playserial(999), millis(999))", "resume"]
        );
        sender.send(load(1));
        sender.send(Message::Gain(Gain::UNITY));
        sender.send(Message::Stop);
        assert_eq!(drained(&receiver), ["gain(gain(0))", "stop"]);
    }

    #[test]
    fn what_was_said_before_the_end_is_still_taken() {
        let (sender, receiver) = inbox();
        sender.send(Message::Stop);
        drop(sender);
        assert!(matches!(receiver.receive(None), Ok(Some(Message::Stop))));
        assert!(receiver.receive(None).is_err());
        let (sender, receiver) = inbox();
        drop(receiver);
        assert!(!sender.send(Message::Stop));
    }
}
