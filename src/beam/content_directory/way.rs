//! How one media server is asked. rupnp reads its description and asks it small things; a device that rupnp cannot load or
//! read is asked by our own reader (reference upnp 8.2), for as long as it is known. Listings always are: rupnp puts no
//! limit on what it reads, and a server may send its whole content as one page.

use std::collections::HashMap;
use std::time::Duration;

use rupnp::{Device, Service};
use tokio::time::timeout;
use tracing::debug;

use crate::error::{Error, Kind, Result};
use crate::http::client::{Allow, Client, GetOptions, join};
use crate::wire::description::{self, Description};
use crate::wire::soap::{self, Reply};

/// What its description says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The device, without `uuid:`, lower case.
    pub udn: String,
    /// What it calls itself.
    pub name: String,
    /// Maker and model.
    pub model: String,
}

/// By which reader a device is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// rupnp first.
    Rupnp,
    /// rupnp could not: our own.
    Own,
}

/// The way to the ContentDirectory of one device.
#[derive(Debug)]
pub struct Way {
    client: Client,
    allow: Allow,
    /// What relative URLs of its listings refer to.
    pub base: String,
    control: String,
    service: String,
    rupnp: Option<(Device, Service)>,
}

impl Way {
    /// Reads the description at `location`.
    ///
    /// # Errors
    /// `Unreachable` when it does not answer, `Unsupported` in words for a person when it cannot be used.
    pub async fn load(client: &Client, location: &str, allow: Allow, by: Reader) -> Result<(Way, About)> {
        let late = |_| Error::new(Kind::Unreachable, "it does not send its description");
        let read = timeout(DESCRIPTION_WITHIN, read(client, location, &allow)).await.map_err(late)??;
        // A base on a network that the device has left is of no use.
        let base = read.base.as_deref().filter(|base| leads_to(base, &allow)).unwrap_or(location).to_owned();
        let listed = read.content_directory();
        let (device, service) =
            listed.ok_or_else(|| Error::new(Kind::Unsupported, "it offers no list of its music"))?;
        if service.control.is_empty() {
            return Err(Error::new(Kind::Unsupported, "it does not say where it can be asked"));
        }
        let root = read.devices.first().unwrap_or(device);
        let or_root = |own: &str, roots: &str| if own.is_empty() { roots.to_owned() } else { own.to_owned() };
        let (maker, model) = (or_root(&device.maker, &root.maker), or_root(&device.model, &root.model));
        // Some name the maker in the model as well.
        let model = if model.starts_with(&maker) { model } else { format!("{maker} {model}") };
        let about = About {
            udn: plain_udn(&or_root(&device.udn, &root.udn)),
            name: short(&or_root(&device.name, &root.name)),
            model: short(model.trim()),
        };
        let control = join(&base, &service.control)
            .map_err(|_| Error::new(Kind::Unsupported, "the address where it can be asked is none"))?;
        let mut way =
            Way { client: client.clone(), allow, base, control, service: service.kind.clone(), rupnp: None };
        // rupnp does not know of a base.
        if by == Reader::Rupnp && authority(&way.base) == authority(location) {
            way.rupnp = load_by_rupnp(location).await;
        }
        Ok((way, about))
    }

    /// Returns by which reader it is asked.
    pub fn reader(&self) -> Reader {
        if self.rupnp.is_some() { Reader::Rupnp } else { Reader::Own }
    }

    /// Asks for a few values. What rupnp cannot read is asked once more by our own reader, and always from then on.
    ///
    /// # Errors
    /// `Unreachable` when it does not answer, `Damaged` when it refuses or its answer cannot be read.
    pub async fn ask(&mut self, action: &str) -> Result<HashMap<String, String>> {
        let Some((device, service)) = &self.rupnp else { return self.call(action, &[]).await };
        let late = |_| Error::new(Kind::Unreachable, format!("it does not answer {action}"));
        let answer = timeout(CALL_WITHIN, service.action(device.url(), action, "")).await.map_err(late)?;
        match answer.map_err(explain) {
            Err(Unread::ByRupnp) => {
                debug!(control = self.control, action, "rupnp cannot read this device");
                self.rupnp = None;
                self.call(action, &[]).await
            }
            Err(Unread::AtAll(error)) => Err(error),
            Ok(values) => Ok(values),
        }
    }

    /// Calls an action by our own reader.
    ///
    /// # Errors
    /// As [`Way::ask`].
    pub async fn call(&self, action: &str, arguments: &[(&str, &str)]) -> Result<HashMap<String, String>> {
        let late = |_| Error::new(Kind::Unreachable, format!("it does not answer {action}"));
        timeout(CALL_WITHIN, self.call_without_end(action, arguments)).await.map_err(late)?
    }

