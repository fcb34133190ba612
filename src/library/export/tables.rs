//! What konpo knows beside the music, as tables that any program reads: RFC 4180, UTF-8, times in ISO 8601 and UTC. Rows go
//! from the database to the file one by one.

use std::io::Write;

use rusqlite::Connection;
use serde_json::json;

use crate::error::{Error, Result};
use crate::library::export::plan::{Maker, Out, roots};
use crate::library::export::texts::write;
use crate::library::ledger::{Entry, Ledger, What};
use crate::library::root::HIDDEN;
use crate::library::store::{bought, corrections, from_json, marks, past_tracks, same, shown, tracks};
use crate::offer::Provenance;
use crate::query::purchases::Bought;
use crate::track::{Purchase, PurchaseLevel, Tags, TrackId};
use crate::units::UnixTime;

/// Adds every table and the README of their columns.
///
/// # Errors
/// Those of the database and of the disk.
pub fn put(maker: &mut Maker<'_>, now: UnixTime) -> Result<()> {
    type Table = fn(&Source<'_>, &mut dyn Write) -> Result<()>;
    let tables: [(&str, Table); 5] = [
        ("tracks", every_track),
        ("purchases", purchases),
        ("history", history),
        ("favourites", favourites),
        ("corrections", every_correction),
    ];
    for (name, table) in tables {
        let source =
            Source { connection: maker.connection, out: Out { files: &maker.files, of: &maker.gone_out } };
        let part = maker.spool.put(|to| table(&source, to))?;
        maker.text("", name, "csv", part, now);
    }
    let part = maker.spool.put(|to| write(to, README))?;
    maker.text("", "README", "txt", part, now);
    Ok(())
}

/// What the tables are made of.
struct Source<'a> {
    connection: &'a Connection,
    out: Out<'a>,
}

impl Source<'_> {
    /// Returns what names a track in every table: its number, its file, its words.
    fn named(&self, id: TrackId) -> Result<Named> {
        let tags = match shown::tags_of(self.connection, id)? {
            Some(tags) => tags,
            None => shown::tags_at_arrival(self.connection, id)?,
        };
        let file = self.out.of(id).unwrap_or_default().to_owned();
        Ok(Named { id: id.to_string(), file, tags })
    }
}

struct Named {
    id: String,
    file: String,
    tags: Tags,
}

impl Named {
    fn cells(&self) -> [&str; 5] {
        let Tags { title, artist, album, .. } = &self.tags;
        let [title, artist, album] = [title, artist, album].map(|text| text.as_deref().unwrap_or_default());
        [&self.id, &self.file, title, artist, album]
    }
}

fn every_track(source: &Source<'_>, to: &mut dyn Write) -> Result<()> {
    let own = ["album_artist", "disc", "number", "date", "genres", "duration_ms", "added", "sha256", "store"];
    row(to, NAMED.into_iter().chain(own))?;
    let mut statement = source.connection.prepare("SELECT id FROM track ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        let id = TrackId(found.get(0)?);
        let Some(track) = tracks::load(source.connection, id)? else { continue };
        let named = source.named(id)?;
        let number = |number: Option<u32>| number.map(|number| number.to_string()).unwrap_or_default();
        let sha256 = track.copies.iter().find_map(|copy| copy.sha256).map(|sum| sum.to_string());
        let own = [
            track.tags.album_artist.clone().unwrap_or_default(),
            number(track.tags.disc),
            number(track.tags.track),
            track.tags.date.clone().unwrap_or_default(),
            track.tags.genres.join("; "),
            track.duration.0.to_string(),
            track.added.rfc3339(),
            sha256.unwrap_or_default(),
            track.purchases.first().map(|purchase| purchase.store.clone()).unwrap_or_default(),
        ];
        row(to, named.cells().into_iter().chain(own.iter().map(String::as_str)))?;
    }
    Ok(())
}

