//! The door for what senders bring by themselves: who may, who is asked, how much, what of it the shelf has, and what
//! became of it. Every way in (LocalSend, uploads over HTTP) comes through here; none decides anything itself.
//!
//! A sender is told "received" only when the bytes are on the disk and the journal says so ([`Incoming::finish`]).

mod beams;
mod delivery;
mod pairing;
mod people;
pub mod policy;
pub mod uploads;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::error::{Error, Kind, Result};
use crate::intake::door::beams::Beams;
pub use crate::intake::door::delivery::{Delivery, Finished, Incoming};
use crate::intake::door::pairing::Pairing;
pub use crate::intake::door::pairing::Pin;
use crate::intake::door::policy::{Decision, Quotas, decide, is_archive, is_no_music, unfit};
use crate::intake::door::uploads::Table;
use crate::intake::staging::{LARGEST_FILE, blocking};
use crate::intake::{Inner, Intake};
use crate::offer::push::{BeamId, OnArrival, Push, Pushed, Request, RequestId, Sender, Sent};
use crate::offer::{Caller, Key, OfferId, Right, Verdict, Via};
use crate::track::TrackId;
use crate::units::{ByteCount, UnixTime};

/// Why a sender is not let in. A value, not an error: each way has its own words for it.
#[derive(Debug)]
pub enum Refusal {
    /// What it says is no offer.
    Unfit(String),
    /// It must say the PIN.
    PinMissing,
    /// It said another PIN.
    PinWrong,
    /// It said too many wrong PINs.
    LockedOut,
    /// Somebody said no, nobody answered, or a rule says no.
    Declined(String),
    /// It is being answered already, or too many are.
    Busy(String),
    /// There is no room on the disk, or the sender brought enough for a day.
    Full(String),
    /// The music disk is not there, konpo is stopping, or it failed.
    Failed(Error),
}

