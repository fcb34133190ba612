//! What survives a power cut: the queue and the guest deck exactly, the position within 15 s, the knob.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::hifi::command::{Playable, QueueId, Repeat};
use crate::hifi::queue::Queue;
use crate::hifi::quiet::{Choice, Clock, Quiet, QuietConfig};
use crate::hifi::rules::{Restored, Rules, shelf_entry};
use crate::hifi::state::{Entry, Modes, Source};
use crate::offer::Via;
use crate::track::{Tags, Track, TrackId};
use crate::units::{Millis, UnixTime, Volume};

/// The box as it is written down, as JSON in owner.db.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Version of this form; a newer one is not read.
    v: u32,
    version: u64,
    entries: Vec<Kept>,
    last_id: u32,
    shuffled: Option<Vec<QueueId>>,
    /// What the rest of the round and the rounds after it are drawn from while shuffled.
    #[serde(default)]
    seed: u64,
    /// What an app put on beside the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deck: Option<KeptDeck>,
    #[serde(flatten)]
    place: Place,
}

/// The guest deck as it is written down; the position is that of what is on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeptDeck {
    by: Via,
    now: Kept,
    #[serde(default)]
    next: Option<Kept>,
}

/// What changes while the queue stays as it is: written down alone, as 10,000 entries are a megabyte.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Place {
    current: Option<QueueId>,
    position_ms: Millis,
    repeat: Repeat,
    /// The knob as somebody last set it; `None` in fixed mode or before anybody did.
    volume: Option<Volume>,
    #[serde(default)]
    modes: Modes,
    #[serde(default)]
    quiet: Choice,
    /// The last time that could be trusted; a battery clock before it is wrong.
    #[serde(default)]
    known: Option<UnixTime>,
}

/// A place and the queue that it is in.
#[derive(Debug, Serialize, Deserialize)]
struct Placed {
    /// Of the queue.
    version: u64,
    #[serde(flatten)]
    place: Place,
}

impl Place {
    /// Returns what is to be written down; `position` is that of now. The sleep timer is not: after a power cut nothing
    /// plays by itself.
    pub fn of(rules: &Rules, position: Millis) -> Place {
        let state = rules.state(0);
        Place {
            current: rules.queue_place(),
            position_ms: position,
            repeat: state.repeat,
            volume: (!state.fixed_volume).then_some(state.volume),
            modes: state.modes,
            quiet: rules.quiet().choice(),
            known: rules.known(),
        }
    }

    /// Returns the text to write down beside the queue of this version.
    pub fn json(self, version: u64) -> String {
        serde_json::to_string(&Placed { version, place: self }).unwrap_or_default()
    }
}

/// One entry as it is written down.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    id: QueueId,
    what: Playable,
    /// Shown while the shelf cannot say; left out for shelf tracks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<Arc<Tags>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    said: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    named: Option<Arc<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cover: Option<Arc<str>>,
    /// The length of a URL, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length_ms: Option<Millis>,
}

impl Kept {
    fn of(entry: &Entry) -> Kept {
        let is_url = matches!(entry.what, Playable::Url(_));
        Kept {
            id: entry.id,
            what: entry.what.clone(),
            shown: is_url.then(|| entry.shown.clone()),
            said: entry.said.clone(),
            named: entry.named.clone(),
            cover: entry.cover.clone(),
            length_ms: (is_url && entry.duration > Millis::ZERO).then_some(entry.duration),
        }
    }

    fn entry(self, tracks: &HashMap<TrackId, Arc<Track>>) -> Entry {
        let known = match self.what {
            Playable::Shelf(id) => tracks.get(&id).map(|track| shelf_entry(track)),
            Playable::Url(_) => None,
        };
        let length = known.as_ref().map(|entry| entry.duration).or(self.length_ms);
        Entry {
            id: self.id,
            shown: known.as_ref().map(|entry| entry.shown.clone()).or(self.shown).unwrap_or_default(),
            duration: length.unwrap_or(Millis::ZERO),
            measured: known.map(|entry| entry.measured).unwrap_or_default(),
            what: self.what,
            said: self.said,
            named: self.named,
            cover: self.cover,
        }
    }
}

impl Memory {
    /// Returns all that is to be written down; `position` is that of now.
    pub fn of(rules: &Rules, position: Millis) -> Memory {
        let (queue, view) = (&rules.queue, rules.queue.view());
        Memory {
            v: FORM,
            version: view.version,
            entries: view.entries.iter().map(Kept::of).collect(),
            last_id: queue.last_id(),
            shuffled: queue.shuffled().map(|(order, _)| order.to_vec()),
            seed: queue.shuffled().map_or(0, |(_, seed)| seed),
            deck: match rules.source() {
                Source::Guest { by, now, next } => {
                    Some(KeptDeck { by, now: Kept::of(&now), next: next.map(|next| Kept::of(&next)) })
                }
                Source::Queue | Source::Empty { .. } => None,
            },
            place: Place::of(rules, position),
        }
    }

