//! Objects of the tree as DIDL-Lite (reference upnp 5.2 and 5.3). Pure.

use std::net::SocketAddrV4;
use std::sync::Arc;

use crate::query::{Group, What};
use crate::track::{Tags, Track, TrackId};
use crate::units::Millis;
use crate::upnp::content_directory::filter::Wanted;
use crate::upnp::content_directory::tree::{List, ObjectId};
use crate::upnp::formats::{self, Form};
use crate::upnp::own::Mark;
use crate::upnp::quirks::Device;
use crate::wire::didl_writer::{Writer, duration};

/// An object with what is known of it.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its id.
    pub id: ObjectId,
    /// The id of the container that it is shown in; `None` for the root.
    pub parent: Option<ObjectId>,
    /// What it is.
    pub thing: Thing,
}

/// What an object is.
#[derive(Debug, Clone)]
pub enum Thing {
    /// The root or a list, with its name and how much is in it.
    List(String, u64),
    /// An album, name, folder or playlist.
    Group(What, Group),
    /// A track.
    Track(Arc<Track>),
    /// A container of a maker's own id that holds nothing.
    Empty(&'static str),
}

impl Object {
    /// Returns whether the shelf holds it, so that what it lies in is there.
    pub fn is_of_the_shelf(&self) -> bool {
        matches!(self.thing, Thing::Group(..) | Thing::Track(_))
    }
}

/// For whom objects are written.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// What it needs.
    pub device: &'static Device,
    /// Where it reached us.
    pub host: SocketAddrV4,
    /// What our files' names carry.
    pub mark: Mark,
    /// What it asked for.
    pub wanted: &'a Wanted,
    /// The name of the root.
    pub name: &'a str,
}

