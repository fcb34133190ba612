//! What subscribers are told of changes (reference upnp 5.6): SystemUpdateID is the revision of the shelf, and a container's
//! is that of the last change that may have touched it.
//!
//! The shelf does not say which of its rows changed. So every list of the top counts as changed with each revision, and of
//! single containers those that the newest arrivals lie in, and the albums that lost tracks.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::error::Result;
use crate::hifi::{Hifi, Session};
use crate::offer::{Caller, Via};
use crate::query::{GroupId, Item, Query, Sort, What, Window};
use crate::units::UnixTime;
use crate::upnp::content_directory::tree::{List, ObjectId, Step, playable};
use crate::upnp::service::{Value, Values};

/// Returns the evented variables as they are at a revision, without any container.
pub fn initial(revision: u64) -> Values {
    values(revision, BTreeMap::new())
}

/// Follows the shelf until the stop token falls, or the box ends. At most two changes a second: a scan makes thousands.
pub async fn follow(hifi: Hifi, values_in: watch::Sender<Values>, stop: CancellationToken) {
    let session = hifi.of(Caller::room(Via::Upnp));
    let mut states = session.watch();
    let mut known = states.borrow_and_update().library_rev;
    values_in.send_replace(initial(known));
    let mut containers: BTreeMap<Arc<str>, u32> = BTreeMap::new();
    let mut newest = UnixTime::now();
    let mut shown = Shown::default();
    shown.count(&session).await;
    shown.tracks = session.browse(&arrivals(0)).await.map_or(0, |page| page.total);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = states.changed() => if changed.is_err() { return },
        }
        let revision = states.borrow_and_update().library_rev;
        if revision == known {
            continue;
        }
        known = revision;
        match session.browse(&arrivals(ARRIVALS)).await {
            Ok(page) => {
                if page.total < shown.tracks {
                    let changed = shown.count(&session).await;
                    containers.extend(changed.into_iter().map(|id| (album(id), revision as u32)));
                }
                shown.tracks = page.total;
                let last = newest;
                for item in page.items {
                    let Item::Track(track) = item else { continue };
                    if track.added < last {
                        break;
                    }
                    newest = newest.max(track.added);
                    containers.extend(track.album.map(|id| (album(id), revision as u32)));
                }
            }
            Err(error) => debug!(%error, "what came last could not be asked for"),
        }
        while containers.len() > MOST_CONTAINERS {
            let oldest = containers.iter().min_by_key(|(_, at)| **at).map(|(id, _)| id.clone());
            oldest.map(|id| containers.remove(&id));
        }
        values_in.send_replace(values(revision, containers.clone()));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// What came last.
fn arrivals(limit: u32) -> Query {
    let window = Window { offset: 0, limit };
    Query { what: What::Tracks, filter: playable(), sort: Sort::Added, window }
}

fn album(id: GroupId) -> Arc<str> {
    ObjectId::of(Step::Group(What::Albums, id)).to_string().into()
}

/// What was on the shelf when it was last looked through.
#[derive(Default)]
struct Shown {
    tracks: u64,
    /// The tracks of each album.
    albums: HashMap<GroupId, u64>,
}

impl Shown {
    /// Counts anew and returns the albums that have another number of tracks than before, or are gone. What cannot be asked
    /// for is as it was.
    async fn count(&mut self, session: &Session) -> Vec<GroupId> {
        match albums(session).await {
            Ok(now) => {
                let changed = self.albums.iter().filter(|(id, tracks)| now.get(id) != Some(tracks));
                let changed = changed.map(|(id, _)| *id).collect();
                self.albums = now;
                changed
            }
            Err(error) => {
                debug!(%error, "the albums could not be counted");
                Vec::new()
            }
        }
    }
}

/// Returns how many tracks each album has.
async fn albums(session: &Session) -> Result<HashMap<GroupId, u64>> {
    let mut found = HashMap::new();
    loop {
        let window = Window { offset: found.len() as u64, limit: ALBUMS_AT_ONCE };
        let query = Query { what: What::Albums, filter: playable(), sort: Sort::Title, window };
        let page = session.browse(&query).await?;
        let before = found.len();
        found.extend(page.items.into_iter().filter_map(|item| match item {
            Item::Group(group) => Some((group.id, group.tracks)),
            Item::Track(_) => None,
        }));
        // The shelf may change between two pages.
        if found.len() == before || found.len() as u64 >= page.total {
            return Ok(found);
        }
    }
}

fn values(revision: u64, mut containers: BTreeMap<Arc<str>, u32>) -> Values {
    let lists = List::TOP.into_iter().map(|list| list.id());
    containers.extend(["0"].into_iter().chain(lists).map(|id| (id.into(), revision as u32)));
    Arc::new(vec![
        ("SystemUpdateID", Value::of(revision as u32)),
        ("ContainerUpdateIDs", Value::Pairs(Arc::new(containers))),
    ])
}

/// Between two changes that are told (reference upnp 5.6: at most two a second while the folders are looked through).
const PAUSE: Duration = Duration::from_millis(500);
/// Arrivals that are looked at after a change.
const ARRIVALS: u32 = 50;
/// Albums that are counted with one question.
const ALBUMS_AT_ONCE: u32 = 500;
/// Single containers whose last change is kept; the one that changed first is forgotten first.
const MOST_CONTAINERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_of_the_top_has_the_number_of_the_whole() {
        let values = initial((1 << 32) + 7);
        assert_eq!(values[0], ("SystemUpdateID", Value::Text("7".into())));
        let ("ContainerUpdateIDs", Value::Pairs(pairs)) = &values[1] else { panic!("{values:?}") };
        assert_eq!(pairs.len(), List::TOP.len() + 1);
        assert!(pairs.iter().all(|(id, at)| *at == 7 && !id.contains(',') && id.parse::<ObjectId>().is_ok()));
    }
}
