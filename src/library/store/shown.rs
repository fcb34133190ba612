//! What a track shows: its tags, and the folded texts that searches and sorting use.
//!
//! `head` holds what the tracks of an album share, `line` the rest, so that a search looks at an album's words once.

use rusqlite::{Connection, OptionalExtension, params};

use crate::error::Result;
use crate::library::find::groups::id_of_bytes;
use crate::library::store::{corrections, from_json, keep, kept, purchases, same, to_json};
use crate::media::text::{self, romaji, sort_key};
use crate::query::GroupId;
use crate::track::{AudioFormat, CopyId, PersonalBytes, Protection, Tags, TrackId};

/// Between the fields of a text.
pub const FIELD: char = '\u{1f}';
/// Between the values of one field.
pub const VALUE: char = '\u{1e}';
/// Between the parts of a sort key; below everything that a part holds.
pub const PART: u8 = 0;

/// Bits of `marks`.
pub mod mark {
    /// A decoder may and can open a copy.
    pub const PLAYABLE: u8 = 1;
    /// Something proves a buy.
    pub const BOUGHT: u8 = 2;
    /// Part of a compilation.
    pub const COMPILATION: u8 = 4;
    /// Nothing of it lies on the shelf now; it stands in no list.
    pub const GONE: u8 = 8;
}

/// Fields of `head`.
pub mod head {
    /// The album.
    pub const ALBUM: usize = 0;
    /// Its artist.
    pub const ARTIST: usize = 1;
}

/// Fields of `line`.
pub mod line {
    /// The title.
    pub const TITLE: usize = 0;
    /// Artists by name; empty when the album's artist is the only one.
    pub const ARTISTS: usize = 1;
    /// The credit, when it is none of the artists.
    pub const CREDIT: usize = 2;
    /// Fields up to here are searched; then the readings.
    pub const READINGS: usize = 3;
    /// Genres.
    pub const GENRES: usize = 4;
    /// Composers.
    pub const COMPOSERS: usize = 5;
    /// Year.
    pub const YEAR: usize = 6;
    /// The title's sort key, when it is not the title.
    pub const TITLE_KEY: usize = 7;
    /// The artist's sort key, when the tags tell it.
    pub const ARTIST_KEY: usize = 8;
    /// How many there are.
    pub const FIELDS: usize = 9;
}

/// What a track shows, ready for the database. Made outside of the writer's thread.
#[derive(Debug, Clone)]
pub struct Shown {
    /// JSON of [`Tags`].
    pub tags: String,
    /// Sort key.
    pub key: Vec<u8>,
    /// Folded, shared by the album.
    pub head: String,
    /// Folded, of the track.
    pub line: String,
    /// Part of a compilation.
    pub compilation: bool,
    /// Tells a replacement: album, disc, number and title; `None` without a title.
    pub alike: Option<i64>,
    /// How full the tags are.
    pub fullness: i64,
    /// Tells a song by folded artist and title; `None` without both.
    pub song: Option<i64>,
    /// The recording code.
    pub isrc: Option<String>,
}

