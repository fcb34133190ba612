//! What a face asks of the buys, and what it is told: "my purchases".

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::offer::{Caller, Right};
use crate::query::Window;
use crate::track::words::{store_name, way_name};
use crate::track::{Protection, Purchase, Track, TrackId};
use crate::units::{Millis, UnixTime};

/// What the list is grouped by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The year.
    #[default]
    Date,
    /// The store.
    Store,
    /// The device that brought it.
    Device,
    /// The buyer; the owner only.
    Person,
}

/// The order, within the groups when these are not years.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Newest buy first; without a date last.
    #[default]
    Newest,
    /// Oldest buy first; without a date last.
    Oldest,
    /// Album artist, album, disc, track.
    Album,
}

/// A question about the buys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct PurchaseQuery {
    /// What the list is grouped by.
    pub by: By,
    /// The order.
    pub order: Order,
    /// Only this store, as [`Purchase::store`] names it.
    pub store: Option<String>,
    /// Only what this device brought, by its id or its name; without a device: by the way it came, as `inbox` or `found`.
    pub device: Option<String>,
    /// Only this buyer, by its account, letter case aside; empty: where no buyer is known.
    pub person: Option<String>,
    /// Only this year.
    pub year: Option<u16>,
    /// Only those of this track.
    pub track: Option<TrackId>,
    /// Only what is locked still, or only what is not.
    pub locked: Option<bool>,
    /// Only what these devices brought; `None`: everybody's.
    pub brought_by: Option<Vec<String>>,
    /// Which part of the answer; `None`: all of it.
    pub window: Option<Window>,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Purchases {
    /// How many there are in all, exactly.
    pub total: u64,
    /// How many there are of each year, store, device or person, in the order of the list.
    pub groups: Vec<PurchaseGroup>,
    /// Those of the window, in order.
    pub items: Vec<Bought>,
}

/// The buys of one year, store, device or person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurchaseGroup {
    /// What the filter of the same name takes; empty: not known.
    pub key: String,
    /// Its name for a person; a buyer's is its account.
    pub name: String,
    /// How many there are, exactly.
    pub total: u64,
}

impl PurchaseGroup {
    /// Returns the group of a first buy; `device_name` is what the device calls itself that brought it.
    pub fn of(by: By, key: String, device_name: String) -> PurchaseGroup {
        let name = match by {
            By::Store => store_name(&key).to_owned(),
            By::Device if device_name.is_empty() => way_name(&key).to_owned(),
            By::Device => device_name,
            By::Date | By::Person => key.clone(),
        };
        PurchaseGroup { key, name, total: 1 }
    }
}

/// One buy. The same buy told by several files of a track is one.
#[derive(Debug, Clone, PartialEq)]
pub struct Bought {
    /// What the strongest proof tells, with all its evidence.
    pub purchase: Purchase,
    /// When, for sorting: `YYYY[-MM[-DD[ HH:MM:SS]]]`.
    pub at: Option<String>,
    /// Its track; `None` when its file was never here, or was deleted.
    pub track: Option<Arc<Track>>,
    /// The title, artist and album, also without a track.
    pub title: Option<String>,
    /// As the tags or the history have it.
    pub artist: Option<String>,
    /// As the tags or the history have it.
    pub album: Option<String>,
    /// How long it sounds; zero unknown.
    pub duration: Millis,
    /// What brought it: `upnp`, `inbox`, `found`, `itunes`, …
    pub way: String,
    /// The device that brought it; empty for none.
    pub device: String,
    /// What that called itself.
    pub device_name: String,
    /// How a locked file of it is locked, also when a free one lies beside it; `None` when none is.
    pub lock: Option<Protection>,
    /// Nothing of it can be played because it is locked.
    pub locked: bool,
    /// What unlocked it.
    pub unlocked: Option<Unlocked>,
}

/// How a locked song became playable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlocked {
    /// When the two files came together.
    pub at: UnixTime,
    /// What tells that they are one song.
    pub by: SameBy,
    /// What brought the later of the two: `upnp`, `inbox`, `found`, …
    pub way: String,
    /// The device that brought it; empty for none.
    pub device: String,
    /// What the device that brought it called itself; empty for none.
    pub device_name: String,
}

/// What tells that two files are one song.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SameBy {
    /// The same item of the same store.
    Item,
    /// The same recording code.
    Isrc,
    /// Artist, title and length.
    Words,
}

impl Bought {
    /// Returns the same as this caller may see it: below Owner nothing that names a buyer.
    pub fn seen_by(&self, caller: &Caller) -> Bought {
        let mut seen = self.clone();
        if caller.right < Right::Owner {
            seen.purchase = seen.purchase.without_personal();
            seen.lock = seen.lock.map(|lock| lock.without_personal());
            if let Some(track) = &mut seen.track {
                // Other buys of it may be somebody else's.
                let track = Arc::make_mut(track);
                track.purchases.clear();
                for copy in &mut track.copies {
                    copy.protection = copy.protection.without_personal();
                    copy.personal.clear();
                }
            }
        }
        seen
    }
}
