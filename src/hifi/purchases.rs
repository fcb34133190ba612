//! What was bought, and how a track came here, as each caller may know it: the owner everything, a paired device what it
//! brought itself, the room how a track came but neither its buy nor who brought it (product.md "Who, and what each may do").

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::error::{Error, Kind, Result};
use crate::hifi::Session;
use crate::offer::Right;
use crate::query::Window;
use crate::query::purchases::{By, PurchaseQuery, Purchases};
use crate::track::TrackId;
use crate::track::story::{Buy, Came, Day, Story};
use crate::track::words::store_name;
use crate::units::UnixTime;

impl Session {
    /// Returns buys, with their tracks or without. A member sees what its own device brought, without the buyer.
    ///
    /// # Errors
    /// `NotAllowed` for the room, and below Owner for what tells buyers apart; those of the shelf.
    pub async fn purchases(&self, query: &PurchaseQuery) -> Result<Purchases> {
        let mut query = query.clone();
        if self.caller.right < Right::Owner {
            if query.by == By::Person || query.person.is_some() {
                return Err(Error::new(Kind::NotAllowed, "only the owner may see who bought something"));
            }
            query.brought_by = Some(self.own_names().await?);
        }
        let mut found = self.hifi.library.bought(&query).await?;
        found.items = found.items.iter().map(|bought| bought.seen_by(&self.caller)).collect();
        Ok(found)
    }

    /// Returns the names under which the caller's device brings music.
    ///
    /// # Errors
    /// `NotAllowed` for who has no paired device.
    pub(super) async fn own_names(&self) -> Result<Vec<String>> {
        match self.caller.device {
            Some(device) if self.caller.right >= Right::Member => {
                self.hifi.library.names_of_device(device).await
            }
            _ => Err(Error::new(Kind::NotAllowed, "only paired devices may see purchases")),
        }
    }

    /// Returns how a track came here, in one sentence: `Bought 16 October 2007 at mora, beamed from Yuki's phone on 3 March`.
    /// Days are those of the box's own zone.
    ///
    /// # Errors
    /// Those of the shelf.
    pub async fn story(&self, id: TrackId) -> Result<Option<String>> {
        let owner = self.caller.right >= Right::Owner;
        let mine = if owner { None } else { Some(self.own_names().await.unwrap_or_default()) };
        let first = Some(Window { offset: 0, limit: 1 });
        let query = PurchaseQuery {
            track: Some(id),
            brought_by: mine.clone(),
            window: first,
            ..PurchaseQuery::default()
        };
        let bought = self.hifi.library.bought(&query).await?.items.into_iter().next();
        let history = self.hifi.library.history(id).await?;
        let zone = TimeZone::system();
        let told = |device: &str, name: &str| {
            let may = mine.as_ref().is_none_or(|mine| mine.iter().any(|own| own == device));
            if may { name.to_owned() } else { String::new() }
        };
        let came = history.first.map(|(from, at)| Came {
            device: told(&from.device, &from.device_name),
            way: from.way,
            on: day(at, &zone),
        });
        let unlocked = history.unlocked.map(|unlocked| Came {
            device: told(&unlocked.device, &unlocked.device_name),
            way: unlocked.way,
            on: day(unlocked.at, &zone),
        });
        let bought = bought.map(|bought| Buy {
            store: store_name(&bought.purchase.store).to_owned(),
            at: bought.at,
            proved: bought.purchase.level.is_proof(),
        });
        Ok(Story { bought, came, unlocked }.tell(day(UnixTime::now(), &zone)))
    }
}

/// Returns the day that a time falls on; the first of 1970 for one beyond the calendar.
fn day(time: UnixTime, zone: &TimeZone) -> Day {
    let date = Timestamp::from_second(time.0).unwrap_or_default().to_zoned(zone.clone()).date();
    Day { year: i64::from(date.year()), month: date.month().unsigned_abs(), day: date.day().unsigned_abs() }
}
