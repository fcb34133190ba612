//! `iTunes Music Library.xml`, as iTunes keeps it and Music exports it (reference purchases 4.4): tracks and playlists one by
//! one, from a stream, in little memory whatever its size. Pure; what a track means on this shelf is decided elsewhere.

mod location;

use std::io::Read;

use crate::error::{Error, Kind, Result};
use crate::media::plist::{Part, Plist};
use crate::units::{ByteCount, Millis, UnixTime};

pub use location::{Location, last_of};

/// One thing that a library tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// What stands in front of the tracks. Once, before the first of them.
    Library(Library),
    /// A track.
    Track(Box<Track>),
    /// A playlist, its tracks in order.
    List(List),
}

/// The library itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Library {
    /// Version of the program that wrote it, e.g. `12.9.5.5`.
    pub version: Option<String>,
    /// The folder of its media: the prefix to be replaced when it moved to another machine.
    pub folder: Option<Location>,
    /// Its identity.
    pub persistent_id: Option<PersistentId>,
}

/// The 64 bits that iTunes knows a track, a playlist or a library by, on every device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersistentId(pub u64);

/// The number of a track within one file of a library; another export may number anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackNumber(pub u32);

/// Where the bytes of a track are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Place {
    /// A file on the machine of the library.
    #[default]
    File,
    /// In the cloud.
    Remote,
    /// A stream.
    Url,
}

/// A track as the library has it. An empty text never appears; 0 of a count is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Track {
    /// Its number in this file, which playlists use.
    pub number: Option<TrackNumber>,
    /// `Persistent ID`.
    pub persistent_id: Option<PersistentId>,
    /// `Name`.
    pub name: Option<String>,
    /// `Artist`.
    pub artist: Option<String>,
    /// `Album Artist`.
    pub album_artist: Option<String>,
    /// `Composer`.
    pub composer: Option<String>,
    /// `Album`.
    pub album: Option<String>,
    /// `Genre`.
    pub genre: Option<String>,
    /// `Kind` in the words of the library's language, e.g. `Purchased AAC audio file`.
    pub kind: Option<String>,
    /// `Sort Name`.
    pub name_sort: Option<String>,
    /// `Sort Artist`.
    pub artist_sort: Option<String>,
    /// `Sort Album`.
    pub album_sort: Option<String>,
    /// `Sort Album Artist`.
    pub album_artist_sort: Option<String>,
    /// `Size` of the file; up to 2 TiB.
    pub size: Option<ByteCount>,
    /// `Total Time`; up to 4 weeks.
    pub total_time: Option<Millis>,
    /// `Disc Number`, 1..=9999.
    pub disc: Option<u32>,
    /// `Disc Count`.
    pub discs: Option<u32>,
    /// `Track Number`.
    pub track: Option<u32>,
    /// `Track Count`.
    pub tracks: Option<u32>,
    /// `Year`.
    pub year: Option<u32>,
    /// `Date Added`: of a purchase about the day of the buy.
    pub added: Option<UnixTime>,
    /// `Release Date`.
    pub released: Option<UnixTime>,
    /// `Play Count`.
    pub plays: u32,
    /// `Play Date UTC`, the last time.
    pub played: Option<UnixTime>,
    /// `Skip Count`.
    pub skips: u32,
    /// `Rating`, 1..=100, 20 a star, as a person gave it; a computed one is none.
    pub rating: Option<u8>,
    /// `Loved`, or `Favorited` since Music 1.4.
    pub loved: bool,
    /// `Purchased`.
    pub purchased: bool,
    /// `Protected`: with FairPlay.
    pub protected: bool,
    /// `Matched`: of iTunes Match.
    pub matched: bool,
    /// `Apple Music`: rented, not bought.
    pub rented: bool,
    /// `Compilation`.
    pub compilation: bool,
    /// A film, a series, a podcast or a booklet: no music.
    pub other_media: bool,
    /// `Normalization`: Sound Check, against 1000, in energy.
    pub normalization: Option<u32>,
    /// `Track Type`.
    pub place: Place,
    /// `Location`.
    pub location: Option<Location>,
}

/// A playlist.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct List {
    /// `Name`.
    pub name: Option<String>,
    /// `Playlist Persistent ID`.
    pub persistent_id: Option<PersistentId>,
    /// `Parent Persistent ID`: the folder that it lies in.
    pub parent: Option<PersistentId>,
    /// `Master`: all tracks of the library.
    pub master: bool,
    /// `Distinguished Kind`: 4 music, 19 purchases, 2 films…; `None` for those of a person.
    pub distinguished: Option<u32>,
    /// `Purchased Music`: with kind 19 it is the list of all purchases, whatever its name.
    pub purchased: bool,
    /// `Folder`: of other playlists.
    pub folder: bool,
    /// `Smart Info`: filled by rules.
    pub smart: bool,
    /// `Playlist Items`, in order, a track as often as it stands there.
    pub tracks: Vec<TrackNumber>,
    /// There are more tracks than were kept.
    pub cut: bool,
}

