//! A library that iTunes or Music exported (reference purchases 4.4), taken over: what it tells of tracks that are here, and
//! every buy, of tracks that are here or not. The file is read twice, from front to back, in little memory whatever its
//! size: playlists stand behind the tracks that they name. The same file again adds nothing.

mod shelf;

use std::fmt;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::library::itunes::shelf::Shelf;
use crate::library::store::past_tracks::{self, PastTrack};
use crate::library::{Inner, Library, past};
use crate::media::itunes_xml::{self, Entry, List, PersistentId, Place, TrackNumber};
use crate::offer::Provenance;
use crate::track::past::{HistoryAdded, PastPurchase};
use crate::track::{Evidence, Purchase, PurchaseLevel, TrackId};
use crate::units::UnixTime;

/// What a library told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ItunesRead {
    /// Songs in it.
    pub songs: u64,
    /// Those that are on this shelf.
    pub here: u64,
    /// Those of them of which it told something new: plays, marks, readings, an earlier day.
    pub news: u64,
    /// Songs that were bought.
    pub bought: u64,
    /// Buys that were not known.
    pub new_buys: u64,
}

impl fmt::Display for ItunesRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ItunesRead { songs, here, bought, new_buys, .. } = self;
        write!(
            f,
            "read: {here} of its {songs} songs are here; {bought} were bought, {new_buys} of that was not known"
        )
    }
}

impl Library {
    /// Takes over what a library of iTunes or Music tells. `name` is what its file is called; `go_on` is asked from time to
    /// time, and the work ends when it says no: the next reading goes over it again.
    ///
    /// # Errors
    /// `Unsupported` for another kind of file and `Damaged` for one that breaks off, in words for a person, before anything
    /// is taken over; `Stopped`, `Offline`, those of reading and of the database.
    ///
    /// # Blocks
    /// Some seconds for a file of 300 MB.
    pub fn read_itunes(&self, path: &Path, name: &str, go_on: &dyn Fn() -> bool) -> Result<ItunesRead> {
        let bought = bought_in_lists(path, go_on)?;
        let shelf = self.inner.store.read_blocking(Shelf::read)?;
        let mut taking = Taking {
            inner: &self.inner,
            shelf,
            name,
            bought,
            library: 0,
            read: ItunesRead::default(),
            batch: Batch::default(),
        };
        for (number, entry) in open(path)?.enumerate() {
            if number % BATCH == 0 && !go_on() {
                return Err(stopped());
            }
            match entry? {
                Entry::Library(library) => taking.library = bits(library.persistent_id),
                Entry::Track(song) => taking.song(&song)?,
                // Where tools that sort keys wrote the file, the lists stand in front of the tracks.
                Entry::List(_) => {}
            }
        }
        taking.write()?;
        Ok(taking.read)
    }
}

/// Returns the songs in the lists of purchases, in order of their numbers.
fn bought_in_lists(path: &Path, go_on: &dyn Fn() -> bool) -> Result<Vec<TrackNumber>> {
    let mut bought = Vec::new();
    for (number, entry) in open(path)?.enumerate() {
        if number % BATCH == 0 && !go_on() {
            return Err(stopped());
        }
        if let Entry::List(list) = entry?
            && is_of_purchases(&list)
        {
            bought.extend(list.tracks);
        }
    }
    bought.sort_unstable();
    bought.dedup();
    Ok(bought)
}

/// The list of all purchases, and those of single devices.
fn is_of_purchases(list: &List) -> bool {
    list.distinguished == Some(DISTINGUISHED_PURCHASES) && !list.folder
}

fn open(path: &Path) -> Result<itunes_xml::Entries<BufReader<File>>> {
    let file = File::open(path).map_err(|error| Error::io(format!("open {}", path.display()), error))?;
    Ok(itunes_xml::read(BufReader::with_capacity(READ, file)))
}

/// A library that is being taken over.
struct Taking<'a> {
    inner: &'a std::sync::Arc<Inner>,
    shelf: Shelf,
    name: &'a str,
    bought: Vec<TrackNumber>,
    library: i64,
    read: ItunesRead,
    batch: Batch,
}

/// What is written at once.
#[derive(Default)]
struct Batch {
    songs: Vec<PastTrack>,
    since: Vec<(TrackId, UnixTime)>,
    buys: Vec<PastPurchase>,
}