impl Refusal {
    /// Returns the words for the person who sends.
    pub fn words(&self) -> String {
        match self {
            Refusal::Unfit(words)
            | Refusal::Declined(words)
            | Refusal::Busy(words)
            | Refusal::Full(words) => words.clone(),
            Refusal::PinMissing => "the PIN is needed".into(),
            Refusal::PinWrong => "this is not the PIN".into(),
            Refusal::LockedOut => "too many wrong PINs: try again in a minute".into(),
            Refusal::Failed(error) => error.to_string(),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        match error.kind() {
            Kind::Full => Refusal::Full(error.to_string()),
            _ => Refusal::Failed(error),
        }
    }
}

/// What the door keeps.
#[derive(Debug)]
pub(in crate::intake) struct Door {
    desk: Mutex<Desk>,
    push: Push,
    on_arrival: OnArrival,
    // What the box does not take up any more stays on the shelf unplayed.
    pushed: mpsc::Sender<Pushed>,
    pushed_out: Mutex<Option<mpsc::Receiver<Pushed>>>,
    /// Files that come in pieces, where somebody serves them.
    uploads: Mutex<Weak<Table>>,
    /// What goes on though its sender is gone: ends, and what is left to do for those that broke off.
    tasks: TaskTracker,
}

#[derive(Debug)]
struct Desk {
    next: u64,
    asks: BTreeMap<RequestId, Asking>,
    /// Until when nobody is asked for.
    window: Option<(Instant, UnixTime)>,
    quotas: Quotas,
    pairing: Pairing,
    /// Bytes that senders were let in with and that are not here yet.
    promised: u64,
    beams: Beams,
    /// Senders that bring files one by one: what was answered, and until when it holds for the next.
    answered: HashMap<String, (bool, Instant)>,
}

#[derive(Debug)]
struct Asking {
    shown: Request,
    identity: String,
    /// The answer holds for the next files as well.
    holds: bool,
    reply: oneshot::Sender<bool>,
}

impl Door {
    pub(in crate::intake) fn new(push: Push, on_arrival: OnArrival, has_owner: bool) -> Door {
        let (pushed, pushed_out) = mpsc::channel(MOST_PUSHED);
        let desk = Desk {
            next: 1,
            asks: BTreeMap::new(),
            window: None,
            quotas: Quotas::default(),
            pairing: Pairing::new(has_owner, Instant::now()),
            promised: 0,
            beams: Beams::default(),
            answered: HashMap::new(),
        };
        Door {
            desk: Mutex::new(desk),
            push,
            on_arrival,
            pushed,
            pushed_out: Mutex::new(Some(pushed_out)),
            uploads: Mutex::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Waits until what broke off is tidied away.
    pub(in crate::intake) async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Notes what became of a file. Returns a track that must go again: its beam was taken back before it was here.
    pub(in crate::intake) fn ended(&self, row: OfferId, verdict: &Verdict) -> Option<TrackId> {
        let (pushed, gone) = self.desk().beams.verdict(row, verdict, Instant::now());
        pushed.into_iter().for_each(|pushed| self.tell(pushed));
        gone
    }

    /// Returns whether somebody took back what this row belongs to.
    pub(in crate::intake) fn is_undone(&self, row: OfferId) -> bool {
        self.desk().beams.is_undone(row)
    }

    /// Counts what came out of an archive against its sender's day.
    pub(in crate::intake) fn count(&self, sender: &str, bytes: ByteCount) {
        self.desk().quotas.note(sender, 1, bytes, UnixTime::now());
    }

    /// Notes that a file was in an archive, whose row is the first.
    pub(in crate::intake) fn unpacked(&self, archive: OfferId, row: OfferId) {
        self.desk().beams.unpacked(archive, row);
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, pushed: Pushed) {
        if let Err(error) = self.pushed.try_send(pushed) {
            warn!(%error, "the box does not hear what came: it stays on the shelf");
        }
    }
}

impl Desk {
    /// Returns until when nobody is asked for.
    fn window(&mut self, now: Instant) -> Option<UnixTime> {
        self.window = self.window.filter(|(until, _)| *until > now);
        self.window.map(|(_, shown)| shown)
    }

    /// A window that is used stays open.
    fn use_window(&mut self, now: Instant) {
        if self.window(now).is_some() {
            self.window = Some((now + WINDOW, UnixTime(UnixTime::now().0 + WINDOW.as_secs() as i64)));
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }
}

/// Returns by what a sender's day is counted and its memory kept: its key, else its address.
fn identity(sender: &Sender) -> String {
    match &sender.key {
        Some(Key::Certificate(sum)) => format!("certificate:{sum}"),
        Some(Key::Udn(udn)) => format!("udn:{udn}"),
        Some(Key::Cookie(hash)) => format!("cookie:{hash}"),
        Some(Key::LocalOwner) => "local".into(),
        None => format!("addr:{}", sender.address),
    }
}

impl Intake {
    /// Offers files. It answers when they may come: at once, or when somebody said so. Dropped, the question is taken back.
    ///
    /// `pin` is what the sender's person typed. Files that the shelf has, and those that are no music by their name, are not
    /// among those to be sent ([`Delivery::accepted`]); nothing may be.
    ///
    /// # Errors
    /// The refusal.
    pub async fn offer(
        &self,
        sender: Sender,
        files: Vec<Sent>,
        pin: Option<&str>,
    ) -> std::result::Result<Delivery, Refusal> {
        self.offer_as(sender, files, pin, false).await
    }

    /// Offers one file of several that the sender brings one by one: they are one beam, and a yes holds for the next ones,
    /// as long as one follows the other within minutes.
    ///
    /// # Errors
    /// The refusal.
    pub async fn offer_next(
        &self,
        sender: Sender,
        file: Sent,
        pin: Option<&str>,
    ) -> std::result::Result<Delivery, Refusal> {
        self.offer_as(sender, vec![file], pin, true).await
    }

    async fn offer_as(
        &self,
        sender: Sender,
        files: Vec<Sent>,
        pin: Option<&str>,
        joins: bool,
    ) -> std::result::Result<Delivery, Refusal> {
        if files.is_empty() || files.len() > MOST_FILES {
            return Err(Refusal::Unfit(format!("{} files, must be 1 to {MOST_FILES}", files.len())));
        }
        if let Some(wrong) = files.iter().find_map(|file| unfit(file, LARGEST_FILE)) {
            return Err(Refusal::Unfit(wrong));
        }
        let identity = identity(&sender);
        let caller = self.caller_of(&sender, pin).await?;
        let (wanted, known) = self.sift(&identity, &files).await?;
        let bytes = ByteCount(wanted.iter().map(|&index| files[index].size.0).sum());
        let offered = Offered { sender, identity, caller, files, wanted, known, bytes, joins };
        if !offered.wanted.is_empty() {
            self.check_room(&offered).await?;
        }
        match self.decision(offered.caller.right) {
            Decision::Take => {}
            Decision::Ask if offered.wanted.is_empty() => {}
            Decision::Ask if joins => self.wait_for_a_yes_to_all(&offered).await?,
            Decision::Ask => self.wait_for_a_yes(&offered).await?,
            Decision::Refuse(words) => return Err(Refusal::Declined(words.into())),
        }
        self.let_in(offered).await
    }

    /// Asks once for all files of a sender that come one by one, also when several come at once.
    async fn wait_for_a_yes_to_all(&self, offered: &Offered) -> std::result::Result<(), Refusal> {
        let begun = Instant::now();
        loop {
            let now = Instant::now();
            let waits = {
                let mut desk = self.inner.door.desk();
                desk.answered.retain(|_, (_, until)| *until > now);
                match desk.answered.get_mut(&offered.identity) {
                    Some((true, until)) => {
                        *until = now + YES_HOLDS;
                        return Ok(());
                    }
                    Some((false, _)) => return Err(Refusal::Declined("somebody said no".into())),
                    None => desk.asks.values().any(|asking| asking.identity == offered.identity),
                }
            };
            if !waits {
                return self.wait_for_a_yes(offered).await;
            }
            if now > begun + ANSWERED_WITHIN {
                return Err(Refusal::Busy("this device is being asked for already".into()));
            }
            tokio::time::sleep(ASKED_AGAIN).await;
        }
    }

    /// Takes words that a sender wrote, where it would be let in without a question.
    ///
    /// # Errors
    /// The refusal.
    pub async fn say(
        &self,
        sender: &Sender,
        text: &str,
        pin: Option<&str>,
    ) -> std::result::Result<(), Refusal> {
        let caller = self.caller_of(sender, pin).await?;
        match self.decision(caller.right) {
            Decision::Take => {
                let text: String =
                    text.chars().filter(|letter| !letter.is_control()).take(LONGEST_TEXT).collect();
                self.inner.door.tell(Pushed::Said { from: shown(&sender.name).into(), text });
                Ok(())
            }
            Decision::Ask => Err(Refusal::Declined("only paired devices may write here".into())),
            Decision::Refuse(words) => Err(Refusal::Declined(words.into())),
        }
    }

    fn decision(&self, right: Right) -> Decision {
        let window = self.inner.door.desk().window(Instant::now()).is_some();
        decide(self.inner.door.push, right, window)
    }

    /// Returns who a sender is. While a PIN is set, one that is not paired must say it, and is paired when it does.
    async fn caller_of(&self, sender: &Sender, pin: Option<&str>) -> std::result::Result<Caller, Refusal> {
        let caller = self.who(sender.key.clone(), Via::Itself).await;
        if caller.right >= Right::Member {
            return Ok(caller);
        }
        let said = self.inner.door.desk().pairing.say(pin, sender.address, Instant::now());
        match said {
            Pin::NotSet => Ok(caller),
            Pin::Missing => Err(Refusal::PinMissing),
            Pin::Wrong => Err(Refusal::PinWrong),
            Pin::LockedOut => Err(Refusal::LockedOut),
            Pin::Right => {
                let Some(key) = sender.key.clone() else {
                    // It can be let in now, but not be known again.
                    return Ok(Caller { right: Right::Member, ..caller });
                };
                let name = shown(&sender.name);
                let device = self.pair(key, &name, Right::Member).await?;
                info!(name, device = device.0, "paired by the PIN");
                Ok(Caller { right: Right::Member, device: Some(device), via: caller.via })
            }
        }
    }

    /// Returns the files worth sending, and those that the shelf has with their tracks.
    async fn sift(&self, identity: &str, files: &[Sent]) -> Result<(Vec<usize>, Vec<(usize, TrackId)>)> {
        let library = &self.inner.library;
        let by_sum = library.with_sums(files.iter().map(|file| file.sha256).collect()).await?;
        // One that says no sums and cannot be known again proves nothing by a name.
        let seen =
            if identity.starts_with("addr:") { Vec::new() } else { library.seen_remote(identity).await? };
        let seen: HashMap<(&str, u64), TrackId> =
            seen.iter().filter_map(|row| Some(((row.object_id.as_str(), row.size?.0), row.track?))).collect();
        let by_name = |file: &Sent| seen.get(&(file.name.as_str(), file.size.0)).copied();
        let (mut wanted, mut known, mut doubtful) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (file, by_sum)) in files.iter().zip(by_sum).enumerate() {
            match (by_sum, file.sha256) {
                (Some(track), _) => known.push((index, track)),
                (None, None) if by_name(file).is_some() => {
                    doubtful.extend(by_name(file).map(|track| (index, track)))
                }
                _ if is_no_music(file) => {}
                _ => wanted.push(index),
            }
        }
        // What was deleted since comes again.
        let there = library.get(&doubtful.iter().map(|(_, track)| *track).collect::<Vec<_>>()).await?;
        for (one, there) in doubtful.into_iter().zip(there) {
            match there {
                Some(_) => known.push(one),
                None => wanted.push(one.0),
            }
        }
        wanted.sort_unstable();
        known.sort_unstable();
        Ok((wanted, known))
    }

    /// Answers about the room before the first byte.
    async fn check_room(&self, offered: &Offered) -> std::result::Result<(), Refusal> {
        let files = offered.wanted.len() as u64;
        let promised = {
            let desk = self.inner.door.desk();
            let right = offered.caller.right;
            let refused =
                desk.quotas.refusal(&offered.identity, right, files, offered.bytes, UnixTime::now());
            if let Some(words) = refused {
                return Err(Refusal::Full(words));
            }
            desk.promised
        };
        // What is in an archive lies beside it until all of it came out.
        let wanted = offered.wanted.iter().map(|&index| &offered.files[index]);
        let archives: u64 = wanted.filter(|file| is_archive(file)).map(|file| file.size.0).sum();
        let needed = offered.bytes.0.saturating_add(archives).saturating_add(promised);
        let (library, needed) = (self.inner.library.clone(), ByteCount(needed));
        Ok(blocking(move || library.would_take(needed)).await?)
    }

    /// Shows the question until somebody answers.
    async fn wait_for_a_yes(&self, offered: &Offered) -> std::result::Result<(), Refusal> {
        let (reply, answer) = oneshot::channel();
        let id = {
            let mut desk = self.inner.door.desk();
            if desk.asks.values().any(|asking| asking.identity == offered.identity) {
                return Err(Refusal::Busy("this device is being asked for already".into()));
            }
            if desk.asks.len() >= MOST_ASKING {
                return Err(Refusal::Busy("too many devices are being asked for".into()));
            }
            let id = RequestId(desk.number());
            let names =
                offered.wanted.iter().take(MOST_NAMES).map(|&index| shown(&offered.files[index].name));
            let shown = Request {
                id,
                from: shown(&offered.sender.name),
                way: offered.sender.way.to_owned(),
                files: offered.wanted.len() as u64,
                bytes: offered.bytes,
                names: names.collect(),
                until: UnixTime(UnixTime::now().0 + ANSWERED_WITHIN.as_secs() as i64),
            };
            info!(from = shown.from, files = shown.files, "somebody wants to send: yes or no?");
            desk.asks.insert(
                id,
                Asking { shown, identity: offered.identity.clone(), holds: offered.joins, reply },
            );
            id
        };
        let _withdrawn = Withdrawn { inner: self.inner.clone(), id };
        self.inner.show_door();
        let answered = tokio::select! {
            () = self.inner.stop.cancelled() => {
                return Err(Refusal::Failed(Error::new(Kind::Stopped, "konpo is stopping")));
            }
            answered = tokio::time::timeout(ANSWERED_WITHIN, answer) => answered,
        };
        match answered {
            Ok(Ok(true)) => Ok(()),
            Ok(_) => Err(Refusal::Declined("somebody said no".into())),
            Err(_) => Err(Refusal::Declined("nobody answered within a minute".into())),
        }
    }

    /// Makes room and begins the delivery.
    async fn let_in(&self, offered: Offered) -> std::result::Result<Delivery, Refusal> {
        let wish = match offered.caller.device {
            Some(device) => self.inner.library.on_arrival(device).await?,
            None => None,
        };
        let wish = wish.unwrap_or(self.inner.door.on_arrival);
        if !offered.wanted.is_empty() {
            // Meanwhile others may have been let in.
            // The trash yields only to bytes that come, not to words about them.
            self.check_room(&offered).await?;
        }
        Ok(Delivery::begin(self.inner.clone(), offered, wish))
    }

    /// Answers a sender that waits. Members and the owner only.
    ///
    /// # Errors
    /// `NotAllowed` for the room, `NotFound` when it does not wait any more.
    pub fn answer(&self, caller: &Caller, id: RequestId, yes: bool) -> Result<()> {
        need(caller, Right::Member, "answer for the box")?;
        let mut desk = self.inner.door.desk();
        let asking = desk.asks.remove(&id);
        let asking = asking.ok_or_else(|| Error::new(Kind::NotFound, format!("nobody waits as {}", id.0)))?;
        if asking.holds && desk.answered.len() < MOST_ANSWERED {
            let until = Instant::now() + if yes { YES_HOLDS } else { NO_HOLDS };
            desk.answered.insert(asking.identity.clone(), (yes, until));
        }
        drop(desk);
        info!(from = asking.shown.from, yes, "somebody answered");
        self.inner.show_door();
        // It may be gone since.
        let _gone = asking.reply.send(yes);
        Ok(())
    }

    /// Opens the beam window: for ten minutes, and longer while it is used, nobody is asked for. Returns until when.
    ///
    /// # Errors
    /// `NotAllowed` for the room.
    pub fn open_window(&self, caller: &Caller) -> Result<UnixTime> {
        need(caller, Right::Member, "open the beam window")?;
        let until = UnixTime(UnixTime::now().0 + WINDOW.as_secs() as i64);
        self.inner.door.desk().window = Some((Instant::now() + WINDOW, until));
        self.inner.show_door();
        Ok(until)
    }

    /// Closes the beam window.
    ///
    /// # Errors
    /// `NotAllowed` for the room.
    pub fn close_window(&self, caller: &Caller) -> Result<()> {
        need(caller, Right::Member, "close the beam window")?;
        self.inner.door.desk().window = None;
        self.inner.show_door();
        Ok(())
    }

    /// Returns what was sent and lands, once, to the one who plays.
    pub fn pushes(&self) -> Option<mpsc::Receiver<Pushed>> {
        self.inner.door.pushed_out.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Takes back what a sender brought: what is new on the shelf goes to the trash, what is on its way is not put there.
    /// Members and the owner, for ten minutes. Returns how many tracks went.
    ///
    /// # Errors
    /// `NotAllowed` for the room, `NotFound` when there is nothing to take back any more, and those of the shelf.
    pub async fn undo(&self, caller: &Caller, id: BeamId) -> Result<u64> {
        need(caller, Right::Member, "take back what was sent")?;
        let owner = caller.right >= Right::Owner;
        let tracks = self.inner.door.desk().beams.undo(id, caller.device, owner, Instant::now())?;
        self.inner.show_door();
        self.inner.door.tell(Pushed::Undone(tracks.clone()));
        let mut gone = 0;
        for track in tracks {
            match self.inner.library.trash(track).await {
                Ok(()) => gone += 1,
                // Somebody deleted it already.
                Err(error) if error.kind() == Kind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        info!(beam = id.0, gone, "taken back");
        Ok(gone)
    }
}

impl Inner {
    /// Puts the questions, the beams and the window on the board.
    pub(in crate::intake) fn show_door(&self) {
        let mut desk = self.door.desk();
        let window = desk.window(Instant::now());
        let asks = desk.asks.values().map(|asking| asking.shown.clone()).collect();
        let beams = desk.beams.shown(Instant::now());
        drop(desk);
        self.notes.set_door(asks, beams, window);
    }
}

/// What a sender has, looked through.
#[derive(Debug)]
pub(in crate::intake) struct Offered {
    sender: Sender,
    identity: String,
    caller: Caller,
    files: Vec<Sent>,
    /// The files to be sent, by their place.
    wanted: Vec<usize>,
    /// Those that the shelf has.
    known: Vec<(usize, TrackId)>,
    /// Of those to be sent.
    bytes: ByteCount,
    /// It goes on with what the same sender brought just before.
    joins: bool,
}

/// Takes a question back when its sender is gone.
struct Withdrawn {
    inner: Arc<Inner>,
    id: RequestId,
}

impl Drop for Withdrawn {
    fn drop(&mut self) {
        self.inner.door.desk().asks.remove(&self.id);
        self.inner.show_door();
    }
}

fn need(caller: &Caller, right: Right, what: &str) -> Result<()> {
    if caller.right >= right {
        return Ok(());
    }
    let who = if right == Right::Owner { "the owner" } else { "paired devices" };
    Err(Error::new(Kind::NotAllowed, format!("only {who} may {what}")))
}

/// Returns a stranger's words as they may be shown: short, without controls.
fn shown(name: &str) -> String {
    let plain: String = name.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect();
    if plain.trim().is_empty() { "somebody".to_owned() } else { plain }
}

/// product.md, "Other people's phones".
const WINDOW: Duration = Duration::from_secs(600);
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// How long a yes, and a no, hold for the next file of a sender that brings them one by one.
const YES_HOLDS: Duration = Duration::from_secs(120);
const NO_HOLDS: Duration = Duration::from_secs(10);
/// Senders whose answer is remembered; the next ones are asked for again.
const MOST_ANSWERED: usize = 100;
/// How often one that comes while its sender is asked for looks again.
const ASKED_AGAIN: Duration = Duration::from_millis(200);
/// Files of one offer.
const MOST_FILES: usize = 5000;
/// Questions that wait at once; more senders are told to come later.
const MOST_ASKING: usize = 8;
/// Names shown with a question.
const MOST_NAMES: usize = 10;
const LONGEST_NAME: usize = 100;
const LONGEST_TEXT: usize = 300;
/// Songs that landed and that the box has not taken up yet.
const MOST_PUSHED: usize = 1024;

#[cfg(test)]
mod tests;
