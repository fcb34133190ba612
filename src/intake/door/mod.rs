//! The door for what senders bring by themselves: who may, who is asked, how much, what of it the shelf has, and what
//! became of it. Every way in (LocalSend, uploads over HTTP) comes through here; none decides anything itself.
//!
//! A sender is told "received" only when the bytes are on the disk and the journal says so ([`Incoming::finish`]).

mod asking;
mod beams;
mod delivery;
mod joined;
mod pairing;
pub(in crate::intake) mod past;
mod people;
pub mod policy;
pub mod uploads;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::error::{Error, Kind, Result};
pub use crate::intake::door::asking::OneRequest;
use crate::intake::door::asking::{Answers, Asking, Left};
use crate::intake::door::beams::Beams;
pub use crate::intake::door::delivery::{Delivery, Finished, Incoming};
use crate::intake::door::pairing::Pairing;
pub use crate::intake::door::pairing::Pin;
use crate::intake::door::past::TakenBack;
use crate::intake::door::policy::{Decision, LeftWhy, Quotas, decide, is_archive, kept, unfit};
use crate::intake::door::uploads::Table;
use crate::intake::staging::{LARGEST_FILE, blocking};
use crate::intake::{Inner, Intake};
use crate::offer::push::{BeamId, OnArrival, Push, Pushed, RequestId, Sender, Sent};
use crate::offer::{Caller, DeviceId, Key, OfferId, Right, Verdict, Via};
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
    /// Who may send unasked, and what happens to it, unless something else is set of a device.
    rules: Mutex<(Push, OnArrival)>,
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
    answers: Answers,
    /// Questions whose sender went just now and may ask the same again.
    left: VecDeque<Left>,
    /// What was taken back lately, the newest last.
    undone: Vec<TakenBack>,
    /// What falls when a paired device is forgotten; only of those that are being told something.
    paired: HashMap<DeviceId, CancellationToken>,
}

