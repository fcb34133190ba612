//! One that goes out (LocalSend README 4; reference beam, a.3 and a.5): the receiver is asked, then gets two files at a time;
//! whoever stops it is told to the other.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::error::{Error, Kind, Result};
use crate::http::near::{Answer, Near, Silent};
use crate::offer::Right;
use crate::offer::out::{Receiver, SendId, SendState, Sending};
use crate::query::export::Wanted;
use crate::send::Tools;
use crate::send::body::body;
use crate::send::parcel::{Item, Parcel};
use crate::send::progress::Progress;
use crate::units::{ByteCount, UnixTime};
use crate::wire::localsend::{self, Accepted, Info, Offered, Question};
use crate::wire::query;

/// What is wished.
pub struct Order {
    /// Its number.
    pub id: SendId,
    /// To whom.
    pub to: Receiver,
    /// What.
    pub wanted: Wanted,
    /// Its sender may read files as one of this right does.
    pub right: Right,
    /// What the receiver wants to be told first.
    pub pin: Option<String>,
}

/// Who may end it, and whether it ended.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// Somebody here.
    pub here: CancellationToken,
    /// Somebody there.
    pub there: CancellationToken,
    /// konpo stops.
    pub konpo: CancellationToken,
    /// It is over; its task may still run for a moment.
    pub over: CancellationToken,
}

/// One transfer.
pub struct Transfer {
    tools: Arc<Tools>,
    order: Order,
    ends: Ends,
    session: Arc<OnceLock<String>>,
    progress: Arc<Progress>,
}

/// Why it did not work: a code and words, as [`SendState::Failed`] has them.
#[derive(Debug)]
struct Failed {
    code: &'static str,
    reason: String,
}

impl Failed {
    fn new(code: &'static str, reason: impl Into<String>) -> Failed {
        Failed { code, reason: reason.into() }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Failed {
        let code = if error.kind() == Kind::NotFound { "nothing" } else { "failed" };
        Failed::new(code, error.to_string())
    }
}

/// What became of one file.
enum Uploaded {
    Safe,
    /// It stays, and why.
    Unsent(String),
    /// The receiver is gone: nothing more goes out.
    Gone(Failed),
}

impl Transfer {
    /// Shows that it begins.
    pub(super) fn new(
        tools: Arc<Tools>,
        order: Order,
        ends: Ends,
        session: Arc<OnceLock<String>>,
    ) -> Transfer {
        let sending = Sending {
            id: order.id,
            to: order.to.id.clone(),
            name: order.to.name.clone(),
            title: String::new(),
            state: SendState::Reading,
            files: 0,
            bytes: ByteCount(0),
            sent: 0,
            skipped: 0,
            sent_bytes: ByteCount(0),
            unsent: Vec::new(),
            unsent_count: 0,
            left: Vec::new(),
            left_count: 0,
            at: UnixTime::now(),
        };
        let progress = Arc::new(Progress::new(tools.intake.clone(), sending));
        Transfer { tools, order, ends, session, progress }
    }

    /// Runs until everything went out or somebody ends it.
    pub async fn run(self) {
        let name = &self.order.to.name;
        let stopping = self.ends.here.child_token();
        let _reading_ends = stopping.clone().drop_guard();
        let (state, patience) = tokio::select! {
            result = self.work(stopping) => match result {
                Ok(state) => (state, TOLD_WITHIN),
                Err(Failed { code, reason }) => (SendState::Failed { code: code.into(), reason }, TOLD_WITHIN),
            },
            () = self.ends.here.cancelled() => (SendState::Stopped, TOLD_WITHIN),
            () = self.ends.there.cancelled() => {
                let reason = format!("somebody stopped it at {name}");
                (SendState::Failed { code: "stopped_there".into(), reason }, TOLD_WITHIN)
            }
            () = self.ends.konpo.cancelled() => (SendState::Stopped, TOLD_AT_STOP),
        };
        let sending = self.progress.tell(|_| {});
        if is_to_be_told(&state, &sending) {
            // Nobody there is told that it does not hear it: its app gives up by itself.
            let _in_time = tokio::time::timeout(patience, self.tell_stop()).await;
        }
        let (id, files, sent, skipped) = (sending.id.0, sending.files, sending.sent, sending.skipped);
        info!(id, to = name.escape_debug().to_string(), ?state, files, sent, skipped, "music went out");
        // Before it is shown: whoever sees it may begin the next.
        self.ends.over.cancel();
        self.progress.tell(|sending| sending.state = state);
    }

