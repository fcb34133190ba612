//! Music that leaves the box: what a caller may take out, file by file.

use std::fs::File;

use crate::error::{Error, Kind, Result};
use crate::hifi::Session;
use crate::library::Library;
use crate::library::export::{Bytes, Plan};
use crate::library::serve::Served;
use crate::offer::Right;
use crate::query::export::{Export, Wanted};
use crate::units::UnixTime;

/// What goes out to one caller. Every file is opened when its turn comes.
pub struct Leaving {
    library: Library,
    right: Right,
    plan: Plan,
}

/// Bytes of a file that goes out.
#[derive(Debug)]
pub enum Opened {
    /// The whole file, as it lies on the shelf.
    Whole(File),
    /// The file as others than the owner may read it.
    Served(Box<Served>),
    /// A part of a file that begins here.
    Part(File, u64),
}

impl Session {
    /// Says what goes out. Members take albums, playlists, tracks, and of what was bought what their own device brought, without
    /// what names the buyer; the owner takes all.
    ///
    /// # Errors
    /// `NotAllowed` for the room, and for members who ask for more; `NotFound` for an album, a playlist or a track that is not there, and those of the shelf.
    pub async fn export(&self, export: Export) -> Result<Leaving> {
        if self.caller.right < Right::Member {
            return Err(Error::new(Kind::NotAllowed, "only paired devices may take music out"));
        }
        if export.receipts || export.leave || export.wanted == Wanted::All {
            self.need(Right::Owner, "take out everything, or what tells of purchases")?;
        }
        let (library, right) = (self.hifi.library.clone(), self.caller.right);
        let brought_by = match export.wanted {
            Wanted::Purchases if right < Right::Owner => Some(self.own_names().await?),
            _ => None,
        };
        let plan = library.plan_export(export, right, brought_by).await?;
        Ok(Leaving { library, right, plan })
    }
}

impl Leaving {
    /// Returns what it is called, as the name of a file.
    pub fn title(&self) -> &str {
        &self.plan.title
    }

    /// Returns how many files there are.
    pub fn count(&self) -> usize {
        self.plan.files().len()
    }

    /// Returns the path, the bytes and the time of a file.
    pub fn about(&self, at: usize) -> (&str, u64, UnixTime) {
        let file = &self.plan.files()[at];
        (&file.name, file.size.0, file.modified)
    }

    /// Opens a file.
    ///
    /// # Errors
    /// Those of the disk.
    /// # Blocks
    /// As long as the disk takes to wake.
    pub fn open(&self, at: usize) -> Result<Opened> {
        match self.plan.files()[at].from {
            Bytes::Copy { copy, .. } if self.right == Right::Owner => {
                Ok(Opened::Whole(self.library.open_copy(copy)?))
            }
            Bytes::Copy { track, copy } => {
                let served = self.library.open_served_blocking(track, self.right)?;
                if served.copy != copy {
                    return Err(Error::new(
                        Kind::Busy,
                        format!("track {track} changed since its length was told"),
                    ));
                }
                Ok(Opened::Served(Box::new(served)))
            }
            Bytes::Text { at } => {
                let texts = self.plan.texts();
                Ok(Opened::Part(texts.map_err(|error| Error::io("read a text of an export", error))?, at))
            }
        }
    }
}
