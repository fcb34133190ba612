//! URLs as the box knows them: an opener that `run` hands over, and the stop tokens of what is open, so that a wait on the
//! network ends with the wish for it. Knows no network itself.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind, Result};
use crate::hifi::command::{Command, NewEntry, Playable};
use crate::hifi::rules::Event;
use crate::hifi::state::Picture;
use crate::media::sound::Sound;
use crate::media::tags::front::{Told, read_front};
use crate::player::Opener;
use crate::signal::{OnAir, PlaySerial};
use crate::track::TrackId;

/// Opens a URL; may block, and ends with an error once the token falls. Called on the motor's threads.
pub type OpenUrl = Arc<dyn Fn(UrlAsk) -> Result<Sound> + Send + Sync>;
/// Returns the track of the shelf behind a URL of our own media path.
pub type OwnUrl = Arc<dyn Fn(&str) -> Option<TrackId> + Send + Sync>;

/// How URLs become sound. Cheap to clone.
#[derive(Clone)]
pub struct Urls {
    /// Opens one.
    pub open: OpenUrl,
    /// Knows our own.
    pub ours: OwnUrl,
}

/// One wish to hear a URL.
pub struct UrlAsk {
    /// The URL.
    pub url: Arc<str>,
    /// Falls when nobody wants it any more.
    pub stop: CancellationToken,
    /// Hears what a station says; never waits.
    pub told: Box<dyn Fn(OnAir) + Send + Sync>,
}

impl Urls {
    /// Returns what opens none.
    pub fn none() -> Urls {
        let open = |ask: UrlAsk| {
            Err(Error::new(Kind::Unsupported, format!("play {}: konpo plays no URLs here", ask.url)))
        };
        Urls { open: Arc::new(open), ours: Arc::new(|_| None) }
    }

    /// Makes tracks of the shelf of what points at our own media path.
    pub(super) fn settle(&self, command: &mut Command) {
        let settle = |entry: &mut NewEntry| {
            if let Playable::Url(url) = &entry.what
                && let Some(track) = (self.ours)(url)
            {
                entry.hints.named = Some(url.clone());
                entry.what = Playable::Shelf(track);
            }
        };
        match command {
            Command::Add { entries, .. } => entries.iter_mut().for_each(settle),
            Command::SetGuest(Some(entry)) | Command::SetGuestNext(Some(entry)) => settle(entry),
            Command::Batch(commands) => commands.iter_mut().for_each(|command| self.settle(command)),
            _ => {}
        }
    }
}

/// The URLs that are open or being opened for the motor.
pub(super) struct Links {
    urls: Urls,
    events: mpsc::Sender<Event>,
    open: Vec<(PlaySerial, CancellationToken)>,
}

impl Links {
    /// Returns the keeper; `events` is the way of titles into the loop.
    pub(super) fn new(urls: Urls, events: mpsc::Sender<Event>) -> Links {
        Links { urls, events, open: Vec::new() }
    }

    /// Returns the opener of a start.
    pub(super) fn opener(&mut self, serial: PlaySerial, url: Arc<str>) -> Opener {
        let stop = CancellationToken::new();
        self.open.push((serial, stop.clone()));
        let (urls, events) = (self.urls.clone(), self.events.clone());
        Box::new(move || {
            // A loop that does not keep up loses a title, never the sound.
            let hear = events.clone();
            let told = Box::new(move |on_air| {
                let _full = hear.try_send(Event::OnAir { serial, on_air });
            });
            let (sound, front) = read_front((urls.open)(UrlAsk { url, stop, told })?);
            if let Some(Told { tags, picture }) = front {
                let picture = picture.map(|picture| Picture(picture.into()));
                let _full = events.try_send(Event::Tags { serial, tags: Box::new(tags), picture });
            }
            Ok(sound)
        })
    }

    /// Ends every wait for starts other than these.
    pub(super) fn keep(&mut self, wanted: &[Option<PlaySerial>]) {
        self.open.retain(|(serial, stop)| {
            let keeps = wanted.contains(&Some(*serial));
            if !keeps {
                stop.cancel();
            }
            keeps
        });
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        self.keep(&[]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hifi::command::Hints;

    #[test]
    fn our_own_media_path_is_the_track_itself_wherever_it_is_named() {
        let ours = |url: &str| url.strip_prefix("http://here/").and_then(|id| id.parse().ok()).map(TrackId);
        let urls = Urls { ours: Arc::new(ours), ..Urls::none() };
        let entry = |url: &str| NewEntry {
            what: Playable::Url(url.into()),
            shown: Arc::default(),
            said: Some("<DIDL/>".into()),
            hints: Hints::default(),
        };
        let hints = Hints { named: Some("http://here/7".into()), ..Hints::default() };
        let track = NewEntry { what: Playable::Shelf(TrackId(7)), hints, ..entry("") };
        let mut command = Command::Batch(vec![
            Command::Add {
                entries: vec![entry("http://here/7"), entry("http://there/7")],
                at: Default::default(),
                play: false,
            },
            Command::SetGuest(Some(entry("http://here/7"))),
            Command::SetGuestNext(Some(entry("http://here/7"))),
            Command::SetGuestNext(None),
        ]);
        urls.settle(&mut command);
        let expected = Command::Batch(vec![
            Command::Add {
                entries: vec![track.clone(), entry("http://there/7")],
                at: Default::default(),
                play: false,
            },
            Command::SetGuest(Some(track.clone())),
            Command::SetGuestNext(Some(track)),
            Command::SetGuestNext(None),
        ]);
        assert_eq!(command, expected);
    }

    #[test]
    fn a_start_that_nobody_wants_any_more_is_told_to_stop() {
        let (events, _inlet) = mpsc::channel(1);
        let tokens = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = tokens.clone();
        let open = move |ask: UrlAsk| {
            seen.lock().expect("no panic").push(ask.stop);
            Err(Error::new(Kind::Unreachable, "nobody there"))
        };
        let mut links = Links::new(Urls { open: Arc::new(open), ..Urls::none() }, events);
        let [one, two] = [1, 2].map(PlaySerial);
        for serial in [one, two] {
            assert!(links.opener(serial, "http://x/".into())().is_err());
        }
        let fallen = || {
            tokens.lock().expect("no panic").iter().map(CancellationToken::is_cancelled).collect::<Vec<_>>()
        };
        links.keep(&[Some(two), Some(one), None]);
        assert_eq!(fallen(), [false, false]);
        links.keep(&[Some(two), None]);
        assert_eq!(fallen(), [true, false]);
        drop(links);
        assert_eq!(fallen(), [true, true]);
    }
}
