//! One phone that shares files by a link: asked when a person here says so, fetched into the one door. Runs as one task for
//! each, so that none delays another. Before a yes only what it calls itself is known.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::beam::neighbour::{Heeded, Job, Tools, Wish, Wished};
use crate::beam::share::{KIND, Listed, Refused, Shared, ask};
use crate::beam::taking::{Source, Taking, Who};
use crate::error::{Error, Kind, Result};
use crate::http::client::{Allow, Client};
use crate::offer::{Consent, Neighbour, NeighbourState, RemoteItem};
use crate::units::UnixTime;

/// The task of one such phone.
pub struct Sharing {
    tools: Tools,
    heard: watch::Receiver<Shared>,
    stop: CancellationToken,
    shown: Neighbour,
    taking: Taking,
    /// By which it is asked again without a question there.
    session: Option<String>,
    /// What a person here said that its PIN is.
    pin: Arc<Mutex<Option<String>>>,
    /// A person asked for a pull that is not at its end.
    wanted: bool,
    /// How often in a row it could not be reached.
    away: u32,
    again: Option<Instant>,
    busy: Arc<AtomicBool>,
}

/// How a job ended.
enum Ended {
    Done,
    /// A decision ended it.
    Cut,
    /// The phone is somewhere else now.
    Moved,
}

impl Sharing {
    /// Returns the task of a phone that was heard. `busy` is true while something is under way: then its app says nothing
    /// else.
    pub fn new(
        tools: Tools,
        heard: watch::Receiver<Shared>,
        busy: Arc<AtomicBool>,
        stop: CancellationToken,
    ) -> Sharing {
        let seen = heard.borrow();
        let shown = Neighbour {
            id: seen.id.clone(),
            name: seen.name.clone(),
            model: seen.model.clone(),
            kind: KIND.into(),
            address: Some(seen.near.at()),
            consent: Consent::Ask,
            state: NeighbourState::Ready,
            seen: UnixTime::now(),
        };
        drop(seen);
        let taking = Taking::new(tools.clone(), stop.clone());
        let (session, pin, again) = (None, Arc::default(), None);
        Sharing { tools, heard, stop, shown, taking, session, pin, wanted: false, away: 0, again, busy }
    }