    async fn work(&self, stopping: CancellationToken) -> Result<SendState, Failed> {
        let near = self.near()?;
        let parcel = self.parcel().await?;
        let (summed, stop) = (parcel.clone(), stopping);
        let sums = tokio::task::spawn_blocking(move || summed.sums(&stop)).await;
        let sums = sums.map_err(|error| Error::with(Kind::Internal, "look at what goes out", error))?;
        self.progress.tell(|sending| sending.state = SendState::Waiting);
        let Some(accepted) = self.ask(&near, &parcel, sums).await? else {
            self.progress.tell(|sending| sending.skipped = sending.files);
            return Ok(SendState::Sent);
        };
        // Set once: there is one answer.
        let _first = self.session.set(accepted.session_id.clone());
        let wanted: Vec<&Item> =
            parcel.items.iter().filter(|item| accepted.files.contains_key(&item.id)).collect();
        let skipped = (parcel.items.len() - wanted.len()) as u64;
        let left_bytes: u64 = wanted.iter().map(|item| item.size).sum();
        self.progress.tell(|sending| {
            (sending.state, sending.skipped) = (SendState::Sending, skipped);
            sending.bytes = ByteCount(left_bytes);
        });
        self.upload_all(&near, &parcel, &wanted, &accepted).await
    }

    /// Two at a time, as the app does.
    async fn upload_all(
        &self,
        near: &Near,
        parcel: &Arc<Parcel>,
        wanted: &[&Item],
        accepted: &Accepted,
    ) -> Result<SendState, Failed> {
        let next = AtomicUsize::new(0);
        let line = async || {
            while let Some(&item) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                match self.upload(near, parcel, item, accepted).await {
                    Uploaded::Safe => drop(self.progress.tell(|sending| sending.sent += 1)),
                    Uploaded::Unsent(reason) => self.progress.unsent(&item.name, reason),
                    Uploaded::Gone(failed) => return Err(failed),
                }
            }
            Ok(())
        };
        tokio::try_join!(line(), line())?;
        let sending = self.progress.tell(|_| {});
        let Some(first) = sending.unsent.first() else { return Ok(SendState::Sent) };
        let reason =
            format!("{} of {} went out. {}: {}", sending.sent, wanted.len(), first.name, first.reason);
        Err(Failed::new(if sending.sent == 0 { "failed" } else { "part" }, reason))
    }

    /// Returns how the receiver is talked to, when it may be.
    fn near(&self) -> Result<Near, Failed> {
        let Order { to, pin, .. } = &self.order;
        if !self.tools.networks.reach(to.address) {
            return Err(Failed::new("not_near", format!("{} is not on our network any more", to.name)));
        }
        if pin.is_some() && to.certificate.is_none() {
            let why = "its PIN could be read by everybody on the network: switch encryption on in its LocalSend settings";
            return Err(Failed::new("pin", why));
        }
        Ok(Near::new(&self.tools.config.own, to.address, to.certificate.as_deref())?)
    }

    async fn parcel(&self) -> Result<Arc<Parcel>, Failed> {
        let (library, Order { wanted, right, .. }) = (self.tools.library.clone(), &self.order);
        let parcel = Parcel::plan(library, wanted.clone(), *right).await?;
        let (left, left_count) = parcel.left();
        let bytes = parcel.items.iter().map(|item| item.size).sum();
        self.progress.tell(|sending| {
            sending.title = parcel.title().to_owned();
            (sending.files, sending.bytes) = (parcel.items.len() as u64, ByteCount(bytes));
            (sending.left, sending.left_count) = (left.to_vec(), left_count);
        });
        if parcel.items.is_empty() {
            let why = left.first().cloned().unwrap_or_else(|| "nothing of it is here".into());
            return Err(Failed::new("nothing", why));
        }
        Ok(Arc::new(parcel))
    }

