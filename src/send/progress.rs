//! How far something is that goes out, as everybody sees it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::intake::Intake;
use crate::offer::out::{Sending, Unsent};
use crate::units::ByteCount;

/// What is shown. Changed by its one transfer.
pub struct Progress {
    intake: Intake,
    desk: Mutex<(Sending, Instant)>,
}

impl Progress {
    /// Shows what begins.
    pub fn new(intake: Intake, sending: Sending) -> Progress {
        intake.show_sending(sending.clone());
        Progress { intake, desk: Mutex::new((sending, Instant::now())) }
    }

    /// Changes what is shown. Returns it.
    pub fn tell(&self, change: impl FnOnce(&mut Sending)) -> Sending {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut desk.0);
        desk.1 = Instant::now();
        let sending = desk.0.clone();
        // Under the lock: what is shown last is the newest.
        self.intake.show_sending(sending.clone());
        sending
    }

    /// Notes bytes that went out.
    pub fn moved(&self, bytes: u64) {
        let mut desk = self.desk.lock().unwrap_or_else(PoisonError::into_inner);
        desk.0.sent_bytes = ByteCount(desk.0.sent_bytes.0 + bytes);
        if desk.1.elapsed() >= SHOWN_EVERY {
            desk.1 = Instant::now();
            self.intake.show_sending(desk.0.clone());
        }
    }

    /// Notes a file that does not go out.
    pub fn unsent(&self, name: &str, reason: String) {
        self.tell(|sending| {
            sending.unsent_count += 1;
            if sending.unsent.len() < MOST_UNSENT {
                sending.unsent.push(Unsent { name: name.to_owned(), reason });
            }
        });
    }

    /// Takes back bytes that went for nothing.
    pub fn again(&self, bytes: u64) {
        self.tell(|sending| sending.sent_bytes = ByteCount(sending.sent_bytes.0.saturating_sub(bytes)));
    }
}

const SHOWN_EVERY: Duration = Duration::from_millis(250);
/// Files that are named.
const MOST_UNSENT: usize = 20;
