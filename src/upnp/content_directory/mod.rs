//! ContentDirectory: the shelf as a tree that control points browse and search (UPnP ContentDirectory:1; reference upnp 3.6
//! and 5). Asks the box as the room; knows no row of the shelf beyond an answer.
//!
//! `tree` is what ids mean, `listing` what lies where, `object` how it is written; `criteria`, `search`, `sort` and `filter`
//! read what is asked; `updates` tells subscribers what changed.

pub mod criteria;
pub mod filter;
mod listing;
mod object;
pub mod search;
pub mod sort;
pub mod table;
pub mod tree;
pub mod updates;

use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio::sync::watch;
use uuid::Uuid;

use crate::error::Kind;
use crate::hifi::{Hifi, Session};
use crate::upnp::content_directory::filter::Wanted;
use crate::upnp::content_directory::listing::{Listing, Part};
use crate::upnp::content_directory::object::{Object, Reader, Thing};
use crate::upnp::content_directory::tree::ObjectId;
use crate::upnp::own::Mark;
use crate::upnp::quirks::{Clients, Device};
use crate::upnp::service::{Arguments, Call, Fault, Handler, Values};
use crate::wire::didl_writer::Writer;

pub use object::form;

/// The service's handler.
pub struct ContentDirectory {
    hifi: Hifi,
    /// The name of the root.
    name: Arc<str>,
    /// Another one when update ids begin anew: the device's UUID.
    token: Arc<str>,
    mark: Mark,
    clients: Arc<Clients>,
    values: watch::Receiver<Values>,
}

impl ContentDirectory {
    /// Returns the handler of a box of this name whose media server has this UDN; `values` come from [`updates::follow`].
    pub fn new(
        hifi: Hifi,
        name: &str,
        udn: Uuid,
        clients: Arc<Clients>,
        values: watch::Receiver<Values>,
    ) -> ContentDirectory {
        ContentDirectory {
            hifi,
            name: name.into(),
            token: udn.to_string().into(),
            mark: Mark::of(udn),
            clients,
            values,
        }
    }

    async fn call(&self, call: Call<'_>) -> Result<Arguments, Fault> {
        let session = self.hifi.of(call.caller.clone());
        let features = |text: &str| Ok(Arguments::new().with("FeatureList", text));
        match call.action.name {
            "GetSearchCapabilities" => Ok(Arguments::new().with("SearchCaps", search::CAPABILITIES)),
            "GetSortCapabilities" => Ok(Arguments::new().with("SortCaps", sort::CAPABILITIES)),
            "GetSortExtensionCapabilities" => Ok(Arguments::new().with("SortExtensionCaps", "+,-")),
            "GetSystemUpdateID" => Ok(Arguments::new().with("Id", update_id(&session))),
            "GetFeatureList" => features(table::FEATURE_LIST),
            "GetServiceResetToken" => Ok(Arguments::new().with("ResetToken", &self.token)),
            "X_GetFeatureList" => features(table::SAMSUNG_FEATURE_LIST),
            // Where a TV stopped is not kept, which it does not notice.
            "X_SetBookmark" => Ok(Arguments::new()),
            "X_GetObjectIDfromIndex" => Ok(Arguments::new().with("ObjectID", "")),
            "X_GetIndexfromRID" => Ok(Arguments::new().with("Index", 0)),
            "Browse" => self.browse(&call, &session).await,
            "Search" => self.search(&call, &session).await,
            _ => Err(Fault::INVALID_ACTION),
        }
    }

    async fn browse(&self, call: &Call<'_>, session: &Session) -> Result<Arguments, Fault> {
        let device = self.device(call);
        let asked = call.given.text("ObjectID").trim();
        let is_metadata = call.given.text("BrowseFlag").trim() == "BrowseMetadata";
        let page = match device.alias(asked) {
            Some("") if is_metadata => Part { objects: vec![empty(asked)], total: 1 },
            Some("") => Part { objects: Vec::new(), total: 0 },
            known => {
                let id: ObjectId = known.unwrap_or(asked).parse().map_err(|()| NO_OBJECT)?;
                match is_metadata {
                    true if call.given.number("StartingIndex") != 0 => return Err(Fault::INVALID_ARGS),
                    true => Part { objects: vec![metadata(&id, session).await?], total: 1 },
                    false => self.children(&id, call, device, session).await?,
                }
            }
        };
        Ok(self.answer(page, call, device, session))
    }

