//! The way out: music as it came, with playlists, covers and what konpo knows, into a folder or an archive. Nothing is
//! converted, renamed or removed on the shelf; what is locked stays, and is named with the reason.
//!
//! A *plan* says every file, its name, its size and where its bytes are, before the first byte goes out.

mod file;
pub mod folder;
mod names;
mod plan;
mod record;
mod spool;
mod tables;
mod texts;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rusqlite::Connection;

use crate::error::{Error, Kind, Result};
use crate::library::art::{self, Size};
use crate::library::export::plan::Maker;
use crate::library::export::spool::Spool;
use crate::library::find::Find;
use crate::library::picture::{self, Chosen};
use crate::library::store::{INDEX, OWNER, connect, tracks};
use crate::library::{Library, cover, upgrade};
use crate::offer::Right;
use crate::query::export::{Export, Wanted};
use crate::query::{Filter, GroupId, Item, Query, Sort, What, Window};
use crate::track::{CopyId, TrackId};
use crate::units::{ByteCount, UnixTime};

/// All that goes out.
#[derive(Debug)]
pub struct Plan {
    /// What it is called, as the name of a file or folder.
    pub title: String,
    /// How many files stay here; `LEFT-OUT.txt` names them.
    pub left_out: u64,
    /// The first of those with the reason, one line each.
    pub left: Vec<String>,
    /// How many of those could not be read; another time they may.
    pub unread: u64,
    files: Vec<Planned>,
    /// Where covers lie, and of which files they are made; a folder gets them last.
    covers: Vec<(String, CopyId)>,
    spool: Spool,
}

/// What could not be read when its turn came, and is not tried again.
#[derive(Debug, Default)]
pub struct Stays {
    /// Files of the shelf, each with the reason in words for a person.
    music: HashMap<CopyId, String>,
    /// Files whose covers could not be made.
    covers: HashSet<CopyId>,
}

impl Stays {
    fn count(&self) -> usize {
        self.music.len() + self.covers.len()
    }
}

/// One file that goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Its path: parts that every file system takes, between `/`.
    pub name: String,
    /// Bytes.
    pub size: ByteCount,
    /// When it was changed last.
    pub modified: UnixTime,
    /// Where its bytes are.
    pub from: Bytes,
}

/// Where the bytes of a file that goes out are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// A file of the shelf.
    Copy {
        /// Its track.
        track: TrackId,
        /// Which of its files.
        copy: CopyId,
    },
    /// A text that was made, in [`Plan::texts`].
    Text {
        /// Where it begins.
        at: u64,
    },
}

impl Plan {
    /// Returns the files, in the order in which they go out; without the covers of a folder.
    pub fn files(&self) -> &[Planned] {
        &self.files
    }

    /// Returns the file that holds the texts.
    ///
    /// # Errors
    /// Those of the system.
    pub fn texts(&self) -> std::io::Result<File> {
        self.spool.file()
    }

    /// Makes the covers now, as files like the others; of many albums none, for they are in the music as well.
    fn with_covers(mut self, connection: &Connection, data: &Path, now: UnixTime) -> Result<Plan> {
        let covers = std::mem::take(&mut self.covers);
        if covers.len() > MOST_COVERS {
            return Ok(self);
        }
        for (name, copy) in covers {
            // The music goes out without a picture that cannot be read.
            let Ok(Some(jpeg)) = cover_of(connection, data, copy) else { continue };
            let write = |out: &mut dyn std::io::Write| {
                out.write_all(&jpeg).map_err(|error| Error::io("write a cover", error))
            };
            let part = self.spool.put(write)?;
            let (size, from) = (ByteCount(part.size), Bytes::Text { at: part.at });
            self.files.push(Planned { name, size, modified: now, from });
        }
        Ok(self)
    }
}

/// Says how many bytes of a track's file its reader gets and when they changed last, or why none; for the one who asks.
pub type Look<'a> = dyn Fn(TrackId, CopyId, &Path) -> Result<(ByteCount, SystemTime)> + 'a;

