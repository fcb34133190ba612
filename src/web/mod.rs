//! The HTTP API: translates requests to commands and snapshots to JSON. Holds no music state.

mod answer;
mod api;
mod art;
mod beam;
mod corrections;
mod events;
mod export;
mod guard;
mod json;
mod library;
mod neighbours;
mod page;
mod plain;
mod purchases;
pub mod routes;
mod send;
mod upload;

use std::path::PathBuf;
use std::time::Instant;

use crate::hifi::Hifi;
use crate::http::zip::Turns;
use crate::intake::Intake;
use crate::intake::door::uploads::Uploads;

/// What the API is built on. Cheap to clone.
#[derive(Clone)]
pub struct Web {
    hifi: Hifi,
    intake: Intake,
    name: std::sync::Arc<str>,
    started: Instant,
    archives: Turns,
    uploads: Uploads,
    streams: events::Streams,
}

impl Web {
    /// Returns the API of a box of this name.
    pub fn new(hifi: Hifi, intake: Intake, name: &str) -> Web {
        let uploads = Uploads::new(intake.clone());
        let (started, archives, streams) = (Instant::now(), Turns::default(), events::Streams::default());
        Web { hifi, intake, name: name.into(), started, archives, uploads, streams }
    }
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
