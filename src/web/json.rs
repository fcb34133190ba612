//! The API's own JSON types: what goes over the wire is named here and nowhere else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use crate::hifi::command::{Playable, Repeat, SleepEnd};
use crate::hifi::state::{Entry, Modes, QuietState, Sleeping, Source, State, Transport};
use crate::offer::Via;
use crate::query::{Group, Item, Page};
use crate::signal::{Device, OnAir, SignalPath};
use crate::track::correction::{Field, Word};
use crate::track::{AudioFormat, Protection, Purchase, Track};
use crate::units::Millis;

/// A track. `GET /api/tracks/{id}` and every list of tracks.
#[derive(Debug, Serialize)]
pub struct TrackJson {
    id: i64,
    title: Option<String>,
    artist: Option<String>,
    album: Option<String>,
    album_artist: Option<String>,
    track: Option<u32>,
    disc: Option<u32>,
    date: Option<String>,
    genres: Vec<String>,
    duration_ms: u64,
    playable: bool,
    /// Its disk is away: it is known, and comes back with it.
    offline: bool,
    protection: Option<ProtectionJson>,
    format: Option<AudioFormat>,
    size: u64,
    sha256: Option<String>,
    /// Integrated loudness as konpo measured it (EBU R 128); `null` when it did not.
    loudness_lufs: Option<f64>,
    /// True peak as konpo measured it, 1.0 = full scale.
    true_peak: Option<f64>,
    copies: usize,
    added: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    purchases: Vec<Purchase>,
    /// The fields that were corrected by hand.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    corrected: BTreeMap<Field, CorrectedJson>,
    /// How it came here, in one sentence; only where one track is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    story: Option<String>,
}

/// A word that was corrected; `null`: nothing stands there.
#[derive(Debug, Serialize)]
pub struct CorrectedJson {
    /// What stands there now.
    word: Option<Word>,
    /// What the file says.
    tagged: Option<Word>,
}

/// Returns the fields of a track that were corrected.
fn corrected(track: &Track) -> BTreeMap<Field, CorrectedJson> {
    let Some(corrected) = &track.corrected else { return BTreeMap::new() };
    let both = |word: Option<&Word>, field: Field| CorrectedJson {
        word: word.cloned(),
        tagged: field.of(&corrected.tagged),
    };
    corrected.words.iter().map(|(field, word)| (field, both(word, field))).collect()
}

/// Why a track cannot be played, and what to do.
#[derive(Debug, Serialize)]
pub struct ProtectionJson {
    #[serde(flatten)]
    kind: Protection,
    code: &'static str,
    headline: &'static str,
    advice: &'static str,
}

impl TrackJson {
    /// Returns the track as JSON.
    pub fn of(track: &Track) -> TrackJson {
        let shown = track.playable().or(track.copies.first());
        let protection = shown.and_then(|copy| ProtectionJson::of(&copy.protection));
        let tags = &track.tags;
        TrackJson {
            id: track.id.0,
            title: tags.title.clone(),
            artist: tags.artist.clone(),
            album: tags.album.clone(),
            album_artist: tags.album_artist.clone(),
            track: tags.track,
            disc: tags.disc,
            date: tags.date.clone(),
            genres: tags.genres.clone(),
            duration_ms: track.duration.0,
            playable: track.playable().is_some(),
            offline: track.is_offline(),
            protection,
            format: shown.map(|copy| copy.format.clone()),
            size: shown.map_or(0, |copy| copy.size.0),
            sha256: shown.and_then(|copy| copy.sha256).map(|hash| hash.to_string()),
            loudness_lufs: track.measured.track.map(|loudness| loudness.lufs),
            true_peak: track.measured.track.map(|loudness| loudness.true_peak),
            copies: track.copies.len(),
            added: track.added.rfc3339(),
            purchases: track.purchases.clone(),
            corrected: corrected(track),
            story: None,
        }
    }

    /// Returns the track as JSON with how it came here.
    pub fn with_story(track: &Track, story: Option<String>) -> TrackJson {
        TrackJson { story, ..TrackJson::of(track) }
    }
}

impl ProtectionJson {
    /// Returns a lock as JSON; `None` when plain.
    pub fn of(protection: &Protection) -> Option<ProtectionJson> {
        let code = protection.code()?;
        let (headline, advice) = (protection.headline(), protection.advice());
        Some(ProtectionJson { kind: protection.clone(), code, headline, advice })
    }
}

/// One item of a list.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum ItemJson {
    /// A track.
    Track(Box<TrackJson>),
    /// An album, artist, genre, composer, year, folder or playlist.
    Group(GroupJson),
}

/// An album, artist, genre, composer, year, folder or playlist.
#[derive(Debug, Serialize)]
pub struct GroupJson {
    id: String,
    name: String,
    artist: Option<String>,
    tracks: u64,
    example: Option<i64>,
}

impl From<Item> for ItemJson {
    fn from(item: Item) -> ItemJson {
        match item {
            Item::Track(track) => ItemJson::Track(Box::new(TrackJson::of(&track))),
            Item::Group(group) => ItemJson::Group(group.into()),
        }
    }
}

impl From<Group> for GroupJson {
    fn from(group: Group) -> GroupJson {
        let Group { id, name, artist, tracks, example, .. } = group;
        GroupJson { id: id.to_string(), name, artist, tracks, example: example.map(|track| track.0) }
    }
}

/// Every list of the API: how many in all, and those of this page.
#[derive(Debug, Serialize)]
pub struct ListJson<T> {
    /// How many there are in all.
    pub total: u64,
    /// Those of this page.
    pub items: Vec<T>,
}