    /// Asks the receiver, and waits while somebody decides there. `None`: it wants nothing of it.
    async fn ask(
        &self,
        near: &Near,
        parcel: &Parcel,
        sums: Vec<Option<String>>,
    ) -> Result<Option<Accepted>, Failed> {
        let config = &self.tools.config;
        let alias = config.alias.borrow().clone();
        let info = Info::ours(alias, config.own.fingerprint()).at(config.port);
        let question = Question { info, files: parcel.items.iter().zip(sums).map(offered).collect() };
        let json = serde_json::to_vec(&question);
        let json = json.map_err(|error| Error::with(Kind::Internal, "write what we want to send", error))?;
        let pin =
            self.order.pin.as_deref().map(|pin| format!("?pin={}", query::value(pin))).unwrap_or_default();
        let path = format!("/api/localsend/v2/prepare-upload{pin}");
        let name = &self.order.to.name;
        let answered =
            tokio::time::timeout(ANSWERED_WITHIN, near.post_json(&path, json, LARGEST_ANSWER)).await;
        let answered = answered.map_err(|_| Failed::new("declined", format!("nobody said yes at {name}")))?;
        let answer = answered.map_err(|silent| self.silent(silent))?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(None),
            StatusCode::OK => match localsend::accepted(&answer.body) {
                Ok(accepted) if accepted.files.is_empty() => Ok(None),
                Ok(accepted) => Ok(Some(accepted)),
                Err(error) => Err(Failed::new("failed", format!("{name}: {error}"))),
            },
            _ => Err(self.refused(&answer)),
        }
    }

    /// The one table from refusals of LocalSend to words.
    fn refused(&self, answer: &Answer) -> Failed {
        let Order { to: Receiver { name, .. }, pin, .. } = &self.order;
        match answer.status.as_u16() {
            401 if pin.is_some() => Failed::new("pin", format!("this is not the PIN of {name}")),
            401 => Failed::new(
                "pin",
                format!("{name} asks for a PIN: it stands in the settings of its LocalSend app"),
            ),
            403 => Failed::new("declined", format!("{name} said no")),
            409 => Failed::new(
                "busy",
                format!("{name} is busy with another transfer: try again when it is done"),
            ),
            429 => Failed::new(
                "locked_out",
                format!("{name} was told too many wrong PINs: try again in a minute"),
            ),
            status => {
                let said = localsend::refusal(&answer.body);
                let said = said.unwrap_or_else(|| format!("its app answers {status}"));
                Failed::new("failed", format!("{name}: {said}"))
            }
        }
    }

    fn silent(&self, silent: Silent) -> Failed {
        let name = &self.order.to.name;
        match silent {
            Silent::NotItself => Failed::new(
                "not_itself",
                format!(
                    "{name} has another certificate than the one it announced, so it may be somebody else: nothing was sent"
                ),
            ),
            Silent::Away(error) => {
                info!(%error, "a receiver is away");
                Failed::new("away", format!("{name} does not answer: is its LocalSend app open?"))
            }
        }
    }

    /// Sends one file; other bytes than ours arrive at most three times.
    async fn upload(&self, near: &Near, parcel: &Arc<Parcel>, item: &Item, accepted: &Accepted) -> Uploaded {
        let token = accepted.files.get(&item.id).map_or("", String::as_str);
        let path = format!(
            "/api/localsend/v2/upload?sessionId={}&fileId={}&token={}",
            query::value(&accepted.session_id),
            item.id,
            query::value(token)
        );
        for _ in 0..MOST_TRIES {
            let (body, counted) = body(parcel.clone(), item.clone(), self.progress.clone());
            let answered = tokio::select! {
                answered = near.post(&path, item.mime, body, LARGEST_ANSWER) => answered,
                () = counted.stalled(STALLED_FOR) => {
                    let what = format!("nothing went out for {} seconds", STALLED_FOR.as_secs());
                    Err(Silent::Away(Error::new(Kind::Unreachable, what)))
                }
            };
            let answer = match (answered, counted.broken()) {
                (Ok(answer), _) => answer,
                (Err(_), Some(why)) => {
                    self.progress.again(counted.bytes());
                    return Uploaded::Unsent(why);
                }
                (Err(silent), None) => return Uploaded::Gone(self.gone(silent)),
            };
            if answer.status.is_success() {
                return Uploaded::Safe;
            }
            self.progress.again(counted.bytes());
            if answer.status != StatusCode::UNPROCESSABLE_ENTITY {
                return Uploaded::Unsent(unsent(&answer));
            }
        }
        Uploaded::Unsent("three times other bytes came there than were sent".into())
    }

    fn gone(&self, silent: Silent) -> Failed {
        let Failed { code, reason } = self.silent(silent);
        if code != "away" {
            return Failed { code, reason };
        }
        let (sending, name) = (self.progress.tell(|_| {}), &self.order.to.name);
        Failed::new(
            code,
            format!("{name} broke off: {} of {} went out", sending.sent, sending.files - sending.skipped),
        )
    }

    /// Tells the receiver that nothing more comes. Before it answered, it knows no session (2.2).
    async fn tell_stop(&self) {
        let Ok(near) = self.near() else { return };
        let session =
            self.session.get().map(|id| format!("?sessionId={}", query::value(id))).unwrap_or_default();
        let path = format!("/api/localsend/v2/cancel{session}");
        if let Err(silent) = near.post_json(&path, Vec::new(), LARGEST_ANSWER).await {
            info!(error = %Error::from(silent), "a receiver could not be told that nothing more comes");
        }
    }
}