    /// Takes the place that was written down later; one of another queue, or one that cannot be read, is none.
    pub fn at(self, place: Option<&str>) -> Memory {
        let placed = place.and_then(|json| serde_json::from_str::<Placed>(json).ok());
        match placed.filter(|placed| placed.version == self.version) {
            Some(Placed { place, .. }) => Memory { place, ..self },
            None => self,
        }
    }

    /// Returns what was written down.
    ///
    /// # Errors
    /// `Damaged` for anything that is not of this form.
    pub fn read(json: &str) -> Result<Memory> {
        let memory: Memory = serde_json::from_str(json)
            .map_err(|error| Error::with(Kind::Damaged, "read the saved queue", error))?;
        if memory.v != FORM {
            let what = format!("read the saved queue: its form {} is not {FORM}", memory.v);
            return Err(Error::new(Kind::Damaged, what));
        }
        Ok(memory)
    }

    /// Returns the text to write down.
    pub fn json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns the tracks whose tags the queue shows.
    pub fn tracks(&self) -> Vec<TrackId> {
        let track = |kept: &Kept| match kept.what {
            Playable::Shelf(id) => Some(id),
            Playable::Url(_) => None,
        };
        let deck = self.deck.iter().flat_map(|deck| std::iter::once(&deck.now).chain(&deck.next));
        self.entries.iter().chain(deck).filter_map(track).collect()
    }

    /// Returns the knob as somebody last set it.
    pub fn volume(&self) -> Option<Volume> {
        self.place.volume
    }

    /// Returns the last time that could be trusted.
    pub fn known(&self) -> Option<UnixTime> {
        self.place.known
    }

    /// Returns quiet hours to start with.
    pub fn quiet(&self, config: QuietConfig, clock: Clock) -> Quiet {
        Quiet::new(config, self.place.quiet, clock)
    }

    /// Returns the box to start with, quiet hours left out. A track that the shelf does not know at the moment stays in the queue.
    pub fn restore(self, tracks: &HashMap<TrackId, Arc<Track>>) -> Restored {
        let entries = self.entries.into_iter().map(|kept| kept.entry(tracks)).collect();
        let deck = self.deck.map(|deck| Source::Guest {
            by: deck.by,
            now: Arc::new(deck.now.entry(tracks)),
            next: deck.next.map(|next| Arc::new(next.entry(tracks))),
        });
        let shuffled = self.shuffled.map(|order| (order, self.seed));
        let Place { current, position_ms, repeat, modes, known, .. } = self.place;
        Restored {
            queue: Queue::restored(self.version, entries, self.last_id, shuffled),
            current,
            position: position_ms,
            repeat,
            modes,
            quiet: Quiet::default(),
            known,
            deck,
        }
    }
}

