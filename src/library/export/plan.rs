//! Which files go out, under which names, and which stay.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

use crate::error::{Error, Kind, Result};
use crate::library::CopyRow;
use crate::library::export::names::{self, Names};
use crate::library::export::spool::{Part, Spool};
use crate::library::export::{Bytes, Look, Plan, Planned, Stays, tables, texts};
use crate::library::find::Find;
use crate::library::place::component;
use crate::library::store::roots::root_path;
use crate::library::store::{bought, finding, shown, tracks};
use crate::query::export::{Export, Wanted};
use crate::query::purchases::PurchaseQuery;
use crate::query::{Field, Filter, Sort, What, Window};
use crate::track::{CopyId, Protection, Track, TrackId};
use crate::units::{ByteCount, UnixTime};

/// What is made a plan of.
pub struct Maker<'a> {
    find: &'a Find,
    pub(super) connection: &'a Connection,
    look: &'a Look<'a>,
    pub(super) names: Names,
    pub(super) files: Vec<Planned>,
    pub(super) spool: Spool,
    roots: HashMap<i64, PathBuf>,
    /// The first file of each track that goes out.
    pub(super) gone_out: HashMap<TrackId, usize>,
    /// Folders that have their cover.
    covered: HashSet<String>,
    covers: Vec<(String, CopyId)>,
    /// What stays, one line each.
    left: Vec<String>,
    /// How many of those could not be read.
    unread: u64,
    /// What could not be read when its turn came.
    stays: &'a Stays,
    /// The devices whose buys are meant by "what was bought"; `None`: everybody's.
    brought_by: Option<Vec<String>>,
}

