//! Publishing through the Avahi daemon (its D-Bus interface, org.freedesktop.Avahi.Server and .EntryGroup): two responders
//! on one machine would fight over port 5353 and over names.

use futures_util::StreamExt;
use zbus::fdo::{DBusProxy, NameOwnerChangedStream};
use zbus::names::BusName;
use zbus::proxy::SignalStream;
use zbus::zvariant::OwnedObjectPath;
use zbus::{Connection, Proxy};

use crate::lan::interfaces::Interface;
use crate::lan::publish::{Announcement, TXT};

/// The system bus, and what we published there.
pub struct Avahi {
    connection: Connection,
    bus: DBusProxy<'static>,
    owners: NameOwnerChangedStream,
    group: Option<Group>,
}

struct Group {
    path: OwnedObjectPath,
    states: SignalStream<'static>,
}

/// What happened on the bus.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Avahi appeared or vanished; what it published vanished with it.
    Daemon,
    /// Our names are announced.
    Established,
    /// Somebody else on the network has one of our names.
    Collision,
    /// Avahi gave up, in its words.
    Failure(String),
    /// The bus is gone.
    NoBus,
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
    pub async fn is_there(&self) -> bool {
        let Ok(name) = BusName::try_from(SERVICE) else { return false };
        self.bus.name_has_owner(name).await.unwrap_or(false)
    }

    /// Publishes a host name of our own with these addresses, each on its own interface, and the page under it.
    ///
    /// # Errors
    /// [`is_taken`] tells whether a name is taken already on this machine; the rest are those of the bus. Whether
    /// another machine has it is news.
    pub async fn publish(&mut self, what: &Announcement, here: &[Interface]) -> zbus::Result<()> {
        self.withdraw().await;
        let server = Proxy::new(&self.connection, SERVICE, "/", "org.freedesktop.Avahi.Server").await?;
        let path: OwnedObjectPath = server.call("EntryGroupNew", &()).await?;
        let group = Proxy::new(&self.connection, SERVICE, path.clone(), GROUP).await?;
        let states = group.receive_signal("StateChanged").await?;
        self.group = Some(Group { path, states });
        let host = format!("{}.local", what.label);
        for interface in here {
            let index = i32::try_from(interface.index).unwrap_or(ANY_INTERFACE);
            let address = interface.address.to_string();
            let entry = (index, IPV4, NO_REVERSE, host.as_str(), address.as_str());
            group.call::<_, _, ()>("AddAddress", &entry).await?;
        }
        let txt: Vec<Vec<u8>> =
            TXT.iter().map(|(key, value)| format!("{key}={value}").into_bytes()).collect();
        let name = what.instance.as_str();
        let entry = (ANY_INTERFACE, IPV4, 0u32, name, "_http._tcp", "", host.as_str(), what.port, txt);
        group.call::<_, _, ()>("AddService", &entry).await?;
        group.call::<_, _, ()>("Commit", &()).await
    }

    /// Takes back what was published.
    pub async fn withdraw(&mut self) {
        let Some(Group { path, .. }) = self.group.take() else { return };
        if let Ok(group) = Proxy::new(&self.connection, SERVICE, path, GROUP).await {
            // A daemon that is gone has freed it already.
            let _gone = group.call::<_, _, ()>("Free", &()).await;
        }
    }

    /// Waits for the next news.
    ///
    /// # Cancel
    /// Nothing is lost.
    async fn news(&mut self) -> News {
        loop {
            tokio::select! {
                changed = self.owners.next() => {
                    self.group = None;
                    return if changed.is_some() { News::Daemon } else { News::NoBus };
                }
                state = next_state(&mut self.group) => match state {
                    Some((ESTABLISHED, _)) => return News::Established,
                    Some((COLLISION, _)) => return News::Collision,
                    Some((FAILURE, why)) => return News::Failure(why),
                    Some(_) => {}
                    None => self.group = None,
                }
            }
        }
    }
}

/// Waits for the next news; for ever without a bus.
pub async fn news(avahi: &mut Option<Avahi>) -> News {
    match avahi {
        Some(avahi) => avahi.news().await,
        None => std::future::pending().await,
    }
}

/// Returns whether an error says that a name is taken.
pub fn is_taken(error: &zbus::Error) -> bool {
    matches!(error, zbus::Error::MethodError(name, ..) if name.as_str() == "org.freedesktop.Avahi.CollisionError")
}

async fn next_state(group: &mut Option<Group>) -> Option<(i32, String)> {
    let Some(group) = group else { return std::future::pending().await };
    let signal = group.states.next().await?;
    Some(signal.body().deserialize().unwrap_or_default())
}

const SERVICE: &str = "org.freedesktop.Avahi";
const GROUP: &str = "org.freedesktop.Avahi.EntryGroup";
/// AVAHI_IF_UNSPEC, AVAHI_PROTO_INET, AVAHI_PUBLISH_NO_REVERSE (avahi-common defs).
const ANY_INTERFACE: i32 = -1;
const IPV4: i32 = 0;
const NO_REVERSE: u32 = 16;
/// AVAHI_ENTRY_GROUP_ESTABLISHED, _COLLISION, _FAILURE (avahi-common defs).
const ESTABLISHED: i32 = 2;
const COLLISION: i32 = 3;
const FAILURE: i32 = 4;