/// Looks at a file as its owner may read it: as it lies there.
///
/// # Errors
/// Those of the disk.
pub fn as_it_is(_: TrackId, _: CopyId, path: &Path) -> Result<(ByteCount, SystemTime)> {
    let failed = |error| Error::io(format!("look at {}", path.display()), error);
    let found = std::fs::metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(Error::new(Kind::Damaged, format!("{} is no file any more", path.display())));
    }
    Ok((ByteCount(found.len()), found.modified().map_err(failed)?))
}

impl Library {
    /// Plans an archive for somebody of this right. What may not be read by others than the owner stays here for them; what
    /// was bought is what the devices `brought_by` brought, `None`: everybody's.
    ///
    /// # Errors
    /// `NotFound` for an album, a playlist or a track that is not there, and those of the database and of the disk.
    /// # Cancel
    /// A dropped future leaves the work to finish.
    pub async fn plan_export(
        &self,
        export: Export,
        right: Right,
        brought_by: Option<Vec<String>>,
    ) -> Result<Plan> {
        self.plan_out(export, right, brought_by, Plan::with_covers).await
    }

    /// Plans what goes to a phone for somebody of this right: as [`Library::plan_export`], without covers beside the music,
    /// which phones show among photographs.
    ///
    /// # Errors
    /// As [`Library::plan_export`].
    /// # Cancel
    /// As [`Library::plan_export`].
    pub async fn plan_sending(&self, wanted: Wanted, right: Right) -> Result<Plan> {
        let export = Export { wanted, receipts: false, leave: false };
        self.plan_out(export, right, None, |plan, _, _, _| Ok(plan)).await
    }

    async fn plan_out(
        &self,
        export: Export,
        right: Right,
        brought_by: Option<Vec<String>>,
        finish: fn(Plan, &Connection, &Path, UnixTime) -> Result<Plan>,
    ) -> Result<Plan> {
        let find = self.inner.keeper.fresh().await;
        let library = self.clone();
        let planned = tokio::task::spawn_blocking(move || {
            let inner = &library.inner;
            let (connection, now) = (inner.store.reader()?, UnixTime::now());
            let served = |track: TrackId, copy: CopyId, path: &Path| {
                if right == Right::Owner {
                    return as_it_is(track, copy, path);
                }
                let served = library.open_served_blocking(track, right)?;
                if served.copy != copy {
                    return Err(Error::new(Kind::Busy, "it changes just now"));
                }
                Ok((served.size, served.modified))
            };
            let stays = Stays::default();
            let maker = Maker::new(&find, &connection, &inner.data, &served, &stays)?;
            let plan = maker.brought_by(brought_by).plan(&export, now)?;
            finish(plan, &connection, &inner.data, now)
        });
        planned.await.map_err(|error| Error::with(Kind::Internal, "plan an export", error))?
    }

    /// Opens a file of the shelf as it lies there.
    ///
    /// # Errors
    /// `NotFound`, and those of the disk.
    /// # Blocks
    /// As long as the disk takes to wake.
    pub fn open_copy(&self, copy: CopyId) -> Result<File> {
        let path = self.inner.store.read_blocking(|c| plan::path_of(c, copy))?;
        File::open(&path).map_err(|error| Error::io(format!("open {}", path.display()), error))
    }
}

/// The shelf as it can be read beside a running konpo, and without one: nothing is locked, nothing is written but what
/// SQLite needs to read.
pub struct Reader {
    connection: Connection,
    find: Arc<Find>,
    data: PathBuf,
}

impl Reader {
    /// Opens the databases in a folder of data.
    ///
    /// # Errors
    /// `NotFound` without databases, `Unsupported` for those of another version: konpo brings them to its own when it
    /// starts.
    /// # Blocks
    /// A second for 100,000 tracks.
    pub fn open(data: &Path) -> Result<Reader> {
        for name in [OWNER, INDEX] {
            if !data.join(name).is_file() {
                let what = format!("read the shelf: there is no database in {}", data.display());
                return Err(Error::new(Kind::NotFound, what));
            }
        }
        let connection = connect(data)?;
        connection.execute_batch("PRAGMA query_only = ON")?;
        if !upgrade::is_current(&connection)? {
            let what =
                format!("read the shelf in {}: it is of another konpo; start this one once", data.display());
            return Err(Error::new(Kind::Unsupported, what));
        }
        let find = Arc::new(Find::make(&connection)?);
        Ok(Reader { connection, find, data: data.to_owned() })
    }

