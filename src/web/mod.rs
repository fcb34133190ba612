//! The HTTP API: translates requests to commands and snapshots to JSON. Holds no music state.

mod answer;
mod api;
mod art;
pub mod beam;
mod corrections;
mod events;
mod export;
mod guard;
mod joins;
mod json;
mod library;
mod neighbours;
mod page;
mod plain;
mod purchases;
pub mod routes;
mod send;
mod settings;
mod upload;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Instant;

use crate::hifi::Hifi;
use crate::http::server::Local;
use crate::http::zip::Turns;
use crate::intake::Intake;
use crate::intake::door::uploads::Uploads;
use crate::lan::interfaces;
use crate::settings::Settings;

/// What the API is built on. Cheap to clone.
#[derive(Clone)]
pub struct Web {
    hifi: Hifi,
    intake: Intake,
    settings: Settings,
    started: Instant,
    archives: Turns,
    uploads: Uploads,
    streams: events::Streams,
    port: u16,
}

impl Web {
    /// Returns the API of a box with these settings.
    pub fn new(hifi: Hifi, intake: Intake, settings: Settings) -> Web {
        let uploads = Uploads::new(intake.clone());
        let (started, archives, streams) = (Instant::now(), Turns::default(), events::Streams::default());
        Web { hifi, intake, settings, started, archives, uploads, streams, port: 80 }
    }

    /// Returns the API of a page at this port; 80 is not named in addresses.
    pub fn at(self, port: u16) -> Web {
        Web { port, ..self }
    }

    /// Returns the address of the page, literal, with a slash at its end: the one that was asked, else the first of ours.
    async fn base(&self, local: Option<Local>) -> String {
        let asked = local.map(|Local(local)| local.ip().to_canonical());
        // One of IPv6 is long, or means something on one link only: one of IPv4 is told instead.
        let asked = asked.filter(|address| address.is_ipv4() && !address.is_loopback());
        let address = match asked {
            Some(address) => address,
            None => {
                let found = tokio::task::spawn_blocking(|| interfaces::usable(&[])).await;
                let first = found.ok().and_then(Result::ok).and_then(|all| Some(all.first()?.address));
                first.unwrap_or(Ipv4Addr::LOCALHOST).into()
            }
        };
        page_at(address, self.port)
    }
}

/// Returns the address of a page.
pub fn page_at(address: IpAddr, port: u16) -> String {
    let host = match address {
        IpAddr::V4(four) => four.to_string(),
        IpAddr::V6(six) => format!("[{six}]"),
    };
    if port == 80 { format!("http://{host}/") } else { format!("http://{host}:{port}/") }
}

/// Returns where the control socket lies: `$RUNTIME_DIRECTORY/ctl.sock`, else `<data>/ctl.sock`.
pub fn socket_path(data: &std::path::Path) -> PathBuf {
    // systemd gives a list when there are several; the first is ours.
    let runtime = std::env::var("RUNTIME_DIRECTORY").ok().filter(|path| !path.is_empty());
    match runtime {
        Some(list) => PathBuf::from(list.split(':').next().unwrap_or_default()).join("ctl.sock"),
        None => data.join("ctl.sock"),
    }
}