impl Shown {
    /// Returns what these tags show.
    ///
    /// # Errors
    /// None at present.
    pub fn of(tags: &Tags) -> Result<Shown> {
        let text = |value: &Option<String>| value.as_deref().map(fold).unwrap_or_default();
        let (title, album, credit) = (text(&tags.title), text(&tags.album), text(&tags.artist));
        let album_artist = match &tags.album_artist {
            Some(name) => fold(name),
            None if tags.compilation => String::new(),
            None => credit.clone(),
        };
        let mut artists: Vec<String> = tags.artists.iter().map(|name| fold(name)).collect();
        if artists.is_empty() && !credit.is_empty() {
            artists.push(credit.clone());
        }
        let other_credit = if artists.contains(&credit) { "" } else { &credit };
        let alone = artists.len() == 1 && artists[0] == album_artist && other_credit.is_empty();
        let year = tags.date.as_deref().and_then(|date| date.get(..4)).unwrap_or_default();
        let key = |sort: &Option<String>, shown: &Option<String>| {
            sort.as_deref().or(shown.as_deref()).map(sort_key).unwrap_or_default()
        };
        let title_key = key(&tags.title_sort, &tags.title);
        let artist_key = tags.artist_sort.as_deref().map(sort_key).unwrap_or_default();
        // The artist's reading serves the album while the artist is the album's; a compilation without one has none.
        let shared = match &tags.album_artist {
            Some(name) => Some(name) == tags.artist.as_ref(),
            None => !tags.compilation,
        };
        let album_reading =
            tags.album_artist_sort.clone().or_else(|| tags.artist_sort.clone().filter(|_| shared));
        let artist_part = match (&album_reading, &tags.album_artist, tags.compilation) {
            (Some(reading), ..) => sort_key(reading),
            (None, Some(name), _) => sort_key(name),
            (None, None, true) => String::new(),
            (None, None, false) => key(&None, &tags.artist),
        };
        // A reading of no name makes no album.
        let album_part = key(&tags.album_sort.clone().filter(|_| tags.album.is_some()), &tags.album);
        // An album whose tracks are from several years is one all the same when it is a compilation.
        let album_year = if tags.compilation || tags.album.is_none() { "" } else { year };
        let number =
            format!("{:04}{:06}", tags.disc.unwrap_or(0).min(9999), tags.track.unwrap_or(0).min(999_999));
        // Its number orders a track; without one its title does.
        let last = if tags.track.is_none() { title_key.as_str() } else { "" };
        let parts = [&artist_part, &album_part, album_year, &number, last];
        let key = parts.map(str::as_bytes).join(&PART);
        let head_readings = readings(&[&album, &album_artist], &[&tags.album_sort, &album_reading]);
        let own = artists.iter().map(String::as_str).chain([title.as_str(), other_credit]);
        let own: Vec<&str> = if alone { vec![&title] } else { own.collect() };
        let artist_reading = tags.artist_sort.clone().filter(|_| !shared || tags.album_artist_sort.is_some());
        let line_readings = readings(&own, &[&tags.title_sort, &artist_reading]);
        let values = |list: &[String]| joined(list.iter().map(|value| fold(value)), VALUE);
        let fields = [
            title.clone(),
            if alone { String::new() } else { joined(artists.iter().cloned(), VALUE) },
            other_credit.to_owned(),
            line_readings,
            values(&tags.genres),
            values(&tags.composers),
            year.to_owned(),
            if title_key == title { String::new() } else { title_key },
            artist_key,
        ];
        let alike = format!(
            "{album}{FIELD}{}{FIELD}{}{FIELD}{title}",
            tags.disc.unwrap_or(1),
            tags.track.unwrap_or(0)
        );
        // Who made a compilation sings none of it; not every file of one says that it is.
        let several = tags.compilation || VARIOUS.contains(&album_artist.as_str());
        let singer = if credit.is_empty() && !several { album_artist.as_str() } else { credit.as_str() };
        let song = (!singer.is_empty() && !title.is_empty())
            .then(|| id_of_bytes(format!("{singer}{FIELD}{title}").as_bytes()).0);
        Ok(Shown {
            song,
            isrc: tags.isrc.clone(),
            tags: packed(tags)?,
            key,
            head: joined([album, album_artist, head_readings], FIELD),
            line: joined(fields, FIELD),
            compilation: tags.compilation,
            alike: tags.title.is_some().then(|| id_of_bytes(alike.as_bytes()).0),
            fullness: fullness(tags),
        })
    }
}

/// Returns the number of the album in a sort key: its artist, its name and its year; `None` without a name.
pub fn album_of(key: &[u8]) -> Option<GroupId> {
    let mut ends = key.iter().enumerate().filter(|(_, byte)| **byte == PART).map(|(at, _)| at);
    let (artist, album, year) = (ends.next()?, ends.next()?, ends.next()?);
    (album > artist + 1).then(|| id_of_bytes(&key[..year]))
}

/// Returns tags as the database keeps them: an artist who is the credit is not written twice.
fn packed(tags: &Tags) -> Result<String> {
    if tags.artists.len() == 1 && tags.artist.as_ref() == tags.artists.first() {
        return to_json(&Tags { artists: Vec::new(), ..tags.clone() });
    }
    to_json(tags)
}

