//! Texts beside the music that goes out: playlists, what stays and why, receipts.

use std::io::Write;

use rusqlite::Connection;
use serde_json::json;

use crate::error::{Error, Result};
use crate::library::export::names::relative;
use crate::library::export::plan::Out;
use crate::library::store::{bought, finding, tracks};
use crate::query::GroupId;
use crate::track::{Purchase, Track, TrackId};

/// Writes an extended M3U in UTF-8 of tracks; those that stay are remarks.
pub fn playlist_of(
    connection: &Connection,
    ids: &[TrackId],
    folder: &str,
    out: &Out<'_>,
    to: &mut dyn Write,
) -> Result<()> {
    line(to, "#EXTM3U")?;
    for &id in ids {
        if let Some(track) = tracks::load(connection, id)? {
            entry(&track, folder, out, to)?;
        }
    }
    Ok(())
}

/// Writes a playlist of the shelf: its tracks as they go out, addresses on the network as they stand.
pub fn playlist(
    connection: &Connection,
    list: GroupId,
    folder: &str,
    out: &Out<'_>,
    to: &mut dyn Write,
) -> Result<()> {
    line(to, "#EXTM3U")?;
    for found in finding::list_entries(connection, list)? {
        let track = match found.track {
            Some(id) => tracks::load(connection, id)?,
            None => None,
        };
        if let Some(track) = track {
            entry(&track, folder, out, to)?;
            continue;
        }
        let said = plain(&String::from_utf8_lossy(&found.said));
        if said.contains("://") {
            if let Some(title) = &found.title {
                line(to, &format!("#EXTINF:-1,{}", plain(title)))?;
            }
            line(to, &said)?;
        } else {
            line(to, &format!("# not on the shelf: {said}"))?;
        }
    }
    Ok(())
}

fn entry(track: &Track, folder: &str, out: &Out<'_>, to: &mut dyn Write) -> Result<()> {
    let words: Vec<&str> =
        [&track.tags.artist, &track.tags.title].into_iter().flatten().map(String::as_str).collect();
    let words = plain(&words.join(" - "));
    let Some(name) = out.of(track.id) else { return line(to, &format!("# left out: {words}")) };
    let seconds = if track.duration.0 == 0 { -1 } else { (track.duration.0 + 500).cast_signed() / 1000 };
    line(to, &format!("#EXTINF:{seconds},{words}"))?;
    line(to, &relative(folder, name))
}

/// Writes what stays, and why.
pub fn left_out(left: &[String], to: &mut dyn Write) -> Result<()> {
    line(to, "These files stayed on the shelf of konpo, and why:")?;
    line(to, "")?;
    left.iter().try_for_each(|left| line(to, &plain(left)))
}

/// Writes what proves the buys of tracks, and who bought them, as JSON.
pub fn receipts(connection: &Connection, ids: &[TrackId], out: &Out<'_>, to: &mut dyn Write) -> Result<()> {
    let mut list = List::begin(to)?;
    for &id in ids {
        let Some(track) = tracks::load(connection, id)?.filter(|track| !track.purchases.is_empty()) else {
            continue;
        };
        let tags = &track.tags;
        let words = (&tags.title, &tags.artist, &tags.album);
        list.put(Some(id), out.of(id), words, &track.purchases)?;
    }
    list.end()
}

/// Writes every buy, also those whose file was never here or was deleted, as [`receipts`] does.
pub fn every_receipt(connection: &Connection, out: &Out<'_>, to: &mut dyn Write) -> Result<()> {
    let mut list = List::begin(to)?;
    bought::every(connection, |one| {
        let id = one.track.as_ref().map(|track| track.id);
        let file = id.and_then(|id| out.of(id));
        list.put(id, file, (&one.title, &one.artist, &one.album), std::slice::from_ref(&one.purchase))
    })?;
    list.end()
}

/// Title, artist and album.
type Words<'a> = (&'a Option<String>, &'a Option<String>, &'a Option<String>);

/// A JSON list that is written element by element.
struct List<'a> {
    to: &'a mut dyn Write,
    first: bool,
}

impl<'a> List<'a> {
    fn begin(to: &'a mut dyn Write) -> Result<List<'a>> {
        write(to, "[")?;
        Ok(List { to, first: true })
    }

    fn put(
        &mut self,
        track: Option<TrackId>,
        file: Option<&str>,
        words: Words<'_>,
        purchases: &[Purchase],
    ) -> Result<()> {
        let (title, artist, album) = words;
        let told = json!({
            "track": track,
            "file": file,
            "title": title,
            "artist": artist,
            "album": album,
            "purchases": purchases,
        });
        write(self.to, &format!("{}{told}", if self.first { "\n" } else { ",\n" }))?;
        self.first = false;
        Ok(())
    }

    fn end(self) -> Result<()> {
        write(self.to, "\n]\n")
    }
}

/// One line, whatever a tag holds.
fn plain(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

fn line(to: &mut dyn Write, text: &str) -> Result<()> {
    write(to, &format!("{text}\n"))
}

/// Writes text.
pub fn write(to: &mut dyn Write, text: &str) -> Result<()> {
    to.write_all(text.as_bytes()).map_err(|error| Error::io("write a text of an export", error))
}
