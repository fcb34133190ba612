//! konpo's UPnP device among control points: who finds it, who can load it, who is told, and who cannot disturb it.

mod actions;
mod casts;
mod clients;
mod crowd;
mod directory;
mod events;
mod files;
mod found;
mod gapless;
mod openhome;
mod renderer;
mod story;
mod vlc;

use std::net::{Ipv4Addr, SocketAddr};

use crate::support::konpo::Konpo;
use crate::support::net::Host;

/// A konpo that runs, and where it is asked.
struct Stereo {
    konpo: Konpo,
    address: SocketAddr,
}

impl Stereo {
    fn start(host: &Host) -> Stereo {
        Stereo::start_with(host, SILENT)
    }

    fn start_with(host: &Host, settings: &str) -> Stereo {
        Stereo::of(Konpo::new(host, settings))
    }

    /// Starts a konpo whose folders are laid out.
    fn of(mut konpo: Konpo) -> Stereo {
        konpo.spawn();
        let url = konpo.ready();
        let address = url.trim_start_matches("http://").trim_end_matches('/').parse();
        Stereo { konpo, address: address.expect("an address and a port") }
    }

    fn location(&self) -> String {
        at(&self.address)
    }

    /// The same box at another of its addresses.
    fn location_at(&self, address: Ipv4Addr) -> String {
        at(&SocketAddr::from((address, self.address.port())))
    }
}

fn at(address: &SocketAddr) -> String {
    format!("http://{address}{DESCRIPTION}")
}

const SILENT: &str = "[output]\ndevice = \"silent\"\n";
const DESCRIPTION: &str = "/upnp/server/description.xml";
const CONNECTIONS: &str = "urn:schemas-upnp-org:service:ConnectionManager:1";
const SERVER: &str = "urn:schemas-upnp-org:device:MediaServer:1";
const CONTROL: &str = "/upnp/server/connection-manager/control";
const EVENT: &str = "/upnp/server/connection-manager/event";
const RENDERER: &str = "/upnp/renderer/description.xml";
