//! The way out as far as intake decides it: who was heard that takes files, and who may send there. `beam` tells whom it
//! heard; `send` serves what is asked.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};

use crate::error::{Error, Kind, Result};
use crate::intake::Intake;
use crate::offer::out::{Receiver, SendId, Sending};
use crate::offer::whence::share;
use crate::offer::{Caller, Right};
use crate::query::export::Wanted;

/// What `send` is asked.
#[derive(Debug)]
pub enum Wish {
    /// Something shall go out.
    Send {
        /// To whom.
        to: Receiver,
        /// What: an album, a playlist or tracks.
        wanted: Wanted,
        /// Who asks may read files as one of this right does.
        right: Right,
        /// What the receiver wants to be told first.
        pin: Option<String>,
    },
    /// Somebody here stops it.
    Stop(SendId),
    /// The receiver stops it: its name of the session, and where it is.
    StopThere(String, IpAddr),
}

/// A wish and the place for its answer.
#[derive(Debug)]
pub struct Wished {
    /// What is wished.
    pub wish: Wish,
    /// Where the answer goes: the number of what goes out. Nobody may be waiting any more.
    pub reply: oneshot::Sender<Result<SendId>>,
}

/// What intake keeps of the way out.
#[derive(Debug)]
pub(super) struct Out {
    heard: Mutex<Vec<(Receiver, Instant)>>,
    wishes: mpsc::Sender<Wished>,
    wished: Mutex<Option<mpsc::Receiver<Wished>>>,
    /// Somebody wants to see who is there now.
    looked_for: Notify,
}

impl Out {
    pub(super) fn new() -> Out {
        let (wishes, wished) = mpsc::channel(MOST_WISHES);
        let wished = Mutex::new(Some(wished));
        Out { heard: Mutex::default(), wishes, wished, looked_for: Notify::new() }
    }

    fn heard(&self) -> MutexGuard<'_, Vec<(Receiver, Instant)>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intake {
    /// Notes that a device was heard that takes files.
    pub fn heard_receiver(&self, receiver: Receiver) {
        let now = Instant::now();
        let mut heard = self.inner.out.heard();
        heard.retain(|(known, _)| known.id != receiver.id);
        // One that is heard over both families is one device, at its address of IPv4.
        let by_four = |(known, _): &(Receiver, Instant)| known.address.is_ipv4() && is_one(known, &receiver);
        if receiver.address.is_ipv6() && heard.iter().any(by_four) {
            return;
        }
        heard.retain(|(known, _)| known.address.is_ipv4() || !is_one(known, &receiver));
        // Whoever makes up names takes places from nobody but itself.
        let same = |known: &Receiver| share(known.address.ip()) == share(receiver.address.ip());
        let most = if receiver.address.is_ipv6() { MOST_OF_SHARE } else { MOST_OF_ONE };
        if heard.iter().filter(|(known, _)| same(known)).count() >= most {
            let oldest = heard.iter().position(|(known, _)| same(known));
            oldest.into_iter().for_each(|at| drop(heard.remove(at)));
        }
        if heard.len() >= MOST_RECEIVERS {
            heard.remove(0);
        }
        heard.push((receiver, now));
        drop(heard);
        self.tidy_receivers(now);
    }

    /// Takes those off the board that have not been heard for a while: an app that is closed takes nothing.
    pub fn tidy_receivers(&self, now: Instant) {
        self.inner.out.heard().retain(|(_, at)| now.saturating_duration_since(*at) < HEARD_FOR);
        self.inner.notes.set_receivers(self.receivers());
    }

    /// Returns who takes files, by name.
    pub fn receivers(&self) -> Vec<Receiver> {
        let heard = self.inner.out.heard();
        let mut all: Vec<Receiver> = heard.iter().map(|(receiver, _)| receiver.clone()).collect();
        all.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        all
    }

    /// Asks who is there, so that apps that are open answer within a second.
    pub fn look_for_receivers(&self) {
        self.inner.out.looked_for.notify_one();
    }

    /// Waits until somebody wants to see who is there.
    ///
    /// # Cancel
    /// Nothing is lost.
    pub async fn receivers_wanted(&self) {
        self.inner.out.looked_for.notified().await;
    }