impl Reader<'_> {
    /// Writes an object.
    pub fn write(&self, object: &Object, writer: &mut Writer) {
        let id = object.id.to_string();
        let parent = object.parent.as_ref().map_or("-1".to_owned(), ObjectId::to_string);
        match &object.thing {
            Thing::Track(track) => self.track(&object.id, &id, &parent, track, writer),
            Thing::List(title, count) => {
                let is_root = object.parent.is_none();
                self.container(&id, &parent, Some(*count), is_root, writer);
                writer.leaf("dc:title", &[], if is_root { self.name } else { title });
                writer.leaf("upnp:class", &[], self.device.container);
            }
            Thing::Empty(id) => {
                self.container(id, "0", Some(0), false, writer);
                writer.leaf("dc:title", &[], "-");
                writer.leaf("upnp:class", &[], self.device.container);
            }
            Thing::Group(what, group) => {
                let searchable = object.id.is_own() && !matches!(what, What::Folders | What::Years);
                self.container(&id, &parent, Some(children(*what, group)), searchable, writer);
                self.group(*what, group, writer);
            }
        }
        writer.end();
    }

    fn container(&self, id: &str, parent: &str, count: Option<u64>, searchable: bool, writer: &mut Writer) {
        let count = count.map(|count| count.to_string());
        let mut attributes = vec![("id", id), ("parentID", parent), ("restricted", "1")];
        attributes.push(("searchable", if searchable { "1" } else { "0" }));
        attributes.extend(count.as_deref().map(|count| ("childCount", count)));
        writer.begin("container", &attributes);
    }

    fn group(&self, what: What, group: &Group, writer: &mut Writer) {
        let name = if group.name.trim().is_empty() { "-" } else { &group.name };
        writer.leaf("dc:title", &[], name);
        writer.leaf("upnp:class", &[], class(what));
        if let Some(artist) = &group.artist {
            writer.leaf("dc:creator", &[], artist);
            writer.leaf("upnp:artist", &[], artist);
        }
        match what {
            What::Artists | What::AlbumArtists if self.wanted.wants("upnp:artist") => {
                writer.leaf("upnp:artist", &[], &group.name);
            }
            What::Genres if self.wanted.wants("upnp:genre") => writer.leaf("upnp:genre", &[], &group.name),
            What::Albums if self.wanted.wants("upnp:album") => writer.leaf("upnp:album", &[], &group.name),
            _ => {}
        }
        if matches!(what, What::Albums | What::Playlists)
            && let Some(example) = group.example
        {
            self.cover(example, writer);
        }
    }

    fn track(&self, id: &ObjectId, text: &str, parent: &str, track: &Track, writer: &mut Writer) {
        let referred = id.referred().map(|id| id.to_string());
        let mut attributes = vec![("id", text), ("parentID", parent), ("restricted", "1")];
        attributes.extend(referred.as_deref().map(|id| ("refID", id)));
        writer.begin("item", &attributes);
        let tags = &track.tags;
        writer.leaf("dc:title", &[], &title(tags));
        writer.leaf("upnp:class", &[], "object.item.audioItem.musicTrack");
        self.people(tags, writer);
        if let Some(album) = &tags.album {
            writer.leaf("upnp:album", &[], album);
        }
        self.details(tags, writer);
        self.cover(track.id, writer);
        self.resource(track, writer);
    }

    fn people(&self, tags: &Tags, writer: &mut Writer) {
        let credit = tags.artist.as_ref().or(tags.artists.first());
        let names = if tags.artists.is_empty() { tags.artist.as_slice() } else { &tags.artists };
        if let Some(credit) = credit {
            writer.leaf("dc:creator", &[], credit);
        }
        names.iter().for_each(|name| writer.leaf("upnp:artist", &[], name));
        names.iter().for_each(|name| writer.leaf("upnp:artist", &[("role", "Performer")], name));
        if let Some(name) = &tags.album_artist {
            writer.leaf("upnp:artist", &[("role", "AlbumArtist")], name);
            if self.wanted.wants("upnp:albumArtist") {
                writer.leaf("upnp:albumArtist", &[], name);
            }
        }
        if self.wanted.wants("upnp:author") {
            for name in &tags.composers {
                writer.leaf("upnp:artist", &[("role", "Composer")], name);
                writer.leaf("upnp:author", &[("role", "Composer")], name);
            }
        }
    }

    fn details(&self, tags: &Tags, writer: &mut Writer) {
        if self.wanted.wants("upnp:genre") {
            tags.genres.iter().for_each(|genre| writer.leaf("upnp:genre", &[], genre));
        }
        let numbers = [
            ("upnp:originalTrackNumber", tags.track),
            ("upnp:originalDiscNumber", tags.disc),
            ("upnp:originalDiscCount", tags.discs),
        ];
        for (name, number) in numbers {
            if let Some(number) = number.filter(|_| self.wanted.wants(name)) {
                writer.leaf(name, &[], &number.to_string());
            }
        }
        if let Some(date) = tags.date.as_deref().and_then(whole_date).filter(|_| self.wanted.wants("dc:date"))
        {
            writer.leaf("dc:date", &[], &date);
        }
        // No dc:description: shops and their customers write names into comments, which the room is not shown.
    }

    /// One cover: of several apps take the first or the last (reference upnp 5.3).
    fn cover(&self, track: TrackId, writer: &mut Writer) {
        let edge = self.device.cover;
        let profile = match edge {
            160 => "JPEG_TN",
            300 => "JPEG_SM",
            _ => "JPEG_MED",
        };
        let url = format!("http://{}/media/{track}/cover/{edge}.jpg", self.host);
        writer.leaf("upnp:albumArtURI", &[("dlna:profileID", profile)], &url);
    }

    fn resource(&self, track: &Track, writer: &mut Writer) {
        let Some(copy) = track.playable() else { return };
        let form =
            form(self.device, track).unwrap_or(Form { mime: "application/octet-stream", profile: None });
        let url = self.mark.url(self.host, track.id, formats::extension(&copy.format));
        let mut attributes = vec![("protocolInfo", form.protocol_info()), ("size", copy.size.0.to_string())];
        if track.duration > Millis::ZERO {
            attributes.push(("duration", duration(track.duration)));
        }
        let format = &copy.format;
        let details = [
            ("bitrate", bytes_per_second(track)),
            ("sampleFrequency", format.rate.map(|rate| u64::from(rate.hz()))),
            ("bitsPerSample", format.bits.filter(|_| format.codec.is_lossless()).map(u64::from)),
            ("nrAudioChannels", format.channels.map(u64::from)),
        ];
        for (name, value) in details {
            if let Some(value) = value.filter(|_| self.wanted.wants_of_resource(name)) {
                attributes.push((name, value.to_string()));
            }
        }
        let attributes: Vec<(&str, &str)> =
            attributes.iter().map(|(name, value)| (*name, value.as_str())).collect();
        writer.leaf("res", &attributes, &url);
    }
}

