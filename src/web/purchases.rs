//! `GET /api/purchases`: what was bought, with its track or without, and what can be done about locks.

use axum::Extension;
use axum::extract::{Query as Params, State};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use crate::offer::Caller;
use crate::query::Window;
use crate::query::purchases::{Bought, By, Order, PurchaseGroup, PurchaseQuery, Purchases, SameBy, Unlocked};
use crate::track::Purchase;
use crate::track::words::{store_name, way_name};
use crate::web::Web;
use crate::web::answer::{Answer, ok};
use crate::web::json::{ProtectionJson, TrackJson};

/// What may be asked: `by`, `sort`, `store`, `device`, `person`, `year`, `locked`, `offset`, `limit`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PurchaseParams {
    by: By,
    sort: Order,
    store: Option<String>,
    device: Option<String>,
    person: Option<String>,
    year: Option<u16>,
    locked: Option<bool>,
    offset: u64,
    limit: Option<u32>,
}

impl PurchaseParams {
    fn query(self) -> Result<PurchaseQuery, Error> {
        let limit = self.limit.unwrap_or(Window::FIRST.limit);
        if !(1..=Window::MOST).contains(&limit) {
            let what = format!("limit is {limit}, must be 1 to {}", Window::MOST);
            return Err(Error::new(Kind::Invalid, what));
        }
        Ok(PurchaseQuery {
            by: self.by,
            order: self.sort,
            store: self.store,
            device: self.device,
            person: self.person,
            year: self.year,
            locked: self.locked,
            window: Some(Window { offset: self.offset, limit }),
            ..PurchaseQuery::default()
        })
    }
}

/// The list: how many in all, how many in each group, and those of this page.
#[derive(Debug, Serialize)]
pub struct PurchasesJson {
    total: u64,
    groups: Vec<GroupJson>,
    items: Vec<BoughtJson>,
}

/// The buys of one year, store, device or person.
#[derive(Debug, Serialize)]
struct GroupJson {
    /// What the filter of the same name takes.
    key: String,
    name: String,
    total: u64,
}

/// One buy.
#[derive(Debug, Serialize)]
struct BoughtJson {
    /// The track's number; `null` when its file is not here.
    id: Option<i64>,
    title: Option<String>,
    artist: Option<String>,
    album: Option<String>,
    duration_ms: u64,
    store_name: String,
    /// When, as it is sorted; `bought_at` is as the store wrote it.
    at: Option<String>,
    way: String,
    device: String,
    /// The device's name, or the way it came without one.
    brought_by: String,
    locked: bool,
    /// How a locked file of it is locked, and what to do about it.
    protection: Option<ProtectionJson>,
    unlocked: Option<UnlockedJson>,
    /// `null` when its file is not here.
    track: Option<TrackJson>,
    #[serde(flatten)]
    purchase: Purchase,
}

/// How a locked song became playable.
#[derive(Debug, Serialize)]
struct UnlockedJson {
    at: String,
    by: SameBy,
    way: String,
    device_name: String,
}

impl From<Purchases> for PurchasesJson {
    fn from(found: Purchases) -> PurchasesJson {
        let group = |PurchaseGroup { key, name, total }| GroupJson { key, name, total };
        PurchasesJson {
            total: found.total,
            groups: found.groups.into_iter().map(group).collect(),
            items: found.items.into_iter().map(BoughtJson::from).collect(),
        }
    }
}

impl From<Bought> for BoughtJson {
    fn from(bought: Bought) -> BoughtJson {
        let brought_by = match bought.device_name.as_str() {
            "" if bought.device.is_empty() => way_name(&bought.way).to_owned(),
            "" => bought.device.clone(),
            name => name.to_owned(),
        };
        let unlocked = |unlocked: Unlocked| UnlockedJson {
            at: unlocked.at.rfc3339(),
            by: unlocked.by,
            way: unlocked.way,
            device_name: unlocked.device_name,
        };
        BoughtJson {
            id: bought.track.as_ref().map(|track| track.id.0),
            title: bought.title,
            artist: bought.artist,
            album: bought.album,
            duration_ms: bought.duration.0,
            store_name: store_name(&bought.purchase.store).to_owned(),
            at: bought.at,
            way: bought.way,
            device: bought.device,
            brought_by,
            locked: bought.locked,
            protection: bought.lock.as_ref().and_then(ProtectionJson::of),
            unlocked: bought.unlocked.map(unlocked),
            track: bought.track.as_deref().map(TrackJson::of),
            purchase: bought.purchase,
        }
    }
}

/// `GET /api/purchases`.
pub async fn purchases(
    State(web): State<Web>,
    Extension(caller): Extension<Caller>,
    given: Result<Params<PurchaseParams>, axum::extract::rejection::QueryRejection>,
) -> Answer<PurchasesJson> {
    let Params(params) = given.map_err(|error| Error::new(Kind::Invalid, error.body_text()))?;
    ok(web.hifi.of(caller).purchases(&params.query()?).await?.into())
}
