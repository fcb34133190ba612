//! Music that leaves the box: what a caller may take out, file by file.

use std::fs::File;

use crate::error::{Error, Result};
use crate::hifi::Session;
use crate::library::Library;
use crate::library::export::{Bytes, Plan};
use crate::offer::Right;
use crate::query::export::Export;
use crate::units::UnixTime;

/// What goes out to one caller. Every file is opened when its turn comes.
pub struct Leaving {
    library: Library,
    plan: Plan,
}

/// Bytes of a file that goes out.
#[derive(Debug)]
pub enum Opened {
    /// The whole file.
    Whole(File),
    /// A part of a file that begins here.
    Part(File, u64),
}

impl Session {
    /// Says what goes out. Owner only.
    ///
    /// # Errors
    /// `NotAllowed` below Owner, `NotFound` for an album, a playlist or a track that is not there, and those of the shelf.
    pub async fn export(&self, export: Export) -> Result<Leaving> {
        self.need(Right::Owner, "take music out")?;
        let library = self.hifi.library.clone();
        let plan = library.plan_export(export).await?;
        Ok(Leaving { library, plan })
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
            Bytes::Copy { copy, .. } => Ok(Opened::Whole(self.library.open_copy(copy)?)),
            Bytes::Text { at } => {
                let texts = self.plan.texts();
                Ok(Opened::Part(texts.map_err(|error| Error::io("read a text of an export", error))?, at))
            }
        }
    }
}
