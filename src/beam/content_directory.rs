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
    /// What told its state just before.
    pub mark: Mark,
    /// Things that could not be read.
    pub lost: u64,
}

/// What tells cheaply whether a listing would change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Its SystemUpdateID; 0 when it does not say.
    pub update: u32,
    /// How many sound things its search finds; `None` when it cannot search.
    pub total: Option<u64>,
    /// It refused to answer.
    pub faulted: bool,
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
        let mark = self.mark().await;
        if self.searches == Some(true) {
            match self.pages(&Ask::Search).await {
                Ok(found) => return Ok(self.listing(found, mark)),
                Err(error) if error.kind() == Kind::Unreachable && !self.is_there().await => {
                    return Err(error);
                }
                // A server that says it can and cannot is walked through.
                Err(error) => debug!(%error, "the search failed"),
            }
        }
        let found = self.walk().await?;
        Ok(self.listing(found, mark))
    }

    /// Returns what tells whether its content changed.
    pub async fn mark(&mut self) -> Mark {
        let update = self.update_id().await;
        let searches = match self.searches {
            Some(searches) => searches,
            None => {
                let can = self.can_search().await;
                self.searches = can;
                can == Some(true)
            }
        };
        if !searches {
            return Mark { update, total: None, faulted: self.searches.is_none() };
        }
        match self.page(&Ask::Search, 0, 1).await {
            Ok(page) => Mark { update, total: Some(page.total), faulted: false },
            Err(_) => Mark { update, total: None, faulted: true },
        }
    }

    async fn update_id(&self) -> u32 {
        let answer = self.call("GetSystemUpdateID", "").await;
        answer.ok().and_then(|values| values.get("Id")?.trim().parse().ok()).unwrap_or(0)
    }

    /// Returns whether it still answers.
    pub async fn is_there(&self) -> bool {
        !matches!(self.call("GetSystemUpdateID", "").await, Err(error) if error.kind() == Kind::Unreachable)
    }

    /// Returns whether it can search by class; `None` when it does not answer now.
    async fn can_search(&self) -> Option<bool> {
        let values = match self.call("GetSearchCapabilities", "").await {
            Ok(values) => values,
            Err(error) if error.kind() == Kind::Unreachable => return None,
            Err(_) => return Some(false),
        };
        // rupnp leaves an empty SearchCaps out.
        let caps = values.get("SearchCaps").map_or("", String::as_str);
        Some(caps.split(',').any(|cap| matches!(cap.trim(), "upnp:class" | "*")))
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
                Err(error) if is_cut_off(&error) => return Err(error),
                Err(error) if size > 1 => {
                    debug!(%error, start, size, "a page failed: smaller ones are tried");
                    // A server that does not answer the small page either has left.
                    size = if error.kind() == Kind::Unreachable { 1 } else { size / 2 };
                    continue;
                }
                Err(error) if error.kind() == Kind::Unreachable && !self.is_there().await => {
                    return Err(error);
                }
                Err(error) => {
                    // The one thing that breaks the page is left out; a server that breaks on all of them is given up.
                    all.lost += 1;
                    if all.lost > MOST_LOST || (all.didl.items.is_empty() && all.lost > 1) {
                        return Err(error);
                    }
                    start += 1;
                    continue;
                }
            };
            size = (size * 2).min(PAGE);
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

    fn listing(&self, found: Found, mark: Mark) -> Listing {
        let base = self.device.url().to_string();
        let mut items = found.didl.items;
        items.retain(|item| item.class.contains("audioItem"));
        for resource in items.iter_mut().flat_map(|item| &mut item.resources) {
            if let Ok(url) = join(&base, &resource.url) {
                resource.url = url;
            }
        }
        Listing { items, mark, lost: found.lost }
    }
}

/// No connection at all: smaller pages do not help.
fn is_cut_off(error: &Error) -> bool {
    error.kind() == Kind::Unreachable && error.what() == CUT_OFF
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
            Error::with(Kind::Unreachable, CUT_OFF, error)
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

const CUT_OFF: &str = "it cannot be reached";
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

#[cfg(test)]
mod tests;