    async fn call_without_end(
        &self,
        action: &str,
        arguments: &[(&str, &str)],
    ) -> Result<HashMap<String, String>> {
        let mut options = GetOptions::talk(self.allow.clone());
        options.headers.push(("soapaction", soap::action(&self.service, action).into()));
        let body = soap::request(&self.service, action, arguments);
        let reply = self.client.post(&self.control, body, &options).await.map_err(cut_off)?;
        let status = reply.status;
        let answer = reply.whole(soap::LARGEST).await.and_then(|bytes| soap::parse_reply(&bytes));
        // A fault comes with 500, and with 200 from servers that err.
        match answer {
            Ok(Reply::Done(values)) if status.is_success() => Ok(values),
            Ok(Reply::Fault(fault)) if fault.code > 0 => {
                let words =
                    if fault.words.is_empty() { "it says no more".into() } else { short(&fault.words) };
                Err(Error::new(Kind::Damaged, format!("it refuses {action} ({}: {words})", fault.code)))
            }
            Ok(Reply::Fault(_)) => Err(Error::new(Kind::Damaged, format!("it refuses {action}"))),
            Err(error) if status.is_success() => Err(error),
            _ => Err(Error::new(Kind::Damaged, format!("it answers {action} with an error ({status})"))),
        }
    }
}

/// What a device says of itself goes to every face and into the history: not more than a person reads.
fn short(words: &str) -> String {
    words.chars().take(MOST_WORDS).collect()
}

fn authority(url: &str) -> Option<String> {
    url.parse::<http::Uri>().ok()?.authority().map(ToString::to_string)
}

/// Whether a URL is at an address that may be asked.
fn leads_to(url: &str, allow: &Allow) -> bool {
    let uri: Option<http::Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()?.parse().ok());
    host.is_some_and(|host| allow.allows(host))
}

async fn read(client: &Client, location: &str, allow: &Allow) -> Result<Description> {
    let wrong = || Error::new(Kind::Unsupported, format!("it gives an address that is none: {location}"));
    let _is_one: http::Uri = location.parse().map_err(|_| wrong())?;
    let reply = client.get(location, &GetOptions::talk(allow.clone())).await.map_err(cut_off)?;
    if !reply.status.is_success() {
        let what = format!("it answers with an error instead of its description ({})", reply.status);
        return Err(Error::new(Kind::Unsupported, what));
    }
    let bytes = reply.whole(description::LARGEST).await.map_err(|error| match error.kind() {
        Kind::Damaged => Error::new(Kind::Unsupported, "its description is larger than any description"),
        _ => error,
    })?;
    description::parse(&bytes).map_err(|error| Error::with(Kind::Unsupported, "it cannot be used", error))
}

/// Says which forbidden place it pointed to, and of anything else that there is no connection.
fn cut_off(error: Error) -> Error {
    match error.kind() {
        Kind::Unreachable => Error::with(Kind::Unreachable, CUT_OFF, error),
        Kind::Invalid => Error::with(Kind::Unsupported, "it leads elsewhere", error),
        _ => error,
    }
}

/// The description was read before: it is short, and comes within its time.
async fn load_by_rupnp(location: &str) -> Option<(Device, Service)> {
    let loaded = timeout(DESCRIPTION_WITHIN, Device::from_url(location.parse().ok()?)).await.ok()?;
    let device =
        loaded.inspect_err(|error| debug!(%error, location, "rupnp cannot load this device")).ok()?;
    let named =
        |service: &&Service| service.service_type().to_string().contains(":service:ContentDirectory:");
    let service = device.services_iter().find(named).cloned()?;
    Some((device, service))
}

fn plain_udn(udn: &str) -> String {
    let udn = udn.trim();
    let plain = udn.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("uuid:")).map_or(udn, |_| &udn[5..]);
    plain.to_ascii_lowercase()
}

enum Unread {
    /// Our own reader may read it.
    ByRupnp,
    AtAll(Error),
}

/// Says in plain words what rupnp says in its own.
fn explain(error: rupnp::Error) -> Unread {
    use rupnp::Error as E;
    Unread::AtAll(match error {
        E::NetworkError(_) | E::NetworkClientError(_) | E::IO(_) => {
            Error::with(Kind::Unreachable, CUT_OFF, error)
        }
        E::HttpErrorCode(code) => Error::new(Kind::Damaged, format!("it answers with an error ({code})")),
        E::UPnPError(error) => Error::new(Kind::Damaged, format!("it refuses ({})", error.err_code())),
        _ => return Unread::ByRupnp,
    })
}

const MOST_WORDS: usize = 200;
/// No connection at all.
pub const CUT_OFF: &str = "it cannot be reached";
/// Reference upnp 8.1.
const DESCRIPTION_WITHIN: Duration = Duration::from_secs(8);
const CALL_WITHIN: Duration = Duration::from_secs(10);