impl Taking<'_> {
    fn song(&mut self, song: &itunes_xml::Track) -> Result<()> {
        if song.other_media || song.place == Place::Url || song.name.is_none() {
            return Ok(());
        }
        self.read.songs += 1;
        let track = self.shelf.find(song);
        if let Some(track) = track {
            self.read.here += 1;
            self.batch.songs.extend(told(self.library, track, song));
            self.batch.since.extend(song.added.map(|added| (track, added)));
        }
        let listed = song.number.is_some_and(|number| self.bought.binary_search(&number).is_ok());
        if !song.rented && (song.purchased || song.protected || listed) {
            self.read.bought += 1;
            // What the file itself proves needs no library to claim it.
            if !track.is_some_and(|track| self.shelf.proves(track)) {
                self.batch.buys.push(buy(self.name, track, song, listed));
            }
        }
        if self.batch.since.len() + self.batch.buys.len() >= BATCH {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let (inner, batch) = (self.inner.clone(), std::mem::take(&mut self.batch));
        let answer = self.inner.store.hand_over(move |connection| {
            let buys = if batch.buys.is_empty() {
                HistoryAdded::default()
            } else {
                past::add(&inner, connection, batch.buys)?
            };
            let transaction = connection.transaction()?;
            let mut news = past_tracks::put(&transaction, &batch.songs, UnixTime::now())?;
            for (track, since) in batch.since {
                news += u64::from(past_tracks::was_there(&transaction, track, since)?);
            }
            if news > 0 {
                inner.commit(transaction)?;
            }
            Ok((news, buys))
        })?;
        let written = answer.blocking_recv();
        let (news, buys) =
            written.map_err(|_| Error::new(Kind::Internal, "the writer of the database broke"))??;
        self.read.news += news;
        self.read.new_buys += buys.added;
        Ok(())
    }
}

/// Returns what is told of a song that is here; `None` when that is nothing, or it has no number to know it again by.
fn told(library: i64, track: TrackId, song: &itunes_xml::Track) -> Option<PastTrack> {
    let sorts = [&song.name_sort, &song.artist_sort, &song.album_sort, &song.album_artist_sort];
    let sorts =
        sorts.iter().any(|sort| sort.is_some()).then(|| serde_json::to_string(&sorts).unwrap_or_default());
    let tells = song.plays > 0 || song.skips > 0 || song.rating.is_some() || song.loved || sorts.is_some();
    let item = song.persistent_id.filter(|_| tells)?;
    Some(PastTrack {
        library,
        item: bits(Some(item)),
        track,
        plays: song.plays,
        played: song.played,
        skips: song.skips,
        rating: song.rating,
        loved: song.loved,
        sorts,
    })
}

/// Returns a buy as the library claims it: the day when the song was added is about the day of the buy.
fn buy(name: &str, track: Option<TrackId>, song: &itunes_xml::Track, listed: bool) -> PastPurchase {
    let id = song.persistent_id.map(|id| format!("{:016X}", id.0));
    let fact = |place: &str, text: &str| Evidence {
        place: format!("itunesxml:{place}"),
        text: text.to_owned(),
        personal: false,
    };
    let facts = [
        id.as_deref().map(|id| fact("Persistent ID", id)),
        song.purchased.then(|| fact("Purchased", "true")),
        song.protected.then(|| fact("Protected", "true")),
        listed.then(|| fact("Distinguished Kind", "19")),
        song.kind.as_deref().map(|kind| fact("Kind", kind)),
    ];
    PastPurchase {
        track,
        title: song.name.clone(),
        artist: song.artist.clone(),
        album: song.album.clone(),
        duration: song.total_time.unwrap_or_default(),
        persistent_id: id,
        purchase: Purchase {
            bought_at: song.added.and_then(|added| added.rfc3339().get(..10).map(str::to_owned)),
            evidence: facts.into_iter().flatten().collect(),
            ..Purchase::at(STORE, PurchaseLevel::Claimed)
        },
        from: Provenance { way: STORE.to_owned(), original_name: name.to_owned(), ..Provenance::default() },
    }
}

/// The number as the database keeps it.
fn bits(id: Option<PersistentId>) -> i64 {
    id.map_or(0, |id| id.0 as i64)
}

fn stopped() -> Error {
    Error::new(Kind::Stopped, "konpo is stopping")
}

/// The name of the store, and of the way that its history came.
const STORE: &str = "itunes";
/// `Distinguished Kind` of lists of purchases.
const DISTINGUISHED_PURCHASES: u32 = 19;
/// Songs that are written in one transaction, and between two questions whether to go on.
const BATCH: usize = 1000;
const READ: usize = 256 << 10;

#[cfg(test)]
mod tests;
