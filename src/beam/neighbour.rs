//! One neighbour: its description, a look, a pull. Runs as one task per device, so that none delays another.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::beam::Policy;
use crate::beam::choose::{Short, choose, count};
use crate::beam::content_directory::way::Reader;
use crate::beam::content_directory::{Listing, Mark, Server};
use crate::beam::fetch::{Fetched, fetch, is_bought};
use crate::error::{Error, Kind, Result};
use crate::http::client::{Allow, Client};
use crate::intake::staging::Part;
use crate::intake::{Intake, Take};
use crate::lan::Lan;
use crate::lan::heard::Heard;
use crate::offer::{Consent, Count, Neighbour, NeighbourId, NeighbourState, RemoteItem};
use crate::units::UnixTime;

/// What a person asks of a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Count what is there.
    Look,
    /// Take everything new.
    Pull,
    /// Remember a decision.
    Decide(Consent),
}

/// A wish and where its answer goes: whether it is under way, not whether it is done.
pub type Wished = (Wish, oneshot::Sender<Result<()>>);

/// What every neighbour's task needs.
#[derive(Clone)]
pub struct Tools {
    /// What happens when a phone appears.
    pub policy: Policy,
    /// What is taken.
    pub take: Take,
    /// The network.
    pub lan: Lan,
    /// The client.
    pub client: Client,
    /// The one door for bytes.
    pub intake: Intake,
}

/// The task of one neighbour.
pub struct Visit {
    tools: Tools,
    heard: watch::Receiver<Heard>,
    stop: CancellationToken,
    shown: Neighbour,
    server: Option<Server>,
    /// By which reader this device is asked: what was found out is remembered.
    reader: Reader,
    /// What the last listing was made of whose things were all taken.
    last: Option<Listed>,
    /// When it is read again, and how often that happened.
    again: Option<(Instant, usize)>,
    /// A person asked for a pull that is not at its end.
    wanted: bool,
    /// Files that did not come, by object id.
    failed: HashMap<String, Failed>,
    /// The last file that came, on its way to the disk. It gets there even when the visit ends.
    finishing: Option<JoinHandle<Result<()>>>,
    /// A file that came could not be made durable: it is to be asked for again.
    unfinished: bool,
}

#[derive(Debug, Clone, Copy)]
struct Listed {
    mark: Mark,
    at: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Failed {
    tries: usize,
    next: Instant,
}

/// What a visit does. Ordered: of two wishes the greater one is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    Greet,
    Look,
    Pull,
    Again,
}

impl Visit {
    /// Returns the task of a device that was heard.
    pub fn new(tools: Tools, heard: watch::Receiver<Heard>, stop: CancellationToken) -> Visit {
        let seen = heard.borrow();
        let shown = Neighbour {
            id: id_of(&seen.udn),
            name: seen.from.ip().to_string(),
            model: seen.server.clone(),
            kind: "media_server".into(),
            address: Some(seen.from),
            consent: Consent::Ask,
            state: NeighbourState::Reading,
            seen: UnixTime::now(),
        };
        drop(seen);
        Visit {
            tools,
            heard,
            stop,
            shown,
            server: None,
            reader: Reader::Rupnp,
            last: None,
            again: None,
            wanted: false,
            failed: HashMap::new(),
            finishing: None,
            unfinished: false,
        }
    }

