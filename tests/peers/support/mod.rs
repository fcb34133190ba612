//! What the tests stand on: a network of their own, real programs in it, konpo among them, and files.

pub mod api;
pub mod browser;
pub mod control_point;
pub mod dac;
pub mod database;
pub mod fixtures;
pub mod hostile;
pub mod image;
pub mod konpo;
pub mod localsend;
pub mod net;
pub mod phone;
pub mod process;
pub mod servers;
pub mod shelf;
pub mod six;
pub mod slow;
pub mod stock;
pub mod twin;
pub mod web;

use std::time::{Duration, Instant};

/// Whether this is the long form, on a machine that does nothing else: `KONPO_ALL=1`.
pub fn all() -> bool {
    std::env::var_os("KONPO_ALL").is_some()
}

/// How long something may take that konpo does within `bound`: so long in the long form. In the short one the machine may
/// have other things to do, and what is asked is whether it happens at all.
pub fn patient(bound: Duration) -> Duration {
    if all() { bound } else { bound * 6 }
}

/// Asks until an answer comes and returns it with the time it took.
///
/// # Panics
/// When none came within `bound`, as [`patient`] has it; `what` is named.
pub fn wait_for<T>(what: &str, bound: Duration, mut ask: impl FnMut() -> Option<T>) -> (T, Duration) {
    let (start, bound) = (Instant::now(), patient(bound));
    loop {
        if let Some(answer) = ask() {
            return (answer, start.elapsed());
        }
        assert!(start.elapsed() < bound, "not within {bound:?}: {what}");
        std::thread::sleep(ASK_AGAIN);
    }
}

/// How often a condition is looked at.
const ASK_AGAIN: Duration = Duration::from_millis(50);