/// Returns a file as the receiver is asked for it.
fn offered((item, sha256): (&Item, Option<String>)) -> (String, Offered<'_>) {
    let Item { id, name, size, mime, .. } = item;
    (id.clone(), Offered { id, file_name: name, size: *size, file_type: mime, sha256 })
}

/// Whether the receiver still waits for something of us.
fn is_to_be_told(state: &SendState, sending: &Sending) -> bool {
    let asked = !matches!(sending.state, SendState::Reading);
    match state {
        SendState::Stopped => asked,
        // What it was promised and does not get.
        SendState::Failed { code, .. } => code == "part" || code == "failed" && sending.unsent_count > 0,
        _ => false,
    }
}

/// Words for a file that was not taken (reference beam, a.3).
fn unsent(answer: &Answer) -> String {
    let said = localsend::refusal(&answer.body);
    said.unwrap_or_else(|| match answer.status.as_u16() {
        403 | 404 | 409 => "it is not expected there any more".into(),
        500 => "it could not be written there: perhaps the disk is full".into(),
        status => format!("its app answers {status}"),
    })
}

/// A file whose sum is wrong there is sent so often in all (1.18: reference beam, a.3).
const MOST_TRIES: u32 = 3;
/// Somebody has to take the phone out of a pocket. The app itself waits for ever.
const ANSWERED_WITHIN: Duration = Duration::from_secs(600);
/// Phones that sleep come back, or do not.
const STALLED_FOR: Duration = Duration::from_secs(60);
const TOLD_WITHIN: Duration = Duration::from_secs(3);
/// konpo ends within 2 s.
const TOLD_AT_STOP: Duration = Duration::from_millis(400);
/// 5,000 tokens.
const LARGEST_ANSWER: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_file_was_not_taken_is_told_in_words() {
        let words = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).expect("a status");
            unsent(&Answer { status, body: body.into() })
        };
        assert_eq!(words(500, r#"{"message":"No space left"}"#), "No space left");
        assert_eq!(words(500, ""), "it could not be written there: perhaps the disk is full");
        assert_eq!(words(403, "<html>"), "it is not expected there any more");
        assert_eq!(words(418, "{}"), "its app answers 418");
    }
}