    async fn children(
        &self,
        id: &ObjectId,
        call: &Call<'_>,
        device: &Device,
        session: &Session,
    ) -> Result<Part, Fault> {
        let order = sort::parse(device.sort.unwrap_or(call.given.text("SortCriteria")));
        let listing = Listing::of(id, order, session).await?.ok_or(NO_OBJECT)?;
        let part = part(&listing, call, session).await?;
        // One that is empty, or holds only what every one of its kind does, may not be there at all.
        let is_sure = id.is_root() || part.objects.iter().any(|object| object.is_of_the_shelf());
        if !is_sure {
            metadata(id, session).await?;
        }
        Ok(part)
    }

    async fn search(&self, call: &Call<'_>, session: &Session) -> Result<Arguments, Fault> {
        let device = self.device(call);
        let asked = call.given.text("ContainerID").trim();
        let criteria = criteria::parse(call.given.text("SearchCriteria"));
        let criteria = criteria.map_err(|_| Fault::new(708, "Unsupported or invalid search criteria"))?;
        let order = sort::parse(device.sort.unwrap_or(call.given.text("SortCriteria")));
        let page = match device.alias(asked) {
            Some("") => Part { objects: Vec::new(), total: 0 },
            known => {
                let id: ObjectId = known.unwrap_or(asked).parse().map_err(|()| NO_CONTAINER)?;
                if matches!(id.step(), Some(tree::Step::Track(..))) {
                    return Err(NO_CONTAINER);
                }
                if !id.is_root() {
                    metadata(&id, session)
                        .await
                        .map_err(|fault| if fault == NO_OBJECT { NO_CONTAINER } else { fault })?;
                }
                part(&Listing::found(&id, &criteria, order), call, session).await?
            }
        };
        Ok(self.answer(page, call, device, session))
    }

    fn device(&self, call: &Call<'_>) -> &'static Device {
        self.clients.of(call.headers, call.peer, Instant::now())
    }

    /// Writes an answer; one that would be too large ends early, and its count says so.
    fn answer(&self, page: Part, call: &Call<'_>, device: &'static Device, session: &Session) -> Arguments {
        let wanted = Wanted::parse(call.given.text("Filter"));
        let reader = Reader { device, host: call.host, mark: self.mark, wanted: &wanted, name: &self.name };
        let mut writer = Writer::new(device.letters, page.objects.len());
        let mut count = 0;
        for object in &page.objects {
            if writer.len() > LARGEST {
                break;
            }
            reader.write(object, &mut writer);
            count += 1;
        }
        Arguments::new()
            .with_text("Result", writer.finish())
            .with("NumberReturned", count)
            .with("TotalMatches", page.total)
            .with("UpdateID", update_id(session))
    }
}

impl Handler for ContentDirectory {
    fn act<'a>(&'a self, call: Call<'a>) -> BoxFuture<'a, Result<Arguments, Fault>> {
        Box::pin(self.call(call))
    }

    fn variables(&self) -> watch::Receiver<Values> {
        self.values.clone()
    }
}

/// Every container has the number of the whole, which grows with every change: what an app kept is never taken for newer
/// than it is.
fn update_id(session: &Session) -> u32 {
    session.state().library_rev as u32
}

async fn metadata(id: &ObjectId, session: &Session) -> Result<Object, Fault> {
    listing::object(id, session).await?.ok_or(NO_OBJECT)
}

async fn part(listing: &Listing, call: &Call<'_>, session: &Session) -> Result<Part, Fault> {
    let limit = match call.given.number("RequestedCount") {
        0 => MOST_OBJECTS,
        count => count.min(MOST_OBJECTS),
    };
    let part = listing.part(call.given.number("StartingIndex").into(), limit, session).await;
    part.map_err(|error| match error.kind() {
        Kind::NotFound => NO_OBJECT,
        _ => error.into(),
    })
}

fn empty(asked: &str) -> Object {
    let known = ["V", "I", "2", "3", "15", "16"].into_iter().find(|known| *known == asked);
    Object { id: ObjectId::ROOT, parent: Some(ObjectId::ROOT), thing: Thing::Empty(known.unwrap_or("-")) }
}

const NO_OBJECT: Fault = Fault::new(701, "No such object");
const NO_CONTAINER: Fault = Fault::new(710, "No such container");
/// Objects of one answer (reference upnp 5.4).
const MOST_OBJECTS: u32 = 500;
/// Bytes of one answer after which no object follows.
const LARGEST: usize = 1 << 20;
