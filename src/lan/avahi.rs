//! Publishing through the Avahi daemon (its D-Bus interface, org.freedesktop.Avahi.Server and .EntryGroup): two responders
//! on one machine would fight over port 5353 and over names.

use std::net::Ipv4Addr;

use futures_util::StreamExt;
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};
use zbus::names::BusName;
use zbus::zvariant::OwnedObjectPath;
use zbus::{Connection, Proxy};

use crate::lan::mdns::Announcement;

/// The system bus, and what we published there.
pub struct Avahi {
    connection: Connection,
    bus: DBusProxy<'static>,
    owners: NameOwnerChangedStream,
    group: Option<OwnedObjectPath>,
}

impl Avahi {
    /// Connects to the system bus; `None` where there is none.
    pub async fn connect() -> Option<Avahi> {
        let connection = Connection::system().await.ok()?;
        let bus = DBusProxy::new(&connection).await.ok()?;
        let owners = bus.receive_name_owner_changed_with_args(&[(0, SERVICE)]).await.ok()?;
        Some(Avahi { connection, bus, owners, group: None })
    }

    /// Returns whether Avahi runs.
    pub async fn is_there(&mut self) -> bool {
        let Ok(name) = BusName::try_from(SERVICE) else { return false };
        let there = self.bus.name_has_owner(name).await.unwrap_or(false);
        if !there {
            // What it published went with it.
            self.group = None;
        }
        there
    }

    /// Publishes our own host label with these addresses, and the page under it. On a conflict the label and the name
    /// get `-2` and so on.
    pub async fn publish(&mut self, what: &Announcement, addresses: &[Ipv4Addr]) -> zbus::Result<()> {
        self.withdraw().await;
        let server = Proxy::new(&self.connection, SERVICE, "/", "org.freedesktop.Avahi.Server").await?;
        let mut last = None;
        for number in 1..=MOST_NAMESAKES {
            let tail = if number == 1 { String::new() } else { format!("-{number}") };
            let path: OwnedObjectPath = server.call("EntryGroupNew", &()).await?;
            match self.fill(&path, what, &tail, addresses).await {
                Ok(()) => {
                    self.group = Some(path);
                    return Ok(());
                }
                Err(error) => last = Some(error),
            }
            self.free(&path).await;
        }
        Err(last.unwrap_or(zbus::Error::InvalidReply))
    }

    async fn fill(
        &self,
        path: &OwnedObjectPath,
        what: &Announcement,
        tail: &str,
        addresses: &[Ipv4Addr],
    ) -> zbus::Result<()> {
        let group = Proxy::new(&self.connection, SERVICE, path.as_str(), GROUP).await?;
        let host = format!("{}{tail}.local", what.label);
        for address in addresses {
            let address = address.to_string();
            let entry = (ANY_INTERFACE, IPV4, NO_REVERSE, host.as_str(), address.as_str());
            group.call::<_, _, ()>("AddAddress", &entry).await?;
        }
        let name = format!("{}{tail}", what.instance);
        let txt: Vec<Vec<u8>> = vec![b"path=/".to_vec()];
        let entry =
            (ANY_INTERFACE, IPV4, 0u32, name.as_str(), "_http._tcp", "", host.as_str(), what.port, txt);
        group.call::<_, _, ()>("AddService", &entry).await?;
        group.call::<_, _, ()>("Commit", &()).await
    }

    /// Takes back what was published.
    pub async fn withdraw(&mut self) {
        if let Some(path) = self.group.take() {
            self.free(&path).await;
        }
    }

    async fn free(&self, path: &OwnedObjectPath) {
        if let Ok(group) = Proxy::new(&self.connection, SERVICE, path.as_str(), GROUP).await {
            // A daemon that is gone has freed it already.
            let _gone = group.call::<_, _, ()>("Free", &()).await;
        }
    }
}

/// Waits until Avahi appears or vanishes; for ever without a bus.
pub async fn changed(avahi: Option<&mut Avahi>) {
    if let Some(avahi) = avahi
        && avahi.owners.next().await.is_some()
    {
        return;
    }
    std::future::pending().await
}

const SERVICE: &str = "org.freedesktop.Avahi";
const GROUP: &str = "org.freedesktop.Avahi.EntryGroup";
/// AVAHI_IF_UNSPEC, AVAHI_PROTO_INET, AVAHI_PUBLISH_NO_REVERSE (avahi-common defs).
const ANY_INTERFACE: i32 = -1;
const IPV4: i32 = 0;
const NO_REVERSE: u32 = 16;
const MOST_NAMESAKES: u32 = 9;