    /// Plans what goes out without what `stays`, for the owner. Texts that are made lie in the folder `spool` without a name.
    ///
    /// # Errors
    /// As [`Library::plan_export`].
    /// # Blocks
    /// As long as a look at every file takes.
    pub fn plan(&self, export: &Export, stays: &Stays, spool: &Path) -> Result<Plan> {
        Maker::new(&self.find, &self.connection, spool, &as_it_is, stays)?.plan(export, UnixTime::now())
    }

    /// Returns the albums or playlists that a person means: by number, else by name. For each its number, and its name with
    /// its artist.
    ///
    /// # Errors
    /// Those of the database.
    pub fn named(&self, what: What, text: &str) -> Result<Vec<(GroupId, String)>> {
        let query = Query {
            what,
            filter: Filter::All,
            sort: Sort::Album,
            window: Window { offset: 0, limit: Window::MOST },
        };
        let (id, folded) = (text.parse::<GroupId>().ok(), crate::media::text::fold(text));
        let (mut by_id, mut by_name) = (Vec::new(), Vec::new());
        for offset in (0..).step_by(Window::MOST as usize) {
            let page = self.find.answer(
                &Query { window: Window { offset, ..query.window }, ..query.clone() },
                &self.connection,
            )?;
            if page.items.is_empty() {
                break;
            }
            for item in page.items {
                let Item::Group(group) = item else { continue };
                let shown = match &group.artist {
                    Some(artist) => format!("{artist} – {}", group.name),
                    None => group.name.clone(),
                };
                if Some(group.id) == id {
                    by_id.push((group.id, shown));
                } else if crate::media::text::fold(&group.name) == folded {
                    by_name.push((group.id, shown));
                }
            }
        }
        Ok(if by_name.is_empty() { by_id } else { by_name })
    }

    /// Returns where a file of the shelf lies.
    pub(crate) fn path_of(&self, copy: CopyId) -> Result<PathBuf> {
        plan::path_of(&self.connection, copy)
    }

    /// Returns the cover that a file shows, made anew; `None` without one.
    pub(crate) fn cover(&self, copy: CopyId) -> Result<Option<Vec<u8>>> {
        cover_of(&self.connection, &self.data, copy)
    }

    /// Returns where the music folders are.
    pub(crate) fn roots(&self) -> Result<Vec<PathBuf>> {
        plan::roots(&self.connection)
    }
}

/// Returns the cover that is shown for a file: what a person chose, else its own.
fn cover_of(connection: &Connection, data: &Path, copy: CopyId) -> Result<Option<Vec<u8>>> {
    let track = tracks::copy(connection, copy)?.map(|row| row.track);
    match track.map_or(Ok(Chosen::No), |track| picture::chosen(connection, track))? {
        Chosen::No => {}
        Chosen::Without => return Ok(None),
        Chosen::Picture(name) => {
            let roots = plan::roots(connection)?;
            let kept = picture::read(&name, data, roots.iter().map(PathBuf::as_path));
            if let Some(jpeg) = kept.and_then(|bytes| art::scale(&bytes, Size::Large600).ok()) {
                return Ok(Some(jpeg));
            }
        }
    }
    match cover::of_file(&plan::path_of(connection, copy)?, Size::Large600) {
        // A picture that cannot be shown is none; the music goes out without it.
        Err(error) if !matches!(error.kind(), Kind::Full | Kind::Internal) => Ok(None),
        made => made,
    }
}

/// Albums of which an archive holds covers: each is made before the first byte goes out.
const MOST_COVERS: usize = 100;

#[cfg(test)]
mod again_tests;
#[cfg(test)]
mod tests;