    /// Returns what is asked of the way out; once, to the one who serves it.
    pub fn wishes(&self) -> Option<mpsc::Receiver<Wished>> {
        self.inner.out.wished.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Shows how far something is that goes out.
    pub fn show_sending(&self, sending: Sending) {
        self.inner.notes.set_sending(sending);
    }

    /// Sends an album, a playlist or tracks to a device, named by its id, its address, or its name when no other is called so.
    /// Members and owners only; each sends files as it may read them.
    ///
    /// # Errors
    /// `NotAllowed` for the room, `NotFound` when nobody is there by that name, `Invalid` when several are or something else is wanted,
    /// `Busy` while something goes there, `Unsupported` when nothing can be sent at all, `Stopped`.
    pub async fn send_out(
        &self,
        caller: &Caller,
        to: &str,
        wanted: Wanted,
        pin: Option<String>,
    ) -> Result<SendId> {
        if caller.right < Right::Member {
            return Err(Error::new(Kind::NotAllowed, "only paired devices may send music to phones"));
        }
        let invalid = |what: &str| Err(Error::new(Kind::Invalid, what));
        match &wanted {
            Wanted::Tracks(ids) if ids.is_empty() => return invalid("say which tracks"),
            Wanted::Tracks(ids) if ids.len() > MOST_TRACKS => {
                return invalid("more tracks than go out at once: 5000");
            }
            Wanted::All | Wanted::Purchases => return invalid("albums, playlists and tracks can be sent"),
            Wanted::Tracks(_) | Wanted::Album(_) | Wanted::Playlist(_) => {}
        }
        let plain = |pin: &String| (1..=MOST_PIN).contains(&pin.len()) && !pin.contains(char::is_control);
        if pin.as_ref().is_some_and(|pin| !plain(pin)) {
            return invalid("this is no PIN");
        }
        let to = self.receiver(to)?;
        self.wish(Wish::Send { to, wanted, right: caller.right, pin }).await
    }

    /// Stops what goes out.
    ///
    /// # Errors
    /// `NotAllowed` for the room, `NotFound` when it is over, `Unsupported`, `Stopped`.
    pub async fn stop_sending(&self, caller: &Caller, id: SendId) -> Result<()> {
        if caller.right < Right::Member {
            return Err(Error::new(Kind::NotAllowed, "only paired devices may stop what goes out"));
        }
        self.wish(Wish::Stop(id)).await.map(drop)
    }

    /// Hears that a receiver wants no more of a session.
    ///
    /// # Errors
    /// `NotFound` when nothing goes there by that name, `Unsupported`, `Busy`, `Stopped`.
    pub async fn stopped_there(&self, session: String, address: IpAddr) -> Result<()> {
        self.wish(Wish::StopThere(session, address)).await.map(drop)
    }

    fn receiver(&self, to: &str) -> Result<Receiver> {
        let all = self.receivers();
        let by_id = all.iter().find(|one| *one.id.0 == *to || one.address.to_string() == to);
        if let Some(receiver) = by_id {
            return Ok(receiver.clone());
        }
        let mut called = all.into_iter().filter(|one| one.name == to || one.address.ip().to_string() == to);
        match (called.next(), called.next()) {
            (Some(receiver), None) => Ok(receiver),
            (None, _) => {
                let what = format!("{to} is not here: is the LocalSend app open there, on the same network?");
                Err(Error::new(Kind::NotFound, what))
            }
            _ => {
                Err(Error::new(Kind::Invalid, format!("several devices are called {to}: name one by its id")))
            }
        }
    }

    async fn wish(&self, wish: Wish) -> Result<SendId> {
        let off = || Error::new(Kind::Unsupported, "LocalSend is switched off in the settings of this box");
        if self.inner.out.wished.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Err(off());
        }
        let (reply, answer) = oneshot::channel();
        self.inner.out.wishes.try_send(Wished { wish, reply }).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Error::new(Kind::Busy, "too much is asked at once"),
            mpsc::error::TrySendError::Closed(_) => Error::new(Kind::Stopped, "konpo is stopping"),
        })?;
        answer.await.unwrap_or_else(|_| Err(Error::new(Kind::Stopped, "konpo is stopping")))
    }
}

/// Whether two that were heard are one device: both proved that they have the certificate, or neither has any.
fn is_one(a: &Receiver, b: &Receiver) -> bool {
    !a.fingerprint.is_empty()
        && (&a.fingerprint, &a.certificate) == (&b.fingerprint, &b.certificate)
        && a.trouble.is_none()
        && b.trouble.is_none()
}

