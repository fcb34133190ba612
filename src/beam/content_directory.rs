//! A media server on a phone or player, through rupnp under time-outs (reference upnp 8.1, polite browsing): one call at a
//! time, small pages, halved when one fails, so that a poisoned thing costs only itself.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use rupnp::{Device, Service};
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::error::{Error, Kind, Result};
use crate::http::client::join;
use crate::wire::didl::{self, Didl, Item};

/// A media server whose description was read.
#[derive(Debug)]
pub struct Server {
    device: Device,
    service: Service,
    searches: Option<bool>,
}

/// What its description says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The device, without `uuid:`.
    pub udn: String,
    /// What it calls itself.
    pub name: String,
    /// Maker and model.
    pub model: String,
}

/// Everything it lists.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// The sound things, URLs resolved.
    pub items: Vec<Item>,
    /// Its SystemUpdateID when it was asked; 0 when it does not say.
    pub update: u32,
    /// Things that could not be read.
    pub lost: u64,
}

impl Server {
    /// Reads the description of a device.
    ///
    /// # Errors
    /// `Unreachable` when it does not answer, `Unsupported` in words for a person when it cannot be used.
    pub async fn load(location: &str) -> Result<(Server, About)> {
        let wrong = || Error::new(Kind::Unsupported, format!("it gives an address that is none: {location}"));
        let uri: http::Uri = location.parse().map_err(|_| wrong())?;
        let late = |_| Error::new(Kind::Unreachable, "it does not send its description");
        let loaded = timeout(DESCRIPTION_WITHIN, Device::from_url(uri)).await.map_err(late)?;
        let device = loaded.map_err(explain)?;
        let about = About {
            udn: device.udn().trim().trim_start_matches("uuid:").to_ascii_lowercase(),
            name: device.friendly_name().to_owned(),
            model: format!("{} {}", device.manufacturer(), device.model_name()).trim().to_owned(),
        };
        let named =
            |service: &&Service| service.service_type().to_string().contains(":service:ContentDirectory:");
        let service = device.services_iter().find(named).cloned();
        let service =
            service.ok_or_else(|| Error::new(Kind::Unsupported, "it offers no list of its music"))?;
        Ok((Server { device, service, searches: None }, about))
    }

    /// Lists every sound thing: by Search where the server can, else folder by folder.
    ///
    /// # Errors
    /// `Unreachable` and `Damaged` when nothing could be read at all.
    pub async fn list(&mut self) -> Result<Listing> {
        let update = self.update_id().await;
        if self.searches.is_none() {
            self.searches = Some(self.can_search().await);
        }
        if self.searches == Some(true) {
            match self.pages(&Ask::Search).await {
                Ok(found) => return Ok(self.listing(found, update)),
                Err(error) if error.kind() == Kind::Unreachable => return Err(error),
                // A server that says it can and cannot is walked through.
                Err(error) => debug!(%error, "the search failed"),
            }
        }
        let found = self.walk().await?;
        Ok(self.listing(found, update))
    }

    /// Returns its SystemUpdateID, 0 when it does not say.
    pub async fn update_id(&self) -> u32 {
        let answer = self.call("GetSystemUpdateID", "").await;
        answer.ok().and_then(|values| values.get("Id")?.trim().parse().ok()).unwrap_or(0)
    }

    /// Returns whether it still answers.
    pub async fn is_there(&self) -> bool {
        !matches!(self.call("GetSystemUpdateID", "").await, Err(error) if error.kind() == Kind::Unreachable)
    }

    async fn can_search(&self) -> bool {
        let answer = self.call("GetSearchCapabilities", "").await;
        let caps = answer.ok().and_then(|values| values.get("SearchCaps").cloned()).unwrap_or_default();
        caps.split(',').any(|cap| matches!(cap.trim(), "upnp:class" | "*"))
    }

    async fn walk(&self) -> Result<Found> {
        let mut all = Found::default();
        let mut seen = HashSet::from(["0".to_owned()]);
        let mut folders = VecDeque::from([("0".to_owned(), 0)]);
        while let Some((id, depth)) = folders.pop_front() {
            let page = match self.pages(&Ask::Browse(id.clone())).await {
                Ok(page) => page,
                // One folder that cannot be read does not hide the others; the root does.
                Err(error) if id == "0" || error.kind() == Kind::Unreachable => return Err(error),
                Err(error) => {
                    debug!(%error, id, "a folder cannot be read");
                    all.lost += 1;
                    continue;
                }
            };
            all.lost += page.lost;
            all.didl.items.extend(page.didl.items);
            for folder in page.didl.containers {
                let pictures = folder.class.contains("photoAlbum") || folder.class.contains("video");
                if depth < DEEPEST && !pictures && seen.insert(folder.id.clone()) {
                    folders.push_back((folder.id, depth + 1));
                }
            }
            if all.didl.items.len() + seen.len() > MOST_THINGS {
                let what = format!("it lists more than {MOST_THINGS} things");
                return Err(Error::new(Kind::Unsupported, what));
            }
        }
        Ok(all)
    }