/// Returns the tags that the database keeps.
///
/// # Errors
/// `Damaged` for anything else.
pub fn unpacked(text: &str) -> Result<Tags> {
    let mut tags: Tags = from_json(text)?;
    if tags.artists.is_empty() {
        tags.artists.extend(tags.artist.clone());
    }
    Ok(tags)
}

/// Folds a text. An album's tracks repeat its names, so the last few are remembered on each thread.
fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text::fold(text);
    }
    LAST_FOLDED.with_borrow_mut(|last| {
        if let Some((_, folded)) = last.iter().find(|(known, _)| known == text) {
            return folded.clone();
        }
        let folded = text::fold(text);
        if last.len() >= REMEMBERED {
            last.pop_back();
        }
        last.push_front((text.to_owned(), folded.clone()));
        folded
    })
}

thread_local! {
    static LAST_FOLDED: std::cell::RefCell<std::collections::VecDeque<(String, String)>> = const {
        std::cell::RefCell::new(std::collections::VecDeque::new())
    };
}

/// Texts whose folded form is remembered.
const REMEMBERED: usize = 12;
/// Artists of albums that are nobody, folded, as iTunes, stores and taggers write them.
const VARIOUS: [&str; 5] = ["various artists", "various", "va", "v.a.", "ヴァリアス アーティスト"];

/// Joins values, empty ones too.
fn joined(values: impl IntoIterator<Item = String>, between: char) -> String {
    let mut out = String::new();
    for (i, value) in values.into_iter().enumerate() {
        if i > 0 {
            out.push(between);
        }
        out.push_str(&value);
    }
    out
}

/// Returns readings that are not among the names, and Latin forms of kana, each once.
fn readings(names: &[&str], sorts: &[&Option<String>]) -> String {
    let mut found: Vec<String> = Vec::new();
    let mut add = |text: String| {
        if !text.is_empty() && !names.contains(&text.as_str()) && !found.contains(&text) {
            found.push(text);
        }
    };
    for sort in sorts.iter().copied().flatten() {
        let reading = fold(sort);
        romaji(&reading).into_iter().for_each(&mut add);
        add(reading);
    }
    names.iter().filter_map(|name| romaji(name)).for_each(add);
    joined(found, VALUE)
}

/// Returns how much the tags tell, 0..=8.
pub fn fullness(tags: &Tags) -> i64 {
    let present = [
        tags.title.is_some(),
        tags.artist.is_some(),
        tags.album.is_some(),
        tags.album_artist.is_some(),
        tags.track.is_some(),
        tags.date.is_some(),
        !tags.genres.is_empty(),
        tags.has_picture,
    ];
    present.into_iter().filter(|&there| there).count() as i64
}