    /// Runs until the neighbour is gone or konpo stops. What is under way then is in the journal.
    pub async fn run(mut self, mut wishes: mpsc::Receiver<Wished>) {
        let stop = self.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.live(&mut wishes) => {}
        }
    }

    async fn live(&mut self, wishes: &mut mpsc::Receiver<Wished>) {
        self.shown.consent = self.consent().await;
        // A pull that broke off when it left goes on when it is back.
        self.wanted = self.tools.intake.awaits(&self.shown.id).await.unwrap_or(false);
        self.show(NeighbourState::Reading);
        let mut job = Some(Job::Greet);
        loop {
            if let Some(now) = job {
                job = self.turn(now, wishes).await;
                continue;
            }
            let at = self.again.map(|(at, _)| at);
            let wake = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.heard.changed() => match changed {
                    Ok(()) => job = Some(Job::Greet),
                    Err(_) => return,
                },
                Some((wish, reply)) = wishes.recv() => {
                    let (answer, decided) = self.hear(wish).await;
                    // Nobody waits any more when the connection is gone.
                    let _gone = reply.send(answer);
                    match decided {
                        Heeded::Job(next) => job = Some(next),
                        Heeded::Consent(consent) => self.decided(consent),
                        Heeded::Nothing => {}
                    }
                }
                () = wake => job = Some(Job::Again),
            }
        }
    }

    /// Does a job and hears wishes meanwhile. Returns what is to be done next.
    async fn turn(&mut self, job: Job, wishes: &mut mpsc::Receiver<Wished>) -> Option<Job> {
        let (ear, mut heard) = (self.ear(), self.heard.clone());
        let (mut next, mut consent) = (None, None);
        let ended = {
            let work = self.work(job);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    () = &mut work => break Ended::Done,
                    changed = heard.changed() => match changed {
                        Ok(()) => break Ended::Moved,
                        Err(_) => std::future::pending().await,
                    },
                    Some((wish, reply)) = wishes.recv() => {
                        let (answer, heeded) = ear.hear(wish).await;
                        let _gone = reply.send(answer);
                        match heeded {
                            Heeded::Job(other) if job != Job::Pull => next = next.max(Some(other)),
                            Heeded::Job(_) | Heeded::Nothing => {}
                            Heeded::Consent(decided) => {
                                consent = Some(decided);
                                let unasked = matches!(job, Job::Again | Job::Greet);
                                if decided == Consent::Never || (decided == Consent::Ask && unasked) {
                                    break Ended::Cut;
                                }
                            }
                        }
                    }
                }
            }
        };
        if let Some(consent) = consent {
            self.decided(consent);
        }
        match ended {
            Ended::Done => {}
            Ended::Cut => {
                self.again = None;
                self.show(NeighbourState::Ready);
            }
            // It was restarted, or lives at another address now: what is under way leads nowhere.
            Ended::Moved => {
                self.wanted |= job == Job::Pull;
                self.heard.mark_unchanged();
                return Some(Job::Greet);
            }
        }
        next
    }

    async fn work(&mut self, job: Job) {
        let done = match job {
            Job::Greet => self.greet().await,
            Job::Look => self.look().await,
            Job::Pull => self.pull_wanted().await,
            Job::Again => self.read_again().await,
        };
        if let Err(error) = done {
            self.cannot(&error);
        }
    }

    async fn consent(&self) -> Consent {
        match (self.tools.policy, self.tools.intake.consent(&self.shown.id).await) {
            (Policy::Never, _) => Consent::Never,
            (_, Ok(Some(decided))) => decided,
            (Policy::Always, _) => Consent::Always,
            (Policy::Ask, _) => Consent::Ask,
        }
    }

    fn ear(&self) -> Ear {
        let never = self.shown.consent == Consent::Never || self.tools.policy == Policy::Never;
        Ear { intake: self.tools.intake.clone(), id: self.shown.id.clone(), never }
    }

    async fn hear(&self, wish: Wish) -> (Result<()>, Heeded) {
        self.ear().hear(wish).await
    }

    /// Follows a decision that was kept.
    fn decided(&mut self, consent: Consent) {
        self.shown.consent = consent;
        self.wanted &= consent != Consent::Never;
        self.again = self.takes().then(|| (Instant::now(), 0));
        self.last = None;
        self.failed.clear();
        let state = self.shown.state.clone();
        self.show(state);
    }

    /// Whether what is new is taken without another word.
    fn takes(&self) -> bool {
        match self.shown.consent {
            Consent::Always => true,
            Consent::Ask => self.wanted,
            Consent::Never => false,
        }
    }

    /// Reads the description anew, and takes what is new where that is wanted.
    async fn greet(&mut self) -> Result<()> {
        (self.again, self.server, self.last) = (None, None, None);
        self.load().await?;
        self.show(NeighbourState::Ready);
        if self.takes() {
            self.again = Some((Instant::now(), 0));
        }
        Ok(())
    }

    async fn load(&mut self) -> Result<()> {
        if self.server.is_some() {
            return Ok(());
        }
        let heard = self.heard.borrow().clone();
        check_location(&heard, &self.allow())?;
        let loaded = Server::load(&self.tools.client, &heard.location, self.allow(), self.reader).await;
        let (server, about) = loaded?;
        self.tools.lan.answered(&heard.udn);
        if self.shown.name != about.name {
            info!(name = about.name, model = about.model, address = %heard.from.ip(), "a neighbour is here");
        }
        (self.shown.name, self.shown.model, self.shown.address) = (about.name, about.model, Some(heard.from));
        self.shown.seen = UnixTime::now();
        self.reader = server.reader();
        self.server = Some(server);
        Ok(())
    }

    fn cannot(&mut self, error: &Error) {
        self.last = None;
        if matches!(error.kind(), Kind::Full | Kind::Offline) {
            self.show(NeighbourState::Waiting { reason: error.to_string() });
            return self.pause();
        }
        warn!(name = self.shown.name, %error, "a neighbour cannot be used");
        if error.kind() == Kind::Unreachable {
            self.tools.lan.failed(&self.heard.borrow().udn);
            self.server = None;
        }
        self.show(NeighbourState::Unusable { reason: error.to_string() });
        self.pause();
    }

    /// Plans the next reading.
    fn pause(&mut self) {
        let tries = self.again.map_or(0, |(_, tries)| tries);
        let pause = AGAIN.get(tries).copied().unwrap_or(POLL);
        self.again = Some((Instant::now() + pause, tries + 1));
    }

    fn show(&mut self, state: NeighbourState) {
        self.shown.state = state;
        self.tools.intake.set_neighbour(self.shown.clone());
    }

    async fn look(&mut self) -> Result<()> {
        self.load().await?;
        self.show(NeighbourState::Looking);
        let (counted, ..) = self.find().await?;
        self.show(NeighbourState::Looked(counted));
        Ok(())
    }

    /// Reads again while it still grows, later when its content changed.
    async fn read_again(&mut self) -> Result<()> {
        self.load().await?;
        if !self.takes() {
            self.again = None;
            self.show(NeighbourState::Ready);
            return Ok(());
        }
        if !self.is_same().await {
            self.pull().await?;
        }
        if self.takes() {
            self.pause();
        } else {
            self.again = None;
        }
        Ok(())
    }

    /// Whether a listing would say what the last one said, and nothing is to be tried again.
    async fn is_same(&mut self) -> bool {
        let now = Instant::now();
        if self.failed.values().any(|failed| failed.next <= now) {
            return false;
        }
        let (Some(listed), Some(server)) = (self.last, &mut self.server) else { return false };
        let settled = self.again.is_some_and(|(_, tries)| tries > AGAIN.len());
        says_the_same(listed.mark, server.mark().await, settled, now - listed.at)
    }

    /// Lists and chooses; returns the count, what is new, and what tells whether the listing changed.
    async fn find(&mut self) -> Result<(Count, Vec<RemoteItem>, Listed)> {
        let server = self.server.as_mut().ok_or_else(|| Error::new(Kind::Unreachable, "it is gone"))?;
        let Listing { items, mark, lost } = server.list().await?;
        if lost > 0 {
            warn!(name = self.shown.name, lost, "some things cannot be read");
        }
        self.reader = server.reader();
        let listed = Listed { mark, at: Instant::now() };
        let short = if self.tools.policy == Policy::Always { Short::Take } else { Short::Leave };
        let choice = choose(items, short);
        let new = self.tools.intake.is_new(&self.shown.id, choice.take.clone()).await?;
        Ok((count(&choice, &new), new, listed))
    }

    async fn pull_wanted(&mut self) -> Result<()> {
        self.wanted = true;
        self.pull().await?;
        if self.takes() && self.again.is_none() {
            self.pause();
        }
        Ok(())
    }

    async fn pull(&mut self) -> Result<()> {
        self.load().await?;
        if self.shown.model.to_ascii_lowercase().contains("konpo") {
            return Err(Error::new(
                Kind::Unsupported,
                "it is another konpo: its shelf is not taken as a whole",
            ));
        }
        let (counted, new, listed) = self.find().await?;
        self.last = None;
        let total = new.len() as u64;
        for (done, item) in (0..).zip(new) {
            let now = Instant::now();
            if self.failed.get(&item.object_id).is_none_or(|failed| failed.next <= now) {
                self.pull_when_there_is_room(item, done, total).await?;
            }
        }
        self.finished().await?;
        // Only what was taken up to its end is not listed again.
        self.last = (!std::mem::take(&mut self.unfinished)).then_some(listed);
        self.wanted &= self.failed.values().any(|failed| failed.tries < RETRIES.len());
        self.show(NeighbourState::Pulled(counted));
        Ok(())
    }

    /// Takes one file; while our disk is full or away it waits, and goes on by itself.
    async fn pull_when_there_is_room(&mut self, item: RemoteItem, done: u64, total: u64) -> Result<()> {
        let mut pause = ROOM_AGAIN.0;
        loop {
            self.show(NeighbourState::Pulling { done, total });
            match self.pull_one(item.clone()).await {
                Err(error) if matches!(error.kind(), Kind::Full | Kind::Offline) => {
                    if pause == ROOM_AGAIN.0 {
                        info!(name = self.shown.name, %error, "a pull waits");
                    }
                    self.show(NeighbourState::Waiting { reason: error.to_string() });
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(ROOM_AGAIN.1);
                }
                taken => return taken,
            }
        }
    }

    /// Takes one file. That one does not come keeps nobody from the next, unless the neighbour has left.
    async fn pull_one(&mut self, item: RemoteItem) -> Result<()> {
        let (url, id, size) = (item.url.clone(), item.object_id.clone(), item.size);
        debug!(url, "a transfer begins");
        let part = match self.tools.intake.pull_item(&self.shown, item).await {
            Ok(part) => part,
            Err(error) if error.kind() == Kind::Busy => return Ok(()),
            Err(error) => return Err(error),
        };
        let wanted = match (self.tools.take, size) {
            (Take::Purchased, Some(size)) => {
                is_bought(&self.tools.client, &url, &self.allow(), size.0).await.map_err(|e| e.to_string())
            }
            _ => Ok(true),
        };
        let fetched = match wanted {
            Ok(true) => fetch(&self.tools.client, &url, &self.allow(), part, &self.stop).await?,
            Ok(false) => {
                return part.refuse("rule", "it carries no store's mark, and only purchases are taken").await;
            }
            Err(why) => Fetched::Later(why, Some(Box::new(part))),
        };
        let (why, part) = match fetched {
            Fetched::Later(why, part) => (why, part),
            Fetched::Whole(part) => {
                self.failed.remove(&id);
                return self.finish_beside(*part).await;
            }
            Fetched::Refused => {
                self.failed.remove(&id);
                return Ok(());
            }
        };
        if !self.is_alive().await {
            return Err(Error::new(Kind::Unreachable, why));
        }
        let tries = self.failed.get(&id).map_or(0, |failed| failed.tries);
        let pause = RETRIES.get(tries).copied().unwrap_or(RARELY);
        self.failed.insert(id, Failed { tries: tries + 1, next: Instant::now() + pause });
        if let (Some(part), true) = (part, tries >= RETRIES.len()) {
            part.refuse("gone", &why).await?;
        }
        Ok(())
    }

    /// Makes a file durable while the next one comes.
    async fn finish_beside(&mut self, part: Part) -> Result<()> {
        self.finished().await?;
        self.finishing = Some(tokio::spawn(async move {
            let id = part.id();
            part.finish().await.inspect(|()| debug!(id = id.0, "a transfer is whole"))
        }));
        Ok(())
    }

    /// Waits until the last file is durable.
    async fn finished(&mut self) -> Result<()> {
        let Some(finishing) = &mut self.finishing else { return Ok(()) };
        let done = finishing.await;
        self.finishing = None;
        self.unfinished |= !matches!(done, Ok(Ok(())));
        done.map_err(|error| Error::with(Kind::Internal, "finish a transfer", error))?
    }

    /// Whether one file failed or the whole phone left.
    async fn is_alive(&self) -> bool {
        match &self.server {
            Some(server) => server.is_there().await,
            None => false,
        }
    }

    fn allow(&self) -> Allow {
        let networks =
            self.tools.lan.interfaces().borrow().iter().map(|i| (IpAddr::V4(i.address), i.prefix)).collect();
        Allow::Near { peer: self.heard.borrow().from.ip(), networks }
    }
}