    /// Reads all pages of one question.
    async fn pages(&self, ask: &Ask) -> Result<Found> {
        let mut all = Found::default();
        let (mut start, mut size) = (0u64, PAGE);
        let mut first_id = None;
        loop {
            sleep(PAUSE).await;
            let page = match self.page(ask, start, size).await {
                Ok(page) => page,
                Err(error) if size > 1 => {
                    debug!(%error, start, size, "a page failed: smaller ones are tried");
                    size /= 2;
                    continue;
                }
                Err(error) if start == 0 && all.lost == 0 && error.kind() == Kind::Unreachable => {
                    return Err(error);
                }
                Err(error) => {
                    // The one thing that breaks the page is left out; a server that breaks on all of them is given up.
                    all.lost += 1;
                    if all.lost > MOST_LOST || (all.didl.items.is_empty() && all.lost > 3) {
                        return Err(error);
                    }
                    start += 1;
                    continue;
                }
            };
            let id = page.didl.items.first().map(|i| i.id.clone());
            let id = id.or_else(|| page.didl.containers.first().map(|c| c.id.clone()));
            if start > 0 && id.is_some() && id == first_id {
                debug!("the server ignores the place where a page starts");
                return Ok(all);
            }
            first_id = first_id.or(id);
            let parsed = (page.didl.items.len() + page.didl.containers.len()) as u64;
            all.didl.items.extend(page.didl.items);
            all.didl.containers.extend(page.didl.containers);
            // Servers count wrongly: what was read counts at least.
            let returned = page.returned.max(parsed);
            start += returned;
            if returned == 0 || (page.total > 0 && start >= page.total) {
                return Ok(all);
            }
            if all.didl.items.len() > MOST_THINGS {
                return Err(Error::new(
                    Kind::Unsupported,
                    format!("it lists more than {MOST_THINGS} things"),
                ));
            }
        }
    }

    async fn page(&self, ask: &Ask, start: u64, size: u32) -> Result<Page> {
        let window = format!(
            "<Filter>{FILTER}</Filter><StartingIndex>{start}</StartingIndex>\
             <RequestedCount>{size}</RequestedCount><SortCriteria></SortCriteria>"
        );
        let (action, head) = match ask {
            Ask::Search => {
                let criteria = "upnp:class derivedfrom \"object.item.audioItem\" and @refID exists false";
                let criteria = quick_xml::escape::escape(criteria);
                ("Search", format!("<ContainerID>0</ContainerID><SearchCriteria>{criteria}</SearchCriteria>"))
            }
            Ask::Browse(id) => {
                let id = quick_xml::escape::escape(id.as_str());
                ("Browse", format!("<ObjectID>{id}</ObjectID><BrowseFlag>BrowseDirectChildren</BrowseFlag>"))
            }
        };
        let values = self.call(action, &format!("{head}{window}")).await?;
        let number = |name: &str| values.get(name).and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0);
        // rupnp leaves an empty Result out.
        let didl = values.get("Result").map_or_else(|| Ok(Didl::default()), |text| didl::parse(text))?;
        Ok(Page { didl, returned: number("NumberReturned"), total: number("TotalMatches") })
    }

    async fn call(&self, action: &str, payload: &str) -> Result<HashMap<String, String>> {
        let late = |_| Error::new(Kind::Unreachable, format!("it does not answer {action}"));
        let answer = timeout(CALL_WITHIN, self.service.action(self.device.url(), action, payload)).await;
        answer.map_err(late)?.map_err(explain)
    }

    fn listing(&self, found: Found, update: u32) -> Listing {
        let base = self.device.url().to_string();
        let mut items = found.didl.items;
        items.retain(|item| item.class.contains("audioItem"));
        for resource in items.iter_mut().flat_map(|item| &mut item.resources) {
            if let Ok(url) = join(&base, &resource.url) {
                resource.url = url;
            }
        }
        Listing { items, update, lost: found.lost }
    }
}

enum Ask {
    Search,
    Browse(String),
}

struct Page {
    didl: Didl,
    returned: u64,
    total: u64,
}

#[derive(Default)]
struct Found {
    didl: Didl,
    lost: u64,
}

/// Says in plain words what rupnp says in its own.
fn explain(error: rupnp::Error) -> Error {
    use rupnp::Error as E;
    match error {
        E::NetworkError(_) | E::NetworkClientError(_) | E::IO(_) => {
            Error::with(Kind::Unreachable, "it cannot be reached", error)
        }
        E::HttpErrorCode(code) => Error::new(Kind::Damaged, format!("it answers with an error ({code})")),
        E::UPnPError(error) => Error::new(Kind::Damaged, format!("it refuses ({})", error.err_code())),
        E::XmlError(_)
        | E::XmlMissingElement(..)
        | E::ParseError(_)
        | E::InvalidUtf8(_)
        | E::InvalidResponse(_) => Error::with(Kind::Damaged, "what it sends cannot be read", error),
        other => Error::with(Kind::Unsupported, "its description cannot be used", other),
    }
}

/// reference upnp 8.1.
const FILTER: &str = "dc:title,dc:creator,dc:date,upnp:class,upnp:artist,upnp:album,upnp:genre,\
upnp:originalTrackNumber,@childCount,@refID,res,res@duration,res@size,res@bitrate,res@sampleFrequency,\
res@bitsPerSample,res@nrAudioChannels,res@protocolInfo";
const DESCRIPTION_WITHIN: Duration = Duration::from_secs(8);
const CALL_WITHIN: Duration = Duration::from_secs(10);
/// Phones have little memory: small pages.
const PAGE: u32 = 50;
/// A phone is a person's phone first.
const PAUSE: Duration = Duration::from_millis(50);
const DEEPEST: usize = 16;
const MOST_THINGS: usize = 200_000;
const MOST_LOST: u64 = 100;