/// Returns how the file of a track is named to a device; `None` when nothing of it can be played.
pub fn form(device: &Device, track: &Track) -> Option<Form> {
    let copy = track.playable()?;
    let plain = Form::of(&copy.format, copy.size, track.duration);
    let mime = device.mime(plain.mime);
    // A profile of AAC in ADTS frames is bound to DLNA's own name of it.
    let bound = mime == "audio/aac";
    Some(Form { mime, profile: plain.profile.filter(|_| !bound) })
}

/// Bytes a second, not bits (reference upnp 5.2): of a CD 176400.
fn bytes_per_second(track: &Track) -> Option<u64> {
    let copy = track.playable()?;
    let format = &copy.format;
    if let (crate::track::Codec::Pcm, Some(rate), Some(channels), Some(bits)) =
        (format.codec, format.rate, format.channels, format.bits)
    {
        return Some(u64::from(rate.hz()) * u64::from(channels) * u64::from(bits) / 8);
    }
    copy.size.0.checked_mul(1000)?.checked_div(track.duration.0)
}

/// Returns how many objects lie directly in a group.
pub fn children(what: What, group: &Group) -> u64 {
    match what {
        What::Albums | What::Playlists | What::Tracks => group.tracks,
        What::Folders => group.groups + group.tracks,
        // Artists, albums and all tracks.
        What::Genres => 3,
        // All tracks stand before the albums.
        What::Artists | What::AlbumArtists | What::Composers | What::Years => group.groups + 1,
    }
}

fn class(what: What) -> &'static str {
    match what {
        What::Albums => "object.container.album.musicAlbum",
        What::Artists | What::AlbumArtists => "object.container.person.musicArtist",
        What::Genres => "object.container.genre.musicGenre",
        What::Composers => "object.container.person",
        What::Playlists => "object.container.playlistContainer",
        What::Folders => "object.container.storageFolder",
        What::Years | What::Tracks => "object.container",
    }
}

/// A title is never empty: some devices drop the whole page.
fn title(tags: &Tags) -> String {
    let shown = |text: &&str| text.chars().any(|c| !c.is_whitespace() && !c.is_control());
    match (tags.title.as_deref().filter(shown), tags.track) {
        (Some(title), _) => title.to_owned(),
        (None, Some(number)) => format!("Track {number}"),
        (None, None) => "Untitled".to_owned(),
    }
}

/// `YYYY-MM-DD`, which is all that old radios read; a year alone begins in January (reference upnp 2.3, 5.2).
fn whole_date(tagged: &str) -> Option<String> {
    let mut parts = tagged.get(..10).unwrap_or(tagged).split('-');
    let digits =
        |part: &str, count: usize| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    let year = parts.next().filter(|year| digits(year, 4))?;
    let mut next = || parts.next().filter(|part| digits(part, 2)).unwrap_or("01");
    let (month, day) = (next(), next());
    Some(format!("{year}-{month}-{day}"))
}

/// Returns a list of the tree as an object.
pub fn list(id: ObjectId, parent: ObjectId, list: List, count: u64) -> Object {
    Object { id, parent: Some(parent), thing: Thing::List(list.title().to_owned(), count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_whole() {
        for (tagged, want) in [
            ("2007", Some("2007-01-01")),
            ("2007-10", Some("2007-10-01")),
            ("2007-10-16", Some("2007-10-16")),
            ("2007-10-16T12:00:00+09:00", Some("2007-10-16")),
            ("07", None),
            ("", None),
            ("昭和", None),
        ] {
            assert_eq!(whole_date(tagged).as_deref(), want, "{tagged}");
        }
    }

    #[test]
    fn nothing_is_without_a_title() {
        let named = |title: Option<&str>, track| title_of(title, track);
        assert_eq!(named(Some("A"), None), "A");
        assert_eq!(named(Some(" \u{1}"), Some(3)), "Track 3");
        assert_eq!(named(None, None), "Untitled");
    }

    fn title_of(text: Option<&str>, track: Option<u32>) -> String {
        title(&Tags { title: text.map(str::to_owned), track, ..Tags::default() })
    }
}