fn purchases(source: &Source<'_>, to: &mut dyn Write) -> Result<()> {
    let own = [
        "store",
        "country",
        "bought_at",
        "level",
        "price",
        "item_id",
        "album_id",
        "isrc",
        "transaction_id",
        "order_id",
        "account",
        "way",
        "device",
        "locked",
        "evidence",
    ];
    row(to, NAMED.into_iter().chain(own))?;
    // Not the list of the API, which shows a buy once that two files tell: each row says who bought, and when.
    bought::every(source.connection, |one| purchase(source, one, to))
}

fn purchase(source: &Source<'_>, bought: &Bought, to: &mut dyn Write) -> Result<()> {
    let Bought { purchase, track, title, artist, album, way, device_name, locked, .. } = bought;
    let id = track.as_ref().map(|track| track.id);
    let number = id.map(|id| id.to_string()).unwrap_or_default();
    let file = id.and_then(|id| source.out.of(id)).unwrap_or_default();
    let level = match purchase.level {
        PurchaseLevel::Claimed => "claimed",
        PurchaseLevel::Embedded => "embedded",
        PurchaseLevel::Receipt => "receipt",
    };
    let evidence = json!(purchase.evidence).to_string();
    let words = [title, artist, album].map(|text| text.as_deref().unwrap_or_default());
    let first = [&purchase.country, &purchase.bought_at].map(|text| text.as_deref().unwrap_or_default());
    let Purchase { price, item_id, album_id, isrc, transaction_id, order_id, account, .. } = purchase;
    let rest = [price, item_id, album_id, isrc, transaction_id, order_id, account];
    let rest = rest.map(|text| text.as_deref().unwrap_or_default());
    let last = [way.as_str(), device_name, if *locked { "yes" } else { "no" }, &evidence];
    let cells = [number.as_str(), file].into_iter().chain(words).chain([purchase.store.as_str()]);
    row(to, cells.chain(first).chain([level]).chain(rest).chain(last))
}

/// What happened: arrivals, then plays, what was unlocked, and what went to the trash, each in its order.
fn history(source: &Source<'_>, to: &mut dyn Write) -> Result<()> {
    row(to, ["at", "what"].into_iter().chain(NAMED).chain(["detail"]))?;
    let mut event = |at: &str, what: &str, id: TrackId, detail: &str| {
        let named = source.named(id)?;
        row(to, [at, what].into_iter().chain(named.cells()).chain([detail]))
    };
    let mut statement =
        source.connection.prepare("SELECT at, track, facts FROM provenance ORDER BY event")?;
    let mut rows = statement.query([])?;
    while let Some(found) = rows.next()? {
        let from: Provenance = from_json(&found.get::<_, String>(2)?)?;
        let detail = [&from.way, &from.device_name, &from.original_name];
        let detail: Vec<&str> =
            detail.into_iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
        event(&UnixTime(found.get(0)?).rfc3339(), "arrived", TrackId(found.get(1)?), &detail.join(": "))?;
    }
    marks::plays(source.connection, |at, track| event(&at.rfc3339(), "played", track, ""))?;
    past_tracks::heard(source.connection, |song| {
        let (at, times) = (song.played.map(UnixTime::rfc3339).unwrap_or_default(), song.plays.to_string());
        event(&at, "played_before", song.track, &times)
    })?;
    same::every_unlocked(source.connection, |at, track, by| event(&at.rfc3339(), "unlocked", track, by))?;
    for root in roots(source.connection)? {
        let mut trashed = Vec::new();
        Ledger::read(&root.join(HIDDEN).join("ledger.jsonl"), |entry| match entry {
            Entry::Line(line) if line.kind == What::Trashed => trashed.push((line.at, line.track, line.path)),
            // The history tells no time of those.
            Entry::Adopted(line) if line.trashed.is_some() => {
                trashed.push((String::new(), line.track, line.path))
            }
            _ => {}
        })?;
        for (at, track, path) in trashed {
            event(&at, "trashed", TrackId(track), &path)?;
        }
    }
    Ok(())
}

