//! One subscriber: what it was told, and telling it what changed. Runs as a task of its own, so that one who is slow delays
//! nobody; nothing is queued: what changed meanwhile is told together, each variable once, with its last value.

use std::net::SocketAddrV4;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::debug;
use uuid::Uuid;

use crate::http::client::{Allow, Client, GetOptions};
use crate::http::written::Written;
use crate::upnp::gena::table::Table;
use crate::upnp::service::{Value, Values, at_host};
use crate::wire::gena::{self, Callback};

/// A subscriber.
pub struct Subscriber {
    /// Its subscription.
    pub sid: Uuid,
    /// Where it listens; the first one that can be reached is told.
    pub callbacks: Vec<Callback>,
    /// Our address by which it asked.
    pub host: SocketAddrV4,
    /// What it wants to know.
    pub values: watch::Receiver<Values>,
    /// How it is told.
    pub terms: Terms,
}

/// How subscribers are told.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// The least time between two events (reference upnp 3.5, "moderation").
    pub pace: Duration,
    /// How long one who cannot be reached is let alone, the first time and the second. After the third he is forgotten
    /// (reference upnp 4.2, "failure").
    pub again: [Duration; 2],
}

impl Terms {
    /// The usual ones.
    pub const USUAL: Terms =
        Terms { pace: Duration::from_millis(200), again: [Duration::from_secs(2), Duration::from_secs(10)] };
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
enum Sent {
    /// It arrived, or may have.
    Told,
    /// Nobody could be reached.
    Missed,
    /// The subscriber does not know of the subscription any more.
    Unknown,
}

impl Subscriber {
    /// Tells until the subscription is over.
    pub async fn run(
        mut self,
        written: Option<Written>,
        table: Arc<Mutex<Table>>,
        ended: CancellationToken,
        stop: CancellationToken,
    ) {
        let over = expired(&table, self.sid);
        tokio::select! {
            () = ended.cancelled() => {}
            () = stop.cancelled() => {}
            () = over => {}
            () = self.tell(written) => {}
        }
        table.lock().unwrap_or_else(PoisonError::into_inner).end(self.sid);
    }

    async fn tell(&mut self, written: Option<Written>) {
        // The answer with the SID must be there before the first event.
        if let Some(written) = written {
            let _late = timeout(ANSWERED_WITHIN, written.wait()).await;
        }
        let (mut told, mut sequence, mut missed) = (None, 0, 0);
        loop {
            let now = self.values.borrow_and_update().clone();
            let changed = difference(told.as_ref(), &now);
            if told.is_none() || !changed.is_empty() {
                match self.send(&changed, sequence).await {
                    Sent::Told => {
                        (told, missed) = (Some(now), 0);
                        sequence = gena::next(sequence);
                    }
                    Sent::Missed => {
                        let Some(pause) = self.terms.again.get(missed) else { return };
                        missed += 1;
                        sleep(*pause).await;
                        continue;
                    }
                    Sent::Unknown => return,
                }
                sleep(self.terms.pace).await;
            }
            if self.values.changed().await.is_err() {
                // Nothing will change any more; it is told nothing until its time is over.
                std::future::pending::<()>().await;
            }
        }
    }

    async fn send(&self, changed: &[(&'static str, String)], sequence: u32) -> Sent {
        let body = gena::propertyset(changed);
        let body = at_host(&body, self.host).into_owned();
        for callback in &self.callbacks {
            let allow = Allow::Near { peer: (*callback.to.ip()).into(), networks: Vec::new() };
            let mut options = GetOptions { stall: ANSWERS_WITHIN, ..GetOptions::talk(allow) };
            options.headers = vec![
                ("nt", "upnp:event".into()),
                ("nts", "upnp:propchange".into()),
                ("sid", format!("uuid:{}", self.sid).into()),
                ("seq", sequence.to_string().into()),
            ];
            let url = callback.url();
            match Client::new().notify(&url, body.clone(), &options).await {
                Ok(Some(StatusCode::PRECONDITION_FAILED)) => return Sent::Unknown,
                Ok(_) => return Sent::Told,
                Err(error) => debug!(%error, url, "a subscriber cannot be told"),
            }
        }
        Sent::Missed
    }
}

/// Waits until a subscription is over.
async fn expired(table: &Mutex<Table>, sid: Uuid) {
    loop {
        let lasts = table.lock().unwrap_or_else(PoisonError::into_inner).lasts(sid);
        match lasts {
            Some(at) if at > Instant::now() => sleep_until(at.into()).await,
            _ => return,
        }
    }
}

/// Returns the variables that differ from what was told; all of them when nothing was.
fn difference(told: Option<&Values>, now: &Values) -> Vec<(&'static str, String)> {
    let before = |name: &str| told?.iter().find(|(known, _)| *known == name).map(|(_, value)| value);
    let changed = |(name, value): &(&'static str, Value)| match (value, before(name)) {
        (value, Some(before)) if value == before => None,
        (Value::Text(text), _) => Some((*name, text.clone())),
        (Value::LastChange(all), before) => all.since(before).map(|text| (*name, text)),
        (Value::Pairs(_), None) => Some((*name, String::new())),
        (Value::Pairs(pairs), Some(before)) => {
            let known = |key: &str| match before {
                Value::Pairs(before) => before.get(key).copied(),
                Value::Text(_) | Value::LastChange(_) => None,
            };
            let new = pairs.iter().filter(|(key, number)| known(key) != Some(**number));
            let new: Vec<String> = new.map(|(key, number)| format!("{key},{number}")).collect();
            (!new.is_empty()).then(|| (*name, new.join(",")))
        }
    };
    now.iter().filter_map(changed).collect()
}

/// An event that is not answered within this time counts as told: upnp-mediarenderer-client 1.4.0 answers none, and is not
/// to hear of everything half a minute late.
const ANSWERS_WITHIN: Duration = Duration::from_secs(4);
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn values(id: u32, pairs: &[(&str, u32)]) -> Values {
        let pairs: BTreeMap<Arc<str>, u32> = pairs.iter().map(|(key, n)| ((*key).into(), *n)).collect();
        Arc::new(vec![
            ("SystemUpdateID", Value::of(id)),
            ("ContainerUpdateIDs", Value::Pairs(Arc::new(pairs))),
        ])
    }

    #[test]
    fn what_differs_is_told_with_its_last_value() {
        let check = |before: Option<&Values>, now: &Values, want: &[(&'static str, &str)]| {
            let got = difference(before, now);
            let got: Vec<(&str, &str)> = got.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(got, want);
        };
        let first = values(1, &[("a", 1)]);
        check(None, &first, &[("SystemUpdateID", "1"), ("ContainerUpdateIDs", "")]);
        check(Some(&first), &first, &[]);
        check(Some(&first), &values(2, &[("a", 1)]), &[("SystemUpdateID", "2")]);
        let later = values(2, &[("a", 2), ("b", 2), ("c", 1)]);
        check(Some(&first), &later, &[("SystemUpdateID", "2"), ("ContainerUpdateIDs", "a,2,b,2,c,1")]);
        check(Some(&later), &values(2, &[("b", 3)]), &[("ContainerUpdateIDs", "b,3")]);
        check(Some(&later), &values(2, &[("a", 2)]), &[]);
    }
}
