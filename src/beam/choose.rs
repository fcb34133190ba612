//! Which of a neighbour's things are music, and which way to get each. Pure.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::offer::{Count, RemoteItem};
use crate::units::Millis;
use crate::wire::didl::{Item, Resource};

/// What was chosen from a listing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choice {
    /// What can be taken, each once, in order.
    pub take: Vec<RemoteItem>,
    /// How many are left on the phone by rule.
    pub left: u64,
}

/// Whether short pieces without an album are left on the phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Short {
    /// They are ringtones and notes as a rule.
    Leave,
    /// A box without visitors skips nothing by length (product.md, "Other people's phones").
    Take,
}

/// Chooses from a listing whose relative URLs were resolved.
pub fn choose(items: Vec<Item>, short: Short) -> Choice {
    let mut choice = Choice::default();
    let mut seen = HashSet::new();
    let (mut views, mut left) = (Views::default(), Views::default());
    let longest = longest_of_albums(&items);
    for item in items {
        let Some(resource) = best(&item.resources) else { continue };
        if !seen.insert(item.ref_id.clone().unwrap_or_else(|| item.id.clone())) {
            continue;
        }
        let album = item.album.as_deref().unwrap_or("");
        let sibling = longest.get(album).copied().unwrap_or(Millis::ZERO);
        let is_short = resource.duration.is_some_and(|d| d > Millis::ZERO && d < SHORT)
            && (album.is_empty() || is_unknown(album))
            && sibling < SHORT;
        if is_spoken(&item, resource) || (short == Short::Leave && is_short) {
            choice.left += u64::from(left.of(&item, resource, 0).is_none());
            continue;
        }
        if let Some(taken) = views.of(&item, resource, choice.take.len()) {
            choice.take[taken].views.push(item.id);
            continue;
        }
        choice.take.push(RemoteItem {
            url: resource.url.clone(),
            size: resource.size.filter(|size| size.0 > 0),
            mime: resource.mime(),
            duration: resource.duration,
            object_id: item.id,
            title: item.title,
            artist: item.artist,
            album: item.album,
            track: item.track,
            views: Vec::new(),
        });
    }
    choice
}

/// Servers show one file in many folders, by album, by artist, by year; some without saying so (gerbera 1.1.0). What is alike
/// in another folder is another view of it; what is alike within one folder is another song: two takes, two silences.
#[derive(Default)]
struct Views {
    /// For what is alike: how many each folder has, and the places of those that were taken.
    alike: HashMap<u64, (HashMap<String, usize>, Vec<usize>)>,
}

impl Views {
    /// Returns the place of the item that this one is another view of; `None` for one that is to be taken, to `place`.
    fn of(&mut self, item: &Item, resource: &Resource, place: usize) -> Option<usize> {
        let size = resource.size.filter(|size| size.0 > 0)?;
        let placed = item.artist.is_some() && item.album.is_some() && item.track.is_some();
        // One that has a place is shown under its title, its file's name, and "artist - album - title".
        let title = if placed { "" } else { &item.title };
        let mut hash = DefaultHasher::new();
        (title, &item.artist, &item.album, item.track, resource.duration, size, resource.mime())
            .hash(&mut hash);
        let (folders, taken) = self.alike.entry(hash.finish()).or_default();
        let here = folders.entry(item.parent.clone()).or_default();
        *here += 1;
        let known = taken.get(*here - 1).copied();
        if known.is_none() {
            taken.push(place);
        }
        known
    }
}

/// Counts a choice of which `new` were not seen before.
pub fn count(choice: &Choice, new: &[RemoteItem]) -> Count {
    let bytes = new
        .iter()
        .filter_map(|item| item.size)
        .fold(Default::default(), crate::units::ByteCount::saturating_add);
    let duration = new.iter().filter_map(|item| item.duration).fold(Millis::ZERO, Millis::saturating_add);
    Count { tracks: choice.take.len() as u64, new: new.len() as u64, bytes, duration, left: choice.left }
}