impl<'a> Maker<'a> {
    /// Begins a plan without what `stays`; texts that it needs lie in `data` without a name.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn new(
        find: &'a Find,
        connection: &'a Connection,
        data: &Path,
        look: &'a Look<'a>,
        stays: &'a Stays,
    ) -> Result<Maker<'a>> {
        Ok(Maker {
            find,
            connection,
            look,
            names: Names::default(),
            files: Vec::new(),
            spool: Spool::new(data)?,
            roots: HashMap::new(),
            gone_out: HashMap::new(),
            covered: HashSet::new(),
            covers: Vec::new(),
            left: Vec::new(),
            unread: 0,
            stays,
            brought_by: None,
        })
    }

    /// Takes of what was bought only what these devices brought; `None`: all.
    pub fn brought_by(self, devices: Option<Vec<String>>) -> Maker<'a> {
        Maker { brought_by: devices, ..self }
    }

    /// Makes the plan.
    ///
    /// # Errors
    /// `NotFound` for an album, a playlist or a track that is not there, and those of the database and of the disk.
    pub fn plan(mut self, export: &Export, now: UnixTime) -> Result<Plan> {
        let ids = self.ids(&export.wanted)?;
        let mut seen = HashSet::new();
        for &id in ids.iter().filter(|&&id| seen.insert(id)) {
            let Some(track) = tracks::load(self.connection, id)? else {
                if matches!(export.wanted, Wanted::Tracks(_)) {
                    return Err(Error::new(Kind::NotFound, format!("there is no track {id}")));
                }
                continue;
            };
            self.track(&track, export.wanted == Wanted::All)?;
        }
        drop(seen);
        self.covers_that_stay();
        let title = self.title(&export.wanted, &ids)?;
        self.playlists(&export.wanted, &title, &ids, now)?;
        if export.receipts {
            let out = Out { files: &self.files, of: &self.gone_out };
            let connection = self.connection;
            let all = matches!(export.wanted, Wanted::All | Wanted::Purchases);
            let part = self.spool.put(|to| match all {
                true => texts::every_receipt(connection, &out, to),
                false => texts::receipts(connection, &ids, &out, to),
            })?;
            self.text("", "purchases", "json", part, now);
        }
        if export.leave {
            tables::put(&mut self, now)?;
        }
        let left_out = self.left.len() as u64;
        let mut left = std::mem::take(&mut self.left);
        if left_out > 0 {
            let part = self.spool.put(|to| texts::left_out(&left, to))?;
            self.text("", "LEFT-OUT", "txt", part, now);
        }
        left.truncate(MOST_LEFT_TOLD);
        let Maker { files, covers, spool, unread, .. } = self;
        Ok(Plan { title: component(&title), left_out, left, unread, files, covers, spool })
    }

    /// Leaves out the covers that could not be made, and says so.
    fn covers_that_stay(&mut self) {
        for (name, _) in self.covers.extract_if(.., |(_, copy)| self.stays.covers.contains(copy)) {
            self.left.push(format!("{name}: its picture cannot be read now"));
            self.unread += 1;
        }
    }

    /// Returns the tracks in their order; one that stands twice in a playlist is there twice.
    fn ids(&self, wanted: &Wanted) -> Result<Vec<TrackId>> {
        let all = Window { offset: 0, limit: u32::MAX };
        let of = |filter: Filter, sort| -> Result<Vec<u32>> {
            Ok(self.find.tracks(&filter, sort, all, self.connection)?.1)
        };
        let number = |id: u32| TrackId(i64::from(id));
        let found: Vec<u32> = match wanted {
            Wanted::Tracks(ids) => return Ok(ids.clone()),
            Wanted::Album(id) => of(Filter::In(What::Albums, *id), Sort::Album)?,
            Wanted::Playlist(id) if finding::list_name(self.connection, *id)?.is_none() => Vec::new(),
            Wanted::Playlist(id) => {
                return Ok(finding::in_list(self.connection, *id)?.into_iter().map(number).collect());
            }
            Wanted::Purchases if self.brought_by.is_some() => {
                let query = PurchaseQuery { brought_by: self.brought_by.clone(), ..PurchaseQuery::default() };
                let found = bought::bought(self.connection, &query)?.items;
                // A song that was bought twice goes out once.
                let mut seen = HashSet::new();
                let ids = found.iter().filter_map(|bought| Some(bought.track.as_ref()?.id));
                return Ok(ids.filter(|&id| seen.insert(id)).collect());
            }
            Wanted::Purchases => {
                return Ok(of(Filter::Exists(Field::Store), Sort::Bought)?.into_iter().map(number).collect());
            }
            Wanted::All => return Ok(of(Filter::All, Sort::Album)?.into_iter().map(number).collect()),
        };
        if found.is_empty() {
            let what = if matches!(wanted, Wanted::Album(_)) { "album" } else { "playlist" };
            return Err(Error::new(Kind::NotFound, format!("there is no such {what}")));
        }
        Ok(found.into_iter().map(number).collect())
    }

    /// Takes the files of a track: all of them, or the best that may go out.
    fn track(&mut self, track: &Arc<Track>, all: bool) -> Result<()> {
        let rows = tracks::copies_of(self.connection, track.id)?;
        let row = |id: CopyId| rows.iter().find(|row| row.id == id);
        let mut why = "nothing of it is there now".to_owned();
        let mut went = false;
        let mut unread: Option<&CopyRow> = None;
        for copy in &track.copies {
            let Some(row) = row(copy.id).filter(|_| copy.online) else {
                "its disk is not there now".clone_into(&mut why);
                continue;
            };
            if copy.protection != Protection::None {
                why = format!("{}. {}", copy.protection.headline(), copy.protection.advice());
                if all {
                    self.left.push(format!("{}: {why}", row.path.display()));
                }
                continue;
            }
            let tried = match self.stays.music.get(&copy.id) {
                Some(why) => Err(why.clone()),
                None => self.file(track, row, all).map_err(|error| words_of(&error)),
            };
            match tried {
                Ok(()) => went = true,
                Err(said) => {
                    why = said;
                    unread = unread.or(Some(row));
                    if all {
                        self.name(track, row, all);
                        self.left.push(format!("{}: {why}", row.path.display()));
                        self.unread += 1;
                    }
                }
            }
            if went && !all {
                return Ok(());
            }
        }
        // Its name stays free, that the others keep theirs in whichever call it can be read.
        if let Some(row) = unread.filter(|_| !went && !all) {
            self.name(track, row, all);
            self.unread += 1;
        }
        // Of everything each file was named by its path already, save those on disks that are away.
        let named = all && track.copies.iter().all(|copy| copy.online);
        if !went && !named {
            let tags = &track.tags;
            let words = [&tags.artist, &tags.title, &tags.album];
            let words: Vec<&str> = words.into_iter().flatten().map(String::as_str).collect();
            self.left.push(format!("{} (track {}): {why}", words.join(" – "), track.id));
        }
        Ok(())
    }

    fn file(&mut self, track: &Track, row: &CopyRow, all: bool) -> Result<()> {
        let path = self.root(row.root)?.join(&row.path);
        let (size, modified) = (self.look)(track.id, row.id, &path)?;
        let modified = modified.duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let (folder, name) = self.name(track, row, all);
        if self.covered.insert(folder.clone()) {
            self.covers.push((self.names.take(&folder, "cover", Some("jpg")), row.id));
        }
        self.gone_out.entry(track.id).or_insert(self.files.len());
        let (modified, from) =
            (UnixTime(modified.cast_signed()), Bytes::Copy { track: track.id, copy: row.id });
        self.files.push(Planned { name, size, modified, from });
        Ok(())
    }

    /// Takes the name of a file; returns its folder and the whole.
    fn name(&mut self, track: &Track, row: &CopyRow, all: bool) -> (String, String) {
        let original = row.path.file_name().unwrap_or_default().to_string_lossy();
        let (folder, stem) = if all {
            names::by_path(&row.path)
        } else {
            names::by_words(&track.tags, &original, track.added)
        };
        let extension = row.path.extension().map(|extension| extension.to_string_lossy());
        let name = self.names.take(&folder, &stem, extension.as_deref());
        (folder, name)
    }

    fn root(&mut self, id: i64) -> Result<PathBuf> {
        if let Some(path) = self.roots.get(&id) {
            return Ok(path.clone());
        }
        let path = root_path(self.connection, id)?;
        self.roots.insert(id, path.clone());
        Ok(path)
    }

    /// Returns what the whole is called.
    fn title(&self, wanted: &Wanted, ids: &[TrackId]) -> Result<String> {
        Ok(match wanted {
            Wanted::Album(_) => {
                let tags = match ids.first() {
                    Some(&first) => shown::tags_of(self.connection, first)?.unwrap_or_default(),
                    None => Default::default(),
                };
                let artist = match tags.album_artist {
                    None if tags.compilation => None,
                    named => named.or(tags.artist),
                };
                [artist, tags.album].into_iter().flatten().collect::<Vec<_>>().join(" - ")
            }
            Wanted::Playlist(id) => finding::list_name(self.connection, *id)?.unwrap_or_default(),
            Wanted::Tracks(_) => "Tracks".to_owned(),
            Wanted::Purchases => "Purchases".to_owned(),
            Wanted::All => "Everything".to_owned(),
        })
    }

    /// Writes the order down: beside the music of an album, at the top of other choices, and of everything each playlist.
    fn playlists(&mut self, wanted: &Wanted, title: &str, ids: &[TrackId], now: UnixTime) -> Result<()> {
        let lists = match wanted {
            Wanted::All => finding::every_list(self.connection)?,
            Wanted::Playlist(id) => vec![(*id, title.to_owned())],
            Wanted::Album(_) | Wanted::Tracks(_) | Wanted::Purchases => {
                let first =
                    ids.iter().find_map(|id| self.gone_out.get(id)).map(|&at| self.files[at].name.as_str());
                let beside = first.and_then(|name| name.rsplit_once('/')).map_or("", |(folder, _)| folder);
                let folder =
                    if matches!(wanted, Wanted::Album(_)) { beside.to_owned() } else { String::new() };
                let out = Out { files: &self.files, of: &self.gone_out };
                let connection = self.connection;
                let part = self.spool.put(|to| texts::playlist_of(connection, ids, &folder, &out, to))?;
                self.text(&folder, title, "m3u8", part, now);
                return Ok(());
            }
        };
        let folder = if *wanted == Wanted::All { "Playlists" } else { "" };
        for (id, name) in lists {
            let out = Out { files: &self.files, of: &self.gone_out };
            let connection = self.connection;
            let part = self.spool.put(|to| texts::playlist(connection, id, folder, &out, to))?;
            self.text(folder, &name, "m3u8", part, now);
        }
        Ok(())
    }

    /// Adds a text that was made.
    pub(super) fn text(&mut self, folder: &str, stem: &str, extension: &str, part: Part, now: UnixTime) {
        let name = self.names.take(folder, stem, Some(extension));
        let (size, from) = (ByteCount(part.size), Bytes::Text { at: part.at });
        self.files.push(Planned { name, size, modified: now, from });
    }
}

