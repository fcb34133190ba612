//! One neighbour: its description, a look, a pull. Runs as one task per device, so that none delays another.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::beam::Policy;
use crate::beam::choose::{Short, choose, count};
use crate::beam::content_directory::way::Reader;
use crate::beam::content_directory::{Listing, Mark, Server};
use crate::beam::taking::{Source, Taking, Who};
use crate::error::{Error, Kind, Result};
use crate::http::client::{Allow, Client};
use crate::intake::{Intake, Take};
use crate::lan::Lan;
use crate::lan::heard::Heard;
use crate::offer::{Consent, Count, Neighbour, NeighbourId, NeighbourState, RemoteItem};
use crate::units::UnixTime;

/// What a person asks of a neighbour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Count what is there.
    Look,
    /// Take everything new.
    Pull,
    /// Remember a decision.
    Decide(Consent),
    /// This is the PIN that it asks for.
    Pin(String),
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

impl Tools {
    /// Shows what is going on with a neighbour.
    pub fn show(&self, shown: &mut Neighbour, state: NeighbourState) {
        shown.state = state;
        self.intake.set_neighbour(shown.clone());
    }

    /// Returns what was decided about a neighbour, by a person or by the settings.
    pub async fn consent(&self, id: &NeighbourId) -> Consent {
        match (self.policy, self.intake.consent(id).await) {
            (Policy::Never, _) => Consent::Never,
            (_, Ok(Some(decided))) => decided,
            (Policy::Always, _) => Consent::Always,
            (Policy::Ask, _) => Consent::Ask,
        }
    }

    /// Returns what hears wishes about a neighbour.
    pub fn ear(&self, shown: &Neighbour) -> Ear {
        let never = shown.consent == Consent::Never || self.policy == Policy::Never;
        Ear { intake: self.intake.clone(), id: shown.id.clone(), never }
    }
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
    taking: Taking,
}

#[derive(Debug, Clone, Copy)]
struct Listed {
    mark: Mark,
    at: Instant,
}

/// What a visit does. Ordered: of two wishes the greater one is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Job {
    /// Read its description.
    Greet,
    /// Count.
    Look,
    /// Take what is new, for somebody said so.
    Pull,
    /// Look whether there is something new.
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
        let taking = Taking::new(tools.clone(), stop.clone());
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
            taking,
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
        self.shown.consent = self.tools.consent(&self.shown.id).await;
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
        let (ear, mut heard) = (self.tools.ear(&self.shown), self.heard.clone());
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

    async fn hear(&self, wish: Wish) -> (Result<()>, Heeded) {
        self.tools.ear(&self.shown).hear(wish).await
    }

    /// Follows a decision that was kept.
    fn decided(&mut self, consent: Consent) {
        self.shown.consent = consent;
        self.wanted &= consent != Consent::Never;
        self.again = self.takes().then(|| (Instant::now(), 0));
        self.last = None;
        self.taking.begin_anew();
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
            self.show(NeighbourState::Waiting { code: None, reason: error.to_string() });
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
        self.tools.show(&mut self.shown, state);
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
        if self.taking.is_due() {
            return false;
        }
        let now = Instant::now();
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
        let (client, allow) = (&self.tools.client.clone(), self.allow());
        let source = Source { client, allow, who: Who::Media(self.server.as_ref()) };
        // Only what was taken up to its end is not listed again.
        self.last = self.taking.all(&mut self.shown, new, &source).await?.then_some(listed);
        self.wanted &= self.taking.has_hope();
        self.show(NeighbourState::Pulled(counted));
        Ok(())
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
pub enum Heeded {
    /// Something to do.
    Job(Job),
    /// A decision that was kept.
    Consent(Consent),
    /// It was refused.
    Nothing,
}

/// Hears wishes while the visit is at work.
pub struct Ear {
    intake: Intake,
    id: NeighbourId,
    never: bool,
}

impl Ear {
    /// Returns the answer: whether it is heeded, not whether it is done.
    pub async fn hear(&self, wish: Wish) -> (Result<()>, Heeded) {
        let job = match wish {
            Wish::Decide(consent) => {
                return match self.intake.set_consent(&self.id, consent).await {
                    Ok(()) => (Ok(()), Heeded::Consent(consent)),
                    Err(error) => (Err(error), Heeded::Nothing),
                };
            }
            Wish::Pin(_) => {
                let words = "this device asks for no PIN";
                return (Err(Error::new(Kind::Unsupported, words)), Heeded::Nothing);
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
