//! First start, PINs and what keeps them from being tried out. Pure: the clock is an argument (product.md, "First start").

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::offer::whence::share;

/// How a PIN was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// No PIN is set.
    NotSet,
    /// One is set, and none was said. That is not counted.
    Missing,
    /// It is the one.
    Right,
    /// It is another.
    Wrong,
    /// Too many were wrong: until this is over none is looked at.
    LockedOut,
}

/// The doors of pairing.
#[derive(Debug)]
pub struct Pairing {
    /// Until when the first device becomes the owner.
    setup: Option<Instant>,
    pin: Option<(String, Instant)>,
    /// Who was asked for the PIN since it was set, and when first.
    asked: VecDeque<(IpAddr, Instant)>,
    /// Wrong PINs by address, the one that tried last at the end.
    tries: VecDeque<Tries>,
    /// Hashes of tokens that each pair one device, and until when; the oldest first.
    invitations: VecDeque<(String, Instant)>,
}

#[derive(Debug)]
struct Tries {
    from: IpAddr,
    wrong: u32,
    last: Instant,
}

impl Pairing {
    /// Returns the doors after power-on: while nobody is paired, the first device becomes the owner.
    pub fn new(has_owner: bool, now: Instant) -> Pairing {
        Pairing {
            setup: (!has_owner).then(|| now + SETUP_OPEN),
            pin: None,
            asked: VecDeque::new(),
            tries: VecDeque::new(),
            invitations: VecDeque::new(),
        }
    }

    /// Opens the door of the first start again. Returns how long it stays open.
    pub fn open_setup(&mut self, now: Instant) -> Duration {
        self.setup = Some(now + SETUP_OPEN);
        SETUP_OPEN
    }