/// How a job ended.
enum Ended {
    Done,
    /// A decision ended it.
    Cut,
    /// The neighbour is somewhere else now.
    Moved,
}

/// What a wish leads to.
enum Heeded {
    Job(Job),
    Consent(Consent),
    Nothing,
}

/// Hears wishes while the visit is at work.
struct Ear {
    intake: Intake,
    id: NeighbourId,
    never: bool,
}

impl Ear {
    /// Returns the answer: whether it is heeded, not whether it is done.
    async fn hear(&self, wish: Wish) -> (Result<()>, Heeded) {
        let job = match wish {
            Wish::Decide(consent) => {
                return match self.intake.set_consent(&self.id, consent).await {
                    Ok(()) => (Ok(()), Heeded::Consent(consent)),
                    Err(error) => (Err(error), Heeded::Nothing),
                };
            }
            Wish::Look => Job::Look,
            Wish::Pull => Job::Pull,
        };
        if self.never {
            let words = "this device is to be left alone: decide otherwise first";
            return (Err(Error::new(Kind::NotAllowed, words)), Heeded::Nothing);
        }
        (Ok(()), Heeded::Job(job))
    }
}

/// Decides from two marks whether a listing would say the same again. Many phones say 0 or 1 for ever, and their marks hold
/// for ten minutes only (reference upnp 8.1, cache).
fn says_the_same(then: Mark, now: Mark, settled: bool, age: Duration) -> bool {
    let counts = now.update > 1;
    let fresh = age < KEPT_FOR && (now.total.is_some() || settled);
    then == now && !now.faulted && (counts || fresh)
}