/// Returns what a library tells, in the order of the file. After an error nothing comes; what came before it is whole.
///
/// The errors of the iterator: `Unsupported`, in words for a person, for another kind of file; `Damaged` where it breaks off
/// or is broken; those of reading.
pub fn read<R: Read>(from: R) -> Entries<R> {
    Entries { list: Plist::new(from), at: At::Start, library: Some(Library::default()) }
}

/// See [`read`].
pub struct Entries<R: Read> {
    list: Plist<R>,
    at: At,
    /// `None` once it was told.
    library: Option<Library>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Start,
    Root,
    Tracks,
    Lists,
    End,
}

impl<R: Read> Iterator for Entries<R> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Result<Entry>> {
        if self.at == At::End {
            return None;
        }
        let entry = self.entry().transpose();
        if !matches!(entry, Some(Ok(_))) {
            self.at = At::End;
        }
        entry
    }
}

impl<R: Read> Entries<R> {
    fn entry(&mut self) -> Result<Option<Entry>> {
        loop {
            let Some(part) = self.list.next_part()? else { return Ok(None) };
            match (self.at, part) {
                (At::Start, Part::Dict) => self.at = At::Root,
                (At::Start, _) => return Err(foreign()),
                (At::Root, Part::Key(key)) => {
                    if let Some(library) = self.of_root(&key)? {
                        return Ok(Some(Entry::Library(library)));
                    }
                }
                (At::Root, Part::End) => {
                    // A library without tracks, and any other property list, end here.
                    let told = self.library.take().map(|library| {
                        library.persistent_id.is_some().then_some(Entry::Library(library)).ok_or_else(foreign)
                    });
                    return told.transpose();
                }
                (At::Tracks | At::Lists, Part::End) => self.at = At::Root,
                (At::Tracks, Part::Dict) => {
                    return self.track().map(|track| Some(Entry::Track(Box::new(track))));
                }
                (At::Lists, Part::Dict) => return self.playlist().map(|list| Some(Entry::List(list))),
                (_, Part::Array | Part::Dict) => self.list.skip()?,
                _ => {}
            }
        }
    }

    /// Reads the value of a key of the root. Returns the library when its tracks or lists begin.
    fn of_root(&mut self, key: &str) -> Result<Option<Library>> {
        let Some(value) = self.list.next_part()? else { return Ok(None) };
        match (key, value) {
            ("Tracks", Part::Dict) => self.at = At::Tracks,
            ("Playlists", Part::Array) => self.at = At::Lists,
            (_, Part::Dict | Part::Array) => {
                self.list.skip()?;
                return Ok(None);
            }
            (_, value) => {
                let library = self.library.get_or_insert_default();
                match key {
                    "Application Version" => library.version = text(value),
                    "Music Folder" => library.folder = text(value).and_then(|url| Location::of(&url)),
                    "Library Persistent ID" => library.persistent_id = persistent(value),
                    _ => {}
                }
                return Ok(None);
            }
        }
        Ok(self.library.take())
    }

    /// Calls `put` with each key and plain value of the dictionary that began; `within` with each that holds others, and it
    /// has to read up to its end.
    fn each(
        &mut self,
        mut put: impl FnMut(&str, Part),
        mut within: impl FnMut(&str, &Part, &mut Plist<R>) -> Result<()>,
    ) -> Result<()> {
        let mut key = String::new();
        while let Some(part) = self.list.next_part()? {
            match part {
                Part::End => return Ok(()),
                Part::Key(name) => key = name,
                Part::Dict | Part::Array => within(&key, &part, &mut self.list)?,
                value => put(&key, value),
            }
        }
        Ok(())
    }

    fn track(&mut self) -> Result<Track> {
        let (mut track, mut computed) = (Track::default(), false);
        let put = |key: &str, value: Part| match key {
            "Rating Computed" => computed = value == Part::Flag(true),
            _ => track.put(key, value),
        };
        self.each(put, |_, _, list| list.skip())?;
        track.rating = track.rating.filter(|_| !computed);
        Ok(track)
    }

    fn playlist(&mut self) -> Result<List> {
        let (mut list, mut tracks, mut cut) = (List::default(), Vec::new(), false);
        let within = |key: &str, part: &Part, parts: &mut Plist<R>| match (key, part) {
            ("Playlist Items", Part::Array) => items(parts, &mut tracks, &mut cut),
            _ => parts.skip(),
        };
        self.each(|key, value| list.put(key, value), within)?;
        Ok(List { tracks, cut, ..list })
    }
}

/// `Playlist Items`: an array of dictionaries with a `Track ID` each.
fn items<R: Read>(parts: &mut Plist<R>, tracks: &mut Vec<TrackNumber>, cut: &mut bool) -> Result<()> {
    let (mut open, mut is_track) = (1, false);
    while open > 0 {
        match parts.next_part()? {
            Some(Part::Dict | Part::Array) => open += 1,
            Some(Part::End) => open -= 1,
            Some(Part::Key(key)) => is_track = key == "Track ID",
            Some(Part::Number(number)) if is_track => {
                *cut |= tracks.len() >= MOST_LISTED;
                tracks.extend(u32::try_from(number).ok().filter(|_| !*cut).map(TrackNumber));
            }
            Some(_) => {}
            None => return Ok(()),
        }
    }
    Ok(())
}