    /// Returns how long the first device becomes the owner still; `None`: that door is closed.
    pub fn setup(&self, now: Instant) -> Option<Duration> {
        self.setup.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Goes through the door of the first start, which closes behind. Returns whether it was open.
    pub fn take_setup(&mut self, now: Instant) -> bool {
        let open = self.setup(now).is_some();
        self.setup = None;
        open
    }

    /// Keeps the hash of a token that pairs one device; of too many the oldest is void. Returns how long it holds.
    pub fn invite(&mut self, hash: String, now: Instant) -> Duration {
        if self.invitations.len() >= MOST_INVITATIONS {
            self.invitations.pop_front();
        }
        self.invitations.push_back((hash, now + INVITATION_LASTS));
        INVITATION_LASTS
    }

    /// Uses a token up. Returns whether it held.
    pub fn take_invitation(&mut self, hash: &str, now: Instant) -> bool {
        self.invitations.retain(|(_, until)| *until > now);
        let at = self.invitations.iter().position(|(kept, _)| is_same(kept, hash));
        at.and_then(|at| self.invitations.remove(at)).is_some()
    }

    /// Sets the PIN, six digits, for a while; `None` takes it back. Who was locked out may try again.
    pub fn set_pin(&mut self, pin: Option<String>, now: Instant) -> Duration {
        self.pin = pin.map(|pin| (pin, now + PIN_LASTS));
        self.tries.clear();
        self.asked.clear();
        PIN_LASTS
    }

    /// Returns whether an address is to be told that there is a PIN: an app and the page show where to type it only then. Who
    /// has none to type may come again a moment later, and the people at the box are asked.
    pub fn is_to_be_told(&mut self, from: IpAddr, now: Instant) -> bool {
        if let Some((_, first)) = self.asked.iter().find(|(asked, _)| *asked == from) {
            return now.saturating_duration_since(*first) < TOLD_FOR;
        }
        if self.asked.len() >= MOST_REMEMBERED {
            self.asked.pop_front();
        }
        self.asked.push_back((from, now));
        true
    }

    /// Looks at a PIN that somebody says.
    pub fn say(&mut self, said: Option<&str>, from: IpAddr, now: Instant) -> Pin {
        let Some((pin, _)) = self.pin.as_ref().filter(|(_, until)| *until > now) else {
            self.pin = None;
            return Pin::NotSet;
        };
        self.tries.retain(|tries| now.saturating_duration_since(tries.last) < LOCKED_FOR);
        // A machine makes itself as many addresses of IPv6 as it likes.
        let from = share(from);
        let wrong = self.tries.iter().find(|tries| tries.from == from).map_or(0, |tries| tries.wrong);
        if wrong >= MOST_WRONG {
            return Pin::LockedOut;
        }
        match said {
            None | Some("") => Pin::Missing,
            Some(said) if is_same(said, pin) => {
                self.tries.retain(|tries| tries.from != from);
                Pin::Right
            }
            Some(_) => {
                self.tries.retain(|tries| tries.from != from);
                if self.tries.len() >= MOST_REMEMBERED {
                    self.tries.pop_front();
                }
                self.tries.push_back(Tries { from, wrong: wrong + 1, last: now });
                Pin::Wrong
            }
        }
    }
}

/// Compares without telling by its time how much was right.
fn is_same(said: &str, pin: &str) -> bool {
    let differs = said.bytes().zip(pin.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    said.len() == pin.len() && differs == 0
}

/// product.md, "First start".
const SETUP_OPEN: Duration = Duration::from_secs(15 * 60);
const PIN_LASTS: Duration = Duration::from_secs(10 * 60);
/// As long as the door of the first start is open, for the first token is shown then.
const INVITATION_LASTS: Duration = SETUP_OPEN;
const MOST_INVITATIONS: usize = 8;
/// Reference beam (a), PIN: three wrong ones lock an address out...
const MOST_WRONG: u32 = 3;
/// ...and that expires.
const LOCKED_FOR: Duration = Duration::from_secs(60);
const MOST_REMEMBERED: usize = 200;
/// Several files that begin at once are all told that there is a PIN.
const TOLD_FOR: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 77, 0, last])
    }

    #[test]
    fn three_wrong_pins_lock_out_until_a_minute_is_over() {
        let start = Instant::now();
        let mut doors = Pairing::new(true, start);
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(doors.say(Some("1"), address(1), start), Pin::NotSet);
        doors.set_pin(Some("493027".into()), start);
        for _ in 0..10 {
            assert_eq!(doors.say(None, address(1), start), Pin::Missing, "is not counted");
        }
        for said in ["493028", "49302", "4930270"] {
            assert_eq!(doors.say(Some(said), address(1), start), Pin::Wrong, "{said}");
        }
        assert_eq!(doors.say(Some("493027"), address(1), after(59)), Pin::LockedOut);
        assert_eq!(doors.say(Some("493027"), address(2), after(1)), Pin::Right, "somebody else");
        assert_eq!(doors.say(Some("493027"), address(1), after(60)), Pin::Right);
        assert_eq!(doors.say(Some("493027"), address(1), after(600)), Pin::NotSet, "it lasts ten minutes");
    }

    #[test]
    fn wrong_pins_are_counted_by_the_network_of_ipv6() {
        let start = Instant::now();
        let mut doors = Pairing::new(true, start);
        doors.set_pin(Some("493027".into()), start);
        let six = |net: u16, last: u16| IpAddr::from([0xfe80, 0, 0, net, 0, 0, 0, last]);
        let said: Vec<Pin> = (1..=4).map(|last| doors.say(Some("1"), six(0, last), start)).collect();
        assert_eq!(said, [Pin::Wrong, Pin::Wrong, Pin::Wrong, Pin::LockedOut]);
        assert_eq!(doors.say(Some("493027"), six(1, 1), start), Pin::Right, "another network");
    }

    #[test]
    fn an_invitation_pairs_once_and_expires() {
        let start = Instant::now();
        let mut doors = Pairing::new(true, start);
        doors.invite("a".into(), start);
        assert!(!doors.take_invitation("b", start) && !doors.take_invitation("", start));
        assert!(doors.take_invitation("a", start) && !doors.take_invitation("a", start), "once");
        doors.invite("c".into(), start);
        assert!(!doors.take_invitation("c", start + INVITATION_LASTS), "late");
        for n in 0..20 {
            doors.invite(format!("{n}"), start);
        }
        assert_eq!(doors.invitations.len(), MOST_INVITATIONS);
        assert!(!doors.take_invitation("0", start) && doors.take_invitation("19", start));
    }

    #[test]
    fn who_has_no_pin_is_told_of_it_once() {
        let start = Instant::now();
        let mut doors = Pairing::new(true, start);
        let mut told =
            |last, seconds| doors.is_to_be_told(address(last), start + Duration::from_secs(seconds));
        assert!(told(1, 0) && told(1, 9) && !told(1, 10), "and then somebody is asked");
        assert!(told(2, 10), "another one");
        doors.set_pin(Some("493027".into()), start);
        assert!(doors.is_to_be_told(address(1), start + TOLD_FOR), "another PIN");
    }

    #[test]
    fn many_addresses_are_remembered_within_bounds() {
        let start = Instant::now();
        let mut doors = Pairing::new(true, start);
        doors.set_pin(Some("493027".into()), start);
        for n in 0..5000_u32 {
            doors.say(Some("0"), IpAddr::from(n.to_be_bytes()), start);
            doors.is_to_be_told(IpAddr::from(n.to_be_bytes()), start);
        }
        assert_eq!((doors.tries.len(), doors.asked.len()), (MOST_REMEMBERED, MOST_REMEMBERED));
    }

    #[test]
    fn the_first_device_becomes_the_owner_and_the_door_closes() {
        let start = Instant::now();
        let mut doors = Pairing::new(false, start);
        assert!(doors.setup(start + SETUP_OPEN / 2).is_some());
        assert!(doors.take_setup(start) && !doors.take_setup(start), "only one");
        let mut late = Pairing::new(false, start);
        assert!(!late.take_setup(start + SETUP_OPEN));
        let mut owned = Pairing::new(true, start);
        assert!(!owned.take_setup(start));
        owned.open_setup(start);
        assert!(owned.take_setup(start + SETUP_OPEN / 2), "opened again");
    }
}