fn favourites(source: &Source<'_>, to: &mut dyn Write) -> Result<()> {
    row(to, std::iter::once("at").chain(NAMED))?;
    marks::favourites(source.connection, |at, track| {
        let (named, at) = (source.named(track)?, at.rfc3339());
        row(to, std::iter::once(at.as_str()).chain(named.cells()))
    })
}

fn every_correction(source: &Source<'_>, to: &mut dyn Write) -> Result<()> {
    row(to, std::iter::once("at").chain(NAMED).chain(["field", "word", "tagged"]))?;
    corrections::every(source.connection, |track, correction| {
        let (named, at) = (source.named(track)?, correction.at.rfc3339());
        let tagged = shown::tagged_of(source.connection, track)?.unwrap_or_default();
        for (field, word) in correction.words.iter() {
            let text = |word: Option<String>| word.unwrap_or_default();
            let (word, was) =
                (text(word.map(ToString::to_string)), text(field.of(&tagged).map(|word| word.to_string())));
            let own = [field.name(), word.as_str(), was.as_str()];
            row(to, std::iter::once(at.as_str()).chain(named.cells()).chain(own))?;
        }
        Ok(())
    })
}

/// Writes one row (RFC 4180, 2): a cell with a comma, a quote or a line's end stands in quotes.
fn row<'a>(to: &mut dyn Write, cells: impl IntoIterator<Item = &'a str>) -> Result<()> {
    let mut text = String::new();
    for (number, cell) in cells.into_iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        if cell.contains([',', '"', '\r', '\n']) {
            text.push('"');
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(cell);
        }
    }
    text.push_str("\r\n");
    to.write_all(text.as_bytes()).map_err(|error| Error::io("write a table of an export", error))
}

/// What names a track in every table.
const NAMED: [&str; 5] = ["track", "file", "title", "artist", "album"];

const README: &str = "\
What is here
============
The music stands as it came, byte for byte, under the names it had on the shelf of konpo. LEFT-OUT.txt names what stayed
there, with the reason. Playlists/*.m3u8 are playlists (extended M3U, UTF-8, paths relative to the playlist); cover.jpg is
the cover of the music beside it.

The tables are CSV as RFC 4180 has it: commas, quotes where needed, lines end with CR LF, the first line names the columns,
UTF-8 without a mark. Times are ISO 8601 in UTC; a time that a store wrote is given as it wrote it. An empty cell means that
konpo does not know.

In every table
  track        the number of the track in konpo; the same in all tables
  file         its file here, from this folder; empty: it stayed, or is there no more
  title, artist, album   its words, with what was corrected by hand

tracks.csv     every track
  album_artist, disc, number, date, genres   its other words; several genres stand between \"; \"
  duration_ms  how long it sounds, in milliseconds; 0 unknown
  added        when it came to the shelf
  sha256       of the file as it arrived; empty for files that were found where they stood
  store        where it was bought

purchases.csv  one line for each buy as each file and each history tells it, also where its file was never here or was deleted: then without a track
  store        itunes, amazon, mora, ...
  country      of the store (ISO 3166)
  bought_at    when, as the store wrote it
  level        receipt: there is an order; embedded: the store wrote it into the file; claimed: a library says so
  price        what was paid: a code of ISO 4217 and a number
  item_id, album_id   the numbers of the song and of the album in the store
  isrc         International Standard Recording Code
  transaction_id, order_id, account   who bought: personal, think before you pass them on
  way, device  how its file came, or the history that told it; locked: yes while nothing of it can be played
  evidence     everything that proves it, as JSON: place, text, and whether it is personal

history.csv    what happened
  at           when
  what         arrived, played, played_before (in another program, whose library was read; at: when last), unlocked (the free file of a locked song came) or trashed
  detail       arrived: the way, the device and the name it came with; unlocked: what told
               that the two are one song (item, isrc, words); trashed: where it lay;
               played_before: how often

favourites.csv what was marked, and when (at)

corrections.csv   what was corrected by hand; the files still hold what their tags say
  at           when it was changed last
  field        which word
  word         what konpo shows; empty: nothing
  tagged       what the file says
";
