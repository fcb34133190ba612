//! Buys that a history tells: into the history beside the music first, then into the database.

use rusqlite::Connection;

use crate::error::Result;
use crate::library::ledger::PastLine;
use crate::library::store::{purchases, shown};
use crate::library::{Inner, Library};
use crate::track::past::{HistoryAdded, PastPurchase};
use crate::units::UnixTime;

impl Library {
    /// Keeps buys that a history tells, with their track or without. Each is known again by store and item, else by store and
    /// persistent id ([`PastPurchase::name`]); what is told of it now takes the place of what was told before, but a track
    /// that was found for it stays when now none is named. All of a call are kept, or none.
    ///
    /// # Errors
    /// `Offline` while the first music disk is not there or can only be read, and those of the database.
    ///
    /// # Cancel
    /// A dropped future leaves the work to finish.
    pub async fn add_history(&self, told: Vec<PastPurchase>) -> Result<HistoryAdded> {
        let inner = self.inner.clone();
        self.inner.store.write(move |c| add(&inner, c, told)).await
    }
}

/// Writes what [`Library::add_history`] was given, on the writer's thread.
pub(in crate::library) fn add(
    inner: &Inner,
    connection: &mut Connection,
    told: Vec<PastPurchase>,
) -> Result<HistoryAdded> {
    let disk = &*inner.disk()?.writable()?;
    let transaction = connection.transaction()?;
    let mut added = HistoryAdded::default();
    let (mut lines, now) = (Vec::new(), UnixTime::now().rfc3339());
    for mut past in told {
        let Some(name) = past.name() else {
            added.nameless += 1;
            continue;
        };
        let before = purchases::past(&transaction, &name)?;
        past.track = past.track.or(before.as_ref().and_then(|before| before.track));
        match &before {
            Some(before) if *before == past => {
                added.known += 1;
                continue;
            }
            Some(_) => added.changed += 1,
            None => added.added += 1,
        }
        purchases::put_past(&transaction, &name, &past)?;
        for track in past.track.into_iter().chain(before.and_then(|before| before.track)) {
            shown::refresh(&transaction, track)?;
        }
        lines.push(PastLine::new(past, now.clone()));
    }
    if lines.is_empty() {
        return Ok(added);
    }
    disk.ledger()?.append_all(&lines)?;
    inner.commit(transaction)?;
    Ok(added)
}
