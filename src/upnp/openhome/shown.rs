//! How an entry is named to an app: its URL, and what an app said of it, or konpo's own listing of it.

use std::net::SocketAddrV4;

use crate::hifi::state::{Entry, Source, State};
use crate::upnp::handed;
use crate::upnp::own::Mark;
use crate::wire::didl_writer::{Letters, Writer};

/// What is shown of an entry; nothing of none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// Where it lies; of a track of the shelf that no app named, our own media path.
    pub uri: String,
    /// A DIDL-Lite listing of it alone.
    pub metadata: String,
}

impl Shown {
    /// Returns an entry as the app that brought it finds it again: its own words byte for byte (reference upnp 3.8,
    /// "Metadata").
    pub fn verbatim(entry: &Entry, host: SocketAddrV4, mark: Mark) -> Shown {
        let metadata = match &entry.said {
            Some(said) => said.to_string(),
            None => handed::written(entry, host, mark),
        };
        Shown { uri: handed::url(entry, host, mark), metadata }
    }

    /// Returns an entry as every app can read it.
    pub fn readable(entry: &Entry, host: SocketAddrV4, mark: Mark) -> Shown {
        Shown { uri: handed::url(entry, host, mark), metadata: handed::metadata(entry, host, mark) }
    }
}

/// Returns the entry that sounds, is paused, or plays next; `None` while an empty deck is chosen.
pub fn current(state: &State) -> Option<&Entry> {
    match state.source {
        Source::Empty { .. } => None,
        Source::Queue | Source::Guest { .. } => state.entry(),
    }
}

/// Returns what a station says it plays as OpenHome's Metatext: a listing with a title.
pub fn metatext(title: &str) -> String {
    let mut writer = Writer::new(Letters::Unicode, 1);
    writer.begin("item", &[("id", ""), ("parentID", ""), ("restricted", "1")]);
    writer.leaf("dc:title", &[], title);
    writer.leaf("upnp:class", &[], "object.item");
    writer.finish()
}