/// The best way to get a thing: the file itself, lossless before lossy, then the higher bit rate, then the first.
fn best(resources: &[Resource]) -> Option<&Resource> {
    let sound = |resource: &&Resource| {
        let mime = resource.mime();
        let known = mime.starts_with("audio/")
            || matches!(mime.as_str(), "application/ogg" | "application/octet-stream");
        resource.is_http()
            && known
            && !mime.starts_with("audio/x-mpegurl")
            && !mime.starts_with("audio/x-scpls")
    };
    let rank = |resource: &&Resource| {
        let mime = resource.mime();
        let lossless = LOSSLESS.iter().any(|kind| mime.contains(kind));
        (!resource.is_converted(), lossless, resource.bitrate.unwrap_or(0))
    };
    // max_by_key takes the last of equals; reversed, that is the first.
    resources.iter().filter(sound).rev().max_by_key(rank)
}

/// The longest piece of each album or folder: a short interlude among songs is music.
fn longest_of_albums(items: &[Item]) -> HashMap<String, Millis> {
    let mut longest = HashMap::new();
    for item in items {
        let duration = item.resources.iter().filter_map(|resource| resource.duration).max();
        let album = item.album.clone().filter(|album| !is_unknown(album));
        if let (Some(album), Some(duration)) = (album, duration) {
            let known = longest.entry(album).or_insert(Millis::ZERO);
            *known = (*known).max(duration);
        }
    }
    longest
}

/// What servers write when a file has no album.
fn is_unknown(album: &str) -> bool {
    let album = album.to_lowercase();
    album.is_empty() || album == "<unknown>" || album.starts_with("[unknown") || album == "unknown album"
}

/// Marks of ringtones, voice notes, calls, messengers, podcasts and audiobooks in class, genre, folder or path.
fn is_spoken(item: &Item, resource: &Resource) -> bool {
    let class = item.class.to_lowercase();
    if ["audiobook", "audiobroadcast", "podcast"].iter().any(|kind| class.contains(kind)) {
        return true;
    }
    let named = |text: &str| {
        let text = text.to_lowercase();
        SPOKEN.iter().any(|word| text == *word)
    };
    let genre = item.genre.as_deref().is_some_and(named);
    let album = item.album.as_deref().is_some_and(named);
    let path = resource.url.split('/').any(|part| named(&part.replace("%20", " ")));
    genre || album || path
}