/// Apps that are open answer our announcements, which come every 30 seconds: three of them may get lost.
const HEARD_FOR: Duration = Duration::from_secs(100);
const MOST_RECEIVERS: usize = 64;
/// Devices behind one address.
const MOST_OF_ONE: usize = 4;
/// Devices of one network of IPv6, which one alone may fill as well.
const MOST_OF_SHARE: usize = 16;
/// Wishes that wait; `send` only takes them down.
const MOST_WISHES: usize = 16;
const MOST_TRACKS: usize = 5000;
const MOST_PIN: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::tests::with_config;
    use crate::intake::{IntakeConfig, Take};
    use crate::offer::Via;
    use crate::offer::out::ReceiverId;
    use crate::query::GroupId;

    fn receiver(id: &str, name: &str, last: u8) -> Receiver {
        Receiver {
            id: ReceiverId(id.into()),
            name: name.into(),
            model: String::new(),
            kind: "mobile".into(),
            address: ([10, 77, 0, last], 53317).into(),
            certificate: Some("ab".into()),
            fingerprint: id.into(),
            trouble: None,
        }
    }

    async fn intake() -> (tempfile::TempDir, Intake) {
        let folder = tempfile::tempdir().expect("a folder");
        let intake = with_config(folder.path(), IntakeConfig::new(Take::Music)).await;
        (folder, intake)
    }

    fn caller(right: Right) -> Caller {
        Caller { right, device: None, via: Via::Web }
    }

    #[tokio::test]
    async fn a_receiver_is_named_by_id_address_or_its_only_name() {
        let (_folder, intake) = intake().await;
        for (id, name, last) in [("a", "Yuki", 2), ("b", "Ken", 3), ("c", "Ken", 4)] {
            intake.heard_receiver(receiver(id, name, last));
        }
        for (to, want) in [
            ("a", Ok("a")),
            ("Yuki", Ok("a")),
            ("10.77.0.3", Ok("b")),
            ("10.77.0.4:53317", Ok("c")),
            ("Ken", Err(Kind::Invalid)),
            ("Nobody", Err(Kind::NotFound)),
        ] {
            let found = intake.receiver(to).map(|found| found.id.0.to_string()).map_err(|error| error.kind());
            assert_eq!(found.as_deref().map_err(|kind| *kind), want, "{to}");
        }
        intake.tidy_receivers(Instant::now() + HEARD_FOR);
        assert!(intake.receivers().is_empty(), "an app that is closed");
    }

    #[tokio::test]
    async fn a_device_that_is_heard_over_both_families_is_one() {
        let (_folder, intake) = intake().await;
        let six = |id: &str, fingerprint: &str, last: u16| Receiver {
            address: (std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last), 53317).into(),
            fingerprint: fingerprint.into(),
            ..receiver(id, "Yuki", 2)
        };
        let ids = || intake.receivers().iter().map(|one| one.id.0.to_string()).collect::<Vec<_>>();
        intake.heard_receiver(six("six", "yuki", 1));
        assert_eq!(ids(), ["six"], "it has no other address");
        intake.heard_receiver(receiver("yuki", "Yuki", 2));
        intake.heard_receiver(six("six", "yuki", 1));
        intake.heard_receiver(six("another", "yuki", 2));
        assert_eq!(ids(), ["yuki"], "the address of IPv4 stays");
        let plain = Receiver { certificate: None, ..six("plain", "yuki", 3) };
        intake.heard_receiver(plain);
        assert_eq!(ids(), ["plain", "yuki"], "one without the certificate may be anybody");
        for number in 0..100 {
            intake.heard_receiver(six(&format!("x{number}"), &format!("x{number}"), 100 + number));
        }
        assert_eq!(ids().len(), 1 + MOST_OF_SHARE);
    }

    #[tokio::test]
    async fn nobody_fills_the_list_alone() {
        let (_folder, intake) = intake().await;
        intake.heard_receiver(receiver("yuki", "Yuki", 2));
        for number in 0..100 {
            intake.heard_receiver(receiver(&format!("x{number}"), "X", 9));
        }
        assert_eq!(intake.receivers().len(), 1 + MOST_OF_ONE);
        for number in 0..100u8 {
            intake.heard_receiver(receiver(&format!("y{number}"), "Y", 20 + number));
        }
        assert_eq!(intake.receivers().len(), MOST_RECEIVERS);
    }

    #[tokio::test]
    async fn who_may_not_send_and_what_cannot_be_sent_is_refused() {
        let (_folder, intake) = intake().await;
        intake.heard_receiver(receiver("a", "Yuki", 2));
        let album = || Wanted::Album(GroupId(1));
        for (right, wanted, pin, want) in [
            (Right::Room, album(), None, Kind::NotAllowed),
            (Right::Owner, Wanted::All, None, Kind::Invalid),
            (Right::Owner, Wanted::Tracks(Vec::new()), None, Kind::Invalid),
            (Right::Owner, album(), Some("1\n2"), Kind::Invalid),
            (Right::Member, album(), None, Kind::Unsupported),
        ] {
            let pin = pin.map(str::to_owned);
            let refused = intake.send_out(&caller(right), "a", wanted, pin).await.expect_err("refused");
            assert_eq!(refused.kind(), want, "{refused}");
        }
        let mut wishes = intake.wishes().expect("once");
        assert!(intake.wishes().is_none());
        let serve = async {
            let Wished { wish, reply } = wishes.recv().await.expect("a wish");
            assert!(matches!(wish, Wish::Send { right: Right::Member, .. }), "{wish:?}");
            reply.send(Ok(SendId(7))).expect("somebody waits");
        };
        let asked = caller(Right::Member);
        let (sent, ()) = tokio::join!(intake.send_out(&asked, "a", album(), None), serve);
        assert_eq!(sent.expect("taken up"), SendId(7));
        drop(wishes);
        let refused = intake.stop_sending(&asked, SendId(7)).await.expect_err("nobody serves");
        assert_eq!(refused.kind(), Kind::Stopped);
    }
}