/// The name under which each track goes out.
pub struct Out<'b> {
    /// What goes out.
    pub(super) files: &'b [Planned],
    /// The first file of each track.
    pub(super) of: &'b HashMap<TrackId, usize>,
}

impl Out<'_> {
    /// Returns the name of a track's file; `None` when it stays.
    pub fn of(&self, track: TrackId) -> Option<&str> {
        self.of.get(&track).map(|&at| self.files[at].name.as_str())
    }
}

/// Returns why a file stays, for anybody: what is not allowed says so itself, other errors may name paths of the machine.
pub(super) fn words_of(error: &Error) -> String {
    match error.kind() {
        Kind::NotAllowed => error.to_string(),
        Kind::Offline => "its disk is not there now".to_owned(),
        Kind::NotFound => "its file is not there now".to_owned(),
        Kind::Busy => "its file changes just now".to_owned(),
        _ => "its file cannot be read now".to_owned(),
    }
}

/// Returns where a file of the shelf lies.
///
/// # Errors
/// `NotFound`, and those of the database.
pub fn path_of(connection: &Connection, copy: CopyId) -> Result<PathBuf> {
    let row = tracks::copy(connection, copy)?;
    let row = row.ok_or_else(|| Error::new(Kind::NotFound, format!("there is no file {}", copy.0)))?;
    Ok(root_path(connection, row.root)?.join(row.path))
}

/// Returns where the music folders are.
///
/// # Errors
/// Those of the database.
pub fn roots(connection: &Connection) -> Result<Vec<PathBuf>> {
    let mut statement = connection.prepare("SELECT path FROM root")?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0).map(PathBuf::from))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Lines about what stays that are told beside the file that has them all.
const MOST_LEFT_TOLD: usize = 20;