const SHORT: Millis = Millis(45_000);
const LOSSLESS: [&str; 8] = ["flac", "wav", "aiff", "alac", "l16", "dsd", "dsf", "wavpack"];
/// Whole names of genres and folders, lower case.
const SPOKEN: [&str; 26] = [
    "ringtone",
    "ringtones",
    "notification",
    "notifications",
    "alarms",
    "ui",
    "podcast",
    "podcasts",
    "audiobook",
    "audiobooks",
    "audio books",
    "speech",
    "recordings",
    "voice recorder",
    "voice notes",
    "voice memos",
    "call",
    "calls",
    "call recordings",
    "callrecord",
    "whatsapp audio",
    "whatsapp voice notes",
    "telegram audio",
    "line",
    "kakaotalk",
    "messenger",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::ByteCount;

    fn resource(mime: &str, extra: &str, bitrate: u64) -> Resource {
        Resource {
            url: format!("http://10.0.0.9/{bitrate}"),
            protocol: format!("http-get:*:{mime}:{extra}"),
            size: Some(ByteCount(1000)),
            duration: Some(Millis(200_000)),
            bitrate: Some(bitrate),
        }
    }

    fn item(id: &str, resources: Vec<Resource>) -> Item {
        let class = "object.item.audioItem.musicTrack".to_owned();
        Item { id: id.into(), title: id.into(), class, resources, ..Item::default() }
    }

    #[test]
    fn the_file_itself_is_better_than_a_conversion() {
        let ways = vec![
            resource("audio/L16", "DLNA.ORG_CI=1", 999_999),
            resource("audio/mpeg", "*", 40_000),
            resource("audio/x-flac", "*", 100_000),
            resource("image/jpeg", "*", 1),
        ];
        assert_eq!(best(&ways).map(|r| r.mime()), Some("audio/x-flac".into()));
        assert_eq!(best(&ways[..2]).map(|r| r.mime()), Some("audio/mpeg".into()));
        assert_eq!(best(&ways[..1]).map(|r| r.mime()), Some("audio/l16".into()));
        assert_eq!(best(&ways[3..]), None);
        let twins = [resource("audio/mpeg", "a", 1), resource("audio/mpeg", "b", 1)];
        assert_eq!(best(&twins), Some(&twins[0]));
    }

    #[test]
    fn one_thing_in_several_folders_is_taken_once() {
        let mut link = item("link", vec![resource("audio/mpeg", "*", 1)]);
        link.ref_id = Some("a".into());
        let choice = choose(vec![item("a", vec![resource("audio/mpeg", "*", 1)]), link], Short::Leave);
        assert_eq!(choice.take.len(), 1);
    }

    #[test]
    fn what_is_not_music_stays_on_the_phone() {
        let with = |change: fn(&mut Item)| {
            let mut item = item("x", vec![resource("audio/mpeg", "*", 1)]);
            change(&mut item);
            choose(vec![item], Short::Leave)
        };
        assert_eq!(with(|_| {}).left, 0);
        assert_eq!(with(|i| i.class = "object.item.audioItem.audioBook".into()).left, 1);
        assert_eq!(with(|i| i.genre = Some("Podcast".into())).left, 1);
        assert_eq!(with(|i| i.album = Some("Ringtones".into())).left, 1);
        assert_eq!(with(|i| i.resources[0].url = "http://p/Voice%20Recorder/1.m4a".into()).left, 1);
        assert_eq!(with(|i| i.title = "Ringtone Blues".into()).left, 0);
    }

    #[test]
    fn a_short_piece_stays_unless_it_belongs_to_an_album() {
        let short = |album: Option<&str>| {
            let mut piece = item("s", vec![resource("audio/mpeg", "*", 1)]);
            piece.resources[0].duration = Some(Millis(20_000));
            piece.album = album.map(str::to_owned);
            piece
        };
        assert_eq!(choose(vec![short(None)], Short::Leave).left, 1);
        assert_eq!(choose(vec![short(Some("[Unknown Album]"))], Short::Leave).left, 1);
        assert_eq!(choose(vec![short(None)], Short::Take).take.len(), 1);
        assert_eq!(choose(vec![short(Some("Interludes"))], Short::Leave).take.len(), 1);
    }

    #[test]
    fn a_count_speaks_of_the_new_ones() {
        let all = vec![
            item("a", vec![resource("audio/mpeg", "*", 1)]),
            item("b", vec![resource("audio/mpeg", "*", 1)]),
        ];
        let choice = choose(all, Short::Leave);
        let counted = count(&choice, &choice.take[..1]);
        assert_eq!(
            (counted.tracks, counted.new, counted.bytes, counted.duration.0),
            (2, 1, ByteCount(1000), 200_000)
        );
    }

    #[test]
    fn another_view_of_a_file_is_left_out_and_another_take_is_not() {
        let item = |id: &str, parent: &str, track| Item {
            id: id.into(),
            parent: parent.into(),
            title: "Silence".into(),
            album: Some("Album".into()),
            track,
            class: "object.item.audioItem.musicTrack".into(),
            resources: vec![Resource {
                url: format!("http://x/{id}"),
                protocol: "http-get:*:audio/mpeg:*".into(),
                size: Some(crate::units::ByteCount(1000)),
                ..Resource::default()
            }],
            ..Item::default()
        };
        let all = vec![
            item("1", "albums", Some(1)),
            item("2", "albums", Some(1)),
            item("3", "artists", Some(1)),
            item("4", "artists", Some(1)),
            item("5", "years", Some(1)),
            item("6", "years", Some(2)),
        ];
        let taken: Vec<String> =
            choose(all, Short::Take).take.into_iter().map(|item| item.object_id).collect();
        assert_eq!(taken, ["1", "2", "6"]);
    }
}
