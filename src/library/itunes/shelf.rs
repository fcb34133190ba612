//! The shelf as a library of another program may find its songs in it: 88 bytes a file, for as long as the reading takes.

use rusqlite::Connection;

use crate::error::Result;
use crate::library::find::groups::id_of_bytes;
use crate::library::store::shown::unpacked;
use crate::media::itunes_xml::{Location, Track, last_of};
use crate::media::text::fold;
use crate::track::TrackId;

/// One way to find a track: a hash, the track, how long it sounds in milliseconds, 0 unknown.
type Way = (i64, i64, u32);

/// What songs are told by.
#[derive(Debug, Default)]
pub struct Shelf {
    /// The last folders and the name of each file.
    places: Vec<Way>,
    /// Name and size of each file.
    files: Vec<Way>,
    /// Title, artist and album of each track.
    words: Vec<Way>,
    /// The title of each track, by its number.
    titles: Vec<(i64, i64)>,
    /// Tracks whose own files prove a buy at iTunes.
    proven: Vec<i64>,
}

impl Shelf {
    /// Reads all files that are on the shelf.
    ///
    /// # Errors
    /// Those of the database.
    pub fn read(connection: &Connection) -> Result<Shelf> {
        let mut shelf = Shelf::default();
        let sql = "SELECT copy.track, name, size, duration, tags, path FROM
                       (SELECT track, name, size, duration, path FROM copy JOIN folder ON folder.id = folder
                        WHERE trashed IS NULL AND missing IS NULL) AS copy
                   JOIN idx.shown ON shown.track = copy.track";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (track, size): (i64, i64) = (row.get(0)?, row.get(2)?);
            let lasts = u32::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
            let name = String::from_utf8_lossy(row.get_ref(1)?.as_bytes().unwrap_or_default());
            let folder = String::from_utf8_lossy(row.get_ref(5)?.as_bytes().unwrap_or_default());
            if let Some(tail) = last_of(&format!("{folder}/{name}")) {
                shelf.places.push((hash(tail), track, lasts));
            }
            shelf.files.push((file(&name, size.unsigned_abs()), track, lasts));
            let tags = unpacked(row.get_ref(4)?.as_str().unwrap_or_default())?;
            if let Some(title) = &tags.title {
                shelf.titles.push((track, hash(title)));
            }
            if let (Some(title), Some(artist)) = (&tags.title, &tags.artist) {
                shelf.words.push((words(title, artist, tags.album.as_deref()), track, lasts));
            }
        }
        let sql = "SELECT DISTINCT track FROM purchase
                   WHERE store = 'itunes' AND level >= 2 AND track IS NOT NULL ORDER BY track";
        let mut statement = connection.prepare(sql)?;
        let proven = statement.query_map([], |row| row.get(0))?;
        shelf.proven = proven.collect::<rusqlite::Result<_>>()?;
        shelf.places.sort_unstable();
        shelf.files.sort_unstable();
        shelf.words.sort_unstable();
        shelf.titles.sort_unstable();
        Ok(shelf)
    }

    /// Returns the track that a song is: by where its file lies, else by the name and size of its file, else by title, artist
    /// and album, the length being alike wherever both are known. Where it lies tells nothing without both lengths, and nothing
    /// of a file with another title. Of several the one that two of them tell, else the first that came.
    pub fn find(&self, song: &Track) -> Option<TrackId> {
        let lasts = song.total_time.map_or(0, |time| time.0);
        let tail = song.location.as_ref().and_then(Location::tail).filter(|_| lasts > 0);
        let by_place = tail.map(|tail| {
            let mut there = near(&self.places, hash(tail), lasts, Unknown::Differs);
            there.retain(|track| !self.is_called_otherwise(*track, song));
            there
        });
        let name = song.location.as_ref().and_then(Location::name);
        let by_file = name
            .zip(song.size)
            .map(|(name, size)| near(&self.files, file(name, size.0), lasts, Unknown::Alike));
        let artist = song.artist.as_ref().or(song.album_artist.as_ref());
        let by_words = song.name.as_ref().zip(artist).map(|(title, artist)| {
            near(&self.words, words(title, artist, song.album.as_deref()), lasts, Unknown::Alike)
        });
        let ways = [by_place, by_file, by_words].map(Option::unwrap_or_default);
        let told_by = |track: &i64| ways.iter().filter(|way| way.contains(track)).count();
        let mut all = ways.iter().flatten();
        let twice = all.clone().find(|track| told_by(track) > 1);
        twice.or(all.next()).map(|&track| TrackId(track))
    }

    fn is_called_otherwise(&self, track: i64, song: &Track) -> bool {
        let known = self.titles.partition_point(|&(of, _)| of < track);
        let known = self.titles.get(known).filter(|&&(of, _)| of == track);
        known.zip(song.name.as_ref()).is_some_and(|(&(_, title), name)| title != hash(name))
    }

    /// Returns whether a file of the track itself proves that it was bought at iTunes.
    pub fn proves(&self, track: TrackId) -> bool {
        self.proven.binary_search(&track.0).is_ok()
    }
}

/// Returns the tracks under a hash that last as long, ±2 s (reference purchases 4.4).
fn near(ways: &[Way], hash: i64, lasts: u64, unknown: Unknown) -> Vec<i64> {
    let from = ways.partition_point(|&(known, ..)| known < hash);
    let under = ways[from..].iter().take_while(|&&(known, ..)| known == hash).take(MOST_ALIKE);
    let alike = |known: u64| match known == 0 || lasts == 0 {
        true => unknown == Unknown::Alike,
        false => known.abs_diff(lasts) <= NEAR,
    };
    under.filter(|&&(.., known)| alike(known.into())).map(|&(_, track, _)| track).collect()
}

/// What a length that is not known counts as.
#[derive(Clone, Copy, PartialEq)]
enum Unknown {
    Alike,
    Differs,
}

fn hash(text: &str) -> i64 {
    id_of_bytes(fold(text).as_bytes()).0
}

/// File systems spell letters with marks in two ways, and do not all tell large letters from small ones.
fn file(name: &str, size: u64) -> i64 {
    id_of_bytes(format!("{}\0{size}", fold(name)).as_bytes()).0
}

fn words(title: &str, artist: &str, album: Option<&str>) -> i64 {
    let text = format!("{}\0{}\0{}", fold(title), fold(artist), fold(album.unwrap_or_default()));
    id_of_bytes(text.as_bytes()).0
}

/// Milliseconds.
const NEAR: u64 = 2_000;
/// Files of one name and size that are looked at.
const MOST_ALIKE: usize = 64;