/// What a sender that brings files one by one says it will bring in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InAll {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: ByteCount,
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
            answers: Answers::default(),
            left: VecDeque::new(),
            undone: Vec::new(),
            paired: HashMap::new(),
        };
        Door {
            desk: Mutex::new(desk),
            rules: Mutex::new((push, on_arrival)),
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

    fn rules(&self) -> (Push, OnArrival) {
        *self.rules.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Returns by what a sender is known again: its key, else its address. A key alone is no proof of another device: anybody
/// makes a new one for each file. See [`Offered::counted`].
fn identity(sender: &Sender) -> String {
    match &sender.key {
        Some(Key::Certificate(sum)) => format!("certificate:{sum}"),
        Some(Key::Udn(udn)) => format!("udn:{udn}"),
        Some(Key::Cookie(hash)) => format!("cookie:{hash}"),
        Some(Key::LocalOwner) => "local".into(),
        None => at(sender.address),
    }
}

fn at(address: IpAddr) -> String {
    format!("addr:{address}")
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
        self.offer_as(sender, files, pin, Joins::No).await
    }

    /// Offers one file of several that the sender brings one by one: they are one beam, and a yes holds for a few next ones,
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
        self.offer_one_of(sender, file, None, pin).await
    }

    /// As [`Intake::offer_next`], of a sender that says what it brings in all: that is what the question shows, and what a
    /// yes is for.
    ///
    /// # Errors
    /// The refusal.
    pub async fn offer_one_of(
        &self,
        sender: Sender,
        file: Sent,
        in_all: Option<InAll>,
        pin: Option<&str>,
    ) -> std::result::Result<Delivery, Refusal> {
        self.offer_as(sender, vec![file], pin, Joins::Yes(in_all)).await
    }

    /// As [`Intake::offer_next`], of a sender that brings several files in one request: a yes is for all of that request.
    ///
    /// # Errors
    /// The refusal.
    pub async fn offer_in(
        &self,
        request: &OneRequest,
        sender: Sender,
        file: Sent,
        pin: Option<&str>,
    ) -> std::result::Result<Delivery, Refusal> {
        self.offer_as(sender, vec![file], pin, Joins::In(request)).await
    }

    async fn offer_as(
        &self,
        sender: Sender,
        mut files: Vec<Sent>,
        pin: Option<&str>,
        joins: Joins<'_>,
    ) -> std::result::Result<Delivery, Refusal> {
        check(&mut files)?;
        let identity = identity(&sender);
        let (caller, has_no_pin) = self.caller_of(&sender, pin).await?;
        let (wanted, known, left_out) = self.sift(&identity, &files).await?;
        let bytes = ByteCount(wanted.iter().map(|&index| files[index].size.0).sum());
        let joined = !matches!(joins, Joins::No);
        let offered =
            Offered { sender, identity, caller, files, wanted, known, left_out, bytes, joins: joined };
        if !offered.wanted.is_empty() {
            self.check_room(&offered).await?;
        }
        match (self.decision(offered.caller.right), joins) {
            (Decision::Take, _) => {}
            (Decision::Refuse(words), _) => return Err(self.refusal(words, has_no_pin)),
            (Decision::Ask, _) if offered.wanted.is_empty() => {}
            (Decision::Ask, Joins::Yes(in_all)) => {
                self.wait_for_a_yes_to_all(&offered, in_all, None, has_no_pin).await?
            }
            (Decision::Ask, Joins::In(request)) => {
                self.wait_for_a_yes_to_all(&offered, None, Some(request), has_no_pin).await?
            }
            (Decision::Ask, Joins::No) => {
                self.tell_of_pin(&offered, has_no_pin)?;
                self.wait_for_a_yes(&offered, None).await?;
            }
        }
        self.let_in(offered).await
    }

    /// Before somebody is asked for a sender, it hears once that there is a PIN.
    fn tell_of_pin(&self, offered: &Offered, has_no_pin: bool) -> std::result::Result<(), Refusal> {
        let from = offered.sender.address;
        let told = has_no_pin && self.inner.door.desk().pairing.is_to_be_told(from, Instant::now());
        if told { Err(Refusal::PinMissing) } else { Ok(()) }
    }

    /// A PIN that was not said is missed only where it would help.
    fn refusal(&self, words: &str, has_no_pin: bool) -> Refusal {
        match has_no_pin && self.decision(Right::Member) == Decision::Take {
            true => Refusal::PinMissing,
            false => Refusal::Declined(words.into()),
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
        let (caller, has_no_pin) = self.caller_of(sender, pin).await?;
        match self.decision(caller.right) {
            Decision::Take => {
                let text = policy::shown(text, LONGEST_TEXT);
                self.inner.door.tell(Pushed::Said { from: shown(&sender.name).into(), text });
                Ok(())
            }
            Decision::Ask => Err(self.refusal("only paired devices may write here", has_no_pin)),
            Decision::Refuse(words) => Err(self.refusal(words, has_no_pin)),
        }
    }

    /// Sets who may send unasked and what happens to what was sent, from the next sender on.
    pub fn set_rules(&self, push: Push, on_arrival: OnArrival) {
        *self.inner.door.rules.lock().unwrap_or_else(PoisonError::into_inner) = (push, on_arrival);
    }

    fn decision(&self, right: Right) -> Decision {
        let window = self.inner.door.desk().window(Instant::now()).is_some();
        decide(self.inner.door.rules().0, right, window)
    }

    /// Returns who a sender is, and whether a PIN is set that it did not say. One that says it is paired, and the PIN is used
    /// up.
    async fn caller_of(
        &self,
        sender: &Sender,
        pin: Option<&str>,
    ) -> std::result::Result<(Caller, bool), Refusal> {
        let caller = self.who(sender.key.clone(), Via::Itself).await;
        if caller.right >= Right::Member {
            return Ok((caller, false));
        }
        let said = self.inner.door.desk().pairing.say(pin, sender.address, Instant::now());
        match said {
            Pin::NotSet => Ok((caller, false)),
            Pin::Missing => Ok((caller, true)),
            // Without a PIN that it says, it is as any other stranger.
            Pin::LockedOut if pin.is_none_or(str::is_empty) => Ok((caller, true)),
            Pin::Wrong => Err(Refusal::PinWrong),
            Pin::LockedOut => Err(Refusal::LockedOut),
            Pin::Right => {
                let Some(key) = sender.key.clone() else {
                    // It can be let in now, but not be known again.
                    return Ok((Caller { right: Right::Member, ..caller }, false));
                };
                let name = shown(&sender.name);
                let device = self.pair(key, &name, Right::Member).await?;
                self.pin_was_used();
                info!(name, device = device.0, "paired by the PIN");
                Ok((Caller { right: Right::Member, device: Some(device), via: caller.via }, false))
            }
        }
    }

    /// Returns the files worth sending, those that the shelf has with their tracks, and why the others are left.
    async fn sift(&self, identity: &str, files: &[Sent]) -> Result<Sifted> {
        let library = &self.inner.library;
        let by_sum = library.with_sums(files.iter().map(|file| file.sha256).collect()).await?;
        // One that says no sums and cannot be known again proves nothing by a name.
        let seen =
            if identity.starts_with("addr:") { Vec::new() } else { library.seen_remote(identity).await? };
        let seen: HashMap<(&str, u64), TrackId> =
            seen.iter().filter_map(|row| Some(((row.object_id.as_str(), row.size?.0), row.track?))).collect();
        let by_name = |file: &Sent| seen.get(&(file.name.as_str(), file.size.0)).copied();
        let (mut wanted, mut known, mut doubtful) = (Vec::new(), Vec::new(), Vec::new());
        let mut left_out = Vec::new();
        for (index, (file, by_sum)) in files.iter().zip(by_sum).enumerate() {
            match (by_sum, file.sha256) {
                (Some(track), _) => known.push((index, track)),
                (None, None) if by_name(file).is_some() => {
                    doubtful.extend(by_name(file).map(|track| (index, track)))
                }
                _ => match policy::left_out(file, LARGEST_FILE) {
                    Some(why) => left_out.push((index, why)),
                    None => wanted.push(index),
                },
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
        Ok((wanted, known, left_out))
    }

    /// Answers about the room before the first byte.
    async fn check_room(&self, offered: &Offered) -> std::result::Result<(), Refusal> {
        let files = offered.wanted.len() as u64;
        let promised = {
            let desk = self.inner.door.desk();
            let right = offered.caller.right;
            let refused =
                desk.quotas.refusal(&offered.counted(), right, files, offered.bytes, UnixTime::now());
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

    /// Begins the delivery. The trash yields only to bytes that come, not to words about them.
    async fn let_in(&self, offered: Offered) -> std::result::Result<Delivery, Refusal> {
        let wish = match offered.caller.device {
            Some(device) => self.inner.library.on_arrival(device).await?,
            None => None,
        };
        let wish = wish.unwrap_or(self.inner.door.rules().1);
        if !offered.wanted.is_empty() {
            // Meanwhile others may have been let in.
            self.check_room(&offered).await?;
        }
        Ok(Delivery::begin(self.inner.clone(), offered, wish))
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
        // From here on it is taken back, whatever happens to the power.
        self.inner.note_undone(id, false).await?;
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
        self.inner.note_undone(id, true).await?;
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
    /// Those that are not asked for, and why.
    left_out: Vec<(usize, LeftWhy)>,
    /// Of those to be sent.
    bytes: ByteCount,
    /// It goes on with what the same sender brought just before.
    joins: bool,
}

impl Offered {
    /// Returns by what a sender is counted and asked for: what pairs it, else its address.
    fn counted(&self) -> String {
        let is_known = self.caller.right >= Right::Member && self.sender.key.is_some();
        if is_known { self.identity.clone() } else { at(self.sender.address) }
    }
}

/// Files by their places: those to be sent, those that the shelf has with their tracks, those that are left with the reason.
type Sifted = (Vec<usize>, Vec<(usize, TrackId)>, Vec<(usize, LeftWhy)>);

/// Whether a file is one of several that come one by one.
#[derive(Debug, Clone, Copy)]
enum Joins<'a> {
    No,
    Yes(Option<InAll>),
    In(&'a OneRequest),
}

/// Looks at what a sender says that it has. Names that lead elsewhere refuse the whole offer; what is only odd in them is
/// mended, and files that are too large are left out, unless there are no others.
fn check(files: &mut [Sent]) -> std::result::Result<(), Refusal> {
    if files.is_empty() || files.len() > MOST_FILES {
        return Err(Refusal::Unfit(format!("{} files, must be 1 to {MOST_FILES}", files.len())));
    }
    for file in files.iter_mut() {
        if let Some(wrong) = unfit(&file.name) {
            return Err(Refusal::Unfit(wrong));
        }
        file.name = kept(&file.name);
        if let Some(wrong) = unfit(&file.name) {
            return Err(Refusal::Unfit(wrong));
        }
    }
    if files.iter().all(|file| file.size.0 > LARGEST_FILE) {
        let words =
            format!("{}: files above {} are not taken", shown(&files[0].name), ByteCount(LARGEST_FILE));
        return Err(Refusal::Unfit(words));
    }
    Ok(())
}

fn need(caller: &Caller, right: Right, what: &str) -> Result<()> {
    if caller.right >= right {
        return Ok(());
    }
    let who = if right == Right::Owner { "the owner" } else { "paired devices" };
    Err(Error::new(Kind::NotAllowed, format!("only {who} may {what}")))
}

/// Returns a stranger's words as they may be shown: short, without controls and marks that turn the words around them.
fn shown(name: &str) -> String {
    let plain = policy::shown(name, LONGEST_NAME);
    if plain.trim().is_empty() { "somebody".to_owned() } else { plain }
}

/// product.md, "Other people's phones".
const WINDOW: Duration = Duration::from_secs(600);
/// Files of one offer.
const MOST_FILES: usize = 5000;
/// Names shown with a question.
const MOST_NAMES: usize = 10;
const LONGEST_NAME: usize = 100;
const LONGEST_TEXT: usize = 300;
/// Songs that landed and that the box has not taken up yet.
const MOST_PUSHED: usize = 1024;

#[cfg(test)]
mod tests;