/// Writes what a track shows whose tags show this: what was corrected stands in its place. A track without a copy on the
/// shelf shows nothing.
pub fn show(connection: &Connection, track: TrackId, shown: &Shown) -> Result<()> {
    let sql = "SELECT max(coalesce(playable, 0)) FROM copy LEFT JOIN idx.file ON file.copy = copy.id
               WHERE track = ?1 AND trashed IS NULL AND missing IS NULL";
    let playable: Option<bool> = connection.prepare_cached(sql)?.query_row([track.0], |row| row.get(0))?;
    let Some(playable) = playable else { return hide(connection, track) };
    let sql = "SELECT added, EXISTS (SELECT 1 FROM purchase WHERE track = ?1) FROM track WHERE id = ?1";
    let (added, bought): (i64, bool) =
        connection.prepare_cached(sql)?.query_row([track.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let words = corrections::of(connection, track)?.words;
    if words.is_empty() {
        return put(connection, track, shown, None, playable, bought, added);
    }
    // Which song it is, its file tells.
    let (song, isrc) = (shown.song, shown.isrc.clone());
    let corrected = Shown { song, isrc, ..Shown::of(&words.apply(&unpacked(&shown.tags)?))? };
    put(connection, track, &corrected, Some(&shown.tags), playable, bought, added)
}

/// Writes what a track shows whose facts are known; `tagged` is the JSON of its tags where something is corrected.
pub fn put(
    connection: &Connection,
    track: TrackId,
    shown: &Shown,
    tagged: Option<&str>,
    playable: bool,
    bought: bool,
    added: i64,
) -> Result<()> {
    let bit = |set: bool, bit: u8| if set { bit } else { 0 };
    let marks =
        bit(playable, mark::PLAYABLE) | bit(bought, mark::BOUGHT) | bit(shown.compilation, mark::COMPILATION);
    let sql =
        "INSERT OR REPLACE INTO idx.shown(track, tags, key, head, line, marks, added, tagged, song, isrc)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let Shown { tags, key, head, line, song, isrc, .. } = shown;
    let put = params![track.0, tags, key, head, line, marks, added, tagged, song, isrc];
    connection.prepare_cached(sql)?.execute(put)?;
    Ok(())
}

/// Takes a track out of every list; what it showed stays, for queues and for its return.
pub fn hide(connection: &Connection, track: TrackId) -> Result<()> {
    let sql = "UPDATE idx.shown SET marks = marks | ?2 WHERE track = ?1";
    connection.prepare_cached(sql)?.execute([track.0, i64::from(mark::GONE)])?;
    Ok(())
}

/// Shows a track anew after its copies or its corrections changed, with the tags it had before or when it arrived.
pub fn refresh(connection: &Connection, track: TrackId) -> Result<()> {
    let tags = match tagged_of(connection, track)? {
        Some(tags) => tags,
        None => tags_at_arrival(connection, track)?,
    };
    show(connection, track, &Shown::of(&tags)?)
}

/// Returns the tags that a track shows; `None` while it shows nothing.
pub fn tags_of(connection: &Connection, track: TrackId) -> Result<Option<Tags>> {
    let mut statement = connection.prepare_cached("SELECT tags FROM idx.shown WHERE track = ?1")?;
    let text: Option<String> = statement.query_row([track.0], |row| row.get(0)).optional()?;
    text.as_deref().map(unpacked).transpose()
}

/// Returns the tags of a track without what was corrected; `None` while it shows nothing.
pub fn tagged_of(connection: &Connection, track: TrackId) -> Result<Option<Tags>> {
    let sql = "SELECT coalesce(tagged, tags) FROM idx.shown WHERE track = ?1";
    let text: Option<String> =
        connection.prepare_cached(sql)?.query_row([track.0], |row| row.get(0)).optional()?;
    text.as_deref().map(unpacked).transpose()
}

/// Returns the tags that a track shows, and its sort key; nothing while it shows nothing.
pub fn tags_and_key(connection: &Connection, track: TrackId) -> Result<(Tags, Vec<u8>)> {
    let sql = "SELECT tags, key FROM idx.shown WHERE track = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let found =
        statement.query_row([track.0], |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).optional()?;
    found.map_or_else(|| Ok((Tags::default(), Vec::new())), |(tags, key)| Ok((unpacked(&tags)?, key)))
}

/// Returns what the best arrival of a track said when it came; nothing for an adopted one.
pub fn tags_at_arrival(connection: &Connection, track: TrackId) -> Result<Tags> {
    let sql = "SELECT tags FROM copy WHERE track = ?1 AND tags IS NOT NULL AND trashed IS NULL
               ORDER BY missing IS NULL DESC, protection = '{\"kind\":\"none\"}' DESC, strength DESC, id DESC LIMIT 1";
    let text: Option<String> =
        connection.prepare_cached(sql)?.query_row([track.0], |row| row.get(0)).optional()?;
    text.map_or_else(|| Ok(Tags::default()), |text| from_json(&text))
}

/// Writes what the bytes of a copy are.
pub fn put_file(
    connection: &Connection,
    copy: CopyId,
    format: &AudioFormat,
    protection: &Protection,
    personal: &[PersonalBytes],
) -> Result<bool> {
    let playable = !protection.is_locked() && format.codec.is_decodable();
    let AudioFormat { container, codec, rate, channels, bits, frames } = format;
    let format = to_json(&(container, codec, rate, channels, bits, frames))?;
    let protection = (*protection != Protection::None).then(|| to_json(protection)).transpose()?;
    let personal = (!personal.is_empty()).then(|| to_json(&personal)).transpose()?;
    let sql = "INSERT OR REPLACE INTO idx.file(copy, format, protection, personal, playable)
               VALUES (?1, ?2, ?3, ?4, ?5)";
    connection.prepare_cached(sql)?.execute(params![copy.0, format, protection, personal, playable])?;
    Ok(playable)
}

/// Returns the format that [`put_file`] wrote.
///
/// # Errors
/// `Damaged` for anything else.
pub fn format_of(text: &str) -> Result<AudioFormat> {
    let (container, codec, rate, channels, bits, frames) = from_json(text)?;
    Ok(AudioFormat { container, codec, rate, channels, bits, frames })
}

/// Notes in both databases that a scan changed them. They are committed one after the other, owner.db first: after a power
/// cut between the two the notes differ.
pub fn note_both(connection: &Connection) -> Result<()> {
    let last: i32 = connection.query_row("PRAGMA idx.application_id", [], |row| row.get(0))?;
    let next = last.checked_add(1).unwrap_or(0);
    connection.execute_batch(&format!("PRAGMA idx.application_id = {next}"))?;
    keep(connection, "shown", &next.to_string())
}

/// Returns whether index.db lacks what owner.db has of a scan.
fn is_behind(connection: &Connection) -> Result<bool> {
    let index: i32 = connection.query_row("PRAGMA idx.application_id", [], |row| row.get(0))?;
    Ok(kept(connection, "shown")?.is_some_and(|owner| owner != index.to_string()))
}

/// Fills what index.db lost: arrivals from what they brought, other files by being read again at the next scan.
/// Returns whether anything was missing.
pub fn mend(connection: &mut Connection) -> Result<bool> {
    let transaction = connection.transaction()?;
    if is_behind(&transaction)? {
        // Which rows it lacks cannot be told.
        let all =
            "UPDATE copy SET stamp = NULL WHERE missing IS NULL AND trashed IS NULL AND stamp IS NOT NULL";
        transaction.execute(all, [])?;
        note_both(&transaction)?;
    }
    let gone = "UPDATE idx.shown SET marks = marks | ?1 WHERE marks & ?1 = 0 AND track NOT IN
                    (SELECT track FROM copy WHERE missing IS NULL AND trashed IS NULL)";
    transaction.execute(gone, [mark::GONE])?;
    let mut lost = Vec::new();
    {
        let sql = "SELECT id, format, protection, personal, tags FROM copy
                   WHERE event IS NOT NULL AND id NOT IN (SELECT copy FROM idx.file)";
        let mut statement = transaction.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let text = |column| row.get::<_, Option<String>>(column).map(Option::unwrap_or_default);
            lost.push((CopyId(row.get(0)?), text(1)?, text(2)?, text(3)?, text(4)?));
        }
    }
    for (copy, format, protection, personal, tags) in &lost {
        let personal: Vec<PersonalBytes> = from_json(personal)?;
        let protection: Protection = from_json(protection)?;
        put_file(&transaction, *copy, &from_json(format)?, &protection, &personal)?;
        let sql = "SELECT track FROM copy WHERE id = ?1";
        let track = transaction.prepare_cached(sql)?.query_row([copy.0], |row| row.get(0).map(TrackId))?;
        let bought = purchases::of_track(&transaction, track)?;
        same::note_locked(&transaction, *copy, &protection, &Shown::of(&from_json(tags)?)?, &bought)?;
    }
    let unread = "UPDATE copy SET stamp = NULL WHERE event IS NULL AND missing IS NULL AND trashed IS NULL
                  AND stamp IS NOT NULL
                  AND (track NOT IN (SELECT track FROM idx.shown WHERE marks & ?1 = 0)
                       OR id NOT IN (SELECT copy FROM idx.file))";
    let again = transaction.execute(unread, [mark::GONE])?;
    let dark: Vec<TrackId> = {
        let sql =
            "SELECT DISTINCT track FROM copy WHERE event IS NOT NULL AND missing IS NULL AND trashed IS NULL
                   AND track NOT IN (SELECT track FROM idx.shown WHERE marks & ?1 = 0)";
        let mut statement = transaction.prepare(sql)?;
        let rows = statement.query_map([mark::GONE], |row| row.get(0).map(TrackId))?;
        rows.collect::<rusqlite::Result<_>>()?
    };
    for track in &dark {
        refresh(&transaction, *track)?;
    }
    transaction.commit()?;
    Ok(again > 0 || !lost.is_empty() || !dark.is_empty())
}