impl From<Page<Item>> for ListJson<ItemJson> {
    fn from(page: Page<Item>) -> ListJson<ItemJson> {
        ListJson { total: page.total, items: page.items.into_iter().map(ItemJson::from).collect() }
    }
}

/// The answer of a search: a list of tracks, with artists and albums beside it.
#[derive(Debug, Serialize)]
pub struct SearchJson {
    /// The tracks.
    #[serde(flatten)]
    pub tracks: ListJson<ItemJson>,
    /// The first artists.
    pub artists: Vec<ItemJson>,
    /// The first albums.
    pub albums: Vec<ItemJson>,
}

/// The box. `GET /api/state`; as an event without the queue's entries.
#[derive(Debug, Serialize)]
pub struct StateJson {
    rev: u64,
    source: &'static str,
    transport: Transport,
    /// Somebody sent it to bed; any play wakes it.
    standby: bool,
    current: Option<u32>,
    starts: u64,
    position_ms: u64,
    duration_ms: u64,
    volume: u8,
    fixed_volume: bool,
    mute: bool,
    /// Decibels of the knob; `null` while silent. What ReplayGain adds stands in `signal`.
    gain_db: Option<f64>,
    repeat: Repeat,
    shuffle: bool,
    #[serde(flatten)]
    modes: Modes,
    sleep: Option<SleepJson>,
    quiet: QuietState,
    queue_version: u64,
    queue_length: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Vec<EntryJson>>,
    /// What an app brought beside the queue; `null` while the queue plays.
    guest: Option<GuestJson>,
    /// What the station that plays says about itself.
    on_air: Option<Arc<OnAir>>,
    signal: Option<SignalPath>,
    device: Arc<Device>,
    /// The output that is wanted.
    output: Arc<str>,
    notices: Vec<NoticeJson>,
    library_rev: u64,
    offers: u64,
}

/// The deck beside the queue.
#[derive(Debug, Serialize)]
pub struct GuestJson {
    by: Via,
    now: EntryJson,
    next: Option<EntryJson>,
}

/// The sleep timer.
#[derive(Debug, Serialize)]
pub struct SleepJson {
    left_ms: Millis,
    end: SleepEnd,
}

/// An entry of the queue.
#[derive(Debug, Serialize)]
pub struct EntryJson {
    id: u32,
    track: Option<i64>,
    url: Option<Arc<str>>,
    title: Option<String>,
    artist: Option<String>,
    album: Option<String>,
    duration_ms: u64,
}

/// A notice.
#[derive(Debug, Serialize)]
pub struct NoticeJson {
    number: u64,
    at: String,
    /// In English.
    words: String,
    /// Which sentence that is, for another language; empty for one that has no code.
    code: &'static str,
    /// What is told in it.
    about: Vec<String>,
}

impl StateJson {
    /// Returns the snapshot as JSON at `now`, with the queue's entries.
    pub fn whole(state: &State, now: Instant) -> StateJson {
        let entries = state.queue.entries.iter().map(EntryJson::of).collect();
        StateJson { queue: Some(entries), ..StateJson::brief(state, now) }
    }

    /// Returns the snapshot as JSON at `now`, without the queue's entries.
    pub fn brief(state: &State, now: Instant) -> StateJson {
        let notice = |notice: &crate::hifi::state::Notice| NoticeJson {
            number: notice.number,
            at: notice.at.rfc3339(),
            words: notice.words.clone(),
            code: notice.code,
            about: notice.about.clone(),
        };
        StateJson {
            rev: state.rev,
            source: match state.source {
                Source::Queue => "queue",
                Source::Guest { .. } | Source::Empty { .. } => "guest",
            },
            transport: state.transport,
            standby: state.standby,
            current: state.current.map(|id| id.0),
            starts: state.starts,
            position_ms: state.position.now(now).0,
            duration_ms: state.duration.0,
            volume: state.volume.value(),
            fixed_volume: state.fixed_volume,
            mute: state.mute,
            gain_db: Some(state.gain.db()).filter(|db| db.is_finite()),
            repeat: state.repeat,
            shuffle: state.shuffle,
            modes: state.modes,
            sleep: state.sleep.map(|Sleeping { at, end }| SleepJson {
                left_ms: at.saturating_duration_since(now).into(),
                end,
            }),
            quiet: state.quiet,
            queue_version: state.queue.version,
            queue_length: state.queue.entries.len(),
            queue: None,
            guest: match &state.source {
                Source::Queue | Source::Empty { .. } => None,
                Source::Guest { by, now, next } => Some(GuestJson {
                    by: *by,
                    now: EntryJson::of(now),
                    next: next.as_ref().map(|next| EntryJson::of(next)),
                }),
            },
            on_air: state.on_air.clone(),
            signal: state.signal.as_ref().map(|path| {
                path.at((!state.fixed_volume).then_some(state.gain), state.device.mixer.as_ref())
            }),
            device: state.device.clone(),
            output: state.output.clone(),
            notices: state.notices.iter().map(notice).collect(),
            library_rev: state.library_rev,
            offers: state.offers,
        }
    }
}

impl EntryJson {
    fn of(entry: &Entry) -> EntryJson {
        let (track, url) = match &entry.what {
            Playable::Shelf(id) => (Some(id.0), None),
            Playable::Url(url) => (None, Some(url.clone())),
        };
        EntryJson {
            id: entry.id.0,
            track,
            url,
            title: entry.shown.title.clone(),
            artist: entry.shown.artist.clone(),
            album: entry.shown.album.clone(),
            duration_ms: entry.duration.0,
        }
    }
}