    /// Runs until the phone is gone or konpo stops. What is under way then is in the journal.
    pub async fn run(mut self, mut wishes: mpsc::Receiver<Wished>) {
        let (stop, busy) = (self.stop.clone(), self.busy.clone());
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.live(&mut wishes) => {}
        }
        busy.store(false, Ordering::Relaxed);
    }

    async fn live(&mut self, wishes: &mut mpsc::Receiver<Wished>) {
        self.shown.consent = self.tools.consent(&self.shown.id).await;
        info!(name = self.shown.name, address = ?self.shown.address, "somebody shares files by a link");
        // A pull that broke off when it left goes on when it is back.
        self.wanted = self.tools.intake.awaits(&self.shown.id).await.unwrap_or(false);
        self.show(NeighbourState::Ready);
        let mut job = self.takes().then_some(Job::Pull);
        loop {
            if let Some(now) = job {
                self.busy.store(true, Ordering::Relaxed);
                job = self.turn(now, wishes).await;
                self.busy.store(job.is_some(), Ordering::Relaxed);
                continue;
            }
            let at = self.again;
            let wake = async {
                match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = self.heard.changed() => match changed {
                    Ok(()) => job = self.is_back(),
                    Err(_) => return,
                },
                Some((wish, reply)) = wishes.recv() => {
                    let (answer, heeded) = self.ear().hear(wish).await;
                    // Nobody waits any more when the connection is gone.
                    let _gone = reply.send(answer);
                    match heeded {
                        Heeded::Job(next) => job = Some(next),
                        Heeded::Consent(consent) => job = self.decided(consent),
                        Heeded::Nothing => {}
                    }
                }
                () = wake => {
                    self.again = None;
                    job = self.takes().then_some(Job::Pull);
                }
            }
        }
    }

    /// It was heard: what broke off goes on.
    fn is_back(&mut self) -> Option<Job> {
        let heard = self.heard.borrow_and_update().clone();
        let moved = self.shown.address != Some(heard.near.at());
        (self.shown.name, self.shown.model) = (heard.name, heard.model);
        (self.shown.address, self.shown.seen) = (Some(heard.near.at()), UnixTime::now());
        let was_away = matches!(self.shown.state, NeighbourState::Unusable { .. });
        if !moved && !was_away {
            return None;
        }
        self.session = None;
        self.show(NeighbourState::Ready);
        (self.wanted && self.away < MOST_AWAY).then_some(Job::Pull)
    }

    /// Does a job and hears wishes meanwhile. Returns what is to be done next.
    async fn turn(&mut self, job: Job, wishes: &mut mpsc::Receiver<Wished>) -> Option<Job> {
        let (ear, mut heard, at) = (self.ear(), self.heard.clone(), self.heard.borrow().near.at());
        let (mut next, mut consent) = (None, None);
        let ended = {
            let work = self.work(job);
            tokio::pin!(work);
            loop {
                tokio::select! {
                    () = &mut work => break Ended::Done,
                    changed = heard.changed() => match changed {
                        Ok(()) if heard.borrow_and_update().near.at() != at => break Ended::Moved,
                        Ok(()) => {}
                        Err(_) => std::future::pending().await,
                    },
                    Some((wish, reply)) = wishes.recv() => {
                        let (answer, heeded) = ear.hear(wish).await;
                        let _gone = reply.send(answer);
                        match heeded {
                            // A question that is open there is not asked twice.
                            Heeded::Job(other) if other > job => next = next.max(Some(other)),
                            Heeded::Job(_) | Heeded::Nothing => {}
                            Heeded::Consent(decided) => {
                                consent = Some(decided);
                                if decided != Consent::Always {
                                    break Ended::Cut;
                                }
                            }
                        }
                    }
                }
            }
        };
        if let Some(consent) = consent {
            next = next.max(self.decided(consent));
        }
        match ended {
            Ended::Done => next,
            Ended::Cut => {
                (self.again, self.wanted) = (None, false);
                if let Err(error) = self.tools.intake.give_up(&self.shown.id, "it was stopped here").await {
                    warn!(%error, "what came half of a phone's files is still there");
                }
                self.show(NeighbourState::Ready);
                None
            }
            Ended::Moved => {
                self.wanted |= job == Job::Pull;
                self.is_back().max(next)
            }
        }
    }

    async fn work(&mut self, job: Job) {
        let done = match job {
            Job::Look => self.look().await,
            Job::Greet => Ok(()),
            Job::Pull | Job::Again => self.pull().await,
        };
        match done {
            Ok(()) => self.away = 0,
            Err(refused) => self.cannot(refused),
        }
    }

    async fn look(&mut self) -> Result<(), Refused> {
        let listed = self.list().await?;
        let new = self.new_of(&listed).await.map_err(Refused::Away)?;
        self.show(NeighbourState::Looked(listed.count(&new)));
        Ok(())
    }

    async fn pull(&mut self) -> Result<(), Refused> {
        self.wanted = true;
        let listed = self.list().await?;
        let new = self.new_of(&listed).await.map_err(Refused::Away)?;
        let counted = listed.count(&new);
        let near = self.heard.borrow().near.clone();
        // Its own address and no other, whatever it names.
        let allow = Allow::Near { peer: near.at().ip(), networks: Vec::new() };
        let source = Source { client: &Client::of(near.clone()), allow, who: Who::Share(&near) };
        self.taking.all(&mut self.shown, new, &source).await.map_err(Refused::Away)?;
        self.wanted = self.taking.has_hope();
        self.again = self.taking.next_try().filter(|_| self.wanted);
        self.show(NeighbourState::Pulled(counted));
        Ok(())
    }

    /// Asks what there is; somebody at the phone may have to say yes first.
    async fn list(&mut self) -> Result<Listed, Refused> {
        let (heard, name) = (self.heard.borrow().clone(), self.shown.name.clone());
        let pin = self.pin.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if self.session.is_none() && pin.is_none() {
            let reason = format!("{name} is asked: somebody has to say yes there");
            self.show(NeighbourState::Waiting { code: None, reason });
        } else {
            self.show(NeighbourState::Looking);
        }
        let listed = ask(&heard, self.session.as_deref(), pin.as_deref()).await;
        self.session = listed.as_ref().ok().map(|listed| listed.session.clone());
        listed
    }

    /// Returns what is not here: neither fetched before nor on the shelf by its sum.
    async fn new_of(&self, listed: &Listed) -> Result<Vec<RemoteItem>> {
        let sums = listed.items.iter().map(|(_, sum)| *sum).collect();
        let here = self.tools.intake.tracks_of_sums(sums).await?;
        let items = listed.items.iter().zip(here).filter(|(_, here)| here.is_none());
        self.tools.intake.is_new(&self.shown.id, items.map(|((item, _), _)| item.clone()).collect()).await
    }

    fn cannot(&mut self, refused: Refused) {
        let (code, reason, error) = match refused {
            Refused::Pin(reason) => {
                *self.pin.lock().unwrap_or_else(PoisonError::into_inner) = None;
                (Some("pin".to_owned()), reason, None)
            }
            Refused::Declined(reason) => (None, reason, None),
            Refused::Away(error) => (None, error.to_string(), Some(error.kind())),
        };
        warn!(name = self.shown.name, reason, "what somebody shares cannot be fetched");
        let room = matches!(error, Some(Kind::Full | Kind::Offline));
        match error {
            // It is not asked for again by itself, but heard again by and by.
            Some(_) if !room => {
                self.away += 1;
                self.session = None;
                self.show(NeighbourState::Unusable { reason });
            }
            _ => {
                self.wanted &= room;
                self.again = room.then(|| Instant::now() + ROOM_AGAIN);
                self.show(NeighbourState::Waiting { code, reason });
            }
        }
    }

    fn ear(&self) -> Ear {
        let is_known_again = self.heard.borrow().near.is_private();
        Ear { of_all: self.tools.ear(&self.shown), pin: self.pin.clone(), is_known_again }
    }

    /// Follows a decision that was kept.
    fn decided(&mut self, consent: Consent) -> Option<Job> {
        self.shown.consent = consent;
        self.wanted &= consent != Consent::Never;
        self.taking.begin_anew();
        let state = self.shown.state.clone();
        self.show(state);
        (consent == Consent::Always).then_some(Job::Pull)
    }

    /// Whether what is new is taken without another word.
    fn takes(&self) -> bool {
        match self.shown.consent {
            Consent::Always => true,
            Consent::Ask => self.wanted,
            Consent::Never => false,
        }
    }

    fn show(&mut self, state: NeighbourState) {
        self.tools.show(&mut self.shown, state);
    }
}

/// Hears wishes while the phone is asked.
struct Ear {
    of_all: crate::beam::neighbour::Ear,
    pin: Arc<Mutex<Option<String>>>,
    is_known_again: bool,
}

impl Ear {
    async fn hear(&self, wish: Wish) -> (Result<()>, Heeded) {
        match wish {
            Wish::Pin(pin) if (1..=MOST_PIN).contains(&pin.len()) && !pin.contains(char::is_control) => {
                *self.pin.lock().unwrap_or_else(PoisonError::into_inner) = Some(pin);
                (Ok(()), Heeded::Nothing)
            }
            Wish::Pin(_) => (Err(Error::new(Kind::Invalid, "this is no PIN")), Heeded::Nothing),
            Wish::Decide(Consent::Always) if !self.is_known_again => {
                let words = "it shares without encryption, so the next one of its name may be somebody else: say it each time";
                (Err(Error::new(Kind::NotAllowed, words)), Heeded::Nothing)
            }
            other => self.of_all.hear(other).await,
        }
    }
}

/// So often in a row it is asked anew by itself when it is heard again.
const MOST_AWAY: u32 = 3;
/// While our disk is full or away.
const ROOM_AGAIN: Duration = Duration::from_secs(15);
const MOST_PIN: usize = 64;
