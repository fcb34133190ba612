//! A media server on a phone or player (reference upnp 8.1, polite browsing): one call at a time under a time-out, small
//! pages, halved when one fails, so that a poisoned thing costs only itself.

pub mod way;

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use tokio::time::sleep;
use tracing::debug;

use crate::beam::content_directory::way::{About, CUT_OFF, Reader, Way};
use crate::error::{Error, Kind, Result};
use crate::http::client::{Allow, Client, join};
use crate::wire::didl::{self, Didl, Item};

/// A media server whose description was read.
#[derive(Debug)]
pub struct Server {
    way: Way,
    searches: Option<bool>,
    /// More are never listed.
    most_things: usize,
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
    pub async fn load(client: &Client, location: &str, allow: Allow, by: Reader) -> Result<(Server, About)> {
        let (way, about) = Way::load(client, location, allow, by).await?;
        Ok((Server { way, searches: None, most_things: MOST_THINGS }, about))
    }

    /// Returns by which reader it is asked.
    pub fn reader(&self) -> Reader {
        self.way.reader()
    }

    /// Lists every sound thing: by Search where the server can, else folder by folder.
    ///
    /// # Errors
    /// `Unreachable` and `Damaged` when nothing could be read at all.
    pub async fn list(&mut self) -> Result<Listing> {
        let mark = self.mark().await;
        if self.searches == Some(true) {
            match self.pages(&Ask::Search).await {
                Ok(found) if !found.didl.items.is_empty() => return Ok(self.listing(found, mark)),
                // Some list the word and do not understand the question.
                Ok(_) => debug!("the search finds nothing"),
                Err(error) if error.kind() == Kind::Unreachable && !self.is_there().await => {
                    return Err(error);
                }
                Err(error) if error.kind() == Kind::Unsupported => return Err(error),
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

    async fn update_id(&mut self) -> u32 {
        let answer = self.way.ask("GetSystemUpdateID").await;
        answer.ok().and_then(|values| values.get("Id")?.trim().parse().ok()).unwrap_or(0)
    }

    /// Returns whether it still answers.
    pub async fn is_there(&self) -> bool {
        !matches!(self.way.call("GetSystemUpdateID", &[]).await, Err(error) if error.kind() == Kind::Unreachable)
    }

    /// Returns whether it can search by class; `None` when it does not answer now.
    async fn can_search(&mut self) -> Option<bool> {
        let values = match self.way.ask("GetSearchCapabilities").await {
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
                Err(error) if id == "0" || error.kind() == Kind::Unsupported => return Err(error),
                Err(error) if error.kind() == Kind::Unreachable && !self.is_there().await => {
                    return Err(error);
                }
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
            self.within(all.didl.items.len().max(seen.len()))?;
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
                Err(error) if is_cut_off(&error) || error.kind() == Kind::Unsupported => return Err(error),
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
            let asked = size;
            size = (size * 2).min(PAGE);
            self.within(usize::try_from(page.total).unwrap_or(usize::MAX))?;
            let id = page.didl.items.first().map(|i| i.id.clone());
            let id = id.or_else(|| page.didl.containers.first().map(|c| c.id.clone()));
            let parsed = (page.didl.items.len() + page.didl.containers.len()) as u64;
            if parsed == 0 {
                // Whatever it counts: nothing came, and nothing says that more will.
                all.lost += u64::from(page.returned > 0);
                return Ok(all);
            }
            if start > 0 && id == first_id {
                debug!("the server ignores the place where a page starts");
                return self.at_once(ask, page.total, all).await;
            }
            first_id = first_id.or(id);
            all.didl.items.extend(page.didl.items);
            all.didl.containers.extend(page.didl.containers);
            // Servers count wrongly: what was read counts, and what they say only where that can be.
            let is_told = !page.didl.cut && page.returned > parsed && page.returned <= u64::from(asked);
            start += if is_told { page.returned } else { parsed };
            if page.total > 0 && start >= page.total {
                return Ok(all);
            }
            self.within(all.didl.items.len().max(all.didl.containers.len()))?;
        }
    }

    /// Asks a server that knows no pages for everything at once. What it keeps back even so is lost.
    async fn at_once(&self, ask: &Ask, total: u64, first: Found) -> Result<Found> {
        let here = (first.didl.items.len() + first.didl.containers.len()) as u64;
        let whole = match u32::try_from(total) {
            Ok(size) if total > here => self.page(ask, 0, size).await.ok(),
            _ => None,
        };
        let mut all = first;
        if let Some(whole) =
            whole.filter(|page| page.didl.items.len() + page.didl.containers.len() > here as usize)
        {
            all.didl = whole.didl;
        }
        let got = (all.didl.items.len() + all.didl.containers.len()) as u64;
        all.lost += total.saturating_sub(got);
        Ok(all)
    }

    fn within(&self, things: usize) -> Result<()> {
        let most = self.most_things;
        let what = || {
            Error::new(
                Kind::Unsupported,
                format!("it lists more than {most} things: too many to take at once"),
            )
        };
        if things > most { Err(what()) } else { Ok(()) }
    }

    async fn page(&self, ask: &Ask, start: u64, size: u32) -> Result<Page> {
        let (start, size) = (start.to_string(), size.to_string());
        let window =
            [("Filter", FILTER), ("StartingIndex", &start), ("RequestedCount", &size), ("SortCriteria", "")];
        let (action, head) = match ask {
            Ask::Search => ("Search", [("ContainerID", "0"), ("SearchCriteria", CRITERIA)]),
            Ask::Browse(id) => {
                ("Browse", [("ObjectID", id.as_str()), ("BrowseFlag", "BrowseDirectChildren")])
            }
        };
        let values = self.way.call(action, &[&head[..], &window[..]].concat()).await?;
        let number = |name: &str| values.get(name).and_then(|n| n.trim().parse::<u64>().ok()).unwrap_or(0);
        let returned = number("NumberReturned");
        // Some servers answer an empty folder without a Result.
        let text = values.get("Result").map_or("", String::as_str);
        if text.trim().is_empty() && returned > 0 {
            return Err(Error::new(Kind::Damaged, format!("it says {returned} things and sends none")));
        }
        Ok(Page { didl: didl::parse(text)?, returned, total: number("TotalMatches") })
    }

    fn listing(&self, found: Found, mark: Mark) -> Listing {
        let base = &self.way.base;
        let mut items = found.didl.items;
        items.retain(|item| item.class.contains("audioItem"));
        for item in &mut items {
            item.resources.retain(|resource| !resource.url.trim().is_empty());
        }
        for resource in items.iter_mut().flat_map(|item| &mut item.resources) {
            if let Ok(url) = join(base, &resource.url) {
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

/// reference upnp 8.1.
const FILTER: &str = "dc:title,dc:creator,dc:date,upnp:class,upnp:artist,upnp:album,upnp:genre,\
upnp:originalTrackNumber,@childCount,@refID,res,res@duration,res@size,res@bitrate,res@sampleFrequency,\
res@bitsPerSample,res@nrAudioChannels,res@protocolInfo";
const CRITERIA: &str = "upnp:class derivedfrom \"object.item.audioItem\" and @refID exists false";
/// Phones have little memory: small pages.
const PAGE: u32 = 50;
/// A phone is a person's phone first.
const PAUSE: Duration = Duration::from_millis(50);
const DEEPEST: usize = 16;
/// Servers with more are never offered as a whole (product.md, "Other people's phones"); and a listing of them would not fit
/// into a small box.
const MOST_THINGS: usize = 20_000;
const MOST_LOST: u64 = 100;

#[cfg(test)]
mod tests;