/// Version of the written form.
const FORM: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hifi::command::{At, Command, QuietMode};
    use crate::hifi::state::Transport;
    use crate::hifi::volume::Knob;
    use crate::signal::Device;

    #[test]
    fn the_queue_comes_back_exactly() {
        let now = std::time::Instant::now();
        let mut queue = Queue::default();
        let entry = |what| Entry {
            id: QueueId(0),
            what,
            shown: Arc::default(),
            duration: Millis::ZERO,
            said: Some("<DIDL/>".into()),
            named: None,
            cover: None,
            measured: Default::default(),
        };
        let url = Playable::Url("http://10.0.0.2/a.flac".into());
        let named = Some("http://10.0.0.3:8200/media/5.flac".into());
        let cover = Some("http://10.0.0.2/a.jpg".into());
        let entries = vec![
            Entry { named, ..entry(Playable::Shelf(TrackId(5))) },
            Entry { cover, duration: Millis(5000), ..entry(url) },
        ];
        let ids = queue.add(entries, At::End, None).expect("fits");
        queue.shuffle(true, None, 3);
        let modes = Modes { single: true, consume: false, stop_after: true };
        let restored = Restored {
            queue,
            current: Some(ids[1]),
            position: Millis(777),
            repeat: Repeat::All,
            modes,
            known: Some(UnixTime(99)),
            ..Restored::default()
        };
        let device = Device::closed("test", true);
        let knob = Knob::new(false, Volume::MAX, Volume::new(30), now);
        let mut rules = Rules::new(knob, restored, device, now);
        let by = crate::offer::Via::Itself;
        let given = crate::hifi::rules::Given { tracks: HashMap::new(), something: Vec::new(), seed: 0, by };
        rules.command(Command::SetQuiet(QuietMode::On), &given, now).expect("always");

        let json = Memory::of(&rules, Millis(777)).json();
        let memory = Memory::read(&json).expect("as written");
        assert_eq!(memory.volume(), Volume::new(20), "quiet hours press it down");
        assert_eq!(memory.quiet(QuietConfig::default(), Clock::Unknown), *rules.quiet());
        assert_eq!(memory.tracks(), [TrackId(5)]);
        let back = memory.restore(&HashMap::new());
        assert_eq!(back.queue, rules.queue);
        assert_eq!((back.current, back.position, back.repeat), (Some(ids[1]), Millis(777), Repeat::All));
        assert_eq!((back.modes, back.known), (modes, Some(UnixTime(99))));
    }

    #[test]
    fn what_an_app_put_on_comes_back_paused_at_its_place_and_the_queue_beside_it() {
        let now = std::time::Instant::now();
        let entry = |id, url: &str| Entry {
            id: QueueId(id),
            what: Playable::Url(url.into()),
            shown: Arc::default(),
            duration: Millis(9000),
            said: Some("<DIDL/>".into()),
            named: None,
            cover: None,
            measured: Default::default(),
        };
        let mut queue = Queue::default();
        let ids = queue.add(vec![entry(0, "http://x/queued")], At::End, None).expect("fits");
        let deck = Source::Guest {
            by: Via::Upnp,
            now: Arc::new(entry(7, "http://x/now")),
            next: Some(Arc::new(entry(8, "http://x/next"))),
        };
        let restored = Restored {
            queue,
            current: Some(ids[0]),
            position: Millis(777),
            deck: Some(deck.clone()),
            ..Restored::default()
        };
        let rules = |restored| {
            let knob = Knob::new(false, Volume::MAX, None, now);
            Rules::new(knob, restored, Device::closed("test", true), now)
        };
        let mut before = rules(restored);
        let json = Memory::of(&before, Millis(777)).json();
        let mut after = rules(Memory::read(&json).expect("as written").restore(&HashMap::new()));
        assert_eq!(after.state(0).source, deck);
        let state = after.state(0);
        assert_eq!((state.transport, state.current), (Transport::Paused, Some(QueueId(7))));
        assert_eq!((state.position.anchor, state.duration), (Millis(777), Millis(9000)));
        assert_eq!(after.queue_place(), Some(ids[0]));
        // Numbers go on behind those of the deck.
        let given = crate::hifi::rules::Given {
            tracks: HashMap::new(),
            something: Vec::new(),
            seed: 0,
            by: Via::Upnp,
        };
        for rules in [&mut before, &mut after] {
            rules.command(Command::SetGuest(None), &given, now).expect("always");
            assert_eq!(rules.state(0).current, Some(ids[0]));
        }
        assert!(!Memory::of(&after, Millis::ZERO).json().contains("http://x/now"));
    }

    #[test]
    fn a_place_that_was_written_later_counts_in_its_own_queue_only() {
        let written = r#"{"v":1,"version":3,"entries":[{"id":4,"what":{"shelf":5}}],"last_id":9,"shuffled":null,
            "current":4,"position_ms":7,"repeat":"all","volume":30}"#;
        let place = Place {
            position_ms: Millis(90_000),
            repeat: Repeat::One,
            ..Memory::read(written).expect("known").place
        };
        let at = |json: Option<&str>| {
            let back = Memory::read(written).expect("known").at(json).restore(&HashMap::new());
            (back.current, back.position, back.repeat)
        };
        assert_eq!(at(Some(&place.json(3))), (Some(QueueId(4)), Millis(90_000), Repeat::One));
        let before = (Some(QueueId(4)), Millis(7), Repeat::All);
        assert_eq!(at(Some(&place.json(4))), before);
        assert_eq!((at(Some("{")), at(None)), (before, before));
    }

    #[test]
    fn a_memory_of_an_older_konpo_is_read() {
        let older = r#"{"v":1,"version":3,"entries":[{"id":4,"what":{"shelf":5}}],"last_id":9,"shuffled":[4],
            "current":4,"position_ms":7,"repeat":"all","volume":30}"#;
        let back = Memory::read(older).expect("known").restore(&HashMap::new());
        assert_eq!((back.current, back.modes, back.known), (Some(QueueId(4)), Modes::default(), None));
        assert_eq!(back.queue.shuffled(), Some((&[QueueId(4)][..], 0)));
    }

    #[test]
    fn a_broken_or_newer_memory_is_refused_with_words() {
        assert_eq!(Memory::read("{").expect_err("no JSON").kind(), Kind::Damaged);
        let newer = r#"{"v":9,"version":0,"entries":[],"last_id":0,"shuffled":null,"current":null,
            "position_ms":0,"repeat":"off","volume":null}"#;
        assert!(Memory::read(newer).expect_err("newer").to_string().contains("form 9"));
    }
}