impl Track {
    fn put(&mut self, key: &str, value: Part) {
        let is = value == Part::Flag(true);
        match key {
            "Track ID" => self.number = number(value, u32::MAX.into()).map(TrackNumber),
            "Persistent ID" => self.persistent_id = persistent(value),
            "Name" => self.name = text(value),
            "Artist" => self.artist = text(value),
            "Album Artist" => self.album_artist = text(value),
            "Composer" => self.composer = text(value),
            "Album" => self.album = text(value),
            "Genre" => self.genre = text(value),
            "Kind" => self.kind = text(value),
            "Sort Name" => self.name_sort = text(value),
            "Sort Artist" => self.artist_sort = text(value),
            "Sort Album" => self.album_sort = text(value),
            "Sort Album Artist" => self.album_artist_sort = text(value),
            "Size" => self.size = within(value, LARGEST_FILE).map(ByteCount),
            "Total Time" => self.total_time = within(value, LONGEST_TIME).map(Millis),
            "Disc Number" => self.disc = number(value, MOST_COUNT),
            "Disc Count" => self.discs = number(value, MOST_COUNT),
            "Track Number" => self.track = number(value, MOST_COUNT),
            "Track Count" => self.tracks = number(value, MOST_COUNT),
            "Year" => self.year = number(value, MOST_COUNT),
            "Date Added" => self.added = date(value),
            "Release Date" => self.released = date(value),
            "Play Count" => self.plays = number(value, u32::MAX.into()).unwrap_or(0),
            "Play Date UTC" => self.played = date(value),
            "Skip Count" => self.skips = number(value, u32::MAX.into()).unwrap_or(0),
            "Rating" => self.rating = number(value, 100).and_then(|stars| u8::try_from(stars).ok()),
            "Loved" | "Favorited" => self.loved |= is,
            "Purchased" => self.purchased = is,
            "Protected" => self.protected = is,
            "Matched" => self.matched = is,
            "Apple Music" => self.rented = is,
            "Compilation" => self.compilation = is,
            "Has Video" | "Movie" | "TV Show" | "Podcast" | "Audiobooks" | "Books" => self.other_media |= is,
            "Normalization" => self.normalization = number(value, u32::MAX.into()),
            "Track Type" => {
                self.place = match text(value).as_deref() {
                    Some("Remote") => Place::Remote,
                    Some("URL") => Place::Url,
                    _ => Place::File,
                }
            }
            "Location" => self.location = text(value).and_then(|url| Location::of(&url)),
            _ => {}
        }
    }
}

impl List {
    fn put(&mut self, key: &str, value: Part) {
        match key {
            "Name" => self.name = text(value),
            "Playlist Persistent ID" => self.persistent_id = persistent(value),
            "Parent Persistent ID" => self.parent = persistent(value),
            "Master" => self.master = value == Part::Flag(true),
            "Distinguished Kind" => self.distinguished = number(value, u32::MAX.into()),
            "Purchased Music" => self.purchased = value == Part::Flag(true),
            "Folder" => self.folder = value == Part::Flag(true),
            // Its rules are data that only iTunes reads.
            "Smart Info" | "Smart Criteria" => self.smart = true,
            _ => {}
        }
    }
}

/// Text as people write it; what is longer than any name is none.
fn text(value: Part) -> Option<String> {
    let Part::Text(text) = value else { return None };
    let text: String = text.trim().chars().filter(|c| !c.is_control()).collect();
    (!text.is_empty() && text.len() <= LONGEST_TEXT).then_some(text)
}

fn within(value: Part, most: u64) -> Option<u64> {
    let Part::Number(number) = value else { return None };
    u64::try_from(number).ok().filter(|number| (1..=most).contains(number))
}

fn number(value: Part, most: u64) -> Option<u32> {
    within(value, most).and_then(|number| u32::try_from(number).ok())
}

fn date(value: Part) -> Option<UnixTime> {
    let Part::Date(date) = value else { return None };
    Some(date)
}

/// 16 hex digits.
fn persistent(value: Part) -> Option<PersistentId> {
    let Part::Text(text) = value else { return None };
    let hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u64::from_str_radix(&text, 16).ok().map(PersistentId)).flatten()
}

fn foreign() -> Error {
    let what = "this is not a library that iTunes or Music exported (File, Library, Export Library)";
    Error::new(Kind::Unsupported, what)
}

/// Bytes of a text that is kept.
const LONGEST_TEXT: usize = 4096;
/// Bytes of a file: 2 TiB.
const LARGEST_FILE: u64 = 2 << 40;
/// Milliseconds: 4 weeks.
const LONGEST_TIME: u64 = 28 * 86_400_000;
/// A number on a disc, and a year.
const MOST_COUNT: u64 = 9999;
/// Tracks of one playlist.
const MOST_LISTED: usize = 1_000_000;

#[cfg(test)]
mod tests;
