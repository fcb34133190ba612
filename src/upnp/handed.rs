//! What an app hands in: a URL and DIDL-Lite as apps write it, into an entry of the box, and an entry back into what apps
//! read. The app's own text is kept byte for byte. Pure.

use std::net::SocketAddrV4;
use std::sync::Arc;

use crate::hifi::command::{Command, Hints, Input, NewEntry, Playable};
use crate::hifi::state::{Entry, Source, State};
use crate::offer::Via;
use crate::track::Tags;
use crate::units::Millis;
use crate::upnp::own::Mark;
use crate::wire::didl;
use crate::wire::didl_writer::{Letters, Writer, duration};
use crate::wire::strict;
use crate::wire::xml::{escaped, is_allowed, unescape};

mod known;

/// What an app says of a thing, as far as it can be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Handed {
    /// Title, artist, album, genre, track number.
    pub tags: Tags,
    /// Where its cover lies: a URL of http or https.
    pub cover: Option<String>,
    /// Its length.
    pub length: Option<Millis>,
    /// `object.item…`; empty when it does not say.
    pub class: String,
}

/// Reads the metadata that an app hands in with a URL. Nothing is refused: what cannot be read says nothing (reference
/// upnp 7.3).
pub fn read(url: &str, metadata: &str) -> Handed {
    let Some(item) = item(metadata) else { return Handed::default() };
    let known = item.resources.iter().find(|resource| resource.url == url.trim());
    let timed = known.filter(|one| one.duration.is_some()).or(item.resources.first());
    let word = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let artist = item.artist.and_then(word);
    let tags = Tags {
        title: word(item.title),
        artists: artist.iter().cloned().collect(),
        artist,
        album: item.album.and_then(word),
        genres: item.genre.and_then(word).into_iter().collect(),
        track: item.track,
        ..Tags::default()
    };
    let is_web = |url: &String| ["http://", "https://"].iter().any(|scheme| starts_with(url, scheme));
    Handed {
        tags,
        cover: item.cover.map(|cover| cover.trim().to_owned()).filter(is_web),
        length: timed.and_then(|one| one.duration).filter(|length| *length > Millis::ZERO),
        class: item.class,
    }
}

/// Returns what an app's empty URL does: the deck is empty then, as the one of this face (reference upnp 7.1, row "any"; the
/// queue is not played instead). `None` while the box plays its queue: that is the owner's music, which an app that clears
/// away its own must not stop.
pub fn emptied(state: &State, by: Via) -> Option<Command> {
    let away = Command::SetGuest(None);
    let empty = Command::SetInput(Input::Deck(by));
    (state.source != Source::Queue).then(|| Command::Batch(vec![away, empty]))
}

/// Returns the entry of a URL that an app hands in. Whether it is a track of the shelf is found out by the box.
pub fn entry(url: &str, metadata: &str) -> NewEntry {
    let Handed { tags, cover, length, class: _ } = read(url, metadata);
    NewEntry {
        what: Playable::Url(url.into()),
        shown: Arc::new(tags),
        said: (!metadata.is_empty()).then(|| metadata.into()),
        hints: Hints { named: None, cover: cover.map(Arc::from), length },
    }
}

/// Returns the URL of an entry: the app's own, else that of our file at this address of ours.
pub fn url(entry: &Entry, host: SocketAddrV4, mark: Mark) -> String {
    match (&entry.what, entry.url()) {
        (_, Some(url)) => url.to_string(),
        (Playable::Shelf(track), None) => mark.url(host, *track, ""),
        (Playable::Url(url), None) => url.to_string(),
    }
}

/// Returns what apps read of an entry: the app's own words where every reader takes them, else what is shown of it.
pub fn metadata(entry: &Entry, host: SocketAddrV4, mark: Mark) -> String {
    match &entry.said {
        Some(said) if known::ASKED.look(said, is_readable) => said.to_string(),
        _ => written(entry, host, mark),
    }
}