/// Returns the name of a neighbour.
pub fn id_of(udn: &str) -> NeighbourId {
    NeighbourId(Arc::from(format!("udn:{udn}")))
}

/// A description lies on the device itself or at least on our network, at an address and not at a name.
pub fn check_location(heard: &Heard, allow: &Allow) -> Result<()> {
    let uri: Option<http::Uri> = heard.location.parse().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()).and_then(|host| host.parse::<IpAddr>().ok());
    if host.is_some_and(|host| allow.allows(host)) {
        return Ok(());
    }
    let what = format!("it says that its description lies elsewhere: {}", heard.location);
    Err(Error::new(Kind::Unsupported, what))
}

/// A device that has just appeared is read again after these pauses, for it may still be scanning (reference upnp 8.1: at
/// 2, 5, 10 and 20 s).
const AGAIN: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(3), Duration::from_secs(5), Duration::from_secs(10)];
/// Afterwards its SystemUpdateID is asked for this often.
const POLL: Duration = Duration::from_secs(60);
/// A mark that cannot be trusted holds for so long.
const KEPT_FOR: Duration = Duration::from_secs(600);
/// A file that does not come from a phone that is there is tried again after these pauses, then given up with the reason...
const RETRIES: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(600)];
/// ...and asked for this often.
const RARELY: Duration = Duration::from_secs(24 * 3600);
/// While our disk is full or away it is looked at after the first pause, then ever more rarely up to the second.
const ROOM_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read_again_while_it_may_have_changed() {
        let mark = |update, total| Mark { update, total, faulted: false };
        let young = Duration::from_secs(5);
        let same = |then, now| says_the_same(then, now, false, young);
        assert!(same(mark(7, Some(14)), mark(7, Some(14))));
        assert!(!same(mark(7, Some(14)), mark(8, Some(14))), "something changed");
        assert!(!same(mark(7, Some(9)), mark(7, Some(14))), "it still scans");
        assert!(!same(mark(7, None), Mark { faulted: true, ..mark(7, None) }), "calls fault");
        assert!(!same(mark(0, None), mark(0, None)), "it says nothing");
    }

    #[test]
    fn a_phone_that_always_says_zero_is_listed_every_ten_minutes() {
        let silent = Mark { update: 0, total: None, faulted: false };
        let minutes = |n: u64| says_the_same(silent, silent, true, Duration::from_secs(60 * n));
        assert!(minutes(1) && minutes(9) && !minutes(10));
        let counted = Mark { update: 1, total: Some(3), faulted: false };
        assert!(!says_the_same(counted, counted, true, Duration::from_secs(700)));
    }
}
