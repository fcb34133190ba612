//! Questions to the people at the box: may this sender? And how long an answer holds, so that nobody is asked the same again
//! and again (product.md, "Other people's phones").

use std::collections::HashMap;
use std::result::Result as Told;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::info;

use crate::error::{Error, Kind, Result};
use crate::intake::door::{InAll, MOST_NAMES, Offered, Refusal, need, shown};
use crate::intake::{Inner, Intake};
use crate::offer::push::{Request, RequestId};
use crate::offer::{Caller, Right};
use crate::units::{ByteCount, UnixTime};

/// A question that waits.
#[derive(Debug)]
pub struct Asking {
    /// What is shown of it.
    pub shown: Request,
    counted: String,
    /// What a yes is for, of a sender that brings files one by one.
    holds: Option<Rest>,
    reply: oneshot::Sender<bool>,
}

/// A question whose sender went, and for a moment may be back with the same one: it keeps its number then, so that a yes that
/// was pressed just now is for it.
#[derive(Debug)]
pub struct Left {
    shown: Request,
    counted: String,
    at: Instant,
}

impl Left {
    fn is(&self, shown: &Request, counted: &str, now: Instant) -> bool {
        let same = |one: &Request| (one.way.clone(), one.files, one.bytes, one.names.clone());
        self.counted == counted
            && same(&self.shown) == same(shown)
            && now.saturating_duration_since(self.at) < BACK_WITHIN
    }
}

/// A request that brings several files, nobody knows how many before they came: a yes is for all of it.
#[derive(Debug, Default)]
pub struct OneRequest(AtomicBool);

/// What was answered lately, by sender. Pure; the clock is an argument.
#[derive(Debug, Default)]
pub struct Answers(HashMap<String, Answer>);

#[derive(Debug, Clone, Copy)]
enum Answer {
    Yes { rest: Rest, until: Instant },
    No { until: Instant, times: u32, words: &'static str },
}

/// What of a yes is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rest {
    files: u64,
    bytes: u64,
    /// How long each file makes it hold, and at most for how long it holds in all.
    each: Duration,
    ends: Option<Instant>,
}

impl Rest {
    /// Returns what a yes is for: what its sender said that it brings, with some room for a file that broke off and comes
    /// again; of one that said nothing a few files.
    fn of(in_all: Option<InAll>) -> Rest {
        match in_all {
            Some(InAll { files, bytes }) => Rest {
                files: files.saturating_add(files / 10 + 2),
                bytes: bytes.0.saturating_add(bytes.0 / 10),
                each: YES_TO_ALL_HOLDS,
                ends: None,
            },
            None => Rest { files: UNTOLD_FILES, bytes: UNTOLD_BYTES, each: YES_HOLDS, ends: None },
        }
    }
}

impl Answers {
    /// Returns what holds for this much of a sender, and takes it off. `None`: somebody must be asked.
    fn holds(&mut self, sender: &str, bytes: ByteCount, now: Instant) -> Option<Told<(), &'static str>> {
        match self.0.get_mut(sender)? {
            Answer::No { until, words, .. } => (*until > now).then_some(Err(*words)),
            Answer::Yes { rest, until } => {
                if *until <= now || rest.files == 0 || rest.bytes < bytes.0 {
                    return None;
                }
                rest.files -= 1;
                rest.bytes -= bytes.0;
                *until = (now + rest.each).min(rest.ends.unwrap_or(now + rest.each));
                Some(Ok(()))
            }
        }
    }

    /// Returns the words of a no that still holds.
    fn no(&self, sender: &str, now: Instant) -> Option<&'static str> {
        match self.0.get(sender)? {
            Answer::No { until, words, .. } => (*until > now).then_some(words),
            Answer::Yes { .. } => None,
        }
    }

    /// Notes a yes; with nothing left of it, only that an earlier no is over.
    fn yes(&mut self, sender: &str, rest: Option<Rest>, now: Instant) {
        self.0.remove(sender);
        if let Some(rest) = rest {
            let rest = Rest { ends: Some(now + LONGEST_YES), ..rest };
            self.keep(sender, Answer::Yes { rest, until: now + rest.each }, now);
        }
    }

    /// Notes a no, or that nobody answered: each one more within the hour holds twice as long.
    fn refused(&mut self, sender: &str, words: &'static str, now: Instant) {
        let times = match self.0.get(sender) {
            Some(Answer::No { until, times, .. }) if now < *until + NO_IS_KEPT => times.saturating_add(1),
            _ => 1,
        };
        let holds = (NO_HOLDS * 2_u32.saturating_pow(times.min(10) - 1)).min(LONGEST_NO);
        self.keep(sender, Answer::No { until: now + holds, times, words }, now);
    }

    fn keep(&mut self, sender: &str, answer: Answer, now: Instant) {
        let ends = |answer: &Answer| match answer {
            Answer::Yes { until, .. } => *until,
            Answer::No { until, .. } => *until + NO_IS_KEPT,
        };
        self.0.retain(|_, answer| ends(answer) > now);
        if self.0.len() >= MOST_ANSWERED && !self.0.contains_key(sender) {
            let first =
                self.0.iter().min_by_key(|(_, answer)| ends(answer)).map(|(sender, _)| sender.clone());
            first.and_then(|first| self.0.remove(&first));
        }
        self.0.insert(sender.to_owned(), answer);
    }
}