/// Returns what subscribers are told of an entry: as [`metadata`], but an app's words of more than [`LONGEST_TOLD`] bytes once
/// escaped go out to nobody, for each subscriber gets them, escaped once more.
pub fn told(entry: &Entry, host: SocketAddrV4, mark: Mark) -> String {
    let is_long = |said: &str| said.len() > LONGEST_TOLD || escaped(said).len() > LONGEST_TOLD;
    match &entry.said {
        Some(said) if is_long(said) => written(entry, host, mark),
        _ => metadata(entry, host, mark),
    }
}

/// Returns whether every reader takes an app's words as a listing of one thing.
pub fn is_readable(said: &str) -> bool {
    strict::is_whole(said, "DIDL-Lite") && didl::parse(said).is_ok_and(|didl| !didl.items.is_empty())
}

/// Writes what is shown of an entry (reference upnp 5.2), each of its words up to `LONGEST_WORD` characters.
pub fn written(entry: &Entry, host: SocketAddrV4, mark: Mark) -> String {
    let mut writer = Writer::new(Letters::Unicode, 1);
    let shown = &entry.shown;
    writer.begin("item", &[("id", &entry.id.0.to_string()), ("parentID", "-1"), ("restricted", "1")]);
    writer.leaf("dc:title", &[], short(shown.title_or("-")));
    writer.leaf("upnp:class", &[], "object.item.audioItem.musicTrack");
    if let Some(artist) = shown.artist.as_ref().or(shown.artists.first()) {
        writer.leaf("dc:creator", &[], short(artist));
        writer.leaf("upnp:artist", &[], short(artist));
    }
    if let Some(album) = &shown.album {
        writer.leaf("upnp:album", &[], short(album));
    }
    if let Some(genre) = shown.genres.first() {
        writer.leaf("upnp:genre", &[], short(genre));
    }
    if let Some(track) = shown.track {
        writer.leaf("upnp:originalTrackNumber", &[], &track.to_string());
    }
    let cover = match (&entry.what, &entry.cover) {
        (Playable::Shelf(track), _) => Some(format!("http://{host}/media/{track}/cover/600.jpg")),
        (Playable::Url(_), cover) => cover.as_ref().map(|cover| cover.to_string()),
    };
    if let Some(cover) = cover {
        writer.leaf("upnp:albumArtURI", &[], &cover);
    }
    let length = (entry.duration > Millis::ZERO).then(|| duration(entry.duration));
    let mut attributes = vec![("protocolInfo", "http-get:*:*:*")];
    attributes.extend(length.as_deref().map(|length| ("duration", length)));
    writer.leaf("res", &attributes, &url(entry, host, mark));
    writer.finish()
}

fn short(word: &str) -> &str {
    word.char_indices().nth(LONGEST_WORD).map_or(word, |(end, _)| &word[..end])
}

/// Returns the one thing that a text describes.
fn item(metadata: &str) -> Option<didl::Item> {
    let mut text: String = metadata.chars().filter(|c| is_allowed(*c) && *c != '\u{feff}').collect();
    // Escaped once too often, or twice.
    for _ in 0..2 {
        if ["&lt;", "&amp;lt;"].iter().any(|head| starts_with(text.trim_start(), head)) {
            text = unescape(&text);
        }
    }
    let whole = didl::parse(&text).ok().and_then(|didl| didl.items.into_iter().next());
    whole.or_else(|| {
        // One that was cut off says what stands before the cut.
        let end = text.rfind('>')?;
        let mended = format!("{}</item></DIDL-Lite>", &text[..=end]);
        didl::parse(&mended).ok()?.items.into_iter().next()
    })
}

fn starts_with(text: &str, head: &str) -> bool {
    text.get(..head.len()).is_some_and(|start| start.eq_ignore_ascii_case(head))
}

/// Bytes. Apps write one or two thousand.
pub const LONGEST_TOLD: usize = 16 << 10;
/// Characters. No screen shows more.
const LONGEST_WORD: usize = 500;

#[cfg(test)]
mod tests;