impl Intake {
    /// Asks once for all files of a sender that come one by one, also when several come at once.
    pub(super) async fn wait_for_a_yes_to_all(
        &self,
        offered: &Offered,
        in_all: Option<InAll>,
        request: Option<&OneRequest>,
        has_no_pin: bool,
    ) -> Told<(), Refusal> {
        if request.is_some_and(|request| request.0.load(Ordering::Acquire)) {
            return Ok(());
        }
        let (begun, counted) = (Instant::now(), offered.counted());
        loop {
            let now = Instant::now();
            let waits = {
                let mut desk = self.inner.door.desk();
                match desk.answers.holds(&counted, offered.bytes, now) {
                    Some(told) => return told.map_err(|words| Refusal::Declined(words.into())),
                    None => desk.asks.values().any(|asking| asking.counted == counted),
                }
            };
            if !waits {
                self.tell_of_pin(offered, has_no_pin)?;
                // A yes to one request holds for nothing that follows it.
                self.wait_for_a_yes(offered, request.is_none().then_some(in_all)).await?;
                request.iter().for_each(|request| request.0.store(true, Ordering::Release));
                return Ok(());
            }
            if now > begun + ANSWERED_WITHIN {
                return Err(Refusal::Busy("this device is being asked for already".into()));
            }
            tokio::time::sleep(ASKED_AGAIN).await;
        }
    }

    /// Shows the question until somebody answers. `one_of`: what its sender, who brings files one by one, said that it
    /// brings in all; a yes holds for these.
    pub(super) async fn wait_for_a_yes(
        &self,
        offered: &Offered,
        one_of: Option<Option<InAll>>,
    ) -> Told<(), Refusal> {
        let counted = offered.counted();
        let (id, answer) = self.put_question(offered, &counted, one_of)?;
        let _withdrawn = Withdrawn { inner: self.inner.clone(), id };
        self.inner.show_door();
        let answered = tokio::select! {
            () = self.inner.stop.cancelled() => {
                return Err(Refusal::Failed(Error::new(Kind::Stopped, "konpo is stopping")));
            }
            answered = tokio::time::timeout(ANSWERED_WITHIN, answer) => answered,
        };
        match answered {
            Ok(Ok(true)) => {
                // This file is one of those that the yes is for.
                self.inner.door.desk().answers.holds(&counted, offered.bytes, Instant::now());
                Ok(())
            }
            Ok(_) => Err(Refusal::Declined(SAID_NO.into())),
            Err(_) => {
                self.inner.door.desk().answers.refused(&counted, NOBODY_ANSWERED, Instant::now());
                Err(Refusal::Declined(NOBODY_ANSWERED.into()))
            }
        }
    }

    /// Puts a question on the board.
    fn put_question(
        &self,
        offered: &Offered,
        counted: &str,
        one_of: Option<Option<InAll>>,
    ) -> Told<(RequestId, oneshot::Receiver<bool>), Refusal> {
        let (reply, answer) = oneshot::channel();
        let mut desk = self.inner.door.desk();
        if let Some(words) = desk.answers.no(counted, Instant::now()) {
            return Err(Refusal::Declined(words.into()));
        }
        if desk.asks.values().any(|asking| asking.counted == counted) {
            return Err(Refusal::Busy("this device is being asked for already".into()));
        }
        if desk.asks.len() >= MOST_ASKING {
            return Err(Refusal::Busy("too many devices are being asked for".into()));
        }
        let names = offered.wanted.iter().take(MOST_NAMES).map(|&index| shown(&offered.files[index].name));
        // What is said in all cannot be less than what is there.
        let own = (offered.wanted.len() as u64, offered.bytes.0);
        let in_all = one_of.flatten().map_or(own, |all| (all.files.max(own.0), all.bytes.0.max(own.1)));
        let (files, bytes) = (in_all.0, ByteCount(in_all.1));
        let holds = one_of.map(|said| Rest::of(said.map(|_| InAll { files, bytes })));
        let mut shown = Request {
            id: RequestId(0),
            from: shown(&offered.sender.name),
            way: offered.sender.way.to_owned(),
            files,
            bytes,
            names: names.collect(),
            until: UnixTime(UnixTime::now().0 + ANSWERED_WITHIN.as_secs() as i64),
        };
        let now = Instant::now();
        let before = desk.left.iter().position(|left| left.is(&shown, counted, now));
        let id = before.and_then(|at| desk.left.remove(at)).map(|left| left.shown.id);
        let id = id.unwrap_or_else(|| RequestId(desk.number()));
        shown.id = id;
        info!(from = shown.from, files = shown.files, "somebody wants to send: yes or no?");
        desk.asks.insert(id, Asking { shown, counted: counted.to_owned(), holds, reply });
        Ok((id, answer))
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
        match yes {
            true => desk.answers.yes(&asking.counted, asking.holds, Instant::now()),
            false => desk.answers.refused(&asking.counted, SAID_NO, Instant::now()),
        }
        drop(desk);
        info!(from = asking.shown.from, yes, "somebody answered");
        self.inner.show_door();
        // It may be gone since.
        let _gone = asking.reply.send(yes);
        Ok(())
    }
}

/// Takes a question back when its sender is gone.
struct Withdrawn {
    inner: Arc<Inner>,
    id: RequestId,
}

impl Drop for Withdrawn {
    fn drop(&mut self) {
        let mut desk = self.inner.door.desk();
        if let Some(asking) = desk.asks.remove(&self.id) {
            if desk.left.len() >= MOST_ASKING {
                desk.left.pop_front();
            }
            let Asking { shown, counted, .. } = asking;
            desk.left.push_back(Left { shown, counted, at: Instant::now() });
        }
        drop(desk);
        self.inner.show_door();
    }
}

const SAID_NO: &str = "somebody said no";
const NOBODY_ANSWERED: &str = "nobody answered within a minute: try again later";
/// product.md, "Other people's phones".
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);
/// How long a yes holds for the next file of a sender that brings them one by one; each file begins it anew...
const YES_HOLDS: Duration = Duration::from_secs(120);
/// ...of one that said how much it brings, whose next file may wait until a large one is through...
const YES_TO_ALL_HOLDS: Duration = Duration::from_secs(2 * 3600);
/// ...but never longer than this.
const LONGEST_YES: Duration = Duration::from_secs(6 * 3600);
/// What a yes is for of a sender that did not say how much it brings.
const UNTOLD_FILES: u64 = 20;
const UNTOLD_BYTES: u64 = 16 << 30;
/// How long a no holds the first time, and at most.
const NO_HOLDS: Duration = Duration::from_secs(60);
const LONGEST_NO: Duration = Duration::from_secs(3600);
/// How long one is remembered after that.
const NO_IS_KEPT: Duration = Duration::from_secs(3600);
/// How long the question of a sender that went keeps its number.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// Senders whose answer is remembered.
const MOST_ANSWERED: usize = 200;
/// How often one that comes while its sender is asked for looks again.
const ASKED_AGAIN: Duration = Duration::from_millis(200);
/// Questions that wait at once; more senders are told to come later.
pub(super) const MOST_ASKING: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_yes_is_for_what_was_asked_and_no_more() {
        let (start, gb) = (Instant::now(), 1_u64 << 30);
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut answers = Answers::default();
        let said = InAll { files: 3, bytes: ByteCount(3 * gb) };
        answers.yes("a", Some(Rest::of(Some(said))), start);
        let taken =
            |answers: &mut Answers, bytes, at| answers.holds("a", ByteCount(bytes), at) == Some(Ok(()));
        for hour in 0..3 {
            assert!(taken(&mut answers, gb, after(hour * 3600)), "file {hour}");
        }
        assert!(!taken(&mut answers, gb, after(3 * 3600)), "a fourth gigabyte");
        // Small ones that come again, and then no more.
        let more = (0..100).filter(|_| taken(&mut answers, 1, after(3 * 3600))).count();
        assert_eq!(more, 2);
        answers.yes("a", Some(Rest::of(Some(said))), start);
        assert!(
            taken(&mut answers, 1, after(7000)) && !taken(&mut answers, 1, after(7 * 3600)),
            "not for ever"
        );
        // One that says nothing may bring a few, one after the other.
        answers.yes("a", Some(Rest::of(None)), start);
        let count = (0..5000).filter(|n| taken(&mut answers, 1 << 20, after(n * 100))).count() as u64;
        assert_eq!(count, UNTOLD_FILES);
        answers.yes("a", Some(Rest::of(None)), start);
        assert!(!taken(&mut answers, 1, after(121)), "too late");
        answers.yes("a", None, start);
        assert_eq!(answers.holds("a", ByteCount(1), start), None, "it was for what it was for");
    }

    #[test]
    fn a_no_holds_longer_each_time_and_is_forgotten() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut answers = Answers::default();
        let mut at = 0;
        for holds in [60, 120, 240] {
            answers.refused("a", SAID_NO, after(at));
            assert_eq!(answers.no("a", after(at + holds - 1)), Some(SAID_NO));
            assert_eq!(answers.holds("a", ByteCount(1), after(at + holds - 1)), Some(Err(SAID_NO)));
            assert_eq!(answers.no("a", after(at + holds)), None, "{holds} s are over");
            at += holds;
        }
        answers.yes("a", None, after(at));
        answers.refused("a", SAID_NO, after(at));
        assert_eq!(answers.no("a", after(at + 60)), None, "a yes began anew");
        assert_eq!(answers.no("b", after(at)), None, "somebody else");
        (0..100).for_each(|_| answers.refused("a", NOBODY_ANSWERED, after(at)));
        assert_eq!(answers.no("a", after(at + 3599)), Some(NOBODY_ANSWERED));
        assert_eq!(answers.no("a", after(at + 3600)), None, "an hour is the most");
        for n in 0..1000 {
            answers.refused(&format!("s{n}"), SAID_NO, after(at));
        }
        assert_eq!(answers.0.len(), MOST_ANSWERED);
    }
}
